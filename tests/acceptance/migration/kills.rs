//! Scenario 37: the provider is killed after every single call, and another apply ends where an undisturbed one does.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use podidentity_sandbox::{Fault, Visibility};
use serde_json::{Value, json};

use super::cluster::{Cluster, arn, irsa, subject};
use super::*;
use crate::harness::{Killed, pods_left};

const ROLE: &str = "payments-api";
/// A role to change to.
const NEXT: &str = "payments-next";
const APPLY: [&str; 3] = ["apply", "-json", "-auto-approve"];
const DESTROY: [&str; 3] = ["destroy", "-json", "-auto-approve"];
/// How late STS sees trust policies on the way back, and API servers annotations: as long as the propagation of the configuration,
/// two looks and 20 ms between them, allows.
const LATE_MS: u64 = 40;
/// One command at a time is killed at its calls, by as many Terraforms as the machine can run without making each other wait.
static TURN: Mutex<()> = Mutex::new(());

/// Sandboxes at a time: most of what a run does is to wait, so two for each processor.
fn threads() -> usize {
    thread::available_parallelism().map_or(2, |n| (2 * n.get()).min(6))
}

/// A Deployment and a StatefulSet on one service account; another one shares the role and must not notice anything.
fn cluster() -> Cluster {
    let subjects = json!([subject("payments", "api"), subject("payments", "other")]);
    Cluster::empty()
        .role(ROLE, json!([irsa(subjects)]))
        .role(NEXT, json!([irsa(subject("payments", "api"))]))
        .service_account("payments", "api", &arn(ROLE))
        .service_account("payments", "other", &arn(ROLE))
        .workload("Deployment", "payments", "web", "api", 2)
        .workload("StatefulSet", "payments", "store", "api", 2)
        .workload("Deployment", "payments", "other", "other", 1)
        // Propagation and readiness by looks, not by time: runs do not depend on the machine.
        .set(
            "webhook",
            json!({"api_servers": 2, "delay_probes": 2, "annotation_delay_ms": LATE_MS}),
        )
        .set("controllers", json!({"ready_reads": 1}))
}

/// Everything that the migration could leave behind, without what is different in every run: ids, times, versions.
fn end_state(case: &Case, story: &Story) -> Value {
    let is_update = story.before.is_some();
    let associated = associations(case);
    let mut accounts = BTreeMap::new();
    for name in ["api", "other"] {
        accounts.insert(name, annotations(case, "payments", name));
    }
    let mut templates = BTreeMap::new();
    for (resource, name) in [
        ("deployments", "web"),
        ("statefulsets", "store"),
        ("deployments", "other"),
    ] {
        let found = object(case, resource, "payments", name);
        let mut annotations = found["spec"]["template"]["metadata"]["annotations"].clone();
        if let Some(annotations) = annotations.as_object_mut()
            && let Some(at) = annotations.get_mut("kubectl.kubernetes.io/restartedAt")
        {
            *at = "a time".into();
        }
        templates.insert(
            name,
            json!({"annotations": annotations, "generation": found["metadata"]["generation"]}),
        );
    }
    let paths: BTreeMap<&str, _> = ["api", "other"]
        .map(|name| (name, paths(case, name)))
        .into();
    let mut terraform = if story.destroys() {
        json!(case.state().addresses())
    } else {
        case.state().attributes(THIS).cloned().unwrap_or_default()
    };
    if let Some(attributes) = terraform.as_object_mut() {
        let at = attributes.remove("verified_at");
        assert!(
            at.is_some_and(|at| at.is_string()),
            "verified_at is not set"
        );
        // As the plan found them, which is different where a run goes on; `paths` has what there is now.
        for workload in attributes["workloads"].as_array_mut().into_iter().flatten() {
            workload["pods_on_pod_identity"] = Value::Null;
        }
        // The same: where the change is done, a plan that goes on has nothing to say against it.
        if is_update {
            attributes.remove("warnings");
        }
    }
    let state = json!({
        "trust": [trust(case, ROLE), trust(case, NEXT)],
        "associations": associated.iter().map(|(_, a)| json!({
            "namespace": a["namespace"], "serviceAccount": a["serviceAccount"], "id": a["associationId"],
            "roleArn": a["roleArn"], "tags": with_a_token(&a["tags"]),
        })).collect::<Vec<_>>(),
        "accounts": accounts,
        "templates": templates,
        "paths": paths,
        "terraform": terraform,
    });
    // Ids of associations, those of the past included, which restart markers keep, and when they were changed.
    let id = regex::Regex::new("a-[0-9a-z]{17}").unwrap();
    let changed = regex::Regex::new("an id-[0-9]{10}\\b").unwrap();
    let text = state.to_string();
    let text = id.replace_all(&text, "an id");
    let text = changed.replace_all(&text, "an id and a time");
    serde_json::from_str(&text).unwrap()
}

