//! Acceptance tests: real Terraform, the real provider binary, a stand-in for AWS or an account.
//!
//! # How to write one
//!
//! One file per topic, one `#[test]` per behaviour, one [`harness::Case`] per test. A case is an empty Terraform working directory
//! and, unless it is [`offline`](harness::Case::offline), a sandbox of its own, so that tests run in parallel and see nobody else's
//! objects:
//!
//! ```ignore
//! let mut case = Case::new();
//! case.config(r#"
//!     resource "podidentity_role" "this" {
//!       name        = "{{name}}"
//!       description = "first"
//!     }
//! "#)
//! .apply()
//! .expect_empty_plan()
//! .expect_attribute("podidentity_role.this", "path", "/");
//!
//! let arn = case.attribute("podidentity_role.this", "arn");
//! case.edit("first", "second").expect_plan(&[("podidentity_role.this", Action::Update)]).apply();
//! assert_eq!(case.attribute("podidentity_role.this", "arn"), arn);
//!
//! case.edit(r#"name        = "{{name}}""#, r#"name = "not allowed!""#).plan_error("Invalid role name").on("name");
//! ```
//!
//! - **Configuration** is plain HCL. `{{name}}` becomes a name nobody else uses (lower-case letters, digits and hyphens, 24 characters:
//!   valid for IAM, EKS and Kubernetes, start every object's name with it), `{{cluster}}`, `{{account_id}}`, `{{region}}` and
//!   `{{partition}}` what the target has. The harness adds the `required_providers` block; a `provider` block is needed only to test one,
//!   because endpoint, region and credentials come by environment variables.
//! - **Steps** ([`apply`](harness::Case::apply), [`plan`](harness::Case::plan), [`refresh`](harness::Case::refresh),
//!   [`import`](harness::Case::import), [`verify_import`](harness::Case::verify_import), [`taint`](harness::Case::taint),
//!   [`destroy`](harness::Case::destroy) …) fail the test with Terraform's own words when Terraform fails. The ones ending in `_error`
//!   want a failure, check it against a regular expression and give back the diagnostic.
//! - **Behind Terraform's back**: [`Case::aws`](harness::Case::aws) has ordinary AWS clients for the same target; use them for drift,
//!   disappearance and for looking at what was really written.
//! - **Calls**: [`clear_calls`](harness::Case::clear_calls), then [`expect_calls`](harness::Case::expect_calls) with exact counts.
//!   [`fault`](harness::Case::fault) makes AWS misbehave.
//!
//! # Targets
//!
//! By default every case starts a sandbox. With `TF_ACC=1`, AWS credentials and `PODIDENTITY_ACC_CLUSTER` the same tests run against that
//! account and cluster; then checks of call counts are skipped with a printed line, and so are whole tests that begin with
//! [`Case::sandbox_only`](harness::Case::sandbox_only).
//!
//! Terraform is `PODIDENTITY_TERRAFORM`, else `terraform`, else `tofu` on `PATH`.
//!
//! # How Terraform finds the provider
//!
//! By a development override, which names a directory holding the binary that Cargo built: Terraform starts it as a child process with
//! the full handshake and TLS, as it does for users, and needs no `init`. Reattaching to an in-process server would save some
//! milliseconds but leave out the handshake, TLS, signals and process exit. A mirror with `init`, which copies and hashes the binary, is
//! what users have; the test `installation::from_a_filesystem_mirror` covers that once.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should panic")]
#![allow(
    clippy::disallowed_macros,
    reason = "a test's standard output is its own"
)]

mod harness;

mod agent;
mod association;
mod cluster;
mod examples;
mod foundations;
mod functions;
mod guides;
mod injection_wait;
mod installation;
mod inventory;
mod migration;
mod process;
mod role;
mod sweep;
mod together;
