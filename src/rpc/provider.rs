//! The provider itself: ValidateProviderConfig, ConfigureProvider, StopProvider.

use std::mem;
use std::sync::PoisonError;

use tokio_util::sync::CancellationToken;

use crate::cty::Value;
use crate::framework::engine::validate::{ValidateRequest, validate};
use crate::framework::engine::{ObjectSchema, run};
use crate::framework::provider::{ConfigureRequest, Provider};
use crate::framework::resource::ValidateConfig;
use crate::framework::{Diagnostic, Diagnostics};
use crate::proto::tfplugin6 as tf;

use super::Server;
use super::call::Call;
use super::convert::{Failed as _, decode, diagnostics};

use tf::{configure_provider, stop_provider, validate_provider_config};

impl<P: Provider> Server<P> {
    pub(super) async fn validate_provider_config(
        &self,
        request: validate_provider_config::Request,
    ) -> validate_provider_config::Response {
        self.answer(
            Call::provider("ValidateProviderConfig"),
            validate_provider_config::Response::failed,
            async {
                let schema = self.provider_schema();
                let config = decode(request.config, &schema.ty, "provider configuration")?;
                let found = validate(ValidateRequest {
                    schema,
                    config: &config,
                    // Core sends no capabilities here; whoever cannot write the attribute does not.
                    write_only_allowed: true,
                    validate_config: Some(&ProviderChecks(&self.provider)),
                });
                Ok(validate_provider_config::Response {
                    diagnostics: diagnostics(found, &schema.ty),
                })
            },
        )
        .await
    }

    /// May be called again: a debug server serves many runs. A failed attempt leaves the provider unconfigured.
    pub(super) async fn configure_provider(
        &self,
        request: configure_provider::Request,
    ) -> configure_provider::Response {
        self.answer(
            Call::provider("ConfigureProvider"),
            configure_provider::Response::failed,
            async {
                let schema = self.provider_schema();
                let config = decode(request.config, &schema.ty, "provider configuration")?;
                let cancel = self.token();
                let mut found = Diagnostics::new();
                let configured = run(
                    "configuring the provider",
                    &cancel,
                    self.provider.configure(
                        ConfigureRequest {
                            config,
                            terraform_version: request.terraform_version,
                            cancel: cancel.clone(),
                        },
                        &mut found,
                    ),
                )
                .await;
                let data = configured.unwrap_or_else(|diagnostic| {
                    found.push(diagnostic);
                    None
                });
                if data.is_none() && !found.has_errors() {
                    found.push(Diagnostic::provider_bug(
                        "Configuring the provider ended without a result and without an error.",
                    ));
                }
                let data = data.filter(|_| !found.has_errors());
                *self
                    .configured
                    .write()
                    .unwrap_or_else(PoisonError::into_inner) = data;
                Ok(configure_provider::Response {
                    diagnostics: diagnostics(found, &schema.ty),
                })
            },
        )
        .await
    }

    /// Cancels what is in flight and returns at once. What comes later (closing, cleaning up, the next run of a debug
    /// server) gets a token of its own, so that it is not cancelled before it starts.
    pub(super) async fn stop_provider(&self, _: stop_provider::Request) -> stop_provider::Response {
        self.answer(
            Call::provider("StopProvider"),
            |_| stop_provider::Response::default(),
            async {
                let stopped = mem::replace(
                    &mut *self.stop.write().unwrap_or_else(PoisonError::into_inner),
                    CancellationToken::new(),
                );
                stopped.cancel();
                Ok(stop_provider::Response::default())
            },
        )
        .await
    }

    pub(super) fn provider_schema(&self) -> &ObjectSchema {
        self.registry
            .provider_schema
            .get_or_init(|| self.provider.schema().into())
    }
}

/// The provider's checks in the form of everything else's.
struct ProviderChecks<'a, P>(&'a P);

impl<P: Provider> ValidateConfig for ProviderChecks<'_, P> {
    fn validate_config(&self, config: &Value, diagnostics: &mut Diagnostics) {
        self.0.validate_config(config, diagnostics);
    }
}
