use super::*;
use crate::framework::engine::fake::{FakeResource, IgnoreCase, context, propose};
use crate::framework::schema::{Block, NestedBlock, Nesting, Schema};

fn inner() -> Vec<Attribute> {
    vec![
        Attribute::string("a", "").optional(),
        Attribute::string("fixed", "").optional().requires_replace(),
        Attribute::string("filled", "").default("d"),
        Attribute::string("kept", "")
            .computed()
            .use_state_for_unknown(),
        Attribute::string("fresh", "").computed(),
    ]
}

fn schema() -> Schema {
    Schema::new("")
        .attribute(Attribute::string("name", "").required().requires_replace())
        .attribute(Attribute::string("description", "").optional())
        .attribute(
            Attribute::string("document", "")
                .optional()
                .semantic_equality(IgnoreCase),
        )
        .attribute(Attribute::string("secret", "").optional().write_only())
        .attribute(Attribute::string("filled", "").default("d"))
        .attribute(Attribute::string("either", "").optional().computed())
        .attribute(
            Attribute::string("either_replace", "")
                .optional()
                .computed()
                .plan(PlanModifier::UseStateForUnknown)
                .plan(PlanModifier::RequiresReplaceIfConfigured),
        )
        .attribute(
            Attribute::string("shrink", "")
                .optional()
                .requires_replace_if(|request| {
                    request.plan_value.as_str().map(str::len)
                        < request.state_value.as_str().map(str::len)
                }),
        )
        .attribute(
            Attribute::string("kept", "")
                .computed()
                .use_state_for_unknown(),
        )
        .attribute(
            Attribute::string("kept_if_set", "")
                .computed()
                .plan(PlanModifier::UseNonNullStateForUnknown),
        )
        .attribute(Attribute::string("fresh", "").computed())
        .attribute(Attribute::nested("one", Nesting::Single, inner(), "").optional())
        .attribute(
            Attribute::nested("own", Nesting::Single, inner(), "")
                .optional()
                .computed(),
        )
        .attribute(Attribute::nested("list", Nesting::List, inner(), "").optional())
        .attribute(Attribute::nested("set", Nesting::Set, inner(), "").optional())
        .attribute(Attribute::nested("map", Nesting::Map, inner(), "").optional())
        .nested_block(NestedBlock::list(
            "block",
            inner().into_iter().fold(Block::new(""), Block::attribute),
        ))
}

/// An inner object: (a, fixed, filled, kept, fresh).
fn object(values: [Value; 5]) -> Value {
    Value::object(
        ["a", "fixed", "filled", "kept", "fresh"]
            .into_iter()
            .zip(values),
    )
}

fn configured(a: &str) -> Value {
    object([a.into(), Value::Null, Value::Null, Value::Null, Value::Null])
}

fn saved(a: &str) -> Value {
    object([
        a.into(),
        Value::Null,
        "d".into(),
        format!("kept-{a}").into(),
        format!("fresh-{a}").into(),
    ])
}

/// What an object that was there before is planned as when something else changes.
fn updated(a: &str) -> Value {
    object([
        a.into(),
        Value::Null,
        "d".into(),
        format!("kept-{a}").into(),
        Value::unknown(),
    ])
}

fn created(a: Value) -> Value {
    object([
        a,
        Value::Null,
        "d".into(),
        Value::unknown(),
        Value::unknown(),
    ])
}

fn null() -> Value {
    Value::Null
}

fn unknown() -> Value {
    Value::unknown()
}

struct Plans {
    schema: ObjectSchema,
}

impl Plans {
    fn with(&self, base: &[(&str, Value)], values: &[(&str, Value)]) -> Value {
        let mut object = self.schema.empty_value();
        for (name, value) in base.iter().chain(values) {
            object.set(*name, value.clone());
        }
        object
    }

    fn config(&self, values: &[(&str, Value)]) -> Value {
        self.with(&[("name", "n".into())], values)
    }

    fn prior(&self, values: &[(&str, Value)]) -> Value {
        self.with(
            &[
                ("name", "n".into()),
                ("filled", "d".into()),
                ("either", "e".into()),
                ("either_replace", "r".into()),
                ("kept", "k".into()),
                ("kept_if_set", "s".into()),
                ("fresh", "f".into()),
                ("own", saved("o")),
            ],
            values,
        )
    }

