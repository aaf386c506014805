//! Checks of single values that only AWS and Kubernetes have.

use std::time::Duration;

use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;

use crate::aws::http::certificates;
use crate::framework::schema::Validator;
use crate::framework::timeouts::parse_duration;
use crate::framework::validators::string;
use crate::policy::arn::{PolicyArn, RoleArn};
use crate::policy::name::{Wildcards, check_account_id, check_cluster_name};

/// Shortest and longest session that STS gives (API reference, AssumeRole).
const SESSION: (Duration, Duration) = (
    Duration::from_secs(15 * 60),
    Duration::from_secs(12 * 60 * 60),
);

/// ARN of an IAM role.
pub(super) fn role_arn() -> impl Validator + 'static {
    string("the ARN of an IAM role", |text| {
        RoleArn::parse(text)
            .map(drop)
            .map_err(|error| error.to_string())
    })
}

/// ARN of a managed policy.
pub(super) fn policy_arn() -> impl Validator + 'static {
    string("the ARN of a managed policy", |text| {
        PolicyArn::parse(text)
            .map(drop)
            .map_err(|error| error.to_string())
    })
}

/// A 12-digit account id.
pub(super) fn account_id() -> impl Validator + 'static {
    string("an AWS account id of 12 digits", |text| {
        check_account_id(text).map_err(|error| error.to_string())
    })
}

/// An EKS cluster's name.
pub(super) fn cluster_name() -> impl Validator + 'static {
    string("the name of an EKS cluster", |text| {
        check_cluster_name(text, Wildcards::Refused).map_err(|error| error.to_string())
    })
}

/// A key that does not begin with `aws:`, which AWS keeps for itself.
pub(super) fn not_reserved() -> impl Validator + 'static {
    string("not in AWS's own namespace", |text| {
        if text.to_ascii_lowercase().starts_with("aws:") {
            Err("it begins with \"aws:\", which AWS keeps for itself".to_owned())
        } else {
            Ok(())
        }
    })
}

/// Life of a session.
pub(super) fn session_duration() -> impl Validator + 'static {
    string("a duration from 15m to 12h", |text| {
        let duration = parse_duration(text).map_err(|error| error.to_string())?;
        if (SESSION.0..=SESSION.1).contains(&duration) {
            Ok(())
        } else {
            Err("STS gives sessions of 15m to 12h".to_owned())
        }
    })
}

/// An `http` or `https` URL of a server.
pub(super) fn url() -> impl Validator + 'static {
    string("an http or https URL", check_url)
}

/// As [`url`], but the scheme may be left out, for `https`.
pub(super) fn server() -> impl Validator + 'static {
    string("an http or https URL, or a host", |text| {
        if text.contains("://") {
            check_url(text)
        } else {
            check_url(&format!("https://{text}"))
        }
    })
}

/// See [`url`]; the error says what is wrong.
pub(super) fn check_url(text: &str) -> Result<(), String> {
    let uri: http::Uri = text
        .parse()
        .map_err(|error| format!("it is not a URL: {error}"))?;
    match uri.scheme_str() {
        Some("http" | "https") => {}
        _ => return Err("it does not begin with http:// or https://".to_owned()),
    }
    if uri.host().is_none_or(str::is_empty) {
        return Err("it names no host".to_owned());
    }
    if uri.query().is_some() {
        return Err("it has a query, which an endpoint cannot have".to_owned());
    }
    if uri
        .authority()
        .is_some_and(|authority| authority.as_str().contains('@'))
    {
        return Err("it holds a user name or password".to_owned());
    }
    Ok(())
}

/// The URL of a proxy; `host:port` alone is taken for `http`. User name and password are allowed, and not repeated.
pub(super) fn proxy_url() -> impl Validator + 'static {
    string("the URL of an HTTP proxy", check_proxy)
}

/// As [`proxy_url`], or the URL of a SOCKS 5 proxy.
pub(super) fn any_proxy_url() -> impl Validator + 'static {
    string("the URL of an HTTP or SOCKS 5 proxy", |text| {
        match text
            .strip_prefix("socks5://")
            .or_else(|| text.strip_prefix("socks5h://"))
        {
            Some(rest) => check_proxy(&format!("http://{rest}")),
            None => check_proxy(text)
                .map_err(|error| error.replace(" or https://", ", https:// or socks5://")),
        }
    })
}

/// See [`proxy_url`]; the error says what is wrong.
pub(super) fn check_proxy(text: &str) -> Result<(), String> {
    let with_scheme = proxy_with_scheme(text);
    let uri: http::Uri = with_scheme
        .parse()
        .map_err(|_| "it is not a URL".to_owned())?;
    match uri.scheme_str() {
        Some("http" | "https") => {}
        _ => return Err("it does not begin with http:// or https://".to_owned()),
    }
    if uri.host().is_none_or(str::is_empty) {
        return Err("it names no host".to_owned());
    }
    Ok(())
}

/// A proxy as users write it in `HTTPS_PROXY`, with the scheme they leave out.
pub(super) fn proxy_with_scheme(text: &str) -> String {
    if text.contains("://") {
        text.to_owned()
    } else {
        format!("http://{text}")
    }
}

/// A path to a file. Whether it exists is checked when the provider is configured: `terraform validate` may run where
/// the file is not.
pub(super) fn file_path() -> impl Validator + 'static {
    string("the path of a file", |text| {
        if text.trim().is_empty() {
            Err("it is empty".to_owned())
        } else if text.contains('\0') {
            Err("it holds a NUL character".to_owned())
        } else {
            Ok(())
        }
    })
}

/// PEM certificates.
pub(super) fn pem_certificates() -> impl Validator + 'static {
    string("PEM certificates", |text| {
        certificates(text.as_bytes())
            .map(drop)
            .map_err(|fault| format!("it {fault}"))
    })
}

/// A PEM private key. The error never shows any of it.
pub(super) fn pem_private_key() -> impl Validator + 'static {
    string("a PEM private key", |text| {
        PrivateKeyDer::from_pem_slice(text.as_bytes())
            .map(drop)
            .map_err(|_| "it holds no PEM private key".to_owned())
    })
}
