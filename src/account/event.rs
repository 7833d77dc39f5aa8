use std::sync::OnceLock;

use tokio::sync::broadcast::{self, error::RecvError, error::TryRecvError};

use super::RefreshError;
use crate::Timestamp;
use crate::store::{AccountName, Generation};

/// Something an operator of the account may want to know or act on.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event {
    /// A rotation by this process is done and durable, and the new credential signs.
    #[non_exhaustive]
    Refreshed {
        /// The new generation.
        generation: Generation,
    },
    /// A newer credential was found in the store: another process rotated, or a user authorized.
    #[non_exhaustive]
    Adopted {
        /// The generation found.
        generation: Generation,
    },
    /// A user authorized the account through this process.
    #[non_exhaustive]
    Authorized {
        /// The new generation.
        generation: Generation,
    },
    /// A refresh failed and will be tried again; the refresh token that is kept is not spent.
    #[non_exhaustive]
    RefreshFailed {
        /// The generation that stays.
        generation: Generation,
        /// Why.
        error: RefreshError,
        /// When it is tried again, if a request asks for it.
        retry_at: Timestamp,
    },
    /// The refresh token was presented and the answer is lost, now or before the account was
    /// opened. See [`InDoubtPolicy`](super::InDoubtPolicy).
    #[non_exhaustive]
    InDoubt {
        /// The generation whose refresh token it is.
        generation: Generation,
        /// What became of the answer.
        why: String,
    },
    /// The refresh token is of no use, or in doubt: have the user authorize again.
    #[non_exhaustive]
    ReauthorizationRequired {
        /// When the access token that still signs ends; `None` if it has.
        deadline: Option<Timestamp>,
        /// Whether the [`InDoubtPolicy`](super::InDoubtPolicy) lets a refresh token in doubt be
        /// presented once more, so that it may come right by itself. If it does not, this event
        /// comes again, with `false`.
        may_recover: bool,
    },
    /// The API refused a credential rotated less than the minimum interval ago. It was not
    /// refreshed: that cannot fix it.
    #[non_exhaustive]
    RejectedFresh {
        /// The generation refused.
        generation: Generation,
    },
    /// The token endpoint issued tokens that the store could not take yet. They sign from memory;
    /// the commit is tried again until it succeeds. Do not kill this process now.
    #[non_exhaustive]
    CommitDelayed {
        /// The generation held in memory.
        generation: Generation,
    },
    /// The clock offset used in nonces was corrected from a response's `Date`.
    #[non_exhaustive]
    ClockCorrected {
        /// What is added to the local clock, in seconds.
        offset_secs: i64,
    },
    /// The account was revoked here.
    #[non_exhaustive]
    Revoked {
        /// The generation that ended the grant.
        generation: Generation,
    },
    /// This reader fell behind, and events were dropped that it will not see.
    #[non_exhaustive]
    Lagged {
        /// How many.
        missed: u64,
    },
}

impl Event {
    /// The name of this event, for labels and logs: `in_doubt`, for one.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Refreshed { .. } => "refreshed",
            Self::Adopted { .. } => "adopted",
            Self::Authorized { .. } => "authorized",
            Self::RefreshFailed { .. } => "refresh_failed",
            Self::InDoubt { .. } => "in_doubt",
            Self::ReauthorizationRequired { .. } => "reauthorization_required",
            Self::RejectedFresh { .. } => "rejected_fresh",
            Self::CommitDelayed { .. } => "commit_delayed",
            Self::ClockCorrected { .. } => "clock_corrected",
            Self::Revoked { .. } => "revoked",
            Self::Lagged { .. } => "lagged",
        }
    }
}

/// An [`Event`] of one of many accounts.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct AccountEvent {
    /// Whose it is; `None` for [`Event::Lagged`], which is the reader's own.
    pub account: Option<AccountName>,
    /// What happened.
    pub event: Event,
}

/// Events from the moment of subscription: of one account ([`Event`]s, from
/// [`Account::events`](super::Account::events)) or of many ([`AccountEvent`]s, from
/// [`Accounts::events`](super::Accounts::events)).
#[derive(Debug)]
pub struct Events<T = Event> {
    first: Option<T>,
    rest: broadcast::Receiver<T>,
}

impl<T: Clone + From<Event>> Events<T> {
    /// The same events, after one that tells how the account stood before.
    pub(super) fn after(self, first: Option<T>) -> Self {
        Self { first, ..self }
    }

    /// The next event; `None` once the account is gone. A reader that falls too far behind (64
    /// events of one account, 1024 of many) misses the oldest, and gets [`Event::Lagged`] in their
    /// place.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: no event is lost if the future is dropped.
    pub async fn next(&mut self) -> Option<T> {
        if let Some(first) = self.first.take() {
            return Some(first);
        }
        match self.rest.recv().await {
            Ok(event) => Some(event),
            Err(RecvError::Lagged(missed)) => Some(Event::Lagged { missed }.into()),
            Err(RecvError::Closed) => None,
        }
    }

    /// An event that is already there, or `None`.
    pub fn try_next(&mut self) -> Option<T> {
        if let Some(first) = self.first.take() {
            return Some(first);
        }
        match self.rest.try_recv() {
            Ok(event) => Some(event),
            Err(TryRecvError::Lagged(missed)) => Some(Event::Lagged { missed }.into()),
            Err(_) => None,
        }
    }
}

impl From<Event> for AccountEvent {
    fn from(event: Event) -> Self {
        Self {
            account: None,
            event,
        }
    }
}

/// Where events go. It has no buffer before somebody reads.
pub(super) struct Channel<T>(OnceLock<broadcast::Sender<T>>);

impl<T: Clone> Channel<T> {
    pub(super) const fn new() -> Self {
        Self(OnceLock::new())
    }

    /// The first reader decides how many events a slow one may fall behind.
    pub(super) fn subscribe(&self, capacity: usize) -> Events<T> {
        let sender = self.0.get_or_init(|| broadcast::Sender::new(capacity));
        Events {
            first: None,
            rest: sender.subscribe(),
        }
    }

    pub(super) fn send(&self, event: impl FnOnce() -> T) {
        if let Some(sender) = self.0.get() {
            // The last reader may have gone this moment.
            let _ = sender.send(event());
        }
    }

    /// Whether somebody reads.
    pub(super) fn is_read(&self) -> bool {
        let sender = self.0.get();
        sender.is_some_and(|sender| sender.receiver_count() > 0)
    }
}
