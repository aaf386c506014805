//! Scenarios 36 and 37: other owners of the trust policy, drift, and destroying from wherever things are.

use std::collections::BTreeMap;

use podidentity_sandbox::{Fault, FaultError, Visibility};
use serde_json::{Value, json};

use super::cluster::{Cluster, ISSUER, ROLE_ARN, arn, irsa, pods, provider, subject};
use super::*;
use crate::harness::Action;

const ROLE: &str = "payments-api";
const CRUMB: &str = "terraform-provider-podidentity/irsa-migration";

fn original() -> Value {
    json!({"Version": "2012-10-17", "Statement": [irsa(subject("payments", "api"))]})
}

/// Everything as it was before any migration, but for the pods, which are other ones.
#[track_caller]
fn expect_irsa(case: &Case) {
    assert_eq!(trust(case, ROLE), original());
    assert_eq!(associations(case), []);
    let annotations = annotations(case, "payments", "api");
    assert_eq!(annotations, json!({ROLE_ARN: arn(ROLE)}));
    assert_eq!(paths(case, "api"), BTreeMap::from([("web_identity", 2)]));
}

/// Scenario 36: somebody else writes the trust policy. It is waited for, never written, and missing trust is an error that tells what
/// is missing.
#[test]
fn s36_trust_is_written_by_somebody_else() {
    let verify = format!("{RESTART}\n  trust = {{ mode = \"verify\" }}");
    let Some(mut case) = case(&Cluster::plain(), with(&verify)) else {
        return;
    };
    let outcome = case.try_apply(&[]);
    assert_eq!(outcome.code, 1, "{}", outcome.report());
    assert!(
        outcome.report().contains("merge_trust_policy"),
        "{}",
        outcome.report()
    );
    assert_eq!(associations(&case), []);

    let trusted = json!({"Version": "2012-10-17", "Statement": [irsa(subject("payments", "api")), pods("Theirs", None)]});
    write_trust(&case, &trusted);
    case.clear_calls()
        .apply()
        .expect_empty_plan()
        .expect_attribute(THIS, "phase", "verified");
    case.destroy();
    assert!(!case.calls().contains_key("iam:UpdateAssumeRolePolicy"));
    assert_eq!(trust(&case, ROLE), trusted);
    assert_eq!(paths(&case, "api"), BTreeMap::from([("web_identity", 2)]));
}

fn write_trust(case: &Case, document: &Value) {
    case.sandbox()
        .call(
            "iam",
            "UpdateAssumeRolePolicy",
            json!({"RoleName": ROLE, "PolicyDocument": document.to_string()}),
        )
        .unwrap();
}

