//! Schemas: what users may write, what Terraform shows, and how values are checked, defaulted and planned.
//!
//! A schema is built once and read often:
//!
//! ```
//! use podidentity::cty::Type;
//! use podidentity::framework::schema::{Attribute, Schema};
//!
//! let schema = Schema::new("Manages a thing.")
//!     .attribute(Attribute::string("name", "The name.").required().requires_replace())
//!     .attribute(Attribute::map("tags", Type::String, "Tags of the thing.").optional())
//!     .attribute(Attribute::string("id", "The id.").computed().use_state_for_unknown());
//! assert_eq!(schema.block.attributes.len(), 3);
//! ```

mod internal_validate;

use std::fmt;
use std::sync::Arc;

use crate::cty::{Path, Type, Value};

use super::diagnostic::Diagnostics;

pub use internal_validate::{
    internal_validate, internal_validate_provider, internal_validate_resource,
};

/// The schema of a resource, data source, provider or other object.
#[derive(Clone, Debug, Default)]
pub struct Schema {
    /// Version of the state format; raise it together with a state upgrader.
    pub version: i64,
    /// The root block.
    pub block: Block,
}

/// A block: attributes and nested blocks.
#[derive(Clone, Debug, Default)]
pub struct Block {
    /// For documentation: whole sentences, Markdown.
    pub description: String,
    /// Set when users should stop using it: what to do instead.
    pub deprecation_message: Option<String>,
    /// In the order Required, Optional, Computed.
    pub attributes: Vec<Attribute>,
    /// Nested blocks.
    pub blocks: Vec<NestedBlock>,
}

/// A named argument or result.
#[derive(Clone, Debug)]
pub struct Attribute {
    /// The name, in snake case.
    pub name: &'static str,
    /// Its type, plain or nested.
    pub ty: AttributeType,
    /// For documentation: whole sentences with units and defaults, Markdown.
    pub description: String,
    /// The user must set it.
    pub required: bool,
    /// The user may set it.
    pub optional: bool,
    /// The provider may set it.
    pub computed: bool,
    /// Hidden in Terraform's output.
    pub sensitive: bool,
    /// Never stored in plan or state (Terraform 1.11 and later).
    pub write_only: bool,
    /// Set when users should stop using it: what to do instead.
    pub deprecation_message: Option<String>,
    /// Value used when the configuration has none. Only together with optional and computed.
    pub default: Option<Value>,
    /// Checks of configured values.
    pub validators: Vec<Arc<dyn Validator>>,
    /// How the planned value is made.
    pub plan_modifiers: Vec<PlanModifier>,
    /// When two different values mean the same.
    pub semantic_equality: Option<Arc<dyn SemanticEquality>>,
}

/// The type of an attribute.
#[derive(Clone, Debug)]
pub enum AttributeType {
    /// A type constraint.
    Plain(Type),
    /// Nested attributes, each with behaviour of its own (protocol 6).
    Nested {
        /// How they repeat.
        nesting: Nesting,
        /// The attributes of one object.
        attributes: Vec<Attribute>,
    },
}

/// How nested attributes or nested blocks repeat.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Nesting {
    /// One object or null.
    Single,
    /// A list of objects.
    List,
    /// A set of objects.
    Set,
    /// A map of objects.
    Map,
    /// Blocks only: always one object, with null attributes when absent.
    Group,
}

/// A nested block.
#[derive(Clone, Debug)]
pub struct NestedBlock {
    /// The block's name.
    pub name: &'static str,
    /// How it repeats.
    pub nesting: Nesting,
    /// Its contents.
    pub block: Block,
    /// Least number of blocks.
    pub min_items: i64,
    /// Greatest number of blocks; 0 is unlimited.
    pub max_items: i64,
    /// Checks of the whole block value.
    pub validators: Vec<Arc<dyn Validator>>,
}

/// A check of one configured value. Called for null and unknown values too: most validators skip those.
pub trait Validator: fmt::Debug + Send + Sync {
    /// What it demands, for documentation: `1 to 64 characters`. Empty if there is nothing to say.
    fn description(&self) -> String;

    /// Adds a diagnostic at `request.path` for each fault.
    fn validate(&self, request: &ValidatorRequest<'_>, diagnostics: &mut Diagnostics);
}

/// What a [`Validator`] looks at.
#[derive(Clone, Copy, Debug)]
pub struct ValidatorRequest<'a> {
    /// Where the value stands.
    pub path: &'a Path,
    /// The configured value.
    pub value: &'a Value,
    /// The whole configuration.
    pub config: &'a Value,
    /// The object that holds the attribute: the whole configuration, or the nested object or block around it.
    pub parent: &'a Value,
    /// Whether the value must not be shown in diagnostics.
    pub sensitive: bool,
}

