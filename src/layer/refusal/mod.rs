//! Reading from a response whether the provider refused the credential.

mod head;
mod inspect;
mod reading;
mod xiaomi;

use http::{HeaderMap, StatusCode};

pub(crate) use self::inspect::{Inspect, Inspected, Inspection, settle};
pub(crate) use self::reading::Reading;
pub use self::xiaomi::XiaomiRefusals;

/// What about the credential a provider did not accept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Refusal {
    /// The access token is wrong or has expired: a newer one will help.
    TokenRejected,
    /// The MAC did not verify, or its nonce was not taken: a new nonce on a corrected clock may
    /// help, a newer token will not.
    SignatureRejected,
}

/// How a provider says no.
///
/// [`XiaomiRefusals`] is the default. Another provider is one type with two functions:
///
/// ```
/// use http::{HeaderMap, StatusCode};
/// use tower_mac_auth::account::Account;
/// use tower_mac_auth::layer::{
///     AllowedAuthorities, Head, AllowedAuthoritiesError, MacAuthLayer, Refusal, RefusalPolicy,
/// };
/// use tower_mac_auth::sign::XiaomiOpenApi;
///
/// /// Every 401 means the token, and the body has nothing to add.
/// #[derive(Clone)]
/// struct Plain401;
///
/// impl RefusalPolicy for Plain401 {
///     fn read_head(&self, status: StatusCode, _: &HeaderMap) -> Head {
///         Head::Verdict((status == StatusCode::UNAUTHORIZED).then_some(Refusal::TokenRejected))
///     }
///
///     fn read_body(&self, _: StatusCode, _: &HeaderMap, _: &[u8]) -> Option<Refusal> {
///         None
///     }
/// }
///
/// fn layer(
///     account: Account,
/// ) -> Result<MacAuthLayer<XiaomiOpenApi, Plain401>, AllowedAuthoritiesError> {
///     let allowed = AllowedAuthorities::new(["api.example"])?;
///     Ok(MacAuthLayer::new(account, XiaomiOpenApi::new(), Plain401, allowed))
/// }
/// ```
///
/// A layer clones it for each service it makes.
pub trait RefusalPolicy: Send + Sync {
    /// What the head says, and whether the body can say more. Called once per response, on the
    /// hot path: look at the status first.
    fn read_head(&self, status: StatusCode, headers: &HeaderMap) -> Head;

    /// What the body says. Called at most once, after [`Head::Read`], with a body of at most 4 KiB,
    /// decoded if it came compressed, never with nothing. The body is whole, unless its rest did not
    /// come in time, or could not be an answer in JSON: without a length and an error status it is
    /// read only while it is a JSON object that has not ended. So the bytes may be cut short and may
    /// be no JSON at all: then the answer is what the head alone says.
    fn read_body(&self, status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Option<Refusal>;
}

/// What the head of a response says. See [`RefusalPolicy::read_head`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Head {
    /// The answer; the body is not looked at.
    Verdict(Option<Refusal>),
    /// The body may say more: JSON of at most 4 KiB, whatever the status.
    Read {
        /// The answer if the body cannot be read: there is none, it is too large, in a coding
        /// that is not known,
        /// of a kind that is no refusal, or late.
        otherwise: Option<Refusal>,
    },
}
