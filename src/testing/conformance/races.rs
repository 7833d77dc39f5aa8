//! Many at once, from both processes.

use std::future::Future;
use std::task::{Context, Poll, Waker};

use tokio::task::JoinSet;

use super::{HOUR, Subject, grant};
use crate::store::{Acquire, Commit, Generation, Guarded, Issued, LeaseFrom, Status};

const RACERS: u64 = 16;

impl Subject {
    /// Runs one task for each racer, on both processes in turn.
    async fn race<T: Send + 'static, F: Future<Output = T> + Send + 'static>(
        &self,
        run: impl Fn(u64, Self) -> F,
    ) -> Vec<T> {
        let mut racers = JoinSet::new();
        for number in 0..RACERS {
            let process = if number % 2 == 0 {
                self.clone()
            } else {
                self.swapped()
            };
            racers.spawn(run(number, process));
        }
        racers.join_all().await
    }
}

pub(super) async fn of_many_that_acquire_one_is_granted(subject: Subject) {
    subject.first().await;
    for _ in 0..8 {
        let generation = subject.read().await.generation;
        let acquired = subject.race(|number, subject| async move {
            let owner = number.to_string();
            let (from, name) = (LeaseFrom::Active, &subject.name);
            let acquire = subject.one.acquire(name, generation, &owner, HOUR, from);
            (owner.clone(), acquire.await.unwrap())
        });
        let mut granted = Vec::new();
        let mut seen = Vec::new();
        for (owner, acquired) in acquired.await {
            match acquired {
                Acquire::Granted(lease) => granted.push((owner, lease)),
                Acquire::Lost(record) => seen.push(record.fence),
            }
        }
        assert_eq!(granted.len(), 1, "one of them holds the lease");
        let (owner, lease) = granted.remove(0);
        let standing = subject.read().await;
        assert_eq!(standing.owner.as_deref(), Some(&*owner));
        assert!(seen.iter().all(|fence| *fence == lease.fence));
        assert_eq!(subject.intend(&lease).await, Guarded::Done);
        assert!(subject.rotate_to(generation.next().number()).await);
    }
}

pub(super) async fn of_many_that_intend_with_one_lease_one_does(subject: Subject) {
    subject.first().await;
    let lease = subject.lease().await;
    let intended = subject.race(|_, subject| {
        let lease = lease.clone();
        async move { subject.intend(&lease).await }
    });
    let done = |guarded: &Guarded| *guarded == Guarded::Done;
    assert_eq!(intended.await.into_iter().filter(done).count(), 1);
}

pub(super) async fn of_many_that_commit_one_generation_one_does(subject: Subject) {
    subject.first().await;
    for generation in 2..8 {
        let committed = subject.race(|number, subject| async move {
            let (first, mine) = (Generation::FIRST, grant(100 + number));
            let generation = Generation::from_number(generation);
            let issued = Issued::rotated(generation, first, mine.clone(), Some(HOUR));
            (mine, subject.issue(issued).await)
        });
        let committed = committed.await;
        let standing = subject.read().await.grant;
        let mut winners = 0;
        for (mine, commit) in committed {
            match commit {
                Commit::Committed(record) => {
                    winners += 1;
                    assert_eq!((&record.grant, &standing), (&mine, &standing));
                    assert_eq!(mine, standing);
                }
                Commit::Superseded(record) => assert_eq!(record.grant, standing),
            }
        }
        assert_eq!(winners, 1);
    }
}

pub(super) async fn of_a_commit_and_a_revocation_the_revocation_stays(subject: Subject) {
    subject.first().await;
    let mut generation = Generation::FIRST;
    for _ in 0..8 {
        let next = generation.next().number();
        subject
            .race(|number, subject| async move {
                if number == RACERS / 2 {
                    subject.one.revoke(&subject.name).await.unwrap();
                } else {
                    subject.rotate_to(next).await;
                }
            })
            .await;
        let record = subject.read().await;
        assert_eq!(record.status, Status::Revoked);
        generation = record.generation.decided();
        let authorized = Issued::authorized(generation, grant(1), Some(HOUR));
        assert!(matches!(
            subject.issue(authorized).await,
            Commit::Committed(_)
        ));
    }
}

pub(super) async fn a_step_that_is_dropped_is_done_or_not(subject: Subject) {
    subject.first().await;
    for number in 2..10 {
        let before = subject.read().await;
        {
            let mut step = subject.one.commit(&subject.name, super::rotated(number));
            // Polled as often as its number says, then dropped wherever it is.
            for _ in 0..number {
                let polled = step.as_mut().poll(&mut Context::from_waker(Waker::noop()));
                if !matches!(polled, Poll::Pending) {
                    break;
                }
                tokio::task::yield_now().await;
            }
        }
        let settled = subject.rotate_to(number).await;
        let after = subject.read().await;
        assert_eq!(after.generation.number(), number, "{settled}");
        assert_eq!(after.grant, grant(number));
        assert!(after.fence > before.fence);
    }
}
