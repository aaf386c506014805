//! Objects of every kind, with the rules of the API server that hold for all of them.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value, json};
use time::OffsetDateTime;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;

use super::patch::{self, Patch};
use super::selector;
use super::validation::{check_metadata, check_name};
use crate::ids::Ids;

const TIMESTAMP: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]Z");
/// Lists kept for continuation; older ones are gone, as after a compaction.
const SNAPSHOTS: usize = 64;

/// A resource of the API.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Kind {
    pub(crate) group: &'static str,
    pub(crate) version: &'static str,
    pub(crate) kind: &'static str,
    pub(crate) plural: &'static str,
    pub(crate) singular: &'static str,
    pub(crate) short: &'static [&'static str],
    pub(crate) namespaced: bool,
}

/// Every resource that is served.
pub(crate) const KINDS: [Kind; 2] = [
    Kind {
        group: "",
        version: "v1",
        kind: "Namespace",
        plural: "namespaces",
        singular: "namespace",
        short: &["ns"],
        namespaced: false,
    },
    Kind {
        group: "",
        version: "v1",
        kind: "ServiceAccount",
        plural: "serviceaccounts",
        singular: "serviceaccount",
        short: &["sa"],
        namespaced: true,
    },
];

impl Kind {
    /// `v1`, or group and version.
    pub(crate) fn api_version(&self) -> String {
        if self.group.is_empty() {
            self.version.into()
        } else {
            format!("{}/{}", self.group, self.version)
        }
    }

    fn list_kind(&self) -> String {
        format!("{}List", self.kind)
    }
}

/// An error answer: the fields of a `Status`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Failure {
    pub(crate) code: u16,
    pub(crate) reason: &'static str,
    pub(crate) message: String,
    pub(crate) details: Value,
}

impl Failure {
    pub(crate) fn new(code: u16, reason: &'static str, message: impl Into<String>) -> Self {
        Self {
            code,
            reason,
            message: message.into(),
            details: json!({}),
        }
    }

    fn of(code: u16, reason: &'static str, kind: &Kind, name: &str, message: String) -> Self {
        let mut details = json!({"name": name, "kind": kind.plural});
        if !kind.group.is_empty() {
            details["group"] = kind.group.into();
        }
        Self {
            code,
            reason,
            message,
            details,
        }
    }

    fn not_found(kind: &Kind, name: &str) -> Self {
        Self::of(
            404,
            "NotFound",
            kind,
            name,
            format!("{} \"{name}\" not found", qualified(kind)),
        )
    }

    fn conflict(kind: &Kind, name: &str) -> Self {
        let why = "the object has been modified; please apply your changes to the latest version and try again";
        Self::of(
            409,
            "Conflict",
            kind,
            name,
            format!(
                "Operation cannot be fulfilled on {} \"{name}\": {why}",
                qualified(kind)
            ),
        )
    }

    pub(super) fn invalid(
        kind: &Kind,
        name: &str,
        field: &str,
        reason: &'static str,
        message: &str,
    ) -> Self {
        let mut failure = Self::of(
            422,
            "Invalid",
            kind,
            name,
            format!("{} \"{name}\" is invalid: {field}: {message}", kind.kind),
        );
        failure.details["kind"] = kind.kind.into();
        failure.details["causes"] = json!([{"reason": reason, "message": message, "field": field}]);
        failure
    }

    /// The body of the answer.
    pub(crate) fn status(&self) -> Value {
        json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": self.message, "reason": self.reason, "details": self.details, "code": self.code})
    }
}

fn qualified(kind: &Kind) -> String {
    if kind.group.is_empty() {
        kind.plural.into()
    } else {
        format!("{}.{}", kind.plural, kind.group)
    }
}

/// What a list request selects.
#[derive(Clone, Debug, Default)]
pub(crate) struct Selection {
    /// Empty for all namespaces.
    pub(crate) namespace: String,
    pub(crate) label_selector: String,
    pub(crate) field_selector: String,
    pub(crate) limit: usize,
    pub(crate) continuation: String,
}

