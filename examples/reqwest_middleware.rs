//! The layer as a middleware of reqwest-middleware: 500 calls notice at once that the access token has
//! ended.
//!
//! ```text
//! cargo run --example reqwest_middleware --features full
//! ```
//!
//! Ends with an error if a refresh token was presented more than once, or any call failed.

#![expect(clippy::print_stdout, reason = "it tells a person what happens")]

use std::error::Error;
use std::time::Duration;

use reqwest::{StatusCode, redirect};
use reqwest_middleware::ClientBuilder;
use tokio::task::JoinSet;
use tower_mac_auth::account::Account;
use tower_mac_auth::layer::MacAuthLayer;
use tower_mac_auth::testing::Provider;

const CALLS: usize = 500;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    // Only because reqwest is built here without a choice of its own.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let provider = Provider::builder().reuse_kills_grant(true).build();
    let server = provider.serve().await?;
    let account = Account::builder(server.endpoint()?)
        .tokens(provider.issue(Duration::from_secs(3600)))
        .open("user-42")
        .await?;

    // reqwest follows redirects below the middlewares, with a MAC that is not over the new path. So it
    // is not to follow any.
    let client = reqwest::Client::builder()
        .redirect(redirect::Policy::none())
        .http2_prior_knowledge()
        .build()?;
    // A retry would go before the layer: each try needs a nonce of its own.
    let client = ClientBuilder::new(client)
        .with(MacAuthLayer::new(account.clone()))
        .build();

    provider.expire_access_tokens();
    let mut calls = JoinSet::new();
    for _ in 0..CALLS {
        calls.spawn(client.get(server.url("/user/profile")).send());
    }
    let mut good = 0;
    for response in calls.join_all().await {
        let response = response?;
        good += usize::from(response.status() == StatusCode::OK);
        // To its end, so that "it worked" means all of it.
        response.bytes().await?;
    }
    let presented = provider.presentations().len();
    println!("{good} of {CALLS} calls succeeded, with {presented} refresh token presented");

    account.shutdown().await;
    if (good, presented) != (CALLS, 1) {
        return Err("these are not the figures expected".into());
    }
    Ok(())
}
