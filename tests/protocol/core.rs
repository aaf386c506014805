//! Core's call sequence for one object, with the checks it makes on every answer.

use std::collections::BTreeMap;

use pb::provider_client::ProviderClient;
use podidentity::cty::{Path, Type, Value, json};
use podidentity::proto::tfplugin6 as pb;
use tonic::transport::Channel;

use crate::compatible::assert_object_compatible;
use crate::plan_valid::{assert_plan_valid, surviving_replace_paths};
use crate::proposed::proposed_new_state;
use crate::rules::Violation;
use crate::schema::Schema;
use crate::wire::{
    Failure, accepted, checked, client, decoded, identity_type, load_all, no_write_only,
    not_deferred, not_legacy, path_from, status_is_wrong, wire,
};

/// Which Core is played.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Release {
    /// Terraform 1.11: no identity, no planned private data at apply time.
    V1_11,
    /// Terraform 1.16: everything.
    V1_16,
}

impl Release {
    fn capabilities(self) -> Option<pb::ClientCapabilities> {
        let newest = self == Self::V1_16;
        Some(pb::ClientCapabilities {
            deferral_allowed: false,
            write_only_attributes_allowed: true,
            store_planned_private: newest,
            computed_blocks_allowed: newest,
        })
    }
}

/// An object under management: what Core keeps in its state file.
#[derive(Clone, Debug)]
pub(crate) struct Instance {
    pub(crate) type_name: String,
    /// Null: there is none.
    pub(crate) state: Value,
    pub(crate) private: Vec<u8>,
    /// Null: there is none.
    pub(crate) identity: Value,
    pub(crate) schema_version: i64,
    pub(crate) tainted: bool,
}

impl Instance {
    pub(crate) fn none(type_name: &str) -> Self {
        Self {
            type_name: type_name.to_owned(),
            state: Value::Null,
            private: vec![],
            identity: Value::Null,
            schema_version: 0,
            tainted: false,
        }
    }
}

#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(crate) enum Action {
    Create,
    Update,
    Replace,
    Delete,
    NoOp,
}

/// What Core keeps between plan and apply.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) action: Action,
    pub(crate) planned: Value,
    pub(crate) private: Vec<u8>,
    identity: Value,
}

/// Core with one provider's schemas.
pub(crate) struct Core {
    start: Box<dyn Fn() -> Channel + Send + Sync>,
    release: Release,
    provider: Schema,
    resources: BTreeMap<String, Schema>,
    identities: BTreeMap<String, Type>,
    plan_destroy: bool,
}

/// A started and configured provider process.
pub(crate) struct Process {
    client: ProviderClient<Channel>,
}

impl Core {
    /// Starts a process for the schemas. `start` starts one more process each time.
    pub(crate) async fn load(
        start: impl Fn() -> Channel + Send + Sync + 'static,
        release: Release,
    ) -> Result<Self, Failure> {
        let mut client = client(start());
        let answer = client
            .get_provider_schema(pb::get_provider_schema::Request {})
            .await
            .map_err(|status| status_is_wrong("GetProviderSchema", &status))?
            .into_inner();
        accepted("GetProviderSchema", answer.diagnostics)?;
        let provider = answer
            .provider
            .ok_or_else(|| Violation::new("schema", "missing provider schema"))?;
        let resources = load_all(&answer.resource_schemas)?;
        load_all(&answer.data_source_schemas)?;
        load_all(&answer.ephemeral_resource_schemas)?;
        load_all(&answer.list_resource_schemas)?;

        let mut identities = BTreeMap::new();
        if release == Release::V1_16 {
            match client
                .get_resource_identity_schemas(pb::get_resource_identity_schemas::Request {})
                .await
            {
                Ok(answer) => {
                    let answer = answer.into_inner();
                    accepted("GetResourceIdentitySchemas", answer.diagnostics)?;
                    for (name, schema) in answer.identity_schemas {
                        identities.insert(name, identity_type(&schema)?);
                    }
                }
                Err(status) if status.code() == tonic::Code::Unimplemented => {}
                Err(status) => return Err(status_is_wrong("GetResourceIdentitySchemas", &status)),
            }
        }
        Ok(Self {
            start: Box::new(start),
            release,
            provider: Schema::load("provider", &provider)?,
            resources,
            identities,
            plan_destroy: answer.server_capabilities.is_some_and(|c| c.plan_destroy),
        })
    }

