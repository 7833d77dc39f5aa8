//! Who follows whom: this process the record that stands, or the store this process.

use super::rescue::{Answer, Kept};
use super::snapshot::Snapshot;
use super::state::{Access, Rotation};
use super::status::rotation_of;
use super::{Event, Shared};
use crate::store::{Commit, Generation, Issued, Record, StoreError};

impl Shared {
    /// Brings a store that fell behind this process up to it; what stands then.
    pub(super) async fn write_back(&self) -> Result<Record, StoreError> {
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
        let kept = self.realm.rescue.keep(self, &answer).await;
        let commit = self.realm.store.commit(&self.name, issued).await?;
        let (Commit::Committed(record) | Commit::Superseded(record)) = commit;
        if record.settles(answer.generation, answer.lineage, &answer.grant) {
            self.forget(kept);
        }
        Ok(record)
    }

    /// Drops what was kept in the journal until now.
    pub(super) fn forget(&self, kept: Option<Kept>) {
        if let Some(kept) = kept {
            self.realm.rescue.forget(self, kept);
        }
    }

    /// Takes over a record of a higher generation: its generation, and whether it signs.
    pub(super) fn adopt(&self, record: Record) -> (Generation, Access) {
        let generation = record.generation;
        if self.publish(record) {
            self.emit(Event::Adopted { generation });
            self.announce_reauthorization(&Rotation::Idle, &self.cell.rotation().0);
        }
        (
            self.cell.load().generation,
            self.cell.access(self.clock.now()),
        )
    }

    /// Signs with a record's credential from now on, and rotates as it says, unless there is a newer
    /// one.
    pub(super) fn publish(&self, record: Record) -> bool {
        let record = match record.usable_by(&self.realm.client_id) {
            Ok(record) => record,
            Err(error) => {
                tracing::error!(%error, "a record cannot be used");
                return false;
            }
        };
        let now = self.clock.now();
        let rotation = rotation_of(&record, self.realm.policy.in_doubt, now);
        let snapshot = Snapshot::of(record, self.realm.endpoint.client_id(), now);
        self.cell.adopt(snapshot, rotation)
    }
}
