//! A store behind a pointer.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use futures_core::future::BoxFuture;

use super::{
    AccountName, Draft, Listed, Loaded, RecordStore, Replaced, StoreError, Version, Watch,
};

/// Any store, behind one pointer: clones are the same store.
///
/// ```
/// use tower_mac_auth::store::{MemoryStore, SharedStore};
///
/// let store = SharedStore::new(MemoryStore::new());
/// // Both take a clone: `Account::builder(…).store(store.clone())`, `Journal::recover(&store)`.
/// let _ = (store.clone(), store);
/// ```
#[derive(Clone)]
pub struct SharedStore(Arc<dyn Erased>);

impl SharedStore {
    /// Shares `store`.
    pub fn new(store: impl RecordStore) -> Self {
        // One that is shared already is not put behind a second pointer.
        if let Some(shared) = (&store as &dyn Any).downcast_ref::<Self>() {
            return shared.clone();
        }
        Self(Arc::new(store))
    }
}

impl fmt::Debug for SharedStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedStore").finish_non_exhaustive()
    }
}

type Step<'a, T> = BoxFuture<'a, Result<T, StoreError>>;

/// [`RecordStore`] with its futures boxed, so that there can be a pointer to any.
trait Erased: Send + Sync {
    fn load<'a>(&'a self, account: &'a AccountName) -> Step<'a, Loaded>;
    fn replace<'a>(
        &'a self,
        account: &'a AccountName,
        expected: Option<Version>,
        draft: &'a Draft,
    ) -> Step<'a, Replaced>;
    fn list<'a>(&'a self, after: Option<&'a AccountName>, limit: usize) -> Step<'a, Vec<Listed>>;
    fn watch(&self) -> Option<Box<dyn Watch>>;
    fn check(&self) -> Step<'_, ()>;
}

impl<S: RecordStore> Erased for S {
    fn load<'a>(&'a self, account: &'a AccountName) -> Step<'a, Loaded> {
        Box::pin(RecordStore::load(self, account))
    }

    fn replace<'a>(
        &'a self,
        account: &'a AccountName,
        expected: Option<Version>,
        draft: &'a Draft,
    ) -> Step<'a, Replaced> {
        Box::pin(RecordStore::replace(self, account, expected, draft))
    }

    fn list<'a>(&'a self, after: Option<&'a AccountName>, limit: usize) -> Step<'a, Vec<Listed>> {
        Box::pin(RecordStore::list(self, after, limit))
    }

    fn watch(&self) -> Option<Box<dyn Watch>> {
        RecordStore::watch(self)
    }

    fn check(&self) -> Step<'_, ()> {
        Box::pin(RecordStore::check(self))
    }
}

/// A store behind a pointer does what the store does.
macro_rules! behind_a_pointer {
    ([$($generics:tt)*] $pointer:ty, $this:ident => $store:expr) => {
        impl $($generics)* RecordStore for $pointer {
            async fn load(&self, account: &AccountName) -> Result<Loaded, StoreError> {
                let $this = self;
                $store.load(account).await
            }

            async fn replace(
                &self,
                account: &AccountName,
                expected: Option<Version>,
                draft: &Draft,
            ) -> Result<Replaced, StoreError> {
                let $this = self;
                $store.replace(account, expected, draft).await
            }

            async fn list(
                &self,
                after: Option<&AccountName>,
                limit: usize,
            ) -> Result<Vec<Listed>, StoreError> {
                let $this = self;
                $store.list(after, limit).await
            }

            fn watch(&self) -> Option<Box<dyn Watch>> {
                let $this = self;
                $store.watch()
            }

            async fn check(&self) -> Result<(), StoreError> {
                let $this = self;
                $store.check().await
            }
        }
    };
}

behind_a_pointer!([] SharedStore, this => this.0);
behind_a_pointer!([<S: RecordStore>] Arc<S>, this => (**this));
