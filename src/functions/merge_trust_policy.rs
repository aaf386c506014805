//! `merge_trust_policy`: a trust policy, as JSON, that also lets EKS Pod Identity in for one service account.
//!
//! A role has one trust policy and no object of its own for parts of it, so two writers undo each other's work. Who manages the role with `aws_iam_role`
//! therefore has that resource write what this function returns, and the migration only checks it (`trust.mode = "verify"`).

use std::str::FromStr;

use crate::cty::{Type, Value};
use crate::framework::function::{Function, FunctionDefinition, FunctionError, Parameter};
use crate::policy::name::{Wildcards, check_namespace, check_service_account, has_wildcard};
use crate::policy::size::{TRUST_QUOTA_MAX, check_trust_size};
use crate::policy::{
    ClusterArn, Document, Grant, GrantChange, NameError, Problem, Scope, Verdict, analyze,
    check_trust_policy,
};

/// Positions of the arguments.
const POLICY: usize = 0;
const CLUSTER_ARN: usize = 1;
const NAMESPACE: usize = 2;
const SERVICE_ACCOUNT: usize = 3;
const OPTIONS: usize = 4;

/// See the [module](self).
#[derive(Debug, Default)]
pub struct MergeTrustPolicy;

impl Function for MergeTrustPolicy {
    fn name(&self) -> &'static str {
        "merge_trust_policy"
    }

    fn definition(&self) -> FunctionDefinition {
        let parameter = |name, ty, description: &str| Parameter {
            name,
            ty,
            description: description.to_owned(),
            allow_null: false,
            allow_unknown: false,
        };
        FunctionDefinition {
            parameters: vec![
                parameter(
                    "policy",
                    Type::String,
                    "The trust policy as it is, as JSON: what `assume_role_policy` of `aws_iam_role` would be without this function.",
                ),
                parameter(
                    "cluster_arn",
                    Type::String,
                    "ARN of the EKS cluster: `arn:aws:eks:REGION:ACCOUNT:cluster/NAME`.",
                ),
                parameter(
                    "namespace",
                    Type::String,
                    "Kubernetes namespace of the service account.",
                ),
                parameter(
                    "service_account",
                    Type::String,
                    "Name of the Kubernetes service account.",
                ),
            ],
            variadic_parameter: Some(Parameter {
                allow_null: true,
                ..parameter(
                    "options",
                    Type::Dynamic,
                    "At most one object with any of these attributes. \
                     `scope`: for whom a statement that has to be added is: `service_account` (default), `cluster`, `account` or `none` (no conditions). \
                     `disable_session_tags`: whether the association has session tags turned off, as its argument of the same name; it needs a `scope` wider than \
                     `service_account`. Default: `false`. \
                     `service_principal`: the service principal of EKS Pod Identity. Default: `pods.eks.amazonaws.com`.",
                )
            }),
            result: Type::String,
            summary: "Adds trust in EKS Pod Identity for a service account to a trust policy."
                .to_owned(),
            description:
                "Returns a trust policy with trust in EKS Pod Identity for one service account added, as JSON.\n\n\
                 Use it where the role belongs to an `aws_iam_role`, together with `trust = { mode = \"verify\" }` of `podidentity_irsa_migration`: one place writes \
                 the trust policy, and the migration waits until it is as it must be. Calls can be nested, one for each service account of the role; those of one cluster and \
                 namespace share one statement.\n\n\
                 Everything that is in the policy stays, in its order. A policy that lets the service account in already is returned as it is, so calling the \
                 function on its own result changes nothing, and trust is never wider than it was and needs to be. A policy that could never work, because a statement denies \
                 EKS Pod Identity the role for example, is an error."
                    .to_owned(),
        }
    }

    fn call(&self, arguments: &[Value]) -> Result<Value, FunctionError> {
        // Terraform does not call a function with unknown arguments that does not allow them.
        if !arguments.iter().all(Value::is_wholly_known) {
            return Ok(Value::unknown());
        }
        let policy = text(arguments, POLICY)?;
        let document = Document::parse(policy).map_err(|error| at(POLICY, error.to_string()))?;
        let cluster = ClusterArn::parse(text(arguments, CLUSTER_ARN)?)
            .map_err(|error| at(CLUSTER_ARN, error.to_string()))?;
        let namespace = name(arguments, NAMESPACE, |text| {
            check_namespace(text, Wildcards::Refused)
        })?;
        let service_account = name(arguments, SERVICE_ACCOUNT, |text| {
            check_service_account(text, Wildcards::Refused)
        })?;
        let mut grant = Grant::new(cluster, namespace, service_account);
        Options::of(arguments)?.apply(&mut grant);

        let granted = grant
            .add(&document)
            .map_err(|error| at(OPTIONS.min(arguments.len() - 1), error.to_string()))?;
        // What of it can never hold is no reason to refuse: another statement does, or the verdict below says why none can.
        if let Some(problem) = check_trust_policy(&granted.document, &grant.pod())
            .iter()
            .find(|problem| !matches!(problem, Problem::NeverHolds(_)))
        {
            return Err(at(POLICY, clause(&problem.to_string())));
        }
        if let Verdict::CanNeverWork(reasons) = analyze(&granted.document, &grant.pod()) {
            let reasons: Vec<String> = reasons
                .iter()
                .map(|reason| format!("{reason}. {}", reason.advice()))
                .collect();
            return Err(at(
                POLICY,
                clause(&format!(
                    "pods of the service account could never assume the role: {}",
                    reasons.join(" ")
                )),
            ));
        }
        let merged = match granted.change {
            GrantChange::Covered { .. } => policy.to_owned(),
            GrantChange::Added { .. } | GrantChange::Merged { .. } => granted.document.to_json(),
        };
        check_trust_size(&merged, TRUST_QUOTA_MAX).map_err(|error| {
            at(
                POLICY,
                format!("with the service account added {error}, which is the most that IAM can be asked for"),
            )
        })?;
        Ok(Value::from(merged))
    }
}

