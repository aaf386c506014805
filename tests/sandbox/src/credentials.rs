//! The watcher over credentials: after every change of the state, does each pod that had AWS access still have it?
//!
//! A pod has a working path if an SDK in each of its containers would find credentials: static keys; a web identity, whose role still
//! trusts this cluster's issuer and the pod's subject; or a container credentials endpoint, with an association, an agent on the node, and
//! a role that lets Pod Identity in under the conditions it sets. What has worked once must go on working: a running pod, and a pod that
//! would be created now for a service account or workload whose pods have worked. What never worked is nobody's fault.

mod deletion;
pub(crate) mod path;

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::{Value, json};
use time::{Duration, OffsetDateTime};

use self::deletion::{Deletion, Excuse, templates, workload_of};
use self::path::{AssociationView, Path, World};
use crate::eks::cluster::{Cluster, ClusterKey};
use crate::iam::Iam;
use crate::kubernetes::kinds::built_in;
use crate::kubernetes::store::{Transition, timestamp};
use crate::kubernetes::webhook::{self, Circumstances};
use crate::kubernetes::{Belief, admission, controllers, selector};

/// What the watcher has seen so far.
#[derive(Clone, Debug, Default, Serialize)]
#[non_exhaustive]
pub struct CredentialReport {
    /// Changes of the state that were checked.
    pub transitions: u64,
    /// Those changes by what they were, such as `pod created`.
    pub by_kind: BTreeMap<String, u64>,
    /// Pods that were judged, running or merely possible, over all transitions.
    pub checks: u64,
    /// Pods that lost their path or came up without one.
    pub violations: Vec<CredentialViolation>,
    /// Times a pod lived on what the agent had cached, its association being deleted.
    pub covered_by_cache: u64,
    /// Times a pod could not help being sent to the agent in vain: it was on its way up when its association was deleted, or some API
    /// server did not know of that yet.
    pub unavoidable: u64,
    /// The pods there are now.
    pub pods: Vec<PodCredentials>,
}

/// A pod without a working path that should have one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct CredentialViolation {
    /// Number of the transition, counted from 1.
    pub transition: u64,
    /// What happened.
    pub after: String,
    /// When, RFC 3339.
    pub time: String,
    /// Name of the cluster.
    pub cluster: String,
    /// Namespace of the pod.
    pub namespace: String,
    /// Its service account.
    pub service_account: String,
    /// Name of a running pod, or `a new pod of KIND/NAME` for one that would be created now.
    pub pod: String,
    /// Why it has no credentials.
    pub reason: String,
}

/// How a pod that runs now gets its credentials.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct PodCredentials {
    /// Name of the cluster.
    pub cluster: String,
    /// Namespace of the pod.
    pub namespace: String,
    /// Name of the pod.
    pub pod: String,
    /// Its service account.
    pub service_account: String,
    /// `pod_identity`, `web_identity`, `static_keys`, or `none`.
    pub path: &'static str,
    /// Why it has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What excuses that for the time being: `agent_cache` or `unavoidable`. Such a pod has to be replaced.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub excuse: Option<&'static str>,
}

/// A pod's history: by cluster and uid.
type PodKey = (ClusterKey, String);
/// Cluster, namespace, service account, and the workload as `Kind/name`, or `ServiceAccount` for any pod.
type NewPodKey = (ClusterKey, String, String, String);

#[derive(Clone, Debug, Default)]
struct History {
    worked: bool,
    /// Whether it has been ready with credentials of the agent, which has them since.
    fetched: bool,
    /// The reason that was reported, until it works again.
    reported: Option<String>,
    excuse: Option<Excuse>,
    /// Since when the pod lives on what the agent cached.
    cached_since: Option<OffsetDateTime>,
}

/// What AWS looks like; a difference is a transition.
#[derive(Clone, Debug, Default, PartialEq)]
struct Outside {
    /// ARN to unique id and time of the last change of the trust policy.
    roles: BTreeMap<String, (String, i128)>,
    providers: BTreeSet<String>,
    /// Cluster, namespace and service account to the association.
    associations: BTreeMap<(ClusterKey, String, String), AssociationView>,
    /// Cluster to issuer, Auto Mode, agent and Fargate profiles.
    clusters: BTreeMap<ClusterKey, (String, bool, Option<bool>, Vec<String>)>,
}

