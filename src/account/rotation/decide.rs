//! What a process does next about a record: pure, so that a model checker calls the very same function.

use std::time::Duration;

use crate::account::InDoubtPolicy;
use crate::store::{LeaseFrom, Record, Status};

/// Once its access token is dead, an account presents a refresh token in doubt again this long
/// after the first time: it can do so only once, and most outages that lose answers are shorter.
pub const PRESENT_AGAIN_AFTER: Duration = Duration::from_secs(60);

/// Before a refresh token in doubt is presented again, the store must have answered for this long, with
/// the record in doubt each time: after an outage of the store, a process that has the answer must be
/// able to come first.
pub const WATCH_BEFORE: Duration = Duration::from_secs(10);

/// What this process knows beside the record.
#[derive(Clone, Copy, Debug)]
pub struct View {
    /// Whether its access token has ended or was refused, so that nothing can be lost any more.
    pub access_is_dead: bool,
    /// What it remembers of presenting the refresh token of the record's generation itself.
    pub presented: Presented,
    /// What may be done with a refresh token whose answer is lost.
    pub policy: InDoubtPolicy,
    /// For how long each look found the record in doubt.
    pub watched: Duration,
    /// For how long the record is to be watched: [`WATCH_BEFORE`], or less if a flight does not last
    /// that long.
    pub watch_for: Duration,
}

/// What a process remembers of a refresh token that it presented. A store can fail over to a copy that
/// has not seen the intent, and there a spent token looks as good as new.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Presented {
    /// Not by this process, or with an answer that says it is not spent.
    No,
    /// Once, and the answer is lost.
    Once,
    /// It must not be presented again, whatever the policy: it was twice, or is known to be spent.
    ForGood,
}

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Look again when the record changes, or after this time.
    Wait(Duration),
    /// Say in the presenter's place that its presentation is in doubt: it did not say so in time.
    Doubt,
    /// Put the doubt back that the store forgot, so that no peer presents the token either.
    Remind,
    /// Take the lease, and present the refresh token under it.
    Acquire(LeaseFrom),
    /// Do nothing for now.
    Stop(Stop),
}

/// Why nothing is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stop {
    /// The refresh token is of no use.
    Revoked {
        /// What the record says went wrong.
        why: String,
    },
    /// The refresh token may be spent.
    InDoubt {
        /// After how long a dead account may present it again; `None` if it may not.
        again_after: Option<Duration>,
        /// What the record says went wrong.
        why: String,
    },
    /// The last attempt failed, and the next may not start yet.
    BackingOff {
        /// For how long not.
        left: Duration,
        /// What the record says went wrong.
        why: Option<String>,
    },
    /// Generations are counted, and this is the last.
    LastGeneration,
}

/// What to say of a record without a refresh token.
pub(in crate::account) const NO_REFRESH_TOKEN: &str = "there is no refresh token";

/// What to do about `record`, which is of the generation that is to be replaced.
pub fn decide(record: &Record, view: &View) -> Decision {
    let left = record.deadline.saturating_since(record.now);
    match record.status {
        Status::Revoked => Decision::Stop(Stop::Revoked { why: why(record) }),
        Status::Sending if record.is_past_deadline() => Decision::Doubt,
        Status::Sending => Decision::Wait(left),
        Status::Leased if !record.is_past_deadline() => Decision::Wait(left),
        Status::Active | Status::InDoubt | Status::Leased => decide_at_rest(record, view),
    }
}

/// The same for a record that no process is working on; its lease, if it has one, has expired.
fn decide_at_rest(record: &Record, view: &View) -> Decision {
    let in_doubt = record.is_in_doubt();
    if in_doubt && !may_present_again(record, view, Duration::ZERO) {
        let holds = view.policy == InDoubtPolicy::HoldUntilDead && is_unused(record, view);
        return Decision::Stop(Stop::InDoubt {
            again_after: holds.then(|| PRESENT_AGAIN_AFTER.saturating_sub(since_presented(record))),
            why: why(record),
        });
    }
    if record.status != Status::Leased && record.is_backing_off() {
        return Decision::Stop(Stop::BackingOff {
            left: record.not_before.saturating_since(record.now),
            why: record.last_error.clone(),
        });
    }
    if !has_refresh_token(record) {
        let why = NO_REFRESH_TOKEN.to_owned();
        return Decision::Stop(Stop::Revoked { why });
    }
    if record.generation.next() == record.generation {
        return Decision::Stop(Stop::LastGeneration);
    }
    let holds = view.policy == InDoubtPolicy::HoldUntilDead;
    match record.status {
        _ if in_doubt && holds && view.watched < view.watch_for => {
            Decision::Wait(view.watch_for.saturating_sub(view.watched))
        }
        Status::InDoubt => Decision::Acquire(LeaseFrom::InDoubt),
        _ if !in_doubt && view.presented != Presented::No => Decision::Remind,
        _ => Decision::Acquire(LeaseFrom::Active),
    }
}

