//! Whether the role of an association can assume its target role, whose credentials pods get in the end.
//!
//! EKS checks nothing of that: with a role that may not assume its target the association exists, new pods get the variables, and every
//! pod is denied. Source: "Access AWS resources using EKS Pod Identity Target IAM Roles" in the EKS user guide; for when a role's own
//! policies have to allow `sts:AssumeRole`: "Policy evaluation logic" in the IAM user guide.

use super::super::Unit;
use super::{has_action, has_resource, held};
use crate::migration::finding::{Code, Finding};
use crate::migration::roles::{RolePolicies, RolePolicy, Target};
use crate::policy::analysis::Reason;
use crate::policy::arn::RoleArn;
use crate::policy::{
    ASSUME_ROLE, Document, Effect, Statement, TAG_SESSION, Verdict, analyze_target,
};

/// Adds what keeps `role` from assuming `target`, and what behaves otherwise for the target.
pub(super) fn check(
    unit: &Unit<'_>,
    role: &RoleArn,
    target: &RoleArn,
    policies: &RolePolicies,
    findings: &mut Vec<Finding>,
) {
    let facts = unit.target;
    let trust = match facts.map(|facts| &facts.trust) {
        Some(Target::Trust(text)) => Document::parse(text).ok(),
        _ => None,
    };
    own(unit, role, target, policies, trust.as_ref(), findings);
    let not_checked = |why: &str| {
        Finding::new(
            Code::NotChecked,
            format!(
                "The trust policy of the target role {target} was not checked, because {why}. It must allow {role} {ASSUME_ROLE} and \
                 {TAG_SESSION}."
            ),
        )
    };
    match (facts.map(|facts| &facts.trust), &trust) {
        (Some(Target::Missing), _) => findings.push(Finding::new(
            Code::TargetRoleNotFound,
            format!(
                "There is no role {target}, which target_role_arn names. Check path and name, or create the role."
            ),
        )),
        (Some(Target::Trust(_)), Some(document)) => {
            findings.extend(trusted(unit, role, target, document));
        }
        (Some(Target::Trust(_)), None) => findings.push(not_checked("it cannot be understood")),
        (Some(Target::NotRead), _) => findings.push(not_checked("it cannot be read")),
        (None, _) if target.account != role.account => {
            findings.push(not_checked("it is in another account"));
        }
        // Nobody looked.
        (None, _) => {}
    }
    if let Some(policies) = facts.and_then(|facts| facts.policies.as_deref()) {
        held(unit, target, policies, findings);
    }
}

/// Whether the role's own policies let it assume the target. In the same account they need not, where the target's trust policy names
/// the role itself.
fn own(
    unit: &Unit<'_>,
    role: &RoleArn,
    target: &RoleArn,
    policies: &RolePolicies,
    trust: Option<&Document>,
    findings: &mut Vec<Finding>,
) {
    let named = target.account == role.account
        && trust.is_some_and(|document| {
            document.statements().iter().any(|statement| {
                statement.effect() == Some(Effect::Allow)
                    && statement
                        .principal()
                        .is_some_and(|it| it.of_type("AWS").contains(&role.to_string().as_str()))
            })
        });
    // The trust policy may name the role, but nobody may tell.
    let unknown = target.account == role.account && trust.is_none();
    let tags = unit.session_tags().then_some(TAG_SESSION);
    let missing: Vec<&str> = [Some(ASSUME_ROLE), tags]
        .into_iter()
        .flatten()
        .filter(|action| {
            let of = |allows| {
                policies
                    .policies
                    .iter()
                    .filter(move |it| it.allows == allows)
            };
            let denies = |it: &RolePolicy| says(&it.document, Effect::Deny, action, target, true);
            let allows = |it: &RolePolicy| says(&it.document, Effect::Allow, action, target, false);
            if policies.policies.iter().any(denies) {
                return true;
            }
            let allowed = named || unknown || of(true).any(allows);
            policies.not_read.is_empty() && !(allowed && of(false).all(allows))
        })
        .collect();
    if missing.is_empty() {
        return;
    }
    findings.push(Finding::new(
        Code::TargetRoleDenied,
        format!(
            "The policies of {role} do not let it assume the target role {target}: {} missing or denied, so pods would get no \
             credentials. Allow {} on that role, in a policy of {role} and in its permissions boundary, if it has one.",
            match missing.as_slice() {
                [one] => format!("{one} is"),
                all => format!("{} are", all.join(" and ")),
            },
            missing.join(" and "),
        ),
    ));
}

/// Whether a policy allows, or denies, an action on a role. Conditions may hold or not, so a statement with some is not `certain`.
fn says(document: &Document, effect: Effect, action: &str, role: &RoleArn, certain: bool) -> bool {
    let applies = |statement: &Statement| {
        statement.effect() == Some(effect)
            && has_action(statement, action)
            && has_resource(statement, role)
            && (!certain || statement.conditions().is_empty())
    };
    document.statements().iter().any(applies)
}

/// What the target's trust policy makes of the role.
fn trusted(
    unit: &Unit<'_>,
    role: &RoleArn,
    target: &RoleArn,
    document: &Document,
) -> Option<Finding> {
    let grant = unit.grant()?;
    let external_id = format!(
        "{}/{}/{}",
        grant.cluster.external_id_prefix(),
        unit.namespace_name,
        unit.service_account
    );
    let (never, reasons) = match analyze_target(document, &grant.pod(), role, Some(&external_id)) {
        Verdict::Works => return None,
        Verdict::CanNeverWork(reasons) => (true, reasons),
        Verdict::CannotTell(reasons) => (false, reasons),
    };
    // Without session tags it is not documented that the second action is asked for.
    let only_tagging = |reason: &Reason| matches!(reason, Reason::MissingAction { action, .. } if *action == TAG_SESSION);
    let never = never && (unit.session_tags() || !reasons.iter().all(only_tagging));
    let (code, what) = if never {
        (
            Code::TargetRoleDenied,
            format!(
                "By the trust policy of the target role {target} it can never be assumed by {role}"
            ),
        )
    } else {
        (
            Code::TrustUncertain,
            format!(
                "It is not certain that the trust policy of the target role {target} lets {role} assume it"
            ),
        )
    };
    let why: Vec<String> = reasons.iter().map(ToString::to_string).collect();
    Some(Finding::new(
        code,
        format!(
            "{what}: {}. It must allow {role} {ASSUME_ROLE} and {TAG_SESSION}, with the external id {external_id} if it asks for one.",
            why.join("; ")
        ),
    ))
}
