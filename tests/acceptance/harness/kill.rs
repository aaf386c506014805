//! Killing the provider at a chosen call.
//!
//! Terraform itself lives on: it loses the provider as it would when the kernel runs out of memory, reports that, and keeps the state it had.

use std::collections::BTreeMap;
use std::process::Command;
use std::time::{Duration, Instant};

use podidentity_sandbox::Fault;

use super::Case;
use super::terraform::{Outcome, Running};

/// What came of a command whose provider was to be killed.
#[derive(Debug)]
pub(crate) enum Killed {
    /// The provider was killed; this is what Terraform made of it.
    Yes(Outcome),
    /// The command ended before there were so many calls.
    Ended(Outcome),
}

impl Case {
    /// Runs a command and kills the provider with SIGKILL once its call number `calls`, counted from 1, has taken effect and before
    /// it hears the answer. Calls of AWS and Kubernetes count alike. Later calls of the same provider are held, too, so that nothing
    /// more happens. Faults are gone afterwards.
    #[track_caller]
    pub(crate) fn kill_after(&mut self, calls: u64, arguments: &[&str]) -> Killed {
        self.clear_calls().fault(Fault {
            hold: true,
            skip: calls - 1,
            ..Fault::default()
        });
        let mut running = self.start(arguments);
        let patience = Instant::now() + Duration::from_secs(120);
        let held = loop {
            if self.sandbox().requests().iter().any(|entry| entry.held) {
                break true;
            }
            if !running.is_running() {
                break false;
            }
            assert!(
                Instant::now() < patience,
                "call {calls} has not come for two minutes:\n{:?}",
                self.calls()
            );
            std::thread::sleep(Duration::from_millis(5));
        };
        if held {
            assert!(running.kill_provider(), "no provider to kill");
        }
        let outcome = running.wait();
        self.sandbox().clear_faults();
        if held {
            Killed::Yes(outcome)
        } else {
            Killed::Ended(outcome)
        }
    }
}

impl Case {
    /// Interrupts a command while the sandbox withholds the answer to one of its calls, and lets the answer go once the
    /// provider has had time to hear of the interruption. Faults are gone afterwards.
    #[track_caller]
    pub(crate) fn interrupt_while_held(&mut self, running: Running) -> Outcome {
        self.wait_until("an answer is withheld", |case| {
            case.sandbox().requests().iter().any(|entry| entry.held)
        });
        running.interrupt();
        std::thread::sleep(Duration::from_secs(5));
        self.sandbox().clear_faults();
        running.wait()
    }
}

impl Running {
    /// Kills every provider process under this Terraform with SIGKILL. False if there is none.
    pub(crate) fn kill_provider(&self) -> bool {
        let processes = processes();
        let found: Vec<u32> = processes
            .iter()
            .filter(|(pid, process)| process.is_provider && self.is_above(**pid, &processes))
            .map(|(pid, _)| *pid)
            .collect();
        for pid in &found {
            let status = Command::new("kill")
                .args(["-KILL", &pid.to_string()])
                .status();
            // One that has ended by itself since the list was made needs no killing.
            let gone = || !self::processes().contains_key(pid);
            assert!(
                status.is_ok_and(|status| status.success()) || gone(),
                "kill {pid}"
            );
        }
        !found.is_empty()
    }

    fn is_above(&self, mut pid: u32, processes: &BTreeMap<u32, Process>) -> bool {
        while let Some(process) = processes.get(&pid) {
            if process.parent == self.id() {
                return true;
            }
            pid = process.parent;
        }
        false
    }
}

/// What there is to know of a process here.
struct Process {
    parent: u32,
    is_provider: bool,
}

/// The name of the provider's binary.
const BINARY: &str = "terraform-provider-podidentity";

/// All processes that can be seen.
#[cfg(target_os = "linux")]
fn processes() -> BTreeMap<u32, Process> {
    let read = |pid: u32| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name in parentheses may hold anything, so the fields are counted from its end: state, parent.
        let parent = stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse();
        let binary = std::fs::read_link(format!("/proc/{pid}/exe")).unwrap_or_default();
        let process = Process {
            parent: parent.ok()?,
            is_provider: binary.file_name().is_some_and(|name| name == BINARY),
        };
        Some((pid, process))
    };
    std::fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| read(entry.file_name().to_str()?.parse().ok()?))
        .collect()
}

/// All processes that can be seen.
#[cfg(not(target_os = "linux"))]
fn processes() -> BTreeMap<u32, Process> {
    let output = Command::new("ps")
        .args(["-A", "-o", "pid=,ppid=,comm="])
        .output()
        .unwrap();
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(|line| {
            let mut fields = line.split_whitespace();
            let pid = fields.next()?.parse().ok()?;
            let parent = fields.next()?.parse().ok()?;
            let is_provider = fields.last()?.ends_with(BINARY);
            Some((
                pid,
                Process {
                    parent,
                    is_provider,
                },
            ))
        })
        .collect()
}

/// The provider is found, killed without a word, and Terraform tells.
#[test]
fn a_provider_is_killed_at_its_second_call() {
    let Some(mut case) = Case::sandbox_only() else {
        return;
    };
    case.config(
        "resource \"podidentity_role\" \"this\" {\n  name = \"{{name}}\"\n  policy_arns = [\"arn:aws:iam::aws:policy/ReadOnlyAccess\"]\n}\n",
    );
    let calls = {
        case.clear_calls().apply();
        let calls = case.sandbox().requests();
        case.destroy();
        calls
    };
    let creation = calls
        .iter()
        .position(|call| call.operation == "CreateRole")
        .unwrap();
    let apply = ["apply", "-json", "-auto-approve"];
    let Killed::Yes(outcome) = case.kill_after(creation as u64 + 1, &apply) else {
        panic!("the provider was not killed");
    };
    assert_eq!(outcome.code, 1, "{}", outcome.report());
    // Terraform notices either the broken connection ("did not respond") or the ended process ("was cancelled"), whichever is
    // first. Both name the call that is left without an answer.
    let told = outcome
        .diagnostics
        .iter()
        .any(|d| d.detail.contains("ApplyResourceChange"));
    assert!(told, "{}", outcome.report());
    let requests = case.sandbox().requests();
    let last = requests.last().unwrap();
    assert_eq!(
        (last.operation.as_str(), last.held, last.status),
        ("CreateRole", true, 200)
    );
    let name = case.name().to_owned();
    let aws = case.aws();
    aws.wait(aws.iam.delete_role().role_name(name).send());
    let Killed::Ended(outcome) = case.kill_after(1_000, &apply) else {
        panic!("there are no thousand calls");
    };
    assert_eq!(outcome.code, 0, "{}", outcome.report());
}
