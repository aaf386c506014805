//! Tests of the reading, against the sandbox.

use futures_util::future::join_all;
use podidentity_sandbox::{Fault, FaultError, Options, Sandbox, seeds};
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

/// A service account with its role, who owns it, its workloads with their desired pods and how they restart, and the pods there
/// are with where they get credentials.
fn line(facts: &NamespaceFacts, name: &str) -> String {
    let account = &facts.service_accounts[name];
    let role = account.role_arn().unwrap_or_default();
    let role = role.strip_prefix("arn:aws:iam::").unwrap_or(role);
    let owner = account
        .owner
        .as_ref()
        .map_or(String::new(), |owner| format!(", {owner}"));
    let workloads: Vec<String> = summary(facts)
        .into_iter()
        .filter(|workload| workload.1 == name)
        .map(|(id, _, replicas, restart)| match replicas {
            Some(replicas) => format!("{id} of {replicas}, {restart}"),
            None => format!("{id}, {restart}"),
        })
        .collect();
    let pods: Vec<String> = facts
        .pods_of(name)
        .map(|pod| format!("{:?}", pod.credentials))
        .collect();
    format!(
        "{}/{name} {role}{owner}: {}: {}",
        facts.namespace,
        workloads.join("; "),
        pods.join(" ")
    )
}

#[tokio::test]
async fn every_service_account_of_the_demo() {
    let (_sandbox, context) = with_seed(seeds::demo()).await;
    let all = cluster_wide(&context, "demo", None).await.unwrap();
    let lines: Vec<String> = all
        .values()
        .flat_map(|facts| {
            facts
                .service_accounts
                .values()
                .filter(|account| account.role_arn().is_some())
                .map(|account| line(facts, &account.name))
        })
        .collect();
    assert_eq!(
        lines,
        [
            "analytics/etl 210987654321:role/etl, sandbox: Deployment etl of 1, rolling: WebIdentity",
            "batch/runner 123456789012:role/batch, sandbox: Deployment runner of 1, rolling: WebIdentity",
            "edge/collector 123456789012:role/collector, sandbox: DaemonSet collector of 2, its update strategy is OnDelete: WebIdentity WebIdentity",
            "legacy/forgotten 123456789012:role/deleted-long-ago, sandbox: : ",
            "legacy/reports 123456789012:role/legacy, sandbox: Deployment reports of 1, its pod template sets AWS_ROLE_ARN or AWS_WEB_IDENTITY_TOKEN_FILE itself: WebIdentity",
            "orders/consumer 123456789012:role/orders-shared, sandbox: Deployment consumer of 1, rolling: WebIdentity",
            "orders/web 123456789012:role/orders-shared, sandbox: Deployment web of 2, rolling: WebIdentity WebIdentity",
            "payments/api 123456789012:role/payments-api, sandbox: Deployment api of 2, rolling: WebIdentity WebIdentity",
            "payments/ledger 123456789012:role/payments-ledger, sandbox: Deployment ledger of 1, rolling: PodIdentity",
            "payments/nightly 123456789012:role/payments-nightly, sandbox: CronJob nightly, its next run starts new pods: ",
            "payments/worker 123456789012:role/team/payments/payments-worker, sandbox: StatefulSet worker of 2, rolling: WebIdentity WebIdentity",
            "platform/deployer 123456789012:role/deployer, Argo CD application platform: Deployment deployer of 1, rolling: WebIdentity",
            "platform/external-dns 123456789012:role/external-dns, Helm release external-dns: Deployment external-dns of 1, rolling: WebIdentity",
            "platform/external-secrets 123456789012:role/external-secrets, sandbox: Deployment external-secrets of 1, rolling: WebIdentity",
            "preview-1/app 123456789012:role/preview, sandbox: Deployment app of 1, rolling: WebIdentity",
            "preview-2/app 123456789012:role/preview, sandbox: Deployment app of 1, rolling: WebIdentity",
        ]
    );
    for facts in all.values() {
        assert_eq!(facts.not_read, BTreeSet::new());
        for account in facts.service_accounts.values() {
            assert!(!account.uid.is_empty() && !account.resource_version.is_empty());
        }
        for pod in &facts.pods {
            assert!(pod.ready && pod.node.is_some() && !pod.terminating);
        }
        for template in facts.workloads.iter().filter_map(|w| w.template.as_ref()) {
            let hard_coded = template
                .labels
                .get("app")
                .is_some_and(|app| app == "reports");
            assert_eq!(
                template.credential_variables.len(),
                if hard_coded { 2 } else { 0 }
            );
        }
    }
    let consumers: Vec<&ConsumerFacts> = all.values().flat_map(|f| &f.consumers).collect();
    assert_eq!(
        consumers,
        [&ConsumerFacts {
            kind: "SecretStore".into(),
            name: "secrets-manager".into(),
            certain: true,
            service_account: "external-secrets".into(),
        }]
    );
    // A namespace by itself says the same.
    for name in ["payments", "platform"] {
        assert_eq!(*namespace(&context, "demo", name).await.unwrap(), all[name]);
    }
}

