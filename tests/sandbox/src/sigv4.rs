//! Verification of AWS Signature Version 4, in the `Authorization` header or in a presigned query.
//!
//! Source of the rules: "AWS Signature Version 4 for API requests" in the AWS IAM user guide. No service here is S3, so paths are
//! encoded twice and the payload is always part of the signature.

use hmac::{Hmac, KeyInit, Mac};
use http::HeaderMap;
use sha2::{Digest, Sha256};
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;
use time::{Duration, OffsetDateTime, PrimitiveDateTime};

use crate::encoding::{encode_component, encode_path, query_pairs};

const ALGORITHM: &str = "AWS4-HMAC-SHA256";
const AMZ_DATE: &[BorrowedFormatItem<'_>] =
    format_description!("[year][month][day]T[hour][minute][second]Z");
/// How far the clock of a client may be off, in either direction.
const SKEW: Duration = Duration::minutes(5);
/// How long a presigned request to STS is good.
const STS_LIFETIME: Duration = Duration::minutes(15);
/// Headers that must be signed when they are sent.
const MUST_BE_SIGNED: [&str; 5] = [
    "host",
    "x-amz-date",
    "x-amz-security-token",
    "x-amz-content-sha256",
    "x-amz-target",
];

/// The parts of a request that a signature covers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Signable<'a> {
    pub(crate) method: &'a str,
    /// As sent, still encoded.
    pub(crate) path: &'a str,
    /// As sent, still encoded, without the question mark.
    pub(crate) query: &'a str,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) body: &'a [u8],
}

/// A known access key.
#[derive(Clone, Debug)]
pub(crate) struct AccessKey {
    pub(crate) secret: String,
    /// Temporary keys only.
    pub(crate) session_token: Option<String>,
    pub(crate) expires: Option<OffsetDateTime>,
    pub(crate) account_id: String,
    pub(crate) caller_arn: String,
    pub(crate) user_id: String,
}

/// The scope a signature names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Scope {
    pub(crate) access_key_id: String,
    pub(crate) date: String,
    pub(crate) region: String,
    pub(crate) service: String,
}

/// Why a request is not accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// Neither form of signature is present.
    Missing,
    /// A signature is present and malformed.
    Incomplete(String),
    /// The access key or its session token is unknown.
    UnknownKey,
    /// The session of a temporary key is over.
    Expired,
    /// The signature is wrong, too old or too new.
    Mismatch(String),
}

struct Signature {
    scope: Scope,
    signed_headers: Vec<String>,
    signature: String,
    timestamp: String,
    /// Presigned requests only.
    expires: Option<Duration>,
    session_token: Option<String>,
    presigned: bool,
}

/// The scope of whichever form of signature the request carries, unverified.
pub(crate) fn scope(request: &Signable<'_>) -> Option<Scope> {
    read(request).ok().map(|signature| signature.scope)
}

/// Verifies the signature of `request` at `now` with the key that `key` finds.
pub(crate) fn verify<'k>(
    request: &Signable<'_>,
    now: OffsetDateTime,
    key: impl Fn(&str) -> Option<&'k AccessKey>,
) -> Result<(Scope, &'k AccessKey), Refusal> {
    let signature = read(request)?;
    let signed = |name: &str| signature.signed_headers.iter().any(|h| h == name);
    for name in MUST_BE_SIGNED {
        if (name == "host" || request.headers.contains_key(name)) && !signed(name) {
            return Err(Refusal::Incomplete(format!(
                "'{name}' must be a 'SignedHeader' in the AWS Authorization."
            )));
        }
    }
    check_time(&signature, now)?;
    let Some(key) = key(&signature.scope.access_key_id) else {
        return Err(Refusal::UnknownKey);
    };
    if key.session_token != signature.session_token {
        return Err(Refusal::UnknownKey);
    }
    if key.expires.is_some_and(|expires| expires <= now) {
        return Err(Refusal::Expired);
    }
    let payload = hex::encode(Sha256::digest(request.body));
    if let Some(declared) = request.headers.get("x-amz-content-sha256")
        && declared.as_bytes() != payload.as_bytes()
    {
        return Err(mismatch());
    }
    let canonical = canonical_request(request, &signature, &payload)?;
    let to_sign = format!(
        "{ALGORITHM}\n{}\n{}/{}/{}/aws4_request\n{}",
        signature.timestamp,
        signature.scope.date,
        signature.scope.region,
        signature.scope.service,
        hex::encode(Sha256::digest(canonical.as_bytes()))
    );
    let mac = signing_mac(&key.secret, &signature.scope).chain_update(to_sign.as_bytes());
    // verify_slice compares in constant time.
    let given = hex::decode(&signature.signature).map_err(|_| mismatch())?;
    mac.verify_slice(&given).map_err(|_| mismatch())?;
    Ok((signature.scope, key))
}

