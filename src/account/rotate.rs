//! Steps 3 to 6 of a rotation: prepare, write the intent, present the refresh token once, settle
//! what came of it.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use super::commit::Pending;
use super::flight::{Failure, Flight, Flown};
use super::next::NO_REFRESH_TOKEN;
use super::state::Access;
use super::{Event, InDoubtPolicy, RefreshError, RefreshErrorKind, commit, policy};
use crate::Timestamp;
use crate::clock::finish_by;
use crate::sign::MacKey;
use crate::store::{Grant, Guarded, Lease, LeaseFrom};
use crate::token::{Ambiguous, Connected, ErrorCode, Meaning, Outcome, RateLimited, Refusal};

/// How long a refused refresh token is looked for in the store: a peer may have spent it and not
/// have committed yet.
const PEER_COMMITS_WITHIN: Duration = Duration::from_secs(2);

impl Flight {
    /// Rotates under the lease, which was asked for at `asked_at`. `None`: the lease was lost before
    /// anything was sent.
    pub(super) async fn rotate(
        &mut self,
        lease: Lease,
        asked_at: Timestamp,
    ) -> Result<Option<Flown>, Failure> {
        // The token of the record that the lease was taken on, never one read before.
        let Some(refresh_token) = lease.record.grant.refresh_token.clone() else {
            self.release(&lease, Duration::ZERO, NO_REFRESH_TOKEN).await;
            let why = NO_REFRESH_TOKEN.to_owned();
            return Err(Failure::Revoked { why });
        };
        let connected = match self.connect().await {
            Ok(connected) => connected,
            Err(error) => return Err(self.unsent(&lease, error).await),
        };
        let account = Arc::clone(&self.account);
        let started = account.clock.now();
        let answer_by = started.saturating_add(account.realm.policy.answer_timeout);
        let intend =
            account
                .realm
                .store
                .intend(&account.name, &lease, account.realm.policy.answer_timeout);
        match self.step(intend).await {
            Ok(Guarded::Done) => {}
            Ok(Guarded::Refused) => return Ok(None),
            Err(failure) => {
                // Whether the intent stands is not known; that nothing was sent is.
                self.release(&lease, Duration::ZERO, "the store failed before sending")
                    .await;
                return Err(failure);
            }
        }
        // A pause since then may have outlasted the intent: others may call it in doubt by now.
        let now = account.clock.now();
        let paused = now < started.max(asked_at)
            || now >= started.saturating_add(account.realm.policy.answer_timeout / 2);
        // A replay must still be within the policy, whatever time it took to get here.
        let elapsed = now.saturating_since(asked_at);
        let lapsed = lease.record.replayed && !self.policy_lets_replay(&lease.record, elapsed);
        if paused || lapsed {
            return Err(self
                .unsent(&lease, RefreshError::new(RefreshErrorKind::TimedOut))
                .await);
        }
        tracing::debug!("presenting the refresh token");
        // The one place a refresh token is presented. From here on a timer is what ends the wait:
        // an answer that still comes is not to be lost to a wall clock that jumps.
        let answer = connected.refresh(&refresh_token);
        match timeout(answer_by.saturating_since(now), answer).await {
            Ok(Outcome::Tokens(tokens)) => {
                let expires_at = started.saturating_add(tokens.expires_in);
                let key = MacKey::new(tokens.algorithm, &tokens.mac_key);
                let unusable = key.err().map(|_| "the key that was issued cannot sign");
                self.issued(&lease, tokens.into(), started, Some(expires_at), unusable)
                    .await
            }
            Ok(Outcome::Unsent(unsent)) => Err(self.unsent(&lease, unsent.into()).await),
            Ok(Outcome::RateLimited(limited)) => Err(self.rate_limited(&lease, limited).await),
            Ok(Outcome::Refused(refusal)) => self.refused(&lease, &refusal).await,
            Ok(Outcome::Ambiguous(ambiguous)) => self.ambiguous(&lease, ambiguous).await,
            Err(_) => Err(self.doubt(&lease, "no answer in time").await),
        }
    }

