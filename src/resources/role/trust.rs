//! The `trust` attribute and the trust policy that is made from it.

use crate::cty::{Path, Type, Value};
use crate::framework::diagnostic::{Diagnostic, Diagnostics};
use crate::framework::model::Attr;
use crate::framework::schema::{Attribute, Nesting, SemanticEquality};
use crate::framework::validators;
use crate::policy::size::{TRUST_QUOTA_DEFAULT, TRUST_QUOTA_MAX, document_size};
use crate::policy::{
    Document, PodContext, SERVICE_PRINCIPAL, Statement, TargetOf, TrustError, TrustSpec,
    check_trust_policy, equivalent, equivalent_json,
};
use crate::resources::arns::chain;

/// The attribute's name.
pub(super) const NAME: &str = "trust";

const INVALID: &str = "Invalid trust";
const TOO_LARGE: &str = "Trust policy too large";

/// `trust`.
///
/// Its default is an object, not null, so that `trust = {}` and no `trust` are the same in state: an imported role then fits
/// both.
pub(super) fn attribute() -> Attribute {
    let names = |name, description: &str| {
        Attribute::set(name, Type::String, description)
            .optional()
            .validate(validators::each(validators::length_at_least(1)))
    };
    Attribute::nested(
        NAME,
        Nesting::Single,
        vec![
            Attribute::string(
                "additional_statements",
                "Further statements of the trust policy as JSON: a statement, a list of statements, or a whole policy \
                 document, of which the statements are taken. With it, a statement for IRSA or any other can stand beside \
                 the one for EKS Pod Identity.",
            )
            .optional()
            .semantic_equality(StatementsEquality),
            names(
                "cluster_arns",
                "ARNs of the EKS clusters whose pods may use the role; `*` and `?` are wildcards. Default: any cluster that \
                 may pass the role.",
            ),
            Attribute::bool(
                "disable_session_tags",
                "Whether the associations that use the role have `disable_session_tags`. The clusters are then told apart by \
                 `aws:SourceArn`; namespaces and service accounts cannot be, except, by external id, in the trust of a \
                 target role (`target_of`).",
            )
            .default(false),
            names(
                "namespaces",
                "Kubernetes namespaces whose pods may use the role; `*` and `?` are wildcards. Default: any.",
            ),
            names(
                "service_accounts",
                "Kubernetes service accounts whose pods may use the role; `*` and `?` are wildcards. With several namespaces, \
                 every combination may. Default: any.",
            ),
            Attribute::string(
                "source_account",
                "Id of the account of the cluster (`aws:SourceAccount`), 12 digits.",
            )
            .optional(),
            Attribute::string(
                "source_organization",
                "Id of the AWS organization of the cluster's account (`aws:SourceOrgId`), or `$${aws:ResourceOrgId}` for the \
                 organization of the role itself.",
            )
            .optional(),
            Attribute::nested(
                "target_of",
                Nesting::Single,
                vec![
                    names(
                        "external_ids",
                        "External ids of the associations (`external_id` of `podidentity_association`): \
                         `region/account-id/cluster-name/namespace/service-account`. Default: none; with \
                         `disable_session_tags`, those of `cluster_arns`, `namespaces` and `service_accounts`.",
                    ),
                    Attribute::set(
                        "role_arns",
                        Type::String,
                        "ARNs of the roles that may assume this one; `*` and `?` are wildcards in path and name.",
                    )
                    .required()
                    .validate(validators::each(validators::length_at_least(1))),
                ],
                "Makes the role the target of other roles, in this or another account: EKS Pod Identity assumes one of them \
                 and with it this role (`target_role_arn` of `podidentity_association`). EKS Pod Identity itself is then not \
                 trusted.",
            )
            .optional(),
        ],
        "Which pods may use the role. The trust policy allows EKS Pod Identity `sts:AssumeRole` and `sts:TagSession`, with a \
         condition for each argument given here. Default: no conditions.",
    )
    .default(nothing())
}

/// The `trust` that says nothing.
pub(super) fn nothing() -> Value {
    value(&TrustSpec::default())
}

