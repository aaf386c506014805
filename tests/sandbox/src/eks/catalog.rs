//! The add-ons on offer: versions, their compatibility, configuration schemas and service accounts.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::EksError;
use super::parameters::Parameters;

/// The Pod Identity agent.
pub(crate) const AGENT: &str = "eks-pod-identity-agent";

/// Kubernetes versions on offer, oldest first.
const KUBERNETES: [&str; 6] = ["1.29", "1.30", "1.31", "1.32", "1.33", "1.34"];

#[derive(Clone, Debug)]
struct Version {
    name: String,
    /// Kubernetes versions it runs on, and whether it is the default there.
    compatibilities: BTreeMap<String, bool>,
    schema: Value,
    /// Service accounts that Pod Identity can serve, with the policies AWS recommends for each.
    service_accounts: BTreeMap<String, Vec<String>>,
}

#[derive(Clone, Debug)]
struct Offer {
    kind: &'static str,
    /// Newest first, as the API lists them.
    versions: Vec<Version>,
}

/// Add-ons by name.
#[derive(Clone, Debug)]
pub(crate) struct Catalog {
    offers: BTreeMap<String, Offer>,
}

/// Versions are ordered by their numbers: `v1.3.10` is newer than `v1.3.9`.
fn order(version: &str) -> Vec<u64> {
    version
        .split(|c: char| !c.is_ascii_digit())
        .filter_map(|digits| digits.parse().ok())
        .collect()
}

/// `(version, first and last Kubernetes version, Kubernetes versions it is the default of)`
type Row = (
    &'static str,
    &'static str,
    &'static str,
    &'static [&'static str],
);

const AGENT_VERSIONS: [Row; 9] = [
    ("v1.0.0-eksbuild.1", "1.29", "1.31", &[]),
    ("v1.2.0-eksbuild.1", "1.29", "1.32", &[]),
    ("v1.3.2-eksbuild.2", "1.29", "1.33", &["1.29"]),
    ("v1.3.4-eksbuild.1", "1.29", "1.33", &["1.30", "1.31"]),
    ("v1.3.5-eksbuild.2", "1.29", "1.34", &[]),
    ("v1.3.7-eksbuild.2", "1.29", "1.34", &["1.32"]),
    ("v1.3.8-eksbuild.2", "1.29", "1.34", &["1.33"]),
    ("v1.3.9-eksbuild.3", "1.30", "1.34", &["1.34"]),
    ("v1.3.10-eksbuild.2", "1.30", "1.34", &[]),
];

const VPC_CNI_VERSIONS: [Row; 3] = [
    ("v1.18.6-eksbuild.1", "1.29", "1.32", &["1.29", "1.30"]),
    (
        "v1.19.5-eksbuild.1",
        "1.29",
        "1.34",
        &["1.31", "1.32", "1.33"],
    ),
    ("v1.20.1-eksbuild.3", "1.30", "1.34", &["1.34"]),
];

const EBS_CSI_VERSIONS: [Row; 2] = [
    (
        "v1.44.0-eksbuild.1",
        "1.29",
        "1.34",
        &["1.29", "1.30", "1.31", "1.32"],
    ),
    ("v1.48.0-eksbuild.2", "1.29", "1.34", &["1.33", "1.34"]),
];

const COREDNS_VERSIONS: [Row; 2] = [
    (
        "v1.11.4-eksbuild.2",
        "1.29",
        "1.33",
        &["1.29", "1.30", "1.31", "1.32"],
    ),
    ("v1.12.1-eksbuild.2", "1.31", "1.34", &["1.33", "1.34"]),
];

