//! From the `provider` block, the environment and the shared files to [`Settings`]: who wins, and what is wrong.
//!
//! Precedence is that of `hashicorp/aws`: the block, then environment variables, then the profile, then defaults.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use aws_smithy_types::retry::RetryMode;

use crate::aws::environment::Environment;
use crate::aws::http::certificates;
use crate::aws::profile::{SharedConfig, expand_home};
use crate::aws::settings::{
    AssumeRole, CredentialSettings, Endpoints, HttpSettings, Settings, StaticKeys, WebIdentity,
    WebIdentityToken,
};
use crate::aws::tags::{IgnoreTags, TagPolicy};
use crate::cty::Path;
use crate::framework::model::{Attr, SetOf};
use crate::framework::timeouts::parse_duration;
use crate::framework::{Diagnostic, Diagnostics};
use crate::plugin::logging::register_secret;

use super::checks::{check_proxy, check_url, proxy_with_scheme};
use super::config::{AssumeRoleConfig, ProviderConfig, WebIdentityConfig};
use super::schema::MAX_RETRIES;

/// Retries when nothing is configured, as in `hashicorp/aws`.
const DEFAULT_MAX_RETRIES: u32 = 25;

/// Summary of diagnostics about environment variables and profiles: they have no attribute.
const INVALID_ENVIRONMENT: &str = "Invalid provider environment";

/// The settings for a block without unknown values, apart from the region, which may have to be asked for.
pub(super) struct Resolver<'a> {
    config: &'a ProviderConfig,
    environment: &'a Environment,
    shared: &'a SharedConfig,
}

/// The name of the profile, and whether somebody asked for it.
pub(super) fn profile_name<'a>(
    config: &'a ProviderConfig,
    environment: &'a Environment,
) -> (&'a str, ProfileSource) {
    if let Some(name) = config.profile.as_deref() {
        return (name, ProfileSource::Block);
    }
    match environment.first(&["AWS_PROFILE", "AWS_DEFAULT_PROFILE"]) {
        Some(name) => (name, ProfileSource::Environment),
        None => ("default", ProfileSource::Default),
    }
}

/// Who chose the profile.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum ProfileSource {
    /// The argument `profile`.
    Block,
    /// `AWS_PROFILE`.
    Environment,
    /// Nobody.
    Default,
}

/// The files of a list argument; those that do not exist are errors on their element.
pub(super) fn existing_files(
    files: &Attr<Vec<Attr<String>>>,
    name: &str,
    environment: &Environment,
    diagnostics: &mut Diagnostics,
) -> Vec<PathBuf> {
    let mut paths = Vec::new();
    for (index, file) in files.known().into_iter().flatten().enumerate() {
        if let Some(file) = file.as_deref() {
            paths.extend(existing_file(
                file,
                &Path::from(name).index(index),
                environment,
                diagnostics,
            ));
        }
    }
    paths
}

/// A configured file, or an error on its attribute.
pub(super) fn existing_file(
    file: &str,
    path: &Path,
    environment: &Environment,
    diagnostics: &mut Diagnostics,
) -> Option<PathBuf> {
    let full = expand_home(file, environment);
    match std::fs::metadata(&full) {
        Ok(metadata) if metadata.is_file() => return Some(full),
        Ok(_) => diagnostics.attribute_error(
            path.clone(),
            "File not usable",
            format!("{} is not a file.", full.display()),
        ),
        Err(error) => diagnostics.attribute_error(
            path.clone(),
            "File not found",
            format!(
                "The file {} cannot be opened: {error}. Relative paths start at the directory Terraform runs in.",
                full.display()
            ),
        ),
    }
    None
}

impl<'a> Resolver<'a> {
    pub(super) fn new(
        config: &'a ProviderConfig,
        environment: &'a Environment,
        shared: &'a SharedConfig,
    ) -> Self {
        Self {
            config,
            environment,
            shared,
        }
    }

    /// The region, if block, environment or profile name one.
    pub(super) fn region(&self) -> Option<String> {
        self.config
            .region
            .as_deref()
            .or_else(|| {
                self.environment
                    .first(&["AWS_REGION", "AWS_DEFAULT_REGION"])
            })
            .or_else(|| self.shared.get("region"))
            .map(ToOwned::to_owned)
    }

