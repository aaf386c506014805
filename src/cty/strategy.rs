//! Generated types and values, for property tests.

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;

use super::nfc::into_nfc;
use super::{Bound, Number, Refinements, Type, Value};

/// Types of every kind, nested.
pub(super) fn types() -> impl Strategy<Value = Type> {
    let leaf = prop_oneof![
        Just(Type::Bool),
        Just(Type::Number),
        Just(Type::String),
        Just(Type::Dynamic)
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            inner.clone().prop_map(Type::list),
            inner.clone().prop_map(Type::set),
            inner.clone().prop_map(Type::map),
            btree_map("[a-z_]{1,6}|\\PC{0,3}", inner.clone(), 0..5).prop_map(|attributes| {
                Type::object(attributes.into_iter().map(|(k, t)| (into_nfc(k), t)))
            }),
            vec(inner, 0..4).prop_map(Type::Tuple),
        ]
    })
}

/// A type and a value of it.
pub(super) fn typed(unknowns: bool) -> impl Strategy<Value = (Type, Value)> {
    types().prop_flat_map(move |ty| value(&ty, unknowns).prop_map(move |v| (ty.clone(), v)))
}

fn value(ty: &Type, unknowns: bool) -> BoxedStrategy<Value> {
    let weight = u32::from(unknowns);
    prop_oneof![
        6 => known(ty, unknowns),
        1 => Just(Value::Null),
        weight => Just(Value::unknown()),
        weight => refined(ty),
    ]
    .boxed()
}

fn known(ty: &Type, unknowns: bool) -> BoxedStrategy<Value> {
    let inside = move |ty: &Type| value(ty, unknowns);
    match ty {
        Type::Bool => any::<bool>().prop_map(Value::Bool).boxed(),
        Type::Number => number().prop_map(Value::Number).boxed(),
        Type::String => text().prop_map(Value::String).boxed(),
        Type::List(element) => vec(inside(element), 0..20).prop_map(Value::List).boxed(),
        Type::Set(element) => vec(inside(element), 0..20).prop_map(Value::set_of).boxed(),
        Type::Map(element) => btree_map(text(), inside(element), 0..18)
            .prop_map(Value::Map)
            .boxed(),
        Type::Object(types) => types
            .iter()
            .map(|(name, ty)| (Just(name.clone()), inside(ty)))
            .collect::<Vec<_>>()
            .prop_map(|attributes| Value::Object(attributes.into_iter().collect()))
            .boxed(),
        Type::Tuple(types) => types
            .iter()
            .map(inside)
            .collect::<Vec<_>>()
            .prop_map(Value::Tuple)
            .boxed(),
        Type::Dynamic => {
            let concrete = prop_oneof![
                Just(Type::Bool),
                Just(Type::Number),
                Just(Type::String),
                Just(Type::list(Type::String)),
                Just(Type::Tuple(vec![Type::String, Type::Number])),
                Just(Type::object([
                    ("a", Type::set(Type::Number)),
                    ("any", Type::Dynamic)
                ])),
            ];
            concrete
                .prop_flat_map(move |ty| {
                    value(&ty, unknowns).prop_map(move |v| Value::dynamic(ty.clone(), v))
                })
                .boxed()
        }
    }
}

fn refined(ty: &Type) -> BoxedStrategy<Value> {
    let null = prop::option::of(any::<bool>());
    let bound = || {
        prop::option::of((number(), any::<bool>()))
            .prop_map(|bound| bound.map(|(value, inclusive)| Bound { value, inclusive }))
    };
    let length = || prop::option::of(0..i64::MAX);
    match ty {
        Type::Dynamic => Just(Value::unknown()).boxed(),
        Type::String => (null, prop::option::of("\\PC{1,60}"))
            .prop_map(|(null, string_prefix)| {
                Value::refined(Refinements {
                    null,
                    string_prefix,
                    ..Refinements::default()
                })
            })
            .boxed(),
        Type::Number => (null, bound(), bound())
            .prop_map(|(null, number_lower, number_upper)| {
                Value::refined(Refinements {
                    null,
                    number_lower,
                    number_upper,
                    ..Refinements::default()
                })
            })
            .boxed(),
        Type::List(_) | Type::Set(_) | Type::Map(_) => (null, length(), length())
            .prop_map(|(null, length_lower, length_upper)| {
                Value::refined(Refinements {
                    null,
                    length_lower,
                    length_upper,
                    ..Refinements::default()
                })
            })
            .boxed(),
        _ => null
            .prop_map(|null| {
                Value::refined(Refinements {
                    null,
                    ..Refinements::default()
                })
            })
            .boxed(),
    }
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof!["[a-z/:*-]{0,40}", "\\PC{0,12}", any::<String>()].prop_map(into_nfc)
}

fn number() -> impl Strategy<Value = Number> {
    prop_oneof![
        (-200_i64..70_000).prop_map(Number::from),
        any::<i64>().prop_map(Number::from),
        any::<u64>().prop_map(Number::from),
        proptest::num::f64::NORMAL.prop_map(|float| Number::try_from(float).unwrap()),
        "-?[0-9]{1,40}(\\.[0-9]{1,40})?(e-?[0-9]{1,2})?".prop_map(|text| text.parse().unwrap()),
    ]
}
