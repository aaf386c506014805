//! The role annotation of a service account: taking it away and putting it back.
//!
//! Everything is a merge patch of `metadata.annotations` that carries the resource version it was decided on. Nothing else
//! of the object is ever sent, so its secrets, pull secrets, labels and other annotations cannot change, and whoever
//! writes in between makes the API answer 409: then the object is read again and everything is decided again.
//!
//! What is taken away is kept in an annotation of ours, the breadcrumb, written by the same patch. It outlives a lost
//! state: a later run finds there what to put back.

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::api::core::v1::ServiceAccount;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json, json};
use tokio_util::sync::CancellationToken;

use crate::aws::retry::Schedule;
use crate::framework::Diagnostic;
use crate::framework::diagnostic::capitalised;
use crate::kubernetes::{ClusterApi, KubernetesError, PatchKind};
use crate::migration::facts::{AUDIENCE, ROLE_ARN, ServiceAccountFacts};
use crate::policy::equivalent_arns;

/// Key of the annotation that keeps what a migration took away.
pub const BREADCRUMB: &str = "terraform-provider-podidentity/irsa-migration";

/// How often a patch is decided anew because somebody else wrote in between.
const ATTEMPTS: u32 = 10;
/// The pauses between these.
const PAUSES: Schedule = Schedule {
    first: Duration::from_millis(50),
    greatest: Duration::from_secs(2),
};

/// What a migration took away from a service account and its role.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Breadcrumb {
    /// Annotations by key, as they were.
    #[serde(default)]
    pub annotations: BTreeMap<String, String>,
    /// A role's trust policy before the OIDC subject was removed, if that was going to be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trust_policy: Option<String>,
    /// ARN of the role that has this trust policy. Breadcrumbs of earlier versions do not say it.
    #[serde(default, rename = "role_arn", skip_serializing_if = "Option::is_none")]
    pub trusting_role_arn: Option<String>,
}

impl Breadcrumb {
    /// The role that the annotation named.
    #[must_use]
    pub fn role_arn(&self) -> Option<&str> {
        self.annotations.get(ROLE_ARN).map(String::as_str)
    }

    /// The noted trust policy, if it is that of this role. One without a role counts as this one's.
    #[must_use]
    pub fn trust_policy_of(&self, role_arn: &str) -> Option<&str> {
        let of_another = self
            .trusting_role_arn
            .as_deref()
            .is_some_and(|noted| !equivalent_arns(noted, role_arn));
        self.trust_policy.as_deref().filter(|_| !of_another)
    }

    fn is_empty(&self) -> bool {
        self.annotations.is_empty() && self.trust_policy.is_none()
    }
}

/// What became of a service account.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Change {
    /// It was patched, and is like this now.
    Patched(ServiceAccountNow),
    /// Nothing was left to do.
    Unchanged(ServiceAccountNow),
}

impl Change {
    /// What it is like now.
    #[must_use]
    pub fn now(&self) -> &ServiceAccountNow {
        match self {
            Self::Patched(now) | Self::Unchanged(now) => now,
        }
    }

    /// Whether it was patched.
    #[must_use]
    pub fn is_patched(&self) -> bool {
        matches!(self, Self::Patched(_))
    }
}

/// A service account after a step.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct ServiceAccountNow {
    /// All its annotations.
    pub annotations: BTreeMap<String, String>,
    /// Its breadcrumb, if it has one.
    pub breadcrumb: Option<Breadcrumb>,
    /// Annotations that were to be put back and are there with another value, which was left as it is.
    pub kept: Vec<Kept>,
}

/// An annotation that somebody else has set while it was retired.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Kept {
    /// Its key.
    pub annotation: String,
    /// What it is.
    pub found: String,
    /// What it was before it was retired.
    pub before: String,
}

/// Why a service account was not changed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum NotChanged {
    /// It does not exist.
    #[error(
        "the service account {service_account:?} does not exist in the namespace {namespace:?}"
    )]
    Missing {
        /// The namespace.
        namespace: String,
        /// The name.
        service_account: String,
    },
    /// Somebody else changed an annotation.
    #[error(
        "the annotation {annotation} is {}, not {} as expected",
        or_nothing(found.as_deref()), or_nothing(expected.as_deref())
    )]
    Changed {
        /// Its key.
        annotation: String,
        /// What it should be; `None`: it should not be there.
        expected: Option<String>,
        /// What it is.
        found: Option<String>,
    },
    /// The breadcrumb was changed to something that cannot be read.
    #[error("the annotation {BREADCRUMB} cannot be read: {why}")]
    Unreadable {
        /// Why.
        why: String,
    },
    /// Somebody else wrote every time.
    #[error("somebody else changed the service account in between, {ATTEMPTS} times in a row")]
    Contended,
    /// The API refused.
    #[error("the Kubernetes API refused")]
    Api(#[source] KubernetesError),
}

