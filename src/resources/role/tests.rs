use std::collections::BTreeSet;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::*;
use crate::cty::Path;
use crate::framework::resource::{ImportStateResponse, ModifyPlanRequest};
use crate::framework::{Private, Severity};
use crate::policy::TrustSpec;
use crate::policy::size::document_size;
use crate::provider::data::Options;

/// A provider whose configuration is not known yet: no call can be made.
fn context() -> Context<ProviderData> {
    Context {
        provider: Arc::new(ProviderData::new(
            Err(vec![Path::from("region")]),
            Options::default(),
        )),
        cancel: CancellationToken::new(),
    }
}

/// A value of the resource with these attributes; the others are null.
fn object(attributes: &[(&str, Value)]) -> Value {
    let names = schema::schema().block.attributes;
    let mut object = Value::object(names.iter().map(|attribute| (attribute.name, Value::Null)));
    for (name, value) in attributes {
        object.set(*name, value.clone());
    }
    object
}

/// What is planned for a configuration; computed values are unknown, as the framework makes them.
async fn plan(
    context: &Context<ProviderData>,
    config: &[(&str, Value)],
    prior: Option<&[(&str, Value)]>,
) -> ModifyPlanResponse {
    let config = object(config);
    let mut planned = config.clone();
    for name in [
        "name",
        "name_prefix",
        "id",
        "assume_role_policy",
        "tags_all",
    ] {
        if config.get(name).is_null() {
            planned.set(name, Value::unknown());
        }
    }
    if config.get("trust").is_null() {
        planned.set("trust", trust::nothing());
    }
    let request = ModifyPlanRequest {
        config,
        prior_state: prior.map_or(Value::Null, object),
        planned_state: planned.clone(),
        prior_private: Private::default(),
        planned_private: None,
    };
    let mut response = ModifyPlanResponse {
        planned_state: planned,
        ..ModifyPlanResponse::default()
    };
    RoleResource
        .modify_plan(context, &request, &mut response)
        .await;
    response
}

fn trust_of(attributes: &[(&str, Value)]) -> Value {
    let mut trust = trust::nothing();
    for (name, value) in attributes {
        trust.set(*name, value.clone());
    }
    trust
}

fn set(texts: &[&str]) -> Value {
    Value::set_of(texts.iter().map(|text| Value::from(*text)))
}

fn paths(diagnostics: &Diagnostics) -> BTreeSet<String> {
    diagnostics
        .iter()
        .map(|diagnostic| {
            diagnostic
                .path
                .as_ref()
                .map_or_else(String::new, ToString::to_string)
        })
        .collect()
}

#[tokio::test]
async fn the_trust_policy_is_planned_as_soon_as_trust_is_known() {
    let context = context();
    let planned = plan(&context, &[("name", "payments".into())], None).await;
    let text = planned.planned_state.get("assume_role_policy");
    let built = TrustSpec::default().build().unwrap();
    assert_eq!(text.as_str(), Some(built.to_json().as_str()));
    assert_eq!(
        context.provider.planned_trusts().of("Payments"),
        Some(Some(built))
    );

    let unknown = trust_of(&[("namespaces", Value::set_of([Value::unknown(), "a".into()]))]);
    let planned = plan(
        &context,
        &[("name", "payments".into()), ("trust", unknown)],
        None,
    )
    .await;
    assert!(planned.planned_state.get("assume_role_policy").is_unknown());
    assert!(planned.diagnostics.is_empty());
    assert_eq!(context.provider.planned_trusts().of("payments"), Some(None));
}

#[tokio::test]
async fn a_trust_policy_that_means_the_same_is_no_change() {
    let spelled_differently = r#"{ "Statement": { "Action": ["sts:tagsession", "sts:AssumeRole"], "Effect": "Allow", "Principal": { "Service": ["pods.eks.amazonaws.com"] }, "Sid": "AllowEksAuthToAssumeRoleForPodIdentity" }, "Version": "2012-10-17" }"#;
    for (what, prior, kept) in [
        ("another spelling", spelled_differently, true),
        (
            "another Sid",
            &spelled_differently.replace("AllowEks", "Eks"),
            false,
        ),
        (
            "another action",
            &spelled_differently.replace("sts:tagsession", "sts:SetSourceIdentity"),
            false,
        ),
        ("no document", "", false),
    ] {
        let prior_state = [("name", "a".into()), ("assume_role_policy", prior.into())];
        let planned = plan(&context(), &[("name", "a".into())], Some(&prior_state)).await;
        let text = planned
            .planned_state
            .get("assume_role_policy")
            .as_str()
            .unwrap();
        assert_eq!(text == prior, kept, "{what}");
    }
}

