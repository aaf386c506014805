//! The OIDC issuer of an EKS cluster, which IRSA trusts.

use thiserror::Error;

use super::arn::OidcProviderArn;

/// DNS suffixes of the two forms in which EKS names one issuer: `oidc.eks.R.<first>` and, for dual-stack clusters, `oidc-eks.R.<second>`.
/// Where only one form is known, a name stands for itself alone.
const EKS_SUFFIXES: [(&str, &str); 2] = [
    ("amazonaws.com", "api.aws"),
    ("amazonaws.com.cn", "api.amazonwebservices.com.cn"),
];

/// The issuer of the tokens of a cluster's service accounts, as in `cluster.identity.oidc.issuer` of `DescribeCluster`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct OidcIssuer {
    host: String,
    path: String,
}

/// A text that is no issuer.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "{text:?} is not an OIDC issuer such as https://oidc.eks.us-east-1.amazonaws.com/id/EXAMPLE"
)]
pub struct IssuerError {
    /// The text that was given.
    pub text: String,
}

impl OidcIssuer {
    /// Parses an issuer, with or without `https://`.
    ///
    /// # Errors
    /// [`IssuerError`] when there is no host, or there are other schemes, white space or a query.
    pub fn parse(text: &str) -> Result<Self, IssuerError> {
        let error = || IssuerError {
            text: text.to_owned(),
        };
        let name = text
            .strip_prefix("https://")
            .unwrap_or(text)
            .trim_end_matches('/');
        let (host, path) = name.split_once('/').unwrap_or((name, ""));
        let valid =
            host.contains('.') && !name.contains(|c: char| c.is_whitespace() || "?#*:".contains(c));
        if valid {
            Ok(Self {
                host: host.to_ascii_lowercase(),
                path: path.to_owned(),
            })
        } else {
            Err(error())
        }
    }

    /// Host and path, as they stand in the ARN of an OIDC provider and in condition keys.
    pub fn name(&self) -> String {
        if self.path.is_empty() {
            self.host.clone()
        } else {
            [self.host.as_str(), &self.path].join("/")
        }
    }

    /// All names that EKS has for this issuer, this one first.
    pub fn names(&self) -> Vec<String> {
        let mut names = vec![self.name()];
        if let Some(host) = self.other_host() {
            names.push(
                Self {
                    host,
                    path: self.path.clone(),
                }
                .name(),
            );
        }
        names
    }

    /// Whether a name, with or without `https://`, is one of this issuer. Never true for another cluster's issuer or for other OIDC services.
    pub fn is(&self, name: &str) -> bool {
        Self::parse(name).is_ok_and(|other| {
            other.path == self.path
                && (other.host == self.host || self.other_host().as_ref() == Some(&other.host))
        })
    }

    /// Whether an OIDC provider, given by its ARN, is one of this issuer.
    pub fn is_provider(&self, arn: &str) -> bool {
        OidcProviderArn::parse(arn).is_ok_and(|provider| self.is(&provider.issuer))
    }

    /// Whether this is an issuer of EKS.
    pub fn is_eks(&self) -> bool {
        self.other_host().is_some()
    }

    fn other_host(&self) -> Option<String> {
        let single = |label: &str| !label.is_empty() && !label.contains('.');
        if !self
            .path
            .strip_prefix("id/")
            .is_some_and(|id| !id.is_empty() && !id.contains('/'))
        {
            return None;
        }
        EKS_SUFFIXES.iter().find_map(|(first, second)| {
            let region = |prefix: &str, suffix: &str| {
                let region = self
                    .host
                    .strip_prefix(prefix)?
                    .strip_suffix(suffix)?
                    .strip_suffix('.')?;
                single(region).then(|| region.to_owned())
            };
            if let Some(region) = region("oidc.eks.", first) {
                return Some(format!("oidc-eks.{region}.{second}"));
            }
            region("oidc-eks.", second).map(|region| format!("oidc.eks.{region}.{first}"))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_issuer_has_two_names_and_no_others() {
        let cases = [
            (
                "https://oidc.eks.us-east-1.amazonaws.com/id/AAAA",
                "oidc.eks.us-east-1.amazonaws.com/id/AAAA",
                true,
            ),
            (
                "https://oidc.eks.us-east-1.amazonaws.com/id/AAAA",
                "oidc-eks.us-east-1.api.aws/id/AAAA",
                true,
            ),
            (
                "oidc-eks.us-east-1.api.aws/id/AAAA",
                "https://OIDC.eks.us-east-1.amazonaws.com/id/AAAA/",
                true,
            ),
            (
                "oidc.eks.cn-north-1.amazonaws.com.cn/id/A",
                "oidc-eks.cn-north-1.api.amazonwebservices.com.cn/id/A",
                true,
            ),
            (
                "oidc.eks.us-gov-west-1.amazonaws.com/id/A",
                "oidc-eks.us-gov-west-1.api.aws/id/A",
                true,
            ),
            (
                "oidc.eks.us-iso-east-1.c2s.ic.gov/id/A",
                "oidc.eks.us-iso-east-1.c2s.ic.gov/id/A",
                true,
            ),
            (
                "oidc.eks.us-east-1.amazonaws.com/id/AAAA",
                "oidc.eks.us-east-1.amazonaws.com/id/AAAB",
                false,
            ),
            (
                "oidc.eks.us-east-1.amazonaws.com/id/AAAA",
                "oidc.eks.us-east-1.amazonaws.com/id/aaaa",
                false,
            ),
            (
                "oidc.eks.us-east-1.amazonaws.com/id/AAAA",
                "oidc.eks.us-east-2.amazonaws.com/id/AAAA",
                false,
            ),
            (
                "oidc.eks.us-east-1.amazonaws.com/id/AAAA",
                "oidc-eks.us-east-2.api.aws/id/AAAA",
                false,
            ),
            (
                "oidc.eks.us-east-1.amazonaws.com/id/AAAA",
                "oidc.eks.us-east-1.example.com/id/AAAA",
                false,
            ),
            (
                "oidc.eks.us-east-1.amazonaws.com/id/AAAA",
                "oidc-eks.us-east-1.example.com/id/AAAA",
                false,
            ),
            (
                "oidc.eks.us-east-1.amazonaws.com/id/AAAA",
                "token.actions.githubusercontent.com",
                false,
            ),
            (
                "token.actions.githubusercontent.com",
                "token.actions.githubusercontent.com",
                true,
            ),
        ];
        for (issuer, name, same) in cases {
            let issuer = OidcIssuer::parse(issuer).unwrap();
            assert_eq!(issuer.is(name), same, "{issuer:?} {name}");
            assert_eq!(
                issuer
                    .names()
                    .iter()
                    .any(|known| OidcIssuer::parse(name).unwrap().name() == *known),
                same,
                "{issuer:?} {name}"
            );
        }
        for text in [
            "",
            "demo",
            "http://oidc.eks.us-east-1.amazonaws.com/id/A",
            "a.b/c d",
            "*.amazonaws.com",
        ] {
            assert!(OidcIssuer::parse(text).is_err(), "{text}");
        }
        let issuer = OidcIssuer::parse("oidc.eks.us-east-1.amazonaws.com/id/AAAA").unwrap();
        assert!(
            issuer.is_eks()
                && issuer.is_provider(
                    "arn:aws:iam::123456789012:oidc-provider/oidc-eks.us-east-1.api.aws/id/AAAA"
                )
        );
        assert!(
            !issuer
                .is_provider("arn:aws:iam::123456789012:role/oidc-eks.us-east-1.api.aws/id/AAAA")
        );
    }
}
