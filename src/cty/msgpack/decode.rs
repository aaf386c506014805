//! MessagePack to values.

use rmp::Marker;

use super::{MAX_REFINEMENT_BYTES, REFINED, key};
use crate::cty::conform::{missing, unsupported, wrong_length};
use crate::cty::error::described;
use crate::cty::nfc::nfc;
use crate::cty::{Bound, Error, MAX_DEPTH, Number, Refinements, Step, Type, Value, json};

/// Elements to make room for before having seen them: a length is only a claim.
const MAX_RESERVED: usize = 256;

/// Reads a value of type `ty` that fills `bytes`.
///
/// # Errors
/// When the bytes are not MessagePack, end early or late, nest too deep, or hold a value of another type.
pub fn decode(bytes: &[u8], ty: &Type) -> Result<Value, Error> {
    let mut reader = Reader { rest: bytes };
    let value = reader.value(ty, 0)?;
    if reader.rest.is_empty() {
        Ok(value)
    } else {
        Err(Error::new("one MessagePack value", "more bytes after it"))
    }
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn value(&mut self, ty: &Type, depth: usize) -> Result<Value, Error> {
        if depth > MAX_DEPTH {
            return Err(Error::too_deep());
        }
        let marker = self.marker()?;
        if marker == Marker::Null {
            return Ok(Value::Null);
        }
        if let Some((code, payload)) = self.extension(marker)? {
            return unknown(code, payload, ty);
        }
        match ty {
            Type::Bool => match marker {
                Marker::True => Ok(Value::Bool(true)),
                Marker::False => Ok(Value::Bool(false)),
                _ => Err(mismatch(ty, marker)),
            },
            Type::Number => self.number(marker).map(Value::Number),
            Type::String => self
                .text(marker)
                .map(|text| Value::String(nfc(text).into_owned())),
            Type::List(element) => {
                let len = self.array(marker, ty)?;
                let mut items = Vec::with_capacity(len.min(MAX_RESERVED));
                for index in 0..len {
                    items.push(
                        self.value(element, depth + 1)
                            .map_err(|e| e.under(Step::Index(index)))?,
                    );
                }
                Ok(Value::List(items))
            }
            Type::Set(element) => {
                let len = self.array(marker, ty)?;
                let mut items = Vec::with_capacity(len.min(MAX_RESERVED));
                for _ in 0..len {
                    items.push(self.value(element, depth + 1).map_err(Error::under_set)?);
                }
                Ok(Value::set_of(items))
            }
            Type::Map(element) => {
                let len = self.map(marker, ty)?;
                let mut entries = Vec::with_capacity(len.min(MAX_RESERVED));
                for _ in 0..len {
                    let key = self.key()?;
                    let item = self
                        .value(element, depth + 1)
                        .map_err(|e| e.under(Step::Key(key.to_owned())))?;
                    entries.push((nfc(key).into_owned(), item));
                }
                Ok(Value::Map(entries.into_iter().collect()))
            }
            Type::Object(types) => {
                let len = self.map(marker, ty)?;
                let mut attributes = Vec::with_capacity(types.len());
                // Terraform writes attributes in the order of their names, which is the order of `types`: most keys
                // are the expected one and need no look-up.
                let mut expected = types.iter();
                for _ in 0..len {
                    let key = self.key()?;
                    let (name, ty) = match expected.next() {
                        Some((name, ty)) if name == key => (name, ty),
                        _ => types.get_key_value(key).ok_or_else(|| unsupported(key))?,
                    };
                    let attribute = self
                        .value(ty, depth + 1)
                        .map_err(|e| e.under_attribute(name))?;
                    attributes.push((name.clone(), attribute));
                }
                let attributes: std::collections::BTreeMap<_, _> = attributes.into_iter().collect();
                if attributes.len() < types.len() {
                    let name = types.keys().find(|name| !attributes.contains_key(*name));
                    return Err(missing(name.map_or("", String::as_str)));
                }
                if len > attributes.len() {
                    return Err(Error::new("each attribute once", "an attribute twice"));
                }
                Ok(Value::Object(attributes))
            }
            Type::Tuple(types) => {
                let len = self.array(marker, ty)?;
                if len != types.len() {
                    return Err(wrong_length(types.len(), len));
                }
                let mut items = Vec::with_capacity(len);
                for (index, ty) in types.iter().enumerate() {
                    items.push(
                        self.value(ty, depth + 1)
                            .map_err(|e| e.under(Step::Index(index)))?,
                    );
                }
                Ok(Value::Tuple(items))
            }
            Type::Dynamic => {
                let len = self.array(marker, ty)?;
                if len != 2 {
                    return Err(Error::new(
                        described(ty),
                        format!("an array of {len} elements"),
                    ));
                }
                let marker = self.marker()?;
                let concrete = json::type_from_json(self.binary(marker)?)?;
                let value = self.value(&concrete, depth + 1)?;
                if concrete == Type::Dynamic {
                    return Ok(value);
                }
                Ok(Value::dynamic(concrete, value))
            }
        }
    }

    fn number(&mut self, marker: Marker) -> Result<Number, Error> {
        Ok(match marker {
            Marker::FixPos(value) => Number::from(i64::from(value)),
            Marker::FixNeg(value) => Number::from(i64::from(value)),
            Marker::U8 => Number::from(u64::from(u8::from_be_bytes(self.array_of()?))),
            Marker::U16 => Number::from(u64::from(u16::from_be_bytes(self.array_of()?))),
            Marker::U32 => Number::from(u64::from(u32::from_be_bytes(self.array_of()?))),
            Marker::U64 => Number::from(u64::from_be_bytes(self.array_of()?)),
            Marker::I8 => Number::from(i64::from(i8::from_be_bytes(self.array_of()?))),
            Marker::I16 => Number::from(i64::from(i16::from_be_bytes(self.array_of()?))),
            Marker::I32 => Number::from(i64::from(i32::from_be_bytes(self.array_of()?))),
            Marker::I64 => Number::from(i64::from_be_bytes(self.array_of()?)),
            Marker::F32 => finite(f64::from(f32::from_be_bytes(self.array_of()?)))?,
            Marker::F64 => finite(f64::from_be_bytes(self.array_of()?))?,
            Marker::FixStr(_) | Marker::Str8 | Marker::Str16 | Marker::Str32 => self
                .text(marker)?
                .parse()
                .map_err(|_| Error::new(described(&Type::Number), "text that is not one"))?,
            _ => return Err(mismatch(&Type::Number, marker)),
        })
    }

    /// A whole number, for refinement keys and lengths.
    fn integer(&mut self) -> Result<i64, Error> {
        let marker = self.marker()?;
        self.number(marker)?
            .as_i64()
            .ok_or_else(|| Error::new("a whole number", "another number"))
    }

    fn boolean(&mut self) -> Result<bool, Error> {
        match self.marker()? {
            Marker::True => Ok(true),
            Marker::False => Ok(false),
            marker => Err(mismatch(&Type::Bool, marker)),
        }
    }

    fn bound(&mut self) -> Result<Bound, Error> {
        match self.marker()? {
            Marker::FixArray(2) => {
                let marker = self.marker()?;
                Ok(Bound {
                    value: self.number(marker)?,
                    inclusive: self.boolean()?,
                })
            }
            marker => Err(Error::new(
                "a number and whether it is included",
                kind(marker),
            )),
        }
    }

    fn key(&mut self) -> Result<&'a str, Error> {
        let marker = self.marker()?;
        self.text(marker)
    }

    fn text(&mut self, marker: Marker) -> Result<&'a str, Error> {
        let len = match marker {
            Marker::FixStr(len) => usize::from(len),
            Marker::Str8 => self.len8()?,
            Marker::Str16 => self.len16()?,
            Marker::Str32 => self.len32()?,
            _ => return Err(mismatch(&Type::String, marker)),
        };
        std::str::from_utf8(self.take(len)?).map_err(|_| Error::new("UTF-8 text", "other bytes"))
    }

    /// The type of a dynamic value: binary, though readers take text as well.
    fn binary(&mut self, marker: Marker) -> Result<&'a [u8], Error> {
        let len = match marker {
            Marker::Bin8 => self.len8()?,
            Marker::Bin16 => self.len16()?,
            Marker::Bin32 => self.len32()?,
            Marker::FixStr(_) | Marker::Str8 | Marker::Str16 | Marker::Str32 => {
                return self.text(marker).map(str::as_bytes);
            }
            _ => return Err(Error::new("a type in JSON as binary", kind(marker))),
        };
        self.take(len)
    }

    fn array(&mut self, marker: Marker, ty: &Type) -> Result<usize, Error> {
        match marker {
            Marker::FixArray(len) => Ok(usize::from(len)),
            Marker::Array16 => self.len16(),
            Marker::Array32 => self.len32(),
            _ => Err(mismatch(ty, marker)),
        }
    }

    fn map(&mut self, marker: Marker, ty: &Type) -> Result<usize, Error> {
        match marker {
            Marker::FixMap(len) => Ok(usize::from(len)),
            Marker::Map16 => self.len16(),
            Marker::Map32 => self.len32(),
            _ => Err(mismatch(ty, marker)),
        }
    }

    /// Code and payload, if `marker` starts an extension.
    fn extension(&mut self, marker: Marker) -> Result<Option<(i8, &'a [u8])>, Error> {
        let len = match marker {
            Marker::FixExt1 => 1,
            Marker::FixExt2 => 2,
            Marker::FixExt4 => 4,
            Marker::FixExt8 => 8,
            Marker::FixExt16 => 16,
            Marker::Ext8 => self.len8()?,
            Marker::Ext16 => self.len16()?,
            Marker::Ext32 => self.len32()?,
            _ => return Ok(None),
        };
        let code = i8::from_be_bytes(self.array_of()?);
        Ok(Some((code, self.take(len)?)))
    }

    /// Passes over one value of any kind. Flat: containers only add to what is left to skip.
    fn skip(&mut self) -> Result<(), Error> {
        let mut left: u64 = 1;
        while left > 0 {
            left -= 1;
            let marker = self.marker()?;
            if self.extension(marker)?.is_some() {
                continue;
            }
            let fixed = match marker {
                Marker::U8 | Marker::I8 => 1,
                Marker::U16 | Marker::I16 => 2,
                Marker::U32 | Marker::I32 | Marker::F32 => 4,
                Marker::U64 | Marker::I64 | Marker::F64 => 8,
                Marker::FixStr(len) => usize::from(len),
                Marker::Str8 | Marker::Bin8 => self.len8()?,
                Marker::Str16 | Marker::Bin16 => self.len16()?,
                Marker::Str32 | Marker::Bin32 => self.len32()?,
                Marker::FixArray(len) => {
                    left += u64::from(len);
                    0
                }
                Marker::FixMap(len) => {
                    left += 2 * u64::from(len);
                    0
                }
                Marker::Array16 => {
                    left += self.len16()? as u64;
                    0
                }
                Marker::Array32 => {
                    left += self.len32()? as u64;
                    0
                }
                Marker::Map16 => {
                    left += 2 * self.len16()? as u64;
                    0
                }
                Marker::Map32 => {
                    left += 2 * self.len32()? as u64;
                    0
                }
                _ => 0,
            };
            self.take(fixed)?;
        }
        Ok(())
    }

    fn marker(&mut self) -> Result<Marker, Error> {
        let [byte] = self.array_of()?;
        Ok(Marker::from_u8(byte))
    }

    fn len8(&mut self) -> Result<usize, Error> {
        Ok(usize::from(u8::from_be_bytes(self.array_of()?)))
    }

    fn len16(&mut self) -> Result<usize, Error> {
        Ok(usize::from(u16::from_be_bytes(self.array_of()?)))
    }

    fn len32(&mut self) -> Result<usize, Error> {
        // On a 16-bit machine no slice could be that long either.
        Ok(usize::try_from(u32::from_be_bytes(self.array_of()?)).unwrap_or(usize::MAX))
    }

    fn take(&mut self, len: usize) -> Result<&'a [u8], Error> {
        let (taken, rest) = self.rest.split_at_checked(len).ok_or_else(truncated)?;
        self.rest = rest;
        Ok(taken)
    }

    fn array_of<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or_else(truncated)?;
        self.rest = rest;
        Ok(*taken)
    }
}

