//! The same HMAC-SHA1 by each library, its key prepared, over the 206 bytes of published vector 1: what
//! the signer stands on, and what it could stand on.
//!
//! `cargo bench --manifest-path benches/Cargo.toml --bench libraries`; `scripts/compare` makes a table and
//! a plot of it and of the peers in `signing`.

#![cfg_attr(
    feature = "openssl",
    expect(clippy::unwrap_used, reason = "a bench may stop")
)]

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};

mod common;

fn all(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("libraries");
    let message = common::canonical(&common::ready_uri());
    let prepared = common::prepared();
    group.bench_function("hmac and sha1 (RustCrypto)", |bencher| {
        bencher.iter(|| common::floor(black_box(&prepared), black_box(&message)));
    });
    let key = common::credential().key().clone();
    group.bench_function("tower-mac-auth, with base64", |bencher| {
        bencher.iter(|| black_box(&key).mac(black_box(&message)));
    });
    let key = ring::hmac::Key::new(
        ring::hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
        common::MAC_KEY.as_bytes(),
    );
    group.bench_function("ring", |bencher| {
        bencher.iter(|| ring::hmac::sign(black_box(&key), black_box(&message)));
    });
    let key = aws_lc_rs::hmac::Key::new(
        aws_lc_rs::hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
        common::MAC_KEY.as_bytes(),
    );
    group.bench_function("aws-lc-rs", |bencher| {
        bencher.iter(|| aws_lc_rs::hmac::sign(black_box(&key), black_box(&message)));
    });
    #[cfg(feature = "openssl")]
    group.bench_function("openssl", |bencher| {
        // A signer is good for one message, and prepares the key.
        let key = openssl::pkey::PKey::hmac(common::MAC_KEY.as_bytes()).unwrap();
        let digest = openssl::hash::MessageDigest::sha1();
        bencher.iter(|| {
            let mut signer = openssl::sign::Signer::new(digest, black_box(&key)).unwrap();
            let mut mac = [0; 20];
            signer.sign_oneshot(&mut mac, black_box(&message)).unwrap();
            mac
        });
    });
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(50);
    targets = all
}
criterion_main!(benches);
