use std::sync::{Mutex, PoisonError};

use super::decide::Presented;
use crate::store::Generation;

/// What this process remembers of the refresh token that it presented last, of one generation.
#[derive(Default)]
pub(in crate::account) struct PresentedTokens(Mutex<Option<(Generation, Presented)>>);

impl PresentedTokens {
    /// The refresh token of `generation` may be spent; `for_good`: this was the second time, or it
    /// is known to be.
    pub(super) fn note(&self, generation: Generation, for_good: bool) {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // A second note of one generation is a second presentation, whether the store remembers the
        // first or not.
        let again = last.is_some_and(|last| last.0 == generation);
        let presented = if for_good || again {
            Presented::ForGood
        } else {
            Presented::Once
        };
        *last = Some((generation, presented));
    }

    pub(in crate::account) fn of(&self, generation: Generation) -> Presented {
        let last = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match last {
            Some((of, presented)) if of == generation => presented,
            _ => Presented::No,
        }
    }
}
