//! Managed policies and their versions.

use time::OffsetDateTime;

use super::error::IamError;
use super::form::Form;
use super::pages::Page;
use super::tags::{self, Keys, Tag};
use super::xml::Xml;
use super::{Answer, Iam, Outcome, identity_policy, managed_policies};
use crate::context::RequestContext;

/// A managed policy, of the account or of AWS.
#[derive(Clone, Debug)]
pub(super) struct ManagedPolicy {
    pub(super) name: String,
    pub(super) path: String,
    pub(super) arn: String,
    /// `ANPA…`
    pub(super) unique_id: String,
    pub(super) description: Option<String>,
    pub(super) created: OffsetDateTime,
    pub(super) updated: OffsetDateTime,
    /// Oldest first.
    pub(super) versions: Vec<PolicyVersion>,
    pub(super) default_version: String,
    /// Number of the next version; numbers are not used again.
    pub(super) next_version: u32,
    pub(super) tags: Vec<Tag>,
}

/// A version of a managed policy.
#[derive(Clone, Debug)]
pub(super) struct PolicyVersion {
    /// `v1`
    pub(super) id: String,
    pub(super) document: String,
    pub(super) created: OffsetDateTime,
}

/// Characters other than white space of one managed policy; not adjustable.
const POLICY_SIZE: usize = 6144;
const VERSIONS: usize = 5;
const VERSION_PATTERN: &str = r"v[1-9][0-9]*(\.[A-Za-z0-9-]*)?";

impl ManagedPolicy {
    /// The document in force.
    pub(super) fn document(&self) -> &str {
        self.versions
            .iter()
            .find(|version| version.id == self.default_version)
            .map_or("", |version| &version.document)
    }
}

/// Checks the form of a policy's ARN.
pub(super) fn is_policy_arn(arn: &str) -> bool {
    let parts: Vec<_> = arn.splitn(6, ':').collect();
    let [prefix, partition, "iam", "", account, resource] = parts[..] else {
        return false;
    };
    prefix == "arn"
        && partition.starts_with("aws")
        && (account == "aws"
            || (account.len() == 12 && account.bytes().all(|byte| byte.is_ascii_digit())))
        && resource
            .strip_prefix("policy/")
            .is_some_and(|rest| !rest.is_empty() && !rest.ends_with('/'))
}

/// No policy has this ARN.
pub(super) fn not_found(arn: &str) -> IamError {
    IamError::no_such_entity(format!("Policy {arn} was not found."))
}

fn version_not_found(arn: &str, version: &str) -> IamError {
    IamError::no_such_entity(format!(
        "Policy {arn} version {version} does not exist or is not attachable."
    ))
}

/// Reads `PolicyArn` and checks its form.
pub(super) fn policy_arn(form: &mut Form<'_>) -> Result<String, IamError> {
    let arn = form.arn("PolicyArn");
    form.check()?;
    if is_policy_arn(&arn) {
        Ok(arn)
    } else {
        Err(IamError::validation(format!("ARN {arn} is not valid.")))
    }
}

fn version_id(form: &mut Form<'_>) -> String {
    let Some(version) = form.required("VersionId") else {
        return String::new();
    };
    let valid = version.strip_prefix('v').is_some_and(|rest| {
        let (number, suffix) = rest.split_once('.').unwrap_or((rest, ""));
        !number.is_empty()
            && !number.starts_with('0')
            && number.bytes().all(|byte| byte.is_ascii_digit())
            && suffix
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    });
    if !valid {
        form.pattern("VersionId", VERSION_PATTERN);
    }
    version.to_owned()
}

fn check_document(document: &str) -> Result<(), IamError> {
    identity_policy::check(document)?;
    if document
        .chars()
        .filter(|character| !character.is_whitespace())
        .count()
        > POLICY_SIZE
    {
        return Err(IamError::quota("PolicySize", POLICY_SIZE));
    }
    Ok(())
}

