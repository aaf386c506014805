//! The plugin process from outside, with a client that plays go-plugin: it starts the process as core does, reads the
//! handshake line, and talks to the socket with the certificate that it pinned.
//!
//! Most tests run the real binary. Those that need a service with a certain behaviour run this test program again, with
//! [`CHILD`] set.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "tests")]

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{ExitStatus, Output, Stdio},
    sync::Arc,
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
use hyper_util::rt::TokioIo;
use podidentity::{
    plugin::{self, Options, catch_panic},
    proto::{
        plugin::{
            Empty, grpc_controller_client::GrpcControllerClient, grpc_stdio_client::GrpcStdioClient,
        },
        tfplugin6::{
            Diagnostic, DynamicValue, provider_client::ProviderClient, provider_server::Provider,
            read_data_source, read_resource, stop_provider, validate_resource_config,
        },
    },
};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, KeyPair, PKCS_ECDSA_P521_SHA512};
use rustls::{
    ClientConfig, RootCertStore, SupportedProtocolVersion,
    client::ResolvesClientCert,
    crypto::{CryptoProvider, aws_lc_rs},
    pki_types::{CertificateDer, PrivateKeyDer, ServerName},
    sign::CertifiedKey,
    version::{TLS12, TLS13},
};
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::UnixStream,
    process::{Child, ChildStdout, Command},
    task::JoinHandle,
    time::timeout,
};
use tokio_rustls::TlsConnector;
use tonic::{
    Code, Request, Response, Status,
    transport::{Channel, Endpoint},
};
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};

const COOKIE: &str = "d602bf8f470bc67ca7faa0386276bbdd4330efaf76d1a219cb4d6991ca9872b2";

/// Runs the named behaviour of [`child_process`]: `serve` or `debug`.
const CHILD: &str = "PODIDENTITY_TEST_CHILD";

/// Time to end in. Core waits two seconds after Shutdown, but has the machine to itself more often than a test.
const EXIT_TIME: Duration = Duration::from_secs(10);

/// No step takes this long; a test that hangs should say where.
const PATIENCE: Duration = Duration::from_secs(20);

// ---- The processes

/// The binary, with an environment that has only what go-plugin sets.
fn binary() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_terraform-provider-podidentity"));
    command.env_clear();
    prepare(command)
}

/// This test program as a provider with the behaviour of [`TestProvider`].
fn child(behaviour: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.env_clear().env(CHILD, behaviour).args([
        "--exact",
        "child_process",
        "--nocapture",
        "--test-threads=2",
    ]);
    prepare(command)
}