/// Any extension is an unknown value. What code 12 says about it is kept where it can apply to the type; keys of later
/// versions, and payloads longer than Terraform itself reads, are passed over: knowing less is always allowed.
fn unknown(code: i8, payload: &[u8], ty: &Type) -> Result<Value, Error> {
    if code != REFINED || payload.len() > MAX_REFINEMENT_BYTES || *ty == Type::Dynamic {
        return Ok(Value::Unknown(None));
    }
    let mut reader = Reader { rest: payload };
    let marker = reader.marker()?;
    let count = match marker {
        Marker::FixMap(len) => usize::from(len),
        Marker::Map16 => reader.len16()?,
        Marker::Map32 => reader.len32()?,
        _ => return Err(Error::new("a map of refinements", kind(marker))),
    };
    let is_collection = matches!(ty, Type::List(_) | Type::Set(_) | Type::Map(_));
    let mut refinements = Refinements::default();
    for _ in 0..count {
        let key = u64::try_from(reader.integer()?).unwrap_or(u64::MAX);
        match (key, ty) {
            (key::NULLNESS, _) => refinements.null = Some(reader.boolean()?),
            (key::STRING_PREFIX, Type::String) => {
                refinements.string_prefix = Some(reader.key()?.to_owned());
            }
            (key::NUMBER_LOWER, Type::Number) => refinements.number_lower = Some(reader.bound()?),
            (key::NUMBER_UPPER, Type::Number) => refinements.number_upper = Some(reader.bound()?),
            (key::LENGTH_LOWER, _) if is_collection => {
                refinements.length_lower = Some(reader.integer()?);
            }
            (key::LENGTH_UPPER, _) if is_collection => {
                refinements.length_upper = Some(reader.integer()?);
            }
            _ => reader.skip()?,
        }
    }
    Ok(Value::refined(refinements))
}

