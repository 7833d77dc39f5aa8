//! The gateway shows itself: with a strict provider in the same process, and two users of it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use axum::Router;
use axum::extract::{Query, State};
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::routing::get;
use http::{HeaderName, StatusCode};
use serde::Deserialize;
use tokio::net::TcpListener;
use tower_mac_auth::provider::Xiaomi;
use tower_mac_auth::store::{MemoryStore, SharedStore};
use tower_mac_auth::testing::{Provider, Server};

use super::gateway::Gateway;
use super::{Kept, log};
use crate::browsers::Hosts;
use crate::config::{LogFormat, Problems, Seeds, Settings, Upstream};
use crate::proxy::Tenant;
use crate::store::StoreLocation;

/// Long enough to look around.
const HOUR: Duration = Duration::from_secs(3600);

pub(super) async fn run() -> ExitCode {
    log::init(LogFormat::Text);
    match start().await {
        Ok((gateway, _server)) => gateway.serve().await,
        Err(error) => {
            eprintln!("mac-gateway: {error}");
            ExitCode::FAILURE
        }
    }
}

type Error = Box<dyn std::error::Error + Send + Sync>;

async fn start() -> Result<(Gateway<Xiaomi>, Server), Error> {
    // The callback's address has to be known before the provider is.
    let admin_listener = TcpListener::bind("127.0.0.1:0").await?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let (admin, listen) = (admin_listener.local_addr()?, listener.local_addr()?);
    let own = |address: SocketAddr| Hosts::Own {
        ip: address.ip(),
        names: Vec::new(),
    };
    let provider = Provider::builder()
        .redirect_uri(format!("http://{admin}/callback"))
        .lifetime(HOUR)
        .accept_any_body(true)
        .build();
    let server = provider.serve().await?;
    let page = TcpListener::bind("127.0.0.1:0").await?;
    let page_addr = page.local_addr()?;
    let agree = Router::new()
        .route("/authorize", get(agree))
        .with_state(provider.clone());
    tokio::spawn(async move { axum::serve(page, agree).await });

    let xiaomi = server
        .xiaomi()
        .with_authorize_url(format!("http://{page_addr}/authorize"));
    let seeds = ["alice", "bob"].into_iter().filter_map(|name| {
        let tokens = provider.issue(HOUR);
        Some((name.to_owned(), tokens.refresh_token?))
    });
    let connect: http::Uri = server.url("").parse()?;
    let host = server.authority().parse()?;
    let settings = Settings {
        listen,
        hosts: own(listen),
        admin,
        admin_hosts: own(admin),
        upstream: Upstream { connect, host },
        tenant: Tenant::Header(HeaderName::from_static("x-account")),
        store: StoreLocation::Memory,
        journal: None,
        seeds: Seeds(seeds.collect::<BTreeMap<_, _>>()),
        via: "mac-gateway".to_owned(),
        max_body: None,
        upstream_timeout: Duration::from_secs(60),
        drain_timeout: Duration::from_secs(5),
        log: LogFormat::Text,
        secure_cookies: false,
        warnings: Problems::default(),
    };
    let kept = Kept {
        store: SharedStore::new(MemoryStore::new()),
        journal: None,
    };
    let endpoint = server.endpoint_of(xiaomi)?;
    let gateway = Gateway::new(endpoint, settings, kept, listener, admin_listener);
    println!(
        "mac-gateway with a provider of its own. Try, in another shell:

  curl -i -H 'x-account: alice' http://{listen}/user/profile     # signed as alice, sent on, answered
  curl -i http://{listen}/user/profile                           # nobody signs: 401
  curl -i -H 'x-account: carol' http://{listen}/user/profile     # nobody knows her: 403
  curl -L -c jar -b jar 'http://{admin}/login?account=carol'     # she agrees, and is known from now on
  curl http://{admin}/accounts                                   # who there is, without any secret
  curl -X POST -H 'x-requested-with: curl' http://{admin}/accounts/alice/revoke
  curl http://{admin}/metrics
  curl -N http://{admin}/events                                  # what happens, as it happens

Ctrl-C ends it."
    );
    Ok((gateway, server))
}

#[derive(Deserialize)]
struct Asked {
    redirect_uri: String,
    state: String,
}

/// Stands in for the page on which a user agrees.
async fn agree(State(provider): State<Provider>, Query(asked): Query<Asked>) -> Response {
    let code = provider.authorization_code();
    let query = [("code", code.expose_secret()), ("state", &asked.state)];
    let Ok(query) = serde_urlencoded::to_string(query) else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    Redirect::to(&format!("{}?{query}", asked.redirect_uri)).into_response()
}
