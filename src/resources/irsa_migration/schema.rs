//! Schema and typed model of `podidentity_irsa_migration`.

use std::time::Duration;

use crate::cty::{Type, Value};
use crate::framework::model::{Attr, IntoValue, SetOf};
use crate::framework::schema::{Attribute, Nesting, Schema};
use crate::framework::timeouts::{self, Operation};
use crate::framework::validators;
use crate::migration::finding::{Code, Weight};
use crate::policy::Scope;
use crate::policy::size::SESSION_POLICY_MAX;
use crate::resources::propagation::PropagationModel;
use crate::resources::{arns, cluster_name, documents, names, propagation, tags};

/// How long operations take at most when the configuration does not say.
pub(super) const TIMEOUTS: [(Operation, Duration); 3] = [
    (Operation::Create, Duration::from_secs(60 * 60)),
    (Operation::Update, Duration::from_secs(60 * 60)),
    (Operation::Delete, Duration::from_secs(60 * 60)),
];

/// `trust.mode`: the provider writes the trust policy.
pub(super) const TRUST_MANAGE: &str = "manage";
/// `trust.mode`: somebody else writes the trust policy.
pub(super) const TRUST_VERIFY: &str = "verify";
/// `rollout.strategy`: pods move when they are replaced for other reasons.
pub(super) const ROLLOUT_NONE: &str = "none";
/// `rollout.strategy`: workloads are restarted one at a time.
pub(super) const ROLLOUT_RESTART: &str = "restart";
/// `on_destroy`: back to IRSA.
pub(super) const DESTROY_ROLLBACK: &str = "rollback";
/// `on_destroy`: everything stays.
pub(super) const DESTROY_KEEP: &str = "keep";

crate::model! {
    /// Plan and state of a migration.
    pub(super) struct Migration {
        pub(super) namespace: Attr<String>,
        pub(super) service_account: Attr<String>,
        pub(super) adopt_existing_association: Attr<bool>,
        pub(super) cluster_name: Attr<String>,
        pub(super) disable_session_tags: Attr<bool>,
        pub(super) ignore_blockers: Attr<SetOf<Attr<String>>>,
        pub(super) on_destroy: Attr<String>,
        pub(super) policy: Attr<String>,
        pub(super) propagation: Attr<PropagationModel>,
        pub(super) retire: Attr<RetireModel>,
        pub(super) role_arn: Attr<String>,
        pub(super) rollout: Attr<RolloutModel>,
        pub(super) soak_duration: Attr<String>,
        pub(super) tags: Value,
        pub(super) target_role_arn: Attr<String>,
        pub(super) trust: Attr<TrustModel>,
        pub(super) association_adopted: Attr<bool>,
        pub(super) association_arn: Attr<String>,
        pub(super) association_id: Attr<String>,
        pub(super) blockers: Attr<Vec<FindingModel>>,
        pub(super) cluster_arn: Attr<String>,
        pub(super) id: Attr<String>,
        pub(super) issuer: Attr<String>,
        pub(super) phase: Attr<String>,
        pub(super) tags_all: Value,
        pub(super) trust_policy_after: Attr<String>,
        pub(super) trust_policy_before: Attr<String>,
        pub(super) verified_at: Attr<String>,
        pub(super) warnings: Attr<Vec<FindingModel>>,
        pub(super) workloads: Attr<Vec<WorkloadModel>>,
        pub(super) timeouts: Value,
    }
}

crate::model! {
    /// `retire`.
    pub(super) struct RetireModel {
        pub(super) annotation: Attr<bool>,
        pub(super) trust: Attr<bool>,
    }
}

crate::model! {
    /// `rollout`.
    pub(super) struct RolloutModel {
        pub(super) strategy: Attr<String>,
        pub(super) timeout: Attr<String>,
        pub(super) pause: Attr<String>,
    }
}

crate::model! {
    /// `trust`.
    pub(super) struct TrustModel {
        pub(super) mode: Attr<String>,
        pub(super) scope: Attr<String>,
    }
}

crate::model! {
    /// One blocker or warning.
    pub(super) struct FindingModel {
        pub(super) code: Attr<String>,
        pub(super) message: Attr<String>,
    }
}

crate::model! {
    /// One workload.
    pub(super) struct WorkloadModel {
        pub(super) kind: Attr<String>,
        pub(super) name: Attr<String>,
        pub(super) pods: Attr<i64>,
        pub(super) pods_on_pod_identity: Attr<i64>,
        pub(super) restart: Attr<String>,
    }
}

