//! Against the sandbox.

use podidentity_sandbox::{Fault, Options, Sandbox};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::*;
use crate::provider::tests::data_for;

const ROLE: &str = "arn:aws:iam::123456789012:role/payments";

async fn context(sandbox: &Sandbox) -> Context<ProviderData> {
    Context {
        provider: data_for(sandbox, &[]).await,
        cancel: CancellationToken::new(),
    }
}

fn cluster() -> ClusterInfo {
    ClusterInfo {
        arn: "arn:aws:eks:us-east-1:123456789012:cluster/demo".to_owned(),
        ..ClusterInfo::default()
    }
}

fn iam(sandbox: &Sandbox, operation: &str, parameters: Value) {
    sandbox.call("iam", operation, parameters).unwrap();
}

fn create(sandbox: &Sandbox, name: &str, path: &str) {
    let trust = document(json!({
        "Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::123456789012:root"}, "Action": "sts:AssumeRole",
    }));
    iam(
        sandbox,
        "CreateRole",
        json!({"RoleName": name, "Path": path, "AssumeRolePolicyDocument": trust}),
    );
}

fn document(statement: Value) -> String {
    json!({"Version": "2012-10-17", "Statement": [statement]}).to_string()
}

fn deny(operation: &str) -> Fault {
    let error = json!({"service": "iam", "operation": operation, "error": {"code": "AccessDenied", "message": "no", "status": 403}});
    serde_json::from_value(error).unwrap()
}

fn count(sandbox: &Sandbox, operation: &str) -> usize {
    let requests = sandbox.requests();
    requests.iter().filter(|r| r.operation == operation).count()
}

/// Scenarios 15 to 18.
#[tokio::test]
async fn what_names_a_role_is_understood() {
    let sandbox = Sandbox::start(Options::default()).unwrap();
    create(&sandbox, "payments", "/");
    create(&sandbox, "app", "/team/app/");
    let context = context(&sandbox).await;
    let text = |text: &str| text.to_owned();
    let cases = [
        (None, RoleFacts::NotNamed),
        (Some(""), RoleFacts::Invalid { text: text("") }),
        (
            Some("payments"),
            RoleFacts::Invalid {
                text: text("payments"),
            },
        ),
        (
            Some("arn:aws:iam::210987654321:role/payments"),
            RoleFacts::OtherAccount {
                arn: text("arn:aws:iam::210987654321:role/payments"),
            },
        ),
        (
            Some("arn:aws-cn:iam::123456789012:role/payments"),
            RoleFacts::OtherAccount {
                arn: text("arn:aws-cn:iam::123456789012:role/payments"),
            },
        ),
        (
            Some("arn:aws:iam::123456789012:role/gone"),
            RoleFacts::NotFound {
                arn: text("arn:aws:iam::123456789012:role/gone"),
            },
        ),
        // The name is right, but there is no role with this path.
        (
            Some("arn:aws:iam::123456789012:role/app"),
            RoleFacts::NotFound {
                arn: text("arn:aws:iam::123456789012:role/app"),
            },
        ),
    ];
    for (named, expected) in cases {
        assert_eq!(
            role(&context, &cluster(), named).await,
            expected,
            "{named:?}"
        );
    }
    for arn in [ROLE, "arn:aws:iam::123456789012:role/team/app/app"] {
        for _ in 0..2 {
            let found = role(&context, &cluster(), Some(arn)).await;
            assert!(
                matches!(&found, RoleFacts::Found(role) if role.arn == arn),
                "{found:?}"
            );
        }
    }
    // One call per role, and none for roles that are not of this account.
    assert_eq!(count(&sandbox, "GetRole"), 3);
}

#[tokio::test]
async fn a_role_that_must_not_be_read_says_so_the_same_way_each_time() {
    let sandbox = Sandbox::start(Options::default()).unwrap();
    create(&sandbox, "payments", "/");
    sandbox.fault(deny("GetRole"));
    for _ in 0..2 {
        let context = context(&sandbox).await;
        assert_eq!(
            role(&context, &cluster(), Some(ROLE)).await,
            RoleFacts::NotRead {
                arn: ROLE.to_owned(),
                why: "the credentials may not call iam:GetRole".to_owned(),
            }
        );
    }
}

