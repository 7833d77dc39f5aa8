//! A hyper client whose requests are signed: the lines to copy.
//!
//! Without an environment it explains itself. With one it asks the real API for the profile of
//! the user whose authorization code it is given; a code works once, for a few minutes.
//!
//! ```text
//! XIAOMI_CLIENT_ID=… XIAOMI_CLIENT_SECRET=… XIAOMI_REDIRECT_URI=… XIAOMI_CODE=… \
//!     cargo run --example hyper_client
//! ```

#![expect(clippy::print_stdout, reason = "it shows a person what it got")]

use std::env;
use std::error::Error;

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper_rustls::HttpsConnectorBuilder;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use tower::{ServiceBuilder, ServiceExt};
use tower_mac_auth::account::Account;
use tower_mac_auth::layer::MacAuthLayer;
use tower_mac_auth::provider::Xiaomi;

const VARIABLES: [&str; 4] = [
    "XIAOMI_CLIENT_ID",
    "XIAOMI_CLIENT_SECRET",
    "XIAOMI_REDIRECT_URI",
    "XIAOMI_CODE",
];

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let [Ok(client_id), Ok(client_secret), Ok(redirect_uri), Ok(code)] = VARIABLES.map(env::var)
    else {
        println!("Asks the Xiaomi Open API for a user's profile, with a signed request.");
        println!("Set these and run it again; nothing was sent:");
        for name in VARIABLES {
            let state = if env::var_os(name).is_some() {
                "set"
            } else {
                "missing"
            };
            println!("  {name}: {state}");
        }
        println!("The code is what the user's browser brings to your redirect URI.");
        return Ok(());
    };

    let xiaomi = Xiaomi::new(client_id, client_secret, redirect_uri);
    // One account for each user. Without `.store(…)` its tokens are gone with the process.
    let account = Account::builder(xiaomi).authorize("user-42", code).await?;

    // Any `tower::Service` that takes an `http::Request` will do here.
    let https = HttpsConnectorBuilder::new()
        .try_with_platform_verifier()?
        .https_only()
        .enable_http1()
        .build();
    let client = ServiceBuilder::new()
        .layer(MacAuthLayer::new(account.clone()))
        .service(Client::builder(TokioExecutor::new()).build(https));

    let request = Request::get("https://open.account.xiaomi.com/user/profile")
        .body(Full::<Bytes>::default())?;
    let response = client.oneshot(request).await?;
    println!("{}", response.status());
    let body = response.into_body().collect().await?.to_bytes();
    println!("{}", String::from_utf8_lossy(&body));

    // Before the process ends: a refresh that has sent is waited for.
    account.shutdown().await;
    Ok(())
}
