//! The trust policy of a role: adding EKS Pod Identity, ending IRSA, and both ways back.
//!
//! Every function reads the role anew, changes as little as possible and leaves the rest of the document as it was
//! written, writes only if something is left to change, and returns when IAM shows the change. Several may work on one
//! role at the same time, in one process or in many: see [`settle`].

mod settle;

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_iam::config::retry::RetryConfig;
use tokio::time::Instant;

use crate::aws::retry::human_duration;
use crate::aws::{self, AwsError, AwsErrorKind, RoleInfo};
use crate::framework::{Context, Diagnostic};
use crate::policy::check::deleted_principals;
use crate::policy::grant::GrantError;
use crate::policy::irsa::Remaining;
use crate::policy::size::{TRUST_QUOTA_DEFAULT, TRUST_QUOTA_MAX, document_size};
use crate::policy::{Document, Grant, GrantChange, Granted, Scope, Subject, Verdict, analyze};
use crate::provider::ProviderData;

pub use settle::{RoleLocks, RoleState};

use settle::{Decision, Failure, Settled, Store, Sure};

const CHANGING: &str = "Changing trust policy of IAM role";
const READING: &str = "Reading IAM role";
const NOT_TRUSTED: &str = "Role does not trust EKS Pod Identity";

/// How long somebody else's write of a trust policy may take to show up.
const PROPAGATION: Duration = Duration::from_secs(30);

/// What [`grant`] did.
#[derive(Clone, Debug, PartialEq)]
pub struct Granting {
    /// The trust policy before: the document that was replaced, or that is there if nothing had to be done.
    pub before: String,
    /// The trust policy that IAM shows now.
    pub after: String,
    /// What changed. After a repetition that found everything done: `Covered`.
    pub change: GrantChange,
    /// When it was written, for [`hold`]; `None` if nothing had to be done.
    pub written: Option<Instant>,
}

impl From<Settled<GrantChange>> for Granting {
    fn from(settled: Settled<GrantChange>) -> Self {
        Self {
            before: settled.before,
            after: settled.after,
            change: settled.told,
            written: settled.written,
        }
    }
}

/// What [`revoke`] or [`restore`] did.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Reverting {
    /// The trust policy before; empty if there is no role any more.
    pub before: String,
    /// The trust policy that IAM shows now; empty if there is no role any more.
    pub after: String,
    /// Whether anything had to be changed.
    pub changed: bool,
}

/// What [`retire`] did.
#[derive(Clone, Debug, PartialEq)]
pub struct Retiring {
    /// The trust policy before, which [`restore`] takes; after a repetition that found everything done, the present one.
    pub before: String,
    /// The trust policy that IAM shows now.
    pub after: String,
    /// Whether anything had to be changed.
    pub changed: bool,
    /// Statements that still trust the subject, because it cannot be taken out of them alone.
    pub remaining: Vec<Remaining>,
}

/// The role as IAM has it now; `None` if there is none.
///
/// # Errors
/// What IAM answers.
pub async fn current(
    context: &Context<ProviderData>,
    role_name: &str,
) -> Result<Option<Arc<RoleInfo>>, Diagnostic> {
    context
        .provider
        .read_role(&context.cancel, role_name)
        .await
        .map_err(|error| {
            error.into_diagnostic(
                READING,
                &format!("The IAM role {role_name:?} could not be read."),
                "",
            )
        })
}

/// Makes a role trust EKS Pod Identity for a service account, unless it does already. Statements of `former` grants, which
/// are to go later, do not count.
///
/// # Errors
/// The role is gone, its trust policy cannot be read, the grant cannot be expressed, IAM refuses the document (size,
/// permission, form), or others kept replacing it for all of `timeout`.
pub async fn grant(
    context: &Context<ProviderData>,
    role_name: &str,
    grant: &Grant,
    former: &[Grant],
    timeout: Duration,
) -> Result<Granting, Diagnostic> {
    let add = |document: &Document| grant.add_beside(former, document);
    granted(context, role_name, grant, Sure::default(), timeout, add).await
}

