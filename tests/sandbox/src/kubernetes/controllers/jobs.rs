//! Jobs. CronJobs start none by themselves: time in a sandbox is short.

use serde_json::{Value, json};
use time::OffsetDateTime;

use super::{Index, NewPod, condition, create_pod, number, set_status, string};
use crate::kubernetes::kinds::built_in;
use crate::kubernetes::store::timestamp;
use crate::kubernetes::{Kubernetes, Surroundings};

/// One step of every Job that is not complete.
pub(super) fn reconcile(k: &mut Kubernetes, around: &Surroundings<'_>, now: OffsetDateTime) {
    let jobs: Vec<Value> = k
        .store
        .items(built_in("jobs"))
        .filter(|job| job["status"]["completionTime"].is_null() && job["spec"]["suspend"] != true)
        .cloned()
        .collect();
    if jobs.is_empty() {
        return;
    }
    let index = Index::of(k);
    for job in &jobs {
        let pods = index.owned(job);
        let succeeded = pods.iter().filter(|p| p.succeeded).count();
        let active = pods.len() - succeeded;
        let completions = number(&job["spec"]["completions"]);
        let wanted = number(&job["spec"]["parallelism"]).min(completions.saturating_sub(succeeded));
        for _ in active..wanted {
            let new = NewPod {
                owner: job,
                name: None,
                labels: vec![
                    ("job-name", string(&job["metadata"]["name"])),
                    (
                        "batch.kubernetes.io/job-name",
                        string(&job["metadata"]["name"]),
                    ),
                ],
                node: None,
            };
            create_pod(k, around, new, now);
        }
        let old = &job["status"];
        let start = match &old["startTime"] {
            Value::Null => timestamp(now).into(),
            start => start.clone(),
        };
        let mut status = json!({"startTime": start});
        for (field, count) in [
            ("active", active),
            ("succeeded", succeeded),
            ("ready", pods.iter().filter(|p| p.ready).count()),
        ] {
            if count > 0 {
                status[field] = count.into();
            }
        }
        if succeeded >= completions {
            status["completionTime"] = timestamp(now).into();
            status["conditions"] = json!([condition(
                old,
                "Complete",
                "True",
                "CompletionsReached",
                "Reached expected number of succeeded pods",
                now
            )]);
        }
        set_status(k, built_in("jobs"), job, status, now);
    }
}
