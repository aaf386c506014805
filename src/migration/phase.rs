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

/// What whoever has no state can see of a migration.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Seen {
    /// Whether the role lets EKS Pod Identity in for the service account, or may.
    pub trusted: bool,
    /// Whether the service account has an association with that role.
    pub associated: bool,
    /// Whether it is seen that pods get Pod Identity.
    pub moved: bool,
    /// Whether any pod has still to be replaced.
    pub left_behind: bool,
    /// Whether IRSA is retired.
    pub retired: bool,
}

impl From<Seen> for Phase {
    /// That new pods get Pod Identity is only seen by pods that have it, and `RolledOut` not at all.
    fn from(seen: Seen) -> Self {
        match seen {
            Seen { trusted: false, .. } => Self::NotStarted,
            Seen {
                associated: false, ..
            } => Self::TrustAdded,
            Seen { moved: false, .. } => Self::Associated,
            Seen {
                left_behind: true, ..
            } => Self::Propagated,
            Seen { retired: false, .. } => Self::Verified,
            _ => Self::Retired,
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
    fn what_is_seen_gives_the_phase() {
        let all = Seen {
            trusted: true,
            associated: true,
            moved: true,
            left_behind: false,
            retired: true,
        };
        type Change = fn(&mut Seen);
        let cases: [(Change, Phase); 6] = [
            (|_| {}, Phase::Retired),
            (|seen| seen.retired = false, Phase::Verified),
            (|seen| seen.left_behind = true, Phase::Propagated),
            (|seen| seen.moved = false, Phase::Associated),
            (|seen| seen.associated = false, Phase::TrustAdded),
            // Without trust the association is of no use, whatever pods look like.
            (|seen| seen.trusted = false, Phase::NotStarted),
        ];
        for (change, phase) in cases {
            let mut seen = all;
            change(&mut seen);
            assert_eq!(Phase::from(seen), phase, "{seen:?}");
        }
    }

    #[test]
    fn phases_are_ordered_and_readable() {
        assert!(Phase::ALL.is_sorted());
        for phase in Phase::ALL {
            assert_eq!(phase.as_str().parse(), Ok(phase));
        }
        assert!("done".parse::<Phase>().is_err());
    }
}