    /// Everything but the region.
    pub(super) fn settings(
        &self,
        region: String,
        user_agent: String,
        diagnostics: &mut Diagnostics,
    ) -> Settings {
        Settings {
            region,
            endpoints: self.endpoints(diagnostics),
            credentials: self.credentials(diagnostics),
            retry_mode: self.retry_mode(diagnostics),
            max_attempts: self.max_attempts(diagnostics),
            use_fips_endpoint: self.flag(
                &self.config.use_fips_endpoint,
                "AWS_USE_FIPS_ENDPOINT",
                "use_fips_endpoint",
                diagnostics,
            ),
            use_dualstack_endpoint: self.flag(
                &self.config.use_dualstack_endpoint,
                "AWS_USE_DUALSTACK_ENDPOINT",
                "use_dualstack_endpoint",
                diagnostics,
            ),
            http: self.http(diagnostics),
            user_agent,
        }
    }

    fn flag(
        &self,
        argument: &Attr<bool>,
        variable: &str,
        key: &str,
        diagnostics: &mut Diagnostics,
    ) -> bool {
        if let Some(value) = argument.known() {
            return *value;
        }
        if let Some(text) = self.environment.get(variable) {
            if let Some(value) = self.environment.flag(variable) {
                return value;
            }
            diagnostics.error(
                INVALID_ENVIRONMENT,
                format!(
                    "The environment variable {variable} must be true or false, but is {text:?}."
                ),
            );
        }
        self.shared
            .get(key)
            .is_some_and(|text| text.eq_ignore_ascii_case("true"))
    }

    fn max_attempts(&self, diagnostics: &mut Diagnostics) -> u32 {
        if let Some(retries) = self.config.max_retries.known() {
            // The schema allows 0 to MAX_RETRIES.
            return u32::try_from(*retries).unwrap_or(DEFAULT_MAX_RETRIES) + 1;
        }
        let sources = [
            (
                "environment variable AWS_MAX_ATTEMPTS",
                self.environment.get("AWS_MAX_ATTEMPTS"),
            ),
            (
                "profile setting max_attempts",
                self.shared.get("max_attempts"),
            ),
        ];
        for (name, text) in sources {
            let Some(text) = text else { continue };
            match text.parse() {
                Ok(attempts) if (1..=MAX_RETRIES as u32 + 1).contains(&attempts) => {
                    return attempts;
                }
                _ => diagnostics.error(
                    INVALID_ENVIRONMENT,
                    format!(
                        "The {name} must be a whole number from 1 to {}, but is {text:?}.",
                        MAX_RETRIES + 1
                    ),
                ),
            }
        }
        DEFAULT_MAX_RETRIES + 1
    }

    fn retry_mode(&self, diagnostics: &mut Diagnostics) -> RetryMode {
        let sources = [
            ("argument retry_mode", self.config.retry_mode.as_deref()),
            (
                "environment variable AWS_RETRY_MODE",
                self.environment.get("AWS_RETRY_MODE"),
            ),
            ("profile setting retry_mode", self.shared.get("retry_mode")),
        ];
        for (name, text) in sources {
            let Some(text) = text else { continue };
            match text.to_ascii_lowercase().as_str() {
                "adaptive" => return RetryMode::Adaptive,
                // What SDKs called their first mode; there is nothing like it any more.
                "standard" | "legacy" => return RetryMode::Standard,
                _ => diagnostics.error(
                    INVALID_ENVIRONMENT,
                    format!("The {name} must be \"standard\" or \"adaptive\", but is {text:?}."),
                ),
            }
        }
        RetryMode::Standard
    }

