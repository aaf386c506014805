//! Add-ons: a state machine that moves on as it is described, or as time passes.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use time::OffsetDateTime;

use super::associations::{self, Association};
use super::cluster::Cluster;
use super::config_schema;
use super::parameters::Parameters;
use super::tags::{self, Tags};
use super::{EksError, cluster, epoch};
use crate::state::{Caller, State};

/// Namespace in which add-ons run and own associations.
const NAMESPACE: &str = "kube-system";

/// One stage of a change. It lasts until it has been described `describes` times and is `ms` milliseconds old; the last one stays.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Step {
    pub(crate) status: String,
    #[serde(default)]
    pub(crate) describes: u64,
    #[serde(default)]
    pub(crate) ms: u64,
    /// The content of `health.issues`.
    #[serde(default)]
    pub(crate) issues: Vec<Value>,
}

impl Step {
    fn of(status: &str, describes: u64) -> Self {
        Self {
            status: status.into(),
            describes,
            ms: 0,
            issues: Vec::new(),
        }
    }
}

/// How an add-on goes through its changes.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Behaviour {
    pub(crate) create: Vec<Step>,
    pub(crate) update: Vec<Step>,
    /// How the update itself ends: `Successful`, `Failed` or `Cancelled`.
    pub(crate) update_result: String,
    /// The content of the update's `errors`.
    pub(crate) update_errors: Vec<Value>,
    /// Whether the new version and values are in place after an update that did not succeed.
    pub(crate) update_applied: bool,
    /// An empty list deletes at once; a last step of status `DELETED` is the end.
    pub(crate) delete: Vec<Step>,
}

impl Default for Behaviour {
    fn default() -> Self {
        Self {
            create: vec![Step::of("CREATING", 1), Step::of("ACTIVE", 0)],
            update: vec![Step::of("UPDATING", 1), Step::of("ACTIVE", 0)],
            update_result: "Successful".into(),
            update_errors: Vec::new(),
            update_applied: false,
            delete: vec![Step::of("DELETING", 1), Step::of("DELETED", 0)],
        }
    }
}

/// The stages ahead of an add-on; the first is the present one.
#[derive(Clone, Debug)]
struct Progress {
    steps: Vec<Step>,
    since: OffsetDateTime,
    described: u64,
}

impl Progress {
    const fn new(steps: Vec<Step>, now: OffsetDateTime) -> Self {
        Self {
            steps,
            since: now,
            described: 0,
        }
    }

    /// Moves on as far as time and descriptions allow; `describing` counts this one.
    fn advance(&mut self, now: OffsetDateTime, describing: bool) {
        while let [step, _, ..] = &self.steps[..]
            && self.described >= step.describes
            && (now - self.since).whole_milliseconds() >= i128::from(step.ms)
        {
            self.steps.remove(0);
            self.since = now;
            self.described = 0;
        }
        if describing {
            self.described += 1;
        }
    }

