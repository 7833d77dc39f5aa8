use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::sync::oneshot;

use super::credential::{Access, Join, Loaded, Snapshot};
use super::numbers::{Counters, Guard};
use super::rotation::{launch, look};
use super::work::{Wait, Work};
use super::{Account, Event, RefreshError, RefreshErrorKind};
use crate::Timestamp;
use crate::provider::Provider;
use crate::store::Generation;

/// Waits for a newer credential: ends with its generation. See [`Account::refresh_if_current`].
///
/// # Cancel safety
///
/// Dropping it changes nothing: the refresh goes on without it.
///
/// # Panics
///
/// In a tokio runtime whose timer is off. Outside of any it waits as long as the refresh takes.
#[must_use = "the refresh goes on by itself; await this to know how it ended"]
#[derive(Debug)]
pub struct Refresh(State);

#[derive(Debug)]
enum State {
    Known(Result<Generation, RefreshError>),
    Waiting {
        wait: Wait<Result<Generation, RefreshError>>,
        _waiting: Guard,
    },
}

impl Future for Refresh {
    type Output = Result<Generation, RefreshError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.0 {
            State::Known(known) => Poll::Ready(known.clone()),
            State::Waiting { wait, .. } => Pin::new(wait).poll(cx).map(|told| told?),
        }
    }
}

/// How soon an account asks again for a look at the store, if enough other accounts are having
/// theirs.
const LOOK_SOON: Duration = Duration::from_secs(1);

/// What a signer gets.
pub(crate) enum Signer<C> {
    /// Sign with this, now.
    Ready(Ready<C>),
    /// The credential is dead: wait for the next.
    Wait(Refresh),
}

/// A live snapshot and the time it was looked at. It is a guard: do not hold it across an await.
pub(crate) struct Ready<C> {
    snapshot: Loaded<Snapshot<C>>,
    pub(crate) now: Timestamp,
}

impl<C> Ready<C> {
    pub(crate) fn generation(&self) -> Generation {
        self.snapshot.generation
    }

    /// # Errors
    ///
    /// If the account was revoked this very moment.
    #[inline]
    pub(crate) fn credential(&self) -> Result<&C, RefreshError> {
        self.snapshot
            .credential
            .as_ref()
            .ok_or_else(|| RefreshError::new(RefreshErrorKind::ReauthorizationRequired))
    }
}

impl<P: Provider> Account<P> {
    /// What the layer counts.
    #[inline]
    pub(crate) fn counters(&self) -> &Counters {
        &self.0.context.counters
    }

    /// The credential to sign with. Takes no lock and never waits while the access token lives.
    #[inline]
    pub(crate) fn signer(&self) -> Signer<P::Credential> {
        let now = self.0.clock.now();
        if self.0.cell.needs_attention(now) {
            return self.attend(now);
        }
        // After the look at the time of attention, never before: see `Cell::needs_attention`.
        let snapshot = self.0.cell.load();
        Signer::Ready(Ready { snapshot, now })
    }

    /// The token ages, or is dead, or another process may have written to the store.
    #[cold]
    fn attend(&self, now: Timestamp) -> Signer<P::Credential> {
        let snapshot = self.0.cell.load();
        match snapshot.access(self.0.cell.rejected(), now) {
            Access::Dead => Signer::Wait(self.join(snapshot.generation, now)),
            access => {
                let context = &self.0.context;
                if let Some(every) = context.look_every {
                    let room = || Arc::clone(&context.looks).try_acquire_owned().ok();
                    if let Some(room) = self.0.cell.takes_look(now, (every, LOOK_SOON), room) {
                        look(&self.0, room);
                    }
                }
                // Nobody waits for it: on a runtime that ends with this request its answer would
                // be lost.
                let room = || context.home.stands() && context.endpoint.try_pass();
                if access == Access::Aging && self.0.cell.look_ahead(now, room) {
                    launch(&self.0, snapshot.generation, true);
                }
                Signer::Ready(Ready { snapshot, now })
            }
        }
    }

    /// Has the credential refreshed though nobody refused it: because an operator asks, say. The one that
    /// stands signs on until there is a newer one, also if none comes. Callers at the same time get the
    /// same refresh.
    ///
    /// Each refresh risks its answer: if that is lost, the refresh token is in doubt. So do not call this
    /// by a timer; requests have the credential refreshed ahead of its end.
    ///
    /// # Errors
    ///
    /// Those of [`refresh_if_current`](Self::refresh_if_current), but that a credential may be new.
    pub fn refresh(&self) -> Refresh {
        let now = self.0.clock.now();
        let generation = self.0.cell.load().generation;
        self.join(generation, now)
    }

    /// To be called if the API refused the credential of `generation`: has it refreshed, unless there
    /// is a newer one already. However many tasks call this, one refresh is made, in a task of its own.
    ///
    /// # Errors
    ///
    /// The future ends with an error if no newer credential could be had; its
    /// [`kind`](RefreshError::kind) says why. A refusal less than the minimum interval after a
    /// rotation is [`RefreshErrorKind::RotatedRecently`]: nothing is refreshed.
    pub fn refresh_if_current(&self, generation: Generation) -> Refresh {
        let now = self.0.clock.now();
        let snapshot = self.0.cell.load();
        if snapshot.generation != generation {
            return Refresh(State::Known(Ok(snapshot.generation)));
        }
        // If the access token has ended since, that is why it is refused, and a refresh does fix it.
        let fresh = snapshot.was_rotated_within(self.0.context.policy.min_rotation_interval, now);
        if fresh && now < snapshot.expires_at {
            self.0.emit(Event::RejectedFresh { generation });
            let error = RefreshError::new(RefreshErrorKind::RotatedRecently);
            return Refresh(State::Known(Err(error)));
        }
        drop(snapshot);
        self.0.cell.reject(generation);
        self.join(generation, now)
    }

    fn wait(
        &self,
        told: oneshot::Receiver<Result<Generation, RefreshError>>,
        flight: Option<Arc<Work>>,
    ) -> Refresh {
        let limit = self.0.context.policy.longest_refresh();
        Refresh(State::Waiting {
            wait: Wait::new(told, flight, limit),
            _waiting: self.0.context.counters.waiting(),
        })
    }

    fn join(&self, generation: Generation, now: Timestamp) -> Refresh {
        let (tell, told) = oneshot::channel();
        match self.0.cell.join(generation, now, tell) {
            Join::Newer(newer) => Refresh(State::Known(Ok(newer))),
            Join::Joined => self.wait(told, self.0.tasks().flight()),
            Join::Lead => self.wait(told, Some(launch(&self.0, generation, false))),
            Join::Grounded(rotation) => Refresh(State::Known(Err(rotation.error()))),
            Join::Closed => Refresh(State::Known(Err(RefreshError::closed()))),
        }
    }
}
