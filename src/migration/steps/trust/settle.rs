//! Brings the trust policy of a role to where a decision has nothing left to change.
//!
//! IAM offers neither a condition on writes nor a lock: `UpdateAssumeRolePolicy` replaces the whole document, the last
//! writer wins, and a read may show a document that was replaced a moment ago. So a change is read, decide, write, read
//! back, and it is over only when the decision, asked about what IAM shows, has nothing to change:
//!
//! - Within one process a lock per role lets one change at a time through, and [`RoleState`] remembers what this process
//!   replaced: a read that shows such a document is a late one and is repeated, not taken for somebody's change.
//! - A third document is another process's. The decision is asked again about that document, so both changes stay.
//! - Another process may have read before our write and write after our read-back. So after a quiet time, in which such a
//!   write would have arrived, there is one more look; a lost change is made again.
//! - Another process may also have been shown, a while after our write, what was there before, and have based its own write
//!   on that; and our look after the quiet time may be a late one. Nothing short of waiting helps: see [`Sure`].
//! - No write is repeated as it was: the SDK would send the same document again long after others have changed the role.

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::aws::retry::Schedule;
use crate::aws::{AwsError, AwsErrorKind};
use crate::framework::Diagnostic;
use crate::policy::document::ParseError;
use crate::policy::{Document, equivalent};

/// How long a document that this process replaced is taken for a late read. IAM promises no time; seconds are usual.
const LATE_READS: Duration = Duration::from_secs(20);
/// The same after a write whose answer was lost, which may not have been carried out at all.
const LATE_READS_IF_AMBIGUOUS: Duration = Duration::from_secs(3);
/// How many replaced documents of a role are remembered.
const REMEMBERED: usize = 64;
/// The quiet time after a change is this many times the slowest call seen, because the other writers' calls take as long as ours.
const QUIET_CALLS: u32 = 6;
/// Shortest quiet time.
const QUIET_LEAST: Duration = Duration::from_millis(600);
/// Longest quiet time.
const QUIET_MOST: Duration = Duration::from_secs(8);
/// Pauses while others write the same role at the same time: short, because each round one of them gets through.
const CONTENTION: Schedule = Schedule {
    first: Duration::from_millis(60),
    greatest: Duration::from_secs(2),
};

/// Where the trust policy of one role is read and written.
pub(super) trait Store: Send + Sync {
    /// The document as the service shows it now; `None` if there is no such role.
    fn read(&self) -> impl Future<Output = Result<Option<String>, AwsError>> + Send;
    /// Replaces the document, in one attempt.
    fn write(&self, document: &str) -> impl Future<Output = Result<(), AwsError>> + Send;
}

/// What a decision makes of a document: the one to write, if anything is left to change, and what to tell.
pub(super) type Decision<T> = Result<(Option<Document>, T), Diagnostic>;

/// How long a change must have stood before a look at it counts.
///
/// With reads that are up to `late` late and writers that take `call` from reading to writing, whoever has not seen our
/// write has written at most `late + call` after it, and that shows at most `late` later. So what stands unchanged by other
/// processes for `2 * late + call` is not lost any more, provided that all of them come back to look as we do. IAM states no
/// bound for `late`, so neither is there a guarantee for longer delays, nor for writers that do not look again.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sure {
    /// The time that must lie between the last change and the look that counts; zero: the quiet time is enough.
    pub(super) apart: Duration,
    /// When this process made the change, in an earlier call. What it found already done is not waited for.
    pub(super) written: Option<Instant>,
}

/// A trust policy that has settled.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Settled<T> {
    /// What the last write replaced; without a write, what was read.
    pub(super) before: String,
    /// What IAM shows.
    pub(super) after: String,
    /// What the decision told when it was written; without a write, what it told of what was read.
    pub(super) told: T,
    /// When that was written last; `None` if nothing was.
    pub(super) written: Option<Instant>,
}

