//! Form encoding (`application/x-www-form-urlencoded`), as the canonical string wants it.

use super::class::BARE;
use super::spill::Spill;

/// The canonical string while it is built: one buffer, so that the MAC takes one update. Real
/// ones have 150 to 500 bytes.
pub(crate) type Text = Spill<u8, 1024>;

/// The places of the bytes that are not [bare](BARE), in order.
pub(crate) struct OddBytes<'a> {
    text: &'a [u8],
    /// Where the sixteen bytes begin that are looked at.
    chunk: usize,
    /// One bit for each odd one of them, those passed cleared.
    bits: u64,
}

impl<'a> OddBytes<'a> {
    #[inline]
    pub(crate) fn new(text: &'a [u8]) -> Self {
        Self {
            text,
            chunk: 0,
            bits: odd_bits(text, 0),
        }
    }

    /// The place of the next one; the length of the text if there is none.
    #[inline]
    pub(crate) fn next(&mut self) -> usize {
        while self.bits == 0 {
            self.chunk += 16;
            if self.chunk >= self.text.len() {
                self.chunk = self.text.len();
                return self.text.len();
            }
            self.bits = odd_bits(self.text, self.chunk);
        }
        let at = self.chunk + self.bits.trailing_zeros() as usize;
        self.bits &= self.bits - 1;
        at
    }

    /// Passes everything before `at`.
    #[inline]
    pub(crate) fn skip_to(&mut self, at: usize) {
        if at >= self.text.len() {
            (self.chunk, self.bits) = (self.text.len(), 0);
        } else if at - self.chunk >= 16 {
            (self.chunk, self.bits) = (at, odd_bits(self.text, at));
        } else {
            self.bits &= u64::MAX << (at - self.chunk);
        }
    }
}

/// One bit for each odd byte of the sixteen from `start` on, as far as there are so many.
#[inline]
fn odd_bits(text: &[u8], start: usize) -> u64 {
    match text.get(start..).and_then(<[u8]>::first_chunk) {
        Some(chunk) => odd_bits_in(chunk),
        None => last_odd_bits(text, start),
    }
}

/// The same where fewer than sixteen are left.
#[inline(never)]
fn last_odd_bits(text: &[u8], start: usize) -> u64 {
    if let Some(chunk) = text.last_chunk() {
        // Looks at the last sixteen, and not at those seen.
        odd_bits_in(chunk) >> (16 + start - text.len())
    } else {
        let mut chunk = [b'A'; 16];
        chunk[..text.len()].copy_from_slice(text);
        odd_bits_in(&chunk) >> start
    }
}

#[inline(never)]
fn odd_bits_in(chunk: &[u8; 16]) -> u64 {
    u64::from(BARE.others_in(*chunk))
}

pub(super) const UPPER_HEX: &[u8; 16] = b"0123456789ABCDEF";

const fn hex_value(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

/// The byte that `%` followed by these digits stands for.
#[inline]
pub(crate) const fn escaped(high: u8, low: u8) -> Option<u8> {
    match (hex_value(high), hex_value(low)) {
        (Some(high), Some(low)) => Some(high << 4 | low),
        _ => None,
    }
}

/// Encoded text, decoded: `+` is a space, and a `%` that begins no escape is itself.
#[derive(Clone)]
pub(crate) struct Decoded<'a>(pub(crate) &'a [u8]);

impl Iterator for Decoded<'_> {
    type Item = u8;

    #[inline]
    fn next(&mut self) -> Option<u8> {
        let (&first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(match (first, rest) {
            (b'+', _) => b' ',
            (b'%', &[high, low, ref after @ ..]) => match escaped(high, low) {
                Some(byte) => {
                    self.0 = after;
                    byte
                }
                None => b'%',
            },
            _ => first,
        })
    }
}

/// Whether encoded text stands for `text`.
pub(crate) fn stands_for(encoded: &str, text: &str) -> bool {
    Decoded(encoded.as_bytes()).eq(text.bytes())
}

/// The pairs of a query, encoded as they are: names and values.
pub(crate) fn pairs(query: &str) -> impl Iterator<Item = (&str, &str)> {
    let pairs = query.split('&');
    pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")))
}

/// Appends `encoded`, decoded and encoded again: one spelling for each value.
pub(crate) fn recode(encoded: &[u8], out: &mut Text) {
    let mut odd = OddBytes::new(encoded);
    let mut start = 0;
    loop {
        let at = odd.next();
        out.extend(encoded.get(start..at).unwrap_or_default());
        let mut decoded = Decoded(encoded.get(at..).unwrap_or_default());
        match decoded.next() {
            None => return,
            Some(b' ') => out.push(b'+'),
            Some(byte) if BARE.has(byte) => out.push(byte),
            Some(byte) => out.extend(&[
                b'%',
                UPPER_HEX[usize::from(byte >> 4)],
                UPPER_HEX[usize::from(byte & 15)],
            ]),
        }
        start = encoded.len() - decoded.0.len();
        odd.skip_to(start);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn recoded(encoded: &[u8]) -> String {
        let mut out = Text::new();
        recode(encoded, &mut out);
        String::from_utf8(out.as_slice().to_vec()).unwrap()
    }

    #[test]
    fn each_value_has_one_spelling() {
        for (encoded, canonical) in [
            ("x%20y", "x+y"),
            ("%7e~", "%7E%7E"),
            ("%61*", "a*"),
            ("a=b/c", "a%3Db%2Fc"),
            ("%252F", "%252F"),
            ("%zz", "%25zz"),
            ("%", "%25"),
            ("%4", "%254"),
            ("小", "%E5%B0%8F"),
        ] {
            assert_eq!(recoded(encoded.as_bytes()), canonical);
        }
    }

    proptest! {
        #[test]
        fn every_odd_byte_is_found(text in "[a-zA-Z0-9._*-]{0,70}|\\PC{0,200}", skip in 0..300_usize) {
            let text = text.as_bytes();
            let mut expected: Vec<_> = (0..text.len()).filter(|at| !BARE.has(text[*at])).collect();
            let mut odd = OddBytes::new(text);
            if skip < 150 {
                odd.skip_to(skip);
                expected.retain(|at| *at >= skip);
            }
            for at in expected {
                prop_assert_eq!(odd.next(), at);
            }
            prop_assert_eq!((odd.next(), odd.next()), (text.len(), text.len()));
        }

        #[test]
        fn encoding_agrees_with_form_urlencoded(value: String) {
            let encoded: String = form_urlencoded::byte_serialize(value.as_bytes()).collect();
            prop_assert_eq!(recoded(encoded.as_bytes()), encoded.clone());
            let decoded: Vec<u8> = Decoded(encoded.as_bytes()).collect();
            prop_assert_eq!(decoded, value.into_bytes());
        }

        #[test]
        fn recoding_twice_changes_nothing(raw: Vec<u8>) {
            let once = recoded(&raw);
            prop_assert_eq!(recoded(once.as_bytes()), once);
        }
    }
}
