//! The lock of a directory.

use std::fs::File;
use std::io;
use std::path::Path;
use std::time::Duration;

use rustix::fs::{FlockOperation, OFlags, flock};
use rustix::io::Errno;

use super::disk::{Disk, Piece, is_at};
use super::trouble::{failed, stuck};
use crate::store::StoreError;

/// How long somebody else may hold a lock, which is taken for a few writes only.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);
/// How long to wait before a lock is tried again.
pub(super) const PAUSE_MILLIS: std::ops::RangeInclusive<u64> = 1..=10;

/// The lock of a directory, until it is dropped or its process dies.
///
/// On a file of its own: one that is renamed over would lose it. It belongs to the open file, not
/// to the process, so two stores in one process keep each other out as well.
#[derive(Debug)]
pub(in crate::store) struct Lock {
    _file: File,
}

/// The name of the file that is locked.
pub(in crate::store) const LOCK: &str = ".lock";

impl Lock {
    /// Takes the lock, or `None` if somebody else has it.
    pub(in crate::store) fn try_take(disk: &Disk, dir: &Path) -> io::Result<Option<Self>> {
        let path = dir.join(LOCK);
        let (file, opened) = Piece::File.open(disk, &path, OFlags::RDWR | OFlags::CREATE)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK | Errno::INTR) => return Ok(None),
            Err(error) => return Err(error.into()),
        }
        // Should the directory have been put anew meanwhile, others lock another file.
        Ok(is_at(&opened, &path)?.then_some(Self { _file: file }))
    }
}

pub(super) fn wait_for_lock(disk: &Disk, path: &Path) -> Result<Lock, StoreError> {
    let mut waited = Duration::ZERO;
    while waited < PATIENCE {
        let taken = Lock::try_take(disk, path);
        if let Some(lock) = taken.map_err(not_locked(path))? {
            return Ok(lock);
        }
        let pause = Duration::from_millis(fastrand::u64(PAUSE_MILLIS));
        waited += pause;
        std::thread::sleep(pause);
    }
    Err(stuck(path))
}

pub(super) fn not_locked(dir: &Path) -> impl FnOnce(io::Error) -> StoreError {
    |error| failed("the directory cannot be locked", &dir.join(LOCK))(error)
}
