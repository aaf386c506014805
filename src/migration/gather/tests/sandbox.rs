//! Tests of the reading, against the sandbox.

use futures_util::future::join_all;
use podidentity_sandbox::{Options, Sandbox, seeds};
use serde_json::json;

use super::*;
use crate::provider::tests::data_for;

async fn with_seed(seed: Value) -> (Sandbox, Context<ProviderData>) {
    let sandbox = Sandbox::start(Options::default()).unwrap();
    sandbox.seed(seed).unwrap();
    let context = Context {
        provider: data_for(&sandbox, &[]).await,
        cancel: CancellationToken::new(),
    };
    (sandbox, context)
}

/// Calls of the Kubernetes API, by what they do.
fn calls(sandbox: &Sandbox) -> BTreeMap<String, usize> {
    let mut calls = BTreeMap::new();
    for request in sandbox.requests() {
        if request.service == "kubernetes" {
            *calls.entry(request.operation).or_default() += 1;
        }
    }
    calls
}

#[tokio::test]
async fn every_service_account_of_the_demo() {
    let (_sandbox, context) = with_seed(seeds::demo()).await;
    let all = cluster_wide(&context, "demo", None, None).await.unwrap();
    let role = |name: &str| format!("arn:aws:iam::123456789012:role/{name}");
    let web = PodCredentials::WebIdentity;
    // Service account; role; owner; workload, its desired pods and how it restarts; pods there are and their credentials.
    type Workload = (&'static str, Option<i64>, &'static str);
    let expected: Vec<(
        &str,
        &str,
        String,
        &str,
        Option<Workload>,
        usize,
        PodCredentials,
    )> = vec![
        (
            "analytics",
            "etl",
            "arn:aws:iam::210987654321:role/etl".into(),
            "",
            Some(("Deployment etl", Some(1), "rolling")),
            1,
            web,
        ),
        (
            "batch",
            "runner",
            role("batch"),
            "",
            Some(("Deployment runner", Some(1), "rolling")),
            1,
            web,
        ),
        (
            "edge",
            "collector",
            role("collector"),
            "",
            Some((
                "DaemonSet collector",
                Some(2),
                "its update strategy is OnDelete",
            )),
            2,
            web,
        ),
        (
            "legacy",
            "forgotten",
            role("deleted-long-ago"),
            "",
            None,
            0,
            web,
        ),
        (
            "legacy",
            "reports",
            role("legacy"),
            "",
            Some(("Deployment reports", Some(1), "rolling")),
            1,
            web,
        ),
        (
            "orders",
            "consumer",
            role("orders-shared"),
            "",
            Some(("Deployment consumer", Some(1), "rolling")),
            1,
            web,
        ),
        (
            "orders",
            "web",
            role("orders-shared"),
            "",
            Some(("Deployment web", Some(2), "rolling")),
            2,
            web,
        ),
        (
            "payments",
            "api",
            role("payments-api"),
            "",
            Some(("Deployment api", Some(2), "rolling")),
            2,
            web,
        ),
        (
            "payments",
            "ledger",
            role("payments-ledger"),
            "",
            Some(("Deployment ledger", Some(1), "rolling")),
            1,
            PodCredentials::PodIdentity,
        ),
        (
            "payments",
            "nightly",
            role("payments-nightly"),
            "",
            Some(("CronJob nightly", None, "its next run starts new pods")),
            0,
            web,
        ),
        (
            "payments",
            "worker",
            role("team/payments/payments-worker"),
            "",
            Some(("StatefulSet worker", Some(2), "rolling")),
            2,
            web,
        ),
        (
            "platform",
            "deployer",
            role("deployer"),
            "Argo CD application platform",
            Some(("Deployment deployer", Some(1), "rolling")),
            1,
            web,
        ),
        (
            "platform",
            "external-dns",
            role("external-dns"),
            "Helm release external-dns",
            Some(("Deployment external-dns", Some(1), "rolling")),
            1,
            web,
        ),
        (
            "platform",
            "external-secrets",
            role("external-secrets"),
            "",
            Some(("Deployment external-secrets", Some(1), "rolling")),
            1,
            web,
        ),
        (
            "preview-1",
            "app",
            role("preview"),
            "",
            Some(("Deployment app", Some(1), "rolling")),
            1,
            web,
        ),
        (
            "preview-2",
            "app",
            role("preview"),
            "",
            Some(("Deployment app", Some(1), "rolling")),
            1,
            web,
        ),
    ];
    let accounts: Vec<(&str, &str)> = all
        .iter()
        .flat_map(|(namespace, facts)| {
            let with_role = facts
                .service_accounts
                .values()
                .filter(|a| a.role_arn().is_some());
            with_role.map(move |account| (namespace.as_str(), account.name.as_str()))
        })
        .collect();
    assert_eq!(
        accounts,
        expected.iter().map(|e| (e.0, e.1)).collect::<Vec<_>>()
    );
    for (namespace, name, role, owner, workload, pods, credentials) in expected {
        let facts = &all[namespace];
        let account = &facts.service_accounts[name];
        assert_eq!(account.role_arn(), Some(role.as_str()));
        assert!(!account.uid.is_empty() && !account.resource_version.is_empty());
        // Who only seeded the rest is named by its field manager, or not at all.
        if !owner.is_empty() {
            assert_eq!(account.owner.as_ref().unwrap().to_string(), owner, "{name}");
        }
        let found: Vec<Workload> = workload.into_iter().collect();
        let summary: Vec<_> = summary(facts).into_iter().filter(|w| w.1 == name).collect();
        let summary: Vec<Workload> = summary
            .iter()
            .map(|w| (w.0.clone().leak() as &str, w.2, w.3.clone().leak() as &str))
            .collect();
        assert_eq!(summary, found, "{namespace}/{name}");
        assert_eq!(facts.pods_of(name).count(), pods, "{namespace}/{name}");
        for pod in facts.pods_of(name) {
            assert_eq!(pod.credentials, credentials, "{namespace}/{name}");
            assert!(pod.ready && pod.node.is_some() && !pod.terminating);
        }
        assert_eq!(facts.not_read, BTreeSet::new());
        let template = facts
            .workloads_of(name)
            .next()
            .and_then(|w| w.template.as_ref());
        let variables = template.map_or(0, |t| t.credential_variables.len());
        assert_eq!(variables, if name == "reports" { 2 } else { 0 });
    }
    let consumers: Vec<&ConsumerFacts> = all.values().flat_map(|f| &f.consumers).collect();
    assert_eq!(
        consumers,
        [&ConsumerFacts {
            kind: "SecretStore".into(),
            name: "secrets-manager".into(),
            service_account: "external-secrets".into(),
        }]
    );
    // A namespace by itself says the same.
    for name in ["payments", "platform"] {
        assert_eq!(*namespace(&context, "demo", name).await.unwrap(), all[name]);
    }
}

