//! Restarts of workloads, one at a time.
//!
//! Pods get their credentials when they are created, so a workload changes over by being restarted, as `kubectl rollout
//! restart` does it: by a change of its pod template. Which pods go when is its controller's business, and with it
//! `maxUnavailable`, `maxSurge` and disruption budgets. A workload that does not come up stops everything: its old pods
//! still serve with their old credentials, and no other workload is touched.
//!
//! The template is marked with what it was restarted for, in the patch that restarts it. A run that was killed finds the
//! mark and only waits.

mod diagnosis;
mod gate;
mod live;
mod stopped;

use std::future::Future;
use std::time::Duration;

use serde_json::json;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::sync::OwnedMutexGuard;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::aws::retry::Schedule;
use crate::framework::Context;
use crate::kubernetes::{ClusterApi, KubernetesError, KubernetesErrorKind};
use crate::migration::facts::{NamespaceFacts, PodCredentials, Restart, WorkloadId};
use crate::migration::gather;
use crate::migration::steps::until_next_look;
use crate::provider::ProviderData;

use gate::Gate;
pub use gate::RestartGates;
use live::{Live, LivePod, Progress};
pub use stopped::{Cause, Stopped};

/// Key of the pod template's annotation that says what a workload was restarted for.
pub const RESTARTED_FOR: &str = "terraform-provider-podidentity/restarted-for";
/// Key of the pod template's annotation that `kubectl rollout restart` sets.
const RESTARTED_AT: &str = "kubectl.kubernetes.io/restartedAt";

/// The pauses between two looks at a rollout.
const LOOKS: Schedule = Schedule {
    first: Duration::from_millis(250),
    greatest: Duration::from_secs(5),
};
/// How often a restart is decided anew because somebody else wrote in between.
const CONFLICTS: u32 = 5;
/// How often a wait says what it waits for.
const PROGRESS: Duration = Duration::from_secs(30);

/// How workloads are restarted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Rollout {
    /// How long one workload may take at most until all its pods are ready.
    pub timeout: Duration,
    /// Time between the end of one restart and the begin of the next.
    pub pause: Duration,
    /// When everything has to be over, whatever the timeout of one workload leaves.
    pub deadline: Option<Instant>,
}

impl Default for Rollout {
    /// 10 minutes, and no pause.
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(600),
            pause: Duration::ZERO,
            deadline: None,
        }
    }
}

/// What became of the workloads of a service account, each list by kind and name.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Report {
    /// Those that were restarted, or whose restart was waited for, and whose pods are right now.
    pub restarted: Vec<WorkloadId>,
    /// Those whose pods were right already.
    pub already_right: Vec<WorkloadId>,
    /// Those that have pods which are not right, and that cannot be restarted.
    pub manual: Vec<Manual>,
}

/// A workload that cannot be restarted by a change of its template.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Manual {
    /// Which one.
    pub workload: WorkloadId,
    /// Why not, as a clause: `its update strategy is OnDelete`.
    pub why: String,
    /// Names of its pods that are not right.
    pub pods: Vec<String>,
}

/// What a pod has, as the end of a sentence: `pod web-1 has …`.
pub(crate) fn described(credentials: PodCredentials) -> &'static str {
    match credentials {
        PodCredentials::PodIdentity => "credentials from EKS Pod Identity",
        PodCredentials::WebIdentity => "those of IRSA",
        PodCredentials::Partly => "credentials from EKS Pod Identity in some containers only",
        PodCredentials::None => "no AWS credentials",
        PodCredentials::LeftOut => "containers that the webhook leaves out",
    }
}

/// A pod that does not have what it should.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Leftover {
    /// Its name.
    pub pod: String,
    /// What runs it.
    pub workload: WorkloadId,
    /// Where it gets credentials.
    pub credentials: PodCredentials,
    /// Why it has to be restarted by hand; `None` if a restart of the workload does it.
    pub manual: Option<String>,
}

