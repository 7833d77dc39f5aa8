//! Accounts move to another store, and no refresh token is presented twice for that.

use std::time::Duration;

use tempfile::TempDir;
use tower_mac_auth::account::{Account, InDoubtPolicy, RefreshError};
use tower_mac_auth::store::{
    AccountName, FileStore, Generation, Import, MemoryStore, RecordStore, SharedStore, Status,
    StoreError, StoreErrorKind,
};
use tower_mac_auth::testing::rotation::{self, LeaseFrom};
use tower_mac_auth::testing::{Fault, Provider, TestClock};

use crate::world::{HOUR, leased, moved, record};

const MINUTE: Duration = Duration::from_secs(60);

/// As the README has it.
async fn move_all(
    from: &impl RecordStore,
    to: &impl RecordStore,
) -> Result<Vec<AccountName>, StoreError> {
    let (mut left, mut after) = (Vec::new(), None);
    loop {
        let page = from.list(after.as_ref(), 1000).await?;
        for account in page.iter().map(|listed| &listed.account) {
            let imported = match from.load(account).await?.into_record() {
                Ok(Some(record)) => to.import(account, &record).await,
                Ok(None) => continue,
                Err(error) => Err(error),
            };
            match imported {
                Ok(Import::UnderWay) => left.push(account.clone()),
                Ok(_) => {}
                Err(error) if error.kind() == StoreErrorKind::Corrupt => left.push(account.clone()),
                Err(error) => return Err(error),
            }
        }
        match page.last() {
            Some(last) => after = Some(last.account.clone()),
            None => return Ok(left),
        }
    }
}

/// Accounts in a store, each of another status, and the provider that knows what was presented.
struct Scene {
    provider: Provider,
    clock: TestClock,
    store: SharedStore,
}

impl Scene {
    async fn open(&self, name: &str) -> Account {
        let builder = Account::builder(self.provider.endpoint())
            .clock(self.clock.clone())
            .store(self.store.clone());
        // The provider took a token for good where this says that it may have.
        let doubt = match name {
            "presented again" => InDoubtPolicy::HoldUntilDead,
            _ => InDoubtPolicy::Never,
        };
        builder.in_doubt(doubt).open(name).await.unwrap()
    }

    async fn issue(&self, name: &str) {
        let account = Account::builder(self.provider.endpoint())
            .clock(self.clock.clone())
            .store(self.store.clone())
            .tokens(self.provider.issue(HOUR));
        account.open(name).await.unwrap().shutdown().await;
    }

    async fn refresh(&self, name: &str) -> Result<Generation, RefreshError> {
        let account = self.open(name).await;
        let refreshed = account.refresh_if_current(account.generation()).await;
        account.shutdown().await;
        refreshed
    }

    /// A process dies while it holds the lease: before it has sent the token, or after that.
    async fn die(&self, name: &str, from: LeaseFrom, sends: bool) {
        let name = AccountName::new(name).unwrap();
        let lease = leased(&self.store, &name, MINUTE, from).await;
        if sends {
            moved(&self.store, &name, |record, version| {
                rotation::intend(record, version, &lease, MINUTE)
            })
            .await;
            let token = lease.record.grant().unwrap().refresh_token.clone().unwrap();
            let endpoint = self.provider.endpoint();
            if from == LeaseFrom::Active {
                let _ = endpoint.connect().await.unwrap().refresh(&token).await;
            }
        }
    }

    async fn fill(&self) {
        for name in [
            "active",
            "backing off",
            "leased",
            "sending",
            "in doubt",
            "presented again",
        ] {
            self.issue(name).await;
        }
        for name in ["revoked", "refused"] {
            self.issue(name).await;
        }
        self.refresh("active").await.unwrap();
        for name in ["in doubt", "presented again"] {
            self.provider.fault_next(Fault::ConsumedThenReset);
            self.refresh(name).await.unwrap_err();
        }
        let refused = AccountName::new("refused").unwrap();
        let standing = record(&self.store, &refused).await;
        let access = standing.grant().unwrap().access.clone().unwrap();
        assert!(self.provider.revoke_grant(&access.access_token));
        self.refresh("refused").await.unwrap_err();
        let revoked = AccountName::new("revoked").unwrap();
        self.store.revoke(&revoked).await.unwrap();
        self.clock.advance(2 * MINUTE);
        self.die("presented again", LeaseFrom::InDoubt, true).await;
        self.clock.advance(2 * MINUTE);
        let again = AccountName::new("presented again").unwrap();
        moved(&self.store, &again, |record, version| {
            rotation::doubt(record, version, record.lease, "it died")
        })
        .await;
        self.provider.fault_next(Fault::ConnectionRefused);
        self.refresh("backing off").await.unwrap_err();
        self.die("leased", LeaseFrom::Active, false).await;
        self.die("sending", LeaseFrom::Active, true).await;
    }
}