/// Scenario 36: role and migration in one configuration. Whoever manages the role writes what `merge_trust_policy` returns, the
/// migration only verifies, and one apply gets there. (A provisioner stands in for `aws_iam_role`.)
#[cfg(unix)]
#[test]
fn s36_trust_of_a_role_in_the_same_configuration() {
    if !crate::harness::cli().at_least(1, 8) {
        eprintln!("skipped: provider-defined functions need Terraform 1.8");
        return;
    }
    let role = |policy: &str| {
        format!(
            r#"
locals {{
  irsa = <<-EOT
{}
EOT
}}

resource "terraform_data" "role" {{
  triggers_replace = {policy}

  provisioner "local-exec" {{
    command     = "python3 write.py"
    environment = {{ DOCUMENT = {policy} }}
  }}
}}
"#,
            original()
        )
    };
    let merged = r#"provider::podidentity::merge_trust_policy(local.irsa, "arn:aws:eks:{{region}}:{{account_id}}:cluster/demo", "payments", "api")"#;
    let migration = with(&format!(
        "{RESTART}\n  trust = {{ mode = \"verify\" }}\n  depends_on = [terraform_data.role]"
    ));
    let Some(mut case) = case(&Cluster::plain(), role("local.irsa")) else {
        return;
    };
    case.file(
        "write.py",
        r#"
import json, os, urllib.request
call = {"service": "iam", "operation": "UpdateAssumeRolePolicy", "parameters": {"RoleName": "payments-api", "PolicyDocument": os.environ["DOCUMENT"]}}
request = urllib.request.Request("{{endpoint}}/_sandbox/call", data=json.dumps(call).encode(), method="POST")
answer = json.load(urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request))
assert "code" not in answer, answer
"#,
    );
    case.apply().expect_empty_plan();
    case.config(format!("{}{migration}", role(merged)))
        .clear_calls()
        .apply()
        .expect_empty_plan()
        .expect_attribute(THIS, "phase", "verified");
    assert!(
        !case.calls().contains_key("iam:UpdateAssumeRolePolicy"),
        "there is one writer"
    );
    assert_eq!(trusted(&case, ROLE), ["api"]);
    assert_eq!(paths(&case, "api"), BTreeMap::from([("pod_identity", 2)]));

    // And back: the migration first, then the statement.
    case.config(role(merged)).apply().expect_empty_plan();
    assert_eq!(paths(&case, "api"), BTreeMap::from([("web_identity", 2)]));
    case.config(role("local.irsa")).apply().expect_empty_plan();
    assert_eq!(trust(&case, ROLE), original());
}

/// A new role, made for Pod Identity in the same apply, takes the place of the one of the annotation, and gives it back.
#[test]
fn a_new_role_in_the_same_configuration() {
    let role = r#"
resource "podidentity_role" "new" {
  name = "payments-new"
}
"#;
    let config = format!(
        "{role}{}",
        with(&format!("{RESTART}\n  role_arn = podidentity_role.new.arn"))
    );
    let Some(mut case) = case(&Cluster::plain(), config) else {
        return;
    };
    case.apply()
        .expect_empty_plan()
        .expect_attribute(THIS, "phase", "verified");
    assert_eq!(associations(&case)[0].1["roleArn"], arn("payments-new"));
    assert_eq!(
        trust(&case, ROLE),
        original(),
        "the former role is left alone"
    );
    assert_eq!(paths(&case, "api"), BTreeMap::from([("pod_identity", 2)]));
    case.destroy();
    expect_irsa(&case);
}

/// Scenario 36: a role that by its tags belongs to something else is a warning, unless trust is only verified.
#[test]
fn s36_role_of_somebody_else() {
    let tags = json!({"Tags": {"managed-by": "terraform"}});
    let cluster = Cluster::empty()
        .role_with(ROLE, original(), tags)
        .service_account("payments", "api", &arn(ROLE))
        .workload("Deployment", "payments", "api", "api", 2);
    let Some(case) = case(&cluster, with(RESTART)) else {
        return;
    };
    let message = expect_warning(&case, "role_managed_elsewhere");
    assert!(message.contains("merge_trust_policy"), "{message}");
}

/// Scenario 36: the owner of the role puts its own trust policy back. The plan shows that the statement will be added again.
#[test]
fn s36_trust_is_overwritten() {
    let Some(mut case) = case(&Cluster::plain(), with(RESTART)) else {
        return;
    };
    case.apply().expect_empty_plan();
    // The agent needs the trust, so while it is gone pods live on what the agent has cached; that is the overwriter's doing.
    expect_credentials(&case, false);
    write_trust(&case, &original());
    let plan = case.plan();
    assert_eq!(plan.action(THIS), Action::Update);
    let warnings = case
        .try_plan(&[])
        .warnings()
        .iter()
        .map(|w| w.detail.clone())
        .collect::<String>();
    assert!(warnings.contains("trust policy"), "{warnings}");
    expect_credentials(&case, true);
    case.apply().expect_empty_plan();
    assert_eq!(trusted(&case, ROLE), ["api"]);
    assert_eq!(paths(&case, "api"), BTreeMap::from([("pod_identity", 2)]));
}

