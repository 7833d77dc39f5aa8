//! Changes of one file, by this process or another.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures_core::future::BoxFuture;
use tokio::sync::watch;

use super::Inner;
use crate::store::Watch;
use crate::store::directory::blocking;

/// How often the file is looked at while somebody watches: each time another, so that the
/// processes of a machine do not all look at once.
const POLL_MILLIS: std::ops::RangeInclusive<u64> = 50..=150;

/// What differs when a file was replaced by another.
#[derive(Debug, PartialEq, Eq)]
struct Stamp {
    inode: u64,
    modified: (i64, i64),
    size: u64,
}

fn stamp(path: &Path) -> Option<Stamp> {
    fs::metadata(path).ok().map(|metadata| Stamp {
        inode: metadata.ino(),
        modified: (metadata.mtime(), metadata.mtime_nsec()),
        size: metadata.size(),
    })
}

pub(super) struct Changes {
    path: PathBuf,
    seen: Option<Stamp>,
    here: watch::Receiver<()>,
    /// Holds the sender.
    _store: Arc<Inner>,
}

impl Changes {
    /// Looks at the file at once, which takes a microsecond: a change after this is not missed.
    pub(super) fn new(store: Arc<Inner>, shard: u8, path: PathBuf) -> Self {
        Self {
            seen: stamp(&path),
            here: store.changes[usize::from(shard)].subscribe(),
            path,
            _store: store,
        }
    }
}

impl Watch for Changes {
    fn changed(&mut self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            loop {
                let poll = Duration::from_millis(fastrand::u64(POLL_MILLIS));
                let changed_here = tokio::time::timeout(poll, self.here.changed())
                    .await
                    .is_ok();
                let path = self.path.clone();
                let stamp = blocking(move || Ok(stamp(&path))).await.unwrap_or_default();
                let changed = changed_here || stamp != self.seen;
                self.seen = stamp;
                if changed {
                    return;
                }
            }
        })
    }
}
