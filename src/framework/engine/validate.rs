//! Validating configuration: of resources, data sources, the provider, and everything else that has a schema.

use crate::cty::{Path, Value};
use crate::framework::diagnostic::{Diagnostic, Diagnostics};
use crate::framework::resource::ValidateConfig;
use crate::framework::schema::{Attribute, Nesting, ValidatorRequest};

use super::ObjectSchema;
use super::walk::{Fields, nested};

/// What is validated.
#[derive(Clone, Copy)]
pub struct ValidateRequest<'a> {
    /// The schema.
    pub schema: &'a ObjectSchema,
    /// The configuration; may hold unknowns.
    pub config: &'a Value,
    /// Whether the Terraform that asks knows write-only attributes (1.11 and later).
    pub write_only_allowed: bool,
    /// Checks that span attributes.
    pub validate_config: Option<&'a dyn ValidateConfig>,
}

/// Runs the checks of the schema (what is required and read-only inside nested attributes, which core leaves to us;
/// deprecations; write-only attributes; validators), then those that span attributes.
#[must_use]
pub fn validate(request: ValidateRequest<'_>) -> Diagnostics {
    let mut walk = Walk {
        config: request.config,
        write_only_allowed: request.write_only_allowed,
        diagnostics: Diagnostics::new(),
    };
    let block = &request.schema.schema.block;
    if let Some(message) = &block.deprecation_message {
        walk.diagnostics.warning("Deprecated", message.clone());
    }
    walk.object(block.into(), request.config, &Path::root(), false);
    let mut diagnostics = walk.diagnostics;
    if let Some(checks) = request.validate_config {
        checks.validate_config(request.config, &mut diagnostics);
    }
    diagnostics
}

struct Walk<'a> {
    config: &'a Value,
    write_only_allowed: bool,
    diagnostics: Diagnostics,
}

impl Walk<'_> {
    fn object(&mut self, fields: Fields<'_>, object: &Value, path: &Path, sensitive: bool) {
        // Unknown as a whole, or absent: nothing to look at yet.
        if !object.is_set() {
            return;
        }
        for attribute in fields.attributes {
            self.attribute(attribute, object, path, sensitive);
        }
        for block in fields.blocks {
            let path = path.attribute(block.name);
            let value = object.get(block.name);
            if let Some(message) = &block.block.deprecation_message
                && has_content(value)
            {
                self.diagnostics.push(
                    Diagnostic::warning("Block deprecated", message.clone()).at(path.clone()),
                );
            }
            for validator in &block.validators {
                validator.validate(
                    &ValidatorRequest {
                        path: &path,
                        value,
                        config: self.config,
                        parent: object,
                        sensitive,
                    },
                    &mut self.diagnostics,
                );
            }
            self.nested(
                block.nesting,
                (&block.block).into(),
                value,
                &path,
                sensitive,
            );
        }
    }

    fn attribute(&mut self, attribute: &Attribute, object: &Value, path: &Path, sensitive: bool) {
        let path = path.attribute(attribute.name);
        let value = object.get(attribute.name);
        let sensitive = sensitive || attribute.sensitive || attribute.write_only;

        if attribute.required && value.is_null() {
            self.diagnostics.push(
                Diagnostic::error(
                    "Missing required attribute",
                    format!("Attribute {path} is required, but no value is set."),
                )
                .at(path),
            );
            return;
        }
        if attribute.computed && !attribute.optional && !value.is_null() {
            self.diagnostics.push(
                Diagnostic::error(
                    "Read-only attribute set",
                    format!(
                        "Attribute {path} is decided by the provider and cannot be set. Remove it from the configuration."
                    ),
                )
                .at(path),
            );
            return;
        }
        if attribute.write_only && !value.is_null() && !self.write_only_allowed {
            self.diagnostics.push(
                Diagnostic::error(
                    "Write-only attribute not supported",
                    format!(
                        "Attribute {path} is write-only, which needs Terraform 1.11 or later. Upgrade Terraform, or \
                         remove the attribute."
                    ),
                )
                .at(path),
            );
            return;
        }
        if let Some(message) = &attribute.deprecation_message
            && !value.is_null()
        {
            self.diagnostics.push(
                Diagnostic::warning("Attribute deprecated", message.clone()).at(path.clone()),
            );
        }
        for validator in &attribute.validators {
            validator.validate(
                &ValidatorRequest {
                    path: &path,
                    value,
                    config: self.config,
                    parent: object,
                    sensitive,
                },
                &mut self.diagnostics,
            );
        }
        if let Some((nesting, fields)) = nested(attribute) {
            self.nested(nesting, fields, value, &path, sensitive);
        }
    }

    /// Inside sets the path goes on with attribute names, for the sentence; what is sent to core ends at the set.
    fn nested(
        &mut self,
        nesting: Nesting,
        fields: Fields<'_>,
        value: &Value,
        path: &Path,
        sensitive: bool,
    ) {
        match (nesting, value) {
            (Nesting::Single | Nesting::Group, object) => {
                self.object(fields, object, path, sensitive);
            }
            (Nesting::List, Value::List(items)) => {
                for (index, item) in items.iter().enumerate() {
                    self.element(fields, item, &path.index(index), sensitive);
                }
            }
            (Nesting::Set, Value::Set(items)) => {
                for item in items {
                    self.element(fields, item, path, sensitive);
                }
            }
            (Nesting::Map, Value::Map(items)) => {
                for (key, item) in items {
                    self.element(fields, item, &path.key(key.clone()), sensitive);
                }
            }
            _ => {}
        }
    }

    fn element(&mut self, fields: Fields<'_>, element: &Value, path: &Path, sensitive: bool) {
        if element.is_null() {
            self.diagnostics.push(
                Diagnostic::error(
                    "Missing object",
                    format!("{path} must be an object, but is null."),
                )
                .at(path.clone()),
            );
        }
        self.object(fields, element, path, sensitive);
    }
}

