//! The EKS calls of the agent add-on, and what they mean for the state.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use time::OffsetDateTime;

use aws_sdk_eks::types::{Addon, AddonStatus, ResolveConflicts, UpdateStatus};

use crate::aws::facts::rfc3339;
use crate::aws::retry::{Schedule, retry_while};
use crate::aws::tags::to_map;
use crate::aws::wait::{Progress, poll};
use crate::aws::{self, AwsError, AwsErrorKind};
use crate::framework::Context;
use crate::framework::model::Attr;
use crate::provider::ProviderData;
use crate::resources::documents::parse_configuration;
use crate::resources::{last_look, tags};

use super::schema::{ADDON, Agent};

/// How many looks in a row must show DEGRADED before waiting ends. Add-ons pass through it while their pods start.
const DEGRADED_LOOKS: u32 = 6;

/// How waiting for an installation ended.
#[derive(Clone, Debug)]
pub(super) enum Outcome {
    /// It runs.
    Active(Addon),
    /// It is installed and EKS reports problems, steadily.
    Degraded(Addon),
    /// EKS gave up.
    Failed(Addon),
}

/// How an update ended.
pub(super) struct Updated {
    /// The add-on afterwards, if it could be read.
    pub(super) found: Option<Addon>,
    /// Whether the update succeeded.
    pub(super) outcome: Result<(), UpdateError>,
}

/// Why an update failed.
pub(super) enum UpdateError {
    /// A call failed, or time ran out.
    Call(AwsError),
    /// EKS reports the update as failed or cancelled, with these reasons.
    Failed(String),
}

/// Starts the installation, and finds what it started if only the answer was lost.
pub(super) async fn create(
    context: &Context<ProviderData>,
    cluster: &str,
    plan: &Agent,
) -> Result<Addon, AwsError> {
    let eks = context.provider.eks()?;
    let wanted = to_map(&plan.tags_all);
    let call = eks
        .create_addon()
        .cluster_name(cluster)
        .addon_name(ADDON)
        .set_addon_version(plan.addon_version.known().cloned())
        .set_configuration_values(plan.configuration_values.known().cloned())
        .set_resolve_conflicts(
            plan.resolve_conflicts_on_create
                .as_deref()
                .map(ResolveConflicts::from),
        )
        .set_tags(tags::for_eks(&wanted))
        .client_request_token(uuid::Uuid::new_v4().to_string())
        .send();
    let began = OffsetDateTime::now_utc();
    let error = match aws::write(&context.cancel, call).await {
        Ok(answer) => return addon(answer.output.addon),
        Err(error) if !error.after_ambiguous_attempt() => return Err(error),
        Err(error) => error,
    };
    // Only the answer may be lost.
    let context = last_look::context(context);
    match tokio::time::timeout(last_look::LIMIT, describe(&context, cluster)).await {
        Ok(Ok(found)) if last_look::is_new(found.created_at(), began) => Ok(found),
        _ => Err(error),
    }
}

/// Reads the add-on.
pub(super) async fn describe(
    context: &Context<ProviderData>,
    cluster: &str,
) -> Result<Addon, AwsError> {
    let eks = context.provider.eks()?;
    let call = eks
        .describe_addon()
        .cluster_name(cluster)
        .addon_name(ADDON)
        .send();
    addon(aws::read(&context.cancel, call).await?.addon)
}

/// Waits until the add-on runs, is steadily degraded, or has failed.
pub(super) async fn wait_until_active(
    context: &Context<ProviderData>,
    cluster: &str,
    timeout: Duration,
) -> Result<Outcome, AwsError> {
    let degraded = AtomicU32::new(0);
    poll(&context.cancel, timeout, Schedule::STATUS, || async {
        let addon = describe(context, cluster).await?;
        Ok(match addon.status() {
            Some(AddonStatus::Active) => Progress::Done(Outcome::Active(addon)),
            Some(AddonStatus::Degraded)
                if degraded.fetch_add(1, Ordering::Relaxed) + 1 >= DEGRADED_LOOKS =>
            {
                Progress::Done(Outcome::Degraded(addon))
            }
            Some(
                AddonStatus::CreateFailed | AddonStatus::DeleteFailed | AddonStatus::UpdateFailed,
            ) => Progress::Done(Outcome::Failed(addon)),
            _ => {
                if addon.status() != Some(&AddonStatus::Degraded) {
                    degraded.store(0, Ordering::Relaxed);
                }
                Progress::Pending(seen(&addon))
            }
        })
    })
    .await
}

