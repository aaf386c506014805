//! How clusters are reached: credentials, kubeconfigs, certificates, proxies, and what refusals say.

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::SystemTime;

use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::super::auth::{Authenticator, Clock, EksSigner, Source};
use super::*;
use crate::cty::Value;
use crate::framework::model::Attr;
use crate::provider::tests::{config, configure, environment, nested};

/// The API with a `kubernetes` block.
pub(super) async fn with_block(
    sandbox: &Sandbox,
    block: &KubernetesConfig,
) -> Result<ClusterApi, KubernetesError> {
    with_clock(sandbox, block, Arc::new(SystemTime::now)).await
}

async fn with_clock(
    sandbox: &Sandbox,
    block: &KubernetesConfig,
    clock: Clock,
) -> Result<ClusterApi, KubernetesError> {
    let data = data_for(sandbox, &[]).await;
    let found = data.cluster(&never(), "demo").await;
    reach::cluster_api(block, "demo", found, data.clients(), Some(clock))
}

pub(super) fn token(sandbox: &Sandbox) -> String {
    let keys = Credentials::new("test", "test", None, None, "test");
    sign_token(
        &keys,
        "us-east-1",
        sandbox.aws_endpoint(),
        "demo",
        SystemTime::now(),
    )
    .unwrap()
    .token
}

/// A CA that has signed nothing.
fn other_ca() -> String {
    rcgen::generate_simple_self_signed(["ca.example".to_owned()])
        .unwrap()
        .cert
        .pem()
}

/// A kubeconfig with one context, and where it is.
pub(super) struct Files(pub(super) tempfile::TempDir);

impl Files {
    pub(super) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(super) fn write(&self, name: &str, contents: &str) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::write(&path, contents).unwrap();
        path
    }

    /// A script that can be run.
    #[cfg(unix)]
    pub(super) fn script(&self, name: &str, contents: &str) -> PathBuf {
        // Written by another process: what this one has open for writing, a process that another test starts meanwhile
        // would have open as well, and what is open for writing cannot be run.
        let source = self.write(
            &format!("{name}.source"),
            &format!("#!/bin/sh\n{contents}\n"),
        );
        let path = self.0.path().join(name);
        let status = std::process::Command::new("sh")
            .args([
                "-c",
                "rm -f \"$2\" && cp \"$1\" \"$2\" && chmod +x \"$2\"",
                "sh",
            ])
            .args([&source, &path])
            .status();
        assert!(status.unwrap().success(), "{name}");
        path
    }

    pub(super) fn kubeconfig(&self, sandbox: &Sandbox, user: Json) -> PathBuf {
        let ca = BASE64.encode(sandbox.kubernetes_ca());
        let cluster =
            json!({"server": sandbox.kubernetes_endpoint(), "certificate-authority-data": ca});
        self.write("config", &kubeconfig(cluster, user).to_string())
    }
}

/// JSON is YAML.
pub(super) fn kubeconfig(cluster: Json, user: Json) -> Json {
    json!({
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "c",
        "clusters": [{"name": "demo", "cluster": cluster}],
        "users": [{"name": "me", "user": user}],
        "contexts": [{"name": "c", "context": {"cluster": "demo", "user": "me"}}],
    })
}

pub(super) fn from_file(path: &Path) -> KubernetesConfig {
    KubernetesConfig {
        config_path: Attr::Known(path.display().to_string()),
        ..KubernetesConfig::default()
    }
}

/// Grants the user `jane` of certificates everything.
pub(super) fn jane(sandbox: &Sandbox) {
    sandbox
        .seed(json!({"clusters": [{"name": "demo", "access": [{"principal_arn": "jane", "rules": [{}]}]}]}))
        .unwrap();
}

pub(super) async fn works(api: &ClusterApi) {
    let found = account(api).await.unwrap();
    assert!(found.is_some());
}

/// A signer for the sandbox's cluster with session credentials that end at `expiry`.
fn authenticator(expiry: Option<SystemTime>, clock: Clock) -> Authenticator {
    let keys = Credentials::new("test", "test", None, expiry, "test");
    let source = Source::Eks(EksSigner {
        credentials: SharedCredentialsProvider::new(keys),
        region: "us-east-1".to_owned(),
        sts_endpoint: "https://sts.us-east-1.amazonaws.com".to_owned(),
        cluster: "demo".to_owned(),
    });
    Authenticator::new(source, None, clock)
}

