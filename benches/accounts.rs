//! Many accounts in one process: finding one that is open among 1,000 and 1,000,000, by one thread
//! and by two; opening 10,000 at once; and the memory that each takes, which is printed.
//!
//! Beside the lookups stands what the machine takes for one access to as much memory, each to an
//! address that the one before gave: no lookup can be faster that reads the account it finds.
//!
//! `cargo bench --manifest-path benches/Cargo.toml --bench accounts`. With `-- --test` a hundredth
//! of them will do.

#![expect(clippy::unwrap_used, reason = "a bench may stop")]

use std::fmt::Write as _;
use std::hint::black_box;
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use criterion::{
    BenchmarkId, Criterion, SamplingMode, Throughput, criterion_group, criterion_main,
};
use tokio::runtime::Runtime;
use tokio::task::JoinSet;
use tower_mac_auth::account::Accounts;
use tower_mac_auth::store::{AccountName, Generation, Issued, MemoryStore, RecordStore};
use tower_mac_auth::testing::Provider;
use tower_mac_auth::token::TokenSet;

mod common;

const LIFE: Duration = Duration::from_secs(90 * 24 * 60 * 60);
/// The length of a name: `user-` and seven digits.
const NAME: usize = 12;

/// The names of all users, in the order of the draw, side by side: so that reading one costs next
/// to nothing.
struct Names(String);

impl Names {
    fn new(count: usize) -> Self {
        let mut numbers: Vec<_> = (0..count).collect();
        fastrand::shuffle(&mut numbers);
        let mut names = String::new();
        for number in numbers {
            write!(names, "user-{number:07}").unwrap();
        }
        Self(names)
    }

    fn len(&self) -> usize {
        self.0.len() / NAME
    }

    #[inline]
    fn get(&self, index: usize) -> &str {
        &self.0[index * NAME..][..NAME]
    }

    fn iter(&self) -> impl Iterator<Item = &str> {
        (0..self.len()).map(|index| self.get(index))
    }
}

fn tokens() -> TokenSet {
    TokenSet::mac(common::TOKEN, common::MAC_KEY, common::TOKEN, LIFE)
}

async fn stored(names: &Names) -> MemoryStore {
    let store = MemoryStore::new();
    for name in names.iter() {
        let issued = Issued::authorized(Generation::FIRST, tokens(), Some(LIFE));
        let name = AccountName::new(name).unwrap();
        store.commit(&name, issued).await.unwrap();
    }
    store
}

fn accounts(store: &MemoryStore, capacity: usize) -> Accounts {
    Accounts::builder(Provider::new().endpoint())
        .store(store.clone())
        .capacity(capacity)
        .build()
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap()
}

/// All of them open, and what that takes. The allocator counts on this thread, and everything is
/// done on this thread.
fn open(runtime: &Runtime, names: &Names) -> Accounts {
    let store = runtime.block_on(stored(names));
    // No shard of the map is to be full before the others.
    let accounts = runtime.block_on(async { accounts(&store, names.len() * 2) });
    let memory = allocation_counter::measure(|| {
        runtime.block_on(async {
            for name in names.iter() {
                drop(accounts.get(name).await.unwrap());
            }
        });
    });
    assert_eq!(accounts.len(), names.len(), "one was evicted");
    let each = memory.bytes_current / i64::try_from(names.len()).unwrap();
    // In the grant, and the access token once more in the header's constant part.
    let tokens = 3 * common::TOKEN.len() + common::MAC_KEY.len();
    println!(
        "{} open accounts: {each} bytes each, of which {tokens} are tokens",
        names.len()
    );
    accounts
}

/// Lines of memory, as many as `count` accounts take, each with the number of the next one.
fn chain(count: usize) -> Vec<[u64; 8]> {
    let mut lines = vec![[0; 8]; count * 1280 / size_of::<[u64; 8]>()];
    let mut order: Vec<_> = (0..lines.len()).collect();
    fastrand::shuffle(&mut order);
    for (at, next) in order.iter().zip(order.iter().cycle().skip(1)) {
        lines[*at][0] = *next as u64;
    }
    lines
}

/// So many lookups by each thread, of names that were not looked up lately.
#[expect(clippy::disallowed_methods, reason = "a stopwatch")]
fn look_up(accounts: &Accounts, names: &Names, threads: usize, rounds: u64) -> Duration {
    let start = Barrier::new(threads);
    let look = |thread: usize| {
        let mut index = names.len() / threads * thread;
        start.wait();
        let began = Instant::now();
        for _ in 0..rounds {
            assert!(black_box(accounts.peek(black_box(names.get(index)))).is_some());
            index = (index + 1) % names.len();
        }
        began.elapsed()
    };
    thread::scope(|scope| {
        let look = &look;
        let threads: Vec<_> = (0..threads)
            .map(|thread| scope.spawn(move || look(thread)))
            .collect();
        let times = threads.into_iter().map(|thread| thread.join().unwrap());
        times.max().unwrap_or_default()
    })
}

fn lookup(criterion: &mut Criterion) {
    let runtime = runtime();
    let million = if std::env::args().any(|arg| arg == "--test") {
        10_000
    } else {
        1_000_000
    };
    let mut group = criterion.benchmark_group("accounts/lookup");
    for count in [1_000, million] {
        let lines = chain(count);
        let mut at = 0;
        group.bench_function(BenchmarkId::new("one_access", count), |bencher| {
            bencher.iter(|| at = usize::try_from(lines[at][0]).unwrap());
        });
        drop(lines);
        let accounts = open(&runtime, &Names::new(count));
        // In an order of their own: whoever asks first was not opened first.
        let names = Names::new(count);
        for threads in [1, 2] {
            group.bench_function(
                BenchmarkId::new(format!("{threads}_threads"), count),
                |bencher| {
                    bencher.iter_custom(|rounds| look_up(&accounts, &names, threads, rounds));
                },
            );
        }
    }
    group.finish();
}

/// Opens all of them at once, each asked for twice; only that is timed.
#[expect(clippy::disallowed_methods, reason = "a stopwatch")]
async fn open_at_once(store: &MemoryStore, names: &Names) -> Duration {
    let accounts = accounts(store, names.len() * 2);
    let began = Instant::now();
    let mut tasks = JoinSet::new();
    for name in names.iter().chain(names.iter()) {
        let (accounts, name) = (accounts.clone(), name.to_owned());
        tasks.spawn(async move { accounts.get(&name).await.is_ok() });
    }
    let opened = tasks.join_all().await;
    let took = began.elapsed();
    assert!(opened.into_iter().all(|opened| opened));
    assert_eq!(accounts.len(), names.len());
    took
}

fn opening(criterion: &mut Criterion) {
    let runtime = runtime();
    let names = Names::new(10_000);
    let store = runtime.block_on(stored(&names));
    let mut group = criterion.benchmark_group("accounts/open");
    group.sampling_mode(SamplingMode::Flat);
    group.throughput(Throughput::Elements(names.len() as u64));
    group.bench_function(BenchmarkId::from_parameter(names.len()), |bencher| {
        bencher.iter_custom(|rounds| {
            let once = |_| runtime.block_on(open_at_once(&store, &names));
            (0..rounds).map(once).sum()
        });
    });
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2));
    targets = lookup, opening
}
criterion_main!(benches);
