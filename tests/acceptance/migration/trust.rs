//! Scenarios 1-14: trust policies.

use std::collections::BTreeMap;

use podidentity_sandbox::{Fault, FaultError};
use serde_json::{Value, json};

use super::cluster::{
    ACCOUNT, Cluster, ISSUER, OTHER_ISSUER, arn, irsa, irsa_by, pods, provider, subject,
};
use super::*;
use crate::harness::Action;

const ROLE: &str = "payments-api";

/// A statement that has nothing to do with any of this.
fn foreign() -> Value {
    json!({
        "Sid": "Break glass",
        "Effect": "Allow",
        "Principal": {"AWS": format!("arn:aws:iam::{ACCOUNT}:root")},
        "Action": "sts:AssumeRole",
        "Condition": {"Bool": {"aws:MultiFactorAuthPresent": "true"}},
    })
}

/// Scenario 1: a statement of ours is added at the end and everything else stays as it was; the plan tells before and after; a
/// second plan is empty; destroying gives back the original.
#[test]
fn s01_plain_irsa() {
    let foreign = json!({
        "Sid": "BreakGlass",
        "Effect": "Allow",
        "Principal": {"AWS": format!("arn:aws:iam::{ACCOUNT}:root")},
        "Action": "sts:AssumeRole",
        "Condition": {"Bool": {"aws:MultiFactorAuthPresent": "true"}},
    });
    let document = json!({
        "Version": "2012-10-17",
        "Id": "keep-me",
        "Statement": [foreign, irsa(subject("payments", "api"))],
    });
    let cluster = Cluster::empty()
        .role_with(ROLE, document.clone(), json!({}))
        .service_account("payments", "api", &arn(ROLE))
        .workload("Deployment", "payments", "api", "api", 2);
    let Some(mut case) = case(&cluster, with(RESTART)) else {
        return;
    };

    let plan = case.plan();
    assert_eq!(plan.action(THIS), Action::Create);
    let planned = |attribute: &str| {
        let text = plan.after(THIS, attribute).expect("known in the plan");
        serde_json::from_str::<Value>(text.as_str().unwrap_or_default()).unwrap()
    };
    assert_eq!(planned("trust_policy_before"), document);
    let after = planned("trust_policy_after");
    assert_eq!(planned_codes(&plan, "blockers"), Vec::<String>::new());
    assert_eq!(
        plan.after(THIS, "role_arn"),
        Ok(json!(arn(ROLE))),
        "the annotation names the role"
    );
    assert_eq!(
        plan.after(THIS, "issuer"),
        Ok(json!(format!("https://{ISSUER}")))
    );
    assert_eq!(plan.after(THIS, "workloads.0.name"), Ok(json!("api")));

    case.clear_calls().apply();
    assert_eq!(case.calls().get("iam:UpdateAssumeRolePolicy"), Some(&1));
    assert_eq!(
        case.calls().get("eks:CreatePodIdentityAssociation"),
        Some(&1)
    );
    assert_eq!(trust(&case, ROLE), after, "the plan showed what came");
    let now = trust(&case, ROLE);
    assert_eq!(
        (&now["Id"], &now["Version"]),
        (&document["Id"], &document["Version"])
    );
    assert_eq!(statements(&now)[..2], statements(&document));
    assert_eq!(statements(&now).len(), 3);
    assert_eq!(trusted(&case, ROLE), ["api"]);
    assert_eq!(paths(&case, "api"), BTreeMap::from([("pod_identity", 2)]));
    assert_eq!(restarts(&case, "deployments", "payments", "api"), 1);
    case.expect_attribute(THIS, "phase", "verified")
        .expect_attribute(THIS, "id", "demo,payments,api")
        .expect_attribute(THIS, "association_adopted", false)
        .expect_match(THIS, "association_id", "^a-[0-9a-z]{17}$")
        .expect_match(THIS, "verified_at", r"^\d{4}-\d\d-\d\dT");
    // The plan said what there was; what there is comes with the next refresh.
    case.refresh();
    assert_eq!(
        workloads(&case),
        BTreeMap::from([("Deployment/api".to_owned(), (2, 2, "rolling".to_owned()))])
    );
    case.clear_calls().expect_empty_plan();
    assert_eq!(writes(&case), BTreeMap::new());

    case.destroy();
    assert_eq!(trust(&case, ROLE), document);
    assert_eq!(associations(&case), []);
    assert_eq!(paths(&case, "api"), BTreeMap::from([("web_identity", 2)]));
    assert_eq!(restarts(&case, "deployments", "payments", "api"), 2);
    case.clear_calls().apply().expect_empty_plan();
    assert_eq!(paths(&case, "api"), BTreeMap::from([("pod_identity", 2)]));
}

