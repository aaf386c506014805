//! What EKS and STS read out of a role's trust policy.
//!
//! This is an evaluator for the few principals, actions and condition keys that matter here, not for IAM policies in general: an
//! operator or key it does not know never matches.

use std::collections::BTreeMap;

use serde_json::Value;

/// Service principal of Pod Identity, the same in every partition it is documented for.
pub(crate) const PODS: &str = "pods.eks.amazonaws.com";

/// Who asks.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Principal<'a> {
    /// An IAM user or an assumed role.
    Aws { arn: &'a str, account_id: &'a str },
    /// The subject of an OIDC provider, named without its scheme.
    Federated { provider: &'a str },
    /// A service of AWS.
    Service { name: &'a str },
}

/// The account in a role ARN, or `None` if the text is not a role ARN.
pub(crate) fn role_account(arn: &str) -> Option<&str> {
    let parts: Vec<&str> = arn.splitn(6, ':').collect();
    let ["arn", partition, "iam", "", account, resource] = parts[..] else {
        return None;
    };
    let name = resource.strip_prefix("role/")?;
    let legal = partition.starts_with("aws")
        && account.len() == 12
        && account.bytes().all(|b| b.is_ascii_digit())
        && !name.is_empty()
        && !name.ends_with('/')
        && !name.contains(char::is_whitespace);
    legal.then_some(account)
}

/// The role ARN (without path) of an assumed-role session, or the ARN itself.
pub(crate) fn principal_arn(caller: &str) -> String {
    match caller.split_once(":sts::") {
        Some((head, rest)) => match rest.split_once(":assumed-role/") {
            Some((account, session)) => format!(
                "{head}:iam::{account}:role/{}",
                session.split('/').next().unwrap_or_default()
            ),
            None => caller.to_owned(),
        },
        None => caller.to_owned(),
    }
}

/// Whether the trust policy gives Pod Identity both actions it needs. EKS looks at principals and actions only, never at conditions.
pub(crate) fn allows_pods(trust: &Value) -> bool {
    ["sts:AssumeRole", "sts:TagSession"].iter().all(|action| {
        statements(trust).any(|statement| {
            statement["Effect"] == "Allow"
                && strings(&statement["Principal"]["Service"]).any(|service| service == PODS)
                && strings(&statement["Action"]).any(|pattern| like_ignoring_case(pattern, action))
        })
    })
}

/// Whether the trust policy lets `principal` do `action`, given `facts`: condition keys in lower case with their values.
pub(crate) fn allows(
    trust: &Value,
    principal: &Principal<'_>,
    action: &str,
    facts: &BTreeMap<String, String>,
) -> bool {
    let applies = |effect: &str| {
        statements(trust).any(|statement| {
            statement["Effect"] == effect
                && covers(statement, action)
                && concerns(statement, principal)
                && conditions_hold(&statement["Condition"], facts)
        })
    };
    applies("Allow") && !applies("Deny")
}

fn statements(trust: &Value) -> impl Iterator<Item = &Value> {
    match &trust["Statement"] {
        Value::Array(list) => list.as_slice(),
        Value::Null => &[],
        single => std::slice::from_ref(single),
    }
    .iter()
}

fn strings(value: &Value) -> impl Iterator<Item = &str> {
    match value {
        Value::Array(list) => list.as_slice(),
        single => std::slice::from_ref(single),
    }
    .iter()
    .filter_map(Value::as_str)
}

/// Whether the actions of a statement cover this one.
fn covers(statement: &Value, action: &str) -> bool {
    let any = |list: &Value| strings(list).any(|pattern| like_ignoring_case(pattern, action));
    match &statement["NotAction"] {
        Value::Null => any(&statement["Action"]),
        not => !any(not),
    }
}

/// Whether the principals of a statement are about this one. A `*` forbids everybody; it lets in only who comes as an AWS principal.
fn concerns(statement: &Value, principal: &Principal<'_>) -> bool {
    let everybody = |value: &Value| value == "*" && statement["Effect"] == "Deny";
    match &statement["NotPrincipal"] {
        Value::Null => {
            let value = &statement["Principal"];
            everybody(value) || names(value, principal)
        }
        not => !names(not, principal),
    }
}

fn names(value: &Value, principal: &Principal<'_>) -> bool {
    match principal {
        Principal::Aws { arn, account_id } => {
            let role = principal_arn(arn);
            value == "*"
                || strings(&value["AWS"]).any(|entry| {
                    // A session's ARN has no path; the role's may have one.
                    let role_name = |a: &str| a.rsplit('/').next().map(str::to_owned);
                    entry == "*"
                        || entry == *account_id
                        || entry == *arn
                        || (entry.ends_with(":root") && entry.split(':').nth(4) == Some(account_id))
                        || (entry.contains(":role/")
                            && entry.split(':').nth(4) == Some(account_id)
                            && role.contains(":role/")
                            && role_name(entry) == role_name(&role))
                })
        }
        Principal::Federated { provider } => strings(&value["Federated"]).any(|entry| {
            entry
                .split_once(":oidc-provider/")
                .is_some_and(|(_, p)| p.eq_ignore_ascii_case(provider))
        }),
        Principal::Service { name } => strings(&value["Service"]).any(|entry| entry == *name),
    }
}

fn conditions_hold(conditions: &Value, facts: &BTreeMap<String, String>) -> bool {
    let Some(conditions) = conditions.as_object() else {
        return true;
    };
    conditions.iter().all(|(operator, keys)| {
        let (operator, if_exists) = operator
            .strip_suffix("IfExists")
            .map_or((operator.as_str(), false), |o| (o, true));
        // Every fact has one value, so any of its values is that one; all of no values hold, whatever they are asked.
        let (operator, if_exists) = match operator.split_once(':') {
            Some(("ForAnyValue", operator)) => (operator, if_exists),
            Some(("ForAllValues", operator)) => (operator, true),
            _ => (operator, if_exists),
        };
        keys.as_object().is_some_and(|keys| {
            keys.iter()
                .all(|(key, expected)| match facts.get(&key.to_lowercase()) {
                    None if operator == "Null" => strings(expected).any(|e| e == "true"),
                    Some(_) if operator == "Null" => strings(expected).any(|e| e == "false"),
                    None => if_exists || operator.starts_with("StringNot"),
                    Some(fact) => match operator {
                        "StringEquals" => strings(expected).any(|e| e == fact),
                        "StringNotEquals" => !strings(expected).any(|e| e == fact),
                        "StringEqualsIgnoreCase" => {
                            strings(expected).any(|e| e.eq_ignore_ascii_case(fact))
                        }
                        "StringNotLike" => {
                            !strings(expected).any(|e| like(e.as_bytes(), fact.as_bytes()))
                        }
                        "StringLike" | "ArnLike" | "ArnEquals" => {
                            strings(expected).any(|e| like(e.as_bytes(), fact.as_bytes()))
                        }
                        _ => false,
                    },
                })
        })
    })
}

fn like_ignoring_case(pattern: &str, text: &str) -> bool {
    like(
        pattern.to_lowercase().as_bytes(),
        text.to_lowercase().as_bytes(),
    )
}

/// `*` stands for any text, `?` for one character.
pub(crate) fn like(pattern: &[u8], text: &[u8]) -> bool {
    match (pattern.first(), text.first()) {
        (None, None) => true,
        (Some(b'*'), _) => {
            like(&pattern[1..], text) || (!text.is_empty() && like(pattern, &text[1..]))
        }
        (Some(b'?'), Some(_)) => like(&pattern[1..], &text[1..]),
        (Some(p), Some(t)) if p == t => like(&pattern[1..], &text[1..]),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn pods_need_both_actions() {
        let principal = json!({"Service": PODS});
        let cases = [
            (
                "both",
                json!({"Statement": {"Effect": "Allow", "Principal": principal, "Action": ["sts:AssumeRole", "sts:TagSession"]}}),
                true,
            ),
            (
                "wildcard and case",
                json!({"Statement": [{"Effect": "Allow", "Principal": principal, "Action": "STS:*"}]}),
                true,
            ),
            (
                "two statements",
                json!({"Statement": [{"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"}, {"Effect": "Allow", "Principal": {"Service": ["x", PODS]}, "Action": "sts:TagSession"}]}),
                true,
            ),
            (
                "one action",
                json!({"Statement": [{"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"}]}),
                false,
            ),
            (
                "other principal",
                json!({"Statement": [{"Effect": "Allow", "Principal": {"Service": "eks.amazonaws.com"}, "Action": ["sts:AssumeRole", "sts:TagSession"]}]}),
                false,
            ),
            (
                "anybody is not a service",
                json!({"Statement": [{"Effect": "Allow", "Principal": "*", "Action": ["sts:AssumeRole", "sts:TagSession"]}]}),
                false,
            ),
            (
                "deny",
                json!({"Statement": [{"Effect": "Deny", "Principal": principal, "Action": ["sts:AssumeRole", "sts:TagSession"]}]}),
                false,
            ),
            (
                "conditions do not count",
                json!({"Statement": [{"Effect": "Allow", "Principal": principal, "Action": ["sts:AssumeRole", "sts:TagSession"], "Condition": {"StringEquals": {"aws:RequestTag/eks-cluster-name": "never"}}}]}),
                true,
            ),
            ("nothing", json!({}), false),
        ];
        for (name, trust, expected) in cases {
            assert_eq!(allows_pods(&trust), expected, "{name}");
        }
    }

    #[test]
    fn operators_and_principals() {
        let facts = BTreeMap::from([("aws:sourceaccount".to_owned(), "123456789012".to_owned())]);
        let statement = |effect: &str, principal: Value, condition: Value| json!({"Effect": effect, "Principal": principal, "Action": "sts:AssumeRole", "Condition": condition});
        let pods = json!({"Service": PODS});
        let key = "aws:SourceAccount";
        let cases = [
            (
                "plain",
                vec![statement("Allow", pods.clone(), json!({}))],
                true,
            ),
            (
                "equals",
                vec![statement(
                    "Allow",
                    pods.clone(),
                    json!({"StringEquals": {key: "123456789012"}}),
                )],
                true,
            ),
            (
                "other",
                vec![statement(
                    "Allow",
                    pods.clone(),
                    json!({"StringEquals": {key: "1"}}),
                )],
                false,
            ),
            (
                "ignoring case",
                vec![statement(
                    "Allow",
                    pods.clone(),
                    json!({"StringEqualsIgnoreCase": {key: ["123456789012"]}}),
                )],
                true,
            ),
            (
                "any value",
                vec![statement(
                    "Allow",
                    pods.clone(),
                    json!({"ForAnyValue:StringLike": {key: "1234*"}}),
                )],
                true,
            ),
            (
                "not like",
                vec![statement(
                    "Allow",
                    pods.clone(),
                    json!({"StringNotLike": {key: "1234*"}}),
                )],
                false,
            ),
            (
                "a key that is not there",
                vec![statement(
                    "Allow",
                    pods.clone(),
                    json!({"StringEquals": {"aws:RequestTag/x": "y"}}),
                )],
                false,
            ),
            (
                "if it exists",
                vec![statement(
                    "Allow",
                    pods.clone(),
                    json!({"StringEqualsIfExists": {"aws:RequestTag/x": "y"}}),
                )],
                true,
            ),
            (
                "null",
                vec![statement(
                    "Allow",
                    pods.clone(),
                    json!({"Null": {"aws:RequestTag/x": "true"}}),
                )],
                true,
            ),
            (
                "denied to all",
                vec![
                    statement("Allow", pods.clone(), json!({})),
                    statement("Deny", json!("*"), json!({})),
                ],
                false,
            ),
            (
                "allowed to all is not for services",
                vec![statement("Allow", json!("*"), json!({}))],
                false,
            ),
            (
                "not principal",
                vec![
                    statement("Allow", pods.clone(), json!({})),
                    json!({"Effect": "Deny", "NotPrincipal": {"Service": PODS}, "Action": "*"}),
                ],
                true,
            ),
            (
                "not action",
                vec![json!({"Effect": "Allow", "Principal": pods, "NotAction": "sts:TagSession"})],
                true,
            ),
        ];
        for (name, statements, expected) in cases {
            let trust = json!({"Statement": statements});
            let principal = Principal::Service { name: PODS };
            assert_eq!(
                allows(&trust, &principal, "sts:AssumeRole", &facts),
                expected,
                "{name}"
            );
        }
    }

    #[test]
    fn role_arns_have_an_account() {
        assert_eq!(
            role_account("arn:aws:iam::123456789012:role/services/payments/api"),
            Some("123456789012")
        );
        for bad in [
            "arn:aws:iam::123456789012:user/x",
            "arn:aws:iam::12:role/x",
            "payments",
            "arn:aws:iam::123456789012:role/",
            "",
        ] {
            assert_eq!(role_account(bad), None, "{bad}");
        }
    }

    #[test]
    fn callers_and_conditions() {
        let trust = json!({"Statement": [{"Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::123456789012:role/teams/ci"}, "Action": "sts:AssumeRole", "Condition": {"StringEquals": {"sts:ExternalId": "x"}}}]});
        let caller = Principal::Aws {
            arn: "arn:aws:sts::123456789012:assumed-role/ci/session",
            account_id: "123456789012",
        };
        let facts = BTreeMap::from([("sts:externalid".to_owned(), "x".to_owned())]);
        assert!(allows(&trust, &caller, "sts:AssumeRole", &facts));
        assert!(!allows(&trust, &caller, "sts:AssumeRole", &BTreeMap::new()));
        assert!(!allows(&trust, &caller, "sts:TagSession", &facts));
        let other = Principal::Aws {
            arn: "arn:aws:iam::123456789012:user/x",
            account_id: "123456789012",
        };
        assert!(!allows(&trust, &other, "sts:AssumeRole", &facts));
    }
}
