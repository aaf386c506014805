//! The grammar of identity policies, inline and managed: the checks IAM makes and the order it reports them in.

use super::error::IamError;
use super::json::{self, Node, Value};
use super::trust::{is_condition_operator, is_condition_value};

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

const PARTITIONS: [&str; 9] = [
    "aws",
    "aws-cn",
    "aws-us-gov",
    "aws-eusc",
    "aws-iso",
    "aws-iso-b",
    "aws-iso-e",
    "aws-iso-f",
    "*",
];

fn malformed<T>(message: impl Into<String>) -> Result<T, IamError> {
    Err(IamError::malformed_policy(message))
}

/// Checks a document.
///
/// # Errors
///
/// `MalformedPolicyDocument`.
pub(super) fn check(text: &str) -> Result<(), IamError> {
    const SYNTAX: &str = "Syntax errors in policy.";
    let Some(document) = json::parse(text) else {
        return malformed(SYNTAX);
    };
    let Some(statements) = statements(&document) else {
        return malformed(SYNTAX);
    };
    if statements.iter().any(|statement| {
        statement.get("Principal").is_some() || statement.get("NotPrincipal").is_some()
    }) {
        return malformed("Policy document should not specify a principal.");
    }
    if document.get("Version").and_then(Node::string) != Some("2012-10-17") {
        return malformed("Policy document must be version 2012-10-17 or greater.");
    }
    // Spelt in another case, an effect passes IAM's grammar but not the parser behind it.
    if statements.iter().any(|statement| {
        !matches!(
            statement.get("Effect").and_then(Node::string),
            Some("Allow" | "Deny")
        )
    }) {
        return malformed("The policy failed legacy parsing");
    }
    check_sids(&statements)?;
    for statement in &statements {
        if strings(statement, "Action", "NotAction").is_empty() {
            return malformed("Policy statement must contain actions.");
        }
    }
    for statement in &statements {
        for resource in strings(statement, "Resource", "NotResource") {
            check_resource(resource)?;
        }
    }
    for statement in &statements {
        for action in strings(statement, "Action", "NotAction") {
            check_action(action)?;
        }
    }
    for statement in &statements {
        if strings(statement, "Resource", "NotResource").is_empty() {
            return malformed("Policy statement must contain resources.");
        }
    }
    Ok(())
}

/// The statements of a document whose shape is right.
pub(super) fn statements(document: &Node) -> Option<Vec<&Node>> {
    let fields = document.object()?;
    if !fields
        .iter()
        .all(|(field, _)| matches!(field.as_str(), "Version" | "Id" | "Statement"))
    {
        return None;
    }
    if let Some(version) = document.get("Version") {
        matches!(version.string(), Some("2012-10-17" | "2008-10-17")).then_some(())?;
    }
    if let Some(id) = document.get("Id") {
        id.string()?;
    }
    let node = document.get("Statement")?;
    let statements: Vec<_> = match &node.value {
        Value::Array(items) => items.iter().collect(),
        Value::Object(_) => vec![node],
        _ => return None,
    };
    (!statements.is_empty() && statements.iter().all(|statement| has_shape(statement)))
        .then_some(statements)
}

fn has_shape(statement: &Node) -> bool {
    let Some(fields) = statement.object() else {
        return false;
    };
    let both = |a: &str, b: &str| statement.get(a).is_some() && statement.get(b).is_some();
    fields.iter().all(|(field, value)| {
        STATEMENT_FIELDS.contains(&field.as_str())
            && match field.as_str() {
                "Sid" => value.string().is_some(),
                "Effect" => value.string().is_some_and(|effect| {
                    effect.eq_ignore_ascii_case("allow") || effect.eq_ignore_ascii_case("deny")
                }),
                "Action" | "NotAction" | "Resource" | "NotResource" => value.strings().is_some(),
                "Condition" => has_condition_shape(value),
                _ => true,
            }
    }) && statement.get("Effect").is_some()
        && !both("Action", "NotAction")
        && !both("Resource", "NotResource")
}

