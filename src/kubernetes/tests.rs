//! Tests of the client against the sandbox.

mod access;
mod kubeconfigs;
mod proxies;

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use k8s_openapi::api::core::v1::{Namespace, Node, Pod, ServiceAccount};
use kube::api::ApiResource;
use podidentity_sandbox::{Drop, Fault, FaultError, Options, Sandbox};
use serde_json::{Value as Json, json};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::provider::tests::data_for;

fn sandbox() -> Sandbox {
    Sandbox::start(Options::default()).unwrap()
}

/// A sandbox whose cluster has this besides what is always there.
fn seeded(mut cluster: Json) -> Sandbox {
    let sandbox = sandbox();
    cluster["name"] = "demo".into();
    sandbox.seed(json!({"clusters": [cluster]})).unwrap();
    sandbox
}

/// A sandbox with one service account.
fn with_account() -> Sandbox {
    seeded(json!({
        "service_accounts": [{"namespace": "orders", "name": "api", "annotations": {"a": "1"}}],
    }))
}

/// The API of the sandbox's cluster, reached as without a `kubernetes` block.
async fn api(sandbox: &Sandbox) -> Arc<ClusterApi> {
    let data = data_for(sandbox, &[]).await;
    let api = data.kubernetes_api(&never(), "demo").await.unwrap();
    sandbox.clear_requests();
    api
}

fn never() -> CancellationToken {
    CancellationToken::new()
}

fn fault(operation: &str) -> Fault {
    Fault {
        service: Some("kubernetes".to_owned()),
        operation: Some(operation.to_owned()),
        count: Some(1),
        ..Fault::default()
    }
}

fn status(operation: &str, code: &str, status: u16) -> Fault {
    Fault {
        error: Some(FaultError {
            code: code.to_owned(),
            message: "something".to_owned(),
            status,
        }),
        ..fault(operation)
    }
}

fn operations(sandbox: &Sandbox) -> Vec<String> {
    sandbox
        .requests()
        .into_iter()
        .map(|entry| entry.operation)
        .collect()
}

async fn account(api: &ClusterApi) -> Result<Option<ServiceAccount>, KubernetesError> {
    api.get(&never(), Some("orders"), "api").await
}

fn annotation(account: &ServiceAccount, key: &str) -> Option<String> {
    account.metadata.annotations.as_ref()?.get(key).cloned()
}

/// A merge patch that sets an annotation; guarded if it names a version.
fn annotate(key: &str, value: Option<&str>, version: Option<&str>) -> Json {
    let mut body = json!({"metadata": {"annotations": {key: value}}});
    if let Some(version) = version {
        body["metadata"]["resourceVersion"] = version.into();
    }
    body
}

async fn patch(api: &ClusterApi, body: &Json) -> Result<ServiceAccount, KubernetesError> {
    api.patch(&never(), Some("orders"), "api", PatchKind::Merge, body)
        .await
}

#[tokio::test]
async fn eks_is_asked_once_and_the_token_is_signed() {
    let sandbox = with_account();
    let data = data_for(&sandbox, &[]).await;
    let apis =
        join_all((0..30).map(|_| async { data.kubernetes_api(&never(), "demo").await.unwrap() }))
            .await;
    assert_eq!(operations(&sandbox), ["DescribeCluster"]);
    let api = &apis[0];
    assert!(apis.iter().all(|other| Arc::ptr_eq(api, other)));
    assert_eq!(api.name(), "demo");

    let found = account(api).await.unwrap().unwrap();
    assert_eq!(annotation(&found, "a").as_deref(), Some("1"));
    let missing: Option<ServiceAccount> = api.get(&never(), Some("orders"), "no").await.unwrap();
    assert!(missing.is_none());
    let missing: Option<ServiceAccount> = api.get(&never(), Some("nowhere"), "api").await.unwrap();
    assert!(missing.is_none());
    let namespace: Option<Namespace> = api.get(&never(), None, "orders").await.unwrap();
    assert!(namespace.is_some());
    let nodes: Vec<Node> = api.list(&never(), Scope::Cluster, None).await.unwrap();
    assert_eq!(nodes.len(), 2);
    let entry = sandbox.requests().pop().unwrap();
    assert!(entry.caller_arn.contains("123456789012"), "{entry:?}");
    assert!(
        entry.user_agent.contains("terraform-provider-podidentity"),
        "{}",
        entry.user_agent
    );
}

