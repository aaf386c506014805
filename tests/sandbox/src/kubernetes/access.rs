//! Who may do what in a cluster.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::HeaderMap;
use serde::Deserialize;
use time::OffsetDateTime;

use crate::encoding::query_pairs;
use crate::sigv4::{self, AccessKey, Signable};
use crate::trust::principal_arn;

/// Prefix of a token that is a presigned STS request.
const TOKEN_PREFIX: &str = "k8s-aws-v1.";

/// Rights of one principal, in the manner of an EKS access entry with RBAC rules.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Grant {
    /// ARN of an IAM user or role, or `*`.
    principal_arn: String,
    #[serde(default)]
    rules: Vec<Rule>,
}

/// Empty lists and `*` mean all.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Rule {
    #[serde(default)]
    verbs: Vec<String>,
    #[serde(default)]
    resources: Vec<String>,
    #[serde(default)]
    namespaces: Vec<String>,
    /// Names of API groups; the core group is the empty one.
    #[serde(default)]
    api_groups: Vec<String>,
    /// Names of objects. As in RBAC, a rule with names allows nothing that names none.
    #[serde(default)]
    resource_names: Vec<String>,
}

/// Without grants every principal of the cluster's account is an administrator, as the creator of a cluster is.
#[derive(Clone, Debug, Default)]
pub(crate) struct Access {
    pub(crate) grants: Vec<Grant>,
}

/// What a request wants to do.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Attempt<'a> {
    pub(crate) verb: &'a str,
    pub(crate) group: &'a str,
    /// With the subresource after a slash, if any.
    pub(crate) resource: &'a str,
    /// Empty for the cluster scope or all namespaces.
    pub(crate) namespace: &'a str,
    /// Empty for collections.
    pub(crate) name: &'a str,
}

impl Access {
    fn of<'a>(&'a self, user: &'a str) -> impl Iterator<Item = &'a Grant> {
        let role = principal_arn(user);
        self.grants.iter().filter(move |grant| {
            grant.principal_arn == "*" || grant.principal_arn == user || grant.principal_arn == role
        })
    }

    /// Whether there is a grant for this user.
    pub(crate) fn names(&self, user: &str) -> bool {
        self.of(user).next().is_some()
    }

    /// Whether the cluster knows this principal of its own account.
    pub(crate) fn knows(&self, user: &str) -> bool {
        self.grants.is_empty() || self.of(user).next().is_some()
    }

    /// Whether the principal may do this.
    pub(crate) fn allows(&self, user: &str, attempt: &Attempt<'_>) -> bool {
        let in_list = |list: &[String], item: &str| {
            list.is_empty() || list.iter().any(|entry| entry == "*" || entry == item)
        };
        self.grants.is_empty()
            || self.of(user).flat_map(|grant| &grant.rules).any(|rule| {
                in_list(&rule.verbs, attempt.verb)
                    && in_list(&rule.resources, attempt.resource)
                    && in_list(&rule.namespaces, attempt.namespace)
                    && in_list(&rule.api_groups, attempt.group)
                    && (rule.resource_names.is_empty()
                        || rule.resource_names.iter().any(|name| name == attempt.name))
            })
    }
}

/// The message of a 403.
pub(crate) fn forbidden(user: &str, attempt: &Attempt<'_>) -> String {
    let Attempt {
        verb,
        group,
        resource,
        namespace,
        name,
    } = attempt;
    let base = resource.split('/').next().unwrap_or_default();
    let base = if group.is_empty() {
        base.to_owned()
    } else {
        format!("{base}.{group}")
    };
    let object = if name.is_empty() {
        base
    } else {
        format!("{base} \"{name}\"")
    };
    let scope = if namespace.is_empty() {
        "at the cluster scope".to_owned()
    } else {
        format!("in the namespace \"{namespace}\"")
    };
    format!(
        "{object} is forbidden: User \"{user}\" cannot {verb} resource \"{resource}\" in API group \"{group}\" {scope}"
    )
}

/// The caller behind a bearer token, if the token is what STS would confirm: a GetCallerIdentity presigned less than fifteen minutes
/// ago, for an STS host, with this cluster's name in a signed header.
pub(crate) fn identify<'k>(
    token: &str,
    cluster: &str,
    sandbox_authority: &str,
    now: OffsetDateTime,
    keys: impl Fn(&str) -> Option<&'k AccessKey>,
) -> Option<&'k AccessKey> {
    let url = URL_SAFE_NO_PAD
        .decode(token.strip_prefix(TOKEN_PREFIX)?.trim_end_matches('='))
        .ok()?;
    let url = String::from_utf8(url).ok()?;
    let (scheme, rest) = url.split_once("://")?;
    let (host, query) = rest.split_once("/?").or_else(|| rest.split_once('?'))?;
    if !is_sts(scheme, host, sandbox_authority) {
        return None;
    }
    let parameters: BTreeMap<String, String> = query_pairs(query).into_iter().collect();
    let signed = parameters.get("X-Amz-SignedHeaders")?;
    let known = |name: &str| {
        let name = name.to_lowercase();
        ["action", "version"].contains(&name.as_str()) || name.starts_with("x-amz-")
    };
    if parameters.get("Action").map(String::as_str) != Some("GetCallerIdentity")
        || !signed.split(';').any(|h| h == "x-k8s-aws-id")
        || !parameters.keys().all(|k| known(k))
    {
        return None;
    }
    let mut headers = HeaderMap::new();
    headers.insert("host", host.parse().ok()?);
    headers.insert("x-k8s-aws-id", cluster.parse().ok()?);
    let request = Signable {
        method: "GET",
        path: "/",
        query,
        headers: &headers,
        body: b"",
    };
    let (scope, key) = sigv4::verify(&request, now, keys).ok()?;
    (scope.service == "sts").then_some(key)
}

