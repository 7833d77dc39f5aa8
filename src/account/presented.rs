//! What this process remembers of a refresh token that it presented: a store can fail over to a
//! copy that has not seen the intent, and there the spent token stands as good as new.

use std::sync::{Mutex, PoisonError};

use crate::store::Generation;

#[derive(Default)]
pub(super) struct Presented(Mutex<Option<Last>>);

/// The refresh token of one generation, presented without an answer that says it is not spent.
#[derive(Clone, Copy)]
pub(super) struct Last {
    generation: Generation,
    /// Whether it must not be presented again, whatever the policy.
    pub(super) for_good: bool,
}

impl Presented {
    /// The refresh token of `generation` may be spent; `for_good`: this was the replay, or it is
    /// known to be.
    pub(super) fn note(&self, generation: Generation, for_good: bool) {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Twice in doubt is replayed, whether the store remembers that or not.
        let again = last.is_some_and(|last| last.generation == generation);
        *last = Some(Last {
            generation,
            for_good: for_good || again,
        });
    }

    pub(super) fn of(&self, generation: Generation) -> Option<Last> {
        let last = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        last.filter(|last| last.generation == generation)
    }
}
