//! A process killed, stopped or lied to at each step of a rotation; then what another one finds.

use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::LocalSet;
use tower_mac_auth::store::{AccountName, Issued, RecordStore, Status};
use tower_mac_auth::testing::Fault;

use crate::backend::{Backend, StoreSpec};
use crate::child::{Child, Outcome};
use crate::report::tell;
use crate::scene::Scene;
use crate::stops::Stop;

/// How many of the points below are tried at a time.
const AT_ONCE: usize = 6;

type Point = Pin<Box<dyn Future<Output = ()>>>;

/// What a process finds that starts after the kill.
#[derive(Clone, Copy, PartialEq)]
enum Left {
    /// It rotates, or finds what was rotated.
    Live,
    /// The token may be spent: it says so, and sends nothing.
    Doubt,
}
use Left::{Doubt, Live};

pub async fn run(backend: Backend) {
    let here = &backend;
    #[rustfmt::skip]
    let points = [
        point(here, "before acquire", |at| killed(at, Stop::BeforeAcquire, Live, 1)),
        point(here, "after acquire", |at| killed(at, Stop::AfterAcquire, Live, 1)),
        point(here, "after intend", |at| killed(at, Stop::AfterIntend, Doubt, 0)),
        point(here, "reply in memory", |at| killed(at, Stop::BeforeCommit, Doubt, 1)),
        point(here, "committed, not published", |at| killed(at, Stop::AfterCommit, Live, 1)),
        point(here, "request lost", |at| killed_waiting(at, Fault::Hang)),
        point(here, "reply lost", |at| killed_waiting(at, Fault::Hang.consumed())),
        point(here, "request lost, not killed", |at| lost(at, Fault::Reset)),
        point(here, "reply lost, not killed", |at| lost(at, Fault::ConsumedThenReset)),
        point(here, "commit acknowledged late", acknowledged_late),
        point(here, "commit lost", commit_lost),
        point(here, "commit failed", |at| served_and_killed(at, Stop::FailCommits, Doubt)),
        point(here, "commit lost, and its process", |at| served_and_killed(at, Stop::LoseCommit, Doubt)),
        point(here, "intent lost", intent_lost),
        point(here, "intent lost, and its process", intent_lost_and_killed),
        point(here, "paused before sending", paused_before_sending),
        point(here, "paused before the answer", paused_before_the_answer),
        point(here, "spent outside", spent_outside),
        point(here, "rotated outside", rotated_outside),
        journaled(here, "journal, before acquire", |at| killed(at, Stop::BeforeAcquire, Live, 1)),
        journaled(here, "journal, after acquire", |at| killed(at, Stop::AfterAcquire, Live, 1)),
        journaled(here, "journal, after intend", |at| killed(at, Stop::AfterIntend, Doubt, 0)),
        journaled(here, "journal, reply lost", |at| killed_waiting(at, Fault::Hang.consumed())),
        journaled(here, "journal, after it", |at| killed(at, Stop::BeforeCommit, Live, 1)),
        journaled(here, "journal, committed", |at| killed(at, Stop::AfterCommit, Live, 1)),
        journaled(here, "journal, commit failed", |at| served_and_killed(at, Stop::FailCommits, Live)),
        journaled(here, "journal, acknowledged late", acknowledged_late),
        journaled(here, "journal, found by another", found_by_another),
        journaled(here, "journal, overtaken", overtaken),
    ];
    let turns = Arc::new(Semaphore::new(AT_ONCE));
    // On this thread: a worker dies with the thread that started it.
    let local = LocalSet::new();
    let mut running = Vec::new();
    for (name, point) in points {
        let turns = Arc::clone(&turns);
        let point = local.spawn_local(async move {
            let _turn = turns.acquire().await.unwrap();
            point.await;
        });
        running.push((name, point));
    }
    let count = running.len();
    let failed = local.run_until(async {
        let mut failed = Vec::new();
        for (name, point) in running {
            if point.await.is_err() {
                failed.push(name);
            }
        }
        failed
    });
    let failed = failed.await;
    assert!(failed.is_empty(), "{:?}: {failed:?}", backend.kind);
    tell(format_args!("{:?}: {count} crash points", backend.kind));
}

fn point<F: Future<Output = ()> + 'static>(
    backend: &Backend,
    name: &'static str,
    play: impl FnOnce(At) -> F + 'static,
) -> (&'static str, Point) {
    with_journal(backend, None, name, play)
}

/// The same for processes that have a journal.
fn journaled<F: Future<Output = ()> + 'static>(
    backend: &Backend,
    name: &'static str,
    play: impl FnOnce(At) -> F + 'static,
) -> (&'static str, Point) {
    with_journal(backend, Some(backend.journal.clone()), name, play)
}

