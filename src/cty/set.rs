//! Set semantics: which elements are one, and equality without regard to order.

use std::cmp::Ordering;

use super::Value;

/// Up to this many elements comparing each with each is cheaper than sorting. Tags and ARNs stay below.
const SMALL: usize = 12;

/// Drops every wholly known element that equals an earlier one. Elements with unknown parts stay apart, because two
/// unknowns may become two different values. Keeps the order.
pub(super) fn coalesce(items: Vec<Value>) -> Vec<Value> {
    if items.len() <= SMALL {
        let mut kept: Vec<Value> = Vec::with_capacity(items.len());
        for item in items {
            if !(kept.contains(&item) && item.is_wholly_known()) {
                kept.push(item);
            }
        }
        return kept;
    }
    let mut order: Vec<usize> = (0..items.len()).collect();
    order.sort_by(|&a, &b| compare(&items[a], &items[b])); // stable: the first of equals stays first
    let mut drop = vec![false; items.len()];
    for pair in order.windows(2) {
        let (first, second) = (&items[pair[0]], &items[pair[1]]);
        drop[pair[1]] = compare(first, second).is_eq() && second.is_wholly_known();
    }
    let mut drop = drop.into_iter();
    items
        .into_iter()
        .filter(|_| !drop.next().unwrap_or(false))
        .collect()
}

/// Equal as multisets.
pub(super) fn same_elements(a: &[Value], b: &[Value]) -> bool {
    if a.len() != b.len() {
        return false;
    }
    if a.len() > SMALL {
        let (a, b) = (sorted(a), sorted(b));
        return a.iter().zip(&b).all(|(a, b)| compare(a, b).is_eq());
    }
    let mut taken = [false; SMALL];
    a.iter().all(|item| {
        let found = b
            .iter()
            .zip(&mut taken)
            .find(|(candidate, taken)| !**taken && *candidate == item);
        if let Some((_, taken)) = found {
            *taken = true;
            return true;
        }
        false
    })
}

/// A total order over values of any kind. Two values are equal in it exactly when [`PartialEq`] says so; beyond that it
/// means nothing.
fn compare(a: &Value, b: &Value) -> Ordering {
    match (a, b) {
        (Value::Bool(a), Value::Bool(b)) => a.cmp(b),
        (Value::Number(a), Value::Number(b)) => a.cmp(b),
        (Value::String(a), Value::String(b)) => a.cmp(b),
        (Value::List(a), Value::List(b)) | (Value::Tuple(a), Value::Tuple(b)) => {
            each(a.iter(), b.iter())
        }
        (Value::Set(a), Value::Set(b)) => each(sorted(a).into_iter(), sorted(b).into_iter()),
        (Value::Map(a), Value::Map(b)) | (Value::Object(a), Value::Object(b)) => a
            .keys()
            .cmp(b.keys())
            .then_with(|| each(a.values(), b.values())),
        (Value::Dynamic(a), Value::Dynamic(b)) => a.0.cmp(&b.0).then_with(|| compare(&a.1, &b.1)),
        _ => rank(a).cmp(&rank(b)),
    }
}

fn each<'a>(
    a: impl ExactSizeIterator<Item = &'a Value>,
    b: impl ExactSizeIterator<Item = &'a Value>,
) -> Ordering {
    a.len().cmp(&b.len()).then_with(|| {
        a.zip(b)
            .map(|(a, b)| compare(a, b))
            .find(|order| order.is_ne())
            .unwrap_or(Ordering::Equal)
    })
}

fn sorted(items: &[Value]) -> Vec<&Value> {
    let mut sorted: Vec<&Value> = items.iter().collect();
    sorted.sort_by(|a, b| compare(a, b));
    sorted
}

fn rank(value: &Value) -> u8 {
    match value {
        Value::Null => 0,
        Value::Unknown(_) => 1,
        Value::Bool(_) => 2,
        Value::Number(_) => 3,
        Value::String(_) => 4,
        Value::List(_) => 5,
        Value::Set(_) => 6,
        Value::Map(_) => 7,
        Value::Object(_) => 8,
        Value::Tuple(_) => 9,
        Value::Dynamic(_) => 10,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `count` different strings, some objects with an unknown, and everything once more.
    fn doubled(count: usize) -> Vec<Value> {
        let item = |i: usize| Value::string(format!("item-{}", (i * 7) % count));
        let open = Value::object([("a", Value::from(1)), ("b", Value::unknown())]);
        (0..2 * count)
            .map(item)
            .chain([open.clone(), open, Value::unknown(), Value::unknown()])
            .collect()
    }

    #[test]
    fn known_duplicates_become_one_and_unknowns_stay_apart() {
        for count in [1, 3, 5, 11, 100] {
            let set = Value::set_of(doubled(count));
            let elements = set.as_elements().unwrap();
            assert_eq!(elements.len(), count + 4, "{count}");
            assert_eq!(elements[0], Value::from("item-0"), "{count}");
        }
    }

    #[test]
    fn equality_ignores_order_but_not_number() {
        for count in [1, 3, 50] {
            let items = doubled(count);
            let mut other = items.clone();
            other.reverse();
            assert_eq!(
                Value::Set(items.clone()),
                Value::Set(other.clone()),
                "{count}"
            );
            other[1] = Value::from("other");
            assert_ne!(
                Value::Set(items.clone()),
                Value::Set(other.clone()),
                "{count}"
            );
            other.pop();
            assert_ne!(Value::Set(items), Value::Set(other), "{count}");
        }
        let set = |items: &[i64]| Value::Set(items.iter().map(|&i| Value::from(i)).collect());
        assert_ne!(set(&[1, 1, 2]), set(&[1, 2, 2]));
    }

    #[test]
    fn sets_of_sets() {
        let set = |items: &[i64]| Value::set_of(items.iter().map(|&i| Value::from(i)));
        let sets: Vec<Value> = (0..40).map(|i| set(&[i % 20, 1000, i % 10])).collect();
        let other: Vec<Value> = (0..40).map(|i| set(&[i % 10, i % 20, 1000])).collect();
        assert_eq!(Value::set_of(sets.clone()).as_elements().unwrap().len(), 20);
        assert_eq!(Value::Set(sets), Value::Set(other));
    }
}