    /// Everything slow or fallible, before the intent.
    async fn connect(&self) -> Result<Connected, RefreshError> {
        let account = &*self.account;
        let connect = account
            .closing()
            .run_until_cancelled(account.realm.endpoint.dial());
        match finish_by(&*account.clock, self.deadline(), connect).await {
            Some(Some(Ok(connected))) => Ok(connected),
            Some(Some(Err(unsent))) => Err(unsent.into()),
            Some(None) => Err(RefreshError::closed()),
            None => Err(RefreshError::new(RefreshErrorKind::TimedOut)),
        }
    }

    /// Commits and publishes what was issued, then sees whether the account signs. `unusable`: why
    /// what was issued does not.
    async fn issued(
        &mut self,
        lease: &Lease,
        grant: Grant,
        issued_at: Timestamp,
        expires_at: Option<Timestamp>,
        unusable: Option<&str>,
    ) -> Result<Option<Flown>, Failure> {
        let generation = lease.generation.next();
        let generations = (generation, lease.record.lineage);
        let now = self.account.clock.now();
        let took = now.saturating_since(issued_at);
        let over = "what was issued has ended already";
        let is_over = expires_at.is_some_and(|end| end <= now);
        let unusable = unusable.or(is_over.then_some(over));
        let signs = unusable.is_none();
        let account = Arc::clone(&self.account);
        let pending = Pending::rotated(&account, signs, generations, grant, issued_at, expires_at);
        let flown = pending.commit_or_publish().await;
        if matches!(flown, Flown::Done(standing) if standing != generation) {
            // A new authorization or a revocation overtook us: see what it says.
            return Ok(None);
        }
        self.generation = generation;
        let lives = account.cell.access(account.clock.now()) != Access::Dead;
        if lives && signs {
            return Ok(Some(flown));
        }
        let why = unusable.unwrap_or(over);
        let error =
            |why: &str| RefreshError::with_source(RefreshErrorKind::UnusableAnswer, why.to_owned());
        if lives {
            // The old access token signs on, beside the next refresh token.
            let retry_at = account.cell.load().refresh_at;
            account.emit(Event::RefreshFailed {
                generation,
                error: error(why),
                retry_at,
            });
            return Ok(Some(flown));
        }
        // It does not sign, but the next refresh token is kept. Do not burn that at once, here or
        // in another process.
        let (after, why) = if took > account.realm.policy.answer_timeout {
            // No timer let it take so long: a clock that jumped past its end is all that is wrong.
            (policy::backoff(0), "the clock jumped past its end")
        } else {
            (policy::long_backoff(lease.record.fails), why)
        };
        match flown {
            Flown::Done(_) => {
                if let Some(lease) = self.acquire(LeaseFrom::Active).await? {
                    self.release(&lease, after, why).await;
                }
            }
            Flown::Pending(pending) => {
                account.spawn(pending.until_durable());
            }
        }
        Err(Failure::retry(error(why), after))
    }

    async fn refused(&self, lease: &Lease, refusal: &Refusal) -> Result<Option<Flown>, Failure> {
        let code = refusal.code();
        tracing::warn!(%code, "the token endpoint refused the refresh");
        match code.meaning() {
            Meaning::GrantEnded => self.spent(lease, code).await,
            Meaning::Unknown => Err(self.doubt(lease, "refused with an unknown code").await),
            _ => {
                let after = policy::long_backoff(lease.record.fails);
                self.release(lease, after, &code.to_string()).await;
                let kind = RefreshErrorKind::Refused(code);
                Err(Failure::retry(RefreshError::new(kind), after))
            }
        }
    }

    /// The refresh token is of no use to us. If a peer spent it, its commit shows up shortly.
    async fn spent(&self, lease: &Lease, code: ErrorCode) -> Result<Option<Flown>, Failure> {
        let account = &*self.account;
        account.presented.note(lease.generation, true);
        let until = account.clock.now().saturating_add(PEER_COMMITS_WITHIN);
        loop {
            let watch = account.realm.store.watch(&account.name);
            let read = self.step(account.realm.store.read(&account.name)).await;
            // A store that fails now does not make the refusal undone: the last step is guarded.
            if let Ok(Some(record)) = read {
                if record.generation > lease.generation {
                    return Ok(None);
                }
            }
            if account.clock.now() >= until {
                break;
            }
            self.wait(watch, until).await;
        }
        let why = code.to_string();
        let reject = account.realm.store.reject(&account.name, lease, &why);
        match self.step(reject).await? {
            Guarded::Done => Err(Failure::Revoked { why }),
            Guarded::Refused => Ok(None),
        }
    }