fn or_nothing(value: Option<&str>) -> String {
    value.map_or_else(|| "missing".to_owned(), |value| format!("{value:?}"))
}

impl NotChanged {
    /// Whether Terraform was asked to stop.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        matches!(self, Self::Api(error) if error.is_cancelled())
    }

    /// Whether the service account does not exist.
    #[must_use]
    pub fn is_missing(&self) -> bool {
        matches!(self, Self::Missing { .. })
    }

    /// The diagnostic: `summary`, a sentence about the object, the cause, and what to do.
    #[must_use]
    pub fn into_diagnostic(&self, summary: &str, object: &str) -> Diagnostic {
        let next = match self {
            Self::Api(error) => return error.into_diagnostic(summary, object, ""),
            Self::Missing { .. } => "Create it, or remove this resource.".to_owned(),
            Self::Changed {
                annotation,
                expected,
                ..
            } => match expected {
                Some(expected) => format!(
                    "Somebody else changed it. Plan again if the new value is right; otherwise set {annotation} to \
                     {expected:?} first."
                ),
                None => format!(
                    "Somebody else added it. Plan again if it is right; otherwise remove {annotation} first."
                ),
            },
            Self::Unreadable { .. } => format!(
                "It keeps what the migration took away, as JSON. Repair it, or remove {BREADCRUMB} and put the annotation \
                 {ROLE_ARN} and the role's trust policy back by hand."
            ),
            Self::Contended => {
                "Find out who writes it all the time (kubectl get serviceaccount --show-managed-fields), then apply again."
                    .to_owned()
            }
        };
        Diagnostic::error(
            summary,
            format!("{object}\n\n{}.\n\n{next}", capitalised(&self.to_string())),
        )
    }
}

/// The breadcrumb of a service account; `None` if it has none, or one that cannot be read.
#[must_use]
pub fn breadcrumb(facts: &ServiceAccountFacts) -> Option<Breadcrumb> {
    read(&facts.annotations).ok().flatten()
}

/// Takes the role and audience annotations away and keeps them in the breadcrumb, with one patch.
///
/// `planned_role_arn` is the role annotation as it was planned to be removed, `None` if there was none: another value means
/// that somebody else changed it since. An annotation that is gone already is nothing to remove. Annotations that still
/// have an effect with an association (`sts-regional-endpoints`, `token-expiration`) stay.
///
/// # Errors
/// See [`NotChanged`].
pub async fn retire_annotations(
    cancel: &CancellationToken,
    api: &ClusterApi,
    namespace: &str,
    service_account: &str,
    planned_role_arn: Option<&str>,
) -> Result<Change, NotChanged> {
    edit(cancel, api, namespace, service_account, |annotations| {
        retired(annotations, planned_role_arn).map(Decision::from)
    })
    .await
}

/// Keeps a role's trust policy, as it is before the OIDC subject is removed from it, in the breadcrumb. What the
/// breadcrumb holds beside it stays.
///
/// # Errors
/// See [`NotChanged`].
pub async fn note_trust(
    cancel: &CancellationToken,
    api: &ClusterApi,
    namespace: &str,
    service_account: &str,
    role_arn: &str,
    trust_policy: &str,
) -> Result<Change, NotChanged> {
    edit(cancel, api, namespace, service_account, |annotations| {
        noted(annotations, role_arn, trust_policy).map(Decision::from)
    })
    .await
}

/// Forgets the trust policy that the breadcrumb holds, once it is put back. A breadcrumb without anything else goes.
///
/// # Errors
/// See [`NotChanged`].
pub async fn clear_trust(
    cancel: &CancellationToken,
    api: &ClusterApi,
    namespace: &str,
    service_account: &str,
) -> Result<Change, NotChanged> {
    edit(cancel, api, namespace, service_account, |annotations| {
        cleared(annotations).map(Decision::from)
    })
    .await
}

