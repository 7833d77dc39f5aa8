//! What was issued, on this machine's disk until the store has it.

#[cfg(unix)]
pub(super) use with_journal::{Answer, Kept, Rescue};
#[cfg(not(unix))]
pub(super) use without::{Answer, Kept, Rescue};

#[cfg(unix)]
mod with_journal {
    use crate::account::Shared;
    use crate::account::commit::{PATIENCE, in_time};
    use crate::account::realm::Realm;
    use crate::store::{AccountName, Journal, StoreError};

    pub(in crate::account) use crate::store::journal::{Answer, Kept};

    /// The journal, if there is one.
    #[derive(Clone, Default)]
    pub(in crate::account) struct Rescue(Option<Journal>);

    impl From<Journal> for Rescue {
        fn from(journal: Journal) -> Self {
            Self(Some(journal))
        }
    }

    impl Rescue {
        /// Whether peers may find here what this process is about to commit.
        pub(in crate::account) fn is_shared(&self) -> bool {
            self.0.is_some()
        }

        /// Writes an answer down, before the store is asked. No answer is lost for a journal's sake:
        /// if that fails, or takes long, it goes into the store without.
        pub(in crate::account) async fn keep(
            &self,
            account: &Shared,
            answer: &Answer,
        ) -> Option<Kept> {
            let journal = self.0.as_ref()?;
            let kept = journal.keep(&account.name, answer);
            match in_time(PATIENCE, kept).await {
                Some(Ok(kept)) => return Some(kept),
                Some(Err(error)) => {
                    let why = std::error::Error::source(&error).map(ToString::to_string);
                    tracing::error!(account = %account.name, %error, why, "issued tokens could not be written to the journal");
                }
                None => {
                    tracing::error!(account = %account.name, "issued tokens could not be written to the journal: no answer");
                }
            }
            None
        }

        /// Drops an entry: the store has the answer, or something newer. Nobody waits for it.
        pub(in crate::account) fn forget(&self, account: &Shared, kept: Kept) {
            if let Some(journal) = self.0.clone() {
                account.spawn(async move {
                    // One that stays is dropped when it is next found.
                    if let Err(error) = journal.forget(kept).await {
                        tracing::warn!(%error, "an entry of the journal could not be dropped yet");
                    }
                });
            }
        }

        /// Puts what is pending for an account of the realm into its store; whether there was
        /// anything.
        ///
        /// # Errors
        ///
        /// If the journal or what is there cannot be read, or the store failed and there is
        /// something.
        pub(in crate::account) async fn replay(
            &self,
            name: &AccountName,
            realm: &Realm,
        ) -> Result<bool, StoreError> {
            let Some(journal) = &self.0 else {
                return Ok(false);
            };
            let account = (name, &*realm.client_id);
            let replay = journal.replay_account(account, &*realm.store, &*realm.clock);
            Ok(replay.await?.committed > 0)
        }
    }
}

/// There is no [`Journal`](crate::store) on this system.
#[cfg(not(unix))]
#[allow(
    dead_code,
    clippy::unused_async,
    clippy::unused_self,
    clippy::needless_pass_by_value,
    clippy::trivially_copy_pass_by_ref,
    clippy::unnecessary_wraps,
    reason = "this stands where something is done elsewhere"
)]
mod without {
    use crate::Timestamp;
    use crate::account::Shared;
    use crate::account::realm::Realm;
    use crate::store::{AccountName, Generation, Grant, StoreError};

    pub(in crate::account) struct Answer {
        pub(in crate::account) generation: Generation,
        pub(in crate::account) lineage: Generation,
        pub(in crate::account) decided_over: Option<Generation>,
        pub(in crate::account) grant: Grant,
        pub(in crate::account) expires_at: Option<Timestamp>,
    }

    pub(in crate::account) enum Kept {}

    #[derive(Clone, Default)]
    pub(in crate::account) struct Rescue(());

    impl Rescue {
        pub(in crate::account) fn is_shared(&self) -> bool {
            false
        }

        pub(in crate::account) async fn keep(&self, _: &Shared, _: &Answer) -> Option<Kept> {
            None
        }

        pub(in crate::account) fn forget(&self, _: &Shared, _: Kept) {}

        pub(in crate::account) async fn replay(
            &self,
            _: &AccountName,
            _: &Realm,
        ) -> Result<bool, StoreError> {
            Ok(false)
        }
    }
}
