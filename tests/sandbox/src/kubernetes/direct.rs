//! Requests to a cluster from inside, for tests and the control API: no authentication, no faults, no journal.

use std::collections::BTreeMap;

use http::HeaderMap;
use serde_json::{Map, Value};

use super::front::Resource;
use super::requests::{self, Outcome};
use super::store::Failure;
use crate::eks::cluster::Cluster;
use crate::server::Request;

/// Carries out one request with all rights.
///
/// `method` as in HTTP, `resource` as `deployments` or `serviceaccounts/token` (with `.GROUP` for a custom one of an ambiguous name),
/// `namespace`, `name`, `query` (an object of strings), `media_type` and `body`. A PATCH is a merge patch unless the media type says
/// otherwise.
pub(crate) fn request(
    cluster: &mut Cluster,
    parameters: &Map<String, Value>,
) -> Result<Value, Failure> {
    let text = |name: &str| {
        parameters
            .get(name)
            .and_then(Value::as_str)
            .unwrap_or_default()
    };
    let (resource, subresource) = text("resource")
        .split_once('/')
        .unwrap_or_else(|| (text("resource"), ""));
    let kind = cluster
        .kubernetes
        .store
        .kinds()
        .find(|k| k.plural == resource || k.qualified() == resource)
        .ok_or_else(|| Failure::new(404, "NotFound", format!("there is no resource {resource}")))?;
    let method = if text("method").is_empty() {
        "GET"
    } else {
        text("method")
    };
    let media = match (text("media_type"), method) {
        ("", "PATCH") => "application/merge-patch+json",
        ("", _) => "application/json",
        (given, _) => given,
    };
    let mut headers = HeaderMap::new();
    for (name, value) in [("content-type", media), ("user-agent", "sandbox")] {
        if let Ok(value) = value.parse() {
            headers.insert(name, value);
        }
    }
    let query: BTreeMap<String, String> = parameters
        .get("query")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
        .map(|(k, v)| {
            (
                k.clone(),
                v.as_str().map_or_else(|| v.to_string(), str::to_owned),
            )
        })
        .collect();
    let resource = Resource {
        kind,
        namespace: text("namespace").into(),
        name: text("name").into(),
        subresource: subresource.into(),
    };
    let body = match parameters.get("body") {
        None | Some(Value::Null) => String::new(),
        Some(body) => body.to_string(),
    };
    let request = Request {
        method: method.into(),
        path: String::new(),
        query: String::new(),
        headers,
        body: body.into(),
        user: None,
    };
    let grants = std::mem::take(&mut cluster.kubernetes.access.grants);
    let result = requests::carry_out(cluster, "system:masters", &resource, &request, &query);
    cluster.kubernetes.access.grants = grants;
    match result? {
        Outcome::Answer(_, value) => Ok(value),
        Outcome::Watch(..) => Err(Failure::method_not_allowed()),
    }
}
