//! Proof that new pods get the credentials they should: pods that are created as dry runs.
//!
//! An association exists some time before it is in effect: the mutating webhook that gives pods their credentials learns of
//! it later, on every instance of the API server by itself, and no API tells when. A pod that is created with
//! `dryRun=All` runs through the same webhook and is never persisted, so its answer shows what a pod that is created at
//! that moment by that API server would get. One answer says little; several in a row make it likely that every instance
//! knows.
//!
//! The pod that is asked for is as harmless as can be, because policies judge it like any other: it satisfies the Pod
//! Security Standard "restricted", has a fixed image tag, requests and limits, probes and a read-only root file system,
//! mounts no API token, and runs nothing that needs permissions. What it cannot satisfy are policies that admit only
//! certain registries, only pods with an owner, or only signed images; such a policy is named in the error.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use serde_json::json;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::aws::retry::human_duration;
use crate::framework::Diagnostic;
use crate::kubernetes::refusal::refusing;
use crate::kubernetes::{ClusterApi, KubernetesError, KubernetesErrorKind};
use crate::migration::steps::until_next_look;

/// Name of the probe's only container.
const CONTAINER: &str = "probe";
/// Never pulled, as the pod is never persisted; policies see it.
const IMAGE: &str = "registry.k8s.io/pause:3.10";
/// How often a wait says what it waits for.
const PROGRESS: Duration = Duration::from_secs(30);
/// How long a question may take at least, even if it is asked at the deadline.
const ANSWER: Duration = Duration::from_secs(5);

/// How much has to be seen until a change counts as in effect.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Propagation {
    /// Answers in a row that show what is expected; at least 1.
    pub consecutive: u32,
    /// Time between two questions.
    pub interval: Duration,
    /// How long to wait at most.
    pub timeout: Duration,
}

impl Default for Propagation {
    /// 5 answers, 2 seconds apart, within 5 minutes.
    fn default() -> Self {
        Self {
            consecutive: 5,
            interval: Duration::from_secs(2),
            timeout: Duration::from_secs(300),
        }
    }
}

/// What new pods should get.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Expected {
    /// Credentials from EKS Pod Identity.
    PodIdentity,
    /// A web identity token and this role (IRSA).
    WebIdentity {
        /// The role's ARN.
        role_arn: String,
    },
    /// Neither.
    Nothing,
}

/// What a new pod gets.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Injected {
    /// Credentials from EKS Pod Identity.
    PodIdentity,
    /// A web identity token and this role (IRSA).
    WebIdentity {
        /// The role's ARN.
        role_arn: String,
    },
    /// Neither.
    Nothing,
}

impl Expected {
    /// Whether a pod got what was expected.
    #[must_use]
    pub fn is(&self, injected: &Injected) -> bool {
        match (self, injected) {
            (Self::PodIdentity, Injected::PodIdentity) | (Self::Nothing, Injected::Nothing) => true,
            (Self::WebIdentity { role_arn: wanted }, Injected::WebIdentity { role_arn }) => {
                wanted == role_arn
            }
            _ => false,
        }
    }
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PodIdentity => Injected::PodIdentity.fmt(f),
            Self::WebIdentity { role_arn } => write!(f, "IRSA with the role {role_arn}"),
            Self::Nothing => Injected::Nothing.fmt(f),
        }
    }
}

impl fmt::Display for Injected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PodIdentity => f.write_str("EKS Pod Identity"),
            Self::WebIdentity { role_arn } => write!(f, "IRSA with the role {role_arn}"),
            Self::Nothing => f.write_str("no AWS credentials"),
        }
    }
}

/// New pods get what was expected.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Proof {
    /// How many pods were asked for.
    pub asked: u32,
    /// How long it took.
    pub waited: Duration,
}

