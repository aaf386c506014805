//! Over the generated service and client, without a socket: what core sends and gets, byte for byte.

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::{Notify, mpsc};
use tokio_stream::StreamExt as _;

mod extras;

use super::*;
use crate::cty::{Path, Type, Value, msgpack};
use crate::framework::action::Action;
use crate::framework::data_source::{DataSource, ReadDataSourceRequest, ReadDataSourceResponse};
use crate::framework::engine::ObjectSchema;
use crate::framework::engine::fake::{FakeResource, now, propose};
use crate::framework::ephemeral::{EphemeralResource, OpenResponse, RenewResponse};
use crate::framework::function::{Function, FunctionDefinition, FunctionError, Parameter};
use crate::framework::list_resource::{ListEvent, ListRequest, ListResource};
use crate::framework::provider::ConfigureRequest;
use crate::framework::resource::{
    CreateRequest, CreateResponse, IdentityAttribute, IdentitySchema, ImportStateRequest,
    ImportStateResponse, ReadRequest, ReadResponse, Resource, UpdateRequest, UpdateResponse,
};
use crate::framework::schema::{Attribute, Schema};
use crate::framework::{Private, validators};

use tf::invoke_action::event::Type as EventType;
use tf::provider_client::ProviderClient;
use tf::provider_server::ProviderServer;

const TYPE: &str = "fake_thing";

type Client = ProviderClient<ProviderServer<Server<FakeProvider>>>;

/// A provider made of closures and counters.
#[derive(Default)]
struct FakeProvider {
    resource: Arc<FakeResource>,
    #[allow(clippy::type_complexity)]
    configure: Option<Box<dyn Fn(ConfigureRequest, &mut Diagnostics) -> bool + Send + Sync>>,
    extras: bool,
}

#[tonic::async_trait]
impl Provider for FakeProvider {
    type Data = ();

    fn schema(&self) -> Schema {
        Schema::new("A provider.").attribute(
            Attribute::string("region", "Where.")
                .optional()
                .validate(validators::one_of(["here", "there"])),
        )
    }

    fn validate_config(&self, config: &Value, diagnostics: &mut Diagnostics) {
        if config.get("region").as_str() == Some("there") {
            diagnostics.attribute_error("region", "Across", "not there");
        }
    }

    async fn configure(
        &self,
        request: ConfigureRequest,
        diagnostics: &mut Diagnostics,
    ) -> Option<Arc<()>> {
        self.configure
            .as_ref()
            .is_none_or(|configure| configure(request, diagnostics))
            .then(Arc::default)
    }

    fn resources(&self) -> Vec<Arc<dyn Resource<()>>> {
        vec![self.resource.clone()]
    }

    fn data_sources(&self) -> Vec<Arc<dyn DataSource<()>>> {
        if self.extras {
            vec![Arc::new(extras::Extra)]
        } else {
            Vec::new()
        }
    }

    fn functions(&self) -> Vec<Arc<dyn Function>> {
        if self.extras {
            vec![Arc::new(extras::Extra)]
        } else {
            Vec::new()
        }
    }

    fn ephemeral_resources(&self) -> Vec<Arc<dyn EphemeralResource<()>>> {
        if self.extras {
            vec![Arc::new(extras::Extra)]
        } else {
            Vec::new()
        }
    }

    fn list_resources(&self) -> Vec<Arc<dyn ListResource<()>>> {
        if self.extras {
            vec![Arc::new(extras::Extra)]
        } else {
            Vec::new()
        }
    }

    fn actions(&self) -> Vec<Arc<dyn Action<()>>> {
        if self.extras {
            vec![Arc::new(extras::Extra)]
        } else {
            Vec::new()
        }
    }
}

fn client(provider: FakeProvider) -> Client {
    ProviderClient::new(ProviderServer::new(Server::new(
        provider,
        "registry.example.com/fake/fake",
    )))
}

/// A client of a configured provider with this one resource.
async fn configured(resource: FakeResource) -> Client {
    let mut client = client(FakeProvider {
        resource: Arc::new(resource),
        ..FakeProvider::default()
    });
    let response = client.configure_provider(configure("here")).await.unwrap();
    assert_eq!(response.into_inner().diagnostics, []);
    client
}

