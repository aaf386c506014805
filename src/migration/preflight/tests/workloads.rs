//! Where pods run, and their templates.

use super::*;

/// What is spoiled, how, and the codes that come of it.
pub(super) const CASES: &[(&str, Spoil, &[Code])] = &[
    // Compute (scenario 31).
    (
        "a pod on Fargate",
        |c| c.pod("Deployment", "api").fargate = true,
        &[Code::Fargate],
    ),
    (
        "a pod on a Fargate node",
        |c| {
            c.cluster.nodes.as_mut().unwrap().insert(
                "f".into(),
                NodeFacts {
                    compute: Compute::Fargate,
                    ..node()
                },
            );
            c.pod("Job", "once").node = Some("f".into());
        },
        &[Code::Fargate],
    ),
    (
        "a pod of another service account on Fargate",
        |c| {
            let pod = c.pod("Deployment", "other");
            pod.fargate = true;
            pod.service_account = "other".into();
        },
        &[],
    ),
    (
        "a profile by namespace",
        |c| c.cluster.fargate_profiles = Some(vec![profile("pay*", &[])]),
        &[Code::Fargate],
    ),
    (
        "a profile by labels",
        |c| c.cluster.fargate_profiles = Some(vec![profile("payments", &[("app", "a?i")])]),
        &[Code::Fargate],
    ),
    (
        "a profile for other labels",
        |c| c.cluster.fargate_profiles = Some(vec![profile("payments", &[("app", "worker")])]),
        &[],
    ),
    (
        "a profile for another namespace",
        |c| c.cluster.fargate_profiles = Some(vec![profile("orders", &[])]),
        &[],
    ),
    (
        "a profile, before there are pods",
        |c| {
            c.namespace.workloads.clear();
            c.cluster.fargate_profiles = Some(vec![profile("*", &[])]);
        },
        &[Code::Fargate],
    ),
    (
        "a profile with labels, before there are pods",
        |c| {
            c.namespace.workloads.clear();
            c.cluster.fargate_profiles = Some(vec![profile("*", &[("app", "x")])]);
        },
        &[],
    ),
    (
        "a profile and a bare pod",
        |c| {
            c.namespace.workloads.clear();
            c.pod("Pod", "bare").spec.labels = labels(&[("run", "batch")]);
            c.cluster.fargate_profiles = Some(vec![profile("payments", &[("run", "batch")])]);
        },
        &[Code::Fargate],
    ),
    (
        "a profile and a DaemonSet",
        |c| {
            c.namespace.workloads[0].id.kind = "DaemonSet".into();
            c.cluster.fargate_profiles = Some(vec![profile("payments", &[])]);
        },
        &[],
    ),
    (
        "a container that is told where IRSA's token is",
        |c| {
            c.template().token_paths.insert("app".into());
        },
        &[Code::HardCodedCredentials],
    ),
    (
        "a profile of AWS",
        |c| {
            let profile = ("app".into(), "AWS_PROFILE".into());
            c.template().profile_variables.insert(profile);
        },
        &[Code::AwsProfile],
    ),
    (
        "kept on EC2 by annotation",
        |c| {
            c.template().annotations = labels(&[("eks.amazonaws.com/compute-type", "ec2")]);
            c.cluster.fargate_profiles = Some(vec![profile("payments", &[])]);
        },
        &[],
    ),
    (
        "profiles not read",
        |c| c.cluster.fargate_profiles = None,
        &[Code::NotChecked],
    ),
    (
        "Windows template",
        |c| c.template().windows = true,
        &[Code::Windows],
    ),
    (
        "a pod on a Windows node",
        |c| {
            c.cluster.nodes.as_mut().unwrap().insert(
                "w".into(),
                NodeFacts {
                    windows: true,
                    ..node()
                },
            );
            c.pod("Deployment", "api").node = Some("w".into());
        },
        &[Code::Windows],
    ),
    (
        "hybrid template, and an agent on all hybrid nodes",
        |c| {
            c.template().hybrid = true;
            let hybrid = NodeFacts {
                compute: Compute::Hybrid,
                ..node()
            };
            c.cluster.nodes.as_mut().unwrap().insert("h".into(), hybrid);
            let ready = c.cluster.agent.ready_nodes.as_mut().unwrap();
            ready.insert("h".into());
        },
        &[],
    ),
    (
        "a pod on a hybrid node without agent",
        |c| {
            let hybrid = NodeFacts {
                compute: Compute::Hybrid,
                ..node()
            };
            c.cluster.nodes.as_mut().unwrap().insert("h".into(), hybrid);
            c.pod("Deployment", "api").node = Some("h".into());
        },
        &[Code::HybridNodes],
    ),
    (
        "hybrid template",
        |c| c.template().hybrid = true,
        &[Code::HybridNodes],
    ),
    (
        "host network",
        |c| c.template().host_network = true,
        &[Code::HostNetwork],
    ),
    (
        "security groups for pods",
        |c| {
            c.pod("Deployment", "api").spec.annotations =
                labels(&[("vpc.amazonaws.com/pod-eni", "[]")])
        },
        &[Code::SecurityGroupsForPods],
    ),
    (
        "a network policy",
        |c| c.namespace.network_policies = vec![network(&[], false)],
        &[Code::NetworkPolicy],
    ),
    (
        "a network policy that lets the agent through",
        |c| {
            c.namespace.network_policies =
                vec![network(&[("app", "api")], true), network(&[], false)]
        },
        &[],
    ),
    (
        "a network policy for IPv4, in a cluster with IPv6",
        |c| {
            c.namespace.network_policies = vec![network(&[], true)];
            c.info().ipv6 = true;
        },
        &[Code::NetworkPolicy],
    ),
    (
        "a network policy for IPv6, in a cluster with that",
        |c| {
            let mut policy = network(&[], false);
            policy.allows_agent_ipv6 = true;
            c.namespace.network_policies = vec![policy];
            c.info().ipv6 = true;
        },
        &[],
    ),
    (
        "a network policy for other pods",
        |c| c.namespace.network_policies = vec![network(&[("app", "worker")], false)],
        &[],
    ),
    (
        "a network policy and the host's network",
        |c| {
            c.template().host_network = true;
            c.namespace.network_policies = vec![network(&[], false)];
        },
        &[Code::HostNetwork],
    ),
    // The pod template (scenario 32).
    (
        "AWS_ROLE_ARN",
        |c| {
            c.template()
                .credential_variables
                .insert(("app".into(), "AWS_ROLE_ARN".into()));
        },
        &[Code::HardCodedCredentials],
    ),
    (
        "AWS_ACCESS_KEY_ID",
        |c| {
            c.template()
                .credential_variables
                .insert(("app".into(), "AWS_ACCESS_KEY_ID".into()));
        },
        &[Code::HardCodedCredentials],
    ),
    (
        "AWS_CONTAINER_CREDENTIALS_FULL_URI",
        |c| {
            c.template()
                .credential_variables
                .insert(("app".into(), "AWS_CONTAINER_CREDENTIALS_FULL_URI".into()));
        },
        &[Code::HardCodedCredentials],
    ),
    (
        "a bare pod with AWS_WEB_IDENTITY_TOKEN_FILE",
        |c| {
            c.pod("Pod", "bare")
                .spec
                .credential_variables
                .insert(("app".into(), "AWS_WEB_IDENTITY_TOKEN_FILE".into()));
        },
        &[Code::HardCodedCredentials],
    ),
    (
        "what the webhook put into a pod",
        |c| {
            c.pod("Deployment", "api")
                .spec
                .credential_variables
                .insert(("app".into(), "AWS_ROLE_ARN".into()));
        },
        &[],
    ),
    (
        "keys that something else put into a pod",
        |c| {
            c.pod("Deployment", "api")
                .spec
                .credential_variables
                .insert(("app".into(), "AWS_SECRET_ACCESS_KEY".into()));
        },
        &[Code::HardCodedCredentials],
    ),
    (
        "in another service account's template",
        |c| {
            let other = c.workload("Deployment", "other");
            other.service_account = "other".into();
            other
                .template
                .as_mut()
                .unwrap()
                .credential_variables
                .insert(("app".into(), "AWS_ROLE_ARN".into()));
        },
        &[],
    ),
    (
        "hard-coded after the cut-over",
        |c| {
            c.migrated();
            c.template()
                .credential_variables
                .insert(("app".into(), "AWS_ROLE_ARN".into()));
        },
        &[Code::HardCodedCredentials],
    ),
    (
        "a proxy",
        |c| {
            c.template().proxied.insert("app".into());
        },
        &[Code::Proxy],
    ),
    (
        "variables of a Secret",
        |c| {
            c.template().env_not_read.insert("Secret db".into());
        },
        &[Code::NotChecked],
    ),
    (
        "a proxy with NO_PROXY",
        |c| {
            c.template().proxied.insert("app".into());
            c.template().no_proxy.insert("app".into(), true);
        },
        &[],
    ),
    (
        "one container skipped",
        |c| {
            c.template().skipped_containers.insert("sidecar".into());
        },
        &[Code::SkippedByWebhook],
    ),
    (
        "all skipped",
        |c| c.template().skipped_containers = c.template().containers.clone(),
        &[Code::SkippedByWebhook],
    ),
    (
        "a token for STS",
        |c| {
            c.template()
                .token_audiences
                .insert("sts.amazonaws.com".into());
        },
        &[Code::ProjectedToken],
    ),
    (
        "a token for something else",
        |c| {
            c.template().token_audiences.insert("vault".into());
        },
        &[],
    ),
    (
        "OnDelete",
        |c| {
            c.workload("StatefulSet", "db").restart =
                Restart::Manual("its update strategy is OnDelete".into())
        },
        &[Code::ManualRestart],
    ),
];
