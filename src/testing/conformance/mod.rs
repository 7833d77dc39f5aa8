//! What every [`RotationStore`] promises, as a suite that a store of your own can run.
//!
//! Give it two handles on the same records, as two processes have them: two connections, two
//! openings of one directory, or one handle twice if there is no more than one. Each promise is
//! kept on accounts of its own with fresh names, so a store may hold others. It takes the store's
//! clock as it is, and nothing in it waits for a lease to end.
//!
//! ```
//! use std::sync::Arc;
//! use tower_mac_auth::store::MemoryStore;
//! use tower_mac_auth::testing::Conformance;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let store = Arc::new(MemoryStore::new());
//! Conformance::new(store.clone(), store).run().await;
//! # }
//! ```

// A broken promise is a panic: that is what a suite is for.
#![allow(clippy::unwrap_used)]

mod doubts;
mod ends;
mod issues;
mod leases;
mod races;
mod watching;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_core::future::BoxFuture;

use crate::store::{
    AccountName, Acquire, Commit, Generation, Grant, Guarded, Issued, Lease, LeaseFrom, Record,
    RotationStore,
};
use crate::token::TokenSet;

const HOUR: Duration = Duration::from_secs(3600);

/// Checks that a store keeps the [contract](RotationStore#contract). See the
/// [module docs](self).
#[derive(Clone)]
pub struct Conformance {
    one: Arc<dyn RotationStore>,
    other: Arc<dyn RotationStore>,
}

type Promise = fn(Subject) -> BoxFuture<'static, ()>;

macro_rules! promises {
    ($($room:ident: $($promise:ident),+ $(,)?;)+) => {
        &[$($((
            concat!(stringify!($room), "::", stringify!($promise)),
            |subject| Box::pin($room::$promise(subject)),
        )),+),+]
    };
}

const PROMISES: &[(&str, Promise)] = promises! {
    issues:
        nothing_stands_for_an_account_never_seen,
        what_is_written_is_read_by_every_process,
        a_grant_is_kept_to_the_byte,
        every_name_is_an_account_of_its_own,
        what_a_program_starts_with_replaces_nothing,
        generations_only_rise_to_the_last_there_is,
        life_is_counted_from_the_commit_on,
        a_life_without_end_is_no_error;
    leases:
        one_lease_at_a_time_until_it_ends,
        a_lease_is_of_the_generation_that_stands,
        a_late_holder_whose_lease_nobody_took_may_go_on,
        a_lease_that_was_taken_over_does_nothing,
        a_lease_given_back_is_free_and_the_failure_is_told,
        nobody_acquires_before_the_back_off_ends,
        a_new_generation_clears_the_failures,
        any_text_may_say_why;
    doubts:
        an_intent_is_written_once_and_taken_over_by_nobody,
        nothing_is_in_doubt_that_was_not_sent,
        anyone_may_call_an_intent_in_doubt,
        a_doubt_is_leased_once_more_and_only_as_such,
        a_replay_that_sent_nothing_leaves_the_doubt_as_it_was,
        the_holder_withdraws_a_doubt_if_it_sent_nothing,
        a_late_answer_counts_from_any_status;
    ends:
        a_refused_token_keeps_generation_and_access,
        a_revocation_takes_the_secrets_and_nothing_late_undoes_it,
        a_new_authorization_is_undone_by_nothing_late,
        what_never_was_can_be_revoked;
    races:
        of_many_that_acquire_one_is_granted,
        of_many_that_intend_with_one_lease_one_does,
        of_many_that_commit_one_generation_one_does,
        of_a_commit_and_a_revocation_the_revocation_stays,
        a_step_that_is_dropped_is_done_or_not;
    watching:
        a_change_by_any_process_wakes,
        a_watch_that_is_dropped_harms_nobody;
};

impl Conformance {
    /// A suite for the store behind these two handles.
    pub fn new(one: Arc<dyn RotationStore>, other: Arc<dyn RotationStore>) -> Self {
        Self { one, other }
    }

    /// Keeps the store to every promise.
    ///
    /// # Panics
    ///
    /// If one is broken; a line on the standard error names which.
    pub async fn run(&self) {
        for (name, promise) in PROMISES {
            tracing::info!(promise = name, "a store is held to");
            let _told = Told(name);
            promise(Subject::new(self)).await;
        }
    }
}

impl std::fmt::Debug for Conformance {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Conformance")
            .field("promises", &PROMISES.len())
            .finish_non_exhaustive()
    }
}

