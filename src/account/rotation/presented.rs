use std::sync::{Mutex, PoisonError};

use super::decide::Presented;
use crate::store::Generation;

/// What this process remembers of the refresh token that it presented last, of one generation.
#[derive(Default)]
pub(in crate::account) struct PresentedTokens(Mutex<Option<(Generation, Presented)>>);

/// What was remembered before.
pub(super) struct BeforePresented(Option<(Generation, Presented)>);

impl PresentedTokens {
    /// The refresh token of `generation` may be spent from now on; `for_good`: this is the second time,
    /// or it is known to be. To be called before it is sent, so that no end of the task or the runtime
    /// forgets it.
    pub(super) fn note(&self, generation: Generation, for_good: bool) -> BeforePresented {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // A second note of one generation is a second presentation, whether the store remembers the
        // first or not.
        let again = last.is_some_and(|last| last.0 == generation);
        let presented = if for_good || again {
            Presented::ForGood
        } else {
            Presented::Once
        };
        BeforePresented(last.replace((generation, presented)))
    }

    /// The token turned out not to have been spent.
    #[expect(clippy::needless_pass_by_value, reason = "it is of use once")]
    pub(super) fn forget(&self, before: BeforePresented) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = before.0;
    }

    pub(in crate::account) fn of(&self, generation: Generation) -> Presented {
        let last = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match last {
            Some((of, presented)) if of == generation => presented,
            _ => Presented::No,
        }
    }
}
