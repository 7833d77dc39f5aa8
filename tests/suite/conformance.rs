//! The suite for stores catches a store that breaks one promise.

use std::sync::Arc;
use std::time::Duration;

use futures_core::future::BoxFuture;
use tower_mac_auth::store::{
    AccountName, Acquire, Commit, Fence, Generation, Guarded, Issued, Lease, LeaseFrom,
    MemoryStore, Record, RotationStore, StoreError, StoreErrorKind, Watch,
};
use tower_mac_auth::testing::Conformance;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Broken {
    CommitsAnyGeneration,
    LeasesWhatIsLeased,
    LeasesOutOfDoubtForEver,
    IntendsWithoutALook,
    ForgetsTheIntent,
    DoubtsWhatWasNotSent,
    RevokesOneGenerationUp,
    SharesOneAccount,
    DropsTheExpiry,
    NeverBacksOff,
    NeverWakes,
}

struct Store(MemoryStore, Broken);

type Step<'a, T> = BoxFuture<'a, Result<T, StoreError>>;

impl Store {
    fn is(&self, broken: Broken) -> bool {
        self.1 == broken
    }

    fn name(&self, account: &AccountName) -> AccountName {
        let lower = account.as_str().to_lowercase();
        let name = if self.is(Broken::SharesOneAccount) {
            &lower
        } else {
            account.as_str()
        };
        AccountName::new(name).unwrap()
    }

    async fn force(&self, name: &AccountName, change: impl FnOnce(&mut Record)) {
        let store = &self.0;
        let mut record = store.read(name).await.unwrap().unwrap();
        change(&mut record);
        let lineage = record.lineage;
        let rest = record
            .expires_at
            .map(|end| end.saturating_since(record.now));
        let above = record.generation.next();
        let issued = Issued::rotated(above, lineage, record.grant, rest);
        let _ = store.commit(name, issued).await.unwrap();
    }
}

impl RotationStore for Store {
    fn read<'a>(&'a self, account: &'a AccountName) -> Step<'a, Option<Record>> {
        Box::pin(async move { self.0.read(&self.name(account)).await })
    }

    fn acquire<'a>(
        &'a self,
        account: &'a AccountName,
        generation: Generation,
        owner: &'a str,
        lease: Duration,
        from: LeaseFrom,
    ) -> Step<'a, Acquire> {
        Box::pin(async move {
            let name = self.name(account);
            let acquired = self
                .0
                .acquire(&name, generation, owner, lease, from)
                .await?;
            let Acquire::Lost(mut record) = acquired else {
                return Ok(acquired);
            };
            let wrong = record.generation == generation
                && (self.is(Broken::LeasesWhatIsLeased) && record.owner.is_some()
                    || self.is(Broken::LeasesOutOfDoubtForEver) && record.replayed);
            if wrong {
                record.fence = record.fence.next();
                let fence = record.fence;
                return Ok(Acquire::Granted(Lease {
                    generation,
                    fence,
                    record,
                }));
            }
            Ok(Acquire::Lost(record))
        })
    }

    fn intend<'a>(
        &'a self,
        account: &'a AccountName,
        lease: &'a Lease,
        answer_within: Duration,
    ) -> Step<'a, Guarded> {
        Box::pin(async move {
            let name = self.name(account);
            if self.is(Broken::ForgetsTheIntent) {
                return Ok(Guarded::Done);
            }
            let guarded = self.0.intend(&name, lease, answer_within).await?;
            if self.is(Broken::IntendsWithoutALook) && self.0.read(&name).await?.is_some() {
                return Ok(Guarded::Done);
            }
            Ok(guarded)
        })
    }

    fn commit<'a>(&'a self, account: &'a AccountName, mut issued: Issued) -> Step<'a, Commit> {
        Box::pin(async move {
            let name = self.name(account);
            if self.is(Broken::DropsTheExpiry) {
                issued.expires_in = None;
            }
            match self.0.commit(&name, issued).await? {
                Commit::Superseded(_) if self.is(Broken::CommitsAnyGeneration) => {
                    self.force(&name, |_| {}).await;
                    let record = self.0.read(&name).await?;
                    let gone = StoreError::new(StoreErrorKind::Corrupt, "gone");
                    Ok(Commit::Committed(record.ok_or(gone)?))
                }
                commit => Ok(commit),
            }
        })
    }

    fn release<'a>(
        &'a self,
        account: &'a AccountName,
        lease: &'a Lease,
        not_before: Duration,
        why: &'a str,
    ) -> Step<'a, Guarded> {
        Box::pin(async move {
            let pause = if self.is(Broken::NeverBacksOff) {
                Duration::ZERO
            } else {
                not_before
            };
            self.0.release(&self.name(account), lease, pause, why).await
        })
    }

    fn doubt<'a>(
        &'a self,
        account: &'a AccountName,
        generation: Generation,
        fence: Fence,
        why: &'a str,
    ) -> Step<'a, Guarded> {
        Box::pin(async move {
            let name = self.name(account);
            let doubt = self.0.doubt(&name, generation, fence, why).await?;
            if self.is(Broken::DoubtsWhatWasNotSent) && self.0.read(&name).await?.is_some() {
                return Ok(Guarded::Done);
            }
            Ok(doubt)
        })
    }

    fn reject<'a>(
        &'a self,
        account: &'a AccountName,
        lease: &'a Lease,
        why: &'a str,
    ) -> Step<'a, Guarded> {
        Box::pin(async move { self.0.reject(&self.name(account), lease, why).await })
    }

    fn revoke<'a>(&'a self, account: &'a AccountName) -> Step<'a, Record> {
        Box::pin(async move {
            let mut record = self.0.revoke(&self.name(account)).await?;
            if self.is(Broken::RevokesOneGenerationUp) {
                record.generation = Generation::from_number(record.generation.number() - 1);
            }
            Ok(record)
        })
    }

    fn watch(&self, account: &AccountName) -> Box<dyn Watch> {
        if self.is(Broken::NeverWakes) {
            return Box::new(Never);
        }
        self.0.watch(&self.name(account))
    }
}

struct Never;

impl Watch for Never {
    fn changed(&mut self) -> BoxFuture<'_, ()> {
        Box::pin(std::future::pending())
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_breaks_one_promise_does_not_pass() {
    for broken in [
        Broken::CommitsAnyGeneration,
        Broken::LeasesWhatIsLeased,
        Broken::LeasesOutOfDoubtForEver,
        Broken::IntendsWithoutALook,
        Broken::ForgetsTheIntent,
        Broken::DoubtsWhatWasNotSent,
        Broken::RevokesOneGenerationUp,
        Broken::SharesOneAccount,
        Broken::DropsTheExpiry,
        Broken::NeverBacksOff,
        Broken::NeverWakes,
    ] {
        let store = Arc::new(Store(MemoryStore::new(), broken));
        let suite = Conformance::new(store.clone(), store);
        let held = tokio::spawn(async move { suite.run().await }).await;
        assert!(held.is_err_and(|error| error.is_panic()), "{broken:?}");
    }
}

#[tokio::test]
async fn a_store_behind_a_pointer_keeps_every_promise() {
    let chosen_at_run_time: Arc<dyn RotationStore> = Arc::new(MemoryStore::new());
    let [one, other] = [chosen_at_run_time.clone(), chosen_at_run_time].map(Arc::new);
    Conformance::new(one, other).run().await;
}
