//! Reading a data source.

use crate::cty::Value;
use crate::framework::Context;
use crate::framework::data_source::{DataSource, ReadDataSourceRequest, ReadDataSourceResponse};
use crate::framework::diagnostic::{Diagnostic, Diagnostics};

use super::conform::{conform, settle_unknowns};
use super::equality::keep_equivalent;
use super::{ObjectSchema, run};

/// Reads a data source; the result is wholly known and not null (rule D1).
pub async fn read<P: Send + Sync>(
    data_source: &dyn DataSource<P>,
    schema: &ObjectSchema,
    context: &Context<P>,
    config: Value,
) -> ReadDataSourceResponse {
    let type_name = data_source.type_name();
    let source = format!("The result of data source {type_name}");
    let mut response = ReadDataSourceResponse {
        state: config.clone(),
        diagnostics: Diagnostics::new(),
    };
    let outcome = run(
        &format!("reading data source {type_name}"),
        &context.cancel,
        data_source.read(
            context,
            ReadDataSourceRequest {
                config: config.clone(),
            },
            &mut response,
        ),
    )
    .await;
    response.diagnostics.extend(outcome.err());
    let diagnostics = &mut response.diagnostics;
    if response.state.is_null() && !diagnostics.has_errors() {
        diagnostics.push(Diagnostic::provider_bug(format!("{source} is null.")));
    }
    conform(schema, &mut response.state, &source, diagnostics);
    keep_equivalent((&schema.schema.block).into(), &config, &mut response.state);
    settle_unknowns(&mut response.state, &source, diagnostics);
    response
}
