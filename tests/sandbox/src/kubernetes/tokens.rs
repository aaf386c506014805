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

/// The claims of a token, or `None` if it is none.
pub(crate) fn claims(token: &str) -> Option<Value> {
    let part = token.split('.').nth(1)?;
    let json = URL_SAFE_NO_PAD.decode(part).ok()?;
    serde_json::from_slice(&json).ok()
}
