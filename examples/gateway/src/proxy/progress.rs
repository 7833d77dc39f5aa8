use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::Refusal;
use super::idle::idle;

/// How far a request has gone: who waits for the answer sees that something moves, and if not, who is late.
#[derive(Clone, Debug, Default)]
pub(crate) struct Progress(Arc<Moved>);

#[derive(Debug, Default)]
struct Moved {
    /// Either way: bytes of the body, and parts of the answer.
    count: AtomicU64,
    /// More of the body is wanted than has come.
    wanted: AtomicBool,
    /// An attempt waits for its answer, and has a limit of its own.
    attempt: AtomicBool,
    attempts: AtomicU8,
    /// What the caller is told whose body failed. By HTTP/2 the client's error does not have it.
    failed: OnceLock<Refusal>,
    /// Nobody will ask for more of the body.
    uploaded: CancellationToken,
}

impl Progress {
    pub(super) fn moved(&self, much: u64) {
        self.0.count.fetch_add(much, Ordering::Relaxed);
    }

    /// Ends once for so long nothing has moved, nor has `otherwise` been so.
    pub(super) async fn rests(self, limit: Duration, otherwise: impl Fn(&Self) -> bool) {
        let count = || self.0.count.load(Ordering::Relaxed);
        let mut seen = count();
        idle(limit, || {
            let before = std::mem::replace(&mut seen, count());
            seen != before || otherwise(&self)
        })
        .await;
    }

    /// How often the request was sent.
    pub(super) fn attempts(&self) -> u8 {
        self.0.attempts.load(Ordering::Relaxed)
    }

    pub(super) fn attempt_begins(&self) {
        self.0.attempts.fetch_add(1, Ordering::Relaxed);
        self.0.attempt.store(true, Ordering::Relaxed);
        // The one before may have waited for more. This one has asked for nothing, and is given first what was kept.
        self.0.wanted.store(false, Ordering::Relaxed);
    }

    pub(super) fn attempt_ends(&self) {
        self.0.attempt.store(false, Ordering::Relaxed);
    }

    pub(super) fn is_in_attempt(&self) -> bool {
        self.0.attempt.load(Ordering::Relaxed)
    }

    pub(super) fn is_wanted(&self) -> bool {
        self.0.wanted.load(Ordering::Relaxed)
    }

    /// Notes whether more of the body is wanted than has come.
    pub(super) fn wants(&self, wanted: bool) {
        self.0.wanted.store(wanted, Ordering::Relaxed);
    }

    pub(super) fn upload_failed(&self, told: Refusal) {
        // It fails once.
        let _ = self.0.failed.set(told);
    }

    pub(super) fn upload_ends(&self) {
        self.0.uploaded.cancel();
    }

    pub(super) fn is_uploaded(&self) -> bool {
        self.0.uploaded.is_cancelled()
    }

    pub(super) async fn uploaded(&self) {
        self.0.uploaded.cancelled().await;
    }

    /// Why the body does not go on, if so.
    pub(super) fn failed(&self) -> Option<Refusal> {
        self.0.failed.get().cloned()
    }
}

/// A wait for [`Progress::rests`], begun when it is first asked, and anew once it has ended.
#[derive(Default)]
pub(super) struct Rests(Option<Pin<Box<dyn Future<Output = ()> + Send + Sync>>>);

impl Rests {
    pub(super) fn poll(
        &mut self,
        progress: &Progress,
        limit: Duration,
        otherwise: fn(&Progress) -> bool,
        cx: &mut Context<'_>,
    ) -> Poll<()> {
        let begin = || Box::pin(progress.clone().rests(limit, otherwise)) as _;
        ready!(self.0.get_or_insert_with(begin).as_mut().poll(cx));
        self.0 = None;
        Poll::Ready(())
    }
}
