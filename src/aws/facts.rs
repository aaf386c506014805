//! What the shared look-ups answer: clusters, add-on versions, roles.

use std::collections::BTreeMap;

use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;
use percent_encoding::percent_decode_str;

/// An EKS cluster, from `DescribeCluster`.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct ClusterInfo {
    /// The name.
    pub name: String,
    /// The ARN.
    pub arn: String,
    /// The Kubernetes version: `1.33`.
    pub version: String,
    /// The EKS platform version: `eks.12`.
    pub platform_version: String,
    /// `ACTIVE`, `CREATING`, …
    pub status: String,
    /// URL of the Kubernetes API; empty while the cluster is being created.
    pub endpoint: String,
    /// The cluster's CA certificates, base64 of PEM; empty while the cluster is being created.
    pub certificate_authority: String,
    /// URL of the OIDC issuer, if there is one.
    pub oidc_issuer: Option<String>,
    /// Whether pods have IPv6 addresses, and no others.
    pub ipv6: bool,
    /// Whether EKS Auto Mode runs the nodes. The Pod Identity agent is then built in.
    pub auto_mode: bool,
    /// Tags of the cluster.
    pub tags: BTreeMap<String, String>,
}

impl From<&aws_sdk_eks::types::Cluster> for ClusterInfo {
    fn from(cluster: &aws_sdk_eks::types::Cluster) -> Self {
        let text = |value: Option<&str>| value.unwrap_or_default().to_owned();
        Self {
            name: text(cluster.name()),
            arn: text(cluster.arn()),
            version: text(cluster.version()),
            platform_version: text(cluster.platform_version()),
            status: text(cluster.status().map(|status| status.as_str())),
            endpoint: text(cluster.endpoint()),
            certificate_authority: text(cluster.certificate_authority().and_then(|ca| ca.data())),
            oidc_issuer: cluster
                .identity()
                .and_then(|identity| identity.oidc())
                .and_then(|oidc| oidc.issuer())
                .map(ToOwned::to_owned),
            ipv6: cluster
                .kubernetes_network_config()
                .and_then(|network| network.ip_family())
                .is_some_and(|family| family.as_str() == "ipv6"),
            auto_mode: cluster
                .compute_config()
                .and_then(|compute| compute.enabled())
                .unwrap_or_default(),
            tags: cluster
                .tags()
                .map(|tags| tags.clone().into_iter().collect())
                .unwrap_or_default(),
        }
    }
}

/// One version of an add-on that fits a Kubernetes version, from `DescribeAddonVersions`.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct AddonVersion {
    /// `v1.3.9-eksbuild.1`.
    pub version: String,
    /// Whether EKS installs this one by default on that Kubernetes version.
    pub default: bool,
    /// Whether it cannot run without configuration values.
    pub requires_configuration: bool,
    /// Whether it needs IAM permissions of its own.
    pub requires_iam_permissions: bool,
    /// Processor architectures: `amd64`, `arm64`.
    pub architectures: Vec<String>,
    /// Where it runs: `ec2`, `hybrid`, `auto`, …
    pub compute_types: Vec<String>,
}

impl AddonVersion {
    /// The version as seen from the Kubernetes version `kubernetes_version`.
    #[must_use]
    pub fn new(info: &aws_sdk_eks::types::AddonVersionInfo, kubernetes_version: &str) -> Self {
        Self {
            version: info.addon_version().unwrap_or_default().to_owned(),
            default: info.compatibilities().iter().any(|compatibility| {
                compatibility.cluster_version() == Some(kubernetes_version)
                    && compatibility.default_version()
            }),
            requires_configuration: info.requires_configuration(),
            requires_iam_permissions: info.requires_iam_permissions(),
            architectures: info.architecture().to_vec(),
            compute_types: info.compute_types().to_vec(),
        }
    }
}

