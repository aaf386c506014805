//! Against the sandbox.

use podidentity_sandbox::{Fault, Options, Sandbox};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::*;
use crate::policy::{ClusterArn, Grant};
use crate::provider::tests::data_for;

const OWNER: &str = "8d5ad9d2-1b6f-4d0e-93a1-0c6f1f1a7c11";
const LONG: Duration = Duration::from_secs(60);
const ROLE: &str = "arn:aws:iam::123456789012:role/payments";
const IRSA: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Federated":"arn:aws:iam::123456789012:oidc-provider/oidc.eks.us-east-1.amazonaws.com/id/AAAA"},"Action":"sts:AssumeRoleWithWebIdentity","Condition":{"StringEquals":{"oidc.eks.us-east-1.amazonaws.com/id/AAAA:sub":"system:serviceaccount:payments:api"}}}]}"#;

fn wanted() -> Wanted {
    Wanted {
        cluster: "demo".to_owned(),
        namespace: "payments".to_owned(),
        service_account: "api".to_owned(),
        role_arn: ROLE.to_owned(),
        tags: [("team".to_owned(), "core".to_owned())].into(),
        ..Wanted::default()
    }
}

/// A sandbox with a role that trusts both ways, and a provider for it.
async fn start() -> (Sandbox, Context<ProviderData>) {
    let sandbox = Sandbox::start(Options::default()).unwrap();
    let context = context(&sandbox).await;
    for role in ["payments", "other"] {
        let parameters = json!({"RoleName": role, "AssumeRolePolicyDocument": IRSA});
        sandbox.call("iam", "CreateRole", parameters).unwrap();
        trust(&context, role).await;
    }
    sandbox.clear_requests();
    (sandbox, context)
}

async fn trust(context: &Context<ProviderData>, role: &str) {
    let cluster = ClusterArn::parse("arn:aws:eks:us-east-1:123456789012:cluster/demo").unwrap();
    let grant = Grant::new(cluster, "payments", "api");
    super::super::trust::grant(context, role, &grant, &[], LONG)
        .await
        .unwrap();
}

async fn context(sandbox: &Sandbox) -> Context<ProviderData> {
    Context {
        provider: data_for(sandbox, &[]).await,
        cancel: CancellationToken::new(),
    }
}

fn count(sandbox: &Sandbox, operation: &str) -> usize {
    let requests = sandbox.requests();
    requests.iter().filter(|r| r.operation == operation).count()
}

/// The associations of the service account, wholly.
fn there(sandbox: &Sandbox) -> Vec<Value> {
    let listed = sandbox
        .call(
            "eks",
            "ListPodIdentityAssociations",
            json!({"clusterName": "demo"}),
        )
        .unwrap();
    let listed = listed["associations"].as_array().unwrap().clone();
    listed
        .iter()
        .map(|summary| {
            let of = json!({"clusterName": "demo", "associationId": summary["associationId"]});
            sandbox
                .call("eks", "DescribePodIdentityAssociation", of)
                .unwrap()["association"]
                .clone()
        })
        .collect()
}

fn seed(sandbox: &Sandbox, association: Value) {
    let mut whole = json!({"namespace": "payments", "service_account": "api", "role_arn": ROLE});
    for (key, value) in association.as_object().unwrap() {
        whole[key] = value.clone();
    }
    sandbox
        .seed(json!({"clusters": [{"name": "demo", "associations": [whole]}]}))
        .unwrap();
}

fn fault(rule: Value) -> Fault {
    serde_json::from_value(rule).unwrap()
}

fn refusal(operation: &str, code: &str, status: u16, message: &str, count: u64) -> Fault {
    fault(
        json!({"service": "eks", "operation": operation, "count": count,
        "error": {"code": code, "message": message, "status": status}}),
    )
}

