//! The survey over facts made by hand.

mod counted;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::{Value as Json, json};

use super::report::{self, Totals};
use super::survey::{
    self, AssociationOwner, Entry, Facts, Inventory, Key, Namespaces, Selection, Standing, Via,
};
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

/// A statement with which a role lets in every service account of every cluster.
fn pod_identity() -> Json {
    json!({"Effect": "Allow", "Principal": {"Service": "pods.eks.amazonaws.com"}, "Action": ["sts:AssumeRole", "sts:TagSession"]})
}

fn subject(name: &str) -> Json {
    statement(
        ISSUER,
        "StringEquals",
        &json!(format!("system:serviceaccount:a:{name}")),
    )
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
    let cases: [Case<'_>; 9] = [
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
            "no pods, but a migration has proved it",
            true,
            true,
            &[],
            Restart::Rolling,
            Phase::Verified,
        ),
        (
            "somebody took the statement out of the trust policy",
            false,
            true,
            &[PodIdentity, PodIdentity],
            Restart::Rolling,
            Phase::NotStarted,
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
            .role("one", &[trust.clone(), pod_identity()]);
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
    for name in ["a/same", "a/other"] {
        let entry = find(&found, name);
        assert_eq!(entry.association_owner(), Some(AssociationOwner::Other));
        assert_eq!(entry.standing(), Standing::Blocked, "{entry:?}");
    }
}

#[test]
fn a_migrated_service_account_that_is_deleted_for_a_while_stays() {
    let mut world = World::new();
    world.role("one", &[subject("api"), pod_identity()]);
    world.namespace("a");
    world.associate("a", "api", "one", true);
    world.associate("a", "foreign", "one", false);
    let found = world.all();
    assert_eq!(keys(&found), ["a/api"]);
    let api = find(&found, "a/api");
    assert!(
        !api.exists && api.migratable && api.is_under_way(),
        "{api:?}"
    );
    assert_eq!(api.role_arn, Some(arn("one")));
    assert_eq!(api.phase, Phase::Verified);
    assert_eq!(api.trust.unwrap().pod_identity, Access::Allowed);

    // An add-on that took it over does not make it leave a `for_each` either.
    world.irsa("a", "api", "one");
    world
        .associations
        .get_mut(&("a".to_owned(), "api".to_owned()))
        .unwrap()
        .owner_arn = Some("arn:aws:eks:us-east-1:123456789012:addon/demo/x/1".into());
    let found = world.all();
    let api = find(&found, "a/api");
    assert!(api.migratable && api.is_under_way(), "{api:?}");
    assert_eq!(api.association_owner(), Some(AssociationOwner::Addon));
    assert_eq!(codes(api), ["association_owned"]);
}

#[test]
fn an_association_counts_with_the_right_role_and_proves_nothing_without_pods() {
    use PodCredentials::{PodIdentity, WebIdentity};
    let look = |role: &str, by_migration: bool, pods: &[PodCredentials]| {
        let mut world = World::new();
        world
            .irsa("a", "api", "one")
            .role("one", &[subject("api"), pod_identity()])
            .role("two", &[pod_identity()]);
        world.pods("a", "api", pods, Restart::Rolling);
        world.associate("a", "api", role, by_migration);
        let found = world.all();
        let entry = find(&found, "a/api");
        (entry.phase, entry.standing())
    };
    for (role, by_migration, pods, phase, standing) in [
        (
            "one",
            false,
            &[PodIdentity][..],
            Phase::Verified,
            Standing::Done,
        ),
        ("one", false, &[], Phase::Associated, Standing::Blocked),
        (
            "one",
            false,
            &[WebIdentity],
            Phase::Associated,
            Standing::Blocked,
        ),
        (
            "two",
            false,
            &[PodIdentity],
            Phase::TrustAdded,
            Standing::Blocked,
        ),
        // It was told to use another role than the annotation names.
        ("two", true, &[PodIdentity], Phase::Verified, Standing::Done),
        (
            "two",
            true,
            &[WebIdentity],
            Phase::Associated,
            Standing::UnderWay,
        ),
    ] {
        assert_eq!(
            look(role, by_migration, pods),
            (phase, standing),
            "{role} {by_migration} {pods:?}"
        );
    }
}

#[test]
fn only_a_migration_retires() {
    let mut world = World::new();
    world
        .irsa("a", "other", "one")
        .account("a", "api", &[])
        .role("one", &[subject("api"), pod_identity()]);
    world.pods("a", "api", &[PodCredentials::PodIdentity], Restart::Rolling);
    world.associate("a", "api", "one", false);
    let found = world.all();
    assert_eq!(find(&found, "a/api").phase, Phase::Verified);
}

#[test]
fn pods_that_go_and_pods_with_keys_of_their_own_are_not_left_behind() {
    let mut world = World::new();
    world
        .irsa("a", "api", "one")
        .role("one", &[subject("api"), pod_identity()]);
    let pods = [
        PodCredentials::PodIdentity,
        PodCredentials::WebIdentity,
        PodCredentials::None,
    ];
    world.pods("a", "api", &pods, Restart::Rolling);
    world.associate("a", "api", "one", true);
    assert_eq!(find(&world.all(), "a/api").phase, Phase::Propagated);
    let namespace = world.namespace("a");
    namespace.pods[1].terminating = true;
    let key = ("app".to_owned(), "AWS_ACCESS_KEY_ID".to_owned());
    namespace.pods[2].spec.credential_variables.insert(key);
    let found = world.all();
    let entry = find(&found, "a/api");
    assert_eq!(entry.phase, Phase::Verified);
    assert_eq!(
        (
            entry.workloads[0].pods,
            entry.workloads[0].pods_on_pod_identity
        ),
        (2, 1)
    );
}

#[test]
fn whoever_may_be_let_in_is_listed_and_what_is_no_name_is_not() {
    let mut world = World::new();
    let mut conditional = statement(
        ISSUER,
        "StringEquals",
        &json!("system:serviceaccount:a:conditional"),
    );
    conditional["Condition"]["IpAddress"] = json!({"aws:SourceIp": "10.0.0.0/8"});
    let mut vault = statement(
        ISSUER,
        "StringEquals",
        &json!("system:serviceaccount:a:vault"),
    );
    vault["Condition"]["StringEquals"][format!("{ISSUER}:aud")] = json!("vault");
    world
        .irsa("a", "api", "one")
        .account("a", "conditional", &[])
        .account("a", "vault", &[])
        .role(
            "one",
            &[
                subject("api"),
                conditional,
                vault,
                statement(
                    ISSUER,
                    "StringEquals",
                    &json!([
                        "system:serviceaccount:a:*",
                        "system:serviceaccount:A_b:c",
                        "system:serviceaccount:a"
                    ]),
                ),
            ],
        );
    let found = world.all();
    assert_eq!(keys(&found), ["a/api", "a/conditional", "a/vault"]);
    assert_eq!(
        find(&found, "a/conditional").trust.unwrap().irsa,
        Access::Unknown
    );
}

#[test]
fn a_wildcard_where_the_operator_takes_none_is_told() {
    let mut world = World::new();
    world.irsa("a", "api", "one").role("one", &[subject("*")]);
    let found = world.all();
    let warning = find(&found, "a/api")
        .warnings()
        .find(|finding| finding.code.as_str() == "irsa_not_working")
        .unwrap();
    assert!(
        warning.message.contains("takes no wildcards"),
        "{}",
        warning.message
    );
}

#[test]
fn a_pattern_that_does_not_match_is_not_how_a_policy_names_somebody() {
    let mut world = World::new();
    let mut everybody = statement(ISSUER, "StringEquals", &json!("x"));
    everybody["Condition"] =
        json!({"StringEquals": {format!("{ISSUER}:aud"): "sts.amazonaws.com"}});
    world.irsa("a", "api", "one").irsa("b", "api", "one").role(
        "one",
        &[
            statement(ISSUER, "StringLike", &json!("system:serviceaccount:b:*")),
            everybody,
        ],
    );
    let found = world.all();
    let via = |key| find(&found, key).trust.unwrap().via;
    assert_eq!(via("a/api"), Some(Via::Cluster));
    assert_eq!(via("b/api"), Some(Via::Pattern));
}

#[test]
fn sharing_is_seen_in_trust_policies_too_and_limited() {
    let mut world = World::new();
    for n in 0..1_000 {
        world.irsa("a", &format!("app-{n:04}"), "one");
    }
    world.role(
        "one",
        &[
            statement(
                ISSUER,
                "StringLike",
                &json!("system:serviceaccount:a:app-*"),
            ),
            statement(
                ISSUER,
                "StringEquals",
                &json!("system:serviceaccount:a:aaa-not-there"),
            ),
        ],
    );
    let found = world.all();
    assert_eq!(found.entries.len(), 1_001);
    for entry in &found.entries {
        assert!(entry.shared_with.len() <= 20, "{entry:?}");
        assert!(!entry.shared_with.contains(&entry.key()));
    }
    assert_eq!(
        find(&found, "a/app-0000").shared_with[..2],
        ["a/aaa-not-there", "a/app-0001"]
    );
    let totals = Totals::of(&found.entries);
    assert_eq!((totals.roles, totals.shared_roles), (1, 1));
}
