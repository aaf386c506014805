//! The trust policies that this run is going to give to roles, so that a plan judges a role by what it will be.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::policy::Document;

/// Planned trust policies by role name. Filled while roles are planned, which Terraform does before it plans what
/// depends on them.
#[derive(Debug, Default)]
pub struct PlannedTrusts(Mutex<HashMap<String, Option<Document>>>);

impl PlannedTrusts {
    /// Remembers what a role will trust; `None` when that is not known yet.
    pub fn plan(&self, role_name: &str, trust: Option<Document>) {
        self.planned().insert(key(role_name), trust);
    }

    /// What a role will trust: `None` when this run does not plan the role's trust, `Some(None)` when it does but the
    /// trust policy is not known yet.
    #[must_use]
    pub fn of(&self, role_name: &str) -> Option<Option<Document>> {
        self.planned().get(&key(role_name)).cloned()
    }

    fn planned(&self) -> MutexGuard<'_, HashMap<String, Option<Document>>> {
        // Single insertions leave the map whole even if a thread panics in between.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Role names are unique without regard to case.
fn key(role_name: &str) -> String {
    role_name.to_ascii_lowercase()
}
