//! Tags of roles and other entities.

use super::error::IamError;
use super::form::{Form, PageRequest};
use super::pages::{Page, position_key};
use super::xml::Xml;
use super::{Answer, Iam, Outcome, policies};
use crate::context::RequestContext;

/// The quota of tags of one entity; not adjustable.
const TAGS_PER_ENTITY: usize = 50;

/// A tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Tag {
    /// 1 to 128 characters.
    pub(super) key: String,
    /// Up to 256 characters.
    pub(super) value: String,
}

/// Writes `Tags`.
pub(super) fn write(xml: &mut Xml, tags: &[Tag]) {
    xml.list("Tags", tags, |xml, tag| {
        xml.text("Key", &tag.key);
        xml.text("Value", &tag.value);
    });
}

/// Tags in the order IAM lists them.
pub(super) fn sorted(tags: &[Tag]) -> Vec<Tag> {
    let mut tags = tags.to_vec();
    tags.sort_by(|a, b| a.key.cmp(&b.key));
    tags
}

/// How the keys of an entity's tags are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keys {
    /// Roles and users.
    IgnoringCase,
    /// Policies, instance profiles and OIDC providers.
    CaseSensitive,
}

impl Keys {
    fn same(self, a: &str, b: &str) -> bool {
        match self {
            Self::IgnoringCase => a.to_lowercase() == b.to_lowercase(),
            Self::CaseSensitive => a == b,
        }
    }

    /// Checks tags of one request.
    ///
    /// # Errors
    ///
    /// `InvalidInput` for a key of AWS's own or one given twice.
    pub(super) fn check(self, tags: &[Tag]) -> Result<(), IamError> {
        // The prefix is AWS's in any case of its letters. No record of IAM's wording was found; this is the one of other services.
        if tags
            .iter()
            .any(|tag| tag.key.to_ascii_lowercase().starts_with("aws:"))
        {
            return Err(IamError::invalid_input(
                "aws: prefixed tag key names are not allowed for external use.",
            ));
        }
        let repeated = tags.iter().enumerate().any(|(index, tag)| {
            tags[..index]
                .iter()
                .any(|other| self.same(&other.key, &tag.key))
        });
        match (repeated, self) {
            (false, _) => Ok(()),
            (true, Self::IgnoringCase) => Err(IamError::invalid_input(
                "Duplicate tag keys found. Please note that Tag keys are case insensitive.",
            )),
            (true, Self::CaseSensitive) => {
                Err(IamError::invalid_input("Duplicate tag keys found."))
            }
        }
    }

    /// Adds tags; the new spelling of a key replaces the old one together with the value.
    fn merge(self, known: &mut Vec<Tag>, tags: Vec<Tag>) -> Outcome {
        let mut merged = known.clone();
        for tag in tags {
            match merged
                .iter_mut()
                .find(|known| self.same(&known.key, &tag.key))
            {
                Some(known) => *known = tag,
                None => merged.push(tag),
            }
        }
        if merged.len() > TAGS_PER_ENTITY {
            return Err(IamError::limit_exceeded(
                "The number of tags has reached the maximum limit.",
            ));
        }
        *known = merged;
        Ok(Answer::Empty)
    }

    /// Removes tags; keys that are not there are ignored.
    fn remove(self, known: &mut Vec<Tag>, keys: &[String]) -> Outcome {
        known.retain(|tag| !keys.iter().any(|key| self.same(key, &tag.key)));
        Ok(Answer::Empty)
    }
}

/// The tags of a request that must have some.
fn required(form: &mut Form<'_>) -> Vec<Tag> {
    let tags = form.tags();
    if form.raw("Tags.member.1.Key").is_none() && form.raw("Tags.member.1.Value").is_none() {
        form.violate("Tags", "Member must not be null");
    }
    tags
}

