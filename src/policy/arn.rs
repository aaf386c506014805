//! Amazon Resource Names: parsing, checking and comparing.
//!
//! [`Arn`] takes any name apart; the other types are the kinds that this provider meets, checked as AWS would check them.
//! An ARN has exactly one spelling: IAM and EKS compare them with case, so two ARNs are the same when all their parts are.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use super::name::{self, NameError, Wildcards, is_account_id};

/// Why a text is not the ARN that was expected.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ArnError {
    /// The text does not start with `arn:`.
    #[error("{text:?} is not an ARN: it does not start with \"arn:\"")]
    NotAnArn {
        /// The text that was given.
        text: String,
    },
    /// Fewer than six parts.
    #[error(
        "{text:?} is not an ARN: it must have the form arn:partition:service:region:account:resource"
    )]
    TooFewParts {
        /// The text that was given.
        text: String,
    },
    /// White space or control characters.
    #[error("the ARN {text:?} contains white space or control characters")]
    BadCharacter {
        /// The text that was given.
        text: String,
    },
    /// The partition does not start with `aws`, or has characters that no partition has.
    #[error(
        "the ARN {text:?} names the partition {partition:?}, which is not an AWS partition such as aws, aws-cn or aws-us-gov"
    )]
    Partition {
        /// The text that was given.
        text: String,
        /// The part that is wrong.
        partition: String,
    },
    /// The service or the resource is empty.
    #[error("the ARN {text:?} has no {part}")]
    EmptyPart {
        /// The text that was given.
        text: String,
        /// Which part is empty.
        part: &'static str,
    },
    /// The account is not 12 digits.
    #[error("the ARN {text:?} names the account {account:?}, which is not 12 digits")]
    Account {
        /// The text that was given.
        text: String,
        /// The part that is wrong.
        account: String,
    },
    /// A valid ARN, but of something else.
    #[error("{text:?} is the ARN of {found}, not of {expected}")]
    WrongKind {
        /// The text that was given.
        text: String,
        /// What was wanted, with its article.
        expected: &'static str,
        /// What the ARN names, with its article.
        found: String,
    },
    /// A part that the kind of resource must have is missing, or one that it never has is present.
    #[error("the ARN {text:?} is not that of {expected}: {rule}")]
    Form {
        /// The text that was given.
        text: String,
        /// What was wanted, with its article.
        expected: &'static str,
        /// The rule that is broken.
        rule: &'static str,
    },
    /// A name inside the ARN is not valid.
    #[error("the ARN {text:?} contains a name that is not valid")]
    Name {
        /// The text that was given.
        text: String,
        /// Which name, and the rule it breaks.
        #[source]
        source: NameError,
    },
}

/// An ARN in its six parts: `arn:partition:service:region:account:resource`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Arn {
    /// The partition: `aws`, `aws-cn`, `aws-us-gov`, …
    pub partition: String,
    /// The service: `iam`, `eks`, …
    pub service: String,
    /// The region; empty for global services such as IAM.
    pub region: String,
    /// The account: 12 digits, `aws` for what AWS owns, or empty.
    pub account: String,
    /// Everything after the fifth colon.
    pub resource: String,
}

impl Arn {
    /// Parses an ARN.
    ///
    /// # Errors
    /// [`ArnError`] when the text has not the six parts, or the partition or account cannot be right.
    pub fn parse(text: &str) -> Result<Self, ArnError> {
        let arn = Self::split(text, Wildcards::Refused)?;
        if !arn.account.is_empty() && arn.account != "aws" && !is_account_id(&arn.account) {
            return Err(ArnError::Account {
                text: text.to_owned(),
                account: arn.account,
            });
        }
        Ok(arn)
    }

