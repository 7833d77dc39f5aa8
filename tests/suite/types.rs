//! What may go to another thread: a type that loses that breaks its users.

use bytes::Bytes;
use http_body_util::Full;
use tower_mac_auth::ReadAhead;
use tower_mac_auth::account::{
    Account, AccountBuilder, AccountError, AccountEvent, Accounts, AccountsBuilder, Event, Events,
    Refresh, RefreshError,
};
use tower_mac_auth::layer::{
    AuthError, Error, MacAuth, MacAuthLayer, PerRequest, RequestBody, ResponseFuture,
};
use tower_mac_auth::provider::xiaomi::{Credential, Nonce, SigningRules};
use tower_mac_auth::provider::{AllowedAuthorities, RequestParts, Signed, Xiaomi};
use tower_mac_auth::sign::MacKey;
use tower_mac_auth::store::{
    AccountName, Change, Draft, Grant, MemoryStore, Record, SharedStore, StoreError, Watch,
};
use tower_mac_auth::testing::{Api, Provider, Server, TestClock};
use tower_mac_auth::token::{
    Connected, EndpointError, Outcome, SendError, TokenEndpoint, TokenEndpointBuilder,
    TransportError,
};
use tower_mac_auth::verify::{CallbackVerifier, MacAuthorization, ReplayGuard, Verifier};

type Body = Full<Bytes>;

fn send<T: Send>() {}
fn shared<T: Send + Sync>() {}
fn unpin<T: Unpin>() {}

#[test]
fn what_many_threads_use_is_for_many_threads() {
    shared::<(Account, Accounts, AccountBuilder, AccountsBuilder)>();
    shared::<(AccountError, RefreshError, Event, AccountEvent, Refresh)>();
    shared::<(Events, Events<AccountEvent>)>();
    shared::<(MacAuthLayer, MacAuth<Api>, AllowedAuthorities, PerRequest)>();
    shared::<(AuthError, Error<std::io::Error>)>();
    shared::<(
        Credential,
        MacKey,
        Nonce,
        RequestParts<'_>,
        Signed,
        SigningRules,
        Xiaomi,
    )>();
    shared::<(AccountName, Change, Draft, Grant, Record, StoreError)>();
    shared::<(MemoryStore, SharedStore)>();
    #[cfg(unix)]
    shared::<(
        tower_mac_auth::store::FileStore,
        tower_mac_auth::store::Journal,
    )>();
    #[cfg(feature = "seal")]
    shared::<tower_mac_auth::store::SealedStore<MemoryStore>>();
    #[cfg(feature = "redis")]
    shared::<tower_mac_auth::store::RedisStore>();
    #[cfg(feature = "postgres")]
    shared::<tower_mac_auth::store::PostgresStore>();
    shared::<(
        TokenEndpoint,
        TokenEndpointBuilder<Xiaomi>,
        EndpointError,
        Outcome,
    )>();
    shared::<(SendError, TransportError)>();
    shared::<(CallbackVerifier, MacAuthorization, ReplayGuard, Verifier)>();
    shared::<(Provider, Server, TestClock)>();
}

#[test]
fn what_one_task_drives_may_move_to_another_thread() {
    send::<(Connected, Box<dyn Watch>)>();
    send::<(RequestBody<Body>, ReadAhead<Body>)>();
    send::<ResponseFuture<Api, Body, ReadAhead<Body>, Account>>();
    unpin::<(Refresh, RequestBody<Body>, ReadAhead<Body>)>();
}
