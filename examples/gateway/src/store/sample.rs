//! Whether a gateway can use what its store has: with the keys that it was given, and as this client.

use std::collections::BTreeMap;
use std::fmt;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use tower_mac_auth::store::{Record, RecordStore as _, SharedStore, Standing, Status, StoreError};

use super::{AT_ONCE, unreadable};
use crate::trouble::with_causes;

/// How many records are looked at.
const RECORDS: usize = 100;

/// Why an account is of no use here.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Fault {
    /// Its secrets cannot be read, and that is why.
    Key(String),
    /// It is another client's: this one's.
    Client(String),
    /// Its record cannot be read, and that is why.
    Damage(String),
}

/// The first records of a store.
#[derive(Debug, Default)]
pub(crate) struct Sample {
    /// Those that are not revoked.
    looked_at: usize,
    listed: usize,
    faults: BTreeMap<Fault, usize>,
}

impl Sample {
    pub(crate) async fn take(store: &SharedStore, client: &str) -> Result<Self, StoreError> {
        let listed = store.list(None, RECORDS).await?;
        let mut sample = Self {
            listed: listed.len(),
            ..Self::default()
        };
        let load = async |account| Ok::<_, StoreError>(store.load(&account).await?.standing);
        let mut standings = stream::iter(listed)
            .map(|listed| load(listed.account))
            .buffered(AT_ONCE);
        while let Some(standing) = standings.try_next().await? {
            let fault = match standing {
                Standing::Nothing => continue,
                // Nobody needs what it has.
                Standing::Record(record) if record.status == Status::Revoked => continue,
                Standing::Record(record) => Fault::of(&record, client),
                Standing::Unreadable { why, .. } => Some(Fault::Damage(with_causes(&why))),
            };
            sample.looked_at += 1;
            if let Some(fault) = fault {
                *sample.faults.entry(fault).or_default() += 1;
            }
        }
        Ok(sample)
    }

    pub(crate) fn is_good(&self) -> bool {
        self.faults.is_empty()
    }

    /// Whether there are accounts, and none is of use.
    pub(crate) fn is_lost(&self) -> bool {
        self.looked_at > 0 && self.faults.values().sum::<usize>() == self.looked_at
    }

    /// How many accounts there are.
    pub(crate) fn size(&self) -> String {
        match self.listed {
            0 => "no account yet".to_owned(),
            RECORDS => format!("{RECORDS} accounts or more"),
            1 => "1 account".to_owned(),
            listed => format!("{listed} accounts"),
        }
    }
}

impl Fault {
    fn of(record: &Record, client: &str) -> Option<Self> {
        if let Some(why) = unreadable(record) {
            return Some(Self::Key(why));
        }
        let owner = record.grant().ok()?.client_id.clone();
        let other = owner.filter(|owner| **owner != *client);
        other.map(|owner| Self::Client(owner.to_string()))
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key(why) => write!(
                f,
                "cannot be read: {why}; give the key in MAC_SEAL_KEY or MAC_SEAL_KEYS_RETIRED, and see \
                 mac-gateway accounts list --state unreadable; what was kept without a key: mac-gateway \
                 accounts reseal --unsealed"
            ),
            Self::Client(owner) => write!(
                f,
                "are of client {owner:?}, and --client-id names another: each client needs a store of its own"
            ),
            Self::Damage(why) => write!(
                f,
                "cannot be read: {why}; bring the record back from a copy, or mac-gateway accounts revoke \
                 it and have its user log in"
            ),
        }
    }
}

impl fmt::Display for Sample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut first = true;
        for (fault, count) in &self.faults {
            let and = if first { "" } else { "\n" };
            let looked_at = self.looked_at;
            write!(
                f,
                "{and}{count} of {looked_at} accounts that were looked at {fault}"
            )?;
            first = false;
        }
        Ok(())
    }
}
