//! A strict local stand-in for EKS, IAM, STS and the Kubernetes API.

pub mod context;
pub mod iam;
