//! Whether the keys that were given open a record.

use tower_mac_auth::store::{Record, Secrets};

use crate::trouble::with_causes;

/// Why the secrets of a record cannot be read, with the id of the key that sealed them; `None` if they
/// can.
pub(crate) fn unreadable(record: &Record) -> Option<String> {
    match &record.secrets {
        Secrets::Open(_) => None,
        Secrets::Sealed(sealed) => Some(match sealed.key_id() {
            Some(id) => format!("it is sealed with a key, and no key is given: key id {id:?}"),
            None => "it is sealed by another program".to_owned(),
        }),
        Secrets::Unreadable(why) => Some(with_causes(why)),
    }
}
