//! Reading the facts of a cluster: what is refused becomes a gap, what fails otherwise in AWS an error.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use aws_sdk_eks::types::Addon;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use k8s_openapi::api::admissionregistration::v1::MutatingWebhookConfiguration;
use k8s_openapi::api::apps::v1::DaemonSet;
use k8s_openapi::api::core::v1::{Node, Pod};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier as _;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, RootCertStore};

use crate::aws::{AwsError, AwsErrorKind, ClusterInfo, read};
use crate::framework::Context;
use crate::framework::diagnostic::capitalised;
use crate::kubernetes::{ClusterApi, KubernetesError, KubernetesErrorKind, Scope};
use crate::policy::OidcIssuer;
use crate::provider::ProviderData;

use super::super::facts::{
    AgentFacts, AgentKind, ClusterFacts, Compute, FargateProfileFacts, NodeFacts, Taint,
    WebhookFacts,
};
use super::AGENT;

/// Where EKS and the Helm chart put the agent unless told otherwise.
const KUBE_SYSTEM: &str = "kube-system";
const NAME_LABEL: &str = "app.kubernetes.io/name";
const COMPUTE_TYPE: &str = "eks.amazonaws.com/compute-type";
const OS: &str = "kubernetes.io/os";
/// The webhook's configuration, as EKS creates it in every cluster.
const WEBHOOK: &str = "pod-identity-webhook";
/// For so many seconds after a node has joined, its pods of DaemonSets may still be on their way.
const JOINING: i64 = 180;
/// Fargate profiles described at a time; a cluster has ten unless its quota was raised.
const PROFILES_AT_A_TIME: usize = 5;

pub(super) async fn cluster(
    context: &Context<ProviderData>,
    name: &str,
) -> Result<Arc<ClusterFacts>, AwsError> {
    let cluster = context.provider.cluster(&context.cancel, name).await?;
    let reader = Reader {
        context,
        cluster: &cluster,
        gaps: Gaps::default(),
    };
    let (addon, fargate_profiles, oidc_provider, api) = tokio::try_join!(
        reader.addon(),
        reader.fargate_profiles(),
        reader.oidc_provider(),
        reader.api(),
    )?;
    let mut facts = ClusterFacts {
        agent: reader.addon_facts(addon.as_ref()),
        fargate_profiles,
        oidc_provider,
        ..ClusterFacts::default()
    };
    if let Some(api) = api {
        (facts.agent, facts.nodes, facts.webhook) = tokio::try_join!(
            reader.agent(&api, addon.as_ref(), facts.agent),
            reader.nodes(&api),
            reader.webhook(&api),
        )?;
    }
    facts.not_read = reader.gaps.sentences();
    facts.cluster = cluster;
    Ok(Arc::new(facts))
}

/// What EKS says of the add-on.
enum AddonAnswer {
    Installed(Box<Addon>),
    Missing,
}

struct Reader<'a> {
    context: &'a Context<ProviderData>,
    cluster: &'a ClusterInfo,
    gaps: Gaps,
}

