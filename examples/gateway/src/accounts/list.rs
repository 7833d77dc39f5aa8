use clap::Args;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use serde_json::{Value, json};
use tower_mac_auth::store::{AccountName, RecordStore as _, Standing};
use tower_mac_auth::{Clock as _, SystemClock, Timestamp};

use super::say::say;
use super::{Of, Trouble};
use crate::store::{AT_ONCE, unreadable};
use crate::trouble::with_causes;

/// How many are asked for at once.
pub(super) const PAGE: usize = 1000;

/// What no key that was given opens, or nobody can read.
const UNREADABLE: &str = "unreadable";

const STATES: [&str; 6] = [
    "active", "leased", "sending", "in_doubt", "revoked", UNREADABLE,
];

#[derive(Debug, Args)]
pub(crate) struct List {
    #[command(flatten)]
    of: Of,
    /// Only those in this state; `unreadable` are also those whose key is not given
    #[arg(long, value_parser = STATES)]
    state: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Show {
    #[command(flatten)]
    of: Of,
    name: String,
}

impl List {
    pub(super) async fn run(self) -> Result<bool, Trouble> {
        let store = self.of.place()?.open_existing().await?;
        let mut after = None;
        loop {
            let page = store.list(after.as_ref(), PAGE).await?;
            after = page.last().map(|last| last.account.clone());
            let load = async |name: AccountName| {
                let standing = store.load(&name).await?.standing;
                Ok::<_, Trouble>((name, standing))
            };
            let mut loaded = stream::iter(page)
                .map(|listed| load(listed.account))
                .buffered(AT_ONCE);
            while let Some((name, standing)) = loaded.try_next().await? {
                let Some(shown) = shown(&name, &standing) else {
                    continue;
                };
                let wanted = self.state.as_deref();
                if wanted.is_none_or(|wanted| shown["state"] == wanted) {
                    say(&shown, self.of.json)?;
                }
            }
            if after.is_none() {
                return Ok(true);
            }
        }
    }
}

impl Show {
    pub(super) async fn run(self) -> Result<bool, Trouble> {
        let (store, name) = (self.of.place()?, AccountName::new(&self.name)?);
        let store = store.open_existing().await?;
        let standing = store.load(&name).await?.standing;
        let Some(shown) = shown(&name, &standing) else {
            let what = format!("{name}: the store knows no such account");
            return Err(Trouble::Failed(what));
        };
        say(&shown, self.of.json)?;
        Ok(true)
    }
}

/// An account as it stands, if it does.
fn shown(name: &AccountName, standing: &Standing) -> Option<Value> {
    let record = match standing {
        Standing::Nothing => return None,
        Standing::Unreadable { why, .. } => {
            let why = with_causes(why);
            return Some(json!({ "account": name.as_str(), "state": UNREADABLE, "why": why }));
        }
        Standing::Record(record) => record,
    };
    let unreadable = unreadable(record);
    let client = record
        .grant()
        .ok()
        .and_then(|grant| grant.client_id.as_deref());
    let state = match &unreadable {
        Some(_) => UNREADABLE,
        None => record.status.as_str(),
    };
    Some(json!({
        "account": name.as_str(),
        "state": state,
        "client": client,
        "generation": record.generation.number(),
        "seconds_left": record.expires_at.map(left),
        "failures": record.fails,
        "why": unreadable.or_else(|| record.last_error.clone()),
    }))
}

fn left(end: Timestamp) -> u64 {
    end.saturating_since(SystemClock.now()).as_secs()
}
