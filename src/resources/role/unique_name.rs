//! Names that nobody else uses, made from a prefix.

use time::OffsetDateTime;

/// Prefix of the name when the configuration gives neither name nor prefix.
pub(super) const DEFAULT_PREFIX: &str = "podidentity-";

/// Length of the part that makes a name unique: 18 digits of time and 8 hexadecimal digits of chance. The form is that of
/// other Terraform providers, so that people recognise it.
const SUFFIX: usize = TIME + CHANCE;
const TIME: usize = 18;
const CHANCE: usize = 8;

/// A name that nobody else uses.
pub(super) fn unique(prefix: &str) -> String {
    let chance = uuid::Uuid::new_v4().as_fields().0;
    with_suffix(prefix, OffsetDateTime::now_utc(), chance)
}

/// The prefix from which a name was made, if it looks like one that was.
pub(super) fn prefix_of(name: &str) -> Option<&str> {
    let (prefix, suffix) = name.split_at_checked(name.len().checked_sub(SUFFIX)?)?;
    let (time, chance) = suffix.split_at_checked(TIME)?;
    let made = time.bytes().all(|b| b.is_ascii_digit())
        && chance
            .bytes()
            .all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
        && !prefix.is_empty();
    made.then_some(prefix)
}

fn with_suffix(prefix: &str, now: OffsetDateTime, chance: u32) -> String {
    format!(
        "{prefix}{:04}{:02}{:02}{:02}{:02}{:02}{:04}{chance:08x}",
        now.year(),
        u8::from(now.month()),
        now.day(),
        now.hour(),
        now.minute(),
        now.second(),
        now.microsecond() / 100
    )
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;
    use crate::resources::names::ROLE_NAME_PREFIX_MAX;

    #[test]
    fn names_are_made_and_recognised() {
        let name = with_suffix("api-", datetime!(2026-11-22 01:02:03.456789 UTC), 0xab);
        assert_eq!(name, "api-202611220102034567000000ab");
        assert_eq!(prefix_of(&name), Some("api-"));
        let longest = unique(&"p".repeat(ROLE_NAME_PREFIX_MAX));
        assert_eq!(longest.len(), 64);
        assert_eq!(
            prefix_of(&longest).map(str::len),
            Some(ROLE_NAME_PREFIX_MAX)
        );
        assert_ne!(unique("a"), unique("a"));
        for other in [
            "payments",
            "",
            "202611220102034567000000ab",
            "api-202611220102034567000000AB",
            "api-2026112201020345x7000000ab",
            "ä6112201020345x7000000abää",
        ] {
            assert_eq!(prefix_of(other), None, "{other}");
        }
    }
}
