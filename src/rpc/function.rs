//! Functions: GetFunctions, CallFunction.

use std::collections::BTreeMap;

use crate::framework::function::{FunctionDefinition, FunctionError, Parameter};
use crate::framework::provider::Provider;
use crate::framework::{Diagnostics, Severity};
use crate::proto::tfplugin6 as tf;

use super::Server;
use super::call::{Call, no_such_type};
use super::convert::{Failed as _, decode, encode, schema};

use tf::{call_function, get_functions};

impl<P: Provider> Server<P> {
    pub(super) async fn get_functions(&self, _: get_functions::Request) -> get_functions::Response {
        self.answer(
            Call::provider("GetFunctions"),
            get_functions::Response::failed,
            async {
                Ok(get_functions::Response {
                    functions: self.functions(),
                    diagnostics: Vec::new(),
                })
            },
        )
        .await
    }

    pub(super) async fn call_function(
        &self,
        request: call_function::Request,
    ) -> call_function::Response {
        self.answer(
            Call::function("CallFunction", &request.name),
            |found| call_function::Response {
                result: None,
                error: Some(tf::FunctionError {
                    text: text(found),
                    function_argument: None,
                }),
            },
            async {
                let function = self
                    .registry
                    .functions
                    .get(request.name.as_str())
                    .ok_or_else(|| no_such_type("function", &request.name))?;
                let definition = function.definition();
                let mut arguments = Vec::with_capacity(request.arguments.len());
                for (position, argument) in request.arguments.into_iter().enumerate() {
                    let Some(parameter) = parameter(&definition, position) else {
                        return Ok(failed(FunctionError {
                            text: "too many arguments".to_owned(),
                            argument: Some(position),
                        }));
                    };
                    arguments.push(decode(Some(argument), &parameter.ty, "argument")?);
                }
                if arguments.len() < definition.parameters.len() {
                    return Ok(failed(FunctionError {
                        text: "not enough arguments".to_owned(),
                        argument: None,
                    }));
                }
                match function.call(&arguments) {
                    Ok(result) => Ok(call_function::Response {
                        result: Some(encode(&result, &definition.result, "result")?),
                        error: None,
                    }),
                    Err(error) => Ok(failed(error)),
                }
            },
        )
        .await
    }

    /// Functions by their bare names.
    pub(super) fn functions(&self) -> BTreeMap<String, tf::Function> {
        self.registry
            .functions
            .iter()
            .map(|(name, function)| ((*name).to_owned(), schema::function(&function.definition())))
            .collect()
    }
}

fn parameter(definition: &FunctionDefinition, position: usize) -> Option<&Parameter> {
    definition
        .parameters
        .get(position)
        .or(definition.variadic_parameter.as_ref())
}

fn failed(error: FunctionError) -> call_function::Response {
    call_function::Response {
        result: None,
        error: Some(tf::FunctionError {
            text: error.text,
            function_argument: error.argument.and_then(|a| i64::try_from(a).ok()),
        }),
    }
}

/// Functions have no diagnostics, only one text.
fn text(diagnostics: Diagnostics) -> String {
    let errors: Vec<String> = diagnostics
        .into_iter()
        .filter(|d| d.severity == Severity::Error)
        .map(|d| d.detail)
        .collect();
    errors.join("\n\n")
}
