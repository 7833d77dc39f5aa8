//! RFC 6750: the access token alone signs, in `Authorization: Bearer`. The tokens come from an RFC 6749
//! endpoint: everything about that is said to an [`OAuth2`](super::OAuth2).
//!
//! ```
//! use http::{HeaderMap, StatusCode};
//! use tower_mac_auth::Timestamp;
//! use tower_mac_auth::provider::{
//!     Bearer, Fresh, Grant, Head, OAuth2, Provider, Refusal, RequestParts, TokenSet,
//! };
//!
//! // For `Account::builder`.
//! let bearer = Bearer::new(
//!     OAuth2::new("https://server.example.com/token", "s6BhdRkqt3")
//!         .with_client_secret("7Fjfp0ZBr1KtDRbnfVdmIw")
//!         .allow("api.example.com")?,
//! );
//!
//! // What an account does with it, once per token and once per request.
//! let credential = bearer.credential(&Grant::from(TokenSet::new("mF_9.B5f-4.1JqM")))?;
//! let request = RequestParts::new("GET", "api.example.com", "/resource");
//! let signed = bearer.sign(&credential, &request, Fresh::at(Timestamp::from_millis(0)))?;
//! assert_eq!(signed.authorization().unwrap(), "Bearer mF_9.B5f-4.1JqM");
//!
//! // And when the API says no.
//! let mut headers = HeaderMap::new();
//! let value = r#"Bearer realm="example", error="invalid_token""#;
//! headers.insert("www-authenticate", value.parse()?);
//! let said = bearer.read_head(StatusCode::UNAUTHORIZED, &headers);
//! assert_eq!(said, Head::Verdict(Some(Refusal::TokenRejected)));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! A whole account, against the [strict provider](crate::testing) of the feature `testing`:
//!
//! ```
//! # #[cfg(feature = "testing")]
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
//! use bytes::Bytes;
//! use http::Request;
//! use http_body_util::Full;
//! use tower::{Layer, ServiceExt};
//! use tower_mac_auth::account::Account;
//! use tower_mac_auth::layer::MacAuthLayer;
//! use tower_mac_auth::provider::Bearer;
//! use tower_mac_auth::testing::{Dialect, Provider};
//!
//! let server = Provider::builder().dialect(Dialect::Bearer).build();
//! let bearer = Bearer::new(server.oauth2().allow("api.example.com")?);
//!
//! let account = Account::builder(server.endpoint_of(bearer));
//! let account = account.authorize("user-42", server.authorization_code()).await?;
//! let client = MacAuthLayer::new(account.clone()).layer(server.api());
//! let call = || Request::get("https://api.example.com/resource").body(Full::<Bytes>::default());
//!
//! // A token of which the scope falls short is not refreshed, one that has ended is.
//! server.set_insufficient_scope(true);
//! assert_eq!(client.clone().oneshot(call()?).await?.status(), 403);
//! assert!(server.presentations().is_empty());
//! server.set_insufficient_scope(false);
//! server.expire_access_tokens();
//! assert_eq!(client.oneshot(call()?).await?.status(), 200);
//! assert_eq!(server.presentations().len(), 1);
//! # account.shutdown().await;
//! # Ok(())
//! # }
//! # #[cfg(not(feature = "testing"))]
//! # fn main() {}
//! ```
//!
//! # The token
//!
//! It has to be visible ASCII, without spaces: whatever else is in a header could end it, or be read
//! as more than a token. That is more than the `b64token` of RFC 6750 §2.1, because providers issue
//! more: `!` and `|` are in tokens that work.
//!
//! # What is refused
//!
//! | response | what it says |
//! |---|---|
//! | `WWW-Authenticate: Bearer error="invalid_token"`, whatever the status | the token is rejected |
//! | another 401 | the same |
//! | `Bearer error="insufficient_scope"` (RFC 6750 §3.1), or another that begins with `insufficient_` | nothing, also as a 401: a token of the same grant would fall short as well |
//! | anything else | nothing |
//!
//! A 401 rejects the token even if all its challenges are of other schemes. There are APIs that name
//! `OAuth2`, `Basic` or nothing at all when a bearer token has ended, so to wait for `Bearer` would be
//! to sign on with a dead token. If it was about something else, the price is one refresh: no more
//! come of it than [`min_rotation_interval`](crate::account::AccountBuilder::min_rotation_interval)
//! lets through.

mod refusals;
mod vendor;

pub use vendor::Bearer;
