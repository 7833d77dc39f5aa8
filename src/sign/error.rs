use std::fmt;

/// Why a request could not be signed, or a part of it not be read.
///
/// Names the field at fault and the reason, never a value: a query may hold the access token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignError {
    kind: SignErrorKind,
    field: &'static str,
    reason: &'static str,
    at: Option<usize>,
}

/// What kind of fault a [`SignError`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SignErrorKind {
    /// A part is empty that must not be.
    Empty,
    /// A part is longer than its limit.
    TooLong,
    /// A part holds bytes that must not be there, or has the wrong form.
    Malformed,
    /// The request says twice what may be said once.
    Conflict,
}

impl SignError {
    /// An error of a [`Provider`](crate::provider::Provider) of your own: `field` is at fault, and `reason` goes
    /// on from its name (`"is empty"`, `"has a line break"`). No values: they may be secret.
    pub const fn new(kind: SignErrorKind, field: &'static str, reason: &'static str) -> Self {
        Self {
            kind,
            field,
            reason,
            at: None,
        }
    }

    /// The kind of fault.
    pub const fn kind(&self) -> SignErrorKind {
        self.kind
    }

    /// The field at fault: `method`, `host`, `path`, `query`, `form`, `nonce`, `mac_key`,
    /// `access_token` or `authorization`.
    pub const fn field(&self) -> &'static str {
        self.field
    }

    /// Where in the field, in bytes from its start, when one place is at fault.
    pub const fn offset(&self) -> Option<usize> {
        self.at
    }

    pub(crate) const fn empty(field: &'static str) -> Self {
        Self {
            kind: SignErrorKind::Empty,
            field,
            reason: "is empty",
            at: None,
        }
    }

    pub(crate) const fn missing(field: &'static str) -> Self {
        Self {
            kind: SignErrorKind::Empty,
            field,
            reason: "is missing",
            at: None,
        }
    }

    pub(crate) const fn too_long(field: &'static str, reason: &'static str) -> Self {
        Self {
            kind: SignErrorKind::TooLong,
            field,
            reason,
            at: None,
        }
    }

    pub(crate) const fn malformed(field: &'static str, reason: &'static str) -> Self {
        Self {
            kind: SignErrorKind::Malformed,
            field,
            reason,
            at: None,
        }
    }

    pub(crate) const fn conflict(field: &'static str, reason: &'static str) -> Self {
        Self {
            kind: SignErrorKind::Conflict,
            field,
            reason,
            at: None,
        }
    }

    pub(crate) const fn at(mut self, offset: usize) -> Self {
        self.at = Some(offset);
        self
    }
}

impl fmt::Display for SignError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.reason)?;
        match self.at {
            Some(offset) => write!(f, " at byte {offset}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for SignError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_names_the_field_the_reason_and_the_place() {
        let error = SignError::malformed("query", "bad percent escape").at(7);
        assert_eq!(error.to_string(), "query: bad percent escape at byte 7");
        assert_eq!(error.kind(), SignErrorKind::Malformed);
        assert_eq!((error.field(), error.offset()), ("query", Some(7)));
        assert_eq!(SignError::empty("host").to_string(), "host: is empty");
    }
}
