//! A rotation under a lease: connect, write the intent, present the refresh token once, and settle
//! what came of it.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use super::commit::Committed;
use super::decide::{NO_REFRESH_TOKEN, PRESENT_AGAIN_AFTER, Presented, may_present_again};
use super::failure::Failure;
use super::flight::Flight;
use super::lives::Lives;
use crate::Timestamp;
use crate::account::{Event, InDoubtPolicy, RefreshError, RefreshErrorKind, policy};
use crate::clock::finish_by;
use crate::provider::{
    self, Ambiguous, Fresh, GrantType, Meaning, Outcome, Provider, RateLimited, Refused,
};
use crate::store::{Grant, Lease, Record, Standing, transition};
use crate::token::Connected;

/// How long a refused refresh token is looked for in the store: a peer may have spent it and not
/// have committed yet.
const PEER_COMMITS_WITHIN: Duration = Duration::from_secs(2);

impl<P: Provider> Flight<P> {
    /// Rotates under the lease, which was asked for at `asked_at`. `None`: the lease was lost before
    /// anything was sent.
    pub(super) async fn rotate(
        &mut self,
        lease: Lease,
        asked_at: Timestamp,
    ) -> Result<Option<Committed<P>>, Failure> {
        // The token of the record that the lease was taken on, never one read before.
        let grant = lease.record.grant().ok();
        let token = grant.and_then(|grant| grant.refresh_token.as_ref());
        let (Some(grant), Some(token)) = (grant, token) else {
            self.release(&lease, &lease.record, Duration::ZERO, "no refresh token")
                .await;
            let why = NO_REFRESH_TOKEN.to_owned();
            return Err(Failure::Revoked { why });
        };
        let connected = match self.connect().await {
            Ok(connected) => connected,
            Err(error) => return Err(self.unsent(&lease, &lease.record, error).await),
        };
        let account = Arc::clone(&self.account);
        let policy = &account.context.policy;
        let started = account.clock.now();
        let intended = self.transition(&lease.record, |record, version| {
            transition::intend(record, version, &lease, policy.answer_timeout)
        });
        let sending = match intended.await {
            Ok(Some(sending)) => sending,
            Ok(None) => {
                // The intent may stand all the same, if its acknowledgement was lost and another
                // process has called it in doubt since. Nothing was sent.
                let why = "it was called in doubt before sending";
                self.release(&lease, &lease.record, Duration::ZERO, why)
                    .await;
                return Ok(None);
            }
            Err(failure) => {
                // Nobody knows whether the intent stands, but nothing was sent.
                let why = "the store failed before sending";
                self.release(&lease, &lease.record, Duration::ZERO, why)
                    .await;
                return Err(failure);
            }
        };
        // A pause since then may have outlasted the intent: others may call it in doubt by now.
        let now = account.clock.now();
        let paused =
            now < started.max(asked_at) || now >= started.saturating_add(policy.answer_timeout / 2);
        // A second presentation must still be within the policy, whatever time it took to get here.
        let elapsed = now.saturating_since(asked_at);
        let view = self.view(self.generation);
        let lapsed =
            lease.record.presented_again && !may_present_again(&lease.record, &view, elapsed);
        if paused || lapsed {
            let error = RefreshError::new(RefreshErrorKind::TimedOut);
            return Err(self.unsent(&lease, &sending, error).await);
        }
        tracing::debug!("presenting the refresh token");
        // The one place a refresh token is presented. From here on a timer is what ends the wait:
        // an answer that still comes is not to be lost to a wall clock that jumps.
        let presented = provider::Presented::RefreshToken {
            token,
            grant: Some(grant),
        };
        let before = account
            .presented
            .note(sending.generation, sending.presented_again);
        let answer = connected.present(presented, Fresh::at(account.corrected(now)));
        let answer_by = started.saturating_add(policy.answer_timeout);
        match timeout(answer_by.saturating_since(now), answer).await {
            Ok(Outcome::Tokens(tokens)) => {
                let lives = Lives::of(&tokens, started);
                let next = Grant::from(tokens);
                if next.is_of_another_than(grant) {
                    // OpenID Connect Core §12.2: it must be the same. Nobody signs as another.
                    let why = "the answer has the tokens of another user";
                    return Err(self.doubt(&sending, why).await);
                }
                let grant = next.after(grant);
                let cannot_sign = account.context.prepare(&grant).is_none();
                let unusable = cannot_sign.then_some("what was issued cannot sign");
                let lives = lives.or_as_before(&grant, &sending);
                self.issued(&sending, grant, lives, unusable).await
            }
            Ok(Outcome::Unsent(unsent)) => {
                account.presented.forget(before);
                Err(self.unsent(&lease, &sending, unsent.into()).await)
            }
            Ok(Outcome::RateLimited(limited)) => {
                account.presented.forget(before);
                Err(self.rate_limited(&lease, &sending, limited).await)
            }
            Ok(Outcome::Refused(refused)) => match refused.meaning() {
                Meaning::GrantEnded => self.spent(&lease, &sending, &refused).await,
                Meaning::Unknown => Err(self.doubt(&sending, "refused with an unknown code").await),
                _ => {
                    account.presented.forget(before);
                    Err(self.misconfigured(&lease, &sending, refused).await)
                }
            },
            Ok(Outcome::Ambiguous(ambiguous)) => self.ambiguous(&sending, ambiguous).await,
            Err(_) => Err(self.doubt(&sending, "no answer in time").await),
        }
    }