impl<T> Settled<T> {
    /// Whether anything was written.
    pub(super) fn wrote(&self) -> bool {
        self.written.is_some()
    }
}

/// Why a trust policy did not settle.
#[derive(Debug)]
pub(super) enum Failure {
    /// There is no such role.
    Gone,
    /// What the role has is no policy document.
    Unreadable(ParseError),
    /// A call failed. For a write: the document that was to be written, and the one before.
    Call {
        error: AwsError,
        write: Option<Box<(Document, Document)>>,
    },
    /// No statement would be left, which IAM does not accept.
    Empty,
    /// Time ran out, and what was seen last.
    Unsettled {
        writes: u32,
        last_error: Option<AwsError>,
    },
    /// The decision refused.
    Refused(Diagnostic),
}

impl From<AwsError> for Failure {
    fn from(error: AwsError) -> Self {
        Self::Call { error, write: None }
    }
}

/// What this process knows of the trust policy of one role.
#[derive(Debug, Default)]
pub struct RoleState {
    /// Documents that this process replaced and that are not back since.
    replaced: Vec<Document>,
    /// Until when reads of those are taken for late ones.
    late_until: Option<Instant>,
    /// What the role has, as far as this process knows.
    shown: Option<Document>,
    /// When that was last seen to be changed by somebody else.
    changed: Option<Instant>,
}

impl RoleState {
    fn replace(&mut self, old: Document, new: &Document, late: Duration) {
        self.replaced
            .retain(|known| !equivalent(known, new) && !equivalent(known, &old));
        if self.replaced.len() == REMEMBERED {
            self.replaced.remove(0);
        }
        self.replaced.push(old);
        self.shown = Some(new.clone());
        let until = Instant::now() + late;
        self.late_until = Some(self.late_until.map_or(until, |at| at.max(until)));
    }

    fn is_late(&self, document: &Document) -> bool {
        self.late_until.is_some_and(|until| Instant::now() < until)
            && self
                .replaced
                .iter()
                .any(|known| equivalent(known, document))
    }

    /// Takes a document for what the role has now.
    fn accept(&mut self, document: &Document) {
        self.replaced.retain(|known| !equivalent(known, document));
        let same = self
            .shown
            .as_ref()
            .is_none_or(|shown| equivalent(shown, document));
        if !same {
            self.changed = Some(Instant::now());
        }
        self.shown = Some(document.clone());
    }

    /// How long a change of then still has to stand.
    fn left(&self, sure: Sure) -> Duration {
        let Some(written) = sure.written else {
            return Duration::ZERO;
        };
        let since = self.changed.map_or(written, |changed| changed.max(written));
        (since + sure.apart).saturating_duration_since(Instant::now())
    }
}

/// A lock per role name, for changes of trust policies within this process.
#[derive(Debug, Default)]
pub struct RoleLocks(Mutex<HashMap<String, RoleLock>>);

/// The lock of one role.
pub(super) type RoleLock = Arc<tokio::sync::Mutex<RoleState>>;

impl RoleLocks {
    /// The lock of a role. Names are unique without regard to case.
    pub(super) fn of(&self, role_name: &str) -> RoleLock {
        // Single insertions leave the map whole even if a thread panics in between.
        let mut locks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(locks.entry(role_name.to_ascii_lowercase()).or_default())
    }
}

