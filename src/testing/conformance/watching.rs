//! Who watches hears of a change before long.

use std::time::Duration;

use super::{Subject, draft};
use crate::store::{Change, RecordStore as _, Watch};

/// Callers look besides, so this is no promise of speed: it finds a watch that never tells.
const BEFORE_LONG: Duration = Duration::from_secs(30);

impl Subject {
    /// Waits until this account, or any, has changed.
    async fn hears(&self, watch: &mut Box<dyn Watch>) {
        let heard = async {
            loop {
                match watch.next().await {
                    Change::Record(account, _) if account != self.name => {}
                    _ => return,
                }
            }
        };
        let heard = tokio::time::timeout(BEFORE_LONG, heard).await;
        assert!(heard.is_ok(), "nobody told of the change");
    }
}

pub(super) async fn a_change_by_any_process_is_heard(subject: Subject) {
    let mut standing = Some(subject.first().await.version);
    for process in [subject.clone(), subject.swapped()] {
        let (Some(one), Some(other)) = (subject.one.watch(), subject.other.watch()) else {
            // A store need not be able to tell.
            return;
        };
        // One that is dropped harms nobody.
        drop((subject.one.watch(), subject.other.watch()));
        let mut watches = [one, other];
        for number in 2..5 {
            let draft = draft(number);
            process.replace(standing, &draft).await;
            standing = Some(draft.version);
            for watch in &mut watches {
                subject.hears(watch).await;
            }
        }
    }
}
