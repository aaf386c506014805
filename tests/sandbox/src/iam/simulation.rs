//! `SimulatePrincipalPolicy`: enough of policy evaluation for a preflight check.
//!
//! Actions and resources match with wildcards. A condition holds only if its operator is `StringEquals`, `StringLike`,
//! `ArnEquals`, `ArnLike` or `Bool` and the request's context has the key; otherwise the statement does not apply and the key
//! is reported as missing.

use std::collections::BTreeMap;

use super::error::IamError;
use super::form::Form;
use super::identity_policy::{self, strings};
use super::json::{self, Node, Value};
use super::pages::{Page, position_key};
use super::trust::wildcard_match;
use super::xml::Xml;
use super::{Answer, Iam, Outcome};
use crate::context::RequestContext;

/// A policy and what it counts as in `MatchedStatements`.
struct Source {
    id: String,
    /// A value of the model's `PolicySourceType`.
    kind: &'static str,
    document: Node,
}

struct Evaluation {
    action: String,
    resource: String,
    decision: &'static str,
    matched: Vec<(String, &'static str)>,
    missing: Vec<String>,
    /// Whether the boundary allows; `None` without one.
    boundary: Option<bool>,
}

type Context = BTreeMap<String, Vec<String>>;

impl Iam {
    pub(super) fn simulate_principal_policy(
        &self,
        context: &RequestContext,
        form: &mut Form<'_>,
    ) -> Outcome {
        let source = form.arn("PolicySourceArn");
        let actions = form.string_list("ActionNames", 3, 128);
        if actions.is_empty() {
            form.violate("ActionNames", "Member must not be null");
        }
        let mut resources = form.string_list("ResourceArns", 1, 2048);
        let inputs = form.strings("PolicyInputList");
        let keys = context_entries(form);
        let request = form.page();
        form.check()?;
        if resources.is_empty() {
            resources.push("*".into());
        }
        let (mut sources, boundary) = self.sources(context, &source)?;
        for (index, document) in inputs.iter().enumerate() {
            let document =
                json::parse(document).filter(|node| identity_policy::statements(node).is_some());
            let document =
                document.ok_or_else(|| IamError::invalid_input("Syntax errors in policy."))?;
            sources.push(Source {
                kind: "none",
                id: format!("PolicyInputList.{}", index + 1),
                document,
            });
        }
        let mut results = Vec::new();
        for action in &actions {
            for resource in &resources {
                results.push(evaluate(
                    action,
                    resource,
                    &keys,
                    &sources,
                    boundary.as_ref(),
                ));
            }
        }
        let results = results
            .into_iter()
            .enumerate()
            .map(|(index, result)| (position_key(index), result))
            .collect();
        let page = Page::cut(context, "SimulatePrincipalPolicy", &request, results)?;
        let mut xml = Xml::new();
        xml.list("EvaluationResults", &page.items, |xml, result| {
            result.write(xml)
        });
        page.write(&mut xml);
        Ok(Answer::Result(xml))
    }

    /// The policies of a principal and its boundary.
    fn sources(
        &self,
        context: &RequestContext,
        arn: &str,
    ) -> Result<(Vec<Source>, Option<Source>), IamError> {
        let source = |id: &str, kind, document: &str| {
            Some(Source {
                id: id.to_owned(),
                kind,
                document: json::parse(document)?,
            })
        };
        if let Some(role) = self.roles.values().find(|role| role.arn == arn) {
            let inline = role
                .inline
                .iter()
                .filter_map(|(name, document)| source(name, "role", document));
            let managed = |arn: &String| {
                let policy = self.managed_policy(context, arn)?;
                let kind = if self.policies.contains_key(arn) {
                    "user-managed"
                } else {
                    "aws-managed"
                };
                source(&policy.name, kind, policy.document())
            };
            let sources = inline
                .chain(role.attached.iter().filter_map(managed))
                .collect();
            return Ok((
                sources,
                role.permissions_boundary.as_ref().and_then(managed),
            ));
        }
        if self.user_by_arn(context, arn).is_some() {
            // Callers of the sandbox may do everything.
            let everything = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}"#;
            return Ok((
                source("AdministratorAccess", "aws-managed", everything)
                    .into_iter()
                    .collect(),
                None,
            ));
        }
        Err(IamError::no_such_entity(format!(
            "The entity {arn} cannot be found."
        )))
    }
}

