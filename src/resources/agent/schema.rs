//! Schema and typed model of `podidentity_agent`.

use std::time::Duration;

use crate::cty::Value;
use crate::framework::model::Attr;
use crate::framework::schema::{Attribute, Schema};
use crate::framework::timeouts::{self, Operation};
use crate::framework::validators;
use crate::resources::{cluster_name, documents, tags};

/// The add-on's name in EKS.
pub(super) const ADDON: &str = "eks-pod-identity-agent";

/// How long operations take at most when the configuration does not say.
pub(super) const TIMEOUTS: [(Operation, Duration); 3] = [
    (Operation::Create, Duration::from_secs(20 * 60)),
    (Operation::Update, Duration::from_secs(20 * 60)),
    (Operation::Delete, Duration::from_secs(40 * 60)),
];

/// `version_policy`: the version that EKS installs by default.
pub(super) const POLICY_DEFAULT: &str = "default";
/// `version_policy`: the newest version.
pub(super) const POLICY_LATEST: &str = "latest";

crate::model! {
    /// Plan and state of the agent.
    pub(super) struct Agent {
        pub(super) addon_version: Attr<String>,
        pub(super) cluster_name: Attr<String>,
        pub(super) configuration_values: Attr<String>,
        pub(super) preserve: Attr<bool>,
        pub(super) resolve_conflicts_on_create: Attr<String>,
        pub(super) resolve_conflicts_on_update: Attr<String>,
        pub(super) tags: Value,
        pub(super) version_policy: Attr<String>,
        pub(super) arn: Attr<String>,
        pub(super) created_at: Attr<String>,
        pub(super) id: Attr<String>,
        pub(super) modified_at: Attr<String>,
        pub(super) status: Attr<String>,
        pub(super) tags_all: Value,
        pub(super) timeouts: Value,
    }
}

pub(super) fn schema() -> Schema {
    Schema::new(format!(
        "Installs the EKS Pod Identity Agent, the add-on `{ADDON}`, in a cluster. Without it no pod gets credentials through \
         EKS Pod Identity. Nodes of EKS Auto Mode have it built in and do not need this resource.\n\n\
         The nodes' role needs the action `eks-auth:AssumeRoleForPodIdentity`, which `AmazonEKSWorkerNodePolicy` contains."
    ))
    .attribute(
        Attribute::string(
            "addon_version",
            "Version of the add-on, such as `v1.3.10-eksbuild.2`. When neither this nor `version_policy` is set, the default \
             version for the cluster's Kubernetes version is installed at creation and then kept.",
        )
        .optional()
        .computed()
        .validate(validators::regex(
            // Loose on purpose: AWS does not promise more than this (aws.md section 7).
            r"^v[0-9]+\.[0-9]+\.[0-9]+(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.-]+)?$",
            "a version such as v1.3.10-eksbuild.2",
        ))
        .use_state_for_unknown(),
    )
    .attribute(cluster_name::attribute("add-on"))
    .attribute(
        Attribute::string(
            "configuration_values",
            "Settings of the add-on as a JSON or YAML object, checked at plan time against the schema that EKS publishes for \
             the version. Compared by meaning. Nodes without IPv6, for example, need \
             `{\"agent\":{\"additionalArgs\":{\"-b\":\"169.254.170.23\"}}}`.",
        )
        .optional()
        .validate(documents::configuration_values())
        .semantic_equality(documents::ConfigurationEquality),
    )
    .attribute(
        Attribute::bool(
            "preserve",
            "Whether destroying this resource leaves the agent running in the cluster, no longer managed by EKS. \
             Default: `false`.",
        )
        .optional(),
    )
    .attribute(
        Attribute::string(
            "resolve_conflicts_on_create",
            "What EKS does with fields of a self-managed agent that is there already: `NONE` fails, `OVERWRITE` takes them \
             over. Default: `NONE`.",
        )
        .optional()
        .validate(validators::one_of(["NONE", "OVERWRITE"])),
    )
    .attribute(
        Attribute::string(
            "resolve_conflicts_on_update",
            "What EKS does with fields that were changed in the cluster: `NONE` may fail, `OVERWRITE` resets them, \
             `PRESERVE` keeps them. Default: `NONE`.",
        )
        .optional()
        .validate(validators::one_of(["NONE", "OVERWRITE", "PRESERVE"])),
    )
    .attribute(tags::attribute())
    .attribute(
        Attribute::string(
            "version_policy",
            format!(
                "Follows EKS on every plan: `{POLICY_DEFAULT}` is the version that EKS installs by default for the cluster's \
                 Kubernetes version, `{POLICY_LATEST}` the newest one that supports it. The plan shows the version. \
                 Conflicts with `addon_version`."
            ),
        )
        .optional()
        .validate(validators::one_of([POLICY_DEFAULT, POLICY_LATEST]))
        .validate(validators::conflicts_with(["addon_version"])),
    )
    .attribute(
        Attribute::string("arn", "ARN of the add-on.")
            .computed()
            .use_state_for_unknown(),
    )
    .attribute(
        Attribute::string("created_at", "When the add-on was installed, in RFC 3339 format.")
            .computed()
            .use_state_for_unknown(),
    )
    .attribute(
        Attribute::string("id", format!("`cluster_name:{ADDON}`."))
            .computed()
            .use_state_for_unknown(),
    )
    .attribute(
        Attribute::string("modified_at", "When the add-on was last changed, in RFC 3339 format.")
            .computed()
            .use_state_for_unknown(),
    )
    .attribute(
        Attribute::string(
            "status",
            "Status of the add-on: `ACTIVE`, or `DEGRADED` when EKS sees a problem such as too few nodes.",
        )
        .computed()
        .use_state_for_unknown(),
    )
    .attribute(tags::all_attribute())
    .nested_block(timeouts::block(&TIMEOUTS))
}
