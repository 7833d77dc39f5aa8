use std::error::Error;

use crate::sign::MacKey;
use crate::{AccessToken, Timestamp};

/// What a server knows of an access token: whose it is, and what its requests are signed with.
///
/// While a token is rotated the server may still take the key of before: [`or`](Self::or).
#[derive(Clone, Debug)]
#[must_use]
pub struct TokenKeys<C> {
    pub(crate) caller: C,
    pub(crate) key: MacKey,
    pub(crate) former: Option<MacKey>,
    pub(crate) issued_at: Option<Timestamp>,
}

impl<C> TokenKeys<C> {
    /// A token of this caller, with the key that was issued with it.
    pub const fn new(caller: C, key: MacKey) -> Self {
        Self {
            caller,
            key,
            former: None,
            issued_at: None,
        }
    }

    /// Takes this key, too.
    pub fn or(mut self, former: MacKey) -> Self {
        self.former = Some(former);
        self
    }

    /// When the key was issued: revision 00 of the draft counts from there.
    pub const fn issued_at(mut self, issued_at: Timestamp) -> Self {
        self.issued_at = Some(issued_at);
        self
    }
}

/// Finds what a server knows of an access token: a closure, or a type of your own.
///
/// ```
/// use std::convert::Infallible;
/// use tower_mac_auth::AccessToken;
/// use tower_mac_auth::verify::{KeyLookup, TokenKeys};
///
/// fn takes<L: KeyLookup>(_: L) {}
///
/// takes(|token: AccessToken| async move {
///     // A database is asked.
///     let _ = token;
///     Ok::<Option<TokenKeys<String>>, Infallible>(None)
/// });
/// ```
pub trait KeyLookup: Send + Sync + 'static {
    /// Who calls, as the handlers get to know it.
    type Caller: Clone + Send + Sync + 'static;

    /// What went wrong.
    type Error: Into<Box<dyn Error + Send + Sync>>;

    /// What is known of the token; `None` if it is not known, or has ended.
    ///
    /// # Errors
    ///
    /// If that cannot be found out now: the request is answered with 503.
    fn look_up(
        &self,
        token: AccessToken,
    ) -> impl Future<Output = Result<Option<TokenKeys<Self::Caller>>, Self::Error>> + Send;
}

impl<F, Fut, C, E> KeyLookup for F
where
    F: Fn(AccessToken) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<Option<TokenKeys<C>>, E>> + Send,
    C: Clone + Send + Sync + 'static,
    E: Into<Box<dyn Error + Send + Sync>> + 'static,
{
    type Caller = C;
    type Error = E;

    fn look_up(
        &self,
        token: AccessToken,
    ) -> impl Future<Output = Result<Option<TokenKeys<C>>, E>> + Send {
        self(token)
    }
}