    fn endpoints(&self, diagnostics: &mut Diagnostics) -> Endpoints {
        let block = |pick: fn(&super::config::EndpointsConfig) -> &Attr<String>| {
            // Several blocks are one; the last to name a service wins.
            self.config
                .endpoints
                .known()
                .into_iter()
                .flatten()
                .rev()
                .find_map(|endpoints| pick(endpoints).as_deref())
                .map(ToOwned::to_owned)
        };
        let ignored = self
            .environment
            .flag("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS")
            .or_else(|| {
                self.shared
                    .get("ignore_configured_endpoint_urls")
                    .map(|text| text.eq_ignore_ascii_case("true"))
            })
            .unwrap_or(false);
        let mut endpoint = |configured: Option<String>, service: &str, variables: &[&str]| {
            if configured.is_some() || ignored {
                return configured;
            }
            let variable = variables
                .iter()
                .chain(&["AWS_ENDPOINT_URL"])
                .find_map(|name| Some((*name, self.environment.get(name)?)));
            let (source, url) = match variable {
                Some((name, url)) => (format!("environment variable {name}"), url.to_owned()),
                None => (
                    "profile setting endpoint_url".to_owned(),
                    self.shared.endpoint_url(service)?,
                ),
            };
            if let Err(fault) = check_url(&url) {
                diagnostics.error(
                    INVALID_ENVIRONMENT,
                    format!("The {source} must be an http or https URL, but {fault}."),
                );
            }
            Some(url)
        };
        Endpoints {
            eks: endpoint(block(|e| &e.eks), "eks", &["AWS_ENDPOINT_URL_EKS"]),
            // The last two of each are older names that hashicorp/aws still reads.
            iam: endpoint(
                block(|e| &e.iam),
                "iam",
                &[
                    "AWS_ENDPOINT_URL_IAM",
                    "TF_AWS_IAM_ENDPOINT",
                    "AWS_IAM_ENDPOINT",
                ],
            ),
            sts: endpoint(
                block(|e| &e.sts),
                "sts",
                &[
                    "AWS_ENDPOINT_URL_STS",
                    "TF_AWS_STS_ENDPOINT",
                    "AWS_STS_ENDPOINT",
                ],
            ),
        }
    }

    fn http(&self, diagnostics: &mut Diagnostics) -> HttpSettings {
        let custom_ca_bundle = match self.config.custom_ca_bundle.as_deref() {
            Some(file) => {
                let path = Path::from("custom_ca_bundle");
                let file = existing_file(file, &path, self.environment, diagnostics);
                if let Some(fault) = file.as_deref().and_then(bundle_fault) {
                    diagnostics.attribute_error(path, "Invalid CA bundle", fault);
                }
                file
            }
            None => {
                let file = self
                    .environment
                    .get("AWS_CA_BUNDLE")
                    .map(|file| expand_home(file, self.environment));
                if let Some(fault) = file.as_deref().and_then(bundle_fault) {
                    diagnostics.error(
                        INVALID_ENVIRONMENT,
                        format!("The environment variable AWS_CA_BUNDLE is not usable. {fault}"),
                    );
                }
                file
            }
        };
        let mut proxy = |argument: &Attr<String>, variables: [&str; 2]| {
            let url = argument
                .as_deref()
                .or_else(|| self.environment.first(&variables))
                .map(proxy_with_scheme)?;
            if let Err(fault) = check_proxy(&url) {
                diagnostics.error(
                    INVALID_ENVIRONMENT,
                    format!(
                        "The environment variable {} must be the URL of an HTTP proxy, but {fault}.",
                        variables[0]
                    ),
                );
            }
            register_password(&url);
            Some(url)
        };
        HttpSettings {
            http_proxy: proxy(&self.config.http_proxy, ["HTTP_PROXY", "http_proxy"]),
            https_proxy: proxy(&self.config.https_proxy, ["HTTPS_PROXY", "https_proxy"]),
            no_proxy: self
                .config
                .no_proxy
                .as_deref()
                .or_else(|| self.environment.first(&["NO_PROXY", "no_proxy"]))
                .map(ToOwned::to_owned),
            custom_ca_bundle,
        }
    }

