//! Schemas for core.

use crate::cty::json::type_to_json;
use crate::framework::engine::IdentityType;
use crate::framework::function::{FunctionDefinition, Parameter};
use crate::framework::schema::{Attribute, AttributeType, Block, NestedBlock, Nesting, Schema};
use crate::proto::tfplugin6 as tf;

use tf::schema::{nested_block, object};

/// A schema. The block is always there: core reads it without looking.
pub(in crate::rpc) fn schema(schema: &Schema) -> tf::Schema {
    tf::Schema {
        version: schema.version,
        block: Some(tf::schema::Block {
            version: schema.version,
            ..block(&schema.block)
        }),
    }
}

fn block(block: &Block) -> tf::schema::Block {
    tf::schema::Block {
        version: 0,
        attributes: block.attributes.iter().map(attribute).collect(),
        block_types: block.blocks.iter().map(nested_block).collect(),
        description: block.description.clone(),
        description_kind: tf::StringKind::Markdown.into(),
        deprecated: block.deprecation_message.is_some(),
        deprecation_message: block.deprecation_message.clone().unwrap_or_default(),
        computed: false,
    }
}

fn attribute(attribute: &Attribute) -> tf::schema::Attribute {
    let (ty, nested_type) = match &attribute.ty {
        AttributeType::Plain(ty) => (type_to_json(ty), None),
        AttributeType::Nested {
            nesting,
            attributes,
        } => {
            let nesting = match nesting {
                Nesting::Single | Nesting::Group => object::NestingMode::Single,
                Nesting::List => object::NestingMode::List,
                Nesting::Set => object::NestingMode::Set,
                Nesting::Map => object::NestingMode::Map,
            };
            let nested = tf::schema::Object {
                attributes: attributes.iter().map(self::attribute).collect(),
                nesting: nesting.into(),
                ..tf::schema::Object::default()
            };
            (Vec::new(), Some(nested))
        }
    };
    tf::schema::Attribute {
        name: attribute.name.to_owned(),
        r#type: ty,
        nested_type,
        description: attribute.description.clone(),
        required: attribute.required,
        optional: attribute.optional,
        computed: attribute.computed,
        sensitive: attribute.sensitive,
        description_kind: tf::StringKind::Markdown.into(),
        deprecated: attribute.deprecation_message.is_some(),
        write_only: attribute.write_only,
        deprecation_message: attribute.deprecation_message.clone().unwrap_or_default(),
    }
}

fn nested_block(nested: &NestedBlock) -> tf::schema::NestedBlock {
    let nesting = match nested.nesting {
        Nesting::Single => nested_block::NestingMode::Single,
        Nesting::List => nested_block::NestingMode::List,
        Nesting::Set => nested_block::NestingMode::Set,
        Nesting::Map => nested_block::NestingMode::Map,
        Nesting::Group => nested_block::NestingMode::Group,
    };
    tf::schema::NestedBlock {
        type_name: nested.name.to_owned(),
        block: Some(block(&nested.block)),
        nesting: nesting.into(),
        min_items: nested.min_items,
        max_items: nested.max_items,
    }
}

/// An identity schema.
pub(in crate::rpc) fn identity(identity: &IdentityType) -> tf::ResourceIdentitySchema {
    let identity_attributes = identity
        .schema
        .attributes
        .iter()
        .map(
            |attribute| tf::resource_identity_schema::IdentityAttribute {
                name: attribute.name.to_owned(),
                r#type: type_to_json(&attribute.ty),
                required_for_import: attribute.required_for_import,
                optional_for_import: !attribute.required_for_import,
                description: attribute.description.clone(),
            },
        )
        .collect();
    tf::ResourceIdentitySchema {
        version: identity.schema.version,
        identity_attributes,
    }
}

/// A function. The return type is always there: core reads it without looking.
pub(in crate::rpc) fn function(definition: &FunctionDefinition) -> tf::Function {
    tf::Function {
        parameters: definition.parameters.iter().map(parameter).collect(),
        variadic_parameter: definition.variadic_parameter.as_ref().map(parameter),
        r#return: Some(tf::function::Return {
            r#type: type_to_json(&definition.result),
        }),
        summary: definition.summary.clone(),
        description: definition.description.clone(),
        description_kind: tf::StringKind::Markdown.into(),
        deprecation_message: String::new(),
    }
}

fn parameter(parameter: &Parameter) -> tf::function::Parameter {
    tf::function::Parameter {
        name: parameter.name.to_owned(),
        r#type: type_to_json(&parameter.ty),
        allow_null_value: parameter.allow_null,
        allow_unknown_values: parameter.allow_unknown,
        description: parameter.description.clone(),
        description_kind: tf::StringKind::Markdown.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cty::Type;

    #[test]
    fn a_schema_arrives_whole() {
        let converted = schema(
            &Schema::new("A thing.")
                .version(2)
                .attribute(Attribute::list("names", Type::String, "Names.").required())
                .attribute(
                    Attribute::nested(
                        "trust",
                        Nesting::Single,
                        vec![Attribute::string("arn", "ARN.").computed()],
                        "Trust.",
                    )
                    .optional()
                    .sensitive()
                    .deprecated("Use names."),
                )
                .nested_block(
                    NestedBlock::list(
                        "rule",
                        Block::new("A rule.")
                            .attribute(Attribute::bool("on", "On.").optional().write_only()),
                    )
                    .items(1, 2),
                ),
        );
        let markdown = i32::from(tf::StringKind::Markdown);
        let expected = tf::Schema {
            version: 2,
            block: Some(tf::schema::Block {
                version: 2,
                description: "A thing.".to_owned(),
                description_kind: markdown,
                attributes: vec![
                    tf::schema::Attribute {
                        name: "names".to_owned(),
                        r#type: br#"["list","string"]"#.to_vec(),
                        description: "Names.".to_owned(),
                        description_kind: markdown,
                        required: true,
                        ..Default::default()
                    },
                    tf::schema::Attribute {
                        name: "trust".to_owned(),
                        nested_type: Some(tf::schema::Object {
                            nesting: object::NestingMode::Single.into(),
                            attributes: vec![tf::schema::Attribute {
                                name: "arn".to_owned(),
                                r#type: br#""string""#.to_vec(),
                                description: "ARN.".to_owned(),
                                description_kind: markdown,
                                computed: true,
                                ..Default::default()
                            }],
                            ..Default::default()
                        }),
                        description: "Trust.".to_owned(),
                        description_kind: markdown,
                        optional: true,
                        sensitive: true,
                        deprecated: true,
                        deprecation_message: "Use names.".to_owned(),
                        ..Default::default()
                    },
                ],
                block_types: vec![tf::schema::NestedBlock {
                    type_name: "rule".to_owned(),
                    nesting: nested_block::NestingMode::List.into(),
                    min_items: 1,
                    max_items: 2,
                    block: Some(tf::schema::Block {
                        description: "A rule.".to_owned(),
                        description_kind: markdown,
                        attributes: vec![tf::schema::Attribute {
                            name: "on".to_owned(),
                            r#type: br#""bool""#.to_vec(),
                            description: "On.".to_owned(),
                            description_kind: markdown,
                            optional: true,
                            write_only: true,
                            ..Default::default()
                        }],
                        ..Default::default()
                    }),
                }],
                ..Default::default()
            }),
        };
        assert_eq!(converted, expected);
    }
}
