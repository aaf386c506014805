//! A provider in memory that keeps every rule, and breaks any one of them on request.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex};

use podidentity::cty::{Path, Step, Type, Value, json, msgpack};
use podidentity::proto::tfplugin6 as pb;
use tonic::{Request, Response, Status};

use crate::schema::{Attribute, Block, Kind, Schema};
use crate::wire::{path_from, serve};

pub(crate) const TYPE_NAME: &str = "fake_thing";

/// Which answer is changed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum At {
    Plan,
    /// The second plan of a replace.
    ReplacePlan,
    DestroyPlan,
    Apply,
    Delete,
    Read,
    Upgrade,
    Import,
}

/// An answer before it goes on the wire.
pub(crate) struct Answer {
    pub(crate) value: Value,
    /// Instead of the schema's type.
    pub(crate) ty: Option<Type>,
    pub(crate) identity: Value,
    pub(crate) identity_ty: Option<Type>,
    pub(crate) replace: Vec<Path>,
    pub(crate) error: bool,
    pub(crate) legacy: bool,
    pub(crate) deferred: bool,
    pub(crate) status: bool,
    /// Of an import: how many resources, and of which type.
    pub(crate) count: usize,
    pub(crate) type_name: String,
}

/// A change of one answer, in the process of that number (the first is 0 and serves the schemas).
#[derive(Clone)]
pub(crate) struct Tamper {
    pub(crate) at: At,
    pub(crate) process: Option<usize>,
    pub(crate) change: Arc<dyn Fn(&mut Answer) + Send + Sync>,
}

/// The provider's objects and its processes.
#[derive(Clone, Default)]
pub(crate) struct World {
    objects: Arc<Mutex<BTreeMap<String, Value>>>,
    processes: Arc<AtomicUsize>,
    tamper: Option<Tamper>,
}

impl World {
    pub(crate) fn tampered(tamper: Tamper) -> Self {
        Self {
            tamper: Some(tamper),
            ..Self::default()
        }
    }

    /// Starts a process.
    pub(crate) fn start(&self) -> tonic::transport::Channel {
        serve(Process {
            number: self.processes.fetch_add(1, Ordering::SeqCst),
            world: self.clone(),
        })
    }

    pub(crate) fn count(&self) -> usize {
        self.objects.lock().unwrap().len()
    }
}

struct Process {
    number: usize,
    world: World,
}

fn text(name: &str) -> pb::schema::Attribute {
    attribute(name, &Type::String)
}

/// Optional until said otherwise.
fn attribute(name: &str, ty: &Type) -> pb::schema::Attribute {
    pb::schema::Attribute {
        name: name.to_owned(),
        r#type: json::type_to_json(ty),
        optional: true,
        ..Default::default()
    }
}

fn computed(mut attribute: pb::schema::Attribute) -> pb::schema::Attribute {
    attribute.optional = false;
    attribute.computed = true;
    attribute
}

fn required(mut attribute: pb::schema::Attribute) -> pb::schema::Attribute {
    attribute.optional = false;
    attribute.required = true;
    attribute
}

fn also_computed(mut attribute: pb::schema::Attribute) -> pb::schema::Attribute {
    attribute.computed = true;
    attribute
}

fn nested(
    name: &str,
    nesting: pb::schema::object::NestingMode,
    attributes: Vec<pb::schema::Attribute>,
) -> pb::schema::Attribute {
    pb::schema::Attribute {
        name: name.to_owned(),
        optional: true,
        nested_type: Some(pb::schema::Object {
            attributes,
            nesting: nesting.into(),
            ..Default::default()
        }),
        ..Default::default()
    }
}

fn nested_block(
    name: &str,
    nesting: pb::schema::nested_block::NestingMode,
    attributes: Vec<pb::schema::Attribute>,
) -> pb::schema::NestedBlock {
    pb::schema::NestedBlock {
        type_name: name.to_owned(),
        nesting: nesting.into(),
        block: Some(pb::schema::Block {
            attributes,
            ..Default::default()
        }),
        ..Default::default()
    }
}

