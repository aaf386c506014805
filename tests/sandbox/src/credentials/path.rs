//! Which credentials the SDK in a container finds, and whether they work.

use std::collections::BTreeMap;

use serde_json::Value;
use time::OffsetDateTime;

use crate::eks::associations::Association;
use crate::eks::cluster::Cluster;
use crate::iam::Iam;
use crate::kubernetes::controllers::{self, COMPUTE_TYPE, is_ready, node_label};
use crate::kubernetes::kinds::built_in;
use crate::kubernetes::tokens;
use crate::kubernetes::webhook::{self, AGENT_AUDIENCE, AGENT_URI};
use crate::trust::{self, Principal};

/// Where credentials come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Path {
    StaticKeys,
    WebIdentity,
    PodIdentity,
}

impl Path {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::StaticKeys => "static_keys",
            Self::WebIdentity => "web_identity",
            Self::PodIdentity => "pod_identity",
        }
    }

    /// What the environment of the first container that has any points to, in the order in which SDKs look.
    pub(crate) fn of_environment(pod: &Value) -> Option<Self> {
        let containers = pod["spec"]["containers"].as_array();
        containers
            .into_iter()
            .flatten()
            .find_map(|container| Self::of_container(&environment(container)))
    }

    fn of_container(env: &BTreeMap<&str, &str>) -> Option<Self> {
        let has = |names: [&str; 2]| names.iter().all(|name| env.contains_key(name));
        if has(["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"]) {
            Some(Self::StaticKeys)
        } else if has(["AWS_ROLE_ARN", "AWS_WEB_IDENTITY_TOKEN_FILE"]) {
            Some(Self::WebIdentity)
        } else if env.contains_key("AWS_CONTAINER_CREDENTIALS_FULL_URI") {
            Some(Self::PodIdentity)
        } else {
            None
        }
    }
}

/// What matters of an association.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AssociationView {
    pub(crate) id: String,
    pub(crate) role_arn: String,
    pub(crate) target_role_arn: Option<String>,
    pub(crate) disable_session_tags: bool,
}

impl AssociationView {
    pub(crate) fn of(association: &Association) -> Self {
        Self {
            id: association.id.clone(),
            role_arn: association.role_arn.clone(),
            target_role_arn: association.target_role_arn.clone(),
            disable_session_tags: association.disable_session_tags,
        }
    }
}

/// What a verdict is based on.
#[derive(Clone, Copy)]
pub(crate) struct World<'a> {
    pub(crate) iam: &'a BTreeMap<String, Iam>,
    pub(crate) cluster: &'a Cluster,
    pub(crate) now: OffsetDateTime,
    /// The time whose roles and trust policies STS sees; `None` if it sees all changes at once.
    pub(crate) seen: Option<OffsetDateTime>,
}

/// Names and values of a container's environment; a value from elsewhere is empty.
fn environment(container: &Value) -> BTreeMap<&str, &str> {
    let env = container["env"].as_array();
    env.into_iter()
        .flatten()
        .filter_map(|e| Some((e["name"].as_str()?, e["value"].as_str().unwrap_or_default())))
        .collect()
}

/// The audience of the token at a path, if a projected volume provides one there.
fn audience<'p>(pod: &'p Value, container: &'p Value, file: &str) -> Option<&'p str> {
    let file = file.trim_start_matches("C:").replace('\\', "/");
    let mounts = container["volumeMounts"].as_array()?;
    mounts.iter().find_map(|mount| {
        let directory = mount["mountPath"].as_str()?.trim_end_matches('/');
        let token = file.strip_prefix(directory)?.strip_prefix('/')?;
        let volumes = pod["spec"]["volumes"].as_array()?;
        let volume = volumes.iter().find(|v| v["name"] == mount["name"])?;
        let sources = volume["projected"]["sources"].as_array()?;
        sources.iter().find_map(|source| {
            let source = &source["serviceAccountToken"];
            (source["path"] == token).then(|| source["audience"].as_str().unwrap_or(tokens::API))
        })
    })
}