impl Catalog {
    pub(crate) fn built_in() -> Self {
        let accounts = |list: &[(&str, &str)]| {
            list.iter()
                .map(|(sa, policy)| {
                    (
                        (*sa).to_owned(),
                        vec![format!("arn:aws:iam::aws:policy/{policy}")],
                    )
                })
                .collect::<BTreeMap<_, _>>()
        };
        let offer = |kind,
                     rows: &[Row],
                     schema: &dyn Fn(&str) -> Value,
                     service_accounts: &BTreeMap<String, Vec<String>>| {
            let mut versions: Vec<Version> = rows
                .iter()
                .map(|(name, first, last, default_of)| {
                    let between = KUBERNETES
                        .iter()
                        .filter(|k| (order(first)..=order(last)).contains(&order(k)));
                    Version {
                        name: (*name).into(),
                        compatibilities: between
                            .map(|k| ((*k).to_owned(), default_of.contains(k)))
                            .collect(),
                        schema: schema(name),
                        service_accounts: service_accounts.clone(),
                    }
                })
                .collect();
            versions.sort_by_key(|v| std::cmp::Reverse(order(&v.name)));
            Offer { kind, versions }
        };
        let none = BTreeMap::new();
        let offers = [
            (
                AGENT,
                offer("security", &AGENT_VERSIONS, &agent_schema, &none),
            ),
            (
                "vpc-cni",
                offer(
                    "networking",
                    &VPC_CNI_VERSIONS,
                    &|_| vpc_cni_schema(),
                    &accounts(&[("aws-node", "AmazonEKS_CNI_Policy")]),
                ),
            ),
            (
                "aws-ebs-csi-driver",
                offer(
                    "storage",
                    &EBS_CSI_VERSIONS,
                    &|_| ebs_csi_schema(),
                    &accounts(&[(
                        "ebs-csi-controller-sa",
                        "service-role/AmazonEBSCSIDriverPolicy",
                    )]),
                ),
            ),
            (
                "coredns",
                offer(
                    "networking",
                    &COREDNS_VERSIONS,
                    &|_| coredns_schema(),
                    &none,
                ),
            ),
        ];
        Self {
            offers: offers
                .into_iter()
                .map(|(name, offer)| (name.to_owned(), offer))
                .collect(),
        }
    }

    fn version(&self, addon: &str, version: &str) -> Option<&Version> {
        self.offers
            .get(addon)?
            .versions
            .iter()
            .find(|v| v.name == version)
    }

    pub(crate) fn has(&self, addon: &str) -> bool {
        self.offers.contains_key(addon)
    }

    pub(crate) fn supports(&self, addon: &str, version: &str, kubernetes: &str) -> bool {
        self.version(addon, version)
            .is_some_and(|v| v.compatibilities.contains_key(kubernetes))
    }

    pub(crate) fn default_version(&self, addon: &str, kubernetes: &str) -> Option<String> {
        self.offers
            .get(addon)?
            .versions
            .iter()
            .find(|v| v.compatibilities.get(kubernetes) == Some(&true))
            .map(|v| v.name.clone())
    }

    /// The schema of a version, or null, which allows everything.
    pub(crate) fn schema(&self, addon: &str, version: &str) -> &Value {
        self.version(addon, version)
            .map_or(&Value::Null, |v| &v.schema)
    }

    pub(crate) fn service_accounts(&self, addon: &str, version: &str) -> Vec<String> {
        self.version(addon, version)
            .map(|v| v.service_accounts.keys().cloned().collect())
            .unwrap_or_default()
    }

    /// Adds a version, or makes it the default of the given Kubernetes versions. The schema is that of the newest version unless given.
    pub(crate) fn release(
        &mut self,
        addon: &str,
        version: &str,
        compatibilities: &BTreeMap<String, bool>,
        schema: Option<Value>,
    ) -> Result<(), String> {
        let offer = self
            .offers
            .get_mut(addon)
            .ok_or_else(|| format!("there is no add-on {addon}"))?;
        for (kubernetes, default) in compatibilities {
            if *default {
                offer.versions.iter_mut().for_each(|v| {
                    v.compatibilities
                        .entry(kubernetes.clone())
                        .and_modify(|d| *d = false);
                });
            }
        }
        let newest = offer
            .versions
            .first()
            .cloned()
            .ok_or_else(|| format!("the add-on {addon} has no version"))?;
        match offer.versions.iter_mut().find(|v| v.name == version) {
            Some(existing) => {
                existing.compatibilities.extend(compatibilities.clone());
                if let Some(schema) = schema {
                    existing.schema = schema;
                }
            }
            None => offer.versions.push(Version {
                name: version.into(),
                compatibilities: compatibilities.clone(),
                schema: schema.unwrap_or(newest.schema),
                service_accounts: newest.service_accounts,
            }),
        }
        offer
            .versions
            .sort_by_key(|v| std::cmp::Reverse(order(&v.name)));
        Ok(())
    }
}

