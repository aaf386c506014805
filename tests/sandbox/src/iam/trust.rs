//! Trust policies of roles: the checks of `CreateRole` and `UpdateAssumeRolePolicy`, and what IAM does to principals.
//!
//! The document is kept as it was sent. Only principals change: an account id is shown as the account's root ARN, and a role or
//! user of the account is remembered by its unique id, shown as its ARN while it exists and as the bare id afterwards. An
//! entity re-created under the same name is another one, so the old trust does not come back (IAM user guide, "AWS JSON
//! policy elements: Principal").

use std::ops::Range;

use super::error::IamError;
use super::json::{self, Node, Value};
use super::service_principals::is_service_principal;

/// What a trust policy may ask about the account it belongs to.
pub(super) trait Directory {
    /// Partition of the account.
    fn partition(&self) -> &str;
    /// Twelve digits.
    fn account_id(&self) -> &str;
    /// Unique id of a role or user that exists in the account.
    fn unique_id(&self, arn: &str) -> Option<String>;
    /// ARN of a role or user that exists in the account.
    fn arn(&self, unique_id: &str) -> Option<String>;
}

/// An accepted trust policy.
#[derive(Clone, Debug)]
pub(super) struct TrustPolicy {
    text: String,
    entities: Vec<Entity>,
}

/// A principal whose text depends on what exists.
#[derive(Clone, Debug)]
struct Entity {
    range: Range<usize>,
    unique_id: String,
    arn: String,
}

const ACTIONS: [&str; 12] = [
    "sts:assumerole",
    "sts:assumerolewithsaml",
    "sts:assumerolewithwebidentity",
    "sts:decodeauthorizationmessage",
    "sts:getaccesskeyinfo",
    "sts:getcalleridentity",
    "sts:getfederationtoken",
    "sts:getservicebearertoken",
    "sts:getsessiontoken",
    "sts:setcontext",
    "sts:setsourceidentity",
    "sts:tagsession",
];

const STATEMENT_FIELDS: [&str; 9] = [
    "Sid",
    "Effect",
    "Principal",
    "NotPrincipal",
    "Action",
    "NotAction",
    "Resource",
    "NotResource",
    "Condition",
];

impl TrustPolicy {
    /// Checks a document.
    ///
    /// # Errors
    ///
    /// `MalformedPolicyDocument` for its grammar or principals, `LimitExceeded` beyond `limit` characters other than white space.
    pub(super) fn parse(
        text: &str,
        directory: &impl Directory,
        limit: usize,
    ) -> Result<Self, IamError> {
        let document = json::parse(text).filter(|node| node.object().is_some());
        let document = document
            .ok_or_else(|| IamError::malformed_policy("This policy contains invalid Json"))?;
        let statements = check_document(&document)?;
        if text
            .chars()
            .filter(|character| !character.is_whitespace())
            .count()
            > limit
        {
            return Err(IamError::quota("ACLSizePerRole", limit));
        }
        let mut replacements = Vec::new();
        let mut entities = Vec::new();
        for statement in statements {
            for (kind, range, value) in principals(statement)? {
                match resolve(kind, value, directory) {
                    Some(Resolved::AsGiven) => {}
                    Some(Resolved::Account(arn)) => replacements.push((range, arn)),
                    Some(Resolved::Entity { unique_id, arn }) => entities.push(Entity {
                        range,
                        unique_id,
                        arn,
                    }),
                    None => {
                        let shown = if kind == "AWS" {
                            kind.to_owned()
                        } else {
                            kind.to_uppercase()
                        };
                        return Err(IamError::malformed_policy(format!(
                            "Invalid principal in policy: \"{shown}\":\"{value}\""
                        )));
                    }
                }
            }
        }
        Ok(Self::with_replacements(text, replacements, entities))
    }

    /// The document as IAM shows it now; `exists` says whether a unique id still stands for an entity.
    pub(super) fn shown(&self, exists: impl Fn(&str) -> bool) -> String {
        let mut out = String::with_capacity(self.text.len());
        let mut from = 0;
        for entity in &self.entities {
            out.push_str(&self.text[from..entity.range.start]);
            out.push_str(&quoted(if exists(&entity.unique_id) {
                &entity.arn
            } else {
                &entity.unique_id
            }));
            from = entity.range.end;
        }
        out.push_str(&self.text[from..]);
        out
    }

