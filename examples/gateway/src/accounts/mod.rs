//! Looks after the accounts in a store: no token endpoint is asked for any of it.

mod import;
mod list;
mod progress;
mod relocate;
mod reseal;
mod revoke;

use std::fmt;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use tower_mac_auth::store::SharedStore;

use crate::config::Secrets;
use crate::store::{StoreLocation, migrate, open};

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
    /// The store: `memory`, `file:DIR`, `postgres://…`, `redis://…`
    #[arg(long, value_name = "STORE")]
    store: String,
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
    async fn open(&self) -> Result<SharedStore, Trouble> {
        store("--store", &self.store).await
    }

    async fn migrate(&self) -> Result<bool, Trouble> {
        migrate(&parse("--store", &self.store)?).await?;
        if self.json {
            println!("{}", serde_json::json!({ "migrated": true }));
        }
        Ok(true)
    }
}

/// What went wrong, for a person.
#[derive(Debug)]
struct Trouble(String);

impl<E: std::error::Error + 'static> From<E> for Trouble {
    fn from(error: E) -> Self {
        Self(crate::serve::with_causes(&error))
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// 0 if all was done, 1 if something was left, 2 if nothing could be done.
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
        Err(trouble) => {
            eprintln!("mac-gateway: {trouble}");
            ExitCode::from(2)
        }
    }
}

/// Parsed here, because an error of the parser of flags would show it, and it may have a password.
fn parse(flag: &str, location: &str) -> Result<StoreLocation, Trouble> {
    location
        .parse()
        .map_err(|error| Trouble(format!("{flag} {error}")))
}

/// The store, sealed if `MAC_SEAL_KEY` says so.
async fn store(flag: &str, location: &str) -> Result<SharedStore, Trouble> {
    let location = parse(flag, location)?;
    let secrets = Secrets::from_environment().map_err(|problems| Trouble(problems.to_string()))?;
    Ok(open(&location, secrets.seal).await?)
}
