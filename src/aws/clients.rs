//! The SDK clients, built on first use.

use std::sync::OnceLock;
use std::time::Duration;

use aws_config::provider_config::ProviderConfig;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sdk_eks::config::retry::{RetryPartition, TokenBucket};
use aws_sdk_eks::config::timeout::TimeoutConfig;
use aws_sdk_eks::config::{BehaviorVersion, IdentityCache};
use aws_smithy_async::rt::sleep::{SharedAsyncSleep, TokioSleep};
use aws_smithy_async::time::SystemTimeSource;
use aws_smithy_types::retry::RetryConfig;
use aws_types::SdkConfig;
use aws_types::app_name::AppName;
use aws_types::region::Region;

use super::call::{AttemptRecorder, ConnectFailureClassifier};
use super::settings::Settings;
use super::{Eks, Iam, Partition, Sts, credentials, http};

/// Time for DNS, TCP and TLS.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Time until the answer begins. EKS and IAM answer control-plane calls within seconds; a connection that says nothing
/// for a minute is dead.
const READ_TIMEOUT: Duration = Duration::from_secs(60);
/// Time for loading credentials. The SDK's five seconds are too short for a `credential_process` that asks somebody, and
/// for STS calls that are retried; a stop ends the wait in any case.
const CREDENTIALS_TIMEOUT: Duration = Duration::from_secs(120);
/// The name in the user agent's `app/`, by which CloudTrail entries are recognised.
const APP_NAME: &str = concat!("terraform-provider-podidentity-", env!("CARGO_PKG_VERSION"));

/// Clients for one provider configuration.
#[derive(Debug)]
pub struct Clients {
    settings: Settings,
    base: SdkConfig,
    credentials: SharedCredentialsProvider,
    eks: OnceLock<Eks>,
    iam: OnceLock<Iam>,
    sts: OnceLock<Sts>,
}

impl Clients {
    /// Clients for `settings`. Does no I/O.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        let region = Region::new(settings.region.clone());
        let http = http::client(settings.http.clone());
        let sleep = SharedAsyncSleep::new(TokioSleep::new());
        let retry = match settings.max_attempts {
            0 | 1 => RetryConfig::disabled(),
            attempts => RetryConfig::standard()
                .with_retry_mode(settings.retry_mode)
                .with_max_attempts(attempts),
        };
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .read_timeout(READ_TIMEOUT)
            .build();
        let base = SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(region.clone())
            .http_client(http.clone())
            .sleep_impl(sleep.clone())
            .time_source(SystemTimeSource::new())
            .identity_cache(
                IdentityCache::lazy()
                    .load_timeout(CREDENTIALS_TIMEOUT)
                    .build(),
            )
            .retry_config(retry.clone())
            .timeout_config(timeouts.clone())
            .app_name(
                AppName::new(APP_NAME).expect("letters, digits, dots and hyphens are allowed"),
            )
            .build();
        let config = ProviderConfig::empty()
            .with_region(Some(region))
            .with_http_client(http)
            .with_sleep_impl(sleep)
            .with_time_source(SystemTimeSource::new())
            .with_retry_config(retry)
            .with_timeout_config(timeouts)
            .with_use_fips(Some(settings.use_fips_endpoint))
            .with_use_dual_stack(Some(settings.use_dualstack_endpoint))
            .with_behavior_version(Some(BehaviorVersion::latest()));
        let for_sts = settings.for_endpoint(&base, settings.endpoints.sts.as_deref());
        let credentials = credentials::provider(&settings.credentials, &for_sts, &config);
        Self {
            settings,
            base,
            credentials,
            eks: OnceLock::new(),
            iam: OnceLock::new(),
            sts: OnceLock::new(),
        }
    }

    /// The EKS client.
    pub fn eks(&self) -> &Eks {
        self.eks.get_or_init(|| {
            let config = self.config(self.settings.endpoints.eks.as_deref());
            Eks::from_conf(
                aws_sdk_eks::config::Builder::from(&config)
                    .interceptor(self.recorder())
                    .retry_classifier(ConnectFailureClassifier)
                    .retry_partition(retry_partition("podidentity-eks"))
                    .build(),
            )
        })
    }

    /// The IAM client.
    pub fn iam(&self) -> &Iam {
        self.iam.get_or_init(|| {
            let config = self.config(self.settings.endpoints.iam.as_deref());
            Iam::from_conf(
                aws_sdk_iam::config::Builder::from(&config)
                    .interceptor(self.recorder())
                    .retry_classifier(ConnectFailureClassifier)
                    .retry_partition(retry_partition("podidentity-iam"))
                    .build(),
            )
        })
    }

    /// The STS client.
    pub fn sts(&self) -> &Sts {
        self.sts.get_or_init(|| {
            let config = self.config(self.settings.endpoints.sts.as_deref());
            sts_with(aws_sdk_sts::config::Builder::from(&config), self.recorder())
        })
    }

    /// The credentials, for signing without a client. Not cached here: use sparingly.
    #[must_use]
    pub fn credentials(&self) -> SharedCredentialsProvider {
        self.credentials.clone()
    }

    /// The region.
    #[must_use]
    pub fn region(&self) -> &str {
        &self.settings.region
    }

    /// The partition of the region.
    #[must_use]
    pub fn partition(&self) -> &'static Partition {
        Partition::of_region(&self.settings.region)
    }

    /// URL of STS for presigned requests that somebody else sends, such as EKS when it checks a token.
    ///
    /// EKS accepts the public endpoints of STS only, so the address of an interface VPC endpoint or of a proxy, which
    /// `endpoints` or `AWS_ENDPOINT_URL_STS` may hold for our own calls, is of no use here. Nor does FIPS matter: nothing is
    /// sent.
    #[must_use]
    pub fn presigning_sts_endpoint(&self) -> String {
        match self.settings.endpoints.sts.as_deref() {
            Some(url) if is_test_endpoint(url) => url.to_owned(),
            _ => format!(
                "https://sts.{}.{}",
                self.settings.region,
                self.partition().dns_suffix
            ),
        }
    }

    /// The settings the clients were built from.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    fn config(&self, endpoint: Option<&str>) -> SdkConfig {
        self.settings
            .for_endpoint(&self.base, endpoint)
            .into_builder()
            .credentials_provider(self.credentials.clone())
            .build()
    }

    fn recorder(&self) -> AttemptRecorder {
        AttemptRecorder {
            user_agent: self.settings.user_agent.clone(),
        }
    }
}