    /// Replaces account ids for good and moves the ranges of `entities` along.
    fn with_replacements(
        text: &str,
        mut replacements: Vec<(Range<usize>, String)>,
        mut entities: Vec<Entity>,
    ) -> Self {
        replacements.sort_by_key(|(range, _)| range.start);
        entities.sort_by_key(|entity| entity.range.start);
        let mut out = String::with_capacity(text.len());
        let mut from = 0;
        let mut waiting = entities.iter_mut().peekable();
        for (range, value) in replacements {
            out.push_str(&text[from..range.start]);
            let before = out.len();
            while let Some(entity) = waiting.next_if(|entity| entity.range.start < range.start) {
                let start = before - (range.start - entity.range.start);
                entity.range = start..start + entity.range.len();
            }
            out.push_str(&quoted(&value));
            from = range.end;
        }
        let shift = out.len();
        for entity in waiting {
            let start = shift + (entity.range.start - from);
            entity.range = start..start + entity.range.len();
        }
        out.push_str(&text[from..]);
        Self {
            text: out,
            entities,
        }
    }
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn malformed<T>(message: impl Into<String>) -> Result<T, IamError> {
    Err(IamError::malformed_policy(message))
}

/// Checks everything but principals' values; returns the statements.
fn check_document(document: &Node) -> Result<Vec<&Node>, IamError> {
    for (field, _) in document.object().unwrap_or_default() {
        if !["Version", "Id", "Statement"].contains(&field.as_str()) {
            return malformed(format!("Unknown field {field}"));
        }
    }
    if let Some(version) = document.get("Version")
        && !matches!(version.string(), Some("2012-10-17" | "2008-10-17"))
    {
        return malformed("The policy must contain a valid version string");
    }
    if document.get("Id").is_some_and(|id| id.string().is_none()) {
        return malformed("Syntax error in policy.");
    }
    let statements = match document.get("Statement") {
        Some(Node {
            value: Value::Array(items),
            ..
        }) => items.iter().collect(),
        Some(
            node @ Node {
                value: Value::Object(_),
                ..
            },
        ) => vec![node],
        Some(_) => return malformed("Syntax error in policy."),
        None => Vec::new(),
    };
    if statements.is_empty() {
        return malformed("Could not parse the policy: Statement is empty!");
    }
    let mut sids = Vec::new();
    for &statement in &statements {
        check_statement(statement)?;
        if let Some(sid) = statement
            .get("Sid")
            .and_then(Node::string)
            .filter(|sid| !sid.is_empty())
        {
            if sids.contains(&sid) {
                return malformed("The Statement Ids in the policy are not unique");
            }
            sids.push(sid);
        }
    }
    Ok(statements)
}

fn check_statement(statement: &Node) -> Result<(), IamError> {
    let Some(fields) = statement.object() else {
        return malformed("Syntax error in policy.");
    };
    if let Some((field, _)) = fields
        .iter()
        .find(|(field, _)| !STATEMENT_FIELDS.contains(&field.as_str()))
    {
        return malformed(format!("Unknown field {field}"));
    }
    if statement
        .get("Sid")
        .is_some_and(|sid| sid.string().is_none())
    {
        return malformed("Syntax error in policy.");
    }
    let allow = match statement.get("Effect").map(Node::string) {
        None => return malformed("Missing required field Effect"),
        Some(None) => return malformed("Syntax error in policy."),
        Some(Some("Allow")) => true,
        Some(Some("Deny")) => false,
        Some(Some(effect)) => return malformed(format!("Invalid effect: {effect}")),
    };
    if statement.get("NotPrincipal").is_some() {
        return malformed(if allow {
            "Allow with NotPrincipal is not allowed."
        } else {
            "AssumeRole policy must not contain NotPrincipal field."
        });
    }
    let Some(principal) = statement.get("Principal") else {
        return malformed("Missing required field Principal");
    };
    match &principal.value {
        Value::Object(members) if members.is_empty() => {
            return malformed("Missing required field Principal cannot be empty!");
        }
        Value::Object(_) => {}
        // Bucket policies may say `"Principal": "*"`, trust policies may not.
        Value::String(text) if text == "*" => {
            return malformed("AssumeRolepolicy contained an invalid principal: \"STAR\":\"*\".");
        }
        Value::String(_) => return malformed("Principal must be a JSON object."),
        _ => return malformed("Syntax error in policy."),
    }
    if statement.get("Resource").is_some() {
        return malformed("Has prohibited field Resource");
    }
    if statement.get("NotResource").is_some() {
        return malformed("AssumeRole policy must not contain resources.");
    }
    let actions = match (statement.get("Action"), statement.get("NotAction")) {
        (None, None) => return malformed("Missing required field Action"),
        (Some(_), Some(_)) => return malformed("Syntax error in policy."),
        (Some(actions), None) | (None, Some(actions)) => actions,
    };
    match actions.strings() {
        None => return malformed("Syntax error in policy."),
        Some(actions) if actions.is_empty() => return malformed("Missing required field Action"),
        Some(actions)
            if !actions
                .iter()
                .all(|(action, _)| is_assume_role_action(action)) =>
        {
            return malformed("AssumeRole policy may only specify STS AssumeRole actions.");
        }
        Some(_) => {}
    }
    let conditions = statement.get("Condition");
    if let Some(conditions) = conditions {
        check_condition(conditions)?;
    }
    let cognito = principal
        .get("Federated")
        .and_then(Node::strings)
        .is_some_and(|values| {
            values
                .iter()
                .any(|(value, _)| *value == "cognito-identity.amazonaws.com")
        });
    if cognito
        && conditions.is_none_or(|conditions| conditions.object().is_none_or(<[_]>::is_empty))
    {
        return malformed("A condition block must be present for the Cognito provider");
    }
    Ok(())
}

/// Checks the shape and the operators of a condition block; the texts of the resource-policy parser.
fn check_condition(conditions: &Node) -> Result<(), IamError> {
    let Some(operators) = conditions.object() else {
        return malformed("Syntax error in policy.");
    };
    for (operator, keys) in operators {
        if !is_condition_operator(operator) {
            return malformed(format!("Invalid Condition type : {operator}"));
        }
        let Some(keys) = keys.object() else {
            return malformed("Syntax error in policy.");
        };
        for (_, values) in keys {
            if !is_condition_value(values) {
                return malformed("Syntax error in policy.");
            }
        }
    }
    Ok(())
}

/// Scalars, or lists of them.
pub(super) fn is_condition_value(node: &Node) -> bool {
    match &node.value {
        Value::String(_) | Value::Bool(_) | Value::Number(_) => true,
        Value::Array(items) => items.iter().all(|item| {
            matches!(
                item.value,
                Value::String(_) | Value::Bool(_) | Value::Number(_)
            )
        }),
        Value::Null | Value::Object(_) => false,
    }
}

/// Whether IAM knows a condition operator, set prefix and `IfExists` included.
pub(super) fn is_condition_operator(operator: &str) -> bool {
    const OPERATORS: [&str; 27] = [
        "ArnEquals",
        "ArnLike",
        "ArnNotEquals",
        "ArnNotLike",
        "BinaryEquals",
        "Bool",
        "DateEquals",
        "DateGreaterThan",
        "DateGreaterThanEquals",
        "DateLessThan",
        "DateLessThanEquals",
        "DateNotEquals",
        "IpAddress",
        "NotIpAddress",
        "Null",
        "NumericEquals",
        "NumericGreaterThan",
        "NumericGreaterThanEquals",
        "NumericLessThan",
        "NumericLessThanEquals",
        "NumericNotEquals",
        "StringEquals",
        "StringEqualsIgnoreCase",
        "StringLike",
        "StringNotEquals",
        "StringNotEqualsIgnoreCase",
        "StringNotLike",
    ];
    let bare = operator
        .strip_prefix("ForAnyValue:")
        .or_else(|| operator.strip_prefix("ForAllValues:"))
        .unwrap_or(operator);
    let name = bare.strip_suffix("IfExists").unwrap_or(bare);
    OPERATORS.contains(&name) && (name != "Null" || name == bare)
}

/// Action names ignore case; a wildcard must reach one of STS's actions.
fn is_assume_role_action(action: &str) -> bool {
    let action = action.to_ascii_lowercase();
    action.starts_with("sts:") && ACTIONS.iter().any(|known| wildcard_match(&action, known))
}

/// Matches `*` and `?`.
pub(super) fn wildcard_match(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) =
        (pattern.chars().collect(), text.chars().collect());
    let (mut p, mut t) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    while t < text.len() {
        if p < pattern.len() && pattern[p] == '*' {
            retry = Some((p, t));
            p += 1;
        } else if p < pattern.len() && (pattern[p] == '?' || pattern[p] == text[t]) {
            p += 1;
            t += 1;
        } else if let Some((star, from)) = retry {
            retry = Some((star, from + 1));
            p = star + 1;
            t = from + 1;
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|character| *character == '*')
}

/// Kind, position and value of a principal.
type Principal<'a> = (&'a str, Range<usize>, &'a str);

/// All principals of a statement.
fn principals(statement: &Node) -> Result<Vec<Principal<'_>>, IamError> {
    let mut out = Vec::new();
    for (kind, values) in statement
        .get("Principal")
        .and_then(Node::object)
        .unwrap_or_default()
    {
        if !["AWS", "Service", "Federated"].contains(&kind.as_str()) {
            return malformed(format!("Invalid principal in policy: \"{kind}\""));
        }
        match values.strings() {
            None => return malformed("Syntax error in policy."),
            Some(values) if values.is_empty() => {
                return malformed("Missing required field Principal cannot be empty!");
            }
            Some(values) => out.extend(
                values
                    .into_iter()
                    .map(|(value, range)| (kind.as_str(), range, value)),
            ),
        }
    }
    Ok(out)
}