#[tokio::test]
async fn a_cluster_that_eks_does_not_know() {
    let sandbox = sandbox();
    let data = data_for(&sandbox, &[]).await;
    let error = data.kubernetes_api(&never(), "other").await.unwrap_err();
    assert_eq!(error.kind(), KubernetesErrorKind::Aws);
    let detail = error.into_diagnostic("s", "", "").detail;
    assert!(detail.contains("DescribeCluster"), "{detail}");
}

#[tokio::test]
async fn lists_come_in_pages_of_500() {
    let accounts: Vec<_> = (0..1200)
        .map(|n| json!({"namespace": "orders", "name": format!("sa-{n:04}"), "labels": {"even": (n % 2 == 0).to_string()}}))
        .collect();
    let sandbox = seeded(json!({"service_accounts": accounts}));
    let api = api(&sandbox).await;
    let orders = Scope::Namespace("orders");
    let list = |selector| api.list::<ServiceAccount>(&NEVER, orders, selector);

    // The namespace's own "default" may be there as well.
    let found = list(None).await.unwrap();
    assert!((1200..=1201).contains(&found.len()), "{}", found.len());
    assert_eq!(operations(&sandbox), ["list serviceaccounts"; 3]);
    assert!(
        sandbox
            .requests()
            .iter()
            .all(|entry| entry.parameters["limit"] == "500")
    );

    sandbox.clear_requests();
    assert_eq!(list(Some("even=true")).await.unwrap().len(), 600);
    assert_eq!(operations(&sandbox).len(), 2);

    // The API server forgets where the list was: it is begun anew, once, and nothing is there twice.
    sandbox.clear_requests();
    sandbox.fault(Fault {
        skip: 1,
        ..status("list serviceaccounts", "Expired", 410)
    });
    assert_eq!(list(None).await.unwrap().len(), found.len());
    assert_eq!(operations(&sandbox).len(), 5);

    // It never gets better: an end there must be.
    sandbox.clear_requests();
    sandbox.clear_faults();
    for restart in 0..10 {
        // Every second page of the list begun anew.
        sandbox.fault(Fault {
            skip: 1 + 2 * restart,
            ..status("list serviceaccounts", "Expired", 410)
        });
    }
    let error = list(None).await.unwrap_err();
    assert_eq!(error.http_status(), Some(410));
    assert_eq!(operations(&sandbox).len(), 8);
}

static NEVER: std::sync::LazyLock<CancellationToken> =
    std::sync::LazyLock::new(CancellationToken::new);

#[tokio::test]
async fn busy_servers_and_lost_connections_are_asked_again() {
    let sandbox = with_account();
    let api = api(&sandbox).await;
    for rule in [
        status("get serviceaccounts", "ServiceUnavailable", 503),
        status("get serviceaccounts", "InternalError", 500),
        status("get serviceaccounts", "BadGateway", 502),
        status("get serviceaccounts", "Timeout", 504),
        Fault {
            drop: Some(Drop::Before),
            ..fault("get serviceaccounts")
        },
        Fault {
            drop: Some(Drop::After),
            ..fault("get serviceaccounts")
        },
    ] {
        sandbox.clear_requests();
        sandbox.fault(rule.clone());
        assert!(account(&api).await.unwrap().is_some(), "{rule:?}");
        assert_eq!(operations(&sandbox).len(), 2, "{rule:?}");
    }
    // The sandbox says Retry-After: 1.
    sandbox.fault(Fault {
        throttle: true,
        ..fault("get serviceaccounts")
    });
    let start = Instant::now();
    assert!(account(&api).await.unwrap().is_some());
    assert!(start.elapsed() >= Duration::from_secs(1));
}

