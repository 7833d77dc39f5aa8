use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::{VerifyError, VerifyErrorKind};
use crate::provider::xiaomi::Nonce;
use crate::{AccessToken, Timestamp};

/// Whether the minute of `nonce` lies no further than `window` from `now`.
///
/// # Errors
///
/// `Malformed` if the nonce does not have the strict form; `OutsideWindow`.
pub fn check_window(nonce: &Nonce, now: Timestamp, window: Duration) -> Result<(), VerifyError> {
    minute_within(nonce, now, window).map(|_| ())
}

/// The minute of `nonce`, checked.
fn minute_within(nonce: &Nonce, now: Timestamp, window: Duration) -> Result<u64, VerifyError> {
    let outside = |reason| VerifyError::new(VerifyErrorKind::OutsideWindow, "nonce", reason);
    let Some(minute) = nonce.minutes() else {
        let reason = "must be <signed 64-bit number>:<minutes>";
        return Err(VerifyError::malformed("nonce", reason));
    };
    if start_of(minute) > now.saturating_add(window) {
        return Err(outside("lies in the future"));
    }
    if minute < oldest(now, window) {
        return Err(outside("is too old"));
    }
    Ok(minute)
}

const fn start_of(minute: u64) -> Timestamp {
    Timestamp::from_secs(minute.saturating_mul(60))
}

/// The oldest minute that still is within the window.
fn oldest(now: Timestamp, window: Duration) -> u64 {
    now.saturating_sub(window).as_secs() / 60
}

/// Remembers nonces for as long as they would be accepted, and refuses each the second time.
///
/// Its memory is bounded: a nonce outside the window is refused by its minute, so it need not be
/// remembered, and when `capacity` nonces are remembered the next is refused rather than an old
/// one forgotten. Shared by all threads. A nonce counts per access token.
pub struct ReplayGuard {
    window: Duration,
    capacity: usize,
    hasher: [RandomState; 2],
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    /// By minute, 128 bits of keyed hash for each token and nonce: no secret is kept.
    minutes: BTreeMap<u64, HashSet<(u64, u64)>>,
    len: usize,
    /// Minutes before this one are forgotten, and refused even if the clock is set back.
    forgotten: u64,
}

impl ReplayGuard {
    /// Accepts nonces up to `window` from the current time, and remembers at most `capacity`
    /// (about 40 bytes each).
    pub fn new(window: Duration, capacity: usize) -> Self {
        Self {
            window,
            capacity,
            hasher: [RandomState::new(), RandomState::new()],
            seen: Mutex::default(),
        }
    }

    /// Accepts `nonce` once. Call it after the MAC has been checked.
    ///
    /// # Errors
    ///
    /// `Malformed` if the nonce does not have the strict form; `OutsideWindow`; `Replayed`;
    /// `Full`.
    pub fn admit(
        &self,
        access_token: &AccessToken,
        nonce: &Nonce,
        now: Timestamp,
    ) -> Result<(), VerifyError> {
        let minute = minute_within(nonce, now, self.window)?;
        let text = (access_token.expose_secret(), nonce.as_str());
        let [first, second] = &self.hasher;
        let hash = (first.hash_one(text), second.hash_one(text));

        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.forget_before(oldest(now, self.window));
        if minute < seen.forgotten {
            let reason = "is older than what is remembered";
            let kind = VerifyErrorKind::OutsideWindow;
            return Err(VerifyError::new(kind, "nonce", reason));
        }
        if seen
            .minutes
            .get(&minute)
            .is_some_and(|minute| minute.contains(&hash))
        {
            let reason = "was used before";
            return Err(VerifyError::new(VerifyErrorKind::Replayed, "nonce", reason));
        }
        if seen.len >= self.capacity {
            let reason = "cannot be remembered: too many are";
            return Err(VerifyError::new(VerifyErrorKind::Full, "nonce", reason));
        }
        seen.minutes.entry(minute).or_default().insert(hash);
        seen.len += 1;
        Ok(())
    }

