//! From the provider's `kubernetes` block and what EKS says to a connection.
//!
//! What the block leaves out comes from EKS: endpoint and CA together, the token by signing one. Environment variables
//! (`KUBECONFIG`, `KUBE_CONFIG_PATH`, `KUBE_HOST`, `KUBE_TOKEN` …) are not read: the cluster that is changed follows from
//! `cluster_name`, and a variable that a shell happens to have set must not put another one in its place. The one exception
//! is `HTTPS_PROXY` with `NO_PROXY`, which say how to get somewhere and not where.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use http::Uri;
use http::header::{HeaderName, HeaderValue};
use hyper_util::client::proxy::matcher::Matcher;

use super::auth::{Authenticator, Clock, Credential, EksSigner, Source};
use super::client::ClusterApi;
use super::config::{ExecConfig, KubernetesConfig};
use super::connection::{Connection, Identity, Trust};
use super::error::{KubernetesError, KubernetesErrorKind};
use super::exec::ExecPlugin;
use super::kubeconfig::{self, User};
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

/// Refuses to use the one server that the block names for two clusters.
///
/// # Errors
/// `Configuration`.
pub(crate) fn check_cluster(expected: &str, cluster: &str) -> Result<(), KubernetesError> {
    if expected == cluster {
        return Ok(());
    }
    Err(configuration(format!(
        "the provider's kubernetes block names one API server, that of the cluster {expected:?}, but the cluster \
         {cluster:?} is asked for too: give each cluster a provider configuration of its own (alias), or leave host and \
         config_path out, so that EKS is asked for each"
    )))
}

/// The API of a cluster.
///
/// # Errors
/// `Configuration` when the block cannot be used; what EKS answered, where the block leaves something to it.
pub(crate) fn cluster_api(
    config: &KubernetesConfig,
    cluster: &str,
    found: Result<Arc<ClusterInfo>, AwsError>,
    clients: Result<&Clients, AwsError>,
    clock: Option<Clock>,
) -> Result<ClusterApi, KubernetesError> {
    let parts = match kubeconfig_parts(config)? {
        Some(parts) => parts,
        None => block_parts(config)?,
    };
    let (server, trust) = match parts.server {
        Some(url) => {
            let server = server(&url)?;
            if let Ok(found) = &found {
                check_same_cluster(&server, found)?;
            }
            (server, parts.trust)
        }
        None => eks_endpoint(&*found?)?,
    };
    check_scheme(&server)?;
    let trust = if parts.insecure {
        Trust::Everything
    } else {
        trust
    };
    let clients = clients.as_ref();
    let source = match parts.source {
        Some(source) => source,
        None => {
            let clients = clients.map_err(|error| (*error).clone())?;
            Source::Eks(EksSigner {
                credentials: clients.credentials(),
                region: clients.region().to_owned(),
                sts_endpoint: clients.presigning_sts_endpoint(),
                cluster: cluster.to_owned(),
            })
        }
    };
    let settings = clients.ok().map(|clients| clients.settings());
    let proxy = match parts.proxy_url.as_deref() {
        Some(url) => Some(proxy(url)?),
        None => settings.and_then(|settings| environment_proxy(&settings.http, &server)),
    };
    let connection = Connection {
        server,
        trust,
        tls_server_name: parts.tls_server_name,
        proxy,
        proxy_ca: settings.and_then(|settings| settings.http.custom_ca_bundle.clone()),
        headers: parts.headers,
    };
    Ok(ClusterApi::new(Transport::new(
        cluster,
        connection,
        Authenticator::new(
            source,
            parts.identity,
            clock.unwrap_or_else(|| Arc::new(SystemTime::now)),
        ),
        settings.map_or(DEFAULT_ATTEMPTS, |settings| settings.max_attempts),
        settings.map_or("", |settings| settings.user_agent.as_str()),
    )))
}

