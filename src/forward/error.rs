use std::error::Error;
use std::fmt;

/// Why a request is not sent on. The caller gets a 400, or a 508 for [`Loop`](Self::Loop).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ForwardError {
    /// `CONNECT` asks for a tunnel, and there is no path to be signed.
    Connect,
    /// There is no `Host`, or more than one, or it is not the host of the URI.
    Host,
    /// There is both a `Content-Length` and a `Transfer-Encoding`, so that two servers may see its end
    /// in two places (RFC 9112 §6.1).
    Framing,
    /// The path cannot stand behind a host: `*`.
    Path,
    /// It has been here before, says its `Via`.
    Loop,
}

impl ForwardError {
    /// The part of the request that is at fault.
    pub const fn field(self) -> &'static str {
        match self {
            Self::Connect => "method",
            Self::Host => "host",
            Self::Framing => "content-length",
            Self::Path => "path",
            Self::Loop => "via",
        }
    }
}

impl fmt::Display for ForwardError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.field())?;
        f.write_str(match self {
            Self::Connect => "CONNECT is not sent on",
            Self::Host => "must be named once, and alike in Host and URI",
            Self::Framing => "is given beside a transfer-encoding",
            Self::Path => "cannot stand behind a host",
            Self::Loop => "names this gateway already: the request goes in a circle",
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
