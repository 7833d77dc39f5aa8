use super::Draft;
use crate::Timestamp;
use crate::provider::Fresh;
use crate::sign::SignError;
use crate::sign::digits::{Decimal, eight_letters};

const NUMBER: usize = Decimal::MOST;
/// The letters of a nonce, from `a` to `p`: 64 random bits.
const LETTERS: usize = 16;

/// What is new in each request, in text: `ts` and `nonce`, or a nonce alone that has the age in it.
pub(super) struct Stamp {
    /// A number that ends at `NUMBER`, a colon, and random letters.
    text: [u8; NUMBER + 1 + LETTERS],
    number_at: usize,
    draft: Draft,
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
        let number = match draft {
            // "A positive integer", says the draft, so the first second counts as the next.
            Draft::V00 => {
                let issued_at = issued_at.ok_or_else(|| SignError::missing("issued_at"))?;
                fresh.time().saturating_since(issued_at).as_secs().max(1)
            }
            Draft::V01 => fresh.time().as_secs(),
        };
        if number >= 10_u64.pow(10) {
            return Err(SignError::too_long("ts", "has more than ten digits"));
        }
        let (mut text, number) = ([b':'; NUMBER + 1 + LETTERS], Decimal::of(number));
        let (digits, number_at) = number.padded();
        text[..NUMBER].copy_from_slice(digits);
        let random = fresh.random();
        text[NUMBER + 1..][..8].copy_from_slice(&eight_letters(random));
        text[NUMBER + 9..].copy_from_slice(&eight_letters(random >> 32));
        Ok(Self {
            text,
            number_at,
            draft,
        })
    }

    #[inline]
    pub(super) fn ts(&self) -> Option<&[u8]> {
        match self.draft {
            Draft::V00 => None,
            Draft::V01 => Some(&self.text[self.number_at..NUMBER]),
        }
    }

    #[inline]
    pub(super) fn nonce(&self) -> &[u8] {
        match self.draft {
            Draft::V00 => &self.text[self.number_at..],
            Draft::V01 => &self.text[NUMBER + 1..],
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    const ISSUED: Timestamp = Timestamp::from_secs(1_336_363_200);

    fn nonce_of(stamp: &Stamp) -> String {
        String::from_utf8(stamp.nonce().to_vec()).unwrap()
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
            assert_eq!(stamp.ts(), None);
            let (number, random) = nonce_of(&stamp)
                .split_once(':')
                .map(|(a, b)| (a.to_owned(), b.to_owned()))
                .unwrap();
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
        assert_eq!(stamp.ts(), Some(&b"1336363200"[..]));
        assert_eq!(stamp.nonce().len(), LETTERS);
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
