//! Schema and typed model of `podidentity_association`.

use std::time::Duration;

use crate::cty::Value;
use crate::framework::model::Attr;
use crate::framework::schema::{Attribute, Nesting, Schema};
use crate::framework::timeouts::{self, Operation};
use crate::framework::validators;
use crate::resources::propagation::{self, PropagationModel};
use crate::resources::{arns, cluster_name, documents, names, tags};

/// How long operations take at most when the configuration does not say.
pub(super) const TIMEOUTS: [(Operation, Duration); 3] = [
    (Operation::Create, Duration::from_secs(5 * 60)),
    (Operation::Update, Duration::from_secs(5 * 60)),
    (Operation::Delete, Duration::from_secs(5 * 60)),
];

/// Longest session policy that EKS takes, in characters.
pub(super) const SESSION_POLICY_MAX: usize = 2_048;

/// `on_conflict`: refuse, the default.
pub(super) const ON_CONFLICT_ERROR: &str = "error";
/// `on_conflict`: take over an existing association.
pub(super) const ON_CONFLICT_ADOPT: &str = "adopt";

crate::model! {
    /// Plan and state of an association.
    pub(super) struct Association {
        pub(super) namespace: Attr<String>,
        pub(super) role_arn: Attr<String>,
        pub(super) service_account: Attr<String>,
        pub(super) cluster_name: Attr<String>,
        pub(super) disable_session_tags: Attr<bool>,
        pub(super) on_conflict: Attr<String>,
        pub(super) policy: Attr<String>,
        pub(super) tags: Value,
        pub(super) target_role_arn: Attr<String>,
        pub(super) wait_for_injection: Attr<PropagationModel>,
        pub(super) association_arn: Attr<String>,
        pub(super) association_id: Attr<String>,
        pub(super) created_at: Attr<String>,
        pub(super) external_id: Attr<String>,
        pub(super) id: Attr<String>,
        pub(super) modified_at: Attr<String>,
        pub(super) owner_arn: Attr<String>,
        pub(super) tags_all: Value,
        pub(super) timeouts: Value,
    }
}

pub(super) fn schema() -> Schema {
    Schema::new(
        "Gives the pods of one Kubernetes service account the permissions of an IAM role, through EKS Pod Identity.\n\n\
         The cluster needs the EKS Pod Identity Agent (see `podidentity_agent`; it is built into EKS Auto Mode), and the \
         role must trust `pods.eks.amazonaws.com` with `sts:AssumeRole` and `sts:TagSession` (see `podidentity_role`). \
         Pods get the role when they start: pods that already run keep what they have until they are re-created. The \
         service account need not exist yet.",
    )
    .attribute(
        Attribute::string(
            "namespace",
            "Kubernetes namespace of the service account. Changing it replaces the association.",
        )
        .required()
        .validate(names::namespace())
        .requires_replace(),
    )
    .attribute(
        Attribute::string(
            "role_arn",
            "ARN of the IAM role, which must be in the account of the cluster. For a role in another account, see \
             `target_role_arn`.",
        )
        .required()
        .validate(arns::role())
        .semantic_equality(arns::ArnEquality),
    )
    .attribute(
        Attribute::string(
            "service_account",
            "Name of the Kubernetes service account. Changing it replaces the association.",
        )
        .required()
        .validate(names::service_account())
        .requires_replace(),
    )
    .attribute(cluster_name::attribute("association"))
    .attribute(
        Attribute::bool(
            "disable_session_tags",
            "Whether EKS leaves out the session tags (cluster, namespace, service account, pod) when it assumes the role. \
             Trust policies with conditions on `aws:RequestTag/…` can then never match. Default: `false`.",
        )
        .default(false),
    )
    .attribute(
        Attribute::string(
            "on_conflict",
            format!(
                "What to do when the service account already has an association: `{ON_CONFLICT_ERROR}` stops and names it, \
                 `{ON_CONFLICT_ADOPT}` takes it over, changes it to this configuration, and deletes it on destroy. \
                 Associations that belong to an add-on are never taken over. Default: `{ON_CONFLICT_ERROR}`."
            ),
        )
        .default(ON_CONFLICT_ERROR)
        .validate(validators::one_of([ON_CONFLICT_ERROR, ON_CONFLICT_ADOPT])),
    )
    .attribute(
        Attribute::string(
            "policy",
            format!(
                "Session policy as JSON: pods get what both the role and this policy allow. With `target_role_arn` it \
                 applies to the target role only. Needs `disable_session_tags = true`. At most {SESSION_POLICY_MAX} \
                 characters."
            ),
        )
        .optional()
        .validate(documents::policy())
        .validate(validators::length_between(1, SESSION_POLICY_MAX))
        .semantic_equality(documents::PolicyEquality),
    )
    .attribute(tags::attribute())
    .attribute(
        Attribute::string(
            "target_role_arn",
            "ARN of a second role, in any account, which `role_arn` assumes in turn; pods get the permissions of this one. \
             Its trust policy must allow `role_arn` (see `trust.target_of` of `podidentity_role`).",
        )
        .optional()
        .validate(arns::role())
        .semantic_equality(arns::ArnEquality),
    )
    .attribute(
        Attribute::nested(
            "wait_for_injection",
            Nesting::Single,
            propagation::attributes(),
            "Waits, after the association is created, until new pods really get its credentials: an association exists \
             some seconds before it is in effect, and EKS does not tell when. Seen by pods that are created as server-side \
             dry runs, which pass through the webhook of EKS and are never persisted. What depends on this resource then \
             starts with its credentials. `{}` waits with the defaults.\n\n\
             Needs the service account, access to the Kubernetes API of the cluster (see the provider's `kubernetes`), and \
             there the right to create pods in the namespace; otherwise nothing is created. If the association is not \
             seen in effect in time, it stays, and there is a warning. Only the creation waits: changing this attribute \
             changes nothing in EKS.",
        )
        .optional(),
    )
    .attribute(
        Attribute::string("association_arn", "ARN of the association.")
            .computed()
            .use_state_for_unknown(),
    )
    .attribute(
        Attribute::string("association_id", "Id of the association: `a-` and 17 characters.")
            .computed()
            .use_state_for_unknown(),
    )
    .attribute(
        Attribute::string("created_at", "When the association was created, in RFC 3339 format.")
            .computed()
            .use_state_for_unknown(),
    )
    .attribute(
        Attribute::string(
            "external_id",
            "External id that EKS sends when it assumes the target role: \
             `region/account-id/cluster-name/namespace/service-account-name`. Null without a target role.",
        )
        .computed()
        .use_state_for_unknown(),
    )
    .attribute(
        Attribute::string("id", "The same as `association_id`.")
            .computed()
            .use_state_for_unknown(),
    )
    .attribute(
        Attribute::string("modified_at", "When the association was last changed, in RFC 3339 format.")
            .computed()
            .use_state_for_unknown(),
    )
    .attribute(
        Attribute::string(
            "owner_arn",
            "ARN of the add-on that owns the association; null for associations like this one.",
        )
        .computed()
        .use_state_for_unknown(),
    )
    .attribute(tags::all_attribute())
    .nested_block(timeouts::block(&TIMEOUTS))
}