/// A specification as a value of `trust`.
pub(super) fn value(spec: &TrustSpec) -> Value {
    let set = |values: Option<&[String]>| {
        values.map_or(Value::Null, |values| {
            Value::set_of(values.iter().map(|text| Value::from(text.as_str())))
        })
    };
    let text = |text: Option<&str>| text.map_or(Value::Null, Value::from);
    let additional = match &spec.additional_statements[..] {
        [] => Value::Null,
        statements => {
            let statements: Vec<String> = statements.iter().map(Statement::to_json).collect();
            Value::from(format!("[{}]", statements.join(",")))
        }
    };
    Value::object([
        ("additional_statements", additional),
        ("cluster_arns", set(spec.cluster_arns.as_deref())),
        (
            "disable_session_tags",
            Value::from(spec.disable_session_tags),
        ),
        ("namespaces", set(spec.namespaces.as_deref())),
        ("service_accounts", set(spec.service_accounts.as_deref())),
        ("source_account", text(spec.source_account.as_deref())),
        (
            "source_organization",
            text(spec.source_organization.as_deref()),
        ),
        (
            "target_of",
            spec.target_of.as_ref().map_or(Value::Null, |target_of| {
                Value::object([
                    ("external_ids", set(target_of.external_ids.as_deref())),
                    ("role_arns", set(Some(&target_of.role_arns))),
                ])
            }),
        ),
    ])
}

/// The `trust` that makes `trust_policy`, the text of a document, as far as there is one. Everything else that the document
/// says is in `additional_statements`.
pub(super) fn infer(trust_policy: &str, service_principal: &Attr<String>) -> Value {
    Document::parse(trust_policy).map_or_else(
        |_| nothing(),
        |document| {
            value(&TrustSpec::infer(&document, principal(service_principal).as_deref()).spec)
        },
    )
}

/// What can be made of `trust` and the provider's service principal.
#[derive(Debug)]
pub(super) enum Built {
    /// The trust policy.
    Known(Box<Document>),
    /// Something is known only after apply.
    NotYetKnown,
    /// The user has to change something.
    Invalid(Diagnostics),
}

/// Builds the trust policy from a planned `trust`.
pub(super) fn build(trust: &Value, service_principal: &Attr<String>) -> Built {
    let diagnostics = check(trust, service_principal);
    if diagnostics.has_errors() {
        return Built::Invalid(diagnostics);
    }
    if !trust.is_wholly_known() || service_principal.is_unknown() {
        return Built::NotYetKnown;
    }
    match known(trust, service_principal).map(|spec| spec.build()) {
        Ok(Ok(document)) => Built::Known(Box::new(document)),
        // `check` finds everything that is wrong with a specification.
        Ok(Err(errors)) => {
            let mut diagnostics = Diagnostics::new();
            diagnostics.extend(errors.iter().map(diagnostic));
            Built::Invalid(diagnostics)
        }
        Err(diagnostic) => Built::Invalid(diagnostic.into()),
    }
}

/// Finds what is wrong with `trust`, as far as it is known.
pub(super) fn check(trust: &Value, service_principal: &Attr<String>) -> Diagnostics {
    let mut diagnostics = Diagnostics::new();
    let spec = match known(trust, service_principal) {
        Ok(spec) => spec,
        Err(diagnostic) => {
            diagnostics.push(diagnostic);
            let mut rest = trust.clone();
            rest.set("additional_statements", Value::Null);
            known(&rest, service_principal).unwrap_or_default()
        }
    };
    diagnostics.extend(spec.check().iter().map(diagnostic));
    if !spec.additional_statements.is_empty() {
        let pod = PodContext {
            service_principal: principal(service_principal)
                .unwrap_or_else(|| SERVICE_PRINCIPAL.to_owned()),
            ..PodContext::default()
        };
        let document = Document::new(spec.additional_statements);
        for problem in check_trust_policy(&document, &pod) {
            diagnostics.attribute_error(
                path("additional_statements"),
                INVALID,
                format!(
                    "A statement of trust.additional_statements cannot be used: {}",
                    ended(&chain(&problem))
                ),
            );
        }
    }
    diagnostics
}

