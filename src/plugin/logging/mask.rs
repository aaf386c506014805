//! Keeps secrets out of the log: by the name of a field, by the form of a credential, and by value.

use std::{
    borrow::Cow,
    sync::{LazyLock, PoisonError, RwLock},
};

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use regex::Regex;

/// What stands in the place of a secret.
pub(super) const MASK: &str = "***";

/// Shorter values are not masked: they are part of too many words, and no credential is that short.
const SHORTEST_SECRET: usize = 4;

/// From this length on a value is masked also inside a longer word.
const LONG_SECRET: usize = 8;

/// Every registered value and its usual spellings, longest first, so that a value is gone before a part of it is sought.
static SECRETS: RwLock<Vec<String>> = RwLock::new(Vec::new());

/// From now on `secret` appears neither in the log nor in panic reports, whatever field or message it is in.
///
/// Register every secret that enters the process: configured keys and tokens, and credentials that AWS hands out. Values of
/// fewer than four bytes are not masked.
pub fn register_secret(secret: &str) {
    if secret.len() < SHORTEST_SECRET {
        return;
    }
    let mut secrets = SECRETS.write().unwrap_or_else(PoisonError::into_inner);
    for spelling in spellings(secret) {
        if !secrets.contains(&spelling) {
            let place = secrets.partition_point(|known| known.len() >= spelling.len());
            secrets.insert(place, spelling);
        }
    }
}

/// `text` with everything masked that is a secret by form or by value.
///
/// Use it for texts of other origin that reach the user, such as the message of an HTTP library.
pub fn mask(text: &str) -> Cow<'_, str> {
    let mut masked = Cow::Borrowed(text);
    {
        let secrets = SECRETS.read().unwrap_or_else(PoisonError::into_inner);
        for secret in secrets.iter() {
            if masked.contains(secret.as_str()) {
                masked = Cow::Owned(without_value(&masked, secret));
            }
        }
    }
    for (form, replacement) in FORMS.iter() {
        if let Cow::Owned(replaced) = form.replace_all(&masked, *replacement) {
            masked = Cow::Owned(replaced);
        }
    }
    masked
}

/// Whether a field of this name holds a secret, judged by the letters alone: `secretKey` is `secret_key`.
pub(super) fn is_secret_name(name: &str) -> bool {
    const PARTS: [&str; 10] = [
        "accesskey",
        "authorization",
        "clientkey",
        "credential",
        "keydata",
        "passphrase",
        "password",
        "privatekey",
        "secret",
        "token",
    ];
    let letters: String = name
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .map(|c| c.to_ascii_lowercase())
        .collect();
    PARTS.iter().any(|part| letters.contains(part))
}

/// The forms in which a value shows up: as it is, in a URL, and in the output of `Debug`.
fn spellings(secret: &str) -> Vec<String> {
    vec![
        secret.to_owned(),
        utf8_percent_encode(secret, NON_ALPHANUMERIC).to_string(),
        secret.escape_debug().to_string(),
    ]
}

/// Replaces `secret`; a short one only where it is a word of its own.
fn without_value(text: &str, secret: &str) -> String {
    if secret.len() >= LONG_SECRET {
        return text.replace(secret, MASK);
    }
    let mut masked = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(secret) {
        let (before, found) = rest.split_at(at);
        let after = &found[secret.len()..];
        let joined = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
        let inside_a_word = joined(before.chars().next_back())
            || before.is_empty() && joined(masked.chars().next_back())
            || joined(after.chars().next());
        masked.push_str(before);
        masked.push_str(if inside_a_word { secret } else { MASK });
        rest = after;
    }
    masked.push_str(rest);
    masked
}