fn configure(region: &str) -> tf::configure_provider::Request {
    let ty = Type::object([("region", Type::String)]);
    tf::configure_provider::Request {
        terraform_version: "1.15.0".to_owned(),
        config: Some(pack(&Value::object([("region", Value::from(region))]), &ty)),
        client_capabilities: None,
    }
}

fn schema() -> Schema {
    Schema::new("A thing.")
        .attribute(
            Attribute::string("name", "Name.")
                .required()
                .requires_replace(),
        )
        .attribute(Attribute::string("colour", "Colour.").default("red"))
        .attribute(
            Attribute::string("id", "Id.")
                .computed()
                .use_state_for_unknown(),
        )
        .attribute(Attribute::string("status", "Status.").computed())
}

fn ty() -> Type {
    schema().ty()
}

fn thing(name: &str, colour: Value, id: Value, status: Value) -> Value {
    Value::object([
        ("name", Value::from(name)),
        ("colour", colour),
        ("id", id),
        ("status", status),
    ])
}

fn config(name: &str, colour: Value) -> Value {
    thing(name, colour, Value::Null, Value::Null)
}

fn pack(value: &Value, ty: &Type) -> tf::DynamicValue {
    tf::DynamicValue {
        msgpack: msgpack::encode(value, ty).unwrap(),
        json: Vec::new(),
    }
}

fn unpack(value: Option<tf::DynamicValue>, ty: &Type) -> Value {
    msgpack::decode(&value.unwrap().msgpack, ty).unwrap()
}

fn summaries(diagnostics: &[tf::Diagnostic]) -> Vec<&str> {
    diagnostics.iter().map(|d| d.summary.as_str()).collect()
}

fn paths(diagnostics: &[tf::Diagnostic]) -> Vec<Option<tf::AttributePath>> {
    diagnostics.iter().map(|d| d.attribute.clone()).collect()
}

async fn plan(
    client: &mut Client,
    prior: &Value,
    config: &Value,
) -> tf::plan_resource_change::Response {
    let schema = schema();
    let request = tf::plan_resource_change::Request {
        type_name: TYPE.to_owned(),
        prior_state: Some(pack(prior, &ty())),
        proposed_new_state: Some(pack(&propose((&schema.block).into(), prior, config), &ty())),
        config: Some(pack(config, &ty())),
        ..Default::default()
    };
    client
        .plan_resource_change(request)
        .await
        .unwrap()
        .into_inner()
}

fn apply(
    prior: &Value,
    planned: Option<tf::DynamicValue>,
    config: &Value,
) -> tf::apply_resource_change::Request {
    tf::apply_resource_change::Request {
        type_name: TYPE.to_owned(),
        prior_state: Some(pack(prior, &ty())),
        planned_state: planned,
        config: Some(pack(config, &ty())),
        ..Default::default()
    }
}

/// Remembers nothing: the state has all.
fn well_behaved() -> FakeResource {
    FakeResource {
        schema: schema(),
        create: now(|request: CreateRequest, response: &mut CreateResponse| {
            response.state = request.planned_state;
            response.state.set("id", "id-1".into());
            response.state.set("status", "new".into());
            response.private.set("made", true);
        }),
        read: now(|_: ReadRequest, response: &mut ReadResponse| {
            response.state.set("status", "ready".into());
        }),
        update: now(|request: UpdateRequest, response: &mut UpdateResponse| {
            response.state = request.planned_state;
            response.state.set("status", "changed".into());
        }),
        import: now(
            |request: ImportStateRequest, response: &mut ImportStateResponse| {
                response.state.set("id", request.id.into());
            },
        ),
        ..FakeResource::default()
    }
}

