//! Ephemeral resources: validate, open, renew, close.

use crate::cty::Value;
use crate::framework::engine::ephemeral::{close, open, renew};
use crate::framework::engine::validate::{ValidateRequest, validate};
use crate::framework::provider::Provider;
use crate::proto::tfplugin6 as tf;

use super::Server;
use super::call::Call;
use super::convert::{Failed as _, decode, decode_private, diagnostics, encode, plain_diagnostics};

use tf::{
    close_ephemeral_resource, open_ephemeral_resource, renew_ephemeral_resource,
    validate_ephemeral_resource_config,
};

impl<P: Provider> Server<P> {
    pub(super) async fn validate_ephemeral_resource_config(
        &self,
        request: validate_ephemeral_resource_config::Request,
    ) -> validate_ephemeral_resource_config::Response {
        self.answer(
            Call::ephemeral("ValidateEphemeralResourceConfig", &request.type_name),
            validate_ephemeral_resource_config::Response::failed,
            async {
                let entry = self.registry.ephemeral_resources.find(&request.type_name)?;
                let schema = entry.schema();
                let config = decode(request.config, &schema.ty, "configuration")?;
                let found = validate(ValidateRequest {
                    schema,
                    config: &config,
                    write_only_allowed: false,
                    validate_config: entry.object.as_validate_config(),
                });
                Ok(validate_ephemeral_resource_config::Response {
                    diagnostics: diagnostics(found, &schema.ty),
                })
            },
        )
        .await
    }

    pub(super) async fn open_ephemeral_resource(
        &self,
        request: open_ephemeral_resource::Request,
    ) -> open_ephemeral_resource::Response {
        self.answer(
            Call::ephemeral("OpenEphemeralResource", &request.type_name),
            open_ephemeral_resource::Response::failed,
            async {
                let entry = self.registry.ephemeral_resources.find(&request.type_name)?;
                let schema = entry.schema();
                let context = self.context()?;
                let config: Value = decode(request.config, &schema.ty, "configuration")?;
                let opened = open(&*entry.object, schema, &context, config).await;
                Ok(open_ephemeral_resource::Response {
                    diagnostics: diagnostics(opened.diagnostics, &schema.ty),
                    renew_at: opened.renew_at.map(Into::into),
                    result: Some(encode(&opened.result, &schema.ty, "result")?),
                    private: Some(opened.private.to_bytes()),
                    deferred: None,
                })
            },
        )
        .await
    }

    pub(super) async fn renew_ephemeral_resource(
        &self,
        request: renew_ephemeral_resource::Request,
    ) -> renew_ephemeral_resource::Response {
        self.answer(
            Call::ephemeral("RenewEphemeralResource", &request.type_name),
            renew_ephemeral_resource::Response::failed,
            async {
                let entry = self.registry.ephemeral_resources.find(&request.type_name)?;
                let context = self.context()?;
                let private = decode_private(&request.private.unwrap_or_default())?;
                let renewed = renew(&*entry.object, &context, private).await;
                Ok(renew_ephemeral_resource::Response {
                    diagnostics: plain_diagnostics(renewed.diagnostics),
                    renew_at: renewed.renew_at.map(Into::into),
                    private: Some(renewed.private.to_bytes()),
                })
            },
        )
        .await
    }

    pub(super) async fn close_ephemeral_resource(
        &self,
        request: close_ephemeral_resource::Request,
    ) -> close_ephemeral_resource::Response {
        self.answer(
            Call::ephemeral("CloseEphemeralResource", &request.type_name),
            close_ephemeral_resource::Response::failed,
            async {
                let entry = self.registry.ephemeral_resources.find(&request.type_name)?;
                let context = self.context()?;
                let private = decode_private(&request.private.unwrap_or_default())?;
                let found = close(&*entry.object, &context, private).await;
                Ok(close_ephemeral_resource::Response {
                    diagnostics: plain_diagnostics(found),
                })
            },
        )
        .await
    }
}
