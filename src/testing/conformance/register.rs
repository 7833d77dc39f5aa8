//! One account: what is written, and over what.

use std::time::Duration;

use super::{HOUR, Subject, draft, essence, grant};
use crate::store::{
    Draft, Generation, Grant, Moment, RecordStore as _, Replaced, Secrets, Standing, Status,
    Version,
};
use crate::{Extra, Timestamp};

pub(super) async fn nothing_stands_for_an_account_never_seen(subject: Subject) {
    let nothing = subject.load().await;
    assert!(matches!(nothing.standing, Standing::Nothing));
    let (over_something, draft) = (Some(Version::draw()), draft(1));
    let replaced = subject.one.replace(&subject.name, over_something, &draft);
    assert!(matches!(replaced.await.unwrap(), Replaced::Refused(_)));
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
    let extras = [(odd.clone(), Extra::new(odd.clone()))].into();
    let odd = Grant {
        refresh_token: Some(odd.clone().into()),
        scope: Some(odd),
        extras,
        ..grant(2)
    };
    let mut standing = None;
    for (grant, draft) in [
        (grant(1), &whole),
        (Grant::default(), &draft(1)),
        (odd, &whole),
    ] {
        for status in [
            Status::Active,
            Status::Leased,
            Status::Sending,
            Status::InDoubt,
            Status::Revoked,
        ] {
            let draft = Draft {
                version: Version::draw(),
                secrets: Secrets::Open(grant.clone()),
                status,
                ..draft.clone()
            };
            let written = subject.replace(standing, &draft).await;
            standing = Some(draft.version);
            assert_eq!(essence(&subject.read().await), essence(&written));
            assert_eq!(essence(&subject.swapped().read().await), essence(&written));
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
    let first = subject.first().await;
    let second = draft(2);
    subject.replace(Some(first.version), &second).await;
    for expected in [None, Some(first.version), Some(Version::draw())] {
        for process in [subject.clone(), subject.swapped()] {
            let refused = process
                .one
                .replace(&process.name, expected, &draft(3))
                .await;
            let Ok(Replaced::Refused(standing)) = refused else {
                panic!("{expected:?} does not stand: {refused:?}")
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
