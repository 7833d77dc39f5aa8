//! A [tower] layer for OAuth 2 APIs that authenticate each request with a MAC, the Xiaomi Open API
//! first. It signs requests, and it rotates refresh tokens that work only once: however many
//! requests notice that a credential has ended, the token endpoint is asked once, and each of them
//! is signed anew and sent again.
//!
//! [tower]: https://docs.rs/tower
//!
//! ```
//! # #[cfg(feature = "testing")]
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
//! use bytes::Bytes;
//! use http::Request;
//! use http_body_util::Full;
//! use tower::{ServiceBuilder, ServiceExt};
//! use tower_mac_auth::account::Account;
//! use tower_mac_auth::layer::MacAuthLayer;
//! use tower_mac_auth::testing::Provider;
//!
//! // Stands in for `Xiaomi::new(client_id, client_secret, redirect_uri)`, for
//! // the code that a user's browser brings, and for a hyper client.
//! let provider = Provider::new();
//! let (endpoint, code) = (provider.endpoint(), provider.authorization_code());
//! let http_client = provider.api();
//!
//! let account = Account::builder(endpoint).authorize("user-42", code).await?;
//! let client = ServiceBuilder::new()
//!     .layer(MacAuthLayer::new(account.clone()))
//!     .service(http_client);
//!
//! // The access token ends, nobody is told, and a hundred requests find out at once.
//! provider.expire_access_tokens();
//! let mut calls = tokio::task::JoinSet::new();
//! for _ in 0..100 {
//!     let request = Request::get("https://open.account.xiaomi.com/user/profile")
//!         .body(Full::<Bytes>::default())?;
//!     calls.spawn(client.clone().oneshot(request));
//! }
//! for response in calls.join_all().await {
//!     assert_eq!(response?.status(), 200);
//! }
//! assert_eq!(provider.presentations().len(), 1);
//!
//! account.shutdown().await;
//! # Ok(())
//! # }
//! # #[cfg(not(feature = "testing"))]
//! # fn main() {}
//! ```
//!
//! The [`guide`] goes from a question to the types that answer it.
//!
//! # The rooms
//!
//! A module uses only those below it in this table; the last three stand beside them.
//!
//! | module | what is there |
//! |---|---|
//! | [`layer`] | the middleware: what is signed, what a refusal does, the body that can be sent again |
//! | [`account`] | one grant of one user: its credential, the one refresh at a time, events |
//! | [`store`] | the durable record of an account and how it moves; stores in memory, files, databases |
//! | [`token`] | the token endpoint: how it is reached, and what became of the one request |
//! | [`provider`] | what each provider does in its own way: requests, answers, signatures, refusals |
//! | [`sign`] | what every signature needs: prepared keys, encodings |
//! | [`verify`] | the server's half: check a MAC, refuse a replay |
//! | [`forward`] | a request that came in, made fit to be signed and sent on |
//! | [`testing`] | a strict provider to test your own stack with |
//!
//! # Features
//!
//! | feature | |
//! |---|---|
//! | `transport` | on by default. The built-in way to the token endpoint: hyper, HTTP/1.1, rustls with the platform's roots. Without it, give the endpoint a [`Transport`](token::Transport) |
//! | `postgres` | [`PostgresStore`](https://docs.rs/tower-mac-auth/latest/tower_mac_auth/store/postgres/): records in `PostgreSQL`, for many machines on one database |
//! | `redis` | [`store::redis`]: records in Redis, for many processes on many machines |
//! | `seal` | `SealedStore`: the secrets in any store sealed |
//! | `reqwest_013`, `reqwest_012`, `reqwest_middleware_05` | the layer around a `reqwest::Client`, and as a middleware |
//! | `metrics` | [numbers](account::numbers) for a recorder of the `metrics` facade |
//! | `testing` | the module [`testing`]; for `[dev-dependencies]` |
//! | `full` | all of them |
//!
//! # What it promises
//!
//! Before the first byte of a refresh token leaves, the store has it in writing that the token is
//! about to be presented. It is not presented again unless that is known to do no harm, or an
//! [`InDoubtPolicy`](account::InDoubtPolicy) says so. This promise is as durable, and as widely
//! shared, as the [`store`]: a [`MemoryStore`](store::MemoryStore) ends with its process and is known
//! to no other. An answer that is lost on the wire cannot be had again by anybody. The account is then
//! *in doubt*, says so, and goes on signing as long as its access token lives.
//!
//! Time comes from a [`Clock`] that can be replaced. Secrets are wiped when dropped, and print as
//! `[redacted]`.
//!
#![cfg_attr(
    not(feature = "redis"),
    doc = " [`store::redis`]: https://docs.rs/tower-mac-auth/latest/tower_mac_auth/store/redis/"
)]
#![cfg_attr(
    not(all(feature = "full", unix)),
    doc = " [`guide`]: https://docs.rs/tower-mac-auth/latest/tower_mac_auth/guide/"
)]
#![cfg_attr(
    not(feature = "testing"),
    doc = " [`testing`]: https://docs.rs/tower-mac-auth/latest/tower_mac_auth/testing/"
)]
#![forbid(unsafe_code)]
#![allow(
    clippy::duplicate_mod,
    reason = "two lines of reqwest have one code, each for types of its own"
)]
#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod account;
mod authorization_code;
mod body;
mod clock;
pub mod forward;
#[cfg(all(any(doc, doctest), unix, feature = "full"))]
pub mod guide;
pub mod layer;
pub mod provider;
#[cfg(feature = "reqwest_012")]
#[cfg_attr(docsrs, doc(cfg(feature = "reqwest_012")))]
pub mod reqwest_012;
#[cfg(feature = "reqwest_013")]
#[cfg_attr(docsrs, doc(cfg(feature = "reqwest_013")))]
pub mod reqwest_013;
mod secret;
pub mod sign;
pub mod store;
#[cfg(feature = "testing")]
#[cfg_attr(docsrs, doc(cfg(feature = "testing")))]
pub mod testing;
#[cfg(any(feature = "postgres", feature = "redis", feature = "transport"))]
mod tls;
pub mod token;
pub mod verify;

pub use authorization_code::AuthorizationCode;
pub use body::ReadAhead;
pub use clock::{Clock, SystemClock, Timestamp};
pub use secret::{AccessToken, ClientSecret, CodeVerifier, Extra, MacKeyText, RefreshToken};

/// The README's code compiles and runs.
#[cfg(all(doctest, feature = "testing", feature = "transport"))]
#[doc = include_str!("../README.md")]
struct Readme;
