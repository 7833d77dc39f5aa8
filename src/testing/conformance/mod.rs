//! What every [`RecordStore`] promises, as a suite that a store of your own can run.
//!
//! Each promise is kept on accounts of its own with fresh names, so a store may hold others. It
//! takes the store's clock as it is, and nothing in it waits for time to pass.
//!
//! ```
//! use tower_mac_auth::store::MemoryStore;
//! use tower_mac_auth::testing::Conformance;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! Conformance::new(MemoryStore::new()).run().await;
//! # }
//! ```

// A broken promise is a panic: that is what a suite is for.
#![allow(clippy::unwrap_used)]

mod lists;
mod races;
mod register;
mod rotation;
mod watching;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_core::future::BoxFuture;

use crate::store::{
    AccountName, Draft, Generation, Grant, Issued, Loaded, Record, RecordStore, Replaced,
    SharedStore, Standing, Version,
};
use crate::token::TokenSet;

const HOUR: Duration = Duration::from_secs(3600);

/// Checks that a store keeps the [contract](RecordStore#contract). See the [module docs](self).
#[derive(Clone)]
pub struct Conformance {
    one: SharedStore,
    other: SharedStore,
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
    register:
        nothing_stands_for_an_account_never_seen,
        what_is_written_is_read_by_every_process_to_the_byte,
        a_draft_replaces_what_was_expected_and_nothing_else,
        what_begins_with_the_write_begins_on_the_clock_of_the_store,
        the_last_of_everything_is_no_error;
    rotation:
        a_record_moves_as_its_transitions_say;
    races:
        of_many_that_replace_the_same_one_does,
        a_step_that_is_dropped_is_done_or_not;
    lists:
        every_name_is_an_account_of_its_own_and_pages_have_each_once_in_order,
        a_list_says_what_stands;
    watching:
        a_change_by_any_process_is_heard;
};

impl Conformance {
    /// A suite for this store, as one process has it.
    pub fn new(store: impl RecordStore) -> Self {
        let one = SharedStore::new(store);
        let other = one.clone();
        Self { one, other }
    }

    /// A suite for two handles on the same records, as two processes have them: two connections, or
    /// two openings of one directory.
    pub fn between(one: impl RecordStore, other: impl RecordStore) -> Self {
        Self {
            one: SharedStore::new(one),
            other: SharedStore::new(other),
        }
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
    one: SharedStore,
    other: SharedStore,
    name: AccountName,
}

impl Subject {
    fn new(conformance: &Conformance) -> Self {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        // Random, since the store may hold what an earlier run left there.
        let (number, run) = (NUMBER.fetch_add(1, Ordering::Relaxed), fastrand::u64(..));
        Self {
            one: conformance.one.clone(),
            other: conformance.other.clone(),
            name: name(&format!("conformance-{run:016x}-{number}")),
        }
    }

    /// The same account, seen by the other process first.
    fn swapped(&self) -> Self {
        let (one, other) = (self.other.clone(), self.one.clone());
        Self {
            one,
            other,
            name: self.name.clone(),
        }
    }

    /// What stands, for both processes.
    async fn load(&self) -> Loaded {
        let one = self.one.load(&self.name).await.unwrap();
        let other = self.other.load(&self.name).await.unwrap();
        assert_eq!(one.version(), other.version(), "both read the same");
        one
    }

    async fn read(&self) -> Record {
        match self.load().await.standing {
            Standing::Record(record) => record,
            other => panic!("there is no record: {other:?}"),
        }
    }

    /// Writes over what stands, which must be of this version.
    async fn replace(&self, expected: Option<Version>, draft: &Draft) -> Record {
        match self.one.replace(&self.name, expected, draft).await.unwrap() {
            Replaced::Done(now) => draft.at(now),
            Replaced::Refused(standing) => panic!("refused over {standing:?}"),
        }
    }

    async fn first(&self) -> Record {
        self.replace(None, &draft(1)).await
    }
}

fn name(text: &str) -> AccountName {
    AccountName::new(text).unwrap()
}

fn grant(number: u64) -> Grant {
    let [at, key, rt] = ["AT", "KEY", "RT"].map(|name| format!("{name}-{number}"));
    TokenSet::mac(at, key, rt, HOUR).into()
}

/// A generation as it is issued.
fn draft(number: u64) -> Draft {
    let generation = Generation::from_number(number);
    let issued = Issued::rotated(generation, Generation::FIRST, grant(number), Some(HOUR));
    Draft::issued(Version::draw(), issued)
}

/// All that a record says, its secrets as bytes; without when it was read.
fn essence(record: &Record) -> String {
    let bytes = record.secrets.to_bytes().unwrap();
    let record = record.clone().read_at(crate::Timestamp::EPOCH);
    format!("{record:?} {bytes:?}")
}
