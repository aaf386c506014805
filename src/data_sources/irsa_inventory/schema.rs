//! Schema and typed model of `podidentity_irsa_inventory`.

use std::collections::BTreeMap;

use crate::cty::Type;
use crate::framework::model::{Attr, SetOf};
use crate::framework::schema::{Attribute, Nesting, Schema};
use crate::framework::validators;
use crate::migration::facts::{ClusterFacts, Owner, Restart, Tool};
use crate::migration::finding::Finding;
use crate::policy::irsa::Access;
use crate::resources::{cluster_name, names};

use super::report::{self, Totals};
use super::survey::{AssociationOwner, Entry, Inventory, MOST_SHARING, Trust, Via, Workload};

crate::model! {
    /// Configuration and result.
    pub(super) struct Model {
        pub(super) cluster_arn: Attr<String>,
        pub(super) cluster_name: Attr<String>,
        pub(super) issuer: Attr<String>,
        pub(super) label_selector: Attr<String>,
        pub(super) namespaces: Attr<SetOf<String>>,
        pub(super) report_markdown: Attr<String>,
        pub(super) service_accounts: Attr<BTreeMap<String, ServiceAccountModel>>,
        pub(super) totals: Attr<TotalsModel>,
    }
}

crate::model! {
    /// One service account.
    pub(super) struct ServiceAccountModel {
        pub(super) account_id: Attr<String>,
        pub(super) association_id: Attr<String>,
        pub(super) association_owner: Attr<String>,
        pub(super) association_role_arn: Attr<String>,
        pub(super) blockers: Vec<FindingModel>,
        pub(super) exists: bool,
        pub(super) has_annotation: bool,
        pub(super) migratable: bool,
        pub(super) name: String,
        pub(super) namespace: String,
        pub(super) owner: Attr<OwnerModel>,
        pub(super) phase: String,
        pub(super) role_arn: Attr<String>,
        pub(super) role_name: Attr<String>,
        pub(super) shared_with: Vec<String>,
        pub(super) trust: Attr<TrustModel>,
        pub(super) trusted_by: Vec<String>,
        pub(super) under_way: bool,
        pub(super) warnings: Vec<FindingModel>,
        pub(super) workloads: Vec<WorkloadModel>,
    }
}

crate::model! {
    /// A blocker or warning.
    pub(super) struct FindingModel {
        pub(super) code: String,
        pub(super) message: String,
    }
}

crate::model! {
    /// Who put the annotation there.
    pub(super) struct OwnerModel {
        pub(super) name: String,
        pub(super) tool: String,
    }
}

crate::model! {
    /// What the role's trust policy says.
    pub(super) struct TrustModel {
        pub(super) irsa: String,
        pub(super) pod_identity: String,
        pub(super) via: Attr<String>,
    }
}

crate::model! {
    /// A workload.
    pub(super) struct WorkloadModel {
        pub(super) kind: String,
        pub(super) name: Attr<String>,
        pub(super) pods: i64,
        pub(super) pods_on_pod_identity: i64,
        pub(super) restart: String,
    }
}

crate::model! {
    /// How many.
    pub(super) struct TotalsModel {
        pub(super) blocked: i64,
        pub(super) in_progress: i64,
        pub(super) migratable: i64,
        pub(super) migrated: i64,
        pub(super) pods: i64,
        pub(super) pods_on_pod_identity: i64,
        pub(super) roles: i64,
        pub(super) service_accounts: i64,
        pub(super) shared_roles: i64,
        pub(super) without_annotation: i64,
    }
}

impl Model {
    /// Fills in what was found.
    pub(super) fn fill(&mut self, cluster: &ClusterFacts, inventory: &Inventory) {
        let info = &cluster.cluster;
        self.cluster_arn = Attr::Known(info.arn.clone());
        self.cluster_name = Attr::Known(inventory.cluster.clone());
        self.issuer = info.oidc_issuer.clone().into();
        self.report_markdown = Attr::Known(report::markdown(inventory));
        self.service_accounts = Attr::Known(
            inventory
                .entries
                .iter()
                .map(|entry| (entry.key(), entry.into()))
                .collect(),
        );
        self.totals = Attr::Known(Totals::of(&inventory.entries).into());
    }
}

