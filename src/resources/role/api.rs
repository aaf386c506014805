//! The IAM calls of a role.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_sdk_iam::types::Tag;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio_util::sync::CancellationToken;

use crate::aws::facts::url_decode;
use crate::aws::retry::retry_while;
use crate::aws::{self, AwsError, AwsErrorKind, Iam, RoleInfo};
use crate::framework::Context;
use crate::policy::{equivalent_arns, equivalent_json};
use crate::provider::ProviderData;
use crate::resources::last_look;

/// How long a write is repeated that IAM refuses only because an earlier write is not everywhere yet.
const PROPAGATION: Duration = Duration::from_secs(2 * 60);

/// A role to create, wholly known.
#[derive(Clone, Debug)]
pub(super) struct NewRole {
    pub(super) name: String,
    pub(super) path: String,
    pub(super) trust_policy: String,
    pub(super) description: Option<String>,
    pub(super) max_session_duration: i64,
    pub(super) permissions_boundary: Option<String>,
    pub(super) tags: BTreeMap<String, String>,
}

/// How a creation failed.
#[derive(Debug)]
pub(super) struct CreateError {
    /// Why.
    pub(super) error: AwsError,
    /// The role that was created all the same, which the state must name.
    pub(super) created: Option<Arc<RoleInfo>>,
}

/// Creates a role.
///
/// An attempt that drops may have created it; the next one then meets it. Such a role is taken for ours if it is
/// exactly what was asked for and was created just now.
pub(super) async fn create(
    context: &Context<ProviderData>,
    role: &NewRole,
) -> Result<Arc<RoleInfo>, CreateError> {
    let began = OffsetDateTime::now_utc();
    let not_yet = |error: &AwsError| {
        // A principal that was created just now may not be known everywhere yet.
        error.is("MalformedPolicyDocument", "Invalid principal in policy") || is_concurrent(error)
    };
    let created = retry_while(&context.cancel, PROPAGATION, not_yet, || async {
        let call = context
            .provider
            .iam()?
            .create_role()
            .role_name(&role.name)
            .path(&role.path)
            .assume_role_policy_document(&role.trust_policy)
            .set_description(role.description.clone())
            .max_session_duration(i32::try_from(role.max_session_duration).unwrap_or(i32::MAX))
            .set_permissions_boundary(role.permissions_boundary.clone())
            .set_tags(sdk_tags(&role.tags)?)
            .send();
        let answer = aws::write(&context.cancel, call).await?.output;
        let answered = answer.role().ok_or_else(|| {
            AwsError::new(AwsErrorKind::Other, "IAM answered without a role")
                .in_call("IAM", "CreateRole")
        })?;
        // IAM's answer leaves out some of what it was told.
        Ok(Arc::new(RoleInfo {
            description: role.description.clone(),
            max_session_duration: role.max_session_duration,
            permissions_boundary: role.permissions_boundary.clone(),
            assume_role_policy: role.trust_policy.clone(),
            tags: role.tags.clone(),
            ..RoleInfo::from(answered)
        }))
    })
    .await;
    let error = match created {
        Ok(created) => return Ok(created),
        Err(error) if !error.after_ambiguous_attempt() => {
            return Err(CreateError {
                error,
                created: None,
            });
        }
        Err(error) => error,
    };
    // Stopped or not, one look decides whether a role is left behind that nobody would know of.
    let found = tokio::time::timeout(
        last_look::LIMIT,
        context
            .provider
            .read_role(&CancellationToken::new(), &role.name),
    )
    .await;
    match found {
        Ok(Ok(Some(found))) if role.is_what_was_created(&found, began) => {
            if error.is_cancelled() {
                return Err(CreateError {
                    error,
                    created: Some(found),
                });
            }
            Ok(found)
        }
        _ => Err(CreateError {
            error,
            created: None,
        }),
    }
}

