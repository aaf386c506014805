//! Which service accounts use IRSA, and how each of them stands. Pure: facts in, inventory out.

use std::collections::{BTreeMap, BTreeSet};

use crate::migration::facts::{
    AssociationFacts, ClusterFacts, NamespaceFacts, Owner, PodCredentials, ROLE_ARN, Restart,
    RoleFacts, ServiceAccountFacts, Settings, WorkloadId,
};
use crate::migration::finding::{Code, Finding, Weight};
use crate::migration::phase::Phase;
use crate::migration::preflight::{self, Unit};
use crate::migration::readiness;
use crate::migration::steps::service_account::breadcrumb;
use crate::policy::irsa::{Access, WebIdentityTrust};
use crate::policy::{
    ClusterArn, Document, Grant, OidcIssuer, RoleArn, SERVICE_PRINCIPAL, Subject, Verdict, analyze,
    web_identity_trusts,
};

/// The audience of web identity tokens unless the service account says otherwise.
const DEFAULT_AUDIENCE: &str = "sts.amazonaws.com";

/// Namespace and name of a service account.
pub(super) type Key = (String, String);

/// What was read of namespaces, by name.
pub(super) type Namespaces = BTreeMap<String, NamespaceFacts>;

/// Everything that was read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Facts<'a> {
    /// The cluster.
    pub(super) cluster: &'a ClusterFacts,
    /// Namespaces by name.
    pub(super) namespaces: &'a Namespaces,
    /// Roles by what names them: see [`role_names`].
    pub(super) roles: &'a BTreeMap<String, RoleFacts>,
    /// Associations by service account.
    pub(super) associations: &'a BTreeMap<Key, AssociationFacts>,
    /// How many associations the cluster has, if that is known.
    pub(super) associations_in_cluster: Option<usize>,
    /// How many characters a trust policy may have, if that is known.
    pub(super) trust_quota: Option<usize>,
    /// The service principal of EKS Pod Identity, if it is not the usual one.
    pub(super) service_principal: Option<&'a str>,
}

/// Which service accounts are asked for.
#[derive(Clone, Debug, Default)]
pub(super) struct Selection {
    /// Namespaces; all if there are none.
    pub(super) namespaces: Option<BTreeSet<String>>,
    /// Service accounts that match the label selector; all if there is none.
    pub(super) labelled: Option<BTreeSet<Key>>,
}

impl Selection {
    /// Whether a service account is asked for.
    fn has(&self, namespace: &str, name: &str) -> bool {
        self.has_namespace(namespace)
            && self
                .labelled
                .as_ref()
                .is_none_or(|keys| keys.contains(&(namespace.to_owned(), name.to_owned())))
    }

    /// Whether a namespace is asked for.
    pub(super) fn has_namespace(&self, namespace: &str) -> bool {
        self.namespaces
            .as_ref()
            .is_none_or(|names| names.contains(namespace))
    }
}

/// What was found.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Inventory {
    /// The cluster's name.
    pub(super) cluster: String,
    /// What speaks against any migration in the cluster; each entry has it too.
    pub(super) cluster_findings: Vec<Finding>,
    /// Service accounts, by namespace and name.
    pub(super) entries: Vec<Entry>,
}

/// One service account.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Entry {
    /// Its namespace.
    pub(super) namespace: String,
    /// Its name.
    pub(super) name: String,
    /// Whether it exists, or is only named by a trust policy.
    pub(super) exists: bool,
    /// Whether it has the role annotation.
    pub(super) has_annotation: bool,
    /// What names its role: the annotation, what a migration noted, the association, or a trust policy.
    pub(super) role_arn: Option<String>,
    /// What the trust policy of the role says; `None` if it was not, or cannot be, read.
    pub(super) trust: Option<Trust>,
    /// ARNs of the roles whose trust policies let it in by IRSA.
    pub(super) trusted_by: Vec<String>,
    /// Other service accounts whose annotation names the same role, `namespace/name`.
    pub(super) shared_with: Vec<String>,
    /// Its association.
    pub(super) association: Option<AssociationFacts>,
    /// Who put the annotation there.
    pub(super) owner: Option<Owner>,
    /// Workloads that use it.
    pub(super) workloads: Vec<Workload>,
    /// Blockers and warnings, sorted.
    pub(super) findings: Vec<Finding>,
    /// Whether nothing blocks its migration, or it is under way or done.
    pub(super) migratable: bool,
    /// How far it is.
    pub(super) phase: Phase,
}

