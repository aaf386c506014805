//! Clusters and what hangs off them.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use time::OffsetDateTime;

use super::addons::{Addon, Behaviour, Update};
use super::associations::Association;
use super::parameters::Parameters;
use super::tags::Tags;
use super::{EksError, cluster, epoch};
use crate::kubernetes::controllers::{self, AGENT};
use crate::kubernetes::{Kubernetes, Surroundings};
use crate::state::{Caller, State, partition};

/// Clusters live per account and region.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ClusterKey {
    pub(crate) account_id: String,
    pub(crate) region: String,
    pub(crate) name: String,
}

pub(crate) struct Cluster {
    pub(crate) key: ClusterKey,
    pub(crate) version: String,
    pub(crate) platform_version: String,
    pub(crate) status: String,
    /// EKS Auto Mode: the Pod Identity agent is built in.
    pub(crate) auto_mode: bool,
    pub(crate) created: OffsetDateTime,
    pub(crate) tags: Tags,
    /// URL of the OIDC issuer, with scheme.
    pub(crate) issuer: String,
    /// `https://127.0.0.1:PORT` of this cluster's own Kubernetes API.
    pub(crate) endpoint: String,
    /// PEM, base64-encoded once more, as EKS gives it.
    pub(crate) certificate_authority: String,
    pub(crate) addons: BTreeMap<String, Addon>,
    pub(crate) behaviours: BTreeMap<String, Behaviour>,
    /// By order of creation.
    pub(crate) associations: BTreeMap<u64, Association>,
    pub(crate) updates: Vec<Update>,
    /// By name; the content of the `fargateProfile` member.
    pub(crate) fargate_profiles: BTreeMap<String, Map<String, Value>>,
    /// By name; the content of the `nodegroup` member.
    pub(crate) nodegroups: BTreeMap<String, Map<String, Value>>,
    pub(crate) kubernetes: Kubernetes,
    last_association: u64,
}

impl Cluster {
    pub(crate) fn new(
        key: ClusterKey,
        issuer_id: &str,
        endpoint: String,
        certificate_authority: String,
        now: OffsetDateTime,
    ) -> Self {
        let suffix = if key.region.starts_with("cn-") {
            "amazonaws.com.cn"
        } else {
            "amazonaws.com"
        };
        Self {
            version: "1.33".into(),
            platform_version: "eks.9".into(),
            status: "ACTIVE".into(),
            auto_mode: false,
            created: now,
            tags: Tags::new(),
            issuer: format!("https://oidc.eks.{}.{suffix}/id/{issuer_id}", key.region),
            endpoint,
            certificate_authority,
            addons: BTreeMap::new(),
            behaviours: BTreeMap::new(),
            associations: BTreeMap::new(),
            updates: Vec::new(),
            fargate_profiles: BTreeMap::new(),
            nodegroups: BTreeMap::new(),
            kubernetes: Kubernetes::new(now),
            last_association: 0,
            key,
        }
    }

    /// Refuses what cannot be added to a cluster that comes or goes. Code and message are an assumption for associations.
    pub(super) fn check_active(&self) -> Result<(), EksError> {
        match self.status.as_str() {
            "CREATING" | "PENDING" | "DELETING" | "FAILED" => {
                let name = &self.key.name;
                let message = format!("Cluster '{name}' is not in ACTIVE status");
                Err(EksError::invalid_request(message).of_cluster(name))
            }
            _ => Ok(()),
        }
    }

    /// Whether the Pod Identity agent's add-on works; `None` without it.
    pub(crate) fn agent_works(&self) -> Option<bool> {
        let status = self.addons.get(AGENT)?.status();
        Some(["ACTIVE", "UPDATING", "UPDATE_FAILED"].contains(&status))
    }

