//! A store that fails at any step, before or after it did what it was asked.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_core::future::BoxFuture;
use tokio::sync::Notify;
use tower_mac_auth::store::{
    AccountName, Change, Draft, Listed, Loaded, MemoryStore, Record, RecordStore, Replaced,
    StoreError, StoreErrorKind, Version, Watch,
};
use tower_mac_auth::testing::TestClock;
use tower_mac_auth::testing::rotation::Transition;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    Read,
    Acquire,
    Intend,
    Commit,
    Release,
    Doubt,
    Reject,
    Revoke,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// The step is not done, and fails.
    Before,
    /// The step is done, and its acknowledgement lost.
    After,
    /// The step never ends.
    Hang,
    /// The step is done after this time.
    Late(Duration),
    /// The step is done once it is [let go](Faulty::let_go).
    Held,
    /// The step is not done, and panics.
    Panic,
}

/// More steps than this between two looks at them is a loop that runs hot, if no more are expected.
const HOT: usize = 2_000;

/// Counts the steps, and fails those that are told to.
#[derive(Clone)]
pub struct Faulty {
    current: Arc<Mutex<MemoryStore>>,
    faults: Arc<Mutex<Vec<(Step, How)>>>,
    steps: Arc<Mutex<Vec<Step>>>,
    stale: Arc<Mutex<Option<Record>>>,
    restless: Arc<AtomicBool>,
    hot: Arc<AtomicUsize>,
    held: Arc<Notify>,
    gone: Arc<AtomicBool>,
    refused: Arc<Mutex<Vec<Version>>>,
}

impl Faulty {
    pub fn new(clock: TestClock) -> Self {
        let current = Arc::new(Mutex::new(MemoryStore::with_clock(clock)));
        Self {
            current,
            faults: Arc::default(),
            steps: Arc::default(),
            stale: Arc::default(),
            restless: Arc::default(),
            hot: Arc::new(HOT.into()),
            held: Arc::default(),
            gone: Arc::default(),
            refused: Arc::default(),
        }
    }

    /// Fails over to `copy`: what it has not seen is lost.
    pub fn fail_over(&self, copy: MemoryStore) {
        *self.current.lock().unwrap() = copy;
    }

    /// From now on each read finds `record`, as a replica does that lags.
    pub fn lag(&self, record: Record) {
        *self.stale.lock().unwrap() = Some(record);
    }

    /// Each watch from now on tells of changes all the time.
    pub fn make_watches_restless(&self) {
        self.restless.store(true, Ordering::Relaxed);
    }

    /// The store without its faults.
    pub fn inner(&self) -> MemoryStore {
        self.current.lock().unwrap().clone()
    }

    /// The next `step` fails.
    pub fn fail(&self, step: Step, how: How) {
        self.faults.lock().unwrap().push((step, how));
    }

    /// From now on each step fails, or none does for that reason.
    pub fn set_gone(&self, gone: bool) {
        self.gone.store(gone, Ordering::Relaxed);
    }

    /// Lets a step go that is held, or the next that is to be.
    pub fn let_go(&self) {
        self.held.notify_one();
    }

    /// From now on no step fails.
    pub fn clear_faults(&self) {
        self.faults.lock().unwrap().clear();
    }

    /// From now on so many steps between two looks are no hot loop.
    pub fn expect_steps(&self, steps: usize) {
        self.hot.store(steps, Ordering::Relaxed);
    }

    fn assert_cool(&self, steps: &[Step]) {
        let hot = self.hot.load(Ordering::Relaxed);
        assert!(steps.len() < hot, "the store is asked in a hot loop");
    }

    pub fn take_steps(&self) -> Vec<Step> {
        let steps = std::mem::take(&mut *self.steps.lock().unwrap());
        // A task that ran into the limit is gone by now, and has told nobody.
        self.assert_cool(&steps);
        steps
    }

    async fn run<T>(
        &self,
        step: Step,
        fault: Option<How>,
        work: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        {
            let mut steps = self.steps.lock().unwrap();
            steps.push(step);
            self.assert_cool(&steps);
        }
        let error = || Err(StoreError::new(StoreErrorKind::Unavailable, "injected"));
        match fault {
            None if self.gone.load(Ordering::Relaxed) => error(),
            None => work.await,
            Some(How::Before) => error(),
            Some(How::After) => work.await.and_then(|_| error()),
            Some(How::Hang) => std::future::pending().await,
            Some(How::Late(by)) => {
                tokio::time::sleep(by).await;
                work.await
            }
            Some(How::Held) => {
                self.held.notified().await;
                work.await
            }
            Some(How::Panic) => panic!("injected"),
        }
    }

    /// The fault that was meant for this step.
    fn fault(&self, step: Step) -> Option<How> {
        let mut faults = self.faults.lock().unwrap();
        let at = faults.iter().position(|(at, _)| *at == step)?;
        Some(faults.remove(at).1)
    }

    /// The same for a write. One that is not to happen does not happen however often it is tried.
    fn fault_of_write(&self, step: Step, version: Version) -> Option<How> {
        let mut refused = self.refused.lock().unwrap();
        if refused.contains(&version) {
            return Some(How::Before);
        }
        let fault = self.fault(step);
        if fault == Some(How::Before) {
            refused.push(version);
        }
        fault
    }
}

impl From<Transition> for Step {
    fn from(transition: Transition) -> Self {
        match transition {
            Transition::Acquire => Self::Acquire,
            Transition::Intend => Self::Intend,
            Transition::Commit => Self::Commit,
            Transition::Release => Self::Release,
            Transition::Doubt => Self::Doubt,
            Transition::Reject => Self::Reject,
            _ => Self::Revoke,
        }
    }
}

impl RecordStore for Faulty {
    async fn load(&self, account: &AccountName) -> Result<Loaded, StoreError> {
        let (store, fault) = (self.inner(), self.fault(Step::Read));
        let loaded = self.run(Step::Read, fault, store.load(account)).await?;
        let stale = self.stale.lock().unwrap().clone();
        Ok(stale.map_or(loaded, |stale| {
            let now = stale.now;
            Loaded::record(stale, now)
        }))
    }

    async fn replace(
        &self,
        account: &AccountName,
        expected: Option<Version>,
        draft: &Draft,
    ) -> Result<Replaced, StoreError> {
        let store = self.inner();
        let standing = store.load(account).await?;
        let step = Transition::between(standing.standing.record(), draft).into();
        let fault = self.fault_of_write(step, draft.version);
        self.run(step, fault, store.replace(account, expected, draft))
            .await
    }

    async fn list(
        &self,
        after: Option<&AccountName>,
        limit: usize,
    ) -> Result<Vec<Listed>, StoreError> {
        let (store, fault) = (self.inner(), self.fault(Step::Read));
        self.run(Step::Read, fault, store.list(after, limit)).await
    }

    fn watch(&self) -> Option<Box<dyn Watch>> {
        if self.restless.load(Ordering::Relaxed) {
            return Some(Box::new(Restless));
        }
        self.inner().watch()
    }
}

struct Restless;

impl Watch for Restless {
    fn next(&mut self) -> BoxFuture<'_, Change> {
        Box::pin(async { Change::Any })
    }
}
