//! IAM of one account: a pure state machine from a decoded query to an XML answer.
//!
//! Shapes, wrappers and limits are those of the service model of API version 2010-05-08. Messages are AWS's own as recorded
//! by public test suites that run against it; where no record was found, the comment beside the message says so.

mod error;
mod form;
mod identity_policy;
mod instance_profiles;
mod json;
mod managed_policies;
mod open_id_connect;
mod pages;
mod policies;
mod role_policies;
mod roles;
mod seed;
mod service_principals;
mod simulation;
mod tags;
mod trust;
mod users;
mod xml;

use std::collections::BTreeMap;

use serde_json::Value;
use sha2::{Digest, Sha256};
use time::OffsetDateTime;

pub use self::error::IamError;

use self::form::Form;
use self::instance_profiles::InstanceProfile;
use self::open_id_connect::OpenIdConnectProvider;
use self::policies::ManagedPolicy;
use self::roles::Role;
use self::users::User;
use self::xml::Xml;
use crate::context::RequestContext;

/// The API version this service speaks.
const VERSION: &str = "2010-05-08";
const NAMESPACE: &str = "https://iam.amazonaws.com/doc/2010-05-08/";

/// State of one account.
#[derive(Debug, Default)]
pub struct Iam {
    /// By name in lower case: names are unique ignoring case.
    roles: BTreeMap<String, Role>,
    /// Customer-managed policies by ARN.
    policies: BTreeMap<String, ManagedPolicy>,
    /// By name in lower case.
    instance_profiles: BTreeMap<String, InstanceProfile>,
    /// By ARN.
    open_id_connect_providers: BTreeMap<String, OpenIdConnectProvider>,
    /// By name in lower case.
    users: BTreeMap<String, User>,
    account_aliases: Vec<String>,
    quotas: Quotas,
    /// Unique ids given out so far.
    serial: u64,
}

/// What EKS and STS may look at of a role.
#[derive(Clone, Debug)]
pub struct RoleView {
    /// `arn:P:iam::A:role[/path/]NAME`.
    pub arn: String,
    /// Friendly name, without the path.
    pub name: String,
    /// `AROA…`.
    pub unique_id: String,
    /// Trust policy document, parsed.
    pub trust: Value,
    /// When the role was created.
    pub created: OffsetDateTime,
    /// When the trust policy was last written; `created` for one never changed.
    pub trust_changed: OffsetDateTime,
}

/// The adjustable quotas of an account, at their defaults; a seed may raise or lower them.
#[derive(Debug)]
struct Quotas {
    acl_size_per_role: usize,
    policies_per_role: usize,
    roles_per_account: usize,
    policies_per_account: usize,
    open_id_connect_providers_per_account: usize,
}

impl Default for Quotas {
    fn default() -> Self {
        Self {
            acl_size_per_role: 2048,
            policies_per_role: 10,
            roles_per_account: 1000,
            policies_per_account: 1500,
            open_id_connect_providers_per_account: 100,
        }
    }
}

/// What an operation has to say.
enum Answer {
    /// Operations without an output shape have no result element.
    Empty,
    /// The content of the result element.
    Result(Xml),
}

/// Checks the grammar of an identity policy, which a session policy has to follow too.
///
/// # Errors
///
/// `MalformedPolicyDocument`.
pub(crate) fn check_identity_policy(text: &str) -> Result<(), IamError> {
    identity_policy::check(text)
}

type Outcome = Result<Answer, IamError>;

impl Iam {
    /// Answers one query. `parameters` holds the decoded form fields, `Action` and `Version` among them; `Ok` is the complete XML body of a 200.
    ///
    /// # Errors
    ///
    /// The error of the IAM API reference for this operation.
    pub fn handle(
        &mut self,
        context: &RequestContext,
        parameters: &BTreeMap<String, String>,
    ) -> Result<String, IamError> {
        let Some(action) = parameters.get("Action") else {
            return Err(IamError {
                status: 400,
                code: "MissingAction".into(),
                message: "Missing Action".into(),
                sender_fault: true,
            });
        };
        let version = parameters.get("Version").map_or(VERSION, String::as_str);
        if version != VERSION {
            return Err(IamError::invalid_action(action, version));
        }
        self.check_protected(action, parameters)?;
        let mut xml = Xml::new();
        match self.dispatch(context, action, &mut Form::new(parameters))? {
            Answer::Empty => {}
            Answer::Result(result) => xml.raw_element(&format!("{action}Result"), &result.finish()),
        }
        xml.element("ResponseMetadata", |xml| {
            xml.text("RequestId", &context.request_id)
        });
        Ok(format!(
            "<{action}Response xmlns=\"{NAMESPACE}\">{}</{action}Response>",
            xml.finish()
        ))
    }

