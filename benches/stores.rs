//! Rotations per second through each store, as acquire, intend and commit: on one account, which
//! are one after the other, and on 64 at once.
//!
//! A store on a server is measured if its address is in the environment:
//! `scripts/servers/postgres start DIR` prints one for `TOWER_MAC_AUTH_TEST_POSTGRES`, and
//! `scripts/servers/redis start DIR` for `TOWER_MAC_AUTH_TEST_REDIS`. Then
//! `cargo bench --manifest-path benches/Cargo.toml --bench stores`.

#![expect(clippy::unwrap_used, reason = "a bench may stop")]

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{
    BenchmarkId, Criterion, SamplingMode, Throughput, criterion_group, criterion_main,
};
use tokio::runtime::Runtime;
use tokio::task::JoinSet;
use tower_mac_auth::store::redis::RedisStore;
use tower_mac_auth::store::{
    AccountName, Acquire, Commit, FileStore, Generation, Guarded, Issued, LeaseFrom, MemoryStore,
    PostgresStore, RotationStore,
};
use tower_mac_auth::token::TokenSet;

const MINUTE: Duration = Duration::from_secs(60);

/// The stores there are to measure, each opened as its users do: a line for each.
async fn stores(scratch: &Path) -> Vec<(&'static str, Arc<dyn RotationStore>)> {
    let mut stores: Vec<(&str, Arc<dyn RotationStore>)> = Vec::new();
    stores.push(("memory", Arc::new(MemoryStore::new())));
    stores.push(("file", Arc::new(FileStore::open(scratch).await.unwrap())));
    if let Ok(url) = std::env::var("TOWER_MAC_AUTH_TEST_POSTGRES") {
        stores.push(("postgres", Arc::new(postgres(&url).await)));
    }
    if let Ok(url) = std::env::var("TOWER_MAC_AUTH_TEST_REDIS") {
        stores.push(("redis", Arc::new(RedisStore::connect(&url).await.unwrap())));
    }
    stores
}

async fn postgres(url: &str) -> PostgresStore {
    let builder = PostgresStore::builder(url).pool_size(16).schema("bench");
    let store = builder.connect().await.unwrap();
    store.migrate().await.unwrap();
    store
}

fn tokens() -> TokenSet {
    let [at, key, rt] = ["access", "key", "refresh"].map(|word| word.repeat(10));
    TokenSet::new(at, key, rt, MINUTE)
}

/// One rotation of an account, from the generation that stands.
async fn rotate(store: &dyn RotationStore, account: &AccountName, generation: Generation) {
    let lease = store.acquire(account, generation, "bench", MINUTE, LeaseFrom::Active);
    let Acquire::Granted(lease) = lease.await.unwrap() else {
        panic!("somebody else rotates");
    };
    let intent = store.intend(account, &lease, MINUTE).await.unwrap();
    assert_eq!(intent, Guarded::Done);
    let next = generation.next();
    let issued = Issued::rotated(next, lease.record.lineage, tokens(), Some(MINUTE));
    let commit = store.commit(account, issued).await.unwrap();
    assert!(matches!(commit, Commit::Committed(_)));
}

/// `rounds` rotations of each of `accounts` accounts, all accounts at once.
#[expect(clippy::disallowed_methods, reason = "a stopwatch")]
async fn rotations(store: &Arc<dyn RotationStore>, accounts: usize, rounds: u64) -> Duration {
    let mut names = Vec::new();
    for number in 0..accounts {
        let name = AccountName::new(&format!("bench {number}")).unwrap();
        let standing = store.read(&name).await.unwrap();
        let generation = standing.map_or(Generation::FIRST, |record| record.generation.next());
        let issued = Issued::authorized(generation, tokens(), Some(MINUTE));
        let _ = store.commit(&name, issued).await.unwrap();
        names.push((name, generation));
    }
    let began = Instant::now();
    let mut tasks = JoinSet::new();
    for (name, mut generation) in names {
        let store = Arc::clone(store);
        tasks.spawn(async move {
            for _ in 0..rounds {
                rotate(&*store, &name, generation).await;
                generation = generation.next();
            }
        });
    }
    tasks.join_all().await;
    began.elapsed()
}

fn all(criterion: &mut Criterion) {
    let runtime = Runtime::new().unwrap();
    // On the disk that the build is on: a directory in memory would sync for nothing.
    let scratch = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let mut group = criterion.benchmark_group("rotations");
    group.sampling_mode(SamplingMode::Flat);
    for (name, store) in runtime.block_on(stores(scratch.path())) {
        for accounts in [1, 64] {
            group.throughput(Throughput::Elements(accounts as u64));
            group.bench_function(BenchmarkId::new(name, accounts), |bencher| {
                bencher.iter_custom(|rounds| runtime.block_on(rotations(&store, accounts, rounds)));
            });
        }
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(5));
    targets = all
}
criterion_main!(benches);
