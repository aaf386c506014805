//! Who owns which field: `metadata.managedFields` and server-side apply.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::kinds::Kind;
use super::lists::{ListType, is_atomic_map, key_value, list_type, same_item};

/// Steps to a field in the form of FieldsV1: `f:name`, `k:{"name":"x"}` or `v:"x"`.
type Path = Vec<String>;
/// Owned fields.
pub(super) type Fields = BTreeSet<Path>;

/// Who writes, when, and what it may own.
#[derive(Clone, Copy, Debug)]
pub(super) struct Author<'a> {
    pub(super) manager: &'a str,
    pub(super) kind: &'a Kind,
    /// Empty for the object itself.
    pub(super) subresource: &'a str,
    /// RFC 3339, whole seconds.
    pub(super) time: &'a str,
}

/// One entry of `metadata.managedFields`.
#[derive(Clone, Debug, PartialEq)]
struct Entry {
    manager: String,
    operation: String,
    api_version: String,
    subresource: String,
    time: String,
    fields: Fields,
}

/// A field that somebody else owns with another value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Conflict {
    /// The other manager as messages name it.
    pub(crate) manager: String,
    /// Such as `.metadata.annotations.k`.
    pub(crate) field: String,
}

const UNOWNED_METADATA: [&str; 10] = [
    "name",
    "generateName",
    "namespace",
    "uid",
    "resourceVersion",
    "creationTimestamp",
    "generation",
    "managedFields",
    "deletionTimestamp",
    "selfLink",
];

/// The fields of an object that can be owned; of the status only if `status`, of the rest only if not.
fn owned_fields(object: &Value, status: bool, custom: bool) -> Fields {
    let mut fields = Fields::new();
    for (name, value) in object.as_object().into_iter().flatten() {
        match name.as_str() {
            "apiVersion" | "kind" => {}
            "metadata" if !status => {
                for (name, value) in value.as_object().into_iter().flatten() {
                    if !UNOWNED_METADATA.contains(&name.as_str()) {
                        let path = vec!["f:metadata".into(), format!("f:{name}")];
                        collect(value, name, path, custom, &mut fields);
                    }
                }
            }
            "metadata" => {}
            _ if (name == "status") != status => {}
            name => collect(value, name, vec![format!("f:{name}")], custom, &mut fields),
        }
    }
    fields
}

fn item_step(item: &Value, keys: &[&str]) -> String {
    let map: Map<String, Value> = keys
        .iter()
        .map(|key| ((*key).to_owned(), key_value(item, key)))
        .collect();
    format!("k:{}", Value::Object(map))
}

fn collect(value: &Value, field: &str, path: Path, custom: bool, out: &mut Fields) {
    let with = |step: String| {
        let mut longer = path.clone();
        longer.push(step);
        longer
    };
    match value {
        Value::Object(map) if !map.is_empty() && !is_atomic_map(field, custom) => {
            for (name, value) in map {
                collect(value, name, with(format!("f:{name}")), custom, out);
            }
        }
        Value::Array(items) => match list_type(field, custom) {
            ListType::Map(keys) if !items.is_empty() => {
                for item in items {
                    let path = with(item_step(item, keys));
                    out.insert(path.clone());
                    collect(item, "", path, custom, out);
                }
            }
            ListType::Set if !items.is_empty() => {
                out.extend(items.iter().map(|item| with(format!("v:{item}"))));
            }
            _ => {
                out.insert(path);
            }
        },
        _ => {
            out.insert(path);
        }
    }
}

/// The value a path leads to. Items of lists that merge are reached by their key.
fn resolve<'v>(mut value: &'v Value, path: &[String]) -> Option<&'v Value> {
    for step in path {
        value = match step.split_at(2) {
            ("f:", name) => value.get(name)?,
            ("k:", keys) => {
                let wanted: Map<String, Value> = serde_json::from_str(keys).ok()?;
                value
                    .as_array()?
                    .iter()
                    .find(|item| wanted.iter().all(|(k, v)| key_value(item, k) == *v))?
            }
            (_, text) => {
                let wanted: Value = serde_json::from_str(text).ok()?;
                value.as_array()?.iter().find(|item| **item == wanted)?
            }
        };
    }
    Some(value)
}

