//! Which version of the agent to plan, and whether its configuration values fit.

use std::sync::Arc;

use crate::aws::facts::AddonVersion;
use crate::aws::{AwsError, AwsErrorKind};
use crate::cty::Value;
use crate::framework::Context;
use crate::framework::diagnostic::Diagnostic;
use crate::framework::resource::{ModifyPlanRequest, ModifyPlanResponse};
use crate::provider::ProviderData;
use crate::resources::documents::parse_configuration;

use super::schema::{ADDON, POLICY_LATEST};

/// Key of the planned version in private state.
const PLANNED_VERSION: &str = "planned_addon_version";

/// Plans `addon_version`, checks it and the configuration values, and tells of clusters that need no agent.
///
/// Nothing is looked up for an agent that does not change, unless a `version_policy` follows EKS.
pub(super) async fn plan(
    context: &Context<ProviderData>,
    request: &ModifyPlanRequest,
    response: &mut ModifyPlanResponse,
) {
    let creates = request.prior_state.is_null() || !response.requires_replace.is_empty();
    let policy = request.config.get("version_policy");
    let configured = request.config.get("addon_version");
    let prior_version = request.prior_state.get("addon_version").clone();
    let configuration_changed = request.prior_state.get("configuration_values")
        != response.planned_state.get("configuration_values");
    if policy.is_unknown() {
        response
            .planned_state
            .set("addon_version", Value::unknown());
        return;
    }
    let version_changes = configured.is_set() && *configured != prior_version;
    let look_up = creates || policy.is_set() || version_changes;
    // At apply time Terraform 1.16 and later hands back what the first plan resolved; asking again could answer otherwise.
    let promised = request
        .planned_private
        .as_ref()
        .and_then(|private| private.get(PLANNED_VERSION)?.as_str())
        .filter(|_| configured.is_null());
    if let Some(version) = promised {
        response
            .planned_state
            .set("addon_version", Value::from(version));
    } else if look_up {
        resolve(context, request, response, creates).await;
    }
    match response.planned_state.get("addon_version").as_str() {
        Some(version) => {
            let version = version.to_owned();
            response.planned_private.set(PLANNED_VERSION, version);
        }
        None => response.planned_private.remove(PLANNED_VERSION),
    }
    let version_moved = *response.planned_state.get("addon_version") != prior_version;
    let configuration = response.planned_state.get("configuration_values").clone();
    if let Some(text) = configuration.as_str()
        && (creates || configuration_changed || version_moved)
        && let Some(version) = response.planned_state.get("addon_version").as_str()
    {
        let version = version.to_owned();
        check_configuration(context, text, &version, response).await;
    }
}

