//! Statements that a migration may have in trust policies besides the one of its present role, scope and session tags: kept in
//! private state from before the statement for other settings is added until the one that is not needed is taken away, so
//! that an apply that stops in between forgets neither.

use serde_json::{Value as Json, json};

use crate::framework::Private;
use crate::framework::model::Attr;
use crate::policy::{Grant, Scope, equivalent_arns};

use super::ours;
use super::schema::Migration;
use super::unit::scope_of;

/// Key of private state: what trust was given to roles other than the present one, or is about to be.
const FORMER: &str = "former_trust";
/// Key of private state: what of that could not be taken away. It is no reason for another apply, so plans do not look at it; a
/// rollback tries once more.
const LEFT: &str = "left_trust";

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
            session_tags: migration.disable_session_tags != Attr::Known(true)
                && !migration.policy.is_known(),
        })
    }

    /// Whether both are one statement of one role.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        equivalent_arns(&self.role_arn, &other.role_arn)
            && self.scope == other.scope
            && (self.session_tags == other.session_tags || self.scope != Scope::Cluster)
    }

    /// The grant, for the service account of another one.
    pub(super) fn grant(&self, like: &Grant) -> Grant {
        Grant {
            scope: self.scope,
            session_tags: self.session_tags,
            ..like.clone()
        }
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
pub(super) fn all(private: &Private) -> Vec<Former> {
    load(private, FORMER)
}

/// Replaces what is remembered.
pub(super) fn set(private: &mut Private, all: &[Former]) {
    save(private, FORMER, all);
}

/// Remembers what may have to be taken away.
pub(super) fn remember(private: &mut Private, former: Former) {
    add(private, FORMER, former);
}

/// Remembers for a rollback what could not be taken away.
pub(super) fn leave(private: &mut Private, former: Former) {
    add(private, LEFT, former);
}

/// Notes that one is taken away.
pub(super) fn taken(private: &mut Private, former: &Former) {
    let mut left = load(private, LEFT);
    left.retain(|known| !known.is_same(former));
    save(private, LEFT, &left);
}

/// What a rollback has to take away, by role: the statement of the present role, and everything that is remembered.
pub(super) fn by_role(
    private: &Private,
    role_arn: &str,
    present: &Grant,
) -> Vec<(String, Vec<Grant>)> {
    let mut roles = vec![(
        role_arn.to_owned(),
        vec![present.narrowed(), present.clone()],
    )];
    for former in [all(private), load(private, LEFT)].concat() {
        let grant = former.grant(present);
        match roles
            .iter_mut()
            .find(|(arn, _)| equivalent_arns(arn, &former.role_arn))
        {
            Some((_, grants)) if grants.contains(&grant) => {}
            Some((_, grants)) => grants.push(grant),
            None => roles.push((former.role_arn, vec![present.narrowed(), grant])),
        }
    }
    roles
}

fn load(private: &Private, key: &str) -> Vec<Former> {
    private
        .get(key)
        .and_then(Json::as_array)
        .into_iter()
        .flatten()
        .filter_map(Former::from_json)
        .collect()
}

fn save(private: &mut Private, key: &str, all: &[Former]) {
    if all.is_empty() {
        private.remove(key);
    } else {
        private.set(key, Json::from_iter(all.iter().map(Former::to_json)));
    }
}

fn add(private: &mut Private, key: &str, former: Former) {
    let mut known = load(private, key);
    if !known.contains(&former) {
        known.push(former);
        save(private, key, &known);
    }
}

/// Whether anything is remembered but the present one.
pub(super) fn is_pending(private: &Private, present: Option<&Former>) -> bool {
    all(private)
        .iter()
        .any(|former| !present.is_some_and(|present| former.is_same(present)))
}

/// What is remembered of a role, but for the statement of the present grant.
pub(super) fn on(private: &Private, role_arn: &str, present: &Grant) -> Vec<Grant> {
    all(private)
        .iter()
        .filter(|former| equivalent_arns(&former.role_arn, role_arn))
        .map(|former| former.grant(present))
        .filter(|grant| !grant.shares_statement(present))
        .collect()
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
        assert!(is_pending(&private, Some(&former("a"))));
        assert!(is_pending(&private, None));
        set(&mut private, &[former("a")]);
        assert!(!is_pending(&private, Some(&former("a"))));
        set(&mut private, &[]);
        assert_eq!(private, Private::default());
    }

    #[test]
    fn what_is_left_is_for_a_rollback_alone() {
        let cluster =
            crate::policy::ClusterArn::parse("arn:aws:eks:us-east-1:123456789012:cluster/demo")
                .unwrap();
        let present = former("a").grant(&Grant::new(cluster, "payments", "api"));
        let roles = |private: &Private| -> Vec<(String, usize)> {
            by_role(private, &former("a").role_arn, &present)
                .into_iter()
                .map(|(arn, grants)| (arn, grants.len()))
                .collect()
        };
        let of = |role: &str, grants| (former(role).role_arn, grants);
        let mut private = Private::default();
        assert_eq!(roles(&private), [of("a", 2)]);
        for role in ["b", "b", "a"] {
            leave(&mut private, former(role));
        }
        assert!(!is_pending(&private, Some(&former("a"))) && all(&private).is_empty());
        assert_eq!(roles(&private), [of("a", 2), of("b", 2)]);
        remember(&mut private, former("c"));
        assert_eq!(roles(&private), [of("a", 2), of("c", 2), of("b", 2)]);
        for role in ["a", "b"] {
            taken(&mut private, &former(role));
        }
        set(&mut private, &[]);
        assert_eq!(private, Private::default());
    }

    #[test]
    fn other_scopes_and_session_tags_of_one_role_are_others() {
        let cluster =
            crate::policy::ClusterArn::parse("arn:aws:eks:us-east-1:123456789012:cluster/demo")
                .unwrap();
        let with = |scope, session_tags| Former {
            scope,
            session_tags,
            ..former("a")
        };
        let wide = with(Scope::Cluster, true);
        let narrow = with(Scope::ServiceAccount, true);
        assert!(!wide.is_same(&narrow) && !wide.is_same(&with(Scope::Cluster, false)));
        assert!(narrow.is_same(&with(Scope::ServiceAccount, false)));
        assert!(!wide.is_same(&former("b")) && wide.is_same(&former("a")));

        let mut private = Private::default();
        for former in [former("b"), wide.clone(), narrow.clone()] {
            remember(&mut private, former);
        }
        assert!(is_pending(&private, Some(&wide)));
        let present = wide.grant(&Grant::new(cluster, "payments", "api"));
        assert_eq!(
            on(&private, &wide.role_arn, &present),
            [narrow.grant(&present)],
            "but for the present one"
        );
        assert_eq!(on(&private, &former("c").role_arn, &present), []);
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
