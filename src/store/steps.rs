//! The steps as pure functions of a record: what a store that reads, changes and writes a whole
//! record under a lock applies. Each changes the record and says so, or leaves it as it is.

use std::time::Duration;

use super::{
    Acquire, Commit, Fence, Generation, Grant, Guarded, Issued, Lease, LeaseFrom, Record, Status,
    StoreError, StoreErrorKind,
};
use crate::Timestamp;

/// See [`RotationStore`](super::RotationStore) for what each step is for. `self.now` must be the
/// time of the step.
impl Record {
    /// [`RotationStore::commit`](super::RotationStore::commit), over what stands.
    pub fn commit(standing: Option<&Self>, issued: Issued, now: Timestamp) -> Commit {
        match standing {
            Some(record) if record.generation >= issued.generation => {
                Commit::Superseded(record.clone())
            }
            _ => Commit::Committed(Self::active(issued, next_fence(standing), now)),
        }
    }

    /// [`RotationStore::revoke`](super::RotationStore::revoke), over what stands.
    pub fn revoke(standing: Option<&Self>, now: Timestamp) -> Self {
        let generation = standing.map_or(Generation::FIRST, |record| record.generation.decided());
        let nothing = Issued::authorized(generation, Grant::default(), None);
        Self {
            status: Status::Revoked,
            ..Self::active(nothing, next_fence(standing), now)
        }
    }

    /// [`RotationStore::acquire`](super::RotationStore::acquire); `None` if the guard refuses.
    pub fn acquire(
        &mut self,
        generation: Generation,
        owner: &str,
        lease: Duration,
        from: LeaseFrom,
    ) -> Option<Lease> {
        let free = match (from, self.status) {
            (LeaseFrom::Active, Status::Active) => !self.is_backing_off(),
            (LeaseFrom::Active, Status::Leased) => self.is_past_deadline(),
            (LeaseFrom::InDoubt, Status::InDoubt) => !self.replayed && !self.is_backing_off(),
            _ => false,
        };
        if self.generation != generation || !free {
            return None;
        }
        self.status = Status::Leased;
        self.fence = self.fence.next();
        self.owner = Some(owner.to_owned());
        self.deadline = self.now.saturating_add(lease);
        self.replayed |= from == LeaseFrom::InDoubt;
        Some(Lease {
            generation,
            fence: self.fence,
            record: self.clone(),
        })
    }

    /// [`RotationStore::intend`](super::RotationStore::intend).
    pub fn intend(&mut self, lease: &Lease, answer_within: Duration) -> Guarded {
        self.guarded(lease.generation, lease.fence, &[Status::Leased], |record| {
            record.status = Status::Sending;
            record.intended_at = Some(record.now);
            record.deadline = record.now.saturating_add(answer_within);
        })
    }

    /// [`RotationStore::release`](super::RotationStore::release).
    pub fn release(&mut self, lease: &Lease, not_before: Duration, why: &str) -> Guarded {
        // In doubt as well: a bystander could not know that nothing was sent, the holder does.
        let from = [Status::Leased, Status::Sending, Status::InDoubt];
        self.guarded(lease.generation, lease.fence, &from, |record| {
            // A replay that sent nothing leaves the doubt it came from.
            let doubted = lease.record.replayed;
            record.status = if doubted {
                Status::InDoubt
            } else {
                Status::Active
            };
            record.replayed = false;
            record.intended_at = lease.record.intended_at;
            record.not_before = record.now.saturating_add(not_before);
            record.fails = record.fails.saturating_add(1);
            record.last_error = Some(why.to_owned());
        })
    }

    /// [`RotationStore::doubt`](super::RotationStore::doubt).
    pub fn doubt(&mut self, generation: Generation, fence: Fence, why: &str) -> Guarded {
        self.guarded(generation, fence, &[Status::Sending], |record| {
            record.status = Status::InDoubt;
            record.last_error = Some(why.to_owned());
        })
    }

    /// [`RotationStore::reject`](super::RotationStore::reject).
    pub fn reject(&mut self, lease: &Lease, why: &str) -> Guarded {
        let from = [Status::Sending, Status::InDoubt];
        self.guarded(lease.generation, lease.fence, &from, |record| {
            record.status = Status::Revoked;
            record.last_error = Some(why.to_owned());
        })
    }

    fn guarded(
        &mut self,
        generation: Generation,
        fence: Fence,
        from: &[Status],
        change: impl FnOnce(&mut Self),
    ) -> Guarded {
        let holds = self.generation == generation && self.fence == fence;
        if !holds || !from.contains(&self.status) {
            return Guarded::Refused;
        }
        change(self);
        Guarded::Done
    }
}

/// What a step over what stands has to write, if anything, and what it answers.
pub(super) type Stepped<T> = (Option<Record>, T);

/// The step of [`Record::commit`].
pub(super) fn commit(standing: Option<&Record>, issued: Issued, now: Timestamp) -> Stepped<Commit> {
    match Record::commit(standing, issued, now) {
        Commit::Committed(record) => (Some(record.clone()), Commit::Committed(record)),
        superseded @ Commit::Superseded(_) => (None, superseded),
    }
}

/// The step of [`Record::revoke`].
pub(super) fn revoke(standing: Option<&Record>, now: Timestamp) -> Stepped<Record> {
    let record = Record::revoke(standing, now);
    (Some(record.clone()), record)
}

/// The step of [`Record::acquire`].
pub(super) fn acquire(
    standing: Option<&Record>,
    generation: Generation,
    owner: &str,
    lease: Duration,
    from: LeaseFrom,
) -> Stepped<Result<Acquire, StoreError>> {
    let Some(mut record) = standing.cloned() else {
        let gone = StoreError::new(StoreErrorKind::Corrupt, "the record is gone");
        return (None, Err(gone));
    };
    match record.acquire(generation, owner, lease, from) {
        Some(lease) => (Some(record), Ok(Acquire::Granted(lease))),
        None => (None, Ok(Acquire::Lost(record))),
    }
}

/// A step that only its guard can refuse.
pub(super) fn guarded(
    standing: Option<&Record>,
    step: impl FnOnce(&mut Record) -> Guarded,
) -> Stepped<Guarded> {
    let Some(mut record) = standing.cloned() else {
        return (None, Guarded::Refused);
    };
    let guarded = step(&mut record);
    ((guarded == Guarded::Done).then_some(record), guarded)
}

fn next_fence(standing: Option<&Record>) -> Fence {
    standing.map_or(Fence::default(), |record| record.fence.next())
}
