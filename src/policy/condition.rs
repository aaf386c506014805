//! How IAM evaluates one line of a `Condition`, when not everything about the request is known yet.
//!
//! The semantics are those of the IAM user guide ("Condition operators", "Multiple context keys or values", "Policy variables").
//! The answer has three values: a line that is not decided by what is known is [`Tri::Unknown`], never guessed.

use std::fmt;

/// The answer to a question that what is known may not decide.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tri {
    False,
    Unknown,
    True,
}

impl Tri {
    pub(super) fn and(self, other: Self) -> Self {
        if self == Self::False || other == Self::False {
            Self::False
        } else if self == Self::True && other == Self::True {
            Self::True
        } else {
            Self::Unknown
        }
    }

    pub(super) fn or(self, other: Self) -> Self {
        self.not().and(other.not()).not()
    }

    pub(super) fn not(self) -> Self {
        match self {
            Self::False => Self::True,
            Self::Unknown => Self::Unknown,
            Self::True => Self::False,
        }
    }
}

impl From<bool> for Tri {
    fn from(known: bool) -> Self {
        if known { Self::True } else { Self::False }
    }
}

/// What is known about the value of a condition key in the request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Actual {
    /// The request does not have the key.
    Absent,
    /// The request has the key with one value.
    One(Glob),
    /// The request has the key with several values.
    Many(Vec<Glob>),
    /// Not known, not even whether the request has the key.
    Unknown,
}

impl Actual {
    /// The key is there with this value.
    pub(super) fn known(text: &str) -> Self {
        Self::One(Glob::literal(text))
    }

    /// The key is there; its value is known if `text` is.
    pub(super) fn present(text: Option<&str>) -> Self {
        Self::One(text.map_or_else(Glob::anything, Glob::literal))
    }
}

/// A text of which parts may be open: the pattern of a condition, or a value of which only some parts are known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Glob(Vec<Token>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token {
    Char(char),
    /// `?`
    One,
    /// `*`, or in a value: some text, not known which.
    Any,
    /// In a pattern: the value of a policy variable that is not known.
    Hole,
}

impl Glob {
    pub(super) fn literal(text: &str) -> Self {
        Self(text.chars().map(Token::Char).collect())
    }

    pub(super) fn pattern(text: &str) -> Self {
        Self(text.chars().map(wildcard).collect())
    }

    pub(super) fn anything() -> Self {
        Self(vec![Token::Any])
    }

    /// The text, if it is known completely.
    pub(super) fn text(&self) -> Option<String> {
        self.0
            .iter()
            .map(|token| {
                if let Token::Char(c) = token {
                    Some(*c)
                } else {
                    None
                }
            })
            .collect()
    }

    fn lower(&self) -> Self {
        let lower = |token: &Token| match token {
            Token::Char(c) => Token::Char(c.to_lowercase().next().unwrap_or(*c)),
            other => *other,
        };
        Self(self.0.iter().map(lower).collect())
    }

    /// Whether this pattern matches the value, whatever its open parts turn out to be.
    pub(super) fn matches(&self, value: &Self) -> Tri {
        if certain(&self.0, &value.0) {
            Tri::True
        } else if possible(&self.0, &value.0) {
            Tri::Unknown
        } else {
            Tri::False
        }
    }

    /// The six parts of an ARN; fewer when the text is none.
    fn parts(&self) -> Vec<Self> {
        self.0
            .splitn(6, |token| *token == Token::Char(':'))
            .map(|part| Self(part.to_vec()))
            .collect()
    }
}

impl fmt::Display for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for token in &self.0 {
            match token {
                Token::Char(c) => write!(f, "{c}")?,
                Token::One => f.write_str("?")?,
                Token::Any | Token::Hole => f.write_str("*")?,
            }
        }
        Ok(())
    }
}

