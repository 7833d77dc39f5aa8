//! What an account's shutdown waits for.

use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::runtime::Handle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument as _;

use super::Shared;
use super::work::{GRACE, Work};

/// What keeps a shutdown waiting, and how it is told of one.
#[derive(Default)]
pub(super) struct Duties {
    tasks: TaskTracker,
    closing: CancellationToken,
    flight: Mutex<Weak<Work>>,
    /// How often tokens that are issued were brought to the store: whether somebody still does.
    commits: AtomicU64,
}

/// Waits until the tasks of these accounts have ended, of one realm and closed, or nobody drives
/// them.
pub(super) async fn settle(accounts: &[Arc<Shared>]) {
    let all = async {
        for account in accounts {
            account.tasks().wait().await;
        }
    };
    let mut all = pin!(all);
    let (Some(any), Ok(_)) = (accounts.first(), Handle::try_current()) else {
        return all.await;
    };
    if timeout(GRACE, all.as_mut()).await.is_ok() {
        return;
    }
    // What nobody has begun has nothing to wait for.
    let unbegun = accounts.iter().filter_map(|account| account.flight());
    unbegun.for_each(|flight| flight.take_over());
    let commits = || -> u64 { accounts.iter().map(|account| account.commits()).sum() };
    // Tokens that the store does not take are waited for as long as somebody brings them to it.
    let limit = any.realm.policy.longest_authorization();
    let mut before = commits();
    while timeout(limit, all.as_mut()).await.is_err() {
        let now = commits();
        if now == before {
            for account in accounts.iter().filter(|left| !left.tasks().is_empty()) {
                tracing::warn!(account = %account.name, "no runtime drives what shutdown waits for");
            }
            return;
        }
        before = now;
    }
}

impl Shared {
    /// The tasks that the account's shutdown waits for.
    pub(super) fn tasks(&self) -> &TaskTracker {
        &self.duties().tasks
    }

    /// Ends the waits of those tasks.
    pub(super) fn closing(&self) -> &CancellationToken {
        &self.duties().closing
    }

    fn duties(&self) -> &Duties {
        self.duties.get_or_init(Duties::default)
    }

    /// Begins work that the account's shutdown waits for.
    pub(super) fn begin(&self, work: impl Future<Output = ()> + Send + 'static) -> Arc<Work> {
        Work::begin(&self.realm.home, self.tasks().track_future(work))
    }

    /// Runs a task that the account's shutdown waits for, on the runtime that is current here: that
    /// of the flight, or of the caller, that leaves it behind.
    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks().spawn(task.in_current_span());
    }

    /// The flight that may have to be taken over.
    pub(super) fn note_flight(&self, flight: &Arc<Work>) {
        let noted = self.duties().flight.lock();
        *noted.unwrap_or_else(PoisonError::into_inner) = Arc::downgrade(flight);
    }

    /// Issued tokens are brought to the store once more.
    pub(super) fn note_commit(&self) {
        self.duties().commits.fetch_add(1, Ordering::Relaxed);
    }

    fn commits(&self) -> u64 {
        self.duties().commits.load(Ordering::Relaxed)
    }

    /// The flight under way, if it is still held by whoever is to begin it.
    pub(super) fn flight(&self) -> Option<Arc<Work>> {
        let noted = self.duties().flight.lock();
        noted.unwrap_or_else(PoisonError::into_inner).upgrade()
    }

    /// No flight starts from here on, and one that has sent nothing is called back.
    pub(super) fn close(&self) {
        self.cell.close();
        self.closing().cancel();
        self.tasks().close();
    }
}
