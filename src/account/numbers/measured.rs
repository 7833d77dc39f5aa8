//! A store whose steps are timed, where somebody may want to know.

use std::sync::Arc;

use crate::Clock;
use crate::store::SharedStore;

#[cfg(not(feature = "metrics"))]
pub(in crate::account) fn measured(store: SharedStore, _: &Arc<dyn Clock>) -> SharedStore {
    store
}

#[cfg(feature = "metrics")]
pub(in crate::account) use self::timed::measured;

#[cfg(feature = "metrics")]
mod timed {
    use std::time::Duration;

    use super::{Arc, Clock, SharedStore};
    use crate::account::numbers::metrics::store_step_took;
    use crate::store::{
        AccountName, Draft, Listed, Loaded, RecordStore, Replaced, StoreError, Version, Watch,
    };

    pub(in crate::account) fn measured(store: SharedStore, clock: &Arc<dyn Clock>) -> SharedStore {
        let clock = Arc::clone(clock);
        SharedStore::new(Measured { store, clock })
    }

    struct Measured {
        store: SharedStore,
        clock: Arc<dyn Clock>,
    }

    impl Measured {
        async fn step<T>(&self, name: &'static str, step: impl Future<Output = T>) -> T {
            let start = self.clock.now();
            let done = step.await;
            let took: Duration = self.clock.now().saturating_since(start);
            store_step_took(name, took);
            done
        }
    }

    impl RecordStore for Measured {
        async fn load(&self, account: &AccountName) -> Result<Loaded, StoreError> {
            self.step("load", self.store.load(account)).await
        }

        async fn replace(
            &self,
            account: &AccountName,
            expected: Option<Version>,
            draft: &Draft,
        ) -> Result<Replaced, StoreError> {
            let replace = self.store.replace(account, expected, draft);
            self.step("replace", replace).await
        }

        async fn list(
            &self,
            after: Option<&AccountName>,
            limit: usize,
        ) -> Result<Vec<Listed>, StoreError> {
            self.step("list", self.store.list(after, limit)).await
        }

        fn watch(&self) -> Option<Box<dyn Watch>> {
            self.store.watch()
        }

        async fn check(&self) -> Result<(), StoreError> {
            self.store.check().await
        }
    }
}
