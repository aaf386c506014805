//! Whether a value is of a type.

use super::{Error, MAX_DEPTH, Step, Type, Value};

impl Value {
    /// Whether this is a value of type `ty`. Null and unknown are of every type; an object has exactly the attributes of
    /// its type; a known value in a dynamic place carries its type.
    ///
    /// # Errors
    /// The first place where it is not.
    pub fn conforms_to(&self, ty: &Type) -> Result<(), Error> {
        conforms(self, ty, 0)
    }
}

fn conforms(value: &Value, ty: &Type, depth: usize) -> Result<(), Error> {
    if depth > MAX_DEPTH {
        return Err(Error::too_deep());
    }
    match (ty, value) {
        (_, Value::Null | Value::Unknown(_))
        | (Type::Bool, Value::Bool(_))
        | (Type::Number, Value::Number(_))
        | (Type::String, Value::String(_)) => Ok(()),
        (Type::Dynamic, Value::Dynamic(inner)) => conforms(&inner.1, &inner.0, depth + 1),
        (Type::List(element), Value::List(items)) => {
            for (index, item) in items.iter().enumerate() {
                conforms(item, element, depth + 1).map_err(|e| e.under(Step::Index(index)))?;
            }
            Ok(())
        }
        (Type::Set(element), Value::Set(items)) => {
            for item in items {
                conforms(item, element, depth + 1).map_err(Error::under_set)?;
            }
            Ok(())
        }
        (Type::Map(element), Value::Map(entries)) => {
            for (key, item) in entries {
                conforms(item, element, depth + 1).map_err(|e| e.under(Step::Key(key.clone())))?;
            }
            Ok(())
        }
        (Type::Object(types), Value::Object(attributes)) => {
            for (name, ty) in types {
                let attribute = attributes.get(name).ok_or_else(|| missing(name))?;
                conforms(attribute, ty, depth + 1).map_err(|e| e.under_attribute(name))?;
            }
            match attributes.keys().find(|name| !types.contains_key(*name)) {
                Some(name) => Err(unsupported(name)),
                None => Ok(()),
            }
        }
        (Type::Tuple(types), Value::Tuple(items)) => {
            if types.len() != items.len() {
                return Err(wrong_length(types.len(), items.len()));
            }
            for (index, (item, ty)) in items.iter().zip(types).enumerate() {
                conforms(item, ty, depth + 1).map_err(|e| e.under(Step::Index(index)))?;
            }
            Ok(())
        }
        _ => Err(Error::mismatch(ty, value)),
    }
}

/// An object without an attribute of its type.
pub(super) fn missing(name: &str) -> Error {
    Error::new("a value (null if there is none)", "no such attribute").under_attribute(name)
}

/// An object with an attribute that its type does not have.
pub(super) fn unsupported(name: &str) -> Error {
    Error::new("no such attribute", "an unsupported attribute").under_attribute(name)
}

/// A tuple of another length.
pub(super) fn wrong_length(expected: usize, got: usize) -> Error {
    Error::new(format!("{expected} elements"), format!("{got}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cty::Path;

    #[test]
    fn names_the_place() {
        let ty = Type::object([
            ("name", Type::String),
            ("tags", Type::map(Type::String)),
            ("sizes", Type::list(Type::Number)),
            ("nested", Type::set(Type::object([("a", Type::Bool)]))),
            ("pair", Type::Tuple(vec![Type::Bool, Type::String])),
            ("any", Type::Dynamic),
        ]);
        let good = Value::object([
            ("name", Value::from("a")),
            ("tags", Value::string_map([("k", "v")])),
            (
                "sizes",
                Value::List(vec![Value::from(1), Value::unknown(), Value::Null]),
            ),
            (
                "nested",
                Value::set_of([Value::object([("a", Value::from(true))])]),
            ),
            (
                "pair",
                Value::Tuple(vec![Value::from(true), Value::from("x")]),
            ),
            ("any", Value::dynamic(Type::String, Value::from("x"))),
        ]);
        assert_eq!(good.conforms_to(&ty), Ok(()));
        assert_eq!(Value::Null.conforms_to(&ty), Ok(()));
        assert_eq!(Value::unknown().conforms_to(&ty), Ok(()));

        for (name, wrong, message) in [
            (
                "name",
                Value::from(1),
                "name: expected a string, got a number",
            ),
            (
                "tags",
                Value::Map([("k".to_owned(), Value::from(true))].into()),
                "tags[\"k\"]: expected a string, got a bool",
            ),
            (
                "tags",
                Value::object([("k", Value::from("v"))]),
                "tags: expected a map of string, got an object",
            ),
            (
                "sizes",
                Value::List(vec![Value::from(1), Value::from("1")]),
                "sizes[1]: expected a number, got a string",
            ),
            (
                "nested",
                Value::set_of([Value::object([("a", Value::from(1))])]),
                "nested: expected a bool, got a number",
            ),
            (
                "pair",
                Value::Tuple(vec![]),
                "pair: expected 2 elements, got 0",
            ),
            (
                "pair",
                Value::Tuple(vec![Value::Null, Value::from(true)]),
                "pair[1]: expected a string, got a bool",
            ),
            (
                "any",
                Value::from("x"),
                "any: expected a dynamic value (a type and its value), got a string",
            ),
            (
                "any",
                Value::dynamic(Type::String, Value::from(1)),
                "any: expected a string, got a number",
            ),
            (
                "more",
                Value::Null,
                "more: expected no such attribute, got an unsupported attribute",
            ),
        ] {
            let mut value = good.clone();
            value.set(name, wrong);
            assert_eq!(value.conforms_to(&ty).unwrap_err().to_string(), message);
        }
        let Value::Object(mut attributes) = good else {
            unreachable!()
        };
        attributes.remove("tags");
        let error = Value::Object(attributes).conforms_to(&ty).unwrap_err();
        assert_eq!(error.path(), Path::from("tags"));
    }
}