async fn accounts_move(from: SharedStore, to: SharedStore, clock: TestClock) {
    let provider = Provider::builder().clock(clock.clone()).build();
    let mut scene = Scene {
        provider,
        clock,
        store: from,
    };
    scene.fill().await;
    let from = std::mem::replace(&mut scene.store, to);
    let to = &scene.store;
    let presented = scene.provider.presentations().len();

    // Somebody may be at it still.
    let left = move_all(&from, to).await.unwrap();
    assert_eq!(
        left.iter().map(AccountName::as_str).collect::<Vec<_>>(),
        ["leased", "sending"]
    );
    scene.clock.advance(2 * MINUTE);
    assert!(move_all(&from, to).await.unwrap().is_empty());
    for (name, status) in [
        ("active", Status::Active),
        ("backing off", Status::Active),
        ("leased", Status::Active),
        ("sending", Status::InDoubt),
        ("in doubt", Status::InDoubt),
        ("presented again", Status::InDoubt),
        ("revoked", Status::Revoked),
        ("refused", Status::Revoked),
    ] {
        let name = AccountName::new(name).unwrap();
        let (was, is) = (record(&from, &name).await, record(to, &name).await);
        assert_eq!(is.status, status, "{name}");
        assert_eq!(is.generation, was.generation, "{name}");
        assert_eq!(is.presented_again, was.presented_again, "{name}");
        // By the distance to either clock, which ticks between the two looks.
        assert!(
            is.not_before.saturating_since(was.not_before) < MINUTE,
            "{name}"
        );
        assert!(was.not_before <= is.not_before, "{name}");
        assert_eq!(
            (is.fails, is.last_error),
            (was.fails, was.last_error.clone()),
            "{name}"
        );
        assert!(is.secrets.are(was.grant().unwrap()), "{name}");
    }

    // All access tokens are dead: whoever may present a refresh token does.
    scene.clock.advance(2 * HOUR);
    for name in ["active", "backing off", "leased"] {
        scene.refresh(name).await.unwrap();
        scene.clock.advance(2 * MINUTE);
        scene.refresh(name).await.unwrap();
    }
    for name in [
        "sending",
        "in doubt",
        "presented again",
        "revoked",
        "refused",
    ] {
        scene.refresh(name).await.unwrap_err();
    }
    assert_eq!(scene.provider.presentations().len(), presented + 6);
    assert!(scene.provider.presented_twice().is_empty());
}

async fn files(scratch: &TempDir, clock: &TestClock) -> SharedStore {
    let builder = FileStore::builder(scratch.path()).clock(clock.clone());
    SharedStore::new(builder.open().await.unwrap())
}

fn memory(clock: &TestClock) -> SharedStore {
    SharedStore::new(MemoryStore::with_clock(clock.clone()))
}

#[tokio::test]
async fn accounts_move_out_of_files_and_no_token_is_presented_twice() {
    let (scratch, clock) = (TempDir::new().unwrap(), TestClock::new());
    accounts_move(files(&scratch, &clock).await, memory(&clock), clock).await;
}

#[tokio::test]
async fn accounts_move_into_files_and_no_token_is_presented_twice() {
    let (scratch, clock) = (TempDir::new().unwrap(), TestClock::new());
    accounts_move(memory(&clock), files(&scratch, &clock).await, clock).await;
}

#[tokio::test]
async fn what_cannot_be_read_is_left_and_named_and_holds_up_no_other() {
    let scratch = TempDir::new().unwrap();
    let clock = TestClock::new();
    let (from, to) = (files(&scratch, &clock).await, memory(&clock));
    for name in ["a", "b", "c"] {
        from.revoke(&AccountName::new(name).unwrap()).await.unwrap();
    }
    let file = crate::file_store::find(scratch.path(), "b.json").unwrap();
    std::fs::write(file, "damaged").unwrap();
    let left = move_all(&from, &to).await.unwrap();
    assert_eq!(
        left.iter().map(AccountName::as_str).collect::<Vec<_>>(),
        ["b"]
    );
    assert_eq!(to.list(None, 10).await.unwrap().len(), 2);
}
