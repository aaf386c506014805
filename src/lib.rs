//! Terraform provider for EKS Pod Identity.