    /// The kind of resource, with its article, for messages: `a role`, `an EKS Pod Identity association`, …
    pub fn kind(&self) -> String {
        let kind = self.resource.split(['/', ':']).next().unwrap_or_default();
        let known = match (self.service.as_str(), kind) {
            ("iam", "role") => "an IAM role",
            ("iam", "user") => "an IAM user",
            ("iam", "group") => "an IAM group",
            ("iam", "policy") => "an IAM policy",
            ("iam", "instance-profile") => "an instance profile",
            ("iam", "oidc-provider") => "an OIDC provider",
            ("iam", "saml-provider") => "a SAML provider",
            ("iam", "root") => "an account",
            ("sts", "assumed-role") => "an assumed-role session",
            ("eks", "cluster") => "an EKS cluster",
            ("eks", "podidentityassociation") => "an EKS Pod Identity association",
            ("eks", "addon") => "an EKS add-on",
            _ => {
                return format!(
                    "{} {}",
                    if self.service.starts_with(['a', 'e', 'i', 'o']) {
                        "an"
                    } else {
                        "a"
                    },
                    [self.service.as_str(), kind].join(" ")
                );
            }
        };
        known.to_owned()
    }

    fn split(text: &str, wildcards: Wildcards) -> Result<Self, ArnError> {
        let owned = || text.to_owned();
        if text.chars().any(|c| c.is_whitespace() || c.is_control()) {
            return Err(ArnError::BadCharacter { text: owned() });
        }
        if !text.starts_with("arn:") {
            return Err(ArnError::NotAnArn { text: owned() });
        }
        let parts: Vec<&str> = text.splitn(6, ':').collect();
        let [_, partition, service, region, account, resource] = parts[..] else {
            return Err(ArnError::TooFewParts { text: owned() });
        };
        let pattern = wildcards == Wildcards::Allowed && name::has_wildcard(partition);
        let suffix = partition.strip_prefix("aws");
        let valid = suffix.is_some_and(|rest| {
            rest.is_empty()
                || (rest.starts_with('-')
                    && rest.len() > 1
                    && rest
                        .bytes()
                        .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-'))
        });
        if !pattern && !valid {
            return Err(ArnError::Partition {
                text: owned(),
                partition: partition.to_owned(),
            });
        }
        for (part, value) in [("service", service), ("resource", resource)] {
            if value.is_empty() {
                return Err(ArnError::EmptyPart {
                    text: owned(),
                    part,
                });
            }
        }
        Ok(Self {
            partition: partition.to_owned(),
            service: service.to_owned(),
            region: region.to_owned(),
            account: account.to_owned(),
            resource: resource.to_owned(),
        })
    }

    /// The resource after `prefix`, when service and resource type are the wanted ones.
    fn resource_of(
        &self,
        text: &str,
        service: &str,
        prefix: &str,
        expected: &'static str,
    ) -> Result<&str, ArnError> {
        if self.service == service
            && let Some(rest) = self.resource.strip_prefix(prefix)
        {
            return Ok(rest);
        }
        Err(ArnError::WrongKind {
            text: text.to_owned(),
            expected,
            found: self.kind(),
        })
    }

    fn without_region(&self, text: &str, expected: &'static str) -> Result<(), ArnError> {
        if self.region.is_empty() {
            Ok(())
        } else {
            Err(ArnError::Form {
                text: text.to_owned(),
                expected,
                rule: "IAM is global, so the region must be empty",
            })
        }
    }

    fn with_account(&self, text: &str, expected: &'static str) -> Result<(), ArnError> {
        if is_account_id(&self.account) {
            Ok(())
        } else {
            Err(ArnError::Form {
                text: text.to_owned(),
                expected,
                rule: "it must name an account of 12 digits",
            })
        }
    }
}

impl fmt::Display for Arn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "arn:{}:{}:{}:{}:{}",
            self.partition, self.service, self.region, self.account, self.resource
        )
    }
}

/// Whether two texts are the ARN of one thing.
///
/// ARNs are compared with case. The one difference in spelling without a difference in meaning is the account principal:
/// `111122223333` and `arn:P:iam::111122223333:root` name the same principal (IAM user guide, "AWS account principals").
pub fn equivalent_arns(a: &str, b: &str) -> bool {
    a == b || account_of_root(a).is_some_and(|account| account_of_root(b) == Some(account))
}