    async fn ambiguous(
        &mut self,
        lease: &Lease,
        ambiguous: Ambiguous,
    ) -> Result<Option<Flown>, Failure> {
        let why = ambiguous.to_string();
        // An error that repeats what was presented brings nothing.
        let presented = lease.record.grant.refresh_token.as_ref();
        let next = ambiguous.into_next_refresh_token();
        let Some(next) = next.filter(|next| Some(next) != presented) else {
            return Err(self.doubt(lease, &why).await);
        };
        // The answer cannot be used, but it brought the next refresh token: keep that. The old
        // access token may still sign.
        tracing::debug!(why, "the token endpoint's answer cannot be used");
        let now = self.account.clock.now();
        // Of the grant that was leased: what signs here may be another user's by now.
        let grant = Grant {
            refresh_token: Some(next),
            ..lease.record.grant.clone()
        };
        let current = self.account.cell.load();
        let deadline = (current.generation == lease.generation)
            .then(|| current.deadline(self.account.cell.rejected(), now))
            .flatten();
        drop(current);
        self.issued(lease, grant, now, Some(deadline.unwrap_or(now)), Some(&why))
            .await
    }

    /// Nothing was sent: the refresh token is as good as before.
    async fn unsent(&self, lease: &Lease, error: RefreshError) -> Failure {
        if error.kind() == RefreshErrorKind::Closed {
            self.release(lease, Duration::ZERO, "shut down").await;
            return Failure::Closed;
        }
        let after = policy::backoff(lease.record.fails);
        self.release(lease, after, &error.to_string()).await;
        Failure::retry(error, after)
    }

    /// The endpoint did not look at the request: the refresh token is as good as before.
    async fn rate_limited(&self, lease: &Lease, limited: RateLimited) -> Failure {
        tracing::warn!(%limited, "the token endpoint's rate limit is reached");
        let after = match limited.retry_after() {
            Some(pause) => policy::as_asked(pause),
            None => policy::backoff(lease.record.fails),
        };
        self.release(lease, after, &limited.to_string()).await;
        Failure::retry(limited, after)
    }

    async fn release(&self, lease: &Lease, not_before: Duration, why: &str) {
        let account = &*self.account;
        let release = account
            .realm
            .store
            .release(&account.name, lease, not_before, why);
        if let Err(failure) = self.step(release).await {
            // A lease ends by itself, but an intent that nobody withdraws ends in doubt.
            tracing::warn!(?failure, "the lease could not be given back yet");
            let give_back =
                commit::give_back(Arc::clone(&self.account), lease.clone(), why.to_owned());
            account.spawn(give_back);
        }
    }

    /// The answer is lost, so the refresh token may be spent: it stays where it is.
    async fn doubt(&self, lease: &Lease, why: &str) -> Failure {
        let account = &*self.account;
        account
            .presented
            .note(lease.generation, lease.record.replayed);
        tracing::debug!(
            why,
            "the answer to a refresh is lost: its refresh token is in doubt"
        );
        let doubt = account
            .realm
            .store
            .doubt(&account.name, lease.generation, lease.fence, why);
        if let Err(failure) = self.step(doubt).await {
            // Whoever finds the intent past its deadline records the doubt.
            tracing::warn!(?failure, "the doubt could not be recorded yet");
        }
        let why = why.to_owned();
        account.emit(Event::InDoubt {
            generation: self.generation,
            why: why.clone(),
        });
        let last = account.presented.of(lease.generation);
        let replayable = account.realm.policy.in_doubt == InDoubtPolicy::HoldUntilDead
            && !last.is_some_and(|last| last.for_good);
        let replay_after = replayable.then_some(policy::REPLAY_PAUSE);
        Failure::InDoubt { replay_after, why }
    }
}
