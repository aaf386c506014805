//! Scenarios 30-35: compute, runtime, and what the role is used for.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::cluster::{self, ACCOUNT, Cluster, arn, irsa, pods, subject};
use super::*;

const ROLE: &str = "payments-api";

fn variable(name: &str, value: &str) -> Value {
    json!({"name": name, "value": value})
}

fn environment(template: &mut Value, variables: Value) {
    template["spec"]["containers"][0]["env"] = variables;
}

/// The agent as its Helm chart installs it.
fn helm_agent(cluster: Cluster) -> Cluster {
    let mut agent = cluster::workload(
        "DaemonSet",
        "kube-system",
        "eks-pod-identity-agent",
        "default",
        0,
    );
    let labels = json!({"app.kubernetes.io/name": "eks-pod-identity-agent", "app.kubernetes.io/instance": "agent"});
    agent["metadata"]["labels"] = json!({"app.kubernetes.io/name": "eks-pod-identity-agent", "app.kubernetes.io/managed-by": "Helm"});
    agent["spec"]["selector"]["matchLabels"] = labels.clone();
    agent["spec"]["template"]["metadata"]["labels"] = labels;
    cluster.object(agent)
}

/// Scenario 30, the good ones: add-on, Helm chart, Auto Mode.
#[test]
fn s30_agents_that_work() {
    let none = Cluster::plain().unset("addons");
    let auto_nodes =
        json!([{"name": "node-1", "labels": {"eks.amazonaws.com/compute-type": "auto"}}]);
    for (what, cluster) in [
        ("add-on", Cluster::plain()),
        ("Helm chart", helm_agent(none.clone())),
        (
            "Auto Mode",
            none.set("auto_mode", json!(true)).set("nodes", auto_nodes),
        ),
    ] {
        let Some(mut case) = case(&cluster, with(RESTART)) else {
            return;
        };
        assert_eq!(
            planned_codes(&case.plan(), "blockers"),
            Vec::<String>::new(),
            "{what}"
        );
        case.apply()
            .expect_attribute(THIS, "phase", "verified")
            .expect_empty_plan();
        assert_eq!(
            paths(&case, "api"),
            BTreeMap::from([("pod_identity", 2)]),
            "{what}"
        );
    }
}

/// Scenario 30, the bad ones: no agent, a degraded add-on, an agent that is not on every node, one that crashes where IPv6 is off.
#[test]
fn s30_agents_that_do_not_work() {
    let nodes = |count: usize| -> Value {
        (1..=count)
            .map(|n| json!({"name": format!("node-{n}")}))
            .collect()
    };
    let failing = |nodes: Value, failure: &str| json!({"workloads": [{"kind": "DaemonSet", "name": "eks-pod-identity-agent", "nodes": nodes, "failure": failure}]});
    for (what, cluster, code) in [
        ("none", Cluster::plain().unset("addons"), "agent_missing"),
        (
            "degraded",
            Cluster::plain().set("addons", json!([{"name": "eks-pod-identity-agent", "status": "DEGRADED", "issues": [
                {"code": "InsufficientNumberOfReplicas", "message": "The add-on is unhealthy", "resourceIds": []},
            ]}])),
            "agent_unhealthy",
        ),
        (
            "three of four nodes",
            Cluster::plain().set("nodes", nodes(4)).set("controllers", failing(json!(["node-4"]), "never_ready")),
            "agent_not_on_nodes",
        ),
        (
            "crashes without IPv6",
            helm_agent(Cluster::plain().unset("addons")).set("controllers", failing(json!(["node-1", "node-2"]), "crash_loop")),
            "agent_not_on_nodes|agent_unhealthy",
        ),
    ] {
        let Some(mut case) = case(&cluster, with(RESTART)) else {
            return;
        };
        println!("{what}");
        expect_blocker(&mut case, code, "(?i)agent");
    }
}

/// Scenario 30: a cluster that is not active, or too old.
#[test]
fn s30_clusters_that_cannot() {
    let agent = json!([{"name": "eks-pod-identity-agent", "version": "v1.3.8-eksbuild.2"}]);
    for (field, value, code) in [
        ("status", "UPDATING", "cluster_not_active"),
        ("status", "FAILED", "cluster_not_active"),
        ("version", "1.23", "cluster_version"),
    ] {
        let cluster = Cluster::plain()
            .set("addons", agent.clone())
            .set(field, json!(value));
        let Some(mut case) = case(&cluster, with(RESTART)) else {
            return;
        };
        expect_blocker(&mut case, code, value);
    }
}

