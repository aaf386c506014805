//! Whether the role of an association can work, judged before and while it is applied.
//!
//! EKS refuses a role that is missing or does not trust EKS Pod Identity. Whether the conditions of the trust policy can
//! ever hold for this service account EKS does not check: the association exists, and pods get no credentials. Both are
//! found here, from the role as it is or, where this run changes it, as it will be.

use std::time::Duration;

use crate::aws::AwsError;
use crate::cty::Path;
use crate::framework::Context;
use crate::framework::diagnostic::capitalised;
use crate::framework::diagnostic::{Diagnostic, Severity};
use crate::framework::model::FromValue;
use crate::framework::resource::{ModifyPlanRequest, ModifyPlanResponse};
use crate::policy::analysis::{Reason, Verdict, analyze};
use crate::policy::request::PodContext;
use crate::policy::{Document, RoleArn, equivalent_arns};
use crate::provider::ProviderData;

use super::schema::Association;

const SUMMARY: &str = "Role cannot work with EKS Pod Identity";

/// How often a role that cannot work is read again at apply time, because IAM may still show its older trust policy.
const REREADS: u32 = 3;
/// The pause between these reads.
const REREAD_PAUSE: Duration = Duration::from_secs(3);

/// What is wrong with a role.
#[derive(Debug)]
enum Fault {
    /// It is not in the cluster's account or partition: nothing that this run does can change that.
    Elsewhere(String),
    /// There is no such role.
    Missing(String),
    /// Its trust policy cannot work for this association.
    Trust(Vec<Reason>),
    /// Its trust policy cannot be read.
    Unreadable(String),
}

/// Adds a diagnostic for a role that cannot work. What the same run may still put right is a warning: another resource,
/// of this or another provider, may create the role or change its trust policy before the association is created, and
/// then the check is repeated. A role in the wrong place is an error.
pub(super) async fn plan(
    context: &Context<ProviderData>,
    request: &ModifyPlanRequest,
    response: &mut ModifyPlanResponse,
) {
    let relevant = [
        "role_arn",
        "cluster_name",
        "namespace",
        "service_account",
        "disable_session_tags",
    ];
    let unchanged = |name: &str| request.prior_state.get(name) == response.planned_state.get(name);
    if !request.prior_state.is_null() && relevant.into_iter().all(unchanged) {
        return;
    }
    // A plan that does not fit the model is reported where it is used.
    let Ok(planned) = Association::from_value(&response.planned_state, &Path::root()) else {
        return;
    };
    let Some(fault) = find_fault(context, &planned).await else {
        return;
    };
    let certain = matches!(fault, Fault::Elsewhere(_));
    let mut diagnostic = describe(&planned, &fault);
    if !certain {
        diagnostic.severity = Severity::Warning;
        diagnostic.detail.push_str(
            "\n\nThis is the role as it is now. If this run creates or changes it first, there is nothing to do; otherwise the \
             apply will stop before it creates an association that cannot work.",
        );
    }
    response.diagnostics.push(diagnostic);
}

/// Refuses, at apply time, to create or change an association whose role exists but can never give its pods
/// credentials. What EKS refuses itself is left to EKS, which is asked again until the timeout.
pub(super) async fn before_apply(
    context: &Context<ProviderData>,
    plan: &Association,
) -> Result<(), Diagnostic> {
    for reread in 0..=REREADS {
        let fault = match find_fault(context, plan).await {
            Some(Fault::Trust(reasons)) if !refused_by_eks(&reasons) => Fault::Trust(reasons),
            Some(fault @ Fault::Elsewhere(_)) => return Err(describe(plan, &fault)),
            _ => return Ok(()),
        };
        if reread == REREADS || context.cancel.is_cancelled() {
            return Err(describe(plan, &fault));
        }
        forget(context, plan);
        tokio::select! {
            () = context.cancel.cancelled() => {}
            () = tokio::time::sleep(REREAD_PAUSE) => {}
        }
    }
    Ok(())
}

/// The diagnostic for EKS's refusal of the role, with what is wrong with it as far as it can be read.
pub(super) async fn explain(
    context: &Context<ProviderData>,
    plan: &Association,
    error: &AwsError,
) -> Option<Diagnostic> {
    const CODE: &str = "InvalidParameterException";
    let about_role = error.is(CODE, "Role provided in the request does not exist")
        || error.is(CODE, "Trust policy of the role provided is invalid")
        || error.message().contains("Cross-account pass role");
    if !about_role {
        return None;
    }
    forget(context, plan);
    let found = find_fault(context, plan).await;
    let mut diagnostic = error
        .into_diagnostic(
            SUMMARY,
            &format!(
                "EKS does not accept the role {} for the service account {:?} in the namespace {:?}.",
                plan.role_arn.as_deref().unwrap_or_default(),
                plan.service_account.as_deref().unwrap_or_default(),
                plan.namespace.as_deref().unwrap_or_default()
            ),
            "",
        )
        .at("role_arn");
    match found {
        Some(fault) => {
            diagnostic.detail.push_str("\n\n");
            diagnostic.detail.push_str(&describe(plan, &fault).detail);
        }
        None => diagnostic.detail.push_str(
            "\n\nCheck that the role is in the account of the cluster and that its trust policy allows pods.eks.amazonaws.com \
             both sts:AssumeRole and sts:TagSession.",
        ),
    }
    Some(diagnostic)
}

