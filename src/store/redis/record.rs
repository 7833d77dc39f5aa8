//! Scripts' answers as records.

use std::collections::HashMap;

use redis::Value;
use zeroize::Zeroizing;

use super::error::{corrupt, odd_answer};
use crate::Timestamp;
use crate::store::{Fence, Generation, Grant, Record, Status, StoreError};

/// What a script answered: how the step went, and the record that stands after it.
pub(super) struct Answer {
    pub(super) tag: String,
    now: Timestamp,
    /// One of them is secret.
    fields: HashMap<String, Zeroizing<Vec<u8>>>,
}

impl Answer {
    pub(super) fn of(reply: Vec<Value>) -> Result<Self, StoreError> {
        let mut reply = reply.into_iter().map(|value| match value {
            Value::BulkString(bytes) => Ok(bytes),
            _ => Err(odd_answer()),
        });
        let mut text = || {
            let bytes = reply.next().ok_or_else(odd_answer)??;
            String::from_utf8(bytes).map_err(|_| odd_answer())
        };
        let tag = text()?;
        let now = text()?.parse().map_err(|_| odd_answer())?;
        let mut fields = HashMap::new();
        while let Some(field) = reply.next() {
            let value = reply.next().ok_or_else(odd_answer)??;
            // A field that is no text is none of ours.
            if let Ok(field) = String::from_utf8(field?) {
                fields.insert(field, Zeroizing::new(value));
            }
        }
        let now = Timestamp::from_millis(now);
        Ok(Self { tag, now, fields })
    }

    pub(super) fn record(&self) -> Result<Record, StoreError> {
        self.with_grant(Grant::from_bytes(self.bytes("grant")?)?)
    }

    /// The record that supersedes a commit; its grant need not be one that can be read.
    pub(super) fn superseding(&self) -> Result<Record, StoreError> {
        let grant = self.bytes("grant").unwrap_or_default();
        self.with_grant(Grant::superseding(grant))
    }

    fn with_grant(&self, grant: Grant) -> Result<Record, StoreError> {
        Ok(Record {
            generation: Generation::from_number(self.number("generation")?),
            status: match self.text("status")? {
                "active" => Status::Active,
                "leased" => Status::Leased,
                "sending" => Status::Sending,
                "in_doubt" => Status::InDoubt,
                "revoked" => Status::Revoked,
                _ => return Err(corrupt("its status is unknown")),
            },
            grant,
            lineage: Generation::from_number(self.number("lineage")?),
            issued_at: self.moment("issued_at")?,
            expires_at: self.some_moment("expires_at")?,
            fence: Fence::from_number(self.number("fence")?),
            owner: self.some_text("owner")?,
            deadline: self.moment("deadline")?,
            intended_at: self.some_moment("intended_at")?,
            replayed: self.text("replayed")? == "1",
            not_before: self.moment("not_before")?,
            fails: self.number("fails")?,
            last_error: self.some_text("last_error")?,
            now: self.now,
        })
    }

    fn bytes(&self, field: &str) -> Result<&[u8], StoreError> {
        let bytes = self.fields.get(field);
        bytes
            .map(|bytes| bytes.as_slice())
            .ok_or_else(|| corrupt("a field is missing"))
    }

    fn text(&self, field: &str) -> Result<&str, StoreError> {
        std::str::from_utf8(self.bytes(field)?).map_err(|_| corrupt("a field is no text"))
    }

    fn number<N: std::str::FromStr>(&self, field: &str) -> Result<N, StoreError> {
        let number = self.text(field)?.parse();
        number.map_err(|_| corrupt("a field is no number"))
    }

    fn moment(&self, field: &str) -> Result<Timestamp, StoreError> {
        self.number(field).map(Timestamp::from_millis)
    }

    fn some_moment(&self, field: &str) -> Result<Option<Timestamp>, StoreError> {
        let some = !self.bytes(field)?.is_empty();
        some.then(|| self.moment(field)).transpose()
    }

    fn some_text(&self, field: &str) -> Result<Option<String>, StoreError> {
        let text = self.text(field)?;
        Ok((!text.is_empty()).then(|| text.to_owned()))
    }
}
