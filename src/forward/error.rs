use std::error::Error;
use std::fmt;

use http::StatusCode;

/// Why a request is not sent on, or a response not sent back. The caller gets the [status](Self::status).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ForwardError {
    /// `CONNECT` asks for a tunnel, and there is no path to be signed; what `TRACE` brings back would have the
    /// credential in it.
    Method,
    /// There is no `Host`, or more than one, or it is not the host of the URI.
    Host,
    /// There is both a `Content-Length` and a `Transfer-Encoding`, so that two servers may see its end
    /// in two places (RFC 9112 §6.1). Not with hyper's server, which has taken the length off by then, and
    /// closes the connection.
    Framing,
    /// Its body has another transfer coding than `chunked`.
    Coding,
    /// `Max-Forwards` says that this gateway is to answer itself, which has nothing to say.
    LastHop,
    /// The path cannot stand behind a host: `*`.
    Path,
    /// It has been here before, says its `Via`.
    Loop,
    /// The response changes to another protocol than was asked for.
    Protocol,
    /// The body of the response has another transfer coding than `chunked`.
    ResponseCoding,
}

impl ForwardError {
    /// The part of the request, or of the response, that is at fault.
    pub const fn field(self) -> &'static str {
        match self {
            Self::Method => "method",
            Self::Host => "host",
            Self::Framing => "content-length",
            Self::Coding | Self::ResponseCoding => "transfer-encoding",
            Self::LastHop => "max-forwards",
            Self::Path => "path",
            Self::Loop => "via",
            Self::Protocol => "upgrade",
        }
    }

    /// What the caller is to get.
    pub const fn status(self) -> StatusCode {
        match self {
            Self::Host | Self::Framing | Self::Path => StatusCode::BAD_REQUEST,
            Self::Method | Self::Coding | Self::LastHop => StatusCode::NOT_IMPLEMENTED,
            Self::Loop => StatusCode::LOOP_DETECTED,
            Self::Protocol | Self::ResponseCoding => StatusCode::BAD_GATEWAY,
        }
    }
}

impl fmt::Display for ForwardError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.field())?;
        f.write_str(match self {
            Self::Method => "CONNECT and TRACE are not sent on",
            Self::Host => "must be named once, and alike in Host and URI",
            Self::Framing => "is given beside a transfer-encoding",
            Self::Coding => "chunked alone is taken",
            Self::LastHop => "ends at this gateway, which has nothing to say for itself",
            Self::Path => "cannot stand behind a host",
            Self::Loop => "names this gateway already: the request goes in a circle",
            Self::Protocol => "the response changes to a protocol that was not asked for",
            Self::ResponseCoding => "the response has another than chunked",
        })
    }
}

impl Error for ForwardError {}

/// Why something is no [`Upstream`](super::Upstream).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum UpstreamError {
    /// It is not `http://host` or `https://host`, with a port or without.
    Url,
    /// It is no name that can stand in `Via` (RFC 9110 §7.6.3).
    Via,
}

impl fmt::Display for UpstreamError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Url => {
                "upstream: must be http or https and a host, as in https://api.example:8443"
            }
            Self::Via => "via: must be of letters, digits and - . _",
        })
    }
}

impl Error for UpstreamError {}
