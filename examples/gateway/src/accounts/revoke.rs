use clap::Args;
use serde_json::json;
use tower_mac_auth::store::{AccountName, RecordStore as _, Standing};

use super::say::say;
use super::{Of, Trouble};

#[derive(Debug, Args)]
pub(crate) struct Revoke {
    #[command(flatten)]
    of: Of,
    #[arg(required = true)]
    names: Vec<String>,
}

impl Revoke {
    pub(super) async fn run(self) -> Result<bool, Trouble> {
        let store = self.of.place()?.open_existing().await?;
        // All of them, before any is ended.
        let names: Result<Vec<_>, _> = self
            .names
            .iter()
            .map(|name| AccountName::new(name))
            .collect();
        let mut all = true;
        for name in names? {
            let known = !matches!(store.load(&name).await?.standing, Standing::Nothing);
            let state = if known {
                store.revoke(&name).await?;
                "revoked"
            } else {
                "unknown"
            };
            all &= known;
            say(
                &json!({ "account": name.as_str(), "state": state }),
                self.of.json,
            )?;
        }
        Ok(all)
    }
}
