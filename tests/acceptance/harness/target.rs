//! What the provider talks to: nothing, a sandbox, or an account.

use std::collections::BTreeMap;
use std::env;
use std::future::Future;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use aws_config::{AppName, BehaviorVersion, ConfigLoader, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_smithy_http_client::tls;
use podidentity_sandbox::{JournalEntry, Options, Sandbox};

use super::terraform::Workspace;

/// Every object's name starts with it; the sweeper deletes what does.
pub(crate) const NAME_PREFIX: &str = "podidentity-acc-";

/// Marks the tests' own calls in the journal.
const APP_NAME: &str = "acceptance-tests";

/// What the provider talks to.
#[derive(Debug)]
pub(crate) enum Target {
    /// An account and a cluster in it.
    Account(&'static Account),
    /// Nothing: there are no credentials.
    Offline,
    /// A sandbox of this case alone.
    Sandbox(LocalTarget),
}

/// A real account.
#[derive(Debug)]
pub(crate) struct Account {
    values: Vec<(&'static str, String)>,
}

/// A sandbox of one case.
#[derive(Debug)]
pub(crate) struct LocalTarget {
    pub(crate) sandbox: Sandbox,
    values: Vec<(&'static str, String)>,
}

/// Whether the tests are to run against an account.
pub(crate) fn account_requested() -> bool {
    env::var("TF_ACC").is_ok_and(|value| !matches!(value.as_str(), "" | "0" | "false"))
}

impl Target {
    /// The account if one is requested, else a new sandbox.
    pub(crate) fn choose() -> Self {
        if account_requested() {
            Self::Account(account())
        } else {
            Self::Sandbox(LocalTarget::start(Options::default()))
        }
    }

    /// A new sandbox in this region.
    pub(crate) fn sandbox_in(region: &str) -> Self {
        Self::Sandbox(LocalTarget::start(Options {
            region: region.into(),
            ..Options::default()
        }))
    }

    /// Gives Terraform and the provider what they need to reach the target.
    pub(crate) fn environment(&self, workspace: &mut Workspace) {
        match self {
            Self::Account(_) => {
                for (name, value) in env::vars_os() {
                    let wanted = |name: &str| {
                        name.starts_with("AWS_")
                            || ["HOME", "USERPROFILE", "SSL_CERT_FILE"].contains(&name)
                    };
                    if let Some(name) = name.to_str().filter(|name| wanted(name)) {
                        workspace.set(name, value);
                    }
                }
            }
            Self::Offline => {}
            Self::Sandbox(local) => {
                workspace
                    .set("AWS_ENDPOINT_URL", local.sandbox.aws_endpoint())
                    .set("AWS_REGION", local.value("region"))
                    .set("AWS_ACCESS_KEY_ID", "test")
                    .set("AWS_SECRET_ACCESS_KEY", "test");
            }
        }
    }

    /// The placeholders a configuration may use.
    pub(crate) fn values(&self) -> &[(&'static str, String)] {
        match self {
            Self::Account(account) => &account.values,
            Self::Offline => &[],
            Self::Sandbox(local) => &local.values,
        }
    }

    /// Whether what a test leaves behind stays there.
    pub(crate) const fn outlives_the_test(&self) -> bool {
        matches!(self, Self::Account(_))
    }

    /// The sandbox, if it is one.
    pub(crate) const fn sandbox(&self) -> Option<&Sandbox> {
        match self {
            Self::Sandbox(local) => Some(&local.sandbox),
            _ => None,
        }
    }

    /// Clients for the target.
    #[track_caller]
    pub(crate) fn aws(&self) -> Aws {
        let loader = match self {
            Self::Account(_) => loader(),
            Self::Offline => panic!("this case is offline"),
            Self::Sandbox(local) => loader()
                .endpoint_url(local.sandbox.aws_endpoint())
                .region(Region::new(local.value("region").to_owned()))
                .credentials_provider(Credentials::new("test", "test", None, None, APP_NAME)),
        };
        Aws::new(&runtime().block_on(loader.load()))
    }
}

impl LocalTarget {
    fn start(options: Options) -> Self {
        let sandbox = Sandbox::start(options).unwrap_or_else(|error| panic!("no sandbox: {error}"));
        let ready = sandbox.ready();
        let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
        let partition = match ready["region"].as_str() {
            Some(region) if region.starts_with("us-gov-") => "aws-us-gov",
            Some(region) if region.starts_with("cn-") => "aws-cn",
            _ => "aws",
        };
        let values = vec![
            ("account_id", text(&ready["account_id"])),
            ("cluster", text(&ready["clusters"][0])),
            ("endpoint", sandbox.aws_endpoint().to_owned()),
            ("partition", partition.to_owned()),
            ("region", text(&ready["region"])),
        ];
        Self { sandbox, values }
    }

    fn value(&self, name: &str) -> &str {
        self.values
            .iter()
            .find(|(found, _)| *found == name)
            .map_or("", |(_, value)| value)
    }
}

/// How often each operation was called, by `service:Operation`, without the calls of the tests themselves.
pub(crate) fn counts(journal: &[JournalEntry]) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for entry in journal
        .iter()
        .filter(|entry| !entry.user_agent.contains(APP_NAME))
    {
        *counts
            .entry(format!("{}:{}", entry.service, entry.operation))
            .or_default() += 1;
    }
    counts
}

/// AWS clients, to look at the target and to change it behind Terraform's back.
///
/// `let aws = case.aws(); aws.wait(aws.iam.delete_role().role_name(name).send());`
#[derive(Debug)]
pub(crate) struct Aws {
    pub(crate) eks: aws_sdk_eks::Client,
    pub(crate) iam: aws_sdk_iam::Client,
    pub(crate) sts: aws_sdk_sts::Client,
}

impl Aws {
    fn new(config: &SdkConfig) -> Self {
        Self {
            eks: aws_sdk_eks::Client::new(config),
            iam: aws_sdk_iam::Client::new(config),
            sts: aws_sdk_sts::Client::new(config),
        }
    }

    /// Waits for a call, which must succeed.
    #[track_caller]
    pub(crate) fn wait<T, E: std::fmt::Debug>(
        &self,
        call: impl Future<Output = Result<T, E>>,
    ) -> T {
        self.attempt(call)
            .unwrap_or_else(|error| panic!("AWS call failed: {error:?}"))
    }

    /// Waits for a call that may fail.
    pub(crate) fn attempt<T>(&self, call: impl Future<Output = T>) -> T {
        runtime().block_on(call)
    }
}

/// Held by tests that change something of which a cluster has only one, such as the agent add-on, while they use an account.
pub(crate) fn cluster_lock() -> MutexGuard<'static, ()> {
    static LOCK: Mutex<()> = Mutex::new(());
    LOCK.lock().unwrap_or_else(PoisonError::into_inner)
}

fn runtime() -> &'static tokio::runtime::Runtime {
    static RUNTIME: OnceLock<tokio::runtime::Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| {
        tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap()
    })
}

fn loader() -> ConfigLoader {
    let tls = tls::Provider::Rustls(tls::rustls_provider::CryptoMode::AwsLc);
    let client = aws_smithy_http_client::Builder::new()
        .tls_provider(tls)
        .build_https();
    aws_config::defaults(BehaviorVersion::latest())
        .http_client(client)
        .app_name(AppName::new(APP_NAME).unwrap())
}

fn account() -> &'static Account {
    static ACCOUNT: OnceLock<Account> = OnceLock::new();
    ACCOUNT.get_or_init(|| {
        let cluster = env::var("PODIDENTITY_ACC_CLUSTER").ok().filter(|cluster| !cluster.is_empty());
        let cluster = cluster.unwrap_or_else(|| panic!("TF_ACC is set, so PODIDENTITY_ACC_CLUSTER must name a cluster that these tests may change"));
        let config = runtime().block_on(loader().load());
        let region = config.region().map(ToString::to_string);
        let region = region.unwrap_or_else(|| panic!("TF_ACC is set, so AWS_REGION or a profile must say where the cluster is"));
        let aws = Aws::new(&config);
        let identity = aws.wait(aws.sts.get_caller_identity().send());
        let partition = identity.arn().and_then(|arn| arn.split(':').nth(1)).unwrap_or("aws").to_owned();
        let account_id = identity.account().unwrap_or_default().to_owned();
        Account { values: vec![("account_id", account_id), ("cluster", cluster), ("partition", partition), ("region", region)] }
    })
}
