//! Builds the trust policy of a role for EKS Pod Identity.
//!
//! Which condition keys are used and why:
//!
//! * Cluster, namespace and service account are the session tags `eks-cluster-arn`, `kubernetes-namespace` and `kubernetes-service-account`, so the keys
//!   are `aws:RequestTag/…` (EKS user guide, "Grant Pods access to AWS resources based on tags"). An association with `disable_session_tags` sends none of
//!   them, and such a condition would then never hold.
//! * Without session tags the cluster is named by `aws:SourceArn`. Its value at run time is the ARN of the cluster. The ARN of the association, which looks
//!   as if it were more precise, is never the value: pods would get no credentials.
//! * A value with `*` or `?` is compared with `StringLike`, every other with `StringEquals`. Neither character can be part of a name, so a pattern under
//!   `StringEquals` could never match, and `StringLike` for everything would hide which conditions are exact. One key stands under one operator,
//!   because IAM requires all operators to hold.
//! * `aws:SourceArn` stands under `ArnLike`, which compares part by part: a wildcard in the name cannot reach into the account.
//!
//! Equal input gives equal text: values are sorted and written once, a list of one as a string.

mod infer;

use serde_json::{Map, Value};
use thiserror::Error;

pub use infer::Inferred;

use super::arn::{Arn, ArnError, ClusterArn, RoleArn};
use super::document::{Document, Statement};
use super::name::{self, NameError, Wildcards, has_wildcard};
use super::{ASSUME_ROLE, SERVICE_PRINCIPAL, TAG_SESSION};

/// The `Sid` of the statement for EKS Pod Identity in a trust policy that this provider builds; the one of the EKS user guide.
pub const SID: &str = "AllowEksAuthToAssumeRoleForPodIdentity";

/// What a role trusts.
///
/// The default is the documented statement: EKS Pod Identity of any cluster that may pass the role, both actions, no conditions.
/// Lists that are `None` set no condition. An empty list is an error: it would read as "nobody" and mean "everybody".
#[derive(Debug, Clone, PartialEq, Default)]
pub struct TrustSpec {
    /// Clusters by ARN; `*` and `?` allowed.
    pub cluster_arns: Option<Vec<String>>,
    /// Kubernetes namespaces; `*` and `?` allowed.
    pub namespaces: Option<Vec<String>>,
    /// Kubernetes service accounts; `*` and `?` allowed. With several namespaces every combination is trusted.
    pub service_accounts: Option<Vec<String>>,
    /// The account of the cluster, 12 digits (`aws:SourceAccount`).
    pub source_account: Option<String>,
    /// The AWS Organizations id of the cluster's account, or `${aws:ResourceOrgId}` for the role's own organization (`aws:SourceOrgId`).
    pub source_organization: Option<String>,
    /// Whether the associations that use the role have `disable_session_tags`. Then a cluster is named by `aws:SourceArn`, and namespaces and service accounts cannot be.
    pub disable_session_tags: bool,
    /// Set when the role is not given to pods by itself but is the target of the roles named here.
    pub target_of: Option<TargetOf>,
    /// Statements to stand after ours, as they are.
    pub additional_statements: Vec<Statement>,
    /// The service principal of EKS Pod Identity; [`SERVICE_PRINCIPAL`] when `None`.
    pub service_principal: Option<String>,
}

/// The roles of which a role is the target: EKS assumes one of them and with it the target.
///
/// The trusted principal is the account of each role, narrowed by `aws:PrincipalArn` to the role. Unlike a role ARN in `Principal`, which IAM keeps as a
/// unique id, that survives when the role is created again.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TargetOf {
    /// The source roles by ARN; `*` and `?` allowed in path and name.
    pub role_arns: Vec<String>,
    /// External ids of the associations (`sts:ExternalId`), of the form `region/account/cluster/namespace/service-account`.
    /// With session tags off and no external ids given, they are made from clusters, namespaces and service accounts.
    pub external_ids: Option<Vec<String>>,
}

