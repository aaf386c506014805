//! Where the pods of a service account run, and what their templates say.

use std::collections::{BTreeMap, BTreeSet};

use super::{Unit, list};
use crate::migration::facts::{
    Compute, NamespaceFacts, NetworkPolicyFacts, NodeFacts, PodFacts, Restart, TemplateFacts,
    WorkloadFacts, WorkloadId,
};
use crate::migration::finding::{Code, Finding};
use crate::migration::readiness;

/// Where the agent listens.
const AGENT: &str = "169.254.170.23";
/// Pods with this annotation are not put on Fargate, whatever profiles say.
const COMPUTE_TYPE: &str = "eks.amazonaws.com/compute-type";
/// Annotation of pods: containers that the webhook leaves alone.
const SKIP_CONTAINERS: &str = "eks.amazonaws.com/skip-containers";
/// Label of pods: keeps the webhook from being called.
const SKIP_WEBHOOK: &str = "eks.amazonaws.com/skip-pod-identity-webhook";
/// Put on pods that have a network interface, and with it security groups, of their own.
const POD_ENI: &str = "vpc.amazonaws.com/pod-eni";
/// Where the webhook mounts the token of IRSA.
const TOKEN_DIRECTORY: &str = "/var/run/secrets/eks.amazonaws.com/serviceaccount";
/// The audience of tokens for IRSA.
const STS_AUDIENCE: &str = "sts.amazonaws.com";
/// Variables that the webhook puts into containers. Of a pod with a known template they say nothing that the template does not.
const INJECTED: [&str; 4] = [
    "AWS_ROLE_ARN",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
];

/// Adds what workloads and pods of the service account have in them that Pod Identity does not get along with.
pub fn check(unit: &Unit<'_>, findings: &mut Vec<Finding>) {
    let shapes = shapes(unit);
    let pods: Vec<&PodFacts> = pods(unit).collect();
    fargate(unit, &shapes, &pods, findings);
    windows(unit, &shapes, &pods, findings);
    hybrid(unit, &shapes, &pods, findings);
    hard_coded(unit, &shapes, &pods, findings);
    networks(unit, &shapes, &pods, findings);
    webhook(unit, &shapes, findings);
    restarts(unit, findings);
}

/// What the pods of one workload look like.
struct Shape<'a> {
    workload: &'a WorkloadId,
    template: &'a TemplateFacts,
}

/// Templates of the service account's workloads, and pods where the template is not known.
fn shapes<'a>(unit: &Unit<'a>) -> Vec<Shape<'a>> {
    let templates = unit
        .namespace
        .workloads_of(unit.service_account)
        .filter_map(|workload| {
            workload.template.as_ref().map(|template| Shape {
                workload: &workload.id,
                template,
            })
        });
    let mut shapes: Vec<Shape<'a>> = templates.collect();
    let known: BTreeSet<&WorkloadId> = shapes.iter().map(|shape| shape.workload).collect();
    let pods = pods(unit)
        .filter(|pod| !known.contains(&pod.workload))
        .map(|pod| Shape {
            workload: &pod.workload,
            template: &pod.spec,
        })
        .collect::<Vec<_>>();
    shapes.extend(pods);
    shapes
}

fn pods<'a>(unit: &Unit<'a>) -> impl Iterator<Item = &'a PodFacts> {
    unit.namespace
        .pods_of(unit.service_account)
        .filter(|pod| !pod.terminating)
}

/// Whether pods of the service account may run on a node, as far as their templates say. While there are none that are known, they
/// may run wherever they need not tolerate a taint.
pub(super) fn may_run_on(unit: &Unit<'_>, node: &NodeFacts) -> bool {
    let shapes = shapes(unit);
    let all_known = unit
        .namespace
        .workloads_of(unit.service_account)
        .all(|workload| shapes.iter().any(|shape| *shape.workload == workload.id));
    (!all_known || shapes.is_empty()) && node.admits(&[])
        || shapes.iter().any(|shape| shape.template.may_run_on(node))
}

/// What a workload is called. What comes and goes is not named: plan and apply must find the same (rule F2).
fn label(workload: &WorkloadId) -> String {
    match passing(&workload.kind) {
        Some(kind) => kind.to_owned(),
        None => workload.to_string(),
    }
}

/// What objects of a kind are called together, if they come and go; ReplicaSets do with each template of a Deployment.
#[must_use]
pub fn passing(kind: &str) -> Option<&'static str> {
    match kind {
        "Pod" | "" => Some("pods without a controller"),
        "Job" => Some("Jobs"),
        "ReplicaSet" => Some("ReplicaSets"),
        "Workflow" => Some("Workflows"),
        "TaskRun" => Some("TaskRuns"),
        "PipelineRun" => Some("PipelineRuns"),
        _ => None,
    }
}

