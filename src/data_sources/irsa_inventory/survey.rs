//! Which service accounts use IRSA, and how each of them stands. Pure: facts in, inventory out.

use std::collections::{BTreeMap, BTreeSet};

use crate::migration::facts::{
    AssociationFacts, ClusterFacts, NamespaceFacts, Owner, PodCredentials, ROLE_ARN, Restart,
    RoleFacts, ServiceAccountFacts, Settings, WorkloadId, wildcard,
};
use crate::migration::finding::{Code, Finding, Weight};
use crate::migration::phase::{Phase, Seen};
use crate::migration::preflight::workloads::{manual_restart, passing};
use crate::migration::preflight::{self, Unit};
use crate::migration::readiness;
use crate::migration::steps::service_account::breadcrumb;
use crate::policy::irsa::{Access, WebIdentityTrust};
use crate::policy::name::{Wildcards, check_namespace, check_service_account};
use crate::policy::{
    ClusterArn, Document, Grant, OidcIssuer, RoleArn, SERVICE_PRINCIPAL, Subject, Verdict, analyze,
    equivalent_arns, web_identity_trusts,
};

/// The audience of web identity tokens unless the service account says otherwise.
const DEFAULT_AUDIENCE: &str = "sts.amazonaws.com";
/// Most names that one service account is given of those that share its role: a thousand on one role would be a million.
pub(super) const MOST_SHARING: usize = 20;

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
    pub(super) fn has(&self, namespace: &str, name: &str) -> bool {
        self.has_namespace(namespace)
            && self
                .labelled
                .as_ref()
                .is_none_or(|keys| keys.contains(&(namespace.to_owned(), name.to_owned())))
    }

    fn has_namespace(&self, namespace: &str) -> bool {
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
    /// Whether its role is named by anything else than a trust policy.
    pub(super) is_named: bool,
    /// What names its role: the annotation, what a migration noted, the association, or a trust policy.
    pub(super) role_arn: Option<String>,
    /// What the trust policy of the role says; `None` if it was not, or cannot be, read.
    pub(super) trust: Option<Trust>,
    /// ARNs of the roles whose trust policies let it in by IRSA.
    pub(super) trusted_by: Vec<String>,
    /// Other service accounts that share the role, `namespace/name`; the first [`MOST_SHARING`].
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

    /// Whether its association was created by a migration, whoever has taken it over since and whatever is in its way now.
    pub(super) fn is_under_way(&self) -> bool {
        self.association
            .as_ref()
            .is_some_and(AssociationFacts::is_migrations)
    }

    /// Whose its association is.
    pub(super) fn association_owner(&self) -> Option<AssociationOwner> {
        let association = self.association.as_ref()?;
        Some(if association.owner_arn.is_some() {
            AssociationOwner::Addon
        } else if association.is_migrations() {
            AssociationOwner::Migration
        } else {
            AssociationOwner::Other
        })
    }

    /// Whether nothing but retirement is left.
    pub(super) fn is_done(&self) -> bool {
        self.phase >= Phase::Verified
    }

    /// What there is to do with it.
    pub(super) fn standing(&self) -> Standing {
        if self.is_done() {
            Standing::Done
        } else if self.is_under_way() {
            Standing::UnderWay
        } else if !self.is_named {
            Standing::TrustOnly
        } else if self.migratable {
            Standing::Ready
        } else {
            Standing::Blocked
        }
    }
}

/// What there is to do with a service account; each is in one of these.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Standing {
    /// Nothing: all its pods are on Pod Identity, whoever brought them there.
    Done,
    /// A migration has begun and is not done.
    UnderWay,
    /// A migration would take it.
    Ready,
    /// Something speaks against its migration.
    Blocked,
    /// Nothing but a trust policy names a role for it.
    TrustOnly,
}

/// Whose an association is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum AssociationOwner {
    /// A migration created it.
    Migration,
    /// It belongs to an EKS add-on.
    Addon,
    /// Somebody else created it.
    Other,
}

/// A workload and how far its pods are.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Workload {
    /// Kind and name; what comes and goes is counted together, without a name.
    pub(super) id: WorkloadId,
    /// Its pods that have not ended and are not being deleted.
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

/// What names the roles of the selected service accounts, and the roles that migrations gave them; to be read for [`take`].
pub(super) fn role_names(
    namespaces: &Namespaces,
    associations: &BTreeMap<Key, AssociationFacts>,
    selection: &Selection,
) -> BTreeSet<String> {
    let annotated = accounts(namespaces, selection).filter_map(|account| {
        let key = (account.namespace.clone(), account.name.clone());
        named_role(Some(account), associations.get(&key))
    });
    let migrated =
        migrated(associations, selection).map(|(_, association)| association.role_arn.clone());
    annotated.chain(migrated).collect()
}

