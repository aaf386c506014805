//! Variables that containers take from ConfigMaps as a whole (`envFrom`). Those of Secrets nobody looks at.

use std::collections::BTreeMap;

use super::template::{CREDENTIAL_VARIABLES, PROFILE_VARIABLES, PROXIES, no_proxy};
use crate::migration::facts::TemplateFacts;

/// ConfigMaps of a namespace by name: what they hold, or `None` for one that may not be read. One that does not exist is not there.
pub(super) type ConfigMaps = BTreeMap<String, Option<BTreeMap<String, String>>>;

/// Adds what ConfigMaps say to what a template says itself, which comes first.
pub(super) fn add(template: &mut TemplateFacts, config_maps: &ConfigMaps) {
    // Of several sources the last one counts.
    for source in std::mem::take(&mut template.env_from).iter().rev() {
        let values = match config_maps.get(&source.name) {
            _ if source.is_secret => None,
            // Without it no pod starts, or it is optional.
            None => continue,
            Some(values) => values.as_ref(),
        };
        let Some(values) = values else {
            let kind = if source.is_secret {
                "Secret"
            } else {
                "ConfigMap"
            };
            template
                .env_not_read
                .insert(format!("{kind} {}", source.name));
            continue;
        };
        let value = |name: &str| {
            let key = name.strip_prefix(&source.prefix)?;
            values.get(key).map(String::as_str)
        };
        let container = &source.container;
        let set = |names: &'static [&'static str]| {
            let names = names.iter().filter(|name| value(name).is_some());
            names.map(|name| (container.clone(), (*name).to_owned()))
        };
        template
            .credential_variables
            .extend(set(&CREDENTIAL_VARIABLES));
        template.profile_variables.extend(set(&PROFILE_VARIABLES));
        if set(&PROXIES).next().is_some() {
            template.proxied.insert(container.clone());
        }
        if let Some(left_out) = no_proxy(value) {
            template
                .no_proxy
                .entry(container.clone())
                .or_insert(left_out);
        }
    }
}
