//! The HTTP client of the SDK clients.
//!
//! TLS is set up when the first `https` request goes out, not before: loading and parsing the system's roots costs more
//! time and memory than everything else a plan against an `http` endpoint does.

use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::{self, TlsContext, TrustStore};
use aws_smithy_http_client::{Connector, ConnectorBuilder};
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient,
    SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use thiserror::Error;

use super::settings::HttpSettings;

/// TLS or a proxy cannot be set up as configured.
#[derive(Clone, Debug, Error)]
pub enum TlsSetupError {
    /// The CA bundle cannot be read.
    #[error("the CA bundle {path} cannot be read: {source}")]
    Unreadable {
        /// The file.
        path: String,
        /// Why.
        #[source]
        source: Arc<io::Error>,
    },
    /// The CA bundle holds no usable certificate.
    #[error("the CA bundle {path} {fault}")]
    BadBundle {
        /// The file.
        path: String,
        /// What is wrong.
        fault: String,
    },
    /// A proxy URL is not usable. The URL is left out: it may hold a password.
    #[error("the proxy URL is not usable")]
    BadProxy,
}

/// The HTTP client for `settings`.
#[must_use]
pub fn client(settings: HttpSettings) -> SharedHttpClient {
    SharedHttpClient::new(Client {
        shared: Arc::new(Shared {
            settings,
            trust: OnceLock::new(),
        }),
        connectors: Mutex::default(),
    })
}

/// The certificates of a PEM file's contents, or what is wrong with it: `holds no certificate`.
///
/// # Errors
/// When there is no certificate, or one that cannot be trusted because it does not parse.
pub fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let mut store = RootCertStore::empty();
    let mut certificates = Vec::new();
    for (position, certificate) in CertificateDer::pem_slice_iter(pem).enumerate() {
        let certificate =
            certificate.map_err(|_| format!("is not PEM at certificate {}", position + 1))?;
        store
            .add(certificate.clone())
            .map_err(|_| format!("holds no valid certificate at position {}", position + 1))?;
        certificates.push(certificate);
    }
    if certificates.is_empty() {
        return Err("holds no PEM certificate (-----BEGIN CERTIFICATE-----)".to_owned());
    }
    Ok(certificates)
}

/// Connect and read timeout: what connectors differ in.
type Timeouts = (Option<Duration>, Option<Duration>);

#[derive(Debug)]
struct Client {
    shared: Arc<Shared>,
    connectors: Mutex<HashMap<Timeouts, SharedHttpConnector>>,
}

#[derive(Debug)]
struct Shared {
    settings: HttpSettings,
    trust: OnceLock<Result<TlsContext, TlsSetupError>>,
}

impl HttpClient for Client {
    fn http_connector(
        &self,
        settings: &HttpConnectorSettings,
        _components: &RuntimeComponents,
    ) -> SharedHttpConnector {
        self.connectors
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .entry((settings.connect_timeout(), settings.read_timeout()))
            .or_insert_with(|| {
                SharedHttpConnector::new(LazyConnector {
                    shared: Arc::clone(&self.shared),
                    settings: settings.clone(),
                    plain: [const { OnceLock::new() }; 2],
                    tls: [const { OnceLock::new() }; 2],
                })
            })
            .clone()
    }
}

type Made = OnceLock<Result<SharedHttpConnector, TlsSetupError>>;

/// Connectors made on first use: `[direct, through the proxy]`.
#[derive(Debug)]
struct LazyConnector {
    shared: Arc<Shared>,
    settings: HttpConnectorSettings,
    plain: [Made; 2],
    tls: [Made; 2],
}

impl HttpConnector for LazyConnector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let uri: http::Uri = match request.uri().parse() {
            Ok(uri) => uri,
            Err(error) => {
                return HttpConnectorFuture::ready(Err(ConnectorError::user(Box::new(error))));
            }
        };
        let secure = uri.scheme() != Some(&http::uri::Scheme::HTTP);
        let proxy = self
            .shared
            .settings
            .proxy_for(secure, uri.host().unwrap_or_default());
        let slot = usize::from(proxy.is_some());
        let made = if secure {
            self.tls[slot].get_or_init(|| self.make_tls(proxy))
        } else {
            self.plain[slot].get_or_init(|| self.make_plain(proxy))
        };
        match made {
            Ok(connector) => connector.call(request),
            Err(error) => {
                HttpConnectorFuture::ready(Err(ConnectorError::user(Box::new(error.clone()))))
            }
        }
    }
}

impl LazyConnector {
    fn make_plain(&self, proxy: Option<&str>) -> Result<SharedHttpConnector, TlsSetupError> {
        let proxied = self.proxied(proxy, |url| ProxyConfig::http(url))?;
        // A proxy that is itself reached over TLS needs the TLS connector.
        if proxy.is_some_and(|url| url.starts_with("https://")) {
            return self.with_tls(proxied);
        }
        Ok(SharedHttpConnector::new(proxied.build_http()))
    }

    fn make_tls(&self, proxy: Option<&str>) -> Result<SharedHttpConnector, TlsSetupError> {
        self.with_tls(self.proxied(proxy, |url| ProxyConfig::https(url))?)
    }

    fn with_tls(&self, builder: ConnectorBuilder) -> Result<SharedHttpConnector, TlsSetupError> {
        let context = self
            .shared
            .trust
            .get_or_init(|| self.shared.settings.trust());
        Ok(SharedHttpConnector::new(
            builder
                .tls_provider(tls::Provider::Rustls(
                    tls::rustls_provider::CryptoMode::AwsLc,
                ))
                .tls_context(context.clone()?)
                .build(),
        ))
    }

