//! Whether a role can work with EKS Pod Identity, judged from its trust policy before anything is changed.
//!
//! EKS refuses an association only when the trust policy does not allow its principal both actions at all. Whether the conditions can ever hold it does not
//! check, and a pod then gets no credentials without anybody having been told. [`analyze`] finds both, and says neither when it cannot know.

use std::fmt;

use super::arn::RoleArn;
use super::condition::{Actual, Glob, Tri, is_exact, is_positive};
use super::document::{Condition, Document, Effect, Statement};
use super::request::{Answer, Caller, PodContext, Request, SESSION_TAGS, answers};
use super::{ASSUME_ROLE, TAG_SESSION};

/// What can be said of a trust policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The pod gets credentials, as far as the trust policy is concerned.
    Works,
    /// The association is refused, or the pod never gets credentials. At least one reason.
    CanNeverWork(Vec<Reason>),
    /// It depends on something that is not known here. At least one reason.
    CannotTell(Vec<Reason>),
}

/// A statement of the document that was judged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatementRef {
    /// Its place, from 0.
    pub index: usize,
    /// Its `Sid`.
    pub sid: Option<String>,
}

impl StatementRef {
    fn of(index: usize, statement: &Statement) -> Self {
        Self {
            index,
            sid: statement.sid().map(str::to_owned),
        }
    }
}

impl fmt::Display for StatementRef {
    /// `statement 2 ("Sid")`, counted from 1.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "statement {}", self.index + 1)?;
        self.sid
            .as_ref()
            .map_or(Ok(()), |sid| write!(f, " ({sid:?})"))
    }
}

/// Why a trust policy cannot work or cannot be judged. `Display` is a sentence without its full stop, [`Reason::advice`] what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// No statement allows the principal anything.
    NoPodIdentityStatement {
        /// The principal that must be allowed.
        principal: String,
    },
    /// A statement names the principal, but no statement allows it this action.
    MissingAction {
        /// `sts:AssumeRole` or `sts:TagSession`.
        action: &'static str,
        /// The principal that must be allowed.
        principal: String,
    },
    /// The condition excludes this cluster, namespace, service account, account or role.
    ExcludedByCondition {
        /// The statement.
        statement: StatementRef,
        /// The operator as written.
        operator: String,
        /// The key as written.
        key: String,
        /// The values as written.
        values: Vec<String>,
        /// The value that the request will have, as far as it is known.
        actual: Option<String>,
    },
    /// The condition asks for exact text that holds `*` or `?`.
    WildcardInExactComparison {
        /// The statement.
        statement: StatementRef,
        /// The operator as written.
        operator: String,
        /// The key as written.
        key: String,
        /// The value with the wildcard.
        value: String,
    },
    /// The condition asks for a session tag, but session tags are off.
    SessionTagsOffButConditioned {
        /// The statement.
        statement: StatementRef,
        /// The key as written.
        key: String,
    },
    /// `aws:SourceArn` is compared with the ARN of an association.
    SourceArnIsAssociation {
        /// The statement.
        statement: StatementRef,
        /// The values as written.
        values: Vec<String>,
    },
    /// The condition asks for a key that such a request never has.
    KeyNeverPresent {
        /// The statement.
        statement: StatementRef,
        /// The key as written.
        key: String,
        /// The key that was probably meant.
        meant: Option<String>,
    },
    /// A statement denies it.
    ExplicitDeny {
        /// The statement.
        statement: StatementRef,
        /// The action that is denied.
        action: &'static str,
    },
    /// A statement may deny it.
    PossibleDeny {
        /// The statement.
        statement: StatementRef,
        /// The action that may be denied.
        action: &'static str,
    },
    /// The condition depends on a value that is not known before the pod asks.
    UnknownValue {
        /// The statement.
        statement: StatementRef,
        /// The operator as written.
        operator: String,
        /// The key as written.
        key: String,
    },
    /// The statement allows everybody, or everybody but some; whether EKS accepts that for its principal is not documented.
    UnclearPrincipal {
        /// The statement.
        statement: StatementRef,
    },
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoPodIdentityStatement { principal } => write!(
                f,
                "no statement allows the principal {principal} to assume the role"
            ),
            Self::MissingAction { action, principal } => write!(
                f,
                "no statement allows the principal {principal} the action {action}"
            ),
            Self::ExcludedByCondition {
                statement,
                operator,
                key,
                values,
                actual,
            } => {
                write!(
                    f,
                    "{statement} applies only if {key} is {} ({operator}), ",
                    Values(values)
                )?;
                match actual {
                    Some(actual) => write!(f, "but it will be {actual:?}"),
                    None => f.write_str("which it will not be"),
                }
            }
            Self::WildcardInExactComparison {
                statement,
                operator,
                key,
                value,
            } => {
                write!(
                    f,
                    "{statement} compares {key} with {value:?} under {operator}, which takes the wildcard literally, so it never matches"
                )
            }
            Self::SessionTagsOffButConditioned { statement, key } => write!(
                f,
                "{statement} requires {key}, which is a session tag, but session tags are disabled"
            ),
            Self::SourceArnIsAssociation { statement, values } => {
                write!(
                    f,
                    "{statement} compares aws:SourceArn with the ARN of an association ({}), but EKS Pod Identity sends the ARN of the cluster",
                    Values(values)
                )
            }
            Self::KeyNeverPresent { statement, key, .. } => write!(
                f,
                "{statement} requires {key}, which is never part of such a request"
            ),
            Self::ExplicitDeny { statement, action } => write!(f, "{statement} denies {action}"),
            Self::PossibleDeny { statement, action } => write!(
                f,
                "{statement} may deny {action}, depending on values that are not known yet"
            ),
            Self::UnknownValue {
                statement,
                operator,
                key,
            } => write!(
                f,
                "{statement} depends on {key} ({operator}), whose value is not known yet"
            ),
            Self::UnclearPrincipal { statement } => write!(
                f,
                "{statement} does not name the principal, and whether EKS accepts that is not documented"
            ),
        }
    }
}

