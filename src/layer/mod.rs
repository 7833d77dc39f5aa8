//! The middleware: signs every request that goes through, has a refused credential refreshed once
//! however many notice, and sends the refused requests again.
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
//!     .layer(MacAuthLayer::xiaomi(account))
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
//! | the token is no good, and there is a newer credential by now | signs with that one and sends again; nothing is refreshed |
//! | the token is no good, and a rotation made it less than [`min_rotation_interval`](crate::account::AccountBuilder::min_rotation_interval) ago | hands the refusal back: refreshing cannot fix it |
//! | the token is no good, else | starts a refresh or joins the one under way, waits, signs anew, sends again |
//! | the MAC or the nonce is no good | sets the clock for nonces by the response's `Date` (unless an `Age` says that it is old), signs with a new nonce, sends again; never refreshes |
//! | anything else | hands the response back |
//!
//! A request is sent twice at most. The answer to the second time is handed back whatever it is.
//! If the refresh fails, the caller gets the refusal, whole, with the
//! [`RefreshError`](crate::account::RefreshError) in its extensions.
//!
//! A request that finds the credential dead is not sent at all before there is a new one; if none
//! can be had it ends with [`AuthErrorKind::Credential`]. How long such a wait can take is bounded
//! by the account's timeouts.
//!
//! # What is signed, and what is not sent
//!
//! Method, host, path and query as they are when the request reaches the layer; not the body,
//! unless the scheme [signs forms](crate::sign::XiaomiOpenApi::sign_form), which are then read (64
//! KiB at most) before they are sent. `Authorization` is replaced. `clientId` and `token` are put
//! into the query, also in place of the caller's own, unless the
//! [scheme](crate::sign::XiaomiOpenApi::query_credentials) leaves them alone.
//!
//! A request is refused with [`Error::Auth`], and not sent, when
//!
//! - it goes to a host that is not among the [`AllowedAuthorities`], or over plain `http` to
//!   another machine, or has a `Host` header that says something else than an allowed host;
//! - a part of it cannot be signed: a bad escape in the query, say;
//! - there is no live credential;
//! - it is not clear who signs: it brings no account to a layer for [many users](PerRequest), or
//!   another account to the layer of one. So what loses the extensions of a request above the layer
//!   (a redirect, a retry that makes it anew) ends in an error, and never in another user's name.
//!
//! # Sending again
//!
//! A body is kept while it is sent, up to [`resend_cap`](MacAuthLayer::resend_cap) bytes (64 KiB)
//! and 1024 frames; it is sent again with the same chunks and trailers. A refusal may come before
//! the upload has ended: the second attempt sends what is kept and goes on with the rest, while the
//! first attempt's body ends with an error. A body past the cap is sent all the same, but not again:
//! its refusal is handed back, while the credential is refreshed for the next request.
//!
//! What is sent again is what the caller made: method, URI, headers, version and extensions, signed
//! anew with a new nonce.
//!
//! # Reading refusals
//!
//! A [`RefusalPolicy`] reads the head, and the body where it may be a refusal: JSON or text of at
//! most 4 KiB, whatever the status, because the provider does not document which. One that is
//! compressed (gzip, deflate, br, zstd) is decoded to be read, up to 4 KiB, and given back as it came.
//! A response without a length and without an error status is read on only while it is a JSON object
//! that has begun and not ended.
//! What was read is given back as it came, frame by frame, and no response is held up longer than
//! [`inspection_limit`](MacAuthLayer::inspection_limit) (1 s). A 401 whose body says nothing counts
//! as a rejected token.
//!
//! Where the policy has to wait for a body it needs a tokio timer.
//!
//! # Extensions
//!
//! | where | what |
//! |---|---|
//! | request | the [`Account`](crate::account::Account) that signs it, through a layer for many users: [`PerRequest`]. It is taken out |
//! | response | the [`Generation`](crate::store::Generation) that signed and the [`Attempt`], if it is a refusal or its request was sent again, or [always](MacAuthLayer::report_every_response) |
//! | response | the [`RefreshError`](crate::account::RefreshError), if it is a refusal after which the request would have been sent again, and the refresh failed |
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
//! let client = MacAuthLayer::xiaomi(PerRequest).layer(provider.api());
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
//!   permit it held: requests of other accounts need it;
//! - the second attempt, by a clone, which is polled ready after the future of the first attempt is dropped:
//!   the first may hold the only permit there is.
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
//! use tower_mac_auth::layer::{Error, MacAuthLayer, RequestBody, ResponseBody};
//!
//! fn stack<S>(account: Account, http_client: S) -> impl Service<
//!     Request<Full<Bytes>>,
//!     Response = Response<ResponseBody<Full<Bytes>>>,
//!     Error = BoxError,
//! >
//! where
//!     S: Service<Request<RequestBody<Full<Bytes>>>, Response = Response<Full<Bytes>>> + Clone,
//!     S::Error: Into<BoxError>,
//! {
//!     ServiceBuilder::new()
//!         .timeout(Duration::from_secs(120)) // of all that follows, a refresh included
//!         .map_err(Error::into_boxed)
//!         .layer(MacAuthLayer::xiaomi(account))
//!         .timeout(Duration::from_secs(20)) // of each attempt
//!         .service(http_client)
//! }
//! ```
//!
//! - **Outside** (before it): whatever changes method, URI or `Host`; retries, for each try needs
//!   a nonce of its own; redirects, so that each hop is checked and signed; the timeout of the
//!   whole. A call that is dropped does no harm: a refresh goes on without it.
//! - **Inside** (after it): the timeout of one attempt; limits of concurrency.
//! - **Either**: decompression. Outside, small responses are decoded twice; inside, refusals in any
//!   coding it knows are read.
//! - **Nowhere inside**: redirects, which carry the old MAC and the query with the access token to
//!   wherever they lead. hyper-util's client follows none; switch them off in one that does.
//! - The inner error is not boxed. Where it is a box already, [`Error::into_boxed`] makes one of
//!   both.
//!
//! # In a gateway
//!
//! A server that passes requests on strips the `Host` that came in, gives the request the URI of
//! the API, and turns errors into responses; axum, for one, wants `Error = Infallible`
//! (`HandleErrorLayer`). `examples/gateway.rs` is one, whole.

mod attempt;
mod authority;
mod call;
mod config;
mod error;
mod future;
mod identity;
#[expect(
    clippy::module_inception,
    reason = "each middleware is a folder with these files"
)]
mod layer;
mod outgoing;
mod read_form;
mod refusal;
mod request_body;
mod resend;
mod response_body;
#[cfg(test)]
mod scripted;
mod service;
mod sign;
mod size_hint;
mod unsent;

pub use attempt::Attempt;
pub use authority::{AllowedAuthorities, AuthorityError, AuthorityErrorKind, InvalidAuthority};
pub use error::{AuthError, AuthErrorKind, Error};
pub use future::ResponseFuture;
pub use identity::{Identity, PerRequest};
pub use layer::MacAuthLayer;
pub use refusal::{Head, Refusal, RefusalPolicy, XiaomiRefusals};
pub use request_body::{RequestBody, RequestBodyError, RequestBodyErrorKind};
pub use response_body::ResponseBody;
pub use service::MacAuth;
