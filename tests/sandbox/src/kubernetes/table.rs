//! Other shapes of an answer: `Table`, as kubectl prints it, and metadata alone.

use serde_json::{Value, json};
use time::format_description::well_known::Rfc3339;
use time::{Duration, OffsetDateTime};

/// The answer in the first shape of `accept` that is understood.
pub(super) fn shape(value: Value, accept: &str, now: OffsetDateTime) -> Value {
    let is_object = value["metadata"].is_object()
        && value["kind"] != "Status"
        && value["apiVersion"].is_string();
    if !is_object {
        return value;
    }
    for media in accept.split(',') {
        let wanted = media.split(';').find_map(|p| p.trim().strip_prefix("as="));
        match wanted {
            Some("Table") => return table(&value, now),
            Some("PartialObjectMetadataList") if value["items"].is_array() => {
                let items: Vec<Value> = value["items"]
                    .as_array()
                    .into_iter()
                    .flatten()
                    .map(partial)
                    .collect();
                return json!({"kind": "PartialObjectMetadataList", "apiVersion": "meta.k8s.io/v1", "metadata": value["metadata"], "items": items});
            }
            Some("PartialObjectMetadata") if !value["items"].is_array() => return partial(&value),
            Some(_) => {}
            None if media.trim().starts_with("application/json") || media.trim() == "*/*" => {
                return value;
            }
            None => {}
        }
    }
    value
}

fn partial(object: &Value) -> Value {
    json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": object["metadata"]})
}

/// Name and type of a column, and how an object fills it.
type Column = (&'static str, &'static str, fn(&Value) -> Value);

fn table(value: &Value, now: OffsetDateTime) -> Value {
    let objects: Vec<&Value> = match value["items"].as_array() {
        Some(items) => items.iter().collect(),
        None => vec![value],
    };
    let kind = value["kind"]
        .as_str()
        .unwrap_or_default()
        .trim_end_matches("List");
    let middle: Option<Column> = match kind {
        "ServiceAccount" => Some(("Secrets", "string", |o| {
            o["secrets"].as_array().map_or(0, Vec::len).into()
        })),
        "Namespace" => Some(("Status", "string", |o| o["status"]["phase"].clone())),
        _ => None,
    };
    let column = |name: &str, kind: &str, format: &str| json!({"name": name, "type": kind, "format": format, "description": "", "priority": 0});
    let mut columns = vec![column("Name", "string", "name")];
    columns.extend(middle.map(|(name, kind, _)| column(name, kind, "")));
    columns.push(column("Age", "string", ""));
    let rows: Vec<Value> = objects
        .iter()
        .map(|object| {
            let mut cells = vec![object["metadata"]["name"].clone()];
            cells.extend(middle.map(|(.., cell)| cell(object)));
            cells.push(age(&object["metadata"]["creationTimestamp"], now).into());
            json!({"cells": cells, "object": partial(object)})
        })
        .collect();
    let metadata = if value["items"].is_array() {
        value["metadata"].clone()
    } else {
        json!({"resourceVersion": value["metadata"]["resourceVersion"]})
    };
    json!({"kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": metadata, "columnDefinitions": columns, "rows": rows})
}

fn age(created: &Value, now: OffsetDateTime) -> String {
    let Some(created) = created
        .as_str()
        .and_then(|text| OffsetDateTime::parse(text, &Rfc3339).ok())
    else {
        return "<unknown>".into();
    };
    let age = (now - created).max(Duration::ZERO);
    match age.whole_seconds() {
        seconds @ 0..120 => format!("{seconds}s"),
        seconds @ 120..7_200 => format!("{}m", seconds / 60),
        seconds @ 7_200..172_800 => format!("{}h", seconds / 3_600),
        seconds => format!("{}d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn shapes() {
        let object = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "api", "creationTimestamp": "2026-01-01T00:00:00Z"}, "secrets": [{}]});
        let list = json!({"apiVersion": "v1", "kind": "ServiceAccountList", "metadata": {"resourceVersion": "7"}, "items": [object]});
        let now = datetime!(2026-01-01 00:05 UTC);
        let kubectl = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json";
        let table = shape(list.clone(), kubectl, now);
        assert_eq!(table["rows"][0]["cells"], json!(["api", 1, "5m"]));
        assert_eq!(table["metadata"]["resourceVersion"], "7");
        assert_eq!(shape(list.clone(), "application/json", now), list);
        assert_eq!(
            shape(
                list,
                "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1",
                now
            )["items"][0]
                .get("secrets"),
            None
        );
        let status = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}});
        assert_eq!(shape(status.clone(), kubectl, now), status);
    }
}
