//! Migrations that keep every pod's credentials working, and the ways in which they do not.

use serde_json::{Value, json};

use crate::{Options, Sandbox, seeds};

const API: &str = "arn:aws:iam::123456789012:role/payments-api";
const ISSUER: &str = "oidc.eks.us-east-1.amazonaws.com/id/D539D4633E53DE1B716D3041E9F0A2B7";

fn sandbox() -> Sandbox {
    let sandbox = Sandbox::start(Options::default()).unwrap();
    sandbox.seed(seeds::demo()).unwrap();
    sandbox
}

fn irsa(account: &str) -> Value {
    json!({"Effect": "Allow", "Principal": {"Federated": format!("arn:aws:iam::123456789012:oidc-provider/{ISSUER}")}, "Action": "sts:AssumeRoleWithWebIdentity",
        "Condition": {"StringEquals": {format!("{ISSUER}:sub"): format!("system:serviceaccount:payments:{account}"), format!("{ISSUER}:aud"): "sts.amazonaws.com"}}})
}

fn pods(condition: Value) -> Value {
    let mut statement = json!({"Sid": "P", "Effect": "Allow", "Principal": {"Service": "pods.eks.amazonaws.com"}, "Action": ["sts:AssumeRole", "sts:TagSession"]});
    if !condition.is_null() {
        statement["Condition"] = condition;
    }
    statement
}

fn trust(sandbox: &Sandbox, role: &str, statements: Value) {
    let document = json!({"Version": "2012-10-17", "Statement": statements}).to_string();
    let parameters = json!({"RoleName": role, "PolicyDocument": document});
    sandbox
        .call("iam", "UpdateAssumeRolePolicy", parameters)
        .unwrap();
}

fn associate(sandbox: &Sandbox, namespace: &str, account: &str, role: &str) -> String {
    let parameters = json!({"clusterName": "demo", "namespace": namespace, "serviceAccount": account, "roleArn": role});
    let answer = sandbox
        .call("eks", "CreatePodIdentityAssociation", parameters)
        .unwrap();
    answer["association"]["associationId"]
        .as_str()
        .unwrap()
        .into()
}

fn dissociate(sandbox: &Sandbox, id: &str) {
    let parameters = json!({"clusterName": "demo", "associationId": id});
    sandbox
        .call("eks", "DeletePodIdentityAssociation", parameters)
        .unwrap();
}

fn kubernetes(sandbox: &Sandbox, method: &str, resource: &str, name: &str, body: Value) {
    let parameters = json!({"cluster": "demo", "method": method, "resource": resource, "namespace": "payments", "name": name, "body": body});
    sandbox.call("kubernetes", "request", parameters).unwrap();
}

fn restart(sandbox: &Sandbox, name: &str, n: u32) {
    let body = json!({"spec": {"template": {"metadata": {"annotations": {"kubectl.kubernetes.io/restartedAt": n.to_string()}}}}});
    kubernetes(sandbox, "PATCH", "deployments", name, body);
}

fn paths(sandbox: &Sandbox, account: &str) -> Vec<&'static str> {
    let mut paths: Vec<&str> = sandbox
        .credential_report()
        .pods
        .iter()
        .filter(|p| p.namespace == "payments" && p.service_account == account)
        .map(|p| p.path)
        .collect();
    paths.dedup();
    paths
}

