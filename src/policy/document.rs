//! The IAM policy document: read without loss, changed in place, written back.
//!
//! A [`Document`] keeps every member in its order, known or not, so that changing one statement leaves the rest as it was.

use serde_json::{Map, Value};
use thiserror::Error;

mod scan;

/// The version that gives policy variables their meaning. A document without `Version` is of the older 2008-10-17.
pub const VERSION: &str = "2012-10-17";

/// Why a text is not an IAM policy document.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ParseError {
    /// Nothing, or only white space.
    #[error("the policy document is empty")]
    Empty,
    /// Not JSON.
    #[error(
        "the policy document is not valid JSON: {message} at byte offset {offset} (line {line}, column {column})"
    )]
    Syntax {
        /// What the JSON parser says.
        message: String,
        /// Where, in bytes from the start.
        offset: usize,
        /// The line, from 1.
        line: usize,
        /// The byte in the line, from 1.
        column: usize,
    },
    /// JSON, but not an object.
    #[error("the policy document must be a JSON object, but it is {found}")]
    NotAnObject {
        /// What it is, with its article.
        found: &'static str,
    },
    /// A JSON string that holds a document.
    #[error(
        "the policy document is a JSON string that itself holds JSON: it was encoded twice, remove one jsonencode()"
    )]
    DoubleEncoded,
    /// One object has the same member twice, of which IAM would silently use one.
    #[error(
        "the policy document has the member {path} twice, the second time at byte offset {offset}"
    )]
    DuplicateKey {
        /// The member, such as `Statement[0].Condition.StringEquals`.
        path: String,
        /// Where the second one starts, in bytes.
        offset: usize,
    },
    /// A known member of the wrong type.
    #[error("{path} must be {expected}, but it is {found}")]
    Shape {
        /// The member, such as `Statement[0].Action`.
        path: String,
        /// What it must be.
        expected: &'static str,
        /// What it is, with its article.
        found: &'static str,
    },
}

/// An IAM policy document: a trust policy, a permission policy or a session policy.
///
/// Equality with `==` is equality of the JSON; for equality of meaning see [`crate::policy::equivalent`].
#[derive(Debug, Clone)]
pub struct Document {
    /// All top-level members in order. The statements' own place holds `Null`.
    members: Map<String, Value>,
    statements: Vec<Statement>,
    single: bool,
}

/// One statement of a policy document, with all its members in their order.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Statement {
    members: Map<String, Value>,
}

/// The `Effect` of a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Effect {
    /// `Allow`.
    Allow,
    /// `Deny`.
    Deny,
}

/// The `Principal` or `NotPrincipal` of a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Principal<'a> {
    /// A bare string; `*` is the only one that IAM accepts.
    Text(&'a str),
    /// Values by type: `AWS`, `Service`, `Federated`, `CanonicalUser`.
    Typed(Vec<(&'a str, Vec<&'a str>)>),
}

impl<'a> Principal<'a> {
    /// The values of one type, such as `Service`.
    pub fn of_type(&self, kind: &str) -> Vec<&'a str> {
        match self {
            Self::Text(_) => Vec::new(),
            Self::Typed(types) => types
                .iter()
                .filter(|(name, _)| *name == kind)
                .flat_map(|(_, values)| values.iter().copied())
                .collect(),
        }
    }

    /// Whether everybody is meant: `"*"` or `{"AWS": "*"}`.
    pub fn is_everyone(&self) -> bool {
        match self {
            Self::Text(text) => *text == "*",
            Self::Typed(_) => self.of_type("AWS").contains(&"*"),
        }
    }
}

/// One line of a `Condition`: an operator, a key and its values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition<'a> {
    /// The operator as written, such as `StringEquals` or `ForAnyValue:StringLike`.
    pub operator: &'a str,
    /// The key as written, such as `aws:SourceArn`.
    pub key: &'a str,
    /// The values; booleans and numbers as text.
    pub values: Vec<String>,
}

impl Document {
    /// A document of the current version with these statements, in the order `Version`, `Statement`.
    pub fn new(statements: Vec<Statement>) -> Self {
        let mut members = Map::new();
        members.insert("Version".to_owned(), Value::from(VERSION));
        members.insert("Statement".to_owned(), Value::Null);
        Self {
            members,
            statements,
            single: false,
        }
    }

