//! One acceptance test: a Terraform working directory, a target, steps and checks.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::MutexGuard;
use std::time::{Duration, Instant};

use podidentity_sandbox::{CredentialReport, Fault, PodCredentials, Sandbox};
use regex::Regex;
use serde_json::Value;

mod diagnostic;
#[cfg(unix)]
mod kill;
mod plan;
mod source;
mod state;
mod target;
mod terraform;

pub(crate) use diagnostic::{Diagnostic, ErrorExpectation};
#[cfg(unix)]
pub(crate) use kill::Killed;
pub(crate) use plan::{Action, Plan, Unknown};
pub(crate) use state::State;
use target::Target;
pub(crate) use target::{Aws, NAME_PREFIX};
#[cfg(unix)]
pub(crate) use terraform::Running;
pub(crate) use terraform::{Outcome, PROVIDER, Workspace, cli, place};

/// One test's working directory, target and history.
///
/// Steps return the case, so that they chain. A step that goes wrong panics with Terraform's answer.
#[derive(Debug)]
pub(crate) struct Case {
    workspace: Workspace,
    target: Target,
    name: String,
    /// The configuration as the test wrote it, before placeholders are filled in.
    config: String,
    /// Whether Terraform may have created something.
    applied: Cell<bool>,
    /// Whether the sandbox has pods, whose credentials are judged when the test ends.
    seeded: Cell<bool>,
}

impl Case {
    /// A case against the target: a sandbox of its own, or the account.
    #[track_caller]
    pub(crate) fn new() -> Self {
        Self::on(Target::choose())
    }

    /// A case that uses no AWS at all: there are no credentials, and every call would fail.
    #[track_caller]
    pub(crate) fn offline() -> Self {
        Self::on(Target::Offline)
    }

    /// A case that makes sense against a sandbox only, such as one with faults. Against an account it is `None`, and a line says so:
    /// `let Some(mut case) = Case::sandbox_only() else { return };`
    #[track_caller]
    pub(crate) fn sandbox_only() -> Option<Self> {
        Self::may_use_sandbox().then(Self::new)
    }

    /// As [`sandbox_only`](Self::sandbox_only), in another region.
    #[track_caller]
    pub(crate) fn sandbox_in(region: &str) -> Option<Self> {
        Self::may_use_sandbox().then(|| Self::on(Target::sandbox_in(region)))
    }

    fn may_use_sandbox() -> bool {
        if target::account_requested() {
            let test = std::thread::current()
                .name()
                .unwrap_or("this test")
                .to_owned();
            println!("skipped against an account: {test} needs the sandbox");
        }
        !target::account_requested()
    }

    fn on(target: Target) -> Self {
        let mut workspace = Workspace::with_override();
        target.environment(&mut workspace);
        let name = format!(
            "{NAME_PREFIX}{:08x}",
            RandomState::new().hash_one(Instant::now()) as u32
        );
        Self {
            workspace,
            target,
            name,
            config: String::new(),
            applied: Cell::new(false),
            seeded: Cell::new(false),
        }
    }

    // === Configuration ===

    /// Replaces the configuration.
    pub(crate) fn config(&mut self, text: impl Into<String>) -> &mut Self {
        self.config = text.into();
        self.workspace.write("main.tf", &self.fill(&self.config));
        // Terraform starts every provider that is required, used or not.
        let used = ["podidentity_", "\"podidentity\"", "provider::podidentity"]
            .iter()
            .any(|word| self.config.contains(word));
        let required = self.config.contains("required_providers");
        self.workspace.require_provider(used && !required);
        self
    }

    /// Replaces a part of the configuration, which must be there.
    #[track_caller]
    pub(crate) fn edit(&mut self, from: &str, to: &str) -> &mut Self {
        assert!(
            self.config.contains(from),
            "the configuration has no {from:?}:\n{}",
            self.config
        );
        let config = self.config.replace(from, to);
        self.config(config)
    }

