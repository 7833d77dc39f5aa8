//! Looks after the accounts in a store: no token endpoint is asked for any of it.

mod import;
mod list;
mod place;
mod progress;
mod relocate;
mod reseal;
mod revoke;
mod say;

use std::fmt;
use std::process::ExitCode;

use clap::{Args, Subcommand};

use self::place::Place;
use self::say::say;
use crate::trouble::Trouble;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Lists accounts, in the order of their names, one a line
    List(list::List),
    /// Shows one account
    Show(list::Show),
    /// Takes refresh tokens over that were never presented, from a file of JSON: account to token
    Import(import::Import),
    /// Ends grants, for every process that shares the store
    Revoke(revoke::Revoke),
    /// Copies accounts to another store, with all that guards their tokens; stop all gateways first
    Move(relocate::Move),
    /// Makes the tables of a store in postgres, or brings them up to date; other stores need nothing
    Migrate(Of),
    /// Seals what stands with the key of today, so that an old one can go
    Reseal(reseal::Reseal),
}

/// The store that a command is about.
#[derive(Args)]
pub(crate) struct Of {
    /// The store: `file:DIR`, `postgres://…`, `redis://…`; with a password, give it in `MAC_STORE`
    #[arg(long, value_name = "STORE")]
    store: Option<String>,
    /// Writes JSON, one object a line
    #[arg(long)]
    json: bool,
}

impl fmt::Debug for Of {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Of").finish_non_exhaustive()
    }
}

impl Of {
    fn place(&self) -> Result<Place, Trouble> {
        Place::new("--store", "MAC_STORE", self.store.as_deref())
    }

    async fn migrate(&self) -> Result<bool, Trouble> {
        self.place()?.migrate().await?;
        if self.json {
            say(&serde_json::json!({ "migrated": true }), true)?;
        }
        Ok(true)
    }
}

/// 0 if all was done, 1 if something was left; `Trouble` has the others.
pub(crate) async fn run(command: Command) -> ExitCode {
    let done = match command {
        Command::List(list) => list.run().await,
        Command::Show(show) => show.run().await,
        Command::Import(import) => import.run().await,
        Command::Revoke(revoke) => revoke.run().await,
        Command::Move(moving) => moving.run().await,
        Command::Migrate(of) => of.migrate().await,
        Command::Reseal(reseal) => reseal.run().await,
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(trouble) => trouble.end(),
    }
}
