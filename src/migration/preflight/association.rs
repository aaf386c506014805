//! An association that the service account has already.

use super::{Unit, list};
use crate::migration::facts::AssociationFacts;
use crate::migration::finding::{Code, Finding};
use crate::policy::equivalent_json;

/// How many associations a cluster may have (EKS quotas; not adjustable).
pub const ASSOCIATIONS_MAX: usize = 5_000;

/// Adds what is wrong with the association that is there, or why there cannot be one.
pub fn check(unit: &Unit<'_>, findings: &mut Vec<Finding>) {
    let Some(association) = unit.association else {
        if unit
            .associations_in_cluster
            .is_some_and(|count| count >= ASSOCIATIONS_MAX)
        {
            findings.push(Finding::new(
                Code::AssociationQuota,
                format!(
                    "The cluster {} has all the {ASSOCIATIONS_MAX} associations that EKS allows. Delete some that are not used.",
                    unit.cluster.cluster.name
                ),
            ));
        }
        return;
    };
    let name = format!("{}/{}", unit.namespace_name, unit.service_account);
    let id = &association.id;
    if let Some(owner) = &association.owner_arn {
        findings.push(Finding::new(
            Code::AssociationOwned,
            format!(
                "The association {id} of {name} belongs to {owner} and can only be changed through that add-on: set \
                 podIdentityAssociations of the add-on, and leave this service account out of the migration."
            ),
        ));
        return;
    }
    if association.is_migrations() {
        return;
    }
    if let Some(role) = unit.role.arn()
        && role != association.role_arn
    {
        findings.push(Finding::new(
            Code::AssociationOtherRole,
            format!(
                "{name} has the association {id} with the role {}, not with {role}. Delete that association, or make role_arn \
                 the role that pods should have.",
                association.role_arn
            ),
        ));
        return;
    }
    if let Some(different) = list(differences(association, unit)) {
        findings.push(Finding::new(
            Code::AssociationSettings,
            format!(
                "{name} has the association {id} with other settings than are configured: {different}. Configure what the \
                 association has, or change the association first."
            ),
        ));
        return;
    }
    if !unit.settings.adopt_existing_association {
        findings.push(Finding::new(
            Code::AssociationExists,
            format!(
                "{name} has the association {id} with the same role and settings. Set adopt_existing_association = true to take \
                 it over as it is; it will not be changed or deleted then."
            ),
        ));
    }
}

fn differences(association: &AssociationFacts, unit: &Unit<'_>) -> Vec<String> {
    let settings = unit.settings;
    let mut different = Vec::new();
    if association.target_role_arn != settings.target_role_arn {
        let text = |arn: &Option<String>| arn.as_deref().unwrap_or("none").to_owned();
        different.push(format!(
            "target_role_arn is {} and not {}",
            text(&association.target_role_arn),
            text(&settings.target_role_arn)
        ));
    }
    if association.disable_session_tags != settings.disable_session_tags {
        different.push(format!(
            "disable_session_tags is {}",
            association.disable_session_tags
        ));
    }
    let same_policy = match (&association.policy, &settings.policy) {
        (None, None) => true,
        (Some(has), Some(wanted)) => equivalent_json(has, wanted),
        _ => false,
    };
    if !same_policy {
        different.push(
            match (&association.policy, &settings.policy) {
                (Some(_), None) => "it has a session policy",
                (None, _) => "it has no session policy",
                _ => "it has another session policy",
            }
            .to_owned(),
        );
    }
    different
}