/// The watcher.
#[derive(Debug)]
pub(crate) struct Watcher {
    report: CredentialReport,
    outside: Outside,
    /// Associations that are gone and have not come back.
    deleted: BTreeMap<(ClusterKey, String, String), Deletion>,
    /// What API servers believed of service accounts when those were last judged, where that changes by itself.
    beliefs: BTreeMap<(ClusterKey, String, String), Vec<Belief>>,
    /// Versions of the trust policies that STS saw when it was last looked.
    seen_trusts: BTreeMap<String, i128>,
    sts_lag: Duration,
    pods: BTreeMap<PodKey, History>,
    new_pods: BTreeMap<NewPodKey, History>,
    /// Service accounts that a test has exempted.
    exempt: BTreeSet<(String, String, String)>,
    /// How long a pod may live on what the agent has cached: credentials are renewed after three hours.
    pub(crate) cache: Duration,
    /// How long EKS Auth goes on to serve an association that is deleted.
    pub(crate) auth_delay: Duration,
}

impl Default for Watcher {
    fn default() -> Self {
        Self {
            report: CredentialReport::default(),
            outside: Outside::default(),
            deleted: BTreeMap::new(),
            beliefs: BTreeMap::new(),
            seen_trusts: BTreeMap::new(),
            sts_lag: Duration::ZERO,
            pods: BTreeMap::new(),
            new_pods: BTreeMap::new(),
            exempt: BTreeSet::new(),
            cache: Duration::hours(3),
            auth_delay: Duration::ZERO,
        }
    }
}

/// Which service accounts a transition concerns.
enum Affected {
    All,
    Role(String),
    Account(ClusterKey, String, String),
}

fn account_of(pod: &Value) -> &str {
    pod["spec"]["serviceAccountName"]
        .as_str()
        .unwrap_or("default")
}

/// Whether a pod runs. One that is ending does: it may need its credentials to the last.
fn is_running(pod: &Value) -> bool {
    !["Succeeded", "Failed"].contains(&pod["status"]["phase"].as_str().unwrap_or_default())
}

fn outside(iam: &BTreeMap<String, Iam>, clusters: &BTreeMap<ClusterKey, Cluster>) -> Outside {
    let mut outside = Outside::default();
    for account in iam.values() {
        outside
            .roles
            .extend(account.role_versions().map(|(arn, id, changed)| {
                (
                    arn.to_owned(),
                    (id.to_owned(), changed.unix_timestamp_nanos()),
                )
            }));
        outside
            .providers
            .extend(account.provider_arns().map(str::to_owned));
    }
    for (key, cluster) in clusters {
        for association in cluster.associations.values() {
            let at = (
                key.clone(),
                association.namespace.clone(),
                association.service_account.clone(),
            );
            outside
                .associations
                .insert(at, AssociationView::of(association));
        }
        let profiles = cluster.fargate_profiles.keys().cloned().collect();
        outside.clusters.insert(
            key.clone(),
            (
                cluster.issuer.clone(),
                cluster.auto_mode,
                cluster.agent_works(),
                profiles,
            ),
        );
    }
    outside
}

impl Watcher {
    /// How late STS sees roles and trust policies.
    pub(crate) fn set_sts_lag(&mut self, ms: u64) {
        self.sts_lag = Duration::milliseconds(i64::try_from(ms).unwrap_or(i64::MAX));
    }

    fn seen(&self, now: OffsetDateTime) -> Option<OffsetDateTime> {
        (!self.sts_lag.is_zero()).then(|| now.saturating_sub(self.sts_lag))
    }