/// The service accounts that exist and are asked for.
fn accounts<'a>(
    namespaces: &'a Namespaces,
    selection: &Selection,
) -> impl Iterator<Item = &'a ServiceAccountFacts> {
    namespaces
        .values()
        .flat_map(|namespace| namespace.service_accounts.values())
        .filter(|account| selection.has(&account.namespace, &account.name))
}

/// What is asked for and has an association that a migration created. Whoever deploys a service account anew deletes it for a while; what a
/// migration has begun must not leave a `for_each` because of that, as it would be rolled back.
fn migrated<'a>(
    associations: &'a BTreeMap<Key, AssociationFacts>,
    selection: &Selection,
) -> impl Iterator<Item = (&'a Key, &'a AssociationFacts)> {
    associations
        .iter()
        .filter(|((namespace, name), association)| {
            association.is_migrations() && selection.has(namespace, name)
        })
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
    let sharing = sharing(facts, &roles);
    let mut keys: BTreeSet<Key> = trusted.keys().cloned().collect();
    keys.extend(migrated(facts.associations, selection).map(|(key, _)| key.clone()));
    for account in accounts(facts.namespaces, selection) {
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
    // A migration may have been told to give pods another role than the annotation names.
    let given = association
        .filter(|association| association.is_migrations())
        .map(|association| association.role_arn.clone())
        .or_else(|| named.clone());
    let not_named = RoleFacts::NotNamed;
    let role = given
        .as_ref()
        .and_then(|given| facts.roles.get(given))
        .unwrap_or(&not_named);
    let role_arn = named.clone().or_else(|| trusted_by.first().cloned());
    let own_name = [namespace_name.as_str(), &name].join("/");
    let shared_with: Vec<String> = given
        .as_deref()
        .and_then(|given| sharing.get(roles.resolve(given)))
        .into_iter()
        .flatten()
        .filter(|other| **other != own_name)
        .take(MOST_SHARING)
        .cloned()
        .collect();

    let settings = Settings {
        // A role that the annotation does not name is what a configuration that is in use has learned.
        role_arn: given
            .clone()
            .filter(|given| !has_annotation || named.as_ref() != Some(given)),
        service_principal: facts.service_principal.map(str::to_owned),
        ..Settings::default()
    };
    let mut findings = preflight::check(&Unit {
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
        node_roles: &BTreeSet::new(),
        trust_quota: facts.trust_quota,
        associations_in_cluster: facts.associations_in_cluster,
    });
    // What ends by itself comes and goes between two plans, and need not be restarted.
    findings.retain(|finding| finding.code != Code::ManualRestart);
    findings.extend(manual_restart(namespace, &name, |workload| {
        passing(&workload.id.kind).is_none()
    }));
    findings.sort();

    let trust_of = |arn: &str| {
        roles
            .get(arn)
            .map(|role| role.trust(facts, issuer, &namespace_name, &name, account))
    };
    let trust = role_arn.as_deref().and_then(trust_of);
    let trusted = match role {
        // Of a role that may not be read nothing speaks against what pods show.
        RoleFacts::NotRead { .. } => association.is_some(),
        _ => given
            .as_deref()
            .or(role_arn.as_deref())
            .and_then(trust_of)
            .is_some_and(|trust| trust.pod_identity != Access::NotAllowed),
    };
    let associated = association.is_some_and(|association| {
        given
            .as_deref()
            .or(role_arn.as_deref())
            .is_some_and(|arn| equivalent_arns(roles.resolve(arn), &association.role_arn))
    });
    let noted = account.is_some_and(|account| breadcrumb(account).is_some());
    let by_migration = association.is_some_and(AssociationFacts::is_migrations);
    let phase = phase(
        namespace,
        &name,
        Seen {
            trusted,
            associated,
            retired: account.is_some() && !has_annotation && (noted || by_migration),
            ..Seen::default()
        },
        by_migration,
    );
    let mut entry = Entry {
        exists: account.is_some(),
        has_annotation,
        is_named: named.is_some(),
        role_arn,
        trust,
        trusted_by,
        shared_with,
        association: association.cloned(),
        owner: account.and_then(|account| account.owner.clone()),
        workloads: workloads(namespace, &name),
        findings,
        migratable: false,
        phase,
        namespace: namespace_name,
        name,
    };
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
    account
        .and_then(ServiceAccountFacts::role_arn)
        .map(str::to_owned)
        .or_else(|| breadcrumb(account?)?.annotations.remove(ROLE_ARN))
        .or_else(|| {
            association
                .filter(|association| association.is_migrations())
                .map(|association| association.role_arn.clone())
        })
}

/// `namespace/name` of service accounts by their role: what names it for them, and whom its trust policy names.
fn sharing(facts: &Facts<'_>, roles: &Roles<'_>) -> BTreeMap<String, BTreeSet<String>> {
    let mut sharing: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut add = |arn: &str, namespace: &str, name: &str| {
        let accounts = match sharing.get_mut(arn) {
            Some(accounts) => accounts,
            None => sharing.entry(arn.to_owned()).or_default(),
        };
        accounts.insert([namespace, name].join("/"));
    };
    for account in accounts(facts.namespaces, &Selection::default()) {
        let key = (account.namespace.clone(), account.name.clone());
        if let Some(named) = named_role(Some(account), facts.associations.get(&key)) {
            add(roles.resolve(&named), &account.namespace, &account.name);
        }
    }
    for (arn, role) in &roles.by_arn {
        for (namespace, name) in role.names() {
            add(arn, namespace, name);
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
        // Without the annotation pods bring a token of their own, for whatever audience.
        let audience = account.and_then(ServiceAccountFacts::audience).or_else(|| {
            account
                .and_then(ServiceAccountFacts::role_arn)
                .map(|_| DEFAULT_AUDIENCE)
        });
        subject(issuer, namespace, name).access(&self.document, audience)
    }

    /// How the policy names a service account that it lets in.
    fn via(&self, namespace: &str, name: &str) -> Option<Via> {
        let text = format!("system:serviceaccount:{namespace}:{name}");
        let mut subjects = self.trusts.iter().flat_map(|trust| &trust.subjects);
        if subjects.any(|subject| !subject.is_pattern && subject.text == text) {
            return Some(Via::Exact);
        }
        // Operators may ignore case, and names have no other. What stands for a variable is not known.
        let matches = |pattern: &str| {
            let pattern = pattern.to_ascii_lowercase();
            match pattern.split_once('$') {
                Some((before, _)) => wildcard(&format!("{before}*"), &text),
                None => wildcard(&pattern, &text),
            }
        };
        if self.patterns().any(matches) {
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

    /// Namespaces and names of the service accounts that the policy names. What has a wildcard where the operator takes none names nobody.
    fn names(&self) -> impl Iterator<Item = (&str, &str)> {
        self.trusts
            .iter()
            .flat_map(|trust| &trust.subjects)
            .filter(|subject| !subject.is_pattern)
            .filter_map(|subject| subject.service_account())
            .filter(|(namespace, name)| {
                check_namespace(namespace, Wildcards::Refused).is_ok()
                    && check_service_account(name, Wildcards::Refused).is_ok()
            })
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
            .names()
            .filter(|(namespace, name)| selection.has(namespace, name))
            .map(|(namespace, name)| (namespace.to_owned(), name.to_owned()))
            .collect();
        // What stands before the first wildcard decides most cases without judging the policy.
        let heads: Vec<String> = role.patterns().map(head).collect();
        if !heads.is_empty() {
            names.extend(
                accounts(facts.namespaces, selection)
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
            // Further conditions may depend on what only AWS knows; that it may be let in is reason enough to look at it.
            if role.irsa(issuer, &namespace, &name, account) != Access::NotAllowed {
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
    let mut workloads: BTreeMap<WorkloadId, Workload> = BTreeMap::new();
    // What comes and goes is counted together, so that what is named here is the same in the next plan.
    let together = |id: &WorkloadId| match passing(&id.kind) {
        Some(_) => WorkloadId {
            kind: id.kind.clone(),
            name: String::new(),
        },
        None => id.clone(),
    };
    for workload in namespace.workloads_of(service_account) {
        let id = together(&workload.id);
        workloads.entry(id.clone()).or_insert_with(|| Workload {
            id,
            restart: workload.restart.clone(),
            ..Workload::default()
        });
    }
    for pod in namespace
        .pods_of(service_account)
        .filter(|pod| !pod.terminating)
    {
        let id = together(&pod.workload);
        let workload = workloads.entry(id.clone()).or_insert_with(|| Workload {
            id,
            ..Workload::default()
        });
        workload.pods += 1;
        workload.pods_on_pod_identity +=
            usize::from(pod.credentials == PodCredentials::PodIdentity);
    }
    workloads.into_values().collect()
}

/// How far a service account is, whoever brought it there, by the rules of the migration where it has no state to go by. Without pods
/// that is what a migration proved with dry runs before it ended; an association of somebody else proves nothing.
fn phase(namespace: &NamespaceFacts, name: &str, seen: Seen, by_migration: bool) -> Phase {
    let mut behind = namespace.left_behind(name).peekable();
    let left_behind = behind.peek().is_some();
    let any = namespace
        .pods_of(name)
        .any(|pod| !pod.terminating && pod.credentials == PodCredentials::PodIdentity);
    let phase = Phase::from(Seen {
        moved: any || by_migration && !left_behind,
        left_behind,
        ..seen
    });
    let can_be_restarted = |id: &WorkloadId| {
        namespace
            .workloads_of(name)
            .any(|workload| workload.id == *id && workload.restart == Restart::Rolling)
    };
    if matches!(phase, Phase::Associated | Phase::Propagated)
        && left_behind
        && !behind.any(|pod| can_be_restarted(&pod.workload))
    {
        return Phase::RolledOut;
    }
    phase
}
