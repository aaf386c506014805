//! The policies of a role: inline, attached, and its permissions boundary.

use super::error::IamError;
use super::form::Form;
use super::pages::Page;
use super::policies::is_policy_arn;
use super::xml::Xml;
use super::{Answer, Iam, Outcome, identity_policy};
use crate::context::RequestContext;

/// Characters other than white space of all inline policies of a role together; not adjustable.
const INLINE_SIZE: usize = 10_240;

fn no_such_policy(name: &str) -> IamError {
    IamError::no_such_entity(format!("The role policy with name {name} cannot be found."))
}

fn size(document: &str) -> usize {
    document
        .chars()
        .filter(|character| !character.is_whitespace())
        .count()
}

impl Iam {
    pub(super) fn put_role_policy(&mut self, form: &mut Form<'_>) -> Outcome {
        let name = form.name("RoleName", 64);
        let policy = form.name("PolicyName", 128);
        let document = form.document("PolicyDocument");
        form.check()?;
        let role = self.role_mut(&name)?;
        identity_policy::check(&document)?;
        let others: usize = role
            .inline
            .iter()
            .filter(|(known, _)| **known != policy)
            .map(|(_, document)| size(document))
            .sum();
        if others + size(&document) > INLINE_SIZE {
            return Err(IamError::limit_exceeded(format!(
                "Maximum policy size of {INLINE_SIZE} bytes exceeded for role {name}"
            )));
        }
        role.inline.insert(policy, document);
        Ok(Answer::Empty)
    }

    pub(super) fn get_role_policy(&self, form: &mut Form<'_>) -> Outcome {
        let name = form.name("RoleName", 64);
        let policy = form.name("PolicyName", 128);
        form.check()?;
        let document = self
            .role(&name)?
            .inline
            .get(&policy)
            .ok_or_else(|| no_such_policy(&policy))?;
        let mut xml = Xml::new();
        xml.text("RoleName", &name);
        xml.text("PolicyName", &policy);
        xml.document("PolicyDocument", document);
        Ok(Answer::Result(xml))
    }

    pub(super) fn list_role_policies(
        &self,
        context: &RequestContext,
        form: &mut Form<'_>,
    ) -> Outcome {
        let name = form.name("RoleName", 64);
        let request = form.page();
        form.check()?;
        let names = self
            .role(&name)?
            .inline
            .keys()
            .map(|policy| (policy.clone(), policy.as_str()))
            .collect();
        let page = Page::cut(
            context,
            &format!("ListRolePolicies {name}"),
            &request,
            names,
        )?;
        let mut xml = Xml::new();
        xml.strings("PolicyNames", page.items.iter().copied());
        page.write(&mut xml);
        Ok(Answer::Result(xml))
    }

    pub(super) fn delete_role_policy(&mut self, form: &mut Form<'_>) -> Outcome {
        let name = form.name("RoleName", 64);
        let policy = form.name("PolicyName", 128);
        form.check()?;
        self.role_mut(&name)?
            .inline
            .remove(&policy)
            .map(|_| Answer::Empty)
            .ok_or_else(|| no_such_policy(&policy))
    }

    /// Attaching what is attached already is no error and changes nothing.
    pub(super) fn attach_role_policy(
        &mut self,
        context: &RequestContext,
        form: &mut Form<'_>,
    ) -> Outcome {
        let name = form.name("RoleName", 64);
        let arn = form.arn("PolicyArn");
        form.check()?;
        if !is_policy_arn(&arn) {
            return Err(IamError::validation(format!("ARN {arn} is not valid.")));
        }
        self.role(&name)?;
        if self.managed_policy(context, &arn).is_none() {
            return Err(IamError::no_such_entity(format!(
                "Policy {arn} does not exist or is not attachable."
            )));
        }
        let limit = self.quotas.policies_per_role;
        let role = self.role_mut(&name)?;
        if !role.attached.contains(&arn) {
            if role.attached.len() >= limit {
                return Err(IamError::quota("PoliciesPerRole", limit));
            }
            role.attached.push(arn);
        }
        Ok(Answer::Empty)
    }

    pub(super) fn detach_role_policy(&mut self, form: &mut Form<'_>) -> Outcome {
        let name = form.name("RoleName", 64);
        let arn = form.arn("PolicyArn");
        form.check()?;
        if !is_policy_arn(&arn) {
            return Err(IamError::validation(format!("ARN {arn} is not valid.")));
        }
        let role = self.role_mut(&name)?;
        let Some(index) = role.attached.iter().position(|attached| *attached == arn) else {
            return Err(IamError::no_such_entity(format!(
                "Policy {arn} was not found."
            )));
        };
        role.attached.remove(index);
        Ok(Answer::Empty)
    }

    pub(super) fn list_attached_role_policies(
        &self,
        context: &RequestContext,
        form: &mut Form<'_>,
    ) -> Outcome {
        let name = form.name("RoleName", 64);
        let prefix = form.path_prefix();
        let request = form.page();
        form.check()?;
        let attached = &self.role(&name)?.attached;
        let mut policies: Vec<_> = attached
            .iter()
            .filter_map(|arn| self.managed_policy(context, arn))
            .filter(|policy| policy.path.starts_with(&prefix))
            .map(|policy| (format!("{} {}", policy.name, policy.unique_id), policy))
            .collect();
        policies.sort_by(|(a, _), (b, _)| a.cmp(b));
        let page = Page::cut(
            context,
            &format!("ListAttachedRolePolicies {name} {prefix}"),
            &request,
            policies,
        )?;
        let mut xml = Xml::new();
        xml.list("AttachedPolicies", &page.items, |xml, policy| {
            xml.text("PolicyName", &policy.name);
            xml.text("PolicyArn", &policy.arn);
        });
        page.write(&mut xml);
        Ok(Answer::Result(xml))
    }

    pub(super) fn put_role_permissions_boundary(
        &mut self,
        context: &RequestContext,
        form: &mut Form<'_>,
    ) -> Outcome {
        let name = form.name("RoleName", 64);
        let arn = form.arn("PermissionsBoundary");
        form.check()?;
        self.role(&name)?;
        self.check_boundary(context, &arn)?;
        self.role_mut(&name)?.permissions_boundary = Some(arn);
        Ok(Answer::Empty)
    }

    pub(super) fn delete_role_permissions_boundary(&mut self, form: &mut Form<'_>) -> Outcome {
        let name = form.name("RoleName", 64);
        form.check()?;
        self.role_mut(&name)?.permissions_boundary = None;
        Ok(Answer::Empty)
    }

    /// Whether a policy may bound a role.
    pub(super) fn check_boundary(
        &self,
        context: &RequestContext,
        arn: &str,
    ) -> Result<(), IamError> {
        if !is_policy_arn(arn) {
            return Err(IamError::invalid_input(format!("ARN {arn} is not valid.")));
        }
        if self.managed_policy(context, arn).is_none() {
            return Err(IamError::no_such_entity(format!(
                "Scope ARN: {arn} does not exist or is not attachable."
            )));
        }
        Ok(())
    }
}
