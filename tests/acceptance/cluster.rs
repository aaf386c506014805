//! The data source `podidentity_cluster`: whether a cluster is ready, and why not.

use podidentity_sandbox::{Fault, FaultError};
use serde_json::{Value, json};

use crate::harness::Case;

const THIS: &str = "data.podidentity_cluster.this";
const AGENT: &str = "eks-pod-identity-agent";
const CONFIG: &str = "data \"podidentity_cluster\" \"this\" {\n  cluster_name = \"demo\"\n}\n";

/// A case whose cluster `demo` is changed so.
fn case(cluster: Value) -> Option<Case> {
    let mut case = Case::sandbox_only()?;
    seed(&case, cluster);
    case.config(CONFIG);
    Some(case)
}

fn seed(case: &Case, mut cluster: Value) {
    cluster["name"] = "demo".into();
    case.sandbox().seed(json!({"clusters": [cluster]})).unwrap();
}

fn node(name: &str, labels: Value) -> Value {
    json!({"name": name, "labels": labels})
}

fn four_nodes() -> Value {
    ["n1", "n2", "n3", "n4"]
        .map(|name| node(name, json!({})))
        .to_vec()
        .into()
}

fn daemon_set(namespace: &str, name: &str, labels: Value) -> Value {
    json!({"apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": {"namespace": namespace, "name": name, "labels": labels}, "spec": {
        "selector": {"matchLabels": {"app": "agent"}},
        "template": {"metadata": {"labels": {"app": "agent"}}, "spec": {
            "containers": [{"name": "agent", "image": "public.ecr.aws/eks/eks-pod-identity-agent:v0.1.33@sha256:0000000000000000000000000000000000000000000000000000000000000000"}],
        }},
    }})
}

/// Codes of the reasons.
fn codes(case: &Case) -> Vec<String> {
    let reasons = case.attribute(THIS, "reasons");
    reasons
        .as_array()
        .unwrap()
        .iter()
        .map(|reason| reason["code"].as_str().unwrap().to_owned())
        .collect()
}

fn refuse(case: &mut Case, service: &str, operation: &str) {
    let code = if service == "iam" {
        "AccessDenied"
    } else {
        "AccessDeniedException"
    };
    fail(case, service, operation, code);
}

fn fail(case: &mut Case, service: &str, operation: &str, code: &str) {
    let status = if code.starts_with("AccessDenied") {
        403
    } else {
        400
    };
    case.fault(Fault {
        service: Some(service.into()),
        operation: Some(operation.into()),
        error: Some(FaultError {
            code: code.into(),
            message: "no".into(),
            status,
        }),
        ..Fault::default()
    });
}

#[test]
fn a_ready_cluster() {
    let Some(mut case) = case(
        json!({"nodes": four_nodes(), "addons": [{"name": AGENT, "version": "v1.3.8-eksbuild.2"}], "issuer": "https://oidc.eks.us-east-1.amazonaws.com/id/ABC"}),
    ) else {
        return;
    };
    case.sandbox()
        .seed(json!({"iam": {"OpenIDConnectProviders": [{"Url": "https://oidc-eks.us-east-1.api.aws/id/ABC", "ClientIDList": ["sts.amazonaws.com"]}]}}))
        .unwrap();
    case.clear_calls().apply();
    case.expect_calls(&[
        ("eks:DescribeAddon", 1),
        ("eks:DescribeCluster", 1),
        ("eks:ListFargateProfiles", 1),
        ("iam:ListOpenIDConnectProviders", 1),
        ("kubernetes:get mutatingwebhookconfigurations", 1),
        ("kubernetes:list nodes", 1),
        ("kubernetes:list pods", 1),
    ]);
    for (path, value) in [
        (
            "arn",
            json!(case.fill("arn:aws:eks:{{region}}:{{account_id}}:cluster/demo")),
        ),
        ("auto_mode", json!(false)),
        ("cluster_name", json!("demo")),
        ("fargate_profiles", json!([])),
        (
            "issuer",
            json!("https://oidc.eks.us-east-1.amazonaws.com/id/ABC"),
        ),
        // Under its other name.
        ("oidc_provider_exists", json!(true)),
        ("platform_version", json!("eks.9")),
        ("ready", json!(true)),
        ("reasons", json!([])),
        ("status", json!("ACTIVE")),
        ("version", json!("1.33")),
        ("agent.issues", json!([])),
        ("agent.kind", json!("addon")),
        ("agent.nodes", json!(4)),
        ("agent.nodes_ready", json!(4)),
        ("agent.nodes_without_agent", json!([])),
        ("agent.status", json!("ACTIVE")),
        ("agent.version", json!("v1.3.8-eksbuild.2")),
    ] {
        case.expect_attribute(THIS, path, value);
    }
    case.expect_empty_plan();
    // The provider's cluster is the default.
    case.config("provider \"podidentity\" {\n  cluster_name = \"demo\"\n}\ndata \"podidentity_cluster\" \"this\" {}\n")
        .apply()
        .expect_attribute(THIS, "cluster_name", "demo")
        .expect_attribute(THIS, "ready", true);
}