/// Takes the field out, and maps and lists that become empty by it.
fn remove(value: &mut Value, path: &[String]) {
    let Some((step, rest)) = path.split_first() else {
        return;
    };
    match (step.split_at(2), value) {
        (("f:", name), Value::Object(map)) => {
            if rest.is_empty() {
                map.shift_remove(name);
            } else if let Some(child) = map.get_mut(name) {
                remove(child, rest);
                let empty = child.as_object().is_some_and(Map::is_empty)
                    || child.as_array().is_some_and(Vec::is_empty);
                if empty && name != "metadata" && name != "spec" {
                    map.shift_remove(name);
                }
            }
        }
        (("k:", keys), Value::Array(items)) => {
            let wanted: Map<String, Value> = serde_json::from_str(keys).unwrap_or_default();
            let matches = |item: &Value| wanted.iter().all(|(k, v)| key_value(item, k) == *v);
            if rest.is_empty() {
                items.retain(|item| !matches(item));
            } else if let Some(item) = items.iter_mut().find(|item| matches(item)) {
                remove(item, rest);
            }
        }
        ((_, text), Value::Array(items)) => {
            let wanted: Value = serde_json::from_str(text).unwrap_or_default();
            items.retain(|item| *item != wanted);
        }
        _ => {}
    }
}

/// `.spec.containers[name="x"].image`, as messages name fields.
fn shown(path: &[String]) -> String {
    path.iter()
        .map(|step| match step.split_at(2) {
            ("f:", name)
                if name
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || "-_/.".contains(c)) =>
            {
                format!(".{name}")
            }
            ("f:", name) => format!("[{name:?}]"),
            ("k:", keys) => {
                let keys: Map<String, Value> = serde_json::from_str(keys).unwrap_or_default();
                let list: Vec<String> = keys.iter().map(|(k, v)| format!("{k}={v}")).collect();
                format!("[{}]", list.join(","))
            }
            (_, value) => format!("[={value}]"),
        })
        .collect()
}

fn to_fields_v1(fields: &Fields) -> Value {
    let mut root = json!({});
    for path in fields {
        let mut node = &mut root;
        for step in path {
            node = &mut node[step.as_str()];
            if node.is_null() {
                *node = json!({});
            }
        }
        if path.last().is_some_and(|step| step.starts_with("k:")) {
            node["."] = json!({});
        }
    }
    root
}

fn from_fields_v1(value: &Value) -> Fields {
    fn walk(value: &Value, path: &Path, out: &mut Fields) {
        let map = value.as_object();
        if map.is_none_or(Map::is_empty) {
            out.insert(path.clone());
            return;
        }
        for (step, child) in map.into_iter().flatten() {
            if step == "." {
                out.insert(path.clone());
                continue;
            }
            let mut longer = path.clone();
            longer.push(step.clone());
            walk(child, &longer, out);
        }
    }
    let mut out = Fields::new();
    if value.as_object().is_some_and(|map| !map.is_empty()) {
        walk(value, &Vec::new(), &mut out);
    }
    out
}

fn entries(object: &Value) -> Vec<Entry> {
    let text = |entry: &Value, name: &str| entry[name].as_str().unwrap_or_default().to_owned();
    object["metadata"]["managedFields"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|entry| entry["manager"].is_string())
        .map(|entry| Entry {
            manager: text(entry, "manager"),
            operation: text(entry, "operation"),
            api_version: text(entry, "apiVersion"),
            subresource: text(entry, "subresource"),
            time: text(entry, "time"),
            fields: from_fields_v1(&entry["fieldsV1"]),
        })
        .collect()
}

fn store(object: &mut Value, entries: &[Entry]) {
    let list: Vec<Value> = entries
        .iter()
        .filter(|entry| !entry.fields.is_empty())
        .map(|entry| {
            let mut value = json!({
                "manager": entry.manager,
                "operation": entry.operation,
                "apiVersion": entry.api_version,
                "time": entry.time,
                "fieldsType": "FieldsV1",
                "fieldsV1": to_fields_v1(&entry.fields),
            });
            if !entry.subresource.is_empty() {
                value["subresource"] = entry.subresource.clone().into();
            }
            value
        })
        .collect();
    let Some(metadata) = object["metadata"].as_object_mut() else {
        return;
    };
    if list.is_empty() {
        metadata.shift_remove("managedFields");
    } else {
        metadata.insert("managedFields".into(), list.into());
    }
}