/// As [`grant()`], once a write of it has stood for `apart` without others writing: to be called before pods come to depend
/// on it. `written` is when an earlier call wrote it; the time since then counts.
///
/// # Errors
/// As [`grant()`].
pub async fn hold(
    context: &Context<ProviderData>,
    role_name: &str,
    grant: &Grant,
    former: &[Grant],
    written: Option<Instant>,
    apart: Duration,
    timeout: Duration,
) -> Result<Granting, Diagnostic> {
    let sure = Sure { apart, written };
    let add = |document: &Document| grant.add_beside(former, document);
    granted(context, role_name, grant, sure, timeout, add).await
}

/// Takes the statements of former grants for the same service account away; `grant` is there afterwards.
///
/// # Errors
/// As [`grant()`].
pub async fn replace(
    context: &Context<ProviderData>,
    role_name: &str,
    grant: &Grant,
    former: &[Grant],
    timeout: Duration,
) -> Result<Granting, Diagnostic> {
    let replace = |document: &Document| grant.replace(former, document);
    granted(context, role_name, grant, Sure::default(), timeout, replace).await
}

async fn granted(
    context: &Context<ProviderData>,
    role_name: &str,
    grant: &Grant,
    sure: Sure,
    timeout: Duration,
    change: impl Fn(&Document) -> Result<Granted, GrantError> + Send + Sync,
) -> Result<Granting, Diagnostic> {
    settled(context, role_name, timeout, sure, |document| {
        let granted = change(document).map_err(|error| {
            Diagnostic::error(CHANGING, format!("The role {role_name:?} is not changed: {error}.")).at("trust")
        })?;
        let next = (granted.document != *document).then_some(granted.document);
        Ok((next, granted.change))
    })
    .await
    .map(Granting::from)
    .map_err(|failure| {
        describe(
            failure,
            role_name,
            timeout,
            &format!(
                "The trust policy of the IAM role {role_name:?} does not let EKS Pod Identity in for the service account \
                 {:?} in the namespace {:?} as it should, and that could not be changed.",
                grant.service_account, grant.namespace
            ),
        )
    })
}

/// Takes away what [`grant()`] added for a service account, and nothing else. A role that is gone has nothing to take away.
///
/// With a scope wider than the service account a statement serves others too: it stays while `is_needed` says so, which is
/// asked right before every write.
///
/// # Errors
/// As [`grant()`].
pub async fn revoke(
    context: &Context<ProviderData>,
    role_name: &str,
    grants: &[Grant],
    is_needed: &(dyn Fn() -> bool + Sync),
    timeout: Duration,
) -> Result<Reverting, Diagnostic> {
    let settled = settled(context, role_name, timeout, Sure::default(), |document| {
        let next = grants
            .iter()
            .filter(|grant| grant.scope == Scope::ServiceAccount || !is_needed())
            .fold(document.clone(), |rest, grant| grant.remove(&rest).0);
        Ok(((next != *document).then_some(next), ()))
    })
    .await;
    match settled {
        Ok(settled) => Ok(Reverting::from(settled)),
        Err(Failure::Gone) => Ok(Reverting::default()),
        Err(failure) => Err(describe(
            failure,
            role_name,
            timeout,
            &format!(
                "The statement for EKS Pod Identity{} was not taken out of the trust policy of the IAM role {role_name:?}. It \
                 is harmless without an association.",
                grants.first().map_or_else(String::new, |grant| format!(
                    " of the service account {:?} in the namespace {:?}",
                    grant.service_account, grant.namespace
                ))
            ),
        )),
    }
}

