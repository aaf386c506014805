//! The AWS front end: which service, who calls, what goes wrong on purpose, and the journal.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Map, Value};
use time::OffsetDateTime;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;

use crate::context::RequestContext;
use crate::eks::cluster::ClusterKey;
use crate::eks::{self, EksError};
use crate::eks_auth;
use crate::encoding::form_fields;
use crate::faults::{Drop, Effect};
use crate::iam::IamError;
use crate::journal::JournalEntry;
use crate::kubernetes;
use crate::server::{Answer, Dropped, Request, Shared, answer, now};
use crate::sigv4::{self, Refusal, Signable};
use crate::state::{Caller, State, partition};
use crate::sts;

/// RFC 3339 with exactly milliseconds.
const JOURNAL_TIME: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");

pub(crate) fn journal_time(time: OffsetDateTime) -> String {
    time.format(JOURNAL_TIME).unwrap_or_default()
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Service {
    Eks,
    Iam,
    Sts,
    EksAuth,
}

impl Service {
    const fn name(self) -> &'static str {
        match self {
            Self::Eks => "eks",
            Self::Iam => "iam",
            Self::Sts => "sts",
            Self::EksAuth => "eks-auth",
        }
    }

    /// Whether the service speaks JSON.
    const fn is_rest(self) -> bool {
        matches!(self, Self::Eks | Self::EksAuth)
    }
}

/// What a request asks for.
struct Call {
    service: Service,
    operation: String,
    parameters: Map<String, Value>,
    /// A request that cannot be read.
    unreadable: Option<EksError>,
}

/// An error of either protocol.
enum Failure {
    Rest(EksError),
    Query(IamError),
}

fn identify(request: &Request, signable: &Signable<'_>) -> Result<Call, EksError> {
    let scope = sigv4::scope(signable);
    let rest = ["/clusters", "/addons", "/tags"]
        .iter()
        .any(|prefix| request.path.starts_with(prefix));
    let mut fields = form_fields(&request.query);
    if !rest && request.method == "POST" {
        fields.extend(form_fields(&String::from_utf8_lossy(&request.body)));
    }
    let action = fields.remove("Action");
    let service = match scope.as_ref().map(|s| s.service.as_str()) {
        Some("eks") => Service::Eks,
        Some("iam") => Service::Iam,
        Some("sts") => Service::Sts,
        Some("eks-auth") => Service::EksAuth,
        Some(other) => {
            return Err(EksError::new(
                404,
                "UnknownOperationException",
                format!("The sandbox has no service {other}: it serves eks, eks-auth, iam and sts"),
            ));
        }
        None if rest => Service::Eks,
        None if action.as_deref().is_some_and(sts::is_anonymous)
            || action.as_deref() == Some("GetCallerIdentity") =>
        {
            Service::Sts
        }
        None => Service::Iam,
    };
    if service == Service::EksAuth {
        return match eks_auth::route(&request.method, &request.path, &request.body) {
            Some(parameters) => parameters.map(|parameters| Call {
                service,
                operation: eks_auth::OPERATION.into(),
                parameters,
                unreadable: None,
            }),
            None => Err(EksError::new(
                404,
                "UnknownOperationException",
                format!("No operation of eks-auth matches {}", request.path),
            )),
        };
    }
    if service == Service::Eks {
        return Ok(
            match eks::route(
                &request.method,
                &request.path,
                &request.query,
                &request.body,
            ) {
                Some(Ok(routed)) => Call {
                    service,
                    operation: routed.operation.into(),
                    parameters: routed.parameters,
                    unreadable: None,
                },
                Some(Err(error)) => Call {
                    service,
                    operation: String::new(),
                    parameters: Map::new(),
                    unreadable: Some(error),
                },
                None => {
                    let error = EksError::new(
                        404,
                        "UnknownOperationException",
                        format!(
                            "No operation of the sandbox matches {} {}",
                            request.method, request.path
                        ),
                    );
                    Call {
                        service,
                        operation: String::new(),
                        parameters: Map::new(),
                        unreadable: Some(error),
                    }
                }
            },
        );
    }
    let parameters = fields
        .into_iter()
        .filter(|(k, _)| !k.starts_with("X-Amz-"))
        .map(|(k, v)| (k, Value::String(v)))
        .collect();
    Ok(Call {
        service,
        operation: action.unwrap_or_default(),
        parameters,
        unreadable: None,
    })
}

