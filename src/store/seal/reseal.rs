//! Sealing what stands with the key of today.

use super::SealedStore;
use crate::store::register::{Applied, apply};
use crate::store::{AccountName, RecordStore, Secrets, StoreError, transition};

/// What came of [`SealedStore::reseal`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Resealed {
    /// The key that seals has sealed it now.
    Done,
    /// It had already, or there is no secret in the record.
    Before,
    /// The account is being rotated, which seals it with that key.
    UnderWay,
    /// The store knows no such account.
    Unknown,
}

impl<S: RecordStore> SealedStore<S> {
    /// Seals the grant of an account with the key that seals, so that a
    /// [retired](super::Keyring::with_retired) one can go also if nobody uses the account. Nothing
    /// else of the record changes, and nothing is presented: gateways go on meanwhile.
    ///
    /// A grant that is not sealed is sealed if [such grants are taken](Self::accept_unsealed).
    ///
    /// # Errors
    ///
    /// If the store fails, or the grant cannot be opened: then the record stays as it is.
    ///
    /// # Cancel safety
    ///
    /// The record is the old one or the new one.
    pub async fn reseal(&self, account: &AccountName) -> Result<Resealed, StoreError> {
        let Some(record) = self.inner.load(account).await?.into_record()? else {
            return Ok(Resealed::Unknown);
        };
        let is_current = match &record.secrets {
            Secrets::Sealed(sealed) => sealed.key_id() == Some(self.keys.current_id()),
            secrets => secrets.are(&crate::store::Grant::default()),
        };
        if is_current {
            return Ok(Resealed::Before);
        }
        let applied = apply(self, account, None, |loaded, version| {
            transition::rewrite(loaded.standing.record()?, version)
        });
        match applied.await? {
            Applied::Moved(_) => Ok(Resealed::Done),
            Applied::Stood(loaded) => match loaded.into_record()? {
                Some(record) => record.grant().map(|_| Resealed::UnderWay),
                None => Ok(Resealed::Unknown),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::Keyring;
    use super::super::tests::{key, keys};
    use super::*;
    use crate::store::fixture::{issued, name, read};
    use crate::store::{Draft, Generation, MemoryStore, Moment, Status, Version};

    fn both() -> Keyring {
        keys("new", 2).with_retired("old", key(1)).unwrap()
    }

    async fn key_id(inner: &MemoryStore, user: &AccountName) -> Option<String> {
        match read(inner, user).await.secrets {
            Secrets::Sealed(sealed) => sealed.key_id().map(str::to_owned),
            _ => None,
        }
    }

    #[tokio::test]
    async fn a_record_is_sealed_with_the_new_key_and_is_else_what_it_was() {
        let (inner, user) = (MemoryStore::new(), name("user"));
        let store = |keys| SealedStore::new(inner.clone(), keys);
        assert_eq!(
            store(both()).reseal(&user).await.unwrap(),
            Resealed::Unknown
        );
        store(keys("old", 1))
            .commit(&user, issued(1))
            .await
            .unwrap();
        // A doubt stays one.
        let before = inner.load(&user).await.unwrap();
        let mut draft = transition::rewrite(before.standing.record().unwrap(), Version::draw());
        let doubt = draft.as_mut().unwrap();
        doubt.status = Status::InDoubt;
        doubt.last_error = Some("lost".into());
        inner.replace(&user, before.version(), doubt).await.unwrap();

        assert_eq!(key_id(&inner, &user).await.as_deref(), Some("old"));
        assert_eq!(store(both()).reseal(&user).await.unwrap(), Resealed::Done);
        assert_eq!(key_id(&inner, &user).await.as_deref(), Some("new"));
        assert_eq!(store(both()).reseal(&user).await.unwrap(), Resealed::Before);

        // The old key is not needed any more.
        let after = read(&store(keys("new", 2)), &user).await;
        assert_eq!(after.status, Status::InDoubt);
        assert_eq!(after.last_error.as_deref(), Some("lost"));
        assert_eq!(after.generation, Generation::FIRST);
        assert!(after.secrets.are(&issued(1).grant));
    }

    #[tokio::test]
    async fn what_is_rotated_or_does_not_open_is_left_as_it_is() {
        let (inner, user) = (MemoryStore::new(), name("user"));
        let old = SealedStore::new(inner.clone(), keys("old", 1));
        old.commit(&user, issued(1)).await.unwrap();
        let stranger = SealedStore::new(inner.clone(), keys("new", 2));
        let error = stranger.reseal(&user).await.unwrap_err();
        assert!(error.to_string().contains("not in the keyring"), "{error}");

        let standing = inner.load(&user).await.unwrap();
        let record = standing.standing.record().unwrap();
        let leased = Draft {
            status: Status::Leased,
            deadline: Moment::In(Duration::from_secs(60)),
            ..transition::rewrite(record, Version::draw()).unwrap()
        };
        inner
            .replace(&user, standing.version(), &leased)
            .await
            .unwrap();
        let store = SealedStore::new(inner.clone(), both());
        assert_eq!(store.reseal(&user).await.unwrap(), Resealed::UnderWay);
        assert_eq!(key_id(&inner, &user).await.as_deref(), Some("old"));
    }

    #[tokio::test]
    async fn a_store_that_was_not_sealed_is_sealed_if_that_is_asked_for() {
        let (inner, user) = (MemoryStore::new(), name("user"));
        inner.commit(&user, issued(1)).await.unwrap();
        let store = SealedStore::new(inner.clone(), keys("new", 2));
        assert!(store.reseal(&user).await.is_err());
        let store = store.accept_unsealed(true);
        assert_eq!(store.reseal(&user).await.unwrap(), Resealed::Done);
        assert_eq!(key_id(&inner, &user).await.as_deref(), Some("new"));
    }
}
