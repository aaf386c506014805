//! What a trust policy sees when EKS Pod Identity asks for credentials, and how its statements answer.

use super::arn::{RoleArn, account_of_root};
use super::condition::{Actual, Glob, Tri, evaluate};
use super::document::{Condition, Document, Effect, Principal, Statement};
use super::{ASSUME_ROLE, SERVICE_PRINCIPAL};

/// The session tags that EKS adds (EKS user guide, "Grant Pods access to AWS resources based on tags"). No others can be added.
pub const SESSION_TAGS: [&str; 6] = [
    "eks-cluster-arn",
    "eks-cluster-name",
    "kubernetes-namespace",
    "kubernetes-service-account",
    "kubernetes-pod-name",
    "kubernetes-pod-uid",
];

/// The pod, as far as it is known, for which EKS Pod Identity will ask for credentials. `None` means: not known yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodContext {
    /// The ARN of the cluster.
    pub cluster_arn: Option<String>,
    /// The name of the cluster; taken from the ARN when that is known.
    pub cluster_name: Option<String>,
    /// The account of the cluster, 12 digits; taken from the ARN when that is known.
    pub account_id: Option<String>,
    /// The Kubernetes namespace.
    pub namespace: Option<String>,
    /// The Kubernetes service account.
    pub service_account: Option<String>,
    /// Whether EKS adds session tags; `disable_session_tags` and a session policy turn them off.
    pub session_tags: bool,
    /// The service principal of EKS Pod Identity.
    pub service_principal: String,
}

impl Default for PodContext {
    /// Nothing is known but that session tags are on and the service principal is [`SERVICE_PRINCIPAL`].
    fn default() -> Self {
        Self {
            cluster_arn: None,
            cluster_name: None,
            account_id: None,
            namespace: None,
            service_account: None,
            session_tags: true,
            service_principal: SERVICE_PRINCIPAL.to_owned(),
        }
    }
}

impl PodContext {
    fn cluster_arn(&self) -> Glob {
        if let Some(arn) = &self.cluster_arn {
            return Glob::literal(arn);
        }
        let part = |text: &Option<String>| text.clone().unwrap_or_else(|| "*".to_owned());
        Glob::pattern(&format!(
            "arn:*:eks:*:{}:cluster/{}",
            part(&self.account_id),
            part(&self.cluster_name)
        ))
    }

    fn part_of_arn(&self, at: usize, separator: char) -> Option<&str> {
        self.cluster_arn.as_deref()?.split(separator).nth(at)
    }

    fn session_tag(&self, tag: &str) -> Actual {
        if !self.session_tags {
            return Actual::Absent;
        }
        match tag {
            "eks-cluster-arn" => Actual::One(self.cluster_arn()),
            "eks-cluster-name" => Actual::present(
                self.cluster_name
                    .as_deref()
                    .or_else(|| self.part_of_arn(1, '/')),
            ),
            "kubernetes-namespace" => Actual::present(self.namespace.as_deref()),
            "kubernetes-service-account" => Actual::present(self.service_account.as_deref()),
            "kubernetes-pod-name" | "kubernetes-pod-uid" => Actual::present(None),
            _ => Actual::Absent,
        }
    }
}

/// Who asks for the role.
#[derive(Debug, Clone)]
pub(super) enum Caller<'a> {
    /// EKS Pod Identity itself.
    Service,
    /// The source role of a target role, with the external id of the association if it is known.
    Role {
        arn: &'a RoleArn,
        external_id: Option<&'a str>,
    },
}

/// A request for one action on the role.
#[derive(Debug, Clone)]
pub(super) struct Request<'a> {
    pub(super) pod: &'a PodContext,
    pub(super) caller: Caller<'a>,
    pub(super) action: &'static str,
}

impl Request<'_> {
    /// What the request holds for a condition key; the letter case of keys has no meaning.
    pub(super) fn key(&self, key: &str) -> Actual {
        let key = key.to_ascii_lowercase();
        if let Some(tag) = key.strip_prefix("aws:requesttag/") {
            return self.pod.session_tag(tag);
        }
        if let "aws:tagkeys" | "sts:transitivetagkeys" = key.as_str() {
            return if self.pod.session_tags {
                Actual::Many(SESSION_TAGS.map(Glob::literal).to_vec())
            } else {
                Actual::Absent
            };
        }
        if key == "aws:securetransport" {
            return Actual::known("true");
        }
        // Keys of federated sign-in: `saml:…` and, for web identities, the issuer with `:sub`, `:aud` and so on.
        if key.starts_with("saml:") || is_web_identity_key(&key) {
            return Actual::Absent;
        }
        match &self.caller {
            Caller::Service => self.service_key(&key),
            Caller::Role { arn, external_id } => self.role_key(&key, arn, *external_id),
        }
    }

    fn service_key(&self, key: &str) -> Actual {
        match key {
            "aws:sourcearn" => Actual::One(self.pod.cluster_arn()),
            "aws:sourceaccount" => Actual::present(
                self.pod
                    .account_id
                    .as_deref()
                    .or_else(|| self.pod.part_of_arn(4, ':')),
            ),
            "aws:principalisawsservice" => Actual::known("true"),
            "aws:principalservicename" => Actual::known(&self.pod.service_principal),
            "aws:principalorgid" | "aws:principalorgpaths" => Actual::Absent,
            _ if key.starts_with("aws:principaltag/") => Actual::Absent,
            _ => Actual::Unknown,
        }
    }

    fn role_key(&self, key: &str, role: &RoleArn, external_id: Option<&str>) -> Actual {
        match key {
            "aws:principalarn" => Actual::known(&role.to_string()),
            "aws:principalaccount" => Actual::known(&role.account),
            "aws:principalisawsservice" => Actual::known("false"),
            "aws:sourcearn"
            | "aws:sourceaccount"
            | "aws:sourceorgid"
            | "aws:sourceorgpaths"
            | "aws:principalservicename" => Actual::Absent,
            // The external id belongs to the call itself and not to the permission to tag the session.
            "sts:externalid" if self.action != ASSUME_ROLE => Actual::Absent,
            "sts:externalid" => Actual::present(external_id),
            _ => match key.strip_prefix("aws:principaltag/") {
                // Session tags of the source role are transitive and win over the role's own tags.
                Some(tag) if self.pod.session_tags && SESSION_TAGS.contains(&tag) => {
                    self.pod.session_tag(tag)
                }
                _ => Actual::Unknown,
            },
        }
    }
}

