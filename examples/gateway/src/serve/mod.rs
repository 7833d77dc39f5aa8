//! The gateway as it runs: from its flags to its exit code.

mod demo;
mod drain;
mod gateway;
mod log;

use std::process::ExitCode;
use std::time::Duration;

use tower_mac_auth::store::{Journal, RecordStore as _, SharedStore, StoreError};

use self::gateway::Gateway;
use crate::config::{Client, Flags, Secrets, Settings};
use crate::store::{self, Sample};
use crate::trouble::{Trouble, note, with_causes};

/// A commit is still owed: see `drain`.
const OWED: u8 = 3;
/// For the store to answer a first question.
const STORE_ANSWERS: Duration = Duration::from_secs(15);

pub(crate) async fn run(flags: Flags) -> ExitCode {
    if std::env::args_os().len() == 1 {
        return demo::run().await;
    }
    let check = flags.check;
    let prepared = match prepare(flags).await {
        Ok(prepared) => prepared,
        Err(trouble) => return trouble.end(),
    };
    if !check {
        return prepared.run().await;
    }
    let Settings {
        warnings, store, ..
    } = prepared.settings;
    for warning in warnings.lines() {
        note(format_args!("mac-gateway: take care: {warning}"));
    }
    note(format_args!("mac-gateway: all is well, {store}"));
    ExitCode::SUCCESS
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

async fn prepare(flags: Flags) -> Result<Prepared, Trouble> {
    let check = flags.check;
    let flags = flags.with_file()?;
    let secrets = Secrets::from_environment()?;
    let (mut settings, client) = Settings::new(&flags, &secrets)?;
    let kept = open(&settings, secrets).await?;
    let sample = in_time(&settings, Sample::take(&kept.store)).await?;
    if sample.is_lost() || (check && !sample.is_readable()) {
        let store = &settings.store;
        return Err(Trouble::Wrong(format!("--store: {store}: {sample}")));
    }
    if !sample.is_readable() {
        settings.warnings.add("--store", sample.to_string());
    }
    Ok(Prepared {
        settings,
        client,
        kept,
    })
}

/// What the store answers, if it does.
async fn in_time<T>(
    settings: &Settings,
    asked: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, Trouble> {
    let named = format!("--store: {}", settings.store);
    let answer = tokio::time::timeout(STORE_ANSWERS, asked).await;
    let answer = answer.map_err(|_| Trouble::Failed(format!("{named} does not answer")))?;
    answer.map_err(|error| Trouble::of_store(&named, &error))
}

async fn open(settings: &Settings, secrets: Secrets) -> Result<Kept, Trouble> {
    let store = async {
        let store = store::open(&settings.store, secrets.seal.clone()).await?;
        store.check().await?;
        Ok(store)
    };
    let store = in_time(settings, store).await?;
    let journal = match &settings.journal {
        None => None,
        Some(dir) => {
            let journal = Journal::builder(dir);
            let journal = match secrets.seal {
                Some(keys) => journal.sealed(keys),
                None => journal,
            };
            let opened = journal.open().await;
            Some(opened.map_err(|error| Trouble::of_store("--journal", &error))?)
        }
    };
    Ok(Kept { store, journal })
}

impl Prepared {
    async fn run(self) -> ExitCode {
        let Self {
            settings,
            client,
            kept,
        } = self;
        log::init(settings.log);
        for warning in settings.warnings.lines() {
            tracing::warn!("{warning}");
        }
        match client {
            Client::Xiaomi(endpoint) => Gateway::run(endpoint, settings, kept).await,
            Client::Bearer(endpoint) => Gateway::run(endpoint, settings, kept).await,
            Client::HttpMac(endpoint) => Gateway::run(endpoint, settings, kept).await,
        }
    }
}
