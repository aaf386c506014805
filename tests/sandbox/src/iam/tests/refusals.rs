//! What is refused, and in which words.

use super::*;

/// Name, parameters, and the status, code and message of the answer.
type Case<'a> = (&'a str, Vec<(&'a str, &'a str)>, u16, &'a str, String);

#[test]
fn parameters_are_refused_with_the_texts_of_iam() {
    let long_name = "n".repeat(65);
    let long_text = "t".repeat(1001);
    let long_key = "k".repeat(129);
    let long_value = "v".repeat(257);
    let long_document = "x".repeat(131_073);
    let good = [("RoleName", "app"), ("AssumeRolePolicyDocument", TRUST)];
    let with = |extra: &[(&'static str, &'static str)]| [good.to_vec(), extra.to_vec()].concat();
    const PREFIX: &str = "1 validation error detected: Value at ";
    let cases: Vec<Case<'_>> = vec![
        ("no name", vec![("AssumeRolePolicyDocument", TRUST)], 400, "ValidationError", format!("{PREFIX}'roleName' failed to satisfy constraint: Member must not be null")),
        ("no document", vec![("RoleName", "app")], 400, "ValidationError", format!("{PREFIX}'assumeRolePolicyDocument' failed to satisfy constraint: Member must not be null")),
        (
            "several",
            vec![("RoleName", &long_name), ("Path", "")],
            400,
            "ValidationError",
            "3 validation errors detected: Value at 'path' failed to satisfy constraint: Member must have length greater than or equal to 1; \
             Value at 'roleName' failed to satisfy constraint: Member must have length less than or equal to 64; \
             Value at 'assumeRolePolicyDocument' failed to satisfy constraint: Member must not be null"
                .into(),
        ),
        ("empty name", vec![("RoleName", ""), ("AssumeRolePolicyDocument", TRUST)], 400, "ValidationError", format!("{PREFIX}'roleName' failed to satisfy constraint: Member must have length greater than or equal to 1")),
        ("name", vec![("RoleName", "a/b"), ("AssumeRolePolicyDocument", TRUST)], 400, "ValidationError", "The specified value for roleName is invalid. It must contain only alphanumeric characters and/or the following: +=,.@_-".into()),
        ("path", with(&[("Path", "team")]), 400, "ValidationError", "The specified value for path is invalid. It must begin and end with / and contain only alphanumeric characters and/or / characters.".into()),
        ("long document", vec![("RoleName", "app"), ("AssumeRolePolicyDocument", &long_document)], 400, "ValidationError", format!("{PREFIX}'assumeRolePolicyDocument' failed to satisfy constraint: Member must have length less than or equal to 131072")),
        ("document", vec![("RoleName", "app"), ("AssumeRolePolicyDocument", "{\"\u{1f600}\":1}")], 400, "ValidationError", "The specified value for assumeRolePolicyDocument is invalid. It must contain only printable ASCII characters.".into()),
        ("description", with(&[("Description", "\u{1f600}")]), 400, "ValidationError", format!("{PREFIX}'description' failed to satisfy constraint: Member must satisfy regular expression pattern: [\\u0009\\u000A\\u000D\\u0020-\\u007E\\u00A1-\\u00FF]*")),
        ("long description", [good.to_vec(), vec![("Description", long_text.as_str())]].concat(), 400, "ValidationError", format!("{PREFIX}'description' failed to satisfy constraint: Member must have length less than or equal to 1000")),
        ("short session", with(&[("MaxSessionDuration", "3599")]), 400, "ValidationError", format!("{PREFIX}'maxSessionDuration' failed to satisfy constraint: Member must have value greater than or equal to 3600")),
        ("long session", with(&[("MaxSessionDuration", "43201")]), 400, "ValidationError", format!("{PREFIX}'maxSessionDuration' failed to satisfy constraint: Member must have value less than or equal to 43200")),
        ("session", with(&[("MaxSessionDuration", "1h")]), 400, "MalformedInput", String::new()),
        ("boundary form", with(&[("PermissionsBoundary", "arn:aws:iam::111122223333:not_a_policy/x")]), 400, "InvalidInput", "ARN arn:aws:iam::111122223333:not_a_policy/x is not valid.".into()),
        ("no boundary", with(&[("PermissionsBoundary", "arn:aws:iam::111122223333:policy/x")]), 404, "NoSuchEntity", "Scope ARN: arn:aws:iam::111122223333:policy/x does not exist or is not attachable.".into()),
        ("no tag key", with(&[("Tags.member.1.Value", "v")]), 400, "MissingParameter", "The request must contain the parameter Tags.member.1.Key.".into()),
        ("no tag value", with(&[("Tags.member.1.Key", "k")]), 400, "MissingParameter", "The request must contain the parameter Tags.member.1.Value.".into()),
        ("tag key", with(&[("Tags.member.1.Key", "a!"), ("Tags.member.1.Value", "v")]), 400, "ValidationError", format!("{PREFIX}'tags.1.member.key' failed to satisfy constraint: Member must satisfy regular expression pattern: [\\p{{L}}\\p{{Z}}\\p{{N}}_.:/=+\\-@]+")),
        ("tag value", with(&[("Tags.member.1.Key", "a"), ("Tags.member.1.Value", "v*")]), 400, "ValidationError", format!("{PREFIX}'tags.1.member.value' failed to satisfy constraint: Member must satisfy regular expression pattern: [\\p{{L}}\\p{{Z}}\\p{{N}}_.:/=+\\-@]*")),
        ("long tag key", [good.to_vec(), vec![("Tags.member.1.Key", long_key.as_str()), ("Tags.member.1.Value", "")]].concat(), 400, "ValidationError", format!("{PREFIX}'tags.1.member.key' failed to satisfy constraint: Member must have length less than or equal to 128")),
        ("long tag value", [good.to_vec(), vec![("Tags.member.1.Key", "k"), ("Tags.member.1.Value", long_value.as_str())]].concat(), 400, "ValidationError", format!("{PREFIX}'tags.1.member.value' failed to satisfy constraint: Member must have length less than or equal to 256")),
        ("tag twice", with(&[("Tags.member.1.Key", "k"), ("Tags.member.1.Value", "1"), ("Tags.member.2.Key", "K"), ("Tags.member.2.Value", "2")]), 400, "InvalidInput", "Duplicate tag keys found. Please note that Tag keys are case insensitive.".into()),
        ("reserved tag", with(&[("Tags.member.1.Key", "AWS:x"), ("Tags.member.1.Value", "1")]), 400, "InvalidInput", "aws: prefixed tag key names are not allowed for external use.".into()),
        ("trust", vec![("RoleName", "app"), ("AssumeRolePolicyDocument", "{")], 400, "MalformedPolicyDocument", "This policy contains invalid Json".into()),
    ];
    let mut iam = Iam::default();
    for (name, parameters, status, code, message) in cases {
        assert_eq!(
            err(&mut iam, "CreateRole", &parameters),
            (status, code.to_owned(), message),
            "{name}"
        );
    }
    let tags: Vec<(String, String)> = (1..=51)
        .flat_map(|n| {
            [
                (format!("Tags.member.{n}.Key"), format!("k{n}")),
                (format!("Tags.member.{n}.Value"), "v".into()),
            ]
        })
        .collect();
    let tags: Vec<(&str, &str)> = tags
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    let too_many = format!(
        "{PREFIX}'tags' failed to satisfy constraint: Member must have length less than or equal to 50"
    );
    assert_eq!(
        err(&mut iam, "CreateRole", &[good.to_vec(), tags].concat()),
        (400, "ValidationError".into(), too_many)
    );
    assert_eq!(text(&ok(&mut iam, "ListRoles", &[]), "Roles"), Some(""));
    assert_eq!(
        err(&mut iam, "MakeRole", &[]),
        (
            400,
            "InvalidAction".into(),
            "Could not find operation MakeRole for version 2010-05-08".into()
        )
    );
}

