//! Where credentials come from.
//!
//! Order: keys of the provider block or environment, web identity of the environment (unless the block names a profile),
//! shared files (SSO and `credential_process` too), container (ECS and EKS Pod Identity), instance metadata. Then the roles of `assume_role`, one after the other. Nothing
//! is asked before the first AWS call needs it.

use std::fmt;
use std::sync::OnceLock;
use std::time::{Duration, SystemTime};

use aws_config::ecs::EcsCredentialsProvider;
use aws_config::imds::credentials::ImdsCredentialsProvider;
use aws_config::meta::credentials::CredentialsProviderChain;
use aws_config::profile::ProfileFileCredentialsProvider;
use aws_config::provider_config::ProviderConfig;
use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{self, ProvideCredentials, SharedCredentialsProvider, future};
use aws_sdk_sts::types::{PolicyDescriptorType, Tag};
use aws_types::SdkConfig;
use tokio_util::sync::CancellationToken;

use crate::plugin::logging::register_secret;

use super::Sts;
use super::call::read;
use super::settings::{
    AssumeRole, CredentialSettings, RoleSource, StaticKeys, WebIdentity, WebIdentityToken,
};

/// Name of sessions for which the configuration gives none.
const DEFAULT_SESSION_NAME: &str = "terraform-provider-podidentity";

/// The credentials for `settings`. `base` is how STS is reached: region, endpoint, HTTP client, retries.
#[must_use]
pub fn provider(
    settings: &CredentialSettings,
    base: &SdkConfig,
    config: &ProviderConfig,
) -> SharedCredentialsProvider {
    let provider = match &settings.web_identity {
        Some(web_identity) => shared(WebIdentityCredentials {
            sts: sts_client(base, None),
            web_identity: web_identity.clone(),
        }),
        None => shared(base_chain(settings, base, config)),
    };
    assume_all(provider, &settings.assume_role, base)
}

fn assume_all(
    mut provider: SharedCredentialsProvider,
    roles: &[AssumeRole],
    base: &SdkConfig,
) -> SharedCredentialsProvider {
    for role in roles {
        provider = shared(AssumedRole {
            base: base.clone(),
            source: provider,
            role: role.clone(),
            sts: OnceLock::new(),
        });
    }
    provider
}

/// The credentials of a profile.
fn profile(
    settings: &CredentialSettings,
    base: &SdkConfig,
    config: &ProviderConfig,
) -> SharedCredentialsProvider {
    let named = |name: &str| {
        shared(
            ProfileFileCredentialsProvider::builder()
                .configure(config)
                .profile_files(settings.files.clone())
                .profile_name(name)
                .build(),
        )
    };
    let Some(chain) = &settings.profile_roles else {
        return named(&settings.profile);
    };
    let source = match &chain.source {
        RoleSource::Profile(name) => named(name),
        RoleSource::Keys(keys) => shared(keys.credentials()),
        RoleSource::WebIdentity(web_identity) => shared(WebIdentityCredentials {
            sts: sts_client(base, None),
            web_identity: web_identity.clone(),
        }),
        RoleSource::Container => {
            shared(EcsCredentialsProvider::builder().configure(config).build())
        }
        RoleSource::InstanceMetadata => {
            shared(ImdsCredentialsProvider::builder().configure(config).build())
        }
    };
    assume_all(source, &chain.roles, base)
}

fn shared(provider: impl ProvideCredentials + 'static) -> SharedCredentialsProvider {
    SharedCredentialsProvider::new(Registered(provider))
}

fn base_chain(
    settings: &CredentialSettings,
    base: &SdkConfig,
    config: &ProviderConfig,
) -> FirstFound {
    let shared_profile = || profile(settings, base, config);
    let mut chain = match (&settings.keys, &settings.environment_web_identity) {
        // Keys that were given are the answer, right or wrong: nothing after them is asked.
        (Some(keys), _) => CredentialsProviderChain::first_try("Keys", keys.credentials()),
        // The environment comes before shared files, as in hashicorp/aws.
        (None, Some(web_identity)) => CredentialsProviderChain::first_try(
            "WebIdentityToken",
            WebIdentityCredentials {
                sts: sts_client(base, None),
                web_identity: web_identity.clone(),
            },
        )
        .or_else("Profile", shared_profile()),
        (None, None) => CredentialsProviderChain::first_try("Profile", shared_profile()),
    };
    if settings.container {
        chain = chain.or_else(
            "Container",
            EcsCredentialsProvider::builder().configure(config).build(),
        );
    }
    if settings.instance_metadata {
        chain = chain.or_else(
            "InstanceMetadata",
            ImdsCredentialsProvider::builder().configure(config).build(),
        );
    }
    FirstFound {
        chain,
        looked_at: settings.looked_at.clone(),
    }
}

impl StaticKeys {
    fn credentials(&self) -> Credentials {
        Credentials::new(
            self.access_key.clone(),
            self.secret_key.clone(),
            self.token.clone(),
            None,
            "podidentity",
        )
    }
}

/// Keeps every secret that enters the process out of the log.
#[derive(Debug)]
struct Registered<P>(P);

impl<P: ProvideCredentials> ProvideCredentials for Registered<P> {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(async {
            let credentials = self.0.provide_credentials().await?;
            register_secret(credentials.secret_access_key());
            if let Some(token) = credentials.session_token() {
                register_secret(token);
            }
            Ok(credentials)
        })
    }
}

