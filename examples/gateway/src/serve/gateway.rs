//! Puts the parts together and runs them until the end.

use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;

use axum::Router;
use axum::response::Response;
use http::Request;
use hyper::body::Incoming;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tower_layer::Layer as _;
use tower_mac_auth::account::{Account, Accounts};
use tower_mac_auth::forward::Upstream;
use tower_mac_auth::layer::MacAuthLayer;
use tower_mac_auth::provider::Provider;
use tower_mac_auth::store::{AccountName, RecordStore as _, Recovered, Standing};
use tower_mac_auth::token::TokenEndpoint;
use tower_service::Service as _;

use super::drain::{Drain, Signals};
use super::{Kept, with_causes};
use crate::admin::{Admin, Feed};
use crate::config::{Seeds, Settings, has_login};
use crate::proxy::{Attempts, Proxy, Server, Shared, Tunnels, client};

/// A gateway that listens, and does not serve yet.
pub(super) struct Gateway<P: Provider> {
    endpoint: TokenEndpoint<P>,
    settings: Settings,
    kept: Kept,
    listener: TcpListener,
    admin: TcpListener,
}

impl<P: Provider> Gateway<P> {
    /// Runs a gateway to its end, and says by the exit code how it went.
    pub(super) async fn run(
        endpoint: TokenEndpoint<P>,
        settings: Settings,
        kept: Kept,
    ) -> ExitCode {
        let bind = async |flag, addr: SocketAddr| {
            let failed = |error: io::Error| format!("{flag} {addr}: {error}");
            TcpListener::bind(addr).await.map_err(failed)
        };
        let bound = async {
            let listener = bind("--listen", settings.listen).await?;
            Ok::<_, String>((listener, bind("--admin", settings.admin).await?))
        };
        match bound.await {
            Ok((listener, admin)) => {
                Self::new(endpoint, settings, kept, listener, admin)
                    .serve()
                    .await
            }
            Err(what) => {
                tracing::error!("{what}");
                ExitCode::FAILURE
            }
        }
    }

    pub(super) fn new(
        endpoint: TokenEndpoint<P>,
        settings: Settings,
        kept: Kept,
        listener: TcpListener,
        admin: TcpListener,
    ) -> Self {
        Self {
            endpoint,
            settings,
            kept,
            listener,
            admin,
        }
    }

    /// Serves until a signal comes, and until what is under way then has ended.
    pub(super) async fn serve(self) -> ExitCode {
        match self.until_signal().await {
            Ok(drain) => drain.run().await,
            Err(what) => {
                tracing::error!("{what}");
                ExitCode::FAILURE
            }
        }
    }