impl From<&Entry> for ServiceAccountModel {
    fn from(entry: &Entry) -> Self {
        let role = entry.role();
        let association = entry.association.as_ref();
        Self {
            account_id: role.as_ref().map(|role| role.account.clone()).into(),
            association_id: association.map(|association| association.id.clone()).into(),
            association_owner: entry
                .association_owner()
                .map(|owner| {
                    match owner {
                        AssociationOwner::Migration => "migration",
                        AssociationOwner::Addon => "addon",
                        AssociationOwner::Other => "other",
                    }
                    .to_owned()
                })
                .into(),
            association_role_arn: association
                .map(|association| association.role_arn.clone())
                .into(),
            blockers: entry.blockers().map(FindingModel::from).collect(),
            exists: entry.exists,
            has_annotation: entry.has_annotation,
            migratable: entry.migratable,
            name: entry.name.clone(),
            namespace: entry.namespace.clone(),
            owner: entry.owner.as_ref().map(OwnerModel::from).into(),
            phase: entry.phase.to_string(),
            role_arn: entry.role_arn.clone().into(),
            role_name: role.map(|role| role.name).into(),
            shared_with: entry.shared_with.clone(),
            trust: entry.trust.map(TrustModel::from).into(),
            trusted_by: entry.trusted_by.clone(),
            under_way: entry.is_under_way(),
            warnings: entry.warnings().map(FindingModel::from).collect(),
            workloads: entry.workloads.iter().map(WorkloadModel::from).collect(),
        }
    }
}

impl From<&Finding> for FindingModel {
    fn from(finding: &Finding) -> Self {
        Self {
            code: finding.code.to_string(),
            message: finding.message.clone(),
        }
    }
}

impl From<&Owner> for OwnerModel {
    fn from(owner: &Owner) -> Self {
        Self {
            name: owner.name.clone(),
            tool: match owner.tool {
                Tool::Helm => "helm",
                Tool::ArgoCd => "argo_cd",
                Tool::Flux => "flux",
                Tool::Terraform => "terraform",
                Tool::EksAddon => "eks_addon",
                Tool::Eksctl => "eksctl",
                Tool::Other => "other",
            }
            .to_owned(),
        }
    }
}

impl From<Trust> for TrustModel {
    fn from(trust: Trust) -> Self {
        let word = |access| {
            match access {
                Access::Allowed => "allowed",
                Access::NotAllowed => "not_allowed",
                Access::Unknown => "unknown",
            }
            .to_owned()
        };
        Self {
            irsa: word(trust.irsa),
            pod_identity: word(trust.pod_identity),
            via: trust
                .via
                .map(|via| {
                    match via {
                        Via::Exact => "exact",
                        Via::Pattern => "pattern",
                        Via::Cluster => "cluster",
                        Via::Other => "other",
                    }
                    .to_owned()
                })
                .into(),
        }
    }
}

impl From<&Workload> for WorkloadModel {
    fn from(workload: &Workload) -> Self {
        Self {
            kind: workload.id.kind.clone(),
            name: Some(workload.id.name.clone())
                .filter(|name| !name.is_empty())
                .into(),
            pods: number(workload.pods),
            pods_on_pod_identity: number(workload.pods_on_pod_identity),
            restart: match &workload.restart {
                Restart::Rolling => "rolling".to_owned(),
                Restart::Unknown => "unknown".to_owned(),
                Restart::Manual(why) => why.clone(),
            },
        }
    }
}

impl From<Totals> for TotalsModel {
    fn from(totals: Totals) -> Self {
        Self {
            blocked: number(totals.blocked),
            in_progress: number(totals.in_progress),
            migratable: number(totals.migratable),
            migrated: number(totals.migrated),
            pods: number(totals.pods),
            pods_on_pod_identity: number(totals.pods_on_pod_identity),
            roles: number(totals.roles),
            service_accounts: number(totals.service_accounts),
            shared_roles: number(totals.shared_roles),
            without_annotation: number(totals.without_annotation),
        }
    }
}

