//! The EKS control plane: REST routes, errors and the dispatch to one file per kind of object.

pub(crate) mod addons;
pub(crate) mod associations;
pub(crate) mod catalog;
pub(crate) mod cluster;
pub(crate) mod config_schema;
pub(crate) mod idempotency;
pub(crate) mod paging;
pub(crate) mod parameters;
pub(crate) mod tags;

use serde_json::{Map, Value, json};
use time::OffsetDateTime;

use crate::encoding::{decode, query_pairs};
use crate::state::{Caller, State};

use self::cluster::{Cluster, ClusterKey};
use self::parameters::Parameters;

/// An error answer of the EKS API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct EksError {
    pub(crate) status: u16,
    pub(crate) code: String,
    pub(crate) message: String,
    cluster: Option<String>,
    addon: Option<String>,
}

/// Status of a code and the members its body has beside the message, from the API model.
const SHAPES: [(&str, u16, &[&str]); 12] = [
    ("AccessDeniedException", 403, &[]),
    ("BadRequestException", 400, &[]),
    ("NotFoundException", 404, &[]),
    (
        "ClientException",
        400,
        &[
            "clusterName",
            "nodegroupName",
            "addonName",
            "subscriptionId",
        ],
    ),
    (
        "InvalidParameterException",
        400,
        &[
            "clusterName",
            "nodegroupName",
            "fargateProfileName",
            "addonName",
            "subscriptionId",
        ],
    ),
    (
        "InvalidRequestException",
        400,
        &[
            "clusterName",
            "nodegroupName",
            "addonName",
            "subscriptionId",
        ],
    ),
    (
        "ResourceInUseException",
        409,
        &["clusterName", "nodegroupName", "addonName"],
    ),
    (
        "ResourceLimitExceededException",
        400,
        &["clusterName", "nodegroupName", "subscriptionId"],
    ),
    (
        "ResourceNotFoundException",
        404,
        &[
            "clusterName",
            "nodegroupName",
            "fargateProfileName",
            "addonName",
            "subscriptionId",
        ],
    ),
    (
        "ServerException",
        500,
        &[
            "clusterName",
            "nodegroupName",
            "addonName",
            "subscriptionId",
        ],
    ),
    ("ThrottlingException", 429, &["clusterName"]),
    ("ServiceUnavailableException", 503, &[]),
];

impl EksError {
    /// An error with any status, as faults and the front end need it.
    pub(crate) fn new(status: u16, code: &str, message: impl Into<String>) -> Self {
        Self {
            status,
            code: code.into(),
            message: message.into(),
            cluster: None,
            addon: None,
        }
    }

    fn modelled(code: &str, message: impl Into<String>) -> Self {
        let status = SHAPES
            .iter()
            .find(|(name, ..)| *name == code)
            .map_or(500, |(_, status, _)| *status);
        Self::new(status, code, message)
    }

    pub(crate) fn invalid_parameter(message: impl Into<String>) -> Self {
        Self::modelled("InvalidParameterException", message)
    }

    pub(crate) fn invalid_request(message: impl Into<String>) -> Self {
        Self::modelled("InvalidRequestException", message)
    }

    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Self::modelled("ResourceNotFoundException", message)
    }

    pub(crate) fn in_use(message: impl Into<String>) -> Self {
        Self::modelled("ResourceInUseException", message)
    }

    pub(crate) fn limit_exceeded(message: impl Into<String>) -> Self {
        Self::modelled("ResourceLimitExceededException", message)
    }

    pub(crate) fn access_denied(message: impl Into<String>) -> Self {
        Self::modelled("AccessDeniedException", message)
    }

    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        Self::modelled("BadRequestException", message)
    }

    pub(crate) fn tag_target_not_found(message: impl Into<String>) -> Self {
        Self::modelled("NotFoundException", message)
    }

    pub(crate) fn throttled() -> Self {
        Self::modelled("ThrottlingException", "Rate exceeded")
    }

    pub(crate) fn serialization(message: impl Into<String>) -> Self {
        Self::new(400, "SerializationException", message)
    }

    /// Names the cluster in the body.
    pub(crate) fn of_cluster(mut self, cluster: &str) -> Self {
        self.cluster = Some(cluster.into());
        self
    }

    /// Names the add-on in the body.
    pub(crate) fn of_addon(mut self, addon: &str) -> Self {
        self.addon = Some(addon.into());
        self
    }

    /// The body: the members of the modelled shape, null where they do not apply, and the message.
    pub(crate) fn body(&self) -> Value {
        let mut body = Map::new();
        if let Some((.., members)) = SHAPES.iter().find(|(name, ..)| *name == self.code) {
            for member in *members {
                let value = match *member {
                    "clusterName" => self.cluster.clone(),
                    "addonName" => self.addon.clone(),
                    _ => None,
                };
                body.insert((*member).into(), value.into());
            }
        }
        body.insert("message".into(), self.message.clone().into());
        Value::Object(body)
    }
}

/// A request that a route was found for.
#[derive(Clone, Debug)]
pub(crate) struct Routed {
    pub(crate) operation: &'static str,
    /// Path, query and body parameters by their names in the API model.
    pub(crate) parameters: Map<String, Value>,
}