/// Tags of an association. Every object in a state has a token of its own, which is all that may differ.
fn with_a_token(tags: &Value) -> Value {
    let mut tags = tags.clone();
    let token = &mut tags["podidentity:irsa-migration"];
    assert!(
        token.as_str().is_some_and(|token| token.len() == 36),
        "the association has no token: {token}"
    );
    *token = "a token".into();
    tags
}

/// What is killed.
struct Story {
    /// As the figures call it.
    what: &'static str,
    /// The configuration that was applied before.
    before: Option<String>,
    config: String,
    command: &'static [&'static str],
    /// Kills after each write and each so-manieth other call of the apply; without it, after every call, those of the plan included.
    sparsely: Option<usize>,
    /// Whether STS is late.
    late: bool,
}

impl Story {
    /// A case in which the command is to be run next.
    fn start(&self) -> Case {
        let first = self.before.as_ref().unwrap_or(&self.config);
        let mut case = case(&cluster(), first).expect("a sandbox");
        if self.before.is_some() {
            case.apply().config(&self.config);
        }
        case
    }

    fn destroys(&self) -> bool {
        self.command[0] == "destroy"
    }

    /// Makes STS late. A kill takes all faults away, so every life needs that again.
    fn be_late(&self, case: &mut Case) {
        if self.late {
            case.fault(Fault {
                visibility: Some(Visibility {
                    sts_ms: LATE_MS,
                    ..Visibility::default()
                }),
                ..Fault::default()
            });
        }
    }
}

/// Calls that the journal has seen.
fn journal(case: &Case) -> Vec<String> {
    let requests = case.sandbox().requests();
    requests
        .iter()
        .filter(|request| !request.user_agent.contains("acceptance-tests"))
        .map(|request| format!("{}:{}", request.service, request.operation))
        .collect()
}

