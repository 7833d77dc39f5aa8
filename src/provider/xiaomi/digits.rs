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

/// A digit from `1` to `8` for each three of the last 24 of `bits`.
#[inline]
pub(super) const fn eight_octal(bits: u64) -> [u8; 8] {
    // Halves of twelve bits, quarters of six, digits of three.
    let bits = (bits & 0xFFF) | (bits & 0xFF_F000) << 20;
    let bits = (bits & 0x0000_003F_0000_003F) | (bits & 0x0000_0FC0_0000_0FC0) << 10;
    let bits = (bits & 0x0007_0007_0007_0007) | (bits & 0x0038_0038_0038_0038) << 5;
    (bits + 0x3131_3131_3131_3131).to_le_bytes()
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
        fn each_three_bits_have_their_digit(bits: u64) {
            let expected = [0, 3, 6, 9, 12, 15, 18, 21].map(|at| b'1' + (bits >> at & 7) as u8);
            prop_assert_eq!(eight_octal(bits), expected);
        }
    }
}