#[tokio::test]
async fn it_is_not_asked_for_ever() {
    let sandbox = with_account();
    let data = data_for(&sandbox, &[("max_retries", 1.into())]).await;
    let api = data.kubernetes_api(&never(), "demo").await.unwrap();
    sandbox.clear_requests();
    sandbox.fault(Fault {
        count: None,
        ..status("get serviceaccounts", "ServiceUnavailable", 503)
    });
    let error = account(&api).await.unwrap_err();
    assert_eq!(operations(&sandbox).len(), 2);
    assert_eq!(error.kind(), KubernetesErrorKind::Unavailable);
    assert_eq!(
        error.to_string(),
        "get serviceaccounts \"api\" in namespace \"orders\" of cluster \"demo\": something (HTTP 503)"
    );
    let detail = error.into_diagnostic("s", "Object.", "Next.").detail;
    assert_eq!(detail, format!("Object.\n\n{error} (2 attempts).\n\nNext."));
}

#[tokio::test]
async fn a_guarded_patch_that_comes_too_late_is_a_conflict() {
    let sandbox = with_account();
    let api = api(&sandbox).await;
    let before = account(&api).await.unwrap().unwrap();
    let version = before.metadata.resource_version.as_deref();
    let after = patch(&api, &annotate("b", Some("2"), version))
        .await
        .unwrap();
    assert_eq!(annotation(&after, "a").as_deref(), Some("1"));
    assert_eq!(annotation(&after, "b").as_deref(), Some("2"));
    let owners = after.metadata.managed_fields.unwrap_or_default();
    assert!(
        owners
            .iter()
            .any(|owner| owner.manager.as_deref() == Some("terraform-provider-podidentity")),
        "{owners:?}"
    );

    let late = patch(&api, &annotate("a", None, version))
        .await
        .unwrap_err();
    assert_eq!(late.kind(), KubernetesErrorKind::Conflict);
    assert!(late.is_conflict());
    assert!(
        late.message().contains("the object has been modified"),
        "{late}"
    );
    sandbox.clear_requests();
    sandbox.fault(status("patch serviceaccounts", "Conflict", 409));
    let error = patch(&api, &annotate("a", None, None)).await.unwrap_err();
    assert_eq!(error.kind(), KubernetesErrorKind::Conflict);
    assert_eq!(
        operations(&sandbox).len(),
        1,
        "a conflict is not retried blindly"
    );

    let gone = patch(&api, &annotate("a", None, None)).await.unwrap();
    assert_eq!(annotation(&gone, "a"), None);
}

/// The answer of the first attempt is lost; the second cannot know that the first was carried out.
#[tokio::test]
async fn patches_are_repeated_safely() {
    let sandbox = with_account();
    let api = api(&sandbox).await;
    let before = account(&api).await.unwrap().unwrap();
    let lost = Fault {
        drop: Some(Drop::After),
        ..fault("patch serviceaccounts")
    };
    sandbox.fault(lost.clone());
    let after = patch(&api, &annotate("b", Some("2"), None)).await.unwrap();
    assert_eq!(annotation(&after, "b").as_deref(), Some("2"));

    sandbox.fault(lost);
    let version = after.metadata.resource_version.as_deref();
    assert_ne!(version, before.metadata.resource_version.as_deref());
    let error = patch(&api, &annotate("c", Some("3"), version))
        .await
        .unwrap_err();
    assert!(
        error.is_conflict(),
        "who reads again finds it done: {error}"
    );
    let found = account(&api).await.unwrap().unwrap();
    assert_eq!(annotation(&found, "c").as_deref(), Some("3"));
}

#[tokio::test]
async fn kinds_that_the_cluster_does_not_serve() {
    let rollouts = ApiResource {
        group: "argoproj.io".to_owned(),
        version: "v1alpha1".to_owned(),
        api_version: "argoproj.io/v1alpha1".to_owned(),
        kind: "Rollout".to_owned(),
        plural: "rollouts".to_owned(),
    };
    let sandbox = with_account();
    let api = api(&sandbox).await;
    for scope in [Scope::Cluster, Scope::Namespace("orders")] {
        let none = api.list_dynamic(&never(), &rollouts, scope).await.unwrap();
        assert!(none.is_none());
    }
    sandbox
        .seed(json!({"clusters": [{
            "name": "demo",
            "custom_kinds": [{"group": "argoproj.io", "version": "v1alpha1", "kind": "Rollout", "plural": "rollouts", "namespaced": true}],
            "objects": [{"apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "metadata": {"namespace": "orders", "name": "web"}, "spec": {"weight": 1.5}}],
        }]}))
        .unwrap();
    let found = api
        .list_dynamic(&never(), &rollouts, Scope::Cluster)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].metadata.name.as_deref(), Some("web"));
    assert_eq!(found[0].data["spec"]["weight"].to_string(), "1.5");
}