    pub(crate) fn schema(&self, type_name: &str) -> &Schema {
        &self.resources[type_name]
    }

    pub(crate) fn has_identity(&self, type_name: &str) -> bool {
        self.identities.contains_key(type_name)
    }

    /// Starts and configures a new provider process. `written` is the provider block.
    pub(crate) async fn process(&self, written: &Value) -> Result<Process, Failure> {
        let mut client = client((self.start)());
        let config = self.provider.block.configuration(written);
        let config = wire(&config, &self.provider.block.ty());
        let answer = client
            .validate_provider_config(pb::validate_provider_config::Request {
                config: config.clone(),
            })
            .await
            .map_err(|status| status_is_wrong("ValidateProviderConfig", &status))?;
        accepted("ValidateProviderConfig", answer.into_inner().diagnostics)?;
        let answer = client
            .configure_provider(pb::configure_provider::Request {
                terraform_version: "1.16.0".to_owned(),
                config,
                client_capabilities: self.release.capabilities(),
            })
            .await
            .map_err(|status| status_is_wrong("ConfigureProvider", &status))?;
        accepted("ConfigureProvider", answer.into_inner().diagnostics)?;
        Ok(Process { client })
    }

    /// Upgrades and reads: rules U and R. The state is null afterwards if the object is gone.
    pub(crate) async fn refresh(
        &self,
        process: &mut Process,
        instance: &mut Instance,
    ) -> Result<(), Failure> {
        self.upgrade(process, instance).await?;
        let schema = self.schema(&instance.type_name);
        let ty = schema.block.ty();
        let answer = process
            .client
            .read_resource(pb::read_resource::Request {
                type_name: instance.type_name.clone(),
                current_state: wire(&instance.state, &ty),
                private: instance.private.clone(),
                provider_meta: None,
                client_capabilities: self.release.capabilities(),
                current_identity: self.identity_wire(instance, &instance.identity),
            })
            .await
            .map_err(|status| status_is_wrong("ReadResource", &status))?
            .into_inner();
        accepted("ReadResource", answer.diagnostics)?;
        not_deferred(answer.deferred)?;
        let state = decoded("R2", answer.new_state.as_ref(), &ty)?;
        let mut violations = Vec::new();
        if !state.is_wholly_known() {
            violations.push(Violation::new(
                "R1",
                "The returned state contains unknown values",
            ));
        }
        no_write_only(
            "R3",
            "during refresh",
            &schema.block,
            &state,
            &mut violations,
        );
        if state.is_null() {
            checked(violations)?;
            *instance = Instance::none(&instance.type_name);
            return Ok(());
        }
        let identity = self.identity(
            "R4",
            &instance.type_name,
            answer.new_identity,
            true,
            &mut violations,
        );
        if self.has_identity(&instance.type_name) && identity.is_null() {
            violations.push(Violation::new("R4", "read did not return the identity"));
        }
        checked(violations)?;
        instance.state = state;
        instance.private = answer.private;
        instance.identity = identity;
        Ok(())
    }