/// Scenario 37: destroyed from every phase, however far the migration came, everything is as it was.
#[test]
fn s37_destroy_from_each_phase() {
    let refused = |operation: &str| Fault {
        operation: Some(operation.into()),
        error: Some(FaultError {
            code: "AccessDeniedException".into(),
            message: "not today".into(),
            status: 403,
        }),
        ..Fault::default()
    };
    for (phase, fault, config) in [
        (
            "trust_added",
            Some(refused("CreatePodIdentityAssociation")),
            RETIRE,
        ),
        ("propagated", Some(refused("patch deployments")), RETIRE),
        ("propagated", None, ""),
        ("verified", None, RESTART),
        ("verified", Some(refused("patch serviceaccounts")), RETIRE),
        ("retired", None, RETIRE),
        (
            "retired",
            None,
            "rollout = { strategy = \"restart\" }\n  retire = { annotation = true }",
        ),
        (
            "retired",
            None,
            "rollout = { strategy = \"restart\" }\n  retire = { trust = true }",
        ),
    ] {
        let Some(mut case) = case(&Cluster::plain(), with(config)) else {
            return;
        };
        let stopped = fault.is_some();
        if let Some(fault) = fault {
            case.fault(fault);
        }
        let outcome = case.try_apply(&[]);
        assert_eq!(
            outcome.code,
            i32::from(stopped),
            "{phase}: {}",
            outcome.report()
        );
        case.sandbox().clear_faults();
        if case.state().attributes(THIS).is_some() {
            case.expect_attribute(THIS, "phase", phase);
        }
        // As much as the pause of 40 ms allows, and pods that take their time.
        sts_is_late(&mut case, 40);
        case.sandbox()
            .seed(json!({"clusters": [{
                "name": "demo",
                "webhook": {"api_servers": 2, "delay_ms": 40, "annotation_delay_ms": 40},
                "controllers": {"termination_ms": 100},
            }]}))
            .unwrap();
        case.destroy();
        expect_irsa(&case);
    }
}

/// Makes STS see trust policies that late.
fn sts_is_late(case: &mut Case, sts_ms: u64) {
    case.fault(Fault {
        visibility: Some(Visibility {
            sts_ms,
            ..Visibility::default()
        }),
        ..Fault::default()
    });
}

/// STS sees a new statement only after a while. Until then no pod may depend on it: neither a new one, by the association, nor one that
/// runs, by a change of its role.
#[test]
fn pods_depend_on_trust_that_sts_sees() {
    // Twice the interval is what is waited; that is how late STS is. The pause after each write alone would be too short.
    let slow = |more: &str| with(more).replace("\"20ms\"", "\"600ms\"");
    let cluster = Cluster::plain().role("other", json!([irsa(subject("payments", "api"))]));
    let Some(mut case) = case(&cluster, slow(RESTART)) else {
        return;
    };
    sts_is_late(&mut case, 1200);
    case.apply().expect_attribute(THIS, "phase", "verified");
    let role = format!("{RESTART}\n  role_arn = \"{}\"", arn("other"));
    case.config(slow(&role))
        .apply()
        .expect_attribute(THIS, "role_arn", arn("other"));
    assert_eq!(paths(&case, "api"), BTreeMap::from([("pod_identity", 2)]));
}

/// Scenario 37: STS sees a trust policy that was put back only after a while. Until then the association stays, for new pods would get
/// nothing by IRSA.
#[test]
fn s37_destroy_waits_for_sts() {
    // As above.
    let config = with(RETIRE).replace("\"20ms\"", "\"600ms\"");
    let Some(mut case) = case(&Cluster::plain(), config) else {
        return;
    };
    case.apply().expect_attribute(THIS, "phase", "retired");
    sts_is_late(&mut case, 1200);
    case.destroy();
    expect_irsa(&case);
}

