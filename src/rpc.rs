//! The service `tfplugin6.Provider` over a provider of [`crate::framework`].
//!
//! One file per family of RPCs; protobuf types stop here. A handler converts its request, calls the engine and converts
//! the response. Whatever fails is a diagnostic, never a gRPC status, because core shows a status as a plugin that
//! misbehaved and, on apply, loses the state.
//!
//! No handler needs that another has been called before, but for ConfigureProvider: core may skip GetProviderSchema
//! (capability `get_provider_schema_optional`).

mod action;
mod call;
mod convert;
mod data_source;
mod ephemeral;
mod function;
mod list_resource;
mod provider;
mod registry;
mod resource;
mod schema;

use std::sync::{Arc, PoisonError, RwLock};

use tokio_util::sync::CancellationToken;
use tonic::codegen::BoxStream;
use tonic::{Request, Response, Status};

use crate::framework::provider::Provider;
use crate::framework::{Context, Diagnostic, Diagnostics};
use crate::proto::tfplugin6 as tf;

use registry::Registry;

/// Serves the provider `P`.
pub struct Server<P: Provider> {
    provider: P,
    /// Source address, for the log.
    address: &'static str,
    registry: Registry<P::Data>,
    configured: RwLock<Option<Arc<P::Data>>>,
    /// Cancels what is in flight; StopProvider puts a fresh one in its place.
    stop: RwLock<CancellationToken>,
}

impl<P: Provider> Server<P> {
    /// A server for `provider`, whose source address is `address`: `registry.terraform.io/podidentity/podidentity`.
    /// Schemas are built when they are first needed.
    #[must_use]
    pub fn new(provider: P, address: &'static str) -> Self {
        let registry = Registry::new(&provider);
        Self {
            provider,
            address,
            registry,
            configured: RwLock::new(None),
            stop: RwLock::new(CancellationToken::new()),
        }
    }

    /// The token of everything that starts now.
    fn token(&self) -> CancellationToken {
        // A token has no state that a panic could leave half written; nor has an `Arc`.
        self.stop
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// What an operation may use.
    fn context(&self) -> Result<Context<P::Data>, Diagnostics> {
        let provider = self
            .configured
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        provider.map_or_else(
            || {
                Err(Diagnostic::error(
                    "Provider not configured",
                    "Terraform asked for an operation before it configured the provider, or configuring failed. If no \
                     other error says why, please report this to the developers of the provider.",
                )
                .into())
            },
            |provider| {
                Ok(Context {
                    provider,
                    cancel: self.token(),
                })
            },
        )
    }
}

/// Each RPC goes to the method of the same name in the file of its family.
macro_rules! dispatch {
    ($( $method:ident($module:ident) -> $response:ty; )*) => {
        #[tonic::async_trait]
        impl<P: Provider> tf::provider_server::Provider for Server<P> {
            $(
                async fn $method(
                    &self,
                    request: Request<tf::$module::Request>,
                ) -> Result<Response<$response>, Status> {
                    Ok(Response::new(self.$module(request.into_inner()).await))
                }
            )*
        }
    };
}

dispatch! {
    get_metadata(get_metadata) -> tf::get_metadata::Response;
    get_provider_schema(get_provider_schema) -> tf::get_provider_schema::Response;
    get_resource_identity_schemas(get_resource_identity_schemas) -> tf::get_resource_identity_schemas::Response;

    validate_provider_config(validate_provider_config) -> tf::validate_provider_config::Response;
    configure_provider(configure_provider) -> tf::configure_provider::Response;
    stop_provider(stop_provider) -> tf::stop_provider::Response;

    validate_resource_config(validate_resource_config) -> tf::validate_resource_config::Response;
    upgrade_resource_state(upgrade_resource_state) -> tf::upgrade_resource_state::Response;
    upgrade_resource_identity(upgrade_resource_identity) -> tf::upgrade_resource_identity::Response;
    read_resource(read_resource) -> tf::read_resource::Response;
    plan_resource_change(plan_resource_change) -> tf::plan_resource_change::Response;
    apply_resource_change(apply_resource_change) -> tf::apply_resource_change::Response;
    import_resource_state(import_resource_state) -> tf::import_resource_state::Response;
    move_resource_state(move_resource_state) -> tf::move_resource_state::Response;
    generate_resource_config(generate_resource_config) -> tf::generate_resource_config::Response;

    validate_data_resource_config(validate_data_resource_config) -> tf::validate_data_resource_config::Response;
    read_data_source(read_data_source) -> tf::read_data_source::Response;

    validate_ephemeral_resource_config(validate_ephemeral_resource_config)
        -> tf::validate_ephemeral_resource_config::Response;
    open_ephemeral_resource(open_ephemeral_resource) -> tf::open_ephemeral_resource::Response;
    renew_ephemeral_resource(renew_ephemeral_resource) -> tf::renew_ephemeral_resource::Response;
    close_ephemeral_resource(close_ephemeral_resource) -> tf::close_ephemeral_resource::Response;

    validate_list_resource_config(validate_list_resource_config) -> tf::validate_list_resource_config::Response;
    list_resource(list_resource) -> BoxStream<tf::list_resource::Event>;

    get_functions(get_functions) -> tf::get_functions::Response;
    call_function(call_function) -> tf::call_function::Response;

    validate_action_config(validate_action_config) -> tf::validate_action_config::Response;
    plan_action(plan_action) -> tf::plan_action::Response;
    invoke_action(invoke_action) -> BoxStream<tf::invoke_action::Event>;
}

#[cfg(test)]
mod tests;