/// The first of a chain that has credentials; says where it looked when none has.
struct FirstFound {
    chain: CredentialsProviderChain,
    looked_at: Vec<String>,
}

impl fmt::Debug for FirstFound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FirstFound")
            .field("looked_at", &self.looked_at)
            .finish_non_exhaustive()
    }
}

impl ProvideCredentials for FirstFound {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(async {
            match self.chain.provide_credentials().await {
                Err(CredentialsError::CredentialsNotLoaded(_)) => {
                    Err(CredentialsError::not_loaded(format!(
                        "none found. Looked at: {}",
                        self.looked_at.join("; ")
                    )))
                }
                answer => answer,
            }
        })
    }
}

/// One hop of `assume_role`.
struct AssumedRole {
    base: SdkConfig,
    source: SharedCredentialsProvider,
    role: AssumeRole,
    sts: OnceLock<Sts>,
}

impl fmt::Debug for AssumedRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AssumedRole")
            .field("role_arn", &self.role.role_arn)
            .finish_non_exhaustive()
    }
}

impl AssumedRole {
    async fn assume(&self) -> provider::Result {
        let role = &self.role;
        let sts = self
            .sts
            .get_or_init(|| sts_client(&self.base, Some(self.source.clone())));
        let mut request = sts
            .assume_role()
            .role_arn(&role.role_arn)
            .role_session_name(role.session_name.as_deref().unwrap_or(DEFAULT_SESSION_NAME))
            .set_duration_seconds(role.duration.map(seconds))
            .set_external_id(role.external_id.clone())
            .set_policy(role.policy.clone())
            .set_source_identity(role.source_identity.clone());
        for arn in &role.policy_arns {
            request = request.policy_arns(PolicyDescriptorType::builder().arn(arn).build());
        }
        for (key, value) in &role.tags {
            let tag = Tag::builder().key(key).value(value).build();
            request = request.tags(tag.map_err(CredentialsError::invalid_configuration)?);
        }
        for key in &role.transitive_tag_keys {
            request = request.transitive_tag_keys(key);
        }
        // The caller's own call is cancelled with everything in it, so this one needs no token of its own.
        let answer = read(&CancellationToken::new(), request.send())
            .await
            .map_err(|error| {
                CredentialsError::provider_error(format!(
                    "assuming the role {}: {}",
                    role.role_arn,
                    error.explanation()
                ))
            })?;
        session(answer.credentials(), "AssumeRole")
    }
}

impl ProvideCredentials for AssumedRole {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(self.assume())
    }
}

/// Credentials for a web identity token.
#[derive(Debug)]
struct WebIdentityCredentials {
    sts: Sts,
    web_identity: WebIdentity,
}

impl WebIdentityCredentials {
    async fn assume(&self) -> provider::Result {
        let identity = &self.web_identity;
        let token = match &identity.token {
            WebIdentityToken::Value(token) => token.clone(),
            WebIdentityToken::File(path) => {
                tokio::fs::read_to_string(path).await.map_err(|error| {
                    CredentialsError::provider_error(format!(
                        "the web identity token file {} cannot be read: {error}",
                        path.display()
                    ))
                })?
            }
        };
        let token = token.trim();
        register_secret(token);
        let mut request = self
            .sts
            .assume_role_with_web_identity()
            .role_arn(&identity.role_arn)
            .role_session_name(
                identity
                    .session_name
                    .as_deref()
                    .unwrap_or(DEFAULT_SESSION_NAME),
            )
            .web_identity_token(token)
            .set_duration_seconds(identity.duration.map(seconds))
            .set_policy(identity.policy.clone());
        for arn in &identity.policy_arns {
            request = request.policy_arns(PolicyDescriptorType::builder().arn(arn).build());
        }
        let answer = read(&CancellationToken::new(), request.send())
            .await
            .map_err(|error| {
                CredentialsError::provider_error(format!(
                    "assuming the role {} with a web identity: {}",
                    identity.role_arn,
                    error.explanation()
                ))
            })?;
        session(answer.credentials(), "AssumeRoleWithWebIdentity")
    }
}

impl ProvideCredentials for WebIdentityCredentials {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(self.assume())
    }
}

fn session(
    credentials: Option<&aws_sdk_sts::types::Credentials>,
    name: &'static str,
) -> provider::Result {
    let credentials = credentials
        .ok_or_else(|| CredentialsError::unhandled("STS answered without credentials"))?;
    let expiry = SystemTime::try_from(*credentials.expiration())
        .map_err(|_| CredentialsError::unhandled("STS answered with an impossible expiry"))?;
    Ok(Credentials::new(
        credentials.access_key_id(),
        credentials.secret_access_key(),
        Some(credentials.session_token().to_owned()),
        Some(expiry),
        name,
    ))
}

fn sts_client(base: &SdkConfig, credentials: Option<SharedCredentialsProvider>) -> Sts {
    let mut builder = aws_sdk_sts::config::Builder::from(base);
    builder.set_credentials_provider(credentials);
    super::clients::sts(builder)
}

fn seconds(duration: Duration) -> i32 {
    i32::try_from(duration.as_secs()).unwrap_or(i32::MAX)
}
