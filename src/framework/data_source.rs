//! The trait of data sources.

use async_trait::async_trait;

use crate::cty::Value;

use super::Context;
use super::diagnostic::Diagnostics;
use super::resource::ValidateConfig;
use super::schema::Schema;

/// A data source. `P` is the provider's configured data.
#[async_trait]
pub trait DataSource<P>: Send + Sync {
    /// The full type name.
    fn type_name(&self) -> &'static str;

    /// The schema.
    fn schema(&self) -> Schema;

    /// Reads. `response.state` starts as the configuration with computed attributes null; it must end wholly known
    /// (rule D1).
    async fn read(
        &self,
        context: &Context<P>,
        request: ReadDataSourceRequest,
        response: &mut ReadDataSourceResponse,
    );

    /// Checks that span attributes.
    fn as_validate_config(&self) -> Option<&dyn ValidateConfig> {
        None
    }
}

/// See [`DataSource::read`].
#[derive(Clone, Debug)]
pub struct ReadDataSourceRequest {
    /// The configuration, wholly known.
    pub config: Value,
}

/// See [`DataSource::read`].
#[derive(Clone, Debug, Default)]
pub struct ReadDataSourceResponse {
    /// The result.
    pub state: Value,
    /// What the user should know.
    pub diagnostics: Diagnostics,
}
