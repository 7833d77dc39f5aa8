//! What is opened is ours: a regular file or a directory that our user owns and nobody else may
//! write to.
//!
//! Root is no exception. It could read another user's directory, and would leave files there that
//! their owner cannot read.

use std::fs::{self, File, FileType, Metadata, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::Path;

use rustix::fs::{Mode, OFlags};
use rustix::io::retry_on_intr;
use rustix::process::geteuid;

use super::disk::{Change, Disk, LOCK, NEW};
use super::{MARKER, PROBE, failed};
use crate::store::StoreError;

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

    /// Opens it, and has it for our user alone: a mount may have opened it to a group.
    pub(super) fn open(self, disk: &Disk, path: &Path, flags: OFlags) -> io::Result<File> {
        // Before it is opened, as that alone can do something to a device. And once it is, for
        // another may be there by then.
        if let Ok(there) = fs::symlink_metadata(path) {
            self.check(&there)?;
        }
        // Without `NONBLOCK` whoever opens a FIFO waits for a writer.
        let flags = flags | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let mode = Mode::from_raw_mode(self.mode());
        let file = File::from(retry_on_intr(|| rustix::fs::open(path, flags, mode))?);
        self.tighten(disk, path, &file)?;
        Ok(file)
    }

    fn tighten(self, disk: &Disk, path: &Path, file: &File) -> io::Result<()> {
        let there = file.metadata()?;
        self.check(&there)?;
        if there.mode() & 0o777 == self.mode() {
            return Ok(());
        }
        let set = disk
            .before(Change::SetMode, path)
            .and_then(|()| file.set_permissions(Permissions::from_mode(self.mode())));
        // Some file systems say yes and change nothing.
        let mode = file.metadata()?.mode() & 0o7777;
        if mode & 0o022 == 0 {
            return Ok(());
        }
        let why = set
            .err()
            .map_or_else(String::new, |error| format!(": {error}"));
        let what = "others may write to it, and that cannot be changed";
        Err(refused(format!("its mode is {mode:04o}, {what}{why}")))
    }
}

/// Makes sure that the directory of a store is ours. Whoever else may write there can put a record
/// in place of another, or take the lock away.
pub(super) fn claim(disk: &Disk, path: &Path) -> Result<(), StoreError> {
    let claimed = || {
        let there = fs::metadata(path)?;
        Piece::Directory.check(&there)?;
        let mode = there.mode() & 0o7777;
        if mode & 0o022 == 0 {
            return Ok(());
        }
        // One that is everybody's, as /tmp, or holds something else is to stay as it is. No other
        // place is advised: a store there is empty, and the tokens to fill it with may be spent.
        let why = if mode & 0o1000 != 0 {
            "it is everybody's"
        } else if may_be_tightened(path)? {
            return Piece::Directory
                .open(disk, path, OFlags::DIRECTORY)
                .map(drop);
        } else {
            "it holds other things: `chmod 0700` it, if nobody else is to use it"
        };
        Err(refused(format!("its mode is {mode:04o}, and {why}")))
    };
    claimed().map_err(failed("the directory is not for this process alone", path))
}

/// Whether the directory holds a store, or nothing yet but what is made on the way to one.
fn may_be_tightened(path: &Path) -> io::Result<bool> {
    let mut only_ours = true;
    for entry in fs::read_dir(path)? {
        let name = entry?.file_name();
        if name == MARKER {
            return Ok(true);
        }
        only_ours &= [LOCK, NEW, PROBE].iter().any(|ours| name == *ours);
    }
    Ok(only_ours)
}

/// Has a shard and every file in it for our user alone, also those that are never opened again.
pub(super) fn tighten(disk: &Disk, shard: &Path) -> Result<(), StoreError> {
    const WHAT: &str = "what is in the directory is not for its owner alone to write";
    let opened = Piece::Directory.open(disk, shard, OFlags::DIRECTORY);
    opened.map_err(failed(WHAT, shard))?;
    for entry in fs::read_dir(shard).map_err(failed(WHAT, shard))? {
        let path = entry.map_err(failed(WHAT, shard))?.path();
        match tighten_file(disk, &path) {
            // Somebody else is at work there.
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            tightened => tightened.map_err(failed(WHAT, &path))?,
        }
    }
    Ok(())
}

fn tighten_file(disk: &Disk, path: &Path) -> io::Result<()> {
    let there = fs::symlink_metadata(path)?;
    if !there.is_file() {
        // An error once somebody wants a file of that name; the other accounts need not wait.
        return Ok(());
    }
    Piece::File.check(&there)?;
    if there.mode() & 0o077 != 0 {
        Piece::File.open(disk, path, OFlags::RDONLY)?;
    }
    Ok(())
}

/// An error that no second try helps against.
fn refused(why: String) -> io::Error {
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