impl World<'_> {
    /// How a pod gets its credentials, or why it gets none. `None` for a pod that has opted out of all this, and one that nothing was
    /// ever meant for: no environment, and a service account without annotation and association.
    pub(crate) fn path(
        &self,
        pod: &Value,
        association: &Option<AssociationView>,
    ) -> Option<Result<Path, String>> {
        let node = pod["spec"]["nodeName"].as_str();
        let node = node.and_then(|name| {
            let store = &self.cluster.kubernetes.store;
            store.find(built_in("nodes"), "", name)
        });
        self.judge(pod, association, &|| match node {
            Some(node) => self.check_node(node),
            // A pod that is not scheduled yet asks for nothing yet.
            None => Ok(()),
        })
    }

    /// The same for a pod that may be scheduled to any node that takes it.
    pub(crate) fn path_anywhere(
        &self,
        pod: &Value,
        association: &Option<AssociationView>,
        fargate: bool,
    ) -> Option<Result<Path, String>> {
        let windows = pod["spec"]["nodeSelector"]["kubernetes.io/os"] == "windows";
        let selector = serde_json::json!({"matchLabels": pod["spec"]["nodeSelector"]});
        self.judge(pod, association, &|| {
            if fargate {
                return Err("Fargate has no Pod Identity agent".into());
            }
            self.cluster
                .kubernetes
                .store
                .items(built_in("nodes"))
                .filter(|node| {
                    node_label(node, COMPUTE_TYPE) != "fargate"
                        && is_ready(node)
                        && (node_label(node, "kubernetes.io/os") == "windows") == windows
                        && crate::kubernetes::selector::matches(
                            &selector,
                            &node["metadata"]["labels"],
                        )
                })
                .try_for_each(|node| self.check_node(node))
        })
    }

    fn judge(
        &self,
        pod: &Value,
        association: &Option<AssociationView>,
        node: &dyn Fn() -> Result<(), String>,
    ) -> Option<Result<Path, String>> {
        let metadata = &pod["metadata"];
        if metadata["labels"][webhook::SKIP_LABEL].is_string() {
            return None;
        }
        let skipped = webhook::skipped_containers(&metadata["annotations"]);
        let containers: Vec<&Value> = pod["spec"]["containers"]
            .as_array()
            .into_iter()
            .flatten()
            .filter(|c| !skipped.iter().any(|s| c["name"] == **s))
            .collect();
        let mut paths = Vec::new();
        for container in &containers {
            match self.container(pod, container, association, node) {
                Ok(path) => paths.push(path),
                Err(reason) => return Some(Err(reason)),
            }
        }
        let path = paths.first().copied()?;
        Some(Ok(path))
    }

    fn container(
        &self,
        pod: &Value,
        container: &Value,
        association: &Option<AssociationView>,
        node: &dyn Fn() -> Result<(), String>,
    ) -> Result<Path, String> {
        let env = environment(container);
        let value = |name: &str| env.get(name).copied().unwrap_or_default();
        let (namespace, account) = (
            pod["metadata"]["namespace"].as_str().unwrap_or_default(),
            pod["spec"]["serviceAccountName"]
                .as_str()
                .unwrap_or("default"),
        );
        match Path::of_container(&env) {
            Some(Path::StaticKeys) => Ok(Path::StaticKeys),
            Some(Path::WebIdentity) => {
                let file = value("AWS_WEB_IDENTITY_TOKEN_FILE");
                let audience = audience(pod, container, file)
                    .ok_or_else(|| format!("no volume provides the web identity token {file}"))?;
                self.web_identity(value("AWS_ROLE_ARN"), namespace, account, audience)
                    .map(|()| Path::WebIdentity)
            }
            Some(Path::PodIdentity) => {
                if value("AWS_CONTAINER_CREDENTIALS_FULL_URI") != AGENT_URI {
                    return Err("AWS_CONTAINER_CREDENTIALS_FULL_URI is not the agent's".into());
                }
                let file = value("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE");
                match audience(pod, container, file) {
                    Some(AGENT_AUDIENCE) => {}
                    Some(other) => {
                        return Err(format!("the token is for {other}, not for the agent"));
                    }
                    None => return Err(format!("no volume provides the token {file}")),
                }
                let association = association
                    .as_ref()
                    .ok_or_else(|| format!("no association for {namespace}/{account}"))?;
                let uid = pod["metadata"]["uid"].as_str().unwrap_or_default();
                let name = pod["metadata"]["name"].as_str().unwrap_or_default();
                self.pod_identity(association, namespace, account, (name, uid))?;
                node()?;
                Ok(Path::PodIdentity)
            }
            None => Err("its environment names no credentials".into()),
        }
    }

    fn role_trust(&self, arn: &str) -> Result<Value, String> {
        trust::role_account(arn)
            .and_then(|account| self.iam.get(account))
            .and_then(|iam| match self.seen {
                Some(at) => iam.role_at(arn, at),
                None => iam.role_by_arn(arn),
            })
            .map(|role| role.trust)
            .ok_or_else(|| format!("role {arn} does not exist"))
    }

    fn web_identity(
        &self,
        role: &str,
        namespace: &str,
        account: &str,
        audience: &str,
    ) -> Result<(), String> {
        let policy = self.role_trust(role)?;
        let provider = self
            .cluster
            .issuer
            .trim_start_matches("https://")
            .to_lowercase();
        let iam = trust::role_account(role).and_then(|account| self.iam.get(account));
        if !iam.is_some_and(|iam| iam.accepts_identities(&provider, audience)) {
            return Err(format!(
                "the account of {role} has no OIDC provider {provider} with the audience {audience}"
            ));
        }
        let facts = BTreeMap::from([
            (
                format!("{provider}:sub"),
                format!("system:serviceaccount:{namespace}:{account}"),
            ),
            (format!("{provider}:aud"), audience.to_owned()),
        ]);
        let principal = Principal::Federated {
            provider: &provider,
        };
        if trust::allows(&policy, &principal, "sts:AssumeRoleWithWebIdentity", &facts) {
            Ok(())
        } else {
            Err(format!(
                "the trust policy of {role} does not let {namespace}/{account} in with a web identity"
            ))
        }
    }

    /// Whether EKS Auth would hand out credentials.
    pub(crate) fn pod_identity(
        &self,
        association: &AssociationView,
        namespace: &str,
        account: &str,
        pod: (&str, &str),
    ) -> Result<(), String> {
        let role = &association.role_arn;
        let policy = self.role_trust(role)?;
        let tags = !association.disable_session_tags;
        let facts = session_facts(self.cluster, namespace, account, Some(pod), tags);
        if !lets_pods_in(&policy, &facts) {
            return Err(format!(
                "the trust policy of {role} does not let Pod Identity in for {namespace}/{account}"
            ));
        }
        let Some(target) = &association.target_role_arn else {
            return Ok(());
        };
        let policy = self.role_trust(target)?;
        let key = &self.cluster.key;
        let mut facts: BTreeMap<String, String> = facts
            .into_iter()
            .filter(|(name, _)| name.starts_with("aws:requesttag/"))
            .collect();
        facts.insert("aws:principalarn".into(), role.clone());
        facts.insert("aws:principalaccount".into(), key.account_id.clone());
        facts.insert(
            "sts:externalid".into(),
            format!(
                "{}/{}/{}/{namespace}/{account}",
                key.region, key.account_id, key.name
            ),
        );
        let principal = Principal::Aws {
            arn: role,
            account_id: &key.account_id,
        };
        let actions: &[&str] = if tags {
            &["sts:AssumeRole", "sts:TagSession"]
        } else {
            &["sts:AssumeRole"]
        };
        let allowed = actions.iter().all(|action| {
            // There is no external id on TagSession.
            let mut facts = facts.clone();
            if *action == "sts:TagSession" {
                facts.remove("sts:externalid");
            }
            trust::allows(&policy, &principal, action, &facts)
        });
        if allowed {
            Ok(())
        } else {
            Err(format!(
                "the trust policy of {target} does not let {role} in"
            ))
        }
    }

    /// Whether the agent works on a node.
    fn check_node(&self, node: &Value) -> Result<(), String> {
        let name = node["metadata"]["name"].as_str().unwrap_or_default();
        match node_label(node, COMPUTE_TYPE) {
            "fargate" => {
                return Err(format!(
                    "{name} is Fargate, which has no Pod Identity agent"
                ));
            }
            "auto" => return Ok(()),
            _ => {}
        }
        if node_label(node, "kubernetes.io/os") == "windows" {
            return Err(format!(
                "{name} runs Windows, which has no Pod Identity agent"
            ));
        }
        if self.cluster.auto_mode {
            return Ok(());
        }
        let works = self
            .cluster
            .kubernetes
            .store
            .items(built_in("pods"))
            .any(|pod| {
                pod["spec"]["nodeName"] == name
                    && pod["metadata"]["labels"]["app.kubernetes.io/name"] == controllers::AGENT
                    && is_ready(pod)
            });
        if works {
            Ok(())
        } else {
            Err(format!("no Pod Identity agent is ready on {name}"))
        }
    }
}

/// Facts of the session that EKS Auth asks STS for.
fn session_facts(
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
fn lets_pods_in(policy: &Value, facts: &BTreeMap<String, String>) -> bool {
    ["sts:AssumeRole", "sts:TagSession"].iter().all(|action| {
        trust::allows(
            policy,
            &trust::Principal::Service { name: trust::PODS },
            action,
            facts,
        )
    })
}
