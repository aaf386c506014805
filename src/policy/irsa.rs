//! The IRSA side of a trust policy: which service accounts it trusts through a cluster's OIDC provider, and how to end that for exactly one of them.
//!
//! Only statements that trust an OIDC provider of the cluster in question are looked at, in either of the names that EKS has for its issuer, and in them only
//! the values for the one subject. Every other provider and subject keeps exactly what it had. What cannot be taken away exactly, such as a subject that a
//! pattern also matches, is left and [reported](Remaining).

use serde_json::{Map, Value};

use super::analysis::StatementRef;
use super::arn::OidcProviderArn;
use super::canonical::CanonicalStatement;
use super::condition::{Actual, Tri, compares_text, evaluate, holds_without_key, takes_wildcards};
use super::document::{Condition, Document, Effect, Statement};
use super::issuer::OidcIssuer;
use super::name::has_wildcard;
use super::request::is_web_identity_key;

mod edit;

/// The action with which a pod gets credentials by IRSA.
pub const ASSUME_ROLE_WITH_WEB_IDENTITY: &str = "sts:AssumeRoleWithWebIdentity";

/// A service account of a cluster, as IRSA knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// The cluster's issuer.
    pub issuer: OidcIssuer,
    /// The Kubernetes namespace.
    pub namespace: String,
    /// The Kubernetes service account.
    pub service_account: String,
}

/// What [`Subject::retire`] did.
#[derive(Debug, Clone, PartialEq)]
pub struct Retired {
    /// The document afterwards.
    pub document: Document,
    /// The statements of the document before that no longer trust the subject.
    pub removed: Vec<Removed>,
    /// Statements of the document before that still trust the subject and could not be changed without changing more than that.
    pub remaining: Vec<Remaining>,
}

/// A statement that no longer trusts a subject.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Removed {
    /// The statement.
    pub statement: StatementRef,
    /// How far it went.
    pub what: RemovedWhat,
}

/// What was taken away from a statement, in the order of how much that is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum RemovedWhat {
    /// The subject; others are still trusted.
    Subject,
    /// The cluster's provider, since the subject was its last; other principals are still trusted.
    Provider,
    /// The statement, since the subject was the last that it trusted.
    Statement,
}

/// Why a statement still trusts a subject.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Remaining {
    /// A pattern, or a value with a policy variable, matches the subject, and may match others.
    Pattern {
        /// The statement.
        statement: StatementRef,
        /// The operator as written.
        operator: String,
        /// The pattern as written.
        value: String,
    },
    /// There is no condition on the subject: every service account of the cluster is trusted.
    Unconditioned {
        /// The statement.
        statement: StatementRef,
    },
    /// The subject is trusted by what is not listed, or in another way that has no value to take away.
    Operator {
        /// The statement.
        statement: StatementRef,
        /// The operator as written.
        operator: String,
    },
}

/// Service accounts that one statement trusts through one OIDC provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebIdentityTrust {
    /// The statement.
    pub statement: StatementRef,
    /// The provider.
    pub provider: OidcProviderArn,
    /// The values that are compared with the subject, without repetition.
    pub subjects: Vec<SubjectPattern>,
    /// The values that are compared with the audience.
    pub audiences: Vec<String>,
    /// Whether there is no condition on the subject at all.
    pub unconditioned: bool,
    /// Operators on the subject that do not list whom they trust, such as `StringNotEquals`.
    pub other_operators: Vec<String>,
}

/// A value that is compared with the subject of a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubjectPattern {
    /// The value as written.
    pub text: String,
    /// Whether it may match several subjects.
    pub is_pattern: bool,
}

impl SubjectPattern {
    /// Namespace and service account, each perhaps a pattern. `None` when the value is not of the form `system:serviceaccount:NAMESPACE:NAME`.
    pub fn service_account(&self) -> Option<(&str, &str)> {
        let (namespace, name) = self
            .text
            .strip_prefix("system:serviceaccount:")?
            .split_once(':')?;
        (!namespace.is_empty() && !name.is_empty() && !name.contains(':'))
            .then_some((namespace, name))
    }
}

/// Whether a trust policy lets a service account in by IRSA.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// It does.
    Allowed,
    /// It does not.
    NotAllowed,
    /// It depends on values that are not known.
    Unknown,
}

