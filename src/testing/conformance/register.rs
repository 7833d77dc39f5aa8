//! One account: what is written and over what, how it moves, and who hears of it.

use std::time::Duration;

use tokio::task::{JoinSet, yield_now};
use tokio::time::timeout;

use super::{Subject, essence};
use crate::store::fixture::{HOUR, draft, grant};
use crate::store::transition::{self, Wanted};
use crate::store::{
    Applied, Change, Draft, Generation, Grant, Issued, Lease, LeaseFrom, Loaded, Moment,
    RecordStore as _, Replaced, Secrets, Status, Version, apply,
};
use crate::{Extra, Timestamp};

pub(super) async fn nothing_stands_for_an_account_never_seen(subject: Subject) {
    assert!(subject.load().await.into_record().unwrap().is_none());
    let (something, draft) = (Some(Version::draw()), draft(1));
    let replaced = subject.try_replace(something, &draft).await;
    assert!(matches!(replaced, Replaced::Refused(_)));
    assert!(subject.load().await.version().is_none());
}

pub(super) async fn what_is_written_is_read_by_every_process_to_the_byte(subject: Subject) {
    let moment = |millis: u64| Moment::At(Timestamp::from_millis(1_700_000_000_000 + millis));
    let odd = "\u{0}\u{7f}\r\n\"\\'%{}; DROP TABLE 小米\u{1f511}".repeat(1000);
    let whole = Draft {
        lease: Some(Version::draw()),
        owner: Some(String::new()),
        // A store need not be able to keep a NUL where people read.
        last_error: Some(odd.replace('\0', "")),
        deadline: moment(1),
        intended_at: Some(moment(2)),
        expires_at: Some(moment(3)),
        refresh_expires_at: Some(moment(4)),
        issued_at: moment(5),
        not_before: moment(6),
        presented_again: true,
        fails: 7,
        lineage: Generation::from_number(3),
        ..draft(9)
    };
    let odd = Grant {
        refresh_token: Some(odd.clone().into()),
        extras: [(odd.clone(), Extra::new(odd.clone()))].into(),
        scope: Some(odd),
        ..grant(2)
    };
    let mut standing = None;
    for (grant, draft) in [
        (grant(1), &whole),
        (Grant::default(), &draft(1)),
        (odd, &whole),
    ] {
        for status in Status::ALL {
            let draft = Draft {
                version: Version::draw(),
                secrets: Secrets::Open(grant.clone()),
                status,
                ..draft.clone()
            };
            let written = subject.replace(standing, &draft).await;
            standing = Some(draft.version);
            for process in subject.processes() {
                assert_eq!(essence(&process.read().await), essence(&written));
            }
        }
    }
    // What the store makes of one is its own to decide; only that it takes it.
    let nul = Draft {
        last_error: Some("\0".to_owned()),
        ..draft(1)
    };
    subject.replace(standing, &nul).await;
}

pub(super) async fn a_draft_replaces_what_was_expected_and_nothing_else(subject: Subject) {
    let first = subject.replace(None, &draft(1)).await;
    let second = draft(2);
    subject.replace(Some(first.version), &second).await;
    for expected in [None, Some(first.version), Some(Version::draw())] {
        for process in subject.processes() {
            let Replaced::Refused(standing) = process.try_replace(expected, &draft(3)).await else {
                panic!("{expected:?} does not stand")
            };
            assert_eq!(standing.version(), Some(second.version));
            assert_eq!(process.read().await.generation, second.generation);
        }
    }
    // Also to a lower generation: what may replace what is not the store's to say.
    subject.replace(Some(second.version), &draft(1)).await;
}

pub(super) async fn what_begins_with_the_write_begins_on_the_clock_of_the_store(subject: Subject) {
    let draft = Draft {
        deadline: Moment::In(HOUR),
        not_before: Moment::In(Duration::from_millis(1)),
        intended_at: Some(Moment::NOW),
        ..draft(1)
    };
    let before = subject.load().await.now;
    let written = subject.replace(None, &draft).await;
    let read = subject.read().await;
    assert!(before <= written.now && written.now <= read.now);
    assert_eq!(read.intended_at, Some(written.now));
    assert_eq!(read.deadline, written.now.saturating_add(HOUR));
    assert_eq!(read.expires_at, Some(read.deadline));
    assert!(!read.is_past_deadline());
}

pub(super) async fn the_last_of_everything_is_no_error(subject: Subject) {
    let never = Some(Moment::In(Duration::MAX));
    let last = Draft {
        version: Version::from_number(i64::MAX.unsigned_abs()),
        lineage: Generation::from_number(u64::MAX),
        fails: u32::MAX,
        expires_at: never,
        refresh_expires_at: never,
        ..draft(u64::MAX)
    };
    subject.replace(None, &last).await;
    let record = subject.read().await;
    assert_eq!((record.version, record.fails), (last.version, u32::MAX));
    assert_eq!(record.generation, record.lineage);
    assert_eq!(record.generation, Generation::from_number(u64::MAX));
    // As far as the store can count: no token lives as long.
    let far = record.now.saturating_add(HOUR * 24 * 365 * 1000);
    assert!(record.expires_at > Some(far) && record.refresh_expires_at > Some(far));
    subject.replace(Some(last.version), &draft(1)).await;
}

