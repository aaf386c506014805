//! Everything but managed resources: data sources, functions, ephemeral and list resources, actions.

use super::*;

/// One of everything that is not a managed resource.
pub(super) struct Extra;

fn text_schema() -> Schema {
    Schema::new("Extra.")
        .attribute(Attribute::string("in", "In.").required())
        .attribute(Attribute::string("out", "Out.").computed())
}

fn text(input: &str, output: Value) -> Value {
    Value::object([("in", Value::from(input)), ("out", output)])
}

#[tonic::async_trait]
impl DataSource<()> for Extra {
    fn type_name(&self) -> &'static str {
        TYPE
    }

    fn schema(&self) -> Schema {
        text_schema()
    }

    async fn read(
        &self,
        _: &Context<()>,
        request: ReadDataSourceRequest,
        response: &mut ReadDataSourceResponse,
    ) {
        match request.config.get("in").as_str() {
            Some("null") => response.state = Value::Null,
            Some("unknown") => response.state.set("out", Value::unknown()),
            Some("panic") => panic!("boom"),
            _ => response.state.set("out", "done".into()),
        }
    }
}

#[tonic::async_trait]
impl EphemeralResource<()> for Extra {
    fn type_name(&self) -> &'static str {
        TYPE
    }

    fn schema(&self) -> Schema {
        text_schema()
    }

    async fn open(&self, _: &Context<()>, _: Value, response: &mut OpenResponse) {
        response.result.set("out", "open".into());
        response.private.set("lease", 1);
        response.renew_at = Some(std::time::UNIX_EPOCH + std::time::Duration::from_secs(60));
    }

    async fn renew(&self, _: &Context<()>, response: &mut RenewResponse) {
        response.private.set("lease", 2);
    }

    async fn close(&self, _: &Context<()>, private: Private) -> Diagnostics {
        Diagnostic::warning("Closed", private.get("lease").unwrap().to_string()).into()
    }
}

#[tonic::async_trait]
impl ListResource<()> for Extra {
    fn type_name(&self) -> &'static str {
        TYPE
    }

    fn schema(&self) -> Schema {
        text_schema()
    }

    async fn list(&self, _: &Context<()>, request: ListRequest, events: mpsc::Sender<ListEvent>) {
        for number in 0..request.limit {
            let event = ListEvent {
                identity: Value::object([("id", format!("id-{number}").into())]),
                display_name: format!("thing {number}"),
                resource: request
                    .include_resource
                    .then(|| thing("a", "red".into(), Value::Null, Value::Null)),
                ..ListEvent::default()
            };
            if events.send(event).await.is_err() {
                return;
            }
        }
        if request.config.get("in").as_str() == Some("panic") {
            panic!("boom");
        }
    }
}

#[tonic::async_trait]
impl Action<()> for Extra {
    fn type_name(&self) -> &'static str {
        TYPE
    }

    fn schema(&self) -> Schema {
        text_schema()
    }

    async fn plan(&self, _: &Context<()>, config: Value) -> Diagnostics {
        match config.get("in") {
            Value::Unknown(_) => Diagnostics::new(),
            _ => Diagnostic::warning("Planned", "").into(),
        }
    }

    async fn invoke(
        &self,
        _: &Context<()>,
        config: Value,
        progress: mpsc::Sender<String>,
    ) -> Diagnostics {
        for line in ["one", "two"] {
            progress.send(line.to_owned()).await.unwrap();
        }
        match config.get("in").as_str() {
            Some("panic") => panic!("boom"),
            Some("fail") => Diagnostic::error("Failed", "").at("in").into(),
            _ => Diagnostics::new(),
        }
    }
}

impl Function for Extra {
    fn name(&self) -> &'static str {
        "join"
    }

    fn definition(&self) -> FunctionDefinition {
        let parameter = |name| Parameter {
            name,
            ty: Type::String,
            description: String::new(),
            allow_null: false,
            allow_unknown: false,
        };
        FunctionDefinition {
            parameters: vec![parameter("first")],
            variadic_parameter: Some(parameter("rest")),
            result: Type::String,
            summary: String::new(),
            description: String::new(),
        }
    }

    fn call(&self, arguments: &[Value]) -> Result<Value, FunctionError> {
        let texts: Vec<&str> = arguments.iter().filter_map(Value::as_str).collect();
        match texts.iter().position(|t| *t == "bad") {
            Some(position) => Err(FunctionError {
                text: "bad".to_owned(),
                argument: Some(position),
            }),
            None if texts.contains(&"panic") => panic!("boom"),
            None => Ok(texts.join("-").into()),
        }
    }
}