/// What is wrong with a [`TrustSpec`].
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TrustError {
    /// An empty list.
    #[error(
        "the list is empty, which would trust everybody instead of nobody; leave it out to set no condition"
    )]
    EmptyList {
        /// Where.
        field: Field,
    },
    /// An association ARN where a cluster ARN belongs.
    #[error(
        "{value:?} is the ARN of an association, but EKS Pod Identity sends the ARN of the cluster, so the condition would never hold; use arn:…:cluster/NAME"
    )]
    AssociationArn {
        /// Where.
        field: Field,
        /// The text that was given.
        value: String,
    },
    /// A text that is not the ARN that is wanted.
    #[error("the value is not the ARN that is wanted here")]
    Arn {
        /// Where.
        field: Field,
        /// Why.
        #[source]
        source: ArnError,
    },
    /// A text that is not the name that is wanted.
    #[error("the value is not valid")]
    Name {
        /// Where.
        field: Field,
        /// Why.
        #[source]
        source: NameError,
    },
    /// An external id that EKS cannot have made.
    #[error(
        "{value:?} is not an external id of an association, which has the form region/account/cluster/namespace/service-account"
    )]
    ExternalId {
        /// Where.
        field: Field,
        /// The text that was given.
        value: String,
    },
    /// Namespaces or service accounts although there are no session tags.
    #[error(
        "without session tags a trust policy cannot tell namespaces and service accounts apart, so the condition would never hold; \
         leave session tags on, or name only cluster_arns"
    )]
    NeedsSessionTags {
        /// Where.
        field: Field,
    },
    /// Clusters, namespaces or service accounts besides external ids although there are no session tags.
    #[error(
        "without session tags only the external id tells service accounts apart, and target_of.external_ids already names it; \
         leave one of the two out"
    )]
    NamedByExternalId {
        /// Where.
        field: Field,
    },
    /// `aws:SourceAccount` or `aws:SourceOrgId` on a target role.
    #[error(
        "a target role is assumed by another role and not by EKS, so the condition would never hold; target_of.role_arns already names whom to trust"
    )]
    NotOnTarget {
        /// Where.
        field: Field,
    },
    /// A service principal with a wildcard or without a domain.
    #[error(
        "{value:?} is not a service principal such as pods.eks.amazonaws.com; wildcards are not allowed in one"
    )]
    ServicePrincipal {
        /// Where.
        field: Field,
        /// The text that was given.
        value: String,
    },
    /// Two statements with one `Sid`.
    #[error("the Sid {sid:?} is used twice, but it must be unique within a policy")]
    DuplicateSid {
        /// Where.
        field: Field,
        /// The `Sid`.
        sid: String,
    },
}

impl TrustError {
    /// The part of the specification that is wrong.
    pub fn field(&self) -> Field {
        match self {
            Self::EmptyList { field }
            | Self::AssociationArn { field, .. }
            | Self::Arn { field, .. }
            | Self::Name { field, .. }
            | Self::ExternalId { field, .. }
            | Self::NeedsSessionTags { field }
            | Self::NamedByExternalId { field }
            | Self::NotOnTarget { field }
            | Self::ServicePrincipal { field, .. }
            | Self::DuplicateSid { field, .. } => *field,
        }
    }
}

/// A part of a [`TrustSpec`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "each is the field of the same name")]
pub enum Field {
    ClusterArns,
    Namespaces,
    ServiceAccounts,
    SourceAccount,
    SourceOrganization,
    RoleArns,
    ExternalIds,
    AdditionalStatements,
    ServicePrincipal,
}

impl Field {
    /// The names that lead to the field from the specification, as attributes are called.
    pub fn path(self) -> &'static [&'static str] {
        match self {
            Self::ClusterArns => &["cluster_arns"],
            Self::Namespaces => &["namespaces"],
            Self::ServiceAccounts => &["service_accounts"],
            Self::SourceAccount => &["source_account"],
            Self::SourceOrganization => &["source_organization"],
            Self::RoleArns => &["target_of", "role_arns"],
            Self::ExternalIds => &["target_of", "external_ids"],
            Self::AdditionalStatements => &["additional_statements"],
            Self::ServicePrincipal => &["service_principal"],
        }
    }
}

impl TrustSpec {
    /// Builds the trust policy.
    ///
    /// # Errors
    /// Every [`TrustError`] there is, not only the first.
    pub fn build(&self) -> Result<Document, Vec<TrustError>> {
        let errors = self.check();
        if !errors.is_empty() {
            return Err(errors);
        }
        let mut statements = match &self.target_of {
            None => vec![self.pods_statement(SID)],
            Some(target_of) => self.target_statements(target_of),
        };
        statements.extend(self.additional_statements.iter().cloned());
        Ok(Document::new(statements))
    }

