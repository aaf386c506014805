//! Checks of names and metadata.

use serde_json::{Map, Value};

use super::store::{Failure, Kind};

fn is_label(text: &str) -> bool {
    let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
    text.len() <= 63
        && edge(text.chars().next())
        && edge(text.chars().last())
        && text
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
}

/// The name of an object, by the rule of its kind.
pub(super) fn check_name(kind: &Kind, name: &str) -> Result<(), Failure> {
    if name.is_empty() {
        return Err(Failure::invalid(
            kind,
            "",
            "metadata.name",
            "FieldValueRequired",
            "Required value: name or generateName is required",
        ));
    }
    let label = kind.plural == "namespaces";
    let legal = if label {
        is_label(name)
    } else {
        name.len() <= 253
            && name
                .split('.')
                .all(|part| is_label(part) || (part.len() > 63 && is_label(&part[..63])))
    };
    if legal {
        return Ok(());
    }
    let rule = if label {
        "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
    } else {
        "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
    };
    Err(Failure::invalid(
        kind,
        name,
        "metadata.name",
        "FieldValueInvalid",
        &format!("Invalid value: \"{name}\": {rule}"),
    ))
}

/// Annotations and labels of an object.
pub(super) fn check_metadata(
    kind: &Kind,
    name: &str,
    metadata: &Map<String, Value>,
) -> Result<(), Failure> {
    for field in ["annotations", "labels"] {
        let Some(value) = metadata.get(field) else {
            continue;
        };
        let strings = value
            .as_object()
            .is_some_and(|map| map.values().all(Value::is_string));
        if !strings {
            let message = format!(
                "{} in version \"{}\" cannot be handled as a {}: json: cannot unmarshal into Go struct field ObjectMeta.metadata.{field} of type string",
                kind.kind, kind.version, kind.kind
            );
            return Err(Failure::new(400, "BadRequest", message));
        }
    }
    let size: usize = metadata
        .get("annotations")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
        .map(|(k, v)| k.len() + v.as_str().map_or(0, str::len))
        .sum();
    if size > 256 << 10 {
        return Err(Failure::invalid(
            kind,
            name,
            "metadata.annotations",
            "FieldValueTooLong",
            "Too long: may not be more than 262144 bytes",
        ));
    }
    Ok(())
}