fn number(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

pub(super) fn schema() -> Schema {
    Schema::new(
        "Lists the service accounts of an EKS cluster that use IRSA (IAM roles for service accounts), and tells of each how it \
         stands on its way to EKS Pod Identity: its role and what that trusts, its association, its workloads, and what speaks \
         against a migration.\n\n\
         Listed is every service account with the annotation `eks.amazonaws.com/role-arn`, or from which a migration has removed it; every \
         one with an association that a migration created, even while the service account is deleted; and every service account that a trust \
         policy of one of their roles names for this cluster's OIDC provider; a pattern stands for \
         the service accounts that exist today. Roles in other accounts are not looked up.\n\n\
         Reading needs `eks:DescribeCluster`, `eks:ListPodIdentityAssociations`, `eks:DescribePodIdentityAssociation` and \
         `iam:GetRole`, what `podidentity_cluster` needs, and in Kubernetes to list service accounts, pods, workloads and network policies, either in the whole cluster or in each of \
         `namespaces`. Roles and workloads that may not be read become warnings with the code `not_checked`. It makes one list per kind and 500 objects, one GetRole per role, one \
         ListPodIdentityAssociations per 100 associations, and one DescribePodIdentityAssociation for each association of what is asked \
         for, at most eight at a time. What the policies of roles allow is not read here; a migration looks at that in its plan.\n\n\
         `report_markdown` is the same as long as nothing that matters changes, so it makes a good output; numbers of pods, in `workloads` \
         and `totals`, change with every step of an autoscaler.",
    )
    .attribute(cluster_name::data_source_attribute())
    .attribute(
        Attribute::string(
            "label_selector",
            "Only service accounts with these labels, as `kubectl --selector` takes it: `team=payments,tier!=test`. One that does not exist has none: \
             while a service account is deleted it is not selected, whatever a migration has begun, and leaves a `for_each` over this.",
        )
        .optional()
        .validate(validators::length_between(1, 4_096)),
    )
    .attribute(
        Attribute::set(
            "namespaces",
            Type::String,
            "Only service accounts of these namespaces. Each is then listed by itself, so rights in them are enough; service accounts of other \
             namespaces that share a role are then not seen. Default: all.",
        )
        .optional()
        .validate(validators::size_between(1, 1_000))
        .validate(validators::each(names::namespace())),
    )
    .attribute(Attribute::string("cluster_arn", "ARN of the cluster.").computed())
    .attribute(
        Attribute::string("issuer", "URL of the cluster's OIDC issuer; null if it has none.")
            .computed(),
    )
    .attribute(
        Attribute::string(
            "report_markdown",
            "The inventory as Markdown, fit for a comment on a pull request: at most 65,536 characters; what does not fit is counted.",
        )
        .computed(),
    )
    .attribute(
        Attribute::nested(
            "service_accounts",
            Nesting::Map,
            service_account_attributes(),
            "Service accounts by `namespace/name`.",
        )
        .computed(),
    )
    .attribute(
        Attribute::nested("totals", Nesting::Single, totals_attributes(), "How many there are.")
            .computed(),
    )
}

fn service_account_attributes() -> Vec<Attribute> {
    let text = |name, description: &str| Attribute::string(name, description).computed();
    let findings = |name, description: &str| {
        let attributes = vec![
            text("code", "The stable code."),
            text("message", "What was found and what to do."),
        ];
        Attribute::nested(name, Nesting::List, attributes, description).computed()
    };
    vec![
        text("account_id", "Account of the role; null if `role_arn` is not the ARN of a role."),
        text("association_id", "Id of the association; null if there is none."),
        text(
            "association_owner",
            "Whose the association is: `migration` (one created it), `addon` (it belongs to an EKS add-on, and can only be changed through that) \
             or `other`; null if there is none.",
        ),
        text(
            "association_role_arn",
            "Role of the association; null if there is none.",
        ),
        findings(
            "blockers",
            "What stops a migration from beginning, with the codes that `ignore_blockers` of `podidentity_irsa_migration` takes, in their order. What is on \
             Pod Identity already by an association of somebody else has `association_exists` or `association_owned` here.",
        ),
        Attribute::bool(
            "exists",
            "Whether there is such a service account, or a trust policy only names it.",
        )
        .computed(),
        Attribute::bool(
            "has_annotation",
            "Whether it has the annotation `eks.amazonaws.com/role-arn`.",
        )
        .computed(),
        Attribute::bool(
            "migratable",
            "Whether the role could be read and nothing blocks a migration that takes its role from the annotation. It stays true once a migration has \
             created the association (`under_way`), whatever blocks it then, so that a `for_each` over it does not take back what it has begun. That \
             holds for the migrations of other configurations too: where several configurations migrate service accounts of one cluster, select by \
             `namespaces`, so that none takes over what another has begun.",
        )
        .computed(),
        text("name", "Name."),
        text("namespace", "Namespace."),
        Attribute::nested(
            "owner",
            Nesting::Single,
            vec![
                text("name", "What the tool calls the object: release, application, field manager."),
                text(
                    "tool",
                    "`helm`, `argo_cd`, `flux`, `terraform`, `eks_addon`, `eksctl` or `other`.",
                ),
            ],
            "Who put the annotation there, and may put it back; null if that cannot be told.",
        )
        .computed(),
        text(
            "phase",
            "How far it is, whoever brought it there: `not_started`, `trust_added` (the role lets Pod Identity in), `associated`, \
             `propagated` (some pods are on Pod Identity), `rolled_out` (pods that are not cannot be restarted), `verified` (every pod is on Pod Identity; \
             while there are none, a migration has begun, which proves it with dry runs), `retired` (a migration has removed the annotation too). An \
             association counts with the role of the service account, and as long as that role lets Pod Identity in.",
        ),
        text(
            "role_arn",
            "The role of the annotation, as written there; without one, what a migration noted when it removed that, the role of the migration's \
             association, or the first of `trusted_by`.",
        ),
        text("role_name", "Name of the role, without its path."),
        Attribute::list(
            "shared_with",
            Type::String,
            format!(
                "Other service accounts that share the role, because their annotation names it or its trust policy names them, as \
                 `namespace/name`; the first {MOST_SHARING}. All of those that are listed here have the same `role_arn`."
            ),
        )
        .computed(),
        Attribute::nested(
            "trust",
            Nesting::Single,
            vec![
                text(
                    "irsa",
                    "Whether it lets the service account in by IRSA: `allowed`, `not_allowed` or `unknown`.",
                ),
                text(
                    "pod_identity",
                    "Whether it lets the service account in by Pod Identity: `allowed`, `not_allowed` or `unknown`.",
                ),
                text(
                    "via",
                    "How it names the service account to IRSA: `exact` (its subject), `pattern`, `cluster` (every service account of the cluster) or `other` \
                     (an operator such as `StringNotEquals`); null if it does not let it in.",
                ),
            ],
            "What the trust policy of the role says; null if it could not be read.",
        )
        .computed(),
        Attribute::list(
            "trusted_by",
            Type::String,
            "ARNs of the listed roles whose trust policies name the service account, by its subject or a pattern, and let it in by IRSA, or may.",
        )
        .computed(),
        Attribute::bool(
            "under_way",
            "Whether a migration has created its association, of this configuration or of another one, be it finished or not.",
        )
        .computed(),
        findings(
            "warnings",
            "What is worth knowing before a migration, with stable codes.",
        ),
        Attribute::nested(
            "workloads",
            Nesting::List,
            vec![
                text(
                    "kind",
                    "Kind of the topmost owner: `Deployment`, `StatefulSet`, `DaemonSet`, `CronJob`, `Job`, `Pod` and so on.",
                ),
                text(
                    "name",
                    "Its name; null for Jobs, pods without a controller and other kinds that come and go, which are counted together.",
                ),
                Attribute::number("pods", "Its pods that have not ended and are not being deleted.").computed(),
                Attribute::number("pods_on_pod_identity", "Those of them on Pod Identity.").computed(),
                text("restart", "`rolling`, `unknown`, or why a migration does not restart it."),
            ],
            "Workloads that use the service account.",
        )
        .computed(),
    ]
}

fn totals_attributes() -> Vec<Attribute> {
    let number = |name, description: &str| Attribute::number(name, description).computed();
    vec![
        number(
            "blocked",
            "Service accounts with a role that are not `migratable` and not on Pod Identity.",
        ),
        number(
            "in_progress",
            "Service accounts that a migration has begun with and that are not in the phase `verified` or `retired`.",
        ),
        number("migratable", "Service accounts that are `migratable`."),
        number(
            "migrated",
            "Service accounts in the phases `verified` and `retired`.",
        ),
        number("pods", "Pods of all service accounts."),
        number("pods_on_pod_identity", "Those of them on Pod Identity."),
        number(
            "roles",
            "Distinct roles that annotations name, or named before a migration removed them.",
        ),
        number("service_accounts", "Service accounts."),
        number(
            "shared_roles",
            "Those of them that several listed service accounts share.",
        ),
        number(
            "without_annotation",
            "Service accounts without the annotation.",
        ),
    ]
}
