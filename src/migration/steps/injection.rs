//! Proof that new pods get the credentials they should: pods that are created as dry runs.