impl Entry {
    /// `namespace/name`.
    pub(super) fn key(&self) -> String {
        [self.namespace.as_str(), &self.name].join("/")
    }

    /// The role, if what names it is the ARN of one.
    pub(super) fn role(&self) -> Option<RoleArn> {
        RoleArn::parse(self.role_arn.as_deref()?).ok()
    }

    /// Findings that stop a migration.
    pub(super) fn blockers(&self) -> impl Iterator<Item = &Finding> {
        self.findings
            .iter()
            .filter(|finding| finding.weight() == Weight::Blocker)
    }

    /// Findings that do not.
    pub(super) fn warnings(&self) -> impl Iterator<Item = &Finding> {
        self.findings
            .iter()
            .filter(|finding| finding.weight() == Weight::Warning)
    }

    /// Whether its association was created, or is used, by a migration, whatever is in its way now.
    pub(super) fn is_under_way(&self) -> bool {
        self.association.as_ref().is_some_and(|association| {
            association.is_migrations() && association.owner_arn.is_none()
        })
    }

    /// Whether nothing but retirement is left.
    pub(super) fn is_done(&self) -> bool {
        self.phase >= Phase::Verified
    }
}

/// A workload and how far its pods are.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Workload {
    /// Kind and name.
    pub(super) id: WorkloadId,
    /// Its pods that have not ended.
    pub(super) pods: usize,
    /// Those of them on Pod Identity.
    pub(super) pods_on_pod_identity: usize,
    /// How its pods are replaced.
    pub(super) restart: Restart,
}

/// What a trust policy says about a service account.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Trust {
    /// Whether it lets it in by IRSA.
    pub(super) irsa: Access,
    /// How it names the service account.
    pub(super) via: Option<Via>,
    /// Whether it lets it in by Pod Identity.
    pub(super) pod_identity: Access,
}

/// How a trust policy names a service account.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Via {
    /// By its subject.
    Exact,
    /// By a pattern that matches the subject.
    Pattern,
    /// Not at all: the whole cluster is trusted.
    Cluster,
    /// By an operator that does not list whom it trusts, such as `StringNotEquals`.
    Other,
}

/// What names the roles of the selected service accounts; to be read for [`take`].
pub(super) fn role_names(
    namespaces: &Namespaces,
    associations: &BTreeMap<Key, AssociationFacts>,
    selection: &Selection,
) -> BTreeSet<String> {
    namespaces
        .values()
        .flat_map(|namespace| namespace.service_accounts.values())
        .filter(|account| selection.has(&account.namespace, &account.name))
        .filter_map(|account| {
            let key = (account.namespace.clone(), account.name.clone());
            named_role(Some(account), associations.get(&key))
        })
        .collect()
}

/// The inventory.
pub(super) fn take(facts: &Facts<'_>, selection: &Selection) -> Inventory {
    let issuer = facts
        .cluster
        .cluster
        .oidc_issuer
        .as_deref()
        .and_then(|issuer| OidcIssuer::parse(issuer).ok());
    let roles = Roles::of(facts, issuer.as_ref());
    let trusted = trusted(facts, selection, issuer.as_ref(), &roles);
    let sharing = sharing(facts);
    let mut keys: BTreeSet<Key> = trusted.keys().cloned().collect();
    for account in facts
        .namespaces
        .values()
        .flat_map(|namespace| namespace.service_accounts.values())
        .filter(|account| selection.has(&account.namespace, &account.name))
    {
        let key = (account.namespace.clone(), account.name.clone());
        if named_role(Some(account), facts.associations.get(&key)).is_some() {
            keys.insert(key);
        }
    }

    let mut inventory = Inventory {
        cluster: facts.cluster.cluster.name.clone(),
        ..Inventory::default()
    };
    for key in keys {
        let empty = NamespaceFacts {
            namespace: key.0.clone(),
            ..NamespaceFacts::default()
        };
        let namespace = facts.namespaces.get(&key.0).unwrap_or(&empty);
        let by = trusted.get(&key).cloned().unwrap_or_default();
        inventory.entries.push(entry(
            facts,
            issuer.as_ref(),
            &roles,
            &sharing,
            namespace,
            key,
            by,
        ));
    }
    inventory.cluster_findings = cluster_findings(facts.cluster, &inventory.entries);
    inventory
}