/// Changes the trust policy of a role until `decide` has nothing left to change, as surely as asked for.
pub(super) async fn settle<S: Store, T: Send>(
    store: &S,
    lock: &RoleLock,
    cancel: &CancellationToken,
    timeout: Duration,
    mut sure: Sure,
    decide: impl Fn(&Document) -> Decision<T> + Send + Sync,
) -> Result<Settled<T>, Failure> {
    let mut run = Run {
        store,
        cancel,
        deadline: Instant::now() + timeout,
        late: LATE_READS.min(timeout / 2),
        slowest: Duration::ZERO,
        writes: 0,
        last_error: None,
    };
    let mut lost: u32 = 0;
    let mut result: Option<Settled<T>> = None;
    loop {
        let (settled, left) = {
            let mut state = run.lock(lock).await?;
            let settled = run.change(&mut state, &decide).await?;
            sure.written = settled.written.or(sure.written);
            (settled, state.left(sure))
        };
        let (wrote, after) = (settled.wrote(), settled.after.clone());
        // What was told of the write stands when a later round finds that somebody else's document holds it too.
        let known = match result.take() {
            Some(known) if !wrote => known,
            _ => settled,
        };
        let is_over = (left.is_zero() && !known.wrote()) || Instant::now() + left >= run.deadline;
        if !wrote && is_over {
            return Ok(Settled { after, ..known });
        }
        run.pause(if wrote { run.quiet() } else { left }).await?;
        if let Some(after) = run.confirm(lock, sure, &decide).await? {
            return Ok(Settled { after, ..known });
        }
        result = Some(known);
        tracing::info!("another process replaced the trust policy; changing it again");
        run.pause(CONTENTION.jittered(lost).max(spread(sure.apart)))
            .await?;
        lost += 1;
    }
}

/// A random pause, so that processes which lost their change at the same time do not write at the same time again.
fn spread(apart: Duration) -> Duration {
    apart.mul_f64(fastrand::f64())
}

/// One call of [`settle`].
struct Run<'a, S> {
    store: &'a S,
    cancel: &'a CancellationToken,
    deadline: Instant,
    late: Duration,
    slowest: Duration,
    writes: u32,
    last_error: Option<AwsError>,
}

