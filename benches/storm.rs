//! The time from the moment a credential dies until every request in flight has succeeded: the
//! layer against a provider in process, 1, 100 and 10,000 requests refused at once.
//!
//! Each storm also has to keep the promise: one presentation of the refresh token, no request
//! failed, no task left over. `cargo bench --manifest-path benches/Cargo.toml --bench storm`.

#![expect(clippy::unwrap_used, reason = "a bench may stop")]

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use criterion::{
    BenchmarkId, Criterion, SamplingMode, Throughput, criterion_group, criterion_main,
};
use http::{Request, StatusCode};
use http_body_util::Empty;
use tokio::runtime::{Handle, Runtime};
use tokio::sync::Barrier;
use tokio::task::JoinSet;
use tower::{Layer, ServiceExt, service_fn};
use tower_mac_auth::account::Account;
use tower_mac_auth::layer::{MacAuthLayer, RequestBody};
use tower_mac_auth::testing::Provider;

/// One storm; only the storm itself is timed.
#[expect(clippy::disallowed_methods, reason = "a stopwatch")]
async fn storm(count: usize) -> Duration {
    let provider = Provider::new();
    let tokens = provider.issue(Duration::from_secs(3600));
    let account = Account::builder(provider.endpoint()).tokens(tokens);
    let account = account.open("bench").await.unwrap();
    let layer = MacAuthLayer::new(account.clone());
    provider.expire_access_tokens();
    // No refusal is handed out before the last request was refused too: whoever comes later
    // would not be sent at all, but wait for the new tokens.
    let (api, all) = (provider.api(), Arc::new(Barrier::new(count)));
    let api = service_fn(move |request: Request<RequestBody<Empty<Bytes>>>| {
        let (api, all) = (api.clone(), Arc::clone(&all));
        async move {
            let response = api.oneshot(request).await?;
            if response.status() == StatusCode::UNAUTHORIZED {
                all.wait().await;
            }
            Ok::<_, Infallible>(response)
        }
    });
    let client = layer.allow("api.example").unwrap().layer(api);

    let began = Instant::now();
    let mut requests = JoinSet::new();
    for _ in 0..count {
        let request = Request::get("https://api.example/user/profile").body(Empty::<Bytes>::new());
        requests.spawn(client.clone().oneshot(request.unwrap()));
    }
    let mut succeeded = 0;
    while let Some(response) = requests.join_next().await {
        succeeded += usize::from(response.unwrap().unwrap().status() == StatusCode::OK);
    }
    let took = began.elapsed();

    assert_eq!(succeeded, count, "a request failed");
    assert_eq!(
        provider.refused().len(),
        count,
        "not all were refused at once"
    );
    assert_eq!(
        provider.presentations().len(),
        1,
        "one refresh token is to be presented"
    );
    account.shutdown().await;
    let tasks = Handle::current().metrics().num_alive_tasks();
    assert_eq!(tasks, 0, "a task is left over");
    took
}

fn storms(criterion: &mut Criterion) {
    let runtime: Runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    let mut group = criterion.benchmark_group("storm");
    group.sampling_mode(SamplingMode::Flat);
    for count in [1, 100, 10_000] {
        group.throughput(Throughput::Elements(count as u64));
        group.bench_function(BenchmarkId::from_parameter(count), |bencher| {
            bencher.iter_custom(|rounds| (0..rounds).map(|_| runtime.block_on(storm(count))).sum());
        });
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2));
    targets = storms
}
criterion_main!(benches);
