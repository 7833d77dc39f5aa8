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
        let run = rest.iter().position(|byte| !is_bare(*byte));
        let (run, tail) = rest.split_at(run.unwrap_or(rest.len()));
        out.extend(run);
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
