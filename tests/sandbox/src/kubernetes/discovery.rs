//! What clients ask first: version, groups, resources and a small OpenAPI.

use serde_json::{Map, Value, json};

use super::store::{KINDS, Kind};

/// Groups that serve something other than stored objects.
const REVIEWS: &str = "authorization.k8s.io";
const VERBS: [&str; 6] = ["create", "delete", "get", "list", "patch", "update"];

/// `/version`, for a cluster version such as `1.33`.
pub(super) fn version(cluster: &str) -> Value {
    let (major, minor) = cluster.split_once('.').unwrap_or((cluster, "0"));
    json!({
        "major": major,
        "minor": minor,
        "gitVersion": format!("v{cluster}.0-eks-sandbox"),
        "gitCommit": "0000000000000000000000000000000000000000",
        "gitTreeState": "clean",
        "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": "go1.24",
        "compiler": "gc",
        "platform": "linux/amd64",
    })
}

/// `/api`. The version must be `v1`, not a path.
pub(super) fn versions() -> Value {
    json!({"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []})
}

fn named_groups() -> Vec<(&'static str, &'static str)> {
    let mut groups: Vec<(&str, &str)> = KINDS
        .iter()
        .filter(|k| !k.group.is_empty())
        .map(|k| (k.group, k.version))
        .collect();
    groups.push((REVIEWS, "v1"));
    groups.sort_unstable();
    groups.dedup();
    groups
}

fn describe(group: &str, version: &str) -> Value {
    let version = json!({"groupVersion": format!("{group}/{version}"), "version": version});
    json!({"name": group, "versions": [version], "preferredVersion": version})
}

/// `/apis`.
pub(super) fn groups() -> Value {
    json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": named_groups().iter().map(|(g, v)| describe(g, v)).collect::<Vec<_>>()})
}

/// `/apis/GROUP`.
pub(super) fn group(name: &str) -> Option<Value> {
    let (group, version) = named_groups().into_iter().find(|(g, _)| *g == name)?;
    let mut value = describe(group, version);
    value["kind"] = "APIGroup".into();
    value["apiVersion"] = "v1".into();
    Some(value)
}

/// `/api/v1` and `/apis/GROUP/VERSION`.
pub(super) fn resources(group: &str, version: &str) -> Option<Value> {
    let mut list: Vec<Value> = KINDS
        .iter()
        .filter(|k| k.group == group && k.version == version)
        .map(|k| json!({"name": k.plural, "singularName": k.singular, "namespaced": k.namespaced, "kind": k.kind, "verbs": VERBS, "shortNames": k.short}))
        .collect();
    if group == REVIEWS && version == "v1" {
        list.push(json!({"name": "selfsubjectaccessreviews", "singularName": "selfsubjectaccessreview", "namespaced": false, "kind": "SelfSubjectAccessReview", "verbs": ["create"]}));
    }
    let group_version = if group.is_empty() {
        version.to_owned()
    } else {
        format!("{group}/{version}")
    };
    (!list.is_empty()).then(|| json!({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group_version, "resources": list}))
}

/// `/openapi/v3`.
pub(super) fn openapi_index() -> Value {
    json!({"paths": {"api/v1": {"serverRelativeURL": "/openapi/v3/api/v1"}}})
}

/// `/openapi/v3/api/v1`: enough for kubectl to see that the server validates fields itself.
pub(super) fn openapi(group: &str) -> Value {
    let parameter = |name: &str| json!({"name": name, "in": "query", "schema": {"type": "string", "uniqueItems": true}});
    let mut paths = Map::new();
    let mut schemas = Map::new();
    for kind in KINDS.iter().filter(|k| k.group == group) {
        let gvk = json!({"group": kind.group, "kind": kind.kind, "version": kind.version});
        let operation = |action: &str| {
            json!({
                "x-kubernetes-action": action,
                "x-kubernetes-group-version-kind": gvk,
                "parameters": [parameter("dryRun"), parameter("fieldManager"), parameter("fieldValidation")],
                "responses": {"200": {"description": "OK"}},
            })
        };
        let collection = path(kind);
        paths.insert(collection.clone(), json!({"post": operation("post")}));
        paths.insert(
            format!("{collection}/{{name}}"),
            json!({"patch": operation("patch"), "put": operation("put")}),
        );
        schemas.insert(
            format!("io.k8s.api.core.v1.{}", kind.kind),
            json!({"type": "object", "x-kubernetes-group-version-kind": [gvk]}),
        );
    }
    json!({"openapi": "3.0.0", "info": {"title": "Kubernetes", "version": "unversioned"}, "paths": paths, "components": {"schemas": schemas}})
}

fn path(kind: &Kind) -> String {
    let base = if kind.group.is_empty() {
        format!("/api/{}", kind.version)
    } else {
        format!("/apis/{}/{}", kind.group, kind.version)
    };
    if kind.namespaced {
        format!("{base}/namespaces/{{namespace}}/{}", kind.plural)
    } else {
        format!("{base}/{}", kind.plural)
    }
}
