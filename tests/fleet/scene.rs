//! A provider on a socket, accounts in a store, and what the parent does to both.

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::Duration;

use tower_mac_auth::AccessToken;
use tower_mac_auth::account::{Account, AccountError, InDoubtPolicy};
use tower_mac_auth::provider::{self, Bearer};
use tower_mac_auth::store::{AccountName, Generation, Issued, Record, RecordStore, SharedStore};
use tower_mac_auth::testing::{Dialect, Provider, ProviderBuilder, Server};
use tower_mac_auth::token::{Outcome as TokenOutcome, TokenEndpoint, TokenSet};

use crate::backend::StoreSpec;
use crate::child::{Child, Orders, Outcome};
use crate::stops::Stop;

/// How long the token endpoint may take in these tests.
pub const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);
const HOUR: Duration = Duration::from_secs(3600);
/// A store that is there has answered by then.
const MOMENT: Duration = Duration::from_millis(250);
/// What has to happen happens in this time, or never.
const PATIENCE: Duration = Duration::from_secs(60);

/// Whether the provider speaks RFC 6749 and bearer tokens (`FLEET_DIALECT=oauth2`), and not Xiaomi's.
pub fn speaks_oauth2() -> bool {
    match std::env::var("FLEET_DIALECT").as_deref() {
        Ok("oauth2") => true,
        Ok("xiaomi") | Err(_) => false,
        Ok(_) => panic!("FLEET_DIALECT is xiaomi or oauth2"),
    }
}

pub struct Scene {
    spec: StoreSpec,
    oauth2: bool,
    pub store: SharedStore,
    pub provider: Provider,
    pub server: Server,
    pub accounts: Vec<String>,
    /// An access token of each, by which the provider knows whose it is.
    users: HashMap<String, AccessToken>,
    pub answer_timeout: Duration,
    /// Whether a token in doubt may be presented again, once nothing is left to lose.
    pub may_present_again: bool,
    /// The workers' journal, if they have one.
    pub journal: Option<PathBuf>,
}

impl Scene {
    pub async fn new(spec: &StoreSpec, accounts: Vec<String>) -> Self {
        Self::with(spec, accounts, |provider| provider.reuse_kills_grant(true)).await
    }

    pub async fn with(
        spec: &StoreSpec,
        accounts: Vec<String>,
        provider: impl FnOnce(ProviderBuilder) -> ProviderBuilder,
    ) -> Self {
        let oauth2 = speaks_oauth2();
        let dialect = if oauth2 {
            Dialect::Bearer
        } else {
            Dialect::Xiaomi
        };
        let provider = provider(Provider::builder().dialect(dialect)).build();
        let store = spec.open().await;
        let mut users = HashMap::new();
        for name in &accounts {
            let tokens = provider.issue(HOUR);
            users.insert(name.clone(), tokens.access_token.clone());
            let issued = Issued::authorized(Generation::FIRST, tokens, Some(HOUR));
            let name = AccountName::new(name).unwrap();
            store.commit(&name, issued).await.unwrap();
        }
        Self {
            spec: spec.clone(),
            oauth2,
            store,
            server: provider.serve().await.unwrap(),
            provider,
            accounts,
            users,
            answer_timeout: ANSWER_TIMEOUT,
            may_present_again: false,
            journal: None,
        }
    }

    pub fn orders(&self, stop: Option<Stop>) -> Orders {
        Orders {
            parent: std::process::id(),
            store: self.spec.clone(),
            journal: self.journal.clone(),
            oauth2: self.oauth2,
            authority: self.server.authority(),
            token_url: self.server.token_url(),
            client_id: self.provider.client_id().to_owned(),
            client_secret: self.provider.client_secret().expose_secret().to_owned(),
            redirect_uri: self.provider.redirect_uri().to_owned(),
            accounts: self.accounts.clone(),
            answer_timeout: self.answer_timeout,
            may_present_again: self.may_present_again,
            stop,
        }
    }

    /// A worker that stops nowhere.
    pub async fn worker(&self) -> Child {
        Child::ready(&self.orders(None)).await
    }

    pub async fn record(&self, account: &str) -> Record {
        let name = AccountName::new(account).unwrap();
        let loaded = self.store.load(&name).await.unwrap();
        loaded.into_record().unwrap().unwrap()
    }

    /// `None` while the store is away.
    pub async fn try_record(&self, account: &str) -> Option<Record> {
        let name = AccountName::new(account).unwrap();
        let load = tokio::time::timeout(MOMENT, self.store.load(&name));
        let record = load.await.ok()?.ok()?.into_record().unwrap();
        Some(record.expect("the store has lost it"))
    }

    /// The user agrees once more.
    pub async fn authorize(&self, account: &str) -> Result<(), AccountError> {
        if self.oauth2 {
            self.authorize_at(self.bearer(), account).await
        } else {
            let xiaomi = self.server.endpoint().unwrap();
            self.authorize_at(xiaomi, account).await
        }
    }

    async fn authorize_at<P: provider::Provider>(
        &self,
        endpoint: TokenEndpoint<P>,
        account: &str,
    ) -> Result<(), AccountError> {
        let code = self.provider.authorization_code_of(&self.users[account]);
        Account::builder(endpoint)
            .store(self.store.clone())
            .in_doubt(InDoubtPolicy::Never)
            .open(account)
            .await?
            .authorize(code.unwrap())
            .await
            .map(drop)
    }

    /// Somebody outside presents the account's refresh token.
    pub async fn refresh_outside(&self, account: &str) -> TokenSet {
        let record = self.record(account).await;
        let token = record.grant().unwrap().refresh_token.clone().unwrap();
        let outcome = if self.oauth2 {
            let connected = self.bearer().connect().await.unwrap();
            connected.refresh(&token).await
        } else {
            let connected = self.server.endpoint().unwrap().connect().await.unwrap();
            connected.refresh(&token).await
        };
        match outcome {
            TokenOutcome::Tokens(tokens) => tokens,
            outcome => panic!("{outcome:?}"),
        }
    }

    fn bearer(&self) -> TokenEndpoint<Bearer> {
        let client = Bearer::new(self.server.oauth2());
        self.server.endpoint_of(client).unwrap()
    }

    /// Has a worker make requests until one is served.
    pub async fn comes_alive(&self, child: &mut Child, account: &str) {
        let mut last = Outcome::Served;
        let served = async {
            loop {
                last = child.get(account).await;
                if last == Outcome::Served {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        let served = tokio::time::timeout(PATIENCE, served).await;
        assert!(served.is_ok(), "{account} is lost: {last:?}");
    }

    /// Waits until so many refresh tokens have arrived.
    pub async fn presented(&self, count: usize) {
        let arrived = async {
            while self.provider.presentations().len() < count {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        let arrived = tokio::time::timeout(PATIENCE, arrived).await;
        assert!(arrived.is_ok(), "nothing was presented");
    }
}
