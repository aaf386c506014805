//! Scenarios 22-29: associations.

use std::collections::BTreeMap;

use podidentity_sandbox::{Fault, FaultError, Visibility};
use serde_json::json;

use super::cluster::{Cluster, arn, irsa, pods, subject};
use super::*;

const ROLE: &str = "payments-api";

fn association(role: &str) -> serde_json::Value {
    json!({"namespace": "payments", "service_account": "api", "role_arn": arn(role)})
}

fn associated() -> Cluster {
    Cluster::with_statements(json!([
        irsa(subject("payments", "api")),
        pods("Pods", None)
    ]))
    .set("associations", json!([association(ROLE)]))
}

/// Scenario 22: an association that is there already, with the right role, is used only if that is asked for, and stays on destroy.
#[test]
fn s22_existing_association_is_adopted_on_request() {
    let Some(mut case) = case(&associated(), with(RESTART)) else {
        return;
    };
    let before = associations(&case);
    expect_blocker(
        &mut case,
        "association_exists",
        "adopt_existing_association",
    );
    case.config(with(&format!(
        "{RESTART}\n  adopt_existing_association = true\n  tags = {{ a = \"b\" }}"
    )))
    .apply()
    .expect_empty_plan()
    .expect_attribute(THIS, "association_adopted", true)
    .expect_attribute(THIS, "phase", "verified")
    .expect_attribute(THIS, "association_id", before[0].1["associationId"].clone());
    assert_eq!(associations(&case), before, "it is used, not changed");
    case.destroy();
    assert_eq!(associations(&case), before);
    assert_eq!(statements(&trust(&case, ROLE)).len(), 2);
    assert_eq!(paths(&case, "api"), BTreeMap::from([("pod_identity", 2)]));
}

/// Scenario 22, other settings: what is adopted must be as configured.
#[test]
fn s22_settings_that_differ_stop_an_adoption() {
    let more = format!(
        "{RESTART}\n  adopt_existing_association = true\n  disable_session_tags = true\n  trust = {{ scope = \"cluster\" }}"
    );
    let Some(mut case) = case(&associated(), with(&more)) else {
        return;
    };
    expect_blocker(&mut case, "association_settings", "disable_session_tags");
}

/// Scenario 23: an association with another role is an error that names both.
#[test]
fn s23_association_with_another_role() {
    let cluster = Cluster::plain()
        .role("other", json!([pods("Pods", None)]))
        .set("associations", json!([association("other")]));
    let Some(mut case) = case(
        &cluster,
        with(&format!("{RESTART}\n  adopt_existing_association = true")),
    ) else {
        return;
    };
    expect_blocker(
        &mut case,
        "association_other_role",
        "role/other.*role/payments-api|role/payments-api.*role/other",
    );
}

/// Scenario 24: an association that belongs to an add-on is the add-on's.
#[test]
fn s24_association_of_an_add_on() {
    let cluster = Cluster::empty()
        .role("cni", json!([irsa(subject("kube-system", "aws-node")), pods("Pods", None)]))
        .service_account("kube-system", "aws-node", &arn("cni"))
        .set("addons", json!([
            {"name": "eks-pod-identity-agent"},
            {"name": "vpc-cni", "pod_identity_associations": [{"service_account": "aws-node", "role_arn": arn("cni")}]},
        ]));
    let config = with(&format!("{RESTART}\n  adopt_existing_association = true"))
        .replace("\"payments\"", "\"kube-system\"")
        .replace("\"api\"", "\"aws-node\"");
    let Some(mut case) = case(&cluster, config) else {
        return;
    };
    expect_blocker(&mut case, "association_owned", "vpc-cni");
}

/// Scenario 25: EKS sees a new trust policy late; creating the association is tried again until it does.
#[test]
fn s25_trust_is_seen_late() {
    // What is late by time may be there before the first attempt of a slow machine; only late looks are sure to be repeated.
    for (visibility, attempts) in [
        (
            Visibility {
                trust_ms: 4_000,
                ..Visibility::default()
            },
            1,
        ),
        (
            Visibility {
                trust_calls: 3,
                ..Visibility::default()
            },
            4,
        ),
        (
            Visibility {
                role_calls: 2,
                trust_calls: 2,
                list_ms: 3_000,
                ..Visibility::default()
            },
            3,
        ),
    ] {
        let Some(mut case) = case(&Cluster::plain(), with(RESTART)) else {
            return;
        };
        case.fault(Fault {
            visibility: Some(visibility),
            ..Fault::default()
        });
        case.clear_calls()
            .apply()
            .expect_attribute(THIS, "phase", "verified");
        assert!(
            case.calls()["eks:CreatePodIdentityAssociation"] >= attempts,
            "{:?}",
            case.calls()
        );
        assert_eq!(associations(&case).len(), 1);
        case.expect_empty_plan();
    }
}

