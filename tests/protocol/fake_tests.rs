//! The client tested by itself: a good provider passes, and every rule can fail.

use std::sync::Arc;

use podidentity::cty::{Number, Refinements, Type, Value};

use crate::core::{Action, Core, Release};
use crate::fake::{At, TYPE_NAME, Tamper, World, schema};
use crate::generate::{Generator, check};
use crate::scenario::{Step, Subject, run};

struct Thing(World);

impl Subject for Thing {
    fn type_name(&self) -> &'static str {
        TYPE_NAME
    }

    fn provider(&self) -> Value {
        Value::Object([].into())
    }

    fn import_ids(&self, state: &Value) -> Vec<String> {
        vec![state.get("id").as_str().unwrap().to_owned()]
    }

    fn remote_objects(&self) -> Option<usize> {
        Some(self.0.count())
    }
}

pub(crate) fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
}

pub(crate) async fn drive(
    world: World,
    release: Release,
    steps: &[Step],
) -> Result<crate::scenario::Actions, String> {
    let starter = world.clone();
    let core = Core::load(move || starter.start(), release)
        .await
        .map_err(|e| e.to_string())?;
    run(&core, &Thing(world), steps).await
}

#[test]
fn a_good_provider_passes_generated_scenarios() {
    for (seed, release) in [(1, Release::V1_11), (2, Release::V1_16)] {
        let steps = Generator::default().steps(schema(), 4);
        let covered = check(&runtime(), 100, seed, &steps, |steps| async move {
            drive(World::default(), release, &steps).await
        });
        // A no-op needs two equal steps, which is rare; every step ends with one anyway.
        for action in [Action::Create, Action::Update, Action::Replace] {
            assert!(
                covered.contains_key(&action),
                "{action:?} never came up: {covered:?}"
            );
        }
    }
}

pub(crate) fn s(text: &str) -> Value {
    Value::from(text)
}

/// Everything set, so that every part of the schema can be tampered with.
fn first() -> Value {
    let one = |name: &'static str, value: Value| Value::object([(name, value)]);
    Value::object([
        ("name", s("a")),
        ("size", Value::from(1)),
        ("secret", s("hunter2")),
        ("token", s("t")),
        ("tags", Value::string_map([("k", "v")])),
        ("labels", Value::set_of(["x", "y"])),
        ("steps", Value::List(vec![s("one"), s("two")])),
        ("any", Value::dynamic(Type::String, s("any"))),
        ("rule", Value::List(vec![one("port", Value::from(80))])),
        ("zone", Value::set_of([one("code", s("z"))])),
        (
            "site",
            Value::Map([("home".to_owned(), one("url", s("u")))].into()),
        ),
        ("disk", Value::List(vec![one("size", Value::from(10))])),
        ("door", Value::set_of([one("color", s("red"))])),
        (
            "window",
            Value::Map([("w".to_owned(), one("color", s("blue")))].into()),
        ),
        ("roof", one("color", s("black"))),
    ])
}

fn step(change: impl Fn(&mut Value), unknown: &[&str]) -> Step {
    let mut written = first();
    change(&mut written);
    Step {
        written,
        unknown: unknown.iter().map(|name| (*name).to_owned()).collect(),
    }
}

/// Create (processes 1 and 2, checked in 3), update of `size` (4, 5, 6), replace (7, 8, 9), import (10, 11), destroy.
pub(crate) fn steps() -> Vec<Step> {
    vec![
        step(|_| {}, &["steps"]),
        step(|v| v.set("size", Value::from(2)), &["size"]),
        step(|v| v.set("name", s("b")), &[]),
    ]
}

fn refined(prefix: &str) -> Value {
    Value::refined(Refinements {
        string_prefix: Some(prefix.to_owned()),
        ..Refinements::default()
    })
}

/// Refinements are promises: between the plans, and from the plan to the result.
#[test]
fn refinements_bind() {
    for (prefix, good) in [("id-", true), ("arn:", false)] {
        let world = World::tampered(Tamper {
            at: At::Plan,
            process: None,
            change: Arc::new(move |answer| {
                if answer.value.get("id").is_unknown() {
                    answer.value.set("id", refined(prefix));
                }
            }),
        });
        let result = runtime().block_on(drive(world, Release::V1_16, &steps()));
        match result {
            Ok(_) => assert!(good),
            Err(report) => {
                assert!(!good, "{report}");
                assert!(report.contains("rule A1: id: final value"), "{report}");
            }
        }
    }
}

