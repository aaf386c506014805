//! Everything the clients need to know, resolved: no unknowns, no environment, no precedence left.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use aws_runtime::env_config::file::EnvConfigFiles;
use aws_smithy_types::retry::RetryMode;

/// How the clients reach AWS.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The region.
    pub region: String,
    /// Endpoints that replace those of the SDK.
    pub endpoints: Endpoints,
    /// Where credentials come from.
    pub credentials: CredentialSettings,
    /// `standard` or `adaptive`.
    pub retry_mode: RetryMode,
    /// Attempts per call, the first included.
    pub max_attempts: u32,
    /// Whether to use FIPS endpoints. Does not touch services with an endpoint of their own.
    pub use_fips_endpoint: bool,
    /// Whether to use dual-stack endpoints. Does not touch services with an endpoint of their own.
    pub use_dualstack_endpoint: bool,
    /// Proxies and trust.
    pub http: HttpSettings,
    /// Appended to the `user-agent` header.
    pub user_agent: String,
}

/// Endpoint URLs by service.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Endpoints {
    /// Of EKS.
    pub eks: Option<String>,
    /// Of IAM.
    pub iam: Option<String>,
    /// Of STS.
    pub sts: Option<String>,
}

/// Proxies and trusted certificates.
#[derive(Clone, Default, Eq, PartialEq)]
pub struct HttpSettings {
    /// Proxy for `http` URLs.
    pub http_proxy: Option<String>,
    /// Proxy for `https` URLs.
    pub https_proxy: Option<String>,
    /// Hosts that are reached without a proxy, comma-separated.
    pub no_proxy: Option<String>,
    /// File of PEM certificates that are trusted instead of the system's.
    pub custom_ca_bundle: Option<PathBuf>,
}

impl fmt::Debug for HttpSettings {
    /// Proxy URLs may carry passwords.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpSettings")
            .field("http_proxy", &self.http_proxy.is_some())
            .field("https_proxy", &self.https_proxy.is_some())
            .field("no_proxy", &self.no_proxy)
            .field("custom_ca_bundle", &self.custom_ca_bundle)
            .finish()
    }
}

/// Where credentials come from, in the order they are tried.
#[derive(Clone, Debug)]
pub struct CredentialSettings {
    /// Keys of the provider block or the environment.
    pub keys: Option<StaticKeys>,
    /// Shared config and credentials files.
    pub files: EnvConfigFiles,
    /// Name of the profile in them.
    pub profile: String,
    /// The profile's roles, if it has any.
    pub profile_roles: Option<ProfileRoles>,
    /// Web identity of the environment (`AWS_WEB_IDENTITY_TOKEN_FILE` and `AWS_ROLE_ARN`).
    pub environment_web_identity: Option<WebIdentity>,
    /// Whether `AWS_CONTAINER_CREDENTIALS_…` is set: ECS, or EKS Pod Identity.
    pub container: bool,
    /// Whether the instance metadata service may be asked.
    pub instance_metadata: bool,
    /// Web identity of the provider block; replaces all of the above.
    pub web_identity: Option<WebIdentity>,
    /// Roles to assume one after the other.
    pub assume_role: Vec<AssumeRole>,
    /// What was looked at, for the message when nothing is found: `AWS_ACCESS_KEY_ID (not set)`. Not `name: value`, which
    /// is masked as a secret.
    pub looked_at: Vec<String>,
}

/// A profile with `role_arn`: what it starts from and which roles are assumed from there.
///
/// The AWS crates can follow such a profile themselves, but then neither the `endpoints` block nor a stop reaches their
/// calls of STS.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ProfileRoles {
    /// The first credentials.
    pub source: RoleSource,
    /// Roles to assume one after the other.
    pub roles: Vec<AssumeRole>,
}

/// Where the first credentials of a profile with roles come from.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum RoleSource {
    /// A profile that has credentials of its own: keys, SSO, a process.
    Profile(String),
    /// Keys.
    Keys(StaticKeys),
    /// A web identity token.
    WebIdentity(WebIdentity),
    /// `credential_source = EcsContainer`.
    Container,
    /// `credential_source = Ec2InstanceMetadata`.
    InstanceMetadata,
}

/// An access key.
#[derive(Clone, Eq, PartialEq)]
pub struct StaticKeys {
    /// The access key id.
    pub access_key: String,
    /// The secret.
    pub secret_key: String,
    /// The session token of temporary credentials.
    pub token: Option<String>,
}

impl fmt::Debug for StaticKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StaticKeys")
            .field("access_key", &self.access_key)
            .finish_non_exhaustive()
    }
}

/// One `assume_role` block.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct AssumeRole {
    /// ARN of the role.
    pub role_arn: String,
    /// Life of the session.
    pub duration: Option<Duration>,
    /// External id.
    pub external_id: Option<String>,
    /// Session policy as JSON.
    pub policy: Option<String>,
    /// Managed session policies.
    pub policy_arns: Vec<String>,
    /// Name of the session.
    pub session_name: Option<String>,
    /// Source identity.
    pub source_identity: Option<String>,
    /// Session tags.
    pub tags: BTreeMap<String, String>,
    /// Keys of tags that are passed on to further sessions.
    pub transitive_tag_keys: Vec<String>,
}

/// An `assume_role_with_web_identity` block, or its environment variables.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct WebIdentity {
    /// ARN of the role.
    pub role_arn: String,
    /// Where the token is.
    pub token: WebIdentityToken,
    /// Life of the session.
    pub duration: Option<Duration>,
    /// Session policy as JSON.
    pub policy: Option<String>,
    /// Managed session policies.
    pub policy_arns: Vec<String>,
    /// Name of the session.
    pub session_name: Option<String>,
}

/// A web identity token.
#[derive(Clone, Eq, PartialEq)]
pub enum WebIdentityToken {
    /// The token itself.
    Value(String),
    /// A file that holds it; read again for every session, because it is rotated.
    File(PathBuf),
}

impl fmt::Debug for WebIdentityToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Value(_) => f.write_str("Value"),
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
        }
    }
}
