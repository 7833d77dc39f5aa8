//! Rotations per second through each store, as the three writes that one is: lease, intent and
//! commit. On one account, which are one after the other, and on 64 at once.
//!
//! A store on a server is measured if its address is in the environment:
//! `scripts/servers/postgres start DIR` prints one for `TOWER_MAC_AUTH_TEST_POSTGRES`, and
//! `scripts/servers/redis start DIR` for `TOWER_MAC_AUTH_TEST_REDIS`. Then
//! `cargo bench --manifest-path benches/Cargo.toml --bench stores`.

#![expect(clippy::unwrap_used, reason = "a bench may stop")]

use std::path::Path;
use std::time::{Duration, Instant};

use criterion::{
    BenchmarkId, Criterion, SamplingMode, Throughput, criterion_group, criterion_main,
};
use tokio::runtime::Runtime;
use tokio::task::JoinSet;
use tower_mac_auth::store::redis::RedisStore;
use tower_mac_auth::store::{
    AccountName, Draft, FileStore, Generation, Issued, MemoryStore, Moment, PostgresStore,
    RecordStore, Replaced, SharedStore, Status, Version,
};
use tower_mac_auth::token::TokenSet;

const MINUTE: Duration = Duration::from_secs(60);

/// The stores there are to measure, each opened as its users do: a line for each.
async fn stores(scratch: &Path) -> Vec<(&'static str, SharedStore)> {
    let file = FileStore::open(scratch).await.unwrap();
    let mut stores = vec![
        ("memory", SharedStore::new(MemoryStore::new())),
        ("file", SharedStore::new(file)),
    ];
    if let Ok(url) = std::env::var("TOWER_MAC_AUTH_TEST_POSTGRES") {
        stores.push(("postgres", SharedStore::new(postgres(&url).await)));
    }
    if let Ok(url) = std::env::var("TOWER_MAC_AUTH_TEST_REDIS") {
        let redis = RedisStore::connect(&url).await.unwrap();
        stores.push(("redis", SharedStore::new(redis)));
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
    TokenSet::mac(at, key, rt, MINUTE)
}

/// What stands after each step of a rotation to this generation.
fn draft(generation: u64, status: Status) -> Draft {
    let generation = Generation::from_number(generation);
    let issued = Issued::rotated(generation, Generation::FIRST, tokens(), Some(MINUTE));
    let mut draft = Draft::issued(Version::draw(), issued);
    draft.status = status;
    draft.deadline = Moment::In(MINUTE);
    draft
}

/// One rotation of an account over what stands; what stands then.
async fn rotate(
    store: &SharedStore,
    account: &AccountName,
    mut standing: Version,
    generation: u64,
) -> Version {
    for draft in [
        draft(generation, Status::Leased),
        draft(generation, Status::Sending),
        draft(generation + 1, Status::Active),
    ] {
        let replaced = store.replace(account, Some(standing), &draft).await;
        assert!(matches!(replaced, Ok(Replaced::Done(_))));
        standing = draft.version;
    }
    standing
}

/// `rounds` rotations of each of `accounts` accounts, all accounts at once.
#[expect(clippy::disallowed_methods, reason = "a stopwatch")]
async fn rotations(store: &SharedStore, accounts: usize, rounds: u64) -> Duration {
    let mut names = Vec::new();
    for number in 0..accounts {
        let name = AccountName::new(&format!("bench {number}")).unwrap();
        let standing = store.revoke(&name).await.unwrap().version;
        names.push((name, standing));
    }
    let began = Instant::now();
    let mut tasks = JoinSet::new();
    for (name, mut standing) in names {
        let store = store.clone();
        tasks.spawn(async move {
            for round in 0..rounds {
                standing = rotate(&store, &name, standing, round).await;
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
