use std::cell::Cell;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// As many as there are threads that count at once, mostly.
const SHARDS: usize = 16;

/// A count that many threads add to all the time: each to a cache line of its own, so that they do not
/// wait for one another.
#[derive(Default)]
pub(super) struct Sharded([Shard; SHARDS]);

#[derive(Default)]
#[repr(align(128))]
struct Shard(AtomicU64);

thread_local! {
    /// Which of them this thread adds to; past the last until it has one.
    static MINE: Cell<usize> = const { Cell::new(usize::MAX) };
}

static NEXT: AtomicUsize = AtomicUsize::new(0);

#[cold]
fn choose() -> usize {
    let mine = NEXT.fetch_add(1, Ordering::Relaxed) % SHARDS;
    // A thread that is ending need not remember it.
    let _ = MINE.try_with(|cell| cell.set(mine));
    mine
}

impl Sharded {
    #[inline]
    pub(super) fn add_one(&self) {
        let mine = MINE.try_with(Cell::get).unwrap_or(usize::MAX);
        let shard = self.0.get(mine).or_else(|| self.0.get(choose()));
        if let Some(Shard(count)) = shard {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(super) fn sum(&self) -> u64 {
        let counts = self.0.iter().map(|Shard(count)| count);
        counts.map(|count| count.load(Ordering::Relaxed)).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_many_threads_count_is_all_there() {
        let count = Sharded::default();
        std::thread::scope(|scope| {
            for _ in 0..40 {
                scope.spawn(|| (0..1000).for_each(|_| count.add_one()));
            }
        });
        assert_eq!(count.sum(), 40_000);
    }
}
