//! Why restarts end early, and how that is told.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::aws::retry::human_duration;
use crate::framework::Diagnostic;
use crate::kubernetes::KubernetesError;
use crate::migration::facts::{PodCredentials, WorkloadId};

use super::{Report, described};

/// The restarts were stopped.
#[derive(Clone, Debug, thiserror::Error)]
#[error("the restarts were stopped: {cause}")]
pub struct Stopped {
    /// What was done before.
    pub report: Report,
    /// Workloads that come after the one that stopped it. They were not touched.
    pub untouched: Vec<WorkloadId>,
    /// Why.
    pub cause: Box<Cause>,
}

/// Why restarts were stopped.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Cause {
    /// A workload did not become ready.
    #[error("{workload} did not become ready")]
    NotReady {
        /// Which one.
        workload: WorkloadId,
        /// How far it came, as a sentence without full stop.
        progress: String,
        /// What is wrong with its pods, one sentence each.
        pods: Vec<String>,
        /// How long it was waited.
        waited: Duration,
        /// Whether it was restarted for what is wanted; otherwise its pods have that already, and somebody else changes it.
        restarted: bool,
        /// Whether it was the time for everything that was over, and not that for the workload.
        out_of_time: bool,
    },
    /// A workload of another service account in the same namespace failed in this run, so this one was not restarted.
    #[error("{failed} failed before {workload} was restarted")]
    Held {
        /// Which one was not restarted.
        workload: WorkloadId,
        /// Which one failed.
        failed: WorkloadId,
        /// The service account of that.
        service_account: String,
    },
    /// A workload is ready, but its pods did not get what they should, even after it was restarted twice.
    #[error("pods of {workload} did not get what they should")]
    StillWrong {
        /// Which one.
        workload: WorkloadId,
        /// Names of the pods, and where they get credentials.
        pods: BTreeMap<String, PodCredentials>,
    },
    /// The time for everything was over before a workload was restarted or waited for.
    #[error("the time was over before {workload} was restarted")]
    OutOfTime {
        /// Which one.
        workload: WorkloadId,
    },
    /// Terraform was asked to stop.
    #[error("Terraform was asked to stop")]
    Cancelled {
        /// The workload whose restart is under way, if one is.
        workload: Option<WorkloadId>,
    },
    /// The Kubernetes API refused.
    #[error("the Kubernetes API refused")]
    Api {
        /// The workload that was looked at, or changed.
        workload: Option<WorkloadId>,
        /// What it said.
        #[source]
        error: KubernetesError,
    },
}

impl Stopped {
    /// Whether Terraform was asked to stop.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        matches!(&*self.cause, Cause::Cancelled { .. })
    }

    /// The diagnostic: `summary`, a sentence about the object, the cause, and what to do. `wanted` is what pods should have
    /// got.
    #[must_use]
    pub fn into_diagnostic(
        &self,
        summary: &str,
        object: &str,
        namespace: &str,
        wanted: PodCredentials,
    ) -> Diagnostic {
        let mut paragraphs = vec![object.to_owned()];
        match &*self.cause {
            Cause::Api { workload, error } => {
                if let Some(id) = workload {
                    paragraphs.push(format!("It was about {id}."));
                }
                paragraphs.extend(self.rest());
                return error.into_diagnostic(summary, &paragraphs.join("\n\n"), "");
            }
            Cause::Cancelled { workload } => {
                paragraphs.push(match workload {
                    Some(id) => format!(
                        "Terraform was asked to stop while {id} was being restarted. Its rollout goes on; the next apply \
                         waits for it and does not restart it again."
                    ),
                    None => "Terraform was asked to stop.".to_owned(),
                });
            }
            Cause::NotReady {
                workload,
                progress,
                pods,
                waited,
                restarted,
                out_of_time,
            } => {
                let lines: String = pods.iter().map(|pod| format!("\n  - {pod}")).collect();
                let colon = if pods.is_empty() { "." } else { ":" };
                let mut waited = human_duration(*waited);
                if *out_of_time {
                    waited
                        .push_str(", which is all that this operation's time (see timeouts) left");
                }
                paragraphs.push(if *restarted {
                    format!(
                        "{workload} was restarted and did not become ready within {waited}: {progress}{colon}{lines}"
                    )
                } else {
                    format!(
                        "The pods of {workload} have what they should, but a rollout of it that is under way did not end \
                         within {waited}: {progress}{colon}{lines}"
                    )
                });
                let resource = workload.kind.to_lowercase();
                let hint = if wanted == PodCredentials::PodIdentity {
                    " If its containers do not get credentials: the SDK may be older than EKS Pod Identity, or a network \
                     policy or proxy may keep them from the agent (169.254.170.23, port 80)."
                } else {
                    ""
                };
                paragraphs.push(format!(
                    "See kubectl -n {namespace} describe {resource} {name} and kubectl -n {namespace} logs {resource}/{name}.\
                     {hint} Its controller keeps old pods as far as maxUnavailable says; both old and new credentials go on \
                     working. Mend it and apply again, which waits for it without another restart; or go back: destroy \
                     this resource.",
                    name = workload.name
                ));
            }
            Cause::Held {
                workload,
                failed,
                service_account,
            } => {
                paragraphs.push(format!(
                    "{failed} of the service account {service_account:?} in the same namespace was restarted in this run and \
                     did not become ready, so {workload} was not restarted: workloads are restarted one at a time, and none after one \
                     that fails."
                ));
                paragraphs.push(format!(
                    "See what is said of {failed}, mend it and apply again, which goes on from here."
                ));
            }
            Cause::OutOfTime { workload } => {
                paragraphs.push(format!(
                    "The time that this operation may take (see timeouts) was over when it was the turn of {workload}."
                ));
            }
            Cause::StillWrong { workload, pods } => {
                let lines: String = pods
                    .iter()
                    .map(|(pod, has)| format!("\n  - pod {pod} has {}", described(*has)))
                    .collect();
                paragraphs.push(format!(
                    "{} was restarted twice, and is ready, but not all its pods have {}:{lines}",
                    workload,
                    described(wanted)
                ));
                paragraphs.push(
                    "The mutating webhook of EKS may not work, or the pod template sets credential variables itself. Mend \
                     that, restart the workload, then apply again."
                        .to_owned(),
                );
            }
        }
        paragraphs.extend(self.rest());
        paragraphs.retain(|paragraph| !paragraph.is_empty());
        Diagnostic::error(summary, paragraphs.join("\n\n"))
    }

    fn rest(&self) -> Option<String> {
        let list = |ids: &[WorkloadId]| {
            ids.iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
                .join(", ")
        };
        let (done, left) = (&self.report.restarted, &self.untouched);
        let mut sentences = Vec::new();
        if !done.is_empty() {
            sentences.push(format!("Restarted before: {}.", list(done)));
        }
        if !left.is_empty() {
            sentences.push(format!("Not touched: {}.", list(left)));
        }
        (!sentences.is_empty()).then(|| sentences.join(" "))
    }
}
