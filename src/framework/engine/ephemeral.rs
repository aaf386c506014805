//! Opening, renewing and closing ephemeral resources.

use crate::cty::Value;
use crate::framework::diagnostic::{Diagnostic, Diagnostics};
use crate::framework::ephemeral::{EphemeralResource, OpenResponse, RenewResponse};
use crate::framework::{Context, Private};

use super::conform::{conform, settle_unknowns};
use super::{ObjectSchema, run};

/// Opens; the result is wholly known and not null.
pub async fn open<P: Send + Sync>(
    resource: &dyn EphemeralResource<P>,
    schema: &ObjectSchema,
    context: &Context<P>,
    config: Value,
) -> OpenResponse {
    let type_name = resource.type_name();
    let source = format!("The result of ephemeral resource {type_name}");
    let mut response = OpenResponse {
        result: config.clone(),
        ..OpenResponse::default()
    };
    let outcome = run(
        &format!("opening {type_name}"),
        &context.cancel,
        resource.open(context, config, &mut response),
    )
    .await;
    let diagnostics = &mut response.diagnostics;
    diagnostics.extend(outcome.err());
    if response.result.is_null() && !diagnostics.has_errors() {
        diagnostics.push(Diagnostic::provider_bug(format!("{source} is null.")));
    }
    conform(schema, &mut response.result, &source, diagnostics);
    settle_unknowns(&mut response.result, &source, diagnostics);
    response
}

/// Renews what [`open`] made.
pub async fn renew<P: Send + Sync>(
    resource: &dyn EphemeralResource<P>,
    context: &Context<P>,
    private: Private,
) -> RenewResponse {
    let mut response = RenewResponse {
        private,
        ..RenewResponse::default()
    };
    let outcome = run(
        &format!("renewing {}", resource.type_name()),
        &context.cancel,
        resource.renew(context, &mut response),
    )
    .await;
    response.diagnostics.extend(outcome.err());
    response
}

/// Closes what [`open`] made.
pub async fn close<P: Send + Sync>(
    resource: &dyn EphemeralResource<P>,
    context: &Context<P>,
    private: Private,
) -> Diagnostics {
    let outcome = run(
        &format!("closing {}", resource.type_name()),
        &context.cancel,
        resource.close(context, private),
    )
    .await;
    outcome.unwrap_or_else(Into::into)
}
