//! The value of `Authorization`.

use bytes::Bytes;
use http::HeaderValue;

use super::encode::run;
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

/// A MAC in padded standard base64, form-encoded.
struct EncodedTag {
    bytes: [u8; ENCODED_TAG],
    len: usize,
}

/// Six bytes make eight characters: how many such groups hold the longest MAC.
const GROUPS: usize = MAX_TAG.div_ceil(6);
/// Three bytes for each character.
const ENCODED_TAG: usize = 3 * 8 * GROUPS;

impl EncodedTag {
    #[inline]
    fn new(tag: &Tag) -> Self {
        let tag = tag.as_bytes();
        let mut padded = [0; 6 * GROUPS + 2];
        padded[..tag.len()].copy_from_slice(tag);
        let mut base64 = [0; 8 * GROUPS];
        for (group, eight) in base64.chunks_exact_mut(8).enumerate() {
            let mut six = [0; 8];
            six.copy_from_slice(&padded[6 * group..6 * group + 8]);
            eight.copy_from_slice(&sextets(u64::from_be_bytes(six) >> 16).to_be_bytes());
        }
        let base64 = base64.map(character);
        let base64 = &base64[..(8 * tag.len()).div_ceil(6)];

        let mut text = Self {
            bytes: [0; ENCODED_TAG],
            len: 0,
        };
        let mut start = 0;
        loop {
            let end = run(base64, start, |byte| !matches!(byte, b'+' | b'/'));
            text.put(&base64[start..end]);
            match base64.get(end) {
                None => break,
                Some(b'+') => text.put(b"%2B"),
                Some(_) => text.put(b"%2F"),
            }
            start = end + 1;
        }
        for _ in 0..(3 - tag.len() % 3) % 3 {
            text.put(b"%3D");
        }
        text
    }

    #[inline]
    fn put(&mut self, text: &[u8]) {
        self.bytes[self.len..self.len + text.len()].copy_from_slice(text);
        self.len += text.len();
    }

    #[inline]
    fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

/// Spreads 48 bits over eight bytes, six in each.
#[inline]
const fn sextets(bits: u64) -> u64 {
    let bits = (bits & 0xFF_FFFF) | (bits & 0xFFFF_FF00_0000) << 8;
    let bits = (bits & 0x0FFF_0000_0FFF) | (bits & 0x00FF_F000_00FF_F000) << 4;
    (bits & 0x003F_003F_003F_003F) | (bits & 0x0FC0_0FC0_0FC0_0FC0) << 2
}

/// The character of a sextet, by how far each range of the alphabet is from the one before.
#[inline]
const fn character(sextet: u8) -> u8 {
    let small = if sextet >= 26 { b'a' - b'Z' - 1 } else { 0 };
    let digit = if sextet >= 52 { b'z' + 1 - b'0' } else { 0 };
    let plus = if sextet >= 62 { b'9' + 1 - b'+' } else { 0 };
    let slash = if sextet >= 63 { b'/' - b'+' - 1 } else { 0 };
    (b'A' + sextet + small + slash)
        .wrapping_sub(digit)
        .wrapping_sub(plus)
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
