//! The survey over facts made by hand.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::{Value as Json, json};

use super::survey::{self, Entry, Facts, Inventory, Key, Namespaces, Selection, Via};
use crate::aws::facts::{ClusterInfo, RoleInfo};
use crate::migration::facts::{
    AgentFacts, AgentKind, AssociationFacts, ClusterFacts, MIGRATION_TAG, NamespaceFacts,
    PodCredentials, PodFacts, ROLE_ARN, Restart, RoleFacts, ServiceAccountFacts, WebhookFacts,
    WorkloadFacts, WorkloadId,
};
use crate::migration::phase::Phase;
use crate::migration::steps::service_account::BREADCRUMB;
use crate::policy::irsa::Access;

const ISSUER: &str = "oidc.eks.us-east-1.amazonaws.com/id/AAAA";
const OTHER_FORM: &str = "oidc-eks.us-east-1.api.aws/id/AAAA";
const OTHER_CLUSTER: &str = "oidc.eks.us-east-1.amazonaws.com/id/BBBB";

fn arn(name: &str) -> String {
    format!("arn:aws:iam::123456789012:role/{name}")
}

fn statement(issuer: &str, operator: &str, subjects: &Json) -> Json {
    json!({
        "Effect": "Allow",
        "Principal": {"Federated": format!("arn:aws:iam::123456789012:oidc-provider/{issuer}")},
        "Action": "sts:AssumeRoleWithWebIdentity",
        "Condition": {operator: {format!("{issuer}:sub"): subjects}},
    })
}

#[derive(Default)]
struct World {
    cluster: ClusterFacts,
    namespaces: Namespaces,
    roles: BTreeMap<String, RoleFacts>,
    associations: BTreeMap<Key, AssociationFacts>,
}

impl World {
    fn new() -> Self {
        Self {
            cluster: ClusterFacts {
                cluster: Arc::new(ClusterInfo {
                    name: "demo".into(),
                    arn: "arn:aws:eks:us-east-1:123456789012:cluster/demo".into(),
                    version: "1.33".into(),
                    platform_version: "eks.9".into(),
                    status: "ACTIVE".into(),
                    oidc_issuer: Some(format!("https://{ISSUER}")),
                    ..ClusterInfo::default()
                }),
                agent: AgentFacts {
                    kind: AgentKind::AutoMode,
                    ..AgentFacts::default()
                },
                nodes: Some(BTreeMap::new()),
                fargate_profiles: Some(vec![]),
                webhook: Some(WebhookFacts::Usable),
                oidc_provider: Some(true),
                ..ClusterFacts::default()
            },
            ..Self::default()
        }
    }

    fn namespace(&mut self, name: &str) -> &mut NamespaceFacts {
        let namespace = self.namespaces.entry(name.to_owned()).or_default();
        name.clone_into(&mut namespace.namespace);
        namespace
    }

    fn account(&mut self, namespace: &str, name: &str, annotations: &[(&str, &str)]) -> &mut Self {
        let facts = ServiceAccountFacts {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            annotations: annotations
                .iter()
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
                .collect(),
            ..ServiceAccountFacts::default()
        };
        self.namespace(namespace)
            .service_accounts
            .insert(name.to_owned(), facts);
        self
    }

    fn irsa(&mut self, namespace: &str, name: &str, role: &str) -> &mut Self {
        self.account(namespace, name, &[(ROLE_ARN, &arn(role))])
    }

    fn role(&mut self, name: &str, statements: &[Json]) -> &mut Self {
        let role = RoleInfo {
            name: name.to_owned(),
            arn: arn(name),
            path: "/".into(),
            assume_role_policy: json!({"Version": "2012-10-17", "Statement": statements})
                .to_string(),
            ..RoleInfo::default()
        };
        self.roles
            .insert(arn(name), RoleFacts::Found(Arc::new(role)));
        self
    }

