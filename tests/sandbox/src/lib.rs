//! A strict local stand-in for EKS, IAM, STS and the Kubernetes API.
//!
//! It exists to be wrong in no way that a client could come to rely on: signatures are verified, inputs are validated in the order and
//! with the errors of the real services, pages are cut, tokens expire, add-ons take their time. Where AWS documents nothing, the code
//! says that it assumes. [`Sandbox::start`] runs one inside a test; the binary `podidentity-sandbox` runs one for any client.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod authority;
mod aws;
pub mod context;
mod control;
mod credentials;
mod eks;
mod eks_auth;
mod encoding;
mod endpoints;
mod faults;
pub mod iam;
mod ids;
mod journal;
mod kubernetes;
mod sandbox;
mod seed;
pub mod seeds;
mod server;
mod sigv4;
mod state;
mod sts;
mod trust;

pub use authority::ClientCertificate;
pub use credentials::{CredentialReport, CredentialViolation, PodCredentials};
pub use faults::{Drop, Fault, FaultError, Visibility};
pub use journal::JournalEntry;
pub use sandbox::{CallError, Options, Sandbox, StartError};