    fn credentials(&self, diagnostics: &mut Diagnostics) -> CredentialSettings {
        let mut looked_at = Vec::new();
        let (profile, profile_source) = profile_name(self.config, self.environment);
        let keys = self.keys(profile_source, &mut looked_at);
        looked_at.push(format!(
            "the profile {profile:?} in {} ({})",
            match self.shared.paths() {
                [] => "no files".to_owned(),
                paths => paths
                    .iter()
                    .map(|path| path.display().to_string())
                    .collect::<Vec<_>>()
                    .join(" and "),
            },
            if self.shared.has_profile() {
                "no credentials in it"
            } else {
                "not there"
            }
        ));
        let environment_web_identity = self.environment_web_identity(&mut looked_at);
        let container = self.environment.first(&[
            "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
            "AWS_CONTAINER_CREDENTIALS_FULL_URI",
        ]);
        looked_at.push(format!(
            "AWS_CONTAINER_CREDENTIALS_FULL_URI and …_RELATIVE_URI of ECS and EKS Pod Identity ({})",
            if container.is_some() {
                "no credentials there"
            } else {
                "not set"
            }
        ));
        let instance_metadata = self.instance_metadata();
        looked_at.push(format!(
            "EC2 instance metadata ({})",
            if instance_metadata {
                "no answer with credentials"
            } else {
                "turned off by AWS_EC2_METADATA_DISABLED"
            }
        ));
        let profile_roles = if keys.is_some() {
            None
        } else {
            self.shared.roles(self.environment).unwrap_or_else(|fault| {
                let diagnostic = Diagnostic::error("Profile not usable", fault);
                diagnostics.push(match profile_source {
                    ProfileSource::Block => diagnostic.at("profile"),
                    _ => diagnostic,
                });
                None
            })
        };
        CredentialSettings {
            keys,
            profile_roles,
            files: self.shared.files().clone(),
            profile: profile.to_owned(),
            // A profile that the provider block names is an answer too: then the environment is not asked.
            environment_web_identity: environment_web_identity
                .filter(|_| profile_source != ProfileSource::Block),
            container: container.is_some(),
            instance_metadata,
            web_identity: self
                .config
                .assume_role_with_web_identity
                .known()
                .and_then(|block| self.web_identity(block, diagnostics)),
            assume_role: self
                .config
                .assume_role
                .known()
                .into_iter()
                .flatten()
                .map(assume_role)
                .collect(),
            looked_at,
        }
    }

    /// Whether the instance metadata service may be asked.
    pub(super) fn instance_metadata(&self) -> bool {
        self.environment.flag("AWS_EC2_METADATA_DISABLED") != Some(true)
    }

    fn keys(&self, profile: ProfileSource, looked_at: &mut Vec<String>) -> Option<StaticKeys> {
        let text = |value: &Attr<String>| value.as_deref().map(ToOwned::to_owned);
        looked_at.push("the arguments access_key and secret_key (not set)".to_owned());
        let configured = text(&self.config.access_key)
            .zip(text(&self.config.secret_key))
            .map(|(access_key, secret_key)| StaticKeys {
                access_key,
                secret_key,
                token: text(&self.config.token),
            });
        let keys = configured.or_else(|| {
            let access_key = self
                .environment
                .first(&["AWS_ACCESS_KEY_ID", "AWS_ACCESS_KEY"]);
            let secret_key = self
                .environment
                .first(&["AWS_SECRET_ACCESS_KEY", "AWS_SECRET_KEY"]);
            looked_at.push(match (access_key, secret_key, profile) {
                (Some(_), Some(_), ProfileSource::Block) => {
                    "AWS_ACCESS_KEY_ID (set, but the argument profile wins over it)".to_owned()
                }
                (Some(_), None, _) => {
                    "AWS_ACCESS_KEY_ID (set, but AWS_SECRET_ACCESS_KEY is not)".to_owned()
                }
                (None, Some(_), _) => {
                    "AWS_SECRET_ACCESS_KEY (set, but AWS_ACCESS_KEY_ID is not)".to_owned()
                }
                _ => "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (not set)".to_owned(),
            });
            // A profile that the block asks for is meant; keys in the environment may be left over from anything.
            if profile == ProfileSource::Block {
                return None;
            }
            Some(StaticKeys {
                access_key: access_key?.to_owned(),
                secret_key: secret_key?.to_owned(),
                token: self
                    .environment
                    .get("AWS_SESSION_TOKEN")
                    .map(ToOwned::to_owned),
            })
        })?;
        register_secret(&keys.secret_key);
        if let Some(token) = &keys.token {
            register_secret(token);
        }
        Some(keys)
    }

