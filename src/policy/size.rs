//! The size of policies as IAM and EKS count it.

use thiserror::Error;

use super::document::Document;

/// Characters that a trust policy may have unless the account's quota was raised (IAM quotas, code L-C07B4B0D).
pub const TRUST_QUOTA_DEFAULT: usize = 2_048;

/// Characters to which the quota for trust policies can be raised (IAM quotas).
pub const TRUST_QUOTA_MAX: usize = 8_192;

/// Characters that the session policy of an association may have, white space included (EKS API, `policy`).
pub const SESSION_POLICY_MAX: usize = 2_048;

/// Characters that all inline policies of a role may have together, white space not counted (IAM quotas).
pub const INLINE_POLICIES_MAX: usize = 10_240;

/// A policy that is larger than a quota allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the {what} has {size} characters ({} more than the quota of {quota}); white space is{} counted", excess(.size, .quota), negation(.counts_white_space))]
pub struct TooLarge {
    /// Which policy, such as `trust policy`.
    pub what: &'static str,
    /// The size in characters.
    pub size: usize,
    /// The most that is allowed.
    pub quota: usize,
    /// Whether white space counts.
    pub counts_white_space: bool,
}

fn excess(size: &usize, quota: &usize) -> usize {
    size.saturating_sub(*quota)
}

fn negation(counted: &bool) -> &'static str {
    if *counted { "" } else { " not" }
}

/// The size of a trust policy or other IAM policy in characters. IAM does not count white space.
pub fn trust_size(text: &str) -> usize {
    text.chars().filter(|c| !c.is_whitespace()).count()
}

/// [`trust_size`] of a document.
pub fn document_size(document: &Document) -> usize {
    trust_size(&document.to_json())
}

/// Checks a trust policy against the account's quota, [`TRUST_QUOTA_DEFAULT`] unless it is known to be another.
///
/// # Errors
/// [`TooLarge`] with the numbers.
pub fn check_trust_size(text: &str, quota: usize) -> Result<usize, TooLarge> {
    check("trust policy", trust_size(text), quota, false)
}

/// Checks the session policy of an association, given as it will be sent.
///
/// # Errors
/// [`TooLarge`] with the numbers.
pub fn check_session_policy_size(text: &str) -> Result<usize, TooLarge> {
    check(
        "session policy",
        text.chars().count(),
        SESSION_POLICY_MAX,
        true,
    )
}

/// Checks the inline policies of a role, of which IAM adds up the sizes.
///
/// # Errors
/// [`TooLarge`] with the numbers.
pub fn check_inline_policies_size<'a>(
    texts: impl IntoIterator<Item = &'a str>,
) -> Result<usize, TooLarge> {
    check(
        "inline policies of the role together",
        texts.into_iter().map(trust_size).sum(),
        INLINE_POLICIES_MAX,
        false,
    )
}

fn check(
    what: &'static str,
    size: usize,
    quota: usize,
    counts_white_space: bool,
) -> Result<usize, TooLarge> {
    if size <= quota {
        Ok(size)
    } else {
        Err(TooLarge {
            what,
            size,
            quota,
            counts_white_space,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn white_space_is_not_counted_and_characters_are_not_bytes() {
        for (text, size) in [("", 0), (" {\n\t} ", 2), ("{\"a b\":\"é\"}", 10)] {
            assert_eq!(trust_size(text), size, "{text:?}");
        }
    }

    #[test]
    fn quotas_are_inclusive_and_errors_tell_the_numbers() {
        let exactly = format!("{} ", "x".repeat(2048));
        assert_eq!(check_trust_size(&exactly, TRUST_QUOTA_DEFAULT), Ok(2048));
        assert_eq!(
            check_trust_size(&"x".repeat(2049), TRUST_QUOTA_DEFAULT).map_err(|e| e.to_string()),
            Err("the trust policy has 2049 characters (1 more than the quota of 2048); white space is not counted".to_owned())
        );
        assert_eq!(check_trust_size(&"x".repeat(2049), 4096), Ok(2049));
        assert_eq!(
            check_session_policy_size(&exactly).map_err(|e| e.to_string()),
            Err("the session policy has 2049 characters (1 more than the quota of 2048); white space is counted".to_owned())
        );
        assert_eq!(check_inline_policies_size(["a b", "c"]), Ok(3));
    }
}