/// How a planned value is made from configuration and prior state.
#[derive(Clone)]
pub enum PlanModifier {
    /// Instead of unknown, plan what the state has (null too). For results that never change once set.
    UseStateForUnknown,
    /// Instead of unknown, plan what the state has unless that is null.
    UseNonNullStateForUnknown,
    /// A change of this attribute replaces the object.
    RequiresReplace,
    /// A change replaces the object only if the attribute is configured.
    RequiresReplaceIfConfigured,
    /// A change replaces the object if the function says so.
    RequiresReplaceIf(Arc<ReplaceCondition>),
}

/// Decides whether a changed attribute replaces the object.
pub type ReplaceCondition = dyn Fn(&ReplaceRequest<'_>) -> bool + Send + Sync;

/// What a [`ReplaceCondition`] looks at.
#[derive(Clone, Copy, Debug)]
pub struct ReplaceRequest<'a> {
    /// Where the value stands.
    pub path: &'a Path,
    /// The attribute's configured value.
    pub config_value: &'a Value,
    /// The attribute in prior state.
    pub state_value: &'a Value,
    /// The attribute as planned.
    pub plan_value: &'a Value,
    /// The whole configuration.
    pub config: &'a Value,
    /// The whole prior state.
    pub state: &'a Value,
}

impl fmt::Debug for PlanModifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::UseStateForUnknown => "UseStateForUnknown",
            Self::UseNonNullStateForUnknown => "UseNonNullStateForUnknown",
            Self::RequiresReplace => "RequiresReplace",
            Self::RequiresReplaceIfConfigured => "RequiresReplaceIfConfigured",
            Self::RequiresReplaceIf(_) => "RequiresReplaceIf",
        })
    }
}

/// When two known, non-null values of an attribute mean the same. The framework then keeps the prior one on create,
/// read and update results, so that AWS spelling a value differently is no change.
pub trait SemanticEquality: fmt::Debug + Send + Sync {
    /// Whether `prior` and `new` mean the same.
    fn semantically_equal(&self, prior: &Value, new: &Value) -> bool;
}

impl Schema {
    /// An empty schema, version 0.
    #[must_use]
    pub fn new(description: impl Into<String>) -> Self {
        Self {
            version: 0,
            block: Block::new(description),
        }
    }

    /// Sets the version of the state format.
    #[must_use]
    pub fn version(mut self, version: i64) -> Self {
        self.version = version;
        self
    }

    /// Adds an attribute.
    #[must_use]
    pub fn attribute(mut self, attribute: Attribute) -> Self {
        self.block = self.block.attribute(attribute);
        self
    }

    /// Adds a nested block.
    #[must_use]
    pub fn nested_block(mut self, block: NestedBlock) -> Self {
        self.block = self.block.nested_block(block);
        self
    }

    /// The type of a whole value.
    #[must_use]
    pub fn ty(&self) -> Type {
        self.block.ty()
    }
}

impl Block {
    /// An empty block.
    #[must_use]
    pub fn new(description: impl Into<String>) -> Self {
        Self {
            description: description.into(),
            ..Self::default()
        }
    }

    /// Adds an attribute.
    #[must_use]
    pub fn attribute(mut self, attribute: Attribute) -> Self {
        self.attributes.push(attribute);
        self
    }

    /// Adds a nested block.
    #[must_use]
    pub fn nested_block(mut self, block: NestedBlock) -> Self {
        self.blocks.push(block);
        self
    }

    /// The object type of this block's value.
    #[must_use]
    pub fn ty(&self) -> Type {
        let attributes = self.attributes.iter().map(|a| (a.name, a.ty.ty()));
        let blocks = self.blocks.iter().map(|b| (b.name, b.ty()));
        Type::object(attributes.chain(blocks))
    }
}

impl NestedBlock {
    /// A block that may stand at most once.
    #[must_use]
    pub fn single(name: &'static str, block: Block) -> Self {
        Self::new(name, Nesting::Single, block)
    }

    /// A block that may repeat, in order.
    #[must_use]
    pub fn list(name: &'static str, block: Block) -> Self {
        Self::new(name, Nesting::List, block)
    }

    /// A block that may repeat, order without meaning.
    #[must_use]
    pub fn set(name: &'static str, block: Block) -> Self {
        Self::new(name, Nesting::Set, block)
    }

    /// Limits how often a list or set block may stand; `max` 0 is unlimited.
    #[must_use]
    pub fn items(mut self, min: i64, max: i64) -> Self {
        self.min_items = min;
        self.max_items = max;
        self
    }

    /// Adds a check of the whole block value.
    #[must_use]
    pub fn validate(mut self, validator: impl Validator + 'static) -> Self {
        self.validators.push(Arc::new(validator));
        self
    }

    /// The type of the block's value.
    #[must_use]
    pub fn ty(&self) -> Type {
        self.nesting.wrap(self.block.ty())
    }

    fn new(name: &'static str, nesting: Nesting, block: Block) -> Self {
        Self {
            name,
            nesting,
            block,
            min_items: 0,
            max_items: 0,
            validators: Vec::new(),
        }
    }
}

impl Nesting {
    /// The type of a value with this nesting around objects of type `object`.
    #[must_use]
    pub fn wrap(self, object: Type) -> Type {
        match self {
            Self::Single | Self::Group => object,
            Self::List => Type::list(object),
            Self::Set => Type::set(object),
            Self::Map => Type::map(object),
        }
    }
}