    fn environment_web_identity(&self, looked_at: &mut Vec<String>) -> Option<WebIdentity> {
        let file = self.environment.get("AWS_WEB_IDENTITY_TOKEN_FILE");
        let role_arn = self.environment.get("AWS_ROLE_ARN");
        looked_at.push(
            match (file, role_arn) {
                (Some(_), Some(_)) => "AWS_WEB_IDENTITY_TOKEN_FILE (no credentials for it)",
                (Some(_), None) => "AWS_WEB_IDENTITY_TOKEN_FILE (set, but AWS_ROLE_ARN is not)",
                _ => "AWS_WEB_IDENTITY_TOKEN_FILE (not set)",
            }
            .to_owned(),
        );
        Some(WebIdentity {
            role_arn: role_arn?.to_owned(),
            token: WebIdentityToken::File(expand_home(file?, self.environment)),
            duration: None,
            policy: None,
            policy_arns: Vec::new(),
            session_name: self
                .environment
                .get("AWS_ROLE_SESSION_NAME")
                .map(ToOwned::to_owned),
        })
    }

    fn web_identity(
        &self,
        block: &WebIdentityConfig,
        diagnostics: &mut Diagnostics,
    ) -> Option<WebIdentity> {
        let path = Path::from("assume_role_with_web_identity");
        let token = if let Some(token) = block.web_identity_token.as_deref() {
            register_secret(token);
            Some(WebIdentityToken::Value(token.to_owned()))
        } else if let Some(file) = block.web_identity_token_file.as_deref() {
            existing_file(
                file,
                &path.attribute("web_identity_token_file"),
                self.environment,
                diagnostics,
            )
            .map(WebIdentityToken::File)
        } else if let Some(token) = self.environment.get("TF_AWS_WEB_IDENTITY_TOKEN") {
            register_secret(token);
            Some(WebIdentityToken::Value(token.to_owned()))
        } else if let Some(file) = self.environment.get("AWS_WEB_IDENTITY_TOKEN_FILE") {
            Some(WebIdentityToken::File(expand_home(file, self.environment)))
        } else {
            diagnostics.attribute_error(
                path.clone(),
                "Missing web identity token",
                "Set web_identity_token or web_identity_token_file, or the environment variable \
                 TF_AWS_WEB_IDENTITY_TOKEN or AWS_WEB_IDENTITY_TOKEN_FILE.",
            );
            None
        };
        let role_arn = block
            .role_arn
            .as_deref()
            .or_else(|| self.environment.get("AWS_ROLE_ARN"));
        if role_arn.is_none() {
            diagnostics.attribute_error(
                path.attribute("role_arn"),
                "Missing role",
                "Set role_arn or the environment variable AWS_ROLE_ARN.",
            );
        }
        Some(WebIdentity {
            role_arn: role_arn?.to_owned(),
            token: token?,
            duration: duration(&block.duration),
            policy: block.policy.as_deref().map(ToOwned::to_owned),
            policy_arns: strings(&block.policy_arns).collect(),
            session_name: block
                .session_name
                .as_deref()
                .or_else(|| self.environment.get("AWS_ROLE_SESSION_NAME"))
                .map(ToOwned::to_owned),
        })
    }
}

/// Default and ignored tags. Parts that are not known yet stay `None`.
pub(super) fn tag_policy(config: &ProviderConfig, environment: &Environment) -> TagPolicy {
    let default_tags = (|| {
        let mut tags: BTreeMap<String, String> = environment
            .with_prefix("TF_AWS_DEFAULT_TAGS_")
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .collect();
        let block = match &config.default_tags {
            Attr::Unknown => return None,
            Attr::Null => return Some(tags),
            Attr::Known(block) => block,
        };
        match &block.tags {
            Attr::Unknown => return None,
            Attr::Null => {}
            Attr::Known(entries) => {
                for (key, value) in entries {
                    match value {
                        Attr::Unknown => return None,
                        Attr::Null => {}
                        Attr::Known(value) => {
                            tags.insert(key.clone(), value.clone());
                        }
                    }
                }
            }
        }
        Some(tags)
    })();
    let ignore_tags = (|| {
        let listed = |variable: &str| -> BTreeSet<String> {
            environment
                .get(variable)
                .into_iter()
                .flat_map(|text| text.split(','))
                .map(|key| key.trim().to_owned())
                .filter(|key| !key.is_empty())
                .collect()
        };
        let mut ignore = IgnoreTags {
            keys: listed("TF_AWS_IGNORE_TAGS_KEYS"),
            key_prefixes: listed("TF_AWS_IGNORE_TAGS_KEY_PREFIXES"),
        };
        let block = match &config.ignore_tags {
            Attr::Unknown => return None,
            Attr::Null => return Some(ignore),
            Attr::Known(block) => block,
        };
        for (set, target) in [
            (&block.keys, &mut ignore.keys),
            (&block.key_prefixes, &mut ignore.key_prefixes),
        ] {
            match set {
                Attr::Unknown => return None,
                Attr::Null => {}
                Attr::Known(items) => {
                    for item in &items.0 {
                        match item {
                            Attr::Unknown => return None,
                            Attr::Null => {}
                            Attr::Known(text) => {
                                target.insert(text.clone());
                            }
                        }
                    }
                }
            }
        }
        Some(ignore)
    })();
    TagPolicy {
        default_tags,
        ignore_tags,
    }
}

