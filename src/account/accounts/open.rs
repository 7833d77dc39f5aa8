//! The open ones of many accounts: each opened once, closed when there is need of room.

use std::borrow::Borrow;
use std::hash::{Hash, Hasher};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use dashmap::DashMap;
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tracing::Instrument as _;

use crate::account::authorize::standing;
use crate::account::context::Context;
use crate::account::credential::Join;
use crate::account::hearing::Listener;
use crate::account::rotation::{Ending, Presented};
use crate::account::state::AccountState;
use crate::account::work::Wait;
use crate::account::{AccountError, AccountErrorKind};
use crate::provider::Provider;
use crate::store::{AccountName, Change, Generation};

pub(in crate::account) struct OpenAccounts<P: Provider> {
    context: Arc<Context<P>>,
    /// For each account its one state in this process. A state that was not read from the store yet is
    /// of generation 0.
    open: DashMap<ByName<P>, ()>,
    capacity: usize,
    /// If more than this many are open, those that nobody holds are closed.
    sweep_at: Mutex<usize>,
    /// How many were opened so far: it serves as the time at which an account was asked for.
    opened: AtomicU64,
    closed: AtomicBool,
}

/// A state that is found by its account's name, which it holds itself: a key of its own would cost one
/// more cache miss.
struct ByName<P: Provider>(Arc<AccountState<P>>);

impl<P: Provider> Borrow<str> for ByName<P> {
    fn borrow(&self) -> &str {
        self.0.name.as_str()
    }
}

impl<P: Provider> Hash for ByName<P> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.name.hash(state);
    }
}

impl<P: Provider> PartialEq for ByName<P> {
    fn eq(&self, other: &Self) -> bool {
        self.0.name == other.0.name
    }
}

impl<P: Provider> Eq for ByName<P> {}

impl<P: Provider> AccountState<P> {
    fn is_unopened(&self) -> bool {
        self.cell.load().generation == Generation::default()
    }

    /// Whether it must stay open: somebody holds it, or it knows what the store may not, or
    /// somebody listens to it. To be asked where no handle can be given out meanwhile.
    fn is_needed(self: &Arc<Self>) -> bool {
        // Handles, whoever waits, a flight, tokens on their way into the store: all hold it.
        if Arc::strong_count(self) > 1 || self.events.is_read() {
            return true;
        }
        // Should the store fail over to a copy that has not seen the intent, only this process
        // knows that the refresh token may be spent.
        let generation = self.cell.load().generation;
        self.presented.of(generation) != Presented::No
    }
}

impl<P: Provider> OpenAccounts<P> {
    pub(super) fn new(context: Arc<Context<P>>, capacity: usize) -> Self {
        Self {
            context,
            open: DashMap::new(),
            capacity,
            sweep_at: Mutex::new(capacity),
            opened: AtomicU64::new(1),
            closed: AtomicBool::new(false),
        }
    }

    pub(in crate::account) fn context(&self) -> &Arc<Context<P>> {
        &self.context
    }

    pub(super) fn len(&self) -> usize {
        self.open.len()
    }

    /// The cell of this name, if it is open.
    pub(super) fn find(&self, name: &str) -> Option<Arc<AccountState<P>>> {
        let found = self.open.get(name)?;
        let account = &found.key().0;
        let asked_at = account.asked_at.load(Ordering::Relaxed);
        if asked_at == 0 && account.is_unopened() {
            return None;
        }
        let now = self.opened.load(Ordering::Relaxed);
        // An account that is asked for all the time is only read here, not written to.
        if asked_at != now {
            account.asked_at.store(now, Ordering::Relaxed);
        }
        Some(Arc::clone(account))
    }

    /// Looks at each that was read from the store.
    pub(in crate::account) fn for_each(&self, mut look: impl FnMut(Arc<AccountState<P>>)) {
        for open in &self.open {
            let account = &open.key().0;
            if !account.is_unopened() {
                look(Arc::clone(account));
            }
        }
    }

    /// Opens none any more, and closes those that are open.
    pub(super) fn close(&self) -> Vec<Arc<AccountState<P>>> {
        // This comes before the look at those that are open: whoever opens one looks at this flag
        // after having entered it, so either sees the other.
        self.closed.store(true, Ordering::SeqCst);
        let open = self.open.iter();
        let open: Vec<_> = open.map(|open| Arc::clone(&open.key().0)).collect();
        for account in &open {
            account.close();
        }
        open
    }

    /// # Errors
    ///
    /// If none is opened any more.
    pub(super) fn check_open(&self) -> Result<(), AccountError> {
        if self.closed.load(Ordering::SeqCst) {
            return Err(AccountError::new(AccountErrorKind::Closed));
        }
        Ok(())
    }

