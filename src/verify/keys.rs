use std::error::Error;

use crate::sign::MacKey;
use crate::{AccessToken, Timestamp};

/// What a server knows of an access token: whose it is, and what its requests are signed with.
///
/// While a token's key is changed the server may still take the one of before: [`or`](Self::or).
///
/// No other token may have one of these keys. A MAC is not over the token in the header, so with that a
/// captured request could be made once more, under the other token. (At Xiaomi the token is in the query
/// as well, which is signed, and must be the same there.)
#[derive(Clone, Debug)]
#[must_use]
pub struct TokenKeys<C> {
    pub(crate) caller: C,
    pub(crate) key: IssuedKey,
    pub(crate) former: Option<IssuedKey>,
}

#[derive(Clone, Debug)]
pub(crate) struct IssuedKey {
    pub(crate) key: MacKey,
    pub(crate) issued_at: Option<Timestamp>,
}

impl IssuedKey {
    const fn new(key: MacKey) -> Self {
        let issued_at = None;
        Self { key, issued_at }
    }
}

impl<C> TokenKeys<C> {
    /// A token of this caller, with the key that was issued with it.
    pub const fn new(caller: C, key: MacKey) -> Self {
        Self {
            caller,
            key: IssuedKey::new(key),
            former: None,
        }
    }

    /// Takes this key, too.
    pub fn or(mut self, former: MacKey) -> Self {
        self.former = Some(IssuedKey::new(former));
        self
    }

    /// When the key was issued that was named last: the client counts from there, by revision 00 of the
    /// draft.
    pub fn issued_at(mut self, issued_at: Timestamp) -> Self {
        let last = self.former.as_mut().unwrap_or(&mut self.key);
        last.issued_at = Some(issued_at);
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
