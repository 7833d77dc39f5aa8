//! One answer of the token endpoint that is on its way into the store.

use std::path::Path;

use serde::{Deserialize, Serialize};
use sha1::{Digest as _, Sha1};
use zeroize::Zeroizing;

use crate::sign::hex;
use crate::store::commit;
use crate::store::directory::corrupt;
use crate::store::encoding::envelope;
use crate::store::{
    AccountName, Commit, Generation, Grant, Issued, RecordStore, Secrets, StoreError,
};
use crate::{Clock, Timestamp};

const KIND: &str = "answer";

/// What was issued, and what it may replace.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) generation: Generation,
    pub(crate) lineage: Generation,
    /// Of a user's authorization: the lineage of what stood when the user decided. It outranks
    /// whatever was made of that since. `None` of a rotation, which outranks nothing.
    pub(crate) decided_over: Option<Generation>,
    pub(crate) grant: Grant,
    pub(crate) expires_at: Option<Timestamp>,
    pub(crate) refresh_expires_at: Option<Timestamp>,
}

/// All of an entry but its secrets. Times are milliseconds since the Unix epoch.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    account: String,
    generation: u64,
    lineage: u64,
    decided_over: Option<u64>,
    expires_at: Option<u64>,
    refresh_expires_at: Option<u64>,
}

impl Answer {
    /// Tells one answer from another of the same generation.
    pub(super) fn mark(&self) -> String {
        hex(&Sha1::digest(&*self.grant.to_bytes())[..8])
    }

    /// `secrets` take the place of the answer's own grant.
    pub(super) fn encode(
        &self,
        account: &AccountName,
        secrets: &Secrets,
    ) -> Result<Zeroizing<Vec<u8>>, StoreError> {
        let header = Header {
            account: account.as_str().to_owned(),
            generation: self.generation.number(),
            lineage: self.lineage.number(),
            decided_over: self.decided_over.map(Generation::number),
            expires_at: self.expires_at.map(Timestamp::as_millis),
            refresh_expires_at: self.refresh_expires_at.map(Timestamp::as_millis),
        };
        envelope::wrap(KIND, &header, secrets)
    }

    /// `open` makes a grant of the secrets of this account's generation.
    pub(super) fn decode(
        bytes: &[u8],
        path: &Path,
        open: impl FnOnce(&AccountName, Generation, &Secrets) -> Result<Grant, StoreError>,
    ) -> Result<(AccountName, Self), StoreError> {
        let what = "an entry of the journal";
        let (header, secrets) =
            envelope::unwrap::<Header>(KIND, bytes).map_err(|why| corrupt(what, path, why))?;
        let account =
            AccountName::new(&header.account).map_err(|error| corrupt(what, path, error))?;
        let generation = Generation::from_number(header.generation);
        let grant = open(&account, generation, &secrets);
        let answer = Self {
            generation,
            lineage: Generation::from_number(header.lineage),
            decided_over: header.decided_over.map(Generation::from_number),
            grant: grant.map_err(|error| corrupt(what, path, error))?,
            expires_at: header.expires_at.map(Timestamp::from_millis),
            refresh_expires_at: header.refresh_expires_at.map(Timestamp::from_millis),
        };
        Ok((account, answer))
    }

    /// Commits it, if it is the newest that is known: `Superseded` if it need not be kept, as the
    /// store has it or something newer. `None` if that is not known.
    pub(super) async fn settle(
        &self,
        account: &AccountName,
        store: &impl RecordStore,
        clock: &dyn Clock,
    ) -> Result<Option<Commit>, StoreError> {
        let (mut generation, mut lineage) = (self.generation, self.lineage);
        loop {
            let now = clock.now();
            let rest = |end: Timestamp| end.saturating_since(now);
            let expires_in = self.expires_at.map(rest);
            let issued = Issued {
                refresh_expires_in: self.refresh_expires_at.map(rest),
                ..Issued::rotated(generation, lineage, self.grant.clone(), expires_in)
            };
            let record = match commit(store, account, None, issued).await? {
                Commit::Superseded(record) => record,
                committed @ Commit::Committed(_) => return Ok(Some(committed)),
            };
            // One up: a decision that the user takes now, over the same record, is two up.
            let above = record.generation.next();
            let outranks = self.decided_over == Some(record.lineage);
            if !record.secrets.are(&self.grant) && outranks && above > record.generation {
                (generation, lineage) = (above, above);
                continue;
            }
            let settled = record.settles(generation, lineage, &self.grant);
            return Ok(settled.then_some(Commit::Superseded(record)));
        }
    }
}
