//! A store whose steps are timed.

use tokio::time::Instant;

use super::metrics::Whose;
use crate::store::{
    AccountName, Draft, Listed, Loaded, RecordStore, Replaced, SharedStore, StoreError, Version,
    Watch,
};

/// The store, and whose it is.
pub(in crate::account) struct Measured(
    pub(in crate::account) SharedStore,
    pub(in crate::account) Whose,
);

impl Measured {
    #[expect(
        clippy::disallowed_methods,
        reason = "the account's clock tells milliseconds at best, and may be set"
    )]
    async fn step<T>(&self, name: &'static str, step: impl Future<Output = T>) -> T {
        let start = Instant::now();
        let done = step.await;
        self.1.store_step_took(name, start.elapsed());
        done
    }
}

impl RecordStore for Measured {
    async fn load(&self, account: &AccountName) -> Result<Loaded, StoreError> {
        self.step("load", self.0.load(account)).await
    }

    async fn replace(
        &self,
        account: &AccountName,
        expected: Option<Version>,
        draft: &Draft,
    ) -> Result<Replaced, StoreError> {
        let replace = self.0.replace(account, expected, draft);
        self.step("replace", replace).await
    }

    async fn list(
        &self,
        after: Option<&AccountName>,
        limit: usize,
    ) -> Result<Vec<Listed>, StoreError> {
        self.step("list", self.0.list(after, limit)).await
    }

    fn watch(&self) -> Option<Box<dyn Watch>> {
        self.0.watch()
    }

    async fn check(&self) -> Result<(), StoreError> {
        self.0.check().await
    }
}