/// The workloads for whose shape something holds, and the owners of pods for which something holds.
fn affected(
    shapes: &[Shape<'_>],
    holds: impl Fn(&TemplateFacts) -> bool,
    pods: &[&PodFacts],
    holds_for_pod: impl Fn(&PodFacts) -> bool,
) -> Option<String> {
    let templates = shapes
        .iter()
        .filter(|shape| holds(shape.template))
        .map(|shape| label(shape.workload));
    let pods = pods
        .iter()
        .filter(|pod| holds_for_pod(pod))
        .map(|pod| label(&pod.workload));
    list(templates.chain(pods))
}

fn fargate(unit: &Unit<'_>, shapes: &[Shape<'_>], pods: &[&PodFacts], findings: &mut Vec<Finding>) {
    const WHY: &str = "The EKS Pod Identity Agent does not run on Fargate, so pods there would get no credentials.";
    const ADVICE: &str = "Leave this service account on IRSA, or move its pods to EC2 first.";
    let on_fargate = |pod: &PodFacts| pod.fargate || compute(unit, pod) == Some(Compute::Fargate);
    if let Some(running) = affected(shapes, |_| false, pods, on_fargate) {
        findings.push(Finding::new(
            Code::Fargate,
            format!("Pods run on Fargate: {running}. {WHY} {ADVICE}"),
        ));
    }
    let Some(profiles) = &unit.cluster.fargate_profiles else {
        if unit.cluster.not_read.is_empty() {
            findings.push(Finding::new(
                Code::NotChecked,
                "Whether a Fargate profile selects the pods was not checked, because the profiles cannot be read.",
            ));
        }
        return;
    };
    for profile in profiles {
        let opted_out = |template: &TemplateFacts| {
            template.annotations.get(COMPUTE_TYPE).map(String::as_str) == Some("ec2")
        };
        // The scheduler of Fargate leaves pods of DaemonSets alone: they stay on the nodes that their controller chose.
        let schedulable = |kind: &str| kind != "DaemonSet";
        let what = if shapes.is_empty() {
            // Pods that are not there yet: what labels they will have nobody knows, unless none are asked for.
            profile
                .selects(unit.namespace_name, &BTreeMap::new())
                .then(|| format!("every pod of the namespace {}", unit.namespace_name))
        } else {
            let selected = shapes.iter().filter(|shape| {
                schedulable(&shape.workload.kind)
                    && !opted_out(shape.template)
                    && profile.selects(unit.namespace_name, &shape.template.labels)
            });
            list(selected.map(|shape| label(shape.workload)))
        };
        if let Some(what) = what {
            findings.push(Finding::new(
                Code::Fargate,
                format!(
                    "The Fargate profile {} selects {what}. {WHY} {ADVICE}",
                    profile.name
                ),
            ));
        }
    }
}

/// What the pod's node is, if nodes are known.
fn compute(unit: &Unit<'_>, pod: &PodFacts) -> Option<Compute> {
    let nodes = unit.cluster.nodes.as_ref()?;
    nodes.get(pod.node.as_ref()?).map(|node| node.compute)
}

fn windows(unit: &Unit<'_>, shapes: &[Shape<'_>], pods: &[&PodFacts], findings: &mut Vec<Finding>) {
    let on_windows = |pod: &PodFacts| {
        let node = unit.cluster.nodes.as_ref().zip(pod.node.as_ref());
        node.and_then(|(nodes, name)| nodes.get(name))
            .is_some_and(|node| node.windows)
    };
    if let Some(what) = affected(shapes, |template| template.windows, pods, on_windows) {
        findings.push(Finding::new(
            Code::Windows,
            format!(
                "Pods are for Windows nodes, on which the EKS Pod Identity Agent does not run: {what}. Leave this service account \
                 on IRSA, or give the Windows workloads a service account of their own."
            ),
        ));
    }
}

fn hybrid(unit: &Unit<'_>, shapes: &[Shape<'_>], pods: &[&PodFacts], findings: &mut Vec<Finding>) {
    let on_hybrid = |pod: &PodFacts| compute(unit, pod) == Some(Compute::Hybrid);
    let nodes = unit.cluster.nodes.iter().flat_map(BTreeMap::values);
    let covered = nodes
        .into_iter()
        .any(|node| node.compute == Compute::Hybrid)
        && unit.cluster.agent.ready_nodes.is_some()
        && readiness::hybrid_nodes(unit.cluster).is_none();
    if covered {
        return;
    }
    if let Some(what) = affected(shapes, |template| template.hybrid, pods, on_hybrid) {
        findings.push(Finding::new(
            Code::HybridNodes,
            format!(
                "Pods run, or may run, on hybrid nodes: {what}. Those need the agent's DaemonSet for hybrid nodes, which the add-on \
                 leaves off by default; switch it on before the migration."
            ),
        ));
    }
}

