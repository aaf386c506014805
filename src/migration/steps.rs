//! The steps of a migration and its rollback. Each can be repeated, and does nothing where nothing is left to do.

pub mod association;
pub mod injection;
pub mod rollout;
pub mod service_account;
pub mod trust;

#[cfg(test)]
mod tests;
