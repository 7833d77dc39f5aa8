//! Rows and records.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use bytes::BytesMut;
use tokio_postgres::Row;
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type, to_sql_checked};
use zeroize::Zeroizing;

use super::error::{Told, corrupt, odd_row};
use crate::Timestamp;
use crate::store::{Fence, Generation, Grant, Record, Status, StoreError, StoreErrorKind};

/// The secrets as a parameter: a driver that prints its parameters prints none of them.
pub(super) struct Secret(pub(super) Zeroizing<Vec<u8>>);

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

/// A fence, as the database keeps it.
pub(super) fn fence(fence: Fence) -> Result<i64, StoreError> {
    i64::try_from(fence.number())
        .map_err(|_| corrupt("its fence is beyond what the database can count"))
}

pub(super) fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

pub(super) fn moment(moment: Timestamp) -> i64 {
    i64::try_from(moment.as_millis()).unwrap_or(i64::MAX)
}

/// Text from anywhere: the database keeps no NUL.
pub(super) fn text(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

/// Reads the columns of [`COLUMNS`](super::sql::COLUMNS), and `now` behind them.
pub(super) fn record(row: &Row) -> Result<Record, StoreError> {
    with_grant(row, Grant::from_bytes(get(row, 3)?)?)
}

/// The row as one that supersedes a commit of `generation`, if it does; its grant need not be one
/// that can be read.
pub(super) fn superseding(row: &Row, generation: Generation) -> Result<Record, StoreError> {
    let record = with_grant(row, Grant::superseding(get(row, 3)?))?;
    if record.generation >= generation {
        return Ok(record);
    }
    // It was not replaced, so the statement took it for one that cannot be read.
    self::record(row)?;
    Err(odd_row())
}

fn with_grant(row: &Row, grant: Grant) -> Result<Record, StoreError> {
    let status = match get(row, 2)? {
        "active" => Status::Active,
        "leased" => Status::Leased,
        "sending" => Status::Sending,
        "in_doubt" => Status::InDoubt,
        "revoked" => Status::Revoked,
        _ => return Err(corrupt("its status is not known")),
    };
    Ok(Record {
        generation: generation(get(row, 0)?)?,
        lineage: generation(get(row, 1)?)?,
        status,
        grant,
        issued_at: timestamp(get(row, 4)?)?,
        expires_at: get::<Option<i64>>(row, 5)?.map(timestamp).transpose()?,
        fence: Fence::from_number(unsigned(get(row, 6)?)?),
        owner: get(row, 7)?,
        deadline: timestamp(get(row, 8)?)?,
        intended_at: get::<Option<i64>>(row, 9)?.map(timestamp).transpose()?,
        replayed: get(row, 10)?,
        not_before: timestamp(get(row, 11)?)?,
        fails: u32::try_from(get::<i64>(row, 12)?)
            .map_err(|_| corrupt("its count of failures is out of range"))?,
        last_error: get(row, 13)?,
        now: timestamp(get(row, 14)?)?,
    })
}

/// Of a step that also tells, last, whether its guard held.
pub(super) fn moved(row: &Row) -> Result<bool, StoreError> {
    get(row, 15)
}

fn get<'a, T: FromSql<'a>>(row: &'a Row, column: usize) -> Result<T, StoreError> {
    row.try_get(column).map_err(|error| {
        StoreError::new(StoreErrorKind::Corrupt, "a column holds something else")
            .with_source(Told(super::error::told(&error)))
    })
}

fn generation(text: &str) -> Result<Generation, StoreError> {
    text.parse()
        .map(Generation::from_number)
        .map_err(|_| corrupt("its generation is none"))
}

fn unsigned(number: i64) -> Result<u64, StoreError> {
    u64::try_from(number).map_err(|_| corrupt("a number is negative"))
}

fn timestamp(millis: i64) -> Result<Timestamp, StoreError> {
    Ok(match unsigned(millis)? {
        // As far as the database counts: never.
        millis if millis == i64::MAX.unsigned_abs() => Timestamp::MAX,
        millis => Timestamp::from_millis(millis),
    })
}
