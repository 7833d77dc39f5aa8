//! What a record asks of a flight.

use std::time::Duration;

use super::flight::{Failure, Flight};
use super::policy::{REPLAY_PAUSE, REPLAY_WATCH};
use super::state::Access;
use super::{Event, InDoubtPolicy, RefreshError, RefreshErrorKind, policy};
use crate::Timestamp;
use crate::store::{Guarded, LeaseFrom, Record, Status, StoreError, StoreErrorKind};

pub(super) const NO_REFRESH_TOKEN: &str = "there is no refresh token";

pub(super) enum Step {
    Wait(Timestamp),
    /// Its presenter did not answer in time.
    Doubt,
    /// The store forgot that this process presented the refresh token.
    Remind,
    Lease(LeaseFrom),
    Stop(Failure),
}

impl Flight {
    /// Takes note of whether the record is in doubt, and since when.
    pub(super) fn note_doubt(&mut self, record: &Record) {
        let now = self.account.clock.now();
        let since = self.in_doubt_since.unwrap_or(now);
        self.in_doubt_since = is_in_doubt(record).then_some(since);
    }

    /// When a record in doubt has been watched long enough to present its token once more.
    fn watched_at(&self) -> Option<Timestamp> {
        let policy = &self.account.realm.policy;
        let holds = policy.in_doubt == InDoubtPolicy::HoldUntilDead;
        // A flight must live to see it.
        let watch = REPLAY_WATCH.min(policy.refresh_timeout / 2);
        self.in_doubt_since
            .filter(|_| holds)
            .map(|since| since.saturating_add(watch))
    }

    pub(super) fn next_step(&self, record: &Record) -> Step {
        let now = self.account.clock.now();
        let watched_at = self.watched_at().unwrap_or(now);
        let until = || {
            let left = record.deadline.saturating_since(record.now);
            Step::Wait(now.saturating_add(left))
        };
        match record.status {
            Status::Revoked => Step::Stop(Failure::Revoked { why: why(record) }),
            Status::Sending if record.is_past_deadline() => Step::Doubt,
            Status::Sending => until(),
            Status::Leased if !record.is_past_deadline() => until(),
            // A lease out of doubt that ran out leaves the doubt it came from.
            Status::InDoubt | Status::Leased if is_in_doubt(record) && !self.may_replay(record) => {
                let holds = self.account.realm.policy.in_doubt == InDoubtPolicy::HoldUntilDead;
                let replay_after = (holds && self.is_unreplayed(record))
                    .then(|| REPLAY_PAUSE.saturating_sub(since_presented(record)));
                let why = why(record);
                Step::Stop(Failure::InDoubt { replay_after, why })
            }
            Status::Active | Status::InDoubt if record.is_backing_off() => {
                let after = record.not_before.saturating_since(record.now);
                let until = now.saturating_add(after);
                let kind = RefreshErrorKind::BackingOff { until };
                let error = match &record.last_error {
                    Some(why) => RefreshError::with_source(kind, why.clone()),
                    None => RefreshError::new(kind),
                };
                Step::Stop(Failure::retry(error, after))
            }
            Status::Active | Status::Leased if record.grant.refresh_token.is_none() => {
                let why = NO_REFRESH_TOKEN.to_owned();
                Step::Stop(Failure::Revoked { why })
            }
            _ if record.generation.next() == record.generation => {
                let why = "there is no generation after the one stored";
                let error = StoreError::new(StoreErrorKind::Corrupt, why);
                Step::Stop(Failure::retry(error, policy::long_backoff(0)))
            }
            Status::InDoubt | Status::Leased if watched_at > now => Step::Wait(watched_at),
            Status::InDoubt => Step::Lease(LeaseFrom::InDoubt),
            Status::Active | Status::Leased
                if !is_in_doubt(record)
                    && self.account.presented.of(record.generation).is_some() =>
            {
                Step::Remind
            }
            Status::Active | Status::Leased => Step::Lease(LeaseFrom::Active),
        }
    }

