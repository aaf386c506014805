//! Restarts of workloads, against the sandbox's controllers.

use std::time::Instant;

use super::*;
use crate::framework::Context;
use crate::migration::facts::{PodCredentials, Restart, WorkloadId};
use crate::migration::gather;
use crate::migration::steps::rollout::{
    Cause, RESTARTED_FOR, Report, Rollout, Stopped, Target, leftovers, renew, restart,
};

const TARGET: Target<'_> = Target {
    cluster: "demo",
    namespace: "orders",
    service_account: "api",
};

const QUICK: Rollout = Rollout {
    deadline: None,
    timeout: Duration::from_secs(30),
    pause: Duration::ZERO,
};

/// For rollouts that must not come up.
const SHORT: Rollout = Rollout {
    deadline: None,
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
        deadline: None,
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
async fn pods_with_credentials_of_former_settings_are_restarted_once() {
    let (sandbox, data) = provider(json!({"objects": [deployment("a"), deployment("b")]})).await;
    associate(&sandbox);
    let context = context(&data);
    to_pod_identity(&context, &QUICK).await.unwrap();
    sandbox.clear_requests();
    let now = time::OffsetDateTime::now_utc().unix_timestamp();
    // Changed before any of them was there; just now, which is repeated; and once more.
    for (changed, marked, restarted) in [
        (now - 3600, "a-1", ids(&[])),
        (now + 3600, "a-1-1", ids(&["Deployment/a", "Deployment/b"])),
        (now + 3600, "a-1-1", ids(&[])),
        (now + 7200, "a-1-2", ids(&["Deployment/a", "Deployment/b"])),
    ] {
        let marker = if marked == "a-1" { "a-1-0" } else { marked };
        let report = renew(&context, TARGET, changed, marker, &QUICK)
            .await
            .unwrap();
        assert_eq!(report.restarted, restarted, "{marked}");
        assert_eq!(super::rollout::marker(&sandbox, "deployments", "a"), marked);
    }
    assert_eq!(patches(&sandbox), 4);
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

/// Another service account, web, of the same namespace, with a Deployment of the same name.
fn other_account() -> [Json; 2] {
    let account = json!({
        "apiVersion": "v1", "kind": "ServiceAccount",
        "metadata": {"namespace": "orders", "name": "web", "annotations": {"eks.amazonaws.com/role-arn": ROLE}},
    });
    let mut workload = deployment("web");
    workload["spec"]["template"] = template("web", "web");
    [account, workload]
}

const OTHER: Target<'_> = Target {
    service_account: "web",
    ..TARGET
};

async fn other_to_pod_identity(
    context: &Context<ProviderData>,
    rollout: &Rollout,
) -> Result<Report, Stopped> {
    restart(context, OTHER, PodCredentials::PodIdentity, "a-2", rollout).await
}

fn environment(mut workload: Json, variables: &[&str]) -> Json {
    for name in variables {
        let container = &mut workload["spec"]["template"]["spec"]["containers"][0];
        container["env"]
            .as_array_mut()
            .unwrap()
            .push(json!({"name": name, "value": "x"}));
    }
    workload
}

#[tokio::test]
async fn what_a_restart_cannot_change_is_left_alone() {
    let own = ["AWS_ROLE_ARN", "AWS_WEB_IDENTITY_TOKEN_FILE"];
    let (sandbox, data) = provider(json!({"objects": [
        environment(deployment("keys"), &["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"]),
        environment(deployment("own"), &own),
        deployment("web"),
    ]}))
    .await;
    associate(&sandbox);
    let context = context(&data);
    let facts = gather::namespace_now(&context, "demo", "orders")
        .await
        .unwrap();
    let own = facts.workloads.iter().find(|w| w.id.name == "own").unwrap();
    assert!(matches!(own.restart, Restart::Manual(_)), "{own:?}");
    for web in ["restarted", "already right"] {
        let report = to_pod_identity(&context, &QUICK).await.unwrap();
        let right = [report.restarted, report.already_right].concat();
        assert!(right.contains(&ids(&["Deployment/keys"])[0]), "{right:?}");
        assert!(right.contains(&ids(&["Deployment/web"])[0]), "{web}");
        let [manual] = report.manual.as_slice() else {
            panic!("{:?}", report.manual);
        };
        assert_eq!(manual.workload.name, "own");
        assert!(manual.why.contains("AWS_ROLE_ARN"), "{}", manual.why);
        assert_eq!(marker(&sandbox, "deployments", "own"), Json::Null);
        assert_ne!(marker(&sandbox, "deployments", "keys"), "a-1.2");
    }
}

/// Deletes a pod of a Deployment, in whose place comes one that `failure` keeps from becoming ready.
fn spoil_a_pod(sandbox: &Sandbox, workload: &str, failure: &str) {
    seed(
        sandbox,
        json!({"controllers": {"workloads": [{"kind": "Deployment", "name": workload, "failure": failure}]}}),
    );
    let call = |method: &str, name: Option<&str>| {
        let mut request =
            json!({"cluster": "demo", "method": method, "resource": "pods", "namespace": "orders"});
        if let Some(name) = name {
            request["name"] = name.into();
        }
        sandbox.call("kubernetes", "pods", request).unwrap()
    };
    let pods = call("GET", None);
    let names = pods["items"].as_array().unwrap().iter();
    let mut names = names.filter_map(|pod| pod["metadata"]["name"].as_str());
    let name = names.find(|name| name.starts_with(workload)).unwrap();
    call("DELETE", Some(name));
}

#[tokio::test]
async fn what_happens_after_a_restart_is_not_its_failure() {
    let (sandbox, data) = provider(json!({"objects": [deployment("web")]})).await;
    associate(&sandbox);
    let context = context(&data);
    to_pod_identity(&context, &QUICK).await.unwrap();
    spoil_a_pod(&sandbox, "web", "crash_loop");
    let start = Instant::now();
    let report = to_pod_identity(&context, &QUICK).await.unwrap();
    assert_eq!(report.already_right, ids(&["Deployment/web"]));
    assert!(start.elapsed() < QUICK.timeout / 3);

    // Somebody else's rollout, which does not come to an end.
    let patch = json!({"spec": {"template": {"metadata": {"annotations": {"own": "other"}}}}});
    sandbox
        .call("kubernetes", "patch", json!({
            "cluster": "demo", "method": "PATCH", "resource": "deployments", "namespace": "orders", "name": "web",
            "media_type": "application/merge-patch+json", "body": patch,
        }))
        .unwrap();
    let stopped = to_pod_identity(&context, &SHORT).await.unwrap_err();
    let detail = stopped
        .into_diagnostic("S", "O.", "orders", PodCredentials::PodIdentity)
        .detail;
    assert!(
        detail.contains("have what they should") && !detail.contains("was restarted and"),
        "{detail}"
    );
}

#[tokio::test]
async fn a_rollout_whose_deadline_had_passed_may_go_on() {
    let mut web = deployment("web");
    web["spec"]["progressDeadlineSeconds"] = 1.into();
    let (sandbox, data) = provider(json!({"objects": [web]})).await;
    associate(&sandbox);
    seed(
        &sandbox,
        json!({"controllers": {"workloads": [{"when": "pod_identity", "failure": "never_ready"}]}}),
    );
    let context = context(&data);
    let stopped = to_pod_identity(&context, &QUICK).await.unwrap_err();
    assert!(
        matches!(&*stopped.cause, Cause::NotReady { progress, .. } if progress.contains("progressDeadlineSeconds"))
    );
    sandbox.clear_requests();
    let mend = async {
        while calls(&sandbox, "get deployments") < 3 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        seed(&sandbox, json!({"controllers": {"ready_ms": 20}}));
    };
    let (report, ()) = tokio::join!(to_pod_identity(&context, &QUICK), mend);
    assert_eq!(report.unwrap().restarted, ids(&["Deployment/web"]));
    assert_eq!(patches(&sandbox), 0);
}

#[tokio::test]
async fn conflicts_and_passing_failures_are_not_the_end() {
    let (sandbox, data) = provider(json!({"objects": [deployment("web")]})).await;
    associate(&sandbox);
    for (operation, code, status, count) in [
        ("patch deployments", "Conflict", 409, 2),
        // More than one call repeats by itself.
        ("list replicasets", "InternalError", 500, 7),
    ] {
        sandbox.fault(Fault {
            service: Some("kubernetes".into()),
            operation: Some(operation.into()),
            // What is there in the beginning is read.
            skip: usize::from(status == 500).try_into().unwrap(),
            count: Some(count),
            error: Some(FaultError {
                code: code.into(),
                message: "etcd is slow".into(),
                status,
            }),
            ..Fault::default()
        });
    }
    let report = to_pod_identity(&context(&data), &QUICK).await.unwrap();
    assert_eq!(report.restarted, ids(&["Deployment/web"]));
    assert_eq!(calls(&sandbox, "patch deployments"), 3);
    assert_eq!(marker(&sandbox, "deployments", "web"), "a-1");
}

/// Whether pods of a Deployment are being replaced, or it waits for that.
fn is_rolling(sandbox: &Sandbox, name: &str) -> bool {
    let object = sandbox
        .kubernetes_object("demo", "deployments", Some("orders"), name)
        .unwrap();
    let status = &object["status"];
    status["observedGeneration"] != object["metadata"]["generation"]
        || status["updatedReplicas"] != 2
        || status["replicas"] != 2
        || status["readyReplicas"] != 2
}

#[tokio::test]
async fn one_workload_of_a_namespace_at_a_time() {
    let [account, web] = other_account();
    let (sandbox, data) =
        provider(json!({"objects": [account, web, deployment("a"), deployment("b")]})).await;
    associate(&sandbox);
    associate_account(&sandbox, "web");
    // Longer together than one of them may take.
    seed(&sandbox, json!({"controllers": {"ready_ms": 100}}));
    let rollout = Rollout {
        deadline: None,
        timeout: Duration::from_secs(6),
        pause: Duration::from_secs(3),
    };
    let context = context(&data);
    let done = std::sync::atomic::AtomicBool::new(false);
    let watch = async {
        while !done.load(std::sync::atomic::Ordering::Relaxed) {
            let rolling: Vec<_> = ["a", "b", "web"]
                .into_iter()
                .filter(|name| is_rolling(&sandbox, name))
                .collect();
            assert!(rolling.len() < 2, "{rolling:?}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let runs = async {
        let runs = tokio::join!(
            to_pod_identity(&context, &rollout),
            other_to_pod_identity(&context, &rollout)
        );
        done.store(true, std::sync::atomic::Ordering::Relaxed);
        runs
    };
    let ((first, second), ()) = tokio::join!(runs, watch);
    assert_eq!(first.unwrap().restarted.len(), 2);
    assert_eq!(second.unwrap().restarted, ids(&["Deployment/web"]));
    assert_eq!(patches(&sandbox), 3);
}

#[tokio::test]
async fn after_a_failure_nothing_else_of_the_namespace_is_restarted() {
    let [account, web] = other_account();
    let (sandbox, data) = provider(json!({"objects": [account, web, deployment("a")]})).await;
    associate(&sandbox);
    associate_account(&sandbox, "web");
    seed(
        &sandbox,
        json!({"controllers": {"workloads": [{"kind": "Deployment", "name": "a", "when": "pod_identity", "failure": "crash_loop"}]}}),
    );
    let first = context(&data);
    let second = context(&data);
    let third = context(&data);
    // Who waits for a turn can be stopped; who is not stopped waits longer than a restart may take, and then does nothing.
    let long = Rollout {
        deadline: None,
        timeout: Duration::from_secs(10),
        ..QUICK
    };
    let (failed, held, cancelled) = tokio::join!(
        to_pod_identity(&first, &long),
        async {
            while patches(&sandbox) == 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            other_to_pod_identity(&second, &SHORT).await
        },
        async {
            while patches(&sandbox) == 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            let start = Instant::now();
            let stop = async {
                tokio::time::sleep(Duration::from_millis(300)).await;
                third.cancel.cancel();
            };
            let (result, ()) = tokio::join!(other_to_pod_identity(&third, &SHORT), stop);
            assert!(start.elapsed() < long.timeout / 2);
            result
        }
    );
    assert!(
        matches!(&*failed.unwrap_err().cause, Cause::NotReady { workload, .. } if workload.name == "a")
    );
    assert!(cancelled.unwrap_err().is_cancelled());
    let held = held.unwrap_err();
    assert_eq!(held.untouched, ids(&["Deployment/web"]));
    let detail = held
        .into_diagnostic("S", "O.", "orders", PodCredentials::PodIdentity)
        .detail;
    for part in [
        "Deployment a of the service account \"api\"",
        "Not touched: Deployment web.",
    ] {
        assert!(detail.contains(part), "{part}: {detail}");
    }
    assert_eq!(marker(&sandbox, "deployments", "web"), Json::Null);

    // Mended, and the next run.
    seed(&sandbox, json!({"controllers": {"ready_ms": 20}}));
    let next = context(&data_for(&sandbox, &[]).await);
    to_pod_identity(&next, &QUICK).await.unwrap();
    let report = other_to_pod_identity(&next, &QUICK).await.unwrap();
    assert_eq!(report.restarted, ids(&["Deployment/web"]));
}

/// The time for everything ends what is waited for in a way that others see: nobody restarts anything beside it.
#[tokio::test]
async fn the_time_for_everything_is_the_end() {
    let [account, web] = other_account();
    let (sandbox, data) = provider(json!({"objects": [account, web, deployment("a")]})).await;
    associate(&sandbox);
    associate_account(&sandbox, "web");
    seed(
        &sandbox,
        json!({"controllers": {"workloads": [{"kind": "Deployment", "name": "a", "when": "pod_identity", "failure": "crash_loop"}]}}),
    );
    let until = |time| Rollout {
        deadline: Some(tokio::time::Instant::now() + time),
        ..QUICK
    };
    let (first, second) = (context(&data), context(&data));
    let soon = until(Duration::from_secs(10));
    let both = async {
        tokio::join!(to_pod_identity(&first, &soon), async {
            while patches(&sandbox) == 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            other_to_pod_identity(&second, &until(Duration::from_millis(50))).await
        })
    };
    let (failed, waiting) = tokio::time::timeout(Duration::from_secs(60), both)
        .await
        .expect("the first is never restarted");
    let failed = failed.unwrap_err();
    assert_eq!(failed.untouched, []);
    assert!(
        matches!(&*failed.cause, Cause::NotReady { workload, out_of_time: true, .. } if workload.name == "a")
    );
    let detail = failed
        .into_diagnostic("S", "O.", "orders", PodCredentials::PodIdentity)
        .detail;
    for part in [
        "see timeouts",
        "CrashLoopBackOff",
        "without another restart",
    ] {
        assert!(detail.contains(part), "{part}: {detail}");
    }
    let waiting = waiting.unwrap_err();
    assert_eq!(waiting.untouched, ids(&["Deployment/web"]));
    assert!(matches!(&*waiting.cause, Cause::OutOfTime { .. }));
    let held = other_to_pod_identity(&second, &QUICK).await.unwrap_err();
    assert!(matches!(&*held.cause, Cause::Held { .. }));
    assert_eq!(patches(&sandbox), 1);
}
