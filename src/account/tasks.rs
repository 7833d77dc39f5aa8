//! What an account's shutdown waits for.

use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument as _;

use super::work::{GRACE, Home, Work};

/// The tasks of an account: what keeps its shutdown waiting, and how they are told of one.
#[derive(Default)]
pub(super) struct Tasks {
    running: TaskTracker,
    closing: CancellationToken,
    changed: Notify,
    flight: Mutex<Weak<Work>>,
    /// How often tokens that are issued were brought to the store: whether somebody still does.
    commits: AtomicU64,
}

impl Tasks {
    /// Begins work that the account's shutdown waits for.
    pub(super) fn begin(
        &self,
        home: &Home,
        work: impl Future<Output = ()> + Send + 'static,
    ) -> Arc<Work> {
        Work::begin(home, self.running.track_future(work))
    }

    /// Runs a task that the account's shutdown waits for, on the runtime that is current here: the
    /// runtime of the flight or the caller that leaves the task behind.
    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.running.spawn(task.in_current_span());
    }

    /// Ends the waits of the tasks.
    pub(super) fn closing(&self) -> &CancellationToken {
        &self.closing
    }

    /// Wakes what waits for a change of the record in the store.
    pub(super) fn changed(&self) -> &Notify {
        &self.changed
    }

    /// The flight that may have to be taken over.
    pub(super) fn note_flight(&self, flight: &Arc<Work>) {
        let mut noted = self.flight.lock().unwrap_or_else(PoisonError::into_inner);
        *noted = Arc::downgrade(flight);
    }

    /// The flight under way, if it is still held by whoever is to begin it.
    pub(super) fn flight(&self) -> Option<Arc<Work>> {
        let noted = self.flight.lock().unwrap_or_else(PoisonError::into_inner);
        noted.upgrade()
    }

    /// Issued tokens are brought to the store once more.
    pub(super) fn note_commit(&self) {
        self.commits.fetch_add(1, Ordering::Relaxed);
    }

    /// What has sent nothing is called back.
    pub(super) fn close(&self) {
        self.closing.cancel();
        self.running.close();
    }
}

/// Waits until the tasks of these accounts, which are closed, have ended. If no runtime drives the
/// tasks, it waits for `limit` after the last sign that one does.
pub(super) async fn settle(accounts: &[(&str, &Tasks)], limit: Duration) {
    let all = async {
        for (_, tasks) in accounts {
            tasks.running.wait().await;
        }
    };
    let mut all = pin!(all);
    if Handle::try_current().is_err() {
        return all.await;
    }
    if timeout(GRACE, all.as_mut()).await.is_ok() {
        return;
    }
    // A flight that nobody has begun is begun here, and ends at once, because its account is closed.
    let unbegun = accounts.iter().filter_map(|(_, tasks)| tasks.flight());
    unbegun.for_each(|flight| flight.take_over());
    let commits = || -> u64 {
        let commits = accounts.iter().map(|(_, tasks)| &tasks.commits);
        commits.map(|commits| commits.load(Ordering::Relaxed)).sum()
    };
    // Tokens that the store does not take are waited for as long as somebody brings them to it.
    let mut before = commits();
    while timeout(limit, all.as_mut()).await.is_err() {
        let now = commits();
        if now == before {
            for (account, _) in accounts.iter().filter(|(_, left)| !left.running.is_empty()) {
                tracing::warn!(account, "no runtime drives what shutdown waits for");
            }
            return;
        }
        before = now;
    }
}
