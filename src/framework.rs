//! The provider framework: schemas, the plan engine, and the traits that Terraform objects implement.
//!
//! It knows Terraform's rules and nothing of AWS. `crate::rpc` turns protocol messages into calls of this module.
//!
//! | module | what it holds |
//! |---|---|
//! | [`diagnostic`] | errors and warnings for the user |
//! | [`schema`] | attributes, blocks, defaults, validators, plan modifiers |
//! | [`validators`], [`timeouts`] | ready-made checks, the `timeouts` block |
//! | [`model`] | typed access to values |
//! | [`resource`], [`data_source`], [`function`], [`ephemeral`], [`list_resource`], [`action`] | the traits |
//! | [`provider`] | the provider trait |
//! | [`engine`] | what the framework does around all these |
//! | [`private`] | private state |

pub mod action;
pub mod context;
pub mod data_source;
pub mod diagnostic;
pub mod engine;
pub mod ephemeral;
pub mod function;
pub mod list_resource;
pub mod model;
pub mod private;
pub mod provider;
pub mod resource;
pub mod schema;
pub mod timeouts;
pub mod validators;

pub use context::Context;
pub use diagnostic::{Diagnostic, Diagnostics, Severity};
pub use private::Private;