    /// Everything that is wrong with the specification, in the order of its fields.
    pub fn check(&self) -> Vec<TrustError> {
        let mut errors = Vec::new();
        each(
            &mut errors,
            Field::ClusterArns,
            self.cluster_arns.as_deref(),
            |field, value| {
                ClusterArn::parse_pattern(value)
                    .map(drop)
                    .map_err(|source| match &source {
                        ArnError::WrongKind { .. }
                            if Arn::parse(value).is_ok_and(|arn| {
                                arn.resource.starts_with("podidentityassociation/")
                            }) =>
                        {
                            TrustError::AssociationArn {
                                field,
                                value: value.to_owned(),
                            }
                        }
                        _ => TrustError::Arn { field, source },
                    })
            },
        );
        let name = |check: fn(&str, Wildcards) -> Result<(), NameError>| {
            move |field, value: &str| {
                check(value, Wildcards::Allowed)
                    .map_err(|source| TrustError::Name { field, source })
            }
        };
        each(
            &mut errors,
            Field::Namespaces,
            self.namespaces.as_deref(),
            name(name::check_namespace),
        );
        each(
            &mut errors,
            Field::ServiceAccounts,
            self.service_accounts.as_deref(),
            name(name::check_service_account),
        );
        let names = [
            (Field::Namespaces, &self.namespaces),
            (Field::ServiceAccounts, &self.service_accounts),
        ];
        // A target role that is reached without session tags can still tell service accounts apart, by external id.
        if self.disable_session_tags && self.target_of.is_none() {
            errors.extend(
                names
                    .iter()
                    .filter(|(_, values)| values.is_some())
                    .map(|(field, _)| TrustError::NeedsSessionTags { field: *field }),
            );
        }
        if self.disable_session_tags
            && self
                .target_of
                .as_ref()
                .is_some_and(|target_of| target_of.external_ids.is_some())
        {
            let clusters = (Field::ClusterArns, &self.cluster_arns);
            let given = [clusters]
                .into_iter()
                .chain(names)
                .filter(|(_, values)| values.is_some());
            errors.extend(given.map(|(field, _)| TrustError::NamedByExternalId { field }));
        }
        if let Some(account) = &self.source_account
            && let Err(source) = name::check_account_id(account)
        {
            errors.push(TrustError::Name {
                field: Field::SourceAccount,
                source,
            });
        }
        if let Some(organization) = &self.source_organization
            && !organization.eq_ignore_ascii_case("${aws:ResourceOrgId}")
            && let Err(source) = name::check_organization_id(organization)
        {
            errors.push(TrustError::Name {
                field: Field::SourceOrganization,
                source,
            });
        }
        if let Some(target_of) = &self.target_of {
            let sources = [
                (Field::SourceAccount, &self.source_account),
                (Field::SourceOrganization, &self.source_organization),
            ];
            errors.extend(
                sources
                    .iter()
                    .filter(|(_, value)| value.is_some())
                    .map(|(field, _)| TrustError::NotOnTarget { field: *field }),
            );
            each(
                &mut errors,
                Field::RoleArns,
                Some(&target_of.role_arns),
                |field, value| {
                    role_pattern(value)
                        .map(drop)
                        .map_err(|source| TrustError::Arn { field, source })
                },
            );
            each(
                &mut errors,
                Field::ExternalIds,
                target_of.external_ids.as_deref(),
                |field, value| {
                    let parts = value.split('/').filter(|part| !part.is_empty()).count();
                    let valid = (parts == 5 && value.matches('/').count() == 4)
                        || (has_wildcard(value) && parts <= 5);
                    if valid {
                        Ok(())
                    } else {
                        Err(TrustError::ExternalId {
                            field,
                            value: value.to_owned(),
                        })
                    }
                },
            );
        }
        if let Some(value) = &self.service_principal
            && (!value.contains('.') || has_wildcard(value) || value.contains(char::is_whitespace))
        {
            errors.push(TrustError::ServicePrincipal {
                field: Field::ServicePrincipal,
                value: value.clone(),
            });
        }
        let mut sids: Vec<&str> = if self.target_of.is_none() {
            vec![SID]
        } else {
            vec![TARGET_SID, TARGET_TAG_SID]
        };
        for sid in self.additional_statements.iter().filter_map(Statement::sid) {
            if sids.contains(&sid) {
                errors.push(TrustError::DuplicateSid {
                    field: Field::AdditionalStatements,
                    sid: sid.to_owned(),
                });
            }
            sids.push(sid);
        }
        errors
    }

