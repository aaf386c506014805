//! What Terraform says went wrong, and where.

use std::fmt;
use std::fs;
use std::path::Path;

use regex::Regex;
use serde_json::Value;

use super::source::enclosing;

/// An error or warning of Terraform or the provider.
#[derive(Clone, Debug)]
pub(crate) struct Diagnostic {
    pub(crate) severity: String,
    pub(crate) summary: String,
    pub(crate) detail: String,
    /// Address of the resource, if it is about one.
    pub(crate) address: Option<String>,
    /// The source it points at; the first line is the one the diagnostic's range starts in.
    pub(crate) code: Option<String>,
    /// What encloses the position, outermost first: `resource`, `trust`, `namespaces`.
    pub(crate) path: Vec<String>,
}

impl Diagnostic {
    /// Reads the object that `-json` output and `validate -json` carry, about the configuration in `directory`.
    pub(crate) fn from_json(value: &Value, directory: &Path) -> Self {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        Self {
            severity: text(&value["severity"]).unwrap_or_default(),
            summary: text(&value["summary"]).unwrap_or_default(),
            detail: text(&value["detail"]).unwrap_or_default(),
            address: text(&value["address"]),
            code: text(&value["snippet"]["code"]),
            path: position(value, directory).unwrap_or_default(),
        }
    }

    /// Reads the boxes of human-readable output, whose lines are wrapped at the terminal's width.
    pub(crate) fn from_text(output: &str) -> Vec<Self> {
        let mut found = Vec::new();
        let mut lines: Option<Vec<&str>> = None;
        for line in output.lines() {
            match line.trim_end() {
                "╷" => lines = Some(Vec::new()),
                "╵" => found.extend(lines.take().map(|lines| Self::from_lines(&lines))),
                line => {
                    if let Some(lines) = &mut lines {
                        lines.push(line.strip_prefix('│').unwrap_or(line).trim());
                    }
                }
            }
        }
        found
    }

    fn from_lines(lines: &[&str]) -> Self {
        let text = lines.join("\n");
        let (head, rest) = text.split_once("\n\n").unwrap_or((&text, ""));
        let head = head.replace('\n', " ");
        let (severity, summary) = head.split_once(": ").unwrap_or(("", &head));
        // Paragraphs stay apart; within one the line breaks are Terraform's.
        let detail: Vec<String> = rest
            .split("\n\n")
            .map(|paragraph| paragraph.replace('\n', " "))
            .collect();
        Self {
            severity: severity.to_lowercase(),
            summary: summary.to_owned(),
            detail: detail.join("\n\n").trim().to_owned(),
            address: None,
            code: None,
            path: Vec::new(),
        }
    }

    /// Whether this is Terraform's reminder that the provider was found by a development override.
    pub(crate) fn is_override_notice(&self) -> bool {
        self.summary == "Provider development overrides are in effect"
    }

    /// Whether the diagnostic points at this attribute or block, or at something inside it.
    pub(crate) fn points_at(&self, name: &str) -> bool {
        self.path.iter().any(|found| found == name)
    }
}

/// What the range points at: the value of an attribute, the whole attribute, or the header of a block.
fn position(value: &Value, directory: &Path) -> Option<Vec<String>> {
    let range = &value["range"];
    let start: usize = range["start"]["byte"].as_u64()?.try_into().ok()?;
    let text = fs::read_to_string(directory.join(range["filename"].as_str()?)).ok()?;
    let mut path = enclosing(&text, start);
    // In front of a name it is not yet inside.
    let line = text.get(start..)?.lines().next()?;
    let name = line
        .split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .next()?;
    let rest = line[name.len()..].trim_start();
    let object = ["resource", "data", "provider"].contains(&name);
    if !name.is_empty()
        && !object
        && (rest.starts_with('{') || (rest.starts_with('=') && !rest.starts_with("==")))
    {
        path.push(name.to_owned());
    }
    Some(path)
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.severity, self.summary)?;
        if let Some(address) = &self.address {
            write!(f, " [{address}]")?;
        }
        if let Some(code) = &self.code {
            write!(
                f,
                "\n    at: {}",
                code.lines().next().unwrap_or_default().trim()
            )?;
        }
        for line in self.detail.lines() {
            write!(f, "\n    {line}")?;
        }
        Ok(())
    }
}

/// An error that was wanted and found; ask it for more.
#[must_use = "say where the error should point, with `on` or `anywhere`"]
pub(crate) struct ErrorExpectation {
    pub(crate) found: Diagnostic,
}

impl ErrorExpectation {
    /// Picks the first error whose summary and detail match, whatever their line breaks.
    ///
    /// # Errors
    ///
    /// The pattern matched none.
    pub(crate) fn find(diagnostics: &[Diagnostic], pattern: &str) -> Result<Self, String> {
        let regex = Regex::new(&format!("(?s){pattern}"))
            .unwrap_or_else(|error| panic!("bad pattern {pattern}: {error}"));
        diagnostics
            .iter()
            .filter(|diagnostic| diagnostic.severity == "error")
            .find(|diagnostic| {
                let text = format!("{}\n{}", diagnostic.summary, diagnostic.detail);
                regex.is_match(&text)
                    || regex.is_match(&text.split_whitespace().collect::<Vec<_>>().join(" "))
            })
            .map(|found| Self {
                found: found.clone(),
            })
            .ok_or_else(|| format!("no error matches /{pattern}/"))
    }

    /// Demands that the error points at this attribute or block.
    #[track_caller]
    pub(crate) fn on(self, attribute: &str) -> Diagnostic {
        assert!(
            self.found.points_at(attribute),
            "the error does not point at {attribute} but at {:?}:\n{}",
            self.found.path,
            self.found
        );
        self.found
    }

    /// Takes the error wherever it points: for those that belong to an object as a whole.
    pub(crate) fn anywhere(self) -> Diagnostic {
        self.found
    }
}

#[test]
fn wrapped_boxes_become_one_line() {
    let text = "x\n╷\n│ Error: Cannot import non-existent\n│ remote object\n│ \n│ While attempting to import an existing object to \"a.b\", the provider\n│ detected nothing.\n│ \n│ Second.\n╵\n";
    let found = Diagnostic::from_text(text);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].severity, "error");
    assert_eq!(found[0].summary, "Cannot import non-existent remote object");
    assert_eq!(
        found[0].detail,
        "While attempting to import an existing object to \"a.b\", the provider detected nothing.\n\nSecond."
    );
}