/// Scenario 25, for good: the wait ends, nothing is taken away, and the next apply goes on.
#[test]
fn s25_trust_is_never_seen() {
    let messages = [
        "Trust policy of the role provided is invalid",
        "Role provided in the request does not exist.",
    ];
    // The wait takes as long as it says, so both are waited for together.
    std::thread::scope(|scope| {
        for message in messages {
            scope.spawn(move || trust_is_never_seen(message));
        }
    });
}

fn trust_is_never_seen(message: &str) {
    let more = format!("{RESTART}\n  timeouts {{ create = \"20s\" }}");
    let Some(mut case) = case(&Cluster::plain(), with(&more)) else {
        return;
    };
    case.fault(fails(
        "CreatePodIdentityAssociation",
        "InvalidParameterException",
        message,
        400,
    ));
    let _ = case
        .apply_error("(?i)trust policy|role|timeout|timed out")
        .anywhere();
    assert_eq!(trusted(&case, ROLE), ["api"], "dual trust stays");
    assert_eq!(associations(&case), []);
    assert_eq!(
        statements(&trust(&case, ROLE))[0],
        irsa(subject("payments", "api"))
    );
    assert_eq!(paths(&case, "api"), BTreeMap::from([("web_identity", 2)]));
    case.sandbox().clear_faults();
    case.config(with(RESTART))
        .apply()
        .expect_attribute(THIS, "phase", "verified")
        .expect_empty_plan();
    assert_eq!(trusted(&case, ROLE), ["api"]);
    assert_eq!(restarts(&case, "deployments", "payments", "api"), 1);
}

fn fails(operation: &str, code: &str, message: &str, status: u16) -> Fault {
    Fault {
        operation: Some(operation.into()),
        error: Some(FaultError {
            code: code.into(),
            message: message.into(),
            status,
        }),
        ..Fault::default()
    }
}

/// Scenario 26: what is not allowed, or too much, is an error, and IRSA goes on.
#[test]
fn s26_refused_associations() {
    let user = "User: arn:aws:iam::123456789012:user/sandbox is not authorized to perform:";
    for (fault, pattern) in [
        (
            fails(
                "CreatePodIdentityAssociation",
                "AccessDeniedException",
                &format!("{user} iam:PassRole on resource: {}", arn(ROLE)),
                403,
            ),
            "iam:PassRole",
        ),
        (
            fails(
                "CreatePodIdentityAssociation",
                "AccessDeniedException",
                &format!("{user} eks:CreatePodIdentityAssociation"),
                403,
            ),
            "eks:CreatePodIdentityAssociation",
        ),
        (
            fails(
                "CreatePodIdentityAssociation",
                "ResourceLimitExceededException",
                "The cluster has reached the limit of 5000 pod identity associations.",
                400,
            ),
            "5000|limit|quota",
        ),
        (
            fails(
                "UpdateAssumeRolePolicy",
                "AccessDenied",
                &format!("{user} iam:UpdateAssumeRolePolicy"),
                403,
            ),
            "iam:UpdateAssumeRolePolicy",
        ),
    ] {
        let Some(mut case) = case(&Cluster::plain(), with(RETIRE)) else {
            return;
        };
        case.fault(fault);
        let _ = case.apply_error(pattern).anywhere();
        assert_eq!(
            statements(&trust(&case, ROLE))[0],
            irsa(subject("payments", "api"))
        );
        assert_eq!(
            annotations(&case, "payments", "api")["eks.amazonaws.com/role-arn"],
            arn(ROLE)
        );
        assert_eq!(restarts(&case, "deployments", "payments", "api"), 0);
        assert_eq!(paths(&case, "api"), BTreeMap::from([("web_identity", 2)]));
        case.sandbox().clear_faults();
        case.apply()
            .expect_attribute(THIS, "phase", "retired")
            .expect_empty_plan();
        assert_eq!(paths(&case, "api"), BTreeMap::from([("pod_identity", 2)]));
        assert_eq!(ours(&case, ROLE).len(), 1);
    }
}

/// Scenario 26: so is what the cluster does not allow.
#[test]
fn s26_refused_by_rbac() {
    for (what, verbs, resources) in [
        (
            "restarts",
            json!(["get", "list", "watch", "create"]),
            json!([]),
        ),
        (
            "reading pods",
            json!(["*"]),
            json!(["serviceaccounts", "deployments", "namespaces"]),
        ),
    ] {
        let access = json!([{"principal_arn": "*", "rules": [{"verbs": verbs, "resources": resources, "api_groups": ["*"]}]}]);
        let Some(mut case) = case(&Cluster::plain().set("access", access), with(RETIRE)) else {
            return;
        };
        let _ = case
            .apply_error("(?i)forbidden|not allowed|may not|permission|RBAC")
            .anywhere();
        assert_eq!(
            statements(&trust(&case, ROLE))[0],
            irsa(subject("payments", "api")),
            "{what}"
        );
        assert_eq!(
            annotations(&case, "payments", "api")["eks.amazonaws.com/role-arn"],
            arn(ROLE),
            "{what}"
        );
    }
}