    /// Parses a document. Whatever IAM accepts is accepted; unknown members are kept.
    ///
    /// # Errors
    /// [`ParseError`] says what is wrong and where.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        match parse_value(text)? {
            Value::Object(members) => Self::from_members(members),
            other => Err(not_an_object(&other)),
        }
    }

    /// The document as compact JSON, members in their order.
    pub fn to_json(&self) -> String {
        Value::Object(self.to_members()).to_string()
    }

    /// The document as JSON with two spaces of indentation, for people.
    pub fn to_json_pretty(&self) -> String {
        format!("{:#}", Value::Object(self.to_members()))
    }

    /// The `Version`; without one, IAM takes 2008-10-17.
    pub fn version(&self) -> Option<&str> {
        self.text("Version")
    }

    /// The `Id`.
    pub fn id(&self) -> Option<&str> {
        self.text("Id")
    }

    /// The statements in order, whether written as a list or as a single object.
    pub fn statements(&self) -> &[Statement] {
        &self.statements
    }

    /// The statements, to be changed. A document written with a single object becomes one with a list when there is more or less than one.
    pub fn statements_mut(&mut self) -> &mut Vec<Statement> {
        &mut self.statements
    }

    /// Whether `${…}` is a policy variable: only in version 2012-10-17 (IAM user guide, "Policy elements: Version").
    pub fn has_variables(&self) -> bool {
        self.version() == Some(VERSION)
    }

    pub(super) fn from_members(mut members: Map<String, Value>) -> Result<Self, ParseError> {
        for name in ["Version", "Id"] {
            if let Some(value) = member(&members, name)
                && !value.is_string()
            {
                return Err(ParseError::Shape {
                    path: name.to_owned(),
                    expected: "a string",
                    found: kind(value),
                });
            }
        }
        let mut single = false;
        let key = members
            .keys()
            .find(|key| key.eq_ignore_ascii_case("Statement"))
            .cloned();
        let statements = match key.and_then(|key| members.get_mut(&key)).map(Value::take) {
            None => Vec::new(),
            Some(Value::Object(statement)) => {
                single = true;
                vec![Statement::from_members(statement, "Statement")?]
            }
            Some(Value::Array(items)) => items
                .into_iter()
                .enumerate()
                .map(|(index, item)| statement_at(item, &format!("Statement[{index}]")))
                .collect::<Result<_, _>>()?,
            Some(other) => {
                return Err(ParseError::Shape {
                    path: "Statement".to_owned(),
                    expected: "an object or a list of objects",
                    found: kind(&other),
                });
            }
        };
        Ok(Self {
            members,
            statements,
            single,
        })
    }

    /// Whether the statement is written without a list around it.
    fn is_single(&self) -> bool {
        self.single && self.statements.len() == 1
    }

    fn to_members(&self) -> Map<String, Value> {
        let mut members = self.members.clone();
        let statements = match (&self.statements[..], self.is_single()) {
            ([statement], true) => Value::Object(statement.members.clone()),
            (statements, _) => Value::Array(
                statements
                    .iter()
                    .map(|statement| Value::Object(statement.members.clone()))
                    .collect(),
            ),
        };
        match members
            .keys()
            .find(|key| key.eq_ignore_ascii_case("Statement"))
            .cloned()
        {
            Some(key) => {
                members.insert(key, statements);
            }
            None if self.statements.is_empty() => {}
            None => {
                members.insert("Statement".to_owned(), statements);
            }
        }
        members
    }

    fn text(&self, name: &str) -> Option<&str> {
        member(&self.members, name).and_then(Value::as_str)
    }
}

impl PartialEq for Document {
    fn eq(&self, other: &Self) -> bool {
        self.is_single() == other.is_single()
            && self.statements == other.statements
            && self.members == other.members
    }
}

impl Statement {
    /// Parses one statement, a list of them, or the statements of a whole document: the forms in which people write additional statements.
    ///
    /// # Errors
    /// [`ParseError`] says what is wrong and where.
    pub fn parse_all(text: &str) -> Result<Vec<Self>, ParseError> {
        match parse_value(text)? {
            Value::Array(items) => items
                .into_iter()
                .enumerate()
                .map(|(index, item)| statement_at(item, &format!("[{index}]")))
                .collect(),
            Value::Object(members) if member(&members, "Statement").is_some() => {
                Ok(Document::from_members(members)?.statements)
            }
            Value::Object(members) => Ok(vec![Self::from_members(members, "")?]),
            other => Err(not_an_object(&other)),
        }
    }