/// Scenarios 3 and 4: a pattern is expanded to what matches today, only the named service account moves, and the statement stays
/// even when trust is to be retired, for it may match others.
#[test]
fn s03_s04_patterns() {
    for pattern in [
        "system:serviceaccount:preview-*:app",
        "system:serviceaccount:*:*",
    ] {
        let statement = irsa_by("StringLike", pattern);
        let mut cluster = Cluster::empty().role("preview", json!([statement]));
        for namespace in ["preview-1", "preview-2"] {
            cluster = cluster
                .service_account(namespace, "app", &arn("preview"))
                .workload("Deployment", namespace, "app", "app", 1);
        }
        let config = with(RETIRE)
            .replace("\"payments\"", "\"preview-1\"")
            .replace("\"api\"", "\"app\"");
        let Some(mut case) = case(&cluster, config) else {
            return;
        };
        let message = expect_warning(&case, "wildcard_subject");
        assert!(message.contains(pattern), "{message}");
        case.apply().expect_empty_plan();
        assert_eq!(statements(&trust(&case, "preview"))[0], statement);
        assert_eq!(statements(&trust(&case, "preview")).len(), 2);
        let associated: Vec<String> = associations(&case).into_iter().map(|(at, _)| at).collect();
        assert_eq!(associated, ["preview-1/app"]);
        assert_eq!(
            paths(&case, "app"),
            BTreeMap::from([("pod_identity", 1), ("web_identity", 1)])
        );
        case.destroy();
        assert_eq!(statements(&trust(&case, "preview")), [statement]);
        assert_eq!(paths(&case, "app"), BTreeMap::from([("web_identity", 2)]));
    }
}

/// Scenario 5: of a list of subjects exactly the migrated one is retired, and the last takes the statement with it.
#[test]
fn s05_lists_of_subjects() {
    let names = ["api", "web", "worker"];
    let subjects = names.map(|name| subject("payments", name));
    let mut cluster = Cluster::empty().role(ROLE, json!([foreign_sid(), irsa(subjects.to_vec())]));
    for name in names {
        cluster = cluster
            .service_account("payments", name, &arn(ROLE))
            .workload("Deployment", "payments", name, name, 1);
    }
    let Some(mut case) = case(&cluster, with(RETIRE)) else {
        return;
    };
    let original = trust(&case, ROLE);
    assert!(expect_warning(&case, "role_shared").contains("payments/web"));
    case.apply()
        .expect_attribute(THIS, "phase", "retired")
        .expect_empty_plan();
    let found = statements(&trust(&case, ROLE));
    let sub =
        |statement: &Value| statement["Condition"]["StringEquals"][format!("{ISSUER}:sub")].clone();
    assert_eq!(found[0], foreign_sid());
    assert_eq!(sub(&found[1]), json!([subjects[1], subjects[2]]));
    assert_eq!(trusted(&case, ROLE), ["api"]);
    assert_eq!(paths(&case, "web"), BTreeMap::from([("web_identity", 1)]));

    let all = with(RETIRE)
        .replace(
            "\"this\" {",
            "\"this\" {\n  for_each = toset([\"api\", \"web\", \"worker\"])",
        )
        .replace("= \"api\"", "= each.key");
    let moved = format!("{all}\nmoved {{\n  from = {THIS}\n  to   = {THIS}[\"api\"]\n}}\n");
    case.config(moved).apply().expect_empty_plan();
    let found = statements(&trust(&case, ROLE));
    assert_eq!(
        found.len(),
        2,
        "the statement has gone with its last subject: {found:#?}"
    );
    assert_eq!(found[0], foreign_sid());
    assert_eq!(trusted(&case, ROLE), ["api", "web", "worker"]);
    case.destroy();
    let restored = statements(&trust(&case, ROLE));
    assert_eq!(restored.len(), 2, "{restored:#?}");
    assert_eq!(restored[0], statements(&original)[0]);
    let mut back: Vec<Value> = restored[1]["Condition"]["StringEquals"][format!("{ISSUER}:sub")]
        .as_array()
        .cloned()
        .unwrap_or_default();
    back.sort_by_key(Value::to_string);
    assert_eq!(back, subjects.map(Value::from));
}

