//! The only place that writes to a disk, and the order in which it does.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;

use rustix::fs::{FlockOperation, OFlags, flock};
use rustix::io::Errno;

use super::ours::Piece;

/// What is being written is here until it is whole. One for each directory: whoever writes holds
/// the directory's lock.
pub(super) const NEW: &str = ".new";

/// Writes so that each file is, after a crash at any moment, what it was or what it was to become.
#[derive(Clone, Default)]
pub(in crate::store) struct Disk {
    /// Asked before each change: tests write down the order, and let changes fail.
    #[cfg(test)]
    pub(in crate::store) hook: Option<std::sync::Arc<Hook>>,
}

#[cfg(test)]
type Hook = dyn Fn(Change, &Path) -> io::Result<()> + Send + Sync;

/// A change to the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) enum Change {
    MakeDir,
    Create,
    Write,
    SyncFile,
    Rename,
    Remove,
    SyncDir,
    SetMode,
}

impl Disk {
    #[cfg_attr(not(test), expect(clippy::unused_self, clippy::unnecessary_wraps))]
    pub(super) fn before(&self, change: Change, path: &Path) -> io::Result<()> {
        #[cfg(test)]
        if let Some(hook) = &self.hook {
            return hook(change, path);
        }
        let _ = (change, path);
        Ok(())
    }

    /// Puts a file of these bytes in place of the one of this name, if there is one. The caller
    /// holds the directory's lock. On an error either of them stands.
    pub(in crate::store) fn replace(&self, dir: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
        let (new, path) = (dir.join(NEW), dir.join(name));
        let renamed = self.write(&new, bytes).and_then(|()| {
            self.before(Change::Rename, &path)?;
            fs::rename(&new, &path)
        });
        if renamed.is_err() {
            // It may hold secrets. What cannot be removed now is overwritten by the next.
            let _ = fs::remove_file(&new);
        }
        renamed?;
        // Without this a power cut may undo the rename.
        self.sync_dir(dir)
    }

    fn write(&self, new: &Path, bytes: &[u8]) -> io::Result<()> {
        // Left by a crash. Not written over: it might have another owner or another mode.
        remove_if_there(new)?;
        self.before(Change::Create, new)?;
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(new)?;
        self.before(Change::Write, new)?;
        file.write_all(bytes)?;
        // Else the name may reach the disk before the bytes, and a crash leaves an empty file.
        self.before(Change::SyncFile, new)?;
        file.sync_all()
    }

    /// Appends to a file of which nothing need survive a crash. One that grows too long is put anew.
    pub(in crate::store) fn append(
        &self,
        path: &Path,
        bytes: &[u8],
        longest: u64,
    ) -> io::Result<()> {
        // Again, if somebody put it anew meanwhile.
        for _ in 0..2 {
            let mut file = self.open_to_append(path)?;
            file.write_all(bytes)?;
            if is_at(&file, path)? {
                if file.metadata()?.len() > longest {
                    remove_if_there(path)?;
                }
                break;
            }
        }
        Ok(())
    }

    /// The same file, to be read as well; made if it is not there.
    pub(in crate::store) fn open_to_append(&self, path: &Path) -> io::Result<File> {
        Piece::File.open(self, path, OFlags::RDWR | OFlags::APPEND | OFlags::CREATE)
    }

    /// Removes a file for good.
    pub(in crate::store) fn remove(&self, dir: &Path, name: &str) -> io::Result<()> {
        let path = dir.join(name);
        self.before(Change::Remove, &path)?;
        remove_if_there(&path)?;
        self.sync_dir(dir)
    }

    /// Makes what has been done in a directory durable, by whomever.
    pub(in crate::store) fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.before(Change::SyncDir, dir)?;
        File::open(dir)?.sync_all()
    }

    /// Makes a directory for our user alone. One that is there already is left as it is. It is
    /// durable once the directory it is in is synced.
    pub(in crate::store) fn make_dir(&self, path: &Path) -> io::Result<()> {
        self.before(Change::MakeDir, path)?;
        match DirBuilder::new().mode(0o700).create(path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            made => made,
        }
    }

    /// Removes what a crash left half written. The caller holds the directory's lock.
    pub(super) fn clean(dir: &Path) -> io::Result<()> {
        remove_if_there(&dir.join(NEW))
    }
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

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
        let file = Piece::File.open(disk, &path, OFlags::RDWR | OFlags::CREATE)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK | Errno::INTR) => return Ok(None),
            Err(error) => return Err(error.into()),
        }
        // Should the directory have been put anew meanwhile, others lock another file.
        Ok(is_at(&file, &path)?.then_some(Self { _file: file }))
    }
}

/// Whether the open file is the one that is there now.
pub(in crate::store) fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    use std::os::unix::fs::MetadataExt as _;

    let held = file.metadata()?;
    match fs::metadata(path) {
        Ok(there) => Ok((held.dev(), held.ino()) == (there.dev(), there.ino())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}