    /// Roles of services and of the identity centre can be read, not changed; only a seed can put them there.
    fn check_protected(
        &self,
        action: &str,
        parameters: &BTreeMap<String, String>,
    ) -> Result<(), IamError> {
        const RESERVED: [&str; 2] = ["/aws-service-role/", "/aws-reserved/"];
        const CHANGES: [&str; 9] = [
            "AddRoleToInstanceProfile",
            "AttachRolePolicy",
            "DeleteRole",
            "DeleteRolePermissionsBoundary",
            "DeleteRolePolicy",
            "DetachRolePolicy",
            "PutRolePermissionsBoundary",
            "PutRolePolicy",
            "UpdateAssumeRolePolicy",
        ];
        let reserved = |path: &str| RESERVED.iter().any(|prefix| path.starts_with(prefix));
        if action == "CreateRole" && parameters.get("Path").is_some_and(|path| reserved(path)) {
            // No record of AWS's wording was found.
            return Err(IamError::invalid_input(
                "The specified path is reserved for roles that AWS services create.",
            ));
        }
        let role = parameters
            .get("RoleName")
            .and_then(|name| self.role(name).ok());
        match role.filter(|role| CHANGES.contains(&action) && reserved(&role.path)) {
            Some(role) => Err(IamError::unmodifiable_entity(&role.name)),
            None => Ok(()),
        }
    }

    /// The role of this ARN, or `None`.
    pub fn role_by_arn(&self, arn: &str) -> Option<RoleView> {
        let role = self.roles.values().find(|role| role.arn == arn)?;
        Some(RoleView {
            arn: role.arn.clone(),
            name: role.name.clone(),
            unique_id: role.unique_id.clone(),
            trust: serde_json::from_str(&self.shown_trust(role)).unwrap_or_default(),
            created: role.created,
            trust_changed: role.trust_changed,
        })
    }

    /// The role as STS saw it at that time: with the trust policy of then, or `None` before the role was known.
    pub(crate) fn role_at(&self, arn: &str, at: OffsetDateTime) -> Option<RoleView> {
        let role = self.roles.values().find(|role| role.arn == arn)?;
        let view = self.role_by_arn(arn).filter(|_| role.known <= at)?;
        let former = role.former_trusts.iter().find(|(until, _)| *until > at);
        Some(match former {
            Some((_, trust)) => RoleView {
                trust: serde_json::from_str(&self.shown(trust)).unwrap_or_default(),
                ..view
            },
            None => view,
        })
    }

    /// ARN of every role, and a number that is another one when [`role_at`](Self::role_at) answers another trust policy.
    pub(crate) fn versions_at(
        &self,
        at: Option<OffsetDateTime>,
    ) -> impl Iterator<Item = (&str, i128)> {
        self.roles.values().map(move |role| {
            let version = match at {
                Some(at) if role.known > at => -1,
                Some(at) => {
                    let mut former = role.former_trusts.iter().map(|(until, _)| *until);
                    let until = former.find(|until| *until > at);
                    until.map_or(0, OffsetDateTime::unix_timestamp_nanos)
                }
                None => 0,
            };
            (role.arn.as_str(), version)
        })
    }

    /// Lets everything that was written be known everywhere.
    pub(crate) fn settle(&mut self) {
        for role in self.roles.values_mut() {
            role.former_trusts.clear();
            role.known = OffsetDateTime::UNIX_EPOCH;
        }
    }

    /// ARN, unique id and time of the last change of the trust policy of every role.
    pub(crate) fn role_versions(&self) -> impl Iterator<Item = (&str, &str, OffsetDateTime)> {
        self.roles
            .values()
            .map(|r| (r.arn.as_str(), r.unique_id.as_str(), r.trust_changed))
    }

    /// ARN and trust policy of every role.
    pub(crate) fn trusts(&self) -> impl Iterator<Item = (String, Value)> {
        self.roles.values().map(|role| {
            let trust = serde_json::from_str(&self.shown_trust(role)).unwrap_or_default();
            (role.arn.clone(), trust)
        })
    }

    /// ARNs of the OpenID Connect providers.
    pub(crate) fn provider_arns(&self) -> impl Iterator<Item = &str> {
        self.open_id_connect_providers.keys().map(String::as_str)
    }

    /// Whether there is a provider for this issuer (without scheme, in lower case) that takes the audience.
    pub(crate) fn accepts_identities(&self, issuer: &str, audience: &str) -> bool {
        self.open_id_connect_providers
            .values()
            .any(|provider| provider.accepts(issuer, audience))
    }

    /// Notes that the role's credentials were used, for `RoleLastUsed`.
    pub fn record_role_use(&mut self, arn: &str, region: &str, at: OffsetDateTime) {
        if let Some(role) = self.roles.values_mut().find(|role| role.arn == arn) {
            role.last_used = Some((at, region.to_owned()));
        }
    }

    /// Adds what `seed` lists; members are named and shaped as in the API's inputs.
    ///
    /// `Roles` (input of `CreateRole`, plus `ManagedPolicyArns` and `InlinePolicies`, a map of name to document), `Policies`
    /// (`CreatePolicy`), `Users` (`CreateUser`), `OpenIDConnectProviders` (`CreateOpenIDConnectProvider`), `AccountAliases` (list
    /// of strings) and `Quotas` (`ACLSizePerRole`, `PoliciesPerRole`, `RolesPerAccount`, `PoliciesPerAccount`,
    /// `OpenIDConnectProvidersPerAccount`). Documents may be text or JSON, tags a map or the API's list. Roles and policies that exist
    /// are changed and keep their unique ids.
    ///
    /// # Errors
    ///
    /// Says which entry is malformed or refused; entries before it are added.
    pub fn seed(&mut self, context: &RequestContext, seed: &Value) -> Result<(), String> {
        seed::apply(self, context, seed)
    }

