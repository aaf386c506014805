//! Service account tokens. They are not signed: the services of the sandbox judge tokens by their claims.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use time::{Duration, OffsetDateTime};

/// What a token says.
#[derive(Clone, Debug)]
pub(crate) struct Subject<'a> {
    pub(crate) issuer: &'a str,
    pub(crate) namespace: &'a str,
    /// The ServiceAccount object.
    pub(crate) account: &'a Value,
    /// The Pod object the token is bound to, if any.
    pub(crate) pod: Option<&'a Value>,
}

/// A token in the form of a JWT.
pub(crate) fn issue(
    subject: &Subject<'_>,
    audiences: &[String],
    seconds: i64,
    now: OffsetDateTime,
) -> String {
    let name = subject.account["metadata"]["name"]
        .as_str()
        .unwrap_or_default();
    let mut kubernetes = json!({
        "namespace": subject.namespace,
        "serviceaccount": {"name": name, "uid": subject.account["metadata"]["uid"]},
    });
    if let Some(pod) = subject.pod {
        kubernetes["pod"] = json!({"name": pod["metadata"]["name"], "uid": pod["metadata"]["uid"]});
        kubernetes["node"] = json!({"name": pod["spec"]["nodeName"]});
    }
    let claims = json!({
        "iss": subject.issuer,
        "sub": format!("system:serviceaccount:{}:{name}", subject.namespace),
        "aud": audiences,
        "iat": now.unix_timestamp(),
        "nbf": now.unix_timestamp(),
        "exp": (now + Duration::seconds(seconds)).unix_timestamp(),
        "kubernetes.io": kubernetes,
    });
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    format!(
        "{}.{}.c2FuZGJveA",
        part(&json!({"alg": "RS256", "kid": "sandbox"})),
        part(&claims)
    )
}

/// Audience of the API server itself.
pub(crate) const API: &str = "https://kubernetes.default.svc";

/// The user that a token for the API server stands for, if this cluster issued it and it has not expired.
pub(crate) fn api_user(token: &str, issuer: &str, now: OffsetDateTime) -> Option<String> {
    let claims = claims(token)?;
    let audiences = claims["aud"].as_array()?;
    let valid = claims["iss"] == issuer
        && audiences.iter().any(|a| a == API)
        && claims["exp"].as_i64()? > now.unix_timestamp();
    claims["sub"].as_str().filter(|_| valid).map(str::to_owned)
}

/// The claims of a token, or `None` if it is none.
pub(crate) fn claims(token: &str) -> Option<Value> {
    let part = token.split('.').nth(1)?;
    let json = URL_SAFE_NO_PAD.decode(part).ok()?;
    serde_json::from_slice(&json).ok()
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn a_token_stands_for_its_service_account() {
        const NOW: OffsetDateTime = datetime!(2026-01-01 00:00 UTC);
        let account = json!({"metadata": {"name": "ci", "uid": "u"}});
        let subject = Subject {
            issuer: "https://issuer",
            namespace: "payments",
            account: &account,
            pod: None,
        };
        let token = issue(&subject, &[API.to_owned()], 60, NOW);
        let later = |seconds| NOW + Duration::seconds(seconds);
        let user = |issuer, seconds| api_user(&token, issuer, later(seconds));
        let expected = "system:serviceaccount:payments:ci";
        assert_eq!(user("https://issuer", 59).as_deref(), Some(expected));
        assert_eq!(user("https://issuer", 60), None, "expired");
        assert_eq!(user("https://other", 0), None, "of another cluster");
        let other = issue(&subject, &["sts.amazonaws.com".to_owned()], 60, NOW);
        assert_eq!(
            api_user(&other, "https://issuer", NOW),
            None,
            "for another audience"
        );
        assert_eq!(api_user("garbage", "https://issuer", NOW), None);
    }
}
