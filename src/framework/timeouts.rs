//! The `timeouts` block: how long an operation may take, as `hashicorp/aws` spells it.
//!
//! ```
//! use std::time::Duration;
//! use podidentity::cty::Value;
//! use podidentity::framework::schema::Schema;
//! use podidentity::framework::timeouts::{self, Operation};
//!
//! const DEFAULTS: [(Operation, Duration); 2] = [
//!     (Operation::Create, Duration::from_secs(20 * 60)),
//!     (Operation::Delete, Duration::from_secs(40 * 60)),
//! ];
//! let schema = Schema::new("Manages a thing.").nested_block(timeouts::block(&DEFAULTS));
//!
//! let planned = Value::object([("timeouts", Value::object([
//!     ("create", Value::from("1h30m")),
//!     ("delete", Value::Null),
//! ]))]);
//! assert_eq!(timeouts::of(&planned, Operation::Create, &DEFAULTS), Duration::from_secs(90 * 60));
//! assert_eq!(timeouts::of(&planned, Operation::Delete, &DEFAULTS), Duration::from_secs(40 * 60));
//! # let _ = schema;
//! ```

use std::time::Duration;

use crate::cty::Value;

use super::schema::{Attribute, Block, NestedBlock};
use super::validators;

/// The name of the block.
pub const BLOCK: &str = "timeouts";

/// An operation that can have a timeout.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Operation {
    /// Creating an object.
    Create,
    /// Refreshing an object, or reading a data source.
    Read,
    /// Updating an object in place.
    Update,
    /// Deleting an object.
    Delete,
}

impl Operation {
    /// The name of its attribute.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Read => "read",
            Self::Update => "update",
            Self::Delete => "delete",
        }
    }
}

/// The `timeouts` block with one optional attribute for each of `defaults`.
#[must_use]
pub fn block(defaults: &[(Operation, Duration)]) -> NestedBlock {
    let attributes = defaults.iter().map(|(operation, default)| {
        let note = match operation {
            Operation::Delete => {
                " Setting it matters only if it is saved to state before the destroy."
            }
            Operation::Read => " It applies to refreshes too.",
            Operation::Create | Operation::Update => "",
        };
        Attribute::string(
            operation.name(),
            format!(
                "How long {} may take, such as `30m` or `1h30m`. Default: `{}`.{note}",
                operation.name(),
                format_duration(*default)
            ),
        )
        .optional()
        .validate(validators::duration())
    });
    let block = attributes.fold(
        Block::new("How long operations may take."),
        Block::attribute,
    );
    NestedBlock::single(BLOCK, block)
}

/// How long `operation` may take, by the `timeouts` block of `object` (a plan, state or configuration). Whatever the
/// block does not say comes from `defaults`.
///
/// # Panics
/// Never; an operation without a default gets 20 minutes, as in the plugin SDK.
#[must_use]
pub fn of(object: &Value, operation: Operation, defaults: &[(Operation, Duration)]) -> Duration {
    const UNSPECIFIED: Duration = Duration::from_secs(20 * 60);
    let default = || {
        defaults
            .iter()
            .find(|(candidate, _)| *candidate == operation)
            .map_or(UNSPECIFIED, |(_, duration)| *duration)
    };
    object
        .get(BLOCK)
        .get(operation.name())
        .as_str()
        // The validator refused anything else before it could reach a plan.
        .and_then(|text| parse_duration(text).ok())
        .unwrap_or_else(default)
}

/// Why a text is not a duration.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum DurationError {
    /// It is empty, or a number or unit is missing or not understood.
    #[error("not a number followed by a unit (ns, us, ms, s, m, h), one or more times")]
    Syntax,
    /// It is negative.
    #[error("negative durations are not possible here")]
    Negative,
    /// It is longer than about 292 years, the most that Terraform's own durations hold.
    #[error("too long")]
    TooLong,
}

/// Reads a duration in Go's notation, the one of Terraform's timeouts: decimal numbers with the units `ns`, `us`, `ms`,
/// `s`, `m` and `h`: `30m`, `1h30m`, `1.5h`.
///
/// # Errors
/// When the text is no such duration, is negative or too long.
pub fn parse_duration(text: &str) -> Result<Duration, DurationError> {
    let text = match text.strip_prefix('-') {
        Some(_) => return Err(DurationError::Negative),
        None => text.strip_prefix('+').unwrap_or(text),
    };
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    if text.is_empty() {
        return Err(DurationError::Syntax);
    }
    let mut total: u128 = 0;
    let mut rest = text;
    while !rest.is_empty() {
        let number_end = rest
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .ok_or(DurationError::Syntax)?;
        let (number, tail) = rest.split_at(number_end);
        let unit_end = tail
            .find(|c: char| c.is_ascii_digit() || c == '.')
            .unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(unit_end);
        let nanoseconds: u128 = match unit {
            "ns" => 1,
            "us" | "µs" | "μs" => 1_000,
            "ms" => 1_000_000,
            "s" => 1_000_000_000,
            "m" => 60_000_000_000,
            "h" => 3_600_000_000_000,
            _ => return Err(DurationError::Syntax),
        };
        total += scale(number, nanoseconds)?;
        if total > i64::MAX as u128 {
            return Err(DurationError::TooLong);
        }
        rest = tail;
    }
    // At most i64::MAX nanoseconds.
    Ok(Duration::from_nanos(total as u64))
}