/// What is about the cluster, and therefore about each service account.
fn cluster_findings(cluster: &ClusterFacts, entries: &[Entry]) -> Vec<Finding> {
    let Some((first, rest)) = entries.split_first() else {
        return readiness::reasons(cluster);
    };
    first
        .findings
        .iter()
        .filter(|finding| match finding.code {
            Code::ClusterNotActive
            | Code::ClusterVersion
            | Code::AgentMissing
            | Code::AgentUnhealthy
            | Code::AgentNotOnNodes
            | Code::WebhookMissing
            | Code::AssociationQuota
            | Code::HybridNodes => true,
            Code::NotChecked => cluster.not_read.contains(&finding.message) || !rest.is_empty(),
            _ => false,
        })
        .filter(|finding| rest.iter().all(|entry| entry.findings.contains(finding)))
        .cloned()
        .collect()
}

fn entry(
    facts: &Facts<'_>,
    issuer: Option<&OidcIssuer>,
    roles: &Roles<'_>,
    sharing: &BTreeMap<String, BTreeSet<String>>,
    namespace: &NamespaceFacts,
    (namespace_name, name): Key,
    trusted_by: Vec<String>,
) -> Entry {
    let account = namespace.service_accounts.get(&name);
    let key = (namespace_name.clone(), name.clone());
    let association = facts.associations.get(&key);
    let named = named_role(account, association);
    let has_annotation = account.is_some_and(|account| account.role_arn().is_some());
    let not_named = RoleFacts::NotNamed;
    let role = named
        .as_ref()
        .and_then(|named| facts.roles.get(named))
        .unwrap_or(&not_named);
    let role_arn = named.clone().or_else(|| trusted_by.first().cloned());
    let own_name = [namespace_name.as_str(), &name].join("/");
    let shared_with: Vec<String> = named
        .as_deref()
        .and_then(|named| sharing.get(roles.resolve(named)))
        .into_iter()
        .flatten()
        .filter(|other| **other != own_name)
        .cloned()
        .collect();

    let settings = Settings {
        // A role that the annotation no longer names is what a configuration that is in use has learned.
        role_arn: named.filter(|_| !has_annotation),
        service_principal: facts.service_principal.map(str::to_owned),
        ..Settings::default()
    };
    let findings = preflight::check(&Unit {
        cluster: facts.cluster,
        namespace,
        namespace_name: &namespace_name,
        service_account: &name,
        role,
        association,
        settings: &settings,
        sharing: &shared_with,
        role_policies: None,
        target: None,
        trust_quota: facts.trust_quota,
        associations_in_cluster: facts.associations_in_cluster,
    });

    let trust = role_arn
        .as_deref()
        .and_then(|arn| roles.get(arn))
        .map(|role| role.trust(facts, issuer, &namespace_name, &name, account));
    let workloads = workloads(namespace, &name);
    let mut entry = Entry {
        exists: account.is_some(),
        has_annotation,
        role_arn,
        trust,
        trusted_by,
        shared_with,
        association: association.cloned(),
        owner: account.and_then(|account| account.owner.clone()),
        workloads,
        findings,
        migratable: false,
        phase: Phase::NotStarted,
        namespace: namespace_name,
        name,
    };
    entry.phase = phase(&entry, namespace);
    // What a migration has begun stays in a `for_each` over what is migratable: leaving it would roll it back. Of a role that could
    // not be read nothing is known that would allow to begin.
    let clear = matches!(role, RoleFacts::Found(_)) && entry.blockers().next().is_none();
    entry.migratable = entry.is_under_way() || clear;
    entry
}

/// What names the role of a service account: the annotation, what a migration noted when it removed that, or the association that a
/// migration created.
fn named_role(
    account: Option<&ServiceAccountFacts>,
    association: Option<&AssociationFacts>,
) -> Option<String> {
    let account = account?;
    account
        .role_arn()
        .map(str::to_owned)
        .or_else(|| breadcrumb(account)?.annotations.remove(ROLE_ARN))
        .or_else(|| {
            association
                .filter(|association| association.is_migrations())
                .map(|association| association.role_arn.clone())
        })
}

/// `namespace/name` of service accounts by the role that their annotation names.
fn sharing(facts: &Facts<'_>) -> BTreeMap<String, BTreeSet<String>> {
    let mut sharing: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for account in facts
        .namespaces
        .values()
        .flat_map(|namespace| namespace.service_accounts.values())
    {
        if let Some(named) = account.role_arn() {
            let arn = resolve(facts.roles, named);
            sharing
                .entry(arn.to_owned())
                .or_default()
                .insert([account.namespace.as_str(), &account.name].join("/"));
        }
    }
    sharing
}

