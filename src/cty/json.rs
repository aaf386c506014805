//! JSON forms: type constraints, saved state (`RawState`) and `json` dynamic values.
//!
//! Numbers keep every digit: nothing here goes through a 64-bit float.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::Value as Json;

use super::conform::{missing, unsupported, wrong_length};
use super::error::described;
use super::nfc::{into_nfc, nfc};
use super::{Error, MAX_DEPTH, Step, Type, Value};

/// The JSON form of a type constraint, as in `Schema.Attribute.type`: `"string"`, `["list","string"]`, ….
#[must_use]
pub fn type_to_json(ty: &Type) -> Vec<u8> {
    let mut out = Vec::with_capacity(32);
    write_type(&mut out, ty);
    out
}

/// Reads a type constraint. The list of optional attributes that an object type may end with is read and dropped: a type
/// of values has none.
///
/// # Errors
/// When the bytes are not JSON or not a type.
pub fn type_from_json(bytes: &[u8]) -> Result<Type, Error> {
    // The types of nearly all dynamic values.
    match bytes {
        br#""string""# => return Ok(Type::String),
        br#""bool""# => return Ok(Type::Bool),
        br#""number""# => return Ok(Type::Number),
        _ => {}
    }
    type_from_tree(&parse(bytes)?, 0)
}

/// The JSON form of `value`, which is of type `ty`.
///
/// # Errors
/// When the value is not of the type, or holds unknowns, which JSON cannot say.
pub fn value_to_json(value: &Value, ty: &Type) -> Result<Vec<u8>, Error> {
    let mut out = Vec::with_capacity(256);
    write_value(&mut out, value, ty, 0)?;
    Ok(out)
}

/// Reads a value of type `ty`. As Terraform does, an attribute that is missing is null, and primitives written as another
/// primitive are converted (`"5"` to a number, `true` to a string): older releases saved them so.
///
/// # Errors
/// When the bytes are not JSON, or not a value of the type; an attribute that the type does not have is one too.
pub fn value_from_json(bytes: &[u8], ty: &Type) -> Result<Value, Error> {
    value_from_tree(parse(bytes)?, ty)
}

/// [`value_from_json`] of parsed JSON. Numbers must have been parsed with arbitrary precision.
///
/// # Errors
/// As there.
pub fn value_from_tree(json: Json, ty: &Type) -> Result<Value, Error> {
    Reader { strict: true }.value(json, ty, 0)
}

/// [`value_from_json`] for state that another schema version may have saved: attributes that the type does not have are
/// dropped, at any depth.
///
/// # Errors
/// As there.
pub fn value_from_json_ignoring_unknown(bytes: &[u8], ty: &Type) -> Result<Value, Error> {
    value_from_tree_ignoring_unknown(parse(bytes)?, ty)
}

/// [`value_from_json_ignoring_unknown`] of parsed JSON, which a state upgrade may have changed before.
///
/// # Errors
/// As there.
pub fn value_from_tree_ignoring_unknown(json: Json, ty: &Type) -> Result<Value, Error> {
    Reader { strict: false }.value(json, ty, 0)
}

/// The parser refuses more than 128 levels itself.
fn parse(bytes: &[u8]) -> Result<Json, Error> {
    serde_json::from_slice(bytes).map_err(|error| {
        Error::new(
            "JSON",
            format!(
                "something else at line {}, column {}",
                error.line(),
                error.column()
            ),
        )
    })
}

