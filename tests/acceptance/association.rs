//! Scenarios of `podidentity_association`.
