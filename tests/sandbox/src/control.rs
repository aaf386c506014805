//! The control API under `/_sandbox`, unauthenticated: journal, faults, seed, reset, state and direct calls.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::aws;
use crate::faults::Fault;
use crate::seed;
use crate::server::{Answer, Request, Shared, answer, now};

fn ok(value: &Value) -> Answer {
    answer(
        200,
        &[("content-type", "application/json")],
        value.to_string(),
    )
}

fn bad(status: u16, message: impl Into<String>) -> Answer {
    answer(
        status,
        &[("content-type", "application/json")],
        json!({"error": message.into()}).to_string(),
    )
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Call {
    service: String,
    operation: String,
    #[serde(default)]
    parameters: Map<String, Value>,
    account_id: Option<String>,
    region: Option<String>,
}

/// Faults as they may be posted: one, a list, or `{"rules": [...]}`.
pub(crate) fn read_faults(value: Value) -> Result<Vec<Fault>, serde_json::Error> {
    match value {
        Value::Array(_) => serde_json::from_value(value),
        Value::Object(mut object) if object.len() == 1 && object.contains_key("rules") => {
            serde_json::from_value(object.remove("rules").unwrap_or_default())
        }
        one => serde_json::from_value(one).map(|fault| vec![fault]),
    }
}

/// Answers one control request.
pub(crate) fn respond(shared: &Shared, request: &Request) -> Answer {
    // A web page may know the port but not forge this header: no page drives a sandbox through a name that resolves to loopback.
    let host = request.header("host");
    let host = host.rsplit_once(':').map_or(host, |(name, _)| name);
    if !["127.0.0.1", "localhost", "[::1]"].contains(&host) {
        return bad(403, "the control API answers to loopback names only");
    }
    let body = || serde_json::from_slice::<Value>(&request.body);
    let mut state = shared.state();
    match (
        request.method.as_str(),
        request
            .path
            .trim_start_matches("/_sandbox")
            .trim_matches('/'),
    ) {
        ("GET", "requests") => {
            ok(&serde_json::to_value(state.journal.entries()).unwrap_or_default())
        }
        ("DELETE", "requests") => {
            state.journal.clear();
            ok(&json!({}))
        }
        ("GET", "faults") => ok(&state.faults.list()),
        ("POST", "faults") => match body().and_then(read_faults) {
            Ok(faults) => {
                faults.into_iter().for_each(|fault| state.add_fault(fault));
                ok(&state.faults.list())
            }
            Err(error) => bad(400, error.to_string()),
        },
        ("DELETE", "faults") => {
            state.faults.clear();
            ok(&json!({}))
        }
        ("POST", "seed") => match body()
            .map_err(|e| e.to_string())
            .and_then(|value| seed::apply(&mut state, value, now()))
        {
            Ok(()) => ok(&state.describe()),
            Err(error) => bad(400, error),
        },
        ("POST", "reset") => match seed::reset(&mut state, now()) {
            Ok(()) => ok(&json!({})),
            Err(error) => bad(500, error),
        },
        ("POST", "client-certificates") => {
            let user = body()
                .ok()
                .and_then(|b| b["user"].as_str().map(str::to_owned));
            match user.map(|user| shared.certificates.issue(&user)) {
                Some(Ok(issued)) => ok(&serde_json::to_value(issued).unwrap_or_default()),
                Some(Err(error)) => bad(500, error),
                None => bad(400, "a client certificate needs a user"),
            }
        }
        ("GET", "credentials") => {
            state.settle(now());
            ok(&serde_json::to_value(state.credential_report(now())).unwrap_or_default())
        }
        ("GET", "state") => ok(&state.describe()),
        ("POST", "call") => match body().and_then(serde_json::from_value::<Call>) {
            Ok(call) => {
                let account = call
                    .account_id
                    .unwrap_or_else(|| state.defaults.account_id.clone());
                let region = call.region.unwrap_or_else(|| state.defaults.region.clone());
                match aws::call(
                    &mut state,
                    &account,
                    &region,
                    &call.service,
                    &call.operation,
                    &call.parameters,
                ) {
                    Ok(value) => ok(&value),
                    Err((status, code, message)) => answer(
                        status,
                        &[("content-type", "application/json")],
                        json!({"error": message, "code": code}).to_string(),
                    ),
                }
            }
            Err(error) => bad(400, error.to_string()),
        },
        (method, path) => bad(
            404,
            format!("the control API has no {method} /_sandbox/{path}"),
        ),
    }
}
