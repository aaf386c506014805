//! Every rule broken once by a provider that is right otherwise.

use std::sync::Arc;

use podidentity::cty::{Path, Type, Value};

use crate::core::Release;
use crate::fake::{Answer, At, Tamper, World, schema};
use crate::fake_tests::{drive, runtime, s, steps};

/// A broken rule: where, how, and what must be reported.
type Case = (
    &'static str,
    At,
    Option<usize>,
    fn(&mut Answer),
    &'static str,
);

fn set(answer: &mut Answer, path: &[&str], value: Value) {
    let target: Path = path
        .iter()
        .fold(Path::root(), |p, step| match step.parse::<usize>() {
            Ok(index) => p.index(index),
            Err(_) => p.attribute(*step),
        });
    answer.value = answer
        .value
        .transform(&mut |path, _| (*path == target).then(|| value.clone()));
}

fn cases() -> Vec<Case> {
    vec![
        (
            "P1",
            At::Plan,
            Some(1),
            |a| a.value = Value::Null,
            "planned for absence but config wants existence",
        ),
        (
            "P1",
            At::DestroyPlan,
            None,
            |a| a.value = schema().block.empty(),
            "planned a non-null destroy value",
        ),
        (
            "P1",
            At::Plan,
            Some(1),
            |a| a.value.set("roof", Value::Null),
            "roof: planned for absence",
        ),
        (
            "P3",
            At::Plan,
            Some(1),
            |a| a.value.set("token", s("t")),
            "write-only attribute",
        ),
        (
            "P5",
            At::Plan,
            Some(1),
            |a| a.value.set("floor", Value::object([("color", s("grey"))])),
            "floor.color: planned value",
        ),
        (
            "P6",
            At::Plan,
            Some(1),
            |a| a.value.set("rule", Value::unknown()),
            "rule: planned unknown for configured value",
        ),
        (
            "P6",
            At::Plan,
            Some(1),
            |a| a.value.set("rule", Value::List(vec![])),
            "rule: count in plan (0) disagrees with count in config (1)",
        ),
        (
            "P6",
            At::Plan,
            Some(1),
            |a| a.value.set("zone", Value::Set(vec![])),
            "zone: count in plan (0) disagrees",
        ),
        (
            "P6",
            At::Plan,
            Some(1),
            |a| a.value.set("site", Value::Map([].into())),
            "map key \"home\" from config is not present in plan",
        ),
        (
            "P6",
            At::Plan,
            Some(1),
            |a| {
                let home = a.value.get("site").get("home").clone();
                let both = [("home".to_owned(), home.clone()), ("x".to_owned(), home)];
                a.value.set("site", Value::Map(both.into()));
            },
            "map key \"x\" from plan is not present in config",
        ),
        (
            "P7",
            At::Plan,
            Some(1),
            |a| a.value.set("size", Value::from(5)),
            "size: planned value",
        ),
        (
            "P7",
            At::Plan,
            Some(4),
            |a| a.value.set("tags", Value::string_map([("k", "w")])),
            "nor prior value",
        ),
        (
            "P7",
            At::Plan,
            Some(1),
            |a| a.value.set("secret", s("hunter3")),
            "sensitive planned value does not match config value",
        ),
        (
            "P7",
            At::Plan,
            Some(4),
            |a| set(a, &["rule", "0", "port"], Value::from(81)),
            "rule[0].port: planned value",
        ),
        (
            "P7",
            At::Plan,
            Some(1),
            |a| a.value.set("labels", Value::unknown()),
            "labels: planned value",
        ),
        (
            "P8",
            At::Plan,
            Some(1),
            |a| a.value.set("disk", Value::Null),
            "attribute representing a list of nested blocks must be empty",
        ),
        (
            "P8",
            At::Plan,
            Some(1),
            |a| a.value.set("door", Value::Null),
            "attribute representing a set of nested blocks",
        ),
        (
            "P8",
            At::Plan,
            Some(1),
            |a| a.value.set("window", Value::Null),
            "attribute representing a map of nested blocks",
        ),
        (
            "P8",
            At::Plan,
            Some(1),
            |a| a.value.set("floor", Value::Null),
            "attribute representing a group of nested blocks",
        ),
        (
            "P8",
            At::Plan,
            Some(1),
            |a| a.value.set("disk", Value::unknown()),
            "planned unknown value for non-computed block",
        ),
        (
            "P8",
            At::Plan,
            Some(1),
            |a| a.value.set("roof", Value::unknown()),
            "planned unknown value for configured block",
        ),
        (
            "P8",
            At::Plan,
            Some(1),
            |a| a.value.set("disk", Value::List(vec![])),
            "block count in plan (0) disagrees with count in config (1)",
        ),
        (
            "P8",
            At::Plan,
            Some(1),
            |a| a.value.set("door", Value::Set(vec![])),
            "block count in plan (0) disagrees",
        ),
        (
            "P8",
            At::Plan,
            Some(1),
            |a| a.value.set("window", Value::Map([].into())),
            "block key \"w\" from config is not present in plan",
        ),
        (
            "P8",
            At::Plan,
            Some(1),
            |a| a.value.set("disk", Value::List(vec![Value::unknown()])),
            "must not be unknown itself",
        ),
        (
            "P9",
            At::Plan,
            Some(1),
            |a| (a.ty, a.value) = (Some(Type::String), s("x")),
            "does not conform to the schema",
        ),
        (
            "P9",
            At::ReplacePlan,
            Some(7),
            |a| (a.ty, a.value) = (Some(Type::String), s("x")),
            "does not conform to the schema",
        ),
        (
            "P10",
            At::Plan,
            Some(4),
            |a| a.replace.push(Path::from("nothing")),
            "non-existent attribute path nothing",
        ),
        (
            "P11",
            At::Plan,
            Some(4),
            |a| a.identity = Value::object([("id", Value::unknown())]),
            "identity with unknown values",
        ),
        (
            "P11",
            At::Plan,
            Some(1),
            |a| (a.identity, a.identity_ty) = (s("x"), Some(Type::String)),
            "identity that doesn't match the schema",
        ),
        (
            "F1",
            At::Plan,
            Some(5),
            |a| a.replace.push(Path::from("size")),
            "changed the planned action from Update to Replace",
        ),
        (
            "F2",
            At::Plan,
            Some(2),
            |a| a.value.set("mode", s("manual")),
            "produced an invalid new value for",
        ),
        (
            "F2",
            At::Plan,
            Some(2),
            |a| a.value.set("mode", Value::unknown()),
            "was known, but now unknown",
        ),
        (
            "A1",
            At::Apply,
            Some(2),
            |a| a.value.set("size", Value::from(9)),
            "size: was",
        ),
        (
            "A1",
            At::Apply,
            Some(2),
            |a| a.value.set("size", Value::Null),
            "but now null",
        ),
        (
            "A1",
            At::Apply,
            Some(2),
            |a| set(a, &["floor", "color"], s("x")),
            "floor.color: was null, but now",
        ),
        (
            "A1",
            At::Apply,
            Some(2),
            |a| {
                a.value
                    .set("any", Value::dynamic(Type::Number, Value::from(1)))
            },
            "wrong final value type",
        ),
        (
            "A2",
            At::Apply,
            Some(2),
            |a| a.value.set("steps", Value::List(vec![s("one")])),
            "steps: element 1 has vanished",
        ),
        (
            "A2",
            At::Apply,
            Some(2),
            |a| {
                a.value
                    .set("tags", Value::string_map([("k", "v"), ("l", "")]))
            },
            "new element \"l\" has appeared",
        ),
        (
            "A3",
            At::Apply,
            Some(2),
            |a| a.value.set("labels", Value::set_of(["x"])),
            "does not correlate with any element in actual",
        ),
        (
            "A3",
            At::Apply,
            Some(2),
            |a| a.value.set("labels", Value::set_of(["x", "y", "z"])),
            "length changed from 2 to 3",
        ),
        (
            "A4",
            At::Apply,
            Some(2),
            |a| a.value.set("disk", Value::List(vec![])),
            "disk: block count changed from 1 to 0",
        ),
        (
            "A4",
            At::Apply,
            Some(2),
            |a| a.value.set("disk", Value::Null),
            "disk: null block value after apply",
        ),
        (
            "A4",
            At::Apply,
            Some(2),
            |a| a.value.set("window", Value::Map([].into())),
            "window: block key \"w\" has vanished",
        ),
        (
            "A4",
            At::Apply,
            Some(2),
            |a| a.value.set("roof", Value::Null),
            "roof: was present, but now absent",
        ),
        (
            "A4",
            At::Apply,
            Some(2),
            |a| {
                let doors = ["red", "green"].map(|color| Value::object([("color", s(color))]));
                a.value.set("door", Value::set_of(doors));
            },
            "door: block set length changed from 1 to 2",
        ),
        (
            "A5",
            At::Apply,
            Some(2),
            |a| a.value.set("secret", s("hunter3")),
            "secret: inconsistent values for sensitive attribute",
        ),
        (
            "A6",
            At::Apply,
            Some(2),
            |a| a.value.set("id", Value::unknown()),
            "still indicated an unknown value for id",
        ),
        (
            "A7",
            At::Apply,
            Some(5),
            |a| a.value = Value::Null,
            "the provider returned a null object",
        ),
        (
            "A7",
            At::Delete,
            Some(8),
            |a| a.value = schema().block.empty(),
            "the provider returned a non-null object",
        ),
        (
            "A8",
            At::Apply,
            Some(2),
            |a| (a.ty, a.value) = (Some(Type::String), s("x")),
            "does not conform to the schema",
        ),
        (
            "A8",
            At::Apply,
            Some(2),
            |a| a.value.set("token", s("t")),
            "write-only attribute \"token\" after apply",
        ),
        (
            "A8",
            At::Apply,
            Some(2),
            |a| a.identity = Value::object([("id", Value::unknown())]),
            "identity with unknown values",
        ),
        (
            "A8",
            At::Apply,
            Some(2),
            |a| a.identity = Value::Null,
            "apply did not return the identity",
        ),
        (
            "A9",
            At::Apply,
            Some(2),
            |a| (a.error, a.value) = (true, Value::Null),
            "nothing is saved in the state",
        ),
        (
            "A6",
            At::Apply,
            Some(2),
            |a| {
                a.error = true;
                a.value.set("id", Value::unknown());
            },
            "unknown value for id",
        ),
        (
            "R1",
            At::Read,
            Some(3),
            |a| a.value.set("size", Value::unknown()),
            "contains unknown values",
        ),
        (
            "R2",
            At::Read,
            Some(3),
            |a| (a.ty, a.value) = (Some(Type::Bool), Value::from(true)),
            "does not conform to the schema",
        ),
        (
            "R3",
            At::Read,
            Some(3),
            |a| a.value.set("token", s("t")),
            "during refresh",
        ),
        (
            "R4",
            At::Read,
            Some(3),
            |a| a.identity = Value::Null,
            "read did not return the identity",
        ),
        (
            "R4",
            At::Read,
            Some(3),
            |a| a.identity = Value::object([("id", Value::unknown())]),
            "identity with unknown values",
        ),
        (
            "R5",
            At::Read,
            Some(13),
            |a| {
                a.value = schema().block.empty();
                a.identity = Value::object([("id", s("id-b"))]);
            },
            "the destroyed object is still read",
        ),
        (
            "U1",
            At::Upgrade,
            Some(3),
            |a| a.value.set("size", Value::unknown()),
            "the upgraded state contains unknown values",
        ),
        (
            "U1",
            At::Upgrade,
            Some(3),
            |a| a.value = Value::Null,
            "the upgraded state is null",
        ),
        (
            "U1",
            At::Upgrade,
            Some(3),
            |a| a.value.set("token", s("t")),
            "write-only",
        ),
        (
            "U1",
            At::Upgrade,
            Some(3),
            |a| (a.ty, a.value) = (Some(Type::Bool), Value::from(true)),
            "does not conform",
        ),
        (
            "I1",
            At::Import,
            None,
            |a| a.count = 0,
            "Import returned no resources",
        ),
        (
            "I1",
            At::Import,
            None,
            |a| a.count = 2,
            "Multiple import states not supported",
        ),
        (
            "I1",
            At::Import,
            None,
            |a| a.type_name.clear(),
            "import didn't set type",
        ),
        (
            "I2",
            At::Import,
            Some(11),
            |a| a.identity = Value::Null,
            "import didn't return an identity",
        ),
        (
            "I3",
            At::Import,
            Some(10),
            |a| a.value = Value::Null,
            "Import returned null resource",
        ),
        (
            "I4",
            At::Import,
            None,
            |a| a.value.set("token", s("t")),
            "write-only",
        ),
        (
            "I5",
            At::Import,
            None,
            |a| a.value.set("id", s("other")),
            "Cannot import non-existent remote object",
        ),
        (
            "import",
            At::Read,
            Some(10),
            |a| a.value.set("size", Value::from(7)),
            "differs from the managed object: size",
        ),
        (
            "refresh",
            At::Read,
            Some(3),
            |a| a.value.set("mode", s("other")),
            "differs from what was just applied: mode",
        ),
        (
            "no-op",
            At::Plan,
            Some(3),
            |a| a.value.set("mode", Value::unknown()),
            "a repeated plan is Update: mode",
        ),
        (
            "legacy",
            At::Plan,
            Some(1),
            |a| a.legacy = true,
            "legacy_type_system",
        ),
        (
            "deferred",
            At::Plan,
            Some(1),
            |a| a.deferred = true,
            "did not allow deferrals",
        ),
        (
            "status",
            At::Apply,
            Some(2),
            |a| a.status = true,
            "ApplyResourceChange answered Internal",
        ),
    ]
}

#[test]
fn every_rule_can_fail() {
    let runtime = runtime();
    runtime
        .block_on(drive(World::default(), Release::V1_16, &steps()))
        .unwrap();
    for (number, (rule, at, process, change, message)) in cases().into_iter().enumerate() {
        let world = World::tampered(Tamper {
            at,
            process,
            change: Arc::new(change),
        });
        let report = match runtime.block_on(drive(world, Release::V1_16, &steps())) {
            Ok(actions) => panic!("case {number}: {rule} was not noticed ({message}): {actions:?}"),
            Err(report) => report,
        };
        assert!(
            report.contains(&format!("rule {rule}: ")) && report.contains(message),
            "case {number}: expected {rule} with {message:?}, got\n{report}"
        );
        assert!(!report.contains("hunter"), "{report}");
    }
}