fn foreign_sid() -> Value {
    let mut statement = foreign();
    statement["Sid"] = "BreakGlass".into();
    statement
}

/// Scenario 6: a statement for two providers keeps the other one.
#[test]
fn s06_two_providers() {
    let mut statement = irsa(subject("payments", "api"));
    statement["Principal"]["Federated"] = json!([provider(OTHER_ISSUER), provider(ISSUER)]);
    let condition = &mut statement["Condition"]["StringEquals"];
    condition[format!("{OTHER_ISSUER}:sub")] = subject("payments", "api").into();
    let own = irsa(subject("payments", "api"));
    // With both conditions in one statement no token of either cluster fits, so a plain one keeps the pods going.
    let cluster = Cluster::with_statements(json!([statement, own]));
    let Some(mut case) = case(&cluster, with(RETIRE)) else {
        return;
    };
    let original = trust(&case, ROLE);
    case.apply().expect_empty_plan();
    let now = trust(&case, ROLE);
    assert!(
        now.to_string().contains(&provider(OTHER_ISSUER)),
        "the other cluster has lost its trust: {now:#}"
    );
    let last = statements(&now).pop().unwrap();
    assert_eq!(last["Principal"]["Service"], "pods.eks.amazonaws.com");
    assert_eq!(paths(&case, "api"), BTreeMap::from([("pod_identity", 2)]));
    case.destroy();
    assert_eq!(trust(&case, ROLE), original);
}

/// Scenario 7: a single statement that is no list.
#[test]
fn s07_one_statement_as_object() {
    let cluster = Cluster::with_statements(irsa(subject("payments", "api")));
    let Some(mut case) = case(&cluster, with(RESTART)) else {
        return;
    };
    case.apply().expect_empty_plan();
    let found = statements(&trust(&case, ROLE));
    assert_eq!(found[0], irsa(subject("payments", "api")));
    assert_eq!(found.len(), 2);
    case.destroy();
    assert_eq!(
        statements(&trust(&case, ROLE)),
        [irsa(subject("payments", "api"))]
    );
}

/// Scenario 8: statements of other kinds are kept word for word; one that denies EKS Pod Identity stops the migration.
#[test]
fn s08_other_statements() {
    let anyone = json!({
        "Sid": "Anyone",
        "Effect": "Allow",
        "Principal": {"AWS": "*"},
        "Action": "sts:AssumeRole",
        "Condition": {"StringEquals": {"aws:PrincipalOrgID": "o-1234567890"}},
    });
    let star = json!({
        "Sid": "Star",
        "Effect": "Deny",
        "Principal": {"AWS": "*"},
        "Action": "sts:AssumeRole",
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    });
    let all = json!([anyone, star, irsa(subject("payments", "api"))]);
    let Some(mut case1) = case(&Cluster::with_statements(all.clone()), with(RESTART)) else {
        return;
    };
    case1.apply().expect_empty_plan();
    assert_eq!(json!(statements(&trust(&case1, ROLE))[..3]), all);

    let deny = json!({
        "Sid": "NoPods",
        "Effect": "Deny",
        "Principal": {"Service": "pods.eks.amazonaws.com"},
        "Action": "sts:AssumeRole",
    });
    let cluster = Cluster::with_statements(json!([irsa(subject("payments", "api")), deny]));
    let mut case2 = case(&cluster, with(RESTART)).unwrap();
    expect_blocker(&mut case2, "trust_denied", "NoPods");
}

