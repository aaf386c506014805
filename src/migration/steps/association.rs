//! The association of a service account: its creation is what switches new pods over, its deletion what switches them back.
//!
//! An association that a migration created carries the tag [`MIGRATION_TAG`]; only such are changed or deleted. The tag's
//! value is a token of the object in a Terraform state that works with it: whoever goes on with the association of another
//! writes its own, and that other one leaves it alone from then on. The calls themselves, and what they wait for, are those
//! of `podidentity_association`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_eks::types::PodIdentityAssociation;
use futures_util::{StreamExt, stream};
use sha2::{Digest, Sha256};
use tokio::time::Instant;

use crate::aws::retry::Schedule;
use crate::aws::wait::{Progress, poll};
use crate::aws::{self, AwsError, AwsErrorKind};
use crate::framework::{Context, Diagnostic};
use crate::migration::facts::{AssociationFacts, MIGRATION_TAG};
use crate::policy::equivalent_arns;
use crate::provider::ProviderData;
use crate::resources::association::api;
use crate::resources::tags;

pub use crate::resources::association::api::Wanted;

const CREATING: &str = "Creating EKS Pod Identity association";
const UPDATING: &str = "Updating EKS Pod Identity association";
const DELETING: &str = "Deleting EKS Pod Identity association";

/// Associations described at the same time.
const CONCURRENT_DESCRIBES: usize = 8;
/// Associations of one page, the most that EKS allows.
const PAGE: i32 = 100;
/// How long a new association may be missing before it is taken for one that was deleted earlier.
const APPEARS: Duration = Duration::from_secs(8);

/// What a list tells of an association: neither role nor settings nor tags.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct AssociationSummary {
    /// `a-…`.
    pub id: String,
    /// Its ARN.
    pub arn: String,
    /// Namespace of the service account.
    pub namespace: String,
    /// Name of the service account.
    pub service_account: String,
    /// The add-on that owns it, if any.
    pub owner_arn: Option<String>,
}

/// How [`delete`] ended.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Deletion {
    /// It was deleted, and EKS shows it no longer.
    Deleted,
    /// There was none any more.
    AlreadyGone,
    /// It is not the migration's, so it stays. A sentence says why.
    Kept(String),
}

/// The association of a service account as EKS has it now; `None` if there is none.
///
/// # Errors
/// What EKS answers.
pub async fn find(
    context: &Context<ProviderData>,
    cluster: &str,
    namespace: &str,
    service_account: &str,
) -> Result<Option<AssociationFacts>, AwsError> {
    match api::find(context, cluster, namespace, service_account).await? {
        Some(id) => describe(context, cluster, &id).await,
        None => Ok(None),
    }
}

/// An association by its id; `None` if there is none.
///
/// # Errors
/// What EKS answers.
pub async fn describe(
    context: &Context<ProviderData>,
    cluster: &str,
    id: &str,
) -> Result<Option<AssociationFacts>, AwsError> {
    Ok(look(context, cluster, id).await?.as_ref().map(facts))
}

/// All associations of a cluster, one call for each 100 of them and once per process.
///
/// That, for each service account, there is one and whose it is, is all that an inventory needs for `migratable`; the
/// role takes a description of each, so ask [`describe_all`] for those that are shown, not for all.
///
/// # Errors
/// What EKS answers.
pub async fn list(
    context: &Context<ProviderData>,
    cluster: &str,
) -> Result<Arc<Vec<AssociationSummary>>, AwsError> {
    context
        .provider
        .association_lists()
        .get(cluster.to_owned(), || async {
            let mut all = Vec::new();
            let mut next_token = None;
            loop {
                let call = context
                    .provider
                    .eks()?
                    .list_pod_identity_associations()
                    .cluster_name(cluster)
                    .max_results(PAGE)
                    .set_next_token(next_token)
                    .send();
                let page = aws::read(&context.cancel, call).await?;
                let text = |value: Option<String>| value.unwrap_or_default();
                all.extend(page.associations.into_iter().flatten().map(|summary| {
                    AssociationSummary {
                        id: text(summary.association_id),
                        arn: text(summary.association_arn),
                        namespace: text(summary.namespace),
                        service_account: text(summary.service_account),
                        owner_arn: summary.owner_arn.filter(|owner| !owner.is_empty()),
                    }
                }));
                next_token = page.next_token.filter(|token| !token.is_empty());
                if next_token.is_none() {
                    return Ok(Arc::new(all));
                }
            }
        })
        .await
}

