//! Who signs.

use http::header::{
    AUTHORIZATION, CONNECTION, CONTENT_LENGTH, EXPECT, HOST, HeaderName, PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION, TE, TRAILER, TRANSFER_ENCODING, UPGRADE, VIA,
};
use tower_mac_auth::store::AccountName;

use super::{Flags, Problems};
use crate::proxy::Tenant;

/// Headers that HTTP, or the gateway, has a use for: taken off, or with a name in it, a request is another.
const NOT_FREE: [HeaderName; 14] = [
    AUTHORIZATION,
    CONNECTION,
    CONTENT_LENGTH,
    EXPECT,
    HOST,
    HeaderName::from_static("keep-alive"),
    PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION,
    HeaderName::from_static("proxy-connection"),
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
    VIA,
];

const RIGHT: &str = "--account NAME if one account signs all, or --account-header x-account";

pub(super) fn tenant(flags: &Flags) -> Result<Tenant, Problems> {
    let wrong = |what| Err(Problems::one("--account", what));
    match (&flags.account, &flags.account_header) {
        (None, None) => wrong(format!("it is not said who signs: give {RIGHT}")),
        (Some(_), Some(_)) => wrong(format!("is given besides --account-header: give {RIGHT}")),
        (Some(name), None) => match AccountName::new(name) {
            Ok(name) => Ok(Tenant::One(name)),
            Err(error) => wrong(format!("{error}; a right one is --account alice")),
        },
        (None, Some(name)) => {
            let name = HeaderName::try_from(name.as_str()).ok();
            let free = name.filter(|name| !NOT_FREE.contains(name));
            let what = "is no header, or one that has a use: give one of your own, as in --account-header x-account";
            free.map(Tenant::Header)
                .ok_or_else(|| Problems::one("--account-header", what))
        }
    }
}
