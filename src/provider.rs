//! The provider: its configuration and what it offers.

mod checks;
pub mod config;
pub mod data;
mod resolve;
pub mod schema;

use std::sync::Arc;

use async_trait::async_trait;
use aws_config::imds;
use aws_config::imds::region::ImdsRegionProvider;
use aws_config::provider_config::ProviderConfig as SdkProviderConfig;
use aws_smithy_async::rt::sleep::TokioSleep;
use tokio_util::sync::CancellationToken;

use crate::aws::environment::Environment;
use crate::aws::profile::SharedConfig;
use crate::aws::{AwsErrorKind, Clients, http};
use crate::cty::{Path, Value};
use crate::data_sources::cluster::ClusterDataSource;
use crate::data_sources::irsa_inventory::IrsaInventoryDataSource;
use crate::framework::data_source::DataSource;
use crate::framework::function::Function;
use crate::framework::model::{Attr, FromValue as _};
use crate::framework::provider::{ConfigureRequest, Provider};
use crate::framework::resource::Resource;
use crate::framework::schema::Schema;
use crate::framework::{Diagnostic, Diagnostics};
use crate::functions::merge_trust_policy::MergeTrustPolicy;
use crate::kubernetes::KubernetesConfig;
use crate::plugin::logging::register_secret;
use crate::resources::agent::AgentResource;
use crate::resources::association::AssociationResource;
use crate::resources::irsa_migration::IrsaMigrationResource;
use crate::resources::role::RoleResource;

use config::{ProviderConfig, unknown_connection_paths};
use data::Options;
use resolve::{ProfileSource, Resolver, existing_file, existing_files, profile_name, strings};

pub use data::ProviderData;

/// The provider `podidentity`.
#[derive(Debug)]
pub struct PodIdentityProvider {
    environment: Environment,
}

impl PodIdentityProvider {
    /// The provider with the environment variables of this process.
    #[must_use]
    pub fn new() -> Self {
        Self::with_environment(Environment::of_process())
    }

    /// The provider with these environment variables; for tests.
    #[must_use]
    pub fn with_environment(environment: Environment) -> Self {
        Self { environment }
    }
}

impl Default for PodIdentityProvider {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait]
impl Provider for PodIdentityProvider {
    type Data = ProviderData;

    fn schema(&self) -> Schema {
        schema::provider_schema()
    }

    fn validate_config(&self, config: &Value, diagnostics: &mut Diagnostics) {
        match ProviderConfig::from_value(config, &Path::root()) {
            Ok(config) => validate(&config, diagnostics),
            Err(bug) => diagnostics.push(bug),
        }
    }

    async fn configure(
        &self,
        request: ConfigureRequest,
        diagnostics: &mut Diagnostics,
    ) -> Option<Arc<ProviderData>> {
        let config = match ProviderConfig::from_value(&request.config, &Path::root()) {
            Ok(config) => config,
            Err(bug) => {
                diagnostics.push(bug);
                return None;
            }
        };
        register_secrets(&config);
        let kubernetes = kubernetes(&config, &self.environment, diagnostics);
        let options = Options {
            cluster_name: config.cluster_name.clone(),
            tags: resolve::tag_policy(&config, &self.environment),
            service_principal: config.service_principal.clone(),
            skip_requesting_account_id: config.skip_requesting_account_id == Attr::Known(true),
            kubernetes,
        };
        let unknown = unknown_connection_paths(&request.config);
        let data = if unknown.is_empty() {
            let clients = self.clients(&config, &request, diagnostics).await?;
            ProviderData::new(Ok(clients), options)
        } else {
            ProviderData::new(Err(unknown), options)
        };
        if !diagnostics.has_errors() {
            check_account(&config, &data, &request.cancel, diagnostics).await;
        }
        (!diagnostics.has_errors()).then(|| Arc::new(data))
    }

    fn resources(&self) -> Vec<Arc<dyn Resource<ProviderData>>> {
        vec![
            Arc::new(AgentResource),
            Arc::new(AssociationResource),
            Arc::new(IrsaMigrationResource),
            Arc::new(RoleResource),
        ]
    }

    fn data_sources(&self) -> Vec<Arc<dyn DataSource<ProviderData>>> {
        vec![
            Arc::new(ClusterDataSource),
            Arc::new(IrsaInventoryDataSource),
        ]
    }

    fn functions(&self) -> Vec<Arc<dyn Function>> {
        vec![Arc::new(MergeTrustPolicy)]
    }
}