/// Scenarios 9 and 10: whoever is trusted already, by whatever statement, gets no second one; what is not ours stays.
#[test]
fn s09_s10_trusted_already() {
    let narrow = json!({
        "StringEquals": {
            "aws:RequestTag/kubernetes-namespace": ["orders", "payments"],
            "aws:SourceAccount": ACCOUNT,
        },
        "StringLike": {"aws:RequestTag/kubernetes-service-account": "a*"},
    });
    for (what, statement) in [
        ("without conditions", pods("Pods", None)),
        ("with conditions", pods("Pods", Some(narrow))),
    ] {
        let cluster =
            Cluster::with_statements(json!([irsa(subject("payments", "api")), statement]));
        let Some(mut case) = case(&cluster, with(RESTART)) else {
            return;
        };
        let before = trust(&case, ROLE);
        let plan = case.plan();
        assert_eq!(
            plan.after(THIS, "trust_policy_after"),
            plan.after(THIS, "trust_policy_before"),
            "{what}"
        );
        case.apply()
            .expect_empty_plan()
            .expect_attribute(THIS, "phase", "verified");
        assert_eq!(trust(&case, ROLE), before, "{what}");
        case.destroy();
        assert_eq!(trust(&case, ROLE), before, "{what}");
        assert!(
            !case.calls().contains_key("iam:UpdateAssumeRolePolicy"),
            "{what}"
        );
    }
}

/// Scenario 11: a statement for another namespace is left alone, and ours comes beside it.
#[test]
fn s11_trusted_elsewhere() {
    let condition = json!({"StringEquals": {"aws:RequestTag/kubernetes-namespace": "orders"}});
    let theirs = pods("Orders", Some(condition));
    let cluster = Cluster::with_statements(json!([irsa(subject("payments", "api")), theirs]));
    let Some(mut case) = case(&cluster, with(RESTART)) else {
        return;
    };
    let before = trust(&case, ROLE);
    case.apply().expect_empty_plan();
    let found = statements(&trust(&case, ROLE));
    assert_eq!(found.len(), 3);
    assert_eq!(found[1], theirs);
    assert_eq!(trusted(&case, ROLE), ["api"]);
    case.destroy();
    assert_eq!(trust(&case, ROLE), before);
}

/// Scenario 12: operators other than `StringEquals` list subjects, too; retiring understands them or leaves them, and nobody loses access.
#[test]
fn s12_operators() {
    for operator in [
        "ForAnyValue:StringEquals",
        "StringEqualsIgnoreCase",
        "StringLikeIfExists",
    ] {
        let statement = irsa_by(
            operator,
            json!([subject("payments", "api"), subject("payments", "web")]),
        );
        let cluster = Cluster::with_statements(json!([statement]))
            .service_account("payments", "web", &arn(ROLE))
            .workload("Deployment", "payments", "web", "web", 1);
        let Some(mut case) = case(&cluster, with(RETIRE)) else {
            return;
        };
        case.apply().expect_empty_plan();
        assert_eq!(
            paths(&case, "api"),
            BTreeMap::from([("pod_identity", 2)]),
            "{operator}"
        );
        assert_eq!(
            paths(&case, "web"),
            BTreeMap::from([("web_identity", 1)]),
            "{operator}"
        );
        let now = statements(&trust(&case, ROLE));
        let values = now[0]["Condition"][operator][format!("{ISSUER}:sub")].to_string();
        assert!(values.contains("payments:web"), "{operator}: {now:#?}");
        assert!(!values.contains("payments:api"), "{operator}: {now:#?}");
        case.destroy();
        assert_eq!(
            paths(&case, "api"),
            BTreeMap::from([("web_identity", 2)]),
            "{operator}"
        );
    }
}