pub(super) fn describe_versions(
    state: &crate::state::State,
    p: &Parameters<'_>,
) -> Result<Value, EksError> {
    let (addon, kubernetes) = (p.string("addonName")?, p.string("kubernetesVersion")?);
    let select = |name: &str, allowed: &Option<Vec<&str>>| {
        allowed.as_ref().is_none_or(|list| list.contains(&name))
    };
    let (types, publishers, owners) = (
        p.strings("types")?,
        p.strings("publishers")?,
        p.strings("owners")?,
    );
    if let Some(kubernetes) = kubernetes
        && !KUBERNETES.contains(&kubernetes)
    {
        return Err(EksError::invalid_parameter(format!(
            "unsupported Kubernetes version {kubernetes}"
        )));
    }
    let offers = state.catalog.offers.iter().filter(|(name, offer)| {
        addon.is_none_or(|a| a == *name)
            && select(offer.kind, &types)
            && select("eks", &publishers)
            && select("aws", &owners)
    });
    let items: Vec<(String, Value)> = offers
        .filter_map(|(name, offer)| {
            let versions: Vec<Value> = offer
                .versions
                .iter()
                .filter_map(|version| {
                    let compatibilities: Vec<Value> = version
                        .compatibilities
                        .iter()
                        .filter(|(k, _)| kubernetes.is_none_or(|wanted| wanted == *k))
                        .map(|(k, default)| json!({"clusterVersion": k, "platformVersions": ["*"], "defaultVersion": default}))
                        .collect();
                    (!compatibilities.is_empty()).then(|| {
                        json!({
                            "addonVersion": version.name,
                            "architecture": ["amd64", "arm64"],
                            "computeTypes": if name == AGENT { json!(["ec2", "hybrid"]) } else { json!(["ec2"]) },
                            "compatibilities": compatibilities,
                            "requiresConfiguration": false,
                            "requiresIamPermissions": !version.service_accounts.is_empty(),
                        })
                    })
                })
                .collect();
            let item = json!({"addonName": name, "type": offer.kind, "addonVersions": versions, "publisher": "eks", "owner": "aws", "defaultNamespace": "kube-system"});
            (item["addonVersions"] != json!([])).then(|| (name.clone(), item))
        })
        .collect();
    let scope = format!(
        "DescribeAddonVersions {addon:?} {kubernetes:?} {types:?} {publishers:?} {owners:?}"
    );
    let (page, next) = state.pager.page(
        items.into_iter(),
        &scope,
        p.max_results()?,
        p.string("nextToken")?,
    )?;
    Ok(json!({"addons": page, "nextToken": next}))
}

pub(super) fn describe_configuration(
    state: &crate::state::State,
    p: &Parameters<'_>,
) -> Result<Value, EksError> {
    let (addon, version) = (p.required("addonName")?, p.required("addonVersion")?);
    if !state.catalog.has(addon) {
        return Err(EksError::not_found("Addon specified is not supported").of_addon(addon));
    }
    let version = state.catalog.version(addon, version).ok_or_else(|| {
        EksError::not_found("Addon version specified is not supported").of_addon(addon)
    })?;
    let accounts: Vec<Value> = version
        .service_accounts
        .iter()
        .map(|(sa, policies)| json!({"serviceAccount": sa, "recommendedManagedPolicies": policies}))
        .collect();
    Ok(json!({
        "addonName": addon,
        "addonVersion": version.name,
        "configurationSchema": version.schema.to_string(),
        "podIdentityConfiguration": accounts,
    }))
}

fn quantity() -> Value {
    json!({"type": "object", "additionalProperties": false, "properties": {"limits": {"$ref": "#/definitions/Quantities"}, "requests": {"$ref": "#/definitions/Quantities"}}})
}

fn schema(root: Value) -> Value {
    json!({
        "$ref": "#/definitions/Root",
        "$schema": "http://json-schema.org/draft-06/schema#",
        "definitions": {
            "Root": root,
            "Quantities": {"type": "object", "additionalProperties": {"type": ["string", "number"]}},
            "Resources": quantity(),
            "StringMap": {"type": "object", "additionalProperties": {"type": "string"}},
        },
    })
}

fn agent_schema(version: &str) -> Value {
    let mut properties = json!({
        "affinity": {"type": "object", "description": "Affinity of the agent pods"},
        "agent": {
            "type": "object",
            "additionalProperties": false,
            "properties": {"additionalArgs": {"type": "object", "additionalProperties": {"type": "string"}, "description": "Arguments of the agent by flag"}},
        },
        "env": {"$ref": "#/definitions/StringMap"},
        "podAnnotations": {"$ref": "#/definitions/StringMap"},
        "podLabels": {"$ref": "#/definitions/StringMap"},
        "priorityClassName": {"type": "string"},
        "resources": {"$ref": "#/definitions/Resources"},
        "tolerations": {"type": "array", "items": {"type": "object"}},
        "updateStrategy": {
            "type": "object",
            "additionalProperties": false,
            "properties": {
                "type": {"type": "string", "enum": ["RollingUpdate", "OnDelete"]},
                "rollingUpdate": {"type": "object", "properties": {"maxUnavailable": {"type": ["string", "integer"]}, "maxSurge": {"type": ["string", "integer"]}}},
            },
        },
    });
    // Hybrid nodes came with v1.3.3.
    if order(version) >= order("v1.3.3-eksbuild.1") {
        let daemonset = json!({"type": "object", "additionalProperties": false, "properties": {"create": {"type": "boolean"}}});
        properties["daemonsets"] = json!({"type": "object", "additionalProperties": false, "properties": {"cloud": daemonset, "hybrid": daemonset}});
    }
    schema(
        json!({"type": "object", "title": "EksPodIdentityAgent", "additionalProperties": false, "properties": properties}),
    )
}

