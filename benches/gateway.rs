//! A gateway on loopback, with the layer and with the layer taken out: requests per second and the
//! slowest hundredth, with 64 connections.
//!
//! Load, gateway and API share one process and its threads. Both gateways run in turns, many times in
//! one run, and each turn is compared with the one beside it. Each is
//! [`Upstream`](tower_mac_auth::forward::Upstream) between hyper's server and hyper's client; the one
//! that does not sign is sent what the other makes, query and header, so that the API gets the same
//! bytes from both. `cargo bench --manifest-path benches/Cargo.toml --bench gateway`.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a bench may stop, and tells"
)]

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use http::{Request, Response, Uri};
use http_body::Body;
use http_body_util::{BodyExt, Empty, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpListener;
use tower::{Layer, Service, ServiceExt, service_fn as tower_fn};
use tower_mac_auth::account::Account;
use tower_mac_auth::forward::Upstream;
use tower_mac_auth::layer::MacAuthLayer;
use tower_mac_auth::testing::Provider;

mod common;

const CONNECTIONS: usize = 64;

fn main() {
    let test = std::env::args().any(|argument| argument == "--test");
    let (turns, requests) = if test { (2, 1) } else { (60, 40) };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(compare(turns, requests));
}

async fn compare(turns: usize, requests: usize) {
    let api = listen().await;
    let api_addr = api.local_addr().unwrap();
    serve(api, tower_fn(async |_: Request<Incoming>| Ok(answer())));

    let provider = Provider::new();
    let tokens = provider.issue(Duration::from_secs(3600));
    let account = Account::builder(provider.endpoint()).tokens(tokens);
    let account = account.open("bench").await.unwrap();
    let layer = MacAuthLayer::new(account);
    let layer = layer.allow(&api_addr.to_string()).unwrap();
    let upstream = Upstream::new(&format!("http://{api_addr}")).unwrap();
    let upstream = upstream.with_via("bench").unwrap();

    let bare = listen().await;
    let bare_addr = bare.local_addr().unwrap();
    let client = Client::builder(TokioExecutor::new()).build_http();
    serve(bare, forward(upstream.clone(), client));
    let signing = listen().await;
    let signing_addr = signing.local_addr().unwrap();
    let client = Client::builder(TokioExecutor::new()).build_http();
    serve(signing, forward(upstream, layer.layer(client)));

    let as_signed = signed(&layer, api_addr).await;
    let (path, authorization) = &as_signed;
    let bare_request = request(bare_addr, path, Some(authorization));
    let signed_request = request(signing_addr, "/user/profile", None);
    let client = || Client::builder(TokioExecutor::new()).build_http();
    let (to_signing, to_bare) = (client(), client());
    let mut rounds = Vec::new();
    for number in 0..=turns {
        // Neither is always the first.
        let (with, without) = if number % 2 == 0 {
            let with = load(&to_signing, &signed_request, requests).await;
            (with, load(&to_bare, &bare_request, requests).await)
        } else {
            let without = load(&to_bare, &bare_request, requests).await;
            (load(&to_signing, &signed_request, requests).await, without)
        };
        // The first opens the connections.
        if number > 0 {
            rounds.push((with, without));
        }
    }
    let median = |of: &dyn Fn(&(Load, Load)) -> f64| {
        let mut all: Vec<_> = rounds.iter().map(of).collect();
        all.sort_by(f64::total_cmp);
        all[all.len() / 2]
    };
    println!(
        "gateway, {CONNECTIONS} connections: {:.0} requests/s with the layer, {:.0} without; ratio \
         {:.3}; p99 {:.0} us with, {:.0} us without; ratio {:.3}",
        median(&|(with, _)| with.rate),
        median(&|(_, without)| without.rate),
        median(&|(with, without)| with.rate / without.rate),
        median(&|(with, _)| with.p99 * 1e6),
        median(&|(_, without)| without.p99 * 1e6),
        median(&|(with, without)| with.p99 / without.p99),
    );
}

async fn listen() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").await.unwrap()
}

fn answer() -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(common::memory::ANSWER.into()));
    let json = HeaderValue::from_static("application/json;charset=UTF-8");
    response.headers_mut().insert(CONTENT_TYPE, json);
    response
}

fn serve<S, B>(listener: TcpListener, service: S)
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>,
    S: Clone + Send + 'static,
    S::Future: Send,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            stream.set_nodelay(true).unwrap();
            let service = service.clone();
            let service = service_fn(move |request| service.clone().oneshot(request));
            let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
            tokio::spawn(connection);
        }
    });
}

/// The gateway around a client.
fn forward<C, B>(
    upstream: Upstream,
    client: C,
) -> impl Service<Request<Incoming>, Response = Response<B>, Error = Infallible, Future: Send>
+ Clone
+ Send
+ 'static
where
    C: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
    C::Future: Send,
    C::Error: std::fmt::Debug,
    B: Send + 'static,
{
    tower_fn(move |mut request: Request<Incoming>| {
        let (upstream, client) = (upstream.clone(), client.clone());
        async move {
            let asked = upstream.request(&mut request).unwrap();
            let mut response = client.oneshot(request).await.unwrap();
            upstream.response(&asked, &mut response).unwrap();
            Ok(response)
        }
    })
}

/// The path and the header that the layer sends.
async fn signed(layer: &MacAuthLayer, api: SocketAddr) -> (String, HeaderValue) {
    let sent = Arc::new(Mutex::new(None));
    let keep = Arc::clone(&sent);
    let service = layer.layer(tower_fn(move |request: Request<_>| {
        let path = request.uri().path_and_query().unwrap().to_string();
        let authorization = request.headers()[AUTHORIZATION].clone();
        *keep.lock().unwrap() = Some((path, authorization));
        std::future::ready(Ok::<_, Infallible>(answer()))
    }));
    let request = request(api, "/user/profile", None);
    service.oneshot(request).await.unwrap();
    let sent = sent.lock().unwrap().take();
    sent.unwrap()
}

fn request(
    at: SocketAddr,
    path: &str,
    authorization: Option<&HeaderValue>,
) -> Request<Empty<Bytes>> {
    let uri: Uri = format!("http://{at}{path}").parse().unwrap();
    let mut request = common::memory::get(&uri);
    if let Some(authorization) = authorization {
        let headers = request.headers_mut();
        headers.insert(AUTHORIZATION, authorization.clone());
    }
    request
}

type HttpClient = Client<HttpConnector, Empty<Bytes>>;

struct Load {
    /// Requests per second.
    rate: f64,
    /// Of one request, in seconds.
    p99: f64,
}

/// `requests` on each connection, one after the other.
#[expect(clippy::disallowed_methods, reason = "a stopwatch")]
async fn load(client: &HttpClient, request: &Request<Empty<Bytes>>, requests: usize) -> Load {
    let began = Instant::now();
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..CONNECTIONS {
        let (client, request) = (client.clone(), request.clone());
        tasks.spawn(async move {
            let mut took = Vec::with_capacity(requests);
            for _ in 0..requests {
                let began = Instant::now();
                let response = client.request(request.clone()).await.unwrap();
                assert!(response.status().is_success(), "{response:?}");
                response.into_body().collect().await.unwrap();
                took.push(began.elapsed().as_secs_f64());
            }
            took
        });
    }
    let mut took: Vec<f64> = tasks.join_all().await.concat();
    let all = began.elapsed().as_secs_f64();
    took.sort_by(f64::total_cmp);
    #[expect(clippy::cast_precision_loss, reason = "thousands")]
    Load {
        rate: took.len() as f64 / all,
        p99: took[took.len() * 99 / 100],
    }
}
