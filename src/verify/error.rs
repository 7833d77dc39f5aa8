use std::error::Error;
use std::fmt;

use crate::sign::SignError;

/// Why a request, or a part of it, is not to be believed.
///
/// Names the field and the reason, never a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifyError {
    kind: VerifyErrorKind,
    field: &'static str,
    reason: &'static str,
    source: Option<SignError>,
}

/// What kind of refusal a [`VerifyError`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum VerifyErrorKind {
    /// The `Authorization` header cannot be read.
    Malformed,
    /// The request has a part that no client could have signed; the source says which.
    Unsignable,
    /// The MAC is not the one of this request under this key.
    WrongMac,
    /// The hash is not the one of this body.
    WrongBody,
    /// The access token in the query, which is signed, is another than that of the header, which is not.
    WrongToken,
    /// The nonce lies too far in the past or the future.
    OutsideWindow,
    /// The nonce was used before.
    Replayed,
    /// So many nonces are remembered that another has no room.
    Full,
}

impl VerifyErrorKind {
    /// A word for it, as a label of a number.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::Unsignable => "unsignable",
            Self::WrongMac => "wrong_mac",
            Self::WrongBody => "wrong_body",
            Self::WrongToken => "wrong_token",
            Self::OutsideWindow => "outside_window",
            Self::Replayed => "replayed",
            Self::Full => "full",
        }
    }
}

impl VerifyError {
    /// The kind of refusal.
    pub const fn kind(&self) -> VerifyErrorKind {
        self.kind
    }

    /// The field at fault: `authorization`, a parameter of it, `issued_at`, or a field of the request
    /// as in [`SignError::field`].
    pub const fn field(&self) -> &'static str {
        self.field
    }

    /// The nonce was claimed before.
    pub(crate) const REPLAYED: Self =
        Self::new(VerifyErrorKind::Replayed, "nonce", "was used before");

    pub(crate) const fn new(
        kind: VerifyErrorKind,
        field: &'static str,
        reason: &'static str,
    ) -> Self {
        Self {
            kind,
            field,
            reason,
            source: None,
        }
    }

    pub(super) const fn malformed(field: &'static str, reason: &'static str) -> Self {
        Self::new(VerifyErrorKind::Malformed, field, reason)
    }

    pub(super) const fn unsignable(source: SignError) -> Self {
        Self {
            kind: VerifyErrorKind::Unsignable,
            field: source.field(),
            reason: "could not have been signed",
            source: Some(source),
        }
    }
}

impl fmt::Display for VerifyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.reason)
    }
}

impl Error for VerifyError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_ref().map(|source| source as _)
    }
}