/// Scenario 31: pods on Fargate, and workloads that a Fargate profile would take, cannot have Pod Identity; neither can Windows pods.
#[test]
fn s31_compute_without_an_agent() {
    let profile = json!([{"fargateProfileName": "batch", "status": "ACTIVE", "selectors": [{"namespace": "payments", "labels": {"app": "api"}}]}]);
    let windows_nodes =
        json!([{"name": "node-1"}, {"name": "win-1", "labels": {"kubernetes.io/os": "windows"}}]);
    let without_pods = Cluster::empty()
        .role(ROLE, json!([irsa(subject("payments", "api"))]))
        .service_account("payments", "api", &arn(ROLE))
        .workload("Deployment", "payments", "api", "api", 0);
    for (cluster, code, pattern) in [
        (
            Cluster::plain().set("fargate_profiles", profile.clone()),
            "fargate",
            "batch|Deployment",
        ),
        (
            without_pods.set("fargate_profiles", profile),
            "fargate",
            "batch",
        ),
        (
            Cluster::plain()
                .template(|t| t["spec"]["nodeSelector"] = json!({"kubernetes.io/os": "windows"}))
                .set("nodes", windows_nodes),
            "windows",
            "Deployment",
        ),
    ] {
        let Some(mut case) = case(&cluster, with(RESTART)) else {
            return;
        };
        expect_blocker(&mut case, code, pattern);
        assert_eq!(paths(&case, "api").get("pod_identity"), None);
    }
}

/// Scenario 31: what makes the agent hard to reach is a warning that names the workload.
#[test]
fn s31_pods_that_may_not_reach_the_agent() {
    let hybrid = json!([{"name": "node-1"}, {"name": "mi-1", "labels": {"eks.amazonaws.com/compute-type": "hybrid"}}]);
    let policy = json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
        "metadata": {"namespace": "payments", "name": "locked-down"},
        "spec": {"podSelector": {}, "policyTypes": ["Egress"], "egress": [{"to": [{"ipBlock": {"cidr": "10.0.0.0/8"}}]}]},
    });
    for (cluster, code) in [
        (Cluster::plain().template(|t| t["spec"]["hostNetwork"] = true.into()), "host_network"),
        (
            Cluster::plain()
                .template(|t| t["spec"]["nodeSelector"] = json!({"eks.amazonaws.com/compute-type": "hybrid"}))
                .set("nodes", hybrid),
            "hybrid_nodes",
        ),
        (Cluster::plain().object(policy), "network_policy"),
        (
            Cluster::plain().template(|t| environment(t, json!([variable("HTTPS_PROXY", "http://proxy.example:3128")]))),
            "proxy",
        ),
        (
            Cluster::plain().template(|t| t["metadata"]["annotations"] = json!({"eks.amazonaws.com/skip-containers": "app"})),
            "skipped_by_webhook",
        ),
        (
            Cluster::plain().template(|t| t["metadata"]["annotations"] = json!({"vpc.amazonaws.com/pod-eni": "[]"})),
            "security_groups_for_pods",
        ),
        (
            Cluster::plain().template(|t| {
                t["spec"]["volumes"] = json!([{"name": "token", "projected": {"sources": [{"serviceAccountToken": {"audience": "sts.amazonaws.com", "path": "token"}}]}}]);
            }),
            "projected_token",
        ),
    ] {
        let Some(case) = case(&cluster, with(RESTART)) else {
            return;
        };
        let message = expect_warning(&case, code);
        assert!(message.contains("api") || message.contains("locked-down"), "{code}: {message}");
    }
}

/// Scenario 32: variables in the pod template that shadow Pod Identity, or break with it, stop the migration.
#[test]
fn s32_hard_coded_credentials() {
    let role = variable("AWS_ROLE_ARN", &arn(ROLE));
    for variables in [
        json!([
            role,
            variable(
                "AWS_WEB_IDENTITY_TOKEN_FILE",
                "/var/run/secrets/eks.amazonaws.com/serviceaccount/token"
            )
        ]),
        json!([role]),
        json!([variable("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE"), {"name": "AWS_SECRET_ACCESS_KEY", "valueFrom": {"secretKeyRef": {"name": "aws", "key": "secret"}}}]),
        json!([variable(
            "AWS_CONTAINER_CREDENTIALS_FULL_URI",
            "http://localhost/credentials"
        )]),
    ] {
        let name = variables[0]["name"].as_str().unwrap_or_default().to_owned();
        let cluster = Cluster::plain().template(|t| environment(t, variables.clone()));
        let Some(mut case) = case(&cluster, with(RESTART)) else {
            return;
        };
        expect_blocker(
            &mut case,
            "hard_coded_credentials",
            &format!("{name}|Deployment"),
        );
    }
}

