//! Which object of a Terraform state a migration belongs to.
//!
//! Terraform can hold several objects that are about the same service account: with `create_before_destroy` the old one of a
//! replacement stays as a deposed object until it is destroyed, in a later run if need be; a state can be restored from a
//! backup; a second configuration can take a migration over. Only one of them may roll back. So each has a token, which the
//! association carries as the value of its tag, and whoever goes on with an association writes its own there.

use crate::framework::Private;
use crate::migration::facts::AssociationFacts;

/// Key of private state: the object's token.
const TOKEN: &str = "token";
/// Key of private state: whether the association belonged to another object when that was last looked at.
const ANOTHERS: &str = "anothers";

/// A token for a new object.
pub(super) fn new_token() -> String {
    uuid::Uuid::new_v4().to_string()
}

/// The object's token. One without has never worked with an association, or not since there are tokens.
pub(super) fn token(private: &Private) -> Option<&str> {
    private.get(TOKEN)?.as_str()
}

/// Remembers the token, once the association carries it.
pub(super) fn remember(private: &mut Private, token: &str) {
    private.set(TOKEN, token);
    private.remove(ANOTHERS);
}

/// Forgets a token that came with the plan: a replacement hands over that of the object which it replaces.
pub(super) fn forget(private: &mut Private) {
    private.remove(TOKEN);
    private.remove(ANOTHERS);
}

/// Whether the association belongs to another object. Where one of the two has no token that cannot be told, and is not so.
pub(super) fn is_anothers(private: &Private, association: &AssociationFacts) -> bool {
    match (token(private), association.token()) {
        (Some(own), Some(live)) => own != live,
        _ => false,
    }
}

/// Notes, for plans, whether the association belongs to another object.
pub(super) fn note(private: &mut Private, anothers: bool) {
    if anothers {
        private.set(ANOTHERS, true);
    } else {
        private.remove(ANOTHERS);
    }
}

/// Whether it did when it was last looked at.
pub(super) fn was_anothers(private: &Private) -> bool {
    private.get(ANOTHERS).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::migration::facts::{ANYBODY, MIGRATION_TAG};

    #[test]
    fn only_a_different_token_is_anothers() {
        let mut association = AssociationFacts::default();
        for (own, live, anothers) in [
            (None, None, false),
            (Some("a"), None, false),
            (Some("a"), Some(ANYBODY), false),
            (None, Some("a"), false),
            (Some("a"), Some("a"), false),
            (Some("a"), Some("b"), true),
        ] {
            let mut private = Private::default();
            if let Some(own) = own {
                remember(&mut private, own);
            }
            association.tags.clear();
            if let Some(live) = live {
                let tag = (MIGRATION_TAG.to_owned(), live.to_owned());
                association.tags.extend([tag]);
            }
            assert_eq!(
                is_anothers(&private, &association),
                anothers,
                "{own:?} {live:?}"
            );
        }
    }
}
