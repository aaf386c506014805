//! The role that pods are going to get, and its trust policy.

use std::collections::{BTreeMap, BTreeSet};

use super::{Unit, list};
use crate::aws::RoleInfo;
use crate::framework::diagnostic::capitalised;
use crate::migration::facts::{ROLE_ARN, RoleFacts, ServiceAccountFacts, wildcard};
use crate::migration::finding::{Code, Finding};
use crate::policy::analysis::Reason;
use crate::policy::arn::{ClusterArn, RoleArn};
use crate::policy::check::deleted_principals;
use crate::policy::grant::GrantError;
use crate::policy::irsa::{Access, web_identity_trusts};
use crate::policy::name::check_role_name;
use crate::policy::size::{TRUST_QUOTA_DEFAULT, TRUST_QUOTA_MAX, document_size};
use crate::policy::{
    Document, Grant, GrantChange, OidcIssuer, Problem, Scope, Subject, Verdict, analyze,
    check_trust_policy,
};

/// The audience of IRSA's tokens unless the service account has another.
const STS_AUDIENCE: &str = "sts.amazonaws.com";

/// Adds what is wrong with the role, its trust policy, and who else depends on it.
pub fn check(unit: &Unit<'_>, findings: &mut Vec<Finding>) {
    let name = format!("{}/{}", unit.namespace_name, unit.service_account);
    if let Some(arn) = unit.role.arn().and_then(|arn| RoleArn::parse(arn).ok())
        && arn.is_service_linked()
    {
        findings.push(Finding::new(
            Code::RoleServiceLinked,
            format!(
                "{arn} is a service-linked role: its trust policy cannot be changed, so pods can never have it. Use another role."
            ),
        ));
        return;
    }
    match unit.role {
        // Once the annotation is retired nothing names the role but the association, and that has it.
        RoleFacts::NotNamed if unit.is_cut_over() => {}
        RoleFacts::NotNamed => findings.push(Finding::new(
            Code::NoRole,
            format!(
                "{name} has no annotation {ROLE_ARN}, and role_arn is not configured. Set role_arn."
            ),
        )),
        RoleFacts::Invalid { text } => findings.push(Finding::new(
            Code::AnnotationInvalid,
            invalid(unit, &name, text),
        )),
        RoleFacts::OtherAccount { arn } => findings.push(Finding::new(
            Code::RoleOtherAccount,
            other_account(unit, arn),
        )),
        RoleFacts::NotFound { arn } => findings.push(Finding::new(
            Code::RoleNotFound,
            format!(
                "There is no role {arn}, {}. Check path and name, or create the role.",
                named_by(unit, arn, &name)
            ),
        )),
        RoleFacts::NotRead { arn, why } => findings.push(Finding::new(
            Code::NotChecked,
            format!("The role {arn} was not checked: {}", full_stop(why)),
        )),
        RoleFacts::Found(role) => found(unit, role, findings),
    }
    differs(unit, &name, findings);
    if let Some(others) = list(unit.sharing.iter().cloned()) {
        let arn = unit.role.arn().unwrap_or("the role");
        findings.push(Finding::new(
            Code::RoleShared,
            format!(
                "Other service accounts use {arn} as well: {others}. They stay on IRSA until each is migrated by itself, and their \
                 trust is not touched."
            ),
        ));
    }
}

fn full_stop(text: &str) -> String {
    let end = if text.ends_with('.') { "" } else { "." };
    format!("{text}{end}")
}

/// Who says that the role is `arn`.
fn named_by(unit: &Unit<'_>, arn: &str, name: &str) -> String {
    if unit.settings.role_arn.as_deref() == Some(arn) {
        "which role_arn names".to_owned()
    } else {
        format!("which the annotation of {name} names")
    }
}

fn invalid(unit: &Unit<'_>, name: &str, text: &str) -> String {
    let what = if unit.settings.role_arn.as_deref() == Some(text) {
        "role_arn".to_owned()
    } else {
        format!("The annotation {ROLE_ARN} of {name}")
    };
    let trimmed = text.trim();
    if trimmed.is_empty() {
        return format!(
            "{what} is empty. Name the role there, or set role_arn; if the service account needs no role, leave it out of the \
             migration."
        );
    }
    if check_role_name(trimmed).is_ok() {
        let example = ClusterArn::parse(&unit.cluster.cluster.arn).map_or_else(
            |_| format!("arn:aws:iam::111122223333:role/{trimmed}"),
            |cluster| {
                format!(
                    "arn:{}:iam::{}:role/{trimmed}",
                    cluster.partition, cluster.account
                )
            },
        );
        return format!(
            "{what} is the bare name {text:?}, but it must be the ARN of the role, such as {example}. Correct it, or set role_arn."
        );
    }
    let why = RoleArn::parse(text).map_or_else(
        |error| error.to_string(),
        |_| format!("{text:?} cannot be used"),
    );
    format!("{what} is not the ARN of a role: {why}. Correct it, or set role_arn.")
}