/// Answers one request to the AWS port.
pub(crate) async fn respond(shared: &Shared, request: Request) -> Result<Answer, Dropped> {
    let received = now();
    let signable = Signable {
        method: &request.method,
        path: &request.path,
        query: &request.query,
        headers: &request.headers,
        body: &request.body,
    };
    let request_id = shared.state().ids.uuid();
    let call = match identify(&request, &signable) {
        Ok(call) => call,
        Err(error) => return Ok(render(Service::Eks, Err(Failure::Rest(error)), &request_id)),
    };
    let (entry, authenticated, plan) = {
        let mut state = shared.state();
        let authenticated = authenticate(&state, &call, &signable, received, &request_id);
        let caller = authenticated.as_ref().ok();
        let entry = state.journal.begin(JournalEntry {
            id: 0,
            time: journal_time(received),
            service: call.service.name().into(),
            operation: call.operation.clone(),
            parameters: call.parameters.clone(),
            status: 0,
            error_code: None,
            dropped: None,
            held: false,
            account_id: caller
                .map(|c| c.context.account_id.clone())
                .unwrap_or_default(),
            region: caller.map(|c| c.region.clone()).unwrap_or_default(),
            caller_arn: caller
                .map(|c| c.context.caller_arn.clone())
                .unwrap_or_default(),
            request_id: request_id.clone(),
            method: request.method.clone(),
            path: request.path.clone(),
            user_agent: request.header("user-agent").into(),
        });
        let plan = if authenticated.is_ok() {
            state
                .faults
                .plan(call.service.name(), &call.operation, &call.parameters)
        } else {
            Default::default()
        };
        (entry, authenticated, plan)
    };
    if plan.latency_ms > 0 {
        tokio::time::sleep(Duration::from_millis(plan.latency_ms)).await;
    }
    let (result, dropped) = {
        let mut state = shared.state();
        if let Some(Effect::Drop(Drop::Before)) = plan.effect {
            state.journal.finish(entry, |e| e.dropped = Some("before"));
            return Err(Dropped);
        }
        let result = match (authenticated, &plan.effect) {
            (Err(failure), _) => Err(failure),
            (Ok(_), Some(Effect::Throttle)) => Err(throttled(call.service)),
            (Ok(_), Some(Effect::Error(fault))) => Err(failure(
                call.service,
                fault.status,
                &fault.code,
                &fault.message,
            )),
            (Ok(caller), _) => match &call.unreadable {
                Some(error) => Err(Failure::Rest(error.clone())),
                None => carry_out(
                    &mut state,
                    &caller,
                    call.service,
                    &call.operation,
                    &call.parameters,
                ),
            },
        };
        let (status, code) = match &result {
            Ok(_) => (200, None),
            Err(Failure::Rest(e)) => (e.status, Some(e.code.clone())),
            Err(Failure::Query(e)) => (e.status, Some(e.code.clone())),
        };
        let dropped = matches!(plan.effect, Some(Effect::Drop(Drop::After)));
        state.journal.finish(entry, |e| {
            e.status = status;
            e.error_code = code;
            e.dropped = dropped.then_some("after");
            e.held = plan.gate.is_some();
        });
        (result, dropped)
    };
    if let Some(gate) = &plan.gate {
        gate.pass().await;
    }
    if dropped {
        Err(Dropped)
    } else {
        Ok(render(call.service, result, &request_id))
    }
}

