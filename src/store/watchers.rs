use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_core::future::BoxFuture;
use tokio::sync::watch;

use super::Watch;

/// Those in this process who watch a record, by a key that the store makes of the account's name.
/// There is an entry only as long as somebody watches.
#[derive(Clone, Default)]
pub(super) struct Watchers(Arc<Mutex<HashMap<String, watch::Sender<()>>>>);

impl Watchers {
    /// Starts watching: a [`wake`](Self::wake) after this call ends the watch.
    pub(super) fn watch(&self, key: String) -> Box<dyn Watch> {
        let changes = self.lock().entry(key.clone()).or_default().subscribe();
        Box::new(Watcher {
            changes: Some(changes),
            key,
            all: self.clone(),
        })
    }

    pub(super) fn wake(&self, key: &str) {
        if let Some(changes) = self.lock().get(key) {
            changes.send_replace(());
        }
    }

    /// For a store that may have missed something.
    pub(super) fn wake_all(&self) {
        for changes in self.lock().values() {
            changes.send_replace(());
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, watch::Sender<()>>> {
        // Nothing can panic while the map is half changed.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Watcher {
    /// Until it is dropped.
    changes: Option<watch::Receiver<()>>,
    key: String,
    all: Watchers,
}

impl Watch for Watcher {
    fn changed(&mut self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            if let Some(changes) = &mut self.changes {
                // The sender lives in the map for as long as we watch.
                let _ = changes.changed().await;
            }
        })
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        let mut all = self.all.lock();
        // Under the lock: of two that go at once, the second must not count the first.
        self.changes = None;
        if all
            .get(&self.key)
            .is_some_and(|changes| changes.receiver_count() == 0)
        {
            all.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio_test::task::spawn;
    use tokio_test::{assert_pending, assert_ready};

    use super::*;

    #[test]
    fn a_change_wakes_those_who_watch_that_record_and_no_other() {
        let watchers = Watchers::default();
        let [mut one, mut same, mut other] =
            ["a", "a", "b"].map(|key| watchers.watch(key.to_owned()));
        let [mut one, mut same, mut other] =
            [&mut one, &mut same, &mut other].map(|watch| spawn(watch.changed()));
        assert_pending!(one.poll());
        assert_pending!(same.poll());
        assert_pending!(other.poll());
        watchers.wake("a");
        assert_ready!(one.poll());
        assert_ready!(same.poll());
        assert_pending!(other.poll());
        watchers.wake_all();
        assert_ready!(other.poll());
    }

    #[test]
    fn a_change_before_the_first_look_counts() {
        let watchers = Watchers::default();
        let mut watch = watchers.watch("a".to_owned());
        watchers.wake("a");
        assert_ready!(spawn(watch.changed()).poll());
        assert_pending!(spawn(watch.changed()).poll());
    }

    #[test]
    fn what_nobody_watches_takes_no_room() {
        let watchers = Watchers::default();
        let first = watchers.watch("a".to_owned());
        let second = watchers.watch("a".to_owned());
        drop(first);
        assert_eq!(watchers.lock().len(), 1);
        drop(second);
        assert_eq!(watchers.lock().len(), 0);
    }

    #[test]
    fn of_two_that_go_at_once_nothing_is_left() {
        let watchers = Watchers::default();
        let turn = std::sync::Barrier::new(2);
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    for round in 0..20_000 {
                        let watch = watchers.watch(round.to_string());
                        turn.wait();
                        drop(watch);
                    }
                });
            }
        });
        assert_eq!(watchers.lock().len(), 0);
    }
}
