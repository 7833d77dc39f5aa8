//! A store around a store, in the worker: stops before or after a step, and says so; or loses one.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_core::future::BoxFuture;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tower_mac_auth::store::{
    AccountName, Acquire, Commit, Fence, Generation, Guarded, Issued, Lease, LeaseFrom, Record,
    RotationStore, StoreError, StoreErrorKind, Watch,
};
use tower_mac_auth::{Clock, SystemClock};

use crate::child::Message;
use crate::worker::say;

/// Leases are this short, so that a lease whose holder was killed ends soon.
pub const LEASE: Duration = Duration::from_secs(1);

/// What happens at a step, the first time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Stop {
    BeforeAcquire,
    AfterAcquire,
    AfterIntend,
    BeforeCommit,
    AfterCommit,
    /// The store says that the intent is written, and it is not.
    LoseIntend,
    /// The same of the commit.
    LoseCommit,
    /// The store fails each commit.
    FailCommits,
}

pub struct Stopping {
    pub inner: Arc<dyn RotationStore>,
    pub stop: Option<Stop>,
    pub done: AtomicBool,
    /// Turns true when the parent says that it may go on.
    pub go: watch::Receiver<bool>,
}

impl Stopping {
    fn is_at(&self, stop: Stop) -> bool {
        self.stop == Some(stop) && !self.done.swap(true, Ordering::Relaxed)
    }

    async fn at(&self, stop: Stop) {
        if self.is_at(stop) {
            say(&Message::Reached(stop));
            let mut go = self.go.clone();
            go.wait_for(|go| *go).await.expect("the parent is there");
        }
    }
}

type Step<'a, T> = BoxFuture<'a, Result<T, StoreError>>;

impl RotationStore for Stopping {
    fn read<'a>(&'a self, account: &'a AccountName) -> Step<'a, Option<Record>> {
        self.inner.read(account)
    }

    fn acquire<'a>(
        &'a self,
        account: &'a AccountName,
        generation: Generation,
        owner: &'a str,
        lease: Duration,
        from: LeaseFrom,
    ) -> Step<'a, Acquire> {
        Box::pin(async move {
            self.at(Stop::BeforeAcquire).await;
            let lease = lease.min(LEASE);
            let acquired = self
                .inner
                .acquire(account, generation, owner, lease, from)
                .await;
            if matches!(acquired, Ok(Acquire::Granted(_))) {
                self.at(Stop::AfterAcquire).await;
            }
            acquired
        })
    }

    fn intend<'a>(
        &'a self,
        account: &'a AccountName,
        lease: &'a Lease,
        answer_within: Duration,
    ) -> Step<'a, Guarded> {
        Box::pin(async move {
            if self.is_at(Stop::LoseIntend) {
                return Ok(Guarded::Done);
            }
            let intended = self.inner.intend(account, lease, answer_within).await;
            self.at(Stop::AfterIntend).await;
            intended
        })
    }

    fn commit<'a>(&'a self, account: &'a AccountName, issued: Issued) -> Step<'a, Commit> {
        Box::pin(async move {
            self.at(Stop::BeforeCommit).await;
            if self.stop == Some(Stop::FailCommits) {
                let kind = StoreErrorKind::Unavailable;
                return Err(StoreError::new(kind, "as the test wants it"));
            }
            if self.is_at(Stop::LoseCommit) {
                let record = Record::active(issued, Fence::default(), SystemClock.now());
                return Ok(Commit::Committed(record));
            }
            let committed = self.inner.commit(account, issued).await;
            self.at(Stop::AfterCommit).await;
            committed
        })
    }

    fn release<'a>(
        &'a self,
        account: &'a AccountName,
        lease: &'a Lease,
        not_before: Duration,
        why: &'a str,
    ) -> Step<'a, Guarded> {
        self.inner.release(account, lease, not_before, why)
    }

    fn doubt<'a>(
        &'a self,
        account: &'a AccountName,
        generation: Generation,
        fence: Fence,
        why: &'a str,
    ) -> Step<'a, Guarded> {
        self.inner.doubt(account, generation, fence, why)
    }

    fn reject<'a>(
        &'a self,
        account: &'a AccountName,
        lease: &'a Lease,
        why: &'a str,
    ) -> Step<'a, Guarded> {
        self.inner.reject(account, lease, why)
    }

    fn revoke<'a>(&'a self, account: &'a AccountName) -> Step<'a, Record> {
        self.inner.revoke(account)
    }

    fn watch(&self, account: &AccountName) -> Box<dyn Watch> {
        self.inner.watch(account)
    }
}
