//! Reading query parameters and checking them as IAM's front end does.
//!
//! Two layers answer differently. The constraints of the service model are all checked first and reported together
//! ("2 validation errors detected: …"), without the offending value. Characters of names, paths and documents are checked
//! after that, one at a time, in a sentence of their own. Both forms are as recorded from AWS in 2026.

use std::collections::BTreeMap;

use super::error::IamError;
use super::tags::Tag;

/// A request's parameters and what was found wrong with those read so far.
///
/// Reading never fails: a bad value is noted, and [`Form::check`] reports. Values are not to be used before it.
pub(super) struct Form<'a> {
    parameters: &'a BTreeMap<String, String>,
    violations: Vec<String>,
    error: Option<IamError>,
}

/// `Marker` and `MaxItems`.
#[derive(Clone, Debug)]
pub(super) struct PageRequest {
    /// The opaque marker of the page before.
    pub(super) marker: Option<String>,
    /// How many items at most.
    pub(super) max_items: usize,
}

impl<'a> Form<'a> {
    /// A form over the decoded parameters.
    pub(super) fn new(parameters: &'a BTreeMap<String, String>) -> Self {
        Self {
            parameters,
            violations: Vec::new(),
            error: None,
        }
    }

    /// Reports what the reads found.
    ///
    /// # Errors
    ///
    /// `ValidationError` with all violations of the model, else the first other error.
    pub(super) fn check(&mut self) -> Result<(), IamError> {
        if !self.violations.is_empty() {
            let count = self.violations.len();
            let plural = if count == 1 { "" } else { "s" };
            return Err(IamError::validation(format!(
                "{count} validation error{plural} detected: {}",
                self.violations.join("; ")
            )));
        }
        self.error.take().map_or(Ok(()), Err)
    }

