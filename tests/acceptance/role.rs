//! Scenarios of `podidentity_role`.