    /// Writes another file; placeholders are filled in.
    pub(crate) fn file(&mut self, name: &str, text: &str) -> &mut Self {
        self.workspace.write(name, &self.fill(text));
        self
    }

    /// Sets an environment variable for all later steps.
    pub(crate) fn environment(&mut self, name: &str, value: &str) -> &mut Self {
        let value = self.fill(value);
        self.workspace.set(name, value);
        self
    }

    /// Removes an environment variable for all later steps.
    pub(crate) fn without_environment(&mut self, name: &str) -> &mut Self {
        self.workspace.unset(name);
        self
    }

    /// Fills in `{{name}}`, `{{cluster}}`, `{{account_id}}`, `{{region}}`, `{{partition}}` and `{{endpoint}}`.
    pub(crate) fn fill(&self, text: &str) -> String {
        let mut text = text.replace("{{name}}", &self.name);
        for (placeholder, value) in self.target.values() {
            text = text.replace(&format!("{{{{{placeholder}}}}}"), value);
        }
        text
    }

    /// What `{{name}}` stands for.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    // === Steps ===

    /// Applies.
    #[track_caller]
    pub(crate) fn apply(&mut self) -> &mut Self {
        self.apply_with(&[])
    }

    /// Applies with further options, such as `-replace=podidentity_role.this`.
    #[track_caller]
    pub(crate) fn apply_with(&mut self, options: &[&str]) -> &mut Self {
        let outcome = self.try_apply(options);
        self.require(outcome.code == 0, "apply failed", &outcome);
        self
    }

    /// Applies and returns what came of it, success or not.
    pub(crate) fn try_apply(&mut self, options: &[&str]) -> Outcome {
        self.applied.set(true);
        self.run_with(&["apply", "-json", "-auto-approve"], options)
    }

    /// Starts an apply in the background, to interrupt or kill it.
    #[cfg(unix)]
    pub(crate) fn start_apply(&mut self) -> Running {
        self.start(&["apply", "-json", "-auto-approve"])
    }

    /// Starts any command in the background.
    #[cfg(unix)]
    pub(crate) fn start(&mut self, arguments: &[&str]) -> Running {
        self.applied.set(true);
        self.workspace.start(arguments)
    }

    /// Applies and wants an error whose summary and detail match.
    #[track_caller]
    pub(crate) fn apply_error(&mut self, pattern: &str) -> ErrorExpectation {
        let outcome = self.try_apply(&[]);
        self.want_error(&outcome, pattern)
    }

    /// Plans.
    #[track_caller]
    pub(crate) fn plan(&self) -> Plan {
        self.plan_with(&[])
    }

    /// Plans with further options, such as `-destroy`.
    #[track_caller]
    pub(crate) fn plan_with(&self, options: &[&str]) -> Plan {
        let outcome = self.try_plan(options);
        self.require(matches!(outcome.code, 0 | 2), "plan failed", &outcome);
        let shown = self.run(&["show", "-json", "tfplan"]);
        self.require(shown.code == 0, "show failed", &shown);
        Plan::new(serde_json::from_str(&shown.stdout).unwrap())
    }

    /// Plans and returns what came of it: exit code 0 for no changes, 1 for an error, 2 for changes.
    pub(crate) fn try_plan(&self, options: &[&str]) -> Outcome {
        self.run_with(
            &["plan", "-json", "-detailed-exitcode", "-out=tfplan"],
            options,
        )
    }

    /// Plans and wants no change.
    #[track_caller]
    pub(crate) fn expect_empty_plan(&mut self) -> &mut Self {
        let outcome = self.try_plan(&[]);
        if outcome.code == 2 {
            let shown = self.run(&["show", "-no-color", "tfplan"]);
            panic!(
                "the plan is not empty:\n{}\n{}",
                outcome.report(),
                shown.stdout
            );
        }
        self.require(outcome.code == 0, "plan failed", &outcome);
        self
    }