impl Reason {
    /// What the user can do, as a whole sentence.
    pub fn advice(&self) -> String {
        match self {
            Self::NoPodIdentityStatement { principal } => {
                format!("Add a statement to the role's trust policy that allows the principal {principal} the actions {ASSUME_ROLE} and {TAG_SESSION}.")
            }
            Self::MissingAction { action, .. } => format!("Add {action} to the actions of that statement: EKS Pod Identity needs both {ASSUME_ROLE} and {TAG_SESSION}, even without session tags."),
            Self::ExcludedByCondition { key, .. } => format!("Add the value to the condition on {key}, or use another role."),
            Self::WildcardInExactComparison { operator, .. } => format!("Use {} instead of {operator}.", operator.replace("StringEqualsIgnoreCase", "StringLike").replace("StringEquals", "StringLike")),
            Self::SessionTagsOffButConditioned { .. } => {
                "Leave session tags on, or replace the condition by one on aws:SourceArn with the ARN of the cluster, or on aws:SourceAccount.".to_owned()
            }
            Self::SourceArnIsAssociation { .. } => "Compare aws:SourceArn with the ARN of the cluster, arn:…:eks:REGION:ACCOUNT:cluster/NAME.".to_owned(),
            Self::KeyNeverPresent { key, meant: Some(meant), .. } => format!("Use {meant} instead of {key}."),
            Self::KeyNeverPresent { key, meant: None, .. } => format!("Remove the condition on {key}. The session tags are {}.", SESSION_TAGS.join(", ")),
            Self::ExplicitDeny { statement, .. } => format!("Except this request from {statement}, or use another role: a deny always wins."),
            Self::PossibleDeny { statement, .. } => format!("Check that {statement} does not apply to EKS Pod Identity."),
            Self::UnknownValue { key, .. } => format!("Check that the condition on {key} will hold."),
            Self::UnclearPrincipal { .. } => "Name the service principal of EKS Pod Identity in a statement of its own.".to_owned(),
        }
    }
}

/// Judges the trust policy of the role of an association.
pub fn analyze(document: &Document, pod: &PodContext) -> Verdict {
    judge(document, pod, &Caller::Service, &pod.service_principal)
}