/// Ends the trust of a role in the IRSA subject of a service account, as far as that can be done exactly.
///
/// To be called last: pods that still use IRSA lose their credentials. The trust policy must be kept before, for [`restore`].
/// Whoever else writes the policy may have taken EKS Pod Identity out of it a moment ago, so the very document that is
/// written must let it in by `grant`.
///
/// # Errors
/// EKS Pod Identity would not be let in; otherwise as [`grant()`].
pub async fn retire(
    context: &Context<ProviderData>,
    role_name: &str,
    subject: &Subject,
    grant: &Grant,
    timeout: Duration,
) -> Result<Retiring, Diagnostic> {
    let settled = settled(context, role_name, timeout, Sure::default(), |document| {
        let retired = subject.retire(document);
        if retired.removed.is_empty() {
            return Ok((None, retired.remaining));
        }
        if !lets_in(&retired.document, grant) {
            return Err(last_way(role_name, subject, grant));
        }
        Ok((Some(retired.document), retired.remaining))
    })
    .await
    .map_err(|failure| {
        describe(
            failure,
            role_name,
            timeout,
            &format!(
                "The subject {} was not taken out of the trust policy of the IAM role {role_name:?}. Pods are on Pod \
                 Identity already, so they are not affected.",
                subject.text()
            ),
        )
    })?;
    Ok(Retiring {
        changed: settled.wrote(),
        before: settled.before,
        after: settled.after,
        remaining: settled.told,
    })
}

/// Whether a document lets EKS Pod Identity in for certain.
fn lets_in(document: &Document, grant: &Grant) -> bool {
    let covered = grant
        .add(document)
        .is_ok_and(|granted| !granted.change.is_ours());
    covered && !matches!(analyze(document, &grant.pod()), Verdict::CanNeverWork(_))
}

/// The refusal to take away the only trust that works.
fn last_way(role_name: &str, subject: &Subject, grant: &Grant) -> Diagnostic {
    Diagnostic::error(
        CHANGING,
        format!(
            "The trust policy of the IAM role {role_name:?} does not let EKS Pod Identity in for the service account {:?} in the \
             namespace {:?} any more: something else has written it. So {} is not taken out of it, and pods have credentials \
             by IRSA.\n\nFind what else writes this trust policy: another Terraform configuration, a controller, a script. Then \
             run again.",
            grant.service_account,
            grant.namespace,
            subject.text()
        ),
    )
    .at("trust")
}

/// Puts back what [`retire`] took out of `before`, unless somebody has let the subject in again since. Whatever else changed
/// stays as it is. A role that is gone has nothing to be put back into.
///
/// `audience` is that of the service account's tokens.
///
/// # Errors
/// `before` is not a policy document; otherwise as [`grant()`].
pub async fn restore(
    context: &Context<ProviderData>,
    role_name: &str,
    subject: &Subject,
    before: &str,
    audience: &str,
    timeout: Duration,
) -> Result<Reverting, Diagnostic> {
    let saved = Document::parse(before).map_err(|error| {
        Diagnostic::error(
            CHANGING,
            format!(
                "The trust policy that the IAM role {role_name:?} had before its trust in {} was taken away is kept on the \
                 service account, but cannot be read: {error}. Put the statement for the cluster's OIDC provider back by \
                 hand, and run again.",
                subject.text()
            ),
        )
    })?;
    let settled = settled(context, role_name, timeout, Sure::default(), |document| {
        let next = subject
            .is_missing(&saved, document, Some(audience))
            .then(|| subject.restore(&saved, document));
        Ok((next.filter(|next| next != document), ()))
    })
    .await;
    match settled {
        Ok(settled) => Ok(Reverting::from(settled)),
        Err(Failure::Gone) => Ok(Reverting::default()),
        Err(failure) => Err(describe(
            failure,
            role_name,
            timeout,
            &format!(
                "The subject {} was not put back into the trust policy of the IAM role {role_name:?}, so the migration is \
                 not rolled back. Pods keep using Pod Identity.",
                subject.text()
            ),
        )),
    }
}

