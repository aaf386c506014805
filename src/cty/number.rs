//! Decimal numbers of any precision.

use std::fmt;
use std::str::FromStr;

use bigdecimal::{BigDecimal, ToPrimitive};

/// Digits before and after the decimal point that a number read from text may have. Terraform itself computes with 512
/// bits (155 digits), and no 64-bit float needs more than 1100; without a limit `1e999999999` would print as a gigabyte.
const MAX_DIGITS: i64 = 4096;

/// A decimal number of any precision. Equal numbers compare equal however they were written (`1.0` is `1`).
#[derive(Clone, Debug, Eq, PartialEq, Ord, PartialOrd, Hash)]
pub struct Number(BigDecimal);

/// Text that is not a decimal number, or one with too many digits. Holds nothing of the text.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("not a decimal number of at most {MAX_DIGITS} digits before and after the point")]
pub struct ParseNumberError;

impl Number {
    /// The number as a signed 64-bit integer, if it is a whole number in range.
    #[must_use]
    pub fn as_i64(&self) -> Option<i64> {
        self.0.is_integer().then(|| self.0.to_i64()).flatten()
    }

    /// The number as an unsigned 64-bit integer, if it is a whole number in range.
    #[must_use]
    pub fn as_u64(&self) -> Option<u64> {
        self.0.is_integer().then(|| self.0.to_u64()).flatten()
    }

    /// The nearest 64-bit float; infinite beyond its range.
    #[must_use]
    pub fn as_f64(&self) -> f64 {
        // The decimal library rounds on the way; the standard library's parser is exact to the last bit.
        self.0.to_scientific_notation().parse().unwrap_or(f64::NAN)
    }

    /// The number as a 64-bit float, if that loses nothing.
    #[must_use]
    pub fn as_exact_f64(&self) -> Option<f64> {
        let nearest = self.as_f64();
        (Self::try_from(nearest).ok()? == *self).then_some(nearest)
    }

    /// The underlying decimal.
    #[must_use]
    pub fn as_decimal(&self) -> &BigDecimal {
        &self.0
    }
}

impl From<BigDecimal> for Number {
    fn from(value: BigDecimal) -> Self {
        Self(value.normalized())
    }
}

impl From<i64> for Number {
    fn from(value: i64) -> Self {
        Self(BigDecimal::from(value).normalized())
    }
}

impl From<u64> for Number {
    fn from(value: u64) -> Self {
        Self(BigDecimal::from(value).normalized())
    }
}

impl From<i32> for Number {
    fn from(value: i32) -> Self {
        Self::from(i64::from(value))
    }
}

impl TryFrom<f64> for Number {
    type Error = ParseNumberError;

    /// Exactly the float's binary value: `0.1` becomes 0.1000000000000000055511151231257827….
    ///
    /// # Errors
    /// For infinities and not-a-number.
    fn try_from(value: f64) -> Result<Self, Self::Error> {
        BigDecimal::try_from(value)
            .map(Self::from)
            .map_err(|_| ParseNumberError)
    }
}

impl FromStr for Number {
    type Err = ParseNumberError;

    /// Decimal notation with an optional exponent: `-12.5e3`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.len() as i64 > 2 * MAX_DIGITS || !is_decimal(text.as_bytes()) {
            return Err(ParseNumberError);
        }
        let decimal = BigDecimal::from_str(text).map_err(|_| ParseNumberError)?;
        let (_, scale) = decimal.as_bigint_and_scale();
        // Checked before normalising, which would multiply a huge exponent out.
        if scale.unsigned_abs() > 4 * MAX_DIGITS.unsigned_abs() {
            return Err(ParseNumberError);
        }
        let number = Self::from(decimal);
        let (_, scale) = number.0.as_bigint_and_scale();
        let digits_before = number.0.order_of_magnitude();
        if scale > MAX_DIGITS || digits_before >= MAX_DIGITS {
            return Err(ParseNumberError);
        }
        Ok(number)
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.write_plain_string(f)
    }
}

