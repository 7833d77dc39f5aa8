//! What one provider does in its own way, each in a room of its own.
//!
//! A [`Provider`] says how the token endpoint is asked and what its answers mean, how requests are
//! signed, and how the API says no. All of it is pure: the rotation, the stores, the transport and the
//! layer are the same for all of them.
//!
//! | room | |
//! |---|---|
//! | [`bearer`] | RFC 6750: the access token alone, in `Authorization: Bearer` |
//! | [`http_mac`] | draft-ietf-oauth-v2-http-mac: a MAC key that comes with each access token |
//! | [`oauth2`] | RFC 6749: the half that is about tokens, of which providers are made |
//! | [`xiaomi`] | the Xiaomi Open API: a MAC key that comes with each access token |
//!
//! # A provider of your own
//!
//! One that signs a line with the client's secret, has a `POST` for tokens, and says 401:
//!
//! ```
//! use bytes::Bytes;
//! use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
//! use tower_mac_auth::ClientSecret;
//! use tower_mac_auth::provider::{
//!     AllowedAuthorities, Ambiguous, AmbiguousKind, Fields, Fresh, Grant, GrantType, Head, Meaning,
//!     Outcome, Presented, Provider, Refusal, Refused, RequestParts, Signed, TokenSet,
//! };
//! use tower_mac_auth::sign::{Algorithm, MacKey, SignError, SignErrorKind};
//!
//! struct Acme {
//!     client_secret: ClientSecret,
//!     hosts: AllowedAuthorities,
//! }
//!
//! impl Acme {
//!     fn tokens(answer: &Fields) -> Result<TokenSet, Ambiguous> {
//!         Ok(TokenSet::new(answer.required("access_token")?)
//!             .with_refresh_token(answer.required("refresh_token")?)
//!             .with_expires_in(answer.seconds("expires_in")?))
//!     }
//! }
//!
//! impl Provider for Acme {
//!     /// The access token and the key.
//!     type Credential = (String, MacKey);
//!
//!     fn client_id(&self) -> &str {
//!         "acme-client"
//!     }
//!
//!     fn client_secret(&self) -> Option<&ClientSecret> {
//!         Some(&self.client_secret)
//!     }
//!
//!     fn authorities(&self) -> &AllowedAuthorities {
//!         &self.hosts
//!     }
//!
//!     fn token_url(&self, _: GrantType) -> &str {
//!         "https://acme.example/token"
//!     }
//!
//!     fn token_request(&self, presented: Presented<'_>, _: Fresh) -> Result<Request<Bytes>, SignError> {
//!         let text = serde_json::json!({ "spend": presented.expose_secret() });
//!         let mut request = Request::new(Bytes::from(text.to_string()));
//!         *request.method_mut() = http::Method::POST;
//!         *request.uri_mut() = http::Uri::from_static("/token");
//!         Ok(request)
//!     }
//!
//!     fn token_answer(&self, _: Presented<'_>, answer: &Response<Bytes>) -> Outcome {
//!         let (status, fields) = (answer.status(), Fields::read(answer.body()));
//!         // Only what the provider is known to say counts as a refusal.
//!         if status == StatusCode::BAD_REQUEST && fields.optional("error") == Some("spent") {
//!             return Outcome::Refused(Refused::new("spent", Meaning::GrantEnded));
//!         }
//!         if !status.is_success() {
//!             return Outcome::Ambiguous(Ambiguous::new(AmbiguousKind::Status(status), ""));
//!         }
//!         Self::tokens(&fields).map_or_else(Outcome::Ambiguous, Outcome::Tokens)
//!     }
//!
//!     fn credential(&self, grant: &Grant) -> Result<Self::Credential, SignError> {
//!         let token = &grant.require_access()?.access_token;
//!         let key = MacKey::of_secret(Algorithm::HmacSha1, &self.client_secret)?;
//!         Ok((token.expose_secret().to_owned(), key))
//!     }
//!
//!     fn sign(
//!         &self,
//!         (token, key): &Self::Credential,
//!         request: &RequestParts<'_>,
//!         fresh: Fresh,
//!     ) -> Result<Signed, SignError> {
//!         let text = format!("{}\n{}\n{}", fresh.time().as_secs(), request.method, request.path);
//!         let value = HeaderValue::try_from(format!("Acme {token}:{}", key.mac(text.as_bytes())));
//!         let value = value.map_err(|_| {
//!             let reason = "does not fit into a header";
//!             SignError::new(SignErrorKind::Malformed, "access_token", reason)
//!         })?;
//!         Ok(Signed::new().with_authorization(value))
//!     }
//!
//!     fn read_head(&self, status: StatusCode, _: &HeaderMap) -> Head {
//!         Head::Verdict((status == StatusCode::UNAUTHORIZED).then_some(Refusal::TokenRejected))
//!     }
//! }
//! ```

mod authority;
mod authorize_request;
pub mod bearer;
mod challenges;
mod date;
mod endpoint_error;
mod fields;
mod fresh;
mod grant;
pub mod http_mac;
pub(crate) mod json;
mod meaning;
pub mod oauth2;
mod outcome;
mod parameters;
mod presented;
#[expect(clippy::module_inception, reason = "where the trait is looked for")]
mod provider;
mod random;
mod refusal;
mod refused;
mod request_parts;
mod signed;
mod token_set;
pub mod xiaomi;

pub use authority::{
    AllowedAuthorities, AllowedAuthoritiesError, AuthorityError, AuthorityErrorKind,
};
pub use authorize_request::AuthorizeRequest;
pub use bearer::Bearer;
pub use challenges::{Challenge, Challenges};
pub(crate) use date::{date, http_date, http_date_of};
pub use endpoint_error::{EndpointError, EndpointErrorKind};
pub use fields::Fields;
pub use fresh::Fresh;
pub use grant::{AccessGrant, Grant};
pub use http_mac::HttpMac;
pub use meaning::Meaning;
pub use oauth2::OAuth2;
pub(crate) use outcome::SharedError;
pub use outcome::{Ambiguous, AmbiguousKind, Outcome, RateLimited, Unsent, UnsentKind};
pub(crate) use parameters::STRICT;
pub use presented::{GrantType, Presented};
pub use provider::Provider;
pub use refusal::{Head, Refusal};
pub use refused::Refused;
pub use request_parts::{BodyNeeded, RequestParts};
pub use signed::Signed;
pub use token_set::TokenSet;
pub use xiaomi::Xiaomi;
