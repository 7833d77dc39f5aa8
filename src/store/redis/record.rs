//! A record as the fields of a hash: text, but for the secrets; no field for what there is none of.

use std::collections::HashMap;
use std::str::FromStr;
use std::time::Duration;

use redis::{RedisResult, ScriptInvocation};
use zeroize::Zeroizing;

use super::error::refusal;
use crate::Timestamp;
use crate::store::error::corrupt;
use crate::store::{
    AccountName, Draft, Generation, Listed, ListedHead, Moment, Record, Secrets, Status,
    StoreError, Version,
};

/// A later version of this crate that writes records otherwise raises it: this one then leaves them
/// alone.
const SCHEMA: &str = "1";
/// So many milliseconds, and the server's time, are still counted one by one in the script.
const FAR: u64 = 1 << 52;
/// What a list needs of a record.
pub(super) const HEAD: [&str; 5] = ["schema", "account", "generation", "status", "expires_at"];

/// Gives the script the fields of a record.
pub(super) fn give(
    script: &mut ScriptInvocation<'_>,
    account: &AccountName,
    draft: &Draft,
) -> Result<(), StoreError> {
    let secrets = draft.secrets.to_bytes()?;
    script
        .arg(("version", draft.version.number()))
        .arg(("schema", SCHEMA))
        .arg(("account", account.as_str()))
        .arg(("generation", draft.generation.number()))
        .arg(("status", draft.status.as_str()))
        .arg(("secrets", secrets.as_slice()))
        .arg(("lineage", draft.lineage.number()))
        .arg(moment("issued_at", draft.issued_at))
        .arg(draft.expires_at.map(|it| moment("expires_at", it)))
        .arg(
            draft
                .refresh_expires_at
                .map(|it| moment("refresh_expires_at", it)),
        )
        .arg(draft.lease.map(|it| ("lease", it.number())))
        .arg(draft.owner.as_deref().map(|it| ("owner", it)))
        .arg(moment("deadline", draft.deadline))
        .arg(draft.intended_at.map(|it| moment("intended_at", it)))
        .arg(("presented_again", u8::from(draft.presented_again)))
        .arg(moment("not_before", draft.not_before))
        .arg(("fails", draft.fails))
        .arg(draft.last_error.as_deref().map(|it| ("last_error", it)));
    Ok(())
}

/// The field and its value; with a `+` before its name, the script adds its own time.
fn moment(field: &str, moment: Moment) -> (String, u64) {
    match moment {
        Moment::At(moment) => (field.to_owned(), moment.as_millis()),
        Moment::In(distance) => (format!("+{field}"), millis(distance)),
    }
}

fn millis(distance: Duration) -> u64 {
    u64::try_from(distance.as_millis()).map_or(FAR, |millis| millis.min(FAR))
}

/// What a list says of a name, and of these fields of its record; nothing, if there is none.
pub(super) fn listed(
    name: &[u8],
    head: RedisResult<Vec<Option<Vec<u8>>>>,
) -> Result<Option<Listed>, StoreError> {
    let account = std::str::from_utf8(name).ok();
    let Some(account) = account.and_then(|it| AccountName::new(it).ok()) else {
        return Ok(None);
    };
    let head = match head {
        Ok(values) => {
            let fields = HEAD.iter().zip(values);
            let fields = fields.filter_map(|(field, value)| Some(((*field).into(), value?)));
            let fields = Fields::of(fields);
            if fields.0.is_empty() {
                return Ok(None);
            }
            fields.head(&account).ok()
        }
        Err(error) if error.code() == Some("WRONGTYPE") => None,
        Err(error) => return Err(refusal("HMGET", &error)),
    };
    Ok(Some(Listed { account, head }))
}

/// What a hash has.
pub(super) struct Fields(HashMap<Vec<u8>, Zeroizing<Vec<u8>>>);

impl Fields {
    pub(super) fn of(fields: impl IntoIterator<Item = (Vec<u8>, Vec<u8>)>) -> Self {
        let fields = fields.into_iter();
        let fields = fields.map(|(field, value)| (field, Zeroizing::new(value)));
        Self(fields.collect())
    }

    /// What a list says of the record.
    fn head(&self, account: &AccountName) -> Result<ListedHead, StoreError> {
        if self.text("schema")? != Some(SCHEMA) {
            return Err(corrupt(
                "it is of another version of this crate, or no record",
            ));
        }
        if self.text("account")? != Some(account.as_str()) {
            return Err(corrupt("it is the record of another account"));
        }
        let status = Status::from_name(must(self.text("status")?)?);
        Ok(ListedHead {
            generation: Generation::from_number(must(self.number("generation")?)?),
            status: status.ok_or_else(|| corrupt("its status is unknown"))?,
            expires_at: self.moment("expires_at")?,
        })
    }

    pub(super) fn record(
        &self,
        account: &AccountName,
        version: Version,
        now: Timestamp,
    ) -> Result<Record, StoreError> {
        if version.number() == 0 {
            return Err(corrupt("it has no version, or is no hash"));
        }
        let head = self.head(account)?;
        let number = |field| self.number(field);
        let text = |field| Ok::<_, StoreError>(self.text(field)?.map(str::to_owned));
        Ok(Record {
            version,
            generation: head.generation,
            status: head.status,
            secrets: Secrets::from_bytes(self.bytes("secrets").unwrap_or_default()),
            lineage: Generation::from_number(must(number("lineage")?)?),
            issued_at: must(self.moment("issued_at")?)?,
            expires_at: head.expires_at,
            refresh_expires_at: self.moment("refresh_expires_at")?,
            lease: number("lease")?.map(Version::from_number),
            owner: text("owner")?,
            deadline: must(self.moment("deadline")?)?,
            intended_at: self.moment("intended_at")?,
            presented_again: must(self.number::<u8>("presented_again")?)? != 0,
            not_before: must(self.moment("not_before")?)?,
            fails: must(self.number("fails")?)?,
            last_error: text("last_error")?,
            now,
        })
    }

    fn bytes(&self, field: &str) -> Option<&[u8]> {
        self.0.get(field.as_bytes()).map(|bytes| bytes.as_slice())
    }

    fn text(&self, field: &str) -> Result<Option<&str>, StoreError> {
        let text = self.bytes(field).map(std::str::from_utf8).transpose();
        text.map_err(|_| corrupt("a field is no text").with_source(field))
    }

    fn number<N: FromStr>(&self, field: &str) -> Result<Option<N>, StoreError> {
        let number = self.text(field)?.map(str::parse).transpose();
        number.map_err(|_| corrupt("a field is no number in its range").with_source(field))
    }

    fn moment(&self, field: &str) -> Result<Option<Timestamp>, StoreError> {
        Ok(self.number(field)?.map(Timestamp::from_millis))
    }
}

fn must<T>(field: Option<T>) -> Result<T, StoreError> {
    field.ok_or_else(|| corrupt("a field is missing"))
}