/// The last argument.
#[derive(Debug, Default)]
struct Options {
    scope: Option<Scope>,
    disable_session_tags: bool,
    service_principal: Option<String>,
}

impl Options {
    fn of(arguments: &[Value]) -> Result<Self, FunctionError> {
        if arguments.len() > OPTIONS + 1 {
            return Err(at(
                OPTIONS + 1,
                "there must be at most one object of options".to_owned(),
            ));
        }
        let mut options = Self::default();
        let Some(value) = arguments
            .get(OPTIONS)
            .map(Value::unwrapped)
            .filter(|value| !value.is_null())
        else {
            return Ok(options);
        };
        let Some(entries) = value.as_entries() else {
            return Err(at(
                OPTIONS,
                format!(
                    "it must be an object such as {{ scope = \"cluster\" }}, but it is {}",
                    value.kind()
                ),
            ));
        };
        for (key, value) in entries {
            if value.is_null() {
                continue;
            }
            let wrong = |expected: &str| {
                at(
                    OPTIONS,
                    format!("{key} must be {expected}, but it is {}", value.kind()),
                )
            };
            match key.as_str() {
                "scope" => {
                    let text = value.as_str().ok_or_else(|| wrong("a string"))?;
                    options.scope = Some(
                        Scope::from_str(text).map_err(|error| at(OPTIONS, error.to_string()))?,
                    );
                }
                "disable_session_tags" => {
                    // The values of a map all have one type, so that a bool beside a string has become one.
                    options.disable_session_tags = match (value.as_bool(), value.as_str()) {
                        (Some(truth), _) => truth,
                        (None, Some("true")) => true,
                        (None, Some("false")) => false,
                        _ => return Err(wrong("a bool")),
                    };
                }
                "service_principal" => {
                    let text = value.as_str().ok_or_else(|| wrong("a string"))?;
                    if text.is_empty() || has_wildcard(text) {
                        return Err(at(
                            OPTIONS,
                            format!(
                                "service_principal {text:?} is not a service principal such as pods.eks.amazonaws.com"
                            ),
                        ));
                    }
                    options.service_principal = Some(text.to_owned());
                }
                _ => {
                    return Err(at(
                        OPTIONS,
                        format!(
                            "{key:?} is not an option; there are scope, disable_session_tags and service_principal"
                        ),
                    ));
                }
            }
        }
        Ok(options)
    }

