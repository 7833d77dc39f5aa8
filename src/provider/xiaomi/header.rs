//! The value of `Authorization`.

use arrayvec::ArrayVec;
use bytes::Bytes;
use http::HeaderValue;

use super::nonce::MAX_NONCE;
use super::{Credential, Nonce};
use crate::sign::{MAX_TAG, SignError, Tag};

/// `MAC access_token="T", nonce="N",mac="M"`, in one allocation of its exact size, so that it
/// becomes a `HeaderValue` without another.
#[inline]
pub(super) fn authorization(
    credential: &Credential,
    nonce: &Nonce,
    tag: &Tag,
) -> Result<HeaderValue, SignError> {
    let mut tail = Tail::new();
    if let Some((number, minutes)) = nonce.usual() {
        tail.put(number);
        tail.put(b"%3A");
        tail.put(minutes);
        tail.put(b"\",mac=\"");
    } else {
        tail.put_odd_nonce(nonce);
        tail.put(b"\",mac=\"");
    }
    tail.put_tag(tag);
    tail.put(b"\"");
    let (prefix, tail) = (credential.header_prefix(), tail.0.as_slice());
    let mut value = Vec::with_capacity(prefix.len() + tail.len());
    value.extend_from_slice(prefix);
    value.extend_from_slice(tail);
    HeaderValue::from_maybe_shared(Bytes::from(value))
        .map_err(|_| SignError::malformed("authorization", "is not a header value"))
}

/// What changes from request to request: the nonce and the MAC.
struct Tail(ArrayVec<u8, TAIL>);

/// The longest nonce and the longest MAC, three bytes for each of theirs, what is between and
/// after, and room for copies that are longer than what they bring.
const TAIL: usize = 3 * MAX_NONCE + 7 + 3 * CHARACTERS + 1 + CHARACTERS;
/// Three words of a MAC make sixteen characters of base64.
const WORDS: usize = MAX_TAG.div_ceil(12) * 3;
const CHARACTERS: usize = WORDS / 3 * 16;

impl Tail {
    #[inline]
    fn new() -> Self {
        Self(ArrayVec::new())
    }

    /// Appends `text`; all that is ever appended fits.
    #[inline]
    fn put(&mut self, text: &[u8]) {
        let fits = self.0.try_extend_from_slice(text);
        debug_assert!(fits.is_ok());
    }

    #[cold]
    fn put_odd_nonce(&mut self, nonce: &Nonce) {
        for part in form_urlencoded::byte_serialize(nonce.as_bytes()) {
            self.put(part.as_bytes());
        }
    }

    /// The MAC in padded standard base64, form-encoded.
    #[inline]
    fn put_tag(&mut self, tag: &Tag) {
        let tag = tag.as_bytes();
        // Word by word, as the hash has written them: a load that spans two stores has to wait
        // for both.
        let mut words = [0; WORDS];
        for (word, bytes) in words.iter_mut().zip(tag.chunks_exact(4)) {
            *word = u64::from(u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]));
        }
        let mut sextets = [0; CHARACTERS];
        for (three, sixteen) in words.chunks_exact(3).zip(sextets.chunks_exact_mut(16)) {
            let (first, last) = sixteen.split_at_mut(8);
            let (high, low) = (
                three[0] << 16 | three[1] >> 16,
                (three[1] & 0xFFFF) << 32 | three[2],
            );
            first.copy_from_slice(&spread(high).to_be_bytes());
            last.copy_from_slice(&spread(low).to_be_bytes());
        }
        // All at a time, then those between two escapes: there are fewer than one on average.
        let mut base64 = [0; 2 * CHARACTERS];
        for (character, sextet) in base64.iter_mut().zip(sextets) {
            *character = character_of(sextet);
        }
        let mut escapes = escapes_in(&sextets);
        let mut from = 0;
        while escapes != 0 {
            let at = escapes.trailing_zeros() as usize;
            escapes &= escapes - 1;
            self.put_some(&base64, from, at);
            self.put(if sextets[at] == 62 { b"%2B" } else { b"%2F" });
            from = at + 1;
        }
        self.put_some(&base64, from, (8 * tag.len()).div_ceil(6));
        for _ in 0..(3 - tag.len() % 3) % 3 {
            self.put(b"%3D");
        }
    }

    /// Appends `text[from..to]`: copies as much each time, which takes no call, and cuts.
    #[inline]
    fn put_some(&mut self, text: &[u8; 2 * CHARACTERS], from: usize, to: usize) {
        let len = self.0.len() + to - from;
        self.put(&text[from..from + CHARACTERS]);
        self.0.truncate(len);
    }
}

/// One bit for each sextet that base64 writes as `+` or `/`.
#[inline]
fn escapes_in(sextets: &[u8; CHARACTERS]) -> u64 {
    let escapes = sextets.map(|sextet| u8::from(sextet >= 62));
    let mut bits = 0;
    for (group, eight) in escapes.chunks_exact(8).enumerate() {
        let mut bytes = [0; 8];
        bytes.copy_from_slice(eight);
        // Gathers the lowest bit of each byte in the highest byte.
        let eight = u64::from_le_bytes(bytes).wrapping_mul(0x0102_0408_1020_4080) >> 56;
        bits |= eight << (8 * group);
    }
    bits
}

/// Spreads 48 bits over eight bytes, six in each.
#[inline]
const fn spread(bits: u64) -> u64 {
    let bits = (bits & 0xFF_FFFF) | (bits & 0xFFFF_FF00_0000) << 8;
    let bits = (bits & 0x0FFF_0000_0FFF) | (bits & 0x00FF_F000_00FF_F000) << 4;
    (bits & 0x003F_003F_003F_003F) | (bits & 0x0FC0_0FC0_0FC0_0FC0) << 2
}

/// The character of a sextet; the last two, `+` and `/`, are escaped anyway.
#[inline]
const fn character_of(sextet: u8) -> u8 {
    let small = if sextet >= 26 { b'a' - b'Z' - 1 } else { 0 };
    let digit = if sextet >= 52 { b'z' + 1 - b'0' } else { 0 };
    (b'A' + sextet + small).wrapping_sub(digit)
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
            let mut tail = Tail::new();
            tail.put_tag(&Tag::HmacSha1(bytes.into()));
            prop_assert_eq!(tail.0.as_slice(), expected.as_bytes());
        }
    }

    #[test]
    fn a_nonce_and_a_mac_of_nothing_but_escapes_fit() {
        let mut tail = Tail::new();
        tail.put_odd_nonce(&Nonce::verbatim(&"/".repeat(64)).unwrap());
        tail.put(b"\",mac=\"");
        tail.put_tag(&Tag::HmacSha1([0xFF; 20].into()));
        tail.put(b"\"");
        let expected = format!("{}\",mac=\"{}8%3D\"", "%2F".repeat(64), "%2F".repeat(26));
        assert_eq!(tail.0.as_slice(), expected.as_bytes());
    }
}
