//! Against an IAM in memory with slow calls, late reads and other writers. Time is paused, so nothing here waits.

use futures_util::future::join_all;

use super::*;
use crate::policy::{ClusterArn, Grant};

const MINUTES: Duration = Duration::from_secs(120);
const EMPTY: &str = r#"{"Version":"2012-10-17","Statement":[{"Sid":"Keep","Effect":"Allow","Principal":{"AWS":"123456789012"},"Action":"sts:AssumeRole"}]}"#;

/// IAM, with one role.
struct Fake {
    /// All documents with the time they were written.
    versions: Mutex<Vec<(Instant, String)>>,
    /// Longest time that half of a call takes, in milliseconds.
    latency: u64,
    /// How long after a write a read may still show what was before.
    lag: Duration,
    random: Mutex<fastrand::Rng>,
    writes: Mutex<Vec<String>>,
    /// Answers of the next writes, in order; what is not `None` is answered in the place of success.
    answers: Mutex<Vec<Answer>>,
}

#[derive(Clone, Copy, Debug)]
enum Answer {
    Well,
    Throttled,
    Conflict,
    /// Not carried out, no answer.
    LostBefore,
    /// Carried out, no answer.
    LostAfter,
    Denied,
}

impl Fake {
    fn new(seed: u64, latency: u64, lag: Duration) -> Self {
        Self {
            versions: Mutex::new(vec![(Instant::now(), EMPTY.to_owned())]),
            latency,
            lag,
            random: Mutex::new(fastrand::Rng::with_seed(seed)),
            writes: Mutex::default(),
            answers: Mutex::default(),
        }
    }

    fn answering(answers: &[Answer]) -> Self {
        let fake = Self::new(1, 10, Duration::ZERO);
        *fake.answers.lock().unwrap() = answers.to_vec();
        fake
    }

    async fn half(&self) {
        let pause = self.random.lock().unwrap().u64(0..=self.latency);
        tokio::time::sleep(Duration::from_millis(pause)).await;
    }

    fn put(&self, document: &str) {
        self.versions
            .lock()
            .unwrap()
            .push((Instant::now(), document.to_owned()));
    }

    fn newest(&self) -> Document {
        Document::parse(&self.versions.lock().unwrap().last().unwrap().1).unwrap()
    }

    fn writes(&self) -> usize {
        self.writes.lock().unwrap().len()
    }
}

fn ambiguous() -> AwsError {
    let state = crate::aws::call::CallState::default();
    state.note_ambiguous();
    AwsError::stopped(AwsErrorKind::Connection, "the connection was lost", &state)
}

impl Store for Fake {
    async fn read(&self) -> Result<Option<String>, AwsError> {
        self.half().await;
        let text = {
            let versions = self.versions.lock().unwrap();
            let settled = versions
                .iter()
                .rposition(|(at, _)| at.elapsed() >= self.lag)
                .unwrap_or(0);
            let shown = self.random.lock().unwrap().usize(settled..versions.len());
            versions[shown].1.clone()
        };
        self.half().await;
        Ok(Some(text))
    }

    async fn write(&self, document: &str) -> Result<(), AwsError> {
        self.writes.lock().unwrap().push(document.to_owned());
        self.half().await;
        let answer = {
            let mut answers = self.answers.lock().unwrap();
            if answers.is_empty() {
                Answer::Well
            } else {
                answers.remove(0)
            }
        };
        if matches!(answer, Answer::Well | Answer::LostAfter) {
            self.put(document);
        }
        self.half().await;
        let error = |kind, code| Err(AwsError::new(kind, "no").with_code(code));
        match answer {
            Answer::Well => Ok(()),
            Answer::Throttled => error(AwsErrorKind::Throttled, "Throttling"),
            Answer::Conflict => error(AwsErrorKind::Conflict, "ConcurrentModification"),
            Answer::Denied => error(AwsErrorKind::AccessDenied, "AccessDenied"),
            Answer::LostBefore | Answer::LostAfter => Err(ambiguous()),
        }
    }
}

fn grant(service_account: &str) -> Grant {
    Grant::new(
        ClusterArn::parse("arn:aws:eks:us-east-1:123456789012:cluster/demo").unwrap(),
        "payments",
        service_account,
    )
}

