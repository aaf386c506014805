//! The provider's process. Everything it does is in the library.

use std::{env, process::ExitCode, sync::Arc};

use podidentity::{
    cty::Value,
    framework::{
        Diagnostics,
        provider::{ConfigureRequest, Provider},
        resource::Resource,
        schema::Schema,
    },
    plugin::{self, Options},
    rpc::Server,
};

const ADDRESS: &str = "registry.terraform.io/podidentity/podidentity";

/// Offers nothing.
struct Empty;

#[tonic::async_trait]
impl Provider for Empty {
    type Data = ();

    fn schema(&self) -> Schema {
        Schema::new("AWS permissions for pods on Amazon EKS through EKS Pod Identity.")
    }

    fn validate_config(&self, _config: &Value, _diagnostics: &mut Diagnostics) {}

    async fn configure(
        &self,
        _request: ConfigureRequest,
        _diagnostics: &mut Diagnostics,
    ) -> Option<Arc<()>> {
        Some(Arc::new(()))
    }

    fn resources(&self) -> Vec<Arc<dyn Resource<()>>> {
        Vec::new()
    }
}

fn main() -> ExitCode {
    plugin::run(
        env::args().skip(1),
        Server::new(Empty, ADDRESS),
        Options {
            provider_address: ADDRESS,
            version: env!("CARGO_PKG_VERSION"),
        },
    )
}
