//! Label and field selectors.

use super::store::Failure;

/// One requirement of a selector; several are all to hold.
pub(super) struct Term {
    pub(super) key: String,
    wanted: Wanted,
}

enum Wanted {
    Equal(String),
    NotEqual(String),
    Present,
    Absent,
    In(Vec<String>),
    NotIn(Vec<String>),
}

impl Term {
    pub(super) fn holds(&self, value: Option<&str>) -> bool {
        match &self.wanted {
            Wanted::Equal(wanted) => value == Some(wanted),
            Wanted::NotEqual(wanted) => value != Some(wanted),
            Wanted::Present => value.is_some(),
            Wanted::Absent => value.is_none(),
            Wanted::In(list) => value.is_some_and(|v| list.iter().any(|l| l == v)),
            Wanted::NotIn(list) => value.is_none_or(|v| !list.iter().any(|l| l == v)),
        }
    }
}

/// The requirements of a selector, as labels and fields have them.
pub(super) fn parse(text: &str) -> Result<Vec<Term>, Failure> {
    let mut terms = Vec::new();
    let (mut depth, mut part) = (0_u32, String::new());
    let mut parts = Vec::new();
    for c in text.chars() {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if c == ',' && depth == 0 {
            parts.push(std::mem::take(&mut part))
        } else {
            part.push(c)
        }
    }
    parts.push(part);
    for part in parts.iter().map(|p| p.trim()).filter(|p| !p.is_empty()) {
        let set = |rest: &str| -> Vec<String> {
            rest.trim()
                .trim_start_matches('(')
                .trim_end_matches(')')
                .split(',')
                .map(|v| v.trim().to_owned())
                .collect()
        };
        let (key, wanted) = if let Some((key, rest)) = part.split_once(" notin ") {
            (key, Wanted::NotIn(set(rest)))
        } else if let Some((key, rest)) = part.split_once(" in ") {
            (key, Wanted::In(set(rest)))
        } else if let Some((key, value)) = part.split_once("!=") {
            (key, Wanted::NotEqual(value.trim().into()))
        } else if let Some((key, value)) = part.split_once("==").or_else(|| part.split_once('=')) {
            (key, Wanted::Equal(value.trim().into()))
        } else if let Some(key) = part.strip_prefix('!') {
            (key, Wanted::Absent)
        } else if part.contains(char::is_whitespace) {
            return Err(Failure::new(
                400,
                "BadRequest",
                format!("unable to parse requirement: found '{part}'"),
            ));
        } else {
            (part, Wanted::Present)
        };
        terms.push(Term {
            key: key.trim().into(),
            wanted,
        });
    }
    Ok(terms)
}
