//! HTTP of the Kubernetes API: paths, authentication, verbs and media types.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::access::{self, Attempt};
use super::requests::{self, Outcome};
use super::store::{Failure, Kind, Store};
use super::{discovery, protobuf, table, tokens};
use crate::aws::journal_time;
use crate::eks::cluster::{Cluster, ClusterKey};
use crate::encoding::{decode, form_fields};
use crate::faults::{Drop, Effect};
use crate::journal::JournalEntry;
use crate::server::{Answer, Body, Dropped, Request, Shared, answer, now};

/// What a path addresses.
enum Target {
    /// A document about the API itself.
    Document(Value),
    /// Plain text, such as that of a health check.
    Text(&'static str),
    Review,
    Objects(Resource),
}

/// What a request is about.
pub(super) struct Resource {
    pub(super) kind: &'static Kind,
    /// Empty for the cluster scope or all namespaces.
    pub(super) namespace: String,
    /// Empty for a collection.
    pub(super) name: String,
    /// Empty for the object itself.
    pub(super) subresource: String,
}

impl Resource {
    /// The verb of a request, as rules of access name it.
    pub(super) fn verb(
        &self,
        method: &str,
        query: &BTreeMap<String, String>,
    ) -> Option<&'static str> {
        let collection = self.name.is_empty();
        let watch = query
            .get("watch")
            .is_some_and(|w| ["true", "1"].contains(&w.as_str()));
        Some(match (method.as_bytes(), collection) {
            (b"GET", _) if watch => "watch",
            (b"GET", false) => "get",
            (b"GET", true) => "list",
            (b"POST", false) if ["eviction", "token"].contains(&self.subresource.as_str()) => {
                "create"
            }
            (b"POST", true) => "create",
            (b"PUT", false) => "update",
            (b"PATCH", false) => "patch",
            (b"DELETE", false) => "delete",
            (b"DELETE", true) => "deletecollection",
            _ => return None,
        })
    }

    /// The resource as rules of access name it: with the subresource after a slash.
    pub(super) fn path(&self) -> String {
        if self.subresource.is_empty() {
            self.kind.plural.into()
        } else {
            format!("{}/{}", self.kind.plural, self.subresource)
        }
    }
}

fn no_such_path() -> Failure {
    Failure::new(
        404,
        "NotFound",
        "the server could not find the requested resource",
    )
}