/// How a statement answers a request.
#[derive(Debug, Clone)]
pub(super) struct Answer<'a> {
    pub(super) index: usize,
    pub(super) statement: &'a Statement,
    pub(super) effect: Effect,
    pub(super) principal: Tri,
    pub(super) action: bool,
    /// Every line of the condition with what it is worth.
    pub(super) lines: Vec<(Condition<'a>, Tri)>,
}

impl Answer<'_> {
    pub(super) fn condition(&self) -> Tri {
        self.lines
            .iter()
            .fold(Tri::True, |all, (_, line)| all.and(*line))
    }

    pub(super) fn applies(&self) -> Tri {
        self.principal.and(self.action.into()).and(self.condition())
    }
}

/// How every statement with an effect answers the request.
pub(super) fn answers<'a>(document: &'a Document, request: &Request<'_>) -> Vec<Answer<'a>> {
    let variables = document.has_variables();
    let statements = document.statements().iter().enumerate();
    statements
        .filter_map(|(index, statement)| answer(index, statement, request, variables))
        .collect()
}

/// Whether the document certainly allows the request, leaving `Deny` out of account.
pub(super) fn allows(document: &Document, request: &Request<'_>) -> Tri {
    answers(document, request)
        .iter()
        .filter(|answer| answer.effect == Effect::Allow)
        .fold(Tri::False, |any, answer| any.or(answer.applies()))
}

pub(super) fn answer<'a>(
    index: usize,
    statement: &'a Statement,
    request: &Request<'_>,
    variables: bool,
) -> Option<Answer<'a>> {
    let effect = statement.effect()?;
    let lookup = |key: &str| request.key(key);
    let lookup: Option<&dyn Fn(&str) -> Actual> = if variables { Some(&lookup) } else { None };
    let lines = statement.conditions().into_iter().map(|line| {
        let holds = evaluate(line.operator, &line.values, &request.key(line.key), lookup);
        (line, holds)
    });
    Some(Answer {
        index,
        effect,
        principal: principal(statement, effect, request),
        action: has_action(statement, request.action),
        lines: lines.collect(),
        statement,
    })
}

/// Whether a key is one of web identity federation: `ISSUER:claim`, where the issuer is a host with an optional path.
pub(super) fn is_web_identity_key(key: &str) -> bool {
    !key.starts_with("aws:")
        && key.rsplit_once(':').is_some_and(|(issuer, claim)| {
            issuer.contains('.') && !claim.is_empty() && !claim.contains('/')
        })
}

fn principal(statement: &Statement, effect: Effect, request: &Request<'_>) -> Tri {
    let listed = |principal: &Principal<'_>| match &request.caller {
        Caller::Service => principal
            .of_type("Service")
            .contains(&request.pod.service_principal.as_str()),
        Caller::Role { arn, .. } => {
            let text = arn.to_string();
            principal
                .of_type("AWS")
                .into_iter()
                .any(|value| value == text || account_of_root(value) == Some(&arn.account))
        }
    };
    if let Some(excepted) = statement.not_principal() {
        return if listed(&excepted) {
            Tri::False
        } else {
            Tri::Unknown
        };
    }
    let Some(principal) = statement.principal() else {
        return Tri::False;
    };
    if listed(&principal) {
        return Tri::True;
    }
    if principal.is_everyone() {
        // That "*" also means AWS services is certain only for Deny; EKS may want to see its principal by name.
        return if effect == Effect::Deny || matches!(request.caller, Caller::Role { .. }) {
            Tri::True
        } else {
            Tri::Unknown
        };
    }
    // The unique id of a role that was deleted, or of one that IAM did not translate back.
    let unique_id = matches!(request.caller, Caller::Role { .. })
        && principal
            .of_type("AWS")
            .iter()
            .any(|value| value.starts_with("AROA"));
    if unique_id { Tri::Unknown } else { Tri::False }
}

/// Whether a statement is about an action, by `Action` or `NotAction`.
pub(super) fn has_action(statement: &Statement, action: &str) -> bool {
    let matches = |patterns: Vec<&str>| {
        patterns.into_iter().any(|pattern| {
            Glob::pattern(&pattern.to_ascii_lowercase())
                .matches(&Glob::literal(&action.to_ascii_lowercase()))
                == Tri::True
        })
    };
    if statement.members().contains_key("NotAction") {
        !matches(statement.list("NotAction"))
    } else {
        matches(statement.list("Action"))
    }
}
