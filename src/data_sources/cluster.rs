//! `podidentity_cluster`: whether a cluster is ready for Pod Identity.

use std::collections::BTreeMap;

use async_trait::async_trait;

use crate::cty::Type;
use crate::framework::Context;
use crate::framework::data_source::{DataSource, ReadDataSourceRequest, ReadDataSourceResponse};
use crate::framework::model::{Attr, IntoValue as _};
use crate::framework::schema::{Attribute, Nesting, Schema};
use crate::migration::facts::{AgentKind, ClusterFacts};
use crate::migration::finding::Weight;
use crate::migration::readiness;
use crate::provider::ProviderData;
use crate::resources::cluster_name;

/// The data source.
#[derive(Clone, Copy, Debug, Default)]
pub struct ClusterDataSource;

crate::model! {
    struct Cluster {
        agent: Agent,
        arn: Attr<String>,
        auto_mode: Attr<bool>,
        cluster_name: Attr<String>,
        fargate_profiles: Attr<Vec<FargateProfile>>,
        issuer: Attr<String>,
        oidc_provider_exists: Attr<bool>,
        platform_version: Attr<String>,
        ready: Attr<bool>,
        reasons: Vec<Reason>,
        status: Attr<String>,
        version: Attr<String>,
    }
}

crate::model! {
    struct Agent {
        issues: Vec<String>,
        kind: Attr<String>,
        nodes: Attr<i64>,
        nodes_ready: Attr<i64>,
        nodes_without_agent: Attr<Vec<String>>,
        status: Attr<String>,
        version: Attr<String>,
    }
}

crate::model! {
    struct FargateProfile {
        name: Attr<String>,
        selectors: Vec<Selector>,
    }
}

crate::model! {
    struct Selector {
        labels: BTreeMap<String, String>,
        namespace: Attr<String>,
    }
}

crate::model! {
    struct Reason {
        code: Attr<String>,
        message: Attr<String>,
    }
}

#[async_trait]
impl DataSource<ProviderData> for ClusterDataSource {
    fn type_name(&self) -> &'static str {
        "podidentity_cluster"
    }

    fn schema(&self) -> Schema {
        schema()
    }

    async fn read(
        &self,
        context: &Context<ProviderData>,
        request: ReadDataSourceRequest,
        response: &mut ReadDataSourceResponse,
    ) {
        let default = context.provider.default_cluster_name();
        let name = match cluster_name::of_data_source(&request.config, &default) {
            Ok(name) => name,
            Err(diagnostic) => return response.diagnostics.push(diagnostic),
        };
        // Anew: an agent may have been installed by what this data source depends on.
        match readiness::cluster_now(context, &name).await {
            Ok(facts) => response.state = state(name, &facts).into_value(),
            Err(diagnostic) => response.diagnostics.push(diagnostic.at(cluster_name::NAME)),
        }
    }
}

fn state(name: String, facts: &ClusterFacts) -> Cluster {
    let text = |value: &str| Attr::from(Some(value.to_owned()).filter(|text| !text.is_empty()));
    let cluster = &facts.cluster;
    let mut reasons = readiness::reasons(facts);
    // A migration is not stopped by what could not be read, but nobody may rely on an agent that nobody saw.
    let ready = facts.agent.kind != AgentKind::Unknown
        && !reasons
            .iter()
            .any(|reason| reason.weight() == Weight::Blocker);
    reasons.extend(readiness::hybrid_nodes(facts));
    reasons.sort();
    let profiles = facts.fargate_profiles.as_ref().map(|profiles| {
        let mut profiles = profiles.clone();
        profiles.sort_by(|a, b| a.name.cmp(&b.name));
        profiles
            .into_iter()
            .map(|profile| FargateProfile {
                name: Attr::Known(profile.name),
                selectors: profile
                    .selectors
                    .into_iter()
                    .map(|(namespace, labels)| Selector {
                        labels,
                        namespace: Attr::Known(namespace),
                    })
                    .collect(),
            })
            .collect()
    });
    Cluster {
        agent: agent(facts),
        arn: text(&cluster.arn),
        auto_mode: Attr::Known(cluster.auto_mode),
        cluster_name: Attr::Known(name),
        fargate_profiles: Attr::from(profiles),
        issuer: Attr::from(cluster.oidc_issuer.clone()),
        oidc_provider_exists: Attr::from(facts.oidc_provider),
        platform_version: text(&cluster.platform_version),
        ready: Attr::Known(ready),
        reasons: reasons
            .into_iter()
            .map(|reason| Reason {
                code: reason.code.as_str().into(),
                message: Attr::Known(reason.message),
            })
            .collect(),
        status: text(&cluster.status),
        version: text(&cluster.version),
    }
}

fn agent(facts: &ClusterFacts) -> Agent {
    let agent = &facts.agent;
    let kind = match agent.kind {
        AgentKind::AutoMode => Attr::from("auto_mode"),
        AgentKind::Addon => Attr::from("addon"),
        AgentKind::SelfManaged => Attr::from("self_managed"),
        AgentKind::None => Attr::from("none"),
        AgentKind::Unknown => Attr::Null,
    };
    let count = |number: usize| Attr::Known(i64::try_from(number).unwrap_or(i64::MAX));
    let needing = readiness::nodes_needing_agent(facts).map(|nodes| nodes.len());
    let without = readiness::nodes_without_agent(facts);
    Agent {
        issues: agent.issues.clone(),
        kind,
        nodes: needing.map_or(Attr::Null, count),
        nodes_ready: match (needing, &without) {
            (Some(needing), Some(without)) => count(needing - without.len()),
            _ => Attr::Null,
        },
        nodes_without_agent: Attr::from(
            without.map(|nodes| nodes.into_iter().map(ToOwned::to_owned).collect()),
        ),
        status: Attr::from(agent.status.clone()),
        version: Attr::from(agent.version.clone()),
    }
}

