use std::error::Error;
use std::fmt;

use bytes::Bytes;
use futures_core::future::BoxFuture;
use http::{Request, Response, Uri};

/// The longest answer of a token endpoint that is read: 64 KiB, on the wire and decoded.
pub const MAX_ANSWER_LEN: usize = 64 * 1024;

pub(crate) type BoxError = Box<dyn Error + Send + Sync>;

/// How the token endpoint is reached: one fresh connection for each request.
///
/// Object safe, so an endpoint holds any. [`HyperTransport`](super::HyperTransport) is the built-in
/// one; write your own to go through a proxy, or to test.
pub trait Transport: Send + Sync + 'static {
    /// Gets everything ready that can fail or take long (DNS, TCP, TLS) and sends nothing of a
    /// request.
    ///
    /// `endpoint` is the endpoint's URL, without any secret. The connection must be new: a pooled
    /// one may be dead, and the request sent on it lost.
    ///
    /// # Errors
    ///
    /// When there is no connection. It must end by itself, with [`TransportError::timeout`].
    fn connect<'a>(
        &'a self,
        endpoint: &'a Uri,
    ) -> BoxFuture<'a, Result<Box<dyn Connection>, TransportError>>;
}

/// A connection on which nothing was sent yet.
pub trait Connection: Send {
    /// Sends the request, once, and reads the answer whole.
    ///
    /// The request is in origin form (path and query; `Host` is set).
    /// The body is handed on as it came, with its `Content-Encoding`, or decoded and without.
    /// **Its URI carries secrets: never log it, nor put it in an error.** Do not retry, do not
    /// follow redirects, and keep nothing running once the future has ended or was dropped.
    ///
    /// # Errors
    ///
    /// [`SendError`] says whether a byte of the request may have left. A body longer than
    /// [`MAX_ANSWER_LEN`] is [`SendError::too_long`], without reading on; an answer that does not
    /// come is [`SendError::timeout`].
    fn send(
        self: Box<Self>,
        request: Request<Bytes>,
    ) -> BoxFuture<'static, Result<Response<Bytes>, SendError>>;
}

/// No connection to the token endpoint. Nothing was sent.
#[derive(Debug)]
pub struct TransportError {
    pub(crate) timeout: bool,
    pub(crate) source: Option<BoxError>,
}

impl TransportError {
    /// DNS, TCP or TLS failed.
    pub fn new(source: impl Into<BoxError>) -> Self {
        Self {
            timeout: false,
            source: Some(source.into()),
        }
    }

    /// There was no connection in time.
    pub fn timeout() -> Self {
        Self {
            timeout: true,
            source: None,
        }
    }

    /// Whether it took too long, rather than failed.
    pub fn is_timeout(&self) -> bool {
        self.timeout
    }
}

impl fmt::Display for TransportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.timeout {
            "no connection in time"
        } else {
            "no connection"
        })
    }
}

impl Error for TransportError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

/// A request that was not answered, and whether it may have left.
pub struct SendError {
    pub(crate) kind: SendErrorKind,
    pub(crate) source: Option<BoxError>,
}

/// What became of a request that was not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SendErrorKind {
    /// Provably no byte of it left: it may be sent again.
    NotSent,
    /// It may have arrived; the connection failed before the whole answer was here.
    Lost,
    /// It may have arrived; the answer did not come in time.
    Timeout,
    /// It may have arrived; the answer is longer than [`MAX_ANSWER_LEN`].
    TooLong,
}

impl SendError {
    /// Provably no byte of the request left. When in the least doubt, it is [`SendError::lost`].
    pub fn not_sent(source: impl Into<BoxError>) -> Self {
        Self::with_source(SendErrorKind::NotSent, source)
    }

    /// The request may have left, and the connection failed.
    pub fn lost(source: impl Into<BoxError>) -> Self {
        Self::with_source(SendErrorKind::Lost, source)
    }

    /// The request may have left, and the answer did not come in time.
    pub fn timeout() -> Self {
        Self {
            kind: SendErrorKind::Timeout,
            source: None,
        }
    }

    /// The answer is longer than [`MAX_ANSWER_LEN`].
    pub fn too_long() -> Self {
        Self {
            kind: SendErrorKind::TooLong,
            source: None,
        }
    }

    /// What became of the request.
    pub fn kind(&self) -> SendErrorKind {
        self.kind
    }

    fn with_source(kind: SendErrorKind, source: impl Into<BoxError>) -> Self {
        Self {
            kind,
            source: Some(source.into()),
        }
    }
}

impl fmt::Debug for SendError {
    /// Without the source: the errors of some clients quote the URL, which has the token in it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SendError")
            .field("kind", &self.kind)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            SendErrorKind::NotSent => "the connection was gone before the request was sent",
            SendErrorKind::Lost => "the connection failed before the answer was read",
            SendErrorKind::Timeout => "no answer in time",
            SendErrorKind::TooLong => "the answer is longer than 64 KiB",
        })
    }
}

impl Error for SendError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}