/// Evaluates one line. `lookup` tells what the request holds for a key, for the values of policy variables; without it `${…}` is plain text,
/// as in documents that are not of version 2012-10-17.
pub(super) fn evaluate(
    operator: &str,
    values: &[String],
    actual: &Actual,
    lookup: Option<&dyn Fn(&str) -> Actual>,
) -> Tri {
    let Some(operator) = Operator::parse(operator) else {
        return Tri::Unknown;
    };
    if operator.base == Base::Null {
        let wants = |text: &str| values.iter().any(|value| value.eq_ignore_ascii_case(text));
        return match actual {
            Actual::Absent => wants("true").into(),
            Actual::One(_) | Actual::Many(_) => wants("false").into(),
            Actual::Unknown if wants("true") && wants("false") => Tri::True,
            Actual::Unknown => Tri::Unknown,
        };
    }
    match actual {
        Actual::Absent => operator.without_key().into(),
        Actual::One(value) => operator.test(value, values, lookup),
        Actual::Many(actual) => {
            let each = actual
                .iter()
                .map(|value| operator.test(value, values, lookup));
            match operator.quantifier {
                Some(Quantifier::ForAnyValue) => each.fold(Tri::False, Tri::or),
                Some(Quantifier::ForAllValues) => each.fold(Tri::True, Tri::and),
                // IAM leaves open what a plain operator does with several values.
                None => Tri::Unknown,
            }
        }
        Actual::Unknown => {
            let present = operator.test(&Glob::anything(), values, lookup);
            if present == Tri::from(operator.without_key()) {
                present
            } else {
                Tri::Unknown
            }
        }
    }
}

/// Whether the operator is one that IAM has.
pub(super) fn is_operator(operator: &str) -> bool {
    Operator::parse(operator).is_some()
}

/// Whether the operator asks for exact text, so that `*` and `?` in its values stand for themselves.
pub(super) fn is_exact(operator: &str) -> bool {
    Operator::parse(operator)
        .is_some_and(|operator| operator.base == Base::String && !operator.negated)
}

/// Whether the operator can only hold for a value that is among those listed: no negation, and the key must be there.
pub(super) fn is_positive(operator: &str) -> bool {
    Operator::parse(operator).is_some_and(|operator| {
        operator.base != Base::Null
            && !operator.negated
            && operator.quantifier != Some(Quantifier::ForAllValues)
    })
}

/// Whether the operator compares text and holds for a value that is among those listed, whatever its quantifier.
pub(super) fn compares_text(operator: &str) -> bool {
    Operator::parse(operator).is_some_and(|operator| {
        !operator.negated
            && matches!(
                operator.base,
                Base::String | Base::StringIgnoreCase | Base::StringLike
            )
    })
}

/// Whether the operator takes `*` and `?` in its values for wildcards.
pub(super) fn takes_wildcards(operator: &str) -> bool {
    Operator::parse(operator)
        .is_some_and(|operator| matches!(operator.base, Base::StringLike | Base::Arn))
}

