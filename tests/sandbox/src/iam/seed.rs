//! Filling an account from a description, through the same operations and checks as requests.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::form::Form;
use super::{Iam, IamError};
use crate::context::RequestContext;

/// Adds what `seed` lists; see [`Iam::seed`].
pub(super) fn apply(iam: &mut Iam, context: &RequestContext, seed: &Value) -> Result<(), String> {
    let sections = seed.as_object().ok_or("the IAM seed is not an object")?;
    const SECTIONS: [&str; 6] = [
        "Quotas",
        "AccountAliases",
        "Users",
        "OpenIDConnectProviders",
        "Policies",
        "Roles",
    ];
    if let Some(unknown) = sections
        .keys()
        .find(|section| !SECTIONS.contains(&section.as_str()))
    {
        return Err(format!(
            "the IAM seed has no section {unknown}; sections are {}",
            SECTIONS.join(", ")
        ));
    }
    if let Some(quotas) = sections.get("Quotas") {
        set_quotas(iam, object("Quotas", quotas)?)?;
    }
    for (index, alias) in list(sections, "AccountAliases")?.iter().enumerate() {
        let alias = alias
            .as_str()
            .ok_or_else(|| format!("AccountAliases[{index}] is not a string"))?;
        iam.account_aliases.push(alias.to_owned());
    }
    iam.account_aliases.sort();
    iam.account_aliases.dedup();
    for (section, action) in [
        ("Users", "CreateUser"),
        ("OpenIDConnectProviders", "CreateOpenIDConnectProvider"),
    ] {
        for (index, entry) in list(sections, section)?.iter().enumerate() {
            let at = format!("{section}[{index}]");
            match call(iam, context, action, object(&at, entry)?) {
                // Nothing about these two can differ that anybody looks at.
                Err(error) if error.code == "EntityAlreadyExists" => {}
                result => result.map_err(|error| format!("{at}: {action}: {error}"))?,
            }
        }
    }
    for (index, entry) in list(sections, "Policies")?.iter().enumerate() {
        add_policy(iam, context, &format!("Policies[{index}]"), entry)?;
    }
    for (index, entry) in list(sections, "Roles")?.iter().enumerate() {
        add_role(iam, context, &format!("Roles[{index}]"), entry)?;
    }
    Ok(())
}

/// Creates a policy, or gives one that exists another content under the same id.
fn add_policy(
    iam: &mut Iam,
    context: &RequestContext,
    at: &str,
    entry: &Value,
) -> Result<(), String> {
    let input = object(at, entry)?;
    let name = input
        .get("PolicyName")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let arn = iam
        .policies
        .values()
        .find(|policy| policy.name == name)
        .map(|policy| policy.arn.clone());
    let before = arn.and_then(|arn| iam.policies.remove(&arn));
    let result = call(iam, context, "CreatePolicy", input);
    if let Some(before) = before {
        match iam.policies.values_mut().find(|policy| policy.name == name) {
            Some(policy) => (policy.unique_id, policy.created) = (before.unique_id, before.created),
            None => {
                iam.policies.insert(before.arn.clone(), before);
            }
        }
    }
    result.map_err(|error| format!("{at}: CreatePolicy: {error}"))
}

