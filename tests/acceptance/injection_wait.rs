//! `wait_for_injection` of `podidentity_association`.

use podidentity_sandbox::{Fault, FaultError};
use serde_json::{Value, json};

use crate::harness::{Action, Case};

const THIS: &str = "podidentity_association.this";

const CONFIG: &str = r#"
resource "podidentity_role" "this" {
  name = "{{name}}"
}

resource "podidentity_association" "this" {
  cluster_name       = "{{cluster}}"
  namespace          = "{{name}}"
  service_account    = "api"
  role_arn           = podidentity_role.this.arn
  wait_for_injection = WAIT
}
"#;

fn config(wait: &str) -> String {
    CONFIG.replace("WAIT", wait)
}

/// A case whose service account exists, with more of the cluster.
fn case(more: &[(&str, Value)]) -> Option<Case> {
    let case = Case::sandbox_only()?;
    let mut cluster =
        json!({"name": "demo", "service_accounts": [{"namespace": case.name(), "name": "api"}]});
    for (key, value) in more {
        cluster[*key] = value.clone();
    }
    case.sandbox().seed(json!({"clusters": [cluster]})).unwrap();
    Some(case)
}

/// Whether a pod that is created now would get the association's credentials.
fn injected(case: &Case) -> bool {
    let pod = json!({
        "metadata": {"generateName": "test-"},
        "spec": {"serviceAccountName": "api", "containers": [{"name": "c", "image": "i"}]},
    });
    let request = json!({
        "cluster": "demo", "method": "POST", "resource": "pods", "namespace": case.name(), "query": {"dryRun": "All"}, "body": pod,
    });
    let answer = case
        .sandbox()
        .call("kubernetes", "create", request)
        .unwrap();
    answer
        .to_string()
        .contains("AWS_CONTAINER_CREDENTIALS_FULL_URI")
}

fn associations(case: &Case) -> usize {
    let request = json!({"clusterName": "demo"});
    let listed = case
        .sandbox()
        .call("eks", "ListPodIdentityAssociations", request)
        .unwrap();
    listed["associations"].as_array().unwrap().len()
}

#[test]
fn waits_until_every_api_server_injects() {
    let webhook = json!({"api_servers": 3, "delay_ms": 1500});
    let Some(mut case) = case(&[("webhook", webhook)]) else {
        return;
    };
    case.config(config("{ interval = \"50ms\" }")).apply();
    for _ in 0..6 {
        assert!(injected(&case), "applied before it is in effect");
    }
    case.expect_attribute(THIS, "wait_for_injection.consecutive", 5)
        .expect_attribute(THIS, "wait_for_injection.timeout", "5m")
        .clear_calls()
        .expect_empty_plan()
        .expect_calls(&[
            ("eks:DescribePodIdentityAssociation", 1),
            ("iam:GetRole", 1),
        ]);

    // Only the creation waits.
    for wait in ["{}", "null", "{ consecutive = 9, timeout = \"1m\" }"] {
        case.config(config(wait))
            .expect_plan(&[(THIS, Action::Update)])
            .clear_calls()
            .apply();
        let calls = case.calls();
        let quiet = ["Update", "Tag", "Untag", "Create", "create"];
        let loud: Vec<_> = calls
            .keys()
            .filter(|call| quiet.iter().any(|verb| call.contains(verb)))
            .collect();
        assert!(loud.is_empty(), "{wait}: {loud:?}");
        case.expect_empty_plan();
    }
    case.config(config("null")).apply();
    let id = format!("{{{{cluster}}}},{}", case.text(THIS, "association_id"));
    case.verify_import(THIS, &id, &[]);
    case.destroy();
}

#[test]
fn an_association_that_is_not_in_effect_in_time_stays() {
    let Some(mut case) = case(&[("webhook", json!({"down": true}))]) else {
        return;
    };
    case.config(config("{ interval = \"20ms\", timeout = \"1s\" }"));
    let outcome = case.try_apply(&[]);
    assert_eq!(outcome.code, 0, "{}", outcome.report());
    let warnings = outcome.warnings();
    let warning = warnings
        .iter()
        .find(|warning| warning.summary.contains("not seen in effect"))
        .unwrap_or_else(|| panic!("{}", outcome.report()));
    let id = case.text(THIS, "association_id");
    let detail = warning.detail.replace('\n', " ");
    for part in [
        &*id,
        "no AWS credentials",
        "nothing has to be applied again",
    ] {
        assert!(detail.contains(part), "{part}: {detail}");
    }
    assert!(!case.state().is_tainted(THIS));
    case.expect_empty_plan();
    assert_eq!(associations(&case), 1);
}

#[test]
fn nothing_is_created_when_it_could_not_be_seen() {
    let Some(mut case) = Case::sandbox_only() else {
        return;
    };
    let namespace = case.name().to_owned();
    case.sandbox()
        .seed(json!({"clusters": [{"name": "demo", "namespaces": [namespace]}]}))
        .unwrap();
    // No such service account.
    case.config(config("{ interval = \"20ms\", timeout = \"1s\" }"))
        .apply_error("\"api\"\\s+does\\s+not\\s+exist")
        .on("wait_for_injection");
    assert_eq!(associations(&case), 0);
    case.sandbox()
        .seed(json!({"clusters": [{"name": "demo", "service_accounts": [{"namespace": namespace, "name": "api"}]}]}))
        .unwrap();

    let refusal = |message: &str| Fault {
        service: Some("kubernetes".into()),
        operation: Some("create pods".into()),
        error: Some(FaultError {
            code: "Forbidden".into(),
            message: message.into(),
            status: 403,
        }),
        ..Fault::default()
    };
    for (message, pattern) in [
        (
            "pods is forbidden: User \"ci\" cannot create resource \"pods\" in API group \"\" in the namespace \"x\"",
            "verbs: \\[\"create\"\\]",
        ),
        (
            "pods \"podidentity-probe-x\" is forbidden: violates PodSecurity \"custom:latest\": no",
            "Pod\\s+Security\\s+Standard\\s+\"custom:latest\"",
        ),
    ] {
        case.fault(refusal(message));
        case.apply_error(pattern).on("wait_for_injection");
        case.sandbox().clear_faults();
    }
    assert_eq!(associations(&case), 0);

    let provider = "provider \"podidentity\" {\n  kubernetes {\n    host  = \"https://127.0.0.1:1\"\n    token = \"t\"\n  }\n}\n";
    let wait = config("{ interval = \"20ms\", timeout = \"1s\" }");
    case.config(format!("{provider}{wait}"))
        .apply_error("127\\.0\\.0\\.1:1")
        .on("wait_for_injection");
    assert_eq!(associations(&case), 0);
    case.config(wait).apply().expect_empty_plan();
    assert_eq!(associations(&case), 1);
}