    /// A statement that has exactly these members, in this order.
    ///
    /// # Errors
    /// [`ParseError::Shape`] when a known member has the wrong type.
    pub fn from_json(members: Map<String, Value>) -> Result<Self, ParseError> {
        Self::from_members(members, "")
    }

    /// All members in order.
    pub fn members(&self) -> &Map<String, Value> {
        &self.members
    }

    /// All members, to be changed by those who keep the shapes.
    pub(super) fn members_mut(&mut self) -> &mut Map<String, Value> {
        &mut self.members
    }

    /// The statement as compact JSON.
    pub fn to_json(&self) -> String {
        Value::Object(self.members.clone()).to_string()
    }

    /// The `Sid`.
    pub fn sid(&self) -> Option<&str> {
        self.members.get("Sid").and_then(Value::as_str)
    }

    /// The `Effect` in any letter case; `None` when it is missing or no effect at all.
    pub fn effect(&self) -> Option<Effect> {
        let text = self.members.get("Effect")?.as_str()?;
        if text.eq_ignore_ascii_case("Allow") {
            Some(Effect::Allow)
        } else if text.eq_ignore_ascii_case("Deny") {
            Some(Effect::Deny)
        } else {
            None
        }
    }

    /// The values of a member that is a string or a list of strings: `Action`, `NotAction`, `Resource`, `NotResource`.
    pub fn list(&self, name: &str) -> Vec<&str> {
        self.members.get(name).map(strings).unwrap_or_default()
    }

    /// The `Principal`.
    pub fn principal(&self) -> Option<Principal<'_>> {
        self.members.get("Principal").map(principal)
    }

    /// The `NotPrincipal`.
    pub fn not_principal(&self) -> Option<Principal<'_>> {
        self.members.get("NotPrincipal").map(principal)
    }

    /// All lines of the `Condition`, in order.
    pub fn conditions(&self) -> Vec<Condition<'_>> {
        let Some(Value::Object(operators)) = self.members.get("Condition") else {
            return Vec::new();
        };
        operators
            .iter()
            .filter_map(|(operator, keys)| Some((operator, keys.as_object()?)))
            .flat_map(|(operator, keys)| {
                keys.iter().map(move |(key, values)| Condition {
                    operator,
                    key,
                    values: scalars(values),
                })
            })
            .collect()
    }

    fn from_members(members: Map<String, Value>, path: &str) -> Result<Self, ParseError> {
        for (name, value) in &members {
            let path = join(path, name);
            match name.as_str() {
                "Sid" | "Effect" => check(value.is_string(), &path, "a string", value)?,
                "Action" | "NotAction" | "Resource" | "NotResource" => check_strings(value, &path)?,
                "Principal" | "NotPrincipal" => match value {
                    Value::Object(types) => types
                        .iter()
                        .try_for_each(|(kind, values)| check_strings(values, &join(&path, kind)))?,
                    _ => check(value.is_string(), &path, "\"*\" or an object", value)?,
                },
                "Condition" => {
                    let operators = value
                        .as_object()
                        .ok_or_else(|| shape(&path, "an object", value))?;
                    for (operator, keys) in operators {
                        let path = join(&path, operator);
                        let keys = keys
                            .as_object()
                            .ok_or_else(|| shape(&path, "an object", keys))?;
                        for (key, values) in keys {
                            check_scalars(values, &join(&path, key))?;
                        }
                    }
                }
                _ => {}
            }
        }
        Ok(Self { members })
    }
}

/// The normal form of a condition value: text as it is, booleans and numbers as text, so that `5`, `5.0` and `"5"` are one.
pub(super) fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Number(number) => Some(normal_number(&number.to_string())),
        _ => None,
    }
}

fn parse_value(text: &str) -> Result<Value, ParseError> {
    if text.trim().is_empty() {
        return Err(ParseError::Empty);
    }
    let value = serde_json::from_str(text).map_err(|error| syntax(text, &error))?;
    scan::duplicate_key(text).map_or(Ok(value), |(path, offset)| {
        Err(ParseError::DuplicateKey { path, offset })
    })
}

fn syntax(text: &str, error: &serde_json::Error) -> ParseError {
    let (line, column) = (error.line(), error.column());
    let line_start: usize = text
        .split_inclusive('\n')
        .take(line.saturating_sub(1))
        .map(str::len)
        .sum();
    let message = error.to_string();
    let message = message
        .rsplit_once(" at line ")
        .map_or(message.as_str(), |(message, _)| message)
        .to_owned();
    ParseError::Syntax {
        message,
        offset: line_start + column.saturating_sub(1),
        line,
        column,
    }
}