/// Query parameters that may be repeated.
const LISTS: [&str; 5] = ["tagKeys", "types", "publishers", "owners", "include"];

/// Finds the operation and its parameters. The path is as sent, still encoded. Without a route the answer is `None`.
pub(crate) fn route(
    method: &str,
    path: &str,
    query: &str,
    body: &[u8],
) -> Option<Result<Routed, EksError>> {
    let segments: Vec<String> = path
        .trim_start_matches('/')
        .split('/')
        .map(decode)
        .collect();
    let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
    let (operation, labels): (&'static str, Vec<(&str, &str)>) = match (method, &segments[..]) {
        ("GET", ["clusters"]) => ("ListClusters", vec![]),
        ("GET", ["clusters", name]) => ("DescribeCluster", vec![("name", name)]),
        ("POST", ["clusters", name, "pod-identity-associations"]) => {
            ("CreatePodIdentityAssociation", vec![("clusterName", name)])
        }
        ("GET", ["clusters", name, "pod-identity-associations"]) => {
            ("ListPodIdentityAssociations", vec![("clusterName", name)])
        }
        ("GET", ["clusters", name, "pod-identity-associations", id]) => (
            "DescribePodIdentityAssociation",
            vec![("clusterName", name), ("associationId", id)],
        ),
        ("POST", ["clusters", name, "pod-identity-associations", id]) => (
            "UpdatePodIdentityAssociation",
            vec![("clusterName", name), ("associationId", id)],
        ),
        ("DELETE", ["clusters", name, "pod-identity-associations", id]) => (
            "DeletePodIdentityAssociation",
            vec![("clusterName", name), ("associationId", id)],
        ),
        ("POST", ["clusters", name, "addons"]) => ("CreateAddon", vec![("clusterName", name)]),
        ("GET", ["clusters", name, "addons"]) => ("ListAddons", vec![("clusterName", name)]),
        ("GET", ["clusters", name, "addons", addon]) => (
            "DescribeAddon",
            vec![("clusterName", name), ("addonName", addon)],
        ),
        ("DELETE", ["clusters", name, "addons", addon]) => (
            "DeleteAddon",
            vec![("clusterName", name), ("addonName", addon)],
        ),
        ("POST", ["clusters", name, "addons", addon, "update"]) => (
            "UpdateAddon",
            vec![("clusterName", name), ("addonName", addon)],
        ),
        ("GET", ["clusters", name, "updates"]) => ("ListUpdates", vec![("name", name)]),
        ("GET", ["clusters", name, "updates", id]) => {
            ("DescribeUpdate", vec![("name", name), ("updateId", id)])
        }
        ("GET", ["clusters", name, "fargate-profiles"]) => {
            ("ListFargateProfiles", vec![("clusterName", name)])
        }
        ("GET", ["clusters", name, "fargate-profiles", profile]) => (
            "DescribeFargateProfile",
            vec![("clusterName", name), ("fargateProfileName", profile)],
        ),
        ("GET", ["clusters", name, "node-groups", nodegroup]) => (
            "DescribeNodegroup",
            vec![("clusterName", name), ("nodegroupName", nodegroup)],
        ),
        ("GET", ["addons", "supported-versions"]) => ("DescribeAddonVersions", vec![]),
        ("GET", ["addons", "configuration-schemas"]) => ("DescribeAddonConfiguration", vec![]),
        ("POST", ["tags", arn]) => ("TagResource", vec![("resourceArn", arn)]),
        ("DELETE", ["tags", arn]) => ("UntagResource", vec![("resourceArn", arn)]),
        ("GET", ["tags", arn]) => ("ListTagsForResource", vec![("resourceArn", arn)]),
        _ => return None,
    };
    let mut parameters = Map::new();
    if method == "POST" && !body.is_empty() {
        match serde_json::from_slice(body) {
            Ok(Value::Object(fields)) => parameters = fields,
            Ok(_) | Err(_) => {
                return Some(Err(EksError::serialization(
                    "Unable to parse the request body as a JSON object",
                )));
            }
        }
    }
    for (name, value) in query_pairs(query) {
        if LISTS.contains(&name.as_str()) {
            if let Value::Array(list) = parameters.entry(name).or_insert_with(|| json!([])) {
                list.push(value.into());
            }
        } else if name == "maxResults" {
            match value.parse::<i32>() {
                Ok(number) => parameters.insert(name, number.into()),
                Err(_) => {
                    return Some(Err(EksError::serialization(format!(
                        "{value} can not be converted to an Integer"
                    ))));
                }
            };
        } else if name == "preserve" {
            match value.as_str() {
                "true" | "false" => parameters.insert(name, (value == "true").into()),
                _ => {
                    return Some(Err(EksError::serialization(format!(
                        "{value} can not be converted to a Boolean"
                    ))));
                }
            };
        } else {
            parameters.insert(name, value.into());
        }
    }
    // Path labels last: a body member of the same name does not count.
    for (name, value) in labels {
        parameters.insert(name.into(), value.into());
    }
    Some(Ok(Routed {
        operation,
        parameters,
    }))
}

