//! Fields that the API server fills in.

use serde_json::{Value, json};

use super::kinds::Kind;
use super::validation::pod_spec_path;

fn default(object: &mut Value, field: &str, value: Value) {
    if object[field].is_null() {
        object[field] = value;
    }
}

/// Fills in what the object leaves out.
pub(super) fn set(kind: &Kind, object: &mut Value) {
    if kind.is_custom() {
        return;
    }
    if let Some(spec) = pod_spec_path(kind).and_then(|path| object.pointer_mut(path))
        && spec.is_object()
    {
        let restart = if ["jobs", "cronjobs"].contains(&kind.plural) {
            "Never"
        } else {
            "Always"
        };
        default(spec, "restartPolicy", restart.into());
        default(spec, "terminationGracePeriodSeconds", 30.into());
        default(spec, "dnsPolicy", "ClusterFirst".into());
        default(spec, "schedulerName", "default-scheduler".into());
    }
    let spec = &mut object["spec"];
    if !spec.is_object() {
        // Indexing has put a null where there was nothing.
        if spec.is_null()
            && let Some(map) = object.as_object_mut()
        {
            map.shift_remove("spec");
        }
        return;
    }
    match kind.plural {
        "deployments" => {
            default(spec, "replicas", 1.into());
            default(spec, "progressDeadlineSeconds", 600.into());
            default(spec, "revisionHistoryLimit", 10.into());
            default(
                spec,
                "strategy",
                json!({"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"}}),
            );
        }
        "replicasets" => default(spec, "replicas", 1.into()),
        "statefulsets" => {
            default(spec, "replicas", 1.into());
            default(spec, "podManagementPolicy", "OrderedReady".into());
            default(spec, "revisionHistoryLimit", 10.into());
            default(
                spec,
                "updateStrategy",
                json!({"type": "RollingUpdate", "rollingUpdate": {"partition": 0}}),
            );
        }
        "daemonsets" => {
            default(spec, "revisionHistoryLimit", 10.into());
            default(
                spec,
                "updateStrategy",
                json!({"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 1, "maxSurge": 0}}),
            );
        }
        "jobs" => {
            default(spec, "completions", 1.into());
            default(spec, "parallelism", 1.into());
            default(spec, "backoffLimit", 6.into());
        }
        "cronjobs" => {
            default(spec, "concurrencyPolicy", "Allow".into());
            default(spec, "suspend", false.into());
        }
        _ => {}
    }
}
