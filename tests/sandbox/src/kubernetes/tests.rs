//! The golden answers of a real API server (kube-apiserver 1.36.2), asked through the same door as clients use.

use std::collections::BTreeMap;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::HeaderMap;
use time::macros::datetime;
use tokio::sync::mpsc::UnboundedReceiver;

use super::front::Resource;
use super::requests::{self, Outcome};
use super::*;
use crate::eks::cluster::{Cluster, ClusterKey};
use crate::server::Request;

const NOW: OffsetDateTime = datetime!(2026-01-01 00:00 UTC);
const MERGE: &str = "application/merge-patch+json";
const JSON_PATCH: &str = "application/json-patch+json";
const STRATEGIC: &str = "application/strategic-merge-patch+json";
const APPLY: &str = "application/apply-patch+yaml";

fn cluster() -> Cluster {
    let key = ClusterKey {
        account_id: "123456789012".into(),
        region: "us-east-1".into(),
        name: "demo".into(),
    };
    let mut cluster = Cluster::new(key, "ID", String::new(), String::new(), NOW);
    cluster.kubernetes.ensure_namespace("payments", NOW);
    cluster
}

struct Call<'c> {
    method: &'c str,
    resource: &'c str,
    name: &'c str,
    query: &'c str,
    media: &'c str,
    body: Value,
}

fn call<'c>(method: &'c str, resource: &'c str, name: &'c str) -> Call<'c> {
    Call {
        method,
        resource,
        name,
        query: "",
        media: "application/json",
        body: Value::Null,
    }
}

fn patch<'c>(name: &'c str, media: &'c str, query: &'c str, body: Value) -> Call<'c> {
    Call {
        media,
        query,
        body,
        ..call("PATCH", "serviceaccounts", name)
    }
}

fn outcome(cluster: &mut Cluster, call: &Call<'_>) -> Result<Outcome, Failure> {
    let (plural, subresource) = call.resource.split_once('/').unwrap_or((call.resource, ""));
    let kind = cluster
        .kubernetes
        .store
        .kinds()
        .find(|k| k.plural == plural)
        .unwrap();
    let resource = Resource {
        kind,
        namespace: if kind.namespaced { "payments" } else { "" }.into(),
        name: call.name.into(),
        subresource: subresource.into(),
    };
    let query: BTreeMap<String, String> = crate::encoding::form_fields(call.query);
    let mut headers = HeaderMap::new();
    headers.insert("content-type", call.media.parse().unwrap());
    headers.insert("user-agent", "kubectl/v1.33".parse().unwrap());
    let request = Request {
        method: call.method.into(),
        path: String::new(),
        query: call.query.into(),
        headers,
        body: if call.body.is_null() {
            Bytes::new()
        } else {
            call.body.to_string().into()
        },
        user: None,
    };
    requests::carry_out(cluster, "me", &resource, &request, &query)
}

/// Status and body; of a failure its status object.
fn send(cluster: &mut Cluster, call: &Call<'_>) -> (u16, Value) {
    match outcome(cluster, call) {
        Ok(Outcome::Answer(status, value)) => (status, value),
        Ok(Outcome::Watch(..)) => panic!("a watch"),
        Err(failure) => (failure.code, failure.status()),
    }
}

fn watch(cluster: &mut Cluster, query: &str) -> UnboundedReceiver<Bytes> {
    let call = Call {
        query,
        ..call("GET", "serviceaccounts", "")
    };
    match outcome(cluster, &call) {
        Ok(Outcome::Watch(events, _)) => events,
        _ => panic!("no watch"),
    }
}

/// The events that have arrived: type and name.
fn events(receiver: &mut UnboundedReceiver<Bytes>) -> Vec<(String, Value)> {
    let mut found = Vec::new();
    let mut context = Context::from_waker(Waker::noop());
    while let Poll::Ready(Some(frame)) = receiver.poll_recv(&mut context) {
        let mut event: Value = serde_json::from_slice(&frame).unwrap();
        let kind = event["type"].as_str().unwrap().to_owned();
        found.push((kind, event["object"].take()));
    }
    found
}

fn create(cluster: &mut Cluster, name: &str, annotations: Value) -> Value {
    let call = Call {
        body: json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "annotations": annotations}}),
        ..call("POST", "serviceaccounts", "")
    };
    let (status, object) = send(cluster, &call);
    assert_eq!(status, 201, "{object}");
    object
}

