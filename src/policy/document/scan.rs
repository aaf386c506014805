//! Looks for members that an object has twice. JSON parsers keep one of them without a word, and so does IAM.

use std::collections::HashSet;

/// The path and byte offset of the first member that its object already has, in a text that is known to be valid JSON.
pub(super) fn duplicate_key(text: &str) -> Option<(String, usize)> {
    let bytes = text.as_bytes();
    let mut frames: Vec<Frame> = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'{' => frames.push(Frame::Object {
                keys: HashSet::new(),
                key: String::new(),
                expects_key: true,
            }),
            b'[' => frames.push(Frame::List { index: 0 }),
            b'}' | b']' => {
                frames.pop();
            }
            b',' => match frames.last_mut() {
                Some(Frame::Object { expects_key, .. }) => *expects_key = true,
                Some(Frame::List { index }) => *index += 1,
                None => {}
            },
            b'"' => {
                let end = string_end(bytes, at);
                let depth = frames.len();
                if let Some(Frame::Object {
                    keys,
                    key,
                    expects_key: expects_key @ true,
                }) = frames.last_mut()
                {
                    *expects_key = false;
                    *key = serde_json::from_str(text.get(at..end).unwrap_or_default())
                        .unwrap_or_default();
                    if !keys.insert(if depth == 1 { fold(key) } else { key.clone() }) {
                        return Some((path(&frames), at));
                    }
                }
                at = end;
                continue;
            }
            _ => {}
        }
        at += 1;
    }
    None
}

enum Frame {
    Object {
        keys: HashSet<String>,
        key: String,
        expects_key: bool,
    },
    List {
        index: usize,
    },
}

/// The offset after the closing quote of the string that starts at `start`.
fn string_end(bytes: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    while at < bytes.len() && bytes[at] != b'"' {
        at += if bytes[at] == b'\\' { 2 } else { 1 };
    }
    (at + 1).min(bytes.len())
}

/// The known top-level members have one name in any letter case.
fn fold(key: &str) -> String {
    ["Version", "Id", "Statement"]
        .into_iter()
        .find(|name| name.eq_ignore_ascii_case(key))
        .unwrap_or(key)
        .to_owned()
}

fn path(frames: &[Frame]) -> String {
    let mut path = String::new();
    for frame in frames {
        match frame {
            Frame::Object { key, .. } => {
                if !path.is_empty() {
                    path.push('.');
                }
                path.push_str(key);
            }
            Frame::List { index } => path.push_str(&format!("[{index}]")),
        }
    }
    path
}
