//! Whose account signs a request.

use std::fmt;

use http::header::{HeaderMap, HeaderName, HeaderValue};
use tower_mac_auth::store::AccountName;

use super::Refusal;

/// How that is found out.
#[derive(Clone, Debug)]
pub(crate) enum Tenant {
    /// One account signs everything.
    One(AccountName),
    /// Each request says it in this header, which is not sent on.
    Header(HeaderName),
}

/// The name of an account, as it came.
#[derive(Clone)]
pub(crate) enum Whose {
    One(AccountName),
    Named(HeaderValue),
}

impl Tenant {
    /// Takes the name out of a request.
    pub(super) fn take(&self, headers: &mut HeaderMap) -> Result<Whose, Refusal> {
        let name = match self {
            Self::One(account) => return Ok(Whose::One(account.clone())),
            Self::Header(name) => name,
        };
        if headers.get_all(name).iter().nth(1).is_some() {
            return Err(Refusal::account_given_twice(name));
        }
        let Some(value) = headers.remove(name) else {
            return Err(Refusal::account_missing(name));
        };
        match text(&value) {
            Some(text) if AccountName::new(text).is_ok() => Ok(Whose::Named(value)),
            _ => Err(Refusal::account_unnamed(name)),
        }
    }
}

impl Tenant {
    /// Takes the name out of trailers, where it says nothing.
    pub(super) fn leave_out(&self, trailers: &mut HeaderMap) {
        if let Self::Header(name) = self {
            trailers.remove(name);
        }
    }
}

impl Whose {
    pub(crate) fn as_str(&self) -> &str {
        match self {
            Self::One(account) => account.as_str(),
            // `Tenant::take` has read it as a text already.
            Self::Named(value) => text(value).unwrap_or_default(),
        }
    }
}

/// A name is UTF-8, as it is elsewhere.
fn text(value: &HeaderValue) -> Option<&str> {
    std::str::from_utf8(value.as_bytes()).ok()
}

impl fmt::Debug for Whose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
