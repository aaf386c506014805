//! Writing the XML answers of the query protocol.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use time::OffsetDateTime;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;

/// Everything but the unreserved characters of RFC 3986: IAM encodes policy documents this way, so a space is `%20` and never `+`.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// IAM answers in whole seconds, UTC.
const DATE: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]Z");

/// A document under construction.
#[derive(Debug, Default)]
pub(super) struct Xml {
    out: String,
}

impl Xml {
    /// An empty document.
    pub(super) fn new() -> Self {
        Self::default()
    }

    /// `<name>value</name>`, escaped.
    pub(super) fn text(&mut self, name: &str, value: &str) {
        self.out.push_str(&format!("<{name}>"));
        escape(value, &mut self.out);
        self.out.push_str(&format!("</{name}>"));
    }

    /// `<name>value</name>` for numbers and booleans.
    pub(super) fn scalar(&mut self, name: &str, value: impl std::fmt::Display) {
        self.text(name, &value.to_string());
    }

    /// A timestamp, in whole seconds.
    pub(super) fn date(&mut self, name: &str, value: OffsetDateTime) {
        self.text(name, &date(value));
    }

    /// A policy document, percent-encoded.
    pub(super) fn document(&mut self, name: &str, value: &str) {
        self.text(name, &utf8_percent_encode(value, RESERVED).to_string());
    }

    /// `<name>…</name>` around what `content` writes.
    pub(super) fn element(&mut self, name: &str, content: impl FnOnce(&mut Self)) {
        self.out.push_str(&format!("<{name}>"));
        content(self);
        self.out.push_str(&format!("</{name}>"));
    }

    /// `<name>content</name>` around what is already XML.
    pub(super) fn raw_element(&mut self, name: &str, content: &str) {
        self.out.push_str(&format!("<{name}>{content}</{name}>"));
    }

    /// `<name><member>…</member>…</name>`.
    pub(super) fn list<T>(
        &mut self,
        name: &str,
        items: impl IntoIterator<Item = T>,
        mut content: impl FnMut(&mut Self, T),
    ) {
        self.element(name, |xml| {
            for item in items {
                xml.element("member", |xml| content(xml, item));
            }
        });
    }

    /// A list of plain strings.
    pub(super) fn strings<'a>(&mut self, name: &str, items: impl IntoIterator<Item = &'a str>) {
        self.element(name, |xml| {
            for item in items {
                xml.text("member", item);
            }
        });
    }

    /// The text written so far.
    pub(super) fn finish(self) -> String {
        self.out
    }
}

/// A timestamp the way IAM prints it: `2026-11-22T10:00:00Z`.
pub(super) fn date(value: OffsetDateTime) -> String {
    value
        .to_offset(time::UtcOffset::UTC)
        .format(DATE)
        .unwrap_or_else(|_| "1970-01-01T00:00:00Z".into())
}

/// Appends `value` with XML's special characters as references.
pub(super) fn escape(value: &str, out: &mut String) {
    for character in value.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            // A parser would turn a bare carriage return into a line feed.
            '\r' => out.push_str("&#xD;"),
            // Not expressible in XML 1.0 at all, not even as a reference.
            '\0'..='\u{8}' | '\u{b}' | '\u{c}' | '\u{e}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => {
                out.push('\u{fffd}')
            }
            other => out.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;

    #[test]
    fn writes_escaped_text_lists_documents_and_dates() {
        let mut xml = Xml::new();
        xml.text("A", "<&>\"\r\u{1}");
        xml.list("B", ["x", "y"], |xml, item| xml.text("C", item));
        xml.strings("D", ["z"]);
        xml.document("E", "{\"a b\":\"*-._~\"}");
        xml.date("F", datetime!(2026-11-22 10:00:00.9 +1));
        xml.scalar("G", true);
        assert_eq!(
            xml.finish(),
            "<A>&lt;&amp;&gt;&quot;&#xD;\u{fffd}</A><B><member><C>x</C></member><member><C>y</C></member></B><D><member>z</member></D>\
             <E>%7B%22a%20b%22%3A%22%2A-._~%22%7D</E><F>2026-11-22T09:00:00Z</F><G>true</G>"
        );
    }
}
