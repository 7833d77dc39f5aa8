//! The value of `Authorization`.

use arrayvec::ArrayVec;
use http::HeaderValue;

use super::nonce::MAX_NONCE;
use super::{Credential, Nonce};
use crate::sign::base64::{MAX_BASE64, letter_of, sextets};
use crate::sign::class::Class;
use crate::sign::{MacKey, SignError};

/// `MAC access_token="T", nonce="N",mac="M"`, in one allocation of its exact size, so that it
/// becomes a `HeaderValue` without another. `M` is the MAC of `message`.
#[inline]
pub(super) fn authorization(
    credential: &Credential,
    nonce: &Nonce,
    message: &[u8],
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
    match credential.key().sha1_tag(message) {
        Some(tag) => tail.put_tag(&tag),
        None => tail.put_odd_mac(credential.key(), message),
    }
    let (prefix, tail) = (credential.header_prefix(), tail.0.as_slice());
    let mut value = Vec::with_capacity(prefix.len() + tail.len());
    value.extend_from_slice(prefix);
    value.extend_from_slice(tail);
    HeaderValue::try_from(value)
        .map_err(|_| SignError::malformed("authorization", "is not a header value"))
}

/// What changes from request to request: the nonce and the MAC.
struct Tail(ArrayVec<u8, TAIL>);

/// The longest nonce and the longest MAC, three bytes for each of theirs, what is between and
/// after, and room for copies that are longer than what they bring.
const TAIL: usize = 3 * MAX_NONCE + 7 + 3 * MAX_BASE64 + 1 + CHARACTERS;
/// Two thirds of a character for each byte of a MAC of SHA-1, rounded up.
const CHARACTERS: usize = 32;

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

    /// The MAC that `key` gives of `message`, which is not one of SHA-1, and the last quote: the vendor
    /// issues no such keys.
    #[cold]
    #[inline(never)]
    fn put_odd_mac(&mut self, key: &MacKey, message: &[u8]) {
        for part in form_urlencoded::byte_serialize(key.base64(message).as_bytes()) {
            self.put(part.as_bytes());
        }
        self.put(b"\"");
    }

    /// A MAC of SHA-1 in padded standard base64, form-encoded, and the last quote.
    #[inline]
    fn put_tag(&mut self, tag: &[u8; 20]) {
        let sextets = sextets::<6, CHARACTERS>(tag);
        // All at a time, then those between two escapes: there are fewer than one on average.
        let mut base64 = [0; 2 * CHARACTERS];
        for (character, sextet) in base64.iter_mut().zip(sextets) {
            *character = letter_of(sextet);
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
        // Two bytes are over, which one character pads.
        self.put(b"%3D\"");
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
    const LETTERS: Class<1> = Class::of([(0, 61)]);
    let (sixteens, _) = sextets.as_chunks();
    sixteens.iter().rev().fold(0, |bits, sixteen| {
        bits << 16 | u64::from(LETTERS.others_in(*sixteen))
    })
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::prelude::BASE64_STANDARD;
    use proptest::prelude::*;

    use super::*;
    use crate::sign::Algorithm;
    use crate::{AccessToken, MacKeyText};

    proptest! {
        #[test]
        fn the_mac_is_standard_base64_form_encoded(bytes: [u8; 20]) {
            let base64 = BASE64_STANDARD.encode(bytes);
            let mut expected: String = form_urlencoded::byte_serialize(base64.as_bytes()).collect();
            expected.push('"');
            let mut tail = Tail::new();
            tail.put_tag(&bytes);
            prop_assert_eq!(tail.0.as_slice(), expected.as_bytes());
        }
    }

    #[test]
    fn a_nonce_and_a_mac_of_nothing_but_escapes_fit() {
        let mut tail = Tail::new();
        tail.put_odd_nonce(&Nonce::verbatim(&"/".repeat(64)).unwrap());
        tail.put(b"\",mac=\"");
        tail.put_tag(&[0xFF; 20]);
        let expected = format!("{}\",mac=\"{}8%3D\"", "%2F".repeat(64), "%2F".repeat(26));
        assert_eq!(tail.0.as_slice(), expected.as_bytes());
        const { assert!(3 * (MAX_NONCE + MAX_BASE64) + 8 <= TAIL) };
    }

    #[test]
    fn a_mac_of_another_algorithm_is_form_encoded_too() {
        for algorithm in [Algorithm::HmacSha256, Algorithm::HmacSha512] {
            let key = MacKey::new(algorithm, &MacKeyText::new("k")).unwrap();
            let mac = key.mac(b"message");
            let mac: String = form_urlencoded::byte_serialize(mac.as_bytes()).collect();
            let credential = Credential::new(&AccessToken::new("t"), key);
            let nonce = "1:2".parse().unwrap();
            assert_eq!(
                authorization(&credential, &nonce, b"message").unwrap(),
                format!("MAC access_token=\"t\", nonce=\"1%3A2\",mac=\"{mac}\"")
            );
        }
    }
}
