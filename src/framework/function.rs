//! The trait of provider functions (Terraform 1.8 and later).

use crate::cty::{Type, Value};

/// A pure function: same arguments, same result.
pub trait Function: Send + Sync {
    /// The bare name, an HCL identifier.
    fn name(&self) -> &'static str;

    /// Parameters, result and documentation.
    fn definition(&self) -> FunctionDefinition;

    /// Computes the result.
    ///
    /// # Errors
    /// Text for the user, and the position of the argument at fault if there is one.
    fn call(&self, arguments: &[Value]) -> Result<Value, FunctionError>;
}

/// Signature and documentation of a function.
#[derive(Clone, Debug)]
pub struct FunctionDefinition {
    /// Positional parameters.
    pub parameters: Vec<Parameter>,
    /// A parameter that takes all further arguments.
    pub variadic_parameter: Option<Parameter>,
    /// The type of the result.
    pub result: Type,
    /// One line.
    pub summary: String,
    /// Whole sentences, Markdown.
    pub description: String,
}

/// One parameter of a function.
#[derive(Clone, Debug)]
pub struct Parameter {
    /// The name, an HCL identifier.
    pub name: &'static str,
    /// Its type.
    pub ty: Type,
    /// For documentation.
    pub description: String,
    /// Whether null may be passed.
    pub allow_null: bool,
    /// Whether unknown values may be passed; otherwise Terraform answers unknown itself.
    pub allow_unknown: bool,
}

/// Why a function failed.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{text}")]
pub struct FunctionError {
    /// For the user.
    pub text: String,
    /// Position of the argument at fault, from 0.
    pub argument: Option<usize>,
}