    /// Plans and wants exactly these changes; objects left alone need not be listed.
    #[track_caller]
    pub(crate) fn expect_plan(&mut self, expected: &[(&str, Action)]) -> &mut Self {
        let mut actions = self.plan().actions();
        actions.retain(|_, action| *action != Action::NoOp);
        let expected: BTreeMap<String, Action> = expected
            .iter()
            .map(|(address, action)| ((*address).to_owned(), *action))
            .collect();
        if actions != expected {
            let shown = self.run(&["show", "-no-color", "tfplan"]);
            assert_eq!(
                actions, expected,
                "the plan has other changes:\n{}",
                shown.stdout
            );
        }
        self
    }

    /// Plans and wants an error whose summary and detail match.
    #[track_caller]
    pub(crate) fn plan_error(&self, pattern: &str) -> ErrorExpectation {
        self.want_error(&self.try_plan(&[]), pattern)
    }

    /// Plans successfully and wants a warning whose summary and detail match.
    #[track_caller]
    pub(crate) fn plan_warning(&self, pattern: &str) -> Diagnostic {
        let outcome = self.try_plan(&[]);
        self.require(matches!(outcome.code, 0 | 2), "plan failed", &outcome);
        let regex = Regex::new(&format!("(?s){pattern}")).unwrap();
        let found = outcome
            .warnings()
            .into_iter()
            .find(|warning| regex.is_match(&format!("{}\n{}", warning.summary, warning.detail)));
        let Some(found) = found else {
            panic!("no warning matches /{pattern}/:\n{}", outcome.report())
        };
        found.clone()
    }

    /// Takes what is really there into the state, as `terraform apply -refresh-only` does.
    #[track_caller]
    pub(crate) fn refresh(&mut self) -> &mut Self {
        self.apply_with(&["-refresh-only"])
    }

    /// Imports with the command.
    #[track_caller]
    pub(crate) fn import(&mut self, address: &str, id: &str) -> &mut Self {
        let outcome = self.try_import(address, id);
        self.require(outcome.code == 0, "import failed", &outcome);
        self
    }

    /// Imports with the command and returns what came of it.
    pub(crate) fn try_import(&mut self, address: &str, id: &str) -> Outcome {
        self.applied.set(true);
        let id = self.fill(id);
        self.run(&["import", address, &id])
    }

    /// Imports with the command and wants an error whose summary and detail match.
    #[track_caller]
    pub(crate) fn import_error(&mut self, address: &str, id: &str, pattern: &str) -> Diagnostic {
        let outcome = self.try_import(address, id);
        self.want_error(&outcome, pattern).anywhere()
    }

    /// Imports with an `import` block and wants nothing else to change.
    #[track_caller]
    pub(crate) fn import_block(&mut self, address: &str, id: &str) -> &mut Self {
        self.file(
            "import.tf",
            &format!("import {{\n  to = {address}\n  id = \"{id}\"\n}}\n"),
        );
        let outcome = self.try_apply(&[]);
        self.require(outcome.code == 0, "import by block failed", &outcome);
        let changes = outcome
            .event("change_summary")
            .map(|event| event["changes"].clone())
            .unwrap_or_default();
        let counts = ["import", "add", "change", "remove"]
            .map(|kind| changes[kind].as_i64().unwrap_or_default());
        self.require(
            counts == [1, 0, 0, 0],
            &format!("import by block: imported, added, changed, removed {counts:?}"),
            &outcome,
        );
        fs::remove_file(self.workspace.path().join("import.tf")).unwrap();
        self
    }

