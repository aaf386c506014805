//! Tags: what is planned, sent and read, with the provider's default and ignored tags.
//!
//! The rules are those that users know from `hashicorp/aws`: default tags lie under the resource's own, `tags_all` is
//! the sum, a null tag value is dropped, an unknown one makes the whole of `tags_all` unknown, ignored tags are neither
//! planned nor read.

use std::collections::{BTreeMap, BTreeSet};

use crate::cty::Value;

/// The prefix of tags that belong to AWS. They cannot be set and never show up as drift.
const RESERVED_PREFIX: &str = "aws:";

/// The provider's default and ignored tags.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct TagPolicy {
    /// `default_tags`; `None` while not known.
    pub default_tags: Option<BTreeMap<String, String>>,
    /// `ignore_tags`; `None` while not known.
    pub ignore_tags: Option<IgnoreTags>,
}

/// Tags that are somebody else's.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct IgnoreTags {
    /// Ignored keys.
    pub keys: BTreeSet<String>,
    /// Ignored beginnings of keys.
    pub key_prefixes: BTreeSet<String>,
}

impl IgnoreTags {
    /// Whether the tag is somebody else's.
    #[must_use]
    pub fn ignores(&self, key: &str) -> bool {
        key.starts_with(RESERVED_PREFIX)
            || self.keys.contains(key)
            || self
                .key_prefixes
                .iter()
                .any(|prefix| key.starts_with(prefix))
    }
}

/// `tags` and `tags_all` after a read.
#[derive(Clone, Debug, PartialEq)]
pub struct ReadTags {
    /// The resource's own tags.
    pub tags: Value,
    /// All tags.
    pub tags_all: Value,
}

/// What to call to get from one set of tags to another.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct TagChanges {
    /// Tags to set.
    pub set: BTreeMap<String, String>,
    /// Keys to remove.
    pub remove: Vec<String>,
}

impl TagChanges {
    /// Whether there is nothing to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.set.is_empty() && self.remove.is_empty()
    }
}

impl TagPolicy {
    /// A policy with nothing in it.
    #[must_use]
    pub fn none() -> Self {
        Self {
            default_tags: Some(BTreeMap::new()),
            ignore_tags: Some(IgnoreTags::default()),
        }
    }

    /// The planned `tags_all` for the configured `tags` (a map of strings, null, or unknown).
    #[must_use]
    pub fn plan_tags_all(&self, tags: &Value) -> Value {
        let (Some(default_tags), Some(ignore)) = (&self.default_tags, &self.ignore_tags) else {
            return Value::unknown();
        };
        if tags.is_unknown() {
            return Value::unknown();
        }
        let mut all = default_tags.clone();
        for (key, value) in tags.as_entries().into_iter().flatten() {
            match value {
                Value::Unknown(_) => return Value::unknown(),
                Value::String(text) => {
                    all.insert(key.clone(), text.clone());
                }
                // A null value is "this tag is not set here": the default stands.
                _ => {}
            }
        }
        all.retain(|key, _| !ignore.ignores(key));
        Value::string_map(all)
    }

    /// What to store after reading `remote` tags; `prior_tags` is the state's (or plan's) `tags`.
    ///
    /// A tag that equals a default stays out of `tags` unless it was there before, and a null or empty `tags` stays as
    /// it was when there is nothing to put into it.
    #[must_use]
    pub fn read(&self, remote: &BTreeMap<String, String>, prior_tags: &Value) -> ReadTags {
        let no_defaults = BTreeMap::new();
        let nothing_ignored = IgnoreTags::default();
        let default_tags = self.default_tags.as_ref().unwrap_or(&no_defaults);
        let ignore = self.ignore_tags.as_ref().unwrap_or(&nothing_ignored);
        let mut all = remote.clone();
        all.retain(|key, _| !ignore.ignores(key));

        let mut own: BTreeMap<String, Value> = BTreeMap::new();
        for (key, value) in &all {
            let was_own = prior_tags.get(key).as_str().is_some();
            if was_own || default_tags.get(key) != Some(value) {
                own.insert(key.clone(), Value::string(value.clone()));
            }
        }
        for (key, value) in prior_tags.as_entries().into_iter().flatten() {
            match value {
                // Null values and ignored tags of the configuration are never sent; what is stored for them must stay,
                // or every plan would show a change.
                Value::Null if !all.contains_key(key) || default_tags.contains_key(key) => {
                    own.insert(key.clone(), Value::Null);
                }
                Value::String(_) if ignore.ignores(key) => {
                    own.insert(key.clone(), value.clone());
                }
                _ => {}
            }
        }
        let tags = if own.is_empty() && prior_tags.is_null() {
            Value::Null
        } else {
            Value::Map(own)
        };
        ReadTags {
            tags,
            tags_all: Value::string_map(all),
        }
    }
}

