//! Creating, changing and deleting a role.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::aws::tags::{changes, to_map};
use crate::aws::{AwsError, AwsErrorKind, RoleInfo};
use crate::cty::{Path, Value};
use crate::framework::Context;
use crate::framework::diagnostic::Diagnostic;
use crate::framework::model::{Attr, FromValue, IntoValue};
use crate::framework::resource::{CreateRequest, DeleteRequest, UpdateRequest};
use crate::policy::equivalent_json;
use crate::policy::size::{TRUST_QUOTA_DEFAULT, TRUST_QUOTA_MAX, trust_size};
use crate::provider::ProviderData;

use super::api::{self, Calls, NewRole, same_boundary};
use super::schema::{Role, no_inline_policies, no_policy_arns};
use super::trust::{self, Built};
use super::unique_name::{DEFAULT_PREFIX, unique};
use super::{CREATING, DELETING, UPDATING, describe, missing};

/// Creates the role, then its inline policies, then attaches its managed policies. `state` is true after every step.
pub(super) async fn create(
    context: &Context<ProviderData>,
    request: &CreateRequest,
    state: &mut Value,
) -> Result<(), Diagnostic> {
    let mut plan = planned(context, &request.planned_state)?;
    let name = match plan.name.known() {
        Some(name) => name.clone(),
        None => unique(plan.name_prefix.as_deref().unwrap_or(DEFAULT_PREFIX)),
    };
    plan.name = Attr::Known(name.clone());
    let new = NewRole {
        name: name.clone(),
        path: plan.path.as_deref().unwrap_or("/").to_owned(),
        trust_policy: trust_policy(&plan)?.to_owned(),
        description: plan.description.known().filter(|d| !d.is_empty()).cloned(),
        max_session_duration: session_duration(&plan)?,
        permissions_boundary: plan.permissions_boundary.known().cloned(),
        tags: to_map(&plan.tags_all),
    };
    let created = match api::create(context, &new).await {
        Ok(created) => created,
        Err(failed) => {
            if let Some(created) = failed.created {
                Applied::begin(context, created_state(&plan, &created), state);
            }
            return Err(explain_create(&new, &failed.error));
        }
    };
    let mut applied = Applied::begin(context, created_state(&plan, &created), state);
    let calls = Calls::of_new_role(context, &name);
    set_policies(CREATING, calls, &mut applied, &plan).await
}

/// The state of a role that was created a moment ago: as planned, but without policies.
fn created_state(plan: &Role, created: &RoleInfo) -> Role {
    Role {
        arn: Attr::Known(created.arn.clone()),
        create_date: Attr::Known(created.create_date.clone()),
        id: Attr::Known(created.name.clone()),
        unique_id: Attr::Known(created.unique_id.clone()),
        policy_arns: no_policy_arns(),
        inline_policies: no_inline_policies(),
        ..plan.clone()
    }
}

