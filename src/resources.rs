//! Managed resources, one module each, and the attributes that several of them have.

pub mod agent;
pub mod arns;
pub mod association;
pub mod cluster_name;
pub mod documents;
pub mod irsa_migration;
pub mod last_look;
pub mod names;
pub mod planned_trust;
pub(crate) mod propagation;
pub mod role;
pub mod tags;
