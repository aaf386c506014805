use proptest::prelude::*;

use super::super::analysis::{Verdict, analyze};
use super::super::canonical::equivalent;
use super::super::generate;
use super::super::size::{TRUST_QUOTA_DEFAULT, check_trust_size};
use super::*;

const IRSA: &str = r#"{"Version":"2012-10-17","Id":"mine","Statement":[{"Sid":"Irsa","Effect":"Allow","Principal":{"Federated":"arn:aws:iam::123456789012:oidc-provider/oidc.eks.us-east-1.amazonaws.com/id/AAAA"},"Action":"sts:AssumeRoleWithWebIdentity","Condition":{"StringEquals":{"oidc.eks.us-east-1.amazonaws.com/id/AAAA:sub":"system:serviceaccount:payments:api"}}}]}"#;

fn cluster(name: &str) -> ClusterArn {
    ClusterArn::parse(&format!(
        "arn:aws:eks:us-east-1:123456789012:cluster/{name}"
    ))
    .unwrap()
}

fn grant(namespace: &str, service_account: &str) -> Grant {
    Grant::new(cluster("demo"), namespace, service_account)
}

fn document(text: &str) -> Document {
    Document::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn add(grant: &Grant, document: &Document) -> Document {
    grant.add(document).unwrap().document
}

fn pods(condition: &str) -> Document {
    document(&format!(
        r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow","Principal":{{"Service":["pods.eks.amazonaws.com"]}},"Action":["sts:AssumeRole","sts:TagSession"]{condition}}}]}}"#
    ))
}

#[test]
fn scenario_1_a_plain_irsa_policy() {
    let granted = grant("payments", "api").add(&document(IRSA)).unwrap();
    let sid = grant("payments", "api").sid(0);
    assert_eq!(granted.change, GrantChange::Added { sid: sid.clone() });
    let ours = format!(
        r#",{{"Sid":"{sid}","Effect":"Allow","Principal":{{"Service":"pods.eks.amazonaws.com"}},"Action":["sts:AssumeRole","sts:TagSession"],"Condition":{{"StringEquals":{{"aws:RequestTag/eks-cluster-arn":"arn:aws:eks:us-east-1:123456789012:cluster/demo","aws:RequestTag/kubernetes-namespace":"payments","aws:RequestTag/kubernetes-service-account":"api"}}}}}}]}}"#
    );
    assert_eq!(
        granted.document.to_json(),
        format!("{}{ours}", IRSA.strip_suffix("]}").unwrap())
    );
    let again = grant("payments", "api").add(&granted.document).unwrap();
    assert_eq!(
        again.document, granted.document,
        "the second time nothing changes"
    );
    assert!(
        matches!(again.change, GrantChange::Covered { ours: true, .. }),
        "{:?}",
        again.change
    );
    assert_eq!(
        grant("payments", "api")
            .remove(&granted.document)
            .0
            .to_json(),
        IRSA
    );
}

#[test]
fn scenario_2_a_shared_role_has_one_statement_in_any_order() {
    let names = ["c", "a", "b"];
    let mut results = Vec::new();
    for order in [[0, 1, 2], [2, 0, 1], [1, 2, 0]] {
        let mut shared = document(IRSA);
        for index in order {
            shared = add(&grant("payments", names[index]), &shared);
        }
        assert_eq!(shared.statements().len(), 2);
        results.push(shared.to_json());
    }
    assert!(
        results.iter().all(|result| *result == results[0]),
        "{results:?}"
    );
    assert!(results[0].contains(r#""aws:RequestTag/kubernetes-service-account":["a","b","c"]"#));
    let mut shared = document(&results[0]);
    let (without, changed) = grant("payments", "b").remove(&shared);
    assert!(changed && without.to_json().contains(r#"["a","c"]"#));
    for name in names {
        shared = grant("payments", name).remove(&shared).0;
    }
    assert_eq!(shared.to_json(), IRSA);
    assert!(!grant("payments", "a").remove(&shared).1);
}

#[test]
fn other_namespaces_and_clusters_have_statements_of_their_own() {
    let mut shared = document(IRSA);
    let grants = [
        grant("payments", "api"),
        grant("web", "api"),
        Grant::new(cluster("other"), "payments", "api"),
    ];
    for grant in &grants {
        shared = add(grant, &shared);
        assert_eq!(analyze(&shared, &grant.pod()), Verdict::Works);
    }
    assert_eq!(shared.statements().len(), 4);
    assert!(matches!(
        analyze(&shared, &grant("web", "web").pod()),
        Verdict::CanNeverWork(_)
    ));
}

#[test]
fn scenarios_7_and_8_every_form_is_kept() {
    let texts = [
        r#"{"Statement":{"Effect":"Allow","Principal":"*","Action":"sts:AssumeRoleWithWebIdentity"}}"#,
        r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"*"},"NotAction":"sts:TagSession","Future":[1.50]},{"Effect":"Deny","NotPrincipal":{"AWS":"123456789012"},"Action":"sts:AssumeRole"}]}"#,
        r#"{"Statement":[]}"#,
        r#"{"Version":"2008-10-17"}"#,
    ];
    for text in texts {
        let before = document(text);
        let granted = grant("payments", "api").add(&before).unwrap();
        assert!(granted.change.is_ours(), "{text}");
        let after = granted.document.statements();
        assert_eq!(
            &after[..before.statements().len()],
            before.statements(),
            "{text}"
        );
        assert!(
            equivalent(
                &grant("payments", "api").remove(&granted.document).0,
                &before
            ),
            "{text}"
        );
    }
}

#[test]
fn scenario_8_a_deny_is_added_to_and_told_of() {
    let denying = document(
        r#"{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Principal":{"Service":"pods.eks.amazonaws.com"},"Action":"sts:AssumeRole"}]}"#,
    );
    let after = add(&grant("payments", "api"), &denying);
    assert!(matches!(
        analyze(&after, &grant("payments", "api").pod()),
        Verdict::CanNeverWork(_)
    ));
}

#[test]
fn scenarios_9_to_11_nothing_is_widened() {
    let tags = |namespace: &str| {
        format!(
            r#","Condition":{{"StringLike":{{"aws:RequestTag/eks-cluster-arn":"arn:aws:eks:*:123456789012:cluster/*"}},"StringEquals":{{"aws:requesttag/kubernetes-namespace":["web","{namespace}"]}}}}"#
        )
    };
    let cases = [
        ("without conditions", pods(""), true),
        (
            "with conditions that let us in",
            pods(&tags("payments")),
            true,
        ),
        (
            "with conditions for another namespace",
            pods(&tags("other")),
            false,
        ),
        (
            "by source account",
            pods(r#","Condition":{"StringEquals":{"aws:SourceAccount":"123456789012"}}"#),
            true,
        ),
        (
            "by a condition that is not known",
            pods(r#","Condition":{"StringEquals":{"aws:SourceOrgId":"o-a1b2c3d4e5"}}"#),
            false,
        ),
        (
            "with one action",
            document(&pods("").to_json().replace(r#","sts:TagSession""#, "")),
            false,
        ),
    ];
    for (what, before, covered) in cases {
        let granted = grant("payments", "api").add(&before).unwrap();
        assert_eq!(
            !granted.change.is_ours(),
            covered,
            "{what}: {:?}",
            granted.change
        );
        assert_eq!(granted.document == before, covered, "{what}");
        assert_eq!(
            granted.document.statements()[0],
            before.statements()[0],
            "{what}"
        );
        if covered {
            assert!(
                !grant("payments", "api").remove(&granted.document).1,
                "{what}: what was there stays"
            );
        }
    }
}

#[test]
fn scenario_13_sizes() {
    let api = grant("payments", "api");
    let padded = |size: usize| {
        let mut sized = document(IRSA);
        let grown = add(&api, &sized).to_json().chars().count();
        let sid = format!("Irsa{}", "x".repeat(size - grown));
        sized.statements_mut()[0]
            .members_mut()
            .insert("Sid".to_owned(), sid.into());
        add(&api, &sized).to_json_pretty()
    };
    assert_eq!(
        check_trust_size(&padded(2048), TRUST_QUOTA_DEFAULT),
        Ok(2048)
    );
    assert_eq!(
        check_trust_size(&padded(2049), TRUST_QUOTA_DEFAULT).map_err(|error| error.to_string()),
        Err("the trust policy has 2049 characters (1 more than the quota of 2048); white space is not counted".to_owned())
    );
    assert_eq!(check_trust_size(&padded(2049), 4096), Ok(2049));
}

#[test]
fn scenario_14_partitions() {
    for arn in [
        "arn:aws-cn:eks:cn-north-1:123456789012:cluster/demo",
        "arn:aws-us-gov:eks:us-gov-west-1:123456789012:cluster/demo",
    ] {
        let grant = Grant::new(ClusterArn::parse(arn).unwrap(), "payments", "api");
        let after = add(&grant, &document("{}")).to_json();
        assert!(
            after.contains(arn) && after.contains(r#"{"Service":"pods.eks.amazonaws.com"}"#),
            "{after}"
        );
    }
}

#[test]
fn scopes() {
    let with = |scope, session_tags| Grant {
        scope,
        session_tags,
        ..grant("payments", "api")
    };
    let cases = [
        (
            with(Scope::Cluster, true),
            r#"{"StringEquals":{"aws:RequestTag/eks-cluster-arn":"arn:aws:eks:us-east-1:123456789012:cluster/demo"}}"#,
        ),
        (
            with(Scope::Cluster, false),
            r#"{"ArnLike":{"aws:SourceArn":"arn:aws:eks:us-east-1:123456789012:cluster/demo"}}"#,
        ),
        (
            with(Scope::Account, true),
            r#"{"StringEquals":{"aws:SourceAccount":"123456789012"}}"#,
        ),
        (
            with(Scope::Account, false),
            r#"{"StringEquals":{"aws:SourceAccount":"123456789012"}}"#,
        ),
        (with(Scope::None, false), "null"),
    ];
    for (grant, condition) in cases {
        let granted = grant.add(&document(IRSA)).unwrap();
        let added = granted.document.statements().last().unwrap();
        assert_eq!(
            added
                .members()
                .get("Condition")
                .map_or_else(|| "null".to_owned(), ToString::to_string),
            condition
        );
        assert_eq!(
            analyze(&granted.document, &grant.pod()),
            Verdict::Works,
            "{grant:?}"
        );
        assert!(added.sid().is_some_and(is_our_sid));
        assert_eq!(grant.remove(&granted.document).0.to_json(), IRSA);
    }
    let impossible = with(Scope::ServiceAccount, false);
    assert_eq!(
        impossible.add(&document(IRSA)),
        Err(GrantError::ScopeNeedsSessionTags)
    );
    assert!(
        impossible.add(&pods("")).is_ok(),
        "but nothing is needed where everything is trusted"
    );
    for scope in Scope::ALL {
        assert_eq!(scope.as_str().parse(), Ok(scope));
    }
    assert!("pod".parse::<Scope>().is_err());
}

#[test]
fn a_change_of_scope_or_session_tags_leaves_neither_a_gap_nor_a_statement_behind() {
    let with = |scope, session_tags| Grant {
        scope,
        session_tags,
        ..grant("payments", "api")
    };
    let web = grant("payments", "web");
    let settings = [
        (Scope::ServiceAccount, true),
        (Scope::Cluster, true),
        (Scope::Cluster, false),
        (Scope::Account, true),
        (Scope::None, false),
    ];
    for (from, to) in settings
        .iter()
        .flat_map(|from| settings.iter().map(move |to| (*from, *to)))
    {
        let (former, wanted) = (with(from.0, from.1), with(to.0, to.1));
        let start = add(&web, &document(IRSA));
        let before = former
            .add_beside(std::slice::from_ref(&web), &start)
            .unwrap()
            .document;
        let beside = wanted
            .add_beside(std::slice::from_ref(&former), &before)
            .unwrap();
        for grant in [&former, &wanted] {
            assert_eq!(
                analyze(&beside.document, &grant.pod()),
                Verdict::Works,
                "{from:?} {to:?}"
            );
        }
        let after = wanted
            .replace(std::slice::from_ref(&former), &beside.document)
            .unwrap();
        assert!(!after.change.is_ours(), "{from:?} {to:?}: no gap");
        assert_eq!(
            analyze(&after.document, &wanted.pod()),
            Verdict::Works,
            "{from:?} {to:?}"
        );
        // Straight from the beginning it comes out the same.
        let straight = wanted.add_beside(std::slice::from_ref(&web), &start);
        assert!(
            equivalent(&after.document, &straight.unwrap().document),
            "{from:?} {to:?}: {}",
            after.document.to_json()
        );
        assert_eq!(
            wanted.scope_in(&after.document),
            Some(to.0),
            "{from:?} {to:?}"
        );
        // And nothing is left of either in the end.
        let end = wanted.remove(&after.document).0;
        assert!(
            equivalent(&end, &start),
            "{from:?} {to:?}: {}",
            end.to_json()
        );
    }
    assert_eq!(with(Scope::None, true).scope_in(&document(IRSA)), None);
    assert!(
        with(Scope::Cluster, false)
            .narrowed()
            .shares_statement(&web)
    );
}

#[test]
fn a_statement_of_ours_that_somebody_changed_is_theirs() {
    let api = grant("payments", "api");
    let before = add(&api, &document(IRSA));
    let theirs = document(&before.to_json().replace(
        r#""aws:RequestTag/kubernetes-namespace":"payments""#,
        r#""aws:RequestTag/kubernetes-namespace":"other""#,
    ));
    let granted = api.add(&theirs).unwrap();
    assert_eq!(granted.change, GrantChange::Added { sid: api.sid(1) });
    assert_eq!(granted.document.statements().len(), 3);
    let (removed, changed) = api.remove(&granted.document);
    assert!(changed && removed == theirs);
    let reworded = document(
        &before
            .to_json()
            .replace(
                "aws:RequestTag/kubernetes-namespace",
                "AWS:requesttag/kubernetes-namespace",
            )
            .replace(r#":"api""#, r#":["api"]"#),
    );
    assert_eq!(
        api.remove(&reworded).0.to_json(),
        IRSA,
        "other spellings of ours are ours"
    );
}

#[test]
fn sids_are_stable() {
    // Statements in real roles are found by these: a release that changed them would leave the old ones behind.
    assert_eq!(
        grant("payments", "api").sid(0),
        grant("payments", "web").sid(0)
    );
    assert_ne!(grant("payments", "api").sid(0), grant("web", "api").sid(0));
    assert_eq!(fnv1a(""), 0xcbf2_9ce4_8422_2325);
    assert_eq!(fnv1a("a"), 0xaf63_dc4c_8601_ec8c);
    assert!(
        is_our_sid(&grant("payments", "api").sid(0))
            && is_our_sid(&grant("payments", "api").sid(7))
    );
    assert!(!is_our_sid("PodIdentity") && !is_our_sid("PodIdentityForPayments"));
}

fn grants() -> impl Strategy<Value = Vec<Grant>> {
    let one = (
        proptest::sample::select(vec!["demo", "other"]),
        proptest::sample::select(vec!["payments", "web"]),
        proptest::sample::select(vec!["api", "job", "ui"]),
        proptest::sample::select(vec![
            Scope::ServiceAccount,
            Scope::ServiceAccount,
            Scope::ServiceAccount,
            Scope::Cluster,
            Scope::Account,
            Scope::None,
        ]),
        any::<bool>(),
    )
        .prop_map(
            |(name, namespace, service_account, scope, session_tags)| Grant {
                scope,
                session_tags: session_tags || scope == Scope::ServiceAccount,
                ..Grant::new(cluster(name), namespace, service_account)
            },
        );
    proptest::collection::vec(one, 1..6)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn adding_and_removing_gives_back_the_meaning(document in generate::document(), grants in grants(), backwards in any::<bool>()) {
        let mut current = document.clone();
        let mut added = Vec::new();
        for grant in &grants {
            let granted = grant.add(&current).unwrap();
            // What was there stays as it was, in its order.
            let kept: Vec<_> = granted.document.statements().iter().filter(|statement| !statement.sid().is_some_and(is_our_sid)).collect();
            prop_assert_eq!(kept, document.statements().iter().collect::<Vec<_>>());
            prop_assert_eq!(granted.document.version(), document.version());
            prop_assert_eq!(granted.document.id(), document.id());
            // The pod is let in unless something denies it.
            let pod = grant.pod();
            for action in [ASSUME_ROLE, TAG_SESSION] {
                prop_assert_eq!(allows(&granted.document, &Request { pod: &pod, caller: Caller::Service, action }), Tri::True);
            }
            // Once more changes nothing, and neither does a round trip through text.
            let again = grant.add(&Document::parse(&granted.document.to_json()).unwrap()).unwrap();
            prop_assert!(!again.change.is_ours());
            prop_assert_eq!(&again.document, &granted.document);
            if granted.change.is_ours() {
                prop_assert!(!equivalent(&granted.document, &current));
                added.push(grant);
            } else {
                prop_assert_eq!(&granted.document, &current);
            }
            current = granted.document;
        }
        if backwards {
            added.reverse();
        }
        for grant in added {
            let (next, changed) = grant.remove(&current);
            prop_assert!(changed);
            prop_assert!(!grant.remove(&next).1, "removing twice changes nothing");
            current = next;
        }
        prop_assert!(equivalent(&current, &document), "{}\n{}", current.to_json(), document.to_json());
    }

    #[test]
    fn settings_change_without_a_gap(document in generate::document(), grants in grants()) {
        let (wanted, former) = (&grants[0], &grants[1..]);
        // All for the same pod, with other settings.
        let former: Vec<Grant> = former
            .iter()
            .map(|former| Grant { scope: former.scope, session_tags: former.session_tags, ..wanted.clone() })
            .collect();
        let mut before = document.clone();
        for grant in &former {
            before = grant.add(&before).unwrap().document;
        }
        let beside = wanted.add_beside(&former, &before).unwrap();
        let kept: Vec<_> = beside.document.statements().iter().filter(|statement| before.statements().contains(statement)).collect();
        prop_assert_eq!(kept.len(), before.statements().len(), "nothing is taken away yet");
        let again = wanted.add_beside(&former, &beside.document).unwrap();
        prop_assert!(!again.change.is_ours(), "once more changes nothing");
        let after = wanted.replace(&former, &beside.document).unwrap();
        prop_assert!(!after.change.is_ours(), "the statement for the new settings is there already");
        for action in [ASSUME_ROLE, TAG_SESSION] {
            let pod = wanted.pod();
            prop_assert_eq!(allows(&after.document, &Request { pod: &pod, caller: Caller::Service, action }), Tri::True);
        }
        prop_assert!(equivalent(&after.document, &wanted.replace(&former, &before).unwrap().document));
        prop_assert_eq!(&wanted.replace(&former, &after.document).unwrap().document, &after.document);
        // With everything taken away the document is what it was.
        let rest = former.iter().chain([wanted]).fold(after.document, |rest, grant| grant.remove(&rest).0);
        prop_assert!(equivalent(&rest, &document), "{}\n{}", rest.to_json(), document.to_json());
    }

    #[test]
    fn narrow_grants_let_nobody_else_in(document in generate::document(), namespace in "payments|web", name in "api|job") {
        let after = add(&grant(&namespace, &name), &document);
        for (other_cluster, other_namespace, other_name) in [("other", "payments", "api"), ("demo", "web", "ui"), ("demo", "payments", "ui")] {
            let pod = Grant::new(cluster(other_cluster), other_namespace, other_name).pod();
            for action in [ASSUME_ROLE, TAG_SESSION] {
                let request = Request { pod: &pod, caller: Caller::Service, action };
                prop_assert_eq!(allows(&after, &request), allows(&document, &request));
            }
        }
    }
}
