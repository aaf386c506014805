//! What IAM would refuse in a policy document, found at plan time.
//!
//! Only what IAM is known to refuse is reported; what is merely unusual passes.

use thiserror::Error;

use super::analysis::{Reason, StatementRef, never_holds};
use super::condition::is_operator;
use super::document::{Document, Effect, Principal, Statement};
use super::request::PodContext;

/// Something in a policy document that IAM refuses, or that cannot do what it was written for.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Problem {
    /// No statements.
    #[error("the policy has no statement")]
    NoStatement,
    /// A `Version` that IAM does not know.
    #[error("the Version {version:?} is not one that IAM knows; use \"2012-10-17\"")]
    Version {
        /// The value that was given.
        version: String,
    },
    /// Characters that IAM does not take.
    #[error(
        "the policy contains the character {character:?}, which IAM does not accept in a policy"
    )]
    Character {
        /// The first such character.
        character: char,
    },
    /// An `Effect` that is missing, or is not written as IAM wants it.
    #[error("{statement} must have the Effect \"Allow\" or \"Deny\", in this letter case")]
    Effect {
        /// The statement.
        statement: StatementRef,
    },
    /// A `Sid` with characters other than letters and digits.
    #[error("{statement} has a Sid with characters other than letters and digits")]
    Sid {
        /// The statement.
        statement: StatementRef,
    },
    /// Two statements with one `Sid`.
    #[error(
        "{statement} has a Sid that an earlier statement has too; it must be unique within the policy"
    )]
    DuplicateSid {
        /// The later statement.
        statement: StatementRef,
    },
    /// A member that is missing or must not be there.
    #[error("{statement} {rule}")]
    Member {
        /// The statement.
        statement: StatementRef,
        /// The rule, as in `must have …`.
        rule: &'static str,
    },
    /// An action of a service other than STS in a trust policy.
    #[error(
        "{statement} has the action {action:?}, but a trust policy may only have actions of sts"
    )]
    NotAnStsAction {
        /// The statement.
        statement: StatementRef,
        /// The action.
        action: String,
    },
    /// A wildcard in a service principal.
    #[error("{statement} has the service principal {principal:?}; wildcards are not allowed there")]
    WildcardPrincipal {
        /// The statement.
        statement: StatementRef,
        /// The principal.
        principal: String,
    },
    /// A principal type that IAM does not know.
    #[error(
        "{statement} has principals of the type {kind:?}; there are AWS, Service, Federated and CanonicalUser"
    )]
    PrincipalType {
        /// The statement.
        statement: StatementRef,
        /// The type.
        kind: String,
    },
    /// A condition operator that IAM does not know.
    #[error(
        "{statement} has the condition operator {operator:?}, which does not exist; operators are written in exact letter case"
    )]
    Operator {
        /// The statement.
        statement: StatementRef,
        /// The operator.
        operator: String,
    },
    /// A condition for EKS Pod Identity that holds for no pod at all.
    #[error("{0}, so no pod could ever use it. {advice}", advice = .0.advice())]
    NeverHolds(Reason),
}

/// Checks a trust policy. `pod` says what is known of the pods that use the role; the default knows nothing and leaves session tags on.
pub fn check_trust_policy(document: &Document, pod: &PodContext) -> Vec<Problem> {
    let mut problems = check_document(document);
    for (statement, at) in statements(document) {
        let has = |name: &str| statement.members().contains_key(name);
        let mut member = |wrong: bool, rule| {
            if wrong {
                problems.push(Problem::Member {
                    statement: at.clone(),
                    rule,
                });
            }
        };
        member(
            has("Resource") || has("NotResource"),
            "must not have a Resource: a trust policy is always about its own role",
        );
        member(
            has("Principal") == has("NotPrincipal"),
            "must have either a Principal or a NotPrincipal",
        );
        for action in statement
            .list("Action")
            .into_iter()
            .chain(statement.list("NotAction"))
        {
            if !action.to_ascii_lowercase().starts_with("sts:") {
                problems.push(Problem::NotAnStsAction {
                    statement: at.clone(),
                    action: action.to_owned(),
                });
            }
        }
        for principal in [statement.principal(), statement.not_principal()]
            .into_iter()
            .flatten()
        {
            problems.extend(check_principal(&principal, &at));
        }
    }
    problems.extend(
        never_holds(document, pod)
            .into_iter()
            .map(Problem::NeverHolds),
    );
    problems
}

