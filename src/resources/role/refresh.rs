//! Reading a role into the state.

use std::collections::BTreeMap;

use futures_util::future::try_join_all;

use crate::aws::{AwsError, RoleInfo};
use crate::cty::{Path, Value};
use crate::framework::diagnostic::Diagnostic;
use crate::framework::model::{Attr, FromValue, IntoValue};
use crate::framework::resource::{ReadRequest, ReadResponse};
use crate::framework::{Context, Diagnostics};
use crate::policy::equivalent_json;
use crate::provider::ProviderData;

use super::api::Calls;
use super::schema::{Role, SERVICE_LINKED_PATH, no_inline_policies, no_policy_arns};
use super::unique_name::prefix_of;
use super::{IMPORTING, READING, describe, trust};

/// Refreshes: one `GetRole`, one `ListAttachedRolePolicies` if managed policies are listed in the state, and one
/// `GetRolePolicy` for each inline policy in it. After an import, everything that the role has is taken into the state.
pub(super) async fn read(
    context: &Context<ProviderData>,
    request: &ReadRequest,
    response: &mut ReadResponse,
) -> Result<(), Diagnostic> {
    let prior = Role::from_value(&request.current_state, &Path::root())?;
    let Some(name) = prior.name.as_deref() else {
        return Err(Diagnostic::provider_bug(
            "The state of a role holds no name.",
        ));
    };
    let importing = prior.arn.is_null();
    let failed = |error: AwsError| {
        let summary = if importing { IMPORTING } else { READING };
        error.into_diagnostic(
            summary,
            &format!("{} could not be read.", describe(name)),
            "",
        )
    };
    let remote = match context.provider.read_role(&context.cancel, name).await {
        Ok(Some(remote)) => remote,
        Ok(None) => {
            response.state = Value::Null;
            return Ok(());
        }
        Err(error) if error.is_not_yet_known() && !importing => {
            stays_as_it_was(name, &error, &mut response.diagnostics);
            return Ok(());
        }
        Err(error) => return Err(failed(error)),
    };
    if importing && remote.path.starts_with(SERVICE_LINKED_PATH) {
        return Err(Diagnostic::error(
            IMPORTING,
            format!(
                "{} is a service-linked role ({}): an AWS service created it, and only that service can change it. It \
                 cannot be managed with Terraform.",
                describe(name),
                remote.arn
            ),
        ));
    }
    let calls = Calls::new(context, name);
    let policies = if importing {
        Policies::all(calls).await
    } else {
        Policies::managed(calls, &prior).await
    };
    let policies = policies.map_err(failed)?;
    response.state = state(&context.provider, &prior, &remote, policies).into_value();
    Ok(())
}

fn stays_as_it_was(name: &str, error: &AwsError, diagnostics: &mut Diagnostics) {
    diagnostics.warning(
        "IAM role not refreshed",
        format!(
            "{} is planned as it was last seen: {error}.",
            describe(name)
        ),
    );
}

/// The managed and inline policies of a role that go into the state.
struct Policies {
    attached: Value,
    inline: Value,
}

impl Policies {
    /// Those in the state that the role still has.
    async fn managed(calls: Calls<'_>, prior: &Role) -> Result<Self, AwsError> {
        let listed = prior.policy_arns.as_elements().unwrap_or_default();
        let attached = if listed.is_empty() {
            no_policy_arns()
        } else {
            let attached = calls.attached().await?;
            Value::set_of(
                listed
                    .iter()
                    .filter(|arn| arn.as_str().is_some_and(|arn| attached.contains(arn)))
                    .cloned(),
            )
        };
        let documents = prior.inline_policies.as_entries();
        let inline = inline(calls, documents.into_iter().flatten().map(|(name, _)| name)).await?;
        Ok(Self {
            attached,
            inline: keep_spelling(prior, inline),
        })
    }

    /// All that the role has.
    async fn all(calls: Calls<'_>) -> Result<Self, AwsError> {
        let names = calls.inline_names().await?;
        Ok(Self {
            attached: Value::set_of(calls.attached().await?.into_iter().map(Value::from)),
            inline: Value::string_map(inline(calls, names.iter()).await?),
        })
    }
}

async fn inline(
    calls: Calls<'_>,
    names: impl Iterator<Item = &String>,
) -> Result<BTreeMap<String, String>, AwsError> {
    let reads = names.map(|name| async move {
        let document = calls.inline_policy(name).await?;
        Ok::<_, AwsError>(document.map(|document| (name.clone(), document)))
    });
    Ok(try_join_all(reads).await?.into_iter().flatten().collect())
}

/// Keeps the state's text of every inline policy that means the same.
fn keep_spelling(prior: &Role, inline: BTreeMap<String, String>) -> Value {
    if inline.is_empty() {
        return no_inline_policies();
    }
    Value::string_map(inline.into_iter().map(|(name, document)| {
        let text = match prior.inline_policies.get(&name).as_str() {
            Some(before) if equivalent_json(before, &document) => before.to_owned(),
            _ => document,
        };
        (name, text)
    }))
}

/// The state of a role as IAM shows it; what IAM does not know comes from the prior state.
fn state(provider: &ProviderData, prior: &Role, remote: &RoleInfo, policies: Policies) -> Role {
    let text = |text: &str| Attr::Known(text.to_owned());
    let tags = provider.read_tags(&remote.tags, &prior.tags);
    let known = prior.assume_role_policy.as_deref();
    let (trust, trust_policy) = match known {
        Some(known) if equivalent_json(known, &remote.assume_role_policy) => {
            (prior.trust.clone(), known.to_owned())
        }
        // Imported, or changed by somebody else: say what the document says.
        _ => (
            trust::infer(&remote.assume_role_policy, &provider.service_principal()),
            remote.assume_role_policy.clone(),
        ),
    };
    Role {
        description: match &remote.description {
            Some(description) => text(description),
            // IAM does not tell an empty description from none.
            None if prior.description.as_deref() == Some("") => prior.description.clone(),
            None => Attr::Null,
        },
        force_detach_policies: Attr::Known(
            prior
                .force_detach_policies
                .known()
                .copied()
                .unwrap_or_default(),
        ),
        inline_policies: policies.inline,
        max_session_duration: Attr::Known(remote.max_session_duration),
        name: text(&remote.name),
        name_prefix: if prior.arn.is_null() {
            Attr::from(prefix_of(&remote.name).map(str::to_owned))
        } else {
            prior.name_prefix.clone()
        },
        path: text(&remote.path),
        permissions_boundary: Attr::from(remote.permissions_boundary.clone()),
        policy_arns: policies.attached,
        tags: tags.tags,
        trust,
        arn: text(&remote.arn),
        assume_role_policy: Attr::Known(trust_policy),
        create_date: text(&remote.create_date),
        id: text(&remote.name),
        tags_all: tags.tags_all,
        unique_id: text(&remote.unique_id),
    }
}
