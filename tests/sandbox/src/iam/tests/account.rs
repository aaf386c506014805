//! What is not a role: lists, providers, users, seeds.

use super::*;

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
        (json!({"Roles": [{"RoleName": "app", "AssumeRolePolicyDocument": "{"}]}), "Roles[0]: CreateRole: MalformedPolicyDocument: This policy contains invalid Json".into()),
        (json!({"Policies": [{"PolicyName": "mine", "PolicyDocument": "{"}]}), "Policies[0]: CreatePolicy: MalformedPolicyDocument: Syntax errors in policy.".into()),
    ] {
        assert_eq!(iam.seed(&context(), &seed), Err(message));
    }
    assert_eq!(
        ok(&mut iam, "GetRole", &[("RoleName", "app")]),
        role,
        "what was refused changed nothing"
    );
    let mut again = seed;
    again["Roles"][0]["MaxSessionDuration"] = json!(3600);
    again["Roles"][0]["ManagedPolicyArns"] = json!([]);
    iam.seed(&context(), &again).unwrap();
    let changed = ok(&mut iam, "GetRole", &[("RoleName", "app")]);
    assert_eq!(
        (
            text(&changed, "MaxSessionDuration"),
            text(&changed, "RoleId")
        ),
        (Some("3600"), text(&role, "RoleId"))
    );
    assert_eq!(
        texts(
            &ok(&mut iam, "ListAttachedRolePolicies", &[("RoleName", "app")]),
            "PolicyName"
        )
        .len(),
        2
    );
    assert_eq!(
        texts(&ok(&mut iam, "ListAccountAliases", &[]), "member"),
        ["company"]
    );
}