#[tokio::test]
async fn it_is_created_once_changed_and_deleted() {
    let (sandbox, context) = start().await;
    assert_eq!(
        find(&context, "demo", "payments", "api").await.unwrap(),
        None
    );
    let created = create(&context, &wanted(), OWNER, LONG).await.unwrap();
    assert!(created.is_migrations());
    assert_eq!(created.role_arn, ROLE);
    assert_eq!(created.tags["team"], "core");
    let found = find(&context, "demo", "payments", "api").await.unwrap();
    assert_eq!(found.as_ref(), Some(&created));

    // A later process, whose state was lost, asks for the same.
    let later = self::context(&sandbox).await;
    assert_eq!(
        create(&later, &wanted(), OWNER, LONG).await.unwrap(),
        created
    );
    assert_eq!(there(&sandbox).len(), 1);

    // Other settings: the same association.
    let mut other = wanted();
    other.disable_session_tags = true;
    other.tags = [("team".to_owned(), "edge".to_owned())].into();
    let changed = create(&later, &other, OWNER, LONG).await.unwrap();
    assert_eq!(changed.id, created.id);
    assert!(changed.disable_session_tags && changed.is_migrations());
    let changed = &there(&sandbox)[0];
    assert_eq!(
        changed["tags"],
        json!({"team": "edge", MIGRATION_TAG: OWNER})
    );
    sandbox.clear_requests();
    let same = update(&context, &created.id, &other, OWNER, LONG)
        .await
        .unwrap();
    assert_eq!(same.id, created.id);
    assert_eq!(
        sandbox.requests().len(),
        1,
        "a description, and nothing sent"
    );

    assert_eq!(
        delete(&context, "demo", &same, LONG).await.unwrap(),
        Deletion::Deleted
    );
    assert_eq!(there(&sandbox).len(), 0);
    assert_eq!(
        delete(&context, "demo", &same, LONG).await.unwrap(),
        Deletion::AlreadyGone
    );
    let error = update(&context, &same.id, &other, OWNER, LONG)
        .await
        .unwrap_err();
    assert!(
        error.detail.contains("does not exist any more"),
        "{}",
        error.detail
    );

    // The same wish after the deletion is a new association.
    let again = create(&context, &wanted(), OWNER, LONG).await.unwrap();
    assert_ne!(again.id, created.id);
}

#[tokio::test]
async fn it_belongs_to_who_went_on_with_it_last() {
    let (sandbox, context) = start().await;
    let first = create(&context, &wanted(), OWNER, LONG).await.unwrap();
    assert_eq!(first.token(), Some(OWNER));
    sandbox.clear_requests();
    assert!(claim(&context, "demo", &first.id, OWNER).await.unwrap());
    assert_eq!(count(&sandbox, "TagResource"), 0, "it has the token");

    // By a repeated creation, and by a claim.
    let second = create(&context, &wanted(), "second", LONG).await.unwrap();
    assert_eq!(
        (second.id.as_str(), second.token()),
        (first.id.as_str(), Some("second"))
    );
    assert!(claim(&context, "demo", &first.id, "third").await.unwrap());
    assert_eq!(
        there(&sandbox)[0]["tags"],
        json!({"team": "core", MIGRATION_TAG: "third"})
    );
    let kept = delete(&context, "demo", &second, LONG).await.unwrap();
    assert!(matches!(kept, Deletion::Kept(_)), "{kept:?}");
    assert_eq!(there(&sandbox).len(), 1);

    // Neither is what is gone, or is somebody else's.
    assert!(
        !claim(&context, "demo", "a-00000000000000000", OWNER)
            .await
            .unwrap()
    );
    let (sandbox, context) = start().await;
    seed(&sandbox, json!({"tags": {"team": "core"}}));
    let id = there(&sandbox)[0]["associationId"].clone();
    let claimed = claim(&context, "demo", id.as_str().unwrap(), OWNER).await;
    assert!(!claimed.unwrap());
    assert_eq!(there(&sandbox)[0]["tags"], json!({"team": "core"}));
}