impl Iam {
    pub(super) fn create_policy(
        &mut self,
        context: &RequestContext,
        form: &mut Form<'_>,
    ) -> Outcome {
        let name = form.name("PolicyName", 128);
        let path = form.path();
        let document = form.document("PolicyDocument");
        let description = form.description();
        let tags = form.tags();
        form.check()?;
        Keys::CaseSensitive.check(&tags)?;
        if self
            .policies
            .values()
            .any(|policy| policy.name.eq_ignore_ascii_case(&name))
        {
            return Err(IamError::already_exists(format!(
                "A policy called {name} already exists. Duplicate names are not allowed."
            )));
        }
        check_document(&document)?;
        if self.policies.len() >= self.quotas.policies_per_account {
            return Err(IamError::quota(
                "PoliciesPerAccount",
                self.quotas.policies_per_account,
            ));
        }
        let policy = ManagedPolicy {
            arn: format!(
                "arn:{}:iam::{}:policy{path}{name}",
                context.partition, context.account_id
            ),
            name,
            path,
            unique_id: self.unique_id(context, "ANPA"),
            description: description.filter(|text| !text.is_empty()),
            created: context.now,
            updated: context.now,
            versions: vec![PolicyVersion {
                id: "v1".into(),
                document,
                created: context.now,
            }],
            default_version: "v1".into(),
            next_version: 2,
            tags,
        };
        let mut xml = Xml::new();
        xml.element("Policy", |xml| {
            self.write_policy(xml, &policy);
            if !policy.tags.is_empty() {
                tags::write(xml, &policy.tags);
            }
        });
        self.policies.insert(policy.arn.clone(), policy);
        Ok(Answer::Result(xml))
    }

    pub(super) fn get_policy(&self, context: &RequestContext, form: &mut Form<'_>) -> Outcome {
        let arn = policy_arn(form)?;
        let policy = self
            .managed_policy(context, &arn)
            .ok_or_else(|| not_found(&arn))?;
        let mut xml = Xml::new();
        xml.element("Policy", |xml| {
            self.write_policy(xml, &policy);
            if let Some(description) = &policy.description {
                xml.text("Description", description);
            }
            tags::write(xml, &tags::sorted(&policy.tags));
        });
        Ok(Answer::Result(xml))
    }

    pub(super) fn get_policy_version(
        &self,
        context: &RequestContext,
        form: &mut Form<'_>,
    ) -> Outcome {
        let id = version_id(form);
        let arn = policy_arn(form)?;
        let policy = self
            .managed_policy(context, &arn)
            .ok_or_else(|| version_not_found(&arn, &id))?;
        let version = policy
            .versions
            .iter()
            .find(|version| version.id == id)
            .ok_or_else(|| version_not_found(&arn, &id))?;
        let mut xml = Xml::new();
        xml.element("PolicyVersion", |xml| {
            xml.document("Document", &version.document);
            write_version(xml, &policy, version);
        });
        Ok(Answer::Result(xml))
    }

    pub(super) fn list_policy_versions(
        &self,
        context: &RequestContext,
        form: &mut Form<'_>,
    ) -> Outcome {
        let request = form.page();
        let arn = policy_arn(form)?;
        let policy = self
            .managed_policy(context, &arn)
            .ok_or_else(|| not_found(&arn))?;
        let versions = policy
            .versions
            .iter()
            .rev()
            .enumerate()
            .map(|(index, version)| (super::pages::position_key(index), version))
            .collect();
        let page = Page::cut(
            context,
            &format!("ListPolicyVersions {arn}"),
            &request,
            versions,
        )?;
        let mut xml = Xml::new();
        xml.list("Versions", &page.items, |xml, version| {
            write_version(xml, &policy, version)
        });
        page.write(&mut xml);
        Ok(Answer::Result(xml))
    }

