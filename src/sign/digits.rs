//! Decimal digits of a fixed width, two at a time and without a branch.

/// `00` to `99`.
const PAIRS: [[u8; 2]; 100] = {
    let mut pairs = [[0; 2]; 100];
    let mut n = 0;
    while n < 100 {
        #[expect(clippy::cast_possible_truncation, reason = "below 100")]
        let (tens, ones) = (b'0' + (n / 10) as u8, b'0' + (n % 10) as u8);
        pairs[n] = [tens, ones];
        n += 1;
    }
    pairs
};

/// The last two digits of `n`.
#[inline]
const fn pair(n: u32) -> [u8; 2] {
    PAIRS[(n % 100) as usize]
}

/// The last eight digits of `n`.
#[inline]
pub(super) fn eight_digits(n: u32) -> [u8; 8] {
    let (high, low) = (n / 10_000, n % 10_000);
    let mut digits = [0; 8];
    digits[..2].copy_from_slice(&pair(high / 100));
    digits[2..4].copy_from_slice(&pair(high));
    digits[4..6].copy_from_slice(&pair(low / 100));
    digits[6..].copy_from_slice(&pair(low));
    digits
}

/// The last nineteen digits of `n`.
#[inline]
pub(super) fn nineteen_digits(n: u64) -> [u8; 19] {
    const TEN_TO_THE_8TH: u64 = 100_000_000;
    #[expect(clippy::cast_possible_truncation, reason = "below 10^8")]
    let [top, middle, low] = [
        n / TEN_TO_THE_8TH / TEN_TO_THE_8TH,
        n / TEN_TO_THE_8TH % TEN_TO_THE_8TH,
        n % TEN_TO_THE_8TH,
    ]
    .map(|part| part as u32);
    let mut digits = [0; 19];
    digits[0] = pair(top / 100)[1];
    digits[1..3].copy_from_slice(&pair(top));
    digits[3..11].copy_from_slice(&eight_digits(middle));
    digits[11..].copy_from_slice(&eight_digits(low));
    digits
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_digits_are_those_the_standard_library_writes(
            n in 0..10_000_000_000_000_000_000_u64,
            m in 0..100_000_000_u32,
        ) {
            prop_assert_eq!(nineteen_digits(n).to_vec(), format!("{n:019}").into_bytes());
            prop_assert_eq!(eight_digits(m).to_vec(), format!("{m:08}").into_bytes());
        }
    }
}