    async fn upgrade(&self, process: &mut Process, instance: &mut Instance) -> Result<(), Failure> {
        let schema = self.schema(&instance.type_name);
        let ty = schema.block.ty();
        if instance.schema_version > schema.version {
            return Err(Violation::new(
                "U2",
                "Resource instance managed by newer provider version",
            )
            .into());
        }
        let json = json::value_to_json(&instance.state, &ty)
            .map_err(|e| Violation::new("U1", e.to_string()))?;
        let answer = process
            .client
            .upgrade_resource_state(pb::upgrade_resource_state::Request {
                type_name: instance.type_name.clone(),
                version: instance.schema_version,
                raw_state: Some(pb::RawState {
                    json,
                    flatmap: BTreeMap::new(),
                }),
            })
            .await
            .map_err(|status| status_is_wrong("UpgradeResourceState", &status))?
            .into_inner();
        accepted("UpgradeResourceState", answer.diagnostics)?;
        let state = decoded("U1", answer.upgraded_state.as_ref(), &ty)?;
        let mut violations = Vec::new();
        if !state.is_wholly_known() {
            violations.push(Violation::new(
                "U1",
                "the upgraded state contains unknown values",
            ));
        }
        if state.is_null() {
            violations.push(Violation::new("U1", "the upgraded state is null"));
        }
        no_write_only(
            "U1",
            "by the upgrade",
            &schema.block,
            &state,
            &mut violations,
        );
        checked(violations)?;
        instance.state = state;
        instance.schema_version = schema.version;
        Ok(())
    }

    /// Validates and plans a configuration: rules P. On replace, the second plan is the one that is kept.
    pub(crate) async fn plan(
        &self,
        process: &mut Process,
        instance: &Instance,
        config: &Value,
    ) -> Result<Plan, Failure> {
        let ty = self.schema(&instance.type_name).block.ty();
        let answer = process
            .client
            .validate_resource_config(pb::validate_resource_config::Request {
                type_name: instance.type_name.clone(),
                config: wire(config, &ty),
                client_capabilities: self.release.capabilities(),
            })
            .await
            .map_err(|status| status_is_wrong("ValidateResourceConfig", &status))?;
        accepted("ValidateResourceConfig", answer.into_inner().diagnostics)?;

        if instance.tainted {
            let gone = Instance::none(&instance.type_name);
            let mut plan = self.plan_change(process, &gone, config, &[], true).await?;
            plan.action = Action::Replace;
            return Ok(plan);
        }
        let plan = self
            .plan_change(process, instance, config, &[], true)
            .await?;
        if plan.action != Action::Replace {
            return Ok(plan);
        }
        let gone = Instance {
            private: plan.private,
            identity: plan.identity,
            ..Instance::none(&instance.type_name)
        };
        let mut plan = self.plan_change(process, &gone, config, &[], false).await?;
        plan.action = Action::Replace;
        Ok(plan)
    }

    /// One PlanResourceChange of a create or update. `checked_values` is false for the second plan of a replace, of which
    /// Core only checks the types.
    async fn plan_change(
        &self,
        process: &mut Process,
        instance: &Instance,
        config: &Value,
        planned_private: &[u8],
        checked_values: bool,
    ) -> Result<Plan, Failure> {
        let block = &self.schema(&instance.type_name).block;
        let ty = block.ty();
        let proposed = proposed_new_state(block, &instance.state, config);
        let answer = process
            .client
            .plan_resource_change(pb::plan_resource_change::Request {
                type_name: instance.type_name.clone(),
                prior_state: wire(&instance.state, &ty),
                proposed_new_state: wire(&proposed, &ty),
                config: wire(config, &ty),
                prior_private: instance.private.clone(),
                provider_meta: None,
                client_capabilities: self.release.capabilities(),
                prior_identity: self.identity_wire(instance, &instance.identity),
                planned_private: planned_private.to_vec(),
            })
            .await
            .map_err(|status| status_is_wrong("PlanResourceChange", &status))?
            .into_inner();
        accepted("PlanResourceChange", answer.diagnostics)?;
        not_deferred(answer.deferred)?;
        not_legacy(answer.legacy_type_system)?;

        let planned = decoded("P9", answer.planned_state.as_ref(), &ty)?;
        let mut violations = Vec::new();
        no_write_only("P3", "during planning", block, &planned, &mut violations);
        if checked_values {
            violations.extend(assert_plan_valid(block, &instance.state, config, &planned));
        }
        let requested: Vec<Path> = answer.requires_replace.iter().map(path_from).collect();
        let replace = if instance.state.is_null() {
            vec![]
        } else {
            surviving_replace_paths(block, &instance.state, &planned, &requested).unwrap_or_else(
                |mut broken| {
                    violations.append(&mut broken);
                    vec![]
                },
            )
        };
        let action = if instance.state.is_null() {
            Action::Create
        } else if !replace.is_empty() {
            Action::Replace
        } else if planned.is_wholly_known() && planned == instance.state {
            Action::NoOp
        } else {
            Action::Update
        };
        let known = matches!(action, Action::Update | Action::NoOp);
        let identity = self.identity(
            "P11",
            &instance.type_name,
            answer.planned_identity,
            known,
            &mut violations,
        );
        checked(violations)?;
        Ok(Plan {
            action,
            planned,
            private: answer.planned_private,
            identity,
        })
    }

