//! Schemas as Core sees them, with the checks it makes when it loads them.

use std::collections::BTreeSet;

use podidentity::cty::{Type, Value, json};
use podidentity::proto::tfplugin6 as pb;

use crate::rules::Violation;

#[derive(Clone, Debug)]
pub(crate) struct Schema {
    pub(crate) version: i64,
    pub(crate) block: Block,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Block {
    pub(crate) attributes: Vec<Attribute>,
    pub(crate) blocks: Vec<NestedBlock>,
    pub(crate) computed: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct Attribute {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    pub(crate) required: bool,
    pub(crate) optional: bool,
    pub(crate) computed: bool,
    pub(crate) sensitive: bool,
    pub(crate) write_only: bool,
}

#[derive(Clone, Debug)]
pub(crate) enum Kind {
    Plain(Type),
    Nested(Nesting, Vec<Attribute>),
}

#[derive(Clone, Debug)]
pub(crate) struct NestedBlock {
    pub(crate) name: String,
    pub(crate) nesting: Nesting,
    pub(crate) block: Block,
    pub(crate) min_items: i64,
    pub(crate) max_items: i64,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Nesting {
    Single,
    List,
    Set,
    Map,
    Group,
}

impl Nesting {
    fn wrap(self, object: Type) -> Type {
        match self {
            Self::Single | Self::Group => object,
            Self::List => Type::list(object),
            Self::Set => Type::set(object),
            Self::Map => Type::map(object),
        }
    }

    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Single => "single",
            Self::List => "list",
            Self::Set => "set",
            Self::Map => "map",
            Self::Group => "group",
        }
    }
}

impl Schema {
    /// Reads a schema; what Core would refuse to load, or crash on, is a violation of rule `schema`.
    pub(crate) fn load(name: &str, schema: &pb::Schema) -> Result<Self, Violation> {
        let fault = |message: String| Violation::new("schema", format!("{name}: {message}"));
        if schema.version < 0 {
            return Err(fault("negative version".to_owned()));
        }
        let block = schema
            .block
            .as_ref()
            .ok_or_else(|| fault("block is not set".to_owned()))?;
        Ok(Self {
            version: schema.version,
            block: block_from(block, false).map_err(fault)?,
        })
    }
}

fn block_from(block: &pb::schema::Block, in_set: bool) -> Result<Block, String> {
    if !block.deprecated && !block.deprecation_message.is_empty() {
        return Err("deprecation_message without deprecated".to_owned());
    }
    let attributes = attributes_from(&block.attributes, in_set)?;
    let mut names: BTreeSet<&str> = block.attributes.iter().map(|a| a.name.as_str()).collect();
    let mut blocks = Vec::new();
    for nested in &block.block_types {
        let name = &nested.type_name;
        if !names.insert(name) {
            return Err(format!("{name} stands twice"));
        }
        blocks.push(nested_block_from(nested, in_set).map_err(|e| format!("{name}: {e}"))?);
    }
    if block.computed {
        let foreign = attributes.iter().find(|a| !a.computed);
        if let Some(attribute) = foreign {
            return Err(format!(
                "{} is not computed in a computed block",
                attribute.name
            ));
        }
    }
    Ok(Block {
        attributes,
        blocks,
        computed: block.computed,
    })
}

fn nested_block_from(
    nested: &pb::schema::NestedBlock,
    in_set: bool,
) -> Result<NestedBlock, String> {
    use pb::schema::nested_block::NestingMode;

    check_name(&nested.type_name)?;
    let (min, max) = (nested.min_items, nested.max_items);
    let (nesting, items_right) = match nested.nesting() {
        NestingMode::Invalid => return Err("no nesting mode".to_owned()),
        NestingMode::Single => (Nesting::Single, min == max && (0..=1).contains(&min)),
        NestingMode::List => (Nesting::List, min >= 0 && (max == 0 || min <= max)),
        NestingMode::Set => (Nesting::Set, min >= 0 && (max == 0 || min <= max)),
        NestingMode::Map => (Nesting::Map, min == 0 && max == 0),
        NestingMode::Group => (Nesting::Group, min == 0 && max == 0),
    };
    if !items_right {
        return Err(format!(
            "min_items {min} and max_items {max} with {nesting:?}"
        ));
    }
    let inner = nested.block.as_ref().ok_or("block is not set")?;
    let block = block_from(inner, in_set || nesting == Nesting::Set)?;
    if block.computed && (nesting == Nesting::Group || min > 0) {
        return Err("a computed block cannot be a group nor have min_items".to_owned());
    }
    Ok(NestedBlock {
        name: nested.type_name.clone(),
        nesting,
        block,
        min_items: min,
        max_items: max,
    })
}

fn attributes_from(
    attributes: &[pb::schema::Attribute],
    in_set: bool,
) -> Result<Vec<Attribute>, String> {
    let mut names = BTreeSet::new();
    attributes
        .iter()
        .map(|attribute| {
            let name = &attribute.name;
            if !names.insert(name) {
                return Err(format!("{name} stands twice"));
            }
            attribute_from(attribute, in_set).map_err(|e| format!("{name}: {e}"))
        })
        .collect()
}

fn attribute_from(attribute: &pb::schema::Attribute, in_set: bool) -> Result<Attribute, String> {
    use pb::schema::object::NestingMode;

    check_name(&attribute.name)?;
    let (required, optional, computed) =
        (attribute.required, attribute.optional, attribute.computed);
    if !(required || optional || computed) {
        return Err("neither optional, required nor computed".to_owned());
    }
    if required && (optional || computed) {
        return Err("required together with optional or computed".to_owned());
    }
    if !attribute.deprecated && !attribute.deprecation_message.is_empty() {
        return Err("deprecation_message without deprecated".to_owned());
    }
    if in_set && attribute.write_only {
        return Err("write-only inside a set".to_owned());
    }
    let kind = match (attribute.r#type.as_slice(), &attribute.nested_type) {
        ([], None) => return Err("either Type or NestedType must be defined".to_owned()),
        ([], Some(object)) => {
            let nesting = match object.nesting() {
                NestingMode::Invalid => return Err("no nesting mode".to_owned()),
                NestingMode::Single => Nesting::Single,
                NestingMode::List => Nesting::List,
                NestingMode::Set => Nesting::Set,
                NestingMode::Map => Nesting::Map,
            };
            Kind::Nested(
                nesting,
                attributes_from(&object.attributes, in_set || nesting == Nesting::Set)?,
            )
        }
        (ty, None) => {
            let ty = json::type_from_json(ty).map_err(|e| e.to_string())?;
            if in_set && ty.has_dynamic() {
                return Err("dynamic inside a set".to_owned());
            }
            Kind::Plain(ty)
        }
        _ => return Err("Type and NestedType cannot both be set".to_owned()),
    };
    Ok(Attribute {
        name: attribute.name.clone(),
        kind,
        required,
        optional,
        computed,
        sensitive: attribute.sensitive,
        write_only: attribute.write_only,
    })
}

fn check_name(name: &str) -> Result<(), String> {
    let valid = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
    if name.is_empty() || !name.bytes().all(valid) {
        return Err(format!("{name:?} is no attribute or block name"));
    }
    Ok(())
}

impl Block {
    pub(crate) fn ty(&self) -> Type {
        let blocks = self
            .blocks
            .iter()
            .map(|b| (b.name.clone(), b.nesting.wrap(b.block.ty())));
        Type::object(
            self.attributes
                .iter()
                .map(|a| (a.name.clone(), a.ty()))
                .chain(blocks),
        )
    }

