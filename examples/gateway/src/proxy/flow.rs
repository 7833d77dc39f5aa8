use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use super::idle::idle;

/// What goes out on a connection: a caller who takes nothing is not polled for, so that nothing but this tells.
#[derive(Clone, Debug, Default)]
pub(super) struct Flow(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    /// Answers that are under way.
    open: AtomicUsize,
    /// How often more of one was asked for.
    moved: AtomicU64,
    /// One waits for the API, which has a limit of its own.
    waits: AtomicBool,
    stalled: AtomicBool,
}

impl Flow {
    pub(super) fn opened(&self) {
        self.0.open.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn closed(&self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
        self.waits(false);
        self.moved();
    }

    pub(super) fn moved(&self) {
        self.0.moved.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn waits(&self, waits: bool) {
        self.0.waits.store(waits, Ordering::Relaxed);
    }

    /// Whether the caller did not go on with an answer.
    pub(super) fn is_stalled(&self) -> bool {
        self.0.stalled.load(Ordering::Relaxed)
    }

    /// Ends once for so long no answer has gone on, though there are some and the API is not what is
    /// waited for.
    pub(super) async fn stalls(&self, limit: Duration) {
        let moved = || self.0.moved.load(Ordering::Relaxed);
        let mut seen = moved();
        idle(limit, || {
            let before = std::mem::replace(&mut seen, moved());
            let waits = self.0.waits.load(Ordering::Relaxed);
            let none = self.0.open.load(Ordering::Relaxed) == 0;
            waits || none || seen != before
        })
        .await;
        self.0.stalled.store(true, Ordering::Relaxed);
    }
}