/// Scenario 33: while the webhook is down, its failure policy lets pods start with nothing at all. The proof by dry run fails before
/// anything is cut over.
#[test]
fn s33_webhook_down() {
    let Some(mut case) = case(&Cluster::plain(), with(RESTART)) else {
        return;
    };
    // An outage costs new pods their credentials; that is not the migration's doing.
    expect_credentials(&case, false);
    set_webhook(&case, json!({"down": true}));
    let outcome = case.clear_calls().try_apply(&[]);
    assert_eq!(outcome.code, 1, "{}", outcome.report());
    assert!(outcome.report().contains("webhook"), "{}", outcome.report());
    assert_eq!(
        associations(&case),
        [],
        "no cut-over without a working webhook"
    );
    assert_eq!(restarts(&case, "deployments", "payments", "api"), 0);
    set_webhook(&case, json!({"down": false}));
    expect_credentials(&case, true);
    case.apply()
        .expect_attribute(THIS, "phase", "verified")
        .expect_empty_plan();
    assert_eq!(paths(&case, "api"), BTreeMap::from([("pod_identity", 2)]));
}

fn set_webhook(case: &Case, webhook: Value) {
    case.sandbox()
        .seed(json!({"clusters": [{"name": "demo", "webhook": webhook}]}))
        .unwrap();
}

/// Scenario 33: without the webhook's configuration there is no injection to wait for. The plan warns; the dry-run pod before the
/// cut-over decides.
#[test]
fn s33_webhook_missing() {
    let Some(mut case) = case(&Cluster::plain(), with(RESTART)) else {
        return;
    };
    expect_credentials(&case, false);
    kubernetes(
        &case,
        json!({"method": "DELETE", "resource": "mutatingwebhookconfigurations", "name": "pod-identity-webhook"}),
    );
    case.plan_warning("webhook_missing");
    let outcome = case.clear_calls().try_apply(&[]);
    assert_eq!(outcome.code, 1, "{}", outcome.report());
    assert_eq!(associations(&case), []);
    assert_eq!(restarts(&case, "deployments", "payments", "api"), 0);
}

/// Scenario 33: API servers learn of an association one by one. Nothing is restarted before so many answers in a row agree.
#[test]
fn s33_propagation_one_by_one() {
    let cluster = Cluster::plain().set("webhook", json!({"api_servers": 3, "delay_probes": 4}));
    let more = format!(
        "{RETIRE}\n  propagation = {{ consecutive = 6, interval = \"20ms\", timeout = \"60s\" }}"
    );
    let config = with(&more).replace(
        "  propagation     = { consecutive = 2, interval = \"20ms\", timeout = \"60s\" }\n",
        "",
    );
    let Some(mut case) = case(&cluster, config) else {
        return;
    };
    case.clear_calls()
        .apply()
        .expect_attribute(THIS, "phase", "retired")
        .expect_empty_plan();
    let dry_runs = case
        .sandbox()
        .requests()
        .iter()
        .filter(|r| r.operation == "create pods")
        .count();
    assert!(dry_runs >= 12, "{dry_runs} dry runs");
    assert_eq!(paths(&case, "api"), BTreeMap::from([("pod_identity", 2)]));
    assert_eq!(restarts(&case, "deployments", "payments", "api"), 1);
    case.destroy();
    assert_eq!(paths(&case, "api"), BTreeMap::from([("web_identity", 2)]));
}

