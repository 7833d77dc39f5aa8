//! Who may rotate, until when.

use std::time::Duration;

use super::{HOUR, Subject, granted, lost};
use crate::store::{Generation, Guarded, LeaseFrom, Status};

pub(super) async fn one_lease_at_a_time_until_it_ends(subject: Subject) {
    subject.first().await;
    let lease = subject.lease().await;
    let acquired = subject.swapped().acquire(HOUR, LeaseFrom::Active).await;
    let standing = lost(acquired);
    assert_eq!(standing.status, Status::Leased);
    assert_eq!(standing.fence, lease.fence);
    assert_eq!(standing.owner.as_deref(), Some("one"));
    assert!(!standing.is_past_deadline());

    assert_eq!(subject.release(&lease, Duration::ZERO).await, Guarded::Done);
    // It ends in no time.
    let ended = granted(subject.acquire(Duration::ZERO, LeaseFrom::Active).await);
    assert!(ended.fence > lease.fence);
    assert!(subject.read().await.is_past_deadline());
    let next = subject.swapped().lease().await;
    assert!(next.fence > ended.fence);
    assert_eq!(next.record.grant, super::grant(1));
}

pub(super) async fn a_lease_is_of_the_generation_that_stands(subject: Subject) {
    subject.first().await;
    assert!(subject.rotate_to(2).await);
    for number in [1, 3] {
        let generation = Generation::from_number(number);
        let from = LeaseFrom::Active;
        let acquire = subject
            .one
            .acquire(&subject.name, generation, "one", HOUR, from);
        let standing = lost(acquire.await.unwrap());
        assert_eq!(standing.generation.number(), 2);
    }
    assert_eq!(subject.read().await.status, Status::Active);
}

pub(super) async fn a_late_holder_whose_lease_nobody_took_may_go_on(subject: Subject) {
    subject.first().await;
    let lease = granted(subject.acquire(Duration::ZERO, LeaseFrom::Active).await);
    assert_eq!(subject.intend(&lease).await, Guarded::Done);
    let record = subject.read().await;
    assert_eq!(record.status, Status::Sending);
    assert!(!record.is_past_deadline() && record.intended_at.is_some());
}

pub(super) async fn a_lease_that_was_taken_over_does_nothing(subject: Subject) {
    subject.first().await;
    let late = granted(subject.acquire(Duration::ZERO, LeaseFrom::Active).await);
    let taken = subject.swapped().lease().await;
    assert_eq!(subject.intend(&late).await, Guarded::Refused);
    assert_eq!(subject.release(&late, HOUR).await, Guarded::Refused);
    assert_eq!(subject.doubt(&late).await, Guarded::Refused);
    assert_eq!(subject.reject(&late).await, Guarded::Refused);
    let record = subject.read().await;
    assert_eq!((record.status, record.fence), (Status::Leased, taken.fence));
    assert_eq!((record.fails, record.last_error), (0, None));
    // Nor once the new holder has sent.
    assert_eq!(subject.swapped().intend(&taken).await, Guarded::Done);
    assert_eq!(subject.release(&late, HOUR).await, Guarded::Refused);
    assert_eq!(subject.doubt(&late).await, Guarded::Refused);
    assert_eq!(subject.reject(&late).await, Guarded::Refused);
    assert_eq!(subject.read().await.status, Status::Sending);
}

pub(super) async fn a_lease_given_back_is_free_and_the_failure_is_told(subject: Subject) {
    subject.first().await;
    for fails in 1..4 {
        let lease = subject.lease().await;
        assert_eq!(subject.release(&lease, Duration::ZERO).await, Guarded::Done);
        assert_eq!(
            subject.release(&lease, Duration::ZERO).await,
            Guarded::Refused,
            "given back once"
        );
        let record = subject.swapped().read().await;
        assert_eq!(record.status, Status::Active);
        assert_eq!(record.fails, fails);
        assert_eq!(record.last_error.as_deref(), Some("unsent"));
    }
    // Also after the intent, if nothing was sent.
    let lease = subject.sending().await;
    assert_eq!(subject.release(&lease, Duration::ZERO).await, Guarded::Done);
    let record = subject.read().await;
    assert_eq!((record.status, record.intended_at), (Status::Active, None));
}

pub(super) async fn nobody_acquires_before_the_back_off_ends(subject: Subject) {
    subject.first().await;
    let lease = subject.lease().await;
    assert_eq!(subject.release(&lease, HOUR / 2).await, Guarded::Done);
    assert!(subject.read().await.is_backing_off());
    for process in [&subject, &subject.swapped()] {
        let standing = lost(process.acquire(HOUR, LeaseFrom::Active).await);
        assert!(standing.is_backing_off());
    }
}

pub(super) async fn a_new_generation_clears_the_failures(subject: Subject) {
    subject.first().await;
    let lease = subject.lease().await;
    assert_eq!(subject.release(&lease, HOUR / 2).await, Guarded::Done);
    assert!(subject.rotate_to(2).await);
    let record = subject.read().await;
    assert_eq!((record.fails, record.last_error), (0, None));
    assert!(record.fence >= lease.fence, "a fence never falls");
    let next = subject.lease().await;
    assert!(next.fence > lease.fence);
}

pub(super) async fn any_text_may_say_why(subject: Subject) {
    subject.first().await;
    // What a peer said may be anything. A store may shorten it, or leave characters out.
    let texts = [
        String::new(),
        "'; DROP TABLE accounts; --\r\n\t\u{1f980}".to_owned(),
        "\u{0}\u{7f}\u{fffd}".to_owned(),
        "w".repeat(10_240),
    ];
    for why in texts {
        let generation = subject.read().await.generation;
        let (store, name) = (&subject.one, &subject.name);
        let (owner, from) = (why.as_str(), LeaseFrom::Active);
        let acquire = store.acquire(name, generation, owner, HOUR, from);
        let lease = granted(acquire.await.unwrap());
        let release = store.release(name, &lease, Duration::ZERO, &why);
        assert_eq!(release.await.unwrap(), Guarded::Done);
        subject.read().await;
    }
}
