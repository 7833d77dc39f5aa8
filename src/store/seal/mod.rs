//! A store around a store: what is inside sees secrets sealed.

mod keyring;

use std::fmt;
use std::time::Duration;

use futures_core::future::BoxFuture;

pub use keyring::{Keyring, KeyringError, SealingKey};

use super::{
    AccountName, Acquire, Commit, Fence, Generation, Grant, Guarded, Issued, Lease, LeaseFrom,
    Record, RotationStore, StoreError, StoreErrorKind, Watch,
};

/// Seals each [`Grant`] on its way into another store, and opens it on its way out.
///
/// XChaCha20-Poly1305 (RFC 8439, draft-irtf-cfrg-xchacha), bound to the account's name and the
/// generation: a sealed grant that is copied to another account, or kept and put back under another
/// generation, does not open. What is not in the grant (status, times, failures) stays in the
/// clear, for the store has to act on it.
///
/// A grant that does not open is an error of kind [`StoreErrorKind::Corrupt`], and the record stays
/// as it is. Only of a commit that such a record supersedes is the outcome told, with the record
/// sealed as it is.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use tower_mac_auth::store::{Keyring, MemoryStore, SealedStore, SealingKey};
///
/// // From where the deployment keeps its secrets: `openssl rand -base64 32`.
/// # let [new, old] = ["MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTI="; 2];
/// let keys = Keyring::new("2026-11", SealingKey::from_base64(new)?)?
///     .retired("2025-11", SealingKey::from_base64(old)?)?;
/// let store = SealedStore::new(MemoryStore::new(), keys);
/// # Ok(())
/// # }
/// ```
pub struct SealedStore<S> {
    inner: S,
    keys: Keyring,
    accepts_unsealed: bool,
}

impl<S> SealedStore<S> {
    /// Seals what goes into `inner`.
    pub fn new(inner: S, keys: Keyring) -> Self {
        Self {
            inner,
            keys,
            accepts_unsealed: false,
        }
    }

    /// Takes grants that are not sealed as they are, to move a store over: the next rotation seals
    /// them. Leave it off once all are sealed, or who can write to the store can put a grant of
    /// their own there.
    #[must_use]
    pub fn accept_unsealed(mut self) -> Self {
        self.accepts_unsealed = true;
        self
    }

    fn seal(&self, account: &AccountName, issued: Issued) -> Result<Issued, StoreError> {
        // Nothing to hide, and nothing to open.
        if issued.grant == Grant::default() {
            return Ok(issued);
        }
        let plain = issued.grant.to_bytes();
        let sealed = self.keys.seal(account, issued.generation, &plain)?;
        let grant = Grant {
            sealed: Some(sealed),
            ..Grant::default()
        };
        Ok(Issued { grant, ..issued })
    }

    fn open(&self, account: &AccountName, record: Record) -> Result<Record, StoreError> {
        let grant = match &record.grant.sealed {
            Some(sealed) => {
                let plain = self.keys.open(account, record.generation, sealed)?;
                Grant::from_bytes(&plain)?
            }
            None if self.accepts_unsealed || record.grant == Grant::default() => return Ok(record),
            None => {
                let what = "it is not sealed, and only sealed grants are taken";
                return Err(StoreError::new(StoreErrorKind::Corrupt, what));
            }
        };
        Ok(Record { grant, ..record })
    }
}

type Step<'a, T> = BoxFuture<'a, Result<T, StoreError>>;