    /// What an empty configuration block decodes to: attributes null, no blocks.
    pub(crate) fn empty(&self) -> Value {
        let attributes = self
            .attributes
            .iter()
            .map(|a| (a.name.clone(), Value::Null));
        let blocks = self.blocks.iter().map(|b| (b.name.clone(), b.none()));
        Value::object(attributes.chain(blocks))
    }

    /// A whole configuration from the attributes and blocks that a user wrote.
    ///
    /// # Panics
    /// When `written` has something that the schema does not have: the test is wrong.
    pub(crate) fn configuration(&self, written: &Value) -> Value {
        if !matches!(written, Value::Object(_)) {
            return written.clone();
        }
        let mut value = self.empty();
        for (name, part) in written.as_entries().unwrap() {
            let part = if let Some(attribute) = self.attributes.iter().find(|a| a.name == *name) {
                attribute.configuration(part)
            } else if let Some(nested) = self.blocks.iter().find(|b| b.name == *name) {
                each(nested.nesting, part, |part| {
                    nested.block.configuration(part)
                })
            } else {
                panic!("the schema has no {name}");
            };
            value.set(name.clone(), part);
        }
        value
    }
}

impl NestedBlock {
    /// The value when no such block is written.
    pub(crate) fn none(&self) -> Value {
        match self.nesting {
            Nesting::Single => Value::Null,
            Nesting::Group => self.block.empty(),
            Nesting::List => Value::List(vec![]),
            Nesting::Set => Value::Set(vec![]),
            Nesting::Map => Value::Map([].into()),
        }
    }
}

impl Attribute {
    pub(crate) fn ty(&self) -> Type {
        match &self.kind {
            Kind::Plain(ty) => ty.clone(),
            Kind::Nested(nesting, attributes) => nesting.wrap(Type::object(
                attributes.iter().map(|a| (a.name.clone(), a.ty())),
            )),
        }
    }