/// It could not be shown that new pods get what was expected.
#[derive(Clone, Debug, thiserror::Error)]
pub enum NotProven {
    /// It was not seen often enough in a row.
    #[error("new pods were not seen to get {expected} within {}", human_duration(*timeout))]
    TimedOut {
        /// What was waited for.
        expected: Expected,
        /// What the last answer showed; `None` if there was none.
        last: Option<Injected>,
        /// How many of the last answers in a row showed what was expected.
        in_a_row: u32,
        /// How many would have been enough.
        consecutive: u32,
        /// How many were asked for.
        asked: u32,
        /// How long it was waited.
        timeout: Duration,
    },
    /// Something that judges new pods does not admit the probe.
    #[error("{by} does not admit the pod of the check")]
    Refused {
        /// What refuses it, as the beginning of a sentence.
        by: String,
        /// What it says.
        message: String,
    },
    /// The caller may not create pods, not even as a dry run.
    #[error("creating pods in the namespace {namespace:?} is not allowed")]
    Forbidden {
        /// The namespace.
        namespace: String,
        /// What the API said.
        message: String,
    },
    /// There is no such service account, so no pod can use it.
    #[error(
        "the service account {service_account:?} does not exist in the namespace {namespace:?}"
    )]
    ServiceAccountMissing {
        /// The namespace.
        namespace: String,
        /// The service account.
        service_account: String,
    },
    /// Terraform was asked to stop.
    #[error("the wait was stopped")]
    Cancelled,
    /// The API failed otherwise.
    #[error("the Kubernetes API cannot be asked")]
    Failed(#[source] KubernetesError),
}

impl NotProven {
    /// Whether Terraform was asked to stop.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        matches!(self, Self::Cancelled)
    }

    /// Whether the namespace is being deleted, and so takes no new pods.
    #[must_use]
    pub fn is_of_ending_namespace(&self) -> bool {
        let message = match self {
            Self::Failed(error) => error.message(),
            Self::Refused { message, .. } | Self::Forbidden { message, .. } => message,
            _ => return false,
        };
        message.contains("is being terminated")
    }

    /// The diagnostic: `summary`, a sentence about the object, the cause, and what to do. `next` is what the caller advises
    /// beside that; it may be empty.
    #[must_use]
    pub fn into_diagnostic(&self, summary: &str, object: &str, next: &str) -> Diagnostic {
        let said = match self {
            Self::Failed(error) => return error.into_diagnostic(summary, object, next),
            Self::TimedOut {
                expected,
                last,
                in_a_row,
                consecutive,
                asked,
                timeout,
            } => {
                let seen = match last {
                    None => "No answer came.".to_owned(),
                    Some(last) if expected.is(last) => format!(
                        "The last {in_a_row} of {asked} dry-run pods would have got that, but {consecutive} in a row were \
                         waited for: not every instance of the API server knows yet."
                    ),
                    Some(last) => {
                        format!("The last of {asked} dry-run pods would have got {last}.")
                    }
                };
                format!(
                    "New pods were waited for to get {expected}, for {}. {seen}\n\nEither the change takes longer than \
                     usual to take effect, or the mutating webhook of EKS (MutatingWebhookConfiguration \
                     pod-identity-webhook) does not work or leaves out these pods: its failure policy lets pods start \
                     without credentials.",
                    human_duration(*timeout)
                )
            }
            Self::Refused { by, message } => format!(
                "{by} does not admit the pod that is created as a dry run to see what new pods get: {message}\n\nExempt \
                 pods with the label app.kubernetes.io/name=podidentity-probe, or this namespace, from it. The pod is \
                 never persisted."
            ),
            Self::Forbidden { namespace, message } => format!(
                "What new pods get is seen by creating one as a dry run, which is not allowed: {message}\n\nAdd this rule to \
                 a Role in the namespace {namespace:?} (or a ClusterRole) that is bound to the user or one of its groups. \
                 RBAC cannot allow dry runs only:\n\n  - apiGroups: [\"\"]\n    resources: [\"pods\"]\n    verbs: [\"create\"]"
            ),
            Self::ServiceAccountMissing {
                namespace,
                service_account,
            } => format!(
                "The service account {service_account:?} does not exist in the namespace {namespace:?}, so what its pods get \
                 cannot be seen."
            ),
            Self::Cancelled => {
                "Terraform was asked to stop before it was seen what new pods get.".to_owned()
            }
        };
        let paragraphs: Vec<_> = [object, &said, next]
            .into_iter()
            .filter(|paragraph| !paragraph.is_empty())
            .collect();
        Diagnostic::error(summary, paragraphs.join("\n\n"))
    }
}

