//! A store whose steps are timed, where somebody may want to know.

use crate::store::SharedStore;

#[cfg(not(feature = "metrics"))]
pub(in crate::account) fn measured(store: SharedStore) -> SharedStore {
    store
}

#[cfg(feature = "metrics")]
pub(in crate::account) use self::timed::measured;

#[cfg(feature = "metrics")]
mod timed {
    use tokio::time::Instant;

    use super::SharedStore;
    use crate::account::numbers::metrics::store_step_took;
    use crate::store::{
        AccountName, Draft, Listed, Loaded, RecordStore, Replaced, StoreError, Version, Watch,
    };

    pub(in crate::account) fn measured(store: SharedStore) -> SharedStore {
        SharedStore::new(Measured(store))
    }

    struct Measured(SharedStore);

    impl Measured {
        #[expect(
            clippy::disallowed_methods,
            reason = "the account's clock tells milliseconds at best, and may be set"
        )]
        async fn step<T>(&self, name: &'static str, step: impl Future<Output = T>) -> T {
            let start = Instant::now();
            let done = step.await;
            store_step_took(name, start.elapsed());
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
}
