//! Logins that have begun: what a browser has to bring back.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tower_mac_auth::provider::AuthorizeRequest;
use tower_mac_auth::{Clock as _, CodeVerifier, SystemClock, Timestamp};

/// For a user to agree.
pub(super) const LIFE: Duration = Duration::from_secs(600);
/// How many may be under way.
const MOST: usize = 1000;

/// A login that has begun.
pub(super) struct Login {
    pub(super) account: String,
    /// What the browser that began it has in a cookie.
    pub(super) browser: String,
    pub(super) verifier: Option<CodeVerifier>,
    until: Timestamp,
}

impl Login {
    pub(super) fn new(account: &str, verifier: Option<CodeVerifier>) -> Self {
        Self {
            account: account.to_owned(),
            browser: AuthorizeRequest::random_state(),
            verifier,
            until: SystemClock.now().saturating_add(LIFE),
        }
    }
}

/// By their states.
#[derive(Default)]
pub(super) struct Pending(Mutex<HashMap<String, Login>>);

impl Pending {
    /// Remembers a login; `false` if too many are under way.
    pub(super) fn begin(&self, state: String, login: Login) -> bool {
        let mut logins = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if logins.len() >= MOST {
            let now = SystemClock.now();
            logins.retain(|_, login| now < login.until);
        }
        let room = logins.len() < MOST;
        if room {
            logins.insert(state, login);
        }
        room
    }

    /// The login of this state, which is spent by the question.
    pub(super) fn end(&self, state: &str) -> Option<Login> {
        let mut logins = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let login = logins.remove(state)?;
        (SystemClock.now() < login.until).then_some(login)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_works_once() {
        let pending = Pending::default();
        assert!(pending.begin("state".to_owned(), Login::new("alice", None)));
        assert_eq!(pending.end("state").unwrap().account, "alice");
        assert!(pending.end("state").is_none());
    }

    #[test]
    fn a_state_that_is_too_old_works_no_more_and_makes_room() {
        let pending = Pending::default();
        let old = || Login {
            until: SystemClock.now(),
            ..Login::new("alice", None)
        };
        for number in 0..MOST {
            assert!(pending.begin(number.to_string(), old()));
        }
        assert!(pending.end("0").is_none());
        for number in 0..MOST {
            assert!(pending.begin(format!("new {number}"), Login::new("bob", None)));
        }
        assert!(!pending.begin("one more".to_owned(), Login::new("bob", None)));
    }
}
