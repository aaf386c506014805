//! Values to MessagePack.

use std::convert::Infallible;

use rmp::encode::{self as write, ByteBuf, RmpWrite, ValueWriteError};

use super::{MAX_REFINEMENT_BYTES, REFINED, key};
use crate::cty::conform::{missing, unsupported, wrong_length};
use crate::cty::nfc::nfc;
use crate::cty::{Bound, Error, MAX_DEPTH, Number, Refinements, Step, Type, Value, json};

/// Longest string prefix written. A shorter prefix of a prefix is still a true promise.
const MAX_PREFIX_BYTES: usize = 255;

/// The MessagePack form of `value`, which is of type `ty`.
///
/// # Errors
/// When the value is not of the type; see [`Value::conforms_to`].
pub fn encode(value: &Value, ty: &Type) -> Result<Vec<u8>, Error> {
    let mut encoder = Encoder(ByteBuf::with_capacity(256));
    encoder.value(value, ty, 0)?;
    Ok(encoder.0.into_vec())
}

struct Encoder(ByteBuf);

impl Encoder {
    fn value(&mut self, value: &Value, ty: &Type, depth: usize) -> Result<(), Error> {
        if depth > MAX_DEPTH {
            return Err(Error::too_deep());
        }
        match (ty, value) {
            (_, Value::Null) => self.nil(),
            (_, Value::Unknown(refinements)) => self.unknown(refinements.as_deref(), ty),
            (Type::Bool, Value::Bool(value)) => {
                let Ok(()) = write::write_bool(&mut self.0, *value);
            }
            (Type::Number, Value::Number(number)) => self.number(number),
            (Type::String, Value::String(text)) => self.text(text)?,
            (Type::List(element), Value::List(items)) => {
                self.array(items.len())?;
                for (index, item) in items.iter().enumerate() {
                    self.value(item, element, depth + 1)
                        .map_err(|e| e.under(Step::Index(index)))?;
                }
            }
            (Type::Set(element), Value::Set(items)) => {
                self.array(items.len())?;
                for item in items {
                    self.value(item, element, depth + 1)
                        .map_err(Error::under_set)?;
                }
            }
            (Type::Map(element), Value::Map(entries)) => {
                self.map(entries.len())?;
                for (key, item) in entries {
                    self.text(key)?;
                    self.value(item, element, depth + 1)
                        .map_err(|e| e.under(Step::Key(key.clone())))?;
                }
            }
            (Type::Object(types), Value::Object(attributes)) => {
                self.map(types.len())?;
                if let Some(name) = attributes.keys().find(|name| !types.contains_key(*name)) {
                    return Err(unsupported(name));
                }
                for (name, ty) in types {
                    let attribute = attributes.get(name).ok_or_else(|| missing(name))?;
                    self.text(name)?;
                    self.value(attribute, ty, depth + 1)
                        .map_err(|e| e.under_attribute(name))?;
                }
            }
            (Type::Tuple(types), Value::Tuple(items)) => {
                if types.len() != items.len() {
                    return Err(wrong_length(types.len(), items.len()));
                }
                self.array(items.len())?;
                for (index, (item, ty)) in items.iter().zip(types).enumerate() {
                    self.value(item, ty, depth + 1)
                        .map_err(|e| e.under(Step::Index(index)))?;
                }
            }
            (Type::Dynamic, Value::Dynamic(inner)) => {
                let (ty, value) = &**inner;
                if *ty == Type::Dynamic {
                    // A dynamic value of dynamic type is just that value.
                    return self.value(value, ty, depth + 1);
                }
                self.array(2)?;
                let ty_json = json::type_to_json(ty);
                done(write::write_bin_len(&mut self.0, length(ty_json.len())?));
                self.bytes(&ty_json);
                self.value(value, ty, depth + 1)?;
            }
            _ => return Err(Error::mismatch(ty, value)),
        }
        Ok(())
    }

    fn nil(&mut self) {
        let Ok(()) = write::write_nil(&mut self.0);
    }

    fn array(&mut self, len: usize) -> Result<(), Error> {
        done(write::write_array_len(&mut self.0, length(len)?));
        Ok(())
    }

    fn map(&mut self, len: usize) -> Result<(), Error> {
        done(write::write_map_len(&mut self.0, length(len)?));
        Ok(())
    }

    fn text(&mut self, text: &str) -> Result<(), Error> {
        let text = nfc(text);
        done(write::write_str_len(&mut self.0, length(text.len())?));
        self.bytes(text.as_bytes());
        Ok(())
    }

    fn bytes(&mut self, bytes: &[u8]) {
        let Ok(()) = self.0.write_bytes(bytes);
    }