#[test]
fn what_is_not_there_is_named() {
    let mut iam = Iam::default();
    role(&mut iam, "app");
    let no_role = "The role with name gone cannot be found.";
    let oidc = "arn:aws:iam::111122223333:oidc-provider/example.com";
    let nothing = "arn:aws:iam::111122223333:policy/gone";
    for (action, parameters, message) in [
        ("GetRole", vec![("RoleName", "gone")], no_role.to_owned()),
        (
            "GetRole",
            vec![("RoleName", "APP")],
            "The role with name APP cannot be found.".into(),
        ),
        ("UpdateRole", vec![("RoleName", "gone")], no_role.into()),
        (
            "UpdateRoleDescription",
            vec![("RoleName", "gone"), ("Description", "")],
            no_role.into(),
        ),
        (
            "UpdateAssumeRolePolicy",
            vec![("RoleName", "gone"), ("PolicyDocument", "{")],
            no_role.into(),
        ),
        ("DeleteRole", vec![("RoleName", "gone")], no_role.into()),
        (
            "PutRolePolicy",
            vec![
                ("RoleName", "gone"),
                ("PolicyName", "p"),
                ("PolicyDocument", "{"),
            ],
            no_role.into(),
        ),
        (
            "GetRolePolicy",
            vec![("RoleName", "app"), ("PolicyName", "p")],
            "The role policy with name p cannot be found.".into(),
        ),
        (
            "DeleteRolePolicy",
            vec![("RoleName", "app"), ("PolicyName", "p")],
            "The role policy with name p cannot be found.".into(),
        ),
        (
            "ListRolePolicies",
            vec![("RoleName", "gone")],
            no_role.into(),
        ),
        (
            "ListAttachedRolePolicies",
            vec![("RoleName", "gone")],
            no_role.into(),
        ),
        (
            "AttachRolePolicy",
            vec![("RoleName", "gone"), ("PolicyArn", S3)],
            no_role.into(),
        ),
        (
            "AttachRolePolicy",
            vec![("RoleName", "app"), ("PolicyArn", nothing)],
            format!("Policy {nothing} does not exist or is not attachable."),
        ),
        (
            "DetachRolePolicy",
            vec![("RoleName", "app"), ("PolicyArn", S3)],
            format!("Policy {S3} was not found."),
        ),
        (
            "PutRolePermissionsBoundary",
            vec![("RoleName", "gone"), ("PermissionsBoundary", S3)],
            no_role.into(),
        ),
        (
            "DeleteRolePermissionsBoundary",
            vec![("RoleName", "gone")],
            no_role.into(),
        ),
        (
            "TagRole",
            vec![
                ("RoleName", "gone"),
                ("Tags.member.1.Key", "k"),
                ("Tags.member.1.Value", "v"),
            ],
            no_role.into(),
        ),
        (
            "UntagRole",
            vec![("RoleName", "gone"), ("TagKeys.member.1", "k")],
            no_role.into(),
        ),
        ("ListRoleTags", vec![("RoleName", "gone")], no_role.into()),
        (
            "ListInstanceProfilesForRole",
            vec![("RoleName", "gone")],
            no_role.into(),
        ),
        (
            "GetPolicy",
            vec![("PolicyArn", nothing)],
            format!("Policy {nothing} was not found."),
        ),
        (
            "GetPolicyVersion",
            vec![("PolicyArn", nothing), ("VersionId", "v1")],
            format!("Policy {nothing} version v1 does not exist or is not attachable."),
        ),
        (
            "DeletePolicy",
            vec![("PolicyArn", nothing)],
            format!("Policy {nothing} was not found."),
        ),
        (
            "GetInstanceProfile",
            vec![("InstanceProfileName", "p")],
            "Instance Profile p cannot be found.".into(),
        ),
        (
            "GetOpenIDConnectProvider",
            vec![("OpenIDConnectProviderArn", oidc)],
            format!("OpenIDConnect Provider not found for arn {oidc}"),
        ),
        (
            "DeleteOpenIDConnectProvider",
            vec![("OpenIDConnectProviderArn", oidc)],
            format!("OpenId connect Provider {oidc} cannot be found."),
        ),
        (
            "GetUser",
            vec![("UserName", "gone")],
            "The user with name gone cannot be found.".into(),
        ),
    ] {
        assert_eq!(
            err(&mut iam, action, &parameters),
            (404, "NoSuchEntity".into(), message),
            "{action}"
        );
    }
}

