//! What operators see, on an address of its own: health, numbers, accounts, logins.

mod accounts;
mod asked;
mod events;
mod feed;
mod guard;
mod health;
mod history;
mod login;
mod page;
mod pending;

use std::fmt;
use std::sync::Arc;

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::{get, post};
use http::StatusCode;
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tower_mac_auth::account::Accounts;
use tower_mac_auth::provider::Provider;
use tower_mac_auth::store::SharedStore;
use tower_mac_auth::token::TokenEndpoint;

use self::asked::{no_head, no_method, nothing};
pub(crate) use self::feed::Feed;
pub(crate) use self::login::LOGIN_COOKIE;
use self::pending::Pending;
use crate::browsers::Hosts;
use crate::config::has_login;

/// How many may listen to events at once.
const LISTENERS: usize = 64;

/// What the answers are made of.
pub(crate) struct Admin<P: Provider> {
    accounts: Accounts<P>,
    endpoint: TokenEndpoint<P>,
    store: SharedStore,
    feed: Arc<Feed>,
    draining: CancellationToken,
    hosts: Hosts,
    secure_cookies: bool,
    /// Whether it is known where users agree.
    has_login: bool,
    pending: Pending,
    listeners: Arc<Semaphore>,
    numbers: Option<PrometheusHandle>,
}

impl<P: Provider> Admin<P> {
    pub(crate) fn new(
        accounts: Accounts<P>,
        endpoint: TokenEndpoint<P>,
        store: SharedStore,
        feed: Arc<Feed>,
        hosts: Hosts,
    ) -> Self {
        Self {
            has_login: has_login(&endpoint),
            accounts,
            endpoint,
            store,
            hosts,
            draining: CancellationToken::new(),
            secure_cookies: false,
            pending: Pending::default(),
            listeners: Arc::new(Semaphore::new(LISTENERS)),
            numbers: feed.numbers(),
            feed,
        }
    }

    /// What tells that the gateway is about to end.
    pub(crate) fn draining(self, draining: CancellationToken) -> Self {
        Self { draining, ..self }
    }

    /// Whether browsers reach it by TLS.
    pub(crate) fn secure_cookies(self, secure_cookies: bool) -> Self {
        Self {
            secure_cookies,
            ..self
        }
    }

    pub(crate) fn router(self) -> Router {
        let admin = Arc::new(self);
        let login = post(login::begin::<P>).get(login::lead::<P>).head(no_head);
        Router::new()
            .route("/", get(page::page))
            // Browsers ask for it at whatever they show.
            .route("/favicon.ico", get(StatusCode::NO_CONTENT))
            .route("/page.js", get(page::script))
            .route("/page.css", get(page::style))
            .route("/healthz", get(health::alive))
            .route("/readyz", get(health::ready::<P>))
            .route("/metrics", get(health::metrics::<P>))
            .route("/accounts", get(accounts::list::<P>))
            .route("/accounts/refresh", post(accounts::refresh::<P>))
            .route("/accounts/revoke", post(accounts::revoke::<P>))
            .route("/accounts/{name}/refresh", post(accounts::refresh::<P>))
            .route("/accounts/{name}/revoke", post(accounts::revoke::<P>))
            .route("/login", login)
            .route("/callback", get(login::callback::<P>).head(no_head))
            .route("/events", get(events::events::<P>))
            .route("/history", get(health::history::<P>))
            .fallback(nothing)
            .method_not_allowed_fallback(no_method)
            .layer(from_fn_with_state(Arc::clone(&admin), guard::guard::<P>))
            .with_state(admin)
    }
}

impl<P: Provider> fmt::Debug for Admin<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admin").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use axum::extract::State;
    use http::HeaderMap;
    use http::header::{ACCEPT, HeaderValue};
    use tower_mac_auth::provider::{Bearer, OAuth2};
    use tower_mac_auth::store::MemoryStore;

    use super::*;

    #[tokio::test]
    async fn a_login_is_offered_where_it_is_known_where_users_agree() {
        for known in [false, true] {
            let mut oauth2 = OAuth2::new("https://accounts.example/token", "client");
            if known {
                oauth2 = oauth2.with_authorize_url("https://accounts.example/authorize");
            }
            let endpoint = TokenEndpoint::from(Bearer::new(oauth2));
            let store = SharedStore::new(MemoryStore::new());
            let accounts = Accounts::builder(endpoint.clone())
                .store(store.clone())
                .build();
            let feed = Arc::new(Feed::new());
            let admin = Admin::new(accounts, endpoint, store, feed, Hosts::Every);
            let page = accounts::page(&admin, None, 1).await.unwrap();
            assert_eq!(page["login"], known, "{page}");
            // Nor does a link lead a browser to the page that asks.
            let browser = HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static("text/html"))]);
            let named = asked::Named(asked::name("alice").unwrap());
            let led = login::lead(State(Arc::new(admin)), named, browser).await;
            assert_eq!(led.is_ok(), known);
        }
    }
}