    /// Imports the object a second time, into a copy of the state without it, and wants every attribute to come out the same, except those listed
    /// (which only the configuration knows, such as `timeouts`), and a plan without changes for it.
    #[track_caller]
    pub(crate) fn verify_import(&mut self, address: &str, id: &str, except: &[&str]) -> &mut Self {
        let expected = self
            .state()
            .attributes(address)
            .cloned()
            .unwrap_or_else(|| panic!("{address} is not in the state"));
        let path = self.workspace.path().to_owned();
        fs::copy(
            path.join("terraform.tfstate"),
            path.join("original.tfstate"),
        )
        .unwrap();
        self.forget(address);
        let id = self.fill(id);
        let outcome = self.run(&["import", address, &id]);
        let imported = self.state();
        let plan = (outcome.code == 0).then(|| self.try_plan(&[&format!("-target={address}")]));
        let shown = self.run(&["show", "-no-color", "tfplan"]);
        fs::rename(
            path.join("original.tfstate"),
            path.join("terraform.tfstate"),
        )
        .unwrap();

        self.require(outcome.code == 0, "import failed", &outcome);
        let found = imported
            .attributes(address)
            .cloned()
            .unwrap_or_else(|| panic!("{address} was not imported: {:?}", imported.addresses()));
        let (mut expected, mut found) = (expected, found);
        for attributes in [&mut expected, &mut found]
            .into_iter()
            .filter_map(Value::as_object_mut)
        {
            attributes.retain(|name, _| !except.contains(&name.as_str()));
        }
        assert_eq!(
            found, expected,
            "importing {address} by {id} gave other attributes"
        );
        if let Some(plan) = plan.filter(|plan| plan.code != 0) {
            panic!(
                "the plan after importing {address} is not empty:\n{}\n{}",
                plan.report(),
                shown.stdout
            );
        }
        self
    }

    /// Marks an object to be replaced.
    #[track_caller]
    pub(crate) fn taint(&mut self, address: &str) -> &mut Self {
        self.succeed(&["taint", address])
    }

    /// Takes such a mark away.
    #[track_caller]
    pub(crate) fn untaint(&mut self, address: &str) -> &mut Self {
        self.succeed(&["untaint", address])
    }

    /// Makes Terraform forget an object without deleting it.
    #[track_caller]
    pub(crate) fn forget(&mut self, address: &str) -> &mut Self {
        self.succeed(&["state", "rm", address])
    }

    /// Destroys everything and wants the state to be empty.
    #[track_caller]
    pub(crate) fn destroy(&mut self) -> &mut Self {
        let outcome = self.run(&["destroy", "-json", "-auto-approve"]);
        self.require(outcome.code == 0, "destroy failed", &outcome);
        assert_eq!(
            self.state().addresses(),
            Vec::<String>::new(),
            "the state is not empty after destroy"
        );
        self.applied.set(false);
        self
    }

    /// Destroys and wants an error whose summary and detail match.
    #[track_caller]
    pub(crate) fn destroy_error(&mut self, pattern: &str) -> ErrorExpectation {
        let outcome = self.run(&["destroy", "-json", "-auto-approve"]);
        self.want_error(&outcome, pattern)
    }

    /// `terraform validate`: what came of it.
    pub(crate) fn validate(&self) -> Vec<Diagnostic> {
        let outcome = self.run(&["validate", "-json"]);
        let document: Value = serde_json::from_str(&outcome.stdout)
            .unwrap_or_else(|error| panic!("validate: {error}\n{}", outcome.report()));
        let diagnostics = document["diagnostics"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|diagnostic| Diagnostic::from_json(diagnostic, self.workspace.path()));
        diagnostics
            .filter(|diagnostic| !diagnostic.is_override_notice())
            .collect()
    }

    /// Runs any other command.
    pub(crate) fn run(&self, arguments: &[&str]) -> Outcome {
        self.workspace.run(arguments)
    }

    // === State ===

    /// The state.
    pub(crate) fn state(&self) -> State {
        State::read(&self.workspace.path().join("terraform.tfstate"))
    }

    /// One value of the state: `case.attribute("podidentity_role.this", "trust.namespaces.0")`; null if it is not set.
    #[track_caller]
    pub(crate) fn attribute(&self, address: &str, path: &str) -> Value {
        self.state().attribute(address, path)
    }

