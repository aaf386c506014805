//! What clients ask first: version, groups, resources and a small OpenAPI.

use serde_json::{Map, Value, json};

use super::kinds::Kind;
use super::store::Store;

/// Groups that serve something other than stored objects.
const REVIEWS: &str = "authorization.k8s.io";
const VERBS: [&str; 8] = [
    "create",
    "delete",
    "deletecollection",
    "get",
    "list",
    "patch",
    "update",
    "watch",
];

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

fn named_groups(store: &Store) -> Vec<(&'static str, &'static str)> {
    let mut groups: Vec<(&str, &str)> = store
        .kinds()
        .filter(|k| !k.group.is_empty())
        .map(|k| (k.group, k.version))
        .collect();
    groups.push((REVIEWS, "v1"));
    groups.sort_unstable();
    groups.dedup();
    groups
}

/// A group with all its versions, the last one preferred.
fn describe(group: &str, versions: &[&str]) -> Value {
    let versions: Vec<Value> = versions
        .iter()
        .rev()
        .map(|version| json!({"groupVersion": format!("{group}/{version}"), "version": version}))
        .collect();
    json!({"name": group, "versions": versions, "preferredVersion": versions[0]})
}

fn versions_of(store: &Store, group: &str) -> Vec<&'static str> {
    let groups = named_groups(store);
    groups
        .into_iter()
        .filter(|(g, _)| *g == group)
        .map(|(_, version)| version)
        .collect()
}

/// `/apis`.
pub(super) fn groups(store: &Store) -> Value {
    let mut names: Vec<&str> = named_groups(store).into_iter().map(|(g, _)| g).collect();
    names.dedup();
    let groups: Vec<Value> = names
        .iter()
        .map(|group| describe(group, &versions_of(store, group)))
        .collect();
    json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups})
}

/// `/apis/GROUP`.
pub(super) fn group(store: &Store, name: &str) -> Option<Value> {
    let versions = versions_of(store, name);
    (!versions.is_empty()).then(|| {
        let mut value = describe(name, &versions);
        value["kind"] = "APIGroup".into();
        value["apiVersion"] = "v1".into();
        value
    })
}

/// `/api/v1` and `/apis/GROUP/VERSION`.
pub(super) fn resources(store: &Store, group: &str, version: &str) -> Option<Value> {
    let mut list = Vec::new();
    for k in store
        .kinds()
        .filter(|k| k.group == group && k.version == version)
    {
        list.push(json!({"name": k.plural, "singularName": k.singular, "namespaced": k.namespaced, "kind": k.kind, "verbs": VERBS, "shortNames": k.short}));
        let mut sub = |name: &str, kind: &str, verbs: &[&str], group: &str, version: &str| {
            let mut resource = json!({"name": format!("{}/{name}", k.plural), "singularName": "", "namespaced": k.namespaced, "kind": kind, "verbs": verbs});
            if !group.is_empty() {
                resource["group"] = group.into();
                resource["version"] = version.into();
            }
            list.push(resource);
        };
        if k.status {
            sub("status", k.kind, &["get", "patch", "update"], "", "");
        }
        if k.scale {
            sub(
                "scale",
                "Scale",
                &["get", "patch", "update"],
                "autoscaling",
                "v1",
            );
        }
        match (k.group, k.plural) {
            ("", "pods") => sub("eviction", "Eviction", &["create"], "policy", "v1"),
            ("", "serviceaccounts") => sub(
                "token",
                "TokenRequest",
                &["create"],
                "authentication.k8s.io",
                "v1",
            ),
            _ => {}
        }
    }
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
pub(super) fn openapi_index(store: &Store) -> Value {
    let mut paths = Map::new();
    let mut add = |path: String| {
        let url = format!("/openapi/v3/{path}");
        paths.insert(path, json!({ "serverRelativeURL": url }));
    };
    add("api/v1".into());
    for (group, version) in named_groups(store) {
        add(format!("apis/{group}/{version}"));
    }
    json!({ "paths": paths })
}

/// `/openapi/v3/api/v1` and its like: enough for kubectl to see that the server validates fields itself.
pub(super) fn openapi(store: &Store, group: &str, version: &str) -> Value {
    let parameter = |name: &str| json!({"name": name, "in": "query", "schema": {"type": "string", "uniqueItems": true}});
    let mut paths = Map::new();
    let mut schemas = Map::new();
    for kind in store
        .kinds()
        .filter(|k| k.group == group && k.version == version)
    {
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
        let package = if kind.group.is_empty() {
            "core"
        } else {
            kind.group
        };
        schemas.insert(
            format!("io.k8s.api.{package}.{}.{}", kind.version, kind.kind),
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
