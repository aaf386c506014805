//! Pod Identity associations.

use std::sync::LazyLock;

use regex::Regex;
use serde_json::{Map, Value, json};
use time::OffsetDateTime;

use super::cluster::Cluster;
use super::parameters::Parameters;
use super::tags::{self, Tags};
use super::{EksError, cluster, epoch};
use crate::iam;
use crate::state::{Caller, SeenRole, State};
use crate::trust;

/// Associations a cluster can have.
const LIMIT: usize = 5_000;
/// Characters of a session policy.
const POLICY_LIMIT: usize = 2_048;
const NAMESPACE: &str = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$";
const SERVICE_ACCOUNT: &str = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$";
static NAMESPACE_FORM: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(NAMESPACE).expect("a constant pattern"));
static SERVICE_ACCOUNT_FORM: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(SERVICE_ACCOUNT).expect("a constant pattern"));

#[derive(Clone, Debug)]
pub(crate) struct Association {
    pub(crate) id: String,
    pub(crate) namespace: String,
    pub(crate) service_account: String,
    pub(crate) role_arn: String,
    pub(crate) target_role_arn: Option<String>,
    pub(crate) disable_session_tags: bool,
    pub(crate) policy: Option<String>,
    pub(crate) owner_arn: Option<String>,
    pub(crate) tags: Tags,
    pub(crate) created: OffsetDateTime,
    pub(crate) modified: OffsetDateTime,
}

impl Association {
    pub(crate) fn new(
        id: String,
        namespace: &str,
        service_account: &str,
        role_arn: &str,
        now: OffsetDateTime,
    ) -> Self {
        Self {
            id,
            namespace: namespace.into(),
            service_account: service_account.into(),
            role_arn: role_arn.into(),
            target_role_arn: None,
            disable_session_tags: false,
            policy: None,
            owner_arn: None,
            tags: Tags::new(),
            created: now,
            modified: now,
        }
    }

    pub(crate) fn arn(&self, cluster: &Cluster) -> String {
        cluster.arn(&format!(
            "podidentityassociation/{}/{}",
            cluster.key.name, self.id
        ))
    }

    fn summary(&self, cluster: &Cluster) -> Map<String, Value> {
        let mut map = Map::new();
        map.insert("clusterName".into(), cluster.key.name.clone().into());
        map.insert("namespace".into(), self.namespace.clone().into());
        map.insert("serviceAccount".into(), self.service_account.clone().into());
        map.insert("associationArn".into(), self.arn(cluster).into());
        map.insert("associationId".into(), self.id.clone().into());
        if let Some(owner) = &self.owner_arn {
            map.insert("ownerArn".into(), owner.clone().into());
        }
        map
    }

    pub(crate) fn json(&self, cluster: &Cluster) -> Value {
        let mut map = self.summary(cluster);
        map.insert("roleArn".into(), self.role_arn.clone().into());
        map.insert("tags".into(), json!(self.tags));
        map.insert("createdAt".into(), epoch(self.created));
        map.insert("modifiedAt".into(), epoch(self.modified));
        map.insert(
            "disableSessionTags".into(),
            self.disable_session_tags.into(),
        );
        if let Some(target) = &self.target_role_arn {
            map.insert("targetRoleArn".into(), target.clone().into());
            let key = &cluster.key;
            map.insert(
                "externalId".into(),
                format!(
                    "{}/{}/{}/{}/{}",
                    key.region, key.account_id, key.name, self.namespace, self.service_account
                )
                .into(),
            );
        }
        if let Some(policy) = &self.policy {
            map.insert("policy".into(), policy.clone().into());
        }
        Value::Object(map)
    }
}

fn check_name(
    name: &str,
    value: &str,
    form: &Regex,
    pattern: &str,
    longest: usize,
) -> Result<(), EksError> {
    if !form.is_match(value) {
        return Err(EksError::invalid_parameter(format!(
            "The parameter {name} contains invalid characters. It should conform to the regular expression {pattern}"
        )));
    }
    if value.len() > longest {
        return Err(EksError::invalid_parameter(format!(
            "The parameter {name} must not be longer than {longest} characters."
        )));
    }
    Ok(())
}

/// The form and account of a role that EKS is to pass; comes before the cluster look-up.
pub(super) fn check_pass_role(caller: &Caller, role_arn: &str) -> Result<(), EksError> {
    match trust::role_account(role_arn) {
        None => Err(EksError::invalid_parameter(format!(
            "The role ARN {role_arn} is not valid."
        ))),
        Some(account) if account != caller.context.account_id => Err(EksError::access_denied(
            "Cross-account pass role is not allowed.",
        )),
        Some(_) => Ok(()),
    }
}