    fn pods(&mut self, namespace: &str, account: &str, pods: &[PodCredentials], restart: Restart) {
        let id = WorkloadId {
            kind: "Deployment".into(),
            name: account.to_owned(),
        };
        let namespace = self.namespace(namespace);
        namespace.workloads.push(WorkloadFacts {
            id: id.clone(),
            service_account: account.to_owned(),
            restart,
            ..WorkloadFacts::default()
        });
        namespace
            .pods
            .extend(pods.iter().enumerate().map(|(n, credentials)| PodFacts {
                name: format!("{account}-{n}"),
                service_account: account.to_owned(),
                workload: id.clone(),
                credentials: *credentials,
                ..PodFacts::default()
            }));
    }

    fn associate(&mut self, namespace: &str, account: &str, role: &str, by_migration: bool) {
        let facts = AssociationFacts {
            id: "a-1".into(),
            role_arn: arn(role),
            tags: by_migration
                .then(|| (MIGRATION_TAG.to_owned(), "true".to_owned()))
                .into_iter()
                .collect(),
            ..AssociationFacts::default()
        };
        self.associations
            .insert((namespace.to_owned(), account.to_owned()), facts);
    }

    fn take(&self, selection: &Selection) -> Inventory {
        let names = survey::role_names(&self.namespaces, &self.associations, selection);
        let roles: BTreeMap<String, RoleFacts> = names
            .into_iter()
            .map(|name| {
                let found = self.roles.get(&name).cloned();
                let role = found.unwrap_or_else(|| RoleFacts::NotFound { arn: name.clone() });
                (name, role)
            })
            .collect();
        survey::take(
            &Facts {
                cluster: &self.cluster,
                namespaces: &self.namespaces,
                roles: &roles,
                associations: &self.associations,
                associations_in_cluster: Some(self.associations.len()),
                trust_quota: None,
                service_principal: None,
            },
            selection,
        )
    }

    fn all(&self) -> Inventory {
        self.take(&Selection::default())
    }
}

fn keys(inventory: &Inventory) -> Vec<String> {
    inventory.entries.iter().map(Entry::key).collect()
}

fn find<'a>(inventory: &'a Inventory, key: &str) -> &'a Entry {
    inventory
        .entries
        .iter()
        .find(|entry| entry.key() == key)
        .unwrap_or_else(|| panic!("{key} is not among {:?}", keys(inventory)))
}

fn codes(entry: &Entry) -> Vec<&str> {
    entry
        .blockers()
        .map(|finding| finding.code.as_str())
        .collect()
}

#[test]
fn annotations_and_subjects_are_found_in_both_host_forms_and_no_others() {
    let mut world = World::new();
    world
        .irsa("a", "api", "one")
        .account("a", "plain", &[])
        .account("a", "batch", &[])
        .account("preview-1", "app", &[])
        .account("preview-2", "app", &[])
        .account("preview-2", "other", &[])
        .account("b", "elsewhere", &[])
        .role(
            "one",
            &[
                statement(
                    ISSUER,
                    "StringEquals",
                    &json!([
                        "system:serviceaccount:a:api",
                        "system:serviceaccount:a:gone"
                    ]),
                ),
                statement(
                    OTHER_FORM,
                    "StringEquals",
                    &json!("system:serviceaccount:a:batch"),
                ),
                statement(
                    ISSUER,
                    "StringLike",
                    &json!("system:serviceaccount:preview-*:app"),
                ),
                statement(
                    OTHER_CLUSTER,
                    "StringEquals",
                    &json!("system:serviceaccount:b:elsewhere"),
                ),
            ],
        );
    let found = world.all();
    assert_eq!(
        keys(&found),
        [
            "a/api",
            "a/batch",
            "a/gone",
            "preview-1/app",
            "preview-2/app"
        ]
    );

    let api = find(&found, "a/api");
    assert!(
        api.has_annotation && api.exists && api.migratable,
        "{api:?}"
    );
    let trust = api.trust.unwrap();
    assert_eq!(
        (trust.irsa, trust.via, trust.pod_identity),
        (Access::Allowed, Some(Via::Exact), Access::NotAllowed)
    );
    assert_eq!(api.phase, Phase::NotStarted);

    let batch = find(&found, "a/batch");
    assert!(!batch.has_annotation && !batch.migratable);
    assert_eq!(codes(batch), ["no_role"]);
    assert_eq!(batch.trusted_by, [arn("one")]);
    assert_eq!(batch.role_arn, Some(arn("one")));

    let gone = find(&found, "a/gone");
    assert!(
        !gone.exists && codes(gone).contains(&"service_account_missing"),
        "{gone:?}"
    );
    let preview = find(&found, "preview-1/app");
    assert_eq!(preview.trust.unwrap().via, Some(Via::Pattern));
}