    /// Plans the destruction.
    pub(crate) async fn plan_destroy(
        &self,
        process: &mut Process,
        instance: &Instance,
    ) -> Result<Plan, Failure> {
        let mut plan = Plan {
            action: Action::Delete,
            planned: Value::Null,
            private: instance.private.clone(),
            identity: instance.identity.clone(),
        };
        if !self.plan_destroy {
            return Ok(plan);
        }
        let ty = self.schema(&instance.type_name).block.ty();
        let answer = process
            .client
            .plan_resource_change(pb::plan_resource_change::Request {
                type_name: instance.type_name.clone(),
                prior_state: wire(&instance.state, &ty),
                proposed_new_state: wire(&Value::Null, &ty),
                config: wire(&Value::Null, &ty),
                prior_private: instance.private.clone(),
                provider_meta: None,
                client_capabilities: self.release.capabilities(),
                prior_identity: self.identity_wire(instance, &instance.identity),
                planned_private: vec![],
            })
            .await
            .map_err(|status| status_is_wrong("PlanResourceChange", &status))?
            .into_inner();
        accepted("PlanResourceChange", answer.diagnostics)?;
        not_deferred(answer.deferred)?;
        if !decoded("P9", answer.planned_state.as_ref(), &ty)?.is_null() {
            return Err(Violation::new("P1", "planned a non-null destroy value").into());
        }
        let mut violations = Vec::new();
        plan.identity = self.identity(
            "P11",
            &instance.type_name,
            answer.planned_identity,
            true,
            &mut violations,
        );
        checked(violations)?;
        plan.private = answer.planned_private;
        Ok(plan)
    }

    /// Carries a plan out in `process`: rules F and A. `config` is wholly known. Keeps in `instance` what Core would
    /// save, also when the provider answers with errors.
    pub(crate) async fn apply(
        &self,
        process: &mut Process,
        instance: &mut Instance,
        plan: &Plan,
        config: &Value,
    ) -> Result<(), Failure> {
        match plan.action {
            Action::NoOp => Ok(()),
            Action::Delete => self.apply_delete(process, instance, plan).await,
            Action::Create | Action::Update => {
                self.apply_change(process, instance, plan, plan.action, config)
                    .await
            }
            Action::Replace => {
                self.apply_delete(process, instance, plan).await?;
                self.apply_change(process, instance, plan, Action::Create, config)
                    .await
            }
        }
    }

