//! What the policies of a role say about further roles and about the session, which is not the same after the migration.
//!
//! Sessions of IRSA have no session tags; those of EKS Pod Identity have six, which are transitive: whoever assumes a further role with
//! such a session passes them on, and that role's trust policy must allow `sts:TagSession`. The name of the session and the claims of
//! the web identity token, which policies may depend on, change as well.

mod target;

use std::collections::BTreeSet;

use super::{Unit, list};
use crate::migration::facts::{RoleFacts, wildcard};
use crate::migration::finding::{Code, Finding};
use crate::migration::roles::{RolePolicies, RolePolicy, Target};
use crate::policy::analysis::Reason;
use crate::policy::arn::RoleArn;
use crate::policy::name::has_wildcard;
use crate::policy::{Document, Effect, Statement, TAG_SESSION, Verdict, analyze_target};

/// Adds what the role's policies have in them that behaves otherwise after the migration; nothing if nobody looked.
pub fn check(unit: &Unit<'_>, findings: &mut Vec<Finding>) {
    let (Some(policies), RoleFacts::Found(role)) = (unit.role_policies, unit.role) else {
        return;
    };
    findings.extend(
        policies
            .not_read
            .iter()
            .map(|why| Finding::new(Code::NotChecked, why.clone())),
    );
    let Ok(arn) = RoleArn::parse(&role.arn) else {
        return;
    };
    match &unit.settings.target_role_arn {
        None => held(unit, &arn, policies, findings),
        // What is not the ARN of a role is refused with the configuration.
        Some(target) => {
            if let Ok(target) = RoleArn::parse(target) {
                target::check(unit, &arn, &target, policies, findings);
            }
        }
    }
}

/// What behaves otherwise for the role that pods hold in the end: the role itself, or its target role.
fn held(unit: &Unit<'_>, role: &RoleArn, policies: &RolePolicies, findings: &mut Vec<Finding>) {
    if unit.session_tags() {
        chaining(unit, role, policies, findings);
    }
    session(&role.to_string(), policies, findings);
}

/// The resources of every statement that allows an action of STS: ARNs and patterns of roles, `*` where everything is allowed.
pub(crate) fn allowed<'a>(
    policies: impl IntoIterator<Item = &'a RolePolicy>,
    action: &str,
) -> BTreeSet<String> {
    let mut resources = BTreeSet::new();
    for policy in policies.into_iter().filter(|policy| policy.allows) {
        for statement in policy.document.statements() {
            if statement.effect() != Some(Effect::Allow) || !has_action(statement, action) {
                continue;
            }
            if statement.members().contains_key("NotResource") {
                resources.insert("*".to_owned());
            }
            resources.extend(statement.list("Resource").into_iter().map(str::to_owned));
        }
    }
    resources
}

/// Whether a statement is about a role, as far as its resources say. Variables may stand for anything.
fn has_resource(statement: &Statement, role: &RoleArn) -> bool {
    let role = role.to_string();
    let named = |member: &str| {
        statement.list(member).iter().any(|resource| {
            let mut parts = resource.split("${");
            let first = parts.next().unwrap_or_default().to_owned();
            let pattern = parts.fold(first, |all, part| {
                let rest = part.split_once('}').map_or("", |(_, rest)| rest);
                format!("{all}*{rest}")
            });
            wildcard(&pattern, &role)
        })
    };
    named("Resource") || (statement.members().contains_key("NotResource") && !named("NotResource"))
}

/// The letter case of actions has no meaning, and they may hold wildcards.
fn has_action(statement: &Statement, action: &str) -> bool {
    let action = action.to_ascii_lowercase();
    let named = |member: &str| {
        statement
            .list(member)
            .iter()
            .any(|pattern| wildcard(&pattern.to_ascii_lowercase(), &action))
    };
    named("Action") || (statement.members().contains_key("NotAction") && !named("NotAction"))
}

/// Whether a resource names exactly one role.
pub(crate) fn exact_role(resource: &str) -> Option<RoleArn> {
    (!has_wildcard(resource) && !resource.contains("${"))
        .then(|| RoleArn::parse(resource).ok())
        .flatten()
}