    /// What is planned for an object whose prior state is [`Self::prior`] when anything differs.
    fn update(&self, values: &[(&str, Value)]) -> Value {
        self.with(
            &[
                ("name", "n".into()),
                ("filled", "d".into()),
                ("either", unknown()),
                ("either_replace", "r".into()),
                ("kept", "k".into()),
                ("kept_if_set", "s".into()),
                ("fresh", unknown()),
                ("own", unknown()),
            ],
            values,
        )
    }

    async fn plan(&self, resource: &FakeResource, prior: &Value, config: &Value) -> PlanResponse {
        let proposed_new_state = propose((&self.schema.schema.block).into(), prior, config);
        plan(
            resource,
            &self.schema,
            None,
            &context(),
            PlanRequest {
                config: config.clone(),
                prior_state: prior.clone(),
                proposed_new_state,
                prior_private: Private::default(),
                planned_private: None,
                prior_identity: Value::Null,
            },
        )
        .await
    }
}

fn plans() -> Plans {
    Plans {
        schema: schema().into(),
    }
}

fn list(items: impl IntoIterator<Item = Value>) -> Value {
    Value::List(items.into_iter().collect())
}

fn set(items: impl IntoIterator<Item = Value>) -> Value {
    Value::Set(items.into_iter().collect())
}