/// The preferred version of a group may not have the kind: an older CRD is served at an older version only.
#[tokio::test]
async fn kinds_that_only_an_older_version_has() {
    let (sandbox, context) = with_seed(seeds::demo()).await;
    sandbox
        .seed(json!({"clusters": [{"name": "demo", "custom_kinds": [
            {"group": "external-secrets.io", "version": "v9", "kind": "ClusterSecretStore", "plural": "clustersecretstores", "namespaced": false}]}]}))
        .unwrap();
    let facts = namespace(&context, "demo", "platform").await.unwrap();
    let names: Vec<&str> = facts.consumers.iter().map(|c| c.name.as_str()).collect();
    assert_eq!(names, ["secrets-manager"]);
    assert_eq!(facts.not_read, BTreeSet::new());
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
    assert_eq!(
        calls(&sandbox)["list pods"],
        2,
        "what plans know stays as it is"
    );
    assert!(Arc::ptr_eq(
        &namespace(&context, "demo", "payments").await.unwrap(),
        first
    ));
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
            &["serviceaccounts", "pods", "deployments"],
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
    // Who asked differs between plan and apply, which have sessions of their own.
    for sentence in &facts.not_read {
        assert!(
            !sentence.contains("arn:") && !sentence.contains("cannot"),
            "{sentence}"
        );
        assert!(
            sentence.contains("verbs: [") && sentence.contains("of cluster \"demo\""),
            "{sentence}"
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
    let context = Context {
        provider: data_for(&sandbox, &[]).await,
        cancel: CancellationToken::new(),
    };
    sandbox.clear_requests();
    for _ in 0..2 {
        let error = namespace(&context, "demo", "payments").await.unwrap_err();
        assert!(
            error.is_forbidden() && error.to_string().contains("pods"),
            "{error}"
        );
    }
    assert_eq!(calls(&sandbox)["list pods"], 1, "a refusal is an answer");
    let error = cluster_wide(&context, "demo", None).await.unwrap_err();
    assert!(error.is_forbidden(), "{error}");
}

fn broken(sandbox: &Sandbox, operation: &str) {
    sandbox.fault(Fault {
        service: Some("kubernetes".into()),
        operation: Some(operation.into()),
        error: Some(FaultError {
            code: "InternalError".into(),
            message: "conversion webhook for external-secrets.io/v1beta1 failed, attempt 7".into(),
            status: 500,
        }),
        ..Fault::default()
    });
}

#[tokio::test]
async fn what_is_broken_beside_the_matter_stops_nothing() {
    let (sandbox, context) = with_seed(seeds::demo()).await;
    for operation in ["list secretstores", "list networkpolicies"] {
        broken(&sandbox, operation);
    }
    let facts = namespace(&context, "demo", "payments").await.unwrap();
    assert!(facts.workloads_of("api").next().is_some());
    assert_eq!(facts.not_read.len(), 2, "{:?}", facts.not_read);
    for sentence in &facts.not_read {
        assert!(
            sentence.contains("does not answer as it should") && !sentence.contains("attempt"),
            "{sentence}"
        );
    }
    let cancelled = Context {
        provider: Arc::clone(&context.provider),
        cancel: CancellationToken::new(),
    };
    cancelled.cancel.cancel();
    let error = namespace_now(&cancelled, "demo", "payments")
        .await
        .unwrap_err();
    assert!(error.is_cancelled(), "{error}");

    // What tells which pods there are is needed.
    sandbox.clear_faults();
    broken(&sandbox, "list deployments");
    assert!(namespace_now(&context, "demo", "payments").await.is_err());
}

#[tokio::test]
async fn the_whole_cluster_costs_one_list_for_500_objects() {
    let (sandbox, context) = with_seed(seeds::large(1000, 300)).await;
    let all = cluster_wide(&context, "demo", None).await.unwrap();
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
async fn some_namespaces() {
    let (sandbox, context) = with_seed(seeds::demo()).await;
    sandbox
        .seed(json!({"clusters": [{"name": "demo", "custom_kinds": [
            {"group": "external-secrets.io", "version": "v1", "kind": "ClusterSecretStore", "plural": "clustersecretstores", "namespaced": false}]}]}))
        .unwrap();
    let names = BTreeSet::from([
        "payments".to_owned(),
        "orders".to_owned(),
        "missing".to_owned(),
    ]);
    sandbox.clear_requests();
    let some = cluster_wide(&context, "demo", Some(&names)).await.unwrap();
    assert_eq!(some.keys().collect::<BTreeSet<_>>(), names.iter().collect());
    for name in ["payments", "orders"] {
        assert!(!some[name].service_accounts.is_empty() && !some[name].pods.is_empty());
    }
    assert_eq!(some["missing"].namespace, "missing");
    assert_eq!(calls(&sandbox)["list pods"], 3);
    assert_eq!(
        calls(&sandbox)["list clustersecretstores"],
        1,
        "whatever the namespaces"
    );
    let none = cluster_wide(&context, "demo", Some(&BTreeSet::new()))
        .await
        .unwrap();
    assert!(none.is_empty());
}

/// What is refused in one namespace is no concern of the others; what is refused for the cluster is of all.
#[tokio::test]
async fn a_refusal_is_noted_where_it_matters() {
    let (sandbox, context) = with_seed(seeds::demo()).await;
    let rule = |namespaces: &[&str], resources: &[&str]| json!({"verbs": ["get", "list"], "resources": resources, "namespaces": namespaces, "api_groups": ["", "apps", "batch"]});
    sandbox
        .seed(json!({"clusters": [{"name": "demo", "custom_kinds": [
            {"group": "external-secrets.io", "version": "v1", "kind": "ClusterSecretStore", "plural": "clustersecretstores", "namespaced": false}], "access": [{
            "principal_arn": "arn:aws:iam::123456789012:user/sandbox",
            "rules": [rule(&["payments", "orders"], &["*"])],
        }]}]}))
        .unwrap();
    let names = BTreeSet::from(["payments".to_owned(), "orders".to_owned()]);
    let some = cluster_wide(&context, "demo", Some(&names)).await.unwrap();
    for (name, other) in [("payments", "orders"), ("orders", "payments")] {
        let not_read = &some[name].not_read;
        for resource in ["networkpolicies", "secretstores"] {
            assert!(
                not_read.iter().any(|why| why.contains(resource)),
                "{not_read:?}"
            );
        }
        assert!(
            !not_read.iter().any(|why| why.contains(other)),
            "{name} is not told of {other}: {not_read:?}"
        );
    }
    let all: BTreeSet<&String> = some.values().flat_map(|facts| &facts.not_read).collect();
    let of_cluster = |facts: &NamespaceFacts| {
        facts
            .not_read
            .iter()
            .any(|why| why.contains("clustersecretstores"))
    };
    assert!(some.values().all(of_cluster), "{all:?}");
}
