//! A directory of small files that several processes change: what the [file store](super::FileStore)
//! and the [journal](super::Journal) stand on.
//!
//! ```text
//! store.json             what the directory is for, and of which version
//! changes                what changed lately: a store's
//! .lock                  held while the directory is opened
//! 3f/.lock               held while a file beside it changes
//! 3f/.new                what is being written, until it is whole
//! 3f/user-42.json
//! ```

mod disk;
mod lock;
mod marker;
mod name;
mod ours;
mod trouble;

use std::fmt;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use zeroize::Zeroizing;

#[cfg(test)]
pub(super) use disk::{Change, Changes};
pub(super) use disk::{Disk, is_at};
use disk::{Piece, if_there, read};
#[cfg(test)]
pub(super) use lock::LOCK;
use lock::{Lock, PATIENCE, PAUSE_MILLIS, not_locked, wait_for_lock};
use marker::MARKER;
pub(super) use name::FileName;
use ours::PROBE;
pub(super) use trouble::FileTrouble;
use trouble::stuck;
pub(super) use trouble::{corrupt, failed};

use super::StoreError;
use super::error::unavailable;

/// What the name of a file with something in it ends with.
pub(super) const SUFFIX: &str = ".json";

/// An open directory. Everything in it blocks, unless it is async.
#[derive(Clone)]
pub(super) struct Directory(Arc<Inner>);

struct Inner {
    path: PathBuf,
    disk: Disk,
    /// Which shards' own entries are known to be durable. Whoever made them may have crashed
    /// before that.
    durable: Vec<AtomicBool>,
}

impl Directory {
    /// Opens the directory, makes it if it is not there, and tries out all that will be needed.
    pub(super) fn open(
        path: &Path,
        kind: &str,
        label: Option<&str>,
        disk: Disk,
    ) -> Result<Self, StoreError> {
        disk.make_dirs(path)
            .map_err(failed("the directory cannot be made", path))?;
        // It must stay the same when the process changes its own.
        let path =
            &fs::canonicalize(path).map_err(failed("the directory cannot be found", path))?;
        ours::claim(&disk, path)?;
        let this = Self(Arc::new(Inner {
            path: path.clone(),
            disk,
            durable: (0..=u8::MAX).map(|_| AtomicBool::new(false)).collect(),
        }));
        let disk = &this.0.disk;
        let lock = wait_for_lock(disk, path)?;
        probe(disk, path)?;
        marker::check(disk, path, kind, label)?;
        // What follows takes a second for 100,000 files, and needs no lock.
        drop(lock);
        for shard in this.shards()? {
            let shard = this.shard(shard);
            ours::tighten(disk, &shard)?;
            clean(disk, &shard)?;
        }
        Ok(this)
    }

    /// The shards in which there may be files.
    pub(super) fn shards(&self) -> Result<Vec<u8>, StoreError> {
        let mut shards = Vec::new();
        for shard in 0..=u8::MAX {
            let path = self.shard(shard);
            let checked = fs::symlink_metadata(&path).and_then(|it| Piece::Directory.check(&it));
            let checked = if_there(checked);
            let there = checked.map_err(failed("the directory cannot be read", &path))?;
            shards.extend(there.map(|()| shard));
        }
        self.check()?;
        Ok(shards)
    }

    /// What the names of the files in a shard begin with, up to their `.json`.
    pub(super) fn stems(&self, shard: u8) -> Result<Vec<String>, StoreError> {
        let path = self.shard(shard);
        let failed = || failed("the directory cannot be read", &path);
        let mut stems = Vec::new();
        let Some(names) = if_there(fs::read_dir(&path)).map_err(failed())? else {
            self.check()?;
            return Ok(stems);
        };
        for name in names {
            let name = name.map_err(failed())?.file_name();
            // Of what is ours, every name is text.
            let stem = name.to_str().and_then(|name| name.strip_suffix(SUFFIX));
            stems.extend(stem.map(str::to_owned));
        }
        Ok(stems)
    }

    pub(super) fn path(&self) -> &Path {
        &self.0.path
    }

    pub(super) fn disk(&self) -> &Disk {
        &self.0.disk
    }

    pub(super) fn shard(&self, shard: u8) -> PathBuf {
        self.0.path.join(format!("{shard:02x}"))
    }

    /// The bytes of a file, or `None` if there is none: which is not said of a directory that was
    /// removed, or is not mounted.
    pub(super) fn read(&self, path: &Path) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError> {
        let bytes = read(&self.0.disk, path).map_err(failed("the file cannot be read", path))?;
        if bytes.is_none() {
            self.check()?;
        }
        Ok(bytes)
    }