fn wire_schema() -> pb::Schema {
    use pb::schema::nested_block::NestingMode as B;
    use pb::schema::object::NestingMode as A;
    let number = |name: &str| attribute(name, &Type::Number);
    let mut secret = text("secret");
    secret.sensitive = true;
    let mut token = text("token");
    token.write_only = true;
    let attributes = vec![
        required(text("name")),
        number("size"),
        secret,
        token,
        attribute("tags", &Type::map(Type::String)),
        attribute("labels", &Type::set(Type::String)),
        attribute("steps", &Type::list(Type::String)),
        attribute("any", &Type::Dynamic),
        also_computed(text("mode")),
        computed(text("id")),
        nested(
            "rule",
            A::List,
            vec![required(number("port")), computed(text("id"))],
        ),
        nested(
            "zone",
            A::Set,
            vec![required(text("code")), computed(text("id"))],
        ),
        nested("site", A::Map, vec![text("url")]),
        also_computed(nested(
            "owner",
            A::Single,
            vec![text("email"), also_computed(text("note"))],
        )),
    ];
    let block_types = vec![
        nested_block(
            "disk",
            B::List,
            vec![number("size"), computed(text("serial"))],
        ),
        nested_block("door", B::Set, vec![text("color")]),
        nested_block("window", B::Map, vec![text("color")]),
        nested_block("roof", B::Single, vec![text("color")]),
        nested_block("floor", B::Group, vec![text("color")]),
    ];
    pb::Schema {
        version: 1,
        block: Some(pb::schema::Block {
            attributes,
            block_types,
            ..Default::default()
        }),
    }
}

/// The schema of `fake_thing`.
pub(crate) fn schema() -> &'static Schema {
    static SCHEMA: LazyLock<Schema> =
        LazyLock::new(|| Schema::load(TYPE_NAME, &wire_schema()).unwrap());
    &SCHEMA
}

fn identity_type() -> Type {
    Type::object([("id", Type::String)])
}

impl Process {
    fn answer(&self, at: At, value: Value, identity: Value) -> Result<Answer, Status> {
        let mut answer = Answer {
            value,
            ty: None,
            identity,
            identity_ty: None,
            replace: vec![],
            error: false,
            legacy: false,
            deferred: false,
            status: false,
            count: 1,
            type_name: TYPE_NAME.to_owned(),
        };
        if at == At::Plan && answer.value.get("id").is_unknown() {
            answer.identity = Value::object([("id", Value::unknown())]);
        }
        Ok(answer).map(|mut answer| {
            if let Some(tamper) = &self.world.tamper
                && tamper.at == at
                && tamper.process.is_none_or(|number| number == self.number)
            {
                (tamper.change)(&mut answer);
            }
            answer
        })
    }
}

impl Answer {
    fn status(&self) -> Result<(), Status> {
        if self.status {
            Err(Status::internal("broken"))
        } else {
            Ok(())
        }
    }

    fn value(&self) -> Option<pb::DynamicValue> {
        let ty = self.ty.clone().unwrap_or_else(|| schema().block.ty());
        wire(&self.value, &ty)
    }

    fn identity(&self) -> Option<pb::ResourceIdentityData> {
        (!self.identity.is_null()).then(|| pb::ResourceIdentityData {
            identity_data: wire(
                &self.identity,
                &self.identity_ty.clone().unwrap_or_else(identity_type),
            ),
        })
    }

    fn diagnostics(&self) -> Vec<pb::Diagnostic> {
        let error = pb::Diagnostic {
            severity: pb::diagnostic::Severity::Error.into(),
            summary: "Broken".to_owned(),
            ..Default::default()
        };
        if self.error { vec![error] } else { vec![] }
    }

    fn deferred(&self) -> Option<pb::Deferred> {
        self.deferred.then(pb::Deferred::default)
    }
}

fn wire(value: &Value, ty: &Type) -> Option<pb::DynamicValue> {
    Some(pb::DynamicValue {
        msgpack: msgpack::encode(value, ty).unwrap(),
        json: vec![],
    })
}

fn read(value: Option<&pb::DynamicValue>) -> Value {
    value.map_or(Value::Null, |value| {
        msgpack::decode(&value.msgpack, &schema().block.ty()).unwrap()
    })
}

fn wire_path(path: &Path) -> pb::AttributePath {
    use pb::attribute_path::step::Selector;
    let steps = path.steps().iter().map(|step| pb::attribute_path::Step {
        selector: Some(match step {
            Step::Attribute(name) => Selector::AttributeName(name.clone()),
            Step::Key(key) => Selector::ElementKeyString(key.clone()),
            Step::Index(index) => Selector::ElementKeyInt(i64::try_from(*index).unwrap()),
        }),
    });
    let path_message = pb::AttributePath {
        steps: steps.collect(),
    };
    assert_eq!(path_from(&path_message), *path);
    path_message
}

fn identity_of(state: &Value) -> Value {
    if state.is_null() {
        Value::Null
    } else {
        Value::object([("id", state.get("id").clone())])
    }
}

/// The plan: unknown where the provider decides and has not yet, null where nothing may be stored.
fn planned(block: &Block, config: &Value, proposed: &Value) -> Value {
    let mut value = attributes_planned(&block.attributes, config, proposed);
    for nested in &block.blocks {
        let (config, proposed) = (config.get(&nested.name), proposed.get(&nested.name));
        let each = |config: &Value, proposed: &Value| planned(&nested.block, config, proposed);
        value.set(
            nested.name.clone(),
            objects_planned(config, proposed, &each),
        );
    }
    value
}

