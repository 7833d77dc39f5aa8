//! How a grant ends, and what may not come after.

use std::time::Duration;

use super::{HOUR, Subject, grant};
use crate::store::{Commit, Generation, Grant, Guarded, Issued, Lease, LeaseFrom, Status};

impl Subject {
    /// A holder whose generation is over changes nothing.
    async fn is_beyond(&self, lease: &Lease) {
        assert_eq!(self.intend(lease).await, Guarded::Refused);
        assert_eq!(self.doubt(lease).await, Guarded::Refused);
        assert_eq!(self.reject(lease).await, Guarded::Refused);
        assert_eq!(self.release(lease, HOUR).await, Guarded::Refused);
    }
}

pub(super) async fn a_refused_token_keeps_generation_and_access(subject: Subject) {
    subject.first().await;
    let lease = subject.sending().await;
    assert_eq!(subject.reject(&lease).await, Guarded::Done);
    let record = subject.swapped().read().await;
    assert_eq!(record.status, Status::Revoked);
    assert_eq!(record.generation, Generation::FIRST);
    assert_eq!(record.grant, grant(1));
    assert_eq!(record.last_error.as_deref(), Some("refused"));
    subject.is_beyond(&lease).await;
    for from in [LeaseFrom::Active, LeaseFrom::InDoubt] {
        assert!(!subject.is_free(from).await);
    }
    assert!(subject.rotate_to(2).await, "whoever spent it commits late");
    // Also when a bystander was quicker to doubt.
    let lease = subject.sending().await;
    assert_eq!(subject.swapped().doubt(&lease).await, Guarded::Done);
    assert_eq!(subject.reject(&lease).await, Guarded::Done);
    assert_eq!(subject.read().await.status, Status::Revoked);
}

pub(super) async fn a_revocation_takes_the_secrets_and_nothing_late_undoes_it(subject: Subject) {
    subject.first().await;
    let lease = subject.sending().await;
    let revoked = subject.swapped().one.revoke(&subject.name).await.unwrap();
    assert_eq!(revoked.generation, Generation::FIRST.decided());
    let still_revoked = async || {
        let record = subject.read().await;
        assert_eq!(record.status, Status::Revoked);
        assert_eq!(record.grant, Grant::default());
        assert_eq!(
            (record.expires_at, record.lineage),
            (None, record.generation)
        );
        record.generation
    };
    assert_eq!(still_revoked().await, revoked.generation);
    assert!(!subject.rotate_to(2).await);
    subject.is_beyond(&lease).await;
    for from in [LeaseFrom::Active, LeaseFrom::InDoubt] {
        assert!(!subject.is_free(from).await);
    }
    assert_eq!(still_revoked().await, revoked.generation);
    let again = subject.one.revoke(&subject.name).await.unwrap();
    assert!(again.generation > revoked.generation);
    let authorized = Issued::authorized(again.generation.decided(), grant(9), Some(HOUR));
    assert!(matches!(
        subject.issue(authorized).await,
        Commit::Committed(_)
    ));
    assert!(subject.is_free(LeaseFrom::Active).await);
}

pub(super) async fn a_new_authorization_is_undone_by_nothing_late(subject: Subject) {
    subject.first().await;
    let lease = subject.sending().await;
    let decided = Generation::FIRST.decided();
    let authorized = Issued::authorized(decided, grant(7), Some(HOUR));
    let commit = subject.swapped().issue(authorized).await;
    assert!(matches!(commit, Commit::Committed(_)));
    assert!(!subject.rotate_to(2).await);
    subject.is_beyond(&lease).await;
    let record = subject.read().await;
    assert_eq!(
        (record.status, record.generation),
        (Status::Active, decided)
    );
    assert_eq!((record.grant, record.lineage), (grant(7), decided));
    let next = subject.lease().await;
    assert!(next.fence > lease.fence, "a fence never falls");
    assert_eq!(subject.release(&next, Duration::ZERO).await, Guarded::Done);
}

pub(super) async fn what_never_was_can_be_revoked(subject: Subject) {
    let revoked = subject.one.revoke(&subject.name).await.unwrap();
    assert_eq!(revoked.status, Status::Revoked);
    // So that tokens that a program starts with do not bring it back.
    let first = Issued::authorized(Generation::FIRST, grant(1), None);
    assert!(matches!(subject.issue(first).await, Commit::Superseded(_)));
    assert_eq!(subject.read().await.status, Status::Revoked);
}