/// Puts back the annotations that the breadcrumb holds, with one patch. Without a breadcrumb there is nothing to do. The
/// breadcrumb goes, unless it holds a trust policy that is still to be put back: see [`clear_trust`]. An annotation that is
/// there again with another value is somebody's newer word: it stays, and is among [`ServiceAccountNow::kept`].
///
/// # Errors
/// See [`NotChanged`].
pub async fn restore_annotations(
    cancel: &CancellationToken,
    api: &ClusterApi,
    namespace: &str,
    service_account: &str,
) -> Result<Change, NotChanged> {
    edit(cancel, api, namespace, service_account, restored).await
}

type Annotations = BTreeMap<String, String>;
/// What to change of the annotations: new values, or `null` for what goes.
type Patch = Map<String, Json>;

/// What to do to a service account.
#[derive(Debug, Default)]
struct Decision {
    patch: Patch,
    kept: Vec<Kept>,
}

impl From<Patch> for Decision {
    fn from(patch: Patch) -> Self {
        Self {
            patch,
            kept: Vec::new(),
        }
    }
}

fn retired(annotations: &Annotations, planned: Option<&str>) -> Result<Patch, NotChanged> {
    let mut crumb = read(annotations)?.unwrap_or_default();
    let found = annotations.get(ROLE_ARN).map(String::as_str);
    if found.is_some() && found != planned {
        return Err(NotChanged::Changed {
            annotation: ROLE_ARN.to_owned(),
            expected: planned.map(ToOwned::to_owned),
            found: found.map(ToOwned::to_owned),
        });
    }
    let mut patch = Patch::new();
    for key in [ROLE_ARN, AUDIENCE] {
        if let Some(value) = annotations.get(key) {
            crumb.annotations.insert(key.to_owned(), value.clone());
            patch.insert(key.to_owned(), Json::Null);
        }
    }
    if !patch.is_empty() {
        patch.extend(kept_in(&crumb));
    }
    Ok(patch)
}

fn noted(
    annotations: &Annotations,
    role_arn: &str,
    trust_policy: &str,
) -> Result<Patch, NotChanged> {
    let crumb = read(annotations)?.unwrap_or_default();
    let next = Breadcrumb {
        trust_policy: Some(trust_policy.to_owned()),
        trusting_role_arn: Some(role_arn.to_owned()),
        annotations: crumb.annotations.clone(),
    };
    Ok(if next == crumb {
        Patch::new()
    } else {
        kept_in(&next)
    })
}

fn cleared(annotations: &Annotations) -> Result<Patch, NotChanged> {
    let crumb = read(annotations)?.unwrap_or_default();
    if crumb.trust_policy.is_none() {
        return Ok(Patch::new());
    }
    Ok(kept_in(&Breadcrumb {
        annotations: crumb.annotations,
        ..Breadcrumb::default()
    }))
}

fn restored(annotations: &Annotations) -> Result<Decision, NotChanged> {
    let Some(crumb) = read(annotations)? else {
        return Ok(Decision::default());
    };
    let rest = Breadcrumb {
        annotations: BTreeMap::new(),
        ..crumb.clone()
    };
    if rest == crumb && !rest.is_empty() {
        return Ok(Decision::default());
    }
    let mut patch = kept_in(&rest);
    let mut kept = Vec::new();
    for (key, value) in crumb.annotations {
        match annotations.get(&key) {
            None => {
                patch.insert(key, value.into());
            }
            Some(found) if *found == value => {}
            Some(found) => kept.push(Kept {
                annotation: key,
                found: found.clone(),
                before: value,
            }),
        }
    }
    Ok(Decision { patch, kept })
}

fn read(annotations: &Annotations) -> Result<Option<Breadcrumb>, NotChanged> {
    annotations
        .get(BREADCRUMB)
        .map(|text| serde_json::from_str(text))
        .transpose()
        .map_err(|error| NotChanged::Unreadable {
            why: error.to_string(),
        })
}

/// The patch that writes the breadcrumb, or removes it if nothing is in it.
fn kept_in(crumb: &Breadcrumb) -> Patch {
    let value = if crumb.is_empty() {
        Json::Null
    } else {
        json!(crumb).to_string().into()
    };
    Patch::from_iter([(BREADCRUMB.to_owned(), value)])
}