#[test]
fn a_careful_migration_and_its_way_back() {
    let sandbox = sandbox();
    trust(
        &sandbox,
        "payments-api",
        json!([irsa("api"), pods(Value::Null)]),
    );
    let id = associate(&sandbox, "payments", "api", API);
    assert_eq!(
        paths(&sandbox, "api"),
        ["web_identity"],
        "running pods keep what they have"
    );
    restart(&sandbox, "api", 1);
    assert_eq!(paths(&sandbox, "api"), ["pod_identity"]);
    kubernetes(
        &sandbox,
        "PATCH",
        "serviceaccounts",
        "api",
        json!({"metadata": {"annotations": {"eks.amazonaws.com/role-arn": null}}}),
    );
    trust(&sandbox, "payments-api", json!([pods(Value::Null)]));
    let report = sandbox.credential_report();
    assert_eq!(report.violations, []);
    assert!(report.transitions >= 8, "{:?}", report.by_kind);
    // Back: trust and annotation first, then the association; the agent's cache carries the pods until they are new.
    trust(
        &sandbox,
        "payments-api",
        json!([irsa("api"), pods(Value::Null)]),
    );
    kubernetes(
        &sandbox,
        "PATCH",
        "serviceaccounts",
        "api",
        json!({"metadata": {"annotations": {"eks.amazonaws.com/role-arn": API}}}),
    );
    dissociate(&sandbox, &id);
    restart(&sandbox, "api", 2);
    trust(&sandbox, "payments-api", json!([irsa("api")]));
    let report = sandbox.credential_report();
    assert_eq!(report.violations, []);
    assert_eq!(report.covered_by_cache, 2, "two pods lived on the cache");
    assert_eq!(paths(&sandbox, "api"), ["web_identity"]);
}

#[test]
fn careless_migrations_are_caught() {
    type Step = fn(&Sandbox);
    let cases: [(&str, Step, &str); 9] = [
        (
            "IRSA trust gone before the pods have moved",
            |s| trust(s, "payments-api", json!([pods(Value::Null)])),
            "does not let payments/api in with a web identity",
        ),
        (
            "annotation gone before the association is there",
            |s| {
                kubernetes(
                    s,
                    "PATCH",
                    "serviceaccounts",
                    "api",
                    json!({"metadata": {"annotations": {"eks.amazonaws.com/role-arn": null}}}),
                )
            },
            "names no credentials",
        ),
        (
            "trust that does not cover the service account",
            |s| {
                trust(
                    s,
                    "payments-api",
                    json!([
                        irsa("api"),
                        pods(
                            json!({"StringEquals": {"aws:RequestTag/kubernetes-service-account": "web"}})
                        )
                    ]),
                );
                associate(s, "payments", "api", API);
            },
            "does not let Pod Identity in",
        ),
        (
            "Fargate",
            |s| {
                let batch = json!([{"Effect": "Allow", "Principal": {"Service": "pods.eks.amazonaws.com"}, "Action": ["sts:AssumeRole", "sts:TagSession"]}]);
                // Only a new pod is hit: the association alone is enough.
                let mut statements = batch.as_array().unwrap().clone();
                statements.push(json!({"Effect": "Allow", "Principal": {"Federated": format!("arn:aws:iam::123456789012:oidc-provider/{ISSUER}")}, "Action": "sts:AssumeRoleWithWebIdentity",
                "Condition": {"StringEquals": {format!("{ISSUER}:sub"): "system:serviceaccount:batch:runner"}}}));
                trust(s, "batch", statements.into());
                associate(s, "batch", "runner", "arn:aws:iam::123456789012:role/batch");
            },
            "Fargate has no Pod Identity agent",
        ),
        (
            "hard-coded environment",
            |s| {
                trust(
                    s,
                    "legacy",
                    json!([pods(Value::Null), {"Effect": "Allow", "Principal": {"Federated": format!("arn:aws:iam::123456789012:oidc-provider/{ISSUER}")}, "Action": "sts:AssumeRoleWithWebIdentity",
                "Condition": {"StringEquals": {format!("{ISSUER}:sub"): "system:serviceaccount:legacy:reports"}}}]),
                );
                associate(
                    s,
                    "legacy",
                    "reports",
                    "arn:aws:iam::123456789012:role/legacy",
                );
            },
            "no volume provides the web identity token",
        ),
        (
            "agent gone",
            |s| {
                s.call(
                    "eks",
                    "DeleteAddon",
                    json!({"clusterName": "demo", "addonName": "eks-pod-identity-agent"}),
                )
                .unwrap();
                for _ in 0..2 {
                    let _ = s.call(
                        "eks",
                        "DescribeAddon",
                        json!({"clusterName": "demo", "addonName": "eks-pod-identity-agent"}),
                    );
                }
            },
            "no Pod Identity agent is ready",
        ),
        (
            "role gone",
            |s| {
                s.call("iam", "DetachRolePolicy", json!({"RoleName": "payments-api", "PolicyArn": "arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess"})).unwrap();
                s.call("iam", "DeleteRole", json!({"RoleName": "payments-api"}))
                    .unwrap();
            },
            "does not exist",
        ),
        (
            "OIDC provider gone",
            |s| {
                let arn = format!("arn:aws:iam::123456789012:oidc-provider/{ISSUER}");
                s.call(
                    "iam",
                    "DeleteOpenIDConnectProvider",
                    json!({"OpenIDConnectProviderArn": arn}),
                )
                .unwrap();
            },
            "has no OIDC provider",
        ),
        (
            "webhook down while pods are restarted",
            |s| {
                s.seed(json!({"clusters": [{"name": "demo", "webhook": {"down": true}}]}))
                    .unwrap();
                restart(s, "api", 1);
            },
            "names no credentials",
        ),
    ];
    for (name, step, expected) in cases {
        let sandbox = sandbox();
        step(&sandbox);
        let violations = sandbox.credential_report().violations;
        assert!(
            violations.iter().any(|v| v.reason.contains(expected)),
            "{name}: {violations:?}"
        );
        let first = &violations[0];
        assert!(first.transition > 0 && !first.after.is_empty(), "{name}");
    }
}

