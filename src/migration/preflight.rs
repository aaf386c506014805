//! The checks before a migration, pure: facts in, findings out.
