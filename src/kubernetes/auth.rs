//! Who we are to the API server: tokens and client certificates, renewed before they expire.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws_credential_types::provider::{ProvideCredentials as _, SharedCredentialsProvider};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use http::header::HeaderValue;
use tokio::sync::Mutex;

use super::connection::Identity;
use super::error::{KubernetesError, KubernetesErrorKind};
use super::exec::ExecPlugin;
use super::token::sign_token;
use crate::aws::AwsError;
use crate::plugin::logging::register_secret;

/// How long before its end a token of ours is renewed: longer than a request may take.
const RENEW_BEFORE: Duration = Duration::from_secs(90);
/// How long a token file is believed: kubelets and agents replace it in good time.
const FILE_LIFE: Duration = Duration::from_secs(60);

/// The present time; injected in tests.
pub(crate) type Clock = Arc<dyn Fn() -> SystemTime + Send + Sync>;

/// What requests carry.
#[derive(Clone, Default)]
pub(crate) struct Credential {
    /// The `authorization` header.
    pub(crate) authorization: Option<HeaderValue>,
    /// The client certificate.
    pub(crate) identity: Option<Arc<Identity>>,
    /// When to get a new one; `None` for never, as far as we know.
    pub(crate) renew_at: Option<SystemTime>,
    /// Counts renewals.
    pub(crate) serial: u64,
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credential")
            .field("renew_at", &self.renew_at)
            .finish_non_exhaustive()
    }
}

impl Credential {
    /// A bearer token.
    pub(crate) fn bearer(token: &str) -> Result<Self, KubernetesError> {
        if token.is_empty() {
            return Err(KubernetesError::new(
                KubernetesErrorKind::Configuration,
                "the token is empty",
            ));
        }
        Self::header(&format!("Bearer {token}"))
    }

    /// A name and a password.
    pub(crate) fn basic(name: &str, password: &str) -> Result<Self, KubernetesError> {
        let pair = BASE64.encode(format!("{name}:{password}"));
        register_secret(&pair);
        Self::header(&format!("Basic {pair}"))
    }

    fn header(value: &str) -> Result<Self, KubernetesError> {
        let mut header = HeaderValue::try_from(value).map_err(|_| {
            KubernetesError::new(
                KubernetesErrorKind::Configuration,
                "the token holds characters that no token may hold",
            )
        })?;
        header.set_sensitive(true);
        Ok(Self {
            authorization: Some(header),
            ..Self::default()
        })
    }
}

/// Where credentials come from.
#[derive(Debug)]
pub(crate) enum Source {
    /// Signed by us for EKS.
    Eks(EksSigner),
    /// Configured.
    Fixed(Credential),
    /// A file with a token that somebody keeps new.
    File(PathBuf),
    /// A command.
    Exec(ExecPlugin),
}

/// Signs tokens for one cluster.
#[derive(Debug)]
pub(crate) struct EksSigner {
    pub(crate) credentials: SharedCredentialsProvider,
    pub(crate) region: String,
    pub(crate) sts_endpoint: String,
    pub(crate) cluster: String,
}

impl EksSigner {
    async fn sign(&self, now: SystemTime) -> Result<Credential, KubernetesError> {
        let keys = self
            .credentials
            .provide_credentials()
            .await
            .map_err(|error| AwsError::no_credentials(&error))?;
        let token = sign_token(&keys, &self.region, &self.sts_endpoint, &self.cluster, now)
            .map_err(|error| {
                KubernetesError::new(
                    KubernetesErrorKind::Aws,
                    format!("no token for the cluster: {error}"),
                )
            })?;
        // EKS asks STS about the token, and STS refuses it once the session that signed it has ended.
        let expires_at = match keys.expiry() {
            Some(end) => end.min(token.expires_at),
            None => token.expires_at,
        };
        Ok(Credential {
            renew_at: Some(expires_at - RENEW_BEFORE),
            ..Credential::bearer(&token.token)?
        })
    }
}

/// Hands out the credential of one cluster; asked by every request.
pub(crate) struct Authenticator {
    source: Source,
    /// The client certificate, unless the source brings one.
    identity: Option<Arc<Identity>>,
    clock: Clock,
    // Held while a credential is made: requests that start together make one.
    current: Mutex<Option<Credential>>,
}

impl fmt::Debug for Authenticator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authenticator")
            .field("source", &self.source)
            .finish_non_exhaustive()
    }
}

impl Authenticator {
    pub(crate) fn new(source: Source, identity: Option<Arc<Identity>>, clock: Clock) -> Self {
        Self {
            source,
            identity,
            clock,
            current: Mutex::new(None),
        }
    }

    /// How often a refused credential may be followed by a better one. Tokens for EKS cost nothing, and a cluster learns
    /// of a new access entry late.
    pub(crate) fn renewals(&self) -> u32 {
        match self.source {
            Source::Fixed(_) => 0,
            Source::File(_) | Source::Exec(_) => 1,
            Source::Eks(_) => 2,
        }
    }

    /// Whether tokens are signed by us.
    pub(crate) fn is_eks(&self) -> bool {
        matches!(self.source, Source::Eks(_))
    }

    /// A credential that is valid for the next request, and not the `refused` one.
    pub(crate) async fn credential(
        &self,
        refused: Option<&Credential>,
    ) -> Result<Credential, KubernetesError> {
        let mut current = self.current.lock().await;
        let now = (self.clock)();
        let serial = match current.as_ref() {
            Some(credential) => {
                let fresh = credential.renew_at.is_none_or(|end| end > now);
                if fresh && refused.is_none_or(|refused| refused.serial != credential.serial) {
                    return Ok(credential.clone());
                }
                credential.serial + 1
            }
            None => 0,
        };
        let mut made = match &self.source {
            Source::Eks(signer) => signer.sign(now).await?,
            Source::Fixed(credential) => credential.clone(),
            Source::File(path) => Credential {
                renew_at: Some(now + FILE_LIFE),
                ..token_of(path)?
            },
            Source::Exec(plugin) => plugin.run().await?,
        };
        if made.identity.is_none() {
            made.identity.clone_from(&self.identity);
        }
        made.serial = serial;
        *current = Some(made.clone());
        Ok(made)
    }
}

fn token_of(path: &Path) -> Result<Credential, KubernetesError> {
    let text = std::fs::read_to_string(path).map_err(|error| {
        KubernetesError::new(
            KubernetesErrorKind::Configuration,
            format!("the token file {} cannot be read: {error}", path.display()),
        )
    })?;
    register_secret(text.trim());
    Credential::bearer(text.trim())
}
