//! A configured provider at work: calls, look-ups, credentials, trust and proxies, against the sandbox.

use super::*;

#[tokio::test]
async fn configuring_asks_aws_only_for_account_lists() {
    let sandbox = sandbox();
    data_for(&sandbox, &[]).await;
    assert_eq!(operations(&sandbox), Vec::<String>::new());

    let data = data_for(
        &sandbox,
        &[("allowed_account_ids", strings_set(&["123456789012"]))],
    )
    .await;
    assert_eq!(
        data.account_id(&CancellationToken::new()).await.unwrap(),
        "123456789012"
    );
    assert_eq!(operations(&sandbox), ["GetCallerIdentity"]);

    for (name, ids, ok) in [
        ("allowed_account_ids", strings_set(&["210987654321"]), false),
        (
            "forbidden_account_ids",
            strings_set(&["123456789012"]),
            false,
        ),
        (
            "forbidden_account_ids",
            strings_set(&["210987654321"]),
            true,
        ),
        (
            "allowed_account_ids",
            Value::Set(vec!["210987654321".into(), Value::unknown()]),
            true,
        ),
        (
            "forbidden_account_ids",
            Value::Set(vec!["123456789012".into(), Value::unknown()]),
            false,
        ),
    ] {
        let (data, diagnostics) = configure(
            environment(sandbox.aws_endpoint(), &[]),
            config(&[(name, ids.clone())]),
        )
        .await;
        assert_eq!(data.is_some(), ok, "{name} {ids:?}");
        assert!(ok || paths(&diagnostics) == [name], "{diagnostics:?}");
    }
}

#[tokio::test]
async fn look_ups_are_made_once() {
    let sandbox = sandbox();
    let data = data_for(&sandbox, &[]).await;
    let cancel = CancellationToken::new();
    let clusters =
        futures_util::future::join_all((0..30).map(|_| data.cluster(&cancel, "demo"))).await;
    let cluster = clusters[0].as_ref().unwrap();
    assert_eq!(cluster.name, "demo");
    assert_eq!(cluster.status, "ACTIVE");
    assert!(cluster.endpoint.starts_with("https://"));
    assert!(cluster.oidc_issuer.is_some());
    assert_eq!(operations(&sandbox), ["DescribeCluster"]);
    assert!(
        data.cluster(&cancel, "nowhere")
            .await
            .unwrap_err()
            .is_not_found()
    );

    sandbox.clear_requests();
    let versions = data
        .addon_versions(&cancel, "eks-pod-identity-agent", &cluster.version)
        .await
        .unwrap();
    assert_eq!(
        versions.iter().filter(|v| v.default).count(),
        1,
        "{versions:?}"
    );
    let version = &versions[0].version;
    for _ in 0..2 {
        let schema = data
            .addon_configuration_schema(&cancel, "eks-pod-identity-agent", version)
            .await
            .unwrap();
        assert!(serde_json::from_str::<serde_json::Value>(&schema.unwrap()).is_ok());
        assert_eq!(
            data.addon_versions(&cancel, "eks-pod-identity-agent", &cluster.version)
                .await
                .unwrap(),
            versions
        );
    }
    assert_eq!(
        operations(&sandbox),
        ["DescribeAddonVersions", "DescribeAddonConfiguration"]
    );

    sandbox.clear_requests();
    let trust = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"pods.eks.amazonaws.com"},"Action":["sts:AssumeRole","sts:TagSession"]}]}"#;
    assert_eq!(data.role(&cancel, "payments").await.unwrap(), None);
    sandbox
        .call(
            "iam",
            "CreateRole",
            json!({"RoleName": "payments", "AssumeRolePolicyDocument": trust}),
        )
        .unwrap();
    assert_eq!(data.role(&cancel, "payments").await.unwrap(), None, "kept");
    data.forget_role("payments");
    let role = data.role(&cancel, "payments").await.unwrap().unwrap();
    assert_eq!(role.arn, "arn:aws:iam::123456789012:role/payments");
    let document: serde_json::Value = serde_json::from_str(&role.assume_role_policy).unwrap();
    assert_eq!(document["Statement"][0]["Action"][1], "sts:TagSession");
    assert_eq!(operations(&sandbox), ["GetRole", "GetRole"]);
    data.read_role(&cancel, "payments").await.unwrap();
    data.role(&cancel, "payments").await.unwrap();
    assert_eq!(operations(&sandbox).len(), 3);
}

