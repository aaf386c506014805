//! Reads a trust policy back into the [`TrustSpec`] that would build it: the inverse of [`TrustSpec::build`].

use std::collections::{BTreeMap, BTreeSet};

use super::super::canonical::equivalent_statements;
use super::super::document::{Condition, Principal};
use super::*;

/// What a trust policy says, as a specification.
#[derive(Debug, Clone, PartialEq)]
pub struct Inferred {
    /// The specification. Statements that it does not explain are its `additional_statements`, in their order.
    pub spec: TrustSpec,
    /// Whether one of the statements is what the builder makes, its `Sid` aside. If not, building `spec` adds it.
    pub recognized: bool,
}

impl TrustSpec {
    /// The specification that builds `document`, as far as there is one.
    ///
    /// Several specifications may build the same document; the plainest is chosen: session tags are on unless the document says otherwise, and external
    /// ids that clusters, namespaces and service accounts explain are given as those.
    ///
    /// `service_principal` is the principal of EKS Pod Identity, [`SERVICE_PRINCIPAL`] when `None`.
    pub fn infer(document: &Document, service_principal: Option<&str>) -> Inferred {
        let statements = document.statements();
        // Ours by name first, so that a second statement for pods that somebody added stays the additional one.
        let mut order: Vec<usize> = (0..statements.len()).collect();
        order.sort_by_key(|index| !matches!(statements[*index].sid(), Some(SID | TARGET_SID)));
        for index in order {
            for mut spec in candidates(&statements[index], service_principal) {
                let Some(explained) = explains(&spec, statements) else {
                    continue;
                };
                spec.additional_statements = statements
                    .iter()
                    .enumerate()
                    .filter(|(index, _)| !explained.contains(index))
                    .map(|(_, statement)| statement.clone())
                    .collect();
                return Inferred {
                    spec,
                    recognized: true,
                };
            }
        }
        Inferred {
            spec: Self {
                additional_statements: statements.to_vec(),
                service_principal: service_principal.map(str::to_owned),
                ..Self::default()
            },
            recognized: false,
        }
    }
}

/// The places of the statements that `spec` builds, if the document has all of them.
fn explains(spec: &TrustSpec, statements: &[Statement]) -> Option<BTreeSet<usize>> {
    let built = spec.build().ok()?;
    let mut places = BTreeSet::new();
    for wanted in built.statements() {
        let place = (0..statements.len())
            .find(|place| !places.contains(place) && same_but_sid(wanted, &statements[*place]))?;
        places.insert(place);
    }
    Some(places)
}

fn same_but_sid(a: &Statement, b: &Statement) -> bool {
    let bare = |statement: &Statement| {
        let mut bare = statement.clone();
        bare.members_mut().remove("Sid");
        bare
    };
    equivalent_statements(&bare(a), &bare(b))
}

/// Specifications that may build `statement`, the plainest first. Whether they do is for [`explains`] to say.
fn candidates(statement: &Statement, service_principal: Option<&str>) -> Vec<TrustSpec> {
    let conditions = statement.conditions();
    let Some(lines) = lines(&conditions) else {
        return Vec::new();
    };
    let Some(Principal::Typed(types)) = statement.principal() else {
        return Vec::new();
    };
    let [(kind, _)] = types[..] else {
        return Vec::new();
    };
    match kind {
        "Service" => pods_candidate(&lines, service_principal)
            .into_iter()
            .collect(),
        "AWS" => target_candidates(&lines, service_principal),
        _ => Vec::new(),
    }
}

