//! Credential plugins: a command that prints an `ExecCredential`, as kubectl runs it.

use std::fmt;
use std::io::{self, ErrorKind};
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde::Deserialize;
use serde_json::{Value as Json, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::Command;

use super::auth::Credential;
use super::connection::Identity;
use super::error::{KubernetesError, KubernetesErrorKind};
use crate::plugin::logging::{mask, register_secret};

/// Time the command has. It may ask an identity provider; nobody can answer questions of its own.
const TIMEOUT: Duration = Duration::from_secs(60);
/// How long before its end what it printed is renewed; the commands themselves leave time as well.
const RENEW_BEFORE: Duration = Duration::from_secs(10);
/// What of its standard error goes into a message.
const LONGEST_TEXT: usize = 600;
/// How many bytes it may print. Tokens and certificates take some thousands.
const LONGEST_OUTPUT: usize = 1 << 20;

/// The protocol versions that are spoken. `v1alpha1` is gone from Kubernetes.
const VERSIONS: [&str; 2] = [
    "client.authentication.k8s.io/v1",
    "client.authentication.k8s.io/v1beta1",
];

/// A credential plugin.
pub(crate) struct ExecPlugin {
    /// One of [`VERSIONS`].
    pub(crate) api_version: String,
    /// The command, sought on `PATH` unless it is a path.
    pub(crate) command: PathBuf,
    pub(crate) args: Vec<String>,
    /// On top of the environment of this process.
    pub(crate) env: Vec<(String, String)>,
    /// What to say when there is no such command.
    pub(crate) install_hint: Option<String>,
    /// `spec.cluster` of `KUBERNETES_EXEC_INFO`, where the plugin wants it.
    pub(crate) cluster: Option<Json>,
}

impl fmt::Debug for ExecPlugin {
    /// Arguments and environment may be secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExecPlugin")
            .field("command", &self.command)
            .finish_non_exhaustive()
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ExecCredential {
    api_version: String,
    kind: String,
    status: Option<ExecStatus>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ExecStatus {
    expiration_timestamp: Option<String>,
    token: Option<String>,
    client_certificate_data: Option<String>,
    client_key_data: Option<String>,
}

/// What something prints, up to one byte more than it may. The rest is read and left, so that the command can end.
async fn start(pipe: Option<impl AsyncRead + Unpin>) -> io::Result<Vec<u8>> {
    let mut read = Vec::new();
    if let Some(mut pipe) = pipe {
        let most = LONGEST_OUTPUT as u64 + 1;
        (&mut pipe).take(most).read_to_end(&mut read).await?;
        tokio::io::copy(&mut pipe, &mut tokio::io::sink()).await?;
    }
    Ok(read)
}

impl ExecPlugin {
    /// Refuses a protocol that nobody speaks any more.
    pub(crate) fn check(self) -> Result<Self, KubernetesError> {
        if VERSIONS.contains(&self.api_version.as_str()) {
            return Ok(self);
        }
        Err(self.error(format!(
            "speaks {:?}; known are {}",
            self.api_version,
            VERSIONS.join(" and ")
        )))
    }

    /// Runs the command.
    pub(crate) async fn run(&self) -> Result<Credential, KubernetesError> {
        let mut spec = json!({"interactive": false});
        if let Some(cluster) = &self.cluster {
            spec["cluster"] = cluster.clone();
        }
        let info = json!({
            "apiVersion": self.api_version,
            "kind": "ExecCredential",
            "spec": spec,
        });
        let mut child = Command::new(&self.command)
            .args(&self.args)
            .envs(
                self.env
                    .iter()
                    .map(|(name, value)| (name.as_str(), value.as_str())),
            )
            .env("KUBERNETES_EXEC_INFO", info.to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| {
                let hint = match (&self.install_hint, error.kind()) {
                    (Some(hint), ErrorKind::NotFound) => format!(". {}", hint.trim()),
                    _ => String::new(),
                };
                self.error(format!("cannot be started: {error}{hint}"))
            })?;
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let run = async { tokio::try_join!(child.wait(), start(stdout), start(stderr)) };
        let (status, stdout, stderr) = match tokio::time::timeout(TIMEOUT, run).await {
            Err(_) => {
                return Err(self.error(format!("did not end within {}s", TIMEOUT.as_secs())));
            }
            Ok(Err(error)) => return Err(self.error(format!("failed: {error}"))),
            Ok(Ok(output)) => output,
        };
        if stdout.len() > LONGEST_OUTPUT {
            return Err(self.error("printed more than 1 MiB"));
        }
        if !status.success() {
            let said = String::from_utf8_lossy(&stderr);
            let said: String = mask(said.trim()).chars().take(LONGEST_TEXT).collect();
            return Err(self.error(format!("failed with {status}: {said}")));
        }
        self.parse(&stdout)
    }

    fn parse(&self, output: &[u8]) -> Result<Credential, KubernetesError> {
        // The error of the JSON library may repeat what it read, which may be the token.
        let answer: ExecCredential = serde_json::from_slice(output)
            .map_err(|_| self.error("printed no ExecCredential in JSON"))?;
        if answer.kind != "ExecCredential" || answer.api_version != self.api_version {
            return Err(self.error(format!(
                "printed {} of {}, not ExecCredential of {}",
                answer.kind, answer.api_version, self.api_version
            )));
        }
        let status = answer
            .status
            .ok_or_else(|| self.error("printed an ExecCredential without status"))?;
        let filled = |text: Option<String>| text.filter(|text| !text.is_empty());
        let mut credential = match filled(status.token).as_deref() {
            Some(token) => {
                register_secret(token);
                Credential::bearer(token)?
            }
            None => Credential::default(),
        };
        match (
            filled(status.client_certificate_data),
            filled(status.client_key_data),
        ) {
            (Some(certificate), Some(key)) => {
                credential.identity = Some(Arc::new(Identity { certificate, key }));
            }
            (None, None) if credential.authorization.is_some() => {}
            (None, None) => {
                return Err(self.error("printed neither a token nor a client certificate"));
            }
            _ => {
                return Err(self.error(
                    "printed one of clientCertificateData and clientKeyData without the other",
                ));
            }
        }
        if let Some(end) = status.expiration_timestamp {
            let end = OffsetDateTime::parse(&end, &Rfc3339)
                .map_err(|_| self.error("printed an expirationTimestamp that is no RFC 3339"))?;
            credential.renew_at = Some(SystemTime::from(end) - RENEW_BEFORE);
        }
        Ok(credential)
    }

    fn error(&self, what: impl fmt::Display) -> KubernetesError {
        KubernetesError::new(
            KubernetesErrorKind::Configuration,
            format!("the credential plugin {} {what}", self.command.display()),
        )
    }
}
