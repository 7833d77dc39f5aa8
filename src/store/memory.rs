use std::collections::BTreeMap;
use std::fmt;
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::changes::Changes;
use super::{
    AccountName, Draft, Listed, Loaded, Record, RecordStore, Replaced, StoreError, Version, Watch,
};
use crate::{Clock, SystemClock};

/// Keeps records in memory: one process, gone with it.
///
/// For tests, and for those who can authorize again at each start. Clones share the records, as
/// processes share a database.
#[derive(Clone)]
pub struct MemoryStore {
    clock: Arc<dyn Clock>,
    records: Arc<Mutex<BTreeMap<AccountName, Record>>>,
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

    fn lock(&self) -> MutexGuard<'_, BTreeMap<AccountName, Record>> {
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

impl RecordStore for MemoryStore {
    async fn load(&self, account: &AccountName) -> Result<Loaded, StoreError> {
        let now = self.clock.now();
        Ok(match self.lock().get(account) {
            Some(record) => Loaded::record(record.clone(), now),
            None => Loaded::nothing(now),
        })
    }

    async fn replace(
        &self,
        account: &AccountName,
        expected: Option<Version>,
        draft: &Draft,
    ) -> Result<Replaced, StoreError> {
        let now = self.clock.now();
        let mut records = self.lock();
        match records.get_mut(account) {
            Some(record) if Some(record.version) == expected => *record = draft.at(now),
            None if expected.is_none() => {
                records.insert(account.clone(), draft.at(now));
            }
            Some(record) => return Ok(Replaced::Refused(Loaded::record(record.clone(), now))),
            None => return Ok(Replaced::Refused(Loaded::nothing(now))),
        }
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
