//! What the provider offers: GetMetadata, GetProviderSchema, GetResourceIdentitySchemas.

use crate::framework::provider::Provider;
use crate::proto::tfplugin6 as tf;

use super::Server;
use super::call::Call;
use super::convert::{Failed as _, schema};

use tf::{get_metadata, get_provider_schema, get_resource_identity_schemas};

impl<P: Provider> Server<P> {
    pub(super) async fn get_metadata(&self, _: get_metadata::Request) -> get_metadata::Response {
        let registry = &self.registry;
        self.answer(
            Call::provider("GetMetadata"),
            get_metadata::Response::failed,
            async {
                Ok(get_metadata::Response {
                    server_capabilities: Some(self.capabilities()),
                    diagnostics: Vec::new(),
                    data_sources: registry
                        .data_sources
                        .names()
                        .map(|type_name| get_metadata::DataSourceMetadata { type_name })
                        .collect(),
                    resources: registry
                        .resources
                        .names()
                        .map(|type_name| get_metadata::ResourceMetadata { type_name })
                        .collect(),
                    functions: registry
                        .functions
                        .keys()
                        .map(|name| get_metadata::FunctionMetadata {
                            name: (*name).to_owned(),
                        })
                        .collect(),
                    ephemeral_resources: registry
                        .ephemeral_resources
                        .names()
                        .map(|type_name| get_metadata::EphemeralMetadata { type_name })
                        .collect(),
                    list_resources: registry
                        .list_resources
                        .names()
                        .map(|type_name| get_metadata::ListResourceMetadata { type_name })
                        .collect(),
                    state_stores: Vec::new(),
                    actions: registry
                        .actions
                        .names()
                        .map(|type_name| get_metadata::ActionMetadata { type_name })
                        .collect(),
                })
            },
        )
        .await
    }

    pub(super) async fn get_provider_schema(
        &self,
        _: get_provider_schema::Request,
    ) -> get_provider_schema::Response {
        /// Schemas of one kind by type name.
        macro_rules! schemas {
            ($table:ident) => {
                self.registry
                    .$table
                    .iter()
                    .map(|(name, entry)| (name.to_owned(), schema::schema(&entry.schema().schema)))
                    .collect()
            };
        }
        self.answer(
            Call::provider("GetProviderSchema"),
            get_provider_schema::Response::failed,
            async {
                Ok(get_provider_schema::Response {
                    provider: Some(schema::schema(&self.provider_schema().schema)),
                    resource_schemas: schemas!(resources),
                    data_source_schemas: schemas!(data_sources),
                    functions: self.functions(),
                    ephemeral_resource_schemas: schemas!(ephemeral_resources),
                    list_resource_schemas: schemas!(list_resources),
                    state_store_schemas: Default::default(),
                    action_schemas: self
                        .registry
                        .actions
                        .iter()
                        .map(|(name, entry)| {
                            let schema = Some(schema::schema(&entry.schema().schema));
                            (name.to_owned(), tf::ActionSchema { schema })
                        })
                        .collect(),
                    diagnostics: Vec::new(),
                    // Unset: users then have no provider_meta block.
                    provider_meta: None,
                    server_capabilities: Some(self.capabilities()),
                })
            },
        )
        .await
    }

    pub(super) async fn get_resource_identity_schemas(
        &self,
        _: get_resource_identity_schemas::Request,
    ) -> get_resource_identity_schemas::Response {
        self.answer(
            Call::provider("GetResourceIdentitySchemas"),
            get_resource_identity_schemas::Response::failed,
            async {
                let identity_schemas = self
                    .registry
                    .resources
                    .iter()
                    .filter_map(|(name, entry)| {
                        Some((name.to_owned(), schema::identity(entry.identity()?)))
                    })
                    .collect();
                Ok(get_resource_identity_schemas::Response {
                    identity_schemas,
                    diagnostics: Vec::new(),
                })
            },
        )
        .await
    }

    /// What is true of this server; core acts on it.
    fn capabilities(&self) -> tf::ServerCapabilities {
        tf::ServerCapabilities {
            plan_destroy: true,
            get_provider_schema_optional: true,
            move_resource_state: self
                .registry
                .resources
                .iter()
                .any(|(_, entry)| entry.object.as_move_state().is_some()),
            generate_resource_config: true,
        }
    }
}
