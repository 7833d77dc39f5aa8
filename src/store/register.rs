//! What a store owes: a versioned register for each account, and nothing of the rotation.

use std::future::Future;

use super::error::unavailable;
use super::{
    AccountName, Commit, Draft, Import, Issued, Listed, Loaded, Record, Replaced, Secrets,
    StoreError, StoreErrorKind, Version, Watch, transition,
};
use crate::Timestamp;

/// Keeps one [`Record`] for each account, and replaces it if nobody else did.
///
/// A store knows nothing of leases, intents or doubt: those are [transitions](super#transitions) of
/// a record, which are applied by loading it, deciding, and replacing it. See the
/// [module docs](super#a-store-of-your-own) for one in a few lines;
/// `testing::Conformance` holds yours to the promises below.
///
/// # Contract
///
/// - [`replace`](Self::replace) is atomic, and durable before it returns `Ok`.
/// - Times are of the store's own clock: as it [loads](Loaded::now), and as it
///   [writes](Draft::at).
/// - `Err` of kind [`Unavailable`](StoreErrorKind::Unavailable) means that the write may or may
///   not have been done. The caller then loads what stands.
/// - A record that cannot be read is [`Unreadable`](super::Standing::Unreadable), never
///   [`Nothing`](super::Standing::Nothing).
/// - Cancelling a future leaves the record as it was or as the write makes it.
pub trait RecordStore: Send + Sync + 'static {
    /// What stands.
    ///
    /// # Errors
    ///
    /// If the store cannot be reached or does not answer.
    fn load(
        &self,
        account: &AccountName,
    ) -> impl Future<Output = Result<Loaded, StoreError>> + Send;

    /// Writes `draft`, if what stands is of the version `expected` (`None`: nothing stands).
    ///
    /// # Errors
    ///
    /// If the store cannot be reached or does not answer; the draft may be written all the same.
    fn replace(
        &self,
        account: &AccountName,
        expected: Option<Version>,
        draft: &Draft,
    ) -> impl Future<Output = Result<Replaced, StoreError>> + Send;

    /// The accounts after `after`, at most `limit` of them, in the order of the bytes of their
    /// names. To read all of them page by page, give the last name of each page for the next. For
    /// operators and gauges: a change that is made while pages are read may be in them or not.
    ///
    /// # Errors
    ///
    /// If the store cannot be reached or does not answer.
    fn list(
        &self,
        after: Option<&AccountName>,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<Listed>, StoreError>> + Send;

    /// Starts hearing of changes by any process, if the store can tell of them. If it cannot, an
    /// account that waits for its record looks again every second, and an account that signs looks
    /// every five seconds.
    ///
    /// A change to a status that [is rotating](super::Status::is_rotating) need not be told, because nobody
    /// waits for one.
    fn watch(&self) -> Option<Box<dyn Watch>> {
        None
    }

    /// Whether the store can be used now, for a health check: what it does is tried, as far as that
    /// changes nothing. By default a page of one account is listed.
    ///
    /// # Errors
    ///
    /// Why it cannot be used.
    fn check(&self) -> impl Future<Output = Result<(), StoreError>> + Send {
        async { self.list(None, 1).await.map(drop) }
    }

    /// Moves to the generation that was issued, from any lower generation and any status, or from
    /// nothing. It ends lease, doubt and failures. Repeated, it is [`Commit::Superseded`] by itself.
    ///
    /// A rotation commits one generation up, a user's decision [two](super::Generation::decided), and the
    /// tokens that a program is started with [`Generation::FIRST`](super::Generation::FIRST), so they replace nothing.
    ///
    /// # Errors
    ///
    /// If the store fails, or what stands cannot be read.
    fn commit(
        &self,
        account: &AccountName,
        issued: Issued,
    ) -> impl Future<Output = Result<Commit, StoreError>> + Send
    where
        Self: Sized,
    {
        commit(self, account, None, issued)
    }

    /// Ends the grant: [`Status::Revoked`](super::Status::Revoked), no secrets, two generations up, from any status, and
    /// also in the place of a record that cannot be read. No rotation under way can undo it; a new
    /// authorization can. Open accounts of all processes obey it as soon as they hear of it.
    ///
    /// # Errors
    ///
    /// If the store fails: then it is not known whether the grant is ended there.
    fn revoke(
        &self,
        account: &AccountName,
    ) -> impl Future<Output = Result<Record, StoreError>> + Send
    where
        Self: Sized,
    {
        async move {
            let applied = apply(self, account, None, |loaded, version| {
                Some(transition::revoke(loaded, version))
            });
            match applied.await? {
                Applied::Moved(record) => Ok(record),
                // Its guard cannot fail.
                Applied::Stood(_) => Err(unavailable("a revocation was refused")),
            }
        }
    }

    /// Takes over a record of another store, with all that guards its refresh token: status,
    /// back-off, whether it was presented again, and why. It replaces nothing.
    ///
    /// No process may use the account in either store from before the record is read there until
    /// all use it here, or both stores would hold a token that works once.
    ///
    /// # Errors
    ///
    /// If either record cannot be read, or the store fails.
    fn import(
        &self,
        account: &AccountName,
        record: &Record,
    ) -> impl Future<Output = Result<Import, StoreError>> + Send
    where
        Self: Sized,
    {
        async move {
            if let Secrets::Unreadable(_) = record.secrets {
                return Err(record.secrets.unreadable());
            }
            let applied = apply(self, account, None, |loaded, version| {
                transition::import(loaded, version, record)
            });
            match applied.await? {
                Applied::Moved(record) => Ok(Import::Imported(record)),
                Applied::Stood(loaded) => {
                    let known = loaded.into_record()?;
                    Ok(known.map_or(Import::UnderWay, Import::AlreadyKnown))
                }
            }
        }
    }
}