/// What EKS checks of a role itself: that it exists and trusts Pod Identity.
pub(super) fn check_role(
    state: &mut State,
    caller: &Caller,
    role_arn: &str,
) -> Result<(), EksError> {
    match state.see_role(caller, role_arn) {
        SeenRole::Missing => Err(EksError::invalid_parameter(
            "Role provided in the request does not exist.",
        )),
        SeenRole::Visible(role) if trust::allows_pods(&role.trust) => Ok(()),
        SeenRole::Untrusted | SeenRole::Visible(_) => Err(EksError::invalid_parameter(
            "Trust policy of the role provided is invalid.",
        )),
    }
}

fn check_target(target: Option<&str>) -> Result<(), EksError> {
    match target {
        Some(arn) if trust::role_account(arn).is_none() => Err(EksError::invalid_parameter(
            format!("The target role ARN {arn} is not valid."),
        )),
        _ => Ok(()),
    }
}

fn check_policy(policy: Option<&str>, disable_session_tags: bool) -> Result<(), EksError> {
    let Some(policy) = policy else { return Ok(()) };
    if !disable_session_tags {
        return Err(EksError::invalid_parameter(
            "When policy is specified, disableSessionTags must be set to true",
        ));
    }
    if policy.chars().count() > POLICY_LIMIT {
        return Err(EksError::invalid_parameter(format!(
            "The policy must not be longer than {POLICY_LIMIT} characters."
        )));
    }
    if !serde_json::from_str::<Value>(policy).is_ok_and(|document| document.is_object()) {
        return Err(EksError::invalid_parameter(
            "The policy is not a valid JSON policy document.",
        ));
    }
    // EKS has STS judge the policy; that the message is passed on is an assumption.
    iam::check_identity_policy(policy).map_err(|error| {
        EksError::invalid_parameter(format!("The policy is not valid: {}", error.message))
    })
}

/// An absent member keeps what is there, an empty string clears it.
fn given<'a>(p: &Parameters<'a>, name: &str) -> Result<Option<Option<&'a str>>, EksError> {
    Ok(p.string(name)?
        .map(|text| Some(text).filter(|t| !t.is_empty())))
}

pub(super) fn create(
    state: &mut State,
    caller: &Caller,
    p: &Parameters<'_>,
) -> Result<Value, EksError> {
    let name = p.required("clusterName")?;
    let (namespace, service_account, role_arn) = (
        p.required("namespace")?,
        p.required("serviceAccount")?,
        p.required("roleArn")?,
    );
    check_name("namespace", namespace, &NAMESPACE_FORM, NAMESPACE, 63)?;
    check_name(
        "serviceAccount",
        service_account,
        &SERVICE_ACCOUNT_FORM,
        SERVICE_ACCOUNT,
        253,
    )?;
    check_pass_role(caller, role_arn)?;
    let tags = tags::of(p)?;
    let disable_session_tags = p.boolean("disableSessionTags")?.unwrap_or(false);
    let target = given(p, "targetRoleArn")?.flatten();
    let policy = given(p, "policy")?.flatten();
    check_target(target)?;
    check_policy(policy, disable_session_tags)?;
    cluster(state, caller, name)?.check_active()?;
    let ticket = match state
        .idempotency
        .check(caller, "CreatePodIdentityAssociation", p.0)?
    {
        Ok(answer) => return Ok(answer),
        Err(ticket) => ticket,
    };
    check_role(state, caller, role_arn)?;
    let id = state.ids.association();
    let cluster = cluster(state, caller, name)?;
    if let Some(existing) = cluster.association_of(namespace, service_account) {
        return Err(
            EksError::in_use(format!("Association already exists: {}", existing.id))
                .of_cluster(name),
        );
    }
    if cluster.associations.len() >= LIMIT {
        return Err(EksError::limit_exceeded(format!(
            "The cluster has reached the limit of {LIMIT} pod identity associations."
        ))
        .of_cluster(name));
    }
    let mut association =
        Association::new(id, namespace, service_account, role_arn, caller.context.now);
    association.tags = tags;
    association.disable_session_tags = disable_session_tags;
    association.target_role_arn = target.map(Into::into);
    association.policy = policy.map(Into::into);
    let answer = json!({"association": association.json(cluster)});
    cluster.add_association(association);
    state.idempotency.record(ticket, &answer);
    Ok(answer)
}

