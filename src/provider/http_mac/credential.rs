use std::fmt;

use bytes::Bytes;
use http::HeaderValue;
use zeroize::Zeroizing;

use super::Attributes;
use super::attributes::quotable;
use super::request_string::write_request_string;
use crate::provider::{RequestParts, Signed};
use crate::sign::{MacKey, SignError, Text};
use crate::{AccessToken, Timestamp};

/// What signs: a key, and the access token that is its id.
///
/// Made once per token, shared by all requests. Zeroized when dropped; `Debug` shows nothing.
pub struct Credential {
    key: MacKey,
    issued_at: Option<Timestamp>,
    /// `MAC id="…", `.
    header_prefix: Zeroizing<Vec<u8>>,
}

impl Credential {
    /// A credential for `access_token`, which must be the one `key` was issued with.
    ///
    /// # Errors
    ///
    /// Names `access_token` when it is empty, or has a character that the drafts do not allow in an
    /// attribute.
    pub fn new(access_token: &AccessToken, key: MacKey) -> Result<Self, SignError> {
        let id = access_token.expose_secret();
        if id.is_empty() {
            return Err(SignError::empty("access_token"));
        }
        let parts = [b"MAC id=\"", quotable("access_token", id)?, b"\", "];
        // Sized before, so that growing it leaves no copy behind.
        let len = parts.iter().map(|part| part.len()).sum();
        let mut header_prefix = Zeroizing::new(Vec::with_capacity(len));
        for part in parts {
            header_prefix.extend_from_slice(part);
        }
        Ok(Self {
            key,
            issued_at: None,
            header_prefix,
        })
    }

    /// With the moment when the key was issued, by the server's clock: revision 00 counts the age in a
    /// nonce from there.
    #[must_use]
    pub fn with_issued_at(mut self, issued_at: impl Into<Option<Timestamp>>) -> Self {
        self.issued_at = issued_at.into();
        self
    }

    /// The key that signs.
    #[inline]
    pub const fn key(&self) -> &MacKey {
        &self.key
    }

    /// When the key was issued, if that is known.
    #[inline]
    pub const fn issued_at(&self) -> Option<Timestamp> {
        self.issued_at
    }

    /// Signs `request`. The nonce in `attributes` must not have been used before.
    ///
    /// # Errors
    ///
    /// Names the part of the request that cannot be signed, and why.
    #[inline]
    pub fn sign(
        &self,
        request: &RequestParts<'_>,
        attributes: &Attributes<'_>,
    ) -> Result<Signed, SignError> {
        let mut text = Text::new();
        write_request_string(attributes, request, &mut text)?;
        let mac = self.key.base64(text.as_slice());
        let authorization = self.authorization(attributes, mac.as_bytes())?;
        Ok(Signed::of(authorization, None))
    }

    /// `MAC id="…", ts="…", nonce="…", bodyhash="…", ext="…", mac="…"`, in one allocation of its exact
    /// size, so that it becomes a `HeaderValue` without another.
    #[inline]
    fn authorization(
        &self,
        attributes: &Attributes<'_>,
        mac: &[u8],
    ) -> Result<HeaderValue, SignError> {
        let (ts, nonce) = (attributes.ts(), attributes.nonce());
        let (bodyhash, ext) = (attributes.bodyhash, attributes.ext);
        let prefix = self.header_prefix.as_slice();
        let with = |around: usize, text: &[u8]| {
            if text.is_empty() {
                0
            } else {
                around + text.len()
            }
        };
        let len = prefix.len()
            + with(b"ts=\"\", ".len(), ts)
            + b"nonce=\"\"".len()
            + nonce.len()
            + with(b", bodyhash=\"\"".len(), bodyhash)
            + with(b", ext=\"\"".len(), ext)
            + b", mac=\"\"".len()
            + mac.len();
        let mut value = Vec::with_capacity(len);
        value.extend_from_slice(prefix);
        if !ts.is_empty() {
            value.extend_from_slice(b"ts=\"");
            value.extend_from_slice(ts);
            value.extend_from_slice(b"\", ");
        }
        value.extend_from_slice(b"nonce=\"");
        value.extend_from_slice(nonce);
        if !bodyhash.is_empty() {
            value.extend_from_slice(b"\", bodyhash=\"");
            value.extend_from_slice(bodyhash);
        }
        if !ext.is_empty() {
            value.extend_from_slice(b"\", ext=\"");
            value.extend_from_slice(ext);
        }
        value.extend_from_slice(b"\", mac=\"");
        value.extend_from_slice(mac);
        value.push(b'"');
        HeaderValue::from_maybe_shared(Bytes::from(value))
            .map_err(|_| SignError::malformed("authorization", "is not a header value"))
    }
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