/// Changes what differs: first what gives, then what takes away. `state` is true after every step.
pub(super) async fn update(
    context: &Context<ProviderData>,
    request: &UpdateRequest,
    state: &mut Value,
) -> Result<(), Diagnostic> {
    let plan = planned(context, &request.planned_state)?;
    let prior = Role::from_value(&request.prior_state, &Path::root())?;
    let name = prior.name.known().cloned().ok_or_else(|| missing("name"))?;
    let calls = Calls::new(context, &name);
    let mut applied = Applied::begin(context, prior.clone(), state);
    let failed = |error: &AwsError, what: &str, path: &str| {
        let object = format!("{what} of {} was not changed.", describe_inside(&name));
        explain(error, UPDATING, &object).at(path)
    };

    let trust_policy = trust_policy(&plan)?;
    let same_trust = prior
        .assume_role_policy
        .as_deref()
        .is_some_and(|prior| equivalent_json(prior, trust_policy));
    if !same_trust {
        calls
            .update_trust_policy(trust_policy)
            .await
            .map_err(|error| explain_trust(&error, UPDATING, &name, trust_policy))?;
    }
    applied.record(|role| {
        role.trust = plan.trust.clone();
        role.assume_role_policy = plan.assume_role_policy.clone();
    });

    let duration = session_duration(&plan)?;
    let texts = |role: &Role| role.description.as_deref().unwrap_or_default().to_owned();
    if texts(&prior) != texts(&plan) || prior.max_session_duration != plan.max_session_duration {
        calls
            .update_role(&texts(&plan), duration)
            .await
            .map_err(|error| failed(&error, "Description or session duration", "description"))?;
    }
    applied.record(|role| {
        role.description = plan.description.clone();
        role.max_session_duration = plan.max_session_duration.clone();
        role.force_detach_policies = plan.force_detach_policies.clone();
        role.name_prefix = plan.name_prefix.clone();
    });

    let wanted_tags = to_map(&plan.tags_all);
    let tag_changes = changes(&to_map(&prior.tags_all), &wanted_tags);
    // IAM does not tell tag keys apart by case, and 50 tags are the limit: what goes must go first.
    if !tag_changes.remove.is_empty() {
        calls
            .untag(&tag_changes.remove)
            .await
            .map_err(|error| failed(&error, "A tag", "tags"))?;
    }
    applied.record(|role| {
        let mut tags = to_map(&role.tags_all);
        tags.retain(|key, _| !tag_changes.remove.contains(key));
        role.tags_all = Value::string_map(tags);
    });
    if !tag_changes.set.is_empty() {
        calls
            .tag(&tag_changes.set)
            .await
            .map_err(|error| failed(&error, "A tag", "tags"))?;
    }
    applied.record(|role| {
        role.tags = plan.tags.clone();
        role.tags_all = plan.tags_all.clone();
    });

    // A boundary limits what policies give, so a new one comes before them, and is taken away after they have changed.
    let boundary = plan.permissions_boundary.as_deref();
    let same_boundary = same_boundary(prior.permissions_boundary.as_deref(), boundary);
    let change_boundary = async || {
        calls
            .set_permissions_boundary(boundary)
            .await
            .map_err(|error| failed(&error, "The permissions boundary", "permissions_boundary"))
    };
    if !same_boundary && boundary.is_some() {
        change_boundary().await?;
        applied.record(|role| role.permissions_boundary = plan.permissions_boundary.clone());
    }
    set_policies(UPDATING, calls, &mut applied, &plan).await?;
    if !same_boundary && boundary.is_none() {
        change_boundary().await?;
    }
    applied.record(|role| role.permissions_boundary = plan.permissions_boundary.clone());
    Ok(())
}

/// Deletes the role with the policies that the state lists, or with everything it has if it must go.
pub(super) async fn delete(
    context: &Context<ProviderData>,
    request: &DeleteRequest,
    state: &mut Value,
) -> Result<(), Diagnostic> {
    let prior = Role::from_value(&request.prior_state, &Path::root())?;
    let Some(name) = prior.name.known().cloned() else {
        return Ok(());
    };
    let calls = Calls::new(context, &name);
    context.provider.forget_role(&name);
    let failed = |error: AwsError| {
        explain(
            &error,
            DELETING,
            &format!("{} was not deleted.", describe(&name)),
        )
    };
    let mut attached = strings(&prior.policy_arns);
    let mut inline: BTreeSet<String> = to_map(&prior.inline_policies).into_keys().collect();
    if prior.force_detach_policies.known() == Some(&true) {
        match calls.holdings().await {
            Ok(holdings) => {
                attached = holdings.attached;
                inline = holdings.inline;
                for profile in &holdings.instance_profiles {
                    calls
                        .leave_instance_profile(profile)
                        .await
                        .map_err(failed)?;
                }
            }
            Err(error) if error.is_not_found() => return Ok(()),
            Err(error) => return Err(failed(error)),
        }
    }
    let mut left = Applied::begin(context, prior, state);
    for arn in attached {
        calls.detach(&arn).await.map_err(failed)?;
        left.record(|role| role.policy_arns = without(&role.policy_arns, &arn));
    }
    for policy in inline {
        calls.delete_inline_policy(&policy).await.map_err(failed)?;
        left.record(|role| {
            let mut policies = to_map(&role.inline_policies);
            policies.remove(&policy);
            role.inline_policies = Value::string_map(policies);
        });
    }
    let deleted = calls.delete().await;
    context.provider.forget_role(&name);
    deleted.map_err(|(error, holdings)| {
        if holdings.is_empty() {
            return failed(error);
        }
        error.into_diagnostic(
            DELETING,
            &format!("{} was not deleted.", describe(&name)),
            &format!(
                "The role still has what this resource does not manage:\n{}\n\nRemove it, or set force_detach_policies = true, \
                 apply, and destroy again: then everything the role has is removed first.",
                holdings.lines()
            ),
        )
    })
}