#[test]
fn a_policy_that_trusts_the_whole_cluster_names_nobody() {
    let mut world = World::new();
    let mut everybody = statement(ISSUER, "StringEquals", &json!("x"));
    everybody["Condition"] =
        json!({"StringEquals": {format!("{ISSUER}:aud"): "sts.amazonaws.com"}});
    world
        .irsa("a", "api", "one")
        .account("a", "plain", &[])
        .role("one", &[everybody]);
    let found = world.all();
    assert_eq!(keys(&found), ["a/api"]);
    let trust = find(&found, "a/api").trust.unwrap();
    assert_eq!(
        (trust.irsa, trust.via),
        (Access::Allowed, Some(Via::Cluster))
    );
}

#[test]
fn only_what_is_asked_for_is_listed_and_sharing_is_seen_beyond_it() {
    let mut world = World::new();
    world
        .irsa("a", "api", "one")
        .irsa("a", "web", "two")
        .irsa("b", "api", "one")
        .role(
            "one",
            &[statement(
                ISSUER,
                "StringLike",
                &json!("system:serviceaccount:*:api"),
            )],
        )
        .role(
            "two",
            &[statement(
                ISSUER,
                "StringEquals",
                &json!("system:serviceaccount:a:web"),
            )],
        );
    let only_a = world.take(&Selection {
        namespaces: Some(["a".to_owned()].into()),
        labelled: None,
    });
    assert_eq!(keys(&only_a), ["a/api", "a/web"]);
    assert_eq!(find(&only_a, "a/api").shared_with, ["b/api"]);
    assert!(find(&only_a, "a/web").shared_with.is_empty());

    let labelled: BTreeSet<Key> = [("a".to_owned(), "web".to_owned())].into();
    let only_web = world.take(&Selection {
        namespaces: None,
        labelled: Some(labelled),
    });
    assert_eq!(keys(&only_web), ["a/web"]);
}

#[test]
fn a_role_that_is_not_there_blocks_and_one_that_could_not_be_read_is_not_migratable() {
    let mut world = World::new();
    world
        .irsa("a", "missing", "missing")
        .irsa("a", "denied", "denied");
    world.roles.insert(
        arn("denied"),
        RoleFacts::NotRead {
            arn: arn("denied"),
            why: "the credentials may not call iam:GetRole".into(),
        },
    );
    let found = world.all();
    assert_eq!(codes(find(&found, "a/missing")), ["role_not_found"]);
    let denied = find(&found, "a/denied");
    assert!(codes(denied).is_empty() && !denied.migratable);
    assert!(denied.trust.is_none());
    assert!(
        denied
            .warnings()
            .any(|finding| finding.code.as_str() == "not_checked")
    );
}