    fn proxied(
        &self,
        proxy: Option<&str>,
        config: impl FnOnce(&str) -> Result<ProxyConfig, aws_smithy_http_client::proxy::ProxyError>,
    ) -> Result<ConnectorBuilder, TlsSetupError> {
        let builder = Connector::builder().connector_settings(self.settings.clone());
        let Some(url) = proxy else {
            return Ok(builder);
        };
        let mut proxy = config(url).map_err(|_| TlsSetupError::BadProxy)?;
        if let Some(rules) = &self.shared.settings.no_proxy {
            proxy = proxy.no_proxy(rules);
        }
        Ok(builder.proxy_config(proxy))
    }
}

impl HttpSettings {
    /// The proxy for a host. Never one for this machine or link-local addresses: those are test endpoints and the
    /// metadata and credential services of EC2, ECS and EKS, which no proxy can reach.
    pub(crate) fn proxy_for(&self, secure: bool, host: &str) -> Option<&str> {
        let host = host.trim_matches(['[', ']']);
        let local = host == "localhost"
            || match host.parse::<IpAddr>() {
                Ok(IpAddr::V4(ip)) => ip.is_loopback() || ip.is_link_local(),
                Ok(IpAddr::V6(ip)) => {
                    ip.is_loopback() || (ip.segments()[0], ip.segments()[1]) == (0xfd00, 0x0ec2)
                }
                Err(_) => false,
            };
        if local {
            return None;
        }
        if secure {
            self.https_proxy.as_deref()
        } else {
            self.http_proxy.as_deref()
        }
    }

    /// Which certificates are trusted: the bundle if there is one, else the system's, else (a container without any)
    /// those of the Mozilla programme.
    fn trust(&self) -> Result<TlsContext, TlsSetupError> {
        let certificates = match &self.custom_ca_bundle {
            Some(path) => {
                let pem = std::fs::read(path).map_err(|error| TlsSetupError::Unreadable {
                    path: path.display().to_string(),
                    source: Arc::new(error),
                })?;
                certificates(&pem).map_err(|fault| TlsSetupError::BadBundle {
                    path: path.display().to_string(),
                    fault,
                })?
            }
            None => {
                let mut store = RootCertStore::empty();
                let mut native = rustls_native_certs::load_native_certs().certs;
                // System stores hold odd certificates; the SDK takes only those that parse.
                native.retain(|certificate| store.add(certificate.clone()).is_ok());
                if native.is_empty() {
                    tracing::debug!("no system certificates; using the built-in roots");
                    native = webpki_root_certs::TLS_SERVER_ROOT_CERTS.to_vec();
                }
                native
            }
        };
        let pem: String = certificates.iter().map(to_pem).collect();
        TlsContext::builder()
            .with_trust_store(TrustStore::empty().with_pem_certificate(pem))
            .build()
            .map_err(|error| TlsSetupError::BadBundle {
                path: "of trusted certificates".to_owned(),
                fault: error.to_string(),
            })
    }
}

fn to_pem(certificate: &CertificateDer<'_>) -> String {
    format!(
        "-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n",
        BASE64.encode(certificate)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn local_addresses_never_go_through_a_proxy() {
        let settings = HttpSettings {
            http_proxy: Some("http://plain:1".to_owned()),
            https_proxy: Some("http://secure:2".to_owned()),
            ..HttpSettings::default()
        };
        for (secure, host, expected) in [
            (true, "eks.us-east-1.amazonaws.com", Some("http://secure:2")),
            (false, "eks.example", Some("http://plain:1")),
            (false, "127.0.0.1", None),
            (false, "localhost", None),
            (false, "[::1]", None),
            (false, "169.254.169.254", None),
            (false, "169.254.170.23", None),
            (false, "[fd00:ec2::23]", None),
            (true, "10.0.0.1", Some("http://secure:2")),
        ] {
            assert_eq!(settings.proxy_for(secure, host), expected, "{host}");
        }
    }

    #[test]
    fn bundles_are_checked() {
        let good = rcgen::generate_simple_self_signed(["ca.example".to_owned()])
            .unwrap()
            .cert
            .pem();
        assert_eq!(
            certificates(format!("{good}{good}").as_bytes())
                .unwrap()
                .len(),
            2
        );
        for (name, pem) in [
            ("empty", String::new()),
            ("text", "hello".to_owned()),
            (
                "not base64",
                "-----BEGIN CERTIFICATE-----\n%%%\n-----END CERTIFICATE-----\n".to_owned(),
            ),
            (
                "not a certificate",
                "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n".to_owned(),
            ),
        ] {
            assert!(certificates(pem.as_bytes()).is_err(), "{name}");
        }
    }

    #[test]
    fn the_built_in_roots_are_usable() {
        let pem: String = webpki_root_certs::TLS_SERVER_ROOT_CERTS
            .iter()
            .map(to_pem)
            .collect();
        assert!(certificates(pem.as_bytes()).unwrap().len() > 50);
    }

    #[tokio::test]
    async fn tls_is_set_up_only_for_https() {
        let (_taken, address) = crate::provider::tests::refusing_address();
        let connector = LazyConnector {
            shared: Arc::new(Shared {
                settings: HttpSettings::default(),
                trust: OnceLock::new(),
            }),
            settings: HttpConnectorSettings::default(),
            plain: [const { OnceLock::new() }; 2],
            tls: [const { OnceLock::new() }; 2],
        };
        for (scheme, set_up) in [("http", false), ("https", true)] {
            let request = HttpRequest::get(format!("{scheme}://{address}/")).unwrap();
            assert!(
                connector.call(request).await.is_err(),
                "nothing listens there"
            );
            assert_eq!(connector.shared.trust.get().is_some(), set_up, "{scheme}");
        }
    }
}
