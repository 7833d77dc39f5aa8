//! A record as a file: the secrets as one opaque blob, the rest for people to read.

use std::path::Path;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::Timestamp;
use crate::store::directory::{corrupt, unwrap_all_but_grant, wrap};
use crate::store::{
    AccountName, Fence, Generation, Grant, Record, Status, StoreError, StoreErrorKind,
};

const KIND: &str = "record";

/// All of a record but its secrets. Times are milliseconds since the Unix epoch.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    account: String,
    generation: u64,
    lineage: u64,
    #[serde(with = "StatusName")]
    status: Status,
    issued_at: u64,
    expires_at: Option<u64>,
    fence: u64,
    owner: Option<String>,
    deadline: u64,
    intended_at: Option<u64>,
    replayed: bool,
    not_before: u64,
    fails: u32,
    last_error: Option<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Status", rename_all = "snake_case")]
enum StatusName {
    Active,
    Leased,
    Sending,
    InDoubt,
    Revoked,
}

pub(super) fn encode(
    account: &AccountName,
    record: &Record,
) -> Result<Zeroizing<Vec<u8>>, StoreError> {
    let header = Header {
        account: account.as_str().to_owned(),
        generation: record.generation.number(),
        lineage: record.lineage.number(),
        status: record.status,
        issued_at: record.issued_at.as_millis(),
        expires_at: record.expires_at.map(Timestamp::as_millis),
        fence: record.fence.number(),
        owner: record.owner.clone(),
        deadline: record.deadline.as_millis(),
        intended_at: record.intended_at.map(Timestamp::as_millis),
        replayed: record.replayed,
        not_before: record.not_before.as_millis(),
        fails: record.fails,
        last_error: record.last_error.clone(),
    };
    wrap(KIND, &header, &record.grant).map_err(|error| {
        StoreError::new(StoreErrorKind::Unavailable, "the record cannot be encoded")
            .with_source(error)
    })
}

/// The record in the file at `path`, as it stands at `now`.
pub(super) fn decode(
    account: &AccountName,
    bytes: &[u8],
    path: &Path,
    now: Timestamp,
) -> Result<Record, StoreError> {
    decode_with(account, bytes, path, now, |_, grant| {
        Grant::from_bytes(grant)
    })
}

/// The same for a commit of `generation`: if the record supersedes it, its grant need not be one
/// that can be read.
pub(super) fn decode_for_commit(
    generation: Generation,
    account: &AccountName,
    bytes: &[u8],
    path: &Path,
    now: Timestamp,
) -> Result<Record, StoreError> {
    decode_with(account, bytes, path, now, |standing, grant| {
        if standing >= generation {
            return Ok(Grant::superseding(grant));
        }
        Grant::from_bytes(grant)
    })
}

fn decode_with(
    account: &AccountName,
    bytes: &[u8],
    path: &Path,
    now: Timestamp,
    grant: impl FnOnce(Generation, &[u8]) -> Result<Grant, StoreError>,
) -> Result<Record, StoreError> {
    let corrupt = |why: String| corrupt("the account's file", path, why);
    let (header, bytes) = unwrap_all_but_grant::<Header>(KIND, bytes).map_err(corrupt)?;
    if header.account != account.as_str() {
        let why = format!("it is the record of another account, {:?}", header.account);
        return Err(corrupt(why));
    }
    let generation = Generation::from_number(header.generation);
    let grant = grant(generation, &bytes).map_err(|error| corrupt(error.to_string()))?;
    Ok(header.into_record(grant, now))
}

impl Header {
    fn into_record(self, grant: Grant, now: Timestamp) -> Record {
        Record {
            generation: Generation::from_number(self.generation),
            status: self.status,
            grant,
            lineage: Generation::from_number(self.lineage),
            issued_at: Timestamp::from_millis(self.issued_at),
            expires_at: self.expires_at.map(Timestamp::from_millis),
            fence: Fence::from_number(self.fence),
            owner: self.owner,
            deadline: Timestamp::from_millis(self.deadline),
            intended_at: self.intended_at.map(Timestamp::from_millis),
            replayed: self.replayed,
            not_before: Timestamp::from_millis(self.not_before),
            fails: self.fails,
            last_error: self.last_error,
            now,
        }
    }
}
