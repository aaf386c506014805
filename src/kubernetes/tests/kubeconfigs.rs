//! Kubeconfig files and credential plugins.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::access::{
    Files, from_file, jane, kubeconfig, recording_server, token, with_block, works,
};
use super::*;
use crate::framework::model::Attr;

#[tokio::test]
async fn kubeconfigs_bring_server_and_user() {
    let sandbox = with_account();
    let files = Files::new();
    let file = files.write("token", &format!("{}\n", token(&sandbox)));
    for (name, user) in [
        ("token", json!({"token": token(&sandbox)})),
        (
            "token file",
            json!({"tokenFile": "token", "token": "wrong"}),
        ),
        ("absolute token file", json!({"tokenFile": file})),
        ("nobody: the token is signed", json!({})),
        (
            "what is empty is left out",
            json!({
                "token": "", "tokenFile": "", "username": "", "password": "", "as": "", "as-uid": "",
                "client-certificate": "", "client-key-data": "",
            }),
        ),
    ] {
        let path = files.kubeconfig(&sandbox, user);
        let api = with_block(&sandbox, &from_file(&path)).await.unwrap();
        let found = account(&api).await;
        assert!(
            found.as_ref().is_ok_and(Option::is_some),
            "{name}: {found:?}"
        );
    }

    jane(&sandbox);
    let certificate = sandbox.client_certificate("jane");
    files.write("ca.pem", &sandbox.kubernetes_ca());
    files.write("jane.pem", &certificate.certificate);
    files.write("jane.key", &certificate.key);
    let cluster =
        json!({"server": sandbox.kubernetes_endpoint(), "certificate-authority": "ca.pem"});
    let user = json!({"client-certificate": "jane.pem", "client-key": "jane.key"});
    let path = files.write("config", &kubeconfig(cluster, user).to_string());
    works(&with_block(&sandbox, &from_file(&path)).await.unwrap()).await;
    // In lines, as base64 and OpenSSL print them.
    let wrapped = |text: &str| {
        let encoded = BASE64.encode(text.trim());
        let lines: Vec<_> = encoded.as_bytes().chunks(64).collect();
        String::from_utf8(lines.join(&b'\n')).unwrap()
    };
    let user = json!({
        "client-certificate-data": wrapped(&certificate.certificate),
        "client-key-data": wrapped(&certificate.key),
    });
    let path = files.kubeconfig(&sandbox, user);
    works(&with_block(&sandbox, &from_file(&path)).await.unwrap()).await;
}

/// The first file that names something wins; a context of the second may use a user of the first.
#[tokio::test]
async fn kubeconfigs_are_merged_as_kubectl_does() {
    let sandbox = with_account();
    let files = Files::new();
    let first = files.write(
        "first",
        &json!({
            "current-context": "c",
            "users": [{"name": "me", "user": {"token": token(&sandbox)}}],
            "contexts": null,
        })
        .to_string(),
    );
    let ca = BASE64.encode(sandbox.kubernetes_ca());
    let mut second = kubeconfig(
        json!({"server": sandbox.kubernetes_endpoint(), "certificate-authority-data": ca}),
        json!({"token": "wrong"}),
    );
    second["current-context"] = "other".into();
    let second = files.write("second", &second.to_string());
    let paths = |paths: [&Path; 2]| KubernetesConfig {
        config_paths: Attr::Known(
            paths
                .into_iter()
                .map(|path| Attr::Known(path.display().to_string()))
                .collect(),
        ),
        ..KubernetesConfig::default()
    };
    works(
        &with_block(&sandbox, &paths([&first, &second]))
            .await
            .unwrap(),
    )
    .await;

    let error = with_block(&sandbox, &paths([&second, &first]))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), KubernetesErrorKind::Configuration);
    assert!(
        error.to_string().contains("no context \"other\""),
        "{error}"
    );
    assert!(error.to_string().contains("contexts there: c"), "{error}");
    let api = with_block(
        &sandbox,
        &KubernetesConfig {
            config_context: Attr::Known("c".to_owned()),
            ..paths([&second, &first])
        },
    )
    .await
    .unwrap();
    let error = account(&api).await.unwrap_err();
    assert_eq!(
        error.kind(),
        KubernetesErrorKind::Unauthorized,
        "the first user wins"
    );
}

