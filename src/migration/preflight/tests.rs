//! One case at least per code that fires, and one that does not.

mod association;
mod cluster;
mod role;
mod workloads;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::{Value, json};

use super::*;
use crate::aws::{ClusterInfo, RoleInfo};
use crate::migration::facts::{
    AgentFacts, AgentKind, Compute, ConsumerFacts, FargateProfileFacts, MIGRATION_TAG,
    NetworkPolicyFacts, NodeFacts, Owner, PodFacts, ROLE_ARN, Restart, Selector, Taint,
    TemplateFacts, Toleration, WebhookFacts, WorkloadFacts, WorkloadId,
};
use crate::migration::finding::Weight;
use crate::migration::roles::{RolePolicy, Target};
use crate::policy::size::{document_size, trust_size};
use crate::policy::{ClusterArn, Document, Scope};

const CLUSTER: &str = "arn:aws:eks:us-east-1:123456789012:cluster/demo";
const ISSUER: &str = "oidc.eks.us-east-1.amazonaws.com/id/AAAA";
const ROLE: &str = "arn:aws:iam::123456789012:role/payments";

/// A unit with nothing wrong, to be spoiled.
struct Case {
    cluster: ClusterFacts,
    namespace: NamespaceFacts,
    role: RoleFacts,
    association: Option<AssociationFacts>,
    settings: Settings,
    sharing: Vec<String>,
    policies: Option<RolePolicies>,
    target: Option<TargetRole>,
    trust_quota: Option<usize>,
    node_roles: BTreeSet<String>,
    associations: Option<usize>,
}

impl Default for Case {
    fn default() -> Self {
        let mut case = Self {
            cluster: ClusterFacts {
                cluster: Arc::new(ClusterInfo {
                    name: "demo".to_owned(),
                    arn: CLUSTER.to_owned(),
                    version: "1.33".to_owned(),
                    platform_version: "eks.9".to_owned(),
                    status: "ACTIVE".to_owned(),
                    oidc_issuer: Some(format!("https://{ISSUER}")),
                    ..ClusterInfo::default()
                }),
                agent: AgentFacts {
                    kind: AgentKind::Addon,
                    status: Some("ACTIVE".to_owned()),
                    ready_nodes: Some(["n1", "n2"].map(str::to_owned).into()),
                    ..AgentFacts::default()
                },
                nodes: Some(
                    [("n1", node()), ("n2", node())]
                        .map(|(name, node)| (name.to_owned(), node))
                        .into(),
                ),
                fargate_profiles: Some(Vec::new()),
                webhook: Some(WebhookFacts::Usable),
                oidc_provider: Some(true),
                not_read: BTreeSet::new(),
            },
            namespace: NamespaceFacts {
                namespace: "payments".to_owned(),
                ..NamespaceFacts::default()
            },
            role: RoleFacts::NotNamed,
            association: None,
            settings: Settings::default(),
            sharing: Vec::new(),
            policies: None,
            target: None,
            trust_quota: None,
            node_roles: BTreeSet::new(),
            associations: Some(3),
        };
        case.account("api", Some(ROLE));
        case.workload("Deployment", "api");
        case.trust(irsa(&json!("system:serviceaccount:payments:api")));
        case
    }
}

impl Case {
    fn new(spoil: impl FnOnce(&mut Self)) -> Self {
        let mut case = Self::default();
        spoil(&mut case);
        case
    }

    fn findings(&self) -> Vec<Finding> {
        check(&Unit {
            cluster: &self.cluster,
            namespace: &self.namespace,
            namespace_name: "payments",
            service_account: "api",
            role: &self.role,
            association: self.association.as_ref(),
            settings: &self.settings,
            sharing: &self.sharing,
            role_policies: self.policies.as_ref(),
            target: self.target.as_ref(),
            trust_quota: self.trust_quota,
            node_roles: &self.node_roles,
            associations_in_cluster: self.associations,
        })
    }

    fn codes(&self) -> Vec<Code> {
        self.findings().iter().map(|finding| finding.code).collect()
    }

    fn message(&self, code: Code) -> String {
        let findings = self.findings();
        findings
            .iter()
            .find(|finding| finding.code == code)
            .map(|finding| finding.message.clone())
            .unwrap_or_else(|| panic!("no {code} in {findings:?}"))
    }

    fn info(&mut self) -> &mut ClusterInfo {
        Arc::make_mut(&mut self.cluster.cluster)
    }

