//! Many at once, from both processes.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use tokio::task::JoinSet;

use super::{Subject, draft, grant};
use crate::store::{Draft, RecordStore as _, Replaced};

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

pub(super) async fn of_many_that_replace_the_same_one_does(subject: Subject) {
    let mut standing = None;
    for _ in 0..8 {
        let replaced = subject.race(|number, subject| async move {
            let draft = draft(number + 1);
            let replaced = subject.one.replace(&subject.name, standing, &draft).await;
            (draft.version, replaced.unwrap())
        });
        let (mut done, mut refused) = (Vec::new(), Vec::new());
        for (version, replaced) in replaced.await {
            match replaced {
                Replaced::Done(_) => done.push(version),
                Replaced::Refused(standing) => refused.push(standing.version()),
            }
        }
        assert_eq!(done.len(), 1, "one of them replaced it");
        standing = Some(done[0]);
        let record = subject.read().await;
        assert_eq!(Some(record.version), standing);
        // Whole: the secrets are those of the generation.
        assert!(record.secrets.are(&grant(record.generation.number())));
        assert!(refused.iter().all(|seen| *seen == standing));
    }
}

pub(super) async fn a_step_that_is_dropped_is_done_or_not(subject: Subject) {
    let mut standing = subject.first().await.version;
    for polls in 0..8 {
        let dropped = draft(2);
        {
            let mut step = pin!(subject.one.replace(&subject.name, Some(standing), &dropped));
            for _ in 0..polls {
                let polled = step.as_mut().poll(&mut Context::from_waker(Waker::noop()));
                if !matches!(polled, Poll::Pending) {
                    break;
                }
                tokio::task::yield_now().await;
            }
        }
        // It may still land: until something else does.
        let next = draft(3);
        let mut seen = Some(standing);
        while let Replaced::Refused(other) = subject
            .one
            .replace(&subject.name, seen, &next)
            .await
            .unwrap()
        {
            seen = other.version();
            assert_eq!(seen, Some(dropped.version));
        }
        let record = subject.read().await;
        let Draft { version, .. } = next;
        assert_eq!(record.version, version);
        assert!(record.secrets.are(&grant(3)));
        standing = version;
    }
}
