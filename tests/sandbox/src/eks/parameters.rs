//! Typed access to the parameters of a call.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::EksError;

/// Parameters by their names in the API model; null is the same as absent.
pub(crate) struct Parameters<'a>(pub(crate) &'a Map<String, Value>);

impl<'a> Parameters<'a> {
    fn value(&self, name: &str) -> Option<&'a Value> {
        self.0.get(name).filter(|value| !value.is_null())
    }

    pub(crate) fn string(&self, name: &str) -> Result<Option<&'a str>, EksError> {
        self.value(name)
            .map(|value| value.as_str().ok_or_else(|| wrong(name, "a String")))
            .transpose()
    }

    /// A string that must be there and not be empty.
    pub(crate) fn required(&self, name: &str) -> Result<&'a str, EksError> {
        match self.string(name)? {
            Some("") | None => Err(EksError::invalid_parameter(format!(
                "The parameter {name} is required and must not be empty."
            ))),
            Some(text) => Ok(text),
        }
    }

    pub(crate) fn boolean(&self, name: &str) -> Result<Option<bool>, EksError> {
        self.value(name)
            .map(|value| value.as_bool().ok_or_else(|| wrong(name, "a Boolean")))
            .transpose()
    }

    pub(crate) fn strings(&self, name: &str) -> Result<Option<Vec<&'a str>>, EksError> {
        self.value(name)
            .map(|value| {
                let list = value.as_array().ok_or_else(|| wrong(name, "a List"))?;
                list.iter()
                    .map(|item| {
                        item.as_str()
                            .ok_or_else(|| wrong(name, "a List of Strings"))
                    })
                    .collect()
            })
            .transpose()
    }

    pub(crate) fn objects(&self, name: &str) -> Result<Option<Vec<Self>>, EksError> {
        self.value(name)
            .map(|value| {
                let list = value.as_array().ok_or_else(|| wrong(name, "a List"))?;
                list.iter()
                    .map(|item| {
                        item.as_object()
                            .map(Self)
                            .ok_or_else(|| wrong(name, "a List of Structures"))
                    })
                    .collect()
            })
            .transpose()
    }

    pub(crate) fn map(&self, name: &str) -> Result<Option<BTreeMap<String, String>>, EksError> {
        self.value(name)
            .map(|value| {
                let map = value.as_object().ok_or_else(|| wrong(name, "a Map"))?;
                map.iter()
                    .map(|(k, v)| {
                        v.as_str()
                            .map(|v| (k.clone(), v.to_owned()))
                            .ok_or_else(|| wrong(name, "a Map of Strings"))
                    })
                    .collect()
            })
            .transpose()
    }

    /// `maxResults`, 100 if not given.
    pub(crate) fn max_results(&self) -> Result<usize, EksError> {
        match self.value("maxResults") {
            None => Ok(100),
            Some(value) => match value.as_u64() {
                Some(n @ 1..=100) => Ok(n as usize),
                _ => Err(EksError::invalid_parameter(
                    "The parameter maxResults must be between 1 and 100.",
                )),
            },
        }
    }
}

fn wrong(name: &str, wanted: &str) -> EksError {
    EksError::serialization(format!(
        "The value of {name} can not be converted to {wanted}"
    ))
}