/// Waits until new pods of a service account get what is expected: `consecutive` answers in a row. Another answer starts the
/// count anew, and so does an API that is not available for a while.
///
/// # Errors
/// See [`NotProven`]. What waiting cannot mend ends the wait at once.
pub async fn wait(
    cancel: &CancellationToken,
    api: &ClusterApi,
    namespace: &str,
    service_account: &str,
    expected: &Expected,
    propagation: &Propagation,
) -> Result<Proof, NotProven> {
    let whose = format!("{namespace}/{service_account}");
    prove(cancel, &whose, expected, propagation, || {
        probe(cancel, api, namespace, service_account)
    })
    .await
}

/// What a pod of a service account would get if it were created now.
///
/// # Errors
/// See [`NotProven`]; never `TimedOut`.
pub async fn probe(
    cancel: &CancellationToken,
    api: &ClusterApi,
    namespace: &str,
    service_account: &str,
) -> Result<Injected, NotProven> {
    let pod = pod(namespace, service_account)
        .map_err(|error| other(format!("the pod of the check cannot be built: {error}")))?;
    match api.create_dry_run(cancel, namespace, &pod).await {
        Ok(answer) => Ok(injected(&answer)),
        Err(error) => Err(classify(error, namespace, service_account)),
    }
}

fn other(message: String) -> NotProven {
    NotProven::Failed(KubernetesError::new(KubernetesErrorKind::Other, message))
}