fn mismatch() -> Refusal {
    Refusal::Mismatch(
        "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. Consult the service documentation for details."
            .into(),
    )
}

fn hmac(key: &[u8]) -> Hmac<Sha256> {
    Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes a key of any length")
}

fn signing_mac(secret: &str, scope: &Scope) -> Hmac<Sha256> {
    let mut key = hmac(format!("AWS4{secret}").as_bytes())
        .chain_update(&scope.date)
        .finalize()
        .into_bytes();
    for part in [
        scope.region.as_str(),
        scope.service.as_str(),
        "aws4_request",
    ] {
        key = hmac(&key).chain_update(part).finalize().into_bytes();
    }
    hmac(&key)
}

fn read(request: &Signable<'_>) -> Result<Signature, Refusal> {
    if let Some(value) = request.headers.get(http::header::AUTHORIZATION) {
        let value = value
            .to_str()
            .map_err(|_| Refusal::Incomplete("Authorization header is not text.".into()))?;
        return read_header(request, value);
    }
    let pairs = query_pairs(request.query);
    if pairs
        .iter()
        .any(|(k, _)| k == "X-Amz-Algorithm" || k == "X-Amz-Signature")
    {
        read_query(&pairs)
    } else {
        Err(Refusal::Missing)
    }
}

fn read_header(request: &Signable<'_>, value: &str) -> Result<Signature, Refusal> {
    let Some(rest) = value.strip_prefix(ALGORITHM) else {
        return Err(Refusal::Incomplete(format!(
            "Unsupported AWS 'algorithm': '{}'.",
            value.split(' ').next().unwrap_or_default()
        )));
    };
    let mut fields = rest
        .split(',')
        .filter_map(|field| field.trim().split_once('='));
    let (mut credential, mut headers, mut signature) = (None, None, None);
    for (name, value) in fields.by_ref() {
        match name {
            "Credential" => credential = Some(value),
            "SignedHeaders" => headers = Some(value),
            "Signature" => signature = Some(value),
            _ => {}
        }
    }
    let timestamp = request
        .headers
        .get("x-amz-date")
        .and_then(|v| v.to_str().ok());
    let missing: Vec<String> = [
        ("Credential", credential),
        ("Signature", signature),
        ("SignedHeaders", headers),
    ]
    .iter()
    .filter(|(_, value)| value.is_none())
    .map(|(name, _)| format!("Authorization header requires '{name}' parameter."))
    .chain(timestamp.is_none().then(|| {
        "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header."
            .into()
    }))
    .collect();
    let (Some(credential), Some(headers), Some(signature), Some(timestamp)) =
        (credential, headers, signature, timestamp)
    else {
        return Err(Refusal::Incomplete(format!(
            "{} Authorization={ALGORITHM}",
            missing.join(" ")
        )));
    };
    Ok(Signature {
        scope: parse_scope(credential)?,
        signed_headers: headers.split(';').map(str::to_owned).collect(),
        signature: signature.to_owned(),
        timestamp: timestamp.to_owned(),
        expires: None,
        session_token: request
            .headers
            .get("x-amz-security-token")
            .and_then(|v| v.to_str().ok())
            .map(str::to_owned),
        presigned: false,
    })
}

