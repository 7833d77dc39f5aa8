//! The middleware: signs every request that goes through, has a refused credential refreshed once
//! however many requests notice, and sends the refused requests again.
//!
//! ```
//! # #[cfg(feature = "testing")]
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
//! # use std::time::Duration;
//! use bytes::Bytes;
//! use http::Request;
//! use http_body_util::Full;
//! use tower::{ServiceBuilder, ServiceExt};
//! use tower_mac_auth::account::Account;
//! use tower_mac_auth::layer::{Attempt, MacAuthLayer};
//! use tower_mac_auth::testing::Provider;
//!
//! // In place of the real token endpoint, and of a hyper client.
//! let provider = Provider::new();
//! let (endpoint, http_client) = (provider.endpoint(), provider.api());
//!
//! let account = Account::builder(endpoint)
//!     .tokens(provider.issue(Duration::from_secs(3600)))
//!     .open("user-42")
//!     .await?;
//! let client = ServiceBuilder::new()
//!     .layer(MacAuthLayer::new(account))
//!     .service(http_client);
//!
//! // The token ends early, and nobody is told.
//! provider.expire_access_tokens();
//! let request = Request::post("https://open.account.xiaomi.com/lamp?room=2")
//!     .body(Full::new(Bytes::from("on")))?;
//! let response = client.oneshot(request).await?;
//!
//! assert_eq!(response.status(), 200);
//! assert_eq!(response.extensions().get(), Some(&Attempt::RESEND));
//! assert_eq!(provider.accepted()[0].body, "on");
//! assert_eq!(provider.presentations().len(), 1);
//! # Ok(())
//! # }
//! # #[cfg(not(feature = "testing"))]
//! # fn main() {}
//! ```
//!
//! # What a refused request does
//!
//! | the API says | the layer |
//! |---|---|
//! | the token is no good, and there is a newer credential by now | signs anew with the newer credential and sends again; nothing is refreshed |
//! | the token is no good, and a rotation made it less than [`min_rotation_interval`](crate::account::AccountBuilder::min_rotation_interval) ago | hands the refusal back: refreshing cannot fix it |
//! | the token is no good, otherwise | starts a refresh or joins the one under way, waits, signs anew, sends again |
//! | the MAC or the nonce is no good | sets the clock for nonces by the response's `Date` (unless an `Age` says that it is old), signs with a new nonce, sends again; never refreshes |
//! | anything else | hands the response back |
//!
//! A request is sent twice at most, and the second response is handed back whatever it says.
//! If the refresh fails, the caller gets the refusal, whole, with the
//! [`RefreshError`](crate::account::RefreshError) in its extensions.
//!
//! A request that finds the credential dead is not sent before there is a new credential. If none can
//! be had, the request fails with [`AuthErrorKind::Credential`]. The account's timeouts bound how long
//! it waits.
//!
//! # What is signed, and what is not sent
//!
//! Method, host, path and query are signed as they are when the request reaches the layer. The body
//! is not, unless the provider [needs it](crate::provider::Provider::needs_body): then it is read before
//! it is sent. What signs the request (`Authorization`, mostly) takes the place of what the caller put
//! there. Xiaomi's signature also puts `clientId` and `token` into the query, in place of the caller's
//! own, unless its [rules](crate::provider::xiaomi::SigningRules::query_credentials) leave them alone.
//!
//! A request is refused with [`Error::Auth`], and not sent, when
//!
//! - it goes to a host that is not among the [`AllowedAuthorities`](crate::provider::AllowedAuthorities), or over plain `http` to
//!   another machine, or has a `Host` header that names another host than the URI;
//! - a part of it cannot be signed: a bad escape in the query, say;
//! - there is no live credential;
//! - it is not clear who signs: the request brings no account to a layer for
//!   [many users](PerRequest), or another account to the layer of one account. Whatever loses the
//!   extensions of a request above the layer (a redirect, a retry that makes the request anew) so
//!   causes an error, and never a request in another user's name.
//!
//! # Sending again
//!
//! A body is kept while it is sent, up to [`resend_cap`](MacAuthLayer::resend_cap) bytes (64 KiB)
//! and 1024 frames, and is sent again with the same chunks and trailers. A refusal may come before
//! the upload has ended: then the second attempt sends what was kept and goes on with the rest, while
//! the body of the first attempt ends with an error. A body that is larger is sent once: its refusal
//! is handed back, while the credential is refreshed for the next request.
//!
//! The second attempt is the request as the caller made it (method, URI, headers, version and
//! extensions), signed anew with a new nonce.
//!
//! # Reading refusals
//!
//! The provider [reads the head](crate::provider::Provider::read_head) of a response. If it wants, it
//! also [reads the body](crate::provider::Provider::read_body), if that may be a refusal: JSON or text
//! of at most 4 KiB, whatever the status, because Xiaomi does not document which status a refusal has. A compressed body (gzip, deflate, br, zstd) is decoded to be read, up to
//! 4 KiB. The body of a response without a length and without an error status is read only as long
//! as it is a JSON object that has not ended.
//!
//! What was read is given back as it came, frame by frame, and no response is held up longer than
//! [`inspection_limit`](MacAuthLayer::inspection_limit) (1 s). At Xiaomi a 401
//! whose body says nothing counts as a rejected token.
//!
//! While it waits for a body, the layer needs a tokio timer.
//!
//! # Extensions
//!
//! | where | what |
//! |---|---|
//! | request | the [`Account`](crate::account::Account) that signs it, for a layer for many users: [`PerRequest`]. The layer takes it out |
//! | request to the inner service | the [`Generation`](crate::store::Generation) that signs and the [`Attempt`], if the request is sent again, or [always](MacAuthLayer::report_every_attempt) |
//! | response | the [`Generation`](crate::store::Generation) that signed and the [`Attempt`], if the response is a refusal or its request was sent again, or [always](MacAuthLayer::report_every_attempt) |
//! | response | the [`RefreshError`](crate::account::RefreshError), if the response is a refusal after which the request would have been sent again, had the refresh not failed |
//!
//! ```
//! # #[cfg(feature = "testing")]
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
//! # use std::time::Duration;
//! # use bytes::Bytes;
//! # use http::Request;
//! # use http_body_util::Full;
//! # use tower::{Layer, ServiceExt};
//! # use tower_mac_auth::account::{Account, RefreshError, RefreshErrorKind};
//! # use tower_mac_auth::layer::{MacAuthLayer, PerRequest};
//! # use tower_mac_auth::testing::{Fault, Provider};
//! # let provider = Provider::new();
//! # let hour = Duration::from_secs(3600);
//! # let builder = Account::builder(provider.endpoint());
//! # let ben = builder.tokens(provider.issue(hour)).open("ben").await?;
//! let client = MacAuthLayer::per_request(ben.provider()).layer(provider.api());
//!
//! // Signed as Ben.
//! let request = Request::get("https://open.account.xiaomi.com/user/profile")
//!     .extension(ben.clone())
//!     .body(Full::<Bytes>::default())?;
//! provider.expire_access_tokens();
//! provider.fault_next(Fault::ConnectionRefused); // and the token endpoint is out of reach
//! let refused = client.oneshot(request).await?;
//!
//! let why = refused.extensions().get::<RefreshError>().map(RefreshError::kind);
//! assert_eq!(why, Some(RefreshErrorKind::Unsent));
//! # Ok(())
//! # }
//! # #[cfg(not(feature = "testing"))]
//! # fn main() {}
//! ```
//!
//! # Readiness
//!
//! [`MacAuth`] is ready when the inner service is. Each request is sent by an instance that was
//! polled ready and has not been called since:
//!
//! - the first attempt, by the very instance that the caller polled;
//! - a request that has to wait for a credential, by a clone, which is polled ready once the
//!   credential is there. The instance that the caller polled is dropped before the wait, with any
//!   permit it held, because requests of other accounts need the permit;
//! - the second attempt, by a clone, which is polled ready after the future of the first attempt is
//!   dropped: that future may hold the only permit there is. It is a clone of the service as it was when
//!   it, or one of its clones, was first called, or first after [`MacAuth::get_mut`]; what the service
//!   makes of itself later, each clone has to make of itself, too.
//!
//! # Where it stands in a stack
//!
//! ```
//! # use std::time::Duration;
//! # use bytes::Bytes;
//! # use http::{Request, Response};
//! # use http_body_util::Full;
//! # use tower::{BoxError, Service, ServiceBuilder};
//! # use tower_mac_auth::account::Account;
//! use tower_mac_auth::ReadAhead;
//! use tower_mac_auth::layer::{Error, MacAuthLayer, RequestBody};
//!
//! fn stack<S>(account: Account, http_client: S) -> impl Service<
//!     Request<Full<Bytes>>,
//!     Response = Response<ReadAhead<Full<Bytes>>>,
//!     Error = BoxError,
//! >
//! where
//!     S: Service<Request<RequestBody<Full<Bytes>>>, Response = Response<Full<Bytes>>> + Clone,
//!     S::Error: Into<BoxError>,
//! {
//!     ServiceBuilder::new()
//!         .timeout(Duration::from_secs(120)) // of all that follows, a refresh included
//!         .map_err(Error::into_boxed)
//!         .layer(MacAuthLayer::new(account))
//!         .timeout(Duration::from_secs(20)) // of each attempt
//!         .service(http_client)
//! }
//! ```
//!
//! - **Outside** (before the layer): whatever changes method, URI or `Host`; retries, because each
//!   try needs a nonce of its own; redirects, so that each hop is checked and signed; the timeout of
//!   the whole call; tower-http's `TraceLayer`. A call that is dropped does no harm: a refresh goes on
//!   without it.
//! - **Inside** (after the layer): the timeout of one attempt; limits of concurrency; the trace of one
//!   attempt, if its span shows no query.
//! - **Either**: decompression. If it is outside, small compressed responses are decoded twice. If it
//!   is inside, refusals are read in every coding that the decompression knows.
//! - **Never inside**: a `TraceLayer` as it is by default. Its span has the URI, and at Xiaomi the access
//!   token is in the query: whoever reads the log at `DEBUG` has it. Give it a span of your own with a
//!   [`RedactedUri`] and the [`Attempt`], as `examples/tracing.rs` does. The same goes for errors of the
//!   inner service that quote the URL, as those of some clients do.
//! - **Never inside**: redirects. They carry the old MAC, and the query with the access token, to
//!   wherever they lead. hyper-util's client follows none; in a client that does, switch them off.
//! - The inner error is not boxed. If it is a box already, [`Error::into_boxed`] puts it and the
//!   layer's own error into one box.
//!
//! # Without tower
//!
//! A client that is no tower service has its requests signed by
//! [`Account::sign`](crate::account::Account::sign), and does itself what a layer does about a refusal.
//!
//! # In a gateway
//!
//! What came in is made fit to be signed and sent on by [`Upstream`](crate::forward::Upstream), outside of
//! the layer, and errors become responses. (axum wants `Error = Infallible`: `HandleErrorLayer`.)
//! `examples/gateway` is a whole gateway.

mod attempt;
mod attempt_span;
mod call;
mod clock;
mod common;
mod config;
mod error;
mod exchange;
mod future;
mod head;
mod identity;
#[expect(
    clippy::module_inception,
    reason = "each middleware is a folder with these files"
)]
mod layer;
mod outgoing;
mod read_body;
mod redacted_uri;
mod refusal;
mod request_body;
mod resend;
mod service;
mod sign;
mod sign_request;
mod unsent;

/// What [`MacAuthLayer`] and [`MacAuth`] are: tower's.
#[doc(no_inline)]
pub use {tower_layer::Layer, tower_service::Service};

pub use attempt::Attempt;
pub use attempt_span::{AttemptSpan, AttemptSpanFuture, AttemptSpanLayer};
pub use error::{AuthError, AuthErrorKind, Error, needs_authorization};
pub use future::ResponseFuture;
pub use identity::{Identity, PerRequest};
pub use layer::MacAuthLayer;
pub use redacted_uri::RedactedUri;
pub use request_body::{RequestBody, RequestBodyError, RequestBodyErrorKind};
pub use service::MacAuth;
pub use sign_request::SignRequest;