/// Reads, decides and patches until nobody else wrote in between.
async fn edit(
    cancel: &CancellationToken,
    api: &ClusterApi,
    namespace: &str,
    name: &str,
    decide: impl Fn(&Annotations) -> Result<Decision, NotChanged>,
) -> Result<Change, NotChanged> {
    let missing = || NotChanged::Missing {
        namespace: namespace.to_owned(),
        service_account: name.to_owned(),
    };
    for attempt in 0..ATTEMPTS {
        let found: ServiceAccount = api
            .get(cancel, Some(namespace), name)
            .await
            .map_err(NotChanged::Api)?
            .ok_or_else(missing)?;
        let Decision { patch, kept } = decide(
            found
                .metadata
                .annotations
                .as_ref()
                .unwrap_or(&Annotations::new()),
        )?;
        if patch.is_empty() {
            return Ok(Change::Unchanged(now(found, kept)?));
        }
        let body = json!({"metadata": {
            "resourceVersion": found.metadata.resource_version,
            "annotations": patch,
        }});
        match api
            .patch(cancel, Some(namespace), name, PatchKind::Merge, &body)
            .await
        {
            Ok(patched) => return Ok(Change::Patched(now(patched, kept)?)),
            Err(error) if error.is_not_found() => return Err(missing()),
            Err(error) if error.is_conflict() => {
                tracing::info!(
                    namespace,
                    service_account = name,
                    "somebody else wrote in between; reading again"
                );
            }
            Err(error) => return Err(NotChanged::Api(error)),
        }
        tokio::select! {
            biased;
            () = cancel.cancelled() => {}
            () = tokio::time::sleep(PAUSES.jittered(attempt)) => {}
        }
    }
    Err(NotChanged::Contended)
}