fn read_query(pairs: &[(String, String)]) -> Result<Signature, Refusal> {
    let find = |name: &str| {
        pairs
            .iter()
            .find(|(k, _)| k == name)
            .map(|(_, v)| v.as_str())
    };
    let need = |name: &str| {
        find(name).ok_or_else(|| {
            Refusal::Incomplete(format!(
                "AWS query-string parameters must include '{name}'."
            ))
        })
    };
    if need("X-Amz-Algorithm")? != ALGORITHM {
        return Err(Refusal::Incomplete("Unsupported 'X-Amz-Algorithm'.".into()));
    }
    let expires = match find("X-Amz-Expires") {
        None => None,
        Some(text) => match text.parse::<i64>() {
            Ok(seconds @ 1..=604_800) => Some(Duration::seconds(seconds)),
            _ => {
                return Err(Refusal::Incomplete(
                    "'X-Amz-Expires' must be between 1 and 604800 seconds.".into(),
                ));
            }
        },
    };
    Ok(Signature {
        scope: parse_scope(need("X-Amz-Credential")?)?,
        signed_headers: need("X-Amz-SignedHeaders")?
            .split(';')
            .map(str::to_owned)
            .collect(),
        signature: need("X-Amz-Signature")?.to_owned(),
        timestamp: need("X-Amz-Date")?.to_owned(),
        expires,
        session_token: find("X-Amz-Security-Token").map(str::to_owned),
        presigned: true,
    })
}

fn parse_scope(credential: &str) -> Result<Scope, Refusal> {
    let parts: Vec<&str> = credential.split('/').collect();
    let [access_key_id, date, region, service, "aws4_request"] = parts[..] else {
        return Err(Refusal::Incomplete(format!(
            "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, got '{credential}'."
        )));
    };
    Ok(Scope {
        access_key_id: access_key_id.into(),
        date: date.into(),
        region: region.into(),
        service: service.into(),
    })
}

fn check_time(signature: &Signature, now: OffsetDateTime) -> Result<(), Refusal> {
    let given = &signature.timestamp;
    let Ok(time) = PrimitiveDateTime::parse(given, AMZ_DATE).map(PrimitiveDateTime::assume_utc)
    else {
        return Err(Refusal::Incomplete(format!(
            "Date must be in ISO-8601 'basic format'. Got '{given}'. See http://en.wikipedia.org/wiki/ISO_8601"
        )));
    };
    if !given.starts_with(&signature.scope.date) {
        return Err(Refusal::Mismatch(format!(
            "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '{}' != '{}', from '{given}'.",
            signature.scope.date,
            &given[..8]
        )));
    }
    let text = |t: OffsetDateTime| t.format(AMZ_DATE).unwrap_or_default();
    // STS gives a presigned request fifteen minutes whatever it asks for; tokens for Kubernetes rely on that.
    let lifetime = if signature.presigned && signature.scope.service == "sts" {
        STS_LIFETIME
    } else {
        signature.expires.unwrap_or(SKEW)
    };
    if time + lifetime < now {
        return Err(Refusal::Mismatch(format!(
            "Signature expired: {given} is now earlier than {} ({} - {} min.)",
            text(now - lifetime),
            text(now),
            lifetime.whole_minutes()
        )));
    }
    if time > now + SKEW {
        return Err(Refusal::Mismatch(format!(
            "Signature not yet current: {given} is still later than {} ({} + {} min.)",
            text(now + SKEW),
            text(now),
            SKEW.whole_minutes()
        )));
    }
    Ok(())
}

fn canonical_request(
    request: &Signable<'_>,
    signature: &Signature,
    payload: &str,
) -> Result<String, Refusal> {
    let mut pairs: Vec<(String, String)> = query_pairs(request.query)
        .into_iter()
        .filter(|(k, _)| !(signature.presigned && k == "X-Amz-Signature"))
        .map(|(k, v)| (encode_component(&k), encode_component(&v)))
        .collect();
    pairs.sort();
    let query = pairs
        .iter()
        .map(|(k, v)| format!("{k}={v}"))
        .collect::<Vec<_>>()
        .join("&");
    let mut sorted = signature.signed_headers.clone();
    sorted.sort();
    if sorted != signature.signed_headers {
        return Err(Refusal::Incomplete("SignedHeaders must be sorted.".into()));
    }
    let mut headers = String::new();
    for name in &sorted {
        let values: Vec<String> = request
            .headers
            .get_all(name.as_str())
            .iter()
            .map(|v| {
                String::from_utf8_lossy(v.as_bytes())
                    .split_whitespace()
                    .collect::<Vec<_>>()
                    .join(" ")
            })
            .collect();
        if values.is_empty() {
            return Err(mismatch());
        }
        headers.push_str(&format!("{name}:{}\n", values.join(",")));
    }
    Ok(format!(
        "{}\n{}\n{query}\n{headers}\n{}\n{payload}",
        request.method,
        encode_path(&normalize(request.path)),
        sorted.join(";")
    ))
}

