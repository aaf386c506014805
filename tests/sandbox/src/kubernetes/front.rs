//! HTTP of the Kubernetes API: paths, authentication, verbs and media types.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::access::{self, Attempt};
use super::patch::Patch;
use super::store::{Failure, KINDS, Kind, Selection};
use super::{discovery, protobuf, table};
use crate::aws::journal_time;
use crate::eks::cluster::{Cluster, ClusterKey};
use crate::encoding::{decode, form_fields};
use crate::faults::{Drop, Effect};
use crate::journal::JournalEntry;
use crate::server::{Answer, Dropped, Request, Shared, answer, now};

/// What a path addresses.
enum Target {
    /// A document about the API itself.
    Document(Value),
    /// Plain text, such as that of a health check.
    Text(&'static str),
    Review,
    Objects(Resource),
}

struct Resource {
    kind: &'static Kind,
    /// Empty for the cluster scope or all namespaces.
    namespace: String,
    /// Empty for a collection.
    name: String,
}

impl Resource {
    const fn verb(&self, method: &str) -> Option<&'static str> {
        let collection = self.name.is_empty();
        Some(match (method.as_bytes(), collection) {
            (b"GET", false) => "get",
            (b"GET", true) => "list",
            (b"POST", true) => "create",
            (b"PUT", false) => "update",
            (b"PATCH", false) => "patch",
            (b"DELETE", false) => "delete",
            (b"DELETE", true) => "deletecollection",
            _ => return None,
        })
    }
}

fn no_such_path() -> Failure {
    Failure::new(
        404,
        "NotFound",
        "the server could not find the requested resource",
    )
}

fn locate(path: &str, version: &str) -> Result<Target, Failure> {
    let segments: Vec<String> = path
        .split('/')
        .filter(|s| !s.is_empty())
        .map(decode)
        .collect();
    let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
    let (group, rest) = match &segments[..] {
        ["version"] => return Ok(Target::Document(discovery::version(version))),
        ["healthz" | "livez" | "readyz", ..] => return Ok(Target::Text("ok")),
        ["api"] => return Ok(Target::Document(discovery::versions())),
        ["apis"] => return Ok(Target::Document(discovery::groups())),
        ["openapi", "v3"] => return Ok(Target::Document(discovery::openapi_index())),
        ["openapi", "v3", "api", "v1"] => return Ok(Target::Document(discovery::openapi(""))),
        [
            "apis",
            "authorization.k8s.io",
            "v1",
            "selfsubjectaccessreviews",
        ] => return Ok(Target::Review),
        ["apis", group] => {
            return discovery::group(group)
                .map(Target::Document)
                .ok_or_else(no_such_path);
        }
        ["api", "v1"] => {
            return discovery::resources("", "v1")
                .map(Target::Document)
                .ok_or_else(no_such_path);
        }
        ["apis", group, version] => {
            return discovery::resources(group, version)
                .map(Target::Document)
                .ok_or_else(no_such_path);
        }
        ["api", "v1", rest @ ..] => ("", rest),
        ["apis", group, _, rest @ ..] => (*group, rest),
        _ => return Err(no_such_path()),
    };
    let find = |plural: &str| {
        KINDS
            .iter()
            .find(|k| k.group == group && k.plural == plural)
            .ok_or_else(no_such_path)
    };
    let resource = |kind, namespace: &str, name: &str| {
        Ok(Target::Objects(Resource {
            kind,
            namespace: namespace.into(),
            name: name.into(),
        }))
    };
    match rest {
        ["namespaces", namespace, plural] => resource(find(plural)?, namespace, ""),
        ["namespaces", namespace, plural, name] => resource(find(plural)?, namespace, name),
        [plural] => resource(find(plural)?, "", ""),
        [plural, name] if !find(plural)?.namespaced => resource(find(plural)?, "", name),
        _ => Err(no_such_path()),
    }
}

