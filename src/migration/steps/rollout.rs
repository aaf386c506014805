//! Restarts of workloads, one at a time.