#[test]
fn refinement_of_every_kind() {
    use crate::compatible::assert_object_compatible;
    use podidentity::cty::Bound;
    let bound = |value: i64, inclusive| {
        Some(Bound {
            value: Number::from(value),
            inclusive,
        })
    };
    let none = Refinements::default;
    let cases = [
        (
            "size",
            Refinements {
                number_lower: bound(1, true),
                ..none()
            },
            Value::from(1),
            true,
        ),
        (
            "size",
            Refinements {
                number_lower: bound(1, false),
                ..none()
            },
            Value::from(1),
            false,
        ),
        (
            "size",
            Refinements {
                number_upper: bound(3, true),
                ..none()
            },
            Value::from(4),
            false,
        ),
        (
            "size",
            Refinements {
                null: Some(false),
                ..none()
            },
            Value::Null,
            false,
        ),
        (
            "size",
            Refinements {
                null: Some(true),
                ..none()
            },
            Value::from(1),
            false,
        ),
        (
            "labels",
            Refinements {
                length_lower: Some(1),
                ..none()
            },
            Value::Set(vec![]),
            false,
        ),
        (
            "labels",
            Refinements {
                length_upper: Some(1),
                ..none()
            },
            Value::set_of(["a", "b"]),
            false,
        ),
        (
            "tags",
            Refinements {
                length_lower: Some(1),
                ..none()
            },
            Value::string_map([("a", "b")]),
            true,
        ),
    ];
    for (name, refinements, actual, good) in cases {
        let schema = schema();
        let (mut planned, mut result) = (schema.block.empty(), schema.block.empty());
        planned.set(name, Value::refined(refinements.clone()));
        result.set(name, actual.clone());
        let found = assert_object_compatible(&schema.block, &planned, &result);
        assert_eq!(
            found.is_empty(),
            good,
            "{name} {refinements:?} {actual:?}: {found:?}"
        );
    }
}

/// A tainted object is replaced, and what a failed create returned is kept.
#[test]
fn a_failed_create_is_saved_and_tainted() {
    use crate::core::Instance;
    use crate::scenario::apply_step;
    runtime().block_on(async {
        let world = World::tampered(Tamper {
            at: At::Apply,
            process: Some(2),
            change: Arc::new(|answer| answer.error = true),
        });
        let starter = world.clone();
        let core = Core::load(move || starter.start(), Release::V1_16)
            .await
            .unwrap();
        let subject = Thing(world);
        let mut instance = Instance::none(TYPE_NAME);
        let step = step(|_| {}, &[]);
        let error = apply_step(&core, &subject, &mut instance, &step)
            .await
            .unwrap_err();
        assert!(
            error
                .to_string()
                .contains("ApplyResourceChange refused: Broken"),
            "{error}"
        );
        assert!(instance.tainted);
        assert_eq!(instance.state.get("id").as_str(), Some("id-a"));
        let action = apply_step(&core, &subject, &mut instance, &step)
            .await
            .unwrap();
        assert_eq!(action, Action::Replace);
        assert!(!instance.tainted);
    });
}

#[test]
fn a_newer_state_is_refused() {
    use crate::core::Instance;
    use crate::scenario::apply_step;
    runtime().block_on(async {
        let world = World::default();
        let starter = world.clone();
        let core = Core::load(move || starter.start(), Release::V1_16)
            .await
            .unwrap();
        let mut instance = Instance::none(TYPE_NAME);
        let step = step(|_| {}, &[]);
        apply_step(&core, &Thing(world.clone()), &mut instance, &step)
            .await
            .unwrap();
        instance.schema_version = 2;
        let error = apply_step(&core, &Thing(world), &mut instance, &step)
            .await
            .unwrap_err();
        assert!(error.to_string().contains("rule U2: "), "{error}");
    });
}
