//! Who waits hears of a change before long.

use std::time::Duration;

use super::{HOUR, Subject};
use crate::store::Guarded;

/// Callers poll besides, so this is no promise of speed: it finds a watch that never ends.
const BEFORE_LONG: Duration = Duration::from_secs(30);

pub(super) async fn a_change_by_any_process_wakes(subject: Subject) {
    subject.first().await;
    for process in [subject.clone(), subject.swapped()] {
        let mut watch = subject.one.watch(&subject.name);
        for change in ["a change after the watch began", "the next change"] {
            let lease = process.sending().await;
            assert_eq!(process.release(&lease, Duration::ZERO).await, Guarded::Done);
            let woken = tokio::time::timeout(BEFORE_LONG, watch.changed()).await;
            assert!(woken.is_ok(), "{change} wakes");
        }
    }
    let watches = [&subject.one, &subject.other].map(|store| store.watch(&subject.name));
    assert!(subject.rotate_to(2).await);
    for mut watch in watches {
        let woken = tokio::time::timeout(BEFORE_LONG, watch.changed()).await;
        assert!(woken.is_ok(), "all who watch are woken");
    }
}

pub(super) async fn a_watch_that_is_dropped_harms_nobody(subject: Subject) {
    subject.first().await;
    for _ in 0..100 {
        drop(subject.one.watch(&subject.name));
    }
    let mut watch = subject.one.watch(&subject.name);
    drop(subject.other.watch(&subject.name));
    let lease = subject.swapped().lease().await;
    assert_eq!(subject.swapped().release(&lease, HOUR).await, Guarded::Done);
    let woken = tokio::time::timeout(BEFORE_LONG, watch.changed()).await;
    assert!(woken.is_ok());
}
