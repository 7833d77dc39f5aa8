//! A hyper client and a hyper server on loopback, with and without the layer: requests per second
//! with one and with 64 in flight.
//!
//! Three clients run in turns, many times in one run, and each turn is compared with the one
//! beside it: so the ratios hold on a machine that is busy with other things too.
//!
//! - `unsigned` sends the request as the caller makes it;
//! - `as signed` sends the bytes that the layer sends, signed once before: the query and the header
//!   that any signer adds, and the server and the kernel carry, but no work to make them;
//! - `layer` is the layer as it is by default: resend on, credentials put into the query.
//!
//! `layer` to `as signed` is what the layer costs, to `unsigned` what signing costs in all. `cargo
//! bench --manifest-path benches/Cargo.toml --bench loopback`.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a bench may stop, and tells"
)]

use std::fmt::Debug;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Request, Response, StatusCode, Uri};
use http_body::Body;
use http_body_util::{BodyExt, Empty};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use tokio::runtime::Builder;
use tower::{Layer, Service, ServiceExt};
use tower_mac_auth::account::Account;
use tower_mac_auth::layer::MacAuthLayer;
use tower_mac_auth::testing::Provider;

mod common;

use common::loopback::{Template, serve, sign};
use common::memory::ANSWER;

fn main() {
    let test = std::env::args().any(|argument| argument == "--test");
    let server = serve();
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        for (in_flight, turns, requests) in [(1, 120, 1_000), (64, 120, 2_560)] {
            let (turns, requests) = if test {
                (2, in_flight)
            } else {
                (turns, requests)
            };
            compare(server, in_flight, turns, requests).await;
        }
    });
}

/// Runs each client `turns` times, for so many requests each time.
async fn compare(server: SocketAddr, in_flight: usize, turns: usize, requests: usize) {
    let provider = Provider::new();
    let tokens = provider.issue(Duration::from_secs(3600));
    let account = Account::builder(provider.endpoint()).tokens(tokens);
    let account = account.open("bench").await.unwrap();
    let layer = MacAuthLayer::new(account);
    let layer = layer.allow(&server.to_string()).unwrap();

    let plain = Client::builder(TokioExecutor::new()).build_http();
    let signed = Client::builder(TokioExecutor::new()).build_http();
    let signing = layer.layer(Client::builder(TokioExecutor::new()).build_http());
    let uri: Uri = format!("http://{server}/user/profile").parse().unwrap();
    let unsigned = Template {
        uri,
        authorization: None,
    };
    let as_signed = sign(&layer, unsigned.request());
    let run = async |client: usize, requests| match client {
        0 => turn(&plain, &unsigned, in_flight, requests).await,
        1 => turn(&signed, &as_signed, in_flight, requests).await,
        _ => turn(&signing, &unsigned, in_flight, requests).await,
    };
    // Connections, and whatever else is there only once.
    for client in 0..3 {
        run(client, 4 * in_flight).await;
    }
    let mut rounds = Vec::with_capacity(turns);
    for number in 0..turns {
        // None is always the first.
        let mut round = [0.0; 3];
        for client in 0..3 {
            let client = (client + number) % 3;
            round[client] = run(client, requests).await;
        }
        rounds.push(round);
    }
    let median = |of: &dyn Fn(&[f64; 3]) -> f64| {
        let mut all: Vec<_> = rounds.iter().map(of).collect();
        all.sort_by(f64::total_cmp);
        all[all.len() / 2]
    };
    println!(
        "loopback, {in_flight:2} in flight: {:6.0} requests/s unsigned, {:6.0} as signed, {:6.0} \
         with the layer; ratio to as signed {:.3}, to unsigned {:.3}",
        median(&|[plain, _, _]| *plain),
        median(&|[_, signed, _]| *signed),
        median(&|[_, _, signing]| *signing),
        median(&|[_, signed, signing]| signing / signed),
        median(&|[plain, _, signing]| signing / plain),
    );
}

/// Sends `requests`, so many at once; how many a second that was.
#[expect(clippy::disallowed_methods, reason = "a stopwatch")]
async fn turn<S, B>(client: &S, template: &Template, in_flight: usize, requests: usize) -> f64
where
    S: Service<Request<Empty<Bytes>>, Response = Response<B>, Error: Debug, Future: Send>,
    S: Clone + Send + 'static,
    B: Body<Data: Send, Error: Debug> + Send + 'static,
{
    let began = Instant::now();
    let each = requests / in_flight;
    let workers: Vec<_> = (0..in_flight)
        .map(|_| {
            let (mut client, template) = (client.clone(), template.clone());
            tokio::spawn(async move {
                for _ in 0..each {
                    let request = template.request();
                    let response = client.ready().await.unwrap().call(request).await.unwrap();
                    assert_eq!(response.status(), StatusCode::OK);
                    let body = response.into_body().collect().await.unwrap();
                    assert_eq!(body.to_bytes().len(), ANSWER.len());
                }
            })
        })
        .collect();
    for worker in workers {
        worker.await.unwrap();
    }
    #[expect(clippy::cast_precision_loss, reason = "a few thousand")]
    let sent = (each * in_flight) as f64;
    sent / began.elapsed().as_secs_f64()
}
