//! Where the API server is, how it is trusted and through which proxy it is reached.

use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use http::Uri;
use http::header::{HeaderName, HeaderValue};
use hyper_util::client::legacy::Client as HttpClient;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::proxy::{SocksV5, Tunnel};
use hyper_util::rt::TokioExecutor;
use kube::client::{Body, ConfigExt as _};
use percent_encoding::percent_decode_str;

use super::error::{KubernetesError, KubernetesErrorKind};
use crate::plugin::logging::mask;

/// Time for DNS and TCP; TLS is part of the time that a request has.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Everything of a connection but who we are.
#[derive(Clone)]
pub(crate) struct Connection {
    /// URL of the API server, perhaps with a path.
    pub(crate) server: Uri,
    /// Which certificates it may have.
    pub(crate) trust: Trust,
    /// The name in its certificate, when it is reached by another one.
    pub(crate) tls_server_name: Option<String>,
    /// URL of a proxy, perhaps with user and password.
    pub(crate) proxy: Option<Uri>,
    /// File of PEM certificates that a proxy with TLS is checked against; the system's if there is none.
    pub(crate) proxy_ca: Option<PathBuf>,
    /// Sent with every request: who to act as.
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
}

/// Which certificates of the API server are accepted.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Trust {
    /// Those that one of these CAs (DER) signed, and no others.
    Certificates(Vec<Vec<u8>>),
    /// Those that the system trusts.
    System,
    /// All: the check is switched off.
    Everything,
}

/// A client certificate.
#[derive(Eq, PartialEq)]
pub(crate) struct Identity {
    /// Certificate chain, PEM.
    pub(crate) certificate: String,
    /// Private key, PEM.
    pub(crate) key: String,
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").finish_non_exhaustive()
    }
}

impl fmt::Debug for Connection {
    /// Proxy URLs may carry passwords.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("server", &self.server)
            .field("tls_server_name", &self.tls_server_name)
            .field("proxy", &self.proxy.is_some())
            .finish_non_exhaustive()
    }
}

impl Connection {
    /// The HTTP client. Does no I/O; must be called within a runtime.
    pub(crate) fn client(
        &self,
        identity: Option<&Arc<Identity>>,
    ) -> Result<kube::Client, KubernetesError> {
        let mut config = kube::Config::new(self.server.clone());
        config.tls_server_name.clone_from(&self.tls_server_name);
        match &self.trust {
            Trust::Certificates(certificates) => config.root_cert = Some(certificates.clone()),
            Trust::System => {}
            Trust::Everything => config.accept_invalid_certs = true,
        }
        if let Some(identity) = identity {
            // Both are put into one PEM file, where a line that is not ended would swallow the next one.
            let lines = |pem: &str| BASE64.encode(format!("{}\n", pem.trim_end()));
            config.auth_info.client_certificate_data = Some(lines(&identity.certificate));
            config.auth_info.client_key_data = Some(lines(&identity.key).into());
        }
        // Without this rustls would have to guess between the crypto libraries that are compiled in.
        if rustls::crypto::CryptoProvider::get_default().is_none() {
            // Fails only if somebody else has just set it, to the same: no other library is compiled in.
            let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        }
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(CONNECT_TIMEOUT));
        let unusable = |error: &dyn StdError| {
            KubernetesError::new(
                KubernetesErrorKind::Configuration,
                format!("TLS cannot be set up: {}", chain(error)),
            )
        };
        let http = HttpClient::builder(TokioExecutor::new());
        let client = match &self.proxy {
            None => {
                let tls = config
                    .rustls_https_connector_with_connector(tcp)
                    .map_err(|error| unusable(&error))?;
                kube::Client::new(http.build::<_, Body>(tls), "default")
            }
            Some(proxy) if self.proxy_has_tls() => {
                // The proxy has a certificate of its own, which the cluster's CA has not signed.
                let mut for_proxy = kube::Config::new(proxy.clone());
                for_proxy.root_cert_file.clone_from(&self.proxy_ca);
                let outer = for_proxy
                    .rustls_https_connector_with_connector(tcp)
                    .map_err(|error| unusable(&error))?;
                let tls = config
                    .rustls_https_connector_with_connector(tunnel(proxy, outer))
                    .map_err(|error| unusable(&error))?;
                kube::Client::new(http.build::<_, Body>(tls), "default")
            }
            Some(proxy) if is_socks(proxy) => {
                let tls = config
                    .rustls_https_connector_with_connector(socks(proxy, tcp))
                    .map_err(|error| unusable(&error))?;
                kube::Client::new(http.build::<_, Body>(tls), "default")
            }
            Some(proxy) => {
                let tls = config
                    .rustls_https_connector_with_connector(tunnel(proxy, tcp))
                    .map_err(|error| unusable(&error))?;
                kube::Client::new(http.build::<_, Body>(tls), "default")
            }
        };
        Ok(client)
    }

    /// Whether there is a proxy with a certificate of its own.
    pub(crate) fn proxy_has_tls(&self) -> bool {
        self.proxy.as_ref().and_then(Uri::scheme_str) == Some("https")
    }

    /// The absolute URL of a path with query.
    pub(crate) fn url(&self, path_and_query: &str) -> String {
        let base = self.server.to_string();
        format!("{}{path_and_query}", base.trim_end_matches('/'))
    }
}