#[tokio::test]
async fn a_namespace_is_read_once() {
    let (sandbox, context) = with_seed(seeds::demo()).await;
    let answers = join_all((0..10).map(|_| namespace(&context, "demo", "payments"))).await;
    let first = answers[0].as_ref().unwrap();
    assert!(
        answers
            .iter()
            .all(|a| Arc::ptr_eq(a.as_ref().unwrap(), first))
    );
    let calls_once = calls(&sandbox);
    assert_eq!(calls_once["list pods"], 1, "{calls_once:?}");
    namespace_now(&context, "demo", "payments").await.unwrap();
    assert_eq!(calls(&sandbox)["list pods"], 2);
    namespace(&context, "demo", "payments").await.unwrap();
    assert_eq!(calls(&sandbox)["list pods"], 2, "what was read now is kept");
    forget(&context, "demo", "payments");
    namespace(&context, "demo", "payments").await.unwrap();
    assert_eq!(calls(&sandbox)["list pods"], 3);
}

fn only(resources: &[&str], groups: &[&str]) -> Value {
    json!({"clusters": [{"name": "demo", "access": [{
        "principal_arn": "arn:aws:iam::123456789012:user/sandbox",
        "rules": [{"verbs": ["get", "list"], "resources": resources, "namespaces": ["payments"], "api_groups": groups}],
    }]}]})
}