/// Answers one request to a cluster's port.
pub(crate) async fn respond(
    shared: &Shared,
    key: &ClusterKey,
    request: Request,
) -> Result<Answer, Dropped> {
    let received = now();
    let query = form_fields(&request.query);
    let (entry, caller, target, plan) = {
        let mut state = shared.state();
        let request_id = state.ids.uuid();
        let Some(cluster) = state.clusters.get(key) else {
            return Err(Dropped);
        };
        let target = locate(&request.path, &cluster.version);
        let caller = authenticate(shared, cluster, &request, |id| state.keys.get(id));
        let (operation, mut parameters) = match &target {
            Ok(Target::Objects(resource)) => {
                let mut map = Map::new();
                for (name, value) in [("namespace", &resource.namespace), ("name", &resource.name)]
                {
                    if !value.is_empty() {
                        map.insert(name.into(), value.clone().into());
                    }
                }
                (
                    format!(
                        "{} {}",
                        resource.verb(&request.method).unwrap_or(&request.method),
                        resource.kind.plural
                    ),
                    map,
                )
            }
            Ok(Target::Review) => ("create selfsubjectaccessreviews".into(), Map::new()),
            _ => (
                format!("{} {}", request.method.to_lowercase(), request.path),
                Map::new(),
            ),
        };
        parameters.insert("clusterName".into(), key.name.clone().into());
        parameters.extend(query.iter().map(|(k, v)| (k.clone(), v.clone().into())));
        if let Ok(body) = serde_json::from_slice::<Value>(&request.body) {
            parameters.insert("body".into(), body);
        }
        let entry = JournalEntry {
            id: 0,
            time: journal_time(received),
            service: "kubernetes".into(),
            operation,
            parameters,
            status: 0,
            error_code: None,
            dropped: None,
            account_id: key.account_id.clone(),
            region: key.region.clone(),
            caller_arn: caller.clone().unwrap_or_default(),
            request_id,
            method: request.method.clone(),
            path: request.path.clone(),
            user_agent: request.header("user-agent").into(),
        };
        let plan = if caller.is_some() {
            state
                .faults
                .plan("kubernetes", &entry.operation, &entry.parameters)
        } else {
            Default::default()
        };
        let id = state.journal.begin(entry);
        (id, caller, target, plan)
    };
    if plan.latency_ms > 0 {
        tokio::time::sleep(Duration::from_millis(plan.latency_ms)).await;
    }
    let mut state = shared.state();
    if let Some(Effect::Drop(Drop::Before)) = plan.effect {
        state.journal.finish(entry, |e| e.dropped = Some("before"));
        return Err(Dropped);
    }
    let result = match (&plan.effect, caller, target) {
        (_, _, Ok(Target::Text(text))) => Ok((200, Value::String(text.into()))),
        (_, None, _) => Err(Failure::new(401, "Unauthorized", "Unauthorized")),
        (Some(Effect::Throttle), ..) => Err(Failure::new(
            429,
            "TooManyRequests",
            "the server has received too many requests and has asked us to try again later",
        )),
        (Some(Effect::Error(error)), ..) => Err(fault(error.status, &error.code, &error.message)),
        (_, _, Err(failure)) => Err(failure),
        (_, _, Ok(Target::Document(document))) => Ok((200, document)),
        (_, Some(user), Ok(Target::Review)) => match state.clusters.get(key) {
            Some(cluster) => review(cluster, &user, &request),
            None => return Err(Dropped),
        },
        (_, Some(user), Ok(Target::Objects(resource))) => match state.clusters.get_mut(key) {
            Some(cluster) => carry_out(cluster, &user, &resource, &request, &query),
            None => return Err(Dropped),
        },
    };
    let dropped = matches!(plan.effect, Some(Effect::Drop(Drop::After)));
    let (status, code) = match &result {
        Ok((status, _)) => (*status, None),
        Err(failure) => (failure.code, Some(failure.reason.to_owned())),
    };
    state.journal.finish(entry, |e| {
        e.status = status;
        e.error_code = code;
        e.dropped = dropped.then_some("after");
    });
    drop(state);
    if dropped {
        return Err(Dropped);
    }
    Ok(render(result, &request))
}

fn fault(status: u16, code: &str, message: &str) -> Failure {
    const REASONS: [&str; 11] = [
        "BadRequest",
        "Unauthorized",
        "Forbidden",
        "NotFound",
        "AlreadyExists",
        "Conflict",
        "Invalid",
        "Timeout",
        "ServerTimeout",
        "InternalError",
        "ServiceUnavailable",
    ];
    Failure::new(
        status,
        REASONS
            .iter()
            .find(|r| **r == code)
            .copied()
            .unwrap_or("InternalError"),
        message,
    )
}

