//! Changes of trust policies, one at a time per role, compared before and after they are written.
