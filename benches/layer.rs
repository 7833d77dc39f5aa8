//! What the layer adds to a service in memory, over the floor: the MAC alone over the same bytes.
//!
//! All in one run, so that ratios hold whatever the machine: `cargo bench --manifest-path
//! benches/Cargo.toml --bench layer`. The layer's own cost is its row less that of the service
//! bare.

#![expect(clippy::unwrap_used, reason = "a bench may stop")]

use std::hint::black_box;
use std::pin::Pin;
use std::sync::{Arc, RwLock};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use criterion::{Criterion, criterion_group, criterion_main};
use http::{Request, Response, StatusCode, Uri};
use http_body_util::{Empty, Full};
use tower::util::{BoxCloneService, MapErr};
use tower::{BoxError, Layer, Service, ServiceExt};

mod common;

use common::memory::{Memory, get, layer, ready_layer, send};

/// How much of a body is kept to be sent again: as by default.
const CAP: usize = 64 * 1024;

fn benches(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("layer");
    let uri = common::ready_uri();
    let message = common::canonical(&uri);
    assert_eq!(message.len(), 206);
    let prepared = common::prepared();
    group.bench_function("floor", |bencher| {
        bencher.iter(|| common::floor(black_box(&prepared), black_box(&message)));
    });

    let mut run = |name, service: &mut dyn FnMut(&Uri), uri: &Uri| {
        group.bench_function(name, |bencher| bencher.iter(|| service(black_box(uri))));
    };
    let mut bare = Memory;
    run(
        "bare",
        &mut |uri| drop(black_box(send(&mut bare, get(uri)))),
        &uri,
    );
    let mut once = ready_layer(0);
    run(
        "resend_off",
        &mut |uri| drop(black_box(send(&mut once, get(uri)))),
        &uri,
    );
    let mut resendable = ready_layer(CAP);
    run(
        "resendable_get",
        &mut |uri| drop(black_box(send(&mut resendable, get(uri)))),
        &uri,
    );
    let mut obvious = Obvious::new(Memory);
    run(
        "obvious",
        &mut |uri| drop(black_box(send(&mut obvious, get(uri)))),
        &uri,
    );

    // The layer as it is by default: it puts the credentials into the query.
    let uri = common::bare_uri();
    run(
        "bare_without_query",
        &mut |uri| drop(black_box(send(&mut bare, get(uri)))),
        &uri,
    );
    let mut default = layer(CAP).layer(Memory);
    run(
        "with_credentials",
        &mut |uri| drop(black_box(send(&mut default, get(uri)))),
        &uri,
    );
    group.finish();
}

/// A signing service written the obvious way: boxed, its credential behind a lock, each request
/// cloned whole in case it has to be sent again.
#[derive(Clone)]
struct Obvious {
    inner: BoxCloneService<Request<Empty<Bytes>>, Response<Full<Bytes>>, BoxError>,
    /// The access token and the key.
    credential: Arc<RwLock<(String, String)>>,
}

impl Obvious {
    fn new(inner: Memory) -> Self {
        let credential = (common::TOKEN.to_owned(), common::MAC_KEY.to_owned());
        Self {
            inner: BoxCloneService::new(MapErr::new(inner, |never| match never {})),
            credential: Arc::new(RwLock::new(credential)),
        }
    }

    fn sign(&self, request: &mut Request<Empty<Bytes>>) {
        let (token, mac_key) = self.credential.read().unwrap().clone();
        let uri = request.uri().clone();
        common::obvious(&mac_key, &token, &uri, request.headers_mut());
    }
}

impl Service<Request<Empty<Bytes>>> for Obvious {
    type Response = Response<Full<Bytes>>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<Empty<Bytes>>) -> Self::Future {
        let clone = self.clone();
        let mut this = std::mem::replace(self, clone);
        Box::pin(async move {
            let mut again = request.clone();
            this.sign(&mut request);
            let response = this.inner.call(request).await?;
            if response.status() != StatusCode::UNAUTHORIZED {
                return Ok(response);
            }
            this.sign(&mut again);
            this.inner.ready().await?.call(again).await
        })
    }
}

criterion_group! {
    name = all;
    config = Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2));
    targets = benches
}
criterion_main!(all);
