use std::error::Error;
use std::fmt;
use std::sync::Arc;

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

/// Why a credential could not be refreshed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RefreshErrorKind {
    /// An attempt failed lately (see the source); none is made before this moment.
    BackingOff {
        /// When the next attempt may be made.
        until: Timestamp,
    },
    /// The API refused a credential that was rotated a moment ago: refreshing cannot fix that.
    RotatedRecently,
    /// The refresh token was presented and the answer is lost. It is not presented again while
    /// that could end the grant.
    InDoubt,
    /// The refresh token is spent, expired or revoked, or there is none: the user must
    /// authorize again.
    ReauthorizationRequired,
    /// The token endpoint was not reached; nothing was sent. It is tried again after a back-off.
    Unsent,
    /// The token endpoint's rate limit is reached. The refresh token is not spent; it is tried
    /// again after the pause that the endpoint asks for.
    RateLimited,
    /// The token endpoint refused for a reason in the client's configuration, not in the token. The
    /// source is a [`Refused`](crate::provider::Refused), with the code.
    Refused,
    /// The token endpoint issued tokens that cannot be used. The new refresh token is kept.
    UnusableAnswer,
    /// The store could not be used. If a refresh token had been sent by then, the record says so, or
    /// is called in doubt once the store is back.
    Store,
    /// The refresh did not end in time. Either nothing was sent, or nobody drives the runtime that
    /// began the refresh, which may still end.
    TimedOut,
    /// The task or runtime that refreshed is gone.
    Interrupted,
    /// The account was shut down.
    Closed,
}

impl RefreshErrorKind {
    /// The name of this kind, for labels: `in_doubt`, for one.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::BackingOff { .. } => "backing_off",
            Self::RotatedRecently => "rotated_recently",
            Self::InDoubt => "in_doubt",
            Self::ReauthorizationRequired => "reauthorization_required",
            Self::Unsent => "unsent",
            Self::RateLimited => "rate_limited",
            Self::Refused => "refused",
            Self::UnusableAnswer => "unusable_answer",
            Self::Store => "store",
            Self::TimedOut => "timed_out",
            Self::Interrupted => "interrupted",
            Self::Closed => "closed",
        }
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
        match self.kind {
            RefreshErrorKind::BackingOff { until } => {
                write!(f, "the last refresh failed; the next is tried at {until}")
            }
            RefreshErrorKind::RotatedRecently => {
                f.write_str("the API refused a credential that was refreshed a moment ago")
            }
            RefreshErrorKind::InDoubt => {
                f.write_str("the answer to the last refresh is lost and its refresh token in doubt")
            }
            RefreshErrorKind::ReauthorizationRequired => {
                f.write_str("the refresh token is of no use: the user must authorize again")
            }
            RefreshErrorKind::Unsent => f.write_str("the token endpoint was not reached"),
            RefreshErrorKind::RateLimited => f.write_str(
                "the token endpoint's rate limit is reached; the refresh token is kept for later",
            ),
            RefreshErrorKind::Refused => f.write_str("the token endpoint refused the client"),
            RefreshErrorKind::UnusableAnswer => {
                f.write_str("the token endpoint issued tokens that cannot be used")
            }
            RefreshErrorKind::Store => f.write_str("the token store could not be used"),
            RefreshErrorKind::TimedOut => f.write_str("the refresh did not end in time"),
            RefreshErrorKind::Interrupted => f.write_str("the refresh was interrupted"),
            RefreshErrorKind::Closed => {
                f.write_str("the account was shut down, or the request was given none")
            }
        }
    }
}

impl Error for RefreshError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All of them, in turn: a new one does not compile until it is here.
    fn next(kind: &RefreshErrorKind) -> Option<RefreshErrorKind> {
        use RefreshErrorKind as Kind;
        Some(match kind {
            Kind::BackingOff { .. } => Kind::RotatedRecently,
            Kind::RotatedRecently => Kind::InDoubt,
            Kind::InDoubt => Kind::ReauthorizationRequired,
            Kind::ReauthorizationRequired => Kind::Unsent,
            Kind::Unsent => Kind::RateLimited,
            Kind::RateLimited => Kind::Refused,
            Kind::Refused => Kind::UnusableAnswer,
            Kind::UnusableAnswer => Kind::Store,
            Kind::Store => Kind::TimedOut,
            Kind::TimedOut => Kind::Interrupted,
            Kind::Interrupted => Kind::Closed,
            Kind::Closed => return None,
        })
    }

    #[test]
    fn the_guide_says_what_to_do_about_every_kind() {
        let guide = include_str!("../guide/errors.md");
        let until = Timestamp::EPOCH;
        let first = RefreshErrorKind::BackingOff { until };
        for kind in std::iter::successors(Some(first), next) {
            let text = RefreshError::new(kind).to_string();
            let text = text.replace(&until.to_string(), "…");
            assert!(guide.contains(&format!("| `{text}` |")), "{text}");
        }
    }
}