    fn account(&mut self, name: &str, role: Option<&str>) -> &mut ServiceAccountFacts {
        let facts = ServiceAccountFacts {
            namespace: "payments".to_owned(),
            name: name.to_owned(),
            annotations: role
                .map(|role| (ROLE_ARN.to_owned(), role.to_owned()))
                .into_iter()
                .collect(),
            ..ServiceAccountFacts::default()
        };
        let accounts = &mut self.namespace.service_accounts;
        accounts.insert(name.to_owned(), facts);
        accounts.get_mut(name).unwrap()
    }

    fn workload(&mut self, kind: &str, name: &str) -> &mut WorkloadFacts {
        self.namespace.workloads.push(WorkloadFacts {
            id: WorkloadId {
                kind: kind.to_owned(),
                name: name.to_owned(),
            },
            service_account: "api".to_owned(),
            replicas: Some(2),
            restart: Restart::Rolling,
            template: Some(TemplateFacts {
                labels: labels(&[("app", name)]),
                containers: ["app".to_owned(), "sidecar".to_owned()].into(),
                ..TemplateFacts::default()
            }),
        });
        self.namespace.workloads.last_mut().unwrap()
    }

    fn template(&mut self) -> &mut TemplateFacts {
        self.namespace.workloads[0].template.as_mut().unwrap()
    }

    fn pod(&mut self, kind: &str, name: &str) -> &mut PodFacts {
        self.namespace.pods.push(PodFacts {
            name: format!("{name}-x7k2p"),
            service_account: "api".to_owned(),
            workload: WorkloadId {
                kind: kind.to_owned(),
                name: name.to_owned(),
            },
            node: Some("n1".to_owned()),
            ..PodFacts::default()
        });
        self.namespace.pods.last_mut().unwrap()
    }

    fn trust(&mut self, statement: Value) {
        self.trust_text(&json!({"Version": "2012-10-17", "Statement": statement}).to_string());
    }

    fn trust_text(&mut self, text: &str) {
        self.role = RoleFacts::Found(Arc::new(RoleInfo {
            name: "payments".to_owned(),
            arn: ROLE.to_owned(),
            path: "/".to_owned(),
            assume_role_policy: text.to_owned(),
            ..RoleInfo::default()
        }));
    }

    fn role_info(&mut self) -> &mut RoleInfo {
        let RoleFacts::Found(role) = &mut self.role else {
            panic!("no role")
        };
        Arc::make_mut(role)
    }

    fn associate(&mut self) -> &mut AssociationFacts {
        self.association.insert(AssociationFacts {
            id: "a-1".to_owned(),
            role_arn: ROLE.to_owned(),
            ..AssociationFacts::default()
        })
    }

    fn migrated(&mut self) -> &mut AssociationFacts {
        let association = self.associate();
        association
            .tags
            .insert(MIGRATION_TAG.to_owned(), "true".to_owned());
        association
    }

    fn policy(&mut self, statement: Value) -> &mut RolePolicies {
        let document = json!({"Version": "2012-10-17", "Statement": statement}).to_string();
        let policies = self.policies.get_or_insert_default();
        policies.policies.push(RolePolicy {
            what: "The inline policy \"own\"".to_owned(),
            allows: true,
            document: Document::parse(&document).unwrap(),
        });
        policies
    }
}

fn node() -> NodeFacts {
    NodeFacts {
        ready: true,
        labels: labels(&[("eks.amazonaws.com/nodegroup", "main")]),
        ..NodeFacts::default()
    }
}

fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect()
}

fn irsa(subject: &Value) -> Value {
    irsa_of(ISSUER, "StringEquals", subject)
}

fn irsa_of(issuer: &str, operator: &str, subject: &Value) -> Value {
    let mut condition = json!({"StringEquals": {format!("{issuer}:aud"): "sts.amazonaws.com"}});
    condition[operator][format!("{issuer}:sub")] = subject.clone();
    json!({
        "Effect": "Allow",
        "Principal": {"Federated": format!("arn:aws:iam::123456789012:oidc-provider/{issuer}")},
        "Action": "sts:AssumeRoleWithWebIdentity",
        "Condition": condition,
    })
}

fn pods_statement() -> Value {
    json!({"Effect": "Allow", "Principal": {"Service": "pods.eks.amazonaws.com"}, "Action": ["sts:AssumeRole", "sts:TagSession"]})
}

fn plain() -> Value {
    irsa(&json!("system:serviceaccount:payments:api"))
}

#[test]
fn nothing_is_wrong_with_a_plain_service_account() {
    assert_eq!(Case::default().findings(), []);
}

