/// What a refusal of a token endpoint asks of the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Meaning {
    /// The client is registered or configured wrongly. The tokens are as good as before; asking
    /// again changes nothing until somebody corrects it.
    Configuration,
    /// The refresh token buys nothing any more: a new authorization is needed.
    GrantEnded,
    /// The authorization code buys nothing: a new authorization is needed.
    CodeRejected,
    /// The endpoint turned the request away for now, and did not act on it: what was presented is as
    /// good as before. A [`TokenEndpoint`](crate::token::TokenEndpoint) makes
    /// [`Outcome::RateLimited`](super::Outcome::RateLimited) of it.
    TryLater,
    /// Nothing that is known: assume neither that it took effect nor that it did not.
    Unknown,
}