fn hard_coded(
    unit: &Unit<'_>,
    shapes: &[Shape<'_>],
    pods: &[&PodFacts],
    findings: &mut Vec<Finding>,
) {
    let mut variables: BTreeMap<String, BTreeSet<(String, String)>> = BTreeMap::new();
    let mut add = |workload: &WorkloadId, variable: &str, container: &str| {
        variables
            .entry(label(workload))
            .or_default()
            .insert((variable.to_owned(), container.to_owned()));
    };
    for shape in shapes {
        for (container, variable) in &shape.template.credential_variables {
            add(shape.workload, variable, container);
        }
    }
    // Something else may put keys into pods that their templates know nothing of.
    for pod in pods {
        for (container, variable) in &pod.spec.credential_variables {
            if !INJECTED.contains(&variable.as_str()) {
                add(&pod.workload, variable, container);
            }
        }
    }
    let never = |_: &PodFacts| false;
    if let Some(what) = affected(shapes, |it| !it.token_paths.is_empty(), &[], never) {
        findings.push(Finding::new(
            Code::HardCodedCredentials,
            format!(
                "Containers are told to use the token of IRSA under {TOKEN_DIRECTORY}, in a variable, the command or its arguments: \
                 {what} in namespace {}. With an association the webhook does not mount it any more. Let them find credentials as \
                 AWS SDKs do, or mount a token there in the pod template.",
                unit.namespace_name
            ),
        ));
    }
    if let Some(what) = affected(shapes, |it| !it.profile_variables.is_empty(), &[], never) {
        findings.push(Finding::new(
            Code::AwsProfile,
            format!(
                "AWS_PROFILE, AWS_CONFIG_FILE or AWS_SHARED_CREDENTIALS_FILE is set: {what}. Where that profile has keys, or a role \
                 with a token file, SDKs use those and not Pod Identity. Check the files, or remove the variables from the pod \
                 template."
            ),
        ));
    }
    for (workload, variables) in variables {
        let Some(names) = list(
            variables
                .iter()
                .map(|(variable, container)| format!("{variable} (container {container})")),
        ) else {
            continue;
        };
        let container_credentials = variables
            .iter()
            .all(|(variable, _)| variable.starts_with("AWS_CONTAINER_"));
        let effect = if container_credentials {
            "The webhook leaves out what is set already, so these containers would not get what Pod Identity needs."
        } else {
            "AWS SDKs look there before they look at Pod Identity, so these containers would not use it, and a token file that \
             the webhook used to mount would be missing."
        };
        findings.push(Finding::new(
            Code::HardCodedCredentials,
            format!(
                "Credential variables are set for {workload} in namespace {}: {names}. {effect} Remove them from the pod template; \
                 the webhook sets what is needed.",
                unit.namespace_name
            ),
        ));
    }
}

fn networks(
    unit: &Unit<'_>,
    shapes: &[Shape<'_>],
    pods: &[&PodFacts],
    findings: &mut Vec<Finding>,
) {
    let never = |_: &PodFacts| false;
    if let Some(what) = affected(shapes, |template| template.host_network, pods, never) {
        findings.push(Finding::new(
            Code::HostNetwork,
            format!(
                "Pods use the network of their node: {what}. Some had trouble reaching the agent at {AGENT} from there; migrate \
                 them on their own and watch them."
            ),
        ));
    }
    if let Some(what) = affected(shapes, TemplateFacts::uses_proxy_for_agent, pods, never) {
        findings.push(Finding::new(
            Code::Proxy,
            format!(
                "Containers use a proxy without leaving the agent out: {what}. Add {AGENT} and [fd00:ec2::23] to NO_PROXY of the \
                 pod template."
            ),
        ));
    }
    let own_interface = |template: &TemplateFacts| template.annotations.contains_key(POD_ENI);
    if let Some(what) = affected(shapes, own_interface, pods, |pod| own_interface(&pod.spec)) {
        findings.push(Finding::new(
            Code::SecurityGroupsForPods,
            format!(
                "Pods have security groups of their own: {what}. They reach the agent only with \
                 POD_SECURITY_GROUP_ENFORCING_MODE=standard on the VPC CNI plugin (DaemonSet aws-node), which by default is strict."
            ),
        ));
    }
    let not_read = shapes.iter().flat_map(|shape| {
        let sources = shape.template.env_not_read.iter();
        sources.map(|source| format!("{source} ({})", label(shape.workload)))
    });
    if let Some(what) = list(not_read) {
        findings.push(Finding::new(
            Code::NotChecked,
            format!(
                "Variables of containers come from what was not looked at (Secrets never are, ConfigMaps if they may be read): {what}. \
                 Make sure that they set neither credentials of AWS nor a proxy for the agent at {AGENT}."
            ),
        ));
    }
    let mut blocked: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for shape in shapes.iter().filter(|shape| !shape.template.host_network) {
        for policy in blocking(unit, &shape.template.labels) {
            blocked
                .entry(&policy.name)
                .or_default()
                .insert(label(shape.workload));
        }
    }
    for (policy, workloads) in blocked {
        let Some(workloads) = list(workloads) else {
            continue;
        };
        findings.push(Finding::new(
            Code::NetworkPolicy,
            format!(
                "The network policy {policy} may keep pods from the agent: {workloads}. Allow egress to {AGENT}/32, TCP port 80 \
                 (with IPv6 also fd00:ec2::23/128)."
            ),
        ));
    }
}

/// The policies that keep pods with these labels from the agent. What one policy allows is allowed, so there are none if any of
/// those that select the pods lets them through.
fn blocking<'a>(unit: &Unit<'a>, labels: &BTreeMap<String, String>) -> Vec<&'a NetworkPolicyFacts> {
    let policies = &unit.namespace.network_policies;
    let allows = |policy: &NetworkPolicyFacts| match unit.cluster.cluster.ipv6 {
        true => policy.allows_agent_ipv6,
        false => policy.allows_agent,
    };
    let selecting = || policies.iter().filter(|policy| policy.pods.matches(labels));
    if selecting().any(allows) {
        return Vec::new();
    }
    selecting().collect()
}