/// Whether a refresh token in doubt may be presented once more, `elapsed` after the record was read.
pub fn may_present_again(record: &Record, view: &View, elapsed: Duration) -> bool {
    let allowed = match view.policy {
        InDoubtPolicy::Never => false,
        InDoubtPolicy::HoldUntilDead => {
            view.access_is_dead && since_presented(record) >= PRESENT_AGAIN_AFTER
        }
        InDoubtPolicy::ReplayWithin(grace) => record.intended_at.is_some_and(|sent_at| {
            // Sent in the future: the store's clock was set back, and nobody knows when.
            sent_at <= record.now
                && record.now.saturating_add(elapsed) < sent_at.saturating_add(grace)
        }),
    };
    allowed && is_unused(record, view) && has_refresh_token(record)
}

/// Whether the answer that the record waits for may be in a journal, on its way into the store.
pub fn may_have_an_answer(record: &Record) -> bool {
    match record.status {
        // The token was refused, perhaps because it is spent: then somebody has the answer.
        Status::Revoked => true,
        Status::Sending => record.is_past_deadline(),
        Status::Active | Status::Leased | Status::InDoubt => record.is_in_doubt(),
    }
}

/// Whether the second presentation is still to come. An expired lease never reached `Sending`, so
/// nothing was sent under it.
fn is_unused(record: &Record, view: &View) -> bool {
    let used_in_store = record.status == Status::InDoubt && record.presented_again;
    !used_in_store && view.presented != Presented::ForGood
}