impl PodIdentityProvider {
    /// Clients for a block without unknown values. No network, unless nothing names a region and EC2 may know.
    async fn clients(
        &self,
        config: &ProviderConfig,
        request: &ConfigureRequest,
        diagnostics: &mut Diagnostics,
    ) -> Option<Clients> {
        let environment = &self.environment;
        let config_files = existing_files(
            &config.shared_config_files,
            "shared_config_files",
            environment,
            diagnostics,
        );
        let credentials_files = existing_files(
            &config.shared_credentials_files,
            "shared_credentials_files",
            environment,
            diagnostics,
        );
        let (profile, source) = profile_name(config, environment);
        let shared =
            match SharedConfig::load(environment, &config_files, &credentials_files, profile).await
            {
                Ok(shared) => shared,
                Err(error) => {
                    let first = [
                        ("shared_config_files", &config.shared_config_files),
                        ("shared_credentials_files", &config.shared_credentials_files),
                    ]
                    .into_iter()
                    .find(|(_, files)| files.is_known());
                    let diagnostic = resolve::unreadable(&error);
                    diagnostics.push(match first {
                        Some((name, _)) => diagnostic.at(name),
                        None => diagnostic,
                    });
                    return None;
                }
            };
        let resolver = Resolver::new(config, environment, &shared);
        let user_agent = resolve::user_agent(&request.terraform_version, environment);
        let mut settings = resolver.settings(String::new(), user_agent, diagnostics);
        // A missing profile matters only if credentials are to come from it: keys, or a web identity of the block, win.
        let needs_profile =
            settings.credentials.keys.is_none() && settings.credentials.web_identity.is_none();
        if source != ProfileSource::Default && needs_profile && !shared.has_profile() {
            diagnostics.push(missing_profile(&shared, source));
        }
        if diagnostics.has_errors() {
            return None;
        }
        let region = match resolver.region() {
            Some(region) => Some(region),
            None if resolver.instance_metadata() => {
                region_of_instance(&settings, &request.cancel).await
            }
            None => None,
        };
        let Some(region) = region else {
            diagnostics.attribute_error(
                "region",
                "Missing region",
                "No AWS region is configured. Set the argument region, the environment variable AWS_REGION, or region \
                 in the profile.",
            );
            return None;
        };
        settings.region = region;
        Some(Clients::new(settings))
    }
}

/// Checks that span attributes and that no environment can change.
fn validate(config: &ProviderConfig, diagnostics: &mut Diagnostics) {
    if config.skip_requesting_account_id == Attr::Known(true) {
        for (name, ids) in [
            ("allowed_account_ids", &config.allowed_account_ids),
            ("forbidden_account_ids", &config.forbidden_account_ids),
        ] {
            if ids.is_known() {
                diagnostics.attribute_error(
                    name,
                    "Invalid attribute combination",
                    format!(
                        "{name} needs the account id, which skip_requesting_account_id forbids to ask for. Remove one \
                         of the two."
                    ),
                );
            }
        }
    }
    if let Some(block) = config.default_tags.known() {
        let path = Path::from("default_tags").attribute("tags");
        for (key, value) in block.tags.known().into_iter().flatten() {
            if value
                .as_deref()
                .is_some_and(|value| value.chars().count() > 256)
            {
                diagnostics.attribute_error(
                    path.key(key.clone()),
                    "Invalid attribute value",
                    "The value of a tag must have at most 256 characters.",
                );
            }
        }
    }
    for (index, role) in config.assume_role.known().into_iter().flatten().enumerate() {
        let (Some(keys), Some(tags)) = (role.transitive_tag_keys.known(), role.tags.known()) else {
            continue;
        };
        let path = Path::from("assume_role")
            .index(index)
            .attribute("transitive_tag_keys");
        for key in keys.0.iter().filter_map(|key| key.as_deref()) {
            if !tags.contains_key(key) {
                diagnostics.attribute_error(
                    path.clone(),
                    "Invalid attribute value",
                    format!("The key {key:?} is not one of the session tags in tags."),
                );
            }
        }
    }
    if let Some(kubernetes) = config.kubernetes.known() {
        let path = Path::from("kubernetes");
        let insecure = kubernetes.insecure == Attr::Known(true);
        if insecure && kubernetes.cluster_ca_certificate.is_known() {
            diagnostics.attribute_error(
                path.attribute("insecure"),
                "Invalid attribute combination",
                "insecure turns off the check that cluster_ca_certificate is for. Remove one of the two.",
            );
        }
        if kubernetes.config_context.is_known()
            && kubernetes.config_path.is_null()
            && kubernetes.config_paths.is_null()
        {
            diagnostics.attribute_error(
                path.attribute("config_context"),
                "Invalid attribute combination",
                "config_context names a context of a kubeconfig: set config_path or config_paths as well.",
            );
        }
        let others = [
            kubernetes.token.is_known(),
            kubernetes.client_certificate.is_known(),
            kubernetes.exec.is_known(),
        ];
        let has_kubeconfig =
            kubernetes.config_path.is_known() || kubernetes.config_paths.is_known();
        if has_kubeconfig && others.contains(&true) {
            diagnostics.attribute_error(
                path,
                "Invalid attribute combination",
                "A kubeconfig brings its own credentials. Use either config_path or config_paths, or token, \
                 client_certificate or exec.",
            );
        }
    }
}