/// An IAM role, from `GetRole` or a write.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct RoleInfo {
    /// The name.
    pub name: String,
    /// The ARN.
    pub arn: String,
    /// The path, `/` if none was given.
    pub path: String,
    /// The stable id: `AROA…`.
    pub unique_id: String,
    /// When it was created, RFC 3339.
    pub create_date: String,
    /// The description, if any.
    pub description: Option<String>,
    /// Longest session in seconds.
    pub max_session_duration: i64,
    /// ARN of the permissions boundary, if any.
    pub permissions_boundary: Option<String>,
    /// The trust policy as JSON text, URL-decoded.
    pub assume_role_policy: String,
    /// Tags of the role.
    pub tags: BTreeMap<String, String>,
}

impl From<&aws_sdk_iam::types::Role> for RoleInfo {
    fn from(role: &aws_sdk_iam::types::Role) -> Self {
        Self {
            name: role.role_name().to_owned(),
            arn: role.arn().to_owned(),
            path: role.path().to_owned(),
            unique_id: role.role_id().to_owned(),
            create_date: rfc3339(role.create_date()),
            description: role
                .description()
                .filter(|text| !text.is_empty())
                .map(ToOwned::to_owned),
            max_session_duration: i64::from(role.max_session_duration().unwrap_or(3600)),
            permissions_boundary: role
                .permissions_boundary()
                .and_then(|boundary| boundary.permissions_boundary_arn())
                .map(ToOwned::to_owned),
            assume_role_policy: role
                .assume_role_policy_document()
                .map(url_decode)
                .unwrap_or_default(),
            tags: role
                .tags()
                .iter()
                .map(|tag| (tag.key().to_owned(), tag.value().to_owned()))
                .collect(),
        }
    }
}

/// A policy document as IAM returns it (RFC 3986 percent-encoding), decoded. A document that is not encoded stays as it
/// is: JSON never holds a bare `%XX` outside of strings, and IAM encodes always.
#[must_use]
pub fn url_decode(document: &str) -> String {
    if document.trim_start().starts_with(['{', '[']) {
        return document.to_owned();
    }
    percent_decode_str(document)
        .decode_utf8_lossy()
        .into_owned()
}

/// A time of an AWS answer as RFC 3339 text in UTC: `2026-11-22T01:02:03Z`.
#[must_use]
pub fn rfc3339(time: &DateTime) -> String {
    // Whole seconds, as hashicorp/aws shows times. Formatting fails only outside of years 0 to 9999.
    DateTime::from_secs(time.secs())
        .fmt(Format::DateTime)
        .unwrap_or_else(|_| time.secs().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies_are_decoded_once() {
        for (encoded, decoded) in [
            (
                "%7B%22Version%22%3A%222012-10-17%22%7D",
                r#"{"Version":"2012-10-17"}"#,
            ),
            (r#"{"Sid":"100%25"}"#, r#"{"Sid":"100%25"}"#),
            ("%7B%22Sid%22%3A%22a%2Bb%20c%22%7D", r#"{"Sid":"a+b c"}"#),
        ] {
            assert_eq!(url_decode(encoded), decoded);
        }
    }

    #[test]
    fn times_are_rfc_3339() {
        assert_eq!(
            rfc3339(&DateTime::from_secs_and_nanos(0, 5)),
            "1970-01-01T00:00:00Z"
        );
    }

    #[test]
    fn the_default_version_is_that_of_the_kubernetes_version() {
        use aws_sdk_eks::types::{AddonVersionInfo, Compatibility};
        let info = AddonVersionInfo::builder()
            .addon_version("v1.3.9-eksbuild.1")
            .compatibilities(
                Compatibility::builder()
                    .cluster_version("1.33")
                    .default_version(true)
                    .build(),
            )
            .compatibilities(Compatibility::builder().cluster_version("1.34").build())
            .build();
        assert!(AddonVersion::new(&info, "1.33").default);
        assert!(!AddonVersion::new(&info, "1.34").default);
    }
}