fn now(account: ServiceAccount, kept: Vec<Kept>) -> Result<ServiceAccountNow, NotChanged> {
    let annotations = account.metadata.annotations.unwrap_or_default();
    Ok(ServiceAccountNow {
        breadcrumb: read(&annotations)?,
        annotations,
        kept,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROLE: &str = "arn:aws:iam::123456789012:role/api";

    fn annotations(entries: &[(&str, &str)]) -> Annotations {
        entries
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect()
    }

    /// As the API server does it.
    fn apply(mut annotations: Annotations, patch: Patch) -> Annotations {
        for (key, value) in patch {
            match value {
                Json::String(text) => annotations.insert(key, text),
                _ => annotations.remove(&key),
            };
        }
        annotations
    }

    #[test]
    fn retiring_and_restoring_gives_back_what_was_there() {
        let cases = [
            annotations(&[(ROLE_ARN, ROLE)]),
            annotations(&[(ROLE_ARN, ROLE), (AUDIENCE, "vault"), ("team", "orders")]),
            annotations(&[
                (ROLE_ARN, ROLE),
                ("eks.amazonaws.com/sts-regional-endpoints", "true"),
                ("eks.amazonaws.com/token-expiration", "3600"),
            ]),
            annotations(&[("team", "orders")]),
        ];
        for before in cases {
            let planned = before.get(ROLE_ARN).map(String::as_str);
            let noted = apply(
                before.clone(),
                noted(&before, ROLE, "{\"Version\":1}").unwrap(),
            );
            let retired_ = apply(noted.clone(), retired(&noted, planned).unwrap());
            assert!(!retired_.contains_key(ROLE_ARN) && !retired_.contains_key(AUDIENCE));
            for (key, value) in &before {
                let kept = retired_.get(key) == Some(value);
                assert_eq!(kept, key != ROLE_ARN && key != AUDIENCE, "{key}");
            }
            let facts = ServiceAccountFacts {
                annotations: retired_.clone(),
                ..ServiceAccountFacts::default()
            };
            let crumb = breadcrumb(&facts).unwrap();
            assert_eq!(crumb.trust_policy.as_deref(), Some("{\"Version\":1}"));
            assert_eq!(crumb.annotations.get(ROLE_ARN), before.get(ROLE_ARN));
            // Once more is nothing.
            assert_eq!(retired(&retired_, planned).unwrap(), Patch::new());
            // The trust policy is kept until it is put back, too; either may be first.
            let restored_ = apply(retired_.clone(), restored(&retired_).unwrap().patch);
            assert_eq!(restored(&restored_).unwrap().patch, Patch::new());
            let crumb = read(&restored_).unwrap().unwrap();
            assert_eq!(crumb.trust_policy.as_deref(), Some("{\"Version\":1}"));
            let restored_ = apply(restored_.clone(), cleared(&restored_).unwrap());
            assert_eq!(restored_, before);
            let cleared_ = apply(retired_.clone(), cleared(&retired_).unwrap());
            let crumb = read(&cleared_).unwrap();
            assert!(crumb.is_none_or(|crumb| crumb.trust_policy.is_none()
                && crumb.trusting_role_arn.is_none()
                && !crumb.annotations.is_empty()));
            let cleared_ = apply(cleared_.clone(), restored(&cleared_).unwrap().patch);
            assert_eq!(cleared_, before);
            assert_eq!(restored(&cleared_).unwrap().patch, Patch::new());
            assert_eq!(cleared(&cleared_).unwrap(), Patch::new());
        }
    }

    #[test]
    fn an_annotation_that_came_back_is_retired_again() {
        let back = annotations(&[
            (ROLE_ARN, ROLE),
            (
                BREADCRUMB,
                r#"{"annotations":{"eks.amazonaws.com/audience":"vault"},"trust_policy":"{}"}"#,
            ),
        ]);
        let after = apply(back.clone(), retired(&back, Some(ROLE)).unwrap());
        let crumb = read(&after).unwrap().unwrap();
        assert_eq!(crumb.trust_policy.as_deref(), Some("{}"));
        assert_eq!(crumb.annotations.len(), 2);
    }

    #[test]
    fn a_noted_trust_policy_is_that_of_one_role() {
        let other = "arn:aws:iam::123456789012:role/other";
        let before = annotations(&[]);
        let first = apply(before.clone(), noted(&before, ROLE, "{}").unwrap());
        let crumb = read(&first).unwrap().unwrap();
        assert_eq!(crumb.trust_policy_of(ROLE), Some("{}"));
        assert_eq!(crumb.trust_policy_of(other), None);
        assert_eq!(noted(&first, ROLE, "{}").unwrap(), Patch::new());
        assert_ne!(noted(&first, other, "{}").unwrap(), Patch::new());
        // Written by an earlier version.
        let crumb: Breadcrumb = serde_json::from_str(r#"{"trust_policy":"{}"}"#).unwrap();
        assert_eq!(crumb.trust_policy_of(other), Some("{}"));
        assert_eq!(Breadcrumb::default().trust_policy_of(ROLE), None);
    }

    #[test]
    fn what_somebody_else_changed_is_named() {
        let other = "arn:aws:iam::123456789012:role/other";
        let changed = annotations(&[(ROLE_ARN, other)]);
        let text = |error: NotChanged| error.into_diagnostic("S", "O.").detail;
        let error = text(retired(&changed, Some(ROLE)).unwrap_err());
        assert!(error.contains(other) && error.contains(ROLE), "{error}");
        let error = text(retired(&changed, None).unwrap_err());
        assert!(
            error.contains(other) && error.contains("missing"),
            "{error}"
        );
        // Gone already: nothing to do.
        assert_eq!(
            retired(&annotations(&[]), Some(ROLE)).unwrap(),
            Patch::new()
        );

        let crumb = format!("{{\"annotations\":{{\"{ROLE_ARN}\":\"{ROLE}\"}}}}");
        let both = annotations(&[(BREADCRUMB, &crumb), (ROLE_ARN, other)]);
        // Somebody's newer word: it stays, and only the breadcrumb goes.
        let decision = restored(&both).unwrap();
        assert_eq!(
            decision.kept,
            [Kept {
                annotation: ROLE_ARN.to_owned(),
                found: other.to_owned(),
                before: ROLE.to_owned(),
            }]
        );
        assert_eq!(
            apply(both, decision.patch),
            annotations(&[(ROLE_ARN, other)])
        );
        let same = annotations(&[(BREADCRUMB, &crumb), (ROLE_ARN, ROLE)]);
        assert_eq!(
            restored(&same).unwrap().patch,
            Patch::from_iter([(BREADCRUMB.to_owned(), Json::Null)])
        );
        let broken = annotations(&[(BREADCRUMB, "{"), (ROLE_ARN, ROLE)]);
        for result in [
            restored(&broken).map(|decision| decision.patch),
            retired(&broken, Some(ROLE)),
            noted(&broken, ROLE, "{}"),
            cleared(&broken),
        ] {
            assert!(
                matches!(result, Err(NotChanged::Unreadable { .. })),
                "{result:?}"
            );
        }
    }
}
