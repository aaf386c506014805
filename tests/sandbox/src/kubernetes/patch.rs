//! The patch formats: JSON patch, merge patch and strategic merge patch.

use serde_json::{Map, Value};

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

/// Lists that strategic merge patch merges by a key, by the field that holds them; all others are replaced.
const MERGED_BY_NAME: [&str; 7] = [
    "secrets",
    "imagePullSecrets",
    "containers",
    "initContainers",
    "ephemeralContainers",
    "env",
    "volumes",
];

/// The object after the patch.
pub(crate) fn apply(object: &Value, patch: &Patch) -> Result<Value, Error> {
    let mut new = object.clone();
    match patch {
        Patch::Json(operations) => {
            for operation in operations {
                apply_operation(&mut new, operation)?;
            }
        }
        Patch::Merge(patch) => merge(&mut new, patch),
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
    for (name, value) in fields {
        if name.starts_with('$') {
            continue;
        }
        match value {
            Value::Null => {
                if let Some(object) = target.as_object_mut() {
                    object.shift_remove(name);
                }
            }
            Value::Array(items) if MERGED_BY_NAME.contains(&name.as_str()) => {
                merge_list(&mut target[name.as_str()], items)
            }
            value => strategic(&mut target[name.as_str()], value),
        }
    }
}

fn merge_list(target: &mut Value, items: &[Value]) {
    if !target.is_array() || items.iter().any(|item| item["$patch"] == "replace") {
        *target = Value::Array(Vec::new());
    }
    let Some(list) = target.as_array_mut() else {
        return;
    };
    for item in items {
        let position = list
            .iter()
            .position(|existing| existing["name"] == item["name"]);
        match (position, item["$patch"].as_str()) {
            (_, Some("replace")) => {}
            (Some(position), Some("delete")) => {
                list.remove(position);
            }
            (None, Some("delete")) => {}
            (Some(position), _) => strategic(&mut list[position], item),
            (None, _) => list.push(item.clone()),
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
            assert_eq!(apply(&object, &patch), expected, "{name}");
        }
        assert!(matches!(
            apply(
                &object,
                &Patch::Json(vec![json!({"op": "frob", "path": "/x"})])
            ),
            Err(Error::Malformed(_))
        ));
    }
}
