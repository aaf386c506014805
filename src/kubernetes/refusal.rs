//! Who refuses a request, judged by the words that the API server, its authorizers and its admission plugins use.
//!
//! HTTP 403 alone does not tell: an admission webhook may answer it as well, even with the reason `Forbidden`, and so may
//! a firewall on the way.

use kube::core::Status;

/// Whether an answer with HTTP 403 is that of the authorizers: a rule is missing.
///
/// Source: `Forbidden` in `k8s.io/apiserver/pkg/endpoints/handlers/responsewriters`.
pub(super) fn is_authorizers(answer: &Status) -> bool {
    let message = answer.message.as_str();
    let wanted = message
        .split_once("User \"")
        .and_then(|(_, rest)| rest.split_once("\" cannot "));
    answer.reason == "Forbidden"
        && !message.starts_with("admission webhook")
        && wanted.is_some_and(|(_, wanted)| {
            wanted.contains(" resource \"") || wanted.contains(" path \"")
        })
}

/// What of admission refuses an object; `None` if these are not the words of any. A capital letter begins it.
pub(crate) fn refusing(message: &str) -> Option<String> {
    let after = |marker: &str| message.split_once(marker).map(|(_, rest)| rest);
    let quoted = |rest: &str, quote: char| {
        rest.split_once(quote)
            .and_then(|(_, rest)| rest.split_once(quote))
            .map(|(name, _)| name.to_owned())
    };
    if let Some(name) = after("admission webhook").and_then(|rest| quoted(rest, '"')) {
        return Some(format!("The admission webhook {name:?}"));
    }
    if let Some(name) = after("ValidatingAdmissionPolicy").and_then(|rest| quoted(rest, '\'')) {
        return Some(format!("The ValidatingAdmissionPolicy {name:?}"));
    }
    if let Some(rest) = after("violates PodSecurity") {
        let level = quoted(rest, '"').unwrap_or_default();
        return Some(format!(
            "The Pod Security Standard {level:?} of the namespace"
        ));
    }
    for marker in ["exceeded quota: ", "failed quota: "] {
        if let Some(rest) = after(marker) {
            let name = rest.split([',', ':']).next().unwrap_or_default();
            return Some(format!("The ResourceQuota {name:?}"));
        }
    }
    if ["per Container", "per Pod", "limit to request ratio"]
        .iter()
        .any(|words| message.contains(words))
    {
        return Some("A LimitRange of the namespace".to_owned());
    }
    if message.contains("is being terminated") {
        return Some("The namespace, which is being deleted,".to_owned());
    }
    message
        .contains("is forbidden")
        .then(|| "The API server".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn authorizers_and_others() {
        let rbac = "serviceaccounts \"api\" is forbidden: User \"jane\" cannot patch resource \"serviceaccounts\" in API \
                    group \"\" in the namespace \"orders\"";
        for (name, reason, message, expected) in [
            ("RBAC", "Forbidden", rbac, true),
            (
                "RBAC of a path",
                "Forbidden",
                "forbidden: User \"jane\" cannot get path \"/apis/keda.sh\"",
                true,
            ),
            (
                "a webhook",
                "Forbidden",
                "admission webhook \"check.example.com\" denied the request: no",
                false,
            ),
            (
                "a webhook that repeats the words",
                "Forbidden",
                &format!("admission webhook \"check.example.com\" denied the request: {rbac}"),
                false,
            ),
            (
                "a quota",
                "Forbidden",
                "pods \"x\" is forbidden: exceeded quota: small",
                false,
            ),
            ("a page of a firewall", "", rbac, false),
        ] {
            let answer = Status::failure(message, reason);
            assert_eq!(is_authorizers(&answer), expected, "{name}");
        }
    }
}
