use std::fmt;

use clap::Args;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use serde_json::json;
use tower_mac_auth::store::{AccountName, Import, Record, RecordStore as _, SharedStore, Standing};

use super::list::PAGE;
use super::progress::Progress;
use super::say::say;
use super::{Place, Trouble};
use crate::store::{AT_ONCE, unreadable};
use crate::trouble::{note, with_causes};

/// The records stay where they were, too: no gateway may use that store again.
#[derive(Args)]
pub(crate) struct Move {
    /// The store that has the accounts; with a password, give it in `MAC_STORE_FROM`
    #[arg(long, value_name = "STORE")]
    from: Option<String>,
    /// The store that is to have them; with a password, give it in `MAC_STORE_TO`
    #[arg(long, value_name = "STORE")]
    to: Option<String>,
    /// Writes JSON, one object a line
    #[arg(long)]
    json: bool,
}

impl fmt::Debug for Move {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Move").finish_non_exhaustive()
    }
}

const REFRESHED: &str = "it is being refreshed";

/// What became of an account. All but the last two are well.
enum Moved {
    Copied,
    /// By a run before this one, and the same.
    There,
    /// The other store knows another record.
    Differs,
    /// It was not touched, and that is why.
    Left(String),
}

impl Move {
    pub(super) async fn run(self) -> Result<bool, Trouble> {
        let from = Place::new("--from", "MAC_STORE_FROM", self.from.as_deref())?;
        let to = Place::new("--to", "MAC_STORE_TO", self.to.as_deref())?;
        let (from, to) = (from.open_existing().await?, to.open().await?);
        let (mut counts, mut after) = ([0_u64; 4], None);
        let mut progress = Progress::new("moved");
        loop {
            let page = from.list(after.as_ref(), PAGE).await?;
            let names = page.iter().map(|listed| listed.account.clone());
            let names: Vec<_> = names.collect();
            after = names.last().cloned();
            let one = |name| one(&from, &to, name);
            let mut done = stream::iter(names).map(one).buffered(AT_ONCE);
            while let Some((name, moved)) = done.try_next().await? {
                progress.step();
                let (at, state, why) = match moved {
                    Moved::Copied => (0, "moved", None),
                    Moved::There => (1, "there", None),
                    Moved::Differs => (2, "differs", None),
                    Moved::Left(why) => (3, "left", Some(why)),
                };
                counts[at] += 1;
                if at > 1 || self.json {
                    say(
                        &json!({ "account": name.as_str(), "state": state, "why": why }),
                        self.json,
                    )?;
                }
            }
            if after.is_none() {
                break;
            }
        }
        drop(progress);
        let [moved, there, differs, left] = counts;
        note(format_args!(
            "moved {moved}, already there {there}, differing {differs}, left behind {left}"
        ));
        Ok(differs == 0 && left == 0)
    }
}

async fn one(
    from: &SharedStore,
    to: &SharedStore,
    name: AccountName,
) -> Result<(AccountName, Moved), Trouble> {
    let record = match from.load(&name).await?.standing {
        Standing::Record(record) => record,
        Standing::Unreadable { why, .. } => return Ok((name, Moved::Left(with_causes(&why)))),
        Standing::Nothing => return Ok((name, Moved::Left("it is gone".to_owned()))),
    };
    if record.status.is_rotating() {
        return Ok((name, Moved::Left(REFRESHED.to_owned())));
    }
    if let Some(why) = unreadable(&record) {
        return Ok((name, Moved::Left(why)));
    }
    let moved = match to.import(&name, &record).await? {
        // Read back, not believed.
        Import::Imported(_) if is_there(to, &name, &record).await? => Moved::Copied,
        Import::AlreadyKnown(known) if is_same(&known, &record) => Moved::There,
        Import::UnderWay => Moved::Left(REFRESHED.to_owned()),
        _ => Moved::Differs,
    };
    Ok((name, moved))
}

async fn is_there(to: &SharedStore, name: &AccountName, record: &Record) -> Result<bool, Trouble> {
    let loaded = to.load(name).await?;
    let there = loaded.standing.record();
    Ok(there.is_some_and(|there| is_same(there, record)))
}

/// In all that guards the token.
fn is_same(one: &Record, other: &Record) -> bool {
    one.generation == other.generation
        && one.lineage == other.lineage
        && one.status == other.status
        && one.presented_again == other.presented_again
        && one.grant().ok() == other.grant().ok()
}
