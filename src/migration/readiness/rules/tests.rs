use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::*;
use crate::aws::ClusterInfo;
use crate::migration::finding::Weight;

fn facts() -> ClusterFacts {
    let mut facts = ClusterFacts {
        agent: AgentFacts {
            kind: AgentKind::Addon,
            status: Some("ACTIVE".to_owned()),
            ready_nodes: Some(names(&["a", "b", "c", "d"])),
            ..AgentFacts::default()
        },
        webhook: Some(WebhookFacts::Usable),
        fargate_profiles: Some(vec![]),
        oidc_provider: Some(true),
        ..ClusterFacts::default()
    };
    cluster(&mut facts, |cluster| {
        cluster.status = "ACTIVE".to_owned();
        cluster.version = "1.33".to_owned();
        cluster.platform_version = "eks.1".to_owned();
    });
    facts.nodes = Some(
        ["a", "b", "c", "d"]
            .map(|name| (name.to_owned(), node()))
            .into(),
    );
    facts
}

fn cluster(facts: &mut ClusterFacts, change: impl FnOnce(&mut ClusterInfo)) {
    change(Arc::make_mut(&mut facts.cluster));
}

fn names(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn node() -> NodeFacts {
    NodeFacts {
        ready: true,
        ..NodeFacts::default()
    }
}

fn nodes(facts: &mut ClusterFacts) -> &mut BTreeMap<String, NodeFacts> {
    facts.nodes.as_mut().unwrap()
}

fn codes(facts: &ClusterFacts) -> Vec<&'static str> {
    reasons(facts)
        .into_iter()
        .map(|finding| finding.code.as_str())
        .collect()
}

#[test]
fn verdicts() {
    type Change = fn(&mut ClusterFacts);
    let cases: &[(&str, Change, &[&str])] = &[
        ("ready", |_| {}, &[]),
        (
            "being upgraded",
            |f| cluster(f, |c| c.status = "UPDATING".into()),
            &["cluster_not_active"],
        ),
        (
            "no agent",
            |f| {
                f.agent = AgentFacts {
                    kind: AgentKind::None,
                    ready_nodes: Some(names(&[])),
                    ..AgentFacts::default()
                }
            },
            &["agent_missing"],
        ),
        (
            "nobody may tell",
            |f| {
                f.agent = AgentFacts {
                    kind: AgentKind::Unknown,
                    ..AgentFacts::default()
                };
                f.not_read = names(&["DaemonSets could not be read."]);
            },
            &["not_checked", "not_checked"],
        ),
        (
            "installed by Helm",
            |f| {
                f.agent.kind = AgentKind::SelfManaged;
                f.agent.status = None;
            },
            &[],
        ),
        (
            "installed by Helm, crashing everywhere",
            |f| {
                f.agent.kind = AgentKind::SelfManaged;
                f.agent.status = None;
                f.agent.ready_nodes = Some(names(&[]));
            },
            &["agent_unhealthy"],
        ),
        (
            "installed by Helm, crashing everywhere, nodes hidden",
            |f| {
                f.agent.kind = AgentKind::SelfManaged;
                f.agent.status = None;
                f.agent.ready_nodes = Some(names(&[]));
                f.nodes = None;
            },
            &["agent_unhealthy"],
        ),
        (
            "degraded",
            |f| {
                f.agent.status = Some("DEGRADED".into());
                f.agent.issues = vec!["InsufficientNumberOfReplicas: 3 of 4 (a)".into()];
                f.agent.ready_nodes = Some(names(&["a", "b", "c"]));
            },
            &["agent_unhealthy", "agent_not_on_nodes"],
        ),
        (
            "degraded, and ready nowhere",
            |f| {
                f.agent.status = Some("DEGRADED".into());
                f.agent.ready_nodes = Some(names(&[]));
            },
            &["agent_unhealthy"],
        ),
        (
            "ready on three of four nodes",
            |f| f.agent.ready_nodes = Some(names(&["a", "b", "c"])),
            &["agent_not_on_nodes"],
        ),
        (
            "active, and ready nowhere",
            |f| f.agent.ready_nodes = Some(names(&[])),
            &["agent_unhealthy"],
        ),
        (
            "a cluster without nodes",
            |f| {
                f.nodes = Some(BTreeMap::new());
                f.agent.ready_nodes = Some(names(&[]));
            },
            &[],
        ),
        (
            "nodes of other kinds, or not ready, need no agent",
            |f| {
                f.agent.ready_nodes = Some(names(&["a"]));
                nodes(f).get_mut("b").unwrap().windows = true;
                nodes(f).get_mut("c").unwrap().compute = Compute::Fargate;
                nodes(f).get_mut("d").unwrap().ready = false;
                for (name, compute) in [("e", Compute::Auto), ("f", Compute::Hybrid)] {
                    nodes(f).insert(name.to_owned(), NodeFacts { compute, ..node() });
                }
            },
            &[],
        ),
        (
            "nodes that joined a moment ago, or were cordoned",
            |f| {
                f.agent.ready_nodes = Some(names(&["a", "b"]));
                nodes(f).get_mut("c").unwrap().joining = true;
                nodes(f).get_mut("d").unwrap().unschedulable = true;
            },
            &[],
        ),
        (
            "nodes hidden: what EKS says counts",
            |f| {
                f.nodes = None;
                f.agent.ready_nodes = None;
                f.webhook = None;
                f.not_read = names(&[
                    "Nodes could not be read.",
                    "The agent's pods could not be read.",
                ]);
            },
            &["not_checked", "not_checked"],
        ),
        (
            "Auto Mode",
            |f| {
                f.agent = AgentFacts {
                    kind: AgentKind::AutoMode,
                    ready_nodes: Some(names(&[])),
                    ..AgentFacts::default()
                };
                nodes(f)
                    .values_mut()
                    .for_each(|node| node.compute = Compute::Auto);
            },
            &[],
        ),
        (
            "Auto Mode with other nodes beside",
            |f| {
                f.agent = AgentFacts {
                    kind: AgentKind::AutoMode,
                    ready_nodes: Some(names(&[])),
                    ..AgentFacts::default()
                }
            },
            &["agent_not_on_nodes"],
        ),
        (
            "Auto Mode with other nodes beside and the add-on for them",
            |f| f.agent.kind = AgentKind::AutoMode,
            &[],
        ),
        (
            "Auto Mode with other nodes beside and a broken add-on for them",
            |f| {
                f.agent.kind = AgentKind::AutoMode;
                f.agent.status = Some("DEGRADED".into());
                f.agent.ready_nodes = Some(names(&["a"]));
            },
            &["agent_unhealthy"],
        ),
        (
            "Auto Mode with an add-on that nobody needs",
            |f| {
                f.agent.kind = AgentKind::AutoMode;
                f.agent.status = Some("DEGRADED".into());
                f.agent.ready_nodes = Some(names(&[]));
                nodes(f)
                    .values_mut()
                    .for_each(|node| node.compute = Compute::Auto);
            },
            &[],
        ),
        (
            "no webhook",
            |f| f.webhook = Some(WebhookFacts::Missing),
            &["webhook_missing"],
        ),
        (
            "a webhook that nobody vouches for",
            |f| f.webhook = Some(WebhookFacts::NoAuthority),
            &["webhook_missing"],
        ),
        (
            "a webhook whose authority has expired",
            |f| f.webhook = Some(WebhookFacts::AuthorityExpired),
            &["webhook_missing"],
        ),
    ];
    for (what, change, expected) in cases {
        let mut facts = facts();
        change(&mut facts);
        assert_eq!(codes(&facts), *expected, "{what}");
        for finding in reasons(&facts) {
            assert!(
                finding.message.ends_with('.'),
                "{what}: {}",
                finding.message
            );
            assert!(
                !finding.message.contains("3 of 4"),
                "{what}: {}",
                finding.message
            );
        }
    }
}

