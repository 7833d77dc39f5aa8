use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::mem;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::{MacAuthorization, VerifyError, VerifyErrorKind};
use crate::Timestamp;

/// Whether the moment when a request was signed, as its header says, lies no further than `window`
/// from `now`. Xiaomi's headers tell the minute, the drafts' the second.
///
/// # Errors
///
/// `OutsideWindow`; `Malformed` if that moment cannot be told: if a nonce of Xiaomi's does not have the
/// strict form, or if in revision 00 it does not begin with an age or it is not known [when the key was
/// issued](MacAuthorization::with_issued_at).
pub fn check_window(
    authorization: &MacAuthorization,
    now: Timestamp,
    window: Duration,
) -> Result<(), VerifyError> {
    minute_within(authorization, now, window).map(|_| ())
}

/// The minute of a request, checked.
fn minute_within(
    authorization: &MacAuthorization,
    now: Timestamp,
    window: Duration,
) -> Result<u64, VerifyError> {
    let (start, length) = authorization.signed_within()?;
    let field = if authorization.ts().is_some() {
        "ts"
    } else {
        "nonce"
    };
    let outside = |reason| VerifyError::new(VerifyErrorKind::OutsideWindow, field, reason);
    if start > now.saturating_add(window) {
        return Err(outside("lies in the future"));
    }
    if start.saturating_add(length) <= now.saturating_sub(window) {
        return Err(outside("is too old"));
    }
    Ok(start.as_secs() / 60)
}

/// The oldest minute that still is within the window.
fn oldest(now: Timestamp, window: Duration) -> u64 {
    now.saturating_sub(window).as_secs() / 60
}

/// Remembers nonces for as long as they would be accepted, and refuses each the second time.
///
/// Its memory is bounded: a nonce outside the window is refused by its minute, so it need not be
/// remembered, and when `capacity` nonces are remembered the next is refused rather than an old
/// one forgotten. Shared by all threads, which rarely wait for each other. A nonce counts per access
/// token.
pub struct ReplayGuard {
    window: Duration,
    capacity: usize,
    hasher: [RandomState; 2],
    /// By hash, so that a set that grows holds up few, and not for long.
    shards: [Mutex<Minutes>; SHARDS],
    len: AtomicUsize,
    /// Minutes before this one are forgotten, and refused even if the clock is set back.
    forgotten: AtomicU64,
}

const SHARDS: usize = 256;

/// By minute, 128 bits of keyed hash for each token and nonce: no secret is kept.
type Minutes = BTreeMap<u64, HashSet<(u64, u64)>>;

impl ReplayGuard {
    /// Accepts nonces up to `window` from the current time, and remembers at most `capacity`
    /// (about 40 bytes each).
    pub fn new(window: Duration, capacity: usize) -> Self {
        Self {
            window,
            capacity,
            hasher: [RandomState::new(), RandomState::new()],
            shards: [const { Mutex::new(Minutes::new()) }; SHARDS],
            len: AtomicUsize::new(0),
            forgotten: AtomicU64::new(0),
        }
    }