    /// The statement for EKS Pod Identity, with another `Sid` than the documented one if need be. The specification must be free of errors.
    pub(super) fn pods_statement(&self, sid: &str) -> Statement {
        let mut conditions = Conditions::default();
        if self.disable_session_tags {
            conditions.add_arns("aws:SourceArn", self.cluster_arns.as_deref(), "ArnLike");
        } else {
            self.add_tags(&mut conditions);
        }
        conditions.add("aws:SourceAccount", self.source_account.as_slice());
        conditions.add("aws:SourceOrgId", self.source_organization.as_slice());
        let principal = self
            .service_principal
            .as_deref()
            .unwrap_or(SERVICE_PRINCIPAL);
        statement(
            sid,
            "Service",
            Value::from(principal),
            &[ASSUME_ROLE, TAG_SESSION],
            conditions,
        )
    }

    fn target_statements(&self, target_of: &TargetOf) -> Vec<Statement> {
        let accounts: Vec<String> = target_of
            .role_arns
            .iter()
            .filter_map(|arn| role_pattern(arn).ok())
            .map(|arn| format!("arn:{}:iam::{}:root", arn.partition, arn.account))
            .collect();
        let principal = list(&accounts);
        let mut conditions = Conditions::default();
        if !self.disable_session_tags {
            self.add_tags(&mut conditions);
        }
        let external_ids = match &target_of.external_ids {
            Some(ids) => ids.clone(),
            None if self.disable_session_tags => self.external_ids(),
            None => Vec::new(),
        };
        let by_role = |conditions: &mut Conditions| {
            conditions.add_arns("aws:PrincipalArn", Some(&target_of.role_arns), "ArnEquals")
        };
        if external_ids.is_empty() {
            by_role(&mut conditions);
            return vec![statement(
                TARGET_SID,
                "AWS",
                principal,
                &[ASSUME_ROLE, TAG_SESSION],
                conditions,
            )];
        }
        // The external id is not part of the request for sts:TagSession, so that action needs a statement without it.
        let mut tag_conditions = conditions.clone();
        by_role(&mut tag_conditions);
        conditions.add("sts:ExternalId", &external_ids);
        by_role(&mut conditions);
        vec![
            statement(
                TARGET_SID,
                "AWS",
                principal.clone(),
                &[ASSUME_ROLE],
                conditions,
            ),
            statement(
                TARGET_TAG_SID,
                "AWS",
                principal,
                &[TAG_SESSION],
                tag_conditions,
            ),
        ]
    }

    fn add_tags(&self, conditions: &mut Conditions) {
        conditions.add(
            "aws:RequestTag/eks-cluster-arn",
            self.cluster_arns.as_deref().unwrap_or_default(),
        );
        conditions.add(
            "aws:RequestTag/kubernetes-namespace",
            self.namespaces.as_deref().unwrap_or_default(),
        );
        conditions.add(
            "aws:RequestTag/kubernetes-service-account",
            self.service_accounts.as_deref().unwrap_or_default(),
        );
    }

    /// The external ids that EKS makes for the clusters, namespaces and service accounts, with a wildcard for what is not named; none when nothing is.
    fn external_ids(&self) -> Vec<String> {
        if self.cluster_arns.is_none()
            && self.namespaces.is_none()
            && self.service_accounts.is_none()
        {
            return Vec::new();
        }
        let any = || vec!["*".to_owned()];
        let clusters = self.cluster_arns.as_ref().map_or_else(
            || vec!["*/*/*".to_owned()],
            |arns| {
                arns.iter()
                    .filter_map(|arn| ClusterArn::parse_pattern(arn).ok())
                    .map(|arn| arn.external_id_prefix())
                    .collect()
            },
        );
        let namespaces = self.namespaces.clone().unwrap_or_else(any);
        let service_accounts = self.service_accounts.clone().unwrap_or_else(any);
        let mut ids = Vec::new();
        for cluster in &clusters {
            for namespace in &namespaces {
                ids.extend(service_accounts.iter().map(|service_account| {
                    [cluster.as_str(), namespace, service_account].join("/")
                }));
            }
        }
        ids
    }
}

