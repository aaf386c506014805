//! Roles and their trust policies.

use std::collections::BTreeMap;

use time::OffsetDateTime;

use super::error::IamError;
use super::form::Form;
use super::pages::Page;
use super::tags::{self, Keys, Tag};
use super::trust::{Directory, TrustPolicy};
use super::xml::Xml;
use super::{Answer, Iam, Outcome};
use crate::context::RequestContext;

/// Former trust policies that are kept for those who see changes late.
const FORMER_TRUSTS: usize = 32;

/// A role.
#[derive(Clone, Debug)]
pub(super) struct Role {
    pub(super) name: String,
    pub(super) path: String,
    pub(super) arn: String,
    /// `AROA…`
    pub(super) unique_id: String,
    pub(super) created: OffsetDateTime,
    pub(super) trust: TrustPolicy,
    pub(super) trust_changed: OffsetDateTime,
    /// Trust policies of the past, each with the time until which it held; the newest is last.
    pub(super) former_trusts: Vec<(OffsetDateTime, TrustPolicy)>,
    /// Since when the role is known of; not its creation, if it was seeded.
    pub(super) known: OffsetDateTime,
    pub(super) description: Option<String>,
    /// Seconds.
    pub(super) max_session_duration: u32,
    /// ARN of the policy.
    pub(super) permissions_boundary: Option<String>,
    pub(super) tags: Vec<Tag>,
    /// Documents by policy name.
    pub(super) inline: BTreeMap<String, String>,
    /// ARNs of managed policies.
    pub(super) attached: Vec<String>,
    /// When and in which region the role was last used.
    pub(super) last_used: Option<(OffsetDateTime, String)>,
}

/// How much of a role an operation shows: the answers differ, and clients must not rely on more than AWS sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Detail {
    /// `CreateRole`: neither description nor session duration.
    Created,
    /// `GetRole`: everything.
    Full,
    /// `ListRoles`: neither tags nor boundary nor last use.
    Listed,
    /// `UpdateRoleDescription`: no session duration.
    Described,
    /// Inside an instance profile.
    Nested,
}

/// Looks principals up in an account.
struct AccountDirectory<'a> {
    iam: &'a Iam,
    context: &'a RequestContext,
}

impl Directory for AccountDirectory<'_> {
    fn partition(&self) -> &str {
        &self.context.partition
    }

    fn account_id(&self) -> &str {
        &self.context.account_id
    }

    fn unique_id(&self, arn: &str) -> Option<String> {
        let role = self
            .iam
            .roles
            .values()
            .find(|role| role.arn == arn)
            .map(|role| role.unique_id.clone());
        role.or_else(|| Some(self.iam.user_by_arn(self.context, arn)?.unique_id))
    }

    fn arn(&self, unique_id: &str) -> Option<String> {
        let role = self
            .iam
            .roles
            .values()
            .find(|role| role.unique_id == unique_id)
            .map(|role| role.arn.clone());
        role.or_else(|| {
            self.iam
                .users
                .values()
                .find(|user| user.unique_id == unique_id)
                .map(|user| user.arn.clone())
        })
    }
}

