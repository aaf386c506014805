use super::super::trust::{TargetOf, TrustSpec};
use super::*;

const CLUSTER: &str = "arn:aws:eks:us-east-1:123456789012:cluster/demo";

fn pod() -> PodContext {
    PodContext {
        cluster_arn: Some(CLUSTER.into()),
        cluster_name: Some("demo".into()),
        account_id: Some("123456789012".into()),
        namespace: Some("payments".into()),
        service_account: Some("api".into()),
        ..PodContext::default()
    }
}

fn document(statements: &str) -> Document {
    Document::parse(&format!(
        r#"{{"Version":"2012-10-17","Statement":[{statements}]}}"#
    ))
    .unwrap()
}

fn allow(condition: &str) -> String {
    format!(
        r#"{{"Sid":"A","Effect":"Allow","Principal":{{"Service":"pods.eks.amazonaws.com"}},"Action":["sts:AssumeRole","sts:TagSession"],"Condition":{condition}}}"#
    )
}

fn words(verdict: &Verdict) -> (&'static str, Vec<String>) {
    let texts = |reasons: &[Reason]| reasons.iter().map(ToString::to_string).collect();
    match verdict {
        Verdict::Works => ("works", Vec::new()),
        Verdict::CanNeverWork(reasons) => ("never", texts(reasons)),
        Verdict::CannotTell(reasons) => ("unknown", texts(reasons)),
    }
}

