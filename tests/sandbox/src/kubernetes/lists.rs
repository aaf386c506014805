//! How lists merge: by a key, as a set, or not at all. One table for strategic merge patch and server-side apply.

use serde_json::Value;

/// How the items of a list are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ListType {
    /// Replaced as a whole.
    Atomic,
    /// Each value once.
    Set,
    /// Items are objects with these keys; the first is the merge key of strategic merge patch.
    Map(&'static [&'static str]),
}

/// The type of the list in a field of this name. Custom resources have no schema here: all but their metadata is atomic.
pub(super) fn list_type(field: &str, custom: bool) -> ListType {
    match field {
        "ownerReferences" => ListType::Map(&["uid"]),
        "finalizers" => ListType::Set,
        _ if custom => ListType::Atomic,
        "containers"
        | "initContainers"
        | "ephemeralContainers"
        | "volumes"
        | "env"
        | "imagePullSecrets"
        | "secrets"
        | "webhooks" => ListType::Map(&["name"]),
        "volumeMounts" => ListType::Map(&["mountPath"]),
        "volumeDevices" => ListType::Map(&["devicePath"]),
        "ports" => ListType::Map(&["containerPort", "protocol"]),
        "conditions" | "addresses" => ListType::Map(&["type"]),
        "hostAliases" => ListType::Map(&["ip"]),
        "topologySpreadConstraints" => ListType::Map(&["topologyKey", "whenUnsatisfiable"]),
        _ => ListType::Atomic,
    }
}

/// Maps that are replaced as a whole although they are objects.
pub(super) fn is_atomic_map(field: &str, custom: bool) -> bool {
    !custom
        && [
            "selector",
            "nodeSelector",
            "labelSelector",
            "resourceFieldRef",
        ]
        .contains(&field)
}

/// The value of a key of a list item, with the default the API gives it.
pub(super) fn key_value(item: &Value, key: &str) -> Value {
    match (&item[key], key) {
        (Value::Null, "protocol") => "TCP".into(),
        // The ports of a Service have another key than those of a container.
        (Value::Null, "containerPort") => item["port"].clone(),
        (value, _) => value.clone(),
    }
}

/// Whether two items are the same one.
pub(super) fn same_item(a: &Value, b: &Value, keys: &[&str]) -> bool {
    keys.iter()
        .all(|key| key_value(a, key) == key_value(b, key))
}