    async fn apply_change(
        &self,
        process: &mut Process,
        instance: &mut Instance,
        first: &Plan,
        action: Action,
        config: &Value,
    ) -> Result<(), Failure> {
        let schema = self.schema(&instance.type_name);
        let (block, ty) = (&schema.block, schema.block.ty());
        let planned_private: &[u8] = if self.release == Release::V1_16 {
            &first.private
        } else {
            &[]
        };
        let last = self
            .plan_change(process, instance, config, planned_private, true)
            .await?;
        let mut violations = Vec::new();
        if last.action != action && !(action == Action::Update && last.action == Action::NoOp) {
            violations.push(Violation::new(
                "F1",
                format!(
                    "changed the planned action from {action:?} to {:?}",
                    last.action
                ),
            ));
        }
        for broken in assert_object_compatible(block, &first.planned, &last.planned) {
            violations.push(Violation::new(
                "F2",
                format!("produced an invalid new value for {broken}"),
            ));
        }
        checked(violations)?;
        if last.action == Action::NoOp {
            return Ok(());
        }

        let answer = process
            .client
            .apply_resource_change(pb::apply_resource_change::Request {
                type_name: instance.type_name.clone(),
                prior_state: wire(&instance.state, &ty),
                planned_state: wire(&last.planned, &ty),
                config: wire(config, &ty),
                planned_private: last.private.clone(),
                provider_meta: None,
                planned_identity: self.identity_wire(instance, &last.identity),
            })
            .await
            .map_err(|status| status_is_wrong("ApplyResourceChange", &status))?
            .into_inner();
        let refused = accepted("ApplyResourceChange", answer.diagnostics).err();
        not_legacy(answer.legacy_type_system)?;

        let mut violations = Vec::new();
        let state = decoded("A8", answer.new_state.as_ref(), &ty)?;
        no_write_only("A8", "after apply", block, &state, &mut violations);
        for path in state.unknown_paths() {
            violations.push(Violation::new(
                "A6",
                format!("After the apply operation, the provider still indicated an unknown value for {path}"),
            ));
        }
        let identity = self.identity(
            "A8",
            &instance.type_name,
            answer.new_identity,
            true,
            &mut violations,
        );
        if refused.is_none() {
            if state.is_null() {
                violations.push(Violation::new(
                    "A7",
                    format!(
                        "After applying a {action:?} plan, the provider returned a null object"
                    ),
                ));
            } else {
                violations.extend(assert_object_compatible(block, &last.planned, &state));
                if self.has_identity(&instance.type_name) && identity.is_null() {
                    violations.push(Violation::new("A8", "apply did not return the identity"));
                }
            }
        }
        // A9: an answer with a state is saved, also beside errors; without one the prior state stays.
        if !state.is_null() {
            instance.tainted = refused.is_some() && action == Action::Create;
            instance.state = state.transform(&mut |_, v| v.is_unknown().then_some(Value::Null));
            instance.private = answer.private;
            instance.identity = identity;
            instance.schema_version = schema.version;
        }
        checked(violations)?;
        refused.map_or(Ok(()), Err)
    }

    async fn apply_delete(
        &self,
        process: &mut Process,
        instance: &mut Instance,
        plan: &Plan,
    ) -> Result<(), Failure> {
        let ty = self.schema(&instance.type_name).block.ty();
        let answer = process
            .client
            .apply_resource_change(pb::apply_resource_change::Request {
                type_name: instance.type_name.clone(),
                prior_state: wire(&instance.state, &ty),
                planned_state: wire(&Value::Null, &ty),
                config: wire(&Value::Null, &ty),
                planned_private: plan.private.clone(),
                provider_meta: None,
                planned_identity: self.identity_wire(instance, &instance.identity),
            })
            .await
            .map_err(|status| status_is_wrong("ApplyResourceChange", &status))?
            .into_inner();
        let refused = accepted("ApplyResourceChange", answer.diagnostics).err();
        let state = decoded("A8", answer.new_state.as_ref(), &ty)?;
        if let Some(refused) = refused {
            if !state.is_null() {
                instance.state = state;
                instance.private = answer.private;
            }
            return Err(refused);
        }
        if !state.is_null() {
            return Err(Violation::new(
                "A7",
                "After applying a Delete plan, the provider returned a non-null object",
            )
            .into());
        }
        *instance = Instance::none(&instance.type_name);
        Ok(())
    }