/// The ARN behind the bearer token, or `None` for a 401.
fn authenticate<'k>(
    shared: &Shared,
    cluster: &Cluster,
    request: &Request,
    keys: impl Fn(&str) -> Option<&'k crate::sigv4::AccessKey>,
) -> Option<String> {
    let token = request.header("authorization").strip_prefix("Bearer ")?;
    let key = access::identify(
        token.trim(),
        &cluster.key.name,
        &shared.aws_authority,
        now(),
        keys,
    )?;
    (key.account_id == cluster.key.account_id && cluster.kubernetes.access.knows(&key.caller_arn))
        .then(|| key.caller_arn.clone())
}

fn body(request: &Request) -> Result<Value, Failure> {
    let bad = |message: String| Failure::new(400, "BadRequest", message);
    match request
        .header("content-type")
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
    {
        "application/vnd.kubernetes.protobuf" => protobuf::decode(&request.body).ok_or_else(|| {
            bad("the body is not a Kubernetes object this server can read from protobuf".into())
        }),
        "application/json" | "" => serde_json::from_slice(&request.body)
            .map_err(|e| bad(format!("couldn't get version/kind; json parse error: {e}"))),
        "application/yaml" => serde_yaml_ng::from_slice(&request.body)
            .map_err(|e| bad(format!("yaml parse error: {e}"))),
        other => Err(Failure::new(
            415,
            "UnsupportedMediaType",
            format!(
                "the body of the request was in an unknown format - accepted media types include: application/json, application/yaml, application/vnd.kubernetes.protobuf; got {other}"
            ),
        )),
    }
}

fn review(cluster: &Cluster, user: &str, request: &Request) -> Result<(u16, Value), Failure> {
    let mut review = body(request)?;
    let attributes = &review["spec"]["resourceAttributes"];
    let text = |field: &str| attributes[field].as_str().unwrap_or_default();
    let resource = match text("subresource") {
        "" => text("resource").to_owned(),
        subresource => format!("{}/{subresource}", text("resource")),
    };
    let attempt = Attempt {
        verb: text("verb"),
        group: text("group"),
        resource: &resource,
        namespace: text("namespace"),
        name: text("name"),
    };
    let allowed = attributes.is_null() || cluster.kubernetes.access.allows(user, &attempt);
    review["status"] = json!({ "allowed": allowed });
    review["kind"] = "SelfSubjectAccessReview".into();
    review["apiVersion"] = "authorization.k8s.io/v1".into();
    Ok((201, review))
}

fn carry_out(
    cluster: &mut Cluster,
    user: &str,
    resource: &Resource,
    request: &Request,
    query: &BTreeMap<String, String>,
) -> Result<(u16, Value), Failure> {
    let Resource {
        kind,
        namespace,
        name,
    } = resource;
    let verb = resource.verb(&request.method).ok_or_else(|| {
        Failure::new(
            405,
            "MethodNotAllowed",
            "the server does not allow this method on the requested resource",
        )
    })?;
    // A namespace is a cluster-scoped object, yet rules about it name it as their namespace too.
    let attempt = Attempt {
        verb,
        group: kind.group,
        resource: kind.plural,
        namespace,
        name,
    };
    if !cluster.kubernetes.access.allows(user, &attempt) {
        let mut failure = Failure::new(403, "Forbidden", access::forbidden(user, &attempt));
        failure.details = json!({"name": name, "kind": kind.plural});
        return Err(failure);
    }
    let parameter = |name: &str| query.get(name).map(String::as_str).unwrap_or_default();
    let dry_run = match parameter("dryRun") {
        "" => false,
        "All" => true,
        other => {
            return Err(Failure::new(
                400,
                "BadRequest",
                format!("invalid dry run option: {other}"),
            ));
        }
    };
    let strict = parameter("fieldValidation") == "Strict";
    if kind.namespaced && namespace.is_empty() && verb != "list" {
        return Err(Failure::new(
            405,
            "MethodNotAllowed",
            "the server does not allow this method on the requested resource",
        ));
    }
    let store = &mut cluster.kubernetes.store;
    match verb {
        "get" => store.get(kind, namespace, name).map(|object| (200, object)),
        "list" => {
            if ["true", "1"].contains(&parameter("watch")) {
                return Err(Failure::new(
                    405,
                    "MethodNotAllowed",
                    "watch is not supported on resources of this server",
                ));
            }
            let limit = match parameter("limit") {
                "" => 0,
                text => text.parse().map_err(|_| {
                    Failure::new(400, "BadRequest", format!("invalid limit {text}"))
                })?,
            };
            let selection = Selection {
                namespace: namespace.clone(),
                label_selector: parameter("labelSelector").into(),
                field_selector: parameter("fieldSelector").into(),
                limit,
                continuation: parameter("continue").into(),
            };
            store.list(kind, &selection).map(|list| (200, list))
        }
        "create" => {
            let object = known_fields(kind, body(request)?, strict)?;
            store
                .create(kind, namespace, object, now(), dry_run)
                .map(|object| (201, object))
        }
        "update" => {
            let object = known_fields(kind, body(request)?, strict)?;
            store
                .replace(kind, namespace, name, object, dry_run)
                .map(|object| (200, object))
        }
        "patch" => {
            let patch = read_patch(request)?;
            if let Patch::Merge(fields) | Patch::Strategic(fields) = &patch {
                known_fields(kind, fields.clone(), strict)?;
            }
            store
                .patch(kind, namespace, name, &patch, dry_run)
                .map(|object| (200, object))
        }
        "delete" => {
            let options = if request.body.is_empty() {
                json!({})
            } else {
                body(request)?
            };
            store
                .delete(kind, namespace, name, &options, dry_run)
                .map(|object| (200, object))
        }
        _ => Err(Failure::new(
            405,
            "MethodNotAllowed",
            "the server does not allow this method on the requested resource",
        )),
    }
}