impl NewRole {
    fn is_what_was_created(&self, found: &RoleInfo, began: OffsetDateTime) -> bool {
        let created_just_now = OffsetDateTime::parse(&found.create_date, &Rfc3339)
            .is_ok_and(|created| created >= began - last_look::CLOCK_SKEW);
        created_just_now
            && found.name == self.name
            && found.path == self.path
            && found.description == self.description
            && found.max_session_duration == self.max_session_duration
            && same_boundary(
                found.permissions_boundary.as_deref(),
                self.permissions_boundary.as_deref(),
            )
            && equivalent_json(&found.assume_role_policy, &self.trust_policy)
            && self
                .tags
                .iter()
                .all(|(key, value)| found.tags.get(key) == Some(value))
    }
}

/// The other calls about one role.
#[derive(Clone, Copy)]
pub(super) struct Calls<'a> {
    context: &'a Context<ProviderData>,
    name: &'a str,
    /// Whether the role was created a moment ago, so that IAM may not see it everywhere yet.
    is_new: bool,
}

impl<'a> Calls<'a> {
    pub(super) fn new(context: &'a Context<ProviderData>, name: &'a str) -> Self {
        Self {
            context,
            name,
            is_new: false,
        }
    }

    /// The calls about a role that was created a moment ago.
    pub(super) fn of_new_role(context: &'a Context<ProviderData>, name: &'a str) -> Self {
        Self {
            is_new: true,
            ..Self::new(context, name)
        }
    }

    pub(super) async fn update_trust_policy(&self, document: &str) -> Result<(), AwsError> {
        let not_yet = |error: &AwsError| {
            error.is("MalformedPolicyDocument", "Invalid principal in policy")
                || is_concurrent(error)
        };
        retry_while(&self.context.cancel, PROPAGATION, not_yet, || async {
            let call = self
                .iam()?
                .update_assume_role_policy()
                .role_name(self.name)
                .policy_document(document)
                .send();
            aws::write(&self.context.cancel, call).await.map(drop)
        })
        .await
    }

    /// Sets both at once: IAM takes a duration that is left out for its default.
    pub(super) async fn update_role(
        &self,
        description: &str,
        max_session_duration: i64,
    ) -> Result<(), AwsError> {
        self.write(|| async {
            let call = self
                .iam()?
                .update_role()
                .role_name(self.name)
                .description(description)
                .max_session_duration(i32::try_from(max_session_duration).unwrap_or(i32::MAX))
                .send();
            aws::write(&self.context.cancel, call).await.map(drop)
        })
        .await
    }

    pub(super) async fn set_permissions_boundary(&self, arn: Option<&str>) -> Result<(), AwsError> {
        self.write(|| async {
            let iam = self.iam()?;
            match arn {
                Some(arn) => {
                    let call = iam
                        .put_role_permissions_boundary()
                        .role_name(self.name)
                        .permissions_boundary(arn)
                        .send();
                    aws::write(&self.context.cancel, call).await.map(drop)
                }
                None => {
                    let call = iam
                        .delete_role_permissions_boundary()
                        .role_name(self.name)
                        .send();
                    gone_is_fine(aws::write(&self.context.cancel, call).await.map(drop))
                }
            }
        })
        .await
    }

    pub(super) async fn tag(&self, tags: &BTreeMap<String, String>) -> Result<(), AwsError> {
        self.write(|| async {
            let call = self
                .iam()?
                .tag_role()
                .role_name(self.name)
                .set_tags(sdk_tags(tags)?)
                .send();
            aws::write(&self.context.cancel, call).await.map(drop)
        })
        .await
    }

    pub(super) async fn untag(&self, keys: &[String]) -> Result<(), AwsError> {
        self.write(|| async {
            let call = self
                .iam()?
                .untag_role()
                .role_name(self.name)
                .set_tag_keys(Some(keys.to_vec()))
                .send();
            aws::write(&self.context.cancel, call).await.map(drop)
        })
        .await
    }