    /// The cell of this name, made if there is none.
    pub(super) fn entry(&self, name: &str) -> Result<Arc<AccountState<P>>, AccountError> {
        let name = AccountName::new(name)?;
        let open = self.open.get(name.as_str());
        let open = open.map(|open| Arc::clone(&open.key().0));
        let account = open.unwrap_or_else(|| {
            let made = ByName(Arc::new(AccountState::unopened(&self.context, name)));
            // Another's, if that came first.
            Arc::clone(&self.open.entry(made).or_insert(()).key().0)
        });
        self.opened.fetch_add(1, Ordering::Relaxed);
        self.make_room();
        if self.closed.load(Ordering::SeqCst) {
            account.close();
            if account.is_unopened() {
                self.give_up(account);
                return Err(AccountError::new(AccountErrorKind::Closed));
            }
        }
        Ok(account)
    }

    /// Waits until the account is read from the store. The cell elects who reads it, and tells those who
    /// wait, as it does for a flight.
    pub(super) async fn opened(
        self: &Arc<Self>,
        account: &Arc<AccountState<P>>,
    ) -> Result<(), AccountError> {
        let (tell, told) = oneshot::channel();
        let (unopened, now) = (Generation::default(), account.clock.now());
        match account.cell.join(unopened, now, tell) {
            Join::Newer(_) => return Ok(()),
            Join::Joined => {}
            Join::Lead => self.launch(account),
            Join::Grounded(_) | Join::Closed => {
                return Err(AccountError::new(AccountErrorKind::Closed));
            }
        }
        let limit = self.context.policy.longest_authorization();
        let opened = Wait::new(told, None, limit).await?;
        opened.map(drop).map_err(AccountError::from_refresh_error)
    }

    /// Reads the account from the store, in a task of its own: the caller that asked first may be
    /// dropped while others still wait. The task is on the runtime of that caller, which is driven;
    /// nothing is lost if the runtime goes.
    fn launch(self: &Arc<Self>, account: &Arc<AccountState<P>>) {
        let ending = Ending::new(account, Generation::default());
        let span = account.span("open");
        let (accounts, account) = (Arc::clone(self), Arc::clone(account));
        let task = async move {
            let read = accounts.read(&account).await;
            let current = account.cell.load().generation;
            let told = match read {
                // A user authorized it meanwhile.
                Err(_) if current > Generation::default() => Ok(current),
                Err(error) => Err(error.into_refresh_error()),
                Ok(()) => Ok(current),
            };
            ending.tell(&told);
            accounts.give_up(account);
        };
        let task = task.instrument(span);
        match Handle::try_current() {
            Ok(here) => drop(here.spawn(task)),
            Err(_) => self.context.home.spawn(task),
        }
    }

    async fn read(&self, account: &AccountState<P>) -> Result<(), AccountError> {
        match standing(&self.context, &account.name).await? {
            Some(record) => Ok(account.open(record)?),
            None => Err(AccountError::new(AccountErrorKind::NotAuthorized)),
        }
    }

    /// Lets go of an account; the last to do so forgets it, if it could not be opened.
    pub(super) fn give_up(&self, account: Arc<AccountState<P>>) {
        let name = account.name.clone();
        drop(account);
        self.open.remove_if(name.as_str(), |ByName(account), ()| {
            account.is_unopened() && Arc::strong_count(account) == 1
        });
    }

    /// If more accounts are open than the capacity, closes an eighth of them: those that nobody needs,
    /// and of these the ones that were not asked for longest. It looks at all of them, so it leaves room
    /// for many before it looks again, also if most of them are needed.
    fn make_room(&self) {
        // Whoever has it looks after it.
        let Ok(mut sweep_at) = self.sweep_at.try_lock() else {
            return;
        };
        let open = self.open.len();
        if open <= *sweep_at {
            return;
        }
        let asked_at = |ByName(account): &ByName<P>| account.asked_at.load(Ordering::Relaxed);
        let idle = self.open.iter().filter(|open| !open.key().0.is_needed());
        let mut idle: Vec<_> = idle.map(|open| asked_at(open.key())).collect();
        let eighth = |count: usize| count.div_ceil(8);
        let surplus = open.saturating_sub(self.capacity) + eighth(self.capacity);
        let mut surplus = surplus.min(idle.len());
        if let Some(last) = surplus.checked_sub(1) {
            let (_, last, _) = idle.select_nth_unstable(last);
            // Under the lock of each shard: no handle is given out between look and removal.
            self.open.retain(|open, ()| {
                let old = surplus > 0 && asked_at(open) <= *last;
                let goes = old && !open.0.is_needed();
                surplus -= usize::from(goes);
                !goes
            });
        }
        let open = self.open.len();
        *sweep_at = self.capacity.max(open + eighth(open));
    }
}

impl<P: Provider> Listener for OpenAccounts<P> {
    fn hear(&self, change: Change) {
        let Change::Record(account, _) = &change else {
            let open = self.open.iter();
            return open.for_each(|open| open.key().0.hear(change.clone()));
        };
        if let Some(open) = self.open.get(account.as_str()) {
            open.key().0.hear(change);
        }
    }
}
