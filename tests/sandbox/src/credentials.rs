//! The watcher over credentials: after every change of the state, does each pod that had AWS access still have it?
//!
//! A pod has a working path if an SDK in each of its containers would find credentials: static keys; a web identity, whose role still
//! trusts this cluster's issuer and the pod's subject; or a container credentials endpoint, with an association, an agent on the node, and
//! a role that lets Pod Identity in under the conditions it sets. What has worked once must go on working: a running pod, and a pod that
//! would be created now for a service account or workload whose pods have worked. What never worked is nobody's fault.

pub(crate) mod path;

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::{Value, json};
use time::{Duration, OffsetDateTime};

use self::path::{AssociationView, Path, World};
use crate::eks::cluster::{Cluster, ClusterKey};
use crate::iam::Iam;
use crate::kubernetes::kinds::built_in;
use crate::kubernetes::store::{Transition, timestamp};
use crate::kubernetes::webhook::{self, Circumstances};
use crate::kubernetes::{admission, controllers, selector};
use crate::trust;

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
}

/// A pod's history: by cluster and uid.
type PodKey = (ClusterKey, String);
/// Cluster, namespace, service account, and the workload as `Kind/name`, or `ServiceAccount` for any pod.
type NewPodKey = (ClusterKey, String, String, String);

#[derive(Clone, Debug, Default)]
struct History {
    worked: bool,
    /// The reason that was reported, until it works again.
    reported: Option<String>,
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
    /// Associations that are gone, for as long as some API server does not know it.
    deleted: BTreeMap<(ClusterKey, String, String), AssociationView>,
    pods: BTreeMap<PodKey, History>,
    new_pods: BTreeMap<NewPodKey, History>,
    /// Service accounts that a test has exempted.
    exempt: BTreeSet<(String, String, String)>,
    /// How long a pod may live on what the agent has cached: credentials are renewed after three hours.
    pub(crate) cache: Duration,
}

