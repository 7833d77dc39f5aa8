/// What about a credential an API did not accept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Refusal {
    /// The access token is wrong or has expired: a newer one will help.
    TokenRejected,
    /// The MAC did not verify, or its nonce was not taken: a new nonce on a corrected clock may
    /// help, a newer token will not.
    SignatureRejected,
}

impl Refusal {
    /// The name of this case, for labels: `token_rejected` or `signature_rejected`.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::TokenRejected => "token_rejected",
            Self::SignatureRejected => "signature_rejected",
        }
    }
}

/// What the head of a response says. See [`Provider::read_head`](super::Provider::read_head).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Head {
    /// The answer; the body is not looked at.
    Verdict(Option<Refusal>),
    /// The body may say more: JSON of at most 4 KiB, whatever the status.
    Read {
        /// The answer if the body cannot be read: there is none, it is too large, in a coding
        /// that is not known, of a kind that is no refusal, or late.
        otherwise: Option<Refusal>,
    },
}