/// [`wait`] over whatever answers.
async fn prove<F>(
    cancel: &CancellationToken,
    whose: &str,
    expected: &Expected,
    propagation: &Propagation,
    mut ask: impl FnMut() -> F,
) -> Result<Proof, NotProven>
where
    F: Future<Output = Result<Injected, NotProven>>,
{
    let consecutive = propagation.consecutive.max(1);
    let start = Instant::now();
    let deadline = start + propagation.timeout;
    let (mut asked, mut in_a_row) = (0_u32, 0_u32);
    let mut last = None;
    let mut unavailable = None;
    let mut told = start;
    loop {
        let answer = tokio::select! {
            biased;
            () = cancel.cancelled() => return Err(NotProven::Cancelled),
            answer = tokio::time::timeout_at(deadline.max(Instant::now() + ANSWER), ask()) => answer,
        };
        match answer {
            Ok(Ok(injected)) => {
                asked += 1;
                unavailable = None;
                in_a_row = if expected.is(&injected) {
                    in_a_row + 1
                } else {
                    0
                };
                if last.as_ref() != Some(&injected) {
                    tracing::info!(
                        service_account = whose,
                        "new pods get {injected}; waiting for {expected}"
                    );
                }
                last = Some(injected);
                if in_a_row >= consecutive {
                    return Ok(Proof {
                        asked,
                        waited: start.elapsed(),
                    });
                }
            }
            Ok(Err(NotProven::Failed(error))) if is_passing(&error) => {
                tracing::info!(service_account = whose, %error, "no answer; asking again");
                in_a_row = 0;
                unavailable = Some(error);
            }
            Ok(Err(error)) => return Err(error),
            // Ran into the deadline within a call.
            Err(_) => {}
        }
        let now = Instant::now();
        let Some(pause) = until_next_look(propagation.interval, deadline) else {
            return Err(unavailable.map_or_else(
                || NotProven::TimedOut {
                    expected: expected.clone(),
                    last,
                    in_a_row,
                    consecutive,
                    asked,
                    timeout: propagation.timeout,
                },
                NotProven::Failed,
            ));
        };
        if now - told >= PROGRESS {
            told = now;
            tracing::info!(
                service_account = whose,
                "still waiting for new pods to get {expected}: {in_a_row} of {consecutive} in a row"
            );
        }
        tokio::select! {
            biased;
            () = cancel.cancelled() => return Err(NotProven::Cancelled),
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// Whether the API may answer again in a moment.
fn is_passing(error: &KubernetesError) -> bool {
    matches!(
        error.kind(),
        KubernetesErrorKind::Throttled
            | KubernetesErrorKind::Unavailable
            | KubernetesErrorKind::Timeout
    )
}

fn classify(error: KubernetesError, namespace: &str, service_account: &str) -> NotProven {
    if error.is_cancelled() {
        return NotProven::Cancelled;
    }
    let message = error.message();
    match error.kind() {
        KubernetesErrorKind::Forbidden
        | KubernetesErrorKind::Refused
        | KubernetesErrorKind::Invalid
        | KubernetesErrorKind::Other => {}
        _ => return NotProven::Failed(error),
    }
    if message.contains("error looking up service account") {
        return NotProven::ServiceAccountMissing {
            namespace: namespace.to_owned(),
            service_account: service_account.to_owned(),
        };
    }
    // RBAC names the collection, admission the pod.
    if message.contains("cannot create resource") {
        return NotProven::Forbidden {
            namespace: namespace.to_owned(),
            message: message.to_owned(),
        };
    }
    match refusing(message) {
        Some(by) => NotProven::Refused {
            by,
            message: message.to_owned(),
        },
        None => NotProven::Failed(error),
    }
}

/// The pod that is asked for.
fn pod(namespace: &str, service_account: &str) -> serde_json::Result<Pod> {
    let resources = json!({"cpu": "10m", "memory": "32Mi"});
    let alive = json!({"exec": {"command": ["/pause", "-v"]}, "periodSeconds": 10});
    serde_json::from_value(json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "generateName": "podidentity-probe-",
            "namespace": namespace,
            "labels": {
                "app.kubernetes.io/name": "podidentity-probe",
                "app.kubernetes.io/managed-by": "terraform-provider-podidentity",
            },
        },
        "spec": {
            "serviceAccountName": service_account,
            "automountServiceAccountToken": false,
            "enableServiceLinks": false,
            "restartPolicy": "Never",
            "securityContext": {
                "runAsNonRoot": true,
                "runAsUser": 65535,
                "runAsGroup": 65535,
                "fsGroup": 65535,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [{
                "name": CONTAINER,
                "image": IMAGE,
                "imagePullPolicy": "IfNotPresent",
                "resources": {"requests": resources, "limits": resources},
                "livenessProbe": alive,
                "readinessProbe": alive,
                "securityContext": {
                    "allowPrivilegeEscalation": false,
                    "capabilities": {"drop": ["ALL"]},
                    "privileged": false,
                    "readOnlyRootFilesystem": true,
                    "runAsNonRoot": true,
                    "seccompProfile": {"type": "RuntimeDefault"},
                },
            }],
        },
    }))
}

/// What the webhook put into the probe's container. As in the SDKs, a web identity comes before the agent.
fn injected(pod: &Pod) -> Injected {
    let containers = pod.spec.iter().flat_map(|spec| &spec.containers);
    let variables: BTreeMap<&str, &str> = containers
        .filter(|container| container.name == CONTAINER)
        .flat_map(|container| container.env.iter().flatten())
        .map(|variable| {
            let value = variable.value.as_deref().unwrap_or_default();
            (variable.name.as_str(), value)
        })
        .collect();
    let has = |name: &str| variables.get(name).is_some_and(|value| !value.is_empty());
    if let Some(role_arn) = variables.get("AWS_ROLE_ARN")
        && has("AWS_WEB_IDENTITY_TOKEN_FILE")
    {
        return Injected::WebIdentity {
            role_arn: (*role_arn).to_owned(),
        };
    }
    if has("AWS_CONTAINER_CREDENTIALS_FULL_URI") && has("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE") {
        return Injected::PodIdentity;
    }
    Injected::Nothing
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::collections::VecDeque;

    use super::*;

    const ROLE: &str = "arn:aws:iam::123456789012:role/api";

    fn irsa() -> Injected {
        Injected::WebIdentity {
            role_arn: ROLE.into(),
        }
    }

    fn refused(kind: KubernetesErrorKind) -> NotProven {
        NotProven::Failed(KubernetesError::new(kind, "no"))
    }

    const SOON: Propagation = Propagation {
        consecutive: 3,
        interval: Duration::from_secs(2),
        timeout: Duration::from_secs(60),
    };

    /// Answers from a list; the last one for ever.
    async fn run(
        answers: Vec<Result<Injected, NotProven>>,
        propagation: &Propagation,
    ) -> Result<Proof, NotProven> {
        let left = RefCell::new(VecDeque::from(answers));
        prove(
            &CancellationToken::new(),
            "orders/api",
            &Expected::PodIdentity,
            propagation,
            || {
                let mut left = left.borrow_mut();
                let answer = match left.len() {
                    1 => left[0].clone(),
                    _ => left.pop_front().unwrap(),
                };
                async move { answer }
            },
        )
        .await
    }

    #[tokio::test(start_paused = true)]
    async fn counts_answers_in_a_row() {
        let yes = || Ok(Injected::PodIdentity);
        let no = || Ok(irsa());
        for (answers, asked) in [
            (vec![yes()], 3),
            (vec![no(), yes()], 4),
            (vec![yes(), yes(), no(), yes()], 6),
            (vec![yes(), no(), yes(), no(), yes()], 7),
            // An API that is away for a moment starts the count anew, too, but is no answer.
            (
                vec![
                    yes(),
                    yes(),
                    Err(refused(KubernetesErrorKind::Unavailable)),
                    yes(),
                ],
                5,
            ),
        ] {
            let proof = run(answers, &SOON).await.unwrap();
            assert_eq!(proof.asked, asked);
        }
        let proof = run(vec![no(), yes()], &SOON).await.unwrap();
        assert_eq!(proof.waited, Duration::from_secs(6));
        let one = Propagation {
            consecutive: 0,
            ..SOON
        };
        assert_eq!(run(vec![yes()], &one).await.unwrap().asked, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn gives_up_after_the_timeout_and_says_what_was_seen() {
        let start = Instant::now();
        let error = run(vec![Ok(irsa())], &SOON).await.unwrap_err();
        assert_eq!(start.elapsed(), SOON.timeout);
        let NotProven::TimedOut {
            last,
            in_a_row: 0,
            consecutive: 3,
            asked: 31,
            ..
        } = &error
        else {
            panic!("{error:?}");
        };
        assert_eq!(last, &Some(irsa()));
        let text = error.into_diagnostic("S", "O.", "N.").detail;
        for part in [
            "O.",
            "for 1m",
            "31 dry-run pods would have got IRSA",
            ROLE,
            "webhook",
            "N.",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }

        let flapping = [
            Ok(Injected::PodIdentity),
            Ok(Injected::PodIdentity),
            Ok(irsa()),
        ];
        let many = (0..20).flat_map(|_| flapping.clone()).collect();
        let error = run(many, &SOON).await.unwrap_err();
        let text = error.into_diagnostic("S", "", "").detail;
        assert!(text.contains("dry-run pods"), "{text}");
        assert!(!text.starts_with('\n') && !text.ends_with('\n'));

        let error = run(vec![Err(refused(KubernetesErrorKind::Unavailable))], &SOON).await;
        assert!(matches!(error, Err(NotProven::Failed(_))), "{error:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn the_last_question_is_at_the_deadline() {
        // In effect from second 29 on, of 30; questions come every four seconds.
        let soon = Propagation {
            consecutive: 1,
            interval: Duration::from_secs(4),
            timeout: Duration::from_secs(30),
        };
        let start = Instant::now();
        let proof = prove(
            &CancellationToken::new(),
            "a/b",
            &Expected::PodIdentity,
            &soon,
            || async move {
                // An answer takes a moment, also at the deadline.
                tokio::time::sleep(Duration::from_millis(10)).await;
                Ok(if start.elapsed() >= Duration::from_secs(29) {
                    Injected::PodIdentity
                } else {
                    irsa()
                })
            },
        )
        .await
        .unwrap();
        assert_eq!(proof.waited, Duration::from_millis(30_010));
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_without_answer_ends_at_the_timeout() {
        let start = Instant::now();
        let cancel = CancellationToken::new();
        let error = prove(
            &cancel,
            "a/b",
            &Expected::PodIdentity,
            &SOON,
            std::future::pending,
        )
        .await
        .unwrap_err();
        assert_eq!(start.elapsed(), SOON.timeout);
        assert!(
            matches!(
                error,
                NotProven::TimedOut {
                    last: None,
                    asked: 0,
                    ..
                }
            ),
            "{error:?}"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn what_waiting_cannot_mend_ends_at_once() {
        for kind in [
            KubernetesErrorKind::Unauthorized,
            KubernetesErrorKind::Configuration,
            KubernetesErrorKind::NotFound,
        ] {
            let start = Instant::now();
            assert!(run(vec![Err(refused(kind))], &SOON).await.is_err());
            assert_eq!(start.elapsed(), Duration::ZERO, "{kind:?}");
        }
        let cancel = CancellationToken::new();
        let ask = || async { Ok(Injected::Nothing) };
        let waiting = prove(&cancel, "a/b", &Expected::PodIdentity, &SOON, ask);
        let stopping = async {
            tokio::time::sleep(Duration::from_secs(3)).await;
            cancel.cancel();
        };
        let start = Instant::now();
        let (result, ()) = tokio::join!(waiting, stopping);
        assert!(result.unwrap_err().is_cancelled());
        assert_eq!(start.elapsed(), Duration::from_secs(3));
    }

    #[test]
    fn refusals_are_told_apart() {
        use KubernetesErrorKind::{Forbidden, Invalid};
        let by = |kind, message: &str| {
            classify(KubernetesError::new(kind, message), "orders", "api")
                .into_diagnostic("S", "", "")
                .detail
        };
        for (kind, message, expected) in [
            (
                Forbidden,
                "pods \"x\" is forbidden: violates PodSecurity \"restricted:latest\": runAsNonRoot != true",
                "The Pod Security Standard \"restricted:latest\"",
            ),
            (
                Forbidden,
                "pods \"x\" is forbidden: exceeded quota: small, requested: pods=1, used: pods=5, limited: pods=5",
                "The ResourceQuota \"small\"",
            ),
            (
                Forbidden,
                "pods \"x\" is forbidden: failed quota: compute: must specify limits.ephemeral-storage",
                "The ResourceQuota \"compute\"",
            ),
            (
                Forbidden,
                "pods \"x\" is forbidden: minimum cpu usage per Container is 100m, but request is 10m",
                "A LimitRange",
            ),
            (
                Invalid,
                "admission webhook \"validate.kyverno.svc-fail\" denied the request: registries",
                "The admission webhook \"validate.kyverno.svc-fail\"",
            ),
            (
                Invalid,
                "admission webhook \"old.example.com\" does not support dry run",
                "The admission webhook \"old.example.com\"",
            ),
            (
                Invalid,
                "pods \"x\" is forbidden: ValidatingAdmissionPolicy 'owners' with binding 'all' denied request: no owner",
                "The ValidatingAdmissionPolicy \"owners\"",
            ),
            (
                Forbidden,
                "pods \"x\" is forbidden: unable to create new content in namespace orders because it is being terminated",
                "The namespace, which is being deleted,",
            ),
            (
                Forbidden,
                "pods \"x\" is forbidden: no PriorityClass with name y was found",
                "The API server",
            ),
            (
                Forbidden,
                "pods is forbidden: User \"jane\" cannot create resource \"pods\" in API group \"\" in the namespace \"orders\"",
                "verbs: [\"create\"]",
            ),
            (
                Forbidden,
                "pods \"x\" is forbidden: error looking up service account orders/api: serviceaccount \"api\" not found",
                "The service account \"api\" does not exist",
            ),
        ] {
            let detail = by(kind, message);
            assert!(detail.contains(expected), "{message}: {detail}");
        }
        let failed = classify(
            KubernetesError::new(
                KubernetesErrorKind::NotFound,
                "namespaces \"orders\" not found",
            ),
            "orders",
            "api",
        );
        assert!(matches!(failed, NotProven::Failed(_)), "{failed:?}");
    }

    /// The Pod Security Standard "restricted", as far as a pod without volumes goes.
    #[test]
    fn the_probe_is_restricted() {
        let pod = pod("orders", "api").unwrap();
        let spec = pod.spec.unwrap();
        assert_eq!(spec.service_account_name.as_deref(), Some("api"));
        assert_eq!(spec.automount_service_account_token, Some(false));
        assert_eq!(spec.node_selector, None);
        assert_eq!(
            (spec.host_network, spec.host_pid, spec.host_ipc),
            (None, None, None)
        );
        let container = &spec.containers[0];
        let security = container.security_context.as_ref().unwrap();
        assert_eq!(security.allow_privilege_escalation, Some(false));
        assert_eq!(security.run_as_non_root, Some(true));
        let capabilities = security.capabilities.as_ref().unwrap();
        assert_eq!(capabilities.drop.as_deref(), Some(&["ALL".to_owned()][..]));
        assert_eq!(capabilities.add, None);
        assert_eq!(
            security.seccomp_profile.as_ref().unwrap().type_,
            "RuntimeDefault"
        );
        let resources = container.resources.as_ref().unwrap();
        assert_eq!(resources.requests, resources.limits);
        assert!(pod.metadata.name.is_none() && pod.metadata.generate_name.is_some());
    }

    #[test]
    fn answers_are_read_as_sdks_would() {
        let with = |variables: &[(&str, &str)]| {
            let mut pod = pod("orders", "api").unwrap();
            let env = variables
                .iter()
                .map(|(name, value)| {
                    serde_json::from_value(json!({"name": name, "value": value})).unwrap()
                })
                .collect();
            pod.spec.as_mut().unwrap().containers[0].env = Some(env);
            injected(&pod)
        };
        let agent = [
            (
                "AWS_CONTAINER_CREDENTIALS_FULL_URI",
                "http://169.254.170.23/v1/credentials",
            ),
            ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", "/token"),
        ];
        let web = [
            ("AWS_ROLE_ARN", ROLE),
            ("AWS_WEB_IDENTITY_TOKEN_FILE", "/token"),
        ];
        assert_eq!(with(&agent), Injected::PodIdentity);
        assert_eq!(with(&web), irsa());
        assert_eq!(with(&[agent, web].concat()), irsa());
        assert_eq!(with(&agent[..1]), Injected::Nothing);
        assert_eq!(with(&[("AWS_REGION", "us-east-1")]), Injected::Nothing);
        assert!(Expected::Nothing.is(&Injected::Nothing));
        assert!(
            !Expected::WebIdentity {
                role_arn: "arn:aws:iam::123456789012:role/other".into()
            }
            .is(&irsa())
        );
    }
}