/// Credentials by form, for text that we did not write: headers, signed URLs, tokens, keys, and `name: value` in the output
/// of `Debug` or in JSON, quoted, escaped or wrapped in `Some(…)`.
static FORMS: LazyLock<Vec<(Regex, &'static str)>> = LazyLock::new(|| {
    [
        // Signature Version 4: the header, and the same in a query.
        (r#"AWS4-HMAC-SHA256\s+Credential=[^"\n]*?Signature=[0-9a-fA-F]+"#, "***"),
        (r#"(?i)(x-amz-(?:signature|credential|security-token)(?:=|%3D))[^&\s"'\\]+"#, "${1}***"),
        (r#"(?i)(authorization\\*"?\s*[:=]\s*\\*"?)[^"\\\r\n]+"#, "${1}***"),
        (r"(?i)\b(bearer|basic)\s+[a-z0-9._~+/=-]{4,}", "${1} ***"),
        // Access key ids, STS tokens for EKS, JSON web tokens, PEM keys.
        (r"\b(?:AKIA|ASIA)[A-Z0-9]{12,}\b", "***"),
        (r"k8s-aws-v1\.[A-Za-z0-9_-]+", "***"),
        (r"\beyJ[A-Za-z0-9_-]{6,}\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*", "***"),
        (
            r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----(?s:.*?)(?:-----END [A-Z0-9 ]*PRIVATE KEY-----|\z)",
            "***",
        ),
        (
            concat!(
                r"(?ix)(",
                r"(?: access_?key (?:_?id)? | secret_? (?:access_?)? key | (?: session | security | web_?identity | id | auth )? [_-]? token",
                r"  | password | passphrase | private_?key | client_?key (?:[_-]?data)? | client-key-data )",
                // Name, separator, any wrapper such as Some( or Inner { value:
                r#"  \\*["']? \s* [:=] \s* (?: [a-z_]\w* \s* [({] \s* (?: \w+ : \s* )? ){0,3} )"#,
                r#"  (?: \\* " (?: [^"\\] | \\[^"] )* (?: \\* " )? | [^\s,;&"'(){}\[\]\\]+ )"#,
            ),
            "${1}***",
        ),
    ]
    .into_iter()
    // Constants: the test below compiles all of them.
    .filter_map(|(form, replacement)| Some((Regex::new(form).ok()?, replacement)))
    .collect()
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_is_a_valid_expression() {
        assert_eq!(FORMS.len(), 9);
    }

    #[test]
    fn field_names() {
        for (name, secret) in [
            ("access_key", true),
            ("secretKey", true),
            ("aws.session-token", true),
            ("web_identity_token", true),
            ("Authorization", true),
            ("client_key_data", true),
            ("kubernetes.password", true),
            ("role_arn", false),
            ("tf_rpc", false),
            ("key", false),
            ("cluster_name", false),
        ] {
            assert_eq!(is_secret_name(name), secret, "{name}");
        }
    }

    #[test]
    fn credentials_are_masked_by_form() {
        let cases = [
            (
                "plain",
                "created association a-123",
                "created association a-123",
            ),
            (
                "signed header",
                "authorization: AWS4-HMAC-SHA256 Credential=X/2026/us-east-1/eks/aws4_request, SignedHeaders=a;b, Signature=00ff done",
                "authorization: ***",
            ),
            (
                "signed header in a map",
                r#"{"authorization": "AWS4-HMAC-SHA256 Credential=X, Signature=00ff", "host": "h"}"#,
                r#"{"authorization": "***", "host": "h"}"#,
            ),
            (
                "signed URL",
                "https://sts/?Action=GetCallerIdentity&X-Amz-Credential=C%2F1&X-Amz-Signature=ab12&X-Amz-Date=1",
                "https://sts/?Action=GetCallerIdentity&X-Amz-Credential=***&X-Amz-Signature=***&X-Amz-Date=1",
            ),
            (
                "bearer",
                "sent Bearer abc.def-123 to it",
                "sent Bearer *** to it",
            ),
            (
                "access key",
                "key AKIAIOSFODNN7EXAMPLE used",
                "key *** used",
            ),
            ("EKS token", "got k8s-aws-v1.aHR0cHM6 back", "got *** back"),
            (
                "JSON web token",
                "jwt eyJhbGciOi.eyJzdWIi.c2ln.",
                "jwt ***.",
            ),
            (
                "PEM",
                "a -----BEGIN EC PRIVATE KEY-----\nAAAA\n-----END EC PRIVATE KEY----- b",
                "a *** b",
            ),
            (
                "PEM cut off",
                "a -----BEGIN PRIVATE KEY-----\nAAAA",
                "a ***",
            ),
            (
                "Debug of a struct",
                r#"Config { secret_key: Some("abc\ndef"), token: None, region: "r" }"#,
                r#"Config { secret_key: Some(***), token: ***, region: "r" }"#,
            ),
            (
                "Debug of a wrapper",
                r#"password: Secret { inner: "hunter" }, user: "u""#,
                r#"password: Secret { inner: *** }, user: "u""#,
            ),
            (
                "JSON",
                r#"{"SecretAccessKey":"wJalr/x+y","SessionToken":"t","Expiration":1}"#,
                r#"{"SecretAccessKey":***,"SessionToken":***,"Expiration":1}"#,
            ),
            (
                "JSON in a string",
                r#"body "{\"client-key-data\":\"abc\",\"x\":1}""#,
                r#"body "{\"client-key-data\":***,\"x\":1}""#,
            ),
            ("query", "a?token=abc&b=1", "a?token=***&b=1"),
            (
                "a word that only begins so",
                "tokens are renewed",
                "tokens are renewed",
            ),
        ];
        for (name, text, expected) in cases {
            assert_eq!(mask(text), expected, "{name}");
        }
    }

    #[test]
    fn registered_values_are_masked_everywhere() {
        // Values of this test alone: the registry is shared by all tests of the process.
        register_secret("zq/9+Xw==long");
        register_secret("zq/9+Xw==longer");
        register_secret("zqs7");
        register_secret("zq");
        register_secret("zq line\nbreak");
        let cases = [
            ("as it is", "a zq/9+Xw==long b", "a *** b"),
            ("longest first", "zq/9+Xw==longer", "***"),
            ("inside a word", "xzq/9+Xw==longx", "x***x"),
            ("in a URL", "u?p=zq%2F9%2BXw%3D%3Dlong&", "u?p=***&"),
            ("Debug", r#""zq line\nbreak""#, r#""***""#),
            ("short, a word", "(zqs7)", "(***)"),
            ("short, twice", "zqs7 zqs7", "*** ***"),
            (
                "short, in a word",
                "azqs7 zqs7a zqs7zqs7",
                "azqs7 zqs7a zqs7zqs7",
            ),
            ("too short", "zq", "zq"),
        ];
        for (name, text, expected) in cases {
            assert_eq!(mask(text), expected, "{name}");
        }
    }
}