    pub(super) fn create_policy_version(
        &mut self,
        context: &RequestContext,
        form: &mut Form<'_>,
    ) -> Outcome {
        let document = form.document("PolicyDocument");
        let set_as_default = form.boolean("SetAsDefault").unwrap_or(false);
        let arn = policy_arn(form)?;
        let policy = self.policies.get_mut(&arn).ok_or_else(|| not_found(&arn))?;
        check_document(&document)?;
        if policy.versions.len() >= VERSIONS {
            return Err(IamError::limit_exceeded(
                "A managed policy can have up to 5 versions. Before you create a new version, you must delete an existing version.",
            ));
        }
        let version = PolicyVersion {
            id: format!("v{}", policy.next_version),
            document,
            created: context.now,
        };
        policy.next_version += 1;
        policy.updated = context.now;
        if set_as_default {
            policy.default_version.clone_from(&version.id);
        }
        let mut xml = Xml::new();
        xml.element("PolicyVersion", |xml| write_version(xml, policy, &version));
        policy.versions.push(version);
        Ok(Answer::Result(xml))
    }

    pub(super) fn delete_policy_version(&mut self, form: &mut Form<'_>) -> Outcome {
        let id = version_id(form);
        let arn = policy_arn(form)?;
        let policy = self
            .policies
            .get_mut(&arn)
            .ok_or_else(|| version_not_found(&arn, &id))?;
        if !policy.versions.iter().any(|version| version.id == id) {
            return Err(version_not_found(&arn, &id));
        }
        if policy.default_version == id {
            return Err(IamError::delete_conflict(
                "Cannot delete the default version of a policy.",
            ));
        }
        policy.versions.retain(|version| version.id != id);
        Ok(Answer::Empty)
    }

    pub(super) fn set_default_policy_version(&mut self, form: &mut Form<'_>) -> Outcome {
        let id = version_id(form);
        let arn = policy_arn(form)?;
        let policy = self
            .policies
            .get_mut(&arn)
            .ok_or_else(|| version_not_found(&arn, &id))?;
        if !policy.versions.iter().any(|version| version.id == id) {
            return Err(version_not_found(&arn, &id));
        }
        policy.default_version = id;
        Ok(Answer::Empty)
    }

    pub(super) fn list_policies(&self, context: &RequestContext, form: &mut Form<'_>) -> Outcome {
        let scope = form
            .choice("Scope", &["All", "AWS", "Local"])
            .unwrap_or_else(|| "All".into());
        let only_attached = form.boolean("OnlyAttached").unwrap_or(false);
        let usage = form.choice(
            "PolicyUsageFilter",
            &["PermissionsPolicy", "PermissionsBoundary"],
        );
        let prefix = form.path_prefix();
        let request = form.page();
        form.check()?;
        let local = self.policies.values().filter(|_| scope != "AWS").cloned();
        let aws = managed_policies::all(&context.partition).filter(|_| scope != "Local");
        let mut policies: Vec<_> = local
            .chain(aws)
            .filter(|policy| policy.path.starts_with(&prefix))
            .filter(|policy| !only_attached || self.attachments(&policy.arn) > 0)
            .filter(|policy| match usage.as_deref() {
                Some("PermissionsPolicy") => self.attachments(&policy.arn) > 0,
                Some(_) => self.boundary_uses(&policy.arn) > 0,
                None => true,
            })
            // A name is unique in the account and in AWS's own, but may occur in both.
            .map(|policy| (format!("{} {}", policy.name, policy.unique_id), policy))
            .collect();
        policies.sort_by(|(a, _), (b, _)| a.cmp(b));
        let list = format!("ListPolicies {scope} {only_attached} {usage:?} {prefix}");
        let page = Page::cut(context, &list, &request, policies)?;
        let mut xml = Xml::new();
        xml.list("Policies", &page.items, |xml, policy| {
            self.write_policy(xml, policy)
        });
        page.write(&mut xml);
        Ok(Answer::Result(xml))
    }

