use std::fmt;
use std::str::FromStr;

use crate::provider::Fresh;
use crate::sign::class::Class;
use crate::sign::digits::{eight_digits, eight_octal};
use crate::sign::{SignError, Text};

/// The longest nonce taken; a strict one has at most 41 bytes.
pub(super) const MAX_NONCE: usize = 64;

/// What makes each signature differ from every other: `<signed 64-bit decimal>:<minutes>`, the
/// minutes being whole ones since the Unix epoch.
///
/// The text is held inline. A nonce is no secret, but it works once.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Nonce {
    /// UTF-8, then zeroes.
    text: [u8; MAX_NONCE],
    len: u8,
    /// The text has the strict form, with the lengths of [`Nonce::usual`].
    usual: bool,
}

impl Nonce {
    /// A fresh nonce: a positive number of 19 digits, none of them `0` or `9`, and the minute
    /// of the time.
    ///
    /// The number holds 57 bits from this thread's generator. It is unlikely to come twice in a
    /// minute, which is all that a nonce is for; it is not meant to be hard to guess. A process that
    /// forks without `exec` goes on with the numbers of its parent.
    #[inline]
    pub fn fresh(fresh: impl Into<Fresh>) -> Self {
        let fresh = fresh.into();
        // Three bits to a digit take no division, and the largest number still fits an `i64`.
        let random = fresh.random();
        let minutes = fresh.time().as_secs() / 60;
        let mut text = [0; MAX_NONCE];
        text[..8].copy_from_slice(&eight_octal(random));
        text[8..16].copy_from_slice(&eight_octal(random >> 24));
        let [a, b, c, ..] = eight_octal(random >> 48);
        text[16..20].copy_from_slice(&[a, b, c, b':']);
        match u32::try_from(minutes) {
            // From 1989 to 2160.
            Ok(minutes @ 10_000_000..=99_999_999) => {
                text[20..28].copy_from_slice(&eight_digits(minutes));
                Self {
                    text,
                    len: 28,
                    usual: true,
                }
            }
            _ => Self::with_odd_minutes(text, minutes),
        }
    }

    /// A nonce whose text lacks only the minutes.
    #[cold]
    fn with_odd_minutes(mut text: [u8; MAX_NONCE], minutes: u64) -> Self {
        let minutes = minutes.to_string();
        let end = 20 + minutes.len();
        // At most 20 digits, so both fit.
        text[20..end].copy_from_slice(minutes.as_bytes());
        Self {
            text,
            len: u8::try_from(end).unwrap_or_default(),
            usual: false,
        }
    }

    /// Any text of up to 64 bytes without control characters, taken as it is: to check a MAC
    /// somebody else has made.
    ///
    /// # Errors
    ///
    /// Names `nonce` when it is empty, too long, or holds a control character: a line break in
    /// it would move the lines of the canonical string.
    pub fn verbatim(text: &str) -> Result<Self, SignError> {
        if text.is_empty() {
            return Err(SignError::empty("nonce"));
        }
        // Of ASCII at once.
        let clean = Class::of([(b' ', b'~')]).has_all(text.as_bytes());
        if !clean && let Some(offset) = text.find(char::is_control) {
            return Err(SignError::malformed("nonce", "has a control character").at(offset));
        }
        let mut bytes = [0; MAX_NONCE];
        let (Some(start), Ok(len)) = (bytes.get_mut(..text.len()), u8::try_from(text.len())) else {
            return Err(SignError::too_long("nonce", "is longer than 64 bytes"));
        };
        start.copy_from_slice(text.as_bytes());
        Ok(Self {
            text: bytes,
            len,
            usual: is_usual(text.as_bytes()),
        })
    }

    /// One as [`Nonce::fresh`] makes it, and as it is written in a header; `None` if it is another.
    #[inline]
    pub(crate) fn usual_encoded(encoded: &[u8]) -> Option<Self> {
        let (number, rest): (&[u8; 19], _) = encoded.split_first_chunk()?;
        let (colon, minutes): (&[u8; 3], _) = rest.split_first_chunk()?;
        if colon != b"%3A" {
            return None;
        }
        Self::of_digits(number, minutes.try_into().ok()?)
    }

