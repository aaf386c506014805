//! Reading the roles of service accounts, and the policies that say what those may do.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures_util::future::join_all;

use crate::aws::facts::url_decode;
use crate::aws::{AwsError, AwsErrorKind, ClusterInfo, read};
use crate::framework::Context;
use crate::migration::facts::{ClusterFacts, Compute, RoleFacts};
use crate::migration::preflight::permissions::{allowed, exact_role};
use crate::policy::arn::{ClusterArn, RoleArn};
use crate::policy::size::{TRUST_QUOTA_DEFAULT, trust_size};
use crate::policy::{ASSUME_ROLE, Document};
use crate::provider::ProviderData;

/// The role that the annotation or the configuration names: one `GetRole` per role and process.
///
/// EKS takes only roles of the cluster's account, so others are not asked for: a role of the same name in this account would be another.
pub async fn role(
    context: &Context<ProviderData>,
    cluster: &ClusterInfo,
    named: Option<&str>,
) -> RoleFacts {
    let Some(text) = named else {
        return RoleFacts::NotNamed;
    };
    readable_role(context, cluster, text)
        .await
        .unwrap_or_else(|error| not_read(text, &error))
}

/// [`role`], where only a refusal is something that can be told of the role: any other failure says nothing about it, and would be
/// another one, or none, the next time.
///
/// # Errors
/// What IAM answers, except that access is denied.
pub async fn readable_role(
    context: &Context<ProviderData>,
    cluster: &ClusterInfo,
    text: &str,
) -> Result<RoleFacts, AwsError> {
    let Ok(arn) = RoleArn::parse(text) else {
        return Ok(RoleFacts::Invalid {
            text: text.to_owned(),
        });
    };
    if let Ok(cluster) = ClusterArn::parse(&cluster.arn)
        && (cluster.account != arn.account || cluster.partition != arn.partition)
    {
        return Ok(RoleFacts::OtherAccount {
            arn: text.to_owned(),
        });
    }
    Ok(
        match context.provider.role(&context.cancel, &arn.name).await {
            Ok(None) => RoleFacts::NotFound {
                arn: text.to_owned(),
            },
            Ok(Some(role)) => match RoleArn::parse(&role.arn) {
                Ok(found) if found.account != arn.account => RoleFacts::NotRead {
                    arn: text.to_owned(),
                    why: format!("the credentials belong to the account {}", found.account),
                },
                // Names are unique whatever the path, but an ARN with another path names nothing.
                Ok(found) if found != arn => RoleFacts::NotFound {
                    arn: text.to_owned(),
                },
                _ => RoleFacts::Found(role),
            },
            Err(error) if error.kind() == AwsErrorKind::AccessDenied => not_read(text, &error),
            Err(error) => return Err(error),
        },
    )
}

fn not_read(text: &str, error: &AwsError) -> RoleFacts {
    RoleFacts::NotRead {
        arn: text.to_owned(),
        why: why(error, "iam:GetRole"),
    }
}

/// Why a call failed, in words that are the same each time: findings must not change from plan to apply.
fn why(error: &AwsError, action: &str) -> String {
    match error.kind() {
        AwsErrorKind::AccessDenied => format!("the credentials may not call {action}"),
        AwsErrorKind::NotYetKnown => "the provider's configuration is not known yet".to_owned(),
        _ => match error.code() {
            Some(code) => format!("{action} answered {code}"),
            None => format!("{action} failed"),
        },
    }
}

/// How many characters a trust policy may have in this account; `None` if that cannot be read, or if no role has so long a one that it
/// matters.
pub async fn trust_quota<'a>(
    context: &Context<ProviderData>,
    roles: impl IntoIterator<Item = &'a RoleFacts>,
) -> Option<usize> {
    let matters = roles.into_iter().any(|role| match role {
        RoleFacts::Found(role) => trust_size(&role.assume_role_policy) > TRUST_QUOTA_DEFAULT / 2,
        _ => false,
    });
    if !matters {
        return None;
    }
    let quota = context.provider.trust_quota(&context.cancel).await;
    quota
        .inspect_err(|error| tracing::debug!(%error, "the quota of trust policies is not known"))
        .ok()
}

/// What the policies of a role say.
#[derive(Clone, Debug, Default)]
pub struct RolePolicies {
    /// Inline and attached policies, and the permissions boundary.
    pub policies: Vec<RolePolicy>,
    /// The roles of the same account that it may assume by their ARN.
    pub targets: BTreeMap<String, Target>,
    /// What could not be read, as sentences.
    pub not_read: BTreeSet<String>,
}

/// A policy of a role.
#[derive(Clone, Debug)]
pub struct RolePolicy {
    /// What it is, as the start of a sentence: `The inline policy "s3"`.
    pub what: String,
    /// Whether it gives permissions; the permissions boundary only limits them.
    pub allows: bool,
    /// What it says.
    pub document: Document,
}