#[tokio::test]
async fn large_trust_policies() {
    // So many names that the document is just beyond the quota, or the most that can be.
    let names = |limit: usize| {
        let mut count = 0;
        loop {
            count += 1;
            let namespaces: Vec<String> = (0..count).map(|n| format!("namespace-{n:04}")).collect();
            let spec = TrustSpec {
                namespaces: Some(namespaces.clone()),
                ..TrustSpec::default()
            };
            if document_size(&spec.build().unwrap()) > limit {
                let values = namespaces.iter().map(|name| Value::from(name.as_str()));
                return trust_of(&[("namespaces", Value::set_of(values))]);
            }
        }
    };
    let planned = plan(
        &context(),
        &[("name", "a".into()), ("trust", names(2_048))],
        None,
    )
    .await;
    let found: Vec<_> = planned.diagnostics.iter().collect();
    assert_eq!((found.len(), found[0].severity), (1, Severity::Warning));
    assert!(found[0].detail.contains("2048") && found[0].detail.contains("L-C07B4B0D"));
    // Once IAM has it, there is nothing to warn about.
    let text = planned.planned_state.get("assume_role_policy").clone();
    let prior = [("name", "a".into()), ("assume_role_policy", text)];
    let again = plan(
        &context(),
        &[("name", "a".into()), ("trust", names(2_048))],
        Some(&prior),
    )
    .await;
    assert!(again.diagnostics.is_empty());

    let mut diagnostics = Diagnostics::new();
    let config = object(&[("trust", names(8_192))]);
    RoleResource.validate_config(&config, &mut diagnostics);
    assert!(diagnostics.has_errors());
    assert_eq!(paths(&diagnostics), BTreeSet::from(["trust".to_owned()]));
}