/// Unique ids that IAM shows where a deleted role or user was. It refuses them when the document is written again.
pub fn deleted_principals(document: &Document) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for statement in document.statements() {
        for principal in [statement.principal(), statement.not_principal()]
            .into_iter()
            .flatten()
        {
            for value in principal.of_type("AWS") {
                if (value.starts_with("AROA") || value.starts_with("AIDA"))
                    && !found.iter().any(|known| known == value)
                {
                    found.push(value.to_owned());
                }
            }
        }
    }
    found
}

/// Checks a policy that gives permissions: an inline policy of a role or the session policy of an association.
pub fn check_permission_policy(document: &Document) -> Vec<Problem> {
    let mut problems = check_document(document);
    for (statement, at) in statements(document) {
        let has = |name: &str| statement.members().contains_key(name);
        let mut member = |wrong: bool, rule| {
            if wrong {
                problems.push(Problem::Member {
                    statement: at.clone(),
                    rule,
                });
            }
        };
        member(
            has("Principal") || has("NotPrincipal"),
            "must not have a Principal: the policy is about whoever has it",
        );
        member(
            has("Resource") == has("NotResource"),
            "must have either a Resource or a NotResource",
        );
    }
    problems
}

fn check_document(document: &Document) -> Vec<Problem> {
    let mut problems = Vec::new();
    if document.statements().is_empty() {
        problems.push(Problem::NoStatement);
    }
    if let Some(version) = document.version()
        && !matches!(version, "2012-10-17" | "2008-10-17")
    {
        problems.push(Problem::Version {
            version: version.to_owned(),
        });
    }
    let accepted = |c: &char| matches!(c, '\t' | '\n' | '\r' | ' '..='\u{ff}');
    if let Some(character) = document.to_json().chars().find(|c| !accepted(c)) {
        problems.push(Problem::Character { character });
    }
    let mut sids: Vec<&str> = Vec::new();
    for (statement, at) in statements(document) {
        let effect = statement
            .members()
            .get("Effect")
            .and_then(|effect| effect.as_str());
        if !matches!(
            (statement.effect(), effect),
            (Some(Effect::Allow), Some("Allow")) | (Some(Effect::Deny), Some("Deny"))
        ) {
            problems.push(Problem::Effect {
                statement: at.clone(),
            });
        }
        if let Some(sid) = statement.sid() {
            if !sid.bytes().all(|b| b.is_ascii_alphanumeric()) {
                problems.push(Problem::Sid {
                    statement: at.clone(),
                });
            }
            if !sid.is_empty() && sids.contains(&sid) {
                problems.push(Problem::DuplicateSid {
                    statement: at.clone(),
                });
            }
            sids.push(sid);
        }
        let has = |name: &str| statement.members().contains_key(name);
        if has("Action") == has("NotAction") {
            problems.push(Problem::Member {
                statement: at.clone(),
                rule: "must have either an Action or a NotAction",
            });
        }
        if let Some(operators) = statement
            .members()
            .get("Condition")
            .and_then(|condition| condition.as_object())
        {
            let unknown = operators.keys().filter(|operator| !is_operator(operator));
            problems.extend(unknown.map(|operator| Problem::Operator {
                statement: at.clone(),
                operator: operator.clone(),
            }));
        }
    }
    problems
}

fn check_principal(principal: &Principal<'_>, at: &StatementRef) -> Vec<Problem> {
    let mut problems = Vec::new();
    match principal {
        Principal::Text("*") => {}
        Principal::Text(_) => problems.push(Problem::Member { statement: at.clone(), rule: "has a Principal that is text other than \"*\"; write {\"AWS\": …} or {\"Service\": …}" }),
        Principal::Typed(types) => {
            for (kind, values) in types {
                if !matches!(*kind, "AWS" | "Service" | "Federated" | "CanonicalUser") {
                    problems.push(Problem::PrincipalType { statement: at.clone(), kind: (*kind).to_owned() });
                }
                if *kind == "Service" {
                    let wildcards = values.iter().filter(|value| super::name::has_wildcard(value));
                    problems.extend(wildcards.map(|value| Problem::WildcardPrincipal { statement: at.clone(), principal: (*value).to_owned() }));
                }
            }
        }
    }
    problems
}

