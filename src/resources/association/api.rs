//! The EKS calls of an association, and what they mean for the state.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use aws_sdk_eks::types::PodIdentityAssociation;
use time::OffsetDateTime;

use crate::aws::facts::rfc3339;
use crate::aws::retry::retry_while;
use crate::aws::tags::to_map;
use crate::aws::{self, AwsError};
use crate::cty::Path;
use crate::framework::model::Attr;
use crate::framework::{Context, Diagnostic};
use crate::policy::{equivalent_arns, equivalent_json};
use crate::provider::ProviderData;
use crate::resources::{last_look, tags};

use super::schema::Association;

/// An association as it is wanted, wholly known.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Wanted {
    /// Name of the cluster.
    pub cluster: String,
    /// Namespace of the service account.
    pub namespace: String,
    /// Name of the service account.
    pub service_account: String,
    /// ARN of the role.
    pub role_arn: String,
    /// ARN of the target role, if any.
    pub target_role_arn: Option<String>,
    /// Whether session tags are off.
    pub disable_session_tags: bool,
    /// The session policy, if any: JSON.
    pub policy: Option<String>,
    /// All tags.
    pub tags: BTreeMap<String, String>,
    /// The token by which EKS recognizes a creation that it has carried out; a new one if there is none.
    pub client_request_token: Option<String>,
}

impl Wanted {
    /// Reads a plan at apply time, when everything that matters is known.
    pub(super) fn new(provider: &ProviderData, plan: &Association) -> Result<Self, Diagnostic> {
        let known = |name: &str, value: &Attr<String>| {
            value.known().cloned().ok_or_else(|| {
                Diagnostic::provider_bug(format!("{name} is not known at apply time."))
                    .at(Path::from(name))
            })
        };
        let tags_all = if plan.tags_all.is_wholly_known() {
            plan.tags_all.clone()
        } else {
            provider.tag_policy().plan_tags_all(&plan.tags)
        };
        Ok(Self {
            cluster: known("cluster_name", &plan.cluster_name)?,
            namespace: known("namespace", &plan.namespace)?,
            service_account: known("service_account", &plan.service_account)?,
            role_arn: known("role_arn", &plan.role_arn)?,
            target_role_arn: plan.target_role_arn.known().cloned(),
            disable_session_tags: plan
                .disable_session_tags
                .known()
                .copied()
                .unwrap_or_default(),
            policy: plan.policy.known().cloned(),
            tags: to_map(&tags_all),
            client_request_token: None,
        })
    }

    /// As the beginning of a sentence.
    pub(crate) fn describe(&self) -> String {
        format!(
            "The service account {:?} in the namespace {:?} of the cluster {:?}",
            self.service_account, self.namespace, self.cluster
        )
    }
}

/// Creates the association, and finds it if only the answer was lost.
pub(crate) async fn create(
    context: &Context<ProviderData>,
    wanted: &Wanted,
    timeout: Duration,
) -> Result<PodIdentityAssociation, AwsError> {
    let began = OffsetDateTime::now_utc();
    let error = match try_create(context, wanted, timeout).await {
        Err(error) if error.after_ambiguous_attempt() => error,
        result => return result,
    };
    let context = last_look::context(context);
    let look = async {
        let (cluster, namespace) = (&wanted.cluster, &wanted.namespace);
        let id = find(&context, cluster, namespace, &wanted.service_account).await?;
        match id {
            Some(id) => describe(&context, cluster, &id).await.map(Some),
            None => Ok(None),
        }
    };
    match tokio::time::timeout(last_look::LIMIT, look).await {
        Ok(Ok::<_, AwsError>(Some(found)))
            if is_as_wanted(&found, wanted)
                && set(found.owner_arn()).is_none()
                && last_look::is_new(found.created_at(), began) =>
        {
            Ok(found)
        }
        _ => Err(error),
    }
}

