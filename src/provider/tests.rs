//! Tests of the provider block: what is refused and where, who wins, what configuring costs.

mod calls;

use podidentity_sandbox::{Options as SandboxOptions, Sandbox};
use serde_json::json;

use super::*;
use crate::framework::engine::{ObjectSchema, validate};
use crate::framework::schema::{
    Block, Nesting, internal_validate_provider, internal_validate_resource,
};

/// Variables and entries of one case.
type Variables<'a> = Vec<(&'a str, &'a str)>;
type Entries<'a> = Vec<(&'a str, Value)>;

/// Checks a configuration as ValidateProviderConfig does: the schema, then what spans attributes.
fn validated(config: &Value) -> Diagnostics {
    let provider = PodIdentityProvider::with_environment(Environment::default());
    let mut diagnostics = validate::validate(validate::ValidateRequest {
        schema: &provider.schema().into(),
        config,
        write_only_allowed: true,
        validate_config: None,
    });
    provider.validate_config(config, &mut diagnostics);
    diagnostics
}

/// The value of a block with `entries` and everything else as when it is left out.
fn object(block: &Block, entries: &[(&str, Value)]) -> Value {
    let schema = Schema {
        version: 0,
        block: block.clone(),
    };
    let mut value = ObjectSchema::from(schema).empty_value();
    for (name, entry) in entries {
        assert!(value.as_entries().unwrap().contains_key(*name), "{name}");
        value.set(*name, entry.clone());
    }
    value
}

/// The `provider` block with `entries`.
pub(crate) fn config(entries: &[(&str, Value)]) -> Value {
    object(&schema::provider_schema().block, entries)
}

/// The contents of a nested block.
pub(crate) fn nested(name: &str, entries: &[(&str, Value)]) -> Value {
    let schema = schema::provider_schema();
    let nested = schema.block.blocks.iter().find(|b| b.name == name).unwrap();
    let value = object(&nested.block, entries);
    match nested.nesting {
        Nesting::List => Value::List(vec![value]),
        _ => value,
    }
}

fn strings_set(items: &[&str]) -> Value {
    Value::Set(items.iter().map(|item| Value::from(*item)).collect())
}

fn strings_list(items: &[&str]) -> Value {
    Value::List(items.iter().map(|item| Value::from(*item)).collect())
}

/// Environment variables that lead nowhere but to `endpoint`.
pub(crate) fn environment(endpoint: &str, more: &[(&str, &str)]) -> Environment {
    [
        ("AWS_ENDPOINT_URL", endpoint),
        ("AWS_REGION", "us-east-1"),
        ("AWS_ACCESS_KEY_ID", "test"),
        ("AWS_SECRET_ACCESS_KEY", "test"),
        ("AWS_EC2_METADATA_DISABLED", "true"),
        ("HOME", "/nonexistent"),
    ]
    .iter()
    .chain(more)
    .map(|(name, value)| (*name, *value))
    .collect()
}

pub(crate) async fn configure(
    environment: Environment,
    config: Value,
) -> (Option<Arc<ProviderData>>, Diagnostics) {
    let mut diagnostics = Diagnostics::new();
    let data = PodIdentityProvider::with_environment(environment)
        .configure(
            ConfigureRequest {
                config,
                terraform_version: "1.11.4".to_owned(),
                cancel: CancellationToken::new(),
            },
            &mut diagnostics,
        )
        .await;
    assert_eq!(data.is_none(), diagnostics.has_errors(), "{diagnostics:?}");
    (data, diagnostics)
}

/// An address where connections are refused for as long as the socket lives: it is taken, and nobody listens.
pub(crate) fn refusing_address() -> (tokio::net::TcpSocket, std::net::SocketAddr) {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind(([127, 0, 0, 1], 0).into()).unwrap();
    let address = socket.local_addr().unwrap();
    (socket, address)
}

/// A provider that talks to `sandbox`.
pub(crate) async fn data_for(sandbox: &Sandbox, entries: &[(&str, Value)]) -> Arc<ProviderData> {
    let (data, diagnostics) =
        configure(environment(sandbox.aws_endpoint(), &[]), config(entries)).await;
    data.unwrap_or_else(|| panic!("{diagnostics:?}"))
}