type Spoil = fn(&mut Case);

#[test]
fn every_code_fires_for_its_reason_and_for_no_other() {
    let cases = [
        cluster::CASES,
        workloads::CASES,
        role::CASES,
        association::CASES,
    ]
    .concat();
    let mut wrong = Vec::new();
    let mut fired = BTreeSet::new();
    for (what, spoil, expected) in cases {
        let findings = Case::new(spoil).findings();
        if !findings
            .iter()
            .map(|finding| finding.code)
            .eq(expected.iter().copied())
        {
            wrong.push((what, expected, findings));
        }
        fired.extend(expected.iter().copied());
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    // The quota is tested by size below.
    let elsewhere = [Code::TrustTooLarge];
    for code in Code::ALL {
        assert!(
            fired.contains(code) || elsewhere.contains(code),
            "{code} is never found"
        );
    }
}

const DATA: &str = "arn:aws:iam::123456789012:role/data";
const ROOT: &str = "arn:aws:iam::123456789012:root";
const ELSEWHERE: &str = "arn:aws:iam::210987654321:role/data";

fn profile(namespace: &str, wanted: &[(&str, &str)]) -> FargateProfileFacts {
    FargateProfileFacts {
        name: "fp".to_owned(),
        selectors: vec![(namespace.to_owned(), labels(wanted))],
    }
}

fn network(pods: &[(&str, &str)], allows_agent: bool) -> NetworkPolicyFacts {
    NetworkPolicyFacts {
        name: "egress".to_owned(),
        pods: Selector {
            labels: labels(pods),
            ..Selector::default()
        },
        allows_agent,
        allows_agent_ipv6: false,
    }
}

fn own(case: &mut Case, tool: Tool) {
    let account = case.namespace.service_accounts.get_mut("api").unwrap();
    account.owner = Some(Owner {
        tool,
        name: "payments".to_owned(),
    });
}

fn consume(case: &mut Case, service_account: &str) {
    case.namespace.consumers.push(ConsumerFacts {
        kind: "SecretStore".to_owned(),
        name: "aws".to_owned(),
        service_account: service_account.to_owned(),
        certain: true,
    });
}

/// A role with a target role in this account or another, its own policy and the target's trust policy.
fn targeted(case: &mut Case, target: &str, own: Value, trust: Option<Value>) {
    case.settings.target_role_arn = Some(target.to_owned());
    case.policy(own);
    case.target = trust.map(|statement| TargetRole {
        trust: match statement {
            Value::Null => Target::Missing,
            statement => {
                Target::Trust(json!({"Version": "2012-10-17", "Statement": statement}).to_string())
            }
        },
        policies: None,
    });
}

fn may_assume(resource: &str) -> Value {
    json!({"Effect": "Allow", "Action": ["sts:AssumeRole", "sts:TagSession"], "Resource": resource})
}

fn trusts(principal: &str) -> Value {
    json!({"Effect": "Allow", "Principal": {"AWS": principal}, "Action": ["sts:AssumeRole", "sts:TagSession"]})
}

fn invalid(case: &mut Case, text: &str) {
    case.account("api", Some(text));
    case.role = RoleFacts::Invalid {
        text: text.to_owned(),
    };
}

fn assume(role: &str) -> Value {
    json!({"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": role})
}

fn target(case: &mut Case, actions: &[&str]) {
    let trust = json!({"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Principal": {"AWS": ROLE}, "Action": actions}});
    case.policy(assume(DATA))
        .targets
        .insert(DATA.to_owned(), Target::Trust(trust.to_string()));
}

fn allow_if(key: &str, value: &str) -> Value {
    json!({"Effect": "Allow", "Action": "s3:*", "Resource": "*", "Condition": {"StringLike": {key: value}}})
}

/// A policy with IRSA for the service account that has exactly so many characters.
fn of_size(size: usize) -> Value {
    let with = |padding: usize| json!([plain(), {"Sid": "x".repeat(padding), "Effect": "Allow", "Principal": {"AWS": "123456789012"}, "Action": "sts:AssumeRole"}]);
    let size_of = |statement: &Value| {
        trust_size(&json!({"Version": "2012-10-17", "Statement": statement}).to_string())
    };
    with(size - size_of(&with(0)))
}

