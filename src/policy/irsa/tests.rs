use proptest::prelude::*;

use super::super::canonical::equivalent;
use super::super::generate;
use super::*;

const A: &str = "oidc.eks.us-east-1.amazonaws.com/id/AAAA";
const A2: &str = "oidc-eks.us-east-1.api.aws/id/AAAA";
const B: &str = "oidc.eks.us-east-1.amazonaws.com/id/BBBB";
const GITHUB: &str = "token.actions.githubusercontent.com";

fn subject(namespace: &str, service_account: &str) -> Subject {
    Subject {
        issuer: OidcIssuer::parse(A).unwrap(),
        namespace: namespace.into(),
        service_account: service_account.into(),
    }
}

/// A statement for providers, given by issuer; `SUB` and `AUD` in the condition are keys of issuer A, and `API` and so on are subjects.
fn statement(issuers: &[&str], condition: &str) -> String {
    let providers: Vec<String> = issuers
        .iter()
        .map(|issuer| format!("\"arn:aws:iam::123456789012:oidc-provider/{issuer}\""))
        .collect();
    let providers = if let [one] = &providers[..] {
        one.clone()
    } else {
        format!("[{}]", providers.join(","))
    };
    let mut condition = condition
        .replace("SUB", &format!("{A}:sub"))
        .replace("AUD", &format!("{A}:aud"));
    for name in ["api", "web", "job", "*"] {
        condition = condition.replace(
            &format!("\"{name}\""),
            &format!("\"system:serviceaccount:payments:{name}\""),
        );
    }
    format!(
        r#"{{"Effect":"Allow","Principal":{{"Federated":{providers}}},"Action":"sts:AssumeRoleWithWebIdentity","Condition":{condition}}}"#
    )
}

fn document(statements: &[String]) -> Document {
    Document::parse(&format!(
        r#"{{"Version":"2012-10-17","Id":"mine","Statement":[{}]}}"#,
        statements.join(",")
    ))
    .unwrap()
}

const KEEP: &str = r#"{"Sid":"Keep","Effect":"Allow","Principal":{"AWS":"123456789012"},"Action":"sts:AssumeRole"}"#;

/// What it is, the statements before, those after if they change, what was removed and how many statements still trust the subject.
type Case<'a> = (
    &'a str,
    Vec<String>,
    Option<Vec<String>>,
    &'a [RemovedWhat],
    usize,
);