enum Resolved {
    AsGiven,
    Account(String),
    Entity { unique_id: String, arn: String },
}

/// What a principal stands for; `None` if IAM would not take it.
fn resolve(kind: &str, value: &str, directory: &impl Directory) -> Option<Resolved> {
    match kind {
        "Service" => {
            is_service_principal(value, directory.partition()).then_some(Resolved::AsGiven)
        }
        "Federated" => is_federated(value, directory.partition()).then_some(Resolved::AsGiven),
        _ => resolve_aws(value, directory),
    }
}

fn resolve_aws(value: &str, directory: &impl Directory) -> Option<Resolved> {
    if value == "*" {
        return Some(Resolved::AsGiven);
    }
    if is_account_id(value) {
        return Some(Resolved::Account(format!(
            "arn:{}:iam::{value}:root",
            directory.partition()
        )));
    }
    if value.starts_with("AROA") || value.starts_with("AIDA") {
        // A dead id is what is left of a deleted role; IAM shows it but does not take it back.
        let arn = directory.arn(value)?;
        return Some(Resolved::Entity {
            unique_id: value.to_owned(),
            arn,
        });
    }
    let mut parts = value.splitn(6, ':');
    let (arn, partition, service) = (parts.next()?, parts.next()?, parts.next()?);
    let (region, account, resource) = (parts.next()?, parts.next()?, parts.next()?);
    if arn != "arn"
        || partition != directory.partition()
        || !region.is_empty()
        || !is_account_id(account)
        || resource.contains(['*', '?'])
    {
        return None;
    }
    match (service, resource.split_once('/')) {
        ("iam", None) => (resource == "root").then_some(Resolved::AsGiven),
        ("iam", Some(("role" | "user", name))) if !name.is_empty() && !name.ends_with('/') => {
            if account == directory.account_id() {
                let unique_id = directory.unique_id(value)?;
                Some(Resolved::Entity {
                    unique_id,
                    arn: value.to_owned(),
                })
            } else {
                // Other accounts' entities are not known here.
                Some(Resolved::AsGiven)
            }
        }
        ("sts", Some(("assumed-role", session))) => {
            let (role, name) = session.split_once('/')?;
            (!role.is_empty() && !name.is_empty() && !name.contains('/'))
                .then_some(Resolved::AsGiven)
        }
        ("sts", Some(("federated-user", name))) => (!name.is_empty()).then_some(Resolved::AsGiven),
        _ => None,
    }
}

fn is_account_id(value: &str) -> bool {
    value.len() == 12 && value.bytes().all(|byte| byte.is_ascii_digit())
}

/// Whether a provider exists is found out when the role is assumed, not when the trust is written.
fn is_federated(value: &str, partition: &str) -> bool {
    if matches!(
        value,
        "cognito-identity.amazonaws.com"
            | "accounts.google.com"
            | "graph.facebook.com"
            | "www.amazon.com"
    ) {
        return true;
    }
    let parts: Vec<_> = value.splitn(6, ':').collect();
    let [arn, in_partition, "iam", "", account, resource] = parts[..] else {
        return false;
    };
    let named = resource
        .strip_prefix("oidc-provider/")
        .or_else(|| resource.strip_prefix("saml-provider/"));
    arn == "arn"
        && in_partition == partition
        && is_account_id(account)
        && named.is_some_and(|name| !name.is_empty() && !name.contains(['*', '?', ' ']))
}

#[cfg(test)]
mod tests;
