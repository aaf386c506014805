//! Deletes what acceptance tests left behind in an account: `make sweep`.
//!
//! It deletes the roles whose name starts with the tests' prefix, the associations in the given cluster whose namespace or service
//! account does, and the cluster's Pod Identity agent, of which there is only one.

use std::env;

use aws_sdk_eks::types::AddonStatus;

use crate::harness::{Aws, Case, NAME_PREFIX};

const AGENT: &str = "eks-pod-identity-agent";

/// Against an account it sweeps if asked to by `PODIDENTITY_SWEEP`, lest a test run delete what another one uses. In a sandbox it
/// proves that it deletes what it should and nothing else.
#[test]
fn what_tests_left_behind() {
    let case = Case::new();
    let aws = case.aws();
    let cluster = case.fill("{{cluster}}");
    if case.is_account() {
        if env::var_os("PODIDENTITY_SWEEP").is_some() {
            let swept = sweep(&aws, &cluster);
            println!("swept {}: {swept:#?}", swept.len());
        } else {
            println!("skipped against an account: sweeping, without PODIDENTITY_SWEEP");
        }
        return;
    }

    let ours = case.name().to_owned();
    let foreign = "payments".to_owned();
    for name in [&ours, &foreign] {
        let role = create_role(&aws, name);
        for (namespace, service_account) in [(name.as_str(), "default"), ("shared", name)] {
            let call = aws
                .eks
                .create_pod_identity_association()
                .cluster_name(&cluster)
                .namespace(namespace);
            aws.wait(call.service_account(service_account).role_arn(&role).send());
        }
    }
    aws.wait(
        aws.eks
            .create_addon()
            .cluster_name(&cluster)
            .addon_name(AGENT)
            .send(),
    );

    assert_eq!(sweep(&aws, &cluster).len(), 4);
    assert_eq!(
        sweep(&aws, &cluster),
        Vec::<String>::new(),
        "the second time there is nothing left"
    );
    aws.wait(aws.iam.get_role().role_name(&foreign).send());
    assert!(
        aws.attempt(aws.iam.get_role().role_name(&ours).send())
            .is_err()
    );
    let left = aws.wait(
        aws.eks
            .list_pod_identity_associations()
            .cluster_name(&cluster)
            .send(),
    );
    assert_eq!(left.associations().len(), 2);
}

/// A role with everything that keeps IAM from deleting it.
fn create_role(aws: &Aws, name: &str) -> String {
    let trust = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"pods.eks.amazonaws.com"},"Action":["sts:AssumeRole","sts:TagSession"]}]}"#;
    let inline = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:GetObject","Resource":"*"}]}"#;
    let role = aws.wait(
        aws.iam
            .create_role()
            .role_name(name)
            .assume_role_policy_document(trust)
            .send(),
    );
    let policy = "arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess";
    aws.wait(
        aws.iam
            .attach_role_policy()
            .role_name(name)
            .policy_arn(policy)
            .send(),
    );
    aws.wait(
        aws.iam
            .put_role_policy()
            .role_name(name)
            .policy_name("inline")
            .policy_document(inline)
            .send(),
    );
    role.role()
        .map(|role| role.arn().to_owned())
        .unwrap_or_default()
}

/// Deletes and says what: associations before the roles they use.
fn sweep(aws: &Aws, cluster: &str) -> Vec<String> {
    let mut swept = Vec::new();
    let associations = aws
        .eks
        .list_pod_identity_associations()
        .cluster_name(cluster)
        .into_paginator()
        .items()
        .send();
    for association in aws.wait(associations.collect::<Result<Vec<_>, _>>()) {
        let names = [association.namespace(), association.service_account()];
        if names
            .into_iter()
            .flatten()
            .any(|name| name.starts_with(NAME_PREFIX))
        {
            let id = association.association_id().unwrap_or_default();
            aws.wait(
                aws.eks
                    .delete_pod_identity_association()
                    .cluster_name(cluster)
                    .association_id(id)
                    .send(),
            );
            swept.push(format!("association {id}"));
        }
    }
    let agent = aws.attempt(
        aws.eks
            .describe_addon()
            .cluster_name(cluster)
            .addon_name(AGENT)
            .send(),
    );
    match agent.map_err(aws_sdk_eks::Error::from) {
        // Under way, from an earlier sweep.
        Ok(found)
            if found.addon().and_then(|addon| addon.status()) == Some(&AddonStatus::Deleting) => {}
        Ok(_) => {
            aws.wait(
                aws.eks
                    .delete_addon()
                    .cluster_name(cluster)
                    .addon_name(AGENT)
                    .send(),
            );
            swept.push(format!("add-on {AGENT}"));
        }
        Err(aws_sdk_eks::Error::ResourceNotFoundException(_)) => {}
        Err(error) => panic!("looking for the add-on: {error:?}"),
    }
    let roles = aws.iam.list_roles().into_paginator().items().send();
    for role in aws.wait(roles.collect::<Result<Vec<_>, _>>()) {
        let name = role.role_name();
        if name.starts_with(NAME_PREFIX) {
            delete_role(aws, name);
            swept.push(format!("role {name}"));
        }
    }
    swept
}

fn delete_role(aws: &Aws, name: &str) {
    let attached = aws
        .iam
        .list_attached_role_policies()
        .role_name(name)
        .into_paginator()
        .items()
        .send();
    for policy in aws.wait(attached.collect::<Result<Vec<_>, _>>()) {
        let arn = policy.policy_arn().unwrap_or_default();
        aws.wait(
            aws.iam
                .detach_role_policy()
                .role_name(name)
                .policy_arn(arn)
                .send(),
        );
    }
    let inline = aws
        .iam
        .list_role_policies()
        .role_name(name)
        .into_paginator()
        .items()
        .send();
    for policy in aws.wait(inline.collect::<Result<Vec<_>, _>>()) {
        aws.wait(
            aws.iam
                .delete_role_policy()
                .role_name(name)
                .policy_name(policy)
                .send(),
        );
    }
    aws.wait(aws.iam.delete_role().role_name(name).send());
}
