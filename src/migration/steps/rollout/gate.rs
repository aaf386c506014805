//! One restart at a time in a namespace, however many migrations Terraform works on at once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};
use tokio::time::Instant;

use crate::migration::facts::WorkloadId;

/// The gates of a process, one per cluster and namespace.
#[derive(Debug, Default)]
pub struct RestartGates(Mutex<HashMap<Place, Arc<AsyncMutex<Gate>>>>);

/// Cluster and namespace.
type Place = (String, String);

/// Who holds it may restart one workload.
#[derive(Debug, Default)]
pub(super) struct Gate {
    /// When the last restart ended.
    pub(super) ended: Option<Instant>,
    failed: Option<Failed>,
}

/// A workload that did not become what it should in this run.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Failed {
    pub(super) service_account: String,
    pub(super) workload: WorkloadId,
}

impl RestartGates {
    /// Waits until nobody else restarts anything in the namespace; those who wait go in the order they came.
    pub(super) async fn enter(&self, cluster: &str, namespace: &str) -> OwnedMutexGuard<Gate> {
        let gate = {
            // A map is whole after every insertion.
            let mut gates = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let key = (cluster.to_owned(), namespace.to_owned());
            Arc::clone(gates.entry(key).or_default())
        };
        gate.lock_owned().await
    }
}

impl Gate {
    /// What failed of another service account: nothing else of the namespace is restarted in this run.
    pub(super) fn closed_for(&self, service_account: &str) -> Option<&Failed> {
        let failed = self.failed.as_ref()?;
        (failed.service_account != service_account).then_some(failed)
    }

    /// Remembers a failure, for the rest of the run.
    pub(super) fn fail(&mut self, service_account: &str, workload: &WorkloadId) {
        if self.closed_for(service_account).is_none() {
            self.failed = Some(Failed {
                service_account: service_account.to_owned(),
                workload: workload.clone(),
            });
        }
    }
}