/// Whether a line with the operator holds when the request does not have the key.
pub(super) fn holds_without_key(operator: &str) -> bool {
    Operator::parse(operator)
        .is_some_and(|operator| operator.base != Base::Null && operator.without_key())
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Operator {
    quantifier: Option<Quantifier>,
    base: Base,
    negated: bool,
    if_exists: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Quantifier {
    ForAnyValue,
    ForAllValues,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Base {
    String,
    StringIgnoreCase,
    StringLike,
    Arn,
    Bool,
    Null,
    /// Numbers, dates, binaries and addresses: the keys that such operators are used with are not known before run time.
    Other,
}

impl Operator {
    fn parse(text: &str) -> Option<Self> {
        let (quantifier, rest) = if let Some(rest) = text.strip_prefix("ForAnyValue:") {
            (Some(Quantifier::ForAnyValue), rest)
        } else if let Some(rest) = text.strip_prefix("ForAllValues:") {
            (Some(Quantifier::ForAllValues), rest)
        } else {
            (None, text)
        };
        let (name, if_exists) = rest
            .strip_suffix("IfExists")
            .map_or((rest, false), |name| (name, true));
        let (base, negated) = match name {
            "StringEquals" => (Base::String, false),
            "StringNotEquals" => (Base::String, true),
            "StringEqualsIgnoreCase" => (Base::StringIgnoreCase, false),
            "StringNotEqualsIgnoreCase" => (Base::StringIgnoreCase, true),
            "StringLike" => (Base::StringLike, false),
            "StringNotLike" => (Base::StringLike, true),
            "ArnEquals" | "ArnLike" => (Base::Arn, false),
            "ArnNotEquals" | "ArnNotLike" => (Base::Arn, true),
            "Bool" => (Base::Bool, false),
            "Null" if !if_exists => (Base::Null, false),
            "NumericEquals"
            | "NumericLessThan"
            | "NumericLessThanEquals"
            | "NumericGreaterThan"
            | "NumericGreaterThanEquals"
            | "DateEquals"
            | "DateLessThan"
            | "DateLessThanEquals"
            | "DateGreaterThan"
            | "DateGreaterThanEquals"
            | "BinaryEquals"
            | "IpAddress" => (Base::Other, false),
            "NumericNotEquals" | "DateNotEquals" | "NotIpAddress" => (Base::Other, true),
            _ => return None,
        };
        Some(Self {
            quantifier,
            base,
            negated,
            if_exists,
        })
    }

    /// What the line is worth when the request does not have the key.
    fn without_key(self) -> bool {
        match self.quantifier {
            Some(Quantifier::ForAllValues) => true,
            Some(Quantifier::ForAnyValue) => self.if_exists,
            None => self.if_exists || self.negated,
        }
    }

    /// One value of the request against the values of the line, of which one must match, or none if the operator is negated.
    fn test(
        self,
        actual: &Glob,
        values: &[String],
        lookup: Option<&dyn Fn(&str) -> Actual>,
    ) -> Tri {
        let any = values
            .iter()
            .map(|value| self.compare(actual, value, lookup))
            .fold(Tri::False, Tri::or);
        if self.negated { any.not() } else { any }
    }

    fn compare(self, actual: &Glob, value: &str, lookup: Option<&dyn Fn(&str) -> Actual>) -> Tri {
        let wildcards = matches!(self.base, Base::StringLike | Base::Arn);
        let Some(pattern) = expand(value, wildcards, lookup) else {
            return Tri::False;
        };
        match self.base {
            Base::String | Base::StringLike => pattern.matches(actual),
            Base::StringIgnoreCase | Base::Bool => pattern.lower().matches(&actual.lower()),
            Base::Arn => {
                let (pattern, parts) = (pattern.parts(), actual.parts());
                if parts.len() < 6 {
                    return if actual.text().is_some() {
                        Tri::False
                    } else {
                        Tri::Unknown
                    };
                }
                if pattern.len() < 6 {
                    return if value == "*" {
                        Tri::Unknown
                    } else {
                        Tri::False
                    };
                }
                pattern
                    .iter()
                    .zip(&parts)
                    .map(|(pattern, part)| pattern.matches(part))
                    .fold(Tri::True, Tri::and)
            }
            Base::Null | Base::Other => Tri::Unknown,
        }
    }
}

fn wildcard(c: char) -> Token {
    match c {
        '*' => Token::Any,
        '?' => Token::One,
        other => Token::Char(other),
    }
}

/// The pattern of a condition value, with policy variables replaced. `None` when a variable has no value, for then nothing matches.
fn expand(value: &str, wildcards: bool, lookup: Option<&dyn Fn(&str) -> Actual>) -> Option<Glob> {
    let text = |text: &str| {
        if wildcards {
            Glob::pattern(text)
        } else {
            Glob::literal(text)
        }
    };
    let Some(lookup) = lookup else {
        return Some(text(value));
    };
    let mut tokens = Vec::new();
    let mut rest = value;
    while let Some((before, after)) = rest.split_once("${") {
        let Some((name, after)) = after.split_once('}') else {
            break;
        };
        tokens.extend(text(before).0);
        rest = after;
        if let "*" | "?" | "$" = name {
            tokens.extend(Glob::literal(name).0);
            continue;
        }
        let (key, default) = name.split_once(',').map_or((name, None), |(key, default)| {
            (key, Some(default.trim().trim_matches('\'')))
        });
        match (lookup(key.trim()), default) {
            (Actual::Absent, Some(default)) => tokens.extend(Glob::literal(default).0),
            (Actual::Absent, None) => return None,
            (Actual::One(glob), _) => tokens.extend(glob.0.iter().map(|token| {
                if let Token::Any = token {
                    Token::Hole
                } else {
                    *token
                }
            })),
            (Actual::Many(_) | Actual::Unknown, _) => tokens.push(Token::Hole),
        }
    }
    tokens.extend(text(rest).0);
    Some(Glob(tokens))
}

/// Whether the pattern matches every text that the value can be.
fn certain(pattern: &[Token], value: &[Token]) -> bool {
    // Only `*` covers a part that is open; everything else must be written out on both sides.
    run(
        pattern,
        value,
        |p, v| {
            matches!((p, v), (Token::Char(a), Token::Char(b)) if a == b)
                || matches!((p, v), (Token::One, Token::Char(_)))
        },
        |token| token == Token::Any,
        |_| false,
    )
}

/// Whether there is a text that the pattern matches and the value can be.
fn possible(pattern: &[Token], value: &[Token]) -> bool {
    let open = |token| matches!(token, Token::Any | Token::Hole);
    run(
        pattern,
        value,
        |p, v| p == v || p == Token::One || v == Token::One,
        open,
        open,
    )
}

/// Whether the two sequences can be brought together, where `stretches_*` says which tokens stand for any number of the other side's.
fn run(
    pattern: &[Token],
    value: &[Token],
    same: impl Fn(Token, Token) -> bool,
    pattern_stretches: impl Fn(Token) -> bool,
    value_stretches: impl Fn(Token) -> bool,
) -> bool {
    // reachable[j]: the pattern so far can be brought together with the first j tokens of the value.
    let mut reachable = vec![false; value.len() + 1];
    reachable[0] = true;
    for j in 0..value.len() {
        reachable[j + 1] = reachable[j] && value_stretches(value[j]);
    }
    for &p in pattern {
        let mut next = vec![false; value.len() + 1];
        next[0] = reachable[0] && pattern_stretches(p);
        for j in 0..value.len() {
            let v = value[j];
            // A token that stretches takes one more of the other side, or nothing more.
            next[j + 1] = if pattern_stretches(p) || value_stretches(v) {
                reachable[j + 1] || next[j]
            } else {
                reachable[j] && same(p, v)
            };
        }
        reachable = next;
    }
    reachable[value.len()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use Tri::{False, True, Unknown};

    fn values(values: &[&str]) -> Vec<String> {
        values.iter().map(|value| (*value).to_owned()).collect()
    }

    #[test]
    fn globs() {
        let cases = [
            ("abc", "abc", True),
            ("abc", "abd", False),
            ("a*", "abc", True),
            ("*c", "abc", True),
            ("a*c*e", "abcde", True),
            ("a*x*e", "abcde", False),
            ("a?c", "abc", True),
            ("a?c", "ac", False),
            ("*", "", True),
            ("", "", True),
            ("", "a", False),
            ("?", "", False),
            ("**", "a", True),
        ];
        for (pattern, value, expected) in cases {
            assert_eq!(
                Glob::pattern(pattern).matches(&Glob::literal(value)),
                expected,
                "{pattern} {value}"
            );
        }
        // Here the value itself has open parts.
        let cases = [
            ("abc", "*", Unknown),
            ("*", "*", True),
            ("a*", "*", Unknown),
            ("a*", "b*", False),
            ("a*", "ab*", True),
            ("*b", "a*", Unknown),
            ("abc", "a*d", False),
            ("abc", "a*c", Unknown),
            ("a*c", "a*c", True),
            ("?", "*", Unknown),
            ("??", "a*bc", False),
            (
                "arn:aws:eks:us-east-1:1:cluster/other",
                "arn:*:eks:*:1:cluster/demo",
                False,
            ),
            (
                "arn:aws:eks:us-east-1:1:cluster/demo",
                "arn:*:eks:*:1:cluster/demo",
                Unknown,
            ),
            (
                "arn:aws:eks:*:1:cluster/*",
                "arn:*:eks:*:1:cluster/demo",
                Unknown,
            ),
            ("arn:*:eks:*:cluster/*", "arn:*:eks:*:1:cluster/demo", True),
        ];
        for (pattern, value, expected) in cases {
            assert_eq!(
                Glob::pattern(pattern).matches(&Glob::pattern(value)),
                expected,
                "{pattern} {value}"
            );
        }
    }

    #[test]
    fn operators() {
        let a = Actual::known("a");
        let many =
            |texts: &[&str]| Actual::Many(texts.iter().map(|text| Glob::literal(text)).collect());
        let cases = [
            ("StringEquals", vec!["a", "b"], a.clone(), True),
            ("StringEquals", vec!["A"], a.clone(), False),
            ("StringEquals", vec!["*"], a.clone(), False),
            ("StringEquals", vec![], a.clone(), False),
            ("StringEqualsIgnoreCase", vec!["A"], a.clone(), True),
            ("StringNotEqualsIgnoreCase", vec!["A"], a.clone(), False),
            ("StringLike", vec!["b", "*"], a.clone(), True),
            ("StringNotEquals", vec!["a", "b"], a.clone(), False),
            ("StringNotEquals", vec!["b", "c"], a.clone(), True),
            ("StringNotLike", vec!["b*", "a*"], a.clone(), False),
            ("StringEquals", vec!["a"], Actual::Absent, False),
            ("StringNotEquals", vec!["a"], Actual::Absent, True),
            ("StringEqualsIfExists", vec!["a"], Actual::Absent, True),
            ("StringEqualsIfExists", vec!["b"], a.clone(), False),
            ("StringNotEqualsIfExists", vec!["a"], Actual::Absent, True),
            ("ForAnyValue:StringEquals", vec!["a"], Actual::Absent, False),
            (
                "ForAnyValue:StringNotEquals",
                vec!["a"],
                Actual::Absent,
                False,
            ),
            (
                "ForAnyValue:StringEqualsIfExists",
                vec!["a"],
                Actual::Absent,
                True,
            ),
            ("ForAllValues:StringEquals", vec!["a"], Actual::Absent, True),
            (
                "ForAnyValue:StringEquals",
                vec!["a"],
                many(&["b", "a"]),
                True,
            ),
            (
                "ForAnyValue:StringNotEquals",
                vec!["a"],
                many(&["a", "b"]),
                True,
            ),
            (
                "ForAllValues:StringEquals",
                vec!["a"],
                many(&["a", "b"]),
                False,
            ),
            (
                "ForAllValues:StringLike",
                vec!["a*", "b"],
                many(&["ab", "b"]),
                True,
            ),
            (
                "ForAllValues:StringNotEquals",
                vec!["c"],
                many(&["a", "b"]),
                True,
            ),
            ("ForAnyValue:StringEquals", vec!["a"], a.clone(), True),
            ("StringEquals", vec!["a"], many(&["a"]), Unknown),
            ("StringEquals", vec!["a"], Actual::Unknown, Unknown),
            ("StringLikeIfExists", vec!["*"], Actual::Unknown, True),
            ("StringLike", vec!["*"], Actual::Unknown, Unknown),
            ("StringEquals", vec![], Actual::Unknown, False),
            ("Null", vec!["true"], Actual::Absent, True),
            ("Null", vec!["false"], Actual::Absent, False),
            ("Null", vec!["true"], a.clone(), False),
            ("Null", vec!["false"], a.clone(), True),
            ("Null", vec!["true"], Actual::Unknown, Unknown),
            ("Bool", vec!["true"], Actual::known("True"), True),
            ("Bool", vec!["false"], Actual::known("true"), False),
            ("NumericLessThan", vec!["5"], a.clone(), Unknown),
            ("NumericLessThan", vec!["5"], Actual::Absent, False),
            ("NumericNotEquals", vec!["5"], Actual::Absent, True),
            ("NotIpAddressIfExists", vec!["5"], Actual::Absent, True),
            ("stringequals", vec!["a"], a.clone(), Unknown),
            ("StringSounds", vec!["a"], a, Unknown),
        ];
        for (operator, list, actual, expected) in cases {
            assert_eq!(
                evaluate(operator, &values(&list), &actual, None),
                expected,
                "{operator} {list:?} {actual:?}"
            );
        }
    }

    #[test]
    fn arns_are_compared_part_by_part() {
        let cluster = Actual::known("arn:aws:eks:us-east-1:123456789012:cluster/demo");
        let cases = [
            (
                "ArnEquals",
                "arn:aws:eks:us-east-1:123456789012:cluster/demo",
                True,
            ),
            ("ArnEquals", "arn:aws:eks:*:*:cluster/*", True),
            (
                "ArnLike",
                "arn:aws:eks:us-east-1:123456789012:cluster/d?mo",
                True,
            ),
            ("ArnLike", "arn:aws:eks:us-east-1*cluster/demo", False),
            (
                "ArnLike",
                "arn:aws:eks:us-east-1:123456789012:cluster/other",
                False,
            ),
            (
                "ArnNotLike",
                "arn:aws:eks:us-east-1:123456789012:cluster/other",
                True,
            ),
            ("ArnNotEquals", "arn:aws:eks:*:*:cluster/demo", False),
            ("StringLike", "arn:aws:eks:us-east-1*cluster/demo", True),
            ("StringEquals", "arn:aws:eks:*:*:cluster/*", False),
            ("ArnLike", "*", Unknown),
        ];
        for (operator, value, expected) in cases {
            assert_eq!(
                evaluate(operator, &values(&[value]), &cluster, None),
                expected,
                "{operator} {value}"
            );
        }
        assert_eq!(
            evaluate(
                "ArnLike",
                &values(&["arn:aws:eks:*:*:cluster/*"]),
                &Actual::known("demo"),
                None
            ),
            False
        );
        assert_eq!(
            evaluate(
                "ArnLike",
                &values(&["arn:aws:eks:*:*:cluster/*"]),
                &Actual::One(Glob::anything()),
                None
            ),
            Unknown
        );
    }

    #[test]
    fn variables() {
        let lookup: &dyn Fn(&str) -> Actual = &|key| match key {
            "aws:SourceAccount" => Actual::known("123456789012"),
            "star" => Actual::known("*"),
            "open" => Actual::One(Glob::anything()),
            "absent" => Actual::Absent,
            _ => Actual::Unknown,
        };
        let actual = Actual::known("123456789012");
        let cases = [
            ("StringEquals", "${aws:SourceAccount}", True),
            ("StringEquals", "x${aws:SourceAccount}", False),
            ("StringEquals", "${unknown}", Unknown),
            ("StringEquals", "${open}x", False),
            ("StringEquals", "${open}2", Unknown),
            ("StringEquals", "${absent}", False),
            ("StringNotEquals", "${absent}", True),
            ("StringEquals", "${absent, '123456789012'}", True),
            ("StringLike", "${star}", False),
            ("StringLike", "${*}", False),
            ("StringLike", "123*${absent, '2'}", True),
            ("StringEquals", "${unclosed", False),
        ];
        for (operator, value, expected) in cases {
            assert_eq!(
                evaluate(operator, &values(&[value]), &actual, Some(lookup)),
                expected,
                "{operator} {value}"
            );
        }
        assert_eq!(
            evaluate(
                "StringEquals",
                &values(&["${*}"]),
                &Actual::known("*"),
                Some(lookup)
            ),
            True
        );
        assert_eq!(
            evaluate(
                "StringEquals",
                &values(&["${aws:SourceAccount}"]),
                &Actual::known("${aws:SourceAccount}"),
                None
            ),
            True
        );
        assert_eq!(
            evaluate(
                "StringEquals",
                &values(&["${aws:SourceAccount}"]),
                &actual,
                None
            ),
            False
        );
    }
}