fn not_an_object(value: &Value) -> ParseError {
    match value {
        Value::String(text)
            if matches!(
                serde_json::from_str(text),
                Ok(Value::Object(_) | Value::Array(_))
            ) =>
        {
            ParseError::DoubleEncoded
        }
        other => ParseError::NotAnObject { found: kind(other) },
    }
}

fn statement_at(item: Value, path: &str) -> Result<Statement, ParseError> {
    match item {
        Value::Object(members) => Statement::from_members(members, path),
        other => Err(shape(path, "an object", &other)),
    }
}

/// A top-level member by name. Their letter case is not significant to the readers of policies that users come from.
fn member<'a>(members: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    members.get(name).or_else(|| {
        members
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    })
}

fn principal(value: &Value) -> Principal<'_> {
    match value {
        Value::Object(types) => Principal::Typed(
            types
                .iter()
                .map(|(kind, values)| (kind.as_str(), strings(values)))
                .collect(),
        ),
        other => Principal::Text(other.as_str().unwrap_or_default()),
    }
}

fn strings(value: &Value) -> Vec<&str> {
    match value {
        Value::Array(items) => items.iter().filter_map(Value::as_str).collect(),
        other => other.as_str().into_iter().collect(),
    }
}

fn scalars(value: &Value) -> Vec<String> {
    match value {
        Value::Array(items) => items.iter().filter_map(scalar).collect(),
        other => scalar(other).into_iter().collect(),
    }
}

fn check(valid: bool, path: &str, expected: &'static str, value: &Value) -> Result<(), ParseError> {
    if valid {
        Ok(())
    } else {
        Err(shape(path, expected, value))
    }
}

fn check_strings(value: &Value, path: &str) -> Result<(), ParseError> {
    match value {
        Value::Array(items) => items.iter().enumerate().try_for_each(|(index, item)| {
            check(
                item.is_string(),
                &format!("{path}[{index}]"),
                "a string",
                item,
            )
        }),
        other => check(
            other.is_string(),
            path,
            "a string or a list of strings",
            other,
        ),
    }
}

fn check_scalars(value: &Value, path: &str) -> Result<(), ParseError> {
    match value {
        Value::Array(items) => items.iter().enumerate().try_for_each(|(index, item)| {
            check(
                scalar(item).is_some(),
                &format!("{path}[{index}]"),
                "a string, a number or a boolean",
                item,
            )
        }),
        other => check(
            scalar(other).is_some(),
            path,
            "a string, a number, a boolean or a list of them",
            other,
        ),
    }
}

fn shape(path: &str, expected: &'static str, value: &Value) -> ParseError {
    ParseError::Shape {
        path: if path.is_empty() {
            "the statement".to_owned()
        } else {
            path.to_owned()
        },
        expected,
        found: kind(value),
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() {
        name.to_owned()
    } else {
        format!("{path}.{name}")
    }
}

/// Decimal text without exponent and without zeros that carry nothing. Numbers of absurd size keep their own text.
fn normal_number(text: &str) -> String {
    let (negative, unsigned) = text
        .strip_prefix('-')
        .map_or((false, text), |rest| (true, rest));
    let (mantissa, exponent) = unsigned.split_once(['e', 'E']).unwrap_or((unsigned, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let Ok(exponent) = exponent.parse::<i32>() else {
        return text.to_owned();
    };
    if exponent.abs() > 400 {
        return text.to_owned();
    }
    let digits: String = [whole, fraction].concat();
    let point = i64::from(exponent) + whole.len() as i64;
    let mut digits = digits;
    let mut point = point;
    if point < 0 {
        digits.insert_str(0, &"0".repeat(point.unsigned_abs() as usize));
        point = 0;
    }
    let point = point as usize;
    if digits.len() < point {
        digits.push_str(&"0".repeat(point - digits.len()));
    }
    let (whole, fraction) = digits.split_at(point);
    let whole = whole.trim_start_matches('0');
    let fraction = fraction.trim_end_matches('0');
    let whole = if whole.is_empty() { "0" } else { whole };
    let number = if fraction.is_empty() {
        whole.to_owned()
    } else {
        format!("{whole}.{fraction}")
    };
    if negative && number != "0" {
        format!("-{number}")
    } else {
        number
    }
}

#[cfg(test)]
mod tests;