#[test]
fn a_cache_does_not_last() {
    let sandbox = sandbox();
    sandbox.seed(json!({"agent_cache_ms": 1})).unwrap();
    let id = {
        let list = sandbox
            .call(
                "eks",
                "ListPodIdentityAssociations",
                json!({"clusterName": "demo"}),
            )
            .unwrap();
        list["associations"][0]["associationId"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    dissociate(&sandbox, &id);
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
    while sandbox.credential_report().violations.is_empty() {
        assert!(
            std::time::Instant::now() < deadline,
            "the expiry was not noticed"
        );
        std::thread::yield_now();
    }
    assert!(
        sandbox.credential_report().violations[0]
            .reason
            .contains("no association")
    );
}

#[test]
fn what_never_worked_and_what_is_exempt_is_nobodys_fault() {
    let sandbox = sandbox();
    let exempt = json!({"namespace": "payments", "service_account": "api", "expected": false});
    sandbox
        .seed(json!({"clusters": [{"name": "demo", "expect_credentials": [exempt]}]}))
        .unwrap();
    trust(&sandbox, "payments-api", json!([pods(Value::Null)]));
    let pod = json!({"metadata": {"name": "lost"}, "spec": {"serviceAccountName": "default", "containers": [{"name": "a", "image": "i"}]}});
    kubernetes(&sandbox, "POST", "pods", "", pod);
    assert_eq!(sandbox.credential_report().violations, []);
}

/// Whether a dry-run pod is sent to the agent.
fn probe(sandbox: &Sandbox) -> bool {
    let body = json!({"metadata": {"generateName": "probe-"}, "spec": {"serviceAccountName": "api", "containers": [{"name": "p", "image": "p"}]}});
    let parameters = json!({"method": "POST", "resource": "pods", "namespace": "payments", "query": {"dryRun": "All"}, "body": body});
    let pod = sandbox.call("kubernetes", "request", parameters).unwrap();
    let env = pod["spec"]["containers"][0]["env"].as_array();
    env.into_iter()
        .flatten()
        .any(|e| e["name"] == "AWS_CONTAINER_CREDENTIALS_FULL_URI")
}

#[test]
fn propagation_goes_either_way_without_harm_while_both_paths_work() {
    let sandbox = sandbox();
    sandbox.seed(json!({"clusters": [{"name": "demo", "webhook": {"api_servers": 3, "delay_probes": 2}}]})).unwrap();
    trust(
        &sandbox,
        "payments-api",
        json!([irsa("api"), pods(Value::Null)]),
    );
    let id = associate(&sandbox, "payments", "api", API);
    let mut seen = Vec::new();
    for n in 1..6 {
        restart(&sandbox, "api", n);
        seen.extend(paths(&sandbox, "api"));
    }
    assert_eq!(seen.first(), Some(&"web_identity"));
    assert_eq!(seen.last(), Some(&"pod_identity"));
    // The way back does harm if it does not wait: a pod that a late webhook sends to the agent finds no association there.
    dissociate(&sandbox, &id);
    let answers: Vec<bool> = (0..12).map(|_| probe(&sandbox)).collect();
    assert_eq!(answers[0..2], [true, true], "not yet");
    assert_eq!(answers[9..], [false, false, false]);
    restart(&sandbox, "api", 6);
    assert_eq!(paths(&sandbox, "api"), ["web_identity"]);
    assert_eq!(sandbox.credential_report().violations, []);
    let id = associate(&sandbox, "payments", "api", API);
    while !probe(&sandbox) || !probe(&sandbox) || !probe(&sandbox) {}
    restart(&sandbox, "api", 7);
    dissociate(&sandbox, &id);
    for n in 8..12 {
        restart(&sandbox, "api", n);
    }
    let violations = sandbox.credential_report().violations;
    assert!(
        violations
            .iter()
            .any(|v| v.reason.contains("no association")),
        "{violations:?}"
    );
}

#[test]
fn a_test_can_be_a_pod() {
    let sandbox = sandbox();
    let pod = sandbox
        .credential_report()
        .pods
        .into_iter()
        .find(|p| p.service_account == "ledger")
        .unwrap();
    let token = |audience: &str| {
        let body = json!({"spec": {"audiences": [audience], "boundObjectRef": {"kind": "Pod", "name": pod.pod}}});
        let parameters = json!({"cluster": "demo", "method": "POST", "resource": "serviceaccounts/token", "namespace": "payments", "name": "ledger", "body": body});
        let answer = sandbox.call("kubernetes", "request", parameters).unwrap();
        answer["status"]["token"].as_str().unwrap().to_owned()
    };
    let assume = |token: &str| {
        sandbox.call(
            "eks-auth",
            "AssumeRoleForPodIdentity",
            json!({"clusterName": "demo", "token": token}),
        )
    };
    let answer = assume(&token("pods.eks.amazonaws.com")).unwrap();
    assert_eq!(
        answer["subject"],
        json!({"namespace": "payments", "serviceAccount": "ledger"})
    );
    assert!(
        answer["assumedRoleUser"]["arn"]
            .as_str()
            .unwrap()
            .starts_with("arn:aws:sts::123456789012:assumed-role/payments-ledger/eks-demo-ledger-")
    );
    let error = assume(&token("sts.amazonaws.com")).unwrap_err();
    assert_eq!(
        (error.status, error.code.as_str()),
        (400, "InvalidTokenException")
    );
    let role = "arn:aws:iam::123456789012:role/payments-ledger";
    let web = json!({"RoleArn": role, "RoleSessionName": "session", "WebIdentityToken": token("sts.amazonaws.com")});
    assert!(
        sandbox
            .call("sts", "AssumeRoleWithWebIdentity", web)
            .is_ok()
    );
    trust(
        &sandbox,
        "payments-ledger",
        json!([pods(
            json!({"StringEquals": {"aws:SourceAccount": "210987654321"}})
        )]),
    );
    assert_eq!(
        assume(&token("pods.eks.amazonaws.com")).unwrap_err().code,
        "AccessDeniedException"
    );
    let web = json!({"RoleArn": role, "RoleSessionName": "session", "WebIdentityToken": token("sts.amazonaws.com")});
    assert_eq!(
        sandbox
            .call("sts", "AssumeRoleWithWebIdentity", web)
            .unwrap_err()
            .code,
        "AccessDenied"
    );
}

/// Whether new pods of a service account with an association would work, with these nodes and this agent.
#[test]
fn the_agent_must_run_where_pods_may() {
    let node = |name: &str, labels: Value| json!({"name": name, "labels": labels});
    let linux = node("n1", json!({}));
    let agent = json!([{"name": "eks-pod-identity-agent"}]);
    let own = json!([{"apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": {"namespace": "kube-system", "name": "agent"}, "spec": {
        "selector": {"matchLabels": {"app.kubernetes.io/name": "eks-pod-identity-agent"}},
        "template": {"metadata": {"labels": {"app.kubernetes.io/name": "eks-pod-identity-agent"}}, "spec": {"containers": [{"name": "agent", "image": "agent"}]}}}}]);
    let partly =
        json!({"workloads": [{"kind": "DaemonSet", "nodes": ["n2"], "failure": "crash_loop"}]});
    let cases = [
        (
            "add-on",
            json!({"nodes": [linux], "addons": agent}),
            "pod_identity",
        ),
        ("no agent", json!({"nodes": [linux]}), "none"),
        (
            "degraded",
            json!({"nodes": [linux], "addons": [{"name": "eks-pod-identity-agent", "status": "DEGRADED"}]}),
            "none",
        ),
        (
            "self-managed",
            json!({"nodes": [linux], "objects": own}),
            "pod_identity",
        ),
        (
            "Auto Mode",
            json!({"nodes": [linux], "auto_mode": true}),
            "pod_identity",
        ),
        (
            "an Auto Mode node",
            json!({"nodes": [node("n1", json!({"eks.amazonaws.com/compute-type": "auto"}))]}),
            "pod_identity",
        ),
        (
            "a hybrid node",
            json!({"nodes": [node("n1", json!({"eks.amazonaws.com/compute-type": "hybrid"}))], "addons": agent}),
            "none",
        ),
        (
            "not on this node",
            json!({"nodes": [node("n2", json!({}))], "addons": agent, "controllers": partly}),
            "none",
        ),
    ];
    for (name, mut cluster, expected) in cases {
        let sandbox = Sandbox::start(Options::default()).unwrap();
        cluster["name"] = "demo".into();
        cluster["associations"] =
            json!([{"namespace": "payments", "service_account": "api", "role_arn": API}]);
        cluster["service_accounts"] = json!([{"namespace": "payments", "name": "api"}]);
        let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"namespace": "payments", "name": "p"}, "spec": {"serviceAccountName": "api", "containers": [{"name": "a", "image": "i"}]}});
        match cluster["objects"].as_array_mut() {
            Some(objects) => objects.push(pod),
            None => cluster["objects"] = json!([pod]),
        }
        let document = json!({"Version": "2012-10-17", "Statement": [pods(Value::Null)]});
        sandbox.seed(json!({"iam": {"Roles": [{"RoleName": "payments-api", "AssumeRolePolicyDocument": document}]}, "clusters": [cluster]})).unwrap();
        assert_eq!(
            paths(&sandbox, "api"),
            [expected],
            "{name}: {:?}",
            sandbox.credential_report().pods
        );
    }
}

