//! Subresources that are no part of their object: scale, eviction and token.

use serde_json::{Value, json};
use time::{Duration, OffsetDateTime};

use super::controllers::is_ready;
use super::kinds::{Kind, built_in};
use super::store::{Failure, Write, timestamp};
use super::tokens::{self, Subject};
use super::{Kubernetes, Surroundings, selector};

/// The Scale of a workload.
pub(super) fn scale(object: &Value) -> Value {
    let selector = object["spec"]["selector"]["matchLabels"].as_object();
    let selector: Vec<String> = selector
        .into_iter()
        .flatten()
        .map(|(k, v)| format!("{k}={}", v.as_str().unwrap_or_default()))
        .collect();
    let metadata = &object["metadata"];
    json!({
        "apiVersion": "autoscaling/v1", "kind": "Scale",
        "metadata": {"name": metadata["name"], "namespace": metadata["namespace"], "uid": metadata["uid"], "resourceVersion": metadata["resourceVersion"], "creationTimestamp": metadata["creationTimestamp"]},
        "spec": {"replicas": object["spec"]["replicas"]},
        "status": {"replicas": object["status"]["replicas"].as_u64().unwrap_or(0), "selector": selector.join(",")},
    })
}

/// Writes the number of replicas of a Scale into its workload.
pub(super) fn set_scale(
    k: &mut Kubernetes,
    kind: &'static Kind,
    namespace: &str,
    name: &str,
    scale: &Value,
    write: &Write<'_>,
) -> Result<Value, Failure> {
    let mut object = k.store.get(kind, namespace, name)?;
    let replicas = scale["spec"]["replicas"].as_u64().ok_or_else(|| {
        Failure::invalid(
            kind,
            name,
            "spec.replicas",
            "FieldValueInvalid",
            "Invalid value: must be greater than or equal to 0",
        )
    })?;
    object["spec"]["replicas"] = replicas.into();
    if let Some(version) = scale["metadata"]["resourceVersion"].as_str() {
        object["metadata"]["resourceVersion"] = version.into();
    }
    k.store
        .replace(kind, namespace, name, object, write)
        .map(|object| self::scale(&object))
}

/// Evicts a pod, if its disruption budgets allow it.
pub(super) fn evict(
    k: &mut Kubernetes,
    namespace: &str,
    name: &str,
    eviction: &Value,
    write: &Write<'_>,
) -> Result<Value, Failure> {
    let pods = built_in("pods");
    let pod = k.store.get(pods, namespace, name)?;
    for budget in k.store.items(built_in("poddisruptionbudgets")) {
        let select = &budget["spec"]["selector"];
        if budget["metadata"]["namespace"] != namespace
            || !selector::matches(select, &pod["metadata"]["labels"])
        {
            continue;
        }
        let matched: Vec<&Value> = k
            .store
            .items(pods)
            .filter(|p| p["metadata"]["namespace"] == namespace)
            .filter(|p| selector::matches(select, &p["metadata"]["labels"]))
            .collect();
        let healthy = matched.iter().filter(|p| is_ready(p)).count();
        let total = matched.len();
        let amount = |value: &Value| match value {
            Value::String(text) => {
                let percent: usize = text.trim_end_matches('%').parse().unwrap_or(0);
                (total * percent).div_ceil(100)
            }
            value => value
                .as_u64()
                .and_then(|n| usize::try_from(n).ok())
                .unwrap_or(0),
        };
        let needed = match (
            &budget["spec"]["minAvailable"],
            &budget["spec"]["maxUnavailable"],
        ) {
            (Value::Null, most) => total.saturating_sub(amount(most)),
            (least, _) => amount(least),
        };
        if is_ready(&pod) && healthy <= needed {
            let mut failure = Failure::new(
                429,
                "TooManyRequests",
                "Cannot evict pod as it would violate the pod's disruption budget.",
            );
            let budget = budget["metadata"]["name"].as_str().unwrap_or_default();
            failure.details = json!({"causes": [{"reason": "DisruptionBudget", "message": format!("The disruption budget {budget} needs {needed} healthy pods and has {healthy} currently")}]});
            return Err(failure);
        }
    }
    k.store
        .delete(pods, namespace, name, &eviction["deleteOptions"], write)?;
    Ok(
        json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}),
    )
}

/// Answers a TokenRequest.
pub(super) fn token(
    k: &Kubernetes,
    namespace: &str,
    name: &str,
    mut request: Value,
    around: &Surroundings<'_>,
    now: OffsetDateTime,
) -> Result<Value, Failure> {
    let account = k.store.get(built_in("serviceaccounts"), namespace, name)?;
    let spec = &request["spec"];
    let mut audiences: Vec<String> = spec["audiences"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|a| a.as_str().map(str::to_owned))
        .collect();
    if audiences.is_empty() {
        audiences.push(tokens::API.into());
    }
    let seconds = spec["expirationSeconds"].as_i64().unwrap_or(3_600);
    if seconds < 600 {
        let mut failure = Failure::new(
            422,
            "Invalid",
            format!(
                "TokenRequest.authentication.k8s.io \"\" is invalid: spec.expirationSeconds: Invalid value: {seconds}: may not specify a duration less than 10 minutes"
            ),
        );
        failure.details = json!({"kind": "TokenRequest", "group": "authentication.k8s.io"});
        return Err(failure);
    }
    let bound = &spec["boundObjectRef"];
    let pod = if bound["kind"] == "Pod" {
        let name = bound["name"].as_str().unwrap_or_default();
        let pod = k.store.get(built_in("pods"), namespace, name)?;
        let uid = bound["uid"].as_str().unwrap_or_default();
        if !uid.is_empty() && pod["metadata"]["uid"] != uid {
            return Err(Failure::conflict(built_in("pods"), name));
        }
        Some(pod)
    } else {
        None
    };
    let subject = Subject {
        issuer: around.issuer,
        namespace,
        account: &account,
        pod: pod.as_ref(),
    };
    let token = tokens::issue(&subject, &audiences, seconds, now);
    request["kind"] = "TokenRequest".into();
    request["apiVersion"] = "authentication.k8s.io/v1".into();
    request["metadata"] = json!({"name": name, "namespace": namespace});
    request["spec"]["audiences"] = audiences.into();
    request["spec"]["expirationSeconds"] = seconds.into();
    request["status"] =
        json!({"token": token, "expirationTimestamp": timestamp(now + Duration::seconds(seconds))});
    Ok(request)
}
