//! Managed resources: everything from validation to deletion, import, upgrade and move.

use crate::cty::Value;
use crate::framework::engine::apply::{ApplyRequest, apply};
use crate::framework::engine::generate::generate_config;
use crate::framework::engine::import::import;
use crate::framework::engine::move_state::move_state;
use crate::framework::engine::plan::{PlanRequest, plan};
use crate::framework::engine::read::read;
use crate::framework::engine::upgrade::{upgrade, upgrade_identity};
use crate::framework::engine::validate::{ValidateRequest, validate};
use crate::framework::provider::Provider;
use crate::framework::resource::{ImportStateRequest, MoveStateRequest, ReadRequest};
use crate::framework::{Diagnostic, Diagnostics};
use crate::proto::tfplugin6 as tf;

use super::Server;
use super::call::Call;
use super::convert::{
    Failed as _, attribute_path, decode, decode_identity, decode_private, diagnostics, encode,
    encode_identity, null, plain_diagnostics,
};

use tf::{
    apply_resource_change, generate_resource_config, import_resource_state, move_resource_state,
    plan_resource_change, read_resource, upgrade_resource_identity, upgrade_resource_state,
    validate_resource_config,
};

impl<P: Provider> Server<P> {
    pub(super) async fn validate_resource_config(
        &self,
        request: validate_resource_config::Request,
    ) -> validate_resource_config::Response {
        self.answer(
            Call::resource("ValidateResourceConfig", &request.type_name),
            validate_resource_config::Response::failed,
            async {
                let entry = self.registry.resources.find(&request.type_name)?;
                let schema = entry.schema();
                let config = decode(request.config, &schema.ty, "configuration")?;
                let found = validate(ValidateRequest {
                    schema,
                    config: &config,
                    write_only_allowed: request
                        .client_capabilities
                        .is_some_and(|c| c.write_only_attributes_allowed),
                    validate_config: entry.object.as_validate_config(),
                });
                Ok(validate_resource_config::Response {
                    diagnostics: diagnostics(found, &schema.ty),
                })
            },
        )
        .await
    }

    pub(super) async fn upgrade_resource_state(
        &self,
        request: upgrade_resource_state::Request,
    ) -> upgrade_resource_state::Response {
        self.answer(
            Call::resource("UpgradeResourceState", &request.type_name),
            upgrade_resource_state::Response::failed,
            async {
                let entry = self.registry.resources.find(&request.type_name)?;
                let schema = entry.schema();
                let raw = request.raw_state.unwrap_or_default().json;
                let state = upgrade(&*entry.object, schema, request.version, &raw)?;
                Ok(upgrade_resource_state::Response {
                    upgraded_state: Some(encode(&state, &schema.ty, "upgraded state")?),
                    diagnostics: Vec::new(),
                })
            },
        )
        .await
    }

    pub(super) async fn upgrade_resource_identity(
        &self,
        request: upgrade_resource_identity::Request,
    ) -> upgrade_resource_identity::Response {
        self.answer(
            Call::resource("UpgradeResourceIdentity", &request.type_name),
            upgrade_resource_identity::Response::failed,
            async {
                let entry = self.registry.resources.find(&request.type_name)?;
                let raw = request.raw_identity.unwrap_or_default().json;
                let identity =
                    upgrade_identity(&*entry.object, entry.identity(), request.version, &raw)?;
                let upgraded_identity = encode_identity(&identity, entry.identity())?;
                Ok(upgrade_resource_identity::Response {
                    // Core reads the message without looking, also when there was nothing to upgrade.
                    upgraded_identity: Some(upgraded_identity.unwrap_or_else(|| {
                        tf::ResourceIdentityData {
                            identity_data: Some(null()),
                        }
                    })),
                    diagnostics: Vec::new(),
                })
            },
        )
        .await
    }