#[tokio::test]
async fn tokens_are_renewed_before_they_expire() {
    let start = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
    for (session, renewed_at) in [
        // EKS takes a token for 15 minutes.
        (None, 13 * 60),
        // The session behind the token ends earlier.
        (Some(Duration::from_secs(300)), 240),
    ] {
        let now = Arc::new(Mutex::new(start));
        let reader = Arc::clone(&now);
        let clock: Clock = Arc::new(move || *reader.lock().unwrap());
        let tokens = authenticator(session.map(|life| start + life), clock);
        let at = async |seconds: u64| {
            *now.lock().unwrap() = start + Duration::from_secs(seconds);
            tokens.credential(None).await.unwrap()
        };
        let first = at(0).await;
        let same = at(renewed_at - 60).await;
        assert_eq!(first.authorization, same.authorization, "{session:?}");
        let next = at(renewed_at).await;
        assert_ne!(first.authorization, next.authorization, "{session:?}");
        assert!(!format!("{first:?}").contains("k8s-aws-v1"));
        assert!(first.authorization.unwrap().is_sensitive());
    }
}

#[tokio::test]
async fn a_refused_token_is_renewed_once_for_all_who_were_refused() {
    let ticks = Mutex::new(SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000));
    let clock: Clock = Arc::new(move || {
        let mut now = ticks.lock().unwrap();
        *now += Duration::from_secs(1);
        *now
    });
    let tokens = authenticator(None, clock);
    let first = tokens.credential(None).await.unwrap();
    let second = tokens.credential(Some(&first)).await.unwrap();
    assert_ne!(first.authorization, second.authorization);
    let other = tokens.credential(Some(&first)).await.unwrap();
    assert_eq!(second.authorization, other.authorization);
}

#[tokio::test]
async fn an_expired_token_is_signed_again_on_401() {
    let sandbox = with_account();
    let calls = Mutex::new(0);
    let clock: Clock = Arc::new(move || {
        let mut calls = calls.lock().unwrap();
        *calls += 1;
        // At first the clock is an hour late, and then somebody sets it.
        SystemTime::now() - Duration::from_secs(if *calls == 1 { 3600 } else { 0 })
    });
    let api = with_clock(&sandbox, &KubernetesConfig::default(), clock)
        .await
        .unwrap();
    sandbox.clear_requests();
    works(&api).await;
    let statuses: Vec<_> = sandbox
        .requests()
        .iter()
        .map(|entry| entry.status)
        .collect();
    assert_eq!(statuses, [401, 200]);
}

#[tokio::test]
async fn who_is_not_let_in_learns_about_access_entries() {
    let sandbox = with_account();
    jane(&sandbox);
    let api = with_block(&sandbox, &KubernetesConfig::default())
        .await
        .unwrap();
    sandbox.clear_requests();
    let error = account(&api).await.unwrap_err();
    assert_eq!(error.kind(), KubernetesErrorKind::Unauthorized);
    assert_eq!(operations(&sandbox).len(), 3, "twice more with a new token");
    let detail = error.into_diagnostic("s", "", "").detail;
    for part in [
        "create-access-entry --cluster-name demo",
        "aws-auth",
        "clock",
        "HTTP 401",
    ] {
        assert!(detail.contains(part), "{part}: {detail}");
    }

    let block = KubernetesConfig {
        token: Attr::Known("wrong".to_owned()),
        ..KubernetesConfig::default()
    };
    let api = with_block(&sandbox, &block).await.unwrap();
    sandbox.clear_requests();
    let error = account(&api).await.unwrap_err();
    assert_eq!(operations(&sandbox).len(), 1, "there is no other token");
    let detail = error.into_diagnostic("s", "", "").detail;
    assert!(detail.contains("kubernetes block"), "{detail}");
    assert!(!detail.contains("wrong"));
}

