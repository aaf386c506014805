//! `podidentity_irsa_inventory`: everything on a cluster that uses IRSA, and whether it can be migrated.
