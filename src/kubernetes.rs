//! Kubernetes: how a cluster is reached. By default EKS is asked for endpoint and CA, and the bearer token is an STS
//! request that we sign ourselves.

mod auth;
pub mod client;
pub mod config;
mod connection;
pub mod error;
mod exec;
mod kubeconfig;
pub(crate) mod reach;
pub(crate) mod refusal;
pub mod token;
mod transport;

pub use client::{ClusterApi, Object, PatchKind, Scope};
pub use config::{ExecConfig, KubernetesConfig};
pub use error::{KubernetesError, KubernetesErrorKind};
pub use token::{EksToken, sign_token};

#[cfg(test)]
mod tests;
