//! A resource made of closures, for tests of the engine and of the RPCs.

use std::sync::Arc;

use async_trait::async_trait;
use futures_util::future::BoxFuture;
use serde_json::Value as Json;
use tokio_util::sync::CancellationToken;

use crate::cty::Value;
use crate::framework::resource::{
    CreateRequest, CreateResponse, DeleteRequest, DeleteResponse, Identity, IdentitySchema,
    ImportState, ImportStateRequest, ImportStateResponse, ModifyPlan, ModifyPlanRequest,
    ModifyPlanResponse, MoveState, MoveStateRequest, ReadRequest, ReadResponse, Resource,
    UpdateRequest, UpdateResponse, UpgradeState,
};
use crate::framework::schema::{Nesting, Schema, SemanticEquality};
use crate::framework::{Context, Diagnostic};

use super::walk::{Fields, correlate, nested};

/// An operation that answers by way of its response and may wait.
pub(crate) type Operation<Request, Response> = Box<
    dyn for<'a> Fn(&'a Context<()>, Request, &'a mut Response) -> BoxFuture<'a, ()> + Send + Sync,
>;

/// A resource whose every method is a closure; what is not set does nothing, or is not offered.
#[derive(Default)]
pub(crate) struct FakeResource {
    pub(crate) schema: Schema,
    pub(crate) create: Option<Operation<CreateRequest, CreateResponse>>,
    pub(crate) read: Option<Operation<ReadRequest, ReadResponse>>,
    pub(crate) update: Option<Operation<UpdateRequest, UpdateResponse>>,
    pub(crate) delete: Option<Operation<DeleteRequest, DeleteResponse>>,
    pub(crate) import: Option<Operation<ImportStateRequest, ImportStateResponse>>,
    #[allow(clippy::type_complexity)]
    pub(crate) modify_plan:
        Option<Box<dyn Fn(&ModifyPlanRequest, &mut ModifyPlanResponse) + Send + Sync>>,
    #[allow(clippy::type_complexity)]
    pub(crate) upgrade: Option<Box<dyn Fn(i64, Json) -> Result<Json, Diagnostic> + Send + Sync>>,
    #[allow(clippy::type_complexity)]
    pub(crate) move_state:
        Option<Box<dyn Fn(&MoveStateRequest) -> Result<Option<Value>, Diagnostic> + Send + Sync>>,
    pub(crate) identity: Option<IdentitySchema>,
}

/// An operation that does not wait.
pub(crate) fn now<Request: 'static, Response: Send>(
    body: impl Fn(Request, &mut Response) + Send + Sync + 'static,
) -> Option<Operation<Request, Response>> {
    Some(Box::new(move |_, request, response| {
        body(request, response);
        Box::pin(std::future::ready(()))
    }))
}

/// A context that is not cancelled.
pub(crate) fn context() -> Context<()> {
    Context {
        provider: Arc::new(()),
        cancel: CancellationToken::new(),
    }
}

#[async_trait]
impl Resource<()> for FakeResource {
    fn type_name(&self) -> &'static str {
        "fake_thing"
    }

    fn schema(&self) -> Schema {
        self.schema.clone()
    }

    async fn create(
        &self,
        context: &Context<()>,
        request: CreateRequest,
        response: &mut CreateResponse,
    ) -> Result<(), Diagnostic> {
        if let Some(create) = &self.create {
            create(context, request, response).await;
        }
        Ok(())
    }

    async fn read(
        &self,
        context: &Context<()>,
        request: ReadRequest,
        response: &mut ReadResponse,
    ) -> Result<(), Diagnostic> {
        if let Some(read) = &self.read {
            read(context, request, response).await;
        }
        Ok(())
    }

    async fn update(
        &self,
        context: &Context<()>,
        request: UpdateRequest,
        response: &mut UpdateResponse,
    ) -> Result<(), Diagnostic> {
        if let Some(update) = &self.update {
            update(context, request, response).await;
        }
        Ok(())
    }

    async fn delete(
        &self,
        context: &Context<()>,
        request: DeleteRequest,
        response: &mut DeleteResponse,
    ) -> Result<(), Diagnostic> {
        if let Some(delete) = &self.delete {
            delete(context, request, response).await;
        }
        Ok(())
    }

    fn as_modify_plan(&self) -> Option<&dyn ModifyPlan<()>> {
        self.modify_plan.as_ref().map(|_| self as _)
    }

    fn as_import_state(&self) -> Option<&dyn ImportState<()>> {
        self.import.as_ref().map(|_| self as _)
    }

    fn as_upgrade_state(&self) -> Option<&dyn UpgradeState> {
        self.upgrade.as_ref().map(|_| self as _)
    }

    fn as_move_state(&self) -> Option<&dyn MoveState> {
        self.move_state.as_ref().map(|_| self as _)
    }

    fn as_identity(&self) -> Option<&dyn Identity> {
        self.identity.as_ref().map(|_| self as _)
    }
}

