use std::path::PathBuf;

use clap::Args;
use clap::builder::NonEmptyStringValueParser;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use serde_json::json;
use tower_mac_auth::RefreshToken;
use tower_mac_auth::store::{
    AccountName, Commit, Generation, Grant, Issued, RecordStore as _, SharedStore, Status,
};

use super::progress::Progress;
use super::say::say;
use super::{Of, Trouble};
use crate::config::Seeds;
use crate::store::{AT_ONCE, Sample};

/// What was ended stays so: its user has to log in.
const REVOKED: &str = "revoked, and not imported";

#[derive(Debug, Args)]
pub(crate) struct Import {
    #[command(flatten)]
    of: Of,
    /// The client that the tokens were issued to
    #[arg(long, value_name = "ID", value_parser = NonEmptyStringValueParser::new())]
    client_id: String,
    file: PathBuf,
}

impl Import {
    pub(super) async fn run(self) -> Result<bool, Trouble> {
        // All of it is read before anything is written.
        let seeds = Seeds::read(&self.file).map_err(Trouble::Wrong)?;
        let store = self.of.place()?.open().await?;
        // What stands there shows whether gateways could use what is added.
        let sample = Sample::take(&store, &self.client_id).await?;
        if !sample.is_good() {
            return Err(Trouble::Wrong(sample.to_string()));
        }
        let names = seeds.0.into_iter().map(|(name, token)| {
            let name = AccountName::new(&name)?;
            Ok::<_, Trouble>((name, token))
        });
        let names: Vec<_> = names.collect::<Result<_, _>>()?;
        let one = |(name, token)| take_over(&store, &self.client_id, name, token);
        let mut done = stream::iter(names).map(one).buffered(AT_ONCE);
        let mut progress = Progress::new("imported");
        let mut all = true;
        while let Some((name, state)) = done.try_next().await? {
            progress.step();
            all &= state != REVOKED;
            say(
                &json!({ "account": name.as_str(), "state": state }),
                self.of.json,
            )?;
        }
        Ok(all)
    }
}

async fn take_over(
    store: &SharedStore,
    client_id: &str,
    name: AccountName,
    token: RefreshToken,
) -> Result<(AccountName, &'static str), Trouble> {
    let mut grant = Grant::from(token);
    grant.client_id = Some(client_id.into());
    let issued = Issued::authorized(Generation::FIRST, grant, None);
    let state = match store.commit(&name, issued).await? {
        Commit::Committed(_) => "imported",
        _ => match store.load(&name).await?.standing.record() {
            Some(record) if record.status == Status::Revoked => REVOKED,
            _ => "already known",
        },
    };
    Ok((name, state))
}