/// Associations by their ids, a few calls at a time. Those that are gone meanwhile are left out.
///
/// # Errors
/// What EKS answers.
pub async fn describe_all(
    context: &Context<ProviderData>,
    cluster: &str,
    ids: impl IntoIterator<Item = String>,
) -> Result<BTreeMap<String, AssociationFacts>, AwsError> {
    let looks = ids.into_iter().map(|id| async move {
        let found = describe(context, cluster, &id).await?;
        Ok::<_, AwsError>(found.map(|facts| (id, facts)))
    });
    let mut looks = stream::iter(looks).buffer_unordered(CONCURRENT_DESCRIBES);
    let mut all = BTreeMap::new();
    while let Some(found) = looks.next().await {
        all.extend(found?);
    }
    Ok(all)
}

/// Creates the association of a service account, or finds that an earlier run has. This is the cut-over: every check
/// comes before.
///
/// The request carries a token made of what is wanted, so that EKS takes a repetition for the same request. A later creation
/// has another `owner`, the token of the object that the association will belong to, so it is another request: it meets the
/// association of the earlier one, and goes on with it. Role and trust policy are waited for as long as EKS does not see
/// them.
///
/// # Errors
/// What EKS refuses; an association that is there and is not the migration's, or not for this role, or does not show.
pub async fn create(
    context: &Context<ProviderData>,
    wanted: &Wanted,
    owner: &str,
    timeout: Duration,
) -> Result<AssociationFacts, Diagnostic> {
    let deadline = Instant::now() + timeout;
    let mut wanted = marked(wanted, owner);
    wanted.client_request_token = Some(token(&wanted));
    let mut result = api::create(context, &wanted, timeout).await;
    let is_of_the_past = match &result {
        Ok(created) => match confirm(context, &wanted.cluster, created).await {
            Ok(Some(facts)) => return Ok(facts),
            Ok(None) => true,
            // It was created; that it cannot be looked at does not change that.
            Err(error) => {
                tracing::warn!(%error, "the new association could not be read back");
                return Ok(facts(created));
            }
        },
        Err(error) => is_about_token(error),
    };
    if is_of_the_past {
        // EKS remembers the token from an association that was deleted since.
        wanted.client_request_token = None;
        let left = deadline
            .saturating_duration_since(Instant::now())
            .max(APPEARS);
        result = api::create(context, &wanted, left).await;
    }
    match result {
        Ok(created) => Ok(facts(&created)),
        Err(error) if error.code() == Some(api::IN_USE) => {
            met(context, &wanted, owner, &error, timeout).await
        }
        Err(error) => Err(not_created(&wanted, &error)),
    }
}

/// Gives an association of the migration to the object with this token, and says whether it has it now: not if it is gone,
/// or not the migration's.
///
/// # Errors
/// What EKS refuses.
pub async fn claim(
    context: &Context<ProviderData>,
    cluster: &str,
    id: &str,
    owner: &str,
) -> Result<bool, Diagnostic> {
    let failed = |error: AwsError| {
        error.into_diagnostic(
            UPDATING,
            &format!(
                "The association {id} of the cluster {cluster:?} is there from an earlier run. Its tag {MIGRATION_TAG} is to \
                 say that this one goes on with it, which failed. Nothing else was changed."
            ),
            "",
        )
    };
    let Some(existing) = describe(context, cluster, id).await.map_err(failed)? else {
        return Ok(false);
    };
    if not_ours(&existing).is_some() {
        return Ok(false);
    }
    let tag = |value: Option<&str>| {
        value
            .map(|value| (MIGRATION_TAG.to_owned(), value.to_owned()))
            .into_iter()
            .collect()
    };
    let (from, to) = (tag(existing.token()), tag(Some(owner)));
    tags::change_eks(context, &existing.arn, &from, &to)
        .await
        .map_err(failed)?;
    Ok(true)
}

