//! How far a long command is, for a person who waits.

use std::io::{IsTerminal as _, Write as _};

/// Writes a count over itself from time to time, if it is written to a terminal.
pub(super) struct Progress {
    what: &'static str,
    count: u64,
    is_seen: bool,
}

/// Stores take some thousands a second.
const EVERY: u64 = 500;

impl Progress {
    pub(super) fn new(what: &'static str) -> Self {
        Self {
            what,
            count: 0,
            is_seen: std::io::stderr().is_terminal(),
        }
    }

    /// One more is done.
    pub(super) fn step(&mut self) {
        self.count += 1;
        if self.is_seen && self.count.is_multiple_of(EVERY) {
            let _ = write!(std::io::stderr(), "\r{} {} ", self.count, self.what);
        }
    }
}

impl Drop for Progress {
    /// Leaves the line to what is written next.
    fn drop(&mut self) {
        if self.is_seen {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }
}