    /// What verdicts on a cluster are based on.
    pub(crate) fn world<'w>(
        &self,
        iam: &'w BTreeMap<String, Iam>,
        cluster: &'w Cluster,
        now: OffsetDateTime,
    ) -> World<'w> {
        World {
            iam,
            cluster,
            now,
            seen: self.seen(now),
        }
    }

    /// Exempts a service account, or no longer; then what is broken is taken as it is.
    pub(crate) fn exempt(&mut self, cluster: &str, namespace: &str, account: &str, exempt: bool) {
        let key = (cluster.to_owned(), namespace.to_owned(), account.to_owned());
        if exempt {
            self.exempt.insert(key);
        } else {
            self.exempt.remove(&key);
        }
    }

    /// Takes the state as it is for the start: nothing in it is a transition, what works is expected to go on working.
    pub(crate) fn baseline(
        &mut self,
        iam: &BTreeMap<String, Iam>,
        clusters: &mut BTreeMap<ClusterKey, Cluster>,
        now: OffsetDateTime,
    ) {
        for cluster in clusters.values_mut() {
            cluster.kubernetes.store.take_transitions();
        }
        self.outside = outside(iam, clusters);
        self.deleted.clear();
        self.beliefs.clear();
        self.seen_trusts.clear();
        self.judge(iam, clusters, &Affected::All, None, now);
    }

    /// Judges the changes outside Kubernetes since the last look.
    pub(crate) fn look_outside(
        &mut self,
        iam: &BTreeMap<String, Iam>,
        clusters: &BTreeMap<ClusterKey, Cluster>,
        now: OffsetDateTime,
    ) {
        let new = outside(iam, clusters);
        if new == self.outside {
            return;
        }
        let old = std::mem::replace(&mut self.outside, new.clone());
        let mut changes: Vec<(String, Affected)> = Vec::new();
        for (at, association) in &new.associations {
            if old.associations.get(at) != Some(association) {
                let what = if old.associations.contains_key(at) {
                    "changed"
                } else {
                    "created"
                };
                self.deleted.remove(at);
                let (key, namespace, account) = at.clone();
                changes.push((
                    format!("association {what}"),
                    Affected::Account(key, namespace, account),
                ));
            }
        }
        for (at, association) in &old.associations {
            if !new.associations.contains_key(at) {
                let (key, namespace, account) = at.clone();
                if let Some(cluster) = clusters.get(&key) {
                    let deletion = Deletion::new(association, cluster, &namespace, &account, now);
                    self.deleted.insert(at.clone(), deletion);
                }
                changes.push((
                    "association deleted".into(),
                    Affected::Account(key, namespace, account),
                ));
            }
        }
        let arns: BTreeSet<&String> = old.roles.keys().chain(new.roles.keys()).collect();
        for arn in arns {
            let what = match (old.roles.get(arn), new.roles.get(arn)) {
                (None, _) => "role created",
                (_, None) => "role deleted",
                (Some(a), Some(b)) if a != b => "trust policy changed",
                _ => continue,
            };
            changes.push((what.into(), Affected::Role(arn.clone())));
        }
        if old.providers != new.providers {
            changes.push(("OIDC providers changed".into(), Affected::All));
        }
        if old.clusters != new.clusters {
            changes.push(("cluster or agent changed".into(), Affected::All));
        }
        for (what, affected) in changes {
            self.count(&what);
            self.judge(iam, clusters, &affected, Some(&what), now);
        }
    }

    /// Judges what has happened inside Kubernetes.
    pub(crate) fn look_inside(
        &mut self,
        iam: &BTreeMap<String, Iam>,
        clusters: &BTreeMap<ClusterKey, Cluster>,
        key: &ClusterKey,
        transitions: &[Transition],
        now: OffsetDateTime,
    ) {
        let Some(cluster) = clusters.get(key) else {
            return;
        };
        let mut accounts: BTreeSet<(String, String)> = BTreeSet::new();
        let mut everything = false;
        let mut last = String::new();
        for transition in transitions {
            let object = &transition.object;
            let what = match transition.kind.plural {
                "pods" => format!("pod {}", transition.what),
                "serviceaccounts" => format!("service account {}", transition.what),
                "nodes" => format!("node {}", transition.what),
                "mutatingwebhookconfigurations" => "webhook changed".into(),
                _ => continue,
            };
            self.count(&what);
            let namespace = transition.namespace.clone();
            match transition.kind.plural {
                "pods" => {
                    let uid = object["metadata"]["uid"].as_str().unwrap_or_default();
                    let at = (key.clone(), uid.to_owned());
                    if object["metadata"]["labels"]["app.kubernetes.io/name"] == controllers::AGENT
                    {
                        everything = true;
                    }
                    if transition.what == "deleted" {
                        self.pods.remove(&at);
                        continue;
                    }
                    let world = self.world(iam, cluster, now);
                    self.judge_pod(&world, object, Some(&what));
                    let first = transition.what == "created";
                    if first {
                        accounts.insert((namespace, account_of(object).to_owned()));
                    }
                }
                "serviceaccounts" => {
                    if transition.what == "deleted" {
                        self.new_pods.retain(|(c, ns, account, _), _| {
                            (c, ns, account) != (key, &namespace, &transition.name)
                        });
                    } else {
                        accounts.insert((namespace, transition.name.clone()));
                    }
                }
                _ => everything = true,
            }
            last = what;
        }
        if everything {
            self.judge(iam, clusters, &Affected::All, Some(&last), now);
        } else {
            for (namespace, account) in accounts {
                let affected = Affected::Account(key.clone(), namespace, account);
                self.judge(iam, clusters, &affected, Some(&last), now);
            }
        }
    }

    /// What has been seen so far.
    pub(crate) fn report(
        &self,
        iam: &BTreeMap<String, Iam>,
        clusters: &BTreeMap<ClusterKey, Cluster>,
        now: OffsetDateTime,
    ) -> CredentialReport {
        let mut report = self.report.clone();
        for (key, cluster) in clusters {
            let world = self.world(iam, cluster, now);
            for pod in cluster.kubernetes.store.items(built_in("pods")) {
                if !is_running(pod) || pod["metadata"]["deletionTimestamp"].is_string() {
                    continue;
                }
                let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
                let (path, reason) = match world.path(pod, &self.association(cluster, pod, now)) {
                    Some(Ok(path)) => (path.name(), None),
                    Some(Err(reason)) => ("none", Some(reason)),
                    None => continue,
                };
                let at = (key.clone(), text(&pod["metadata"]["uid"]));
                let excuse = self.pods.get(&at).and_then(|history| history.excuse);
                report.pods.push(PodCredentials {
                    excuse: excuse.filter(|_| reason.is_some()).map(Excuse::name),
                    cluster: key.name.clone(),
                    namespace: text(&pod["metadata"]["namespace"]),
                    pod: text(&pod["metadata"]["name"]),
                    service_account: account_of(pod).to_owned(),
                    path,
                    reason,
                });
            }
        }
        report
    }

    fn count(&mut self, what: &str) {
        self.report.transitions += 1;
        *self.report.by_kind.entry(what.to_owned()).or_default() += 1;
    }

    /// The association of a service account as EKS Auth sees it. What it is told is not what webhooks are told: while some of them
    /// still send pods to the agent, the agent may find no association any more.
    pub(crate) fn association_in_effect(
        &self,
        cluster: &Cluster,
        namespace: &str,
        account: &str,
        now: OffsetDateTime,
    ) -> Option<AssociationView> {
        let found = cluster.association_of(namespace, account);
        found.map(AssociationView::of).or_else(|| {
            let at = (
                cluster.key.clone(),
                namespace.to_owned(),
                account.to_owned(),
            );
            let deletion = self.deleted.get(&at)?;
            let served = deletion.is_served(self.auth_delay, now);
            served.then(|| deletion.association.clone())
        })
    }

    fn association(
        &self,
        cluster: &Cluster,
        pod: &Value,
        now: OffsetDateTime,
    ) -> Option<AssociationView> {
        let namespace = pod["metadata"]["namespace"].as_str().unwrap_or_default();
        self.association_in_effect(cluster, namespace, account_of(pod), now)
    }

    fn is_exempt(&self, key: &ClusterKey, namespace: &str, account: &str) -> bool {
        let at = (key.name.clone(), namespace.to_owned(), account.to_owned());
        !self.exempt.is_empty() && self.exempt.contains(&at)
    }

    /// Judges every pod a transition concerns; `after` is `None` for the baseline.
    fn judge(
        &mut self,
        iam: &BTreeMap<String, Iam>,
        clusters: &BTreeMap<ClusterKey, Cluster>,
        affected: &Affected,
        after: Option<&str>,
        now: OffsetDateTime,
    ) {
        for (key, cluster) in clusters {
            let world = self.world(iam, cluster, now);
            let store = &cluster.kubernetes.store;
            let users = match affected {
                Affected::Role(arn) => users_of_role(cluster, arn),
                _ => BTreeSet::new(),
            };
            let concerned = |account: &Value| match affected {
                Affected::All => true,
                Affected::Account(c, namespace, name) => {
                    c == key
                        && account["metadata"]["namespace"] == **namespace
                        && account["metadata"]["name"] == **name
                }
                Affected::Role(arn) => {
                    let text =
                        |field: &str| account["metadata"][field].as_str().unwrap_or_default();
                    account["metadata"]["annotations"][webhook::ROLE_ARN] == **arn
                        || users.contains(&(text("namespace"), text("name")))
                        || cluster
                            .association_of(text("namespace"), text("name"))
                            .is_some_and(|a| {
                                a.role_arn == *arn || a.target_role_arn.as_ref() == Some(arn)
                            })
                }
            };
            let accounts: Vec<&Value> = store
                .items(built_in("serviceaccounts"))
                .filter(|a| concerned(a))
                .collect();
            if accounts.is_empty() {
                continue;
            }
            let names: BTreeSet<(&str, &str)> = accounts
                .iter()
                .filter_map(|a| {
                    let metadata = &a["metadata"];
                    Some((metadata["namespace"].as_str()?, metadata["name"].as_str()?))
                })
                .collect();
            for pod in store.items(built_in("pods")) {
                let namespace = pod["metadata"]["namespace"].as_str().unwrap_or_default();
                if names.contains(&(namespace, account_of(pod))) {
                    self.judge_pod(&world, pod, after);
                }
            }
            let templates = templates(cluster);
            for account in accounts {
                self.judge_new_pods(&world, account, &templates, after);
            }
        }
    }

    fn judge_pod(&mut self, world: &World<'_>, pod: &Value, after: Option<&str>) {
        if !is_running(pod) {
            return;
        }
        let key = &world.cluster.key;
        let association = self.association(world.cluster, pod, world.now);
        let in_vain = association.is_none() && Path::of_environment(pod) == Some(Path::PodIdentity);
        let Some(verdict) = world.path(pod, &association) else {
            return;
        };
        self.report.checks += 1;
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let (namespace, uid) = (
            text(&pod["metadata"]["namespace"]),
            text(&pod["metadata"]["uid"]),
        );
        let account = account_of(pod).to_owned();
        let expected = {
            let workload = workload_of(world.cluster, pod);
            let at = |what: &str| {
                (
                    key.clone(),
                    namespace.clone(),
                    account.clone(),
                    what.to_owned(),
                )
            };
            let worked = |at: NewPodKey| self.new_pods.get(&at).is_some_and(|h| h.worked);
            match workload {
                Some(workload) => worked(at(&workload)),
                None => worked(at("ServiceAccount")),
            }
        };
        let exempt = self.is_exempt(key, &namespace, &account);
        let at = (key.clone(), namespace.clone(), account.clone());
        let deletion = self.deleted.get(&at);
        let history = self.pods.entry((key.clone(), uid)).or_default();
        let reason = match verdict {
            Ok(path) => {
                let fetches = path == Path::PodIdentity && controllers::is_ready(pod);
                *history = History {
                    worked: true,
                    fetched: history.fetched || fetches,
                    ..History::default()
                };
                return;
            }
            Err(reason) => reason,
        };
        let before = history.excuse.take();
        if exempt || !(history.worked || expected) {
            if exempt {
                history.reported = Some(reason);
            }
            return;
        }
        // Only the loss of the association leaves with the agent what it has fetched.
        if in_vain && history.fetched {
            if history.cached_since.is_none() {
                history.cached_since = Some(world.now);
                self.report.covered_by_cache += 1;
            }
            let since = history.cached_since.unwrap_or(world.now);
            if world.now - since < self.cache {
                history.excuse = Some(Excuse::AgentCache);
                return;
            }
        } else if in_vain
            && deletion.is_some_and(|deletion| {
                history.worked || !deletion.was_rolled_since(world.cluster, pod)
            })
        {
            history.excuse = Some(Excuse::Unavoidable);
            if before.is_none() {
                self.report.unavoidable += 1;
            }
            return;
        }
        if after.is_none() || history.reported.as_ref() == Some(&reason) {
            return;
        }
        history.reported = Some(reason.clone());
        let name = text(&pod["metadata"]["name"]);
        self.violation(world, after, (namespace, account, name), reason);
    }

    fn judge_new_pods(
        &mut self,
        world: &World<'_>,
        account: &Value,
        templates: &[(String, String, Value)],
        after: Option<&str>,
    ) {
        let text = |field: &str| account["metadata"][field].as_str().unwrap_or_default();
        let (namespace, name) = (text("namespace"), text("name"));
        let key = &world.cluster.key;
        let any =
            json!({"metadata": {}, "spec": {"containers": [{"name": "any", "image": "any"}]}});
        let own = templates
            .iter()
            .filter(|(ns, _, template)| {
                ns == namespace && template["spec"]["serviceAccountName"] == name
            })
            .map(|(_, workload, template)| (workload.as_str(), template));
        let (beliefs, changing) = world.cluster.kubernetes.beliefs(account, world.now);
        let at = (key.clone(), namespace.to_owned(), name.to_owned());
        if changing {
            self.beliefs.insert(at, beliefs.clone());
        } else {
            self.beliefs.remove(&at);
        }
        let injects = |b: &Belief| b.associated || b.annotations[webhook::ROLE_ARN].is_string();
        let interesting = beliefs.iter().any(injects) || {
            let mut at = (
                key.clone(),
                namespace.to_owned(),
                name.to_owned(),
                String::new(),
            );
            at.3 = "ServiceAccount".into();
            self.new_pods.get(&at).is_some_and(|h| h.worked)
        };
        if !interesting {
            return;
        }
        for (workload, template) in std::iter::once(("ServiceAccount", &any)).chain(own) {
            let mut verdict = None;
            for belief in &beliefs {
                let mut judged = self.judge_new_pod(world, account, template, belief);
                // That a webhook has not heard of a deletion yet cannot be helped; if a pod comes up so, it is judged then.
                let late =
                    belief.associated && world.cluster.association_of(namespace, name).is_none();
                if late && matches!(judged, Some(Err(_))) {
                    judged = None;
                }
                verdict = match (verdict, judged) {
                    (Some(Err(reason)), _) => Some(Err(reason)),
                    (kept, None) => kept,
                    (_, judged) => judged,
                };
            }
            let Some(verdict) = verdict else {
                continue;
            };
            self.report.checks += 1;
            let at = (
                key.clone(),
                namespace.to_owned(),
                name.to_owned(),
                workload.to_owned(),
            );
            let history = self.new_pods.entry(at).or_default();
            match verdict {
                Ok(_) => {
                    *history = History {
                        worked: true,
                        ..History::default()
                    };
                }
                Err(reason) => {
                    let report = history.worked
                        && after.is_some()
                        && history.reported.as_ref() != Some(&reason);
                    history.reported = Some(reason.clone());
                    if report && !self.is_exempt(key, namespace, name) {
                        let pod = format!("a new pod of {workload}");
                        let who = (namespace.to_owned(), name.to_owned(), pod);
                        self.violation(world, after, who, reason);
                    }
                }
            }
        }
    }

    /// The verdict on the pod that a template would become now, on every node it may run on.
    fn judge_new_pod(
        &self,
        world: &World<'_>,
        account: &Value,
        template: &Value,
        belief: &Belief,
    ) -> Option<Result<Path, String>> {
        let cluster = world.cluster;
        let k = &cluster.kubernetes;
        let mut pod = json!({"metadata": template["metadata"], "spec": template["spec"]});
        if !pod["metadata"].is_object() {
            pod["metadata"] = json!({});
        }
        pod["metadata"]["namespace"] = account["metadata"]["namespace"].clone();
        pod["spec"]["serviceAccountName"] = account["metadata"]["name"].clone();
        let configured = k
            .store
            .items(built_in("mutatingwebhookconfigurations"))
            .flat_map(|c| c["webhooks"].as_array().into_iter().flatten())
            .any(|w| {
                w["name"] == "iam-for-pods.amazonaws.com"
                    && selector::matches(&w["objectSelector"], &pod["metadata"]["labels"])
            });
        if configured && !k.webhook.settings.down {
            webhook::mutate(
                &mut pod,
                &Circumstances {
                    annotations: &belief.annotations,
                    associated: belief.associated,
                    region: &cluster.key.region,
                    regional_sts: true,
                    random: 0,
                },
            );
        }
        let namespace = account["metadata"]["namespace"]
            .as_str()
            .unwrap_or_default();
        let around = cluster.surroundings();
        let labels = pod["metadata"]["labels"].clone();
        let fargate = admission::fargate_profile(&around, namespace, &labels).is_some();
        let association = self.association(cluster, &pod, world.now);
        world.path_anywhere(&pod, &association, fargate)
    }

    fn violation(
        &mut self,
        world: &World<'_>,
        after: Option<&str>,
        (namespace, service_account, pod): (String, String, String),
        reason: String,
    ) {
        self.report.violations.push(CredentialViolation {
            transition: self.report.transitions,
            after: after.unwrap_or_default().into(),
            time: timestamp(world.now),
            cluster: world.cluster.key.name.clone(),
            namespace,
            service_account,
            pod,
            reason,
        });
    }

    /// Looks again at what changes as time passes or others are told: pods whose cached credentials may have run out, accounts of which
    /// EKS Auth or a webhook believes something else than before, and roles whose trust policy has reached STS.
    pub(crate) fn expire(
        &mut self,
        iam: &BTreeMap<String, Iam>,
        clusters: &BTreeMap<ClusterKey, Cluster>,
        now: OffsetDateTime,
    ) {
        self.look_at_trusts(iam, clusters, now);
        if self.deleted.is_empty() && self.beliefs.is_empty() && self.report.covered_by_cache == 0 {
            return;
        }
        let cache = self.cache;
        let due = |h: &History| {
            h.reported.is_none() && h.cached_since.is_some_and(|since| now - since >= cache)
        };
        let mut accounts: BTreeSet<(ClusterKey, String, String)> = BTreeSet::new();
        for (key, uid) in self.pods.iter().filter(|(_, h)| due(h)).map(|(at, _)| at) {
            let pods = clusters
                .get(key)
                .into_iter()
                .flat_map(|c| c.kubernetes.store.items(built_in("pods")));
            for pod in pods.filter(|p| p["metadata"]["uid"] == **uid) {
                let namespace = pod["metadata"]["namespace"].as_str().unwrap_or_default();
                accounts.insert((key.clone(), namespace.into(), account_of(pod).into()));
            }
        }
        for (at, deletion) in &mut self.deleted {
            if !deletion.settled && !deletion.is_served(self.auth_delay, now) {
                deletion.settled = true;
                accounts.insert(at.clone());
            }
        }
        for (at, believed) in &self.beliefs {
            let account = clusters.get(&at.0).and_then(|cluster| {
                let store = &cluster.kubernetes.store;
                let account = store.find(built_in("serviceaccounts"), &at.1, &at.2)?;
                Some(cluster.kubernetes.beliefs(account, now))
            });
            if account.is_none_or(|(beliefs, changing)| !changing || beliefs != *believed) {
                accounts.insert(at.clone());
            }
        }
        self.beliefs.retain(|at, _| !accounts.contains(at));
        for (key, namespace, account) in accounts {
            let affected = Affected::Account(key, namespace, account);
            self.judge(iam, clusters, &affected, Some("time passed"), now);
        }
    }

    /// Judges those whose role's trust policy looks different to STS than at the last look.
    fn look_at_trusts(
        &mut self,
        iam: &BTreeMap<String, Iam>,
        clusters: &BTreeMap<ClusterKey, Cluster>,
        now: OffsetDateTime,
    ) {
        let at = self.seen(now);
        if at.is_none() && self.seen_trusts.is_empty() {
            return;
        }
        let versions = iam.values().flat_map(|account| account.versions_at(at));
        let seen: BTreeMap<String, i128> = versions.map(|(a, v)| (a.to_owned(), v)).collect();
        let changed: Vec<String> = seen
            .iter()
            .filter(|(arn, version)| self.seen_trusts.get(*arn).is_some_and(|v| v != *version))
            .map(|(arn, _)| arn.clone())
            .collect();
        self.seen_trusts = if at.is_some() { seen } else { BTreeMap::new() };
        for arn in changed {
            self.judge(
                iam,
                clusters,
                &Affected::Role(arn),
                Some("time passed"),
                now,
            );
        }
    }
}

/// Service accounts with pods whose web identity is for a role, whatever the annotation says now.
fn users_of_role<'c>(cluster: &'c Cluster, arn: &str) -> BTreeSet<(&'c str, &'c str)> {
    let pods = cluster.kubernetes.store.items(built_in("pods"));
    let uses = |pod: &&Value| {
        let containers = pod["spec"]["containers"].as_array();
        containers.into_iter().flatten().any(|container| {
            let env = container["env"].as_array();
            let mut env = env.into_iter().flatten();
            env.any(|e| e["name"] == "AWS_ROLE_ARN" && e["value"] == arn)
        })
    };
    pods.filter(uses)
        .map(|pod| {
            let namespace = pod["metadata"]["namespace"].as_str().unwrap_or_default();
            (namespace, account_of(pod))
        })
        .collect()
}

#[cfg(test)]
mod tests;
