//! A hyper client and a hyper server on loopback, with and without the layer: requests per second
//! with one and with 64 in flight.
//!
//! Both clients run in turns, many times in one run, and each turn is compared with the one
//! beside it: so the ratio holds on a machine that is busy with other things too. `cargo bench
//! --manifest-path benches/Cargo.toml --bench loopback`.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a bench may stop, and tells"
)]

use std::convert::Infallible;
use std::fmt::Debug;
use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Request, Response, StatusCode, Uri};
use http_body::Body;
use http_body_util::{BodyExt, Empty, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpListener;
use tokio::runtime::Builder;
use tokio::task::LocalSet;
use tower::{Layer, Service, ServiceExt};
use tower_mac_auth::account::Account;
use tower_mac_auth::layer::MacAuthLayer;
use tower_mac_auth::testing::Provider;

mod common;

use common::memory::{ANSWER, get};

fn main() {
    let test = std::env::args().any(|argument| argument == "--test");
    let server = serve();
    let local = LocalSet::new();
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    local.block_on(&runtime, async {
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

/// Runs both clients `turns` times, for so many requests each time.
async fn compare(server: SocketAddr, in_flight: usize, turns: usize, requests: usize) {
    let provider = Provider::new();
    let tokens = provider.issue(Duration::from_secs(3600));
    let account = Account::builder(provider.endpoint()).tokens(tokens);
    let account = account.open("bench").await.unwrap();
    let layer = MacAuthLayer::xiaomi(account);
    let layer = layer.allow(&server.to_string()).unwrap();

    let bare = Client::builder(TokioExecutor::new()).build_http();
    let signing = layer.layer(Client::builder(TokioExecutor::new()).build_http());
    let uri: Uri = format!("http://{server}/user/profile").parse().unwrap();
    // Connections, and whatever else is there only once.
    turn(&bare, &uri, in_flight, 4 * in_flight).await;
    turn(&signing, &uri, in_flight, 4 * in_flight).await;
    let mut pairs = Vec::with_capacity(turns);
    for number in 0..turns {
        // Neither is always the first.
        pairs.push(if number % 2 == 0 {
            let bare = turn(&bare, &uri, in_flight, requests).await;
            (bare, turn(&signing, &uri, in_flight, requests).await)
        } else {
            let signing = turn(&signing, &uri, in_flight, requests).await;
            (turn(&bare, &uri, in_flight, requests).await, signing)
        });
    }
    let median = |of: &dyn Fn(&(f64, f64)) -> f64| {
        let mut all: Vec<_> = pairs.iter().map(of).collect();
        all.sort_by(f64::total_cmp);
        all[all.len() / 2]
    };
    println!(
        "loopback, {in_flight:2} in flight: {:6.0} requests/s bare, {:6.0} with the layer, ratio {:.3}",
        median(&|(bare, _)| *bare),
        median(&|(_, signing)| *signing),
        median(&|(bare, signing)| signing / bare),
    );
}

/// Sends `requests`, so many at once; how many a second that was.
#[expect(clippy::disallowed_methods, reason = "a stopwatch")]
async fn turn<S, B>(client: &S, uri: &Uri, in_flight: usize, requests: usize) -> f64
where
    S: Service<Request<Empty<Bytes>>, Response = Response<B>, Error: Debug> + Clone + 'static,
    B: Body<Error: Debug> + 'static,
{
    let began = Instant::now();
    let each = requests / in_flight;
    let workers: Vec<_> = (0..in_flight)
        .map(|_| {
            let (mut client, uri) = (client.clone(), uri.clone());
            tokio::task::spawn_local(async move {
                for _ in 0..each {
                    let response = client.ready().await.unwrap().call(get(&uri)).await.unwrap();
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

/// Starts a server in a thread of its own, which ends with the process.
fn serve() -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = TcpListener::from_std(listener).unwrap();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                stream.set_nodelay(true).unwrap();
                let connection = http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), service_fn(answer));
                tokio::spawn(async { drop(connection.await) });
            }
        })
    });
    address
}

async fn answer(_: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let mut response = Response::new(Full::new(Bytes::from_static(ANSWER.as_bytes())));
    response.headers_mut().insert(
        CONTENT_TYPE,
        HeaderValue::from_static("application/json;charset=UTF-8"),
    );
    Ok(response)
}
