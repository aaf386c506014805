//! Faults on demand: what goes wrong, for which calls, how often.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tokio::sync::Semaphore;

use crate::ids::Ids;

/// One rule. Fields left out match everything and do nothing, so `Fault::default()` is a rule without effect.
///
/// A rule matches a call by service, operation and parameters; of the calls it matches it lets `skip` pass, then fires, at most `count`
/// times and with the given `probability`. Latencies of all rules that fire add up, and one that holds is enough; of the other effects the
/// first rule's wins.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Fault {
    /// `eks`, `iam`, `sts` or `kubernetes`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// Operation as in the API reference, such as `CreateAddon`; for Kubernetes verb and resource, such as `patch serviceaccounts`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operation: Option<String>,
    /// Parameters the call must carry with these values, by their names in the journal.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub parameters: Map<String, Value>,
    /// Matching calls to let pass first.
    pub skip: u64,
    /// How often to fire; without it, always.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
    /// Chance to fire, between 0 and 1; without it, certain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub probability: Option<f64>,
    /// Seed of the chance: the same seed and calls give the same faults.
    pub seed: u64,
    /// Milliseconds to wait before the call is processed.
    pub latency_ms: u64,
    /// Answer with the service's own throttling error.
    pub throttle: bool,
    /// Answer with this error.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<FaultError>,
    /// Close the connection without an answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub drop: Option<Drop>,
    /// Process the call, then withhold the answer until the faults are cleared. The journal tells at once that the call is held.
    pub hold: bool,
    /// How late EKS sees what IAM wrote. Holds from the rule's arrival until the faults are cleared; matching does not apply.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub visibility: Option<Visibility>,
}

/// An error to answer with.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FaultError {
    /// Error code, such as `ServerException`.
    pub code: String,
    /// Message.
    #[serde(default)]
    pub message: String,
    /// HTTP status.
    #[serde(default = "server_error")]
    pub status: u16,
}

const fn server_error() -> u16 {
    500
}

/// When a connection is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Drop {
    /// Nothing has happened yet.
    Before,
    /// The call has taken effect; the caller cannot know.
    After,
}

/// Eventual consistency of IAM: for so many milliseconds after the write, and for so many looks, EKS or STS does not see it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Visibility {
    /// Milliseconds until a new role exists for EKS.
    pub role_ms: u64,
    /// Looks at a new role that EKS answers with "does not exist".
    pub role_calls: u64,
    /// Milliseconds until EKS takes a new trust policy for valid.
    pub trust_ms: u64,
    /// Looks at a new trust policy that EKS answers with "is invalid".
    pub trust_calls: u64,
    /// Milliseconds until STS, and with it EKS Auth, sees a new role or trust policy.
    pub sts_ms: u64,
    /// Milliseconds until a new association shows up in a list.
    pub list_ms: u64,
}

/// What is to happen to one call.
#[derive(Clone, Debug, Default)]
pub(crate) struct Plan {
    pub(crate) latency_ms: u64,
    pub(crate) effect: Option<Effect>,
    /// Passed before the answer is given.
    pub(crate) gate: Option<Gate>,
}

/// What held answers wait at; it opens once and for good.
#[derive(Clone, Debug)]
pub(crate) struct Gate(Arc<Semaphore>);

impl Default for Gate {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(0)))
    }
}

impl Gate {
    /// Waits until the faults are cleared.
    pub(crate) async fn pass(&self) {
        // There are no permits: all that can happen is that the semaphore is closed.
        let _ = self.0.acquire().await;
    }

    fn open(&self) {
        self.0.close();
    }
}

#[derive(Clone, Debug)]
pub(crate) enum Effect {
    Throttle,
    Error(FaultError),
    Drop(Drop),
}

#[derive(Clone, Debug)]
struct Rule {
    fault: Fault,
    seen: u64,
    fired: u64,
    chance: Ids,
}

/// The rules in force.
#[derive(Clone, Debug, Default)]
pub(crate) struct Faults {
    rules: Vec<Rule>,
    visibility: Visibility,
    gate: Gate,
}

impl Faults {
    pub(crate) fn add(&mut self, fault: Fault) {
        if let Some(visibility) = fault.visibility {
            self.visibility = visibility;
        }
        let chance = Ids::seeded(fault.seed);
        self.rules.push(Rule {
            fault,
            seen: 0,
            fired: 0,
            chance,
        });
    }

    pub(crate) fn clear(&mut self) {
        self.gate.open();
        *self = Self::default();
    }

    pub(crate) const fn visibility(&self) -> Visibility {
        self.visibility
    }

    pub(crate) const fn set_visibility(&mut self, visibility: Visibility) {
        self.visibility = visibility;
    }

    /// The rules with how often each fired, for the control API.
    pub(crate) fn list(&self) -> Value {
        self.rules
            .iter()
            .map(|rule| {
                let mut value = serde_json::to_value(&rule.fault).unwrap_or_default();
                value["fired"] = rule.fired.into();
                value
            })
            .collect()
    }

