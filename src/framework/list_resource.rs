//! The trait of list resources (`terraform query`, Terraform 1.14 and later).

use async_trait::async_trait;
use tokio::sync::mpsc;

use crate::cty::Value;

use super::Context;
use super::diagnostic::Diagnostics;
use super::resource::ValidateConfig;
use super::schema::Schema;

/// Lists remote objects of a managed resource type, which must have an identity. `P` is the provider's configured data.
#[async_trait]
pub trait ListResource<P>: Send + Sync {
    /// The full type name, the same as the managed resource's.
    fn type_name(&self) -> &'static str;

    /// The schema of the `config` block.
    fn schema(&self) -> Schema;

    /// Sends what it finds, in order, until `request.limit` or the receiver is gone.
    async fn list(
        &self,
        context: &Context<P>,
        request: ListRequest,
        events: mpsc::Sender<ListEvent>,
    );

    /// Checks that span attributes.
    fn as_validate_config(&self) -> Option<&dyn ValidateConfig> {
        None
    }
}

/// See [`ListResource::list`].
#[derive(Clone, Debug)]
pub struct ListRequest {
    /// The configuration.
    pub config: Value,
    /// Whether the whole resource state is wanted.
    pub include_resource: bool,
    /// How many events at most.
    pub limit: i64,
}

/// One found object.
#[derive(Clone, Debug, Default)]
pub struct ListEvent {
    /// Its identity.
    pub identity: Value,
    /// What to call it.
    pub display_name: String,
    /// Its state, if wanted.
    pub resource: Option<Value>,
    /// What the user should know.
    pub diagnostics: Diagnostics,
}
