//! List resources: ValidateListResourceConfig, ListResource.

use std::sync::Arc;

use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;
use tonic::codegen::BoxStream;
use tracing::Instrument as _;

use crate::framework::Diagnostics;
use crate::framework::engine::run;
use crate::framework::engine::validate::{ValidateRequest, validate};
use crate::framework::list_resource::{ListEvent, ListRequest};
use crate::framework::provider::Provider;
use crate::proto::tfplugin6 as tf;

use super::Server;
use super::call::Call;
use super::convert::{
    Failed as _, decode, diagnostics, encode, encode_identity, plain_diagnostics,
};
use super::registry::Entry;

use tf::{list_resource, validate_list_resource_config};

impl<P: Provider> Server<P> {
    pub(super) async fn validate_list_resource_config(
        &self,
        request: validate_list_resource_config::Request,
    ) -> validate_list_resource_config::Response {
        self.answer(
            Call::list_resource("ValidateListResourceConfig", &request.type_name),
            validate_list_resource_config::Response::failed,
            async {
                let entry = self.registry.list_resources.find(&request.type_name)?;
                let schema = entry.schema();
                let config = decode(request.config, &schema.ty, "configuration")?;
                let found = validate(ValidateRequest {
                    schema,
                    config: &config,
                    write_only_allowed: false,
                    validate_config: entry.object.as_validate_config(),
                });
                Ok(validate_list_resource_config::Response {
                    diagnostics: diagnostics(found, &schema.ty),
                })
            },
        )
        .await
    }

    /// Streams what the list resource finds. Core stops reading at its limit; a failure is the last event.
    pub(super) async fn list_resource(
        &self,
        request: list_resource::Request,
    ) -> BoxStream<list_resource::Event> {
        let (sender, receiver) = mpsc::channel(16);
        let call = Call::list_resource("ListResource", &request.type_name);
        let span = self.span(call);
        let prepared = self.answer(call, Err, async {
            let entry = self.registry.list_resources.find(&request.type_name)?;
            // The resource that is listed: its schemas give the form of state and identity.
            let listed = self.registry.resources.find(&request.type_name)?;
            let context = self.context()?;
            let config = decode(request.config.clone(), &entry.schema().ty, "configuration")?;
            let schema = listed.schema().clone();
            Ok(Ok((
                Arc::clone(&entry.object),
                schema,
                Entry::identity(listed).cloned(),
                context,
                config,
            )))
        });
        match prepared.await {
            Err(found) => {
                // The channel is empty and has room.
                let _ = sender.send(Ok(failure(found))).await;
            }
            Ok((list, schema, identity, context, config)) => {
                let list_request = ListRequest {
                    config,
                    include_resource: request.include_resource_object,
                    limit: request.limit,
                };
                let convert = move |event: ListEvent| -> Result<list_resource::Event, Diagnostics> {
                    let resource_object = event
                        .resource
                        .map(|state| encode(&state, &schema.ty, "listed state"))
                        .transpose()?;
                    Ok(list_resource::Event {
                        identity: encode_identity(&event.identity, identity.as_ref())?,
                        display_name: event.display_name,
                        resource_object,
                        diagnostic: diagnostics(event.diagnostics, &schema.ty),
                    })
                };
                let work = async move {
                    let operation = format!("listing {}", list.type_name());
                    let (events, mut found) = mpsc::channel::<ListEvent>(16);
                    let search = run(
                        &operation,
                        &context.cancel,
                        list.list(&context, list_request, events),
                    );
                    let forward = async {
                        while let Some(event) = found.recv().await {
                            let event = convert(event).unwrap_or_else(failure);
                            if sender.send(Ok(event)).await.is_err() {
                                // Core has enough: the list resource sees its sender fail.
                                found.close();
                                break;
                            }
                        }
                    };
                    let (outcome, ()) = tokio::join!(search, forward);
                    if let Err(diagnostic) = outcome {
                        // Nobody is there to be told if this fails.
                        let _ = sender.send(Ok(failure(diagnostic.into()))).await;
                    }
                };
                tokio::spawn(work.instrument(span));
            }
        }
        Box::pin(ReceiverStream::<Result<_, Status>>::new(receiver))
    }
}

fn failure(found: Diagnostics) -> list_resource::Event {
    list_resource::Event {
        diagnostic: plain_diagnostics(found),
        ..list_resource::Event::default()
    }
}
