//! Tags: the rules for all objects, and the three tag operations.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::EksError;
use super::cluster::ClusterKey;
use super::parameters::Parameters;
use crate::state::{Caller, State};

pub(crate) type Tags = BTreeMap<String, String>;

const LIMIT: usize = 50;

/// What is wrong with `tags`, if anything.
pub(crate) fn fault(tags: &Tags) -> Option<String> {
    if tags.len() > LIMIT {
        return Some(format!(
            "The number of tags must not exceed {LIMIT}, got {}.",
            tags.len()
        ));
    }
    tags.iter().find_map(|(key, value)| {
        if key.is_empty() || key.chars().count() > 128 {
            Some("Tag keys must have between 1 and 128 characters.".to_owned())
        } else if value.chars().count() > 256 {
            Some(format!(
                "The value of tag {key} must not have more than 256 characters."
            ))
        } else if key.to_lowercase().starts_with("aws:") {
            Some(format!(
                "The tag key {key} starts with the reserved prefix aws:."
            ))
        } else {
            None
        }
    })
}

/// The tags of a create call.
pub(crate) fn of(p: &Parameters<'_>) -> Result<Tags, EksError> {
    let tags = p.map("tags")?.unwrap_or_default();
    fault(&tags).map_or(Ok(tags), |message| {
        Err(EksError::invalid_parameter(message))
    })
}

fn target<'s>(state: &'s mut State, caller: &Caller, arn: &str) -> Result<&'s mut Tags, EksError> {
    let missing = || EksError::tag_target_not_found(format!("Resource {arn} was not found."));
    let parts: Vec<&str> = arn.splitn(6, ':').collect();
    let ["arn", partition, "eks", region, account, resource] = parts[..] else {
        return Err(EksError::bad_request(format!(
            "{arn} is not a valid EKS resource ARN."
        )));
    };
    if partition != caller.context.partition
        || region != caller.region
        || account != caller.context.account_id
    {
        return Err(EksError::access_denied(format!(
            "User: {} is not authorized to access resource: {arn}",
            caller.context.caller_arn
        )));
    }
    let key = |name: &str| ClusterKey {
        account_id: account.into(),
        region: region.into(),
        name: name.into(),
    };
    let path: Vec<&str> = resource.split('/').collect();
    match path[..] {
        ["cluster", name] => state.clusters.get_mut(&key(name)).map(|c| &mut c.tags),
        ["podidentityassociation", name, id] => state
            .clusters
            .get_mut(&key(name))
            .and_then(|c| c.association_mut(id))
            .map(|a| &mut a.tags),
        ["addon", name, addon, _] => state
            .clusters
            .get_mut(&key(name))
            .and_then(|c| c.addons.get_mut(addon))
            .filter(|a| a.arn == arn)
            .map(|a| &mut a.tags),
        _ => None,
    }
    .ok_or_else(missing)
}

pub(super) fn tag(
    state: &mut State,
    caller: &Caller,
    p: &Parameters<'_>,
) -> Result<Value, EksError> {
    let added = p
        .map("tags")?
        .filter(|tags| !tags.is_empty())
        .ok_or_else(|| {
            EksError::bad_request("The parameter tags is required and must not be empty.")
        })?;
    let tags = target(state, caller, p.required("resourceArn")?)?;
    let mut all = tags.clone();
    all.extend(added);
    if let Some(message) = fault(&all) {
        return Err(EksError::bad_request(message));
    }
    *tags = all;
    Ok(json!({}))
}

pub(super) fn untag(
    state: &mut State,
    caller: &Caller,
    p: &Parameters<'_>,
) -> Result<Value, EksError> {
    let keys = p
        .strings("tagKeys")?
        .filter(|keys| (1..=LIMIT).contains(&keys.len()))
        .ok_or_else(|| {
            EksError::bad_request("The parameter tagKeys must have between 1 and 50 elements.")
        })?;
    let tags = target(state, caller, p.required("resourceArn")?)?;
    for key in keys {
        tags.remove(key);
    }
    Ok(json!({}))
}

pub(super) fn list(
    state: &mut State,
    caller: &Caller,
    p: &Parameters<'_>,
) -> Result<Value, EksError> {
    Ok(json!({"tags": target(state, caller, p.required("resourceArn")?)?}))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits() {
        let one = |k: &str, v: &str| Tags::from([(k.to_owned(), v.to_owned())]);
        let many = |n: usize| {
            (0..n)
                .map(|i| (format!("k{i}"), String::new()))
                .collect::<Tags>()
        };
        let cases = [
            ("fifty", many(50), None),
            ("fifty-one", many(51), Some("must not exceed 50")),
            ("empty key", one("", "v"), Some("between 1 and 128")),
            (
                "long key",
                one(&"k".repeat(129), "v"),
                Some("between 1 and 128"),
            ),
            ("long value", one("k", &"v".repeat(257)), Some("256")),
            ("reserved", one("AWS:x", "v"), Some("reserved prefix")),
            ("empty value", one("k", ""), None),
        ];
        for (name, tags, expected) in cases {
            let fault = fault(&tags);
            assert_eq!(fault.is_some(), expected.is_some(), "{name}: {fault:?}");
            assert!(
                expected.is_none_or(|e| fault.as_ref().unwrap().contains(e)),
                "{name}: {fault:?}"
            );
        }
    }
}