/// Compares the size of a trust policy with IAM's quota. What already is in IAM (`prior`) was accepted, so only a change
/// is worth a warning.
pub(super) fn check_size(document: &Document, prior: Option<&str>) -> Option<Diagnostic> {
    const ADVICE: &str = "Name fewer clusters, namespaces or service accounts, name several at once with wildcards, drop \
        additional statements, or use more than one role.";
    let size = document_size(document);
    if size > TRUST_QUOTA_MAX {
        return Some(
            Diagnostic::error(
                TOO_LARGE,
                format!(
                    "The trust policy has {size} characters without white space; IAM takes at most {TRUST_QUOTA_MAX}, even \
                     with the quota raised. {ADVICE}"
                ),
            )
            .at(NAME),
        );
    }
    let is_there = prior.is_some_and(|prior| equivalent_json(prior, &document.to_json()));
    (size > TRUST_QUOTA_DEFAULT && !is_there).then(|| {
        Diagnostic::warning(
            TOO_LARGE,
            format!(
                "The trust policy has {size} characters without white space; IAM takes {TRUST_QUOTA_DEFAULT} unless the quota \
                 of the account was raised (Service Quotas, IAM, L-C07B4B0D, up to {TRUST_QUOTA_MAX}). {ADVICE}"
            ),
        )
        .at(NAME)
    })
}

/// The path of an attribute in `trust`.
fn path(name: &str) -> Path {
    Path::from(NAME).attribute(name)
}

fn diagnostic(error: &TrustError) -> Diagnostic {
    let mut path = Path::from(NAME);
    for name in error.field().path() {
        // The service principal is an argument of the provider; `trust` is where it is used.
        if *name != "service_principal" {
            path = path.attribute(*name);
        }
    }
    Diagnostic::error(
        INVALID,
        format!("Attribute {path}: {}", ended(&chain(error))),
    )
    .at(path)
}

/// The known parts of `trust`; what is not known counts as not set.
fn known(trust: &Value, service_principal: &Attr<String>) -> Result<TrustSpec, Diagnostic> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let target_of = trust.get("target_of");
    let statements = match trust.get("additional_statements").as_str() {
        Some(json) => Statement::parse_all(json).map_err(|error| {
            Diagnostic::error(
                INVALID,
                format!(
                    "trust.additional_statements must be JSON: a statement, a list of statements, or a policy document. {}",
                    ended(&capital(&chain(&error)))
                ),
            )
            .at(path("additional_statements"))
        })?,
        None => Vec::new(),
    };
    Ok(TrustSpec {
        cluster_arns: strings(trust.get("cluster_arns")),
        namespaces: strings(trust.get("namespaces")),
        service_accounts: strings(trust.get("service_accounts")),
        source_account: text(trust.get("source_account")),
        source_organization: text(trust.get("source_organization")),
        // Names are wrong without session tags only if there is no target_of, which is not known yet here.
        disable_session_tags: trust.get("disable_session_tags").as_bool() == Some(true)
            && !target_of.is_unknown(),
        target_of: target_of.is_set().then(|| TargetOf {
            // A list that is not known must not look like an empty one.
            role_arns: strings(target_of.get("role_arns"))
                .unwrap_or_else(|| vec![PLACEHOLDER_ROLE.to_owned()]),
            external_ids: strings(target_of.get("external_ids")),
        }),
        additional_statements: statements,
        service_principal: principal(service_principal),
    })
}

/// Stands for source roles that are not known yet, while the rest is checked.
const PLACEHOLDER_ROLE: &str = "arn:aws:iam::000000000000:role/not-known-yet";

/// The known elements of a set of strings; `None` when there is no set, or none of its elements is known.
fn strings(value: &Value) -> Option<Vec<String>> {
    let elements = value.as_elements()?;
    let known: Vec<String> = elements
        .iter()
        .filter_map(|element| element.as_str().map(str::to_owned))
        .collect();
    (elements.is_empty() || !known.is_empty()).then_some(known)
}

fn principal(service_principal: &Attr<String>) -> Option<String> {
    // The usual one is left out, so that a specification that comes back from a document is the plainest.
    service_principal
        .known()
        .filter(|principal| *principal != SERVICE_PRINCIPAL)
        .cloned()
}

fn ended(text: &str) -> String {
    format!("{}.", text.trim_end_matches('.'))
}

fn capital(text: &str) -> String {
    let mut characters = text.chars();
    characters.next().map_or_else(String::new, |first| {
        first.to_uppercase().collect::<String>() + characters.as_str()
    })
}

/// Additional statements that mean the same are no change, however they are written.
#[derive(Clone, Copy, Debug)]
struct StatementsEquality;

impl SemanticEquality for StatementsEquality {
    fn semantically_equal(&self, prior: &Value, new: &Value) -> bool {
        let document =
            |value: &Value| Some(Document::new(Statement::parse_all(value.as_str()?).ok()?));
        match (document(prior), document(new)) {
            (Some(prior), Some(new)) => equivalent(&prior, &new),
            _ => false,
        }
    }
}