/// Scenario 37: a destroy was stopped while it waited for STS. The next one finds nothing to put back any more, and waits all the same.
#[cfg(unix)]
#[test]
fn s37_destroy_again_waits_for_sts() {
    let config = with(RETIRE).replace("\"20ms\"", "\"2s\"");
    let Some(mut case) = case(&Cluster::plain(), config) else {
        return;
    };
    case.apply().clear_calls();
    sts_is_late(&mut case, 4000);
    let running = case.start(&["destroy", "-json", "-auto-approve"]);
    case.wait_until("the annotation is put back", |case| {
        case.calls()
            .contains_key("kubernetes:patch serviceaccounts")
    });
    running.interrupt();
    assert_eq!(running.wait().code, 1);
    case.destroy();
    expect_irsa(&case);
}

/// Scenario 37: API servers learn of an annotation that was put back only after a while. Until then the association stays, for new
/// pods would get nothing at all.
#[test]
fn s37_destroy_waits_for_webhooks() {
    let late = json!({"api_servers": 2, "annotation_delay_ms": 400});
    for retire in ["annotation = true", "annotation = true, trust = true"] {
        let config =
            with(&format!("{RESTART}\n  retire = {{ {retire} }}")).replace("\"20ms\"", "\"200ms\"");
        let Some(mut case) = case(&Cluster::plain(), config) else {
            return;
        };
        case.apply().expect_attribute(THIS, "phase", "retired");
        case.sandbox()
            .seed(json!({"clusters": [{"name": "demo", "webhook": late}]}))
            .unwrap();
        case.destroy();
        expect_irsa(&case);
    }
}

/// Scenario 37: `keep` forgets and leaves everything.
#[test]
fn s37_keep() {
    let Some(mut case) = case(
        &Cluster::plain(),
        with(&format!("{RETIRE}\n  on_destroy = \"keep\"")),
    ) else {
        return;
    };
    case.apply();
    let (before, associated) = (trust(&case, ROLE), associations(&case));
    case.clear_calls().destroy();
    assert_eq!(writes(&case), BTreeMap::new());
    assert_eq!(
        (trust(&case, ROLE), associations(&case)),
        (before, associated)
    );
    assert_eq!(paths(&case, "api"), BTreeMap::from([("pod_identity", 2)]));
}

/// Scenario 37: without the OIDC provider IRSA cannot work, so going back would take the pods' credentials away. It is refused.
#[test]
fn s37_destroy_without_oidc_provider() {
    for config in [RESTART, RETIRE] {
        let Some(mut case) = case(&Cluster::plain(), with(config)) else {
            return;
        };
        case.apply();
        case.sandbox()
            .call(
                "iam",
                "DeleteOpenIDConnectProvider",
                json!({"OpenIDConnectProviderArn": provider(ISSUER)}),
            )
            .unwrap();
        let before = (trust(&case, ROLE), associations(&case));
        case.clear_calls();
        let _ = case.destroy_error("OIDC provider").anywhere();
        assert_eq!(writes(&case), BTreeMap::new(), "{config}");
        assert_eq!((trust(&case, ROLE), associations(&case)), before);
        case.sandbox()
            .call(
                "iam",
                "CreateOpenIDConnectProvider",
                json!({
                    "Url": format!("https://{ISSUER}"),
                    "ClientIDList.member.1": "sts.amazonaws.com",
                    "ThumbprintList.member.1": "9e99a48a9960b14926bb7f3b02e22da2b0ab7280",
                }),
            )
            .unwrap();
        case.destroy();
        expect_irsa(&case);
    }
}

