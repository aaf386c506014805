//! The provider trait.

use std::sync::Arc;

use async_trait::async_trait;
use tokio_util::sync::CancellationToken;

use crate::cty::Value;

use super::action::Action;
use super::data_source::DataSource;
use super::diagnostic::Diagnostics;
use super::ephemeral::EphemeralResource;
use super::function::Function;
use super::list_resource::ListResource;
use super::resource::Resource;
use super::schema::Schema;

/// A provider: its configuration and everything it offers.
#[async_trait]
pub trait Provider: Send + Sync + 'static {
    /// What configuring makes, and what every operation gets.
    type Data: Send + Sync + 'static;

    /// The schema of the `provider` block.
    fn schema(&self) -> Schema;

    /// Checks that span attributes of the `provider` block. Unknown values may turn out right: skip them.
    fn validate_config(&self, config: &Value, diagnostics: &mut Diagnostics);

    /// Configures. May be called more than once in a process. The configuration may hold unknowns at plan time; then
    /// whatever depends on them must fail only when it is used. `None` only together with an error.
    async fn configure(
        &self,
        request: ConfigureRequest,
        diagnostics: &mut Diagnostics,
    ) -> Option<Arc<Self::Data>>;

    /// Managed resources.
    fn resources(&self) -> Vec<Arc<dyn Resource<Self::Data>>>;

    /// Data sources.
    fn data_sources(&self) -> Vec<Arc<dyn DataSource<Self::Data>>> {
        Vec::new()
    }

    /// Functions.
    fn functions(&self) -> Vec<Arc<dyn Function>> {
        Vec::new()
    }

    /// Ephemeral resources.
    fn ephemeral_resources(&self) -> Vec<Arc<dyn EphemeralResource<Self::Data>>> {
        Vec::new()
    }

    /// List resources.
    fn list_resources(&self) -> Vec<Arc<dyn ListResource<Self::Data>>> {
        Vec::new()
    }

    /// Actions.
    fn actions(&self) -> Vec<Arc<dyn Action<Self::Data>>> {
        Vec::new()
    }
}

/// See [`Provider::configure`].
#[derive(Clone, Debug)]
pub struct ConfigureRequest {
    /// The `provider` block; may hold unknowns.
    pub config: Value,
    /// Version of the Terraform that asks, for the user agent.
    pub terraform_version: String,
    /// Cancelled by StopProvider.
    pub cancel: CancellationToken,
}
