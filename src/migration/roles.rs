//! Reading the roles of service accounts, and what their policies say that matters to a migration.
