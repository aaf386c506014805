//! Label selectors, and the wildcards of Fargate profiles.

use std::collections::{BTreeMap, BTreeSet};

/// Labels by key.
pub type Labels = BTreeMap<String, String>;

/// A selector over labels: everything in it has to hold, so the empty one selects everything.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Selector {
    /// Labels that have to be there with these values (`matchLabels`, `nodeSelector`).
    pub labels: Labels,
    /// Further requirements (`matchExpressions`).
    pub requirements: Vec<Requirement>,
}

/// A requirement on one label.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Requirement {
    /// The label's key.
    pub key: String,
    /// What has to hold.
    pub operator: Operator,
    /// The values it is about; empty for those that take none.
    pub values: BTreeSet<String>,
}

/// How a label is compared. The operators of pod selectors, and those that node affinity has beside.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Operator {
    /// The label is there with one of the values.
    In,
    /// The label is not there, or has none of the values.
    NotIn,
    /// The label is there.
    Exists,
    /// The label is not there.
    DoesNotExist,
    /// The label is an integer greater than the value.
    Gt,
    /// The label is an integer less than the value.
    Lt,
}

impl Operator {
    /// The operator of that name; `None` if there is none.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "In" => Self::In,
            "NotIn" => Self::NotIn,
            "Exists" => Self::Exists,
            "DoesNotExist" => Self::DoesNotExist,
            "Gt" => Self::Gt,
            "Lt" => Self::Lt,
            _ => return None,
        })
    }
}

impl Requirement {
    /// A match expression as the API has it; `None` for an operator that is not known here, which the API does not accept.
    #[must_use]
    pub fn parse(key: &str, operator: &str, values: Option<&[String]>) -> Option<Self> {
        Some(Self {
            key: key.to_owned(),
            operator: Operator::parse(operator)?,
            values: values.into_iter().flatten().cloned().collect(),
        })
    }

    /// Whether it holds for these labels.
    #[must_use]
    pub fn matches(&self, labels: &Labels) -> bool {
        let value = labels.get(&self.key);
        let compare = |holds: fn(i64, i64) -> bool| {
            let number = |text: &String| text.parse::<i64>().ok();
            match (value.and_then(number), self.values.first().and_then(number)) {
                (Some(label), Some(bound)) => holds(label, bound),
                _ => false,
            }
        };
        match self.operator {
            Operator::In => value.is_some_and(|value| self.values.contains(value)),
            Operator::NotIn => value.is_none_or(|value| !self.values.contains(value)),
            Operator::Exists => value.is_some(),
            Operator::DoesNotExist => value.is_none(),
            Operator::Gt => compare(|label, bound| label > bound),
            Operator::Lt => compare(|label, bound| label < bound),
        }
    }
}

impl Selector {
    /// Whether it selects what has these labels.
    #[must_use]
    pub fn matches(&self, labels: &Labels) -> bool {
        self.labels
            .iter()
            .all(|(key, value)| labels.get(key) == Some(value))
            && self
                .requirements
                .iter()
                .all(|requirement| requirement.matches(labels))
    }

    /// Whether it selects only what has `value` for the label `key`.
    #[must_use]
    pub fn demands(&self, key: &str, value: &str) -> bool {
        self.labels.get(key).is_some_and(|v| v == value)
            || self.requirements.iter().any(|requirement| {
                requirement.key == key
                    && requirement.operator == Operator::In
                    && requirement.values.len() == 1
                    && requirement.values.contains(value)
            })
    }
}

/// Whether `text` matches `pattern`, in which `*` stands for any characters and `?` for one, as in Fargate profiles.
#[must_use]
pub fn wildcard(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) =
        (pattern.chars().collect(), text.chars().collect());
    let (mut p, mut t) = (0, 0);
    // Where to go on when the last `*` has to take one more character: after it, and the text it took so far.
    let mut retry: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some('*') => {
                retry = Some((p + 1, t));
                p += 1;
            }
            Some('?') => {
                p += 1;
                t += 1;
            }
            Some(c) if *c == text[t] => {
                p += 1;
                t += 1;
            }
            _ => match &mut retry {
                Some((after, taken)) => {
                    *taken += 1;
                    p = *after;
                    t = *taken;
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|c| *c == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> Labels {
        pairs
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect()
    }

    #[test]
    fn requirements() {
        let cases = [
            (Operator::In, vec!["a", "b"], "a", "c"),
            (Operator::NotIn, vec!["a", "b"], "c", "a"),
            (Operator::NotIn, vec!["a"], "", "a"),
            (Operator::Exists, vec![], "a", ""),
            (Operator::DoesNotExist, vec![], "", "a"),
            (Operator::Gt, vec!["4"], "5", "4"),
            (Operator::Gt, vec!["4"], "5", "many"),
            (Operator::Lt, vec!["4"], "3", ""),
        ];
        for (operator, values, yes, no) in cases {
            let selector = Selector {
                labels: labels(&[("app", "api")]),
                requirements: vec![Requirement {
                    key: "k".into(),
                    operator,
                    values: values.into_iter().map(Into::into).collect(),
                }],
            };
            let with = |value: &str| {
                let mut all = labels(&[("app", "api"), ("other", "x")]);
                if !value.is_empty() {
                    all.insert("k".into(), value.into());
                }
                all
            };
            assert!(selector.matches(&with(yes)), "{operator:?} {yes}");
            assert!(!selector.matches(&with(no)), "{operator:?} {no}");
            let mut other = with(yes);
            other.insert("app".into(), "web".into());
            assert!(!selector.matches(&other));
        }
        assert!(Selector::default().matches(&Labels::new()));
    }

    #[test]
    fn demands() {
        let one = |operator, values: &[&str]| Selector {
            labels: Labels::new(),
            requirements: vec![Requirement {
                key: "os".into(),
                operator,
                values: values.iter().map(|v| (*v).to_owned()).collect(),
            }],
        };
        assert!(one(Operator::In, &["windows"]).demands("os", "windows"));
        assert!(!one(Operator::In, &["windows", "linux"]).demands("os", "windows"));
        assert!(!one(Operator::NotIn, &["windows"]).demands("os", "windows"));
        assert!(!Selector::default().demands("os", "windows"));
    }

    #[test]
    fn wildcards() {
        for (pattern, text, expected) in [
            ("batch", "batch", true),
            ("batch", "batches", false),
            ("*", "", true),
            ("*", "anything", true),
            ("preview-*", "preview-", true),
            ("preview-*", "preview-17", true),
            ("preview-*", "review-17", false),
            ("*-prod", "a-prod-b-prod", true),
            ("*-prod", "a-prod-b", false),
            ("team-?", "team-1", true),
            ("team-?", "team-", false),
            ("team-?", "team-12", false),
            ("a*b?c*", "axxbyc", true),
            ("a*b?c*", "axxbc", false),
            ("", "", true),
            ("", "a", false),
            ("A", "a", false),
        ] {
            assert_eq!(wildcard(pattern, text), expected, "{pattern:?} {text:?}");
        }
    }
}