    /// Accepts a nonce once; one of revision 01 once in each second. Call it after the MAC has been
    /// checked.
    ///
    /// # Errors
    ///
    /// Those of [`check_window`]; `Replayed`; `Full`.
    pub fn admit(
        &self,
        authorization: &MacAuthorization,
        now: Timestamp,
    ) -> Result<(), VerifyError> {
        let minute = minute_within(authorization, now, self.window)?;
        let token = authorization.access_token().expose_secret();
        let text = (token, authorization.ts(), authorization.nonce());
        let [first, second] = &self.hasher;
        let hash = (first.hash_one(text), second.hash_one(text));
        self.forget_before(oldest(now, self.window));

        #[expect(
            clippy::cast_possible_truncation,
            reason = "the lowest bits are wanted"
        )]
        let mut minutes = lock(&self.shards[hash.0 as usize % SHARDS]);
        // Under the lock: what is forgotten from now on is taken out of this shard after this.
        if minute < self.forgotten.load(Ordering::SeqCst) {
            let reason = "is older than what is remembered";
            let kind = VerifyErrorKind::OutsideWindow;
            return Err(VerifyError::new(kind, "nonce", reason));
        }
        let seen = minutes.get(&minute);
        if seen.is_some_and(|seen| seen.contains(&hash)) {
            return Err(VerifyError::REPLAYED);
        }
        if self.len.fetch_add(1, Ordering::SeqCst) >= self.capacity {
            self.len.fetch_sub(1, Ordering::SeqCst);
            let reason = "cannot be remembered: too many are";
            return Err(VerifyError::new(VerifyErrorKind::Full, "nonce", reason));
        }
        minutes.entry(minute).or_default().insert(hash);
        Ok(())
    }

    /// Once a minute at most.
    fn forget_before(&self, minute: u64) {
        if minute <= self.forgotten.load(Ordering::SeqCst)
            || minute <= self.forgotten.fetch_max(minute, Ordering::SeqCst)
        {
            return;
        }
        for shard in &self.shards {
            let mut minutes = lock(shard);
            let kept = minutes.split_off(&minute);
            let forgotten = mem::replace(&mut *minutes, kept);
            drop(minutes);
            let count = forgotten.values().map(HashSet::len).sum();
            self.len.fetch_sub(count, Ordering::SeqCst);
        }
    }

    /// How many nonces are remembered.
    pub fn len(&self) -> usize {
        self.len.load(Ordering::SeqCst)
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

fn lock(shard: &Mutex<Minutes>) -> MutexGuard<'_, Minutes> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
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

    fn header(text: &str) -> MacAuthorization {
        let mac = "9uvros2WcjMaJ3pH25eQZU9p5pA=";
        format!("MAC {text}, mac=\"{mac}\"").parse().unwrap()
    }

    fn admit(guard: &ReplayGuard, nonce: &str, now: Timestamp) -> Result<(), VerifyErrorKind> {
        let header = header(&format!("access_token=T, nonce=\"{nonce}\""));
        guard.admit(&header, now).map_err(|error| error.kind())
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
        for token in ["T1", "T2"] {
            let header = header(&format!("access_token={token}, nonce=\"1:23282360\""));
            guard.admit(&header, NOW).unwrap();
        }
    }

    #[test]
    fn a_moment_that_cannot_be_told_is_refused_by_name() {
        for (text, error) in [
            (
                "access_token=T, nonce=123456",
                "nonce: must be <signed 64-bit number>:<minutes>",
            ),
            ("id=T, nonce=123456", "nonce: must be <age>:<random>"),
            ("id=T, nonce=\":a\"", "nonce: must be <age>:<random>"),
            ("id=T, nonce=\"1:\"", "nonce: must be <age>:<random>"),
            ("id=T, nonce=\"+1:a\"", "nonce: must be <age>:<random>"),
            ("id=T, nonce=\"-1:a\"", "nonce: must be <age>:<random>"),
            (
                "id=T, nonce=\"18446744073709551616:a\"",
                "nonce: must be <age>:<random>",
            ),
            ("id=T, nonce=\"1:a\"", "issued_at: is missing"),
            ("id=T, nonce=a, ts=18446744073709551616", "ts: is too long"),
        ] {
            let refused = check_window(&header(text), NOW, MINUTE).unwrap_err();
            assert_eq!(refused.to_string(), error);
            assert_eq!(refused.kind(), VerifyErrorKind::Malformed);
        }
    }

    /// Seconds before and after now, and whether a window of five minutes has them.
    const SECONDS: [(i64, bool); 6] = [
        (-301, false),
        (-300, true),
        (0, true),
        (300, true),
        (301, false),
        (i64::MAX / 2, false),
    ];

    fn after(now: Timestamp, secs: i64) -> u64 {
        now.as_secs().saturating_add_signed(secs)
    }

    #[test]
    fn a_timestamp_outside_the_window_is_refused() {
        for (secs, within) in SECONDS {
            let header = header(&format!("id=T, nonce=a, ts={}", after(NOW, secs)));
            let checked = check_window(&header, NOW, 5 * MINUTE);
            assert_eq!(checked.is_ok(), within, "{secs}");
        }
        let late = header("id=T, nonce=a, ts=1");
        let refused = check_window(&late, NOW, MINUTE).unwrap_err();
        assert_eq!(refused.to_string(), "ts: is too old");
    }

    #[test]
    fn an_age_outside_the_window_is_refused() {
        let issued_at = Timestamp::from_secs(NOW.as_secs() - 1000);
        for (secs, within) in SECONDS {
            let age = after(Timestamp::from_secs(1000), secs);
            let header = header(&format!("id=T, nonce=\"{age}:a\"")).with_issued_at(issued_at);
            let checked = check_window(&header, NOW, 5 * MINUTE);
            assert_eq!(checked.is_ok(), within, "{secs}");
        }
        let header = header("id=T, nonce=\"1:a\"").with_issued_at(issued_at);
        let refused = check_window(&header, NOW, MINUTE).unwrap_err();
        assert_eq!(refused.to_string(), "nonce: is too old");
    }

    #[test]
    fn a_nonce_of_a_draft_works_once_and_one_beside_a_timestamp_once_a_second() {
        let guard = ReplayGuard::new(5 * MINUTE, 10);
        let secs = NOW.as_secs();
        let issued_at = Timestamp::from_secs(secs - 60);
        for (text, admitted) in [
            (format!("id=T, nonce=a, ts={secs}"), true),
            (format!("id=T, nonce=a, ts={secs}, ext=other"), false),
            (format!("id=T, nonce=a, ts={}", secs + 1), true),
            (format!("id=T, nonce=b, ts={secs}"), true),
            (format!("id=U, nonce=a, ts={secs}"), true),
            ("id=T, nonce=\"60:a\"".to_owned(), true),
            ("id=T, nonce=\"60:a\", bodyhash=x".to_owned(), false),
            ("id=T, nonce=\"61:a\"".to_owned(), true),
        ] {
            let header = header(&text).with_issued_at(issued_at);
            assert_eq!(guard.admit(&header, NOW).is_ok(), admitted, "{text}");
        }
        assert_eq!(guard.len(), 6);
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
    fn of_many_threads_with_the_same_nonces_one_gets_each_and_no_more_are_let_in_than_fit() {
        const NONCES: usize = 300;
        let guard = ReplayGuard::new(5 * MINUTE, NONCES - 50);
        let admitted = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for number in 0..NONCES {
                        match admit(&guard, &format!("{number}:23282360"), NOW) {
                            Ok(()) => admitted.fetch_add(1, Ordering::SeqCst),
                            Err(VerifyErrorKind::Replayed | VerifyErrorKind::Full) => 0,
                            Err(other) => panic!("{other:?}"),
                        };
                    }
                });
            }
        });
        assert_eq!(admitted.into_inner(), NONCES - 50);
        assert_eq!(guard.len(), NONCES - 50);
        // All of them go, whichever shard they are in.
        let later = NOW.saturating_add(60 * MINUTE);
        assert_eq!(admit(&guard, "1:23282420", later), Ok(()));
        assert_eq!(guard.len(), 1);
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