/// The account id of an account principal in either of its forms, `111122223333` or `arn:P:iam::111122223333:root`.
pub fn account_of_root(text: &str) -> Option<&str> {
    if is_account_id(text) {
        return Some(text);
    }
    let (partition, rest) = text.strip_prefix("arn:")?.split_once(':')?;
    let account = rest.strip_prefix("iam::")?.strip_suffix(":root")?;
    (partition.starts_with("aws") && is_account_id(account)).then_some(account)
}

macro_rules! text_conversions {
    ($($kind:ty),*) => {$(
        impl FromStr for $kind {
            type Err = ArnError;

            fn from_str(text: &str) -> Result<Self, ArnError> {
                Self::parse(text)
            }
        }
    )*};
}

text_conversions!(
    Arn,
    RoleArn,
    PolicyArn,
    ClusterArn,
    AssociationArn,
    AddonArn,
    OidcProviderArn
);

/// The ARN of an IAM role: `arn:P:iam::A:role[/path/]NAME`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RoleArn {
    /// The partition.
    pub partition: String,
    /// The account, 12 digits.
    pub account: String,
    /// The path, `/` or `/…/`.
    pub path: String,
    /// The role name, without its path.
    pub name: String,
}

impl RoleArn {
    const EXPECTED: &'static str = "an IAM role";

    /// Parses the ARN of a role.
    ///
    /// # Errors
    /// [`ArnError`] when the text is not an ARN, names something else, or holds a path or name that IAM would refuse.
    pub fn parse(text: &str) -> Result<Self, ArnError> {
        let arn = Arn::parse(text)?;
        let rest = arn.resource_of(text, "iam", "role/", Self::EXPECTED)?;
        arn.without_region(text, Self::EXPECTED)?;
        arn.with_account(text, Self::EXPECTED)?;
        let (path, name) = path_and_name(rest);
        let invalid = |source| ArnError::Name {
            text: text.to_owned(),
            source,
        };
        name::check_role_name(&name).map_err(invalid)?;
        name::check_path(&path).map_err(invalid)?;
        Ok(Self {
            partition: arn.partition,
            account: arn.account,
            path,
            name,
        })
    }

    /// Whether AWS made the role for a service: trust policies of such roles cannot be changed.
    pub fn is_service_linked(&self) -> bool {
        self.path.starts_with("/aws-service-role/")
    }
}

impl fmt::Display for RoleArn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "arn:{}:iam::{}:role{}{}",
            self.partition, self.account, self.path, self.name
        )
    }
}

/// The ARN of a managed IAM policy: `arn:P:iam::A:policy[/path/]NAME`, where `A` is an account or `aws`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PolicyArn {
    /// The partition.
    pub partition: String,
    /// The account, 12 digits; `None` for a policy that AWS owns.
    pub account: Option<String>,
    /// The path, `/` or `/…/`.
    pub path: String,
    /// The policy name, without its path.
    pub name: String,
}

impl PolicyArn {
    const EXPECTED: &'static str = "an IAM policy";

    /// Parses the ARN of a managed policy.
    ///
    /// # Errors
    /// [`ArnError`] when the text is not an ARN, names something else, or holds a path or name that IAM would refuse.
    pub fn parse(text: &str) -> Result<Self, ArnError> {
        let arn = Arn::parse(text)?;
        let rest = arn.resource_of(text, "iam", "policy/", Self::EXPECTED)?;
        arn.without_region(text, Self::EXPECTED)?;
        let account = if arn.account == "aws" {
            None
        } else {
            arn.with_account(text, Self::EXPECTED)?;
            Some(arn.account.clone())
        };
        let (path, name) = path_and_name(rest);
        let valid = (1..=128).contains(&name.len())
            && name
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "_+=,.@-".contains(c));
        if !valid {
            let rule = "it must have 1 to 128 letters, digits and characters of _+=,.@-";
            return Err(ArnError::Name {
                text: text.to_owned(),
                source: NameError {
                    kind: "IAM policy name",
                    name,
                    rule,
                },
            });
        }
        name::check_path(&path).map_err(|source| ArnError::Name {
            text: text.to_owned(),
            source,
        })?;
        Ok(Self {
            partition: arn.partition,
            account,
            path,
            name,
        })
    }
}

