//! Ready-made seeds: a cluster to show a migration with, and one of any size to measure with.

use serde_json::{Value, json};

/// Issuer host and path of the cluster that [`large`] fills.
const ISSUER: &str = "oidc.eks.us-east-1.amazonaws.com/id/0A1B2C3D4E5F60718293A4B5C6D7E8F9";
const ACCOUNT: &str = "123456789012";

/// The cluster `demo` in the default account, with IRSA service accounts of many kinds: plain, in StatefulSets, CronJobs and DaemonSets,
/// sharing a role, under a wildcard, across accounts, owned by Helm and Argo CD, on Fargate, with a hard-coded environment, with a role
/// that is gone, read by a SecretStore, and one that has its association already. Also as file: `seeds/demo.json`.
///
/// # Panics
///
/// Never: the file is part of the crate, and a test reads it.
pub fn demo() -> Value {
    serde_json::from_str(include_str!("../seeds/demo.json")).expect("the file is JSON")
}

/// The cluster `demo` in the default account with so many IRSA service accounts, spread over so many roles and over twenty namespaces.
/// Every tenth has a Deployment of one pod. A role trusts all service accounts that name it.
pub fn large(service_accounts: usize, roles: usize) -> Value {
    let roles = roles.max(1);
    let namespace = |n: usize| format!("team-{:02}", n % 20);
    let subject = |n: usize| format!("system:serviceaccount:{}:app-{n:04}", namespace(n));
    let iam: Vec<Value> = (0..roles)
        .map(|role| {
            let subjects: Vec<String> = (role..service_accounts).step_by(roles).map(subject).collect();
            // A role that nobody names trusts nobody in particular; an empty list is no valid condition.
            let subjects = if subjects.is_empty() { vec!["system:serviceaccount:none:none".to_owned()] } else { subjects };
            json!({"RoleName": format!("app-{role:04}"), "AssumeRolePolicyDocument": {"Version": "2012-10-17", "Statement": [{
                "Effect": "Allow",
                "Principal": {"Federated": format!("arn:aws:iam::{ACCOUNT}:oidc-provider/{ISSUER}")},
                "Action": "sts:AssumeRoleWithWebIdentity",
                "Condition": {"StringEquals": {format!("{ISSUER}:aud"): "sts.amazonaws.com", format!("{ISSUER}:sub"): subjects}},
            }]}})
        })
        .collect();
    let accounts: Vec<Value> = (0..service_accounts)
        .map(|n| {
            let role = format!("arn:aws:iam::{ACCOUNT}:role/app-{:04}", n % roles);
            json!({"namespace": namespace(n), "name": format!("app-{n:04}"), "annotations": {"eks.amazonaws.com/role-arn": role}})
        })
        .collect();
    let deployments: Vec<Value> = (0..service_accounts)
        .step_by(10)
        .map(|n| {
            let name = format!("app-{n:04}");
            json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"namespace": namespace(n), "name": name}, "spec": {
                "replicas": 1, "selector": {"matchLabels": {"app": name}},
                "template": {"metadata": {"labels": {"app": name}}, "spec": {"serviceAccountName": name, "containers": [{"name": "app", "image": "registry.example/app:1.0"}]}},
            }})
        })
        .collect();
    json!({
        "iam": {
            "OpenIDConnectProviders": [{"Url": format!("https://{ISSUER}"), "ClientIDList": ["sts.amazonaws.com"], "ThumbprintList": ["9e99a48a9960b14926bb7f3b02e22da2b0ab7280"]}],
            "Roles": iam,
        },
        "clusters": [{
            "name": "demo", "issuer": format!("https://{ISSUER}"), "addons": [{"name": "eks-pod-identity-agent"}],
            "service_accounts": accounts, "objects": deployments,
        }],
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Options, Sandbox};

    #[test]
    fn the_demo_works_from_the_start() {
        let sandbox = Sandbox::start(Options::default()).unwrap();
        sandbox.seed(demo()).unwrap();
        let report = sandbox.credential_report();
        assert_eq!(report.violations, []);
        assert_eq!(report.transitions, 0, "a seed is where the story begins");
        let path = |service_account: &str| {
            let pods = report
                .pods
                .iter()
                .filter(|p| p.service_account == service_account);
            let mut paths: Vec<&str> = pods.map(|p| p.path).collect();
            paths.dedup();
            paths
        };
        for (account, expected) in [
            ("api", "web_identity"),
            ("worker", "web_identity"),
            ("consumer", "web_identity"),
            ("app", "web_identity"),
            ("etl", "web_identity"),
            ("external-dns", "web_identity"),
            ("runner", "web_identity"),
            ("reports", "web_identity"),
            ("collector", "web_identity"),
            ("ledger", "pod_identity"),
        ] {
            assert_eq!(path(account), [expected], "{account}");
        }
        let owner = sandbox
            .kubernetes_object("demo", "serviceaccounts", Some("platform"), "external-dns")
            .unwrap();
        assert_eq!(owner["metadata"]["managedFields"][0]["manager"], "helm");
        assert!(
            sandbox
                .kubernetes_object("demo", "secretstores", Some("platform"), "secrets-manager")
                .is_some()
        );
    }

    #[test]
    fn a_large_one_has_what_it_says() {
        let sandbox = Sandbox::start(Options::default()).unwrap();
        sandbox.seed(large(1000, 300)).unwrap();
        let report = sandbox.credential_report();
        assert_eq!(report.violations, []);
        assert_eq!(
            report
                .pods
                .iter()
                .filter(|p| p.path == "web_identity")
                .count(),
            100
        );
        assert!(
            sandbox
                .kubernetes_object("demo", "serviceaccounts", Some("team-19"), "app-0999")
                .is_some()
        );
    }
}
