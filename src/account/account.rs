//! The handle of an account.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tracing::Instrument as _;

use super::credential::RotationState;
use super::state::{AccountState, shut_down};
use super::{AccountBuilder, AccountError, Event, Events, authorize};
use crate::provider::{Provider, TokenSet, Xiaomi};
use crate::store::{AccountName, Generation};
use crate::token::TokenEndpoint;
use crate::{AuthorizationCode, Extra, Timestamp};

/// How many events a slow reader may fall behind.
const EVENTS: usize = 64;

/// One grant of one user to one client: signs with its current credential and has it refreshed.
///
/// A cheap clone of one cell: whoever holds a clone shares the credential, the flight and the
/// events. See the [module docs](super).
pub struct Account<P: Provider = Xiaomi>(pub(super) Arc<AccountState<P>>);

impl<P: Provider> Account<P> {
    /// Starts an account with a provider, or at a [`TokenEndpoint`] that others share.
    pub fn builder(provider: impl Into<TokenEndpoint<P>>) -> AccountBuilder<P> {
        AccountBuilder::new(provider.into())
    }

    /// The provider.
    #[inline]
    pub fn provider(&self) -> &P {
        self.0.context.endpoint.provider()
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

    /// When the access token ends, if it has not ended, the API has not refused it, and the provider
    /// said when.
    pub fn expires_at(&self) -> Option<Timestamp> {
        let now = self.0.clock.now();
        self.0.cell.load().deadline(self.0.cell.rejected(), now)
    }

    /// The scopes granted, as the provider wrote them.
    pub fn scope(&self) -> Option<String> {
        self.0.cell.load().grant.scope.clone()
    }

    /// Who the user is, by the provider: Xiaomi's `openId`, the `sub` of an OpenID Connect `id_token`.
    pub fn subject(&self) -> Option<String> {
        self.0.cell.load().grant.subject.clone()
    }

    /// What else the provider sent with the tokens, by its name in the answer.
    pub fn extras(&self) -> BTreeMap<String, Extra> {
        self.0.cell.load().grant.extras.clone()
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
    /// lost; if the code is another user's than the account's ([`OtherUser`]: the tokens are in the
    /// [error](AccountError::into_tokens)); or if nobody drives the runtime that began the exchange.
    ///
    /// [`OtherUser`]: super::AccountErrorKind::OtherUser
    ///
    /// # Cancel safety
    ///
    /// The exchange goes on if the future is dropped; what it brings is kept.
    pub async fn authorize(
        &self,
        code: impl Into<AuthorizationCode>,
    ) -> Result<Generation, AccountError> {
        self.outliving(authorize::authorize(Arc::clone(&self.0), code.into()))
            .await
    }

    /// Puts tokens in that came another way, over whatever the account has: as if a user had
    /// authorized it with them. Their refresh token must never have been presented, and nobody else
    /// may present it from now on.
    ///
    /// # Errors
    ///
    /// If the store fails, or the tokens are another user's than the account's. The tokens are in the
    /// [error](AccountError::into_tokens) then.
    ///
    /// # Cancel safety
    ///
    /// It goes on if the future is dropped.
    pub async fn install(&self, tokens: TokenSet) -> Result<Generation, AccountError> {
        let brought = (tokens, self.0.clock.now()).into();
        self.outliving(authorize::install(Arc::clone(&self.0), brought))
            .await
    }

    /// Waits for work that goes on if the caller is dropped.
    async fn outliving(
        &self,
        work: impl Future<Output = Result<Generation, AccountError>> + Send + 'static,
    ) -> Result<Generation, AccountError> {
        let work = work.instrument(self.0.span("authorize"));
        self.0.context.outliving(self.0.tasks(), work).await?
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
    #[inline]
    pub(crate) fn nonce_time(&self, now: Timestamp) -> Timestamp {
        self.0.corrected(now)
    }

    /// Learns the clock offset from the time of a server that refused a nonce or a MAC.
    pub(crate) fn learn_time(&self, server_time: Timestamp) {
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
        let known = &self.0.clock_offset_secs;
        if known.swap(offset_secs, Ordering::Relaxed) != offset_secs {
            self.0.emit(Event::ClockCorrected { offset_secs });
        }
    }
}

impl<P: Provider> Clone for Account<P> {
    #[inline]
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<P: Provider> fmt::Debug for Account<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Account")
            .field("name", &self.0.name)
            .field("generation", &self.generation())
            .finish_non_exhaustive()
    }
}