/// Carries out one operation.
pub(crate) fn handle(
    state: &mut State,
    caller: &Caller,
    operation: &str,
    parameters: &Map<String, Value>,
) -> Result<Value, EksError> {
    let p = Parameters(parameters);
    match operation {
        "ListClusters" => cluster::list(state, caller, &p),
        "DescribeCluster" => cluster::describe(state, caller, &p),
        "ListFargateProfiles" => cluster::list_fargate_profiles(state, caller, &p),
        "DescribeFargateProfile" => cluster::describe_fargate_profile(state, caller, &p),
        "DescribeNodegroup" => cluster::describe_nodegroup(state, caller, &p),
        "CreatePodIdentityAssociation" => associations::create(state, caller, &p),
        "ListPodIdentityAssociations" => associations::list(state, caller, &p),
        "DescribePodIdentityAssociation" => associations::describe(state, caller, &p),
        "UpdatePodIdentityAssociation" => associations::update(state, caller, &p),
        "DeletePodIdentityAssociation" => associations::delete(state, caller, &p),
        "CreateAddon" => addons::create(state, caller, &p),
        "ListAddons" => addons::list(state, caller, &p),
        "DescribeAddon" => addons::describe(state, caller, &p),
        "UpdateAddon" => addons::update(state, caller, &p),
        "DeleteAddon" => addons::delete(state, caller, &p),
        "ListUpdates" => addons::list_updates(state, caller, &p),
        "DescribeUpdate" => addons::describe_update(state, caller, &p),
        "DescribeAddonVersions" => catalog::describe_versions(state, &p),
        "DescribeAddonConfiguration" => catalog::describe_configuration(state, &p),
        "TagResource" => tags::tag(state, caller, &p),
        "UntagResource" => tags::untag(state, caller, &p),
        "ListTagsForResource" => tags::list(state, caller, &p),
        _ => Err(EksError::new(
            404,
            "UnknownOperationException",
            format!("Operation {operation} is not known"),
        )),
    }
}

/// The cluster of the caller's account and region.
pub(crate) fn cluster<'s>(
    state: &'s mut State,
    caller: &Caller,
    name: &str,
) -> Result<&'s mut Cluster, EksError> {
    let key = ClusterKey {
        account_id: caller.context.account_id.clone(),
        region: caller.region.clone(),
        name: name.into(),
    };
    state.clusters.get_mut(&key).ok_or_else(|| {
        EksError::not_found(format!("No cluster found for name: {name}.")).of_cluster(name)
    })
}

/// Seconds since the epoch with milliseconds, the form of timestamps in rest-json bodies.
pub(crate) fn epoch(time: OffsetDateTime) -> Value {
    let text = format!("{}.{:03}", time.unix_timestamp(), time.millisecond());
    text.parse::<serde_json::Number>()
        .map_or(Value::Null, Value::Number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routes() {
        let cases = [
            ("GET", "/clusters", Some("ListClusters")),
            (
                "POST",
                "/clusters/demo/addons/vpc-cni/update",
                Some("UpdateAddon"),
            ),
            (
                "DELETE",
                "/clusters/demo/pod-identity-associations/a-1",
                Some("DeletePodIdentityAssociation"),
            ),
            (
                "POST",
                "/tags/arn%3Aaws%3Aeks%3Aus-east-1%3A123456789012%3Acluster%2Fdemo",
                Some("TagResource"),
            ),
            (
                "POST",
                "/tags/arn:aws:eks:us-east-1:123456789012:cluster/demo",
                None,
            ),
            ("PUT", "/clusters", None),
        ];
        for (method, path, expected) in cases {
            let routed = route(method, path, "", b"").map(|r| r.unwrap().operation);
            assert_eq!(routed, expected, "{method} {path}");
        }
    }

    #[test]
    fn parameters_come_from_path_query_and_body() {
        let routed = route(
            "POST",
            "/clusters/demo/addons",
            "",
            br#"{"addonName":"x","clusterName":"other"}"#,
        )
        .unwrap()
        .unwrap();
        assert_eq!(
            Value::Object(routed.parameters),
            json!({"addonName": "x", "clusterName": "demo"})
        );
        let routed = route("DELETE", "/tags/a", "tagKeys=a&tagKeys=b%20c", b"")
            .unwrap()
            .unwrap();
        assert_eq!(
            Value::Object(routed.parameters),
            json!({"tagKeys": ["a", "b c"], "resourceArn": "a"})
        );
        assert_eq!(
            route("POST", "/clusters/demo/addons", "", b"[]")
                .unwrap()
                .unwrap_err()
                .code,
            "SerializationException"
        );
        assert_eq!(
            route("GET", "/clusters", "maxResults=x", b"")
                .unwrap()
                .unwrap_err()
                .code,
            "SerializationException"
        );
    }

    #[test]
    fn timestamps_keep_milliseconds() {
        assert_eq!(
            epoch(time::macros::datetime!(2026-01-02 03:04:05.678 UTC)).to_string(),
            "1767323045.678"
        );
    }
}