/// Sign, digits, point and exponent as JSON and HCL write them. The decimal library would take underscores too.
fn is_decimal(text: &[u8]) -> bool {
    let digits = |text: &[u8]| text.iter().take_while(|b| b.is_ascii_digit()).count();
    let unsigned = |text: &[u8]| usize::from(matches!(text.first(), Some(b'+' | b'-')));

    let mut rest = &text[unsigned(text)..];
    let whole = digits(rest);
    rest = &rest[whole..];
    if rest.first() == Some(&b'.') {
        let fraction = digits(&rest[1..]);
        if fraction == 0 {
            return false;
        }
        rest = &rest[1 + fraction..];
    }
    if matches!(rest.first(), Some(b'e' | b'E')) {
        rest = &rest[1..];
        rest = &rest[unsigned(rest)..];
        let exponent = digits(rest);
        if exponent == 0 {
            return false;
        }
        rest = &rest[exponent..];
    }
    whole > 0 && rest.is_empty()
}

#[cfg(test)]
mod tests {
    use super::Number;

    #[test]
    fn parses_decimals_and_nothing_else() {
        for (text, expected) in [
            ("0", Some("0")),
            ("-0", Some("0")),
            ("0.000", Some("0")),
            ("0e5", Some("0")),
            ("12", Some("12")),
            ("+12", Some("12")),
            ("1.50", Some("1.5")),
            ("-1.5e3", Some("-1500")),
            ("1e-3", Some("0.001")),
            ("18446744073709551616", Some("18446744073709551616")),
            ("", None),
            ("-", None),
            (".5", None),
            ("5.", None),
            ("1_000", None),
            ("1e", None),
            ("0x10", None),
            ("NaN", None),
            ("Inf", None),
            (" 1", None),
            ("1e4096", None),
            ("1e-4097", None),
            ("1e999999999", None),
            ("1e-999999999999999999999999", None),
        ] {
            let parsed = text.parse::<Number>().ok().map(|n| n.to_string());
            assert_eq!(parsed.as_deref(), expected, "{text:?}");
        }
        assert!("1e4095".parse::<Number>().is_ok());
        assert!("9".repeat(10_000).parse::<Number>().is_err());
    }

    #[test]
    fn converts_only_without_loss() {
        let number = |text: &str| text.parse::<Number>().unwrap();
        for (text, i64, u64, f64) in [
            ("0", Some(0), Some(0), Some(0.0)),
            ("-1", Some(-1), None, Some(-1.0)),
            ("1.0", Some(1), Some(1), Some(1.0)),
            ("100", Some(100), Some(100), Some(100.0)),
            ("1.5", None, None, Some(1.5)),
            ("0.1", None, None, None),
            (
                "9223372036854775807",
                Some(i64::MAX),
                Some(9_223_372_036_854_775_807),
                None,
            ),
            (
                "-9223372036854775808",
                Some(i64::MIN),
                None,
                Some(-9_223_372_036_854_775_808.0),
            ),
            (
                "9223372036854775808",
                None,
                Some(1 << 63),
                Some(9_223_372_036_854_775_808.0),
            ),
            ("18446744073709551615", None, Some(u64::MAX), None),
            ("1e300", None, None, None),
            ("1e22", None, None, Some(1e22)),
            ("1e400", None, None, None),
        ] {
            let n = number(text);
            assert_eq!(
                (n.as_i64(), n.as_u64(), n.as_exact_f64()),
                (i64, u64, f64),
                "{text}"
            );
        }
        assert_eq!(number("0.1").as_f64(), 0.1);
        assert!(Number::try_from(f64::NAN).is_err());
        assert!(Number::try_from(f64::INFINITY).is_err());
        for float in [0.1, f64::MIN_POSITIVE, f64::MAX, 5e-324, -1.0 / 3.0] {
            assert_eq!(Number::try_from(float).unwrap().as_exact_f64(), Some(float));
        }
    }
}