    /// Imports by id, or by identity when the id is empty, and reads: rules I.
    pub(crate) async fn import(
        &self,
        process: &mut Process,
        type_name: &str,
        id: &str,
        identity: &Value,
    ) -> Result<Instance, Failure> {
        let schema = self.schema(type_name);
        let ty = schema.block.ty();
        let mut instance = Instance::none(type_name);
        let answer = process
            .client
            .import_resource_state(pb::import_resource_state::Request {
                type_name: type_name.to_owned(),
                id: id.to_owned(),
                client_capabilities: self.release.capabilities(),
                identity: self.identity_wire(&instance, identity),
            })
            .await
            .map_err(|status| status_is_wrong("ImportResourceState", &status))?
            .into_inner();
        accepted("ImportResourceState", answer.diagnostics)?;
        not_deferred(answer.deferred)?;
        let [imported] = &answer.imported_resources[..] else {
            let message = if answer.imported_resources.is_empty() {
                "Import returned no resources"
            } else {
                "Multiple import states not supported"
            };
            return Err(Violation::new("I1", message).into());
        };
        let mut violations = Vec::new();
        if imported.type_name.is_empty() {
            violations.push(Violation::new("I1", "import didn't set type"));
        } else if imported.type_name != type_name {
            violations.push(Violation::new(
                "I1",
                format!("import set type {}", imported.type_name),
            ));
        }
        let state = decoded("I3", imported.state.as_ref(), &ty)?;
        if state.is_null() && id.is_empty() {
            violations.push(Violation::new("I2", "import by identity returned no state"));
        } else if state.is_null() {
            violations.push(Violation::new("I3", "Import returned null resource"));
        }
        if id.is_empty() && imported.identity.is_none() {
            violations.push(Violation::new("I2", "import didn't return an identity"));
        }
        no_write_only("I4", "by import", &schema.block, &state, &mut violations);
        instance.identity = self.identity(
            "I2",
            type_name,
            imported.identity.clone(),
            true,
            &mut violations,
        );
        checked(violations)?;
        instance.state = state;
        instance.private = imported.private.clone();
        instance.schema_version = schema.version;

        self.refresh(process, &mut instance).await?;
        if instance.state.is_null() {
            return Err(Violation::new("I5", "Cannot import non-existent remote object").into());
        }
        Ok(instance)
    }

    /// The identity in an answer, checked against its schema and, if `known`, for unknowns.
    fn identity(
        &self,
        rule: &'static str,
        type_name: &str,
        data: Option<pb::ResourceIdentityData>,
        known: bool,
        violations: &mut Vec<Violation>,
    ) -> Value {
        let Some(data) = data.and_then(|data| data.identity_data) else {
            return Value::Null;
        };
        let Some(ty) = self.identities.get(type_name) else {
            if self.release == Release::V1_16 {
                violations.push(Violation::new(
                    rule,
                    format!("unknown identity type {type_name:?}"),
                ));
            }
            return Value::Null;
        };
        match decoded(rule, Some(&data), ty) {
            Ok(identity) => {
                if known && !identity.is_wholly_known() {
                    violations.push(Violation::new(
                        rule,
                        "returned an identity with unknown values",
                    ));
                }
                identity
            }
            Err(violation) => {
                violations.push(Violation::new(
                    rule,
                    format!(
                        "an identity that doesn't match the schema: {}",
                        violation.message
                    ),
                ));
                Value::Null
            }
        }
    }

    fn identity_wire(
        &self,
        instance: &Instance,
        identity: &Value,
    ) -> Option<pb::ResourceIdentityData> {
        let ty = self.identities.get(&instance.type_name)?;
        (!identity.is_null()).then(|| pb::ResourceIdentityData {
            identity_data: wire(identity, ty),
        })
    }
}
