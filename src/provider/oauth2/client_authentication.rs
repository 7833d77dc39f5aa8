use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use http::HeaderValue;
use percent_encoding::utf8_percent_encode;
use zeroize::Zeroizing;

use crate::ClientSecret;
use crate::provider::STRICT;
use crate::sign::SignError;

/// How a client shows the token endpoint who it is (RFC 6749 §2.3.1).
///
/// Never found out by trial: each trial presents what works only once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ClientAuthentication {
    /// `Authorization: Basic` of the client's id and secret, both percent-encoded first, which a
    /// server that decodes forms reads as it should. The id is not in the body. Without a secret
    /// the password is empty.
    Basic,
    /// `client_id` and `client_secret` in the body.
    Body,
    /// `client_id` in the body and no secret: a public client (RFC 6749 §3.2.1), or one that
    /// authenticates in a way of its own.
    None,
}

/// The value of `Authorization`.
pub(super) fn basic(
    client_id: &str,
    client_secret: Option<&ClientSecret>,
) -> Result<HeaderValue, SignError> {
    let secret = client_secret.map_or("", ClientSecret::expose_secret);
    // Enough for the worst case, here and below: growing would leave an unwiped copy behind.
    let longest = 3 * (client_id.len() + secret.len()) + 1;
    let mut pair = Zeroizing::new(String::with_capacity(longest));
    pair.extend(utf8_percent_encode(client_id, STRICT));
    pair.push(':');
    pair.extend(utf8_percent_encode(secret, STRICT));
    let mut text = Zeroizing::new(String::with_capacity(2 * pair.len() + 16));
    text.push_str("Basic ");
    BASE64_STANDARD.encode_string(pair.as_bytes(), &mut text);
    let mut value = HeaderValue::from_maybe_shared(Bytes::from_owner(text))
        .map_err(|_| SignError::malformed("client_id", "does not fit into a header"))?;
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(id: &str, secret: Option<&str>) -> String {
        let value = basic(id, secret.map(ClientSecret::new).as_ref()).unwrap();
        assert!(value.is_sensitive());
        let text = value.to_str().unwrap().strip_prefix("Basic ").unwrap();
        String::from_utf8(BASE64_STANDARD.decode(text).unwrap()).unwrap()
    }

    /// RFC 6749 §2.3.1.
    #[test]
    fn the_published_header_comes_out() {
        let secret = ClientSecret::new("7Fjfp0ZBr1KtDRbnfVdmIw");
        assert_eq!(
            basic("s6BhdRkqt3", Some(&secret)).unwrap(),
            "Basic czZCaGRSa3F0Mzo3RmpmcDBaQnIxS3REUmJuZlZkbUl3"
        );
    }

    #[test]
    fn the_pair_can_be_told_apart_whatever_is_in_it() {
        assert_eq!(pair("a:b", Some("%+ :é~")), "a%3Ab:%25%2B%20%3A%C3%A9~");
        assert_eq!(pair("id", None), "id:");
        // What form decoding makes of it, as a server does.
        let sent = pair("a b", Some("+&="));
        let (id, secret) = sent.split_once(':').unwrap();
        let decoded = |text: &str| {
            let pairs = format!("x={text}");
            let (_, value) = form_urlencoded::parse(pairs.as_bytes()).next().unwrap();
            value.into_owned()
        };
        assert_eq!((decoded(id), decoded(secret)), ("a b".into(), "+&=".into()));
    }
}