/// A role that the role may assume.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Target {
    /// It has this trust policy, JSON.
    Trust(String),
    /// There is no such role.
    Missing,
    /// It could not be read.
    NotRead,
}

/// The target role of a configuration, as far as this account can tell.
#[derive(Clone, Debug)]
pub struct TargetRole {
    /// Its trust policy.
    pub trust: Target,
    /// What its policies say; `None` if they could not be read.
    pub policies: Option<Arc<RolePolicies>>,
}

/// The target role, if it is in the account of the role that assumes it: others cannot be looked at. Nor can one whose trust policy is
/// known only once this run has written it.
pub async fn target(
    context: &Context<ProviderData>,
    source: &str,
    target: Option<&str>,
) -> Option<TargetRole> {
    let source = RoleArn::parse(source).ok()?;
    let target = RoleArn::parse(target?).ok()?;
    if target.account != source.account || target.partition != source.partition {
        return None;
    }
    let planned = context.provider.planned_trusts().of(&target.name);
    let trust = match context.provider.role(&context.cancel, &target.name).await {
        // This run is going to create or change it.
        _ if planned.is_some() => Target::Trust(planned??.to_json()),
        Ok(Some(found)) if found.arn == target.to_string() => {
            Target::Trust(found.assume_role_policy.clone())
        }
        Ok(_) => Target::Missing,
        Err(error) => {
            tracing::debug!(role = target.name, %error, "the target role could not be read");
            Target::NotRead
        }
    };
    let policies = match &trust {
        Target::Trust(_) => policies(context, &target.name).await.ok(),
        _ => None,
    };
    Some(TargetRole { trust, policies })
}

/// Inline and attached policies of a role, and the trust policies of the roles that it may assume: read once per role and process.
///
/// That is several calls per role, so it is for the migration of a service account and not for an inventory of all of them. What may not
/// be read is noted and no error.
///
/// # Errors
/// What IAM answers, except that access is denied or something does not exist.
pub async fn policies(
    context: &Context<ProviderData>,
    role_name: &str,
) -> Result<Arc<RolePolicies>, AwsError> {
    context
        .provider
        .role_policies()
        .get(role_name.to_owned(), || async {
            Reader {
                context,
                role: role_name,
                found: RolePolicies::default(),
            }
            .all()
            .await
            .map(Arc::new)
        })
        .await
}

/// What the agent calls with the role of its node. Source: "Set up the Amazon EKS Pod Identity Agent" in the EKS user guide.
pub const AGENT_ACTION: &str = "eks-auth:AssumeRoleForPodIdentity";
/// The label of nodes that EKS gives those of managed node groups.
const NODE_GROUP: &str = "eks.amazonaws.com/nodegroup";
/// Node groups looked at; clusters have 30 unless the quota was raised.
const NODE_GROUPS: usize = 30;

/// Roles of managed node groups whose policies do not let the agent ask for credentials. What may not be read is left out: that the
/// agent works is what counts, and this only tells sooner.
pub async fn node_roles(
    context: &Context<ProviderData>,
    cluster: &ClusterFacts,
) -> BTreeSet<String> {
    let groups: BTreeSet<&String> = cluster
        .nodes
        .iter()
        .flat_map(BTreeMap::values)
        .filter(|node| node.ready && !node.windows && node.compute == Compute::Ec2)
        .filter_map(|node| node.labels.get(NODE_GROUP))
        .collect();
    let name = &cluster.cluster.name;
    let asked = groups.into_iter().take(NODE_GROUPS);
    let found =
        join_all(asked.map(|group| context.provider.node_role(&context.cancel, name, group)));
    let arns: BTreeSet<String> = found.await.into_iter().flatten().flatten().collect();
    let mut without = BTreeSet::new();
    for arn in arns {
        let Ok(role) = RoleArn::parse(&arn) else {
            continue;
        };
        if let Ok(policies) = policies(context, &role.name).await
            && policies.not_read.is_empty()
            && allowed(&policies.policies, AGENT_ACTION).is_empty()
        {
            without.insert(arn);
        }
    }
    without
}

struct Reader<'a> {
    context: &'a Context<ProviderData>,
    role: &'a str,
    found: RolePolicies,
}