#[test]
fn golden_answers() {
    let mut cluster = cluster();
    let first = create(&mut cluster, "a", json!({"k": "1"}));
    let version = first["metadata"]["resourceVersion"].as_str().unwrap();
    let stale = json!({"metadata": {"annotations": {"k": "3"}, "resourceVersion": "1"}});
    let conflict = "Operation cannot be fulfilled on serviceaccounts \"a\": the object has been modified; please apply your changes to the latest version and try again";
    let rejected = "the server rejected our request due to an error in our request";
    let strict = |body: Value| Call {
        query: "fieldValidation=Strict",
        body,
        ..call("POST", "serviceaccounts", "")
    };
    let account = |name: &str| json!({"metadata": {"name": name}});
    let applied = |k: &str| json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "a", "annotations": {"k": k}}});
    let cases: Vec<(&str, Call<'_>, u16, &str)> = vec![
        (
            "duplicate create",
            Call {
                body: account("a"),
                ..call("POST", "serviceaccounts", "")
            },
            409,
            "serviceaccounts \"a\" already exists",
        ),
        (
            "bad name",
            Call {
                body: account("A_"),
                ..call("POST", "serviceaccounts", "")
            },
            422,
            "is invalid: metadata.name",
        ),
        (
            "stale merge patch",
            patch("a", MERGE, "", stale),
            409,
            conflict,
        ),
        (
            "stale PUT",
            Call {
                body: json!({"metadata": {"name": "a", "resourceVersion": "1"}}),
                ..call("PUT", "serviceaccounts", "a")
            },
            409,
            conflict,
        ),
        (
            "JSON patch: failed test",
            patch(
                "a",
                JSON_PATCH,
                "",
                json!([{"op": "test", "path": "/metadata/annotations/k", "value": "x"}]),
            ),
            422,
            rejected,
        ),
        (
            "JSON patch: remove of missing",
            patch(
                "a",
                JSON_PATCH,
                "",
                json!([{"op": "remove", "path": "/metadata/annotations/x"}]),
            ),
            422,
            rejected,
        ),
        (
            "SSA conflict",
            patch("a", APPLY, "fieldManager=me", applied("2")),
            409,
            "Apply failed with 1 conflict: conflict with \"kubectl\" using v1 at ",
        ),
        (
            "SSA without manager",
            patch("a", APPLY, "", applied("2")),
            422,
            "fieldManager: Required value",
        ),
        (
            "strict unknown field",
            strict(json!({"metadata": {"name": "b"}, "secerts": []})),
            400,
            "strict decoding error: unknown field \"secerts\"",
        ),
        (
            "unknown field",
            Call {
                body: json!({"metadata": {"name": "b"}, "secerts": []}),
                ..call("POST", "serviceaccounts", "")
            },
            201,
            "",
        ),
        (
            "bad continue",
            Call {
                query: "continue=garbage",
                ..call("GET", "serviceaccounts", "")
            },
            400,
            "continue key is not valid",
        ),
        (
            "missing object",
            call("GET", "serviceaccounts", "nobody"),
            404,
            "serviceaccounts \"nobody\" not found",
        ),
        (
            "missing group object",
            call("GET", "deployments", "nobody"),
            404,
            "deployments.apps \"nobody\" not found",
        ),
        (
            "bad dry run",
            Call {
                query: "dryRun=Some",
                body: account("c"),
                ..call("POST", "serviceaccounts", "")
            },
            400,
            "invalid dry run option",
        ),
        (
            "no such media type",
            patch("a", "text/plain", "", json!({})),
            415,
            "unknown format",
        ),
    ];
    for (name, call, expected, message) in cases {
        let (status, body) = send(&mut cluster, &call);
        assert_eq!(status, expected, "{name}: {body}");
        assert!(
            message.is_empty() || body["message"].as_str().unwrap().contains(message),
            "{name}: {body}"
        );
    }
    let (status, body) = send(
        &mut cluster,
        &patch("a", APPLY, "fieldManager=me", applied("2")),
    );
    assert_eq!((status, &body["reason"]), (409, &json!("Conflict")));
    let cause = &body["details"]["causes"][0];
    assert_eq!(
        (&cause["reason"], &cause["field"]),
        (
            &json!("FieldManagerConflict"),
            &json!(".metadata.annotations.k")
        )
    );
    let unchanged = send(
        &mut cluster,
        &patch(
            "a",
            MERGE,
            "",
            json!({"metadata": {"annotations": {"k": "1"}}}),
        ),
    )
    .1;
    assert_eq!(
        unchanged["metadata"]["resourceVersion"], version,
        "a no-op patch"
    );
    let (status, dry) = send(
        &mut cluster,
        &Call {
            query: "dryRun=All",
            body: account("dry"),
            ..call("POST", "serviceaccounts", "")
        },
    );
    assert_eq!(
        (status, dry["metadata"].get("resourceVersion")),
        (201, None)
    );
    assert_eq!(
        send(&mut cluster, &call("GET", "serviceaccounts", "dry")).0,
        404,
        "not persisted"
    );
    let forced = send(
        &mut cluster,
        &patch("a", APPLY, "fieldManager=me&force=true", applied("2")),
    );
    assert_eq!(
        (forced.0, &forced.1["metadata"]["annotations"]["k"]),
        (200, &json!("2"))
    );
    let again = send(
        &mut cluster,
        &patch("a", APPLY, "fieldManager=me", applied("2")),
    )
    .1;
    assert_eq!(
        again["metadata"]["resourceVersion"],
        forced.1["metadata"]["resourceVersion"]
    );
    let left = send(
        &mut cluster,
        &patch(
            "a",
            APPLY,
            "fieldManager=me",
            json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "a"}}),
        ),
    )
    .1;
    assert_eq!(
        left["metadata"].get("annotations"),
        None,
        "leaving out one's own field removes it"
    );
    let created = send(
        &mut cluster,
        &patch(
            "new",
            APPLY,
            "fieldManager=me",
            json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "new"}}),
        ),
    );
    assert_eq!(created.0, 201);
    let null = patch(
        "b",
        MERGE,
        "",
        json!({"metadata": {"annotations": {"x": null}}}),
    );
    assert_eq!(send(&mut cluster, &null).0, 200);
    let list = send(&mut cluster, &call("GET", "serviceaccounts", "")).1;
    assert_eq!(list["kind"], "ServiceAccountList");
    assert_eq!(
        list["items"][0].get("kind"),
        None,
        "the list says it for all"
    );
    let (status, gone) = send(&mut cluster, &call("DELETE", "serviceaccounts", "a"));
    assert_eq!(
        (status, &gone["kind"]),
        (200, &json!("ServiceAccount")),
        "not a Status"
    );
    let (status, body) = send(
        &mut cluster,
        &call(
            "DELETE",
            "mutatingwebhookconfigurations",
            "pod-identity-webhook",
        ),
    );
    assert_eq!(
        (status, &body["kind"], &body["status"]),
        (200, &json!("Status"), &json!("Success"))
    );
}

