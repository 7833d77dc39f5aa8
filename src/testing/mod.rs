//! A strict provider, to test your own stack with: in process and on a socket.
//!
//! A [`Provider`] is a token endpoint and an API that takes what it issues. It keeps every rule
//! that a real one may keep, and tells you which one your stack broke:
//!
//! - a refresh token works once; presented again it is refused, and ends its grant if you
//!   [want](ProviderBuilder::reuse_kills_grant). [`Provider::presentations`] has each one that
//!   came;
//! - a request to the API must be signed over exactly what arrived, by a token that lives, with
//!   a nonce of about now that nobody has used; or bring a bearer token that lives, in
//!   `Authorization` and not in its URL. [`Provider::accepted`] has what was let through,
//!   bytes and all, [`Provider::refused`] what was not, and why;
//! - tokens expire and grants end [when you say](Provider::expire_access_tokens), and its clock
//!   is yours: see [`TestClock`];
//! - it says no in each [way](RefusalStyle) providers do, and its token endpoint fails in each
//!   way networks do: see [`Fault`]; its API, too: see [`ApiFault`].
//!
//! It speaks what the Xiaomi Open API does or, as a [`Dialect`], RFC 6749 with bearer tokens or with the
//! keys of draft-ietf-oauth-v2-http-mac.
//!
//! It keeps everything it sees in memory, in the clear: for tests alone.
//!
//! # The token endpoint
//!
//! [`Provider::endpoint`] asks it inside the process, [`Server::endpoint`] over a socket.
//!
//! ```
//! use std::time::Duration;
//! use tower_mac_auth::testing::{Fault, Presented, Provider};
//! use tower_mac_auth::token::Outcome;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let provider = Provider::new();
//! let endpoint = provider.endpoint();
//! let tokens = provider.issue(Duration::from_secs(3600));
//! let refresh_token = tokens.refresh_token.ok_or("a token")?;
//!
//! // The provider acts, and the answer is lost: the client cannot know.
//! provider.fault_next(Fault::ConsumedThenReset);
//! let outcome = endpoint.connect().await?.refresh(&refresh_token).await;
//! assert!(matches!(outcome, Outcome::Ambiguous(_)));
//! assert_eq!(provider.presentations()[0].outcome, Presented::Rotated);
//!
//! // So presenting it again is the mistake that this provider is here to catch.
//! let outcome = endpoint.connect().await?.refresh(&refresh_token).await;
//! assert!(matches!(outcome, Outcome::Refused(_)));
//! assert_eq!(provider.presented_twice().len(), 1);
//! # Ok(())
//! # }
//! ```
//!
//! # The API
//!
//! [`Provider::api`] is a [`tower_service::Service`] to put under the layers that you test, and
//! [`Provider::serve`] is the same on a socket, over HTTP/1.1 and HTTP/2. Any path and any method
//! will do.
//!
//! ```
//! use std::time::Duration;
//! use bytes::Bytes;
//! use http::{Request, header::AUTHORIZATION};
//! use http_body_util::Full;
//! use tower::ServiceExt;
//! use tower_mac_auth::provider::{Fresh, Provider as _, RequestParts};
//! use tower_mac_auth::testing::{Provider, TestClock};
//! use tower_mac_auth::Clock;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let clock = TestClock::new();
//! let provider = Provider::builder().clock(clock.clone()).build();
//! let tokens = provider.issue(Duration::from_secs(3600));
//!
//! // By hand what a signing layer does.
//! let xiaomi = provider.xiaomi();
//! let credential = xiaomi.credential(&tokens.into())?;
//! let parts = RequestParts::new("POST", "api.example", "/lamp");
//! let signed = xiaomi.sign(&credential, &parts, Fresh::at(clock.now()))?;
//! let uri = format!("https://api.example{}", signed.path_and_query().ok_or("a path")?);
//! let request = Request::post(uri)
//!     .header(AUTHORIZATION, signed.authorization().ok_or("a signature")?)
//!     .body(Full::new(Bytes::from("on")))?;
//!
//! let response = provider.api().oneshot(request.clone()).await?;
//! assert_eq!(response.status(), 200);
//! assert_eq!(provider.accepted()[0].body, "on");
//!
//! // The same bytes once more: somebody has listened.
//! let response = provider.api().oneshot(request).await?;
//! assert_eq!(response.status(), 401);
//! assert_eq!(provider.refused()[0].reason, "nonce: was used before");
//! # Ok(())
//! # }
//! ```
//!
//! # Bearer tokens
//!
//! As [`Dialect::Bearer`] the token endpoint is that of RFC 6749, as strict: a `POST` of a form, each
//! parameter once, no secret in the URL, the client authenticated in the way it is
//! [registered](ProviderBuilder::client_authentication) for and in no other, a code with its redirect
//! URI and the verifier of its challenge. What providers in the wild do otherwise has a knob each: a
//! [grace window](ProviderBuilder::grace_window), refresh tokens that
//! [stay](ProviderBuilder::rotate_refresh_tokens), [statuses](ProviderBuilder::token_refusal_status),
//! [errors](ProviderBuilder::token_error) and [fields](ProviderBuilder::token_extra) of their own.
//! [`Provider::oauth2`] and [`Server::oauth2`] are the client that fits.
//!
//! ```
//! use bytes::Bytes;
//! use http::Request;
//! use http_body_util::Full;
//! use tower::{Layer, ServiceExt};
//! use tower_mac_auth::account::Account;
//! use tower_mac_auth::layer::MacAuthLayer;
//! use tower_mac_auth::provider::Bearer;
//! use tower_mac_auth::testing::{Dialect, Provider};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
//! let provider = Provider::builder().dialect(Dialect::Bearer).build();
//! let endpoint = provider.endpoint_of(Bearer::new(provider.oauth2().allow("api.example")?));
//!
//! // A user opens the URL and agrees; the code works with the verifier alone.
//! let asked = endpoint.authorize_url("state").ok_or("a URL")?;
//! let code = provider.agree_to(&asked.url)?;
//! let code = code.with_verifier(asked.code_verifier.ok_or("a verifier")?);
//! let account = Account::builder(endpoint).authorize("user-42", code).await?;
//!
//! // The API says no, and the layer has the token refreshed.
//! provider.expire_access_tokens();
//! let client = MacAuthLayer::new(account).layer(provider.api());
//! let request = Request::get("https://api.example/me").body(Full::<Bytes>::default())?;
//! assert_eq!(client.oneshot(request).await?.status(), 200);
//! assert_eq!(provider.refused()[0].reason, "access_token: expired");
//! assert_eq!(provider.presentations().len(), 1);
//! # Ok(())
//! # }
//! ```
//!
//! # A store of your own
//!
//! [`Conformance`] holds it to what every store promises.