fn prepare(mut command: Command) -> Command {
    command
        .kill_on_drop(true)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// Not a test: the provider that [`child`] runs.
#[test]
fn child_process() {
    let Ok(behaviour) = std::env::var(CHILD) else {
        return;
    };
    let arguments = (behaviour == "debug").then(|| "-debug".to_owned());
    let options = Options {
        provider_address: "registry.terraform.io/podidentity/podidentity",
        version: "1.2.3-test",
    };
    plugin::run(arguments, TestProvider, options);
    std::process::exit(0);
}

/// Echoes, and panics on request.
struct TestProvider;

#[tonic::async_trait]
impl Provider for TestProvider {
    async fn read_resource(
        &self,
        request: Request<read_resource::Request>,
    ) -> Result<Response<read_resource::Response>, Status> {
        let request = request.into_inner();
        assert_ne!(request.type_name, "panics", "boom: nobody caught it");
        Ok(Response::new(read_resource::Response {
            new_state: request.current_state,
            ..Default::default()
        }))
    }

    async fn read_data_source(
        &self,
        _request: Request<read_data_source::Request>,
    ) -> Result<Response<read_data_source::Response>, Status> {
        let caught = catch_panic("ReadDataSource", async {
            tokio::task::yield_now().await;
            panic!("boom: caught, secret_key=hunter2");
        })
        .await;
        let diagnostic = Diagnostic {
            detail: caught.unwrap_err().to_string(),
            ..Default::default()
        };
        Ok(Response::new(read_data_source::Response {
            diagnostics: vec![diagnostic],
            ..Default::default()
        }))
    }
}

/// A started provider that has said where it is.
struct Plugin {
    process: Child,
    stdout: BufReader<ChildStdout>,
    /// What it writes to stderr, read all along, so that a full pipe does not hold it up.
    stderr: JoinHandle<String>,
    fields: Vec<String>,
    /// Parent of its socket's directory.
    socket_dir: tempfile::TempDir,
}

impl Plugin {
    /// Starts `command` the way core does; `identity` is the client's.
    async fn start(mut command: Command, identity: Option<&Identity>) -> Self {
        let socket_dir = tempfile::tempdir().unwrap();
        command
            .env("TF_PLUGIN_MAGIC_COOKIE", COOKIE)
            .env("PLUGIN_PROTOCOL_VERSIONS", "5,6")
            .env("PLUGIN_MIN_PORT", "10000")
            .env("PLUGIN_MAX_PORT", "25000")
            .env("PLUGIN_UNIX_SOCKET_DIR", socket_dir.path());
        if let Some(identity) = identity {
            command.env("PLUGIN_CLIENT_CERT", &identity.pem);
        }
        let mut process = command.spawn().unwrap();
        let mut stdout = BufReader::new(process.stdout.take().unwrap());
        let mut pipe = process.stderr.take().unwrap();
        let stderr = tokio::spawn(async move {
            let mut text = String::new();
            pipe.read_to_string(&mut text).await.unwrap();
            text
        });
        let line = loop {
            let mut line = String::new();
            let read = timeout(PATIENCE, stdout.read_line(&mut line))
                .await
                .unwrap()
                .unwrap();
            assert_ne!(read, 0, "no handshake line");
            // The test harness of a child may print before it.
            if let Some(at) = line.find("1|6|") {
                assert!(line.ends_with('\n'));
                break line[at..].trim_end().to_owned();
            }
        };
        Self {
            process,
            stdout,
            stderr,
            fields: line.split('|').map(ToOwned::to_owned).collect(),
            socket_dir,
        }
    }

    fn socket(&self) -> &Path {
        Path::new(&self.fields[3])
    }

    /// The certificate of the handshake line.
    fn certificate(&self) -> CertificateDer<'static> {
        CertificateDer::from(STANDARD_NO_PAD.decode(&self.fields[5]).unwrap())
    }

    async fn plaintext(&self) -> Channel {
        plaintext(self.socket()).await
    }

    /// A channel as `client` opens it. Connects with the first call.
    fn tls(&self, client: &Client) -> Channel {
        let config = client.config(self.certificate());
        let socket = self.socket().to_owned();
        Endpoint::from_static("http://localhost").connect_with_connector_lazy(tower::service_fn(
            move |_| {
                let (socket, config) = (socket.clone(), config.clone());
                async move {
                    let stream = UnixStream::connect(socket).await?;
                    let name = ServerName::try_from("localhost").unwrap();
                    let stream = TlsConnector::from(config).connect(name, stream).await?;
                    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
                    Ok::<_, std::io::Error>(TokioIo::new(stream))
                }
            },
        ))
    }

    fn signal(&self, name: &str) {
        let pid = self.process.id().expect("it still runs");
        let kill = format!("kill -{name} {pid}");
        let status = std::process::Command::new("sh")
            .args(["-c", &kill])
            .status();
        assert!(status.unwrap().success(), "{kill}");
    }

    /// Waits for the exit. Gives the status, and what was on stdout after the handshake line.
    async fn exit(&mut self) -> (ExitStatus, String) {
        let status = timeout(EXIT_TIME, self.process.wait())
            .await
            .expect("the process does not end")
            .unwrap();
        let mut rest = String::new();
        self.stdout.read_to_string(&mut rest).await.unwrap();
        (status, rest)
    }

    /// All it wrote to stderr, once it has ended.
    async fn stderr(&mut self) -> String {
        timeout(PATIENCE, &mut self.stderr).await.unwrap().unwrap()
    }

    /// Paths left in the socket's parent directory.
    fn left_behind(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.socket_dir.path()).unwrap();
        entries.map(|entry| entry.unwrap().path()).collect()
    }
}

