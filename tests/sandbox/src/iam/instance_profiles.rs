//! Instance profiles: what keeps a role from being deleted besides its policies.

use time::OffsetDateTime;

use super::error::IamError;
use super::form::Form;
use super::pages::Page;
use super::roles::Detail;
use super::tags::{self, Keys, Tag};
use super::xml::Xml;
use super::{Answer, Iam, Outcome};
use crate::context::RequestContext;

/// An instance profile.
#[derive(Clone, Debug)]
pub(super) struct InstanceProfile {
    name: String,
    path: String,
    arn: String,
    /// `AIPA…`
    unique_id: String,
    created: OffsetDateTime,
    tags: Vec<Tag>,
    /// Names of roles; at most one.
    pub(super) roles: Vec<String>,
}

fn no_such_profile(name: &str) -> IamError {
    IamError::no_such_entity(format!("Instance Profile {name} cannot be found."))
}

impl Iam {
    pub(super) fn create_instance_profile(
        &mut self,
        context: &RequestContext,
        form: &mut Form<'_>,
    ) -> Outcome {
        let name = form.name("InstanceProfileName", 128);
        let path = form.path();
        let tags = form.tags();
        form.check()?;
        Keys::CaseSensitive.check(&tags)?;
        let key = name.to_lowercase();
        if self.instance_profiles.contains_key(&key) {
            return Err(IamError::already_exists(format!(
                "Instance Profile {name} already exists."
            )));
        }
        let profile = InstanceProfile {
            arn: format!(
                "arn:{}:iam::{}:instance-profile{path}{name}",
                context.partition, context.account_id
            ),
            name,
            path,
            unique_id: self.unique_id(context, "AIPA"),
            created: context.now,
            tags,
            roles: Vec::new(),
        };
        let mut xml = Xml::new();
        xml.element("InstanceProfile", |xml| {
            self.write_profile(xml, &profile);
            if !profile.tags.is_empty() {
                tags::write(xml, &profile.tags);
            }
        });
        self.instance_profiles.insert(key, profile);
        Ok(Answer::Result(xml))
    }

    pub(super) fn get_instance_profile(&self, form: &mut Form<'_>) -> Outcome {
        let name = form.name("InstanceProfileName", 128);
        form.check()?;
        let profile = self.profile(&name)?;
        let mut xml = Xml::new();
        xml.element("InstanceProfile", |xml| {
            self.write_profile(xml, profile);
            tags::write(xml, &tags::sorted(&profile.tags));
        });
        Ok(Answer::Result(xml))
    }

    pub(super) fn delete_instance_profile(&mut self, form: &mut Form<'_>) -> Outcome {
        let name = form.name("InstanceProfileName", 128);
        form.check()?;
        if !self.profile(&name)?.roles.is_empty() {
            return Err(IamError::delete_conflict(
                "Cannot delete entity, must remove roles from instance profile first.",
            ));
        }
        self.instance_profiles.remove(&name.to_lowercase());
        Ok(Answer::Empty)
    }

    pub(super) fn add_role_to_instance_profile(&mut self, form: &mut Form<'_>) -> Outcome {
        let name = form.name("InstanceProfileName", 128);
        let role = form.name("RoleName", 64);
        form.check()?;
        self.profile(&name)?;
        self.role(&role)?;
        let profile = self.profile_mut(&name)?;
        if !profile.roles.is_empty() {
            return Err(IamError::quota("InstanceSessionsPerInstanceProfile", 1));
        }
        profile.roles.push(role);
        Ok(Answer::Empty)
    }

    pub(super) fn remove_role_from_instance_profile(&mut self, form: &mut Form<'_>) -> Outcome {
        let name = form.name("InstanceProfileName", 128);
        let role = form.name("RoleName", 64);
        form.check()?;
        self.profile(&name)?;
        self.role(&role)?;
        let profile = self.profile_mut(&name)?;
        let Some(index) = profile.roles.iter().position(|known| *known == role) else {
            return Err(IamError::no_such_entity(format!(
                "Role {role} in Instance Profile {name} cannot be found."
            )));
        };
        profile.roles.remove(index);
        Ok(Answer::Empty)
    }

    pub(super) fn list_instance_profiles_for_role(
        &self,
        context: &RequestContext,
        form: &mut Form<'_>,
    ) -> Outcome {
        let role = form.name("RoleName", 64);
        let request = form.page();
        form.check()?;
        self.role(&role)?;
        let profiles = self
            .instance_profiles
            .iter()
            .filter(|(_, profile)| profile.roles.contains(&role))
            .map(|(key, profile)| (key.clone(), profile))
            .collect();
        let page = Page::cut(
            context,
            &format!("ListInstanceProfilesForRole {role}"),
            &request,
            profiles,
        )?;
        let mut xml = Xml::new();
        xml.list("InstanceProfiles", &page.items, |xml, profile| {
            self.write_profile(xml, profile)
        });
        page.write(&mut xml);
        Ok(Answer::Result(xml))
    }

    fn profile(&self, name: &str) -> Result<&InstanceProfile, IamError> {
        self.instance_profiles
            .get(&name.to_lowercase())
            .filter(|profile| profile.name == name)
            .ok_or_else(|| no_such_profile(name))
    }

    fn profile_mut(&mut self, name: &str) -> Result<&mut InstanceProfile, IamError> {
        self.instance_profiles
            .get_mut(&name.to_lowercase())
            .filter(|profile| profile.name == name)
            .ok_or_else(|| no_such_profile(name))
    }

    fn write_profile(&self, xml: &mut Xml, profile: &InstanceProfile) {
        xml.text("Path", &profile.path);
        xml.text("InstanceProfileName", &profile.name);
        xml.text("InstanceProfileId", &profile.unique_id);
        xml.text("Arn", &profile.arn);
        xml.date("CreateDate", profile.created);
        let roles = profile.roles.iter().filter_map(|name| self.role(name).ok());
        xml.list("Roles", roles, |xml, role| {
            self.write_role(xml, role, Detail::Nested)
        });
    }
}