#[test]
fn retiring() {
    let keep = || KEEP.to_owned();
    let exact = |values: &str| {
        statement(
            &[A],
            &format!(r#"{{"StringEquals":{{"SUB":{values},"AUD":"sts.amazonaws.com"}}}}"#),
        )
    };
    let cases: Vec<Case<'_>> = vec![
        (
            "scenario 1: the only subject",
            vec![keep(), exact(r#""api""#)],
            Some(vec![keep()]),
            &[RemovedWhat::Statement],
            0,
        ),
        (
            "scenario 5: one of three",
            vec![exact(r#"["web","api","job"]"#), keep()],
            Some(vec![exact(r#"["web","job"]"#), keep()]),
            &[RemovedWhat::Subject],
            0,
        ),
        ("another subject", vec![exact(r#""web""#)], None, &[], 0),
        (
            "the subject twice",
            vec![exact(r#"["api","api"]"#), keep()],
            Some(vec![keep()]),
            &[RemovedWhat::Statement],
            0,
        ),
        (
            "two statements",
            vec![exact(r#""api""#), keep(), exact(r#"["api","web"]"#)],
            Some(vec![keep(), exact(r#"["web"]"#)]),
            &[RemovedWhat::Statement, RemovedWhat::Subject],
            0,
        ),
        (
            "scenario 3: a pattern",
            vec![statement(
                &[A],
                r#"{"StringLike":{"SUB":"system:serviceaccount:pay*:api"}}"#,
            )],
            None,
            &[],
            1,
        ),
        (
            "scenario 4: every service account",
            vec![statement(&[A], r#"{"StringLike":{"SUB":["*","web"]}}"#)],
            None,
            &[],
            1,
        ),
        (
            "a pattern and the subject",
            vec![statement(&[A], r#"{"StringLike":{"SUB":["api","*"]}}"#)],
            None,
            &[],
            1,
        ),
        (
            "no condition on the subject",
            vec![statement(
                &[A],
                r#"{"StringEquals":{"AUD":"sts.amazonaws.com"}}"#,
            )],
            None,
            &[],
            1,
        ),
        (
            "a pattern beside exact subjects that hold too",
            vec![statement(
                &[A],
                r#"{"StringLike":{"SUB":"*"},"StringEquals":{"SUB":["api","web"]}}"#,
            )],
            Some(vec![statement(
                &[A],
                r#"{"StringLike":{"SUB":"*"},"StringEquals":{"SUB":["web"]}}"#,
            )]),
            &[RemovedWhat::Subject],
            0,
        ),
        (
            "scenario 6: two clusters, conditions that hold for the other without its claim",
            vec![statement(
                &[A, B],
                &format!(r#"{{"StringEqualsIfExists":{{"SUB":"api","{B}:sub":"web"}}}}"#),
            )],
            Some(vec![
                statement(
                    &[B],
                    &format!(r#"{{"StringEqualsIfExists":{{"{B}:sub":"web"}}}}"#),
                )
                .replace(
                    &format!(r#""arn:aws:iam::123456789012:oidc-provider/{B}""#),
                    &format!(r#"["arn:aws:iam::123456789012:oidc-provider/{B}"]"#),
                ),
            ]),
            &[RemovedWhat::Provider],
            0,
        ),
        (
            "scenario 6: two clusters, a condition that the other cannot fulfil stays",
            vec![statement(&[B, A], r#"{"StringEquals":{"SUB":"api"}}"#)],
            Some(vec![
                statement(&[B], r#"{"StringEquals":{"SUB":"api"}}"#).replace(
                    &format!(r#""arn:aws:iam::123456789012:oidc-provider/{B}""#),
                    &format!(r#"["arn:aws:iam::123456789012:oidc-provider/{B}"]"#),
                ),
            ]),
            &[RemovedWhat::Provider],
            0,
        ),
        (
            "scenario 6: one of several subjects of a shared statement",
            vec![statement(
                &[A, B],
                r#"{"StringEqualsIfExists":{"SUB":["api","web"]}}"#,
            )],
            Some(vec![statement(
                &[A, B],
                r#"{"StringEqualsIfExists":{"SUB":["web"]}}"#,
            )]),
            &[RemovedWhat::Subject],
            0,
        ),
        (
            "another cluster",
            vec![statement(
                &[B],
                &format!(r#"{{"StringEquals":{{"{B}:sub":"api"}}}}"#),
            )],
            None,
            &[],
            0,
        ),
        (
            "GitHub",
            vec![statement(
                &[GITHUB],
                &format!(r#"{{"StringLike":{{"{GITHUB}:sub":"*"}}}}"#),
            )],
            None,
            &[],
            0,
        ),
        (
            "the other name of the issuer",
            vec![
                statement(
                    &[A2],
                    &format!(r#"{{"StringEquals":{{"{A2}:sub":"api"}}}}"#),
                ),
                keep(),
            ],
            Some(vec![keep()]),
            &[RemovedWhat::Statement],
            0,
        ),
        (
            "both names of the issuer",
            vec![statement(
                &[A, A2],
                &format!(r#"{{"StringEqualsIfExists":{{"{A2}:sub":["api","web"],"SUB":"api"}}}}"#),
            )],
            Some(vec![
                statement(
                    &[A2],
                    &format!(r#"{{"StringEqualsIfExists":{{"{A2}:sub":["web"]}}}}"#),
                )
                .replace(
                    &format!(r#""arn:aws:iam::123456789012:oidc-provider/{A2}""#),
                    &format!(r#"["arn:aws:iam::123456789012:oidc-provider/{A2}"]"#),
                ),
            ]),
            &[RemovedWhat::Provider],
            0,
        ),
        (
            "scenario 7 is the single object below; 8: a deny",
            vec![exact(r#""api""#).replace("Allow", "Deny")],
            None,
            &[],
            0,
        ),
        (
            "scenario 12: ForAnyValue",
            vec![statement(
                &[A],
                r#"{"ForAnyValue:StringEquals":{"SUB":["api","web"]}}"#,
            )],
            Some(vec![statement(
                &[A],
                r#"{"ForAnyValue:StringEquals":{"SUB":["web"]}}"#,
            )]),
            &[RemovedWhat::Subject],
            0,
        ),
        (
            "scenario 12: in any letter case",
            vec![statement(
                &[A],
                r#"{"StringEqualsIgnoreCase":{"SUB":["System:ServiceAccount:Payments:API","web"]}}"#,
            )],
            Some(vec![statement(
                &[A],
                r#"{"StringEqualsIgnoreCase":{"SUB":["web"]}}"#,
            )]),
            &[RemovedWhat::Subject],
            0,
        ),
        (
            "scenario 12: StringLikeIfExists",
            vec![
                statement(&[A], r#"{"StringLikeIfExists":{"SUB":"api"}}"#),
                keep(),
            ],
            Some(vec![keep()]),
            &[RemovedWhat::Statement],
            0,
        ),
        (
            "scenario 12: by exception",
            vec![statement(&[A], r#"{"StringNotEquals":{"SUB":"web"}}"#)],
            None,
            &[],
            1,
        ),
        (
            "scenario 12: excepted",
            vec![statement(&[A], r#"{"StringNotEquals":{"SUB":"api"}}"#)],
            None,
            &[],
            0,
        ),
        (
            "a variable",
            vec![statement(
                &[A],
                r#"{"StringEquals":{"SUB":"system:serviceaccount:payments:${aws:SourceIdentity}"}}"#,
            )],
            None,
            &[],
            1,
        ),
        (
            "condition keys in another letter case",
            vec![
                exact(r#""api""#)
                    .replace(&format!("{A}:sub"), &format!("{}:SUB", A.to_uppercase())),
                keep(),
            ],
            Some(vec![keep()]),
            &[RemovedWhat::Statement],
            0,
        ),
        (
            "another principal besides",
            vec![
                exact(r#""api""#)
                    .replace(r#"{"Federated":"#, r#"{"AWS":"123456789012","Federated":"#),
            ],
            Some(vec![exact(r#""api""#).replace(
                &format!(r#"{{"Federated":"arn:aws:iam::123456789012:oidc-provider/{A}"}}"#),
                r#"{"AWS":"123456789012"}"#,
            )]),
            &[RemovedWhat::Provider],
            0,
        ),
    ];
    for (what, before, after, removed, remaining) in cases {
        let before = document(&before);
        let after = after.map_or_else(|| before.clone(), |statements| document(&statements));
        let api = subject("payments", "api");
        let retired = api.retire(&before);
        assert_eq!(retired.document.to_json(), after.to_json(), "{what}");
        assert_eq!(
            retired
                .removed
                .iter()
                .map(|removed| removed.what)
                .collect::<Vec<_>>(),
            removed,
            "{what}"
        );
        assert_eq!(
            retired.remaining.len(),
            remaining,
            "{what}: {:?}",
            retired.remaining
        );
        assert_eq!(
            api.retire(&retired.document).document,
            retired.document,
            "{what}: twice"
        );
        let restored = api.restore(&before, &retired.document);
        assert!(
            equivalent(&restored, &before),
            "{what}: restored\n{}\n{}",
            restored.to_json(),
            before.to_json()
        );
        assert_eq!(
            api.restore(&before, &restored),
            restored,
            "{what}: restored twice"
        );
        assert_eq!(
            api.restore(&before, &before),
            before,
            "{what}: nothing to restore"
        );
    }
}

#[test]
fn scenario_7_a_single_object() {
    let text = format!(
        r#"{{"Statement":{}}}"#,
        statement(&[A], r#"{"StringEquals":{"SUB":["api","web"]}}"#)
    );
    let retired = subject("payments", "api").retire(&Document::parse(&text).unwrap());
    assert_eq!(
        retired.document.to_json(),
        text.replace(r#""system:serviceaccount:payments:api","#, "")
    );
    let retired = subject("payments", "web").retire(&retired.document);
    assert_eq!(retired.document.to_json(), r#"{"Statement":[]}"#);
}

#[test]
fn scenario_14_partitions() {
    let china = "oidc.eks.cn-north-1.amazonaws.com.cn/id/C";
    let text = statement(
        &["X"],
        &format!(r#"{{"StringEquals":{{"{china}:sub":"api"}}}}"#),
    )
    .replace(
        "arn:aws:iam::123456789012:oidc-provider/X",
        &format!("arn:aws-cn:iam::123456789012:oidc-provider/{china}"),
    );
    let api = Subject {
        issuer: OidcIssuer::parse(&format!("https://{china}")).unwrap(),
        ..subject("payments", "api")
    };
    assert_eq!(api.retire(&document(&[text])).removed.len(), 1);
}

#[test]
fn several_units_of_one_role_retire_and_come_back_in_any_order() {
    let before = document(&[
        statement(
            &[A],
            r#"{"StringEquals":{"SUB":["api","web","job"],"AUD":"sts.amazonaws.com"}}"#,
        ),
        KEEP.to_owned(),
    ]);
    let units = [
        subject("payments", "api"),
        subject("payments", "web"),
        subject("payments", "job"),
    ];
    for order in [[0, 1, 2], [2, 1, 0], [1, 0, 2]] {
        for back in [[0, 1, 2], [2, 0, 1]] {
            let mut current = before.clone();
            let mut saved = vec![before.clone(); 3];
            for unit in order {
                saved[unit] = current.clone();
                current = units[unit].retire(&current).document;
            }
            assert_eq!(current.to_json(), document(&[KEEP.to_owned()]).to_json());
            for unit in back {
                current = units[unit].restore(&saved[unit], &current);
                assert_eq!(units[unit].access(&current, None), Access::Allowed);
            }
            assert!(
                equivalent(&current, &before),
                "{order:?} {back:?}\n{}",
                current.to_json()
            );
        }
    }
}

#[test]
fn what_others_changed_meanwhile_stays() {
    let before = document(&[
        statement(&[A], r#"{"StringEquals":{"SUB":"api"}}"#),
        KEEP.to_owned(),
    ]);
    let api = subject("payments", "api");
    let mut current = api.retire(&before).document;
    let other = Statement::parse_all(r#"{"Sid":"New","Effect":"Allow","Principal":{"AWS":"111122223333"},"Action":"sts:AssumeRole"}"#).unwrap();
    *current.statements_mut() = other.clone();
    let restored = api.restore(&before, &current);
    assert_eq!(
        restored.statements(),
        [before.statements()[0].clone(), other[0].clone()]
    );
}

#[test]
fn access_to_the_role() {
    let exact = document(&[statement(
        &[A],
        r#"{"StringEquals":{"SUB":"api","AUD":"sts.amazonaws.com"}}"#,
    )]);
    let deny = r#"{"Effect":"Deny","Principal":"*","Action":"sts:AssumeRoleWithWebIdentity","Condition":{"StringNotEquals":{"aws:SourceIdentity":"x"}}}"#;
    let denied = document(&[
        statement(&[A], r#"{"StringEquals":{"SUB":"api"}}"#),
        deny.to_owned(),
    ]);
    let cases = [
        ("the subject", &exact, "api", None, Access::Allowed),
        (
            "with its audience",
            &exact,
            "api",
            Some("sts.amazonaws.com"),
            Access::Allowed,
        ),
        (
            "with another audience",
            &exact,
            "api",
            Some("other"),
            Access::NotAllowed,
        ),
        ("another subject", &exact, "web", None, Access::NotAllowed),
        ("perhaps denied", &denied, "api", None, Access::Unknown),
    ];
    for (what, document, name, audience, access) in cases {
        assert_eq!(
            subject("payments", name).access(document, audience),
            access,
            "{what}"
        );
    }
}

#[test]
fn inventory() {
    let document = document(&[
        statement(
            &[A, GITHUB],
            r#"{"StringEquals":{"SUB":["api","web"],"AUD":"sts.amazonaws.com"},"StringLike":{"SUB":"system:serviceaccount:pay*:*"}}"#,
        ),
        statement(
            &[B],
            &format!(r#"{{"StringNotEquals":{{"{B}:sub":"api"}}}}"#),
        ),
        KEEP.to_owned(),
    ]);
    let trusts = web_identity_trusts(&document);
    let brief: Vec<_> = trusts
        .iter()
        .map(|trust| {
            let subjects: Vec<_> = trust
                .subjects
                .iter()
                .map(|subject| (subject.service_account().unwrap(), subject.is_pattern))
                .collect();
            (
                trust.statement.index,
                trust.provider.issuer.as_str(),
                subjects,
                trust.audiences.clone(),
                trust.unconditioned,
                trust.other_operators.clone(),
            )
        })
        .collect();
    assert_eq!(
        brief,
        [
            (
                0,
                A,
                vec![
                    (("payments", "api"), false),
                    (("payments", "web"), false),
                    (("pay*", "*"), true)
                ],
                vec!["sts.amazonaws.com".to_owned()],
                false,
                vec![]
            ),
            (0, GITHUB, vec![], vec![], true, vec![]),
            (
                1,
                B,
                vec![],
                vec![],
                false,
                vec!["StringNotEquals".to_owned()]
            ),
        ]
    );
}

#[test]
fn keys_in_another_case_are_the_same_keys() {
    let values = r#"["system:serviceaccount:payments:api","system:serviceaccount:payments:web"]"#;
    let policy = |key: &str, values: &str| {
        let statement = statement(
            &[A],
            &format!(r#"{{"StringEquals":{{"{A}:{key}":{values}}}}}"#),
        );
        Document::parse(&format!(
            r#"{{"Version":"2012-10-17","Statement":[{statement}]}}"#
        ))
        .unwrap()
    };
    let api = subject("payments", "api");
    let before = policy("sub", values);
    // Whoever wrote it anew spells the key in another way.
    let now = policy("Sub", r#""system:serviceaccount:payments:web""#);
    let restored = api.restore(&before, &now);
    assert_eq!(
        restored.statements()[0].conditions().len(),
        1,
        "{}",
        restored.to_json()
    );
    assert!(equivalent(&restored, &before), "{}", restored.to_json());
    assert_eq!(api.restore(&before, &restored), restored);
    let there = policy("Sub", values);
    assert_eq!(api.restore(&before, &there), there);
}

fn probes() -> Vec<(Subject, &'static str)> {
    let mut probes = Vec::new();
    for issuer in [A, B, GITHUB] {
        for name in ["api", "web", "other"] {
            probes.push((
                Subject {
                    issuer: OidcIssuer::parse(issuer).unwrap(),
                    ..subject("payments", name)
                },
                issuer,
            ));
        }
    }
    probes
}

/// Documents of which most have something to do with the subject.
fn documents() -> impl Strategy<Value = Document> {
    let operators = proptest::sample::select(vec![
        "StringEquals",
        "StringEqualsIfExists",
        "StringLike",
        "ForAnyValue:StringEquals",
        "ForAllValues:StringLike",
        "StringNotEquals",
    ]);
    let issuers = proptest::sample::subsequence(vec![A, A2, B, GITHUB], 1..=3);
    let keys = proptest::sample::subsequence(vec![A, A2, B], 1..=2);
    let values = proptest::sample::subsequence(vec!["api", "web", "job", "*"], 1..=3);
    let ours = (
        issuers,
        operators,
        keys,
        values,
        any::<bool>(),
        any::<bool>(),
    )
        .prop_map(|(issuers, operator, keys, values, aud, scalar)| {
            let values = if let ([one], true) = (&values[..], scalar) {
                format!("{one:?}")
            } else {
                format!("{values:?}")
            };
            let mut lines: Vec<String> = keys
                .iter()
                .map(|issuer| format!(r#""{issuer}:sub":{values}"#))
                .collect();
            if aud {
                lines.push(format!(r#""{A}:aud":"sts.amazonaws.com""#));
            }
            statement(
                &issuers,
                &format!(r#"{{"{operator}":{{{}}}}}"#, lines.join(",")),
            )
        });
    (
        generate::document(),
        proptest::collection::vec(ours, 0..4),
        any::<prop::sample::Index>(),
    )
        .prop_map(|(mut document, ours, index)| {
            for text in ours {
                let statement = Statement::parse_all(&text).unwrap().remove(0);
                let at = index.index(document.statements().len() + 1);
                document.statements_mut().insert(at, statement);
            }
            document
        })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn retiring_ends_one_trust_and_restoring_brings_it_back(before in documents()) {
        let api = subject("payments", "api");
        let retired = api.retire(&before);
        let after = &retired.document;
        if retired.removed.is_empty() {
            prop_assert_eq!(after, &before);
        }
        // What still lets the subject in is reported, and nothing is reported that does not.
        prop_assert_eq!(retired.remaining.is_empty(), allowed(&api, after) == Access::NotAllowed, "{}\n{:?}", after.to_json(), retired.remaining);
        // Nobody else gains or loses anything.
        for (probe, issuer) in probes() {
            if probe != api {
                prop_assert_eq!(allowed(&probe, after), allowed(&probe, &before), "{} {}\n{}\n{}", probe.text(), issuer, before.to_json(), after.to_json());
            }
        }
        prop_assert_eq!(api.is_missing(&before, after, None), !retired.removed.is_empty());
        // Never while the subject has more than was left to it.
        if api.access(&before, None) == Access::Allowed && api.access(after, None) != Access::Allowed {
            prop_assert!(!api.is_missing(&before, &before, None));
        }
        let twice = api.retire(after);
        prop_assert_eq!(&twice.document, after);
        prop_assert!(twice.removed.is_empty());
        prop_assert_eq!(twice.remaining.len(), retired.remaining.len());
        let restored = api.restore(&before, after);
        prop_assert!(equivalent(&restored, &before), "{}\n{}\n{}", before.to_json(), after.to_json(), restored.to_json());
        prop_assert_eq!(api.restore(&before, &restored), restored);
    }
}

/// Access as the allow statements have it: what is denied is not ours to change.
fn allowed(subject: &Subject, document: &Document) -> Access {
    let mut allowing = document.clone();
    allowing
        .statements_mut()
        .retain(|statement| statement.effect() == Some(Effect::Allow));
    subject.access(&allowing, None)
}