async fn with_extras() -> Client {
    let mut client = client(FakeProvider {
        resource: Arc::new(FakeResource {
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
        extras: true,
        ..FakeProvider::default()
    });
    client.configure_provider(configure("here")).await.unwrap();
    client
}

#[tokio::test]
async fn data_sources() {
    let mut client = with_extras().await;
    let ty = text_schema().ty();
    for (input, expected, diagnostics) in [
        ("x", text("x", "done".into()), vec![]),
        ("null", Value::Null, vec!["Provider bug"]),
        (
            "unknown",
            text("unknown", Value::Null),
            vec!["Provider bug"],
        ),
        (
            "panic",
            text("panic", Value::Null),
            vec!["Provider crashed"],
        ),
    ] {
        let response = client
            .read_data_source(tf::read_data_source::Request {
                type_name: TYPE.to_owned(),
                config: Some(pack(&text(input, Value::Null), &ty)),
                ..Default::default()
            })
            .await
            .unwrap()
            .into_inner();
        assert_eq!(unpack(response.state, &ty), expected, "{input}");
        assert_eq!(summaries(&response.diagnostics), diagnostics, "{input}");
    }
}

#[tokio::test]
async fn functions() {
    let mut client = with_extras().await;
    let functions = client
        .get_functions(tf::get_functions::Request {})
        .await
        .unwrap()
        .into_inner()
        .functions;
    assert!(functions["join"].r#return.is_some());
    let error = |text: &str, function_argument| {
        Err(tf::FunctionError {
            text: text.to_owned(),
            function_argument,
        })
    };
    for (arguments, expected) in [
        (vec!["a"], Ok(Value::from("a"))),
        (vec!["a", "b", "c"], Ok(Value::from("a-b-c"))),
        (vec!["a", "bad"], error("bad", Some(1))),
        (vec![], error("not enough arguments", None)),
    ] {
        let response = client
            .call_function(tf::call_function::Request {
                name: "join".to_owned(),
                arguments: arguments
                    .iter()
                    .map(|a| pack(&Value::from(*a), &Type::String))
                    .collect(),
            })
            .await
            .unwrap()
            .into_inner();
        let result = match response.error {
            Some(error) => Err(error),
            None => Ok(unpack(response.result, &Type::String)),
        };
        assert_eq!(result, expected, "{arguments:?}");
    }
    let crashed = client
        .call_function(tf::call_function::Request {
            name: "join".to_owned(),
            arguments: vec![pack(&Value::from("panic"), &Type::String)],
        })
        .await
        .unwrap()
        .into_inner();
    assert!(crashed.error.unwrap().text.contains("crashed"));
}

#[tokio::test]
async fn ephemeral_resources() {
    let mut client = with_extras().await;
    let ty = text_schema().ty();
    let opened = client
        .open_ephemeral_resource(tf::open_ephemeral_resource::Request {
            type_name: TYPE.to_owned(),
            config: Some(pack(&text("x", Value::Null), &ty)),
            client_capabilities: None,
        })
        .await
        .unwrap()
        .into_inner();
    assert_eq!(unpack(opened.result, &ty), text("x", "open".into()));
    assert_eq!(opened.renew_at.map(|t| t.seconds), Some(60));
    let renewed = client
        .renew_ephemeral_resource(tf::renew_ephemeral_resource::Request {
            type_name: TYPE.to_owned(),
            private: opened.private,
        })
        .await
        .unwrap()
        .into_inner();
    assert_eq!(renewed.renew_at, None);
    let closed = client
        .close_ephemeral_resource(tf::close_ephemeral_resource::Request {
            type_name: TYPE.to_owned(),
            private: renewed.private,
        })
        .await
        .unwrap()
        .into_inner();
    assert_eq!(closed.diagnostics[0].detail, "2");
}

#[tokio::test]
async fn list_resources() {
    let mut client = with_extras().await;
    let ty = text_schema().ty();
    let request = |type_name: &str, input: &str, include| tf::list_resource::Request {
        type_name: type_name.to_owned(),
        config: Some(pack(&text(input, Value::Null), &ty)),
        include_resource_object: include,
        limit: 40,
    };
    for (name, request, found, resources, last) in [
        ("plain", request(TYPE, "x", false), 40, 0, None),
        ("with state", request(TYPE, "x", true), 40, 40, None),
        (
            "panic",
            request(TYPE, "panic", false),
            40,
            0,
            Some("Provider crashed"),
        ),
        (
            "unknown",
            request("fake_nothing", "x", false),
            0,
            0,
            Some("No such list resource type"),
        ),
    ] {
        let stream = client.list_resource(request).await.unwrap().into_inner();
        let events: Vec<_> = stream.map(Result::unwrap).collect().await;
        let identified = events.iter().filter(|e| e.identity.is_some()).count();
        assert_eq!(identified, found, "{name}");
        let with_state = events
            .iter()
            .filter(|e| e.resource_object.is_some())
            .count();
        assert_eq!(with_state, resources, "{name}");
        let diagnostics: Vec<_> = events
            .iter()
            .flat_map(|e| summaries(&e.diagnostic))
            .collect();
        assert_eq!(diagnostics, Vec::from_iter(last), "{name}");
    }
    // Core may have enough before the end.
    let mut stream = client
        .list_resource(request(TYPE, "x", false))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(
        stream.next().await.unwrap().unwrap().display_name,
        "thing 0"
    );
}

#[tokio::test]
async fn actions() {
    let mut client = with_extras().await;
    let ty = text_schema().ty();
    let planned = client
        .plan_action(tf::plan_action::Request {
            action_type: TYPE.to_owned(),
            config: Some(pack(&text("x", Value::Null), &ty)),
            client_capabilities: None,
        })
        .await
        .unwrap()
        .into_inner();
    assert_eq!(summaries(&planned.diagnostics), ["Planned"]);

    for (action, input, lines, expected) in [
        (TYPE, "x", 2, vec![]),
        (TYPE, "fail", 2, vec!["Failed"]),
        (TYPE, "panic", 2, vec!["Provider crashed"]),
        ("fake_nothing", "x", 0, vec!["No such action"]),
    ] {
        let stream = client
            .invoke_action(tf::invoke_action::Request {
                action_type: action.to_owned(),
                config: Some(pack(&text(input, Value::Null), &ty)),
                client_capabilities: None,
            })
            .await
            .unwrap()
            .into_inner();
        let mut events: Vec<_> = stream
            .map(|event| event.unwrap().r#type.unwrap())
            .collect()
            .await;
        let Some(EventType::Completed(completed)) = events.pop() else {
            panic!("{input}: the last event is Completed");
        };
        assert_eq!(summaries(&completed.diagnostics), expected, "{input}");
        assert_eq!(events.len(), lines, "{input}");
        assert!(
            events.iter().all(|e| matches!(e, EventType::Progress(_))),
            "{input}"
        );
    }
}