    pub(super) async fn read_resource(
        &self,
        request: read_resource::Request,
    ) -> read_resource::Response {
        self.answer(
            Call::resource("ReadResource", &request.type_name),
            read_resource::Response::failed,
            async {
                let entry = self.registry.resources.find(&request.type_name)?;
                let (schema, identity) = (entry.schema(), entry.identity());
                let context = self.context()?;
                let read_request = ReadRequest {
                    current_state: decode(request.current_state, &schema.ty, "state")?,
                    private: decode_private(&request.private)?,
                    current_identity: decode_identity(request.current_identity, identity)?,
                };
                let found = read(&*entry.object, schema, identity, &context, read_request).await;
                Ok(read_resource::Response {
                    new_state: Some(encode(&found.state, &schema.ty, "refreshed state")?),
                    diagnostics: diagnostics(found.diagnostics, &schema.ty),
                    private: found.private.to_bytes(),
                    deferred: None,
                    new_identity: encode_identity(&found.identity, identity)?,
                })
            },
        )
        .await
    }

    pub(super) async fn plan_resource_change(
        &self,
        request: plan_resource_change::Request,
    ) -> plan_resource_change::Response {
        self.answer(
            Call::resource("PlanResourceChange", &request.type_name),
            plan_resource_change::Response::failed,
            async {
                let entry = self.registry.resources.find(&request.type_name)?;
                let (schema, identity) = (entry.schema(), entry.identity());
                let context = self.context()?;
                let plan_request = PlanRequest {
                    config: decode(request.config, &schema.ty, "configuration")?,
                    prior_state: decode(request.prior_state, &schema.ty, "prior state")?,
                    proposed_new_state: decode(
                        request.proposed_new_state,
                        &schema.ty,
                        "proposed state",
                    )?,
                    prior_private: decode_private(&request.prior_private)?,
                    planned_private: match &request.planned_private[..] {
                        b"" => None,
                        planned => Some(decode_private(planned)?),
                    },
                    prior_identity: decode_identity(request.prior_identity, identity)?,
                };
                let planned = plan(&*entry.object, schema, identity, &context, plan_request).await;
                Ok(plan_resource_change::Response {
                    planned_state: Some(encode(&planned.planned_state, &schema.ty, "plan")?),
                    requires_replace: planned
                        .requires_replace
                        .iter()
                        .map(attribute_path)
                        .collect(),
                    planned_private: planned.planned_private.to_bytes(),
                    diagnostics: diagnostics(planned.diagnostics, &schema.ty),
                    planned_identity: encode_identity(&planned.planned_identity, identity)?,
                    ..plan_resource_change::Response::default()
                })
            },
        )
        .await
    }

    /// Always answers with a state that core can decode: without one it would keep the prior state, and an object that was
    /// just created would be lost to the user (rule A9).
    pub(super) async fn apply_resource_change(
        &self,
        request: apply_resource_change::Request,
    ) -> apply_resource_change::Response {
        let prior_state = request.prior_state.clone();
        let planned_private = request.planned_private.clone();
        let planned_identity = request.planned_identity.clone();
        self.answer(
            Call::resource("ApplyResourceChange", &request.type_name),
            // Nothing of the resource's own code has run, or its result cannot be sent: what was before stays.
            |found| apply_resource_change::Response {
                new_state: Some(prior_state.unwrap_or_else(null)),
                private: planned_private,
                diagnostics: plain_diagnostics(found),
                new_identity: planned_identity,
                ..apply_resource_change::Response::default()
            },
            async {
                let entry = self.registry.resources.find(&request.type_name)?;
                let (schema, identity) = (entry.schema(), entry.identity());
                let context = self.context()?;
                let apply_request = ApplyRequest {
                    config: decode(request.config, &schema.ty, "configuration")?,
                    prior_state: decode(request.prior_state, &schema.ty, "prior state")?,
                    planned_state: decode(request.planned_state, &schema.ty, "plan")?,
                    planned_private: decode_private(&request.planned_private)?,
                    planned_identity: decode_identity(request.planned_identity, identity)?,
                };
                let mut done =
                    apply(&*entry.object, schema, identity, &context, apply_request).await;
                // An identity that cannot be sent must not cost the state.
                let new_identity =
                    encode_identity(&done.new_identity, identity).unwrap_or_else(|found| {
                        done.diagnostics.append(found);
                        None
                    });
                Ok(apply_resource_change::Response {
                    new_state: Some(encode(&done.new_state, &schema.ty, "new state")?),
                    private: done.private.to_bytes(),
                    diagnostics: diagnostics(done.diagnostics, &schema.ty),
                    new_identity,
                    ..apply_resource_change::Response::default()
                })
            },
        )
        .await
    }