    fn configuration(&self, written: &Value) -> Value {
        let Kind::Nested(nesting, attributes) = &self.kind else {
            return written.clone();
        };
        let object = Block {
            attributes: attributes.clone(),
            ..Block::default()
        };
        each(*nesting, written, |part| object.configuration(part))
    }
}

/// Applies `change` to every object of a nested value.
fn each(nesting: Nesting, value: &Value, change: impl Fn(&Value) -> Value) -> Value {
    match (nesting, value) {
        (Nesting::Single | Nesting::Group, _) => change(value),
        (_, Value::List(items)) => Value::List(items.iter().map(change).collect()),
        (_, Value::Set(items)) => Value::set_of(items.iter().map(change)),
        (_, Value::Map(entries)) => Value::Map(
            entries
                .iter()
                .map(|(k, v)| (k.clone(), change(v)))
                .collect(),
        ),
        _ => value.clone(),
    }
}

/// Paths of write-only attributes that hold a value.
pub(crate) fn write_only_values(block: &Block, value: &Value) -> Vec<String> {
    fn in_attributes(
        attributes: &[Attribute],
        value: &Value,
        prefix: &str,
        found: &mut Vec<String>,
    ) {
        for attribute in attributes {
            let (path, value) = (
                format!("{prefix}{}", attribute.name),
                value.get(&attribute.name),
            );
            if attribute.write_only && !value.is_null() {
                found.push(path.clone());
            }
            if let Kind::Nested(_, nested) = &attribute.kind {
                for object in objects(value) {
                    in_attributes(nested, object, &format!("{path}."), found);
                }
            }
        }
    }
    fn in_block(block: &Block, value: &Value, prefix: &str, found: &mut Vec<String>) {
        in_attributes(&block.attributes, value, prefix, found);
        for nested in &block.blocks {
            for object in objects(value.get(&nested.name)) {
                in_block(
                    &nested.block,
                    object,
                    &format!("{prefix}{}.", nested.name),
                    found,
                );
            }
        }
    }
    let mut found = Vec::new();
    in_block(block, value, "", &mut found);
    found
}

/// The objects of a nested value of any nesting.
fn objects(value: &Value) -> Vec<&Value> {
    match value {
        Value::List(items) | Value::Set(items) => items.iter().collect(),
        Value::Map(entries) => entries.values().collect(),
        Value::Object(_) => vec![value],
        _ => vec![],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn string(name: &str) -> pb::schema::Attribute {
        pb::schema::Attribute {
            name: name.to_owned(),
            r#type: br#""string""#.to_vec(),
            optional: true,
            ..Default::default()
        }
    }

    fn block(change: impl FnOnce(&mut pb::schema::Block)) -> pb::Schema {
        let mut block = pb::schema::Block {
            attributes: vec![string("name")],
            block_types: vec![pb::schema::NestedBlock {
                type_name: "inner".to_owned(),
                nesting: pb::schema::nested_block::NestingMode::Set.into(),
                block: Some(pb::schema::Block::default()),
                ..Default::default()
            }],
            ..Default::default()
        };
        change(&mut block);
        pb::Schema {
            version: 0,
            block: Some(block),
        }
    }

    #[test]
    fn what_core_refuses_to_load() {
        assert!(Schema::load("x", &block(|_| {})).is_ok());
        type Change = fn(&mut pb::schema::Block);
        let cases: [(&str, Change); 18] = [
            ("no type", |b| b.attributes[0].r#type.clear()),
            ("bad type", |b| b.attributes[0].r#type = b"strin".to_vec()),
            ("both types", |b| {
                b.attributes[0].nested_type = Some(pb::schema::Object::default())
            }),
            ("no nesting", |b| {
                b.attributes[0].r#type.clear();
                b.attributes[0].nested_type = Some(pb::schema::Object::default());
            }),
            ("no mode", |b| b.attributes[0].optional = false),
            ("required and optional", |b| b.attributes[0].required = true),
            ("required and computed", |b| {
                b.attributes[0].optional = false;
                b.attributes[0].required = true;
                b.attributes[0].computed = true;
            }),
            ("bad name", |b| b.attributes[0].name = "Name".to_owned()),
            ("empty name", |b| b.attributes[0].name.clear()),
            ("twice", |b| b.attributes.push(string("name"))),
            ("attribute and block", |b| {
                b.attributes.push(string("inner"))
            }),
            ("deprecation", |b| {
                b.attributes[0].deprecation_message = "x".to_owned()
            }),
            ("block unset", |b| b.block_types[0].block = None),
            ("block nesting", |b| b.block_types[0].nesting = 0),
            ("items", |b| {
                b.block_types[0].min_items = 2;
                b.block_types[0].max_items = 1;
            }),
            ("single items", |b| {
                b.block_types[0].nesting = pb::schema::nested_block::NestingMode::Single.into();
                b.block_types[0].max_items = 1;
            }),
            ("dynamic in set", |b| {
                let mut attribute = string("any");
                attribute.r#type = br#""dynamic""#.to_vec();
                b.block_types[0]
                    .block
                    .as_mut()
                    .unwrap()
                    .attributes
                    .push(attribute);
            }),
            ("write-only in set", |b| {
                let mut attribute = string("secret");
                attribute.write_only = true;
                b.block_types[0]
                    .block
                    .as_mut()
                    .unwrap()
                    .attributes
                    .push(attribute);
            }),
        ];
        for (name, change) in cases {
            let violation = Schema::load("x", &block(change)).map(|_| ()).unwrap_err();
            assert_eq!(violation.rule, "schema", "{name}");
        }
        assert!(
            Schema::load(
                "x",
                &pb::Schema {
                    version: 0,
                    block: None
                }
            )
            .is_err()
        );
        let negative = pb::Schema {
            version: -1,
            ..block(|_| {})
        };
        assert!(Schema::load("x", &negative).is_err());
    }
}
