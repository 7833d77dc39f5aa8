use std::error::Error;
use std::fmt;

/// What is wrong with what the gateway was told, or looks wrong: all of it at once.
#[derive(Debug, Default)]
pub(crate) struct Problems(Vec<(&'static str, String)>);

impl Problems {
    pub(crate) fn one(flag: &'static str, what: impl Into<String>) -> Self {
        Self(vec![(flag, what.into())])
    }

    /// One a line.
    pub(crate) fn lines(&self) -> impl Iterator<Item = String> {
        self.0.iter().map(|(flag, what)| format!("{flag}: {what}"))
    }

    pub(crate) fn add(&mut self, flag: &'static str, what: impl Into<String>) {
        self.0.push((flag, what.into()));
    }

    /// The value, or the problems noted.
    pub(super) fn take<T>(&mut self, result: Result<T, Self>) -> Option<T> {
        result.map_err(|others| self.0.extend(others.0)).ok()
    }

    /// The value, or the error noted.
    pub(super) fn note<T>(
        &mut self,
        flag: &'static str,
        result: Result<T, impl Into<String>>,
    ) -> Option<T> {
        result.map_err(|what| self.add(flag, what)).ok()
    }

    /// The value, if nothing was noted.
    pub(super) fn none_or<T>(self, value: Option<T>) -> Result<T, Self> {
        value.filter(|_| self.is_empty()).ok_or(self)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.lines().collect::<Vec<_>>().join("\n"))
    }
}

impl Error for Problems {}
