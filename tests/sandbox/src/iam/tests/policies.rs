//! Managed and inline policies, and what they allow.

use super::*;

#[test]
fn attached_policies_are_listed_by_path() {
    let mut iam = Iam::default();
    role(&mut iam, "app");
    ok(
        &mut iam,
        "CreatePolicy",
        &[
            ("PolicyName", "mine"),
            ("Path", "/team/"),
            ("PolicyDocument", POLICY),
        ],
    );
    for arn in [
        S3,
        "arn:aws:iam::aws:policy/service-role/AmazonEBSCSIDriverPolicy",
        "arn:aws:iam::111122223333:policy/team/mine",
    ] {
        ok(
            &mut iam,
            "AttachRolePolicy",
            &[("RoleName", "app"), ("PolicyArn", arn)],
        );
    }
    let listed = |iam: &mut Iam, parameters: &[(&str, &str)]| {
        let xml = ok(
            iam,
            "ListAttachedRolePolicies",
            &[&[("RoleName", "app")], parameters].concat(),
        );
        texts(&xml, "PolicyName")
            .into_iter()
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    assert_eq!(
        listed(&mut iam, &[]),
        ["AmazonEBSCSIDriverPolicy", "AmazonS3ReadOnlyAccess", "mine"]
    );
    assert_eq!(
        listed(&mut iam, &[("PathPrefix", "/service-role/")]),
        ["AmazonEBSCSIDriverPolicy"]
    );
    assert_eq!(
        listed(&mut iam, &[("MaxItems", "1")]),
        ["AmazonEBSCSIDriverPolicy"]
    );
    let entities = ok(&mut iam, "ListEntitiesForPolicy", &[("PolicyArn", S3)]);
    assert_eq!(text(&entities, "RoleName"), Some("app"));
    let mine = "arn:aws:iam::111122223333:policy/team/mine";
    assert_eq!(
        text(
            &ok(&mut iam, "GetPolicy", &[("PolicyArn", mine)]),
            "AttachmentCount"
        ),
        Some("1")
    );
    assert_eq!(
        err(&mut iam, "DeletePolicy", &[("PolicyArn", mine)]),
        (
            409,
            "DeleteConflict".into(),
            "Cannot delete a policy attached to entities.".into()
        )
    );
    ok(
        &mut iam,
        "DetachRolePolicy",
        &[("RoleName", "app"), ("PolicyArn", mine)],
    );
    ok(
        &mut iam,
        "CreatePolicyVersion",
        &[
            ("PolicyArn", mine),
            ("PolicyDocument", POLICY),
            ("SetAsDefault", "true"),
        ],
    );
    assert_eq!(
        err(&mut iam, "DeletePolicy", &[("PolicyArn", mine)]).1,
        "DeleteConflict"
    );
    assert_eq!(
        err(
            &mut iam,
            "DeletePolicyVersion",
            &[("PolicyArn", mine), ("VersionId", "v2")]
        ),
        (
            409,
            "DeleteConflict".into(),
            "Cannot delete the default version of a policy.".into()
        )
    );
    assert_eq!(
        texts(
            &ok(&mut iam, "ListPolicyVersions", &[("PolicyArn", mine)]),
            "VersionId"
        ),
        ["v2", "v1"]
    );
    ok(
        &mut iam,
        "DeletePolicyVersion",
        &[("PolicyArn", mine), ("VersionId", "v1")],
    );
    ok(&mut iam, "DeletePolicy", &[("PolicyArn", mine)]);
    for (action, arn) in [
        ("AttachRolePolicy", "longpolicynamebutnoarn"),
        ("DetachRolePolicy", "arn:aws:iam::111122223333:role/mine"),
    ] {
        assert_eq!(
            err(&mut iam, action, &[("RoleName", "app"), ("PolicyArn", arn)]),
            (
                400,
                "ValidationError".into(),
                format!("ARN {arn} is not valid.")
            )
        );
    }
}

#[test]
fn inline_documents_come_back_as_sent() {
    let mut iam = Iam::default();
    role(&mut iam, "app");
    let spaced = POLICY
        .replace(':', " :\n ")
        .replace("s3 :\n GetObject", "s3:GetObject");
    ok(
        &mut iam,
        "PutRolePolicy",
        &[
            ("RoleName", "app"),
            ("PolicyName", "p"),
            ("PolicyDocument", &spaced),
        ],
    );
    let xml = ok(
        &mut iam,
        "GetRolePolicy",
        &[("RoleName", "app"), ("PolicyName", "p")],
    );
    let encoded = text(&xml, "PolicyDocument").unwrap();
    assert!(encoded.contains("%20%3A%0A%20"), "{encoded}");
    assert_eq!(
        percent_encoding::percent_decode_str(encoded)
            .decode_utf8()
            .unwrap(),
        spaced
    );
    assert_eq!(
        texts(
            &ok(&mut iam, "ListRolePolicies", &[("RoleName", "app")]),
            "member"
        ),
        ["p"]
    );
    assert_eq!(
        err(
            &mut iam,
            "PutRolePolicy",
            &[
                ("RoleName", "app"),
                ("PolicyName", "p"),
                ("PolicyDocument", TRUST)
            ]
        ),
        (
            400,
            "MalformedPolicyDocument".into(),
            "Policy document should not specify a principal.".into()
        )
    );
}

#[test]
fn simulation_follows_policies_boundary_and_context() {
    let mut iam = Iam::default();
    role(&mut iam, "app");
    let arn = "arn:aws:iam::111122223333:role/app";
    let inline = r#"{"Version":"2012-10-17","Statement":[
        {"Effect":"Allow","Action":["S3:get*","sqs:*"],"Resource":["arn:aws:s3:::b/*","arn:aws:sqs:*"]},
        {"Effect":"Deny","Action":"s3:GetObject","Resource":"arn:aws:s3:::b/secret"},
        {"Effect":"Allow","Action":"sns:Publish","Resource":"*","Condition":{"StringEquals":{"aws:PrincipalTag/a":"b"}}}]}"#;
    ok(
        &mut iam,
        "PutRolePolicy",
        &[
            ("RoleName", "app"),
            ("PolicyName", "p"),
            ("PolicyDocument", inline),
        ],
    );
    let mut decide = |action: &str, resource: &str, more: &[(&str, &str)]| {
        let parameters = [
            &[
                ("PolicySourceArn", arn),
                ("ActionNames.member.1", action),
                ("ResourceArns.member.1", resource),
            ],
            more,
        ]
        .concat();
        let xml = ok(&mut iam, "SimulatePrincipalPolicy", &parameters);
        text(&xml, "EvalDecision").unwrap().to_owned()
    };
    assert_eq!(decide("s3:GetObject", "arn:aws:s3:::b/x", &[]), "allowed");
    assert_eq!(
        decide("s3:GetObject", "arn:aws:s3:::b/secret", &[]),
        "explicitDeny"
    );
    assert_eq!(
        decide("s3:PutObject", "arn:aws:s3:::b/x", &[]),
        "implicitDeny"
    );
    assert_eq!(decide("sns:Publish", "*", &[]), "implicitDeny");
    let entry = [
        (
            "ContextEntries.member.1.ContextKeyName",
            "aws:principaltag/A",
        ),
        ("ContextEntries.member.1.ContextKeyValues.member.1", "b"),
    ];
    assert_eq!(decide("sns:Publish", "*", &entry), "allowed");
    ok(
        &mut iam,
        "PutRolePermissionsBoundary",
        &[("RoleName", "app"), ("PermissionsBoundary", S3)],
    );
    let parameters = [
        ("PolicySourceArn", arn),
        ("ActionNames.member.1", "sqs:SendMessage"),
        ("ResourceArns.member.1", "arn:aws:sqs:x"),
        ("ActionNames.member.2", "s3:GetObject"),
    ];
    let xml = ok(&mut iam, "SimulatePrincipalPolicy", &parameters);
    assert_eq!(
        (
            texts(&xml, "EvalDecision"),
            text(&xml, "AllowedByPermissionsBoundary")
        ),
        (vec!["implicitDeny", "allowed"], Some("false"))
    );
    let mine = [
        ("PolicySourceArn", "arn:aws:iam::111122223333:user/test"),
        ("ActionNames.member.1", "iam:PassRole"),
    ];
    assert_eq!(
        text(
            &ok(&mut iam, "SimulatePrincipalPolicy", &mine),
            "EvalDecision"
        ),
        Some("allowed")
    );
}
