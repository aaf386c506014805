//! ARNs as attribute values.

use std::error::Error;

use crate::cty::Value;
use crate::framework::schema::{SemanticEquality, Validator};
use crate::framework::validators;
use crate::policy::arn::PolicyArn;
use crate::policy::{RoleArn, equivalent_arns};

/// The ARN of an IAM role.
pub fn role() -> impl Validator {
    validators::string("the ARN of an IAM role", |text| {
        RoleArn::parse(text)
            .map(drop)
            .map_err(|error| chain(&error))
    })
}

/// The ARN of a managed policy.
pub fn policy() -> impl Validator {
    validators::string("the ARN of an IAM policy", |text| {
        PolicyArn::parse(text)
            .map(drop)
            .map_err(|error| chain(&error))
    })
}

/// ARNs that name the same thing are no change.
#[derive(Clone, Copy, Debug)]
pub struct ArnEquality;

impl SemanticEquality for ArnEquality {
    fn semantically_equal(&self, prior: &Value, new: &Value) -> bool {
        match (prior.as_str(), new.as_str()) {
            (Some(prior), Some(new)) => equivalent_arns(prior, new),
            _ => false,
        }
    }
}

/// An error and its causes in one line.
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(source) = cause {
        text.push_str(": ");
        text.push_str(&source.to_string());
        cause = source.source();
    }
    text
}