fn deployment() -> Value {
    json!({"metadata": {"name": "api"}, "spec": {"replicas": 2, "selector": {"matchLabels": {"app": "api"}}, "template": {"metadata": {"labels": {"app": "api"}}, "spec": {
        "containers": [{"name": "app", "image": "a:1"}, {"name": "sidecar", "image": "s:1"}]}}}})
}

#[test]
fn workloads() {
    let mut cluster = cluster();
    let post = |body| Call {
        body,
        ..call("POST", "deployments", "")
    };
    let mut wrong = deployment();
    wrong["spec"]["selector"]["matchLabels"]["app"] = "web".into();
    assert_eq!(
        send(&mut cluster, &post(wrong)).0,
        422,
        "selector and labels differ"
    );
    let mut empty = deployment();
    empty["spec"]["template"]["spec"]["containers"] = json!([]);
    assert_eq!(send(&mut cluster, &post(empty)).0, 422, "no containers");
    let (status, created) = send(&mut cluster, &post(deployment()));
    assert_eq!(
        (status, &created["metadata"]["generation"]),
        (201, &json!(1))
    );
    let change =
        json!({"spec": {"template": {"spec": {"containers": [{"name": "app", "image": "a:2"}]}}}});
    let strategic = |resource, body| Call {
        media: STRATEGIC,
        body,
        ..call("PATCH", resource, "api")
    };
    let (_, patched) = send(&mut cluster, &strategic("deployments", change));
    let containers = &patched["spec"]["template"]["spec"]["containers"];
    assert_eq!(containers[0]["image"], "a:2");
    assert_eq!(containers[1]["image"], "s:1", "other containers are kept");
    assert_eq!(patched["metadata"]["generation"], 2);
    let (_, status) = send(
        &mut cluster,
        &strategic(
            "deployments/status",
            json!({"status": {"replicas": 7}, "spec": {"replicas": 9}}),
        ),
    );
    assert_eq!(
        (&status["status"]["replicas"], &status["spec"]["replicas"]),
        (&json!(7), &json!(2))
    );
    assert_eq!(
        status["metadata"]["generation"], 2,
        "the status does not count"
    );
    let (_, same) = send(
        &mut cluster,
        &strategic("deployments", json!({"status": {"replicas": 8}})),
    );
    assert_eq!(
        same["status"]["replicas"], 7,
        "and is not written with the rest"
    );
    let selector = strategic(
        "deployments",
        json!({"spec": {"selector": {"matchLabels": {"tier": "x"}}, "template": {"metadata": {"labels": {"tier": "x"}}}}}),
    );
    assert_eq!(send(&mut cluster, &selector).0, 422, "immutable");
    let scaled = send(
        &mut cluster,
        &strategic("deployments/scale", json!({"spec": {"replicas": 3}})),
    )
    .1;
    assert_eq!(
        (&scaled["kind"], &scaled["spec"]["replicas"]),
        (&json!("Scale"), &json!(3))
    );
    assert_eq!(
        send(&mut cluster, &call("GET", "deployments", "api")).1["spec"]["replicas"],
        3
    );
}

