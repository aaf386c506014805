//! The trait of ephemeral resources (Terraform 1.10 and later).

use std::time::SystemTime;

use async_trait::async_trait;

use crate::cty::Value;

use super::diagnostic::Diagnostics;
use super::resource::ValidateConfig;
use super::schema::Schema;
use super::{Context, Private};

/// A value that is opened for a run and never stored. `P` is the provider's configured data.
#[async_trait]
pub trait EphemeralResource<P>: Send + Sync {
    /// The full type name.
    fn type_name(&self) -> &'static str;

    /// The schema.
    fn schema(&self) -> Schema;

    /// Opens. `response.result` starts as the configuration with computed attributes null (rule E1).
    async fn open(&self, context: &Context<P>, config: Value, response: &mut OpenResponse);

    /// Renews what [`open`](Self::open) made; called only if `renew_at` was set.
    async fn renew(&self, _context: &Context<P>, _response: &mut RenewResponse) {}

    /// Closes.
    async fn close(&self, _context: &Context<P>, _private: Private) -> Diagnostics {
        Diagnostics::new()
    }

    /// Checks that span attributes.
    fn as_validate_config(&self) -> Option<&dyn ValidateConfig> {
        None
    }
}

/// See [`EphemeralResource::open`].
#[derive(Clone, Debug, Default)]
pub struct OpenResponse {
    /// The result, wholly known.
    pub result: Value,
    /// What renew and close need.
    pub private: Private,
    /// When to renew.
    pub renew_at: Option<SystemTime>,
    /// What the user should know.
    pub diagnostics: Diagnostics,
}

/// See [`EphemeralResource::renew`].
#[derive(Clone, Debug, Default)]
pub struct RenewResponse {
    /// Starts as what open or the last renew answered.
    pub private: Private,
    /// When to renew again.
    pub renew_at: Option<SystemTime>,
    /// What the user should know.
    pub diagnostics: Diagnostics,
}
