//! What a request does to objects: access, options, verbs and subresources.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde_json::{Value, json};
use tokio::sync::mpsc::UnboundedReceiver;

use super::access::{self, Attempt};
use super::front::{Resource, body};
use super::patch::Patch;
use super::selector::Selector;
use super::store::{Failure, Kind, Selection, Write};
use super::subresources;
use super::watch::{Start, Wish};
use crate::eks::cluster::Cluster;
use crate::server::{Request, now};

/// What a request has led to.
pub(super) enum Outcome {
    /// Status and body.
    Answer(u16, Value),
    /// Events until so many seconds have passed.
    Watch(UnboundedReceiver<Bytes>, Option<u64>),
}

/// The parameters of a request.
struct Options<'q> {
    query: &'q BTreeMap<String, String>,
}

impl Options<'_> {
    fn text(&self, name: &str) -> &str {
        self.query.get(name).map(String::as_str).unwrap_or_default()
    }

    fn flag(&self, name: &str) -> bool {
        ["true", "1"].contains(&self.text(name))
    }

    fn number(&self, name: &str) -> Result<Option<u64>, Failure> {
        match self.text(name) {
            "" => Ok(None),
            text => text
                .parse()
                .map(Some)
                .map_err(|_| Failure::bad_request(format!("invalid {name} {text}"))),
        }
    }

    fn dry_run(&self) -> Result<bool, Failure> {
        match self.text("dryRun") {
            "" => Ok(false),
            "All" => Ok(true),
            other => Err(Failure::bad_request(format!(
                "invalid dry run option: {other}"
            ))),
        }
    }
}

/// The manager that a request without one writes as: the name at the head of its user agent.
fn agent(request: &Request) -> &str {
    let agent = request.header("user-agent");
    let name = agent.split(['/', ' ']).next().unwrap_or_default();
    if name.is_empty() { "unknown" } else { name }
}