#[tokio::test]
async fn what_is_forbidden_is_noted_or_an_error() {
    let (sandbox, context) = with_seed(seeds::demo()).await;
    sandbox
        .seed(only(
            &["serviceaccounts", "pods", "namespaces", "deployments"],
            &["", "apps"],
        ))
        .unwrap();
    let facts = namespace(&context, "demo", "payments").await.unwrap();
    assert_eq!(
        facts.workloads_of("api").next().unwrap().id.to_string(),
        "Deployment api"
    );
    // Its ReplicaSets may not be read, but pods tell their Deployment.
    assert!(
        facts
            .pods_of("api")
            .all(|pod| pod.workload.to_string() == "Deployment api")
    );
    assert_eq!(
        facts.workloads_of("worker").next().unwrap().restart,
        Restart::Unknown
    );
    for resource in [
        "replicasets",
        "statefulsets",
        "daemonsets",
        "jobs",
        "cronjobs",
        "networkpolicies",
        "secretstores",
    ] {
        assert!(
            facts.not_read.iter().any(|s| s.contains(resource)),
            "{resource}: {:?}",
            facts.not_read
        );
    }
    for resource in ["deployments", "serviceaccounts"] {
        assert!(
            !facts
                .not_read
                .iter()
                .any(|s| s.contains(&format!("list {resource} "))),
            "{resource}"
        );
    }
    sandbox.seed(only(&["serviceaccounts"], &[""])).unwrap();
    sandbox.clear_requests();
    forget(&context, "demo", "payments");
    for _ in 0..2 {
        let error = namespace(&context, "demo", "payments").await.unwrap_err();
        assert!(
            error.is_forbidden() && error.to_string().contains("pods"),
            "{error}"
        );
    }
    assert_eq!(calls(&sandbox)["list pods"], 1, "a refusal is an answer");
    let error = cluster_wide(&context, "demo", None, None)
        .await
        .unwrap_err();
    assert!(error.is_forbidden(), "{error}");
}

#[tokio::test]
async fn the_whole_cluster_costs_one_list_for_500_objects() {
    let (sandbox, context) = with_seed(seeds::large(1000, 300)).await;
    let all = cluster_wide(&context, "demo", None, None).await.unwrap();
    let accounts: usize = all.values().map(|f| f.service_accounts.len()).sum();
    assert!(accounts >= 1000);
    let calls = calls(&sandbox);
    assert_eq!(
        calls["list serviceaccounts"],
        accounts.div_ceil(500),
        "{calls:?}"
    );
    for (call, count) in &calls {
        assert!(*count == 1 || call == "list serviceaccounts", "{calls:?}");
    }
    assert_eq!(
        calls.keys().filter(|c| c.contains("scaled")).count(),
        0,
        "{calls:?}"
    );
    let workloads = all
        .values()
        .flat_map(|f| &f.workloads)
        .filter(|w| w.id.kind == "Deployment");
    assert_eq!(workloads.count(), 100);
}

#[tokio::test]
async fn some_namespaces_and_labels() {
    let (sandbox, context) = with_seed(seeds::demo()).await;
    sandbox
        .seed(json!({"clusters": [{"name": "demo", "custom_kinds": [
            {"group": "external-secrets.io", "version": "v1", "kind": "ClusterSecretStore", "plural": "clustersecretstores", "namespaced": false}], "service_accounts": [
            {"namespace": "payments", "name": "api", "labels": {"wave": "1"}}]}]}))
        .unwrap();
    let names = BTreeSet::from([
        "payments".to_owned(),
        "orders".to_owned(),
        "missing".to_owned(),
    ]);
    sandbox.clear_requests();
    let some = cluster_wide(&context, "demo", Some(&names), Some("wave=1"))
        .await
        .unwrap();
    assert_eq!(some.keys().collect::<BTreeSet<_>>(), names.iter().collect());
    assert_eq!(
        some["payments"].service_accounts.keys().collect::<Vec<_>>(),
        ["api"]
    );
    assert!(some["orders"].service_accounts.is_empty() && !some["orders"].pods.is_empty());
    assert_eq!(some["missing"].namespace, "missing");
    assert_eq!(calls(&sandbox)["list pods"], 3);
    assert_eq!(
        calls(&sandbox)["list clustersecretstores"],
        1,
        "whatever the namespaces"
    );
    let none = cluster_wide(&context, "demo", Some(&BTreeSet::new()), None)
        .await
        .unwrap();
    assert!(none.is_empty());
}
