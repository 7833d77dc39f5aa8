use std::collections::BTreeMap;

use clap::Args;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use serde_json::json;
use tower_mac_auth::store::{
    AccountName, RecordStore as _, Resealed, SealedStore, Secrets as Contents, SharedStore,
    StoreError,
};

use super::list::PAGE;
use super::progress::Progress;
use super::say::say;
use super::{Of, Trouble};
use crate::config::Secrets;
use crate::store::AT_ONCE;
use crate::trouble::{note, with_causes};

#[derive(Debug, Args)]
pub(crate) struct Reseal {
    #[command(flatten)]
    of: Of,
    /// Seals what is not sealed, too: for a store that had no keys before
    #[arg(long)]
    unsealed: bool,
}

impl Reseal {
    pub(super) async fn run(self) -> Result<bool, Trouble> {
        let secrets = Secrets::from_environment()?;
        let Some(keys) = secrets.seal else {
            let what = "give MAC_SEAL_KEY the new key as ID:KEY, and MAC_SEAL_KEYS_RETIRED the old";
            return Err(Trouble::Wrong(what.to_owned()));
        };
        let current = keys.current_id().to_owned();
        // Without keys: the ids are read as they stand.
        let inner = self.of.place()?.open_bare().await?;
        let store = SealedStore::new(inner.clone(), keys).accept_unsealed(self.unsealed);
        let (mut counts, mut left) = ([0_u64; 2], BTreeMap::<String, u64>::new());
        let (mut after, mut progress) = (None, Progress::new("resealed"));
        loop {
            let page = inner.list(after.as_ref(), PAGE).await?;
            let names: Vec<_> = page.into_iter().map(|listed| listed.account).collect();
            after = names.last().cloned();
            let one = |name| one(&store, &inner, name);
            let mut done = stream::iter(names).map(one).buffered(AT_ONCE);
            while let Some((name, resealed)) = done.try_next().await? {
                progress.step();
                let why = match resealed {
                    Ok(Resealed::Before) => {
                        counts[1] += 1;
                        continue;
                    }
                    Ok(Resealed::Done) => {
                        counts[0] += 1;
                        if self.of.json {
                            say(
                                &json!({ "account": name.as_str(), "state": "resealed" }),
                                true,
                            )?;
                        }
                        continue;
                    }
                    Ok(_) => "it is being refreshed".to_owned(),
                    Err(error) => with_causes(&error),
                };
                let key = key_id(&inner, &name).await?;
                say(
                    &json!({ "account": name.as_str(), "state": "left", "key": key, "why": why }),
                    self.of.json,
                )?;
                *left.entry(key).or_default() += 1;
            }
            if after.is_none() {
                break;
            }
        }
        drop(progress);
        let [done, before] = counts;
        let sealed = done + before;
        note(format_args!(
            "sealed with key {current}: {sealed} ({done} now)"
        ));
        for (key, count) in &left {
            note(format_args!("still sealed with {key}: {count}"));
        }
        Ok(left.is_empty())
    }
}

async fn one(
    store: &SealedStore<SharedStore>,
    inner: &SharedStore,
    name: AccountName,
) -> Result<(AccountName, Result<Resealed, StoreError>), Trouble> {
    // A store that fails is no fault of the account.
    inner.load(&name).await?;
    let resealed = store.reseal(&name).await;
    Ok((name, resealed))
}

/// What stands, for a person.
async fn key_id(inner: &SharedStore, name: &AccountName) -> Result<String, Trouble> {
    let loaded = inner.load(name).await?;
    Ok(
        match loaded.standing.record().map(|record| &record.secrets) {
            Some(Contents::Sealed(sealed)) => match sealed.key_id() {
                Some(id) => format!("key {id}"),
                None => "an unknown seal".to_owned(),
            },
            Some(Contents::Open(_)) => "no key".to_owned(),
            _ => "what cannot be read".to_owned(),
        },
    )
}