/// Looks up cluster and versions, and plans the version.
async fn resolve(
    context: &Context<ProviderData>,
    request: &ModifyPlanRequest,
    response: &mut ModifyPlanResponse,
    creates: bool,
) {
    let policy = request.config.get("version_policy").as_str();
    let configured = request.config.get("addon_version");
    let planned_unless_configured = |response: &mut ModifyPlanResponse, version: Value| {
        if configured.is_null() {
            response.planned_state.set("addon_version", version);
        }
    };
    let Some(cluster_name) = response
        .planned_state
        .get("cluster_name")
        .as_str()
        .map(ToOwned::to_owned)
    else {
        planned_unless_configured(response, Value::unknown());
        return;
    };
    let cluster = match context
        .provider
        .cluster(&context.cancel, &cluster_name)
        .await
    {
        Ok(cluster) => cluster,
        // The cluster may come with this run.
        Err(error) if error.is_not_found() || error.is_not_yet_known() => {
            planned_unless_configured(response, Value::unknown());
            return;
        }
        Err(error) => {
            unresolved(response, configured, policy, &error, &cluster_name);
            return;
        }
    };
    if creates && cluster.auto_mode {
        response.diagnostics.push(
            Diagnostic::warning(
                "EKS Auto Mode has the agent built in",
                format!(
                    "The cluster {cluster_name:?} uses EKS Auto Mode, whose nodes contain the EKS Pod Identity Agent: pods on \
                     them need no add-on. Remove this resource unless the cluster has nodes outside of Auto Mode too."
                ),
            )
            .at("cluster_name"),
        );
    }
    let versions = match context
        .provider
        .addon_versions(&context.cancel, ADDON, &cluster.version)
        .await
    {
        Ok(versions) => versions,
        // EKS answers old releases with an error instead of an empty list.
        Err(error) if error.kind() == AwsErrorKind::InvalidParameter => Arc::default(),
        Err(error) => {
            unresolved(response, configured, policy, &error, &cluster_name);
            return;
        }
    };
    if versions.is_empty() {
        response.diagnostics.push(
            Diagnostic::error(
                "No version of the EKS Pod Identity Agent",
                format!(
                    "EKS offers no version of {ADDON} for Kubernetes {} (cluster {cluster_name:?}). EKS Pod Identity needs \
                     Kubernetes 1.24 or later.",
                    cluster.version
                ),
            )
            .at("cluster_name"),
        );
        return;
    }
    if let Some(wanted) = configured.as_str() {
        if !versions.iter().any(|version| version.version == wanted) {
            let offered: Vec<&str> = versions
                .iter()
                .map(|version| version.version.as_str())
                .collect();
            response.diagnostics.push(
                Diagnostic::error(
                    "Add-on version not available",
                    format!(
                        "EKS does not offer {ADDON} {wanted} for Kubernetes {} (cluster {cluster_name:?}). Available: {}.",
                        cluster.version,
                        offered.join(", ")
                    ),
                )
                .at("addon_version"),
            );
        }
        return;
    }
    if configured.is_unknown() {
        return;
    }
    let version = if policy == Some(POLICY_LATEST) {
        latest(&versions)
    } else {
        default(&versions)
    };
    response
        .planned_state
        .set("addon_version", Value::from(version.version.as_str()));
}

/// The look-up failed. Without a version to find that is no reason to stop; otherwise the plan would not show the truth.
fn unresolved(
    response: &mut ModifyPlanResponse,
    configured: &Value,
    policy: Option<&str>,
    error: &AwsError,
    cluster: &str,
) {
    if configured.is_set() {
        tracing::debug!(%error, "the add-on version could not be checked");
        return;
    }
    if policy.is_none() && error.kind() == AwsErrorKind::AccessDenied {
        // EKS chooses its default version when none is sent, so installing works without these permissions.
        response
            .planned_state
            .set("addon_version", Value::unknown());
        return;
    }
    response.diagnostics.push(
        error
            .into_diagnostic(
                "Finding the version of the EKS Pod Identity Agent",
                &format!("The version for the cluster {cluster:?} could not be found."),
                "Set addon_version to do without the look-up.",
            )
            .at(if policy.is_some() {
                "version_policy"
            } else {
                "addon_version"
            }),
    );
}

/// The version that EKS installs by default; EKS lists one for every Kubernetes version, and if it did not, the newest is
/// what it would install.
fn default(versions: &[AddonVersion]) -> &AddonVersion {
    versions
        .iter()
        .find(|version| version.default)
        .unwrap_or_else(|| latest(versions))
}

/// The newest version. EKS does not promise an order, so versions are compared by number.
fn latest(versions: &[AddonVersion]) -> &AddonVersion {
    versions
        .iter()
        .max_by(|a, b| sort_key(&a.version).cmp(&sort_key(&b.version)))
        // Callers have refused an empty list.
        .unwrap_or(&versions[0])
}

/// `v1.3.10-eksbuild.2` as its numbers, so that 1.3.10 comes after 1.3.9.
fn sort_key(version: &str) -> Vec<u64> {
    version
        .split(|c: char| !c.is_ascii_digit())
        .filter(|part| !part.is_empty())
        .map(|part| part.parse().unwrap_or(u64::MAX))
        .collect()
}

