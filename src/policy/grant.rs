//! Adds trust in EKS Pod Identity for one service account to the trust policy of an existing role, and takes exactly that away again.
//!
//! Nothing is added where the service account is trusted already, by whatever statement, so trust is never widened without need. All service accounts of one
//! cluster and namespace share one statement of ours, which keeps roles that many of them use inside the size quota. Nothing else is touched.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use super::analysis::StatementRef;
use super::arn::ClusterArn;
use super::canonical::equivalent_statements;
use super::condition::Tri;
use super::document::{Document, Effect, Statement};
use super::request::{Caller, PodContext, Request, allows, answers};
use super::trust::TrustSpec;
use super::{ASSUME_ROLE, SERVICE_PRINCIPAL, TAG_SESSION};

/// How our `Sid`s start. What follows is a fingerprint of what the statement is for: IAM allows letters and digits only, and every letter counts for the quota.
const SID_PREFIX: &str = "PodIdentity";

/// For whom an added statement is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Scope {
    /// For the service account of the cluster, as narrow as IRSA is. Needs session tags.
    #[default]
    ServiceAccount,
    /// For every service account of the cluster.
    Cluster,
    /// For every cluster of the account.
    Account,
    /// Without conditions.
    None,
}

impl Scope {
    /// All scopes, narrowest first.
    pub const ALL: [Self; 4] = [
        Self::ServiceAccount,
        Self::Cluster,
        Self::Account,
        Self::None,
    ];

    /// The name in configurations.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ServiceAccount => "service_account",
            Self::Cluster => "cluster",
            Self::Account => "account",
            Self::None => "none",
        }
    }

    /// The narrowest scope that can work.
    pub fn narrowest(session_tags: bool) -> Self {
        if session_tags {
            Self::ServiceAccount
        } else {
            Self::Cluster
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Scope {
    type Err = UnknownScope;

    fn from_str(text: &str) -> Result<Self, UnknownScope> {
        Self::ALL
            .into_iter()
            .find(|scope| scope.as_str() == text)
            .ok_or_else(|| UnknownScope {
                text: text.to_owned(),
            })
    }
}

/// A text that names no [`Scope`].
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{text:?} is not a scope; there are service_account, cluster, account and none")]
pub struct UnknownScope {
    /// The text that was given.
    pub text: String,
}

/// Trust in EKS Pod Identity for one service account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// The cluster.
    pub cluster: ClusterArn,
    /// The Kubernetes namespace.
    pub namespace: String,
    /// The Kubernetes service account.
    pub service_account: String,
    /// For whom a statement is, if one has to be added.
    pub scope: Scope,
    /// Whether the association has session tags.
    pub session_tags: bool,
    /// The service principal of EKS Pod Identity.
    pub service_principal: String,
}

/// A [`Grant`] that no statement can express.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum GrantError {
    /// The scope is the service account, but there are no session tags.
    #[error(
        "without session tags a trust policy cannot tell service accounts apart; use the scope \"cluster\", \"account\" or \"none\", or leave session tags on"
    )]
    ScopeNeedsSessionTags,
}

/// What [`Grant::add`] did.
#[derive(Debug, Clone, PartialEq)]
pub struct Granted {
    /// The document afterwards.
    pub document: Document,
    /// What changed.
    pub change: GrantChange,
}

/// How a document changed by [`Grant::add`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GrantChange {
    /// Not at all: these statements trust the service account already.
    Covered {
        /// The statements, of which each allows at least one of the two actions.
        by: Vec<StatementRef>,
        /// Whether all of them are ours, added for this or another service account.
        ours: bool,
    },
    /// A statement was added at the end.
    Added {
        /// Its `Sid`.
        sid: String,
    },
    /// The service account was added to a statement of ours.
    Merged {
        /// Its `Sid`.
        sid: String,
    },
}

impl GrantChange {
    /// Whether the document changed, and [`Grant::remove`] may therefore be used to undo it.
    pub fn is_ours(&self) -> bool {
        !matches!(self, Self::Covered { .. })
    }
}

impl Grant {
    /// Trust with the narrowest scope, session tags on and the usual service principal.
    pub fn new(
        cluster: ClusterArn,
        namespace: impl Into<String>,
        service_account: impl Into<String>,
    ) -> Self {
        Self {
            cluster,
            namespace: namespace.into(),
            service_account: service_account.into(),
            scope: Scope::default(),
            session_tags: true,
            service_principal: SERVICE_PRINCIPAL.to_owned(),
        }
    }