/// The default of `propagation`.
pub(super) fn default_propagation() -> PropagationModel {
    PropagationModel {
        consecutive: Attr::Known(5),
        interval: "2s".into(),
        timeout: "5m".into(),
    }
}

/// The default of `retire`: nothing is taken away.
pub(super) fn default_retire() -> RetireModel {
    RetireModel {
        annotation: Attr::Known(false),
        trust: Attr::Known(false),
    }
}

/// The default of `rollout`.
pub(super) fn default_rollout() -> RolloutModel {
    RolloutModel {
        strategy: ROLLOUT_NONE.into(),
        timeout: "10m".into(),
        pause: "0s".into(),
    }
}

/// The default of `trust`.
pub(super) fn default_trust() -> TrustModel {
    TrustModel {
        mode: TRUST_MANAGE.into(),
        scope: Scope::default().as_str().into(),
    }
}

fn default_of<T: IntoValue + Clone>(value: &T, name: &str) -> Value {
    value.clone().into_value().get(name).clone()
}

/// What `ignore_blockers` takes. A configuration of the webhook that looks wrong is a warning in the plan, but pods that get no
/// credentials stop the apply under the same code.
fn blocker_codes() -> Vec<&'static str> {
    Code::ALL
        .iter()
        .filter(|code| code.weight() == Weight::Blocker || **code == Code::WebhookMissing)
        .map(|code| code.as_str())
        .collect()
}

fn finding_attributes() -> Vec<Attribute> {
    vec![
        Attribute::string("code", "The stable code.").computed(),
        Attribute::string("message", "What was found and what to do.").computed(),
    ]
}

pub(super) fn schema() -> Schema {
    with_computed(with_arguments(Schema::new(
        "Moves one Kubernetes service account from IRSA (IAM roles for service accounts) to EKS Pod Identity without an \
         outage, and back.\n\n\
         What gives comes first, what takes away last, and only if it is asked for: the role's trust policy gets a \
         statement for EKS Pod Identity beside the one for the OIDC provider; the association is created once every \
         blocking check has passed; pods created as dry runs prove that it is in effect; workloads are restarted one at a \
         time; and once every pod is seen on Pod Identity, the annotation and the trust in the OIDC subject can be \
         retired. Destroying the resource goes the way back, in the same care. Every step can be repeated: an apply that \
         was interrupted goes on where it was.\n\n\
         An apply that stops half-way leaves every pod with working credentials, and Terraform marks the resource as \
         tainted. The next apply shows a replacement, which takes nothing away: it goes on with the migration.",
    )))
}

