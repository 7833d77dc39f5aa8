//! The handle of an account.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::oneshot;
use tracing::Instrument as _;

use super::credential::RotationState;
use super::state::{AccountState, shut_down};
use super::work::Wait;
use super::{AccountBuilder, AccountError, Event, Events, authorize};
use crate::store::{AccountName, Generation};
use crate::token::TokenEndpoint;
use crate::{AuthorizationCode, Timestamp};

/// How many events a slow reader may fall behind.
const EVENTS: usize = 64;

/// One grant of one user to one client: signs with its current credential and has it refreshed.
///
/// A cheap clone of one cell: whoever holds a clone shares the credential, the flight and the
/// events. See the [module docs](super).
#[derive(Clone)]
pub struct Account(pub(super) Arc<AccountState>);

impl Account {
    /// Starts an account at `endpoint`.
    pub fn builder(endpoint: TokenEndpoint) -> AccountBuilder {
        AccountBuilder::new(endpoint)
    }

    /// The account's name in its store.
    pub fn name(&self) -> &AccountName {
        &self.0.name
    }

    /// The generation of the credential that signs now.
    pub fn generation(&self) -> Generation {
        self.0.cell.load().generation
    }

    /// Whether the [tokens](AccountBuilder::tokens) or the
    /// [refresh token](AccountBuilder::refresh_token) that it was opened with were not taken,
    /// because the store knew the account with others. To replace what it knows,
    /// [`authorize`](Self::authorize) it, or [revoke](crate::store::RecordStore::revoke) it first.
    pub fn ignored_tokens(&self) -> bool {
        self.0.ignored_tokens.load(Ordering::Relaxed)
    }

    /// When the access token ends, if it has not ended and the API has not refused it.
    pub fn expires_at(&self) -> Option<Timestamp> {
        let now = self.0.clock.now();
        self.0.cell.load().deadline(self.0.cell.rejected(), now)
    }

    /// The scopes granted, as the provider wrote them.
    pub fn scope(&self) -> Option<String> {
        self.0.cell.load().grant.scope.clone()
    }

    /// The provider's pseudonymous id of the user (Xiaomi's `openId`).
    pub fn open_id(&self) -> Option<String> {
        self.0.cell.load().grant.open_id.clone()
    }

    /// The events from now on. If the account is in doubt, or its user must authorize it again, the
    /// first event says so.
    pub fn events(&self) -> Events {
        let events = self.0.events.subscribe(EVENTS);
        let snapshot = self.0.cell.load();
        events.after(match self.0.cell.rotation().0 {
            RotationState::InDoubt { why, .. } => Some(Event::InDoubt {
                generation: snapshot.generation,
                why: why.to_string(),
            }),
            RotationState::Revoked { .. } => Some(Event::ReauthorizationRequired {
                deadline: snapshot.deadline(self.0.cell.rejected(), self.0.clock.now()),
                may_recover: false,
            }),
            RotationState::Idle | RotationState::Backoff { .. } => None,
        })
    }

    /// Exchanges an authorization code, which works once, for new tokens, and signs with them from
    /// then on. A rotation under way cannot undo it.
    ///
    /// # Errors
    ///
    /// If the token endpoint is not reached (the code is still good), refuses, or its answer is
    /// lost; or if nobody drives the runtime that began the exchange.
    ///
    /// # Cancel safety
    ///
    /// The exchange goes on if the future is dropped; what it brings is kept.
    pub async fn authorize(
        &self,
        code: impl Into<AuthorizationCode>,
    ) -> Result<Generation, AccountError> {
        let (tell, told) = oneshot::channel();
        let exchange = authorize::exchange(Arc::clone(&self.0), code.into());
        let exchange = exchange.instrument(self.0.span("authorize"));
        let work = self.0.begin(async move {
            // The caller may have been dropped.
            let _ = tell.send(exchange.await);
        });
        let limit = self.0.context.policy.longest_authorization();
        Wait::new(told, Some(work), limit).await?
    }

    /// Ends the grant: the tokens leave the store and this process, and nothing is signed any more.
    /// Every process that shares the store obeys, as soon as it [hears of it](super#many-processes).
    /// The provider is not told (the Xiaomi Open API documents no way to). A rotation under way cannot
    /// undo it; [`authorize`](Self::authorize) can.
    ///
    /// # Errors
    ///
    /// If the store fails; then it is not known whether the grant is ended there.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the grant may be ended in the store while this process goes on
    /// signing, until it looks at the store again.
    pub async fn revoke(&self) -> Result<Generation, AccountError> {
        let revoke = authorize::revoke(&self.0);
        revoke.instrument(self.0.span("revoke")).await
    }

    /// Starts no refresh any more, and waits for a refresh that has sent its refresh token until the
    /// new tokens are durable. The access token goes on signing until it ends.
    ///
    /// Call it before the process ends: a refresh that is cut off after it has sent its token leaves
    /// the account in doubt. It does not wait for ever for a refresh on a runtime that is gone, or
    /// that nobody drives.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: call it again to go on waiting.
    pub async fn shutdown(&self) {
        self.0.close();
        shut_down(std::slice::from_ref(&self.0)).await;
        // One of many leaves the others hearing.
        let hearing = &self.0.context.hearing;
        if hearing.tells(&self.0) {
            hearing.end().await;
        }
    }

    /// Whether both are handles of the same account.
    #[inline]
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// The time to put into a nonce: the clock, corrected by what the API's `Date` said.
    pub(crate) fn nonce_time(&self, now: Timestamp) -> Timestamp {
        let offset = self.0.clock_offset_secs.load(Ordering::Relaxed);
        let shift = Duration::from_secs(offset.unsigned_abs());
        if offset < 0 {
            now.saturating_sub(shift)
        } else {
            now.saturating_add(shift)
        }
    }

    /// Learns the clock offset from the `Date` of a response that refused a nonce or a MAC.
    pub(crate) fn correct_clock(&self, server_time: Timestamp) {
        let now = self.0.clock.now();
        let secs = |span: Duration| i64::try_from(span.as_secs()).unwrap_or(i64::MAX);
        let offset_secs =
            secs(server_time.saturating_since(now)) - secs(now.saturating_since(server_time));
        // Nonces count minutes and `Date` seconds: a smaller difference says nothing.
        let offset_secs = if offset_secs.abs() < 2 {
            0
        } else {
            offset_secs
        };
        if self
            .0
            .clock_offset_secs
            .swap(offset_secs, Ordering::Relaxed)
            != offset_secs
        {
            self.0.emit(Event::ClockCorrected { offset_secs });
        }
    }
}

impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Account")
            .field("name", &self.0.name)
            .field("generation", &self.generation())
            .finish_non_exhaustive()
    }
}
