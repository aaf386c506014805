//! Terraform provider `podidentity`: AWS permissions for pods on Amazon EKS through EKS Pod Identity.
//!
//! `docs/ARCHITECTURE.md` describes the rooms of this crate and which may use which.

#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod aws;
pub mod cty;
pub mod data_sources;
pub mod framework;
pub mod functions;
pub mod kubernetes;
pub mod migration;
pub mod plugin;
pub mod policy;
pub mod proto;
pub mod provider;
pub mod resources;
pub mod rpc;