fn adding(grant: &Grant) -> impl Fn(&Document) -> Decision<bool> + Send + Sync + '_ {
    |document| {
        let granted = grant.add(document).unwrap();
        let changed = granted.change.is_ours();
        Ok((changed.then_some(granted.document), changed))
    }
}

fn trusts(document: &Document, service_account: &str) -> bool {
    !grant(service_account)
        .add(document)
        .unwrap()
        .change
        .is_ours()
}

async fn add(fake: &Fake, lock: &RoleLock, name: &str) -> Result<Settled<bool>, Failure> {
    let grant = grant(name);
    settle(
        fake,
        lock,
        &CancellationToken::new(),
        MINUTES,
        Sure::default(),
        adding(&grant),
    )
    .await
}

#[tokio::test(start_paused = true)]
async fn a_change_is_written_once_and_repeating_it_writes_nothing() {
    let fake = Fake::new(1, 50, Duration::ZERO);
    let lock = RoleLock::default();
    let first = add(&fake, &lock, "api").await.unwrap();
    assert!(first.wrote() && first.told);
    assert_eq!(first.before, EMPTY);
    assert_eq!(first.after, fake.newest().to_json());
    let second = add(&fake, &lock, "api").await.unwrap();
    assert!(!second.wrote() && !second.told);
    assert_eq!(
        (&second.before, &second.after),
        (&first.after, &first.after)
    );
    assert_eq!(fake.writes(), 1);
}

#[tokio::test(start_paused = true)]
async fn late_reads_are_waited_for_and_never_written_over() {
    for seed in 0..50 {
        let fake = Fake::new(seed, 30, Duration::from_secs(6));
        let lock = RoleLock::default();
        let names: Vec<String> = (0..10).map(|n| format!("api-{n}")).collect();
        let results = join_all(names.iter().map(|name| add(&fake, &lock, name))).await;
        let newest = fake.newest();
        for (name, result) in names.iter().zip(results) {
            assert!(result.unwrap().wrote(), "seed {seed}: {name}");
            assert!(trusts(&newest, name), "seed {seed}: {name} was lost");
        }
        assert_eq!(fake.writes(), 10, "seed {seed}: one write for each");
        assert_eq!(newest.statements().len(), 2, "seed {seed}");
    }
}

#[tokio::test(start_paused = true)]
async fn late_reads_refuse_nothing() {
    // As it is with retiring: what this process has added is what the change depends on.
    let web = grant("web");
    let decide = |document: &Document| {
        if !trusts(document, "api") {
            return Err(Diagnostic::error("Refused", "the trust of api is missing"));
        }
        adding(&web)(document)
    };
    for seed in 0..50 {
        let fake = Fake::new(seed, 30, Duration::from_secs(6));
        let lock = RoleLock::default();
        let cancel = CancellationToken::new();
        add(&fake, &lock, "api").await.unwrap();
        settle(&fake, &lock, &cancel, MINUTES, Sure::default(), decide)
            .await
            .unwrap_or_else(|failure| panic!("seed {seed}: {failure:?}"));
        assert!(trusts(&fake.newest(), "web"), "seed {seed}");
    }
    // Somebody else's document is no late one.
    let fake = Fake::new(1, 30, Duration::ZERO);
    let (lock, cancel) = (RoleLock::default(), CancellationToken::new());
    let refused = settle(&fake, &lock, &cancel, MINUTES, Sure::default(), decide).await;
    assert!(matches!(refused, Err(Failure::Refused(_))), "{refused:?}");
}

#[tokio::test(start_paused = true)]
async fn many_processes_on_one_role_lose_no_update() {
    let mut writes = 0;
    let mut slowest = Duration::ZERO;
    for seed in 0..200 {
        let fake = Fake::new(seed, 80, Duration::ZERO);
        let names: Vec<String> = (0..10).map(|n| format!("api-{n}")).collect();
        let locks: Vec<RoleLock> = names.iter().map(|_| RoleLock::default()).collect();
        let began = Instant::now();
        let results = join_all(
            names
                .iter()
                .zip(&locks)
                .map(|(name, lock)| add(&fake, lock, name)),
        )
        .await;
        slowest = slowest.max(began.elapsed());
        writes += fake.writes();
        let newest = fake.newest();
        for (name, result) in names.iter().zip(results) {
            assert!(result.unwrap().wrote(), "seed {seed}: {name}");
            assert!(trusts(&newest, name), "seed {seed}: {name} was lost");
        }
        assert_eq!(newest.statements().len(), 2, "seed {seed}: merged into one");
    }
    eprintln!("200 times 10 processes: {writes} writes, slowest {slowest:?}");
}