fn with_arguments(schema: Schema) -> Schema {
    schema
        .attribute(
            Attribute::string(
                "namespace",
                "Kubernetes namespace of the service account. Changing it migrates another service account and rolls this \
                 one back.",
            )
            .required()
            .validate(names::namespace())
            .requires_replace(),
        )
        .attribute(
            Attribute::string(
                "service_account",
                "Name of the Kubernetes service account. Changing it migrates another service account and rolls this one \
                 back.",
            )
            .required()
            .validate(names::service_account())
            .requires_replace(),
        )
        .attribute(
            Attribute::bool(
                "adopt_existing_association",
                "Whether an association that the service account has already, with the same role and settings, is used. It \
                 is then neither changed nor deleted on destroy. Without it such an association stops the migration. \
                 Default: `false`.",
            )
            .default(false),
        )
        .attribute(cluster_name::attribute("migration"))
        .attribute(
            Attribute::bool(
                "disable_session_tags",
                "Whether EKS leaves out the session tags (cluster, namespace, service account, pod) when it assumes the \
                 role. Trust policies with conditions on `aws:RequestTag/…` can then never match, so `trust.scope` must be \
                 wider than `service_account`. Default: `false`.",
            )
            .default(false),
        )
        .attribute(
            Attribute::set(
                "ignore_blockers",
                Type::String,
                "Codes of blockers that are to be taken as warnings; what each means is listed below. Some of them still make \
                 AWS refuse the migration. `webhook_missing` is no blocker of the plan: it stops an apply whose first dry-run \
                 pod is given no credentials at all.",
            )
            .optional()
            .validate(validators::each(validators::one_of(blocker_codes()))),
        )
        .attribute(
            Attribute::string(
                "on_destroy",
                format!(
                    "What destroying does: `{DESTROY_ROLLBACK}` brings the service account back to IRSA, restarts its \
                     workloads and verifies that; `{DESTROY_KEEP}` only forgets the migration and leaves everything as it \
                     is. An apply that changes nothing else only notes this. Default: `{DESTROY_ROLLBACK}`."
                ),
            )
            .default(DESTROY_ROLLBACK)
            .validate(validators::one_of([DESTROY_ROLLBACK, DESTROY_KEEP])),
        )
        .attribute(
            Attribute::string(
                "policy",
                format!(
                    "Session policy of the association as JSON: pods get what both the role and this policy allow. Needs \
                     `disable_session_tags = true`. At most {SESSION_POLICY_MAX} characters."
                ),
            )
            .optional()
            .validate(documents::policy())
            .validate(validators::length_between(1, SESSION_POLICY_MAX))
            .semantic_equality(documents::PolicyEquality),
        )
        .attribute(propagation())
        .attribute(retire())
        .attribute(
            Attribute::string(
                "role_arn",
                "ARN of the IAM role, which must be in the account of the cluster. Default: the role of the annotation \
                 `eks.amazonaws.com/role-arn` on the service account.",
            )
            .optional()
            .computed()
            .validate(arns::role())
            .semantic_equality(arns::ArnEquality)
            .use_state_for_unknown(),
        )
        .attribute(rollout())
        .attribute(
            Attribute::string(
                "soak_duration",
                "How long all pods must have been on Pod Identity, ready and without restarts, before anything is retired. \
                 An apply waits for that if its timeout leaves the time; otherwise it ends at `verified` with a warning, and \
                 an apply after that time retires. Another role or other settings of the association begin it anew, with `rollout.strategy = \"none\"` \
                 before running pods have them. Whatever it is, nothing is retired while a pod is not ready. Default: `0s`.",
            )
            .default("0s")
            .validate(validators::duration()),
        )
        .attribute(tags::attribute())
        .attribute(
            Attribute::string(
                "target_role_arn",
                "ARN of a second role, in any account, which `role_arn` assumes in turn; pods get the permissions of this \
                 one.",
            )
            .optional()
            .validate(arns::role())
            .semantic_equality(arns::ArnEquality),
        )
        .attribute(trust())
}

fn propagation() -> Attribute {
    Attribute::nested(
        "propagation",
        Nesting::Single,
        propagation::attributes(),
        "How it is proven that new pods get their credentials the way they should: pods are created as server-side dry \
         runs, which pass through the webhook and are never persisted.",
    )
    .default(default_propagation().into_value())
}

fn retire() -> Attribute {
    let default = default_retire();
    Attribute::nested(
        "retire",
        Nesting::Single,
        vec![
            Attribute::bool(
                "annotation",
                "Whether the annotations `eks.amazonaws.com/role-arn` and `eks.amazonaws.com/audience` are removed from the \
                 service account. Default: `false`.",
            )
            .default(default_of(&default, "annotation")),
            Attribute::bool(
                "trust",
                "Whether the role's trust in the subject of this service account, at this cluster's OIDC provider, is \
                 removed. Other subjects and providers keep theirs. Default: `false`.",
            )
            .default(default_of(&default, "trust")),
        ],
        "What of IRSA is taken away in the end, once every pod is seen on Pod Identity. Turning it off again puts it back.",
    )
    .default(default.into_value())
}

fn rollout() -> Attribute {
    let default = default_rollout();
    Attribute::nested(
        "rollout",
        Nesting::Single,
        vec![
            Attribute::string(
                "strategy",
                format!(
                    "`{ROLLOUT_NONE}`: running pods keep IRSA until something else replaces them. `{ROLLOUT_RESTART}`: \
                     Deployments, StatefulSets and DaemonSets are restarted one at a time, and the first that does not \
                     become ready stops the apply. So they are when the association gets another role or other settings, \
                     which running pods get only hours later. Default: `{ROLLOUT_NONE}`."
                ),
            )
            .default(default_of(&default, "strategy"))
            .validate(validators::one_of([ROLLOUT_NONE, ROLLOUT_RESTART])),
            Attribute::string("timeout", "How long one workload may take. Default: `10m`.")
                .default(default_of(&default, "timeout"))
                .validate(validators::duration()),
            Attribute::string("pause", "The pause between two workloads. Default: `0s`.")
                .default(default_of(&default, "pause"))
                .validate(validators::duration()),
        ],
        "How running pods come to Pod Identity. A rollback always restarts what runs on Pod Identity.",
    )
    .default(default.into_value())
}