    /// The value of an output in the state; null if it is not there.
    pub(crate) fn output(&self, name: &str) -> Value {
        self.state().output(name).clone()
    }

    /// One string of the state.
    #[track_caller]
    pub(crate) fn text(&self, address: &str, path: &str) -> String {
        let value = self.attribute(address, path);
        value
            .as_str()
            .unwrap_or_else(|| panic!("{address} {path} is not a string: {value}"))
            .to_owned()
    }

    /// Wants a value in the state; placeholders in a string are filled in.
    #[track_caller]
    pub(crate) fn expect_attribute(
        &mut self,
        address: &str,
        path: &str,
        expected: impl Into<Value>,
    ) -> &mut Self {
        let expected = match expected.into() {
            Value::String(text) => Value::String(self.fill(&text)),
            other => other,
        };
        assert_eq!(self.attribute(address, path), expected, "{address} {path}");
        self
    }

    /// Wants a string in the state to match a regular expression; placeholders are filled in.
    #[track_caller]
    pub(crate) fn expect_match(&mut self, address: &str, path: &str, pattern: &str) -> &mut Self {
        let found = self.text(address, path);
        let pattern = self.fill(pattern);
        assert!(
            Regex::new(&pattern).unwrap().is_match(&found),
            "{address} {path}: {found:?} does not match /{pattern}/"
        );
        self
    }

    /// Wants an object not to be in the state.
    #[track_caller]
    pub(crate) fn expect_absent(&mut self, address: &str) -> &mut Self {
        assert!(
            self.state().attributes(address).is_none(),
            "{address} is still in the state"
        );
        self
    }

    // === The target ===

    /// Ordinary AWS clients for the target.
    #[track_caller]
    pub(crate) fn aws(&self) -> Aws {
        self.target.aws()
    }

    /// The sandbox, for what only it can do: [`seed`](Sandbox::seed), [`call`](Sandbox::call), the journal's details.
    ///
    /// # Panics
    ///
    /// The target is an account; begin such a test with [`Case::sandbox_only`].
    #[track_caller]
    pub(crate) const fn sandbox(&self) -> &Sandbox {
        self.target
            .sandbox()
            .expect("this step needs Case::sandbox_only")
    }

    /// Seeds the sandbox with a cluster that has pods. When the test ends, the watcher over credentials must not have seen a pod
    /// lose its access to AWS at any moment, and the number of changes it has judged is printed. Needs [`Case::sandbox_only`].
    #[track_caller]
    pub(crate) fn seed(&mut self, seed: Value) -> &mut Self {
        self.seeded.set(true);
        self.sandbox()
            .seed(seed)
            .unwrap_or_else(|error| panic!("{error}"));
        self
    }

    /// Asks the watcher over credentials before the test ends, who fails the test if a pod has lost its access. Returns the number of
    /// changes judged since the last seed, for the test to print.
    #[track_caller]
    pub(crate) fn transitions(&self) -> u64 {
        let report = self.take_credentials();
        assert!(
            report.violations.is_empty(),
            "pods have lost their AWS access: {:#?}",
            report.violations
        );
        let left = pods_left(&report);
        assert!(
            left.is_empty(),
            "pods still depend on an association that is gone: {left:#?}"
        );
        report.transitions
    }

    /// What the watcher over credentials has to say, for a test that judges it itself.
    #[track_caller]
    pub(crate) fn take_credentials(&self) -> CredentialReport {
        self.seeded.set(false);
        self.sandbox().credential_report()
    }

    /// Makes AWS misbehave; `faults.rs` of the sandbox lists the fields. Needs [`Case::sandbox_only`].
    #[track_caller]
    pub(crate) fn fault(&mut self, fault: Fault) -> &mut Self {
        self.sandbox().fault(fault);
        self
    }

    /// Starts counting calls afresh.
    pub(crate) fn clear_calls(&mut self) -> &mut Self {
        if let Some(sandbox) = self.target.sandbox() {
            sandbox.clear_requests();
        }
        self
    }