fn chaining(unit: &Unit<'_>, role: &RoleArn, policies: &RolePolicies, findings: &mut Vec<Finding>) {
    const WHY: &str =
        "Sessions of EKS Pod Identity have session tags that are passed on to further roles.";
    const OR_OFF: &str = "or set disable_session_tags = true, which also keeps the packed size of session policies and tags low";
    let itself = role.to_string();
    let mut foreign = BTreeSet::new();
    let mut open = BTreeSet::new();
    for resource in allowed(&policies.policies, crate::policy::ASSUME_ROLE) {
        let Some(target) = exact_role(&resource) else {
            // Resources of other services may stand in the same statement.
            if resource == "*" || wildcard_names_roles(&resource) {
                open.insert(resource);
            }
            continue;
        };
        if resource == itself {
            findings.push(Finding::new(
                Code::RoleChaining,
                format!(
                    "The role {itself} may assume itself. {WHY} Its trust policy must allow itself {TAG_SESSION} as well as \
                     sts:AssumeRole, {OR_OFF}; better, stop assuming it, since pods have it already."
                ),
            ));
        } else if target.account != role.account {
            foreign.insert(resource);
        } else if let Some(message) =
            same_account(unit, role, &resource, policies.targets.get(&resource))
        {
            findings.push(Finding::new(
                Code::RoleChaining,
                format!("{message} {WHY} Allow {TAG_SESSION} to {itself} there, {OR_OFF}."),
            ));
        }
    }
    let may_tag = !allowed(&policies.policies, TAG_SESSION).is_empty();
    let own = if may_tag {
        String::new()
    } else {
        format!(
            " The policies of {itself} must allow {TAG_SESSION} on them, too, which they do not."
        )
    };
    if let Some(foreign) = list(foreign) {
        findings.push(Finding::new(
            Code::RoleChaining,
            format!(
                "The role {itself} may assume roles of other accounts, whose trust policies were not looked at: {foreign}. {WHY} \
                 Check that they allow {TAG_SESSION},{} {OR_OFF}.{own}",
                if own.is_empty() { "" } else { " allow it to the role itself," },
            ),
        ));
    }
    if let Some(open) = list(open) {
        findings.push(Finding::new(
            Code::RoleChaining,
            format!(
                "The role {itself} may assume whatever roles match {open}. {WHY} If pods do assume further roles, check that their \
                 trust policies allow {TAG_SESSION}, {OR_OFF}."
            ),
        ));
    }
}

fn wildcard_names_roles(resource: &str) -> bool {
    let mut parts = resource.splitn(6, ':');
    parts.next() == Some("arn") && parts.nth(1).is_some_and(|service| wildcard(service, "iam"))
}

/// What is wrong with a target of the same account; `None` if it can be assumed afterwards, or cannot be today either.
fn same_account(
    unit: &Unit<'_>,
    role: &RoleArn,
    target: &str,
    facts: Option<&Target>,
) -> Option<String> {
    let unclear = |why: &str| Some(format!("The role {role} may assume {target}, {why}."));
    let trust = match facts {
        Some(Target::Missing) => return None,
        None | Some(Target::NotRead) => return unclear("whose trust policy cannot be read"),
        Some(Target::Trust(text)) => text,
    };
    let Ok(document) = Document::parse(trust) else {
        return unclear("whose trust policy cannot be understood");
    };
    let pod = unit.grant()?.pod();
    match analyze_target(&document, &pod, role, None) {
        Verdict::Works => None,
        Verdict::CanNeverWork(reasons) => {
            let trusted = !reasons.iter().any(|reason| {
                matches!(reason, Reason::NoPodIdentityStatement { .. })
                    || matches!(reason, Reason::MissingAction { action, .. } if *action == crate::policy::ASSUME_ROLE)
            });
            let tagging = reasons.iter().any(
                |reason| matches!(reason, Reason::MissingAction { action, .. } if *action == TAG_SESSION),
            );
            if tagging && trusted {
                unclear(&format!(
                    "whose trust policy does not allow it {TAG_SESSION}"
                ))
            } else if trusted {
                let reason = reasons.first()?;
                unclear(&format!(
                    "but by that role's trust policy that will not work: {reason}"
                ))
            } else {
                None
            }
        }
        Verdict::CannotTell(reasons) => {
            let reason = reasons.first()?;
            unclear(&format!(
                "but whether its trust policy allows that with session tags is not certain: {reason}"
            ))
        }
    }
}

/// Keys whose value is not the same in a session of EKS Pod Identity.
fn session(role: &str, policies: &RolePolicies, findings: &mut Vec<Finding>) {
    for policy in &policies.policies {
        let mut keys = BTreeSet::new();
        for statement in policy.document.statements() {
            for line in statement.conditions() {
                let key = line.key.to_ascii_lowercase();
                // The unique id of the role comes first, then the name of the session: a pattern for any name stays true.
                let any_name =
                    key == "aws:userid" && line.values.iter().all(|value| value.ends_with(":*"));
                if depends_on_session(&key) && !any_name {
                    keys.insert(line.key.to_owned());
                }
            }
            keys.extend(variables(&statement.to_json()));
        }
        if let Some(keys) = list(keys) {
            findings.push(Finding::new(
                Code::SessionDependent,
                format!(
                    "{} of the role {role} depends on {keys}. Sessions of EKS Pod Identity have no claims of a web identity token, \
                     and are named eks-CLUSTER-POD-UUID. Change that before the migration, for example to \
                     aws:PrincipalTag/kubernetes-service-account.",
                    policy.what
                ),
            ));
        }
    }
}

fn depends_on_session(key: &str) -> bool {
    let claim = |suffix: &str| {
        key.strip_suffix(suffix)
            .is_some_and(|issuer| issuer.contains('.') && !issuer.contains(':'))
    };
    matches!(
        key,
        "sts:rolesessionname" | "aws:userid" | "aws:federatedprovider"
    ) || [":sub", ":aud", ":amr"].iter().any(|suffix| claim(suffix))
}

/// Policy variables, without their defaults, that stand for a value of the session.
fn variables(json: &str) -> impl Iterator<Item = String> + '_ {
    json.split("${").skip(1).filter_map(|rest| {
        let name = rest.split(['}', ',']).next()?.trim();
        depends_on_session(&name.to_ascii_lowercase()).then(|| format!("${{{name}}}"))
    })
}
