//! Restarts of workloads, against the sandbox's controllers.

use std::time::Instant;

use super::*;
use crate::framework::Context;
use crate::migration::facts::{PodCredentials, WorkloadId};
use crate::migration::gather;
use crate::migration::steps::rollout::{
    Cause, RESTARTED_FOR, Report, Rollout, Stopped, Target, leftovers, restart,
};

const TARGET: Target<'_> = Target {
    cluster: "demo",
    namespace: "orders",
    service_account: "api",
};

const QUICK: Rollout = Rollout {
    timeout: Duration::from_secs(30),
    pause: Duration::ZERO,
};

/// For rollouts that must not come up.
const SHORT: Rollout = Rollout {
    timeout: Duration::from_secs(1),
    pause: Duration::ZERO,
};

fn template(account: &str, name: &str) -> Json {
    json!({
        "metadata": {"labels": {"app": name}, "annotations": {"own": "kept"}},
        "spec": {"serviceAccountName": account, "containers": [
            {"name": "app", "image": "app:1", "env": [{"name": "PASSWORD", "value": "hunter2"}]},
            {"name": "side", "image": "side:1"},
        ]},
    })
}

/// A workload of orders/api with further fields of its specification.
fn workload(kind: &str, name: &str, more: Json) -> Json {
    let mut spec =
        json!({"selector": {"matchLabels": {"app": name}}, "template": template("api", name)});
    if kind == "Job" {
        spec = json!({"template": template("api", name)});
        spec["template"]["spec"]["restartPolicy"] = "Never".into();
    }
    for (key, value) in more.as_object().unwrap() {
        spec[key] = value.clone();
    }
    let group = if kind == "Job" { "batch/v1" } else { "apps/v1" };
    json!({"apiVersion": group, "kind": kind, "metadata": {"namespace": "orders", "name": name}, "spec": spec})
}

fn deployment(name: &str) -> Json {
    workload("Deployment", name, json!({"replicas": 2}))
}

fn context(provider: &Arc<ProviderData>) -> Context<ProviderData> {
    Context {
        provider: Arc::clone(provider),
        cancel: CancellationToken::new(),
    }
}

async fn to_pod_identity(
    context: &Context<ProviderData>,
    rollout: &Rollout,
) -> Result<Report, Stopped> {
    restart(context, TARGET, PodCredentials::PodIdentity, "a-1", rollout).await
}

fn ids(list: &[&str]) -> Vec<WorkloadId> {
    list.iter()
        .map(|text| {
            let (kind, name) = text.split_once('/').unwrap();
            WorkloadId {
                kind: kind.into(),
                name: name.into(),
            }
        })
        .collect()
}

fn patches(sandbox: &Sandbox) -> usize {
    ["deployments", "statefulsets", "daemonsets"]
        .iter()
        .map(|resource| calls(sandbox, &format!("patch {resource}")))
        .sum()
}

fn marker(sandbox: &Sandbox, resource: &str, name: &str) -> Json {
    let object = sandbox
        .kubernetes_object("demo", resource, Some("orders"), name)
        .unwrap();
    object["spec"]["template"]["metadata"]["annotations"][RESTARTED_FOR].clone()
}

fn seed(sandbox: &Sandbox, cluster: Json) {
    let mut cluster = cluster;
    cluster["name"] = "demo".into();
    sandbox
        .seed(json!({"settle": false, "clusters": [cluster]}))
        .unwrap();
}

