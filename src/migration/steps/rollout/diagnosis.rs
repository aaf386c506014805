//! What is wrong with the pods of a workload, in words. Never values of variables, and never the last words of a container,
//! which may hold anything.

use k8s_openapi::api::core::v1::{ContainerStatus, Pod, PodStatus};

use super::live::LivePod;

/// How many pods are described.
const PODS: usize = 5;
/// How much of a message is shown, in characters.
const MESSAGE: usize = 300;

/// One sentence, without full stop, for each pod that is not ready and not on its way out.
pub(super) fn diagnose(pods: &[LivePod]) -> Vec<String> {
    let mut lines: Vec<_> = pods
        .iter()
        .filter(|pod| !pod.facts.terminating)
        .filter_map(|pod| Some((pod, trouble(&pod.pod)?)))
        .map(|(pod, trouble)| format!("pod {}: {trouble}", pod.facts.name))
        .collect();
    if lines.len() > PODS {
        let more = lines.len() - PODS;
        lines.truncate(PODS);
        lines.push(format!("and {more} more pods that are not ready"));
    }
    lines
}

/// `None`: it is ready.
fn trouble(pod: &Pod) -> Option<String> {
    let Some(status) = &pod.status else {
        return Some("it has no status yet".to_owned());
    };
    if condition(status, "Ready").is_some_and(|(holds, ..)| holds) {
        return None;
    }
    if let Some((false, reason, message)) = condition(status, "PodScheduled") {
        return Some(sentence("it is not scheduled", reason, message));
    }
    let statuses = status
        .init_container_statuses
        .iter()
        .chain(&status.container_statuses)
        .flatten();
    let troubles: Vec<_> = statuses.filter_map(container).collect();
    if !troubles.is_empty() {
        return Some(troubles.join("; "));
    }
    let phase = status.phase.as_deref().unwrap_or("unknown");
    Some(sentence(
        &format!("it is in the phase {phase} and not ready"),
        status.reason.as_deref(),
        status.message.as_deref(),
    ))
}

/// Whether a condition holds, its reason and message.
fn condition<'a>(
    status: &'a PodStatus,
    kind: &str,
) -> Option<(bool, Option<&'a str>, Option<&'a str>)> {
    let found = status
        .conditions
        .iter()
        .flatten()
        .find(|c| c.type_ == kind)?;
    Some((
        found.status == "True",
        found.reason.as_deref(),
        found.message.as_deref(),
    ))
}

/// `None`: nothing is wrong with it.
fn container(status: &ContainerStatus) -> Option<String> {
    let name = &status.name;
    let state = status.state.as_ref();
    let last = status.last_state.as_ref();
    let ended = last
        .and_then(|state| state.terminated.as_ref())
        .map(|ended| {
            format!(
                "; it last ended with exit code {}{}",
                ended.exit_code,
                in_brackets(ended.reason.as_deref())
            )
        })
        .unwrap_or_default();
    if let Some(waiting) = state.and_then(|state| state.waiting.as_ref()) {
        let reason = waiting.reason.as_deref();
        // Said of containers that wait for their turn.
        if reason == Some("PodInitializing") {
            return None;
        }
        let what = format!("the container {name} waits");
        return Some(sentence(&what, reason, waiting.message.as_deref()) + &ended);
    }
    if let Some(terminated) = state.and_then(|state| state.terminated.as_ref()) {
        return (terminated.exit_code != 0).then(|| {
            format!(
                "the container {name} ended with exit code {}{}",
                terminated.exit_code,
                in_brackets(terminated.reason.as_deref())
            )
        });
    }
    (!status.ready).then(|| {
        let restarts = match status.restart_count {
            0 => String::new(),
            count => format!(", after {count} restarts"),
        };
        format!("the container {name} runs but is not ready{restarts}{ended}")
    })
}

fn in_brackets(reason: Option<&str>) -> String {
    reason.map_or_else(String::new, |reason| format!(" ({reason})"))
}

fn sentence(what: &str, reason: Option<&str>, message: Option<&str>) -> String {
    let mut text = what.to_owned();
    for part in [reason, message].into_iter().flatten() {
        if !part.is_empty() {
            text.push_str(": ");
            text.extend(part.chars().take(MESSAGE));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::{Value as Json, json};

    use super::*;
    use crate::migration::facts::PodFacts;

    fn pod(name: &str, status: Json) -> LivePod {
        LivePod {
            facts: PodFacts {
                name: name.to_owned(),
                ..PodFacts::default()
            },
            pod: serde_json::from_value(json!({"metadata": {"name": name}, "status": status}))
                .unwrap(),
        }
    }

    fn container(ready: bool, state: Json, last: Json) -> Json {
        json!({"phase": "Running", "containerStatuses": [{
            "name": "app", "image": "x", "imageID": "", "ready": ready, "restartCount": 4, "state": state, "lastState": last,
        }]})
    }

    #[test]
    fn says_what_is_wrong_and_no_more() {
        let secret = "password=hunter2";
        let ended = json!({"terminated": {"exitCode": 1, "reason": "Error", "message": secret}});
        for (status, expected) in [
            (
                json!({"conditions": [{"type": "Ready", "status": "True"}]}),
                vec![],
            ),
            (
                json!({"phase": "Pending", "conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes are available"}]}),
                vec!["pod p: it is not scheduled: Unschedulable: 0/3 nodes are available"],
            ),
            (
                container(
                    false,
                    json!({"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 5m0s"}}),
                    ended.clone(),
                ),
                vec![
                    "pod p: the container app waits: CrashLoopBackOff: back-off 5m0s; it last ended with exit code 1 (Error)",
                ],
            ),
            (
                container(false, json!({"running": {}}), json!({})),
                vec!["pod p: the container app runs but is not ready, after 4 restarts"],
            ),
            (
                container(false, ended, json!({})),
                vec!["pod p: the container app ended with exit code 1 (Error)"],
            ),
            (
                json!({"phase": "Pending"}),
                vec!["pod p: it is in the phase Pending and not ready"],
            ),
        ] {
            let lines = diagnose(&[pod("p", status)]);
            assert_eq!(lines, expected);
            assert!(!lines.concat().contains(secret));
        }
        let many: Vec<_> = (0..9)
            .map(|n| pod(&format!("p{n}"), json!({"phase": "Pending"})))
            .collect();
        let lines = diagnose(&many);
        assert_eq!(lines.len(), 6);
        assert_eq!(lines[5], "and 4 more pods that are not ready");
        let mut leaving = pod("p", json!({"phase": "Running"}));
        leaving.facts.terminating = true;
        assert_eq!(diagnose(&[leaving]), Vec::<String>::new());
    }
}
