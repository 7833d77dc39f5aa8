//! draft-ietf-oauth-v2-http-mac, revisions 00 to 02: a key that comes with each access token signs the
//! head of each request, and in revision 00 its body too. The tokens come from an RFC 6749 endpoint:
//! everything about that is said to an [`OAuth2`](super::OAuth2).
//!
//! ```
//! use tower_mac_auth::Timestamp;
//! use tower_mac_auth::provider::http_mac::Draft;
//! use tower_mac_auth::provider::{Fresh, Grant, HttpMac, OAuth2, Provider, RequestParts, TokenSet};
//! use tower_mac_auth::sign::Algorithm;
//!
//! // For `Account::builder`.
//! let provider = HttpMac::new(
//!     OAuth2::new("https://server.example.com/token", "s6BhdRkqt3")
//!         .with_client_secret("7Fjfp0ZBr1KtDRbnfVdmIw")
//!         .allow("example.com")?,
//!     Draft::V01,
//! );
//!
//! // What an account does with it, once per token and once per request.
//! let tokens = TokenSet::new("h480djs93hd8").with_mac_key("489dks293j39", Algorithm::HmacSha1);
//! let credential = provider.credential(&Grant::from(tokens))?;
//! let request = RequestParts::new("GET", "example.com", "/resource/1").with_query("b=1&a=2");
//! let fresh = Fresh::at(Timestamp::from_secs(1_336_363_200)).with_random(7);
//! let signed = provider.sign(&credential, &request, fresh)?;
//! assert_eq!(
//!     signed.authorization().unwrap(),
//!     "MAC id=\"h480djs93hd8\", ts=\"1336363200\", nonce=\"haaaaaaaaaaaaaaa\", \
//!      mac=\"rx9PW8pNkhXF4AmLNgQ9UOcatIk=\"",
//! );
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! When a MAC does not verify, compare what was signed:
//!
//! ```
//! # use tower_mac_auth::AccessToken;
//! # use tower_mac_auth::MacKeyText;
//! # use tower_mac_auth::provider::RequestParts;
//! # use tower_mac_auth::provider::http_mac::{Attributes, Credential};
//! # use tower_mac_auth::sign::{Algorithm, MacKey};
//! let key = MacKey::new(Algorithm::HmacSha1, &MacKeyText::new("489dks293j39"))?;
//! let credential = Credential::new(&AccessToken::new("h480djs93hd8"), key)?;
//! let request = RequestParts::new("get", "Example.com", "/resource/1")
//!     .with_port(80)
//!     .with_query("b=1&a=2");
//! let attributes = Attributes::v01("1336363200", "dj83hs9s")?;
//! assert_eq!(
//!     attributes.canonical(&request)?,
//!     "1336363200\ndj83hs9s\nGET\n/resource/1?b=1&a=2\nexample.com\n80\n\n",
//! );
//! assert_eq!(
//!     credential.sign(&request, &attributes)?.authorization().unwrap(),
//!     "MAC id=\"h480djs93hd8\", ts=\"1336363200\", nonce=\"dj83hs9s\", \
//!      mac=\"6T3zZzy2Emppni6bzL7kdRxUWL4=\"",
//! );
//! # Ok::<(), tower_mac_auth::sign::SignError>(())
//! ```
//!
//! # What is signed
//!
//! These lines, each ended by a line feed, an empty part being an empty line:
//!
//! | line | in | what |
//! |---|---|---|
//! | `ts` | 01, 02 | seconds since the Unix epoch |
//! | `nonce` | all | in revision 00 `<age>:<random>` |
//! | method | all | upper case |
//! | request URI | all | path and query as on the wire, never decoded nor put in order |
//! | host | all | lower case, without a port |
//! | port | all | that of the scheme if the URI has none |
//! | `bodyhash` | 00 | the hash of the whole body in base64: [`with_body_hash`](HttpMac::with_body_hash) |
//! | `ext` | all | [`with_ext`](HttpMac::with_ext) |
//!
//! The algorithm is the one that the answer of the token endpoint names: `hmac-sha-1`, `hmac-sha-256`.
//! (`hmac-sha-512`, which the drafts do not have, is taken too.) The key is its own text, never decoded.
//! The example in §1.1 of revision 01 has a MAC that does not hold; the one above does.
//!
//! # The age
//!
//! Revision 00 signs how many seconds ago the key was issued. That moment is taken from the `Date` of the
//! token endpoint's answer, and kept with the grant as the extra [`ISSUED_AT`]. So both ends of the age are
//! times of the server's: if this machine's clock is wrong the first request may be refused, is signed
//! again by the clock of the refusal's `Date`, and from then on the age is right. Tokens from elsewhere
//! need the extra too:
//!
//! ```
//! use tower_mac_auth::Extra;
//! use tower_mac_auth::provider::TokenSet;
//! use tower_mac_auth::provider::http_mac::ISSUED_AT;
//! use tower_mac_auth::sign::Algorithm;
//!
//! let tokens = TokenSet::new("h480djs93hd8").with_mac_key("489dks293j39", Algorithm::HmacSha1);
//! let mut tokens = tokens.with_refresh_token("8xLOxBtZp8");
//! tokens.extras.insert(ISSUED_AT.to_owned(), Extra::new("1336363200"));
//! ```
//!
//! Without it nothing can be signed by revision 00, and the error names it.
//!
//! # What is refused
//!
//! A 401. Why, the drafts leave to a text for people, the `error` of a `MAC` challenge in
//! `WWW-Authenticate`. The first of these words that is in it, in whatever case, decides:
//!
//! | word | what it says |
//! |---|---|
//! | those of [`with_refusal`](HttpMac::with_refusal), the last one first | as told |
//! | `insufficient` | nothing: a token of the same grant would fall short as well |
//! | `credential` | the token is rejected |
//! | `nonce`, `timestamp`, `clock`, `stale`, `replay`, `signature`, `hash`, `bad mac`, `invalid mac`, `incorrect mac`, `mac mismatch` | the signature is rejected |
//! | none of them, or no `error` | the token is rejected |
//!
//! A rejected token is refreshed. If the 401 was about something else, the price is one refresh: no more
//! come of it than [`min_rotation_interval`](crate::account::AccountBuilder::min_rotation_interval) lets
//! through.

mod attributes;
mod body_hash;
mod credential;
mod draft;
mod ext;
mod refusals;
mod request_string;
mod stamp;
mod token_answer;
mod vendor;

pub use attributes::Attributes;
pub use body_hash::body_hash;
pub use credential::Credential;
pub use draft::Draft;
pub(crate) use request_string::write_request_string;
pub use vendor::HttpMac;

/// The extra of a grant that says when its key was issued, in whole seconds since the Unix epoch. See
/// the [module docs](self#the-age).
pub const ISSUED_AT: &str = "mac_issued_at";