/// Scenario 13.
#[test]
fn size_of_the_trust_policy() {
    let added = {
        let grant = Grant::new(ClusterArn::parse(CLUSTER).unwrap(), "payments", "api");
        let before = json!({"Version": "2012-10-17", "Statement": of_size(1_000)}).to_string();
        document_size(
            &grant
                .add(&Document::parse(&before).unwrap())
                .unwrap()
                .document,
        ) - 1_000
    };
    let case = |total: usize| Case::new(|case| case.trust(of_size(total - added)));
    assert_eq!(case(2_048).codes(), []);
    assert_eq!(case(2_049).codes(), [Code::TrustTooLarge]);
    assert_eq!(Code::TrustTooLarge.weight(), Weight::Blocker);
    for (total, parts) in [
        (
            2_049,
            &[
                "would have 2049 characters (white space not counted), 1 more than the default quota of 2048",
                "With trust.scope = \"cluster\" it would have ",
                "L-C07B4B0D",
                "name trust_too_large in ignore_blockers",
            ][..],
        ),
        (
            4_096,
            &[
                "would have 4096 characters",
                "The quota was raised already: if to at least 4096, name trust_too_large",
            ][..],
        ),
        (
            8_193,
            &[
                "would have 8193 characters",
                "the quota cannot be raised beyond 8192",
            ][..],
        ),
    ] {
        let message = case(total).message(Code::TrustTooLarge);
        for part in parts {
            assert!(message.contains(part), "{part}: {message}");
        }
    }
    // An account whose quota was raised.
    let raised = |total: usize| {
        let mut case = case(total);
        case.trust_quota = Some(4_096);
        case
    };
    assert_eq!(raised(4_096).codes(), []);
    let message = raised(4_097).message(Code::TrustTooLarge);
    for part in [
        "1 more than the quota of the account of 4096",
        "or have the quota \"Role trust policy length\" (L-C07B4B0D) raised.",
    ] {
        assert!(message.contains(part), "{part}: {message}");
    }
    // White space does not count.
    let mut spaced = case(2_048);
    let RoleFacts::Found(role) = &spaced.role else {
        panic!()
    };
    let pretty = Document::parse(&role.assume_role_policy)
        .unwrap()
        .to_json_pretty();
    spaced.trust_text(&pretty);
    assert_eq!(spaced.codes(), []);
    // What is there already is nobody's blocker.
    let mut there = case(2_048);
    let RoleFacts::Found(role) = &there.role else {
        panic!()
    };
    let mut statements: Value = serde_json::from_str(&role.assume_role_policy).unwrap();
    let padding = of_size(4_000);
    statements["Statement"] = json!([padding[0], padding[1], pods_statement()]);
    there.trust_text(&statements.to_string());
    assert_eq!(there.codes(), []);
}

