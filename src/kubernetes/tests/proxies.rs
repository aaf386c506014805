//! Proxies on the way to a cluster.

use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::access::*;
use super::*;
use crate::cty::Value;
use crate::framework::model::Attr;

/// A proxy that knows CONNECT only; gives its address and the heads of the requests it got.
async fn connect_proxy() -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let heads = Arc::new(Mutex::new(Vec::new()));
    let keep = Arc::clone(&heads);
    tokio::spawn(async move {
        while let Ok((mut inner, _)) = listener.accept().await {
            let keep = Arc::clone(&keep);
            tokio::spawn(async move {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    head.push(inner.read_u8().await.unwrap());
                }
                let head = String::from_utf8(head).unwrap();
                let target = head.split(' ').nth(1).unwrap().to_owned();
                keep.lock().unwrap().push(head);
                let mut outer = TcpStream::connect(target).await.unwrap();
                inner.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut inner, &mut outer).await;
            });
        }
    });
    (address, heads)
}

#[tokio::test]
async fn a_proxy_sees_the_address_and_nothing_else() {
    let sandbox = with_account();
    let (address, heads) = connect_proxy().await;
    for url in [
        format!("http://{address}"),
        format!("http://user:p%40ss@{address}"),
        address.clone(),
    ] {
        heads.lock().unwrap().clear();
        let block = KubernetesConfig {
            proxy_url: Attr::Known(url.clone()),
            ..KubernetesConfig::default()
        };
        let api = with_block(&sandbox, &block).await.unwrap();
        works(&api).await;
        let heads = heads.lock().unwrap();
        assert_eq!(heads.len(), 1);
        let server = sandbox.kubernetes_endpoint().replace("https://", "");
        assert!(
            heads[0].starts_with(&format!("CONNECT {server} ")),
            "{heads:?}"
        );
        assert!(!heads[0].contains("k8s-aws-v1"));
        let expected = BASE64.encode("user:p@ss");
        assert_eq!(heads[0].contains(&expected), url.contains('@'), "{heads:?}");
        assert!(!format!("{api:?}").contains("p%40ss"));
    }
}

/// A SOCKS 5 proxy (RFC 1928, 1929) without password or with `user` and `p@ss`; gives its address and the names and ports
/// it was asked for.
async fn socks_proxy(password: bool) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let targets = Arc::new(Mutex::new(Vec::new()));
    let keep = Arc::clone(&targets);
    tokio::spawn(async move {
        while let Ok((mut inner, _)) = listener.accept().await {
            let keep = Arc::clone(&keep);
            tokio::spawn(async move {
                let read = async |stream: &mut TcpStream, length: usize| {
                    let mut bytes = vec![0; length];
                    stream.read_exact(&mut bytes).await.unwrap();
                    bytes
                };
                let methods = read(&mut inner, 2).await[1];
                read(&mut inner, methods.into()).await;
                let method = if password { 2 } else { 0 };
                inner.write_all(&[5, method]).await.unwrap();
                if password {
                    let length = read(&mut inner, 2).await[1];
                    assert_eq!(read(&mut inner, length.into()).await, b"user");
                    let length = read(&mut inner, 1).await[0];
                    assert_eq!(read(&mut inner, length.into()).await, b"p@ss");
                    inner.write_all(&[1, 0]).await.unwrap();
                }
                let host = match read(&mut inner, 4).await[3] {
                    1 => {
                        let ip: [u8; 4] = read(&mut inner, 4).await.try_into().unwrap();
                        std::net::Ipv4Addr::from(ip).to_string()
                    }
                    _ => {
                        let length = read(&mut inner, 1).await[0];
                        String::from_utf8(read(&mut inner, length.into()).await).unwrap()
                    }
                };
                let port = inner.read_u16().await.unwrap();
                let target = format!("{host}:{port}");
                let mut outer = TcpStream::connect(&target).await.unwrap();
                keep.lock().unwrap().push(target);
                inner
                    .write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0])
                    .await
                    .unwrap();
                let _ = tokio::io::copy_bidirectional(&mut inner, &mut outer).await;
            });
        }
    });
    (address, targets)
}

