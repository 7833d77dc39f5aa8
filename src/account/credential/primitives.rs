//! The primitives under the [cell](super::Cell), so that loom can stand in for them.

#[cfg(not(tower_mac_auth_loom))]
mod imp {
    pub(in crate::account) use std::sync::atomic::AtomicU64;
    pub(in crate::account) use std::sync::{Mutex, MutexGuard};

    pub(in crate::account) type Swap<T> = arc_swap::ArcSwap<T>;
    pub(in crate::account) type Loaded<T> = arc_swap::Guard<std::sync::Arc<T>>;
}

#[cfg(tower_mac_auth_loom)]
mod imp {
    use std::sync::Arc;

    pub(in crate::account) use loom::sync::atomic::AtomicU64;
    pub(in crate::account) use loom::sync::{Mutex, MutexGuard};

    /// Stands in for `ArcSwap`, which loom cannot look into.
    pub(in crate::account) struct Swap<T>(Mutex<Arc<T>>);
    pub(in crate::account) type Loaded<T> = Arc<T>;

    impl<T> Swap<T> {
        pub(in crate::account) fn new(value: Arc<T>) -> Self {
            Self(Mutex::new(value))
        }

        pub(in crate::account) fn load(&self) -> Arc<T> {
            Arc::clone(&self.0.lock().unwrap())
        }

        pub(in crate::account) fn store(&self, value: Arc<T>) {
            *self.0.lock().unwrap() = value;
        }
    }
}

pub(in crate::account) use imp::Loaded;
pub(super) use imp::{AtomicU64, Mutex, MutexGuard, Swap};
