//! The association of a migrated service account.