fn has_refresh_token(record: &Record) -> bool {
    let grant = record.grant();
    grant.is_ok_and(|grant| grant.refresh_token.is_some())
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::policy::COMMIT_ATTEMPT;
    use crate::store::{Draft, Generation, Grant, Issued, Secrets, Version};
    use crate::{RefreshToken, Timestamp};
    use Decision::{Acquire, Doubt, Remind, Stop as Stops, Wait};
    use InDoubtPolicy::{HoldUntilDead, Never, ReplayWithin};
    use Status::{Active, InDoubt, Leased, Revoked, Sending};

    const NOW: Timestamp = Timestamp::from_secs(1_000_000);
    const SECOND: Duration = Duration::from_secs(1);
    const MINUTE: Duration = PRESENT_AGAIN_AFTER;
    /// All is in favour of presenting again.
    const DEAD: View = View {
        access_is_dead: true,
        presented: Presented::No,
        policy: HoldUntilDead,
        watched: WATCH_BEFORE,
        watch_for: WATCH_BEFORE,
    };

    /// Presented a minute ago, if ever, and with its deadline over.
    fn record(status: Status, change: impl FnOnce(&mut Record)) -> Record {
        let grant = Grant::from(RefreshToken::new("RT"));
        let issued = Issued::authorized(Generation::FIRST, grant, None);
        let mut record = Draft::issued(Version::draw(), issued).at(NOW);
        record.status = status;
        record.intended_at = Some(NOW.saturating_sub(MINUTE));
        record.last_error = Some("why".into());
        change(&mut record);
        record
    }

    fn in_time(record: &mut Record) {
        record.deadline = NOW.saturating_add(SECOND);
    }

    fn backing_off(record: &mut Record) {
        record.not_before = NOW.saturating_add(SECOND);
    }

    fn again(record: &mut Record) {
        record.presented_again = true;
    }

    fn without_token(record: &mut Record) {
        record.secrets = Secrets::Open(Grant::default());
    }

    fn in_doubt(again_after: Option<Duration>) -> Decision {
        let why = "why".to_owned();
        Stops(Stop::InDoubt { again_after, why })
    }

    #[test]
    fn a_commit_is_tried_again_before_a_peer_presents_again() {
        let worst = COMMIT_ATTEMPT + Duration::from_secs(2);
        assert!(worst + Duration::from_secs(2) < WATCH_BEFORE);
    }

    #[test]
    fn nobody_takes_over_what_may_have_been_sent() {
        for policy in [HoldUntilDead, Never, ReplayWithin(MINUTE * 9)] {
            let view = View { policy, ..DEAD };
            assert_eq!(decide(&record(Sending, in_time), &view), Wait(SECOND));
            assert_eq!(decide(&record(Sending, |_| ()), &view), Doubt);
            assert_eq!(decide(&record(Sending, again), &view), Doubt);
        }
    }

    #[test]
    fn a_lease_is_waited_for_until_it_ends() {
        assert_eq!(decide(&record(Leased, in_time), &DEAD), Wait(SECOND));
        let free = Acquire(LeaseFrom::Active);
        assert_eq!(decide(&record(Leased, |_| ()), &DEAD), free);
        // Who took it had no need to wait.
        assert_eq!(decide(&record(Leased, backing_off), &DEAD), free);
    }

    #[test]
    fn what_is_at_rest_is_rotated_unless_something_speaks_against_it() {
        let rotated = Acquire(LeaseFrom::Active);
        let backs_off = Stops(Stop::BackingOff {
            left: SECOND,
            why: Some("why".to_owned()),
        });
        let revoked = |why: &str| Stops(Stop::Revoked { why: why.into() });
        let last = |it: &mut Record| it.generation = Generation::from_number(u64::MAX);
        let cases = [
            (record(Active, |_| ()), rotated.clone()),
            (record(Active, in_time), rotated),
            (record(Active, backing_off), backs_off.clone()),
            (record(InDoubt, backing_off), backs_off),
            (record(Active, without_token), revoked(NO_REFRESH_TOKEN)),
            (record(Active, last), Stops(Stop::LastGeneration)),
            (record(Revoked, |_| ()), revoked("why")),
        ];
        for (record, decision) in cases {
            assert_eq!(decide(&record, &DEAD), decision, "{record:?}");
        }
    }

    #[test]
    fn a_token_in_doubt_is_presented_again_if_all_is_in_favour() {
        let presented = |at| record(InDoubt, |it| it.intended_at = Some(at));
        let long_ago = &presented(NOW.saturating_sub(MINUTE));
        let just_now = &presented(NOW.saturating_sub(SECOND));
        let set_back = &presented(NOW.saturating_add(SECOND));
        let twice = &record(InDoubt, again);
        let tokenless = &record(InDoubt, without_token);
        let under = |policy| View { policy, ..DEAD };
        let within = |grace| View {
            watched: Duration::ZERO,
            ..under(ReplayWithin(grace))
        };
        let alive = View {
            access_is_dead: false,
            ..DEAD
        };
        let watching = View {
            watched: SECOND,
            ..DEAD
        };
        let known = |presented| View { presented, ..DEAD };
        let (at_once, not_again) = (in_doubt(Some(Duration::ZERO)), in_doubt(None));
        let presents = Acquire(LeaseFrom::InDoubt);
        let less = |whole: Duration| whole.checked_sub(SECOND).unwrap();
        let cases = [
            (long_ago, DEAD, &presents),
            (set_back, DEAD, &presents),
            (just_now, DEAD, &in_doubt(Some(less(MINUTE)))),
            (long_ago, alive, &at_once),
            (long_ago, watching, &Wait(less(WATCH_BEFORE))),
            (long_ago, under(Never), &not_again),
            (long_ago, within(MINUTE + SECOND), &presents),
            (long_ago, within(MINUTE), &not_again),
            (set_back, within(MINUTE), &not_again),
            (twice, DEAD, &not_again),
            (long_ago, known(Presented::Once), &presents),
            (long_ago, known(Presented::ForGood), &not_again),
            (tokenless, DEAD, &at_once),
        ];
        for (record, view, decision) in cases {
            assert_eq!(decide(record, &view), *decision, "{record:?} {view:?}");
        }
        assert!(!may_present_again(just_now, &within(MINUTE), less(MINUTE)));
    }

    #[test]
    fn a_lease_out_of_doubt_that_ran_out_leaves_the_doubt() {
        let record = record(Leased, again);
        assert_eq!(decide(&record, &DEAD), Acquire(LeaseFrom::Active));
        let once = View {
            presented: Presented::Once,
            ..DEAD
        };
        assert_eq!(decide(&record, &once), Acquire(LeaseFrom::Active));
        let never = View {
            policy: Never,
            ..DEAD
        };
        assert_eq!(decide(&record, &never), in_doubt(None));
    }

    #[test]
    fn a_store_that_forgot_is_reminded() {
        for presented in [Presented::Once, Presented::ForGood] {
            let view = View { presented, ..DEAD };
            assert_eq!(decide(&record(Active, |_| ()), &view), Remind);
            assert_eq!(decide(&record(Leased, |_| ()), &view), Remind);
        }
    }

    #[test]
    fn an_answer_is_looked_for_where_one_may_be_on_its_way() {
        for (record, may) in [
            (record(Active, |_| ()), false),
            (record(Leased, |_| ()), false),
            (record(Leased, again), true),
            (record(Sending, in_time), false),
            (record(Sending, |_| ()), true),
            (record(InDoubt, |_| ()), true),
            (record(Revoked, |_| ()), true),
        ] {
            assert_eq!(may_have_an_answer(&record), may, "{record:?}");
        }
    }
}