#[tokio::test]
async fn names_and_prefixes() {
    let unknown = Value::unknown();
    type Attributes = Vec<(&'static str, Value)>;
    let cases: [(&str, Attributes, Option<Attributes>, Value, Value); 5] = [
        (
            "a name",
            vec![("name", "a".into())],
            None,
            "a".into(),
            Value::Null,
        ),
        (
            "a prefix",
            vec![("name_prefix", "a-".into())],
            None,
            unknown.clone(),
            "a-".into(),
        ),
        (
            "neither",
            vec![],
            None,
            unknown.clone(),
            DEFAULT_PREFIX.into(),
        ),
        (
            "another prefix",
            vec![("name_prefix", "b-".into())],
            Some(vec![("name", "a-1".into()), ("name_prefix", "a-".into())]),
            unknown,
            "b-".into(),
        ),
        (
            "the same name",
            vec![("name", "a".into())],
            Some(vec![("name", "a".into())]),
            "a".into(),
            Value::unknown(),
        ),
    ];
    for (what, config, prior, name, prefix) in cases {
        let planned = plan(&context(), &config, prior.as_deref())
            .await
            .planned_state;
        assert_eq!(planned.get("name"), &name, "{what}");
        assert_eq!(
            planned.get("name_prefix").is_unknown(),
            prefix.is_unknown(),
            "{what}"
        );
        assert!(
            prefix.is_unknown() || planned.get("name_prefix") == &prefix,
            "{what}"
        );
    }
}

#[test]
fn faults_of_trust_stand_on_their_attribute() {
    let role = set(&["arn:aws:iam::123456789012:role/a"]);
    let target = |role_arns: Value, external_ids: Value| {
        Value::object([("external_ids", external_ids), ("role_arns", role_arns)])
    };
    let cases = [
        ("nothing", vec![], ""),
        (
            "clusters",
            vec![("cluster_arns", set(&["demo"]))],
            "trust.cluster_arns",
        ),
        (
            "namespaces",
            vec![("namespaces", set(&["A"]))],
            "trust.namespaces",
        ),
        (
            "service accounts",
            vec![("service_accounts", set(&["A"]))],
            "trust.service_accounts",
        ),
        (
            "no clusters",
            vec![("cluster_arns", set(&[]))],
            "trust.cluster_arns",
        ),
        (
            "account",
            vec![("source_account", "1".into())],
            "trust.source_account",
        ),
        (
            "organization",
            vec![("source_organization", "1".into())],
            "trust.source_organization",
        ),
        (
            "sources",
            vec![("target_of", target(set(&["a"]), Value::Null))],
            "trust.target_of.role_arns",
        ),
        (
            "external ids",
            vec![("target_of", target(role, set(&["a"])))],
            "trust.target_of.external_ids",
        ),
        (
            "statements",
            vec![("additional_statements", "x".into())],
            "trust.additional_statements",
        ),
        (
            "a statement",
            vec![("additional_statements", r#"{"Effect":"Allow"}"#.into())],
            "trust.additional_statements",
        ),
        (
            "some unknown",
            vec![("namespaces", Value::set_of([Value::unknown(), "A".into()]))],
            "trust.namespaces",
        ),
        (
            "all unknown",
            vec![("namespaces", Value::set_of([Value::unknown()]))],
            "",
        ),
        ("unknown", vec![("namespaces", Value::unknown())], ""),
        (
            "a target that is not known may make names right",
            vec![
                ("target_of", Value::unknown()),
                ("disable_session_tags", true.into()),
                ("namespaces", set(&["a"])),
            ],
            "",
        ),
        (
            "sources that are not known",
            vec![("target_of", target(Value::unknown(), Value::Null))],
            "",
        ),
    ];
    for (what, attributes, expected) in cases {
        let mut diagnostics = Diagnostics::new();
        let config = object(&[("trust", trust_of(&attributes))]);
        RoleResource.validate_config(&config, &mut diagnostics);
        let expected: BTreeSet<String> = Some(expected.to_owned())
            .into_iter()
            .filter(|path| !path.is_empty())
            .collect();
        assert_eq!(paths(&diagnostics), expected, "{what}: {diagnostics:?}");
    }
}

#[test]
fn faults_of_inline_policies_stand_on_their_element() {
    let policies = Value::string_map([
        (
            "good",
            r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}"#,
        ),
        (
            "bad",
            r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*"}}"#,
        ),
    ]);
    let mut diagnostics = Diagnostics::new();
    RoleResource.validate_config(&object(&[("inline_policies", policies)]), &mut diagnostics);
    assert_eq!(
        paths(&diagnostics),
        BTreeSet::from(["inline_policies[\"bad\"]".to_owned()])
    );
}

#[test]
fn trust_is_read_back_from_its_policy() {
    let statement = r#"[{"Effect":"Allow","Principal":{"Service":"ec2.amazonaws.com"},"Action":"sts:AssumeRole"}]"#;
    let source = Value::object([
        ("external_ids", Value::Null),
        ("role_arns", set(&["arn:aws:iam::123456789012:role/a"])),
    ]);
    for trust in [
        trust::nothing(),
        trust_of(&[
            ("namespaces", set(&["a", "b"])),
            ("source_account", "123456789012".into()),
        ]),
        trust_of(&[("additional_statements", statement.into())]),
        trust_of(&[("target_of", source), ("service_accounts", set(&["api"]))]),
    ] {
        let Built::Known(document) = trust::build(&trust, &Attr::Null) else {
            panic!("{trust:?}")
        };
        assert_eq!(trust::infer(&document.to_json(), &Attr::Null), trust);
    }
    assert_eq!(trust::infer("", &Attr::Null), trust::nothing());
    // Another principal is another statement.
    let Built::Known(document) = trust::build(&trust::nothing(), &"pods.example.com".into()) else {
        panic!()
    };
    let inferred = trust::infer(&document.to_json(), &Attr::Null);
    assert!(inferred.get("additional_statements").is_set());
}

#[tokio::test]
async fn imports_are_by_name() {
    for (id, expected) in [
        ("payments", ""),
        (" payments ", ""),
        (
            "arn:aws:iam::123456789012:role/services/payments",
            "use \"payments\"",
        ),
        ("services/payments", "not the name of an IAM role"),
        ("", "not the name of an IAM role"),
    ] {
        let mut response = ImportStateResponse {
            state: object(&[]),
            ..ImportStateResponse::default()
        };
        let request = ImportStateRequest {
            id: id.to_owned(),
            identity: None,
        };
        let answer = RoleResource
            .import_state(&context(), request, &mut response)
            .await;
        assert_eq!(
            answer.is_err() || response.diagnostics.has_errors(),
            !expected.is_empty(),
            "{id}"
        );
        for diagnostic in response.diagnostics {
            assert!(
                diagnostic.detail.contains(expected),
                "{id}: {}",
                diagnostic.detail
            );
        }
        if expected.is_empty() {
            assert_eq!(response.state.get("name").as_str(), Some("payments"));
        }
    }
}

#[tokio::test]
async fn a_role_stays_as_it_was_while_the_provider_is_not_known() {
    let state = object(&[
        ("name", "payments".into()),
        ("arn", "arn:aws:iam::123456789012:role/payments".into()),
    ]);
    let mut response = ReadResponse {
        state: state.clone(),
        ..ReadResponse::default()
    };
    let request = ReadRequest {
        current_state: state.clone(),
        private: Private::default(),
        current_identity: Value::Null,
    };
    let answer = RoleResource.read(&context(), request, &mut response).await;
    assert_eq!(answer, Ok(()));
    assert_eq!(response.state, state);
    assert!(!response.diagnostics.has_errors() && !response.diagnostics.is_empty());
}