#[tokio::test]
async fn what_is_not_the_migrations_stays_as_it_is() {
    // Scenarios 22, 23 and 24.
    let owner = "arn:aws:eks:us-east-1:123456789012:addon/demo/vpc-cni/00000000-0000-0000-0000-000000000000";
    for (name, association, expected, kept) in [
        (
            "same role",
            json!({}),
            "adopt_existing_association = true",
            "does not have the tag",
        ),
        (
            "other role",
            json!({"role_arn": "arn:aws:iam::123456789012:role/other"}),
            "role/other, but the service account is to get arn:aws:iam::123456789012:role/payments",
            "does not have the tag",
        ),
        (
            "add-on",
            json!({"owner_arn": owner, "tags": {MIGRATION_TAG: "true"}}),
            "only be changed through that add-on",
            "add-on",
        ),
    ] {
        let (sandbox, context) = start().await;
        seed(&sandbox, association);
        let before = there(&sandbox);
        let error = create(&context, &wanted(), OWNER, LONG).await.unwrap_err();
        assert_eq!(error.summary, CREATING, "{name}");
        assert!(error.detail.contains(expected), "{name}: {}", error.detail);
        assert!(error.detail.contains("its pods go on with IRSA"), "{name}");
        let found = find(&context, "demo", "payments", "api")
            .await
            .unwrap()
            .unwrap();
        let Deletion::Kept(why) = delete(&context, "demo", &found, LONG).await.unwrap() else {
            panic!("{name}: deleted");
        };
        assert!(why.contains(kept), "{name}: {why}");
        assert!(
            update(&context, &found.id, &wanted(), OWNER, LONG)
                .await
                .is_err(),
            "{name}"
        );
        assert_eq!(there(&sandbox), before, "{name}");
    }

    // Ours, but somebody gave it another role since it was read.
    let (sandbox, context) = start().await;
    let created = create(&context, &wanted(), OWNER, LONG).await.unwrap();
    let change = json!({"clusterName": "demo", "associationId": created.id, "roleArn": "arn:aws:iam::123456789012:role/other"});
    sandbox
        .call("eks", "UpdatePodIdentityAssociation", change)
        .unwrap();
    let kept = delete(&context, "demo", &created, LONG).await.unwrap();
    assert!(
        matches!(&kept, Deletion::Kept(why) if why.contains("role/other")),
        "{kept:?}"
    );
    assert_eq!(there(&sandbox).len(), 1);
}

#[tokio::test]
async fn role_and_trust_are_waited_for() {
    // Scenario 25.
    let (sandbox, context) = start().await;
    for (name, visibility) in [
        ("trust", json!({"trust_calls": 2})),
        ("role", json!({"role_calls": 2})),
    ] {
        let role = format!("new-{name}");
        sandbox.fault(fault(json!({ "visibility": visibility })));
        let parameters = json!({"RoleName": role, "AssumeRolePolicyDocument": IRSA});
        sandbox.call("iam", "CreateRole", parameters).unwrap();
        trust(&context, &role).await;
        sandbox.clear_requests();
        let mut wanted = wanted();
        wanted.role_arn = format!("arn:aws:iam::123456789012:role/{role}");
        let created = create(&context, &wanted, OWNER, LONG)
            .await
            .unwrap_or_else(|d| panic!("{name}: {}", d.detail));
        assert_eq!(created.role_arn, wanted.role_arn);
        assert_eq!(count(&sandbox, "CreatePodIdentityAssociation"), 3, "{name}");
        let tokens: std::collections::BTreeSet<String> = sandbox
            .requests()
            .iter()
            .filter(|r| r.operation == "CreatePodIdentityAssociation")
            .map(|r| r.parameters["clientRequestToken"].to_string())
            .collect();
        assert_eq!(tokens.len(), 1, "{name}: one token");
        delete(&context, "demo", &created, LONG).await.unwrap();
        sandbox.clear_faults();
    }

    sandbox.fault(refusal(
        "CreatePodIdentityAssociation",
        "InvalidParameterException",
        400,
        "Trust policy of the role provided is invalid.",
        100,
    ));
    let began = Instant::now();
    let error = create(&context, &wanted(), OWNER, Duration::from_secs(2))
        .await
        .unwrap_err();
    assert!(began.elapsed() < Duration::from_secs(20));
    for part in [
        "Nothing was taken away",
        "does no harm",
        "Trust policy of the role provided is invalid",
        "tried again for 2s",
        "sts:TagSession",
    ] {
        assert!(error.detail.contains(part), "{part}: {}", error.detail);
    }
    assert_eq!(there(&sandbox).len(), 0);
}