/// Carries out one request about objects.
pub(super) fn carry_out(
    cluster: &mut Cluster,
    user: &str,
    resource: &Resource,
    request: &Request,
    query: &BTreeMap<String, String>,
) -> Result<Outcome, Failure> {
    let Resource {
        kind,
        namespace,
        name,
        ..
    } = resource;
    let options = Options { query };
    let verb = resource
        .verb(&request.method, query)
        .ok_or_else(Failure::method_not_allowed)?;
    let path = resource.path();
    let attempt = Attempt {
        verb,
        group: kind.group,
        resource: &path,
        // A namespace is in itself, as rules of access see it.
        namespace: if kind.group.is_empty() && kind.plural == "namespaces" {
            name
        } else {
            namespace
        },
        name,
    };
    if !cluster.kubernetes.access.allows(user, &attempt) {
        let mut failure = Failure::new(403, "Forbidden", access::forbidden(user, &attempt));
        failure.details = json!({"name": name, "kind": kind.plural});
        if !kind.group.is_empty() {
            failure.details["group"] = kind.group.into();
        }
        return Err(failure);
    }
    let selective = ["list", "watch"].contains(&verb);
    if kind.namespaced && namespace.is_empty() && !selective {
        return Err(Failure::method_not_allowed());
    }
    let now = now();
    let given = options.text("fieldManager");
    let write = Write {
        manager: if given.is_empty() {
            agent(request)
        } else {
            given
        },
        now,
        dry_run: options.dry_run()?,
        subresource: if resource.subresource == "status" {
            "status"
        } else {
            ""
        },
    };
    let strict = options.text("fieldValidation") == "Strict";
    let (k, around) = cluster.kubernetes_and_surroundings();
    if ["get", "list"].contains(&verb) {
        k.count_read(kind);
    }
    let ok = |value| Ok(Outcome::Answer(200, value));
    match (verb, resource.subresource.as_str()) {
        ("create", "eviction") => {
            let eviction = body(request)?;
            let status = subresources::evict(k, namespace, name, &eviction, &write)?;
            Ok(Outcome::Answer(201, status))
        }
        ("create", "token") => {
            let token = body(request)?;
            let token = subresources::token(k, namespace, name, token, &around, now)?;
            Ok(Outcome::Answer(201, token))
        }
        ("get", "scale") => ok(subresources::scale(&k.store.get(kind, namespace, name)?)),
        ("update" | "patch", "scale") => {
            let scale = if verb == "update" {
                body(request)?
            } else {
                let old = subresources::scale(&k.store.get(kind, namespace, name)?);
                let patch = read_patch(request)?;
                super::patch::apply(&old, &patch, false)
                    .map_err(|_| Failure::bad_request("the patch does not apply to the scale"))?
            };
            ok(subresources::set_scale(
                k, kind, namespace, name, &scale, &write,
            )?)
        }
        ("get", _) => ok(k.store.get(kind, namespace, name)?),
        ("watch", _) => {
            let fields = options.text("fieldSelector");
            // A watch of one object is one of a collection with a single name.
            let fields = if name.is_empty() {
                fields.to_owned()
            } else {
                format!("metadata.name={name}")
            };
            let wish = Wish {
                kind,
                namespace: namespace.clone(),
                selector: Selector::read(kind, options.text("labelSelector"), &fields)?,
                bookmarks: options.flag("allowWatchBookmarks"),
                accept: request.header("accept").into(),
            };
            let start = match options.text("resourceVersion") {
                _ if options.flag("sendInitialEvents") => Start::Everything(true),
                "" | "0" => Start::Everything(false),
                text => Start::After(text.parse().map_err(|_| {
                    Failure::bad_request(format!("Invalid value: {text:?}: resourceVersion"))
                })?),
            };
            let seconds = options.number("timeoutSeconds")?;
            Ok(Outcome::Watch(k.store.watch(wish, start, now), seconds))
        }
        ("list", _) => {
            let limit = options.number("limit")?.unwrap_or(0);
            let selection = Selection {
                namespace: namespace.clone(),
                label_selector: options.text("labelSelector").into(),
                field_selector: options.text("fieldSelector").into(),
                limit: usize::try_from(limit).unwrap_or(usize::MAX),
                continuation: options.text("continue").into(),
            };
            ok(k.store.list(kind, &selection)?)
        }
        ("create", _) => {
            let object = known_fields(kind, body(request)?, strict)?;
            let created = k.create(kind, namespace, object, &around, &write)?;
            Ok(Outcome::Answer(201, created))
        }
        ("update", _) => {
            let object = known_fields(kind, body(request)?, strict)?;
            ok(k.store.replace(kind, namespace, name, object, &write)?)
        }
        ("patch", _) if media_type(request).starts_with("application/apply-patch") => {
            if given.is_empty() {
                let mut failure = Failure::new(
                    422,
                    "Invalid",
                    "PatchOptions.meta.k8s.io \"\" is invalid: fieldManager: Required value: is required for apply patch",
                );
                failure.details = json!({"group": "meta.k8s.io", "kind": "PatchOptions", "causes": [{"reason": "FieldValueRequired", "message": "Required value: is required for apply patch", "field": "fieldManager"}]});
                return Err(failure);
            }
            let config: Value = serde_yaml_ng::from_slice(&request.body)
                .map_err(|e| Failure::bad_request(format!("error decoding YAML: {e}")))?;
            if !config.is_object() {
                return Err(Failure::bad_request(
                    "error decoding YAML: it is not an object",
                ));
            }
            let mut config = known_fields(kind, config, strict)?;
            if kind.plural == "pods" && k.store.find(kind, namespace, name).is_none() {
                config["metadata"]["name"] = name.clone().into();
                config = k.admit(namespace, config, &around, &write)?;
            }
            let force = options.flag("force");
            let (object, created) = k
                .store
                .apply(kind, namespace, name, config, force, &write)?;
            Ok(Outcome::Answer(if created { 201 } else { 200 }, object))
        }
        ("patch", _) => {
            let patch = read_patch(request)?;
            if let Patch::Merge(fields) | Patch::Strategic(fields) = &patch {
                known_fields(kind, fields.clone(), strict)?;
            }
            ok(k.store.patch(kind, namespace, name, &patch, &write)?)
        }
        ("delete", _) => {
            let mut delete = if request.body.is_empty() {
                json!({})
            } else {
                body(request)?
            };
            let dry_run = delete["dryRun"].as_array().is_some_and(|l| !l.is_empty());
            if let (Value::Null, policy @ ("Orphan" | "Background" | "Foreground")) = (
                &delete["propagationPolicy"],
                options.text("propagationPolicy"),
            ) {
                delete["propagationPolicy"] = policy.into();
            }
            let write = Write {
                dry_run: write.dry_run || dry_run,
                ..write
            };
            ok(k.store.delete(kind, namespace, name, &delete, &write)?)
        }
        ("deletecollection", _) => {
            let selection = Selection {
                namespace: namespace.clone(),
                label_selector: options.text("labelSelector").into(),
                field_selector: options.text("fieldSelector").into(),
                ..Selection::default()
            };
            let list = k.store.list(kind, &selection)?;
            for object in list["items"].as_array().into_iter().flatten() {
                let text = |field: &str| object["metadata"][field].as_str().unwrap_or_default();
                // What is gone already, with its owner, is no failure.
                let _ = k
                    .store
                    .delete(kind, text("namespace"), text("name"), &json!({}), &write);
            }
            ok(list)
        }
        _ => Err(Failure::method_not_allowed()),
    }
}