#[tokio::test]
async fn restarts_one_by_one_and_names_what_it_cannot() {
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"namespace": "orders", "name": "bare"},
        "spec": template("api", "bare")["spec"],
    });
    let mut foreign = deployment("foreign");
    foreign["spec"]["template"] = template("default", "foreign");
    let (sandbox, data) = provider(json!({"objects": [
        deployment("web"),
        workload("Deployment", "idle", json!({"replicas": 0})),
        workload("Deployment", "paused", json!({"replicas": 1})),
        workload("StatefulSet", "db", json!({"replicas": 2, "serviceName": "db"})),
        workload("StatefulSet", "part", json!({"replicas": 2, "serviceName": "part", "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 1}}})),
        workload("DaemonSet", "logs", json!({})),
        workload("DaemonSet", "manual", json!({"updateStrategy": {"type": "OnDelete"}})),
        workload("Job", "import", json!({})),
        foreign,
        pod,
    ]}))
    .await;
    associate(&sandbox);
    seed(
        &sandbox,
        json!({
            "controllers": {"ready_ms": 60},
            "objects": [workload("Deployment", "paused", json!({"replicas": 1, "paused": true}))],
        }),
    );
    let context = context(&data);
    let rollout = Rollout {
        pause: Duration::from_millis(400),
        ..QUICK
    };
    let start = Instant::now();
    let report = to_pod_identity(&context, &rollout).await.unwrap();
    // Two pauses between three restarts.
    assert!(start.elapsed() >= Duration::from_millis(800));
    assert_eq!(
        report.restarted,
        ids(&["DaemonSet/logs", "Deployment/web", "StatefulSet/db"])
    );
    assert_eq!(report.already_right, ids(&["Deployment/idle"]));
    let manual: Vec<_> = report
        .manual
        .iter()
        .map(|manual| manual.workload.clone())
        .collect();
    assert_eq!(
        manual,
        ids(&[
            "DaemonSet/manual",
            "Deployment/paused",
            "Job/import",
            "Pod/bare",
            "StatefulSet/part",
        ])
    );
    for manual in &report.manual {
        assert!(
            !manual.why.is_empty() && !manual.pods.is_empty(),
            "{manual:?}"
        );
    }
    assert_eq!(patches(&sandbox), 3);

    let facts = gather::namespace_now(&context, "demo", "orders")
        .await
        .unwrap();
    let left = leftovers(&facts, "api", PodCredentials::PodIdentity);
    assert!(left.iter().all(|pod| pod.manual.is_some()), "{left:?}");
    let pods: usize = report.manual.iter().map(|manual| manual.pods.len()).sum();
    assert_eq!(left.len(), pods);

    // Nothing of the templates is lost, and nobody else's is touched.
    let object = sandbox
        .kubernetes_object("demo", "deployments", Some("orders"), "web")
        .unwrap();
    let annotations = &object["spec"]["template"]["metadata"]["annotations"];
    assert_eq!(annotations["own"], "kept");
    assert_eq!(annotations[RESTARTED_FOR], "a-1");
    assert!(annotations["kubectl.kubernetes.io/restartedAt"].is_string());
    let containers = object["spec"]["template"]["spec"]["containers"].as_array();
    assert_eq!(containers.unwrap().len(), 2);
    assert_eq!(marker(&sandbox, "deployments", "foreign"), Json::Null);

    // Once more is nothing.
    sandbox.clear_requests();
    let again = to_pod_identity(&context, &rollout).await.unwrap();
    assert_eq!(again.restarted, []);
    assert_eq!(again.manual, report.manual);
    assert_eq!(
        again.already_right,
        ids(&[
            "DaemonSet/logs",
            "Deployment/idle",
            "Deployment/web",
            "StatefulSet/db"
        ])
    );
    assert_eq!(patches(&sandbox), 0);
}

#[tokio::test]
async fn stops_at_the_first_that_does_not_come_up_and_goes_on_when_it_does() {
    for (failure, signs) in [
        ("never_ready", "runs but is not ready"),
        ("crash_loop", "CrashLoopBackOff"),
        ("pending", "not scheduled"),
    ] {
        let (sandbox, data) = provider(json!({
            "objects": [deployment("a"), deployment("b"), deployment("c")],
        }))
        .await;
        associate(&sandbox);
        seed(
            &sandbox,
            json!({"controllers": {"workloads": [{"kind": "Deployment", "name": "b", "when": "pod_identity", "failure": failure}]}}),
        );
        let context = context(&data);
        let stopped = to_pod_identity(&context, &SHORT).await.unwrap_err();
        assert!(
            matches!(&*stopped.cause, Cause::NotReady { workload, .. } if workload.name == "b"),
            "{stopped:?}"
        );
        assert_eq!(stopped.report.restarted, ids(&["Deployment/a"]));
        assert_eq!(stopped.untouched, ids(&["Deployment/c"]));
        assert_eq!(marker(&sandbox, "deployments", "c"), Json::Null);
        let detail = stopped
            .into_diagnostic("S", "O.", "orders", PodCredentials::PodIdentity)
            .detail;
        for part in [
            "O.",
            "Deployment b was restarted and did not become ready within 1s",
            signs,
            "kubectl -n orders",
            "Restarted before: Deployment a.",
            "Not touched: Deployment c.",
        ] {
            assert!(detail.contains(part), "{part}: {detail}");
        }
        assert!(!detail.contains("hunter2"), "{detail}");

        // Still broken: it is waited for, and not restarted again.
        sandbox.clear_requests();
        assert!(to_pod_identity(&context, &SHORT).await.is_err());
        assert_eq!(patches(&sandbox), 0, "{failure}");
        // Mended: only the rest is restarted.
        seed(&sandbox, json!({"controllers": {"ready_ms": 20}}));
        let report = to_pod_identity(&context, &QUICK).await.unwrap();
        assert_eq!(patches(&sandbox), 1, "{failure}");
        // It may have come up before it was looked at.
        let right = [report.already_right, report.restarted].concat();
        assert_eq!(
            right,
            ids(&["Deployment/a", "Deployment/b", "Deployment/c"])
        );
    }
}

#[tokio::test]
async fn a_progress_deadline_ends_the_wait_early() {
    let mut web = deployment("web");
    web["spec"]["progressDeadlineSeconds"] = 1.into();
    let (sandbox, data) = provider(json!({"objects": [web]})).await;
    associate(&sandbox);
    seed(
        &sandbox,
        json!({"controllers": {"workloads": [{"when": "pod_identity", "failure": "never_ready"}]}}),
    );
    let start = Instant::now();
    let stopped = to_pod_identity(&context(&data), &QUICK).await.unwrap_err();
    assert!(start.elapsed() < QUICK.timeout / 2);
    let Cause::NotReady { progress, .. } = &*stopped.cause else {
        panic!("{stopped:?}");
    };
    assert!(progress.contains("progressDeadlineSeconds"), "{progress}");
}

#[tokio::test]
async fn a_run_that_was_killed_after_the_patch_waits_and_restarts_nothing() {
    let (sandbox, data) = provider(json!({
        "objects": [deployment("web"), workload("StatefulSet", "db", json!({"replicas": 2, "serviceName": "db"}))],
    }))
    .await;
    associate(&sandbox);
    seed(&sandbox, json!({"controllers": {"ready_ms": 1500}}));
    let killed = context(&data);
    let run = to_pod_identity(&killed, &QUICK);
    let kill = async {
        while patches(&sandbox) == 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        killed.cancel.cancel();
    };
    let (result, ()) = tokio::join!(run, kill);
    let stopped = result.unwrap_err();
    assert!(stopped.is_cancelled(), "{stopped:?}");

    seed(&sandbox, json!({"controllers": {"ready_ms": 20}}));
    let report = to_pod_identity(&context(&data), &QUICK).await.unwrap();
    let done: Vec<_> = [report.restarted, report.already_right].concat();
    assert_eq!(done.len(), 2);
    assert_eq!(patches(&sandbox), 2);
    assert_eq!(marker(&sandbox, "deployments", "web"), "a-1");
    assert_eq!(marker(&sandbox, "statefulsets", "db"), "a-1");
}

#[tokio::test]
async fn an_answer_that_is_lost_does_not_restart_twice() {
    let (sandbox, data) = provider(json!({"objects": [deployment("web")]})).await;
    associate(&sandbox);
    sandbox.fault(Fault {
        operation: Some("patch deployments".into()),
        count: Some(1),
        drop: Some(podidentity_sandbox::Drop::After),
        ..Fault::default()
    });
    let report = to_pod_identity(&context(&data), &QUICK).await.unwrap();
    assert_eq!(report.restarted, ids(&["Deployment/web"]));
    assert_eq!(marker(&sandbox, "deployments", "web"), "a-1");
    let object = sandbox
        .kubernetes_object("demo", "deployments", Some("orders"), "web")
        .unwrap();
    // The first template and one more.
    let annotations = &object["metadata"]["annotations"];
    assert_eq!(annotations["deployment.kubernetes.io/revision"], "2");
}

#[tokio::test]
async fn pods_that_stay_wrong_are_restarted_once_more_and_no_more() {
    // No association: new pods get what the old ones had.
    let (sandbox, data) = provider(json!({"objects": [deployment("a"), deployment("b")]})).await;
    let context = context(&data);
    for expected in [2, 0] {
        sandbox.clear_requests();
        let stopped = to_pod_identity(&context, &QUICK).await.unwrap_err();
        let Cause::StillWrong { workload, pods } = &*stopped.cause else {
            panic!("{stopped:?}");
        };
        assert_eq!((workload.name.as_str(), pods.len()), ("a", 2));
        assert_eq!(patches(&sandbox), expected);
        assert_eq!(marker(&sandbox, "deployments", "a"), "a-1.2");
        assert_eq!(stopped.untouched, ids(&["Deployment/b"]));
        let detail = stopped
            .into_diagnostic("S", "O.", "orders", PodCredentials::PodIdentity)
            .detail;
        assert!(detail.contains("those of IRSA"), "{detail}");
    }
    // In effect now, by a restart of somebody else.
    associate(&sandbox);
    let report = restart(&context, TARGET, PodCredentials::PodIdentity, "a-2", &QUICK)
        .await
        .unwrap();
    assert_eq!(report.restarted, ids(&["Deployment/a", "Deployment/b"]));
}

#[tokio::test]
async fn there_and_back() {
    let (sandbox, data) = provider(json!({"objects": [deployment("web")]})).await;
    let id = associate(&sandbox);
    let context = context(&data);
    to_pod_identity(&context, &QUICK).await.unwrap();
    let request = json!({"clusterName": "demo", "associationId": id});
    sandbox
        .call("eks", "DeletePodIdentityAssociation", request)
        .unwrap();
    for restarted in [ids(&["Deployment/web"]), vec![]] {
        let report = restart(
            &context,
            TARGET,
            PodCredentials::WebIdentity,
            "rollback-a-1",
            &QUICK,
        )
        .await
        .unwrap();
        assert_eq!(report.restarted, restarted);
    }
    assert_eq!(marker(&sandbox, "deployments", "web"), "rollback-a-1");
}

#[tokio::test]
async fn a_right_that_is_missing_is_named() {
    let (sandbox, data) = provider(json!({"objects": [deployment("web")]})).await;
    associate(&sandbox);
    let principal = "arn:aws:iam::123456789012:user/sandbox";
    seed(
        &sandbox,
        json!({"access": [{"principal_arn": principal, "rules": [{"verbs": ["get", "list"]}]}]}),
    );
    let stopped = to_pod_identity(&context(&data), &QUICK).await.unwrap_err();
    let detail = stopped
        .into_diagnostic("S", "O.", "orders", PodCredentials::PodIdentity)
        .detail;
    for part in [
        "Deployment web",
        "verbs: [\"patch\"]",
        "resources: [\"deployments\"]",
    ] {
        assert!(detail.contains(part), "{part}: {detail}");
    }
}