#[tokio::test]
async fn refusals_name_the_rule_that_is_missing() {
    let sandbox = with_account();
    sandbox
        .seed(json!({"clusters": [{"name": "demo", "access": [{"principal_arn": "*", "rules": [
            {"verbs": ["get"], "resources": ["serviceaccounts"], "api_groups": [""], "namespaces": ["orders"]},
        ]}]}]}))
        .unwrap();
    let api = api(&sandbox).await;
    works(&api).await;
    let error = patch(&api, &annotate("a", None, None)).await.unwrap_err();
    assert!(error.is_forbidden());
    assert_eq!(
        error.missing_rule().unwrap(),
        r#"{apiGroups: [""], resources: ["serviceaccounts"], verbs: ["patch"]}"#
    );
    let text = error.to_string();
    assert!(
        text.starts_with(
            r#"patch serviceaccounts "api" in namespace "orders" of cluster "demo": serviceaccounts "api" is forbidden"#
        ),
        "{text}"
    );
    assert!(text.contains(&error.missing_rule().unwrap()), "{text}");
    let detail = error.into_diagnostic("s", "", "").detail;
    for part in [
        "a Role in the namespace \"orders\"",
        "  - apiGroups: [\"\"]\n    resources: [\"serviceaccounts\"]\n    verbs: [\"patch\"]",
    ] {
        assert!(detail.contains(part), "{part}: {detail}");
    }

    let error = api
        .list::<k8s_openapi::api::apps::v1::Deployment>(&never(), Scope::Cluster, None)
        .await
        .unwrap_err();
    let detail = error.into_diagnostic("s", "", "").detail;
    for part in [
        "a ClusterRole",
        "  - apiGroups: [\"apps\"]\n    resources: [\"deployments\"]\n    verbs: [\"list\"]",
    ] {
        assert!(detail.contains(part), "{part}: {detail}");
    }

    let can = async |verb, group, resource, namespace| {
        api.can(&never(), verb, group, resource, namespace, None)
            .await
            .unwrap()
    };
    assert!(can("get", "", "serviceaccounts", Some("orders")).await);
    assert!(!can("get", "", "serviceaccounts", None).await);
    assert!(!can("patch", "apps", "deployments", Some("orders")).await);
    assert!(!can("create", "", "pods/eviction", Some("orders")).await);

    let error = api
        .get::<Namespace>(&never(), None, "orders")
        .await
        .unwrap_err();
    let detail = error.into_diagnostic("s", "", "").detail;
    assert!(
        detail.contains("a Role in the namespace \"orders\""),
        "{detail}"
    );

    sandbox.fault(Fault {
        error: Some(FaultError {
            code: "Forbidden".to_owned(),
            message: "forbidden: User \"ci\" cannot get path \"/apis/keda.sh\"".to_owned(),
            status: 403,
        }),
        ..fault("get /apis/keda.sh")
    });
    let error = api.versions(&never(), "keda.sh").await.unwrap_err();
    assert_eq!(
        error.missing_rule().unwrap(),
        r#"{nonResourceURLs: ["/apis/keda.sh"], verbs: ["get"]}"#
    );
    let detail = error.into_diagnostic("s", "", "").detail;
    assert!(
        detail.contains("a ClusterRole")
            && detail.contains("  - nonResourceURLs: [\"/apis/keda.sh\"]\n    verbs: [\"get\"]"),
        "{detail}"
    );
}

#[tokio::test]
async fn a_rule_for_some_names_allows_those() {
    let sandbox = with_account();
    sandbox
        .seed(
            json!({"clusters": [{"name": "demo", "access": [{"principal_arn": "*", "rules": [
                {"verbs": ["patch"], "resources": ["serviceaccounts"], "resource_names": ["api"]},
            ]}]}]}),
        )
        .unwrap();
    let api = api(&sandbox).await;
    for (name, expected) in [(None, false), (Some("api"), true), (Some("web"), false)] {
        let can = api
            .can(
                &never(),
                "patch",
                "",
                "serviceaccounts",
                Some("orders"),
                name,
            )
            .await
            .unwrap();
        assert_eq!(can, expected, "{name:?}");
    }
}

#[tokio::test]
async fn an_authorizer_that_cannot_be_asked_has_not_said_no() {
    let sandbox = with_account();
    for (status, expected) in [
        (json!({"allowed": false}), Some(false)),
        (
            json!({"allowed": false, "evaluationError": "webhook authorizer: timeout"}),
            None,
        ),
        (
            json!({"allowed": true, "evaluationError": "webhook authorizer: timeout"}),
            Some(true),
        ),
    ] {
        let (url, _) =
            answering_server("201 Created", &json!({"spec": {}, "status": status})).await;
        let block = KubernetesConfig {
            host: Attr::Known(url),
            ..KubernetesConfig::default()
        };
        let api = with_block(&sandbox, &block).await.unwrap();
        let can = api
            .can(&never(), "patch", "", "pods", Some("orders"), None)
            .await;
        assert_eq!(can.as_ref().ok(), expected.as_ref(), "{status}: {can:?}");
    }
}

