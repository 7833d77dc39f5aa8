//! A store around a store: what is inside sees secrets sealed.

mod keyring;
mod reseal;

pub use keyring::{Keyring, KeyringError, SealingKey};
pub use reseal::Resealed;

use super::error::corrupt;
use super::{
    AccountName, Draft, Grant, Listed, Loaded, RecordStore, Replaced, Secrets, Standing,
    StoreError, Version, Watch,
};

/// Seals each [`Grant`] on its way into another store, and opens it on its way out.
///
/// XChaCha20-Poly1305 (RFC 8439, draft-irtf-cfrg-xchacha), bound to the account's name and the
/// generation: a sealed grant that is copied to another account, or kept and put back under another
/// generation, does not open. What is not in the grant (status, times, failures) stays in the
/// clear, for the store has to act on it.
///
/// A grant that does not open is [`Secrets::Unreadable`], with an error of kind
/// [`StoreErrorKind::Corrupt`](super::StoreErrorKind::Corrupt), and the record stays as it is.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use tower_mac_auth::store::{Keyring, MemoryStore, SealedStore, SealingKey};
///
/// // From where the deployment keeps its secrets: `openssl rand -base64 32`.
/// # let [new, old] = ["MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTI="; 2];
/// let keys = Keyring::new("2026-11", SealingKey::from_base64(new)?)?
///     .with_retired("2025-11", SealingKey::from_base64(old)?)?;
/// let store = SealedStore::new(MemoryStore::new(), keys);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
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

    /// Whether grants that are not sealed are taken as they are, for a store that held them before:
    /// the next rotation seals them. Leave it off once all are sealed, or whoever can write to the
    /// store can put a grant of their own there.
    #[must_use]
    pub fn accept_unsealed(mut self, accept: bool) -> Self {
        self.accepts_unsealed = accept;
        self
    }

    fn seal(&self, account: &AccountName, draft: &Draft) -> Result<Draft, StoreError> {
        let mut draft = draft.clone();
        if let Secrets::Open(grant) = &draft.secrets
            // Of nothing there is nothing to hide, and nothing to open.
            && *grant != Grant::default()
        {
            draft.secrets = self.keys.seal(account, draft.generation, grant)?;
        }
        Ok(draft)
    }

    fn open(&self, account: &AccountName, mut loaded: Loaded) -> Loaded {
        if let Standing::Record(record) = &mut loaded.standing {
            let opened = match &record.secrets {
                Secrets::Sealed(sealed) => self.keys.open(account, record.generation, sealed),
                Secrets::Open(grant) if !self.accepts_unsealed && *grant != Grant::default() => {
                    Err(corrupt(
                        "it is not sealed, and only sealed grants are taken",
                    ))
                }
                Secrets::Open(_) | Secrets::Unreadable(_) => return loaded,
            };
            record.secrets = opened.unwrap_or_else(Secrets::Unreadable);
        }
        loaded
    }
}

impl<S: RecordStore> RecordStore for SealedStore<S> {
    async fn load(&self, account: &AccountName) -> Result<Loaded, StoreError> {
        Ok(self.open(account, self.inner.load(account).await?))
    }

    async fn replace(
        &self,
        account: &AccountName,
        expected: Option<Version>,
        draft: &Draft,
    ) -> Result<Replaced, StoreError> {
        let sealed = self.seal(account, draft)?;
        Ok(
            match self.inner.replace(account, expected, &sealed).await? {
                Replaced::Refused(standing) => Replaced::Refused(self.open(account, standing)),
                done @ Replaced::Done(_) => done,
            },
        )
    }

    async fn list(
        &self,
        after: Option<&AccountName>,
        limit: usize,
    ) -> Result<Vec<Listed>, StoreError> {
        self.inner.list(after, limit).await
    }

    fn watch(&self) -> Option<Box<dyn Watch>> {
        self.inner.watch()
    }