/// How often a write is tried whose outcome stays unknown.
const TRIES: u32 = 3;

/// What came of a transition.
#[derive(Debug)]
pub(crate) enum Applied {
    /// The record stands so, and is durable.
    Moved(Record),
    /// The transition's guard did not hold over this, and nothing was changed.
    Stood(Loaded),
}

/// Moves the record of `account` by `transition`, which is given what stands, and the version of
/// the write that it is to make.
///
/// `known` is what the caller saw last; if that still stands, one round trip is enough.
///
/// # Errors
///
/// If the store fails: then the record may or may not have moved.
pub(crate) async fn apply<S: RecordStore>(
    store: &S,
    account: &AccountName,
    known: Option<Loaded>,
    mut transition: impl FnMut(&Loaded, Version) -> Option<Draft> + Send,
) -> Result<Applied, StoreError> {
    let mut loaded = match known {
        Some(loaded) => loaded,
        None => store.load(account).await?,
    };
    loop {
        let Some(draft) = transition(&loaded, Version::draw()) else {
            return Ok(Applied::Stood(loaded));
        };
        match write(store, account, loaded.version(), draft).await? {
            Written::Done(record) => return Ok(Applied::Moved(record)),
            Written::Refused(standing) => loaded = standing,
        }
    }
}

/// [`RecordStore::commit`], over what the caller saw last.
///
/// It begins with a write in any case: that it is superseded must not be said of what was only seen,
/// which need not be durable, but of what refused the write.
pub(crate) fn commit<S: RecordStore>(
    store: &S,
    account: &AccountName,
    known: Option<Loaded>,
    issued: Issued,
) -> impl Future<Output = Result<Commit, StoreError>> + Send {
    commit_as(store, account, known, issued, |draft| draft)
}

/// The same, of a draft that is changed before it is written.
pub(crate) async fn commit_as<S: RecordStore>(
    store: &S,
    account: &AccountName,
    known: Option<Loaded>,
    issued: Issued,
    change: impl Fn(Draft) -> Draft + Send + Sync,
) -> Result<Commit, StoreError> {
    let known = known.unwrap_or_else(|| Loaded::nothing(Timestamp::EPOCH));
    let applied = apply(store, account, Some(known), |loaded, version| {
        transition::commit(&loaded.standing, version, &issued).map(&change)
    });
    match applied.await? {
        Applied::Moved(record) => Ok(Commit::Committed(record)),
        Applied::Stood(loaded) => match loaded.into_record()? {
            Some(record) if record.generation >= issued.generation => {
                Ok(Commit::Superseded(record))
            }
            Some(record) => Err(record.secrets.unreadable()),
            None => Err(unavailable("a commit over nothing was refused")),
        },
    }
}

enum Written {
    Done(Record),
    Refused(Loaded),
}

