use std::error::Error as StdError;
use std::fmt;

use http::Extensions;

use crate::account::RefreshError;
use crate::provider::AuthorityError;
use crate::sign::SignError;

/// What a signed call fails with: the inner service's own error, untouched, or why the request was
/// not sent.
///
/// There is no third case. It is a [`std::error::Error`] if the inner error is one. A boxed inner error is not;
/// [`Error::into_boxed`] brings both to one box:
///
/// ```
/// use tower_mac_auth::layer::Error;
///
/// type BoxError = Box<dyn std::error::Error + Send + Sync>;
/// let error: Error<BoxError> = Error::Service("the connection was reset".into());
/// let boxed: BoxError = error.into_boxed();
/// assert_eq!(boxed.to_string(), "the connection was reset");
/// ```
#[derive(Debug)]
pub enum Error<E> {
    /// The inner service failed. What its error shows is its own affair: those of some clients quote
    /// the URL, and at Xiaomi the access token is in that.
    Service(E),
    /// The request was not signed, and not sent; or not again, after it was refused.
    Auth(AuthError),
}

impl<E> Error<E> {
    /// Whether the user has to authorize anew: see
    /// [`needs_authorization`](super::needs_authorization), which asks the same of a response.
    pub fn needs_authorization(&self) -> bool {
        matches!(self, Self::Auth(error) if error.needs_authorization())
    }
}

impl<E: Into<Box<dyn StdError + Send + Sync>>> Error<E> {
    /// Either error in a box: the inner one, or the [`AuthError`], to downcast to.
    pub fn into_boxed(self) -> Box<dyn StdError + Send + Sync> {
        match self {
            Self::Service(error) => error.into(),
            Self::Auth(error) => error.into(),
        }
    }
}

impl<E: fmt::Display> fmt::Display for Error<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Service(error) => error.fmt(f),
            Self::Auth(error) => error.fmt(f),
        }
    }
}

impl<E: StdError> StdError for Error<E> {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self {
            Self::Service(error) => error.source(),
            Self::Auth(error) => error.source(),
        }
    }
}

/// Whether the user has to authorize anew, as these extensions of a response say: they have the
/// [`RefreshError`] if the response is a refusal, and nothing could be done about it.
///
/// ```
/// use http::Response;
/// use tower_mac_auth::layer::{Error, needs_authorization};
///
/// fn must_log_in<B, E>(called: &Result<Response<B>, Error<E>>) -> bool {
///     match called {
///         Ok(response) => needs_authorization(response.extensions()),
///         Err(error) => error.needs_authorization(),
///     }
/// }
/// # assert!(!must_log_in::<_, ()>(&Ok(Response::new(()))));
/// ```
pub fn needs_authorization(extensions: &Extensions) -> bool {
    let error = extensions.get::<RefreshError>();
    error.is_some_and(RefreshError::needs_authorization)
}

/// Why a request was not signed. It was not sent, or not again after it was refused. Print its
/// [`source`](StdError::source) beside it: that says what is wrong.
pub struct AuthError {
    cause: Box<Cause>,
    /// It was sent before, and refused.
    refused: bool,
}

#[derive(Debug)]
pub(super) enum Cause {
    Authority(AuthorityError),
    Sign(SignError),
    Refresh(RefreshError),
    NoAccount,
    OtherAccount,
    OtherClient,
    BodyTooLong(usize),
    Body(Box<dyn StdError + Send + Sync>),
    Headers,
}

/// What kind of failure an [`AuthError`] is; its [`source`](StdError::source) has the rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AuthErrorKind {
    /// The request goes to a host, or in a way, that is not allowed: see [`AuthorityError`].
    Authority,
    /// A part of the request cannot be signed: see [`SignError`].
    Request,
    /// The request brings no account to a layer that signs as the one it
    /// [brings](super::PerRequest), or another one to the layer of one account.
    Account,
    /// There is no live credential, and none could be had: see [`RefreshError`].
    Credential,
}

impl AuthErrorKind {
    /// The name of this kind, for labels: `authority`, `request`, `account` or `credential`.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Authority => "authority",
            Self::Request => "request",
            Self::Account => "account",
            Self::Credential => "credential",
        }
    }
}

impl AuthError {
    /// Whether the user has to authorize anew, before any request can be sent.
    pub fn needs_authorization(&self) -> bool {
        self.refresh_error()
            .is_some_and(RefreshError::needs_authorization)
    }

