//! What is opened is ours: a regular file or a directory that our user owns.
//!
//! Root is no exception. It could read another user's directory, and would leave files there that
//! their owner cannot read.

use std::fs::{self, File, FileType, Metadata};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::Path;

use rustix::fs::{Mode, OFlags};
use rustix::io::retry_on_intr;
use rustix::process::geteuid;

/// What may be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Piece {
    File,
    Directory,
}

impl Piece {
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

    /// Opens it, for our user alone if it is made.
    pub(super) fn open(self, path: &Path, flags: OFlags) -> io::Result<File> {
        // Before it is opened, as that alone can do something to a device. And once it is, for
        // another may be there by then.
        if let Ok(there) = fs::symlink_metadata(path) {
            self.check(&there)?;
        }
        // Without `NONBLOCK` whoever opens a FIFO waits for a writer.
        let flags = flags | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let mode = Mode::RUSR | Mode::WUSR;
        let file = File::from(retry_on_intr(|| rustix::fs::open(path, flags, mode))?);
        self.check(&file.metadata()?)?;
        Ok(file)
    }
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
