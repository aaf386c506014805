//! When two policy documents mean the same.
//!
//! The rules start from those that users of `hashicorp/aws` know, and widen them where IAM itself does not tell two spellings apart.
//!
//! The same: white space, the order of members, statements and list values, duplicates in lists, a string for a list of one, one statement for a list of
//! one, an account id for its root ARN, `true` for `"true"` and `5.0` for `"5"` in conditions, the letter case of actions, condition keys, top-level member
//! names and `Effect`, an empty list for no `Action` and no principals of a type, an empty document for `{}`, a list of one around the document,
//! and members that IAM does not know.
//!
//! Not the same: another `Version`, `Id` or `Sid`, or one that is missing, since the version changes what `${…}` means and the others are what people see;
//! another operator, value, principal or resource; `"*"` and `{"AWS": "*"}`; an empty `Condition` and none; a statement once and twice.
//!
//! Equality is that of one normal form, [`Canonical`], which makes it reflexive, symmetric and transitive.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::arn::account_of_root;
use super::document::{Document, Effect, Principal, Statement, scalar};

/// The normal form of a policy document: two documents mean the same exactly when their normal forms are equal.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Canonical {
    version: Option<String>,
    id: Option<String>,
    statements: Vec<CanonicalStatement>,
}

/// The normal form of a statement, see [`Canonical`].
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CanonicalStatement {
    sid: Option<String>,
    effect: CanonicalEffect,
    principal: CanonicalPrincipal,
    not_principal: CanonicalPrincipal,
    actions: BTreeSet<String>,
    not_actions: BTreeSet<String>,
    resources: BTreeSet<String>,
    not_resources: BTreeSet<String>,
    /// By operator. The keys are a list and no map: two keys that differ only in case stay two.
    conditions: Option<CanonicalConditions>,
}

type CanonicalConditions = BTreeMap<String, Vec<(String, BTreeSet<String>)>>;

#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum CanonicalEffect {
    Missing,
    Known(Effect),
    Other(String),
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum CanonicalPrincipal {
    Missing,
    Text(String),
    Typed(BTreeMap<String, BTreeSet<String>>),
}

impl Canonical {
    /// The normal form of a document given as text. Besides what [`Document::parse`] takes, an empty text stands for `{}` and a list of one document
    /// for that document.
    ///
    /// Returns `None` when the text is no policy document.
    pub fn from_json(text: &str) -> Option<Self> {
        if text.trim().is_empty() {
            return Document::parse("{}").ok().as_ref().map(Self::from);
        }
        if let Ok(document) = Document::parse(text) {
            return Some(Self::from(&document));
        }
        // Only a list is looked into, so that what the parser refused for another reason stays refused.
        let inner = text.trim().strip_prefix('[')?.strip_suffix(']')?;
        Document::parse(inner).ok().as_ref().map(Self::from)
    }
}

impl From<&Document> for Canonical {
    fn from(document: &Document) -> Self {
        let mut statements: Vec<_> = document
            .statements()
            .iter()
            .map(CanonicalStatement::from)
            .collect();
        statements.sort();
        Self {
            version: document.version().map(str::to_owned),
            id: document.id().map(str::to_owned),
            statements,
        }
    }
}

impl From<&Statement> for CanonicalStatement {
    fn from(statement: &Statement) -> Self {
        let folded = |name| {
            statement
                .list(name)
                .into_iter()
                .map(str::to_ascii_lowercase)
                .collect()
        };
        let exact = |name| {
            statement
                .list(name)
                .into_iter()
                .map(str::to_owned)
                .collect()
        };
        Self {
            sid: statement.sid().map(str::to_owned),
            effect: match (statement.effect(), statement.members().get("Effect")) {
                (Some(effect), _) => CanonicalEffect::Known(effect),
                (None, Some(other)) => {
                    CanonicalEffect::Other(other.as_str().unwrap_or_default().to_owned())
                }
                (None, None) => CanonicalEffect::Missing,
            },
            principal: statement.principal().into(),
            not_principal: statement.not_principal().into(),
            actions: folded("Action"),
            not_actions: folded("NotAction"),
            resources: exact("Resource"),
            not_resources: exact("NotResource"),
            conditions: statement.members().get("Condition").map(conditions),
        }
    }
}

impl From<Option<Principal<'_>>> for CanonicalPrincipal {
    fn from(principal: Option<Principal<'_>>) -> Self {
        let account = |value: &str| account_of_root(value).unwrap_or(value).to_owned();
        match principal {
            None => Self::Missing,
            Some(Principal::Text(text)) => Self::Text(account(text)),
            Some(Principal::Typed(types)) => {
                let mut by_type: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
                for (kind, values) in types {
                    if !values.is_empty() {
                        let values = values.into_iter().map(|value| {
                            if kind == "AWS" {
                                account(value)
                            } else {
                                value.to_owned()
                            }
                        });
                        by_type.entry(kind.to_owned()).or_default().extend(values);
                    }
                }
                Self::Typed(by_type)
            }
        }
    }
}

/// Whether two documents mean the same, see the [module](self).
pub fn equivalent(a: &Document, b: &Document) -> bool {
    Canonical::from(a) == Canonical::from(b)
}

/// Whether two texts are documents that mean the same, see the [module](self). Identical texts are, whatever they hold; a text that is no document equals nothing else.
pub fn equivalent_json(a: &str, b: &str) -> bool {
    a == b || Canonical::from_json(a).is_some_and(|a| Canonical::from_json(b) == Some(a))
}

/// Whether two statements mean the same, their `Sid` included.
pub fn equivalent_statements(a: &Statement, b: &Statement) -> bool {
    CanonicalStatement::from(a) == CanonicalStatement::from(b)
}

fn conditions(value: &Value) -> CanonicalConditions {
    let mut operators = BTreeMap::new();
    for (operator, keys) in value.as_object().into_iter().flatten() {
        let mut lines: Vec<(String, BTreeSet<String>)> = keys
            .as_object()
            .into_iter()
            .flatten()
            .map(|(key, values)| {
                let values = match values {
                    Value::Array(items) => items.iter().filter_map(scalar).collect(),
                    other => scalar(other).into_iter().collect(),
                };
                (key.to_ascii_lowercase(), values)
            })
            .collect();
        lines.sort();
        operators.insert(operator.clone(), lines);
    }
    operators
}

#[cfg(test)]
mod tests;
