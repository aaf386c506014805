//! Reduces network policies to whether they keep pods from the EKS Pod Identity Agent.

use std::net::IpAddr;

use k8s_openapi::api::networking::v1::{
    IPBlock, NetworkPolicy, NetworkPolicyEgressRule, NetworkPolicyPort,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::template::AGENT_ADDRESSES;
use crate::migration::facts::{NetworkPolicyFacts, Requirement, Selector};

/// A network policy; `None` if it says nothing about egress.
pub(super) fn policy(policy: &NetworkPolicy) -> Option<NetworkPolicyFacts> {
    let spec = policy.spec.as_ref()?;
    let egress = match &spec.policy_types {
        Some(types) if !types.is_empty() => types.iter().any(|kind| kind == "Egress"),
        _ => spec.egress.as_ref().is_some_and(|rules| !rules.is_empty()),
    };
    let [ipv4, ipv6] = AGENT_ADDRESSES;
    let allows = |address: &str| {
        let address = address.parse::<IpAddr>().ok();
        address.is_some_and(|at| spec.egress.iter().flatten().any(|it| allows_agent(it, at)))
    };
    egress.then(|| NetworkPolicyFacts {
        name: policy.metadata.name.clone().unwrap_or_default(),
        pods: spec.pod_selector.as_ref().map(selector).unwrap_or_default(),
        allows_agent: allows(ipv4),
        allows_agent_ipv6: allows(ipv6),
    })
}

/// A selector as the API has it.
fn selector(selector: &LabelSelector) -> Selector {
    Selector {
        labels: selector.match_labels.clone().unwrap_or_default(),
        requirements: selector
            .match_expressions
            .iter()
            .flatten()
            .filter_map(|it| Requirement::parse(&it.key, &it.operator, it.values.as_deref()))
            .collect(),
    }
}

/// Whether a rule lets pods reach the agent at an address. Its address belongs to no pod, so only rules for blocks of addresses, and for
/// everything, do.
fn allows_agent(rule: &NetworkPolicyEgressRule, address: IpAddr) -> bool {
    let peers = rule.to.as_deref().unwrap_or_default();
    let ports = rule.ports.as_deref().unwrap_or_default();
    let peer = peers.is_empty()
        || peers
            .iter()
            .filter_map(|peer| peer.ip_block.as_ref())
            .any(|block| holds(block, address));
    peer && (ports.is_empty() || ports.iter().any(is_agents_port))
}

fn is_agents_port(port: &NetworkPolicyPort) -> bool {
    let tcp = port.protocol.as_deref().is_none_or(|p| p == "TCP");
    tcp && match &port.port {
        None => true,
        Some(IntOrString::Int(first)) => (*first..=port.end_port.unwrap_or(*first)).contains(&80),
        // Names are those of pods' ports, and the agent is no pod that a policy knows.
        Some(IntOrString::String(text)) => text == "80",
    }
}

fn holds(block: &IPBlock, address: IpAddr) -> bool {
    let mut except = block.except.iter().flatten();
    contains(&block.cidr, address) && !except.any(|except| contains(except, address))
}

/// Whether a block in CIDR notation holds an address. One that cannot be read holds none.
fn contains(cidr: &str, address: IpAddr) -> bool {
    let Some((network, length)) = cidr.split_once('/') else {
        return false;
    };
    let (Ok(network), Ok(length)) = (network.parse::<IpAddr>(), length.parse::<u32>()) else {
        return false;
    };
    let (network, address, bits) = match (network, address) {
        (IpAddr::V4(network), IpAddr::V4(address)) => (
            u128::from(network.to_bits()),
            u128::from(address.to_bits()),
            32,
        ),
        (IpAddr::V6(network), IpAddr::V6(address)) => (network.to_bits(), address.to_bits(), 128),
        _ => return false,
    };
    match length {
        0 => true,
        _ if length > bits => false,
        _ => (network ^ address) >> (bits - length) == 0,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn facts(spec: &Value) -> Option<NetworkPolicyFacts> {
        let value = json!({"metadata": {"name": "p", "namespace": "n"}, "spec": spec});
        policy(&serde_json::from_value(value).unwrap())
    }

    #[test]
    fn policies_without_egress_do_not_matter() {
        for spec in [
            json!({"podSelector": {}, "ingress": [{}]}),
            json!({"podSelector": {}, "policyTypes": ["Ingress"], "ingress": []}),
            json!({"podSelector": {}}),
        ] {
            assert_eq!(facts(&spec), None, "{spec}");
        }
    }

    #[test]
    fn the_way_to_the_agent() {
        let block = |cidr: &str| json!([{"ipBlock": {"cidr": cidr}}]);
        let cases = [
            (json!([]), false),
            (json!([{}]), true),
            (json!([{"to": block("0.0.0.0/0")}]), true),
            (json!([{"to": block("169.254.170.23/32")}]), true),
            (json!([{"to": block("169.254.170.16/28")}]), true),
            (json!([{"to": block("169.254.170.0/29")}]), false),
            (json!([{"to": block("fd00:ec2::23/128")}]), false),
            (json!([{"to": block("::/0")}]), false),
            (json!([{"to": block("nonsense/8")}]), false),
            (
                json!([{"to": [{"ipBlock": {"cidr": "0.0.0.0/0", "except": ["169.254.0.0/16"]}}]}]),
                false,
            ),
            (
                json!([{"to": [{"ipBlock": {"cidr": "0.0.0.0/0", "except": ["169.254.169.254/32"]}}]}]),
                true,
            ),
            (json!([{"to": [{"namespaceSelector": {}}]}]), false),
            (
                json!([{"to": [{"namespaceSelector": {}}, {"ipBlock": {"cidr": "0.0.0.0/0"}}]}]),
                true,
            ),
            (json!([{"ports": [{"port": 443}]}]), false),
            (
                json!([{"ports": [{"port": 443}, {"port": 80, "protocol": "TCP"}]}]),
                true,
            ),
            (json!([{"ports": [{"port": 80, "protocol": "UDP"}]}]), false),
            (json!([{"ports": [{"protocol": "TCP"}]}]), true),
            (json!([{"ports": [{"port": 1, "endPort": 1024}]}]), true),
            (json!([{"ports": [{"port": 81, "endPort": 1024}]}]), false),
            (json!([{"ports": [{"port": "http"}]}]), false),
            (
                json!([{"to": block("10.0.0.0/8")}, {"to": block("169.254.0.0/16"), "ports": [{"port": 80}]}]),
                true,
            ),
            (
                json!([{"to": block("10.0.0.0/8"), "ports": [{"port": 80}]}, {"ports": [{"port": 53}]}]),
                false,
            ),
        ];
        for (egress, expected) in cases {
            let spec = json!({"podSelector": {"matchLabels": {"app": "api"}}, "policyTypes": ["Egress"], "egress": egress});
            let facts = facts(&spec).unwrap();
            assert_eq!(facts.allows_agent, expected, "{egress}");
            assert_eq!(facts.pods.labels["app"], "api");
        }
        for (egress, ipv6) in [
            (json!([{"to": block("fd00:ec2::23/128")}]), true),
            (json!([{"to": block("::/0")}]), true),
            (json!([{}]), true),
            (json!([{"to": block("0.0.0.0/0")}]), false),
        ] {
            let facts = facts(&json!({"podSelector": {}, "egress": egress})).unwrap();
            assert_eq!(facts.allows_agent_ipv6, ipv6, "{egress}");
        }
        // Denied altogether, and the types told by the rules.
        assert!(
            !facts(&json!({"podSelector": {}, "policyTypes": ["Egress"]}))
                .unwrap()
                .allows_agent
        );
        assert!(
            facts(&json!({"podSelector": {}, "egress": [{}]}))
                .unwrap()
                .allows_agent
        );
    }

    #[test]
    fn selectors_with_expressions() {
        let spec = json!({"podSelector": {"matchExpressions": [{"key": "tier", "operator": "NotIn", "values": ["db"]}]}, "egress": [{}]});
        let pods = facts(&spec).unwrap().pods;
        assert!(pods.matches(&[("tier".to_owned(), "web".to_owned())].into()));
        assert!(!pods.matches(&[("tier".to_owned(), "db".to_owned())].into()));
    }
}