fn has_condition_shape(condition: &Node) -> bool {
    condition.object().is_some_and(|operators| {
        operators.iter().all(|(operator, keys)| {
            keys.object().is_some_and(|keys| {
                (keys.is_empty() || is_condition_operator(operator))
                    && keys.iter().all(|(_, values)| is_condition_value(values))
            })
        })
    })
}

/// The values of whichever of two fields is there.
pub(super) fn strings<'a>(statement: &'a Node, field: &str, negated: &str) -> Vec<&'a str> {
    let values = statement
        .get(field)
        .or_else(|| statement.get(negated))
        .and_then(Node::strings);
    values
        .unwrap_or_default()
        .into_iter()
        .map(|(value, _)| value)
        .collect()
}

fn check_sids(statements: &[&Node]) -> Result<(), IamError> {
    let mut seen = Vec::new();
    for sid in statements
        .iter()
        .filter_map(|statement| statement.get("Sid"))
        .filter_map(Node::string)
        .filter(|sid| !sid.is_empty())
    {
        if !sid.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return malformed(
                "Statement IDs (SID) must be alpha-numeric. Check that your input satisfies the regular expression [0-9A-Za-z]*",
            );
        }
        if seen.contains(&sid) {
            return malformed("Statement IDs (SID) in a single policy must be unique.");
        }
        seen.push(sid);
    }
    Ok(())
}

fn check_resource(resource: &str) -> Result<(), IamError> {
    if resource == "*" {
        return Ok(());
    }
    let parts: Vec<_> = resource.splitn(6, ':').collect();
    if parts[0] != "arn" || parts.len() == 1 {
        return malformed(format!(
            "Resource {resource} must be in ARN format or \"*\"."
        ));
    }
    if !PARTITIONS.contains(&parts[1]) {
        return malformed(format!(
            "Partition \"{}\" is not valid for resource \"{resource}\".",
            parts[1]
        ));
    }
    // A trailing wildcard may stand for the parts left out.
    if parts.len() < 6 && !resource.ends_with('*') {
        return malformed("The policy failed legacy parsing");
    }
    Ok(())
}

