//! The server's side: an axum route that only signed requests reach, and that knows who called.
//!
//! ```text
//! cargo run --example protect --features full
//! ```
//!
//! Starts the server, and calls it as a client does, then with the same request once more, and with a
//! key that is not the token's. Ends with an error if any of them gets what it should not.

#![expect(clippy::print_stdout, reason = "it tells a person what happens")]

use std::convert::Infallible;
use std::error::Error;
use std::time::Duration;

use axum::routing::get;
use axum::{Extension, Router};
use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use hyper_util::rt::TokioExecutor;
use tower_mac_auth::provider::RequestParts;
use tower_mac_auth::provider::xiaomi::{Credential, Nonce, SigningRules};
use tower_mac_auth::sign::{Algorithm, MacKey};
use tower_mac_auth::verify::{ReplayGuard, TokenKeys, Verified, Verifier, VerifyMacLayer};
use tower_mac_auth::{AccessToken, Clock, MacKeyText, SystemClock};

type BoxError = Box<dyn Error + Send + Sync>;

/// In place of a database.
async fn look_up(token: AccessToken) -> Result<Option<TokenKeys<String>>, Infallible> {
    let known = token.expose_secret() == "li's token";
    let key = || MacKey::new(Algorithm::HmacSha1, &MacKeyText::new("li's key")).ok();
    let known = known.then(key).flatten();
    Ok(known.map(|key| TokenKeys::new("li".to_owned(), key)))
}

async fn profile(Extension(Verified(user)): Extension<Verified<String>>) -> String {
    format!("hello, {user}")
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let nonces = ReplayGuard::new(Duration::from_secs(600), 1_000_000);
    let app = Router::new()
        .route("/user/profile", get(profile))
        .layer(VerifyMacLayer::new(Verifier::new(), look_up, nonces));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let authority = listener.local_addr()?.to_string();
    tokio::spawn(async { axum::serve(listener, app).await });

    let good = signed(&authority, "li's token", "li's key")?;
    for (what, request, expected) in [
        ("a signed request", good.clone(), 200),
        ("the same once more", good, 401),
        (
            "one with another key",
            signed(&authority, "li's token", "a guess")?,
            401,
        ),
        (
            "one with an unknown token",
            signed(&authority, "a guess", "li's key")?,
            401,
        ),
        (
            "one without",
            Request::get(format!("http://{authority}/user/profile")).body(Full::default())?,
            401,
        ),
    ] {
        let client: Client<HttpConnector, Full<Bytes>> =
            Client::builder(TokioExecutor::new()).build_http();
        let response = client.request(request).await?;
        let status = response.status();
        let body = response.into_body().collect().await?.to_bytes();
        println!("{what}: {status}, {}", String::from_utf8_lossy(&body));
        if status != expected {
            return Err(format!("{what} got {status}").into());
        }
    }
    Ok(())
}

/// What a client sends. One with a `MacAuthLayer` would have this done.
fn signed(authority: &str, token: &str, key: &str) -> Result<Request<Full<Bytes>>, BoxError> {
    let key = MacKey::new(Algorithm::HmacSha1, &MacKeyText::new(key))?;
    let credential = Credential::new(&AccessToken::new(token), key);
    let parts = RequestParts::new("GET", authority, "/user/profile");
    let nonce = Nonce::fresh(SystemClock.now());
    let signed = SigningRules::new().sign(&credential, &parts, &nonce)?;
    let mut request = Request::new(Full::default());
    let target = signed.set_headers(request.headers_mut())?;
    let target = target.map_or_else(|| "/user/profile".to_owned(), |target| target.to_string());
    *request.uri_mut() = format!("http://{authority}{target}").parse()?;
    Ok(request)
}
