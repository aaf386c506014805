//! Reduces pod templates and pods.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::{
    Affinity, Container, NodeSelectorTerm, Pod, PodSpec, PodTemplateSpec,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::migration::facts::{
    EnvFrom, Labels, PodCredentials, PodFacts, Requirement, Selector, TemplateFacts, Toleration,
    WorkloadId,
};

/// Label of pods that the webhook is not asked about, whatever its value.
const SKIP_LABEL: &str = "eks.amazonaws.com/skip-pod-identity-webhook";
/// Annotation of pods: names of containers that the webhook leaves alone, as a line of CSV.
const SKIP_CONTAINERS: &str = "eks.amazonaws.com/skip-containers";
const COMPUTE_TYPE: &str = "eks.amazonaws.com/compute-type";
const OPERATING_SYSTEM: [&str; 2] = ["kubernetes.io/os", "beta.kubernetes.io/os"];
const FARGATE_PROFILE: &str = "eks.amazonaws.com/fargate-profile";
/// Annotation of pods that the kubelet made of a file. They cannot use service accounts.
const MIRROR: &str = "kubernetes.io/config.mirror";

const ROLE: &str = "AWS_ROLE_ARN";
const TOKEN_FILE: &str = "AWS_WEB_IDENTITY_TOKEN_FILE";
const FULL_URI: &str = "AWS_CONTAINER_CREDENTIALS_FULL_URI";
const AUTHORIZATION_FILE: &str = "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE";
const ACCESS_KEY: &str = "AWS_ACCESS_KEY_ID";

/// Variables that decide where an SDK gets credentials.
pub(super) const CREDENTIAL_VARIABLES: [&str; 8] = [
    ACCESS_KEY,
    "AWS_SECRET_ACCESS_KEY",
    ROLE,
    TOKEN_FILE,
    FULL_URI,
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN",
    AUTHORIZATION_FILE,
];

/// Variables that make SDKs take credentials from files, where a profile may have keys or roles of its own.
pub(super) const PROFILE_VARIABLES: [&str; 3] = [
    "AWS_PROFILE",
    "AWS_CONFIG_FILE",
    "AWS_SHARED_CREDENTIALS_FILE",
];

/// The directory into which the webhook mounts the token of IRSA. With an association it does not.
const TOKEN_DIRECTORY: &str = "/var/run/secrets/eks.amazonaws.com/serviceaccount";

/// Attribute of volumes of the Secrets Store CSI driver: the SecretProviderClass.
const SECRET_PROVIDER_CLASS: &str = "secretProviderClass";

