//! What configuring the provider makes, and what every operation gets.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use aws_sdk_iam::types::SummaryKeyType;
use tokio_util::sync::CancellationToken;

use crate::aws::facts::{AddonVersion, ClusterInfo, RoleInfo};
use crate::aws::lookup::Lookup;
use crate::aws::partition::POD_IDENTITY_SERVICE_PRINCIPAL;
use crate::aws::tags::ReadTags;
use crate::aws::{AwsError, AwsErrorKind, Clients, Eks, Iam, Partition, Sts, TagPolicy, read};
use crate::cty::{Path, Value};
use crate::framework::model::Attr;
use crate::kubernetes::{ClusterApi, KubernetesConfig, KubernetesError, reach};
use crate::migration::facts::{ClusterFacts, NamespaceFacts};
use crate::migration::readiness::{Latest, PlannedAgents};
use crate::migration::roles::RolePolicies;
use crate::migration::steps::association::AssociationSummary;
use crate::migration::steps::rollout::RestartGates;
use crate::migration::steps::trust::RoleLocks;
use crate::resources::association::ThisRun;
use crate::resources::irsa_migration::ThisRun as Migrations;
use crate::resources::planned_trust::PlannedTrusts;

/// The configured provider: clients, defaults, and look-ups that are asked once per process.
///
/// When the provider block holds values that are not known at plan time, everything that depends on them answers
/// [`AwsErrorKind::NotYetKnown`]; the rest works.
#[derive(Debug)]
pub struct ProviderData {
    clients: Result<Clients, Vec<Path>>,
    options: Options,
    account_id: Lookup<(), String>,
    clusters: Lookup<String, Arc<ClusterInfo>>,
    addon_versions: Lookup<(String, String), Arc<Vec<AddonVersion>>>,
    addon_schemas: Lookup<(String, String), Option<Arc<str>>>,
    roles: Lookup<String, Option<Arc<RoleInfo>>>,
    role_policies: Lookup<String, Arc<RolePolicies>>,
    trust_quota: Lookup<(), usize>,
    node_roles: Lookup<(String, String), Option<String>>,
    kubernetes_apis: Lookup<String, Arc<ClusterApi>, KubernetesError>,
    /// The cluster of the one API server that the `kubernetes` block names, if it names one.
    kubernetes_cluster: OnceLock<String>,
    namespaces: Lookup<(String, String), Arc<NamespaceFacts>, KubernetesError>,
    readiness: Lookup<String, Arc<ClusterFacts>>,
    latest_readiness: Latest,
    planned_agents: PlannedAgents,
    planned_trusts: PlannedTrusts,
    associations: ThisRun,
    migrations: Migrations,
    association_lists: Lookup<String, Arc<Vec<AssociationSummary>>>,
    role_locks: RoleLocks,
    restart_gates: RestartGates,
}

/// What the provider block says beside how to reach AWS.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// `cluster_name`.
    pub cluster_name: Attr<String>,
    /// `default_tags` and `ignore_tags`.
    pub tags: TagPolicy,
    /// `service_principal`.
    pub service_principal: Attr<String>,
    /// `skip_requesting_account_id`.
    pub skip_requesting_account_id: bool,
    /// The `kubernetes` block.
    pub kubernetes: KubernetesConfig,
}

impl ProviderData {
    /// The data for clients, or for the paths that are not known yet.
    #[must_use]
    pub fn new(clients: Result<Clients, Vec<Path>>, options: Options) -> Self {
        Self {
            clients,
            options,
            account_id: Lookup::default(),
            clusters: Lookup::default(),
            addon_versions: Lookup::default(),
            addon_schemas: Lookup::default(),
            roles: Lookup::default(),
            role_policies: Lookup::default(),
            trust_quota: Lookup::default(),
            node_roles: Lookup::default(),
            kubernetes_apis: Lookup::default(),
            namespaces: Lookup::default(),
            readiness: Lookup::default(),
            latest_readiness: Latest::default(),
            planned_agents: PlannedAgents::default(),
            kubernetes_cluster: OnceLock::new(),
            planned_trusts: PlannedTrusts::default(),
            associations: ThisRun::default(),
            migrations: Migrations::default(),
            association_lists: Lookup::default(),
            role_locks: RoleLocks::default(),
            restart_gates: RestartGates::default(),
        }
    }

    /// All clients.
    ///
    /// # Errors
    /// `NotYetKnown` while the provider block depends on unknown values.
    pub fn clients(&self) -> Result<&Clients, AwsError> {
        self.clients
            .as_ref()
            .map_err(|paths| AwsError::not_yet_known(paths))
    }

