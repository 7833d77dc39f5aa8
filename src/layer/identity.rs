//! Whose credential signs a request.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use super::error::{AuthError, Cause};
use crate::account::Account;
use crate::provider::{GrantType, Provider, Xiaomi};

/// Whose credential signs what goes through a layer: that of one [`Account`], or, with
/// [`PerRequest`], that of the account which each request brings along in its extensions.
///
/// It is a part of the layer's type, and never changes in silence: a request that brings no account
/// to a [`PerRequest`] layer, or one of another client, is refused, and so is one that brings another
/// account to the layer of one.
pub trait Identity: sealed::Resolve {}

/// Each request is signed by the account in its extensions; one without is refused, and not sent, and so
/// is one whose account is of another client or another token endpoint: two providers may be of one type.
/// See [`Identity`].
pub struct PerRequest<P = Xiaomi> {
    client: Arc<Client>,
    of: PhantomData<fn() -> P>,
}

/// What tells the accounts of one provider from those of another of its type.
struct Client {
    id: Box<str>,
    token_url: Box<str>,
}

impl<P: Provider> PerRequest<P> {
    pub(super) fn new(provider: &P) -> Self {
        let client = Client {
            id: provider.client_id().into(),
            token_url: provider.token_url(GrantType::RefreshToken).into(),
        };
        Self {
            client: Arc::new(client),
            of: PhantomData,
        }
    }

    fn is_of(&self, account: &Account<P>) -> bool {
        let provider = account.provider();
        *self.client.id == *provider.client_id()
            && *self.client.token_url == *provider.token_url(GrantType::RefreshToken)
    }
}

impl<P> Clone for PerRequest<P> {
    fn clone(&self) -> Self {
        Self {
            client: Arc::clone(&self.client),
            of: PhantomData,
        }
    }
}

impl<P> fmt::Debug for PerRequest<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PerRequest")
    }
}

impl<P: Provider> Identity for Account<P> {}
impl<P: Provider> Identity for PerRequest<P> {}

pub(super) mod sealed {
    use super::super::error::AuthError;
    use crate::account::Account;
    use crate::provider::Provider;

    pub trait Resolve: Clone {
        /// What the accounts have in common.
        type Provider: Provider;

        /// What a request keeps, to know its account by.
        type OfRequest;

        /// Settles who signs a request that brought this account, or none.
        fn of_request(
            &self,
            brought: Option<Account<Self::Provider>>,
        ) -> Result<Self::OfRequest, AuthError>;

        /// The account that signs.
        fn account<'a>(&'a self, of_request: &'a Self::OfRequest) -> &'a Account<Self::Provider>;
    }
}

impl<P: Provider> sealed::Resolve for Account<P> {
    type Provider = P;
    type OfRequest = ();

    #[inline]
    fn of_request(&self, brought: Option<Self>) -> Result<(), AuthError> {
        match brought {
            Some(brought) if !self.is_same(&brought) => Err(Cause::OtherAccount.into()),
            _ => Ok(()),
        }
    }

    #[inline]
    fn account<'a>(&'a self, (): &'a ()) -> &'a Self {
        self
    }
}

impl<P: Provider> sealed::Resolve for PerRequest<P> {
    type Provider = P;
    type OfRequest = Account<P>;

    #[inline]
    fn of_request(&self, brought: Option<Account<P>>) -> Result<Account<P>, AuthError> {
        let brought = brought.ok_or(Cause::NoAccount)?;
        if !self.is_of(&brought) {
            return Err(Cause::OtherClient.into());
        }
        Ok(brought)
    }

    #[inline]
    fn account<'a>(&'a self, of_request: &'a Account<P>) -> &'a Account<P> {
        of_request
    }
}