/// What the webhook puts into a pod: the variables, the volume, and the file under which the token is mounted.
struct Injection {
    variables: [&'static str; 2],
    volume: &'static str,
    token: &'static str,
}

const INJECTIONS: [Injection; 2] = [
    Injection {
        variables: [ROLE, TOKEN_FILE],
        volume: "aws-iam-token",
        token: "/var/run/secrets/eks.amazonaws.com/serviceaccount/token",
    },
    Injection {
        variables: [FULL_URI, AUTHORIZATION_FILE],
        volume: "eks-pod-identity-token",
        token: "/var/run/secrets/pods.eks.amazonaws.com/serviceaccount/eks-pod-identity-token",
    },
];

pub(super) const PROXIES: [&str; 6] = [
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "http_proxy",
    "https_proxy",
    "all_proxy",
];

/// Addresses of the EKS Pod Identity Agent.
pub(super) const AGENT_ADDRESSES: [&str; 2] = ["169.254.170.23", "fd00:ec2::23"];

/// The service account of a pod: unset means `default`.
pub(super) fn service_account(spec: &PodSpec) -> &str {
    spec.service_account_name
        .as_deref()
        .or(spec.service_account.as_deref())
        .filter(|name| !name.is_empty())
        .unwrap_or("default")
}

/// What a workload's pod template says: its service account, and the rest. A template without a specification, which no API
/// server accepts, is nothing.
pub(super) fn template(template: &PodTemplateSpec) -> Option<(String, TemplateFacts)> {
    let spec = template.spec.as_ref()?;
    let nothing = ObjectMeta::default();
    let meta = template.metadata.as_ref().unwrap_or(&nothing);
    Some((
        service_account(spec).to_owned(),
        reduce(meta, spec, Origin::Template),
    ))
}

/// A pod, with the workload that its owner is as far as the pod can tell; `None` if it has ended, or cannot have a service
/// account.
pub(super) fn pod(pod: &Pod) -> Option<PodFacts> {
    let spec = pod.spec.as_ref()?;
    let status = pod.status.as_ref();
    let phase = status.and_then(|status| status.phase.as_deref());
    if matches!(phase, Some("Succeeded" | "Failed"))
        || pod
            .metadata
            .annotations
            .as_ref()
            .is_some_and(|a| a.contains_key(MIRROR))
    {
        return None;
    }
    let name = pod.metadata.name.clone().unwrap_or_default();
    let node = spec.node_name.clone().filter(|node| !node.is_empty());
    let facts = reduce(&pod.metadata, spec, Origin::Pod);
    let fargate = facts.labels.contains_key(FARGATE_PROFILE)
        || spec.scheduler_name.as_deref() == Some("fargate-scheduler")
        || node
            .as_deref()
            .is_some_and(|node| node.starts_with("fargate-"));
    let condition = |kind: &str| {
        status
            .and_then(|status| status.conditions.as_ref())
            .into_iter()
            .flatten()
            .any(|condition| condition.type_ == kind && condition.status == "True")
    };
    let restarts = status.map_or(0, |status| {
        [&status.container_statuses, &status.init_container_statuses]
            .into_iter()
            .flatten()
            .flatten()
            .map(|container| i64::from(container.restart_count))
            .sum()
    });
    let last_restart = status
        .and_then(|status| status.container_statuses.as_ref())
        .into_iter()
        .flatten()
        .filter(|container| container.restart_count > 0)
        .flat_map(|container| {
            let running = container.state.as_ref().and_then(|it| it.running.as_ref());
            let last = container.last_state.as_ref();
            let last = last.and_then(|it| it.terminated.as_ref());
            [
                running.and_then(|it| it.started_at.as_ref()),
                last.and_then(|it| it.finished_at.as_ref()),
            ]
        })
        .flatten()
        .map(|time| time.0.as_second())
        .max();
    Some(PodFacts {
        uid: pod.metadata.uid.clone().unwrap_or_default(),
        service_account: service_account(spec).to_owned(),
        workload: WorkloadId {
            kind: "Pod".into(),
            name: name.clone(),
        },
        name,
        node,
        credentials: credentials(pod, spec, &facts.skipped_containers),
        ready: condition("Ready"),
        terminating: pod.metadata.deletion_timestamp.is_some(),
        restarts,
        last_restart,
        created: pod
            .metadata
            .creation_timestamp
            .as_ref()
            .map_or(0, |time| time.0.as_second()),
        fargate,
        spec: facts,
    })
}

/// Whether a specification is what somebody wrote, or what became of it.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Origin {
    Template,
    /// The webhook has been there: what it injects is not the pod's own.
    Pod,
}

fn containers(spec: &PodSpec) -> impl Iterator<Item = &Container> {
    spec.init_containers
        .iter()
        .flatten()
        .chain(&spec.containers)
}

fn reduce(meta: &ObjectMeta, spec: &PodSpec, origin: Origin) -> TemplateFacts {
    let labels = meta.labels.clone().unwrap_or_default();
    let annotations = meta.annotations.clone().unwrap_or_default();
    let names: BTreeSet<String> = containers(spec).map(|c| c.name.clone()).collect();
    let skipped = if labels.contains_key(SKIP_LABEL) {
        names.clone()
    } else {
        let listed = annotations.get(SKIP_CONTAINERS).map(|csv| fields(csv));
        let listed = listed.unwrap_or_default();
        names.intersection(&listed).cloned().collect()
    };
    let nodes = nodes(spec);
    let any_demands = |key: &str, value: &str| nodes.iter().any(|node| node.demands(key, value));
    TemplateFacts {
        host_network: spec.host_network.unwrap_or_default(),
        windows: spec.os.as_ref().is_some_and(|os| os.name == "windows")
            || OPERATING_SYSTEM
                .iter()
                .any(|key| any_demands(key, "windows")),
        hybrid: any_demands(COMPUTE_TYPE, "hybrid"),
        credential_variables: credential_variables(spec, origin),
        profile_variables: variables_set(spec, &PROFILE_VARIABLES),
        token_paths: token_paths(spec, origin),
        tolerations: spec.tolerations.iter().flatten().map(toleration).collect(),
        proxied: containers(spec)
            .filter(|c| PROXIES.iter().any(|name| is_set(c, name)))
            .map(|c| c.name.clone())
            .collect(),
        no_proxy: containers(spec)
            .filter_map(|c| Some((c.name.clone(), no_proxy(|name| variable(c, name))?)))
            .collect(),
        env_from: env_from(spec),
        env_not_read: BTreeSet::new(),
        token_audiences: token_audiences(spec, origin),
        csi_volumes: volumes(spec)
            .filter_map(|volume| volume.csi.as_ref())
            .map(|csi| {
                let attributes = csi.volume_attributes.as_ref();
                let class = attributes.and_then(|a| a.get(SECRET_PROVIDER_CLASS));
                (csi.driver.clone(), class.cloned())
            })
            .collect(),
        labels,
        annotations,
        containers: names,
        skipped_containers: skipped,
        nodes,
    }
}

