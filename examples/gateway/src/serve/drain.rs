//! The end: nothing new is taken, what is under way ends, and no token is left behind.

use std::io;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tower_mac_auth::account::Accounts;
use tower_mac_auth::provider::Provider;
use tower_mac_auth::store::{AccountName, Generation, RecordStore as _, SharedStore};

use super::OWED;
use crate::admin::Feed;
use crate::proxy::{Server, Tunnels};

/// The longest that a refresh may take whose token was sent: the time for its answer, and a few
/// steps of the store. Whoever ends the process must wait so long, and as long as requests may take.
const REFRESHES: Duration = Duration::from_secs(120);

/// The signals that end the gateway.
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    pub(super) async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}

/// What is to be ended, in this order.
pub(super) struct Drain<P: Provider> {
    pub(super) server: Server,
    pub(super) tunnels: Tunnels,
    /// Ends the requests and tunnels that are left.
    pub(super) cut: CancellationToken,
    pub(super) accounts: Accounts<P>,
    pub(super) store: SharedStore,
    pub(super) feed: Arc<Feed>,
    pub(super) following: JoinHandle<()>,
    /// Readiness says no from here on.
    pub(super) draining: CancellationToken,
    /// No account has anything to tell any more.
    pub(super) ended: CancellationToken,
    pub(super) admin: JoinHandle<()>,
    pub(super) limit: Duration,
}

impl<P: Provider> Drain<P> {
    /// The exit code: 0, or 3 if tokens were issued that the store does not have.
    pub(super) async fn run(self) -> ExitCode {
        self.draining.cancel();
        let requests = async {
            self.server.drain().await;
            self.tunnels.ended().await;
        };
        let mut requests = std::pin::pin!(requests);
        let in_time = tokio::time::timeout(self.limit, requests.as_mut()).await;
        if in_time.is_err() {
            tracing::warn!(
                "requests or tunnels are left that have not ended in time: they are cut"
            );
            self.cut.cancel();
            requests.await;
        }
        let refreshes = tokio::time::timeout(REFRESHES, self.accounts.shutdown()).await;
        self.ended.cancel();
        // It reads what was told by then, and ends.
        let _ = self.following.await;
        let owed = owed(&self.store, self.feed.owed()).await;
        self.admin.abort();
        if refreshes.is_ok() && owed.is_empty() {
            tracing::info!("mac-gateway has ended, and owes nothing");
            return ExitCode::SUCCESS;
        }
        let unfinished = refreshes.is_err();
        tracing::error!(
            accounts = ?owed,
            unfinished,
            "tokens were issued that the store does not have; if there is a journal, start a gateway with it"
        );
        ExitCode::from(OWED)
    }
}

/// Those that the store does not have even now.
async fn owed(store: &SharedStore, told: Vec<(AccountName, Generation)>) -> Vec<AccountName> {
    let mut owed = Vec::new();
    for (account, generation) in told {
        let loaded = store.load(&account).await;
        let stands = loaded.ok().and_then(|loaded| loaded.into_record().ok()?);
        if stands.is_none_or(|record| record.generation < generation) {
            owed.push(account);
        }
    }
    owed
}
