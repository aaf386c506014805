//! Data sources, one file or folder each.

pub mod cluster;
pub mod irsa_inventory;
