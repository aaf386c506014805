//! A strict local stand-in for EKS, IAM, STS and the Kubernetes API.