fn webhook(unit: &Unit<'_>, shapes: &[Shape<'_>], findings: &mut Vec<Finding>) {
    let never = |_: &PodFacts| false;
    if let Some(what) = affected(shapes, TemplateFacts::is_skipped, &[], never) {
        findings.push(Finding::new(
            Code::SkippedByWebhook,
            format!(
                "The webhook is told to leave the pods alone, so it gives them no credentials, neither today nor after the \
                 migration: {what}. If they need AWS, remove the label {SKIP_WEBHOOK} and the annotation {SKIP_CONTAINERS}."
            ),
        ));
    }
    let partly = |template: &TemplateFacts| {
        !template.skipped_containers.is_empty() && !template.is_skipped()
    };
    if let Some(what) = affected(shapes, partly, &[], never) {
        findings.push(Finding::new(
            Code::SkippedByWebhook,
            format!(
                "The annotation {SKIP_CONTAINERS} leaves containers without credentials: {what}. The migration does not change \
                 that, and does not wait for those containers."
            ),
        ));
    }
    let audience = unit
        .account()
        .and_then(|account| account.audience())
        .unwrap_or(STS_AUDIENCE);
    let mounts = |template: &TemplateFacts| {
        template.token_audiences.contains(STS_AUDIENCE)
            || template.token_audiences.contains(audience)
    };
    if let Some(what) = affected(shapes, mounts, &[], never) {
        findings.push(Finding::new(
            Code::ProjectedToken,
            format!(
                "Pod templates mount a service account token for the audience {audience} themselves: {what}. What uses it \
                 keeps using IRSA after the migration, so change it before the trust is retired."
            ),
        ));
    }
}

fn restarts(unit: &Unit<'_>, findings: &mut Vec<Finding>) {
    findings.extend(manual_restart(unit.namespace, unit.service_account, |_| {
        true
    }));
}

/// The workloads that the migration cannot restart, of those that count.
pub fn manual_restart(
    namespace: &NamespaceFacts,
    service_account: &str,
    counts: impl Fn(&WorkloadFacts) -> bool,
) -> Option<Finding> {
    let manual = namespace
        .workloads_of(service_account)
        .filter(|workload| counts(workload))
        .filter_map(|workload| match &workload.restart {
            Restart::Rolling => None,
            Restart::Unknown => Some(label(&workload.id)),
            Restart::Manual(why) if why.is_empty() || passing(&workload.id.kind).is_some() => {
                Some(label(&workload.id))
            }
            Restart::Manual(why) => Some(format!("{} ({why})", label(&workload.id))),
        });
    list(manual).map(|what| {
        Finding::new(
            Code::ManualRestart,
            format!(
                "The migration cannot restart {what}. Their running pods keep IRSA, which goes on working, until they are replaced \
                 or end; the migration is not verified before."
            ),
        )
    })
}