#[test]
fn watches() {
    let mut cluster = cluster();
    let first = create(&mut cluster, "a", json!({}));
    let version = first["metadata"]["resourceVersion"]
        .as_str()
        .unwrap()
        .to_owned();
    let mut all = watch(
        &mut cluster,
        "watch=true&sendInitialEvents=true&allowWatchBookmarks=true",
    );
    let names: Vec<String> = events(&mut all)
        .into_iter()
        .map(|(kind, object)| {
            format!(
                "{kind} {}",
                object["metadata"]["name"].as_str().unwrap_or("-")
            )
        })
        .collect();
    assert_eq!(names, ["ADDED a", "ADDED default", "BOOKMARK -"]);
    let mut selected = watch(
        &mut cluster,
        &format!("watch=1&labelSelector=app%3Da&resourceVersion={version}"),
    );
    create(&mut cluster, "b", json!({}));
    let label = |value: Value| {
        patch(
            "b",
            MERGE,
            "",
            json!({"metadata": {"labels": {"app": value}}}),
        )
    };
    send(&mut cluster, &label("a".into()));
    send(
        &mut cluster,
        &patch(
            "b",
            MERGE,
            "",
            json!({"metadata": {"annotations": {"x": "y"}}}),
        ),
    );
    send(&mut cluster, &label(Value::Null));
    let kinds =
        |events: Vec<(String, Value)>| events.into_iter().map(|(kind, _)| kind).collect::<Vec<_>>();
    assert_eq!(
        kinds(events(&mut selected)),
        ["ADDED", "MODIFIED", "DELETED"],
        "entering and leaving a selection"
    );
    assert_eq!(
        kinds(events(&mut all)),
        ["ADDED", "MODIFIED", "MODIFIED", "MODIFIED"]
    );
    send(&mut cluster, &call("DELETE", "serviceaccounts", "b"));
    let mut late = watch(&mut cluster, &format!("watch=1&resourceVersion={version}"));
    assert_eq!(
        kinds(events(&mut late)),
        ["ADDED", "MODIFIED", "MODIFIED", "MODIFIED", "DELETED"],
        "history is replayed"
    );
    cluster.kubernetes.store.compact();
    let mut expired = watch(&mut cluster, &format!("watch=1&resourceVersion={version}"));
    let (kind, status) = events(&mut expired).remove(0);
    assert_eq!(
        (kind.as_str(), &status["code"], &status["reason"]),
        ("ERROR", &json!(410), &json!("Expired"))
    );
    let mut marked = watch(
        &mut cluster,
        "watch=1&allowWatchBookmarks=true&resourceVersion=999999",
    );
    cluster
        .kubernetes
        .store
        .bookmark(crate::server::now() + time::Duration::seconds(11));
    assert_eq!(kinds(events(&mut marked)), ["BOOKMARK"]);
}