fn media_type(request: &Request) -> &str {
    request
        .header("content-type")
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
}

fn read_patch(request: &Request) -> Result<Patch, Failure> {
    let parse = || {
        serde_json::from_slice::<Value>(&request.body)
            .map_err(|e| Failure::bad_request(format!("error decoding patch: {e}")))
    };
    let object = |value: Value| {
        if value.is_object() {
            Ok(value)
        } else {
            Err(Failure::bad_request(
                "error decoding patch: it is not an object",
            ))
        }
    };
    match media_type(request) {
        "application/json-patch+json" => match parse()? {
            Value::Array(operations) => Ok(Patch::Json(operations)),
            _ => Err(Failure::bad_request(
                "error decoding patch: it is not a list",
            )),
        },
        "application/merge-patch+json" => parse().and_then(object).map(Patch::Merge),
        "application/strategic-merge-patch+json" => parse().and_then(object).map(Patch::Strategic),
        _ => Err(Failure::new(
            415,
            "UnsupportedMediaType",
            "the body of the request was in an unknown format - accepted media types include: application/json-patch+json, application/merge-patch+json, application/strategic-merge-patch+json, application/apply-patch+yaml",
        )),
    }
}

/// Drops the top-level fields the kind does not have, or refuses them if validation is strict.
fn known_fields(kind: &Kind, mut object: Value, strict: bool) -> Result<Value, Failure> {
    let Some(fields) = kind.fields else {
        return Ok(object);
    };
    if let Some(map) = object.as_object_mut() {
        let known = |name: &str| {
            ["apiVersion", "kind", "metadata"].contains(&name)
                || fields.contains(&name)
                || name.starts_with('$')
        };
        let unknown: Vec<String> = map.keys().filter(|k| !known(k)).cloned().collect();
        if strict && !unknown.is_empty() {
            let list = unknown
                .iter()
                .map(|field| format!("unknown field \"{field}\""))
                .collect::<Vec<_>>()
                .join(", ");
            let message = format!(
                "{0} in version \"{1}\" cannot be handled as a {0}: strict decoding error: {list}",
                kind.kind, kind.version
            );
            return Err(Failure::bad_request(message));
        }
        for field in unknown {
            map.shift_remove(&field);
        }
    }
    Ok(object)
}