fn with_journal<F: Future<Output = ()> + 'static>(
    backend: &Backend,
    journal: Option<PathBuf>,
    name: &'static str,
    play: impl FnOnce(At) -> F + 'static,
) -> (&'static str, Point) {
    let spec = backend.spec.clone();
    let point = async move {
        let mut scene = Scene::new(&spec, vec![name.to_owned()]).await;
        scene.journal = journal;
        play(At { scene, name, spec }).await;
    };
    (name, Box::pin(point))
}

/// One point: an account of its own at a provider of its own, in the store they share.
struct At {
    scene: Scene,
    name: &'static str,
    spec: StoreSpec,
}

impl At {
    /// A worker whose next request finds out that the access token has ended.
    async fn worker(&self, stop: Option<Stop>) -> Child {
        let child = Child::ready(&self.scene.orders(stop)).await;
        self.scene.provider.expire_access_tokens();
        child
    }

    /// A worker that stands at this step.
    async fn stopped(&self, stop: Stop) -> Child {
        let mut child = self.worker(Some(stop)).await;
        child.ask(self.name).await;
        child.reached(stop).await;
        child
    }

    /// What a new process finds; and that so many tokens were presented, each once.
    async fn finds(&self, left: Left, presented: usize) {
        let mut fresh = self.scene.worker().await;
        match left {
            Live => self.scene.comes_alive(&mut fresh, self.name).await,
            Doubt => self.in_doubt(&mut fresh).await,
        }
        self.was_presented(presented);
        if left == Doubt {
            self.a_user_ends_it().await;
            self.was_presented(presented);
        }
    }

    async fn in_doubt(&self, child: &mut Child) {
        let outcome = child.get(self.name).await;
        let expected = Outcome::Refresh("InDoubt".to_owned());
        assert_eq!(outcome, expected, "{}", self.name);
        self.stands_at(Status::InDoubt).await;
    }

    async fn stands_at(&self, status: Status) {
        let record = self.scene.record(self.name).await;
        assert_eq!(record.status, status, "{}", self.name);
    }

    async fn a_user_ends_it(&self) {
        self.scene.authorize(self.name).await.unwrap();
        let mut fresh = self.scene.worker().await;
        assert_eq!(fresh.get(self.name).await, Outcome::Served, "{}", self.name);
    }

    fn was_presented(&self, times: usize) {
        let provider = &self.scene.provider;
        let presentations = provider.presentations();
        let is = presentations.len() == times;
        assert!(is, "{}, not {times}: {presentations:#?}", self.name);
        assert!(provider.presented_twice().is_empty(), "{}", self.name);
    }
}

async fn killed(at: At, stop: Stop, left: Left, presented: usize) {
    at.stopped(stop).await.kill().await;
    at.finds(left, presented).await;
}

async fn killed_waiting(at: At, fault: Fault) {
    let mut child = at.worker(None).await;
    at.scene.provider.fault_next(fault);
    child.ask(at.name).await;
    at.scene.presented(1).await;
    child.kill().await;
    at.finds(Doubt, 1).await;
}

async fn lost(at: At, fault: Fault) {
    let mut child = at.worker(None).await;
    at.scene.provider.fault_next(fault);
    at.in_doubt(&mut child).await;
    at.finds(Doubt, 1).await;
}

/// The tokens sign from memory meanwhile, and the commit is repeated.
async fn acknowledged_late(at: At) {
    let mut child = at.stopped(Stop::AfterCommit).await;
    assert_eq!(child.answers().await[0].outcome, Outcome::Served);
    child.kill().await;
    at.stands_at(Status::Active).await;
    at.finds(Live, 1).await;
}

/// Whoever has the higher generation brings the store up to it.
async fn commit_lost(at: At) {
    let mut child = at.worker(Some(Stop::LoseCommit)).await;
    assert_eq!(child.get(at.name).await, Outcome::Served);
    at.scene.provider.expire_access_tokens();
    at.scene.comes_alive(&mut child, at.name).await;
    assert_eq!(at.scene.record(at.name).await.generation.number(), 3);
    at.finds(Live, 2).await;
}

/// The tokens sign, and are not in the store when their process ends.
async fn served_and_killed(at: At, stop: Stop, left: Left) {
    let mut child = at.worker(Some(stop)).await;
    assert_eq!(child.get(at.name).await, Outcome::Served);
    child.kill().await;
    at.finds(left, 1).await;
}

/// Whoever lost it settles it.
async fn intent_lost(at: At) {
    let mut child = at.worker(Some(Stop::LoseIntend)).await;
    assert_eq!(child.get(at.name).await, Outcome::Served);
    assert_eq!(at.scene.record(at.name).await.generation.number(), 2);
    at.finds(Live, 1).await;
}

