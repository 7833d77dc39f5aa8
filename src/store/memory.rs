use std::collections::BTreeMap;
use std::fmt;
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::changes::Changes;
use super::{
    AccountName, Draft, Listed, Loaded, Record, RecordStore, Replaced, StoreError, Version, Watch,
};
use crate::{Clock, SystemClock, Timestamp};

type Records = BTreeMap<AccountName, Record>;

/// Keeps records in memory: one process, gone with it.
///
/// For tests, and for those who can authorize again at each start. Clones share the records, as
/// processes share a database.
#[derive(Clone)]
pub struct MemoryStore {
    clock: Arc<dyn Clock>,
    records: Arc<Mutex<Records>>,
    changes: Changes,
}

impl MemoryStore {
    /// An empty store on the machine's clock.
    pub fn new() -> Self {
        Self::with_clock(SystemClock)
    }

    /// An empty store on a clock of your own.
    pub fn with_clock(clock: impl Clock) -> Self {
        Self {
            clock: Arc::new(clock),
            records: Arc::default(),
            changes: Changes::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Records> {
        // A panic elsewhere cannot leave a record half written: each step assigns whole values.
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore")
            .field("accounts", &self.lock().len())
            .finish_non_exhaustive()
    }
}

fn loaded(records: &Records, account: &AccountName, now: Timestamp) -> Loaded {
    let record = records.get(account).cloned();
    record.map_or_else(
        || Loaded::nothing(now),
        |record| Loaded::record(record, now),
    )
}

impl RecordStore for MemoryStore {
    async fn load(&self, account: &AccountName) -> Result<Loaded, StoreError> {
        Ok(loaded(&self.lock(), account, self.clock.now()))
    }

    async fn replace(
        &self,
        account: &AccountName,
        expected: Option<Version>,
        draft: &Draft,
    ) -> Result<Replaced, StoreError> {
        let now = self.clock.now();
        let mut records = self.lock();
        if records.get(account).map(|record| record.version) != expected {
            return Ok(Replaced::Refused(loaded(&records, account, now)));
        }
        records.insert(account.clone(), draft.at(now));
        drop(records);
        if !draft.status.is_rotating() {
            self.changes.tell_of(account, draft.version);
        }
        Ok(Replaced::Done(now))
    }

    async fn list(
        &self,
        after: Option<&AccountName>,
        limit: usize,
    ) -> Result<Vec<Listed>, StoreError> {
        let from = after.map_or(Bound::Unbounded, |after| Bound::Excluded(after.clone()));
        let records = self.lock();
        let page = records.range((from, Bound::Unbounded)).take(limit);
        Ok(page
            .map(|(account, record)| Listed::of(account.clone(), record))
            .collect())
    }

    fn watch(&self) -> Option<Box<dyn Watch>> {
        Some(self.changes.watch())
    }
}
