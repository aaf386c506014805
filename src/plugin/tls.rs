//! AutoMTLS: each side makes a certificate for one run and pins the other's.

use std::sync::Arc;

use rcgen::{
    CertificateParams, DnType, ExtendedKeyUsagePurpose, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P256_SHA256,
};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, ServerConfig,
    SignatureScheme,
    client::danger::HandshakeSignatureValid,
    crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, PrivatePkcs8KeyDer, UnixTime, pem::PemObject as _},
    server::{
        NoServerSessionStorage,
        danger::{ClientCertVerified, ClientCertVerifier},
    },
};
use time::{Duration, OffsetDateTime};
use tokio_rustls::TlsAcceptor;

/// Why TLS could not be set up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// The client's certificate is not one PEM certificate.
    #[error("PLUGIN_CLIENT_CERT does not hold a PEM certificate")]
    ClientCertificate(#[source] Option<rustls::pki_types::pem::Error>),
    /// Our own certificate could not be made.
    #[error("making the server certificate")]
    ServerCertificate(#[from] rcgen::Error),
    /// rustls refused the configuration.
    #[error("configuring TLS")]
    Configuration(#[from] rustls::Error),
}

/// TLS for one run.
pub(super) struct AutoMtls {
    pub(super) acceptor: TlsAcceptor,
    /// What the handshake line announces and the client pins.
    pub(super) certificate: CertificateDer<'static>,
}

impl AutoMtls {
    /// Makes our certificate, and accepts no client but the one that holds the key of `client_certificate` (PEM).
    ///
    /// # Errors
    ///
    /// [`TlsError`]. There is no fallback to plaintext: the client asked for TLS.
    pub(super) fn new(client_certificate: &str) -> Result<Self, TlsError> {
        let pinned = CertificateDer::pem_slice_iter(client_certificate.as_bytes())
            .next()
            .ok_or(TlsError::ClientCertificate(None))?
            .map_err(|error| TlsError::ClientCertificate(Some(error)))?;

        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let certificate = certificate_params(OffsetDateTime::now_utc())?
            .self_signed(&key)?
            .der()
            .clone();

        // Named, not the process default: go-plugin clients sign with P-521, which `ring` can neither offer nor verify,
        // and any crate in the tree could install `ring` as the default.
        let crypto = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ServerConfig::builder_with_provider(Arc::clone(&crypto))
            .with_safe_default_protocol_versions()?
            .with_client_cert_verifier(Arc::new(PinnedClient { pinned, crypto }))
            .with_single_cert(
                vec![certificate.clone()],
                PrivatePkcs8KeyDer::from(key.serialize_der()).into(),
            )?;
        // grpc-go insists on ALPN.
        config.alpn_protocols = vec![b"h2".to_vec()];
        // Terraform connects once; every connection shall prove the key anew.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Ok(Self {
            acceptor: TlsAcceptor::from(Arc::new(config)),
            certificate,
        })
    }
}

/// What a Go client demands of the certificate it pins: the name in the SAN (it ignores the CN), a validity around now,
/// and no key usage that forbids serving.
fn certificate_params(now: OffsetDateTime) -> Result<CertificateParams, rcgen::Error> {
    let mut params = CertificateParams::new(["localhost".to_owned()])?;
    params
        .distinguished_name
        .push(DnType::CommonName, "localhost");
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    // Clocks of containers on one host may differ a little.
    params.not_before = now - Duration::seconds(30);
    // Longer than any run. The key never leaves this process, so it ends with it.
    params.not_after = now + Duration::days(365);
    Ok(params)
}

/// Accepts exactly one certificate, byte for byte.
///
/// webpki cannot do this: go-plugin's client certificate is a CA certificate, which webpki refuses as an end entity.
#[derive(Debug)]
struct PinnedClient {
    pinned: CertificateDer<'static>,
    crypto: Arc<CryptoProvider>,
}

impl ClientCertVerifier for PinnedClient {
    fn client_auth_mandatory(&self) -> bool {
        true
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        if *end_entity == self.pinned {
            Ok(ClientCertVerified::assertion())
        } else {
            Err(Error::InvalidCertificate(
                CertificateError::ApplicationVerificationFailure,
            ))
        }
    }

    // The certificate is public (it is in our environment); only the signature proves that the client has its key.

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(
            message,
            cert,
            dss,
            &self.crypto.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(
            message,
            cert,
            dss,
            &self.crypto.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.crypto
            .signature_verification_algorithms
            .supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_certificate_that_is_none_is_an_error() {
        let cases = [
            ("not PEM", "nonsense"),
            ("cut off", "-----BEGIN CERTIFICATE-----\nAAAA"),
            (
                "another object",
                "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
            ),
        ];
        for (name, pem) in cases {
            let error = AutoMtls::new(pem).err().map(|error| error.to_string());
            assert_eq!(
                error.as_deref(),
                Some("PLUGIN_CLIENT_CERT does not hold a PEM certificate"),
                "{name}"
            );
        }
    }

    #[test]
    fn p521_is_offered() {
        // Without it a Go client sends no certificate at all, instead of failing.
        let verifier = PinnedClient {
            pinned: CertificateDer::from(vec![]),
            crypto: Arc::new(rustls::crypto::aws_lc_rs::default_provider()),
        };
        let schemes = verifier.supported_verify_schemes();
        assert!(
            schemes.contains(&SignatureScheme::ECDSA_NISTP521_SHA512),
            "{schemes:?}"
        );
    }
}