fn statements(document: &Document) -> impl Iterator<Item = (&Statement, StatementRef)> {
    document
        .statements()
        .iter()
        .enumerate()
        .map(|(index, statement)| {
            (
                statement,
                StatementRef {
                    index,
                    sid: statement.sid().map(str::to_owned),
                },
            )
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trust(text: &str) -> Vec<String> {
        check_trust_policy(&Document::parse(text).unwrap(), &PodContext::default())
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    fn with_condition(condition: &str) -> String {
        format!(
            r#"{{"Version":"2012-10-17","Statement":{{"Effect":"Allow","Principal":{{"Service":"pods.eks.amazonaws.com"}},"Action":["sts:AssumeRole","sts:TagSession"],"Condition":{condition}}}}}"#
        )
    }

    #[test]
    fn trust_policies() {
        let ok = r#""Effect":"Allow","Principal":{"AWS":"123456789012"},"Action":"sts:AssumeRole""#;
        let cases: &[(&str, String, &[&str])] = &[
            ("fine", format!(r#"{{"Version":"2012-10-17","Statement":[{{{ok}}}]}}"#), &[]),
            ("everyone", r#"{"Statement":{"Effect":"Deny","Principal":"*","Action":"sts:*"}}"#.into(), &[]),
            ("nothing", "{}".into(), &["the policy has no statement"]),
            ("version", format!(r#"{{"Version":"2012-10-18","Statement":[{{{ok}}}]}}"#), &["the Version \"2012-10-18\" is not one that IAM knows; use \"2012-10-17\""]),
            ("resource", format!(r#"{{"Statement":[{{{ok},"Resource":"*"}}]}}"#), &["statement 1 must not have a Resource: a trust policy is always about its own role"]),
            (
                "no principal, no action, effect in lower case",
                r#"{"Statement":[{"Effect":"allow"}]}"#.into(),
                &[
                    "statement 1 must have the Effect \"Allow\" or \"Deny\", in this letter case",
                    "statement 1 must have either an Action or a NotAction",
                    "statement 1 must have either a Principal or a NotPrincipal",
                ],
            ),
            (
                "not of sts",
                r#"{"Statement":[{"Sid":"A","Effect":"Allow","Principal":"*","Action":["STS:AssumeRole","s3:GetObject"]}]}"#.into(),
                &["statement 1 (\"A\") has the action \"s3:GetObject\", but a trust policy may only have actions of sts"],
            ),
            (
                "principals",
                r#"{"Statement":[{"Effect":"Allow","Principal":{"Service":"*.amazonaws.com","Aws":"x"},"Action":"sts:AssumeRole"},{"Effect":"Allow","Principal":"123456789012","Action":"sts:AssumeRole"}]}"#.into(),
                &[
                    "statement 1 has the service principal \"*.amazonaws.com\"; wildcards are not allowed there",
                    "statement 1 has principals of the type \"Aws\"; there are AWS, Service, Federated and CanonicalUser",
                    "statement 2 has a Principal that is text other than \"*\"; write {\"AWS\": …} or {\"Service\": …}",
                ],
            ),
            (
                "sids",
                format!(r#"{{"Statement":[{{"Sid":"a b",{ok}}},{{"Sid":"a",{ok}}},{{"Sid":"a",{ok}}}]}}"#),
                &["statement 1 (\"a b\") has a Sid with characters other than letters and digits", "statement 3 (\"a\") has a Sid that an earlier statement has too; it must be unique within the policy"],
            ),
            ("operator", with_condition(r#"{"StringEqual":{"aws:SourceAccount":"123456789012"}}"#), &["statement 1 has the condition operator \"StringEqual\", which does not exist; operators are written in exact letter case"]),
            ("character", format!(r#"{{"Statement":[{{"Sid":"","Future":"→",{ok}}}]}}"#), &["the policy contains the character '→', which IAM does not accept in a policy"]),
        ];
        for (what, text, expected) in cases {
            assert_eq!(trust(text), *expected, "{what}");
        }
    }

    #[test]
    fn conditions_that_look_right_and_never_hold() {
        let cases = [
            (
                "the cluster as source",
                r#"{"ArnEquals":{"aws:SourceArn":"arn:aws:eks:us-east-1:123456789012:cluster/demo"}}"#,
                None,
            ),
            (
                "tags",
                r#"{"StringEquals":{"aws:RequestTag/kubernetes-namespace":"a","aws:requesttag/EKS-CLUSTER-NAME":"demo"}}"#,
                None,
            ),
            (
                "a tag that need not be there",
                r#"{"StringEqualsIfExists":{"aws:RequestTag/team":"a"}}"#,
                None,
            ),
            (
                "a key that is not known here",
                r#"{"StringEquals":{"aws:SourceOrgId":"o-a1b2c3d4e5","sts:ExternalId":"x"}}"#,
                None,
            ),
            (
                "an association as source",
                r#"{"StringEquals":{"aws:SourceArn":"arn:aws:eks:us-east-1:123456789012:podidentityassociation/demo/a-1"}}"#,
                Some(
                    "statement 1 compares aws:SourceArn with the ARN of an association (\"arn:aws:eks:us-east-1:123456789012:podidentityassociation/demo/a-1\"), but EKS Pod Identity sends the ARN of the cluster, so no pod could ever use it. Compare aws:SourceArn with the ARN of the cluster, arn:…:eks:REGION:ACCOUNT:cluster/NAME.",
                ),
            ),
            (
                "any association as source",
                r#"{"ArnLike":{"aws:SourceArn":"arn:aws:eks:*:*:podidentityassociation/demo/*"}}"#,
                Some(
                    "statement 1 compares aws:SourceArn with the ARN of an association (\"arn:aws:eks:*:*:podidentityassociation/demo/*\"), but EKS Pod Identity sends the ARN of the cluster, so no pod could ever use it. Compare aws:SourceArn with the ARN of the cluster, arn:…:eks:REGION:ACCOUNT:cluster/NAME.",
                ),
            ),
            (
                "a tag misspelled",
                r#"{"StringEquals":{"aws:RequestTag/kubernetes-serviceaccount":"api"}}"#,
                Some(
                    "statement 1 requires aws:RequestTag/kubernetes-serviceaccount, which is never part of such a request, so no pod could ever use it. Use aws:RequestTag/kubernetes-service-account instead of aws:RequestTag/kubernetes-serviceaccount.",
                ),
            ),
            (
                "a tag cut short",
                r#"{"StringEquals":{"aws:RequestTag/namespace":"api"}}"#,
                Some(
                    "statement 1 requires aws:RequestTag/namespace, which is never part of such a request, so no pod could ever use it. Use aws:RequestTag/kubernetes-namespace instead of aws:RequestTag/namespace.",
                ),
            ),
            (
                "the tag of the principal",
                r#"{"StringLike":{"aws:PrincipalTag/eks-cluster-arn":"*"}}"#,
                Some(
                    "statement 1 requires aws:PrincipalTag/eks-cluster-arn, which is never part of such a request, so no pod could ever use it. Use aws:RequestTag/eks-cluster-arn instead of aws:PrincipalTag/eks-cluster-arn.",
                ),
            ),
            (
                "a tag that does not exist",
                r#"{"StringEquals":{"aws:RequestTag/team":"api"}}"#,
                Some(
                    "statement 1 requires aws:RequestTag/team, which is never part of such a request, so no pod could ever use it. Remove the condition on aws:RequestTag/team. The session tags are eks-cluster-arn, eks-cluster-name, kubernetes-namespace, kubernetes-service-account, kubernetes-pod-name, kubernetes-pod-uid.",
                ),
            ),
            (
                "a subject of IRSA",
                r#"{"StringEquals":{"oidc.eks.us-east-1.amazonaws.com/id/A:sub":"system:serviceaccount:a:b"}}"#,
                Some(
                    "statement 1 requires oidc.eks.us-east-1.amazonaws.com/id/A:sub, which is never part of such a request, so no pod could ever use it. Remove the condition on oidc.eks.us-east-1.amazonaws.com/id/A:sub. The session tags are eks-cluster-arn, eks-cluster-name, kubernetes-namespace, kubernetes-service-account, kubernetes-pod-name, kubernetes-pod-uid.",
                ),
            ),
        ];
        for (what, condition, expected) in cases {
            assert_eq!(
                trust(&with_condition(condition)),
                expected.map(str::to_owned).into_iter().collect::<Vec<_>>(),
                "{what}"
            );
        }
        let off = PodContext {
            session_tags: false,
            ..PodContext::default()
        };
        let tagged = Document::parse(&with_condition(
            r#"{"StringEquals":{"aws:RequestTag/kubernetes-namespace":"a"}}"#,
        ))
        .unwrap();
        assert!(matches!(
            check_trust_policy(&tagged, &off)[..],
            [Problem::NeverHolds(
                Reason::SessionTagsOffButConditioned { .. }
            )]
        ));
    }

    #[test]
    fn permission_policies() {
        let cases = [
            (
                "fine",
                r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"*"}]}"#,
                vec![],
            ),
            (
                "no resource",
                r#"{"Statement":[{"Effect":"Allow","Action":"s3:*"}]}"#,
                vec!["statement 1 must have either a Resource or a NotResource"],
            ),
            (
                "principal",
                r#"{"Statement":[{"Effect":"Allow","Action":"s3:*","NotResource":"a","Principal":"*"}]}"#,
                vec!["statement 1 must not have a Principal: the policy is about whoever has it"],
            ),
        ];
        for (what, text, expected) in cases {
            let problems = check_permission_policy(&Document::parse(text).unwrap());
            assert_eq!(
                problems.iter().map(ToString::to_string).collect::<Vec<_>>(),
                expected,
                "{what}"
            );
        }
    }
}
