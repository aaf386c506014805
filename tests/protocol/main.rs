//! A protocol test client: it calls a provider as Terraform Core does, over gRPC, and asserts Core's consistency rules.
//!
//! - [`core`] follows Core's call sequence for one object: upgrade, read, validate, plan, plan again, apply, import.
//! - [`plan_valid`], [`compatible`], [`proposed`] are the rules P, A and F, and the merge of configuration and prior state.
//! - [`scenario`] drives an object through generated configurations: create, no-op, update, replace, import, destroy.
//! - [`generate`] makes those configurations from a schema and what a resource says about its attributes.
//! - [`fake`] is a provider in memory that can break every rule; `broken_rules` does so, to prove that the rules can fail.
//! - `resources/` has one file per resource of the real provider, which runs against the sandbox: generated scenarios, and
//!   one life for each AWS call that can break.
//!
//! Rules carry the names of the protocol reference: P plan, F final plan, A apply, R read, U upgrade, I import.

#![allow(clippy::unwrap_used)]
#![allow(
    clippy::disallowed_macros,
    reason = "a test's standard output is its own"
)]

#[cfg(test)]
mod broken_rules;
mod compatible;
mod core;
mod fake;
#[cfg(test)]
mod fake_tests;
mod generate;
mod plan_valid;
mod proposed;
mod resources;
mod rules;
mod scenario;
mod schema;
mod wire;
