//! IAM policy documents: reading, comparing, building, judging and changing them. Pure: no input or output, no clock.
//!
//! * [`Document`] reads any policy document and writes it back as it was, but for what was changed.
//! * [`equivalent`] says whether two documents mean the same, which is how drift is judged.
//! * [`TrustSpec`] builds the trust policy of a role for EKS Pod Identity, or of the target of such a role.
//! * [`analyze`] says whether a role can work for a pod; [`check_trust_policy`] what IAM would refuse.
//! * [`Grant`] adds trust for one service account to an existing policy and takes it away again; [`Subject`] does the same for the IRSA side.
//! * [`size`] counts as IAM counts.
//! * [`arn`] and [`name`] check ARNs and names as AWS and Kubernetes do.

pub mod analysis;
pub mod arn;
pub mod canonical;
pub mod check;
mod condition;
pub mod document;
#[cfg(test)]
mod generate;
pub mod grant;
pub mod irsa;
pub mod issuer;
pub mod name;
pub mod request;
pub mod size;
pub mod trust;

pub use analysis::{Reason, Verdict, analyze, analyze_target};
pub use arn::{Arn, ArnError, ClusterArn, RoleArn, equivalent_arns};
pub use canonical::{Canonical, equivalent, equivalent_json, equivalent_statements};
pub use check::{Problem, check_permission_policy, check_trust_policy};
pub use document::{Document, Effect, ParseError, Statement};
pub use grant::{Grant, GrantChange, Granted, Scope};
pub use irsa::{Subject, web_identity_trusts};
pub use issuer::OidcIssuer;
pub use name::NameError;
pub use request::PodContext;
pub use trust::{Inferred, TargetOf, TrustError, TrustSpec};

/// The service principal of EKS Pod Identity, the same in every partition for which AWS documents one (aws, aws-cn, aws-us-gov).
pub const SERVICE_PRINCIPAL: &str = "pods.eks.amazonaws.com";

/// The action with which EKS gets credentials of the role.
pub const ASSUME_ROLE: &str = "sts:AssumeRole";

/// The action that EKS needs besides [`ASSUME_ROLE`], even for associations without session tags.
pub const TAG_SESSION: &str = "sts:TagSession";
