//! Objects of every kind, with the rules of the API server that hold for all of them.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use serde_json::{Map, Value, json};
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;
use time::{Duration, OffsetDateTime};
use tokio::sync::mpsc::UnboundedReceiver;

use super::defaults;
use super::kinds::{self, KINDS};
use super::managed_fields::{self, Author};
use super::patch::{self, Patch};
use super::selector::Selector;
use super::validation::{check_metadata, check_name, check_object, check_update};
use super::watch::{Log, Start, Wish};
use crate::ids::Ids;

pub(crate) use super::failure::Failure;
pub(crate) use super::kinds::Kind;

mod ending;

const TIMESTAMP: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]Z");
/// Lists kept for continuation; older ones are gone, as after a compaction.
const SNAPSHOTS: usize = 64;
/// Former annotations that are kept of a service account.
const FORMER_ANNOTATIONS: usize = 16;
/// Revision of an empty cluster.
const FIRST: u64 = 1000;

/// A time as Kubernetes writes it.
pub(crate) fn timestamp(time: OffsetDateTime) -> String {
    time.format(TIMESTAMP).unwrap_or_default()
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

/// Circumstances of a write.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Write<'a> {
    /// The field manager.
    pub(crate) manager: &'a str,
    pub(crate) now: OffsetDateTime,
    /// Everything but the storing is done.
    pub(crate) dry_run: bool,
    /// Empty, or `status`: then nothing but the status is written.
    pub(crate) subresource: &'a str,
}

impl<'a> Write<'a> {
    /// A write of the whole object.
    pub(crate) const fn by(manager: &'a str, now: OffsetDateTime) -> Self {
        Self {
            manager,
            now,
            dry_run: false,
            subresource: "",
        }
    }

    /// The same, of the status.
    pub(crate) const fn status(self) -> Self {
        Self {
            subresource: "status",
            ..self
        }
    }
}

/// What happened to an object, for those who watch the state of a cluster from inside.
#[derive(Clone, Debug)]
pub(crate) struct Transition {
    pub(crate) kind: &'static Kind,
    pub(crate) namespace: String,
    pub(crate) name: String,
    /// `created`, `changed` or `deleted`.
    pub(crate) what: &'static str,
    /// The object after it; before it, if it is gone.
    pub(crate) object: Value,
}

type Key = (&'static str, &'static str, String, String);

/// The objects by group, resource, namespace and name, and the revision they are at.
#[derive(Debug)]
pub(crate) struct Store {
    objects: BTreeMap<Key, Value>,
    revision: u64,
    ids: Ids,
    /// Lists under continuation by their number: the revision and all objects.
    snapshots: BTreeMap<u64, (u64, Vec<Value>)>,
    last_snapshot: u64,
    custom: Vec<&'static Kind>,
    log: Log,
    transitions: Vec<Transition>,
    /// Annotations that service accounts had, by namespace and name, with the times until which they had them; the newest is last.
    former_annotations: BTreeMap<(String, String), Vec<(OffsetDateTime, Value)>>,
    /// How long a pod takes to end.
    termination: Duration,
    /// Pods that are ending, and when they will have.
    ending: BTreeMap<Key, OffsetDateTime>,
}

impl Default for Store {
    fn default() -> Self {
        Self {
            objects: BTreeMap::new(),
            revision: FIRST,
            ids: Ids::random(),
            snapshots: BTreeMap::new(),
            last_snapshot: 0,
            custom: Vec::new(),
            log: Log::at(FIRST),
            transitions: Vec::new(),
            former_annotations: BTreeMap::new(),
            termination: Duration::ZERO,
            ending: BTreeMap::new(),
        }
    }
}

impl Store {
    pub(crate) fn all(&self) -> impl Iterator<Item = &Value> {
        self.objects.values()
    }