#[tokio::test]
async fn kubeconfigs_that_cannot_be_used() {
    let sandbox = with_account();
    let files = Files::new();
    let cluster = json!({"server": sandbox.kubernetes_endpoint()});
    let secret = "s3cr3t-value-of-a-token";
    for (name, contents, expected) in [
        ("not YAML", format!("users: [{secret}"), "is not a kubeconfig"),
        ("not a kubeconfig", format!("users: {secret}"), "is not a kubeconfig"),
        ("empty", String::new(), "names no current context"),
        (
            "auth-provider",
            kubeconfig(cluster.clone(), json!({"auth-provider": {"name": "gcp"}})).to_string(),
            "auth-provider \"gcp\"",
        ),
        (
            "half a certificate",
            kubeconfig(cluster.clone(), json!({"client-key-data": BASE64.encode(secret)})).to_string(),
            "without the other",
        ),
        (
            "a CA that is none",
            kubeconfig(json!({"server": "https://x", "certificate-authority-data": "%%"}), json!({})).to_string(),
            "is not base64",
        ),
        (
            "no server",
            kubeconfig(json!({}), json!({})).to_string(),
            "has no server",
        ),
        (
            "a plugin of old",
            kubeconfig(
                cluster.clone(),
                json!({"exec": {"apiVersion": "client.authentication.k8s.io/v1alpha1", "command": "x"}}),
            )
            .to_string(),
            "v1alpha1",
        ),
        (
            "a plugin that wants a terminal",
            kubeconfig(
                cluster.clone(),
                json!({"exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": "x", "interactiveMode": "Always"}}),
            )
            .to_string(),
            "wants a terminal",
        ),
        (
            "in the clear",
            kubeconfig(json!({"server": "http://10.0.0.1"}), json!({"token": secret})).to_string(),
            "is not https",
        ),
    ] {
        let path = files.write("config", &contents);
        let error = with_block(&sandbox, &from_file(&path)).await.unwrap_err();
        assert_eq!(error.kind(), KubernetesErrorKind::Configuration, "{name}");
        let text = error.to_string();
        assert!(text.contains(expected), "{name}: {text}");
        assert!(!text.contains(secret), "{name}: {text}");
    }
}

/// Who acts as somebody else must not act as himself.
#[tokio::test]
async fn impersonation_is_sent() {
    let sandbox = with_account();
    let files = Files::new();
    let user = json!({
        "token": token(&sandbox),
        "as": "deployer",
        "as-groups": ["one", "two"],
        "as-user-extra": {"Scopes.Example/x": ["view"]},
    });
    let server = recording_server().await;
    let url = format!("{}/k8s/clusters/c-1/", server.0);
    let cluster = json!({"server": url, "insecure-skip-tls-verify": true});
    let path = files.write("config", &kubeconfig(cluster, user).to_string());
    let api = with_block(&sandbox, &from_file(&path)).await.unwrap();
    let _ = account(&api).await;
    let request = server.1.lock().unwrap().to_ascii_lowercase();
    for header in [
        "get /k8s/clusters/c-1/api/v1/namespaces/orders/serviceaccounts/api http/1.1",
        "impersonate-user: deployer",
        "impersonate-group: one",
        "impersonate-group: two",
        "impersonate-extra-scopes%2eexample%2fx: view",
    ] {
        assert!(request.contains(header), "{header}: {request}");
    }
}

#[cfg(unix)]
mod plugins {
    use super::*;

    const V1: &str = "client.authentication.k8s.io/v1";
    const V1BETA1: &str = "client.authentication.k8s.io/v1beta1";

    fn exec(command: &str, args: &[&str], env: &[(&str, &str)]) -> KubernetesConfig {
        KubernetesConfig {
            exec: Attr::Known(ExecConfig {
                api_version: Attr::Known(V1.to_owned()),
                command: Attr::Known(command.to_owned()),
                args: Attr::Known(args.iter().map(|arg| (*arg).into()).collect()),
                env: Attr::Known(
                    env.iter()
                        .map(|(name, value)| ((*name).to_owned(), (*value).into()))
                        .collect(),
                ),
            }),
            ..KubernetesConfig::default()
        }
    }

    fn answer(version: &str, status: Json) -> String {
        json!({"apiVersion": version, "kind": "ExecCredential", "status": status}).to_string()
    }

    /// A script that counts how often it runs and prints the value of `ANSWER`.
    const PRINT: &str = r#"echo x >> "$COUNT"; printf '%s' "$KUBERNETES_EXEC_INFO" > "$COUNT.info"; printf '%s' "$ANSWER""#;