    /// Decides about one call and counts it.
    pub(crate) fn plan(
        &mut self,
        service: &str,
        operation: &str,
        parameters: &Map<String, Value>,
    ) -> Plan {
        let mut plan = Plan::default();
        for rule in &mut self.rules {
            let fault = &rule.fault;
            let matches = fault.visibility.is_none()
                && fault
                    .service
                    .as_deref()
                    .is_none_or(|s| s.eq_ignore_ascii_case(service))
                && fault.operation.as_deref().is_none_or(|o| o == operation)
                && fault
                    .parameters
                    .iter()
                    .all(|(k, v)| parameters.get(k) == Some(v));
            if !matches {
                continue;
            }
            rule.seen += 1;
            if rule.seen <= fault.skip
                || fault.count.is_some_and(|count| rule.fired >= count)
                || fault
                    .probability
                    .is_some_and(|p| rule.chance.fraction() >= p)
            {
                continue;
            }
            let effect = if fault.throttle {
                Some(Effect::Throttle)
            } else if let Some(error) = &fault.error {
                Some(Effect::Error(error.clone()))
            } else {
                fault.drop.map(Effect::Drop)
            };
            if effect.is_some() && plan.effect.is_some() {
                continue;
            }
            rule.fired += 1;
            plan.latency_ms += fault.latency_ms;
            plan.effect = plan.effect.or(effect);
            if rule.fault.hold {
                plan.gate = Some(self.gate.clone());
            }
        }
        plan
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn fires(faults: &mut Faults, operation: &str) -> bool {
        faults.plan("eks", operation, &Map::new()).effect.is_some()
    }

    #[test]
    fn a_rule_skips_fires_and_is_spent() {
        let mut faults = Faults::default();
        faults.add(Fault {
            operation: Some("CreateAddon".into()),
            throttle: true,
            skip: 1,
            count: Some(2),
            ..Fault::default()
        });
        assert!(!fires(&mut faults, "DescribeAddon"));
        let fired: Vec<bool> = (0..5).map(|_| fires(&mut faults, "CreateAddon")).collect();
        assert_eq!(fired, [false, true, true, false, false]);
        assert_eq!(faults.list()[0]["fired"], 2);
    }

    #[test]
    fn chance_repeats_with_its_seed() {
        let run = |seed| {
            let mut faults = Faults::default();
            faults.add(Fault {
                throttle: true,
                probability: Some(0.5),
                seed,
                ..Fault::default()
            });
            (0..64).map(|_| fires(&mut faults, "X")).collect::<Vec<_>>()
        };
        assert_eq!(run(7), run(7));
        assert_ne!(run(7), run(8));
        let hits = run(7).iter().filter(|f| **f).count();
        assert!((16..48).contains(&hits), "{hits}");
    }

    #[test]
    fn latency_adds_up_and_one_effect_is_used_at_a_time() {
        let mut faults = Faults::default();
        faults.add(Fault {
            latency_ms: 5,
            ..Fault::default()
        });
        faults.add(Fault {
            drop: Some(Drop::After),
            count: Some(1),
            ..Fault::default()
        });
        faults.add(Fault {
            throttle: true,
            count: Some(1),
            latency_ms: 7,
            ..Fault::default()
        });
        let first = faults.plan("eks", "X", &Map::new());
        assert!(matches!(
            (first.latency_ms, first.effect),
            (5, Some(Effect::Drop(Drop::After)))
        ));
        let second = faults.plan("eks", "X", &Map::new());
        assert!(matches!(
            (second.latency_ms, second.effect),
            (12, Some(Effect::Throttle))
        ));
    }

    #[tokio::test]
    async fn a_held_answer_is_released_when_the_faults_are_cleared() {
        let mut faults = Faults::default();
        faults.add(Fault {
            hold: true,
            skip: 1,
            count: Some(1),
            ..Fault::default()
        });
        let mut gates = ["iam", "kubernetes", "eks"]
            .map(|service| faults.plan(service, "X", &Map::new()).gate)
            .into_iter();
        let (Some(None), Some(Some(held)), Some(None)) = (gates.next(), gates.next(), gates.next())
        else {
            panic!("the second call is held, whatever the service, and no other")
        };
        let waiting = tokio::spawn(async move { held.pass().await });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        faults.clear();
        waiting.await.unwrap();
        faults.add(Fault {
            hold: true,
            ..Fault::default()
        });
        let again = faults.plan("eks", "X", &Map::new()).gate.unwrap();
        let waiting = tokio::spawn(async move { again.pass().await });
        tokio::task::yield_now().await;
        assert!(
            !waiting.is_finished(),
            "what was cleared does not hold later calls back, nor let them through"
        );
        waiting.abort();
    }

    #[test]
    fn parameters_select_calls() {
        let mut faults = Faults::default();
        faults.add(serde_json::from_value(json!({"service": "iam", "parameters": {"RoleName": "payments"}, "error": {"code": "ServiceFailure"}})).unwrap());
        let call = |faults: &mut Faults, name: &str| {
            let Value::Object(parameters) = json!({ "RoleName": name }) else {
                unreachable!()
            };
            faults.plan("iam", "GetRole", &parameters).effect.is_some()
        };
        assert!(call(&mut faults, "payments"));
        assert!(!call(&mut faults, "other"));
        assert!(
            serde_json::from_value::<Fault>(json!({"servce": "iam"})).is_err(),
            "a misspelt field is refused"
        );
    }
}
