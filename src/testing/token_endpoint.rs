//! The token endpoint: what a request is answered with, and how that goes wrong.

use bytes::Bytes;
use http::request::Parts;
use http::{Method, Response, StatusCode};

use super::answer::{self, HTML, JSON};
use super::check::once;
use super::grants::Refused;
use super::{Fault, Presentation, Presented, Provider};
use crate::token::{ErrorCode, TokenSet};
use crate::{ClientSecret, RefreshToken};

/// The path of the token endpoint.
pub(super) const PATH: &str = "/oauth2/token";

/// What becomes of a request.
pub(super) enum Reply {
    Answer(Response<Bytes>),
    /// This head, and a body that never ends.
    Endless(Response<()>),
    Reset,
}

impl Provider {
    /// # Cancel safety
    ///
    /// What has come is put down at once, and the endpoint acts in one go: dropping it loses the
    /// answer, as on a wire.
    pub(super) async fn token_request(&self, request: &Parts) -> Reply {
        let fault = self.next_fault();
        let noted = self.note(request);
        let act = || self.act(request, noted);
        let (fault, acted) = match fault {
            None => return Reply::Answer(self.answer(&act(), "HmacSha1")),
            Some(Fault::Delay(by)) => {
                tokio::time::sleep(by).await;
                return Reply::Answer(self.answer(&act(), "HmacSha1"));
            }
            Some(Fault::ConsumedThenReset) => (Fault::Reset, Some(act())),
            Some(Fault::Consumed(fault)) => (*fault, Some(act())),
            Some(fault @ (Fault::CutShort | Fault::WrongAlgorithm)) => (fault, Some(act())),
            Some(fault) => (fault, None),
        };
        let config = self.config();
        let ok = StatusCode::OK;
        let whole = |algorithm| acted.as_ref().map(|acted| self.answer(acted, algorithm));
        Reply::Answer(match fault {
            Fault::Delay(by) => {
                tokio::time::sleep(by).await;
                match whole("HmacSha1") {
                    Some(answer) => answer,
                    None => self.answer(&act(), "HmacSha1"),
                }
            }
            Fault::ServerError(status) => {
                answer::response(config, status, HTML, "<h1>Out of order</h1>")
            }
            Fault::Garbage => answer::response(config, ok, JSON, &b"\x16\x03\x01\x00\xFF{]"[..]),
            Fault::Empty200 => answer::response(config, ok, HTML, Bytes::new()),
            Fault::Html => {
                let page = "<!DOCTYPE html><title>Welcome</title><p>Please log in.";
                answer::response(config, ok, HTML, page)
            }
            Fault::CutShort => cut(whole("HmacSha1")),
            Fault::WrongAlgorithm => whole("HmacSha999").unwrap_or_default(),
            Fault::RefuseWith(code) => {
                answer::token_refusal(config, code, "refused as the test wants")
            }
            Fault::Endless => {
                return Reply::Endless(
                    answer::response(config, ok, HTML, Bytes::new()).map(|_| ()),
                );
            }
            Fault::Hang => std::future::pending().await,
            // A refused connection brings no request, and what is consumed was unwrapped.
            Fault::Reset
            | Fault::ConsumedThenReset
            | Fault::ConnectionRefused
            | Fault::Consumed(_) => return Reply::Reset,
        })
    }

    /// Does what is asked, and puts down what came of it.
    fn act(&self, request: &Parts, noted: Option<u64>) -> Result<TokenSet, Refused> {
        let result = self.grant(request);
        let outcome = match &result {
            Ok(_) => Presented::Rotated,
            Err((code, _)) => Presented::Refused(*code),
        };
        self.state().records.set_outcome(noted, outcome);
        result
    }

    fn grant(&self, request: &Parts) -> Result<TokenSet, Refused> {
        const INVALID: ErrorCode = ErrorCode::InvalidRequest;
        let config = self.config();
        if request.method != Method::GET {
            return Err((INVALID, "method: not GET"));
        }
        let query = request.uri.query().unwrap_or_default();
        let wanted = |name, detail: &'static str| once(query, name).map_err(|()| (INVALID, detail));
        if wanted("client_id", "client_id: wanted, once")? != config.client_id {
            return Err((ErrorCode::ClientUnknown, "client_id: not known"));
        }
        let secret = wanted("client_secret", "client_secret: wanted, once")?;
        if ClientSecret::new(secret) != config.client_secret {
            let detail = "client_secret: wrong, or not percent-encoded";
            return Err((ErrorCode::ClientMismatch, detail));
        }
        if wanted("redirect_uri", "redirect_uri: wanted, once")? != config.redirect_uri {
            return Err((ErrorCode::RedirectUriMismatch, "redirect_uri: wrong"));
        }
        let mut types = form_urlencoded::parse(query.as_bytes()).filter(|it| it.0 == "token_type");
        if types.any(|(_, value)| value != "mac") {
            return Err((INVALID, "token_type: not mac"));
        }
        let now = config.clock.now();
        match &*wanted("grant_type", "grant_type: wanted, once")? {
            "refresh_token" => {
                let token = wanted("refresh_token", "refresh_token: wanted, once")?;
                let grants = &mut self.state().grants;
                grants.rotate(&token, now, config.lifetime, config.rules)
            }
            "authorization_code" => {
                let code = wanted("code", "code: wanted, once")?;
                let grants = &mut self.state().grants;
                grants.exchange(&code, now, config.lifetime)
            }
            _ => Err((ErrorCode::UnsupportedGrantType, "grant_type: not known")),
        }
    }

    fn answer(&self, acted: &Result<TokenSet, Refused>, algorithm: &str) -> Response<Bytes> {
        match acted {
            Ok(tokens) => answer::tokens(self.config(), tokens, algorithm),
            Err((code, detail)) => answer::token_refusal(self.config(), *code, detail),
        }
    }

    /// Puts a presented refresh token down; where, if there is one.
    fn note(&self, request: &Parts) -> Option<u64> {
        let query = request.uri.query().unwrap_or_default();
        let token = once(query, "refresh_token").ok()?;
        let at = self.config().clock.now();
        let mut state = self.state();
        let owner = state.grants.owner_of(&token);
        let (open_id, generation) = match owner {
            Some((open_id, generation)) => (Some(open_id), generation),
            None => (None, 0),
        };
        Some(state.records.note(Presentation {
            token: RefreshToken::new(token),
            // Counted where it is put down.
            times: 0,
            open_id,
            generation,
            at,
            outcome: Presented::NotActedOn,
        }))
    }
}

/// The first half of an answer, as if it were whole.
fn cut(answer: Option<Response<Bytes>>) -> Response<Bytes> {
    let half = |mut body: Bytes| {
        body.truncate(body.len() / 2);
        body
    };
    answer.unwrap_or_default().map(half)
}