impl Default for Watcher {
    fn default() -> Self {
        Self {
            report: CredentialReport::default(),
            outside: Outside::default(),
            deleted: BTreeMap::new(),
            pods: BTreeMap::new(),
            new_pods: BTreeMap::new(),
            exempt: BTreeSet::new(),
            cache: Duration::hours(3),
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

fn is_running(pod: &Value) -> bool {
    !["Succeeded", "Failed"].contains(&pod["status"]["phase"].as_str().unwrap_or_default())
        && pod["metadata"]["deletionTimestamp"].is_null()
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
    /// Exempts a service account, or no longer.
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
                self.deleted.insert(at.clone(), association.clone());
                let (key, namespace, account) = at.clone();
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
                    let world = World { iam, cluster, now };
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
            let world = World { iam, cluster, now };
            for pod in cluster.kubernetes.store.items(built_in("pods")) {
                if !is_running(pod) {
                    continue;
                }
                let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
                let (path, reason) = match world.path(pod, &self.association(cluster, pod, now)) {
                    Some(Ok(path)) => (path.name(), None),
                    Some(Err(reason)) => ("none", Some(reason)),
                    None => continue,
                };
                report.pods.push(PodCredentials {
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

    /// The association of a service account as EKS Auth sees it: one that is deleted counts until every webhook knows, as both are told
    /// by the same change.
    pub(crate) fn association_in_effect(
        &self,
        cluster: &Cluster,
        namespace: &str,
        account: &str,
        now: OffsetDateTime,
    ) -> Option<AssociationView> {
        let found = cluster.association_of(namespace, account);
        found.map(AssociationView::of).or_else(|| {
            let (namespace, account) = (namespace.to_owned(), account.to_owned());
            let who = (namespace.clone(), account.clone());
            let at = (cluster.key.clone(), namespace, account);
            let deleted = self.deleted.get(&at)?;
            let (known, _) = cluster.kubernetes.webhook.views(&who, now);
            known.then(|| deleted.clone())
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
            let world = World { iam, cluster, now };
            let store = &cluster.kubernetes.store;
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
        let history = self.pods.entry((key.clone(), uid)).or_default();
        let Err(reason) = verdict else {
            *history = History {
                worked: true,
                ..History::default()
            };
            return;
        };
        if exempt || !(history.worked || expected) {
            return;
        }
        // Only what the agent has fetched for this pod can be cached, and only the loss of the association leaves it there.
        if history.worked
            && association.is_none()
            && Path::of_environment(pod) == Some(Path::PodIdentity)
        {
            if history.cached_since.is_none() {
                history.cached_since = Some(world.now);
                self.report.covered_by_cache += 1;
            }
            let since = history.cached_since.unwrap_or(world.now);
            if world.now - since < self.cache {
                return;
            }
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
        let annotated = account["metadata"]["annotations"][webhook::ROLE_ARN].is_string();
        let key = &world.cluster.key;
        let any =
            json!({"metadata": {}, "spec": {"containers": [{"name": "any", "image": "any"}]}});
        let own = templates
            .iter()
            .filter(|(ns, _, template)| {
                ns == namespace && template["spec"]["serviceAccountName"] == name
            })
            .map(|(_, workload, template)| (workload.as_str(), template));
        let known = (namespace.to_owned(), name.to_owned());
        let (associated, not) = world.cluster.kubernetes.webhook.views(&known, world.now);
        let interesting = annotated || associated || {
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
            for view in [(associated, true), (not, false)]
                .into_iter()
                .filter_map(|(exists, view)| exists.then_some(view))
            {
                let judged = self.judge_new_pod(world, account, template, view);
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
        associated: bool,
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
                    annotations: &account["metadata"]["annotations"],
                    associated,
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
        let association = self.association(cluster, &pod, world.now).filter(|_| {
            associated
                || cluster
                    .association_of(namespace, account_of(&pod))
                    .is_some()
        });
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

    /// Looks again at pods whose cached credentials may have run out, and at accounts whose association has ceased to be in effect.
    pub(crate) fn expire(
        &mut self,
        iam: &BTreeMap<String, Iam>,
        clusters: &BTreeMap<ClusterKey, Cluster>,
        now: OffsetDateTime,
    ) {
        if self.deleted.is_empty() && self.report.covered_by_cache == 0 {
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
        let forgotten: Vec<(ClusterKey, String, String)> = self
            .deleted
            .keys()
            .filter(|(key, namespace, account)| {
                clusters.get(key).is_none_or(|c| {
                    let at = (namespace.clone(), account.clone());
                    !c.kubernetes.webhook.views(&at, now).0
                })
            })
            .cloned()
            .collect();
        for at in &forgotten {
            self.deleted.remove(at);
        }
        accounts.extend(forgotten);
        for (key, namespace, account) in accounts {
            let affected = Affected::Account(key, namespace, account);
            self.judge(iam, clusters, &affected, Some("time passed"), now);
        }
    }
}

/// Kind and name of what made a pod; `None` for one of its own.
fn workload_of(cluster: &Cluster, pod: &Value) -> Option<String> {
    let owner = controllers::controller(pod)?;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let (kind, name) = (text(&owner["kind"]), text(&owner["name"]));
    if kind == "ReplicaSet" {
        let namespace = pod["metadata"]["namespace"].as_str().unwrap_or_default();
        let store = &cluster.kubernetes.store;
        let set = store.find(built_in("replicasets"), namespace, &name);
        if let Some(owner) = set.and_then(controllers::controller) {
            return Some(format!("{}/{}", text(&owner["kind"]), text(&owner["name"])));
        }
    }
    Some(format!("{kind}/{name}"))
}

/// Namespace, `Kind/name` and pod template of everything that makes pods, custom resources included.
fn templates(cluster: &Cluster) -> Vec<(String, String, Value)> {
    cluster
        .kubernetes
        .store
        .all()
        .filter_map(|object| {
            let spec = &object["spec"];
            let template = [&spec["template"], &spec["jobTemplate"]["spec"]["template"]]
                .into_iter()
                .find(|t| t["spec"]["containers"].is_array())?;
            // A ReplicaSet of a Deployment is the Deployment's own affair.
            if object["kind"] == "ReplicaSet" && controllers::controller(object).is_some() {
                return None;
            }
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            let name = format!(
                "{}/{}",
                text(&object["kind"]),
                text(&object["metadata"]["name"])
            );
            Some((
                text(&object["metadata"]["namespace"]),
                name,
                template.clone(),
            ))
        })
        .collect()
}

/// Facts of the session that EKS Auth asks STS for.
pub(crate) fn session_facts(
    cluster: &Cluster,
    namespace: &str,
    account: &str,
    pod: Option<(&str, &str)>,
    tags: bool,
) -> BTreeMap<String, String> {
    let arn = cluster.arn(&format!("cluster/{}", cluster.key.name));
    let mut facts = BTreeMap::from([
        (
            "aws:sourceaccount".to_owned(),
            cluster.key.account_id.clone(),
        ),
        ("aws:sourcearn".to_owned(), arn.clone()),
    ]);
    if tags {
        let mut tag = |name: &str, value: &str| {
            facts.insert(format!("aws:requesttag/{name}"), value.to_owned());
        };
        tag("eks-cluster-arn", &arn);
        tag("eks-cluster-name", &cluster.key.name);
        tag("kubernetes-namespace", namespace);
        tag("kubernetes-service-account", account);
        if let Some((name, uid)) = pod {
            tag("kubernetes-pod-name", name);
            tag("kubernetes-pod-uid", uid);
        }
    }
    facts
}

/// Whether a trust policy lets EKS Auth in, with session tags or without.
pub(crate) fn lets_pods_in(policy: &Value, facts: &BTreeMap<String, String>) -> bool {
    ["sts:AssumeRole", "sts:TagSession"].iter().all(|action| {
        trust::allows(
            policy,
            &trust::Principal::Service { name: trust::PODS },
            action,
            facts,
        )
    })
}

#[cfg(test)]
mod tests;