/// What block or kubeconfig say; the rest is EKS's.
struct Parts {
    server: Option<String>,
    /// Which certificates to trust, if the server is ours to name.
    trust: Trust,
    insecure: bool,
    tls_server_name: Option<String>,
    proxy_url: Option<String>,
    source: Option<Source>,
    identity: Option<Arc<Identity>>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

fn block_parts(config: &KubernetesConfig) -> Result<Parts, KubernetesError> {
    let trust = match config.cluster_ca_certificate.as_deref() {
        Some(pem) => Trust::Certificates(ders(pem.as_bytes())?),
        None => Trust::System,
    };
    let identity = config
        .client_certificate
        .as_deref()
        .zip(config.client_key.as_deref())
        .map(|(certificate, key)| identity(certificate, key));
    let source = match (config.token.as_deref(), config.exec.known()) {
        (Some(token), _) => Some(Source::Fixed(Credential::bearer(token)?)),
        (None, Some(exec)) => Some(Source::Exec(plugin(exec)?)),
        (None, None) => identity
            .is_some()
            .then(|| Source::Fixed(Credential::default())),
    };
    Ok(Parts {
        server: string(&config.host),
        trust,
        insecure: config.insecure == Attr::Known(true),
        tls_server_name: string(&config.tls_server_name),
        proxy_url: string(&config.proxy_url),
        source,
        identity,
        headers: Vec::new(),
    })
}

fn kubeconfig_parts(config: &KubernetesConfig) -> Result<Option<Parts>, KubernetesError> {
    let files: Vec<PathBuf> = match (config.config_path.as_deref(), config.config_paths.known()) {
        (Some(file), _) => vec![PathBuf::from(file)],
        (None, Some(files)) => files
            .iter()
            .filter_map(|file| file.as_deref().map(PathBuf::from))
            .collect(),
        (None, None) => return Ok(None),
    };
    let context = kubeconfig::load(&files, config.config_context.as_deref())?;
    let trust = match &context.ca {
        Some(pem) => Trust::Certificates(ders(pem)?),
        None => Trust::System,
    };
    let User {
        token,
        token_file,
        basic,
        certificate,
        exec,
        impersonation,
    } = context.user;
    let identity = certificate.map(|(certificate, key)| identity(&certificate, &key));
    // The order of client-go.
    let source = if let Some(file) = token_file {
        Some(Source::File(file))
    } else if let Some(token) = token {
        Some(Source::Fixed(Credential::bearer(&token)?))
    } else if let Some((name, password)) = basic {
        Some(Source::Fixed(Credential::basic(&name, &password)?))
    } else if let Some(plugin) = exec {
        Some(Source::Exec(plugin))
    } else {
        identity
            .is_some()
            .then(|| Source::Fixed(Credential::default()))
    };
    let headers = impersonation
        .iter()
        .map(|(name, value)| {
            let name = HeaderName::try_from(name.as_str()).ok()?;
            Some((name, HeaderValue::try_from(value.as_str()).ok()?))
        })
        .collect::<Option<Vec<_>>>()
        .ok_or_else(|| {
            configuration("the kubeconfig's user acts as somebody whose name cannot be sent")
        })?;
    Ok(Some(Parts {
        server: Some(context.server),
        trust,
        // The block has the last word, in both directions.
        insecure: match config.insecure {
            Attr::Known(insecure) => insecure,
            _ => context.insecure,
        },
        tls_server_name: string(&config.tls_server_name).or(context.tls_server_name),
        proxy_url: string(&config.proxy_url).or(context.proxy_url),
        source,
        identity,
        headers,
    }))
}

fn plugin(exec: &ExecConfig) -> Result<ExecPlugin, KubernetesError> {
    ExecPlugin {
        api_version: string(&exec.api_version).unwrap_or_default(),
        command: PathBuf::from(string(&exec.command).unwrap_or_default()),
        args: exec
            .args
            .known()
            .into_iter()
            .flatten()
            .filter_map(string)
            .collect(),
        env: exec
            .env
            .known()
            .into_iter()
            .flatten()
            .filter_map(|(name, value)| Some((name.clone(), string(value)?)))
            .collect(),
        install_hint: None,
        cluster: None,
    }
    .check()
}

fn identity(certificate: &str, key: &str) -> Arc<Identity> {
    Arc::new(Identity {
        certificate: certificate.to_owned(),
        key: key.to_owned(),
    })
}

fn string(value: &Attr<String>) -> Option<String> {
    value.as_deref().map(ToOwned::to_owned)
}

/// Endpoint and CA as EKS tells them.
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

/// Refuses a configured server that is certainly another cluster.
///
/// The host need not be the one that EKS names: a tunnel, a proxy, a private name are why people set it. But if both are
/// names that EKS makes, which begin with the cluster's own 32 hexadecimal digits, they must be of one cluster: a
/// kubeconfig whose current context has moved on would otherwise migrate the wrong one.
fn check_same_cluster(server: &Uri, found: &ClusterInfo) -> Result<(), KubernetesError> {
    let of_eks = found.endpoint.parse::<Uri>().ok();
    match (eks_id(server), of_eks.as_ref().and_then(eks_id)) {
        (Some(configured), Some(of_eks)) if configured != of_eks => Err(configuration(format!(
            "the provider's kubernetes block leads to {server}, but the endpoint of the cluster {:?} is {}: check \
             config_context, or leave host and config_path out",
            found.name, found.endpoint
        ))),
        _ => Ok(()),
    }
}

/// The id in the host name of an EKS endpoint: `0123…CDEF.gr7.eu-west-1.eks.amazonaws.com`.
fn eks_id(server: &Uri) -> Option<String> {
    let (id, rest) = server.host()?.split_once('.')?;
    let is_id = id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    let of_eks = rest
        .split('.')
        .any(|label| label == "eks" || label == "eks-cluster");
    (is_id && of_eks).then(|| id.to_ascii_uppercase())
}

/// Refuses to send credentials in the clear, but to this machine (`kubectl proxy`). `insecure` does not change that: it is about
/// certificates.
fn check_scheme(server: &Uri) -> Result<(), KubernetesError> {
    let host = server.host().unwrap_or_default().trim_matches(['[', ']']);
    let local = host.eq_ignore_ascii_case("localhost")
        || host
            .parse::<std::net::IpAddr>()
            .is_ok_and(|ip| ip.is_loopback());
    if server.scheme_str() == Some("http") && !local {
        return Err(configuration(format!(
            "{server} is not https: the credentials would be sent in the clear. Use https, or a tunnel that begins on this \
             machine (localhost)"
        )));
    }
    Ok(())
}

fn ders(pem: &[u8]) -> Result<Vec<Vec<u8>>, KubernetesError> {
    let certificates =
        certificates(pem).map_err(|fault| configuration(format!("the cluster's CA {fault}")))?;
    Ok(certificates.iter().map(|der| der.to_vec()).collect())
}

/// A host without scheme is one with TLS, as in `hashicorp/kubernetes`.
fn server(url: &str) -> Result<Uri, KubernetesError> {
    let with_scheme = if url.contains("://") {
        url.to_owned()
    } else {
        format!("https://{url}")
    };
    url_of(&with_scheme, &["http", "https"])
        .ok_or_else(|| configuration(format!("the API server's address {url:?} is not a URL")))
}

fn proxy(url: &str) -> Result<Uri, KubernetesError> {
    let with_scheme = if url.contains("://") {
        url.to_owned()
    } else {
        format!("http://{url}")
    };
    url_of(&with_scheme, &["http", "https", "socks5", "socks5h"])
        .and_then(with_port_of_socks)
        // The URL may hold a password, so it is not repeated.
        .ok_or_else(|| {
            configuration(
                "the proxy's URL is not one of an HTTP or SOCKS proxy (http, https or socks5)",
            )
        })
}

/// The URL of a SOCKS proxy with its port, which is 1080 where none is named; others as they are.
fn with_port_of_socks(url: Uri) -> Option<Uri> {
    if url.port().is_some() || !url.scheme_str()?.starts_with("socks") {
        return Some(url);
    }
    let mut parts = url.into_parts();
    let authority = parts.authority?;
    parts.authority = format!("{authority}:1080").parse().ok();
    Uri::from_parts(parts).ok()
}

fn url_of(url: &str, schemes: &[&str]) -> Option<Uri> {
    url.parse::<Uri>().ok().filter(|uri| {
        uri.host().is_some_and(|host| !host.is_empty())
            && uri
                .scheme_str()
                .is_some_and(|scheme| schemes.contains(&scheme))
    })
}

/// The proxy that the AWS calls use for `https` URLs, as kubectl and the AWS CLI use `HTTPS_PROXY`, if it is for this
/// server.
pub(super) fn environment_proxy(settings: &HttpSettings, server: &Uri) -> Option<Uri> {
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