fn locate(path: &str, kubernetes: &str, store: &Store) -> Result<Target, Failure> {
    let segments: Vec<String> = path
        .split('/')
        .filter(|s| !s.is_empty())
        .map(decode)
        .collect();
    let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
    let (group, version, rest) = match &segments[..] {
        ["version"] => return Ok(Target::Document(discovery::version(kubernetes))),
        ["healthz" | "livez" | "readyz", ..] => return Ok(Target::Text("ok")),
        ["api"] => return Ok(Target::Document(discovery::versions())),
        ["apis"] => return Ok(Target::Document(discovery::groups(store))),
        ["openapi", "v3"] => return Ok(Target::Document(discovery::openapi_index(store))),
        ["openapi", "v3", "api", "v1"] => {
            return Ok(Target::Document(discovery::openapi(store, "", "v1")));
        }
        ["openapi", "v3", "apis", group, version] => {
            return Ok(Target::Document(discovery::openapi(store, group, version)));
        }
        [
            "apis",
            "authorization.k8s.io",
            "v1",
            "selfsubjectaccessreviews",
        ] => return Ok(Target::Review),
        ["apis", group] => {
            return discovery::group(store, group)
                .map(Target::Document)
                .ok_or_else(no_such_path);
        }
        ["api", "v1"] => {
            return discovery::resources(store, "", "v1")
                .map(Target::Document)
                .ok_or_else(no_such_path);
        }
        ["apis", group, version] => {
            return discovery::resources(store, group, version)
                .map(Target::Document)
                .ok_or_else(no_such_path);
        }
        ["api", "v1", rest @ ..] => ("", "v1", rest),
        ["apis", group, version, rest @ ..] => (*group, *version, rest),
        _ => return Err(no_such_path()),
    };
    let find = |plural: &str| {
        store
            .kind(group, plural)
            .filter(|k| k.version == version)
            .ok_or_else(no_such_path)
    };
    let resource = |kind: &'static Kind, namespace: &str, name: &str, subresource: &str| {
        let exists = match subresource {
            "" => true,
            "status" => kind.status,
            "scale" => kind.scale,
            "eviction" => kind.plural == "pods",
            "token" => kind.plural == "serviceaccounts",
            _ => false,
        };
        if !exists {
            return Err(no_such_path());
        }
        Ok(Target::Objects(Resource {
            kind,
            namespace: namespace.into(),
            name: name.into(),
            subresource: subresource.into(),
        }))
    };
    match rest {
        // A namespace itself, or its status, before what is in it.
        ["namespaces", name, "status"] => resource(find("namespaces")?, "", name, "status"),
        ["namespaces", namespace, plural] => resource(find(plural)?, namespace, "", ""),
        ["namespaces", namespace, plural, name] => resource(find(plural)?, namespace, name, ""),
        ["namespaces", namespace, plural, name, subresource] => {
            resource(find(plural)?, namespace, name, subresource)
        }
        [plural] => resource(find(plural)?, "", "", ""),
        [plural, name] if !find(plural)?.namespaced => resource(find(plural)?, "", name, ""),
        [plural, name, subresource] if !find(plural)?.namespaced => {
            resource(find(plural)?, "", name, subresource)
        }
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
        let target = locate(&request.path, &cluster.version, &cluster.kubernetes.store);
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
                        resource
                            .verb(&request.method, &query)
                            .unwrap_or(&request.method),
                        resource.path()
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
            held: false,
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
    let (result, dropped) = {
        let mut state = shared.state();
        if let Some(Effect::Drop(Drop::Before)) = plan.effect {
            state.journal.finish(entry, |e| e.dropped = Some("before"));
            return Err(Dropped);
        }
        let result = match (&plan.effect, caller, target) {
            (_, _, Ok(Target::Text(text))) => Ok(Outcome::Answer(200, Value::String(text.into()))),
            (_, None, _) => Err(Failure::new(401, "Unauthorized", "Unauthorized")),
            (Some(Effect::Throttle), ..) => Err(Failure::new(
                429,
                "TooManyRequests",
                "the server has received too many requests and has asked us to try again later",
            )),
            (Some(Effect::Error(error)), ..) => {
                Err(fault(error.status, &error.code, &error.message))
            }
            (_, _, Err(failure)) => Err(failure),
            (_, _, Ok(Target::Document(document))) => Ok(Outcome::Answer(200, document)),
            (_, Some(user), Ok(Target::Review)) => match state.clusters.get(key) {
                Some(cluster) => review(cluster, &user, &request),
                None => return Err(Dropped),
            },
            (_, Some(user), Ok(Target::Objects(resource))) => {
                // What time has brought about comes before what the request asks for.
                state.advance(received);
                let result = match state.clusters.get_mut(key) {
                    Some(cluster) => {
                        requests::carry_out(cluster, &user, &resource, &request, &query)
                    }
                    None => return Err(Dropped),
                };
                state.advance(now());
                result
            }
        };
        let dropped = matches!(plan.effect, Some(Effect::Drop(Drop::After)));
        let (status, code) = match &result {
            Ok(Outcome::Answer(status, _)) => (*status, None),
            Ok(Outcome::Watch(..)) => (200, None),
            Err(failure) => (failure.code, Some(failure.reason.to_owned())),
        };
        state.journal.finish(entry, |e| {
            e.status = status;
            e.error_code = code;
            e.dropped = dropped.then_some("after");
            e.held = plan.gate.is_some();
        });
        (result, dropped)
    };
    if let Some(gate) = &plan.gate {
        gate.pass().await;
    }
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
    let has_grant = |user: &String| cluster.kubernetes.access.names(user);
    if let Some(user) = request.user.clone().filter(has_grant) {
        return Some(user);
    }
    let token = request.header("authorization").strip_prefix("Bearer ")?;
    let user = tokens::api_user(token.trim(), &cluster.issuer, now());
    if let Some(user) = user.filter(has_grant) {
        return Some(user);
    }
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

/// The object in a request's body, in any of the media types that are understood.
pub(super) fn body(request: &Request) -> Result<Value, Failure> {
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

fn review(cluster: &Cluster, user: &str, request: &Request) -> Result<Outcome, Failure> {
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
    Ok(Outcome::Answer(201, review))
}

fn render(result: Result<Outcome, Failure>, request: &Request) -> Answer {
    let json_type = ("content-type", "application/json");
    match result {
        Ok(Outcome::Watch(pieces, seconds)) => {
            let mut response = answer(200, &[json_type], String::new());
            let deadline = seconds.map(|s| Box::pin(tokio::time::sleep(Duration::from_secs(s))));
            *response.body_mut() = Body::Stream { pieces, deadline };
            response
        }
        Ok(Outcome::Answer(status, Value::String(text))) => answer(
            status,
            &[("content-type", "text/plain; charset=utf-8")],
            text,
        ),
        Ok(Outcome::Answer(status, value)) => {
            let shaped = table::shape(value, request.header("accept"), now());
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