    /// How many nonces are remembered.
    pub fn len(&self) -> usize {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).len
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Seen {
    fn forget_before(&mut self, minute: u64) {
        if minute <= self.forgotten {
            return;
        }
        self.forgotten = minute;
        let kept = self.minutes.split_off(&minute);
        let forgotten = std::mem::replace(&mut self.minutes, kept);
        self.len -= forgotten.values().map(HashSet::len).sum::<usize>();
    }
}

impl fmt::Debug for ReplayGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReplayGuard")
            .field("window", &self.window)
            .field("capacity", &self.capacity)
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);
    /// Half a minute into minute 23282360.
    const NOW: Timestamp = Timestamp::from_secs(23_282_360 * 60 + 30);

    fn guard() -> ReplayGuard {
        ReplayGuard::new(5 * MINUTE, 3)
    }

    fn admit(guard: &ReplayGuard, nonce: &str, now: Timestamp) -> Result<(), VerifyErrorKind> {
        let nonce = Nonce::verbatim(nonce).unwrap();
        let admitted = guard.admit(&AccessToken::new("T"), &nonce, now);
        admitted.map_err(|error| error.kind())
    }

    #[test]
    fn a_nonce_works_once() {
        let guard = guard();
        assert_eq!(admit(&guard, "1:23282360", NOW), Ok(()));
        let again = admit(&guard, "1:23282360", NOW);
        assert_eq!(again, Err(VerifyErrorKind::Replayed));
        assert_eq!(admit(&guard, "2:23282360", NOW), Ok(()));
    }

    #[test]
    fn two_tokens_may_use_the_same_nonce() {
        let guard = guard();
        let nonce = "1:23282360".parse().unwrap();
        for token in ["T1", "T2"] {
            guard.admit(&AccessToken::new(token), &nonce, NOW).unwrap();
        }
    }

    #[test]
    fn a_nonce_without_a_colon_is_refused_by_name() {
        let nonce = Nonce::verbatim("123456").unwrap();
        let refused = check_window(&nonce, NOW, MINUTE).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "nonce: must be <signed 64-bit number>:<minutes>"
        );
    }

    #[test]
    fn a_nonce_outside_the_window_is_refused() {
        for (nonce, admitted) in [
            ("1:23282354", Err(VerifyErrorKind::OutsideWindow)),
            ("1:23282355", Ok(())),
            ("1:23282365", Ok(())),
            ("1:23282366", Err(VerifyErrorKind::OutsideWindow)),
            ("1:0", Err(VerifyErrorKind::OutsideWindow)),
            (
                "1:18446744073709551615",
                Err(VerifyErrorKind::OutsideWindow),
            ),
        ] {
            assert_eq!(admit(&guard(), nonce, NOW), admitted, "{nonce}");
        }
    }

    #[test]
    fn what_leaves_the_window_is_forgotten_and_what_is_full_refuses() {
        let guard = guard();
        for nonce in ["1:23282360", "2:23282360", "3:23282361"] {
            assert_eq!(admit(&guard, nonce, NOW), Ok(()));
        }
        let fourth = admit(&guard, "4:23282360", NOW);
        assert_eq!(fourth, Err(VerifyErrorKind::Full));
        let later = NOW.saturating_add(6 * MINUTE);
        assert_eq!(admit(&guard, "4:23282366", later), Ok(()));
        assert_eq!(guard.len(), 2);
    }

    #[test]
    fn a_clock_set_back_does_not_let_a_forgotten_nonce_in() {
        let guard = guard();
        assert_eq!(admit(&guard, "1:23282360", NOW), Ok(()));
        let later = NOW.saturating_add(60 * MINUTE);
        assert_eq!(admit(&guard, "1:23282420", later), Ok(()));
        let replayed = admit(&guard, "1:23282360", NOW);
        assert_eq!(replayed, Err(VerifyErrorKind::OutsideWindow));
    }

    #[test]
    fn it_is_shared_between_threads_and_shows_no_secret() {
        fn shared<T: Send + Sync>(_: &T) {}
        let guard = guard();
        shared(&guard);
        admit(&guard, "1:23282360", NOW).unwrap();
        assert_eq!(
            format!("{guard:?}"),
            "ReplayGuard { window: 300s, capacity: 3, len: 1, .. }"
        );
    }
}