    /// The value as sent.
    pub(super) fn raw(&self, name: &str) -> Option<&'a str> {
        self.parameters.get(name).map(String::as_str)
    }

    /// A required name of roles, policies and the like: 1 to `max` of `[\w+=,.@-]`.
    pub(super) fn name(&mut self, name: &str, max: usize) -> String {
        let Some(value) = self.required(name) else {
            return String::new();
        };
        self.length(name, value, 1, max);
        if !value.chars().all(is_name_character) {
            self.refuse(IamError::validation(format!(
                "The specified value for {} is invalid. It must contain only alphanumeric characters and/or the following: +=,.@_-",
                member(name)
            )));
        }
        value.to_owned()
    }

    /// An optional name.
    pub(super) fn optional_name(&mut self, name: &str, max: usize) -> Option<String> {
        self.raw(name).is_some().then(|| self.name(name, max))
    }

    /// An optional path of a role, user or instance profile; `/` if absent.
    pub(super) fn path(&mut self) -> String {
        let Some(value) = self.raw("Path") else {
            return "/".into();
        };
        self.length("Path", value, 1, 512);
        if !is_path(value) {
            self.refuse(IamError::validation(
                "The specified value for path is invalid. It must begin and end with / and contain only alphanumeric characters and/or / characters.",
            ));
        }
        value.to_owned()
    }

    /// The optional `PathPrefix` of a list; `/` if absent.
    pub(super) fn path_prefix(&mut self) -> String {
        let Some(value) = self.raw("PathPrefix") else {
            return "/".into();
        };
        self.length("PathPrefix", value, 1, 512);
        if !value.starts_with('/')
            || !value
                .chars()
                .all(|character| ('\u{21}'..='\u{7f}').contains(&character))
        {
            self.pattern("PathPrefix", r"\u002F[\u0021-\u007F]*");
        }
        value.to_owned()
    }

    /// An optional description of a role.
    pub(super) fn description(&mut self) -> Option<String> {
        let value = self.raw("Description")?;
        self.length("Description", value, 0, 1000);
        if !value.chars().all(
            |character| matches!(character, '\t' | '\n' | '\r' | ' '..='~' | '\u{a1}'..='\u{ff}'),
        ) {
            self.pattern(
                "Description",
                r"[\u0009\u000A\u000D\u0020-\u007E\u00A1-\u00FF]*",
            );
        }
        Some(value.to_owned())
    }

    /// A required policy document.
    pub(super) fn document(&mut self, name: &str) -> String {
        let Some(value) = self.required(name) else {
            return String::new();
        };
        self.length(name, value, 1, 131_072);
        if !value
            .chars()
            .all(|character| matches!(character, '\t' | '\n' | '\r' | ' '..='\u{ff}'))
        {
            self.refuse(IamError::validation(format!(
                "The specified value for {} is invalid. It must contain only printable ASCII characters.",
                member(name)
            )));
        }
        value.to_owned()
    }

    /// A required ARN; only its length is checked here.
    pub(super) fn arn(&mut self, name: &str) -> String {
        let Some(value) = self.required(name) else {
            return String::new();
        };
        self.length(name, value, 20, 2048);
        value.to_owned()
    }

    /// A required text of a certain length.
    pub(super) fn text(&mut self, name: &str, min: usize, max: usize) -> String {
        let Some(value) = self.required(name) else {
            return String::new();
        };
        self.length(name, value, min, max);
        value.to_owned()
    }

    /// An optional ARN.
    pub(super) fn optional_arn(&mut self, name: &str) -> Option<String> {
        self.raw(name).is_some().then(|| self.arn(name))
    }

    /// An optional whole number within a range.
    pub(super) fn number(&mut self, name: &str, min: u32, max: u32) -> Option<u32> {
        let text = self.raw(name)?;
        let Ok(value) = text.parse::<i64>() else {
            self.refuse(IamError::malformed_input());
            return None;
        };
        if value < i64::from(min) {
            self.violate(
                name,
                &format!("Member must have value greater than or equal to {min}"),
            );
        } else if value > i64::from(max) {
            self.violate(
                name,
                &format!("Member must have value less than or equal to {max}"),
            );
        }
        u32::try_from(value).ok()
    }

    /// An optional boolean.
    pub(super) fn boolean(&mut self, name: &str) -> Option<bool> {
        match self.raw(name)? {
            "true" => Some(true),
            "false" => Some(false),
            _ => {
                self.refuse(IamError::malformed_input());
                None
            }
        }
    }

    /// An optional choice among the values of an enumeration.
    pub(super) fn choice(&mut self, name: &str, values: &[&str]) -> Option<String> {
        let value = self.raw(name)?;
        if !values.contains(&value) {
            self.violate(
                name,
                &format!(
                    "Member must satisfy enum value set: [{}]",
                    values.join(", ")
                ),
            );
        }
        Some(value.to_owned())
    }

    /// `Marker` and `MaxItems`.
    pub(super) fn page(&mut self) -> PageRequest {
        let marker = self.raw("Marker");
        if let Some(marker) = marker {
            self.length("Marker", marker, 1, 320);
        }
        let max_items = self.number("MaxItems", 1, 1000).unwrap_or(100);
        PageRequest {
            marker: marker.map(str::to_owned),
            max_items: usize::try_from(max_items).unwrap_or(100),
        }
    }

    /// The strings `name.member.1`, `name.member.2`, …
    pub(super) fn strings(&self, name: &str) -> Vec<String> {
        (1..)
            .map_while(|index| self.raw(&format!("{name}.member.{index}")))
            .map(str::to_owned)
            .collect()
    }

    /// A list whose every element has a length, reported the way IAM reports lists: once, with all constraints of an element.
    pub(super) fn string_list(&mut self, name: &str, min: usize, max: usize) -> Vec<String> {
        let values = self.strings(name);
        if values
            .iter()
            .any(|value| !(min..=max).contains(&value.chars().count()))
        {
            self.violate(
                name,
                &format!("Member must satisfy constraint: [Member must have length less than or equal to {max}, Member must have length greater than or equal to {min}]"),
            );
        }
        values
    }

    /// `Tags.member.N.Key` and `.Value`: at most 50, checked one by one.
    pub(super) fn tags(&mut self) -> Vec<Tag> {
        let mut tags = Vec::new();
        for index in 1.. {
            let (key_name, value_name) = (
                format!("Tags.member.{index}.Key"),
                format!("Tags.member.{index}.Value"),
            );
            let (key, value) = match (self.raw(&key_name), self.raw(&value_name)) {
                (None, None) => break,
                (None, Some(_)) => {
                    self.refuse(IamError::missing_parameter(&key_name));
                    break;
                }
                (Some(_), None) => {
                    self.refuse(IamError::missing_parameter(&value_name));
                    break;
                }
                (Some(key), Some(value)) => (key, value),
            };
            let (key_member, value_member) = (
                format!("tags.{index}.member.key"),
                format!("tags.{index}.member.value"),
            );
            if !key.chars().all(is_tag_character) {
                self.pattern(&key_member, TAG_KEY_PATTERN);
            }
            self.length(&key_member, key, 1, 128);
            if !value.chars().all(is_tag_character) {
                self.pattern(&value_member, TAG_VALUE_PATTERN);
            }
            self.length(&value_member, value, 0, 256);
            tags.push(Tag {
                key: key.to_owned(),
                value: value.to_owned(),
            });
        }
        if tags.len() > 50 {
            self.violate("Tags", "Member must have length less than or equal to 50");
        }
        tags
    }

    /// `TagKeys.member.N`.
    pub(super) fn tag_keys(&mut self) -> Vec<String> {
        let keys = self.strings("TagKeys");
        if keys.is_empty() {
            self.violate("TagKeys", "Member must not be null");
        } else if keys.len() > 50 {
            self.violate(
                "TagKeys",
                "Member must have length less than or equal to 50",
            );
        }
        if keys.iter().any(|key| {
            !(1..=128).contains(&key.chars().count()) || !key.chars().all(is_tag_character)
        }) {
            self.violate(
                "TagKeys",
                &format!(
                    "Member must satisfy constraint: [Member must have length less than or equal to 128, Member must have length greater than or equal to 1, \
                     Member must satisfy regular expression pattern: {TAG_KEY_PATTERN}, Member must not be null]"
                ),
            );
        }
        keys
    }

    /// The value of a required parameter; notes its absence.
    pub(super) fn required(&mut self, name: &str) -> Option<&'a str> {
        let value = self.raw(name);
        if value.is_none() {
            self.violate(name, "Member must not be null");
        }
        value
    }

    /// Notes a violated constraint of the model.
    pub(super) fn violate(&mut self, name: &str, constraint: &str) {
        self.violations.push(format!(
            "Value at '{}' failed to satisfy constraint: {constraint}",
            member(name)
        ));
    }

    /// Notes a violated pattern.
    pub(super) fn pattern(&mut self, name: &str, pattern: &str) {
        self.violate(
            name,
            &format!("Member must satisfy regular expression pattern: {pattern}"),
        );
    }

    fn length(&mut self, name: &str, value: &str, min: usize, max: usize) {
        let length = value.chars().count();
        if length > max {
            self.violate(
                name,
                &format!("Member must have length less than or equal to {max}"),
            );
        } else if length < min {
            self.violate(
                name,
                &format!("Member must have length greater than or equal to {min}"),
            );
        }
    }

    fn refuse(&mut self, error: IamError) {
        self.error.get_or_insert(error);
    }
}

