//! Changes by any process of the machine.
//!
//! Whoever has changed a record adds a line to one file; whoever watches reads what is new there.
//! Nothing rests on it: a line may be lost, and then others find out when they next look.

use std::fs;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;
use std::time::Duration;

use crate::store::changes::{Changes, named};
use crate::store::directory::{Directory, Disk, failed, is_at};
use crate::store::{AccountName, Change, StoreError, Version, Watch};

/// How often the file is looked at while somebody watches: each time another, so that the
/// processes of a machine do not all look at once.
const POLL_MILLIS: std::ops::RangeInclusive<u64> = 50..=150;

/// A file that is longer is put anew, and whoever is still to read in it must look at everything.
pub(super) const LONGEST: u64 = 256 * 1024;

pub(super) struct ChangesFile {
    disk: Disk,
    path: PathBuf,
    /// Tells our lines from those of others.
    writer: u32,
    here: Changes,
    /// While somebody watches.
    reader: Mutex<Option<Reader>>,
}

/// How far the file has been read.
struct Reader {
    file: fs::File,
    read: u64,
}

impl ChangesFile {
    /// Makes the file, or has it for our user alone.
    pub(super) fn of(directory: &Directory) -> Result<Self, StoreError> {
        let (disk, path) = (directory.disk().clone(), directory.path().join("changes"));
        let opened = disk.open_to_append(&path);
        opened.map_err(failed("the file cannot be opened", &path))?;
        Ok(Self {
            disk,
            path,
            writer: fastrand::u32(..),
            here: Changes::new(),
            reader: Mutex::default(),
        })
    }

    /// Tells those who watch here, and the other processes.
    pub(super) fn tell(&self, account: &AccountName, version: Version) {
        self.here.tell_of(account, version);
        let line = format!("{} {} {account}\n", self.writer, version.number());
        if let Err(error) = self.disk.append(&self.path, line.as_bytes(), LONGEST) {
            tracing::debug!(%account, %error, "other processes were not told of a change");
        }
    }

    /// Starts watching. A thread looks at the file: runtimes come and go, and not all of them are
    /// driven all the time.
    pub(super) fn watch(self: &Arc<Self>) -> Option<Box<dyn Watch>> {
        let watch = self.here.watch();
        let mut reader = self.reader();
        if reader.is_none() {
            let from_now_on = self.read_from_now_on().ok()?;
            let this = Arc::downgrade(self);
            let thread = thread::Builder::new().name("tower-mac-auth changes".to_owned());
            let watching = move || {
                while look(&this) {
                    thread::sleep(Duration::from_millis(fastrand::u64(POLL_MILLIS)));
                }
            };
            thread.spawn(watching).ok()?;
            *reader = Some(from_now_on);
        }
        Some(watch)
    }

    fn reader(&self) -> MutexGuard<'_, Option<Reader>> {
        self.reader.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read_from_now_on(&self) -> io::Result<Reader> {
        let (file, opened) = self.disk.open_to_append(&self.path)?;
        let read = opened.len();
        Ok(Reader { file, read })
    }

    /// Tells of what others have added.
    fn read_on(&self, reader: &mut Reader) -> io::Result<()> {
        let held = reader.file.metadata()?;
        if !is_at(&held, &self.path)? {
            // Somebody has put it anew, and what was added before that may be lost.
            *reader = self.read_from_now_on()?;
            self.here.tell(|| Change::Any);
            return Ok(());
        }
        let length = held.len();
        let Some(new) = length
            .checked_sub(reader.read)
            .filter(|new| *new <= 2 * LONGEST)
        else {
            reader.read = length;
            self.here.tell(|| Change::Any);
            return Ok(());
        };
        let mut bytes = vec![0; usize::try_from(new).unwrap_or_default()];
        reader.file.read_exact_at(&mut bytes, reader.read)?;
        // A line that has no end yet is read with its end.
        for line in bytes
            .split_inclusive(|byte| *byte == b'\n')
            .filter(|it| it.ends_with(b"\n"))
        {
            reader.read += line.len() as u64;
            match parse(line) {
                Some((writer, _)) if writer == self.writer => {}
                told => self
                    .here
                    .tell(|| told.map_or(Change::Any, |(_, change)| change)),
            }
        }
        Ok(())
    }
}

/// Looks at the file; whether somebody still watches.
fn look(changes: &Weak<ChangesFile>) -> bool {
    let Some(changes) = changes.upgrade() else {
        return false;
    };
    let mut reader = changes.reader();
    if !changes.here.are_watched() {
        *reader = None;
        return false;
    }
    // What cannot be read now is read later.
    let _ = reader.as_mut().map(|reader| changes.read_on(reader));
    true
}

