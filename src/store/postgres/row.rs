//! Records as rows and as parameters.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use bytes::BytesMut;
use tokio_postgres::Row;
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type, to_sql_checked};
use zeroize::Zeroizing;

use super::error::{Told, told};
use super::link::Parameter;
use crate::Timestamp;
use crate::store::error::corrupt;
use crate::store::{
    AccountName, Draft, Generation, Listed, Loaded, Moment, Record, Replaced, Secrets, Status,
    StoreError, Version,
};

/// The parameters of a replacement, in their order: those that it takes itself, and the columns
/// behind the first of [`COLUMNS`](super::tables::COLUMNS).
pub(super) struct Values(Vec<(Box<dyn ToSql + Send + Sync>, Type)>);

impl Values {
    pub(super) fn new(
        account: &str,
        expected: Option<Version>,
        draft: &Draft,
    ) -> Result<Self, StoreError> {
        let mut values = Self(Vec::new());
        values.push(account.to_owned(), Type::TEXT);
        values.push(expected.map(number), Type::INT8);
        values.push(!draft.status.is_rotating(), Type::BOOL);
        values.push(number(draft.version), Type::INT8);
        values.push(draft.generation.to_string(), Type::TEXT);
        values.push(draft.lineage.to_string(), Type::TEXT);
        values.push(draft.status.as_str(), Type::TEXT);
        values.push(Secret(draft.secrets.to_bytes()?), Type::BYTEA);
        values.push(coded(draft.issued_at), Type::INT8);
        values.push(draft.expires_at.map(coded), Type::INT8);
        values.push(draft.refresh_expires_at.map(coded), Type::INT8);
        values.push(draft.lease.map(number), Type::INT8);
        values.push(draft.owner.as_deref().map(text), Type::TEXT);
        values.push(coded(draft.deadline), Type::INT8);
        values.push(draft.intended_at.map(coded), Type::INT8);
        values.push(draft.presented_again, Type::BOOL);
        values.push(coded(draft.not_before), Type::INT8);
        values.push(i64::from(draft.fails), Type::INT8);
        values.push(draft.last_error.as_deref().map(text), Type::TEXT);
        Ok(values)
    }

    fn push(&mut self, value: impl ToSql + Send + Sync + 'static, kind: Type) {
        self.0.push((Box::new(value), kind));
    }

    pub(super) fn parameters(&self) -> Vec<Parameter<'_>> {
        let values = self.0.iter();
        values
            .map(|(value, kind)| (&**value as &(dyn ToSql + Sync), kind.clone()))
            .collect()
    }
}

/// The secrets as a parameter: a driver that prints its parameters prints none of them.
struct Secret(Zeroizing<Vec<u8>>);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

impl ToSql for Secret {
    fn to_sql(
        &self,
        ty: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        self.0.as_slice().to_sql(ty, out)
    }

    fn accepts(ty: &Type) -> bool {
        <&[u8] as ToSql>::accepts(ty)
    }

    to_sql_checked!();
}

/// A version as the database keeps it: bit by bit, so whatever stands there can be replaced.
fn number(version: Version) -> i64 {
    version.number().cast_signed()
}

fn version(number: i64) -> Version {
    Version::from_number(number.cast_unsigned())
}

/// A moment as the statement takes it: see [`sql`](super::sql).
fn coded(moment: Moment) -> i64 {
    match moment {
        Moment::At(moment) => i64::try_from(moment.as_millis()).unwrap_or(i64::MAX),
        Moment::In(distance) => !millis(distance),
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// Text from anywhere: the database keeps no NUL.
fn text(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

/// What stands, of a row that says so.
pub(super) fn loaded(row: &Row) -> Result<Loaded, StoreError> {
    let now = moment(get(row, "now")?)?;
    if get::<Option<&str>>(row, "account")?.is_none() {
        return Ok(Loaded::nothing(now));
    }
    let version = version(get(row, "version")?);
    Ok(match record(row, version, now) {
        Ok(record) => Loaded::record(record, now),
        Err(why) => Loaded::unreadable(version, why, now),
    })
}

pub(super) fn replaced(row: &Row) -> Result<Replaced, StoreError> {
    if get(row, "done")? {
        return Ok(Replaced::Done(moment(get(row, "now")?)?));
    }
    loaded(row).map(Replaced::Refused)
}

fn record(row: &Row, version: Version, now: Timestamp) -> Result<Record, StoreError> {
    Ok(Record {
        version,
        generation: generation(row, "generation")?,
        status: status(row)?,
        secrets: Secrets::from_bytes(get(row, "secret")?),
        lineage: generation(row, "lineage")?,
        issued_at: moment(get(row, "issued_at")?)?,
        expires_at: moment_if_any(row, "expires_at")?,
        refresh_expires_at: moment_if_any(row, "refresh_expires_at")?,
        lease: get::<Option<i64>>(row, "lease")?.map(self::version),
        owner: get(row, "owner")?,
        deadline: moment(get(row, "deadline")?)?,
        intended_at: moment_if_any(row, "intended_at")?,
        presented_again: get(row, "presented_again")?,
        not_before: moment(get(row, "not_before")?)?,
        fails: u32::try_from(get::<i64>(row, "fails")?)
            .map_err(|_| corrupt("its count of failures is out of range"))?,
        last_error: get(row, "last_error")?,
        now,
    })
}

/// One account of a list.
pub(super) fn listed(row: &Row) -> Result<Listed, StoreError> {
    let account = AccountName::new(get(row, "account")?)
        .map_err(|_| corrupt("a row has a name that no account has"))?;
    let head = || {
        Ok::<_, StoreError>(Listed::new(
            account.clone(),
            generation(row, "generation")?,
            status(row)?,
            moment_if_any(row, "expires_at")?,
        ))
    };
    Ok(head().unwrap_or_else(|_| Listed::unreadable(account.clone())))
}

fn get<'a, T: FromSql<'a>>(row: &'a Row, column: &str) -> Result<T, StoreError> {
    let value = row.try_get(column);
    value.map_err(|it| corrupt("a column holds something else").with_source(Told(told(&it))))
}

fn status(row: &Row) -> Result<Status, StoreError> {
    Status::from_name(get(row, "status")?).ok_or_else(|| corrupt("its status is not known"))
}

fn generation(row: &Row, column: &str) -> Result<Generation, StoreError> {
    let number = get::<&str>(row, column)?.parse();
    number
        .map(Generation::from_number)
        .map_err(|_| corrupt("its generation is none"))
}

fn moment(millis: i64) -> Result<Timestamp, StoreError> {
    match u64::try_from(millis) {
        // As far as the database counts: never.
        Ok(millis) if millis == i64::MAX.unsigned_abs() => Ok(Timestamp::MAX),
        Ok(millis) => Ok(Timestamp::from_millis(millis)),
        Err(_) => Err(corrupt("a time of it is negative")),
    }
}

fn moment_if_any(row: &Row, column: &str) -> Result<Option<Timestamp>, StoreError> {
    get::<Option<i64>>(row, column)?.map(moment).transpose()
}
