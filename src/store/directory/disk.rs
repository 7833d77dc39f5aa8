//! The only place that writes to a disk, and the order in which it does.
//!
//! What is opened is ours: a regular file or a directory that our user owns and nobody else may
//! write to. Root is no exception. It could read another user's directory, and would leave files
//! there that their owner cannot read.

use std::fs::{self, DirBuilder, File, FileType, Metadata, Permissions};
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::os::unix::fs::{
    DirBuilderExt as _, FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _,
    PermissionsExt as _,
};
use std::path::Path;

use rustix::fs::{Mode, OFlags};
use rustix::io::retry_on_intr;
use rustix::process::geteuid;
use zeroize::Zeroizing;

/// What is being written is here until it is whole. One for each directory: whoever writes holds
/// the directory's lock.
pub(super) const NEW: &str = ".new";

/// Writes so that each file is, after a crash at any moment, what it was or what it was to become.
#[derive(Clone, Default)]
pub(in crate::store) struct Disk {
    /// Asked before each change: tests write down the order, and let changes fail.
    #[cfg(test)]
    hook: Option<std::sync::Arc<Hook>>,
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
        let mut file = File::options();
        let mut file = file.write(true).create_new(true).mode(0o600).open(new)?;
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
            let (mut file, opened) = self.open_to_append(path)?;
            file.write_all(bytes)?;
            if is_at(&opened, path)? {
                if opened.len() + bytes.len() as u64 > longest {
                    remove_if_there(path)?;
                }
                break;
            }
        }
        Ok(())
    }

    /// The same file, to be read as well; made if it is not there.
    pub(in crate::store) fn open_to_append(&self, path: &Path) -> io::Result<(File, Metadata)> {
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
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
            made => made,
        }
    }

    /// Makes the directory and those it is in; each is durable when this returns.
    pub(super) fn make_dirs(&self, path: &Path) -> io::Result<()> {
        if path.as_os_str().is_empty() || fs::metadata(path).is_ok() {
            return Ok(());
        }
        let path = std::path::absolute(path)?;
        if let Some(parent) = path.parent() {
            self.make_dirs(parent)?;
        }
        self.make_dir(&path)?;
        let synced = path.parent().map_or(Ok(()), |parent| self.sync_dir(parent));
        if synced.is_err() {
            // So that the next one to open it tries again.
            let _ = fs::remove_dir(&path);
        }
        synced
    }

    /// Removes what a crash left half written. The caller holds the directory's lock.
    pub(super) fn clean(dir: &Path) -> io::Result<()> {
        remove_if_there(&dir.join(NEW))
    }
}

/// What was done, or `None` if there is nothing to do that to.
pub(super) fn if_there<T>(done: io::Result<T>) -> io::Result<Option<T>> {
    match done {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        done => done.map(Some),
    }
}

/// The bytes of a file, or `None` if there is none.
pub(super) fn read(disk: &Disk, path: &Path) -> io::Result<Option<Zeroizing<Vec<u8>>>> {
    let opened = if_there(Piece::File.open(disk, path, OFlags::RDONLY))?;
    let Some((mut file, opened)) = opened else {
        return Ok(None);
    };
    let mut bytes = Zeroizing::new(Vec::new());
    // Of its full size at once: a buffer that grows leaves secrets behind.
    bytes.try_reserve_exact(usize::try_from(opened.len()).unwrap_or(usize::MAX))?;
    file.read_to_end(&mut bytes)?;
    Ok(Some(bytes))
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    if_there(fs::remove_file(path)).map(drop)
}

/// Whether the file that was opened is the one that is there now.
pub(in crate::store) fn is_at(held: &Metadata, path: &Path) -> io::Result<bool> {
    let there = if_there(fs::metadata(path))?;
    Ok(there.is_some_and(|there| (held.dev(), held.ino()) == (there.dev(), there.ino())))
}

/// What may be opened, and the mode that it is to have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Piece {
    File,
    Directory,
}

