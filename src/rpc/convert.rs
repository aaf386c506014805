//! Between protobuf messages and the types of the framework.

pub(super) mod schema;

use crate::cty::{Path, Step, Type, Value, json, msgpack};
use crate::framework::engine::{IdentityType, plan::expressible};
use crate::framework::{Diagnostic, Diagnostics, Private, Severity};
use crate::proto::tfplugin6 as tf;

use tf::attribute_path::step::Selector;

/// A value that core sent. MessagePack wins over JSON; with neither it is null.
pub(super) fn decode(
    value: Option<tf::DynamicValue>,
    ty: &Type,
    what: &str,
) -> Result<Value, Diagnostics> {
    let Some(value) = value else {
        return Ok(Value::Null);
    };
    let decoded = if !value.msgpack.is_empty() {
        msgpack::decode(&value.msgpack, ty)
    } else if !value.json.is_empty() {
        json::value_from_json(&value.json, ty)
    } else {
        return Ok(Value::Null);
    };
    decoded.map_err(|error| {
        Diagnostic::provider_bug(format!(
            "The {what} that Terraform sent cannot be read: {error}."
        ))
        .into()
    })
}

/// A value for core; always MessagePack, which alone can express unknown values.
pub(super) fn encode(
    value: &Value,
    ty: &Type,
    what: &str,
) -> Result<tf::DynamicValue, Diagnostics> {
    match msgpack::encode(value, ty) {
        Ok(msgpack) => Ok(tf::DynamicValue {
            msgpack,
            json: Vec::new(),
        }),
        Err(error) => Err(Diagnostic::provider_bug(format!(
            "The {what} cannot be sent to Terraform: {error}."
        ))
        .into()),
    }
}

/// The null value of any type.
pub(super) fn null() -> tf::DynamicValue {
    tf::DynamicValue {
        msgpack: vec![0xc0],
        json: Vec::new(),
    }
}

/// An identity that core sent. Types without an identity have none whatever was sent.
pub(super) fn decode_identity(
    data: Option<tf::ResourceIdentityData>,
    identity: Option<&IdentityType>,
) -> Result<Value, Diagnostics> {
    identity.map_or(Ok(Value::Null), |identity| {
        decode(
            data.and_then(|data| data.identity_data),
            &identity.ty,
            "resource identity",
        )
    })
}

/// An identity for core: nothing at all where there is none, because core refuses identities of types without one.
pub(super) fn encode_identity(
    value: &Value,
    identity: Option<&IdentityType>,
) -> Result<Option<tf::ResourceIdentityData>, Diagnostics> {
    match identity {
        Some(identity) if !value.is_null() => Ok(Some(tf::ResourceIdentityData {
            identity_data: Some(encode(value, &identity.ty, "resource identity")?),
        })),
        _ => Ok(None),
    }
}

/// Private state that core kept for us.
pub(super) fn decode_private(bytes: &[u8]) -> Result<Private, Diagnostics> {
    Private::from_bytes(bytes).map_err(|error| {
        Diagnostic::provider_bug(format!(
            "The private state that Terraform kept for this object cannot be read: {error}."
        ))
        .into()
    })
}

/// Diagnostics about a value of type `ty`. Paths are cut to what exists there and can be expressed.
pub(super) fn diagnostics(diagnostics: Diagnostics, ty: &Type) -> Vec<tf::Diagnostic> {
    diagnostics
        .into_iter()
        .map(|diagnostic| {
            let attribute = diagnostic
                .path
                .as_ref()
                .map(|path| expressible(path, ty))
                .filter(|path| !path.is_root())
                .map(|path| attribute_path(&path));
            self::diagnostic(diagnostic, attribute)
        })
        .collect()
}

/// Diagnostics about no value in particular.
pub(super) fn plain_diagnostics(diagnostics: Diagnostics) -> Vec<tf::Diagnostic> {
    diagnostics
        .into_iter()
        .map(|diagnostic| self::diagnostic(diagnostic, None))
        .collect()
}

fn diagnostic(diagnostic: Diagnostic, attribute: Option<tf::AttributePath>) -> tf::Diagnostic {
    let severity = match diagnostic.severity {
        Severity::Error => tf::diagnostic::Severity::Error,
        Severity::Warning => tf::diagnostic::Severity::Warning,
    };
    tf::Diagnostic {
        severity: severity.into(),
        summary: diagnostic.summary,
        detail: diagnostic.detail,
        attribute,
    }
}