/// Scenario 13: a trust policy that would be larger than IAM allows is told in the plan, with its size; where the quota is higher, the
/// blocker can be ignored. White space does not count.
#[test]
fn s13_size() {
    let size = |document: &Value| {
        document
            .to_string()
            .chars()
            .filter(|c| !c.is_whitespace())
            .count()
    };
    let document = |padding: usize| {
        let mut statement = foreign_sid();
        statement["Sid"] = format!("Padding{}", "x".repeat(padding)).into();
        json!({"Version": "2012-10-17", "Statement": [statement, irsa(subject("payments", "api"))]})
    };
    let cluster = |padding: usize| {
        Cluster::empty()
            .role_with(ROLE, document(padding), json!({}))
            .service_account("payments", "api", &arn(ROLE))
            .workload("Deployment", "payments", "api", "api", 1)
            .iam("Quotas", json!({"ACLSizePerRole": 4096}))
    };
    // How much a migration adds, from one with room.
    let Some(case1) = case(&cluster(0), with(RESTART)) else {
        return;
    };
    let after = case1.plan().after(THIS, "trust_policy_after").unwrap();
    let after: Value = serde_json::from_str(after.as_str().unwrap()).unwrap();
    let room = 2_048 - size(&after);

    let fits = cluster(room).iam("Quotas", json!({"ACLSizePerRole": 2048}));
    let mut case2 = case(&fits, with(RESTART)).unwrap();
    case2.apply().expect_empty_plan();
    assert_eq!(size(&trust(&case2, ROLE)), 2_048);

    let mut case3 = case(&cluster(room + 1), with(RESTART)).unwrap();
    case3.apply().expect_empty_plan();
    assert_eq!(size(&trust(&case3, ROLE)), 2_049, "the quota was raised");

    let small = cluster(room + 1).iam("Quotas", json!({"ACLSizePerRole": 2048}));
    let mut case4 = case(&small, with(RESTART)).unwrap();
    expect_blocker(&mut case4, "trust_too_large", r"2,?049.*2,?048");

    // A raised quota that may not be read.
    let mut case5 = case(&cluster(room + 1), with(RESTART)).unwrap();
    case5.fault(Fault {
        service: Some("iam".to_owned()),
        operation: Some("GetAccountSummary".to_owned()),
        error: Some(FaultError {
            status: 403,
            code: "AccessDenied".to_owned(),
            message: "not authorized to perform: iam:GetAccountSummary".to_owned(),
        }),
        ..Fault::default()
    });
    expect_blocker(&mut case5, "trust_too_large", r"2,?049.*2,?048");
    case5
        .config(with(&format!(
            "{RESTART}\n  ignore_blockers = [\"trust_too_large\"]"
        )))
        .apply()
        .expect_empty_plan()
        .expect_attribute(THIS, "blockers.0.code", "trust_too_large");
    assert_eq!(size(&trust(&case5, ROLE)), 2_049);
}

/// Scenario 14: other partitions have ARNs of their own and the same service principal.
#[test]
fn s14_partitions() {
    for (region, partition, suffix) in [
        ("us-gov-west-1", "aws-us-gov", "amazonaws.com"),
        ("cn-north-1", "aws-cn", "amazonaws.com.cn"),
    ] {
        let Some(mut case) = Case::sandbox_in(region) else {
            return;
        };
        let seed = Cluster::plain()
            .seed()
            .to_string()
            .replace("arn:aws:", &format!("arn:{partition}:"))
            .replace("us-east-1.amazonaws.com", &format!("{region}.{suffix}"));
        case.seed(serde_json::from_str(&seed).unwrap())
            .config(with(RETIRE));
        let before = trust(&case, ROLE);
        case.apply()
            .expect_empty_plan()
            .expect_attribute(THIS, "phase", "retired");
        let ours = ours(&case, ROLE);
        assert_eq!(ours[0]["Principal"]["Service"], "pods.eks.amazonaws.com");
        let arn = format!("arn:{partition}:eks:{region}:{ACCOUNT}:cluster/demo");
        assert!(ours[0].to_string().contains(&arn), "{ours:#?}");
        assert_eq!(statements(&trust(&case, ROLE)).len(), 1);
        assert_eq!(paths(&case, "api"), BTreeMap::from([("pod_identity", 2)]));
        case.destroy();
        assert_eq!(trust(&case, ROLE), before);
        assert_eq!(paths(&case, "api"), BTreeMap::from([("web_identity", 2)]));
    }
}