    pub(super) async fn put_inline_policy(
        &self,
        policy_name: &str,
        document: &str,
    ) -> Result<(), AwsError> {
        self.write(|| async {
            let call = self
                .iam()?
                .put_role_policy()
                .role_name(self.name)
                .policy_name(policy_name)
                .policy_document(document)
                .send();
            aws::write(&self.context.cancel, call).await.map(drop)
        })
        .await
    }

    /// Deletes an inline policy; one that is not there is fine.
    pub(super) async fn delete_inline_policy(&self, policy_name: &str) -> Result<(), AwsError> {
        self.write(|| async {
            let call = self
                .iam()?
                .delete_role_policy()
                .role_name(self.name)
                .policy_name(policy_name)
                .send();
            gone_is_fine(aws::write(&self.context.cancel, call).await.map(drop))
        })
        .await
    }

    pub(super) async fn attach(&self, policy_arn: &str) -> Result<(), AwsError> {
        self.write(|| async {
            let call = self
                .iam()?
                .attach_role_policy()
                .role_name(self.name)
                .policy_arn(policy_arn)
                .send();
            aws::write(&self.context.cancel, call).await.map(drop)
        })
        .await
    }

    /// Detaches a managed policy; one that is not attached is fine.
    pub(super) async fn detach(&self, policy_arn: &str) -> Result<(), AwsError> {
        self.write(|| async {
            let call = self
                .iam()?
                .detach_role_policy()
                .role_name(self.name)
                .policy_arn(policy_arn)
                .send();
            gone_is_fine(aws::write(&self.context.cancel, call).await.map(drop))
        })
        .await
    }

    /// ARNs of all attached policies.
    pub(super) async fn attached(&self) -> Result<BTreeSet<String>, AwsError> {
        let mut arns = BTreeSet::new();
        let mut marker = None;
        loop {
            let call = self
                .iam()?
                .list_attached_role_policies()
                .role_name(self.name)
                .set_marker(marker)
                .send();
            let page = aws::read(&self.context.cancel, call).await?;
            arns.extend(
                page.attached_policies()
                    .iter()
                    .filter_map(|policy| policy.policy_arn().map(str::to_owned)),
            );
            marker = page.marker.filter(|_| page.is_truncated);
            if marker.is_none() {
                return Ok(arns);
            }
        }
    }

    /// Names of all inline policies.
    pub(super) async fn inline_names(&self) -> Result<BTreeSet<String>, AwsError> {
        let mut names = BTreeSet::new();
        let mut marker = None;
        loop {
            let call = self
                .iam()?
                .list_role_policies()
                .role_name(self.name)
                .set_marker(marker)
                .send();
            let page = aws::read(&self.context.cancel, call).await?;
            names.extend(page.policy_names);
            marker = page.marker.filter(|_| page.is_truncated);
            if marker.is_none() {
                return Ok(names);
            }
        }
    }