    /// An integer where it is one, a float where that is exact, else decimal text.
    fn number(&mut self, number: &Number) {
        if let Some(value) = number.as_i64() {
            done(write::write_sint(&mut self.0, value));
        } else if let Some(value) = number.as_u64() {
            done(write::write_uint(&mut self.0, value));
        } else if let Some(value) = number.as_exact_f64() {
            done(write::write_f64(&mut self.0, value));
        } else {
            // Parsed numbers are limited to some thousand digits, far below what a string may hold.
            done(write::write_str(&mut self.0, &number.to_string()));
        }
    }

    fn unknown(&mut self, refinements: Option<&Refinements>, ty: &Type) {
        if let Some(payload) = refinements.and_then(|r| refinement_payload(r, ty)) {
            // At most MAX_REFINEMENT_BYTES.
            done(write::write_ext_meta(
                &mut self.0,
                payload.len() as u32,
                REFINED,
            ));
            self.bytes(&payload);
        } else {
            done(write::write_ext_meta(&mut self.0, 1, 0));
            self.bytes(&[0]);
        }
    }

    fn uint(&mut self, value: u64) {
        done(write::write_uint(&mut self.0, value));
    }

    fn bound(&mut self, key: u64, bound: &Bound) {
        self.uint(key);
        done(write::write_array_len(&mut self.0, 2));
        self.number(&bound.value);
        let Ok(()) = write::write_bool(&mut self.0, bound.inclusive);
    }
}

/// What is known about an unknown value of type `ty`, or `None` if that is nothing that this type can be refined by
/// (Terraform refuses the rest) or too much to send. Saying less than is known is always allowed.
fn refinement_payload(refinements: &Refinements, ty: &Type) -> Option<Vec<u8>> {
    let Refinements {
        null,
        string_prefix,
        number_lower,
        number_upper,
        length_lower,
        length_upper,
    } = refinements;
    let null = null.filter(|_| *ty != Type::Dynamic);
    let prefix = string_prefix
        .as_deref()
        .filter(|prefix| *ty == Type::String && !prefix.is_empty())
        .map(|prefix| {
            let mut end = prefix.len().min(MAX_PREFIX_BYTES);
            while !prefix.is_char_boundary(end) {
                end -= 1;
            }
            &prefix[..end]
        });
    let is_number = *ty == Type::Number;
    let is_collection = matches!(ty, Type::List(_) | Type::Set(_) | Type::Map(_));
    let lower = number_lower.as_ref().filter(|_| is_number);
    let upper = number_upper.as_ref().filter(|_| is_number);
    let shortest = length_lower.filter(|_| is_collection);
    let longest = length_upper.filter(|_| is_collection);

    let entries = [
        null.is_some(),
        prefix.is_some(),
        lower.is_some(),
        upper.is_some(),
        shortest.is_some(),
        longest.is_some(),
    ];
    let count = entries.iter().filter(|present| **present).count();
    if count == 0 {
        return None;
    }
    let mut payload = Encoder(ByteBuf::new());
    done(write::write_map_len(&mut payload.0, count as u32));
    if let Some(null) = null {
        payload.uint(key::NULLNESS);
        let Ok(()) = write::write_bool(&mut payload.0, null);
    }
    if let Some(prefix) = prefix {
        payload.uint(key::STRING_PREFIX);
        // Not normalised: a prefix may end in the middle of what would compose.
        done(write::write_str(&mut payload.0, prefix));
    }
    if let Some(lower) = lower {
        payload.bound(key::NUMBER_LOWER, lower);
    }
    if let Some(upper) = upper {
        payload.bound(key::NUMBER_UPPER, upper);
    }
    if let Some(shortest) = shortest {
        payload.uint(key::LENGTH_LOWER);
        done(write::write_sint(&mut payload.0, shortest));
    }
    if let Some(longest) = longest {
        payload.uint(key::LENGTH_UPPER);
        done(write::write_sint(&mut payload.0, longest));
    }
    let payload = payload.0.into_vec();
    (payload.len() <= MAX_REFINEMENT_BYTES).then_some(payload)
}

/// MessagePack counts in 32 bits.
fn length(len: usize) -> Result<u32, Error> {
    u32::try_from(len).map_err(|_| Error::new("fewer than 2³² elements or bytes", "more"))
}

/// Writing to memory cannot fail; the library's error type says so with [`Infallible`].
fn done<T>(written: Result<T, ValueWriteError<Infallible>>) {
    match written {
        Ok(_) => {}
        Err(
            ValueWriteError::InvalidMarkerWrite(never) | ValueWriteError::InvalidDataWrite(never),
        ) => match never {},
    }
}
