//! Provider functions, one file each.

pub mod merge_trust_policy;