/// Judges the trust policy of the target role of an association, which `source` assumes.
///
/// The verdict is about the target's trust policy only; across accounts the source role also needs permission to assume the target.
pub fn analyze_target(
    document: &Document,
    pod: &PodContext,
    source: &RoleArn,
    external_id: Option<&str>,
) -> Verdict {
    judge(
        document,
        pod,
        &Caller::Role {
            arn: source,
            external_id,
        },
        &source.to_string(),
    )
}

/// The lines of a statement for EKS Pod Identity that hold for no pod at all, whatever its cluster, namespace and service account: keys and values that look
/// right and are not. Statements for other principals give none.
pub fn never_holds(document: &Document, pod: &PodContext) -> Vec<Reason> {
    let mut reasons = Vec::new();
    for action in [ASSUME_ROLE, TAG_SESSION] {
        let request = Request {
            pod,
            caller: Caller::Service,
            action,
        };
        for answer in answers(document, &request).iter().filter(|answer| {
            answer.effect == Effect::Allow && answer.principal == Tri::True && answer.action
        }) {
            extend(&mut reasons, false_lines(answer, &request));
        }
    }
    reasons
}

fn judge(document: &Document, pod: &PodContext, caller: &Caller<'_>, principal: &str) -> Verdict {
    let requests = [ASSUME_ROLE, TAG_SESSION].map(|action| Request {
        pod,
        caller: caller.clone(),
        action,
    });
    let all: Vec<Vec<Answer<'_>>> = requests
        .iter()
        .map(|request| answers(document, request))
        .collect();
    let mut never = Vec::new();
    let mut open = Vec::new();

    let names =
        |answer: &&Answer<'_>| answer.effect == Effect::Allow && answer.principal != Tri::False;
    if !all[0].iter().any(|answer| names(&answer)) {
        never.push(Reason::NoPodIdentityStatement {
            principal: principal.to_owned(),
        });
    } else {
        for (request, answers) in requests.iter().zip(&all) {
            if !answers.iter().filter(names).any(|answer| answer.action) {
                never.push(Reason::MissingAction {
                    action: request.action,
                    principal: principal.to_owned(),
                });
            }
        }
    }

    for (request, answers) in requests.iter().zip(&all) {
        // Without session tags it is not documented that the second action is asked for at run time, only that the statement must have it.
        let decides = request.action == ASSUME_ROLE || pod.session_tags;
        let candidates: Vec<_> = answers
            .iter()
            .filter(names)
            .filter(|answer| answer.action)
            .collect();
        match candidates
            .iter()
            .map(|answer| answer.applies())
            .fold(Tri::False, Tri::or)
        {
            Tri::True => {}
            Tri::Unknown => {
                for answer in candidates
                    .iter()
                    .filter(|answer| answer.applies() == Tri::Unknown)
                {
                    extend(&mut open, unknown_parts(answer));
                }
            }
            Tri::False => {
                for answer in &candidates {
                    extend(
                        if decides { &mut never } else { &mut open },
                        false_lines(answer, request),
                    );
                }
            }
        }
        for answer in answers
            .iter()
            .filter(|answer| answer.effect == Effect::Deny)
        {
            let statement = StatementRef::of(answer.index, answer.statement);
            match answer.applies() {
                Tri::True if decides => extend(
                    &mut never,
                    vec![Reason::ExplicitDeny {
                        statement,
                        action: request.action,
                    }],
                ),
                Tri::True | Tri::Unknown => extend(
                    &mut open,
                    vec![Reason::PossibleDeny {
                        statement,
                        action: request.action,
                    }],
                ),
                Tri::False => {}
            }
        }
    }
    if !never.is_empty() {
        Verdict::CanNeverWork(never)
    } else if !open.is_empty() {
        Verdict::CannotTell(open)
    } else {
        Verdict::Works
    }
}

fn extend(reasons: &mut Vec<Reason>, more: Vec<Reason>) {
    for reason in more {
        if !reasons.contains(&reason) {
            reasons.push(reason);
        }
    }
}

