//! Between Core and the provider: the connection, and what Core makes of every answer whatever the RPC.

use std::collections::BTreeMap;
use std::fmt;

use pb::provider_client::ProviderClient;
use podidentity::cty::{Path, Step, Type, Value, json, msgpack};
use podidentity::proto::tfplugin6 as pb;
use tonic::transport::{Channel, Endpoint, Server};

use crate::rules::Violation;
use crate::schema::{Block, Schema, write_only_values};

const MAX_MESSAGE_BYTES: usize = 256 << 20;

/// Why a step did not succeed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The provider broke rules.
    Violations(Vec<Violation>),
    /// The provider answered with error diagnostics.
    Refused {
        operation: &'static str,
        diagnostics: Vec<pb::Diagnostic>,
    },
}

impl From<Violation> for Failure {
    fn from(violation: Violation) -> Self {
        Self::Violations(vec![violation])
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Violations(violations) => {
                for violation in violations {
                    writeln!(f, "{violation}")?;
                }
            }
            Self::Refused {
                operation,
                diagnostics,
            } => {
                for diagnostic in diagnostics {
                    let path = diagnostic
                        .attribute
                        .as_ref()
                        .map(path_from)
                        .unwrap_or_default();
                    writeln!(
                        f,
                        "{operation} refused: {} at {:?}: {}",
                        diagnostic.summary,
                        path.to_string(),
                        diagnostic.detail
                    )?;
                }
            }
        }
        Ok(())
    }
}

pub(crate) fn checked(violations: Vec<Violation>) -> Result<(), Failure> {
    if violations.is_empty() {
        Ok(())
    } else {
        Err(Failure::Violations(violations))
    }
}

/// Serves a provider to one client, in this process, over a pipe.
pub(crate) fn serve<S: pb::provider_server::Provider>(service: S) -> Channel {
    let (near, far) = tokio::io::duplex(1 << 20);
    let service = pb::provider_server::ProviderServer::new(service)
        .max_decoding_message_size(MAX_MESSAGE_BYTES)
        .max_encoding_message_size(MAX_MESSAGE_BYTES);
    tokio::spawn(
        Server::builder()
            .add_service(service)
            .serve_with_incoming(tokio_stream::once(Ok::<_, std::io::Error>(far))),
    );
    let mut near = Some(near);
    Endpoint::from_static("http://provider").connect_with_connector_lazy(tower::service_fn(
        move |_| {
            let pipe = near.take().map(hyper_util::rt::TokioIo::new);
            std::future::ready(pipe.ok_or_else(|| std::io::Error::other("the provider is gone")))
        },
    ))
}

pub(crate) fn client(channel: Channel) -> ProviderClient<Channel> {
    ProviderClient::new(channel)
        .max_decoding_message_size(MAX_MESSAGE_BYTES)
        .max_encoding_message_size(MAX_MESSAGE_BYTES)
}

pub(crate) fn load_all(
    schemas: &BTreeMap<String, pb::Schema>,
) -> Result<BTreeMap<String, Schema>, Failure> {
    schemas
        .iter()
        .map(|(name, schema)| Ok((name.clone(), Schema::load(name, schema)?)))
        .collect()
}

pub(crate) fn identity_type(schema: &pb::ResourceIdentitySchema) -> Result<Type, Failure> {
    schema
        .identity_attributes
        .iter()
        .map(|attribute| {
            let ty = json::type_from_json(&attribute.r#type)
                .map_err(|e| Violation::new("schema", e.to_string()))?;
            if matches!(ty, Type::Map(_) | Type::Set(_) | Type::Object(_)) {
                return Err(
                    Violation::new("schema", format!("identity attribute of type {ty}")).into(),
                );
            }
            Ok((attribute.name.clone(), ty))
        })
        .collect::<Result<Vec<_>, Failure>>()
        .map(Type::object)
}

/// Failures belong into diagnostics: Core shows a gRPC status as "Plugin error".
pub(crate) fn status_is_wrong(operation: &str, status: &tonic::Status) -> Failure {
    Violation::new(
        "status",
        format!(
            "{operation} answered {:?}: {}",
            status.code(),
            status.message()
        ),
    )
    .into()
}

pub(crate) fn accepted(
    operation: &'static str,
    diagnostics: Vec<pb::Diagnostic>,
) -> Result<(), Failure> {
    use pb::diagnostic::Severity;
    if diagnostics
        .iter()
        .any(|d| d.severity() == Severity::Invalid)
    {
        return Err(Violation::new(
            "diagnostic",
            format!("{operation}: a diagnostic without severity"),
        )
        .into());
    }
    if diagnostics.iter().any(|d| d.severity() == Severity::Error) {
        return Err(Failure::Refused {
            operation,
            diagnostics,
        });
    }
    Ok(())
}

pub(crate) fn not_deferred(deferred: Option<pb::Deferred>) -> Result<(), Failure> {
    match deferred {
        None => Ok(()),
        Some(_) => Err(Violation::new(
            "deferred",
            "Provider deferred changes when Terraform did not allow deferrals",
        )
        .into()),
    }
}

pub(crate) fn not_legacy(legacy: bool) -> Result<(), Failure> {
    if legacy {
        return Err(Violation::new("legacy", "legacy_type_system is set").into());
    }
    Ok(())
}

pub(crate) fn no_write_only(
    rule: &'static str,
    when: &str,
    block: &Block,
    value: &Value,
    violations: &mut Vec<Violation>,
) {
    for path in write_only_values(block, value) {
        violations.push(Violation::new(
            rule,
            format!("returned a value for the write-only attribute \"{path}\" {when}"),
        ));
    }
}

pub(crate) fn wire(value: &Value, ty: &Type) -> Option<pb::DynamicValue> {
    Some(pb::DynamicValue {
        msgpack: msgpack::encode(value, ty).expect("the client makes values of their types"),
        json: vec![],
    })
}

/// The value in an answer; an absent or empty one is null, and MessagePack wins over JSON.
pub(crate) fn decoded(
    rule: &'static str,
    value: Option<&pb::DynamicValue>,
    ty: &Type,
) -> Result<Value, Violation> {
    match value {
        None => Ok(Value::Null),
        Some(value) if !value.msgpack.is_empty() => msgpack::decode(&value.msgpack, ty),
        Some(value) if !value.json.is_empty() => json::value_from_json(&value.json, ty),
        Some(_) => Ok(Value::Null),
    }
    .map_err(|e| {
        Violation::new(
            rule,
            format!("the value does not conform to the schema: {e}"),
        )
    })
}

pub(crate) fn path_from(path: &pb::AttributePath) -> Path {
    use pb::attribute_path::step::Selector;
    path.steps
        .iter()
        .filter_map(|step| step.selector.as_ref())
        .map(|selector| match selector {
            Selector::AttributeName(name) => Step::Attribute(name.clone()),
            Selector::ElementKeyString(key) => Step::Key(key.clone()),
            Selector::ElementKeyInt(index) => {
                Step::Index(usize::try_from(*index).unwrap_or(usize::MAX))
            }
        })
        .collect()
}
