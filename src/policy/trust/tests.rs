use proptest::prelude::*;

use super::super::analysis::{Verdict, analyze};
use super::super::request::PodContext;
use super::super::{equivalent_json, size::trust_size};
use super::*;

const CLUSTER: &str = "arn:aws:eks:us-east-1:123456789012:cluster/demo";

fn some(values: &[&str]) -> Option<Vec<String>> {
    Some(values.iter().map(|value| (*value).to_owned()).collect())
}

fn target(role_arns: &[&str]) -> TargetOf {
    TargetOf {
        role_arns: role_arns.iter().map(|arn| (*arn).to_owned()).collect(),
        external_ids: None,
    }
}

fn json(spec: &TrustSpec) -> String {
    spec.build()
        .unwrap_or_else(|errors| panic!("{spec:?}: {errors:?}"))
        .to_json()
}

#[test]
fn nothing_said_gives_the_documented_statement() {
    let documented = r#"{
      "Version": "2012-10-17",
      "Statement": [
        {
          "Sid": "AllowEksAuthToAssumeRoleForPodIdentity",
          "Effect": "Allow",
          "Principal": { "Service": "pods.eks.amazonaws.com" },
          "Action": ["sts:AssumeRole", "sts:TagSession"]
        }
      ]
    }"#;
    let built = json(&TrustSpec::default());
    assert_eq!(built, documented.split_whitespace().collect::<String>());
    assert!(equivalent_json(&built, documented));
    assert_eq!(trust_size(&built), built.len());
}

#[test]
fn conditions() {
    let statement = |condition: &str| {
        format!(
            r#"{{"Version":"2012-10-17","Statement":[{{"Sid":"AllowEksAuthToAssumeRoleForPodIdentity","Effect":"Allow","Principal":{{"Service":"pods.eks.amazonaws.com"}},"Action":["sts:AssumeRole","sts:TagSession"],"Condition":{condition}}}]}}"#
        )
    };
    let cases = [
        (
            "the one from the README",
            TrustSpec {
                cluster_arns: some(&[CLUSTER]),
                namespaces: some(&["payments"]),
                service_accounts: some(&["api"]),
                ..TrustSpec::default()
            },
            r#"{"StringEquals":{"aws:RequestTag/eks-cluster-arn":"arn:aws:eks:us-east-1:123456789012:cluster/demo","aws:RequestTag/kubernetes-namespace":"payments","aws:RequestTag/kubernetes-service-account":"api"}}"#,
        ),
        (
            "values are sorted and written once",
            TrustSpec {
                namespaces: some(&["b", "a", "b"]),
                ..TrustSpec::default()
            },
            r#"{"StringEquals":{"aws:RequestTag/kubernetes-namespace":["a","b"]}}"#,
        ),
        (
            "a wildcard moves its key, and only its key, to StringLike",
            TrustSpec {
                namespaces: some(&["preview-*", "a"]),
                service_accounts: some(&["api"]),
                ..TrustSpec::default()
            },
            r#"{"StringEquals":{"aws:RequestTag/kubernetes-service-account":"api"},"StringLike":{"aws:RequestTag/kubernetes-namespace":["a","preview-*"]}}"#,
        ),
        (
            "source account and organization",
            TrustSpec {
                source_account: Some("123456789012".into()),
                source_organization: Some("${aws:ResourceOrgId}".into()),
                ..TrustSpec::default()
            },
            r#"{"StringEquals":{"aws:SourceAccount":"123456789012","aws:SourceOrgId":"${aws:ResourceOrgId}"}}"#,
        ),
        (
            "without session tags the cluster is the source ARN",
            TrustSpec {
                cluster_arns: some(&[CLUSTER]),
                disable_session_tags: true,
                source_organization: Some("o-a1b2c3d4e5".into()),
                ..TrustSpec::default()
            },
            r#"{"StringEquals":{"aws:SourceOrgId":"o-a1b2c3d4e5"},"ArnLike":{"aws:SourceArn":"arn:aws:eks:us-east-1:123456789012:cluster/demo"}}"#,
        ),
    ];
    for (what, spec, condition) in cases {
        assert_eq!(json(&spec), statement(condition), "{what}");
    }
}