/// Updates version and configuration, and waits for the end of it.
pub(super) async fn update(
    context: &Context<ProviderData>,
    cluster: &str,
    prior: &Agent,
    plan: &Agent,
    timeout: Duration,
) -> Updated {
    let outcome = run_update(context, cluster, prior, plan, timeout).await;
    let started = !matches!(&outcome, Err((false, _)));
    let mut outcome = outcome.map_err(|(_, error)| error);
    // A refused call changed nothing, so the prior state is still true.
    let found = if started {
        match describe(context, cluster).await {
            Ok(addon) => Some(addon),
            Err(error) => {
                if outcome.is_ok() {
                    outcome = Err(UpdateError::Call(error));
                }
                None
            }
        }
    } else {
        None
    };
    // EKS calls an update failed too when it landed but the agent was slow to become healthy.
    if let (Err(UpdateError::Failed(_)), Some(addon)) = (&outcome, &found)
        && addon.status() == Some(&AddonStatus::Active)
        && addon.addon_version() == plan.addon_version.as_deref()
        && same_configuration(addon, plan)
    {
        outcome = Ok(());
    }
    Updated { found, outcome }
}

/// Removes the add-on and waits until it is gone. Not there is an error of kind `NotFound`.
pub(super) async fn delete(
    context: &Context<ProviderData>,
    cluster: &str,
    preserve: bool,
    timeout: Duration,
) -> Result<(), AwsError> {
    let eks = context.provider.eks()?;
    retry_while(&context.cancel, timeout, is_changing, || async {
        let call = eks
            .delete_addon()
            .cluster_name(cluster)
            .addon_name(ADDON)
            .set_preserve(preserve.then_some(true))
            .send();
        aws::write(&context.cancel, call).await
    })
    .await?;
    poll(&context.cancel, timeout, Schedule::STATUS, || async {
        match describe(context, cluster).await {
            Err(error) if error.is_not_found() => Ok(Progress::Done(())),
            Err(error) => Err(error),
            Ok(addon) if addon.status() == Some(&AddonStatus::DeleteFailed) => {
                Err(AwsError::new(AwsErrorKind::Other, seen(&addon)).in_call("EKS", "DeleteAddon"))
            }
            Ok(addon) => Ok(Progress::Pending(seen(&addon))),
        }
    })
    .await
}

/// The state of the add-on as EKS describes it; what EKS does not know comes from `known`, a plan or prior state.
pub(super) fn state(provider: &ProviderData, known: &Agent, found: &Addon) -> Agent {
    let text = |value: Option<&str>| {
        Attr::from(value.filter(|text| !text.is_empty()).map(ToOwned::to_owned))
    };
    let time = |value: Option<&aws_sdk_eks::primitives::DateTime>| Attr::from(value.map(rfc3339));
    let remote = found.tags.clone().unwrap_or_default().into_iter().collect();
    let tags = provider.tag_policy().read(&remote, &known.tags);
    let cluster = found.cluster_name().unwrap_or_default();
    // Values that were taken away again are `{}` in EKS: the same as never having had any. An import, which knows nothing
    // yet, takes what it finds.
    let configuration_values = match text(found.configuration_values()) {
        Attr::Known(values)
            if known.configuration_values.is_null()
                && !known.arn.is_null()
                && parse_configuration(&values).is_ok_and(|v| v == serde_json::json!({})) =>
        {
            Attr::Null
        }
        values => values,
    };
    Agent {
        addon_version: text(found.addon_version()),
        cluster_name: text(found.cluster_name()),
        configuration_values,
        preserve: known.preserve.clone(),
        resolve_conflicts_on_create: known.resolve_conflicts_on_create.clone(),
        resolve_conflicts_on_update: known.resolve_conflicts_on_update.clone(),
        tags: tags.tags,
        version_policy: known.version_policy.clone(),
        arn: text(found.addon_arn()),
        created_at: time(found.created_at()),
        id: Attr::Known(format!("{cluster}:{ADDON}")),
        modified_at: time(found.modified_at()),
        status: Attr::Known(status(found).to_owned()),
        tags_all: tags.tags_all,
        timeouts: known.timeouts.clone(),
    }
}

/// The status in EKS's words.
pub(super) fn status(addon: &Addon) -> &str {
    addon.status().map_or("unknown", AddonStatus::as_str)
}

