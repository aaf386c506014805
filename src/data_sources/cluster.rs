//! `podidentity_cluster`: whether a cluster is ready for Pod Identity.