#[test]
fn target_roles() {
    let source = "arn:aws:iam::111122223333:role/eks-pod-identity-primary-role";
    let scoped = TrustSpec {
        cluster_arns: some(&["arn:aws:eks:us-east-1:111122223333:cluster/example-cluster"]),
        namespaces: some(&["example-name-space"]),
        service_accounts: some(&["example-service-account"]),
        target_of: Some(target(&[source])),
        ..TrustSpec::default()
    };
    let cases = [
        (
            "as documented, with session tags",
            scoped.clone(),
            r#"[{"Sid":"AllowPodIdentitySourceRoleToAssumeRole","Effect":"Allow","Principal":{"AWS":"arn:aws:iam::111122223333:root"},"Action":["sts:AssumeRole","sts:TagSession"],"Condition":{"StringEquals":{"aws:RequestTag/eks-cluster-arn":"arn:aws:eks:us-east-1:111122223333:cluster/example-cluster","aws:RequestTag/kubernetes-namespace":"example-name-space","aws:RequestTag/kubernetes-service-account":"example-service-account"},"ArnEquals":{"aws:PrincipalArn":"arn:aws:iam::111122223333:role/eks-pod-identity-primary-role"}}}]"#,
        ),
        (
            "without session tags: the external id, and a statement of its own for TagSession",
            TrustSpec {
                disable_session_tags: true,
                ..scoped
            },
            r#"[{"Sid":"AllowPodIdentitySourceRoleToAssumeRole","Effect":"Allow","Principal":{"AWS":"arn:aws:iam::111122223333:root"},"Action":"sts:AssumeRole","Condition":{"StringEquals":{"sts:ExternalId":"us-east-1/111122223333/example-cluster/example-name-space/example-service-account"},"ArnEquals":{"aws:PrincipalArn":"arn:aws:iam::111122223333:role/eks-pod-identity-primary-role"}}},{"Sid":"AllowPodIdentitySourceRoleToTagSession","Effect":"Allow","Principal":{"AWS":"arn:aws:iam::111122223333:root"},"Action":"sts:TagSession","Condition":{"ArnEquals":{"aws:PrincipalArn":"arn:aws:iam::111122223333:role/eks-pod-identity-primary-role"}}}]"#,
        ),
        (
            "what is not named is a wildcard in the external id",
            TrustSpec {
                disable_session_tags: true,
                namespaces: some(&["a"]),
                target_of: Some(target(&[source])),
                ..TrustSpec::default()
            },
            r#"[{"Sid":"AllowPodIdentitySourceRoleToAssumeRole","Effect":"Allow","Principal":{"AWS":"arn:aws:iam::111122223333:root"},"Action":"sts:AssumeRole","Condition":{"StringLike":{"sts:ExternalId":"*/*/*/a/*"},"ArnEquals":{"aws:PrincipalArn":"arn:aws:iam::111122223333:role/eks-pod-identity-primary-role"}}},{"Sid":"AllowPodIdentitySourceRoleToTagSession","Effect":"Allow","Principal":{"AWS":"arn:aws:iam::111122223333:root"},"Action":"sts:TagSession","Condition":{"ArnEquals":{"aws:PrincipalArn":"arn:aws:iam::111122223333:role/eks-pod-identity-primary-role"}}}]"#,
        ),
        (
            "two accounts and a pattern",
            TrustSpec {
                target_of: Some(target(&[
                    "arn:aws:iam::222222222222:role/b",
                    "arn:aws:iam::111122223333:role/team/*",
                ])),
                ..TrustSpec::default()
            },
            r#"[{"Sid":"AllowPodIdentitySourceRoleToAssumeRole","Effect":"Allow","Principal":{"AWS":["arn:aws:iam::111122223333:root","arn:aws:iam::222222222222:root"]},"Action":["sts:AssumeRole","sts:TagSession"],"Condition":{"ArnLike":{"aws:PrincipalArn":["arn:aws:iam::111122223333:role/team/*","arn:aws:iam::222222222222:role/b"]}}}]"#,
        ),
    ];
    for (what, spec, statements) in cases {
        assert_eq!(
            json(&spec),
            format!(r#"{{"Version":"2012-10-17","Statement":{statements}}}"#),
            "{what}"
        );
    }
}

#[test]
fn additional_statements_stand_after_ours() {
    let text = r#"{"Sid":"Irsa","Effect":"Allow","Principal":{"Federated":"arn:aws:iam::123456789012:oidc-provider/x"},"Action":"sts:AssumeRoleWithWebIdentity","Future":1}"#;
    let spec = TrustSpec {
        additional_statements: Statement::parse_all(text).unwrap(),
        ..TrustSpec::default()
    };
    let document = spec.build().unwrap();
    assert_eq!(
        document
            .statements()
            .iter()
            .map(|s| s.sid().unwrap())
            .collect::<Vec<_>>(),
        [SID, "Irsa"]
    );
    assert_eq!(document.statements()[1].to_json(), text);
}

/// What it is, the specification, and for every error its field and a part of its text.
type Refused = (&'static str, TrustSpec, &'static [(Field, &'static str)]);

#[test]
fn specifications_that_are_refused() {
    let association = "arn:aws:eks:us-east-1:123456789012:podidentityassociation/demo/a-1";
    let duplicate = Statement::parse_all(&format!(
        r#"[{{"Sid":"{SID}"}},{{"Sid":"a"}},{{"Sid":"a"}}]"#
    ))
    .unwrap();
    let cases: [Refused; 14] = [
        (
            "empty list",
            TrustSpec {
                cluster_arns: Some(vec![]),
                ..TrustSpec::default()
            },
            &[(Field::ClusterArns, "the list is empty")],
        ),
        (
            "association",
            TrustSpec {
                cluster_arns: some(&[association]),
                ..TrustSpec::default()
            },
            &[(Field::ClusterArns, "is the ARN of an association")],
        ),
        (
            "cluster name",
            TrustSpec {
                cluster_arns: some(&["demo"]),
                ..TrustSpec::default()
            },
            &[(Field::ClusterArns, "not the ARN")],
        ),
        (
            "namespace",
            TrustSpec {
                namespaces: some(&["ok", "Bad", "a.b"]),
                ..TrustSpec::default()
            },
            &[
                (Field::Namespaces, "not valid"),
                (Field::Namespaces, "not valid"),
            ],
        ),
        (
            "service account",
            TrustSpec {
                service_accounts: some(&["system:serviceaccount:a:b"]),
                ..TrustSpec::default()
            },
            &[(Field::ServiceAccounts, "not valid")],
        ),
        (
            "names without session tags",
            TrustSpec {
                namespaces: some(&["a"]),
                service_accounts: some(&["b"]),
                disable_session_tags: true,
                ..TrustSpec::default()
            },
            &[
                (Field::Namespaces, "without session tags"),
                (Field::ServiceAccounts, "without session tags"),
            ],
        ),
        (
            "account",
            TrustSpec {
                source_account: Some("1".into()),
                ..TrustSpec::default()
            },
            &[(Field::SourceAccount, "not valid")],
        ),
        (
            "organization",
            TrustSpec {
                source_organization: Some("acme".into()),
                ..TrustSpec::default()
            },
            &[(Field::SourceOrganization, "not valid")],
        ),
        (
            "source keys on a target",
            TrustSpec {
                source_account: Some("123456789012".into()),
                source_organization: Some("o-a1b2c3d4e5".into()),
                target_of: Some(target(&["arn:aws:iam::123456789012:role/a"])),
                ..TrustSpec::default()
            },
            &[
                (Field::SourceAccount, "assumed by another role"),
                (Field::SourceOrganization, "assumed by another role"),
            ],
        ),
        (
            "no source role",
            TrustSpec {
                target_of: Some(target(&[])),
                ..TrustSpec::default()
            },
            &[(Field::RoleArns, "the list is empty")],
        ),
        (
            "source roles of any account",
            TrustSpec {
                target_of: Some(target(&[
                    "arn:aws:iam::*:role/a",
                    "arn:aws:iam::123456789012:user/a",
                ])),
                ..TrustSpec::default()
            },
            &[
                (Field::RoleArns, "not the ARN"),
                (Field::RoleArns, "not the ARN"),
            ],
        ),
        (
            "external id",
            TrustSpec {
                target_of: Some(TargetOf {
                    external_ids: some(&["us-east-1/1/demo/ns", "r/a/c/n/s"]),
                    ..target(&["arn:aws:iam::123456789012:role/a"])
                }),
                ..TrustSpec::default()
            },
            &[(Field::ExternalIds, "is not an external id")],
        ),
        (
            "external ids and names",
            TrustSpec {
                namespaces: some(&["a"]),
                disable_session_tags: true,
                target_of: Some(TargetOf {
                    external_ids: some(&["r/a/c/n/s"]),
                    ..target(&["arn:aws:iam::123456789012:role/a"])
                }),
                ..TrustSpec::default()
            },
            &[(Field::Namespaces, "only the external id")],
        ),
        (
            "the rest",
            TrustSpec {
                service_principal: Some("*.amazonaws.com".into()),
                additional_statements: duplicate,
                ..TrustSpec::default()
            },
            &[
                (Field::ServicePrincipal, "is not a service principal"),
                (Field::AdditionalStatements, "used twice"),
                (Field::AdditionalStatements, "used twice"),
            ],
        ),
    ];
    for (what, spec, expected) in cases {
        let errors = spec.build().err().unwrap_or_default();
        assert_eq!(
            errors.iter().map(TrustError::field).collect::<Vec<_>>(),
            expected.iter().map(|(field, _)| *field).collect::<Vec<_>>(),
            "{what}: {errors:?}"
        );
        for (error, (_, part)) in errors.iter().zip(expected) {
            assert!(error.to_string().contains(part), "{what}: {error}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    /// The builder and the judge must agree on every pod, and both with the plain reading of the specification.
    #[test]
    fn exactly_the_pods_that_are_named_are_trusted(
        clusters in names(&["demo", "prod", "d*"]),
        namespaces in names(&["payments", "web", "pay*", "*"]),
        service_accounts in names(&["api", "job", "?ob"]),
        source_account in proptest::option::of(proptest::sample::select(vec!["123456789012", "999999999999"])),
        disable_session_tags in any::<bool>(),
        cluster in "demo|prod|other",
        namespace in "payments|web|kube-system",
        service_account in "api|job|ui",
    ) {
        let arn = |name: &str| format!("arn:aws:eks:us-east-1:123456789012:cluster/{name}");
        let spec = TrustSpec {
            cluster_arns: clusters.as_ref().map(|names| names.iter().map(|name| arn(name)).collect()),
            namespaces: namespaces.clone().filter(|_| !disable_session_tags),
            service_accounts: service_accounts.clone().filter(|_| !disable_session_tags),
            source_account: source_account.map(str::to_owned),
            disable_session_tags,
            ..TrustSpec::default()
        };
        let named = |names: &Option<Vec<String>>, name: &str| {
            names.as_ref().is_none_or(|names| {
                names.iter().any(|pattern| match pattern.as_str() {
                    "*" => true,
                    "d*" => name.starts_with('d'),
                    "pay*" => name.starts_with("pay"),
                    "?ob" => name == "job",
                    exact => exact == name,
                })
            })
        };
        let expected = named(&clusters, &cluster)
            && (disable_session_tags || (named(&namespaces, &namespace) && named(&service_accounts, &service_account)))
            && source_account.is_none_or(|account| account == "123456789012");
        let pod = PodContext {
            cluster_arn: Some(arn(&cluster)),
            namespace: Some(namespace),
            service_account: Some(service_account),
            session_tags: !disable_session_tags,
            ..PodContext::default()
        };
        let document = spec.build().unwrap();
        prop_assert_eq!(analyze(&document, &pod) == Verdict::Works, expected, "{}", document.to_json());
        prop_assert_eq!(matches!(analyze(&document, &pod), Verdict::CanNeverWork(_)), !expected);
        prop_assert_eq!(super::super::check::check_trust_policy(&document, &PodContext { session_tags: !disable_session_tags, ..PodContext::default() }), vec![]);
    }
}

fn names(from: &[&'static str]) -> impl Strategy<Value = Option<Vec<String>>> + use<> {
    let from: Vec<String> = from.iter().map(|name| (*name).to_owned()).collect();
    proptest::option::of(proptest::sample::subsequence(from.clone(), 1..=from.len()))
}
