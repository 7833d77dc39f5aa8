//! The accounts in the order of their names. Everything here blocks.

use std::cmp::Ordering;
use std::collections::{BinaryHeap, VecDeque};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use super::{File, Inner};
use crate::Timestamp;
use crate::store::directory::{FileName, SUFFIX};
use crate::store::{AccountName, Listed, Record, Standing, StoreError};

/// So many names are kept of those that a look finds, for the next pages: the names of all files
/// are looked through each time.
pub(super) const AHEAD: usize = 8192;

/// And so long.
const FRESH: Duration = Duration::from_secs(60);

/// The names after a page that was given out last, or some of them.
#[derive(Default)]
pub(super) struct Ahead {
    after: Option<AccountName>,
    names: VecDeque<AccountName>,
    seen_at: Timestamp,
}

/// The first `limit` accounts after `after`.
pub(super) fn page(
    store: &Arc<Inner>,
    after: Option<&AccountName>,
    limit: usize,
) -> Result<Vec<Listed>, StoreError> {
    if limit == 0 {
        return Ok(Vec::new());
    }
    let mut page = Vec::new();
    for account in names(store, after, limit)? {
        let loaded = File::of(store, &account).load();
        page.push(match loaded.map(|loaded| loaded.standing) {
            Ok(Standing::Record(record)) => Listed::of(account, &record),
            // Somebody has removed it.
            Ok(Standing::Nothing) => continue,
            Ok(Standing::Unreadable { .. }) | Err(_) => Listed::unreadable(account),
        });
    }
    store.directory.check()?;
    Ok(page)
}

fn names(
    store: &Inner,
    after: Option<&AccountName>,
    limit: usize,
) -> Result<Vec<AccountName>, StoreError> {
    let mut ahead = store.ahead.lock().unwrap_or_else(PoisonError::into_inner);
    let now = store.clock.now();
    // No page is short, or empty, for want of a look.
    let is_known = ahead.after.as_ref() == after
        && ahead.names.len() >= limit
        && (ahead.seen_at..ahead.seen_at.saturating_add(FRESH)).contains(&now);
    if !is_known {
        ahead.names = look(store, after, limit.max(AHEAD))?.into();
        ahead.seen_at = now;
    }
    let length = limit.min(ahead.names.len());
    let page: Vec<_> = ahead.names.drain(..length).collect();
    ahead.after = page.last().cloned();
    Ok(page)
}

/// Looks through the names of all files for the first `limit` after `after`.
fn look(
    store: &Inner,
    after: Option<&AccountName>,
    limit: usize,
) -> Result<Vec<AccountName>, StoreError> {
    // The last of them on top.
    let mut first = BinaryHeap::new();
    for shard in store.directory.shards()? {
        for stem in store.directory.stems(shard)? {
            let file = FileName { shard, stem };
            let last = first.peek().filter(|_| first.len() == limit);
            // Most are neither decoded nor read.
            let is_out = after
                .is_some_and(|after| file.compare(after).is_some_and(Ordering::is_le))
                || last.is_some_and(|last| file.compare(last).is_some_and(Ordering::is_ge));
            if is_out {
                continue;
            }
            let Some(account) = file.account().or_else(|| written_in(store, &file)) else {
                continue;
            };
            if after.is_none_or(|after| *after < account) {
                first.push(account);
            }
            if first.len() > limit {
                first.pop();
            }
        }
    }
    Ok(first.into_sorted_vec())
}

/// The account that a file of a cut name says that it is of.
fn written_in(store: &Inner, file: &FileName) -> Option<AccountName> {
    let directory = store.directory.shard(file.shard);
    let path = directory.join(format!("{}{SUFFIX}", file.stem));
    let bytes = store.directory.read(&path).ok()??;
    let account = Record::whose(&bytes).filter(|account| FileName::of(account) == *file);
    if account.is_none() {
        let file = path.display();
        tracing::warn!(%file, "whose record this is cannot be read, and the list is without it");
    }
    account
}
