//! Data sources: ValidateDataResourceConfig, ReadDataSource.

use crate::framework::engine::data_source::read;
use crate::framework::engine::validate::{ValidateRequest, validate};
use crate::framework::provider::Provider;
use crate::proto::tfplugin6 as tf;

use super::Server;
use super::call::Call;
use super::convert::{Failed as _, decode, diagnostics, encode};

use tf::{read_data_source, validate_data_resource_config};

impl<P: Provider> Server<P> {
    pub(super) async fn validate_data_resource_config(
        &self,
        request: validate_data_resource_config::Request,
    ) -> validate_data_resource_config::Response {
        self.answer(
            Call::data_source("ValidateDataResourceConfig", &request.type_name),
            validate_data_resource_config::Response::failed,
            async {
                let entry = self.registry.data_sources.find(&request.type_name)?;
                let schema = entry.schema();
                let config = decode(request.config, &schema.ty, "configuration")?;
                let found = validate(ValidateRequest {
                    schema,
                    config: &config,
                    write_only_allowed: false,
                    validate_config: entry.object.as_validate_config(),
                });
                Ok(validate_data_resource_config::Response {
                    diagnostics: diagnostics(found, &schema.ty),
                })
            },
        )
        .await
    }

    pub(super) async fn read_data_source(
        &self,
        request: read_data_source::Request,
    ) -> read_data_source::Response {
        self.answer(
            Call::data_source("ReadDataSource", &request.type_name),
            read_data_source::Response::failed,
            async {
                let entry = self.registry.data_sources.find(&request.type_name)?;
                let schema = entry.schema();
                let context = self.context()?;
                let config = decode(request.config, &schema.ty, "configuration")?;
                let found = read(&*entry.object, schema, &context, config).await;
                Ok(read_data_source::Response {
                    state: Some(encode(&found.state, &schema.ty, "result")?),
                    diagnostics: diagnostics(found.diagnostics, &schema.ty),
                    deferred: None,
                })
            },
        )
        .await
    }
}