/// Sends the creation. A role or trust policy that EKS cannot see yet is waited for, and so is an earlier
/// association of the same service account that is still being deleted; every attempt carries the same token, so EKS
/// creates one association however often it is asked.
async fn try_create(
    context: &Context<ProviderData>,
    wanted: &Wanted,
    timeout: Duration,
) -> Result<PodIdentityAssociation, AwsError> {
    let eks = context.provider.eks()?;
    let token = wanted
        .client_request_token
        .clone()
        .unwrap_or_else(idempotency_token);
    let not_yet = |error: &AwsError| is_role_not_ready(error) || is_being_deleted(error);
    retry_while(&context.cancel, timeout, not_yet, || async {
        let call = eks
            .create_pod_identity_association()
            .cluster_name(&wanted.cluster)
            .namespace(&wanted.namespace)
            .service_account(&wanted.service_account)
            .role_arn(&wanted.role_arn)
            .set_target_role_arn(wanted.target_role_arn.clone())
            .set_policy(wanted.policy.clone())
            .set_tags(tags::for_eks(&wanted.tags))
            // False is EKS's default; leaving it out keeps the request what older EKS releases know.
            .set_disable_session_tags(wanted.disable_session_tags.then_some(true))
            .client_request_token(&token)
            .send();
        match aws::write(&context.cancel, call).await {
            Ok(result) => {
                context.provider.association_lists().forget(&wanted.cluster);
                association(result.output.association)
            }
            Err(error) if error.code() == Some(IN_USE) => {
                let existing = find(
                    context,
                    &wanted.cluster,
                    &wanted.namespace,
                    &wanted.service_account,
                )
                .await;
                Err(match existing {
                    // Listed or not: deleting is eventually consistent in both.
                    Ok(existing)
                        if existing
                            .as_deref()
                            .is_none_or(|id| context.provider.associations().has_deleted(id)) =>
                    {
                        AwsError::new(aws::AwsErrorKind::AlreadyExists, BEING_DELETED)
                            .with_code(IN_USE)
                            .in_call(error.service(), error.operation())
                    }
                    _ => error,
                })
            }
            Err(error) => Err(error),
        }
    })
    .await
}

/// EKS's code for "there is one already".
pub(crate) const IN_USE: &str = "ResourceInUseException";

/// The message of an [`IN_USE`] error when what is said to exist is on its way out: not listed, or deleted by this very run.
const BEING_DELETED: &str =
    "EKS says that there is an association, but an earlier one is still being deleted";

/// The association of a service account, by id.
pub(crate) async fn find(
    context: &Context<ProviderData>,
    cluster: &str,
    namespace: &str,
    service_account: &str,
) -> Result<Option<String>, AwsError> {
    let eks = context.provider.eks()?;
    let call = eks
        .list_pod_identity_associations()
        .cluster_name(cluster)
        .namespace(namespace)
        .service_account(service_account)
        .send();
    let answer = aws::read(&context.cancel, call).await?;
    Ok(answer
        .associations
        .unwrap_or_default()
        .into_iter()
        .find_map(|summary| summary.association_id))
}

/// Reads an association.
pub(crate) async fn describe(
    context: &Context<ProviderData>,
    cluster: &str,
    id: &str,
) -> Result<PodIdentityAssociation, AwsError> {
    let eks = context.provider.eks()?;
    let call = eks
        .describe_pod_identity_association()
        .cluster_name(cluster)
        .association_id(id)
        .send();
    association(aws::read(&context.cancel, call).await?.association)
}

/// Changes the settings of an association from the prior state to what is wanted. Role and trust are waited for, as in
/// [`create`].
pub(super) async fn change(
    context: &Context<ProviderData>,
    id: &str,
    prior: &Association,
    wanted: &Wanted,
    timeout: Duration,
) -> Result<PodIdentityAssociation, AwsError> {
    send_change(
        context,
        id,
        wanted,
        timeout,
        prior.target_role_arn.is_known(),
        prior.policy.is_known(),
    )
    .await
}

/// Brings an existing association to what is wanted: settings and tags. Used when one is adopted.
pub(crate) async fn update(
    context: &Context<ProviderData>,
    existing: &PodIdentityAssociation,
    wanted: &Wanted,
    timeout: Duration,
) -> Result<PodIdentityAssociation, AwsError> {
    let id = existing.association_id().unwrap_or_default();
    let mut updated = if is_as_wanted(existing, wanted) {
        existing.clone()
    } else {
        send_change(
            context,
            id,
            wanted,
            timeout,
            set(existing.target_role_arn()).is_some(),
            set(existing.policy()).is_some(),
        )
        .await?
    };
    // Tags of somebody else (ignored ones) stay: only what this configuration says is set or removed.
    let remote = existing
        .tags
        .clone()
        .unwrap_or_default()
        .into_iter()
        .collect();
    let own = to_map(
        &context
            .provider
            .tag_policy()
            .read(&remote, &crate::cty::Value::Null)
            .tags_all,
    );
    let arn = existing.association_arn().unwrap_or_default();
    tags::change_eks(context, arn, &own, &wanted.tags).await?;
    let mut tags: HashMap<String, String> = remote.into_iter().collect();
    tags.retain(|key, _| !own.contains_key(key));
    tags.extend(wanted.tags.clone());
    updated.tags = Some(tags);
    Ok(updated)
}

/// Whether an association has the wanted settings; tags are not looked at.
pub(crate) fn is_as_wanted(existing: &PodIdentityAssociation, wanted: &Wanted) -> bool {
    let same_policy = match (set(existing.policy()), wanted.policy.as_deref()) {
        (None, None) => true,
        (Some(a), Some(b)) => equivalent_json(a, b),
        _ => false,
    };
    existing
        .role_arn()
        .is_some_and(|arn| equivalent_arns(arn, &wanted.role_arn))
        && set(existing.target_role_arn()) == wanted.target_role_arn.as_deref()
        && existing.disable_session_tags().unwrap_or_default() == wanted.disable_session_tags
        && same_policy
}

