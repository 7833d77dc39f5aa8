//! Accounts as they stand in a store: in one set of words for the commands and for the admin address.

use futures_util::{Stream, StreamExt as _, TryStreamExt as _, stream};
use serde_json::{Value, json};
use tower_mac_auth::store::{
    AccountName, Listed, RecordStore as _, SharedStore, Standing, StoreError, StoreErrorKind,
};
use tower_mac_auth::{Clock as _, SystemClock, Timestamp};

use crate::store::{AT_ONCE, unreadable};
use crate::trouble::with_causes;

/// The state of what no key that was given opens, or nobody can read.
pub(crate) const UNREADABLE: &str = "unreadable";

/// Those of a page, in its order, but for what is gone by now. Each is loaded: what was listed does not tell
/// whether its secrets can be read.
pub(crate) fn all(
    store: &SharedStore,
    page: Vec<Listed>,
) -> impl Stream<Item = Result<Value, StoreError>> + Send {
    let load = move |listed: Listed| async move {
        match of(store, &listed.account).await {
            // A store that has listed them does, so it is this one that does not, and it hides no other.
            Err(why) if why.kind() == StoreErrorKind::Unsuitable => {
                Ok(Some(unread(&listed.account, &why)))
            }
            shown => shown,
        }
    };
    let loaded = stream::iter(page).map(load).buffered(AT_ONCE);
    loaded.try_filter_map(|shown| std::future::ready(Ok(shown)))
}

/// One, if the store knows it.
pub(crate) async fn of(
    store: &SharedStore,
    name: &AccountName,
) -> Result<Option<Value>, StoreError> {
    Ok(shown(name, &store.load(name).await?.standing))
}

fn shown(name: &AccountName, standing: &Standing) -> Option<Value> {
    let record = match standing {
        Standing::Nothing => return None,
        Standing::Unreadable { why, .. } => return Some(unread(name, why)),
        Standing::Record(record) => record,
    };
    let unreadable = unreadable(record);
    let client = record
        .grant()
        .ok()
        .and_then(|grant| grant.client_id.as_deref());
    let state = match &unreadable {
        Some(_) => UNREADABLE,
        None => record.status.as_str(),
    };
    Some(json!({
        "account": name.as_str(),
        "state": state,
        "client": client,
        "generation": record.generation.number(),
        "seconds_left": record.expires_at.map(left),
        "failures": record.fails,
        "why": unreadable.or_else(|| record.last_error.clone()),
    }))
}

fn unread(name: &AccountName, why: &StoreError) -> Value {
    json!({ "account": name.as_str(), "state": UNREADABLE, "why": with_causes(why) })
}

fn left(end: Timestamp) -> u64 {
    end.saturating_since(SystemClock.now()).as_secs()
}
