//! What it costs to read the snapshot of an account, against the locks that could have held it,
//! while a writer swaps it each millisecond.
//!
//! All in one run: `cargo bench --manifest-path benches/Cargo.toml --bench snapshot`.

#![expect(clippy::unwrap_used, reason = "a bench may stop")]

use std::hint::black_box;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Barrier, Mutex, RwLock};
use std::thread;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use tower_mac_auth::provider::xiaomi::Credential;

mod common;

/// What a signer reads: immutable, swapped whole.
struct Snapshot {
    generation: u64,
    credential: Option<Credential>,
}

impl Snapshot {
    fn new(generation: u64) -> Arc<Self> {
        let credential = Some(common::credential());
        Arc::new(Self {
            generation,
            credential,
        })
    }

    /// Looks at it, as a signer does.
    #[inline]
    fn look(&self) -> u64 {
        black_box(self.credential.is_some());
        black_box(self.generation)
    }
}

/// A place to keep it.
trait Place: Sync {
    fn new(snapshot: Arc<Snapshot>) -> Self;
    fn read(&self) -> u64;
    fn swap(&self, snapshot: Arc<Snapshot>);
}

/// `ArcSwap::load`: as the account reads it.
struct Load(ArcSwap<Snapshot>);

impl Place for Load {
    fn new(snapshot: Arc<Snapshot>) -> Self {
        Self(ArcSwap::new(snapshot))
    }

    #[inline]
    fn read(&self) -> u64 {
        self.0.load().look()
    }

    fn swap(&self, snapshot: Arc<Snapshot>) {
        self.0.store(snapshot);
    }
}

/// `ArcSwap::load_full`: counts the reference.
struct LoadFull(ArcSwap<Snapshot>);

impl Place for LoadFull {
    fn new(snapshot: Arc<Snapshot>) -> Self {
        Self(ArcSwap::new(snapshot))
    }

    #[inline]
    fn read(&self) -> u64 {
        self.0.load_full().look()
    }

    fn swap(&self, snapshot: Arc<Snapshot>) {
        self.0.store(snapshot);
    }
}

impl Place for RwLock<Arc<Snapshot>> {
    fn new(snapshot: Arc<Snapshot>) -> Self {
        RwLock::new(snapshot)
    }

    #[inline]
    fn read(&self) -> u64 {
        RwLock::read(self).unwrap().look()
    }

    fn swap(&self, snapshot: Arc<Snapshot>) {
        *self.write().unwrap() = snapshot;
    }
}

impl Place for Mutex<Arc<Snapshot>> {
    fn new(snapshot: Arc<Snapshot>) -> Self {
        Mutex::new(snapshot)
    }

    #[inline]
    fn read(&self) -> u64 {
        self.lock().unwrap().look()
    }

    fn swap(&self, snapshot: Arc<Snapshot>) {
        *self.lock().unwrap() = snapshot;
    }
}

/// How long a reader takes for `rounds` reads, on average over `readers` that read at once.
#[expect(clippy::disallowed_methods, reason = "a stopwatch")]
fn read<P: Place>(readers: u32, rounds: u64) -> Duration {
    let place = P::new(Snapshot::new(0));
    let start = Barrier::new(readers as usize);
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            for generation in 1.. {
                if done.load(Ordering::Relaxed) {
                    break;
                }
                place.swap(Snapshot::new(generation));
                thread::sleep(Duration::from_millis(1));
            }
        });
        let readers: Vec<_> = (0..readers)
            .map(|_| {
                scope.spawn(|| {
                    start.wait();
                    let began = Instant::now();
                    for _ in 0..rounds {
                        black_box(black_box(&place).read());
                    }
                    began.elapsed()
                })
            })
            .collect();
        let count = u32::try_from(readers.len()).unwrap();
        let all: Duration = readers
            .into_iter()
            .map(|reader| reader.join().unwrap())
            .sum();
        done.store(true, Ordering::Relaxed);
        all / count
    })
}

fn snapshot(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("snapshot");
    for readers in [1, 2] {
        let mut run = |name: &str, read: fn(u32, u64) -> Duration| {
            group.bench_function(BenchmarkId::new(name, readers), |bencher| {
                bencher.iter_custom(|rounds| read(readers, rounds));
            });
        };
        run("load", read::<Load>);
        run("load_full", read::<LoadFull>);
        run("rw_lock", read::<RwLock<Arc<Snapshot>>>);
        run("mutex", read::<Mutex<Arc<Snapshot>>>);
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(30)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2));
    targets = snapshot
}
criterion_main!(benches);
