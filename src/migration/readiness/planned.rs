//! The agents that this run is going to install, so that a plan judges a cluster by what it will have.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

/// Clusters by name that this run installs the agent in. Filled while agents are planned, which Terraform does before it plans what
/// depends on them. An apply plans again in its own process, so that it knows them too.
#[derive(Debug, Default)]
pub struct PlannedAgents(Mutex<HashSet<String>>);

impl PlannedAgents {
    /// Remembers that a cluster will have the agent.
    pub fn plan(&self, cluster: &str) {
        // Single insertions leave the set whole.
        let mut clusters = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        clusters.insert(cluster.to_owned());
    }

    /// Whether this run installs the agent in a cluster.
    #[must_use]
    pub fn has(&self, cluster: &str) -> bool {
        let clusters = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        clusters.contains(cluster)
    }
}
