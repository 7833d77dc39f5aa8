use std::sync::Arc;

use tokio::sync::OwnedSemaphorePermit;

use super::step::bounded;
use crate::account::state::AccountState;
use crate::provider::Provider;
use crate::store::{RecordStore as _, Standing};

/// Has the store looked at, in a task of its own: a rotation, a new authorization or a revocation by
/// another process counts here too.
pub(in crate::account) fn look<P: Provider>(
    account: &Arc<AccountState<P>>,
    room: OwnedSemaphorePermit,
) {
    let state = Arc::clone(account);
    account.begin(async move {
        let _room = room;
        let closing = state.tasks().closing().clone();
        closing.run_until_cancelled(state.look()).await;
    });
}

impl<P: Provider> AccountState<P> {
    /// Adopts what stands in the store, if that is newer.
    pub(in crate::account) async fn look(&self) {
        let context = &*self.context;
        context.hearing.go_on(&context.store);
        self.cell.begin_look();
        let load = context.store.load(&self.name);
        let standing = match bounded(&*self.clock, &context.policy, load).await {
            Ok(loaded) => loaded.standing,
            Err(error) => {
                tracing::debug!(account = %self.name, %error, "the store could not be looked at");
                return;
            }
        };
        if let Standing::Record(record) = standing {
            if record.generation > self.cell.load().generation {
                self.adopt(record);
            } else {
                self.note_seen(record.version);
            }
        }
    }
}