#[test]
fn what_could_not_be_told_stops_nobody() {
    let mut facts = facts();
    facts.agent = AgentFacts {
        kind: AgentKind::Unknown,
        ..AgentFacts::default()
    };
    facts.webhook = Some(WebhookFacts::Missing);
    facts.not_read = names(&["DaemonSets could not be read."]);
    let found = reasons(&facts);
    assert_eq!(found.len(), 3);
    assert!(
        found
            .iter()
            .all(|finding| finding.weight() == Weight::Warning),
        "{found:?}"
    );
}

#[test]
fn versions() {
    for (kubernetes, platform, expected) in [
        ("1.23", "eks.99", Some(Code::ClusterVersion)),
        ("1.24", "eks.12", Some(Code::ClusterVersion)),
        ("1.24", "eks.13", None),
        ("1.25", "eks.9", Some(Code::ClusterVersion)),
        ("1.25", "eks.10", None),
        ("1.26", "eks.8", Some(Code::ClusterVersion)),
        ("1.26", "eks.9", None),
        ("1.27", "eks.7", Some(Code::ClusterVersion)),
        ("1.27", "eks.8", None),
        ("1.28", "eks.3", Some(Code::ClusterVersion)),
        ("1.28", "eks.4", None),
        ("1.29", "eks.1", None),
        ("1.100", "eks.1", None),
        ("2.0", "eks.1", None),
        ("1.28", "", Some(Code::NotChecked)),
        ("1.28", "eks.x", Some(Code::NotChecked)),
        ("", "", Some(Code::NotChecked)),
        ("1.31", "eks-local-outposts.3", Some(Code::ClusterVersion)),
    ] {
        let found = version(kubernetes, platform).map(|finding| finding.code);
        assert_eq!(found, expected, "{kubernetes} {platform}");
    }
}

#[test]
fn nodes_are_named_apart_from_findings() {
    let mut facts = facts();
    facts.agent.ready_nodes = Some(names(&["a", "c"]));
    assert_eq!(
        nodes_without_agent(&facts),
        Some(BTreeSet::from(["b", "d"]))
    );
    assert_eq!(hybrid_nodes(&facts), None);
    nodes(&mut facts).get_mut("b").unwrap().compute = Compute::Hybrid;
    assert_eq!(nodes_without_agent(&facts), Some(BTreeSet::from(["d"])));
    assert_eq!(hybrid_nodes(&facts).unwrap().code, Code::HybridNodes);
    facts.agent.ready_nodes = None;
    assert_eq!(
        (nodes_without_agent(&facts), hybrid_nodes(&facts)),
        (None, None)
    );
}
