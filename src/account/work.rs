//! Work that outlives whoever asked for it: a task of its own on the account's home, the runtime
//! that opened it. If that is gone, or nobody drives it, whoever waits for the work has it run on
//! their own runtime. It runs once, whoever begins.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::time::Sleep;

/// How long the home has to begin, before one who waits takes the work over.
pub(super) const GRACE: Duration = Duration::from_secs(1);

type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The runtime that work is begun on.
pub(super) struct Home(Mutex<Option<Handle>>);

impl Home {
    /// The runtime that is current here, if there is one.
    pub(super) fn here() -> Self {
        Self(Mutex::new(Handle::try_current().ok()))
    }

    /// Whether the runtime is there, be it driven or not.
    pub(super) fn stands(&self) -> bool {
        let home = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        home.as_ref().is_some_and(stands)
    }

    /// Spawns a task there. If the runtime is gone, the one that is current here takes its place;
    /// if there is none, the task is dropped.
    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let mut home = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !home.as_ref().is_some_and(stands) {
            *home = Handle::try_current().ok();
        }
        let handle = home.clone();
        drop(home);
        if let Some(handle) = handle {
            handle.spawn(task);
        }
    }
}

/// Whether a runtime is the current one, or at least not gone: a runtime that is gone drops at once
/// what is spawned on it.
fn stands(runtime: &Handle) -> bool {
    if Handle::try_current().is_ok_and(|here| here.id() == runtime.id()) {
        return true;
    }
    let ran = Arc::new(AtomicBool::new(false));
    let probe = Arc::clone(&ran);
    runtime.spawn(async move { probe.store(true, Ordering::Release) });
    Arc::strong_count(&ran) > 1 || ran.load(Ordering::Acquire)
}

/// Work that whoever comes first begins.
pub(super) struct Work(Mutex<Option<Task>>);

impl Work {
    /// Has `work` begun by the home. If the home and everybody else who holds the work drop it before
    /// it has begun, it is never run.
    pub(super) fn begin(home: &Home, work: impl Future<Output = ()> + Send + 'static) -> Arc<Self> {
        let work = Arc::new(Self(Mutex::new(Some(Box::pin(work)))));
        let begin = Arc::clone(&work);
        home.spawn(async move {
            let task = begin.take();
            drop(begin);
            if let Some(task) = task {
                task.await;
            }
        });
        work
    }

    /// Runs it on the runtime that is current here, unless it has begun.
    pub(super) fn take_over(&self) {
        if let Some(task) = self.take() {
            tokio::spawn(task);
        }
    }

    fn take(&self) -> Option<Task> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl fmt::Debug for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Work").finish_non_exhaustive()
    }
}

/// Waits for what work tells, on the caller's own runtime and no longer than a limit.
#[derive(Debug)]
pub(super) struct Wait<T> {
    told: oneshot::Receiver<T>,
    /// As long as it may be taken over.
    work: Option<Arc<Work>>,
    limit: Duration,
    timer: Option<Pin<Box<Sleep>>>,
    /// The timer runs for the limit, and no longer for the grace.
    is_late: bool,
}

/// Why there is nothing to tell.
#[derive(Debug)]
pub(super) enum Untold {
    /// The work is gone, with its runtime, or panicked.
    Interrupted,
    /// It did not end in time: nobody drives the runtime that began it.
    TimedOut,
}

impl<T> Wait<T> {
    pub(super) fn new(
        told: oneshot::Receiver<T>,
        work: Option<Arc<Work>>,
        limit: Duration,
    ) -> Self {
        Self {
            told,
            work,
            limit,
            timer: None,
            is_late: false,
        }
    }
}

impl<T> Future for Wait<T> {
    type Output = Result<T, Untold>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        if this.timer.is_none() && Handle::try_current().is_err() {
            // Here is neither a timer nor anybody to run it.
            this.work = None;
        }
        if let Poll::Ready(told) = Pin::new(&mut this.told).poll(cx) {
            return Poll::Ready(told.map_err(|_| Untold::Interrupted));
        }
        loop {
            let Some(timer) = &mut this.timer else {
                if Handle::try_current().is_err() {
                    return Poll::Pending;
                }
                this.timer = Some(Box::pin(tokio::time::sleep(GRACE)));
                continue;
            };
            ready!(timer.as_mut().poll(cx));
            if this.is_late {
                return Poll::Ready(Err(Untold::TimedOut));
            }
            this.is_late = true;
            if let Some(work) = this.work.take() {
                work.take_over();
            }
            *timer = Box::pin(tokio::time::sleep(this.limit));
        }
    }
}
