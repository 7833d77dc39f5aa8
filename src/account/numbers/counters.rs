use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

#[cfg(feature = "metrics")]
use super::metrics::Whose;
use super::sharded::Sharded;
use super::stats::{Refreshes, Refusals, Requests, Stats};
use crate::Timestamp;
use crate::account::{Event, RefreshErrorKind};
use crate::provider::Refusal;

/// What the accounts of one client count in this process.
#[derive(Default)]
pub(crate) struct Counters {
    /// Nearly all.
    sent: Sharded,
    resent: AtomicU64,
    handed_back: AtomicU64,
    not_sent: AtomicU64,
    signed: AtomicU64,
    token_rejected: AtomicU64,
    signature_rejected: AtomicU64,
    rejected_fresh: AtomicU64,
    refreshed: AtomicU64,
    adopted: AtomicU64,
    unsent: AtomicU64,
    rate_limited: AtomicU64,
    refused: AtomicU64,
    in_doubt: AtomicU64,
    rejected: AtomicU64,
    failed: AtomicU64,
    refresh_millis: AtomicU64,
    flights: AtomicU64,
    reauthorization_required: AtomicU64,
    /// Milliseconds since the epoch; 0 if there was none.
    refreshed_at: AtomicU64,
    refresh_failed_at: AtomicU64,
    clock_offset_secs: AtomicI64,
    waiting: Arc<AtomicU64>,
    commits_delayed: Arc<AtomicU64>,
    #[cfg(feature = "metrics")]
    pub(super) whose: Whose,
}

/// Something that is so now, until it is dropped.
#[derive(Debug)]
pub(in crate::account) struct Guard(Arc<AtomicU64>);

impl Guard {
    fn of(count: &Arc<AtomicU64>) -> Self {
        count.fetch_add(1, Relaxed);
        Self(Arc::clone(count))
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

impl Counters {
    #[cfg(feature = "metrics")]
    pub(in crate::account) fn of(whose: Whose) -> Self {
        Self {
            whose,
            ..Self::default()
        }
    }

    /// A request was sent once.
    #[inline]
    pub(crate) fn sent(&self) {
        self.sent.add_one();
    }

    /// A request has ended, and was not refused in the end. `once`: it was sent once.
    pub(crate) fn ended(&self, once: bool) {
        if once {
            self.sent();
        } else {
            self.resent.fetch_add(1, Relaxed);
        }
    }

    /// A refusal was handed back, or the request not sent again after one.
    pub(crate) fn handed_back(&self) {
        self.handed_back.fetch_add(1, Relaxed);
    }

    /// A request was not sent.
    pub(crate) fn not_sent(&self) {
        self.not_sent.fetch_add(1, Relaxed);
    }

    /// A request was signed for a caller who sends it.
    pub(crate) fn signed(&self) {
        self.signed.fetch_add(1, Relaxed);
    }

    /// A response said no.
    pub(crate) fn refusal(&self, refusal: Refusal) {
        let count = match refusal {
            Refusal::TokenRejected => &self.token_rejected,
            Refusal::SignatureRejected => &self.signature_rejected,
        };
        count.fetch_add(1, Relaxed);
    }

    /// Something happened to an account.
    pub(in crate::account) fn event(&self, event: &Event, now: Timestamp) {
        let count = match event {
            Event::Refreshed { .. } => {
                self.refreshed_at.store(now.as_millis(), Relaxed);
                &self.refreshed
            }
            Event::Adopted { .. } => &self.adopted,
            Event::RefreshFailed { error, .. } => {
                self.refresh_failed_at.store(now.as_millis(), Relaxed);
                match error.kind() {
                    RefreshErrorKind::Unsent => &self.unsent,
                    RefreshErrorKind::RateLimited => &self.rate_limited,
                    RefreshErrorKind::Refused => &self.refused,
                    _ => &self.failed,
                }
            }
            Event::InDoubt { .. } => {
                self.refresh_failed_at.store(now.as_millis(), Relaxed);
                &self.in_doubt
            }
            Event::RejectedFresh { .. } => &self.rejected_fresh,
            Event::ClockCorrected { offset_secs } => {
                self.clock_offset_secs.store(*offset_secs, Relaxed);
                return;
            }
            _ => return,
        };
        count.fetch_add(1, Relaxed);
    }

    /// A refresh found that the user must authorize again. `rejected`: the token endpoint said so.
    pub(in crate::account) fn reauthorization_required(&self, rejected: bool) {
        self.reauthorization_required.fetch_add(1, Relaxed);
        if rejected {
            self.rejected.fetch_add(1, Relaxed);
        }
    }

    /// A refresh ended, however, after this time.
    pub(in crate::account) fn flight(&self, took: Duration) {
        let millis = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        self.refresh_millis.fetch_add(millis, Relaxed);
        self.flights.fetch_add(1, Relaxed);
        #[cfg(feature = "metrics")]
        self.whose.refresh_took(took);
    }

    /// Somebody waits for a refresh.
    pub(in crate::account) fn waiting(&self) -> Guard {
        Guard::of(&self.waiting)
    }

    /// There are tokens that the store has not taken.
    pub(in crate::account) fn commit_delayed(&self) -> Guard {
        Guard::of(&self.commits_delayed)
    }

    pub(in crate::account) fn stats(&self) -> Stats {
        let get = |count: &AtomicU64| count.load(Relaxed);
        let at = |count: &AtomicU64| match get(count) {
            0 => None,
            millis => Some(Timestamp::from_millis(millis)),
        };
        Stats {
            requests: Requests {
                sent: self.sent.sum(),
                resent: get(&self.resent),
                refused: get(&self.handed_back),
                not_sent: get(&self.not_sent),
                signed: get(&self.signed),
            },
            refusals: Refusals {
                token_rejected: get(&self.token_rejected),
                signature_rejected: get(&self.signature_rejected),
                rejected_fresh: get(&self.rejected_fresh),
            },
            refreshes: Refreshes {
                refreshed: get(&self.refreshed),
                adopted: get(&self.adopted),
                unsent: get(&self.unsent),
                rate_limited: get(&self.rate_limited),
                refused: get(&self.refused),
                in_doubt: get(&self.in_doubt),
                rejected: get(&self.rejected),
                failed: get(&self.failed),
            },
            refresh_time: Duration::from_millis(get(&self.refresh_millis)),
            refreshes_ended: get(&self.flights),
            waiting: get(&self.waiting),
            commits_delayed: get(&self.commits_delayed),
            reauthorization_required: get(&self.reauthorization_required),
            last_refreshed_at: at(&self.refreshed_at),
            last_refresh_failed_at: at(&self.refresh_failed_at),
            clock_offset_secs: self.clock_offset_secs.load(Relaxed),
        }
    }
}