    pub(super) async fn import_resource_state(
        &self,
        request: import_resource_state::Request,
    ) -> import_resource_state::Response {
        self.answer(
            Call::resource("ImportResourceState", &request.type_name),
            import_resource_state::Response::failed,
            async {
                let entry = self.registry.resources.find(&request.type_name)?;
                let (schema, identity) = (entry.schema(), entry.identity());
                let context = self.context()?;
                let given = decode_identity(request.identity, identity)?;
                let import_request = ImportStateRequest {
                    id: request.id,
                    identity: Some(given).filter(Value::is_set),
                };
                let found =
                    import(&*entry.object, schema, identity, &context, import_request).await;
                let imported_resources = if found.diagnostics.has_errors() {
                    Vec::new()
                } else {
                    vec![import_resource_state::ImportedResource {
                        type_name: request.type_name.clone(),
                        state: Some(encode(&found.state, &schema.ty, "imported state")?),
                        private: found.private.to_bytes(),
                        identity: encode_identity(&found.identity, identity)?,
                    }]
                };
                Ok(import_resource_state::Response {
                    imported_resources,
                    diagnostics: diagnostics(found.diagnostics, &schema.ty),
                    deferred: None,
                })
            },
        )
        .await
    }

    pub(super) async fn move_resource_state(
        &self,
        request: move_resource_state::Request,
    ) -> move_resource_state::Response {
        self.answer(
            Call::resource("MoveResourceState", &request.target_type_name),
            move_resource_state::Response::failed,
            async {
                let entry = self.registry.resources.find(&request.target_type_name)?;
                let schema = entry.schema();
                let raw = request.source_state.unwrap_or_default().json;
                let source_state = serde_json::from_slice(&raw).map_err(|error| {
                    Diagnostics::from(Diagnostic::error(
                        "Saved state cannot be read",
                        format!(
                            "The saved state of the {} that is to be moved is not JSON: {error}.",
                            request.source_type_name
                        ),
                    ))
                })?;
                let state = move_state(
                    &*entry.object,
                    schema,
                    &MoveStateRequest {
                        source_provider_address: request.source_provider_address,
                        source_type_name: request.source_type_name,
                        source_schema_version: request.source_schema_version,
                        source_state,
                    },
                )?;
                Ok(move_resource_state::Response {
                    target_state: Some(encode(&state, &schema.ty, "moved state")?),
                    ..move_resource_state::Response::default()
                })
            },
        )
        .await
    }

    pub(super) async fn generate_resource_config(
        &self,
        request: generate_resource_config::Request,
    ) -> generate_resource_config::Response {
        self.answer(
            Call::resource("GenerateResourceConfig", &request.type_name),
            generate_resource_config::Response::failed,
            async {
                let schema = self.registry.resources.find(&request.type_name)?.schema();
                let state = decode(request.state, &schema.ty, "state")?;
                let config = generate_config(schema, &state);
                Ok(generate_resource_config::Response {
                    config: Some(encode(&config, &schema.ty, "generated configuration")?),
                    diagnostics: Vec::new(),
                })
            },
        )
        .await
    }
}
