//! From the provider's `kubernetes` block and what EKS says to a connection.

use std::sync::Arc;
use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use http::Uri;
use hyper_util::client::proxy::matcher::Matcher;

use super::auth::{Authenticator, Clock, Credential, EksSigner, Source};
use super::client::ClusterApi;
use super::config::KubernetesConfig;
use super::connection::{Connection, Identity, Trust};
use super::error::{KubernetesError, KubernetesErrorKind};
use super::transport::Transport;
use crate::aws::facts::ClusterInfo;
use crate::aws::http::certificates;
use crate::aws::settings::HttpSettings;
use crate::aws::{AwsError, Clients};
use crate::framework::model::Attr;

/// Attempts per call where no AWS settings say otherwise.
const DEFAULT_ATTEMPTS: u32 = 10;

/// Refuses a block with unknown values.
///
/// # Errors
/// `NotYetKnown`.
pub(crate) fn check_known(config: &KubernetesConfig) -> Result<(), KubernetesError> {
    if config.has_unknown() {
        return Err(KubernetesError::new(
            KubernetesErrorKind::NotYetKnown,
            "the provider's kubernetes block is not known yet: it depends on values that Terraform learns during apply",
        ));
    }
    Ok(())
}

/// The API of a cluster.
///
/// # Errors
/// `Configuration` when the block cannot be used; what EKS answered, where the block leaves something to it.
pub(crate) async fn cluster_api(
    config: &KubernetesConfig,
    cluster: &str,
    found: Result<Arc<ClusterInfo>, AwsError>,
    clients: Result<&Clients, AwsError>,
) -> Result<ClusterApi, KubernetesError> {
    let clock: Clock = Arc::new(SystemTime::now);
    api(config, cluster, found, clients, clock).await
}

async fn api(
    config: &KubernetesConfig,
    cluster: &str,
    found: Result<Arc<ClusterInfo>, AwsError>,
    clients: Result<&Clients, AwsError>,
    clock: Clock,
) -> Result<ClusterApi, KubernetesError> {
    let (server, trust) = match config.host.as_deref() {
        Some(host) => (
            server(host)?,
            match config.cluster_ca_certificate.as_deref() {
                Some(pem) => Trust::Certificates(ders(pem.as_bytes())?),
                None => Trust::System,
            },
        ),
        None => eks_endpoint(&*found?)?,
    };
    let trust = if config.insecure == Attr::Known(true) {
        Trust::Everything
    } else {
        trust
    };
    let source = match (
        config.token.as_deref(),
        config.client_certificate.as_deref(),
        config.client_key.as_deref(),
    ) {
        (Some(token), _, _) => Source::Fixed(Credential::bearer(token)?),
        (None, Some(certificate), Some(key)) => Source::Fixed(Credential {
            identity: Some(Arc::new(Identity {
                certificate: certificate.to_owned(),
                key: key.to_owned(),
            })),
            ..Credential::default()
        }),
        _ => {
            let clients = clients.clone()?;
            Source::Eks(EksSigner {
                credentials: clients.credentials(),
                region: clients.region().to_owned(),
                sts_endpoint: clients.presigning_sts_endpoint(),
                cluster: cluster.to_owned(),
            })
        }
    };
    let settings = clients.ok().map(Clients::settings);
    let proxy = match config.proxy_url.as_deref() {
        Some(url) => Some(proxy(url)?),
        None => settings.and_then(|settings| environment_proxy(&settings.http, &server)),
    };
    let connection = Connection {
        server,
        trust,
        tls_server_name: config.tls_server_name.as_deref().map(ToOwned::to_owned),
        proxy,
    };
    let attempts = settings.map_or(DEFAULT_ATTEMPTS, |settings| settings.max_attempts);
    let agent = settings.map_or("", |settings| settings.user_agent.as_str());
    Ok(ClusterApi::new(Transport::new(
        cluster,
        connection,
        Authenticator::new(source, clock),
        attempts,
        agent,
    )))
}

fn eks_endpoint(cluster: &ClusterInfo) -> Result<(Uri, Trust), KubernetesError> {
    if cluster.endpoint.is_empty() || cluster.certificate_authority.is_empty() {
        return Err(KubernetesError::new(
            KubernetesErrorKind::Unavailable,
            format!(
                "EKS does not know the endpoint of the cluster {:?} yet: its status is {}",
                cluster.name, cluster.status
            ),
        ));
    }
    let pem = BASE64
        .decode(&cluster.certificate_authority)
        .map_err(|_| configuration("EKS gave a CA that is not base64"))?;
    Ok((server(&cluster.endpoint)?, Trust::Certificates(ders(&pem)?)))
}

fn ders(pem: &[u8]) -> Result<Vec<Vec<u8>>, KubernetesError> {
    let certificates =
        certificates(pem).map_err(|fault| configuration(format!("the cluster's CA {fault}")))?;
    Ok(certificates.iter().map(|der| der.to_vec()).collect())
}

fn server(url: &str) -> Result<Uri, KubernetesError> {
    let url = if url.contains("://") {
        url.to_owned()
    } else {
        format!("https://{url}")
    };
    url.parse::<Uri>()
        .ok()
        .filter(|uri| uri.host().is_some() && matches!(uri.scheme_str(), Some("http" | "https")))
        .ok_or_else(|| configuration(format!("the API server's address {url:?} is not a URL")))
}

fn proxy(url: &str) -> Result<Uri, KubernetesError> {
    // The URL may hold a password, so it is not repeated.
    url.parse::<Uri>()
        .ok()
        .filter(|uri| uri.host().is_some() && matches!(uri.scheme_str(), Some("http" | "https")))
        .ok_or_else(|| configuration("proxy_url is not the URL of an HTTP proxy"))
}

/// The proxy that the AWS calls use for `https` URLs, as kubectl and the AWS CLI use `HTTPS_PROXY`, if it is for this
/// server.
fn environment_proxy(settings: &HttpSettings, server: &Uri) -> Option<Uri> {
    let url = settings.proxy_for(server.scheme_str() != Some("http"), server.host()?)?;
    let matcher = Matcher::builder()
        .all(url.to_owned())
        .no(settings.no_proxy.clone().unwrap_or_default())
        .build();
    matcher.intercept(server)?;
    proxy(url).ok()
}

fn configuration(message: impl Into<String>) -> KubernetesError {
    KubernetesError::new(KubernetesErrorKind::Configuration, message)
}