async fn plaintext(socket: &Path) -> Channel {
    let socket = socket.to_owned();
    Endpoint::from_static("http://localhost").connect_with_connector_lazy(tower::service_fn(
        move |_| {
            let socket = socket.clone();
            async move { Ok::<_, std::io::Error>(TokioIo::new(UnixStream::connect(socket).await?)) }
        },
    ))
}

/// Asks the health service, as the go-plugin guide describes.
async fn healthy(channel: Channel) -> Result<(), Status> {
    let request = HealthCheckRequest {
        service: "plugin".to_owned(),
    };
    let answer = timeout(PATIENCE, HealthClient::new(channel).check(request))
        .await
        .expect("an answer or an error")?;
    assert_eq!(answer.into_inner().status(), ServingStatus::Serving);
    Ok(())
}

async fn shut_down(channel: Channel) {
    let mut controller = GrpcControllerClient::new(channel);
    timeout(PATIENCE, controller.shutdown(Empty {}))
        .await
        .unwrap()
        .unwrap();
}

// ---- The client's side of AutoMTLS

/// A key and a certificate as go-plugin makes them: P-521, self-signed, and a CA.
struct Identity {
    certificate: CertificateDer<'static>,
    key: PrivateKeyDer<'static>,
    pem: String,
}

impl Identity {
    fn new() -> Self {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P521_SHA512).unwrap();
        let mut params = CertificateParams::new(["localhost".to_owned()]).unwrap();
        params
            .distinguished_name
            .push(DnType::CommonName, "localhost");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).unwrap();
        Self {
            certificate: certificate.der().clone(),
            key: PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
            pem: certificate.pem(),
        }
    }
}

/// What a client presents.
struct Client<'a> {
    certificate: Option<&'a CertificateDer<'static>>,
    key: &'a PrivateKeyDer<'static>,
    version: &'static SupportedProtocolVersion,
}

impl<'a> Client<'a> {
    fn of(identity: &'a Identity) -> Self {
        Self {
            certificate: Some(&identity.certificate),
            key: &identity.key,
            version: &TLS13,
        }
    }

    fn config(&self, pinned: CertificateDer<'static>) -> Arc<ClientConfig> {
        let crypto = Arc::new(aws_lc_rs::default_provider());
        let mut roots = RootCertStore::empty();
        roots.add(pinned).unwrap();
        let builder = ClientConfig::builder_with_provider(Arc::clone(&crypto))
            .with_protocol_versions(&[self.version])
            .unwrap()
            .with_root_certificates(roots);
        let mut config = match self.certificate {
            None => builder.with_no_client_auth(),
            Some(certificate) => builder.with_client_cert_resolver(Arc::new(Presents::new(
                certificate,
                self.key,
                &crypto,
            ))),
        };
        config.alpn_protocols = vec![b"h2".to_vec()];
        Arc::new(config)
    }
}

/// Presents a certificate without checking that the key belongs to it.
#[derive(Debug)]
struct Presents(Arc<CertifiedKey>);

impl Presents {
    fn new(
        certificate: &CertificateDer<'static>,
        key: &PrivateKeyDer<'static>,
        crypto: &CryptoProvider,
    ) -> Self {
        let key = crypto
            .key_provider
            .load_private_key(key.clone_key())
            .unwrap();
        Self(Arc::new(CertifiedKey::new(vec![certificate.clone()], key)))
    }
}