impl Iam {
    pub(super) fn create_role(&mut self, context: &RequestContext, form: &mut Form<'_>) -> Outcome {
        let path = form.path();
        let name = form.name("RoleName", 64);
        let document = form.document("AssumeRolePolicyDocument");
        let description = form.description();
        let max_session_duration = form
            .number("MaxSessionDuration", 3600, 43_200)
            .unwrap_or(3600);
        let permissions_boundary = form.optional_arn("PermissionsBoundary");
        let tags = form.tags();
        form.check()?;
        Keys::IgnoringCase.check(&tags)?;
        let key = name.to_lowercase();
        if self.roles.contains_key(&key) {
            return Err(IamError::already_exists(format!(
                "Role with name {name} already exists."
            )));
        }
        if let Some(arn) = &permissions_boundary {
            self.check_boundary(context, arn)?;
        }
        let trust = self.parse_trust(context, &document)?;
        if self.roles.len() >= self.quotas.roles_per_account {
            return Err(IamError::quota(
                "RolesPerAccount",
                self.quotas.roles_per_account,
            ));
        }
        let role = Role {
            arn: format!(
                "arn:{}:iam::{}:role{path}{name}",
                context.partition, context.account_id
            ),
            name,
            path,
            unique_id: self.unique_id(context, "AROA"),
            created: context.now,
            trust,
            trust_changed: context.now,
            former_trusts: Vec::new(),
            known: context.now,
            description: description.filter(|text| !text.is_empty()),
            max_session_duration,
            permissions_boundary,
            tags,
            inline: BTreeMap::new(),
            attached: Vec::new(),
            last_used: None,
        };
        let mut xml = Xml::new();
        xml.element("Role", |xml| self.write_role(xml, &role, Detail::Created));
        self.roles.insert(key, role);
        Ok(Answer::Result(xml))
    }

    pub(super) fn get_role(&self, form: &mut Form<'_>) -> Outcome {
        let name = form.name("RoleName", 64);
        form.check()?;
        let role = self.role(&name)?;
        let mut xml = Xml::new();
        xml.element("Role", |xml| self.write_role(xml, role, Detail::Full));
        Ok(Answer::Result(xml))
    }

    pub(super) fn list_roles(&self, context: &RequestContext, form: &mut Form<'_>) -> Outcome {
        let prefix = form.path_prefix();
        let request = form.page();
        form.check()?;
        let mut roles: Vec<_> = self
            .roles
            .values()
            .filter(|role| role.path.starts_with(&prefix))
            .map(|role| (role.name.clone(), role))
            .collect();
        roles.sort_by(|(a, _), (b, _)| a.cmp(b));
        let page = Page::cut(context, &format!("ListRoles {prefix}"), &request, roles)?;
        let mut xml = Xml::new();
        xml.list("Roles", &page.items, |xml, role| {
            self.write_role(xml, role, Detail::Listed)
        });
        page.write(&mut xml);
        Ok(Answer::Result(xml))
    }

    /// Members that are absent stay as they are; an empty description removes it.
    pub(super) fn update_role(&mut self, form: &mut Form<'_>) -> Outcome {
        let name = form.name("RoleName", 64);
        let description = form.description();
        let max_session_duration = form.number("MaxSessionDuration", 3600, 43_200);
        form.check()?;
        let role = self.role_mut(&name)?;
        if let Some(text) = description {
            role.description = Some(text).filter(|text| !text.is_empty());
        }
        if let Some(seconds) = max_session_duration {
            role.max_session_duration = seconds;
        }
        Ok(Answer::Result(Xml::new()))
    }

    pub(super) fn update_role_description(&mut self, form: &mut Form<'_>) -> Outcome {
        let name = form.name("RoleName", 64);
        form.required("Description");
        let description = form.description();
        form.check()?;
        self.role_mut(&name)?.description = description.filter(|text| !text.is_empty());
        let role = self.role(&name)?;
        let mut xml = Xml::new();
        xml.element("Role", |xml| self.write_role(xml, role, Detail::Described));
        Ok(Answer::Result(xml))
    }

    /// Replaces the whole document; there is no version to compare, so the last writer wins.
    pub(super) fn update_assume_role_policy(
        &mut self,
        context: &RequestContext,
        form: &mut Form<'_>,
    ) -> Outcome {
        let name = form.name("RoleName", 64);
        let document = form.document("PolicyDocument");
        form.check()?;
        self.role(&name)?;
        let trust = self.parse_trust(context, &document)?;
        let role = self.role_mut(&name)?;
        let former = std::mem::replace(&mut role.trust, trust);
        role.former_trusts.push((context.now, former));
        if role.former_trusts.len() > FORMER_TRUSTS {
            role.former_trusts.remove(0);
        }
        role.trust_changed = context.now;
        Ok(Answer::Empty)
    }

