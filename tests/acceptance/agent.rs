//! `podidentity_agent`.

use aws_sdk_eks::types::Addon;
use podidentity_sandbox::{Drop, Fault, FaultError};
use serde_json::json;

#[cfg(unix)]
use crate::harness::Running;
use crate::harness::{Action, Case};

const THIS: &str = "podidentity_agent.this";
const ADDON: &str = "eks-pod-identity-agent";

const BASIC: &str = r#"
resource "podidentity_agent" "this" {
  cluster_name = "{{cluster}}"
  # more
}
"#;

fn with(more: &str) -> String {
    BASIC.replace("# more", more)
}

fn addon(case: &Case) -> Option<Addon> {
    let aws = case.aws();
    aws.attempt(
        aws.eks
            .describe_addon()
            .cluster_name(case.fill("{{cluster}}"))
            .addon_name(ADDON)
            .send(),
    )
    .ok()
    .and_then(|answer| answer.addon)
}

/// Changes how the sandbox's agent goes through its life.
fn behave(case: &Case, behaviour: &serde_json::Value) {
    case.sandbox()
        .seed(json!({"clusters": [{"name": "demo", "addon_behaviour": {ADDON: behaviour}}]}))
        .unwrap();
}

#[test]
fn is_installed_in_its_default_version_and_stays() {
    let Some(mut case) = Case::sandbox_only() else {
        return;
    };
    case.config(with("tags = { team = \"platform\" }"));
    let plan = case.plan();
    // The cluster runs Kubernetes 1.33: the plan shows the version that will be installed.
    assert_eq!(
        plan.after(THIS, "addon_version"),
        Ok(json!("v1.3.8-eksbuild.2"))
    );
    case.clear_calls().apply();
    let mut calls = case.calls();
    let polls = calls.remove("eks:DescribeAddon").unwrap();
    assert!((1..=5).contains(&polls), "{polls} polls");
    assert_eq!(
        calls.into_iter().collect::<Vec<_>>(),
        [
            // Planned by one process and, as Terraform does it, planned again by the one that applies.
            ("eks:CreateAddon".to_owned(), 1),
            ("eks:DescribeAddonVersions".to_owned(), 2),
            ("eks:DescribeCluster".to_owned(), 2),
        ]
    );
    case.expect_attribute(THIS, "status", "ACTIVE")
        .expect_attribute(THIS, "id", "{{cluster}}:eks-pod-identity-agent")
        .expect_attribute(THIS, "addon_version", "v1.3.8-eksbuild.2")
        .expect_attribute(THIS, "tags_all.team", "platform")
        .expect_match(
            THIS,
            "arn",
            "^arn:{{partition}}:eks:{{region}}:{{account_id}}:addon/{{cluster}}/eks-pod-identity-agent/",
        )
        .expect_match(THIS, "created_at", r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$");
    case.clear_calls()
        .expect_empty_plan()
        .expect_calls(&[("eks:DescribeAddon", 1)]);
    // A new default version is no reason to change what is installed.
    case.sandbox()
        .seed(json!({"addon_versions": [{"addon": ADDON, "version": "v1.4.0-eksbuild.1", "compatibilities": {"1.33": true}}]}))
        .unwrap();
    case.expect_empty_plan().destroy();
    assert!(addon(&case).is_none());
}

#[test]
fn works_against_any_cluster() {
    let mut case = Case::new();
    let _guard = case.cluster_lock();
    case.config(with(
        "resolve_conflicts_on_create = \"OVERWRITE\"\n  version_policy = \"latest\"",
    ))
    .apply()
    .expect_attribute(THIS, "status", "ACTIVE")
    .expect_empty_plan();
    case.edit("\"latest\"", "\"default\"")
        .apply()
        .expect_empty_plan();
    case.destroy();
}

#[test]
fn follows_a_version_policy_on_every_plan() {
    let Some(mut case) = Case::sandbox_only() else {
        return;
    };
    case.config(with("version_policy = \"latest\""))
        .apply()
        .expect_attribute(THIS, "addon_version", "v1.3.10-eksbuild.2")
        .expect_empty_plan();
    case.sandbox()
        .seed(json!({"addon_versions": [{"addon": ADDON, "version": "v1.10.0-eksbuild.1", "compatibilities": {"1.33": false}}]}))
        .unwrap();
    case.expect_plan(&[(THIS, Action::Update)]);
    assert_eq!(
        case.plan().after(THIS, "addon_version"),
        Ok(json!("v1.10.0-eksbuild.1"))
    );
    case.apply().expect_empty_plan();
    case.edit("latest", "default")
        .apply()
        .expect_attribute(THIS, "addon_version", "v1.3.8-eksbuild.2")
        .expect_empty_plan();
    // The cluster is upgraded: the default is another one.
    case.sandbox()
        .seed(json!({"clusters": [{"name": "demo", "version": "1.34"}]}))
        .unwrap();
    case.expect_plan(&[(THIS, Action::Update)])
        .apply()
        .expect_attribute(THIS, "addon_version", "v1.3.9-eksbuild.3");
    // Without a policy it is kept.
    case.edit("version_policy = \"default\"", "")
        .apply()
        .expect_empty_plan();
    case.expect_attribute(THIS, "addon_version", "v1.3.9-eksbuild.3");
}

#[test]
fn version_and_settings_change_in_place() {
    let Some(mut case) = Case::sandbox_only() else {
        return;
    };
    let values = r#"configuration_values = jsonencode({ agent = { additionalArgs = { "-b" = "169.254.170.23" } } })"#;
    case.config(with("addon_version = \"v1.3.5-eksbuild.2\""))
        .apply();
    let created = case.attribute(THIS, "created_at");
    let steps = [
        "addon_version = \"v1.3.7-eksbuild.2\"".to_owned(),
        format!("addon_version = \"v1.3.7-eksbuild.2\"\n  {values}"),
        "addon_version = \"v1.3.7-eksbuild.2\"".to_owned(),
        "addon_version = \"v1.3.7-eksbuild.2\"\n  tags = { a = \"1\" }".to_owned(),
        "addon_version = \"v1.3.7-eksbuild.2\"\n  preserve = true\n  resolve_conflicts_on_create = \"OVERWRITE\"".to_owned(),
        format!("addon_version = \"v1.3.8-eksbuild.2\"\n  resolve_conflicts_on_update = \"PRESERVE\"\n  {values}"),
    ];
    for more in steps {
        case.config(with(&more))
            .expect_plan(&[(THIS, Action::Update)])
            .clear_calls()
            .apply()
            .expect_empty_plan();
        assert_eq!(case.attribute(THIS, "created_at"), created, "{more}");
        let updates = case
            .calls()
            .get("eks:UpdateAddon")
            .copied()
            .unwrap_or_default();
        assert!(updates <= 1, "{more}: {updates} updates");
        let found = addon(&case).unwrap();
        assert_eq!(
            found
                .configuration_values()
                .is_some_and(|text| text.contains("169.254")),
            more.contains("configuration_values"),
            "{more}"
        );
        assert_eq!(
            found.addon_version().map(|version| more.contains(version)),
            Some(true),
            "{more}"
        );
    }
}

#[test]
fn settings_are_compared_by_meaning() {
    let Some(mut case) = Case::sandbox_only() else {
        return;
    };
    case.config(with(
        r#"configuration_values = "{\"agent\":{\"additionalArgs\":{\"-b\":\"169.254.170.23\"}}}""#,
    ))
    .apply()
    .expect_empty_plan();
    case.config(with(
        "configuration_values = <<-YAML\n    agent:\n      additionalArgs:\n        \"-b\": 169.254.170.23\n  YAML",
    ))
    .expect_empty_plan();
}

#[test]
fn another_cluster_replaces_it() {
    let Some(mut case) = Case::sandbox_only() else {
        return;
    };
    case.sandbox()
        .seed(json!({"clusters": [{"name": "other"}]}))
        .unwrap();
    case.config(BASIC).apply();
    case.edit("{{cluster}}", "other")
        .expect_plan(&[(THIS, Action::Replace)]);
    assert_eq!(case.plan().replace_paths(THIS), ["cluster_name"]);
    case.apply().expect_empty_plan();
    case.taint(THIS)
        .expect_plan(&[(THIS, Action::Replace)])
        .apply()
        .expect_empty_plan();
}

#[test]
fn drift_and_disappearance_are_mended() {
    let Some(mut case) = Case::sandbox_only() else {
        return;
    };
    case.config(with(
        "addon_version = \"v1.3.8-eksbuild.2\"\n  configuration_values = jsonencode({ agent = { additionalArgs = { \"-b\" = \"169.254.170.23\" } } })\n  tags = { team = \"platform\" }",
    ))
    .apply();
    let arn = case.text(THIS, "arn");
    let changes = [
        (
            "version",
            json!({"name": ADDON, "version": "v1.3.9-eksbuild.3"}),
        ),
        (
            "configuration",
            json!({"name": ADDON, "configuration_values": "{}"}),
        ),
        ("tags", json!({"name": ADDON, "tags": {"team": "other"}})),
    ];
    for (what, change) in changes {
        case.sandbox()
            .seed(json!({"clusters": [{"name": "demo", "addons": [change]}]}))
            .unwrap();
        case.expect_plan(&[(THIS, Action::Update)])
            .apply()
            .expect_empty_plan();
        assert_eq!(case.text(THIS, "arn"), arn, "{what}");
    }
    // Unhealthy is not drift.
    case.sandbox()
        .seed(json!({"clusters": [{"name": "demo", "addons": [{"name": ADDON, "status": "DEGRADED"}]}]}))
        .unwrap();
    case.expect_empty_plan();
    let gone = |case: &Case| {
        behave(case, &json!({"delete": []}));
        case.sandbox()
            .call(
                "eks",
                "DeleteAddon",
                json!({"clusterName": "demo", "addonName": ADDON}),
            )
            .unwrap();
    };
    gone(&case);
    case.expect_plan(&[(THIS, Action::Create)])
        .apply()
        .expect_empty_plan();
    gone(&case);
    case.destroy();
}

#[test]
fn is_imported() {
    let Some(mut case) = Case::sandbox_only() else {
        return;
    };
    case.config(with(
        "tags = { team = \"platform\" }\n  configuration_values = jsonencode({})",
    ))
    .apply();
    case.verify_import(THIS, "{{cluster}}", &[]).verify_import(
        THIS,
        "{{cluster}}:eks-pod-identity-agent",
        &[],
    );
    case.forget(THIS)
        .import_block(THIS, "{{cluster}}")
        .expect_empty_plan();
    case.forget(THIS);
    for (id, message) in [
        ("demo:vpc-cni", "not an import id"),
        ("not a cluster", "not an import id"),
        ("missing", "Cannot import non-existent remote object"),
    ] {
        case.import_error(THIS, id, message);
    }
}

#[test]
fn an_agent_that_is_there_is_not_taken_over_silently() {
    let Some(mut case) = Case::sandbox_only() else {
        return;
    };
    case.config(BASIC).apply().forget(THIS);
    let error = case
        .apply_error("Installing EKS Pod Identity Agent.*already exists")
        .anywhere();
    assert!(
        error.detail.contains("terraform import") && error.detail.contains("demo"),
        "{}",
        error.detail
    );
}

#[test]
fn degraded_is_told_at_once_and_does_not_taint() {
    let Some(mut case) = Case::sandbox_only() else {
        return;
    };
    let degraded = json!({"status": "DEGRADED", "issues": [{
        "code": "InsufficientNumberOfReplicas",
        "message": "The add-on is unhealthy because it doesn't have the desired number of replicas.",
    }]});
    behave(
        &case,
        &json!({"create": [{"status": "CREATING", "describes": 1}, degraded]}),
    );
    case.config(BASIC);
    let outcome = case.try_apply(&[]);
    assert_eq!(outcome.code, 0, "{}", outcome.report());
    let warning = outcome
        .warnings()
        .into_iter()
        .find(|warning| warning.summary == "EKS Pod Identity Agent is degraded")
        .unwrap_or_else(|| panic!("{}", outcome.report()));
    assert!(
        warning.detail.contains("InsufficientNumberOfReplicas"),
        "{}",
        warning.detail
    );
    assert!(!case.state().is_tainted(THIS));
    case.expect_attribute(THIS, "status", "DEGRADED")
        .expect_empty_plan();
    // Degraded on the way to active is nothing to tell.
    case.destroy();
    behave(
        &case,
        &json!({"create": [{"status": "CREATING"}, {"status": "DEGRADED", "describes": 2}, {"status": "ACTIVE"}]}),
    );
    let outcome = case.try_apply(&[]);
    assert_eq!(
        (outcome.code, outcome.warnings().len()),
        (0, 0),
        "{}",
        outcome.report()
    );
    case.expect_attribute(THIS, "status", "ACTIVE");
}

#[test]
fn a_failed_installation_ends_early_with_the_reason() {
    let Some(mut case) = Case::sandbox_only() else {
        return;
    };
    behave(
        &case,
        &json!({"create": [{"status": "CREATING", "describes": 1}, {"status": "CREATE_FAILED", "issues": [
            {"code": "AdmissionRequestDenied", "message": "denied by policy", "resourceIds": ["ds/eks-pod-identity-agent"]}
        ]}]}),
    );
    case.config(BASIC);
    let error = case
        .apply_error("Installing EKS Pod Identity Agent")
        .anywhere();
    for part in [
        "CREATE_FAILED",
        "AdmissionRequestDenied",
        "denied by policy",
        "ds/eks-pod-identity-agent",
    ] {
        assert!(
            error.detail.contains(part),
            "{part} is not in: {}",
            error.detail
        );
    }
    // EKS has it, so the state does too.
    assert!(case.state().is_tainted(THIS));
    behave(&case, &json!({}));
    case.apply().expect_empty_plan();
}

#[test]
fn a_failed_update_tells_the_reason_and_what_is_there() {
    let Some(mut case) = Case::sandbox_only() else {
        return;
    };
    case.config(with("addon_version = \"v1.3.7-eksbuild.2\""))
        .apply();
    let errors = json!([{"errorCode": "ConfigurationConflict", "errorMessage": "Conflicts found", "resourceIds": ["x"]}]);
    let unhealthy =
        json!({"status": "DEGRADED", "issues": [{"code": "AccessDenied", "message": "no image"}]});
    behave(
        &case,
        &json!({"update_result": "Failed", "update_errors": errors, "update": [unhealthy]}),
    );
    case.config(with("addon_version = \"v1.3.8-eksbuild.2\""));
    let error = case
        .apply_error("Updating EKS Pod Identity Agent.*ConfigurationConflict")
        .anywhere();
    assert!(
        error.detail.contains("no image"),
        "health issues: {}",
        error.detail
    );
    assert!(
        error.detail.contains("resolve_conflicts_on_update"),
        "{}",
        error.detail
    );
    case.expect_attribute(THIS, "addon_version", "v1.3.7-eksbuild.2");
    assert!(!case.state().is_tainted(THIS));
    // Called failed, but the new version runs: that is what was asked for.
    behave(
        &case,
        &json!({"update_result": "Failed", "update_errors": errors, "update_applied": true, "update": [{"status": "ACTIVE"}]}),
    );
    case.apply()
        .expect_attribute(THIS, "addon_version", "v1.3.8-eksbuild.2")
        .expect_empty_plan();
}

#[test]
fn auto_mode_clusters_need_no_agent() {
    let Some(mut case) = Case::sandbox_only() else {
        return;
    };
    case.sandbox()
        .seed(json!({"clusters": [{"name": "demo", "auto_mode": true}]}))
        .unwrap();
    case.config(BASIC)
        .plan_warning("EKS Auto Mode has the agent built in.*Remove this resource");
}

#[test]
fn preserve_leaves_the_agent_running() {
    let Some(mut case) = Case::sandbox_only() else {
        return;
    };
    case.config(with("preserve = true"))
        .apply()
        .clear_calls()
        .destroy();
    let deletion = case
        .sandbox()
        .requests()
        .into_iter()
        .find(|entry| entry.operation == "DeleteAddon")
        .unwrap();
    assert_eq!(
        deletion.parameters["preserve"],
        json!(true),
        "{:?}",
        deletion.parameters
    );
}

/// Begins an installation that does not end, and returns while the provider waits for it.
#[cfg(unix)]
fn start_waiting(case: &mut Case) -> Running {
    behave(
        case,
        &json!({"create": [{"status": "CREATING", "ms": 600_000}, {"status": "ACTIVE"}]}),
    );
    case.config(BASIC);
    let running = case.start_apply();
    case.wait_until("the installation is waited for", |case| {
        case.calls()
            .get("eks:DescribeAddon")
            .copied()
            .unwrap_or_default()
            >= 2
    });
    running
}

#[cfg(unix)]
#[test]
fn an_interrupted_installation_is_in_the_state() {
    let Some(mut case) = Case::sandbox_only() else {
        return;
    };
    let running = start_waiting(&mut case);
    running.interrupt();
    let outcome = running.wait();
    assert_eq!(outcome.code, 1, "{}", outcome.report());
    assert!(case.state().is_tainted(THIS), "{}", outcome.report());
    case.expect_attribute(THIS, "status", "CREATING")
        .expect_match(THIS, "arn", "addon/demo/eks-pod-identity-agent");
    behave(&case, &json!({}));
    case.destroy();
}

/// As `timeout` and service managers do it.
#[cfg(unix)]
#[test]
fn a_terminated_process_group_leaves_the_installation_in_the_state() {
    let Some(mut case) = Case::sandbox_only() else {
        return;
    };
    let running = start_waiting(&mut case);
    running.signal("TERM");
    let outcome = running.wait();
    assert!(case.state().is_tainted(THIS), "{}", outcome.report());
    behave(&case, &json!({}));
    case.destroy();
}

#[cfg(unix)]
#[test]
fn an_answer_on_the_wire_is_awaited_when_interrupted() {
    let Some(mut case) = Case::sandbox_only() else {
        return;
    };
    case.fault(Fault {
        operation: Some("CreateAddon".into()),
        hold: true,
        ..Fault::default()
    });
    case.config(BASIC);
    let running = case.start_apply();
    let outcome = case.interrupt_while_held(running);
    assert!(addon(&case).is_some(), "{}", outcome.report());
    assert!(
        case.state().attributes(THIS).is_some(),
        "EKS has it, the state not: {}",
        outcome.report()
    );
}

#[test]
fn lost_answers_install_one_agent() {
    let Some(mut case) = Case::sandbox_only() else {
        return;
    };
    for drop in [Drop::After, Drop::Before] {
        case.fault(Fault {
            operation: Some("CreateAddon".into()),
            drop: Some(drop),
            count: Some(1),
            ..Fault::default()
        });
        case.config(BASIC).apply().expect_empty_plan().destroy();
        case.sandbox().clear_faults();
    }
}

#[test]
fn missing_permissions_are_named() {
    let Some(mut case) = Case::sandbox_only() else {
        return;
    };
    let denied = |operation: &str| Fault {
        operation: Some(operation.into()),
        error: Some(FaultError {
            code: "AccessDeniedException".into(),
            message: "not authorized".into(),
            status: 403,
        }),
        ..Fault::default()
    };
    case.fault(denied("CreateAddon")).config(BASIC);
    case.apply_error("Installing EKS Pod Identity Agent.*eks:CreateAddon")
        .anywhere();
    case.sandbox().clear_faults();
    // Looking up versions may be forbidden: EKS then chooses.
    case.fault(denied("DescribeAddonVersions"))
        .apply()
        .expect_empty_plan();
    case.config(with("version_policy = \"latest\""))
        .plan_error("eks:DescribeAddonVersions")
        .on("version_policy");
}

#[test]
fn bad_input_is_refused_at_plan_time() {
    let Some(mut case) = Case::sandbox_only() else {
        return;
    };
    let cases = [
        (
            "addon_version = \"1.3.8\"",
            "addon_version",
            "version such as",
        ),
        (
            "addon_version = \"latest\"",
            "addon_version",
            "version such as",
        ),
        (
            "addon_version = \"v9.9.9-eksbuild.1\"",
            "addon_version",
            "not offer.*Available: v1.3",
        ),
        (
            "version_policy = \"newest\"",
            "version_policy",
            "default.*latest",
        ),
        (
            "version_policy = \"latest\"\n  addon_version = \"v1.3.8-eksbuild.2\"",
            "version_policy",
            "addon_version",
        ),
        (
            "configuration_values = \"[1]\"",
            "configuration_values",
            "list",
        ),
        (
            "configuration_values = \"{\"",
            "configuration_values",
            "JSON",
        ),
        (
            "configuration_values = \"a: [\"",
            "configuration_values",
            "YAML",
        ),
        (
            "configuration_values = \"text\"",
            "configuration_values",
            "text",
        ),
        (
            "configuration_values = jsonencode({ agnet = {} })",
            "configuration_values",
            "agnet",
        ),
        (
            "configuration_values = jsonencode({ agent = \"x\" })",
            "configuration_values",
            "/agent",
        ),
        (
            "resolve_conflicts_on_create = \"PRESERVE\"",
            "resolve_conflicts_on_create",
            "OVERWRITE",
        ),
        (
            "resolve_conflicts_on_update = \"FORCE\"",
            "resolve_conflicts_on_update",
            "PRESERVE",
        ),
        ("tags = { \"aws:x\" = \"1\" }", "tags", "reserved"),
        ("timeouts { update = \"1 hour\" }", "update", "duration"),
        ("status = \"ACTIVE\"", "status", ".*"),
    ];
    for (more, attribute, expected) in cases {
        case.config(with(more));
        case.plan_error(expected).on(attribute);
    }
    case.config(BASIC.replace("{{cluster}}", "de mo"));
    case.plan_error("cluster name").on("cluster_name");
    case.sandbox()
        .seed(json!({"clusters": [{"name": "old", "version": "1.23"}]}))
        .unwrap();
    case.config(BASIC.replace("{{cluster}}", "old"));
    case.plan_error("No version of the EKS Pod Identity Agent")
        .on("cluster_name");
}

#[test]
fn a_change_under_way_is_waited_for() {
    let Some(mut case) = Case::sandbox_only() else {
        return;
    };
    let busy = |operation: &str| Fault {
        operation: Some(operation.into()),
        error: Some(FaultError {
            code: "ResourceInUseException".into(),
            message: "Addon cannot be updated as it is currently in UPDATING state".into(),
            status: 409,
        }),
        count: Some(2),
        ..Fault::default()
    };
    case.config(with("addon_version = \"v1.3.7-eksbuild.2\""))
        .apply();
    case.fault(busy("UpdateAddon"));
    case.config(with("addon_version = \"v1.3.8-eksbuild.2\""))
        .apply()
        .expect_empty_plan();
    case.fault(busy("DeleteAddon")).destroy();
}

#[test]
fn a_slow_installation_is_no_reason_to_replace_it() {
    let Some(mut case) = Case::sandbox_only() else {
        return;
    };
    behave(
        &case,
        &json!({"create": [{"status": "CREATING", "ms": 600_000}, {"status": "ACTIVE"}]}),
    );
    case.config(with("timeouts {\n    create = \"2s\"\n  }"));
    let outcome = case.try_apply(&[]);
    assert_eq!(outcome.code, 0, "{}", outcome.report());
    assert!(
        outcome
            .warnings()
            .iter()
            .any(|warning| warning.detail.contains("did not become active")),
        "{}",
        outcome.report()
    );
    assert!(!case.state().is_tainted(THIS));
    case.expect_attribute(THIS, "status", "CREATING")
        .expect_empty_plan();
}