impl Reader<'_> {
    /// `None`: refused.
    async fn addon(&self) -> Result<Option<AddonAnswer>, AwsError> {
        let call = self
            .context
            .provider
            .eks()?
            .describe_addon()
            .cluster_name(&self.cluster.name)
            .addon_name(AGENT)
            .send();
        match read(&self.context.cancel, call).await {
            Ok(answer) => Ok(Some(answer.addon.map_or(AddonAnswer::Missing, |addon| {
                AddonAnswer::Installed(Box::new(addon))
            }))),
            Err(error) if error.is_not_found() => Ok(Some(AddonAnswer::Missing)),
            Err(error) => self.gaps.refused("the agent's add-on", error),
        }
    }

    fn addon_facts(&self, addon: Option<&AddonAnswer>) -> AgentFacts {
        let mut facts = AgentFacts {
            kind: if self.cluster.auto_mode {
                AgentKind::AutoMode
            } else {
                AgentKind::Unknown
            },
            ..AgentFacts::default()
        };
        if let Some(AddonAnswer::Installed(addon)) = addon {
            if !self.cluster.auto_mode {
                facts.kind = AgentKind::Addon;
            }
            facts.version = addon.addon_version().map(ToOwned::to_owned);
            facts.status = addon.status().map(|status| status.as_str().to_owned());
            let issues = addon.health().map(|health| health.issues());
            facts.issues = issues
                .unwrap_or_default()
                .iter()
                .map(|issue| {
                    let code = issue.code().map_or("Unknown", |code| code.as_str());
                    let message = issue.message().unwrap_or("no message");
                    match issue.resource_ids() {
                        [] => format!("{code}: {message}"),
                        ids => format!("{code}: {message} ({})", ids.join(", ")),
                    }
                })
                .collect();
        }
        facts
    }

    /// `None`: refused, or there is no Fargate in this region.
    async fn fargate_profiles(&self) -> Result<Option<Vec<FargateProfileFacts>>, AwsError> {
        const WHAT: &str = "Fargate profiles";
        let eks = self.context.provider.eks()?;
        let cancel = &self.context.cancel;
        let mut names = Vec::new();
        let mut next_token = None;
        loop {
            let call = eks
                .list_fargate_profiles()
                .cluster_name(&self.cluster.name)
                .set_next_token(next_token)
                .send();
            let page = match read(cancel, call).await {
                Ok(page) => page,
                // As where a region has no Fargate.
                Err(error) if error.kind() == AwsErrorKind::InvalidParameter => {
                    self.gaps.add(WHAT, sentence(error.to_string()));
                    return Ok(None);
                }
                Err(error) => return self.gaps.refused(WHAT, error),
            };
            names.extend(page.fargate_profile_names().iter().cloned());
            next_token = page.next_token;
            if next_token.is_none() {
                break;
            }
        }
        let described = stream::iter(names)
            .map(|name| async move {
                let call = eks
                    .describe_fargate_profile()
                    .cluster_name(&self.cluster.name)
                    .fargate_profile_name(&name)
                    .send();
                match read(cancel, call).await {
                    Ok(answer) => Ok(answer.fargate_profile.as_ref().map(fargate_profile)),
                    // Deleted since it was listed.
                    Err(error) if error.is_not_found() => Ok(None),
                    Err(error) => Err(error),
                }
            })
            .buffered(PROFILES_AT_A_TIME)
            .try_collect::<Vec<_>>()
            .await;
        match described {
            Ok(profiles) => Ok(Some(profiles.into_iter().flatten().collect())),
            Err(error) => self.gaps.refused(WHAT, error),
        }
    }

    /// Whether IAM has a provider for the issuer, under either of its names; `None`: refused.
    async fn oidc_provider(&self) -> Result<Option<bool>, AwsError> {
        let issuer = self.cluster.oidc_issuer.as_deref();
        let Some(Ok(issuer)) = issuer.map(OidcIssuer::parse) else {
            return Ok(Some(false));
        };
        let call = self
            .context
            .provider
            .iam()?
            .list_open_id_connect_providers()
            .send();
        match read(&self.context.cancel, call).await {
            Ok(answer) => Ok(Some(
                answer
                    .open_id_connect_provider_list()
                    .iter()
                    .filter_map(|provider| provider.arn())
                    .any(|arn| issuer.is_provider(arn)),
            )),
            Err(error) => self.gaps.refused("IAM OIDC providers", error),
        }
    }

    /// `None`: the cluster cannot be reached at all.
    async fn api(&self) -> Result<Option<Arc<ClusterApi>>, AwsError> {
        let found = self
            .context
            .provider
            .kubernetes_api(&self.context.cancel, &self.cluster.name)
            .await;
        match found {
            Ok(api) => Ok(Some(api)),
            Err(error) => {
                for what in [Wanted::NODES, Wanted::AGENT_PODS, Wanted::WEBHOOK] {
                    self.gaps.kubernetes::<()>(what, &error)?;
                }
                Ok(None)
            }
        }
    }

    async fn nodes(
        &self,
        api: &ClusterApi,
    ) -> Result<Option<BTreeMap<String, NodeFacts>>, AwsError> {
        match api
            .list::<Node>(&self.context.cancel, Scope::Cluster, None)
            .await
        {
            Ok(nodes) => {
                let now = time::OffsetDateTime::now_utc().unix_timestamp();
                let nodes = nodes.into_iter();
                Ok(Some(nodes.filter_map(|it| node(it, now)).collect()))
            }
            Err(error) => self.gaps.kubernetes(Wanted::NODES, &error),
        }
    }

    async fn webhook(&self, api: &ClusterApi) -> Result<Option<WebhookFacts>, AwsError> {
        let found = api
            .get::<MutatingWebhookConfiguration>(&self.context.cancel, None, WEBHOOK)
            .await;
        match found {
            Ok(None) => Ok(Some(WebhookFacts::Missing)),
            Ok(Some(found)) => Ok(Some(webhook(&found, UnixTime::now()))),
            Err(error) => self.gaps.kubernetes(Wanted::WEBHOOK, &error),
        }
    }

    /// Completes what EKS says of the agent with what Kubernetes knows.
    async fn agent(
        &self,
        api: &ClusterApi,
        addon: Option<&AddonAnswer>,
        mut facts: AgentFacts,
    ) -> Result<AgentFacts, AwsError> {
        let (namespace, selectors) = if let Some(AddonAnswer::Installed(addon)) = addon {
            let namespace = addon
                .namespace_config()
                .and_then(|config| config.namespace())
                .unwrap_or(KUBE_SYSTEM);
            let selector = format!("{NAME_LABEL}={AGENT}");
            (namespace.to_owned(), BTreeSet::from([selector]))
        } else {
            let Some(sets) = self.daemon_sets(api).await? else {
                return Ok(facts);
            };
            let Some(first) = sets.first() else {
                // Unless EKS refused to tell of an add-on, whose DaemonSet may be on its way.
                if facts.kind == AgentKind::Unknown && addon.is_some() {
                    facts.kind = AgentKind::None;
                }
                facts.ready_nodes = Some(BTreeSet::new());
                return Ok(facts);
            };
            if facts.kind == AgentKind::Unknown {
                facts.kind = AgentKind::SelfManaged;
            }
            facts.version = version(first);
            let namespace = first.metadata.namespace.clone().unwrap_or_default();
            (namespace, sets.iter().filter_map(selector).collect())
        };
        facts.ready_nodes = self.ready_nodes(api, &namespace, &selectors).await?;
        Ok(facts)
    }

    /// The agent's DaemonSets (the chart has another one for hybrid nodes), all in one namespace, the main one first;
    /// `None`: refused.
    async fn daemon_sets(&self, api: &ClusterApi) -> Result<Option<Vec<DaemonSet>>, AwsError> {
        for (scope, wanted) in [
            (Scope::Namespace(KUBE_SYSTEM), Wanted::DAEMON_SETS),
            (Scope::Cluster, Wanted::ALL_DAEMON_SETS),
        ] {
            match api
                .list::<DaemonSet>(&self.context.cancel, scope, None)
                .await
            {
                Ok(sets) => {
                    let found = agents(sets);
                    if !found.is_empty() || scope == Scope::Cluster {
                        return Ok(Some(found));
                    }
                }
                Err(error) => return self.gaps.kubernetes(wanted, &error),
            }
        }
        Ok(None)
    }

    async fn ready_nodes(
        &self,
        api: &ClusterApi,
        namespace: &str,
        selectors: &BTreeSet<String>,
    ) -> Result<Option<BTreeSet<String>>, AwsError> {
        let mut nodes = BTreeSet::new();
        for selector in selectors {
            let scope = Scope::Namespace(namespace);
            match api
                .list::<Pod>(&self.context.cancel, scope, Some(selector))
                .await
            {
                Ok(pods) => nodes.extend(pods.into_iter().filter_map(ready_on)),
                Err(error) => return self.gaps.kubernetes(Wanted::AGENT_PODS, &error),
            }
        }
        Ok(Some(nodes))
    }
}