fn missing_profile(shared: &SharedConfig, source: ProfileSource) -> Diagnostic {
    let files: Vec<_> = shared
        .paths()
        .iter()
        .map(|path| path.display().to_string())
        .collect();
    let known = match shared.profiles().as_slice() {
        [] => "There are no profiles in them.".to_owned(),
        names => format!("Profiles there: {}.", names.join(", ")),
    };
    let detail = format!(
        "There is no profile {:?} in {}. {known}",
        shared.profile(),
        files.join(" and "),
    );
    match source {
        ProfileSource::Block => Diagnostic::error("Profile not found", detail).at("profile"),
        _ => Diagnostic::error(
            "Profile not found",
            format!("{detail} The name comes from the environment variable AWS_PROFILE."),
        ),
    }
}

/// The region of the EC2 instance this runs on, if it runs on one and answers at once.
async fn region_of_instance(
    settings: &crate::aws::Settings,
    cancel: &CancellationToken,
) -> Option<String> {
    let sdk = SdkProviderConfig::empty()
        .with_http_client(http::client(settings.http.clone()))
        .with_sleep_impl(TokioSleep::new())
        .with_time_source(aws_smithy_async::time::SystemTimeSource::new());
    let client = imds::Client::builder()
        .configure(&sdk)
        .max_attempts(1)
        .build();
    let provider = ImdsRegionProvider::builder()
        .configure(&sdk)
        .imds_client(client)
        .build();
    tokio::select! {
        () = cancel.cancelled() => None,
        region = provider.region() => region.map(|region| region.to_string()),
    }
}

/// `allowed_account_ids` and `forbidden_account_ids`: the one reason to ask STS at configure.
async fn check_account(
    config: &ProviderConfig,
    data: &ProviderData,
    cancel: &CancellationToken,
    diagnostics: &mut Diagnostics,
) {
    let lists = [
        ("allowed_account_ids", &config.allowed_account_ids, true),
        (
            "forbidden_account_ids",
            &config.forbidden_account_ids,
            false,
        ),
    ];
    let Some((name, ids, allowed)) = lists.into_iter().find(|(_, ids, _)| !ids.is_null()) else {
        return;
    };
    let Some(known) = ids.known() else {
        return;
    };
    let undecided = known.0.iter().any(Attr::is_unknown);
    let account = match data.account_id(cancel).await {
        Ok(account) => account,
        Err(error) if error.kind() == AwsErrorKind::NotYetKnown => return,
        Err(error) => {
            diagnostics.push(
                error
                    .into_diagnostic(
                        "Checking the AWS account",
                        &format!(
                            "{name} is set, but the account of the credentials cannot be found out."
                        ),
                        "",
                    )
                    .at(name),
            );
            return;
        }
    };
    let listed = strings(ids).any(|id| id == account);
    // An unknown element may still turn out to be this account: then only a forbidden match is certain.
    let refused = if allowed {
        !listed && !undecided
    } else {
        listed
    };
    if refused {
        diagnostics.attribute_error(
            name,
            "AWS account not allowed",
            format!(
                "The credentials belong to the account {account}, which {name} {}. Use other credentials or change \
                 {name}.",
                if allowed { "does not list" } else { "lists" }
            ),
        );
    }
}

/// Keeps every secret of the block out of the log, before anything can be logged about it.
fn register_secrets(config: &ProviderConfig) {
    let mut secrets = vec![&config.secret_key, &config.token];
    if let Some(block) = config.assume_role_with_web_identity.known() {
        secrets.push(&block.web_identity_token);
    }
    if let Some(kubernetes) = config.kubernetes.known() {
        secrets.extend([&kubernetes.token, &kubernetes.client_key]);
        let env = kubernetes.exec.known().and_then(|exec| exec.env.known());
        secrets.extend(env.into_iter().flat_map(|env| env.values()));
    }
    for secret in secrets {
        if let Some(secret) = secret.as_deref() {
            register_secret(secret);
        }
    }
}

/// The `kubernetes` block, with the paths of its files as they are to be opened.
fn kubernetes(
    config: &ProviderConfig,
    environment: &Environment,
    diagnostics: &mut Diagnostics,
) -> KubernetesConfig {
    let mut kubernetes = match &config.kubernetes {
        Attr::Known(kubernetes) => kubernetes.clone(),
        Attr::Null => KubernetesConfig::default(),
        // A dynamic block over unknown values. Taking it for none would lead to another server.
        Attr::Unknown => KubernetesConfig {
            host: Attr::Unknown,
            ..KubernetesConfig::default()
        },
    };
    let path = Path::from("kubernetes");
    let mut open = |file: &mut Attr<String>, path: Path| {
        let Some(name) = file.as_deref() else {
            return;
        };
        if let Some(full) = existing_file(name, &path, environment, diagnostics) {
            *file = Attr::Known(full.display().to_string());
        }
    };
    open(&mut kubernetes.config_path, path.attribute("config_path"));
    if let Attr::Known(files) = &mut kubernetes.config_paths {
        for (index, file) in files.iter_mut().enumerate() {
            open(file, path.attribute("config_paths").index(index));
        }
    }
    kubernetes
}

#[cfg(test)]
pub(crate) mod tests;
