//! Actions: ValidateActionConfig, PlanAction, InvokeAction.

use std::sync::Arc;

use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;
use tonic::codegen::BoxStream;
use tracing::Instrument as _;

use crate::framework::engine::run;
use crate::framework::engine::validate::{ValidateRequest, validate};
use crate::framework::provider::Provider;
use crate::proto::tfplugin6 as tf;

use super::Server;
use super::call::Call;
use super::convert::{Failed as _, decode, diagnostics, plain_diagnostics};

use tf::invoke_action::event::{Completed, Progress, Type};
use tf::{invoke_action, plan_action, validate_action_config};

impl<P: Provider> Server<P> {
    pub(super) async fn validate_action_config(
        &self,
        request: validate_action_config::Request,
    ) -> validate_action_config::Response {
        self.answer(
            Call::action("ValidateActionConfig", &request.type_name),
            validate_action_config::Response::failed,
            async {
                let entry = self.registry.actions.find(&request.type_name)?;
                let schema = entry.schema();
                let config = decode(request.config, &schema.ty, "configuration")?;
                let found = validate(ValidateRequest {
                    schema,
                    config: &config,
                    write_only_allowed: true,
                    validate_config: entry.object.as_validate_config(),
                });
                Ok(validate_action_config::Response {
                    diagnostics: diagnostics(found, &schema.ty),
                })
            },
        )
        .await
    }

    pub(super) async fn plan_action(&self, request: plan_action::Request) -> plan_action::Response {
        self.answer(
            Call::action("PlanAction", &request.action_type),
            plan_action::Response::failed,
            async {
                let entry = self.registry.actions.find(&request.action_type)?;
                let schema = entry.schema();
                let context = self.context()?;
                let config = decode(request.config, &schema.ty, "configuration")?;
                let found = run(
                    &format!("planning action {}", request.action_type),
                    &context.cancel,
                    entry.object.plan(&context, config),
                )
                .await
                .unwrap_or_else(Into::into);
                Ok(plan_action::Response {
                    diagnostics: diagnostics(found, &schema.ty),
                    deferred: None,
                })
            },
        )
        .await
    }

    /// Streams progress, and ends with exactly one `Completed`.
    pub(super) async fn invoke_action(
        &self,
        request: invoke_action::Request,
    ) -> BoxStream<invoke_action::Event> {
        let (sender, receiver) = mpsc::channel(16);
        let call = Call::action("InvokeAction", &request.action_type);
        let span = self.span(call);
        let prepared = self.answer(call, Err, async {
            let entry = self.registry.actions.find(&request.action_type)?;
            let ty = entry.schema().ty.clone();
            let context = self.context()?;
            let config = decode(request.config.clone(), &ty, "configuration")?;
            Ok(Ok((Arc::clone(&entry.object), ty, context, config)))
        });
        match prepared.await {
            Err(found) => {
                // The channel is empty and has room.
                let _ = sender.send(Ok(completed(plain_diagnostics(found)))).await;
            }
            Ok((action, ty, context, config)) => {
                let work = async move {
                    let operation = format!("running action {}", action.type_name());
                    let (progress, mut lines) = mpsc::channel::<String>(16);
                    let invoke = run(
                        &operation,
                        &context.cancel,
                        action.invoke(&context, config, progress),
                    );
                    let forward = async {
                        while let Some(message) = lines.recv().await {
                            let event = invoke_action::Event {
                                r#type: Some(Type::Progress(Progress { message })),
                            };
                            // An action goes on to its end even if nobody looks.
                            let _ = sender.send(Ok(event)).await;
                        }
                    };
                    let (outcome, ()) = tokio::join!(invoke, forward);
                    let found = outcome.unwrap_or_else(Into::into);
                    let _ = sender.send(Ok(completed(diagnostics(found, &ty)))).await;
                };
                tokio::spawn(work.instrument(span));
            }
        }
        Box::pin(ReceiverStream::<Result<_, Status>>::new(receiver))
    }
}

fn completed(diagnostics: Vec<tf::Diagnostic>) -> invoke_action::Event {
    invoke_action::Event {
        r#type: Some(Type::Completed(Completed { diagnostics })),
    }
}