impl Piece {
    fn mode(self) -> u32 {
        match self {
            Self::File => 0o600,
            Self::Directory => 0o700,
        }
    }

    /// That it is what it is to be, and our user's.
    pub(super) fn check(self, there: &Metadata) -> io::Result<()> {
        let wanted = match self {
            Self::File => there.is_file(),
            Self::Directory => there.is_dir(),
        };
        if !wanted {
            return Err(refused(format!("it is {}", name(there.file_type()))));
        }
        let (owner, us) = (there.uid(), geteuid().as_raw());
        if owner != us {
            let why = format!("it belongs to uid {owner}, and this process runs as uid {us}");
            return Err(refused(why));
        }
        Ok(())
    }

    /// Opens it, and has it for our user alone: a mount may have opened it to a group. What it was
    /// when it was opened comes with it.
    pub(super) fn open(
        self,
        disk: &Disk,
        path: &Path,
        flags: OFlags,
    ) -> io::Result<(File, Metadata)> {
        // Before it is opened, as that alone can do something to a device. And once it is, for
        // another may be there by then.
        if let Ok(there) = fs::symlink_metadata(path) {
            self.check(&there)?;
        }
        // Without `NONBLOCK` whoever opens a FIFO waits for a writer.
        let flags = flags | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let mode = Mode::from_raw_mode(self.mode());
        let file = File::from(retry_on_intr(|| rustix::fs::open(path, flags, mode))?);
        let there = file.metadata()?;
        self.check(&there)?;
        if there.mode() & 0o777 != self.mode() {
            self.tighten(disk, path, &file)?;
        }
        Ok((file, there))
    }

    #[cold]
    fn tighten(self, disk: &Disk, path: &Path, file: &File) -> io::Result<()> {
        let set = disk
            .before(Change::SetMode, path)
            .and_then(|()| file.set_permissions(Permissions::from_mode(self.mode())));
        // Some file systems say yes and change nothing.
        let mode = file.metadata()?.mode() & 0o7777;
        if mode & 0o022 == 0 {
            return Ok(());
        }
        let why = set.map_or_else(|error| format!(": {error}"), |()| String::new());
        let what = "others may write to it, and that cannot be changed";
        Err(refused(format!("its mode is {mode:04o}, {what}{why}")))
    }
}

/// An error that no second try helps against.
pub(super) fn refused(why: String) -> io::Error {
    io::Error::new(ErrorKind::PermissionDenied, why)
}

fn name(what: FileType) -> &'static str {
    if what.is_file() {
        "a regular file"
    } else if what.is_dir() {
        "a directory"
    } else if what.is_symlink() {
        "a symbolic link"
    } else if what.is_fifo() {
        "a FIFO"
    } else if what.is_socket() {
        "a socket"
    } else {
        "a device"
    }
}

#[cfg(test)]
impl Change {
    /// What writes a file, in this order.
    pub(in crate::store) const WRITTEN: [Self; 5] = [
        Self::Create,
        Self::Write,
        Self::SyncFile,
        Self::Rename,
        Self::SyncDir,
    ];
}

#[cfg(test)]
pub(in crate::store) type Changes = std::sync::Arc<std::sync::Mutex<Vec<Change>>>;

#[cfg(test)]
impl Disk {
    /// A disk that writes its changes down, of which those fail that `fails` says, by number.
    pub(in crate::store) fn watched(
        fails: impl Fn(usize, Change) -> Option<rustix::io::Errno> + Send + Sync + 'static,
    ) -> (Self, Changes) {
        let changes = Changes::default();
        let seen = Changes::clone(&changes);
        let hook = move |change, _: &Path| {
            let mut seen = seen.lock().unwrap();
            seen.push(change);
            fails(seen.len(), change).map_or(Ok(()), |error| Err(error.into()))
        };
        let hook: std::sync::Arc<Hook> = std::sync::Arc::new(hook);
        (Self { hook: Some(hook) }, changes)
    }
}