    #[tokio::test]
    async fn the_blocks_own() {
        let sandbox = with_account();
        let files = Files::new();
        let script = files.script("get-token", PRINT);
        let count = files.write("count", "");
        let runs = || std::fs::read_to_string(&count).unwrap().lines().count();
        let far = "2099-01-01T00:00:00Z";
        for (status, expected) in [
            (json!({"token": token(&sandbox)}), 1),
            (
                json!({"token": token(&sandbox), "expirationTimestamp": far}),
                1,
            ),
            // Already over: the plugin is asked for every request.
            (
                json!({"token": token(&sandbox), "expirationTimestamp": "2020-01-01T00:00:00Z"}),
                3,
            ),
        ] {
            std::fs::write(&count, "").unwrap();
            let block = exec(
                script.to_str().unwrap(),
                &[],
                &[
                    ("ANSWER", &answer(V1, status)),
                    ("COUNT", count.to_str().unwrap()),
                ],
            );
            let api = with_block(&sandbox, &block).await.unwrap();
            assert_eq!(runs(), 0, "nothing is run before it is needed");
            for _ in 0..3 {
                works(&api).await;
            }
            assert_eq!(runs(), expected);
        }
        let info = std::fs::read_to_string(files.0.path().join("count.info")).unwrap();
        let info: Json = serde_json::from_str(&info).unwrap();
        assert_eq!(
            info,
            json!({"apiVersion": V1, "kind": "ExecCredential", "spec": {"interactive": false}})
        );
    }

    #[tokio::test]
    async fn a_kubeconfigs() {
        let sandbox = with_account();
        jane(&sandbox);
        let files = Files::new();
        files.script("get-token", PRINT);
        let count = files.write("count", "");
        let certificate = sandbox.client_certificate("jane");
        let status = json!({
            "clientCertificateData": certificate.certificate,
            "clientKeyData": certificate.key,
        });
        let path = files.kubeconfig(
            &sandbox,
            json!({"exec": {
                "apiVersion": V1BETA1,
                "command": "./get-token",
                "env": [
                    {"name": "ANSWER", "value": answer(V1BETA1, status)},
                    {"name": "COUNT", "value": count},
                ],
                "provideClusterInfo": true,
            }}),
        );
        works(&with_block(&sandbox, &from_file(&path)).await.unwrap()).await;
        let info = std::fs::read_to_string(files.0.path().join("count.info")).unwrap();
        let info: Json = serde_json::from_str(&info).unwrap();
        assert_eq!(
            info["spec"]["cluster"]["server"],
            sandbox.kubernetes_endpoint()
        );
    }

    #[tokio::test]
    async fn what_can_go_wrong() {
        let sandbox = with_account();
        let files = Files::new();
        let secret = "s3cr3t-value-of-a-token";
        for (script, expected) in [
            (
                "echo you are not logged in >&2; exit 3".to_owned(),
                "you are not logged in",
            ),
            (format!("echo {secret}"), "printed no ExecCredential"),
            (
                format!("echo '{}'", answer(V1BETA1, json!({"token": secret}))),
                "v1beta1",
            ),
            (
                format!("echo '{}'", answer(V1, json!({}))),
                "neither a token nor",
            ),
            (
                format!("echo '{}'", answer(V1, json!({"token": ""}))),
                "neither a token nor",
            ),
            (
                format!("echo '{}'", answer(V1, Json::Null)),
                "without status",
            ),
            (
                format!(
                    "echo '{}'",
                    answer(V1, json!({"token": secret, "expirationTimestamp": "soon"}))
                ),
                "expirationTimestamp",
            ),
            (
                "head -c 3000000 /dev/zero".to_owned(),
                "printed more than 1 MiB",
            ),
            (
                "head -c 3000000 /dev/zero >&2; exit 4".to_owned(),
                "failed with exit status: 4",
            ),
        ] {
            let path = files.script("get-token", &script);
            let block = exec(path.to_str().unwrap(), &[], &[]);
            let api = with_block(&sandbox, &block).await.unwrap();
            let error = account(&api).await.unwrap_err();
            assert_eq!(error.kind(), KubernetesErrorKind::Configuration, "{error}");
            let text = error.to_string();
            assert!(text.contains(expected), "{expected}: {text}");
            assert!(!text.contains(secret), "{text}");
        }
        let block = exec("no-such-command-anywhere", &[], &[]);
        let api = with_block(&sandbox, &block).await.unwrap();
        let error = account(&api).await.unwrap_err();
        assert!(error.to_string().contains("cannot be started"), "{error}");

        // A stop does not wait for it.
        let path = files.script("get-token", "exec sleep 60");
        let block = exec(path.to_str().unwrap(), &[], &[]);
        let api = with_block(&sandbox, &block).await.unwrap();
        let cancel = CancellationToken::new();
        let read = api.get::<ServiceAccount>(&cancel, Some("orders"), "api");
        let (result, ()) = tokio::join!(read, async {
            tokio::time::sleep(Duration::from_millis(100)).await;
            cancel.cancel();
        });
        assert!(result.unwrap_err().is_cancelled());
    }
}
