//! The state file.
//!
//! Read directly rather than by `show -json`, which would start the provider again for each look.

use std::fs;
use std::path::Path;

use serde_json::Value;

/// What `terraform.tfstate` holds.
#[derive(Clone, Debug, Default)]
pub(crate) struct State {
    document: Value,
}

impl State {
    /// Reads a state file; no file is an empty state.
    pub(crate) fn read(path: &Path) -> Self {
        let Ok(text) = fs::read_to_string(path) else {
            return Self::default();
        };
        Self {
            document: serde_json::from_str(&text)
                .unwrap_or_else(|error| panic!("{}: {error}", path.display())),
        }
    }

    /// Addresses of all managed objects and data sources.
    pub(crate) fn addresses(&self) -> Vec<String> {
        self.instances().map(|(address, _)| address).collect()
    }

    /// The object's attributes, or `None` if it is not there.
    pub(crate) fn attributes(&self, address: &str) -> Option<&Value> {
        self.instance(address)
            .map(|instance| &instance["attributes"])
    }

    /// The value at `path`, such as `tags.team` or `trust.namespaces.0`; null if it is not there.
    #[track_caller]
    pub(crate) fn attribute(&self, address: &str, path: &str) -> Value {
        let attributes = self
            .attributes(address)
            .unwrap_or_else(|| panic!("{address} is not in the state: {:?}", self.addresses()));
        lookup(attributes, path).cloned().unwrap_or(Value::Null)
    }

    /// Whether Terraform will replace the object because its creation failed half-way or somebody tainted it.
    #[track_caller]
    pub(crate) fn is_tainted(&self, address: &str) -> bool {
        self.instance(address)
            .unwrap_or_else(|| panic!("{address} is not in the state: {:?}", self.addresses()))["status"]
            == "tainted"
    }

    /// The value of an output; null if it is not there.
    pub(crate) fn output(&self, name: &str) -> &Value {
        &self.document["outputs"][name]["value"]
    }

    /// The file's text, to look for what must not be in it.
    pub(crate) fn text(&self) -> String {
        self.document.to_string()
    }

    fn instance(&self, address: &str) -> Option<&Value> {
        self.instances()
            .find(|(found, _)| found == address)
            .map(|(_, instance)| instance)
    }

    fn instances(&self) -> impl Iterator<Item = (String, &Value)> {
        self.document["resources"]
            .as_array()
            .into_iter()
            .flatten()
            .flat_map(|resource| {
                let mode = if resource["mode"] == "data" {
                    "data."
                } else {
                    ""
                };
                let module = resource["module"]
                    .as_str()
                    .map(|module| format!("{module}."))
                    .unwrap_or_default();
                let base = format!(
                    "{module}{mode}{}.{}",
                    resource["type"].as_str().unwrap_or_default(),
                    resource["name"].as_str().unwrap_or_default()
                );
                resource["instances"]
                    .as_array()
                    .into_iter()
                    .flatten()
                    .map(move |instance| {
                        let key = match &instance["index_key"] {
                            Value::Null => String::new(),
                            key => format!("[{key}]"),
                        };
                        (format!("{base}{key}"), instance)
                    })
            })
    }
}

/// Walks a dotted path through objects, maps and lists.
pub(crate) fn lookup<'a>(value: &'a Value, path: &str) -> Option<&'a Value> {
    path.split('.').try_fold(value, |here, step| match here {
        Value::Array(items) => items.get(step.parse::<usize>().ok()?),
        Value::Object(fields) => fields.get(step),
        _ => None,
    })
}