fn carry_out(
    state: &mut State,
    caller: &Caller,
    service: Service,
    operation: &str,
    parameters: &Map<String, Value>,
) -> Result<String, Failure> {
    let result = answer_call(state, caller, service, operation, parameters);
    // Reading changes nothing, but for an add-on, which moves on as it is described.
    if !operation.starts_with("Get") && !operation.starts_with("List") {
        state.settle(now());
    }
    result
}

fn answer_call(
    state: &mut State,
    caller: &Caller,
    service: Service,
    operation: &str,
    parameters: &Map<String, Value>,
) -> Result<String, Failure> {
    if service == Service::Eks {
        return eks::handle(state, caller, operation, parameters)
            .map(|body| body.to_string())
            .map_err(Failure::Rest);
    }
    if service == Service::EksAuth {
        return eks_auth::assume_role(state, caller, parameters)
            .map(|body| body.to_string())
            .map_err(Failure::Rest);
    }
    let mut fields: BTreeMap<String, String> = parameters
        .iter()
        .map(|(k, v)| {
            (
                k.clone(),
                v.as_str().map_or_else(|| v.to_string(), str::to_owned),
            )
        })
        .collect();
    if service == Service::Sts {
        return sts::handle(state, caller, operation, &fields).map_err(Failure::Query);
    }
    fields.insert("Action".into(), operation.into());
    state
        .iam(&caller.context.account_id)
        .handle(&caller.context, &fields)
        .map_err(Failure::Query)
}

/// Carries out an operation for a test: unsigned, without faults and without a trace in the journal.
///
/// The answer is the JSON body of EKS, or the XML of IAM and STS as one string. An error is `(status, code, message)`.
pub(crate) fn call(
    state: &mut State,
    account_id: &str,
    region: &str,
    service: &str,
    operation: &str,
    parameters: &Map<String, Value>,
) -> Result<Value, (u16, String, String)> {
    if service == "kubernetes" {
        return call_kubernetes(state, account_id, region, parameters);
    }
    let service = match service {
        "eks" => Service::Eks,
        "iam" => Service::Iam,
        "sts" => Service::Sts,
        "eks-auth" => Service::EksAuth,
        other => {
            return Err((
                400,
                "UnknownService".into(),
                format!("there is no service {other}"),
            ));
        }
    };
    let caller = state.operator(account_id, region, now());
    let mut parameters = parameters.clone();
    if service == Service::Iam {
        parameters
            .entry("Version")
            .or_insert_with(|| "2010-05-08".into());
    }
    match carry_out(state, &caller, service, operation, &parameters) {
        Ok(text) if service.is_rest() => Ok(serde_json::from_str(&text).unwrap_or_default()),
        Ok(text) => Ok(text.into()),
        Err(Failure::Rest(e)) => Err((e.status, e.code, e.message)),
        Err(Failure::Query(e)) => Err((e.status, e.code, e.message)),
    }
}

/// A request to the Kubernetes API of the cluster that the parameter `cluster` names, `demo` without it.
fn call_kubernetes(
    state: &mut State,
    account_id: &str,
    region: &str,
    parameters: &Map<String, Value>,
) -> Result<Value, (u16, String, String)> {
    let name = parameters.get("cluster").and_then(Value::as_str);
    let key = ClusterKey {
        account_id: account_id.into(),
        region: region.into(),
        name: name.unwrap_or("demo").into(),
    };
    state.advance(now());
    let cluster = state.clusters.get_mut(&key).ok_or_else(|| {
        let message = format!("there is no cluster {}", key.name);
        (404, "NotFound".to_owned(), message)
    })?;
    let result = kubernetes::direct::request(cluster, parameters);
    state.advance(now());
    result.map_err(|failure| (failure.code, failure.reason.to_owned(), failure.message))
}