impl Settings {
    /// `base` for one service. An endpoint of the service's own says exactly where to go, so the FIPS and dual-stack
    /// variants, which the SDK refuses together with an endpoint, apply only without one.
    fn for_endpoint(&self, base: &SdkConfig, endpoint: Option<&str>) -> SdkConfig {
        let mut builder = base.clone().into_builder();
        match endpoint {
            Some(url) => builder.set_endpoint_url(Some(url.to_owned())),
            None => builder
                .set_use_fips(Some(self.use_fips_endpoint))
                .set_use_dual_stack(Some(self.use_dualstack_endpoint)),
        };
        builder.build()
    }
}

/// Whether a URL leads to something that stands in for AWS: it is not `https`, or leads to this machine.
fn is_test_endpoint(url: &str) -> bool {
    url.parse::<::http::Uri>().is_ok_and(|url| {
        let host = url.host().unwrap_or_default().trim_matches(['[', ']']);
        url.scheme_str() == Some("http")
            || host == "localhost"
            || host
                .parse::<std::net::IpAddr>()
                .is_ok_and(|address| address.is_loopback())
    })
}

/// An STS client that is used by credential providers: no user agent of ours, no cancellation of its own.
pub(crate) fn sts(builder: aws_sdk_sts::config::Builder) -> Sts {
    sts_with(
        builder,
        AttemptRecorder {
            user_agent: APP_NAME.to_owned(),
        },
    )
}

fn sts_with(builder: aws_sdk_sts::config::Builder, recorder: AttemptRecorder) -> Sts {
    Sts::from_conf(
        builder
            .interceptor(recorder)
            .retry_classifier(ConnectFailureClassifier)
            .retry_partition(retry_partition("podidentity-sts"))
            .build(),
    )
}

/// Retries are limited per call (`max_retries`), not by a budget that all calls share: thirty objects that are throttled
/// together would use up the SDK's default budget and fail although waiting would have helped.
fn retry_partition(name: &'static str) -> RetryPartition {
    RetryPartition::custom(name)
        .token_bucket(TokenBucket::unlimited())
        .build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_signed_for_sts_itself_unless_something_stands_in_for_aws() {
        for (url, expected) in [
            ("http://127.0.0.1:4566", true),
            ("http://sandbox:4566", true),
            ("https://localhost:4566", true),
            ("https://127.0.0.1", true),
            ("https://[::1]:4566", true),
            (
                "https://vpce-0a1b-2c3d.sts.eu-west-1.vpce.amazonaws.com",
                false,
            ),
            ("https://sts.corp.example", false),
            ("https://sts.eu-west-1.amazonaws.com/path", false),
            ("https://localhost.corp.example", false),
        ] {
            assert_eq!(is_test_endpoint(url), expected, "{url}");
        }
    }
}