/// Scenario 26: rules with resourceNames are enough, there and back.
#[test]
fn s26_allowed_by_name() {
    let access = json!([{"principal_arn": "*", "rules": [
        {"verbs": ["get", "list", "create"]},
        {"verbs": ["patch"], "resources": ["serviceaccounts", "deployments"], "resource_names": ["api"]},
    ]}]);
    let Some(mut case) = case(&Cluster::plain().set("access", access), with(RETIRE)) else {
        return;
    };
    case.apply().expect_attribute(THIS, "phase", "retired");
    case.destroy();
    assert_eq!(restarts(&case, "deployments", "payments", "api"), 2);
}

/// Scenario 27: three throttled calls in a row are waited out, wherever they come.
#[test]
fn s27_throttling() {
    let operations = [
        "DescribeCluster",
        "GetRole",
        "UpdateAssumeRolePolicy",
        "ListPodIdentityAssociations",
        "CreatePodIdentityAssociation",
        "list pods",
        "create pods",
        "patch deployments",
        "patch serviceaccounts",
    ];
    let Some(mut case) = case(&Cluster::plain(), with(RETIRE)) else {
        return;
    };
    for operation in operations {
        case.fault(Fault {
            operation: Some(operation.into()),
            throttle: true,
            count: Some(if operation.contains(' ') { 2 } else { 3 }),
            ..Fault::default()
        });
    }
    case.apply().expect_attribute(THIS, "phase", "retired");
    assert_eq!(restarts(&case, "deployments", "payments", "api"), 1);
    assert_eq!(associations(&case).len(), 1);
    case.expect_empty_plan();
    case.fault(Fault {
        operation: Some("DeletePodIdentityAssociation".into()),
        throttle: true,
        count: Some(3),
        ..Fault::default()
    });
    case.destroy();
    assert_eq!(restarts(&case, "deployments", "payments", "api"), 2);
}

/// Scenario 28: trust that depends on session tags cannot work without them, be it ours or somebody's; a session policy needs them off.
#[test]
fn s28_session_tags() {
    let Some(mut case1) = case(&Cluster::plain(), with("disable_session_tags = true")) else {
        return;
    };
    expect_blocker(&mut case1, "scope_needs_session_tags", "scope");

    let tagged = pods(
        "Tagged",
        Some(json!({"StringEquals": {"aws:RequestTag/kubernetes-namespace": "payments"}})),
    );
    let cluster = Cluster::with_statements(json!([irsa(subject("payments", "api")), tagged]));
    let mut case2 = case(&cluster, with("disable_session_tags = true")).unwrap();
    expect_blocker(
        &mut case2,
        "scope_needs_session_tags|trust_denied",
        "session tags",
    );

    let policy = r#"policy = jsonencode({ Version = "2012-10-17", Statement = [{ Effect = "Allow", Action = "s3:GetObject", Resource = "*" }] })"#;
    case1
        .config(with(policy))
        .plan_error("disable_session_tags")
        .on("policy");
    let more = format!(
        "{RESTART}\n  {policy}\n  disable_session_tags = true\n  trust = {{ scope = \"account\" }}"
    );
    case1
        .config(with(&more))
        .apply()
        .expect_empty_plan()
        .expect_attribute(THIS, "phase", "verified");
    assert!(
        associations(&case1)[0].1["policy"]
            .to_string()
            .contains("GetObject")
    );
}

/// Scenario 29: there are no wildcards in associations.
#[test]
fn s29_wildcards() {
    let Some(mut case) = case(&Cluster::plain(), with("")) else {
        return;
    };
    for (from, to, attribute) in [
        ("\"payments\"", "\"*\"", "namespace"),
        ("\"payments\"", "\"pay*\"", "namespace"),
        ("\"api\"", "\"*\"", "service_account"),
        ("\"api\"", "\"app-?\"", "service_account"),
    ] {
        case.clear_calls().config(with("").replace(from, to));
        let found = case.plan_error("(?i)wildcard|invalid").on(attribute);
        assert!(found.detail.contains(to.trim_matches('"')), "{found}");
        assert_eq!(
            case.calls(),
            BTreeMap::new(),
            "no call is needed to see that"
        );
    }
}