/// Brings an association of the migration to what is wanted: settings and tags. Nothing is sent when nothing differs.
///
/// # Errors
/// It is gone, or is not the migration's; what EKS refuses.
pub async fn update(
    context: &Context<ProviderData>,
    id: &str,
    wanted: &Wanted,
    owner: &str,
    timeout: Duration,
) -> Result<AssociationFacts, Diagnostic> {
    let object = format!("{} keeps the association {id} as it is.", wanted.describe());
    let failed = |error: &AwsError| {
        let next = pass_role(error, &wanted.role_arn);
        error.into_diagnostic(UPDATING, &object, &next)
    };
    let existing = look(context, &wanted.cluster, id)
        .await
        .map_err(|error| failed(&error))?;
    let Some(existing) = existing else {
        return Err(Diagnostic::error(
            UPDATING,
            format!(
                "The association {id} of the cluster {:?} does not exist any more. Run again to create it anew.",
                wanted.cluster
            ),
        ));
    };
    if let Some(why) = not_ours(&facts(&existing)) {
        return Err(Diagnostic::error(UPDATING, format!("{object} {why}")));
    }
    let updated = api::update(context, &existing, &marked(wanted, owner), timeout)
        .await
        .map_err(|error| failed(&error))?;
    Ok(facts(&updated))
}

/// Deletes an association if it is the migration's and still for the role that it was read with, and waits until EKS
/// shows it no longer.
///
/// # Errors
/// What EKS refuses; it is still shown after `timeout`.
pub async fn delete(
    context: &Context<ProviderData>,
    cluster: &str,
    association: &AssociationFacts,
    timeout: Duration,
) -> Result<Deletion, Diagnostic> {
    let id = &association.id;
    let failed = |error: AwsError| {
        error.into_diagnostic(
            DELETING,
            &format!(
                "The association {id} of the cluster {cluster:?} was not deleted for certain. As long as it is there, new \
                 pods use Pod Identity."
            ),
            "",
        )
    };
    let deadline = Instant::now() + timeout;
    let Some(existing) = look(context, cluster, id).await.map_err(failed)? else {
        return Ok(Deletion::AlreadyGone);
    };
    let (namespace, service_account) = (
        existing.namespace().unwrap_or_default().to_owned(),
        existing.service_account().unwrap_or_default().to_owned(),
    );
    let existing = facts(&existing);
    if let Some(why) = not_ours(&existing) {
        return Ok(Deletion::Kept(why));
    }
    if existing.token() != association.token() {
        return Ok(Deletion::Kept(
            "Another object of a Terraform state has gone on with it since it was read.".to_owned(),
        ));
    }
    if !equivalent_arns(&existing.role_arn, &association.role_arn) {
        return Ok(Deletion::Kept(format!(
            "It is for the role {} now, not for {} as when it was read: somebody changed it.",
            existing.role_arn, association.role_arn
        )));
    }
    match api::delete(context, cluster, id, timeout).await {
        Ok(()) => {}
        Err(error) if error.is_not_found() => {}
        Err(error) => return Err(failed(error)),
    }
    context.provider.associations().delete(id);
    let left = deadline
        .saturating_duration_since(Instant::now())
        .max(APPEARS);
    poll(&context.cancel, left, Schedule::STATUS, || async {
        if look(context, cluster, id).await?.is_some() {
            return Ok(Progress::Pending("still described".to_owned()));
        }
        match api::find(context, cluster, &namespace, &service_account).await? {
            Some(listed) if listed == *id => Ok(Progress::Pending("still listed".to_owned())),
            _ => Ok(Progress::Done(())),
        }
    })
    .await
    .map_err(failed)?;
    Ok(Deletion::Deleted)
}