/// Scenario 33: an association that does not come into effect in time stops the apply, and no pod is touched. The next apply goes on
/// with it.
#[test]
fn s33_propagation_that_never_ends() {
    let cluster = Cluster::plain().set("webhook", json!({"delay_ms": 600_000}));
    let config = with(RESTART).replace(
        "interval = \"20ms\", timeout = \"60s\"",
        "interval = \"20ms\", timeout = \"6s\"",
    );
    let Some(mut case) = case(&cluster, config) else {
        return;
    };
    let _ = case.apply_error("not proven").anywhere();
    assert_eq!(restarts(&case, "deployments", "payments", "api"), 0);
    assert_eq!(paths(&case, "api"), BTreeMap::from([("web_identity", 2)]));
    let before = associations(&case);
    set_webhook(&case, json!({"delay_ms": 0}));
    case.apply()
        .expect_attribute(THIS, "phase", "verified")
        .expect_empty_plan();
    assert_eq!(
        associations(&case)[0].1["associationId"],
        before[0].1["associationId"]
    );
}

/// Scenario 34: what can be rolled is rolled, one after the other; the rest is listed and keeps IRSA, so nothing is retired.
#[test]
fn s34_workloads_of_every_kind() {
    let mut cluster = Cluster::empty()
        .role(ROLE, json!([irsa(subject("payments", "api"))]))
        .service_account("payments", "api", &arn(ROLE))
        .workload("Deployment", "payments", "web", "api", 2)
        .workload("Deployment", "payments", "paused", "api", 1)
        .workload("StatefulSet", "payments", "store", "api", 2)
        .workload("StatefulSet", "payments", "by-hand", "api", 1)
        .change(|s| s["spec"]["updateStrategy"] = json!({"type": "OnDelete"}))
        .workload("DaemonSet", "payments", "logs", "api", 0)
        .workload("DaemonSet", "payments", "on-delete", "api", 0)
        .change(|d| d["spec"]["updateStrategy"] = json!({"type": "OnDelete"}))
        .workload("CronJob", "payments", "nightly", "api", 0)
        .workload("Job", "payments", "import", "api", 0)
        .workload("Pod", "payments", "shell", "api", 0)
        .set("custom_kinds", json!([
            {"group": "argoproj.io", "version": "v1alpha1", "kind": "Rollout", "plural": "rollouts"},
            {"group": "serving.knative.dev", "version": "v1", "kind": "Service", "plural": "knativeservices"},
        ]))
        .object(json!({"apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "metadata": {"namespace": "payments", "name": "canary"}, "spec": {}}));
    let mut owned = cluster::workload("ReplicaSet", "payments", "canary-1", "api", 1);
    owned["metadata"]["ownerReferences"] = json!([{"apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "name": "canary", "controller": true}]);
    owned["spec"]["replicas"] = 1.into();
    let mut job = cluster::workload("Job", "payments", "nightly-1", "api", 0);
    job["metadata"]["ownerReferences"] = json!([{"apiVersion": "batch/v1", "kind": "CronJob", "name": "nightly", "controller": true}]);
    cluster = cluster.object(owned).object(job);
    let Some(mut case) = case(&cluster, with(RETIRE)) else {
        return;
    };
    // A Deployment that is paused from the start would have no pods.
    patch(
        &case,
        "deployments",
        "payments",
        "paused",
        json!({"spec": {"paused": true}}),
    );
    let message = expect_warning(&case, "manual_restart");
    for name in [
        "paused",
        "by-hand",
        "on-delete",
        "Jobs",
        "pods without a controller",
        "canary",
    ] {
        assert!(message.contains(name), "{name}: {message}");
    }
    case.apply().expect_attribute(THIS, "phase", "rolled_out");
    // A plan leaves out what may be gone before it is applied: Jobs, and pods of their own.
    case.refresh();
    let found = workloads(&case);
    let restart = |name: &str| {
        found
            .get(name)
            .map_or("missing", |(_, _, restart)| restart.as_str())
            .to_owned()
    };
    for (name, expected) in [
        ("Deployment/web", "rolling"),
        ("StatefulSet/store", "rolling"),
        ("DaemonSet/logs", "rolling"),
        ("Deployment/paused", "paused"),
        ("StatefulSet/by-hand", "OnDelete"),
        ("DaemonSet/on-delete", "OnDelete"),
        ("Job/import", "end by themselves"),
        ("Pod/shell", "without a controller"),
        ("Rollout/canary", "Rollout canary"),
    ] {
        assert!(restart(name).contains(expected), "{name}: {found:#?}");
    }
    assert!(found.contains_key("CronJob/nightly"), "{found:#?}");
    assert_eq!(
        ["web", "paused"].map(|name| restarts(&case, "deployments", "payments", name)),
        [1, 1],
        "one restart, and one pause"
    );
    assert_eq!(
        ["store", "by-hand"].map(|name| restarts(&case, "statefulsets", "payments", name)),
        [1, 0]
    );
    assert_eq!(
        ["logs", "on-delete"].map(|name| restarts(&case, "daemonsets", "payments", name)),
        [1, 0]
    );
    // IRSA goes on for those that were not restarted.
    assert_eq!(
        statements(&trust(&case, ROLE))[0],
        irsa(subject("payments", "api"))
    );
    assert_eq!(
        annotations(&case, "payments", "api")["eks.amazonaws.com/role-arn"],
        arn(ROLE)
    );
    let now = paths(&case, "api");
    assert_eq!(now.get("none"), None, "{now:?}");
    assert!(
        now["web_identity"] >= 6 && now["pod_identity"] >= 6,
        "{now:?}"
    );

    // Once they are gone or replaced, the next apply retires.
    for (resource, name) in [
        ("pods", "shell"),
        ("jobs", "import"),
        ("jobs", "nightly-1"),
        ("replicasets", "canary-1"),
        ("deployments", "paused"),
    ] {
        kubernetes(
            &case,
            json!({"method": "DELETE", "resource": resource, "namespace": "payments", "name": name, "query": {"propagationPolicy": "Background"}}),
        );
    }
    let by_hand = case.sandbox().credential_report().pods;
    for pod in by_hand
        .iter()
        .filter(|p| p.path == "web_identity" && p.service_account == "api")
    {
        let _ = case.sandbox().call("kubernetes", "request", json!({"method": "DELETE", "resource": "pods", "namespace": "payments", "name": pod.pod}));
    }
    case.apply()
        .expect_attribute(THIS, "phase", "retired")
        .expect_empty_plan();
    assert_eq!(paths(&case, "api").get("web_identity"), None);
}

/// Scenario 34: without a rollout, running pods keep what they have until something else replaces them.
#[test]
fn s34_without_a_rollout() {
    let Some(mut case) = case(
        &Cluster::plain(),
        with("retire = { annotation = true, trust = true }"),
    ) else {
        return;
    };
    case.apply().expect_attribute(THIS, "phase", "propagated");
    assert_eq!(paths(&case, "api"), BTreeMap::from([("web_identity", 2)]));
    assert_eq!(restarts(&case, "deployments", "payments", "api"), 0);
    // Somebody deploys.
    patch(
        &case,
        "deployments",
        "payments",
        "api",
        json!({"spec": {"template": {"metadata": {"annotations": {"release": "2"}}}}}),
    );
    assert_eq!(paths(&case, "api"), BTreeMap::from([("pod_identity", 2)]));
    case.apply()
        .expect_attribute(THIS, "phase", "retired")
        .expect_empty_plan();
    assert_eq!(
        restarts(&case, "deployments", "payments", "api"),
        1,
        "the deployment was not ours"
    );
}

/// Scenario 34: the first workload that does not become ready stops the apply; those after it are not touched, and nobody has lost
/// anything. Once it is mended, the next apply goes on without restarting anything twice.
#[test]
fn s34_a_rollout_that_fails() {
    let cluster = Cluster::empty()
        .role(ROLE, json!([irsa(subject("payments", "api"))]))
        .service_account("payments", "api", &arn(ROLE))
        .workload("Deployment", "payments", "a", "api", 2)
        .workload("Deployment", "payments", "b", "api", 2)
        .workload("Deployment", "payments", "c", "api", 2)
        .set("controllers", json!({"workloads": [{"kind": "Deployment", "name": "b", "when": "pod_identity", "failure": "crash_loop"}]}));
    let Some(mut case) = case(&cluster, with(&RETIRE.replace("60s", "10s"))) else {
        return;
    };
    let _ = case.apply_error("Deployment.*b").anywhere();
    let counts =
        |case: &Case| ["a", "b", "c"].map(|name| restarts(case, "deployments", "payments", name));
    assert_eq!(counts(&case), [1, 1, 0]);
    assert_eq!(
        annotations(&case, "payments", "api")["eks.amazonaws.com/role-arn"],
        arn(ROLE)
    );
    assert_eq!(
        statements(&trust(&case, ROLE))[0],
        irsa(subject("payments", "api"))
    );
    let now = paths(&case, "api");
    assert_eq!(now.get("none"), None, "{now:?}");
    case.sandbox()
        .seed(json!({"clusters": [{"name": "demo", "controllers": {}}]}))
        .unwrap();
    case.apply()
        .expect_attribute(THIS, "phase", "retired")
        .expect_empty_plan();
    assert_eq!(counts(&case), [1, 1, 1]);
}

/// Scenario 34: workloads restart one after the other, each ready before the next begins.
#[test]
fn s34_one_at_a_time() {
    let mut cluster = Cluster::empty()
        .role(ROLE, json!([irsa(subject("payments", "api"))]))
        .service_account("payments", "api", &arn(ROLE))
        .set("controllers", json!({"ready_ms": 400}));
    for name in ["a", "b", "c"] {
        cluster = cluster.workload("Deployment", "payments", name, "api", 2);
    }
    let Some(mut case) = case(&cluster, with(RESTART)) else {
        return;
    };
    case.clear_calls().apply();
    let order: Vec<String> = case
        .sandbox()
        .requests()
        .iter()
        .filter(|r| r.operation == "patch deployments")
        .map(|r| r.parameters["name"].as_str().unwrap_or_default().to_owned())
        .collect();
    assert_eq!(order, ["a", "b", "c"]);
    // A pod is ready 400 ms after it was made at the earliest, so that is the least between two restarts.
    let times = super::soak::times(&case, "patch deployments");
    for pair in times.windows(2) {
        assert!(
            pair[1] - pair[0] >= time::Duration::milliseconds(400),
            "{times:?}"
        );
    }
    assert_eq!(paths(&case, "api"), BTreeMap::from([("pod_identity", 6)]));
}

/// Scenario 34: a pod that has been replaced runs on until it has ended, with the credentials it has. IRSA is retired after that.
#[test]
fn s34_pods_that_take_their_time_to_end() {
    let cluster = Cluster::plain().set("controllers", json!({"termination_ms": 2000}));
    let Some(mut case) = case(&cluster, with(RETIRE)) else {
        return;
    };
    let started = std::time::Instant::now();
    case.apply()
        .expect_attribute(THIS, "phase", "retired")
        .expect_empty_plan();
    assert!(started.elapsed() >= std::time::Duration::from_secs(2));
    assert_eq!(paths(&case, "api"), BTreeMap::from([("pod_identity", 2)]));
    case.destroy();
    assert_eq!(paths(&case, "api"), BTreeMap::from([("web_identity", 2)]));
}

/// Scenario 35: what the role may assume further must let session tags through; in the same account that is looked up, elsewhere it
/// cannot be.
#[test]
fn s35_role_chaining() {
    let may_assume = |resource: Value| json!({"InlinePolicies": {"chain": {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": resource}]}}});
    let trusts = |action: Value| json!([{"Effect": "Allow", "Principal": {"AWS": format!("arn:aws:iam::{ACCOUNT}:root")}, "Action": action}]);
    let document =
        json!({"Version": "2012-10-17", "Statement": [irsa(subject("payments", "api"))]});
    let cluster = |resource: Value| {
        Cluster::empty()
            .role("target-old", trusts(json!("sts:AssumeRole")))
            .role(
                "target-new",
                trusts(json!(["sts:AssumeRole", "sts:TagSession"])),
            )
            .role_with(ROLE, document.clone(), may_assume(resource))
            .service_account("payments", "api", &arn(ROLE))
            .workload("Deployment", "payments", "api", "api", 1)
    };
    let foreign = "arn:aws:iam::999999999999:role/data";
    for (resource, names) in [
        (arn("target-old"), "target-old"),
        (foreign.to_owned(), foreign),
        (arn(ROLE), ROLE),
    ] {
        let Some(case) = case(&cluster(json!(resource)), with(RESTART)) else {
            return;
        };
        let message = expect_warning(&case, "role_chaining");
        assert!(
            message.contains(names) && message.contains("sts:TagSession"),
            "{message}"
        );
    }
    let quiet = case(&cluster(json!(arn("target-new"))), with(RESTART)).unwrap();
    let warnings = planned_codes(&quiet.plan(), "warnings");
    assert!(
        !warnings.contains(&"role_chaining".to_owned()),
        "{warnings:?}"
    );
}

/// Controllers that read the annotation themselves are named before it is taken away.
#[test]
fn consumers_of_the_annotation() {
    let cluster = Cluster::plain()
        .set("custom_kinds", json!([{"group": "external-secrets.io", "version": "v1", "kind": "SecretStore", "plural": "secretstores"}]))
        .object(json!({
            "apiVersion": "external-secrets.io/v1", "kind": "SecretStore", "metadata": {"namespace": "payments", "name": "vault"},
            "spec": {"provider": {"aws": {"service": "SecretsManager", "region": "us-east-1", "auth": {"jwt": {"serviceAccountRef": {"name": "api"}}}}}},
        }));
    let Some(mut case) = case(&cluster, with(RESTART)) else {
        return;
    };
    let message = expect_warning(&case, "annotation_consumers");
    assert!(message.contains("vault"), "{message}");
    case.config(with(RETIRE));
    expect_blocker(&mut case, "retire_breaks_consumers", "SecretStore vault");
    // It is only in the way of retiring, and the plan says so also of one that was migrated without a word about it.
    case.config(with(RESTART)).apply().config(with(RETIRE));
    expect_blocker(&mut case, "retire_breaks_consumers", "SecretStore vault");
    // Giving back is never refused, whatever speaks against what is retired already.
    let ignoring = format!("{RETIRE}\n  ignore_blockers = [\"retire_breaks_consumers\"]");
    case.config(with(&ignoring))
        .apply()
        .expect_attribute(THIS, "phase", "retired");
    case.config(with(&RETIRE.replace(", trust = true", "")))
        .apply()
        .expect_attribute(THIS, "phase", "retired")
        .expect_empty_plan();
    assert_eq!(statements(&trust(&case, ROLE)).len(), 2);
}

/// The agent and a migration that depends on it, in one configuration.
#[test]
fn s30_an_agent_of_the_same_configuration() {
    let agent = r#"
        resource "podidentity_agent" "this" {
          cluster_name = "{{cluster}}"
        }
    "#;
    let depends = format!("{RESTART}\n  depends_on = [podidentity_agent.this]");
    let config = format!("{agent}{}", with(&depends));
    let Some(mut case) = case(&Cluster::plain().unset("addons"), config) else {
        return;
    };
    let plan = case.plan();
    assert_eq!(planned_codes(&plan, "blockers"), Vec::<String>::new());
    assert!(
        plan.after(THIS, "warnings").is_err(),
        "known after apply: {plan:?}"
    );
    case.apply()
        .expect_attribute(THIS, "phase", "verified")
        .expect_empty_plan()
        .destroy();
}

/// If reality moves between the plan and its apply, the apply stops and says what moved.
#[test]
fn reality_moves_between_plan_and_apply() {
    let Some(mut case) = case(&Cluster::plain(), with(RESTART)) else {
        return;
    };
    case.plan();
    let profile = json!([{"fargateProfileName": "late", "status": "ACTIVE", "selectors": [{"namespace": "payments"}]}]);
    case.sandbox()
        .seed(json!({"clusters": [{"name": "demo", "fargate_profiles": profile}]}))
        .unwrap();
    case.clear_calls();
    let outcome = case.run(&["apply", "-json", "tfplan"]);
    assert_eq!(outcome.code, 1, "{}", outcome.report());
    assert!(outcome.report().contains("late"), "{}", outcome.report());
    assert_eq!(associations(&case), []);

    // A trust policy that has changed is no reason to overwrite it.
    let Some(mut case) = super::case(&Cluster::plain(), with(RESTART)) else {
        return;
    };
    case.plan();
    let theirs = pods(
        "Theirs",
        Some(json!({"StringEquals": {"aws:RequestTag/kubernetes-namespace": "orders"}})),
    );
    let document =
        json!({"Version": "2012-10-17", "Statement": [irsa(subject("payments", "api")), theirs]});
    case.sandbox()
        .call(
            "iam",
            "UpdateAssumeRolePolicy",
            json!({"RoleName": ROLE, "PolicyDocument": document.to_string()}),
        )
        .unwrap();
    let outcome = case.run(&["apply", "-json", "tfplan"]);
    let now = statements(&trust(&case, ROLE));
    assert_eq!(now[1], theirs, "{}", outcome.report());
    // Terraform before 1.16 does not tell the provider what was planned, and notices the difference itself.
    assert_eq!(outcome.code, 1, "{}", outcome.report());
    let report = outcome.report();
    assert!(
        report.contains("trust policy") || report.contains("trust_policy"),
        "{report}"
    );
    assert_eq!(associations(&case), []);
    case.apply().expect_empty_plan();
    assert_eq!(statements(&trust(&case, ROLE))[1], theirs);
}
