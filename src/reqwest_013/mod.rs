//! [`MacAuthLayer`] around a [`reqwest::Client`] (0.13): a `Service` of reqwest's own requests and
//! responses. With the feature `reqwest_middleware_05` the layer is a middleware of
//! reqwest-middleware 0.5, too.
//!
//! ```no_run
//! # async fn run(account: tower_mac_auth::account::Account) -> Result<(), Box<dyn std::error::Error>> {
//! use reqwest::{Method, Request, redirect};
//! use tower::{Layer, ServiceExt};
//! use tower_mac_auth::layer::MacAuthLayer;
//!
//! let client = reqwest::Client::builder().redirect(redirect::Policy::none()).build()?;
//! let client = MacAuthLayer::new(account).layer(client);
//!
//! let url = "https://open.account.xiaomi.com/user/profile".parse()?;
//! let response = client.oneshot(Request::new(Method::GET, url)).await?;
//! println!("{}", response.text().await?);
//! # Ok(())
//! # }
//! ```
//!
//! # What is signed
//!
//! The URL that reqwest sends. A [`Url`](reqwest::Url) is put into its final form when it is parsed
//! (`/a/./b` becomes `/a/b`, `'` in a query becomes `%27`, a default port vanishes), and it is that
//! form that the layer is given. A signer that is given the text from before signs another path, and
//! gets 96012. (A path or query that a provider of your own puts there, and reqwest would change, is an
//! error.)
//!
//! A `Host` goes into the request, not into the client's
//! [`default_headers`](reqwest::ClientBuilder::default_headers): reqwest adds those below the layer.
//!
//! # Redirects
//!
//! Switch them off: [`redirect::Policy::none`](reqwest::redirect::Policy::none). reqwest follows
//! redirects below the layer, with the same `Authorization`, which is a MAC over the old path. The
//! query with the access token is not repeated, but is in the `Referer` that reqwest sends along,
//! to whatever host it is led to, unless that is switched off, too. The layer cannot see which policy a
//! client has. tower-http's `FollowRedirect`, outside, signs each hop.
//!
//! # Bodies, time limits, errors
//!
//! A body is kept while it is sent, as [everywhere](crate::layer#sending-again), and sent again from
//! its first byte, be it a stream or bytes. A request's own [timeout](reqwest::RequestBuilder::timeout)
//! is that of each attempt. [`Response::url`](reqwest::Response::url) has the query that was sent, and
//! at Xiaomi that has the access token. So have reqwest's errors, from which the layer takes the
//! URL out; those of a body that fails later have it, so print them by
//! [`without_url`](reqwest::Error::without_url).
//!
//! # Many users
//!
//! A layer for [many users](crate::layer::PerRequest) finds the account in the extensions of the
//! request. reqwest's own requests show none, so make one of an `http::Request`:
//!
//! ```no_run
//! # use tower_mac_auth::account::Account;
//! # fn request(account: Account) -> Result<reqwest::Request, Box<dyn std::error::Error>> {
//! let request = http::Request::get("https://open.account.xiaomi.com/user/profile")
//!     .extension(account)
//!     .body(reqwest::Body::default())?;
//! let request = reqwest::Request::try_from(request)?;
//! # Ok(request)
//! # }
//! ```
//!
//! # With reqwest-middleware
//!
#![cfg_attr(
    feature = "reqwest_middleware_05",
    doc = r#"
```no_run
# async fn run(account: tower_mac_auth::account::Account) -> Result<(), Box<dyn std::error::Error>> {
use reqwest::redirect;
use reqwest_middleware::ClientBuilder;
use tower_mac_auth::layer::MacAuthLayer;

let client = reqwest::Client::builder().redirect(redirect::Policy::none()).build()?;
let client = ClientBuilder::new(client).with(MacAuthLayer::new(account)).build();
let response = client.get("https://open.account.xiaomi.com/user/profile").send().await?;
# Ok(())
# }
```
"#
)]
//! Middlewares that are added before the layer stand outside of it, those after it inside: a retry goes
//! before, because each try needs a nonce of its own. The account of a request goes into its
//! extensions: `client.get(url).with_extension(account)`. Why a request was not signed is
//! [`AuthError`](crate::layer::AuthError), in an `Error::Middleware`.
//!
//! # With tower-reqwest
//!
//! `tower_reqwest::HttpClientService` is a `Service<http::Request<reqwest::Body>>`. The layer hands its
//! own body in, so put a `map_request` between them:
//!
//! ```no_run
//! # async fn run(account: tower_mac_auth::account::Account) -> Result<(), Box<dyn std::error::Error>> {
//! use http::Request;
//! use reqwest::{Body, redirect};
//! use tower::{ServiceBuilder, ServiceExt};
//! use tower_mac_auth::layer::{MacAuthLayer, RequestBody};
//! use tower_reqwest::HttpClientLayer;
//!
//! let client = reqwest::Client::builder().redirect(redirect::Policy::none()).build()?;
//! let client = ServiceBuilder::new()
//!     .layer(MacAuthLayer::new(account))
//!     .map_request(|request: Request<RequestBody<Body>>| request.map(Body::wrap))
//!     .layer(HttpClientLayer)
//!     .service(client);
//!
//! let request = Request::get("https://open.account.xiaomi.com/user/profile");
//! let response = client.oneshot(request.body(Body::default())?).await?;
//! # Ok(())
//! # }
//! ```
//!
//! Then the path that is signed is the one of the `http::Uri`, and must not be one that reqwest changes.
//!
//! [`MacAuthLayer`]: crate::layer::MacAuthLayer

mod convert;
#[cfg(feature = "reqwest_middleware_05")]
mod middleware;
mod service;

pub use self::service::ResponseFuture;

pub use reqwest;
#[cfg(feature = "reqwest_middleware_05")]
pub use reqwest_middleware;
