//! What a flight knows, and the steps that each part of it takes.

use std::sync::Arc;
use std::time::Duration;

use super::commit::give_back;
use super::decide::{View, WATCH_BEFORE};
use super::failure::Failure;
use super::step::LAST_LOOK;
use crate::Timestamp;
use crate::account::credential::Access;
use crate::account::state::AccountState;
use crate::account::{RefreshError, RefreshErrorKind, policy};
use crate::clock::finish_by;
use crate::provider::Provider;
use crate::store::transition::{self, Wanted};
use crate::store::{
    Applied, Draft, Generation, Lease, LeaseFrom, Loaded, Record, StoreError, Version, apply,
};

/// A lease covers connecting; it ends by itself if its holder dies.
const LEASE: Duration = Duration::from_secs(30);
/// While another process rotates, the record is read again at least this often: notifications
/// may be lost.
const POLL: std::ops::Range<u64> = 500..1_000;
/// Two looks at the record are at least this far apart, however often the store says it changed.
const BREATH: Duration = Duration::from_millis(10);

/// The one refresh under way for an account in this process.
pub(super) struct Flight<P: Provider> {
    pub(super) account: Arc<AccountState<P>>,
    /// The generation that is to be replaced.
    pub(super) generation: Generation,
    pub(super) deadline: Timestamp,
    /// Since when each look at the record found it in doubt.
    in_doubt_since: Option<Timestamp>,
    /// Whether the endpoint's rate limit has let it pass already.
    pub(super) passed: bool,
}

impl<P: Provider> Flight<P> {
    pub(super) fn new(account: Arc<AccountState<P>>, generation: Generation, passed: bool) -> Self {
        // By when it ends is counted from when it begins.
        let timeout = account.context.policy.refresh_timeout;
        Self {
            deadline: account.clock.now().saturating_add(timeout),
            account,
            generation,
            in_doubt_since: None,
            passed,
        }
    }

    /// Takes note of whether what stands is in doubt, and since when.
    pub(super) fn note_doubt(&mut self, in_doubt: bool) {
        let since = self.in_doubt_since.unwrap_or(self.account.clock.now());
        self.in_doubt_since = in_doubt.then_some(since);
    }

    /// What this process knows beside the record.
    pub(super) fn view(&self, generation: Generation) -> View {
        let (account, now) = (&self.account, self.account.clock.now());
        let policy = &account.context.policy;
        let watched = |since| now.saturating_since(since);
        View {
            access_is_dead: account.cell.access(now) == Access::Dead,
            presented: account.presented.of(generation),
            policy: policy.in_doubt,
            watched: self.in_doubt_since.map_or(Duration::ZERO, watched),
            // A flight must live to see it.
            watch_for: WATCH_BEFORE.min(policy.refresh_timeout / 2),
        }
    }

    /// One step on the store, in the time that is left, or a moment if none is.
    pub(super) async fn step<T>(
        &self,
        step: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, Failure> {
        let clock = &*self.account.clock;
        let by = self.deadline.max(clock.now()).saturating_add(LAST_LOOK);
        let error = match finish_by(clock, by, step).await {
            Some(Ok(done)) => return Ok(done),
            Some(Err(error)) => error.into(),
            None => RefreshError::new(RefreshErrorKind::Store),
        };
        Err(Failure::retry(error, policy::backoff(0)))
    }

    /// What stands.
    pub(super) async fn load(&self) -> Result<Loaded, Failure> {
        use crate::store::RecordStore as _;
        let account = &*self.account;
        self.step(account.context.store.load(&account.name)).await
    }

    /// Moves the record on, if `transition` says so of what stands: that is `known`, unless somebody
    /// was quicker. `None` if its guard did not hold.
    pub(super) async fn transition(
        &self,
        known: &Record,
        mut transition: impl FnMut(&Record, Version) -> Option<Draft> + Send,
    ) -> Result<Option<Record>, Failure> {
        let account = &*self.account;
        let (store, name) = (&account.context.store, &account.name);
        let known = Some(Loaded::record(known.clone(), known.now));
        let applied = apply(store, name, known, |loaded, version| {
            transition(loaded.standing.record()?, version)
        });
        match self.step(applied).await? {
            Applied::Moved(record) => {
                account.note_seen(record.version);
                Ok(Some(record))
            }
            Applied::Stood(_) => Ok(None),
        }
    }

    /// Takes the lease on `record`; `None` if somebody was quicker.
    pub(super) async fn acquire(
        &self,
        record: &Record,
        from: LeaseFrom,
    ) -> Result<Option<Lease>, Failure> {
        let wanted = Wanted {
            of: record.version,
            owner: &self.account.context.owner,
            length: LEASE,
            from,
        };
        let mut asked = None;
        let leased = self.transition(record, |record, version| {
            let draft = transition::acquire(record, version, wanted)?;
            asked = Lease::of(draft.at(record.now));
            Some(draft)
        });
        match leased.await {
            Ok(leased) => Ok(leased.and_then(Lease::of)),
            Err(failure) => {
                // The lease may be ours all the same: nobody knows whether the write was done.
                if let Some(lease) = asked {
                    let why = "the store failed".to_owned();
                    let account = Arc::clone(&self.account);
                    self.account.tasks().spawn(give_back(account, lease, why));
                }
                Err(failure)
            }
        }
    }

    /// Gives a lease back, on what was seen last under it: the refresh token was not spent.
    pub(super) async fn release(
        &self,
        lease: &Lease,
        known: &Record,
        not_before: Duration,
        why: &str,
    ) {
        let released = self.transition(known, |record, version| {
            transition::release(record, version, lease, not_before, why)
        });
        if let Err(failure) = released.await {
            // A lease ends by itself, but an intent that nobody withdraws ends in doubt.
            tracing::warn!(?failure, "the lease could not be given back yet");
            let account = Arc::clone(&self.account);
            let give_back = give_back(account, lease.clone(), why.to_owned());
            self.account.tasks().spawn(give_back);
        }
    }

    /// Waits for a change of the record, which `changed` has listened for since it was enabled, but
    /// no longer than `until` or a poll's interval.
    pub(super) async fn wait(&self, changed: impl Future<Output = ()>, until: Timestamp) {
        let clock = &*self.account.clock;
        let poll = Duration::from_millis(fastrand::u64(POLL));
        let by = until.min(clock.now().saturating_add(poll));
        finish_by(clock, by, changed).await;
        // A watch may end without a change: still, time must pass before the next look.
        tokio::time::sleep(BREATH).await;
    }
}
