//! A buffer that several attempts share.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use super::buffer::Buffer;

/// The one buffer that all attempts of a request share.
///
/// The mutex is held while the source is polled and never across an await. It is poisoned when
/// the source panics; the buffer is sound even then (see [`Buffer::poll_source`]), so that is
/// passed over.
pub(super) struct SharedBuffer<B>(Arc<Mutex<Buffer<B>>>);

impl<B> SharedBuffer<B> {
    pub(super) fn new(source: B, cap: usize) -> Self {
        Self(Arc::new(Mutex::new(Buffer::new(source, cap))))
    }

    pub(super) fn is_resendable(&self) -> bool {
        self.lock().is_resendable()
    }

    /// Begins the body anew: the epoch of the next attempt, and the task of the one before. `None` if
    /// it cannot be had any more.
    pub(super) fn take_over(&self) -> Option<(u32, Option<Waker>)> {
        let mut buffer = self.lock();
        if !buffer.is_resendable() {
            return None;
        }
        Some(buffer.rewind())
    }

    /// Nothing more is kept.
    pub(super) fn stop_buffering(&self) {
        self.lock().stop_buffering();
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Buffer<B>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<B> Clone for SharedBuffer<B> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}
