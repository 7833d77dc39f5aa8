//! A store around a store, in the worker: stops before or after a step, and says so; or loses one.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tower_mac_auth::store::{
    AccountName, Draft, Listed, Loaded, Moment, RecordStore, Replaced, SharedStore, StoreError,
    StoreErrorKind, Version, Watch,
};
use tower_mac_auth::testing::rotation::Transition;

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
    pub inner: SharedStore,
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

impl RecordStore for Stopping {
    async fn load(&self, account: &AccountName) -> Result<Loaded, StoreError> {
        self.inner.load(account).await
    }

    async fn replace(
        &self,
        account: &AccountName,
        expected: Option<Version>,
        draft: &Draft,
    ) -> Result<Replaced, StoreError> {
        let standing = self.inner.load(account).await?;
        let replace = || self.inner.replace(account, expected, draft);
        match Transition::between(standing.standing.record(), draft) {
            Transition::Acquire => {
                self.at(Stop::BeforeAcquire).await;
                let mut draft = draft.clone();
                draft.deadline = Moment::In(LEASE);
                let acquired = self.inner.replace(account, expected, &draft).await;
                if matches!(acquired, Ok(Replaced::Done(_))) {
                    self.at(Stop::AfterAcquire).await;
                }
                acquired
            }
            Transition::Intend => {
                if self.is_at(Stop::LoseIntend) {
                    return Ok(Replaced::Done(standing.now));
                }
                let intended = replace().await;
                self.at(Stop::AfterIntend).await;
                intended
            }
            Transition::Commit => {
                self.at(Stop::BeforeCommit).await;
                if self.stop == Some(Stop::FailCommits) {
                    let kind = StoreErrorKind::Unavailable;
                    return Err(StoreError::new(kind, "as the test wants it"));
                }
                if self.is_at(Stop::LoseCommit) {
                    return Ok(Replaced::Done(standing.now));
                }
                let committed = replace().await;
                self.at(Stop::AfterCommit).await;
                committed
            }
            _ => replace().await,
        }
    }

    async fn list(
        &self,
        after: Option<&AccountName>,
        limit: usize,
    ) -> Result<Vec<Listed>, StoreError> {
        self.inner.list(after, limit).await
    }

    fn watch(&self) -> Option<Box<dyn Watch>> {
        self.inner.watch()
    }
}