impl fmt::Display for PolicyArn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "arn:{}:iam::{}:policy{}{}",
            self.partition,
            self.account.as_deref().unwrap_or("aws"),
            self.path,
            self.name
        )
    }
}

/// The ARN of an EKS cluster: `arn:P:eks:R:A:cluster/NAME`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ClusterArn {
    /// The partition.
    pub partition: String,
    /// The region.
    pub region: String,
    /// The account, 12 digits.
    pub account: String,
    /// The cluster name.
    pub name: String,
}

impl ClusterArn {
    const EXPECTED: &'static str = "an EKS cluster";

    /// Parses the ARN of a cluster.
    ///
    /// # Errors
    /// [`ArnError`] when the text is not an ARN, names something else, or holds a name that EKS would refuse.
    pub fn parse(text: &str) -> Result<Self, ArnError> {
        Self::parse_with(text, Wildcards::Refused)
    }

    /// Parses a pattern for cluster ARNs, as an IAM condition holds it: `*` and `?` may stand anywhere inside the parts after `arn:`,
    /// but the service and the resource type must be written out.
    ///
    /// # Errors
    /// [`ArnError`] when no cluster ARN could ever match.
    pub fn parse_pattern(text: &str) -> Result<Self, ArnError> {
        Self::parse_with(text, Wildcards::Allowed)
    }

    /// The account and region qualified name, `region/account/cluster`, with which EKS starts the external id of an association.
    pub fn external_id_prefix(&self) -> String {
        [self.region.as_str(), &self.account, &self.name].join("/")
    }

    fn parse_with(text: &str, wildcards: Wildcards) -> Result<Self, ArnError> {
        let arn = match wildcards {
            Wildcards::Refused => Arn::parse(text)?,
            Wildcards::Allowed => Arn::split(text, wildcards)?,
        };
        let cluster = arn
            .resource_of(text, "eks", "cluster/", Self::EXPECTED)?
            .to_owned();
        let pattern = |part: &str| wildcards == Wildcards::Allowed && name::has_wildcard(part);
        let digits_or_wildcards = |part: &str| {
            part.len() <= 12
                && part
                    .chars()
                    .all(|c| c.is_ascii_digit() || matches!(c, '*' | '?'))
        };
        if pattern(&arn.account) {
            if !digits_or_wildcards(&arn.account) {
                return Err(ArnError::Account {
                    text: text.to_owned(),
                    account: arn.account,
                });
            }
        } else {
            arn.with_account(text, Self::EXPECTED)?;
        }
        if arn.region.is_empty() {
            return Err(ArnError::Form {
                text: text.to_owned(),
                expected: Self::EXPECTED,
                rule: "it must name a region",
            });
        }
        name::check_cluster_name(&cluster, wildcards).map_err(|source| ArnError::Name {
            text: text.to_owned(),
            source,
        })?;
        Ok(Self {
            partition: arn.partition,
            region: arn.region,
            account: arn.account,
            name: cluster,
        })
    }
}

impl fmt::Display for ClusterArn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "arn:{}:eks:{}:{}:cluster/{}",
            self.partition, self.region, self.account, self.name
        )
    }
}

/// The ARN of a Pod Identity association: `arn:P:eks:R:A:podidentityassociation/CLUSTER/ID`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AssociationArn {
    /// The partition.
    pub partition: String,
    /// The region.
    pub region: String,
    /// The account, 12 digits.
    pub account: String,
    /// The cluster name.
    pub cluster_name: String,
    /// The association id, `a-…`.
    pub id: String,
}

