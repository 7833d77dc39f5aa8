//! What a signature costs, over the floor: the MAC alone, its key prepared, over the same bytes.
//!
//! All in one run, so that ratios hold whatever the machine: `cargo bench --manifest-path benches/Cargo.toml --bench signing`.

#![expect(clippy::unwrap_used, reason = "a bench may stop")]

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use http::HeaderMap;
use tower_mac_auth::provider::xiaomi::SigningRules;
use tower_mac_auth::verify::{MacAuthorization, Verifier};

mod common;

/// Published vector 1: 206 bytes to sign.
fn vector_1(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("vector_1");
    let message = common::canonical(&common::ready_uri());
    assert_eq!(message.len(), 206);
    let prepared = common::prepared();
    group.bench_function("floor", |bencher| {
        bencher.iter(|| common::floor(black_box(&prepared), black_box(&message)));
    });

    let credential = common::credential();
    let mut headers = HeaderMap::new();
    let uri = common::ready_uri();
    let rules = SigningRules::new().query_credentials(false);
    group.bench_function("ready", |bencher| {
        bencher.iter(|| {
            common::ready(
                black_box(&rules),
                black_box(&credential),
                black_box(&uri),
                &mut headers,
            );
        });
    });

    // What a server does about it, but for the nonce: reads the header, and checks the MAC.
    let verifier = Verifier::new();
    let value = common::signed_header();
    group.bench_function("verify", |bencher| {
        bencher.iter(|| {
            let authorization = MacAuthorization::try_from(black_box(&value)).unwrap();
            let parts = common::parts(black_box(&uri));
            verifier
                .check(credential.key(), &parts, &authorization)
                .unwrap();
        });
    });

    let rules = SigningRules::new();
    let uri = common::bare_uri();
    let mut target = uri.clone();
    group.bench_function("with_credentials", |bencher| {
        bencher.iter(|| {
            common::with_credentials(
                black_box(&rules),
                black_box(&credential),
                black_box(&uri),
                &mut target,
                &mut headers,
            );
        });
    });

    let uri = common::ready_uri();
    group.bench_function("obvious", |bencher| {
        bencher.iter(|| {
            common::obvious(
                black_box(common::MAC_KEY),
                black_box(common::TOKEN),
                black_box(&uri),
                &mut headers,
            );
        });
    });
    group.finish();
}

/// Ten pairs out of order, and the same with some to be spelt anew.
fn ten_pairs(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("ten_pairs");
    let credential = common::credential();
    let prepared = common::prepared();
    let mut headers = HeaderMap::new();
    let rules = SigningRules::new().query_credentials(false);
    for (name, pairs) in [("unsorted", common::UNSORTED), ("respelt", common::RESPELT)] {
        let uri = common::ten_pairs_uri(pairs);
        let message = common::canonical(&uri);
        group.bench_function(format!("{name}_floor"), |bencher| {
            bencher.iter(|| common::floor(black_box(&prepared), black_box(&message)));
        });
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                common::ready(
                    black_box(&rules),
                    black_box(&credential),
                    black_box(&uri),
                    &mut headers,
                );
            });
        });
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2));
    targets = vector_1, ten_pairs
}
criterion_main!(benches);
