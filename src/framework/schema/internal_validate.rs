//! Rules that Terraform core checks when it loads a schema, and a few of our own, so that a test finds what would
//! otherwise be an error for every user.

use std::collections::BTreeSet;

use crate::cty::{Type, Value};

use super::{Attribute, AttributeType, Block, NestedBlock, Nesting, PlanModifier, Schema};

/// Names that Terraform itself uses inside `resource` and `data` blocks.
const RESERVED_IN_RESOURCES: [&str; 7] = [
    "connection",
    "count",
    "depends_on",
    "for_each",
    "lifecycle",
    "provider",
    "provisioner",
];

/// Names that Terraform itself uses inside `provider` blocks.
const RESERVED_IN_PROVIDERS: [&str; 2] = ["alias", "version"];

/// Every fault of a schema, as `path: rule`; none for a good one.
///
/// The rules are those of core's `InternalValidate` (protocol reference, section 1.4), and that
/// - defaults stand only on attributes that are optional and computed, are wholly known and of the attribute's type;
/// - write-only attributes are not computed;
/// - plan modifiers that use the state stand only on computed attributes;
/// - there is a description.
#[must_use]
pub fn internal_validate(schema: &Schema) -> Vec<String> {
    let mut faults = Faults::default();
    if schema.version < 0 {
        faults.add("", "the version must not be negative");
    }
    faults.block(&schema.block, "");
    faults.0
}

/// [`internal_validate`] for the schema of a managed resource or data source, whose names must not be Terraform's own.
#[must_use]
pub fn internal_validate_resource(schema: &Schema) -> Vec<String> {
    with_reserved(schema, &RESERVED_IN_RESOURCES)
}

/// [`internal_validate`] for the schema of the provider block.
#[must_use]
pub fn internal_validate_provider(schema: &Schema) -> Vec<String> {
    with_reserved(schema, &RESERVED_IN_PROVIDERS)
}

fn with_reserved(schema: &Schema, reserved: &[&str]) -> Vec<String> {
    let mut faults = Faults(internal_validate(schema));
    let attributes = schema.block.attributes.iter().map(|a| a.name);
    let blocks = schema.block.blocks.iter().map(|b| b.name);
    for name in attributes.chain(blocks) {
        if reserved.contains(&name) {
            faults.add(name, "Terraform uses the name itself");
        }
    }
    faults.0
}

#[derive(Default)]
struct Faults(Vec<String>);

impl Faults {
    fn add(&mut self, path: &str, rule: impl Into<String>) {
        let rule = rule.into();
        self.0.push(if path.is_empty() {
            rule
        } else {
            format!("{path}: {rule}")
        });
    }

    fn block(&mut self, block: &Block, path: &str) {
        if block.description.is_empty() {
            self.add(path, "a description is needed");
        }
        let mut names = BTreeSet::new();
        for attribute in &block.attributes {
            self.name(attribute.name, path, &mut names);
            self.attribute(attribute, &join(path, attribute.name));
        }
        for nested in &block.blocks {
            self.name(nested.name, path, &mut names);
            self.nested_block(nested, &join(path, nested.name));
        }
    }

