//! The patch formats: JSON patch, merge patch and strategic merge patch.

use serde_json::{Map, Value};

use super::lists::{ListType, list_type, same_item};

/// A patch, by its media type.
#[derive(Clone, Debug)]
pub(crate) enum Patch {
    /// `application/json-patch+json` (RFC 6902).
    Json(Vec<Value>),
    /// `application/merge-patch+json` (RFC 7386).
    Merge(Value),
    /// `application/strategic-merge-patch+json`.
    Strategic(Value),
}

/// Why a patch does not apply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Error {
    /// It is not a patch of its type.
    Malformed(String),
    /// A test failed or a path does not exist.
    Rejected,
}

/// The object after the patch. Custom resources have no strategic merge patch, so one of them is malformed.
pub(crate) fn apply(object: &Value, patch: &Patch, custom: bool) -> Result<Value, Error> {
    let mut new = object.clone();
    match patch {
        Patch::Json(operations) => {
            for operation in operations {
                apply_operation(&mut new, operation)?;
            }
        }
        Patch::Merge(patch) => merge(&mut new, patch),
        Patch::Strategic(_) if custom => {
            let message = "strategic merge patch is not supported for custom resources";
            return Err(Error::Malformed(message.into()));
        }
        Patch::Strategic(patch) => strategic(&mut new, patch),
    }
    Ok(new)
}

fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(fields) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    for (name, value) in fields {
        if value.is_null() {
            if let Some(object) = target.as_object_mut() {
                object.shift_remove(name);
            }
        } else {
            merge(&mut target[name.as_str()], value);
        }
    }
}

fn strategic(target: &mut Value, patch: &Value) {
    let Value::Object(fields) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() || fields.get("$patch").is_some_and(|d| d == "replace") {
        *target = Value::Object(Map::new());
    }
    if let (Some(retained), Some(map)) = (fields.get("$retainKeys"), target.as_object_mut()) {
        let retained: Vec<&str> = retained
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        map.retain(|name, _| retained.contains(&name.as_str()));
    }
    for (name, value) in fields {
        if let Some(list) = name.strip_prefix("$deleteFromPrimitiveList/") {
            if let (Some(items), Some(gone)) = (target[list].as_array_mut(), value.as_array()) {
                items.retain(|item| !gone.contains(item));
            }
            continue;
        }
        if name.starts_with('$') {
            continue;
        }
        match (value, list_type(name, false)) {
            (Value::Null, _) => {
                if let Some(object) = target.as_object_mut() {
                    object.shift_remove(name);
                }
            }
            (Value::Array(items), ListType::Map(keys)) => {
                merge_list(&mut target[name.as_str()], items, keys);
            }
            (Value::Array(items), ListType::Set) => {
                let list = &mut target[name.as_str()];
                if !list.is_array() {
                    *list = Value::Array(Vec::new());
                }
                if let Some(list) = list.as_array_mut() {
                    for item in items {
                        if !list.contains(item) {
                            list.push(item.clone());
                        }
                    }
                }
            }
            (value, _) => strategic(&mut target[name.as_str()], value),
        }
    }
    for (name, value) in fields {
        if let (Some(list), Some(order)) =
            (name.strip_prefix("$setElementOrder/"), value.as_array())
            && let ListType::Map(keys) = list_type(list, false)
            && let Some(items) = target.get_mut(list).and_then(Value::as_array_mut)
        {
            // A stable sort: what the order does not name keeps its place behind what it names.
            let place = |item: &Value| {
                order
                    .iter()
                    .position(|o| same_item(o, item, &keys[..1]))
                    .unwrap_or(order.len())
            };
            items.sort_by_key(place);
        }
    }
}