    /// Every kind that is served.
    pub(crate) fn kinds(&self) -> impl Iterator<Item = &'static Kind> {
        KINDS.iter().chain(self.custom.iter().copied())
    }

    /// The kind of this group and resource name.
    pub(crate) fn kind(&self, group: &str, plural: &str) -> Option<&'static Kind> {
        self.kinds()
            .find(|k| k.group == group && k.plural == plural)
    }

    /// Identifiers of this cluster.
    pub(crate) const fn ids(&mut self) -> &mut Ids {
        &mut self.ids
    }

    /// Counts the changes.
    pub(crate) const fn revision(&self) -> u64 {
        self.revision
    }

    /// Says who owns which fields of an object.
    pub(crate) fn own(
        &mut self,
        kind: &'static Kind,
        namespace: &str,
        name: &str,
        managers: Value,
    ) {
        if let Some(object) = self.objects.get_mut(&Self::key(kind, namespace, name)) {
            object["metadata"]["managedFields"] = managers;
        }
    }

    /// What has happened since this was asked last.
    pub(crate) fn take_transitions(&mut self) -> Vec<Transition> {
        std::mem::take(&mut self.transitions)
    }

    /// The annotations that a service account had at that time, as far back as is known; without a time, those that it has.
    pub(crate) fn annotations_at<'s>(
        &'s self,
        account: &'s Value,
        at: Option<OffsetDateTime>,
    ) -> &'s Value {
        let metadata = &account["metadata"];
        let text = |field: &str| metadata[field].as_str().unwrap_or_default().to_owned();
        let former = self
            .former_annotations
            .get(&(text("namespace"), text("name")));
        former
            .zip(at)
            .and_then(|(former, at)| former.iter().find(|(until, _)| *until > at))
            .map_or(&metadata["annotations"], |(_, annotations)| annotations)
    }

    /// Lets everybody know the annotations of service accounts as they are.
    pub(super) fn forget_annotations(&mut self) {
        self.former_annotations.clear();
    }

    /// Forgets history: old watches and continuations expire.
    pub(crate) fn compact(&mut self) {
        self.log.compact(self.revision);
        self.snapshots.clear();
    }

    /// Sends the bookmarks that are due to watches.
    pub(crate) fn bookmark(&mut self, now: OffsetDateTime) {
        self.log.bookmark(self.revision, now);
    }

    fn key(kind: &'static Kind, namespace: &str, name: &str) -> Key {
        let namespace = if kind.namespaced { namespace } else { "" };
        (kind.group, kind.plural, namespace.into(), name.into())
    }

    pub(crate) fn get(
        &self,
        kind: &'static Kind,
        namespace: &str,
        name: &str,
    ) -> Result<Value, Failure> {
        self.find(kind, namespace, name)
            .cloned()
            .ok_or_else(|| Failure::not_found(kind, name))
    }

    /// An object, if it exists.
    pub(crate) fn find(&self, kind: &'static Kind, namespace: &str, name: &str) -> Option<&Value> {
        self.objects.get(&Self::key(kind, namespace, name))
    }

    /// All objects of a kind, ordered by namespace and name.
    pub(crate) fn items(&self, kind: &'static Kind) -> impl Iterator<Item = &Value> {
        let from = (kind.group, kind.plural, String::new(), String::new());
        self.objects
            .range(from..)
            .take_while(move |((group, plural, ..), _)| {
                (*group, *plural) == (kind.group, kind.plural)
            })
            .map(|(_, object)| object)
    }

    /// Creates an object; in a dry run everything but the storing is done.
    pub(crate) fn create(
        &mut self,
        kind: &'static Kind,
        namespace: &str,
        object: Value,
        write: &Write<'_>,
    ) -> Result<Value, Failure> {
        self.insert(kind, namespace, object, write, true)
    }

    fn insert(
        &mut self,
        kind: &'static Kind,
        namespace: &str,
        mut object: Value,
        write: &Write<'_>,
        track: bool,
    ) -> Result<Value, Failure> {
        let metadata = metadata_of(kind, namespace, &mut object)?;
        if text(metadata, "name").is_empty() {
            let prefix = text(metadata, "generateName").to_owned();
            if !prefix.is_empty() {
                let name = format!("{prefix}{}", self.ids.name_suffix());
                metadata.insert("name".into(), name.into());
            }
        }
        let name = text(metadata, "name").to_owned();
        if kind.namespaced {
            self.get(&KINDS[0], "", namespace)?;
        }
        check_name(kind, &name)?;
        if !text(metadata, "resourceVersion").is_empty() {
            return Err(Failure::new(
                500,
                "InternalError",
                "resourceVersion should not be set on objects to be created",
            ));
        }
        metadata.insert("uid".into(), self.ids.uuid().into());
        metadata.insert("creationTimestamp".into(), timestamp(write.now).into());
        if kind.has_generation() {
            metadata.insert("generation".into(), 1.into());
        }
        check_metadata(kind, &name, metadata)?;
        object["apiVersion"] = kind.api_version().into();
        object["kind"] = kind.kind.into();
        if kind.plural == "namespaces" {
            object["metadata"]["labels"]["kubernetes.io/metadata.name"] = name.clone().into();
            object["spec"] = json!({"finalizers": ["kubernetes"]});
            object["status"] = json!({"phase": "Active"});
        }
        defaults::set(kind, &mut object);
        check_object(kind, &name, &object)?;
        let key = Self::key(kind, namespace, &name);
        if self.objects.contains_key(&key) {
            return Err(Failure::already_exists(kind, &name));
        }
        if track {
            let time = timestamp(write.now);
            managed_fields::track(None, &mut object, &author(kind, write, &time));
        }
        if write.dry_run {
            return Ok(object);
        }
        self.put(kind, key, None, &mut object, write.now);
        if kind.plural == "namespaces" {
            // What the service account controller does.
            let account = json!({"metadata": {"name": "default"}});
            let write = Write::by("kube-controller-manager", write.now);
            self.create(&KINDS[1], &name, account, &write)?;
        }
        Ok(object)
    }

    /// Stores an object under a new revision and tells everybody.
    fn put(
        &mut self,
        kind: &'static Kind,
        key: Key,
        old: Option<&Value>,
        object: &mut Value,
        now: OffsetDateTime,
    ) {
        self.revision += 1;
        object["metadata"]["resourceVersion"] = self.revision.to_string().into();
        if let Some(old) = old
            && kind.plural == "serviceaccounts"
            && old["metadata"]["annotations"] != object["metadata"]["annotations"]
        {
            let at = (key.2.clone(), key.3.clone());
            let former = self.former_annotations.entry(at).or_default();
            former.push((now, old["metadata"]["annotations"].clone()));
            if former.len() > FORMER_ANNOTATIONS {
                former.remove(0);
            }
        }
        self.transitions.push(Transition {
            kind,
            namespace: key.2.clone(),
            name: key.3.clone(),
            what: if old.is_some() { "changed" } else { "created" },
            object: object.clone(),
        });
        self.log.record(self.revision, kind, old, Some(object), now);
        self.objects.insert(key, object.clone());
        if kind.plural == "customresourcedefinitions" {
            self.define();
        }
    }

    fn define(&mut self) {
        let definitions = kinds::built_in("customresourcedefinitions");
        self.custom = self.items(definitions).filter_map(kinds::custom).collect();
    }

    /// Replaces an object as a PUT does: what the body leaves out is gone.
    pub(crate) fn replace(
        &mut self,
        kind: &'static Kind,
        namespace: &str,
        name: &str,
        object: Value,
        write: &Write<'_>,
    ) -> Result<Value, Failure> {
        self.change(kind, namespace, name, object, write, true)
    }

    fn change(
        &mut self,
        kind: &'static Kind,
        namespace: &str,
        name: &str,
        mut object: Value,
        write: &Write<'_>,
        track: bool,
    ) -> Result<Value, Failure> {
        let old = self.get(kind, namespace, name)?;
        let metadata = metadata_of(kind, namespace, &mut object)?;
        if text(metadata, "name") != name {
            let message = format!(
                "the name of the object ({}) does not match the name on the URL ({name})",
                text(metadata, "name")
            );
            return Err(Failure::bad_request(message));
        }
        let stale = |field: &str| {
            let given = text(metadata, field);
            !given.is_empty() && old["metadata"][field] != given
        };
        if stale("resourceVersion") || stale("uid") {
            return Err(Failure::conflict(kind, name));
        }
        check_metadata(kind, name, metadata)?;
        for field in [
            "uid",
            "creationTimestamp",
            "resourceVersion",
            "deletionTimestamp",
            "deletionGracePeriodSeconds",
            "generation",
        ] {
            match &old["metadata"][field] {
                Value::Null => metadata.shift_remove(field),
                value => metadata.insert(field.into(), value.clone()),
            };
        }
        if write.subresource == "status" {
            let mut whole = old.clone();
            whole["status"] = object["status"].take();
            whole["metadata"]["managedFields"] = object["metadata"]["managedFields"].take();
            object = whole;
        } else if kind.status {
            set_or_remove(&mut object, "status", old["status"].clone());
        }
        if object["metadata"]["managedFields"].is_null() {
            set_or_remove(
                &mut object["metadata"],
                "managedFields",
                old["metadata"]["managedFields"].clone(),
            );
        }
        object["apiVersion"] = kind.api_version().into();
        object["kind"] = kind.kind.into();
        defaults::set(kind, &mut object);
        check_object(kind, name, &object)?;
        if write.subresource.is_empty() {
            check_update(kind, name, &old, &object)?;
        }
        if same_but_for_owners(&old, &object, track) {
            return Ok(old);
        }
        if kind.has_generation() && without_metadata(&old) != without_metadata(&object) {
            let generation = old["metadata"]["generation"].as_u64().unwrap_or(1) + 1;
            object["metadata"]["generation"] = generation.into();
        }
        if track {
            let time = timestamp(write.now);
            managed_fields::track(Some(&old), &mut object, &author(kind, write, &time));
        }
        if write.dry_run {
            return Ok(object);
        }
        let key = Self::key(kind, namespace, name);
        self.put(kind, key, Some(&old), &mut object, write.now);
        Ok(object)
    }

    /// Applies a patch to an object. A `resourceVersion` in the result that is not the present one is a conflict.
    pub(crate) fn patch(
        &mut self,
        kind: &'static Kind,
        namespace: &str,
        name: &str,
        patch: &Patch,
        write: &Write<'_>,
    ) -> Result<Value, Failure> {
        let old = self.get(kind, namespace, name)?;
        let new = patch::apply(&old, patch, kind.is_custom()).map_err(|error| match error {
            patch::Error::Malformed(message) => Failure::bad_request(message),
            patch::Error::Rejected => Failure::of(
                422,
                "Invalid",
                kind,
                name,
                "the server rejected our request due to an error in our request".into(),
            ),
        })?;
        self.replace(kind, namespace, name, new, write)
    }

    /// Server-side apply; the second part of the answer is whether the object was created.
    pub(crate) fn apply(
        &mut self,
        kind: &'static Kind,
        namespace: &str,
        name: &str,
        mut config: Value,
        force: bool,
        write: &Write<'_>,
    ) -> Result<(Value, bool), Failure> {
        if config["metadata"]["managedFields"]
            .as_array()
            .is_some_and(|list| !list.is_empty())
        {
            return Err(Failure::bad_request("metadata.managedFields must be nil"));
        }
        let metadata = metadata_of(kind, namespace, &mut config)?;
        metadata
            .entry("name")
            .or_insert_with(|| name.to_owned().into());
        if text(metadata, "name") != name {
            let message = format!(
                "the name of the object ({}) does not match the name on the URL ({name})",
                text(metadata, "name")
            );
            return Err(Failure::bad_request(message));
        }
        let live = self.find(kind, namespace, name).cloned();
        if live.is_none() && kind.namespaced {
            self.get(&KINDS[0], "", namespace)?;
        }
        let time = timestamp(write.now);
        let merged =
            managed_fields::apply(live.as_ref(), &config, &author(kind, write, &time), force)
                .map_err(|conflicts| Failure::field_conflict(&conflicts))?;
        match live {
            None => self
                .insert(kind, namespace, merged, write, false)
                .map(|object| (object, true)),
            Some(_) => self
                .change(kind, namespace, name, merged, write, false)
                .map(|object| (object, false)),
        }
    }

    /// Changes an object from inside, as a controller does; what does not exist is left alone.
    pub(crate) fn modify(
        &mut self,
        kind: &'static Kind,
        namespace: &str,
        name: &str,
        write: &Write<'_>,
        change: impl FnOnce(&mut Value),
    ) {
        if let Some(mut object) = self.find(kind, namespace, name).cloned() {
            change(&mut object);
            // A controller writes what it has read, so the only refusals are those of seeded nonsense, which then stays as it is.
            let _ = self.replace(kind, namespace, name, object, write);
        }
    }

    /// Deletes an object, for a namespace all that is in it, and what it owns. Answers the object where the API server does, else a
    /// `Status`.
    pub(crate) fn delete(
        &mut self,
        kind: &'static Kind,
        namespace: &str,
        name: &str,
        options: &Value,
        write: &Write<'_>,
    ) -> Result<Value, Failure> {
        let mut old = self.get(kind, namespace, name)?;
        for (field, label) in [("uid", "UID"), ("resourceVersion", "ResourceVersion")] {
            if let Some(wanted) = options["preconditions"][field].as_str()
                && old["metadata"][field] != wanted
            {
                let found = old["metadata"][field].as_str().unwrap_or_default();
                let message = format!(
                    "Operation cannot be fulfilled on {} \"{name}\": Precondition failed: {label} in precondition: {wanted}, {label} in object meta: {found}",
                    kind.qualified()
                );
                return Err(Failure::of(409, "Conflict", kind, name, message));
            }
        }
        let uid = old["metadata"]["uid"].clone();
        if !write.dry_run {
            if options["gracePeriodSeconds"] == 0 {
                self.vanish(kind, Self::key(kind, namespace, name), write.now);
            } else {
                self.remove(kind, namespace, name, write.now);
            }
            if let Some(ending) = self.find(kind, namespace, name) {
                old = ending.clone();
            }
            if options["propagationPolicy"] != "Orphan" {
                self.collect_garbage(&uid, write.now);
            } else {
                self.orphan(&uid, write);
            }
            if kind.plural == "namespaces" {
                let inside: Vec<Key> = self
                    .objects
                    .keys()
                    .filter(|(_, _, ns, _)| ns == name)
                    .cloned()
                    .collect();
                for (group, plural, ns, name) in inside {
                    if let Some(kind) = self.kind(group, plural) {
                        self.remove(kind, &ns, &name, write.now);
                    }
                }
            }
        }
        Ok(match kind.plural {
            "namespaces" => {
                old["status"]["phase"] = "Terminating".into();
                old
            }
            "serviceaccounts" | "pods" | "services" => old,
            _ => {
                let mut details = json!({"name": name, "kind": kind.plural, "uid": uid});
                if !kind.group.is_empty() {
                    details["group"] = kind.group.into();
                }
                json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details})
            }
        })
    }

    fn vanish(&mut self, kind: &'static Kind, key: Key, now: OffsetDateTime) {
        self.ending.remove(&key);
        self.former_annotations
            .retain(|at, _| kind.plural != "serviceaccounts" || (&at.0, &at.1) != (&key.2, &key.3));
        let Some(old) = self.objects.remove(&key) else {
            return;
        };
        self.revision += 1;
        self.log.record(self.revision, kind, Some(&old), None, now);
        self.transitions.push(Transition {
            kind,
            namespace: key.2,
            name: key.3,
            what: "deleted",
            object: old,
        });
        if kind.plural == "customresourcedefinitions" {
            self.define();
        }
    }

    fn owned_by(&self, uid: &Value) -> Vec<Key> {
        self.objects
            .iter()
            .filter(|(_, object)| {
                let owners = object["metadata"]["ownerReferences"].as_array();
                owners.into_iter().flatten().any(|o| o["uid"] == *uid)
            })
            .map(|(key, _)| key.clone())
            .collect()
    }

    /// What the garbage collector does: the owned go with their owner.
    fn collect_garbage(&mut self, uid: &Value, now: OffsetDateTime) {
        for key in self.owned_by(uid) {
            let Some(kind) = self.kind(key.0, key.1) else {
                continue;
            };
            let owned = self.objects.get(&key).map(|o| o["metadata"]["uid"].clone());
            self.remove(kind, &key.2, &key.3, now);
            if let Some(owned) = owned {
                self.collect_garbage(&owned, now);
            }
        }
    }

    fn orphan(&mut self, uid: &Value, write: &Write<'_>) {
        for key in self.owned_by(uid) {
            if let Some(kind) = self.kind(key.0, key.1) {
                self.modify(kind, &key.2, &key.3, write, |object| {
                    if let Some(owners) = object["metadata"]["ownerReferences"].as_array_mut() {
                        owners.retain(|o| o["uid"] != *uid);
                    }
                });
            }
        }
    }

    /// Starts a watch.
    pub(super) fn watch(
        &mut self,
        wish: Wish,
        start: Start,
        now: OffsetDateTime,
    ) -> UnboundedReceiver<Bytes> {
        let Self {
            objects,
            log,
            revision,
            ..
        } = self;
        let (group, plural) = (wish.kind.group, wish.kind.plural);
        let of_kind = objects
            .iter()
            .filter(move |((g, p, ..), _)| (*g, *p) == (group, plural))
            .map(|(_, object)| object);
        log.watch(wish, start, *revision, of_kind, now)
    }

    /// A page of a list. All pages of one list show the objects as they were at the first.
    pub(crate) fn list(
        &mut self,
        kind: &'static Kind,
        selection: &Selection,
    ) -> Result<Value, Failure> {
        let (number, revision, offset, items) = if selection.continuation.is_empty() {
            let selector =
                Selector::read(kind, &selection.label_selector, &selection.field_selector)?;
            let items: Vec<Value> = self
                .items(kind)
                .filter(|object| {
                    selection.namespace.is_empty()
                        || object["metadata"]["namespace"] == *selection.namespace
                })
                .filter(|object| selector.selects(object))
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
        let mut page = items.get(offset..end).unwrap_or_default().to_vec();
        if !kind.is_custom() {
            // Items of built-in kinds do not say what they are: the list does.
            for object in page.iter_mut().filter_map(Value::as_object_mut) {
                object.shift_remove("kind");
                object.shift_remove("apiVersion");
            }
        }
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

fn text<'m>(metadata: &'m Map<String, Value>, field: &str) -> &'m str {
    metadata
        .get(field)
        .and_then(Value::as_str)
        .unwrap_or_default()
}

