//! Names that EKS, Kubernetes and IAM accept, checked before a request is sent.

use thiserror::Error;

/// A name that the service would refuse. The message says which rule it breaks.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{name:?} is not a valid {kind}: {rule}")]
pub struct NameError {
    /// What the name stands for, such as `cluster name`.
    pub kind: &'static str,
    /// The text that was given.
    pub name: String,
    /// The rule that it breaks, as a clause without a full stop.
    pub rule: &'static str,
}

impl NameError {
    fn new(kind: &'static str, name: &str, rule: &'static str) -> Self {
        Self {
            kind,
            name: name.to_owned(),
            rule,
        }
    }
}

/// Whether a name may hold the IAM wildcards `*` and `?`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wildcards {
    /// The text is a name and stands for itself.
    Refused,
    /// The text is a pattern for an IAM condition.
    Allowed,
}

/// Whether `text` holds one of the IAM wildcards `*` and `?`.
pub fn has_wildcard(text: &str) -> bool {
    text.contains(['*', '?'])
}

/// Checks an EKS cluster name: 1 to 100 letters, digits, `-` and `_`, starting with a letter or a digit (EKS API, `CreateCluster`).
///
/// # Errors
/// [`NameError`] with the rule that is broken.
pub fn check_cluster_name(name: &str, wildcards: Wildcards) -> Result<(), NameError> {
    let kind = "cluster name";
    check_length(kind, name, 100, "it must have 1 to 100 characters")?;
    if !name
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_') || allowed(c, wildcards))
    {
        return Err(NameError::new(
            kind,
            name,
            "only letters, digits, '-' and '_' may be used",
        ));
    }
    if !name.starts_with(|c: char| c.is_ascii_alphanumeric() || allowed(c, wildcards)) {
        return Err(NameError::new(
            kind,
            name,
            "it must start with a letter or a digit",
        ));
    }
    Ok(())
}

/// Checks a Kubernetes namespace: an RFC 1123 label of at most 63 characters.
///
/// # Errors
/// [`NameError`] with the rule that is broken.
pub fn check_namespace(name: &str, wildcards: Wildcards) -> Result<(), NameError> {
    let kind = "Kubernetes namespace";
    check_length(kind, name, 63, "it must have 1 to 63 characters")?;
    check_label(kind, name, wildcards)
}

/// Checks a Kubernetes service account name: an RFC 1123 subdomain of at most 253 characters.
///
/// # Errors
/// [`NameError`] with the rule that is broken.
pub fn check_service_account(name: &str, wildcards: Wildcards) -> Result<(), NameError> {
    let kind = "Kubernetes service account";
    if name.starts_with("system:serviceaccount:") {
        return Err(NameError::new(
            kind,
            name,
            "give only the name, without \"system:serviceaccount:\" and the namespace",
        ));
    }
    check_length(kind, name, 253, "it must have 1 to 253 characters")?;
    for label in name.split('.') {
        if label.is_empty() {
            return Err(NameError::new(
                kind,
                name,
                "the parts between dots must not be empty",
            ));
        }
        check_label(kind, label, wildcards).map_err(|error| NameError {
            name: name.to_owned(),
            ..error
        })?;
    }
    Ok(())
}

/// Checks an IAM role name: 1 to 64 letters, digits and `_+=,.@-` (IAM API, `CreateRole`).
///
/// # Errors
/// [`NameError`] with the rule that is broken.
pub fn check_role_name(name: &str) -> Result<(), NameError> {
    let kind = "IAM role name";
    check_length(kind, name, 64, "it must have 1 to 64 characters")?;
    if !name
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || "_+=,.@-".contains(c))
    {
        return Err(NameError::new(
            kind,
            name,
            "only letters, digits and the characters _+=,.@- may be used",
        ));
    }
    Ok(())
}

/// Checks an IAM path: `/`, or `/…/` of printable ASCII, at most 512 characters (IAM API, `CreateRole`).
///
/// # Errors
/// [`NameError`] with the rule that is broken.
pub fn check_path(path: &str) -> Result<(), NameError> {
    let kind = "IAM path";
    check_length(kind, path, 512, "it must have 1 to 512 characters")?;
    if !path.starts_with('/') || !path.ends_with('/') {
        return Err(NameError::new(
            kind,
            path,
            "it must start and end with a slash",
        ));
    }
    if !path.chars().all(|c| ('!'..='~').contains(&c)) {
        return Err(NameError::new(
            kind,
            path,
            "only printable ASCII characters other than the space may be used",
        ));
    }
    Ok(())
}

/// Checks an AWS account id: 12 digits.
///
/// # Errors
/// [`NameError`] with the rule that is broken.
pub fn check_account_id(id: &str) -> Result<(), NameError> {
    if is_account_id(id) {
        Ok(())
    } else {
        Err(NameError::new(
            "AWS account id",
            id,
            "it must have exactly 12 digits",
        ))
    }
}