    fn credential(id: &str) -> Result<Credential, SignError> {
        let key = MacKey::new(Algorithm::HmacSha1, &MacKeyText::new("489dks293j39"))?;
        Credential::new(&AccessToken::new(id), key)
    }

    fn header(attributes: &Attributes<'_>) -> String {
        let request = RequestParts::new("GET", "example.com", "/");
        let signed = credential("h480djs93hd8")
            .unwrap()
            .sign(&request, attributes);
        let signed = signed.unwrap();
        let value = signed.authorization().unwrap();
        assert!(value.is_sensitive());
        assert_eq!(signed.headers().len(), 1);
        assert!(signed.path_and_query().is_none());
        value.to_str().unwrap().to_owned()
    }

    /// The header before the MAC.
    fn beginning(attributes: &Attributes<'_>) -> String {
        let header = header(attributes);
        let (before, mac) = header.split_once("mac=\"").unwrap();
        assert_eq!(mac.len(), 29);
        before.to_owned()
    }

    #[test]
    fn the_header_has_what_there_is() {
        let v00 = Attributes::v00("273156:di3hvdf8").unwrap();
        let v01 = Attributes::v01("1336363200", "dj83hs9s").unwrap();
        for (attributes, expected) in [
            (
                v00.clone(),
                "MAC id=\"h480djs93hd8\", nonce=\"273156:di3hvdf8\", ",
            ),
            (
                v00.clone().with_bodyhash("k9k=").unwrap(),
                "MAC id=\"h480djs93hd8\", nonce=\"273156:di3hvdf8\", bodyhash=\"k9k=\", ",
            ),
            (
                v00.clone()
                    .with_bodyhash("k9k=")
                    .unwrap()
                    .with_ext("a,b c")
                    .unwrap(),
                "MAC id=\"h480djs93hd8\", nonce=\"273156:di3hvdf8\", bodyhash=\"k9k=\", \
                 ext=\"a,b c\", ",
            ),
            (
                v01.clone(),
                "MAC id=\"h480djs93hd8\", ts=\"1336363200\", nonce=\"dj83hs9s\", ",
            ),
            (
                v01.clone().with_ext("a").unwrap(),
                "MAC id=\"h480djs93hd8\", ts=\"1336363200\", nonce=\"dj83hs9s\", ext=\"a\", ",
            ),
        ] {
            assert_eq!(beginning(&attributes), expected);
        }
    }

    #[test]
    fn to_sign_takes_one_allocation_of_the_exact_size() {
        let (credential, long) = (credential("id").unwrap(), "x".repeat(300));
        let request = RequestParts::new("GET", "example.com", "/");
        let v00 = Attributes::v00("1:n").unwrap();
        let full = v00
            .clone()
            .with_bodyhash("k9k=")
            .unwrap()
            .with_ext(&long)
            .unwrap();
        for attributes in [v00, full, Attributes::v01("1", "n").unwrap()] {
            let counted = allocation_counter::measure(|| {
                assert!(credential.sign(&request, &attributes).is_ok());
            });
            // Were it larger than what is in it, `Bytes` would take another.
            assert_eq!(counted.count_total, 1, "{attributes:?}");
        }
    }

    #[test]
    fn a_token_that_cannot_be_quoted_is_refused_by_name() {
        assert_eq!(
            credential("").unwrap_err().to_string(),
            "access_token: is empty"
        );
        for (token, at) in [
            ("can\"ary", 3),
            ("canary\\", 6),
            ("canary\r\n", 6),
            ("é", 0),
        ] {
            assert_eq!(
                credential(token).unwrap_err().to_string(),
                format!("access_token: has a character that cannot be quoted at byte {at}")
            );
        }
    }

    #[test]
    fn debug_shows_nothing() {
        let credential = credential("canary").unwrap();
        assert_eq!(format!("{credential:?}"), "Credential([redacted])");
    }
}
