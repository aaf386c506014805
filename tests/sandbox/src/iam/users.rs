//! Users, as far as trust policies and `GetUser` need them.
//!
//! The sandbox's key pairs belong to users nobody created; such a caller exists implicitly, with an id derived from its ARN.

use sha2::{Digest, Sha256};
use time::OffsetDateTime;
use time::macros::datetime;

use super::error::IamError;
use super::form::Form;
use super::pages::Page;
use super::tags::{self, Keys, Tag};
use super::xml::Xml;
use super::{Answer, Iam, Outcome};
use crate::context::RequestContext;

/// A user.
#[derive(Clone, Debug)]
pub(super) struct User {
    pub(super) name: String,
    pub(super) path: String,
    pub(super) arn: String,
    /// `AIDA…`
    pub(super) unique_id: String,
    pub(super) created: OffsetDateTime,
    pub(super) tags: Vec<Tag>,
}

/// Marks the ids of callers that exist without having been created.
const IMPLICIT_PREFIX: &str = "AIDASANDBOX";

/// Whether an id belongs to a caller that exists without having been created.
pub(super) fn is_implicit_id(unique_id: &str) -> bool {
    unique_id.starts_with(IMPLICIT_PREFIX)
}

impl Iam {
    pub(super) fn create_user(&mut self, context: &RequestContext, form: &mut Form<'_>) -> Outcome {
        let path = form.path();
        let name = form.name("UserName", 64);
        let tags = form.tags();
        form.check()?;
        Keys::IgnoringCase.check(&tags)?;
        let key = name.to_lowercase();
        if self.users.contains_key(&key) {
            return Err(IamError::already_exists(format!(
                "User with name {name} already exists."
            )));
        }
        let user = User {
            arn: format!(
                "arn:{}:iam::{}:user{path}{name}",
                context.partition, context.account_id
            ),
            name,
            path,
            unique_id: self.unique_id(context, "AIDA"),
            created: context.now,
            tags,
        };
        let mut xml = Xml::new();
        write(&mut xml, &user);
        self.users.insert(key, user);
        Ok(Answer::Result(xml))
    }

    pub(super) fn delete_user(&mut self, form: &mut Form<'_>) -> Outcome {
        let name = form.name("UserName", 128);
        form.check()?;
        let known = self
            .users
            .get(&name.to_lowercase())
            .is_some_and(|user| user.name == name);
        if !known {
            return Err(IamError::no_such_entity(format!(
                "The user with name {name} cannot be found."
            )));
        }
        self.users.remove(&name.to_lowercase());
        Ok(Answer::Empty)
    }

    /// Without a name: the user whose key signed the request.
    pub(super) fn get_user(&self, context: &RequestContext, form: &mut Form<'_>) -> Outcome {
        let name = form.optional_name("UserName", 128);
        form.check()?;
        let user = match name {
            Some(name) => {
                let arn = |user: &User| user.name == name;
                let implicit = || self.user_by_arn(context, &context.caller_arn).filter(arn);
                let user = self
                    .users
                    .get(&name.to_lowercase())
                    .filter(|user| arn(user))
                    .cloned()
                    .or_else(implicit);
                user.ok_or_else(|| {
                    IamError::no_such_entity(format!("The user with name {name} cannot be found."))
                })?
            }
            None => self
                .user_by_arn(context, &context.caller_arn)
                .ok_or_else(|| {
                    IamError::validation(
                        "Must specify userName when calling with non-User credentials",
                    )
                })?,
        };
        let mut xml = Xml::new();
        write(&mut xml, &user);
        Ok(Answer::Result(xml))
    }

    /// The user of this ARN, created or implied by being the caller.
    pub(super) fn user_by_arn(&self, context: &RequestContext, arn: &str) -> Option<User> {
        if let Some(user) = self.users.values().find(|user| user.arn == arn) {
            return Some(user.clone());
        }
        let prefix = format!(
            "arn:{}:iam::{}:user/",
            context.partition, context.account_id
        );
        let rest = arn
            .strip_prefix(&prefix)
            .filter(|_| arn == context.caller_arn)?;
        let (path, name) = rest.rsplit_once('/').map_or_else(
            || ("/".to_owned(), rest),
            |(path, name)| (format!("/{path}/"), name),
        );
        let digest = Sha256::digest(arn.as_bytes());
        let suffix: String = digest
            .iter()
            .take(10)
            .map(|byte| char::from(b'A' + byte % 26))
            .collect();
        Some(User {
            name: name.to_owned(),
            path,
            arn: arn.to_owned(),
            unique_id: format!("{IMPLICIT_PREFIX}{suffix}"),
            created: datetime!(2020-01-01 00:00:00 UTC),
            tags: Vec::new(),
        })
    }

    /// The quotas that a seed can change, and how much of them is used.
    pub(super) fn get_account_summary(&self, form: &mut Form<'_>) -> Outcome {
        form.check()?;
        let quotas = &self.quotas;
        let mut xml = Xml::new();
        xml.element("SummaryMap", |xml| {
            for (key, value) in [
                ("AssumeRolePolicySizeQuota", quotas.acl_size_per_role),
                ("AttachedPoliciesPerRoleQuota", quotas.policies_per_role),
                ("Policies", self.policies.len()),
                ("PoliciesQuota", quotas.policies_per_account),
                ("Providers", self.open_id_connect_providers.len()),
                ("Roles", self.roles.len()),
                ("RolesQuota", quotas.roles_per_account),
            ] {
                xml.element("entry", |xml| {
                    xml.text("key", key);
                    xml.scalar("value", value);
                });
            }
        });
        Ok(Answer::Result(xml))
    }

    pub(super) fn list_account_aliases(
        &self,
        context: &RequestContext,
        form: &mut Form<'_>,
    ) -> Outcome {
        let request = form.page();
        form.check()?;
        let aliases = self
            .account_aliases
            .iter()
            .map(|alias| (alias.clone(), alias.as_str()))
            .collect();
        let page = Page::cut(context, "ListAccountAliases", &request, aliases)?;
        let mut xml = Xml::new();
        xml.strings("AccountAliases", page.items.iter().copied());
        page.write(&mut xml);
        Ok(Answer::Result(xml))
    }
}

fn write(xml: &mut Xml, user: &User) {
    xml.element("User", |xml| {
        xml.text("Path", &user.path);
        xml.text("UserName", &user.name);
        xml.text("UserId", &user.unique_id);
        xml.text("Arn", &user.arn);
        xml.date("CreateDate", user.created);
        if !user.tags.is_empty() {
            tags::write(xml, &tags::sorted(&user.tags));
        }
    });
}
