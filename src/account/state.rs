//! What stands behind all clones of an account.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::sync::oneshot;
use tracing::Span;

use super::context::Context;
use super::credential::{Access, Cell, RotationState, Snapshot};
use super::event::Channel;
use super::hearing::Listener;
use super::rotation::PresentedTokens;
use super::tasks::{Tasks, settle};
use super::work::Work;
use super::{AccountEvent, Event, RefreshError};
use crate::provider::{Grant, Provider};
use crate::store::{AccountName, Change, Generation, Record, StoreError, Version};
use crate::{Clock, Timestamp};

/// How a caller that waits for the flight is told.
type Waiter = oneshot::Sender<Result<Generation, RefreshError>>;

/// What the handles of an account and its tasks share.
///
/// The order of the fields matters: with the name and `asked_at` beside the count of handles, finding
/// an account among a million takes one cache miss.
#[repr(C)]
pub(super) struct AccountState<P: Provider> {
    pub(super) name: AccountName,
    /// When an account of [many](super::Accounts) was last asked for; 0 until it was read from the
    /// store.
    pub(super) asked_at: AtomicU64,
    /// What it shares with other accounts.
    pub(super) context: Arc<Context<P>>,
    /// The context's clock, kept here too because each signature reads it.
    pub(super) clock: Arc<dyn Clock>,
    pub(super) cell: Cell<P::Credential, Waiter>,
    pub(super) presented: PresentedTokens,
    /// Added to the clock in nonces.
    pub(super) clock_offset_secs: AtomicI64,
    pub(super) ignored_tokens: AtomicBool,
    pub(super) events: Channel<Event>,
    /// Made when there is the first task: most of many accounts have none.
    tasks: OnceLock<Tasks>,
}

impl<P: Provider> AccountState<P> {
    /// An account of which nothing is known yet: it is below every generation, so whatever the
    /// store says is newer.
    pub(super) fn unopened(context: &Arc<Context<P>>, name: AccountName) -> Self {
        let nothing = Snapshot::nothing(context.clock.now());
        Self {
            name,
            asked_at: AtomicU64::new(0),
            context: Arc::clone(context),
            clock: Arc::clone(&context.clock),
            cell: Cell::new(nothing),
            presented: PresentedTokens::default(),
            clock_offset_secs: AtomicI64::new(0),
            ignored_tokens: AtomicBool::new(false),
            events: Channel::new(),
            tasks: OnceLock::new(),
        }
    }

    /// Opens the account with its record, unless a user authorized it this very moment.
    ///
    /// # Errors
    ///
    /// If the record cannot be read, or is another client's.
    pub(super) fn open(&self, record: Record) -> Result<(), StoreError> {
        let record = self.context.usable(record)?;
        let (snapshot, rotation) = self.reading(&record)?;
        let generation = snapshot.generation;
        if self.cell.publish_with(snapshot, rotation.clone()) {
            if let RotationState::InDoubt { why, .. } = &rotation {
                let why = why.to_string();
                self.tell(Event::InDoubt { generation, why });
            }
            self.announce_reauthorization(&RotationState::Idle, &rotation);
        }
        self.note_seen(record.version);
        Ok(())
    }

    /// Takes over a record of a higher generation: its generation, and whether it signs.
    pub(super) fn adopt(&self, record: Record) -> (Generation, Access) {
        let generation = record.generation;
        if self.publish(record) {
            self.emit(Event::Adopted { generation });
            self.announce_reauthorization(&RotationState::Idle, &self.cell.rotation().0);
        }
        (
            self.cell.load().generation,
            self.cell.access(self.clock.now()),
        )
    }

    /// Signs with a record's credential from now on, and rotates as it says, unless there is a newer
    /// one.
    pub(super) fn publish(&self, record: Record) -> bool {
        let version = record.version;
        let read = self.context.usable(record);
        match read.and_then(|record| self.reading(&record)) {
            Ok((snapshot, rotation)) => {
                self.note_seen(version);
                self.cell.adopt(snapshot, rotation)
            }
            Err(error) => {
                tracing::error!(account = %self.name, %error, "a record cannot be used");
                false
            }
        }
    }

