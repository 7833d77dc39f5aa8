//! What a request asks. What cannot be read of it is said in JSON, as all else is.

use axum::extract::{FromRequestParts, OptionalFromRequestParts, Path};
use axum::response::{IntoResponse, Response};
use http::header::ALLOW;
use http::request::Parts;
use http::{HeaderValue, Method, StatusCode};
use percent_encoding::percent_decode_str;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tower_mac_auth::store::AccountName;

use crate::proxy::Refusal;

/// The query.
pub(super) struct Query<T>(pub(super) T);

impl<T: DeserializeOwned, S: Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        let query = parts.uri.query().unwrap_or_default();
        // It would be taken for another text.
        if percent_decode_str(query).decode_utf8().is_err() {
            return Err(bad("query", "the query is not UTF-8"));
        }
        let read = axum::extract::Query::try_from_uri(&parts.uri);
        let axum::extract::Query(read) = read.map_err(|error| bad("query", error.body_text()))?;
        Ok(Self(read))
    }
}

/// The account that is named by the path, or by the query: a path can have no `..`, which browsers resolve.
pub(super) struct Named(pub(super) AccountName);

#[derive(Deserialize)]
struct Account {
    #[serde(default)]
    account: String,
}

impl<S: Sync + Send> FromRequestParts<S> for Named {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        let path = <Path<String> as OptionalFromRequestParts<S>>::from_request_parts(parts, state);
        if let Some(Path(text)) = path.await.map_err(|error| bad("path", error.body_text()))? {
            return name(&text).map(Self);
        }
        let Query(asked) = Query::<Account>::from_request_parts(parts, state).await?;
        name(&asked.account).map(Self)
    }
}

pub(super) fn name(text: &str) -> Result<AccountName, Refusal> {
    AccountName::new(text).map_err(|error| bad("account_name", error.to_string()))
}

fn bad(error: &'static str, reason: impl Into<std::borrow::Cow<'static, str>>) -> Refusal {
    Refusal::new(StatusCode::BAD_REQUEST, error, reason)
}

/// Nothing has this path.
pub(super) async fn nothing() -> Refusal {
    let reason = "there is nothing at this path";
    Refusal::new(StatusCode::NOT_FOUND, "not_found", reason)
}

/// What has this path takes no such method; the router says which it takes.
pub(super) async fn no_method(method: Method) -> Refusal {
    let reason = format!("this path takes no {method}");
    Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "method", reason)
}

/// In the place of a GET that changes something.
pub(super) async fn no_head(method: Method) -> Response {
    let mut response = no_method(method).await.into_response();
    let headers = response.headers_mut();
    headers.insert(ALLOW, HeaderValue::from_static("GET"));
    response
}
