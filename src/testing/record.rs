use std::collections::HashMap;
use std::fmt;

use bytes::Bytes;
use http::{HeaderMap, Method};

use super::rules::Rules;
use crate::provider::xiaomi::ErrorCode;
use crate::{AccessToken, RefreshToken, Timestamp};

/// One refresh token as it reached the token endpoint.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Presentation {
    /// The token. It prints as `[redacted]`.
    pub token: RefreshToken,
    /// How often this token had been presented when it was, this time included.
    pub times: u32,
    /// Whether it was the client's right: the first time, within the
    /// [grace window](super::ProviderBuilder::grace_window) after the first time, or any time
    /// where refresh tokens are [not rotated](super::ProviderBuilder::rotate_refresh_tokens).
    /// Anything else is the client's fault. (But for a token whose first presentation was refused
    /// because of the client's own id or secret: that is kept, and presented again by right.)
    pub allowed: bool,
    /// The user it was issued for, as in [`TokenSet::subject`](crate::token::TokenSet::subject);
    /// `None` if the provider never issued it.
    pub subject: Option<String>,
    /// The generation of the tokens it came with: 1 for the first of the grant, one more for each
    /// rotation. 0 if the provider never issued it.
    pub generation: u64,
    /// When, by the provider's clock.
    pub at: Timestamp,
    /// What came of it.
    pub outcome: Presented,
}

/// What came of a [`Presentation`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Presented {
    /// The next tokens were issued; whether the client ever saw them is another matter.
    Rotated,
    /// It was spent, and answered once more with the refresh token that it was spent for: within
    /// the [grace window](super::ProviderBuilder::grace_window).
    Replayed,
    /// It was refused.
    Refused(ErrorCode),
    /// A [`Fault`](super::Fault) came first: the token is as good as before.
    NotActedOn,
}

/// One request to the API that was let through.
#[derive(Clone)]
#[non_exhaustive]
pub struct AcceptedRequest {
    /// The method.
    pub method: Method,
    /// The path as on the wire.
    pub path: String,
    /// The query as on the wire, without the `?`. It holds the access token.
    pub query: Option<String>,
    /// The headers, without `Authorization`.
    pub headers: HeaderMap,
    /// The body; empty if the provider
    /// [takes any body](super::ProviderBuilder::accept_any_body).
    pub body: Bytes,
    /// How many bytes the body had.
    pub body_len: u64,
    /// The SHA-1 of the body.
    pub body_sha1: [u8; 20],
    /// What came after the body.
    pub trailers: Option<HeaderMap>,
    /// The access token that it came with. It prints as `[redacted]`.
    pub access_token: AccessToken,
    /// The user the token was issued for, as in
    /// [`TokenSet::subject`](crate::token::TokenSet::subject).
    pub subject: String,
    /// The generation of the token: 1 for the first of the grant, one more for each rotation.
    pub generation: u64,
    /// The nonce; empty where nothing is signed with one.
    pub nonce: String,
    /// When, by the provider's clock.
    pub at: Timestamp,
}

impl fmt::Debug for AcceptedRequest {
    /// Without the query and the headers, which may hold secrets, and the body.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AcceptedRequest")
            .field("method", &self.method)
            .field("path", &self.path)
            .field("body_len", &self.body_len)
            .field("subject", &self.subject)
            .field("generation", &self.generation)
            .field("nonce", &self.nonce)
            .field("at", &self.at)
            .finish_non_exhaustive()
    }
}

/// One request to the API that was refused.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RefusedRequest {
    /// The method.
    pub method: Method,
    /// The path as on the wire.
    pub path: String,
    /// The code.
    pub code: ErrorCode,
    /// What exactly was wrong; the client is told the same.
    pub reason: String,
    /// When, by the provider's clock.
    pub at: Timestamp,
}

/// What a provider remembers.
#[derive(Default)]
pub(super) struct Records {
    pub(super) presentations: Vec<Presentation>,
    /// How many presentations were cleared: the number of the first one in the list.
    cleared: u64,
    /// How often each refresh token was presented, and when first; not cleared.
    times: HashMap<String, (u32, Timestamp)>,
    pub(super) accepted: Vec<AcceptedRequest>,
    pub(super) refused: Vec<RefusedRequest>,
    pub(super) token_requests: u64,
    pub(super) api_requests: u64,
}

impl Records {
    /// Puts a presentation down; its number.
    pub(super) fn note(&mut self, rules: Rules, mut presentation: Presentation) -> u64 {
        let token = presentation.token.expose_secret().to_owned();
        let now = presentation.at;
        let (times, first) = self.times.entry(token).or_insert((0, now));
        *times += 1;
        presentation.times = *times;
        let in_grace = now < first.saturating_add(rules.grace_window);
        presentation.allowed = *times == 1 || in_grace || !rules.rotate_refresh_tokens;
        self.presentations.push(presentation);
        self.cleared + self.presentations.len() as u64 - 1
    }

    pub(super) fn set_outcome(&mut self, number: Option<u64>, outcome: Presented) {
        let index = number
            .and_then(|number| number.checked_sub(self.cleared))
            .and_then(|index| usize::try_from(index).ok());
        if let Some(presentation) = index.and_then(|index| self.presentations.get_mut(index)) {
            presentation.outcome = outcome;
        }
    }

    pub(super) fn clear(&mut self) {
        *self = Self {
            cleared: self.cleared + self.presentations.len() as u64,
            times: std::mem::take(&mut self.times),
            ..Self::default()
        };
    }
}
