//! A saved plan, as `show -json` tells it.

use std::collections::BTreeMap;

use serde_json::Value;

/// What Terraform would do to an object.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Action {
    Create,
    Delete,
    NoOp,
    Read,
    /// Create and delete, in either order.
    Replace,
    Update,
}

/// A saved plan.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    document: Value,
}

impl Plan {
    /// Takes the document of `show -json`.
    pub(crate) const fn new(document: Value) -> Self {
        Self { document }
    }

    /// What happens to each object, those left alone included.
    pub(crate) fn actions(&self) -> BTreeMap<String, Action> {
        self.changes()
            .map(|change| {
                (
                    change["address"].as_str().unwrap_or_default().to_owned(),
                    action(&change["change"]["actions"]),
                )
            })
            .collect()
    }

    /// What happens to one object.
    #[track_caller]
    pub(crate) fn action(&self, address: &str) -> Action {
        action(&self.change(address)["actions"])
    }

    /// The planned value at `path` (`tags.team`, `trust.namespaces.0`); `Err` if it is known only after apply.
    #[track_caller]
    pub(crate) fn after(&self, address: &str, path: &str) -> Result<Value, Unknown> {
        let change = self.change(address);
        if is_unknown(&change["after_unknown"], path) {
            return Err(Unknown);
        }
        Ok(super::state::lookup(&change["after"], path)
            .cloned()
            .unwrap_or(Value::Null))
    }

    /// Names of the attributes that force replacement, dotted.
    #[track_caller]
    pub(crate) fn replace_paths(&self, address: &str) -> Vec<String> {
        let paths = self.change(address)["replace_paths"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        paths
            .iter()
            .map(|path| {
                path.as_array()
                    .into_iter()
                    .flatten()
                    .map(plain)
                    .collect::<Vec<_>>()
                    .join(".")
            })
            .collect()
    }

    /// Changes that Terraform noticed outside of it: addresses.
    pub(crate) fn drift(&self) -> Vec<String> {
        self.document["resource_drift"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|change| plain(&change["address"]))
            .collect()
    }

    #[track_caller]
    fn change(&self, address: &str) -> &Value {
        let found = self.changes().find(|change| change["address"] == address);
        &found.unwrap_or_else(|| panic!("{address} is not in the plan: {:?}", self.actions()))["change"]
    }

    fn changes(&self) -> impl Iterator<Item = &Value> {
        self.document["resource_changes"]
            .as_array()
            .into_iter()
            .flatten()
    }
}

/// A value that becomes known only after apply.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Unknown;

fn plain(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

/// `after_unknown` holds `true` in place of the unknown part, which may be a parent of `path`.
fn is_unknown(tree: &Value, path: &str) -> bool {
    let mut here = tree;
    for step in path.split('.') {
        if here == &Value::Bool(true) {
            return true;
        }
        here = match here {
            Value::Array(items) => step
                .parse::<usize>()
                .ok()
                .and_then(|index| items.get(index))
                .unwrap_or(&Value::Null),
            other => &other[step],
        };
    }
    here == &Value::Bool(true)
}

fn action(actions: &Value) -> Action {
    let actions: Vec<&str> = actions
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    match actions[..] {
        ["create"] => Action::Create,
        ["delete"] => Action::Delete,
        ["no-op"] => Action::NoOp,
        ["read"] => Action::Read,
        ["update"] => Action::Update,
        ["create", "delete"] | ["delete", "create"] => Action::Replace,
        _ => panic!("actions this harness does not know: {actions:?}"),
    }
}
