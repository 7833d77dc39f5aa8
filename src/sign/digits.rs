//! Decimal digits, without a branch and eight in one register.

/// The last eight digits of `n`, which has no more.
#[inline]
pub(crate) const fn eight_digits(n: u32) -> [u8; 8] {
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
pub(crate) const fn eight_octal(bits: u64) -> [u8; 8] {
    // Halves of twelve bits, quarters of six, digits of three.
    let bits = (bits & 0xFFF) | (bits & 0xFF_F000) << 20;
    let bits = (bits & 0x0000_003F_0000_003F) | (bits & 0x0000_0FC0_0000_0FC0) << 10;
    let bits = (bits & 0x0007_0007_0007_0007) | (bits & 0x0038_0038_0038_0038) << 5;
    (bits + 0x3131_3131_3131_3131).to_le_bytes()
}

/// A letter from `a` to `p` for each four of the last 32 of `bits`.
#[inline]
pub(crate) const fn eight_letters(bits: u64) -> [u8; 8] {
    // Halves of sixteen bits, quarters of eight, letters of four.
    let bits = (bits & 0xFFFF) | (bits & 0xFFFF_0000) << 16;
    let bits = (bits & 0x0000_00FF_0000_00FF) | (bits & 0x0000_FF00_0000_FF00) << 8;
    let bits = (bits & 0x000F_000F_000F_000F) | (bits & 0x00F0_00F0_00F0_00F0) << 4;
    (bits + 0x6161_6161_6161_6161).to_le_bytes()
}

/// A number in decimal, without leading zeroes.
pub(crate) struct Decimal {
    /// From the right.
    digits: [u8; Self::MOST],
    start: usize,
}

impl Decimal {
    /// The most digits that a number has.
    pub(crate) const MOST: usize = 10;

    /// The last ten digits of `n`, which has no more.
    #[inline]
    pub(crate) fn of(n: u64) -> Self {
        let mut digits = [b'0'; Self::MOST];
        let (high, low) = (n / 100 % 100_000_000, n % 100);
        let first = eight_digits(high as u32);
        digits[..8].copy_from_slice(&first);
        let last = eight_digits(low as u32);
        digits[8..].copy_from_slice(&last[6..]);
        let bits = u64::from_be_bytes(first) ^ u64::from_be_bytes([b'0'; 8]);
        // The last digit stays, whatever it is.
        let start = match bits {
            0 => 8 + usize::from(low < 10),
            _ => bits.leading_zeros() as usize / 8,
        };
        Self { digits, start }
    }

    #[inline]
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.digits[self.start..]
    }

    /// All ten digits, and where those that count begin.
    #[inline]
    pub(crate) const fn padded(&self) -> (&[u8; Self::MOST], usize) {
        (&self.digits, self.start)
    }
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

    #[test]
    fn every_length_of_a_number_is_written_without_leading_zeroes() {
        let tens = std::iter::successors(Some(1), |ten| Some(ten * 10)).take(Decimal::MOST);
        for n in tens.flat_map(|ten| [ten - 1, ten, 9 * ten, 10 * ten - 1]) {
            assert_eq!(Decimal::of(n).as_bytes(), n.to_string().as_bytes());
        }
    }

    proptest! {
        #[test]
        fn each_three_bits_have_their_digit(bits: u64) {
            let expected = [0, 3, 6, 9, 12, 15, 18, 21].map(|at| b'1' + (bits >> at & 7) as u8);
            prop_assert_eq!(eight_octal(bits), expected);
        }

        #[test]
        fn each_four_bits_have_their_letter(bits: u64) {
            let expected = [0, 4, 8, 12, 16, 20, 24, 28].map(|at| b'a' + (bits >> at & 15) as u8);
            prop_assert_eq!(eight_letters(bits), expected);
        }

        #[test]
        fn a_number_is_written_as_it_is_printed(n in 0..10_000_000_000_u64, shift in 0..34) {
            let n = n >> shift;
            let decimal = Decimal::of(n);
            let (printed, padded) = (n.to_string(), format!("{n:010}"));
            prop_assert_eq!(decimal.as_bytes(), printed.as_bytes());
            prop_assert_eq!(decimal.padded().0.as_slice(), padded.as_bytes());
        }
    }
}