    fn settled(&self) -> bool {
        self.steps.len() <= 1
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Addon {
    pub(crate) name: String,
    pub(crate) arn: String,
    pub(crate) version: String,
    pub(crate) configuration_values: Option<String>,
    pub(crate) service_account_role_arn: Option<String>,
    pub(crate) tags: Tags,
    pub(crate) created: OffsetDateTime,
    pub(crate) modified: OffsetDateTime,
    progress: Progress,
    /// The update under way, by its id, with what it will put in place.
    pending: Option<Pending>,
}

#[derive(Clone, Debug)]
struct Pending {
    update_id: String,
    version: String,
    configuration_values: Option<String>,
    service_account_role_arn: Option<String>,
}

#[derive(Clone, Debug)]
pub(crate) struct Update {
    id: String,
    addon: String,
    status: String,
    params: Vec<Value>,
    errors: Vec<Value>,
    created: OffsetDateTime,
}

impl Update {
    fn json(&self) -> Value {
        json!({"id": self.id, "status": self.status, "type": "AddonUpdate", "params": self.params, "createdAt": epoch(self.created), "errors": self.errors})
    }
}

impl Addon {
    /// An add-on in a settled state.
    pub(crate) fn settled(
        name: &str,
        arn: String,
        version: &str,
        status: &str,
        issues: Vec<Value>,
        now: OffsetDateTime,
    ) -> Self {
        Self::changing(
            name,
            arn,
            version,
            vec![Step {
                issues,
                ..Step::of(status, 0)
            }],
            now,
        )
    }

    fn changing(
        name: &str,
        arn: String,
        version: &str,
        steps: Vec<Step>,
        now: OffsetDateTime,
    ) -> Self {
        Self {
            name: name.into(),
            arn,
            version: version.into(),
            configuration_values: None,
            service_account_role_arn: None,
            tags: Tags::new(),
            created: now,
            modified: now,
            progress: Progress::new(steps, now),
            pending: None,
        }
    }

    pub(crate) fn status(&self) -> &str {
        self.progress
            .steps
            .first()
            .map_or("ACTIVE", |step| step.status.as_str())
    }

    /// Puts the add-on into this status at once.
    pub(crate) fn settle(&mut self, status: &str, issues: Vec<Value>, now: OffsetDateTime) {
        self.progress = Progress::new(
            vec![Step {
                issues,
                ..Step::of(status, 0)
            }],
            now,
        );
        self.pending = None;
    }

    pub(crate) fn json(&self, cluster: &Cluster) -> Value {
        let issues = self
            .progress
            .steps
            .first()
            .map(|step| step.issues.clone())
            .unwrap_or_default();
        let mut value = json!({
            "addonName": self.name,
            "clusterName": cluster.key.name,
            "status": self.status(),
            "addonVersion": self.version,
            "health": {"issues": issues},
            "addonArn": self.arn,
            "createdAt": epoch(self.created),
            "modifiedAt": epoch(self.modified),
            "tags": self.tags,
            "publisher": "eks",
            "owner": "aws",
            "namespaceConfig": {"namespace": NAMESPACE},
        });
        if let Some(values) = &self.configuration_values {
            value["configurationValues"] = values.clone().into();
        }
        if let Some(arn) = &self.service_account_role_arn {
            value["serviceAccountRoleArn"] = arn.clone().into();
        }
        let owned: Vec<String> = cluster
            .associations
            .values()
            .filter(|a| a.owner_arn.as_ref() == Some(&self.arn))
            .map(|a| a.arn(cluster))
            .collect();
        if !owned.is_empty() {
            value["podIdentityAssociations"] = json!(owned);
        }
        value
    }
}

/// A name for an add-on of a cluster as the API gives it: `addon/CLUSTER/NAME/UUID`.
pub(crate) fn arn(cluster: &Cluster, addon: &str, uuid: &str) -> String {
    cluster.arn(&format!("addon/{}/{addon}/{uuid}", cluster.key.name))
}

/// Lets the add-on move on, completing its update or deletion when it gets there.
fn advance(
    state: &mut State,
    caller: &Caller,
    name: &str,
    addon_name: &str,
    describing: bool,
) -> Result<(), EksError> {
    let now = caller.context.now;
    let cluster = cluster(state, caller, name)?;
    let behaviour = cluster
        .behaviours
        .get(addon_name)
        .cloned()
        .unwrap_or_default();
    let Some(addon) = cluster.addons.get_mut(addon_name) else {
        return Ok(());
    };
    addon.progress.advance(now, describing);
    if addon.progress.settled()
        && let Some(pending) = addon.pending.take()
    {
        let succeeded = behaviour.update_result == "Successful";
        if succeeded || behaviour.update_applied {
            addon.version = pending.version;
            addon.configuration_values = pending.configuration_values;
            addon.service_account_role_arn = pending.service_account_role_arn;
            addon.modified = now;
        }
        if let Some(update) = cluster
            .updates
            .iter_mut()
            .find(|u| u.id == pending.update_id)
        {
            update.status = behaviour.update_result;
            update.errors = if succeeded {
                Vec::new()
            } else {
                behaviour.update_errors
            };
        }
    } else if addon.status() == "DELETED" {
        cluster.addons.remove(addon_name);
    }
    Ok(())
}

fn missing(cluster: &str, addon: &str) -> EksError {
    EksError::not_found(format!("No addon: {addon} found in cluster: {cluster}"))
        .of_cluster(cluster)
        .of_addon(addon)
}

/// Values as an API caller gives them: YAML or JSON of an object; an empty text stands for none.
fn configuration<'a>(p: &Parameters<'a>) -> Result<Option<(&'a str, Value)>, EksError> {
    let bad = || {
        EksError::invalid_parameter(
            "The ConfigurationValues provided is not in valid YAML or JSON format.",
        )
    };
    let Some(text) = p.string("configurationValues")? else {
        return Ok(None);
    };
    // serde_yaml_ng reads JSON too: YAML contains it.
    match serde_yaml_ng::from_str::<Value>(text) {
        Ok(value @ Value::Object(_)) => Ok(Some((text, value))),
        Ok(Value::Null) => Ok(Some((text, json!({})))),
        Ok(_) | Err(_) => Err(bad()),
    }
}

fn check_configuration(schema: &Value, value: &Value) -> Result<(), EksError> {
    let errors = config_schema::violations(schema, value);
    if errors.is_empty() {
        return Ok(());
    }
    Err(EksError::invalid_parameter(format!(
        "ConfigurationValue provided in request is not supported: Json schema validation failed with error: [{}]",
        errors.join(", ")
    )))
}

fn check_resolve_conflicts(p: &Parameters<'_>) -> Result<Option<String>, EksError> {
    match p.string("resolveConflicts")? {
        None => Ok(None),
        Some(value @ ("NONE" | "OVERWRITE" | "PRESERVE")) => Ok(Some(value.into())),
        Some(_) => Err(EksError::invalid_parameter(
            "The parameter resolveConflicts must be one of OVERWRITE, NONE, PRESERVE.",
        )),
    }
}

/// The `{serviceAccount, roleArn}` pairs of a call; the roles' accounts are checked.
fn pairs(caller: &Caller, p: &Parameters<'_>) -> Result<Option<Vec<(String, String)>>, EksError> {
    let Some(list) = p.objects("podIdentityAssociations")? else {
        return Ok(None);
    };
    let mut pairs = Vec::new();
    for item in list {
        let (service_account, role_arn) =
            (item.required("serviceAccount")?, item.required("roleArn")?);
        associations::check_pass_role(caller, role_arn)?;
        pairs.push((service_account.to_owned(), role_arn.to_owned()));
    }
    Ok(Some(pairs))
}

fn check_pairs(
    state: &mut State,
    caller: &Caller,
    name: &str,
    addon: &str,
    version: &str,
    owner: Option<&str>,
    pairs: &[(String, String)],
) -> Result<(), EksError> {
    let known = state.catalog.service_accounts(addon, version);
    for (service_account, role_arn) in pairs {
        if known.is_empty() {
            return Err(EksError::invalid_parameter(format!(
                "Pod Identity feature is not supported for addon version {version}"
            ))
            .of_cluster(name)
            .of_addon(addon));
        }
        if !known.contains(service_account) {
            return Err(EksError::invalid_parameter(format!(
                "Service account {service_account} is not supported for addon {addon}"
            ))
            .of_cluster(name)
            .of_addon(addon));
        }
        associations::check_role(state, caller, role_arn)?;
        let cluster = cluster(state, caller, name)?;
        if let Some(existing) = cluster
            .association_of(NAMESPACE, service_account)
            .filter(|a| a.owner_arn.as_deref() != owner || owner.is_none())
        {
            return Err(
                EksError::in_use(format!("Association already exists: {}", existing.id))
                    .of_cluster(name)
                    .of_addon(addon),
            );
        }
    }
    Ok(())
}

/// Makes the add-on's associations exactly these, keeping the ids of those that stay.
fn replace_pairs(
    state: &mut State,
    caller: &Caller,
    name: &str,
    owner: &str,
    pairs: &[(String, String)],
) -> Result<(), EksError> {
    let now = caller.context.now;
    let stale: Vec<String> = cluster(state, caller, name)?
        .associations
        .values()
        .filter(|a| {
            a.owner_arn.as_deref() == Some(owner)
                && !pairs.iter().any(|(sa, _)| *sa == a.service_account)
        })
        .map(|a| a.id.clone())
        .collect();
    associations::remove(state, caller, name, &stale)?;
    for (service_account, role_arn) in pairs {
        let id = state.ids.association();
        let cluster = cluster(state, caller, name)?;
        match cluster
            .associations
            .values_mut()
            .find(|a| a.namespace == NAMESPACE && a.service_account == *service_account)
        {
            Some(existing) if existing.role_arn != *role_arn => {
                existing.role_arn.clone_from(role_arn);
                existing.modified = now;
            }
            Some(_) => {}
            None => {
                let mut association =
                    Association::new(id, NAMESPACE, service_account, role_arn, now);
                association.owner_arn = Some(owner.into());
                cluster.add_association(association);
            }
        }
    }
    Ok(())
}

pub(super) fn create(
    state: &mut State,
    caller: &Caller,
    p: &Parameters<'_>,
) -> Result<Value, EksError> {
    let (name, addon_name) = (p.required("clusterName")?, p.required("addonName")?);
    let values = configuration(p)?;
    check_resolve_conflicts(p)?;
    let tags = tags::of(p)?;
    let pairs = pairs(caller, p)?.unwrap_or_default();
    let service_account_role = p
        .string("serviceAccountRoleArn")?
        .filter(|arn| !arn.is_empty());
    if let Some(arn) = service_account_role {
        associations::check_pass_role(caller, arn)?;
    }
    let (kubernetes, behaviour) = {
        let cluster = cluster(state, caller, name)?;
        cluster.check_active()?;
        (
            cluster.version.clone(),
            cluster
                .behaviours
                .get(addon_name)
                .cloned()
                .unwrap_or_default(),
        )
    };
    let ticket = match state.idempotency.check(caller, "CreateAddon", p.0)? {
        Ok(answer) => return Ok(answer),
        Err(ticket) => ticket,
    };
    if !state.catalog.has(addon_name) {
        return Err(
            EksError::invalid_parameter("Addon specified is not supported")
                .of_cluster(name)
                .of_addon(addon_name),
        );
    }
    let version = match p.string("addonVersion")? {
        Some(version) => {
            Some(version.to_owned()).filter(|v| state.catalog.supports(addon_name, v, &kubernetes))
        }
        None => state.catalog.default_version(addon_name, &kubernetes),
    }
    .ok_or_else(|| {
        EksError::invalid_parameter("Addon version specified is not supported")
            .of_cluster(name)
            .of_addon(addon_name)
    })?;
    if let Some((_, value)) = &values {
        check_configuration(state.catalog.schema(addon_name, &version), value)?;
    }
    advance(state, caller, name, addon_name, false)?;
    if cluster(state, caller, name)?
        .addons
        .contains_key(addon_name)
    {
        return Err(EksError::in_use("Addon already exists.")
            .of_cluster(name)
            .of_addon(addon_name));
    }
    check_pairs(state, caller, name, addon_name, &version, None, &pairs)?;
    let uuid = state.ids.uuid();
    let owner = arn(cluster(state, caller, name)?, addon_name, &uuid);
    replace_pairs(state, caller, name, &owner, &pairs)?;
    let cluster = cluster(state, caller, name)?;
    let mut addon = Addon::changing(
        addon_name,
        owner,
        &version,
        behaviour.create,
        caller.context.now,
    );
    addon.configuration_values = values
        .map(|(text, _)| text.to_owned())
        .filter(|text| !text.is_empty());
    addon.service_account_role_arn = service_account_role.map(Into::into);
    addon.tags = tags;
    let answer = json!({"addon": addon.json(cluster)});
    cluster.addons.insert(addon_name.into(), addon);
    state.idempotency.record(ticket, &answer);
    Ok(answer)
}

pub(super) fn list(
    state: &mut State,
    caller: &Caller,
    p: &Parameters<'_>,
) -> Result<Value, EksError> {
    let name = p.required("clusterName")?;
    let names: Vec<String> = cluster(state, caller, name)?
        .addons
        .keys()
        .cloned()
        .collect();
    for addon in &names {
        advance(state, caller, name, addon, false)?;
    }
    let names: Vec<String> = cluster(state, caller, name)?
        .addons
        .keys()
        .cloned()
        .collect();
    let (page, next) = state.pager.page(
        names.into_iter().map(|n| (n.clone(), n)),
        &format!("ListAddons {name}"),
        p.max_results()?,
        p.string("nextToken")?,
    )?;
    Ok(json!({"addons": page, "nextToken": next}))
}

pub(super) fn describe(
    state: &mut State,
    caller: &Caller,
    p: &Parameters<'_>,
) -> Result<Value, EksError> {
    let (name, addon_name) = (p.required("clusterName")?, p.required("addonName")?);
    advance(state, caller, name, addon_name, true)?;
    let cluster = &*cluster(state, caller, name)?;
    let addon = cluster
        .addons
        .get(addon_name)
        .ok_or_else(|| missing(name, addon_name))?;
    Ok(json!({"addon": addon.json(cluster)}))
}

pub(super) fn update(
    state: &mut State,
    caller: &Caller,
    p: &Parameters<'_>,
) -> Result<Value, EksError> {
    let (name, addon_name) = (p.required("clusterName")?, p.required("addonName")?);
    let values = configuration(p)?;
    let resolve_conflicts = check_resolve_conflicts(p)?;
    let pairs = pairs(caller, p)?;
    let service_account_role = p.string("serviceAccountRoleArn")?;
    if let Some(arn) = service_account_role.filter(|arn| !arn.is_empty()) {
        associations::check_pass_role(caller, arn)?;
    }
    advance(state, caller, name, addon_name, false)?;
    let (kubernetes, behaviour, addon) = {
        let cluster = cluster(state, caller, name)?;
        let addon = cluster
            .addons
            .get(addon_name)
            .ok_or_else(|| missing(name, addon_name))?
            .clone();
        (
            cluster.version.clone(),
            cluster
                .behaviours
                .get(addon_name)
                .cloned()
                .unwrap_or_default(),
            addon,
        )
    };
    let ticket = match state.idempotency.check(caller, "UpdateAddon", p.0)? {
        Ok(answer) => return Ok(answer),
        Err(ticket) => ticket,
    };
    if !addon.progress.settled() {
        return Err(EksError::in_use(format!(
            "Addon {addon_name} cannot be updated as it is currently in {} state",
            addon.status()
        ))
        .of_cluster(name)
        .of_addon(addon_name));
    }
    let version = p
        .string("addonVersion")?
        .unwrap_or(&addon.version)
        .to_owned();
    if version != addon.version && !state.catalog.supports(addon_name, &version, &kubernetes) {
        return Err(
            EksError::invalid_parameter("Addon version specified is not supported")
                .of_cluster(name)
                .of_addon(addon_name),
        );
    }
    if let Some((_, value)) = &values {
        check_configuration(state.catalog.schema(addon_name, &version), value)?;
    }
    if let Some(pairs) = &pairs {
        check_pairs(
            state,
            caller,
            name,
            addon_name,
            &version,
            Some(&addon.arn),
            pairs,
        )?;
        replace_pairs(state, caller, name, &addon.arn, pairs)?;
    }
    let mut params = vec![json!({"type": "AddonVersion", "value": version})];
    params
        .extend(resolve_conflicts.map(|value| json!({"type": "ResolveConflicts", "value": value})));
    params.extend(
        values
            .as_ref()
            .map(|(text, _)| json!({"type": "ConfigurationValues", "value": text})),
    );
    params.extend(
        service_account_role.map(|arn| json!({"type": "ServiceAccountRoleArn", "value": arn})),
    );
    params.extend(
        p.0.get("podIdentityAssociations")
            .map(|list| json!({"type": "PodIdentityAssociations", "value": list.to_string()})),
    );
    let now = caller.context.now;
    let update = Update {
        id: state.ids.uuid(),
        addon: addon_name.into(),
        status: "InProgress".into(),
        params,
        errors: Vec::new(),
        created: now,
    };
    let answer = json!({"update": update.json()});
    let cluster = cluster(state, caller, name)?;
    if let Some(addon) = cluster.addons.get_mut(addon_name) {
        addon.pending = Some(Pending {
            update_id: update.id.clone(),
            version,
            configuration_values: match values {
                Some((text, _)) => Some(text.to_owned()).filter(|text| !text.is_empty()),
                None => addon.configuration_values.clone(),
            },
            service_account_role_arn: match service_account_role {
                Some(arn) => Some(arn.to_owned()).filter(|arn| !arn.is_empty()),
                None => addon.service_account_role_arn.clone(),
            },
        });
        addon.progress = Progress::new(behaviour.update, now);
    }
    cluster.updates.push(update);
    state.idempotency.record(ticket, &answer);
    Ok(answer)
}

pub(super) fn delete(
    state: &mut State,
    caller: &Caller,
    p: &Parameters<'_>,
) -> Result<Value, EksError> {
    let (name, addon_name) = (p.required("clusterName")?, p.required("addonName")?);
    let preserve = p.boolean("preserve")?.unwrap_or(false);
    advance(state, caller, name, addon_name, false)?;
    let now = caller.context.now;
    let this = cluster(state, caller, name)?;
    let behaviour = this.behaviours.get(addon_name).cloned().unwrap_or_default();
    let addon = this
        .addons
        .get_mut(addon_name)
        .ok_or_else(|| missing(name, addon_name))?;
    if addon.status() == "DELETING" {
        return Err(EksError::in_use(format!(
            "Addon {addon_name} cannot be deleted as it is currently in DELETING state"
        ))
        .of_cluster(name)
        .of_addon(addon_name));
    }
    addon.pending = None;
    addon.progress = Progress::new(behaviour.delete, now);
    let (owner, gone) = (addon.arn.clone(), addon.progress.steps.is_empty());
    let answer = json!({"addon": this.addons[addon_name].json(this)});
    if gone {
        this.addons.remove(addon_name);
    }
    state
        .idempotency
        .forget(|answer| answer["addon"]["addonArn"] == owner.as_str());
    if preserve {
        // What stays on the cluster keeps its permissions; nobody owns them any more.
        for association in cluster(state, caller, name)?
            .associations
            .values_mut()
            .filter(|a| a.owner_arn.as_deref() == Some(&owner))
        {
            association.owner_arn = None;
        }
    } else {
        replace_pairs(state, caller, name, &owner, &[])?;
    }
    Ok(answer)
}

pub(super) fn list_updates(
    state: &mut State,
    caller: &Caller,
    p: &Parameters<'_>,
) -> Result<Value, EksError> {
    let name = p.required("name")?;
    let addon = p.string("addonName")?;
    let ids: Vec<(String, String)> = cluster(state, caller, name)?
        .updates
        .iter()
        .enumerate()
        .filter(|(_, u)| addon == Some(u.addon.as_str()))
        .map(|(n, u)| (format!("{n:010}"), u.id.clone()))
        .collect();
    let (page, next) = state.pager.page(
        ids.into_iter(),
        &format!("ListUpdates {name} {addon:?}"),
        p.max_results()?,
        p.string("nextToken")?,
    )?;
    Ok(json!({"updateIds": page, "nextToken": next}))
}

pub(super) fn describe_update(
    state: &mut State,
    caller: &Caller,
    p: &Parameters<'_>,
) -> Result<Value, EksError> {
    let (name, id) = (p.required("name")?, p.required("updateId")?);
    let addon = p.string("addonName")?.map(str::to_owned);
    if let Some(addon) = &addon {
        advance(state, caller, name, addon, true)?;
    }
    let found = cluster(state, caller, name)?
        .updates
        .iter()
        .find(|u| u.id == id && Some(&u.addon) == addon.as_ref());
    found.map(|u| json!({"update": u.json()})).ok_or_else(|| {
        EksError::not_found(format!("No update found for ID: {id}")).of_cluster(name)
    })
}

#[cfg(test)]
mod tests {
    use time::Duration;
    use time::macros::datetime;

    use super::*;

    const NOW: OffsetDateTime = datetime!(2026-01-01 00:00 UTC);

    #[test]
    fn a_step_lasts_its_describes_and_its_time() {
        let step = |status: &str, describes, ms| Step {
            ms,
            ..Step::of(status, describes)
        };
        let mut progress = Progress::new(
            vec![
                step("CREATING", 2, 0),
                step("DEGRADED", 1, 100),
                step("ACTIVE", 0, 0),
            ],
            NOW,
        );
        let mut look = |ms| {
            progress.advance(NOW + Duration::milliseconds(ms), true);
            progress.steps[0].status.clone()
        };
        assert_eq!(
            [
                look(0),
                look(1),
                look(2),
                look(50),
                look(101),
                look(103),
                look(104)
            ],
            [
                "CREATING", "CREATING", "DEGRADED", "DEGRADED", "DEGRADED", "ACTIVE", "ACTIVE"
            ]
        );
    }
}
