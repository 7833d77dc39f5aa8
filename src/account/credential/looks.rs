//! When the store is to be looked at for what other processes did.

use crate::Timestamp;
use crate::store::Version;

pub(super) struct Looks {
    /// When the next look is due. Nothing else is held up.
    pub(super) due_at: Timestamp,
    /// The write that was seen last in the store, or made there.
    seen: Option<Version>,
    /// What was heard of writes by other processes, until a look at the store that began since has
    /// ended.
    heard: Option<Heard>,
}

struct Heard {
    /// Which write it was; `None` if that is not known, or there were several.
    write: Option<Version>,
    /// Since the latest look at the store began. That look may have come too early.
    since_look: bool,
}

impl Looks {
    pub(super) const fn new() -> Self {
        Self {
            due_at: Timestamp::MAX,
            seen: None,
            heard: None,
        }
    }

    /// A look begins.
    pub(super) fn begin(&mut self) {
        if let Some(heard) = &mut self.heard {
            heard.since_look = false;
        }
    }

    /// Takes note that this write stands in the store, and that it need not be looked at before
    /// `next`, unless another was heard of since the look began that saw this one: then `false`.
    pub(super) fn note_seen(&mut self, version: Version, next: Timestamp) -> bool {
        self.seen = Some(version);
        let heard = self.heard.as_ref();
        let is_all = heard.is_none_or(|heard| !heard.since_look || heard.write == Some(version));
        if is_all {
            self.heard = None;
            self.due_at = next;
        }
        is_all
    }

    /// Another process may have written: a look is due, unless it is of what was seen. Whether it is.
    pub(super) fn hear(&mut self, version: Option<Version>) -> bool {
        let is_news = version.is_none() || self.seen != version;
        if is_news {
            let before = self.heard.as_ref().filter(|heard| heard.since_look);
            let write = version.filter(|_| before.is_none_or(|before| before.write == version));
            let since_look = true;
            self.heard = Some(Heard { write, since_look });
            self.due_at = Timestamp::EPOCH;
        }
        is_news
    }

    /// Whether another process has written since the store was looked at.
    pub(super) const fn has_heard(&self) -> bool {
        self.heard.is_some()
    }
}
