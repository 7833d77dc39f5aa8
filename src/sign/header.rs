//! The value of `Authorization`.

use bytes::Bytes;
use http::HeaderValue;

use super::key::{MAX_TAG, Tag};
use super::{Credential, Nonce, SignError};

/// `MAC access_token="T", nonce="N",mac="M"`, in one allocation of its exact size, so that it
/// becomes a `HeaderValue` without another.
#[inline]
pub(super) fn authorization(
    credential: &Credential,
    nonce: &Nonce,
    tag: &Tag,
) -> Result<HeaderValue, SignError> {
    const BETWEEN: &[u8] = b"\",mac=\"";
    const COLON: &[u8] = b"%3A";
    let mac = EncodedTag::new(tag);
    let mac = mac.as_bytes();
    let prefix = credential.header_prefix();
    let fixed = prefix.len() + BETWEEN.len() + mac.len() + 1;
    let mut value;
    if let Some((number, minutes)) = nonce.halves() {
        let nonce_len = number.len() + COLON.len() + minutes.len();
        value = Vec::with_capacity(fixed + nonce_len);
        value.extend_from_slice(prefix);
        value.extend_from_slice(number);
        value.extend_from_slice(COLON);
        value.extend_from_slice(minutes);
    } else {
        let encoded = || form_urlencoded::byte_serialize(nonce.as_bytes());
        value = Vec::with_capacity(fixed + encoded().map(str::len).sum::<usize>());
        value.extend_from_slice(prefix);
        encoded().for_each(|part| value.extend_from_slice(part.as_bytes()));
    }
    value.extend_from_slice(BETWEEN);
    value.extend_from_slice(mac);
    value.push(b'"');
    let mut value = HeaderValue::from_maybe_shared(Bytes::from(value))
        .map_err(|_| SignError::malformed("authorization", "is not a header value"))?;
    value.set_sensitive(true);
    Ok(value)
}

/// A MAC in padded standard base64, form-encoded: at most three bytes for each character.
struct EncodedTag {
    bytes: [u8; ENCODED_TAG],
    len: usize,
}

/// Four characters for three bytes, three bytes for each.
const ENCODED_TAG: usize = MAX_TAG.div_ceil(3) * 4 * 3;

impl EncodedTag {
    /// Base64 and form encoding in one go.
    #[inline]
    fn new(tag: &Tag) -> Self {
        let mut text = Self {
            bytes: [0; ENCODED_TAG],
            len: 0,
        };
        let mut groups = tag.as_bytes().chunks_exact(3);
        for group in &mut groups {
            let bits = u32::from(group[0]) << 16 | u32::from(group[1]) << 8 | u32::from(group[2]);
            for shift in [18, 12, 6, 0] {
                text.put_sextet(bits >> shift);
            }
        }
        match *groups.remainder() {
            [first] => {
                text.put_sextet(u32::from(first) >> 2);
                text.put_sextet(u32::from(first) << 4);
                text.put(*b"%3D", 3);
                text.put(*b"%3D", 3);
            }
            [first, second] => {
                let bits = u32::from(first) << 8 | u32::from(second);
                text.put_sextet(bits >> 10);
                text.put_sextet(bits >> 4);
                text.put_sextet(bits << 2);
                text.put(*b"%3D", 3);
            }
            _ => {}
        }
        text
    }

    /// The lowest six bits as one character, escaped if need be. Always writes three bytes: what
    /// a bare character leaves behind it the next one overwrites.
    #[inline]
    fn put_sextet(&mut self, bits: u32) {
        const ESCAPED: [[u8; 3]; 64] = {
            let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
            let mut escaped = [[0; 3]; 64];
            let mut i = 0;
            while i < alphabet.len() {
                escaped[i][0] = alphabet[i];
                i += 1;
            }
            escaped[62] = *b"%2B";
            escaped[63] = *b"%2F";
            escaped
        };
        let sextet = (bits & 63) as usize;
        self.put(ESCAPED[sextet], if sextet < 62 { 1 } else { 3 });
    }

    #[inline]
    fn put(&mut self, text: [u8; 3], len: usize) {
        if let Some(slot) = self.bytes.get_mut(self.len..self.len + 3) {
            slot.copy_from_slice(&text);
            self.len += len;
        }
    }

    #[inline]
    fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::prelude::BASE64_STANDARD;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_mac_is_standard_base64_form_encoded(bytes: [u8; 20]) {
            let base64 = BASE64_STANDARD.encode(bytes);
            let expected: String = form_urlencoded::byte_serialize(base64.as_bytes()).collect();
            let encoded = EncodedTag::new(&Tag::HmacSha1(bytes));
            prop_assert_eq!(encoded.as_bytes(), expected.as_bytes());
        }
    }

    #[test]
    fn a_mac_of_nothing_but_escapes_fits() {
        let encoded = EncodedTag::new(&Tag::HmacSha1([0xFF; 20]));
        assert_eq!(
            encoded.as_bytes(),
            ["%2F".repeat(26).as_bytes(), b"8%3D"].concat()
        );
    }
}