/// For `trust.mode = "verify"`: checks that a role trusts EKS Pod Identity for a service account, whoever saw to that. A
/// write of a moment ago is waited for, at most `timeout` and no longer than IAM takes.
///
/// # Errors
/// The role is gone, cannot be read, or does not trust; the detail has the statement to add.
pub async fn verify(
    context: &Context<ProviderData>,
    role_name: &str,
    grant: &Grant,
    timeout: Duration,
) -> Result<Granting, Diagnostic> {
    let timeout = timeout.min(PROPAGATION);
    let look = || async {
        let store = Role {
            context,
            name: role_name,
        };
        let text = store
            .read()
            .await
            .map_err(Failure::from)?
            .ok_or(Failure::Gone)?;
        let document = Document::parse(&text).map_err(Failure::Unreadable)?;
        Ok::<_, Failure>((text, document))
    };
    let failed = |failure| {
        describe(
            failure,
            role_name,
            timeout,
            &format!(
                "Whether the IAM role {role_name:?} trusts EKS Pod Identity could not be told."
            ),
        )
    };
    let deadline = tokio::time::Instant::now() + timeout;
    for count in 0.. {
        let (text, document) = look().await.map_err(failed)?;
        let granted = grant.add(&document);
        if let Ok(granted) = &granted
            && !granted.change.is_ours()
        {
            return Ok(Granting {
                before: text.clone(),
                after: text,
                change: granted.change.clone(),
                written: None,
            });
        }
        let pause = aws::retry::Schedule::EVENTUAL_CONSISTENCY.jittered(count);
        if tokio::time::Instant::now() + pause >= deadline {
            return Err(not_trusted(role_name, grant, &document));
        }
        tokio::select! {
            biased;
            () = context.cancel.cancelled() => return Err(failed(AwsError::cancelled().into())),
            () = tokio::time::sleep(pause) => {}
        }
    }
    unreachable!("the loop counts without end")
}

/// What to do about a trust policy that somebody else writes.
fn not_trusted(role_name: &str, grant: &Grant, document: &Document) -> Diagnostic {
    let mut detail = format!(
        "The trust policy of the IAM role {role_name:?} does not let EKS Pod Identity in for the service account {:?} in the \
         namespace {:?} of the cluster {:?}, and with trust.mode = \"verify\" it is not this resource's to change.",
        grant.service_account, grant.namespace, grant.cluster.name
    );
    match grant.add(document) {
        Ok(granted) => {
            let sid = match &granted.change {
                GrantChange::Added { sid } | GrantChange::Merged { sid } => sid.as_str(),
                GrantChange::Covered { .. } => "",
            };
            let statement = granted
                .document
                .statements()
                .iter()
                .find(|statement| statement.sid() == Some(sid));
            if let Some(statement) = statement {
                let json: serde_json::Value = statement.members().clone().into();
                detail.push_str(&format!(
                    "\n\nIts trust policy needs this statement:\n\n{json:#}\n\nWhere Terraform manages the role, the function \
                     provider::podidentity::merge_trust_policy adds it to the document of its assume_role_policy. Otherwise \
                     set trust.mode = \"manage\", and this resource adds it."
                ));
            }
        }
        Err(error) => detail.push_str(&format!("\n\nNo statement can express it: {error}.")),
    }
    Diagnostic::error(NOT_TRUSTED, detail).at("trust")
}

impl<T> From<Settled<T>> for Reverting {
    fn from(settled: Settled<T>) -> Self {
        Self {
            changed: settled.wrote(),
            before: settled.before,
            after: settled.after,
        }
    }
}

async fn settled<T: Send>(
    context: &Context<ProviderData>,
    role_name: &str,
    timeout: Duration,
    sure: Sure,
    decide: impl Fn(&Document) -> Decision<T> + Send + Sync,
) -> Result<Settled<T>, Failure> {
    let store = Role {
        context,
        name: role_name,
    };
    let lock = context.provider.role_locks().of(role_name);
    let result = settle::settle(&store, &lock, &context.cancel, timeout, sure, decide).await;
    if result.is_err() {
        // Whatever was read before may not be true any more.
        context.provider.forget_role(role_name);
    }
    result
}

/// The trust policy of a role in IAM.
struct Role<'a> {
    context: &'a Context<ProviderData>,
    name: &'a str,
}