impl AssociationArn {
    const EXPECTED: &'static str = "an EKS Pod Identity association";

    /// Parses the ARN of an association.
    ///
    /// # Errors
    /// [`ArnError`] when the text is not an ARN or names something else.
    pub fn parse(text: &str) -> Result<Self, ArnError> {
        let arn = Arn::parse(text)?;
        let rest = arn.resource_of(text, "eks", "podidentityassociation/", Self::EXPECTED)?;
        arn.with_account(text, Self::EXPECTED)?;
        match rest.split_once('/') {
            Some((cluster, id))
                if !cluster.is_empty() && id.starts_with("a-") && !id.contains('/') =>
            {
                Ok(Self {
                    cluster_name: cluster.to_owned(),
                    id: id.to_owned(),
                    partition: arn.partition,
                    region: arn.region,
                    account: arn.account,
                })
            }
            _ => Err(ArnError::Form {
                text: text.to_owned(),
                expected: Self::EXPECTED,
                rule: "it must end with podidentityassociation/CLUSTER/a-ID",
            }),
        }
    }
}

impl fmt::Display for AssociationArn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "arn:{}:eks:{}:{}:podidentityassociation/{}/{}",
            self.partition, self.region, self.account, self.cluster_name, self.id
        )
    }
}

/// The ARN of an EKS add-on: `arn:P:eks:R:A:addon/CLUSTER/NAME/UUID`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AddonArn {
    /// The partition.
    pub partition: String,
    /// The region.
    pub region: String,
    /// The account, 12 digits.
    pub account: String,
    /// The cluster name.
    pub cluster_name: String,
    /// The add-on name, such as `vpc-cni`.
    pub name: String,
    /// The identifier that EKS gave this installation.
    pub uuid: String,
}

impl AddonArn {
    const EXPECTED: &'static str = "an EKS add-on";

    /// Parses the ARN of an add-on.
    ///
    /// # Errors
    /// [`ArnError`] when the text is not an ARN or names something else.
    pub fn parse(text: &str) -> Result<Self, ArnError> {
        let arn = Arn::parse(text)?;
        let rest = arn.resource_of(text, "eks", "addon/", Self::EXPECTED)?;
        arn.with_account(text, Self::EXPECTED)?;
        let parts: Vec<&str> = rest.split('/').collect();
        match parts[..] {
            [cluster, name, uuid]
                if !cluster.is_empty() && !name.is_empty() && !uuid.is_empty() =>
            {
                Ok(Self {
                    cluster_name: cluster.to_owned(),
                    name: name.to_owned(),
                    uuid: uuid.to_owned(),
                    partition: arn.partition,
                    region: arn.region,
                    account: arn.account,
                })
            }
            _ => Err(ArnError::Form {
                text: text.to_owned(),
                expected: Self::EXPECTED,
                rule: "it must end with addon/CLUSTER/NAME/UUID",
            }),
        }
    }
}

impl fmt::Display for AddonArn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "arn:{}:eks:{}:{}:addon/{}/{}/{}",
            self.partition, self.region, self.account, self.cluster_name, self.name, self.uuid
        )
    }
}

/// The ARN of an IAM OIDC provider: `arn:P:iam::A:oidc-provider/ISSUER`, where the issuer has no `https://`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct OidcProviderArn {
    /// The partition.
    pub partition: String,
    /// The account, 12 digits.
    pub account: String,
    /// Host and path of the issuer, such as `oidc.eks.us-east-1.amazonaws.com/id/ABCD`.
    pub issuer: String,
}

impl OidcProviderArn {
    const EXPECTED: &'static str = "an OIDC provider";

    /// Parses the ARN of an OIDC provider.
    ///
    /// # Errors
    /// [`ArnError`] when the text is not an ARN or names something else.
    pub fn parse(text: &str) -> Result<Self, ArnError> {
        let arn = Arn::parse(text)?;
        let issuer = arn
            .resource_of(text, "iam", "oidc-provider/", Self::EXPECTED)?
            .to_owned();
        arn.without_region(text, Self::EXPECTED)?;
        arn.with_account(text, Self::EXPECTED)?;
        Ok(Self {
            partition: arn.partition,
            account: arn.account,
            issuer,
        })
    }
}

