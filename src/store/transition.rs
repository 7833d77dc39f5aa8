//! How a record moves: each transition is a pure function of what stands, and stands here alone.
//!
//! A transition returns what is to be written, or `None` if its guard does not hold.
//! [`apply`](super::apply) has that written in place of exactly the record that the transition was
//! given.

use std::time::Duration;

use super::{
    Draft, Generation, Grant, Issued, Loaded, Moment, Record, Secrets, Standing, Status, Version,
};

/// The right to rotate one generation, until its deadline.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Lease {
    /// Tells this lease from every other: the version of the write that took it.
    pub id: Version,
    /// What there is to rotate, as it stood when the lease was taken.
    pub record: Record,
}

impl Lease {
    /// The lease that [`acquire`] took, of the record as it was written then.
    pub fn of(record: Record) -> Option<Self> {
        let id = record.lease?;
        (record.status == Status::Leased).then_some(Self { id, record })
    }
}

/// What a [`Lease`] is taken from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LeaseFrom {
    /// From [`Status::Active`] past its `not_before`, or from a [`Status::Leased`] whose lease ended.
    Active,
    /// From [`Status::InDoubt`], once for a generation: the policy decided to present the token
    /// again, and [`Record::presented_again`] remembers it.
    InDoubt,
}

/// What [`acquire`] asks for.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// The version of the record that the decision was about. If another stands by now, the decision
    /// is not about that, and there is no lease.
    pub of: Version,
    /// A name for people, not for decisions.
    pub owner: &'a str,
    /// How long the lease is to last.
    pub length: Duration,
    /// What it is taken from.
    pub from: LeaseFrom,
}

/// Elects who may rotate: `Active → Leased`, or out of doubt. An expired lease never reached
/// [`Status::Sending`], so nothing was sent under it, and another process may take the record over.
pub fn acquire(record: &Record, version: Version, wanted: Wanted<'_>) -> Option<Draft> {
    let free = match (wanted.from, record.status) {
        (LeaseFrom::Active, Status::Active) => !record.is_backing_off(),
        (LeaseFrom::Active, Status::Leased) => record.is_past_deadline(),
        (LeaseFrom::InDoubt, Status::InDoubt) => {
            !record.presented_again && !record.is_backing_off()
        }
        _ => false,
    };
    if record.version != wanted.of || !free {
        return None;
    }
    Some(Draft {
        status: Status::Leased,
        lease: Some(version),
        owner: Some(wanted.owner.to_owned()),
        deadline: Moment::In(wanted.length.min(Record::LONGEST_WAIT)),
        presented_again: record.presented_again || wanted.from == LeaseFrom::InDoubt,
        ..next(record, version)?
    })
}

/// `Leased → Sending`, before the first byte of the refresh token leaves. From here nobody takes
/// over by time alone: past `answer_within` anyone may call the record in doubt.
pub fn intend(
    record: &Record,
    version: Version,
    lease: &Lease,
    answer_within: Duration,
) -> Option<Draft> {
    holds(record, lease, &[Status::Leased]).then_some(())?;
    Some(Draft {
        status: Status::Sending,
        intended_at: Some(Moment::NOW),
        deadline: Moment::In(answer_within.min(Record::LONGEST_WAIT)),
        ..next(record, version)?
    })
}

/// Back to where the lease was taken from: the refresh token was not spent under it. Nobody
/// acquires for `not_before` from now; the failure is counted.
pub fn release(
    record: &Record,
    version: Version,
    lease: &Lease,
    not_before: Duration,
    why: &str,
) -> Option<Draft> {
    // Out of doubt as well: another process may have called the presentation in doubt, but the holder
    // of the lease knows that nothing was sent.
    let from = [Status::Leased, Status::Sending, Status::InDoubt];
    holds(record, lease, &from).then_some(())?;
    Some(Draft {
        status: if lease.record.presented_again {
            Status::InDoubt
        } else {
            Status::Active
        },
        presented_again: false,
        intended_at: lease.record.intended_at.map(Moment::At),
        not_before: Moment::In(not_before.min(Record::LONGEST_WAIT)),
        fails: record.fails.saturating_add(1),
        last_error: Some(why.to_owned()),
        ..next(record, version)?
    })
}

