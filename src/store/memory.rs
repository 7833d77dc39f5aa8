use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_core::future::BoxFuture;
use tokio::sync::watch;

use super::{
    AccountName, Acquire, Commit, Fence, Generation, Grant, Guarded, Lease, LeaseFrom, Origin,
    Record, RotationStore, Status, StoreError, Watch,
};
use crate::{Clock, SystemClock, Timestamp};

/// Keeps records in memory: one process, gone with it.
///
/// For tests, and for those who can authorize again at each start. Clones share the records, as
/// processes share a database.
#[derive(Clone)]
pub struct MemoryStore {
    clock: Arc<dyn Clock>,
    accounts: Arc<Mutex<HashMap<AccountName, Entry>>>,
}

struct Entry {
    record: Record,
    /// Counts the changes, for those who watch.
    changes: watch::Sender<u64>,
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
            accounts: Arc::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<AccountName, Entry>> {
        // A panic elsewhere cannot leave a record half written: each step assigns whole values.
        self.accounts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs one step on the record that stands, if there is one; `step` says whether it changed.
    fn step<T>(
        &self,
        account: &AccountName,
        step: impl FnOnce(&mut Record, Timestamp) -> (bool, T),
    ) -> Option<T> {
        let now = self.clock.now();
        let mut accounts = self.lock();
        let entry = accounts.get_mut(account)?;
        entry.record.now = now;
        let (changed, answer) = step(&mut entry.record, now);
        if changed {
            entry.changes.send_modify(|changes| *changes += 1);
        }
        Some(answer)
    }

    /// A step guarded by generation and fence.
    fn guarded(
        &self,
        account: &AccountName,
        generation: Generation,
        fence: Fence,
        from: &[Status],
        then: impl FnOnce(&mut Record, Timestamp),
    ) -> Guarded {
        self.step(account, |record, now| {
            let holds = record.generation == generation
                && record.fence == fence
                && from.contains(&record.status);
            if holds {
                then(record, now);
            }
            (
                holds,
                if holds {
                    Guarded::Done
                } else {
                    Guarded::Refused
                },
            )
        })
        .unwrap_or(Guarded::Refused)
    }

    /// Writes a whole record made from the one that stands, unless `make` hands that one back.
    fn put(
        &self,
        account: &AccountName,
        make: impl FnOnce(Option<&Record>, Timestamp) -> Result<Record, Record>,
    ) -> Result<Record, Record> {
        let now = self.clock.now();
        let mut accounts = self.lock();
        let made = make(accounts.get(account).map(|entry| &entry.record), now)?;
        if let Some(entry) = accounts.get_mut(account) {
            entry.record = made.clone();
            entry.changes.send_modify(|changes| *changes += 1);
        } else {
            let entry = Entry {
                record: made.clone(),
                changes: watch::Sender::new(0),
            };
            accounts.insert(account.clone(), entry);
        }
        Ok(made)
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

/// Two above what stands: one more than a rotation under way will commit.
fn above(standing: Option<&Record>) -> (Generation, Fence) {
    standing.map_or((Generation::FIRST, Fence::default()), |record| {
        (record.generation.next().next(), record.fence.next())
    })
}

impl RotationStore for MemoryStore {
    fn read<'a>(
        &'a self,
        account: &'a AccountName,
    ) -> BoxFuture<'a, Result<Option<Record>, StoreError>> {
        Box::pin(async move { Ok(self.step(account, |record, _| (false, record.clone()))) })
    }

    fn seed<'a>(
        &'a self,
        account: &'a AccountName,
        grant: Grant,
        expires_in: Option<Duration>,
    ) -> BoxFuture<'a, Result<Record, StoreError>> {
        Box::pin(async move {
            let put = self.put(account, |standing, now| match standing {
                Some(record) => Err(Record {
                    now,
                    ..record.clone()
                }),
                None => {
                    let (generation, fence) = above(None);
                    Ok(Record::active(
                        generation,
                        Origin::Authorized,
                        grant,
                        expires_in,
                        fence,
                        now,
                    ))
                }
            });
            let (Ok(record) | Err(record)) = put;
            Ok(record)
        })
    }

    fn authorize<'a>(
        &'a self,
        account: &'a AccountName,
        grant: Grant,
        expires_in: Option<Duration>,
    ) -> BoxFuture<'a, Result<Record, StoreError>> {
        Box::pin(async move {
            let put = self.put(account, |standing, now| {
                let (generation, fence) = above(standing);
                Ok(Record::active(
                    generation,
                    Origin::Authorized,
                    grant,
                    expires_in,
                    fence,
                    now,
                ))
            });
            let (Ok(record) | Err(record)) = put;
            Ok(record)
        })
    }

    fn acquire<'a>(
        &'a self,
        account: &'a AccountName,
        generation: Generation,
        owner: &'a str,
        lease: Duration,
        from: LeaseFrom,
    ) -> BoxFuture<'a, Result<Acquire, StoreError>> {
        Box::pin(async move {
            let acquired = self.step(account, |record, now| {
                let free = match (from, record.status) {
                    (LeaseFrom::Active, Status::Active) => !record.is_backing_off(),
                    (LeaseFrom::Active, Status::Leased) => record.is_past_deadline(),
                    (LeaseFrom::InDoubt, Status::InDoubt) => {
                        !record.replayed && !record.is_backing_off()
                    }
                    _ => false,
                };
                if record.generation != generation || !free {
                    return (false, Acquire::Lost(record.clone()));
                }
                record.status = Status::Leased;
                record.fence = record.fence.next();
                record.owner = Some(owner.to_owned());
                record.deadline = now.saturating_add(lease);
                record.replayed |= from == LeaseFrom::InDoubt;
                let (fence, record) = (record.fence, record.clone());
                (
                    true,
                    Acquire::Granted(Lease {
                        generation,
                        fence,
                        record,
                    }),
                )
            });
            acquired.ok_or_else(|| {
                StoreError::new(
                    super::StoreErrorKind::Corrupt,
                    "acquire: the record is gone",
                )
            })
        })
    }

    fn intend<'a>(
        &'a self,
        account: &'a AccountName,
        lease: &'a Lease,
        answer_within: Duration,
    ) -> BoxFuture<'a, Result<Guarded, StoreError>> {
        Box::pin(async move {
            let from = [Status::Leased];
            Ok(self.guarded(
                account,
                lease.generation,
                lease.fence,
                &from,
                |record, now| {
                    record.status = Status::Sending;
                    record.intended_at = Some(now);
                    record.deadline = now.saturating_add(answer_within);
                },
            ))
        })
    }

    fn commit<'a>(
        &'a self,
        account: &'a AccountName,
        generation: Generation,
        grant: Grant,
        expires_in: Option<Duration>,
    ) -> BoxFuture<'a, Result<Commit, StoreError>> {
        Box::pin(async move {
            let put = self.put(account, |standing, now| match standing {
                Some(record) if record.generation >= generation => Err(Record {
                    now,
                    ..record.clone()
                }),
                _ => {
                    let (_, fence) = above(standing);
                    Ok(Record::active(
                        generation,
                        Origin::Rotated,
                        grant,
                        expires_in,
                        fence,
                        now,
                    ))
                }
            });
            Ok(put.map_or_else(Commit::Superseded, Commit::Committed))
        })
    }

    fn release<'a>(
        &'a self,
        account: &'a AccountName,
        lease: &'a Lease,
        not_before: Duration,
        why: &'a str,
    ) -> BoxFuture<'a, Result<Guarded, StoreError>> {
        Box::pin(async move {
            // In doubt as well: a bystander could not know that nothing was sent, the holder does.
            let from = [Status::Leased, Status::Sending, Status::InDoubt];
            Ok(self.guarded(
                account,
                lease.generation,
                lease.fence,
                &from,
                |record, now| {
                    // A replay that sent nothing leaves the doubt it came from.
                    record.status = if lease.record.replayed {
                        Status::InDoubt
                    } else {
                        Status::Active
                    };
                    record.replayed = false;
                    record.intended_at = lease.record.intended_at;
                    record.not_before = now.saturating_add(not_before);
                    record.fails = record.fails.saturating_add(1);
                    record.last_error = Some(why.to_owned());
                },
            ))
        })
    }

    fn doubt<'a>(
        &'a self,
        account: &'a AccountName,
        generation: Generation,
        fence: Fence,
        why: &'a str,
    ) -> BoxFuture<'a, Result<Guarded, StoreError>> {
        Box::pin(async move {
            Ok(self.guarded(
                account,
                generation,
                fence,
                &[Status::Sending],
                |record, _| {
                    record.status = Status::InDoubt;
                    record.last_error = Some(why.to_owned());
                },
            ))
        })
    }

    fn reject<'a>(
        &'a self,
        account: &'a AccountName,
        lease: &'a Lease,
        why: &'a str,
    ) -> BoxFuture<'a, Result<Guarded, StoreError>> {
        Box::pin(async move {
            let from = [Status::Sending, Status::InDoubt];
            Ok(self.guarded(
                account,
                lease.generation,
                lease.fence,
                &from,
                |record, _| {
                    record.status = Status::Revoked;
                    record.last_error = Some(why.to_owned());
                },
            ))
        })
    }

    fn revoke<'a>(&'a self, account: &'a AccountName) -> BoxFuture<'a, Result<Record, StoreError>> {
        Box::pin(async move {
            let put = self.put(account, |standing, now| {
                let (generation, fence) = above(standing);
                let revoked = Record::active(
                    generation,
                    Origin::Authorized,
                    Grant::default(),
                    None,
                    fence,
                    now,
                );
                Ok(Record {
                    status: Status::Revoked,
                    ..revoked
                })
            });
            let (Ok(record) | Err(record)) = put;
            Ok(record)
        })
    }

    fn watch(&self, account: &AccountName) -> Box<dyn Watch> {
        Box::new(Changes(
            self.lock()
                .get(account)
                .map(|entry| entry.changes.subscribe()),
        ))
    }
}

/// `None` for an account the store has never seen.
struct Changes(Option<watch::Receiver<u64>>);

impl Watch for Changes {
    fn changed(&mut self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            let changed = match &mut self.0 {
                Some(changes) => changes.changed().await.is_ok(),
                None => false,
            };
            if !changed {
                std::future::pending().await
            }
        })
    }
}
