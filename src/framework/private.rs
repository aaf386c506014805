//! Private state: what the provider remembers about an object without showing it.

use std::collections::BTreeMap;

use serde_json::Value as Json;

/// Private state of one object: JSON values by key. Keys that start with `.` belong to the framework.
///
/// On the wire it is one JSON object; empty private state is empty bytes.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Private(BTreeMap<String, Json>);

impl Private {
    /// Reads the wire form.
    ///
    /// # Errors
    /// When the bytes are neither empty nor a JSON object.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, serde_json::Error> {
        if bytes.is_empty() {
            return Ok(Self::default());
        }
        serde_json::from_slice(bytes).map(Self)
    }

    /// The wire form.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        if self.0.is_empty() {
            return Vec::new();
        }
        // A map of strings to JSON values always serialises.
        serde_json::to_vec(&self.0).unwrap_or_default()
    }

    /// The value under `key`.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Json> {
        self.0.get(key)
    }

    /// Sets the value under `key`.
    pub fn set(&mut self, key: impl Into<String>, value: impl Into<Json>) {
        self.0.insert(key.into(), value.into());
    }

    /// Forgets the value under `key`.
    pub fn remove(&mut self, key: &str) {
        self.0.remove(key);
    }
}
