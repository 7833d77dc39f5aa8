//! What a rotation brought: into the store, and into use.

use std::time::Duration;

use super::commit::{Committed, Pending};
use super::failure::Failure;
use super::flight::Flight;
use super::lives::Lives;
use crate::account::credential::Access;
use crate::account::{Event, RefreshError, RefreshErrorKind, policy};
use crate::provider::Provider;
use crate::store::{Grant, LeaseFrom, Record, Standing};

impl<P: Provider> Flight<P> {
    /// Commits and publishes what was issued, then sees whether the account signs. `unusable` says why
    /// what was issued cannot sign.
    pub(super) async fn issued(
        &mut self,
        sending: &Record,
        grant: Grant,
        lives: Lives,
        unusable: Option<&str>,
    ) -> Result<Option<Committed<P>>, Failure> {
        let generation = sending.generation.next();
        let generations = (generation, sending.lineage);
        let account = &self.account;
        let now = account.clock.now();
        let took = now.saturating_since(lives.issued_at);
        let over = "what was issued has ended already";
        let is_over = lives.expires_at.is_some_and(|end| end <= now);
        let unusable = unusable.or(is_over.then_some(over));
        let signs = unusable.is_none();
        let pending = Pending::rotated(account, signs, generations, grant, lives);
        let committed = match pending.over(sending.clone()).commit_or_publish().await {
            Ok(committed @ Committed::Delayed(_)) => committed,
            Ok(committed @ Committed::Durable(standing)) if standing == generation => committed,
            // A new authorization or a revocation overtook us: see what it says.
            _ => return Ok(None),
        };
        self.generation = generation;
        let lives = account.cell.access(account.clock.now()) != Access::Dead;
        if lives && signs {
            return Ok(Some(committed));
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
            return Ok(Some(committed));
        }
        // What was issued cannot sign, but the next refresh token is kept. It must not be burned at
        // once, here or in another process.
        let (after, why) = if took > account.context.policy.answer_timeout {
            // The timer would have ended an answer that took so long, so the wall clock has jumped
            // past the end of what was issued. Nothing else is wrong.
            (policy::backoff(0), "the clock jumped past its end")
        } else {
            (policy::long_backoff(sending.fails), why)
        };
        match committed {
            Committed::Durable(_) => self.back_off(after, why).await?,
            Committed::Delayed(pending) => account.tasks().spawn(pending.until_durable()),
        }
        Err(Failure::retry(error(why), after))
    }

    /// Keeps all processes from rotating for a while.
    async fn back_off(&self, not_before: Duration, why: &str) -> Result<(), Failure> {
        if let Standing::Record(record) = self.load().await?.standing
            && let Some(lease) = self.acquire(&record, LeaseFrom::Active).await?
        {
            self.release(&lease, &lease.record, not_before, why).await;
        }
        Ok(())
    }
}