fn sandbox() -> Sandbox {
    Sandbox::start(SandboxOptions::default()).unwrap()
}

fn operations(sandbox: &Sandbox) -> Vec<String> {
    sandbox
        .requests()
        .into_iter()
        .map(|entry| entry.operation)
        .collect()
}

fn paths(diagnostics: &Diagnostics) -> Vec<String> {
    diagnostics
        .iter()
        .map(|d| {
            d.path
                .as_ref()
                .map_or_else(String::new, ToString::to_string)
        })
        .collect()
}

#[test]
fn bad_values_are_refused_on_their_attribute() {
    let role = "arn:aws:iam::123456789012:role/r";
    let assume = |name: &'static str, value: Value| {
        nested("assume_role", &[("role_arn", role.into()), (name, value)])
    };
    let web = |name: &'static str, value: Value| {
        nested("assume_role_with_web_identity", &[(name, value)])
    };
    let kubernetes = |entries: &[(&str, Value)]| nested("kubernetes", entries);
    let exec = |api: &str, command: &str| {
        Value::object([
            ("api_version", Value::from(api)),
            ("command", command.into()),
            ("args", Value::Null),
            ("env", Value::Null),
        ])
    };
    let secret = "-----BEGIN PRIVATE KEY-----\nsecret\n-----END PRIVATE KEY-----";
    #[rustfmt::skip]
    let cases: Vec<(&str, Entries<'_>)> = vec![
        ("region", vec![("region", "Frankfurt".into())]),
        ("region", vec![("region", "".into())]),
        ("region", vec![("region", "us-east-1a".into())]),
        ("profile", vec![("profile", "".into())]),
        ("access_key", vec![("access_key", "AKIA".into())]),
        ("secret_key", vec![("secret_key", "s".into())]),
        ("token", vec![("token", "t".into())]),
        ("access_key", vec![("access_key", "A B".into()), ("secret_key", "s".into())]),
        ("access_key", vec![("access_key", "A".into()), ("secret_key", "s".into()), ("assume_role_with_web_identity", web("role_arn", role.into()))]),
        ("shared_config_files[1]", vec![("shared_config_files", strings_list(&["a", ""]))]),
        ("shared_credentials_files[0]", vec![("shared_credentials_files", strings_list(&[" "]))]),
        ("allowed_account_ids", vec![("allowed_account_ids", strings_set(&["12345"]))]),
        ("allowed_account_ids", vec![("allowed_account_ids", strings_set(&[]))]),
        ("forbidden_account_ids", vec![("forbidden_account_ids", strings_set(&["12345678901x"]))]),
        ("allowed_account_ids", vec![("allowed_account_ids", strings_set(&["123456789012"])), ("forbidden_account_ids", strings_set(&["210987654321"]))]),
        ("allowed_account_ids", vec![("allowed_account_ids", strings_set(&["123456789012"])), ("skip_requesting_account_id", true.into())]),
        ("max_retries", vec![("max_retries", Value::from(-1))]),
        ("max_retries", vec![("max_retries", Value::from(101))]),
        ("retry_mode", vec![("retry_mode", "eager".into())]),
        ("custom_ca_bundle", vec![("custom_ca_bundle", "".into())]),
        ("http_proxy", vec![("http_proxy", "ftp://proxy".into())]),
        ("https_proxy", vec![("https_proxy", "http://".into())]),
        ("cluster_name", vec![("cluster_name", "-demo".into())]),
        ("cluster_name", vec![("cluster_name", "d".repeat(101).into())]),
        ("service_principal", vec![("service_principal", "Pods EKS".into())]),
        ("assume_role[0].role_arn", vec![("assume_role", nested("assume_role", &[("role_arn", "r".into())]))]),
        ("assume_role[0].duration", vec![("assume_role", assume("duration", "5m".into()))]),
        ("assume_role[0].duration", vec![("assume_role", assume("duration", "13h".into()))]),
        ("assume_role[0].duration", vec![("assume_role", assume("duration", "3600".into()))]),
        ("assume_role[0].external_id", vec![("assume_role", assume("external_id", "x".into()))]),
        ("assume_role[0].policy", vec![("assume_role", assume("policy", "{".into()))]),
        ("assume_role[0].policy_arns", vec![("assume_role", assume("policy_arns", strings_set(&["ReadOnly"])))]),
        ("assume_role[0].session_name", vec![("assume_role", assume("session_name", "a b".into()))]),
        ("assume_role[0].source_identity", vec![("assume_role", assume("source_identity", "aws:me".into()))]),
        ("assume_role[0].tags[\"aws:x\"]", vec![("assume_role", assume("tags", Value::string_map([("aws:x", "y")])))]),
        ("assume_role[0].transitive_tag_keys", vec![("assume_role", nested("assume_role", &[("role_arn", role.into()), ("tags", Value::string_map([("a", "b")])), ("transitive_tag_keys", strings_set(&["c"]))]))]),
        ("assume_role_with_web_identity.role_arn", vec![("assume_role_with_web_identity", web("role_arn", "arn:aws:iam::123456789012:user/u".into()))]),
        ("assume_role_with_web_identity.web_identity_token", vec![("assume_role_with_web_identity", nested("assume_role_with_web_identity", &[("web_identity_token", "a.b.c".into()), ("web_identity_token_file", "f".into())]))]),
        ("assume_role_with_web_identity.session_name", vec![("assume_role_with_web_identity", web("session_name", "x".into()))]),
        ("default_tags.tags[\"aws:a\"]", vec![("default_tags", nested("default_tags", &[("tags", Value::string_map([("aws:a", "b")]))]))]),
        ("default_tags.tags[\"a\"]", vec![("default_tags", nested("default_tags", &[("tags", Value::string_map([("a", "b".repeat(257))]))]))]),
        ("ignore_tags.keys", vec![("ignore_tags", nested("ignore_tags", &[("keys", strings_set(&[""]))]))]),
        ("endpoints[0].eks", vec![("endpoints", nested("endpoints", &[("eks", "localhost:4566".into())]))]),
        ("endpoints[0].iam", vec![("endpoints", nested("endpoints", &[("iam", "https://".into())]))]),
        ("endpoints[0].sts", vec![("endpoints", nested("endpoints", &[("sts", "https://u:p@sts".into())]))]),
        ("kubernetes.host", vec![("kubernetes", kubernetes(&[("host", "".into())]))]),
        ("kubernetes.host", vec![("kubernetes", kubernetes(&[("host", "ftp://demo".into())]))]),
        ("kubernetes.host", vec![("kubernetes", kubernetes(&[("host", "demo?x=1".into())]))]),
        ("kubernetes.host", vec![("kubernetes", kubernetes(&[("host", "https://demo".into()), ("config_path", "k".into())]))]),
        ("kubernetes.cluster_ca_certificate", vec![("kubernetes", kubernetes(&[("host", "https://demo".into()), ("cluster_ca_certificate", "x".into())]))]),
        ("kubernetes.token", vec![("kubernetes", kubernetes(&[("token", "tttt".into()), ("exec", exec("client.authentication.k8s.io/v1", "aws"))]))]),
        ("kubernetes.client_key", vec![("kubernetes", kubernetes(&[("client_key", secret.into())]))]),
        ("kubernetes.config_path", vec![("kubernetes", kubernetes(&[("config_path", "a".into()), ("config_paths", strings_list(&["b"]))]))]),
        ("kubernetes.config_paths", vec![("kubernetes", kubernetes(&[("config_paths", strings_list(&[]))]))]),
        ("kubernetes.config_context", vec![("kubernetes", kubernetes(&[("config_context", "c".into())]))]),
        ("kubernetes.tls_server_name", vec![("kubernetes", kubernetes(&[("tls_server_name", "https://x".into())]))]),
        ("kubernetes.proxy_url", vec![("kubernetes", kubernetes(&[("proxy_url", "socks4://p".into())]))]),
        ("kubernetes.exec.api_version", vec![("kubernetes", kubernetes(&[("exec", exec("v1alpha1", "aws"))]))]),
        ("kubernetes.exec.command", vec![("kubernetes", kubernetes(&[("exec", exec("client.authentication.k8s.io/v1", ""))]))]),
        ("kubernetes", vec![("kubernetes", kubernetes(&[("config_path", "a".into()), ("token", "tttt".into())]))]),
    ];
    for (path, entries) in cases {
        let diagnostics = validated(&config(&entries));
        assert!(
            paths(&diagnostics).iter().any(|found| found == path),
            "{path} {entries:?}: {diagnostics:?}"
        );
        let text = format!("{diagnostics:?}");
        assert!(
            !text.contains("u:p@") || path == "endpoints[0].sts",
            "{text}"
        );
        assert!(!text.contains("BEGIN PRIVATE"), "{text}");
    }
}