#[test]
fn messages_name_what_was_found_and_what_to_do() {
    let cases: &[(Spoil, Code, &[&str])] = &[
        (
            |c| {
                c.cluster
                    .nodes
                    .as_mut()
                    .unwrap()
                    .extend([("n3".to_owned(), node())])
            },
            Code::AgentNotOnNodes,
            &["not ready on every Linux node"],
        ),
        (
            |c| c.pod("Deployment", "api").fargate = true,
            Code::Fargate,
            &["Deployment api", "move its pods to EC2"],
        ),
        (
            |c| {
                c.pod("Pod", "bare").fargate = true;
            },
            Code::Fargate,
            &["pods without a controller"],
        ),
        (
            |c| c.cluster.fargate_profiles = Some(vec![profile("payments", &[])]),
            Code::Fargate,
            &["The Fargate profile fp selects Deployment api"],
        ),
        (
            |c| {
                for name in ["AWS_ROLE_ARN", "AWS_WEB_IDENTITY_TOKEN_FILE"] {
                    c.template()
                        .credential_variables
                        .insert(("app".into(), name.into()));
                }
            },
            Code::HardCodedCredentials,
            &[
                "for Deployment api in namespace payments: AWS_ROLE_ARN (container app) and AWS_WEB_IDENTITY_TOKEN_FILE (container app)",
                "Remove them from the pod template",
            ],
        ),
        (
            |c| invalid(c, " "),
            Code::AnnotationInvalid,
            &["The annotation eks.amazonaws.com/role-arn of payments/api is empty"],
        ),
        (
            |c| invalid(c, "payments"),
            Code::AnnotationInvalid,
            &[
                "the bare name \"payments\"",
                "arn:aws:iam::123456789012:role/payments",
            ],
        ),
        (
            |c| invalid(c, "arn:aws:s3:::bucket"),
            Code::AnnotationInvalid,
            &["is not the ARN of a role", "arn:aws:s3:::bucket"],
        ),
        (
            |c| {
                invalid(c, "payments");
                c.settings.role_arn = Some("payments".into());
            },
            Code::AnnotationInvalid,
            &["role_arn is the bare name"],
        ),
        (
            |c| {
                c.role = RoleFacts::OtherAccount {
                    arn: "arn:aws:iam::210987654321:role/payments".into(),
                }
            },
            Code::RoleOtherAccount,
            &[
                "target_role_arn = \"arn:aws:iam::210987654321:role/payments\"",
                "role_arn to a role of the account 123456789012",
            ],
        ),
        (
            |c| {
                c.role = RoleFacts::OtherAccount {
                    arn: "arn:aws-cn:iam::123456789012:role/payments".into(),
                }
            },
            Code::RoleOtherAccount,
            &["the partition aws-cn, but the cluster is in aws"],
        ),
        (
            |c| c.role = RoleFacts::NotFound { arn: ROLE.into() },
            Code::RoleNotFound,
            &[ROLE, "which the annotation of payments/api names"],
        ),
        (
            |c| c.trust_text("not json"),
            Code::TrustUnreadable,
            &["It is: not json"],
        ),
        (
            |c| c.associate().role_arn = "arn:aws:iam::123456789012:role/other".into(),
            Code::AssociationOtherRole,
            &["arn:aws:iam::123456789012:role/other", ROLE, "a-1"],
        ),
        (
            |c| {
                c.associate().target_role_arn = Some("arn:aws:iam::210987654321:role/x".into());
            },
            Code::AssociationSettings,
            &["target_role_arn is arn:aws:iam::210987654321:role/x and not none"],
        ),
        (
            |c| {
                c.associate().owner_arn =
                    Some("arn:aws:eks:us-east-1:123456789012:addon/demo/vpc-cni/1".into())
            },
            Code::AssociationOwned,
            &["addon/demo/vpc-cni/1", "podIdentityAssociations"],
        ),
        (
            |c| c.settings.disable_session_tags = true,
            Code::ScopeNeedsSessionTags,
            &["trust.scope to \"cluster\""],
        ),
        (
            |c| target(c, &["sts:AssumeRole"]),
            Code::RoleChaining,
            &[
                "may assume arn:aws:iam::123456789012:role/data, whose trust policy does not allow it sts:TagSession",
                "disable_session_tags = true",
            ],
        ),
        (
            |c| {
                c.policy(assume("arn:aws:iam::210987654321:role/data"));
            },
            Code::RoleChaining,
            &[
                "arn:aws:iam::210987654321:role/data",
                "packed size",
                "must allow sts:TagSession on them",
            ],
        ),
        (
            |c| {
                c.policy(assume(ROLE));
            },
            Code::RoleChaining,
            &["may assume itself"],
        ),
        (
            |c| {
                c.workload("CronJob", "nightly").restart =
                    Restart::Manual("it ends by itself".into())
            },
            Code::ManualRestart,
            &["CronJob nightly (it ends by itself)"],
        ),
        (
            |c| {
                consume(c, "api");
                c.settings.retire_annotation = true;
            },
            Code::RetireBreaksConsumers,
            &["SecretStore aws", "retire IRSA, which breaks them"],
        ),
        (
            |c| {
                c.template().token_paths.insert("app".into());
            },
            Code::HardCodedCredentials,
            &[
                "/var/run/secrets/eks.amazonaws.com/serviceaccount",
                "Deployment api in namespace payments",
            ],
        ),
        (
            |c| targeted(c, DATA, json!([]), Some(trusts(ROOT))),
            Code::TargetRoleDenied,
            &[
                "role/payments do not let it assume the target role arn:aws:iam::123456789012:role/data: sts:AssumeRole and \
                 sts:TagSession are missing",
            ],
        ),
        (
            |c| {
                targeted(
                    c,
                    DATA,
                    may_assume(DATA),
                    Some(trusts("arn:aws:iam::123456789012:role/other")),
                )
            },
            Code::TargetRoleDenied,
            &[
                "By the trust policy of the target role arn:aws:iam::123456789012:role/data it can never be assumed",
                "us-east-1/123456789012/demo/payments/api",
            ],
        ),
        (
            |c| {
                own(c, Tool::Helm);
            },
            Code::AnnotationOwned,
            &["Helm release payments", "put it back"],
        ),
        (
            |c| {
                c.trust(irsa_of(
                    ISSUER,
                    "StringLike",
                    &json!("system:serviceaccount:*:a*"),
                ));
                c.account("admin", None);
                c.account("app", Some(ROLE));
                c.account("web", None);
                c.sharing = vec![
                    "orders/api".into(),
                    "orders/web".into(),
                    "payments/app".into(),
                    // The trust policy names these, which does not give them the annotation, or make them exist.
                    "payments/admin".into(),
                    "payments/absent".into(),
                ];
            },
            Code::WildcardSubject,
            &[
                "\"system:serviceaccount:*:a*\"",
                "also matches payments/app with the role's annotation; payments/admin without the role's annotation; in other \
                 namespaces orders/api, which share the role. Only",
                "stays as it is",
            ],
        ),
    ];
    for (spoil, code, parts) in cases {
        let message = Case::new(*spoil).message(*code);
        for part in *parts {
            assert!(message.contains(part), "{part}\n in: {message}");
        }
    }
}

