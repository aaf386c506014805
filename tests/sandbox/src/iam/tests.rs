#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use serde_json::json;
use time::macros::datetime;

use super::*;

const TRUST: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"pods.eks.amazonaws.com"},"Action":["sts:AssumeRole","sts:TagSession"]}]}"#;
const POLICY: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:GetObject","Resource":"*"}]}"#;
const S3: &str = "arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess";

fn context() -> RequestContext {
    RequestContext {
        account_id: "111122223333".into(),
        partition: "aws".into(),
        now: datetime!(2026-11-22 10:00:00 UTC),
        request_id: "7a62c49f-347e-4fc4-9331-6e8eEXAMPLE".into(),
        caller_arn: "arn:aws:iam::111122223333:user/test".into(),
    }
}

fn call(iam: &mut Iam, action: &str, parameters: &[(&str, &str)]) -> Result<String, IamError> {
    let mut all: BTreeMap<String, String> = parameters
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    all.insert("Action".into(), action.into());
    all.insert("Version".into(), "2010-05-08".into());
    iam.handle(&context(), &all)
}

fn ok(iam: &mut Iam, action: &str, parameters: &[(&str, &str)]) -> String {
    call(iam, action, parameters).unwrap_or_else(|error| panic!("{action} {parameters:?}: {error}"))
}

fn err(iam: &mut Iam, action: &str, parameters: &[(&str, &str)]) -> (u16, String, String) {
    let error = call(iam, action, parameters).expect_err(action);
    assert!(error.sender_fault);
    (error.status, error.code, error.message)
}

fn role(iam: &mut Iam, name: &str) -> String {
    ok(
        iam,
        "CreateRole",
        &[("RoleName", name), ("AssumeRolePolicyDocument", TRUST)],
    )
}

/// The text of the first element of this name.
fn text<'a>(xml: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = xml.split_once(&format!("<{name}>"))?;
    rest.split_once(&format!("</{name}>")).map(|(text, _)| text)
}

fn texts<'a>(xml: &'a str, name: &str) -> Vec<&'a str> {
    xml.split(&format!("<{name}>"))
        .skip(1)
        .filter_map(|rest| rest.split("</").next())
        .collect()
}

/// The trust policy as `GetRole` shows it.
fn trust(iam: &mut Iam, name: &str) -> String {
    let xml = ok(iam, "GetRole", &[("RoleName", name)]);
    let encoded = text(&xml, "AssumeRolePolicyDocument").unwrap();
    percent_encoding::percent_decode_str(encoded)
        .decode_utf8()
        .unwrap()
        .into_owned()
}

