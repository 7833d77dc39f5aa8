//! What was issued, on this machine's disk until the store has it: if there is a journal. On a
//! system that has none, there is none.

use super::step::{PATIENCE, in_time};
use crate::Clock;
use crate::store::{AccountName, SharedStore, StoreError};

#[cfg(unix)]
use crate::store::Journal;
#[cfg(unix)]
pub(super) use crate::store::journal::{Answer, Kept};

#[cfg(not(unix))]
use without::Journal;
#[cfg(not(unix))]
pub(super) use without::{Answer, Kept};

/// The journal, if there is one.
#[derive(Clone, Default)]
pub(in crate::account) struct OptionalJournal(Option<Journal>);

#[cfg(unix)]
impl From<Journal> for OptionalJournal {
    fn from(journal: Journal) -> Self {
        Self(Some(journal))
    }
}

impl OptionalJournal {
    /// Whether peers may find here what this process is about to commit.
    pub(in crate::account) fn is_shared(&self) -> bool {
        self.0.is_some()
    }

    /// Writes an answer down, before the store is asked. No answer is lost for a journal's sake:
    /// if that fails, or takes long, it goes into the store without.
    pub(super) async fn keep(&self, account: &AccountName, answer: &Answer) -> Option<Kept> {
        let journal = self.0.as_ref()?;
        let kept = journal.keep(account, answer);
        match in_time(PATIENCE, kept).await {
            Some(Ok(kept)) => return Some(kept),
            Some(Err(error)) => {
                let why = std::error::Error::source(&error).map(ToString::to_string);
                tracing::error!(%account, %error, why, "issued tokens could not be written to the journal");
            }
            None => {
                tracing::error!(%account, "issued tokens could not be written to the journal: no answer");
            }
        }
        None
    }

    /// Drops an entry: the store has the answer, or something newer.
    pub(super) async fn forget(self, kept: Kept) {
        if let Some(journal) = self.0 {
            // One that stays is dropped when it is next found.
            if let Err(error) = journal.forget(kept).await {
                tracing::warn!(%error, "an entry of the journal could not be dropped yet");
            }
        }
    }

    /// Puts what is pending for an account of this client into the store; whether there was
    /// anything.
    ///
    /// # Errors
    ///
    /// If the journal or what is there cannot be read, or the store failed and there is something.
    pub(in crate::account) async fn recover(
        &self,
        account: (&AccountName, &str),
        store: &SharedStore,
        clock: &dyn Clock,
    ) -> Result<bool, StoreError> {
        let Some(journal) = &self.0 else {
            return Ok(false);
        };
        let recovered = journal.recover_account(account, store, clock).await?;
        Ok(recovered.committed > 0)
    }
}

/// In the place of [`Journal`](crate::store) where there is none.
#[cfg(not(unix))]
mod without {
    use crate::store::{AccountName, Generation, Grant, SharedStore, StoreError};
    use crate::{Clock, Timestamp};

    #[allow(dead_code, reason = "nobody reads it here")]
    pub(crate) struct Answer {
        pub(crate) generation: Generation,
        pub(crate) lineage: Generation,
        pub(crate) decided_over: Option<Generation>,
        pub(crate) grant: Grant,
        pub(crate) expires_at: Option<Timestamp>,
        pub(crate) refresh_expires_at: Option<Timestamp>,
    }

    pub(crate) enum Kept {}
    pub(super) struct Recovered {
        pub(super) committed: usize,
    }

    #[derive(Clone)]
    pub(super) enum Journal {}

    impl Journal {
        pub(super) async fn keep(&self, _: &AccountName, _: &Answer) -> Result<Kept, StoreError> {
            match *self {}
        }

        pub(super) async fn forget(self, _: Kept) -> Result<(), StoreError> {
            match self {}
        }

        pub(super) async fn recover_account(
            &self,
            _: (&AccountName, &str),
            _: &SharedStore,
            _: &dyn Clock,
        ) -> Result<Recovered, StoreError> {
            match *self {}
        }
    }
}
