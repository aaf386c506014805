//! How far a migration is.

use std::fmt;
use std::str::FromStr;

/// The phases, in order.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Phase {
    /// IRSA alone.
    #[default]
    NotStarted,
    /// The role trusts EKS Pod Identity too.
    TrustAdded,
    /// There is an association: new pods may get Pod Identity.
    Associated,
    /// It is proven that new pods get Pod Identity.
    Propagated,
    /// What can be restarted was; pods that cannot be may still use IRSA.
    RolledOut,
    /// Every pod that has not ended uses Pod Identity.
    Verified,
    /// What was asked for of IRSA is gone.
    Retired,
}

impl Phase {
    /// All phases, in order.
    pub const ALL: [Self; 7] = [
        Self::NotStarted,
        Self::TrustAdded,
        Self::Associated,
        Self::Propagated,
        Self::RolledOut,
        Self::Verified,
        Self::Retired,
    ];

    /// The phase as users see it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotStarted => "not_started",
            Self::TrustAdded => "trust_added",
            Self::Associated => "associated",
            Self::Propagated => "propagated",
            Self::RolledOut => "rolled_out",
            Self::Verified => "verified",
            Self::Retired => "retired",
        }
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Phase {
    type Err = UnknownPhase;

    fn from_str(text: &str) -> Result<Self, UnknownPhase> {
        Self::ALL
            .into_iter()
            .find(|phase| phase.as_str() == text)
            .ok_or_else(|| UnknownPhase(text.to_owned()))
    }
}

/// A text that is no phase.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{0:?} is not a phase of a migration")]
pub struct UnknownPhase(pub String);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phases_are_ordered_and_readable() {
        assert!(Phase::ALL.is_sorted());
        for phase in Phase::ALL {
            assert_eq!(phase.as_str().parse(), Ok(phase));
        }
        assert!("done".parse::<Phase>().is_err());
    }
}