fn author<'a>(kind: &'a Kind, write: &Write<'a>, time: &'a str) -> Author<'a> {
    Author {
        manager: write.manager,
        kind,
        subresource: write.subresource,
        time,
    }
}

fn set_or_remove(object: &mut Value, field: &str, value: Value) {
    if let Some(map) = object.as_object_mut() {
        if value.is_null() {
            map.shift_remove(field);
        } else {
            map.insert(field.into(), value);
        }
    }
}

/// Whether nothing has changed. Owners count only where they are the point, as in server-side apply.
fn same_but_for_owners(old: &Value, new: &Value, ignore_owners: bool) -> bool {
    let bare = |object: &Value| {
        let mut object = object.clone();
        if let Some(metadata) = object["metadata"].as_object_mut() {
            if ignore_owners {
                metadata.shift_remove("managedFields");
            }
            metadata.shift_remove("resourceVersion");
        }
        object
    };
    bare(old) == bare(new)
}

/// What the generation counts changes of: all but metadata and status.
fn without_metadata(object: &Value) -> Value {
    let mut object = object.clone();
    if let Some(map) = object.as_object_mut() {
        map.shift_remove("metadata");
        map.shift_remove("status");
    }
    object
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
        metadata.shift_remove("namespace");
    }
    // Empty maps are not stored.
    for field in ["annotations", "labels"] {
        if metadata
            .get(field)
            .is_some_and(|v| v.is_null() || v.as_object().is_some_and(Map::is_empty))
        {
            metadata.shift_remove(field);
        }
    }
    Ok(metadata)
}

#[cfg(test)]
mod tests;
