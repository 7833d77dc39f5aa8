use std::error::Error;
use std::fmt;

type BoxError = Box<dyn Error + Send + Sync>;

/// Why a request's body ended before its time.
///
/// See [`RequestBody`](super::RequestBody).
#[derive(Debug)]
pub struct RequestBodyError {
    kind: RequestBodyErrorKind,
    source: Option<BoxError>,
}

/// The kinds of [`RequestBodyError`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RequestBodyErrorKind {
    /// The caller's body gave an error; it is the [`source`](Error::source).
    Body,
    /// The request is sent again, and the next attempt took the body over. Only an attempt whose answer is already
    /// known ever sees this.
    Superseded,
    /// The caller's body panicked earlier, so how it goes on is not known.
    Panicked,
}

impl RequestBodyError {
    pub(super) fn body(source: impl Into<BoxError>) -> Self {
        Self {
            kind: RequestBodyErrorKind::Body,
            source: Some(source.into()),
        }
    }

    pub(super) const fn superseded() -> Self {
        Self {
            kind: RequestBodyErrorKind::Superseded,
            source: None,
        }
    }

    pub(super) const fn panicked() -> Self {
        Self {
            kind: RequestBodyErrorKind::Panicked,
            source: None,
        }
    }

    /// What happened.
    pub const fn kind(&self) -> RequestBodyErrorKind {
        self.kind
    }
}

impl fmt::Display for RequestBodyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            RequestBodyErrorKind::Body => "request body: reading it failed",
            RequestBodyErrorKind::Superseded => {
                "request body: the request is sent again, and the next attempt took it over"
            }
            RequestBodyErrorKind::Panicked => "request body: it panicked while it was read",
        })
    }
}

impl Error for RequestBodyError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.source {
            Some(source) => Some(&**source),
            None => None,
        }
    }
}
