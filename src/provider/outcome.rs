use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;

use super::{Refused, TokenSet};
use crate::RefreshToken;

pub(crate) type SharedError = Arc<dyn Error + Send + Sync>;

/// What became of one request to the token endpoint.
///
/// Not a `Result`: the five cases ask for five different things, and "it failed" is none of them.
#[derive(Clone, Debug)]
#[must_use = "a token that was presented is spent: the outcome must be recorded"]
pub enum Outcome {
    /// The tokens asked for. What was presented for them is spent.
    Tokens(TokenSet),
    /// Provably no byte of the request left: what was to be presented is as good as before.
    Unsent(Unsent),
    /// The endpoint turned the request away for its rate limit, and did not act on it: what was
    /// presented is as good as before.
    RateLimited(RateLimited),
    /// The provider said no, with a code.
    Refused(Refused),
    /// Nobody knows: what was presented may be spent. It must not be presented again.
    Ambiguous(Ambiguous),
}

/// The request did not leave. It may be tried again, later.
#[derive(Clone, Debug)]
pub struct Unsent {
    kind: UnsentKind,
    source: Option<SharedError>,
}

/// Why a request did not leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum UnsentKind {
    /// DNS, TCP or TLS failed.
    Connect,
    /// There was no connection in time.
    ConnectTimeout,
    /// The server closed the connection before the request was handed to it.
    ConnectionClosed,
    /// The request could not be written: a value is too long for a URL, or not what it should be.
    /// The source names it.
    Request,
}

impl Unsent {
    pub(crate) fn new(kind: UnsentKind, source: Option<SharedError>) -> Self {
        Self { kind, source }
    }

    pub(crate) fn source_mut(&mut self) -> &mut Option<SharedError> {
        &mut self.source
    }

    /// Why it did not leave.
    pub fn kind(&self) -> UnsentKind {
        self.kind
    }
}

impl fmt::Display for Unsent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("nothing was sent to the token endpoint: ")?;
        f.write_str(match self.kind {
            UnsentKind::Connect => "no connection",
            UnsentKind::ConnectTimeout => "no connection in time",
            UnsentKind::ConnectionClosed => "it closed the connection first",
            UnsentKind::Request => "the request cannot be written",
        })
    }
}

impl Error for Unsent {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

/// The endpoint turned the request away (a 429, mostly) and did not act on it: it may be made again,
/// later.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RateLimited {
    retry_after: Option<Duration>,
}

impl RateLimited {
    /// With the pause that the endpoint asks for. If there is none, a
    /// [`TokenEndpoint`](crate::token::TokenEndpoint) looks for it in `Retry-After`.
    pub fn new(retry_after: Option<Duration>) -> Self {
        Self { retry_after }
    }

    /// How long the endpoint wants to be left alone, at least a second and at most an hour; `None`
    /// if it does not say.
    pub fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }
}

impl fmt::Display for RateLimited {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the token endpoint has too many requests")?;
        match self.retry_after {
            Some(pause) => write!(f, " and asks for a pause of {} s", pause.as_secs()),
            None => Ok(()),
        }
    }
}

impl Error for RateLimited {}

/// The request may have taken effect, and there are no usable tokens to show for it.
///
/// The refresh token that was presented must be taken as spent. If its successor could still be
/// read from the answer, it is kept: [`next_refresh_token`](Ambiguous::next_refresh_token).
#[derive(Clone, Debug)]
pub struct Ambiguous {
    kind: AmbiguousKind,
    /// What exactly is wrong; never a value from the answer.
    detail: Cow<'static, str>,
    source: Option<SharedError>,
    next_refresh_token: Option<RefreshToken>,
}

/// Why an outcome is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AmbiguousKind {
    /// No answer in time.
    Timeout,
    /// The connection failed, or spoke no HTTP, before the whole answer was read.
    Lost,
    /// The answer is longer than [`MAX_ANSWER_LEN`](crate::token::MAX_ANSWER_LEN).
    TooLong,
    /// A status that a token endpoint gives no tokens with: a redirect, a server's error, …
    Status(StatusCode),
    /// The answer is empty.
    Empty,
    /// The answer is not a JSON object, is cut short, or is not in the coding that its
    /// `Content-Encoding` names.
    Unreadable,
    /// A field of the answer, or of its head, is missing or cannot be used; the text says which.
    Field,
}

impl Ambiguous {
    /// With what exactly is wrong: `"expires_in: zero"`. No values: they may be secret.
    pub fn new(kind: AmbiguousKind, detail: impl Into<Cow<'static, str>>) -> Self {
        Self {
            kind,
            detail: detail.into(),
            source: None,
            next_refresh_token: None,
        }
    }

    pub(crate) fn with_source(mut self, source: Option<SharedError>) -> Self {
        self.source = source;
        self
    }

    /// With the next refresh token, which could be read nevertheless.
    #[must_use]
    pub fn with_next(mut self, next: Option<RefreshToken>) -> Self {
        self.next_refresh_token = next;
        self
    }

    pub(crate) fn source_mut(&mut self) -> &mut Option<SharedError> {
        &mut self.source
    }

    /// Why the outcome is not known.
    pub fn kind(&self) -> AmbiguousKind {
        self.kind
    }

    /// The next refresh token, if it could be read from an answer that is of no other use. It was
    /// never presented, and most likely is the one that works now.
    pub fn next_refresh_token(&self) -> Option<&RefreshToken> {
        self.next_refresh_token.as_ref()
    }

    /// Takes the refresh token out.
    pub fn into_next_refresh_token(self) -> Option<RefreshToken> {
        self.next_refresh_token
    }
}

impl fmt::Display for Ambiguous {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the token endpoint may have acted on the request: ")?;
        match self.kind {
            AmbiguousKind::Status(status) => write!(f, "status {status}"),
            _ => f.write_str(&self.detail),
        }
    }
}

impl Error for Ambiguous {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}
