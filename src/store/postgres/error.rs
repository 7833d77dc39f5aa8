//! Errors of the database, without what they may quote: a failed row has the secrets in it, and a
//! connection string the password.

use std::error::Error as _;
use std::fmt;
use std::io;

use deadpool_postgres::PoolError;
use tokio_postgres::Error;
use tokio_postgres::error::{DbError, SqlState};

use crate::store::error::{self, unavailable, with_causes};
use crate::store::{StoreError, StoreErrorKind};

pub(super) const NO_RIGHT: &str = "the role of this connection lacks a right";
pub(super) const NOT_MIGRATED: &str = "its table is not there: call PostgresStore::migrate first";

/// What may be told of an error of the database.
#[derive(Debug)]
pub(super) struct Told(pub(super) String);

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Told {}

/// The database, or what we were told of it, does not do; trying again does not help.
pub(super) fn unsuitable(what: &'static str, why: impl Into<String>) -> StoreError {
    error::unsuitable(what).with_source(Told(why.into()))
}

pub(super) fn will_not_do(why: impl Into<String>) -> StoreError {
    unsuitable("the database will not do", why)
}

/// An error of a statement, or of connecting for it.
pub(super) fn store_error(error: &Error) -> StoreError {
    let failed = match error.code() {
        Some(code) if [SqlState::UNDEFINED_TABLE, SqlState::INVALID_SCHEMA_NAME].contains(code) => {
            error::unsuitable(NOT_MIGRATED)
        }
        Some(code) if *code == SqlState::INSUFFICIENT_PRIVILEGE => error::unsuitable(NO_RIGHT),
        Some(code) if *code == SqlState::INVALID_CATALOG_NAME => {
            error::unsuitable("there is no such database")
        }
        // Class 28: the login.
        Some(code) if code.code().starts_with("28") => {
            error::unsuitable("the database refuses the login")
        }
        Some(_) => unavailable("the database refused"),
        None => unavailable("no connection to the database"),
    };
    failed.with_source(Told(told(error)))
}

/// An error of a statement that was tried on its own before the first use: what the server says
/// against this one, it will say against all.
pub(super) fn not_done(error: &Error) -> StoreError {
    let told_of = store_error(error);
    let Some(refusal) = error.as_db_error() else {
        return told_of;
    };
    // Connection, conflicts, resources, locks, operators, system: these pass.
    let passing = ["08", "40", "53", "55", "57", "58"];
    let code = refusal.code().code();
    if told_of.kind() == StoreErrorKind::Unsuitable
        || passing.iter().any(|class| code.starts_with(class))
    {
        return told_of;
    }
    let mut why = told_by_server(refusal);
    if let Some(column) = refusal.column() {
        why = format!("column {column}: {why}");
    }
    unsuitable("it does not take what a step does", why)
}

pub(super) fn pool_error(error: &PoolError) -> StoreError {
    match error {
        PoolError::Backend(error) => store_error(error),
        PoolError::Timeout(_) => unavailable("no connection of the pool came free in time"),
        PoolError::Closed => unavailable("the connection pool was closed"),
        _ => unavailable("the connection pool gave no connection"),
    }
}

/// What a failure says of the session that it came on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Session {
    Fit,
    /// Of a server that was demoted: what was asked was not done.
    ReadOnly,
    /// Of a server that goes down or is gone: what was asked may have been done.
    Gone,
}

pub(super) fn session(error: &Error) -> Session {
    let Some(code) = error.code() else {
        let lost = error
            .source()
            .is_some_and(<dyn std::error::Error>::is::<io::Error>);
        return if lost || error.is_closed() {
            Session::Gone
        } else {
            Session::Fit
        };
    };
    let gone = [
        SqlState::ADMIN_SHUTDOWN,
        SqlState::CRASH_SHUTDOWN,
        SqlState::CANNOT_CONNECT_NOW,
    ];
    if *code == SqlState::READ_ONLY_SQL_TRANSACTION {
        Session::ReadOnly
    } else if gone.contains(code) || code.code().starts_with("08") {
        // Class 08: the connection. A pooler tells of the server behind it by that.
        Session::Gone
    } else {
        Session::Fit
    }
}

/// Nothing happened, and the same may go well at once: a conflict with another transaction.
pub(super) fn is_conflict(error: &Error) -> bool {
    let code = error.code();
    code == Some(&SqlState::T_R_SERIALIZATION_FAILURE)
        || code == Some(&SqlState::T_R_DEADLOCK_DETECTED)
}

pub(super) fn told(error: &Error) -> String {
    if let Some(error) = error.as_db_error() {
        return told_by_server(error);
    }
    with_causes(error)
}

fn told_by_server(error: &DbError) -> String {
    let code = error.code().code();
    // Connections, state of the transaction, logins, names, rights, resources, operators, system:
    // their messages speak of names. Those on data, and what a trigger says, may quote values;
    // details and hints of any may.
    let names_only = ["08", "25", "28", "3D", "3F", "42", "53", "55", "57", "58"];
    if names_only.iter().any(|class| code.starts_with(class)) {
        format!("{} ({code})", error.message())
    } else {
        format!("SQLSTATE {code}")
    }
}
