//! Hears of what other processes wrote: one task for all accounts of a store.

use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio_util::task::AbortOnDropHandle;

use super::work::GRACE;
use crate::store::{Change, RecordStore as _, SharedStore};

/// How often a store is looked at, by an account that signs: one that tells of changes, for what
/// it may have failed to tell; and one that does not.
const LOOK_EVERY: [Duration; 2] = [Duration::from_secs(30), Duration::from_secs(5)];

/// All accounts of a store are told at most this often that anything may have changed.
const BREATH: Duration = Duration::from_millis(10);

/// Who is to be told.
pub(super) trait Listener: Send + Sync {
    fn hear(&self, change: Change);
}

#[derive(Default)]
pub(super) struct Hearing {
    listener: OnceLock<Weak<dyn Listener>>,
    task: Mutex<Option<AbortOnDropHandle<()>>>,
}

impl Hearing {
    pub(super) fn look_every(store: &SharedStore) -> Duration {
        let [told, untold] = LOOK_EVERY;
        if store.watch().is_some() {
            told
        } else {
            untold
        }
    }

    /// Tells the listener from now on, until it is gone.
    pub(super) fn tell(&self, listener: Weak<dyn Listener>, store: &SharedStore) {
        if self.listener.set(listener).is_ok() {
            self.start(store);
        }
    }

    /// Whether this is who is told.
    pub(super) fn tells<L: Listener>(&self, listener: &Arc<L>) -> bool {
        let told = self.listener.get();
        told.is_some_and(|told| std::ptr::addr_eq(told.as_ptr(), Arc::as_ptr(listener)))
    }

    /// Begins again, if the runtime is gone that heard: on the one that is current here.
    pub(super) fn go_on(&self, store: &SharedStore) {
        let gone = match self.task.try_lock() {
            Ok(task) => task.as_ref().is_some_and(AbortOnDropHandle::is_finished),
            Err(_) => false,
        };
        if gone {
            self.start(store);
            // Of what was written meanwhile nobody heard.
            if let Some(listener) = self.listener.get().and_then(Weak::upgrade) {
                listener.hear(Change::Any);
            }
        }
    }

    fn start(&self, store: &SharedStore) {
        let (Some(listener), Ok(here)) = (self.listener.get(), Handle::try_current()) else {
            return;
        };
        let Some(mut watch) = store.watch() else {
            return;
        };
        let listener = Weak::clone(listener);
        let hear = async move {
            loop {
                let change = watch.next().await;
                let rests = change == Change::Any;
                let Some(listener) = listener.upgrade() else {
                    return;
                };
                listener.hear(change);
                drop(listener);
                if rests {
                    tokio::time::sleep(BREATH).await;
                }
            }
        };
        let task = AbortOnDropHandle::new(here.spawn(hear));
        *self.task.lock().unwrap_or_else(PoisonError::into_inner) = Some(task);
    }

    /// Tells nobody any more. Ends when the task has, if somebody drives it.
    pub(super) async fn end(&self) {
        let task = self
            .task
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(task) = task {
            task.abort();
            let _ = tokio::time::timeout(GRACE, task).await;
        }
    }
}