/// A page of an entity's tags.
fn list(context: &RequestContext, list: &str, request: &PageRequest, tags: &[Tag]) -> Outcome {
    let tags = sorted(tags)
        .into_iter()
        .enumerate()
        .map(|(index, tag)| (position_key(index), tag))
        .collect();
    let page = Page::cut(context, list, request, tags)?;
    let mut xml = Xml::new();
    write(&mut xml, &page.items);
    page.write(&mut xml);
    Ok(Answer::Result(xml))
}

impl Iam {
    pub(super) fn tag_role(&mut self, form: &mut Form<'_>) -> Outcome {
        let name = form.name("RoleName", 64);
        let tags = required(form);
        form.check()?;
        Keys::IgnoringCase.check(&tags)?;
        Keys::IgnoringCase.merge(&mut self.role_mut(&name)?.tags, tags)
    }

    pub(super) fn untag_role(&mut self, form: &mut Form<'_>) -> Outcome {
        let name = form.name("RoleName", 64);
        let keys = form.tag_keys();
        form.check()?;
        Keys::IgnoringCase.remove(&mut self.role_mut(&name)?.tags, &keys)
    }

    pub(super) fn list_role_tags(&self, context: &RequestContext, form: &mut Form<'_>) -> Outcome {
        let name = form.name("RoleName", 64);
        let request = form.page();
        form.check()?;
        let role = self.role(&name)?;
        list(
            context,
            &format!("ListRoleTags {}", role.unique_id),
            &request,
            &role.tags,
        )
    }

    pub(super) fn tag_policy(&mut self, form: &mut Form<'_>) -> Outcome {
        let tags = required(form);
        let arn = policies::policy_arn(form)?;
        Keys::CaseSensitive.check(&tags)?;
        let policy = self
            .policies
            .get_mut(&arn)
            .ok_or_else(|| policies::not_found(&arn))?;
        Keys::CaseSensitive.merge(&mut policy.tags, tags)
    }

    pub(super) fn untag_policy(&mut self, form: &mut Form<'_>) -> Outcome {
        let keys = form.tag_keys();
        let arn = policies::policy_arn(form)?;
        let policy = self
            .policies
            .get_mut(&arn)
            .ok_or_else(|| policies::not_found(&arn))?;
        Keys::CaseSensitive.remove(&mut policy.tags, &keys)
    }

    pub(super) fn list_policy_tags(
        &self,
        context: &RequestContext,
        form: &mut Form<'_>,
    ) -> Outcome {
        let request = form.page();
        let arn = policies::policy_arn(form)?;
        let policy = self
            .managed_policy(context, &arn)
            .ok_or_else(|| policies::not_found(&arn))?;
        list(
            context,
            &format!("ListPolicyTags {arn}"),
            &request,
            &policy.tags,
        )
    }

    pub(super) fn tag_open_id_connect_provider(&mut self, form: &mut Form<'_>) -> Outcome {
        let arn = form.arn("OpenIDConnectProviderArn");
        let tags = required(form);
        form.check()?;
        Keys::CaseSensitive.check(&tags)?;
        Keys::CaseSensitive.merge(&mut self.provider_mut(&arn)?.tags, tags)
    }

    pub(super) fn untag_open_id_connect_provider(&mut self, form: &mut Form<'_>) -> Outcome {
        let arn = form.arn("OpenIDConnectProviderArn");
        let keys = form.tag_keys();
        form.check()?;
        Keys::CaseSensitive.remove(&mut self.provider_mut(&arn)?.tags, &keys)
    }

    pub(super) fn list_open_id_connect_provider_tags(
        &mut self,
        context: &RequestContext,
        form: &mut Form<'_>,
    ) -> Outcome {
        let arn = form.arn("OpenIDConnectProviderArn");
        let request = form.page();
        form.check()?;
        let name = format!("ListOpenIDConnectProviderTags {arn}");
        list(context, &name, &request, &self.provider_mut(&arn)?.tags)
    }
}
