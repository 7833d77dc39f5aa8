//! From the intent on: nobody goes back by time alone.

use std::time::Duration;

use super::{HOUR, Subject, granted, lost};
use crate::store::{Guarded, Lease, LeaseFrom, Status};

impl Subject {
    /// A lease whose intent is written, and its time to answer is over.
    async fn overdue(&self) -> Lease {
        let lease = self.lease().await;
        let intend = self.one.intend(&self.name, &lease, Duration::ZERO);
        assert_eq!(intend.await.unwrap(), Guarded::Done);
        lease
    }

    async fn in_doubt(&self) -> Lease {
        let lease = self.overdue().await;
        assert_eq!(self.doubt(&lease).await, Guarded::Done);
        lease
    }
}

pub(super) async fn an_intent_is_written_once_and_taken_over_by_nobody(subject: Subject) {
    subject.first().await;
    let lease = subject.overdue().await;
    let record = subject.read().await;
    assert_eq!(record.status, Status::Sending);
    assert!(record.is_past_deadline() && record.intended_at.is_some());
    assert_eq!(
        subject.intend(&lease).await,
        Guarded::Refused,
        "written once"
    );
    for from in [LeaseFrom::Active, LeaseFrom::InDoubt] {
        let standing = lost(subject.swapped().acquire(HOUR, from).await);
        assert_eq!(standing.status, Status::Sending);
    }
}

pub(super) async fn nothing_is_in_doubt_that_was_not_sent(subject: Subject) {
    subject.first().await;
    let lease = subject.lease().await;
    assert_eq!(subject.doubt(&lease).await, Guarded::Refused);
    assert_eq!(subject.reject(&lease).await, Guarded::Refused);
    assert_eq!(subject.read().await.status, Status::Leased);
    assert_eq!(subject.release(&lease, Duration::ZERO).await, Guarded::Done);
    assert_eq!(subject.doubt(&lease).await, Guarded::Refused);
}

pub(super) async fn anyone_may_call_an_intent_in_doubt(subject: Subject) {
    subject.first().await;
    let lease = subject.overdue().await;
    assert_eq!(subject.swapped().doubt(&lease).await, Guarded::Done);
    assert_eq!(
        subject.doubt(&lease).await,
        Guarded::Refused,
        "it is already"
    );
    let record = subject.read().await;
    assert_eq!(record.status, Status::InDoubt);
    assert_eq!(record.last_error.as_deref(), Some("lost"));
    assert_eq!(
        record.grant,
        super::grant(1),
        "the access token may still live"
    );
    assert!(!subject.is_free(LeaseFrom::Active).await);
}

pub(super) async fn a_doubt_is_leased_once_more_and_only_as_such(subject: Subject) {
    subject.first().await;
    let first = subject.in_doubt().await;
    let replay = granted(subject.swapped().acquire(HOUR, LeaseFrom::InDoubt).await);
    assert!(replay.fence > first.fence && replay.record.replayed);
    assert_eq!(
        subject.release(&first, Duration::ZERO).await,
        Guarded::Refused
    );
    assert!(!subject.is_free(LeaseFrom::InDoubt).await, "it is leased");
    assert_eq!(subject.swapped().intend(&replay).await, Guarded::Done);
    assert_eq!(subject.swapped().doubt(&replay).await, Guarded::Done);
    assert!(!subject.is_free(LeaseFrom::InDoubt).await, "replayed once");
    assert!(!subject.is_free(LeaseFrom::Active).await);
    assert!(subject.rotate_to(2).await, "a late answer still counts");
    let record = subject.read().await;
    assert_eq!((record.status, record.replayed), (Status::Active, false));
    assert_eq!(record.intended_at, None);
}

pub(super) async fn a_replay_that_sent_nothing_leaves_the_doubt_as_it_was(subject: Subject) {
    subject.first().await;
    subject.in_doubt().await;
    let before = subject.read().await;
    // Not sent at all, then called back after its intent.
    for intended in [false, true] {
        let replay = granted(subject.acquire(HOUR, LeaseFrom::InDoubt).await);
        if intended {
            assert_eq!(subject.intend(&replay).await, Guarded::Done);
        }
        assert_eq!(
            subject.release(&replay, Duration::ZERO).await,
            Guarded::Done
        );
        let record = subject.swapped().read().await;
        assert_eq!(record.status, Status::InDoubt);
        assert_eq!(record.intended_at, before.intended_at);
        assert!(!record.replayed);
    }
    assert!(!subject.is_free(LeaseFrom::Active).await);
    let replay = granted(subject.acquire(HOUR, LeaseFrom::InDoubt).await);
    assert_eq!(subject.release(&replay, HOUR / 2).await, Guarded::Done);
    assert!(!subject.is_free(LeaseFrom::InDoubt).await, "it backs off");
}

pub(super) async fn the_holder_withdraws_a_doubt_if_it_sent_nothing(subject: Subject) {
    subject.first().await;
    let lease = subject.overdue().await;
    assert_eq!(subject.swapped().doubt(&lease).await, Guarded::Done);
    assert_eq!(subject.release(&lease, Duration::ZERO).await, Guarded::Done);
    let record = subject.read().await;
    assert_eq!((record.status, record.intended_at), (Status::Active, None));
    assert!(subject.is_free(LeaseFrom::Active).await);
}

pub(super) async fn a_late_answer_counts_from_any_status(subject: Subject) {
    subject.first().await;
    let lease = subject.lease().await;
    assert!(subject.swapped().rotate_to(2).await, "over a lease");
    assert_eq!(subject.intend(&lease).await, Guarded::Refused);
    let lease = subject.sending().await;
    assert!(subject.swapped().rotate_to(3).await, "over an intent");
    assert_eq!(subject.doubt(&lease).await, Guarded::Refused);
    subject.in_doubt().await;
    assert!(subject.swapped().rotate_to(4).await, "over a doubt");
    let record = subject.read().await;
    assert_eq!((record.status, record.owner), (Status::Active, None));
    assert_eq!(record.grant, super::grant(4));
}