    fn name<'a>(&mut self, name: &'a str, path: &str, names: &mut BTreeSet<&'a str>) {
        let valid = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        if name.is_empty() || !name.chars().all(valid) {
            self.add(
                &join(path, name),
                "names consist of a-z, 0-9 and _ (^[a-z0-9_]+$)",
            );
        }
        if !names.insert(name) {
            self.add(&join(path, name), "the name is used twice");
        }
    }

    fn attribute(&mut self, attribute: &Attribute, path: &str) {
        let Attribute {
            required,
            optional,
            computed,
            ..
        } = *attribute;
        if !(required || optional || computed) {
            self.add(path, "must be required, optional or computed");
        }
        if optional && required {
            self.add(path, "cannot be both optional and required");
        }
        if computed && required {
            self.add(path, "cannot be both computed and required");
        }
        if attribute.write_only && computed {
            self.add(path, "cannot be both write-only and computed");
        }
        if attribute.description.is_empty() {
            self.add(path, "a description is needed");
        }
        if attribute.deprecation_message.as_deref() == Some("") {
            self.add(path, "deprecated without saying what to do instead");
        }
        if let Some(default) = &attribute.default {
            if !(optional && computed) {
                self.add(path, "a default needs optional and computed");
            }
            if default.is_null()
                || !default.is_wholly_known()
                || !is_of(default, &attribute.ty.ty())
            {
                self.add(path, "the default is not a known value of the type");
            }
        }
        for modifier in &attribute.plan_modifiers {
            let uses_state = matches!(
                modifier,
                PlanModifier::UseStateForUnknown | PlanModifier::UseNonNullStateForUnknown
            );
            if uses_state && !computed {
                self.add(path, format!("{modifier:?} needs computed"));
            }
        }
        let AttributeType::Nested {
            nesting,
            attributes,
        } = &attribute.ty
        else {
            return;
        };
        let mut names = BTreeSet::new();
        for inner in attributes {
            self.name(inner.name, path, &mut names);
            self.attribute(inner, &join(path, inner.name));
        }
        match nesting {
            Nesting::Group => self.add(path, "nested attributes cannot be a group"),
            Nesting::Set => self.set(attribute.ty.ty(), attributes.iter().any(write_only), path),
            Nesting::Single | Nesting::List | Nesting::Map => {}
        }
    }

    fn nested_block(&mut self, nested: &NestedBlock, path: &str) {
        let (min, max) = (nested.min_items, nested.max_items);
        match nested.nesting {
            Nesting::Single => {
                if min != max || !(0..=1).contains(&min) {
                    self.add(path, "min_items and max_items must both be 0 or both be 1");
                }
            }
            Nesting::Group | Nesting::Map => {
                if min != 0 || max != 0 {
                    self.add(path, "min_items and max_items must both be 0");
                }
            }
            Nesting::List | Nesting::Set => {
                if min < 0 || max < 0 {
                    self.add(path, "min_items and max_items must not be negative");
                }
                if min > max && max != 0 {
                    self.add(path, "min_items must not be greater than max_items");
                }
            }
        }
        if nested.nesting == Nesting::Set {
            self.set(nested.ty(), block_has_write_only(&nested.block), path);
        }
        self.block(&nested.block, path);
    }

    fn set(&mut self, ty: Type, write_only: bool, path: &str) {
        if ty.has_dynamic() {
            self.add(path, "a set cannot hold values of dynamic type");
        }
        if write_only {
            self.add(path, "a set cannot hold write-only attributes");
        }
    }
}

fn write_only(attribute: &Attribute) -> bool {
    attribute.write_only
        || match &attribute.ty {
            AttributeType::Plain(_) => false,
            AttributeType::Nested { attributes, .. } => attributes.iter().any(write_only),
        }
}

fn block_has_write_only(block: &Block) -> bool {
    block.attributes.iter().any(write_only)
        || block.blocks.iter().any(|b| block_has_write_only(&b.block))
}