/// The values by key in lower case; `None` when a key stands under two operators, which the builder never does.
fn lines(conditions: &[Condition<'_>]) -> Option<BTreeMap<String, Vec<String>>> {
    let mut lines = BTreeMap::new();
    for condition in conditions {
        let mut values = condition.values.clone();
        values.sort_unstable();
        values.dedup();
        if lines
            .insert(condition.key.to_ascii_lowercase(), values)
            .is_some()
        {
            return None;
        }
    }
    Some(lines)
}

fn pods_candidate(
    lines: &BTreeMap<String, Vec<String>>,
    service_principal: Option<&str>,
) -> Option<TrustSpec> {
    let mut spec = with_principal(service_principal);
    for (key, values) in lines {
        match key.as_str() {
            "aws:sourcearn" => {
                spec.cluster_arns = Some(values.clone());
                spec.disable_session_tags = true;
            }
            "aws:sourceaccount" => spec.source_account = single(values),
            "aws:sourceorgid" => spec.source_organization = single(values),
            _ if tag(&mut spec, key, values) => {}
            _ => return None,
        }
    }
    Some(spec)
}

fn target_candidates(
    lines: &BTreeMap<String, Vec<String>>,
    service_principal: Option<&str>,
) -> Vec<TrustSpec> {
    let mut spec = with_principal(service_principal);
    let mut target_of = TargetOf::default();
    for (key, values) in lines {
        match key.as_str() {
            "aws:principalarn" => target_of.role_arns.clone_from(values),
            "sts:externalid" => target_of.external_ids = Some(values.clone()),
            _ if tag(&mut spec, key, values) => {}
            _ => return Vec::new(),
        }
    }
    let tagged = spec != with_principal(service_principal);
    let mut candidates = Vec::new();
    if let Some(ids) = &target_of.external_ids
        && !tagged
        && let Some(mut derived) = from_external_ids(ids, &target_of.role_arns)
    {
        derived
            .service_principal
            .clone_from(&spec.service_principal);
        derived.target_of = Some(TargetOf {
            external_ids: None,
            ..target_of.clone()
        });
        candidates.push(derived);
    }
    spec.target_of = Some(target_of);
    candidates.push(spec);
    candidates
}

/// The clusters, namespaces and service accounts from which the builder makes external ids like these.
fn from_external_ids(ids: &[String], role_arns: &[String]) -> Option<TrustSpec> {
    // External ids do not name the partition; it is that of the source roles.
    let partition = Arn::parse(role_arns.first()?).ok()?.partition;
    let (mut clusters, mut namespaces, mut service_accounts) =
        (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for id in ids {
        let [region, account, cluster, namespace, service_account] =
            id.split('/').collect::<Vec<_>>()[..]
        else {
            return None;
        };
        clusters.insert((region, account, cluster));
        namespaces.insert(namespace);
        service_accounts.insert(service_account);
    }
    let names = |names: BTreeSet<&str>| {
        (names != BTreeSet::from(["*"])).then(|| names.into_iter().map(str::to_owned).collect())
    };
    let any_cluster = clusters == BTreeSet::from([("*", "*", "*")]);
    let spec = TrustSpec {
        cluster_arns: (!any_cluster).then(|| {
            clusters
                .into_iter()
                .map(|(region, account, cluster)| {
                    format!("arn:{partition}:eks:{region}:{account}:cluster/{cluster}")
                })
                .collect()
        }),
        namespaces: names(namespaces),
        service_accounts: names(service_accounts),
        disable_session_tags: true,
        ..TrustSpec::default()
    };
    Some(spec)
}

fn tag(spec: &mut TrustSpec, key: &str, values: &[String]) -> bool {
    let field = match key {
        "aws:requesttag/eks-cluster-arn" => &mut spec.cluster_arns,
        "aws:requesttag/kubernetes-namespace" => &mut spec.namespaces,
        "aws:requesttag/kubernetes-service-account" => &mut spec.service_accounts,
        _ => return false,
    };
    *field = Some(values.to_vec());
    true
}

fn single(values: &[String]) -> Option<String> {
    match values {
        [value] => Some(value.clone()),
        // The builder never writes several; without the value the candidate does not explain the statement.
        _ => None,
    }
}

fn with_principal(service_principal: Option<&str>) -> TrustSpec {
    TrustSpec {
        service_principal: service_principal.map(str::to_owned),
        ..TrustSpec::default()
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::option;
    use proptest::prelude::*;
    use proptest::sample::select;

    use super::super::super::equivalent;
    use super::*;

    fn texts(choices: &'static [&'static str]) -> impl Strategy<Value = Option<Vec<String>>> {
        option::of(vec(select(choices), 1..3).prop_map(|values| {
            let values: BTreeSet<String> = values.into_iter().map(str::to_owned).collect();
            values.into_iter().collect()
        }))
    }

    /// Specifications that say everything in the plainest way, which is the one that comes back.
    fn plain_spec() -> impl Strategy<Value = TrustSpec> {
        (
            texts(&[
                "arn:aws:eks:us-east-1:123456789012:cluster/a",
                "arn:aws:eks:us-east-1:123456789012:cluster/b",
                "arn:aws:eks:eu-west-1:123456789012:cluster/prod-*",
            ]),
            texts(&["payments", "preview-*", "a"]),
            texts(&["api", "web", "job-?"]),
            option::of(Just("123456789012".to_owned())),
            option::of(select(vec![
                "o-a1b2c3d4e5".to_owned(),
                "${aws:ResourceOrgId}".to_owned(),
            ])),
            any::<bool>(),
            option::of((
                texts(&["arn:aws:iam::123456789012:role/a", "arn:aws:iam::111122223333:role/b/*"]),
                texts(&["us-east-1/123456789012/a/ns/x", "us-east-1/123456789012/b/other/y"]),
            )),
            any::<bool>(),
        )
            .prop_map(
                |(clusters, namespaces, accounts, source, organization, off, target, more)| {
                    let additional = r#"{"Sid":"Irsa","Effect":"Allow","Principal":{"Federated":"arn:aws:iam::123456789012:oidc-provider/x"},"Action":"sts:AssumeRoleWithWebIdentity"}"#;
                    let mut spec = TrustSpec {
                        cluster_arns: clusters,
                        namespaces,
                        service_accounts: accounts,
                        source_account: source,
                        source_organization: organization,
                        disable_session_tags: off,
                        additional_statements: if more { Statement::parse_all(additional).unwrap() } else { Vec::new() },
                        ..TrustSpec::default()
                    };
                    match target {
                        Some((Some(role_arns), external_ids)) => {
                            spec.source_account = None;
                            spec.source_organization = None;
                            let named = spec.cluster_arns.is_some()
                                || spec.namespaces.is_some()
                                || spec.service_accounts.is_some();
                            // Tags off says something only together with names; ids given besides would hide the names.
                            spec.disable_session_tags = off && named;
                            let external_ids = external_ids.filter(|_| named && !spec.disable_session_tags);
                            spec.target_of = Some(TargetOf { role_arns, external_ids });
                        }
                        _ if off => {
                            spec.namespaces = None;
                            spec.service_accounts = None;
                            spec.disable_session_tags = spec.cluster_arns.is_some();
                        }
                        _ => {}
                    }
                    spec
                },
            )
    }

    proptest! {
        #[test]
        fn what_is_built_is_read_back(spec in plain_spec()) {
            let document = spec.build().unwrap();
            let inferred = TrustSpec::infer(&document, None);
            prop_assert!(inferred.recognized);
            prop_assert_eq!(&inferred.spec, &spec);
        }

        #[test]
        fn nothing_is_lost(document in super::super::super::generate::document()) {
            let inferred = TrustSpec::infer(&document, None);
            let kept = inferred.spec.additional_statements.len();
            prop_assert!(kept + 2 >= document.statements().len());
            if inferred.recognized && let Ok(built) = inferred.spec.build() {
                prop_assert_eq!(built.statements().len(), document.statements().len());
            }
            if !inferred.recognized {
                prop_assert_eq!(kept, document.statements().len());
            }
        }
    }

    const PODS: &str = r#""Effect":"Allow","Principal":{"Service":"pods.eks.amazonaws.com"},"Action":["sts:TagSession","sts:AssumeRole"]"#;

    #[test]
    fn documents_that_others_wrote() {
        let cases = [
            ("another Sid", format!(r#"[{{"Sid":"x",{PODS}}}]"#), true, 0),
            ("no Sid, one object", format!("{{{PODS}}}"), true, 0),
            ("a second statement for pods", format!(r#"[{{"Sid":"Other",{PODS}}},{{"Sid":"{SID}",{PODS}}}]"#), true, 1),
            ("only one action", r#"[{"Effect":"Allow","Principal":{"Service":"pods.eks.amazonaws.com"},"Action":"sts:AssumeRole"}]"#.into(), false, 1),
            ("two services", r#"[{"Effect":"Allow","Principal":{"Service":["pods.eks.amazonaws.com","ec2.amazonaws.com"]},"Action":["sts:AssumeRole","sts:TagSession"]}]"#.into(), false, 1),
            ("a condition that the builder does not know", format!(r#"[{{{PODS},"Condition":{{"Bool":{{"aws:SecureTransport":"true"}}}}}}]"#), false, 1),
            ("an operator that the builder does not use", format!(r#"[{{{PODS},"Condition":{{"StringNotEquals":{{"aws:SourceAccount":"123456789012"}}}}}}]"#), false, 1),
            ("two source accounts", format!(r#"[{{{PODS},"Condition":{{"StringEquals":{{"aws:SourceAccount":["123456789012","111122223333"]}}}}}}]"#), false, 1),
            ("denied", format!("[{{{}}}]", PODS.replace("Allow", "Deny")), false, 1),
        ];
        for (what, statements, recognized, additional) in cases {
            let document = Document::parse(&format!(
                r#"{{"Version":"2012-10-17","Statement":{statements}}}"#
            ))
            .unwrap();
            let inferred = TrustSpec::infer(&document, None);
            assert_eq!(inferred.recognized, recognized, "{what}");
            assert_eq!(
                inferred.spec.additional_statements.len(),
                additional,
                "{what}"
            );
        }
        let other = TrustSpec {
            service_principal: Some("pods.eks.example.com".to_owned()),
            ..TrustSpec::default()
        };
        let document = other.build().unwrap();
        assert!(!TrustSpec::infer(&document, None).recognized);
        let inferred = TrustSpec::infer(&document, Some("pods.eks.example.com"));
        assert!(inferred.recognized && equivalent(&inferred.spec.build().unwrap(), &document));
    }
}
