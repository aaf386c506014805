//! Roles whose trust policies a migration may have a statement in besides the one of its present role: kept in private state
//! from before the statement for another role is added until the one that is not needed is taken away, so that an apply
//! that stops in between forgets neither.

use serde_json::{Value as Json, json};

use crate::framework::diagnostic::Diagnostics;
use crate::framework::model::Attr;
use crate::framework::{Context, Private};
use crate::policy::{ClusterArn, Grant, RoleArn, Scope, equivalent_arns};
use crate::provider::ProviderData;

use super::ours;
use super::schema::Migration;
use super::unit::{Unit, scope_of};

/// Key of private state: what trust was given to roles other than the present one, or is about to be.
const FORMER: &str = "former_trust";

/// A statement that a migration may have put into a role's trust policy.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Former {
    pub(super) role_arn: String,
    pub(super) scope: Scope,
    pub(super) session_tags: bool,
}

impl Former {
    /// What a plan or state asks for; `None` if it names no role, or leaves the trust policy to somebody else.
    pub(super) fn of(migration: &Migration) -> Option<Self> {
        if ours::verifies_trust(migration) {
            return None;
        }
        Some(Self {
            role_arn: migration.role_arn.known()?.clone(),
            scope: scope_of(migration),
            session_tags: migration.disable_session_tags != Attr::Known(true),
        })
    }

    fn is_for(&self, role_arn: &str) -> bool {
        equivalent_arns(&self.role_arn, role_arn)
    }

    fn grant(
        &self,
        context: &Context<ProviderData>,
        cluster_arn: &str,
        unit: &Unit,
    ) -> Option<Grant> {
        let arn = ClusterArn::parse(cluster_arn).ok()?;
        let mut grant = Grant::new(arn, &unit.namespace, &unit.service_account);
        grant.scope = self.scope;
        grant.session_tags = self.session_tags;
        grant.service_principal = context.provider.service_principal().into_known()?;
        Some(grant)
    }

    fn to_json(&self) -> Json {
        json!({
            "role_arn": self.role_arn,
            "scope": self.scope.as_str(),
            "session_tags": self.session_tags,
        })
    }

    fn from_json(json: &Json) -> Option<Self> {
        Some(Self {
            role_arn: json.get("role_arn")?.as_str()?.to_owned(),
            scope: json.get("scope")?.as_str()?.parse().ok()?,
            session_tags: json.get("session_tags")?.as_bool()?,
        })
    }
}

/// What is remembered.
fn all(private: &Private) -> Vec<Former> {
    private
        .get(FORMER)
        .and_then(Json::as_array)
        .into_iter()
        .flatten()
        .filter_map(Former::from_json)
        .collect()
}

fn set(private: &mut Private, all: &[Former]) {
    if all.is_empty() {
        private.remove(FORMER);
    } else {
        private.set(FORMER, Json::from_iter(all.iter().map(Former::to_json)));
    }
}

/// Remembers what may have to be taken away.
pub(super) fn remember(private: &mut Private, former: Former) {
    let mut known = all(private);
    if !known.contains(&former) {
        known.push(former);
        set(private, &known);
    }
}

/// Whether anything is remembered of a role other than this one.
pub(super) fn is_pending(private: &Private, role_arn: Option<&str>) -> bool {
    all(private)
        .iter()
        .any(|former| !role_arn.is_some_and(|arn| former.is_for(arn)))
}

/// Takes away what is remembered of roles other than this one, and forgets it, unless that was interrupted. What could not
/// be taken away is a warning.
pub(super) async fn revoke(
    context: &Context<ProviderData>,
    unit: &Unit,
    cluster_arn: &str,
    role_arn: &str,
    private: &mut Private,
    diagnostics: &mut Diagnostics,
) {
    let mut kept = Vec::new();
    for former in all(private) {
        if former.is_for(role_arn) {
            continue;
        }
        let (Ok(role), Some(grant)) = (
            RoleArn::parse(&former.role_arn),
            former.grant(context, cluster_arn, unit),
        ) else {
            continue;
        };
        let why = match ours::revoke(context, unit, &role.name, &grant).await {
            Ok(why) => why,
            Err(diagnostic) => {
                if context.cancel.is_cancelled() {
                    kept.push(former.clone());
                }
                Some(diagnostic.detail)
            }
        };
        if let Some(why) = why {
            diagnostics.warning(
                "Trust of the former role stays",
                format!(
                    "The statement for EKS Pod Identity was not taken from {}: {why}",
                    former.role_arn
                ),
            );
        }
    }
    set(private, &kept);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn former(role: &str) -> Former {
        Former {
            role_arn: format!("arn:aws:iam::123456789012:role/{role}"),
            scope: Scope::Cluster,
            session_tags: true,
        }
    }

    #[test]
    fn remembers_each_once_until_it_is_done() {
        let mut private = Private::default();
        assert!(!is_pending(&private, None));
        for role in ["a", "b", "a"] {
            remember(&mut private, former(role));
        }
        assert_eq!(all(&private), [former("a"), former("b")]);
        assert!(is_pending(&private, Some(&former("a").role_arn)));
        assert!(is_pending(&private, None));
        set(&mut private, &[former("a")]);
        assert!(!is_pending(&private, Some(&former("a").role_arn)));
        set(&mut private, &[]);
        assert_eq!(private, Private::default());
    }

    #[test]
    fn what_is_only_verified_is_not_ours() {
        let mut migration = Migration {
            role_arn: former("a").role_arn.as_str().into(),
            trust: Attr::Known(super::super::schema::default_trust()),
            ..Migration::default()
        };
        assert_eq!(
            Former::of(&migration),
            Some(Former {
                scope: Scope::ServiceAccount,
                ..former("a")
            })
        );
        if let Attr::Known(trust) = &mut migration.trust {
            trust.mode = super::super::schema::TRUST_VERIFY.into();
        }
        assert_eq!(Former::of(&migration), None);
    }
}
