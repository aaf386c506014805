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

fn count(value: &Value) -> Value {
    value.as_u64().unwrap_or(0).into()
}

fn of(ready: &Value, all: &Value) -> Value {
    format!("{}/{}", count(ready), count(all)).into()
}

fn pod_ready(pod: &Value) -> Value {
    let statuses = pod["status"]["containerStatuses"].as_array();
    let ready = statuses
        .into_iter()
        .flatten()
        .filter(|c| c["ready"] == true);
    let all = pod["spec"]["containers"].as_array().map_or(0, Vec::len);
    format!("{}/{all}", ready.count()).into()
}

fn pod_status(pod: &Value) -> Value {
    if pod["metadata"]["deletionTimestamp"].is_string() {
        return "Terminating".into();
    }
    let statuses = pod["status"]["containerStatuses"].as_array();
    let waiting = statuses
        .into_iter()
        .flatten()
        .find_map(|c| c["state"]["waiting"]["reason"].as_str());
    match (waiting, pod["status"]["phase"].as_str()) {
        (Some(reason), _) => reason.into(),
        (None, Some("Succeeded")) => "Completed".into(),
        (None, Some(phase)) => phase.into(),
        (None, None) => "Pending".into(),
    }
}

fn restarts(pod: &Value) -> Value {
    let statuses = pod["status"]["containerStatuses"].as_array();
    let sum: u64 = statuses
        .into_iter()
        .flatten()
        .filter_map(|c| c["restartCount"].as_u64())
        .sum();
    sum.into()
}

/// The columns of a kind between name and age.
fn columns_of(kind: &str) -> &'static [Column] {
    match kind {
        "ServiceAccount" => &[("Secrets", "string", |o| {
            o["secrets"].as_array().map_or(0, Vec::len).into()
        })],
        "Namespace" => &[("Status", "string", |o| o["status"]["phase"].clone())],
        "Pod" => &[
            ("Ready", "string", pod_ready),
            ("Status", "string", pod_status),
            ("Restarts", "string", restarts),
        ],
        "Deployment" => &[
            ("Ready", "string", |o| {
                of(&o["status"]["readyReplicas"], &o["spec"]["replicas"])
            }),
            ("Up-to-date", "string", |o| {
                count(&o["status"]["updatedReplicas"])
            }),
            ("Available", "string", |o| {
                count(&o["status"]["availableReplicas"])
            }),
        ],
        "ReplicaSet" => &[
            ("Desired", "integer", |o| count(&o["spec"]["replicas"])),
            ("Current", "integer", |o| count(&o["status"]["replicas"])),
            ("Ready", "integer", |o| count(&o["status"]["readyReplicas"])),
        ],
        "StatefulSet" => &[("Ready", "string", |o| {
            of(&o["status"]["readyReplicas"], &o["spec"]["replicas"])
        })],
        "DaemonSet" => &[
            ("Desired", "integer", |o| {
                count(&o["status"]["desiredNumberScheduled"])
            }),
            ("Current", "integer", |o| {
                count(&o["status"]["currentNumberScheduled"])
            }),
            ("Ready", "integer", |o| count(&o["status"]["numberReady"])),
            ("Up-to-date", "integer", |o| {
                count(&o["status"]["updatedNumberScheduled"])
            }),
            ("Available", "integer", |o| {
                count(&o["status"]["numberAvailable"])
            }),
        ],
        "Job" => &[
            ("Status", "string", |o| {
                let complete = o["status"]["completionTime"].is_string();
                if complete { "Complete" } else { "Running" }.into()
            }),
            ("Completions", "string", |o| {
                of(&o["status"]["succeeded"], &o["spec"]["completions"])
            }),
        ],
        "CronJob" => &[
            ("Schedule", "string", |o| o["spec"]["schedule"].clone()),
            ("Suspend", "boolean", |o| o["spec"]["suspend"].clone()),
        ],
        "Node" => &[
            ("Status", "string", |o| {
                let conditions = o["status"]["conditions"].as_array();
                let ready = conditions
                    .into_iter()
                    .flatten()
                    .any(|c| c["type"] == "Ready" && c["status"] == "True");
                if ready { "Ready" } else { "NotReady" }.into()
            }),
            ("Version", "string", |o| {
                o["status"]["nodeInfo"]["kubeletVersion"].clone()
            }),
        ],
        "MutatingWebhookConfiguration" => &[("Webhooks", "integer", |o| {
            o["webhooks"].as_array().map_or(0, Vec::len).into()
        })],
        _ => &[],
    }
}

fn table(value: &Value, now: OffsetDateTime) -> Value {
    let objects: Vec<&Value> = match value["items"].as_array() {
        Some(items) => items.iter().collect(),
        None => vec![value],
    };
    let kind = value["kind"]
        .as_str()
        .unwrap_or_default()
        .trim_end_matches("List");
    let middle = columns_of(kind);
    let column = |name: &str, kind: &str, format: &str| json!({"name": name, "type": kind, "format": format, "description": "", "priority": 0});
    let mut columns = vec![column("Name", "string", "name")];
    columns.extend(middle.iter().map(|(name, kind, _)| column(name, kind, "")));
    columns.push(column("Age", "string", ""));
    let rows: Vec<Value> = objects
        .iter()
        .map(|object| {
            let mut cells = vec![object["metadata"]["name"].clone()];
            cells.extend(middle.iter().map(|(.., cell)| cell(object)));
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
        let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "creationTimestamp": "2026-01-01T00:00:00Z"}, "spec": {"containers": [{}, {}]},
            "status": {"phase": "Running", "containerStatuses": [{"ready": true, "restartCount": 2}, {"ready": false, "restartCount": 3, "state": {"waiting": {"reason": "CrashLoopBackOff"}}}]}});
        let table = shape(pod, kubectl, now);
        assert_eq!(
            table["rows"][0]["cells"],
            json!(["p", "1/2", "CrashLoopBackOff", 5, "5m"])
        );
        let status = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}});
        assert_eq!(shape(status.clone(), kubectl, now), status);
    }
}
