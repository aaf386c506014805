//! `merge_trust_policy`: a trust policy with EKS Pod Identity added for one service account.