impl<S: RotationStore> RotationStore for SealedStore<S> {
    fn read<'a>(&'a self, account: &'a AccountName) -> Step<'a, Option<Record>> {
        Box::pin(async move {
            let record = self.inner.read(account).await?;
            record.map(|record| self.open(account, record)).transpose()
        })
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
            let acquire = self.inner.acquire(account, generation, owner, lease, from);
            Ok(match acquire.await? {
                Acquire::Granted(lease) => {
                    let record = self.open(account, lease.record)?;
                    Acquire::Granted(Lease { record, ..lease })
                }
                Acquire::Lost(record) => Acquire::Lost(self.open(account, record)?),
            })
        })
    }

    fn intend<'a>(
        &'a self,
        account: &'a AccountName,
        lease: &'a Lease,
        answer_within: Duration,
    ) -> Step<'a, Guarded> {
        self.inner.intend(account, lease, answer_within)
    }

    fn commit<'a>(&'a self, account: &'a AccountName, issued: Issued) -> Step<'a, Commit> {
        Box::pin(async move {
            let sealed = self.seal(account, issued)?;
            Ok(match self.inner.commit(account, sealed).await? {
                Commit::Committed(record) => Commit::Committed(self.open(account, record)?),
                Commit::Superseded(record) => {
                    let sealed = record.grant.sealed.is_some();
                    match self.open(account, record.clone()) {
                        Ok(record) => Commit::Superseded(record),
                        // The commit is decided all the same: to try again would never end.
                        Err(_) if sealed => Commit::Superseded(record),
                        Err(error) => return Err(error),
                    }
                }
            })
        })
    }

    fn release<'a>(
        &'a self,
        account: &'a AccountName,
        lease: &'a Lease,
        not_before: Duration,
        why: &'a str,
    ) -> Step<'a, Guarded> {
        self.inner.release(account, lease, not_before, why)
    }

    fn doubt<'a>(
        &'a self,
        account: &'a AccountName,
        generation: Generation,
        fence: Fence,
        why: &'a str,
    ) -> Step<'a, Guarded> {
        self.inner.doubt(account, generation, fence, why)
    }

    fn reject<'a>(
        &'a self,
        account: &'a AccountName,
        lease: &'a Lease,
        why: &'a str,
    ) -> Step<'a, Guarded> {
        self.inner.reject(account, lease, why)
    }

    fn revoke<'a>(&'a self, account: &'a AccountName) -> Step<'a, Record> {
        self.inner.revoke(account)
    }

    fn watch(&self, account: &AccountName) -> Box<dyn Watch> {
        self.inner.watch(account)
    }
}

