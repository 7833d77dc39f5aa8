use super::journal::{Answer, Kept};
use crate::account::state::AccountState;
use crate::store::{Commit, Issued, Record, StoreError, commit};

impl AccountState {
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
            };
            (Issued::rotated(generation, lineage, grant, rest), answer)
        };
        tracing::warn!("the store is behind this process: writing back");
        // Nobody else may have it.
        let kept = self.context.journal.keep(&self.name, &answer).await;
        let commit = commit(&self.context.store, &self.name, None, issued).await?;
        let (Commit::Committed(record) | Commit::Superseded(record)) = commit;
        if record.settles(answer.generation, answer.lineage, &answer.grant) {
            self.forget(kept);
        }
        Ok(record)
    }

    /// Drops what was kept in the journal until now. Nobody waits for it.
    pub(super) fn forget(&self, kept: Option<Kept>) {
        if let Some(kept) = kept {
            self.tasks()
                .spawn(self.context.journal.clone().forget(kept));
        }
    }
}
