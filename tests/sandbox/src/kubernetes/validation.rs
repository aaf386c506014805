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

/// The pod template of a workload, or the pod itself.
pub(crate) fn pod_spec_path(kind: &Kind) -> Option<&'static str> {
    Some(match kind.plural {
        "pods" => "/spec",
        "deployments" | "replicasets" | "statefulsets" | "daemonsets" | "jobs" => {
            "/spec/template/spec"
        }
        "cronjobs" => "/spec/jobTemplate/spec/template/spec",
        _ => return None,
    })
}

/// What is required of a kind beyond its metadata.
pub(super) fn check_object(kind: &Kind, name: &str, object: &Value) -> Result<(), Failure> {
    if let Some(path) = pod_spec_path(kind).filter(|_| !kind.is_custom()) {
        let field = |rest: &str| format!("{}.{rest}", path[1..].replace('/', "."));
        let required = |field: &str| {
            Failure::invalid(kind, name, field, "FieldValueRequired", "Required value")
        };
        let spec = object.pointer(path).unwrap_or(&Value::Null);
        let containers = spec["containers"].as_array().map_or(&[][..], Vec::as_slice);
        if containers.is_empty() {
            return Err(required(&field("containers")));
        }
        for (index, container) in containers.iter().enumerate() {
            for member in ["name", "image"] {
                if container[member].as_str().unwrap_or_default().is_empty() {
                    return Err(required(&field(&format!("containers[{index}].{member}"))));
                }
            }
        }
    }
    if ["deployments", "replicasets", "statefulsets", "daemonsets"].contains(&kind.plural)
        && !kind.is_custom()
    {
        let (selector, template) = (&object["spec"]["selector"], &object["spec"]["template"]);
        if selector["matchLabels"].is_null() && selector["matchExpressions"].is_null() {
            return Err(Failure::invalid(
                kind,
                name,
                "spec.selector",
                "FieldValueRequired",
                "Required value",
            ));
        }
        let labels = &template["metadata"]["labels"];
        if !super::selector::matches(selector, labels) {
            let message =
                format!("Invalid value: {labels}: `selector` does not match template `labels`");
            return Err(Failure::invalid(
                kind,
                name,
                "spec.template.metadata.labels",
                "FieldValueInvalid",
                &message,
            ));
        }
    }
    Ok(())
}

/// What must not change once an object exists.
pub(super) fn check_update(
    kind: &Kind,
    name: &str,
    old: &Value,
    new: &Value,
) -> Result<(), Failure> {
    let fixed: &[&str] = match kind.plural {
        _ if kind.is_custom() => &[],
        "deployments" | "replicasets" | "daemonsets" => &["selector"],
        "statefulsets" => &["selector", "serviceName", "podManagementPolicy"],
        "jobs" => &["selector", "template", "completions"],
        "pods" => {
            let bare = |pod: &Value| {
                let mut spec = pod["spec"].clone();
                for list in ["containers", "initContainers"] {
                    for container in spec[list].as_array_mut().into_iter().flatten() {
                        container["image"] = Value::Null;
                    }
                    if spec[list].is_null() {
                        spec.as_object_mut().map(|s| s.shift_remove(list));
                    }
                }
                for field in [
                    "activeDeadlineSeconds",
                    "tolerations",
                    "nodeName",
                    "ephemeralContainers",
                ] {
                    spec.as_object_mut().map(|s| s.shift_remove(field));
                }
                spec
            };
            if bare(old) == bare(new) {
                return Ok(());
            }
            return Err(Failure::invalid(
                kind,
                name,
                "spec",
                "FieldValueForbidden",
                "Forbidden: pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)",
            ));
        }
        _ => &[],
    };
    for field in fixed {
        if old["spec"][*field] != new["spec"][*field] {
            let message = format!("Invalid value: {}: field is immutable", new["spec"][*field]);
            return Err(Failure::invalid(
                kind,
                name,
                &format!("spec.{field}"),
                "FieldValueInvalid",
                &message,
            ));
        }
    }
    Ok(())
}
