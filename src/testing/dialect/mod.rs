//! What a provider speaks. What is common to all dialects, grants, records and faults, knows of none.

mod bearer;
mod http_mac;
mod mac;
mod nonces;
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
use super::grants::Holder;
use super::refused::Refused;
use crate::provider::TokenSet;
use crate::provider::http_mac::{Draft, ISSUED_AT};
use crate::provider::xiaomi::{ErrorCode, is_form};
use crate::sign::Algorithm;
use crate::verify::Verifier;
use crate::{AccessToken, Extra, MacKeyText, Timestamp};

pub(super) use self::nonces::Nonces;
pub(super) use self::oauth2::OAuth2Rules;

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
    /// Tokens as of [`Bearer`](Self::Bearer), with a key for this algorithm, by which requests are
    /// signed as this revision of draft-ietf-oauth-v2-http-mac says.
    ///
    /// The API refuses with status 401 and a `MAC` challenge, in whatever
    /// [`RefusalStyle`]; [`Bare401`](RefusalStyle::Bare401) says no more.
    HttpMac(Draft, Algorithm),
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
            Self::Bearer | Self::HttpMac(..) => oauth2::presented(request),
        }
    }

    pub(super) fn asked(self, config: &Config, request: &Request<Bytes>) -> Result<Asked, Refused> {
        match self {
            Self::Xiaomi => xiaomi::asked(config, request),
            Self::Bearer | Self::HttpMac(..) => oauth2::asked(config, request),
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
            Self::Bearer => {
                let kind = if usable { "Bearer" } else { "unheard-of" };
                oauth2::tokens(config, tokens, &[("token_type", kind)])
            }
            Self::HttpMac(_, algorithm) => {
                let key = tokens
                    .mac_key
                    .as_ref()
                    .map_or("", MacKeyText::expose_secret);
                let known = algorithm.as_str();
                let algorithm = if usable { known } else { "hmac-sha-999" };
                let fields = [
                    ("token_type", "mac"),
                    ("mac_key", key),
                    ("mac_algorithm", algorithm),
                ];
                oauth2::tokens(config, tokens, &fields)
            }
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
            Self::Bearer | Self::HttpMac(..) => oauth2::token_refusal(config, request, refused),
        }
    }

    /// What it issues, as a client of it has it.
    pub(super) fn issued(self, mut tokens: TokenSet, now: Timestamp) -> TokenSet {
        match self {
            Self::Xiaomi => {}
            Self::Bearer => {
                tokens.mac_key = None;
                tokens.algorithm = None;
            }
            Self::HttpMac(_, algorithm) => {
                tokens.algorithm = Some(algorithm);
                let issued_at = Extra::new(now.as_secs().to_string());
                tokens.extras.insert(ISSUED_AT.to_owned(), issued_at);
            }
        }
        tokens
    }

    /// Whether the body is signed, so that it must be there before the signature is checked.
    pub(super) fn signs_body(self, config: &Config, head: &Parts) -> bool {
        match self {
            Self::Xiaomi => {
                config.signing_rules.signs_form() && is_form(&head.method, &head.headers)
            }
            Self::HttpMac(draft, _) => draft == Draft::V00,
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
            Self::HttpMac(..) => http_mac::refusal(config, style, denial),
        }
    }
}

impl Provider {
    /// Who has signed a request, if it is to be let through.
    pub(super) async fn check(&self, head: &Parts, signed: Bytes) -> Result<Signer, Denial> {
        match self.config().dialect {
            Dialect::Xiaomi => self.check_xiaomi(head, signed).await,
            Dialect::Bearer => self.check_bearer(head),
            Dialect::HttpMac(draft, algorithm) => {
                let verifier = Verifier::http_mac(draft);
                self.check_mac(verifier, algorithm, head, signed).await
            }
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