/// `Sending → InDoubt`: the answer is lost. The holder of the lease says so, or anyone else once
/// the deadline has passed.
pub fn doubt(
    record: &Record,
    version: Version,
    lease: Option<Version>,
    why: &str,
) -> Option<Draft> {
    if record.lease != lease || record.status != Status::Sending {
        return None;
    }
    Some(Draft {
        status: Status::InDoubt,
        last_error: Some(why.to_owned()),
        ..next(record, version)?
    })
}

/// `Sending → Revoked`: the provider refused the refresh token. The generation stays, so that a
/// late commit by whoever spent it still counts, and the access token stays, for it may still live.
pub fn reject(record: &Record, version: Version, lease: &Lease, why: &str) -> Option<Draft> {
    holds(record, lease, &[Status::Sending, Status::InDoubt]).then_some(())?;
    Some(Draft {
        status: Status::Revoked,
        last_error: Some(why.to_owned()),
        ..next(record, version)?
    })
}

/// To the generation that was issued, from any lower one and any status, or from nothing: an
/// account never seen, or a record that the store lost. It ends lease, doubt and failures.
pub fn commit(standing: &Standing, version: Version, issued: &Issued) -> Option<Draft> {
    match standing {
        Standing::Nothing => {}
        Standing::Record(record) => {
            next(record, version)?;
            (record.generation < issued.generation).then_some(())?;
        }
        Standing::Unreadable { .. } => return None,
    }
    Some(Draft::issued(version, issued.clone()))
}

/// Why a record is revoked that nobody refused.
const ON_PURPOSE: &str = "revoked by an operator, or at the wish of its user";

/// Ends the grant: no secrets, two generations up, from any status, and from a record that cannot
/// be read. No rotation under way can undo it; a new authorization can.
pub fn revoke(loaded: &Loaded, version: Version) -> Draft {
    let generation = match &loaded.standing {
        Standing::Nothing => Generation::FIRST,
        Standing::Record(record) => record.generation.decided(),
        // Generations are counted one by one, so none has come as far as the milliseconds.
        Standing::Unreadable { .. } => Generation::from_number(loaded.now.as_millis()),
    };
    let nothing = Issued::authorized(generation, Grant::default(), None);
    Draft {
        status: Status::Revoked,
        last_error: Some(ON_PURPOSE.to_owned()),
        ..Draft::issued(version, nothing)
    }
}

/// A record of another store, with all that guards it: status, back-off, whether the token was
/// presented again, and why. Its times are carried over by their distance from when it was read. It
/// replaces nothing, and is not taken while somebody rotates: the new tokens would reach the other
/// store alone.
pub fn import(loaded: &Loaded, version: Version, record: &Record) -> Option<Draft> {
    let under_way = record.status.is_rotating() && !record.is_past_deadline();
    if under_way || !matches!(loaded.standing, Standing::Nothing) {
        return None;
    }
    let carried = |moment| {
        let (ago, ahead) = (
            record.now.saturating_since(moment),
            moment.saturating_since(record.now),
        );
        Moment::At(loaded.now.saturating_sub(ago).saturating_add(ahead))
    };
    let status = match record.status {
        Status::Leased if !record.presented_again => Status::Active,
        // Its presenter did not answer in time; or the lease leaves the doubt it came from.
        Status::Sending | Status::Leased => Status::InDoubt,
        status => status,
    };
    Some(Draft {
        version,
        status,
        ..record.clone().map(carried)
    })
}

/// The same again, to be written anew: sealed with another key, say. A record that is being rotated is
/// not: that writes it anew.
#[cfg(feature = "seal")]
pub(crate) fn rewrite(record: &Record, version: Version) -> Option<Draft> {
    next(record, version).filter(|_| !record.status.is_rotating())
}