impl Reader<'_> {
    async fn all(mut self) -> Result<RolePolicies, AwsError> {
        self.inline().await?;
        self.attached().await?;
        self.boundary().await?;
        self.targets().await?;
        Ok(self.found)
    }

    /// The answer, or nothing when it is refused, which is noted, or when what was asked for is gone.
    fn answer<T>(
        &mut self,
        answer: Result<T, AwsError>,
        action: &str,
        what: &str,
    ) -> Result<Option<T>, AwsError> {
        match answer {
            Ok(answer) => Ok(Some(answer)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) if error.kind() == AwsErrorKind::AccessDenied => {
                self.found.not_read.insert(format!(
                    "{what} of the role {} cannot be read because the credentials may not call {action}, so whether pods assume \
                     further roles or depend on the session is not known.",
                    self.role
                ));
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    async fn inline(&mut self) -> Result<(), AwsError> {
        let iam = self.context.provider.iam()?.clone();
        let cancel = &self.context.cancel;
        let mut marker = None;
        loop {
            let call = iam
                .list_role_policies()
                .role_name(self.role)
                .set_marker(marker)
                .send();
            let answer = read(cancel, call).await;
            let Some(page) = self.answer(answer, "iam:ListRolePolicies", "The inline policies")?
            else {
                return Ok(());
            };
            for name in page.policy_names() {
                let call = iam
                    .get_role_policy()
                    .role_name(self.role)
                    .policy_name(name)
                    .send();
                let answer = read(cancel, call).await;
                if let Some(policy) =
                    self.answer(answer, "iam:GetRolePolicy", "The inline policies")?
                {
                    self.add(
                        format!("The inline policy {name:?}"),
                        true,
                        &url_decode(policy.policy_document()),
                    );
                }
            }
            marker = page
                .marker()
                .filter(|_| page.is_truncated())
                .map(str::to_owned);
            if marker.is_none() {
                return Ok(());
            }
        }
    }

    async fn attached(&mut self) -> Result<(), AwsError> {
        let iam = self.context.provider.iam()?.clone();
        let cancel = &self.context.cancel;
        let mut marker = None;
        loop {
            let call = iam
                .list_attached_role_policies()
                .role_name(self.role)
                .set_marker(marker)
                .send();
            let answer = read(cancel, call).await;
            let Some(page) = self.answer(
                answer,
                "iam:ListAttachedRolePolicies",
                "The attached policies",
            )?
            else {
                return Ok(());
            };
            for arn in page
                .attached_policies()
                .iter()
                .filter_map(|policy| policy.policy_arn())
            {
                self.managed(arn, "The policy", true).await?;
            }
            marker = page
                .marker()
                .filter(|_| page.is_truncated())
                .map(str::to_owned);
            if marker.is_none() {
                return Ok(());
            }
        }
    }

    async fn boundary(&mut self) -> Result<(), AwsError> {
        let role = self
            .context
            .provider
            .role(&self.context.cancel, self.role)
            .await;
        let role = self.answer(role, "iam:GetRole", "The permissions boundary")?;
        if let Some(arn) = role
            .flatten()
            .and_then(|role| role.permissions_boundary.clone())
        {
            self.managed(&arn, "The permissions boundary", false)
                .await?;
        }
        Ok(())
    }

    async fn managed(&mut self, arn: &str, what: &str, allows: bool) -> Result<(), AwsError> {
        let iam = self.context.provider.iam()?.clone();
        let cancel = &self.context.cancel;
        let answer = read(cancel, iam.get_policy().policy_arn(arn).send()).await;
        let policy = self.answer(answer, "iam:GetPolicy", "The attached policies")?;
        let version = policy.and_then(|policy| policy.policy?.default_version_id);
        let Some(version) = version else {
            return Ok(());
        };
        let call = iam
            .get_policy_version()
            .policy_arn(arn)
            .version_id(version)
            .send();
        let answer = read(cancel, call).await;
        let version = self.answer(answer, "iam:GetPolicyVersion", "The attached policies")?;
        if let Some(document) = version.and_then(|version| version.policy_version?.document) {
            self.add(format!("{what} {arn}"), allows, &url_decode(&document));
        }
        Ok(())
    }

    fn add(&mut self, what: String, allows: bool, text: &str) {
        match Document::parse(text) {
            Ok(document) => self.found.policies.push(RolePolicy {
                what,
                allows,
                document,
            }),
            Err(error) => {
                self.found.not_read.insert(format!(
                    "{what} of the role {} cannot be read: {error}.",
                    self.role
                ));
            }
        }
    }

    /// Reads the trust policies of the roles of this account that the role may assume by their ARN.
    async fn targets(&mut self) -> Result<(), AwsError> {
        let context = self.context;
        let Ok(Some(role)) = context.provider.role(&context.cancel, self.role).await else {
            return Ok(());
        };
        let Ok(itself) = RoleArn::parse(&role.arn) else {
            return Ok(());
        };
        for resource in allowed(&self.found.policies, ASSUME_ROLE) {
            let Some(target) = exact_role(&resource)
                .filter(|target| target.account == itself.account && *target != itself)
            else {
                continue;
            };
            let facts = match context.provider.role(&context.cancel, &target.name).await {
                Ok(Some(found)) if found.arn == resource => {
                    Target::Trust(found.assume_role_policy.clone())
                }
                Ok(_) => Target::Missing,
                Err(error) if error.kind() == AwsErrorKind::AccessDenied => Target::NotRead,
                Err(error) => return Err(error),
            };
            self.found.targets.insert(resource, facts);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