    /// What the Kubernetes side sees of the rest.
    pub(crate) fn surroundings(&self) -> Surroundings<'_> {
        Surroundings {
            region: &self.key.region,
            fargate: &self.fargate_profiles,
            agent: self.agent_works(),
            issuer: &self.issuer,
        }
    }

    /// The Kubernetes side to change, and what it sees of the rest.
    pub(crate) fn kubernetes_and_surroundings(&mut self) -> (&mut Kubernetes, Surroundings<'_>) {
        let agent = self.agent_works();
        let around = Surroundings {
            region: &self.key.region,
            fargate: &self.fargate_profiles,
            agent,
            issuer: &self.issuer,
        };
        (&mut self.kubernetes, around)
    }

    /// Lets the Kubernetes side know what has changed, and its controllers work. With `settle` all of it is in effect at once.
    pub(crate) fn run_controllers(&mut self, settle: bool, now: OffsetDateTime) {
        let (k, around) = self.kubernetes_and_surroundings();
        controllers::run(k, &around, settle, now);
    }

    /// Tells the webhook which associations there are.
    pub(crate) fn sync_associations(&mut self, settle: bool, now: OffsetDateTime) {
        let present = self
            .associations
            .values()
            .map(|a| (a.namespace.clone(), a.service_account.clone()))
            .collect();
        self.kubernetes.sync_associations(present, settle, now);
    }

    pub(crate) fn arn(&self, resource: &str) -> String {
        format!(
            "arn:{}:eks:{}:{}:{resource}",
            partition(&self.key.region),
            self.key.region,
            self.key.account_id
        )
    }

    pub(crate) fn association(&self, id: &str) -> Option<&Association> {
        self.associations.values().find(|a| a.id == id)
    }

    pub(crate) fn association_mut(&mut self, id: &str) -> Option<&mut Association> {
        self.associations.values_mut().find(|a| a.id == id)
    }

    pub(crate) fn association_of(
        &self,
        namespace: &str,
        service_account: &str,
    ) -> Option<&Association> {
        self.associations
            .values()
            .find(|a| a.namespace == namespace && a.service_account == service_account)
    }

    pub(crate) fn add_association(&mut self, association: Association) {
        self.last_association += 1;
        self.associations.insert(self.last_association, association);
    }

    fn json(&self) -> Value {
        let arn = self.arn(&format!("cluster/{}", self.key.name));
        json!({
            "name": self.key.name,
            "arn": arn,
            "createdAt": epoch(self.created),
            "version": self.version,
            "endpoint": self.endpoint,
            "roleArn": format!("arn:{}:iam::{}:role/{}-cluster", partition(&self.key.region), self.key.account_id, self.key.name),
            "resourcesVpcConfig": {
                "subnetIds": ["subnet-0a1b2c3d4e5f60001", "subnet-0a1b2c3d4e5f60002"],
                "securityGroupIds": [],
                "clusterSecurityGroupId": "sg-0a1b2c3d4e5f60001",
                "vpcId": "vpc-0a1b2c3d4e5f60001",
                "endpointPublicAccess": true,
                "endpointPrivateAccess": true,
                "publicAccessCidrs": ["0.0.0.0/0"],
            },
            "kubernetesNetworkConfig": {"serviceIpv4Cidr": "172.20.0.0/16", "ipFamily": "ipv4", "elasticLoadBalancing": {"enabled": self.auto_mode}},
            "logging": {"clusterLogging": [{"types": ["api", "audit", "authenticator", "controllerManager", "scheduler"], "enabled": false}]},
            "identity": {"oidc": {"issuer": self.issuer}},
            "status": self.status,
            "certificateAuthority": {"data": self.certificate_authority},
            "platformVersion": self.platform_version,
            "tags": self.tags,
            "health": {"issues": []},
            "accessConfig": {"authenticationMode": "API"},
            "upgradePolicy": {"supportType": "STANDARD"},
            "computeConfig": {"enabled": self.auto_mode, "nodePools": if self.auto_mode { json!(["general-purpose", "system"]) } else { json!([]) }},
            "storageConfig": {"blockStorage": {"enabled": self.auto_mode}},
            "deletionProtection": false,
        })
    }

    /// The cluster with everything in it, for the control API.
    pub(crate) fn describe_all(&self) -> Value {
        let mut value = self.json();
        value["account_id"] = self.key.account_id.clone().into();
        value["region"] = self.key.region.clone().into();
        value["addons"] = self.addons.values().map(|addon| addon.json(self)).collect();
        value["associations"] = self.associations.values().map(|a| a.json(self)).collect();
        value["objects"] = self.kubernetes.describe();
        value
    }
}

pub(super) fn list(
    state: &mut State,
    caller: &Caller,
    p: &Parameters<'_>,
) -> Result<Value, EksError> {
    let names = state
        .clusters
        .keys()
        .filter(|key| key.account_id == caller.context.account_id && key.region == caller.region)
        .map(|key| (key.name.clone(), key.name.clone()));
    let (page, next) = state.pager.page(
        names,
        "ListClusters",
        p.max_results()?,
        p.string("nextToken")?,
    )?;
    Ok(json!({"clusters": page, "nextToken": next}))
}

pub(super) fn describe(
    state: &mut State,
    caller: &Caller,
    p: &Parameters<'_>,
) -> Result<Value, EksError> {
    let cluster = cluster(state, caller, p.required("name")?)?;
    Ok(json!({"cluster": cluster.json()}))
}

pub(super) fn list_fargate_profiles(
    state: &mut State,
    caller: &Caller,
    p: &Parameters<'_>,
) -> Result<Value, EksError> {
    let name = p.required("clusterName")?;
    let names: Vec<String> = cluster(state, caller, name)?
        .fargate_profiles
        .keys()
        .cloned()
        .collect();
    let (page, next) = state.pager.page(
        names.into_iter().map(|n| (n.clone(), n)),
        &format!("ListFargateProfiles {name}"),
        p.max_results()?,
        p.string("nextToken")?,
    )?;
    Ok(json!({"fargateProfileNames": page, "nextToken": next}))
}

pub(super) fn describe_nodegroup(
    state: &mut State,
    caller: &Caller,
    p: &Parameters<'_>,
) -> Result<Value, EksError> {
    let (name, nodegroup) = (p.required("clusterName")?, p.required("nodegroupName")?);
    let found = cluster(state, caller, name)?.nodegroups.get(nodegroup);
    found.map(|g| json!({"nodegroup": g})).ok_or_else(|| {
        EksError::not_found(format!("No node group found for name: {nodegroup}.")).of_cluster(name)
    })
}

pub(super) fn describe_fargate_profile(
    state: &mut State,
    caller: &Caller,
    p: &Parameters<'_>,
) -> Result<Value, EksError> {
    let (name, profile) = (
        p.required("clusterName")?,
        p.required("fargateProfileName")?,
    );
    let found = cluster(state, caller, name)?.fargate_profiles.get(profile);
    found.map(|p| json!({"fargateProfile": p})).ok_or_else(|| {
        EksError::not_found(format!("No Fargate Profile found with name: {profile}."))
            .of_cluster(name)
    })
}