    async fn until_signal(self) -> Result<Drain<P>, String> {
        let mut signals = Signals::new().map_err(|error| format!("no signals: {error}"))?;
        let Self {
            endpoint,
            settings,
            kept,
            listener,
            admin,
        } = self;
        let addresses = (listener.local_addr(), admin.local_addr());
        let (Ok(listen_addr), Ok(admin_addr)) = addresses else {
            return Err("an address cannot be read back".to_owned());
        };
        let store = kept.store.clone();
        let (draining, ended) = (CancellationToken::new(), CancellationToken::new());
        let feed = Arc::new(Feed::new());
        let accounts = accounts(&endpoint, &kept).await?;
        let following = tokio::spawn(Arc::clone(&feed).follow(accounts.events(), ended.clone()));
        seed(&endpoint, &kept, settings.seeds).await?;

        let cut = CancellationToken::new();
        let tunnels = Tunnels::new(cut.clone());
        let counted = Arc::clone(&feed);
        let (scheme, host) = (settings.upstream.scheme(), &settings.upstream.host);
        let target = Upstream::new(&format!("{scheme}://{host}"))
            .and_then(|target| target.with_via(&settings.via))
            .map_err(|error| error.to_string())?
            .with_upgrades(true);
        let shared = Shared {
            accounts: accounts.clone(),
            hosts: settings.hosts,
            tenant: settings.tenant,
            target,
            max_body: settings.max_body,
            cut: cut.clone(),
            timeout: settings.upstream_timeout,
            tunnels: tunnels.clone(),
            has_login: has_login(&endpoint),
            count: Arc::new(move |outcome| counted.count(outcome)),
        };
        let layer = MacAuthLayer::per_request(accounts.provider());
        let limit = settings.upstream_timeout;
        let signing = |http2| match client(&settings.upstream.connect, http2) {
            Ok(client) => Ok(layer.layer(Attempts::new(client, limit))),
            Err(error) => Err(format!("TLS cannot be used: {error}")),
        };
        let proxy = Proxy::new(shared, signing(true)?, signing(false)?);
        let (of_admin, hosts) = (Arc::clone(&feed), settings.admin_hosts);
        let router = Admin::new(accounts.clone(), endpoint, store.clone(), of_admin, hosts)
            .draining(draining.clone())
            .secure_cookies(settings.secure_cookies)
            .router();

        if !admin_addr.ip().is_loopback() {
            tracing::warn!(admin = %admin_addr, "whoever reaches the admin address may log users in and out");
        }
        let admin = tokio::spawn(async move {
            let answer = move |request| answer(router.clone(), request);
            let never = CancellationToken::new();
            Server::new(never, limit).accept(&admin, answer).await;
        });
        let server = Server::new(cut.clone(), limit);
        let pass = move |request| {
            let proxy = proxy.clone();
            async move { proxy.answer(request).await }
        };
        tracing::info!(listen = %listen_addr, admin = %admin_addr, store = %settings.store, "mac-gateway is ready");
        tokio::select! {
            () = server.accept(&listener, pass) => {}
            signal = signals.next() => tracing::info!(signal, "no more requests are taken"),
        }
        Ok(Drain {
            server,
            tunnels,
            cut,
            accounts,
            store,
            feed,
            following,
            draining,
            ended,
            admin,
            limit: settings.drain_timeout,
        })
    }
}

/// The accounts, once what the journal has is in the store.
async fn accounts<P: Provider>(
    endpoint: &TokenEndpoint<P>,
    kept: &Kept,
) -> Result<Accounts<P>, String> {
    let accounts = Accounts::builder(endpoint.clone()).store(kept.store.clone());
    let Some(journal) = &kept.journal else {
        return Ok(accounts.build());
    };
    let recovered = journal.recover(&kept.store).await;
    let recovered = recovered.map_err(|error| format!("--journal: {}", with_causes(&error)))?;
    if recovered != Recovered::default() {
        tracing::info!(?recovered, "the journal had answers");
    }
    Ok(accounts.journal(journal.clone()).build())
}

/// Starts the accounts that the store does not know.
async fn seed<P: Provider>(
    endpoint: &TokenEndpoint<P>,
    kept: &Kept,
    seeds: Seeds,
) -> Result<(), String> {
    let (mut taken, mut known) = (0_usize, 0_usize);
    for (name, token) in seeds.0 {
        let failed =
            |error: &(dyn Error + 'static)| format!("--seed: {name}: {}", with_causes(error));
        let account = AccountName::new(&name).map_err(|error| failed(&error))?;
        let loaded = kept.store.load(&account).await;
        if !matches!(
            loaded.map_err(|error| failed(&error))?.standing,
            Standing::Nothing
        ) {
            known += 1;
            continue;
        }
        let mut account = Account::builder(endpoint.clone())
            .store(kept.store.clone())
            .refresh_token(token);
        if let Some(journal) = &kept.journal {
            account = account.journal(journal.clone());
        }
        let opened = account.open(&name).await;
        let opened = opened.map_err(|error| failed(&error))?;
        taken += 1;
        // The gateway opens its own.
        opened.shutdown().await;
    }
    if taken + known > 0 {
        tracing::info!(
            taken,
            known,
            "accounts were seeded; those that the store knew stay as they are"
        );
    }
    Ok(())
}

async fn answer(mut router: Router, request: Request<Incoming>) -> Response {
    match router.call(request).await {
        Ok(response) => response,
        Err(never) => match never {},
    }
}