    /// The pod that the grant is for, to [judge](crate::policy::analyze) a trust policy with.
    pub fn pod(&self) -> PodContext {
        PodContext {
            cluster_arn: Some(self.cluster.to_string()),
            cluster_name: Some(self.cluster.name.clone()),
            account_id: Some(self.cluster.account.clone()),
            namespace: Some(self.namespace.clone()),
            service_account: Some(self.service_account.clone()),
            session_tags: self.session_tags,
            service_principal: self.service_principal.clone(),
        }
    }

    /// Makes the document trust the service account. `Deny` statements are left out of account: what they do, [`analyze`](crate::policy::analyze) tells.
    ///
    /// Adding twice changes nothing the second time, and the order in which several grants are added does not change what comes out.
    ///
    /// # Errors
    /// [`GrantError`] when no statement can express the grant. A document that covers it already is no error even then.
    pub fn add(&self, document: &Document) -> Result<Granted, GrantError> {
        let by = self.covering(document);
        if !by.is_empty() {
            let ours = by
                .iter()
                .all(|at| at.sid.as_deref().is_some_and(is_our_sid));
            return Ok(Granted {
                document: document.clone(),
                change: GrantChange::Covered { by, ours },
            });
        }
        if self.scope == Scope::ServiceAccount && !self.session_tags {
            return Err(GrantError::ScopeNeedsSessionTags);
        }
        Ok(self.insert(document))
    }

    /// Makes the document trust the service account without counting on the statements of former grants, which [`remove`](Self::remove) is to take away
    /// later: for a change of scope or session tags that leaves no gap. Those of `former` that have the same statement as this grant do not count as former.
    ///
    /// # Errors
    /// As [`add`](Self::add).
    pub fn add_beside(&self, former: &[Self], document: &Document) -> Result<Granted, GrantError> {
        let rest = self.without(former, document);
        if self.add(&rest)?.change.is_ours() {
            Ok(self.insert(document))
        } else {
            self.add(document)
        }
    }

    /// Makes the document trust the service account, and takes the statements of former grants away, in one.
    ///
    /// # Errors
    /// As [`add`](Self::add).
    pub fn replace(&self, former: &[Self], document: &Document) -> Result<Granted, GrantError> {
        self.add(&self.without(former, document))
    }

    /// Whether both have the same statement, for the same or another service account.
    pub fn shares_statement(&self, other: &Self) -> bool {
        self.sid(0) == other.sid(0)
    }

    /// The same for this service account alone.
    pub fn narrowed(&self) -> Self {
        Self {
            scope: Scope::ServiceAccount,
            session_tags: true,
            ..self.clone()
        }
    }

    /// The scope of the statement of ours by which the document trusts the service account; the narrowest that can work if there are several.
    pub fn scope_in(&self, document: &Document) -> Option<Scope> {
        Scope::ALL
            .into_iter()
            .filter(|scope| self.session_tags || *scope != Scope::ServiceAccount)
            .find(|scope| {
                let candidate = Self {
                    scope: *scope,
                    ..self.clone()
                };
                candidate.remove(document).1
            })
    }

    fn without(&self, former: &[Self], document: &Document) -> Document {
        former
            .iter()
            .filter(|former| !former.shares_statement(self))
            .fold(document.clone(), |rest, former| former.remove(&rest).0)
    }

    /// Adds the service account to our statement, or the statement.
    fn insert(&self, document: &Document) -> Granted {
        let mut document = document.clone();
        let mut attempt = 0;
        loop {
            let sid = self.sid(attempt);
            let Some(statement) = document
                .statements_mut()
                .iter_mut()
                .find(|statement| statement.sid() == Some(&sid))
            else {
                document
                    .statements_mut()
                    .push(self.statement(&sid, vec![self.service_account.clone()]));
                return Granted {
                    document,
                    change: GrantChange::Added { sid },
                };
            };
            if let Some(mut service_accounts) = self.recognize(statement) {
                service_accounts.push(self.service_account.clone());
                *statement = self.statement(&sid, service_accounts);
                return Granted {
                    document,
                    change: GrantChange::Merged { sid },
                };
            }
            // Somebody changed our statement, so it is theirs now.
            attempt += 1;
        }
    }