#[test]
fn any_cluster_can_be_read() {
    let mut case = Case::new();
    case.config("data \"podidentity_cluster\" \"this\" {\n  cluster_name = \"{{cluster}}\"\n}\n")
        .apply()
        .expect_attribute(THIS, "cluster_name", "{{cluster}}")
        .expect_attribute(THIS, "status", "ACTIVE")
        .expect_empty_plan();
}

/// Scenario 30 of the migration, and what else is wrong with clusters as a whole.
#[test]
fn verdicts() {
    let helm = json!({"app.kubernetes.io/name": AGENT});
    let crashing =
        json!({"workloads": [{"kind": "DaemonSet", "nodes": ["n3"], "failure": "crash_loop"}]});
    let auto = json!({"eks.amazonaws.com/compute-type": "auto"});
    let hybrid = json!({"eks.amazonaws.com/compute-type": "hybrid"});
    let windows = json!({"kubernetes.io/os": "windows"});
    let fargate = json!({"eks.amazonaws.com/compute-type": "fargate"});
    // What, the cluster, kind of the agent, nodes that need it, nodes without it, codes.
    let cases = [
        (
            "agent missing",
            json!({"nodes": four_nodes()}),
            "none",
            4,
            json!(["n1", "n2", "n3", "n4"]),
            vec!["agent_missing"],
        ),
        (
            "installed by Helm",
            json!({"nodes": four_nodes(), "objects": [daemon_set("kube-system", AGENT, json!({}))]}),
            "self_managed",
            4,
            json!([]),
            vec![],
        ),
        (
            "installed by Helm under another name and elsewhere",
            json!({"nodes": four_nodes(), "namespaces": ["security"], "objects": [daemon_set("security", "agent", helm)]}),
            "self_managed",
            4,
            json!([]),
            vec![],
        ),
        (
            "installed by Helm, crashing on one node",
            json!({"nodes": four_nodes(), "objects": [daemon_set("kube-system", AGENT, json!({}))], "controllers": crashing}),
            "self_managed",
            4,
            json!(["n3"]),
            vec!["agent_not_on_nodes"],
        ),
        (
            "add-on degraded",
            json!({"nodes": four_nodes(), "addons": [{"name": AGENT, "status": "DEGRADED", "issues": [{"code": "InsufficientNumberOfReplicas", "message": "0 of 4 replicas", "resourceIds": ["ds"]}]}]}),
            "addon",
            4,
            json!(["n1", "n2", "n3", "n4"]),
            vec!["agent_unhealthy"],
        ),
        (
            "ready on three of four nodes",
            json!({"nodes": four_nodes(), "addons": [{"name": AGENT}], "controllers": crashing}),
            "addon",
            4,
            json!(["n3"]),
            vec!["agent_not_on_nodes"],
        ),
        (
            "Auto Mode",
            json!({"auto_mode": true, "nodes": [node("a1", auto.clone()), node("a2", auto.clone())]}),
            "auto_mode",
            0,
            json!([]),
            vec![],
        ),
        (
            "Auto Mode with a node group beside",
            json!({"auto_mode": true, "nodes": [node("a1", auto.clone()), node("n1", json!({}))]}),
            "auto_mode",
            1,
            json!(["n1"]),
            vec!["agent_not_on_nodes"],
        ),
        (
            "Auto Mode with a node group beside and the add-on",
            json!({"auto_mode": true, "nodes": [node("a1", auto), node("n1", json!({}))], "addons": [{"name": AGENT}]}),
            "auto_mode",
            1,
            json!([]),
            vec![],
        ),
        (
            "nodes of other kinds",
            json!({"nodes": [node("n1", json!({})), node("w1", windows), node("f1", fargate), node("h1", hybrid)], "addons": [{"name": AGENT}]}),
            "addon",
            1,
            json!([]),
            vec!["hybrid_nodes"],
        ),
        (
            "too old a platform version",
            json!({"version": "1.28", "platform_version": "eks.3", "nodes": four_nodes(), "addons": [{"name": AGENT, "version": "v1.3.8-eksbuild.2"}]}),
            "addon",
            4,
            json!([]),
            vec!["cluster_version"],
        ),
        (
            "being upgraded",
            json!({"status": "UPDATING", "nodes": four_nodes(), "addons": [{"name": AGENT}]}),
            "addon",
            4,
            json!([]),
            vec!["cluster_not_active"],
        ),
    ];
    let Some(mut case) = Case::sandbox_only() else {
        return;
    };
    for (what, cluster, kind, needing, without, expected) in cases {
        println!("{what}");
        case.sandbox().reset();
        seed(&case, cluster);
        case.config(CONFIG).apply();
        let missing = without.as_array().unwrap().len();
        case.expect_attribute(THIS, "agent.kind", kind)
            .expect_attribute(THIS, "agent.nodes", needing)
            .expect_attribute(
                THIS,
                "agent.nodes_ready",
                needing - i64::try_from(missing).unwrap(),
            )
            .expect_attribute(THIS, "agent.nodes_without_agent", without);
        assert_eq!(codes(&case), expected, "{what}");
        let ready = expected.iter().all(|code| *code == "hybrid_nodes");
        case.expect_attribute(THIS, "ready", ready)
            .expect_empty_plan();
        match what {
            "installed by Helm" => {
                case.expect_attribute(THIS, "agent.version", "v0.1.33")
                    .expect_attribute(THIS, "agent.status", Value::Null);
            }
            "add-on degraded" => {
                case.expect_attribute(THIS, "agent.status", "DEGRADED")
                    .expect_attribute(
                        THIS,
                        "agent.issues.0",
                        "InsufficientNumberOfReplicas: 0 of 4 replicas (ds)",
                    )
                    .expect_match(
                        THIS,
                        "reasons.0.message",
                        r"DEGRADED \(InsufficientNumberOfReplicas\)",
                    );
            }
            "ready on three of four nodes" => {
                // The node may have IPv6 turned off.
                case.expect_match(THIS, "reasons.0.message", r#""-b":"169\.254\.170\.23""#);
            }
            _ => {}
        }
    }
}

#[test]
fn what_the_webhooks_configuration_says_is_a_warning() {
    let Some(mut case) = case(json!({"addons": [{"name": AGENT}]})) else {
        return;
    };
    let call = |case: &Case, method: &str, body: Value| {
        let call = json!({
            "cluster": "demo", "method": method, "resource": "mutatingwebhookconfigurations", "name": "pod-identity-webhook",
            "media_type": "application/json-patch+json", "body": body,
        });
        case.sandbox().call("kubernetes", "", call).unwrap();
    };
    case.apply().expect_attribute(THIS, "ready", true);
    assert_eq!(codes(&case), [""; 0]);
    let authority =
        json!([{"op": "replace", "path": "/webhooks/0/clientConfig/caBundle", "value": ""}]);
    call(&case, "PATCH", authority);
    case.apply().expect_attribute(THIS, "ready", true);
    assert_eq!(codes(&case), ["webhook_missing"]);
    case.expect_match(THIS, "reasons.0.message", "caBundle");
    call(&case, "DELETE", Value::Null);
    case.apply().expect_attribute(THIS, "ready", true);
    assert_eq!(codes(&case), ["webhook_missing"]);
}

#[test]
fn fargate_profiles() {
    let names: Vec<String> = (0..12).map(|n| format!("profile-{n:02}")).collect();
    let profiles: Vec<Value> = names
        .iter()
        .map(|name| json!({"fargateProfileName": name, "selectors": [{"namespace": "batch-*", "labels": {"size": name}}, {"namespace": "jobs"}]}))
        .collect();
    let Some(mut case) = case(json!({"addons": [{"name": AGENT}], "fargate_profiles": profiles}))
    else {
        return;
    };
    case.clear_calls()
        .apply()
        .expect_attribute(THIS, "ready", true);
    assert_eq!(case.calls()["eks:DescribeFargateProfile"], 12);
    let found = case.attribute(THIS, "fargate_profiles");
    let found = found.as_array().unwrap();
    assert_eq!(
        found
            .iter()
            .map(|profile| profile["name"].as_str().unwrap())
            .collect::<Vec<_>>(),
        names
    );
    assert_eq!(
        found[3],
        json!({"name": "profile-03", "selectors": [{"namespace": "batch-*", "labels": {"size": "profile-03"}}, {"namespace": "jobs", "labels": {}}]})
    );
}

#[test]
fn what_may_not_be_read_is_said() {
    let Some(mut case) = case(
        json!({"nodes": four_nodes(), "addons": [{"name": AGENT}], "access": [{"principal_arn": "*", "rules": [{"verbs": ["get", "list"], "resources": ["serviceaccounts"], "namespaces": ["orders"]}]}]}),
    ) else {
        return;
    };
    refuse(&mut case, "eks", "ListFargateProfiles");
    refuse(&mut case, "iam", "ListOpenIDConnectProviders");
    case.apply()
        // What EKS says of the agent counts.
        .expect_attribute(THIS, "ready", true)
        .expect_attribute(THIS, "agent.kind", "addon")
        .expect_attribute(THIS, "agent.nodes", Value::Null)
        .expect_attribute(THIS, "agent.nodes_ready", Value::Null)
        .expect_attribute(THIS, "agent.nodes_without_agent", Value::Null)
        .expect_attribute(THIS, "fargate_profiles", Value::Null)
        .expect_attribute(THIS, "oidc_provider_exists", Value::Null)
        .expect_empty_plan();
    let reasons = case.attribute(THIS, "reasons").to_string();
    for missing in [
        "eks:ListFargateProfiles",
        "iam:ListOpenIDConnectProviders",
        r#"resources: [\"nodes\"]"#,
        r#"resources: [\"pods\"]"#,
        r#"resources: [\"mutatingwebhookconfigurations\"]"#,
    ] {
        assert!(reasons.contains(missing), "{missing}: {reasons}");
    }
    assert!(codes(&case).iter().all(|code| code == "not_checked"));

    // An agent that nobody may see might be missing, so nobody may rely on it.
    refuse(&mut case, "eks", "DescribeAddon");
    case.apply()
        .expect_attribute(THIS, "ready", false)
        .expect_attribute(THIS, "agent.kind", Value::Null);
    assert!(codes(&case).iter().all(|code| code == "not_checked"));
    let reasons = case.attribute(THIS, "reasons").to_string();
    for part in ["eks:DescribeAddon", "could not be told whether"] {
        assert!(reasons.contains(part), "{part}: {reasons}");
    }

    // With rights in kube-system it is found there.
    seed(
        &case,
        json!({"access": [{"principal_arn": "*", "rules": [{"verbs": ["list"], "resources": ["pods", "daemonsets"], "namespaces": ["kube-system"]}]}]}),
    );
    case.apply()
        .expect_attribute(THIS, "ready", true)
        .expect_attribute(THIS, "agent.kind", "self_managed");
}

#[test]
fn a_cluster_out_of_reach() {
    let Some(mut case) = case(json!({"addons": [{"name": AGENT}]})) else {
        return;
    };
    // Nobody listens there.
    let provider = "provider \"podidentity\" {\n  kubernetes {\n    host  = \"https://127.0.0.1:9\"\n    token = \"t\"\n  }\n}\n";
    case.config(format!("{provider}{CONFIG}"))
        .apply()
        .expect_attribute(THIS, "ready", true)
        .expect_attribute(THIS, "agent.status", "ACTIVE")
        .expect_match(THIS, "reasons.0.message", "^Nodes, the agent's pods and the webhook's configuration could not be read: the Kubernetes API cannot be reached");
    assert_eq!(codes(&case), ["not_checked"]);

    // A user that the cluster does not know.
    case.config(CONFIG);
    seed(
        &case,
        json!({"access": [{"principal_arn": "arn:aws:iam::123456789012:role/nobody", "rules": []}]}),
    );
    case.apply()
        .expect_attribute(THIS, "ready", true)
        .expect_match(THIS, "reasons.0.message", "access entry");
    assert_eq!(codes(&case), ["not_checked"]);
}

#[test]
fn errors_say_where() {
    let Some(mut case) = Case::sandbox_only() else {
        return;
    };
    case.config("data \"podidentity_cluster\" \"this\" {\n  cluster_name = \"nowhere\"\n}\n")
        .plan_error("EKS cluster not found.*no EKS cluster \"nowhere\"")
        .on("cluster_name");
    case.config("data \"podidentity_cluster\" \"this\" {}\n")
        .plan_error("Missing cluster name")
        .anywhere();
    case.config("data \"podidentity_cluster\" \"this\" {\n  cluster_name = \"no/name\"\n}\n")
        .plan_error("cluster_name|cluster name")
        .on("cluster_name");
    refuse(&mut case, "eks", "DescribeCluster");
    case.config(CONFIG)
        .plan_error("Reading EKS cluster.*eks:DescribeCluster")
        .on("cluster_name");
    // What EKS does not answer at all must not look like an answer.
    case.sandbox().clear_faults();
    fail(&mut case, "eks", "DescribeAddon", "InvalidRequestException");
    case.plan_error("Reading EKS cluster.*EKS DescribeAddon: InvalidRequestException")
        .on("cluster_name");
    // Except in regions without Fargate.
    case.sandbox().clear_faults();
    fail(
        &mut case,
        "eks",
        "ListFargateProfiles",
        "InvalidRequestException",
    );
    case.apply()
        .expect_attribute(THIS, "agent.kind", "none")
        .expect_attribute(THIS, "fargate_profiles", Value::Null)
        .expect_match(
            THIS,
            "reasons.1.message",
            "Fargate profiles could not be read: EKS ListFargateProfiles",
        );
}

#[test]
fn read_after_what_it_depends_on() {
    let Some(mut case) = Case::sandbox_only() else {
        return;
    };
    case.config(
        r#"
data "podidentity_cluster" "before" {
  cluster_name = "demo"
}

resource "podidentity_agent" "this" {
  cluster_name = "demo"
}

data "podidentity_cluster" "this" {
  cluster_name = podidentity_agent.this.cluster_name
  depends_on   = [podidentity_agent.this]
}
"#,
    )
    .apply()
    .expect_attribute("data.podidentity_cluster.before", "ready", false)
    .expect_attribute(THIS, "agent.kind", "addon")
    .expect_attribute(THIS, "ready", true);
}