const TAG_KEY_PATTERN: &str = r"[\p{L}\p{Z}\p{N}_.:/=+\-@]+";
const TAG_VALUE_PATTERN: &str = r"[\p{L}\p{Z}\p{N}_.:/=+\-@]*";

/// `RoleName` → `roleName`: the member's name in messages.
fn member(name: &str) -> String {
    let mut characters = name.chars();
    characters.next().map_or_else(String::new, |first| {
        first.to_lowercase().chain(characters).collect()
    })
}

fn is_name_character(character: char) -> bool {
    character.is_ascii_alphanumeric() || "_+=,.@-".contains(character)
}

fn is_path(value: &str) -> bool {
    value == "/"
        || (value.len() > 2
            && value.starts_with('/')
            && value.ends_with('/')
            && value
                .chars()
                .all(|character| ('\u{21}'..='\u{7e}').contains(&character)))
}

/// `[\p{L}\p{Z}\p{N}_.:/=+\-@]`
fn is_tag_character(character: char) -> bool {
    // `char::is_alphanumeric` is Alphabetic or N; Alphabetic has a few marks more than L, none of which the pattern is about to meet in practice.
    character.is_alphanumeric()
        || (character.is_whitespace() && !character.is_control())
        || "_.:/=+-@".contains(character)
}