fn volumes(spec: &PodSpec) -> impl Iterator<Item = &k8s_openapi::api::core::v1::Volume> {
    spec.volumes.iter().flatten()
}

/// The fields of a line of CSV, spaces around them left out; none if it cannot be read, as the webhook then skips nothing.
fn fields(csv: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for field in csv.split(',') {
        let field = field.trim();
        let inner = match field.strip_prefix('"') {
            Some(rest) => rest.strip_suffix('"'),
            None => Some(field),
        };
        match inner {
            Some(name) if !name.contains('"') => names.insert(name.to_owned()),
            _ => return BTreeSet::new(),
        };
    }
    names
}

/// Node selector and required affinity as alternatives. Terms of an affinity are alternatives, each together with the node
/// selector. What a term says about fields is left out: only pods of DaemonSets have that, for one node each.
fn nodes(spec: &PodSpec) -> Vec<Selector> {
    let labels: Labels = spec.node_selector.clone().unwrap_or_default();
    let terms = required_terms(spec.affinity.as_ref());
    let alternatives: Vec<Selector> = if terms.is_empty() {
        vec![Selector {
            labels,
            requirements: Vec::new(),
        }]
    } else {
        terms
            .iter()
            .map(|term| Selector {
                labels: labels.clone(),
                requirements: term
                    .match_expressions
                    .iter()
                    .flatten()
                    .filter_map(|it| {
                        Requirement::parse(&it.key, &it.operator, it.values.as_deref())
                    })
                    .collect(),
            })
            .collect()
    };
    if alternatives.contains(&Selector::default()) {
        return Vec::new();
    }
    alternatives
}

fn required_terms(affinity: Option<&Affinity>) -> &[NodeSelectorTerm] {
    affinity
        .and_then(|affinity| affinity.node_affinity.as_ref())
        .and_then(|nodes| {
            nodes
                .required_during_scheduling_ignored_during_execution
                .as_ref()
        })
        .map_or(&[], |required| required.node_selector_terms.as_slice())
}

/// The value of a variable: `None` if it is not set, `Some("")` if it comes from somewhere else.
fn variable<'a>(container: &'a Container, name: &str) -> Option<&'a str> {
    // Of several entries the last one counts.
    container
        .env
        .iter()
        .flatten()
        .rfind(|variable| variable.name == name)
        .map(|variable| variable.value.as_deref().unwrap_or_default())
}

fn is_set(container: &Container, name: &str) -> bool {
    variable(container, name).is_some()
}

fn is_file(container: &Container, name: &str, path: &str) -> bool {
    variable(container, name).is_some_and(|value| {
        // On Windows the webhook writes C:\var\run\…
        value == path
            || value
                .strip_prefix("C:")
                .map(|p| p.replace('\\', "/"))
                .as_deref()
                == Some(path)
    })
}

fn credential_variables(spec: &PodSpec, origin: Origin) -> BTreeSet<(String, String)> {
    let mut found = BTreeSet::new();
    for container in containers(spec) {
        for name in CREDENTIAL_VARIABLES {
            if is_set(container, name)
                && !(origin == Origin::Pod && was_injected(spec, container, name))
            {
                found.insert((container.name.clone(), name.to_owned()));
            }
        }
    }
    found
}

fn variables_set(spec: &PodSpec, names: &[&str]) -> BTreeSet<(String, String)> {
    containers(spec)
        .flat_map(|container| names.iter().map(move |name| (container, *name)))
        .filter(|(container, name)| is_set(container, name))
        .map(|(container, name)| (container.name.clone(), name.to_owned()))
        .collect()
}

/// Containers that name the place of IRSA's token elsewhere than in the variable for it, and mount nothing there themselves. `/var/run`
/// is usually a link to `/run`.
fn token_paths(spec: &PodSpec, origin: Origin) -> BTreeSet<String> {
    let names_it = |text: &str| text.contains(TOKEN_DIRECTORY.trim_start_matches("/var"));
    let injected = |volume: &str| origin == Origin::Pod && volume == INJECTIONS[0].volume;
    containers(spec)
        .filter(|container| {
            let values = container
                .env
                .iter()
                .flatten()
                .filter(|variable| variable.name != TOKEN_FILE)
                .filter_map(|variable| variable.value.as_deref());
            let words = [&container.command, &container.args].into_iter().flatten();
            values
                .chain(words.flatten().map(String::as_str))
                .any(names_it)
        })
        .filter(|container| {
            !container
                .volume_mounts
                .iter()
                .flatten()
                .any(|mount| names_it(&mount.mount_path) && !injected(&mount.name))
        })
        .map(|container| container.name.clone())
        .collect()
}

fn toleration(toleration: &k8s_openapi::api::core::v1::Toleration) -> Toleration {
    let set = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    Toleration {
        key: set(&toleration.key),
        any_value: !matches!(toleration.operator.as_deref(), None | Some("" | "Equal")),
        value: toleration.value.clone().unwrap_or_default(),
        effect: set(&toleration.effect),
    }
}

