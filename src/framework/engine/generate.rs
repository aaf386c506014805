//! Configuration generated from state (`-generate-config-out`, `terraform query`).

use crate::cty::Value;

use super::ObjectSchema;
use super::conform::{fill_blocks, null_where};

/// A configuration that would give `state`: what the provider alone decides, and what is deprecated, is left out.
#[must_use]
pub fn generate_config(schema: &ObjectSchema, state: &Value) -> Value {
    let mut config = state.clone();
    null_where((&schema.schema.block).into(), &mut config, &|attribute| {
        (attribute.computed && !attribute.optional) || attribute.deprecation_message.is_some()
    });
    fill_blocks(&schema.schema.block, &mut config);
    config
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::framework::schema::{Attribute, Nesting, Schema};

    #[test]
    fn leaves_out_what_users_cannot_or_should_not_write() {
        let schema = Schema::new("")
            .attribute(Attribute::string("name", "").required())
            .attribute(Attribute::string("old", "").optional().deprecated("x"))
            .attribute(Attribute::string("both", "").optional().computed())
            .attribute(Attribute::string("id", "").computed())
            .attribute(
                Attribute::nested(
                    "list",
                    Nesting::List,
                    vec![
                        Attribute::string("name", "").required(),
                        Attribute::string("id", "").computed(),
                    ],
                    "",
                )
                .optional(),
            )
            .into();
        let object = |id: Value| Value::object([("name", Value::from("n")), ("id", id)]);
        let state = Value::object([
            ("name", Value::from("n")),
            ("old", "o".into()),
            ("both", "b".into()),
            ("id", "i".into()),
            ("list", Value::List(vec![object("i".into())])),
        ]);
        let expected = Value::object([
            ("name", Value::from("n")),
            ("old", Value::Null),
            ("both", "b".into()),
            ("id", Value::Null),
            ("list", Value::List(vec![object(Value::Null)])),
        ]);
        assert_eq!(generate_config(&schema, &state), expected);
    }
}
