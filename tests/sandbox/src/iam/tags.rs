//! Tags of roles and other entities.

use super::error::IamError;
use super::form::Form;
use super::pages::{Page, position_key};
use super::xml::Xml;
use super::{Answer, Iam, Outcome};
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

/// Checks tags whose keys ignore case, as those of roles and users do.
pub(super) fn check_ignoring_case(tags: &[Tag]) -> Result<(), IamError> {
    check_reserved(tags)?;
    if repeats(tags.iter().map(|tag| tag.key.to_lowercase())) {
        return Err(IamError::invalid_input(
            "Duplicate tag keys found. Please note that Tag keys are case insensitive.",
        ));
    }
    Ok(())
}

/// Checks tags whose keys are told apart by case, as those of policies, instance profiles and OIDC providers are.
pub(super) fn check_case_sensitive(tags: &[Tag]) -> Result<(), IamError> {
    check_reserved(tags)?;
    if repeats(tags.iter().map(|tag| tag.key.clone())) {
        return Err(IamError::invalid_input("Duplicate tag keys found."));
    }
    Ok(())
}

/// The prefix is AWS's own in any case of its letters. No record of IAM's wording was found; this is the one of other services.
fn check_reserved(tags: &[Tag]) -> Result<(), IamError> {
    if tags
        .iter()
        .any(|tag| tag.key.to_ascii_lowercase().starts_with("aws:"))
    {
        return Err(IamError::invalid_input(
            "aws: prefixed tag key names are not allowed for external use.",
        ));
    }
    Ok(())
}

fn repeats(keys: impl Iterator<Item = String>) -> bool {
    let mut keys: Vec<_> = keys.collect();
    let count = keys.len();
    keys.sort();
    keys.dedup();
    keys.len() < count
}

impl Iam {
    pub(super) fn tag_role(&mut self, form: &mut Form<'_>) -> Outcome {
        let name = form.name("RoleName", 64);
        let tags = form.tags();
        if form.raw("Tags.member.1.Key").is_none() {
            form.violate("Tags", "Member must not be null");
        }
        form.check()?;
        check_ignoring_case(&tags)?;
        let role = self.role_mut(&name)?;
        let mut merged = role.tags.clone();
        for tag in tags {
            // The new spelling of the key replaces the old one together with the value.
            match merged
                .iter_mut()
                .find(|known| known.key.to_lowercase() == tag.key.to_lowercase())
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
        role.tags = merged;
        Ok(Answer::Empty)
    }

    pub(super) fn untag_role(&mut self, form: &mut Form<'_>) -> Outcome {
        let name = form.name("RoleName", 64);
        let keys = form.tag_keys();
        form.check()?;
        let role = self.role_mut(&name)?;
        role.tags.retain(|tag| {
            !keys
                .iter()
                .any(|key| key.to_lowercase() == tag.key.to_lowercase())
        });
        Ok(Answer::Empty)
    }

    pub(super) fn list_role_tags(&self, context: &RequestContext, form: &mut Form<'_>) -> Outcome {
        let name = form.name("RoleName", 64);
        let request = form.page();
        form.check()?;
        let role = self.role(&name)?;
        let tags = sorted(&role.tags)
            .into_iter()
            .enumerate()
            .map(|(index, tag)| (position_key(index), tag))
            .collect();
        let page = Page::cut(
            context,
            &format!("ListRoleTags {}", role.unique_id),
            &request,
            tags,
        )?;
        let mut xml = Xml::new();
        write(&mut xml, &page.items);
        page.write(&mut xml);
        Ok(Answer::Result(xml))
    }
}