/// Something in Kubernetes, and the permission that reading it takes.
#[derive(Clone, Copy)]
struct Wanted {
    what: &'static str,
    verb: &'static str,
    group: &'static str,
    resource: &'static str,
    whole_cluster: bool,
}

impl Wanted {
    const NODES: Self = Self {
        what: "nodes",
        verb: "list",
        group: "",
        resource: "nodes",
        whole_cluster: true,
    };
    const AGENT_PODS: Self = Self {
        what: "the agent's pods",
        verb: "list",
        group: "",
        resource: "pods",
        whole_cluster: false,
    };
    const DAEMON_SETS: Self = Self {
        what: "DaemonSets",
        verb: "list",
        group: "apps",
        resource: "daemonsets",
        whole_cluster: false,
    };
    const ALL_DAEMON_SETS: Self = Self {
        what: "DaemonSets outside of kube-system",
        whole_cluster: true,
        ..Self::DAEMON_SETS
    };
    const WEBHOOK: Self = Self {
        what: "the webhook's configuration",
        verb: "get",
        group: "admissionregistration.k8s.io",
        resource: "mutatingwebhookconfigurations",
        whole_cluster: true,
    };

    /// Why it was not read. A function of what rarely changes: findings are part of plans.
    fn why(self, error: &KubernetesError) -> String {
        let Self {
            verb,
            group,
            resource,
            whole_cluster,
            ..
        } = self;
        match error.kind() {
            KubernetesErrorKind::Forbidden => {
                let role = if whole_cluster {
                    "a ClusterRole"
                } else {
                    "a Role in the agent's namespace"
                };
                format!(
                    "the Kubernetes permission to {verb} {resource} is missing ({role} with {{apiGroups: [{group:?}], \
                     resources: [{resource:?}], verbs: [{verb:?}]}})."
                )
            }
            KubernetesErrorKind::Unauthorized => {
                "the cluster does not accept the credentials. Give them an EKS access entry, or set the provider's \
                 kubernetes block."
                    .to_owned()
            }
            KubernetesErrorKind::Throttled
            | KubernetesErrorKind::Unavailable
            | KubernetesErrorKind::Timeout => {
                "the Kubernetes API cannot be reached, or does not answer as it should. A private endpoint needs a way \
                 into the cluster's network."
                    .to_owned()
            }
            KubernetesErrorKind::NotYetKnown => {
                "the provider's configuration is not known yet.".to_owned()
            }
            KubernetesErrorKind::Configuration => sentence(error.message().to_owned()),
            KubernetesErrorKind::Aws => {
                "AWS did not say how to reach the Kubernetes API, or there are no credentials for it."
                    .to_owned()
            }
            _ => "the Kubernetes API gave an unexpected answer, which the provider's log holds.".to_owned(),
        }
    }
}