    /// Whether the policy lets a refresh token in doubt be presented once more.
    fn may_replay(&self, record: &Record) -> bool {
        self.is_unreplayed(record)
            && record.grant.refresh_token.is_some()
            && self.policy_lets_replay(record, Duration::ZERO)
    }

    /// What the policy says `elapsed` after the record was read.
    pub(super) fn policy_lets_replay(&self, record: &Record, elapsed: Duration) -> bool {
        match self.account.realm.policy.in_doubt {
            InDoubtPolicy::Never => false,
            InDoubtPolicy::HoldUntilDead => {
                self.account.cell.access(self.account.clock.now()) == Access::Dead
                    && since_presented(record) >= REPLAY_PAUSE
            }
            InDoubtPolicy::ReplayWithin(grace) => record.intended_at.is_some_and(|sent_at| {
                // Sent in the future: the store's clock was set back, and nobody knows when.
                sent_at <= record.now
                    && record.now.saturating_add(elapsed) < sent_at.saturating_add(grace)
            }),
        }
    }

    fn is_unreplayed(&self, record: &Record) -> bool {
        // Under a lease that ran out nothing was sent.
        let in_store = record.status == Status::InDoubt && record.replayed;
        let here = self.account.presented.of(record.generation);
        !in_store && !here.is_some_and(|last| last.for_good)
    }

    /// Puts the doubt back that the store forgot, so that no peer presents the token either.
    pub(super) async fn remind(&self) -> Result<Guarded, Failure> {
        let Some(lease) = self.acquire(LeaseFrom::Active).await? else {
            return Ok(Guarded::Refused);
        };
        let (store, name) = (&self.account.realm.store, &self.account.name);
        if self
            .step(store.intend(name, &lease, Duration::ZERO))
            .await?
            == Guarded::Refused
        {
            return Ok(Guarded::Refused);
        }
        let why = "the store forgot that it was presented";
        let doubt = store.doubt(name, lease.generation, lease.fence, why);
        self.step(doubt).await
    }

    /// Whether the answer that the record waits for, or that is lost, was in this machine's
    /// journal: then it is in the store now.
    pub(super) async fn finds_the_answer(&self, record: &Record) -> Result<bool, Failure> {
        let lost = match record.status {
            // Refused, perhaps, because it is spent, and not because it never was good.
            Status::Revoked => true,
            Status::Sending => record.is_past_deadline(),
            _ => is_in_doubt(record),
        };
        if !lost {
            return Ok(false);
        }
        let (realm, name) = (&self.account.realm, &self.account.name);
        self.step(realm.rescue.replay(name, realm)).await
    }

    /// Calls the record's presentation in doubt in its presenter's place.
    pub(super) async fn doubt_for_another(&self, record: &Record) -> Result<Guarded, Failure> {
        let (store, name) = (&self.account.realm.store, &self.account.name);
        let why = "its presenter did not answer in time";
        let doubt = store.doubt(name, record.generation, record.fence, why);
        let guarded = self.step(doubt).await?;
        if guarded == Guarded::Done {
            let generation = record.generation;
            let why = why.to_owned();
            self.account.emit(Event::InDoubt { generation, why });
        }
        Ok(guarded)
    }
}

/// Whether the record's refresh token may be spent, and no presentation is under way.
fn is_in_doubt(record: &Record) -> bool {
    record.status == Status::InDoubt || (record.status == Status::Leased && record.replayed)
}

/// How long ago the record's refresh token was presented, by the store's clock. If that was set
/// back since, nobody knows: long ago.
fn since_presented(record: &Record) -> Duration {
    match record.intended_at {
        Some(at) if at <= record.now => record.now.saturating_since(at),
        _ => Duration::MAX,
    }
}

/// What the record says went wrong last.
fn why(record: &Record) -> String {
    record.last_error.clone().unwrap_or_default()
}