    /// The EKS client, built on first use.
    ///
    /// # Errors
    /// `NotYetKnown` while the provider block depends on unknown values; at plan time skip what needed the call.
    pub fn eks(&self) -> Result<&Eks, AwsError> {
        self.clients().map(Clients::eks)
    }

    /// The IAM client, built on first use.
    ///
    /// # Errors
    /// As [`eks`](Self::eks).
    pub fn iam(&self) -> Result<&Iam, AwsError> {
        self.clients().map(Clients::iam)
    }

    /// The STS client, built on first use.
    ///
    /// # Errors
    /// As [`eks`](Self::eks).
    pub fn sts(&self) -> Result<&Sts, AwsError> {
        self.clients().map(Clients::sts)
    }

    /// The region.
    ///
    /// # Errors
    /// As [`eks`](Self::eks).
    pub fn region(&self) -> Result<&str, AwsError> {
        self.clients().map(Clients::region)
    }

    /// The partition of the region.
    ///
    /// # Errors
    /// As [`eks`](Self::eks).
    pub fn partition(&self) -> Result<&'static Partition, AwsError> {
        self.clients().map(Clients::partition)
    }

    /// The account of the credentials: one `GetCallerIdentity` per process, and only if somebody asks.
    ///
    /// # Errors
    /// As [`eks`](Self::eks); what STS answers; `Other` when `skip_requesting_account_id` forbids to ask.
    pub async fn account_id(&self, cancel: &CancellationToken) -> Result<String, AwsError> {
        if self.options.skip_requesting_account_id {
            return Err(AwsError::new(
                AwsErrorKind::Other,
                "the account id is not known because the provider is configured with skip_requesting_account_id",
            ));
        }
        self.account_id
            .get((), || async {
                let answer = read(cancel, self.sts()?.get_caller_identity().send()).await?;
                answer.account().map(ToOwned::to_owned).ok_or_else(|| {
                    AwsError::new(AwsErrorKind::Other, "STS answered without an account id")
                        .in_call("STS", "GetCallerIdentity")
                })
            })
            .await
    }

    /// The provider's `cluster_name`: the default for resources without one.
    #[must_use]
    pub fn default_cluster_name(&self) -> Attr<String> {
        self.options.cluster_name.clone()
    }

    /// The service principal that trust policies name: `pods.eks.amazonaws.com` unless configured otherwise, unknown
    /// while the configured value is.
    #[must_use]
    pub fn service_principal(&self) -> Attr<String> {
        match (&self.options.service_principal, &self.clients) {
            (Attr::Null, Ok(clients)) => clients.partition().pod_identity_service_principal.into(),
            (Attr::Null, Err(_)) => POD_IDENTITY_SERVICE_PRINCIPAL.into(),
            (configured, _) => configured.clone(),
        }
    }

    /// Default and ignored tags.
    #[must_use]
    pub fn tag_policy(&self) -> &TagPolicy {
        &self.options.tags
    }

    /// The planned `tags_all` for configured `tags`. See [`TagPolicy::plan_tags_all`].
    #[must_use]
    pub fn plan_tags_all(&self, tags: &Value) -> Value {
        self.options.tags.plan_tags_all(tags)
    }

    /// `tags` and `tags_all` after a read. See [`TagPolicy::read`].
    #[must_use]
    pub fn read_tags(&self, remote: &BTreeMap<String, String>, prior_tags: &Value) -> ReadTags {
        self.options.tags.read(remote, prior_tags)
    }

    /// How Kubernetes is reached.
    #[must_use]
    pub fn kubernetes(&self) -> &KubernetesConfig {
        &self.options.kubernetes
    }

    /// A cluster: one `DescribeCluster` per name and process, once it is active. Until then its state may change at any time.
    ///
    /// # Errors
    /// As [`eks`](Self::eks); what EKS answers, `NotFound` included.
    pub async fn cluster(
        &self,
        cancel: &CancellationToken,
        name: &str,
    ) -> Result<Arc<ClusterInfo>, AwsError> {
        let cluster = self
            .clusters
            .get(name.to_owned(), || async {
                let call = self.eks()?.describe_cluster().name(name).send();
                let answer = read(cancel, call).await?;
                answer
                    .cluster()
                    .map(|cluster| Arc::new(ClusterInfo::from(cluster)))
                    .ok_or_else(|| {
                        AwsError::new(AwsErrorKind::Other, "EKS answered without a cluster")
                            .in_call("EKS", "DescribeCluster")
                    })
            })
            .await?;
        if cluster.status != "ACTIVE" {
            self.clusters.forget(&name.to_owned());
        }
        Ok(cluster)
    }

    /// The Kubernetes API of a cluster, set up once per name and process. Asks EKS where the cluster is; the API server
    /// itself is asked by the first call.
    ///
    /// # Errors
    /// When the cluster cannot be found, its endpoint is not known, or the `kubernetes` block cannot be used;
    /// `NotYetKnown` while the block or what EKS is asked with depends on unknown values.
    pub async fn kubernetes_api(
        &self,
        cancel: &CancellationToken,
        cluster: &str,
    ) -> Result<Arc<ClusterApi>, KubernetesError> {
        self.kubernetes_apis
            .get(cluster.to_owned(), || async {
                let config = &self.options.kubernetes;
                reach::check_known(config)?;
                if !config.asks_eks() {
                    let default = self.options.cluster_name.as_deref();
                    let expected = self
                        .kubernetes_cluster
                        .get_or_init(|| default.unwrap_or(cluster).to_owned());
                    reach::check_cluster(expected, cluster)?;
                }
                let found = match self.cluster(cancel, cluster).await {
                    Err(error) if error.is_cancelled() => return Err(error.into()),
                    found => found,
                };
                reach::cluster_api(config, cluster, found, self.clients(), None).map(Arc::new)
            })
            .await
    }

    /// The versions of an add-on that run on a Kubernetes version, newest first as EKS lists them; empty if there are
    /// none. One `DescribeAddonVersions` (per page) per add-on, Kubernetes version and process.
    ///
    /// # Errors
    /// As [`eks`](Self::eks); what EKS answers.
    pub async fn addon_versions(
        &self,
        cancel: &CancellationToken,
        addon_name: &str,
        kubernetes_version: &str,
    ) -> Result<Arc<Vec<AddonVersion>>, AwsError> {
        let key = (addon_name.to_owned(), kubernetes_version.to_owned());
        self.addon_versions
            .get(key, || async {
                let mut versions = Vec::new();
                let mut next_token = None;
                loop {
                    let call = self
                        .eks()?
                        .describe_addon_versions()
                        .addon_name(addon_name)
                        .kubernetes_version(kubernetes_version)
                        .set_next_token(next_token)
                        .send();
                    let page = read(cancel, call).await?;
                    versions.extend(
                        page.addons()
                            .iter()
                            .filter(|addon| addon.addon_name() == Some(addon_name))
                            .flat_map(|addon| addon.addon_versions())
                            .map(|info| AddonVersion::new(info, kubernetes_version)),
                    );
                    next_token = page.next_token().map(ToOwned::to_owned);
                    if next_token.is_none() {
                        break;
                    }
                }
                Ok(Arc::new(versions))
            })
            .await
    }

    /// The JSON schema that EKS publishes for the configuration values of an add-on version; `None` if it publishes
    /// none. One `DescribeAddonConfiguration` per version and process.
    ///
    /// # Errors
    /// As [`eks`](Self::eks); what EKS answers.
    pub async fn addon_configuration_schema(
        &self,
        cancel: &CancellationToken,
        addon_name: &str,
        addon_version: &str,
    ) -> Result<Option<Arc<str>>, AwsError> {
        let key = (addon_name.to_owned(), addon_version.to_owned());
        self.addon_schemas
            .get(key, || async {
                let call = self
                    .eks()?
                    .describe_addon_configuration()
                    .addon_name(addon_name)
                    .addon_version(addon_version)
                    .send();
                let answer = read(cancel, call).await?;
                Ok(answer
                    .configuration_schema()
                    .filter(|schema| !schema.is_empty())
                    .map(Arc::from))
            })
            .await
    }

    /// The ARN of the role of a managed node group: one `DescribeNodegroup` per cluster, node group and process.
    ///
    /// # Errors
    /// As [`eks`](Self::eks); what EKS answers.
    pub async fn node_role(
        &self,
        cancel: &CancellationToken,
        cluster: &str,
        node_group: &str,
    ) -> Result<Option<String>, AwsError> {
        self.node_roles
            .get((cluster.to_owned(), node_group.to_owned()), || async {
                let call = self
                    .eks()?
                    .describe_nodegroup()
                    .cluster_name(cluster)
                    .nodegroup_name(node_group)
                    .send();
                let answer = read(cancel, call).await?;
                let group = answer.nodegroup();
                Ok(group
                    .and_then(|group| group.node_role())
                    .map(ToOwned::to_owned))
            })
            .await
    }

    /// How many characters a trust policy may have in this account, white space not counted: one `GetAccountSummary` per process, and
    /// only if somebody asks.
    ///
    /// # Errors
    /// As [`eks`](Self::eks); what IAM answers.
    pub async fn trust_quota(&self, cancel: &CancellationToken) -> Result<usize, AwsError> {
        self.trust_quota
            .get((), || async {
                let answer = read(cancel, self.iam()?.get_account_summary().send()).await?;
                answer
                    .summary_map()
                    .and_then(|map| map.get(&SummaryKeyType::AssumeRolePolicySizeQuota))
                    .and_then(|quota| usize::try_from(*quota).ok())
                    .ok_or_else(|| {
                        AwsError::new(AwsErrorKind::Other, "IAM answered without the quota")
                            .in_call("IAM", "GetAccountSummary")
                    })
            })
            .await
    }

    /// A role of this account by name; `None` if there is none. One `GetRole` per name and process, unless
    /// [`put_role`](Self::put_role) has told already.
    ///
    /// # Errors
    /// As [`eks`](Self::eks); what IAM answers, except that the role does not exist.
    pub async fn role(
        &self,
        cancel: &CancellationToken,
        name: &str,
    ) -> Result<Option<Arc<RoleInfo>>, AwsError> {
        self.roles
            .get(name.to_owned(), || self.ask_role(cancel, name))
            .await
    }

    /// A role as IAM has it now, asked anew; the answer is kept for [`role`](Self::role). For refreshes.
    ///
    /// # Errors
    /// As [`role`](Self::role).
    pub async fn read_role(
        &self,
        cancel: &CancellationToken,
        name: &str,
    ) -> Result<Option<Arc<RoleInfo>>, AwsError> {
        let role = self.ask_role(cancel, name).await?;
        self.roles.put(name.to_owned(), role.clone());
        Ok(role)
    }

    /// Keeps what a write learned about a role, so that nobody has to ask.
    pub fn put_role(&self, role: Arc<RoleInfo>) {
        self.roles.put(role.name.clone(), Some(role));
    }

    /// Namespaces of clusters by name, for [`gather`](crate::migration::gather).
    pub(crate) fn namespaces(
        &self,
    ) -> &Lookup<(String, String), Arc<NamespaceFacts>, KubernetesError> {
        &self.namespaces
    }

    /// What is known of the readiness of clusters; [`crate::migration::readiness`] asks.
    pub(crate) fn readiness(&self) -> &Lookup<String, Arc<ClusterFacts>> {
        &self.readiness
    }

    /// What was last seen of the readiness of clusters, for what is about to change something.
    pub(crate) fn latest_readiness(&self) -> &Latest {
        &self.latest_readiness
    }

    /// The agents that this run is going to install.
    #[must_use]
    pub fn planned_agents(&self) -> &PlannedAgents {
        &self.planned_agents
    }

    /// What was read of the policies of roles, by role name; see [`crate::migration::roles::policies`].
    #[must_use]
    pub fn role_policies(&self) -> &Lookup<String, Arc<RolePolicies>> {
        &self.role_policies
    }

    /// What this run did to associations.
    #[must_use]
    pub fn associations(&self) -> &ThisRun {
        &self.associations
    }

    /// The associations of clusters by name, as they were listed in this run. Whoever creates or deletes one forgets the cluster's.
    #[must_use]
    pub fn association_lists(&self) -> &Lookup<String, Arc<Vec<AssociationSummary>>> {
        &self.association_lists
    }

    /// The locks under which trust policies of existing roles are changed, one per role.
    #[must_use]
    pub fn role_locks(&self) -> &RoleLocks {
        &self.role_locks
    }

    /// The gates that let one restart at a time into a namespace.
    #[must_use]
    pub fn restart_gates(&self) -> &RestartGates {
        &self.restart_gates
    }

    /// What this run knows of migrations.
    #[must_use]
    pub fn migrations(&self) -> &Migrations {
        &self.migrations
    }

    /// The trust policies that this run is going to give to roles.
    #[must_use]
    pub fn planned_trusts(&self) -> &PlannedTrusts {
        &self.planned_trusts
    }

    /// Forgets a role because a write changed or deleted it.
    pub fn forget_role(&self, name: &str) {
        self.roles.forget(&name.to_owned());
    }

    async fn ask_role(
        &self,
        cancel: &CancellationToken,
        name: &str,
    ) -> Result<Option<Arc<RoleInfo>>, AwsError> {
        match read(cancel, self.iam()?.get_role().role_name(name).send()).await {
            Ok(answer) => Ok(answer.role().map(|role| Arc::new(RoleInfo::from(role)))),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }
}
