//! Terraform provider for EKS Pod Identity.

#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod proto;