/// The health issues that EKS reports, one to a line, or that there are none.
pub(super) fn health(addon: &Addon) -> String {
    let issues = addon
        .health()
        .map(|health| health.issues())
        .unwrap_or_default();
    if issues.is_empty() {
        return "EKS reports no health issue.".to_owned();
    }
    let lines = issues.iter().map(|issue| {
        let code = issue.code().map_or("Unknown", |code| code.as_str());
        let message = issue.message().unwrap_or("no message");
        match issue.resource_ids() {
            [] => format!("  - {code}: {message}"),
            ids => format!("  - {code}: {message} ({})", ids.join(", ")),
        }
    });
    format!("Health issues:\n{}", lines.collect::<Vec<_>>().join("\n"))
}

/// Runs the update; the flag of an error says whether EKS took it.
async fn run_update(
    context: &Context<ProviderData>,
    cluster: &str,
    prior: &Agent,
    plan: &Agent,
    timeout: Duration,
) -> Result<(), (bool, UpdateError)> {
    let refused = |error| (false, UpdateError::Call(error));
    let eks = context.provider.eks().map_err(refused)?;
    // Leaving a member out means "as it is"; configuration values are cleared with an empty object.
    let configuration = match (&plan.configuration_values, &prior.configuration_values) {
        (Attr::Known(text), _) => Some(text.clone()),
        (_, Attr::Known(_)) => Some("{}".to_owned()),
        _ => None,
    };
    let token = uuid::Uuid::new_v4().to_string();
    let answer = retry_while(&context.cancel, timeout, is_changing, || async {
        let call = eks
            .update_addon()
            .cluster_name(cluster)
            .addon_name(ADDON)
            .set_addon_version(plan.addon_version.known().cloned())
            .set_configuration_values(configuration.clone())
            .set_resolve_conflicts(
                plan.resolve_conflicts_on_update
                    .as_deref()
                    .map(ResolveConflicts::from),
            )
            .client_request_token(&token)
            .send();
        aws::write(&context.cancel, call).await
    })
    .await
    .map_err(refused)?;
    let id = answer
        .output
        .update
        .and_then(|update| update.id)
        .unwrap_or_default();
    let ended = poll(&context.cancel, timeout, Schedule::STATUS, || async {
        let call = eks
            .describe_update()
            .name(cluster)
            .addon_name(ADDON)
            .update_id(&id)
            .send();
        let update = aws::read(&context.cancel, call).await?.update;
        let status = update.as_ref().and_then(|update| update.status.clone());
        Ok(match status {
            Some(UpdateStatus::Successful) => Progress::Done(None),
            Some(UpdateStatus::Failed | UpdateStatus::Cancelled) => Progress::Done(update),
            status => Progress::Pending(format!(
                "update {id} {}",
                status.as_ref().map_or("unknown", UpdateStatus::as_str)
            )),
        })
    })
    .await
    .map_err(|error| (true, UpdateError::Call(error)))?;
    match ended {
        None => Ok(()),
        Some(update) => {
            let reasons = update.errors().iter().map(|error| {
                let code = error.error_code().map_or("Unknown", |code| code.as_str());
                let message = error.error_message().unwrap_or("no message");
                match error.resource_ids() {
                    [] => format!("  - {code}: {message}"),
                    ids => format!("  - {code}: {message} ({})", ids.join(", ")),
                }
            });
            let status = update.status().map_or("failed", UpdateStatus::as_str);
            let text = format!(
                "The update {id} is {status}.\n{}",
                reasons.collect::<Vec<_>>().join("\n")
            );
            Err((true, UpdateError::Failed(text)))
        }
    }
}

/// Another change of the add-on is under way, such as one that an interrupted run began.
fn is_changing(error: &AwsError) -> bool {
    error.code() == Some("ResourceInUseException")
}

fn same_configuration(addon: &Addon, plan: &Agent) -> bool {
    use crate::framework::schema::SemanticEquality;
    use crate::resources::documents::ConfigurationEquality;
    let text = |value: Option<&str>| crate::cty::Value::from(value.unwrap_or("{}"));
    ConfigurationEquality.semantically_equal(
        &text(addon.configuration_values()),
        &text(plan.configuration_values.as_deref()),
    )
}

fn addon(answer: Option<Addon>) -> Result<Addon, AwsError> {
    answer.ok_or_else(|| AwsError::new(AwsErrorKind::Other, "EKS answered without an add-on"))
}

fn seen(addon: &Addon) -> String {
    let issues = addon
        .health()
        .map(|health| health.issues())
        .unwrap_or_default();
    if issues.is_empty() {
        format!("status {}", status(addon))
    } else {
        format!("status {}. {}", status(addon), health(addon))
    }
}