/// The pods of a service account that do not have what they should, by workload and name. Pods that are being deleted, and
/// those that have ended, do not count.
#[must_use]
pub fn leftovers(
    facts: &NamespaceFacts,
    service_account: &str,
    wanted: PodCredentials,
) -> Vec<Leftover> {
    let mut found: Vec<_> = facts
        .pods
        .iter()
        .filter(|pod| pod.service_account == service_account && !pod.terminating)
        .filter(|pod| !pod.is_right(wanted))
        .map(|pod| Leftover {
            pod: pod.name.clone(),
            workload: pod.workload.clone(),
            credentials: pod.credentials,
            manual: manual_reason(facts, &pod.workload),
        })
        .collect();
    found.sort_by(|a, b| (&a.workload, &a.pod).cmp(&(&b.workload, &b.pod)));
    found
}

/// Why a workload has to be restarted by hand; `None` if it can be restarted by its template.
fn manual_reason(facts: &NamespaceFacts, id: &WorkloadId) -> Option<String> {
    let workload = facts.workloads.iter().find(|workload| workload.id == *id);
    match workload.map(|workload| &workload.restart) {
        Some(Restart::Rolling) if Live::knows(&id.kind) => None,
        Some(Restart::Manual(why)) => Some(why.clone()),
        _ if id.kind == "Pod" => Some("nothing would create it anew".to_owned()),
        _ => Some(format!("how a {} is restarted is not known", id.kind)),
    }
}

/// Restarts the workloads of a service account whose pods do not all have what is wanted, one at a time by kind and name,
/// and waits for each until it is complete and all its pods have it.
///
/// `marker` says what for. A workload whose template has it already is only waited for; if its pods are still wrong when
/// it is complete, it is restarted once more with `<marker>.2`. So a repeated run never restarts a workload twice for the
/// same thing, and never without end.
///
/// In a namespace one workload at a time is restarted, whoever asks for it. After one that failed none of other service
/// accounts is restarted in this process.
///
/// # Errors
/// See [`Cause`].
pub async fn restart(
    context: &Context<ProviderData>,
    target: Target<'_>,
    wanted: PodCredentials,
    marker: &str,
    rollout: &Rollout,
) -> Result<Report, Stopped> {
    restart_or_renew(context, target, wanted, marker, rollout, None).await
}

/// As [`restart`], of workloads with pods on Pod Identity whose credentials are those of former settings of the association:
/// pods that were there when it was changed, at `changed` in seconds since 1970. `marker` says which change; a workload that
/// has it in its template is not restarted for it again.
///
/// # Errors
/// See [`Cause`].
pub async fn renew(
    context: &Context<ProviderData>,
    target: Target<'_>,
    changed: i64,
    marker: &str,
    rollout: &Rollout,
) -> Result<Report, Stopped> {
    let wanted = PodCredentials::PodIdentity;
    restart_or_renew(context, target, wanted, marker, rollout, Some(changed)).await
}

async fn restart_or_renew(
    context: &Context<ProviderData>,
    target: Target<'_>,
    wanted: PodCredentials,
    marker: &str,
    rollout: &Rollout,
    changed: Option<i64>,
) -> Result<Report, Stopped> {
    let Target {
        cluster,
        namespace,
        service_account,
    } = target;
    let read = async {
        let api = context
            .provider
            .kubernetes_api(&context.cancel, cluster)
            .await?;
        let facts = gather::namespace_now(context, cluster, namespace).await?;
        Ok((api, facts))
    };
    let (api, facts) = read.await.map_err(|error| Stopped {
        report: Report::default(),
        untouched: Vec::new(),
        cause: Box::new(api_cause(None, error)),
    })?;
    let run = Run {
        cancel: &context.cancel,
        api: &api,
        gates: context.provider.restart_gates(),
        cluster,
        namespace,
        service_account,
        wanted,
        changed,
        markers: [marker.to_owned(), format!("{marker}.2")],
        rollout,
    };
    run.all(&facts).await
}