#[test]
fn answers_differ_in_what_they_show_of_a_role() {
    let mut iam = Iam::default();
    let created = ok(
        &mut iam,
        "CreateRole",
        &[
            ("RoleName", "app"),
            ("Path", "/team/"),
            ("AssumeRolePolicyDocument", TRUST),
            ("Description", "a <b> & c"),
            ("MaxSessionDuration", "7200"),
            ("PermissionsBoundary", S3),
            ("Tags.member.1.Key", "b"),
            ("Tags.member.1.Value", "1"),
            ("Tags.member.2.Key", "a"),
            ("Tags.member.2.Value", ""),
        ],
    );
    let id = text(&created, "RoleId").unwrap().to_owned();
    assert!(id.starts_with("AROA") && id.len() == 21, "{id}");
    let document = "%7B%22Version%22%3A%222012-10-17%22%2C%22Statement%22%3A%5B%7B%22Effect%22%3A%22Allow%22%2C%22Principal%22%3A%7B%22Service%22%3A%22pods.eks.amazonaws.com%22%7D%2C%22Action%22%3A%5B%22sts%3AAssumeRole%22%2C%22sts%3ATagSession%22%5D%7D%5D%7D";
    let common = format!(
        "<Path>/team/</Path><RoleName>app</RoleName><RoleId>{id}</RoleId><Arn>arn:aws:iam::111122223333:role/team/app</Arn>\
         <CreateDate>2026-11-22T10:00:00Z</CreateDate><AssumeRolePolicyDocument>{document}</AssumeRolePolicyDocument>"
    );
    let boundary = format!(
        "<PermissionsBoundary><PermissionsBoundaryType>Policy</PermissionsBoundaryType><PermissionsBoundaryArn>{S3}</PermissionsBoundaryArn></PermissionsBoundary>"
    );
    let description = "<Description>a &lt;b&gt; &amp; c</Description>";
    let tag =
        |key: &str, value: &str| format!("<member><Key>{key}</Key><Value>{value}</Value></member>");
    let wrap = |operation: &str, content: String| {
        format!(
            "<{operation}Response xmlns=\"https://iam.amazonaws.com/doc/2010-05-08/\"><{operation}Result>{content}</{operation}Result>\
             <ResponseMetadata><RequestId>7a62c49f-347e-4fc4-9331-6e8eEXAMPLE</RequestId></ResponseMetadata></{operation}Response>"
        )
    };
    assert_eq!(
        created,
        wrap(
            "CreateRole",
            format!(
                "<Role>{common}{boundary}<Tags>{}{}</Tags></Role>",
                tag("b", "1"),
                tag("a", "")
            )
        )
    );
    assert_eq!(
        ok(&mut iam, "GetRole", &[("RoleName", "app")]),
        wrap(
            "GetRole",
            format!(
                "<Role>{common}{description}<MaxSessionDuration>7200</MaxSessionDuration>{boundary}<Tags>{}{}</Tags><RoleLastUsed></RoleLastUsed></Role>",
                tag("a", ""),
                tag("b", "1")
            )
        )
    );
    assert_eq!(
        ok(&mut iam, "ListRoles", &[]),
        wrap(
            "ListRoles",
            format!(
                "<Roles><member>{common}{description}<MaxSessionDuration>7200</MaxSessionDuration></member></Roles><IsTruncated>false</IsTruncated>"
            )
        )
    );
    assert_eq!(
        ok(
            &mut iam,
            "UpdateRoleDescription",
            &[("RoleName", "app"), ("Description", "")]
        ),
        wrap("UpdateRoleDescription", format!("<Role>{common}</Role>"))
    );
    assert_eq!(
        ok(
            &mut iam,
            "UpdateRole",
            &[("RoleName", "app"), ("MaxSessionDuration", "3600")]
        ),
        wrap("UpdateRole", String::new())
    );
    iam.record_role_use(
        "arn:aws:iam::111122223333:role/team/app",
        "eu-west-1",
        datetime!(2026-11-23 00:00:00 UTC),
    );
    let shown = ok(&mut iam, "GetRole", &[("RoleName", "app")]);
    assert_eq!(text(&shown, "MaxSessionDuration"), Some("3600"));
    assert_eq!(
        text(&shown, "RoleLastUsed"),
        Some("<LastUsedDate>2026-11-23T00:00:00Z</LastUsedDate><Region>eu-west-1</Region>")
    );
    assert_eq!(
        ok(
            &mut iam,
            "DeleteRolePermissionsBoundary",
            &[("RoleName", "app")]
        ),
        "<DeleteRolePermissionsBoundaryResponse xmlns=\"https://iam.amazonaws.com/doc/2010-05-08/\"><ResponseMetadata>\
         <RequestId>7a62c49f-347e-4fc4-9331-6e8eEXAMPLE</RequestId></ResponseMetadata></DeleteRolePermissionsBoundaryResponse>"
    );
    assert_eq!(
        text(
            &ok(&mut iam, "GetRole", &[("RoleName", "app")]),
            "PermissionsBoundary"
        ),
        None
    );
}

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
    let cases: Vec<(&str, Vec<(&str, &str)>, u16, &str, String)> = vec![
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
fn names_are_unique_ignoring_case() {
    let mut iam = Iam::default();
    role(&mut iam, "App");
    assert_eq!(
        err(
            &mut iam,
            "CreateRole",
            &[
                ("RoleName", "aPP"),
                ("Path", "/x/"),
                ("AssumeRolePolicyDocument", TRUST)
            ]
        ),
        (
            409,
            "EntityAlreadyExists".into(),
            "Role with name aPP already exists.".into()
        )
    );
    ok(
        &mut iam,
        "CreatePolicy",
        &[("PolicyName", "P"), ("PolicyDocument", POLICY)],
    );
    assert_eq!(
        err(
            &mut iam,
            "CreatePolicy",
            &[
                ("PolicyName", "p"),
                ("Path", "/x/"),
                ("PolicyDocument", POLICY)
            ]
        ),
        (
            409,
            "EntityAlreadyExists".into(),
            "A policy called p already exists. Duplicate names are not allowed.".into()
        )
    );
}

#[test]
fn a_role_in_use_is_not_deleted() {
    let mut iam = Iam::default();
    role(&mut iam, "app");
    ok(
        &mut iam,
        "AttachRolePolicy",
        &[("RoleName", "app"), ("PolicyArn", S3)],
    );
    ok(
        &mut iam,
        "PutRolePolicy",
        &[
            ("RoleName", "app"),
            ("PolicyName", "p"),
            ("PolicyDocument", POLICY),
        ],
    );
    ok(
        &mut iam,
        "CreateInstanceProfile",
        &[("InstanceProfileName", "prof")],
    );
    ok(
        &mut iam,
        "AddRoleToInstanceProfile",
        &[("InstanceProfileName", "prof"), ("RoleName", "app")],
    );
    let conflict = |message: &str| (409, "DeleteConflict".to_owned(), message.to_owned());
    assert_eq!(
        err(&mut iam, "DeleteRole", &[("RoleName", "app")]),
        conflict("Cannot delete entity, must remove roles from instance profile first.")
    );
    assert_eq!(
        err(
            &mut iam,
            "DeleteInstanceProfile",
            &[("InstanceProfileName", "prof")]
        ),
        conflict("Cannot delete entity, must remove roles from instance profile first.")
    );
    let profiles = ok(
        &mut iam,
        "ListInstanceProfilesForRole",
        &[("RoleName", "app")],
    );
    assert_eq!(
        (
            text(&profiles, "InstanceProfileName"),
            text(&profiles, "RoleName")
        ),
        (Some("prof"), Some("app"))
    );
    assert_eq!(
        err(
            &mut iam,
            "AddRoleToInstanceProfile",
            &[("InstanceProfileName", "prof"), ("RoleName", "app")]
        ),
        (
            409,
            "LimitExceeded".into(),
            "Cannot exceed quota for InstanceSessionsPerInstanceProfile: 1".into()
        )
    );
    ok(
        &mut iam,
        "RemoveRoleFromInstanceProfile",
        &[("InstanceProfileName", "prof"), ("RoleName", "app")],
    );
    assert_eq!(
        err(
            &mut iam,
            "RemoveRoleFromInstanceProfile",
            &[("InstanceProfileName", "prof"), ("RoleName", "app")]
        ),
        (
            404,
            "NoSuchEntity".into(),
            "Role app in Instance Profile prof cannot be found.".into()
        )
    );
    assert_eq!(
        err(&mut iam, "DeleteRole", &[("RoleName", "app")]),
        conflict("Cannot delete entity, must detach all policies first.")
    );
    ok(
        &mut iam,
        "DetachRolePolicy",
        &[("RoleName", "app"), ("PolicyArn", S3)],
    );
    assert_eq!(
        err(&mut iam, "DeleteRole", &[("RoleName", "app")]),
        conflict("Cannot delete entity, must delete policies first.")
    );
    ok(
        &mut iam,
        "DeleteRolePolicy",
        &[("RoleName", "app"), ("PolicyName", "p")],
    );
    ok(&mut iam, "DeleteRole", &[("RoleName", "app")]);
    ok(
        &mut iam,
        "DeleteInstanceProfile",
        &[("InstanceProfileName", "prof")],
    );
    assert!(
        iam.role_by_arn("arn:aws:iam::111122223333:role/app")
            .is_none()
    );
}

#[test]
fn principals_follow_the_life_of_the_role_they_name() {
    let mut iam = Iam::default();
    let caller = "arn:aws:iam::111122223333:role/caller";
    let document = |principal: &str| {
        format!(
            "{{\"Statement\":{{\"Effect\":\"Allow\",\"Principal\":{{\"AWS\":\"{principal}\"}},\"Action\":\"sts:AssumeRole\"}}}}"
        )
    };
    let create = |iam: &mut Iam, name: &str, principal: &str| {
        call(
            iam,
            "CreateRole",
            &[
                ("RoleName", name),
                ("AssumeRolePolicyDocument", &document(principal)),
            ],
        )
    };
    assert_eq!(
        create(&mut iam, "caller", caller).unwrap_err().message,
        format!("Invalid principal in policy: \"AWS\":\"{caller}\""),
        "a role cannot name itself before it exists"
    );
    create(&mut iam, "caller", "111122223333").unwrap();
    assert_eq!(
        trust(&mut iam, "caller"),
        document("arn:aws:iam::111122223333:root")
    );
    create(&mut iam, "target", caller).unwrap();
    assert_eq!(trust(&mut iam, "target"), document(caller));
    let id = iam.role_by_arn(caller).unwrap().unique_id;
    ok(
        &mut iam,
        "UpdateAssumeRolePolicy",
        &[("RoleName", "target"), ("PolicyDocument", &document(&id))],
    );
    assert_eq!(
        trust(&mut iam, "target"),
        document(caller),
        "an id is shown as the ARN"
    );
    ok(&mut iam, "DeleteRole", &[("RoleName", "caller")]);
    assert_eq!(trust(&mut iam, "target"), document(&id));
    role(&mut iam, "caller");
    assert_eq!(
        trust(&mut iam, "target"),
        document(&id),
        "the new role of this name is another one"
    );
    let back = call(
        &mut iam,
        "UpdateAssumeRolePolicy",
        &[("RoleName", "target"), ("PolicyDocument", &document(&id))],
    );
    assert_eq!(
        back.unwrap_err().message,
        format!("Invalid principal in policy: \"AWS\":\"{id}\"")
    );
    let user = "arn:aws:iam::111122223333:user/test";
    ok(
        &mut iam,
        "UpdateAssumeRolePolicy",
        &[("RoleName", "target"), ("PolicyDocument", &document(user))],
    );
    assert_eq!(
        trust(&mut iam, "target"),
        document(user),
        "the caller exists"
    );
}

#[test]
fn a_role_is_viewed_with_its_trust() {
    let mut iam = Iam::default();
    role(&mut iam, "app");
    let arn = "arn:aws:iam::111122223333:role/app";
    let view = iam.role_by_arn(arn).unwrap();
    assert_eq!(
        (view.name.as_str(), view.created, view.trust_changed),
        ("app", context().now, context().now)
    );
    assert_eq!(view.trust, serde_json::from_str::<Value>(TRUST).unwrap());
    let later = RequestContext {
        now: context().now + time::Duration::minutes(5),
        ..context()
    };
    let update = BTreeMap::from([
        ("Action".into(), "UpdateAssumeRolePolicy".into()),
        ("RoleName".into(), "app".into()),
        ("PolicyDocument".into(), TRUST.into()),
    ]);
    iam.handle(&later, &update).unwrap();
    let view = iam.role_by_arn(arn).unwrap();
    assert_eq!(
        (view.created, view.trust_changed),
        (context().now, later.now)
    );
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

#[test]
fn lists_come_in_pages() {
    let mut iam = Iam::default();
    for name in ["c", "a", "d", "b"] {
        ok(
            &mut iam,
            "CreateRole",
            &[
                ("RoleName", name),
                ("Path", if name == "d" { "/x/" } else { "/y/" }),
                ("AssumeRolePolicyDocument", TRUST),
            ],
        );
    }
    let page = ok(&mut iam, "ListRoles", &[("MaxItems", "2")]);
    assert_eq!(
        (texts(&page, "RoleName"), text(&page, "IsTruncated")),
        (vec!["a", "b"], Some("true"))
    );
    let marker = text(&page, "Marker").unwrap().to_owned();
    ok(&mut iam, "DeleteRole", &[("RoleName", "b")]);
    let page = ok(
        &mut iam,
        "ListRoles",
        &[("MaxItems", "2"), ("Marker", &marker)],
    );
    assert_eq!(
        (
            texts(&page, "RoleName"),
            text(&page, "IsTruncated"),
            text(&page, "Marker")
        ),
        (vec!["c", "d"], Some("false"), None)
    );
    assert_eq!(
        texts(
            &ok(&mut iam, "ListRoles", &[("PathPrefix", "/y")]),
            "RoleName"
        ),
        ["a", "c"]
    );
    let invalid = (
        400,
        "ValidationError".to_owned(),
        "Invalid Marker.".to_owned(),
    );
    assert_eq!(
        err(&mut iam, "ListRoles", &[("Marker", "made-up")]),
        invalid
    );
    assert_eq!(
        err(&mut iam, "ListPolicies", &[("Marker", &marker)]),
        invalid,
        "a marker of another list"
    );
    assert_eq!(
        err(&mut iam, "ListRoles", &[("MaxItems", "0")]).2,
        "1 validation error detected: Value at 'maxItems' failed to satisfy constraint: Member must have value greater than or equal to 1"
    );
    let mut names = Vec::new();
    let mut marker = None;
    loop {
        let mut parameters = vec![("Scope", "AWS"), ("MaxItems", "7")];
        parameters.extend(marker.as_deref().map(|marker| ("Marker", marker)));
        let page = ok(&mut iam, "ListPolicies", &parameters);
        names.extend(texts(&page, "PolicyName").into_iter().map(str::to_owned));
        marker = text(&page, "Marker").map(str::to_owned);
        if marker.is_none() {
            break;
        }
    }
    let mut sorted = names.clone();
    sorted.sort();
    sorted.dedup();
    assert!(
        names == sorted && names.len() > 50 && names.contains(&"AmazonEKS_CNI_Policy".to_owned()),
        "{names:?}"
    );
}

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
fn tags_ignore_the_case_of_keys() {
    let mut iam = Iam::default();
    role(&mut iam, "app");
    let tag = |iam: &mut Iam, key: &str, value: &str| {
        ok(
            iam,
            "TagRole",
            &[
                ("RoleName", "app"),
                ("Tags.member.1.Key", key),
                ("Tags.member.1.Value", value),
            ],
        )
    };
    let listed = |iam: &mut Iam| {
        let xml = ok(iam, "ListRoleTags", &[("RoleName", "app")]);
        texts(&xml, "Key")
            .into_iter()
            .zip(texts(&xml, "Value"))
            .map(|(key, value)| format!("{key}={value}"))
            .collect::<Vec<_>>()
    };
    tag(&mut iam, "Department", "finance");
    tag(&mut iam, "cost center", "ü");
    tag(&mut iam, "department", "hr");
    assert_eq!(listed(&mut iam), ["cost center=ü", "department=hr"]);
    let page = ok(
        &mut iam,
        "ListRoleTags",
        &[("RoleName", "app"), ("MaxItems", "1")],
    );
    let marker = text(&page, "Marker").unwrap().to_owned();
    assert_eq!(
        texts(
            &ok(
                &mut iam,
                "ListRoleTags",
                &[("RoleName", "app"), ("Marker", &marker)]
            ),
            "Key"
        ),
        ["department"]
    );
    ok(
        &mut iam,
        "UntagRole",
        &[
            ("RoleName", "app"),
            ("TagKeys.member.1", "DEPARTMENT"),
            ("TagKeys.member.2", "absent"),
        ],
    );
    assert_eq!(listed(&mut iam), ["cost center=ü"]);
    assert_eq!(
        err(
            &mut iam,
            "UntagRole",
            &[("RoleName", "app"), ("TagKeys.member.1", "a!")]
        )
        .2,
        "1 validation error detected: Value at 'tagKeys' failed to satisfy constraint: Member must satisfy constraint: [Member must have length less than or equal to 128, \
         Member must have length greater than or equal to 1, Member must satisfy regular expression pattern: [\\p{L}\\p{Z}\\p{N}_.:/=+\\-@]+, Member must not be null]"
    );
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
fn identity_providers_are_kept_by_issuer() {
    let mut iam = Iam::default();
    let url = "https://oidc.eks.eu-west-1.amazonaws.com/id/ABC";
    let arn = "arn:aws:iam::111122223333:oidc-provider/oidc.eks.eu-west-1.amazonaws.com/id/ABC";
    let created = ok(
        &mut iam,
        "CreateOpenIDConnectProvider",
        &[("Url", url), ("ClientIDList.member.1", "sts.amazonaws.com")],
    );
    assert_eq!(text(&created, "OpenIDConnectProviderArn"), Some(arn));
    let shown = ok(
        &mut iam,
        "GetOpenIDConnectProvider",
        &[("OpenIDConnectProviderArn", arn)],
    );
    assert_eq!(
        text(&shown, "Url"),
        Some("oidc.eks.eu-west-1.amazonaws.com/id/ABC")
    );
    assert_eq!(
        text(&shown, "ClientIDList"),
        Some("<member>sts.amazonaws.com</member>")
    );
    assert_eq!(
        texts(&ok(&mut iam, "ListOpenIDConnectProviders", &[]), "Arn"),
        [arn]
    );
    assert_eq!(
        err(&mut iam, "CreateOpenIDConnectProvider", &[("Url", url)]),
        (
            409,
            "EntityAlreadyExists".into(),
            format!("Provider with url {url} already exists.")
        )
    );
    let long = format!("https://{}", "x".repeat(250));
    assert_eq!(
        err(
            &mut iam,
            "CreateOpenIDConnectProvider",
            &[
                ("Url", &long),
                ("ClientIDList.member.1", ""),
                ("ThumbprintList.member.1", "x")
            ]
        )
        .2,
        "3 validation errors detected: Value at 'clientIDList' failed to satisfy constraint: Member must satisfy constraint: [Member must have length less than or equal to 255, \
         Member must have length greater than or equal to 1]; Value at 'thumbprintList' failed to satisfy constraint: Member must satisfy constraint: \
         [Member must have length less than or equal to 40, Member must have length greater than or equal to 40]; \
         Value at 'url' failed to satisfy constraint: Member must have length less than or equal to 255"
    );
    assert_eq!(
        err(
            &mut iam,
            "CreateOpenIDConnectProvider",
            &[("Url", "http://x.example.com")]
        ),
        (
            400,
            "ValidationError".into(),
            "Invalid Open ID Connect Provider URL".into()
        )
    );
    ok(
        &mut iam,
        "DeleteOpenIDConnectProvider",
        &[("OpenIDConnectProviderArn", arn)],
    );
}

#[test]
fn the_caller_is_a_user() {
    let mut iam = Iam::default();
    let xml = ok(&mut iam, "GetUser", &[]);
    assert_eq!(
        (text(&xml, "UserName"), text(&xml, "Arn")),
        (Some("test"), Some("arn:aws:iam::111122223333:user/test"))
    );
    assert_eq!(text(&xml, "UserId").map(str::len), Some(21));
    assert_eq!(
        text(&ok(&mut iam, "GetUser", &[("UserName", "test")]), "Path"),
        Some("/")
    );
    let assumed = RequestContext {
        caller_arn: "arn:aws:sts::111122223333:assumed-role/a/b".into(),
        ..context()
    };
    let error = iam
        .handle(
            &assumed,
            &BTreeMap::from([("Action".into(), "GetUser".into())]),
        )
        .unwrap_err();
    assert_eq!(
        error.message,
        "Must specify userName when calling with non-User credentials"
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

#[test]
fn a_seed_goes_through_the_same_checks() {
    let mut iam = Iam::default();
    let seed = json!({
        "AccountAliases": ["company"],
        "Users": [{"UserName": "alice"}],
        "OpenIDConnectProviders": [{"Url": "https://oidc.eks.eu-west-1.amazonaws.com/id/ABC", "ClientIDList": ["sts.amazonaws.com"]}],
        "Policies": [{"PolicyName": "mine", "PolicyDocument": serde_json::from_str::<Value>(POLICY).unwrap()}],
        "Roles": [{
            "RoleName": "app",
            "Path": "/team/",
            "MaxSessionDuration": 7200,
            "AssumeRolePolicyDocument": {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::111122223333:user/alice"}, "Action": "sts:AssumeRole"}]},
            "Tags": {"a": "b"},
            "ManagedPolicyArns": [S3, "arn:aws:iam::111122223333:policy/mine"],
            "InlinePolicies": {"p": POLICY}
        }]
    });
    iam.seed(&context(), &seed).unwrap();
    let role = ok(&mut iam, "GetRole", &[("RoleName", "app")]);
    assert_eq!(
        (
            text(&role, "Arn"),
            text(&role, "MaxSessionDuration"),
            text(&role, "Key")
        ),
        (
            Some("arn:aws:iam::111122223333:role/team/app"),
            Some("7200"),
            Some("a")
        )
    );
    assert_eq!(
        texts(
            &ok(&mut iam, "ListAttachedRolePolicies", &[("RoleName", "app")]),
            "PolicyName"
        ),
        ["AmazonS3ReadOnlyAccess", "mine"]
    );
    assert_eq!(
        texts(&ok(&mut iam, "ListAccountAliases", &[]), "member"),
        ["company"]
    );
    for (seed, message) in [
        (json!([]), "the IAM seed is not an object".to_owned()),
        (json!({"Role": []}), "the IAM seed has no section Role; sections are Quotas, AccountAliases, Users, OpenIDConnectProviders, Policies, Roles".into()),
        (json!({"Roles": {}}), "Roles is not a list".into()),
        (json!({"Quotas": {"x": 1}}), "there is no quota x".into()),
        (json!({"Roles": [{"RoleName": "app", "AssumeRolePolicyDocument": TRUST}]}), "Roles[0]: CreateRole: EntityAlreadyExists: Role with name app already exists.".into()),
    ] {
        assert_eq!(iam.seed(&context(), &seed), Err(message));
    }
}