/// An inventory must not take a moment's trouble for something that is so.
#[tokio::test]
async fn only_a_refusal_is_told_of_a_role() {
    let sandbox = Sandbox::start(Options::default()).unwrap();
    create(&sandbox, "payments", "/");
    let broken = json!({"service": "iam", "operation": "GetRole", "error": {"code": "ValidationError", "message": "no", "status": 400}, "count": 1});
    sandbox.fault(serde_json::from_value(broken).unwrap());
    let broken = context(&sandbox).await;
    readable_role(&broken, &cluster(), ROLE).await.unwrap_err();
    sandbox.clear_faults();
    sandbox.fault(deny("GetRole"));
    let denied = context(&sandbox).await;
    assert!(matches!(
        readable_role(&denied, &cluster(), ROLE).await,
        Ok(RoleFacts::NotRead { .. })
    ));
}

#[tokio::test]
async fn policies_and_the_roles_they_lead_to_are_read_once() {
    let sandbox = Sandbox::start(Options::default()).unwrap();
    for name in ["payments", "data"] {
        create(&sandbox, name, "/");
    }
    let assume = document(
        json!({"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": [
            "arn:aws:iam::123456789012:role/data",
            "arn:aws:iam::123456789012:role/gone",
            "arn:aws:iam::123456789012:role/data-*",
            "arn:aws:iam::210987654321:role/data",
            ROLE,
        ]}),
    );
    iam(
        &sandbox,
        "PutRolePolicy",
        json!({"RoleName": "payments", "PolicyName": "assume", "PolicyDocument": assume}),
    );
    let own = document(
        json!({"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*", "Condition": {"StringLike": {"aws:userid": "AROA:x"}}}),
    );
    iam(
        &sandbox,
        "CreatePolicy",
        json!({"PolicyName": "own", "PolicyDocument": own}),
    );
    let limit = document(json!({"Effect": "Allow", "Action": "*", "Resource": "*"}));
    iam(
        &sandbox,
        "CreatePolicy",
        json!({"PolicyName": "limit", "PolicyDocument": limit}),
    );
    iam(
        &sandbox,
        "AttachRolePolicy",
        json!({"RoleName": "payments", "PolicyArn": "arn:aws:iam::123456789012:policy/own"}),
    );
    iam(
        &sandbox,
        "PutRolePermissionsBoundary",
        json!({"RoleName": "payments", "PermissionsBoundary": "arn:aws:iam::123456789012:policy/limit"}),
    );
    let context = context(&sandbox).await;
    let (first, second) = futures_util::future::join(
        policies(&context, "payments"),
        policies(&context, "payments"),
    )
    .await;
    let found = first.unwrap();
    assert!(Arc::ptr_eq(&found, &second.unwrap()));
    let read: Vec<(&str, bool)> = found
        .policies
        .iter()
        .map(|policy| (policy.what.as_str(), policy.allows))
        .collect();
    assert_eq!(
        read,
        [
            ("The inline policy \"assume\"", true),
            ("The policy arn:aws:iam::123456789012:policy/own", true),
            (
                "The permissions boundary arn:aws:iam::123456789012:policy/limit",
                false
            ),
        ]
    );
    assert!(found.not_read.is_empty(), "{:?}", found.not_read);
    let targets: Vec<&str> = found.targets.keys().map(String::as_str).collect();
    assert_eq!(
        targets,
        [
            "arn:aws:iam::123456789012:role/data",
            "arn:aws:iam::123456789012:role/gone"
        ]
    );
    assert!(
        matches!(&found.targets[targets[0]], Target::Trust(text) if text.contains("sts:AssumeRole"))
    );
    assert_eq!(found.targets[targets[1]], Target::Missing);
    for (operation, calls) in [
        ("ListRolePolicies", 1),
        ("GetRolePolicy", 1),
        ("ListAttachedRolePolicies", 1),
        ("GetPolicyVersion", 2),
        ("GetRole", 3),
    ] {
        assert_eq!(count(&sandbox, operation), calls, "{operation}");
    }
}