/// A service account of a cluster.
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    /// The cluster's name.
    pub cluster: &'a str,
    /// The namespace.
    pub namespace: &'a str,
    /// The service account's name.
    pub service_account: &'a str,
}

/// Everything that runs pods of a service account, by kind and name.
fn workloads(facts: &NamespaceFacts, service_account: &str) -> Vec<WorkloadId> {
    let templates = facts
        .workloads
        .iter()
        .filter(|workload| workload.service_account == service_account)
        .map(|workload| &workload.id);
    let pods = facts
        .pods
        .iter()
        .filter(|pod| pod.service_account == service_account && !pod.terminating)
        .map(|pod| &pod.workload);
    let mut ids: Vec<_> = templates.chain(pods).cloned().collect();
    ids.sort();
    ids.dedup();
    ids
}

enum Outcome {
    /// It was deleted meanwhile.
    Gone,
    AlreadyRight,
    Restarted,
    Manual(String),
}

struct Run<'a> {
    cancel: &'a CancellationToken,
    api: &'a ClusterApi,
    gates: &'a RestartGates,
    cluster: &'a str,
    namespace: &'a str,
    service_account: &'a str,
    wanted: PodCredentials,
    /// When credentials that pods had until then were outdated.
    changed: Option<i64>,
    /// For the first restart, and for the one after pods turned out wrong.
    markers: [String; 2],
    rollout: &'a Rollout,
}

/// What a look at a workload shows.
enum Seen {
    /// Nothing is to be done.
    Over(Outcome),
    /// Something is: it was marked for so many restarts, and has these pods that are not right.
    Open { marked: usize, wrong: Vec<LivePod> },
}

fn api_cause(workload: Option<&WorkloadId>, error: KubernetesError) -> Cause {
    let workload = workload.cloned();
    if error.is_cancelled() {
        Cause::Cancelled { workload }
    } else {
        Cause::Api { workload, error }
    }
}

