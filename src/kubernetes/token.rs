//! Bearer tokens for EKS: a presigned `sts:GetCallerIdentity` that only the named cluster accepts.
//!
//! The form is that of aws-iam-authenticator: `k8s-aws-v1.` and the URL in unpadded URL-safe base64. The URL is signed
//! with the header `x-k8s-aws-id`, and EKS takes it for 15 minutes, whatever shorter life the URL itself names.

use std::fmt;
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{
    SignableBody, SignableRequest, SignatureLocation, SigningSettings, sign,
};
use aws_sigv4::sign::v4;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use thiserror::Error;

use crate::plugin::logging::register_secret;

/// Life of the presigned URL in seconds.
const URL_LIFE: Duration = Duration::from_secs(60);
/// How long EKS accepts a token after it was signed, less a minute for clocks that differ.
const TOKEN_LIFE: Duration = Duration::from_secs(14 * 60);
const PREFIX: &str = "k8s-aws-v1.";
const CLUSTER_HEADER: &str = "x-k8s-aws-id";

/// A bearer token for one cluster. `Debug` does not show it.
#[derive(Clone, Eq, PartialEq)]
pub struct EksToken {
    /// The value after `Bearer `.
    pub token: String,
    /// When to sign a new one.
    pub expires_at: SystemTime,
}

impl fmt::Debug for EksToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EksToken")
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

