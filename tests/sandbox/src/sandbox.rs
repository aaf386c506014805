//! The library: a sandbox inside a test.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;

use serde_json::{Map, Value, json};
use tokio::runtime::Runtime;

use crate::authority::{Authority, ClientCertificate};
use crate::credentials::CredentialReport;
use crate::endpoints::Endpoints;
use crate::faults::Fault;
use crate::journal::JournalEntry;
use crate::server::{self, Shared, now};
use crate::state::{Defaults, State};
use crate::{aws, seed};

/// What a sandbox starts with.
#[derive(Clone, Debug)]
pub struct Options {
    /// Address of the AWS side; loopback only, port 0 for any free one.
    pub listen: SocketAddr,
    /// Address of the first cluster's Kubernetes API; loopback only. Further clusters get free ports.
    pub kubernetes_listen: SocketAddr,
    /// Account of the key pair `test`/`test`: twelve digits.
    pub account_id: String,
    /// Region of the default clusters.
    pub region: String,
    /// Names of the clusters to start with, each ACTIVE.
    pub clusters: Vec<String>,
}

impl Default for Options {
    fn default() -> Self {
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        Self {
            listen: any,
            kubernetes_listen: any,
            account_id: "123456789012".into(),
            region: "us-east-1".into(),
            clusters: vec!["demo".into()],
        }
    }
}

/// Why a sandbox did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// Credentials as weak as test/test must not be reachable from elsewhere.
    #[error("{0} is not a loopback address")]
    NotLoopback(SocketAddr),
    /// A port or the runtime could not be had.
    #[error("the sandbox could not listen")]
    Io(#[from] io::Error),
    /// The certificate of the Kubernetes side could not be made.
    #[error("no certificate for the Kubernetes API: {0}")]
    Certificate(String),
    /// The options are contradictory.
    #[error("{0}")]
    Options(String),
}

/// A call that the simulated service answered with an error.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {message}")]
pub struct CallError {
    /// HTTP status.
    pub status: u16,
    /// Error code, such as `ResourceNotFoundException`.
    pub code: String,
    /// Message.
    pub message: String,
}

/// A running sandbox with state of its own. It stops when it is dropped.
///
/// It has its own threads, so a test may block, and may run with or without an async runtime.
///
/// ```
/// use podidentity_sandbox::{Fault, Options, Sandbox};
/// use serde_json::json;
///
/// let sandbox = Sandbox::start(Options::default())?;
/// // Hand sandbox.aws_endpoint() to a client with the key pair test/test, then look at what it did:
/// assert!(sandbox.requests().is_empty());
/// // Let the next two calls of CreateAddon be throttled:
/// sandbox.fault(Fault { operation: Some("CreateAddon".into()), throttle: true, count: Some(2), ..Fault::default() });
/// // Change something behind the client's back, without a trace in the journal:
/// let clusters = sandbox.call("eks", "ListClusters", json!({}))?;
/// assert_eq!(clusters["clusters"], json!(["demo"]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Sandbox {
    shared: Arc<Shared>,
    aws_endpoint: String,
    runtime: Option<Runtime>,
}