fn attributes_planned(attributes: &[Attribute], config: &Value, proposed: &Value) -> Value {
    Value::object(attributes.iter().map(|attribute| {
        let (config, proposed) = (config.get(&attribute.name), proposed.get(&attribute.name));
        let value = if attribute.write_only {
            Value::Null
        } else if attribute.computed
            && config.is_null()
            && proposed.is_null()
            && matches!(attribute.kind, Kind::Plain(_))
        {
            if attribute.name == "mode" {
                Value::from("auto")
            } else {
                Value::unknown()
            }
        } else if let Kind::Nested(_, nested) = &attribute.kind {
            let each =
                |config: &Value, proposed: &Value| attributes_planned(nested, config, proposed);
            if config.is_null() {
                proposed.clone()
            } else {
                objects_planned(config, proposed, &each)
            }
        } else {
            proposed.clone()
        };
        (attribute.name.clone(), value)
    }))
}

fn objects_planned(
    config: &Value,
    proposed: &Value,
    each: &dyn Fn(&Value, &Value) -> Value,
) -> Value {
    match proposed {
        Value::Object(_) => each(config, proposed),
        Value::List(items) => {
            let config = config.as_elements().unwrap_or_default();
            let pairs = items.iter().zip(config);
            Value::List(
                pairs
                    .map(|(proposed, config)| each(config, proposed))
                    .collect(),
            )
        }
        // Which configured element a proposed one comes from does not matter: what is null in it was null there.
        Value::Set(items) => Value::set_of(items.iter().map(|proposed| each(proposed, proposed))),
        Value::Map(entries) => Value::Map(
            entries
                .iter()
                .map(|(key, proposed)| (key.clone(), each(config.get(key), proposed)))
                .collect(),
        ),
        _ => proposed.clone(),
    }
}

/// What the provider decides at apply time.
fn decided(planned: &Value) -> Value {
    let name = planned.get("name").as_str().unwrap_or_default().to_owned();
    planned.transform(&mut |path, value| {
        if !value.is_unknown() {
            return None;
        }
        Some(match path.to_string().as_str() {
            "id" => Value::from(format!("id-{name}")),
            path => Value::from(format!("made-{path}")),
        })
    })
}

#[tonic::async_trait]
impl pb::provider_server::Provider for Process {
    async fn get_provider_schema(
        &self,
        _: Request<pb::get_provider_schema::Request>,
    ) -> Result<Response<pb::get_provider_schema::Response>, Status> {
        Ok(Response::new(pb::get_provider_schema::Response {
            provider: Some(pb::Schema {
                version: 0,
                block: Some(pb::schema::Block::default()),
            }),
            resource_schemas: [(TYPE_NAME.to_owned(), wire_schema())].into(),
            server_capabilities: Some(pb::ServerCapabilities {
                plan_destroy: true,
                ..Default::default()
            }),
            ..Default::default()
        }))
    }

    async fn get_resource_identity_schemas(
        &self,
        _: Request<pb::get_resource_identity_schemas::Request>,
    ) -> Result<Response<pb::get_resource_identity_schemas::Response>, Status> {
        let schema = pb::ResourceIdentitySchema {
            version: 0,
            identity_attributes: vec![pb::resource_identity_schema::IdentityAttribute {
                name: "id".to_owned(),
                r#type: br#""string""#.to_vec(),
                required_for_import: true,
                ..Default::default()
            }],
        };
        Ok(Response::new(pb::get_resource_identity_schemas::Response {
            identity_schemas: [(TYPE_NAME.to_owned(), schema)].into(),
            ..Default::default()
        }))
    }

    async fn validate_provider_config(
        &self,
        _: Request<pb::validate_provider_config::Request>,
    ) -> Result<Response<pb::validate_provider_config::Response>, Status> {
        Ok(Response::new(Default::default()))
    }

    async fn configure_provider(
        &self,
        _: Request<pb::configure_provider::Request>,
    ) -> Result<Response<pb::configure_provider::Response>, Status> {
        Ok(Response::new(Default::default()))
    }

    async fn validate_resource_config(
        &self,
        _: Request<pb::validate_resource_config::Request>,
    ) -> Result<Response<pb::validate_resource_config::Response>, Status> {
        Ok(Response::new(Default::default()))
    }

