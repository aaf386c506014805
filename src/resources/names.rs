//! Names that EKS and IAM take, as validators of attributes. The rules are in [`crate::policy::name`].

use crate::framework::schema::Validator;
use crate::framework::validators;
use crate::policy::name::{self, NameError, Wildcards, has_wildcard};

/// An EKS cluster name.
pub fn cluster_name() -> impl Validator {
    validators::string(
        "an EKS cluster name: 1 to 100 letters, digits, hyphens and underscores, starting with a letter or digit",
        |text| rule(name::check_cluster_name(text, Wildcards::Refused)),
    )
}

/// A Kubernetes namespace: an RFC 1123 label.
pub fn namespace() -> impl Validator {
    validators::string(
        "a Kubernetes namespace: 1 to 63 lower-case letters, digits and hyphens, starting and ending with a letter or digit",
        |text| {
            refuse_wildcards(text)?;
            rule(name::check_namespace(text, Wildcards::Refused))
        },
    )
}

/// A Kubernetes service account: an RFC 1123 subdomain.
pub fn service_account() -> impl Validator {
    validators::string(
        "a Kubernetes service account name: 1 to 253 lower-case letters, digits, hyphens and dots, each part starting and ending with a letter or digit",
        |text| {
            refuse_wildcards(text)?;
            if text.starts_with("system:serviceaccount:") {
                return Err(
                    "it is the user name of a service account; give only its last part".to_owned(),
                );
            }
            rule(name::check_service_account(text, Wildcards::Refused))
        },
    )
}

/// An IAM role name.
pub fn role_name() -> impl Validator {
    validators::string(
        "an IAM role name: 1 to 64 letters, digits and the characters _+=,.@-",
        |text| rule(name::check_role_name(text)),
    )
}

/// A prefix of an IAM role name: at most 38 characters, so that the unique part (26) fits.
pub fn role_name_prefix() -> impl Validator {
    validators::string(
        "a prefix of an IAM role name: 1 to 38 letters, digits and the characters _+=,.@-",
        |text| {
            if text.chars().count() > ROLE_NAME_PREFIX_MAX {
                return Err(format!(
                    "it has {} characters; {ROLE_NAME_PREFIX_MAX} leave room for the 26 that make the name unique",
                    text.chars().count()
                ));
            }
            rule(name::check_role_name(text))
        },
    )
}

/// A path of an IAM role.
pub fn role_path() -> impl Validator {
    validators::string(
        "an IAM path: `/`, or up to 512 characters that start and end with `/`",
        |text| rule(name::check_path(text)),
    )
}

/// Longest `name_prefix` of a role.
pub const ROLE_NAME_PREFIX_MAX: usize = 38;

fn rule(result: Result<(), NameError>) -> Result<(), String> {
    // The validator says which value was found; the rule is what is missing.
    result.map_err(|error| error.rule.to_owned())
}

/// Wildcards are the mistake that people bring from IRSA, so they get an answer of their own.
fn refuse_wildcards(text: &str) -> Result<(), String> {
    if has_wildcard(text) {
        return Err(
            "it contains a wildcard; EKS Pod Identity associates exactly one service account, so write one association for each"
                .to_owned(),
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cty::Value;

    #[test]
    fn names_are_checked_as_eks_and_iam_do() {
        let long_prefix = "a".repeat(39);
        let cases: &[(&str, &dyn Validator, &str, &str)] = &[
            ("namespace", &namespace(), "payments", ""),
            (
                "namespace with a wildcard",
                &namespace(),
                "pay*",
                "wildcard",
            ),
            (
                "namespace with a capital",
                &namespace(),
                "Payments",
                "lower-case",
            ),
            ("service account", &service_account(), "api.v1", ""),
            (
                "service account user name",
                &service_account(),
                "system:serviceaccount:a:b",
                "last part",
            ),
            (
                "service account wildcard",
                &service_account(),
                "*",
                "wildcard",
            ),
            ("cluster", &cluster_name(), "Demo_1", ""),
            (
                "cluster ARN",
                &cluster_name(),
                "arn:aws:eks:us-east-1:123456789012:cluster/demo",
                "only letters",
            ),
            ("role name", &role_name(), "pay+ments@x", ""),
            (
                "role ARN for a name",
                &role_name(),
                "arn:aws:iam::123456789012:role/x",
                "may be used",
            ),
            ("prefix", &role_name_prefix(), "payments-", ""),
            (
                "long prefix",
                &role_name_prefix(),
                &long_prefix,
                "39 characters",
            ),
            ("path", &role_path(), "/services/payments/", ""),
            ("path without a slash", &role_path(), "services", "/"),
        ];
        for (case, validator, input, expected) in cases {
            let diagnostics = validators::check(*validator, Value::from(*input));
            assert_eq!(diagnostics.has_errors(), !expected.is_empty(), "{case}");
            for diagnostic in diagnostics {
                assert!(
                    diagnostic.detail.contains(expected),
                    "{case}: {}",
                    diagnostic.detail
                );
            }
        }
    }
}