fn merge_list(target: &mut Value, items: &[Value], keys: &[&str]) {
    if !target.is_array() || items.iter().any(|item| item["$patch"] == "replace") {
        *target = Value::Array(Vec::new());
    }
    let Some(list) = target.as_array_mut() else {
        return;
    };
    for item in items {
        let position = list
            .iter()
            .position(|existing| same_item(existing, item, &keys[..1]));
        match (position, item["$patch"].as_str()) {
            (_, Some("replace")) => {}
            (Some(position), Some("delete")) => {
                list.remove(position);
            }
            (None, Some("delete")) => {}
            (Some(position), _) => strategic(&mut list[position], item),
            (None, _) => {
                let mut new = Value::Object(Map::new());
                strategic(&mut new, item);
                list.push(new);
            }
        }
    }
}

fn apply_operation(object: &mut Value, operation: &Value) -> Result<(), Error> {
    let malformed = || Error::Malformed(format!("invalid JSON patch operation: {operation}"));
    let path = operation["path"].as_str().ok_or_else(malformed)?;
    let value = || operation.get("value").cloned().ok_or_else(malformed);
    let from = || operation["from"].as_str().ok_or_else(malformed);
    match operation["op"].as_str() {
        Some("test") => {
            if object.pointer(path) == Some(&value()?) {
                Ok(())
            } else {
                Err(Error::Rejected)
            }
        }
        Some("add") => add(object, path, value()?),
        Some("remove") => remove(object, path).map(|_| ()),
        Some("replace") => {
            *object.pointer_mut(path).ok_or(Error::Rejected)? = value()?;
            Ok(())
        }
        Some("move") => {
            let moved = remove(object, from()?)?;
            add(object, path, moved)
        }
        Some("copy") => {
            let copied = object.pointer(from()?).cloned().ok_or(Error::Rejected)?;
            add(object, path, copied)
        }
        _ => Err(malformed()),
    }
}

/// The parent of what a path points at, and the last token.
fn parent<'o>(object: &'o mut Value, path: &str) -> Result<(&'o mut Value, String), Error> {
    let (head, last) = path.rsplit_once('/').ok_or(Error::Rejected)?;
    let last = last.replace("~1", "/").replace("~0", "~");
    Ok((object.pointer_mut(head).ok_or(Error::Rejected)?, last))
}

fn add(object: &mut Value, path: &str, value: Value) -> Result<(), Error> {
    if path.is_empty() {
        *object = value;
        return Ok(());
    }
    match parent(object, path)? {
        (Value::Object(map), key) => {
            map.insert(key, value);
            Ok(())
        }
        (Value::Array(list), key) => {
            let index = if key == "-" {
                list.len()
            } else {
                key.parse().map_err(|_| Error::Rejected)?
            };
            if index > list.len() {
                return Err(Error::Rejected);
            }
            list.insert(index, value);
            Ok(())
        }
        _ => Err(Error::Rejected),
    }
}

