//! AWS: configuration, clients, calls, typed errors, waiters.
//!
//! | module | what it holds |
//! |---|---|
//! | [`settings`] | [`Settings`]: what the clients need, resolved from provider block, environment and shared files |
//! | [`environment`], [`profile`] | where settings come from besides the provider block |
//! | [`credentials`] | where credentials come from, and the role chain |
//! | [`http`] | the HTTP client: proxies, CA bundle, TLS only when needed |
//! | [`clients`] | SDK clients of EKS, IAM and STS, built on first use |
//! | [`call`] | [`read`] and [`write`]: every AWS call goes through one of them |
//! | [`error`] | [`AwsError`] |
//! | [`wait`], [`retry`] | polling and eventual consistency |
//! | [`lookup`] | look-ups asked once per process |
//! | [`facts`] | what the look-ups answer |
//! | [`tags`] | `tags`, `tags_all`, default and ignored tags |
//! | [`partition`] | AWS partitions as data |
//!
//! [`read`]: call::read
//! [`write`]: call::write

pub mod call;
pub mod clients;
pub mod credentials;
pub mod environment;
pub mod error;
pub mod facts;
pub mod http;
pub mod lookup;
pub mod partition;
pub mod profile;
pub mod retry;
pub mod settings;
pub mod tags;
pub mod wait;

pub use call::{Written, read, write};
pub use clients::Clients;
pub use environment::Environment;
pub use error::{AwsError, AwsErrorKind};
pub use facts::{AddonVersion, ClusterInfo, RoleInfo};
pub use partition::Partition;
pub use settings::Settings;
pub use tags::TagPolicy;

/// Client of Amazon EKS.
pub type Eks = aws_sdk_eks::Client;
/// Client of AWS IAM.
pub type Iam = aws_sdk_iam::Client;
/// Client of AWS STS.
pub type Sts = aws_sdk_sts::Client;