    #[inline]
    fn of_digits(number: &[u8; 19], minutes: [u8; 8]) -> Option<Self> {
        let mut digits = [b'0'; 32];
        digits[..19].copy_from_slice(number);
        digits[20..28].copy_from_slice(&minutes);
        if !Class::of([(b'0', b'9')]).has_all(&digits) {
            return None;
        }
        let mut text = [0; MAX_NONCE];
        text[..28].copy_from_slice(&digits[..28]);
        text[19] = b':';
        Some(Self {
            text,
            len: 28,
            usual: true,
        })
    }

    /// The text, as it is signed.
    pub fn as_str(&self) -> &str {
        // Only UTF-8 is ever put in, so the default is never seen.
        std::str::from_utf8(self.as_bytes()).unwrap_or_default()
    }

    /// The minutes after the colon; `None` if the nonce does not have the strict form.
    pub fn minutes(&self) -> Option<u64> {
        match self.usual() {
            Some((_, minutes)) => {
                let digits = minutes.iter().map(|digit| u64::from(digit - b'0'));
                Some(digits.fold(0, |number, digit| 10 * number + digit))
            }
            None => strict(self.as_str()).ok().map(|(_, minutes)| minutes),
        }
    }

    /// Appends the text, as it is signed.
    #[inline]
    pub(super) fn write(&self, out: &mut Text) {
        // A copy of a known length takes no call.
        match self.text.first_chunk::<28>() {
            Some(text) if self.usual => out.extend(text),
            _ => out.extend(self.as_bytes()),
        }
    }

    #[inline]
    pub(super) fn as_bytes(&self) -> &[u8] {
        self.text.get(..usize::from(self.len)).unwrap_or_default()
    }

    /// The number and the minutes of a strict nonce with the lengths fresh ones have: no byte of
    /// either needs an escape in the header, and copies of a known length take no call.
    #[inline]
    pub(super) fn usual(&self) -> Option<(&[u8; 19], &[u8; 8])> {
        if !self.usual {
            return None;
        }
        Some((self.text.first_chunk()?, self.text[20..].first_chunk()?))
    }
}

/// Whether it is as the text of a [`Nonce::fresh`].
fn is_usual(text: &[u8]) -> bool {
    match text.split_first_chunk() {
        Some((number, [b':', minutes @ ..])) => {
            let minutes = minutes.try_into().ok();
            minutes.is_some_and(|minutes| Nonce::of_digits(number, minutes).is_some())
        }
        _ => false,
    }
}

/// The place of the colon and the minutes of a nonce in the strict form.
fn strict(text: &str) -> Result<(usize, u64), SignError> {
    const FORM: &str = "must be <signed 64-bit number>:<minutes>";
    let (number, minutes) = text
        .split_once(':')
        .ok_or(SignError::malformed("nonce", "has no colon"))?;
    let digits = number.strip_prefix('-').unwrap_or(number);
    // `parse` would take a plus sign.
    let all_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if !all_digits(digits) || !all_digits(minutes) || number.parse::<i64>().is_err() {
        return Err(SignError::malformed("nonce", FORM));
    }
    let minutes = minutes.parse();
    minutes.map_or(Err(SignError::malformed("nonce", FORM)), |minutes| {
        Ok((number.len(), minutes))
    })
}

impl FromStr for Nonce {
    type Err = SignError;

    /// Reads the strict form alone; [`Nonce::verbatim`] takes any text.
    fn from_str(text: &str) -> Result<Self, SignError> {
        if text.is_empty() {
            return Err(SignError::empty("nonce"));
        }
        strict(text)?;
        Self::verbatim(text)
    }
}