#[test]
fn good_values_and_unknown_ones_pass() {
    let schema = schema::provider_schema();
    let all_unknown = Value::object(
        schema
            .block
            .attributes
            .iter()
            .map(|a| (a.name, Value::unknown()))
            .chain(
                schema
                    .block
                    .blocks
                    .iter()
                    .map(|b| (b.name, Value::unknown())),
            ),
    );
    let role = nested(
        "assume_role",
        &[
            ("role_arn", "arn:aws-cn:iam::123456789012:role/a/b".into()),
            ("duration", "1h30m".into()),
            ("external_id", "id:1/2".into()),
            ("policy", r#"{"Version":"2012-10-17"}"#.into()),
            (
                "policy_arns",
                strings_set(&["arn:aws:iam::aws:policy/ReadOnlyAccess"]),
            ),
            ("tags", Value::string_map([("a", "b")])),
            ("transitive_tag_keys", strings_set(&["a"])),
        ],
    );
    for (name, config) in [
        ("empty", config(&[])),
        ("unknown", all_unknown),
        (
            "full",
            config(&[
                ("region", "us-gov-west-1".into()),
                ("access_key", "test".into()),
                ("secret_key", "test".into()),
                ("max_retries", Value::from(0)),
                ("retry_mode", "adaptive".into()),
                ("allowed_account_ids", strings_set(&["123456789012"])),
                ("http_proxy", "proxy:3128".into()),
                ("https_proxy", "http://user:pass@proxy:3128".into()),
                ("cluster_name", "demo_1".into()),
                ("assume_role", role),
                (
                    "endpoints",
                    nested("endpoints", &[("eks", "http://127.0.0.1:4566".into())]),
                ),
                (
                    "default_tags",
                    nested(
                        "default_tags",
                        &[("tags", Value::Map([("a".to_owned(), Value::Null)].into()))],
                    ),
                ),
                (
                    "kubernetes",
                    nested(
                        "kubernetes",
                        &[
                            ("host", "https://10.0.0.1:6443".into()),
                            ("insecure", true.into()),
                            ("token", "abcd".into()),
                            ("proxy_url", "socks5://user:pass@localhost".into()),
                        ],
                    ),
                ),
            ]),
        ),
        (
            "a host without scheme",
            config(&[(
                "kubernetes",
                nested(
                    "kubernetes",
                    &[
                        ("host", "demo.example:6443".into()),
                        ("proxy_url", "proxy:3128".into()),
                    ],
                ),
            )]),
        ),
    ] {
        let diagnostics = validated(&config);
        assert!(diagnostics.is_empty(), "{name}: {diagnostics:?}");
    }
}

#[test]
fn secrets_are_marked_and_everything_is_described() {
    let schema = schema::provider_schema();
    let mut sensitive = Vec::new();
    let mut stack = vec![(String::new(), &schema.block)];
    while let Some((prefix, block)) = stack.pop() {
        for attribute in &block.attributes {
            assert!(
                attribute.description.ends_with('.'),
                "{prefix}{}",
                attribute.name
            );
            if attribute.sensitive {
                sensitive.push(format!("{prefix}{}", attribute.name));
            }
        }
        for nested in &block.blocks {
            assert!(
                nested.block.description.ends_with('.'),
                "{prefix}{}",
                nested.name
            );
            stack.push((format!("{prefix}{}.", nested.name), &nested.block));
        }
    }
    sensitive.sort();
    assert_eq!(
        sensitive,
        [
            "access_key",
            "assume_role_with_web_identity.web_identity_token",
            "http_proxy",
            "https_proxy",
            "kubernetes.client_key",
            "kubernetes.exec.env",
            "kubernetes.proxy_url",
            "kubernetes.token",
            "secret_key",
            "token",
        ]
    );
}

#[tokio::test]
async fn the_block_wins_over_the_environment_and_that_over_the_profile() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("config");
    std::fs::write(
        &file,
        "[default]\nregion = eu-west-1\nmax_attempts = 7\nretry_mode = adaptive\nendpoint_url = http://127.0.0.1:1\n\
         services = local\nuse_fips_endpoint = true\n[profile other]\nregion = eu-north-1\naws_access_key_id = P\n\
         aws_secret_access_key = p\n[services local]\niam =\n  endpoint_url = http://127.0.0.1:2\n",
    )
    .unwrap();
    let path = file.to_str().unwrap();
    let base = [
        ("AWS_CONFIG_FILE", path),
        ("AWS_EC2_METADATA_DISABLED", "true"),
        ("HOME", "/nonexistent"),
    ];
    let settings = async |more: &[(&str, &str)], entries: &[(&str, Value)]| {
        let environment = base.iter().chain(more).map(|(k, v)| (*k, *v)).collect();
        let (data, diagnostics) = configure(environment, config(entries)).await;
        data.unwrap_or_else(|| panic!("{diagnostics:?}"))
            .clients()
            .unwrap()
            .settings()
            .clone()
    };

    let profile = settings(&[], &[]).await;
    assert_eq!(profile.region, "eu-west-1");
    assert_eq!(profile.max_attempts, 7);
    assert_eq!(format!("{:?}", profile.retry_mode), "Adaptive");
    assert!(profile.use_fips_endpoint);
    assert_eq!(profile.endpoints.eks.as_deref(), Some("http://127.0.0.1:1"));
    assert_eq!(profile.endpoints.iam.as_deref(), Some("http://127.0.0.1:2"));
    assert!(profile.credentials.keys.is_none());

    let environment = settings(
        &[
            ("AWS_DEFAULT_REGION", "ap-south-1"),
            ("AWS_MAX_ATTEMPTS", "3"),
            ("AWS_RETRY_MODE", "standard"),
            ("AWS_USE_FIPS_ENDPOINT", "false"),
            ("AWS_ENDPOINT_URL", "http://127.0.0.1:3"),
            ("AWS_ENDPOINT_URL_EKS", "http://127.0.0.1:4"),
            ("AWS_IAM_ENDPOINT", "http://127.0.0.1:5"),
            ("AWS_ACCESS_KEY_ID", "E"),
            ("AWS_SECRET_ACCESS_KEY", "e"),
            ("https_proxy", "proxy:3128"),
            ("TF_APPEND_USER_AGENT", "team/1\u{7}"),
        ],
        &[],
    )
    .await;
    assert_eq!(environment.region, "ap-south-1");
    assert_eq!(environment.max_attempts, 3);
    assert_eq!(format!("{:?}", environment.retry_mode), "Standard");
    assert!(!environment.use_fips_endpoint);
    assert_eq!(
        environment.endpoints.eks.as_deref(),
        Some("http://127.0.0.1:4")
    );
    assert_eq!(
        environment.endpoints.iam.as_deref(),
        Some("http://127.0.0.1:5")
    );
    assert_eq!(
        environment.endpoints.sts.as_deref(),
        Some("http://127.0.0.1:3")
    );
    assert_eq!(environment.credentials.keys.unwrap().access_key, "E");
    assert_eq!(
        environment.http.https_proxy.as_deref(),
        Some("http://proxy:3128")
    );
    assert!(environment.user_agent.starts_with("Terraform/1.11.4 "));
    assert!(environment.user_agent.ends_with(" team/1"));

    let block = settings(
        &[
            ("AWS_REGION", "ap-south-1"),
            ("AWS_MAX_ATTEMPTS", "3"),
            ("AWS_RETRY_MODE", "standard"),
            ("AWS_ENDPOINT_URL_EKS", "http://127.0.0.1:4"),
            ("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "true"),
            ("AWS_ACCESS_KEY_ID", "E"),
            ("AWS_SECRET_ACCESS_KEY", "e"),
            ("AWS_PROFILE", "missing"),
        ],
        &[
            ("region", "sa-east-1".into()),
            ("max_retries", Value::from(0)),
            ("retry_mode", "adaptive".into()),
            ("use_fips_endpoint", false.into()),
            ("access_key", "B".into()),
            ("secret_key", "b".into()),
            (
                "endpoints",
                nested("endpoints", &[("sts", "http://127.0.0.1:6".into())]),
            ),
        ],
    )
    .await;
    assert_eq!(block.region, "sa-east-1");
    assert_eq!(block.max_attempts, 1);
    assert_eq!(block.endpoints.eks, None);
    assert_eq!(block.endpoints.iam, None);
    assert_eq!(block.endpoints.sts.as_deref(), Some("http://127.0.0.1:6"));
    assert_eq!(block.credentials.keys.unwrap().access_key, "B");

    let other = settings(
        &[("AWS_ACCESS_KEY_ID", "E"), ("AWS_SECRET_ACCESS_KEY", "e")],
        &[("profile", "other".into())],
    )
    .await;
    assert_eq!(other.region, "eu-north-1");
    assert_eq!(other.max_attempts, 26);
    assert!(
        other.credentials.keys.is_none(),
        "the profile of the block wins over keys in the environment"
    );
}

#[tokio::test]
async fn bad_environments_and_files_are_explained() {
    let directory = tempfile::tempdir().unwrap();
    let broken = directory.path().join("broken");
    std::fs::write(&broken, "hello").unwrap();
    let broken = broken.to_str().unwrap();
    #[rustfmt::skip]
    let cases: Vec<(&str, &str, Variables<'_>, Entries<'_>)> = vec![
        ("", "AWS_MAX_ATTEMPTS", vec![("AWS_MAX_ATTEMPTS", "many")], vec![]),
        ("", "AWS_RETRY_MODE", vec![("AWS_RETRY_MODE", "eager")], vec![]),
        ("", "AWS_USE_FIPS_ENDPOINT", vec![("AWS_USE_FIPS_ENDPOINT", "perhaps")], vec![]),
        ("", "AWS_ENDPOINT_URL_EKS", vec![("AWS_ENDPOINT_URL_EKS", "nowhere")], vec![]),
        ("", "AWS_CA_BUNDLE", vec![("AWS_CA_BUNDLE", "/nonexistent/ca.pem")], vec![]),
        ("", "HTTPS_PROXY", vec![("HTTPS_PROXY", "ftp://x")], vec![]),
        ("", "AWS_PROFILE", vec![("AWS_PROFILE", "missing"), ("AWS_ACCESS_KEY_ID", ""), ("AWS_SECRET_ACCESS_KEY", "")], vec![]),
        ("profile", "missing", vec![], vec![("profile", "missing".into())]),
        ("region", "AWS_REGION", vec![("AWS_REGION", "")], vec![]),
        ("custom_ca_bundle", "holds no PEM", vec![], vec![("custom_ca_bundle", broken.into())]),
        ("custom_ca_bundle", "/nonexistent", vec![], vec![("custom_ca_bundle", "~/ca.pem".into())]),
        ("shared_config_files[0]", "/nonexistent/c", vec![], vec![("shared_config_files", strings_list(&["/nonexistent/c"]))]),
        ("shared_credentials_files", "", vec![], vec![("shared_credentials_files", strings_list(&[broken]))]),
        ("assume_role_with_web_identity", "TF_AWS_WEB_IDENTITY_TOKEN", vec![], vec![("assume_role_with_web_identity", nested("assume_role_with_web_identity", &[("role_arn", "arn:aws:iam::123456789012:role/r".into())]))]),
        ("assume_role_with_web_identity.role_arn", "AWS_ROLE_ARN", vec![], vec![("assume_role_with_web_identity", nested("assume_role_with_web_identity", &[("web_identity_token", "a.b.c".into())]))]),
        ("assume_role_with_web_identity.web_identity_token_file", "/nonexistent/t", vec![], vec![("assume_role_with_web_identity", nested("assume_role_with_web_identity", &[("role_arn", "arn:aws:iam::123456789012:role/r".into()), ("web_identity_token_file", "/nonexistent/t".into())]))]),
        ("kubernetes.config_path", "/nonexistent/k", vec![], vec![("kubernetes", nested("kubernetes", &[("config_path", "/nonexistent/k".into())]))]),
    ];
    for (path, text, variables, entries) in cases {
        let environment = environment("http://127.0.0.1:1", &variables);
        let (_, diagnostics) = configure(environment, config(&entries)).await;
        let found = diagnostics.iter().any(|d| {
            d.path
                .as_ref()
                .map_or_else(String::new, ToString::to_string)
                == path
                && d.detail.contains(text)
        });
        assert!(found, "{path} {text} {variables:?}: {diagnostics:?}");
    }
}

#[tokio::test]
async fn unknown_values_leave_no_clients_and_no_errors() {
    for (name, value, path) in [
        ("region", Value::unknown(), "region"),
        (
            "assume_role",
            nested("assume_role", &[("role_arn", Value::unknown())]),
            "assume_role[0].role_arn",
        ),
        ("endpoints", Value::unknown(), "endpoints"),
        (
            "shared_config_files",
            Value::List(vec![Value::unknown()]),
            "shared_config_files[0]",
        ),
    ] {
        let (data, _) = configure(
            environment("http://127.0.0.1:1", &[]),
            config(&[
                (name, value),
                ("allowed_account_ids", strings_set(&["123456789012"])),
            ]),
        )
        .await;
        let error = data.unwrap().eks().unwrap_err();
        assert!(error.is_not_yet_known(), "{name}");
        assert!(error.to_string().contains(path), "{error}");
    }
    let (data, _) = configure(
        environment("http://127.0.0.1:1", &[]),
        config(&[
            ("cluster_name", Value::unknown()),
            ("default_tags", Value::unknown()),
            ("kubernetes", Value::unknown()),
        ]),
    )
    .await;
    let data = data.unwrap();
    assert!(data.eks().is_ok());
    assert!(data.default_cluster_name().is_unknown());
    assert!(data.plan_tags_all(&Value::Null).is_unknown());
}

#[tokio::test]
async fn tags_come_from_block_and_environment() {
    let (data, _) = configure(
        environment(
            "http://127.0.0.1:1",
            &[
                ("TF_AWS_DEFAULT_TAGS_team", "env"),
                ("TF_AWS_DEFAULT_TAGS_stage", "env"),
                ("TF_AWS_IGNORE_TAGS_KEYS", "owner, cost"),
                ("TF_AWS_IGNORE_TAGS_KEY_PREFIXES", "k8s.io/"),
            ],
        ),
        config(&[
            (
                "default_tags",
                nested(
                    "default_tags",
                    &[("tags", Value::string_map([("team", "block")]))],
                ),
            ),
            (
                "ignore_tags",
                nested("ignore_tags", &[("keys", strings_set(&["mine"]))]),
            ),
        ]),
    )
    .await;
    assert_eq!(
        data.unwrap().plan_tags_all(&Value::string_map([
            ("cost", "1"),
            ("mine", "2"),
            ("k8s.io/a", "3"),
            ("b", "4"),
        ])),
        Value::string_map([("team", "block"), ("stage", "env"), ("b", "4")])
    );
}

#[test]
fn every_schema_is_one_that_core_accepts() {
    let provider = PodIdentityProvider::with_environment(Environment::default());
    let none: Vec<String> = Vec::new();
    assert_eq!(internal_validate_provider(&provider.schema()), none);
    for resource in provider.resources() {
        let faults = internal_validate_resource(&resource.schema());
        assert_eq!(faults, none, "{}", resource.type_name());
    }
    for data_source in provider.data_sources() {
        let faults = internal_validate_resource(&data_source.schema());
        assert_eq!(faults, none, "{}", data_source.type_name());
    }
}