    /// Everything slow or fallible, before the intent.
    async fn connect(&self) -> Result<Connected<P>, RefreshError> {
        let account = &*self.account;
        let dial = account.context.endpoint.dial(GrantType::RefreshToken);
        let connect = account.tasks().closing().run_until_cancelled(dial);
        match finish_by(&*account.clock, self.deadline, connect).await {
            Some(Some(Ok(connected))) => Ok(connected),
            Some(Some(Err(unsent))) => Err(unsent.into()),
            Some(None) => Err(RefreshError::closed()),
            None => Err(RefreshError::new(RefreshErrorKind::TimedOut)),
        }
    }

    /// The endpoint refused for a reason that somebody has to mend. The refresh token is as good as
    /// before.
    async fn misconfigured(&self, lease: &Lease, sending: &Record, refused: Refused) -> Failure {
        tracing::warn!(%refused, "the token endpoint refused the refresh");
        let after = policy::long_backoff(sending.fails);
        self.release(lease, sending, after, &refused.label()).await;
        let error = RefreshError::with_source(RefreshErrorKind::Refused, refused);
        Failure::retry(error, after)
    }

    /// The refresh token is of no use to us. If a peer spent it, its commit shows up shortly.
    async fn spent(
        &self,
        lease: &Lease,
        sending: &Record,
        refused: &Refused,
    ) -> Result<Option<Committed<P>>, Failure> {
        let account = &*self.account;
        tracing::warn!(
            code = refused.code(),
            "the token endpoint refused the refresh token"
        );
        account.presented.note(sending.generation, true);
        let until = account.clock.now().saturating_add(PEER_COMMITS_WITHIN);
        loop {
            let mut changed = pin!(account.tasks().changed().notified());
            changed.as_mut().enable();
            // A store that fails now does not undo the refusal, and the rejection below is guarded.
            if let Ok(loaded) = self.load().await
                && let Standing::Record(record) = loaded.standing
                && record.generation > sending.generation
            {
                return Ok(None);
            }
            if account.clock.now() >= until {
                break;
            }
            self.wait(changed, until).await;
        }
        let why = refused.label();
        let rejected = self.transition(sending, |record, version| {
            transition::reject(record, version, lease, &why)
        });
        match rejected.await? {
            Some(_) => Err(Failure::Revoked { why }),
            None => Ok(None),
        }
    }

    async fn ambiguous(
        &mut self,
        sending: &Record,
        ambiguous: Ambiguous,
    ) -> Result<Option<Committed<P>>, Failure> {
        let why = ambiguous.to_string();
        let grant = sending.grant().cloned().unwrap_or_default();
        // An error that repeats what was presented brings nothing.
        let next = ambiguous.into_next_refresh_token();
        let Some(next) = next.filter(|next| Some(next) != grant.refresh_token.as_ref()) else {
            return Err(self.doubt(sending, &why).await);
        };
        // The answer cannot be used, but it brought the next refresh token: keep that. The old
        // access token may still sign.
        tracing::debug!(why, "the token endpoint's answer cannot be used");
        let now = self.account.clock.now();
        // The access half is that of the leased grant: what signs here may be a newer grant by now.
        let grant = Grant {
            refresh_token: Some(next),
            ..grant
        };
        let current = self.account.cell.load();
        let deadline = (current.generation == sending.generation)
            .then(|| current.deadline(self.account.cell.rejected(), now))
            .flatten();
        drop(current);
        let lives = Lives::until(now, deadline.unwrap_or(now));
        self.issued(sending, grant, lives, Some(&why)).await
    }

    /// Nothing was sent: the refresh token is as good as before.
    async fn unsent(&self, lease: &Lease, known: &Record, error: RefreshError) -> Failure {
        if error.kind() == RefreshErrorKind::Closed {
            self.release(lease, known, Duration::ZERO, "shut down")
                .await;
            return Failure::Closed;
        }
        let after = policy::backoff(known.fails);
        self.release(lease, known, after, &error.to_string()).await;
        Failure::retry(error, after)
    }

    /// The endpoint did not look at the request: the refresh token is as good as before.
    async fn rate_limited(&self, lease: &Lease, known: &Record, limited: RateLimited) -> Failure {
        tracing::warn!(%limited, "the token endpoint's rate limit is reached");
        let after = match limited.retry_after() {
            Some(pause) => policy::as_asked(pause),
            None => policy::backoff(known.fails),
        };
        self.release(lease, known, after, &limited.to_string())
            .await;
        Failure::retry(limited, after)
    }

    /// The answer is lost, so the refresh token may be spent: it stays where it is.
    async fn doubt(&self, sending: &Record, why: &str) -> Failure {
        let (account, generation) = (&*self.account, sending.generation);
        tracing::debug!(
            why,
            "the answer to a refresh is lost: its refresh token is in doubt"
        );
        let doubted = self.transition(sending, |record, version| {
            transition::doubt(record, version, sending.lease, why)
        });
        if let Err(failure) = doubted.await {
            // Whoever finds the intent past its deadline records the doubt.
            tracing::warn!(?failure, "the doubt could not be recorded yet");
        }
        let why = why.to_owned();
        account.emit(Event::InDoubt {
            generation: self.generation,
            why: why.clone(),
        });
        let may = account.context.policy.in_doubt == InDoubtPolicy::HoldUntilDead
            && account.presented.of(generation) != Presented::ForGood;
        let again_after = may.then_some(PRESENT_AGAIN_AFTER);
        Failure::InDoubt { again_after, why }
    }
}
