use super::decide::Presented;
use super::journal::{Answer, Kept};
use crate::Timestamp;
use crate::account::InDoubtPolicy;
use crate::account::state::AccountState;
use crate::provider::Provider;
use crate::store::{Commit, Draft, Issued, Moment, Record, Status, StoreError, commit_as};

impl<P: Provider> AccountState<P> {
    /// Brings a store that fell behind this process up to it; what stands then.
    pub(in crate::account) async fn write_back(&self) -> Result<Record, StoreError> {
        let now = self.clock.now();
        let (issued, answer) = {
            let current = self.cell.load();
            let (generation, lineage) = (current.generation, current.lineage);
            let (grant, rest) = (current.grant.clone(), current.rest(now));
            let answer = Answer {
                generation,
                lineage,
                decided_over: None,
                grant: grant.clone(),
                expires_at: rest.map(|rest| now.saturating_add(rest)),
                // Only the record knew.
                refresh_expires_at: None,
            };
            (Issued::rotated(generation, lineage, grant, rest), answer)
        };
        tracing::warn!("the store is behind this process: writing back");
        // Nobody else may have it.
        let kept = self.context.journal.keep(&self.name, &answer).await;
        let presented = self.presented.of(answer.generation);
        let (store, intended_at) = (&self.context.store, self.presented_at());
        let as_known_here = |draft: Draft| match presented {
            Presented::No => draft,
            // Its refresh token may be spent, and no other process may take it for good.
            again => Draft {
                status: Status::InDoubt,
                intended_at: Some(intended_at),
                presented_again: again == Presented::ForGood,
                last_error: Some("the store forgot that it was presented".to_owned()),
                ..draft
            },
        };
        let commit = commit_as(store, &self.name, None, issued, as_known_here).await?;
        let (Commit::Committed(record) | Commit::Superseded(record)) = commit;
        if record.settles(answer.generation, answer.lineage, &answer.grant) {
            self.forget(kept);
        }
        Ok(record)
    }

    /// When to say that a refresh token was presented, if only this process knows that it was: now, for
    /// a policy that waits for a time after that; long ago, for one that allows it for a time.
    pub(super) fn presented_at(&self) -> Moment {
        match self.context.policy.in_doubt {
            InDoubtPolicy::ReplayWithin(_) => Moment::At(Timestamp::EPOCH),
            _ => Moment::NOW,
        }
    }

    /// Drops what was kept in the journal until now. Nobody waits for it.
    pub(super) fn forget(&self, kept: Option<Kept>) {
        if let Some(kept) = kept {
            self.tasks()
                .spawn(self.context.journal.clone().forget(kept));
        }
    }
}
