//! Form encoding (`application/x-www-form-urlencoded`), as the canonical string wants it.

use super::spill::Spill;

/// The canonical string while it is built: one buffer, so that the MAC takes one update. Real
/// ones have 150 to 500 bytes.
pub(super) type Text = Spill<u8, 1024>;

/// Bytes that form encoding leaves as they are: `A-Z a-z 0-9 - _ . *`.
#[inline]
pub(super) const fn is_bare(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'*')
}

/// Where, from `start` on, the first byte of `text` is that is not `good`; the end if none.
///
/// Looks at sixteen at a time, without a branch between them, so that the compiler puts them in
/// one register.
#[inline]
pub(super) fn run(text: &[u8], start: usize, good: impl Fn(u8) -> bool) -> usize {
    let mut at = start;
    while let Some(chunk) = text.get(at..).and_then(<[u8]>::first_chunk) {
        let bad = bad_bytes(chunk, &good);
        if bad != 0 {
            return at + bad.trailing_zeros() as usize / 8;
        }
        at += 16;
    }
    if at >= text.len() {
        return text.len();
    }
    // Fewer than sixteen are left: look at the last sixteen, but not again at those seen.
    if let Some(chunk) = text.last_chunk() {
        let bad = bad_bytes(chunk, &good) >> (8 * (16 + at - text.len()));
        return text.len().min(at + bad.trailing_zeros() as usize / 8);
    }
    while text.get(at).is_some_and(|byte| good(*byte)) {
        at += 1;
    }
    at
}

/// Whether all of `text` is `good`.
#[inline]
pub(super) fn all(text: &[u8], good: impl Fn(u8) -> bool) -> bool {
    let mut rest = text;
    while let Some((chunk, after)) = rest.split_first_chunk() {
        if bad_bytes(chunk, &good) != 0 {
            return false;
        }
        rest = after;
    }
    if let Some(chunk) = text.last_chunk() {
        rest.is_empty() || bad_bytes(chunk, &good) == 0
    } else if let (Some(first), Some(last)) = (text.first_chunk::<8>(), text.last_chunk::<8>()) {
        let both =
            u128::from(u64::from_ne_bytes(*first)) << 64 | u128::from(u64::from_ne_bytes(*last));
        bad_bytes(&both.to_ne_bytes(), &good) == 0
    } else {
        text.iter().all(|byte| good(*byte))
    }
}

/// A byte that is not zero for each that is not good, in the order of memory.
#[inline]
fn bad_bytes(chunk: &[u8; 16], good: impl Fn(u8) -> bool) -> u128 {
    u128::from_le_bytes(chunk.map(|byte| u8::from(!good(byte))))
}

/// [`run`] of [bare](is_bare) bytes, most of which are shorter than eight.
#[inline]
#[expect(clippy::needless_bitwise_bool, reason = "without a branch, see `run`")]
pub(super) fn bare_run(text: &[u8], start: usize) -> usize {
    const BARE: [bool; 256] = {
        let mut bare = [false; 256];
        let mut byte = 0_u8;
        while byte < 128 {
            bare[byte as usize] = is_bare(byte);
            byte += 1;
        }
        bare
    };
    let rest = text.get(start..).unwrap_or_default();
    let few = rest.get(..8).unwrap_or(rest);
    match few.iter().position(|byte| !BARE[usize::from(*byte)]) {
        Some(count) => start + count,
        None => run(text, start + few.len(), |byte| {
            ((byte | 0x20).wrapping_sub(b'a') < 26)
                | (byte.wrapping_sub(b'0') < 10)
                | (byte.wrapping_sub(b'-') < 2)
                | (byte == b'_')
                | (byte == b'*')
        }),
    }
}

const UPPER_HEX: &[u8; 16] = b"0123456789ABCDEF";

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
pub(super) const fn escaped(high: u8, low: u8) -> Option<u8> {
    match (hex_value(high), hex_value(low)) {
        (Some(high), Some(low)) => Some(high << 4 | low),
        _ => None,
    }
}

/// Encoded text, decoded: `+` is a space, and a `%` that begins no escape is itself.
#[derive(Clone)]
pub(super) struct Decoded<'a>(pub(super) &'a [u8]);

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

/// Appends `encoded`, decoded and encoded again: one spelling for each value.
pub(super) fn recode(encoded: &[u8], out: &mut Text) {
    let mut decoded = Decoded(encoded);
    loop {
        let rest = decoded.0;
        let (bare, tail) = rest.split_at(bare_run(rest, 0));
        out.extend(bare);
        decoded.0 = tail;
        match decoded.next() {
            None => return,
            Some(b' ') => out.push(b'+'),
            Some(byte) if is_bare(byte) => out.push(byte),
            Some(byte) => out.extend(&[
                b'%',
                UPPER_HEX[usize::from(byte >> 4)],
                UPPER_HEX[usize::from(byte & 15)],
            ]),
        }
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
        fn a_run_ends_at_the_first_byte_that_is_not_bare(text: Vec<u8>, bare in "[a-zA-Z0-9._*-]{0,40}", start in 0..40_usize) {
            let text = [bare.as_bytes(), &text].concat();
            let start = start.min(text.len());
            let run = text[start..].iter().position(|byte| !is_bare(*byte));
            prop_assert_eq!(bare_run(&text, start), run.map_or(text.len(), |run| start + run));
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