fn other_account(unit: &Unit<'_>, arn: &str) -> String {
    let cluster = ClusterArn::parse(&unit.cluster.cluster.arn).ok();
    let role = RoleArn::parse(arn).ok();
    let Some((cluster, role)) = cluster.zip(role) else {
        return format!(
            "The role {arn} is not in the account of the cluster, and EKS takes only those."
        );
    };
    if role.partition != cluster.partition {
        return format!(
            "The role {arn} is in the partition {}, but the cluster is in {}. Roles cannot be used across partitions.",
            role.partition, cluster.partition
        );
    }
    format!(
        "The role {arn} is in the account {}, but the cluster is in {}, and EKS takes only roles of the cluster's account. Set \
         target_role_arn = {arn:?} and role_arn to a role of the account {} that may assume it (sts:AssumeRole and \
         sts:TagSession, in its permissions and in the trust policy of the target).",
        role.account, cluster.account, cluster.account
    )
}

/// Whether pods get another role than they have today. The role of the annotation may well be the target.
fn differs(unit: &Unit<'_>, name: &str, findings: &mut Vec<Finding>) {
    let annotation = unit.account().and_then(|account| account.role_arn());
    let (Some(annotation), Some(configured)) = (annotation, &unit.settings.role_arn) else {
        return;
    };
    let target = unit.settings.target_role_arn.as_deref();
    if annotation == configured || target == Some(annotation) || annotation.is_empty() {
        return;
    }
    findings.push(Finding::new(
        Code::RoleDiffers,
        format!(
            "The annotation of {name} names {annotation}, but its pods will get {}. Check that it has the same permissions.",
            target.unwrap_or(configured)
        ),
    ));
}

fn found(unit: &Unit<'_>, role: &RoleInfo, findings: &mut Vec<Finding>) {
    managed_elsewhere(unit, role, findings);
    let document = match Document::parse(&role.assume_role_policy) {
        Ok(document) => document,
        Err(error) => {
            findings.push(Finding::new(
                Code::TrustUnreadable,
                format!(
                    "The trust policy of {} cannot be read: {error}. It is: {}",
                    role.arn,
                    beginning(&role.assume_role_policy)
                ),
            ));
            return;
        }
    };
    pod_identity(unit, role, &document, findings);
    irsa(unit, role, &document, findings);
}

/// Enough of a document that is none to see what it is.
fn beginning(text: &str) -> String {
    const MOST: usize = 400;
    if text.chars().count() <= MOST {
        return text.to_owned();
    }
    text.chars().take(MOST).chain("…".chars()).collect()
}

/// Whether the trust policy does, or can be made to, let EKS Pod Identity in.
fn pod_identity(
    unit: &Unit<'_>,
    role: &RoleInfo,
    document: &Document,
    findings: &mut Vec<Finding>,
) {
    let Some(grant) = unit.grant() else {
        return;
    };
    if unit.settings.verify_trust {
        // What is missing may be added by the owner of the policy in this very run; what is denied will hardly be.
        verdict(role, analyze(document, &grant.pod()), true, findings);
        return;
    }
    let granted = match grant.add(document) {
        Ok(granted) => granted,
        Err(GrantError::ScopeNeedsSessionTags) => {
            let why = if unit.settings.disable_session_tags {
                "disable_session_tags turns session tags off"
            } else {
                "a session policy turns session tags off"
            };
            findings.push(Finding::new(
                Code::ScopeNeedsSessionTags,
                format!(
                    "The trust policy of {} would have to tell this service account from others by session tags, but {why}. Set \
                     trust.scope to \"cluster\", \"account\" or \"none\", or leave session tags on.",
                    role.arn
                ),
            ));
            verdict(role, analyze(document, &grant.pod()), true, findings);
            return;
        }
    };
    verdict(
        role,
        analyze(&granted.document, &grant.pod()),
        false,
        findings,
    );
    if granted.change.is_ours() {
        size(unit, role, document, &granted.document, &grant, findings);
        if let Some(deleted) = list(deleted_principals(document)) {
            findings.push(Finding::new(
                Code::TrustUncertain,
                format!(
                    "The trust policy of {} names principals that were deleted: {deleted}. IAM refuses to write it with them. Remove \
                     them first.",
                    role.arn
                ),
            ));
        }
        let problems = check_trust_policy(&granted.document, &grant.pod());
        for problem in problems
            .iter()
            .filter(|problem| !matches!(problem, Problem::NeverHolds(_)))
        {
            findings.push(Finding::new(
                Code::TrustUncertain,
                format!(
                    "IAM may refuse to update the trust policy of {}: {problem}. Correct that first.",
                    role.arn
                ),
            ));
        }
    }
}

