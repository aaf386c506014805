//! Readiness for what is about to change something: as it is now, and once an agent that is on its way has arrived.
//!
//! A node that joined a moment ago is ready before the agent's pod on it is, and an add-on that was just updated is not active
//! yet. Neither is worth an error, so there is another look every few seconds. All migrations of a cluster share the looks.

use std::collections::{BTreeSet, HashMap};
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::super::facts::{AgentKind, ClusterFacts};
use super::super::finding::Code;
use super::{diagnostic, nodes_waiting_for_agent, nodes_without_agent, read, reasons};
use crate::aws::AwsError;
use crate::framework::{Context, Diagnostic};
use crate::provider::ProviderData;

/// How long an agent that is not ready is waited for.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often it is looked at.
const INTERVAL: Duration = Duration::from_secs(4);
/// Facts of this age are taken for those of now.
const FRESH: Duration = Duration::from_secs(30);

/// The facts of clusters as they were last seen in this process, by name.
#[derive(Debug, Default)]
pub struct Latest(Mutex<HashMap<String, Slot>>);

/// Held while somebody looks, so that others wait for that.
type Slot = Arc<tokio::sync::Mutex<Seen>>;

#[derive(Debug, Default)]
struct Seen {
    facts: Option<(Instant, Arc<ClusterFacts>)>,
    /// What was waited for in vain, and is not waited for again.
    given_up: BTreeSet<Trouble>,
}

/// Something about the agent that time may heal.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Trouble {
    Unhealthy,
    NotOnNode(String),
}

impl Latest {
    fn slots(&self) -> MutexGuard<'_, HashMap<String, Slot>> {
        // Single insertions and removals leave the map whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn slot(&self, name: &str) -> Slot {
        Arc::clone(self.slots().entry(name.to_owned()).or_default())
    }

    /// Keeps what was just read, unless somebody is looking anyway.
    pub(super) fn put(&self, name: &str, facts: &Arc<ClusterFacts>) {
        if let Ok(mut seen) = self.slot(name).try_lock() {
            seen.facts = Some((Instant::now(), Arc::clone(facts)));
        }
    }

    /// Forgets a cluster.
    pub(super) fn forget(&self, name: &str) {
        self.slots().remove(name);
    }
}

/// What a cluster offers to Pod Identity now. While the agent is not healthy, or not ready on a node, it is looked at again for up
/// to a minute; whatever is found then is the answer. What [`cluster`](super::cluster) knows stays as it is, because all plans of a
/// process must agree with each other (rule F2).
///
/// # Errors
/// As [`cluster`](super::cluster).
pub async fn settled(
    context: &Context<ProviderData>,
    name: &str,
) -> Result<Arc<ClusterFacts>, Diagnostic> {
    let slot = context.provider.latest_readiness().slot(name);
    settle(&slot, &context.cancel, name, || {
        read::cluster(context, name)
    })
    .await
    .map_err(|error| diagnostic(name, &error))
}

async fn settle<F>(
    slot: &Slot,
    cancel: &CancellationToken,
    name: &str,
    look: impl Fn() -> F,
) -> Result<Arc<ClusterFacts>, AwsError>
where
    F: Future<Output = Result<Arc<ClusterFacts>, AwsError>>,
{
    let mut seen = tokio::select! {
        biased;
        () = cancel.cancelled() => return Err(AwsError::cancelled()),
        seen = slot.lock() => seen,
    };
    let mut facts = match &seen.facts {
        Some((at, facts)) if at.elapsed() < FRESH => Arc::clone(facts),
        _ => look().await?,
    };
    let began = Instant::now();
    loop {
        let troubles = troubles(&facts);
        seen.facts = Some((Instant::now(), Arc::clone(&facts)));
        // What is over may come again, and be waited for again.
        seen.given_up.retain(|trouble| troubles.contains(trouble));
        if troubles.is_subset(&seen.given_up) {
            return Ok(facts);
        }
        if began.elapsed() >= PATIENCE {
            tracing::warn!(
                cluster = name,
                ?troubles,
                "the EKS Pod Identity Agent did not become ready in time"
            );
            seen.given_up = troubles;
            return Ok(facts);
        }
        tracing::info!(
            cluster = name,
            ?troubles,
            "waiting for the EKS Pod Identity Agent to become ready"
        );
        tokio::select! {
            biased;
            () = cancel.cancelled() => return Err(AwsError::cancelled()),
            () = tokio::time::sleep(INTERVAL) => {}
        }
        facts = look().await?;
    }
}