fn authenticate(
    state: &State,
    call: &Call,
    signable: &Signable<'_>,
    now: OffsetDateTime,
    request_id: &str,
) -> Result<Caller, Failure> {
    let context = |account_id: &str, partition: &str, caller_arn: &str| RequestContext {
        account_id: account_id.into(),
        partition: partition.into(),
        now,
        request_id: request_id.into(),
        caller_arn: caller_arn.into(),
    };
    if call.service == Service::Sts && sts::is_anonymous(&call.operation) {
        let region = state.defaults.region.clone();
        return Ok(Caller {
            context: context("", partition(&region), ""),
            region,
            user_id: String::new(),
            temporary: false,
        });
    }
    match sigv4::verify(signable, now, |id| state.keys.get(id)) {
        Ok((scope, key)) => Ok(Caller {
            context: context(&key.account_id, partition(&scope.region), &key.caller_arn),
            region: scope.region,
            user_id: key.user_id.clone(),
            temporary: key.session_token.is_some(),
        }),
        Err(refusal) => Err(refused(call.service, refusal)),
    }
}

fn refused(service: Service, refusal: Refusal) -> Failure {
    let rest = service.is_rest();
    let (status, code, message) = match refusal {
        Refusal::Missing if rest => (
            403,
            "MissingAuthenticationTokenException",
            "Missing Authentication Token".to_owned(),
        ),
        Refusal::Missing => (
            403,
            "MissingAuthenticationToken",
            "Request is missing Authentication Token".to_owned(),
        ),
        Refusal::Incomplete(message) if rest => (403, "IncompleteSignatureException", message),
        Refusal::Incomplete(message) => (400, "IncompleteSignature", message),
        Refusal::UnknownKey if rest => (
            403,
            "UnrecognizedClientException",
            "The security token included in the request is invalid.".to_owned(),
        ),
        Refusal::UnknownKey => (
            403,
            "InvalidClientTokenId",
            "The security token included in the request is invalid.".to_owned(),
        ),
        Refusal::Expired if rest => (
            403,
            "ExpiredTokenException",
            "The security token included in the request is expired".to_owned(),
        ),
        Refusal::Expired => (
            403,
            "ExpiredToken",
            "The security token included in the request is expired".to_owned(),
        ),
        Refusal::Mismatch(message) if rest => (403, "InvalidSignatureException", message),
        Refusal::Mismatch(message) => (403, "SignatureDoesNotMatch", message),
    };
    failure(service, status, code, &message)
}

fn throttled(service: Service) -> Failure {
    match service {
        Service::Eks | Service::EksAuth => Failure::Rest(EksError::throttled()),
        Service::Iam | Service::Sts => failure(service, 400, "Throttling", "Rate exceeded"),
    }
}

fn failure(service: Service, status: u16, code: &str, message: &str) -> Failure {
    match service {
        Service::Eks | Service::EksAuth => Failure::Rest(EksError::new(status, code, message)),
        Service::Iam | Service::Sts => Failure::Query(IamError {
            status,
            code: code.into(),
            message: message.into(),
            sender_fault: status < 500,
        }),
    }
}

fn render(service: Service, result: Result<String, Failure>, request_id: &str) -> Answer {
    let id = ("x-amzn-requestid", request_id);
    match (result, service) {
        (Ok(body), Service::Eks | Service::EksAuth) => {
            answer(200, &[("content-type", "application/json"), id], body)
        }
        (Ok(body), Service::Iam | Service::Sts) => {
            answer(200, &[("content-type", "text/xml"), id], body)
        }
        (Err(Failure::Rest(error)), _) => answer(
            error.status,
            &[
                ("content-type", "application/json"),
                id,
                ("x-amzn-errortype", &error.code),
            ],
            error.body().to_string(),
        ),
        (Err(Failure::Query(error)), service) => {
            let body = if service == Service::Sts {
                sts::error_xml(&error, request_id)
            } else {
                error.xml(request_id)
            };
            answer(error.status, &[("content-type", "text/xml"), id], body)
        }
    }
}