fn is_sts(scheme: &str, host: &str, sandbox_authority: &str) -> bool {
    if scheme == "http" {
        let port = |authority: &str| authority.rsplit(':').next().map(str::to_owned);
        return host == sandbox_authority
            || (host.starts_with("localhost:") && port(host) == port(sandbox_authority));
    }
    let suffixes = [
        ".amazonaws.com",
        ".amazonaws.com.cn",
        ".api.aws",
        ".c2s.ic.gov",
        ".sc2s.sgov.gov",
        ".amazonaws.eu",
    ];
    scheme == "https"
        && (host.starts_with("sts.") || host.starts_with("sts-fips."))
        && suffixes.iter().any(|suffix| host.ends_with(suffix))
}

#[cfg(test)]
mod tests {
    use time::Duration;
    use time::macros::datetime;

    use super::*;
    use crate::sigv4::{Scope, client};

    const NOW: OffsetDateTime = datetime!(2026-01-01 12:00 UTC);

    fn token(host: &str, cluster: Option<&str>, query: &str) -> String {
        let scope = Scope {
            access_key_id: "test".into(),
            date: "20260101".into(),
            region: "us-east-1".into(),
            service: "sts".into(),
        };
        let mut headers = HeaderMap::new();
        headers.insert("host", host.parse().unwrap());
        if let Some(cluster) = cluster {
            headers.insert("x-k8s-aws-id", cluster.parse().unwrap());
        }
        let query = client::presign(&headers, "/", query, &scope, "test", NOW, 60);
        let scheme = if host.starts_with("127") {
            "http"
        } else {
            "https"
        };
        format!(
            "{TOKEN_PREFIX}{}",
            URL_SAFE_NO_PAD.encode(format!("{scheme}://{host}/?{query}"))
        )
    }

    #[test]
    fn tokens() {
        let key = AccessKey {
            secret: "test".into(),
            session_token: None,
            expires: None,
            account_id: "1".into(),
            caller_arn: String::new(),
            user_id: String::new(),
        };
        const ACTION: &str = "Action=GetCallerIdentity&Version=2011-06-15";
        let cases = [
            (
                "of AWS",
                token("sts.us-east-1.amazonaws.com", Some("demo"), ACTION),
                Duration::ZERO,
                true,
            ),
            (
                "of the sandbox",
                token("127.0.0.1:4566", Some("demo"), ACTION),
                Duration::ZERO,
                true,
            ),
            (
                "almost expired",
                token("127.0.0.1:4566", Some("demo"), ACTION),
                Duration::minutes(14),
                true,
            ),
            (
                "expired",
                token("127.0.0.1:4566", Some("demo"), ACTION),
                Duration::minutes(16),
                false,
            ),
            (
                "other sandbox",
                token("127.0.0.1:4567", Some("demo"), ACTION),
                Duration::ZERO,
                false,
            ),
            (
                "other host",
                token("sts.example.com", Some("demo"), ACTION),
                Duration::ZERO,
                false,
            ),
            (
                "other cluster",
                token("127.0.0.1:4566", Some("prod"), ACTION),
                Duration::ZERO,
                false,
            ),
            (
                "no cluster",
                token("127.0.0.1:4566", None, ACTION),
                Duration::ZERO,
                false,
            ),
            (
                "other action",
                token(
                    "127.0.0.1:4566",
                    Some("demo"),
                    "Action=AssumeRole&Version=2011-06-15",
                ),
                Duration::ZERO,
                false,
            ),
            (
                "other parameter",
                token(
                    "127.0.0.1:4566",
                    Some("demo"),
                    &format!("{ACTION}&RoleArn=x"),
                ),
                Duration::ZERO,
                false,
            ),
            (
                "garbage",
                format!("{TOKEN_PREFIX}AAAA"),
                Duration::ZERO,
                false,
            ),
            ("other form", "secret".to_owned(), Duration::ZERO, false),
        ];
        for (name, token, age, expected) in cases {
            let found = identify(&token, "demo", "127.0.0.1:4566", NOW + age, |id| {
                (id == "test").then_some(&key)
            });
            assert_eq!(found.is_some(), expected, "{name}");
        }
    }

    #[test]
    fn grants_limit_what_a_principal_may_do() {
        let grant = serde_json::json!({"principal_arn": "arn:aws:iam::1:role/ci", "rules": [{"verbs": ["get", "list"], "resources": ["serviceaccounts"], "namespaces": ["payments"]}]});
        let access = Access {
            grants: vec![serde_json::from_value(grant).unwrap()],
        };
        let user = "arn:aws:sts::1:assumed-role/ci/session";
        let get = Attempt {
            verb: "get",
            group: "",
            resource: "serviceaccounts",
            namespace: "payments",
            name: "api",
        };
        assert!(access.knows(user) && access.allows(user, &get));
        let patch = Attempt {
            verb: "patch",
            ..get
        };
        assert!(!access.allows(user, &patch));
        let named =
            serde_json::json!({"principal_arn": "*", "rules": [{"resource_names": ["api"]}]});
        let named = Access {
            grants: vec![serde_json::from_value(named).unwrap()],
        };
        for (name, expected) in [("api", true), ("web", false), ("", false)] {
            assert_eq!(
                named.allows(user, &Attempt { name, ..get }),
                expected,
                "{name}"
            );
        }
        assert_eq!(
            forbidden("ci", &patch),
            "serviceaccounts \"api\" is forbidden: User \"ci\" cannot patch resource \"serviceaccounts\" in API group \"\" in the namespace \"payments\""
        );
        assert!(!access.knows("arn:aws:iam::1:user/other"));
    }
}