/// Kills at every call of a story, applies or destroys again, and compares with the undisturbed run. Returns how many calls there were
/// to be killed at, and how many transitions the watcher has judged.
fn every_kill_point(story: &Story) -> (u64, u64) {
    let mut undisturbed = story.start();
    story.be_late(&mut undisturbed);
    undisturbed.sandbox().clear_requests();
    let plan: &[&str] = if story.destroys() {
        &["plan", "-destroy"]
    } else {
        &["plan"]
    };
    let outcome = undisturbed.run(plan);
    assert_eq!(outcome.code, 0, "{}", outcome.report());
    // Every command plans first, with these calls; near the end a kill is taken for one of the apply, which is looked at closer.
    let planning = journal(&undisturbed).len().saturating_sub(2);
    undisturbed.sandbox().clear_requests();
    let outcome = undisturbed.run(story.command);
    assert_eq!(outcome.code, 0, "{}", outcome.report());
    let calls = journal(&undisturbed);
    let expected = end_state(&undisturbed, story);
    eprintln!(
        "undisturbed {}: {} calls, {planning} of them to plan: {:?}",
        story.what,
        calls.len(),
        undisturbed.calls()
    );
    // Some waits are shorter or longer than in the undisturbed run, so the end is where it is.
    let mut points: Vec<usize> = (planning + 1..=calls.len() + 5).collect();
    if let Some(each) = story.sparsely {
        points.retain(|call| {
            call.is_multiple_of(each) || calls.get(call - 1).is_some_and(|c| is_write(c))
        });
    }

    let next = AtomicUsize::new(0);
    let transitions = AtomicU64::new(undisturbed.transitions());
    let killed = AtomicU64::new(0);
    let killed_at = Mutex::new(BTreeSet::new());
    let failures = Mutex::new(Vec::new());
    thread::scope(|scope| {
        if story.sparsely.is_none() {
            scope.spawn(|| match while_planning(story, planning as u64, &expected) {
                Ok(checked) => {
                    killed.fetch_add(planning as u64, Ordering::Relaxed);
                    transitions.fetch_add(checked, Ordering::Relaxed);
                }
                Err(failure) => failures.lock().unwrap().push(failure),
            });
        }
        for _ in 0..threads() {
            scope.spawn(|| {
                while let Some(call) = points.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let call = *call as u64;
                    match kill_point(story, call, &expected) {
                        Ok(None) => {}
                        Ok(Some((at, checked))) => {
                            killed_at.lock().unwrap().insert(at);
                            killed.fetch_add(1, Ordering::Relaxed);
                            transitions.fetch_add(checked, Ordering::Relaxed);
                        }
                        Err(failure) => failures.lock().unwrap().push((call, failure)),
                    }
                }
            });
        }
    });
    let failures = failures.into_inner().unwrap();
    assert!(
        failures.is_empty(),
        "{} of {} kill points ({}) went wrong:\n{}",
        failures.len(),
        points.len(),
        story.what,
        failures
            .iter()
            .map(|(call, failure)| format!("--- killed after call {call}\n{failure}"))
            .collect::<Vec<_>>()
            .join("\n")
    );
    let killed_at = killed_at.into_inner().unwrap();
    for call in calls.iter().filter(|call| is_write(call)) {
        assert!(killed_at.contains(call), "never killed after {call}");
    }
    (killed.into_inner(), transitions.into_inner())
}

/// Kills at the first calls, those of the plan: nothing has been written, neither there nor in the state. So one cluster will do for all
/// of them, which at last is migrated, or rolled back, undisturbed.
fn while_planning(story: &Story, calls: u64, expected: &Value) -> Result<u64, (u64, String)> {
    let mut case = story.start();
    let state = case.state().text();
    for call in 1..=calls {
        if let Killed::Ended(outcome) = case.kill_after(call, story.command) {
            return Err((call, format!("there is no such call\n{}", outcome.report())));
        }
        let written = writes(&case);
        if !written.is_empty() || case.state().text() != state {
            return Err((call, format!("a plan has written {written:?} or the state")));
        }
    }
    finish(&mut case, story, expected, true).map_err(|failure| (calls, failure))
}

/// `Ok(None)` if there is no such call; otherwise which one it was, and the number of transitions that the watcher has judged.
fn kill_point(story: &Story, call: u64, expected: &Value) -> Result<Option<(String, u64)>, String> {
    let mut case = story.start();
    case.sandbox().clear_requests();
    story.be_late(&mut case);
    let at = match case.kill_after(call, story.command) {
        Killed::Yes(_) => {
            let requests = case.sandbox().requests();
            let held = requests.iter().find(|request| request.held);
            held.map_or_else(String::new, |held| {
                format!("{}:{}", held.service, held.operation)
            })
        }
        Killed::Ended(outcome) => {
            case.transitions();
            assert_eq!(outcome.code, 0, "{}", outcome.report());
            return Ok(None);
        }
    };
    // A plan takes as long as all the rest. Reads leave nothing behind that it could find, so a few of them will do.
    let plan = is_write(&at) || call.is_multiple_of(8);
    match finish(&mut case, story, expected, plan) {
        Ok(checked) => Ok(Some((at, checked))),
        Err(failure) => Err(format!("{at}: {failure}")),
    }
}

