//! Whose credential signs a request.

use super::error::{AuthError, Cause};
use crate::account::Account;

/// Whose credential signs what goes through a layer: that of one [`Account`], or, with
/// [`PerRequest`], that of the account which each request brings along in its extensions.
///
/// It is a part of the layer's type, and never changes in silence: a request that brings no account
/// to a [`PerRequest`] layer is refused, and so is one that brings another account to the layer of
/// one.
pub trait Identity: sealed::Resolve {}

/// Each request is signed by the account in its extensions; one without is refused, and not sent.
/// See [`Identity`].
#[derive(Clone, Copy, Debug)]
pub struct PerRequest;

impl Identity for Account {}
impl Identity for PerRequest {}

pub(super) mod sealed {
    use super::super::error::AuthError;
    use crate::account::Account;

    pub trait Resolve: Clone {
        /// What a request keeps, to know its account by.
        type OfRequest;

        /// Settles who signs a request that brought this account, or none.
        fn of_request(&self, brought: Option<Account>) -> Result<Self::OfRequest, AuthError>;

        /// The account that signs.
        fn account<'a>(&'a self, of_request: &'a Self::OfRequest) -> &'a Account;
    }
}

impl sealed::Resolve for Account {
    type OfRequest = ();

    #[inline]
    fn of_request(&self, brought: Option<Account>) -> Result<(), AuthError> {
        match brought {
            Some(brought) if !self.is_same(&brought) => Err(Cause::OtherAccount.into()),
            _ => Ok(()),
        }
    }

    #[inline]
    fn account<'a>(&'a self, (): &'a ()) -> &'a Account {
        self
    }
}

impl sealed::Resolve for PerRequest {
    type OfRequest = Account;

    #[inline]
    fn of_request(&self, brought: Option<Account>) -> Result<Account, AuthError> {
        brought.ok_or_else(|| Cause::NoAccount.into())
    }

    #[inline]
    fn account<'a>(&'a self, of_request: &'a Account) -> &'a Account {
        of_request
    }
}