    /// What a record says to this process.
    fn reading(
        &self,
        record: &Record,
    ) -> Result<(Snapshot<P::Credential>, RotationState), StoreError> {
        let now = self.clock.now();
        let rotation = RotationState::of(record, self.context.policy.in_doubt, now);
        let prepare = |grant: &Grant| self.context.prepare(grant);
        Ok((Snapshot::of(record, prepare, now)?, rotation))
    }

    /// The time to put into a request: the clock, corrected by what the API's `Date` said.
    #[inline]
    pub(super) fn corrected(&self, now: Timestamp) -> Timestamp {
        let offset = self.clock_offset_secs.load(Ordering::Relaxed);
        let shift = Duration::from_secs(offset.unsigned_abs());
        if offset < 0 {
            now.saturating_sub(shift)
        } else {
            now.saturating_add(shift)
        }
    }

    /// Takes note of a write that stands in the store, so that a later write by another process is
    /// noticed.
    pub(super) fn note_seen(&self, version: Version) {
        let look_at = match self.context.look_every {
            Some(every) => self.clock.now().saturating_add(every),
            None => Timestamp::MAX,
        };
        self.cell.note_seen(version, look_at);
    }

    /// Tells that a person is needed, and how long the access token still signs: once, and again when
    /// the answer to the second presentation is lost as well. Whether there was that to tell.
    pub(super) fn announce_reauthorization(
        &self,
        before: &RotationState,
        after: &RotationState,
    ) -> bool {
        use RotationState::{InDoubt, Revoked};
        let news = match (before, after) {
            (InDoubt { again: before, .. }, InDoubt { again, .. }) => {
                before.is_some() && again.is_none()
            }
            (Revoked { .. }, Revoked { .. }) => false,
            (_, Revoked { .. } | InDoubt { .. }) => true,
            _ => false,
        };
        if news {
            let now = self.clock.now();
            let deadline = self.cell.load().deadline(self.cell.rejected(), now);
            let may_recover = matches!(after, InDoubt { again: Some(_), .. });
            self.emit(Event::ReauthorizationRequired {
                deadline,
                may_recover,
            });
        }
        news
    }

    /// Names the account in whatever is logged under the span. The span has the highest level, so that
    /// no filter for levels leaves the name out.
    pub(super) fn span(&self, what: &'static str) -> Span {
        tracing::error_span!("account", account = %self.name, what)
    }

    /// The tasks that the account's shutdown waits for.
    pub(super) fn tasks(&self) -> &Tasks {
        self.tasks.get_or_init(Tasks::default)
    }

    /// Begins work that the account's shutdown waits for.
    pub(super) fn begin(&self, work: impl Future<Output = ()> + Send + 'static) -> Arc<Work> {
        self.tasks().begin(&self.context.home, work)
    }

    /// No flight starts from here on, and one that has sent nothing is called back.
    pub(super) fn close(&self) {
        self.cell.close();
        self.tasks().close();
    }

    /// Counts what happened, and tells of it.
    pub(super) fn emit(&self, event: Event) {
        self.context.counters.event(&event, self.clock.now());
        self.tell(event);
    }

    /// Tells of what happened before, or elsewhere.
    fn tell(&self, event: Event) {
        match &event {
            Event::Refreshed { .. } | Event::Adopted { .. } | Event::Authorized { .. } => {
                tracing::info!(account = %self.name, ?event, "credential changed");
            }
            _ => tracing::warn!(account = %self.name, ?event, "credential trouble"),
        }
        self.context.events.send(|| AccountEvent {
            account: Some(self.name.clone()),
            event: event.clone(),
        });
        self.events.send(|| event);
    }
}

/// Waits until the tasks of these accounts, which are closed, have ended.
pub(super) async fn shut_down<P: Provider>(accounts: &[Arc<AccountState<P>>]) {
    let Some(any) = accounts.first() else { return };
    let limit = any.context.policy.longest_authorization();
    let tasks = accounts
        .iter()
        .map(|account| (account.name.as_str(), account.tasks()));
    settle(&tasks.collect::<Vec<_>>(), limit).await;
}

/// Of an account that is alone in its store.
impl<P: Provider> Listener for AccountState<P> {
    fn hear(&self, change: Change) {
        let version = match change {
            Change::Record(account, version) if account == self.name => Some(version),
            Change::Record(..) => return,
            _ => None,
        };
        self.cell.hear(version);
        if let Some(tasks) = self.tasks.get() {
            tasks.changed().notify_waiters();
        }
    }
}