/// Removes empty, `.` and `..` segments, keeping a trailing slash.
fn normalize(path: &str) -> String {
    let mut segments: Vec<&str> = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => {
                segments.pop();
            }
            segment => segments.push(segment),
        }
    }
    let mut out = format!("/{}", segments.join("/"));
    if path.ends_with('/') && out.len() > 1 {
        out.push('/');
    }
    out
}

/// Signs as a client would; only tests of this crate need it.
#[cfg(test)]
pub(crate) mod client {
    use super::*;

    pub(crate) fn sign(
        headers: &mut HeaderMap,
        [method, path, query]: [&str; 3],
        body: &[u8],
        scope: &Scope,
        secret: &str,
        time: OffsetDateTime,
    ) {
        let timestamp = time.format(AMZ_DATE).unwrap();
        headers.insert("x-amz-date", timestamp.parse().unwrap());
        let mut names: Vec<String> = headers.keys().map(|k| k.as_str().to_owned()).collect();
        names.sort();
        let signature = Signature {
            scope: scope.clone(),
            signed_headers: names,
            signature: String::new(),
            timestamp,
            expires: None,
            session_token: None,
            presigned: false,
        };
        let value = finish(
            &Signable {
                method,
                path,
                query,
                headers,
                body,
            },
            &signature,
            secret,
        );
        headers.insert(
            "authorization",
            format!(
                "{ALGORITHM} Credential={}/{}/{}/{}/aws4_request, SignedHeaders={}, Signature={value}",
                scope.access_key_id,
                scope.date,
                scope.region,
                scope.service,
                signature.signed_headers.join(";")
            )
            .parse()
            .unwrap(),
        );
    }

    /// The presigned query of a GET of `path`.
    pub(crate) fn presign(
        headers: &HeaderMap,
        path: &str,
        query: &str,
        scope: &Scope,
        secret: &str,
        time: OffsetDateTime,
        expires: u32,
    ) -> String {
        let timestamp = time.format(AMZ_DATE).unwrap();
        let mut names: Vec<String> = headers.keys().map(|k| k.as_str().to_owned()).collect();
        names.sort();
        let query = format!(
            "{query}&X-Amz-Algorithm={ALGORITHM}&X-Amz-Credential={}&X-Amz-Date={timestamp}&X-Amz-Expires={expires}&X-Amz-SignedHeaders={}",
            encode_component(&format!(
                "{}/{}/{}/{}/aws4_request",
                scope.access_key_id, scope.date, scope.region, scope.service
            )),
            encode_component(&names.join(";"))
        );
        let signature = Signature {
            scope: scope.clone(),
            signed_headers: names,
            signature: String::new(),
            timestamp,
            expires: None,
            session_token: None,
            presigned: true,
        };
        let value = finish(
            &Signable {
                method: "GET",
                path,
                query: &query,
                headers,
                body: b"",
            },
            &signature,
            secret,
        );
        format!("{query}&X-Amz-Signature={value}")
    }

    fn finish(request: &Signable<'_>, signature: &Signature, secret: &str) -> String {
        let canonical = canonical_request(
            request,
            signature,
            &hex::encode(Sha256::digest(request.body)),
        )
        .unwrap();
        let s = &signature.scope;
        let to_sign = format!(
            "{ALGORITHM}\n{}\n{}/{}/{}/aws4_request\n{}",
            signature.timestamp,
            s.date,
            s.region,
            s.service,
            hex::encode(Sha256::digest(canonical.as_bytes()))
        );
        hex::encode(
            signing_mac(secret, s)
                .chain_update(to_sign.as_bytes())
                .finalize()
                .into_bytes(),
        )
    }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    const NOW: OffsetDateTime = datetime!(2015-08-30 12:36:00 UTC);