    async fn check(&self) -> Result<(), StoreError> {
        self.inner.check().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::fixture::{issued, name, read};
    use crate::store::{Commit, Generation, MemoryStore, SealedGrant, StoreErrorKind};

    pub(super) fn key(byte: u8) -> SealingKey {
        SealingKey::from_bytes(&[byte; 32])
    }

    pub(super) fn keys(id: &str, byte: u8) -> Keyring {
        Keyring::new(id, key(byte)).unwrap()
    }

    /// A store inside, and generation 1 sealed in it.
    async fn sealed() -> (MemoryStore, AccountName) {
        let (inner, user) = (MemoryStore::new(), name("user"));
        let store = SealedStore::new(inner.clone(), keys("old", 1));
        store.commit(&user, issued(1)).await.unwrap();
        (inner, user)
    }

    async fn blob(inner: &MemoryStore, user: &AccountName) -> SealedGrant {
        match read(inner, user).await.secrets {
            Secrets::Sealed(sealed) => sealed,
            secrets => panic!("{secrets:?}"),
        }
    }

    /// Puts a seal where a grant would be.
    async fn put(inner: &MemoryStore, user: &AccountName, number: u64, seal: SealedGrant) {
        let standing = inner.load(user).await.unwrap().version();
        let draft = Draft {
            secrets: Secrets::Sealed(seal),
            ..Draft::issued(Version::draw(), issued(number))
        };
        let replaced = inner.replace(user, standing, &draft).await.unwrap();
        assert!(matches!(replaced, Replaced::Done(_)));
    }

    /// What reading an account through these keys complains of; the record stays.
    async fn complaint(inner: &MemoryStore, user: &AccountName, keys: Keyring) -> String {
        let store = SealedStore::new(inner.clone(), keys);
        let before = blob(inner, user).await;
        let record = read(&store, user).await;
        let error = record.grant().unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Corrupt);
        // A write of a rotation leaves it alone too.
        let error = store.commit(user, issued(99)).await.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Corrupt);
        assert_eq!(blob(inner, user).await, before);
        let text = format!("{error:?}");
        assert!(!text.contains("AT-1") && !text.contains("KEY-1") && !text.contains("RT-1"));
        text
    }

    #[cfg(feature = "testing")]
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_sealed_store_keeps_every_promise() {
        let store = SealedStore::new(MemoryStore::new(), keys("a", 1));
        crate::testing::Conformance::new(store).run().await;
    }

    #[tokio::test]
    async fn the_store_inside_sees_no_secret() {
        let (inner, user) = sealed().await;
        let bytes = read(&inner, &user).await.secrets.to_bytes().unwrap();
        for secret in ["AT-1", "KEY-1", "RT-1"] {
            let secret = secret.as_bytes();
            assert!(!bytes.windows(secret.len()).any(|part| part == secret));
        }
        let store = SealedStore::new(inner, keys("old", 1));
        let debug = format!("{store:?}");
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
        assert!(read(&right, &user).await.secrets.are(&issued(1).grant));
    }

    #[tokio::test]
    async fn a_commit_ends_though_what_supersedes_it_does_not_open() {
        let (inner, user) = sealed().await;
        let store = SealedStore::new(inner.clone(), keys("new", 2));
        let Commit::Superseded(record) = store.commit(&user, issued(1)).await.unwrap() else {
            panic!("generation 1 is taken");
        };
        assert!(record.grant().is_err());
    }

    #[tokio::test]
    async fn a_rotation_seals_with_the_current_key() {
        let (inner, user) = sealed().await;
        let both = keys("new", 2).with_retired("old", key(1)).unwrap();
        let store = SealedStore::new(inner.clone(), both);
        assert!(read(&store, &user).await.grant().is_ok());
        store.commit(&user, issued(2)).await.unwrap();
        let store = SealedStore::new(inner, keys("new", 2));
        assert!(read(&store, &user).await.secrets.are(&issued(2).grant));
    }

    #[tokio::test]
    async fn a_seal_opens_for_its_account_and_generation_alone() {
        let (inner, user) = sealed().await;
        let seal = blob(&inner, &user).await;
        let other = name("other");
        put(&inner, &other, 1, seal.clone()).await;
        complaint(&inner, &other, keys("old", 1)).await;
        put(&inner, &user, 2, seal).await;
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
        inner.commit(&user, issued(1)).await.unwrap();
        let store = SealedStore::new(inner.clone(), keys("a", 1));
        let error = read(&store, &user).await.grant().unwrap_err().to_string();
        assert!(error.contains("not sealed"), "{error}");
        let store = store.accept_unsealed(true);
        assert!(read(&store, &user).await.grant().is_ok());
        store.commit(&user, issued(2)).await.unwrap();
        blob(&inner, &user).await;
    }

    #[tokio::test]
    async fn a_revocation_gives_up_what_does_not_open() {
        let (inner, user) = sealed().await;
        let store = SealedStore::new(inner, keys("new", 2));
        store.revoke(&user).await.unwrap();
        assert!(read(&store, &user).await.secrets.are(&Grant::default()));
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
        assert!(keys("a", 1).with_retired("a", key(2)).is_err());
    }
}
