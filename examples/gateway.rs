//! A gateway: takes plain requests, signs them, passes them on to the API. With axum.
//!
//! ```text
//! cargo run --example gateway --features full
//! ```
//!
//! Starts a provider, the gateway in front of it, and asks the gateway twice; the access token ends
//! in between, which the one who asks does not notice. A real gateway also checks who asks: here
//! everybody would act as the one user.

#![expect(clippy::print_stdout, reason = "it tells a person what happens")]

use std::error::Error;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::error_handling::HandleErrorLayer;
use axum::http::uri::{PathAndQuery, Uri};
use axum::http::{Request, StatusCode, header};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::{self, Client};
use hyper_util::rt::TokioExecutor;
use tower::ServiceBuilder;
use tower_mac_auth::account::Account;
use tower_mac_auth::layer::{AuthErrorKind, Error as CallError, MacAuthLayer};
use tower_mac_auth::testing::Provider;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let provider = Provider::new();
    let server = provider.serve().await?;
    let account = Account::builder(server.endpoint()?)
        .tokens(provider.issue(Duration::from_secs(3600)))
        .open("the-user")
        .await?;

    let api: Uri = server.url("/").parse()?;
    let signed = ServiceBuilder::new()
        // axum wants services that do not fail: an error becomes a response.
        .layer(HandleErrorLayer::new(answer))
        .map_request(move |request| toward(&api, request))
        .layer(MacAuthLayer::xiaomi(account.clone()).allow(&server.authority())?)
        .service(Client::builder(TokioExecutor::new()).build_http());
    let gateway = Router::new().fallback_service(signed);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}/user/profile", listener.local_addr()?);
    tokio::spawn(async { axum::serve(listener, gateway).await });

    for what in [
        "a plain request",
        "the same, once the access token has ended",
    ] {
        let client = Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>();
        let response = client.get(url.parse()?).await?;
        println!("{what}: {}", response.status());
        if response.status() != StatusCode::OK {
            let body = response.into_body().collect().await?.to_bytes();
            return Err(String::from_utf8_lossy(&body).into());
        }
        provider.expire_access_tokens();
    }
    account.shutdown().await;
    Ok(())
}

/// Points a request at the API, and takes off what was meant for the gateway alone.
fn toward(api: &Uri, mut request: Request<Body>) -> Request<Body> {
    let path_and_query = request.uri().path_and_query().cloned();
    let mut parts = api.clone().into_parts();
    parts.path_and_query = path_and_query.or(Some(PathAndQuery::from_static("/")));
    // Both halves were valid by themselves, and a URI with no host is refused by the layer.
    *request.uri_mut() = Uri::from_parts(parts).unwrap_or_default();
    // Left in, it would be signed and sent as the API's name; hyper writes the right one.
    request.headers_mut().remove(header::HOST);
    for hop_by_hop in [header::CONNECTION, header::UPGRADE, header::COOKIE] {
        request.headers_mut().remove(hop_by_hop);
    }
    request
}

/// What the one who asked is told, in place of the details.
async fn answer(error: CallError<legacy::Error>) -> (StatusCode, &'static str) {
    eprintln!("{error}");
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