/// What was not read: things by the reason.
#[derive(Default)]
struct Gaps(Mutex<BTreeMap<String, Vec<&'static str>>>);

impl Gaps {
    fn add(&self, what: &'static str, why: String) {
        // A list is whole after every push.
        let mut gaps = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        gaps.entry(why).or_default().push(what);
    }

    /// Nothing, if AWS refuses; other errors stay errors, since asking again may help.
    fn refused<T>(&self, what: &'static str, error: AwsError) -> Result<Option<T>, AwsError> {
        match error.kind() {
            AwsErrorKind::AccessDenied => {
                let action = error.action().unwrap_or_default();
                self.add(what, format!("the AWS permission {action} is missing."));
                Ok(None)
            }
            _ => Err(error),
        }
    }

    /// Nothing, whatever goes wrong in Kubernetes, unless Terraform asked to stop.
    fn kubernetes<T>(
        &self,
        wanted: Wanted,
        error: &KubernetesError,
    ) -> Result<Option<T>, AwsError> {
        if error.is_cancelled() {
            return Err(AwsError::cancelled());
        }
        tracing::warn!(what = wanted.what, %error, "could not be read");
        self.add(wanted.what, wanted.why(error));
        Ok(None)
    }

    fn sentences(self) -> BTreeSet<String> {
        let gaps = self.0.into_inner().unwrap_or_else(PoisonError::into_inner);
        gaps.into_iter()
            .map(|(why, mut what)| {
                what.sort_unstable();
                what.dedup();
                let list = match what.as_slice() {
                    [first @ .., last] if !first.is_empty() => {
                        format!("{} and {last}", first.join(", "))
                    }
                    others => others.concat(),
                };
                capitalised(&format!("{list} could not be read: {why}"))
            })
            .collect()
    }
}

fn sentence(mut text: String) -> String {
    if !text.ends_with('.') {
        text.push('.');
    }
    text
}

fn fargate_profile(profile: &aws_sdk_eks::types::FargateProfile) -> FargateProfileFacts {
    let selectors = profile.selectors().iter().map(|selector| {
        let labels = selector.labels().cloned().unwrap_or_default();
        let namespace = selector.namespace().unwrap_or_default().to_owned();
        (namespace, labels.into_iter().collect())
    });
    FargateProfileFacts {
        name: profile
            .fargate_profile_name()
            .unwrap_or_default()
            .to_owned(),
        selectors: selectors.collect(),
    }
}

/// What the configuration of the webhook says of it.
fn webhook(configuration: &MutatingWebhookConfiguration, now: UnixTime) -> WebhookFacts {
    let webhooks = configuration.webhooks.iter().flatten();
    let mut found = WebhookFacts::Missing;
    for webhook in webhooks {
        let bundle = webhook.client_config.ca_bundle.as_ref();
        found = match bundle.map(|bundle| bundle.0.as_slice()) {
            None | Some([]) => WebhookFacts::NoAuthority,
            Some(pem) if has_expired(pem, now) => WebhookFacts::AuthorityExpired,
            Some(_) => return WebhookFacts::Usable,
        };
    }
    found
}

/// Whether every certificate of a bundle has expired. What cannot be read as one has not.
fn has_expired(pem: &[u8], now: UnixTime) -> bool {
    let mut certificates = CertificateDer::pem_slice_iter(pem).peekable();
    certificates.peek().is_some()
        && certificates
            .all(|certificate| certificate.is_ok_and(|certificate| is_expired(&certificate, now)))
}

/// Whether a certificate has expired. Asks the verifier, which looks at the dates before anything else, with the certificate as
/// its own authority: whatever else it finds wrong is of no concern here.
fn is_expired(certificate: &CertificateDer<'_>, now: UnixTime) -> bool {
    let mut roots = RootCertStore::empty();
    let crypto = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    if roots.add(certificate.clone().into_owned()).is_err() {
        return false;
    }
    let Ok(verifier) = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), crypto).build()
    else {
        return false;
    };
    let server = ServerName::IpAddress(std::net::Ipv4Addr::LOCALHOST.into());
    matches!(
        verifier.verify_server_cert(certificate, &[], &server, &[], now),
        Err(rustls::Error::InvalidCertificate(
            CertificateError::Expired | CertificateError::ExpiredContext { .. }
        ))
    )
}