fn is_of(value: &Value, ty: &Type) -> bool {
    value.conforms_to(ty).is_ok()
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() {
        name.to_owned()
    } else {
        format!("{path}.{name}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(name: &'static str) -> Attribute {
        Attribute::string(name, "Text.")
    }

    fn schema() -> Schema {
        Schema::new("A thing.")
    }

    fn nested(nesting: Nesting, attribute: Attribute) -> Schema {
        schema().attribute(Attribute::nested("n", nesting, vec![attribute], "N.").optional())
    }

    fn block(block: NestedBlock) -> Schema {
        schema().nested_block(block)
    }

    fn inner() -> Block {
        Block::new("Inner.").attribute(text("a").optional())
    }

    #[test]
    fn good_schemas_have_no_faults() {
        for (name, schema) in [
            ("empty", schema()),
            ("required", schema().attribute(text("a").required())),
            ("both", schema().attribute(text("a").optional().computed())),
            ("default", schema().attribute(text("a").default("x"))),
            ("nested", nested(Nesting::Set, text("a").required())),
            (
                "write-only in a list",
                nested(Nesting::List, text("a").optional().write_only()),
            ),
            ("single", block(NestedBlock::single("b", inner()))),
            (
                "single, required",
                block(NestedBlock::single("b", inner()).items(1, 1)),
            ),
            ("set", block(NestedBlock::set("b", inner()).items(1, 0))),
            ("list", block(NestedBlock::list("b", inner()).items(1, 2))),
        ] {
            assert_eq!(
                internal_validate_resource(&schema),
                Vec::<String>::new(),
                "{name}"
            );
        }
    }

    #[test]
    fn each_rule_is_checked() {
        let any = |name| Attribute::new(name, Type::Dynamic, "Any.").optional();
        for (schema, expected) in [
            (schema().version(-1), "the version must not be negative"),
            (Schema::new(""), "a description is needed"),
            (
                schema().attribute(text("a")),
                "a: must be required, optional or computed",
            ),
            (
                schema().attribute(text("a").optional().required()),
                "a: cannot be both optional and required",
            ),
            (
                schema().attribute(text("a").computed().required()),
                "a: cannot be both computed and required",
            ),
            (
                schema().attribute(text("a").optional().computed().write_only()),
                "a: cannot be both write-only and computed",
            ),
            (
                schema().attribute(Attribute::string("a", "").optional()),
                "a: a description is needed",
            ),
            (
                schema().attribute(text("a").optional().deprecated("")),
                "a: deprecated without saying what to do instead",
            ),
            (
                schema().attribute(text("A-b").optional()),
                "A-b: names consist of a-z, 0-9 and _ (^[a-z0-9_]+$)",
            ),
            (
                schema()
                    .attribute(text("a").optional())
                    .nested_block(NestedBlock::single("a", inner())),
                "a: the name is used twice",
            ),
            (
                schema().attribute(text("a").required().plan(PlanModifier::UseStateForUnknown)),
                "a: UseStateForUnknown needs computed",
            ),
            (
                schema().attribute(text("a").default(true)),
                "a: the default is not a known value of the type",
            ),
            (
                schema().attribute(Attribute {
                    default: Some("x".into()),
                    ..text("a").optional()
                }),
                "a: a default needs optional and computed",
            ),
            (
                nested(Nesting::List, text("a")),
                "n.a: must be required, optional or computed",
            ),
            (
                nested(Nesting::Group, text("a").optional()),
                "n: nested attributes cannot be a group",
            ),
            (
                nested(Nesting::Set, any("a")),
                "n: a set cannot hold values of dynamic type",
            ),
            (
                nested(Nesting::Set, text("a").optional().write_only()),
                "n: a set cannot hold write-only attributes",
            ),
            (
                block(NestedBlock::set(
                    "b",
                    Block::new("Inner.").attribute(any("a")),
                )),
                "b: a set cannot hold values of dynamic type",
            ),
            (
                block(NestedBlock::set(
                    "b",
                    Block::new("Inner.").attribute(text("a").optional().write_only()),
                )),
                "b: a set cannot hold write-only attributes",
            ),
            (
                block(NestedBlock::single("b", inner()).items(0, 1)),
                "b: min_items and max_items must both be 0 or both be 1",
            ),
            (
                block(NestedBlock {
                    nesting: Nesting::Map,
                    ..NestedBlock::list("b", inner()).items(1, 1)
                }),
                "b: min_items and max_items must both be 0",
            ),
            (
                block(NestedBlock::list("b", inner()).items(3, 2)),
                "b: min_items must not be greater than max_items",
            ),
            (
                block(NestedBlock::list("b", inner()).items(-1, 2)),
                "b: min_items and max_items must not be negative",
            ),
            (
                schema().attribute(text("count").optional()),
                "count: Terraform uses the name itself",
            ),
        ] {
            assert_eq!(internal_validate_resource(&schema), [expected]);
        }
        assert_eq!(
            internal_validate_provider(&schema().attribute(text("alias").optional())),
            ["alias: Terraform uses the name itself"]
        );
    }
}