#[tokio::test]
async fn not_every_403_is_about_rbac() {
    let sandbox = with_account();
    let api = api(&sandbox).await;
    sandbox.fault(Fault {
        error: Some(FaultError {
            code: "Forbidden".to_owned(),
            message: "admission webhook \"validation.gatekeeper.sh\" denied the request: [owner] a label is missing"
                .to_owned(),
            status: 403,
        }),
        ..fault("patch serviceaccounts")
    });
    let admission = patch(&api, &annotate("a", None, None)).await.unwrap_err();
    let (url, _) = recording_server().await;
    let block = KubernetesConfig {
        host: Attr::Known(url),
        ..KubernetesConfig::default()
    };
    let firewall = account(&with_block(&sandbox, &block).await.unwrap())
        .await
        .unwrap_err();
    for (error, expected) in [
        (
            admission,
            "The admission webhook \"validation.gatekeeper.sh\" refuses this",
        ),
        (firewall, "such as a proxy or a firewall"),
    ] {
        assert_eq!(error.kind(), KubernetesErrorKind::Refused, "{error}");
        assert_eq!(error.http_status(), Some(403));
        assert_eq!(error.missing_rule(), None, "{error}");
        let detail = error.into_diagnostic("s", "", "").detail;
        assert!(detail.contains(expected), "{detail}");
        assert!(!detail.contains("rule is missing"), "{detail}");
    }
}

#[tokio::test]
async fn parts_of_the_block_take_the_place_of_what_eks_says() {
    let sandbox = with_account();
    let host = sandbox.kubernetes_endpoint();
    let ca = sandbox.kubernetes_ca();
    let default = KubernetesConfig::default;
    for (name, block) in [
        (
            "token",
            KubernetesConfig {
                token: Attr::Known(token(&sandbox)),
                ..default()
            },
        ),
        (
            "host and CA; the token is signed",
            KubernetesConfig {
                host: Attr::Known(host.clone()),
                cluster_ca_certificate: Attr::Known(ca.clone()),
                ..default()
            },
        ),
        (
            "host without scheme",
            KubernetesConfig {
                host: Attr::Known(host.replace("https://", "")),
                cluster_ca_certificate: Attr::Known(ca.clone()),
                ..default()
            },
        ),
        (
            "insecure",
            KubernetesConfig {
                host: Attr::Known(host.clone()),
                insecure: Attr::Known(true),
                ..default()
            },
        ),
        (
            "tls_server_name",
            KubernetesConfig {
                tls_server_name: Attr::Known("localhost".to_owned()),
                ..default()
            },
        ),
    ] {
        let api = with_block(&sandbox, &block).await.unwrap();
        let found = account(&api).await;
        assert!(
            found.as_ref().is_ok_and(Option::is_some),
            "{name}: {found:?}"
        );
    }

    jane(&sandbox);
    let certificate = sandbox.client_certificate("jane");
    // With and without the last line's end.
    for cut in [
        |pem: &str| pem.to_owned(),
        |pem: &str| pem.trim().to_owned(),
    ] {
        let block = KubernetesConfig {
            client_certificate: Attr::Known(cut(&certificate.certificate)),
            client_key: Attr::Known(cut(&certificate.key)),
            ..default()
        };
        works(&with_block(&sandbox, &block).await.unwrap()).await;
    }
}

#[tokio::test]
async fn only_the_clusters_own_certificate_is_accepted() {
    let sandbox = with_account();
    let host = sandbox.kubernetes_endpoint();
    let default = KubernetesConfig::default;
    for (name, block) in [
        (
            "another CA",
            KubernetesConfig {
                host: Attr::Known(host.clone()),
                cluster_ca_certificate: Attr::Known(other_ca()),
                ..default()
            },
        ),
        (
            "the system's CAs",
            KubernetesConfig {
                host: Attr::Known(host.clone()),
                ..default()
            },
        ),
        (
            "another name",
            KubernetesConfig {
                tls_server_name: Attr::Known("other.example".to_owned()),
                ..default()
            },
        ),
    ] {
        let api = with_block(&sandbox, &block).await.unwrap();
        sandbox.clear_requests();
        let error = account(&api).await.unwrap_err();
        assert_eq!(error.kind(), KubernetesErrorKind::Configuration, "{name}");
        assert!(operations(&sandbox).is_empty(), "{name}");
        let detail = error.into_diagnostic("s", "", "").detail;
        assert!(!detail.contains("attempts"), "{name}: {detail}");
        assert!(
            detail.contains("invalid peer certificate"),
            "{name}: {detail}"
        );
        assert!(detail.contains(&host), "{name}: {detail}");
        assert!(
            detail.contains("cluster_ca_certificate"),
            "{name}: {detail}"
        );
    }
}

