//! The `tags` and `tags_all` attributes.

use std::collections::{BTreeMap, HashMap};

use crate::aws::{self, AwsError};
use crate::cty::Type;
use crate::framework::Context;
use crate::framework::diagnostic::Diagnostics;
use crate::framework::resource::{ModifyPlanRequest, ModifyPlanResponse};
use crate::framework::schema::{Attribute, Validator, ValidatorRequest};
use crate::provider::ProviderData;

/// Most tags of one object.
const MAX_TAGS: usize = 50;
/// Longest key of a tag, in characters.
const MAX_KEY: usize = 128;
/// Longest value of a tag, in characters.
const MAX_VALUE: usize = 256;

/// `tags`.
pub fn attribute() -> Attribute {
    Attribute::map(
        "tags",
        Type::String,
        "Tags. They win over the provider's `default_tags` of the same key.",
    )
    .optional()
    .validate(Tags)
}

/// `tags_all`.
pub fn all_attribute() -> Attribute {
    Attribute::map(
        "tags_all",
        Type::String,
        "All tags, those of the provider's `default_tags` included.",
    )
    .computed()
}

/// Plans `tags_all` from the configured `tags` and the provider's default and ignored tags.
pub fn plan(
    provider: &ProviderData,
    request: &ModifyPlanRequest,
    response: &mut ModifyPlanResponse,
) {
    if response.planned_state.is_null() {
        return;
    }
    let all = provider
        .tag_policy()
        .plan_tags_all(request.config.get("tags"));
    if all.as_entries().is_some_and(|all| all.len() > MAX_TAGS) {
        response.diagnostics.attribute_error(
            "tags",
            "Too many tags",
            format!(
                "With the provider's default_tags this object would have {} tags; AWS allows {MAX_TAGS}.",
                all.as_entries().map_or(0, |all| all.len())
            ),
        );
    }
    response.planned_state.set("tags_all", all);
}

/// Keys, values and number of tags as EKS and IAM allow them.
#[derive(Clone, Copy, Debug)]
struct Tags;

impl Validator for Tags {
    fn description(&self) -> String {
        format!(
            "at most {MAX_TAGS} tags, keys of 1 to {MAX_KEY} and values of at most {MAX_VALUE} letters, digits, spaces and _.:/=+-@"
        )
    }

    fn validate(&self, request: &ValidatorRequest<'_>, diagnostics: &mut Diagnostics) {
        let Some(tags) = request.value.as_entries() else {
            return;
        };
        if tags.values().filter(|value| !value.is_null()).count() > MAX_TAGS {
            diagnostics.attribute_error(
                request.path.clone(),
                "Too many tags",
                format!("There are {} tags; AWS allows {MAX_TAGS}.", tags.len()),
            );
        }
        for (key, value) in tags {
            let fault = key_fault(key)
                .map(|fault| format!("The key {key:?} is not possible: {fault}."))
                .or_else(|| {
                    let text = value.as_str()?;
                    value_fault(text).map(|fault| {
                        format!("The value of the tag {key:?} is not possible: {fault}.")
                    })
                });
            if let Some(fault) = fault {
                diagnostics.attribute_error(request.path.key(key.clone()), "Invalid tag", fault);
            }
        }
    }
}

fn key_fault(key: &str) -> Option<String> {
    let length = key.chars().count();
    if length == 0 {
        return Some("it is empty".to_owned());
    }
    if length > MAX_KEY {
        return Some(format!(
            "it has {length} characters, at most {MAX_KEY} are allowed"
        ));
    }
    if key.to_ascii_lowercase().starts_with("aws:") {
        return Some("the prefix aws: is reserved for AWS".to_owned());
    }
    character_fault(key)
}

fn value_fault(value: &str) -> Option<String> {
    let length = value.chars().count();
    if length > MAX_VALUE {
        return Some(format!(
            "it has {length} characters, at most {MAX_VALUE} are allowed"
        ));
    }
    character_fault(value)
}

/// Letters, digits, separators and `_.:/=+-@` (IAM API, `tagKeyType`).
fn character_fault(text: &str) -> Option<String> {
    text.chars()
        .find(|c| {
            let separator = c.is_whitespace() && !c.is_control();
            !(c.is_alphanumeric() || separator || "_.:/=+-@".contains(*c))
        })
        .map(|c| format!("it contains {c:?}"))
}

/// Brings the tags of an EKS object from what they are to what they should be. Nothing is sent when nothing differs.
///
/// # Errors
/// Whatever EKS answers.
pub async fn change_eks(
    context: &Context<ProviderData>,
    arn: &str,
    from: &BTreeMap<String, String>,
    to: &BTreeMap<String, String>,
) -> Result<(), AwsError> {
    let changes = aws::tags::changes(from, to);
    if changes.is_empty() {
        return Ok(());
    }
    let eks = context.provider.eks()?;
    if !changes.remove.is_empty() {
        let call = eks
            .untag_resource()
            .resource_arn(arn)
            .set_tag_keys(Some(changes.remove))
            .send();
        aws::write(&context.cancel, call).await?;
    }
    if !changes.set.is_empty() {
        let call = eks
            .tag_resource()
            .resource_arn(arn)
            .set_tags(for_eks(&changes.set))
            .send();
        aws::write(&context.cancel, call).await?;
    }
    Ok(())
}

/// Tags as an EKS request carries them: left out when there are none.
#[must_use]
pub fn for_eks(tags: &BTreeMap<String, String>) -> Option<HashMap<String, String>> {
    (!tags.is_empty()).then(|| tags.clone().into_iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cty::Value;
    use crate::framework::validators;

    #[test]
    fn tags_are_checked() {
        let long_key = "k".repeat(129);
        let long_value = "v".repeat(257);
        let cases = [
            ("plain", "team", "payments", ""),
            ("empty value", "team", "", ""),
            ("all characters", "a b/c:d=e+f-g@h_i.j", "ä 1", ""),
            ("empty key", "", "x", "empty"),
            ("reserved", "aws:thing", "x", "reserved"),
            ("reserved in capitals", "AWS:thing", "x", "reserved"),
            ("long key", long_key.as_str(), "x", "129 characters"),
            ("long value", "team", long_value.as_str(), "257 characters"),
            ("bad key", "te{am", "x", "'{'"),
            ("bad value", "team", "a\nb", "'\\n'"),
        ];
        for (name, key, value, expected) in cases {
            let diagnostics = validators::check(&Tags, Value::string_map([(key, value)]));
            assert_eq!(diagnostics.has_errors(), !expected.is_empty(), "{name}");
            for diagnostic in diagnostics {
                assert!(
                    diagnostic.detail.contains(expected),
                    "{name}: {}",
                    diagnostic.detail
                );
            }
        }
        let many = (0..51).map(|n| (format!("k{n}"), "v"));
        assert!(validators::check(&Tags, Value::string_map(many)).has_errors());
    }
}