fn vpc_cni_schema() -> Value {
    schema(json!({
        "type": "object",
        "additionalProperties": false,
        "properties": {
            "enableNetworkPolicy": {"type": "string", "enum": ["true", "false"]},
            "enableWindowsIpam": {"type": "string", "enum": ["true", "false"]},
            "env": {"type": "object", "additionalProperties": {"type": ["string", "null"]}},
            "livenessProbeTimeoutSeconds": {"type": "integer", "minimum": 1},
            "podAnnotations": {"$ref": "#/definitions/StringMap"},
            "resources": {"$ref": "#/definitions/Resources"},
            "tolerations": {"type": "array", "items": {"type": "object"}},
        },
    }))
}

fn ebs_csi_schema() -> Value {
    schema(json!({
        "type": "object",
        "additionalProperties": false,
        "properties": {
            "controller": {"type": "object", "properties": {"replicaCount": {"type": "integer", "minimum": 0}, "resources": {"$ref": "#/definitions/Resources"}}},
            "node": {"type": "object"},
            "defaultStorageClass": {"type": "object", "additionalProperties": false, "properties": {"enabled": {"type": "boolean"}}},
        },
    }))
}

fn coredns_schema() -> Value {
    schema(json!({
        "type": "object",
        "additionalProperties": false,
        "properties": {
            "computeType": {"type": "string"},
            "corefile": {"type": "string"},
            "replicaCount": {"type": "integer", "minimum": 1},
            "resources": {"$ref": "#/definitions/Resources"},
            "tolerations": {"type": "array", "items": {"type": "object"}},
        },
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_add_on_has_one_default_per_kubernetes_version_it_runs_on() {
        let catalog = Catalog::built_in();
        for (name, offer) in &catalog.offers {
            for kubernetes in KUBERNETES {
                let defaults = offer
                    .versions
                    .iter()
                    .filter(|v| v.compatibilities.get(kubernetes) == Some(&true))
                    .count();
                assert_eq!(defaults, 1, "{name} on {kubernetes}");
            }
        }
        assert_eq!(
            catalog.offers[AGENT].versions[0].name, "v1.3.10-eksbuild.2",
            "newest first, by number"
        );
        assert!(!catalog.supports(AGENT, "v1.0.0-eksbuild.1", "1.33"));
    }

    #[test]
    fn a_release_takes_over_as_default() {
        let mut catalog = Catalog::built_in();
        catalog
            .release(
                AGENT,
                "v1.4.0-eksbuild.1",
                &BTreeMap::from([("1.33".into(), true)]),
                None,
            )
            .unwrap();
        assert_eq!(
            catalog.default_version(AGENT, "1.33").as_deref(),
            Some("v1.4.0-eksbuild.1")
        );
        assert_eq!(
            catalog.default_version(AGENT, "1.32").as_deref(),
            Some("v1.3.7-eksbuild.2")
        );
        assert!(
            catalog
                .release("nothing", "v1", &BTreeMap::new(), None)
                .is_err()
        );
    }

    #[test]
    fn hybrid_nodes_are_configurable_only_where_supported() {
        let values = json!({"daemonsets": {"hybrid": {"create": true}}});
        assert!(
            super::super::config_schema::violations(&agent_schema("v1.3.4-eksbuild.1"), &values)
                .is_empty()
        );
        assert!(
            !super::super::config_schema::violations(&agent_schema("v1.2.0-eksbuild.1"), &values)
                .is_empty()
        );
        let values = json!({"agent": {"additionalArgs": {"-b": "169.254.170.23"}}, "resources": {"limits": {"cpu": "100m"}}});
        assert!(
            super::super::config_schema::violations(&agent_schema("v1.3.10-eksbuild.2"), &values)
                .is_empty()
        );
    }
}