impl ResolvesClientCert for Presents {
    fn resolve(&self, _: &[&[u8]], _: &[rustls::SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }

    fn has_certs(&self) -> bool {
        true
    }
}

// ---- Starting by hand

async fn output(mut command: Command) -> Output {
    timeout(PATIENCE, command.output()).await.unwrap().unwrap()
}

#[tokio::test]
async fn by_hand_it_explains_itself() {
    for (name, cookie) in [("no cookie", None), ("wrong cookie", Some("d602"))] {
        let mut command = binary();
        command.envs(cookie.map(|cookie| ("TF_PLUGIN_MAGIC_COOKIE", cookie)));
        let output = output(command).await;
        assert_eq!(output.status.code(), Some(1), "{name}");
        assert_eq!(
            output.stdout, b"",
            "{name}: stdout belongs to the handshake"
        );
        let text = String::from_utf8(output.stderr).unwrap();
        for part in ["Terraform provider", "terraform init", "-debug"] {
            assert!(text.contains(part), "{name}: no {part:?} in {text}");
        }
    }
}

#[tokio::test]
async fn version_and_usage() {
    let version = format!(
        "terraform-provider-podidentity {}\n",
        env!("CARGO_PKG_VERSION")
    );
    for (argument, code, stdout) in [
        ("-version", 0, version.as_str()),
        ("--version", 0, version.as_str()),
        ("-nonsense", 2, ""),
    ] {
        let mut command = binary();
        command.arg(argument);
        let output = output(command).await;
        assert_eq!(output.status.code(), Some(code), "{argument}");
        assert_eq!(
            String::from_utf8(output.stdout).unwrap(),
            stdout,
            "{argument}"
        );
        assert_eq!(output.stderr.is_empty(), code == 0, "{argument}");
    }
}

#[tokio::test]
async fn a_certificate_that_is_none_is_no_reason_for_plaintext() {
    let mut command = binary();
    command
        .env("TF_PLUGIN_MAGIC_COOKIE", COOKIE)
        .env("PLUGIN_CLIENT_CERT", "nonsense");
    let output = output(command).await;
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(output.stdout, b"");
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.contains("PLUGIN_CLIENT_CERT"), "{text}");
}

// ---- One run

#[tokio::test]
async fn one_run_with_tls() {
    let identity = Identity::new();
    let mut plugin = Plugin::start(binary(), Some(&identity)).await;

    assert_eq!(plugin.fields.len(), 6, "{:?}", plugin.fields);
    assert_eq!(plugin.fields[..3], ["1", "6", "unix"]);
    assert_eq!(plugin.fields[4], "grpc");
    assert!(plugin.socket().starts_with(plugin.socket_dir.path()));
    let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(plugin.socket()), 0o600);
    assert_eq!(mode(plugin.socket().parent().unwrap()), 0o700);

    let channel = plugin.tls(&Client::of(&identity));
    healthy(channel.clone()).await.unwrap();
    // The stream go-plugin opens at once stays silent, and must not keep the process from ending.
    let mut stdio = GrpcStdioClient::new(channel.clone())
        .stream_stdio(())
        .await
        .unwrap()
        .into_inner();
    // Any answer shows that the service is there; which one is not this test's matter.
    let stopped = ProviderClient::new(channel.clone())
        .stop_provider(stop_provider::Request {})
        .await;
    assert!(
        stopped.as_ref().map_or_else(Status::code, |_| Code::Ok) != Code::Unavailable,
        "{stopped:?}"
    );
    healthy(channel.clone())
        .await
        .expect("StopProvider leaves the server up");

    shut_down(channel).await;
    let (status, rest) = plugin.exit().await;
    assert_eq!(status.code(), Some(0));
    assert_eq!(rest, "", "stdout after the handshake line");
    assert_eq!(plugin.left_behind(), [] as [PathBuf; 0]);
    assert!(
        !matches!(stdio.message().await, Ok(Some(_))),
        "output on the stdio stream"
    );
    assert_eq!(plugin.stderr().await, "", "no log without TF_LOG");
}