/// Brings the policies of a role from those in the state to those in the plan: puts and attaches first, so that nothing
/// that stays allowed is interrupted.
async fn set_policies(
    summary: &str,
    calls: Calls<'_>,
    applied: &mut Applied<'_>,
    plan: &Role,
) -> Result<(), Diagnostic> {
    let name = applied.name();
    let wanted_inline = to_map(&plan.inline_policies);
    let wanted_arns = strings(&plan.policy_arns);
    for (policy, document) in &wanted_inline {
        let present = applied.role.inline_policies.get(policy).as_str();
        if present.is_some_and(|present| equivalent_json(present, document)) {
            continue;
        }
        let mut put = calls.put_inline_policy(policy, document).await;
        if is_full(&put) && remove_inline(summary, calls, applied, &wanted_inline).await? {
            put = calls.put_inline_policy(policy, document).await;
        }
        put.map_err(|error| explain_inline(&error, summary, &name, policy))?;
        applied.record(|role| {
            let mut policies = to_map(&role.inline_policies);
            policies.insert(policy.clone(), document.clone());
            role.inline_policies = Value::string_map(policies);
        });
    }
    for arn in &wanted_arns {
        if strings(&applied.role.policy_arns).contains(arn) {
            continue;
        }
        let mut attach = calls.attach(arn).await;
        if is_full(&attach) && detach(summary, calls, applied, &wanted_arns).await? {
            attach = calls.attach(arn).await;
        }
        attach.map_err(|error| explain_attach(&error, summary, &name, arn))?;
        applied.record(|role| {
            let mut arns = strings(&role.policy_arns);
            arns.insert(arn.clone());
            role.policy_arns = set(arns);
        });
    }
    detach(summary, calls, applied, &wanted_arns).await?;
    remove_inline(summary, calls, applied, &wanted_inline).await?;
    // The same documents and ARNs in the words of the plan.
    applied.record(|role| {
        role.inline_policies = plan.inline_policies.clone();
        role.policy_arns = plan.policy_arns.clone();
    });
    Ok(())
}

/// Detaches what is no longer wanted. Whether there was anything.
async fn detach(
    summary: &str,
    calls: Calls<'_>,
    applied: &mut Applied<'_>,
    wanted: &BTreeSet<String>,
) -> Result<bool, Diagnostic> {
    let mut unwanted = strings(&applied.role.policy_arns);
    unwanted.retain(|arn| !wanted.contains(arn));
    for arn in &unwanted {
        calls.detach(arn).await.map_err(|error| {
            let object = format!(
                "The policy {arn} was not detached from {}.",
                describe_inside(&applied.name())
            );
            explain(&error, summary, &object).at("policy_arns")
        })?;
        applied.record(|role| role.policy_arns = without(&role.policy_arns, arn));
    }
    Ok(!unwanted.is_empty())
}