/// Something that answers, but not with TLS.
#[tokio::test]
async fn a_server_without_tls() {
    let sandbox = with_account();
    let (url, _) = recording_server().await;
    let block = KubernetesConfig {
        host: Attr::Known(url.replace("http://", "https://")),
        ..KubernetesConfig::default()
    };
    let error = account(&with_block(&sandbox, &block).await.unwrap())
        .await
        .unwrap_err();
    assert_eq!(error.kind(), KubernetesErrorKind::Configuration);
    assert!(error.to_string().contains("no TLS connection"), "{error}");
}

#[tokio::test]
async fn credentials_are_not_sent_in_the_clear() {
    let sandbox = with_account();
    let (url, last) = recording_server().await;
    for insecure in [Attr::Null, Attr::Known(true)] {
        let block = |host: &str| KubernetesConfig {
            host: Attr::Known(host.to_owned()),
            insecure: insecure.clone(),
            ..KubernetesConfig::default()
        };
        for host in [
            "http://kubernetes.example.com",
            "http://10.0.0.1:8080",
            "http://localhost.example.com",
        ] {
            let error = with_block(&sandbox, &block(host)).await.unwrap_err();
            assert_eq!(error.kind(), KubernetesErrorKind::Configuration);
            assert!(error.to_string().contains("not https"), "{error}");
        }
        // But to kubectl proxy.
        last.lock().unwrap().clear();
        let api = with_block(&sandbox, &block(&url)).await.unwrap();
        assert!(account(&api).await.is_err());
        assert!(last.lock().unwrap().starts_with("GET "));
    }
}

#[tokio::test]
async fn an_endpoint_that_cannot_be_reached() {
    let sandbox = with_account();
    let (_taken, address) = crate::provider::tests::refusing_address();
    let data = data_for(&sandbox, &[("max_retries", 1.into())]).await;
    let block = KubernetesConfig {
        host: Attr::Known(format!("https://{address}")),
        ..KubernetesConfig::default()
    };
    let found = data.cluster(&never(), "demo").await;
    let api = reach::cluster_api(&block, "demo", found, data.clients(), None).unwrap();
    let error = account(&api).await.unwrap_err();
    assert_eq!(error.kind(), KubernetesErrorKind::Unavailable);
    let detail = error.into_diagnostic("s", "", "").detail;
    for part in [&*format!("https://{address}"), "private", "proxy_url"] {
        assert!(detail.contains(part), "{part}: {detail}");
    }
    assert!(detail.contains("2 attempts"), "{detail}");
    // Who asks soon after learns it at once.
    let error = account(&api).await.unwrap_err();
    assert_eq!(error.kind(), KubernetesErrorKind::Unavailable);
    let detail = error.into_diagnostic("s", "", "").detail;
    assert!(!detail.contains("attempts"), "{detail}");
}

/// A server on this machine that answers 403 and keeps the last request.
pub(super) async fn recording_server() -> (String, Arc<Mutex<String>>) {
    answering_server("403 Forbidden", &Json::Null).await
}

