use std::error::Error;
use std::fmt;
use std::sync::Arc;

use super::kinds::kinds;
use super::work::Untold;
use crate::Timestamp;
use crate::provider::{RateLimited, Unsent};
use crate::store::StoreError;

type Source = Arc<dyn Error + Send + Sync>;
type BoxError = Box<dyn Error + Send + Sync>;

/// The credential could not be refreshed.
///
/// A cheap clone: every request that waited gets the same one.
#[derive(Clone, Debug)]
pub struct RefreshError {
    pub(super) kind: RefreshErrorKind,
    pub(super) source: Option<Source>,
    /// In doubt, and it may be presented once more.
    may_recover: bool,
}

kinds! {
    /// Why a credential could not be refreshed.
    pub enum RefreshErrorKind {
        /// An attempt failed lately (see the source); none is made before this moment.
        BackingOff {
            /// When the next attempt may be made.
            until: Timestamp
        } = "backing_off", "the last refresh failed; the next is tried at {until}";
        /// The API refused a credential that was rotated a moment ago: refreshing cannot fix that.
        RotatedRecently =
            "rotated_recently", "the API refused a credential that was refreshed a moment ago";
        /// The refresh token was presented and the answer is lost. It is not presented again while
        /// that could end the grant.
        InDoubt =
            "in_doubt", "the answer to the last refresh is lost and its refresh token in doubt";
        /// The refresh token is spent, expired or revoked, or there is none: the user must
        /// authorize again.
        ReauthorizationRequired =
            "reauthorization_required",
            "the refresh token is of no use: the user must authorize again";
        /// The token endpoint was not reached; nothing was sent. It is tried again after a back-off.
        Unsent = "unsent", "the token endpoint was not reached";
        /// The token endpoint's rate limit is reached. The refresh token is not spent; it is tried
        /// again after the pause that the endpoint asks for.
        RateLimited =
            "rate_limited",
            "the token endpoint's rate limit is reached; the refresh token is kept for later";
        /// The token endpoint refused for a reason in the client's configuration, not in the token. The
        /// source is a [`Refused`](crate::provider::Refused), with the code.
        Refused = "refused", "the token endpoint refused the client";
        /// The token endpoint issued tokens that cannot be used. The new refresh token is kept.
        UnusableAnswer = "unusable_answer", "the token endpoint issued tokens that cannot be used";
        /// The store could not be used. If a refresh token had been sent by then, the record says so, or
        /// is called in doubt once the store is back.
        Store = "store", "the token store could not be used";
        /// The refresh did not end in time. Either nothing was sent, or nobody drives the runtime that
        /// began the refresh, which may still end.
        TimedOut = "timed_out", "the refresh did not end in time";
        /// The task or runtime that refreshed is gone.
        Interrupted = "interrupted", "the refresh was interrupted";
        /// The account was shut down.
        Closed = "closed", "the account was shut down, or the request was given none";
    }
}

impl RefreshError {
    pub(super) fn new(kind: RefreshErrorKind) -> Self {
        Self {
            kind,
            source: None,
            may_recover: false,
        }
    }

    pub(super) fn closed() -> Self {
        Self::new(RefreshErrorKind::Closed)
    }

    pub(super) fn backing_off(until: Timestamp, cause: &Arc<RefreshError>) -> Self {
        // A cause that is itself a back-off was read from the record: its source is the real cause.
        let source = match (cause.kind, &cause.source) {
            (RefreshErrorKind::BackingOff { .. }, source) => source.clone(),
            _ => Some(Arc::clone(cause) as Source),
        };
        Self {
            source,
            ..Self::new(RefreshErrorKind::BackingOff { until })
        }
    }

    pub(super) fn with_source(kind: RefreshErrorKind, source: impl Into<BoxError>) -> Self {
        Self {
            source: Some(Arc::from(source.into())),
            ..Self::new(kind)
        }
    }

    /// `may_recover`: the policy lets the token be presented once more.
    pub(super) fn in_doubt(why: &str, may_recover: bool) -> Self {
        Self {
            may_recover,
            ..Self::with_source(RefreshErrorKind::InDoubt, why)
        }
    }

    /// Whether nothing but a new authorization by the user helps: the refresh token is of no use, or
    /// is in doubt, and the [`InDoubtPolicy`](super::InDoubtPolicy) does not let it be presented once
    /// more.
    pub fn needs_authorization(&self) -> bool {
        match self.kind {
            RefreshErrorKind::ReauthorizationRequired => true,
            RefreshErrorKind::InDoubt => !self.may_recover,
            _ => false,
        }
    }

    /// Why it failed.
    pub fn kind(&self) -> RefreshErrorKind {
        self.kind
    }
}

impl From<Untold> for RefreshError {
    fn from(untold: Untold) -> Self {
        Self::new(match untold {
            Untold::Interrupted => RefreshErrorKind::Interrupted,
            Untold::TimedOut => RefreshErrorKind::TimedOut,
        })
    }
}

impl From<StoreError> for RefreshError {
    fn from(error: StoreError) -> Self {
        Self::with_source(RefreshErrorKind::Store, error)
    }
}

impl From<Unsent> for RefreshError {
    fn from(error: Unsent) -> Self {
        Self::with_source(RefreshErrorKind::Unsent, error)
    }
}

impl From<RateLimited> for RefreshError {
    fn from(error: RateLimited) -> Self {
        Self::with_source(RefreshErrorKind::RateLimited, error)
    }
}

impl fmt::Display for RefreshError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.kind.tell(f)
    }
}

impl Error for RefreshError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}