/// Deletes inline policies that are no longer wanted. Whether there were any.
async fn remove_inline(
    summary: &str,
    calls: Calls<'_>,
    applied: &mut Applied<'_>,
    wanted: &BTreeMap<String, String>,
) -> Result<bool, Diagnostic> {
    let mut unwanted = to_map(&applied.role.inline_policies);
    unwanted.retain(|policy, _| !wanted.contains_key(policy));
    for policy in unwanted.keys() {
        calls.delete_inline_policy(policy).await.map_err(|error| {
            let object = format!(
                "The inline policy {policy:?} of {} was not deleted.",
                describe_inside(&applied.name())
            );
            explain(&error, summary, &object).at("inline_policies")
        })?;
        applied.record(|role| {
            let mut policies = to_map(&role.inline_policies);
            policies.remove(policy);
            role.inline_policies = Value::string_map(policies);
        });
    }
    Ok(!unwanted.is_empty())
}

/// A quota is reached that removing something may free.
fn is_full(result: &Result<(), AwsError>) -> bool {
    matches!(result, Err(error) if error.kind() == AwsErrorKind::QuotaExceeded)
}

/// The state as far as it is applied: written out, and made known to whoever looks the role up, after every step.
struct Applied<'a> {
    provider: &'a ProviderData,
    role: Role,
    state: &'a mut Value,
}

impl<'a> Applied<'a> {
    fn begin(context: &'a Context<ProviderData>, role: Role, state: &'a mut Value) -> Self {
        let mut applied = Self {
            provider: &context.provider,
            role,
            state,
        };
        applied.record(|_| {});
        applied
    }

    fn record(&mut self, change: impl FnOnce(&mut Role)) {
        change(&mut self.role);
        *self.state = self.role.clone().into_value();
        let text = |value: &Attr<String>| value.as_deref().unwrap_or_default().to_owned();
        self.provider.put_role(Arc::new(RoleInfo {
            name: text(&self.role.name),
            arn: text(&self.role.arn),
            path: text(&self.role.path),
            unique_id: text(&self.role.unique_id),
            create_date: text(&self.role.create_date),
            description: self.role.description.known().cloned(),
            max_session_duration: self
                .role
                .max_session_duration
                .known()
                .copied()
                .unwrap_or_default(),
            permissions_boundary: self.role.permissions_boundary.known().cloned(),
            assume_role_policy: text(&self.role.assume_role_policy),
            tags: to_map(&self.role.tags_all),
        }));
    }

    fn name(&self) -> String {
        self.role.name.as_deref().unwrap_or_default().to_owned()
    }
}

/// The plan with everything filled in that is known by now.
fn planned(context: &Context<ProviderData>, planned_state: &Value) -> Result<Role, Diagnostic> {
    let mut plan = Role::from_value(planned_state, &Path::root())?;
    if !plan.tags_all.is_wholly_known() {
        plan.tags_all = context.provider.plan_tags_all(&plan.tags);
    }
    if plan.assume_role_policy.is_unknown() {
        match trust::build(&plan.trust, &context.provider.service_principal()) {
            Built::Known(document) => plan.assume_role_policy = Attr::Known(document.to_json()),
            Built::NotYetKnown => return Err(missing("trust")),
            Built::Invalid(diagnostics) => {
                return Err(diagnostics
                    .into_iter()
                    .next()
                    .unwrap_or_else(|| missing("trust")));
            }
        }
    }
    Ok(plan)
}

fn trust_policy(plan: &Role) -> Result<&str, Diagnostic> {
    plan.assume_role_policy
        .as_deref()
        .ok_or_else(|| missing("assume_role_policy"))
}

fn session_duration(plan: &Role) -> Result<i64, Diagnostic> {
    plan.max_session_duration
        .known()
        .copied()
        .ok_or_else(|| missing("max_session_duration"))
}

fn strings(value: &Value) -> BTreeSet<String> {
    value
        .as_elements()
        .unwrap_or_default()
        .iter()
        .filter_map(|element| element.as_str().map(str::to_owned))
        .collect()
}

fn set(strings: BTreeSet<String>) -> Value {
    Value::set_of(strings.into_iter().map(Value::from))
}

fn without(value: &Value, text: &str) -> Value {
    let mut rest = strings(value);
    rest.remove(text);
    set(rest)
}

// === What the user is told ===