/// Who has written it, and of what it tells.
fn parse(line: &[u8]) -> Option<(u32, Change)> {
    let line = std::str::from_utf8(line).ok()?;
    let (writer, change) = line.strip_suffix('\n')?.split_once(' ')?;
    Some((writer.parse().ok()?, named(change)?))
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;
    use tokio_test::task::spawn;

    use super::*;
    use crate::store::fixture::name;

    /// The file as two processes have it, which both look when they are told to.
    fn two() -> (TempDir, [Arc<ChangesFile>; 2]) {
        let scratch = TempDir::new().unwrap();
        let directory = Directory::open(scratch.path(), "store", None, Disk::default()).unwrap();
        let of = || {
            let file = ChangesFile::of(&directory).unwrap();
            *file.reader() = Some(file.read_from_now_on().unwrap());
            Arc::new(file)
        };
        (scratch, [of(), of()])
    }

    /// What is heard without waiting.
    fn heard(watch: &mut Box<dyn Watch>) -> Vec<Change> {
        let next = || match spawn(watch.next()).poll() {
            std::task::Poll::Ready(change) => Some(change),
            std::task::Poll::Pending => None,
        };
        std::iter::from_fn(next).collect()
    }

    fn looks(file: &Arc<ChangesFile>) -> bool {
        look(&Arc::downgrade(file))
    }

    /// What is heard once it was looked.
    fn looks_and_hears(file: &Arc<ChangesFile>, watch: &mut Box<dyn Watch>) -> Vec<Change> {
        assert!(looks(file));
        heard(watch)
    }

    #[test]
    fn a_change_is_heard_once_here_at_once_and_elsewhere_at_the_next_look() {
        let (_scratch, [one, other]) = two();
        let (mut here, mut there) = (one.watch().unwrap(), other.watch().unwrap());
        let version = Version::draw();
        one.tell(&name("user"), version);
        let told = [Change::Record(name("user"), version)];
        assert_eq!(heard(&mut here), told);
        assert!(looks(&one) && looks(&other));
        assert_eq!(heard(&mut here), []);
        assert_eq!(heard(&mut there), told);
        assert_eq!(looks_and_hears(&other, &mut there), []);
    }

    #[test]
    fn nobody_looks_once_nobody_watches() {
        let (_scratch, [one, other]) = two();
        let watch = other.watch().unwrap();
        drop(other.watch());
        assert!(looks(&other));
        drop(watch);
        assert!(!looks(&other) && other.reader().is_none());
        one.tell(&name("user"), Version::draw());
        // Another thread, and nothing of what was before.
        let mut watch = other.watch().unwrap();
        assert_eq!(looks_and_hears(&other, &mut watch), []);
        let gone = Arc::downgrade(&one);
        drop(one);
        assert!(!look(&gone));
    }

    #[test]
    fn a_file_that_is_put_anew_has_whoever_reads_it_look_at_everything_and_read_on() {
        let (_scratch, [one, other]) = two();
        let mut there = other.watch().unwrap();
        let long = name(&"x".repeat(512));
        let length = || fs::metadata(&one.path).map_or(0, |there| there.len());
        let mut before = length();
        loop {
            one.tell(&long, Version::draw());
            assert!(length() <= LONGEST);
            if length() < before {
                break;
            }
            before = length();
        }
        assert_eq!(looks_and_hears(&other, &mut there), [Change::Any]);
        let version = Version::draw();
        one.tell(&name("user"), version);
        assert_eq!(
            looks_and_hears(&other, &mut there),
            [Change::Record(name("user"), version)]
        );
        // A process that had opened it before.
        fs::remove_file(&one.path).unwrap();
        one.tell(&name("user"), version);
        assert_eq!(looks_and_hears(&other, &mut there), [Change::Any]);
    }

    #[test]
    fn what_is_no_line_of_ours_may_be_any_change() {
        let (_scratch, [one, other]) = two();
        let mut there = other.watch().unwrap();
        let add = |text: &str| {
            let added = one.disk.append(&one.path, text.as_bytes(), LONGEST);
            added.unwrap();
        };
        for line in ["", "1", "1 2", "1 2 ", "1 x a", "1 -2 a", "1 2 a\u{7f}"] {
            add(line);
            add("\n");
            assert_eq!(
                looks_and_hears(&other, &mut there),
                [Change::Any],
                "{line:?}"
            );
        }
        // Half a line is read once it is whole.
        add("1 2 a");
        assert_eq!(looks_and_hears(&other, &mut there), []);
        add(" b\n");
        assert!(looks(&other));
        let whole = Change::Record(name("a b"), Version::from_number(2));
        assert_eq!(heard(&mut there), [whole]);
        // Somebody cut it.
        let file = fs::File::options().write(true).open(&one.path).unwrap();
        file.set_len(3).unwrap();
        assert_eq!(looks_and_hears(&other, &mut there), [Change::Any]);
        // What is no file any more is passed over, until it is one again.
        fs::remove_file(&one.path).unwrap();
        fs::create_dir(&one.path).unwrap();
        one.tell(&name("user"), Version::draw());
        assert_eq!(looks_and_hears(&other, &mut there), []);
        fs::remove_dir(&one.path).unwrap();
        assert_eq!(looks_and_hears(&other, &mut there), [Change::Any]);
    }
}