    pub(super) fn delete_role(&mut self, form: &mut Form<'_>) -> Outcome {
        let name = form.name("RoleName", 64);
        form.check()?;
        let role = self.role(&name)?;
        if self
            .instance_profiles
            .values()
            .any(|profile| profile.roles.contains(&name))
        {
            return Err(IamError::delete_conflict(
                "Cannot delete entity, must remove roles from instance profile first.",
            ));
        }
        if !role.attached.is_empty() {
            return Err(IamError::delete_conflict(
                "Cannot delete entity, must detach all policies first.",
            ));
        }
        if !role.inline.is_empty() {
            return Err(IamError::delete_conflict(
                "Cannot delete entity, must delete policies first.",
            ));
        }
        self.roles.remove(&name.to_lowercase());
        Ok(Answer::Empty)
    }

    /// The role of exactly this name.
    pub(super) fn role(&self, name: &str) -> Result<&Role, IamError> {
        self.roles
            .get(&name.to_lowercase())
            .filter(|role| role.name == name)
            .ok_or_else(|| IamError::no_such_role(name))
    }

    /// The role of exactly this name.
    pub(super) fn role_mut(&mut self, name: &str) -> Result<&mut Role, IamError> {
        self.roles
            .get_mut(&name.to_lowercase())
            .filter(|role| role.name == name)
            .ok_or_else(|| IamError::no_such_role(name))
    }

    /// The trust policy with its principals as they are now.
    pub(super) fn shown_trust(&self, role: &Role) -> String {
        self.shown(&role.trust)
    }

    /// A trust policy, present or former, with its principals as they are now.
    pub(super) fn shown(&self, trust: &TrustPolicy) -> String {
        trust.shown(|unique_id| {
            self.roles.values().any(|role| role.unique_id == unique_id)
                || self.users.values().any(|user| user.unique_id == unique_id)
                || super::users::is_implicit_id(unique_id)
        })
    }

    /// Writes the members of a `Role`.
    pub(super) fn write_role(&self, xml: &mut Xml, role: &Role, detail: Detail) {
        xml.text("Path", &role.path);
        xml.text("RoleName", &role.name);
        xml.text("RoleId", &role.unique_id);
        xml.text("Arn", &role.arn);
        xml.date("CreateDate", role.created);
        xml.document("AssumeRolePolicyDocument", &self.shown_trust(role));
        if let Some(description) = &role.description
            && matches!(detail, Detail::Full | Detail::Listed | Detail::Described)
        {
            xml.text("Description", description);
        }
        if matches!(detail, Detail::Full | Detail::Listed) {
            xml.scalar("MaxSessionDuration", role.max_session_duration);
        }
        if let Some(arn) = &role.permissions_boundary
            && matches!(detail, Detail::Created | Detail::Full)
        {
            xml.element("PermissionsBoundary", |xml| {
                // The service model's enumeration says otherwise; this is what AWS sends.
                xml.text("PermissionsBoundaryType", "Policy");
                xml.text("PermissionsBoundaryArn", arn);
            });
        }
        match detail {
            Detail::Created if !role.tags.is_empty() => tags::write(xml, &role.tags),
            Detail::Full if !role.tags.is_empty() => tags::write(xml, &tags::sorted(&role.tags)),
            _ => {}
        }
        if detail == Detail::Full {
            xml.element("RoleLastUsed", |xml| {
                if let Some((at, region)) = &role.last_used {
                    xml.date("LastUsedDate", *at);
                    xml.text("Region", region);
                }
            });
        }
    }

    fn parse_trust(
        &self,
        context: &RequestContext,
        document: &str,
    ) -> Result<TrustPolicy, IamError> {
        TrustPolicy::parse(
            document,
            &AccountDirectory { iam: self, context },
            self.quotas.acl_size_per_role,
        )
    }
}