/// The ARN of a role for what names it.
fn resolve<'a>(roles: &'a BTreeMap<String, RoleFacts>, named: &'a str) -> &'a str {
    roles.get(named).and_then(RoleFacts::arn).unwrap_or(named)
}

/// A role that could be read.
struct Role {
    document: Document,
    /// Trust in providers of this cluster's issuer.
    trusts: Vec<WebIdentityTrust>,
}

/// Roles that could be read, by ARN.
struct Roles<'a> {
    by_arn: BTreeMap<&'a str, Role>,
    named: &'a BTreeMap<String, RoleFacts>,
}

impl<'a> Roles<'a> {
    fn of(facts: &Facts<'a>, issuer: Option<&OidcIssuer>) -> Self {
        let mut by_arn = BTreeMap::new();
        for role in facts.roles.values() {
            let RoleFacts::Found(role) = role else {
                continue;
            };
            let Ok(document) = Document::parse(&role.assume_role_policy) else {
                continue;
            };
            let trusts = web_identity_trusts(&document)
                .into_iter()
                .filter(|trust| issuer.is_some_and(|issuer| issuer.is(&trust.provider.issuer)))
                .collect();
            by_arn.insert(role.arn.as_str(), Role { document, trusts });
        }
        Self {
            by_arn,
            named: facts.roles,
        }
    }

    fn resolve<'n>(&'n self, named: &'n str) -> &'n str {
        resolve(self.named, named)
    }

    fn get(&self, named: &str) -> Option<&Role> {
        self.by_arn.get(self.resolve(named))
    }
}

impl Role {
    fn trust(
        &self,
        facts: &Facts<'_>,
        issuer: Option<&OidcIssuer>,
        namespace: &str,
        name: &str,
        account: Option<&ServiceAccountFacts>,
    ) -> Trust {
        let irsa = issuer.map_or(Access::NotAllowed, |issuer| {
            self.irsa(issuer, namespace, name, account)
        });
        let pod_identity =
            ClusterArn::parse(&facts.cluster.cluster.arn).map_or(Access::Unknown, |cluster| {
                let grant = Grant {
                    service_principal: facts
                        .service_principal
                        .unwrap_or(SERVICE_PRINCIPAL)
                        .to_owned(),
                    ..Grant::new(cluster, namespace, name)
                };
                match analyze(&self.document, &grant.pod()) {
                    Verdict::Works => Access::Allowed,
                    Verdict::CanNeverWork(_) => Access::NotAllowed,
                    Verdict::CannotTell(_) => Access::Unknown,
                }
            });
        Trust {
            irsa,
            via: (irsa != Access::NotAllowed)
                .then(|| self.via(namespace, name))
                .flatten(),
            pod_identity,
        }
    }

    fn irsa(
        &self,
        issuer: &OidcIssuer,
        namespace: &str,
        name: &str,
        account: Option<&ServiceAccountFacts>,
    ) -> Access {
        let audience = account
            .and_then(ServiceAccountFacts::audience)
            .unwrap_or(DEFAULT_AUDIENCE);
        subject(issuer, namespace, name).access(&self.document, Some(audience))
    }

    /// How the policy names a service account that it lets in.
    fn via(&self, namespace: &str, name: &str) -> Option<Via> {
        let text = format!("system:serviceaccount:{namespace}:{name}");
        let mut subjects = self.trusts.iter().flat_map(|trust| &trust.subjects);
        if subjects.any(|subject| !subject.is_pattern && subject.text == text) {
            return Some(Via::Exact);
        }
        if self.patterns().next().is_some() {
            return Some(Via::Pattern);
        }
        if self.trusts.iter().any(|trust| trust.unconditioned) {
            return Some(Via::Cluster);
        }
        self.trusts
            .iter()
            .any(|trust| !trust.other_operators.is_empty())
            .then_some(Via::Other)
    }

    fn patterns(&self) -> impl Iterator<Item = &str> {
        self.trusts
            .iter()
            .flat_map(|trust| &trust.subjects)
            .filter(|subject| subject.is_pattern)
            .map(|subject| subject.text.as_str())
    }
}

