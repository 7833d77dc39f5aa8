//! [`RedisStore`](tower_mac_auth::store::redis::RedisStore).

mod fitness;
mod records;
mod rotation;
mod server;
mod tls;
mod trouble;

use std::error::Error;
use std::fmt::Write as _;
use std::time::Duration;

use tower_mac_auth::store::{
    AccountName, Acquire, Generation, Issued, Lease, LeaseFrom, RotationStore, StoreError,
};
use tower_mac_auth::token::TokenSet;

const MINUTE: Duration = Duration::from_secs(60);
const KEY: &str = "tower-mac-auth:{user}";

fn user() -> AccountName {
    AccountName::new("user").unwrap()
}

fn issued(number: u64) -> Issued {
    let [at, key, rt] = ["AT", "KEY", "RT"].map(|name| format!("CANARY-{name}-{number}"));
    let tokens = TokenSet::new(at, key, rt, MINUTE);
    Issued::authorized(Generation::from_number(number), tokens, Some(MINUTE))
}

async fn lease(store: &impl RotationStore, name: &AccountName) -> Lease {
    let generation = store.read(name).await.unwrap().unwrap().generation;
    let acquire = store.acquire(name, generation, "me", MINUTE, LeaseFrom::Active);
    match acquire.await.unwrap() {
        Acquire::Granted(lease) => lease,
        Acquire::Lost(record) => panic!("not free: {record:?}"),
    }
}

/// All that an error says.
fn whole(error: &StoreError) -> String {
    let mut text = format!("{error} {error:?}");
    let mut source = error.source();
    while let Some(error) = source {
        write!(text, ": {error} {error:?}").unwrap();
        source = error.source();
    }
    assert!(!text.contains("CANARY"), "{text}");
    text
}