/// A duration in the notation that [`parse_duration`] reads, without units that are zero: `1h30m`, `45s`.
#[must_use]
pub fn format_duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let mut text = String::new();
    for (amount, unit) in [
        (u128::from(seconds / 3600), "h"),
        (u128::from(seconds / 60 % 60), "m"),
        (u128::from(seconds % 60), "s"),
        (u128::from(duration.subsec_millis()), "ms"),
        (u128::from(duration.subsec_nanos() % 1_000_000), "ns"),
    ] {
        if amount > 0 {
            text.push_str(&format!("{amount}{unit}"));
        }
    }
    if text.is_empty() {
        "0s".to_owned()
    } else {
        text
    }
}

/// `number`, a decimal, times `unit`, rounded down.
fn scale(number: &str, unit: u128) -> Result<u128, DurationError> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() || fraction.contains('.') {
        return Err(DurationError::Syntax);
    }
    // 19 digits cover every duration; more are too long or too fine to matter.
    let significant = whole.trim_start_matches('0');
    if significant.len() > 19 {
        return Err(DurationError::TooLong);
    }
    let whole: u128 = if significant.is_empty() {
        0
    } else {
        significant.parse().map_err(|_| DurationError::Syntax)?
    };
    let mut total = whole * unit;
    let mut place = unit;
    for digit in fraction.bytes() {
        place /= 10;
        total += u128::from(digit - b'0') * place;
    }
    Ok(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_go_durations() {
        let seconds = Duration::from_secs;
        for (text, expected) in [
            ("0", Ok(Duration::ZERO)),
            ("0s", Ok(Duration::ZERO)),
            ("45s", Ok(seconds(45))),
            ("30m", Ok(seconds(1800))),
            ("1h30m", Ok(seconds(5400))),
            ("1.5h", Ok(seconds(5400))),
            (".5m", Ok(seconds(30))),
            ("1.m", Ok(seconds(60))),
            ("+2h", Ok(seconds(7200))),
            ("1h1m1s1ms1us1ns", Ok(Duration::new(3661, 1_001_001))),
            ("1µs", Ok(Duration::from_micros(1))),
            ("", Err(DurationError::Syntax)),
            ("30", Err(DurationError::Syntax)),
            ("m", Err(DurationError::Syntax)),
            (".m", Err(DurationError::Syntax)),
            ("1.2.3s", Err(DurationError::Syntax)),
            ("1d", Err(DurationError::Syntax)),
            ("1h 30m", Err(DurationError::Syntax)),
            ("thirty minutes", Err(DurationError::Syntax)),
            ("-5m", Err(DurationError::Negative)),
            ("9999999999999999999h", Err(DurationError::TooLong)),
            ("99999999999999999999999h", Err(DurationError::TooLong)),
            ("2562048h", Err(DurationError::TooLong)),
        ] {
            assert_eq!(parse_duration(text), expected, "{text:?}");
        }
    }

    #[test]
    fn formats_what_it_parses() {
        for (duration, expected) in [
            (Duration::ZERO, "0s"),
            (Duration::from_secs(1800), "30m"),
            (Duration::from_secs(5400), "1h30m"),
            (Duration::from_secs(3605), "1h5s"),
            (Duration::new(1, 2_000_003), "1s2ms3ns"),
        ] {
            assert_eq!(format_duration(duration), expected);
            assert_eq!(parse_duration(expected), Ok(duration));
        }
    }

    #[test]
    fn takes_the_default_where_the_block_is_silent() {
        let defaults = [(Operation::Create, Duration::from_secs(60))];
        let with = |timeouts: Value| Value::object([("timeouts", timeouts)]);
        for (name, object, expected) in [
            ("no block", with(Value::Null), 60),
            ("no such attribute", Value::object::<&str>([]), 60),
            (
                "empty block",
                with(Value::object([("create", Value::Null)])),
                60,
            ),
            (
                "set",
                with(Value::object([("create", Value::from("5s"))])),
                5,
            ),
        ] {
            assert_eq!(
                of(&object, Operation::Create, &defaults),
                Duration::from_secs(expected),
                "{name}"
            );
        }
        assert_eq!(
            of(&with(Value::Null), Operation::Update, &defaults),
            Duration::from_secs(1200),
            "an operation without a default"
        );
    }

    #[test]
    fn the_block_has_one_attribute_for_each_operation() {
        let block = block(&[
            (Operation::Create, Duration::from_secs(60)),
            (Operation::Delete, Duration::from_secs(120)),
        ]);
        let names: Vec<_> = block.block.attributes.iter().map(|a| a.name).collect();
        assert_eq!(names, ["create", "delete"]);
        assert!(block.block.attributes[0].description.contains("`1m`"));
    }
}