fn check_action(action: &str) -> Result<(), IamError> {
    if action == "*" {
        return Ok(());
    }
    let Some((vendor, name)) = action.split_once(':') else {
        return malformed(
            "Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc.",
        );
    };
    if name.contains(':') {
        return malformed("Actions/Condition can contain only one colon.");
    }
    if !vendor
        .chars()
        .all(|character| character.is_ascii_alphanumeric() || matches!(character, '-' | '.'))
    {
        return malformed(format!("Vendor {vendor} is not valid"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn statement(fields: &str) -> String {
        format!("{{\"Version\":\"2012-10-17\",\"Statement\":[{{\"Effect\":\"Allow\",{fields}}}]}}")
    }

    #[test]
    fn refuses_with_the_texts_of_iam() {
        const S3: &str = "\"Action\":\"s3:GetObject\"";
        let cases = [
            ("not JSON", "x".into(), "Syntax errors in policy."),
            ("key twice", statement("\"Action\":\"s3:GetObject\",\"Action\":\"s3:PutObject\",\"Resource\":\"*\""), "Syntax errors in policy."),
            ("no statement", "{\"Version\":\"2012-10-17\"}".into(), "Syntax errors in policy."),
            ("empty statement", "{\"Version\":\"2012-10-17\",\"Statement\":[]}".into(), "Syntax errors in policy."),
            ("unknown field", statement(&format!("{S3},\"Resource\":\"*\",\"Extra\":1")), "Syntax errors in policy."),
            ("version value", "{\"Version\":\"2012\",\"Statement\":{\"Effect\":\"Allow\",\"Action\":\"a:b\",\"Resource\":\"*\"}}".into(), "Syntax errors in policy."),
            ("no version", "{\"Statement\":{\"Effect\":\"Allow\",\"Action\":\"a:b\",\"Resource\":\"*\"}}".into(), "Policy document must be version 2012-10-17 or greater."),
            ("old version", "{\"Version\":\"2008-10-17\",\"Statement\":{\"Effect\":\"Allow\",\"Action\":\"a:b\",\"Resource\":\"*\"}}".into(), "Policy document must be version 2012-10-17 or greater."),
            ("effect", "{\"Version\":\"2012-10-17\",\"Statement\":{\"Effect\":\"Maybe\",\"Action\":\"a:b\",\"Resource\":\"*\"}}".into(), "Syntax errors in policy."),
            ("effect case", "{\"Version\":\"2012-10-17\",\"Statement\":{\"Effect\":\"allow\",\"Action\":\"a:b\",\"Resource\":\"*\"}}".into(), "The policy failed legacy parsing"),
            ("principal", statement(&format!("{S3},\"Resource\":\"*\",\"Principal\":{{\"AWS\":\"*\"}}")), "Policy document should not specify a principal."),
            ("both actions", statement(&format!("{S3},\"NotAction\":\"s3:PutObject\",\"Resource\":\"*\"")), "Syntax errors in policy."),
            ("condition", statement(&format!("{S3},\"Resource\":\"*\",\"Condition\":{{\"StringEqualz\":{{\"a:b\":\"c\"}}}}")), "Syntax errors in policy."),
            ("sid characters", statement(&format!("\"Sid\":\"a b\",{S3},\"Resource\":\"*\"")), "Statement IDs (SID) must be alpha-numeric. Check that your input satisfies the regular expression [0-9A-Za-z]*"),
            ("sid twice", format!("{{\"Version\":\"2012-10-17\",\"Statement\":[{0},{0}]}}", format_args!("{{\"Sid\":\"a\",\"Effect\":\"Allow\",{S3},\"Resource\":\"*\"}}")), "Statement IDs (SID) in a single policy must be unique."),
            ("no action", statement("\"Resource\":\"*\""), "Policy statement must contain actions."),
            ("no actions", statement("\"Action\":[],\"Resource\":\"*\""), "Policy statement must contain actions."),
            ("no vendor", statement("\"Action\":\"GetObject\",\"Resource\":\"*\""), "Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc."),
            ("colons", statement("\"Action\":\"s3:Get:Object\",\"Resource\":\"*\""), "Actions/Condition can contain only one colon."),
            ("vendor", statement("\"Action\":\"a a:b\",\"Resource\":\"*\""), "Vendor a a is not valid"),
            ("no resource", statement(S3), "Policy statement must contain resources."),
            ("no resources", statement(&format!("{S3},\"Resource\":[]")), "Policy statement must contain resources."),
            ("resource form", statement(&format!("{S3},\"Resource\":[\"*\",\"bucket\"]")), "Resource bucket must be in ARN format or \"*\"."),
            ("partition", statement(&format!("{S3},\"Resource\":\"arn:b:s3:::x\"")), "Partition \"b\" is not valid for resource \"arn:b:s3:::x\"."),
            ("short ARN", statement(&format!("{S3},\"Resource\":\"arn:aws:s3:x\"")), "The policy failed legacy parsing"),
        ];
        for (name, document, message) in cases {
            let error = check(&document).unwrap_err();
            assert_eq!(
                (error.status, error.code.as_str(), error.message.as_str()),
                (400, "MalformedPolicyDocument", message),
                "{name}"
            );
        }
    }

    #[test]
    fn accepts_what_iam_accepts() {
        for fields in [
            "\"Action\":\"*\",\"Resource\":\"*\"",
            "\"NotAction\":[\"iam:*\"],\"NotResource\":[\"arn:aws:s3:::x/*\",\"arn:aws:s3:*\"]",
            "\"Sid\":\"\",\"Action\":\"s3:Get*\",\"Resource\":\"arn:aws-cn:s3:::b\",\"Condition\":{\"Bool\":{\"aws:SecureTransport\":true},\"ForAllValues:StringLikeIfExists\":{\"a:b\":[\"c\",\"d\"]}}",
        ] {
            check(&statement(fields)).unwrap();
        }
    }
}
