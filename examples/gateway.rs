//! A gateway for many users: takes plain requests, signs each as the user who asks, passes them on
//! to the API. With axum.
//!
//! ```text
//! cargo run --example gateway --features full
//! ```
//!
//! Starts a provider, the gateway in front of it, and has two users ask the gateway twice; their
//! access tokens end in between, which they do not notice. A real gateway also checks who asks: here
//! a header that anybody can write says it.

#![expect(clippy::print_stdout, reason = "it tells a person what happens")]

use std::error::Error;

use axum::Router;
use axum::body::Body;
use axum::error_handling::HandleErrorLayer;
use axum::extract::State;
use axum::http::uri::{PathAndQuery, Uri};
use axum::http::{Request, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::{self, Client};
use hyper_util::rt::TokioExecutor;
use tower::ServiceBuilder;
use tower_mac_auth::account::{AccountErrorKind, Accounts};
use tower_mac_auth::layer::{AuthErrorKind, Error as CallError, MacAuthLayer};
use tower_mac_auth::testing::Provider;

/// Who asks.
const USER: &str = "x-user";

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let provider = Provider::new();
    let server = provider.serve().await?;
    // A real gateway gives them a store that outlives it.
    let accounts = Accounts::builder(server.endpoint()?).build();
    for user in ["li", "wang"] {
        // Where a real one takes the code from the request to its redirect URI.
        accounts
            .authorize(user, provider.authorization_code())
            .await?;
    }

    let api: Uri = server.url("/").parse()?;
    let signed = ServiceBuilder::new()
        // axum wants services that do not fail: an error becomes a response.
        .layer(HandleErrorLayer::new(answer))
        .map_request(move |request| toward(&api, request))
        // As the account that `as_user` gave the request, and never as another.
        .layer(MacAuthLayer::per_request(accounts.provider()))
        .service(Client::builder(TokioExecutor::new()).build_http());
    let gateway = Router::new()
        .fallback_service(signed)
        .layer(middleware::from_fn_with_state(accounts.clone(), as_user));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}/user/profile", listener.local_addr()?);
    tokio::spawn(async { axum::serve(listener, gateway).await });

    for what in [
        "a plain request",
        "the same, once the access tokens have ended",
    ] {
        for user in ["li", "wang"] {
            let request = Request::get(&url).header(USER, user);
            let request = request.body(Full::<Bytes>::default())?;
            let client = Client::builder(TokioExecutor::new()).build_http();
            let response = client.request(request).await?;
            println!("{user}, {what}: {}", response.status());
            if response.status() != StatusCode::OK {
                let body = response.into_body().collect().await?.to_bytes();
                return Err(String::from_utf8_lossy(&body).into());
            }
        }
        provider.expire_access_tokens();
    }
    accounts.shutdown().await;
    Ok(())
}

/// Gives the request the account of the user who asks.
async fn as_user(
    State(accounts): State<Accounts>,
    mut request: Request<Body>,
    next: Next,
) -> Response {
    let user = request.headers_mut().remove(USER);
    let Some(user) = user.as_ref().and_then(|user| user.to_str().ok()) else {
        return (StatusCode::UNAUTHORIZED, "who asks?").into_response();
    };
    match accounts.get(user).await {
        Ok(account) => {
            request.extensions_mut().insert(account);
            next.run(request).await
        }
        Err(error) => {
            report(&error);
            let status = match error.kind() {
                AccountErrorKind::Name | AccountErrorKind::NotAuthorized => StatusCode::FORBIDDEN,
                _ => StatusCode::SERVICE_UNAVAILABLE,
            };
            (status, "the gateway may not act for this user").into_response()
        }
    }
}

/// Points a request at the API, and takes off what was meant for the gateway alone.
fn toward(api: &Uri, mut request: Request<Body>) -> Request<Body> {
    let path_and_query = request.uri().path_and_query().cloned();
    let mut parts = api.clone().into_parts();
    parts.path_and_query = path_and_query.or(Some(PathAndQuery::from_static("/")));
    // Both halves were valid by themselves, and a URI with no host is refused by the layer.
    *request.uri_mut() = Uri::from_parts(parts).unwrap_or_default();
    // It names the gateway: the layer refuses a request with two hosts. hyper writes the right one.
    request.headers_mut().remove(header::HOST);
    for hop_by_hop in [header::CONNECTION, header::UPGRADE, header::COOKIE] {
        request.headers_mut().remove(hop_by_hop);
    }
    request
}

/// The details: an error says one thing, and its source the next.
fn report(error: &dyn Error) {
    eprint!("{error}");
    let mut next = error.source();
    while let Some(cause) = next {
        eprint!(": {cause}");
        next = cause.source();
    }
    eprintln!();
}

/// What the one who asked is told, in place of the details.
async fn answer(error: CallError<legacy::Error>) -> (StatusCode, &'static str) {
    report(&error);
    match error {
        CallError::Auth(error) if error.kind() == AuthErrorKind::Request => {
            (StatusCode::BAD_REQUEST, "this request cannot be signed")
        }
        CallError::Auth(_) => (
            StatusCode::SERVICE_UNAVAILABLE,
            "the gateway has no credential",
        ),
        CallError::Service(_) => (StatusCode::BAD_GATEWAY, "the API cannot be reached"),
    }
}