fn tunnel<C>(proxy: &Uri, connector: C) -> Tunnel<C> {
    let tunnel = Tunnel::new(proxy.clone(), connector);
    let header = user_info(proxy).and_then(|user| {
        let user: Vec<u8> = percent_decode_str(user).collect();
        HeaderValue::try_from(format!("Basic {}", BASE64.encode(user))).ok()
    });
    match header {
        Some(mut header) => {
            header.set_sensitive(true);
            tunnel.with_auth(header)
        }
        None => tunnel,
    }
}

/// Whether a proxy speaks SOCKS 5.
fn is_socks(proxy: &Uri) -> bool {
    proxy
        .scheme_str()
        .is_some_and(|scheme| scheme.starts_with("socks5"))
}

/// The proxy looks the server's name up: names of private endpoints are often known only where it is.
fn socks<C>(proxy: &Uri, connector: C) -> SocksV5<C> {
    let socks = SocksV5::new(proxy.clone(), connector);
    match user_info(proxy) {
        Some(user) => {
            let (user, password) = user.split_once(':').unwrap_or((user, ""));
            let plain = |text| percent_decode_str(text).decode_utf8_lossy().into_owned();
            socks.with_auth(plain(user), plain(password))
        }
        None => socks,
    }
}

/// User and password of a URL, as they stand there.
fn user_info(url: &Uri) -> Option<&str> {
    let (user, _) = url.authority()?.as_str().rsplit_once('@')?;
    Some(user)
}

/// An error with its causes in one line, each said once, without secrets.
pub(crate) fn chain(error: &dyn StdError) -> String {
    let mut texts: Vec<String> = Vec::new();
    walk(error, &mut |cause| {
        let text = mask(&cause.to_string()).into_owned();
        if !text.is_empty() && !texts.iter().any(|earlier| earlier.contains(&text)) {
            texts.retain(|earlier| !text.contains(earlier.as_str()));
            texts.push(text);
        }
    });
    texts.join(": ")
}

/// The first error of type `T` in the chain.
pub(crate) fn contains<T: StdError + 'static>(
    error: &(dyn StdError + 'static),
    test: impl Fn(&T) -> bool,
) -> bool {
    let mut found = false;
    let mut next = Some(error);
    while let Some(cause) = next {
        found |= cause.downcast_ref::<T>().is_some_and(&test);
        next = below(cause);
    }
    found
}

fn walk(error: &dyn StdError, visit: &mut dyn FnMut(&dyn StdError)) {
    visit(error);
    if let Some(cause) = error.source() {
        let mut next = Some(cause);
        while let Some(cause) = next {
            visit(cause);
            next = below(cause);
        }
    }
}

/// The cause of an error. An `io::Error` prints what it wraps, but names the cause of that as its own, so that what it
/// wraps, such as the TLS error, would be skipped.
fn below<'e>(error: &'e (dyn StdError + 'static)) -> Option<&'e (dyn StdError + 'static)> {
    if let Some(inner) = error
        .downcast_ref::<io::Error>()
        .and_then(io::Error::get_ref)
    {
        return Some(inner);
    }
    error.source()
}