/// Creates a role, or changes one that exists: it stays the same role to trust policies and keeps the policies it has.
fn add_role(
    iam: &mut Iam,
    context: &RequestContext,
    at: &str,
    entry: &Value,
) -> Result<(), String> {
    let mut role = object(at, entry)?.clone();
    let managed = role
        .remove("ManagedPolicyArns")
        .unwrap_or_else(|| Value::Array(Vec::new()));
    let inline = role
        .remove("InlinePolicies")
        .unwrap_or_else(|| Value::Object(Map::new()));
    let name = role.get("RoleName").cloned().unwrap_or_default();
    let key = name.as_str().unwrap_or_default().to_lowercase();
    let before = iam.roles.remove(&key);
    let result = call(iam, context, "CreateRole", &role);
    if let Some(before) = before {
        match iam.roles.get_mut(&key) {
            Some(role) => {
                (role.unique_id, role.created) = (before.unique_id, before.created);
                (role.inline, role.attached, role.last_used) =
                    (before.inline, before.attached, before.last_used);
            }
            None => {
                iam.roles.insert(key, before);
            }
        }
    }
    result.map_err(|error| format!("{at}: CreateRole: {error}"))?;
    for arn in managed
        .as_array()
        .ok_or_else(|| format!("{at}.ManagedPolicyArns is not a list"))?
    {
        let input = Map::from_iter([
            ("RoleName".to_owned(), name.clone()),
            ("PolicyArn".to_owned(), arn.clone()),
        ]);
        call(iam, context, "AttachRolePolicy", &input)
            .map_err(|error| format!("{at}: AttachRolePolicy: {error}"))?;
    }
    for (policy, document) in object(&format!("{at}.InlinePolicies"), &inline)? {
        let input = Map::from_iter([
            ("RoleName".to_owned(), name.clone()),
            ("PolicyName".to_owned(), Value::from(policy.as_str())),
            ("PolicyDocument".to_owned(), document.clone()),
        ]);
        call(iam, context, "PutRolePolicy", &input)
            .map_err(|error| format!("{at}: PutRolePolicy: {error}"))?;
    }
    Ok(())
}

fn set_quotas(iam: &mut Iam, quotas: &Map<String, Value>) -> Result<(), String> {
    for (name, value) in quotas {
        let value = value
            .as_u64()
            .and_then(|value| usize::try_from(value).ok())
            .ok_or_else(|| format!("Quotas.{name} is not a whole number"))?;
        let quota = match name.as_str() {
            "ACLSizePerRole" => &mut iam.quotas.acl_size_per_role,
            "PoliciesPerRole" => &mut iam.quotas.policies_per_role,
            "RolesPerAccount" => &mut iam.quotas.roles_per_account,
            "PoliciesPerAccount" => &mut iam.quotas.policies_per_account,
            "OpenIDConnectProvidersPerAccount" => {
                &mut iam.quotas.open_id_connect_providers_per_account
            }
            _ => return Err(format!("there is no quota {name}")),
        };
        *quota = value;
    }
    Ok(())
}

fn object<'a>(at: &str, value: &'a Value) -> Result<&'a Map<String, Value>, String> {
    value
        .as_object()
        .ok_or_else(|| format!("{at} is not an object"))
}

fn list<'a>(sections: &'a Map<String, Value>, section: &str) -> Result<&'a [Value], String> {
    sections.get(section).map_or(Ok(&[]), |value| {
        value
            .as_array()
            .map(Vec::as_slice)
            .ok_or_else(|| format!("{section} is not a list"))
    })
}

fn call(
    iam: &mut Iam,
    context: &RequestContext,
    action: &str,
    input: &Map<String, Value>,
) -> Result<(), IamError> {
    let mut parameters = BTreeMap::from([("Action".to_owned(), action.to_owned())]);
    for (name, value) in input {
        match value {
            Value::Object(tags) if name == "Tags" => {
                for (index, (key, value)) in tags.iter().enumerate() {
                    parameters.insert(format!("Tags.member.{}.Key", index + 1), key.clone());
                    flatten(
                        &format!("Tags.member.{}.Value", index + 1),
                        value,
                        &mut parameters,
                    );
                }
            }
            Value::Object(_) => {
                parameters.insert(name.clone(), value.to_string());
            }
            _ => flatten(name, value, &mut parameters),
        }
    }
    iam.dispatch(context, action, &mut Form::new(&parameters))
        .map(|_| ())
}

/// The query protocol's names for nested values.
fn flatten(name: &str, value: &Value, parameters: &mut BTreeMap<String, String>) {
    match value {
        Value::Null => {}
        Value::String(text) => {
            parameters.insert(name.to_owned(), text.clone());
        }
        Value::Bool(_) | Value::Number(_) => {
            parameters.insert(name.to_owned(), value.to_string());
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                flatten(&format!("{name}.member.{}", index + 1), item, parameters);
            }
        }
        Value::Object(members) => {
            for (member, value) in members {
                flatten(&format!("{name}.{member}"), value, parameters);
            }
        }
    }
}