fn verdict(role: &RoleInfo, verdict: Verdict, only_denials: bool, findings: &mut Vec<Finding>) {
    let (code, reasons) = match verdict {
        Verdict::Works => return,
        Verdict::CanNeverWork(reasons) => (Code::TrustDenied, reasons),
        Verdict::CannotTell(reasons) => (Code::TrustUncertain, reasons),
    };
    let is_denial = |reason: &&Reason| matches!(reason, Reason::ExplicitDeny { .. });
    let told: Vec<&Reason> = match code {
        Code::TrustDenied if only_denials => reasons.iter().filter(is_denial).collect(),
        _ => reasons.iter().collect(),
    };
    if told.is_empty() {
        return;
    }
    let why: Vec<String> = told.iter().map(ToString::to_string).collect();
    let mut advice: Vec<String> = Vec::new();
    for text in told.iter().map(|reason| reason.advice()) {
        if !advice.contains(&text) {
            advice.push(text);
        }
    }
    let what = if code == Code::TrustDenied {
        format!(
            "With the trust policy of {} pods can never get credentials from EKS Pod Identity",
            role.arn
        )
    } else {
        format!(
            "It is not certain that the trust policy of {} lets EKS Pod Identity in",
            role.arn
        )
    };
    findings.push(Finding::new(
        code,
        format!("{what}: {}. {}", why.join("; "), advice.join(" ")),
    ));
}

/// Where the quota of the account could not be read, the default is taken for it.
fn size(
    unit: &Unit<'_>,
    role: &RoleInfo,
    before: &Document,
    after: &Document,
    grant: &Grant,
    findings: &mut Vec<Finding>,
) {
    let size = document_size(after);
    let quota = unit.trust_quota.unwrap_or(TRUST_QUOTA_DEFAULT);
    if size <= quota {
        return;
    }
    let excess = size - quota;
    let whose = match unit.trust_quota {
        Some(_) => "quota of the account",
        None => "default quota",
    };
    let mut message = format!(
        "With the statement for this service account the trust policy of {} would have {size} characters (white space not \
         counted), {excess} more than the {whose} of {quota}.",
        role.arn
    );
    if let Some((scope, smaller)) = fitting(before, grant, quota) {
        message.push_str(&format!(
            " With trust.scope = \"{scope}\" it would have {smaller}."
        ));
    }
    message.push_str(
        " Remove statements that are not needed any more, or use a role per service account",
    );
    if size > TRUST_QUOTA_MAX {
        message.push_str(&format!(
            "; the quota cannot be raised beyond {TRUST_QUOTA_MAX}."
        ));
    } else if unit.trust_quota.is_some() {
        message.push_str(", or have the quota \"Role trust policy length\" (L-C07B4B0D) raised.");
    } else if document_size(before) > TRUST_QUOTA_DEFAULT {
        message.push_str(&format!(
            ". The quota was raised already: if to at least {size}, name trust_too_large in ignore_blockers."
        ));
    } else {
        message.push_str(
            ". If the account's quota \"Role trust policy length\" (L-C07B4B0D) is raised far enough, name trust_too_large in \
             ignore_blockers.",
        );
    }
    findings.push(Finding::new(Code::TrustTooLarge, message));
}

/// The narrowest wider scope with which the policy stays inside the quota.
fn fitting(before: &Document, grant: &Grant, quota: usize) -> Option<(Scope, usize)> {
    Scope::ALL
        .into_iter()
        .skip_while(|scope| *scope != grant.scope)
        .skip(1)
        .find_map(|scope| {
            let granted = Grant {
                scope,
                ..grant.clone()
            }
            .add(before)
            .ok()?;
            let size = document_size(&granted.document);
            (size <= quota).then_some((scope, size))
        })
}