const TARGET_SID: &str = "AllowPodIdentitySourceRoleToAssumeRole";
const TARGET_TAG_SID: &str = "AllowPodIdentitySourceRoleToTagSession";

/// The lines of a `Condition` by operator, in a fixed order.
#[derive(Debug, Clone, Default)]
struct Conditions {
    equals: Vec<(&'static str, Value)>,
    like: Vec<(&'static str, Value)>,
    arns: Vec<(&'static str, &'static str, Value)>,
}

impl Conditions {
    fn add(&mut self, key: &'static str, values: &[String]) {
        if values.is_empty() {
            return;
        }
        let lines = if values.iter().any(|value| has_wildcard(value)) {
            &mut self.like
        } else {
            &mut self.equals
        };
        lines.push((key, list(values)));
    }

    fn add_arns(&mut self, key: &'static str, values: Option<&[String]>, operator: &'static str) {
        if let Some(values) = values.filter(|values| !values.is_empty()) {
            // The two operators do the same; the name tells the reader whether to expect a pattern.
            let operator = if values.iter().any(|value| has_wildcard(value)) {
                "ArnLike"
            } else {
                operator
            };
            self.arns.push((operator, key, list(values)));
        }
    }

    fn into_json(self) -> Option<Value> {
        let mut operators = Map::new();
        let lines = self
            .equals
            .into_iter()
            .map(|(key, value)| ("StringEquals", key, value));
        let lines = lines
            .chain(
                self.like
                    .into_iter()
                    .map(|(key, value)| ("StringLike", key, value)),
            )
            .chain(self.arns);
        for (operator, key, value) in lines {
            if let Value::Object(keys) = operators
                .entry(operator)
                .or_insert_with(|| Value::Object(Map::new()))
            {
                keys.insert(key.to_owned(), value);
            }
        }
        (!operators.is_empty()).then_some(Value::Object(operators))
    }
}

fn statement(
    sid: &str,
    kind: &str,
    principal: Value,
    actions: &[&str],
    conditions: Conditions,
) -> Statement {
    let mut members = Map::new();
    members.insert("Sid".to_owned(), Value::from(sid));
    members.insert("Effect".to_owned(), Value::from("Allow"));
    members.insert(
        "Principal".to_owned(),
        Value::Object(Map::from_iter([(kind.to_owned(), principal)])),
    );
    members.insert(
        "Action".to_owned(),
        if let [action] = actions {
            Value::from(*action)
        } else {
            Value::from(actions)
        },
    );
    if let Some(conditions) = conditions.into_json() {
        members.insert("Condition".to_owned(), conditions);
    }
    let mut statement = Statement::default();
    *statement.members_mut() = members;
    statement
}

/// Sorted, each value once, a list of one as a string.
fn list(values: &[String]) -> Value {
    let mut values: Vec<&str> = values.iter().map(String::as_str).collect();
    values.sort_unstable();
    values.dedup();
    if let [value] = values[..] {
        Value::from(value)
    } else {
        Value::from(values)
    }
}

/// A role ARN whose path and name may hold wildcards. Partition and account may not: the trusted principal is made from them.
fn role_pattern(text: &str) -> Result<RoleArn, ArnError> {
    if !has_wildcard(text) {
        return RoleArn::parse(text);
    }
    // Wildcards are replaced by a letter that every part of a role ARN may hold, to check all the rest.
    RoleArn::parse(&text.replace(['*', '?'], "x"))?;
    let arn = Arn::parse(text)?;
    Ok(RoleArn {
        partition: arn.partition,
        account: arn.account,
        path: String::new(),
        name: arn.resource,
    })
}

fn each(
    errors: &mut Vec<TrustError>,
    field: Field,
    values: Option<&[String]>,
    check: impl Fn(Field, &str) -> Result<(), TrustError>,
) {
    let Some(values) = values else { return };
    if values.is_empty() {
        errors.push(TrustError::EmptyList { field });
    }
    errors.extend(values.iter().filter_map(|value| check(field, value).err()));
}

#[cfg(test)]
mod tests;