/// Whether the webhook set a variable of a pod: the token is where the webhook puts it, and is mounted there.
fn was_injected(spec: &PodSpec, container: &Container, variable: &str) -> bool {
    INJECTIONS.iter().any(|injection| {
        injection.variables.contains(&variable)
            && injection
                .variables
                .iter()
                .all(|name| is_set(container, name))
            && is_file(container, injection.variables[1], injection.token)
            && volumes(spec).any(|volume| volume.name == injection.volume)
            && container
                .volume_mounts
                .iter()
                .flatten()
                .any(|mount| mount.name == injection.volume)
    })
}

fn token_audiences(spec: &PodSpec, origin: Origin) -> BTreeSet<String> {
    volumes(spec)
        .filter(|volume| {
            origin == Origin::Template || !INJECTIONS.iter().any(|i| i.volume == volume.name)
        })
        .filter_map(|volume| volume.projected.as_ref())
        .flat_map(|projected| projected.sources.iter().flatten())
        .filter_map(|source| source.service_account_token.as_ref())
        .filter_map(|token| token.audience.clone())
        .collect()
}

/// Whether `NO_PROXY`, in either spelling, leaves the agent out; `None` if it is not set.
pub(super) fn no_proxy<'a>(variable: impl Fn(&str) -> Option<&'a str>) -> Option<bool> {
    ["NO_PROXY", "no_proxy"]
        .into_iter()
        .filter_map(variable)
        .map(leaves_agent_out)
        .reduce(|a, b| a || b)
}

/// The variables of containers that ConfigMaps and Secrets hold.
fn env_from(spec: &PodSpec) -> Vec<EnvFrom> {
    containers(spec)
        .flat_map(|container| {
            let sources = container.env_from.iter().flatten();
            sources.map(move |source| (container, source))
        })
        .filter_map(|(container, source)| {
            let config_map = source.config_map_ref.as_ref().map(|it| (false, &it.name));
            let secret = source.secret_ref.as_ref().map(|it| (true, &it.name));
            let (is_secret, name) = config_map.or(secret)?;
            Some(EnvFrom {
                container: container.name.clone(),
                is_secret,
                name: name.clone(),
                prefix: source.prefix.clone().unwrap_or_default(),
            })
        })
        .collect()
}

fn leaves_agent_out(no_proxy: &str) -> bool {
    no_proxy.split([',', ' ']).any(|entry| {
        let host = entry.trim();
        let host = host.strip_suffix(":80").unwrap_or(host);
        let host = host.trim_start_matches('[').trim_end_matches(']');
        host == "*" || AGENT_ADDRESSES.contains(&host)
    })
}

/// Where the containers of a pod get credentials. Init containers that are done do not count: only new pods run them.
fn credentials(pod: &Pod, spec: &PodSpec, skipped: &BTreeSet<String>) -> PodCredentials {
    let done = |container: &Container| {
        container.restart_policy.as_deref() != Some("Always")
            && pod
                .status
                .iter()
                .flat_map(|status| status.init_container_statuses.iter().flatten())
                .filter(|status| status.name == container.name)
                .filter_map(|status| status.state.as_ref()?.terminated.as_ref())
                .any(|terminated| terminated.exit_code == 0)
    };
    let live = spec
        .init_containers
        .iter()
        .flatten()
        .filter(|container| !done(container))
        .chain(&spec.containers);
    let (mut with, mut without, mut left_out) = (false, false, false);
    for container in live {
        // Static keys come before web identity, and that before the agent, in the chains of all SDKs.
        let keys = is_set(container, ACCESS_KEY);
        if !keys && is_set(container, ROLE) && is_set(container, TOKEN_FILE) {
            return PodCredentials::WebIdentity;
        }
        if skipped.contains(&container.name) {
            left_out = true;
        } else if !keys && asks_agent(container) {
            with = true;
        } else {
            without = true;
        }
    }
    match (with, without, left_out) {
        (true, false, _) => PodCredentials::PodIdentity,
        (true, true, _) => PodCredentials::Partly,
        (false, false, true) => PodCredentials::LeftOut,
        (false, _, _) => PodCredentials::None,
    }
}

fn asks_agent(container: &Container) -> bool {
    let agent = variable(container, FULL_URI).is_some_and(|uri| {
        AGENT_ADDRESSES.iter().any(|address| {
            uri.strip_prefix("http://")
                .map(|rest| rest.trim_start_matches('['))
                .and_then(|rest| rest.strip_prefix(address))
                .is_some_and(|rest| rest.starts_with(['/', ']', ':']))
        })
    });
    agent && is_set(container, AUTHORIZATION_FILE)
}
