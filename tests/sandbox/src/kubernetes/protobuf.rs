//! Reading the few objects that kubectl insists on sending as protobuf.
//!
//! Field numbers are those of the published `generated.proto` files of k8s.io/api and k8s.io/apimachinery. Answers are always JSON,
//! which every client accepts.

use serde_json::{Map, Value, json};

/// What every body begins with.
const MAGIC: &[u8] = b"k8s\0";

/// The object of a protobuf body, or `None` if it is not of a kind that is known here.
pub(super) fn decode(body: &[u8]) -> Option<Value> {
    let envelope = fields(body.strip_prefix(MAGIC)?)?;
    let types = fields(bytes(&envelope, 1)?)?;
    let raw = fields(bytes(&envelope, 2)?)?;
    let (version, kind) = (text(&types, 1), text(&types, 2));
    let mut object = json!({"apiVersion": version, "kind": kind, "metadata": metadata(bytes(&raw, 1).unwrap_or_default())?});
    match kind.as_str() {
        "ServiceAccount" | "Namespace" | "DeleteOptions" | "Eviction" => {}
        "TokenRequest" => {
            let spec = fields(bytes(&raw, 2).unwrap_or_default())?;
            let audiences: Vec<Value> = spec
                .iter()
                .filter(|(number, _)| *number == 1)
                .map(|(_, audience)| String::from_utf8_lossy(audience).into())
                .collect();
            object["spec"]["audiences"] = audiences.into();
            if let Some(seconds) = number(bytes(&raw, 2).unwrap_or_default(), 4) {
                object["spec"]["expirationSeconds"] = seconds.into();
            }
            if let Some(bound) = bytes(&spec, 3) {
                let bound = fields(bound)?;
                object["spec"]["boundObjectRef"] = json!({"kind": text(&bound, 1), "apiVersion": text(&bound, 2), "name": text(&bound, 3), "uid": text(&bound, 4)});
            }
        }
        "SelfSubjectAccessReview" => {
            let spec = fields(bytes(&raw, 2)?)?;
            if let Some(attributes) = bytes(&spec, 1) {
                let attributes = fields(attributes)?;
                let names = [
                    "namespace",
                    "verb",
                    "group",
                    "version",
                    "resource",
                    "subresource",
                    "name",
                ];
                let map: Map<String, Value> = names
                    .iter()
                    .zip(1..)
                    .map(|(name, number)| ((*name).to_owned(), text(&attributes, number).into()))
                    .collect();
                object["spec"]["resourceAttributes"] = map.into();
            }
        }
        _ => return None,
    }
    Some(object)
}

/// The varint field of this number.
fn number(mut body: &[u8], wanted: u64) -> Option<u64> {
    while !body.is_empty() {
        let tag = varint(&mut body)?;
        match tag & 7 {
            0 => {
                let value = varint(&mut body)?;
                if tag >> 3 == wanted {
                    return Some(value);
                }
            }
            1 => body = body.get(8..)?,
            2 => {
                let length = usize::try_from(varint(&mut body)?).ok()?;
                body = body.get(length..)?;
            }
            5 => body = body.get(4..)?,
            _ => return None,
        }
    }
    None
}

fn metadata(body: &[u8]) -> Option<Value> {
    let fields = fields(body)?;
    let mut map = Map::new();
    for (number, name) in [
        (1, "name"),
        (2, "generateName"),
        (3, "namespace"),
        (6, "resourceVersion"),
    ] {
        let text = text(&fields, number);
        if !text.is_empty() {
            map.insert(name.into(), text.into());
        }
    }
    for (number, name) in [(11, "labels"), (12, "annotations")] {
        for (_, entry) in fields.iter().filter(|(n, _)| *n == number) {
            let entry = self::fields(entry)?;
            map.entry(name).or_insert_with(|| json!({}))[text(&entry, 1)] = text(&entry, 2).into();
        }
    }
    Some(map.into())
}

fn bytes<'b>(fields: &[(u64, &'b [u8])], number: u64) -> Option<&'b [u8]> {
    fields
        .iter()
        .find(|(n, _)| *n == number)
        .map(|(_, bytes)| *bytes)
}

fn text(fields: &[(u64, &[u8])], number: u64) -> String {
    bytes(fields, number)
        .map(|b| String::from_utf8_lossy(b).into_owned())
        .unwrap_or_default()
}

/// The length-delimited fields of a message; others are skipped.
fn fields(mut body: &[u8]) -> Option<Vec<(u64, &[u8])>> {
    let mut found = Vec::new();
    while !body.is_empty() {
        let tag = varint(&mut body)?;
        match tag & 7 {
            0 => {
                varint(&mut body)?;
            }
            1 => body = body.get(8..)?,
            2 => {
                let length = usize::try_from(varint(&mut body)?).ok()?;
                found.push((tag >> 3, body.get(..length)?));
                body = &body[length..];
            }
            5 => body = body.get(4..)?,
            _ => return None,
        }
    }
    Some(found)
}

fn varint(body: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = body.split_first()?;
        *body = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(number: u8, content: &[u8]) -> Vec<u8> {
        let mut out = vec![number << 3 | 2, u8::try_from(content.len()).unwrap()];
        out.extend(content);
        out
    }

    #[test]
    fn a_token_request() {
        let types = [
            field(1, b"authentication.k8s.io/v1"),
            field(2, b"TokenRequest"),
        ]
        .concat();
        let mut spec = field(1, b"sts.amazonaws.com");
        spec.extend([4 << 3, 0x90, 0x1c]);
        let body = [
            MAGIC.to_vec(),
            field(1, &types),
            field(2, &[field(1, b""), field(2, &spec)].concat()),
        ]
        .concat();
        let object = decode(&body).unwrap();
        assert_eq!(
            object["spec"],
            json!({"audiences": ["sts.amazonaws.com"], "expirationSeconds": 3600})
        );
    }

    #[test]
    fn a_service_account() {
        let types = [field(1, b"v1"), field(2, b"ServiceAccount")].concat();
        let label = [field(1, b"app"), field(2, b"api")].concat();
        let metadata = [field(1, b"api"), field(3, b"payments"), field(11, &label)].concat();
        let body = [
            MAGIC.to_vec(),
            field(1, &types),
            field(2, &field(1, &metadata)),
            field(3, b""),
        ]
        .concat();
        let expected = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "api", "namespace": "payments", "labels": {"app": "api"}}});
        assert_eq!(decode(&body), Some(expected));
        assert_eq!(decode(&body[..body.len() - 20]), None, "a truncated body");
        assert_eq!(decode(b"{}"), None);
    }
}