#[tokio::test]
async fn refusals_say_what_to_do_and_throttling_is_waited_out() {
    // Scenarios 26, 27 and 28.
    let (sandbox, context) = start().await;
    let operation = "CreatePodIdentityAssociation";
    for (name, rule, expected) in [
        (
            "pass role",
            refusal(
                operation,
                "AccessDeniedException",
                403,
                "User: u is not authorized to perform: iam:PassRole on resource: payments",
                1,
            ),
            "`iam:PassRole`",
        ),
        (
            "create",
            refusal(
                operation,
                "AccessDeniedException",
                403,
                "User: u is not authorized to perform: eks:CreatePodIdentityAssociation",
                1,
            ),
            "eks:TagResource",
        ),
        (
            "quota",
            refusal(
                operation,
                "ResourceLimitExceededException",
                400,
                "The cluster has too many.",
                1,
            ),
            "quota of the account",
        ),
    ] {
        sandbox.fault(rule);
        let error = create(&context, &wanted(), OWNER, LONG).await.unwrap_err();
        assert!(error.detail.contains(expected), "{name}: {}", error.detail);
        assert!(error.detail.contains("Nothing was taken away"), "{name}");
        assert_eq!(there(&sandbox).len(), 0, "{name}");
    }
    let mut with_policy = wanted();
    with_policy.policy = Some(r#"{"Version":"2012-10-17","Statement":[]}"#.to_owned());
    let error = create(&context, &with_policy, OWNER, LONG)
        .await
        .unwrap_err();
    assert!(
        error.detail.contains("disableSessionTags"),
        "{}",
        error.detail
    );

    sandbox.fault(fault(
        json!({"service": "eks", "throttle": true, "count": 3}),
    ));
    let created = create(&context, &wanted(), OWNER, LONG).await.unwrap();
    sandbox.fault(fault(
        json!({"service": "eks", "throttle": true, "count": 3}),
    ));
    assert_eq!(
        delete(&context, "demo", &created, LONG).await.unwrap(),
        Deletion::Deleted
    );
}

#[tokio::test]
async fn answers_that_are_lost_and_tokens_of_the_past_make_no_second_one() {
    let (sandbox, context) = start().await;
    for (name, rule) in [
        (
            "lost after",
            fault(
                json!({"operation": "CreatePodIdentityAssociation", "drop": "after", "count": 1}),
            ),
        ),
        (
            "lost before",
            fault(
                json!({"operation": "CreatePodIdentityAssociation", "drop": "before", "count": 1}),
            ),
        ),
        (
            "a token of the past",
            refusal(
                "CreatePodIdentityAssociation",
                "InvalidRequestException",
                400,
                "The clientRequestToken has already been used in a request with different parameters.",
                1,
            ),
        ),
    ] {
        sandbox.fault(rule);
        let created = create(&context, &wanted(), OWNER, LONG)
            .await
            .unwrap_or_else(|d| panic!("{name}: {}", d.detail));
        assert_eq!(there(&sandbox).len(), 1, "{name}");
        sandbox.fault(fault(
            json!({"operation": "DeletePodIdentityAssociation", "drop": "after", "count": 1}),
        ));
        assert_eq!(
            delete(&context, "demo", &created, LONG).await.unwrap(),
            Deletion::Deleted,
            "{name}"
        );
        sandbox.clear_faults();
    }

    // EKS answers the token with an association that this run deleted.
    let created = create(&context, &wanted(), OWNER, LONG).await.unwrap();
    let of_the_past = PodIdentityAssociation::builder()
        .association_id(&created.id)
        .build();
    assert!(
        confirm(&context, "demo", &of_the_past)
            .await
            .unwrap()
            .is_some()
    );
    context.provider.associations().delete(&created.id);
    assert_eq!(confirm(&context, "demo", &of_the_past).await.unwrap(), None);
}

#[tokio::test]
async fn an_association_of_an_earlier_run_that_shows_late_is_gone_on_with() {
    let (sandbox, context) = start().await;
    let first = create(&context, &wanted(), OWNER, LONG).await.unwrap();
    // The state of that run was lost, so this is another object.
    sandbox.fault(refusal(
        "DescribePodIdentityAssociation",
        "ResourceNotFoundException",
        404,
        "There is no such association.",
        2,
    ));
    let later = self::context(&sandbox).await;
    let second = create(&later, &wanted(), "second", LONG)
        .await
        .unwrap_or_else(|d| panic!("{}", d.detail));
    assert_eq!(
        (second.id, second.tags[MIGRATION_TAG].as_str()),
        (first.id, "second")
    );

    // One that is never shown is there all the same.
    let conflict = AwsError::new(AwsErrorKind::AlreadyExists, "it exists").with_code(api::IN_USE);
    let error = unseen(&wanted(), &conflict);
    for part in ["has an association already", "does not show", "Run again"] {
        assert!(error.detail.contains(part), "{part}: {}", error.detail);
    }
    assert!(
        !error.detail.contains("go on with IRSA"),
        "{}",
        error.detail
    );
}

#[tokio::test]
async fn a_list_takes_one_call_for_each_hundred_and_is_asked_once() {
    let (sandbox, context) = start().await;
    let many: Vec<Value> = (0..250)
        .map(|n| json!({"namespace": "orders", "service_account": format!("api-{n}"), "role_arn": ROLE}))
        .collect();
    sandbox
        .seed(json!({"clusters": [{"name": "demo", "associations": many}]}))
        .unwrap();
    let lists = futures_util::future::join_all((0..20).map(|_| list(&context, "demo"))).await;
    for list in lists {
        assert_eq!(list.unwrap().len(), 250);
    }
    assert_eq!(count(&sandbox, "ListPodIdentityAssociations"), 3);
    let listed = list(&context, "demo").await.unwrap();
    assert!(
        listed
            .iter()
            .all(|one| one.namespace == "orders" && !one.arn.is_empty())
    );
    let mut ids: Vec<String> = listed.iter().take(20).map(|one| one.id.clone()).collect();
    ids.push("a-00000000000000000".to_owned());
    let described = describe_all(&context, "demo", ids).await.unwrap();
    assert_eq!(described.len(), 20, "what is gone is left out");
    assert!(
        described
            .values()
            .all(|one| one.role_arn == ROLE && !one.is_migrations())
    );
    assert_eq!(count(&sandbox, "DescribePodIdentityAssociation"), 21);

    let created = create(&context, &wanted(), OWNER, LONG).await.unwrap();
    assert_eq!(
        list(&context, "demo").await.unwrap().len(),
        251,
        "forgotten by a creation"
    );
    delete(&context, "demo", &created, LONG).await.unwrap();
    assert_eq!(
        list(&context, "demo").await.unwrap().len(),
        250,
        "and by a deletion"
    );
    assert!(list(&context, "nowhere").await.unwrap_err().is_not_found());
}

#[test]
fn tokens_tell_apart_what_differs() {
    let one = token(&wanted());
    assert_eq!(one.len(), 64);
    assert_eq!(one, token(&wanted()));
    let mut shifted = wanted();
    shifted.namespace = "paymentsa".to_owned();
    shifted.service_account = "pi".to_owned();
    let with = |change: fn(&mut Wanted)| {
        let mut wanted = wanted();
        change(&mut wanted);
        wanted
    };
    for other in [
        shifted,
        with(|w| w.role_arn.push('x')),
        with(|w| w.target_role_arn = Some(ROLE.to_owned())),
        with(|w| w.disable_session_tags = true),
        with(|w| w.policy = Some(String::from("{}"))),
        with(|w| {
            w.tags.clear();
        }),
    ] {
        assert_ne!(one, token(&other), "{other:?}");
    }
}
