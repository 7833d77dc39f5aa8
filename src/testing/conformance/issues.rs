//! What is written, and when it replaces what stands.

use super::{HOUR, Subject, grant, name, rotated};
use crate::Timestamp;
use crate::sign::Algorithm;
use crate::store::{
    AccessGrant, AccountName, Commit, Fence, Generation, Grant, Guarded, Issued, Lease, LeaseFrom,
    Record, SealedGrant, Status,
};
use std::time::Duration;

pub(super) async fn nothing_stands_for_an_account_never_seen(subject: Subject) {
    let Subject { one, name, .. } = &subject;
    assert!(one.read(name).await.unwrap().is_none());
    let first = Generation::FIRST;
    let acquire = one.acquire(name, first, "one", HOUR, LeaseFrom::Active);
    assert!(acquire.await.is_err(), "there is nothing to lease");
    let issued = Issued::authorized(first, grant(1), None);
    let lease = Lease {
        generation: first,
        fence: Fence::from_number(1),
        record: Record::active(issued, Fence::from_number(1), Timestamp::EPOCH),
    };
    assert_eq!(subject.intend(&lease).await, Guarded::Refused);
    assert_eq!(subject.release(&lease, HOUR).await, Guarded::Refused);
    assert_eq!(subject.doubt(&lease).await, Guarded::Refused);
    assert_eq!(subject.reject(&lease).await, Guarded::Refused);
    assert!(one.read(name).await.unwrap().is_none());
}

pub(super) async fn what_is_written_is_read_by_every_process(subject: Subject) {
    let Commit::Committed(written) = subject.issue(rotated(4)).await else {
        panic!("nothing stood there");
    };
    for store in [&subject.one, &subject.other] {
        let record = store.read(&subject.name).await.unwrap().unwrap();
        assert_eq!(record.generation.number(), 4);
        assert_eq!(record.lineage, Generation::FIRST);
        assert_eq!(record.status, Status::Active);
        assert_eq!(record.grant, grant(4));
        assert_eq!(record.fence, written.fence);
        assert_eq!(record.issued_at, written.issued_at);
        assert_eq!(record.expires_at, written.expires_at);
        assert_eq!((record.owner, record.last_error), (None, None));
        assert_eq!((record.intended_at, record.replayed), (None, false));
        assert_eq!(record.fails, 0);
    }
}

pub(super) async fn a_grant_is_kept_to_the_byte(subject: Subject) {
    let access = AccessGrant {
        access_token: "A".repeat(10_240).into(),
        mac_key: "k\"\\'\u{0}\u{7f}\n%$\u{1f980}".into(),
        algorithm: Algorithm::HmacSha1,
    };
    let whole = Grant {
        access: Some(access),
        refresh_token: Some("\u{fc}\u{0}".into()),
        scope: Some("1 3".to_owned()),
        open_id: Some(String::new()),
        client_id: Some("1".into()),
        sealed: None,
    };
    let bare = Grant {
        refresh_token: Some("RT".into()),
        ..Grant::default()
    };
    let sealed = Grant {
        sealed: Some(SealedGrant::new((0..=255).collect::<Vec<u8>>())),
        ..Grant::default()
    };
    let kept = [whole, bare, sealed, Grant::default()];
    for (number, grant) in (1..).zip(kept) {
        let generation = Generation::from_number(number);
        let issued = Issued::authorized(generation, grant.clone(), None);
        let Commit::Committed(record) = subject.issue(issued).await else {
            panic!("a higher generation counts");
        };
        assert_eq!(record.grant, grant);
        let record = subject.swapped().read().await;
        assert_eq!((record.grant, record.expires_at), (grant, None));
    }
}

pub(super) async fn every_name_is_an_account_of_its_own(subject: Subject) {
    let own = subject.name.as_str();
    let names = [
        format!("{own}/../x"),
        format!("{own}/x"),
        format!("{own}\\x"),
        format!("{own}x"),
        format!("{own}X"),
        format!("{own}."),
        format!("{own} "),
        format!("{own}%2fx"),
        format!("{own}'; --"),
        format!("{own}{{x}}:*?"),
        format!("{own}\u{5c0f}\u{7c73}"),
        format!("{own}e\u{301}"),
        format!("{own}\u{e9}"),
        // Long ones that differ in their last byte.
        format!("{own:a<511}1"),
        format!("{own:a<511}2"),
    ];
    let accounts = names.map(|text| Subject {
        name: name(&text),
        ..subject.clone()
    });
    for (number, account) in (1..).zip(&accounts) {
        let issued = Issued::authorized(Generation::FIRST, grant(number), None);
        assert!(
            matches!(account.issue(issued).await, Commit::Committed(_)),
            "{}",
            account.name
        );
    }
    for (number, account) in (1..).zip(&accounts) {
        assert_eq!(
            account.read().await.grant,
            grant(number),
            "{}",
            account.name
        );
    }
    assert_eq!(accounts[13].name.as_str().len(), AccountName::MAX_LEN);
}

pub(super) async fn what_a_program_starts_with_replaces_nothing(subject: Subject) {
    subject.first().await;
    let first = Issued::authorized(Generation::FIRST, grant(9), None);
    let Commit::Superseded(record) = subject.swapped().issue(first).await else {
        panic!("something stood there");
    };
    assert_eq!(record.grant, grant(1));
    assert_eq!(subject.read().await.grant, grant(1));
}

pub(super) async fn generations_only_rise_to_the_last_there_is(subject: Subject) {
    // Beyond 2^53 and 2^63, where numbers of other languages end.
    for number in [
        2,
        3,
        1 << 53,
        (1 << 53) + 1,
        1 << 63,
        u64::MAX - 1,
        u64::MAX,
    ] {
        assert!(subject.rotate_to(number).await, "{number}");
        assert!(
            !subject.swapped().rotate_to(number).await,
            "again: {number}"
        );
        assert!(!subject.rotate_to(number - 1).await, "less than {number}");
        let record = subject.read().await;
        assert_eq!(record.generation.number(), number);
        assert_eq!(record.grant, grant(number));
    }
}

pub(super) async fn life_is_counted_from_the_commit_on(subject: Subject) {
    subject.first().await;
    let record = subject.read().await;
    assert!(record.issued_at <= record.now);
    let end = record.issued_at.saturating_add(HOUR);
    assert_eq!(record.expires_at, Some(end));
    let later = subject.read().await;
    assert!(later.now >= record.now, "the clock is the store's");
    assert_eq!(later.expires_at, Some(end));
}

pub(super) async fn a_life_without_end_is_no_error(subject: Subject) {
    let first = Generation::FIRST;
    let issued = Issued::authorized(first, grant(1), Some(Duration::MAX));
    assert!(matches!(subject.issue(issued).await, Commit::Committed(_)));
    let record = subject.read().await;
    let years = 100 * 365 * 24 * HOUR;
    let rest = record.expires_at.unwrap().saturating_since(record.now);
    assert!(rest > years, "{rest:?}");
    let acquired = subject.acquire(Duration::MAX, LeaseFrom::Active).await;
    let lease = super::granted(acquired);
    assert_eq!(subject.release(&lease, Duration::MAX).await, Guarded::Done);
    subject.read().await;
}