/// A node as it is `now`, in seconds since 1970.
fn node(node: Node, now: i64) -> Option<(String, NodeFacts)> {
    let labels = node.metadata.labels.unwrap_or_default();
    let label = |name: &str| labels.get(name).map_or("", String::as_str);
    let compute = match label(COMPUTE_TYPE) {
        "fargate" => Compute::Fargate,
        "auto" => Compute::Auto,
        "hybrid" => Compute::Hybrid,
        _ => Compute::Ec2,
    };
    let windows = label(OS) == "windows";
    let created = node.metadata.creation_timestamp.as_ref();
    let joining = created.is_some_and(|time| now - time.0.as_second() < JOINING);
    let spec = node.spec.unwrap_or_default();
    let taints = spec.taints.into_iter().flatten();
    let conditions = node.status.and_then(|status| status.conditions);
    let ready = conditions
        .into_iter()
        .flatten()
        .any(|condition| condition.type_ == "Ready" && condition.status == "True");
    let facts = NodeFacts {
        labels,
        ready,
        joining,
        unschedulable: spec.unschedulable.unwrap_or_default(),
        taints: taints
            .filter(|taint| taint.effect != "PreferNoSchedule")
            .map(|taint| Taint {
                key: taint.key,
                value: taint.value.unwrap_or_default(),
                effect: taint.effect,
            })
            .collect(),
        windows,
        compute,
    };
    Some((node.metadata.name?, facts))
}

