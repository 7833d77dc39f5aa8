use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_core::future::BoxFuture;
use tokio::sync::watch;

use super::steps::{self, Stepped};
use super::{
    AccountName, Acquire, Commit, Fence, Generation, Guarded, Issued, Lease, LeaseFrom, Record,
    RotationStore, StoreError, Watch,
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
    /// Counts the changes that end a wait.
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

    /// Looks at the record that stands and, if `step` says so, writes another.
    fn step<T>(
        &self,
        account: &AccountName,
        step: impl FnOnce(Option<&Record>, Timestamp) -> Stepped<T>,
    ) -> T {
        let now = self.clock.now();
        let mut accounts = self.lock();
        let standing = accounts.get(account).map(|entry| Record {
            now,
            ..entry.record.clone()
        });
        let (written, answer) = step(standing.as_ref(), now);
        if let Some(record) = written {
            if let Some(entry) = accounts.get_mut(account) {
                let news = !record.status.is_rotating();
                entry.record = record;
                if news {
                    entry.changes.send_modify(|changes| *changes += 1);
                }
            } else {
                let changes = watch::Sender::new(0);
                accounts.insert(account.clone(), Entry { record, changes });
            }
        }
        answer
    }

    /// A step that is guarded by what stands.
    fn guarded(&self, account: &AccountName, step: impl FnOnce(&mut Record) -> Guarded) -> Guarded {
        self.step(account, |standing, _| steps::guarded(standing, step))
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

type Step<'a, T> = BoxFuture<'a, Result<T, StoreError>>;

impl RotationStore for MemoryStore {
    fn read<'a>(&'a self, account: &'a AccountName) -> Step<'a, Option<Record>> {
        Box::pin(async move { Ok(self.step(account, |standing, _| (None, standing.cloned()))) })
    }

    fn acquire<'a>(
        &'a self,
        account: &'a AccountName,
        generation: Generation,
        owner: &'a str,
        lease: Duration,
        from: LeaseFrom,
    ) -> Step<'a, Acquire> {
        Box::pin(async move {
            self.step(account, |standing, _| {
                steps::acquire(standing, generation, owner, lease, from)
            })
        })
    }

    fn intend<'a>(
        &'a self,
        account: &'a AccountName,
        lease: &'a Lease,
        answer_within: Duration,
    ) -> Step<'a, Guarded> {
        Box::pin(
            async move { Ok(self.guarded(account, |record| record.intend(lease, answer_within))) },
        )
    }

    fn commit<'a>(&'a self, account: &'a AccountName, issued: Issued) -> Step<'a, Commit> {
        Box::pin(async move {
            Ok(self.step(account, |standing, now| {
                steps::commit(standing, issued, now)
            }))
        })
    }

    fn release<'a>(
        &'a self,
        account: &'a AccountName,
        lease: &'a Lease,
        not_before: Duration,
        why: &'a str,
    ) -> Step<'a, Guarded> {
        Box::pin(async move {
            Ok(self.guarded(account, |record| record.release(lease, not_before, why)))
        })
    }

    fn doubt<'a>(
        &'a self,
        account: &'a AccountName,
        generation: Generation,
        fence: Fence,
        why: &'a str,
    ) -> Step<'a, Guarded> {
        Box::pin(
            async move { Ok(self.guarded(account, |record| record.doubt(generation, fence, why))) },
        )
    }

    fn reject<'a>(
        &'a self,
        account: &'a AccountName,
        lease: &'a Lease,
        why: &'a str,
    ) -> Step<'a, Guarded> {
        Box::pin(async move { Ok(self.guarded(account, |record| record.reject(lease, why))) })
    }

    fn revoke<'a>(&'a self, account: &'a AccountName) -> Step<'a, Record> {
        Box::pin(async move { Ok(self.step(account, steps::revoke)) })
    }

    fn watch(&self, account: &AccountName) -> Box<dyn Watch> {
        let accounts = self.lock();
        Box::new(Changes(
            accounts.get(account).map(|entry| entry.changes.subscribe()),
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
                std::future::pending::<()>().await;
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;
    use crate::store::Grant;
    use crate::token::TokenSet;

    const MINUTE: Duration = Duration::from_secs(60);

    #[derive(Clone, Debug)]
    struct ByHand(Arc<AtomicU64>);

    impl ByHand {
        fn advance(&self, by: Duration) {
            let millis = u64::try_from(by.as_millis()).unwrap();
            self.0.fetch_add(millis, Ordering::SeqCst);
        }
    }

    impl Clock for ByHand {
        fn now(&self) -> Timestamp {
            Timestamp::from_millis(self.0.load(Ordering::SeqCst))
        }
    }

    struct Stored {
        store: MemoryStore,
        clock: ByHand,
        name: AccountName,
    }

    fn grant(number: u32) -> Grant {
        let [at, key, rt] = ["AT", "KEY", "RT"].map(|name| format!("{name}-{number}"));
        TokenSet::new(at, key, rt, MINUTE).into()
    }

    async fn stored() -> Stored {
        let clock = ByHand(Arc::new(AtomicU64::new(1_000_000_000)));
        let store = MemoryStore::with_clock(clock.clone());
        let name = AccountName::new("user").unwrap();
        let first = Issued::authorized(Generation::FIRST, grant(1), Some(MINUTE));
        let _ = store.commit(&name, first).await.unwrap();
        Stored { store, clock, name }
    }

    impl Stored {
        async fn read(&self) -> Record {
            self.store.read(&self.name).await.unwrap().unwrap()
        }

        async fn acquire(&self, from: LeaseFrom) -> Option<Lease> {
            let generation = self.read().await.generation;
            let acquired = self
                .store
                .acquire(&self.name, generation, "me", MINUTE, from);
            match acquired.await.unwrap() {
                Acquire::Granted(lease) => Some(lease),
                Acquire::Lost(_) => None,
            }
        }

        async fn lease(&self) -> Lease {
            self.acquire(LeaseFrom::Active).await.unwrap()
        }

        async fn intend(&self, lease: &Lease) -> Guarded {
            self.store.intend(&self.name, lease, MINUTE).await.unwrap()
        }

        async fn release(&self, lease: &Lease, pause: Duration) -> Guarded {
            self.store
                .release(&self.name, lease, pause, "unsent")
                .await
                .unwrap()
        }
    }

    #[cfg(feature = "testing")]
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn the_store_keeps_every_promise() {
        let store = MemoryStore::new();
        let [one, other] = [store.clone(), store].map(Arc::new);
        crate::testing::Conformance::new(one, other).run().await;
    }

    #[tokio::test]
    async fn one_lease_at_a_time_until_it_ends_or_is_given_back() {
        let stored = stored().await;
        let first = stored.lease().await;
        assert!(stored.acquire(LeaseFrom::Active).await.is_none());
        stored.clock.advance(MINUTE);
        let second = stored.lease().await;
        assert!(second.fence > first.fence);
        assert_eq!(
            stored.intend(&first).await,
            Guarded::Refused,
            "its lease was taken over"
        );
        assert_eq!(stored.release(&first, MINUTE).await, Guarded::Refused);
        assert_eq!(stored.release(&second, Duration::ZERO).await, Guarded::Done);
        stored.lease().await;
    }

    #[tokio::test]
    async fn nobody_acquires_before_the_back_off_ends() {
        let stored = stored().await;
        let lease = stored.lease().await;
        assert_eq!(stored.release(&lease, MINUTE).await, Guarded::Done);
        let record = stored.read().await;
        assert!(record.is_backing_off() && record.fails == 1);
        assert!(stored.acquire(LeaseFrom::Active).await.is_none());
        stored.clock.advance(MINUTE);
        stored.lease().await;
    }

    #[tokio::test]
    async fn a_watch_tells_of_a_change_that_ends_a_wait() {
        let stored = stored().await;
        let mut watch = stored.store.watch(&stored.name);
        let mut change = tokio_test::task::spawn(watch.changed());
        tokio_test::assert_pending!(change.poll());
        stored.read().await;
        assert!(!change.is_woken(), "reading is no change");
        let lease = stored.lease().await;
        assert_eq!(stored.intend(&lease).await, Guarded::Done);
        assert!(!change.is_woken(), "who waits goes on waiting");
        assert_eq!(stored.release(&lease, MINUTE).await, Guarded::Done);
        assert!(change.is_woken());
        tokio_test::assert_ready!(change.poll());
    }

    #[tokio::test]
    async fn what_was_written_before_the_clock_was_set_back_no_longer_counts() {
        let stored = stored().await;
        let lease = stored.lease().await;
        assert_eq!(stored.release(&lease, MINUTE).await, Guarded::Done);
        stored.clock.0.fetch_sub(86_400_000, Ordering::SeqCst);
        stored.lease().await;
        stored.clock.0.fetch_sub(86_400_000, Ordering::SeqCst);
        stored.lease().await;
    }
}