/// What stands, as a draft to be changed; `None` if its secrets cannot be read, since they would have
/// to be written again.
fn next(record: &Record, version: Version) -> Option<Draft> {
    if matches!(record.secrets, Secrets::Unreadable(_)) {
        return None;
    }
    Some(Draft {
        version,
        ..record.clone().map(Moment::At)
    })
}

/// Whether the lease's holder may move the record on.
fn holds(record: &Record, lease: &Lease, from: &[Status]) -> bool {
    record.lease == Some(lease.id) && from.contains(&record.status)
}

/// Which transition a write makes: for a store around a store that observes the writes.
#[cfg(feature = "testing")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Transition {
    /// See [`acquire`].
    Acquire,
    /// See [`intend`].
    Intend,
    /// See [`release`].
    Release,
    /// See [`doubt`].
    Doubt,
    /// See [`reject`].
    Reject,
    /// See [`commit`]; an [`import`] of a record that is active looks the same.
    Commit,
    /// See [`revoke`].
    Revoke,
}

#[cfg(feature = "testing")]
impl Transition {
    /// The transition from what stands to `draft`.
    pub fn between(standing: Option<&Record>, draft: &Draft) -> Self {
        let rises = standing.is_none_or(|standing| standing.generation < draft.generation);
        let was_sent = standing.is_some_and(|standing| standing.status == Status::Sending);
        match draft.status {
            Status::Leased => Self::Acquire,
            Status::Sending => Self::Intend,
            Status::Active if rises => Self::Commit,
            Status::Revoked if rises => Self::Revoke,
            Status::Revoked => Self::Reject,
            // A second presentation that is withdrawn goes back into doubt as well.
            Status::InDoubt if was_sent && draft.fails == standing.map_or(0, |it| it.fails) => {
                Self::Doubt
            }
            Status::Active | Status::InDoubt => Self::Release,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::error::corrupt;
    use crate::{RefreshToken, Timestamp};
    use Status::{Active, InDoubt, Leased, Revoked, Sending};

    const NOW: Timestamp = Timestamp::from_secs(1_000_000);
    const SECOND: Duration = Duration::from_secs(1);
    const OURS: Version = Version::from_number(1);
    const OTHER: Version = Version::from_number(2);
    const NEXT: Version = Version::from_number(3);

    /// Under our lease, with its deadline over.
    fn record(status: Status, change: impl FnOnce(&mut Record)) -> Record {
        let grant = Grant::from(RefreshToken::new("RT"));
        let issued = Issued::authorized(Generation::FIRST, grant, None);
        let mut record = Draft::issued(OURS, issued).at(NOW);
        record.status = status;
        record.lease = Some(OURS);
        change(&mut record);
        record
    }

    fn lease(change: impl FnOnce(&mut Record)) -> Lease {
        Lease::of(record(Leased, change)).unwrap()
    }

    fn again(record: &mut Record) {
        record.presented_again = true;
    }

    fn from(from: LeaseFrom) -> Wanted<'static> {
        Wanted {
            of: OURS,
            owner: "me",
            length: SECOND,
            from,
        }
    }

    #[test]
    fn a_lease_is_taken_of_what_is_free() {
        let later = |it: &mut Record| it.not_before = NOW.saturating_add(SECOND);
        let in_time = |it: &mut Record| it.deadline = NOW.saturating_add(SECOND);
        let newer = |it: &mut Record| it.version = OTHER;
        let (active, in_doubt) = (LeaseFrom::Active, LeaseFrom::InDoubt);
        for (record, wanted, presented_again) in [
            (record(Active, |_| ()), active, Some(false)),
            (record(Active, later), active, None),
            (record(Active, newer), active, None),
            (record(Active, |_| ()), in_doubt, None),
            (record(Leased, |_| ()), active, Some(false)),
            (record(Leased, again), active, Some(true)),
            (record(Leased, in_time), active, None),
            (record(Leased, again), in_doubt, None),
            (record(Sending, |_| ()), active, None),
            (record(Sending, |_| ()), in_doubt, None),
            (record(InDoubt, |_| ()), active, None),
            (record(InDoubt, |_| ()), in_doubt, Some(true)),
            (record(InDoubt, again), in_doubt, None),
            (record(InDoubt, later), in_doubt, None),
            (record(Revoked, |_| ()), active, None),
        ] {
            let draft = acquire(&record, NEXT, from(wanted));
            let got = draft.as_ref().map(|draft| draft.presented_again);
            assert_eq!(got, presented_again, "{wanted:?} {record:?}");
            let Some(draft) = draft else { continue };
            assert_eq!((draft.version, draft.lease), (NEXT, Some(NEXT)));
            assert_eq!((draft.status, draft.deadline), (Leased, Moment::In(SECOND)));
        }
    }

    #[test]
    fn each_step_is_the_lease_holders_and_in_its_order() {
        type Step = fn(&Record, &Lease) -> Option<Draft>;
        let steps: [(Step, &[Status]); 4] = [
            (|it, lease| intend(it, NEXT, lease, SECOND), &[Leased]),
            (
                |it, lease| release(it, NEXT, lease, SECOND, ""),
                &[Leased, Sending, InDoubt],
            ),
            (|it, lease| doubt(it, NEXT, Some(lease.id), ""), &[Sending]),
            (|it, lease| reject(it, NEXT, lease, ""), &[Sending, InDoubt]),
        ];
        for (number, (step, order)) in steps.into_iter().enumerate() {
            for status in Status::ALL {
                let step = |record: Record| step(&record, &lease(|_| ())).is_some();
                let moves = step(record(status, |_| ()));
                assert_eq!(moves, order.contains(&status), "{number} {status}");
                assert!(!step(record(status, |it| it.lease = Some(OTHER))));
                // What cannot be read is not written again.
                let damaged =
                    |it: &mut Record| it.secrets = Secrets::Unreadable(corrupt("damaged"));
                assert!(!step(record(status, damaged)));
            }
        }
    }

    #[test]
    fn an_intent_says_since_when_and_until_when() {
        let sending = intend(&record(Leased, again), NEXT, &lease(again), SECOND).unwrap();
        assert_eq!((sending.status, sending.lease), (Sending, Some(OURS)));
        assert_eq!(sending.intended_at, Some(Moment::NOW));
        assert_eq!(sending.deadline, Moment::In(SECOND));
        assert!(sending.presented_again);
        let longest = intend(&record(Leased, again), NEXT, &lease(again), SECOND * 9_999);
        assert_eq!(longest.unwrap().deadline, Moment::In(Record::LONGEST_WAIT));
    }

    #[test]
    fn a_release_leaves_what_the_lease_was_taken_from() {
        let before = Some(NOW.saturating_sub(SECOND));
        for (presented_again, status) in [(false, Active), (true, InDoubt)] {
            let taken = lease(|it| {
                it.presented_again = presented_again;
                it.intended_at = before;
            });
            let sending = record(Sending, |it| {
                it.presented_again = presented_again;
                it.intended_at = Some(NOW);
            });
            let released = release(&sending, NEXT, &taken, SECOND, "why");
            let released = released.unwrap().at(NOW);
            assert_eq!((released.status, released.presented_again), (status, false));
            assert_eq!(released.intended_at, before);
            assert_eq!(released.not_before, NOW.saturating_add(SECOND));
            assert_eq!(released.fails, 1);
            assert_eq!(released.last_error.as_deref(), Some("why"));
        }
    }

    #[test]
    fn a_lost_answer_and_a_refusal_keep_what_they_are_about() {
        let sending = record(Sending, again);
        let doubted = doubt(&sending, NEXT, Some(OURS), "why").unwrap();
        assert_eq!(doubted.status, InDoubt);
        assert!(doubted.presented_again && doubted.lease == Some(OURS));
        let rejected = reject(&sending, NEXT, &lease(again), "why").unwrap();
        assert_eq!(rejected.status, Revoked);
        for draft in [&doubted, &rejected] {
            assert_eq!(draft.generation, Generation::FIRST);
        }
        assert!(rejected.at(NOW).grant().unwrap().refresh_token.is_some());
    }

    #[test]
    fn a_commit_moves_to_a_higher_generation_from_anything_that_can_be_read() {
        let issued = |number| {
            let grant = RefreshToken::new("new");
            Issued::authorized(Generation::from_number(number), grant, None)
        };
        for status in Status::ALL {
            let standing = Standing::Record(record(status, again));
            assert!(commit(&standing, NEXT, &issued(1)).is_none());
            let draft = commit(&standing, NEXT, &issued(2)).unwrap();
            assert_eq!((draft.status, draft.lease), (Active, None));
            assert!(!draft.presented_again && draft.intended_at.is_none());
        }
        assert!(commit(&Standing::Nothing, NEXT, &issued(1)).is_some());
        let damaged = record(Active, |it| {
            it.secrets = Secrets::Unreadable(corrupt("damaged"));
        });
        assert!(commit(&Standing::Record(damaged), NEXT, &issued(2)).is_none());
        let (version, why) = (OURS, corrupt("damaged"));
        assert!(commit(&Standing::Unreadable { version, why }, NEXT, &issued(2)).is_none());
    }

    #[test]
    fn a_revocation_is_above_every_rotation_under_way() {
        for (loaded, generation) in [
            (Loaded::nothing(NOW), 1),
            (Loaded::record(record(Sending, |_| ()), NOW), 3),
            (
                Loaded::unreadable(OURS, corrupt("damaged"), NOW),
                NOW.as_millis(),
            ),
        ] {
            let revoked = revoke(&loaded, NEXT).at(NOW);
            assert_eq!(revoked.generation.number(), generation);
            assert_eq!(revoked.status, Revoked);
            assert!(revoked.secrets.are(&Grant::default()));
            // Whoever looks after it sees that no refusal has ended it.
            assert_eq!(revoked.last_error.as_deref(), Some(ON_PURPOSE));
        }
    }

    #[test]
    fn an_import_keeps_what_guards_the_token_and_replaces_nothing() {
        let in_time = |it: &mut Record| it.deadline = NOW.saturating_add(SECOND);
        let later = NOW.saturating_add(SECOND * 5);
        for (record, imported) in [
            (record(Active, |_| ()), Some(Active)),
            (record(Leased, in_time), None),
            (record(Leased, |_| ()), Some(Active)),
            (record(Leased, again), Some(InDoubt)),
            (record(Sending, in_time), None),
            (record(Sending, |_| ()), Some(InDoubt)),
            (record(InDoubt, again), Some(InDoubt)),
            (record(Revoked, |_| ()), Some(Revoked)),
        ] {
            let draft = import(&Loaded::nothing(later), NEXT, &record);
            let got = draft.as_ref().map(|draft| draft.status);
            assert_eq!(got, imported, "{record:?}");
            let again = draft.map(|draft| draft.presented_again);
            assert!(again.is_none_or(|again| again == record.presented_again));
            let known = Loaded::record(record.clone(), later);
            assert!(import(&known, NEXT, &record).is_none());
        }
        let waiting = record(Active, |it| {
            it.not_before = NOW.saturating_add(SECOND);
            it.intended_at = Some(NOW.saturating_sub(SECOND));
        });
        let carried = import(&Loaded::nothing(later), NEXT, &waiting);
        let carried = carried.unwrap().at(later);
        assert_eq!(carried.not_before, later.saturating_add(SECOND));
        assert_eq!(carried.intended_at, Some(later.saturating_sub(SECOND)));
    }
}