/// Runs the command to its end and compares. Returns the number of transitions that the watcher has judged.
fn finish(case: &mut Case, story: &Story, expected: &Value, plan: bool) -> Result<u64, String> {
    story.be_late(case);
    let again = case.run(story.command);
    if again.code != 0 {
        return Err(format!("the second run failed\n{}", again.report()));
    }
    let found = end_state(case, story);
    let report = case.take_credentials();
    if !report.violations.is_empty() {
        return Err(format!(
            "pods have lost their credentials: {:#?}",
            report.violations
        ));
    }
    let left = pods_left(&report);
    if !left.is_empty() {
        return Err(format!(
            "pods depend on an association that is gone: {left:#?}"
        ));
    }
    let mut differences = Vec::new();
    differ("", expected, &found, &mut differences);
    if !differences.is_empty() {
        return Err(format!("another end\n{}", differences.join("\n")));
    }
    if plan && !story.destroys() {
        let plan = case.try_plan(&[]);
        if plan.code != 0 {
            return Err(format!(
                "the plan afterwards is not empty\n{}",
                plan.report()
            ));
        }
    }
    Ok(report.transitions)
}

/// What differs, by path.
fn differ(path: &str, expected: &Value, found: &Value, differences: &mut Vec<String>) {
    match (expected, found) {
        (Value::Object(a), Value::Object(b)) => {
            let names: BTreeSet<&String> = a.keys().chain(b.keys()).collect();
            for name in names {
                differ(
                    &format!("{path}/{name}"),
                    &expected[name],
                    &found[name],
                    differences,
                );
            }
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            for (index, (a, b)) in a.iter().zip(b).enumerate() {
                differ(&format!("{path}/{index}"), a, b, differences);
            }
        }
        _ if expected == found => {}
        _ => differences.push(format!("{path}: expected {expected}, found {found}")),
    }
}

fn is_write(call: &str) -> bool {
    let operation = call
        .split_once(':')
        .map_or(call, |(_, operation)| operation);
    ["Create", "Update", "Delete", "Tag", "patch", "delete"]
        .iter()
        .any(|verb| operation.starts_with(verb))
}

fn kill_points(story: &Story) {
    if Case::sandbox_only().is_none() {
        return;
    }
    // A test that has failed has said so itself.
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let started = std::time::Instant::now();
    let (points, transitions) = every_kill_point(story);
    eprintln!(
        "kill points: {points} ({}), in {:.0} s",
        story.what,
        started.elapsed().as_secs_f64()
    );
    eprintln!("transitions checked: {transitions}");
}

/// Killed after each call of a migration, whatever it retires: the same end, no second statement, association or restart.
#[test]
fn s37_killed_after_every_call_of_a_migration() {
    kill_points(&Story {
        what: "migration",
        before: None,
        config: with(RETIRE),
        command: &APPLY,
        sparsely: None,
        late: false,
    });
}

/// Killed after each call of the way back: the same, although nothing that is put back is seen at once.
#[test]
fn s37_killed_after_every_call_of_a_rollback() {
    kill_points(&Story {
        what: "destroy",
        before: Some(with(RETIRE)),
        config: with(RETIRE),
        command: &DESTROY,
        sparsely: None,
        late: true,
    });
}

/// Killed after each write of an update, of one that retires and of one that changes the role. Reads between them leave nothing
/// behind that could matter, so some will do.
#[test]
fn s37_killed_after_every_write_of_an_update() {
    kill_points(&Story {
        what: "retiring",
        before: Some(with(RESTART)),
        config: with(RETIRE),
        command: &APPLY,
        sparsely: Some(20),
        late: false,
    });
    kill_points(&Story {
        what: "change of the role",
        before: Some(with(RESTART)),
        config: with(&format!("{RESTART}\n  role_arn = \"{}\"", arn(NEXT))),
        command: &APPLY,
        sparsely: Some(20),
        late: false,
    });
}