/// Ten processes with late reads, each as a migration does it: a change, something else that takes its time, and a look that
/// counts. Returns how many of the changes are in the end lost.
async fn ten_with_late_reads(seed: u64, late: Duration, apart: Duration) -> usize {
    let fake = Fake::new(seed, 80, late);
    let names: Vec<String> = (0..10).map(|n| format!("api-{n}")).collect();
    let cancel = CancellationToken::new();
    join_all(names.iter().map(|name| async {
        let lock = RoleLock::default();
        let wanted = grant(name);
        let first = add(&fake, &lock, name).await.unwrap();
        tokio::time::sleep(apart.mul_f64(0.8)).await;
        let sure = Sure {
            apart,
            written: first.written,
        };
        let timeout = Duration::from_secs(3600);
        settle(&fake, &lock, &cancel, timeout, sure, adding(&wanted))
            .await
            .unwrap()
    }))
    .await;
    let newest = fake.newest();
    names.iter().filter(|name| !trusts(&newest, name)).count()
}

#[tokio::test(start_paused = true)]
async fn late_reads_of_many_processes_lose_no_update_once_they_are_waited_for() {
    let late = Duration::from_secs(6);
    let mut slowest = Duration::ZERO;
    let mut lost_at_once = 0;
    for seed in 0..12 {
        let began = Instant::now();
        let lost = ten_with_late_reads(seed, late, 2 * late + Duration::from_secs(1)).await;
        assert_eq!(lost, 0, "seed {seed}");
        slowest = slowest.max(began.elapsed());
        lost_at_once += ten_with_late_reads(seed, late, Duration::ZERO).await;
    }
    assert!(lost_at_once > 0, "without waiting some of them get lost");
    eprintln!(
        "12 times 10 processes: {lost_at_once} lost without waiting, none with it, slowest {slowest:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn being_sure_costs_no_more_than_the_time_since_the_change() {
    let apart = Duration::from_secs(10);
    let sure = |written| Sure { apart, written };
    let fake = Fake::new(1, 10, Duration::ZERO);
    let lock = RoleLock::default();
    let cancel = CancellationToken::new();
    let wanted = grant("api");
    let look = |written| {
        settle(
            &fake,
            &lock,
            &cancel,
            MINUTES,
            sure(written),
            adding(&wanted),
        )
    };
    let written = add(&fake, &lock, "api").await.unwrap().written;
    let wrote_at = written.unwrap();
    // Other changes by the same process do not put it off: they are known.
    tokio::time::sleep(Duration::from_secs(8)).await;
    add(&fake, &lock, "web").await.unwrap();
    assert!(!look(written).await.unwrap().wrote());
    let waited = wrote_at.elapsed();
    assert!(
        waited >= apart && waited < apart + Duration::from_secs(1),
        "{waited:?}"
    );
    // Once it has stood, and where it was there already, one look is enough.
    for known in [written, None] {
        let began = Instant::now();
        look(known).await.unwrap();
        assert!(began.elapsed() < Duration::from_secs(1));
    }
    // Somebody else's change puts it off.
    let theirs = fake.newest().to_json().replace("Keep", "Kept");
    fake.put(&theirs);
    let began = Instant::now();
    look(written).await.unwrap();
    assert!(began.elapsed() >= apart, "{:?}", began.elapsed());
    assert_eq!(fake.writes(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_change_that_somebody_wrote_over_is_made_again() {
    // The other one read before our write and writes a moment after our read-back.
    let fake = Fake::new(3, 10, Duration::ZERO);
    let theirs = grant("web").add(&Document::parse(EMPTY).unwrap()).unwrap();
    let lock = RoleLock::default();
    let (settled, ()) = tokio::join!(add(&fake, &lock, "api"), async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert!(trusts(&fake.newest(), "api"), "too early");
        fake.put(&theirs.document.to_json());
    });
    let settled = settled.unwrap();
    assert!(settled.wrote());
    assert_eq!(
        settled.before,
        theirs.document.to_json(),
        "what the last write replaced"
    );
    for name in ["api", "web"] {
        assert!(trusts(&fake.newest(), name), "{name}");
    }
    assert_eq!(fake.writes(), 2);
}

#[tokio::test(start_paused = true)]
async fn somebody_who_puts_the_old_document_back_is_believed_in_the_end() {
    let fake = Fake::new(3, 10, Duration::ZERO);
    let lock = RoleLock::default();
    add(&fake, &lock, "api").await.unwrap();
    fake.put(EMPTY);
    // How long that takes depends on chance: the last look before the end of late reads may be followed by a long pause.
    let again = add(&fake, &lock, "api").await.unwrap();
    assert!(again.wrote() && trusts(&fake.newest(), "api"));
    assert_eq!(again.before, EMPTY);
    assert_eq!(fake.writes(), 2);
}

#[tokio::test(start_paused = true)]
async fn what_answers_a_write_decides_how_it_goes_on() {
    use Answer::{Conflict, Denied, LostAfter, LostBefore, Throttled, Well};
    for (answers, writes, works) in [
        (&[Well][..], 1, true),
        (&[Throttled, Throttled, Throttled], 4, true),
        (&[Conflict], 2, true),
        (&[LostAfter], 1, true),
        (&[LostBefore], 2, true),
        (&[LostBefore, LostAfter], 2, true),
        (&[Denied], 1, false),
        (&[Throttled; 100], 0, false),
    ] {
        let fake = Fake::answering(answers);
        let result = add(&fake, &RoleLock::default(), "api").await;
        assert_eq!(result.is_ok(), works, "{answers:?}: {result:?}");
        assert_eq!(trusts(&fake.newest(), "api"), works, "{answers:?}");
        match result {
            Ok(settled) => assert!(settled.wrote(), "{answers:?}"),
            Err(Failure::Call { error, write }) => {
                assert_eq!(error.code(), Some("AccessDenied"));
                assert!(write.is_some());
            }
            Err(Failure::Unsettled { last_error, .. }) => {
                assert_eq!(last_error.unwrap().code(), Some("Throttling"));
            }
            Err(other) => panic!("{answers:?}: {other:?}"),
        }
        if writes > 0 {
            assert_eq!(fake.writes(), writes, "{answers:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_fight_ends_with_the_time_and_a_stop_at_once() {
    let fake = Fake::new(5, 5, Duration::ZERO);
    let lock = RoleLock::default();
    let wanted = grant("api");
    let cancel = CancellationToken::new();
    // Somebody replaces the document at once, again and again, each time by another one.
    let fight = async {
        for n in 0.. {
            tokio::time::sleep(Duration::from_millis(5)).await;
            fake.put(&EMPTY.replace("Keep", &format!("Keep{n}")));
        }
    };
    let began = Instant::now();
    let result = tokio::select! {
        result = settle(&fake, &lock, &cancel, Duration::from_secs(30), Sure::default(), adding(&wanted)) => result,
        () = fight => unreachable!(),
    };
    assert!(
        matches!(&result, Err(Failure::Unsettled { writes, last_error: None }) if *writes > 3),
        "{result:?}"
    );
    // What begins by then, a look or a write, takes a few calls of 5 ms at most.
    let took = began.elapsed();
    assert!(took < Duration::from_millis(30_050), "{took:?}");

    let fake = Fake::answering(&[Answer::Throttled; 100]);
    let began = Instant::now();
    let (result, ()) = tokio::join!(
        settle(
            &fake,
            &lock,
            &cancel,
            MINUTES,
            Sure::default(),
            adding(&wanted)
        ),
        async {
            tokio::time::sleep(Duration::from_millis(2500)).await;
            cancel.cancel();
        }
    );
    assert!(matches!(result, Err(Failure::Call { error, .. }) if error.is_cancelled()));
    assert_eq!(began.elapsed(), Duration::from_millis(2500));
}