#[tokio::test]
async fn policies_that_must_not_be_read_are_noted() {
    let sandbox = Sandbox::start(Options::default()).unwrap();
    create(&sandbox, "payments", "/");
    for operation in ["ListRolePolicies", "ListAttachedRolePolicies"] {
        sandbox.fault(deny(operation));
    }
    let found = policies(&context(&sandbox).await, "payments")
        .await
        .unwrap();
    assert!(found.policies.is_empty());
    let not_read: Vec<&String> = found.not_read.iter().collect();
    assert_eq!(not_read.len(), 2);
    assert!(
        not_read[0].contains("iam:ListAttachedRolePolicies"),
        "{not_read:?}"
    );
    assert!(not_read[1].contains("iam:ListRolePolicies"), "{not_read:?}");

    // A role that is gone has no policies; whatever else goes wrong is an error, and asked again the next time.
    let gone = policies(&context(&sandbox).await, "gone").await.unwrap();
    assert!(gone.policies.is_empty());
    sandbox.clear_faults();
    let broken = json!({"service": "iam", "operation": "ListRolePolicies", "error": {"code": "ValidationError", "message": "no", "status": 400}, "count": 1});
    sandbox.fault(serde_json::from_value(broken).unwrap());
    let context = context(&sandbox).await;
    policies(&context, "payments").await.unwrap_err();
    assert!(
        policies(&context, "payments")
            .await
            .unwrap()
            .not_read
            .is_empty()
    );
}

#[tokio::test]
async fn roles_of_nodes_that_cannot_serve_the_agent() {
    let sandbox = Sandbox::start(Options::default()).unwrap();
    let node = |name: &str, group: &str| json!({"name": name, "labels": {"eks.amazonaws.com/nodegroup": group}});
    let group = |name: &str| json!({"nodegroupName": name, "nodeRole": format!("arn:aws:iam::123456789012:role/{name}")});
    sandbox
        .seed(json!({"clusters": [{
            "name": "demo",
            "nodes": [node("a", "bare"), node("b", "bare"), node("c", "full"), node("d", "gone")],
            "nodegroups": [group("bare"), group("full")],
        }]}))
        .unwrap();
    for (role, action) in [("bare", "ec2:*"), ("full", "eks-auth:*")] {
        create(&sandbox, role, "/");
        let policy = document(json!({"Effect": "Allow", "Action": action, "Resource": "*"}));
        iam(
            &sandbox,
            "PutRolePolicy",
            json!({"RoleName": role, "PolicyName": "own", "PolicyDocument": policy}),
        );
    }
    let look = async || {
        let context = context(&sandbox).await;
        let cluster = crate::migration::readiness::cluster(&context, "demo")
            .await
            .unwrap();
        node_roles(&context, &cluster).await
    };
    let expected = BTreeSet::from(["arn:aws:iam::123456789012:role/bare".to_owned()]);
    assert_eq!(look().await, expected);
    assert_eq!(count(&sandbox, "DescribeNodegroup"), 3);
    sandbox.fault(deny("GetRolePolicy"));
    assert_eq!(look().await, BTreeSet::new());
}

#[tokio::test]
async fn the_quota_is_asked_for_where_it_matters() {
    let sandbox = Sandbox::start(Options::default()).unwrap();
    sandbox
        .seed(json!({"iam": {"Quotas": {"ACLSizePerRole": 4096}}}))
        .unwrap();
    let of_size = |size: usize| {
        RoleFacts::Found(Arc::new(crate::aws::RoleInfo {
            assume_role_policy: "x".repeat(size),
            ..crate::aws::RoleInfo::default()
        }))
    };
    let context = context(&sandbox).await;
    assert_eq!(trust_quota(&context, [&of_size(500)]).await, None);
    assert_eq!(count(&sandbox, "GetAccountSummary"), 0);
    for _ in 0..2 {
        let roles = [RoleFacts::NotNamed, of_size(2_000)];
        assert_eq!(trust_quota(&context, &roles).await, Some(4_096));
    }
    assert_eq!(count(&sandbox, "GetAccountSummary"), 1);
}