impl fmt::Display for OidcProviderArn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "arn:{}:iam::{}:oidc-provider/{}",
            self.partition, self.account, self.issuer
        )
    }
}

fn path_and_name(resource: &str) -> (String, String) {
    match resource.rsplit_once('/') {
        Some((path, name)) => (format!("/{path}/"), name.to_owned()),
        None => ("/".to_owned(), resource.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arns_round_trip() {
        for text in [
            "arn:aws:iam::123456789012:role/payments",
            "arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess",
            "arn:aws-us-gov:eks:us-gov-west-1:123456789012:cluster/demo",
            "arn:aws:s3:::bucket/with:colon",
        ] {
            assert_eq!(
                Arn::parse(text).map(|arn| arn.to_string()),
                Ok(text.to_owned())
            );
        }
    }

    #[test]
    fn arns_that_are_not() {
        let cases = [
            (
                "a name",
                "payments",
                "\"payments\" is not an ARN: it does not start with \"arn:\"",
            ),
            (
                "too short",
                "arn:aws:iam::123456789012",
                "\"arn:aws:iam::123456789012\" is not an ARN: it must have the form arn:partition:service:region:account:resource",
            ),
            (
                "partition",
                "arn:amazon:iam::123456789012:role/x",
                "the ARN \"arn:amazon:iam::123456789012:role/x\" names the partition \"amazon\", which is not an AWS partition such as aws, aws-cn or aws-us-gov",
            ),
            (
                "account",
                "arn:aws:iam::1234:role/x",
                "the ARN \"arn:aws:iam::1234:role/x\" names the account \"1234\", which is not 12 digits",
            ),
            (
                "white space",
                "arn:aws:iam::123456789012:role/x ",
                "the ARN \"arn:aws:iam::123456789012:role/x \" contains white space or control characters",
            ),
            (
                "no service",
                "arn:aws:::123456789012:x",
                "the ARN \"arn:aws:::123456789012:x\" has no service",
            ),
        ];
        for (what, text, message) in cases {
            assert_eq!(
                Arn::parse(text).map_err(|error| error.to_string()),
                Err(message.to_owned()),
                "{what}"
            );
        }
    }

    #[test]
    fn role_arns() {
        let role = |path: &str, name: &str| RoleArn {
            partition: "aws".into(),
            account: "123456789012".into(),
            path: path.into(),
            name: name.into(),
        };
        assert_eq!(
            RoleArn::parse("arn:aws:iam::123456789012:role/payments"),
            Ok(role("/", "payments"))
        );
        assert_eq!(
            RoleArn::parse("arn:aws:iam::123456789012:role/team/app/payments"),
            Ok(role("/team/app/", "payments"))
        );
        assert!(RoleArn::parse("arn:aws:iam::123456789012:role/aws-service-role/eks.amazonaws.com/AWSServiceRoleForAmazonEKS").is_ok_and(|role| role.is_service_linked()));
        for (text, found) in [
            (
                "arn:aws:sts::123456789012:assumed-role/payments/session",
                "an assumed-role session",
            ),
            ("arn:aws:iam::123456789012:user/x", "an IAM user"),
            (
                "arn:aws:iam::123456789012:instance-profile/x",
                "an instance profile",
            ),
            ("arn:aws:ec2:us-east-1:123456789012:vpc/x", "an ec2 vpc"),
        ] {
            assert_eq!(
                RoleArn::parse(text),
                Err(ArnError::WrongKind {
                    text: text.into(),
                    expected: "an IAM role",
                    found: found.into()
                })
            );
        }
        for text in [
            "arn:aws:iam::123456789012:role/",
            "arn:aws:iam::123456789012:role/a b",
            "arn:aws:iam:us-east-1:123456789012:role/x",
            "arn:aws:iam::aws:role/x",
            "arn:aws:iam::123456789012:role/a$",
        ] {
            assert!(RoleArn::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn every_kind_round_trips() {
        let same =
            |result: Result<String, ArnError>, text: &str| assert_eq!(result, Ok(text.to_owned()));
        let role = "arn:aws-cn:iam::123456789012:role/team/payments";
        same(RoleArn::parse(role).map(|a| a.to_string()), role);
        let policy = "arn:aws:iam::aws:policy/service-role/AmazonEBSCSIDriverPolicy";
        same(PolicyArn::parse(policy).map(|a| a.to_string()), policy);
        let policy = "arn:aws:iam::123456789012:policy/mine";
        same(PolicyArn::parse(policy).map(|a| a.to_string()), policy);
        let cluster = "arn:aws:eks:us-east-1:123456789012:cluster/demo";
        same(ClusterArn::parse(cluster).map(|a| a.to_string()), cluster);
        let association =
            "arn:aws:eks:us-east-1:123456789012:podidentityassociation/demo/a-0123456789abcdef0";
        same(
            AssociationArn::parse(association).map(|a| a.to_string()),
            association,
        );
        let addon = "arn:aws:eks:us-east-1:123456789012:addon/demo/vpc-cni/1c2d-3e";
        same(AddonArn::parse(addon).map(|a| a.to_string()), addon);
        let oidc =
            "arn:aws:iam::123456789012:oidc-provider/oidc.eks.us-east-1.amazonaws.com/id/ABC";
        same(OidcProviderArn::parse(oidc).map(|a| a.to_string()), oidc);
    }

    #[test]
    fn cluster_arns() {
        assert_eq!(
            ClusterArn::parse("arn:aws:eks:us-east-1:123456789012:podidentityassociation/demo/a-1"),
            Err(ArnError::WrongKind {
                text: "arn:aws:eks:us-east-1:123456789012:podidentityassociation/demo/a-1".into(),
                expected: "an EKS cluster",
                found: "an EKS Pod Identity association".into()
            })
        );
        let cases = [
            (
                "arn:aws:eks:us-east-1:123456789012:cluster/demo",
                true,
                true,
            ),
            ("arn:aws:eks:us-east-1:123456789012:cluster/*", false, true),
            ("arn:aws:eks:*:123456789012:cluster/prod-?", false, true),
            ("arn:*:eks:*:*:cluster/*", false, true),
            ("arn:aws:eks:us-east-1:abc*:cluster/x", false, false),
            ("arn:aws:eks::123456789012:cluster/demo", false, false),
            (
                "arn:aws:eks:us-east-1:123456789012:cluster/a b",
                false,
                false,
            ),
            ("demo", false, false),
            ("*", false, false),
        ];
        for (text, exact, pattern) in cases {
            assert_eq!(
                (
                    ClusterArn::parse(text).is_ok(),
                    ClusterArn::parse_pattern(text).is_ok()
                ),
                (exact, pattern),
                "{text}"
            );
        }
    }

    #[test]
    fn equality() {
        let cases = [
            (
                "arn:aws:iam::123456789012:role/a",
                "arn:aws:iam::123456789012:role/a",
                true,
            ),
            (
                "arn:aws:iam::123456789012:role/a",
                "arn:aws:iam::123456789012:role/A",
                false,
            ),
            ("123456789012", "arn:aws:iam::123456789012:root", true),
            ("arn:aws-cn:iam::123456789012:root", "123456789012", true),
            ("123456789012", "arn:aws:iam::123456789013:root", false),
            ("123456789012", "arn:aws:iam::123456789012:role/root", false),
            ("", "", true),
        ];
        for (a, b, same) in cases {
            assert_eq!(equivalent_arns(a, b), same, "{a} {b}");
            assert_eq!(equivalent_arns(b, a), same, "{b} {a}");
        }
    }
}