    /// How often the provider called each operation, by `service:Operation`; empty against an account.
    pub(crate) fn calls(&self) -> BTreeMap<String, usize> {
        self.target
            .sandbox()
            .map(|sandbox| target::counts(&sandbox.requests()))
            .unwrap_or_default()
    }

    /// Wants exactly these calls since [`clear_calls`](Self::clear_calls): `&[("iam:GetRole", 1)]`.
    #[track_caller]
    pub(crate) fn expect_calls(&mut self, expected: &[(&str, usize)]) -> &mut Self {
        if self.target.sandbox().is_none() {
            println!("skipped against an account: counting calls");
            return self;
        }
        let expected: BTreeMap<String, usize> = expected
            .iter()
            .map(|(call, count)| ((*call).to_owned(), *count))
            .collect();
        assert_eq!(self.calls(), expected, "other AWS calls than expected");
        self
    }

    /// Whether the target is an account.
    pub(crate) const fn is_account(&self) -> bool {
        self.target.outlives_the_test()
    }

    /// Keeps tests apart that change something of which a cluster has only one, such as the agent add-on. Every sandbox has
    /// clusters of its own, so it matters against an account only; hold the guard until the test ends.
    pub(crate) fn cluster_lock(&self) -> Option<MutexGuard<'static, ()>> {
        self.target.outlives_the_test().then(target::cluster_lock)
    }

    /// Waits until a condition holds, such as a call having arrived.
    #[track_caller]
    pub(crate) fn wait_until(&self, what: &str, mut condition: impl FnMut(&Self) -> bool) {
        let patience = Instant::now() + Duration::from_secs(60);
        while !condition(self) {
            assert!(Instant::now() < patience, "waited a minute in vain: {what}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// The working directory.
    pub(crate) const fn workspace(&self) -> &Workspace {
        &self.workspace
    }

    // === Inner workings ===

    fn run_with(&self, command: &[&str], options: &[&str]) -> Outcome {
        self.run(&[command, options].concat())
    }

    #[track_caller]
    fn succeed(&mut self, arguments: &[&str]) -> &mut Self {
        let outcome = self.run(arguments);
        self.require(outcome.code == 0, "command failed", &outcome);
        self
    }

    #[track_caller]
    fn want_error(&self, outcome: &Outcome, pattern: &str) -> ErrorExpectation {
        self.require(
            outcome.code == 1,
            &format!("wanted an error that matches /{pattern}/"),
            outcome,
        );
        let pattern = self.fill(pattern);
        ErrorExpectation::find(&outcome.diagnostics, &pattern)
            .unwrap_or_else(|message| panic!("{message}\n{}", outcome.report()))
    }

    #[track_caller]
    fn require(&self, condition: bool, message: &str, outcome: &Outcome) {
        assert!(
            condition,
            "{message}\n{}\nconfiguration:\n{}",
            outcome.report(),
            self.fill(&self.config)
        );
    }
}

impl Drop for Case {
    fn drop(&mut self) {
        if self.applied.get()
            && self.target.outlives_the_test()
            && !self.state().addresses().is_empty()
        {
            let outcome = self.run(&["destroy", "-json", "-auto-approve"]);
            if outcome.code != 0 {
                eprintln!(
                    "could not clean up, run `make sweep`:\n{}",
                    outcome.report()
                );
            }
        }
        if self.seeded.get() && !std::thread::panicking() {
            eprintln!("transitions checked: {}", self.transitions());
        }
        if std::thread::panicking() && env::var_os("PODIDENTITY_ACC_KEEP").is_some() {
            eprintln!("kept {}", self.workspace.keep().display());
        }
    }
}

/// Pods that cannot go on as they are: their association is gone.
pub(crate) fn pods_left(report: &CredentialReport) -> Vec<&PodCredentials> {
    let pods = report.pods.iter();
    pods.filter(|pod| pod.excuse.is_some()).collect()
}