/// Notes what a create, update or patch has changed: the author owns it now, others no longer do.
pub(super) fn track(old: Option<&Value>, new: &mut Value, author: &Author<'_>) {
    let given = &new["metadata"]["managedFields"];
    // Writing an empty list is the documented way to forget all owners.
    let cleared = given
        .as_array()
        .is_some_and(|list| list.is_empty() || list.iter().all(|e| e["manager"].is_null()));
    let mut entries = match old {
        Some(_) if cleared => Vec::new(),
        Some(old) => entries(old),
        None => Vec::new(),
    };
    let status = author.subresource == "status";
    let before = old.map_or_else(Fields::new, |old| {
        owned_fields(old, status, author.kind.is_custom())
    });
    let after = owned_fields(new, status, author.kind.is_custom());
    let changed: Fields = after
        .iter()
        .filter(|path| {
            !before.contains(*path)
                || old.and_then(|old| resolve(old, path)) != resolve(new, path)
                    && path.last().is_some_and(|step| !step.starts_with("k:"))
        })
        .cloned()
        .collect();
    for entry in &mut entries {
        entry.fields.retain(|path| {
            !changed.contains(path) && (!before.contains(path) || after.contains(path))
        });
    }
    if !changed.is_empty() {
        let mine = |e: &&mut Entry| {
            e.manager == author.manager
                && e.operation == "Update"
                && e.subresource == author.subresource
                && e.api_version == author.kind.api_version()
        };
        match entries.iter_mut().find(mine) {
            Some(entry) => {
                entry.fields.extend(changed);
                entry.time = author.time.into();
            }
            None => entries.push(Entry {
                manager: author.manager.into(),
                operation: "Update".into(),
                api_version: author.kind.api_version(),
                subresource: author.subresource.into(),
                time: author.time.into(),
                fields: changed,
            }),
        }
    }
    store(new, &entries);
}

/// Server-side apply: `config` is all that the author wants to own. The result is the merged object with its owners.
pub(super) fn apply(
    live: Option<&Value>,
    config: &Value,
    author: &Author<'_>,
    force: bool,
) -> Result<Value, Vec<Conflict>> {
    let status = author.subresource == "status";
    let wanted = owned_fields(config, status, author.kind.is_custom());
    let empty = json!({});
    let live = live.unwrap_or(&empty);
    let mut entries = entries(live);
    let is_mine = |e: &Entry| {
        e.manager == author.manager && e.operation == "Apply" && e.subresource == author.subresource
    };
    let differs = |path: &Path| {
        path.last().is_some_and(|step| step.starts_with("f:"))
            && resolve(live, path) != resolve(config, path)
    };
    let mut conflicts = Vec::new();
    for entry in entries.iter_mut().filter(|e| !is_mine(e)) {
        let taken: Vec<Path> = entry
            .fields
            .iter()
            .filter(|path| wanted.contains(*path) && differs(path))
            .cloned()
            .collect();
        if force {
            for path in &taken {
                entry.fields.remove(path);
            }
        } else {
            conflicts.extend(taken.iter().map(|path| Conflict {
                manager: name_of(entry),
                field: shown(path),
            }));
        }
    }
    if !conflicts.is_empty() {
        return Err(conflicts);
    }
    let mut merged = live.clone();
    merge(&mut merged, config, "", author.kind.is_custom());
    let before = entries
        .iter()
        .find(|e| is_mine(e))
        .map_or_else(Fields::new, |e| e.fields.clone());
    for path in before.difference(&wanted) {
        let shared = entries
            .iter()
            .any(|e| !is_mine(e) && e.fields.iter().any(|other| other.starts_with(path)));
        if !shared {
            remove(&mut merged, path);
        }
    }
    let mine = Entry {
        manager: author.manager.into(),
        operation: "Apply".into(),
        api_version: author.kind.api_version(),
        subresource: author.subresource.into(),
        time: author.time.into(),
        fields: wanted,
    };
    match entries.iter_mut().find(|e| is_mine(e)) {
        Some(entry) if entry.fields == mine.fields => {}
        Some(entry) => *entry = mine,
        None => entries.push(mine),
    }
    store(&mut merged, &entries);
    Ok(merged)
}

fn name_of(entry: &Entry) -> String {
    let mut name = format!("{:?}", entry.manager);
    if !entry.subresource.is_empty() {
        name.push_str(&format!(" with subresource {:?}", entry.subresource));
    }
    if entry.operation == "Update" {
        name.push_str(&format!(" using {} at {}", entry.api_version, entry.time));
    }
    name
}