    pub(super) fn delete_policy(&mut self, form: &mut Form<'_>) -> Outcome {
        let arn = policy_arn(form)?;
        let policy = self.policies.get(&arn).ok_or_else(|| not_found(&arn))?;
        if self.attachments(&arn) + self.boundary_uses(&arn) > 0 {
            return Err(IamError::delete_conflict(
                "Cannot delete a policy attached to entities.",
            ));
        }
        if policy.versions.len() > 1 {
            return Err(IamError::delete_conflict(
                "This policy has more than one version. Before you delete a policy, you must delete the policy's versions. The default version is deleted with the policy.",
            ));
        }
        self.policies.remove(&arn);
        Ok(Answer::Empty)
    }

    pub(super) fn list_entities_for_policy(
        &self,
        context: &RequestContext,
        form: &mut Form<'_>,
    ) -> Outcome {
        let filter = form.choice(
            "EntityFilter",
            &[
                "User",
                "Role",
                "Group",
                "LocalManagedPolicy",
                "AWSManagedPolicy",
            ],
        );
        let usage = form.choice(
            "PolicyUsageFilter",
            &["PermissionsPolicy", "PermissionsBoundary"],
        );
        let prefix = form.path_prefix();
        let request = form.page();
        let arn = policy_arn(form)?;
        self.managed_policy(context, &arn)
            .ok_or_else(|| not_found(&arn))?;
        let mut roles: Vec<_> = self
            .roles
            .values()
            .filter(|role| {
                filter.as_deref().is_none_or(|filter| filter == "Role")
                    && role.path.starts_with(&prefix)
            })
            .filter(|role| {
                let attached = role.attached.contains(&arn);
                let bounded = role.permissions_boundary.as_ref() == Some(&arn);
                match usage.as_deref() {
                    Some("PermissionsPolicy") => attached,
                    Some(_) => bounded,
                    None => attached || bounded,
                }
            })
            .map(|role| (role.name.clone(), role))
            .collect();
        roles.sort_by(|(a, _), (b, _)| a.cmp(b));
        let page = Page::cut(
            context,
            &format!("ListEntitiesForPolicy {arn}"),
            &request,
            roles,
        )?;
        let mut xml = Xml::new();
        xml.strings("PolicyGroups", []);
        xml.strings("PolicyUsers", []);
        xml.list("PolicyRoles", &page.items, |xml, role| {
            xml.text("RoleName", &role.name);
            xml.text("RoleId", &role.unique_id);
        });
        page.write(&mut xml);
        Ok(Answer::Result(xml))
    }

    /// The policy of this ARN, of the account or of AWS.
    pub(super) fn managed_policy(
        &self,
        context: &RequestContext,
        arn: &str,
    ) -> Option<ManagedPolicy> {
        self.policies
            .get(arn)
            .cloned()
            .or_else(|| managed_policies::by_arn(&context.partition, arn))
    }

    fn attachments(&self, arn: &str) -> usize {
        self.roles
            .values()
            .filter(|role| role.attached.iter().any(|attached| attached == arn))
            .count()
    }

    fn boundary_uses(&self, arn: &str) -> usize {
        self.roles
            .values()
            .filter(|role| role.permissions_boundary.as_deref() == Some(arn))
            .count()
    }

    /// The members every answer about a policy has; neither description nor tags.
    fn write_policy(&self, xml: &mut Xml, policy: &ManagedPolicy) {
        xml.text("PolicyName", &policy.name);
        xml.text("PolicyId", &policy.unique_id);
        xml.text("Arn", &policy.arn);
        xml.text("Path", &policy.path);
        xml.text("DefaultVersionId", &policy.default_version);
        xml.scalar("AttachmentCount", self.attachments(&policy.arn));
        xml.scalar(
            "PermissionsBoundaryUsageCount",
            self.boundary_uses(&policy.arn),
        );
        xml.scalar("IsAttachable", true);
        xml.date("CreateDate", policy.created);
        xml.date("UpdateDate", policy.updated);
    }
}

fn write_version(xml: &mut Xml, policy: &ManagedPolicy, version: &PolicyVersion) {
    xml.text("VersionId", &version.id);
    xml.scalar("IsDefaultVersion", version.id == policy.default_version);
    xml.date("CreateDate", version.created);
}
