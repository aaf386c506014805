//! What this run knows of migrations, for operations that know nothing of each other.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};

use crate::aws::RoleInfo;

/// Memory of one process.
#[derive(Debug, Default)]
pub struct ThisRun {
    seen: Mutex<HashMap<String, Arc<RoleInfo>>>,
    migrated: Mutex<HashSet<String>>,
    /// By role name, the units that rely on a statement of it.
    relying: Mutex<HashMap<String, HashSet<String>>>,
    units: Mutex<HashMap<String, Arc<AsyncMutex<()>>>>,
}

impl ThisRun {
    /// The role as the first plan of this process saw it. Plans of several instances on one role must not see what the
    /// others have done to it since (rule F2).
    #[must_use]
    pub fn first_seen(&self, role: &Arc<RoleInfo>) -> Arc<RoleInfo> {
        Arc::clone(
            lock(&self.seen)
                .entry(role.arn.clone())
                .or_insert_with(|| Arc::clone(role)),
        )
    }

    /// Remembers that a service account was migrated. With `create_before_destroy` that is the very one which Terraform
    /// destroys afterwards as the old object.
    pub(super) fn migrate(&self, unit: &str) {
        lock(&self.migrated).insert(unit.to_owned());
    }

    /// Whether a service account was migrated in this run.
    pub(super) fn has_migrated(&self, unit: &str) -> bool {
        lock(&self.migrated).contains(unit)
    }

    /// Remembers that a service account relies on the trust policy of a role. Its association may be yet to be created, so
    /// that nobody else sees it.
    pub(super) fn rely(&self, role_name: &str, unit: &str) {
        lock(&self.relying)
            .entry(role_name.to_ascii_lowercase())
            .or_default()
            .insert(unit.to_owned());
    }

    /// Whether another service account than this one relies on the trust policy of a role.
    pub(super) fn another_relies(&self, role_name: &str, unit: &str) -> bool {
        lock(&self.relying)
            .get(&role_name.to_ascii_lowercase())
            .is_some_and(|units| units.iter().any(|other| other != unit))
    }

    /// Ends what [`rely`](Self::rely) began.
    pub(super) fn leave(&self, role_name: &str, unit: &str) {
        if let Some(units) = lock(&self.relying).get_mut(&role_name.to_ascii_lowercase()) {
            units.remove(unit);
        }
    }

    /// Waits until nobody else in this process works on the service account.
    pub(super) async fn work_on(&self, unit: &str) -> OwnedMutexGuard<()> {
        let mutex = Arc::clone(lock(&self.units).entry(unit.to_owned()).or_default());
        mutex.lock_owned().await
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Single insertions leave the collections whole even if a thread panics in between.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