/// Whether IRSA works today, and whom else its statements trust.
fn irsa(unit: &Unit<'_>, role: &RoleInfo, document: &Document, findings: &mut Vec<Finding>) {
    let issuer = unit.cluster.cluster.oidc_issuer.as_deref();
    let Some(issuer) = issuer.and_then(|issuer| OidcIssuer::parse(issuer).ok()) else {
        return;
    };
    let subject = Subject {
        issuer: issuer.clone(),
        namespace: unit.namespace_name.to_owned(),
        service_account: unit.service_account.to_owned(),
    };
    works_today(unit, role, document, &subject, findings);
    let mut patterns: BTreeMap<String, String> = BTreeMap::new();
    for trust in web_identity_trusts(document)
        .into_iter()
        .filter(|trust| issuer.is(&trust.provider.issuer))
    {
        let at = trust.statement.to_string();
        if trust.unconditioned {
            patterns
                .entry(format!(
                    "{} of the trust policy of {} trusts every service account of the cluster",
                    capitalised(&at),
                    role.arn
                ))
                .or_insert_with(|| "*".to_owned());
        }
        for pattern in trust
            .subjects
            .iter()
            .filter(|value| value.is_pattern && wildcard(&value.text, &subject.text()))
        {
            patterns
                .entry(format!(
                    "{} of the trust policy of {} trusts service accounts by the pattern {:?}",
                    capitalised(&at),
                    role.arn,
                    pattern.text
                ))
                .or_insert_with(|| pattern.text.clone());
        }
    }
    for (what, pattern) in patterns {
        let mut message = format!("{what}. ");
        if let Some(others) = matching(unit, role, &pattern) {
            message.push_str(&format!("It also matches {others}. "));
        }
        message.push_str(
            "Only this service account is migrated, and the statement stays as it is, also when trust is retired.",
        );
        findings.push(Finding::new(Code::WildcardSubject, message));
    }
}

/// The other service accounts that a pattern matches: those of the namespace, with and without the role's annotation, and those of
/// other namespaces that are known to share the role, be it by annotation or because its trust policy names them.
fn matching(unit: &Unit<'_>, role: &RoleInfo, pattern: &str) -> Option<String> {
    let matches = |namespace: &str, account: &str| {
        wildcard(
            pattern,
            &format!("system:serviceaccount:{namespace}:{account}"),
        )
    };
    let (with, without): (Vec<_>, Vec<_>) = unit
        .namespace
        .service_accounts
        .values()
        .filter(|account| account.name != unit.service_account)
        .filter(|account| matches(unit.namespace_name, &account.name))
        .partition(|account| account.role_arn() == Some(&role.arn));
    let names = |accounts: Vec<&ServiceAccountFacts>| {
        list(
            accounts
                .into_iter()
                .map(|account| format!("{}/{}", unit.namespace_name, account.name)),
        )
    };
    let elsewhere = unit.sharing.iter().filter(|name| {
        name.split_once('/').is_some_and(|(namespace, account)| {
            namespace != unit.namespace_name && matches(namespace, account)
        })
    });
    let parts: Vec<String> = [
        names(with).map(|names| format!("{names} with the role's annotation")),
        names(without).map(|names| format!("{names} without the role's annotation")),
        list(elsewhere.cloned())
            .map(|names| format!("in other namespaces {names}, which share the role")),
    ]
    .into_iter()
    .flatten()
    .collect();
    (!parts.is_empty()).then(|| parts.join("; "))
}

