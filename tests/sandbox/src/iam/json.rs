//! JSON with positions: IAM refuses a key given twice, and principals are replaced in place without touching the rest of a document.

use std::ops::Range;

/// A value and where its text stands in the document.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Node {
    /// Byte range of the value, quotes included.
    pub(super) range: Range<usize>,
    /// The value.
    pub(super) value: Value,
}

/// A JSON value; numbers are not needed further than their existence.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// Any number, as written.
    Number(String),
    /// A string, unescaped.
    String(String),
    /// An array.
    Array(Vec<Node>),
    /// An object in the order of the document, keys unique.
    Object(Vec<(String, Node)>),
}

impl Node {
    /// The members of an object.
    pub(super) fn object(&self) -> Option<&[(String, Self)]> {
        match &self.value {
            Value::Object(members) => Some(members),
            _ => None,
        }
    }

    /// The text of a string.
    pub(super) fn string(&self) -> Option<&str> {
        match &self.value {
            Value::String(text) => Some(text),
            _ => None,
        }
    }

    /// The member of an object.
    pub(super) fn get(&self, key: &str) -> Option<&Self> {
        self.object()?
            .iter()
            .find(|(name, _)| name == key)
            .map(|(_, node)| node)
    }

    /// The strings of a string or of an array of strings.
    pub(super) fn strings(&self) -> Option<Vec<(&str, Range<usize>)>> {
        match &self.value {
            Value::String(text) => Some(vec![(text, self.range.clone())]),
            Value::Array(items) => items
                .iter()
                .map(|item| Some((item.string()?, item.range.clone())))
                .collect(),
            _ => None,
        }
    }
}

/// Parses a document; `None` if it is not JSON or an object names a key twice.
pub(super) fn parse(text: &str) -> Option<Node> {
    // The strict grammar is serde's work; the scan below may then assume a valid document.
    serde_json::from_str::<serde::de::IgnoredAny>(text).ok()?;
    let mut scan = Scan { text, at: 0 };
    scan.value()
}

struct Scan<'a> {
    text: &'a str,
    at: usize,
}

impl Scan<'_> {
    fn peek(&mut self) -> Option<u8> {
        let bytes = self.text.as_bytes();
        while bytes.get(self.at).is_some_and(u8::is_ascii_whitespace) {
            self.at += 1;
        }
        bytes.get(self.at).copied()
    }

    fn value(&mut self) -> Option<Node> {
        let first = self.peek()?;
        let start = self.at;
        let value = match first {
            b'{' => self.members()?,
            b'[' => self.items()?,
            b'"' => Value::String(self.string()?),
            _ => {
                let rest = &self.text[start..];
                let length = rest
                    .find([',', ']', '}', ' ', '\t', '\n', '\r'])
                    .unwrap_or(rest.len());
                self.at += length;
                match &rest[..length] {
                    "null" => Value::Null,
                    "true" => Value::Bool(true),
                    "false" => Value::Bool(false),
                    number => Value::Number(number.to_owned()),
                }
            }
        };
        Some(Node {
            range: start..self.at,
            value,
        })
    }

    fn members(&mut self) -> Option<Value> {
        let mut members: Vec<(String, Node)> = Vec::new();
        self.at += 1;
        loop {
            match self.peek()? {
                b'}' => {
                    self.at += 1;
                    return Some(Value::Object(members));
                }
                b',' => self.at += 1,
                _ => {
                    let key = self.string()?;
                    if members.iter().any(|(name, _)| *name == key) {
                        return None;
                    }
                    self.peek()?;
                    self.at += 1;
                    members.push((key, self.value()?));
                }
            }
        }
    }

    fn items(&mut self) -> Option<Value> {
        let mut items = Vec::new();
        self.at += 1;
        loop {
            match self.peek()? {
                b']' => {
                    self.at += 1;
                    return Some(Value::Array(items));
                }
                b',' => self.at += 1,
                _ => items.push(self.value()?),
            }
        }
    }

    fn string(&mut self) -> Option<String> {
        let start = self.at;
        let bytes = self.text.as_bytes();
        self.at += 1;
        while *bytes.get(self.at)? != b'"' {
            self.at += if bytes[self.at] == b'\\' { 2 } else { 1 };
        }
        self.at += 1;
        serde_json::from_str(&self.text[start..self.at]).ok()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn keeps_positions_and_order() {
        let text = " { \"b\" : [ \"x\\\"y\" , 1.5e3 ] , \"a\" : { \"c\" : null , \"d\" : true } } ";
        let node = parse(text).unwrap();
        let names: Vec<_> = node
            .object()
            .unwrap()
            .iter()
            .map(|(name, _)| name.as_str())
            .collect();
        assert_eq!(names, ["b", "a"]);
        let Value::Array(items) = &node.get("b").unwrap().value else {
            panic!("not an array")
        };
        assert_eq!(items[0].string(), Some("x\"y"));
        assert_eq!(&text[items[0].range.clone()], "\"x\\\"y\"");
        assert_eq!(items[1].value, Value::Number("1.5e3".into()));
        assert_eq!(
            node.get("a").unwrap().get("d").unwrap().value,
            Value::Bool(true)
        );
    }

    #[test]
    fn refuses_what_is_not_json_or_names_a_key_twice() {
        for text in [
            "",
            "{",
            "{\"a\":1,}",
            "x",
            "{\"a\":1} b",
            "{\"a\":1,\"a\":2}",
            "{\"a\":{\"b\":1,\"\\u0062\":2}}",
            "[1 2]",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
        assert!(parse("{\"a\":{\"b\":1},\"b\":{\"b\":1}}").is_some());
    }
}