#[tokio::test]
async fn a_cluster_that_is_not_active_is_asked_for_again() {
    let sandbox = sandbox();
    let data = data_for(&sandbox, &[]).await;
    let cancel = CancellationToken::new();
    for status in ["UPDATING", "ACTIVE"] {
        sandbox
            .seed(json!({"clusters": [{"name": "demo", "status": status}]}))
            .unwrap();
        for _ in 0..2 {
            let cluster = data.cluster(&cancel, "demo").await.unwrap();
            assert_eq!(cluster.status, status);
        }
    }
    assert_eq!(operations(&sandbox), ["DescribeCluster"; 3]);
}

#[tokio::test]
async fn roles_are_assumed_one_after_the_other_and_once() {
    let sandbox = sandbox();
    let trust = |principal: &str| {
        json!({"Version": "2012-10-17", "Statement": [{
            "Effect": "Allow", "Principal": {"AWS": principal}, "Action": ["sts:AssumeRole", "sts:TagSession"]}]})
        .to_string()
    };
    for (name, principal) in [
        ("first", "arn:aws:iam::123456789012:root"),
        ("second", "arn:aws:iam::123456789012:role/first"),
    ] {
        sandbox
            .call(
                "iam",
                "CreateRole",
                json!({"RoleName": name, "AssumeRolePolicyDocument": trust(principal)}),
            )
            .unwrap();
    }
    let role = |name: &str| {
        let Value::List(mut blocks) = nested(
            "assume_role",
            &[
                (
                    "role_arn",
                    format!("arn:aws:iam::123456789012:role/{name}").into(),
                ),
                ("session_name", "tf".into()),
            ],
        ) else {
            unreachable!()
        };
        blocks.remove(0)
    };
    let data = data_for(
        &sandbox,
        &[(
            "assume_role",
            Value::List(vec![role("first"), role("second")]),
        )],
    )
    .await;
    let cancel = CancellationToken::new();
    data.cluster(&cancel, "demo").await.unwrap();
    data.role(&cancel, "second").await.unwrap();
    let requests = sandbox.requests();
    let seen: Vec<_> = requests
        .iter()
        .map(|r| (r.operation.as_str(), r.caller_arn.as_str()))
        .collect();
    assert_eq!(seen.len(), 4, "{seen:?}");
    assert_eq!(seen[0].0, "AssumeRole");
    assert_eq!(
        seen[1],
        (
            "AssumeRole",
            "arn:aws:sts::123456789012:assumed-role/first/tf"
        )
    );
    assert_eq!(
        seen[2],
        (
            "DescribeCluster",
            "arn:aws:sts::123456789012:assumed-role/second/tf"
        )
    );
    assert_eq!(
        seen[3],
        (
            "GetRole",
            "arn:aws:sts::123456789012:assumed-role/second/tf"
        )
    );
    assert!(
        requests[2]
            .user_agent
            .contains("terraform-provider-podidentity"),
        "{}",
        requests[2].user_agent
    );
    assert!(
        requests[2].user_agent.contains("Terraform/1.11.4"),
        "{}",
        requests[2].user_agent
    );

    // A role that cannot be assumed says so, once, with what STS answered.
    let data = data_for(
        &sandbox,
        &[("assume_role", Value::List(vec![role("second")]))],
    )
    .await;
    let error = data.cluster(&cancel, "demo").await.unwrap_err();
    assert_eq!(error.kind(), AwsErrorKind::Credentials, "{error:?}");
    let detail = error.into_diagnostic("s", "", "").detail;
    assert!(
        detail.contains("assuming the role arn:aws:iam::123456789012:role/second"),
        "{detail}"
    );
    assert_eq!(
        detail.matches("is not authorized to perform").count(),
        1,
        "{detail}"
    );
}

