//! Configurations made from a schema.

use std::collections::BTreeMap;
use std::future::Future;
use std::rc::Rc;

use podidentity::cty::{Type, Value};
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};

use crate::scenario::{Actions, Step};
use crate::schema::{Attribute, Block, Kind, NestedBlock, Nesting, Schema};

/// What a resource knows about its configurations that its schema does not say.
#[derive(Clone, Default)]
pub(crate) struct Generator {
    /// By path of names: `trust.cluster_arns`. A strategy that gives null leaves the attribute out.
    values: BTreeMap<&'static str, BoxedStrategy<Value>>,
    repair: Option<Rc<dyn Fn(Value) -> Value>>,
}

impl Generator {
    /// Values of one attribute, instead of random ones of its type, required or not.
    pub(crate) fn value(
        mut self,
        path: &'static str,
        values: impl Strategy<Value = Value> + 'static,
    ) -> Self {
        self.values.insert(path, values.boxed());
        self
    }

    /// One of these texts.
    pub(crate) fn one_of(self, path: &'static str, texts: &'static [&'static str]) -> Self {
        self.value(path, proptest::sample::select(texts).prop_map(Value::from))
    }

    /// Nothing or one of these texts.
    pub(crate) fn maybe_one_of(self, path: &'static str, texts: &'static [&'static str]) -> Self {
        let text = proptest::sample::select(texts).prop_map(Value::from);
        self.value(path, prop_oneof![2 => Just(Value::Null), 3 => text])
    }

    /// Makes a configuration valid where attributes depend on each other.
    pub(crate) fn repair(mut self, repair: impl Fn(Value) -> Value + 'static) -> Self {
        self.repair = Some(Rc::new(repair));
        self
    }

    /// Scenarios of one to `most` steps. Later steps keep most of the earlier configuration, so that there are updates
    /// and no-ops, not only replacements.
    pub(crate) fn steps(&self, schema: &Schema, most: usize) -> BoxedStrategy<Vec<Step>> {
        let configuration = self.block(&schema.block, "");
        let names: Vec<String> = schema
            .block
            .attributes
            .iter()
            .map(|a| a.name.clone())
            .collect();
        let step = (
            configuration,
            vec(
                prop::bool::weighted(0.3),
                schema.block.attributes.len() + schema.block.blocks.len(),
            ),
            vec(prop::bool::weighted(0.15), names.len()),
        );
        let repair = self.repair.clone();
        vec(step, 1..=most)
            .prop_map(move |drafts| {
                let mut steps: Vec<Step> = Vec::with_capacity(drafts.len());
                for (draft, change, unknown) in drafts {
                    let mut written = draft;
                    if let Some(before) = steps.last() {
                        let parts = written.as_entries().unwrap().clone();
                        for (name, change) in parts.keys().zip(change) {
                            if !change {
                                written.set(name.clone(), before.written.get(name).clone());
                            }
                        }
                    }
                    if let Some(repair) = &repair {
                        written = repair(written);
                    }
                    let unknown = names
                        .iter()
                        .zip(unknown)
                        .filter(|(name, unknown)| *unknown && !written.get(name).is_null())
                        .map(|(name, _)| name.clone())
                        .collect();
                    steps.push(Step { written, unknown });
                }
                steps
            })
            .boxed()
    }

    fn block(&self, block: &Block, prefix: &str) -> BoxedStrategy<Value> {
        let attributes = block.attributes.iter().map(|attribute| {
            let name = Just(attribute.name.clone());
            (name, self.attribute(attribute, prefix))
        });
        let blocks = block
            .blocks
            .iter()
            .map(|nested| (Just(nested.name.clone()), self.nested_block(nested, prefix)));
        attributes
            .chain(blocks)
            .collect::<Vec<_>>()
            .prop_map(Value::object)
            .boxed()
    }

    fn attribute(&self, attribute: &Attribute, prefix: &str) -> BoxedStrategy<Value> {
        let path = format!("{prefix}{}", attribute.name);
        if let Some(values) = self.values.get(path.as_str()) {
            return values.clone();
        }
        if !attribute.required && !attribute.optional {
            return Just(Value::Null).boxed();
        }
        let value = match &attribute.kind {
            Kind::Plain(ty) => of_type(ty),
            Kind::Nested(nesting, attributes) => {
                let object = Block {
                    attributes: attributes.clone(),
                    ..Block::default()
                };
                repeated(*nesting, self.block(&object, &format!("{path}.")), 0..3)
            }
        };
        if attribute.required {
            value
        } else {
            prop_oneof![2 => Just(Value::Null), 3 => value].boxed()
        }
    }

    fn nested_block(&self, nested: &NestedBlock, prefix: &str) -> BoxedStrategy<Value> {
        let path = format!("{prefix}{}", nested.name);
        if let Some(values) = self.values.get(path.as_str()) {
            return values.clone();
        }
        let object = self.block(&nested.block, &format!("{path}."));
        let least = usize::try_from(nested.min_items).unwrap();
        let most = match usize::try_from(nested.max_items).unwrap() {
            0 => least + 2,
            most => most,
        };
        match nested.nesting {
            Nesting::Single if least == 0 => prop_oneof![Just(Value::Null), object].boxed(),
            nesting => repeated(nesting, object, least..most + 1),
        }
    }
}

fn repeated(
    nesting: Nesting,
    object: BoxedStrategy<Value>,
    count: std::ops::Range<usize>,
) -> BoxedStrategy<Value> {
    match nesting {
        Nesting::Single | Nesting::Group => object,
        Nesting::List => vec(object, count).prop_map(Value::List).boxed(),
        Nesting::Set => vec(object, count).prop_map(Value::set_of).boxed(),
        Nesting::Map => btree_map("[a-z]{1,4}", object, count)
            .prop_map(Value::Map)
            .boxed(),
    }
}

/// Small values of a type, so that equal ones come up too.
fn of_type(ty: &Type) -> BoxedStrategy<Value> {
    match ty {
        Type::Bool => any::<bool>().prop_map(Value::from).boxed(),
        Type::Number => (0_i64..4).prop_map(Value::from).boxed(),
        Type::String => "[a-c]{1,2}".prop_map(Value::from).boxed(),
        Type::List(element) => vec(of_type(element), 0..3).prop_map(Value::List).boxed(),
        Type::Set(element) => vec(of_type(element), 0..3).prop_map(Value::set_of).boxed(),
        Type::Map(element) => btree_map("[a-c]{1,2}", of_type(element), 0..3)
            .prop_map(Value::Map)
            .boxed(),
        Type::Object(types) => types
            .iter()
            .map(|(name, ty)| (Just(name.clone()), of_type(ty)))
            .collect::<Vec<_>>()
            .prop_map(Value::object)
            .boxed(),
        Type::Tuple(types) => types
            .iter()
            .map(of_type)
            .collect::<Vec<_>>()
            .prop_map(Value::Tuple)
            .boxed(),
        Type::Dynamic => "[a-c]{1,2}"
            .prop_map(|text| Value::dynamic(Type::String, Value::from(text)))
            .boxed(),
    }
}

/// Runs generated scenarios, the same ones for the same seed, and shrinks the first that fails. Answers what was covered.
///
/// # Panics
/// With the smallest failing scenario and what the provider did wrong in it.
pub(crate) fn check<F>(
    runtime: &tokio::runtime::Runtime,
    cases: u32,
    seed: u8,
    steps: &BoxedStrategy<Vec<Step>>,
    mut run: impl FnMut(Vec<Step>) -> F,
) -> Actions
where
    F: Future<Output = Result<Actions, String>>,
{
    let config = Config {
        cases,
        failure_persistence: None,
        max_shrink_iters: 200,
        ..Config::default()
    };
    let mut runner = TestRunner::new_with_rng(
        config,
        TestRng::from_seed(RngAlgorithm::ChaCha, &[seed; 32]),
    );
    let covered = std::cell::RefCell::new(Actions::new());
    let run = std::cell::RefCell::new(&mut run);
    let result = runner.run(steps, |steps| {
        let future = (run.borrow_mut())(steps);
        let actions = runtime.block_on(future).map_err(TestCaseError::fail)?;
        for (action, count) in actions {
            *covered.borrow_mut().entry(action).or_default() += count;
        }
        Ok(())
    });
    match result {
        Ok(()) => covered.into_inner(),
        Err(TestError::Fail(reason, steps)) => panic!("{reason}\nin the scenario {steps:#?}"),
        Err(TestError::Abort(reason)) => panic!("no scenario could be made: {reason}"),
    }
}