    /// What kind of failure this is.
    pub fn kind(&self) -> AuthErrorKind {
        match &*self.cause {
            Cause::Authority(_) => AuthErrorKind::Authority,
            Cause::NoAccount | Cause::OtherAccount | Cause::OtherClient => AuthErrorKind::Account,
            Cause::Refresh(_) => AuthErrorKind::Credential,
            Cause::Sign(_) | Cause::BodyTooLong(_) | Cause::Body(_) | Cause::Headers => {
                AuthErrorKind::Request
            }
        }
    }

    /// Of a request that was sent before, and refused.
    pub(super) fn of_resend(mut self) -> Self {
        self.refused = true;
        self
    }

    /// Why there is no credential, if that is the trouble.
    pub fn refresh_error(&self) -> Option<&RefreshError> {
        match &*self.cause {
            Cause::Refresh(error) => Some(error),
            _ => None,
        }
    }
}

impl From<Cause> for AuthError {
    fn from(cause: Cause) -> Self {
        Self {
            cause: Box::new(cause),
            refused: false,
        }
    }
}

impl From<AuthorityError> for AuthError {
    fn from(error: AuthorityError) -> Self {
        Cause::Authority(error).into()
    }
}

impl From<SignError> for AuthError {
    fn from(error: SignError) -> Self {
        Cause::Sign(error).into()
    }
}

impl From<RefreshError> for AuthError {
    fn from(error: RefreshError) -> Self {
        Cause::Refresh(error).into()
    }
}

impl fmt::Debug for AuthError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthError")
            .field("cause", &self.cause)
            .field("refused", &self.refused)
            .finish()
    }
}

impl fmt::Display for AuthError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.refused {
            "the request was refused, and not sent again"
        } else {
            "the request was not sent"
        })?;
        match &*self.cause {
            // The source says it.
            Cause::Authority(_) | Cause::Sign(_) | Cause::Refresh(_) => Ok(()),
            Cause::NoAccount => f.write_str(
                ": account: there is none in its extensions, and the layer has none of its own",
            ),
            Cause::OtherAccount => f.write_str(
                ": account: the one in its extensions is not the one the layer signs as",
            ),
            Cause::OtherClient => f.write_str(
                ": account: the one in its extensions is of another client than the layer",
            ),
            Cause::BodyTooLong(cap) => {
                write!(
                    f,
                    ": body: has more than the {cap} bytes, or than the pieces, that are kept to be signed"
                )
            }
            Cause::Body(_) => f.write_str(": body: could not be read"),
            Cause::Headers => {
                f.write_str(": headers: there are too many to add those of the signature")
            }
        }
    }
}

impl StdError for AuthError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match &*self.cause {
            Cause::Authority(error) => Some(error),
            Cause::Sign(error) => Some(error),
            Cause::Refresh(error) => Some(error),
            Cause::Body(error) => Some(&**error),
            Cause::NoAccount
            | Cause::OtherAccount
            | Cause::OtherClient
            | Cause::BodyTooLong(_)
            | Cause::Headers => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::AllowedAuthorities;

    #[test]
    fn the_guide_says_what_to_do_about_every_cause() {
        let guide = include_str!("../guide/errors.md");
        let uri = http::Uri::from_static("/");
        let nowhere = AllowedAuthorities::default().check(&uri, []).unwrap_err();
        let causes = [
            Cause::Authority(nowhere),
            Cause::Sign(SignError::empty("host")),
            Cause::NoAccount,
            Cause::OtherAccount,
            Cause::OtherClient,
            Cause::BodyTooLong(64 * 1024),
            Cause::Body("broken".into()),
            Cause::Headers,
        ];
        for cause in causes {
            // A new one does not compile until it is here, and above. No refresh error is made here.
            match &cause {
                Cause::Authority(_)
                | Cause::Sign(_)
                | Cause::Refresh(_)
                | Cause::NoAccount
                | Cause::OtherAccount
                | Cause::OtherClient
                | Cause::BodyTooLong(_)
                | Cause::Body(_)
                | Cause::Headers => {}
            }
            let error = AuthError::from(cause);
            assert!(guide.contains(&format!("| `{error}` |")), "{error}");
            let again = error.of_resend().to_string();
            let (begins, _) = again.split_once(": ").unwrap_or((&again, ""));
            assert!(guide.contains(&format!("`{begins}`")), "{begins}");
        }
    }
}