#[test]
fn verdicts() {
    let pods = r#""Principal":{"Service":"pods.eks.amazonaws.com"}"#;
    let plain =
        format!(r#"{{"Effect":"Allow",{pods},"Action":["sts:AssumeRole","sts:TagSession"]}}"#);
    let irsa = r#"{"Sid":"Irsa","Effect":"Allow","Principal":{"Federated":"arn:aws:iam::123456789012:oidc-provider/x"},"Action":["sts:AssumeRoleWithWebIdentity","sts:AssumeRole","sts:TagSession"]}"#;
    let known = pod();
    let off = PodContext {
        session_tags: false,
        ..pod()
    };
    let unknown_cluster = PodContext {
        cluster_arn: None,
        ..pod()
    };
    let nothing_known = PodContext::default();
    let cases: Vec<(&str, String, &PodContext, &str, &[&str])> = vec![
        ("the documented statement", plain.clone(), &known, "works", &[]),
        ("beside IRSA", format!("{irsa},{plain}"), &known, "works", &[]),
        ("nothing is known and nothing is asked", plain.clone(), &nothing_known, "works", &[]),
        ("IRSA only", irsa.into(), &known, "never", &["no statement allows the principal pods.eks.amazonaws.com to assume the role"]),
        (
            "one action",
            format!(r#"{{"Effect":"Allow",{pods},"Action":"sts:AssumeRole"}}"#),
            &known,
            "never",
            &["no statement allows the principal pods.eks.amazonaws.com the action sts:TagSession"],
        ),
        (
            "the other action, and session tags are off",
            format!(r#"{{"Effect":"Allow",{pods},"Action":"STS:tagsession"}}"#),
            &off,
            "never",
            &["no statement allows the principal pods.eks.amazonaws.com the action sts:AssumeRole"],
        ),
        (
            "the actions in two statements",
            format!(r#"{{"Effect":"Allow",{pods},"Action":"sts:AssumeRole"}},{{"Effect":"Allow",{pods},"Action":"sts:Tag*"}}"#),
            &known,
            "works",
            &[],
        ),
        ("by NotAction", format!(r#"{{"Effect":"Allow",{pods},"NotAction":"sts:SetContext"}}"#), &known, "works", &[]),
        (
            "everything as it should be",
            allow(&format!(
                r#"{{"StringEquals":{{"aws:RequestTag/eks-cluster-arn":"{CLUSTER}","aws:RequestTag/kubernetes-namespace":["a","payments"],"aws:SourceAccount":"123456789012"}},"StringLike":{{"AWS:requesttag/kubernetes-service-account":"a*"}},"ArnLike":{{"aws:SourceArn":"arn:aws:eks:*:*:cluster/demo"}}}}"#
            )),
            &known,
            "works",
            &[],
        ),
        (
            "another namespace and service account",
            allow(r#"{"StringEquals":{"aws:RequestTag/kubernetes-namespace":["a","b","c"],"aws:RequestTag/kubernetes-service-account":"web"}}"#),
            &known,
            "never",
            &[
                "statement 1 (\"A\") applies only if aws:RequestTag/kubernetes-namespace is \"a\", \"b\" or \"c\" (StringEquals), but it will be \"payments\"",
                "statement 1 (\"A\") applies only if aws:RequestTag/kubernetes-service-account is \"web\" (StringEquals), but it will be \"api\"",
            ],
        ),
        (
            "another cluster, of which only the name is known",
            allow(r#"{"StringEquals":{"aws:RequestTag/eks-cluster-arn":"arn:aws:eks:us-east-1:123456789012:cluster/other"}}"#),
            &unknown_cluster,
            "never",
            &["statement 1 (\"A\") applies only if aws:RequestTag/eks-cluster-arn is \"arn:aws:eks:us-east-1:123456789012:cluster/other\" (StringEquals), which it will not be"],
        ),
        (
            "perhaps this cluster",
            allow(&format!(r#"{{"StringEquals":{{"aws:RequestTag/eks-cluster-arn":"{CLUSTER}"}}}}"#)),
            &unknown_cluster,
            "unknown",
            &["statement 1 (\"A\") depends on aws:RequestTag/eks-cluster-arn (StringEquals), whose value is not known yet"],
        ),
        (
            "a namespace that is not known",
            allow(r#"{"StringLike":{"aws:RequestTag/kubernetes-namespace":"pay*"}}"#),
            &nothing_known,
            "unknown",
            &["statement 1 (\"A\") depends on aws:RequestTag/kubernetes-namespace (StringLike), whose value is not known yet"],
        ),
        ("any namespace", allow(r#"{"StringLike":{"aws:RequestTag/kubernetes-namespace":"*"}}"#), &nothing_known, "works", &[]),
        (
            "tags without tags",
            allow(r#"{"StringEquals":{"aws:RequestTag/kubernetes-namespace":"payments"},"ForAnyValue:StringEquals":{"aws:TagKeys":"kubernetes-namespace"}}"#),
            &off,
            "never",
            &[
                "statement 1 (\"A\") requires aws:RequestTag/kubernetes-namespace, which is a session tag, but session tags are disabled",
                "statement 1 (\"A\") requires aws:TagKeys, which is a session tag, but session tags are disabled",
            ],
        ),
        ("tags if there are any", allow(r#"{"StringEqualsIfExists":{"aws:RequestTag/kubernetes-namespace":"payments"}}"#), &off, "works", &[]),
        ("no tags wanted", allow(r#"{"Null":{"aws:RequestTag/kubernetes-namespace":"true"}}"#), &off, "works", &[]),
        (
            "tag keys",
            allow(r#"{"ForAllValues:StringLike":{"aws:TagKeys":["eks-*","kubernetes-*"]},"ForAnyValue:StringEquals":{"aws:TagKeys":["kubernetes-pod-uid"]}}"#),
            &known,
            "works",
            &[],
        ),
        (
            "the association as source",
            allow(r#"{"StringLike":{"aws:SourceArn":"arn:aws:eks:us-east-1:123456789012:podidentityassociation/demo/*"}}"#),
            &known,
            "never",
            &["statement 1 (\"A\") compares aws:SourceArn with the ARN of an association (\"arn:aws:eks:us-east-1:123456789012:podidentityassociation/demo/*\"), but EKS Pod Identity sends the ARN of the cluster"],
        ),
        (
            "a wildcard under StringEquals",
            allow(r#"{"StringEquals":{"aws:RequestTag/kubernetes-namespace":"pay*"}}"#),
            &known,
            "never",
            &["statement 1 (\"A\") compares aws:RequestTag/kubernetes-namespace with \"pay*\" under StringEquals, which takes the wildcard literally, so it never matches"],
        ),
        (
            "another account",
            allow(r#"{"StringEquals":{"aws:SourceAccount":"999999999999"}}"#),
            &known,
            "never",
            &["statement 1 (\"A\") applies only if aws:SourceAccount is \"999999999999\" (StringEquals), but it will be \"123456789012\""],
        ),
        (
            "an organization",
            allow(r#"{"StringEquals":{"aws:SourceOrgId":"${aws:ResourceOrgId}"}}"#),
            &known,
            "unknown",
            &["statement 1 (\"A\") depends on aws:SourceOrgId (StringEquals), whose value is not known yet"],
        ),
        ("excluded by one statement, allowed by another", format!("{},{plain}", allow(r#"{"StringEquals":{"aws:SourceAccount":"999999999999"}}"#)), &known, "works", &[]),
        (
            "two services of which one is ours",
            r#"{"Effect":"Allow","Principal":{"Service":["ec2.amazonaws.com","pods.eks.amazonaws.com"]},"Action":"sts:*"}"#.into(),
            &known,
            "works",
            &[],
        ),
        (
            "everybody",
            r#"{"Effect":"Allow","Principal":"*","Action":"sts:*"}"#.into(),
            &known,
            "unknown",
            &["statement 1 does not name the principal, and whether EKS accepts that is not documented"],
        ),
        (
            "denied to everybody",
            format!(r#"{plain},{{"Sid":"D","Effect":"Deny","Principal":"*","Action":"sts:AssumeRole"}}"#),
            &known,
            "never",
            &["statement 2 (\"D\") denies sts:AssumeRole"],
        ),
        (
            "denied to another namespace",
            format!(r#"{plain},{{"Effect":"Deny",{pods},"Action":"*","Condition":{{"StringNotEquals":{{"aws:RequestTag/kubernetes-namespace":"payments"}}}}}}"#),
            &known,
            "works",
            &[],
        ),
        (
            "denied to this namespace",
            format!(r#"{plain},{{"Effect":"Deny",{pods},"Action":"*","Condition":{{"StringEquals":{{"aws:RequestTag/kubernetes-namespace":"payments"}}}}}}"#),
            &known,
            "never",
            &["statement 2 denies sts:AssumeRole", "statement 2 denies sts:TagSession"],
        ),
        (
            "denied outside an organization",
            format!(r#"{plain},{{"Effect":"Deny","Principal":{{"AWS":"*"}},"Action":"sts:AssumeRole","Condition":{{"StringNotEquals":{{"aws:SourceOrgId":"o-1"}}}}}}"#),
            &known,
            "unknown",
            &["statement 2 may deny sts:AssumeRole, depending on values that are not known yet"],
        ),
        (
            "denied to principals that are no service",
            format!(r#"{plain},{{"Effect":"Deny","Principal":"*","Action":"sts:AssumeRole","Condition":{{"BoolIfExists":{{"aws:PrincipalIsAWSService":false}}}}}}"#),
            &known,
            "works",
            &[],
        ),
        (
            "denied to all but ours",
            format!(r#"{plain},{{"Effect":"Deny","NotPrincipal":{{"Service":"pods.eks.amazonaws.com"}},"Action":"sts:AssumeRole"}}"#),
            &known,
            "works",
            &[],
        ),
        ("no document to speak of", String::new(), &known, "never", &["no statement allows the principal pods.eks.amazonaws.com to assume the role"]),
    ];
    for (what, statements, pod, verdict, reasons) in cases {
        let found = analyze(&document(&statements), pod);
        assert_eq!(
            words(&found),
            (
                verdict,
                reasons.iter().map(|text| (*text).to_owned()).collect()
            ),
            "{what}"
        );
        if let Verdict::CanNeverWork(reasons) | Verdict::CannotTell(reasons) = found {
            assert!(
                reasons.iter().all(|reason| reason.advice().ends_with('.')),
                "{what}: advice is a sentence"
            );
        }
    }
}

#[test]
fn variables_need_the_version() {
    let statement = allow(r#"{"StringEquals":{"aws:SourceAccount":"${aws:SourceAccount}"}}"#);
    assert_eq!(analyze(&document(&statement), &pod()), Verdict::Works);
    let old = Document::parse(&format!(r#"{{"Statement":[{statement}]}}"#)).unwrap();
    assert!(matches!(analyze(&old, &pod()), Verdict::CanNeverWork(_)));
}

#[test]
fn what_is_built_works_for_whom_it_was_built() {
    let some = |text: &str| Some(vec![text.to_owned()]);
    let specs = [
        TrustSpec::default(),
        TrustSpec {
            cluster_arns: some(CLUSTER),
            namespaces: some("payments"),
            service_accounts: some("api"),
            source_account: Some("123456789012".into()),
            ..TrustSpec::default()
        },
        TrustSpec {
            cluster_arns: some("arn:aws:eks:*:123456789012:cluster/d*"),
            namespaces: some("pay*"),
            service_accounts: some("*"),
            ..TrustSpec::default()
        },
    ];
    for spec in &specs {
        assert_eq!(
            analyze(&spec.build().unwrap(), &pod()),
            Verdict::Works,
            "{spec:?}"
        );
    }
    let untagged = TrustSpec {
        cluster_arns: some(CLUSTER),
        disable_session_tags: true,
        ..TrustSpec::default()
    };
    assert_eq!(
        analyze(
            &untagged.build().unwrap(),
            &PodContext {
                session_tags: false,
                ..pod()
            }
        ),
        Verdict::Works
    );
    let other = PodContext {
        cluster_arn: Some(CLUSTER.replace("demo", "other")),
        session_tags: false,
        ..PodContext::default()
    };
    assert!(matches!(
        analyze(&untagged.build().unwrap(), &other),
        Verdict::CanNeverWork(_)
    ));
}

#[test]
fn target_roles() {
    let source = RoleArn::parse("arn:aws:iam::111122223333:role/team/source").unwrap();
    let other = RoleArn::parse("arn:aws:iam::111122223333:role/other").unwrap();
    let id = "us-east-1/123456789012/demo/payments/api";
    let target_of = Some(TargetOf {
        role_arns: vec![source.to_string()],
        external_ids: None,
    });
    let tagged = TrustSpec {
        namespaces: Some(vec!["payments".into()]),
        target_of: target_of.clone(),
        ..TrustSpec::default()
    }
    .build()
    .unwrap();
    let untagged = TrustSpec {
        cluster_arns: Some(vec![CLUSTER.into()]),
        namespaces: Some(vec!["payments".into()]),
        service_accounts: Some(vec!["api".into()]),
        disable_session_tags: true,
        target_of,
        ..TrustSpec::default()
    }
    .build()
    .unwrap();
    let off = PodContext {
        session_tags: false,
        ..pod()
    };
    let direct = document(
        r#"{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::111122223333:role/team/source"},"Action":"sts:AssumeRole"}"#,
    );
    let cases = [
        ("with tags", &tagged, &pod(), &source, None, "works"),
        ("another source", &tagged, &pod(), &other, None, "never"),
        (
            "without tags, by tags",
            &tagged,
            &off,
            &source,
            Some(id),
            "never",
        ),
        (
            "without tags, by external id",
            &untagged,
            &off,
            &source,
            Some(id),
            "works",
        ),
        (
            "another external id",
            &untagged,
            &off,
            &source,
            Some("us-east-1/123456789012/demo/payments/web"),
            "never",
        ),
        (
            "an external id that is not known yet",
            &untagged,
            &off,
            &source,
            None,
            "unknown",
        ),
        ("one action", &direct, &pod(), &source, None, "never"),
        (
            "a role that is not trusted",
            &direct,
            &pod(),
            &other,
            None,
            "never",
        ),
        (
            "only EKS is trusted",
            &TrustSpec::default().build().unwrap(),
            &pod(),
            &source,
            None,
            "never",
        ),
        (
            "the unique id of a role",
            &document(r#"{"Effect":"Allow","Principal":{"AWS":"AROAEXAMPLE"},"Action":"sts:*"}"#),
            &pod(),
            &source,
            None,
            "unknown",
        ),
    ];
    for (what, document, pod, source, id, verdict) in cases {
        assert_eq!(
            words(&analyze_target(document, pod, source, id)).0,
            verdict,
            "{what}: {:?}",
            analyze_target(document, pod, source, id)
        );
    }
}
