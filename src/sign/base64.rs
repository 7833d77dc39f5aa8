//! Padded standard base64 (RFC 4648 §4) of a MAC, without a branch and many characters at a time.

use wide::u32x4;

use super::class::Class;

/// The longest MAC in base64.
pub(crate) const MAX_BASE64: usize = 88;

/// A MAC in base64, and zeroes.
pub(crate) struct Base64 {
    text: [u8; MAX_BASE64],
    len: usize,
}

impl Base64 {
    /// `WORDS` and `CHARACTERS` are as in [`sextets`].
    #[inline]
    pub(crate) fn of<const WORDS: usize, const CHARACTERS: usize, const LEN: usize>(
        mac: &[u8; LEN],
    ) -> Self {
        let mut characters = [0; CHARACTERS];
        for (character, sextet) in characters.iter_mut().zip(sextets::<WORDS, CHARACTERS>(mac)) {
            *character = character_of(sextet);
        }
        let (end, len) = ((8 * LEN).div_ceil(6), LEN.div_ceil(3) * 4);
        let mut text = [0; MAX_BASE64];
        text[..end].copy_from_slice(&characters[..end]);
        // What is left of the last three bytes is padded.
        text[end..len].fill(b'=');
        Self { text, len }
    }

    #[inline]
    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.text.get(..self.len).unwrap_or_default()
    }

    #[inline]
    pub(crate) const fn padded(&self) -> &[u8; MAX_BASE64] {
        &self.text
    }
}

pub(crate) const ALPHANUMERIC: Class<3> = Class::of([(b'a', b'z'), (b'A', b'Z'), (b'0', b'9')]);
const CHARACTERS: Class<4> = Class::of([(b'a', b'z'), (b'A', b'Z'), (b'/', b'9'), (b'+', b'+')]);

/// Whether it is padded standard base64. Bits that the last character has too many are not looked at.
#[inline]
pub(crate) fn is_base64(text: &[u8]) -> bool {
    let characters = text.strip_suffix(b"==").or_else(|| text.strip_suffix(b"="));
    text.len().is_multiple_of(4) && CHARACTERS.has_all(characters.unwrap_or(text))
}

/// The sextets of a MAC, and some zeroes. `WORDS` is the number of its words of four bytes, rounded up to
/// a multiple of three, which make sixteen `CHARACTERS`.
#[inline]
pub(crate) fn sextets<const WORDS: usize, const CHARACTERS: usize>(tag: &[u8]) -> [u8; CHARACTERS] {
    // Word by word, as the hash has written them: a load that spans two stores has to wait for both.
    let mut words = [0_u32; WORDS];
    for (word, bytes) in words.iter_mut().zip(tag.chunks_exact(4)) {
        *word = u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
    }
    let mut sextets = [0; CHARACTERS];
    for (three, sixteen) in words.chunks_exact(3).zip(sextets.chunks_exact_mut(16)) {
        // Of each three bytes, four sextets; what is above them is masked away.
        let fours = u32x4::new([
            three[0] >> 8,
            three[0] << 16 | three[1] >> 16,
            three[1] << 8 | three[2] >> 24,
            three[2],
        ]);
        let fours = (fours >> 18_i32 & u32x4::splat(0x3F))
            | (fours >> 4_i32 & u32x4::splat(0x3F00))
            | (fours << 10_i32 & u32x4::splat(0x003F_0000))
            | (fours << 24_i32 & u32x4::splat(0x3F00_0000));
        for (four, bytes) in fours.to_array().iter().zip(sixteen.chunks_exact_mut(4)) {
            bytes.copy_from_slice(&four.to_le_bytes());
        }
    }
    sextets
}

/// The character of a sextet below 62; of the last two, some other.
#[inline]
pub(crate) const fn letter_of(sextet: u8) -> u8 {
    let small = if sextet >= 26 { b'a' - b'Z' - 1 } else { 0 };
    let digit = if sextet >= 52 { b'z' + 1 - b'0' } else { 0 };
    (b'A' + sextet + small).wrapping_sub(digit)
}

/// The character of a sextet.
#[inline]
const fn character_of(sextet: u8) -> u8 {
    // The two that `letter_of` gives in place of these follow the digits.
    let sign = if sextet >= 62 { b'9' + 1 - b'+' } else { 0 };
    let last = if sextet >= 63 { b'/' - b'+' - 1 } else { 0 };
    letter_of(sextet) - sign + last
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::prelude::BASE64_STANDARD;
    use proptest::prelude::*;

    use super::*;

    fn written<const WORDS: usize, const CHARACTERS: usize, const LEN: usize>(
        bytes: [u8; 64],
    ) -> (String, String) {
        let mac = bytes.first_chunk::<LEN>().unwrap();
        let text = Base64::of::<WORDS, CHARACTERS, LEN>(mac)
            .as_bytes()
            .to_vec();
        (
            String::from_utf8(text).unwrap(),
            BASE64_STANDARD.encode(mac),
        )
    }

    proptest! {
        #[test]
        fn it_is_standard_base64(bytes: [u8; 64]) {
            for (text, expected) in [
                written::<6, 32, 20>(bytes),
                written::<9, 48, 32>(bytes),
                written::<18, 96, 64>(bytes),
            ] {
                prop_assert_eq!(text, expected);
            }
        }
    }

    #[test]
    fn the_longest_has_no_more_characters() {
        let (text, expected) = written::<18, 96, 64>([0xFF; 64]);
        assert_eq!(text.len(), MAX_BASE64);
        assert_eq!(text, expected);
    }

    #[test]
    fn each_sextet_has_its_character() {
        let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        for (sextet, character) in (0..64).zip(alphabet) {
            assert_eq!(character_of(sextet), *character, "{sextet}");
        }
    }
}