fn read_patch(request: &Request) -> Result<Patch, Failure> {
    let parse = || {
        serde_json::from_slice::<Value>(&request.body)
            .map_err(|e| Failure::new(400, "BadRequest", format!("error decoding patch: {e}")))
    };
    let object = |value: Value| {
        if value.is_object() {
            Ok(value)
        } else {
            Err(Failure::new(
                400,
                "BadRequest",
                "error decoding patch: it is not an object",
            ))
        }
    };
    match request
        .header("content-type")
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
    {
        "application/json-patch+json" => match parse()? {
            Value::Array(operations) => Ok(Patch::Json(operations)),
            _ => Err(Failure::new(
                400,
                "BadRequest",
                "error decoding patch: it is not a list",
            )),
        },
        "application/merge-patch+json" => parse().and_then(object).map(Patch::Merge),
        "application/strategic-merge-patch+json" => parse().and_then(object).map(Patch::Strategic),
        _ => Err(Failure::new(
            415,
            "UnsupportedMediaType",
            "the body of the request was in an unknown format - accepted media types include: application/json-patch+json, application/merge-patch+json, application/strategic-merge-patch+json",
        )),
    }
}

/// Drops the top-level fields the kind does not have, or refuses them if validation is strict.
fn known_fields(kind: &Kind, mut object: Value, strict: bool) -> Result<Value, Failure> {
    let fields: &[&str] = match kind.plural {
        "serviceaccounts" => &[
            "apiVersion",
            "kind",
            "metadata",
            "secrets",
            "imagePullSecrets",
            "automountServiceAccountToken",
        ],
        _ => &["apiVersion", "kind", "metadata", "spec", "status"],
    };
    if let Some(map) = object.as_object_mut() {
        let unknown: Vec<String> = map
            .keys()
            .filter(|k| !fields.contains(&k.as_str()) && !k.starts_with('$'))
            .cloned()
            .collect();
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
            return Err(Failure::new(400, "BadRequest", message));
        }
        for field in unknown {
            map.shift_remove(&field);
        }
    }
    Ok(object)
}

fn render(result: Result<(u16, Value), Failure>, request: &Request) -> Answer {
    let json_type = ("content-type", "application/json");
    match result {
        Ok((status, Value::String(text))) => answer(
            status,
            &[("content-type", "text/plain; charset=utf-8")],
            text,
        ),
        Ok((status, value)) => {
            let shaped = if request.method == "GET" {
                table::shape(value, request.header("accept"), now())
            } else {
                value
            };
            answer(status, &[json_type], shaped.to_string())
        }
        Err(failure) if failure.code == 429 => answer(
            429,
            &[json_type, ("retry-after", "1")],
            failure.status().to_string(),
        ),
        Err(failure) => answer(failure.code, &[json_type], failure.status().to_string()),
    }
}
