use std::pin::pin;

use clap::Args;
use futures_util::TryStreamExt as _;
use tower_mac_auth::store::{AccountName, RecordStore as _};

use super::say::say;
use super::{Of, Trouble};
use crate::standing::{self, UNREADABLE};

/// How many are asked for at once.
pub(super) const PAGE: usize = 1000;

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
            let mut standing = pin!(standing::all(&store, page));
            while let Some(shown) = standing.try_next().await? {
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
        let Some(shown) = standing::of(&store, &name).await? else {
            let what = format!("{name}: the store knows no such account");
            return Err(Trouble::Failed(what));
        };
        say(&shown, self.of.json)?;
        Ok(true)
    }
}
