//! Visitors with paths.

use super::{Path, Step, Type, Value};

impl Value {
    /// Visits this value and everything inside, parents first, with their paths. `visit` answers whether to go inside.
    ///
    /// The elements of a set, and whatever is inside them, are visited with the set's own path (see [`Path`]); a dynamic
    /// value and the value it wraps have the same path too.
    pub fn walk(&self, mut visit: impl FnMut(&Path, &Self) -> bool) {
        walk(self, &mut Path::root(), false, &mut visit);
    }

    /// A copy with parts replaced: `replace` sees every value, parents first, and answers what to put there, or `None`
    /// to keep it and go inside. Paths as in [`walk`](Self::walk). Sets are coalesced again.
    #[must_use]
    pub fn transform(&self, replace: &mut dyn FnMut(&Path, &Self) -> Option<Self>) -> Self {
        transform(self, &mut Path::root(), false, replace)
    }

    /// Where this value holds unknowns, each place once.
    #[must_use]
    pub fn unknown_paths(&self) -> Vec<Path> {
        let mut paths: Vec<Path> = Vec::new();
        self.walk(|path, value| {
            if matches!(value, Self::Unknown(_)) && paths.last() != Some(path) {
                paths.push(path.clone());
            }
            true
        });
        paths
    }

    /// An object of type `ty` with every attribute null; null for types that are not objects.
    #[must_use]
    pub fn null_object(ty: &Type) -> Self {
        match ty {
            Type::Object(attributes) => Self::Object(
                attributes
                    .keys()
                    .map(|name| (name.clone(), Self::Null))
                    .collect(),
            ),
            _ => Self::Null,
        }
    }
}

/// `in_set`: below a set the path does not grow.
fn walk(
    value: &Value,
    path: &mut Path,
    in_set: bool,
    visit: &mut dyn FnMut(&Path, &Value) -> bool,
) {
    if !visit(path, value) {
        return;
    }
    let mut inside = |step: Step, value: &Value| {
        if in_set {
            walk(value, path, true, visit);
        } else {
            path.push(step);
            walk(value, path, false, visit);
            path.pop();
        }
    };
    match value {
        Value::Null | Value::Unknown(_) | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        Value::List(items) | Value::Tuple(items) => {
            for (index, item) in items.iter().enumerate() {
                inside(Step::Index(index), item);
            }
        }
        Value::Set(items) => {
            for item in items {
                walk(item, path, true, visit);
            }
        }
        Value::Map(entries) => {
            for (key, item) in entries {
                inside(Step::Key(key.clone()), item);
            }
        }
        Value::Object(attributes) => {
            for (name, item) in attributes {
                inside(Step::Attribute(name.clone()), item);
            }
        }
        Value::Dynamic(inner) => walk(&inner.1, path, in_set, visit),
    }
}

fn transform(
    value: &Value,
    path: &mut Path,
    in_set: bool,
    replace: &mut dyn FnMut(&Path, &Value) -> Option<Value>,
) -> Value {
    if let Some(replacement) = replace(path, value) {
        return replacement;
    }
    let mut inside = |step: Step, value: &Value| {
        if in_set {
            transform(value, path, true, replace)
        } else {
            path.push(step);
            let value = transform(value, path, false, replace);
            path.pop();
            value
        }
    };
    let mut sequence = |items: &[Value]| {
        items
            .iter()
            .enumerate()
            .map(|(index, item)| inside(Step::Index(index), item))
            .collect()
    };
    match value {
        Value::Null | Value::Unknown(_) | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            value.clone()
        }
        Value::List(items) => Value::List(sequence(items)),
        Value::Tuple(items) => Value::Tuple(sequence(items)),
        Value::Set(items) => Value::set_of(
            items
                .iter()
                .map(|item| transform(item, path, true, replace)),
        ),
        Value::Map(entries) => Value::Map(
            entries
                .iter()
                .map(|(key, item)| (key.clone(), inside(Step::Key(key.clone()), item)))
                .collect(),
        ),
        Value::Object(attributes) => Value::Object(
            attributes
                .iter()
                .map(|(name, item)| (name.clone(), inside(Step::Attribute(name.clone()), item)))
                .collect(),
        ),
        Value::Dynamic(inner) => {
            Value::dynamic(inner.0.clone(), transform(&inner.1, path, in_set, replace))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Value {
        Value::object([
            (
                "any",
                Value::dynamic(Type::list(Type::Bool), Value::List(vec![Value::unknown()])),
            ),
            (
                "list",
                Value::List(vec![Value::from("a"), Value::unknown()]),
            ),
            (
                "map",
                Value::Map([("k".to_owned(), Value::unknown())].into()),
            ),
            (
                "set",
                Value::set_of([
                    Value::object([("x", Value::unknown())]),
                    Value::object([("x", Value::unknown())]),
                    Value::object([("x", Value::from("b"))]),
                ]),
            ),
            ("text", Value::from("c")),
        ])
    }

    #[test]
    fn unknown_paths_are_those_users_can_read() {
        let paths: Vec<String> = sample()
            .unknown_paths()
            .iter()
            .map(Path::to_string)
            .collect();
        assert_eq!(paths, ["any[0]", "list[1]", "map[\"k\"]", "set"]);
        assert_eq!(Value::unknown().unknown_paths(), [Path::root()]);
        assert!(Value::from("a").unknown_paths().is_empty());
    }

    #[test]
    fn transform_replaces_and_coalesces() {
        let mut seen = Vec::new();
        let known = sample().transform(&mut |path, value| {
            seen.push(path.to_string());
            value.is_unknown().then(|| Value::from("b"))
        });
        assert!(known.is_wholly_known());
        assert_eq!(
            known.get("set"),
            &Value::Set(vec![Value::object([("x", Value::from("b"))])])
        );
        assert_eq!(
            known.get("list").at(&Path::root().index(1)),
            Some(&Value::from("b"))
        );
        assert_eq!(seen.iter().filter(|path| *path == "set").count(), 7);
        assert_eq!(sample().transform(&mut |_, _| None), sample());
    }

    #[test]
    fn walk_goes_inside_only_when_told() {
        let mut seen = Vec::new();
        sample().walk(|path, _| {
            seen.push(path.to_string());
            path.is_root() || path.first_attribute() == Some("map")
        });
        assert_eq!(
            seen,
            ["", "any", "list", "map", "map[\"k\"]", "set", "text"]
        );
    }

    #[test]
    fn null_objects_have_every_attribute() {
        let ty = Type::object([("a", Type::Bool), ("b", Type::list(Type::String))]);
        assert_eq!(
            Value::null_object(&ty),
            Value::object([("a", Value::Null), ("b", Value::Null)])
        );
        assert!(Value::null_object(&Type::String).is_null());
    }
}