impl<S: Store> Run<'_, S> {
    /// Reads, decides and writes until nothing is left to change. The caller holds the lock.
    async fn change<T>(
        &mut self,
        state: &mut RoleState,
        decide: &(impl Fn(&Document) -> Decision<T> + Sync),
    ) -> Result<Settled<T>, Failure> {
        let mut written: Option<(Instant, String, T)> = None;
        let mut looks = 0;
        let mut rounds = 0;
        let mut paused_for_others = true;
        loop {
            let (text, document) = self.read().await?;
            if state.is_late(&document) {
                self.pause(Schedule::STATUS.jittered(looks)).await?;
                looks += 1;
                continue;
            }
            state.accept(&document);
            let (next, told) = decide(&document).map_err(Failure::Refused)?;
            let Some(next) = next else {
                let (at, before, told) = match written {
                    Some((at, before, told)) => (Some(at), before, told),
                    None => (None, text.clone(), told),
                };
                return Ok(Settled {
                    before,
                    after: text,
                    told,
                    written: at,
                });
            };
            if next.statements().is_empty() {
                return Err(Failure::Empty);
            }
            // Others write too: step aside first, then read again and write at once.
            if !paused_for_others {
                self.pause(CONTENTION.jittered(rounds)).await?;
                rounds += 1;
                paused_for_others = true;
                continue;
            }
            if self.cancel.is_cancelled() {
                return Err(AwsError::cancelled().into());
            }
            match self.write(&next.to_json()).await {
                Ok(()) => {
                    state.replace(document, &next, self.late);
                    written = Some((Instant::now(), text, told));
                    self.last_error = None;
                    looks = 0;
                    paused_for_others = false;
                }
                Err(error) if may_have_been_carried_out(&error) => {
                    state.replace(document, &next, self.late.min(LATE_READS_IF_AMBIGUOUS));
                    written = Some((Instant::now(), text, told));
                    if error.is_cancelled() {
                        return Err(error.into());
                    }
                    self.last_error = Some(error);
                    looks = 0;
                    paused_for_others = false;
                }
                Err(error) if is_to_be_repeated(&error) => {
                    self.last_error = Some(error);
                    self.pause(Schedule::EVENTUAL_CONSISTENCY.jittered(rounds))
                        .await?;
                    rounds += 1;
                }
                Err(error) => {
                    return Err(Failure::Call {
                        error,
                        write: Some(Box::new((document, next))),
                    });
                }
            }
        }
    }

    /// What IAM shows after the quiet time, and once the change has stood for long enough; `None` if the change was lost.
    async fn confirm<T>(
        &mut self,
        lock: &RoleLock,
        sure: Sure,
        decide: &(impl Fn(&Document) -> Decision<T> + Sync),
    ) -> Result<Option<String>, Failure> {
        let mut looks = 0;
        loop {
            let (text, document) = self.read().await?;
            let (late, left) = {
                let mut state = self.lock(lock).await?;
                let late = state.is_late(&document);
                if !late {
                    state.accept(&document);
                }
                (late, state.left(sure))
            };
            let holds = match decide(&document) {
                Ok((next, _)) => next.is_none(),
                // Of what was replaced by now nothing is to be told.
                Err(_) if late => false,
                Err(refusal) => return Err(Failure::Refused(refusal)),
            };
            let pause = match (holds, late) {
                (true, _) => left,
                (false, true) => Schedule::STATUS.jittered(looks),
                (false, false) => return Ok(None),
            };
            // Where others never cease to write, the time for this is all that can be given to it.
            if holds && (left.is_zero() || Instant::now() + pause >= self.deadline) {
                return Ok(Some(text));
            }
            self.pause(pause).await?;
            looks += 1;
        }
    }

    async fn lock<'l>(
        &self,
        lock: &'l RoleLock,
    ) -> Result<tokio::sync::MutexGuard<'l, RoleState>, Failure> {
        tokio::select! {
            biased;
            () = self.cancel.cancelled() => Err(AwsError::cancelled().into()),
            state = lock.lock() => Ok(state),
            () = tokio::time::sleep_until(self.deadline) => Err(self.unsettled()),
        }
    }

    fn quiet(&self) -> Duration {
        (self.slowest * QUIET_CALLS)
            .clamp(QUIET_LEAST, QUIET_MOST)
            .mul_f64(0.9 + 0.2 * fastrand::f64())
    }

    async fn read(&mut self) -> Result<(String, Document), Failure> {
        let began = Instant::now();
        let text = self.store.read().await?.ok_or(Failure::Gone)?;
        self.slowest = self.slowest.max(began.elapsed());
        let document = Document::parse(&text).map_err(Failure::Unreadable)?;
        Ok((text, document))
    }

    async fn write(&mut self, document: &str) -> Result<(), AwsError> {
        let began = Instant::now();
        let result = self.store.write(document).await;
        self.slowest = self.slowest.max(began.elapsed());
        self.writes += 1;
        result
    }

    async fn pause(&self, pause: Duration) -> Result<(), Failure> {
        if Instant::now() + pause >= self.deadline {
            return Err(self.unsettled());
        }
        tokio::select! {
            biased;
            () = self.cancel.cancelled() => Err(AwsError::cancelled().into()),
            () = tokio::time::sleep(pause) => Ok(()),
        }
    }

    fn unsettled(&self) -> Failure {
        Failure::Unsettled {
            writes: self.writes,
            last_error: self.last_error.clone(),
        }
    }
}

/// No answer, or one that says nothing: the document may be there or not.
fn may_have_been_carried_out(error: &AwsError) -> bool {
    error.after_ambiguous_attempt()
}

/// Nothing was changed, and the same may work in a moment.
fn is_to_be_repeated(error: &AwsError) -> bool {
    matches!(
        error.code(),
        Some("ConcurrentModification" | "EntityTemporarilyUnmodifiable")
    ) || matches!(
        error.kind(),
        AwsErrorKind::Throttled | AwsErrorKind::Connection | AwsErrorKind::Timeout
    )
}

#[cfg(test)]
mod tests;