impl Store for Role<'_> {
    async fn read(&self) -> Result<Option<String>, AwsError> {
        // Whatever is read is what the rest of this run shall know of the role.
        let role = self
            .context
            .provider
            .read_role(&self.context.cancel, self.name)
            .await?;
        Ok(role.map(|role| role.assume_role_policy.clone()))
    }

    async fn write(&self, document: &str) -> Result<(), AwsError> {
        let call = self
            .context
            .provider
            .iam()?
            .update_assume_role_policy()
            .role_name(self.name)
            .policy_document(document)
            .customize()
            // A retry of the SDK would send the same document after others may have changed the role.
            .config_override(
                aws_sdk_iam::config::Builder::new().retry_config(RetryConfig::disabled()),
            )
            .send();
        aws::write(&self.context.cancel, call).await.map(drop)
    }
}

/// The diagnostic of a failure. `what` is what it means for the user, in sentences.
fn describe(failure: Failure, role_name: &str, timeout: Duration, what: &str) -> Diagnostic {
    match failure {
        Failure::Refused(diagnostic) => diagnostic,
        Failure::Gone => Diagnostic::error(
            CHANGING,
            format!(
                "{what}\n\nThere is no IAM role {role_name:?} in this account. Create it, or correct the role: the annotation \
                 eks.amazonaws.com/role-arn of the service account, or role_arn."
            ),
        ),
        Failure::Unreadable(error) => Diagnostic::error(
            CHANGING,
            format!("{what}\n\nThe trust policy it has cannot be read: {error}."),
        ),
        Failure::Empty => Diagnostic::error(
            CHANGING,
            format!(
                "{what}\n\nNothing else is in that trust policy, and IAM does not accept one without statements. Delete the \
                 role if nobody needs it any more, or give it the trust it is to have."
            ),
        ),
        Failure::Unsettled { writes, last_error } => {
            let mut detail = format!("{what}\n\n");
            match last_error {
                Some(error) => detail.push_str(&format!(
                    "It was tried for {}, and IAM answered last: {}",
                    human_duration(timeout),
                    error.explanation()
                )),
                None if writes > 0 => detail.push_str(&format!(
                    "It was written {writes} times in {}, and each time something else replaced it or IAM did not show it. \
                     Find what else writes this trust policy: another Terraform configuration, a controller, a script.",
                    human_duration(timeout)
                )),
                None => detail.push_str(&format!(
                    "Other changes of the same role took all of {}.",
                    human_duration(timeout)
                )),
            }
            detail.push_str("\n\nRun again to continue.");
            Diagnostic::error(CHANGING, detail)
        }
        Failure::Call { error, write } => {
            let next = write.map_or_else(String::new, |documents| {
                let (before, after) = *documents;
                advice(&error, &before, &after)
            });
            error.into_diagnostic(CHANGING, what, &next)
        }
    }
}

/// What to do about a document that IAM refused.
fn advice(error: &AwsError, before: &Document, after: &Document) -> String {
    match (error.code(), error.kind()) {
        (_, AwsErrorKind::QuotaExceeded) => format!(
            "The trust policy has {} characters without white space and would have {}. IAM allows {TRUST_QUOTA_DEFAULT} unless \
             the quota \"Role trust policy length\" (L-C07B4B0D) was raised, at most to {TRUST_QUOTA_MAX}. Raise it, remove \
             statements that are not needed any more, or choose a trust.scope that serves several service accounts with one \
             statement.",
            document_size(before),
            document_size(after)
        ),
        (Some("MalformedPolicyDocument"), _) => {
            let orphans = deleted_principals(before);
            if orphans.is_empty() {
                "What is there besides was left as it is; IAM checks the whole document anew whenever it is written.".to_owned()
            } else {
                format!(
                    "The trust policy names principals that were deleted: {}. IAM does not accept them any more when the document \
                     is written. Remove them from the trust policy first.",
                    orphans.join(", ")
                )
            }
        }
        (Some("UnmodifiableEntity"), _) => {
            "A service-linked role belongs to an AWS service and its trust policy cannot be changed. Give the service account a \
             role of its own.".to_owned()
        }
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests;
