use std::borrow::Cow;

use super::{Attributes, Draft};
use crate::Timestamp;
use crate::provider::Fresh;
use crate::sign::SignError;
use crate::sign::digits::{Decimal, eight_letters};

const NUMBER: usize = Decimal::MOST;
/// The letters of a nonce, from `a` to `p`: 64 random bits.
const LETTERS: usize = 16;

/// What is new in each request, in text: `ts` and `nonce`, or a nonce alone that has the age in it.
pub(super) struct Stamp {
    /// A number that ends at `NUMBER`, a colon or a line feed, and random letters.
    text: [u8; NUMBER + 1 + LETTERS],
    number_at: usize,
    /// 0 in revision 00.
    ts_len: usize,
}

impl Stamp {
    /// Of a request that is signed with a key that was issued at `issued_at`, which is of no account in
    /// revision 01.
    ///
    /// # Errors
    ///
    /// Names `issued_at` when the age has to be known, and is not; `ts` when it is past the year 2286.
    #[inline]
    pub(super) fn fresh(
        draft: Draft,
        fresh: Fresh,
        issued_at: Option<Timestamp>,
    ) -> Result<Self, SignError> {
        let (number, after) = match draft {
            // "A positive integer", says the draft, so the first second counts as the next.
            Draft::V00 => {
                let issued_at = issued_at.ok_or_else(|| SignError::missing("issued_at"))?;
                let age = fresh.time().saturating_since(issued_at).as_secs();
                (age.max(1), b':')
            }
            Draft::V01 => (fresh.time().as_secs(), b'\n'),
        };
        if number >= 10_u64.pow(10) {
            return Err(SignError::too_long("ts", "has more than ten digits"));
        }
        let (mut text, number) = ([after; NUMBER + 1 + LETTERS], Decimal::of(number));
        let (digits, number_at) = number.padded();
        text[..NUMBER].copy_from_slice(digits);
        let random = fresh.random();
        text[NUMBER + 1..][..8].copy_from_slice(&eight_letters(random));
        text[NUMBER + 9..].copy_from_slice(&eight_letters(random >> 32));
        let ts_len = match draft {
            Draft::V00 => 0,
            Draft::V01 => NUMBER - number_at,
        };
        Ok(Self {
            text,
            number_at,
            ts_len,
        })
    }

    /// With `ext`, which can be quoted.
    #[inline]
    pub(super) fn attributes<'a>(&'a self, ext: &'a str) -> Attributes<'a> {
        Attributes {
            stamp: Cow::Borrowed(&self.text[self.number_at..]),
            ts_len: self.ts_len,
            bodyhash: b"",
            ext: ext.as_bytes(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    const ISSUED: Timestamp = Timestamp::from_secs(1_336_363_200);

    fn nonce_of(stamp: &Stamp) -> String {
        String::from_utf8(stamp.attributes("").nonce().to_vec()).unwrap()
    }

    #[test]
    fn revision_00_has_the_age_in_the_nonce() {
        for (millis, age) in [
            (0, "1"),
            (999, "1"),
            (1_999, "1"),
            (2_000, "2"),
            (264_095_999, "264095"),
            (7 * 365 * 86_400_000, "220752000"),
        ] {
            let now = Timestamp::from_millis(ISSUED.as_millis() + millis);
            let fresh = Fresh::at(now).with_random(0x0123_4567_89ab_cdef);
            let stamp = Stamp::fresh(Draft::V00, fresh, Some(ISSUED)).unwrap();
            let attributes = stamp.attributes("x");
            assert_eq!(attributes.draft(), Draft::V00);
            assert_eq!((attributes.ts(), attributes.ext), (&b""[..], &b"x"[..]));
            let nonce = nonce_of(&stamp);
            let (number, random) = nonce.split_once(':').unwrap();
            assert_eq!(number, age);
            assert_eq!(random.len(), LETTERS);
            assert!(random.bytes().all(|letter| matches!(letter, b'a'..=b'p')));
        }
        let before = Fresh::at(Timestamp::EPOCH);
        let stamp = Stamp::fresh(Draft::V00, before, Some(ISSUED)).unwrap();
        assert!(nonce_of(&stamp).starts_with("1:"));
        let unknown = Stamp::fresh(Draft::V00, Fresh::at(ISSUED), None);
        let error = unknown.map(|_| ()).unwrap_err();
        assert_eq!(error.to_string(), "issued_at: is missing");
        for draft in [Draft::V00, Draft::V01] {
            let late = Fresh::at(Timestamp::MAX);
            let refused = Stamp::fresh(draft, late, Some(ISSUED)).map(|_| ());
            let error = refused.unwrap_err();
            assert_eq!(error.to_string(), "ts: has more than ten digits");
        }
    }

    #[test]
    fn revision_01_has_the_time_beside_the_nonce() {
        let stamp = Stamp::fresh(Draft::V01, Fresh::at(ISSUED), None).unwrap();
        let attributes = stamp.attributes("");
        assert_eq!(attributes.draft(), Draft::V01);
        assert_eq!(attributes.ts(), b"1336363200");
        assert_eq!(attributes.nonce().len(), LETTERS);
        assert_eq!(attributes.stamp.len(), 10 + 1 + LETTERS);
    }

    #[test]
    fn every_random_bit_is_in_the_nonce() {
        let nonce = |random| {
            let fresh = Fresh::at(ISSUED).with_random(random);
            nonce_of(&Stamp::fresh(Draft::V01, fresh, None).unwrap())
        };
        let nonces: HashSet<_> = (0..64)
            .map(|bit| nonce(1 << bit))
            .chain([nonce(0)])
            .collect();
        assert_eq!(nonces.len(), 65);
        let many = || nonce_of(&Stamp::fresh(Draft::V01, Fresh::at(ISSUED), None).unwrap());
        assert_eq!(
            (0..1000).map(|_| many()).collect::<HashSet<_>>().len(),
            1000
        );
    }
}