/// A cluster without an agent is not among them: none is on its way. Nodes that joined a moment ago are, though they are no reason
/// against a migration: pods that are restarted may be put there before the agent is.
fn troubles(facts: &ClusterFacts) -> BTreeSet<Trouble> {
    let mut troubles = BTreeSet::new();
    let not_on = |node: &str| Trouble::NotOnNode(node.to_owned());
    if matches!(facts.agent.kind, AgentKind::Addon | AgentKind::SelfManaged) {
        troubles.extend(nodes_waiting_for_agent(facts).into_iter().map(not_on));
    }
    for reason in reasons(facts) {
        match reason.code {
            Code::AgentUnhealthy => {
                troubles.insert(Trouble::Unhealthy);
            }
            Code::AgentNotOnNodes => {
                troubles.extend(nodes_without_agent(facts).into_iter().flatten().map(not_on))
            }
            _ => {}
        }
    }
    troubles
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::super::super::facts::{AgentFacts, NodeFacts};
    use super::*;
    use crate::aws::ClusterInfo;

    /// A cluster with two nodes, on some of which the agent is ready.
    fn facts(kind: AgentKind, status: &str, ready: &[&str]) -> Arc<ClusterFacts> {
        let node = NodeFacts {
            ready: true,
            ..NodeFacts::default()
        };
        Arc::new(ClusterFacts {
            cluster: Arc::new(ClusterInfo {
                status: "ACTIVE".to_owned(),
                version: "1.33".to_owned(),
                platform_version: "eks.1".to_owned(),
                ..ClusterInfo::default()
            }),
            agent: AgentFacts {
                kind,
                status: Some(status.to_owned()).filter(|status| !status.is_empty()),
                ready_nodes: Some(ready.iter().map(|name| (*name).to_owned()).collect()),
                ..AgentFacts::default()
            },
            nodes: Some(
                ["a", "b"]
                    .map(|name| (name.to_owned(), node.clone()))
                    .into(),
            ),
            ..ClusterFacts::default()
        })
    }

    fn healthy() -> Arc<ClusterFacts> {
        facts(AgentKind::Addon, "ACTIVE", &["a", "b"])
    }

    fn on_one() -> Arc<ClusterFacts> {
        facts(AgentKind::Addon, "ACTIVE", &["a"])
    }

    /// Answers in turn; the last one goes on.
    struct Fake {
        answers: Vec<Arc<ClusterFacts>>,
        looks: AtomicUsize,
        slot: Slot,
        cancel: CancellationToken,
    }

    impl Fake {
        fn new(answers: &[Arc<ClusterFacts>]) -> Self {
            Self {
                answers: answers.to_vec(),
                looks: AtomicUsize::new(0),
                slot: Slot::default(),
                cancel: CancellationToken::new(),
            }
        }

        async fn settle(&self) -> Result<Arc<ClusterFacts>, AwsError> {
            settle(&self.slot, &self.cancel, "demo", || async {
                let look = self.looks.fetch_add(1, Ordering::Relaxed);
                Ok(Arc::clone(&self.answers[look.min(self.answers.len() - 1)]))
            })
            .await
        }

        fn looks(&self) -> usize {
            self.looks.load(Ordering::Relaxed)
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_agent_on_its_way_is_waited_for() {
        let updating = facts(AgentKind::Addon, "UPDATING", &["a"]);
        let fake = Fake::new(&[updating, on_one(), healthy()]);
        assert_eq!(fake.settle().await.unwrap(), healthy());
        assert_eq!(fake.looks(), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn a_node_that_joined_a_moment_ago_is_waited_for_but_no_reason() {
        let mut joining = on_one();
        let nodes = Arc::make_mut(&mut joining).nodes.as_mut().unwrap();
        nodes.get_mut("b").unwrap().joining = true;
        assert_eq!(reasons(&joining), []);
        let fake = Fake::new(&[Arc::clone(&joining), healthy()]);
        assert_eq!(fake.settle().await.unwrap(), healthy());
        let fake = Fake::new(&[Arc::clone(&joining)]);
        assert_eq!(fake.settle().await.unwrap(), joining);
    }

    #[tokio::test(start_paused = true)]
    async fn many_share_the_looks_and_old_ones_do_not_count() {
        let fake = Fake::new(&[on_one(), on_one(), healthy()]);
        let all = futures_util::future::join_all((0..10).map(|_| fake.settle())).await;
        assert!(all.into_iter().all(|facts| facts.unwrap() == healthy()));
        assert_eq!(fake.looks(), 3);
        tokio::time::advance(FRESH).await;
        fake.settle().await.unwrap();
        assert_eq!(fake.looks(), 4);
    }

    #[tokio::test(start_paused = true)]
    async fn in_vain_once_only() {
        let fake = Fake::new(&[on_one()]);
        let began = Instant::now();
        assert_eq!(fake.settle().await.unwrap(), on_one());
        assert!(began.elapsed() >= PATIENCE && began.elapsed() < PATIENCE + INTERVAL);
        tokio::time::advance(FRESH).await;
        let began = Instant::now();
        assert_eq!(fake.settle().await.unwrap(), on_one());
        assert_eq!(began.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_waited_for_where_nothing_will_come() {
        for facts in [
            healthy(),
            facts(AgentKind::None, "", &[]),
            facts(AgentKind::Unknown, "", &[]),
        ] {
            let fake = Fake::new(&[Arc::clone(&facts)]);
            assert_eq!(fake.settle().await.unwrap(), facts);
            assert_eq!(fake.looks(), 1, "{facts:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_stop_ends_it_at_once_for_all() {
        let fake = Fake::new(&[on_one()]);
        let began = Instant::now();
        let (first, second, ()) = tokio::join!(fake.settle(), fake.settle(), async {
            tokio::time::sleep(Duration::from_secs(5)).await;
            fake.cancel.cancel();
        });
        assert!(first.unwrap_err().is_cancelled() && second.unwrap_err().is_cancelled());
        assert_eq!(began.elapsed(), Duration::from_secs(5));
    }
}