impl fmt::Display for Nonce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Nonce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Nonce({:?})", self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Timestamp;

    #[test]
    fn a_seed_that_somebody_else_sets_does_not_bring_a_nonce_back() {
        let fresh = || {
            fastrand::seed(7);
            Nonce::fresh(Timestamp::from_secs(1_396_941_600))
        };
        assert_ne!(fresh(), fresh());
    }

    #[test]
    fn no_number_comes_twice_on_many_threads() {
        let numbers = || {
            let fresh = || Nonce::fresh(Timestamp::EPOCH).as_str()[..19].to_owned();
            (0..20_000).map(|_| fresh()).collect::<Vec<_>>()
        };
        let threads = (0..10).map(|_| std::thread::spawn(numbers));
        let threads: Vec<_> = threads.collect();
        let mut all = std::collections::HashSet::new();
        for thread in threads {
            all.extend(thread.join().unwrap());
        }
        assert_eq!(all.len(), 200_000);
    }

    #[test]
    fn a_fresh_nonce_has_nineteen_digits_and_the_minute() {
        for (secs, minutes) in [
            (0, "0"),
            (59, "0"),
            (600_000_000 - 1, "9999999"),
            (1_396_941_600, "23282360"),
            (6_000_000_000, "100000000"),
        ] {
            let nonce = Nonce::fresh(Timestamp::from_secs(secs));
            let (number, rest) = nonce.as_str().split_once(':').unwrap();
            assert_eq!(number.len(), 19);
            assert!(number.bytes().all(|digit| matches!(digit, b'1'..=b'8')));
            assert!(number.parse::<i64>().unwrap() > 0);
            assert_eq!(rest, minutes);
            assert_eq!(nonce.as_str().parse::<Nonce>(), Ok(nonce.clone()));
            assert_eq!(nonce.minutes(), minutes.parse().ok());
        }
        assert!(Nonce::fresh(Timestamp::MAX).minutes().is_some());
    }

    #[test]
    fn fresh_nonces_differ() {
        let now = Timestamp::from_secs(1_396_941_600);
        let all: std::collections::HashSet<_> = (0..1000).map(|_| Nonce::fresh(now)).collect();
        assert_eq!(all.len(), 1000);
    }

    #[test]
    fn the_smallest_and_the_largest_number_are_read() {
        for text in ["-9223372036854775808:0", "9223372036854775807:29922566"] {
            let nonce: Nonce = text.parse().unwrap();
            assert_eq!(nonce.to_string(), text);
        }
    }

    #[test]
    fn a_nonce_without_a_colon_is_refused_by_name() {
        let error = "123456".parse::<Nonce>().unwrap_err();
        assert_eq!(error.to_string(), "nonce: has no colon");
    }

    #[test]
    fn a_nonce_of_another_form_is_refused_by_name() {
        for text in [
            "",
            ":",
            "1:",
            ":1",
            "-:1",
            "+1:1",
            "1:+1",
            "1:-1",
            "1:1:1",
            " 1:1",
            "1:1\n",
            "9223372036854775808:1",
            "1:18446744073709551616",
            "1+/=:23282360",
        ] {
            let error = text.parse::<Nonce>().unwrap_err();
            assert_eq!(error.field(), "nonce", "{text:?}");
        }
    }

    #[test]
    fn a_foreign_nonce_is_taken_verbatim() {
        let nonce = Nonce::verbatim("1+/=:23282360").unwrap();
        assert_eq!(nonce.as_str(), "1+/=:23282360");
        assert_eq!(nonce.minutes(), None);
        assert_eq!(Nonce::verbatim("7:8").unwrap().minutes(), Some(8));
        assert!(Nonce::verbatim(&"x".repeat(64)).is_ok());
    }

    #[test]
    fn a_nonce_that_would_move_the_lines_is_refused() {
        assert_eq!(
            Nonce::verbatim("1:2\nPOST").unwrap_err().to_string(),
            "nonce: has a control character at byte 3"
        );
        assert_eq!(
            Nonce::verbatim(&"x".repeat(65)).unwrap_err().to_string(),
            "nonce: is longer than 64 bytes"
        );
        assert!(Nonce::verbatim("").is_err());
    }
}
