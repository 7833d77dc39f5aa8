//! Tells of changes: what the stores of this crate that hear of them have in common.

use futures_core::future::BoxFuture;
use tokio::sync::broadcast::{self, error::RecvError};

use super::{AccountName, Change, Version, Watch};

/// How many changes a watcher may fall behind: then it is told that anything may have changed.
const BEHIND: usize = 1024;

/// Where a store tells of changes. Clones tell the same watchers.
#[derive(Clone, Debug)]
pub(super) struct Changes(broadcast::Sender<Change>);

impl Changes {
    pub(super) fn new() -> Self {
        Self(broadcast::Sender::new(BEHIND))
    }

    /// Whether anybody watches.
    pub(super) fn are_watched(&self) -> bool {
        self.0.receiver_count() > 0
    }

    /// Tells those who watch now.
    pub(super) fn tell(&self, change: impl FnOnce() -> Change) {
        if self.are_watched() {
            // The last of them may have gone this moment.
            let _ = self.0.send(change());
        }
    }

    /// Tells them that this record changed, by this write.
    pub(super) fn tell_of(&self, account: &AccountName, version: Version) {
        self.tell(|| Change::Record(account.clone(), version));
    }

    /// Starts watching: what is told after this call is heard.
    pub(super) fn watch(&self) -> Box<dyn Watch> {
        Box::new(Watcher(self.0.subscribe()))
    }
}

/// What a line tells of: the version of the write, and the account.
#[cfg(any(unix, feature = "postgres", feature = "redis"))]
pub(super) fn named(line: &str) -> Option<Change> {
    let (version, account) = line.split_once(' ')?;
    let version = Version::from_number(version.parse().ok()?);
    Some(Change::Record(account.parse().ok()?, version))
}

struct Watcher(broadcast::Receiver<Change>);

impl Watch for Watcher {
    fn next(&mut self) -> BoxFuture<'_, Change> {
        Box::pin(async move {
            match self.0.recv().await {
                Ok(change) => change,
                Err(RecvError::Lagged(_)) => Change::Any,
                // The store is gone, and nothing changes any more.
                Err(RecvError::Closed) => std::future::pending().await,
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use tokio_test::task::spawn;
    use tokio_test::{assert_pending, assert_ready, assert_ready_eq};

    use super::*;
    use crate::store::fixture::name;

    #[test]
    fn a_change_is_heard_by_each_who_watches_and_by_nobody_who_comes_later() {
        let changes = Changes::new();
        let (mut one, mut other) = (changes.watch(), changes.watch());
        let version = Version::draw();
        changes.tell_of(&name("7"), version);
        for watch in [&mut one, &mut other] {
            assert_ready_eq!(
                spawn(watch.next()).poll(),
                Change::Record(name("7"), version)
            );
            assert_pending!(spawn(watch.next()).poll());
        }
        assert_pending!(spawn(changes.watch().next()).poll());
    }

    #[test]
    fn one_who_falls_behind_is_told_that_anything_may_have_changed() {
        let changes = Changes::new();
        let mut watch = changes.watch();
        (0..=BEHIND)
            .for_each(|number| changes.tell_of(&name(&number.to_string()), Version::draw()));
        assert_ready_eq!(spawn(watch.next()).poll(), Change::Any);
        assert_ready!(spawn(watch.next()).poll());
    }
}
