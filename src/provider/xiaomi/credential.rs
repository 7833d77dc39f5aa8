use std::fmt;

use zeroize::Zeroizing;

use super::query::Pair;
use crate::AccessToken;
use crate::sign::MacKey;

/// What signs: an access token and the key bound to it, and everything about them that is the
/// same in each request.
///
/// Made once per token, shared by all requests. Zeroized when dropped; `Debug` shows nothing.
pub struct Credential {
    key: MacKey,
    access_token: AccessToken,
    client_id: Option<String>,
    /// `MAC access_token="…", nonce="`.
    header_prefix: Zeroizing<Vec<u8>>,
    /// `token=…`, or `clientId=…&token=…`: form-encoded, in canonical order.
    query: Zeroizing<Vec<u8>>,
    /// Where `token=` begins in `query`.
    token_at: usize,
}

/// The name of the query parameter that carries the client's id.
const CLIENT_ID: &str = "clientId";
/// The name of the query parameter that carries the access token.
pub(super) const TOKEN: &str = "token";

impl Credential {
    /// A credential for `access_token`, which must be the one `key` was issued with.
    pub fn new(access_token: &AccessToken, key: MacKey) -> Self {
        let token = access_token.expose_secret();
        Self {
            key,
            access_token: access_token.clone(),
            client_id: None,
            header_prefix: join(&["MAC access_token=\""], token, "\", nonce=\""),
            query: join(&[TOKEN, "="], token, ""),
            token_at: 0,
        }
    }

    /// Sets the client's id, which Xiaomi's API wants in each query beside the token.
    ///
    /// Without one, or with an empty one, a signer leaves a `clientId` in the query alone.
    #[must_use]
    pub fn with_client_id(mut self, client_id: &str) -> Self {
        if client_id.is_empty() {
            return self;
        }
        let token = self.query.get(self.token_at..).unwrap_or_default();
        let mut query = join(&[CLIENT_ID, "="], client_id, "&");
        let mut whole = Zeroizing::new(Vec::with_capacity(query.len() + token.len()));
        whole.append(&mut query);
        self.token_at = whole.len();
        whole.extend_from_slice(token);
        self.query = whole;
        self.client_id = Some(client_id.to_owned());
        self
    }

    /// The key that signs.
    #[inline]
    pub const fn key(&self) -> &MacKey {
        &self.key
    }

    /// The access token.
    #[inline]
    pub const fn access_token(&self) -> &AccessToken {
        &self.access_token
    }

    /// The client's id, if one was set.
    pub fn client_id(&self) -> Option<&str> {
        self.client_id.as_deref()
    }

    #[inline]
    pub(super) fn header_prefix(&self) -> &[u8] {
        &self.header_prefix
    }

    /// Both pairs, as they go into a query.
    #[inline]
    pub(super) fn query(&self) -> &[u8] {
        &self.query
    }

    /// The client's id as a pair, if there is one.
    pub(super) fn client_id_pair(&self) -> Option<Pair<'_>> {
        let text = self.query.get(..self.token_at)?.strip_suffix(b"&")?;
        Some(Pair::prepared(text, CLIENT_ID.len()))
    }

    /// The access token as a pair, in text.
    #[inline]
    pub(super) fn token(&self) -> &[u8] {
        self.query.get(self.token_at..).unwrap_or_default()
    }

    /// The access token, as it is in the query.
    #[inline]
    pub(super) fn token_value(&self) -> &[u8] {
        self.query
            .get(self.token_at + TOKEN.len() + 1..)
            .unwrap_or_default()
    }

    /// The access token as a pair.
    pub(super) fn token_pair(&self) -> Pair<'_> {
        Pair::prepared(self.token(), TOKEN.len())
    }
}

/// The texts in one buffer, `value` form-encoded; sized before, so that growing it leaves no copy
/// behind.
fn join(before: &[&str], value: &str, after: &str) -> Zeroizing<Vec<u8>> {
    let encoded = || form_urlencoded::byte_serialize(value.as_bytes());
    let parts = || {
        before
            .iter()
            .copied()
            .chain(encoded())
            .chain(std::iter::once(after))
    };
    let mut text = Vec::with_capacity(parts().map(str::len).sum());
    for part in parts() {
        text.extend_from_slice(part.as_bytes());
    }
    Zeroizing::new(text)
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credential([redacted])")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MacKeyText;
    use crate::sign::Algorithm;

    fn credential(token: &str) -> Credential {
        let key = MacKey::new(Algorithm::HmacSha1, &MacKeyText::new("k")).unwrap();
        Credential::new(&AccessToken::new(token), key)
    }

    #[test]
    fn its_texts_are_encoded_once_for_all() {
        let credential = credential("t~o*k").with_client_id("a b");
        assert_eq!(
            credential.header_prefix(),
            b"MAC access_token=\"t%7Eo*k\", nonce=\""
        );
        assert_eq!(credential.query(), b"clientId=a+b&token=t%7Eo*k");
        let client_id = credential.client_id_pair().unwrap();
        assert_eq!(client_id.text(), b"clientId=a+b");
        assert_eq!(credential.token_pair().text(), b"token=t%7Eo*k");
    }

    #[test]
    fn the_last_client_id_holds() {
        let credential = credential("T").with_client_id("1").with_client_id("22");
        assert_eq!(credential.query(), b"clientId=22&token=T");
    }

    #[test]
    fn debug_shows_nothing() {
        let credential = credential("canary").with_client_id("canary");
        assert_eq!(format!("{credential:?}"), "Credential([redacted])");
    }

    #[test]
    fn it_is_shared_between_threads() {
        fn shared<T: Send + Sync>() {}
        shared::<Credential>();
    }
}