#[test]
fn pods_need_their_service_account_and_are_evicted_within_budget() {
    let mut cluster = cluster();
    let pod = |account: &str| Call {
        body: json!({"metadata": {"name": "p"}, "spec": {"serviceAccountName": account, "containers": [{"name": "a", "image": "i"}]}}),
        ..call("POST", "pods", "")
    };
    let (status, body) = send(&mut cluster, &pod("nobody"));
    assert_eq!(status, 403);
    assert_eq!(
        body["message"],
        "pods \"p\" is forbidden: error looking up service account payments/nobody: serviceaccount \"nobody\" not found"
    );
    assert_eq!(send(&mut cluster, &pod("default")).0, 201);
    cluster.run_controllers(false, NOW);
    let (_, running) = send(&mut cluster, &call("GET", "pods", "p"));
    assert_eq!(running["status"]["phase"], "Running");
    let env = Call {
        media: MERGE,
        body: json!({"spec": {"hostNetwork": true}}),
        ..call("PATCH", "pods", "p")
    };
    assert_eq!(
        send(&mut cluster, &env).0,
        422,
        "the spec of a pod is fixed"
    );
    let budget = Call {
        body: json!({"metadata": {"name": "b"}, "spec": {"minAvailable": 1, "selector": {}}}),
        ..call("POST", "poddisruptionbudgets", "")
    };
    assert_eq!(send(&mut cluster, &budget).0, 201);
    let evict = Call {
        body: json!({"metadata": {"name": "p"}}),
        ..call("POST", "pods/eviction", "p")
    };
    assert_eq!(send(&mut cluster, &evict).0, 429);
    send(&mut cluster, &call("DELETE", "poddisruptionbudgets", "b"));
    assert_eq!(send(&mut cluster, &evict).0, 201);
    assert_eq!(send(&mut cluster, &call("GET", "pods", "p")).0, 404);
}