/// Deletes an association, and waits out another change of it.
pub(crate) async fn delete(
    context: &Context<ProviderData>,
    cluster: &str,
    id: &str,
    timeout: Duration,
) -> Result<(), AwsError> {
    let eks = context.provider.eks()?;
    let being_changed = |error: &AwsError| error.code() == Some("ResourceInUseException");
    retry_while(&context.cancel, timeout, being_changed, || async {
        let call = eks
            .delete_pod_identity_association()
            .cluster_name(cluster)
            .association_id(id)
            .send();
        aws::write(&context.cancel, call).await.map(drop)
    })
    .await?;
    context
        .provider
        .association_lists()
        .forget(&cluster.to_owned());
    Ok(())
}

/// Whether an update call is needed: tags and what only the provider knows are not part of it.
pub(super) fn settings_differ(prior: &Association, plan: &Association) -> bool {
    prior.role_arn != plan.role_arn
        || prior.target_role_arn != plan.target_role_arn
        || prior.disable_session_tags != plan.disable_session_tags
        || prior.policy != plan.policy
}

/// The state of an association as EKS describes it; what EKS does not know comes from `known`, a plan or prior state.
pub(super) fn state(
    provider: &ProviderData,
    known: &Association,
    found: &PodIdentityAssociation,
) -> Association {
    let text = |value: Option<&str>| Attr::from(set(value).map(ToOwned::to_owned));
    let remote = found.tags.clone().unwrap_or_default().into_iter().collect();
    let tags = provider.tag_policy().read(&remote, &known.tags);
    let time = |value: Option<&aws_sdk_eks::primitives::DateTime>| Attr::from(value.map(rfc3339));
    Association {
        namespace: text(found.namespace()),
        role_arn: text(found.role_arn()),
        service_account: text(found.service_account()),
        cluster_name: text(found.cluster_name()),
        disable_session_tags: Attr::Known(found.disable_session_tags().unwrap_or_default()),
        on_conflict: known.on_conflict.clone(),
        wait_for_injection: known.wait_for_injection.clone(),
        policy: text(found.policy()),
        tags: tags.tags,
        target_role_arn: text(found.target_role_arn()),
        association_arn: text(found.association_arn()),
        association_id: text(found.association_id()),
        created_at: time(found.created_at()),
        external_id: text(found.external_id()),
        id: text(found.association_id()),
        modified_at: time(found.modified_at()),
        owner_arn: text(found.owner_arn()),
        tags_all: tags.tags_all,
        timeouts: known.timeouts.clone(),
    }
}

async fn send_change(
    context: &Context<ProviderData>,
    id: &str,
    wanted: &Wanted,
    timeout: Duration,
    had_target: bool,
    had_policy: bool,
) -> Result<PodIdentityAssociation, AwsError> {
    let eks = context.provider.eks()?;
    let token = idempotency_token();
    // Leaving a member out means "as it is"; an empty string clears it.
    let clear = |value: &Option<String>, had: bool| match value {
        Some(value) => Some(value.clone()),
        None => had.then(String::new),
    };
    let target = clear(&wanted.target_role_arn, had_target);
    let policy = clear(&wanted.policy, had_policy);
    retry_while(&context.cancel, timeout, is_role_not_ready, || async {
        let call = eks
            .update_pod_identity_association()
            .cluster_name(&wanted.cluster)
            .association_id(id)
            .role_arn(&wanted.role_arn)
            .set_target_role_arn(target.clone())
            .set_policy(policy.clone())
            .disable_session_tags(wanted.disable_session_tags)
            .client_request_token(&token)
            .send();
        let result = aws::write(&context.cancel, call).await?;
        association(result.output.association)
    })
    .await
}

/// Deleting is eventually consistent too: a replacement may meet the one it replaces.
fn is_being_deleted(error: &AwsError) -> bool {
    error.is(IN_USE, BEING_DELETED)
}

/// IAM is eventually consistent, so EKS may not see a new role yet, or still see an older trust policy.
pub(crate) fn is_role_not_ready(error: &AwsError) -> bool {
    const CODE: &str = "InvalidParameterException";
    error.is(CODE, "Role provided in the request does not exist")
        || error.is(CODE, "Trust policy of the role provided is invalid")
}

fn association(answer: Option<PodIdentityAssociation>) -> Result<PodIdentityAssociation, AwsError> {
    answer.ok_or_else(|| {
        AwsError::new(
            aws::AwsErrorKind::Other,
            "EKS answered without an association",
        )
    })
}

/// EKS answers with an empty string for what was cleared.
pub(crate) fn set(value: Option<&str>) -> Option<&str> {
    value.filter(|text| !text.is_empty())
}

fn idempotency_token() -> String {
    uuid::Uuid::new_v4().to_string()
}
