//! Why the program ends before its work is done, and with which exit code.

use std::error::Error;
use std::fmt;
use std::io::{self, Write as _};
use std::process::ExitCode;

use tower_mac_auth::store::{AccountNameError, StoreError, StoreErrorKind};

use crate::config::Problems;

/// It may do another time, or in part it did.
const FAILED: u8 = 1;
/// What it was told cannot be.
const WRONG: u8 = 2;
/// What a shell says of a program that SIGPIPE ended, as it ends others in this place.
const UNREAD: u8 = 128 + 13;

/// What went wrong, for a person.
#[derive(Debug)]
pub(crate) enum Trouble {
    Failed(String),
    Wrong(String),
    /// Nobody reads what the program writes.
    Unread,
}

impl Trouble {
    /// Of a store that is called so.
    pub(crate) fn of_store(named: &str, error: &StoreError) -> Self {
        match Self::from(error.clone()) {
            Self::Failed(what) => Self::Failed(format!("{named}: {what}")),
            Self::Wrong(what) => Self::Wrong(format!("{named}: {what}")),
            Self::Unread => Self::Unread,
        }
    }

    /// Tells a person, and gives the exit code.
    pub(crate) fn end(&self) -> ExitCode {
        let (code, what) = match self {
            Self::Failed(what) => (FAILED, what),
            Self::Wrong(what) => (WRONG, what),
            Self::Unread => return ExitCode::from(UNREAD),
        };
        note(format_args!("mac-gateway: {what}"));
        ExitCode::from(code)
    }
}

impl From<Problems> for Trouble {
    fn from(problems: Problems) -> Self {
        Self::Wrong(problems.to_string())
    }
}

impl From<AccountNameError> for Trouble {
    fn from(error: AccountNameError) -> Self {
        Self::Wrong(error.to_string())
    }
}

impl From<StoreError> for Trouble {
    fn from(error: StoreError) -> Self {
        let mut what = with_causes(&error);
        // The library says what to call; here it is a command.
        if error.to_string().contains("PostgresStore::migrate") {
            what.push_str("; that is: mac-gateway accounts migrate --store postgres://…");
        }
        match error.kind() {
            StoreErrorKind::Unsuitable => Self::Wrong(what),
            _ => Self::Failed(what),
        }
    }
}

impl From<io::Error> for Trouble {
    /// Of standard output, which is all that the program writes to by itself.
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::Unread,
            _ => Self::Failed(format!("standard output: {error}")),
        }
    }
}

/// A line for a person. Nobody need read it.
pub(crate) fn note(line: fmt::Arguments<'_>) {
    let _ = writeln!(io::stderr(), "{line}");
}

/// An error and what caused it, in one line.
pub(crate) fn with_causes(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        next = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_no_tables_is_told_the_command_and_nobody_else_is() {
        let of = |kind, what| Trouble::of_store("--store", &StoreError::new(kind, what));
        let none = "its table is not there: call PostgresStore::migrate first";
        let Trouble::Wrong(told) = of(StoreErrorKind::Unsuitable, none) else {
            panic!("it may not do another time");
        };
        assert!(
            told.starts_with("--store: ") && told.contains("accounts migrate"),
            "{told}"
        );
        let Trouble::Wrong(told) = of(StoreErrorKind::Unsuitable, "no such database") else {
            panic!("it may not do another time");
        };
        assert!(!told.contains("migrate"), "{told}");
        let away = of(StoreErrorKind::Unavailable, "no connection");
        assert!(matches!(away, Trouble::Failed(_)), "{away:?}");
    }
}