    /// That the directory is still there.
    pub(super) fn check(&self) -> Result<(), StoreError> {
        let marker = self.0.path.join(MARKER);
        let there = fs::symlink_metadata(&marker).and_then(|it| Piece::File.check(&it));
        there.map_err(failed("the directory is gone, or not mounted", &marker))
    }

    /// Does something under the lock of a shard, on the thread that took it. Nobody waits on a thread:
    /// one that is stuck with the lock must not take the others with it.
    pub(super) async fn locked<T, W>(&self, shard: u8, mut work: W) -> Result<T, StoreError>
    where
        T: Send + 'static,
        W: FnOnce(&Locked) -> Result<T, StoreError> + Send + 'static,
    {
        let mut waited = Duration::ZERO;
        while waited < PATIENCE {
            let this = self.clone();
            let tried = blocking(move || match this.try_lock(shard)? {
                Some(locked) => work(&locked).map(Ok),
                None => Ok(Err(work)),
            });
            match tried.await? {
                Ok(done) => return Ok(done),
                Err(again) => work = again,
            }
            let pause = Duration::from_millis(fastrand::u64(PAUSE_MILLIS));
            waited += pause;
            tokio::time::sleep(pause).await;
        }
        Err(stuck(&self.shard(shard)))
    }

    fn try_lock(&self, shard: u8) -> Result<Option<Locked>, StoreError> {
        let path = self.shard(shard);
        let durable = &self.0.durable[usize::from(shard)];
        let lock = match Lock::try_take(&self.0.disk, &path) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                self.check()?;
                durable.store(false, Ordering::SeqCst);
                let made = self.0.disk.make_dir(&path);
                made.map_err(failed("a directory cannot be made", &path))?;
                Lock::try_take(&self.0.disk, &path)
            }
            taken => taken,
        };
        let lock = lock.map_err(not_locked(&path))?;
        if lock.is_some() && !durable.load(Ordering::SeqCst) {
            let synced = self.0.disk.sync_dir(&self.0.path);
            synced.map_err(failed("the directory cannot be synced", &self.0.path))?;
            durable.store(true, Ordering::SeqCst);
        }
        Ok(lock.map(|lock| Locked {
            directory: self.clone(),
            path,
            _lock: lock,
        }))
    }
}

impl fmt::Debug for Directory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.path.fmt(f)
    }
}

/// A shard in which nobody else changes anything.
pub(super) struct Locked {
    directory: Directory,
    path: PathBuf,
    _lock: Lock,
}

impl Locked {
    pub(super) fn replace(&self, name: &str, bytes: &[u8]) -> Result<(), StoreError> {
        let replaced = self.directory.0.disk.replace(&self.path, name, bytes);
        replaced.map_err(failed("the file cannot be written", &self.path.join(name)))
    }

    pub(super) fn remove(&self, name: &str) -> Result<(), StoreError> {
        let removed = self.directory.0.disk.remove(&self.path, name);
        removed.map_err(failed("the file cannot be removed", &self.path.join(name)))
    }

    /// Whether something can be written here now.
    pub(super) fn probe(&self) -> Result<(), StoreError> {
        probe(&self.directory.0.disk, &self.path)
    }

    /// Makes durable what stands, for whoever wrote it may have crashed before that.
    pub(super) fn sync(&self) -> Result<(), StoreError> {
        let synced = self.directory.0.disk.sync_dir(&self.path);
        synced.map_err(failed("the directory cannot be synced", &self.path))
    }
}

/// Writes a file, and removes it. The caller holds the directory's lock.
fn probe(disk: &Disk, path: &Path) -> Result<(), StoreError> {
    let probe = disk.replace(path, PROBE, b"can be written\n");
    probe
        .and_then(|()| disk.remove(path, PROBE))
        .map_err(failed("the directory cannot be written", path))
}

/// Runs what blocks where it may. It runs to its end even if the future is dropped.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| {
        let what = "the runtime has ended, or the work panicked";
        Err(unavailable(what).with_source(error))
    })
}

/// Removes what a crash left half written in a shard.
fn clean(disk: &Disk, shard: &Path) -> Result<(), StoreError> {
    let lock = Lock::try_take(disk, shard).map_err(not_locked(shard))?;
    if lock.is_some() {
        Disk::clean(shard).map_err(failed("the directory cannot be cleaned", shard))?;
    }
    // Else whoever has it will write there, and so clean up.
    Ok(())
}