/// Whether there is at least one block.
fn has_content(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::List(items) | Value::Set(items) => !items.is_empty(),
        Value::Map(items) => !items.is_empty(),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cty::Type;
    use crate::framework::schema::{Block, NestedBlock, Schema};
    use crate::framework::validators;

    fn schema() -> ObjectSchema {
        let inner = || {
            vec![
                Attribute::string("must", "").required(),
                Attribute::string("may", "")
                    .optional()
                    .validate(validators::one_of(["a"])),
                Attribute::string("never", "").computed(),
            ]
        };
        Schema::new("")
            .attribute(
                Attribute::string("secret", "")
                    .optional()
                    .sensitive()
                    .validate(validators::length_at_most(3)),
            )
            .attribute(Attribute::string("hidden", "").optional().write_only())
            .attribute(
                Attribute::string("old", "")
                    .optional()
                    .deprecated("Use new."),
            )
            .attribute(Attribute::nested("one", Nesting::Single, inner(), "").optional())
            .attribute(Attribute::nested("list", Nesting::List, inner(), "").optional())
            .attribute(Attribute::nested("set", Nesting::Set, inner(), "").optional())
            .attribute(Attribute::nested("map", Nesting::Map, inner(), "").optional())
            .attribute(
                Attribute::nested(
                    "sealed",
                    Nesting::Single,
                    vec![
                        Attribute::list("in", Type::String, "")
                            .optional()
                            .validate(validators::each(validators::length_at_most(3))),
                    ],
                    "",
                )
                .optional()
                .sensitive(),
            )
            .nested_block(
                NestedBlock::list(
                    "block",
                    Block::new("").attribute(
                        Attribute::string("may", "")
                            .optional()
                            .validate(validators::one_of(["a"])),
                    ),
                )
                .validate(validators::size_at_most(1)),
            )
            .into()
    }

    fn object(must: Value, may: Value, never: Value) -> Value {
        Value::object([("must", must), ("may", may), ("never", never)])
    }

    #[test]
    fn checks_what_core_leaves_to_the_provider() {
        let null = || Value::Null;
        let fine = || object("x".into(), "a".into(), Value::Null);
        let missing = || object(Value::Null, Value::Null, Value::Null);
        /// Name, attribute, its value, paths and summaries of what is found.
        type Case = (
            &'static str,
            &'static str,
            Value,
            Vec<(&'static str, &'static str)>,
        );
        let cases: Vec<Case> = vec![
            ("fine", "one", fine(), vec![]),
            ("unknown object", "one", Value::unknown(), vec![]),
            (
                "unknown attributes",
                "one",
                object(Value::unknown(), Value::unknown(), null()),
                vec![],
            ),
            (
                "required",
                "one",
                missing(),
                vec![("one.must", "Missing required attribute")],
            ),
            (
                "read-only",
                "one",
                object("x".into(), null(), "x".into()),
                vec![("one.never", "Read-only attribute set")],
            ),
            (
                "validator",
                "one",
                object("x".into(), "b".into(), null()),
                vec![("one.may", "Invalid attribute value")],
            ),
            (
                "list",
                "list",
                Value::List(vec![fine(), missing()]),
                vec![("list[1].must", "Missing required attribute")],
            ),
            (
                "null element",
                "list",
                Value::List(vec![null()]),
                vec![("list[0]", "Missing object")],
            ),
            (
                "set",
                "set",
                Value::Set(vec![missing()]),
                vec![("set.must", "Missing required attribute")],
            ),
            (
                "map",
                "map",
                Value::Map([("k".to_owned(), missing())].into()),
                vec![("map[\"k\"].must", "Missing required attribute")],
            ),
            (
                "write-only",
                "hidden",
                "x".into(),
                vec![("hidden", "Write-only attribute not supported")],
            ),
            (
                "deprecated",
                "old",
                "x".into(),
                vec![("old", "Attribute deprecated")],
            ),
            ("deprecated, unset", "old", null(), vec![]),
            (
                "block",
                "block",
                Value::List(vec![
                    Value::object([("may", Value::from("a"))]),
                    Value::object([("may", Value::from("b"))]),
                ]),
                vec![
                    ("block", "Invalid attribute value"),
                    ("block[1].may", "Invalid attribute value"),
                ],
            ),
        ];
        let schema = schema();
        for (name, attribute, value, expected) in cases {
            let mut config = schema.empty_value();
            config.set(attribute, value);
            let diagnostics = validate(ValidateRequest {
                schema: &schema,
                config: &config,
                write_only_allowed: false,
                validate_config: None,
            });
            let found: Vec<(String, &str)> = diagnostics
                .iter()
                .map(|d| (d.path.clone().unwrap().to_string(), d.summary.as_str()))
                .collect();
            let expected: Vec<(String, &str)> = expected
                .iter()
                .map(|(p, s)| ((*p).to_owned(), *s))
                .collect();
            assert_eq!(found, expected, "{name}");
        }
    }

    #[test]
    fn sensitive_covers_what_is_inside() {
        let schema = schema();
        let mut config = schema.empty_value();
        config.set("secret", "hunter2".into());
        config.set(
            "sealed",
            Value::object([("in", Value::List(vec!["hunter2".into()]))]),
        );
        let diagnostics = validate(ValidateRequest {
            schema: &schema,
            config: &config,
            write_only_allowed: true,
            validate_config: None,
        });
        assert_eq!(diagnostics.iter().count(), 2, "{diagnostics:?}");
        assert!(!format!("{diagnostics:?}").contains("hunter2"));
    }

    #[test]
    fn checks_across_attributes_run_last() {
        struct Checks;
        impl ValidateConfig for Checks {
            fn validate_config(&self, _config: &Value, diagnostics: &mut Diagnostics) {
                let before = diagnostics.iter().count();
                diagnostics.error("Across", format!("after {before}"));
            }
        }
        let schema = schema();
        let mut config = schema.empty_value();
        config.set("hidden", "x".into());
        let diagnostics = validate(ValidateRequest {
            schema: &schema,
            config: &config,
            write_only_allowed: false,
            validate_config: Some(&Checks),
        });
        assert_eq!(
            diagnostics.iter().last().map(|d| d.detail.as_str()),
            Some("after 1")
        );
    }
}
