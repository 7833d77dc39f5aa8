//! The handle of an account, and what stands behind all of its clones.

use std::fmt;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::sync::oneshot;
use tracing::{Instrument as _, Span};

use super::cell::Cell;
use super::duties::{Duties, settle};
use super::event::Channel;
use super::presented::Presented;
use super::realm::Realm;
use super::snapshot::Snapshot;
use super::state::Rotation;
use super::status::rotation_of;
use super::work::Wait;
use super::{
    AccountBuilder, AccountError, AccountEvent, Event, Events, One, RefreshError, authorize,
};
use crate::store::{AccountName, Generation, Record, StoreError};
use crate::token::TokenEndpoint;
use crate::{AuthorizationCode, Clock, Timestamp};

/// How many events a slow reader may fall behind.
const EVENTS: usize = 64;

/// One grant of one user to one client: signs with its current credential and has it refreshed.
///
/// A cheap clone of one cell: whoever holds a clone shares the credential, the flight and the
/// events. See the [module docs](super).
#[derive(Clone)]
pub struct Account(pub(super) Arc<Shared>);

/// How a caller that waits for the flight is told.
type Waiter = oneshot::Sender<Result<Generation, RefreshError>>;

/// What the handles and the account's tasks share.
///
/// In this order: with the name and `asked_at` beside the count of its handles, finding it among a
/// million reads one place of memory that is not at hand.
#[repr(C)]
pub(super) struct Shared {
    pub(super) name: AccountName,
    /// Of one among [many](super::Accounts): when it was last asked for; 0 until it was read from
    /// the store.
    pub(super) asked_at: AtomicU64,
    /// What it shares with other accounts.
    pub(super) realm: Arc<Realm>,
    /// The realm's, at hand: each signature reads it.
    pub(super) clock: Arc<dyn Clock>,
    pub(super) cell: Cell<Waiter>,
    pub(super) presented: Presented,
    /// Added to the clock in nonces.
    pub(super) clock_offset_secs: AtomicI64,
    pub(super) events: Channel<Event>,
    /// Made when there is the first task: most of many accounts have none.
    pub(super) duties: OnceLock<Duties>,
}

impl Account {
    /// Starts an account at `endpoint`.
    pub fn builder(endpoint: TokenEndpoint) -> AccountBuilder {
        AccountBuilder::new(endpoint, One::default())
    }

    /// The account's name in its store.
    pub fn name(&self) -> &AccountName {
        &self.0.name
    }

    /// The generation of the credential that signs now.
    pub fn generation(&self) -> Generation {
        self.0.cell.load().generation
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

    /// The events from now on. Of an account that is in doubt, or whose user must authorize it
    /// again, the first says so.
    pub fn events(&self) -> Events {
        let events = self.0.events.subscribe(EVENTS);
        let snapshot = self.0.cell.load();
        events.after(match self.0.cell.rotation().0 {
            Rotation::InDoubt { why, .. } => Some(Event::InDoubt {
                generation: snapshot.generation,
                why: why.to_string(),
            }),
            Rotation::Revoked { .. } => Some(Event::ReauthorizationRequired {
                deadline: snapshot.deadline(self.0.cell.rejected(), self.0.clock.now()),
                may_recover: false,
            }),
            Rotation::Idle | Rotation::Backoff { .. } => None,
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
        let limit = self.0.realm.policy.longest_authorization();
        Wait::new(told, Some(work), limit).await?
    }

    /// Ends the grant here: the tokens leave the store and this process, and nothing is signed any
    /// more. The provider is not told (the Xiaomi Open API documents no way to). A rotation under
    /// way cannot undo it; [`authorize`](Self::authorize) can.
    ///
    /// # Errors
    ///
    /// If the store fails; then it is not known whether the grant is ended there.
    ///
    /// # Cancel safety
    ///
    /// A dropped future may leave the grant ended in the store and this process signing until its
    /// next refresh.
    pub async fn revoke(&self) -> Result<Generation, AccountError> {
        let revoke = authorize::revoke(&self.0);
        revoke.instrument(self.0.span("revoke")).await
    }

    /// Starts no refresh any more and waits for the one that has sent its refresh token, until
    /// what it brings is durable. The access token goes on signing until it ends.
    ///
    /// Call it before the process ends: a refresh cut off after it has sent leaves the account in
    /// doubt. For what a runtime began that is gone, or that nobody drives, it does not wait for
    /// ever.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: call it again to go on waiting.
    pub async fn shutdown(&self) {
        self.0.close();
        settle(std::slice::from_ref(&self.0)).await;
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

impl Shared {
    /// An account of which nothing is known yet: it is below every generation, so whatever the
    /// store says is newer.
    pub(super) fn unopened(realm: &Arc<Realm>, name: AccountName) -> Self {
        let nothing = authorize::nothing(realm.endpoint.client_id(), realm.clock.now());
        Self {
            name,
            asked_at: AtomicU64::new(0),
            realm: Arc::clone(realm),
            clock: Arc::clone(&realm.clock),
            cell: Cell::new(nothing),
            presented: Presented::default(),
            clock_offset_secs: AtomicI64::new(0),
            events: Channel::new(),
            duties: OnceLock::new(),
        }
    }

    /// Opens the account with its record, unless a user authorized it this very moment.
    ///
    /// # Errors
    ///
    /// If the record is sealed, or another client's.
    pub(super) fn open(&self, record: Record) -> Result<(), StoreError> {
        let record = record.usable_by(&self.realm.client_id)?;
        let now = self.clock.now();
        let rotation = rotation_of(&record, self.realm.policy.in_doubt, now);
        let snapshot = Snapshot::of(record, self.realm.endpoint.client_id(), now);
        let generation = snapshot.generation;
        if self.cell.publish_with(snapshot, rotation.clone()) {
            if let Rotation::InDoubt { why, .. } = &rotation {
                let why = why.to_string();
                self.emit(Event::InDoubt { generation, why });
            }
            self.announce_reauthorization(&Rotation::Idle, &rotation);
        }
        Ok(())
    }

    /// Says whose trouble it is, whatever is logged under it, at any level: so it has the highest.
    pub(super) fn span(&self, what: &'static str) -> Span {
        tracing::error_span!("account", account = %self.name, what)
    }

    pub(super) fn emit(&self, event: Event) {
        match &event {
            Event::Refreshed { .. } | Event::Adopted { .. } | Event::Authorized { .. } => {
                tracing::info!(account = %self.name, ?event, "credential changed");
            }
            _ => tracing::warn!(account = %self.name, ?event, "credential trouble"),
        }
        self.realm.events.send(|| AccountEvent {
            account: Some(self.name.clone()),
            event: event.clone(),
        });
        self.events.send(|| event);
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
