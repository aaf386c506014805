//! EKS Auth: what the Pod Identity agent asks for a pod, so that a test can be one.

use serde_json::{Map, Value, json};
use time::Duration;

use crate::eks::{self, EksError, epoch};
use crate::kubernetes::tokens;
use crate::kubernetes::webhook::AGENT_AUDIENCE;
use crate::state::{Caller, State};
use crate::sts::{self, Session};
use crate::trust;

/// The operation.
pub(crate) const OPERATION: &str = "AssumeRoleForPodIdentity";

fn error(code: &str, message: impl Into<String>) -> EksError {
    let status = if code == "ResourceNotFoundException" {
        404
    } else {
        400
    };
    EksError::new(status, code, message)
}

/// The operation and its parameters, if the path is that of one.
pub(crate) fn route(
    method: &str,
    path: &str,
    body: &[u8],
) -> Option<Result<Map<String, Value>, EksError>> {
    let mut segments = path.trim_matches('/').split('/');
    let parts = [segments.next()?, segments.next()?, segments.next()?];
    let ["clusters", cluster, "assume-role-for-pod-identity"] = parts else {
        return None;
    };
    if method != "POST" || segments.next().is_some() {
        return None;
    }
    Some(match serde_json::from_slice(body) {
        Ok(Value::Object(mut fields)) => {
            fields.insert(
                "clusterName".into(),
                crate::encoding::decode(cluster).into(),
            );
            Ok(fields)
        }
        _ => Err(EksError::serialization(
            "Unable to parse the request body as a JSON object",
        )),
    })
}

/// Gives a pod the credentials of its association's role.
pub(crate) fn assume_role(
    state: &mut State,
    caller: &Caller,
    parameters: &Map<String, Value>,
) -> Result<Value, EksError> {
    let text = |name: &str| {
        parameters
            .get(name)
            .and_then(Value::as_str)
            .unwrap_or_default()
    };
    let now = caller.context.now;
    let name = text("clusterName").to_owned();
    let claims = tokens::claims(text("token")).ok_or_else(|| {
        error(
            "InvalidTokenException",
            "The token is not a JSON web token.",
        )
    })?;
    let key = eks::cluster(state, caller, &name)?.key.clone();
    let missing = || {
        error(
            "ResourceNotFoundException",
            format!("No cluster found for name: {name}."),
        )
    };
    let cluster = state.clusters.get(&key).ok_or_else(missing)?;
    let audience = claims["aud"].as_array();
    if claims["iss"] != cluster.issuer
        || !audience.into_iter().flatten().any(|a| a == AGENT_AUDIENCE)
    {
        return Err(error(
            "InvalidTokenException",
            "The token's issuer or audience is not that of this cluster's Pod Identity.",
        ));
    }
    if claims["exp"]
        .as_i64()
        .is_none_or(|exp| exp <= now.unix_timestamp())
    {
        return Err(error("ExpiredTokenException", "The token has expired."));
    }
    let subject = &claims["kubernetes.io"];
    let claim = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let (namespace, account) = (
        claim(&subject["namespace"]),
        claim(&subject["serviceaccount"]["name"]),
    );
    let pod = (
        claim(&subject["pod"]["name"]),
        claim(&subject["pod"]["uid"]),
    );
    if pod.0.is_empty() {
        return Err(error(
            "InvalidTokenException",
            "The token is not bound to a pod.",
        ));
    }
    let association = state
        .credentials
        .association_in_effect(cluster, &namespace, &account, now)
        .ok_or_else(|| {
            let message = format!("No association found for service account {account} in namespace {namespace} of cluster {name}.");
            error("ResourceNotFoundException", message)
        })?;
    let arn = cluster.arn(&format!("podidentityassociation/{name}/{}", association.id));
    let world = state.credentials.world(&state.iam, cluster, now);
    world
        .pod_identity(&association, &namespace, &account, (&pod.0, &pod.1))
        .map_err(|_| {
            error(
                "AccessDeniedException",
                "Unauthorized Exception! EKS does not have permissions to assume the associated role.",
            )
        })?;
    let role_arn = association
        .target_role_arn
        .as_ref()
        .unwrap_or(&association.role_arn);
    let iam = trust::role_account(role_arn).map(|account| state.iam(account));
    let role = iam
        .and_then(|iam| iam.role_by_arn(role_arn))
        .ok_or_else(|| error("AccessDeniedException", "The role does not exist."))?;
    let mut session_name = format!("eks-{name}-{}-{}", pod.0, state.ids.uuid());
    session_name.truncate(64);
    let session = Session {
        role_arn,
        name: &session_name,
        seconds: Duration::hours(6).whole_seconds(),
    };
    let issued = sts::issue(state, &session, &role, caller);
    Ok(json!({
        "subject": {"namespace": namespace, "serviceAccount": account},
        "audience": AGENT_AUDIENCE,
        "podIdentityAssociation": {"associationArn": arn, "associationId": association.id},
        "assumedRoleUser": {"arn": issued.key.caller_arn, "assumeRoleId": issued.key.user_id},
        "credentials": {
            "accessKeyId": issued.id,
            "secretAccessKey": issued.key.secret,
            "sessionToken": issued.key.session_token,
            "expiration": epoch(issued.expires),
        },
    }))
}