impl std::fmt::Debug for Sandbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sandbox")
            .field("aws_endpoint", &self.aws_endpoint)
            .finish_non_exhaustive()
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        // Not a plain drop, which panics inside an async test.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Sandbox {
    /// Starts a sandbox; when this returns, both sides accept connections.
    ///
    /// # Errors
    ///
    /// An address is not loopback or not free.
    pub fn start(options: Options) -> Result<Self, StartError> {
        for address in [options.listen, options.kubernetes_listen] {
            if !address.ip().is_loopback() {
                return Err(StartError::NotLoopback(address));
            }
        }
        if options.account_id.len() != 12 || !options.account_id.bytes().all(|b| b.is_ascii_digit())
        {
            return Err(StartError::Options(format!(
                "{} is not an account id of twelve digits",
                options.account_id
            )));
        }
        let listener = TcpListener::bind(options.listen)?;
        listener.set_nonblocking(true)?;
        let authority = listener.local_addr()?.to_string();
        let (tls, certificates) = Authority::new().map_err(StartError::Certificate)?;
        let (sender, receiver) = tokio::sync::mpsc::unbounded_channel();
        let endpoints = Endpoints::new(sender, options.kubernetes_listen, certificates.pem());
        let mut state = State::new(
            Defaults {
                account_id: options.account_id,
                region: options.region,
                clusters: options.clusters,
            },
            endpoints,
        );
        seed::add_default_clusters(&mut state, now()).map_err(StartError::Options)?;
        let shared = Arc::new(Shared::new(state, authority.clone(), certificates));
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("sandbox")
            .enable_all()
            .build()?;
        runtime.spawn(server::serve_aws(listener, Arc::clone(&shared)));
        runtime.spawn(server::tick(Arc::clone(&shared)));
        runtime.spawn(server::serve_clusters(receiver, tls, Arc::clone(&shared)));
        Ok(Self {
            shared,
            aws_endpoint: format!("http://{authority}"),
            runtime: Some(runtime),
        })
    }

    /// URL of the AWS side: the endpoint of EKS, IAM and STS, and of the control API.
    pub fn aws_endpoint(&self) -> &str {
        &self.aws_endpoint
    }

    /// URL of the first cluster's Kubernetes API; empty if there is no cluster. DescribeCluster tells those of the others.
    pub fn kubernetes_endpoint(&self) -> String {
        let state = self.shared.state();
        let first = state.defaults.clusters.first();
        state
            .clusters
            .values()
            .find(|c| Some(&c.key.name) == first)
            .or_else(|| state.clusters.values().next())
            .map(|c| c.endpoint.clone())
            .unwrap_or_default()
    }

    /// PEM of the authority behind every cluster's certificate.
    pub fn kubernetes_ca(&self) -> String {
        self.shared.state().endpoints.ca_pem().to_owned()
    }

    /// A client certificate for the Kubernetes API of every cluster. It stands for `user` where a cluster has a grant for that name.
    ///
    /// # Panics
    ///
    /// Never: a user's name can be any text.
    pub fn client_certificate(&self, user: &str) -> ClientCertificate {
        self.shared
            .certificates
            .issue(user)
            .expect("a name and a new key are all it takes")
    }

    /// What the binary prints as its one line: `aws_endpoint`, `kubernetes_endpoint`, `kubernetes_ca`, `account_id`, `region`, `clusters`.
    pub fn ready(&self) -> Value {
        let (endpoint, ca) = (self.kubernetes_endpoint(), self.kubernetes_ca());
        let state = self.shared.state();
        let clusters: Vec<&str> = state.clusters.keys().map(|k| k.name.as_str()).collect();
        json!({
            "aws_endpoint": self.aws_endpoint,
            "kubernetes_endpoint": endpoint,
            "kubernetes_ca": ca,
            "account_id": state.defaults.account_id,
            "region": state.defaults.region,
            "clusters": clusters,
        })
    }

    /// The journal so far, in the order of arrival. Direct calls and the control API are not in it.
    pub fn requests(&self) -> Vec<JournalEntry> {
        self.shared.state().journal.entries().to_vec()
    }

    /// Empties the journal.
    pub fn clear_requests(&self) {
        self.shared.state().journal.clear();
    }

    /// What the watcher over the credentials of pods has seen, as `GET /_sandbox/credentials` has it.
    pub fn credential_report(&self) -> CredentialReport {
        let mut state = self.shared.state();
        state.settle(now());
        state.credential_report(now())
    }

    /// Adds a rule.
    pub fn fault(&self, fault: Fault) {
        self.shared.state().add_fault(fault);
    }

    /// Removes all rules.
    pub fn clear_faults(&self) {
        self.shared.state().faults.clear();
    }

    /// Seeds, as `POST /_sandbox/seed` does; the README of the sandbox lists the fields.
    ///
    /// # Errors
    ///
    /// Says which entry is malformed; what comes before it stays applied.
    pub fn seed(&self, seed: Value) -> Result<(), String> {
        seed::apply(&mut self.shared.state(), seed, now())
    }

    /// Back to the state after the start: journal, faults and seeds are gone; ports stay.
    ///
    /// # Panics
    ///
    /// Never: the default clusters have their ports already.
    pub fn reset(&self) {
        seed::reset(&mut self.shared.state(), now())
            .expect("the default clusters were made once with these options");
    }

    /// Everything but secrets, as `GET /_sandbox/state` has it.
    pub fn state(&self) -> Value {
        self.shared.state().describe()
    }

    /// Carries out an operation in the default account and region without signature, faults or journal: the way to make drift.
    ///
    /// `parameters` are those of the API reference, path parameters included, such as `{"clusterName": "demo", "addonName": "vpc-cni"}`.
    /// The answer is the JSON body of `eks` and `eks-auth`; of `iam` and `sts` it is the XML body as a string.
    ///
    /// The service `kubernetes` takes any operation name and a request as parameters: `cluster`, `method`, `resource` (such as
    /// `deployments` or `serviceaccounts/token`), `namespace`, `name`, `query`, `media_type` (a PATCH is a merge patch without it) and
    /// `body`; the answer is the body. A code is then the reason of the `Status`.
    ///
    /// # Errors
    ///
    /// The error the service answers.
    pub fn call(
        &self,
        service: &str,
        operation: &str,
        parameters: Value,
    ) -> Result<Value, CallError> {
        let (account, region) = {
            let state = self.shared.state();
            (
                state.defaults.account_id.clone(),
                state.defaults.region.clone(),
            )
        };
        self.call_as(&account, &region, service, operation, parameters)
    }

    /// As [`Self::call`], in any account and region.
    ///
    /// # Errors
    ///
    /// The error the service answers.
    pub fn call_as(
        &self,
        account_id: &str,
        region: &str,
        service: &str,
        operation: &str,
        parameters: Value,
    ) -> Result<Value, CallError> {
        let parameters = match parameters {
            Value::Object(map) => map,
            _ => Map::new(),
        };
        aws::call(
            &mut self.shared.state(),
            account_id,
            region,
            service,
            operation,
            &parameters,
        )
        .map_err(|(status, code, message)| CallError {
            status,
            code,
            message,
        })
    }

    /// A Kubernetes object of a default-region cluster, such as `("demo", "serviceaccounts", Some("payments"), "api")`.
    pub fn kubernetes_object(
        &self,
        cluster: &str,
        resource: &str,
        namespace: Option<&str>,
        name: &str,
    ) -> Option<Value> {
        let mut state = self.shared.state();
        state.advance(now());
        state
            .clusters
            .values()
            .find(|c| c.key.name == cluster)?
            .kubernetes
            .object(resource, namespace.unwrap_or_default(), name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_and_twelve_digits() {
        let everywhere = Options {
            listen: SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
            ..Options::default()
        };
        assert!(matches!(
            Sandbox::start(everywhere),
            Err(StartError::NotLoopback(_))
        ));
        let kubernetes = Options {
            kubernetes_listen: SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
            ..Options::default()
        };
        assert!(matches!(
            Sandbox::start(kubernetes),
            Err(StartError::NotLoopback(_))
        ));
        let account = Options {
            account_id: "12".into(),
            ..Options::default()
        };
        assert!(matches!(
            Sandbox::start(account),
            Err(StartError::Options(_))
        ));
    }

    #[test]
    fn a_reset_keeps_addresses_and_forgets_the_rest() {
        let sandbox = Sandbox::start(Options::default()).unwrap();
        let endpoint = sandbox.kubernetes_endpoint();
        let association = json!({"namespace": "payments", "service_account": "api", "role_arn": "arn:aws:iam::123456789012:role/x"});
        sandbox.seed(json!({"clusters": [{"name": "demo", "associations": [association]}, {"name": "second"}]})).unwrap();
        sandbox.fault(Fault {
            throttle: true,
            ..Fault::default()
        });
        assert_eq!(
            sandbox
                .call(
                    "eks",
                    "ListPodIdentityAssociations",
                    json!({"clusterName": "demo"})
                )
                .unwrap()["associations"][0]["serviceAccount"],
            "api"
        );
        assert!(
            sandbox
                .kubernetes_object("demo", "serviceaccounts", Some("payments"), "default")
                .is_some()
        );
        sandbox.reset();
        assert_eq!(sandbox.kubernetes_endpoint(), endpoint);
        assert_eq!(sandbox.state()["faults"], json!([]));
        assert_eq!(
            sandbox
                .call(
                    "eks",
                    "ListPodIdentityAssociations",
                    json!({"clusterName": "demo"})
                )
                .unwrap()["associations"],
            json!([])
        );
        let error = sandbox
            .call("eks", "DescribeCluster", json!({"name": "second"}))
            .unwrap_err();
        assert_eq!(
            (error.status, error.code.as_str()),
            (404, "ResourceNotFoundException")
        );
        assert!(sandbox.requests().is_empty(), "direct calls leave no trace");
    }

    #[test]
    fn a_seed_with_an_unknown_field_is_refused() {
        let sandbox = Sandbox::start(Options::default()).unwrap();
        let error = sandbox
            .seed(json!({"clusters": [{"nmae": "demo"}]}))
            .unwrap_err();
        assert!(error.contains("nmae"), "{error}");
    }

    #[tokio::test]
    async fn it_starts_and_stops_inside_a_runtime() {
        let sandbox = Sandbox::start(Options::default()).unwrap();
        tokio::net::TcpStream::connect(sandbox.aws_endpoint().trim_start_matches("http://"))
            .await
            .unwrap();
        drop(sandbox);
    }
}
