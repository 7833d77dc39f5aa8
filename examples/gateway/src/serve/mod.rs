//! The gateway as it runs: from its flags to its exit code.

mod demo;
mod drain;
mod gateway;
mod log;

use std::fmt;
use std::process::ExitCode;
use std::time::Duration;

use tower_mac_auth::store::{Journal, RecordStore as _, SharedStore, StoreError, StoreErrorKind};

use self::gateway::Gateway;
use crate::config::{Client, Flags, Problems, Secrets, Settings};
use crate::store::{self, StoreLocation};

/// What it was told cannot be.
const WRONG: u8 = 2;
/// A commit is still owed: see `drain`.
const OWED: u8 = 3;
/// For the store to answer a first question.
const STORE_ANSWERS: Duration = Duration::from_secs(15);

pub(crate) async fn run(flags: Flags) -> ExitCode {
    if std::env::args_os().len() == 1 {
        return demo::run().await;
    }
    let check = flags.check;
    match prepare(flags).await {
        Ok(prepared) if check => {
            eprintln!("mac-gateway: all is well, {}", prepared.settings.store);
            ExitCode::SUCCESS
        }
        Ok(prepared) => prepared.run().await,
        Err(error) => {
            eprintln!("mac-gateway: {error}");
            error.code()
        }
    }
}

/// All that is checked before anything starts.
struct Prepared {
    settings: Settings,
    client: Client,
    kept: Kept,
}

/// Where tokens are kept.
struct Kept {
    store: SharedStore,
    journal: Option<Journal>,
}

/// Why nothing was started.
#[derive(Debug)]
enum StartError {
    Wrong(Problems),
    Store(String),
}

impl StartError {
    fn code(&self) -> ExitCode {
        match self {
            Self::Wrong(_) => ExitCode::from(WRONG),
            Self::Store(_) => ExitCode::FAILURE,
        }
    }
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Wrong(problems) => problems.fmt(f),
            Self::Store(what) => f.write_str(what),
        }
    }
}

async fn prepare(flags: Flags) -> Result<Prepared, StartError> {
    let flags = flags.with_file().map_err(StartError::Wrong)?;
    let secrets = Secrets::from_environment().map_err(StartError::Wrong)?;
    let (settings, client) = Settings::new(&flags, &secrets).map_err(StartError::Wrong)?;
    let kept = open(&settings, secrets).await?;
    Ok(Prepared {
        settings,
        client,
        kept,
    })
}

async fn open(settings: &Settings, secrets: Secrets) -> Result<Kept, StartError> {
    let location = &settings.store;
    let failed = |what: &str, error: &StoreError| {
        // What a new database lacks.
        let how = match (location, error.kind()) {
            (StoreLocation::Postgres(_), StoreErrorKind::Unsuitable) => {
                "; for its tables: mac-gateway accounts migrate --store postgres://…"
            }
            _ => "",
        };
        StartError::Store(format!("{what}: {}{how}", with_causes(error)))
    };
    let store = async {
        let store = store::open(location, secrets.seal.clone()).await?;
        store.check().await?;
        Ok(store)
    };
    let store = tokio::time::timeout(STORE_ANSWERS, store)
        .await
        .map_err(|_| StartError::Store(format!("--store: {location} does not answer")))?
        .map_err(|error| failed(&format!("--store: {location}"), &error))?;
    let journal = match &settings.journal {
        None => None,
        Some(dir) => {
            let journal = Journal::builder(dir);
            let journal = match secrets.seal {
                Some(keys) => journal.sealed(keys),
                None => journal,
            };
            let opened = journal.open().await;
            Some(opened.map_err(|error| failed("--journal", &error))?)
        }
    };
    Ok(Kept { store, journal })
}

/// An error and what caused it, in one line.
pub(crate) fn with_causes(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        next = cause.source();
    }
    text
}

impl Prepared {
    async fn run(self) -> ExitCode {
        let Self {
            settings,
            client,
            kept,
        } = self;
        log::init(settings.log);
        match client {
            Client::Xiaomi(endpoint) => Gateway::run(endpoint, settings, kept).await,
            Client::Bearer(endpoint) => Gateway::run(endpoint, settings, kept).await,
            Client::HttpMac(endpoint) => Gateway::run(endpoint, settings, kept).await,
        }
    }
}