impl Evaluation {
    fn write(&self, xml: &mut Xml) {
        xml.text("EvalActionName", &self.action);
        xml.text("EvalResourceName", &self.resource);
        xml.text("EvalDecision", self.decision);
        xml.list("MatchedStatements", &self.matched, |xml, (id, kind)| {
            xml.text("SourcePolicyId", id);
            xml.text("SourcePolicyType", kind);
        });
        xml.strings(
            "MissingContextValues",
            self.missing.iter().map(String::as_str),
        );
        if let Some(allowed) = self.boundary {
            xml.element("PermissionsBoundaryDecisionDetail", |xml| {
                xml.scalar("AllowedByPermissionsBoundary", allowed)
            });
        }
    }
}

fn context_entries(form: &Form<'_>) -> Context {
    let mut context = Context::new();
    for index in 1.. {
        let entry = format!("ContextEntries.member.{index}");
        let Some(key) = form.raw(&format!("{entry}.ContextKeyName")) else {
            break;
        };
        context.insert(
            key.to_ascii_lowercase(),
            form.strings(&format!("{entry}.ContextKeyValues")),
        );
    }
    context
}

fn evaluate(
    action: &str,
    resource: &str,
    context: &Context,
    sources: &[Source],
    boundary: Option<&Source>,
) -> Evaluation {
    let (mut matched, mut missing) = (Vec::new(), Vec::new());
    let (mut allowed, mut denied) = (false, false);
    for source in sources {
        let (allows, denies) = decide(source, action, resource, context, &mut missing);
        if allows || denies {
            matched.push((source.id.clone(), source.kind));
        }
        allowed |= allows;
        denied |= denies;
    }
    let boundary = boundary.map(|source| {
        let (allows, denies) = decide(source, action, resource, context, &mut missing);
        denied |= denies;
        allows && !denies
    });
    let decision = if denied {
        "explicitDeny"
    } else if allowed && boundary != Some(false) {
        "allowed"
    } else {
        "implicitDeny"
    };
    missing.sort();
    missing.dedup();
    Evaluation {
        action: action.to_owned(),
        resource: resource.to_owned(),
        decision,
        matched,
        missing,
        boundary,
    }
}

/// Whether a policy allows and whether it denies.
fn decide(
    source: &Source,
    action: &str,
    resource: &str,
    context: &Context,
    missing: &mut Vec<String>,
) -> (bool, bool) {
    let (mut allows, mut denies) = (false, false);
    for statement in identity_policy::statements(&source.document).unwrap_or_default() {
        let actions = strings(statement, "Action", "NotAction");
        let action_matches = actions.iter().any(|pattern| {
            wildcard_match(&pattern.to_ascii_lowercase(), &action.to_ascii_lowercase())
        });
        let resources = strings(statement, "Resource", "NotResource");
        let resource_matches = resources
            .iter()
            .any(|pattern| wildcard_match(pattern, resource));
        if action_matches == statement.get("NotAction").is_some()
            || resource_matches == statement.get("NotResource").is_some()
        {
            continue;
        }
        if !statement
            .get("Condition")
            .is_none_or(|condition| holds(condition, context, missing))
        {
            continue;
        }
        match statement.get("Effect").and_then(Node::string) {
            Some("Allow") => allows = true,
            _ => denies = true,
        }
    }
    (allows, denies)
}

fn holds(condition: &Node, context: &Context, missing: &mut Vec<String>) -> bool {
    let mut all = true;
    for (operator, keys) in condition.object().unwrap_or_default() {
        for (key, values) in keys.object().unwrap_or_default() {
            let Some(actual) = context.get(&key.to_ascii_lowercase()) else {
                missing.push(key.clone());
                all = false;
                continue;
            };
            let wanted = match &values.value {
                Value::Array(items) => items.iter().filter_map(scalar).collect(),
                _ => Vec::from_iter(scalar(values)),
            };
            let matches = |wanted: &str, actual: &str| match operator.as_str() {
                "StringEquals" | "Bool" => wanted == actual,
                "StringLike" | "ArnEquals" | "ArnLike" => wildcard_match(wanted, actual),
                _ => false,
            };
            all &= actual
                .iter()
                .any(|actual| wanted.iter().any(|wanted| matches(wanted, actual)));
        }
    }
    all
}

fn scalar(node: &Node) -> Option<String> {
    match &node.value {
        Value::String(text) | Value::Number(text) => Some(text.clone()),
        Value::Bool(value) => Some(value.to_string()),
        _ => None,
    }
}