pub(super) fn list(
    state: &mut State,
    caller: &Caller,
    p: &Parameters<'_>,
) -> Result<Value, EksError> {
    let name = p.required("clusterName")?;
    let (namespace, service_account) = (p.string("namespace")?, p.string("serviceAccount")?);
    let size = p.max_results()?;
    let token = p.string("nextToken")?;
    let delay = i128::from(state.faults.visibility().list_ms);
    let now = caller.context.now;
    let cluster = &*cluster(state, caller, name)?;
    let summaries: Vec<(String, Value)> = cluster
        .associations
        .iter()
        .filter(|(_, a)| {
            namespace.is_none_or(|n| n == a.namespace)
                && service_account.is_none_or(|s| s == a.service_account)
        })
        .filter(|(_, a)| (now - a.created).whole_milliseconds() >= delay)
        .map(|(number, a)| (format!("{number:010}"), Value::Object(a.summary(cluster))))
        .collect();
    let scope = format!("ListPodIdentityAssociations {name} {namespace:?} {service_account:?}");
    let (page, next) = state
        .pager
        .page(summaries.into_iter(), &scope, size, token)?;
    Ok(json!({"associations": page, "nextToken": next}))
}

fn missing(cluster: &str, id: &str) -> EksError {
    EksError::not_found(format!(
        "No association found with id: {id} in cluster: {cluster}"
    ))
    .of_cluster(cluster)
}

pub(super) fn describe(
    state: &mut State,
    caller: &Caller,
    p: &Parameters<'_>,
) -> Result<Value, EksError> {
    let (name, id) = (p.required("clusterName")?, p.required("associationId")?);
    let cluster = &*cluster(state, caller, name)?;
    let association = cluster.association(id).ok_or_else(|| missing(name, id))?;
    Ok(json!({"association": association.json(cluster)}))
}

/// Refuses to change what an add-on owns. Code and message are an assumption: AWS documents neither.
fn check_owner(association: &Association, name: &str) -> Result<(), EksError> {
    match &association.owner_arn {
        None => Ok(()),
        Some(owner) => Err(EksError::invalid_request(format!(
            "Association {} is owned by {owner} and can only be changed through its owner.",
            association.id
        ))
        .of_cluster(name)),
    }
}

pub(super) fn update(
    state: &mut State,
    caller: &Caller,
    p: &Parameters<'_>,
) -> Result<Value, EksError> {
    let (name, id) = (p.required("clusterName")?, p.required("associationId")?);
    let role_arn = p.string("roleArn")?;
    let target = given(p, "targetRoleArn")?;
    let policy = given(p, "policy")?;
    let disable_session_tags = p.boolean("disableSessionTags")?;
    if role_arn.is_none() && target.is_none() && policy.is_none() && disable_session_tags.is_none()
    {
        return Err(EksError::invalid_parameter(
            "At least one of roleArn, targetRoleArn, policy and disableSessionTags must be provided.",
        ));
    }
    if let Some(role_arn) = role_arn {
        check_pass_role(caller, role_arn)?;
    }
    check_target(target.flatten())?;
    let mut changed = cluster(state, caller, name)?
        .association(id)
        .ok_or_else(|| missing(name, id))?
        .clone();
    check_owner(&changed, name)?;
    let ticket = match state
        .idempotency
        .check(caller, "UpdatePodIdentityAssociation", p.0)?
    {
        Ok(answer) => return Ok(answer),
        Err(ticket) => ticket,
    };
    if let Some(target) = target {
        changed.target_role_arn = target.map(Into::into);
    }
    if let Some(policy) = policy {
        changed.policy = policy.map(Into::into);
    }
    if let Some(disable) = disable_session_tags {
        changed.disable_session_tags = disable;
    }
    check_policy(changed.policy.as_deref(), changed.disable_session_tags)?;
    if let Some(role_arn) = role_arn {
        check_role(state, caller, role_arn)?;
        changed.role_arn = role_arn.into();
    }
    changed.modified = caller.context.now;
    let cluster = cluster(state, caller, name)?;
    let answer = json!({"association": changed.json(cluster)});
    if let Some(slot) = cluster.association_mut(id) {
        *slot = changed;
    }
    state.idempotency.record(ticket, &answer);
    Ok(answer)
}

pub(super) fn delete(
    state: &mut State,
    caller: &Caller,
    p: &Parameters<'_>,
) -> Result<Value, EksError> {
    let (name, id) = (p.required("clusterName")?, p.required("associationId")?);
    let cluster = cluster(state, caller, name)?;
    let association = cluster.association(id).ok_or_else(|| missing(name, id))?;
    check_owner(association, name)?;
    let answer = json!({"association": association.json(cluster)});
    remove(state, caller, name, &[id.to_owned()])?;
    Ok(answer)
}

/// Removes associations and what idempotency remembers of them.
pub(super) fn remove(
    state: &mut State,
    caller: &Caller,
    name: &str,
    ids: &[String],
) -> Result<(), EksError> {
    cluster(state, caller, name)?
        .associations
        .retain(|_, a| !ids.contains(&a.id));
    state.idempotency.forget(|answer| {
        answer["association"]["associationId"]
            .as_str()
            .is_some_and(|id| ids.iter().any(|i| i == id))
    });
    Ok(())
}
