//! Roles through their life.

use super::*;

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
fn roles_of_services_are_not_changed() {
    let mut iam = Iam::default();
    let arn = "arn:aws:iam::111122223333:role/aws-service-role/eks.amazonaws.com/AWSServiceRoleForAmazonEKS";
    let seed = json!({"Roles": [{
        "RoleName": "AWSServiceRoleForAmazonEKS",
        "Path": "/aws-service-role/eks.amazonaws.com/",
        "AssumeRolePolicyDocument": TRUST.replace("pods.eks", "eks"),
        "ManagedPolicyArns": [S3]
    }]});
    iam.seed(&context(), &seed).unwrap();
    let name = [("RoleName", "AWSServiceRoleForAmazonEKS")];
    let refused = "Cannot perform the operation on the protected role 'AWSServiceRoleForAmazonEKS' - this role is only modifiable by AWS";
    for (action, more) in [
        ("DeleteRole", vec![]),
        ("UpdateAssumeRolePolicy", vec![("PolicyDocument", TRUST)]),
        ("DetachRolePolicy", vec![("PolicyArn", S3)]),
    ] {
        let parameters = [name.to_vec(), more].concat();
        assert_eq!(
            err(&mut iam, action, &parameters),
            (400, "UnmodifiableEntity".into(), refused.into()),
            "{action}"
        );
    }
    assert_eq!(text(&ok(&mut iam, "GetRole", &name), "Arn"), Some(arn));
    let create = [
        ("RoleName", "x"),
        ("Path", "/aws-service-role/x/"),
        ("AssumeRolePolicyDocument", TRUST),
    ];
    assert_eq!(err(&mut iam, "CreateRole", &create).1, "InvalidInput");
}
