//! A user agrees, and the account has tokens.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header::{ACCEPT, COOKIE, LOCATION, SET_COOKIE};
use http::{HeaderMap, StatusCode};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde_json::json;
use tower_mac_auth::AuthorizationCode;
use tower_mac_auth::provider::{AuthorizeRequest, Provider};
use tower_mac_auth::store::AccountName;

use super::Admin;
use super::asked::{Named, Query};
use super::pending::{LIFE, Login};
use crate::browsers::SEC_FETCH_SITE;
use crate::proxy::{Refusal, of_account};

/// Begins a login for a page or a program that asks for it: `to` is where the browser has to go.
pub(super) async fn begin<P: Provider>(
    State(admin): State<Arc<Admin<P>>>,
    Named(name): Named,
) -> Result<Response, Refusal> {
    let Begun { to, cookie } = begun(&admin, &name)?;
    Ok(([(SET_COOKIE, cookie)], Json(json!({ "to": to }))).into_response())
}

/// Leads to the provider. A browser is led to the page that asks first: whoever made it come here, by a
/// link in a mail for one, could otherwise have the account taken over by the user that this browser has a
/// session of.
pub(super) async fn lead<P: Provider>(
    State(admin): State<Arc<Admin<P>>>,
    Named(name): Named,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    if admin.has_login && is_browser(&headers) {
        let to = format!(
            "/?login={}",
            utf8_percent_encode(name.as_str(), NON_ALPHANUMERIC)
        );
        return Ok((StatusCode::SEE_OTHER, [(LOCATION, to)]).into_response());
    }
    let Begun { to, cookie } = begun(&admin, &name)?;
    let headers = [(LOCATION, to), (SET_COOKIE, cookie)];
    Ok((StatusCode::SEE_OTHER, headers).into_response())
}

/// What a browser shows says so; and what it loads besides gets no cookie from here by which it could end
/// a login.
fn is_browser(headers: &HeaderMap) -> bool {
    let accepts = headers.get_all(ACCEPT).into_iter();
    let mut kinds = accepts.flat_map(|accept| accept.as_bytes().split(|byte| b",;".contains(byte)));
    headers.contains_key(SEC_FETCH_SITE)
        || kinds.any(|kind| kind.trim_ascii().eq_ignore_ascii_case(b"text/html"))
}

/// A login that has begun.
struct Begun {
    /// The provider's page.
    to: String,
    cookie: String,
}

/// What comes back is taken from the browser with the cookie alone, once.
fn begun<P: Provider>(admin: &Admin<P>, name: &AccountName) -> Result<Begun, Refusal> {
    let state = AuthorizeRequest::random_state();
    let Some(to) = admin.endpoint.authorize_url(&state) else {
        let reason = "it is not known where users agree: start the gateway with --authorize-url";
        let refusal = Refusal::new(StatusCode::NOT_FOUND, "no_authorize_url", reason);
        return Err(refusal);
    };
    let login = Login::new(name.as_str(), to.code_verifier);
    let cookie = cookie(&state, &login.browser, LIFE.as_secs(), admin.secure_cookies);
    admin.pending.begin(state, login);
    let to = to.url;
    Ok(Begun { to, cookie })
}

/// What a provider's page sends a browser back with. Its `Debug` would show a code.
#[derive(Deserialize)]
pub(super) struct Back {
    state: Option<String>,
    code: Option<String>,
    error: Option<String>,
}

/// Exchanges the code that a browser brings.
pub(super) async fn callback<P: Provider>(
    State(admin): State<Arc<Admin<P>>>,
    Query(back): Query<Back>,
    headers: HeaderMap,
) -> Response {
    let state = back.state.unwrap_or_default();
    let login = admin.pending.end(&state);
    let login = login.filter(|login| brings(&headers, &cookie_name(&state), &login.browser));
    let Some(login) = login else {
        let reason = "this browser has begun no such login, or too long ago, or has ended it already: begin \
                      again at /login?account=NAME";
        return Refusal::new(StatusCode::FORBIDDEN, "state", reason).into_response();
    };
    let answer = match back.code {
        Some(code) => exchange(&admin, code, login).await,
        None => Err(not_agreed(back.error.as_deref())),
    };
    let done = cookie(&state, "", 0, admin.secure_cookies);
    match answer {
        Ok(answer) => ([(SET_COOKIE, done)], answer).into_response(),
        Err(refusal) => ([(SET_COOKIE, done)], refusal).into_response(),
    }
}

async fn exchange<P: Provider>(
    admin: &Admin<P>,
    code: String,
    login: Login,
) -> Result<Response, Refusal> {
    let mut code = AuthorizationCode::new(code);
    if let Some(verifier) = login.verifier {
        code = code.with_verifier(verifier);
    }
    let account = admin.accounts.authorize(&login.account, code).await;
    let account = account.map_err(|error| of_account(&error, admin.has_login))?;
    let generation = account.generation().number();
    Ok(Json(json!({ "account": login.account, "generation": generation })).into_response())
}

/// The provider's word for it, if it is one (RFC 6749 §4.1.2.1).
fn not_agreed(error: Option<&str>) -> Refusal {
    let is_word = |error: &&str| {
        error.len() <= 64
            && error
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte == b'_')
    };
    let reason = match error.filter(is_word) {
        Some(error) => format!("the provider sent no code, but: {error}"),
        None => "the provider sent no code".to_owned(),
    };
    Refusal::new(StatusCode::BAD_REQUEST, "not_authorized", reason)
}

/// How the names of its cookies begin. Browsers send them to the other ports of a host, too.
pub(crate) const LOGIN_COOKIE: &str = "mac_gateway_login_";

/// Of each login its own, so that two in one browser do not end each other.
fn cookie_name(state: &str) -> String {
    let part = state.get(..8).unwrap_or_default();
    format!("{LOGIN_COOKIE}{part}")
}

/// The provider's page leads back here, so `Strict` would keep it away.
fn cookie(state: &str, value: &str, seconds: u64, secure: bool) -> String {
    let name = cookie_name(state);
    let secure = if secure { "; Secure" } else { "" };
    format!("{name}={value}; Max-Age={seconds}; Path=/; HttpOnly; SameSite=Lax{secure}")
}

fn brings(headers: &HeaderMap, name: &str, value: &str) -> bool {
    let cookies = headers.get_all(COOKIE).into_iter();
    let mut pairs = cookies
        .filter_map(|cookies| cookies.to_str().ok())
        .flat_map(|cookies| cookies.split(';'))
        .filter_map(|pair| pair.trim().split_once('='));
    // Its 256 bits are drawn anew for each login, which ends with the question: time tells nothing.
    pairs.any(|(known, brought)| known == name && brought == value)
}