/// Scenario 37: the cluster is gone. There is nothing to go back to, and nothing in the way of destroying: the refresh takes the
/// migration from the state, and says what is left in the role.
#[test]
fn s37_cluster_is_gone() {
    let Some(mut case) = case(&Cluster::plain(), with(RESTART)) else {
        return;
    };
    case.apply();
    expect_credentials(&case, false);
    // A sandbox deletes no clusters, but it can have started with another one.
    case.fault(Fault {
        service: Some("eks".into()),
        error: Some(FaultError {
            code: "ResourceNotFoundException".into(),
            message: "No cluster found for name: demo.".into(),
            status: 404,
        }),
        ..Fault::default()
    });
    let plan = case.try_plan(&[]);
    assert_ne!(
        plan.code,
        0,
        "a missing cluster is no reason to do nothing: {}",
        plan.report()
    );
    case.clear_calls().destroy();
    assert_eq!(writes(&case), BTreeMap::new());
}

/// Scenario 37: the role is deleted and made again. The association names it by ARN, and trust is added again.
#[test]
fn s37_role_is_recreated() {
    let Some(mut case) = case(&Cluster::plain(), with(RESTART)) else {
        return;
    };
    case.apply();
    expect_credentials(&case, false);
    let policy = "arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess";
    let iam = |operation: &str, parameters: Value| {
        case.sandbox().call("iam", operation, parameters).unwrap();
    };
    iam(
        "DetachRolePolicy",
        json!({"RoleName": ROLE, "PolicyArn": policy}),
    );
    iam("DeleteRole", json!({"RoleName": ROLE}));
    let found = case.try_plan(&[]);
    assert_eq!(found.code, 1, "{}", found.report());
    assert!(
        found.report().contains("role_not_found"),
        "{}",
        found.report()
    );
    iam(
        "CreateRole",
        json!({"RoleName": ROLE, "AssumeRolePolicyDocument": original().to_string()}),
    );
    expect_credentials(&case, true);
    case.apply()
        .expect_empty_plan()
        .expect_attribute(THIS, "phase", "verified");
    assert_eq!(trusted(&case, ROLE), ["api"]);
    assert_eq!(paths(&case, "api"), BTreeMap::from([("pod_identity", 2)]));
    case.destroy();
    expect_irsa(&case);
}

/// Scenario 37: a migration whose state was lost is imported, with everything there is to know.
#[test]
fn s37_import() {
    for config in [RESTART, RETIRE] {
        let Some(mut case) = case(&Cluster::plain(), with(config)) else {
            return;
        };
        case.apply();
        let associated = associations(&case);
        case.forget(THIS)
            .import(THIS, "demo,payments,api")
            .clear_calls();
        let outcome = case.try_apply(&[]);
        assert_eq!(outcome.code, 0, "{}", outcome.report());
        assert_eq!(writes(&case), BTreeMap::new(), "{config}");
        assert_eq!(associations(&case), associated);
        case.expect_empty_plan();
        case.destroy();
        expect_irsa(&case);
    }
}

/// Scenario 37: state lost altogether. Another apply takes up what is there and changes nothing but whose it is.
#[test]
fn s37_state_is_lost() {
    for config in [RESTART, RETIRE] {
        let Some(mut case) = case(&Cluster::plain(), with(config)) else {
            return;
        };
        case.apply();
        let associated = associations(&case)[0].1["associationId"].clone();
        let document = trust(&case, ROLE);
        case.forget(THIS).clear_calls().apply();
        // The association says now that it belongs to the new object.
        assert_eq!(
            writes(&case),
            BTreeMap::from([("eks:TagResource".to_owned(), 1)]),
            "{config}"
        );
        assert_eq!(associations(&case).len(), 1);
        assert_eq!(associations(&case)[0].1["associationId"], associated);
        assert_eq!(trust(&case, ROLE), document);
        assert_eq!(restarts(&case, "deployments", "payments", "api"), 1);
        case.expect_empty_plan()
            .expect_attribute(THIS, "association_adopted", false);
        case.destroy();
        expect_irsa(&case);
    }
}