/// `None`: the role works, or it cannot be told (not known yet, or not readable with these credentials).
async fn find_fault(context: &Context<ProviderData>, plan: &Association) -> Option<Fault> {
    let provider = &context.provider;
    let arn_text = plan.role_arn.as_deref()?;
    // The validator of the attribute reports an ARN that is none.
    let arn = RoleArn::parse(arn_text).ok()?;
    let partition = provider.partition().ok()?;
    if arn.partition != partition.id {
        return Some(Fault::Elsewhere(format!(
            "{arn_text} is in the partition {}, but the provider works in {}",
            arn.partition, partition.id
        )));
    }
    let planned = provider.planned_trusts().of(&arn.name);
    let document = match planned {
        // Not known before it is applied.
        Some(None) => return None,
        Some(Some(document)) => document,
        None => {
            let role = match provider.role(&context.cancel, &arn.name).await {
                Ok(Some(role)) => role,
                Ok(None) => {
                    return Some(match provider.account_id(&context.cancel).await {
                        Ok(account) if account != arn.account => elsewhere(&arn, &account),
                        _ => Fault::Missing(format!("there is no IAM role {:?}", arn.name)),
                    });
                }
                Err(error) => {
                    tracing::debug!(role = arn_text, %error, "the role could not be read, so it is not checked");
                    return None;
                }
            };
            if !equivalent_arns(&role.arn, arn_text) {
                return Some(match RoleArn::parse(&role.arn) {
                    Ok(found) if found.account != arn.account => elsewhere(&arn, &found.account),
                    _ => Fault::Missing(format!(
                        "the IAM role {:?} has the ARN {}, not {arn_text}",
                        arn.name, role.arn
                    )),
                });
            }
            match Document::parse(&role.assume_role_policy) {
                Ok(document) => document,
                Err(error) => return Some(Fault::Unreadable(error.to_string())),
            }
        }
    };
    let cluster_name = plan.cluster_name.known().cloned();
    let region = provider.region().ok();
    let pod = PodContext {
        // The role must be in the cluster's account, so the account of its ARN is the cluster's too.
        cluster_arn: cluster_name.as_deref().zip(region).map(|(name, region)| {
            format!(
                "arn:{}:eks:{region}:{}:cluster/{name}",
                arn.partition, arn.account
            )
        }),
        cluster_name,
        account_id: Some(arn.account.clone()),
        namespace: plan.namespace.known().cloned(),
        service_account: plan.service_account.known().cloned(),
        session_tags: plan.disable_session_tags.known() != Some(&true),
        service_principal: provider.service_principal().into_known()?,
    };
    match analyze(&document, &pod) {
        Verdict::CanNeverWork(reasons) => Some(Fault::Trust(reasons)),
        Verdict::Works | Verdict::CannotTell(_) => None,
    }
}

fn elsewhere(arn: &RoleArn, account: &str) -> Fault {
    Fault::Elsewhere(format!(
        "{arn} is in the account {}, but the cluster is in {account}, and EKS takes only roles of the cluster's own account",
        arn.account
    ))
}

/// Whether EKS itself refuses a role for these reasons.
fn refused_by_eks(reasons: &[Reason]) -> bool {
    reasons.iter().all(|reason| {
        matches!(
            reason,
            Reason::NoPodIdentityStatement { .. } | Reason::MissingAction { .. }
        )
    })
}

fn forget(context: &Context<ProviderData>, plan: &Association) {
    if let Some(arn) = plan
        .role_arn
        .as_deref()
        .and_then(|arn| RoleArn::parse(arn).ok())
    {
        context.provider.forget_role(&arn.name);
    }
}

fn describe(plan: &Association, fault: &Fault) -> Diagnostic {
    let arn = plan.role_arn.as_deref().unwrap_or_default();
    let detail = match fault {
        Fault::Elsewhere(what) => format!(
            "{}.\n\nUse a role of the cluster's account as role_arn, and name the role of the other account as \
             target_role_arn.",
            capitalised(what)
        ),
        Fault::Missing(what) => format!("{}. Check the ARN {arn}.", capitalised(what)),
        Fault::Unreadable(what) => {
            format!("The trust policy of {arn} is not a policy document: {what}.")
        }
        Fault::Trust(reasons) => {
            let lines: Vec<String> = reasons
                .iter()
                .map(|reason| {
                    format!(
                        "  - {}. {}",
                        capitalised(&reason.to_string()),
                        reason.advice()
                    )
                })
                .collect();
            format!(
                "With the trust policy of {arn}, pods of this service account can never get credentials:\n{}",
                lines.join("\n")
            )
        }
    };
    Diagnostic::error(SUMMARY, detail).at("role_arn")
}
