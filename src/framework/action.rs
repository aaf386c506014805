//! The trait of actions (Terraform 1.14 and later).

use async_trait::async_trait;
use tokio::sync::mpsc;

use crate::cty::Value;

use super::Context;
use super::diagnostic::Diagnostics;
use super::resource::ValidateConfig;
use super::schema::Schema;

/// Something to do that is not a resource. `P` is the provider's configured data.
#[async_trait]
pub trait Action<P>: Send + Sync {
    /// The full type name.
    fn type_name(&self) -> &'static str;

    /// The schema of the `config` block.
    fn schema(&self) -> Schema;

    /// Checks at plan time. The configuration may hold unknowns.
    async fn plan(&self, _context: &Context<P>, _config: Value) -> Diagnostics {
        Diagnostics::new()
    }

    /// Does it; lines sent to `progress` are shown as they come.
    async fn invoke(
        &self,
        context: &Context<P>,
        config: Value,
        progress: mpsc::Sender<String>,
    ) -> Diagnostics;

    /// Checks that span attributes.
    fn as_validate_config(&self) -> Option<&dyn ValidateConfig> {
        None
    }
}