#[async_trait]
impl ModifyPlan<()> for FakeResource {
    async fn modify_plan(
        &self,
        _context: &Context<()>,
        request: &ModifyPlanRequest,
        response: &mut ModifyPlanResponse,
    ) {
        self.modify_plan.as_ref().unwrap()(request, response);
    }
}

#[async_trait]
impl ImportState<()> for FakeResource {
    async fn import_state(
        &self,
        context: &Context<()>,
        request: ImportStateRequest,
        response: &mut ImportStateResponse,
    ) -> Result<(), Diagnostic> {
        self.import.as_ref().unwrap()(context, request, response).await;
        Ok(())
    }
}

impl UpgradeState for FakeResource {
    fn upgrade_state(&self, from: i64, state: Json) -> Result<Json, Diagnostic> {
        self.upgrade.as_ref().unwrap()(from, state)
    }
}

impl MoveState for FakeResource {
    fn move_state(&self, request: &MoveStateRequest) -> Result<Option<Value>, Diagnostic> {
        self.move_state.as_ref().unwrap()(request)
    }
}

impl Identity for FakeResource {
    fn identity_schema(&self) -> IdentitySchema {
        self.identity.clone().unwrap()
    }
}

/// Strings that differ only in case are equal.
#[derive(Debug)]
pub(crate) struct IgnoreCase;

impl SemanticEquality for IgnoreCase {
    fn semantically_equal(&self, prior: &Value, new: &Value) -> bool {
        prior.as_str().map(str::to_lowercase) == new.as_str().map(str::to_lowercase)
    }
}

/// The proposed new state as core makes it: configuration, and prior values for what is computed and not configured.
pub(crate) fn propose(fields: Fields<'_>, prior: &Value, config: &Value) -> Value {
    let Value::Object(entries) = config else {
        return config.clone();
    };
    let mut proposed = entries.clone();
    for attribute in fields.attributes {
        let (prior, config) = (prior.get(attribute.name), config.get(attribute.name));
        let value = match nested(attribute) {
            _ if attribute.computed && config.is_null() => prior.clone(),
            Some((nesting, fields)) => propose_nested(nesting, fields, prior, config),
            None => config.clone(),
        };
        proposed.insert(attribute.name.to_owned(), value);
    }
    for block in fields.blocks {
        let (prior, config) = (prior.get(block.name), config.get(block.name));
        let value = propose_nested(block.nesting, (&block.block).into(), prior, config);
        proposed.insert(block.name.to_owned(), value);
    }
    Value::Object(proposed)
}

fn propose_nested(nesting: Nesting, fields: Fields<'_>, prior: &Value, config: &Value) -> Value {
    match (nesting, config) {
        (Nesting::List, Value::List(items)) => {
            let priors = prior.as_elements().unwrap_or_default();
            let of = |index: usize| priors.get(index).unwrap_or(&Value::Null);
            let items = items.iter().enumerate();
            Value::List(items.map(|(i, c)| propose(fields, of(i), c)).collect())
        }
        (Nesting::Map, Value::Map(items)) => Value::Map(
            items
                .iter()
                .map(|(key, item)| (key.clone(), propose(fields, prior.get(key), item)))
                .collect(),
        ),
        (Nesting::Set, Value::Set(items)) => {
            let priors = prior.as_elements().unwrap_or_default();
            let found = correlate(fields, items, priors);
            let items = items.iter().zip(found).map(|(item, index)| {
                propose(fields, index.map_or(&Value::Null, |i| &priors[i]), item)
            });
            // Core orders the elements of a set by a hash: never rely on the order of the configuration.
            Value::Set(items.rev().collect())
        }
        (Nesting::Single | Nesting::Group, object) => propose(fields, prior, object),
        _ => config.clone(),
    }
}
