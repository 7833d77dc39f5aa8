//! The gateway as it runs: from its flags to its exit code.

mod demo;
mod drain;
mod gateway;
mod log;

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use tower_mac_auth::store::{Journal, RecordStore as _, SharedStore, Standing, StoreError};

use self::gateway::Gateway;
use crate::config::{Client, Flags, Problems, Secrets, Settings};
use crate::proxy::{Tenant, first_tokens};
use crate::store::{self, Sample, StoreLocation};
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
    let size = prepared.size;
    let Settings {
        warnings, store, ..
    } = prepared.settings;
    for warning in warnings.lines() {
        note(format_args!("mac-gateway: take care: {warning}"));
    }
    note(format_args!("mac-gateway: all is well, {store}: {size}"));
    ExitCode::SUCCESS
}

/// All that is checked before anything starts.
struct Prepared {
    settings: Settings,
    client: Client,
    kept: Kept,
    /// How many accounts the store has.
    size: String,
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
    let kept = open(&mut settings, secrets, check).await?;
    let id = flags.client_id.as_deref().unwrap_or_default();
    let sample = in_time(&settings, Sample::take(&kept.store, id)).await?;
    if sample.is_lost() || (check && !sample.is_good()) {
        let store = &settings.store;
        return Err(Trouble::Wrong(format!("--store: {store}: {sample}")));
    }
    if !sample.is_good() {
        settings.warnings.add("--store", sample.to_string());
    }
    if let Tenant::One(account) = &settings.tenant
        && !settings.seeds.0.contains_key(account.as_str())
        && let Standing::Nothing = in_time(&settings, kept.store.load(account)).await?.standing
    {
        let way = first_tokens(client.has_login());
        let what = format!("the store does not know it: {way}");
        settings.warnings.add("--account", what);
    }
    Ok(Prepared {
        settings,
        client,
        kept,
        size: sample.size(),
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

/// A check begins no store: in the place of what is not there it looks at one with nothing in it.
async fn open(settings: &mut Settings, secrets: Secrets, check: bool) -> Result<Kept, Trouble> {
    let warnings = &mut settings.warnings;
    let location = match &settings.store {
        StoreLocation::File(dir) if check && is_to_come("--store", dir, warnings)? => {
            &StoreLocation::Memory
        }
        location => location,
    };
    let journal = match &settings.journal {
        Some(dir) if check && is_to_come("--journal", dir, warnings)? => None,
        journal => journal.as_deref(),
    };
    let store = async {
        let store = store::open(location, secrets.seal.clone()).await?;
        store.check().await?;
        Ok(store)
    };
    let store = in_time(settings, store).await?;
    let journal = match journal {
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

/// Whether a directory is only made at a start, which is noted.
fn is_to_come(flag: &'static str, dir: &Path, warnings: &mut Problems) -> Result<bool, Trouble> {
    if !store::is_missing(dir) {
        return Ok(false);
    }
    let shown = dir.display();
    store::could_be_made(dir)
        .map_err(|error| Trouble::Wrong(format!("{flag}: none can be made at {shown}: {error}")))?;
    warnings.add(
        flag,
        format!("there is none at {shown} yet: a start makes it"),
    );
    Ok(true)
}

impl Prepared {
    async fn run(self) -> ExitCode {
        let Self {
            settings,
            client,
            kept,
            size: _,
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