impl Run<'_> {
    async fn all(self, facts: &NamespaceFacts) -> Result<Report, Stopped> {
        let mut report = Report::default();
        let ids = workloads(facts, self.service_account);
        let leftovers = leftovers(facts, self.service_account, self.wanted);
        for (index, id) in ids.iter().enumerate() {
            let outcome = match manual_reason(facts, id) {
                Some(why) => Ok(Outcome::Manual(why)),
                None => self.one(id).await,
            };
            match outcome {
                Ok(Outcome::Gone) => {}
                Ok(Outcome::AlreadyRight) => report.already_right.push(id.clone()),
                Ok(Outcome::Restarted) => report.restarted.push(id.clone()),
                Ok(Outcome::Manual(why)) => {
                    let of_it = leftovers.iter().filter(|leftover| leftover.workload == *id);
                    let pods: Vec<_> = of_it.map(|leftover| leftover.pod.clone()).collect();
                    if pods.is_empty() {
                        report.already_right.push(id.clone());
                    } else {
                        report.manual.push(Manual {
                            workload: id.clone(),
                            why,
                            pods,
                        });
                    }
                }
                Err(cause) => {
                    let touched = !matches!(cause, Cause::Held { .. } | Cause::OutOfTime { .. });
                    return Err(Stopped {
                        report,
                        untouched: ids[index + usize::from(touched)..].to_vec(),
                        cause: Box::new(cause),
                    });
                }
            }
        }
        Ok(report)
    }

    async fn one(&self, id: &WorkloadId) -> Result<Outcome, Cause> {
        // What needs nothing waits for nobody.
        if let Seen::Over(outcome) = self.see(id, 0, false, self.deadline()).await? {
            return Ok(outcome);
        }
        let mut gate = self.turn(id).await?;
        self.see_time(id, Duration::ZERO)?;
        let result = self.restart(id, &mut gate).await;
        if let Err(Cause::NotReady { .. } | Cause::StillWrong { .. }) = &result {
            gate.fail(self.service_account, id);
        }
        result
    }

    /// Waits until it is this workload's turn in the namespace. That may take as long as the restarts of others do, and as the
    /// operation may take.
    async fn turn(&self, id: &WorkloadId) -> Result<OwnedMutexGuard<Gate>, Cause> {
        let mut told = false;
        let entering = self.gates.enter(self.cluster, self.namespace);
        tokio::pin!(entering);
        loop {
            tokio::select! {
                biased;
                () = self.cancel.cancelled() => return Err(Cause::Cancelled { workload: None }),
                gate = &mut entering => return Ok(gate),
                () = self.end() => return Err(out_of_time(id)),
                () = tokio::time::sleep(PROGRESS), if !told => {
                    told = true;
                    tracing::info!(
                        namespace = self.namespace,
                        kind = id.kind,
                        name = id.name,
                        "waiting until no other workload of the namespace is being restarted"
                    );
                }
            }
        }
    }

    /// Restarts a workload as far as it needs it, and waits for it.
    async fn restart(&self, id: &WorkloadId, gate: &mut Gate) -> Result<Outcome, Cause> {
        let mut deadline = self.deadline();
        // How many of the restarts have been done, by whomever.
        let mut done = 0;
        let (mut patched, mut changed) = (false, false);
        let mut conflicts = 0;
        loop {
            let (marked, wrong) = match self.see(id, done, patched, deadline).await? {
                Seen::Over(outcome) => return Ok(outcome),
                Seen::Open { marked, wrong } => (marked, wrong),
            };
            done = marked;
            if done > 0 {
                let restarted = patched || !wrong.is_empty();
                let Some((live, waited)) = self.wait(id, deadline, patched, restarted).await?
                else {
                    return Ok(Outcome::Gone);
                };
                changed |= waited;
                let wrong = self
                    .steadily(id, true, deadline, || self.wrong_pods(&live, true))
                    .await?;
                if wrong.is_empty() {
                    return Ok(if changed {
                        gate.ended = Some(Instant::now());
                        Outcome::Restarted
                    } else {
                        Outcome::AlreadyRight
                    });
                }
                if done == self.markers.len() {
                    let pods = wrong
                        .into_iter()
                        .map(|pod| (pod.facts.name, pod.facts.credentials))
                        .collect();
                    return Err(Cause::StillWrong {
                        workload: id.clone(),
                        pods,
                    });
                }
            }
            if let Some(failed) = gate.closed_for(self.service_account) {
                return Err(Cause::Held {
                    workload: id.clone(),
                    failed: failed.workload.clone(),
                    service_account: failed.service_account.clone(),
                });
            }
            if let Some(ended) = gate.ended {
                let rest = (ended + self.rollout.pause).saturating_duration_since(Instant::now());
                self.see_time(id, rest)?;
                self.sleep(rest)
                    .await
                    .map_err(|()| Cause::Cancelled { workload: None })?;
            }
            if self.cancel.is_cancelled() {
                return Err(Cause::Cancelled { workload: None });
            }
            self.see_time(id, Duration::ZERO)?;
            tracing::info!(
                namespace = self.namespace,
                kind = id.kind,
                name = id.name,
                marker = self.markers[done],
                "restarting"
            );
            deadline = self.deadline();
            match self.patch(id, &self.markers[done]).await {
                Ok(true) => {
                    (patched, changed) = (true, true);
                    done += 1;
                }
                Ok(false) => return Ok(Outcome::Gone),
                Err(error) if error.is_conflict() && conflicts < CONFLICTS => {
                    tracing::info!(%error, "somebody else wrote in between; reading again");
                    self.sleep(LOOKS.jittered(conflicts))
                        .await
                        .map_err(|()| Cause::Cancelled { workload: None })?;
                    conflicts += 1;
                }
                Err(error) => return Err(api_cause(Some(id), error)),
            }
        }
    }

    /// Looks at a workload and its pods. `done` restarts are known to be done, even if somebody has taken the mark away, and
    /// `patched` says that one was by this run.
    async fn see(
        &self,
        id: &WorkloadId,
        done: usize,
        patched: bool,
        deadline: Instant,
    ) -> Result<Seen, Cause> {
        self.steadily(id, patched, deadline, || async {
            let Some(live) = self.get(id).await? else {
                return Ok(Seen::Over(Outcome::Gone));
            };
            if let Some(why) = live.manual(self.service_account) {
                return Ok(Seen::Over(Outcome::Manual(why)));
            }
            let marker = live.annotation(RESTARTED_FOR);
            let marked = self
                .markers
                .iter()
                .position(|m| Some(m.as_str()) == marker)
                .map_or(0, |position| position + 1)
                .max(done);
            let wrong = self.wrong_pods(&live, marked > 0).await?;
            // Marked and right, it is only waited for while pods are being replaced: what they are like later is not the
            // restart's doing.
            let is_over = !patched && wrong.is_empty() && (marked == 0 || !live.is_rolling());
            Ok(if is_over {
                Seen::Over(Outcome::AlreadyRight)
            } else {
                Seen::Open { marked, wrong }
            })
        })
        .await
    }

    /// When a workload that is looked at now has to be ready.
    fn deadline(&self) -> Instant {
        let deadline = Instant::now() + self.rollout.timeout;
        self.rollout
            .deadline
            .map_or(deadline, |end| end.min(deadline))
    }

    /// An error if the time for everything is over after a pause.
    fn see_time(&self, id: &WorkloadId, pause: Duration) -> Result<(), Cause> {
        match self.rollout.deadline {
            Some(end) if end <= Instant::now() + pause => Err(out_of_time(id)),
            _ => Ok(()),
        }
    }

    /// Returns when the time for everything is over.
    async fn end(&self) {
        match self.rollout.deadline {
            Some(end) => tokio::time::sleep_until(end).await,
            None => std::future::pending().await,
        }
    }

    /// Asks until the API answers, or the deadline has come. `under_way`: a restart is.
    async fn steadily<T, F: Future<Output = Result<T, KubernetesError>>>(
        &self,
        id: &WorkloadId,
        under_way: bool,
        deadline: Instant,
        ask: impl Fn() -> F,
    ) -> Result<T, Cause> {
        let cancelled = || Cause::Cancelled {
            workload: under_way.then(|| id.clone()),
        };
        for look in 0.. {
            let error = match ask().await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            if error.is_cancelled() {
                return Err(cancelled());
            }
            let pause = until_next_look(LOOKS.jittered(look), deadline);
            let Some(pause) = pause.filter(|_| is_passing(&error)) else {
                return Err(api_cause(Some(id), error));
            };
            tracing::info!(%error, "the workload could not be seen; looking again");
            self.sleep(pause).await.map_err(|()| cancelled())?;
        }
        unreachable!("the loop counts without end")
    }

    async fn get(&self, id: &WorkloadId) -> Result<Option<Live>, KubernetesError> {
        Live::get(self.cancel, self.api, self.namespace, id).await
    }

    /// `false`: it was deleted meanwhile.
    async fn patch(&self, id: &WorkloadId, marker: &str) -> Result<bool, KubernetesError> {
        // Nothing is left out of RFC 3339 for any date of this era.
        let now = OffsetDateTime::now_utc()
            .replace_nanosecond(0)
            .unwrap_or_else(|_| OffsetDateTime::now_utc())
            .format(&Rfc3339)
            .unwrap_or_default();
        let body = json!({"spec": {"template": {"metadata": {"annotations": {
            RESTARTED_FOR: marker,
            RESTARTED_AT: now,
        }}}}});
        match Live::patch(self.cancel, self.api, self.namespace, id, &body).await {
            Ok(()) => Ok(true),
            Err(error) if error.is_not_found() => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The pods that are not right. Those of a template that was `marked` are new, to the second.
    async fn wrong_pods(&self, live: &Live, marked: bool) -> Result<Vec<LivePod>, KubernetesError> {
        let pods = live.pods(self.cancel, self.api, self.namespace).await?;
        let outdated = |pod: &LivePod| {
            !marked
                && self
                    .changed
                    .is_some_and(|changed| pod.facts.is_outdated(changed))
        };
        let wrong = |pod: &LivePod| {
            !pod.facts.terminating && (!pod.facts.is_right(self.wanted) || outdated(pod))
        };
        Ok(pods.into_iter().filter(wrong).collect())
    }

    /// Waits until the rollout is complete; what it is like then, and whether there was anything to wait for. `None`: it was
    /// deleted meanwhile. Only of a rollout that this run began (`patched`) is it final that it made no progress in time: what
    /// kept an earlier one may be mended.
    async fn wait(
        &self,
        id: &WorkloadId,
        deadline: Instant,
        patched: bool,
        restarted: bool,
    ) -> Result<Option<(Live, bool)>, Cause> {
        let start = Instant::now();
        let mut told = start;
        let mut state = "its state could not be read".to_owned();
        for look in 0.. {
            let mut stuck = false;
            match self.get(id).await {
                Ok(None) => return Ok(None),
                Ok(Some(live)) => match live.progress() {
                    Progress::Complete => {
                        tracing::info!(
                            namespace = self.namespace,
                            kind = id.kind,
                            name = id.name,
                            "complete"
                        );
                        return Ok(Some((live, look > 0)));
                    }
                    Progress::Going(text) => state = text,
                    Progress::Stuck(text) => (state, stuck) = (text, patched),
                },
                Err(error) if is_passing(&error) => {
                    tracing::info!(%error, "the rollout could not be seen; looking again");
                }
                Err(error) => return Err(api_cause(Some(id), error)),
            }
            let now = Instant::now();
            let pause = until_next_look(LOOKS.jittered(look), deadline);
            let Some(pause) = pause.filter(|_| !stuck) else {
                let out_of_time = !stuck && self.rollout.deadline == Some(deadline);
                let pods = self.diagnose(id).await;
                return Err(Cause::NotReady {
                    workload: id.clone(),
                    progress: state,
                    pods,
                    waited: if stuck || out_of_time {
                        now - start
                    } else {
                        self.rollout.timeout
                    },
                    restarted,
                    out_of_time,
                });
            };
            if now - told >= PROGRESS {
                told = now;
                tracing::info!(
                    namespace = self.namespace,
                    kind = id.kind,
                    name = id.name,
                    "still waiting: {state}"
                );
            }
            self.sleep(pause).await.map_err(|()| Cause::Cancelled {
                workload: Some(id.clone()),
            })?;
        }
        unreachable!("the loop counts without end")
    }

    /// What is wrong with the pods of a workload, as far as that can be read.
    async fn diagnose(&self, id: &WorkloadId) -> Vec<String> {
        let pods = match self.get(id).await {
            Ok(Some(live)) => live.pods(self.cancel, self.api, self.namespace).await,
            Ok(None) => return Vec::new(),
            Err(error) => Err(error),
        };
        match pods {
            Ok(pods) => diagnosis::diagnose(&pods),
            Err(error) => vec![format!("its pods could not be read: {error}")],
        }
    }

    /// `Err`: cancelled.
    async fn sleep(&self, pause: Duration) -> Result<(), ()> {
        tokio::select! {
            biased;
            () = self.cancel.cancelled() => Err(()),
            () = tokio::time::sleep(pause) => Ok(()),
        }
    }
}

fn out_of_time(id: &WorkloadId) -> Cause {
    Cause::OutOfTime {
        workload: id.clone(),
    }
}

/// Whether the API may answer again in a moment.
fn is_passing(error: &KubernetesError) -> bool {
    matches!(
        error.kind(),
        KubernetesErrorKind::Throttled
            | KubernetesErrorKind::Unavailable
            | KubernetesErrorKind::Timeout
    )
}