#[test]
fn custom_resources() {
    let mut cluster = cluster();
    let definition = Call {
        body: json!({"metadata": {"name": "rollouts.argoproj.io"}, "spec": {"group": "argoproj.io", "scope": "Namespaced", "names": {"plural": "rollouts", "kind": "Rollout"},
            "versions": [{"name": "v1alpha1", "served": true, "storage": true, "subresources": {"status": {}}}]}}),
        ..call("POST", "customresourcedefinitions", "")
    };
    assert_eq!(send(&mut cluster, &definition).0, 201);
    let rollout = Call {
        body: json!({"apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "metadata": {"name": "r"}, "spec": {"anything": [1]}, "extra": true}),
        ..call("POST", "rollouts", "")
    };
    let (status, created) = send(&mut cluster, &rollout);
    assert_eq!(
        (
            status,
            &created["metadata"]["generation"],
            &created["extra"]
        ),
        (201, &json!(1), &json!(true))
    );
    let strategic = Call {
        media: STRATEGIC,
        body: json!({"spec": {"anything": [2]}}),
        ..call("PATCH", "rollouts", "r")
    };
    assert_eq!(
        send(&mut cluster, &strategic).0,
        400,
        "no strategic merge patch for custom resources"
    );
    send(
        &mut cluster,
        &call(
            "DELETE",
            "customresourcedefinitions",
            "rollouts.argoproj.io",
        ),
    );
    assert!(
        cluster
            .kubernetes
            .store
            .kind("argoproj.io", "rollouts")
            .is_none()
    );
}

#[test]
fn tokens_of_service_accounts() {
    let mut cluster = cluster();
    create(&mut cluster, "api", json!({}));
    let token = |body| Call {
        body,
        ..call("POST", "serviceaccounts/token", "api")
    };
    let (status, answer) = send(
        &mut cluster,
        &token(json!({"spec": {"audiences": ["sts.amazonaws.com"], "expirationSeconds": 900}})),
    );
    assert_eq!(status, 201);
    let claims = tokens::claims(answer["status"]["token"].as_str().unwrap()).unwrap();
    assert_eq!(claims["sub"], "system:serviceaccount:payments:api");
    assert_eq!(claims["aud"], json!(["sts.amazonaws.com"]));
    assert_eq!(claims["iss"], cluster.issuer);
    assert_eq!(
        send(
            &mut cluster,
            &token(json!({"spec": {"expirationSeconds": 10}}))
        )
        .0,
        422
    );
}

#[test]
fn rights_are_per_group_resource_and_verb() {
    let mut cluster = cluster();
    let grants = json!([{"principal_arn": "me", "rules": [
        {"verbs": ["get"], "resources": ["deployments"], "api_groups": ["apps"]},
        {"verbs": ["create"], "resources": ["pods"], "namespaces": ["payments"]},
    ]}]);
    cluster.kubernetes.access.grants = serde_json::from_value(grants).unwrap();
    assert_eq!(send(&mut cluster, &call("GET", "deployments", "x")).0, 404);
    let (status, body) = send(&mut cluster, &call("DELETE", "deployments", "x"));
    assert_eq!(status, 403);
    assert_eq!(
        body["message"],
        "deployments.apps \"x\" is forbidden: User \"me\" cannot delete resource \"deployments\" in API group \"apps\" in the namespace \"payments\""
    );
    let eviction = Call {
        body: json!({}),
        ..call("POST", "pods/eviction", "p")
    };
    assert_eq!(
        send(&mut cluster, &eviction).0,
        403,
        "a subresource needs its own rule"
    );
}

#[test]
fn admission_asks_the_webhook() {
    let probe = |dry: bool, labels: Value| Call {
        query: if dry { "dryRun=All" } else { "" },
        body: json!({"metadata": {"generateName": "p-", "labels": labels}, "spec": {"serviceAccountName": "api", "containers": [{"name": "a", "image": "i"}]}}),
        ..call("POST", "pods", "")
    };
    let injected = |pod: &Value| {
        let env = pod["spec"]["containers"][0]["env"].as_array();
        env.into_iter()
            .flatten()
            .filter_map(|e| e["name"].as_str())
            .find(|n| ["AWS_ROLE_ARN", "AWS_CONTAINER_CREDENTIALS_FULL_URI"].contains(n))
            .map(str::to_owned)
    };
    let irsa = Some("AWS_ROLE_ARN".to_owned());
    let mut cluster = cluster();
    create(
        &mut cluster,
        "api",
        json!({webhook::ROLE_ARN: "arn:aws:iam::123456789012:role/api"}),
    );
    for dry in [true, false] {
        let (status, pod) = send(&mut cluster, &probe(dry, json!({})));
        assert_eq!(
            (status, injected(&pod)),
            (201, irsa.clone()),
            "dry run: {dry}"
        );
    }
    let (_, skipped) = send(
        &mut cluster,
        &probe(true, json!({webhook::SKIP_LABEL: "true"})),
    );
    assert_eq!(injected(&skipped), None, "the object selector");
    let present = BTreeSet::from([("payments".to_owned(), "api".to_owned())]);
    cluster.kubernetes.webhook.settings.delay_probes = 1;
    cluster.kubernetes.sync_associations(present, false, NOW);
    let answers = [(); 2].map(|()| injected(&send(&mut cluster, &probe(true, json!({}))).1));
    let pod_identity = Some("AWS_CONTAINER_CREDENTIALS_FULL_URI".to_owned());
    assert_eq!(
        answers,
        [irsa, pod_identity],
        "after a probe the association is known"
    );
    cluster.kubernetes.webhook.settings.down = true;
    let (status, pod) = send(&mut cluster, &probe(true, json!({})));
    assert_eq!(
        (status, injected(&pod)),
        (201, None),
        "failure policy Ignore"
    );
    let configuration = "pod-identity-webhook";
    let fail = Call {
        media: JSON_PATCH,
        body: json!([{"op": "replace", "path": "/webhooks/0/failurePolicy", "value": "Fail"}]),
        ..call("PATCH", "mutatingwebhookconfigurations", configuration)
    };
    assert_eq!(send(&mut cluster, &fail).0, 200);
    assert_eq!(send(&mut cluster, &probe(true, json!({}))).0, 500);
    cluster.kubernetes.webhook.settings.down = false;
    let gone = call("DELETE", "mutatingwebhookconfigurations", configuration);
    assert_eq!(send(&mut cluster, &gone).0, 200);
    let (_, pod) = send(&mut cluster, &probe(true, json!({})));
    assert_eq!(injected(&pod), None, "no configuration, no webhook");
}