/// Rule F2: a finding of the plan must be the same in the apply, when other pods run on other nodes.
#[test]
fn messages_do_not_depend_on_pods_nodes_or_counts() {
    let spoil = |generation: &str, pods: usize| {
        Case::new(|case| {
            let nodes = (0..pods).map(|number| (format!("{generation}-{number}"), node()));
            case.cluster.nodes = Some(nodes.collect());
            for number in 0..pods {
                for (kind, name) in [
                    ("Deployment", "api"),
                    ("Pod", "bare"),
                    ("Job", "import"),
                    ("TaskRun", "build"),
                ] {
                    let pod = case.pod(kind, name);
                    pod.name = format!("{kind}-{generation}-{number}").to_lowercase();
                    pod.workload.name = if kind == "Deployment" {
                        name.to_owned()
                    } else {
                        pod.name.clone()
                    };
                    pod.node = Some(format!("{generation}-{number}"));
                    pod.fargate = true;
                    pod.restarts = 3;
                    pod.created = 5;
                    pod.spec.host_network = true;
                    let keys = &mut pod.spec.credential_variables;
                    keys.insert(("app".to_owned(), "AWS_ACCESS_KEY_ID".to_owned()));
                }
            }
        })
        .findings()
    };
    let findings = spoil("old", 2);
    assert_eq!(findings, spoil("new", 7));
    let text = format!("{findings:?}");
    for part in [
        "Deployment api",
        "Jobs",
        "TaskRuns",
        "pods without a controller",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let message = Case::new(|case| {
        for (kind, name, why) in [
            ("Job", "import-1", "its pods end by themselves"),
            (
                "Pod",
                "bare-1",
                "nothing replaces a pod without a controller",
            ),
            ("ReplicaSet", "web-7d9f", "managed by TaskRun build-1"),
            ("CronJob", "nightly", "its next run starts new pods"),
            ("Rollout", "shop", "managed by Rollout shop"),
        ] {
            case.workload(kind, name).restart = Restart::Manual(why.into());
        }
    })
    .message(Code::ManualRestart);
    assert!(
        message.starts_with(
            "The migration cannot restart CronJob nightly (its next run starts new pods), Jobs, ReplicaSets, Rollout shop \
             (managed by Rollout shop) and pods without a controller."
        ),
        "{message}"
    );
}

#[test]
fn findings_are_sorted_and_each_is_there_once() {
    let findings = Case::new(|case| {
        case.info().status = "UPDATING".to_owned();
        case.associate();
        case.template().host_network = true;
        for _ in 0..2 {
            case.namespace
                .not_read
                .insert("Consumers cannot be read.".to_owned());
            case.cluster
                .not_read
                .insert("Consumers cannot be read.".to_owned());
        }
    })
    .findings();
    let codes: Vec<Code> = findings.iter().map(|finding| finding.code).collect();
    assert_eq!(
        codes,
        [
            Code::ClusterNotActive,
            Code::AssociationExists,
            Code::HostNetwork,
            Code::NotChecked
        ]
    );
}

#[test]
fn lists_read_well_and_end() {
    let of = |items: &[&str]| list(items.iter().map(|item| (*item).to_owned()));
    assert_eq!(of(&[]), None);
    assert_eq!(of(&["a"]).unwrap(), "a");
    assert_eq!(of(&["b", "a", "b"]).unwrap(), "a and b");
    assert_eq!(of(&["c", "b", "a"]).unwrap(), "a, b and c");
    let many = list((10..40).map(|number| number.to_string())).unwrap();
    assert!(many.ends_with("20, 21 and others"), "{many}");
}