impl AttributeType {
    /// The type of the attribute's value.
    #[must_use]
    pub fn ty(&self) -> Type {
        match self {
            Self::Plain(ty) => ty.clone(),
            Self::Nested {
                nesting,
                attributes,
            } => nesting.wrap(Type::object(attributes.iter().map(|a| (a.name, a.ty.ty())))),
        }
    }
}

impl Attribute {
    /// An attribute of any type constraint. Exactly one of [`required`](Self::required),
    /// [`optional`](Self::optional) and [`computed`](Self::computed) must follow, or the last two.
    #[must_use]
    pub fn new(name: &'static str, ty: Type, description: impl Into<String>) -> Self {
        Self::with_type(name, AttributeType::Plain(ty), description)
    }

    /// A string.
    #[must_use]
    pub fn string(name: &'static str, description: impl Into<String>) -> Self {
        Self::new(name, Type::String, description)
    }

    /// A boolean.
    #[must_use]
    pub fn bool(name: &'static str, description: impl Into<String>) -> Self {
        Self::new(name, Type::Bool, description)
    }

    /// A number.
    #[must_use]
    pub fn number(name: &'static str, description: impl Into<String>) -> Self {
        Self::new(name, Type::Number, description)
    }

    /// A list of `element`.
    #[must_use]
    pub fn list(name: &'static str, element: Type, description: impl Into<String>) -> Self {
        Self::new(name, Type::list(element), description)
    }

    /// A set of `element`.
    #[must_use]
    pub fn set(name: &'static str, element: Type, description: impl Into<String>) -> Self {
        Self::new(name, Type::set(element), description)
    }

    /// A map of `element`.
    #[must_use]
    pub fn map(name: &'static str, element: Type, description: impl Into<String>) -> Self {
        Self::new(name, Type::map(element), description)
    }

    /// Nested attributes.
    #[must_use]
    pub fn nested(
        name: &'static str,
        nesting: Nesting,
        attributes: Vec<Self>,
        description: impl Into<String>,
    ) -> Self {
        Self::with_type(
            name,
            AttributeType::Nested {
                nesting,
                attributes,
            },
            description,
        )
    }

    /// The user must set it.
    #[must_use]
    pub fn required(mut self) -> Self {
        self.required = true;
        self
    }

    /// The user may set it.
    #[must_use]
    pub fn optional(mut self) -> Self {
        self.optional = true;
        self
    }

    /// The provider may set it.
    #[must_use]
    pub fn computed(mut self) -> Self {
        self.computed = true;
        self
    }

    /// Hides the value in Terraform's output.
    #[must_use]
    pub fn sensitive(mut self) -> Self {
        self.sensitive = true;
        self
    }

    /// Keeps the value out of plan and state.
    #[must_use]
    pub fn write_only(mut self) -> Self {
        self.write_only = true;
        self
    }

    /// Marks it deprecated; `message` says what to do instead.
    #[must_use]
    pub fn deprecated(mut self, message: impl Into<String>) -> Self {
        self.deprecation_message = Some(message.into());
        self
    }

    /// The value when the configuration has none; makes the attribute optional and computed.
    #[must_use]
    pub fn default(mut self, value: impl Into<Value>) -> Self {
        self.default = Some(value.into());
        self.optional().computed()
    }

    /// Adds a check of the configured value.
    #[must_use]
    pub fn validate(mut self, validator: impl Validator + 'static) -> Self {
        self.validators.push(Arc::new(validator));
        self
    }

    /// Adds a plan modifier.
    #[must_use]
    pub fn plan(mut self, modifier: PlanModifier) -> Self {
        self.plan_modifiers.push(modifier);
        self
    }

    /// Plans what the state has instead of unknown.
    #[must_use]
    pub fn use_state_for_unknown(self) -> Self {
        self.plan(PlanModifier::UseStateForUnknown)
    }

    /// A change replaces the object.
    #[must_use]
    pub fn requires_replace(self) -> Self {
        self.plan(PlanModifier::RequiresReplace)
    }

    /// A change replaces the object if `condition` says so.
    #[must_use]
    pub fn requires_replace_if(
        self,
        condition: impl Fn(&ReplaceRequest<'_>) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.plan(PlanModifier::RequiresReplaceIf(Arc::new(condition)))
    }

    /// Values that `equality` calls equal are no change.
    #[must_use]
    pub fn semantic_equality(mut self, equality: impl SemanticEquality + 'static) -> Self {
        self.semantic_equality = Some(Arc::new(equality));
        self
    }

    fn with_type(name: &'static str, ty: AttributeType, description: impl Into<String>) -> Self {
        Self {
            name,
            ty,
            description: description.into(),
            required: false,
            optional: false,
            computed: false,
            sensitive: false,
            write_only: false,
            deprecation_message: None,
            default: None,
            validators: Vec::new(),
            plan_modifiers: Vec::new(),
            semantic_equality: None,
        }
    }
}
