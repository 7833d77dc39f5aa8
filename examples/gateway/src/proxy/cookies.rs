//! The cookies of logins at the admin address: they are nobody else's. Browsers send them to the other ports of
//! a host, and take them from there.

use http::header::{COOKIE, SET_COOKIE};
use http::{HeaderMap, HeaderValue};

use crate::admin::LOGIN_COOKIE;

/// Takes them out of a request.
pub(super) fn take_off_logins(headers: &mut HeaderMap) {
    let Some(cookies) = headers.get(COOKIE) else {
        return;
    };
    let crumbs = cookies.as_bytes().split(|byte| *byte == b';');
    let kept: Vec<_> = crumbs
        .filter(|crumb| !is_login(crumb))
        .map(<[u8]>::trim_ascii)
        .collect();
    match HeaderValue::from_bytes(&kept.join(&b"; "[..])) {
        Ok(kept) if !kept.is_empty() => drop(headers.insert(COOKIE, kept)),
        _ => drop(headers.remove(COOKIE)),
    }
}

/// Takes out of an answer what would set one.
pub(super) fn set_no_login(headers: &mut HeaderMap) {
    let set = headers.get_all(SET_COOKIE);
    let others = set.iter().filter(|cookie| !is_login(cookie.as_bytes()));
    let kept: Vec<_> = others.cloned().collect();
    if kept.len() == set.iter().count() {
        return;
    }
    headers.remove(SET_COOKIE);
    for cookie in kept {
        headers.append(SET_COOKIE, cookie);
    }
}

fn is_login(cookie: &[u8]) -> bool {
    let cookie = cookie.trim_ascii_start();
    // Without a name, it is sent as its value alone.
    let cookie = cookie.strip_prefix(b"=").unwrap_or(cookie);
    cookie
        .trim_ascii_start()
        .starts_with(LOGIN_COOKIE.as_bytes())
}