/// A path for core.
pub(super) fn attribute_path(path: &Path) -> tf::AttributePath {
    let steps = path
        .steps()
        .iter()
        .map(|step| tf::attribute_path::Step {
            selector: Some(match step {
                Step::Attribute(name) => Selector::AttributeName(name.clone()),
                Step::Key(key) => Selector::ElementKeyString(key.clone()),
                Step::Index(index) => {
                    Selector::ElementKeyInt(i64::try_from(*index).unwrap_or(i64::MAX))
                }
            }),
        })
        .collect();
    tf::AttributePath { steps }
}

/// Responses that can say nothing but diagnostics.
pub(super) trait Failed {
    /// The response for diagnostics.
    fn failed(diagnostics: Diagnostics) -> Self;
}

macro_rules! failed {
    ($($module:ident)+) => { $(
        impl Failed for tf::$module::Response {
            #[allow(clippy::needless_update, reason = "some responses have nothing else")]
            fn failed(diagnostics: Diagnostics) -> Self {
                Self {
                    diagnostics: plain_diagnostics(diagnostics),
                    ..Self::default()
                }
            }
        }
    )+ };
}

failed! {
    close_ephemeral_resource
    configure_provider
    generate_resource_config
    get_functions
    get_metadata
    get_provider_schema
    get_resource_identity_schemas
    import_resource_state
    move_resource_state
    open_ephemeral_resource
    plan_action
    plan_resource_change
    read_data_source
    read_resource
    renew_ephemeral_resource
    upgrade_resource_identity
    upgrade_resource_state
    validate_action_config
    validate_data_resource_config
    validate_ephemeral_resource_config
    validate_list_resource_config
    validate_provider_config
    validate_resource_config
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_come_as_msgpack_or_json_or_not_at_all() {
        let value = |msgpack: &[u8], json: &[u8]| {
            Some(tf::DynamicValue {
                msgpack: msgpack.to_vec(),
                json: json.to_vec(),
            })
        };
        let cases = [
            ("absent", None, Some(Value::Null)),
            ("empty", value(b"", b""), Some(Value::Null)),
            ("msgpack", value(b"\xa1a", b""), Some("a".into())),
            ("json", value(b"", b"\"b\""), Some("b".into())),
            ("both", value(b"\xa1a", b"\"b\""), Some("a".into())),
            ("null", Some(null()), Some(Value::Null)),
            ("broken msgpack", value(b"\xa5a", b""), None),
            ("broken json", value(b"", b"{"), None),
            ("another type", value(b"\x81\xa1a\x01", b""), None),
        ];
        for (name, value, expected) in cases {
            assert_eq!(
                decode(value, &Type::String, "config").ok(),
                expected,
                "{name}"
            );
        }
    }

    #[test]
    fn paths_are_cut_to_what_core_can_follow() {
        let ty = Type::object([
            ("name", Type::String),
            ("tags", Type::map(Type::String)),
            ("set", Type::set(Type::object([("a", Type::String)]))),
            ("list", Type::list(Type::object([("a", Type::String)]))),
        ]);
        let name = |name: &str| Selector::AttributeName(name.to_owned());
        let root = Path::root();
        let cases = [
            (root.clone(), None),
            (root.attribute("nothing"), None),
            (root.attribute("name"), Some(vec![name("name")])),
            (
                root.attribute("name").attribute("more"),
                Some(vec![name("name")]),
            ),
            (
                root.attribute("tags").key("k"),
                Some(vec![
                    name("tags"),
                    Selector::ElementKeyString("k".to_owned()),
                ]),
            ),
            (
                root.attribute("set").attribute("a"),
                Some(vec![name("set")]),
            ),
            (
                root.attribute("list").index(1).attribute("a"),
                Some(vec![name("list"), Selector::ElementKeyInt(1), name("a")]),
            ),
            (root.attribute("list").key("k"), Some(vec![name("list")])),
            (
                root.attribute("list").index(0).attribute("b"),
                Some(vec![name("list"), Selector::ElementKeyInt(0)]),
            ),
        ];
        for (path, expected) in cases {
            let converted = diagnostics(Diagnostic::error("s", "d").at(path.clone()).into(), &ty);
            let selectors = converted[0].attribute.as_ref().map(|path| {
                path.steps
                    .iter()
                    .filter_map(|step| step.selector.clone())
                    .collect::<Vec<_>>()
            });
            assert_eq!(selectors, expected, "{path}");
        }
    }

    #[test]
    fn severities_are_always_set() {
        let mut both = Diagnostics::new();
        both.error("e", "d");
        both.warning("w", "d");
        let severities: Vec<i32> = plain_diagnostics(both).iter().map(|d| d.severity).collect();
        assert_eq!(severities, [1, 2]);
    }
}