/// Scenario 37: an object of the state that has moved to another address is not migrated again.
#[test]
fn s37_moved() {
    let Some(mut case) = case(&Cluster::plain(), with(RESTART)) else {
        return;
    };
    case.apply().clear_calls();
    let moved = with(RESTART).replace("\"this\" {", "\"that\" {");
    case.config(format!(
        "{moved}\nmoved {{\n  from = {THIS}\n  to   = podidentity_irsa_migration.that\n}}\n"
    ))
    .apply();
    assert_eq!(writes(&case), BTreeMap::new());
    case.expect_empty_plan();
}

/// Stages in several applies: dual trust and association first, then the restart, then retiring one after the other, and back.
#[test]
fn stages() {
    let Some(mut case) = case(&Cluster::plain(), with("")) else {
        return;
    };
    case.apply()
        .expect_attribute(THIS, "phase", "propagated")
        .expect_empty_plan();
    assert_eq!(paths(&case, "api"), BTreeMap::from([("web_identity", 2)]));
    case.config(with(RESTART))
        .expect_plan(&[(THIS, Action::Update)])
        .apply()
        .expect_attribute(THIS, "phase", "verified")
        .expect_empty_plan();
    assert_eq!(paths(&case, "api"), BTreeMap::from([("pod_identity", 2)]));
    let first = format!("{RESTART}\n  retire = {{ annotation = true }}");
    case.config(with(&first))
        .apply()
        .expect_attribute(THIS, "phase", "retired")
        .expect_empty_plan();
    assert_eq!(annotations(&case, "payments", "api").get(ROLE_ARN), None);
    assert_eq!(statements(&trust(&case, ROLE)).len(), 2);
    case.config(with(RETIRE))
        .apply()
        .expect_attribute(THIS, "phase", "retired")
        .expect_empty_plan();
    assert_eq!(statements(&trust(&case, ROLE)).len(), 1);
    // Second thoughts: turning it off puts it back, without another restart.
    case.config(with(RESTART))
        .apply()
        .expect_attribute(THIS, "phase", "verified")
        .expect_empty_plan();
    assert_eq!(
        annotations(&case, "payments", "api"),
        json!({ROLE_ARN: arn(ROLE)})
    );
    assert_eq!(
        statements(&trust(&case, ROLE))[0],
        irsa(subject("payments", "api"))
    );
    assert_eq!(restarts(&case, "deployments", "payments", "api"), 1);
    case.destroy();
    expect_irsa(&case);
}

/// Drift: the association is gone. It comes back, with the pods' credentials.
#[test]
fn drift_association_deleted() {
    let Some(mut case) = case(&Cluster::plain(), with(RESTART)) else {
        return;
    };
    case.apply();
    delete_association(&case);
    let plan = case.plan();
    assert_eq!(plan.action(THIS), Action::Update);
    case.apply()
        .expect_attribute(THIS, "phase", "verified")
        .expect_empty_plan();
    assert_eq!(associations(&case).len(), 1);
    assert_eq!(paths(&case, "api"), BTreeMap::from([("pod_identity", 2)]));
}

fn delete_association(case: &Case) {
    let id = associations(case)[0].1["associationId"].clone();
    case.sandbox()
        .call(
            "eks",
            "DeletePodIdentityAssociation",
            json!({"clusterName": "demo", "associationId": id}),
        )
        .unwrap();
}

/// Drift: the association is gone after IRSA was retired. Pods have no path left, which is said; an error would keep the apply from
/// mending it.
#[test]
fn drift_association_deleted_after_retirement() {
    let Some(mut case) = case(&Cluster::plain(), with(RETIRE)) else {
        return;
    };
    case.apply();
    expect_credentials(&case, false);
    delete_association(&case);
    let warning = case.plan_warning("new pods get no credentials at all");
    assert!(warning.detail.contains("Apply at once"), "{warning}");
    assert_eq!(case.plan().action(THIS), Action::Update);
    expect_credentials(&case, true);
    case.apply()
        .expect_attribute(THIS, "phase", "retired")
        .expect_empty_plan();
    assert_eq!(paths(&case, "api"), BTreeMap::from([("pod_identity", 2)]));
}