/// Replaces what stands. If the answer is lost, a look shows whether our write stands. A look is no
/// proof that a write is durable, so a write of ours that stands is written once more; and what stands
/// in its place is taken from a refusal, not from a look, which may lag.
async fn write<S: RecordStore>(
    store: &S,
    account: &AccountName,
    mut expected: Option<Version>,
    mut draft: Draft,
) -> Result<Written, StoreError> {
    let mut tries = 1;
    loop {
        let (standing, error) = match store.replace(account, expected, &draft).await {
            Ok(Replaced::Done(now)) => return Ok(Written::Done(draft.at(now))),
            // A try before this one may have come late.
            Ok(Replaced::Refused(standing)) if tries > 1 => (standing, None),
            Ok(Replaced::Refused(standing)) => return Ok(Written::Refused(standing)),
            Err(error) if error.kind() != StoreErrorKind::Unavailable || tries == TRIES => {
                return Err(error);
            }
            Err(error) => match store.load(account).await {
                Ok(standing) => (standing, Some(error)),
                Err(_) => return Err(error),
            },
        };
        tries += 1;
        if standing.version() == Some(draft.version) {
            expected = Some(draft.version);
            draft.version = Version::draw();
        } else if error.is_none() {
            return Ok(Written::Refused(standing));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::store::MemoryStore;
    use crate::store::fixture::{issued, name};

    /// What becomes of a write, in order; then all is well.
    #[derive(Clone, Copy, PartialEq)]
    enum Fate {
        /// It lands, and its answer is lost.
        LostReply,
        /// It does not land, and nobody can tell.
        LostWrite,
    }

    #[derive(Clone)]
    struct Lossy {
        inner: MemoryStore,
        fates: Arc<Mutex<VecDeque<Fate>>>,
        writes: Arc<Mutex<Vec<Version>>>,
    }

    impl Lossy {
        fn new(fates: &[Fate]) -> Self {
            Self {
                inner: MemoryStore::new(),
                fates: Arc::new(Mutex::new(fates.iter().copied().collect())),
                writes: Arc::default(),
            }
        }
    }

    impl RecordStore for Lossy {
        async fn load(&self, account: &AccountName) -> Result<Loaded, StoreError> {
            self.inner.load(account).await
        }

        async fn replace(
            &self,
            account: &AccountName,
            expected: Option<Version>,
            draft: &Draft,
        ) -> Result<Replaced, StoreError> {
            let fate = self.fates.lock().unwrap().pop_front();
            self.writes.lock().unwrap().push(draft.version);
            if fate != Some(Fate::LostWrite) {
                let replaced = self.inner.replace(account, expected, draft).await?;
                if fate.is_none() {
                    return Ok(replaced);
                }
            }
            Err(unavailable("lost"))
        }

        async fn list(
            &self,
            after: Option<&AccountName>,
            limit: usize,
        ) -> Result<Vec<Listed>, StoreError> {
            self.inner.list(after, limit).await
        }
    }

    async fn commit(store: &Lossy) -> Result<Applied, StoreError> {
        apply(store, &name("user"), None, |loaded, version| {
            transition::commit(&loaded.standing, version, &issued(1))
        })
        .await
    }

    async fn standing(store: &Lossy) -> Option<Version> {
        store.load(&name("user")).await.unwrap().version()
    }

    #[tokio::test]
    async fn a_write_whose_reply_was_lost_is_found_and_written_once_more() {
        for fates in [
            &[Fate::LostReply][..],
            &[Fate::LostWrite],
            &[Fate::LostWrite, Fate::LostReply],
            &[Fate::LostReply, Fate::LostReply],
            &[Fate::LostReply, Fate::LostWrite],
        ] {
            let store = Lossy::new(fates);
            let Applied::Moved(record) = commit(&store).await.unwrap() else {
                panic!("it was nobody else's")
            };
            assert_eq!(standing(&store).await, Some(record.version));
            // The write that was acknowledged is the last.
            assert_eq!(store.writes.lock().unwrap().len(), fates.len() + 1);
        }
    }

    #[tokio::test]
    async fn a_store_that_stays_away_is_an_error() {
        let store = Lossy::new(&[Fate::LostWrite; 3]);
        assert!(commit(&store).await.is_err());
        assert_eq!(standing(&store).await, None);
    }

    #[tokio::test]
    async fn of_two_who_write_at_once_the_second_decides_again() {
        let store = Lossy::new(&[]);
        let name = name("user");
        let nothing = store.load(&name).await.unwrap();
        let Applied::Moved(first) = commit(&store).await.unwrap() else {
            panic!("nobody else writes")
        };
        // With what was seen before the first: its guard is asked once more.
        let mut asked = Vec::new();
        let applied = apply(&store, &name, Some(nothing), |loaded, version| {
            asked.push(loaded.version());
            transition::commit(&loaded.standing, version, &issued(1))
        })
        .await;
        let Ok(Applied::Stood(standing)) = applied else {
            panic!("the first stands: {applied:?}")
        };
        assert_eq!(standing.version(), Some(first.version));
        assert_eq!(asked, [None, Some(first.version)]);
    }
}