    /// Takes the service account out of our statement, and the statement away with its last one. Returns the document and whether it changed.
    ///
    /// To be used only after an [`add`](Self::add) whose change [`is_ours`](GrantChange::is_ours). A statement of a wider scope serves other service accounts too:
    /// whether any is left only the caller can know.
    pub fn remove(&self, document: &Document) -> (Document, bool) {
        let mut result = document.clone();
        let base = self.sid(0);
        result.statements_mut().retain_mut(|statement| {
            let Some(sid) = statement
                .sid()
                .filter(|sid| sid.starts_with(&base))
                .map(str::to_owned)
            else {
                return true;
            };
            let Some(mut service_accounts) = self.recognize(statement) else {
                return true;
            };
            if self.scope != Scope::ServiceAccount {
                return false;
            }
            let before = service_accounts.len();
            service_accounts.retain(|name| *name != self.service_account);
            if service_accounts.is_empty() {
                return false;
            }
            if service_accounts.len() < before {
                *statement = self.statement(&sid, service_accounts);
            }
            true
        });
        let changed = result != *document;
        (result, changed)
    }

    /// The `Sid` of our statement. A number other than 0 is for when the one before is taken.
    fn sid(&self, attempt: u32) -> String {
        let cluster = self.cluster.to_string();
        let scope = self.scope.as_str();
        let parts = match self.scope {
            Scope::ServiceAccount => vec![scope, &cluster, &self.namespace],
            Scope::Cluster if self.session_tags => vec![scope, &cluster],
            Scope::Cluster => vec![scope, &cluster, "untagged"],
            Scope::Account => vec![scope, &self.cluster.account],
            Scope::None => vec![scope],
        };
        let fingerprint = fnv1a(&parts.join("\n")) & 0xffff_ffff_ffff;
        let suffix = if attempt == 0 {
            String::new()
        } else {
            format!("x{attempt}")
        };
        format!("{SID_PREFIX}{fingerprint:012x}{suffix}")
    }

    fn statement(&self, sid: &str, service_accounts: Vec<String>) -> Statement {
        let mut spec = TrustSpec {
            service_principal: Some(self.service_principal.clone()),
            disable_session_tags: !self.session_tags,
            ..TrustSpec::default()
        };
        match self.scope {
            Scope::ServiceAccount => {
                spec.cluster_arns = Some(vec![self.cluster.to_string()]);
                spec.namespaces = Some(vec![self.namespace.clone()]);
                spec.service_accounts = Some(service_accounts);
            }
            Scope::Cluster => spec.cluster_arns = Some(vec![self.cluster.to_string()]),
            Scope::Account => spec.source_account = Some(self.cluster.account.clone()),
            Scope::None => {}
        }
        spec.pods_statement(sid)
    }

    /// The service accounts of a statement that is exactly as we would write it; `None` for any other.
    fn recognize(&self, statement: &Statement) -> Option<Vec<String>> {
        let service_accounts: Vec<String> = statement
            .conditions()
            .into_iter()
            .filter(|line| {
                line.key
                    .eq_ignore_ascii_case("aws:RequestTag/kubernetes-service-account")
            })
            .flat_map(|line| line.values)
            .collect();
        if self.scope == Scope::ServiceAccount && service_accounts.is_empty() {
            return None;
        }
        let ours = self.statement(statement.sid()?, service_accounts.clone());
        equivalent_statements(statement, &ours).then_some(service_accounts)
    }

    /// The statements that already allow both actions for certain; empty if either is missing.
    fn covering(&self, document: &Document) -> Vec<StatementRef> {
        let pod = self.pod();
        let mut by: Vec<StatementRef> = Vec::new();
        for action in [ASSUME_ROLE, TAG_SESSION] {
            let request = Request {
                pod: &pod,
                caller: Caller::Service,
                action,
            };
            if allows(document, &request) != Tri::True {
                return Vec::new();
            }
            for answer in answers(document, &request) {
                let at = StatementRef {
                    index: answer.index,
                    sid: answer.statement.sid().map(str::to_owned),
                };
                if answer.effect == Effect::Allow
                    && answer.applies() == Tri::True
                    && !by.contains(&at)
                {
                    by.push(at);
                }
            }
        }
        by
    }
}

/// Whether a `Sid` is of the form that [`Grant::add`] gives.
pub fn is_our_sid(sid: &str) -> bool {
    sid.strip_prefix(SID_PREFIX).is_some_and(|rest| {
        let fingerprint = rest.split('x').next().unwrap_or_default();
        fingerprint.len() == 12
            && fingerprint
                .bytes()
                .all(|b| b.is_ascii_digit() || matches!(b, b'a'..=b'f'))
    })
}

/// The 64-bit FNV-1a hash: a fingerprint that must stay the same from release to release and guards nothing.
fn fnv1a(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests;