/// Names the promise if its check unwinds.
struct Told(&'static str);

impl Drop for Told {
    fn drop(&mut self) {
        if std::thread::panicking() {
            use std::io::Write;
            let _ = writeln!(std::io::stderr(), "the store breaks a promise: {}", self.0);
        }
    }
}

/// One account in the store, and the two handles on it.
#[derive(Clone)]
struct Subject {
    one: Arc<dyn RotationStore>,
    other: Arc<dyn RotationStore>,
    name: AccountName,
}

impl Subject {
    fn new(conformance: &Conformance) -> Self {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        // Random, since the store may hold what an earlier run left there.
        let (number, run) = (NUMBER.fetch_add(1, Ordering::Relaxed), fastrand::u64(..));
        Self {
            one: Arc::clone(&conformance.one),
            other: Arc::clone(&conformance.other),
            name: name(&format!("conformance-{run:016x}-{number}")),
        }
    }

    /// The same account, seen by the other process first.
    fn swapped(&self) -> Self {
        let Self { one, other, name } = self.clone();
        Self {
            one: other,
            other: one,
            name,
        }
    }

    async fn read(&self) -> Record {
        let [one, other] = [&self.one, &self.other].map(|store| store.read(&self.name));
        let (one, other) = (one.await.unwrap().unwrap(), other.await.unwrap().unwrap());
        let essence = |record: &Record| (record.generation, record.status, record.fence);
        assert_eq!(
            essence(&one),
            essence(&other),
            "both processes read the same"
        );
        one
    }

    async fn issue(&self, issued: Issued) -> Commit {
        self.one.commit(&self.name, issued).await.unwrap()
    }

    async fn first(&self) -> &Self {
        let first = Issued::authorized(Generation::FIRST, grant(1), Some(HOUR));
        assert!(matches!(self.issue(first).await, Commit::Committed(_)));
        self
    }

    /// Commits a rotation to this generation; whether it counted.
    async fn rotate_to(&self, number: u64) -> bool {
        let issued = rotated(number);
        matches!(self.issue(issued).await, Commit::Committed(_))
    }

    async fn acquire(&self, lease: Duration, from: LeaseFrom) -> Acquire {
        let generation = self.read().await.generation;
        let acquire = self.one.acquire(&self.name, generation, "one", lease, from);
        acquire.await.unwrap()
    }

    /// The lease, which must be free, for an hour.
    async fn lease(&self) -> Lease {
        granted(self.acquire(HOUR, LeaseFrom::Active).await)
    }

    async fn is_free(&self, from: LeaseFrom) -> bool {
        // A lease of no time ends at once: it is free again for the next who asks.
        matches!(
            self.acquire(Duration::ZERO, from).await,
            Acquire::Granted(_)
        )
    }

    async fn intend(&self, lease: &Lease) -> Guarded {
        self.one.intend(&self.name, lease, HOUR).await.unwrap()
    }

    async fn doubt(&self, lease: &Lease) -> Guarded {
        let (generation, fence) = (lease.generation, lease.fence);
        let doubt = self.one.doubt(&self.name, generation, fence, "lost");
        doubt.await.unwrap()
    }

    async fn release(&self, lease: &Lease, not_before: Duration) -> Guarded {
        let release = self.one.release(&self.name, lease, not_before, "unsent");
        release.await.unwrap()
    }

    async fn reject(&self, lease: &Lease) -> Guarded {
        self.one.reject(&self.name, lease, "refused").await.unwrap()
    }

    /// A lease whose intent is written.
    async fn sending(&self) -> Lease {
        let lease = self.lease().await;
        assert_eq!(self.intend(&lease).await, Guarded::Done);
        lease
    }
}

fn name(text: &str) -> AccountName {
    AccountName::new(text).unwrap()
}

fn grant(number: u64) -> Grant {
    let [at, key, rt] = ["AT", "KEY", "RT"].map(|name| format!("{name}-{number}"));
    TokenSet::new(at, key, rt, HOUR).into()
}

fn rotated(number: u64) -> Issued {
    let generation = Generation::from_number(number);
    Issued::rotated(generation, Generation::FIRST, grant(number), Some(HOUR))
}

fn granted(acquired: Acquire) -> Lease {
    match acquired {
        Acquire::Granted(lease) => lease,
        Acquire::Lost(record) => panic!("the lease is not free: {record:?}"),
    }
}

fn lost(acquired: Acquire) -> Record {
    match acquired {
        Acquire::Granted(lease) => panic!("the lease was granted: {lease:?}"),
        Acquire::Lost(record) => record,
    }
}