/// The user agent: who calls, for whom, and what `TF_APPEND_USER_AGENT` adds.
pub(super) fn user_agent(terraform_version: &str, environment: &Environment) -> String {
    let mut text = format!(
        "Terraform/{} (+https://www.terraform.io) terraform-provider-podidentity/{}",
        if terraform_version.is_empty() {
            "unknown"
        } else {
            terraform_version
        },
        env!("CARGO_PKG_VERSION")
    );
    if let Some(more) = environment.get("TF_APPEND_USER_AGENT") {
        text.push(' ');
        text.push_str(more.trim());
    }
    // A header value: anything else would fail every request.
    text.retain(|c| c == ' ' || c.is_ascii_graphic());
    text
}

/// The known elements of a set of strings.
pub(super) fn strings(set: &Attr<SetOf<Attr<String>>>) -> impl Iterator<Item = String> {
    set.known()
        .into_iter()
        .flat_map(|set| &set.0)
        .filter_map(|item| item.as_deref().map(ToOwned::to_owned))
}

fn assume_role(block: &AssumeRoleConfig) -> AssumeRole {
    let text = |value: &Attr<String>| value.as_deref().map(ToOwned::to_owned);
    AssumeRole {
        role_arn: text(&block.role_arn).unwrap_or_default(),
        duration: duration(&block.duration),
        external_id: text(&block.external_id),
        policy: text(&block.policy),
        policy_arns: strings(&block.policy_arns).collect(),
        session_name: text(&block.session_name),
        source_identity: text(&block.source_identity),
        tags: block
            .tags
            .known()
            .into_iter()
            .flatten()
            .filter_map(|(key, value)| Some((key.clone(), value.as_deref()?.to_owned())))
            .collect(),
        transitive_tag_keys: strings(&block.transitive_tag_keys).collect(),
    }
}

/// A duration that the schema has checked.
fn duration(text: &Attr<String>) -> Option<Duration> {
    text.as_deref().and_then(|text| parse_duration(text).ok())
}

/// What is wrong with a CA bundle, as a sentence.
fn bundle_fault(file: &std::path::Path) -> Option<String> {
    match std::fs::read(file) {
        Err(error) => Some(format!(
            "The file {} cannot be read: {error}.",
            file.display()
        )),
        Ok(pem) => certificates(&pem)
            .err()
            .map(|fault| format!("The file {} {fault}.", file.display())),
    }
}

/// Keeps the password of a proxy URL out of the log.
fn register_password(url: &str) {
    let user_info = url
        .split_once("://")
        .and_then(|(_, rest)| rest.split('/').next())
        .and_then(|authority| authority.rsplit_once('@'))
        .map(|(user_info, _)| user_info);
    if let Some((_, password)) = user_info.and_then(|info| info.split_once(':')) {
        register_secret(password);
    }
}

/// A diagnostic for shared files that cannot be read.
pub(super) fn unreadable(error: &crate::aws::profile::SharedConfigError) -> Diagnostic {
    let mut detail = error.to_string();
    let mut next = std::error::Error::source(error);
    while let Some(cause) = next {
        detail.push_str(": ");
        detail.push_str(&cause.to_string());
        next = cause.source();
    }
    Diagnostic::error(INVALID_ENVIRONMENT, format!("{detail}."))
}
