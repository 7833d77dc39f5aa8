//! See it work: a provider on a socket, a hyper client with the layer, 500 calls that notice at
//! once that the access token has ended.
//!
//! ```text
//! cargo run --manifest-path examples/quickstart/Cargo.toml
//! ```
//!
//! Ends with an error if a refresh token was presented more than once, or any call failed, or
//! another figure is not what it should be.

use std::error::Error;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use tokio::task::JoinSet;
use tower::{Service, ServiceBuilder, ServiceExt};
use tower_mac_auth::account::Account;
use tower_mac_auth::layer::{Attempt, MacAuthLayer};
use tower_mac_auth::testing::Provider;
use tower_mac_auth::{Clock, SystemClock};

const CALLS: usize = 500;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    // A strict provider on a port of this machine. Its refresh tokens work once, and one that is
    // presented twice ends the grant.
    let provider = Provider::builder().reuse_kills_grant(true).build();
    let server = provider.serve().await?;
    println!("a provider listens on {}", server.addr());

    // Outside of tests: `Account::builder(Xiaomi::new(client_id, client_secret, redirect_uri))`,
    // and `.authorize("user-42", code)` in place of the last two.
    let account = Account::builder(server.endpoint()?)
        .tokens(provider.issue(Duration::from_secs(3600)))
        .open("user-42")
        .await?;

    // HTTP/2, so that 500 calls take one connection and not 500 open files.
    let hyper_client = Client::builder(TokioExecutor::new())
        .http2_only(true)
        .build_http();
    let mut client = ServiceBuilder::new()
        .layer(MacAuthLayer::new(account.clone()))
        .service(hyper_client);
    let request = || Request::get(server.url("/user/profile")).body(Full::<Bytes>::default());

    let response = client.ready().await?.call(request()?).await?;
    println!(
        "one signed call:                  {}, with the credential of generation {}",
        response.status(),
        account.generation()
    );

    provider.expire_access_tokens();
    provider.clear_records();
    println!("the access token ends, and nobody is told");

    let start = SystemClock.now();
    let mut signed = Vec::with_capacity(CALLS);
    for _ in 0..CALLS {
        // Signed here, so each of them with the credential that is no longer any good; sent once
        // they are polled.
        signed.push(client.ready().await?.call(request()?));
    }
    let mut calls = JoinSet::new();
    for call in signed {
        calls.spawn(async move {
            let response = call.await?;
            let good = response.status() == StatusCode::OK;
            let resent = response.extensions().get() == Some(&Attempt::RESEND);
            // To its end, so that "it worked" means all of it.
            response.into_body().collect().await?;
            Ok::<_, Box<dyn Error + Send + Sync>>((good, resent))
        });
    }
    let ended = calls.join_all().await;
    let took = SystemClock.now().saturating_since(start);

    let resent = ended
        .iter()
        .filter(|call| matches!(call, Ok((_, true))))
        .count();
    let failed = ended
        .iter()
        .filter(|call| !matches!(call, Ok((true, _))))
        .count();
    let refused = provider.refused().len();
    let presented = provider.presentations().len();
    println!("{CALLS} concurrent calls:             {took:?} in all");
    println!("  refused by the API:             {refused}");
    println!("  signed anew and resent:         {resent}");
    println!("  refresh tokens presented:       {presented}");
    println!("  failed:                         {failed}");
    println!(
        "the credential is now of generation {}",
        account.generation()
    );

    account.shutdown().await;
    if (refused, resent, presented, failed) != (CALLS, CALLS, 1, 0) {
        return Err(format!("these are not the figures expected: {ended:?}").into());
    }
    Ok(())
}