/// Drift: the association names another role. It is updated in place, and pods are restarted for it, once.
#[test]
fn drift_association_with_another_role() {
    let cluster = Cluster::plain().role("other", json!([pods("Pods", None)]));
    let Some(mut case) = case(&cluster, with(RESTART)) else {
        return;
    };
    case.apply();
    let id = associations(&case)[0].1["associationId"].clone();
    case.sandbox()
        .call(
            "eks",
            "UpdatePodIdentityAssociation",
            json!({"clusterName": "demo", "associationId": id, "roleArn": arn("other")}),
        )
        .unwrap();
    assert_eq!(case.plan().action(THIS), Action::Update);
    case.apply()
        .expect_attribute(THIS, "phase", "verified")
        .expect_empty_plan();
    assert_eq!(associations(&case)[0].1["roleArn"], arn(ROLE));
    assert_eq!(associations(&case)[0].1["associationId"], id);
    assert_eq!(restarts(&case, "deployments", "payments", "api"), 2);
    // The mark of a restart holds the change.
    let template = &object(&case, "deployments", "payments", "api")["spec"]["template"];
    let mark = &template["metadata"]["annotations"]["terraform-provider-podidentity/restarted-for"];
    let mark = mark.as_str().unwrap();
    assert!(
        mark.starts_with(&format!("{}-", id.as_str().unwrap())),
        "{mark}"
    );
}

/// Another role: running pods get it hours later unless they are restarted, which is done or said.
#[test]
fn pods_get_another_role_by_a_restart() {
    let cluster = Cluster::plain().role("other", json!([pods("Pods", None)]));
    let other = |more: &str| with(&format!("{more}\n  role_arn = \"{}\"", arn("other")));
    for (more, restarted) in [("", 0), (RESTART, 1)] {
        let Some(mut case) = case(&cluster, with(RESTART)) else {
            return;
        };
        case.apply().config(other(more));
        if restarted > 0 {
            // The first attempt is stopped before the restart. What it owes is not forgotten.
            case.fault(Fault {
                operation: Some("patch deployments".into()),
                error: Some(FaultError {
                    code: "Forbidden".into(),
                    message: "not today".into(),
                    status: 403,
                }),
                ..Fault::default()
            });
            let outcome = case.try_apply(&[]);
            assert_eq!(outcome.code, 1, "{}", outcome.report());
            case.sandbox().clear_faults();
            case.expect_plan(&[(THIS, Action::Update)]);
        }
        let outcome = case.try_apply(&[]);
        assert_eq!(outcome.code, 0, "{}", outcome.report());
        let warned = outcome
            .warnings()
            .iter()
            .any(|warning| warning.summary.contains("former settings"));
        assert_eq!(warned, restarted == 0, "{}", outcome.report());
        case.expect_empty_plan();
        assert_eq!(associations(&case)[0].1["roleArn"], arn("other"));
        assert_eq!(
            restarts(&case, "deployments", "payments", "api"),
            1 + restarted
        );
    }
}

/// Drift: an add-on has taken the association over. It is the add-on's from now on.
#[test]
fn drift_association_taken_over_by_an_add_on() {
    let Some(mut case) = case(&Cluster::plain(), with(RESTART)) else {
        return;
    };
    case.apply();
    delete_association(&case);
    let addon = "arn:aws:eks:us-east-1:123456789012:addon/demo/vpc-cni/12345678-90ab-cdef-1234-567890abcdef";
    case.sandbox()
        .seed(json!({"clusters": [{"name": "demo", "associations": [{"namespace": "payments", "service_account": "api", "role_arn": arn(ROLE), "owner_arn": addon}]}]}))
        .unwrap();
    let warning = case.plan_warning("now belongs to the add-on");
    assert!(warning.detail.contains("vpc-cni"), "{warning}");
    case.expect_empty_plan();
    let before = associations(&case);
    case.clear_calls().destroy();
    assert_eq!(associations(&case), before, "it is not ours to delete");
}

