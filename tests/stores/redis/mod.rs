//! [`RedisStore`](tower_mac_auth::store::redis::RedisStore).

mod fitness;
mod nonces;
mod records;
mod rotation;
mod server;
mod tls;
mod trouble;

use std::error::Error;
use std::fmt::Write as _;
use std::time::Duration;

use tower_mac_auth::store::{
    AccountName, Draft, Generation, Issued, RecordStore, Replaced, Status, StoreError, Version,
};
use tower_mac_auth::token::TokenSet;

const MINUTE: Duration = Duration::from_secs(60);
const KEY: &str = "{tower-mac-auth}:account:user";

fn user() -> AccountName {
    AccountName::new("user").unwrap()
}

fn issued(number: u64) -> Issued {
    let [at, key, rt] = ["AT", "KEY", "RT"].map(|name| format!("CANARY-{name}-{number}"));
    let tokens = TokenSet::mac(at, key, rt, MINUTE);
    Issued::authorized(Generation::from_number(number), tokens, Some(MINUTE))
}

/// As it is written before a refresh token is sent.
fn intent(number: u64) -> Draft {
    let mut draft = Draft::issued(Version::draw(), issued(number));
    draft.status = Status::Sending;
    draft.lease = Some(draft.version);
    draft
}

/// Writes over whatever stands.
async fn write(
    store: &impl RecordStore,
    name: &AccountName,
    draft: &Draft,
) -> Result<(), StoreError> {
    let expected = store.load(name).await?.version();
    match store.replace(name, expected, draft).await? {
        Replaced::Done(_) => Ok(()),
        Replaced::Refused(standing) => panic!("nobody else writes: {standing:?}"),
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
