//! The migration of service accounts from IRSA to EKS Pod Identity: what is there, what speaks against it, and the steps.
//!
//! | module | what it holds |
//! |---|---|
//! | [`facts`] | what was read of a cluster and its roles, reduced to what matters; no I/O |
//! | [`finding`] | blockers and warnings with their stable codes |
//! | [`gather`], [`owners`] | reading those facts from Kubernetes |
//! | [`phase`] | how far a migration is |
//! | [`roles`] | reading roles and what they may do |
//! | [`readiness`] | whether the cluster is ready |
//! | [`preflight`] | what speaks against the migration of one service account; no I/O |
//! | [`steps`] | what changes something, each step repeatable |
//!
//! Facts are gathered once per namespace and process for plans; steps read anew what they are about to change.

pub mod facts;
pub mod finding;
pub mod gather;
pub mod owners;
pub mod phase;
pub mod preflight;
pub mod readiness;
pub mod roles;
pub mod steps;