/// Drift: the service account is made again, and with it the annotation. Associations are by name, so nothing is lost.
#[test]
fn drift_service_account_recreated() {
    let Some(mut case) = case(&Cluster::plain(), with(RETIRE)) else {
        return;
    };
    case.apply();
    kubernetes(
        &case,
        json!({"method": "DELETE", "resource": "serviceaccounts", "namespace": "payments", "name": "api"}),
    );
    let outcome = case.try_plan(&[]);
    assert!(
        matches!(outcome.code, 0 | 2),
        "a missing service account is a warning now: {}",
        outcome.report()
    );
    kubernetes(
        &case,
        json!({"method": "POST", "resource": "serviceaccounts", "namespace": "payments", "body": {
            "apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "api"},
        }}),
    );
    case.apply().expect_empty_plan();
    assert_eq!(paths(&case, "api"), BTreeMap::from([("pod_identity", 2)]));
}

/// Drift: a pod that came up without credentials, past the webhook, is noticed.
#[test]
fn drift_pod_without_credentials() {
    let Some(mut case) = case(&Cluster::plain(), with(RESTART)) else {
        return;
    };
    case.apply();
    expect_credentials(&case, false);
    case.sandbox()
        .seed(json!({"clusters": [{"name": "demo", "webhook": {"down": true}}]}))
        .unwrap();
    patch(
        &case,
        "deployments",
        "payments",
        "api",
        json!({"spec": {"replicas": 3}}),
    );
    case.sandbox()
        .seed(json!({"clusters": [{"name": "demo", "webhook": {"down": false}}]}))
        .unwrap();
    assert_eq!(paths(&case, "api").get("pod_identity"), Some(&2));
    let pods = case.sandbox().credential_report().pods;
    let stray = pods
        .iter()
        .find(|pod| pod.service_account == "api" && pod.path != "pod_identity")
        .unwrap();
    let warning = case.plan_warning("do not use Pod Identity");
    assert!(warning.detail.contains(&stray.pod), "{warning}");
    expect_credentials(&case, true);
    kubernetes(
        &case,
        json!({"method": "DELETE", "resource": "pods", "namespace": "payments", "name": stray.pod}),
    );
    case.apply()
        .expect_attribute(THIS, "phase", "verified")
        .expect_empty_plan();
    assert_eq!(paths(&case, "api"), BTreeMap::from([("pod_identity", 3)]));
}

/// Ctrl-C in the middle of a wait leaves every pod with credentials, and the next apply goes on.
#[cfg(unix)]
#[test]
fn an_interrupted_apply_goes_on() {
    let cluster = Cluster::plain().set("controllers", json!({"workloads": [{"kind": "Deployment", "name": "api", "when": "pod_identity", "failure": "never_ready"}]}));
    let Some(mut case) = case(&cluster, with(&RETIRE.replace("60s", "120s"))) else {
        return;
    };
    let started = std::time::Instant::now();
    let running = case.start_apply();
    case.wait_until("the restart is waited for", |case| {
        case.calls().contains_key("kubernetes:patch deployments")
    });
    running.interrupt();
    let outcome = running.wait();
    assert_eq!(outcome.code, 1, "{}", outcome.report());
    assert!(started.elapsed().as_secs() < 60, "the wait ends at once");
    case.sandbox()
        .seed(json!({"clusters": [{"name": "demo", "controllers": {}}]}))
        .unwrap();
    case.apply()
        .expect_attribute(THIS, "phase", "retired")
        .expect_empty_plan();
    assert_eq!(restarts(&case, "deployments", "payments", "api"), 1);
    assert_eq!(associations(&case).len(), 1);
    assert!(annotations(&case, "payments", "api")[CRUMB].is_string());
    case.destroy();
    expect_irsa(&case);
}
