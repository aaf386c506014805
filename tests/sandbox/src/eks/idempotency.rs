//! Idempotency of calls that carry a `clientRequestToken`.

use std::collections::HashMap;

use serde_json::{Map, Value};

use super::EksError;
use crate::state::Caller;

/// Answers by token, per account, region and operation.
#[derive(Debug, Default)]
pub(crate) struct Idempotency {
    answers: HashMap<String, Answer>,
}

#[derive(Debug)]
struct Answer {
    parameters: Map<String, Value>,
    value: Value,
}

/// What is written down once a call has succeeded.
#[derive(Debug)]
pub(crate) struct Ticket {
    key: Option<String>,
    parameters: Map<String, Value>,
}

impl Idempotency {
    /// The answer given before to this token, or a ticket to write one down with.
    ///
    /// # Errors
    ///
    /// The token was used with other parameters. Code and message are an assumption: AWS documents neither.
    pub(crate) fn check(
        &self,
        caller: &Caller,
        operation: &str,
        parameters: &Map<String, Value>,
    ) -> Result<Result<Value, Ticket>, EksError> {
        let mut parameters = parameters.clone();
        let token = parameters.remove("clientRequestToken");
        let Some(token) = token
            .as_ref()
            .and_then(Value::as_str)
            .filter(|t| !t.is_empty())
        else {
            return Ok(Err(Ticket {
                key: None,
                parameters,
            }));
        };
        let key = format!(
            "{} {} {operation} {token}",
            caller.context.account_id, caller.region
        );
        match self.answers.get(&key) {
            Some(answer) if answer.parameters == parameters => Ok(Ok(answer.value.clone())),
            Some(_) => Err(EksError::invalid_request(
                "The clientRequestToken has already been used in a request with different parameters.",
            )),
            None => Ok(Err(Ticket {
                key: Some(key),
                parameters,
            })),
        }
    }

    pub(crate) fn record(&mut self, ticket: Ticket, value: &Value) {
        if let Some(key) = ticket.key {
            self.answers.insert(
                key,
                Answer {
                    parameters: ticket.parameters,
                    value: value.clone(),
                },
            );
        }
    }

    /// Forgets the answers that `stale` picks, because what they created is gone.
    pub(crate) fn forget(&mut self, stale: impl Fn(&Value) -> bool) {
        self.answers.retain(|_, answer| !stale(&answer.value));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::context::RequestContext;

    fn caller(account_id: &str) -> Caller {
        let context = RequestContext {
            account_id: account_id.into(),
            partition: "aws".into(),
            now: time::OffsetDateTime::UNIX_EPOCH,
            request_id: String::new(),
            caller_arn: String::new(),
        };
        Caller {
            context,
            region: "us-east-1".into(),
            user_id: String::new(),
            temporary: false,
        }
    }

    fn parameters(token: Option<&str>, namespace: &str) -> Map<String, Value> {
        let Value::Object(map) = json!({"clientRequestToken": token, "namespace": namespace})
        else {
            unreachable!()
        };
        map
    }

    #[test]
    fn a_token_answers_once_and_the_same() {
        let mut idempotency = Idempotency::default();
        let me = caller("1");
        let ticket = idempotency
            .check(&me, "Create", &parameters(Some("t"), "a"))
            .unwrap()
            .unwrap_err();
        let answer = json!({"association": {"associationId": "a-1"}});
        assert!(
            idempotency
                .check(&me, "Create", &parameters(Some("t"), "a"))
                .unwrap()
                .is_err(),
            "a call that failed leaves nothing"
        );
        idempotency.record(ticket, &answer);
        assert_eq!(
            idempotency
                .check(&me, "Create", &parameters(Some("t"), "a"))
                .unwrap()
                .unwrap(),
            answer
        );
        let error = idempotency
            .check(&me, "Create", &parameters(Some("t"), "b"))
            .unwrap_err();
        assert_eq!(
            (error.status, error.code.as_str()),
            (400, "InvalidRequestException")
        );
        let fresh = [
            (
                "other token",
                idempotency.check(&me, "Create", &parameters(Some("u"), "b")),
            ),
            (
                "no token",
                idempotency.check(&me, "Create", &parameters(None, "a")),
            ),
            (
                "empty token",
                idempotency.check(&me, "Create", &parameters(Some(""), "a")),
            ),
            (
                "other operation",
                idempotency.check(&me, "Update", &parameters(Some("t"), "b")),
            ),
            (
                "other account",
                idempotency.check(&caller("2"), "Create", &parameters(Some("t"), "b")),
            ),
        ];
        for (name, result) in fresh {
            assert!(result.unwrap().is_err(), "{name}");
        }
        idempotency.forget(|answer| answer["association"]["associationId"] == "a-1");
        assert!(
            idempotency
                .check(&me, "Create", &parameters(Some("t"), "b"))
                .unwrap()
                .is_err(),
            "what is gone is forgotten"
        );
    }
}
