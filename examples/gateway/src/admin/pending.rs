//! Logins that have begun: what a browser has to bring back.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tower_mac_auth::provider::AuthorizeRequest;
use tower_mac_auth::{Clock as _, CodeVerifier, SystemClock, Timestamp};

/// For a user to agree.
pub(super) const LIFE: Duration = Duration::from_secs(600);
/// How many may be under way, and how many of them for one account.
const MOST: usize = 1000;
const OF_ONE: usize = 10;

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

/// By their states, in the order of their beginnings, which is that of their ends.
#[derive(Default)]
pub(super) struct Pending(Mutex<VecDeque<(String, Login)>>);

impl Pending {
    /// Remembers a login. Where there are too many, the oldest gives way: one that nobody ends may lock
    /// nobody out.
    pub(super) fn begin(&self, state: String, login: Login) {
        let mut logins = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = SystemClock.now();
        logins.retain(|(_, login)| now < login.until);
        let is_same = |(_, other): &&(String, Login)| other.account == login.account;
        if logins.iter().filter(is_same).count() >= OF_ONE {
            let oldest = logins.iter().position(|other| is_same(&other));
            oldest.and_then(|oldest| logins.remove(oldest));
        } else if logins.len() >= MOST {
            logins.pop_front();
        }
        logins.push_back((state, login));
    }

    /// The login of this state, which is spent by the question.
    pub(super) fn end(&self, state: &str) -> Option<Login> {
        let mut logins = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let found = logins.iter().position(|(known, _)| known == state)?;
        let (_, login) = logins.remove(found)?;
        (SystemClock.now() < login.until).then_some(login)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_works_once() {
        let pending = Pending::default();
        pending.begin("state".to_owned(), Login::new("alice", None));
        assert_eq!(pending.end("state").unwrap().account, "alice");
        assert!(pending.end("state").is_none());
    }

    #[test]
    fn a_state_that_is_too_old_works_no_more() {
        let pending = Pending::default();
        let old = Login {
            until: SystemClock.now(),
            ..Login::new("alice", None)
        };
        pending.begin("state".to_owned(), old);
        assert!(pending.end("state").is_none());
    }

    #[test]
    fn logins_that_nobody_ends_lock_nobody_out() {
        let pending = Pending::default();
        pending.begin("bob".to_owned(), Login::new("bob", None));
        // Of one account: its own give way, the oldest first.
        for number in 0..MOST {
            pending.begin(number.to_string(), Login::new("alice", None));
        }
        assert!(pending.end(&(MOST - OF_ONE - 1).to_string()).is_none());
        assert!(pending.end(&(MOST - OF_ONE).to_string()).is_some());
        assert!(pending.end("bob").is_some());
        // Of many: the oldest of all.
        for number in 0..=MOST {
            pending.begin(number.to_string(), Login::new(&number.to_string(), None));
        }
        assert!(pending.end("0").is_none() && pending.end("1").is_some());
        assert!(pending.end(&MOST.to_string()).is_some());
    }
}
