//! Look-ups asked once per process, however many objects ask at the same time.

use std::collections::HashMap;
use std::future::Future;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::OnceCell;

use super::error::{AwsError, AwsErrorKind};

type Slot<V, E> = Arc<OnceCell<Result<V, E>>>;

/// Answers by key. Whoever asks first asks AWS; the others wait for the same answer.
///
/// A refusal (`AccessDenied`) is an answer too: asking again would be refused again. Other errors are shared by all who
/// waited for the answer, who would otherwise wait as long one after the other, but not kept, so the next one who asks
/// tries anew.
#[derive(Debug)]
pub struct Lookup<K, V, E = AwsError>(Mutex<HashMap<K, Slot<V, E>>>);

/// An error of a look-up.
pub trait LookupError: Clone {
    /// Whether asking again would be answered the same.
    fn is_final(&self) -> bool;

    /// Whether it says nothing to others who wait for the answer: the one who asked was stopped, or out of time.
    fn is_callers_own(&self) -> bool;
}

impl LookupError for AwsError {
    fn is_final(&self) -> bool {
        self.kind() == AwsErrorKind::AccessDenied
    }

    fn is_callers_own(&self) -> bool {
        matches!(self.kind(), AwsErrorKind::Cancelled | AwsErrorKind::Timeout)
    }
}

impl<K, V, E> Default for Lookup<K, V, E> {
    fn default() -> Self {
        Self(Mutex::new(HashMap::new()))
    }
}

impl<K: Eq + Hash + Clone, V: Clone, E: LookupError> Lookup<K, V, E> {
    /// The answer for `key`, asked with `ask` if nobody has.
    ///
    /// # Errors
    /// What `ask` answered.
    pub async fn get<F>(&self, key: K, ask: impl FnOnce() -> F) -> Result<V, E>
    where
        F: Future<Output = Result<V, E>>,
    {
        let mut ask = Some(ask);
        loop {
            let slot = Arc::clone(self.slots().entry(key.clone()).or_default());
            // A caller that is dropped half-way frees the cell for the next one.
            let answer = slot.get_or_try_init(|| {
                let ask = ask.take();
                async move {
                    match ask {
                        Some(ask) => Ok(ask().await),
                        // Cannot be: whoever has asked has the answer, and does not come here again.
                        None => Err(()),
                    }
                }
            });
            let Ok(answer) = answer.await else { continue };
            if let Err(error) = answer
                && !error.is_final()
            {
                let mut slots = self.slots();
                if slots
                    .get(&key)
                    .is_some_and(|current| Arc::ptr_eq(current, &slot))
                {
                    slots.remove(&key);
                }
                if ask.is_some() && error.is_callers_own() {
                    continue;
                }
            }
            return answer.clone();
        }
    }

    /// Keeps an answer learned otherwise, such as the result of a write.
    pub fn put(&self, key: K, value: V) {
        self.slots()
            .insert(key, Arc::new(OnceCell::from(Ok(value))));
    }

    /// Forgets an answer, because a write made it old.
    pub fn forget(&self, key: &K) {
        self.slots().remove(key);
    }

    fn slots(&self) -> MutexGuard<'_, HashMap<K, Slot<V, E>>> {
        // Insertions and removals leave the map whole even if a key's hash panics.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn many_askers_one_call() {
        let lookup = Lookup::<&str, u32>::default();
        let calls = AtomicU32::new(0);
        let ask = || async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            Ok(calls.fetch_add(1, Ordering::Relaxed))
        };
        let answers =
            futures_util::future::join_all((0..30).map(|_| lookup.get("demo", ask))).await;
        assert!(answers.into_iter().all(|answer| answer.unwrap() == 0));
        assert_eq!(lookup.get("other", ask).await.unwrap(), 1);
        lookup.put("other", 9);
        assert_eq!(lookup.get("other", ask).await.unwrap(), 9);
        lookup.forget(&"other");
        assert_eq!(lookup.get("other", ask).await.unwrap(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn failures_are_shared_by_those_who_wait_unless_they_are_the_askers_own() {
        for (kind, calls_expected) in [
            (AwsErrorKind::Connection, 1),
            (AwsErrorKind::Cancelled, 3),
            (AwsErrorKind::Timeout, 3),
        ] {
            let lookup = Lookup::<&str, u32>::default();
            let calls = AtomicU32::new(0);
            let ask = || async {
                tokio::time::sleep(Duration::from_secs(50)).await;
                calls.fetch_add(1, Ordering::Relaxed);
                Err(AwsError::new(kind, "no"))
            };
            let waiting = (0..3).map(|_| lookup.get("a", ask));
            for answer in futures_util::future::join_all(waiting).await {
                assert_eq!(answer.unwrap_err().kind(), kind);
            }
            assert_eq!(calls.load(Ordering::Relaxed), calls_expected, "{kind:?}");
            let later = lookup.get("a", || async { Ok(7) }).await;
            assert_eq!(later.unwrap(), 7, "{kind:?}: not kept");
        }
    }

    #[tokio::test]
    async fn refusals_are_kept_and_other_errors_are_not() {
        for (kind, calls_expected) in [
            (AwsErrorKind::AccessDenied, 1),
            (AwsErrorKind::Throttled, 2),
            (AwsErrorKind::Cancelled, 2),
        ] {
            let lookup = Lookup::<&str, u32>::default();
            let calls = AtomicU32::new(0);
            let ask = || async {
                calls.fetch_add(1, Ordering::Relaxed);
                Err(AwsError::new(kind, "no"))
            };
            for _ in 0..2 {
                assert_eq!(lookup.get("a", ask).await.unwrap_err().kind(), kind);
            }
            assert_eq!(calls.load(Ordering::Relaxed), calls_expected, "{kind:?}");
        }
    }
}