    fn apply(self, grant: &mut Grant) {
        grant.scope = self.scope.unwrap_or_default();
        grant.session_tags = !self.disable_session_tags;
        if let Some(principal) = self.service_principal {
            grant.service_principal = principal;
        }
    }
}

fn text(arguments: &[Value], position: usize) -> Result<&str, FunctionError> {
    arguments
        .get(position)
        .and_then(Value::as_str)
        .ok_or_else(|| at(position, "it must be a string".to_owned()))
}

fn name(
    arguments: &[Value],
    position: usize,
    check: impl Fn(&str) -> Result<(), NameError>,
) -> Result<String, FunctionError> {
    let text = text(arguments, position)?;
    if has_wildcard(text) {
        return Err(at(
            position,
            format!(
                "{text:?} contains a wildcard; EKS Pod Identity associates exactly one service account, so nest one call for each"
            ),
        ));
    }
    check(text).map_err(|error| at(position, error.to_string()))?;
    Ok(text.to_owned())
}

/// An error about one argument. Terraform puts its own words before the text and a full stop behind it.
fn at(argument: usize, text: String) -> FunctionError {
    FunctionError {
        text,
        argument: Some(argument),
    }
}

/// A sentence without its full stop.
fn clause(sentence: &str) -> String {
    sentence.trim_end().trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::equivalent_json;

    const CLUSTER: &str = "arn:aws:eks:us-east-1:123456789012:cluster/demo";
    const IRSA: &str = r#"{ "Version": "2012-10-17", "Id": "mine", "Statement": { "Sid": "Irsa", "Effect": "Allow",
        "Principal": { "Federated": "arn:aws:iam::123456789012:oidc-provider/oidc.eks.us-east-1.amazonaws.com/id/AAAA" },
        "Action": "sts:AssumeRoleWithWebIdentity",
        "Condition": { "StringEquals": { "oidc.eks.us-east-1.amazonaws.com/id/AAAA:sub": "system:serviceaccount:payments:api" } } } }"#;

    fn arguments(policy: &str, service_account: &str) -> Vec<Value> {
        [policy, CLUSTER, "payments", service_account]
            .map(Value::from)
            .to_vec()
    }

    fn with_options(options: Value) -> Vec<Value> {
        let mut all = arguments(IRSA, "api");
        all.push(Value::dynamic(Type::Dynamic, options));
        all
    }

    fn merge(arguments: &[Value]) -> String {
        let value = MergeTrustPolicy.call(arguments).unwrap();
        value.as_str().unwrap().to_owned()
    }

    #[test]
    fn trust_is_added_once_and_everything_else_stays() {
        let once = merge(&arguments(IRSA, "api"));
        let document = Document::parse(&once).unwrap();
        assert_eq!(document.id(), Some("mine"));
        assert_eq!(document.statements().len(), 2);
        assert_eq!(document.statements()[0].sid(), Some("Irsa"));
        assert!(once.contains("\"aws:RequestTag/kubernetes-service-account\":\"api\""));
        assert_eq!(merge(&arguments(&once, "api")), once);

        // Nested calls share a statement, in whatever order they are nested.
        let twice = merge(&arguments(&once, "worker"));
        assert_eq!(Document::parse(&twice).unwrap().statements().len(), 2);
        let other_way = merge(&arguments(&merge(&arguments(IRSA, "worker")), "api"));
        assert!(equivalent_json(&twice, &other_way));
        assert_eq!(merge(&arguments(&twice, "api")), twice);
    }

    #[test]
    fn a_policy_that_lets_the_service_account_in_stays_as_it_is_written() {
        let wide = r#"{
            "Version": "2012-10-17",
            "Statement": [ { "Effect": "Allow", "Principal": { "Service": "pods.eks.amazonaws.com" }, "Action": ["sts:TagSession", "sts:AssumeRole"] } ]
        }"#;
        assert_eq!(merge(&arguments(wide, "api")), wide);
    }

    #[test]
    fn options_say_for_whom_the_statement_is() {
        let narrow = merge(&with_options(Value::Null));
        assert_eq!(narrow, merge(&arguments(IRSA, "api")));
        assert_eq!(
            narrow,
            merge(&with_options(Value::object([("scope", Value::Null)])))
        );
        for (options, has, has_not) in [
            (
                vec![("scope", Value::from("cluster"))],
                CLUSTER,
                "kubernetes-service-account",
            ),
            (
                vec![("scope", Value::from("account"))],
                "aws:SourceAccount",
                CLUSTER,
            ),
            (
                vec![("scope", Value::from("none"))],
                "pods.eks.amazonaws.com",
                "aws:SourceAccount",
            ),
            (
                vec![
                    ("scope", Value::from("cluster")),
                    ("disable_session_tags", true.into()),
                ],
                "aws:SourceArn",
                "aws:RequestTag",
            ),
            (
                vec![
                    ("scope", Value::from("cluster")),
                    ("disable_session_tags", "true".into()),
                ],
                "aws:SourceArn",
                "aws:RequestTag",
            ),
            (
                vec![("service_principal", Value::from("pods.eks.example.com"))],
                "pods.eks.example.com",
                "pods.eks.amazonaws.com",
            ),
        ] {
            let merged = merge(&with_options(Value::object(options)));
            assert!(
                merged.contains(has) && !merged.contains(has_not),
                "{merged}"
            );
        }
    }

    #[test]
    fn errors_point_at_the_argument() {
        let replaced = |position: usize, value: &str| {
            let mut all = arguments(IRSA, "api");
            all[position] = Value::from(value);
            all
        };
        let denied = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Principal":"*","Action":"sts:*"}]}"#;
        let resource = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"sts:AssumeRole","Resource":"*"}]}"#;
        let padding = "x".repeat(TRUST_QUOTA_MAX);
        let large = format!(r#"{{"Version":"2012-10-17","Id":"{padding}","Statement":[]}}"#);
        let mut too_many = with_options(Value::Null);
        too_many.push(Value::Null);
        let cases = [
            (replaced(POLICY, "{"), POLICY, "not valid JSON"),
            (replaced(POLICY, ""), POLICY, "is empty"),
            (replaced(POLICY, "\"{}\""), POLICY, "encoded twice"),
            (replaced(POLICY, denied), POLICY, "denies sts:AssumeRole"),
            (
                replaced(POLICY, resource),
                POLICY,
                "must not have a Resource",
            ),
            (replaced(POLICY, &large), POLICY, "8192"),
            (replaced(CLUSTER_ARN, "demo"), CLUSTER_ARN, "demo"),
            (replaced(NAMESPACE, "Payments"), NAMESPACE, "lower-case"),
            (replaced(NAMESPACE, "pay-*"), NAMESPACE, "wildcard"),
            (
                replaced(SERVICE_ACCOUNT, "system:serviceaccount:a:b"),
                SERVICE_ACCOUNT,
                "only the name",
            ),
            (
                with_options(Value::from("cluster")),
                OPTIONS,
                "must be an object such as",
            ),
            (
                with_options(Value::object([("scop", Value::from("cluster"))])),
                OPTIONS,
                "\"scop\" is not an option",
            ),
            (
                with_options(Value::object([("scope", Value::from("pod"))])),
                OPTIONS,
                "\"pod\" is not a scope",
            ),
            (
                with_options(Value::object([("scope", Value::from(true))])),
                OPTIONS,
                "scope must be a string",
            ),
            (
                with_options(Value::object([("disable_session_tags", Value::from("no"))])),
                OPTIONS,
                "must be a bool",
            ),
            (
                with_options(Value::object([("disable_session_tags", Value::from(true))])),
                OPTIONS,
                "without session tags",
            ),
            (
                with_options(Value::object([("service_principal", Value::from("*"))])),
                OPTIONS,
                "service principal",
            ),
            (too_many, OPTIONS + 1, "at most one"),
        ];
        for (arguments, position, expected) in cases {
            let error = MergeTrustPolicy.call(&arguments).unwrap_err();
            assert_eq!(error.argument, Some(position), "{error}");
            assert!(error.text.contains(expected), "{expected}: {error}");
            assert!(
                !error.text.ends_with('.'),
                "Terraform adds a full stop: {error}"
            );
        }
    }

    #[test]
    fn unknown_options_give_an_unknown_policy() {
        let options = with_options(Value::object([("scope", Value::unknown())]));
        assert!(MergeTrustPolicy.call(&options).unwrap().is_unknown());
    }
}
