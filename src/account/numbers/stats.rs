use std::time::Duration;

use crate::Timestamp;
use crate::account::{Account, Accounts};
use crate::provider::Provider;

/// What the accounts of one client did in this process since it started: see
/// [`Accounts::stats`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// What became of requests.
    pub requests: Requests,
    /// Responses that refused a credential.
    pub refusals: Refusals,
    /// What became of refreshes.
    pub refreshes: Refreshes,
    /// How long all refreshes took together that have ended, those included that only waited for
    /// another process, in whole milliseconds.
    pub refresh_time: Duration,
    /// How many those are.
    pub refreshes_ended: u64,
    /// How many requests wait for a refresh now.
    pub waiting: u64,
    /// How many new credentials sign now from memory alone, as the store has not taken them. If it is
    /// not zero for a minute, mend the store, and do not kill this process.
    pub commits_delayed: u64,
    /// How often a refresh found that a user must authorize again.
    pub reauthorization_required: u64,
    /// When this process last rotated a credential.
    pub last_refreshed_at: Option<Timestamp>,
    /// When a refresh by this process last failed.
    pub last_refresh_failed_at: Option<Timestamp>,
    /// What is added to the local clock in nonces, in seconds, as it was last corrected.
    pub clock_offset_secs: i64,
}

/// What became of requests that have ended: each is one of these. One that was dropped is none, and one
/// that brought no account, or another client's, is nobody's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Requests {
    /// Sent once, and not refused.
    pub sent: u64,
    /// Refused, signed anew and sent again, and then not refused.
    pub resent: u64,
    /// Refused, and the refusal was handed back to the caller, or the request could not be signed
    /// anew.
    pub refused: u64,
    /// Failed with an [`AuthError`](crate::layer::AuthError) before it was sent.
    pub not_sent: u64,
    /// Signed by [`Account::sign`](crate::account::Account::sign). What became of it is not known here.
    pub signed: u64,
}

/// Responses that refused a credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Refusals {
    /// For the access token.
    pub token_rejected: u64,
    /// For the signature or its nonce.
    pub signature_rejected: u64,
    /// Of those for the access token: where it was rotated a moment ago, so that nothing was
    /// refreshed.
    pub rejected_fresh: u64,
}

/// What became of refreshes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Refreshes {
    /// Rotated by this process.
    pub refreshed: u64,
    /// Found rotated, or authorized, by another.
    pub adopted: u64,
    /// The token endpoint was not reached.
    pub unsent: u64,
    /// The token endpoint's rate limit is reached.
    pub rate_limited: u64,
    /// The token endpoint refused the client.
    pub refused: u64,
    /// The answer is lost.
    pub in_doubt: u64,
    /// The refresh token is of no use.
    pub rejected: u64,
    /// Another failure: the store's, mostly.
    pub failed: u64,
}

impl<P: Provider> Accounts<P> {
    /// What the accounts did in this process so far. It costs a few loads, and requests are counted at
    /// a price that is lost in the noise: ask as often as you like.
    pub fn stats(&self) -> Stats {
        self.0.context().counters.stats()
    }
}

impl<P: Provider> Account<P> {
    /// What the account did in this process so far, together with those that it was opened with, if it
    /// is one of [`Accounts`].
    pub fn stats(&self) -> Stats {
        self.0.context.counters.stats()
    }
}