/// Whether there is a way back: IRSA as it is today. What a migration has retired is no news.
fn works_today(
    unit: &Unit<'_>,
    role: &RoleInfo,
    document: &Document,
    subject: &Subject,
    findings: &mut Vec<Finding>,
) {
    let Some(account) = unit.account() else {
        return;
    };
    if unit.is_cut_over() || account.role_arn() != Some(&role.arn) {
        return;
    }
    let name = format!("{}/{}", unit.namespace_name, unit.service_account);
    let no_way_back = "The migration does not need it, but there is nothing to go back to.";
    if unit.cluster.oidc_provider == Some(false) {
        findings.push(Finding::new(
            Code::IrsaNotWorking,
            format!(
                "The account has no IAM OIDC provider for the issuer {} of the cluster, so IRSA does not work today. {no_way_back}",
                subject.issuer.name()
            ),
        ));
    }
    let mut elsewhere: BTreeSet<String> = BTreeSet::new();
    let mut here = false;
    for trust in web_identity_trusts(document) {
        if subject.issuer.is(&trust.provider.issuer) {
            here = true;
        } else if OidcIssuer::parse(&trust.provider.issuer).is_ok_and(|issuer| issuer.is_eks()) {
            elsewhere.insert(trust.provider.issuer);
        }
    }
    if !here && let Some(elsewhere) = list(elsewhere) {
        findings.push(Finding::new(
            Code::OtherIssuer,
            format!(
                "The trust policy of {} trusts {elsewhere}, but the issuer of this cluster is {}, so IRSA does not work for {name} \
                 today. Check that this is the right role and cluster.",
                role.arn,
                subject.issuer.name()
            ),
        ));
        return;
    }
    let audience = account.audience().unwrap_or(STS_AUDIENCE);
    if subject.access(document, Some(audience)) == Access::NotAllowed {
        let text = subject.text();
        let literal = web_identity_trusts(document)
            .into_iter()
            .filter(|trust| subject.issuer.is(&trust.provider.issuer))
            .flat_map(|trust| trust.subjects)
            .find(|value| !value.is_pattern && wildcard(&value.text, &text))
            .map(|value| {
                format!(
                    " Its operator takes no wildcards, so {:?} names nobody: StringLike does.",
                    value.text
                )
            })
            .unwrap_or_default();
        findings.push(Finding::new(
            Code::IrsaNotWorking,
            format!(
                "The trust policy of {} does not let {name} in by IRSA today (audience {audience}).{literal} Check that this is \
                 the right role. {no_way_back}",
                role.arn
            ),
        ));
    }
}

/// Tags that tell who manages a role. Some tools write the tag themselves, for others it is a custom of their users.
fn managed_elsewhere(unit: &Unit<'_>, role: &RoleInfo, findings: &mut Vec<Finding>) {
    // If somebody else writes the trust policy anyway, nothing of ours can be undone.
    if unit.settings.verify_trust || !changes_trust(unit, role) {
        return;
    }
    let Some(manager) = manager(&role.tags) else {
        return;
    };
    findings.push(Finding::new(
        Code::RoleManagedElsewhere,
        format!(
            "By its tags, the role {} is managed by {manager}, which may undo what the migration adds to its trust policy. Add the \
             statement there and set trust = {{ mode = \"verify\" }}; the function merge_trust_policy gives the policy.",
            role.arn
        ),
    ));
}

/// Whether the migration writes, or has written, the trust policy.
fn changes_trust(unit: &Unit<'_>, role: &RoleInfo) -> bool {
    if unit.settings.retire_trust {
        return true;
    }
    let granted = Document::parse(&role.assume_role_policy)
        .ok()
        .zip(unit.grant())
        .and_then(|(document, grant)| grant.add(&document).ok());
    !matches!(
        granted.map(|granted| granted.change),
        Some(GrantChange::Covered { ours: false, .. })
    )
}

fn manager(tags: &BTreeMap<String, String>) -> Option<String> {
    const STACK: &str = "aws:cloudformation:stack-name";
    const EKSCTL: [&str; 2] = [
        "alpha.eksctl.io/cluster-name",
        "eksctl.cluster.k8s.io/v1alpha1/cluster-name",
    ];
    const TOOLS: [&str; 7] = [
        "terraform",
        "opentofu",
        "terragrunt",
        "pulumi",
        "crossplane",
        "cloudformation",
        "cdk",
    ];
    if let Some(key) = EKSCTL.iter().find(|key| tags.contains_key(**key)) {
        let stack = tags.get(STACK).map_or_else(String::new, |stack| {
            format!(", CloudFormation stack {stack}")
        });
        return Some(format!("eksctl (tag {key}{stack})"));
    }
    if let Some(stack) = tags.get(STACK) {
        return Some(format!("the CloudFormation stack {stack}"));
    }
    if tags.contains_key("crossplane-kind") {
        return Some("Crossplane (tag crossplane-kind)".to_owned());
    }
    tags.iter().find_map(|(key, value)| {
        let letters = |text: &str| {
            text.chars()
                .filter(char::is_ascii_alphanumeric)
                .collect::<String>()
                .to_ascii_lowercase()
        };
        let (plain_key, plain_value) = (letters(key), letters(value));
        let by_value = matches!(
            plain_key.as_str(),
            "managedby"
                | "createdby"
                | "provisionedby"
                | "provisioner"
                | "deployedby"
                | "iac"
                | "tool"
        ) && TOOLS.iter().any(|tool| plain_value.contains(tool));
        let by_key = TOOLS.contains(&plain_key.as_str())
            && !matches!(plain_value.as_str(), "false" | "no" | "0");
        (by_value || by_key).then(|| format!("{} (tag {key})", if by_value { value } else { key }))
    })
}
