//! The cluster and its agent.

use super::*;

/// Adds a node with a taint, and no agent on it.
fn taint(case: &mut Case) {
    let tainted = NodeFacts {
        taints: vec![Taint {
            key: "karpenter.sh/disrupted".into(),
            value: String::new(),
            effect: "NoSchedule".into(),
        }],
        ..node()
    };
    let nodes = case.cluster.nodes.as_mut().unwrap();
    nodes.insert("tainted".into(), tainted);
}

/// What is spoiled, how, and the codes that come of it.
pub(super) const CASES: &[(&str, Spoil, &[Code])] = &[
    // The cluster.
    (
        "updating",
        |c| c.info().status = "UPDATING".into(),
        &[Code::ClusterNotActive],
    ),
    (
        "old Kubernetes",
        |c| c.info().version = "1.23".into(),
        &[Code::ClusterVersion],
    ),
    (
        "old platform",
        |c| {
            c.info().version = "1.28".into();
            c.info().platform_version = "eks.3".into();
        },
        &[Code::ClusterVersion],
    ),
    (
        "just new enough",
        |c| {
            c.info().version = "1.28".into();
            c.info().platform_version = "eks.4".into();
        },
        &[],
    ),
    (
        "no webhook",
        |c| c.cluster.webhook = Some(WebhookFacts::Missing),
        &[Code::WebhookMissing],
    ),
    (
        "webhook not read",
        |c| {
            c.cluster.webhook = None;
            c.cluster
                .not_read
                .insert("The webhook cannot be read.".into());
        },
        &[Code::NotChecked],
    ),
    // The agent (scenario 30).
    (
        "no agent",
        |c| {
            c.cluster.agent = AgentFacts {
                ready_nodes: Some(BTreeSet::new()),
                ..AgentFacts::default()
            }
        },
        &[Code::AgentMissing],
    ),
    (
        "nobody may tell whether there is an agent",
        |c| {
            c.cluster.agent = AgentFacts {
                kind: AgentKind::Unknown,
                ..AgentFacts::default()
            }
        },
        &[Code::NotChecked],
    ),
    (
        "by Helm",
        |c| {
            c.cluster.agent.kind = AgentKind::SelfManaged;
            c.cluster.agent.status = None;
        },
        &[],
    ),
    (
        "by Helm, crash loop everywhere",
        |c| {
            c.cluster.agent.kind = AgentKind::SelfManaged;
            c.cluster.agent.status = None;
            c.cluster.agent.ready_nodes = Some(BTreeSet::new());
        },
        &[Code::AgentUnhealthy],
    ),
    (
        "degraded",
        |c| c.cluster.agent.status = Some("DEGRADED".into()),
        &[Code::AgentUnhealthy],
    ),
    (
        "on 3 of 4 nodes",
        |c| {
            let nodes = c.cluster.nodes.as_mut().unwrap();
            nodes.insert("n3".into(), node());
            c.cluster
                .agent
                .ready_nodes
                .as_mut()
                .unwrap()
                .insert("n3".into());
            nodes.insert("n4".into(), node());
        },
        &[Code::AgentNotOnNodes],
    ),
    (
        "a node that is not ready",
        |c| {
            c.cluster.nodes.as_mut().unwrap().insert(
                "n3".into(),
                NodeFacts {
                    ready: false,
                    ..node()
                },
            );
        },
        &[],
    ),
    (
        "a Windows node, a Fargate node, one of Auto Mode, a hybrid one",
        |c| {
            let nodes = c.cluster.nodes.as_mut().unwrap();
            nodes.insert(
                "w".into(),
                NodeFacts {
                    windows: true,
                    ..node()
                },
            );
            for (name, compute) in [
                ("f", Compute::Fargate),
                ("a", Compute::Auto),
                ("h", Compute::Hybrid),
            ] {
                nodes.insert(name.into(), NodeFacts { compute, ..node() });
            }
            // An agent on the hybrid node, of the hybrid DaemonSet.
            c.cluster
                .agent
                .ready_nodes
                .as_mut()
                .unwrap()
                .insert("h".into());
        },
        &[],
    ),
    (
        "nodes without agent that joined a moment ago, or were cordoned",
        |c| {
            let nodes = c.cluster.nodes.as_mut().unwrap();
            nodes.insert(
                "new".into(),
                NodeFacts {
                    joining: true,
                    ..node()
                },
            );
            nodes.insert(
                "old".into(),
                NodeFacts {
                    unschedulable: true,
                    ..node()
                },
            );
        },
        &[],
    ),
    ("a tainted node without agent", |c| taint(c), &[]),
    (
        "a tainted node without agent, before there are pods",
        |c| {
            taint(c);
            c.namespace.workloads.clear();
        },
        &[],
    ),
    (
        "a tainted node without agent that the pods tolerate",
        |c| {
            taint(c);
            c.template().tolerations = vec![Toleration {
                any_value: true,
                ..Toleration::default()
            }];
        },
        &[Code::AgentNotOnNodes],
    ),
    (
        "a node that the pods cannot run on",
        |c| {
            c.cluster.nodes.as_mut().unwrap().insert(
                "gpu".into(),
                NodeFacts {
                    labels: labels(&[("eks.amazonaws.com/nodegroup", "gpu")]),
                    ..node()
                },
            );
            c.template().nodes = vec![Selector {
                labels: labels(&[("eks.amazonaws.com/nodegroup", "main")]),
                ..Selector::default()
            }];
        },
        &[],
    ),
    (
        "a role of nodes that may not ask for credentials",
        |c| {
            c.node_roles
                .insert("arn:aws:iam::123456789012:role/node".into());
        },
        &[Code::NodeRole],
    ),
    (
        "Auto Mode",
        |c| {
            c.info().auto_mode = true;
            c.cluster.agent = AgentFacts {
                kind: AgentKind::AutoMode,
                ready_nodes: Some(BTreeSet::new()),
                ..AgentFacts::default()
            };
            for node in c.cluster.nodes.as_mut().unwrap().values_mut() {
                node.compute = Compute::Auto;
            }
        },
        &[],
    ),
    (
        "Auto Mode with a node group beside",
        |c| {
            c.info().auto_mode = true;
            c.cluster.agent = AgentFacts {
                kind: AgentKind::AutoMode,
                ready_nodes: Some(BTreeSet::new()),
                ..AgentFacts::default()
            };
        },
        &[Code::AgentNotOnNodes],
    ),
];