    fn key() -> AccessKey {
        AccessKey {
            secret: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY".into(),
            session_token: None,
            expires: None,
            account_id: "123456789012".into(),
            caller_arn: String::new(),
            user_id: String::new(),
        }
    }

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(k, v)| (http::HeaderName::from_static(k), v.parse().unwrap()))
            .collect()
    }

    /// The worked example of the IAM user guide: a GET of ListUsers on 2015-08-30.
    #[test]
    fn the_published_example_verifies() {
        let key = key();
        let headers = headers(&[
            (
                "content-type",
                "application/x-www-form-urlencoded; charset=utf-8",
            ),
            ("host", "iam.amazonaws.com"),
            ("x-amz-date", "20150830T123600Z"),
            (
                "authorization",
                "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/iam/aws4_request, SignedHeaders=content-type;host;x-amz-date, Signature=5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7",
            ),
        ]);
        let request = Signable {
            method: "GET",
            path: "/",
            query: "Action=ListUsers&Version=2010-05-08",
            headers: &headers,
            body: b"",
        };
        let (scope, _) = verify(&request, NOW, |id| (id == "AKIDEXAMPLE").then_some(&key)).unwrap();
        assert_eq!(scope.service, "iam");
    }

    #[test]
    fn each_part_is_protected() {
        let key = key();
        let scope = Scope {
            access_key_id: "AKIDEXAMPLE".into(),
            date: "20150830".into(),
            region: "us-east-1".into(),
            service: "eks".into(),
        };
        let mut good = headers(&[("host", "localhost:1")]);
        client::sign(
            &mut good,
            ["POST", "/tags/arn%3Aaws", "b=2&a=1"],
            b"{}",
            &scope,
            &key.secret,
            NOW,
        );
        let check = |method: &str,
                     path: &str,
                     query: &str,
                     headers: &HeaderMap,
                     body: &[u8],
                     now: OffsetDateTime| {
            verify(
                &Signable {
                    method,
                    path,
                    query,
                    headers,
                    body,
                },
                now,
                |id| (id == "AKIDEXAMPLE").then_some(&key),
            )
            .map(|_| ())
        };
        let path = "/tags/arn%3Aaws";
        assert_eq!(
            check("POST", path, "a=1&b=2", &good, b"{}", NOW),
            Ok(()),
            "the order of the query does not count"
        );
        let mut other_host = good.clone();
        other_host.insert("host", "localhost:2".parse().unwrap());
        let mut unsigned_token = good.clone();
        unsigned_token.insert("x-amz-security-token", "x".parse().unwrap());
        let mut other_key = good.clone();
        other_key.insert(
            "authorization",
            good["authorization"]
                .to_str()
                .unwrap()
                .replace("AKIDEXAMPLE", "AKIDOTHER")
                .parse()
                .unwrap(),
        );
        let mut no_signature = good.clone();
        no_signature.insert(
            "authorization",
            "AWS4-HMAC-SHA256 Credential=a/b/c/d/aws4_request"
                .parse()
                .unwrap(),
        );
        let mut wrong_digest = good.clone();
        wrong_digest.insert("x-amz-content-sha256", "00".parse().unwrap());
        let mut anonymous = good.clone();
        anonymous.remove("authorization");
        let cases: [(&str, Result<(), Refusal>, &str); 11] = [
            (
                "method",
                check("PUT", path, "a=1&b=2", &good, b"{}", NOW),
                "Mismatch",
            ),
            (
                "path",
                check("POST", "/tags/arn%3Aawz", "a=1&b=2", &good, b"{}", NOW),
                "Mismatch",
            ),
            (
                "query",
                check("POST", path, "a=1&b=3", &good, b"{}", NOW),
                "Mismatch",
            ),
            (
                "header",
                check("POST", path, "a=1&b=2", &other_host, b"{}", NOW),
                "Mismatch",
            ),
            (
                "body",
                check("POST", path, "a=1&b=2", &good, b"{ }", NOW),
                "Mismatch",
            ),
            (
                "too old",
                check(
                    "POST",
                    path,
                    "a=1&b=2",
                    &good,
                    b"{}",
                    NOW + Duration::minutes(6),
                ),
                "Signature expired",
            ),
            (
                "too new",
                check(
                    "POST",
                    path,
                    "a=1&b=2",
                    &good,
                    b"{}",
                    NOW - Duration::minutes(6),
                ),
                "Signature not yet current",
            ),
            (
                "unsigned token",
                check("POST", path, "a=1&b=2", &unsigned_token, b"{}", NOW),
                "Incomplete",
            ),
            (
                "unknown key",
                check("POST", path, "a=1&b=2", &other_key, b"{}", NOW),
                "UnknownKey",
            ),
            (
                "no signature",
                check("POST", path, "a=1&b=2", &no_signature, b"{}", NOW),
                "requires 'Signature' parameter",
            ),
            (
                "anonymous",
                check("POST", path, "a=1&b=2", &anonymous, b"{}", NOW),
                "Missing",
            ),
        ];
        for (name, result, expected) in cases {
            assert!(
                format!("{:?}", result.as_ref().unwrap_err()).contains(expected),
                "{name}: {result:?}"
            );
        }
        assert!(
            check("POST", path, "a=1&b=2", &wrong_digest, b"{}", NOW).is_err(),
            "wrong digest"
        );
    }

    #[test]
    fn a_presigned_query_verifies_until_it_expires() {
        let key = key();
        let scope = Scope {
            access_key_id: "AKIDEXAMPLE".into(),
            date: "20150830".into(),
            region: "us-east-1".into(),
            service: "sts".into(),
        };
        let mut headers = headers(&[
            ("host", "sts.us-east-1.amazonaws.com"),
            ("x-k8s-aws-id", "demo"),
        ]);
        let query = client::presign(
            &headers,
            "/",
            "Action=GetCallerIdentity&Version=2011-06-15",
            &scope,
            &key.secret,
            NOW,
            60,
        );
        let check = |headers: &HeaderMap, now| {
            verify(
                &Signable {
                    method: "GET",
                    path: "/",
                    query: &query,
                    headers,
                    body: b"",
                },
                now,
                |_| Some(&key),
            )
            .map(|_| ())
        };
        assert_eq!(check(&headers, NOW + Duration::seconds(899)), Ok(()));
        assert!(
            matches!(check(&headers, NOW + Duration::seconds(901)), Err(Refusal::Mismatch(m)) if m.starts_with("Signature expired"))
        );
        headers.insert("x-k8s-aws-id", "other".parse().unwrap());
        assert_eq!(check(&headers, NOW), Err(mismatch()));
    }

    #[test]
    fn temporary_keys_need_their_token_and_end() {
        let key = AccessKey {
            session_token: Some("T".into()),
            expires: Some(NOW + Duration::seconds(10)),
            ..key()
        };
        let scope = Scope {
            access_key_id: "ASIAEXAMPLE".into(),
            date: "20150830".into(),
            region: "us-east-1".into(),
            service: "eks".into(),
        };
        let run = |token: Option<&str>, now: OffsetDateTime| {
            let mut headers = headers(&[("host", "h")]);
            if let Some(token) = token {
                headers.insert("x-amz-security-token", token.parse().unwrap());
            }
            client::sign(
                &mut headers,
                ["GET", "/clusters", ""],
                b"",
                &scope,
                &key.secret,
                NOW,
            );
            verify(
                &Signable {
                    method: "GET",
                    path: "/clusters",
                    query: "",
                    headers: &headers,
                    body: b"",
                },
                now,
                |_| Some(&key),
            )
            .map(|_| ())
        };
        assert_eq!(run(Some("T"), NOW), Ok(()));
        assert_eq!(run(Some("U"), NOW), Err(Refusal::UnknownKey));
        assert_eq!(run(None, NOW), Err(Refusal::UnknownKey));
        assert_eq!(
            run(Some("T"), NOW + Duration::seconds(11)),
            Err(Refusal::Expired)
        );
    }
}
