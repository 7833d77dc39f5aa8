//! Two vendors that the library does not know, each in a file of its own: TikTok Shop (202309) and
//! Lazada. Neither issues a key with the token: what signs is the client's own secret.
//!
//! ```text
//! cargo run --example vendors --features full
//! ```
//!
//! For each, starts a server in place of the vendor's, which holds every request to the vendor's rules,
//! and lets the access token end. Then a hundred calls are made at once. Ends with an error if a
//! refresh token was presented more than once, or any call failed.

#![expect(clippy::print_stdout, reason = "it tells a person what happens")]

mod lazada;
mod parameters;
mod stand_in;
mod tiktok_shop;

use std::error::Error;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use tokio::task::JoinSet;
use tower::{Service, ServiceBuilder, ServiceExt};
use tower_mac_auth::account::Account;
use tower_mac_auth::layer::MacAuthLayer;
use tower_mac_auth::provider::Provider;

use self::lazada::Lazada;
use self::stand_in::{CODE, StandIn};
use self::tiktok_shop::TikTokShop;

const CALLS: usize = 100;

type BoxError = Box<dyn Error + Send + Sync>;

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let server = StandIn::serve(stand_in::tiktok_shop).await?;
    let tiktok_shop = TikTokShop::new("29a39d", "e59af819cc")?.with_server(&server.url())?;
    let url = format!("{}/order/202309/orders", server.url());
    storm("TikTok Shop", tiktok_shop, &server, |call| {
        let url = format!("{url}/search?shop_cipher=ROW_{call}&page_size=20");
        let orders = if call % 2 == 0 {
            Request::get(url).body(Full::default())
        } else {
            Request::post(url).body(Full::from(format!("{{\"order_status\":{call}}}")))
        };
        orders.map(|mut request| {
            let json = http::HeaderValue::from_static("application/json");
            request.headers_mut().insert(CONTENT_TYPE, json);
            request
        })
    })
    .await?;

    let server = StandIn::serve(stand_in::lazada).await?;
    let lazada = Lazada::new("123456", "helloworld")?.with_server(&server.url())?;
    let url = format!("{}/rest/order", server.url());
    storm("Lazada", lazada, &server, |call| {
        if call % 2 == 0 {
            Request::get(format!("{url}/get?order_id={call}&note=a%20b")).body(Full::default())
        } else {
            Request::post(format!("{url}/pack"))
                .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
                .body(Full::from(format!("order_id={call}&note=a+b%26c")))
        }
    })
    .await
}

/// Lets the access token end, and makes the calls.
async fn storm<P: Provider>(
    name: &str,
    provider: P,
    server: &StandIn,
    request: impl Fn(usize) -> http::Result<Request<Full<Bytes>>>,
) -> Result<(), BoxError> {
    let account = Account::builder(provider).authorize("seller", CODE).await?;
    let mut client = ServiceBuilder::new()
        .layer(MacAuthLayer::new(account.clone()))
        .service(Client::builder(TokioExecutor::new()).build_http());
    let mut accepted = 0;
    for call in 0..2 {
        let response = client.ready().await?.call(request(call)?).await?;
        accepted += usize::from(response.status() == StatusCode::OK);
    }

    server.expire_access_token();
    let mut signed = Vec::with_capacity(CALLS);
    for call in 0..CALLS {
        // Those without a body are signed here, with the credential that is no longer any good.
        signed.push(client.ready().await?.call(request(call)?));
    }
    let mut calls = JoinSet::new();
    for call in signed {
        calls.spawn(async move {
            let response = call.await?;
            let status = response.status();
            let body = response.into_body().collect().await?.to_bytes();
            if status != StatusCode::OK || !body.starts_with(b"{\"code\":0,\"data\"") {
                return Err(format!("{status}: {}", String::from_utf8_lossy(&body)).into());
            }
            Ok::<_, BoxError>(())
        });
    }
    let failed: Vec<_> = calls
        .join_all()
        .await
        .into_iter()
        .filter_map(Result::err)
        .collect();
    account.shutdown().await;

    let (refused, presented) = (server.refused(), server.presented());
    println!("{name}, {CALLS} concurrent calls once the access token has ended:");
    println!("  signed and accepted before:     {accepted}");
    println!("  refused by the API:             {refused}");
    println!("  refresh tokens presented:       {presented}");
    println!("  failed:                         {}", failed.len());
    if accepted != 2 || refused < CALLS / 2 || presented != 1 || !failed.is_empty() {
        return Err(format!("these are not the figures expected: {failed:?}").into());
    }
    Ok(())
}