mod answer;
mod api;
mod api_faults;
mod builder;
#[cfg(test)]
mod by_hand;
mod clients;
mod clock;
mod codes;
mod config;
pub mod conformance;
mod dialect;
mod faults;
mod gate;
mod grants;
mod halved;
mod odd_text;
mod provider;
mod record;
mod refused;
mod rules;
mod server;
mod token_endpoint;
mod transport;
mod wire;

pub mod rotation {
    //! The pure half of the rotation, for model checkers: how a record moves, and what a process
    //! decides about one. Not under the promises of semantic versioning.

    pub use crate::account::rotation::decide::{
        Decision, PRESENT_AGAIN_AFTER, Presented, Stop, View, WATCH_BEFORE, decide,
        may_have_an_answer, may_present_again,
    };
    pub use crate::store::transition::{
        Lease, LeaseFrom, Transition, Wanted, acquire, commit, doubt, import, intend, reject,
        release, revoke,
    };
}

/// The bodies that an [`Api`] answers with.
#[doc(no_inline)]
pub use http_body_util::Full;

pub use self::answer::RefusalStyle;
pub use self::api::Api;
pub use self::api_faults::ApiFault;
pub use self::builder::ProviderBuilder;
pub use self::clock::TestClock;
pub use self::conformance::Conformance;
pub use self::dialect::Dialect;
pub use self::faults::Fault;
pub use self::provider::Provider;
pub use self::record::{AcceptedRequest, Presentation, Presented, RefusedRequest};
pub use self::server::Server;
pub use self::transport::InProcess;