/// Whose role it is, inside a sentence.
fn describe_inside(name: &str) -> String {
    format!("the IAM role {name:?}")
}

fn explain(error: &AwsError, summary: &str, object: &str) -> Diagnostic {
    let next = match error.kind() {
        AwsErrorKind::NotFound if summary == UPDATING => {
            "It was probably deleted outside of Terraform since the plan was made. Plan again."
        }
        _ => "",
    };
    error.into_diagnostic(summary, object, next)
}

fn explain_create(new: &NewRole, error: &AwsError) -> Diagnostic {
    let name = &new.name;
    let object = format!("{} was not created.", describe(name));
    match error.code() {
        Some("EntityAlreadyExists") => error
            .into_diagnostic(
                CREATING,
                &object,
                &format!(
                    "The account has a role of this name already (letter case does not count). To manage it with this \
                     resource, import it:\n\n  terraform import <address of this resource> {name}\n\nor choose another name."
                ),
            )
            .at("name"),
        Some("MalformedPolicyDocument") => {
            explain_trust(error, CREATING, name, &new.trust_policy)
        }
        Some("LimitExceeded") if error.message().contains("ACLSizePerRole") => {
            explain_trust(error, CREATING, name, &new.trust_policy)
        }
        Some("NoSuchEntity" | "InvalidInput" | "PolicyNotAttachable")
            if new.permissions_boundary.is_some() =>
        {
            error
                .into_diagnostic(
                    CREATING,
                    &object,
                    "Check that the policy of permissions_boundary exists and is a managed policy of this account or of AWS.",
                )
                .at("permissions_boundary")
        }
        _ => explain(error, CREATING, &object),
    }
}

fn explain_trust(error: &AwsError, summary: &str, name: &str, trust_policy: &str) -> Diagnostic {
    let object = if summary == CREATING {
        format!(
            "{} was not created: IAM does not take its trust policy.",
            describe(name)
        )
    } else {
        format!(
            "The trust policy of {} was not changed.",
            describe_inside(name)
        )
    };
    let next = if error.message().contains("Invalid principal") {
        "Every role and user that a statement names as a principal must exist. One that was deleted and created again is \
         another one, and IAM shows the old one as an id (AROA…, AIDA…): name it by its ARN again."
            .to_owned()
    } else if error.kind() == AwsErrorKind::QuotaExceeded {
        format!(
            "The trust policy has {} characters without white space; IAM takes {TRUST_QUOTA_DEFAULT} unless the quota of the \
             account was raised (Service Quotas, IAM, L-C07B4B0D, up to {TRUST_QUOTA_MAX}). Name fewer clusters, namespaces \
             or service accounts, name several at once with wildcards, or use more than one role.",
            trust_size(trust_policy)
        )
    } else {
        String::new()
    };
    error
        .into_diagnostic(summary, &object, &next)
        .at(trust::NAME)
}

fn explain_inline(error: &AwsError, summary: &str, name: &str, policy: &str) -> Diagnostic {
    let object = format!(
        "The inline policy {policy:?} of {} was not set.",
        describe_inside(name)
    );
    let next = if error.kind() == AwsErrorKind::QuotaExceeded {
        "Move some of the inline policies into managed policies and list them in policy_arns."
    } else {
        ""
    };
    error
        .into_diagnostic(summary, &object, next)
        .at(Path::from("inline_policies").key(policy))
}

fn explain_attach(error: &AwsError, summary: &str, name: &str, arn: &str) -> Diagnostic {
    let object = format!(
        "The policy {arn} was not attached to {}.",
        describe_inside(name)
    );
    let next = match error.kind() {
        AwsErrorKind::NotFound => {
            "Check that the policy exists: the account, path and name in its ARN, and the partition (arn:aws, arn:aws-cn, …)."
        }
        AwsErrorKind::QuotaExceeded => {
            "Attach fewer policies, join some of them, or have the quota of managed policies for each role raised."
        }
        _ => "",
    };
    error
        .into_diagnostic(summary, &object, next)
        .at("policy_arns")
}