fn trust() -> Attribute {
    let default = default_trust();
    let scopes: Vec<&str> = Scope::ALL.into_iter().map(Scope::as_str).collect();
    Attribute::nested(
        "trust",
        Nesting::Single,
        vec![
            Attribute::string(
                "mode",
                format!(
                    "`{TRUST_MANAGE}`: the role's trust policy is changed as needed. `{TRUST_VERIFY}`: somebody else \
                     changes it, an `aws_iam_role` for example (see the function `merge_trust_policy`), and it is only \
                     waited for. Default: `{TRUST_MANAGE}`."
                ),
            )
            .default(default_of(&default, "mode"))
            .validate(validators::one_of([TRUST_MANAGE, TRUST_VERIFY])),
            Attribute::string(
                "scope",
                format!(
                    "For whom a statement is that has to be added: `{}`. A statement that is there already and covers the \
                     service account is left as it is. Once another scope is in use, the statement of the former one is removed, unless \
                     other service accounts need it. Default: `service_account`, as narrow as IRSA is.",
                    scopes.join("`, `")
                ),
            )
            .default(default_of(&default, "scope"))
            .validate(validators::one_of(scopes)),
        ],
        "How the role comes to trust EKS Pod Identity.",
    )
    .default(default.into_value())
}

fn with_computed(schema: Schema) -> Schema {
    let computed_string = |name: &'static str, description: &str| {
        Attribute::string(name, description)
            .computed()
            .use_state_for_unknown()
    };
    schema
        .attribute(
            Attribute::bool(
                "association_adopted",
                "Whether the association was there before the migration, which then leaves it alone.",
            )
            .computed()
            .use_state_for_unknown(),
        )
        .attribute(computed_string("association_arn", "ARN of the association."))
        .attribute(computed_string(
            "association_id",
            "Id of the association: `a-` and 17 characters.",
        ))
        .attribute(
            Attribute::nested(
                "blockers",
                Nesting::List,
                finding_attributes(),
                "What speaks against the migration as far as pods could be left without credentials, with stable codes; \
                 those in `ignore_blockers` included.",
            )
            .computed()
            .use_state_for_unknown(),
        )
        .attribute(computed_string("cluster_arn", "ARN of the cluster."))
        .attribute(computed_string("id", "`cluster,namespace,service-account`."))
        .attribute(computed_string(
            "issuer",
            "URL of the cluster's OIDC issuer; null if it has none.",
        ))
        .attribute(computed_string(
            "phase",
            "How far the migration is: `not_started`, `trust_added`, `associated`, `propagated` (new pods get Pod \
             Identity), `rolled_out` (what can be restarted was), `verified` (all pods use Pod Identity), `retired` (what \
             `retire` asks for is gone). Known in the plan, unless it depends on when pods come and go, or on what is left \
             of `soak_duration`.",
        ))
        .attribute(tags::all_attribute())
        .attribute(computed_string(
            "trust_policy_after",
            "The role's trust policy as the migration leaves it, then as it is.",
        ))
        .attribute(computed_string(
            "trust_policy_before",
            "The role's trust policy before the migration.",
        ))
        .attribute(computed_string(
            "verified_at",
            "Since when all pods are seen on Pod Identity, with this role and these settings, and without a restart of one of \
             their containers since, in RFC 3339 format; null while they are not. `soak_duration` counts from here.",
        ))
        .attribute(
            Attribute::nested(
                "warnings",
                Nesting::List,
                finding_attributes(),
                "What is worth knowing about this migration, with stable codes.",
            )
            .computed()
            .use_state_for_unknown(),
        )
        .attribute(
            Attribute::nested(
                "workloads",
                Nesting::List,
                vec![
                    Attribute::string(
                        "kind",
                        "Kind of the topmost owner: `Deployment`, `StatefulSet`, `DaemonSet`, `CronJob`, `Job`, `Pod` and others.",
                    )
                    .computed(),
                    Attribute::string("name", "Its name.").computed(),
                    Attribute::number(
                        "pods",
                        "How many pods it is meant to have. In the plan of a new migration this is unknown where an \
                         autoscaler decides, or where it has none.",
                    )
                    .computed(),
                    Attribute::number(
                        "pods_on_pod_identity",
                        "How many of its pods use Pod Identity already.",
                    )
                    .computed(),
                    Attribute::string(
                        "restart",
                        "`rolling`: it can be restarted; otherwise why it cannot.",
                    )
                    .computed(),
                ],
                "Workloads that use the service account, as they were when this was last read. The plan of a new migration \
                 leaves out Jobs and pods without a controller, which may end before it is applied.",
            )
            .computed()
            .use_state_for_unknown(),
        )
        .nested_block(timeouts::block(&TIMEOUTS))
}