/// The scopes that a statement can have; without session tags the narrowest cannot be had (scenario 28 has the error).
#[test]
fn scopes() {
    for (scope, tags, expected) in [
        (
            "cluster",
            true,
            json!({"StringEquals": {"aws:RequestTag/eks-cluster-arn": cluster_arn()}}),
        ),
        (
            "cluster",
            false,
            json!({"ArnEquals": {"aws:SourceArn": cluster_arn()}}),
        ),
        (
            "account",
            true,
            json!({"StringEquals": {"aws:SourceAccount": ACCOUNT}}),
        ),
        ("none", true, Value::Null),
    ] {
        let more = format!(
            "{RESTART}\n  trust = {{ scope = \"{scope}\" }}\n  disable_session_tags = {}",
            !tags
        );
        let Some(mut case) = case(&Cluster::plain(), with(&more)) else {
            return;
        };
        case.apply()
            .expect_empty_plan()
            .expect_attribute(THIS, "phase", "verified");
        let ours = ours(&case, ROLE);
        assert_eq!(ours.len(), 1, "{scope}");
        let found = ours[0]["Condition"].to_string();
        match &expected {
            Value::Null => assert!(ours[0].get("Condition").is_none(), "{scope}: {found}"),
            Value::Object(operators) => {
                for value in operators
                    .values()
                    .flat_map(|keys| keys.as_object().unwrap())
                {
                    assert!(
                        found.contains(value.0) && found.contains(value.1.as_str().unwrap()),
                        "{scope}: {found}"
                    );
                }
            }
            _ => unreachable!(),
        }
        case.destroy();
        // Who else needs a statement for more than the cluster nobody can tell.
        let left = usize::from(scope != "cluster");
        assert_eq!(self::ours(&case, ROLE).len(), left, "{scope}");
        assert_eq!(
            paths(&case, "api"),
            BTreeMap::from([("web_identity", 2)]),
            "{scope}"
        );
    }
}

/// A change of the scope or of session tags leaves neither a gap nor a statement behind, and destroying gives back the
/// original.
#[test]
fn scope_changes() {
    let config = |scope: &str, tags: bool| {
        with(&format!(
            "{RESTART}\n  trust = {{ scope = \"{scope}\" }}\n  disable_session_tags = {}",
            !tags
        ))
    };
    let Some(mut case) = case(&Cluster::plain(), config("service_account", true)) else {
        return;
    };
    let before = trust(&case, ROLE);
    case.apply();
    let mut sids = vec![ours(&case, ROLE)[0]["Sid"].clone()];
    for (scope, tags) in [
        ("cluster", true),
        ("cluster", false),
        ("service_account", true),
    ] {
        case.config(config(scope, tags)).apply().expect_empty_plan();
        let found = ours(&case, ROLE);
        assert_eq!(found.len(), 1, "{scope} {tags}");
        assert_ne!(sids.last(), Some(&found[0]["Sid"]), "{scope} {tags}");
        sids.push(found[0]["Sid"].clone());
    }
    assert_eq!(sids.first(), sids.last());
    case.destroy();
    assert_eq!(trust(&case, ROLE), before);
}

fn cluster_arn() -> String {
    format!("arn:aws:eks:us-east-1:{ACCOUNT}:cluster/demo")
}
