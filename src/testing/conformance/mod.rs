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
mod register;

use futures_core::future::BoxFuture;

use crate::store::{
    AccountName, Draft, Loaded, Record, RecordStore, Replaced, SharedStore, Version,
};

/// Checks that a store keeps the [contract](RecordStore#contract). See the [module docs](self).
#[derive(Clone, Debug)]
pub struct Conformance {
    one: SharedStore,
    other: SharedStore,
}

type Promise = fn(Subject) -> BoxFuture<'static, ()>;

macro_rules! promises {
    ($($room:ident::$promise:ident),+ $(,)?) => {
        &[$((
            concat!(stringify!($room), "::", stringify!($promise)),
            |subject| Box::pin($room::$promise(subject)),
        )),+]
    };
}

const PROMISES: &[(&str, Promise)] = promises![
    register::nothing_stands_for_an_account_never_seen,
    register::what_is_written_is_read_by_every_process_to_the_byte,
    register::a_draft_replaces_what_was_expected_and_nothing_else,
    register::what_begins_with_the_write_begins_on_the_clock_of_the_store,
    register::the_last_of_everything_is_no_error,
    register::a_record_moves_as_its_transitions_say,
    register::of_many_that_replace_the_same_one_does,
    register::a_step_that_is_dropped_is_done_or_not,
    lists::every_name_is_an_account_of_its_own_and_pages_have_each_once_in_order,
    lists::a_list_says_what_stands,
    register::a_change_by_any_process_is_heard,
];

impl Conformance {
    /// A suite for this store, as one process has it.
    pub fn new(store: impl RecordStore) -> Self {
        let store = SharedStore::new(store);
        Self::between(store.clone(), store)
    }

    /// A suite for two handles on the same records, as two processes have them: two connections, or
    /// two openings of one directory.
    pub fn between(one: impl RecordStore, other: impl RecordStore) -> Self {
        let (one, other) = (SharedStore::new(one), SharedStore::new(other));
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
            promise(Subject::new(self.clone())).await;
        }
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
    fn new(Conformance { one, other }: Conformance) -> Self {
        // Random, since the store may hold what an earlier run left there.
        let name = format!("conformance-{:016x}", Version::draw().number());
        let name = name.parse().unwrap();
        Self { one, other, name }
    }

    /// The same account, as each of the processes sees it.
    fn processes(&self) -> [Self; 2] {
        let (one, other) = (self.other.clone(), self.one.clone());
        let name = self.name.clone();
        [self.clone(), Self { one, other, name }]
    }

    /// What stands, for both processes.
    async fn load(&self) -> Loaded {
        let one = self.one.load(&self.name).await.unwrap();
        let other = self.other.load(&self.name).await.unwrap();
        assert_eq!(one.version(), other.version(), "both read the same");
        one
    }

    async fn read(&self) -> Record {
        self.load().await.into_record().unwrap().unwrap()
    }

    /// Writes, if what stands is of this version.
    async fn try_replace(&self, expected: Option<Version>, draft: &Draft) -> Replaced {
        let replaced = self.one.replace(&self.name, expected, draft);
        replaced.await.unwrap()
    }

    /// Writes over what stands, which must be of this version.
    async fn replace(&self, expected: Option<Version>, draft: &Draft) -> Record {
        match self.try_replace(expected, draft).await {
            Replaced::Done(now) => draft.at(now),
            Replaced::Refused(standing) => panic!("refused over {standing:?}"),
        }
    }
}

/// All that a record says, its secrets as bytes; without when it was read.
fn essence(record: &Record) -> String {
    let bytes = record.secrets.to_bytes().unwrap();
    let record = record.clone().read_at(crate::Timestamp::EPOCH);
    format!("{record:?} {bytes:?}")
}