#[tokio::test]
async fn profiles_and_processes_give_credentials() {
    let sandbox = sandbox();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("config");
    std::fs::write(
        &file,
        "[profile static]\naws_access_key_id = test\naws_secret_access_key = test\n\
         [profile process]\ncredential_process = echo '{\"Version\":1,\"AccessKeyId\":\"test\",\"SecretAccessKey\":\"test\"}'\n",
    )
    .unwrap();
    let no_keys = [("AWS_ACCESS_KEY_ID", ""), ("AWS_SECRET_ACCESS_KEY", "")];
    for profile in ["static", "process"] {
        let (data, diagnostics) = configure(
            environment(sandbox.aws_endpoint(), &no_keys),
            config(&[
                ("profile", profile.into()),
                (
                    "shared_config_files",
                    strings_list(&[file.to_str().unwrap()]),
                ),
            ]),
        )
        .await;
        let data = data.unwrap_or_else(|| panic!("{profile}: {diagnostics:?}"));
        data.cluster(&CancellationToken::new(), "demo")
            .await
            .unwrap_or_else(|error| panic!("{profile}: {error:?}"));
    }
}

#[tokio::test]
async fn roles_of_profiles_are_assumed_at_the_endpoint_of_the_block() {
    let sandbox = sandbox();
    let trust = json!({"Version": "2012-10-17", "Statement": [{
        "Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::123456789012:root"}, "Action": "sts:AssumeRole"}]});
    sandbox
        .call(
            "iam",
            "CreateRole",
            json!({"RoleName": "deploy", "AssumeRolePolicyDocument": trust.to_string()}),
        )
        .unwrap();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("config");
    std::fs::write(
        &file,
        "[profile base]\naws_access_key_id = test\naws_secret_access_key = test\n\
         [profile deploy]\nrole_arn = arn:aws:iam::123456789012:role/deploy\nsource_profile = base\nrole_session_name = ci\n",
    )
    .unwrap();
    let endpoint = || Value::from(sandbox.aws_endpoint());
    let (data, diagnostics) = configure(
        environment(
            "",
            &[
                ("AWS_PROFILE", "deploy"),
                ("AWS_ACCESS_KEY_ID", ""),
                ("AWS_SECRET_ACCESS_KEY", ""),
            ],
        ),
        config(&[
            (
                "shared_config_files",
                strings_list(&[file.to_str().unwrap()]),
            ),
            (
                "endpoints",
                nested("endpoints", &[("eks", endpoint()), ("sts", endpoint())]),
            ),
        ]),
    )
    .await;
    let data = data.unwrap_or_else(|| panic!("{diagnostics:?}"));
    data.cluster(&CancellationToken::new(), "demo")
        .await
        .unwrap();
    assert_eq!(operations(&sandbox), ["AssumeRole", "DescribeCluster"]);
    assert_eq!(
        sandbox.requests()[1].caller_arn,
        "arn:aws:sts::123456789012:assumed-role/deploy/ci"
    );
}

#[tokio::test]
async fn missing_credentials_say_where_they_were_sought() {
    let (data, _) = configure(
        environment(
            "http://127.0.0.1:1",
            &[
                ("AWS_ACCESS_KEY_ID", "AKIDLEFT"),
                ("AWS_SECRET_ACCESS_KEY", ""),
            ],
        ),
        config(&[]),
    )
    .await;
    let error = data
        .unwrap()
        .cluster(&CancellationToken::new(), "demo")
        .await
        .unwrap_err();
    assert_eq!(error.kind(), AwsErrorKind::Credentials);
    let detail = error.into_diagnostic("Reading EKS cluster", "", "").detail;
    for part in [
        "AWS_ACCESS_KEY_ID (set, but AWS_SECRET_ACCESS_KEY is not)",
        "profile \"default\" in /nonexistent/.aws/config and /nonexistent/.aws/credentials (not there)",
        "AWS_WEB_IDENTITY_TOKEN_FILE (not set)",
        "EC2 instance metadata (turned off",
    ] {
        assert_eq!(detail.matches(part).count(), 1, "{part}: {detail}");
    }
}

