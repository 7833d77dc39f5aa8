//! Whether the keys that were given open what a store has.

use std::collections::BTreeMap;
use std::fmt;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use tower_mac_auth::store::{
    Record, RecordStore as _, Secrets, SharedStore, Standing, Status, StoreError,
};

use crate::trouble::with_causes;

/// How many records are looked at before a start, and how many at once.
const RECORDS: usize = 100;
const AT_ONCE: usize = 16;

/// Why the secrets of a record cannot be read, with the id of the key that sealed them; `None` if they
/// can.
pub(crate) fn unreadable(record: &Record) -> Option<String> {
    match &record.secrets {
        Secrets::Open(_) => None,
        Secrets::Sealed(sealed) => Some(match sealed.key_id() {
            Some(id) => format!("it is sealed with a key, and no key is given: key id {id:?}"),
            None => "it is sealed by another program".to_owned(),
        }),
        Secrets::Unreadable(why) => Some(with_causes(why)),
    }
}

/// What the first records of a store are, to the keys that were given.
#[derive(Debug, Default)]
pub(crate) struct Sample {
    read: usize,
    /// How many cannot be read, by why.
    unreadable: BTreeMap<String, usize>,
}

impl Sample {
    pub(crate) async fn take(store: &SharedStore) -> Result<Self, StoreError> {
        let listed = store.list(None, RECORDS).await?;
        let load = async |account| Ok::<_, StoreError>(store.load(&account).await?.standing);
        let mut standings = stream::iter(listed)
            .map(|listed| load(listed.account))
            .buffered(AT_ONCE);
        let mut sample = Self::default();
        while let Some(standing) = standings.try_next().await? {
            // What no key could mend is no matter of keys.
            let Standing::Record(record) = standing else {
                continue;
            };
            // It has no secrets.
            if record.status == Status::Revoked {
                continue;
            }
            sample.read += 1;
            if let Some(why) = unreadable(&record) {
                *sample.unreadable.entry(why).or_default() += 1;
            }
        }
        Ok(sample)
    }

    pub(crate) fn is_readable(&self) -> bool {
        self.unreadable.is_empty()
    }

    /// Whether there are accounts, and the keys are of use to none.
    pub(crate) fn is_lost(&self) -> bool {
        self.read > 0 && self.unreadable.values().sum::<usize>() == self.read
    }
}

impl fmt::Display for Sample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (why, count) in &self.unreadable {
            let read = self.read;
            write!(
                f,
                "{count} of {read} accounts that were looked at cannot be read: {why}; "
            )?;
        }
        f.write_str(
            "give the key in MAC_SEAL_KEY or MAC_SEAL_KEYS_RETIRED, and see mac-gateway accounts list \
             --state unreadable; what was kept without a key: mac-gateway accounts reseal --unsealed",
        )
    }
}