#[tokio::test]
async fn plaintext_only_when_no_certificate_was_offered() {
    let mut command = binary();
    command.env("PLUGIN_MULTIPLEX_GRPC", "true");
    let mut plugin = Plugin::start(command, None).await;
    assert_eq!(
        plugin.fields[5..],
        ["", "false"],
        "certificate, multiplexing"
    );
    healthy(plugin.plaintext().await).await.unwrap();
    shut_down(plugin.plaintext().await).await;
    assert_eq!(plugin.exit().await.0.code(), Some(0));

    let identity = Identity::new();
    let plugin = Plugin::start(binary(), Some(&identity)).await;
    healthy(plugin.plaintext().await)
        .await
        .expect_err("plaintext although a certificate was offered");
    healthy(plugin.tls(&Client::of(&identity))).await.unwrap();
}

#[tokio::test]
async fn only_the_holder_of_the_pinned_certificate_and_its_key_gets_in() {
    let (pinned, other) = (Identity::new(), Identity::new());
    let mut command = binary();
    command.env("TF_LOG", "TRACE");
    let mut plugin = Plugin::start(command, Some(&pinned)).await;
    let mut refused = 0;
    for version in [&TLS13, &TLS12] {
        let cases = [
            ("pinned", Some(&pinned.certificate), &pinned.key, true),
            ("no certificate", None, &pinned.key, false),
            (
                "another certificate",
                Some(&other.certificate),
                &other.key,
                false,
            ),
            (
                "the certificate without its key",
                Some(&pinned.certificate),
                &other.key,
                false,
            ),
        ];
        for (name, certificate, key, allowed) in cases {
            let client = Client {
                certificate,
                key,
                version,
            };
            let answer = healthy(plugin.tls(&client)).await;
            assert_eq!(answer.is_ok(), allowed, "{name}, {version:?}: {answer:?}");
            refused += usize::from(!allowed);
        }
    }
    shut_down(plugin.tls(&Client::of(&pinned))).await;
    assert_eq!(plugin.exit().await.0.code(), Some(0));

    // What core sees of it.
    let log = plugin.stderr().await;
    let entries: Vec<Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line}")))
        .collect();
    for entry in &entries {
        for key in ["@level", "@message", "@timestamp", "@module"] {
            assert!(entry[key].is_string(), "{key} in {entry}");
        }
        let timestamp = entry["@timestamp"].as_str().unwrap();
        assert_eq!(
            timestamp.len(),
            "2026-08-21T10:15:30.123456Z".len(),
            "{timestamp}"
        );
    }
    let refusals = entries
        .iter()
        .filter(|entry| entry["@level"] == "warn" && entry["@module"] == "sdk.proto")
        .filter(|entry| {
            entry["@message"]
                .as_str()
                .unwrap()
                .starts_with("refused a connection")
        })
        .count();
    assert_eq!(refusals, refused, "{log}");
}

#[tokio::test]
async fn peers_that_say_nothing_hold_up_nobody() {
    let identity = Identity::new();
    let plugin = Plugin::start(binary(), Some(&identity)).await;
    // A reattaching go-plugin client dials and hangs up.
    drop(UnixStream::connect(plugin.socket()).await.unwrap());
    let silent = UnixStream::connect(plugin.socket()).await.unwrap();
    let mut noisy = UnixStream::connect(plugin.socket()).await.unwrap();
    noisy.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    healthy(plugin.tls(&Client::of(&identity))).await.unwrap();
    drop((silent, noisy));
    healthy(plugin.tls(&Client::of(&identity))).await.unwrap();
}

// ---- Signals