/// What EKS tells of an association.
#[must_use]
pub fn facts(association: &PodIdentityAssociation) -> AssociationFacts {
    let text = |value: Option<&str>| value.unwrap_or_default().to_owned();
    let optional = |value: Option<&str>| api::set(value).map(ToOwned::to_owned);
    AssociationFacts {
        id: text(association.association_id()),
        arn: text(association.association_arn()),
        role_arn: text(association.role_arn()),
        target_role_arn: optional(association.target_role_arn()),
        disable_session_tags: association.disable_session_tags().unwrap_or_default(),
        policy: optional(association.policy()),
        owner_arn: optional(association.owner_arn()),
        tags: association
            .tags()
            .map(|tags| tags.clone().into_iter().collect())
            .unwrap_or_default(),
        modified: association.modified_at().map(|time| time.secs()),
    }
}

/// The same with the migration's mark.
fn marked(wanted: &Wanted, owner: &str) -> Wanted {
    let mut wanted = wanted.clone();
    wanted
        .tags
        .insert(MIGRATION_TAG.to_owned(), owner.to_owned());
    wanted
}

/// A token that is the same whenever the same is wanted, tags included, and with them the owner: EKS refuses a token that it
/// knows for a request that differs.
fn token(wanted: &Wanted) -> String {
    let mut digest = Sha256::new();
    let mut add = |text: &str| {
        digest.update(text.len().to_be_bytes());
        digest.update(text);
    };
    let optional = |value: &Option<String>| value.clone().unwrap_or_default();
    add(&wanted.cluster);
    add(&wanted.namespace);
    add(&wanted.service_account);
    add(&wanted.role_arn);
    add(&optional(&wanted.target_role_arn));
    add(if wanted.disable_session_tags { "1" } else { "" });
    add(&optional(&wanted.policy));
    for (key, value) in &wanted.tags {
        add(key);
        add(value);
    }
    digest
        .finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// EKS knows the token from a request that was different. Its code for that is not documented, so the message decides.
fn is_about_token(error: &AwsError) -> bool {
    error.kind() == AwsErrorKind::InvalidParameter
        && error
            .message()
            .to_ascii_lowercase()
            .contains("clientrequesttoken")
}

/// Reads back what was created; `None` if EKS answered the token with an association that does not exist any more.
async fn confirm(
    context: &Context<ProviderData>,
    cluster: &str,
    created: &PodIdentityAssociation,
) -> Result<Option<AssociationFacts>, AwsError> {
    let id = created.association_id().unwrap_or_default();
    if context.provider.associations().has_deleted(id) {
        return Ok(None);
    }
    let shown = poll(&context.cancel, APPEARS, Schedule::STATUS, || async {
        Ok(match describe(context, cluster, id).await? {
            Some(facts) => Progress::Done(facts),
            None => Progress::Pending("not found".to_owned()),
        })
    })
    .await;
    match shown {
        Ok(facts) => Ok(Some(facts)),
        Err(error) if error.kind() == AwsErrorKind::Timeout => Ok(None),
        Err(error) => Err(error),
    }
}

/// The service account has an association already: ours from an earlier run, or somebody else's.
async fn met(
    context: &Context<ProviderData>,
    wanted: &Wanted,
    owner: &str,
    conflict: &AwsError,
    timeout: Duration,
) -> Result<AssociationFacts, Diagnostic> {
    let cluster = &wanted.cluster;
    // One that was created a moment ago shows late, in lists as well as by itself.
    let found = poll(&context.cancel, APPEARS, Schedule::STATUS, || async {
        let (namespace, name) = (&wanted.namespace, &wanted.service_account);
        let Some(id) = api::find(context, cluster, namespace, name).await? else {
            return Ok(Progress::Pending("not listed".to_owned()));
        };
        let found = look(context, cluster, &id).await?;
        Ok(found.map_or_else(
            || Progress::Pending("not described".to_owned()),
            Progress::Done,
        ))
    })
    .await;
    let existing = match found {
        Ok(existing) => existing,
        Err(error) if error.kind() == AwsErrorKind::Timeout => {
            return Err(unseen(wanted, conflict));
        }
        Err(error) => {
            return Err(not_created(
                wanted,
                &conflict
                    .clone()
                    .note(format!("Which one it is could not be read: {error}.")),
            ));
        }
    };
    let is = facts(&existing);
    let refuse = |why: String| {
        Err(Diagnostic::error(
            CREATING,
            format!(
                "{} has the association {} already. {why}\n\n{UNTOUCHED}",
                wanted.describe(),
                is.id
            ),
        ))
    };
    if let Some(owner) = &is.owner_arn {
        return refuse(format!(
            "It belongs to the add-on {owner} and can only be changed through that add-on: give the add-on the role {} in its \
             pod identity associations, and leave this service account out.",
            wanted.role_arn
        ));
    }
    if !equivalent_arns(&is.role_arn, &wanted.role_arn) {
        return refuse(format!(
            "It is for the role {}, but the service account is to get {}. Delete that association, or name its role as \
             role_arn.",
            is.role_arn, wanted.role_arn
        ));
    }
    if !is.is_migrations() {
        return refuse(
            "It is for the same role, but was not created by this migration. Set adopt_existing_association = true to go on \
             with it; it is then neither changed nor deleted."
                .to_owned(),
        );
    }
    // Ours, from a run whose state was lost.
    update(context, &is.id, wanted, owner, timeout).await
}

/// The error for an association that EKS says is there and does not show. Pods may get Pod Identity from it.
fn unseen(wanted: &Wanted, conflict: &AwsError) -> Diagnostic {
    conflict.into_diagnostic(
        CREATING,
        &format!(
            "{} has an association already, as EKS says, but EKS does not show which. An earlier run may have created it, or \
             somebody else, or one is still being deleted. Nothing was taken away: pods get credentials either way.",
            wanted.describe()
        ),
        "Run again in a minute, when it is shown.",
    )
}

/// Why an association is not the migration's to change, as a sentence.
fn not_ours(association: &AssociationFacts) -> Option<String> {
    if let Some(owner) = &association.owner_arn {
        return Some(format!(
            "It belongs to the add-on {owner} and can only be changed through that add-on."
        ));
    }
    (!association.is_migrations()).then(|| {
        format!("It was not created by a migration: it does not have the tag {MIGRATION_TAG}.")
    })
}

/// What is true as long as no association was created.
const UNTOUCHED: &str = "Nothing was taken away: its pods go on with IRSA. What was added to the trust policy of the role \
                         stays; it does no harm, and the next run needs it.";

fn not_created(wanted: &Wanted, error: &AwsError) -> Diagnostic {
    let object = format!(
        "{} was not associated with the role {}. {UNTOUCHED}",
        wanted.describe(),
        wanted.role_arn
    );
    let next = if api::is_role_not_ready(error) {
        "EKS takes a while to see what IAM was told; if running again does not help, look at the role: it must be in the \
         cluster's account, and its trust policy must allow pods.eks.amazonaws.com both sts:AssumeRole and sts:TagSession."
            .to_owned()
    } else {
        pass_role(error, &wanted.role_arn)
    };
    error.into_diagnostic(CREATING, &object, &next)
}

/// EKS checks the right to pass the role with the caller's credentials; the action that is missing is not that of the call.
fn pass_role(error: &AwsError, role_arn: &str) -> String {
    if error.kind() == AwsErrorKind::AccessDenied && error.message().contains("PassRole") {
        format!(
            "What is missing is the action `iam:PassRole` (with `iam:GetRole`) on {role_arn}, for the service \
             pods.eks.amazonaws.com."
        )
    } else if error.kind() == AwsErrorKind::AccessDenied {
        "To create an association with tags, eks:CreatePodIdentityAssociation and eks:TagResource are needed, and iam:PassRole \
         and iam:GetRole on the role."
            .to_owned()
    } else {
        String::new()
    }
}

async fn look(
    context: &Context<ProviderData>,
    cluster: &str,
    id: &str,
) -> Result<Option<PodIdentityAssociation>, AwsError> {
    match api::describe(context, cluster, id).await {
        Ok(found) => Ok(Some(found)),
        // EKS has the same code for a cluster that is gone; then the association is gone too.
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests;