#[test]
fn phases_follow_from_what_is_there() {
    use PodCredentials::{PodIdentity, WebIdentity};
    let trusting = [
        statement(
            ISSUER,
            "StringEquals",
            &json!("system:serviceaccount:a:api"),
        ),
        json!({"Effect": "Allow", "Principal": {"Service": "pods.eks.amazonaws.com"}, "Action": ["sts:AssumeRole", "sts:TagSession"]}),
    ];
    type Case<'a> = (&'a str, bool, bool, &'a [PodCredentials], Restart, Phase);
    let cases: [Case<'_>; 8] = [
        (
            "nothing",
            false,
            false,
            &[WebIdentity],
            Restart::Rolling,
            Phase::NotStarted,
        ),
        (
            "trust",
            true,
            false,
            &[WebIdentity],
            Restart::Rolling,
            Phase::TrustAdded,
        ),
        (
            "association",
            true,
            true,
            &[WebIdentity, WebIdentity],
            Restart::Rolling,
            Phase::Associated,
        ),
        (
            "one pod",
            true,
            true,
            &[PodIdentity, WebIdentity],
            Restart::Rolling,
            Phase::Propagated,
        ),
        (
            "the rest by hand",
            true,
            true,
            &[PodIdentity, WebIdentity],
            Restart::Manual("it is paused".into()),
            Phase::RolledOut,
        ),
        (
            "all pods",
            true,
            true,
            &[PodIdentity, PodIdentity],
            Restart::Rolling,
            Phase::Verified,
        ),
        (
            "left out",
            true,
            true,
            &[PodIdentity, PodCredentials::LeftOut],
            Restart::Rolling,
            Phase::Verified,
        ),
        (
            "no pods",
            true,
            true,
            &[],
            Restart::Rolling,
            Phase::Verified,
        ),
    ];
    for (case, trusted, associated, pods, restart, expected) in cases {
        let mut world = World::new();
        world
            .irsa("a", "api", "one")
            .role("one", &trusting[..1 + usize::from(trusted)]);
        world.pods("a", "api", pods, restart);
        if associated {
            world.associate("a", "api", "one", true);
        }
        let found = world.all();
        let entry = find(&found, "a/api");
        assert_eq!(entry.phase, expected, "{case}");
        assert_eq!(entry.workloads[0].pods, pods.len(), "{case}");
    }
}

#[test]
fn what_a_migration_has_begun_stays_migratable_and_listed() {
    let mut world = World::new();
    let trust = statement(
        ISSUER,
        "StringEquals",
        &json!("system:serviceaccount:a:api"),
    );
    let noted = json!({"annotations": {ROLE_ARN: arn("one")}}).to_string();
    // The annotation was removed by the migration, or by its owner after it.
    for annotations in [vec![(BREADCRUMB, noted.as_str())], vec![]] {
        world
            .account("a", "api", &annotations)
            .role("one", std::slice::from_ref(&trust));
        world.associate("a", "api", "one", true);
        let found = world.all();
        let entry = find(&found, "a/api");
        assert!(entry.migratable && !entry.has_annotation, "{entry:?}");
        assert_eq!(entry.phase, Phase::Retired);
        assert_eq!(entry.role_arn, Some(arn("one")));
        assert!(!codes(entry).contains(&"no_role"), "{:?}", codes(entry));
    }
    // A broken agent blocks those that have not begun.
    world.irsa("a", "web", "two").role(
        "two",
        &[statement(
            ISSUER,
            "StringEquals",
            &json!("system:serviceaccount:a:web"),
        )],
    );
    world.cluster.agent.kind = AgentKind::None;
    let found = world.all();
    assert!(find(&found, "a/api").migratable);
    let web = find(&found, "a/web");
    assert!(
        !web.migratable && codes(web).contains(&"agent_missing"),
        "{web:?}"
    );
    assert!(
        found
            .cluster_findings
            .iter()
            .any(|finding| finding.code.as_str() == "agent_missing")
    );
}

#[test]
fn associations_of_others_block() {
    let mut world = World::new();
    let trust = |name: &str| {
        statement(
            ISSUER,
            "StringEquals",
            &json!(format!("system:serviceaccount:a:{name}")),
        )
    };
    world
        .irsa("a", "same", "one")
        .irsa("a", "other", "two")
        .role("one", &[trust("same")])
        .role("two", &[trust("other")]);
    world.associate("a", "same", "one", false);
    world.associate("a", "other", "one", false);
    let found = world.all();
    assert_eq!(codes(find(&found, "a/same")), ["association_exists"]);
    assert_eq!(codes(find(&found, "a/other")), ["association_other_role"]);
}
