//! Kubernetes: how a cluster is reached. By default EKS is asked for endpoint and CA, and the bearer token is an STS
//! request that we sign ourselves.

pub mod config;
pub mod token;

pub use config::{ExecConfig, KubernetesConfig};
pub use token::{EksToken, sign_token};
