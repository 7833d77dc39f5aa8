//! RFC 6749: how a client asks a token endpoint, and what the answers mean.
//!
//! [`OAuth2`] is the half of a [`Provider`](super::Provider) that is about tokens. A provider is made of
//! it and of a way to sign: [`Bearer`](super::Bearer) is, and so can one of your own be, by calling its
//! methods in those of the same names.
//!
//! ```
//! use bytes::Bytes;
//! use http::Response;
//! use tower_mac_auth::provider::{
//!     AuthorizeRequest, Fresh, GrantType, Meaning, OAuth2, Outcome,
//! };
//! use tower_mac_auth::{AuthorizationCode, CodeVerifier, RefreshToken, Timestamp};
//!
//! let client = OAuth2::new("https://server.example.com/token", "s6BhdRkqt3")
//!     .with_client_secret("7Fjfp0ZBr1KtDRbnfVdmIw")
//!     .with_authorize_url("https://server.example.com/authorize")
//!     .with_redirect_uri("https://client.example.com/cb")
//!     .with_parameter(GrantType::RefreshToken, "audience", "api")
//!     .with_error("bad_refresh_token", Meaning::GrantEnded);
//! client.check()?;
//!
//! // To the user's browser. `TokenEndpoint::authorize_url` does this, challenge and all.
//! let verifier = CodeVerifier::random();
//! let (state, challenge) = (AuthorizeRequest::random_state(), verifier.challenge());
//! let mut request = AuthorizeRequest::new(&state);
//! request.code_challenge = Some(&challenge);
//! let url = client.authorize_url(&request).unwrap();
//! assert!(url.starts_with("https://server.example.com/authorize?response_type=code&client_id="));
//!
//! // To the token endpoint. An account does this.
//! let fresh = Fresh::at(Timestamp::from_millis(0));
//! let code = AuthorizationCode::new("SplxlOBeZQQYbYS6WxSbIA").with_verifier(verifier);
//! client.token_request((&code).into(), fresh)?;
//! let refresh_token = RefreshToken::new("tGzv3JOkF0XG5Qx2TlKWIA");
//! let request = client.token_request((&refresh_token).into(), fresh)?;
//! assert_eq!(
//!     request.body(),
//!     "grant_type=refresh_token&refresh_token=tGzv3JOkF0XG5Qx2TlKWIA\
//!      &client_id=s6BhdRkqt3&client_secret=7Fjfp0ZBr1KtDRbnfVdmIw&audience=api",
//! );
//!
//! // What became of it.
//! let answer = Response::new(Bytes::from_static(br#"{"error":"bad_refresh_token"}"#));
//! match client.token_answer((&refresh_token).into(), &answer) {
//!     Outcome::Refused(no) => assert_eq!(no.meaning(), Meaning::GrantEnded),
//!     other => panic!("{other:?}"),
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Errors
//!
//! An `error` counts with a status of success or of the client's fault, 200 included. It is a text, or
//! a number; one that is empty is none.
//!
//! | answer | meaning |
//! |---|---|
//! | `invalid_grant` | [`GrantEnded`](super::Meaning::GrantEnded), of a code [`CodeRejected`](super::Meaning::CodeRejected) |
//! | `invalid_client`, `unauthorized_client`, `unsupported_grant_type`, `invalid_scope`, `invalid_request`, `invalid_target` (RFC 8707) | [`Configuration`](super::Meaning::Configuration) |
//! | status 429 without tokens, whatever it says | [`Outcome::RateLimited`](super::Outcome::RateLimited) |
//! | another `error` | [`Unknown`](super::Meaning::Unknown): in doubt |
//! | another status that is no success | in doubt |
//!
//! Add what your provider documents. These are known to differ:
//!
//! | provider | |
//! |---|---|
//! | GitHub | a 200 with `bad_refresh_token`: `with_error("bad_refresh_token", Meaning::GrantEnded)` |
//! | X, Oura | a spent token is `invalid_request`: `with_error("invalid_request", Meaning::GrantEnded)` |
//! | one that documents `slow_down` or `temporarily_unavailable` as without effect | `with_error("slow_down", Meaning::TryLater)` |
//! | one whose 503 has no effect | `with_status(StatusCode::SERVICE_UNAVAILABLE, Meaning::TryLater)` |
//!
//! The same against the [strict provider](crate::testing) of the feature `testing`, which here
//! writes what GitHub does:
//!
//! ```
//! # #[cfg(feature = "testing")]
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use std::time::Duration;
//! use http::StatusCode;
//! use tower_mac_auth::provider::xiaomi::ErrorCode;
//! use tower_mac_auth::provider::{Bearer, Meaning, Outcome};
//! use tower_mac_auth::testing::{Dialect, Provider};
//!
//! let server = Provider::builder()
//!     .dialect(Dialect::Bearer)
//!     .token_refusal_status(StatusCode::OK)
//!     .token_error(ErrorCode::RefreshTokenRejected, "bad_refresh_token")
//!     .build();
//! let refresh_token = server.issue(Duration::from_secs(3600)).refresh_token.ok_or("a token")?;
//!
//! // A client that was not told would be in doubt.
//! let client = server.oauth2().with_error("bad_refresh_token", Meaning::GrantEnded);
//! let endpoint = server.endpoint_of(Bearer::new(client));
//! let first = endpoint.connect().await?.refresh(&refresh_token).await;
//! assert!(matches!(first, Outcome::Tokens(_)));
//! match endpoint.connect().await?.refresh(&refresh_token).await {
//!     Outcome::Refused(no) => assert_eq!(no.meaning(), Meaning::GrantEnded),
//!     other => panic!("{other:?}"),
//! }
//! # Ok(())
//! # }
//! # #[cfg(not(feature = "testing"))]
//! # fn main() {}
//! ```
//!
//! # Tokens
//!
//! - `access_token` must be there, of printable ASCII. `token_type` may be missing.
//! - `expires_in` may be missing. If it is there it must be a whole number of seconds, or a text of
//!   one, more than zero and less than 100 years.
//! - Without a `refresh_token`, or with an empty one, the old one stays good (RFC 6749 §6).
//! - `refresh_token_expires_in`, `refresh_expires_in` or `x_refresh_token_expires_in` is the life of
//!   the refresh token, if it can be read.
//! - The user is the `sub` of the `id_token`. Its signature is not verified: it came from the token
//!   endpoint itself over TLS (OpenID Connect Core §3.1.3.7).
//! - Everything else is in [`TokenSet::extras`](super::TokenSet::extras).
//!
//! An answer with a fault leaves in doubt what was presented; the fault is named, and a new refresh
//! token that came with it is [kept](super::Ambiguous::next_refresh_token).

mod answer_rules;
mod check;
mod client;
mod client_authentication;
mod subject;
mod token_request;

pub use client::OAuth2;
pub use client_authentication::ClientAuthentication;
