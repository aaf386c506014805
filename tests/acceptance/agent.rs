//! Scenarios of `podidentity_agent`.