#[test]
fn target_roles_and_session_tags() {
    let source = json!({"Version": "2012-10-17", "Statement": [pods(Value::Null)]});
    let tagged = pods(json!({"StringEquals": {"aws:RequestTag/kubernetes-namespace": "payments"}}));
    let target = |condition: Value, actions: Value| json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"AWS": API}, "Action": actions, "Condition": condition}]});
    let both = json!(["sts:AssumeRole", "sts:TagSession"]);
    let external =
        json!({"StringEquals": {"sts:ExternalId": "us-east-1/123456789012/demo/payments/api"}});
    let cases = [
        (
            "both trust",
            source.clone(),
            target(json!({}), both.clone()),
            false,
            "pod_identity",
        ),
        (
            "no TagSession",
            source.clone(),
            target(json!({}), json!("sts:AssumeRole")),
            false,
            "none",
        ),
        (
            "no TagSession needed without tags",
            source.clone(),
            target(external.clone(), json!("sts:AssumeRole")),
            true,
            "pod_identity",
        ),
        (
            "an external id is not there for TagSession",
            source,
            target(external, both.clone()),
            false,
            "none",
        ),
        (
            "tags in the trust, but none sent",
            json!({"Version": "2012-10-17", "Statement": [tagged]}),
            target(json!({}), both),
            true,
            "none",
        ),
    ];
    for (name, source, target, disable, expected) in cases {
        let sandbox = Sandbox::start(Options::default()).unwrap();
        let association = json!({"namespace": "payments", "service_account": "api", "role_arn": API, "target_role_arn": "arn:aws:iam::210987654321:role/target", "disable_session_tags": disable});
        let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"namespace": "payments", "name": "p"}, "spec": {"serviceAccountName": "api", "containers": [{"name": "a", "image": "i"}]}});
        sandbox.seed(json!({
            "iam": [
                {"Roles": [{"RoleName": "payments-api", "AssumeRolePolicyDocument": source}]},
                {"account_id": "210987654321", "Roles": [{"RoleName": "target", "AssumeRolePolicyDocument": target}]},
            ],
            "clusters": [{"name": "demo", "addons": [{"name": "eks-pod-identity-agent"}], "associations": [association], "service_accounts": [{"namespace": "payments", "name": "api"}], "objects": [pod]}],
        })).unwrap();
        assert_eq!(
            paths(&sandbox, "api"),
            [expected],
            "{name}: {:?}",
            sandbox.credential_report().pods
        );
    }
}

