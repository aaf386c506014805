//! Label and field selectors.

use serde_json::Value;

use super::kinds::Kind;
use super::store::Failure;

/// One requirement of a selector; several are all to hold.
#[derive(Clone, Debug)]
pub(super) struct Term {
    pub(super) key: String,
    wanted: Wanted,
}

#[derive(Clone, Debug)]
enum Wanted {
    Equal(String),
    NotEqual(String),
    Present,
    Absent,
    In(Vec<String>),
    NotIn(Vec<String>),
}

impl Term {
    pub(super) fn holds(&self, value: Option<&str>) -> bool {
        match &self.wanted {
            Wanted::Equal(wanted) => value == Some(wanted),
            Wanted::NotEqual(wanted) => value != Some(wanted),
            Wanted::Present => value.is_some(),
            Wanted::Absent => value.is_none(),
            Wanted::In(list) => value.is_some_and(|v| list.iter().any(|l| l == v)),
            Wanted::NotIn(list) => value.is_none_or(|v| !list.iter().any(|l| l == v)),
        }
    }
}

/// The selectors of a request.
#[derive(Clone, Debug, Default)]
pub(super) struct Selector {
    labels: Vec<Term>,
    fields: Vec<Term>,
}

/// Fields of pods that selectors may name, beside name and namespace.
const POD_FIELDS: [&str; 6] = [
    "spec.nodeName",
    "spec.restartPolicy",
    "spec.serviceAccountName",
    "spec.schedulerName",
    "status.phase",
    "status.podIP",
];

impl Selector {
    /// Reads the two selectors of a request.
    pub(super) fn read(kind: &Kind, labels: &str, fields: &str) -> Result<Self, Failure> {
        let selector = Self {
            labels: parse(labels)?,
            fields: parse(fields)?,
        };
        for term in &selector.fields {
            let key = term.key.as_str();
            let known = ["metadata.name", "metadata.namespace"].contains(&key)
                || (kind.plural == "pods" && POD_FIELDS.contains(&key))
                || (kind.plural == "events" && key.starts_with("involvedObject."))
                || (kind.plural == "events" && ["reason", "type"].contains(&key));
            if !known {
                return Err(Failure::new(
                    400,
                    "BadRequest",
                    format!("field label not supported: {key}"),
                ));
            }
        }
        Ok(selector)
    }

    pub(super) fn selects(&self, object: &Value) -> bool {
        let labels = &object["metadata"]["labels"];
        self.labels
            .iter()
            .all(|term| term.holds(labels.get(&term.key).and_then(Value::as_str)))
            && self.fields.iter().all(|term| {
                let pointer = format!("/{}", term.key.replace('.', "/"));
                let value = object.pointer(&pointer).and_then(Value::as_str);
                term.holds(Some(value.unwrap_or_default()))
            })
    }
}

/// Whether a LabelSelector of an object (`matchLabels`, `matchExpressions`) selects these labels. An empty one selects all.
pub(crate) fn matches(selector: &Value, labels: &Value) -> bool {
    let label = |key: &str| labels.get(key).and_then(Value::as_str);
    let equal = selector["matchLabels"]
        .as_object()
        .into_iter()
        .flatten()
        .all(|(key, value)| label(key) == value.as_str());
    let expressions = selector["matchExpressions"].as_array();
    equal
        && expressions.into_iter().flatten().all(|expression| {
            let value = label(expression["key"].as_str().unwrap_or_default());
            let listed = || {
                let values = expression["values"].as_array();
                value.is_some_and(|v| values.into_iter().flatten().any(|l| l == v))
            };
            match expression["operator"].as_str() {
                Some("In") => listed(),
                Some("NotIn") => !listed(),
                Some("Exists") => value.is_some(),
                Some("DoesNotExist") => value.is_none(),
                _ => false,
            }
        })
}

/// The requirements of a selector, as labels and fields have them.
fn parse(text: &str) -> Result<Vec<Term>, Failure> {
    let mut terms = Vec::new();
    let (mut depth, mut part) = (0_u32, String::new());
    let mut parts = Vec::new();
    for c in text.chars() {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if c == ',' && depth == 0 {
            parts.push(std::mem::take(&mut part))
        } else {
            part.push(c)
        }
    }
    parts.push(part);
    for part in parts.iter().map(|p| p.trim()).filter(|p| !p.is_empty()) {
        let set = |rest: &str| -> Vec<String> {
            rest.trim()
                .trim_start_matches('(')
                .trim_end_matches(')')
                .split(',')
                .map(|v| v.trim().to_owned())
                .collect()
        };
        let (key, wanted) = if let Some((key, rest)) = part.split_once(" notin ") {
            (key, Wanted::NotIn(set(rest)))
        } else if let Some((key, rest)) = part.split_once(" in ") {
            (key, Wanted::In(set(rest)))
        } else if let Some((key, value)) = part.split_once("!=") {
            (key, Wanted::NotEqual(value.trim().into()))
        } else if let Some((key, value)) = part.split_once("==").or_else(|| part.split_once('=')) {
            (key, Wanted::Equal(value.trim().into()))
        } else if let Some(key) = part.strip_prefix('!') {
            (key, Wanted::Absent)
        } else if part.contains(char::is_whitespace) {
            return Err(Failure::new(
                400,
                "BadRequest",
                format!("unable to parse requirement: found '{part}'"),
            ));
        } else {
            (part, Wanted::Present)
        };
        terms.push(Term {
            key: key.trim().into(),
            wanted,
        });
    }
    Ok(terms)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn label_selectors_of_objects() {
        let labels = json!({"app": "api", "tier": "one"});
        let cases = [
            (json!({}), true),
            (json!({"matchLabels": {"app": "api"}}), true),
            (json!({"matchLabels": {"app": "web"}}), false),
            (
                json!({"matchExpressions": [{"key": "skip", "operator": "DoesNotExist"}]}),
                true,
            ),
            (
                json!({"matchExpressions": [{"key": "app", "operator": "DoesNotExist"}]}),
                false,
            ),
            (
                json!({"matchExpressions": [{"key": "tier", "operator": "In", "values": ["one", "two"]}]}),
                true,
            ),
            (
                json!({"matchExpressions": [{"key": "tier", "operator": "NotIn", "values": ["one"]}]}),
                false,
            ),
        ];
        for (selector, expected) in cases {
            assert_eq!(matches(&selector, &labels), expected, "{selector}");
        }
    }

    #[test]
    fn fields_of_pods() {
        let pods = super::super::kinds::built_in("pods");
        let pod = json!({"metadata": {"name": "a"}, "spec": {"nodeName": "n1"}});
        let selects = |fields: &str| Selector::read(pods, "", fields).unwrap().selects(&pod);
        assert!(selects("spec.nodeName=n1,metadata.name=a"));
        assert!(!selects("status.phase=Running"));
        assert!(selects("status.phase!=Running"));
        assert!(Selector::read(pods, "", "spec.hostNetwork=true").is_err());
    }
}
