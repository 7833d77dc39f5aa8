use http::StatusCode;

use crate::verify::VerifyErrorKind;

/// Why a request is not let through: in the extensions of the response that it gets, for whoever counts
/// them outside the layer, and with [`report_only`](super::VerifyMacLayer::report_only) in those of the
/// request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum NotVerified {
    /// It has no MAC.
    Absent,
    /// Nobody knows its access token.
    UnknownToken,
    /// Its MAC, its moment or its nonce is not taken.
    Signature(VerifyErrorKind),
    /// It is none that a client could have meant so: its host is missing, or named twice.
    BadRequest,
    /// More of its body is signed than is read.
    BodyTooLong,
    /// Its signed body broke off.
    BodyBroken,
    /// The look-up or the store of nonces could not be asked.
    Unavailable,
}

impl NotVerified {
    /// The status of the response, or the one that it would have.
    pub const fn status(self) -> StatusCode {
        match self {
            Self::Absent | Self::UnknownToken | Self::Signature(_) => StatusCode::UNAUTHORIZED,
            Self::BadRequest | Self::BodyBroken => StatusCode::BAD_REQUEST,
            Self::BodyTooLong => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// A word for it, as a label of a number.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Absent => "absent",
            Self::UnknownToken => "unknown_token",
            Self::Signature(kind) => kind.as_str(),
            Self::BadRequest => "bad_request",
            Self::BodyTooLong => "body_too_long",
            Self::BodyBroken => "body_broken",
            Self::Unavailable => "unavailable",
        }
    }
}