pub(super) async fn a_record_moves_as_its_transitions_say(subject: Subject) {
    let mut thought = subject.replace(None, &draft(1)).await;
    let mut lease = Lease {
        id: thought.version,
        record: thought.clone(),
    };
    for step in 0..200 {
        let store = [&subject.one, &subject.other][fastrand::usize(0..2)];
        let choice = fastrand::u8(0..8);
        let pause = Duration::from_secs(fastrand::u64(0..2) * 60);
        let from = [LeaseFrom::Active, LeaseFrom::InDoubt][fastrand::usize(0..2)];
        let transition = |loaded: &Loaded, version| {
            let Some(record) = loaded.standing.record() else {
                panic!("the record is gone: {loaded:?}")
            };
            match choice {
                0 | 1 => {
                    let wanted = Wanted {
                        of: record.version,
                        owner: "one",
                        length: HOUR * u32::from(choice),
                        from,
                    };
                    transition::acquire(record, version, wanted)
                }
                2 | 3 => transition::intend(record, version, &lease, HOUR),
                4 => transition::release(record, version, &lease, pause, "unsent"),
                5 => transition::doubt(record, version, Some(lease.id), "lost"),
                6 => transition::reject(record, version, &lease, "refused"),
                _ if step % 20 == 0 => Some(transition::revoke(loaded, version)),
                _ => {
                    let next = record.generation.next();
                    let issued = Issued::rotated(next, record.lineage, grant(step), Some(HOUR));
                    transition::commit(&loaded.standing, version, &issued)
                }
            }
        };
        let applied = apply(store, &subject.name, None, transition).await;
        if let Applied::Moved(record) = applied.unwrap() {
            // What the transition makes of what was thought, and not of what was read.
            let draft = transition(&Loaded::record(thought, record.now), record.version);
            thought = draft.unwrap().at(record.now);
            lease = Lease::of(record).unwrap_or(lease);
        }
        assert_eq!(essence(&subject.read().await), essence(&thought));
    }
}

pub(super) async fn of_many_that_replace_the_same_one_does(subject: Subject) {
    let mut standing = None;
    for _ in 0..8 {
        let mut racers = JoinSet::new();
        for (number, process) in (1..=16).zip(subject.processes().into_iter().cycle()) {
            racers.spawn(async move {
                let draft = draft(number);
                match process.try_replace(standing, &draft).await {
                    Replaced::Done(_) => (1, Some(draft.version)),
                    Replaced::Refused(other) => (0, other.version()),
                }
            });
        }
        let (done, seen): (Vec<_>, Vec<_>) = racers.join_all().await.into_iter().unzip();
        assert_eq!(done.iter().sum::<u32>(), 1, "one of them replaced it");
        let record = subject.read().await;
        standing = Some(record.version);
        assert!(seen.iter().all(|seen| *seen == standing));
        // Whole: the secrets are those of the generation.
        assert!(record.secrets.are(&grant(record.generation.number())));
    }
}

pub(super) async fn a_step_that_is_dropped_is_done_or_not(subject: Subject) {
    let mut standing = subject.replace(None, &draft(1)).await.version;
    for polls in 0..8 {
        let dropped = draft(2);
        let turns = async {
            for _ in 0..polls {
                yield_now().await;
            }
        };
        tokio::select! {
            biased;
            () = turns => {}
            _ = subject.try_replace(Some(standing), &dropped) => {}
        }
        // It may still land: until something else does.
        let next = draft(3);
        let mut seen = Some(standing);
        while let Replaced::Refused(other) = subject.try_replace(seen, &next).await {
            seen = other.version();
            assert_eq!(seen, Some(dropped.version));
        }
        let record = subject.read().await;
        assert_eq!(record.version, next.version);
        assert!(record.secrets.are(&grant(3)));
        standing = next.version;
    }
}

pub(super) async fn a_change_by_any_process_is_heard(subject: Subject) {
    let mut standing = Some(subject.replace(None, &draft(1)).await.version);
    for process in subject.processes() {
        let (Some(one), Some(other)) = (subject.one.watch(), subject.other.watch()) else {
            // A store need not be able to tell.
            return;
        };
        // One that is dropped harms nobody.
        drop((subject.one.watch(), subject.other.watch()));
        let mut watches = [one, other];
        for number in 2..5 {
            standing = Some(process.replace(standing, &draft(number)).await.version);
            for watch in &mut watches {
                let others =
                    |it| matches!(it, Change::Record(account, _) if account != subject.name);
                let heard = async { while others(watch.next().await) {} };
                // No promise of speed, as callers look besides: this finds a watch that never tells.
                let heard = timeout(Duration::from_secs(30), heard).await;
                assert!(heard.is_ok(), "nobody told of the change");
            }
        }
    }
}
