//! Sees that a store's directory, and all that is in it, is our user's alone to write.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use rustix::fs::OFlags;

use super::disk::{Disk, NEW, Piece, if_there, refused};
use super::lock::LOCK;
use super::marker::MARKER;
use super::trouble::failed;
use crate::store::StoreError;

/// What is written to try a directory out.
pub(super) const PROBE: &str = ".probe";

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
        // Somebody else is at work there, if it is gone.
        if_there(tighten_file(disk, &path)).map_err(failed(WHAT, &path))?;
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
