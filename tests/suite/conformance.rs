//! The suite for stores catches a store that breaks one promise.

use std::sync::Arc;
use std::time::Duration;

use tower_mac_auth::Timestamp;
use tower_mac_auth::store::{
    AccountName, Draft, Grant, Listed, Loaded, MemoryStore, Moment, RecordStore, Replaced, Secrets,
    SharedStore, Standing, StoreError, Version, Watch,
};
use tower_mac_auth::testing::Conformance;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Broken {
    ReplacesWhateverStands,
    TakesNothingForAnything,
    AnswersAndForgets,
    SharesOneAccount,
    DropsTheExpiry,
    DropsTheLease,
    DropsTheSecrets,
    CountsFailuresInBytes,
    CountsOnTheClockOfTheWriter,
    ListsInTheOrderItLikes,
    ListsTheLastOfAPageTwice,
    NeverTells,
    HasNoSecretsOfSomeElsewhere,
}

const ALL: [Broken; 13] = [
    Broken::ReplacesWhateverStands,
    Broken::TakesNothingForAnything,
    Broken::AnswersAndForgets,
    Broken::SharesOneAccount,
    Broken::DropsTheExpiry,
    Broken::DropsTheLease,
    Broken::DropsTheSecrets,
    Broken::CountsFailuresInBytes,
    Broken::CountsOnTheClockOfTheWriter,
    Broken::ListsInTheOrderItLikes,
    Broken::ListsTheLastOfAPageTwice,
    Broken::NeverTells,
    Broken::HasNoSecretsOfSomeElsewhere,
];

/// One of two processes, which have numbers.
struct Store(MemoryStore, Broken, usize);

impl Store {
    fn is(&self, broken: Broken) -> bool {
        self.1 == broken
    }

    fn name(&self, account: &AccountName) -> AccountName {
        if self.is(Broken::SharesOneAccount) {
            return account.as_str().to_lowercase().parse().unwrap();
        }
        account.clone()
    }

    fn written(&self, draft: &Draft) -> Draft {
        let mut draft = draft.clone();
        match self.1 {
            Broken::DropsTheExpiry => draft.expires_at = None,
            Broken::DropsTheLease => draft.lease = None,
            Broken::DropsTheSecrets => {
                if let Secrets::Open(grant) = &mut draft.secrets {
                    grant.extras.clear();
                    grant.scope = None;
                }
            }
            Broken::CountsFailuresInBytes => draft.fails &= 0xff,
            Broken::CountsOnTheClockOfTheWriter => {
                draft.deadline = Moment::At(draft.deadline.at(Timestamp::from_secs(1)));
            }
            _ => {}
        }
        draft
    }
}

impl RecordStore for Store {
    async fn load(&self, account: &AccountName) -> Result<Loaded, StoreError> {
        let mut loaded = self.0.load(&self.name(account)).await?;
        if self.is(Broken::HasNoSecretsOfSomeElsewhere)
            && (self.2, account.as_str().is_ascii()) == (1, false)
            && let Standing::Record(record) = &mut loaded.standing
        {
            record.secrets = Secrets::Open(Grant::default());
        }
        Ok(loaded)
    }

    async fn replace(
        &self,
        account: &AccountName,
        expected: Option<Version>,
        draft: &Draft,
    ) -> Result<Replaced, StoreError> {
        let account = self.name(account);
        let standing = self.0.load(&account).await?;
        let expected = match self.1 {
            Broken::ReplacesWhateverStands if standing.version().is_some() => standing.version(),
            Broken::TakesNothingForAnything if expected.is_none() => standing.version(),
            Broken::AnswersAndForgets if standing.version().is_some() => {
                return Ok(Replaced::Done(standing.now));
            }
            _ => expected,
        };
        let written = self.written(draft);
        self.0.replace(&account, expected, &written).await
    }

    async fn list(
        &self,
        after: Option<&AccountName>,
        limit: usize,
    ) -> Result<Vec<Listed>, StoreError> {
        let mut page = self.0.list(after, limit).await?;
        match self.1 {
            Broken::ListsInTheOrderItLikes => page.reverse(),
            Broken::ListsTheLastOfAPageTwice => {
                if let Some(after) = after.filter(|_| limit > 1) {
                    page.insert(0, Listed::unreadable(after.clone()));
                    page.truncate(limit);
                }
            }
            _ => {}
        }
        Ok(page)
    }

    fn watch(&self) -> Option<Box<dyn Watch>> {
        if self.is(Broken::NeverTells) {
            return MemoryStore::new().watch();
        }
        self.0.watch()
    }
}

/// Whether the suite finds fault with the store, in the time that no good one needs.
async fn is_caught(broken: Broken) -> bool {
    let inner = MemoryStore::new();
    let [one, other] = [0, 1].map(|number| Store(inner.clone(), broken, number));
    let suite = tokio::spawn(async move { Conformance::between(one, other).run().await });
    let ended = tokio::time::timeout(Duration::from_secs(300), suite).await;
    ended
        .expect("the suite does not hang")
        .is_err_and(|error| error.is_panic())
}

#[tokio::test(start_paused = true)]
async fn a_store_that_breaks_one_promise_is_caught() {
    for broken in ALL {
        assert!(is_caught(broken).await, "{broken:?} keeps all promises");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_keeps_all_promises_passes() {
    let store = MemoryStore::new();
    Conformance::between(store.clone(), store.clone())
        .run()
        .await;
    // And behind a pointer.
    Conformance::new(SharedStore::new(store)).run().await;
    Conformance::new(Arc::new(MemoryStore::new())).run().await;
}
