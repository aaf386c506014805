//! The real provider against the sandbox, one file per resource.

mod agent;
mod association;
mod interruption;
mod irsa_migration;
mod role;

use podidentity::aws::environment::Environment;
use podidentity::cty::Value;
use podidentity::provider::PodIdentityProvider;
use podidentity::rpc::Server;
use podidentity_sandbox::{Options, Sandbox};
use serde_json::json;

use crate::core::{Action, Core, Release};
use crate::generate::{Generator, check};
use crate::scenario::{Subject, run};
use crate::wire::serve;

/// Trusts EKS Pod Identity without conditions.
const TRUST: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"pods.eks.amazonaws.com"},"Action":["sts:AssumeRole","sts:TagSession"]}]}"#;

/// Roles that are there before anything is managed.
const ROLES: [&str; 3] = ["app", "other", "target"];

/// The clusters.
const CLUSTERS: [&str; 2] = ["demo", "stage"];

/// Service accounts that are there in the namespaces `payments` and `orders` of both clusters.
const SERVICE_ACCOUNTS: [&str; 2] = ["api", "worker.v2"];

/// A sandbox with the clusters `demo` and `stage` and the roles `app`, `other` and `target`.
struct World {
    sandbox: Sandbox,
    /// `default_tags` of the provider block.
    default_tags: Value,
}

impl World {
    fn new() -> Self {
        let sandbox = Sandbox::start(Options {
            clusters: CLUSTERS.map(Into::into).into(),
            ..Options::default()
        })
        .unwrap();
        Self {
            sandbox,
            default_tags: Value::Null,
        }
    }

    /// The same with tags that every object gets, some of which configurations override.
    fn with_default_tags() -> Self {
        Self {
            default_tags: Value::string_map([("a", "default"), ("owner", "platform")]),
            ..Self::new()
        }
    }

    /// As at the start: a scenario that failed has left objects behind.
    fn reset(&self) {
        self.sandbox.reset();
        for name in ROLES {
            let role = json!({ "RoleName": name, "AssumeRolePolicyDocument": TRUST });
            self.sandbox.call("iam", "CreateRole", role).unwrap();
        }
        let accounts: Vec<_> = ["payments", "orders"]
            .into_iter()
            .flat_map(|namespace| {
                SERVICE_ACCOUNTS.map(|name| json!({"namespace": namespace, "name": name}))
            })
            .collect();
        let clusters = CLUSTERS.map(|name| json!({"name": name, "service_accounts": accounts}));
        self.sandbox.seed(json!({"clusters": clusters})).unwrap();
    }

    /// The provider block: everything from the sandbox, nothing from this machine.
    fn provider(&self) -> Value {
        let text = |text: &str| Value::from(text);
        let endpoint = text(self.sandbox.aws_endpoint());
        let default_tags = match &self.default_tags {
            Value::Null => Value::Null,
            tags => Value::object([("tags", tags.clone())]),
        };
        let endpoints = ["eks", "iam", "sts"].map(|service| (service, endpoint.clone()));
        Value::object([
            ("region", text("us-east-1")),
            ("access_key", text("test")),
            ("secret_key", text("test")),
            ("cluster_name", text("demo")),
            ("default_tags", default_tags),
            ("endpoints", Value::List(vec![Value::object(endpoints)])),
        ])
    }
}

/// How many scenarios each resource gets; another number with `PODIDENTITY_PROTOCOL_CASES`.
fn cases(default: u32) -> u32 {
    std::env::var("PODIDENTITY_PROTOCOL_CASES")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(default)
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
}

/// Core with the real provider; each process is a server of its own.
fn core(runtime: &tokio::runtime::Runtime, release: Release) -> Core {
    let start = || {
        let provider = PodIdentityProvider::with_environment(Environment::default());
        serve(Server::new(
            provider,
            "registry.terraform.io/podidentity/podidentity",
        ))
    };
    runtime
        .block_on(async { Core::load(start, release).await })
        .unwrap_or_else(|failure| panic!("{failure}"))
}

/// Runs generated scenarios of one resource under the oldest and the newest Core, and demands that every action came up.
fn check_resource(
    subject: &dyn Subject,
    reset: &dyn Fn(),
    generator: &Generator,
    expected: &[Action],
    default_cases: u32,
) {
    let runtime = runtime();
    for (seed, release) in [(1, Release::V1_11), (2, Release::V1_16)] {
        let core = core(&runtime, release);
        let steps = generator.steps(core.schema(subject.type_name()), 4);
        let mut number = 0;
        let covered = check(
            &runtime,
            cases(default_cases).div_ceil(2),
            seed,
            &steps,
            |steps| {
                number += 1;
                let core = &core;
                reset();
                async move {
                    let actions = run(core, subject, &steps).await?;
                    match subject.remote_objects() {
                        Some(0) | None => subject.aftermath().map(|()| actions),
                        Some(left) => Err(format!("{left} objects are left after destroy")),
                    }
                }
            },
        );
        eprintln!(
            "{} under {release:?}: {number} scenarios, {covered:?}",
            subject.type_name()
        );
        for action in expected {
            assert!(
                covered.contains_key(action),
                "{action:?} never came up: {covered:?}"
            );
        }
    }
}