/// What the intent is for: without it nothing tells the next process not to present the token, and
/// the provider's count, which all of these tests go by, says so.
async fn intent_lost_and_killed(at: At) {
    let mut child = at.worker(Some(Stop::LoseIntend)).await;
    at.scene.provider.fault_next(Fault::Hang.consumed());
    child.ask(at.name).await;
    at.scene.presented(1).await;
    child.kill().await;
    let mut fresh = at.scene.worker().await;
    let expected = Outcome::Refresh("ReauthorizationRequired".to_owned());
    assert_eq!(fresh.get(at.name).await, expected);
    assert_eq!(at.scene.provider.presented_twice().len(), 1);
    at.a_user_ends_it().await;
}

/// Stopped for longer than its intent holds; meanwhile another calls it in doubt and the user
/// agrees anew. When it goes on it sends nothing.
async fn paused_before_sending(at: At) {
    let mut child = at.stopped(Stop::AfterIntend).await;
    child.pause().await;
    child.tell(&crate::child::Order::Go).await;
    let mut other = at.scene.worker().await;
    at.in_doubt(&mut other).await;
    at.a_user_ends_it().await;
    child.resume();
    child.answers().await;
    at.scene.comes_alive(&mut child, at.name).await;
    at.was_presented(0);
    assert_eq!(at.scene.record(at.name).await.generation.number(), 3);
}

/// The same with the request sent: what it brings late does not replace what the user has given.
async fn paused_before_the_answer(at: At) {
    let mut child = at.worker(None).await;
    let answer = Fault::Delay(Duration::from_millis(500)).consumed();
    at.scene.provider.fault_next(answer);
    child.ask(at.name).await;
    at.scene.presented(1).await;
    child.pause().await;
    let mut other = at.scene.worker().await;
    // The answer may have been quicker than the pause.
    if other.get(at.name).await != Outcome::Served {
        at.stands_at(Status::InDoubt).await;
        at.a_user_ends_it().await;
    }
    let standing = at.scene.record(at.name).await;
    child.resume();
    child.answers().await;
    let record = at.scene.record(at.name).await;
    assert_eq!(record.generation, standing.generation, "{}", at.name);
    assert_eq!(
        record.grant().unwrap(),
        standing.grant().unwrap(),
        "{}",
        at.name
    );
    at.finds(Live, 1).await;
}

/// A process that was there finds the doubt, and before it says so the answer in the journal.
async fn found_by_another(at: At) {
    let mut other = at.worker(None).await;
    at.stopped(Stop::BeforeCommit).await.kill().await;
    assert_eq!(other.get(at.name).await, Outcome::Served);
    at.finds(Live, 1).await;
}

/// What is in the journal does not replace what the user has given since.
async fn overtaken(at: At) {
    at.stopped(Stop::BeforeCommit).await.kill().await;
    at.scene.authorize(at.name).await.unwrap();
    let standing = at.scene.record(at.name).await;
    at.finds(Live, 1).await;
    let record = at.scene.record(at.name).await;
    assert_eq!(record.grant().unwrap(), standing.grant().unwrap());
}

/// Somebody outside spends the token: ours is refused, and the grant with it. Said, not repeated.
async fn spent_outside(at: At) {
    let mut child = at.worker(None).await;
    at.scene.refresh_outside(at.name).await;
    let expected = Outcome::Refresh("ReauthorizationRequired".to_owned());
    assert_eq!(child.get(at.name).await, expected);
    at.stands_at(Status::Revoked).await;
    child.kill().await;
    let mut fresh = at.scene.worker().await;
    assert_eq!(fresh.get(at.name).await, expected);
    assert_eq!(at.scene.provider.presentations().len(), 2);
    at.a_user_ends_it().await;
}

/// The same, and its tokens come into the store while ours looks whether they do.
async fn rotated_outside(at: At) {
    // A name of its own: the scene of the point is another provider's.
    let name = format!("{}, lenient", at.name);
    let lenient = |provider: tower_mac_auth::testing::ProviderBuilder| provider;
    let scene = Scene::with(&at.spec, vec![name.clone()], lenient).await;
    let mut child = scene.worker().await;
    let next = scene.refresh_outside(&name).await;
    let old = scene.record(&name).await;
    let access = old.grant().unwrap().access.as_ref().unwrap();
    scene.provider.expire_access_token(&access.access_token);
    child.ask(&name).await;
    scene.presented(2).await;
    let expires_in = next.expires_in;
    let issued = Issued::rotated(old.generation.next(), old.lineage, next, expires_in);
    let account = AccountName::new(&name).unwrap();
    scene.store.commit(&account, issued).await.unwrap();
    assert_eq!(child.answers().await[0].outcome, Outcome::Served);
    assert_eq!(scene.provider.presentations().len(), 2);
}