#[tokio::test]
async fn the_life_of_a_resource() {
    let mut client = configured(well_behaved()).await;

    // Create.
    let wanted = config("a", Value::Null);
    let planned = plan(&mut client, &Value::Null, &wanted).await;
    assert_eq!(
        unpack(planned.planned_state.clone(), &ty()),
        thing("a", "red".into(), Value::unknown(), Value::unknown())
    );
    let created = client
        .apply_resource_change(apply(&Value::Null, planned.planned_state, &wanted))
        .await
        .unwrap()
        .into_inner();
    let state = thing("a", "red".into(), "id-1".into(), "new".into());
    assert_eq!(unpack(created.new_state, &ty()), state);
    assert_eq!(created.private, br#"{"made":true}"#);
    assert_eq!(created.diagnostics, []);

    // Saved state comes back as JSON, then is refreshed.
    let upgraded = client
        .upgrade_resource_state(tf::upgrade_resource_state::Request {
            type_name: TYPE.to_owned(),
            version: 0,
            raw_state: Some(tf::RawState {
                json: br#"{"name":"a","colour":"red","id":"id-1","status":"new"}"#.to_vec(),
                ..Default::default()
            }),
        })
        .await
        .unwrap()
        .into_inner();
    assert_eq!(unpack(upgraded.upgraded_state.clone(), &ty()), state);
    let read = client
        .read_resource(tf::read_resource::Request {
            type_name: TYPE.to_owned(),
            current_state: upgraded.upgraded_state,
            private: br#"{"made":true}"#.to_vec(),
            ..Default::default()
        })
        .await
        .unwrap()
        .into_inner();
    let state = thing("a", "red".into(), "id-1".into(), "ready".into());
    assert_eq!(unpack(read.new_state, &ty()), state);
    assert_eq!(read.private, br#"{"made":true}"#);

    // Nothing to do; update in place; replace.
    let noop = plan(&mut client, &state, &wanted).await;
    assert_eq!(unpack(noop.planned_state, &ty()), state);
    let blue = config("a", "blue".into());
    let update = plan(&mut client, &state, &blue).await;
    assert_eq!(
        unpack(update.planned_state.clone(), &ty()),
        thing("a", "blue".into(), "id-1".into(), Value::unknown())
    );
    assert_eq!(update.requires_replace, []);
    let updated = client
        .apply_resource_change(apply(&state, update.planned_state, &blue))
        .await
        .unwrap()
        .into_inner();
    let state = thing("a", "blue".into(), "id-1".into(), "changed".into());
    assert_eq!(unpack(updated.new_state, &ty()), state);
    let replace = plan(&mut client, &state, &config("b", "blue".into())).await;
    assert_eq!(
        replace.requires_replace,
        [convert::attribute_path(&Path::from("name"))]
    );

    // Destroy.
    let destroy = plan(&mut client, &state, &Value::Null).await;
    assert_eq!(unpack(destroy.planned_state.clone(), &ty()), Value::Null);
    let deleted = client
        .apply_resource_change(apply(&state, destroy.planned_state, &Value::Null))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(unpack(deleted.new_state, &ty()), Value::Null);
    assert_eq!(deleted.diagnostics, []);

    // Import, and configuration from state.
    let imported = client
        .import_resource_state(tf::import_resource_state::Request {
            type_name: TYPE.to_owned(),
            id: "id-9".to_owned(),
            ..Default::default()
        })
        .await
        .unwrap()
        .into_inner();
    let [resource] = &imported.imported_resources[..] else {
        panic!("one resource (I1): {imported:?}");
    };
    assert_eq!(resource.type_name, TYPE);
    assert_eq!(
        unpack(resource.state.clone(), &ty()).get("id").as_str(),
        Some("id-9")
    );
    let generated = client
        .generate_resource_config(tf::generate_resource_config::Request {
            type_name: TYPE.to_owned(),
            state: Some(pack(&state, &ty())),
        })
        .await
        .unwrap()
        .into_inner();
    assert_eq!(unpack(generated.config, &ty()), config("a", "blue".into()));
}

#[tokio::test]
async fn validation_names_the_attribute() {
    let mut client = client(FakeProvider {
        resource: Arc::new(FakeResource {
            schema: Schema::new("").attribute(
                Attribute::string("name", "")
                    .required()
                    .validate(validators::length_at_most(3)),
            ),
            ..FakeResource::default()
        }),
        ..FakeProvider::default()
    });
    let name = Type::object([("name", Type::String)]);
    let response = client
        .validate_resource_config(tf::validate_resource_config::Request {
            type_name: TYPE.to_owned(),
            config: Some(pack(&Value::object([("name", Value::from("long"))]), &name)),
            client_capabilities: None,
        })
        .await
        .unwrap()
        .into_inner();
    assert_eq!(
        paths(&response.diagnostics),
        [Some(convert::attribute_path(&Path::from("name")))]
    );

    for (region, expected) in [
        ("here", vec![]),
        ("there", vec!["Across"]),
        ("elsewhere", vec!["Invalid attribute value"]),
    ] {
        let response = client
            .validate_provider_config(tf::validate_provider_config::Request {
                config: configure(region).config,
            })
            .await
            .unwrap()
            .into_inner();
        assert_eq!(summaries(&response.diagnostics), expected, "{region}");
    }
}

#[tokio::test]
async fn a_panic_keeps_what_is_known_and_the_server_serves_on() {
    let mut client = configured(FakeResource {
        create: now(|request: CreateRequest, response: &mut CreateResponse| {
            response.state = request.planned_state;
            response.state.set("id", "id-1".into());
            panic!("hunter2");
        }),
        ..well_behaved()
    })
    .await;
    let wanted = config("a", Value::Null);
    for attempt in 0..2 {
        let planned = plan(&mut client, &Value::Null, &wanted).await;
        let created = client
            .apply_resource_change(apply(&Value::Null, planned.planned_state, &wanted))
            .await
            .unwrap()
            .into_inner();
        assert_eq!(
            unpack(created.new_state, &ty()),
            thing("a", "red".into(), "id-1".into(), Value::Null),
            "attempt {attempt}"
        );
        assert_eq!(summaries(&created.diagnostics), ["Provider crashed"]);
        assert!(!format!("{:?}", created.diagnostics).contains("hunter2"));
    }
}

#[tokio::test]
async fn stop_ends_what_is_in_flight_and_nothing_else() {
    let started = Arc::new(Notify::new());
    let in_create = Arc::clone(&started);
    let mut client = configured(FakeResource {
        create: Some(Box::new(move |context, request, response| {
            let started = Arc::clone(&in_create);
            Box::pin(async move {
                response.state = request.planned_state;
                response.state.set("id", "id-1".into());
                started.notify_one();
                // An object that never gets ready.
                context.cancel.cancelled().await;
                response.diagnostics.error("Interrupted", "");
            })
        })),
        ..well_behaved()
    })
    .await;
    let wanted = config("a", Value::Null);
    // Twice: the second create must not be born cancelled.
    for attempt in 0..2 {
        let planned = plan(&mut client, &Value::Null, &wanted).await;
        let request = apply(&Value::Null, planned.planned_state, &wanted);
        let mut creating = client.clone();
        let create = tokio::spawn(async move { creating.apply_resource_change(request).await });
        started.notified().await;
        assert!(!create.is_finished(), "attempt {attempt}");

        let stopped = client
            .stop_provider(tf::stop_provider::Request {})
            .await
            .unwrap()
            .into_inner();
        assert_eq!(stopped.error, "");
        let created = create.await.unwrap().unwrap().into_inner();
        assert_eq!(
            unpack(created.new_state, &ty()),
            thing("a", "red".into(), "id-1".into(), Value::Null),
            "attempt {attempt}"
        );
        assert_eq!(summaries(&created.diagnostics), ["Interrupted"]);
    }
}

#[tokio::test]
async fn apply_always_answers_with_a_state() {
    let mut client = configured(well_behaved()).await;
    let state = thing("a", "red".into(), "id-1".into(), "new".into());
    let broken = tf::DynamicValue {
        msgpack: vec![0xc1],
        json: Vec::new(),
    };
    let no_such_type = tf::apply_resource_change::Request {
        type_name: "fake_other".to_owned(),
        ..apply(&state, Some(pack(&state, &ty())), &state)
    };
    for (name, request, expected) in [
        (
            "a broken plan",
            apply(&state, Some(broken.clone()), &state),
            state.clone(),
        ),
        (
            "a broken plan of a new object",
            apply(&Value::Null, Some(broken), &state),
            Value::Null,
        ),
        ("an unknown type", no_such_type, state.clone()),
        (
            "broken private state",
            tf::apply_resource_change::Request {
                planned_private: b"[]".to_vec(),
                ..apply(&state, Some(pack(&state, &ty())), &state)
            },
            state.clone(),
        ),
    ] {
        let private = request.planned_private.clone();
        let response = client
            .apply_resource_change(request)
            .await
            .unwrap()
            .into_inner();
        assert_eq!(unpack(response.new_state, &ty()), expected, "{name}");
        assert_eq!(response.private, private, "{name}");
        assert_eq!(response.diagnostics.len(), 1, "{name}");
    }
}

#[tokio::test]
async fn configuring_can_fail_and_be_repeated() {
    let mut client = client(FakeProvider {
        resource: Arc::new(well_behaved()),
        configure: Some(Box::new(|request, diagnostics| {
            assert_eq!(request.terraform_version, "1.15.0");
            match request.config.get("region").as_str() {
                Some("error") => diagnostics.attribute_error("region", "Refused", ""),
                Some("warning") => diagnostics.warning("Careful", ""),
                Some("panic") => panic!("boom"),
                Some("nothing") => return false,
                _ => {}
            }
            true
        })),
        ..FakeProvider::default()
    });
    let wanted = config("a", Value::Null);
    let before = plan(&mut client, &Value::Null, &wanted).await;
    assert_eq!(summaries(&before.diagnostics), ["Provider not configured"]);
    for (region, expected) in [
        ("here", vec![]),
        ("error", vec!["Refused"]),
        ("warning", vec!["Careful"]),
        ("panic", vec!["Provider crashed"]),
        ("here", vec![]),
        ("nothing", vec!["Provider bug"]),
    ] {
        let response = client
            .configure_provider(configure(region))
            .await
            .unwrap()
            .into_inner();
        assert_eq!(summaries(&response.diagnostics), expected, "{region}");
        let planned = plan(&mut client, &Value::Null, &wanted).await;
        let works = matches!(region, "here" | "warning");
        assert_eq!(planned.diagnostics.is_empty(), works, "{region}");
    }
}

#[tokio::test]
async fn unknown_types_are_diagnostics() {
    let mut client = configured(well_behaved()).await;
    /// Calls the RPC with a type name that nobody has.
    macro_rules! refused {
        ($($rpc:ident.$field:ident)+) => { $(
            let request = tf::$rpc::Request {
                $field: "fake_nothing".to_owned(),
                ..Default::default()
            };
            let response = client.$rpc(request).await.unwrap().into_inner();
            let [diagnostic] = &response.diagnostics[..] else {
                panic!("{}: {response:?}", stringify!($rpc));
            };
            assert_eq!(diagnostic.severity, 1, "{}", stringify!($rpc));
            assert!(diagnostic.summary.starts_with("No such"), "{diagnostic:?}");
            assert!(diagnostic.detail.contains("\"fake_nothing\""), "{diagnostic:?}");
        )+ };
    }
    refused! {
        validate_resource_config.type_name
        upgrade_resource_state.type_name
        upgrade_resource_identity.type_name
        read_resource.type_name
        plan_resource_change.type_name
        apply_resource_change.type_name
        import_resource_state.type_name
        move_resource_state.target_type_name
        generate_resource_config.type_name
        validate_data_resource_config.type_name
        read_data_source.type_name
        validate_ephemeral_resource_config.type_name
        open_ephemeral_resource.type_name
        renew_ephemeral_resource.type_name
        close_ephemeral_resource.type_name
        validate_list_resource_config.type_name
        validate_action_config.type_name
        plan_action.action_type
    }
    let function = client
        .call_function(tf::call_function::Request {
            name: "nothing".to_owned(),
            arguments: Vec::new(),
        })
        .await
        .unwrap()
        .into_inner();
    assert!(function.error.unwrap().text.contains("\"nothing\""));
}

#[tokio::test]
async fn capabilities_tell_the_truth() {
    for (name, resource, moves) in [
        ("plain", well_behaved(), false),
        (
            "with moves",
            FakeResource {
                move_state: Some(Box::new(|_| Ok(None))),
                ..well_behaved()
            },
            true,
        ),
    ] {
        let mut client = configured(resource).await;
        let schema = client
            .get_provider_schema(tf::get_provider_schema::Request {})
            .await
            .unwrap()
            .into_inner();
        let metadata = client
            .get_metadata(tf::get_metadata::Request {})
            .await
            .unwrap()
            .into_inner();
        let expected = tf::ServerCapabilities {
            plan_destroy: true,
            get_provider_schema_optional: true,
            move_resource_state: moves,
            generate_resource_config: true,
        };
        assert_eq!(schema.server_capabilities, Some(expected), "{name}");
        assert_eq!(metadata.server_capabilities, Some(expected), "{name}");
        assert!(schema.provider.unwrap().block.is_some());
        assert_eq!(Vec::from_iter(schema.resource_schemas.keys()), [TYPE]);
        assert_eq!(metadata.resources[0].type_name, TYPE);
        let identities = client
            .get_resource_identity_schemas(tf::get_resource_identity_schemas::Request {})
            .await
            .unwrap()
            .into_inner();
        assert!(identities.identity_schemas.is_empty());
    }
}

#[test]
fn schemas_are_built_once_and_only_when_needed() {
    static BUILT: AtomicUsize = AtomicUsize::new(0);
    struct Counted;
    #[tonic::async_trait]
    impl DataSource<()> for Counted {
        fn type_name(&self) -> &'static str {
            "counted"
        }
        fn schema(&self) -> Schema {
            BUILT.fetch_add(1, Ordering::SeqCst);
            Schema::new("")
        }
        async fn read(
            &self,
            _: &Context<()>,
            _: ReadDataSourceRequest,
            _: &mut ReadDataSourceResponse,
        ) {
        }
    }
    let entry = registry::Entry::<dyn DataSource<()>>::from(Arc::new(Counted) as Arc<_>);
    assert_eq!(BUILT.load(Ordering::SeqCst), 0);
    for _ in 0..3 {
        let _: &ObjectSchema = entry.schema();
    }
    assert_eq!(BUILT.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn identities_travel_only_where_declared() {
    let id = Type::object([("id", Type::String)]);
    let mut client = client(FakeProvider {
        resource: Arc::new(FakeResource {
            create: now(|request: CreateRequest, response: &mut CreateResponse| {
                response.state = request.planned_state;
                response.state.set("id", "id-1".into());
                response.state.set("status", "new".into());
                response.identity = Value::object([("id", Value::from("id-1"))]);
            }),
            identity: Some(IdentitySchema {
                version: 0,
                attributes: vec![IdentityAttribute {
                    name: "id",
                    ty: Type::String,
                    description: String::new(),
                    required_for_import: true,
                }],
            }),
            ..well_behaved()
        }),
        ..FakeProvider::default()
    });
    client.configure_provider(configure("here")).await.unwrap();
    let schemas = client
        .get_resource_identity_schemas(tf::get_resource_identity_schemas::Request {})
        .await
        .unwrap()
        .into_inner();
    assert_eq!(
        schemas.identity_schemas[TYPE].identity_attributes[0].name,
        "id"
    );

    let wanted = config("a", Value::Null);
    let planned = plan(&mut client, &Value::Null, &wanted).await;
    assert_eq!(planned.planned_identity, None);
    let created = client
        .apply_resource_change(apply(&Value::Null, planned.planned_state, &wanted))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(created.diagnostics, []);
    let identity = created.new_identity.clone().unwrap();
    assert_eq!(
        unpack(identity.identity_data, &id),
        Value::object([("id", Value::from("id-1"))])
    );
    let read = client
        .read_resource(tf::read_resource::Request {
            type_name: TYPE.to_owned(),
            current_state: created.new_state,
            current_identity: created.new_identity.clone(),
            ..Default::default()
        })
        .await
        .unwrap()
        .into_inner();
    assert_eq!(read.new_identity, created.new_identity, "R4");
    let upgraded = client
        .upgrade_resource_identity(tf::upgrade_resource_identity::Request {
            type_name: TYPE.to_owned(),
            version: 0,
            raw_identity: None,
        })
        .await
        .unwrap()
        .into_inner();
    assert_eq!(upgraded.diagnostics, []);
    assert!(upgraded.upgraded_identity.is_some());
}

#[tokio::test]
async fn the_plan_at_apply_time_sees_what_the_first_one_kept() {
    let mut client = configured(FakeResource {
        modify_plan: Some(Box::new(|request, response| {
            let first = request.planned_private.as_ref();
            let kept = first.and_then(|private| private.get("resolved")).cloned();
            response
                .planned_private
                .set("resolved", kept.unwrap_or_else(|| "now".into()));
        })),
        ..well_behaved()
    })
    .await;
    let wanted = config("a", Value::Null);
    for (planned_private, expected) in [
        ("", r#"{"resolved":"now"}"#),
        (r#"{"resolved":"before"}"#, r#"{"resolved":"before"}"#),
    ] {
        let request = tf::plan_resource_change::Request {
            type_name: TYPE.to_owned(),
            proposed_new_state: Some(pack(&wanted, &ty())),
            config: Some(pack(&wanted, &ty())),
            planned_private: planned_private.as_bytes().to_vec(),
            ..Default::default()
        };
        let planned = client
            .plan_resource_change(request)
            .await
            .unwrap()
            .into_inner();
        assert_eq!(planned.diagnostics, []);
        assert_eq!(planned.planned_private, expected.as_bytes());
    }
}