#[tokio::test]
async fn signals() {
    let identity = Identity::new();
    let mut plugin = Plugin::start(binary(), Some(&identity)).await;
    plugin.signal("INT");
    plugin.signal("INT");
    healthy(plugin.tls(&Client::of(&identity)))
        .await
        .expect("Ctrl-C is core's to handle");
    plugin.signal("TERM");
    assert_eq!(plugin.exit().await.0.code(), Some(128 + 15));
    assert_eq!(plugin.left_behind(), [] as [PathBuf; 0]);

    // Under nohup core lives on after the terminal is gone, and needs the provider.
    let mut plugin = Plugin::start(binary(), Some(&identity)).await;
    plugin.signal("HUP");
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    healthy(plugin.tls(&Client::of(&identity)))
        .await
        .expect("the provider ends with core, not before");
    plugin.signal("TERM");
    assert_eq!(plugin.exit().await.0.code(), Some(128 + 15));
    assert_eq!(plugin.left_behind(), [] as [PathBuf; 0]);
}

// ---- Messages and panics

fn read(type_name: &str, state: Vec<u8>) -> read_resource::Request {
    read_resource::Request {
        type_name: type_name.to_owned(),
        current_state: Some(DynamicValue {
            msgpack: state,
            json: Vec::new(),
        }),
        ..Default::default()
    }
}

#[tokio::test]
async fn messages_larger_than_grpcs_default_pass_both_ways() {
    let identity = Identity::new();
    let large: Vec<u8> = (0..9_u32 << 20).map(|i| i.to_le_bytes()[1]).collect();

    let plugin = Plugin::start(child("serve"), Some(&identity)).await;
    let mut client = ProviderClient::new(plugin.tls(&Client::of(&identity)))
        .max_decoding_message_size(256 << 20)
        .max_encoding_message_size(256 << 20);
    let request = read("echo", large.clone());
    let answer = timeout(PATIENCE, client.read_resource(request))
        .await
        .unwrap()
        .unwrap();
    let state = answer.into_inner().new_state.unwrap().msgpack;
    assert!(state == large, "{} bytes came back", state.len());

    // The provider itself reads such a request, whatever it then answers.
    let plugin = Plugin::start(binary(), Some(&identity)).await;
    let mut client = ProviderClient::new(plugin.tls(&Client::of(&identity)));
    let request = validate_resource_config::Request {
        type_name: "podidentity_none".to_owned(),
        config: read("", large).current_state,
        ..Default::default()
    };
    let answer = timeout(PATIENCE, client.validate_resource_config(request))
        .await
        .unwrap();
    let code = answer.as_ref().map_or_else(Status::code, |_| Code::Ok);
    assert!(matches!(code, Code::Ok | Code::Unimplemented), "{code:?}");
}

#[tokio::test]
async fn a_panic_is_reported_as_a_crash_and_ends_only_its_call() {
    let identity = Identity::new();
    let mut plugin = Plugin::start(child("serve"), Some(&identity)).await;
    let client = || ProviderClient::new(plugin.tls(&Client::of(&identity)));

    let caught = client()
        .read_data_source(read_data_source::Request::default())
        .await
        .unwrap();
    assert_eq!(
        caught.into_inner().diagnostics[0].detail,
        "ReadDataSource panicked: boom: caught, secret_key=***"
    );
    client()
        .read_resource(read("panics", Vec::new()))
        .await
        .unwrap_err();
    client()
        .read_resource(read("echo", Vec::new()))
        .await
        .expect("the server is still there");

    shut_down(plugin.tls(&Client::of(&identity))).await;
    plugin.exit().await;
    let stderr = plugin.stderr().await;
    // Core looks for lines that begin so.
    let panics: Vec<&str> = stderr
        .lines()
        .filter(|line| line.starts_with("panic: "))
        .collect();
    assert_eq!(panics.len(), 2, "{stderr}");
    assert_eq!(panics[0], "panic: boom: caught, secret_key=***");
    assert!(panics[1].starts_with("panic: assertion"), "{}", panics[1]);
    for part in [
        "nobody caught it",
        "tests/plugin_process.rs:",
        "1.2.3-test",
        "backtrace:",
        "read_resource",
    ] {
        assert!(stderr.contains(part), "no {part:?} in {stderr}");
    }
    assert!(!stderr.contains("hunter2"), "{stderr}");
}

// ---- Debug servers