impl<S: fmt::Debug> fmt::Debug for SealedStore<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SealedStore")
            .field("inner", &self.inner)
            .field("keys", &self.keys)
            .field("accepts_unsealed", &self.accepts_unsealed)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::store::{MemoryStore, SealedGrant};
    use crate::token::TokenSet;

    fn key(byte: u8) -> SealingKey {
        SealingKey::from_bytes(&[byte; 32])
    }

    fn keys(id: &str, byte: u8) -> Keyring {
        Keyring::new(id, key(byte)).unwrap()
    }

    fn name(text: &str) -> AccountName {
        AccountName::new(text).unwrap()
    }

    fn issued(number: u64) -> Issued {
        let tokens = TokenSet::new("AT-1", "KEY-1", "RT-1", Duration::from_secs(60));
        let generation = Generation::from_number(number);
        Issued::rotated(generation, Generation::FIRST, tokens, None)
    }

    /// A store inside, and generation 1 sealed in it.
    async fn sealed() -> (MemoryStore, AccountName) {
        let (inner, user) = (MemoryStore::new(), name("user"));
        let store = SealedStore::new(inner.clone(), keys("old", 1));
        let _ = store.commit(&user, issued(1)).await.unwrap();
        (inner, user)
    }

    async fn blob(inner: &MemoryStore, user: &AccountName) -> SealedGrant {
        inner
            .read(user)
            .await
            .unwrap()
            .unwrap()
            .grant
            .sealed
            .unwrap()
    }

    /// What reading an account through these keys complains of; the record stays.
    async fn complaint(inner: &MemoryStore, user: &AccountName, keys: Keyring) -> String {
        let store = SealedStore::new(inner.clone(), keys);
        let before = blob(inner, user).await;
        let error = store.read(user).await.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Corrupt);
        assert_eq!(blob(inner, user).await, before);
        let text = format!("{error:?}");
        assert!(!text.contains("AT-1") && !text.contains("KEY-1") && !text.contains("RT-1"));
        text
    }

    #[cfg(feature = "testing")]
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_sealed_store_keeps_every_promise() {
        let inner = MemoryStore::new();
        let [one, other] =
            [inner.clone(), inner].map(|store| Arc::new(SealedStore::new(store, keys("a", 1))));
        crate::testing::Conformance::new(one, other).run().await;
    }

    #[tokio::test]
    async fn the_store_inside_sees_no_secret() {
        let (inner, user) = sealed().await;
        let record = inner.read(&user).await.unwrap().unwrap();
        assert!(record.grant.access.is_none() && record.grant.refresh_token.is_none());
        let bytes = record.grant.to_bytes();
        for secret in ["AT-1", "KEY-1", "RT-1"] {
            let secret = secret.as_bytes();
            assert!(!bytes.windows(secret.len()).any(|part| part == secret));
        }
        let mut store = Some(SealedStore::new(inner, keys("old", 1)));
        let debug = format!("{:?}", store.take());
        assert!(debug.contains("[redacted]"), "{debug}");
    }

    #[tokio::test]
    async fn a_wrong_key_is_an_error_and_the_record_stays() {
        let (inner, user) = sealed().await;
        let unknown = complaint(&inner, &user, keys("new", 1)).await;
        assert!(unknown.contains("not in the keyring") && unknown.contains("old"));
        let wrong = complaint(&inner, &user, keys("old", 2)).await;
        assert!(wrong.contains("does not open"), "{wrong}");
        let right = SealedStore::new(inner, keys("old", 1));
        let record = right.read(&user).await.unwrap().unwrap();
        assert_eq!(record.grant, issued(1).grant);
    }

    #[tokio::test]
    async fn a_commit_ends_though_what_supersedes_it_does_not_open() {
        let (inner, user) = sealed().await;
        let standing = blob(&inner, &user).await;
        let store = SealedStore::new(inner.clone(), keys("new", 2));
        let Commit::Superseded(record) = store.commit(&user, issued(1)).await.unwrap() else {
            panic!("generation 1 is taken");
        };
        assert_eq!(record.grant.sealed, Some(standing));
        assert!(record.grant.access.is_none() && record.grant.refresh_token.is_none());
        // One that is not sealed at all is not handed out: who can write to the store may have
        // put it there.
        let bare = name("bare");
        let _ = inner.commit(&bare, issued(1)).await.unwrap();
        let error = store.commit(&bare, issued(1)).await.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Corrupt);
    }

    #[tokio::test]
    async fn a_rotation_seals_with_the_current_key() {
        let (inner, user) = sealed().await;
        let both = keys("new", 2).retired("old", key(1)).unwrap();
        let store = SealedStore::new(inner.clone(), both);
        assert!(store.read(&user).await.is_ok());
        let _ = store.commit(&user, issued(2)).await.unwrap();
        let store = SealedStore::new(inner, keys("new", 2));
        let record = store.read(&user).await.unwrap().unwrap();
        assert_eq!(record.grant, issued(2).grant);
    }

    #[tokio::test]
    async fn a_seal_opens_for_its_account_and_generation_alone() {
        let (inner, user) = sealed().await;
        let copy = Grant {
            sealed: Some(blob(&inner, &user).await),
            ..Grant::default()
        };
        let other = name("other");
        let moved = Issued::authorized(Generation::FIRST, copy.clone(), None);
        let _ = inner.commit(&other, moved).await.unwrap();
        complaint(&inner, &other, keys("old", 1)).await;
        let later = Issued::authorized(Generation::FIRST.next(), copy, None);
        let _ = inner.commit(&user, later).await.unwrap();
        complaint(&inner, &user, keys("old", 1)).await;
    }

    #[tokio::test]
    async fn no_bit_and_no_length_of_a_seal_can_change() {
        let (inner, user) = sealed().await;
        let bytes = blob(&inner, &user).await.as_bytes().to_vec();
        let flipped = (0..bytes.len() * 8).map(|bit| {
            let mut bytes = bytes.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            bytes
        });
        let cut = (0..bytes.len()).map(|length| bytes[..length].to_vec());
        let ring = keys("old", 1);
        for bytes in flipped.chain(cut) {
            let changed = SealedGrant::new(bytes);
            assert!(ring.open(&user, Generation::FIRST, &changed).is_err());
        }
    }

    #[tokio::test]
    async fn what_is_not_sealed_is_taken_only_if_that_was_asked_for() {
        let (inner, user) = (MemoryStore::new(), name("user"));
        let _ = inner.commit(&user, issued(1)).await.unwrap();
        let store = SealedStore::new(inner.clone(), keys("a", 1));
        let error = store.read(&user).await.unwrap_err().to_string();
        assert!(error.contains("not sealed"), "{error}");
        let store = store.accept_unsealed();
        assert!(store.read(&user).await.is_ok());
        let _ = store.commit(&user, issued(2)).await.unwrap();
        blob(&inner, &user).await;
    }

    #[test]
    fn a_key_that_is_none_is_an_error_that_does_not_show_it() {
        for text in ["", "c2VjcmV0", "not base64!", &"A".repeat(64)] {
            let error = SealingKey::from_base64(text).unwrap_err().to_string();
            assert!(error.contains("32 bytes"), "{error}");
            assert!(text.is_empty() || !error.contains(text));
        }
        let encoded = "MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTI=\n";
        assert!(SealingKey::from_base64(encoded).is_ok());
        assert!(Keyring::new("", key(1)).is_err());
        assert!(Keyring::new("x".repeat(256), key(1)).is_err());
        assert!(keys("a", 1).retired("a", key(2)).is_err());
    }
}