fn schema() -> Schema {
    Schema::new(
        "Tells whether an EKS cluster is ready for EKS Pod Identity: its version, its agent on every node, and what else \
         pods need to get credentials.\n\n\
         What the credentials may not read is null, and named in `reasons` with the code `not_checked` and the \
         permission that is missing; only the cluster itself must be readable (`eks:DescribeCluster`). The rest takes \
         `eks:DescribeAddon`, `eks:ListFargateProfiles`, `eks:DescribeFargateProfile`, \
         `iam:ListOpenIDConnectProviders`, and in Kubernetes to list nodes, pods and DaemonSets (in `kube-system`) and \
         to get the MutatingWebhookConfiguration `pod-identity-webhook`.",
    )
    .attribute(cluster_name::data_source_attribute())
    .attribute(
        Attribute::nested("agent", Nesting::Single, agent_attributes(), "The EKS Pod Identity Agent.")
            .computed(),
    )
    .attribute(Attribute::string("arn", "ARN of the cluster.").computed())
    .attribute(
        Attribute::bool(
            "auto_mode",
            "Whether the cluster uses EKS Auto Mode, whose nodes have the agent built in.",
        )
        .computed(),
    )
    .attribute(
        Attribute::nested(
            "fargate_profiles",
            Nesting::List,
            vec![
                Attribute::string("name", "Name of the profile.").computed(),
                Attribute::nested(
                    "selectors",
                    Nesting::List,
                    vec![
                        Attribute::map(
                            "labels",
                            Type::String,
                            "Labels that pods must have; `*` and `?` stand for any text and any character.",
                        )
                        .computed(),
                        Attribute::string(
                            "namespace",
                            "Namespace of the pods, which may hold `*` and `?`.",
                        )
                        .computed(),
                    ],
                    "Pods that run on Fargate because of the profile.",
                )
                .computed(),
            ],
            "Fargate profiles, by name. Pod Identity does not work for the pods they select. Null if they could not be read.",
        )
        .computed(),
    )
    .attribute(
        Attribute::string("issuer", "URL of the cluster's OIDC issuer, which IRSA uses; null if there is none.")
            .computed(),
    )
    .attribute(
        Attribute::bool(
            "oidc_provider_exists",
            "Whether the account has an IAM OIDC provider for the issuer, without which IRSA does not work. Null if that \
             could not be read.",
        )
        .computed(),
    )
    .attribute(
        Attribute::string("platform_version", "EKS platform version, such as `eks.9`.").computed(),
    )
    .attribute(
        Attribute::bool(
            "ready",
            "Whether nothing stands in the way of Pod Identity. What could not be checked does not, except that it must \
             be known that there is an agent.",
        )
        .computed(),
    )
    .attribute(
        Attribute::nested(
            "reasons",
            Nesting::List,
            vec![
                Attribute::string(
                    "code",
                    "What it is about. Not ready: `cluster_not_active`, `cluster_version`, `agent_missing`, \
                     `agent_unhealthy`, `agent_not_on_nodes`; `not_checked` where it says so of the agent. Worth knowing: \
                     `hybrid_nodes`, `not_checked`, `webhook_missing`.",
                )
                .computed(),
                Attribute::string("message", "What was found, and what to do.").computed(),
            ],
            "Why the cluster is not ready, and what could not be checked.",
        )
        .computed(),
    )
    .attribute(
        Attribute::string("status", "Status of the cluster: `ACTIVE`, `UPDATING` and so on.").computed(),
    )
    .attribute(Attribute::string("version", "Kubernetes version, such as `1.33`.").computed())
}

fn agent_attributes() -> Vec<Attribute> {
    vec![
        Attribute::list(
            "issues",
            Type::String,
            "Health issues that EKS reports for the add-on.",
        )
        .computed(),
        Attribute::string(
            "kind",
            "How the agent got there: `addon`, `self_managed` (a DaemonSet installed otherwise, by Helm for example), \
             `auto_mode`, or `none`. Null if that could not be read.",
        )
        .computed(),
        Attribute::number(
            "nodes",
            "How many nodes need it: Linux nodes on EC2 that are ready and not of EKS Auto Mode. Null if nodes could not \
             be read.",
        )
        .computed(),
        Attribute::number(
            "nodes_ready",
            "On how many of those it is ready. Null if that could not be read.",
        )
        .computed(),
        Attribute::list(
            "nodes_without_agent",
            Type::String,
            "Names of those on which it is not ready. Null if that could not be read.",
        )
        .computed(),
        Attribute::string(
            "status",
            "Status of the add-on: `ACTIVE`, `DEGRADED` and so on. Null without an add-on.",
        )
        .computed(),
        Attribute::string(
            "version",
            "Version of the add-on, such as `v1.3.10-eksbuild.2`, or tag of the DaemonSet's image.",
        )
        .computed(),
    ]
}