fn subject(issuer: &OidcIssuer, namespace: &str, name: &str) -> Subject {
    Subject {
        issuer: issuer.clone(),
        namespace: namespace.to_owned(),
        service_account: name.to_owned(),
    }
}

/// Service accounts that trust policies name, with the ARNs of the roles; patterns stand for those that exist. A policy that trusts
/// the whole cluster names nobody.
fn trusted(
    facts: &Facts<'_>,
    selection: &Selection,
    issuer: Option<&OidcIssuer>,
    roles: &Roles<'_>,
) -> BTreeMap<Key, Vec<String>> {
    let mut trusted: BTreeMap<Key, Vec<String>> = BTreeMap::new();
    let Some(issuer) = issuer else {
        return trusted;
    };
    for (arn, role) in &roles.by_arn {
        let mut names: BTreeSet<Key> = role
            .trusts
            .iter()
            .flat_map(|trust| &trust.subjects)
            .filter(|subject| !subject.is_pattern)
            .filter_map(|subject| subject.service_account())
            .map(|(namespace, name)| (namespace.to_owned(), name.to_owned()))
            .filter(|(namespace, name)| selection.has(namespace, name))
            .collect();
        // What stands before the first wildcard decides most cases without judging the policy.
        let heads: Vec<String> = role.patterns().map(head).collect();
        if !heads.is_empty() {
            names.extend(
                facts
                    .namespaces
                    .values()
                    .flat_map(|namespace| namespace.service_accounts.values())
                    .filter(|account| selection.has(&account.namespace, &account.name))
                    .filter(|account| {
                        let text = subject(issuer, &account.namespace, &account.name).text();
                        heads.iter().any(|head| text.starts_with(head.as_str()))
                    })
                    .map(|account| (account.namespace.clone(), account.name.clone())),
            );
        }
        for (namespace, name) in names {
            let account = facts
                .namespaces
                .get(&namespace)
                .and_then(|facts| facts.service_accounts.get(&name));
            if role.irsa(issuer, &namespace, &name, account) == Access::Allowed {
                trusted
                    .entry((namespace, name))
                    .or_default()
                    .push((*arn).to_owned());
            }
        }
    }
    trusted
}

/// The text before the first wildcard or variable, in lower case: operators may ignore case, and names have no other.
fn head(pattern: &str) -> String {
    pattern
        .split(['*', '?', '$'])
        .next()
        .unwrap_or_default()
        .to_ascii_lowercase()
}

fn workloads(namespace: &NamespaceFacts, service_account: &str) -> Vec<Workload> {
    let mut workloads: BTreeMap<WorkloadId, Workload> = namespace
        .workloads_of(service_account)
        .map(|workload| {
            let entry = Workload {
                id: workload.id.clone(),
                restart: workload.restart.clone(),
                ..Workload::default()
            };
            (workload.id.clone(), entry)
        })
        .collect();
    for pod in namespace.pods_of(service_account) {
        let workload = workloads
            .entry(pod.workload.clone())
            .or_insert_with(|| Workload {
                id: pod.workload.clone(),
                ..Workload::default()
            });
        workload.pods += 1;
        workload.pods_on_pod_identity +=
            usize::from(pod.credentials == PodCredentials::PodIdentity);
    }
    workloads.into_values().collect()
}

/// How far a service account is, whoever brought it there. That new pods get Pod Identity is only seen by pods that have it.
fn phase(entry: &Entry, namespace: &NamespaceFacts) -> Phase {
    if entry.association.is_none() {
        let trusted = entry
            .trust
            .is_some_and(|trust| trust.pod_identity == Access::Allowed);
        return if trusted {
            Phase::TrustAdded
        } else {
            Phase::NotStarted
        };
    }
    let behind: Vec<&WorkloadId> = namespace
        .pods_of(&entry.name)
        .filter(|pod| !pod.credentials.is_settled())
        .map(|pod| &pod.workload)
        .collect();
    if behind.is_empty() {
        return if entry.has_annotation {
            Phase::Verified
        } else {
            Phase::Retired
        };
    }
    let can_be_restarted = |id: &WorkloadId| {
        entry
            .workloads
            .iter()
            .any(|workload| workload.id == *id && workload.restart == Restart::Rolling)
    };
    if !behind.into_iter().any(can_be_restarted) {
        Phase::RolledOut
    } else if entry
        .workloads
        .iter()
        .any(|workload| workload.pods_on_pod_identity > 0)
    {
        Phase::Propagated
    } else {
        Phase::Associated
    }
}
