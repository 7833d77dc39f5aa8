use clap::Args;
use serde_json::{Value, json};
use tower_mac_auth::store::{AccountName, Listed, RecordStore as _, Standing};
use tower_mac_auth::{Clock as _, SystemClock, Timestamp};

use super::{Of, Trouble};

/// How many are asked for at once.
pub(super) const PAGE: usize = 1000;

#[derive(Debug, Args)]
pub(crate) struct List {
    #[command(flatten)]
    of: Of,
    /// Only those in this state: `active`, `leased`, `sending`, `in_doubt`, `revoked`, `unreadable`
    #[arg(long)]
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
        let store = self.of.open().await?;
        let mut after = None;
        loop {
            let page = store.list(after.as_ref(), PAGE).await?;
            for listed in &page {
                let state = listed
                    .head
                    .map_or("unreadable", |head| head.status.as_str());
                if self.state.as_deref().is_none_or(|wanted| wanted == state) {
                    say(&line(listed, state), self.of.json);
                }
            }
            match page.last() {
                Some(last) => after = Some(last.account.clone()),
                None => return Ok(true),
            }
        }
    }
}

fn line(listed: &Listed, state: &str) -> Value {
    let head = listed.head;
    json!({
        "account": listed.account.as_str(),
        "state": state,
        "generation": head.map(|head| head.generation.number()),
        "seconds_left": head.and_then(|head| head.expires_at).map(left),
    })
}

fn left(end: Timestamp) -> u64 {
    end.saturating_since(SystemClock.now()).as_secs()
}

/// A line of JSON, or one for people.
pub(super) fn say(line: &Value, json: bool) {
    if json {
        println!("{line}");
        return;
    }
    let values = line.as_object().into_iter().flatten();
    let texts = values
        .filter(|(_, value)| !value.is_null())
        .map(|(key, value)| match value {
            Value::String(text) => format!("{key}={text}"),
            other => format!("{key}={other}"),
        });
    println!("{}", texts.collect::<Vec<_>>().join("  "));
}

impl Show {
    pub(super) async fn run(self) -> Result<bool, Trouble> {
        let (store, name) = (self.of.open().await?, AccountName::new(&self.name)?);
        match store.load(&name).await?.standing {
            Standing::Record(record) => {
                let shown = json!({
                    "account": name.as_str(),
                    "state": record.status.as_str(),
                    "generation": record.generation.number(),
                    "seconds_left": record.expires_at.map(left),
                    "failures": record.fails,
                    "why": record.last_error,
                    "readable": record.grant().is_ok(),
                });
                say(&shown, self.of.json);
                Ok(true)
            }
            Standing::Unreadable { why, .. } => Err(why.into()),
            Standing::Nothing => Err(Trouble(format!("{name}: the store knows no such account"))),
        }
    }
}