/// Checks configuration values against the JSON schema that EKS publishes for the version.
async fn check_configuration(
    context: &Context<ProviderData>,
    text: &str,
    version: &str,
    response: &mut ModifyPlanResponse,
) {
    // The validator of the attribute reports what is no document.
    let Ok(values) = parse_configuration(text) else {
        return;
    };
    let schema = match context
        .provider
        .addon_configuration_schema(&context.cancel, ADDON, version)
        .await
    {
        Ok(Some(schema)) => schema,
        Ok(None) => return,
        Err(error) => {
            tracing::debug!(%error, version, "the configuration schema could not be read, so the values are not checked");
            return;
        }
    };
    let faults = match configuration_faults(&schema, &values) {
        Ok(faults) => faults,
        Err(error) => {
            tracing::debug!(
                error,
                version,
                "the configuration schema is not usable, so the values are not checked"
            );
            return;
        }
    };
    if !faults.is_empty() {
        response.diagnostics.push(
            Diagnostic::error(
                "Configuration values do not fit the add-on",
                format!(
                    "EKS would refuse these configuration values for {ADDON} {version}:\n{}\n\nThe schema is shown by: aws eks \
                     describe-addon-configuration --addon-name {ADDON} --addon-version {version}",
                    faults.join("\n")
                ),
            )
            .at("configuration_values"),
        );
    }
}

/// Where the values break the schema, one line for each place.
fn configuration_faults(schema: &str, values: &serde_json::Value) -> Result<Vec<String>, String> {
    let schema: serde_json::Value =
        serde_json::from_str(schema).map_err(|error| error.to_string())?;
    let validator = jsonschema::validator_for(&schema).map_err(|error| error.to_string())?;
    Ok(validator
        .iter_errors(values)
        .map(|error| {
            let place = error.instance_path().to_string();
            let place = if place.is_empty() {
                "the whole document".to_owned()
            } else {
                place
            };
            format!("  - {place}: {error}")
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(text: &str, default: bool) -> AddonVersion {
        AddonVersion {
            version: text.to_owned(),
            default,
            ..AddonVersion::default()
        }
    }

    #[test]
    fn versions_are_chosen_by_number_and_flag() {
        let versions = [
            version("v1.3.9-eksbuild.1", false),
            version("v1.3.10-eksbuild.2", false),
            version("v1.3.10-eksbuild.10", false),
            version("v1.2.0-eksbuild.1", true),
        ];
        assert_eq!(latest(&versions).version, "v1.3.10-eksbuild.10");
        assert_eq!(default(&versions).version, "v1.2.0-eksbuild.1");
        assert_eq!(default(&versions[..3]).version, "v1.3.10-eksbuild.10");
    }

    #[test]
    fn configuration_values_are_checked_against_the_schema() {
        let schema = r#"{"$schema":"http://json-schema.org/draft-06/schema#","type":"object","additionalProperties":false,
            "properties":{"agent":{"type":"object","properties":{"additionalArgs":{"type":"object"}}},"replicas":{"type":"integer"}}}"#;
        let cases = [
            (
                "fits",
                r#"{"agent":{"additionalArgs":{"-b":"169.254.170.23"}}}"#,
                vec![],
            ),
            ("empty", "{}", vec![]),
            ("unknown key", r#"{"agnet":{}}"#, vec!["agnet"]),
            (
                "wrong type",
                r#"{"agent":"x","replicas":"1"}"#,
                vec!["/agent", "/replicas"],
            ),
        ];
        for (name, text, expected) in cases {
            let faults =
                configuration_faults(schema, &serde_json::from_str(text).unwrap()).unwrap();
            assert_eq!(faults.len(), expected.len(), "{name}: {faults:?}");
            for (fault, expected) in faults.iter().zip(expected) {
                assert!(fault.contains(expected), "{name}: {fault}");
            }
        }
    }
}