fn remove(object: &mut Value, path: &str) -> Result<Value, Error> {
    match parent(object, path)? {
        (Value::Object(map), key) => map.shift_remove(&key).ok_or(Error::Rejected),
        (Value::Array(list), key) => {
            let index: usize = key.parse().map_err(|_| Error::Rejected)?;
            if index < list.len() {
                Ok(list.remove(index))
            } else {
                Err(Error::Rejected)
            }
        }
        _ => Err(Error::Rejected),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn results() {
        let object = json!({"metadata": {"annotations": {"a/b": "1", "c": "2"}}, "secrets": [{"name": "x"}], "list": [1, 2]});
        let cases = [
            (
                "merge deletes by null",
                Patch::Merge(json!({"metadata": {"annotations": {"c": null}}})),
                Ok(
                    json!({"metadata": {"annotations": {"a/b": "1"}}, "secrets": [{"name": "x"}], "list": [1, 2]}),
                ),
            ),
            (
                "merge replaces lists",
                Patch::Merge(json!({"secrets": [{"name": "y"}]})),
                Ok(
                    json!({"metadata": {"annotations": {"a/b": "1", "c": "2"}}, "secrets": [{"name": "y"}], "list": [1, 2]}),
                ),
            ),
            (
                "strategic merges known lists",
                Patch::Strategic(
                    json!({"secrets": [{"name": "y"}], "list": [3], "$setElementOrder/secrets": []}),
                ),
                Ok(
                    json!({"metadata": {"annotations": {"a/b": "1", "c": "2"}}, "secrets": [{"name": "x"}, {"name": "y"}], "list": [3]}),
                ),
            ),
            (
                "strategic deletes from lists",
                Patch::Strategic(json!({"secrets": [{"name": "x", "$patch": "delete"}]})),
                Ok(
                    json!({"metadata": {"annotations": {"a/b": "1", "c": "2"}}, "secrets": [], "list": [1, 2]}),
                ),
            ),
            (
                "JSON patch",
                Patch::Json(vec![
                    json!({"op": "test", "path": "/metadata/annotations/a~1b", "value": "1"}),
                    json!({"op": "remove", "path": "/metadata/annotations/a~1b"}),
                    json!({"op": "add", "path": "/list/-", "value": 3}),
                    json!({"op": "move", "from": "/secrets", "path": "/moved"}),
                ]),
                Ok(
                    json!({"metadata": {"annotations": {"c": "2"}}, "list": [1, 2, 3], "moved": [{"name": "x"}]}),
                ),
            ),
            (
                "failed test",
                Patch::Json(vec![json!({"op": "test", "path": "/list/0", "value": 2})]),
                Err(Error::Rejected),
            ),
            (
                "remove of missing",
                Patch::Json(vec![json!({"op": "remove", "path": "/nothing"})]),
                Err(Error::Rejected),
            ),
        ];
        for (name, patch, expected) in cases {
            assert_eq!(apply(&object, &patch, false), expected, "{name}");
        }
        let custom = apply(&object, &Patch::Strategic(json!({})), true);
        assert!(matches!(custom, Err(Error::Malformed(_))));
        assert!(matches!(
            apply(
                &object,
                &Patch::Json(vec![json!({"op": "frob", "path": "/x"})]),
                false
            ),
            Err(Error::Malformed(_))
        ));
    }
    #[test]
    fn strategic_lists_of_workloads() {
        let container = json!({"name": "app", "image": "1", "env": [{"name": "A", "value": "1"}], "ports": [{"containerPort": 80}], "volumeMounts": [{"mountPath": "/a", "name": "v"}]});
        let object = json!({"spec": {"strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}},
            "template": {"spec": {"containers": [container, {"name": "sidecar", "image": "s"}]}}}});
        let patch = json!({"spec": {"strategy": {"$retainKeys": ["type"], "type": "Recreate"}, "template": {"spec": {
            "$setElementOrder/containers": [{"name": "sidecar"}, {"name": "app"}],
            "containers": [{"name": "app", "image": "2", "env": [{"name": "B", "value": "2"}], "ports": [{"containerPort": 80, "name": "http"}], "volumeMounts": [{"mountPath": "/b", "name": "w"}]}]}}}});
        let new = apply(&object, &Patch::Strategic(patch), false).unwrap();
        assert_eq!(new["spec"]["strategy"], json!({"type": "Recreate"}));
        let containers = &new["spec"]["template"]["spec"]["containers"];
        assert_eq!(containers[0]["name"], "sidecar", "the others are kept");
        assert_eq!(containers[1]["image"], "2");
        assert_eq!(containers[1]["env"].as_array().unwrap().len(), 2);
        assert_eq!(
            containers[1]["ports"],
            json!([{"containerPort": 80, "name": "http"}])
        );
        assert_eq!(containers[1]["volumeMounts"].as_array().unwrap().len(), 2);
        let finalizers = json!({"metadata": {"finalizers": ["a", "b"]}});
        let patch = json!({"metadata": {"finalizers": ["c"], "$deleteFromPrimitiveList/finalizers": ["a"]}});
        let new = apply(&finalizers, &Patch::Strategic(patch), false).unwrap();
        assert_eq!(new["metadata"]["finalizers"], json!(["b", "c"]));
    }
}
