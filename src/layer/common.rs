//! What all clones of a service have in common.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use super::config::Config;

/// What all clones of a service have in common: the layer's configuration, and an inner service to
/// send a request again with.
///
/// That is kept once for all: nearly no request is sent again, and to clone a client takes a good part of
/// what it costs to sign for it.
pub(super) struct Common<S, A> {
    pub(super) config: Arc<Config<A>>,
    /// As it was when the first of them was called; behind a lock, because it need not be `Sync`.
    spare: OnceLock<Mutex<S>>,
}

impl<S, A> Common<S, A> {
    pub(super) const fn new(config: Arc<Config<A>>) -> Self {
        let spare = OnceLock::new();
        Self { config, spare }
    }
}

impl<S: Clone, A> Common<S, A> {
    /// Keeps a clone of `service`, if there is none.
    #[inline]
    pub(super) fn keep(&self, service: &S) {
        if self.spare.get().is_none() {
            // Not while others wait for it: what a clone does we do not know. Of two the first is kept.
            let _ = self.spare.set(Mutex::new(service.clone()));
        }
    }

    /// A service of its own for one request, which has to be polled ready. `None` if none was kept.
    pub(super) fn spare(&self) -> Option<S> {
        let spare = self.spare.get()?.lock();
        Some(spare.unwrap_or_else(PoisonError::into_inner).clone())
    }
}
