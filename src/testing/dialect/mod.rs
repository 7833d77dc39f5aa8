//! What a provider speaks. What is common to all dialects, grants, records and faults, knows of none.

mod bearer;
mod oauth2;
mod xiaomi;

use std::borrow::Cow;

use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Request, Response};

use super::Provider;
use super::answer::RefusalStyle;
use super::config::Config;
use super::grants::{Holder, Refused};
use crate::AccessToken;
use crate::provider::TokenSet;
use crate::provider::xiaomi::ErrorCode;

pub(super) use self::oauth2::OAuth2Rules;
pub(super) use self::xiaomi::Nonces;

/// What a [`Provider`] speaks, at its token endpoint and at its API.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Dialect {
    /// The Xiaomi Open API: tokens for a `GET`, requests signed with a MAC.
    #[default]
    Xiaomi,
    /// Tokens for a `POST` (RFC 6749), which the API takes as they are (RFC 6750).
    ///
    /// Refusals are recorded by the codes that all dialects share. This one writes them so:
    ///
    /// | code | at the token endpoint | at the API |
    /// |---|---|---|
    /// | `ClientUnknown`, `ClientMismatch` | `invalid_client`, status 401 | |
    /// | `RefreshTokenRejected`, `CodeRejected`, `RedirectUriMismatch` | `invalid_grant` | |
    /// | `UnauthorizedClient` | `unauthorized_client` | |
    /// | `UnsupportedGrantType` | `unsupported_grant_type` | |
    /// | `InvalidScope` | `invalid_scope` | `insufficient_scope`, status 403 |
    /// | `InvalidRequest` | `invalid_request` | `invalid_request`, status 400 |
    /// | `AccessTokenRejected` | the number | `invalid_token` |
    /// | `Denied` | the number | a challenge without an error |
    /// | another | the number | |
    ///
    /// Where no status is named it is 400 at the token endpoint, and at the API as the
    /// [`RefusalStyle`] says.
    Bearer,
}

/// What a token endpoint is asked for, by the client that is registered.
pub(super) enum Asked {
    RefreshToken(String),
    Code {
        code: String,
        verifier: Option<String>,
    },
}

/// Who has signed a request.
pub(super) struct Signer {
    pub(super) access_token: AccessToken,
    /// Empty if nothing is signed with one.
    pub(super) nonce: String,
    pub(super) holder: Holder,
}

/// A code and what exactly is wrong.
pub(super) struct Denial {
    pub(super) code: ErrorCode,
    pub(super) reason: Cow<'static, str>,
}

impl Denial {
    pub(super) fn new(code: ErrorCode, reason: &'static str) -> Self {
        Self {
            code,
            reason: reason.into(),
        }
    }
}

impl Dialect {
    /// The refresh token in a request, however wrong the rest of it is.
    pub(super) fn presented(self, request: &Request<Bytes>) -> Option<String> {
        match self {
            Self::Xiaomi => xiaomi::presented(request),
            Self::Bearer => oauth2::presented(request),
        }
    }

    pub(super) fn asked(self, config: &Config, request: &Request<Bytes>) -> Result<Asked, Refused> {
        match self {
            Self::Xiaomi => xiaomi::asked(config, request),
            Self::Bearer => oauth2::asked(config, request),
        }
    }

    /// The answer with tokens; if they are not to be usable, with some that nobody can sign with.
    pub(super) fn tokens(
        self,
        config: &Config,
        tokens: &TokenSet,
        usable: bool,
    ) -> Response<Bytes> {
        match self {
            Self::Xiaomi => xiaomi::tokens(config, tokens, usable),
            Self::Bearer => oauth2::tokens(config, tokens, usable),
        }
    }

    pub(super) fn token_refusal(
        self,
        config: &Config,
        request: &Request<Bytes>,
        refused: Refused,
    ) -> Response<Bytes> {
        match self {
            Self::Xiaomi => xiaomi::token_refusal(config, refused),
            Self::Bearer => oauth2::token_refusal(config, request, refused),
        }
    }

    /// What it issues, as a client of it has it.
    pub(super) fn issued(self, tokens: TokenSet) -> TokenSet {
        match self {
            Self::Xiaomi => tokens,
            Self::Bearer => TokenSet {
                mac_key: None,
                algorithm: None,
                ..tokens
            },
        }
    }

    /// Whether the pairs of a form are signed.
    pub(super) fn signs_form(self, config: &Config) -> bool {
        match self {
            Self::Xiaomi => config.signing_rules.signs_form(),
            Self::Bearer => false,
        }
    }

    pub(super) fn api_refusal(
        self,
        config: &Config,
        style: RefusalStyle,
        denial: &Denial,
    ) -> Response<Bytes> {
        match self {
            Self::Xiaomi => xiaomi::api_refusal(config, style, denial),
            Self::Bearer => bearer::refusal(config, style, denial),
        }
    }
}

impl Provider {
    /// Who has signed a request, if it is to be let through.
    pub(super) fn check(&self, head: &Parts, form: Option<&[u8]>) -> Result<Signer, Denial> {
        match self.config().dialect {
            Dialect::Xiaomi => self.check_mac(head, form),
            Dialect::Bearer => self.check_bearer(head),
        }
    }
}

/// `Authorization`, which must be there, and once.
fn authorization_of(headers: &HeaderMap) -> Result<&HeaderValue, &'static str> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => Ok(value),
        (None, _) => Err("authorization: missing"),
        (Some(_), Some(_)) => Err("authorization: given twice"),
    }
}