    /// The document of an inline policy; `None` if there is none of that name.
    pub(super) async fn inline_policy(
        &self,
        policy_name: &str,
    ) -> Result<Option<String>, AwsError> {
        let call = self
            .iam()?
            .get_role_policy()
            .role_name(self.name)
            .policy_name(policy_name)
            .send();
        match aws::read(&self.context.cancel, call).await {
            Ok(answer) => Ok(Some(url_decode(answer.policy_document()))),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Names of the instance profiles that hold the role.
    pub(super) async fn instance_profiles(&self) -> Result<BTreeSet<String>, AwsError> {
        let mut names = BTreeSet::new();
        let mut marker = None;
        loop {
            let call = self
                .iam()?
                .list_instance_profiles_for_role()
                .role_name(self.name)
                .set_marker(marker)
                .send();
            let page = aws::read(&self.context.cancel, call).await?;
            names.extend(
                page.instance_profiles()
                    .iter()
                    .map(|profile| profile.instance_profile_name().to_owned()),
            );
            marker = page.marker.filter(|_| page.is_truncated);
            if marker.is_none() {
                return Ok(names);
            }
        }
    }

    pub(super) async fn leave_instance_profile(&self, profile: &str) -> Result<(), AwsError> {
        self.write(|| async {
            let call = self
                .iam()?
                .remove_role_from_instance_profile()
                .role_name(self.name)
                .instance_profile_name(profile)
                .send();
            gone_is_fine(aws::write(&self.context.cancel, call).await.map(drop))
        })
        .await
    }

    /// Everything that keeps IAM from deleting the role.
    pub(super) async fn holdings(&self) -> Result<Holdings, AwsError> {
        Ok(Holdings {
            attached: self.attached().await?,
            inline: self.inline_names().await?,
            instance_profiles: self.instance_profiles().await?,
        })
    }

    /// Deletes the role. A conflict with something that IAM no longer lists is waited out.
    ///
    /// # Errors
    /// What IAM answers, with what the role still has if that is why.
    pub(super) async fn delete(&self) -> Result<(), (AwsError, Holdings)> {
        let held = Mutex::new(Holdings::default());
        let holdings = || held.lock().unwrap_or_else(PoisonError::into_inner);
        let lag = |error: &AwsError| {
            is_concurrent(error) || (error.code() == Some(DELETE_CONFLICT) && holdings().is_empty())
        };
        let deleted = retry_while(&self.context.cancel, PROPAGATION, lag, || async {
            let call = self.iam()?.delete_role().role_name(self.name).send();
            let error = match aws::write(&self.context.cancel, call).await {
                Ok(_) => return Ok(()),
                Err(error) if error.is_not_found() => return Ok(()),
                Err(error) => error,
            };
            if error.code() == Some(DELETE_CONFLICT) {
                let found = self.holdings().await?;
                *holdings() = found;
            }
            Err(error)
        })
        .await;
        deleted.map_err(|error| (error, holdings().clone()))
    }

    /// A write that is repeated when it meets another one, or does not see the new role yet.
    async fn write<F>(&self, operation: impl FnMut() -> F) -> Result<(), AwsError>
    where
        F: Future<Output = Result<(), AwsError>>,
    {
        let not_yet = |error: &AwsError| {
            is_concurrent(error) || (self.is_new && error.is("NoSuchEntity", "The role with name"))
        };
        retry_while(&self.context.cancel, PROPAGATION, not_yet, operation).await
    }

    fn iam(&self) -> Result<&Iam, AwsError> {
        self.context.provider.iam()
    }
}

/// IAM's code for a role that still has something.
const DELETE_CONFLICT: &str = "DeleteConflict";

/// What a role has that must go before it can be deleted.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Holdings {
    /// ARNs of managed policies.
    pub(super) attached: BTreeSet<String>,
    /// Names of inline policies.
    pub(super) inline: BTreeSet<String>,
    /// Names of instance profiles.
    pub(super) instance_profiles: BTreeSet<String>,
}

impl Holdings {
    pub(super) fn is_empty(&self) -> bool {
        self.attached.is_empty() && self.inline.is_empty() && self.instance_profiles.is_empty()
    }