/// Everything that a trust policy allows by web identity, statement by statement and provider by provider.
pub fn web_identity_trusts(document: &Document) -> Vec<WebIdentityTrust> {
    let mut trusts = Vec::new();
    for (index, statement) in web_identity_statements(document) {
        for arn in statement
            .principal()
            .map(|principal| principal.of_type("Federated"))
            .unwrap_or_default()
        {
            let Ok(provider) = OidcProviderArn::parse(arn) else {
                continue;
            };
            let Ok(issuer) = OidcIssuer::parse(&provider.issuer) else {
                continue;
            };
            let lines = statement.conditions();
            let of_claim = |claim: &str| {
                let key = [issuer.name().as_str(), claim].join(":");
                lines
                    .iter()
                    .filter(move |line| line.key.eq_ignore_ascii_case(&key))
                    .collect::<Vec<_>>()
            };
            let lines_on_subject = of_claim("sub");
            let mut subjects: Vec<SubjectPattern> = Vec::new();
            for line in lines_on_subject
                .iter()
                .filter(|line| compares_text(line.operator))
            {
                for text in &line.values {
                    let subject = SubjectPattern {
                        text: text.clone(),
                        is_pattern: !is_exact_value(line.operator, text),
                    };
                    if !subjects.contains(&subject) {
                        subjects.push(subject);
                    }
                }
            }
            trusts.push(WebIdentityTrust {
                statement: at(index, statement),
                subjects,
                audiences: of_claim("aud")
                    .into_iter()
                    .flat_map(|line| line.values.clone())
                    .collect(),
                unconditioned: lines_on_subject.is_empty(),
                other_operators: lines_on_subject
                    .iter()
                    .filter(|line| !compares_text(line.operator))
                    .map(|line| line.operator.to_owned())
                    .collect(),
                provider,
            });
        }
    }
    trusts
}

impl Subject {
    /// The subject of the service account's tokens: `system:serviceaccount:NAMESPACE:NAME`.
    pub fn text(&self) -> String {
        format!(
            "system:serviceaccount:{}:{}",
            self.namespace, self.service_account
        )
    }

    /// Whether the document lets the service account in by IRSA. Without an audience, any is taken to be right; it is `sts.amazonaws.com` unless the
    /// service account says otherwise.
    pub fn access(&self, document: &Document, audience: Option<&str>) -> Access {
        let mut allowed = Tri::False;
        let mut denied = Tri::False;
        for (index, statement) in document.statements().iter().enumerate() {
            let effect = statement.effect();
            for name in self.issuer.names() {
                let principal = match (statement.principal(), effect) {
                    (Some(principal), _)
                        if principal
                            .of_type("Federated")
                            .iter()
                            .any(|arn| is_provider_named(arn, &name)) =>
                    {
                        Tri::True
                    }
                    (Some(principal), Some(Effect::Deny)) if principal.is_everyone() => Tri::True,
                    (None, Some(Effect::Deny)) if statement.not_principal().is_some() => {
                        Tri::Unknown
                    }
                    _ => Tri::False,
                };
                if !allows_action(statement) {
                    continue;
                }
                let applies = principal.and(self.condition(document, index, &name, audience));
                match effect {
                    Some(Effect::Allow) => allowed = allowed.or(applies),
                    Some(Effect::Deny) => denied = denied.or(applies),
                    None => {}
                }
            }
        }
        match allowed.and(denied.not()) {
            Tri::True => Access::Allowed,
            Tri::False => Access::NotAllowed,
            Tri::Unknown => Access::Unknown,
        }
    }

    /// Ends the trust in the subject, and in nothing else.
    ///
    /// Retiring twice changes nothing the second time.
    pub fn retire(&self, document: &Document) -> Retired {
        let mut result = document.clone();
        let mut removed = Vec::new();
        let mut remaining = Vec::new();
        let mut gone = Vec::new();
        for (index, statement) in web_identity_statements(document) {
            let at = at(index, statement);
            let mut changed = statement.clone();
            let mut what = None;
            for name in self.issuer.names() {
                match self.taking_away(document, index, &name) {
                    Taking::Nothing => {}
                    Taking::Not(reason) => {
                        if !remaining.contains(&reason) {
                            remaining.push(reason);
                        }
                    }
                    Taking::Values {
                        operator,
                        key,
                        values,
                        last,
                    } => {
                        if !last {
                            edit::remove_values(&mut changed, &operator, &key, &values);
                            what = what.max(Some(RemovedWhat::Subject));
                        } else if edit::remove_provider(&mut changed, &name) {
                            what = what.max(Some(RemovedWhat::Provider));
                        } else {
                            what = Some(RemovedWhat::Statement);
                        }
                    }
                }
            }
            let Some(what) = what else { continue };
            if what == RemovedWhat::Statement {
                gone.push(index);
            } else if let Some(statement) = result.statements_mut().get_mut(index) {
                *statement = changed;
            }
            removed.push(Removed {
                statement: at,
                what,
            });
        }
        let mut index = 0;
        result.statements_mut().retain(|_| {
            index += 1;
            !gone.contains(&(index - 1))
        });
        Retired {
            document: result,
            removed,
            remaining,
        }
    }