/// Whether `text` is an AWS account id: 12 digits.
pub fn is_account_id(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|b| b.is_ascii_digit())
}

/// Checks an AWS Organizations id: `o-` and 10 to 32 lower-case letters or digits (Organizations API).
///
/// # Errors
/// [`NameError`] with the rule that is broken.
pub fn check_organization_id(id: &str) -> Result<(), NameError> {
    let valid = id.strip_prefix("o-").is_some_and(|rest| {
        (10..=32).contains(&rest.len())
            && rest
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
    });
    if valid {
        Ok(())
    } else {
        Err(NameError::new(
            "AWS Organizations id",
            id,
            "it must be \"o-\" followed by 10 to 32 lower-case letters or digits",
        ))
    }
}

fn allowed(c: char, wildcards: Wildcards) -> bool {
    wildcards == Wildcards::Allowed && matches!(c, '*' | '?')
}

fn check_length(
    kind: &'static str,
    name: &str,
    max: usize,
    rule: &'static str,
) -> Result<(), NameError> {
    if name.is_empty() || name.chars().count() > max {
        Err(NameError::new(kind, name, rule))
    } else {
        Ok(())
    }
}

fn check_label(kind: &'static str, label: &str, wildcards: Wildcards) -> Result<(), NameError> {
    let edge = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || allowed(c, wildcards);
    if !label.chars().all(|c| edge(c) || c == '-') {
        return Err(NameError::new(
            kind,
            label,
            "only lower-case letters, digits and '-' may be used",
        ));
    }
    if !label.starts_with(edge) || !label.ends_with(edge) {
        return Err(NameError::new(
            kind,
            label,
            "it must start and end with a lower-case letter or a digit",
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        type Check = fn(&str) -> Result<(), NameError>;
        let cluster: Check = |n| check_cluster_name(n, Wildcards::Refused);
        let namespace: Check = |n| check_namespace(n, Wildcards::Refused);
        let account: Check = |n| check_service_account(n, Wildcards::Refused);
        let namespace_pattern: Check = |n| check_namespace(n, Wildcards::Allowed);
        let account_pattern: Check = |n| check_service_account(n, Wildcards::Allowed);
        let long_63 = "a".repeat(63);
        let long_64 = "a".repeat(64);
        let long_100 = "a".repeat(100);
        let long_101 = "a".repeat(101);
        let long_253 = vec!["a".repeat(63); 4].join(".")[..253].to_owned();
        let long_254 = "a".repeat(254);
        let cases: &[(&str, Check, &str, bool)] = &[
            ("cluster", cluster, "demo_1-X", true),
            ("cluster of 100", cluster, &long_100, true),
            ("cluster of 101", cluster, &long_101, false),
            ("cluster empty", cluster, "", false),
            ("cluster starting with a dash", cluster, "-demo", false),
            ("cluster with a dot", cluster, "a.b", false),
            ("cluster with a wildcard", cluster, "demo*", false),
            ("namespace", namespace, "kube-system", true),
            ("namespace of 63", namespace, &long_63, true),
            ("namespace of 64", namespace, &long_64, false),
            ("namespace in upper case", namespace, "Payments", false),
            ("namespace with a dot", namespace, "a.b", false),
            ("namespace ending with a dash", namespace, "a-", false),
            ("namespace with a wildcard", namespace, "preview-*", false),
            ("namespace pattern", namespace_pattern, "preview-*", true),
            (
                "namespace pattern with a slash",
                namespace_pattern,
                "a/*",
                false,
            ),
            ("service account", account, "api.v1", true),
            ("service account of 253", account, &long_253, true),
            ("service account of 254", account, &long_254, false),
            ("service account with an empty part", account, "a..b", false),
            (
                "service account as a subject",
                account,
                "system:serviceaccount:a:b",
                false,
            ),
            ("service account pattern", account_pattern, "*", true),
            ("role", check_role_name, "a_b+=,.@-9", true),
            ("role with a slash", check_role_name, "team/app", false),
            ("role of 65", check_role_name, &long_101[..65], false),
            ("path", check_path, "/team/app/", true),
            ("root path", check_path, "/", true),
            (
                "path without a slash at the end",
                check_path,
                "/team",
                false,
            ),
            ("path with a space", check_path, "/a b/", false),
            ("account id", check_account_id, "123456789012", true),
            ("short account id", check_account_id, "12345678901", false),
            ("organization", check_organization_id, "o-a1b2c3d4e5", true),
            ("short organization", check_organization_id, "o-a1b2", false),
        ];
        for (what, check, name, valid) in cases {
            assert_eq!(check(name).is_ok(), *valid, "{what}: {:?}", check(name));
        }
    }
}