/// Checks the value of `TF_REATTACH_PROVIDERS` and gives the socket's path.
fn attach(json: &str, pid: u32) -> PathBuf {
    let setting: Value = serde_json::from_str(json).unwrap();
    let provider = &setting["registry.terraform.io/podidentity/podidentity"];
    let path = provider["Addr"]["String"].as_str().unwrap();
    let expected = serde_json::json!({
        "Protocol": "grpc", "ProtocolVersion": 6, "Pid": pid, "Test": true,
        "Addr": { "Network": "unix", "String": path },
    });
    assert_eq!(provider, &expected);
    path.into()
}

#[tokio::test]
async fn a_debug_process_serves_until_interrupted() {
    let parent = tempfile::tempdir().unwrap();
    // A socket's path is short; the temporary directory of a CI job is not always.
    let deep = parent.path().join("d".repeat(120));
    fs::create_dir(&deep).unwrap();
    let shallow = parent.path().join("d");
    fs::create_dir(&shallow).unwrap();
    for (temp, socket_parent) in [(&shallow, shallow.as_path()), (&deep, Path::new("/tmp"))] {
        debug_until_interrupted(temp, socket_parent).await;
    }
}

/// One debug process with `temp` as its temporary directory and its socket in a directory below `socket_parent`.
async fn debug_until_interrupted(temp: &Path, socket_parent: &Path) {
    let mut command = binary();
    command.arg("-debug").env("TMPDIR", temp);
    let mut process = command.spawn().unwrap();
    let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
    let socket = loop {
        let line = timeout(PATIENCE, lines.next_line()).await.unwrap().unwrap();
        let line = line.expect("the setting is printed");
        if let Some(json) = line.strip_prefix("TF_REATTACH_PROVIDERS='") {
            break attach(json.strip_suffix('\'').unwrap(), process.id().unwrap());
        }
        assert!(
            line.is_empty() || line.starts_with('#'),
            "not a comment: {line}"
        );
    };
    assert_eq!(socket.parent().unwrap().parent(), Some(socket_parent));
    // A first run ends; the server does not.
    healthy(plaintext(&socket).await).await.unwrap();
    shut_down(plaintext(&socket).await).await;
    healthy(plaintext(&socket).await)
        .await
        .expect("Shutdown does not end a debug server");

    let kill = format!("kill -INT {}", process.id().unwrap());
    assert!(
        std::process::Command::new("sh")
            .args(["-c", &kill])
            .status()
            .unwrap()
            .success()
    );
    let status = timeout(EXIT_TIME, process.wait()).await.unwrap().unwrap();
    assert_eq!(status.code(), Some(0));
    assert_eq!(fs::read_dir(temp).unwrap().count(), 0, "left behind");
    assert!(!socket.parent().unwrap().exists(), "left behind");
}

#[tokio::test]
async fn a_debug_server_in_this_process() {
    let server = plugin::serve_debug(
        TestProvider,
        "registry.terraform.io/podidentity/podidentity",
    )
    .await
    .unwrap();
    let socket = attach(&server.reattach_json(), std::process::id());
    let channel = Endpoint::from_shared(server.uri())
        .unwrap()
        .connect()
        .await
        .unwrap();
    healthy(channel.clone()).await.unwrap();
    shut_down(channel.clone()).await;
    let echo = ProviderClient::new(channel)
        .read_resource(read("echo", vec![0xc0]))
        .await
        .unwrap();
    assert_eq!(echo.into_inner().new_state.unwrap().msgpack, [0xc0]);

    server.shutdown().await.unwrap();
    assert!(!socket.exists(), "the socket is still there");

    let dropped = plugin::serve_debug(
        TestProvider,
        "registry.terraform.io/podidentity/podidentity",
    )
    .await
    .unwrap();
    let socket = attach(&dropped.reattach_json(), std::process::id());
    drop(dropped);
    timeout(PATIENCE, async {
        while socket.exists() {
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("a dropped server takes its socket along");
}
