//! Classes of bytes, sixteen bytes at a time.
//!
//! By the operations of `wide`: whether the compiler does a loop over bytes in one register changes from
//! build to build of the same lines, and with it what a check takes (3,214 and 3,658 instructions, counted
//! by `scripts/instructions`).

use wide::u8x16;

/// The bytes within some ranges, both of whose ends belong to them.
pub(crate) struct Class<const RANGES: usize>([(u8, u8); RANGES]);

/// What form encoding leaves as it is: `A-Z a-z 0-9 - _ . *`.
pub(crate) const BARE: Class<6> = Class::of([
    (b'a', b'z'),
    (b'A', b'Z'),
    (b'0', b'9'),
    (b'-', b'.'),
    (b'_', b'_'),
    (b'*', b'*'),
]);

impl<const RANGES: usize> Class<RANGES> {
    pub(crate) const fn of(ranges: [(u8, u8); RANGES]) -> Self {
        Self(ranges)
    }

    #[inline]
    pub(crate) fn has(&self, byte: u8) -> bool {
        self.0
            .iter()
            .any(|(first, last)| (*first..=*last).contains(&byte))
    }

    /// Whether all of `text` belongs to it. Into each of its callers, where the ranges are known.
    #[expect(clippy::inline_always, reason = "measured: 49 instructions less")]
    #[inline(always)]
    pub(crate) fn has_all(&self, text: &[u8]) -> bool {
        let mut chunk = if let Some(chunk) = text.first_chunk() {
            *chunk
        } else if let (Some(first), Some(last)) = (text.first_chunk::<8>(), text.last_chunk::<8>())
        {
            let both = u128::from(u64::from_ne_bytes(*first)) << 64
                | u128::from(u64::from_ne_bytes(*last));
            both.to_ne_bytes()
        } else {
            return text.iter().all(|byte| self.has(*byte));
        };
        let mut end = 16;
        // From one place alone, so that it is no call.
        while self.others_in(chunk) == 0 {
            if end >= text.len() {
                return true;
            }
            end = text.len().min(end + 16);
            match text.get(..end).and_then(<[u8]>::last_chunk) {
                Some(next) => chunk = *next,
                None => return true,
            }
        }
        false
    }

    /// Where the first byte is that does not belong to it.
    pub(crate) fn first_other(&self, text: &[u8]) -> Option<usize> {
        text.iter().position(|byte| !self.has(*byte))
    }

    /// One bit for each of the sixteen that does not belong to it.
    #[expect(clippy::inline_always, reason = "as for `has_all`")]
    #[inline(always)]
    pub(crate) fn others_in(&self, chunk: [u8; 16]) -> u32 {
        let bytes = u8x16::new(chunk);
        // How far each byte is beyond the nearest range: zero within one.
        let mut beyond = u8x16::splat(0xFF);
        for (first, last) in self.0 {
            let over = (bytes - u8x16::splat(first)).saturating_sub(u8x16::splat(last - first));
            beyond = beyond.min(over);
        }
        !beyond.simd_eq(u8x16::splat(0)).to_bitmask() & 0xFFFF
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_bare_bytes_are_those_of_form_encoding() {
        for byte in 0..=255_u8 {
            let bare = byte.is_ascii_alphanumeric() || b"-_.*".contains(&byte);
            assert_eq!(BARE.has(byte), bare, "{byte}");
            let mut chunk = [b'a'; 16];
            chunk[usize::from(byte % 16)] = byte;
            let others = u32::from(!bare) << (byte % 16);
            assert_eq!(BARE.others_in(chunk), others, "{byte}");
        }
    }

    proptest! {
        #[test]
        fn all_means_every_one(text: Vec<u8>, bare in "[a-z]{0,40}") {
            prop_assert!(BARE.has_all(bare.as_bytes()));
            prop_assert_eq!(BARE.has_all(&text), BARE.first_other(&text).is_none());
        }
    }
}