    /// One line for each, for people.
    pub(super) fn lines(&self) -> String {
        let kinds = [
            ("managed policy", &self.attached),
            ("inline policy", &self.inline),
            ("instance profile", &self.instance_profiles),
        ];
        let lines: Vec<String> = kinds
            .into_iter()
            .flat_map(|(kind, names)| names.iter().map(move |name| format!("  - {kind} {name}")))
            .collect();
        lines.join("\n")
    }
}

/// Whether two boundaries are the same policy, or both are none.
pub(super) fn same_boundary(a: Option<&str>, b: Option<&str>) -> bool {
    match (a, b) {
        (None, None) => true,
        (Some(a), Some(b)) => equivalent_arns(a, b),
        _ => false,
    }
}

/// Another change of the same role is under way.
fn is_concurrent(error: &AwsError) -> bool {
    matches!(
        error.code(),
        Some("ConcurrentModification" | "ConcurrentModificationException")
    )
}

fn gone_is_fine(result: Result<(), AwsError>) -> Result<(), AwsError> {
    match result {
        Err(error) if error.is_not_found() => Ok(()),
        other => other,
    }
}

/// `None` when there are none: IAM refuses an empty list.
fn sdk_tags(tags: &BTreeMap<String, String>) -> Result<Option<Vec<Tag>>, AwsError> {
    if tags.is_empty() {
        return Ok(None);
    }
    tags.iter()
        .map(|(key, value)| Tag::builder().key(key).value(value).build())
        .collect::<Result<Vec<_>, _>>()
        .map(Some)
        .map_err(|error| AwsError::new(AwsErrorKind::Other, error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted() -> NewRole {
        NewRole {
            name: "payments".into(),
            path: "/".into(),
            trust_policy: r#"{"Version":"2012-10-17","Statement":[]}"#.into(),
            description: None,
            max_session_duration: 3_600,
            permissions_boundary: None,
            tags: BTreeMap::from([("team".into(), "core".into())]),
        }
    }

    #[test]
    fn only_what_was_created_just_now_is_ours() {
        let began = time::macros::datetime!(2026-11-22 01:02:03 UTC);
        let ours = RoleInfo {
            name: "payments".into(),
            path: "/".into(),
            create_date: "2026-11-22T01:02:04Z".into(),
            max_session_duration: 3_600,
            assume_role_policy: r#"{"Statement": [], "Version": "2012-10-17"}"#.into(),
            tags: BTreeMap::from([("team".into(), "core".into()), ("aws:x".into(), "y".into())]),
            ..RoleInfo::default()
        };
        let other = |change: fn(&mut RoleInfo)| {
            let mut other = ours.clone();
            change(&mut other);
            other
        };
        let cases = [
            ("ours", ours.clone(), true),
            (
                "a clock that is behind",
                other(|r| r.create_date = "2026-11-22T00:58:04Z".into()),
                true,
            ),
            (
                "older",
                other(|r| r.create_date = "2026-11-21T01:02:04Z".into()),
                false,
            ),
            ("no date", other(|r| r.create_date = String::new()), false),
            (
                "another letter case",
                other(|r| r.name = "Payments".into()),
                false,
            ),
            ("another path", other(|r| r.path = "/x/".into()), false),
            (
                "another description",
                other(|r| r.description = Some("x".into())),
                false,
            ),
            (
                "another duration",
                other(|r| r.max_session_duration = 7_200),
                false,
            ),
            (
                "a boundary",
                other(|r| r.permissions_boundary = Some("arn:aws:iam::aws:policy/X".into())),
                false,
            ),
            (
                "another trust",
                other(|r| r.assume_role_policy = "{}".into()),
                false,
            ),
            (
                "another tag",
                other(|r| r.tags = BTreeMap::from([("team".into(), "x".into())])),
                false,
            ),
        ];
        for (what, found, expected) in cases {
            assert_eq!(
                wanted().is_what_was_created(&found, began),
                expected,
                "{what}"
            );
        }
    }

    #[test]
    fn holdings_are_listed_for_people() {
        let holdings = Holdings {
            attached: BTreeSet::from(["arn:aws:iam::aws:policy/X".to_owned()]),
            inline: BTreeSet::from(["a".to_owned(), "b".to_owned()]),
            instance_profiles: BTreeSet::new(),
        };
        assert_eq!(
            holdings.lines(),
            "  - managed policy arn:aws:iam::aws:policy/X\n  - inline policy a\n  - inline policy b"
        );
        assert!(!holdings.is_empty() && Holdings::default().is_empty());
    }
}