#[test]
fn quotas_hold() {
    let mut iam = Iam::default();
    iam.seed(&context(), &json!({"Quotas": {"PoliciesPerRole": 2, "RolesPerAccount": 2, "ACLSizePerRole": 200, "PoliciesPerAccount": 1}})).unwrap();
    role(&mut iam, "a");
    let limit = |message: &str| (409, "LimitExceeded".to_owned(), message.to_owned());
    let long = TRUST.replace("\"Effect\"", "\"Sid\":\"01234567890123456789012345678901234567890123456789012345678901234567890123456789\",\"Effect\"");
    assert_eq!(
        err(
            &mut iam,
            "UpdateAssumeRolePolicy",
            &[("RoleName", "a"), ("PolicyDocument", &long)]
        ),
        limit("Cannot exceed quota for ACLSizePerRole: 200")
    );
    role(&mut iam, "b");
    assert_eq!(
        err(
            &mut iam,
            "CreateRole",
            &[("RoleName", "c"), ("AssumeRolePolicyDocument", TRUST)]
        ),
        limit("Cannot exceed quota for RolesPerAccount: 2")
    );
    for policy in ["ReadOnlyAccess", "AmazonS3ReadOnlyAccess"] {
        ok(
            &mut iam,
            "AttachRolePolicy",
            &[
                ("RoleName", "a"),
                ("PolicyArn", &format!("arn:aws:iam::aws:policy/{policy}")),
            ],
        );
    }
    ok(
        &mut iam,
        "AttachRolePolicy",
        &[("RoleName", "a"), ("PolicyArn", S3)],
    );
    assert_eq!(
        err(
            &mut iam,
            "AttachRolePolicy",
            &[
                ("RoleName", "a"),
                (
                    "PolicyArn",
                    "arn:aws:iam::aws:policy/AmazonSQSReadOnlyAccess"
                )
            ]
        ),
        limit("Cannot exceed quota for PoliciesPerRole: 2")
    );
    let sized = |characters: usize| {
        POLICY.replace(
            "\"*\"",
            &format!("\"arn:aws:s3:::{}\"", "x".repeat(characters)),
        )
    };
    ok(
        &mut iam,
        "PutRolePolicy",
        &[
            ("RoleName", "a"),
            ("PolicyName", "one"),
            ("PolicyDocument", &sized(6000)),
        ],
    );
    ok(
        &mut iam,
        "PutRolePolicy",
        &[
            ("RoleName", "a"),
            ("PolicyName", "one"),
            ("PolicyDocument", &sized(7000)),
        ],
    );
    assert_eq!(
        err(
            &mut iam,
            "PutRolePolicy",
            &[
                ("RoleName", "a"),
                ("PolicyName", "two"),
                ("PolicyDocument", &sized(4000))
            ]
        ),
        limit("Maximum policy size of 10240 bytes exceeded for role a")
    );
    assert_eq!(
        err(
            &mut iam,
            "CreatePolicy",
            &[("PolicyName", "p"), ("PolicyDocument", &sized(6100))]
        ),
        limit("Cannot exceed quota for PolicySize: 6144")
    );
    ok(
        &mut iam,
        "CreatePolicy",
        &[("PolicyName", "p"), ("PolicyDocument", POLICY)],
    );
    assert_eq!(
        err(
            &mut iam,
            "CreatePolicy",
            &[("PolicyName", "q"), ("PolicyDocument", POLICY)]
        ),
        limit("Cannot exceed quota for PoliciesPerAccount: 1")
    );
    for n in 0..50 {
        ok(
            &mut iam,
            "TagRole",
            &[
                ("RoleName", "a"),
                ("Tags.member.1.Key", &format!("k{n}")),
                ("Tags.member.1.Value", ""),
            ],
        );
    }
    assert_eq!(
        err(
            &mut iam,
            "TagRole",
            &[
                ("RoleName", "a"),
                ("Tags.member.1.Key", "k50"),
                ("Tags.member.1.Value", "")
            ]
        ),
        limit("The number of tags has reached the maximum limit.")
    );
}