fn finite(value: f64) -> Result<Number, Error> {
    Number::try_from(value).map_err(|_| Error::new("a finite number", "an infinite one or none"))
}

fn truncated() -> Error {
    Error::new("more MessagePack bytes", "the end of the input")
}

fn mismatch(ty: &Type, marker: Marker) -> Error {
    Error::new(described(ty), kind(marker))
}

fn kind(marker: Marker) -> &'static str {
    match marker {
        Marker::Null => "null",
        Marker::True | Marker::False => "a bool",
        Marker::FixPos(_)
        | Marker::FixNeg(_)
        | Marker::U8
        | Marker::U16
        | Marker::U32
        | Marker::U64
        | Marker::I8
        | Marker::I16
        | Marker::I32
        | Marker::I64
        | Marker::F32
        | Marker::F64 => "a number",
        Marker::FixStr(_) | Marker::Str8 | Marker::Str16 | Marker::Str32 => "a string",
        Marker::Bin8 | Marker::Bin16 | Marker::Bin32 => "binary data",
        Marker::FixArray(_) | Marker::Array16 | Marker::Array32 => "an array",
        Marker::FixMap(_) | Marker::Map16 | Marker::Map32 => "a map",
        Marker::FixExt1
        | Marker::FixExt2
        | Marker::FixExt4
        | Marker::FixExt8
        | Marker::FixExt16
        | Marker::Ext8
        | Marker::Ext16
        | Marker::Ext32 => "an unknown value",
        Marker::Reserved => "a byte that MessagePack does not use",
    }
}
