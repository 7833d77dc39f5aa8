//! The [Xiaomi Open API]: everything that only this vendor does.
//!
//! [Xiaomi Open API]: https://dev.mi.com
//!
//! ```
//! use tower_mac_auth::Timestamp;
//! use tower_mac_auth::provider::xiaomi::{Credential, Nonce, SigningRules};
//! use tower_mac_auth::provider::RequestParts;
//! use tower_mac_auth::sign::{Algorithm, MacKey};
//! use tower_mac_auth::{AccessToken, MacKeyText};
//!
//! // Once per token.
//! let key = MacKey::new(Algorithm::HmacSha1, &MacKeyText::new("ORhx44qK6Alqf8vt2rGB5f-oPq0"))?;
//! let credential = Credential::new(&AccessToken::new("eJxjYGAQ"), key).with_client_id("1798876");
//!
//! // For each request; a real nonce is `Nonce::fresh(clock.now())`.
//! let nonce: Nonce = "2870867952176701445:23282360".parse()?;
//! let request = RequestParts::new("GET", "open.account.xiaomi.com", "/user/profile")
//!     .with_query("lang=en");
//! let signed = SigningRules::new().sign(&credential, &request, &nonce)?;
//!
//! assert_eq!(
//!     signed.authorization().unwrap(),
//!     "MAC access_token=\"eJxjYGAQ\", nonce=\"2870867952176701445%3A23282360\",\
//!      mac=\"SvaV2%2Bu0UovpHcZo%2F%2FGyRe80FT4%3D\"",
//! );
//! assert_eq!(
//!     signed.path_and_query().unwrap(),
//!     "/user/profile?lang=en&clientId=1798876&token=eJxjYGAQ",
//! );
//! # Ok::<(), tower_mac_auth::sign::SignError>(())
//! ```
//!
//! When a MAC does not verify, compare what was signed:
//!
//! ```
//! # use tower_mac_auth::provider::RequestParts;
//! # use tower_mac_auth::provider::xiaomi::{Credential, Nonce, SigningRules};
//! # use tower_mac_auth::sign::{Algorithm, MacKey};
//! # use tower_mac_auth::{AccessToken, MacKeyText};
//! # let key = MacKey::new(Algorithm::HmacSha1, &MacKeyText::new("ORhx44qK6Alqf8vt2rGB5f-oPq0"))?;
//! # let credential = Credential::new(&AccessToken::new("t"), key);
//! # let nonce: Nonce = "2870867952176701445:23282360".parse()?;
//! let request = RequestParts::new("get", "Open.Account.Xiaomi.com", "/user/profile")
//!     .with_query("name=J%C3%BCrgen+M&empty=&clientId=1");
//! assert_eq!(
//!     SigningRules::new().query_credentials(false).canonical(&credential, &request, &nonce)?,
//!     "2870867952176701445:23282360\nGET\nopen.account.xiaomi.com\n/user/profile\n\
//!      clientId=1&name=J%C3%BCrgen+M\n",
//! );
//! # Ok::<(), tower_mac_auth::sign::SignError>(())
//! ```
//!
//! # What is signed
//!
//! Five lines, each ended by a line feed, an empty part being an empty line:
//!
//! | line | what |
//! |---|---|
//! | nonce | as it is in the header, before that is encoded |
//! | method | upper case |
//! | host | lower case, without a port |
//! | path | as on the wire, never decoded; `/` when empty |
//! | query | its pairs ordered by the bytes of the decoded name, pairs of one name in the order they came in; names and values form-encoded (space is `+`, all but `A-Z a-z 0-9 - _ . *` is `%XX`) |
//!
//! The documents leave pairs with an empty value out, the vendor's SDKs sign them:
//! [`sign_empty_values`](SigningRules::sign_empty_values). The MAC is that of the key's own
//! text. Minutes in a nonce are plain Unix minutes, though a page of the vendor's speaks of
//! Beijing time.
//!
//! # What is refused
//!
//! A refusal of the API is a JSON object with a top-level `code` (or `error`, as the token endpoint
//! spells it), a number or a string: `96008` rejects the access token, `96012` the MAC. The HTTP
//! status that comes with it is not documented, so it does not matter; only a 401 that names no code
//! counts as a rejected token by itself.

mod canonical;
mod credential;
mod error_code;
mod header;
mod nonce;
mod query;
mod refusals;
mod signing_rules;
mod target;
mod token_answer;
mod token_request;
mod vendor;

pub use credential::Credential;
pub use error_code::ErrorCode;
pub use nonce::Nonce;
pub(crate) use signing_rules::Signer;
pub use signing_rules::SigningRules;
pub use vendor::Xiaomi;
pub(crate) use vendor::is_form;