    /// Puts back what [`retire`](Self::retire) took from `before`, into a document that may have changed since. Whatever else changed stays as it is.
    ///
    /// Restoring twice changes nothing the second time.
    pub fn restore(&self, before: &Document, current: &Document) -> Document {
        let mut result = current.clone();
        let retired = self.retire(before);
        if retired.removed.is_empty() {
            return result;
        }
        // Which statement of today is which of then: first those that are as they were, then those that are as `retire` leaves them, then those that differ
        // only in other subjects. Each is taken once, so that of two alike both come back.
        let canonical: Vec<CanonicalStatement> = current
            .statements()
            .iter()
            .map(CanonicalStatement::from)
            .collect();
        let mut taken = vec![false; canonical.len()];
        let mut take = |fits: &dyn Fn(usize) -> bool| {
            let found = (0..taken.len()).find(|at| !taken[*at] && fits(*at))?;
            taken[found] = true;
            Some(found)
        };
        let whole: Vec<bool> = before
            .statements()
            .iter()
            .map(|original| {
                let original = CanonicalStatement::from(original);
                take(&|at| canonical[at] == original).is_some()
            })
            .collect();
        let missing: Vec<usize> = retired
            .removed
            .iter()
            .map(|removed| removed.statement.index)
            .filter(|index| !whole[*index])
            .collect();
        let mut places: Vec<Option<usize>> = missing
            .iter()
            .map(|index| {
                let after = CanonicalStatement::from(&self.alone(before, *index)?);
                take(&|at| canonical[at] == after)
            })
            .collect();
        let mut absent = Vec::new();
        for (index, place) in missing.iter().zip(&mut places) {
            let wanted = self.reduced(before, *index);
            let shape = edit::without_subjects(&before.statements()[*index], &self.issuer);
            let alike = |at: usize| {
                edit::without_subjects(&current.statements()[at], &self.issuer) == shape
            };
            if place.is_none()
                && take(&|at| alike(at) && edit::holds(&current.statements()[at], &wanted))
                    .is_some()
            {
                continue;
            }
            match place.or_else(|| take(&alike)) {
                Some(at) => edit::put_back(&mut result.statements_mut()[at], &wanted, &self.issuer),
                None => absent.push((*index, wanted)),
            }
        }
        let statements = result.statements_mut();
        for (index, mut wanted) in absent {
            if wanted
                .sid()
                .is_some_and(|sid| statements.iter().any(|other| other.sid() == Some(sid)))
            {
                wanted.members_mut().shift_remove("Sid");
            }
            statements.insert(index.min(statements.len()), wanted);
        }
        result
    }

    /// Whether what [`retire`](Self::retire) took from `before` is missing from `current`. Once somebody has let the subject in since, in whatever way, it is not: theirs is
    /// the newer word, and may be stricter on purpose.
    pub fn is_missing(
        &self,
        before: &Document,
        current: &Document,
        audience: Option<&str>,
    ) -> bool {
        let retired = self.retire(before);
        if retired.removed.is_empty() {
            return false;
        }
        // What could not be taken away lets the subject in all the time.
        let now = self.access(current, audience);
        now == Access::NotAllowed || now == self.access(&retired.document, audience)
    }

    /// A statement that trusts what the statement of `before` at `index` trusts for this subject, and nobody else.
    fn reduced(&self, before: &Document, index: usize) -> Statement {
        let mut statement = before.statements()[index].clone();
        let mut names = Vec::new();
        for name in self.issuer.names() {
            if let Taking::Values {
                operator,
                key,
                values,
                ..
            } = self.taking_away(before, index, &name)
            {
                edit::keep_values(&mut statement, &operator, &key, &values);
                names.push(name);
            }
        }
        edit::keep_providers(&mut statement, &names);
        statement
    }

    /// What [`retire`](Self::retire) makes of one statement; `None` when it deletes it.
    fn alone(&self, document: &Document, index: usize) -> Option<Statement> {
        let mut single = document.clone();
        *single.statements_mut() = vec![document.statements()[index].clone()];
        self.retire(&single).document.statements().first().cloned()
    }

