//! The server's half: check a MAC, refuse a replay. Pure: the time comes in as an argument.
//!
//! ```
//! use std::time::Duration;
//! use tower_mac_auth::provider::RequestParts;
//! use tower_mac_auth::provider::xiaomi::{Credential, Nonce, SigningRules};
//! use tower_mac_auth::sign::{Algorithm, MacKey};
//! use tower_mac_auth::verify::{MacAuthorization, ReplayGuard, Verifier};
//! use tower_mac_auth::{AccessToken, MacKeyText, Timestamp};
//!
//! let key = MacKey::new(Algorithm::HmacSha1, &MacKeyText::new("ORhx44qK6Alqf8vt2rGB5f-oPq0"))?;
//! let now = Timestamp::from_secs(1_396_941_600);
//!
//! // What a client sends.
//! let request = RequestParts::new("GET", "open.account.xiaomi.com", "/user/profile");
//! let credential = Credential::new(&AccessToken::new("eJxjYGAQ"), key.clone());
//! let signed = SigningRules::new().sign(&credential, &request, &Nonce::fresh(now))?;
//!
//! // What the server makes of it.
//! let target = signed.path_and_query().unwrap().clone();
//! let request = request.with_query(target.query());
//! let guard = ReplayGuard::new(Duration::from_secs(600), 100_000);
//! let authorization: MacAuthorization = signed.authorization().unwrap().to_str().unwrap().parse()?;
//! assert_eq!(authorization.access_token().expose_secret(), "eJxjYGAQ");
//! Verifier::new().check(&key, &request, &authorization)?;
//! guard.admit(&authorization, now)?;
//!
//! // The same request a second time.
//! let again = guard.admit(&authorization, now);
//! assert_eq!(again.unwrap_err().to_string(), "nonce: was used before");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! By a revision of draft-ietf-oauth-v2-http-mac, with the hash of a body:
//!
//! ```
//! use std::time::Duration;
//! use tower_mac_auth::provider::RequestParts;
//! use tower_mac_auth::provider::http_mac::Draft;
//! use tower_mac_auth::sign::{Algorithm, MacKey};
//! use tower_mac_auth::verify::{MacAuthorization, ReplayGuard, Verifier};
//! use tower_mac_auth::{MacKeyText, Timestamp};
//!
//! // What arrived, with the port that the client has named in `Host`.
//! let authorization: MacAuthorization = "MAC id=\"jd93dh9dh39D\", nonce=\"273156:di3hvdf8\", \
//!     bodyhash=\"k9kbtCIy0CkI3/FEfpS/oIDjk6k=\", mac=\"W7bdMZbv9UWOTadASIQHagZyirA=\"".parse()?;
//! let request = RequestParts::new("POST", "example.com", "/request")
//!     .with_port(80)
//!     .with_body(&b"hello=world%21"[..]);
//!
//! // What the server knows of `jd93dh9dh39D`.
//! let key = MacKey::new(Algorithm::HmacSha1, &MacKeyText::new("8yfrufh348h"))?;
//! let issued_at = Timestamp::from_secs(1_336_363_200);
//!
//! Verifier::http_mac(Draft::V00).check(&key, &request, &authorization)?;
//! let now = Timestamp::from_secs(1_336_363_200 + 273_157);
//! let guard = ReplayGuard::new(Duration::from_secs(600), 100_000);
//! guard.admit(&authorization.with_issued_at(issued_at), now)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Check the MAC first, and the nonce after it: nonces are remembered only for requests that were
//! signed with the key, or anyone could fill the memory.
//!
//! # In a server
//!
//! [`VerifyMacLayer`] does all of it around a service, axum's for one, and puts who called into the
//! request's extensions:
//!
//! ```
//! # #[cfg(feature = "testing")]
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! use std::convert::Infallible;
//! use std::time::Duration;
//!
//! use axum::{Extension, Router, routing::get};
//! use tower_mac_auth::AccessToken;
//! use tower_mac_auth::verify::{ReplayGuard, TokenKeys, Verified, Verifier, VerifyMacLayer};
//!
//! /// What a database knows of a token.
//! async fn look_up(token: AccessToken) -> Result<Option<TokenKeys<String>>, Infallible> {
//! #   let _ = token;
//! #   Ok(None)
//! }
//!
//! async fn profile(Extension(Verified(user)): Extension<Verified<String>>) -> String {
//!     format!("hello, {user}")
//! }
//!
//! let nonces = ReplayGuard::new(Duration::from_secs(600), 1_000_000);
//! let app: Router = Router::new()
//!     .route("/user/profile", get(profile))
//!     .layer(VerifyMacLayer::new(Verifier::new(), look_up, nonces));
//! # Ok(())
//! # }
//! ```
//!
//! It belongs outside of whatever changes the path or the query (axum's `nest` is inside of a layer of
//! the outer router), and inside of what limits how many requests there are at once. The path and the
//! query are checked as they arrived. If a proxy before it changes `Host`, say with
//! [`host`](VerifyMacLayer::host) what clients sign.
//!
//! | a request | is answered | in Xiaomi's words | in those of the drafts |
//! |---|---|---|---|
//! | without `Authorization` | 401 | 96012 | `WWW-Authenticate: MAC` |
//! | with a token that is not known, or has ended | 401 | 96008: the client refreshes | `MAC error="invalid MAC credentials"` |
//! | with a wrong MAC, too old, or a second time | 401 | 96012: the client sets its clock by `Date`, and signs anew | `MAC error="invalid MAC, nonce or timestamp"` |
//! | with two `Authorization`, two hosts, or none | 400 | 96002 | |
//! | with more of a body than is [read](VerifyMacLayer::body_cap), if it is signed | 413 | 96002 | |
//! | while the keys or the nonces cannot be asked, or no nonce can be remembered | 503 | 96002 | |
//!
//! A body that is signed goes on as it came, in a [`ReadAhead`](crate::ReadAhead): chunk by chunk, with
//! its trailers. By the drafts it is read once the MAC holds, at Xiaomi once the token is known.
//!
//! Which part of a signature was wrong is not told to the client, but in the log: an event at `DEBUG` has
//! it in `denial`. If every request is denied, compare the [`SigningRules`](crate::provider::xiaomi::SigningRules)
//! of both sides: [`Verifier::with_rules`] takes what the client signs by. A token that is not known costs as much time as
//! one that is.

mod authorization;
mod callback;
mod error;
mod keys;
mod layer;
mod mac;
mod nonces;
mod parameters;
mod replay;
mod stamp;
mod verifier;

pub use authorization::MacAuthorization;
pub use callback::CallbackVerifier;
pub use error::{VerifyError, VerifyErrorKind};
pub use keys::{KeyLookup, TokenKeys};
#[cfg(feature = "testing")]
pub(crate) use layer::Denial;
pub use layer::{NotVerified, Verified, VerifyMac, VerifyMacLayer};
pub use mac::Mac;
pub use nonces::{ClaimError, NonceStore};
pub use replay::{ReplayGuard, check_window};
pub use verifier::Verifier;
