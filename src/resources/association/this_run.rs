//! What this run did to associations, for the steps of a replacement, which know nothing of each other.

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Ids of associations that this process adopted or deleted.
#[derive(Debug, Default)]
pub struct ThisRun {
    adopted: Mutex<HashSet<String>>,
    deleted: Mutex<HashSet<String>>,
}

impl ThisRun {
    /// Remembers that an association was adopted. With `create_before_destroy` that is the very one which Terraform
    /// destroys afterwards as the old object.
    pub fn adopt(&self, id: &str) {
        lock(&self.adopted).insert(id.to_owned());
    }

    /// Whether an association was adopted in this run.
    #[must_use]
    pub fn has_adopted(&self, id: &str) -> bool {
        lock(&self.adopted).contains(id)
    }

    /// Remembers that an association was deleted.
    pub fn delete(&self, id: &str) {
        lock(&self.deleted).insert(id.to_owned());
    }

    /// Whether an association was deleted in this run: what EKS still lists under this id is on its way out.
    #[must_use]
    pub fn has_deleted(&self, id: &str) -> bool {
        lock(&self.deleted).contains(id)
    }
}

fn lock(set: &Mutex<HashSet<String>>) -> MutexGuard<'_, HashSet<String>> {
    // Single insertions leave the set whole even if a thread panics in between.
    set.lock().unwrap_or_else(PoisonError::into_inner)
}