/// The proxy looks names up, which may be known only there.
#[tokio::test]
async fn a_socks_proxy() {
    let sandbox = with_account();
    for (scheme, user, password) in [
        ("socks5", "", false),
        ("socks5h", "", false),
        ("socks5", "user:p%40ss@", true),
    ] {
        let (address, targets) = socks_proxy(password).await;
        let host = sandbox
            .kubernetes_endpoint()
            .replace("127.0.0.1", "localhost");
        let block = KubernetesConfig {
            host: Attr::Known(host.clone()),
            cluster_ca_certificate: Attr::Known(sandbox.kubernetes_ca()),
            proxy_url: Attr::Known(format!("{scheme}://{user}{address}")),
            ..KubernetesConfig::default()
        };
        let api = with_block(&sandbox, &block).await.unwrap();
        works(&api).await;
        assert_eq!(*targets.lock().unwrap(), [host.replace("https://", "")]);
    }
    let (_taken, address) = crate::provider::tests::refusing_address();
    let block = KubernetesConfig {
        proxy_url: Attr::Known(format!("socks5://{address}")),
        ..KubernetesConfig::default()
    };
    let data = data_for(&sandbox, &[("max_retries", 0.into())]).await;
    let found = data.cluster(&never(), "demo").await;
    let api = reach::cluster_api(&block, "demo", found, data.clients(), None).unwrap();
    let error = account(&api).await.unwrap_err();
    assert_eq!(error.kind(), KubernetesErrorKind::Unavailable, "{error}");
}

/// A proxy that itself has TLS: its certificate is checked against the provider's bundle, the server's against the
/// cluster's CA.
#[tokio::test]
async fn a_proxy_with_tls() {
    use rustls::pki_types::PrivateKeyDer;
    let sandbox = with_account();
    let (plain, heads) = connect_proxy().await;
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let server = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(server));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(mut outer) = acceptor.accept(stream).await else {
                continue;
            };
            let mut inner = TcpStream::connect(&plain).await.unwrap();
            tokio::spawn(
                async move { tokio::io::copy_bidirectional(&mut outer, &mut inner).await },
            );
        }
    });
    let block = KubernetesConfig {
        proxy_url: Attr::Known(format!("https://localhost:{port}")),
        ..KubernetesConfig::default()
    };
    let files = Files::new();
    let bundle = files.write("bundle.pem", &made.cert.pem());
    for (bundle, accepted) in [(Some(bundle), true), (None, false)] {
        let entries: Vec<_> = bundle
            .iter()
            .map(|path| ("custom_ca_bundle", Value::from(path.display().to_string())))
            .collect();
        let data = data_for(&sandbox, &entries).await;
        let found = data.cluster(&never(), "demo").await;
        let api = reach::cluster_api(&block, "demo", found, data.clients(), None).unwrap();
        heads.lock().unwrap().clear();
        let result = account(&api).await;
        assert_eq!(result.is_ok(), accepted, "{result:?}");
        if let Err(error) = result {
            let detail = error.into_diagnostic("s", "", "").detail;
            assert!(detail.contains("custom_ca_bundle"), "{detail}");
        }
        assert_eq!(heads.lock().unwrap().len(), usize::from(accepted));
    }
}

#[tokio::test]
async fn https_proxy_is_used_unless_no_proxy_excludes_the_server() {
    use crate::aws::settings::HttpSettings;
    let endpoint = "https://0123456789ABCDEF0123456789ABCDEF.gr7.us-east-1.eks.amazonaws.com";
    for (no_proxy, server, expected) in [
        (None, endpoint, true),
        (Some(".eks.amazonaws.com"), endpoint, false),
        (Some("10.0.0.0/8"), "https://10.1.2.3", false),
        (Some("10.0.0.0/8"), endpoint, true),
        (None, "https://127.0.0.1:6443", false),
    ] {
        let settings = HttpSettings {
            https_proxy: Some("http://proxy.example:3128".to_owned()),
            no_proxy: no_proxy.map(ToOwned::to_owned),
            ..HttpSettings::default()
        };
        let proxy = reach::environment_proxy(&settings, &server.parse().unwrap());
        assert_eq!(proxy.is_some(), expected, "{no_proxy:?} {server}");
    }
}