fn map(items: impl IntoIterator<Item = (&'static str, Value)>) -> Value {
    Value::Map(items.into_iter().map(|(k, v)| (k.to_owned(), v)).collect())
}

#[tokio::test]
async fn create_plans_defaults_and_unknowns() {
    let p = plans();
    let config = p.config(&[
        ("secret", "hunter2".into()),
        ("either", "mine".into()),
        ("one", configured("1")),
        ("list", list([configured("1"), configured("2")])),
        (
            "set",
            set([
                configured("1"),
                object([unknown(), null(), null(), null(), null()]),
                object([unknown(), null(), null(), null(), null()]),
            ]),
        ),
        ("map", map([("k", configured("1"))])),
        ("block", list([configured("1")])),
    ]);
    let response = p.plan(&FakeResource::default(), &null(), &config).await;
    let expected = p.with(
        &[],
        &[
            ("name", "n".into()),
            ("filled", "d".into()),
            ("either", "mine".into()),
            ("either_replace", unknown()),
            ("kept", unknown()),
            ("kept_if_set", unknown()),
            ("fresh", unknown()),
            ("own", unknown()),
            ("one", created("1".into())),
            ("list", list([created("1".into()), created("2".into())])),
            (
                "set",
                set([created("1".into()), created(unknown()), created(unknown())]),
            ),
            ("map", map([("k", created("1".into()))])),
            ("block", list([created("1".into())])),
        ],
    );
    assert_eq!(response.planned_state, expected);
    assert_eq!(response.requires_replace, []);
    assert!(response.diagnostics.is_empty(), "{response:?}");
}

#[tokio::test]
async fn updates() {
    type Values = Vec<(&'static str, Value)>;
    /// Name, prior state, configuration, plan (none: as prior state), replacement paths.
    type Case = (
        &'static str,
        Values,
        Values,
        Option<Values>,
        Vec<&'static str>,
    );
    let p = plans();
    let cases: Vec<Case> = vec![
        ("nothing changed", vec![], vec![], None, vec![]),
        (
            "a write-only value is no change",
            vec![],
            vec![("secret", "hunter2".into())],
            None,
            vec![],
        ),
        (
            "a reformatted document is no change (P2)",
            vec![("document", "doc".into())],
            vec![("document", "DOC".into())],
            None,
            vec![],
        ),
        (
            "another document is one",
            vec![("document", "doc".into())],
            vec![("document", "new".into())],
            Some(vec![("document", "new".into())]),
            vec![],
        ),
        (
            "a default is restored",
            vec![("filled", "drifted".into())],
            vec![],
            Some(vec![]),
            vec![],
        ),
        (
            "configuration wins over a default",
            vec![],
            vec![("filled", "mine".into())],
            Some(vec![("filled", "mine".into())]),
            vec![],
        ),
        (
            "state instead of unknown, null state only where asked for",
            vec![("kept", null()), ("kept_if_set", null())],
            vec![("description", "new".into())],
            Some(vec![
                ("description", "new".into()),
                ("kept", null()),
                ("kept_if_set", unknown()),
            ]),
            vec![],
        ),
        (
            "unknown configuration stays unknown",
            vec![],
            vec![("either_replace", unknown())],
            Some(vec![("either_replace", unknown())]),
            vec!["either_replace"],
        ),
        (
            "optional and computed, removed from configuration",
            vec![("either_replace", "r".into())],
            vec![("description", "new".into())],
            Some(vec![("description", "new".into())]),
            vec![],
        ),
        (
            "optional and computed, configured differently",
            vec![],
            vec![("either_replace", "new".into())],
            Some(vec![("either_replace", "new".into())]),
            vec!["either_replace"],
        ),
        (
            "replace if: condition holds",
            vec![("shrink", "long".into())],
            vec![("shrink", "s".into())],
            Some(vec![("shrink", "s".into())]),
            vec!["shrink"],
        ),
        (
            "replace if: condition does not",
            vec![("shrink", "long".into())],
            vec![("shrink", "longer".into())],
            Some(vec![("shrink", "longer".into())]),
            vec![],
        ),
        (
            "replace",
            vec![],
            vec![("name", "other".into())],
            Some(vec![("name", "other".into())]),
            vec!["name"],
        ),
        (
            "nested objects that stay keep their computed values",
            vec![
                ("one", saved("1")),
                ("list", list([saved("1"), saved("2")])),
                ("set", set([saved("1"), saved("2")])),
                ("map", map([("k", saved("1"))])),
                ("block", list([saved("1")])),
            ],
            vec![
                ("one", configured("1")),
                ("list", list([configured("1"), configured("2")])),
                ("set", set([configured("2"), configured("1")])),
                ("map", map([("k", configured("1"))])),
                ("block", list([configured("1")])),
            ],
            None,
            vec![],
        ),
        (
            "a new element has no state to use",
            vec![
                ("list", list([saved("1")])),
                ("set", set([saved("1")])),
                ("map", map([("k", saved("1"))])),
            ],
            vec![
                ("list", list([configured("1"), configured("2")])),
                ("set", set([configured("2"), configured("1")])),
                ("map", map([("k", configured("1")), ("l", configured("2"))])),
            ],
            Some(vec![
                ("list", list([updated("1"), created("2".into())])),
                ("set", set([updated("1"), created("2".into())])),
                (
                    "map",
                    map([("k", updated("1")), ("l", created("2".into()))]),
                ),
            ]),
            vec![],
        ),
        (
            "replacement inside nested values; the path of a set element is the set",
            vec![
                ("one", saved("1")),
                ("list", list([saved("1")])),
                ("set", set([saved("1")])),
                ("map", map([("k", saved("1"))])),
                ("block", list([saved("1")])),
            ],
            vec![
                (
                    "one",
                    object(["1".into(), "x".into(), null(), null(), null()]),
                ),
                (
                    "list",
                    list([object(["1".into(), "x".into(), null(), null(), null()])]),
                ),
                (
                    "set",
                    set([object(["1".into(), "x".into(), null(), null(), null()])]),
                ),
                (
                    "map",
                    map([(
                        "k",
                        object(["1".into(), "x".into(), null(), null(), null()]),
                    )]),
                ),
                (
                    "block",
                    list([object(["1".into(), "x".into(), null(), null(), null()])]),
                ),
            ],
            Some(vec![
                (
                    "one",
                    object([
                        "1".into(),
                        "x".into(),
                        "d".into(),
                        "kept-1".into(),
                        unknown(),
                    ]),
                ),
                (
                    "list",
                    list([object([
                        "1".into(),
                        "x".into(),
                        "d".into(),
                        "kept-1".into(),
                        unknown(),
                    ])]),
                ),
                (
                    "set",
                    set([object([
                        "1".into(),
                        "x".into(),
                        "d".into(),
                        unknown(),
                        unknown(),
                    ])]),
                ),
                (
                    "map",
                    map([(
                        "k",
                        object([
                            "1".into(),
                            "x".into(),
                            "d".into(),
                            "kept-1".into(),
                            unknown(),
                        ]),
                    )]),
                ),
                (
                    "block",
                    list([object([
                        "1".into(),
                        "x".into(),
                        "d".into(),
                        "kept-1".into(),
                        unknown(),
                    ])]),
                ),
            ]),
            vec![
                "block[0].fixed",
                "list[0].fixed",
                "map[\"k\"].fixed",
                "one.fixed",
                "set",
            ],
        ),
        (
            "a nested object that the configuration takes over",
            vec![],
            vec![("own", configured("mine"))],
            Some(vec![(
                "own",
                object([
                    "mine".into(),
                    null(),
                    "d".into(),
                    "kept-o".into(),
                    unknown(),
                ]),
            )]),
            vec![],
        ),
        (
            "an unknown nested object stays unknown",
            vec![("one", saved("1"))],
            vec![("one", unknown())],
            Some(vec![("one", unknown())]),
            vec![],
        ),
        (
            "a nested object removed",
            vec![("one", saved("1"))],
            vec![],
            Some(vec![]),
            vec![],
        ),
    ];
    for (name, prior, config, expected, replace) in cases {
        let prior = p.prior(&prior);
        let response = p
            .plan(&FakeResource::default(), &prior, &p.config(&config))
            .await;
        let expected = expected.map_or(prior, |values| p.update(&values));
        assert_eq!(response.planned_state, expected, "{name}");
        let paths: Vec<String> = response
            .requires_replace
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(paths, replace, "{name}");
        assert!(response.diagnostics.is_empty(), "{name}: {response:?}");
    }
}

#[tokio::test]
async fn a_second_plan_after_apply_is_empty() {
    // The plan of an unchanged configuration against its own result, for generated results.
    let p = plans();
    let config = p.config(&[
        ("set", set([configured("1"), configured("2")])),
        ("list", list([configured("1")])),
        ("block", list([configured("1"), configured("1")])),
    ]);
    let first = p.plan(&FakeResource::default(), &null(), &config).await;
    let mut count = 0;
    let state = settle(first.planned_state, &mut count);
    assert!(count > 10);
    let second = p.plan(&FakeResource::default(), &state, &config).await;
    assert_eq!(second.planned_state, state);
}

/// Fills in unknown values.
fn settle(value: Value, count: &mut usize) -> Value {
    match value {
        Value::Unknown(_) => {
            *count += 1;
            format!("settled-{count}").into()
        }
        Value::List(items) => Value::List(items.into_iter().map(|v| settle(v, count)).collect()),
        Value::Set(items) => Value::Set(items.into_iter().map(|v| settle(v, count)).collect()),
        Value::Object(entries) => Value::Object(
            entries
                .into_iter()
                .map(|(k, v)| {
                    // A provider answers an object where the schema has one.
                    let settled = match k.as_str() {
                        "own" if v.is_unknown() => saved("o"),
                        _ => settle(v, count),
                    };
                    (k, settled)
                })
                .collect(),
        ),
        other => other,
    }
}

#[tokio::test]
async fn modify_plan_has_the_last_word() {
    let p = plans();
    let prior = p.prior(&[]);
    let root = Path::root();
    let resource = FakeResource {
        modify_plan: Some(Box::new(|request, response| {
            assert_eq!(request.planned_state, response.planned_state);
            response.planned_state.set("fresh", "known".into());
            response.planned_state.set("secret", "leak".into());
            response.requires_replace = vec![
                Path::from("set").attribute("a"),
                Path::from("kept"),
                Path::from("kept"),
                Path::from("description"),
                Path::root(),
            ];
            response.planned_private.set("k", 1);
            response.diagnostics.warning("w", "d");
        })),
        ..FakeResource::default()
    };
    let response = p
        .plan(&resource, &prior, &p.config(&[("description", "x".into())]))
        .await;
    assert_eq!(
        response.planned_state,
        p.update(&[("description", "x".into()), ("fresh", "known".into())])
    );
    assert_eq!(
        response.requires_replace,
        [
            root.attribute("description"),
            root.attribute("kept"),
            root.attribute("set"),
        ]
    );
    assert_eq!(response.planned_private.to_bytes(), br#"{"k":1}"#);
    assert_eq!(response.diagnostics.iter().count(), 1);

    let create = p.plan(&resource, &null(), &p.config(&[])).await;
    assert_eq!(create.requires_replace, [], "nothing to replace");
}

#[tokio::test]
async fn a_destroy_plan_is_null() {
    let p = plans();
    let prior = p.prior(&[]);
    for (name, answer, errors) in [
        ("as it should be", Value::Null, false),
        ("a resource that revives", prior.clone(), true),
    ] {
        let resource = FakeResource {
            modify_plan: Some(Box::new(move |request, response| {
                assert!(request.planned_state.is_null());
                assert!(!request.prior_state.is_null());
                response.planned_state = answer.clone();
                response.requires_replace.push("name".into());
            })),
            ..FakeResource::default()
        };
        let response = p.plan(&resource, &prior, &Value::Null).await;
        assert_eq!(response.planned_state, Value::Null, "{name}");
        assert_eq!(response.requires_replace, [], "{name}");
        assert_eq!(response.diagnostics.has_errors(), errors, "{name}");
    }
}

#[tokio::test]
async fn answers_that_do_not_fit_are_the_providers_fault() {
    let p = plans();
    for (name, answer) in [
        ("null", Value::Null),
        ("another type", Value::Bool(true)),
        ("unknown as a whole", Value::unknown()),
    ] {
        let resource = FakeResource {
            modify_plan: Some(Box::new(move |_, response| {
                response.planned_state = answer.clone();
            })),
            ..FakeResource::default()
        };
        let response = p.plan(&resource, &Value::Null, &p.config(&[])).await;
        let summaries: Vec<&str> = response
            .diagnostics
            .iter()
            .map(|d| d.summary.as_str())
            .collect();
        assert_eq!(summaries, ["Provider bug"], "{name}");
    }
    let crash = FakeResource {
        modify_plan: Some(Box::new(|_, response| {
            response.diagnostics.warning("before", "");
            panic!("boom");
        })),
        ..FakeResource::default()
    };
    let response = p.plan(&crash, &Value::Null, &p.config(&[])).await;
    let summaries: Vec<&str> = response
        .diagnostics
        .iter()
        .map(|d| d.summary.as_str())
        .collect();
    assert_eq!(summaries, ["before", "Provider crashed"]);
}

mod properties {
    use proptest::prelude::*;

    use super::*;
    use crate::framework::engine::conform::conform;

    /// A configured text: absent, unknown, or one of a few.
    fn text() -> impl Strategy<Value = Value> {
        prop_oneof![
            2 => Just(Value::Null),
            1 => Just(Value::unknown()),
            6 => prop::sample::select(vec!["a", "A", "b", "red"]).prop_map(Value::from),
        ]
    }

    fn known_text() -> impl Strategy<Value = Value> {
        text().prop_filter("known", |value| !value.is_unknown())
    }

    /// The objects of [`inner`], with what users may set.
    fn inner_config<T: Strategy<Value = Value>>(text: fn() -> T) -> impl Strategy<Value = Value> {
        [text(), text(), text()]
            .prop_map(|[a, fixed, filled]| object([a, fixed, filled, Value::Null, Value::Null]))
    }

    fn config<T: Strategy<Value = Value> + 'static>(text: fn() -> T) -> BoxedStrategy<Value> {
        let some = || prop::collection::vec(inner_config(text), 0..4);
        let optional =
            |strategy: BoxedStrategy<Value>| prop_oneof![1 => Just(Value::Null), 3 => strategy];
        let top = prop::array::uniform5(text());
        (
            top,
            optional(inner_config(text).boxed()),
            optional(some().prop_map(Value::List).boxed()),
            optional(some().prop_map(distinct).boxed()),
            optional(inner_config(text).boxed()),
            some().prop_map(Value::List),
        )
            .prop_map(|([a, b, c, d, e], one, list, set, own, block)| {
                plans().config(&[
                    ("description", a),
                    ("document", b),
                    ("filled", c),
                    ("either", d),
                    ("either_replace", e),
                    ("one", one),
                    ("list", list),
                    ("set", set),
                    ("own", own),
                    ("block", block),
                ])
            })
            .boxed()
    }

    /// A set as core sends it: equal known elements are one.
    fn distinct(items: Vec<Value>) -> Value {
        let mut set: Vec<Value> = Vec::new();
        for item in items {
            if !item.is_wholly_known() || !set.contains(&item) {
                set.push(item);
            }
        }
        Value::Set(set)
    }

    /// Rules P1 to P7 for the attributes of an object.
    fn assert_valid(attributes: &[Attribute], prior: &Value, config: &Value, planned: &Value) {
        for attribute in attributes {
            let name = attribute.name;
            let (p, c, plan) = (prior.get(name), config.get(name), planned.get(name));
            if plan == c || plan == p && p.is_set() && c.is_set() {
                continue;
            }
            if c.is_null() {
                assert!(attribute.computed, "{name}: {plan:?} for nothing");
                continue;
            }
            let crate::framework::schema::AttributeType::Nested {
                nesting,
                attributes,
            } = &attribute.ty
            else {
                panic!("{name}: {plan:?} for {c:?}");
            };
            assert!(plan.is_set(), "{name}: {plan:?} for an object");
            match nesting {
                Nesting::Single => assert_valid(attributes, p, c, plan),
                Nesting::List => {
                    let (c, plan) = (c.as_elements().unwrap(), plan.as_elements().unwrap());
                    assert_eq!(c.len(), plan.len(), "{name}");
                    for (index, (c, plan)) in c.iter().zip(plan).enumerate() {
                        let p = p.as_elements().and_then(|p| p.get(index));
                        assert_valid(attributes, p.unwrap_or(&Value::Null), c, plan);
                    }
                }
                // Core compares only lengths here; what is configured must be found all the same.
                _ => {
                    let (c, plan) = (c.as_elements().unwrap(), plan.as_elements().unwrap());
                    assert_eq!(c.len(), plan.len(), "{name}");
                    let set = |c: &Value| -> Vec<&str> {
                        let names = ["a", "fixed", "filled"].into_iter();
                        names.filter(|n| !c.get(n).is_null()).collect()
                    };
                    // Who says more looks first, else it may find its element taken.
                    let mut c: Vec<&Value> = c.iter().collect();
                    c.sort_by_key(|c| std::cmp::Reverse(set(c).len()));
                    let mut left: Vec<&Value> = plan.iter().collect();
                    for c in c {
                        let found = left
                            .iter()
                            .position(|plan| set(c).iter().all(|n| plan.get(n) == c.get(n)));
                        left.remove(found.unwrap_or_else(|| panic!("{name}: {c:?} in {plan:?}")));
                    }
                }
            }
        }
    }

    fn block_on<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .unwrap()
            .block_on(future)
    }

    proptest! {
        #[test]
        fn plans_hold_core_s_rules_and_settle(
            before in config(known_text),
            after in config(text),
        ) {
            let p = plans();
            let resource = FakeResource::default();
            let attributes = &p.schema.schema.block.attributes;
            let name = "n";

            // Create, then the same again: nothing to do.
            let created = block_on(p.plan(&resource, &Value::Null, &before));
            assert_valid(attributes, &Value::Null, &before, &created.planned_state);
            let mut state = settle(created.planned_state, &mut 0);
            let mut diagnostics = Diagnostics::new();
            conform(&p.schema, &mut state, name, &mut diagnostics);
            prop_assert!(diagnostics.is_empty(), "{diagnostics:?}");
            let again = block_on(p.plan(&resource, &state, &before));
            prop_assert_eq!(&again.planned_state, &state);
            prop_assert!(again.requires_replace.is_empty());

            // Change, and plan the change again: the same plan (F2).
            let changed = block_on(p.plan(&resource, &state, &after));
            assert_valid(attributes, &state, &after, &changed.planned_state);
            let repeated = block_on(p.plan(&resource, &state, &after));
            prop_assert_eq!(changed.planned_state, repeated.planned_state);
            prop_assert_eq!(changed.requires_replace, repeated.requires_replace);
        }
    }
}