fn write_type(out: &mut Vec<u8>, ty: &Type) {
    let mut wrapped = |name: &str, element: &Type| {
        out.extend_from_slice(b"[\"");
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b"\",");
        write_type(out, element);
        out.push(b']');
    };
    match ty {
        Type::Dynamic => out.extend_from_slice(br#""dynamic""#),
        Type::Bool => out.extend_from_slice(br#""bool""#),
        Type::Number => out.extend_from_slice(br#""number""#),
        Type::String => out.extend_from_slice(br#""string""#),
        Type::List(element) => wrapped("list", element),
        Type::Set(element) => wrapped("set", element),
        Type::Map(element) => wrapped("map", element),
        Type::Object(types) => {
            out.extend_from_slice(br#"["object",{"#);
            for (position, (name, ty)) in types.iter().enumerate() {
                if position > 0 {
                    out.push(b',');
                }
                write_text(out, name);
                out.push(b':');
                write_type(out, ty);
            }
            out.extend_from_slice(b"}]");
        }
        Type::Tuple(types) => {
            out.extend_from_slice(br#"["tuple",["#);
            for (position, ty) in types.iter().enumerate() {
                if position > 0 {
                    out.push(b',');
                }
                write_type(out, ty);
            }
            out.extend_from_slice(b"]]");
        }
    }
}

fn type_from_tree(json: &Json, depth: usize) -> Result<Type, Error> {
    if depth > MAX_DEPTH {
        return Err(Error::too_deep());
    }
    let no_type = || Error::new("a type", kind(json));
    match json {
        Json::String(name) => match name.as_str() {
            "dynamic" => Ok(Type::Dynamic),
            "bool" => Ok(Type::Bool),
            "number" => Ok(Type::Number),
            "string" => Ok(Type::String),
            _ => Err(Error::new("a type", "a name that is none")),
        },
        Json::Array(parts) => {
            let (kind, of, rest) = match parts.as_slice() {
                [Json::String(kind), of, rest @ ..] => (kind.as_str(), of, rest),
                _ => return Err(no_type()),
            };
            match (kind, of, rest) {
                ("list", of, []) => Ok(Type::list(type_from_tree(of, depth + 1)?)),
                ("set", of, []) => Ok(Type::set(type_from_tree(of, depth + 1)?)),
                ("map", of, []) => Ok(Type::map(type_from_tree(of, depth + 1)?)),
                ("object", Json::Object(attributes), [] | [Json::Array(_)]) => attributes
                    .iter()
                    .map(|(name, ty)| {
                        let ty =
                            type_from_tree(ty, depth + 1).map_err(|e| e.under_attribute(name))?;
                        Ok((nfc(name).into_owned(), ty))
                    })
                    .collect::<Result<_, _>>()
                    .map(Type::Object),
                ("tuple", Json::Array(types), []) => types
                    .iter()
                    .enumerate()
                    .map(|(index, ty)| {
                        type_from_tree(ty, depth + 1).map_err(|e| e.under(Step::Index(index)))
                    })
                    .collect::<Result<_, _>>()
                    .map(Type::Tuple),
                _ => Err(no_type()),
            }
        }
        _ => Err(no_type()),
    }
}

fn write_value(out: &mut Vec<u8>, value: &Value, ty: &Type, depth: usize) -> Result<(), Error> {
    if depth > MAX_DEPTH {
        return Err(Error::too_deep());
    }
    match (ty, value) {
        (_, Value::Null) => out.extend_from_slice(b"null"),
        (_, Value::Unknown(_)) => return Err(Error::new("a known value", value.kind())),
        (Type::Bool, Value::Bool(value)) => {
            out.extend_from_slice(if *value { b"true" } else { b"false" });
        }
        (Type::Number, Value::Number(number)) => {
            out.extend_from_slice(number.to_string().as_bytes());
        }
        (Type::String, Value::String(text)) => write_text(out, &nfc(text)),
        (Type::List(element), Value::List(items)) => {
            write_sequence(out, items, |out, index, item| {
                write_value(out, item, element, depth + 1).map_err(|e| e.under(Step::Index(index)))
            })?;
        }
        (Type::Set(element), Value::Set(items)) => {
            write_sequence(out, items, |out, _, item| {
                write_value(out, item, element, depth + 1).map_err(Error::under_set)
            })?;
        }
        (Type::Tuple(types), Value::Tuple(items)) => {
            if types.len() != items.len() {
                return Err(wrong_length(types.len(), items.len()));
            }
            write_sequence(out, items, |out, index, item| {
                write_value(out, item, &types[index], depth + 1)
                    .map_err(|e| e.under(Step::Index(index)))
            })?;
        }
        (Type::Map(element), Value::Map(entries)) => {
            out.push(b'{');
            for (position, (key, item)) in entries.iter().enumerate() {
                write_key(out, position, key);
                write_value(out, item, element, depth + 1)
                    .map_err(|e| e.under(Step::Key(key.clone())))?;
            }
            out.push(b'}');
        }
        (Type::Object(types), Value::Object(attributes)) => {
            if let Some(name) = attributes.keys().find(|name| !types.contains_key(*name)) {
                return Err(unsupported(name));
            }
            out.push(b'{');
            for (position, (name, ty)) in types.iter().enumerate() {
                let attribute = attributes.get(name).ok_or_else(|| missing(name))?;
                write_key(out, position, name);
                write_value(out, attribute, ty, depth + 1).map_err(|e| e.under_attribute(name))?;
            }
            out.push(b'}');
        }
        (Type::Dynamic, Value::Dynamic(inner)) => {
            let (ty, value) = &**inner;
            if *ty == Type::Dynamic {
                return write_value(out, value, ty, depth + 1);
            }
            out.extend_from_slice(br#"{"type":"#);
            write_type(out, ty);
            out.extend_from_slice(br#","value":"#);
            write_value(out, value, ty, depth + 1)?;
            out.push(b'}');
        }
        _ => return Err(Error::mismatch(ty, value)),
    }
    Ok(())
}

fn write_sequence(
    out: &mut Vec<u8>,
    items: &[Value],
    mut write: impl FnMut(&mut Vec<u8>, usize, &Value) -> Result<(), Error>,
) -> Result<(), Error> {
    out.push(b'[');
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write(out, index, item)?;
    }
    out.push(b']');
    Ok(())
}

fn write_key(out: &mut Vec<u8>, position: usize, key: &str) {
    if position > 0 {
        out.push(b',');
    }
    write_text(out, &nfc(key));
    out.push(b':');
}

/// A JSON string with the escapes that JSON demands.
fn write_text(out: &mut Vec<u8>, text: &str) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    out.push(b'"');
    let mut from = 0;
    for (at, byte) in text.bytes().enumerate() {
        let short: u8 = match byte {
            b'"' | b'\\' => byte,
            b'\n' => b'n',
            b'\r' => b'r',
            b'\t' => b't',
            0..=0x1f => b'u',
            _ => continue,
        };
        out.extend_from_slice(&text.as_bytes()[from..at]);
        out.extend_from_slice(&[b'\\', short]);
        if short == b'u' {
            let hex = [byte >> 4, byte & 15].map(|digit| HEX[usize::from(digit)]);
            out.extend_from_slice(b"00");
            out.extend_from_slice(&hex);
        }
        from = at + 1;
    }
    out.extend_from_slice(&text.as_bytes()[from..]);
    out.push(b'"');
}

struct Reader {
    /// Whether attributes that the type does not have are errors.
    strict: bool,
}

impl Reader {
    /// Takes the JSON apart: strings and keys move into the value.
    fn value(&self, json: Json, ty: &Type, depth: usize) -> Result<Value, Error> {
        if depth > MAX_DEPTH {
            return Err(Error::too_deep());
        }
        match (ty, json) {
            (_, Json::Null) => Ok(Value::Null),
            (Type::Bool, Json::Bool(value)) => Ok(Value::Bool(value)),
            (Type::Bool, Json::String(text)) => match text.as_str() {
                "true" | "1" => Ok(Value::Bool(true)),
                "false" | "0" => Ok(Value::Bool(false)),
                _ => Err(Error::new(described(ty), "a string")),
            },
            (Type::Number, Json::Number(number)) => number_from(number.as_str()),
            (Type::Number, Json::String(text)) => number_from(&text),
            (Type::String, Json::String(text)) => Ok(Value::String(into_nfc(text))),
            (Type::String, Json::Bool(value)) => Ok(Value::from(value.to_string())),
            // Through the number, so that 1.0 and 1e0 are "1" as they are in Terraform.
            (Type::String, Json::Number(number)) => match number_from(number.as_str())? {
                Value::Number(number) => Ok(Value::from(number.to_string())),
                other => Ok(other),
            },
            (Type::List(element), Json::Array(items)) => items
                .into_iter()
                .enumerate()
                .map(|(index, item)| {
                    self.value(item, element, depth + 1)
                        .map_err(|e| e.under(Step::Index(index)))
                })
                .collect::<Result<_, _>>()
                .map(Value::List),
            (Type::Set(element), Json::Array(items)) => {
                let items: Vec<Value> = items
                    .into_iter()
                    .map(|item| {
                        self.value(item, element, depth + 1)
                            .map_err(Error::under_set)
                    })
                    .collect::<Result<_, _>>()?;
                Ok(Value::set_of(items))
            }
            (Type::Tuple(types), Json::Array(items)) => {
                if types.len() != items.len() {
                    return Err(wrong_length(types.len(), items.len()));
                }
                items
                    .into_iter()
                    .zip(types)
                    .enumerate()
                    .map(|(index, (item, ty))| {
                        self.value(item, ty, depth + 1)
                            .map_err(|e| e.under(Step::Index(index)))
                    })
                    .collect::<Result<_, _>>()
                    .map(Value::Tuple)
            }
            (Type::Map(element), Json::Object(entries)) => entries
                .into_iter()
                .map(|(key, item)| match self.value(item, element, depth + 1) {
                    Ok(item) => Ok((into_nfc(key), item)),
                    Err(error) => Err(error.under(Step::Key(key))),
                })
                .collect::<Result<_, _>>()
                .map(Value::Map),
            (Type::Object(types), Json::Object(mut entries)) => {
                let mut attributes = BTreeMap::new();
                for (name, ty) in types {
                    let attribute = match entries.swap_remove(name) {
                        Some(json) => self
                            .value(json, ty, depth + 1)
                            .map_err(|e| e.under_attribute(name))?,
                        None => Value::Null,
                    };
                    attributes.insert(name.clone(), attribute);
                }
                match entries.keys().next() {
                    Some(name) if self.strict => Err(unsupported(name)),
                    _ => Ok(Value::Object(attributes)),
                }
            }
            (Type::Dynamic, Json::Object(mut entries)) => {
                let (ty, value) = (entries.swap_remove("type"), entries.swap_remove("value"));
                let (Some(concrete), Some(value), true) = (ty, value, entries.is_empty()) else {
                    return Err(Error::new(described(&Type::Dynamic), "another object"));
                };
                let concrete = type_from_tree(&concrete, 0)?;
                let value = self.value(value, &concrete, depth + 1)?;
                if concrete == Type::Dynamic {
                    return Ok(value);
                }
                Ok(Value::dynamic(concrete, value))
            }
            (_, json) => Err(Error::new(described(ty), kind(&json))),
        }
    }
}

fn number_from(text: &str) -> Result<Value, Error> {
    text.parse()
        .map(Value::Number)
        .map_err(|_| Error::new(described(&Type::Number), "text that is not one"))
}

fn kind(json: &Json) -> Cow<'static, str> {
    Cow::Borrowed(match json {
        Json::Null => "null",
        Json::Bool(_) => "a bool",
        Json::Number(_) => "a number",
        Json::String(_) => "a string",
        Json::Array(_) => "an array",
        Json::Object(_) => "an object",
    })
}

#[cfg(test)]
mod tests;