/// A server on this machine that always answers the same, with no body for null, and keeps the last request.
async fn answering_server(status: &str, body: &Json) -> (String, Arc<Mutex<String>>) {
    let body = match body {
        Json::Null => String::new(),
        body => body.to_string(),
    };
    let answer = format!(
        "HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    );
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let last = Arc::new(Mutex::new(String::new()));
    let keep = Arc::clone(&last);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut buffer = vec![0; 16 * 1024];
            let length = stream.read(&mut buffer).await.unwrap_or_default();
            *keep.lock().unwrap() = String::from_utf8_lossy(&buffer[..length]).into_owned();
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    (url, last)
}

#[tokio::test]
async fn a_server_that_is_certainly_another_cluster_is_refused() {
    let sandbox = sandbox();
    let data = data_for(&sandbox, &[]).await;
    let id = "0123456789ABCDEF0123456789ABCDEF";
    let other = "FEDCBA9876543210FEDCBA9876543210";
    let mut found = (*data.cluster(&never(), "demo").await.unwrap()).clone();
    found.endpoint = format!("https://{id}.gr7.us-east-1.eks.amazonaws.com");
    let found = Arc::new(found);
    for (host, accepted) in [
        (found.endpoint.clone(), true),
        (found.endpoint.to_lowercase(), true),
        (format!("https://{id}.eks-cluster.us-east-1.api.aws"), true),
        (
            format!("https://{other}.gr7.us-east-1.eks.amazonaws.com"),
            false,
        ),
        (
            format!("https://{other}.sk1.eu-west-1.eks.amazonaws.com:443"),
            false,
        ),
        // Names that EKS did not make: tunnels, private names, proxies.
        ("https://localhost:6443".to_owned(), true),
        (
            "https://kubernetes.corp.example/k8s/clusters/c-1".to_owned(),
            true,
        ),
    ] {
        let block = KubernetesConfig {
            host: Attr::Known(host.clone()),
            ..KubernetesConfig::default()
        };
        let result =
            reach::cluster_api(&block, "demo", Ok(Arc::clone(&found)), data.clients(), None);
        assert_eq!(result.is_ok(), accepted, "{host}");
        if let Err(error) = result {
            assert_eq!(error.kind(), KubernetesErrorKind::Configuration);
            assert!(error.to_string().contains("config_context"), "{error}");
        }
    }
}

/// One server cannot be two clusters.
#[tokio::test]
async fn a_configured_server_serves_one_cluster() {
    let sandbox = with_account();
    let entries = [
        ("host", Value::from(sandbox.kubernetes_endpoint())),
        (
            "cluster_ca_certificate",
            Value::from(sandbox.kubernetes_ca()),
        ),
    ];
    let data = data_for(&sandbox, &[("kubernetes", nested("kubernetes", &entries))]).await;
    data.kubernetes_api(&never(), "demo").await.unwrap();
    let error = data.kubernetes_api(&never(), "other").await.unwrap_err();
    assert_eq!(error.kind(), KubernetesErrorKind::Configuration);
    assert!(error.to_string().contains("alias"), "{error}");
}

#[tokio::test]
async fn the_environment_names_no_server() {
    let sandbox = with_account();
    let files = Files::new();
    let elsewhere = files.write(
        "config",
        &kubeconfig(
            json!({"server": "https://elsewhere.example"}),
            json!({"token": "x"}),
        )
        .to_string(),
    );
    let elsewhere = elsewhere.to_str().unwrap();
    let environment = environment(
        sandbox.aws_endpoint(),
        &[
            ("KUBECONFIG", elsewhere),
            ("KUBE_CONFIG_PATH", elsewhere),
            ("KUBE_CONFIG_PATHS", elsewhere),
            ("KUBE_HOST", "https://elsewhere.example"),
            ("KUBE_TOKEN", "x"),
        ],
    );
    let (data, _) = configure(environment, config(&[])).await;
    let api = data
        .unwrap()
        .kubernetes_api(&never(), "demo")
        .await
        .unwrap();
    works(&api).await;
}

#[tokio::test]
async fn the_home_directory_is_the_environments() {
    let sandbox = with_account();
    let files = Files::new();
    files.kubeconfig(&sandbox, json!({"token": token(&sandbox)}));
    let environment = environment(
        sandbox.aws_endpoint(),
        &[("HOME", files.0.path().to_str().unwrap())],
    );
    let block = nested("kubernetes", &[("config_path", "~/config".into())]);
    let (data, diagnostics) = configure(environment, config(&[("kubernetes", block)])).await;
    let data = data.unwrap_or_else(|| panic!("{diagnostics:?}"));
    let api = data.kubernetes_api(&never(), "demo").await.unwrap();
    works(&api).await;
}

#[tokio::test]
async fn what_is_not_known_yet() {
    let sandbox = sandbox();
    let block = nested("kubernetes", &[("host", Value::unknown())]);
    let unknown_block = data_for(&sandbox, &[("kubernetes", block)]).await;
    let dynamic = data_for(&sandbox, &[("kubernetes", Value::unknown())]).await;
    let unknown_aws = data_for(&sandbox, &[("region", Value::unknown())]).await;
    for data in [unknown_block, dynamic, unknown_aws] {
        let error = data.kubernetes_api(&never(), "demo").await.unwrap_err();
        assert!(error.is_not_yet_known(), "{error}");
    }
    assert!(operations(&sandbox).is_empty());
}
