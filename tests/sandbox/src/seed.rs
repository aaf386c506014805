//! Seeding: puts things into the state that no API call could, or more than one could.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value};
use time::OffsetDateTime;

use crate::eks::addons::{self, Addon, Behaviour};
use crate::eks::associations::Association;
use crate::eks::cluster::{Cluster, ClusterKey};
use crate::faults::Visibility;
use crate::kubernetes::{self, controllers, webhook};
use crate::state::State;

/// Body of `POST /_sandbox/seed`. Everything is optional; what exists already is changed in place.
#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
#[derive(Default)]
struct Seed {
    access_keys: Vec<SeedKey>,
    /// One object for one account, or a list; `account_id` is taken out, the rest goes to IAM.
    iam: Value,
    clusters: Vec<SeedCluster>,
    addon_versions: Vec<Release>,
    visibility: Option<Visibility>,
    /// Whether all of this is in effect at once, and the start of what the watcher over credentials checks. By default it is, unless the
    /// seed only says how things behave.
    settle: Option<bool>,
    /// Milliseconds that a pod may live on what the agent has cached after its association is deleted.
    agent_cache_ms: Option<u64>,
    /// Milliseconds that EKS Auth goes on to serve an association that is deleted.
    auth_delay_ms: Option<u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SeedKey {
    access_key_id: String,
    secret_access_key: String,
    account_id: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Release {
    addon: String,
    version: String,
    /// Kubernetes version, and whether this is its default from now on.
    #[serde(default)]
    compatibilities: BTreeMap<String, bool>,
    schema: Option<Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SeedCluster {
    name: String,
    account_id: Option<String>,
    region: Option<String>,
    version: Option<String>,
    platform_version: Option<String>,
    status: Option<String>,
    auto_mode: Option<bool>,
    issuer: Option<String>,
    tags: Option<BTreeMap<String, String>>,
    #[serde(default)]
    namespaces: Vec<String>,
    #[serde(default)]
    service_accounts: Vec<SeedServiceAccount>,
    /// Kubernetes objects, complete with `apiVersion` and `kind`.
    #[serde(default)]
    objects: Vec<Value>,
    /// Custom resources to serve, for which a CustomResourceDefinition is made.
    #[serde(default)]
    custom_kinds: Vec<SeedKind>,
    /// Takes the place of all nodes.
    nodes: Option<Vec<SeedNode>>,
    webhook: Option<webhook::Settings>,
    controllers: Option<controllers::Settings>,
    /// Forgets the history of changes, so that watches and continuations expire.
    #[serde(default)]
    compact: bool,
    #[serde(default)]
    expect_credentials: Vec<SeedExpectation>,
    #[serde(default)]
    access: Vec<crate::kubernetes::access::Grant>,
    #[serde(default)]
    addons: Vec<SeedAddon>,
    #[serde(default)]
    addon_behaviour: BTreeMap<String, Behaviour>,
    #[serde(default)]
    associations: Vec<SeedAssociation>,
    #[serde(default)]
    fargate_profiles: Vec<Map<String, Value>>,
    #[serde(default)]
    nodegroups: Vec<Map<String, Value>>,
}

impl SeedCluster {
    /// Whether there is more in it than how things behave.
    fn has_content(&self) -> bool {
        self.nodes.is_some()
            || self.issuer.is_some()
            || self.auto_mode.is_some()
            || !self.namespaces.is_empty()
            || !self.service_accounts.is_empty()
            || !self.objects.is_empty()
            || !self.custom_kinds.is_empty()
            || !self.addons.is_empty()
            || !self.associations.is_empty()
            || !self.fargate_profiles.is_empty()
            || !self.nodegroups.is_empty()
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SeedServiceAccount {
    namespace: String,
    name: String,
    #[serde(default)]
    annotations: Map<String, Value>,
    #[serde(default)]
    labels: Map<String, Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SeedKind {
    group: String,
    version: String,
    kind: String,
    plural: String,
    #[serde(default = "yes")]
    namespaced: bool,
    #[serde(default)]
    short_names: Vec<String>,
}

const fn yes() -> bool {
    true
}

impl SeedKind {
    fn definition(&self) -> Value {
        let scope = if self.namespaced {
            "Namespaced"
        } else {
            "Cluster"
        };
        serde_json::json!({
            "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
            "metadata": {"name": format!("{}.{}", self.plural, self.group)},
            "spec": {
                "group": self.group, "scope": scope,
                "names": {"plural": self.plural, "singular": self.kind.to_lowercase(), "kind": self.kind, "listKind": format!("{}List", self.kind), "shortNames": self.short_names},
                "versions": [{"name": self.version, "served": true, "storage": true, "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}}, "subresources": {"status": {}}}],
            },
            "status": {"conditions": [{"type": "Established", "status": "True", "reason": "InitialNamesAccepted"}]},
        })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SeedNode {
    name: String,
    #[serde(default)]
    labels: Map<String, Value>,
    #[serde(default = "yes")]
    ready: bool,
    /// How many seconds ago it joined.
    age_s: Option<i64>,
}

/// Whether the watcher over credentials cares about a service account; it does unless it is told not to.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SeedExpectation {
    namespace: String,
    service_account: String,
    expected: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SeedAddon {
    name: String,
    version: Option<String>,
    status: Option<String>,
    #[serde(default)]
    issues: Vec<Value>,
    /// An empty text clears.
    configuration_values: Option<String>,
    service_account_role_arn: Option<String>,
    tags: Option<BTreeMap<String, String>>,
    #[serde(default)]
    pod_identity_associations: Vec<SeedOwned>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SeedOwned {
    service_account: String,
    role_arn: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SeedAssociation {
    namespace: String,
    service_account: String,
    role_arn: String,
    target_role_arn: Option<String>,
    #[serde(default)]
    disable_session_tags: bool,
    policy: Option<String>,
    owner_arn: Option<String>,
    #[serde(default)]
    tags: BTreeMap<String, String>,
}

/// Forgets everything and makes the default clusters again.
pub(crate) fn reset(state: &mut State, now: OffsetDateTime) -> Result<(), String> {
    state.reset();
    add_default_clusters(state, now)
}

/// The clusters a sandbox starts with, each with the namespace `payments` beside those of Kubernetes itself.
pub(crate) fn add_default_clusters(state: &mut State, now: OffsetDateTime) -> Result<(), String> {
    let clusters: Vec<Value> = state
        .defaults
        .clusters
        .iter()
        .map(|name| serde_json::json!({"name": name, "namespaces": ["payments"]}))
        .collect();
    apply(state, serde_json::json!({ "clusters": clusters }), now)
}

/// Applies a seed. What comes before a faulty entry stays applied.
pub(crate) fn apply(state: &mut State, value: Value, now: OffsetDateTime) -> Result<(), String> {
    let seed: Seed = serde_json::from_value(value).map_err(|e| format!("seed: {e}"))?;
    // What was under way comes first, so that it is not taken for a part of the seed.
    state.settle(now);
    let settle = seed.settle.unwrap_or_else(|| {
        !seed.iam.is_null() || seed.clusters.iter().any(SeedCluster::has_content)
    });
    for key in &seed.access_keys {
        state.add_key(&key.access_key_id, &key.secret_access_key, &key.account_id);
    }
    let accounts = match seed.iam {
        Value::Null => vec![],
        Value::Array(list) => list,
        one => vec![one],
    };
    for mut account in accounts {
        let id = account
            .as_object_mut()
            .and_then(|o| o.remove("account_id"))
            .and_then(|v| v.as_str().map(str::to_owned))
            .unwrap_or_else(|| state.defaults.account_id.clone());
        let region = state.defaults.region.clone();
        let context = state.operator(&id, &region, now).context;
        state
            .iam(&id)
            .seed(&context, &account)
            .map_err(|e| format!("seed: iam of {id}: {e}"))?;
    }
    for release in seed.addon_versions {
        state
            .catalog
            .release(
                &release.addon,
                &release.version,
                &release.compatibilities,
                release.schema,
            )
            .map_err(|e| format!("seed: addon_versions: {e}"))?;
    }
    for cluster in seed.clusters {
        let name = cluster.name.clone();
        apply_cluster(state, cluster, now).map_err(|e| format!("seed: cluster {name}: {e}"))?;
    }
    if let Some(visibility) = seed.visibility {
        state.set_visibility(visibility);
    }
    if let Some(ms) = seed.agent_cache_ms {
        state.credentials.cache =
            time::Duration::milliseconds(i64::try_from(ms).unwrap_or(i64::MAX));
    }
    if let Some(ms) = seed.auth_delay_ms {
        state.credentials.auth_delay =
            time::Duration::milliseconds(i64::try_from(ms).unwrap_or(i64::MAX));
    }
    if settle {
        state.settle_seed(now);
    } else {
        state.settle(now);
    }
    Ok(())
}

fn apply_cluster(state: &mut State, seed: SeedCluster, now: OffsetDateTime) -> Result<(), String> {
    let key = ClusterKey {
        account_id: seed
            .account_id
            .unwrap_or_else(|| state.defaults.account_id.clone()),
        region: seed.region.unwrap_or_else(|| state.defaults.region.clone()),
        name: seed.name,
    };
    if !state.clusters.contains_key(&key) {
        let endpoint = state
            .endpoints
            .open(&key)
            .map_err(|e| format!("no port for the Kubernetes API: {e}"))?;
        let issuer = state.ids.issuer();
        let cluster = Cluster::new(
            key.clone(),
            &issuer,
            endpoint,
            state.endpoints.ca_data(),
            now,
        );
        state.clusters.insert(key.clone(), cluster);
    }
    let State {
        clusters,
        catalog,
        ids,
        credentials,
        ..
    } = state;
    let cluster = clusters.get_mut(&key).ok_or("it is gone")?;
    let set = |slot: &mut String, value: Option<String>| {
        if let Some(value) = value {
            *slot = value;
        }
    };
    set(&mut cluster.version, seed.version);
    set(&mut cluster.platform_version, seed.platform_version);
    set(&mut cluster.status, seed.status);
    set(&mut cluster.issuer, seed.issuer);
    cluster.auto_mode = seed.auto_mode.unwrap_or(cluster.auto_mode);
    if let Some(tags) = seed.tags {
        cluster.tags = tags;
    }
    for namespace in &seed.namespaces {
        cluster.kubernetes.ensure_namespace(namespace, now);
    }
    for account in seed.service_accounts {
        cluster.kubernetes.ensure_namespace(&account.namespace, now);
        let object = serde_json::json!({
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": {"name": account.name, "namespace": account.namespace, "annotations": account.annotations, "labels": account.labels},
        });
        cluster.kubernetes.put(object, now)?;
    }
    for kind in &seed.custom_kinds {
        cluster.kubernetes.put(kind.definition(), now)?;
    }
    if let Some(nodes) = seed.nodes {
        let nodes = nodes
            .into_iter()
            .map(|n| {
                let age = n
                    .age_s
                    .map_or(kubernetes::NODE_AGE, time::Duration::seconds);
                let node = kubernetes::node(&n.name, &n.labels.into(), n.ready);
                (node, now - age)
            })
            .collect();
        cluster.kubernetes.set_nodes(nodes, now)?;
    }
    // Pods are made last: what is done to them depends on everything else.
    let (pods, objects): (Vec<Value>, Vec<Value>) = seed
        .objects
        .into_iter()
        .partition(|object| object["kind"] == "Pod");
    for object in objects {
        cluster.kubernetes.put(object, now)?;
    }
    if let Some(webhook) = seed.webhook {
        cluster.kubernetes.set_webhook(webhook);
    }
    if let Some(controllers) = seed.controllers {
        cluster.kubernetes.set_controllers(controllers);
    }
    if seed.compact {
        cluster.kubernetes.store.compact();
    }
    for item in seed.expect_credentials {
        credentials.exempt(
            &key.name,
            &item.namespace,
            &item.service_account,
            !item.expected,
        );
    }
    if !seed.access.is_empty() {
        cluster.kubernetes.access.grants = seed.access;
    }
    cluster.behaviours.extend(seed.addon_behaviour);
    for profile in seed.fargate_profiles {
        let name = profile
            .get("fargateProfileName")
            .and_then(Value::as_str)
            .ok_or("a Fargate profile needs its fargateProfileName")?
            .to_owned();
        cluster.fargate_profiles.insert(name, profile);
    }
    for nodegroup in seed.nodegroups {
        let name = nodegroup
            .get("nodegroupName")
            .and_then(Value::as_str)
            .ok_or("a node group needs its nodegroupName")?
            .to_owned();
        cluster.nodegroups.insert(name, nodegroup);
    }
    for item in seed.addons {
        let version = item
            .version
            .or_else(|| cluster.addons.get(&item.name).map(|a| a.version.clone()))
            .or_else(|| catalog.default_version(&item.name, &cluster.version));
        let version = version.ok_or_else(|| format!("add-on {} needs a version", item.name))?;
        let arn = cluster.addons.get(&item.name).map_or_else(
            || addons::arn(cluster, &item.name, &ids.uuid()),
            |a| a.arn.clone(),
        );
        let status = item.status.as_deref().unwrap_or("ACTIVE");
        let addon = cluster.addons.entry(item.name.clone()).or_insert_with(|| {
            Addon::settled(&item.name, arn.clone(), &version, status, Vec::new(), now)
        });
        addon.version = version;
        addon.settle(status, item.issues, now);
        if let Some(values) = item.configuration_values {
            addon.configuration_values = Some(values).filter(|v| !v.is_empty());
        }
        if let Some(role) = item.service_account_role_arn {
            addon.service_account_role_arn = Some(role).filter(|v| !v.is_empty());
        }
        if let Some(tags) = item.tags {
            addon.tags = tags;
        }
        for owned in item.pod_identity_associations {
            let mut association = Association::new(
                ids.association(),
                "kube-system",
                &owned.service_account,
                &owned.role_arn,
                now,
            );
            association.owner_arn = Some(arn.clone());
            put_association(cluster, association);
        }
    }
    for item in seed.associations {
        let mut association = Association::new(
            ids.association(),
            &item.namespace,
            &item.service_account,
            &item.role_arn,
            now,
        );
        association.target_role_arn = item.target_role_arn;
        association.disable_session_tags = item.disable_session_tags;
        association.policy = item.policy;
        association.owner_arn = item.owner_arn;
        association.tags = item.tags;
        put_association(cluster, association);
    }
    if !pods.is_empty() {
        cluster.sync_associations(true, now);
        let (k, around) = cluster.kubernetes_and_surroundings();
        for pod in pods {
            k.put_pod(pod, &around, now)?;
        }
    }
    Ok(())
}

/// Adds the association, or changes the one that has its namespace and service account.
fn put_association(cluster: &mut Cluster, mut association: Association) {
    match cluster.associations.values_mut().find(|a| {
        a.namespace == association.namespace && a.service_account == association.service_account
    }) {
        Some(existing) => {
            association.id.clone_from(&existing.id);
            association.created = existing.created;
            *existing = association;
        }
        None => cluster.add_association(association),
    }
}