/// A token cannot be signed.
#[derive(Debug, Error)]
pub enum TokenError {
    /// The STS endpoint is not a URL.
    #[error("the STS endpoint is not a URL")]
    Endpoint(#[source] http::uri::InvalidUri),
    /// Signing failed.
    #[error("the token cannot be signed")]
    Signing(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Signs a token for `cluster`.
///
/// `sts_endpoint` is the URL of STS in `region`: EKS accepts regional endpoints of its own partition. `now` is injected
/// for tests.
///
/// # Errors
/// When the endpoint is not a URL or the signer refuses its input.
pub fn sign_token(
    credentials: &Credentials,
    region: &str,
    sts_endpoint: &str,
    cluster: &str,
    now: SystemTime,
) -> Result<EksToken, TokenError> {
    let base: http::Uri = sts_endpoint.parse().map_err(TokenError::Endpoint)?;
    let authority = base.authority().map_or("", |authority| authority.as_str());
    let scheme = base.scheme_str().unwrap_or("https");
    let url = format!("{scheme}://{authority}/?Action=GetCallerIdentity&Version=2011-06-15");

    let mut settings = SigningSettings::default();
    settings.signature_location = SignatureLocation::QueryParams;
    settings.expires_in = Some(URL_LIFE);
    let identity = credentials.clone().into();
    let parameters = v4::SigningParams::builder()
        .identity(&identity)
        .region(region)
        .name("sts")
        .time(now)
        .settings(settings)
        .build()
        .map_err(|error| TokenError::Signing(Box::new(error)))?
        .into();
    let request = SignableRequest::new(
        "GET",
        url.as_str(),
        [(CLUSTER_HEADER, cluster)].into_iter(),
        SignableBody::Bytes(&[]),
    )
    .map_err(|error| TokenError::Signing(Box::new(error)))?;
    let (instructions, _) = sign(request, &parameters)
        .map_err(|error| TokenError::Signing(Box::new(error)))?
        .into_parts();
    let mut signed = http::Request::builder()
        .method("GET")
        .uri(url)
        .header(CLUSTER_HEADER, cluster)
        .body(())
        .map_err(|error| TokenError::Signing(Box::new(error)))?;
    instructions.apply_to_request_http1x(&mut signed);

    let token = format!(
        "{PREFIX}{}",
        URL_SAFE_NO_PAD.encode(signed.uri().to_string())
    );
    register_secret(&token);
    Ok(EksToken {
        token,
        expires_at: now + TOKEN_LIFE,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(token: &EksToken) -> String {
        let encoded = token.token.strip_prefix(PREFIX).unwrap();
        String::from_utf8(URL_SAFE_NO_PAD.decode(encoded).unwrap()).unwrap()
    }

    fn sign_at(seconds: u64, token: Option<&str>, cluster: &str) -> EksToken {
        let credentials = Credentials::new(
            "AKIDEXAMPLE",
            "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
            token.map(ToOwned::to_owned),
            None,
            "test",
        );
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        sign_token(
            &credentials,
            "eu-west-1",
            "https://sts.eu-west-1.amazonaws.com",
            cluster,
            now,
        )
        .unwrap()
    }

    #[test]
    fn the_url_is_what_eks_expects() {
        let token = sign_at(1_440_938_160, None, "demo");
        let url = url(&token);
        let (base, query) = url.split_once('?').unwrap();
        assert_eq!(base, "https://sts.eu-west-1.amazonaws.com/");
        for part in [
            "Action=GetCallerIdentity",
            "Version=2011-06-15",
            "X-Amz-Algorithm=AWS4-HMAC-SHA256",
            "X-Amz-Credential=AKIDEXAMPLE%2F20150830%2Feu-west-1%2Fsts%2Faws4_request",
            "X-Amz-Date=20150830T123600Z",
            "X-Amz-Expires=60",
            "X-Amz-SignedHeaders=host%3Bx-k8s-aws-id",
        ] {
            assert!(
                query.split('&').any(|found| found == part),
                "{part} in {query}"
            );
        }
        assert!(query.contains("X-Amz-Signature="));
        assert_eq!(
            token.expires_at,
            SystemTime::UNIX_EPOCH + Duration::from_secs(1_440_938_160 + 14 * 60)
        );
        assert!(!token.token.contains('='), "padding breaks the webhook");
    }

    #[test]
    fn the_signature_covers_cluster_and_session() {
        let signature = |token: &EksToken| {
            let url = url(token);
            url.split("X-Amz-Signature=")
                .nth(1)
                .unwrap()
                .split('&')
                .next()
                .unwrap()
                .to_owned()
        };
        let plain = signature(&sign_at(1, None, "demo"));
        assert_eq!(plain, signature(&sign_at(1, None, "demo")));
        assert_ne!(plain, signature(&sign_at(1, None, "other")));
        assert_ne!(plain, signature(&sign_at(2, None, "demo")));
        let session = sign_at(1, Some("TOKEN/+"), "demo");
        assert!(url(&session).contains("X-Amz-Security-Token=TOKEN%2F%2B"));
        assert!(!format!("{session:?}").contains("k8s-aws-v1"));
    }

    /// The presigned request works as a request: STS answers it, as EKS does when it checks the token.
    #[test]
    fn sts_accepts_the_signature() {
        use std::io::{Read as _, Write as _};

        let sandbox =
            podidentity_sandbox::Sandbox::start(podidentity_sandbox::Options::default()).unwrap();
        let credentials = Credentials::new("test", "test", None, None, "test");
        let ask = |header: &str| {
            let token = sign_token(
                &credentials,
                "us-east-1",
                sandbox.aws_endpoint(),
                "demo",
                SystemTime::now(),
            )
            .unwrap();
            let url: http::Uri = url(&token).parse().unwrap();
            let authority = url.authority().unwrap().as_str();
            let mut stream = std::net::TcpStream::connect(authority).unwrap();
            write!(
                stream,
                "GET {} HTTP/1.1\r\nhost: {authority}\r\nx-k8s-aws-id: {header}\r\nconnection: close\r\n\r\n",
                url.path_and_query().unwrap()
            )
            .unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).unwrap();
            answer
        };
        let answer = ask("demo");
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        assert!(
            answer.contains("<Account>123456789012</Account>"),
            "{answer}"
        );
        let other = ask("other");
        assert!(
            other.starts_with("HTTP/1.1 403"),
            "a token for one cluster is none for another: {other}"
        );
    }
}