#[tokio::test]
async fn web_identities_are_taken_from_value_file_and_environment() {
    use base64::Engine as _;
    let encode = |text: &str| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(text);
    let token = format!(
        "{}.{}.c2ln",
        encode(r#"{"alg":"RS256"}"#),
        encode(r#"{"iss":"https://ci.example","sub":"job","aud":"sts.amazonaws.com"}"#)
    );
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("token");
    std::fs::write(&file, format!("{token}\n")).unwrap();
    let file = file.to_str().unwrap();
    let sandbox = sandbox();
    let trust = json!({"Version": "2012-10-17", "Statement": [{
        "Effect": "Allow", "Action": "sts:AssumeRoleWithWebIdentity",
        "Principal": {"Federated": "arn:aws:iam::123456789012:oidc-provider/ci.example"},
        "Condition": {"StringEquals": {"ci.example:sub": "job"}}}]});
    sandbox
        .call(
            "iam",
            "CreateRole",
            json!({"RoleName": "ci", "AssumeRolePolicyDocument": trust.to_string()}),
        )
        .unwrap();
    let role = "arn:aws:iam::123456789012:role/ci";
    let no_keys = [("AWS_ACCESS_KEY_ID", ""), ("AWS_SECRET_ACCESS_KEY", "")];
    let block = |entries: &[(&str, Value)]| {
        config(&[(
            "assume_role_with_web_identity",
            nested("assume_role_with_web_identity", entries),
        )])
    };
    let shared = directory.path().join("credentials");
    std::fs::write(
        &shared,
        "[default]\naws_access_key_id = test\naws_secret_access_key = test\n",
    )
    .unwrap();
    let shared = shared.to_str().unwrap();
    #[rustfmt::skip]
    let cases: Vec<(&str, Variables<'_>, Value)> = vec![
        ("environment before shared files", vec![("AWS_ROLE_ARN", role), ("AWS_WEB_IDENTITY_TOKEN_FILE", file), ("AWS_SHARED_CREDENTIALS_FILE", shared), no_keys[0], no_keys[1]], config(&[])),
        ("value", vec![], block(&[("role_arn", role.into()), ("web_identity_token", token.clone().into())])),
        ("file", vec![], block(&[("role_arn", role.into()), ("web_identity_token_file", file.into())])),
        ("block and environment", vec![("AWS_ROLE_ARN", role), ("TF_AWS_WEB_IDENTITY_TOKEN", &token)], block(&[])),
        ("environment", vec![("AWS_ROLE_ARN", role), ("AWS_WEB_IDENTITY_TOKEN_FILE", file), no_keys[0], no_keys[1]], config(&[])),
    ];
    for (name, variables, config) in cases {
        sandbox.clear_requests();
        let (data, diagnostics) =
            configure(environment(sandbox.aws_endpoint(), &variables), config).await;
        let data = data.unwrap_or_else(|| panic!("{name}: {diagnostics:?}"));
        data.cluster(&CancellationToken::new(), "demo")
            .await
            .unwrap_or_else(|error| panic!("{name}: {error:?}"));
        assert_eq!(
            operations(&sandbox),
            ["AssumeRoleWithWebIdentity", "DescribeCluster"],
            "{name}"
        );
        assert!(
            sandbox.requests()[1]
                .caller_arn
                .starts_with("arn:aws:sts::123456789012:assumed-role/ci/"),
            "{name}"
        );
    }
}

#[tokio::test]
async fn a_profile_of_the_block_comes_before_web_identities_of_the_environment() {
    let sandbox = sandbox();
    let directory = tempfile::tempdir().unwrap();
    let shared = directory.path().join("credentials");
    std::fs::write(
        &shared,
        "[named]\naws_access_key_id = test\naws_secret_access_key = test\n",
    )
    .unwrap();
    let variables = [
        ("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/ci"),
        ("AWS_WEB_IDENTITY_TOKEN_FILE", "/nonexistent/token"),
        ("AWS_SHARED_CREDENTIALS_FILE", shared.to_str().unwrap()),
        ("AWS_ACCESS_KEY_ID", ""),
        ("AWS_SECRET_ACCESS_KEY", ""),
    ];
    let (data, diagnostics) = configure(
        environment(sandbox.aws_endpoint(), &variables),
        config(&[("profile", "named".into())]),
    )
    .await;
    let data = data.unwrap_or_else(|| panic!("{diagnostics:?}"));
    data.cluster(&CancellationToken::new(), "demo")
        .await
        .unwrap();
    assert_eq!(operations(&sandbox), ["DescribeCluster"]);
}

#[tokio::test]
async fn only_trusted_certificates_are_accepted() {
    let sandbox = sandbox();
    let directory = tempfile::tempdir().unwrap();
    let bundle = directory.path().join("ca.pem");
    std::fs::write(&bundle, sandbox.kubernetes_ca()).unwrap();
    let bundle = bundle.to_str().unwrap();
    // The Kubernetes side is the one with TLS; that it is not EKS does not matter here.
    let endpoint = sandbox.kubernetes_endpoint();
    let ask = async |variables: &[(&str, &str)], entries: &[(&str, Value)]| {
        let (data, diagnostics) =
            configure(environment(&endpoint, variables), config(entries)).await;
        let data = data.unwrap_or_else(|| panic!("{diagnostics:?}"));
        data.cluster(&CancellationToken::new(), "demo")
            .await
            .unwrap_err()
    };
    let refused = ask(&[], &[]).await;
    assert_eq!(refused.kind(), AwsErrorKind::Connection, "{refused:?}");
    assert!(
        refused.explanation().to_lowercase().contains("certificate"),
        "{refused:?}"
    );
    assert!(!refused.after_ambiguous_attempt());
    for (name, variables, entries) in [
        (
            "argument",
            vec![],
            vec![("custom_ca_bundle", Value::from(bundle))],
        ),
        ("environment", vec![("AWS_CA_BUNDLE", bundle)], vec![]),
    ] {
        let answered = ask(&variables, &entries).await;
        assert!(answered.http_status().is_some(), "{name}: {answered:?}");
    }
}

#[tokio::test]
async fn proxies_are_used_for_other_hosts() {
    let sandbox = sandbox();
    let proxy = sandbox.aws_endpoint().to_owned();
    for (name, variables, entries) in [
        (
            "argument",
            vec![],
            vec![("http_proxy", Value::from(proxy.as_str()))],
        ),
        ("environment", vec![("http_proxy", proxy.as_str())], vec![]),
    ] {
        let (data, _) = configure(
            environment("http://eks.invalid", &variables),
            config(&entries),
        )
        .await;
        data.unwrap()
            .cluster(&CancellationToken::new(), "demo")
            .await
            .unwrap_or_else(|error| panic!("{name}: {error:?}"));
    }
    assert_eq!(operations(&sandbox).len(), 2);

    let (data, _) = configure(
        environment(
            "http://eks.invalid",
            &[("HTTP_PROXY", &proxy), ("NO_PROXY", ".invalid")],
        ),
        config(&[]),
    )
    .await;
    let error = data
        .unwrap()
        .cluster(&CancellationToken::new(), "demo")
        .await
        .unwrap_err();
    assert_eq!(error.kind(), AwsErrorKind::Connection);
    assert_eq!(
        operations(&sandbox).len(),
        2,
        "no_proxy keeps it away from the proxy"
    );
}