    /// What has to be taken away from a statement so that it no longer trusts the subject through the provider of this name.
    fn taking_away(&self, document: &Document, index: usize, name: &str) -> Taking {
        let statement = &document.statements()[index];
        let trusted = statement.principal().is_some_and(|principal| {
            principal
                .of_type("Federated")
                .iter()
                .any(|arn| is_provider_named(arn, name))
        });
        if !trusted || self.condition(document, index, name, None) == Tri::False {
            return Taking::Nothing;
        }
        let key = [name, "sub"].join(":");
        let lines: Vec<Condition<'_>> = statement
            .conditions()
            .into_iter()
            .filter(|line| line.key.eq_ignore_ascii_case(&key))
            .collect();
        let subject = self.text();
        let mut obstacle = None;
        for line in &lines {
            if !compares_text(line.operator) {
                obstacle.get_or_insert_with(|| Remaining::Operator {
                    statement: at(index, statement),
                    operator: line.operator.to_owned(),
                });
                continue;
            }
            let matching: Vec<&String> = line
                .values
                .iter()
                .filter(|value| may_match(line.operator, value, &subject))
                .collect();
            match matching
                .iter()
                .find(|value| !is_exact_value(line.operator, value))
            {
                Some(value) => {
                    obstacle = Some(Remaining::Pattern {
                        statement: at(index, statement),
                        operator: line.operator.to_owned(),
                        value: (*value).clone(),
                    });
                }
                None => {
                    return Taking::Values {
                        operator: line.operator.to_owned(),
                        key: line.key.to_owned(),
                        last: matching.len() == line.values.len(),
                        values: matching.into_iter().cloned().collect(),
                    };
                }
            }
        }
        Taking::Not(obstacle.unwrap_or_else(|| Remaining::Unconditioned {
            statement: at(index, statement),
        }))
    }

    /// Whether the condition of a statement holds for a token of the service account from the issuer of this name.
    fn condition(
        &self,
        document: &Document,
        index: usize,
        name: &str,
        audience: Option<&str>,
    ) -> Tri {
        let claims = [name, ""].join(":").to_ascii_lowercase();
        let lookup = |key: &str| {
            let key = key.to_ascii_lowercase();
            match key.strip_prefix(&claims) {
                Some("sub") => Actual::known(&self.text()),
                Some("aud") => audience.map_or(Actual::Unknown, Actual::known),
                Some(_) => Actual::Unknown,
                // A token has the claims of its own issuer only.
                None if is_web_identity_key(&key) => Actual::Absent,
                None => Actual::Unknown,
            }
        };
        let variables: Option<&dyn Fn(&str) -> Actual> = if document.has_variables() {
            Some(&lookup)
        } else {
            None
        };
        let lines = document.statements()[index].conditions();
        lines.iter().fold(Tri::True, |all, line| {
            let actual = lookup(line.key);
            let claim = line.key.to_ascii_lowercase();
            // Without a known audience the condition on it is taken to hold.
            if audience.is_none() && claim.strip_prefix(&claims) == Some("aud") {
                return all;
            }
            all.and(evaluate(line.operator, &line.values, &actual, variables))
        })
    }
}

enum Taking {
    Nothing,
    Not(Remaining),
    Values {
        operator: String,
        key: String,
        values: Vec<String>,
        last: bool,
    },
}

fn web_identity_statements(document: &Document) -> impl Iterator<Item = (usize, &Statement)> {
    document
        .statements()
        .iter()
        .enumerate()
        .filter(|(_, statement)| {
            statement.effect() == Some(Effect::Allow) && allows_action(statement)
        })
}

fn allows_action(statement: &Statement) -> bool {
    super::request::has_action(statement, ASSUME_ROLE_WITH_WEB_IDENTITY)
}

fn is_provider_named(arn: &str, name: &str) -> bool {
    OidcProviderArn::parse(arn)
        .ok()
        .and_then(|provider| OidcIssuer::parse(&provider.issuer).ok())
        .is_some_and(|issuer| issuer.name() == name)
}

/// Whether a value can only mean one text.
fn is_exact_value(operator: &str, value: &str) -> bool {
    let is_pattern = takes_wildcards(operator) && has_wildcard(value);
    !is_pattern && !value.contains("${")
}

fn may_match(operator: &str, value: &str, subject: &str) -> bool {
    value.contains("${")
        || evaluate(operator, &[value.to_owned()], &Actual::known(subject), None) != Tri::False
}

fn at(index: usize, statement: &Statement) -> StatementRef {
    StatementRef {
        index,
        sid: statement.sid().map(str::to_owned),
    }
}

/// The keys of a member that is an object.
fn object<'a>(
    members: &'a mut Map<String, Value>,
    name: &str,
) -> Option<&'a mut Map<String, Value>> {
    members.get_mut(name).and_then(Value::as_object_mut)
}

#[cfg(test)]
mod tests;