type Key = (&'static str, String, String);

/// The objects by resource, namespace and name, and the revision they are at.
#[derive(Debug)]
pub(crate) struct Store {
    objects: BTreeMap<Key, Value>,
    revision: u64,
    ids: Ids,
    /// Lists under continuation by their number: the revision and all objects.
    snapshots: BTreeMap<u64, (u64, Vec<Value>)>,
    last_snapshot: u64,
}

impl Default for Store {
    fn default() -> Self {
        Self {
            objects: BTreeMap::new(),
            revision: 1000,
            ids: Ids::random(),
            snapshots: BTreeMap::new(),
            last_snapshot: 0,
        }
    }
}

impl Store {
    pub(crate) fn all(&self) -> impl Iterator<Item = &Value> {
        self.objects.values()
    }

    fn key(kind: &Kind, namespace: &str, name: &str) -> Key {
        // KINDS is the only source of kinds, so its static names are found again.
        let plural = KINDS.iter().find(|k| *k == kind).map_or("", |k| k.plural);
        (
            plural,
            if kind.namespaced {
                namespace.into()
            } else {
                String::new()
            },
            name.into(),
        )
    }

    pub(crate) fn get(&self, kind: &Kind, namespace: &str, name: &str) -> Result<Value, Failure> {
        self.objects
            .get(&Self::key(kind, namespace, name))
            .cloned()
            .ok_or_else(|| Failure::not_found(kind, name))
    }

    /// Creates an object; with `dry_run` everything but the storing is done.
    pub(crate) fn create(
        &mut self,
        kind: &Kind,
        namespace: &str,
        mut object: Value,
        now: OffsetDateTime,
        dry_run: bool,
    ) -> Result<Value, Failure> {
        let metadata = metadata_of(kind, namespace, &mut object)?;
        if metadata
            .get("name")
            .and_then(Value::as_str)
            .unwrap_or_default()
            .is_empty()
            && let Some(prefix) = metadata
                .get("generateName")
                .and_then(Value::as_str)
                .filter(|p| !p.is_empty())
        {
            let name = format!("{prefix}{}", self.ids.name_suffix());
            metadata.insert("name".into(), name.into());
        }
        let name = metadata
            .get("name")
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned();
        if kind.namespaced {
            self.get(&KINDS[0], "", namespace)?;
        }
        check_name(kind, &name)?;
        if metadata
            .get("resourceVersion")
            .and_then(Value::as_str)
            .is_some_and(|v| !v.is_empty())
        {
            return Err(Failure::new(
                500,
                "InternalError",
                "resourceVersion should not be set on objects to be created",
            ));
        }
        metadata.insert("uid".into(), self.ids.uuid().into());
        metadata.insert(
            "creationTimestamp".into(),
            now.format(TIMESTAMP).unwrap_or_default().into(),
        );
        check_metadata(kind, &name, metadata)?;
        object["apiVersion"] = kind.api_version().into();
        object["kind"] = kind.kind.into();
        if kind.plural == "namespaces" {
            object["metadata"]["labels"]["kubernetes.io/metadata.name"] = name.clone().into();
            object["spec"] = json!({"finalizers": ["kubernetes"]});
            object["status"] = json!({"phase": "Active"});
        }
        let key = Self::key(kind, namespace, &name);
        if self.objects.contains_key(&key) {
            return Err(Failure::of(
                409,
                "AlreadyExists",
                kind,
                &name,
                format!("{} \"{name}\" already exists", qualified(kind)),
            ));
        }
        if dry_run {
            return Ok(object);
        }
        self.revision += 1;
        object["metadata"]["resourceVersion"] = self.revision.to_string().into();
        self.objects.insert(key, object.clone());
        if kind.plural == "namespaces" {
            // What the service account controller does.
            self.create(
                &KINDS[1],
                &name,
                json!({"metadata": {"name": "default"}}),
                now,
                false,
            )?;
        }
        Ok(object)
    }

    /// Replaces an object as a PUT does: what the body leaves out is gone.
    pub(crate) fn replace(
        &mut self,
        kind: &Kind,
        namespace: &str,
        name: &str,
        mut object: Value,
        dry_run: bool,
    ) -> Result<Value, Failure> {
        let old = self.get(kind, namespace, name)?;
        let metadata = metadata_of(kind, namespace, &mut object)?;
        if metadata.get("name").and_then(Value::as_str) != Some(name) {
            let message = format!(
                "the name of the object ({}) does not match the name on the URL ({name})",
                metadata
                    .get("name")
                    .and_then(Value::as_str)
                    .unwrap_or_default()
            );
            return Err(Failure::new(400, "BadRequest", message));
        }
        let given = |field: &str| {
            metadata
                .get(field)
                .and_then(Value::as_str)
                .filter(|v| !v.is_empty())
                .map(str::to_owned)
        };
        if given("resourceVersion")
            .is_some_and(|v| old["metadata"]["resourceVersion"] != v.as_str())
            || given("uid").is_some_and(|v| old["metadata"]["uid"] != v.as_str())
        {
            return Err(Failure::conflict(kind, name));
        }
        check_metadata(kind, name, metadata)?;
        for field in [
            "uid",
            "creationTimestamp",
            "resourceVersion",
            "deletionTimestamp",
        ] {
            match &old["metadata"][field] {
                Value::Null => metadata.remove(field),
                value => metadata.insert(field.into(), value.clone()),
            };
        }
        object["apiVersion"] = kind.api_version().into();
        object["kind"] = kind.kind.into();
        if object == old || dry_run {
            return Ok(object);
        }
        self.revision += 1;
        object["metadata"]["resourceVersion"] = self.revision.to_string().into();
        self.objects
            .insert(Self::key(kind, namespace, name), object.clone());
        Ok(object)
    }

    /// Applies a patch to an object. A `resourceVersion` in the result that is not the present one is a conflict.
    pub(crate) fn patch(
        &mut self,
        kind: &Kind,
        namespace: &str,
        name: &str,
        patch: &Patch,
        dry_run: bool,
    ) -> Result<Value, Failure> {
        let old = self.get(kind, namespace, name)?;
        let new = patch::apply(&old, patch).map_err(|error| match error {
            patch::Error::Malformed(message) => Failure::new(400, "BadRequest", message),
            patch::Error::Rejected => Failure::of(
                422,
                "Invalid",
                kind,
                name,
                "the server rejected our request due to an error in our request".into(),
            ),
        })?;
        self.replace(kind, namespace, name, new, dry_run)
    }

    /// Deletes an object and, for a namespace, all that is in it. Answers the object, as the API server does for service accounts.
    pub(crate) fn delete(
        &mut self,
        kind: &Kind,
        namespace: &str,
        name: &str,
        options: &Value,
        dry_run: bool,
    ) -> Result<Value, Failure> {
        let mut old = self.get(kind, namespace, name)?;
        for field in ["uid", "resourceVersion"] {
            if let Some(wanted) = options["preconditions"][field].as_str()
                && old["metadata"][field] != wanted
            {
                let found = old["metadata"][field].as_str().unwrap_or_default();
                let label = if field == "uid" {
                    "UID"
                } else {
                    "ResourceVersion"
                };
                let message = format!(
                    "Operation cannot be fulfilled on {} \"{name}\": Precondition failed: {label} in precondition: {wanted}, {label} in object meta: {found}",
                    qualified(kind)
                );
                return Err(Failure::of(409, "Conflict", kind, name, message));
            }
        }
        if dry_run {
            return Ok(old);
        }
        self.revision += 1;
        self.objects.remove(&Self::key(kind, namespace, name));
        if kind.plural == "namespaces" {
            self.objects.retain(|(_, ns, _), _| ns != name);
            old["status"]["phase"] = "Terminating".into();
        }
        Ok(old)
    }

    /// A page of a list. All pages of one list show the objects as they were at the first.
    pub(crate) fn list(&mut self, kind: &Kind, selection: &Selection) -> Result<Value, Failure> {
        let (number, revision, offset, items) = if selection.continuation.is_empty() {
            let labels = selector::parse(&selection.label_selector)?;
            let fields = selector::parse(&selection.field_selector)?;
            let items: Vec<Value> = self
                .objects
                .iter()
                .filter(|((plural, ns, _), _)| {
                    *plural == kind.plural
                        && (selection.namespace.is_empty() || *ns == selection.namespace)
                })
                .map(|(_, object)| object)
                .filter(|object| {
                    labels.iter().all(|term| {
                        term.holds(
                            object["metadata"]["labels"]
                                .get(&term.key)
                                .and_then(Value::as_str),
                        )
                    })
                })
                .filter(|object| {
                    fields.iter().all(|term| {
                        term.holds(
                            term.key
                                .strip_prefix("metadata.")
                                .and_then(|field| object["metadata"][field].as_str()),
                        )
                    })
                })
                .cloned()
                .collect();
            (None, self.revision, 0, items)
        } else {
            let bad = || Failure::new(400, "BadRequest", "continue key is not valid");
            let text = URL_SAFE_NO_PAD
                .decode(&selection.continuation)
                .ok()
                .and_then(|b| String::from_utf8(b).ok())
                .ok_or_else(bad)?;
            let (number, offset) = text
                .split_once(' ')
                .and_then(|(n, o)| Some((n.parse().ok()?, o.parse().ok()?)))
                .ok_or_else(bad)?;
            if number == 0 || number > self.last_snapshot {
                return Err(bad());
            }
            let (revision, items) = self.snapshots.get(&number).cloned().ok_or_else(|| {
                Failure::new(410, "Expired", "The provided continue parameter is too old to display a consistent list result. You must start a new list without the continue parameter.")
            })?;
            (Some(number), revision, offset, items)
        };
        let mut metadata = json!({"resourceVersion": revision.to_string()});
        let end = if selection.limit == 0 {
            items.len()
        } else {
            (offset + selection.limit).min(items.len())
        };
        let page = items.get(offset..end).unwrap_or_default().to_vec();
        if end < items.len() {
            metadata["remainingItemCount"] = (items.len() - end).into();
            let number = number.unwrap_or_else(|| {
                self.last_snapshot += 1;
                self.snapshots.insert(self.last_snapshot, (revision, items));
                while self.snapshots.len() > SNAPSHOTS {
                    self.snapshots.pop_first();
                }
                self.last_snapshot
            });
            metadata["continue"] = URL_SAFE_NO_PAD.encode(format!("{number} {end}")).into();
        }
        Ok(
            json!({"kind": kind.list_kind(), "apiVersion": kind.api_version(), "metadata": metadata, "items": page}),
        )
    }
}

/// The metadata of a body, with the namespace of the URL in it.
fn metadata_of<'o>(
    kind: &Kind,
    namespace: &str,
    object: &'o mut Value,
) -> Result<&'o mut Map<String, Value>, Failure> {
    let bad = |what: &str| {
        Failure::new(
            400,
            "BadRequest",
            format!("the object provided is unrecognized: {what}"),
        )
    };
    if !object.is_object() {
        return Err(bad("it is not an object"));
    }
    for (field, wanted) in [
        ("kind", kind.kind.to_owned()),
        ("apiVersion", kind.api_version()),
    ] {
        match object.get(field) {
            None | Some(Value::Null) => {}
            Some(value) if value == wanted.as_str() => {}
            Some(value) => return Err(bad(&format!("{field} is {value}, expected {wanted}"))),
        }
    }
    if object["metadata"].is_null() {
        object["metadata"] = json!({});
    }
    let metadata = object["metadata"]
        .as_object_mut()
        .ok_or_else(|| bad("metadata is not an object"))?;
    if kind.namespaced {
        match metadata.get("namespace").and_then(Value::as_str) {
            None | Some("") => {}
            Some(given) if given == namespace => {}
            Some(given) => {
                let message = format!(
                    "the namespace of the provided object does not match the namespace sent on the request ({given} != {namespace})"
                );
                return Err(Failure::new(400, "BadRequest", message));
            }
        }
        metadata.insert("namespace".into(), namespace.into());
    } else {
        metadata.remove("namespace");
    }
    // Empty maps are not stored.
    for field in ["annotations", "labels"] {
        if metadata
            .get(field)
            .is_some_and(|v| v.is_null() || v.as_object().is_some_and(Map::is_empty))
        {
            metadata.remove(field);
        }
    }
    Ok(metadata)
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    const NOW: OffsetDateTime = datetime!(2026-01-01 00:00 UTC);
    const SA: &Kind = &KINDS[1];

    fn store() -> Store {
        let mut store = Store::default();
        store
            .create(
                &KINDS[0],
                "",
                json!({"metadata": {"name": "payments"}}),
                NOW,
                false,
            )
            .unwrap();
        store
    }

    fn add(store: &mut Store, name: &str) -> Value {
        store
            .create(
                SA,
                "payments",
                json!({"metadata": {"name": name, "labels": {"app": name}}}),
                NOW,
                false,
            )
            .unwrap()
    }

    #[test]
    fn creation_is_checked() {
        let mut store = store();
        add(&mut store, "api");
        let cases = [
            (
                "duplicate",
                "payments",
                json!({"metadata": {"name": "api"}}),
                409,
                "serviceaccounts \"api\" already exists",
            ),
            (
                "bad name",
                "payments",
                json!({"metadata": {"name": "Bad_Name"}}),
                422,
                "ServiceAccount \"Bad_Name\" is invalid: metadata.name: Invalid value",
            ),
            (
                "no name",
                "payments",
                json!({"metadata": {}}),
                422,
                "name or generateName is required",
            ),
            (
                "no namespace",
                "nowhere",
                json!({"metadata": {"name": "x"}}),
                404,
                "namespaces \"nowhere\" not found",
            ),
            (
                "other namespace",
                "payments",
                json!({"metadata": {"name": "x", "namespace": "default"}}),
                400,
                "does not match the namespace sent",
            ),
            (
                "other kind",
                "payments",
                json!({"kind": "Pod", "metadata": {"name": "x"}}),
                400,
                "expected ServiceAccount",
            ),
        ];
        for (name, namespace, object, code, message) in cases {
            let failure = store.create(SA, namespace, object, NOW, false).unwrap_err();
            assert_eq!(failure.code, code, "{name}");
            assert!(
                failure.message.contains(message),
                "{name}: {}",
                failure.message
            );
        }
        store
            .create(
                SA,
                "payments",
                json!({"metadata": {"name": "dry"}}),
                NOW,
                true,
            )
            .unwrap();
        assert_eq!(
            store.get(SA, "payments", "dry").unwrap_err().code,
            404,
            "a dry run stores nothing"
        );
        assert!(
            store.get(SA, "payments", "default").is_ok(),
            "every namespace has its default service account"
        );
    }

    #[test]
    fn stale_writes_conflict_and_no_ops_do_nothing() {
        let mut store = store();
        let first = add(&mut store, "api");
        let annotate = |value: Value, version: &Value| {
            Patch::Merge(
                json!({"metadata": {"annotations": {"k": value}, "resourceVersion": version}}),
            )
        };
        let version = &first["metadata"]["resourceVersion"];
        let second = store
            .patch(SA, "payments", "api", &annotate("v".into(), version), false)
            .unwrap();
        assert_ne!(&second["metadata"]["resourceVersion"], version);
        let failure = store
            .patch(
                SA,
                "payments",
                "api",
                &annotate(Value::Null, version),
                false,
            )
            .unwrap_err();
        assert_eq!(
            failure.message,
            "Operation cannot be fulfilled on serviceaccounts \"api\": the object has been modified; please apply your changes to the latest version and try again"
        );
        assert_eq!(
            store
                .replace(SA, "payments", "api", first.clone(), false)
                .unwrap_err()
                .code,
            409
        );
        let again = store
            .patch(
                SA,
                "payments",
                "api",
                &annotate("v".into(), &Value::Null),
                false,
            )
            .unwrap();
        assert_eq!(
            again, second,
            "a patch that changes nothing keeps the version"
        );
        let gone = store
            .patch(
                SA,
                "payments",
                "api",
                &annotate(Value::Null, &second["metadata"]["resourceVersion"]),
                false,
            )
            .unwrap();
        assert_eq!(gone["metadata"].get("annotations"), None);
        let guarded = Patch::Json(vec![
            json!({"op": "remove", "path": "/metadata/annotations/k"}),
        ]);
        assert_eq!(
            store
                .patch(SA, "payments", "api", &guarded, false)
                .unwrap_err()
                .code,
            422
        );
        assert_eq!(
            store
                .delete(
                    SA,
                    "payments",
                    "api",
                    &json!({"preconditions": {"uid": "other"}}),
                    false
                )
                .unwrap_err()
                .code,
            409
        );
        assert_eq!(
            store
                .delete(SA, "payments", "api", &json!({}), false)
                .unwrap()["kind"],
            "ServiceAccount"
        );
    }

    #[test]
    fn pages_show_one_moment() {
        let mut store = store();
        for n in 0..120 {
            add(&mut store, &format!("sa-{n:03}"));
        }
        let mut selection = Selection {
            namespace: "payments".into(),
            limit: 50,
            ..Selection::default()
        };
        let first = store.list(SA, &selection).unwrap();
        assert_eq!(
            (
                first["items"].as_array().unwrap().len(),
                &first["metadata"]["remainingItemCount"]
            ),
            (50, &json!(71))
        );
        store
            .delete(SA, "payments", "sa-119", &json!({}), false)
            .unwrap();
        let mut names = 50;
        let mut last = first.clone();
        while let Some(token) = last["metadata"]["continue"].as_str() {
            selection.continuation = token.into();
            last = store.list(SA, &selection).unwrap();
            names += last["items"].as_array().unwrap().len();
            assert_eq!(
                last["metadata"]["resourceVersion"],
                first["metadata"]["resourceVersion"]
            );
        }
        assert_eq!(names, 121, "an object deleted meanwhile is still shown");
        selection.continuation = "garbage".into();
        assert_eq!(store.list(SA, &selection).unwrap_err().code, 400);
    }

    #[test]
    fn selectors() {
        let mut store = store();
        for name in ["api", "web"] {
            add(&mut store, name);
        }
        let cases = [
            ("app=api", "", vec!["api"]),
            ("app!=api", "", vec!["default", "web"]),
            ("app in (api, web)", "", vec!["api", "web"]),
            ("!app", "", vec!["default"]),
            ("app,app notin (web)", "", vec!["api"]),
            ("", "metadata.name=web", vec!["web"]),
        ];
        for (labels, fields, expected) in cases {
            let selection = Selection {
                namespace: "payments".into(),
                label_selector: labels.into(),
                field_selector: fields.into(),
                ..Selection::default()
            };
            let list = store.list(SA, &selection).unwrap();
            let names: Vec<&str> = list["items"]
                .as_array()
                .unwrap()
                .iter()
                .map(|i| i["metadata"]["name"].as_str().unwrap())
                .collect();
            assert_eq!(names, expected, "{labels} {fields}");
        }
        assert!(
            store
                .list(
                    SA,
                    &Selection {
                        label_selector: "a b".into(),
                        ..Selection::default()
                    }
                )
                .is_err()
        );
    }
}
