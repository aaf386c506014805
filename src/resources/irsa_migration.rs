//! `podidentity_irsa_migration`: moves one service account from IRSA to EKS Pod Identity, and back.

mod schema;
