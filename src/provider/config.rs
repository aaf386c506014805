//! The `provider` block as written, typed.

use std::collections::BTreeMap;

use crate::cty::{Path, Value};
use crate::framework::model::{Attr, SetOf};
use crate::kubernetes::KubernetesConfig;

crate::model! {
    /// The `provider` block.
    pub struct ProviderConfig {
        /// AWS region.
        pub region: Attr<String>,
        /// Profile of the shared files.
        pub profile: Attr<String>,
        /// Access key id.
        pub access_key: Attr<String>,
        /// Secret access key.
        pub secret_key: Attr<String>,
        /// Session token.
        pub token: Attr<String>,
        /// Shared config files.
        pub shared_config_files: Attr<Vec<Attr<String>>>,
        /// Shared credentials files.
        pub shared_credentials_files: Attr<Vec<Attr<String>>>,
        /// Accounts the credentials must belong to.
        pub allowed_account_ids: Attr<SetOf<Attr<String>>>,
        /// Accounts the credentials must not belong to.
        pub forbidden_account_ids: Attr<SetOf<Attr<String>>>,
        /// Retries per call.
        pub max_retries: Attr<i64>,
        /// `standard` or `adaptive`.
        pub retry_mode: Attr<String>,
        /// FIPS endpoints.
        pub use_fips_endpoint: Attr<bool>,
        /// Dual-stack endpoints.
        pub use_dualstack_endpoint: Attr<bool>,
        /// PEM file of trusted certificates.
        pub custom_ca_bundle: Attr<String>,
        /// Proxy for `http` URLs.
        pub http_proxy: Attr<String>,
        /// Proxy for `https` URLs.
        pub https_proxy: Attr<String>,
        /// Hosts reached without a proxy.
        pub no_proxy: Attr<String>,
        /// Accepted for `hashicorp/aws` configurations.
        pub skip_credentials_validation: Attr<bool>,
        /// Never ask STS for the account id.
        pub skip_requesting_account_id: Attr<bool>,
        /// Default cluster of resources.
        pub cluster_name: Attr<String>,
        /// Service principal of trust policies.
        pub service_principal: Attr<String>,
        /// Roles to assume, one after the other.
        pub assume_role: Attr<Vec<AssumeRoleConfig>>,
        /// A role to assume with a web identity token.
        pub assume_role_with_web_identity: Attr<WebIdentityConfig>,
        /// Tags of every object.
        pub default_tags: Attr<DefaultTagsConfig>,
        /// Tags that are somebody else's.
        pub ignore_tags: Attr<IgnoreTagsConfig>,
        /// Endpoints.
        pub endpoints: Attr<Vec<EndpointsConfig>>,
        /// How Kubernetes is reached.
        pub kubernetes: Attr<KubernetesConfig>,
    }
}

crate::model! {
    /// An `assume_role` block.
    pub struct AssumeRoleConfig {
        /// ARN of the role.
        pub role_arn: Attr<String>,
        /// Life of the session.
        pub duration: Attr<String>,
        /// External id.
        pub external_id: Attr<String>,
        /// Session policy.
        pub policy: Attr<String>,
        /// Managed session policies.
        pub policy_arns: Attr<SetOf<Attr<String>>>,
        /// Name of the session.
        pub session_name: Attr<String>,
        /// Source identity.
        pub source_identity: Attr<String>,
        /// Session tags.
        pub tags: Attr<BTreeMap<String, Attr<String>>>,
        /// Tags passed on.
        pub transitive_tag_keys: Attr<SetOf<Attr<String>>>,
    }
}

crate::model! {
    /// The `assume_role_with_web_identity` block.
    pub struct WebIdentityConfig {
        /// ARN of the role.
        pub role_arn: Attr<String>,
        /// Life of the session.
        pub duration: Attr<String>,
        /// Session policy.
        pub policy: Attr<String>,
        /// Managed session policies.
        pub policy_arns: Attr<SetOf<Attr<String>>>,
        /// Name of the session.
        pub session_name: Attr<String>,
        /// The token.
        pub web_identity_token: Attr<String>,
        /// A file that holds the token.
        pub web_identity_token_file: Attr<String>,
    }
}

crate::model! {
    /// The `default_tags` block.
    pub struct DefaultTagsConfig {
        /// The tags.
        pub tags: Attr<BTreeMap<String, Attr<String>>>,
    }
}

crate::model! {
    /// The `ignore_tags` block.
    pub struct IgnoreTagsConfig {
        /// Keys.
        pub keys: Attr<SetOf<Attr<String>>>,
        /// Beginnings of keys.
        pub key_prefixes: Attr<SetOf<Attr<String>>>,
    }
}

crate::model! {
    /// An `endpoints` block.
    pub struct EndpointsConfig {
        /// URL of EKS.
        pub eks: Attr<String>,
        /// URL of IAM.
        pub iam: Attr<String>,
        /// URL of STS.
        pub sts: Attr<String>,
    }
}

/// What the clients depend on: while any of it is unknown there are no clients.
const CONNECTION: [&str; 18] = [
    "region",
    "profile",
    "access_key",
    "secret_key",
    "token",
    "shared_config_files",
    "shared_credentials_files",
    "max_retries",
    "retry_mode",
    "use_fips_endpoint",
    "use_dualstack_endpoint",
    "custom_ca_bundle",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "assume_role",
    "assume_role_with_web_identity",
    "endpoints",
];

/// Where the configuration holds unknown values that the clients depend on.
#[must_use]
pub fn unknown_connection_paths(config: &Value) -> Vec<Path> {
    let mut paths = Vec::new();
    for name in CONNECTION {
        unknown_paths(config.get(name), &Path::from(name), &mut paths);
    }
    paths
}

fn unknown_paths(value: &Value, path: &Path, paths: &mut Vec<Path>) {
    match value {
        Value::Unknown(_) => paths.push(path.clone()),
        Value::List(items) | Value::Tuple(items) => {
            for (index, item) in items.iter().enumerate() {
                unknown_paths(item, &path.index(index), paths);
            }
        }
        // There are no paths into sets.
        Value::Set(items) => {
            if !items.iter().all(Value::is_wholly_known) {
                paths.push(path.clone());
            }
        }
        Value::Map(entries) => {
            for (key, item) in entries {
                unknown_paths(item, &path.key(key.clone()), paths);
            }
        }
        Value::Object(entries) => {
            for (name, item) in entries {
                unknown_paths(item, &path.attribute(name.clone()), paths);
            }
        }
        Value::Dynamic(inner) => unknown_paths(&inner.1, path, paths),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
