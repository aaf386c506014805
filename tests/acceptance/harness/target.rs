//! What the provider talks to: nothing, a sandbox, or an account.

use std::env;
use std::future::Future;
use std::sync::OnceLock;

use aws_config::{BehaviorVersion, SdkConfig};

use super::terraform::Workspace;

/// Every object's name starts with it; the sweeper deletes what does.
pub(crate) const NAME_PREFIX: &str = "podidentity-acc-";

/// What the provider talks to.
#[derive(Debug)]
pub(crate) enum Target {
    /// An account and a cluster in it.
    Account(&'static Account),
    /// Nothing: there are no credentials.
    Offline,
}

/// A real account.
#[derive(Debug)]
pub(crate) struct Account {
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
            Self::Offline
        }
    }

    /// Gives Terraform and the provider what they need to reach the target.
    pub(crate) fn environment(&self, workspace: &mut Workspace) {
        match self {
            Self::Account(_) => {
                for (name, value) in env::vars_os() {
                    if let Some(name) = name.to_str().filter(|name| {
                        name.starts_with("AWS_")
                            || matches!(*name, "HOME" | "USERPROFILE" | "SSL_CERT_FILE")
                    }) {
                        workspace.set(name, value);
                    }
                }
            }
            Self::Offline => {}
        }
    }

    /// The placeholders a configuration may use.
    pub(crate) fn values(&self) -> &[(&'static str, String)] {
        match self {
            Self::Account(account) => &account.values,
            Self::Offline => &[],
        }
    }

    /// Whether what a test leaves behind stays there.
    pub(crate) const fn outlives_the_test(&self) -> bool {
        matches!(self, Self::Account(_))
    }

    /// Clients for the target.
    #[track_caller]
    pub(crate) fn aws(&self) -> Aws {
        match self {
            Self::Account(_) => {
                Aws::new(runtime().block_on(aws_config::load_defaults(BehaviorVersion::latest())))
            }
            Self::Offline => panic!("this case is offline"),
        }
    }
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
    fn new(config: SdkConfig) -> Self {
        Self {
            eks: aws_sdk_eks::Client::new(&config),
            iam: aws_sdk_iam::Client::new(&config),
            sts: aws_sdk_sts::Client::new(&config),
        }
    }

    /// Waits for a call, which must succeed.
    #[track_caller]
    pub(crate) fn wait<T, E: std::fmt::Debug>(
        &self,
        call: impl Future<Output = Result<T, E>>,
    ) -> T {
        runtime()
            .block_on(call)
            .unwrap_or_else(|error| panic!("AWS call failed: {error:?}"))
    }

    /// Waits for a call that may fail.
    pub(crate) fn attempt<T>(&self, call: impl Future<Output = T>) -> T {
        runtime().block_on(call)
    }
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

fn account() -> &'static Account {
    static ACCOUNT: OnceLock<Account> = OnceLock::new();
    ACCOUNT.get_or_init(|| {
        let cluster = env::var("PODIDENTITY_ACC_CLUSTER").ok().filter(|cluster| !cluster.is_empty()).unwrap_or_else(|| {
            panic!("TF_ACC is set, so PODIDENTITY_ACC_CLUSTER must name a cluster that these tests may change")
        });
        let config = runtime().block_on(aws_config::load_defaults(BehaviorVersion::latest()));
        let region = config.region().unwrap_or_else(|| panic!("TF_ACC is set, so AWS_REGION or a profile must say where the cluster is")).to_string();
        let aws = Aws::new(config);
        let identity = aws.wait(aws.sts.get_caller_identity().send());
        let partition = identity.arn().and_then(|arn| arn.split(':').nth(1)).unwrap_or("aws").to_owned();
        let account_id = identity.account().unwrap_or_default().to_owned();
        Account { values: vec![("account_id", account_id), ("cluster", cluster), ("partition", partition), ("region", region)] }
    })
}
