//! What the caller is told about an error of the library or of the client.

use std::error::Error as StdError;
use std::io;
use std::time::Duration;

use http::StatusCode;
use hyper_util::client::legacy;
use tower_mac_auth::account::{AccountError, AccountErrorKind, RefreshError, RefreshErrorKind};
use tower_mac_auth::layer::{AuthError, AuthErrorKind, Error};
use tower_mac_auth::{Clock as _, SystemClock, Timestamp};

use super::Refusal;
use super::upload::BodyError;

/// An error that a caller can be told.
pub(crate) trait Failure {
    fn refusal(&self) -> Refusal;
}

impl<E: Failure> Failure for Error<E> {
    fn refusal(&self) -> Refusal {
        match self {
            Self::Service(error) => error.refusal(),
            Self::Auth(error) => of_signing(error),
        }
    }
}

impl Failure for legacy::Error {
    fn refusal(&self) -> Refusal {
        let timed_out = |error: &io::Error| error.kind() == io::ErrorKind::TimedOut;
        match (self.is_connect(), find(self).is_some_and(timed_out)) {
            (_, true) => {
                let reason = "the API did not answer in time";
                Refusal::new(StatusCode::GATEWAY_TIMEOUT, "upstream_timeout", reason)
            }
            (true, false) => {
                let reason = "the API cannot be connected to; the request was not sent";
                Refusal::new(StatusCode::BAD_GATEWAY, "upstream_unreachable", reason)
            }
            (false, false) if find(self).is_some_and(is_untouched) => {
                let reason = "the API did not take the request, and has not acted on it";
                Refusal::new(StatusCode::BAD_GATEWAY, "upstream_refused", reason)
            }
            (false, false) => {
                let reason = "the connection to the API failed; the request may have been acted on";
                Refusal::new(StatusCode::BAD_GATEWAY, "upstream_failed", reason)
            }
        }
    }
}

/// Whether the API said by HTTP/2 that it has not looked at the request (RFC 9113 §8.7): it refused its stream,
/// or was about to end the connection when it came, as servers do after some thousand requests.
fn is_untouched(error: &h2::Error) -> bool {
    error.is_remote()
        && match error.reason() {
            Some(h2::Reason::REFUSED_STREAM) => error.is_reset(),
            Some(h2::Reason::NO_ERROR) => error.is_go_away(),
            _ => false,
        }
}

/// The first error of this type, from the outside in.
fn find<'a, E: StdError + 'static>(error: &'a (dyn StdError + 'static)) -> Option<&'a E> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        next = error.source();
    }
    None
}

fn of_signing(error: &AuthError) -> Refusal {
    if let Some(error) = find::<BodyError>(error) {
        return error.refusal();
    }
    let source = error.source().map(ToString::to_string);
    let reason = source.map_or_else(|| error.to_string(), |source| format!("{error}: {source}"));
    match error.kind() {
        AuthErrorKind::Credential => match error.refresh_error() {
            Some(error) => of_refresh(error),
            None => Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "credential", reason),
        },
        AuthErrorKind::Request if reason.contains("that are kept to be signed") => Refusal::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "signed_body_too_large",
            reason,
        ),
        AuthErrorKind::Request => Refusal::new(StatusCode::BAD_REQUEST, "not_signable", reason),
        _ => Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "not_signed", reason),
    }
}

fn unavailable(error: &'static str, reason: String) -> Refusal {
    Refusal::new(StatusCode::SERVICE_UNAVAILABLE, error, reason)
}

/// There is no live credential, and that is why.
pub(crate) fn of_refresh(error: &RefreshError) -> Refusal {
    use RefreshErrorKind as Kind;

    let reason = error.to_string();
    let refusal = match error.kind() {
        Kind::ReauthorizationRequired => {
            Refusal::new(StatusCode::FORBIDDEN, "authorization_required", reason)
        }
        Kind::InDoubt if error.needs_authorization() => {
            Refusal::new(StatusCode::FORBIDDEN, "in_doubt", reason)
        }
        // It may be presented once more.
        Kind::InDoubt => unavailable("in_doubt", reason),
        Kind::Refused => Refusal::new(StatusCode::BAD_GATEWAY, "client_refused", reason),
        Kind::UnusableAnswer => Refusal::new(StatusCode::BAD_GATEWAY, "unusable_answer", reason),
        Kind::TimedOut => Refusal::new(StatusCode::GATEWAY_TIMEOUT, "refresh_timeout", reason),
        Kind::BackingOff { until } => unavailable("backing_off", reason).after(left(until)),
        Kind::RotatedRecently => unavailable("rotated_recently", reason),
        Kind::RateLimited => unavailable("rate_limited", reason),
        Kind::Unsent => unavailable("token_endpoint_unreachable", reason),
        Kind::Store => unavailable("store", reason),
        Kind::Closed => unavailable("draining", reason),
        _ => unavailable("refresh_failed", reason),
    };
    refusal.because(error)
}

/// How an account comes to be known.
pub(crate) const fn first_tokens(has_login: bool) -> &'static str {
    if has_login {
        "have its user log in at /login of the admin address"
    } else {
        "bring its refresh token in by mac-gateway accounts import or --seed"
    }
}

/// The account cannot be opened, or not be authorized.
pub(crate) fn of_account(error: &AccountError, has_login: bool) -> Refusal {
    use AccountErrorKind as Kind;

    let reason = error.to_string();
    let refusal = match error.kind() {
        Kind::Name => Refusal::new(StatusCode::BAD_REQUEST, "account_name", reason),
        Kind::NotAuthorized => {
            let reason = format!(
                "the gateway knows no such account: {}",
                first_tokens(has_login)
            );
            Refusal::new(StatusCode::FORBIDDEN, "account_unknown", reason)
        }
        Kind::CodeRefused | Kind::CodeInDoubt => {
            Refusal::new(StatusCode::BAD_GATEWAY, "code_refused", reason)
        }
        Kind::OtherUser => Refusal::new(StatusCode::CONFLICT, "other_user", reason),
        Kind::TimedOut => Refusal::new(StatusCode::GATEWAY_TIMEOUT, "account_timeout", reason),
        Kind::CodeRateLimited { until } => unavailable("rate_limited", reason).after(left(until)),
        Kind::CodeUnsent => unavailable("token_endpoint_unreachable", reason),
        Kind::Store => unavailable("store", reason),
        Kind::Closed => unavailable("draining", reason),
        _ => unavailable("account", reason),
    };
    refusal.because(error)
}

fn left(until: Timestamp) -> Duration {
    until.saturating_since(SystemClock.now())
}

#[cfg(test)]
mod tests {
    use tower_mac_auth::account::Accounts;
    use tower_mac_auth::provider::{Bearer, OAuth2};

    use super::*;

    #[tokio::test]
    async fn a_login_is_advised_where_there_is_one() {
        let accounts = Accounts::builder(Bearer::new(OAuth2::new("https://as.example", "client")));
        let unknown = accounts.build().get("alice").await.unwrap_err();
        for (has_login, way) in [(true, "/login"), (false, "accounts import")] {
            let refusal = of_account(&unknown, has_login);
            assert_eq!(refusal.error, "account_unknown");
            assert!(refusal.reason.contains(way), "{}", refusal.reason);
        }
    }
}