    async fn upgrade_resource_state(
        &self,
        request: Request<pb::upgrade_resource_state::Request>,
    ) -> Result<Response<pb::upgrade_resource_state::Response>, Status> {
        let raw = request.into_inner().raw_state.unwrap_or_default().json;
        let state = json::value_from_json_ignoring_unknown(&raw, &schema().block.ty()).unwrap();
        let answer = self.answer(At::Upgrade, state, Value::Null)?;
        answer.status()?;
        Ok(Response::new(pb::upgrade_resource_state::Response {
            upgraded_state: answer.value(),
            diagnostics: answer.diagnostics(),
        }))
    }

    async fn read_resource(
        &self,
        request: Request<pb::read_resource::Request>,
    ) -> Result<Response<pb::read_resource::Response>, Status> {
        let request = request.into_inner();
        let id = read(request.current_state.as_ref())
            .get("id")
            .as_str()
            .unwrap()
            .to_owned();
        let state = self
            .world
            .objects
            .lock()
            .unwrap()
            .get(&id)
            .cloned()
            .unwrap_or_default();
        let identity = identity_of(&state);
        let answer = self.answer(At::Read, state, identity)?;
        answer.status()?;
        Ok(Response::new(pb::read_resource::Response {
            new_state: answer.value(),
            private: request.private,
            new_identity: answer.identity(),
            deferred: answer.deferred(),
            diagnostics: answer.diagnostics(),
        }))
    }

    async fn plan_resource_change(
        &self,
        request: Request<pb::plan_resource_change::Request>,
    ) -> Result<Response<pb::plan_resource_change::Response>, Status> {
        let request = request.into_inner();
        let (prior, config) = (
            read(request.prior_state.as_ref()),
            read(request.config.as_ref()),
        );
        let proposed = read(request.proposed_new_state.as_ref());
        let second = prior.is_null() && !request.prior_private.is_empty();
        let answer = if proposed.is_null() {
            self.answer(At::DestroyPlan, Value::Null, identity_of(&prior))?
        } else {
            let plan = planned(&schema().block, &config, &proposed);
            let mut replace = vec![];
            if !prior.is_null() && prior.get("name") != plan.get("name") {
                replace.push(Path::from("name"));
            }
            let identity = identity_of(&plan);
            let at = if second { At::ReplacePlan } else { At::Plan };
            let mut answer = self.answer(at, plan, identity)?;
            answer.replace.append(&mut replace);
            answer
        };
        answer.status()?;
        Ok(Response::new(pb::plan_resource_change::Response {
            planned_state: answer.value(),
            requires_replace: answer.replace.iter().map(wire_path).collect(),
            planned_private: b"planned".to_vec(),
            planned_identity: answer.identity(),
            deferred: answer.deferred(),
            legacy_type_system: answer.legacy,
            diagnostics: answer.diagnostics(),
        }))
    }

    async fn apply_resource_change(
        &self,
        request: Request<pb::apply_resource_change::Request>,
    ) -> Result<Response<pb::apply_resource_change::Response>, Status> {
        let request = request.into_inner();
        let (prior, plan) = (
            read(request.prior_state.as_ref()),
            read(request.planned_state.as_ref()),
        );
        let answer = if plan.is_null() {
            let id = prior.get("id").as_str().unwrap().to_owned();
            self.world.objects.lock().unwrap().remove(&id);
            self.answer(At::Delete, Value::Null, Value::Null)?
        } else {
            let state = decided(&plan);
            let id = state.get("id").as_str().unwrap().to_owned();
            self.world.objects.lock().unwrap().insert(id, state.clone());
            let identity = identity_of(&state);
            self.answer(At::Apply, state, identity)?
        };
        answer.status()?;
        Ok(Response::new(pb::apply_resource_change::Response {
            new_state: answer.value(),
            private: request.planned_private,
            new_identity: answer.identity(),
            legacy_type_system: answer.legacy,
            diagnostics: answer.diagnostics(),
        }))
    }

    async fn import_resource_state(
        &self,
        request: Request<pb::import_resource_state::Request>,
    ) -> Result<Response<pb::import_resource_state::Response>, Status> {
        let request = request.into_inner();
        let id = match request.identity.and_then(|i| i.identity_data) {
            Some(data) => {
                let identity = msgpack::decode(&data.msgpack, &identity_type()).unwrap();
                identity.get("id").as_str().unwrap().to_owned()
            }
            None => request.id,
        };
        let mut state = schema().block.empty();
        state.set("id", Value::from(id));
        let identity = identity_of(&state);
        let answer = self.answer(At::Import, state, identity)?;
        answer.status()?;
        let imported = pb::import_resource_state::ImportedResource {
            type_name: answer.type_name.clone(),
            state: answer.value(),
            private: vec![],
            identity: answer.identity(),
        };
        Ok(Response::new(pb::import_resource_state::Response {
            imported_resources: vec![imported; answer.count],
            diagnostics: answer.diagnostics(),
            deferred: answer.deferred(),
        }))
    }
}
