//! Decimal digits of a fixed width, without a branch and each in one register.

/// The last eight digits of `n`, which has no more.
#[inline]
pub(super) const fn eight_digits(n: u32) -> [u8; 8] {
    // Halves in 32 bits, quarters in 16, digits in 8; the most significant first in memory. To
    // multiply by 10486 / 2^20 is to divide by 100 below 10,000, by 103 / 2^10 by 10 below 100.
    let n = n as u64;
    let halves = (n / 10_000) | ((n % 10_000) << 32);
    let hundreds = ((halves * 10_486) >> 20) & 0x0000_007F_0000_007F;
    let quarters = hundreds | ((halves - 100 * hundreds) << 16);
    let tens = ((quarters * 103) >> 10) & 0x000F_000F_000F_000F;
    let digits = tens | ((quarters - 10 * tens) << 8);
    (digits | 0x3030_3030_3030_3030).to_le_bytes()
}

/// The last three digits of `n`, which has no more.
#[inline]
const fn three_digits(n: u32) -> [u8; 3] {
    let (tens, hundreds) = (n / 10, n / 100);
    let digits = hundreds | ((tens - 10 * hundreds) << 8) | ((n - 10 * tens) << 16);
    let [a, b, c, _] = (digits | 0x0030_3030).to_le_bytes();
    [a, b, c]
}

/// Writes the last nineteen digits of `n`.
#[inline]
pub(super) fn put_nineteen_digits(n: u64, out: &mut [u8; 19]) {
    const TEN_TO_THE_8TH: u64 = 100_000_000;
    let (high, low) = (n / TEN_TO_THE_8TH, n % TEN_TO_THE_8TH);
    #[expect(clippy::cast_possible_truncation, reason = "each is below 10^8")]
    let [high, middle, low] =
        [high / TEN_TO_THE_8TH % 1000, high % TEN_TO_THE_8TH, low].map(|part| part as u32);
    out[..3].copy_from_slice(&three_digits(high));
    out[3..11].copy_from_slice(&eight_digits(middle));
    out[11..].copy_from_slice(&eight_digits(low));
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_four_digits_are_right() {
        for n in 0..10_000 {
            assert_eq!(eight_digits(n).to_vec(), format!("{n:08}").into_bytes());
            let high = eight_digits(n * 10_000);
            assert_eq!(high.to_vec(), format!("{n:04}0000").into_bytes());
        }
    }

    proptest! {
        #[test]
        fn the_digits_are_those_the_standard_library_writes(
            n in 0..10_000_000_000_000_000_000_u64,
        ) {
            let mut digits = [0; 19];
            put_nineteen_digits(n, &mut digits);
            prop_assert_eq!(digits.to_vec(), format!("{n:019}").into_bytes());
        }
    }
}