fn unknown_parts(answer: &Answer<'_>) -> Vec<Reason> {
    let statement = StatementRef::of(answer.index, answer.statement);
    let mut reasons = Vec::new();
    if answer.principal == Tri::Unknown {
        reasons.push(Reason::UnclearPrincipal {
            statement: statement.clone(),
        });
    }
    let lines = answer
        .lines
        .iter()
        .filter(|(_, holds)| *holds == Tri::Unknown);
    reasons.extend(lines.map(|(line, _)| Reason::UnknownValue {
        statement: statement.clone(),
        operator: line.operator.to_owned(),
        key: line.key.to_owned(),
    }));
    reasons
}

fn false_lines(answer: &Answer<'_>, request: &Request<'_>) -> Vec<Reason> {
    let lines = answer
        .lines
        .iter()
        .filter(|(_, holds)| *holds == Tri::False);
    lines
        .map(|(line, _)| {
            explain(
                StatementRef::of(answer.index, answer.statement),
                line,
                request,
            )
        })
        .collect()
}

/// Why a line does not hold, as exactly as can be said.
fn explain(statement: StatementRef, line: &Condition<'_>, request: &Request<'_>) -> Reason {
    let key = line.key.to_ascii_lowercase();
    let actual = request.key(&key);
    let positive = is_positive(line.operator);
    if positive
        && key == "aws:sourcearn"
        && matches!(request.caller, Caller::Service)
        && line
            .values
            .iter()
            .any(|value| value.contains(":podidentityassociation/"))
    {
        return Reason::SourceArnIsAssociation {
            statement,
            values: line.values.clone(),
        };
    }
    if actual == Actual::Absent {
        let tag = key.strip_prefix("aws:requesttag/");
        if !request.pod.session_tags
            && (tag.is_some_and(|tag| SESSION_TAGS.contains(&tag))
                || matches!(key.as_str(), "aws:tagkeys" | "sts:transitivetagkeys"))
        {
            return Reason::SessionTagsOffButConditioned {
                statement,
                key: line.key.to_owned(),
            };
        }
        return Reason::KeyNeverPresent {
            statement,
            key: line.key.to_owned(),
            meant: meant(&key),
        };
    }
    let known = match &actual {
        Actual::One(value) => value.text(),
        _ => None,
    };
    if is_exact(line.operator)
        && let Actual::One(value) = &actual
        && let Some(wildcard) = line.values.iter().find(|text| {
            super::name::has_wildcard(text) && Glob::pattern(text).matches(value) != Tri::False
        })
    {
        return Reason::WildcardInExactComparison {
            statement,
            operator: line.operator.to_owned(),
            key: line.key.to_owned(),
            value: wildcard.clone(),
        };
    }
    Reason::ExcludedByCondition {
        statement,
        operator: line.operator.to_owned(),
        key: line.key.to_owned(),
        values: line.values.clone(),
        actual: known,
    }
}

/// The condition key that was probably meant by one that such a request never has.
fn meant(key: &str) -> Option<String> {
    let letters = |text: &str| {
        text.chars()
            .filter(char::is_ascii_alphanumeric)
            .collect::<String>()
    };
    let tag = key
        .strip_prefix("aws:requesttag/")
        .or_else(|| key.strip_prefix("aws:principaltag/"))?;
    let given = letters(tag);
    if given.len() < 2 {
        return None;
    }
    let close = |tag: &&&str| {
        let known = letters(tag);
        known.ends_with(&given) || given.ends_with(&known) || distance(&known, &given) <= 2
    };
    // The tag that differs least, so that a full name wins over a mere ending.
    let best = SESSION_TAGS
        .iter()
        .filter(close)
        .min_by_key(|tag| distance(&letters(tag), &given))?;
    Some(format!("aws:RequestTag/{best}"))
}

/// The number of letters to insert, remove or replace to make one text of the other.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

/// `"a"`, `"a" or "b"`, `"a", "b" or "c"`.
struct Values<'a>(&'a [String]);

impl fmt::Display for Values<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, value) in self.0.iter().enumerate() {
            match index {
                0 => {}
                _ if index + 1 == self.0.len() => f.write_str(" or ")?,
                _ => f.write_str(", ")?,
            }
            write!(f, "{value:?}")?;
        }
        if self.0.is_empty() {
            f.write_str("one of no values")
        } else {
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests;
