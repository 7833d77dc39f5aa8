use tokio::sync::broadcast;

use super::RefreshError;
use crate::Timestamp;
use crate::store::Generation;

/// Something an operator of the account may want to know or act on.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event {
    /// A rotation by this process is done and durable.
    Refreshed {
        /// The new generation.
        generation: Generation,
    },
    /// A newer credential was found in the store: another process rotated, or a user authorized.
    Adopted {
        /// The generation found.
        generation: Generation,
    },
    /// A user authorized the account through this process.
    Authorized {
        /// The new generation.
        generation: Generation,
    },
    /// A refresh failed and will be tried again; the refresh token is not spent.
    RefreshFailed {
        /// The generation that stays.
        generation: Generation,
        /// Why.
        error: RefreshError,
        /// When it is tried again, if a request asks for it.
        retry_at: Timestamp,
    },
    /// The refresh token was presented and the answer is lost. See
    /// [`InDoubtPolicy`](super::InDoubtPolicy).
    InDoubt {
        /// The generation whose refresh token it is.
        generation: Generation,
    },
    /// The refresh token is of no use, or in doubt: have the user authorize again. In doubt, an
    /// [`InDoubtPolicy`](super::InDoubtPolicy) may still let it be presented once more.
    ReauthorizationRequired {
        /// When the access token that still signs ends; `None` if it has.
        deadline: Option<Timestamp>,
    },
    /// The API refused a credential rotated less than the minimum interval ago. It was not
    /// refreshed: that cannot fix it.
    RejectedFresh {
        /// The generation refused.
        generation: Generation,
    },
    /// The token endpoint issued tokens that the store could not take yet. They sign from memory;
    /// the commit is tried again until it succeeds. Do not kill this process now.
    CommitDelayed {
        /// The generation held in memory.
        generation: Generation,
    },
    /// The clock offset used in nonces was corrected from a response's `Date`.
    ClockCorrected {
        /// What is added to the local clock, in seconds.
        offset_secs: i64,
    },
    /// The account was revoked here.
    Revoked {
        /// The generation that ended the grant.
        generation: Generation,
    },
}

/// The events of one account, from the moment of subscription.
#[derive(Debug)]
pub struct Events(broadcast::Receiver<Event>);

impl Events {
    pub(super) fn new(receiver: broadcast::Receiver<Event>) -> Self {
        Self(receiver)
    }

    /// The next event; `None` once the account is gone. A reader that falls more than 64 events
    /// behind misses the oldest.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: no event is lost if the future is dropped.
    pub async fn next(&mut self) -> Option<Event> {
        loop {
            match self.0.recv().await {
                Ok(event) => return Some(event),
                Err(broadcast::error::RecvError::Lagged(_)) => {}
                Err(broadcast::error::RecvError::Closed) => return None,
            }
        }
    }

    /// An event that is already there, or `None`.
    pub fn try_next(&mut self) -> Option<Event> {
        loop {
            match self.0.try_recv() {
                Ok(event) => return Some(event),
                Err(broadcast::error::TryRecvError::Lagged(_)) => {}
                Err(_) => return None,
            }
        }
    }
}