/// The node on which the pod is ready.
fn ready_on(pod: Pod) -> Option<String> {
    let conditions = pod.status.and_then(|status| status.conditions);
    let ready = conditions
        .into_iter()
        .flatten()
        .any(|condition| condition.type_ == "Ready" && condition.status == "True");
    let stays = pod.metadata.deletion_timestamp.is_none();
    pod.spec
        .and_then(|spec| spec.node_name)
        .filter(|_| ready && stays)
}

/// The agent's DaemonSets among others, all in one namespace, the main one first.
fn agents(sets: Vec<DaemonSet>) -> Vec<DaemonSet> {
    let named = |set: &DaemonSet| set.metadata.name.as_deref() == Some(AGENT);
    let labelled = |set: &DaemonSet| {
        let labels = set.metadata.labels.as_ref();
        labels
            .and_then(|labels| labels.get(NAME_LABEL))
            .is_some_and(|name| name == AGENT)
    };
    let mut found: Vec<DaemonSet> = sets
        .into_iter()
        .filter(|set| named(set) || labelled(set))
        .collect();
    found.sort_by_cached_key(|set| {
        let metadata = &set.metadata;
        (
            !named(set),
            metadata.namespace.clone(),
            metadata.name.clone(),
        )
    });
    if let Some(namespace) = found.first().map(|set| set.metadata.namespace.clone()) {
        found.retain(|set| set.metadata.namespace == namespace);
    }
    found
}

/// The label selector of a DaemonSet's pods.
fn selector(set: &DaemonSet) -> Option<String> {
    let labels = set.spec.as_ref()?.selector.match_labels.as_ref()?;
    let pairs: Vec<String> = labels
        .iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    (!pairs.is_empty()).then(|| pairs.join(","))
}