fn merge(target: &mut Value, config: &Value, field: &str, custom: bool) {
    match config {
        Value::Object(fields) if !is_atomic_map(field, custom) => {
            if !target.is_object() {
                *target = json!({});
            }
            for (name, value) in fields {
                merge(&mut target[name.as_str()], value, name, custom);
            }
        }
        Value::Array(items) => match list_type(field, custom) {
            ListType::Map(keys) => {
                if !target.is_array() {
                    *target = json!([]);
                }
                let Some(list) = target.as_array_mut() else {
                    return;
                };
                for item in items {
                    match list.iter_mut().find(|e| same_item(e, item, keys)) {
                        Some(existing) => merge(existing, item, "", custom),
                        None => list.push(item.clone()),
                    }
                }
            }
            ListType::Set => {
                if !target.is_array() {
                    *target = json!([]);
                }
                if let Some(list) = target.as_array_mut() {
                    for item in items {
                        if !list.contains(item) {
                            list.push(item.clone());
                        }
                    }
                }
            }
            ListType::Atomic => *target = config.clone(),
        },
        value => *target = value.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn author(manager: &str) -> Author<'_> {
        Author {
            manager,
            kind: super::super::kinds::built_in("serviceaccounts"),
            subresource: "",
            time: "2026-01-01T00:00:00Z",
        }
    }

    fn annotated(pairs: &[(&str, &str)]) -> Value {
        let map: Map<String, Value> = pairs
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).into()))
            .collect();
        json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "a", "annotations": map}})
    }

    #[test]
    fn fields_v1_round_trips() {
        let object = json!({"metadata": {"name": "x", "annotations": {"a/b": "1"}, "finalizers": ["f"]},
            "spec": {"replicas": 1, "selector": {"matchLabels": {"a": "b"}}, "template": {"spec": {"containers": [{"name": "c", "image": "i", "args": ["x"], "ports": [{"containerPort": 80}]}]}}}});
        let fields = owned_fields(&object, false, false);
        let v1 = to_fields_v1(&fields);
        assert_eq!(from_fields_v1(&v1), fields);
        let container = &v1["f:spec"]["f:template"]["f:spec"]["f:containers"]["k:{\"name\":\"c\"}"];
        assert_eq!(container["."], json!({}));
        assert!(
            container["f:ports"]
                .get("k:{\"containerPort\":80,\"protocol\":\"TCP\"}")
                .is_some()
        );
        assert_eq!(v1["f:spec"]["f:selector"], json!({}), "an atomic map");
        assert_eq!(v1["f:metadata"].get("f:name"), None);
        assert!(
            fields.iter().all(|path| resolve(&object, path).is_some()
                || path.iter().any(|s| s.contains("protocol")))
        );
    }

    #[test]
    fn conflicts_force_and_leaving_out() {
        let mut live = annotated(&[("k", "1"), ("other", "x")]);
        track(None, &mut live, &author("kubectl-annotate"));
        let config = annotated(&[("k", "2")]);
        let conflicts = apply(Some(&live), &config, &author("me"), false).unwrap_err();
        assert_eq!(conflicts.len(), 1);
        assert_eq!(conflicts[0].field, ".metadata.annotations.k");
        assert_eq!(
            conflicts[0].manager,
            "\"kubectl-annotate\" using v1 at 2026-01-01T00:00:00Z"
        );
        let forced = apply(Some(&live), &config, &author("me"), true).unwrap();
        assert_eq!(
            forced["metadata"]["annotations"],
            json!({"k": "2", "other": "x"})
        );
        let mut nothing = annotated(&[]);
        nothing["metadata"]
            .as_object_mut()
            .unwrap()
            .remove("annotations");
        let left = apply(Some(&forced), &nothing, &author("me"), false).unwrap();
        assert_eq!(left["metadata"]["annotations"], json!({"other": "x"}));
        let same = apply(Some(&live), &annotated(&[("k", "1")]), &author("me"), false).unwrap();
        let owners = same["metadata"]["managedFields"].as_array().unwrap().len();
        assert_eq!(owners, 2, "equal values are shared, not contested");
        let released = apply(Some(&same), &nothing, &author("me"), false).unwrap();
        assert_eq!(
            released["metadata"]["annotations"]["k"], "1",
            "what another still owns stays"
        );
    }

    #[test]
    fn an_update_takes_what_it_changes() {
        let mut first = annotated(&[("a", "1"), ("b", "1")]);
        track(None, &mut first, &author("one"));
        let mut second = first.clone();
        second["metadata"]["annotations"] = json!({"a": "2"});
        track(Some(&first), &mut second, &author("two"));
        let list = second["metadata"]["managedFields"].as_array().unwrap();
        assert_eq!(list.len(), 1, "one owned a and b; a was taken, b removed");
        assert_eq!(list[0]["manager"], "two");
        assert_eq!(
            list[0]["fieldsV1"],
            json!({"f:metadata": {"f:annotations": {"f:a": {}}}})
        );
    }

    #[test]
    fn containers_merge_by_name() {
        let mut live = json!({"spec": {"template": {"spec": {"containers": [{"name": "a", "image": "1"}, {"name": "sidecar", "image": "s"}]}}}});
        live["metadata"] = json!({"name": "x"});
        track(None, &mut live, &author("one"));
        let config = json!({"metadata": {"name": "x"}, "spec": {"template": {"spec": {"containers": [{"name": "a", "image": "2", "env": [{"name": "E", "value": "1"}]}]}}}});
        let merged = apply(Some(&live), &config, &author("me"), true).unwrap();
        assert_eq!(
            merged["spec"]["template"]["spec"]["containers"],
            json!([{"name": "a", "image": "2", "env": [{"name": "E", "value": "1"}]}, {"name": "sidecar", "image": "s"}])
        );
    }
}
