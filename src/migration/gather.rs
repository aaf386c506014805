//! Reads what a migration needs to know from Kubernetes, once per namespace and process.