#[test]
fn a_custom_workload_owns_its_replica_set() {
    let sandbox = sandbox();
    let template = json!({"metadata": {"labels": {"app": "canary"}}, "spec": {"serviceAccountName": "api", "containers": [{"name": "a", "image": "i"}]}});
    let rollout = json!({"apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "metadata": {"namespace": "payments", "name": "canary"}, "spec": {"template": template}});
    let set = json!({"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": {"namespace": "payments", "name": "canary-1", "ownerReferences": [{"apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "name": "canary", "controller": true}]},
        "spec": {"replicas": 1, "selector": {"matchLabels": {"app": "canary"}}, "template": template}});
    sandbox.seed(json!({"clusters": [{"name": "demo", "custom_kinds": [{"group": "argoproj.io", "version": "v1alpha1", "kind": "Rollout", "plural": "rollouts"}], "objects": [rollout, set]}]})).unwrap();
    let owner = sandbox
        .kubernetes_object("demo", "rollouts", Some("payments"), "canary")
        .unwrap();
    let set = sandbox
        .kubernetes_object("demo", "replicasets", Some("payments"), "canary-1")
        .unwrap();
    assert_eq!(
        set["metadata"]["ownerReferences"][0]["uid"],
        owner["metadata"]["uid"]
    );
    let report = sandbox.credential_report();
    assert!(
        report
            .pods
            .iter()
            .any(|p| p.pod.starts_with("canary-1-") && p.path == "web_identity")
    );
    trust(&sandbox, "payments-api", json!([pods(Value::Null)]));
    let lost = sandbox.credential_report().violations;
    assert!(
        lost.iter().any(|v| v.pod == "a new pod of Rollout/canary"),
        "{lost:?}"
    );
}

/// More than any test takes.
const LONG: u64 = 600_000;

fn annotate(sandbox: &Sandbox, role: Value) {
    let body = json!({"metadata": {"annotations": {"eks.amazonaws.com/role-arn": role}}});
    kubernetes(sandbox, "PATCH", "serviceaccounts", "api", body);
}

/// `payments/api` on Pod Identity, IRSA retired. The id of the association.
fn retired(sandbox: &Sandbox) -> String {
    trust(
        sandbox,
        "payments-api",
        json!([irsa("api"), pods(Value::Null)]),
    );
    let id = associate(sandbox, "payments", "api", API);
    restart(sandbox, "api", 1);
    annotate(sandbox, Value::Null);
    trust(sandbox, "payments-api", json!([pods(Value::Null)]));
    assert_eq!(sandbox.credential_report().violations, []);
    id
}

fn excuses(sandbox: &Sandbox) -> Vec<Option<&'static str>> {
    let pods = sandbox.credential_report().pods;
    let of_api = pods
        .iter()
        .filter(|p| p.namespace == "payments" && p.service_account == "api");
    of_api.map(|p| p.excuse).collect()
}

#[test]
fn a_way_back_must_wait_until_sts_and_webhooks_know() {
    let late_trust = json!({"visibility": {"sts_ms": LONG}});
    let late_annotation =
        json!({"clusters": [{"name": "demo", "webhook": {"annotation_delay_ms": LONG}}]});
    let known = json!({"visibility": {}, "clusters": [{"name": "demo", "webhook": {}}]});
    for (late, expected) in [
        (
            late_trust,
            "does not let payments/api in with a web identity",
        ),
        (late_annotation, "names no credentials"),
    ] {
        for waits in [true, false] {
            let sandbox = sandbox();
            let id = retired(&sandbox);
            sandbox.seed(late.clone()).unwrap();
            trust(
                &sandbox,
                "payments-api",
                json!([irsa("api"), pods(Value::Null)]),
            );
            annotate(&sandbox, API.into());
            if waits {
                sandbox.seed(known.clone()).unwrap();
            }
            dissociate(&sandbox, &id);
            let found = sandbox.credential_report().violations;
            if waits {
                assert_eq!(found, [], "{expected}");
            } else {
                assert!(
                    found.iter().any(|v| v.reason.contains(expected)),
                    "{found:?}"
                );
            }
        }
    }
}

#[test]
fn sts_still_sees_a_trust_policy_that_was_replaced() {
    let sandbox = sandbox();
    sandbox
        .seed(json!({"visibility": {"sts_ms": LONG}}))
        .unwrap();
    trust(&sandbox, "payments-api", json!([pods(Value::Null)]));
    assert_eq!(sandbox.credential_report().violations, []);
    assert_eq!(paths(&sandbox, "api"), ["web_identity"]);
    sandbox.clear_faults();
    let found = sandbox.credential_report().violations;
    assert!(
        found
            .iter()
            .any(|v| v.after == "time passed" && v.reason.contains("with a web identity")),
        "{found:?}"
    );
}

#[test]
fn what_a_webhook_has_learnt_late_is_judged_then() {
    let sandbox = sandbox();
    sandbox
        .seed(json!({"clusters": [{"name": "demo", "webhook": {"delay_probes": 1}}]}))
        .unwrap();
    let web = json!({"StringEquals": {"aws:RequestTag/kubernetes-service-account": "web"}});
    trust(&sandbox, "payments-api", json!([irsa("api"), pods(web)]));
    associate(&sandbox, "payments", "api", API);
    assert_eq!(
        sandbox.credential_report().violations,
        [],
        "nobody knows of it yet"
    );
    assert!(!probe(&sandbox));
    let found = sandbox.credential_report().violations;
    assert!(
        found
            .iter()
            .any(|v| v.reason.contains("does not let Pod Identity in")),
        "{found:?}"
    );
}

#[test]
fn only_a_pod_that_was_ready_lives_on_the_cache() {
    let never = json!({"workloads": [{"kind": "Deployment", "name": "api", "when": "pod_identity", "failure": "never_ready"}]});
    for (controllers, expected, counts) in [
        (json!({}), "agent_cache", (2, 0)),
        (never, "unavoidable", (0, 1)),
    ] {
        let sandbox = sandbox();
        sandbox
            .seed(json!({"clusters": [{"name": "demo", "controllers": controllers}]}))
            .unwrap();
        trust(
            &sandbox,
            "payments-api",
            json!([irsa("api"), pods(Value::Null)]),
        );
        let id = associate(&sandbox, "payments", "api", API);
        restart(&sandbox, "api", 1);
        dissociate(&sandbox, &id);
        assert!(
            excuses(&sandbox).contains(&Some(expected)),
            "{:?}",
            excuses(&sandbox)
        );
        let report = sandbox.credential_report();
        assert_eq!((report.covered_by_cache, report.unavoidable), counts);
        restart(&sandbox, "api", 2);
        assert_eq!(excuses(&sandbox), [None, None], "{expected}");
        assert_eq!(sandbox.credential_report().violations, [], "{expected}");
    }
}

#[test]
fn a_pod_that_a_late_webhook_sends_to_the_agent_is_unavoidable_unless_rolled() {
    let sandbox = sandbox();
    trust(
        &sandbox,
        "payments-api",
        json!([irsa("api"), pods(Value::Null)]),
    );
    let id = associate(&sandbox, "payments", "api", API);
    restart(&sandbox, "api", 1);
    sandbox
        .seed(json!({"clusters": [{"name": "demo", "webhook": {"delay_ms": LONG}}]}))
        .unwrap();
    dissociate(&sandbox, &id);
    kubernetes(
        &sandbox,
        "PATCH",
        "deployments",
        "api",
        json!({"spec": {"replicas": 3}}),
    );
    let report = sandbox.credential_report();
    assert_eq!(report.violations, []);
    assert_eq!((report.covered_by_cache, report.unavoidable), (2, 1));
    restart(&sandbox, "api", 2);
    let found = sandbox.credential_report().violations;
    assert!(
        found.iter().any(|v| v.reason.contains("no association")),
        "{found:?}"
    );
}

#[test]
fn eks_auth_may_learn_of_a_deletion_late() {
    let sandbox = sandbox();
    trust(
        &sandbox,
        "payments-api",
        json!([irsa("api"), pods(Value::Null)]),
    );
    let id = associate(&sandbox, "payments", "api", API);
    restart(&sandbox, "api", 1);
    sandbox.seed(json!({"auth_delay_ms": LONG})).unwrap();
    dissociate(&sandbox, &id);
    assert_eq!(paths(&sandbox, "api"), ["pod_identity"]);
    sandbox.seed(json!({"auth_delay_ms": 0})).unwrap();
    assert_eq!(excuses(&sandbox), [Some("agent_cache"); 2]);
    assert_eq!(sandbox.credential_report().violations, []);
}

#[test]
fn a_pod_needs_its_credentials_to_the_last() {
    let sandbox = sandbox();
    sandbox
        .seed(json!({"clusters": [{"name": "demo", "controllers": {"termination_ms": LONG}}]}))
        .unwrap();
    trust(
        &sandbox,
        "payments-api",
        json!([irsa("api"), pods(Value::Null)]),
    );
    associate(&sandbox, "payments", "api", API);
    restart(&sandbox, "api", 1);
    assert_eq!(paths(&sandbox, "api"), ["pod_identity"], "those that stay");
    assert_eq!(sandbox.credential_report().violations, []);
    trust(&sandbox, "payments-api", json!([pods(Value::Null)]));
    let found = sandbox.credential_report().violations;
    assert!(
        found
            .iter()
            .any(|v| v.reason.contains("with a web identity")),
        "{found:?}"
    );
}

#[test]
fn an_exemption_that_ends_forgives_what_is_broken_and_nothing_later() {
    let sandbox = sandbox();
    let expect = |expected: bool| {
        let item = json!({"namespace": "payments", "service_account": "api", "expected": expected});
        sandbox
            .seed(json!({"clusters": [{"name": "demo", "expect_credentials": [item]}]}))
            .unwrap();
    };
    expect(false);
    trust(&sandbox, "payments-api", json!([pods(Value::Null)]));
    expect(true);
    trust(
        &sandbox,
        "payments-api",
        json!([irsa("api"), pods(Value::Null)]),
    );
    assert_eq!(sandbox.credential_report().violations, []);
    trust(&sandbox, "payments-api", json!([pods(Value::Null)]));
    assert_ne!(sandbox.credential_report().violations, []);
}