/// The tags of a wholly known `tags` or `tags_all` value; null values are left out.
#[must_use]
pub fn to_map(tags: &Value) -> BTreeMap<String, String> {
    tags.as_entries()
        .into_iter()
        .flatten()
        .filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())))
        .collect()
}

/// The changes from the tags an object has to the tags it should have.
#[must_use]
pub fn changes(from: &BTreeMap<String, String>, to: &BTreeMap<String, String>) -> TagChanges {
    TagChanges {
        set: to
            .iter()
            .filter(|(key, value)| from.get(*key) != Some(value))
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect(),
        remove: from
            .keys()
            .filter(|key| !to.contains_key(*key))
            .cloned()
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(entries: &[(&str, &str)]) -> BTreeMap<String, String> {
        entries
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect()
    }

    fn policy() -> TagPolicy {
        TagPolicy {
            default_tags: Some(map(&[("team", "core"), ("env", "prod")])),
            ignore_tags: Some(IgnoreTags {
                keys: ["owner".to_owned()].into(),
                key_prefixes: ["k8s.io/".to_owned()].into(),
            }),
        }
    }

    fn values(entries: &[(&str, Value)]) -> Value {
        Value::Map(
            entries
                .iter()
                .map(|(key, value)| ((*key).to_owned(), value.clone()))
                .collect(),
        )
    }

    #[test]
    fn tags_all_is_planned() {
        let default = [("team", "core"), ("env", "prod")];
        for (name, tags, expected) in [
            ("null", Value::Null, Value::string_map(default)),
            (
                "empty",
                Value::string_map::<&str, &str>([]),
                Value::string_map(default),
            ),
            ("unknown", Value::unknown(), Value::unknown()),
            (
                "resource wins",
                values(&[("team", "pay".into()), ("a", "".into())]),
                Value::string_map([("team", "pay"), ("env", "prod"), ("a", "")]),
            ),
            (
                "null value keeps the default",
                values(&[("team", Value::Null), ("b", Value::Null)]),
                Value::string_map(default),
            ),
            (
                "unknown value",
                values(&[("team", Value::unknown())]),
                Value::unknown(),
            ),
            (
                "ignored",
                values(&[("owner", "me".into()), ("k8s.io/x", "y".into())]),
                Value::string_map(default),
            ),
        ] {
            assert_eq!(policy().plan_tags_all(&tags), expected, "{name}");
        }
        assert_eq!(
            TagPolicy::none().plan_tags_all(&Value::Null),
            Value::string_map::<&str, &str>([])
        );
        assert!(
            TagPolicy::default()
                .plan_tags_all(&Value::Null)
                .is_unknown()
        );
    }

    #[test]
    fn a_read_right_after_the_plan_changes_nothing() {
        for (name, tags) in [
            ("null", Value::Null),
            ("empty", Value::string_map::<&str, &str>([])),
            ("own", values(&[("a", "b".into())])),
            ("same as default", values(&[("team", "core".into())])),
            ("over a default", values(&[("team", "pay".into())])),
            (
                "null values",
                values(&[("team", Value::Null), ("b", Value::Null)]),
            ),
            (
                "ignored",
                values(&[("owner", "me".into()), ("a", "b".into())]),
            ),
        ] {
            let planned = policy().plan_tags_all(&tags);
            let mut remote = to_map(&planned);
            remote.insert("aws:cloudformation:stack".into(), "s".into());
            remote.insert("k8s.io/cluster".into(), "c".into());
            let read = policy().read(&remote, &tags);
            assert_eq!(read.tags_all, planned, "{name}");
            assert_eq!(read.tags, tags, "{name}");
        }
    }

    #[test]
    fn drift_shows_up() {
        let prior = values(&[("a", "b".into()), ("c", "d".into())]);
        let read = policy().read(
            &map(&[
                ("a", "x"),
                ("new", "tag"),
                ("env", "prod"),
                ("team", "other"),
            ]),
            &prior,
        );
        assert_eq!(
            read.tags,
            Value::string_map([("a", "x"), ("new", "tag"), ("team", "other")])
        );
        assert_eq!(
            read.tags_all,
            Value::string_map([
                ("a", "x"),
                ("new", "tag"),
                ("env", "prod"),
                ("team", "other")
            ])
        );
    }

    #[test]
    fn changes_are_minimal() {
        assert_eq!(
            changes(
                &map(&[("a", "1"), ("b", "2"), ("c", "3")]),
                &map(&[("a", "1"), ("b", "x"), ("d", "4")])
            ),
            TagChanges {
                set: map(&[("b", "x"), ("d", "4")]),
                remove: vec!["c".to_owned()],
            }
        );
        assert!(changes(&map(&[("a", "1")]), &map(&[("a", "1")])).is_empty());
    }
}