    fn dispatch(&mut self, context: &RequestContext, action: &str, form: &mut Form<'_>) -> Outcome {
        match action {
            "AddClientIDToOpenIDConnectProvider" => {
                self.add_client_id_to_open_id_connect_provider(form)
            }
            "AddRoleToInstanceProfile" => self.add_role_to_instance_profile(form),
            "AttachRolePolicy" => self.attach_role_policy(context, form),
            "CreateInstanceProfile" => self.create_instance_profile(context, form),
            "CreateOpenIDConnectProvider" => self.create_open_id_connect_provider(context, form),
            "CreatePolicy" => self.create_policy(context, form),
            "CreatePolicyVersion" => self.create_policy_version(context, form),
            "CreateRole" => self.create_role(context, form),
            "CreateUser" => self.create_user(context, form),
            "DeleteInstanceProfile" => self.delete_instance_profile(form),
            "DeleteOpenIDConnectProvider" => self.delete_open_id_connect_provider(form),
            "DeletePolicy" => self.delete_policy(form),
            "DeletePolicyVersion" => self.delete_policy_version(form),
            "DeleteRole" => self.delete_role(form),
            "DeleteRolePermissionsBoundary" => self.delete_role_permissions_boundary(form),
            "DeleteRolePolicy" => self.delete_role_policy(form),
            "DeleteUser" => self.delete_user(form),
            "DetachRolePolicy" => self.detach_role_policy(form),
            "GetAccountSummary" => self.get_account_summary(form),
            "GetInstanceProfile" => self.get_instance_profile(form),
            "GetOpenIDConnectProvider" => self.get_open_id_connect_provider(form),
            "GetPolicy" => self.get_policy(context, form),
            "GetPolicyVersion" => self.get_policy_version(context, form),
            "GetRole" => self.get_role(form),
            "GetRolePolicy" => self.get_role_policy(form),
            "GetUser" => self.get_user(context, form),
            "ListAccountAliases" => self.list_account_aliases(context, form),
            "ListAttachedRolePolicies" => self.list_attached_role_policies(context, form),
            "ListEntitiesForPolicy" => self.list_entities_for_policy(context, form),
            "ListInstanceProfilesForRole" => self.list_instance_profiles_for_role(context, form),
            "ListOpenIDConnectProviders" => Ok(self.list_open_id_connect_providers()),
            "ListOpenIDConnectProviderTags" => {
                self.list_open_id_connect_provider_tags(context, form)
            }
            "ListPolicyTags" => self.list_policy_tags(context, form),
            "ListPolicies" => self.list_policies(context, form),
            "ListPolicyVersions" => self.list_policy_versions(context, form),
            "ListRolePolicies" => self.list_role_policies(context, form),
            "ListRoleTags" => self.list_role_tags(context, form),
            "ListRoles" => self.list_roles(context, form),
            "PutRolePermissionsBoundary" => self.put_role_permissions_boundary(context, form),
            "PutRolePolicy" => self.put_role_policy(form),
            "RemoveClientIDFromOpenIDConnectProvider" => {
                self.remove_client_id_from_open_id_connect_provider(form)
            }
            "RemoveRoleFromInstanceProfile" => self.remove_role_from_instance_profile(form),
            "SimulatePrincipalPolicy" => self.simulate_principal_policy(context, form),
            "SetDefaultPolicyVersion" => self.set_default_policy_version(form),
            "TagOpenIDConnectProvider" => self.tag_open_id_connect_provider(form),
            "TagPolicy" => self.tag_policy(form),
            "TagRole" => self.tag_role(form),
            "UntagOpenIDConnectProvider" => self.untag_open_id_connect_provider(form),
            "UntagPolicy" => self.untag_policy(form),
            "UntagRole" => self.untag_role(form),
            "UpdateAssumeRolePolicy" => self.update_assume_role_policy(context, form),
            "UpdateOpenIDConnectProviderThumbprint" => {
                self.update_open_id_connect_provider_thumbprint(form)
            }
            "UpdateRole" => self.update_role(form),
            "UpdateRoleDescription" => self.update_role_description(form),
            _ => Err(IamError::invalid_action(action, VERSION)),
        }
    }

    /// A new unique id: `prefix` and 17 characters.
    fn unique_id(&mut self, context: &RequestContext, prefix: &str) -> String {
        const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
        self.serial += 1;
        let seed = format!(
            "{}/{}/{}",
            context.account_id,
            self.serial,
            context.now.unix_timestamp_nanos()
        );
        let digest = Sha256::digest(seed.as_bytes());
        let characters = digest
            .iter()
            .take(17)
            .map(|byte| char::from(ALPHABET[usize::from(byte % 32)]));
        prefix.chars().chain(characters).collect()
    }
}

#[cfg(test)]
mod tests;