/// Tag of the image of a DaemonSet's first container.
fn version(set: &DaemonSet) -> Option<String> {
    let pod = set.spec.as_ref()?.template.spec.as_ref()?;
    let image = pod.containers.first()?.image.as_deref()?;
    let name = image.split('@').next().unwrap_or(image);
    let (_, tag) = name.rsplit_once(':')?;
    (!tag.contains('/')).then(|| tag.to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn daemon_set(namespace: &str, name: &str, label: &str, image: &str) -> DaemonSet {
        serde_json::from_value(json!({
            "metadata": {"namespace": namespace, "name": name, "labels": {NAME_LABEL: label}},
            "spec": {
                "selector": {"matchLabels": {"b": "2", "a": "1"}},
                "template": {"spec": {"containers": [{"name": "agent", "image": image}]}},
            },
        }))
        .unwrap()
    }

    #[test]
    fn agents_are_told_by_name_or_label() {
        let sets = |sets: &[(&str, &str, &str)]| {
            sets.iter()
                .map(|(namespace, name, label)| daemon_set(namespace, name, label, ""))
                .collect::<Vec<_>>()
        };
        let found = |given: &[(&str, &str, &str)]| {
            agents(sets(given))
                .into_iter()
                .map(|set| {
                    let metadata = set.metadata;
                    format!("{}/{}", metadata.namespace.unwrap(), metadata.name.unwrap())
                })
                .collect::<Vec<_>>()
        };
        assert!(found(&[("kube-system", "aws-node", "aws-node")]).is_empty());
        assert_eq!(
            found(&[
                ("kube-system", "eks-pod-identity-agent-hybrid", AGENT),
                ("kube-system", AGENT, ""),
                ("other", "copy", AGENT),
            ]),
            [
                "kube-system/eks-pod-identity-agent",
                "kube-system/eks-pod-identity-agent-hybrid"
            ]
        );
        assert_eq!(found(&[("security", "agent", AGENT)]), ["security/agent"]);
    }

    #[test]
    fn daemon_sets_tell_version_and_pods() {
        for (image, expected) in [
            ("registry:5000/eks/agent:v0.1.33", Some("v0.1.33")),
            ("registry/agent:v0.1.33@sha256:00", Some("v0.1.33")),
            ("registry:5000/agent", None),
            ("registry/agent@sha256:00", None),
        ] {
            let set = daemon_set("kube-system", AGENT, AGENT, image);
            assert_eq!(version(&set).as_deref(), expected, "{image}");
            assert_eq!(selector(&set).as_deref(), Some("a=1,b=2"));
        }
    }

    #[test]
    fn only_ready_pods_that_stay_count() {
        let pod = |ready: &str, deleted: Option<&str>| {
            let pod = json!({
                "metadata": {"name": "agent-1", "deletionTimestamp": deleted},
                "spec": {"nodeName": "n1", "containers": []},
                "status": {"conditions": [{"type": "Ready", "status": ready}]},
            });
            ready_on(serde_json::from_value(pod).unwrap())
        };
        assert_eq!(pod("True", None).as_deref(), Some("n1"));
        assert_eq!(pod("False", None), None);
        assert_eq!(pod("True", Some("2026-11-22T00:00:00Z")), None);
    }

    #[test]
    fn nodes_are_of_a_kind() {
        let node = |labels: serde_json::Value| {
            let node = json!({
                "metadata": {"name": "n1", "labels": labels},
                "status": {"conditions": [{"type": "Ready", "status": "Unknown"}]},
            });
            let (name, facts) = node_of(node);
            assert_eq!(name, "n1");
            assert!(!facts.ready);
            (facts.compute, facts.windows)
        };
        fn node_of(node: serde_json::Value) -> (String, NodeFacts) {
            super::node(serde_json::from_value(node).unwrap(), 0).unwrap()
        }
        assert_eq!(node(json!({})), (Compute::Ec2, false));
        assert_eq!(node(json!({OS: "windows"})), (Compute::Ec2, true));
        for (label, compute) in [
            ("ec2", Compute::Ec2),
            ("auto", Compute::Auto),
            ("fargate", Compute::Fargate),
            ("hybrid", Compute::Hybrid),
        ] {
            assert_eq!(node(json!({COMPUTE_TYPE: label, OS: "linux"})).0, compute);
        }
    }

    #[test]
    fn nodes_that_take_no_pods_yet_or_any_more() {
        let facts = |spec: serde_json::Value, now: i64| {
            let node = json!({
                "metadata": {"name": "n1", "creationTimestamp": "1970-01-01T01:00:00Z"},
                "spec": spec,
            });
            super::node(serde_json::from_value(node).unwrap(), now)
                .unwrap()
                .1
        };
        assert!(facts(json!({}), 3600 + 179).joining);
        let plain = facts(json!({}), 3600 + 180);
        assert!(!plain.joining && !plain.unschedulable && plain.taints.is_empty());
        let cordoned = facts(
            json!({"unschedulable": true, "taints": [
                {"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"},
                {"key": "spot", "value": "yes", "effect": "PreferNoSchedule"},
            ]}),
            7200,
        );
        assert!(cordoned.unschedulable);
        assert_eq!(
            cordoned.taints,
            [Taint {
                key: "node.kubernetes.io/unschedulable".to_owned(),
                value: String::new(),
                effect: "NoSchedule".to_owned(),
            }]
        );
    }

    /// A certificate as PEM, valid from the beginning of 2026 to that of another year.
    fn certificate(is_ca: bool, until: i32) -> String {
        let mut params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        if is_ca {
            params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        }
        params.not_before = rcgen::date_time_ymd(2026, 1, 1);
        params.not_after = rcgen::date_time_ymd(until, 1, 1);
        let key = rcgen::KeyPair::generate().unwrap();
        params.self_signed(&key).unwrap().pem()
    }

    #[test]
    fn webhooks_are_judged_by_their_authority() {
        const BEFORE: u64 = 1_767_000_000; // 2025-12-29
        const DURING: u64 = 1_790_000_000; // 2026-09-21
        const AFTER: u64 = 1_800_000_000; // 2027-01-15
        let at = |seconds| UnixTime::since_unix_epoch(std::time::Duration::from_secs(seconds));
        let webhook = |bundles: &[Option<&str>], seconds| {
            let webhooks: Vec<_> = bundles
                .iter()
                .map(|bundle| {
                    let bundle = bundle.map(|pem| k8s_openapi::ByteString(pem.into()));
                    json!({
                        "name": "iam-for-pods.amazonaws.com",
                        "clientConfig": {"url": "https://127.0.0.1:23443/mutate", "caBundle": bundle},
                        "admissionReviewVersions": ["v1beta1"],
                        "sideEffects": "None",
                    })
                })
                .collect();
            let configuration = json!({"metadata": {"name": WEBHOOK}, "webhooks": webhooks});
            super::webhook(&serde_json::from_value(configuration).unwrap(), at(seconds))
        };
        use WebhookFacts::{AuthorityExpired, Missing, NoAuthority, Usable};
        assert_eq!(webhook(&[], DURING), Missing);
        for bundle in [None, Some("")] {
            assert_eq!(webhook(&[bundle], DURING), NoAuthority, "{bundle:?}");
        }
        assert_eq!(webhook(&[Some("no certificate")], AFTER), Usable);
        for is_ca in [true, false] {
            let pem = certificate(is_ca, 2027);
            let pem = Some(pem.as_str());
            for (seconds, expected) in [
                (BEFORE, Usable),
                (DURING, Usable),
                (AFTER, AuthorityExpired),
            ] {
                assert_eq!(webhook(&[pem], seconds), expected, "{is_ca} {seconds}");
            }
            assert_eq!(webhook(&[None, pem], DURING), Usable);
        }
        let renewed = certificate(true, 2027) + &certificate(true, 2028);
        assert_eq!(webhook(&[Some(&renewed)], AFTER), Usable, "one is enough");
    }

    #[test]
    fn gaps_are_told_once_per_reason() {
        let gaps = Gaps::default();
        let lost = KubernetesError::new(KubernetesErrorKind::Unavailable, "10.0.0.1: 3 attempts");
        for wanted in [Wanted::WEBHOOK, Wanted::NODES, Wanted::NODES] {
            assert_eq!(gaps.kubernetes::<()>(wanted, &lost).unwrap(), None);
        }
        let forbidden = KubernetesError::new(KubernetesErrorKind::Forbidden, "no");
        gaps.kubernetes::<()>(Wanted::AGENT_PODS, &forbidden)
            .unwrap();
        let refused =
            AwsError::new(AwsErrorKind::AccessDenied, "no").in_call("EKS", "DescribeAddon");
        assert!(matches!(
            gaps.refused::<()>("the agent's add-on", refused),
            Ok(None)
        ));
        assert_eq!(
            gaps.sentences().into_iter().collect::<Vec<_>>(),
            [
                "Nodes and the webhook's configuration could not be read: the Kubernetes API cannot be reached, or does not \
                 answer as it should. A private endpoint needs a way into the cluster's network.",
                "The agent's add-on could not be read: the AWS permission eks:DescribeAddon is missing.",
                "The agent's pods could not be read: the Kubernetes permission to list pods is missing (a Role in the \
                 agent's namespace with {apiGroups: [\"\"], resources: [\"pods\"], verbs: [\"list\"]}).",
            ]
        );
        let gaps = Gaps::default();
        let cancelled = KubernetesError::new(KubernetesErrorKind::Cancelled, "");
        assert!(gaps.kubernetes::<()>(Wanted::NODES, &cancelled).is_err());
        let failed = AwsError::new(AwsErrorKind::Throttled, "");
        assert!(gaps.refused::<()>("", failed).is_err());
        assert!(gaps.sentences().is_empty());
    }
}