#[tokio::test]
async fn a_dry_run_leaves_nothing() {
    let sandbox = with_account();
    let api = api(&sandbox).await;
    let pod: Pod = serde_json::from_value(json!({
        "metadata": {"generateName": "probe-", "namespace": "orders"},
        "spec": {
            "serviceAccountName": "api",
            "containers": [{"name": "probe", "image": "registry.k8s.io/pause:3.10"}],
        },
    }))
    .unwrap();
    let made = api.create_dry_run(&never(), "orders", &pod).await.unwrap();
    assert!(made.metadata.uid.is_some(), "{made:?}");
    let pods: Vec<Pod> = api
        .list(&never(), Scope::Namespace("orders"), None)
        .await
        .unwrap();
    assert!(pods.is_empty());
    assert!(
        sandbox
            .requests()
            .iter()
            .any(|entry| entry.operation == "create pods" && entry.parameters["dryRun"] == "All")
    );
}

#[tokio::test]
async fn a_stop_ends_reads_at_once() {
    let sandbox = with_account();
    let api = api(&sandbox).await;
    sandbox.fault(Fault {
        hold: true,
        ..fault("get serviceaccounts")
    });
    let cancel = CancellationToken::new();
    let read = api.get::<ServiceAccount>(&cancel, Some("orders"), "api");
    let (result, ()) = tokio::join!(read, stop_when_held(&sandbox, &cancel));
    assert!(result.unwrap_err().is_cancelled());
    sandbox.clear_faults();

    // Between attempts too, and before the first.
    sandbox.fault(Fault {
        count: None,
        ..status("get serviceaccounts", "ServiceUnavailable", 503)
    });
    sandbox.clear_requests();
    let cancel = CancellationToken::new();
    let read = api.get::<ServiceAccount>(&cancel, Some("orders"), "api");
    let (result, ()) = tokio::join!(read, async {
        while sandbox.requests().len() < 2 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        cancel.cancel();
    });
    assert!(result.unwrap_err().is_cancelled());
    // Another may have been on its way.
    assert!((2..=3).contains(&operations(&sandbox).len()));
    sandbox.clear_requests();
    let result = api
        .get::<ServiceAccount>(&cancel, Some("orders"), "api")
        .await;
    assert!(result.unwrap_err().is_cancelled());
    assert!(operations(&sandbox).is_empty());
}

#[tokio::test]
async fn a_stop_lets_a_write_answer() {
    let sandbox = with_account();
    let api = api(&sandbox).await;
    sandbox.fault(Fault {
        hold: true,
        ..fault("patch serviceaccounts")
    });
    let cancel = CancellationToken::new();
    let body = annotate("b", Some("2"), None);
    let write =
        api.patch::<ServiceAccount>(&cancel, Some("orders"), "api", PatchKind::Merge, &body);
    let (result, ()) = tokio::join!(write, async {
        stop_when_held(&sandbox, &cancel).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
        sandbox.clear_faults();
    });
    assert_eq!(annotation(&result.unwrap(), "b").as_deref(), Some("2"));
}

async fn stop_when_held(sandbox: &Sandbox, cancel: &CancellationToken) {
    while !sandbox.requests().iter().any(|entry| entry.held) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    cancel.cancel();
}

#[tokio::test]
async fn names_stay_parts_of_the_path() {
    let sandbox = with_account();
    let api = api(&sandbox).await;
    for (namespace, name) in [
        ("orders", "../secrets"),
        ("orders", ".."),
        ("orders", "a/b"),
        ("orders", ""),
        ("orders?x", "a"),
        ("", "a"),
    ] {
        let error = api
            .get::<ServiceAccount>(&never(), Some(namespace), name)
            .await
            .unwrap_err();
        assert_eq!(
            error.kind(),
            KubernetesErrorKind::Invalid,
            "{namespace} {name}"
        );
    }
    assert!(operations(&sandbox).is_empty());
}
