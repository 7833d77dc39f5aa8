//! Loops of signatures, and of calls through the layer, for callgrind to count: `instructions
//! <what> <rounds>`. Run by `scripts/instructions`.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a bench may stop, and tells"
)]

use std::fmt::Debug;
use std::hint::black_box;

use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::Empty;
use tower::Service;
use tower_mac_auth::provider::http_mac::Draft;
use tower_mac_auth::provider::xiaomi::SigningRules;
use tower_mac_auth::provider::{Fresh, Provider as _};
use tower_mac_auth::sign::Algorithm;
use tower_mac_auth::verify::{MacAuthorization, Verifier};
use tower_mac_auth::{Clock as _, SystemClock};

mod common;

use common::clients::{self, By};
use common::loopback;
use common::memory::{self, Memory};

fn main() {
    let mut arguments = std::env::args().skip(1);
    let what = arguments.next().unwrap_or_default();
    let rounds = arguments
        .next()
        .and_then(|rounds| rounds.parse().ok())
        .unwrap_or(1);
    match what.as_str() {
        "floor" => floor(rounds),
        "ready" => ready(rounds),
        "verify" => verify(rounds),
        "with_credentials" => with_credentials(rounds),
        "unsorted" => unsorted(rounds),
        "respelt" => respelt(rounds),
        "obvious" => obvious(rounds),
        "bearer" => bearer(rounds),
        "bearer_head" => bearer_head(rounds),
        "http_mac_00" => http_mac_00(rounds),
        "http_mac_01" => http_mac_01(rounds),
        "http_mac_sha256" => http_mac_sha256(rounds),
        "service" => service(rounds),
        "resend_off" => resend_off(rounds),
        "resendable_get" => resendable_get(rounds),
        "hyper" => clients::calls(By::Hyper, rounds),
        "hyper_layer" => clients::calls(By::HyperWithLayer, rounds),
        "reqwest" => clients::calls(By::Reqwest, rounds),
        "reqwest_layer" => clients::calls(By::ReqwestWithLayer, rounds),
        "serve" => {
            println!("{}", loopback::serve());
            // Until whoever started it ends.
            let _ = std::io::stdin().read_line(&mut String::new());
        }
        // As `cargo bench` calls it.
        _ => [
            floor,
            ready,
            verify,
            with_credentials,
            unsorted,
            respelt,
            obvious,
            bearer,
            bearer_head,
            http_mac_00,
            http_mac_01,
            http_mac_sha256,
            service,
            resend_off,
            resendable_get,
        ]
        .iter()
        .for_each(|run| run(rounds)),
    }
}

#[inline(never)]
fn floor(rounds: usize) {
    let prepared = common::prepared();
    let message = common::canonical(&common::ready_uri());
    for _ in 0..rounds {
        black_box(common::floor(black_box(&prepared), black_box(&message)));
    }
}

#[inline(never)]
fn ready(rounds: usize) {
    signed(rounds, &common::ready_uri());
}

/// What a server does about the same request, but for its nonce: reads the header, and checks the MAC.
#[inline(never)]
fn verify(rounds: usize) {
    let uri = common::ready_uri();
    let value = common::signed_header();
    let (verifier, key) = (Verifier::new(), common::credential().key().clone());
    for _ in 0..rounds {
        let authorization = MacAuthorization::try_from(black_box(&value)).unwrap();
        let parts = common::parts(black_box(&uri));
        black_box(verifier.check(black_box(&key), &parts, &authorization)).unwrap();
    }
}

#[inline(never)]
fn unsorted(rounds: usize) {
    signed(rounds, &common::ten_pairs_uri(common::UNSORTED));
}

#[inline(never)]
fn respelt(rounds: usize) {
    signed(rounds, &common::ten_pairs_uri(common::RESPELT));
}

fn signed(rounds: usize, uri: &http::Uri) {
    let rules = SigningRules::new().query_credentials(false);
    let credential = common::credential();
    let mut headers = HeaderMap::new();
    for _ in 0..rounds {
        common::ready(
            black_box(&rules),
            black_box(&credential),
            black_box(uri),
            &mut headers,
        );
    }
}

#[inline(never)]
fn with_credentials(rounds: usize) {
    let rules = SigningRules::new();
    let credential = common::credential();
    let mut headers = HeaderMap::new();
    let uri = common::bare_uri();
    let mut target = uri.clone();
    for _ in 0..rounds {
        common::with_credentials(
            black_box(&rules),
            black_box(&credential),
            black_box(&uri),
            &mut target,
            &mut headers,
        );
    }
}

#[inline(never)]
fn obvious(rounds: usize) {
    let uri = common::ready_uri();
    let mut headers = HeaderMap::new();
    for _ in 0..rounds {
        common::obvious(
            black_box(common::MAC_KEY),
            black_box(common::TOKEN),
            black_box(&uri),
            &mut headers,
        );
    }
}

/// A bearer token, without the insertion of its header.
#[inline(never)]
fn bearer(rounds: usize) {
    let bearer = common::bearer();
    let credential = common::bearer_credential(&bearer);
    let uri = common::ready_uri();
    let parts = common::parts(&uri);
    let fresh = Fresh::at(SystemClock.now());
    for _ in 0..rounds {
        let signed = black_box(&bearer).sign(black_box(&credential), black_box(&parts), fresh);
        black_box(&signed);
    }
}

/// What is read of a response that is no refusal: of eight headers none is a challenge.
#[inline(never)]
fn bearer_head(rounds: usize) {
    let bearer = common::bearer();
    let headers = common::eight_headers();
    for _ in 0..rounds {
        black_box(black_box(&bearer).read_head(black_box(StatusCode::OK), black_box(&headers)));
    }
}

#[inline(never)]
fn http_mac_00(rounds: usize) {
    drafted(rounds, Draft::V00, Algorithm::HmacSha1);
}

#[inline(never)]
fn http_mac_01(rounds: usize) {
    drafted(rounds, Draft::V01, Algorithm::HmacSha1);
}

#[inline(never)]
fn http_mac_sha256(rounds: usize) {
    drafted(rounds, Draft::V01, Algorithm::HmacSha256);
}

fn drafted(rounds: usize, draft: Draft, algorithm: Algorithm) {
    let provider = common::http_mac(draft);
    let credential = common::http_mac_credential(&provider, draft, algorithm);
    let uri = common::http_mac_uri(draft);
    let mut headers = HeaderMap::new();
    for _ in 0..rounds {
        common::drafted(
            black_box(&provider),
            black_box(&credential),
            black_box(&uri),
            &mut headers,
        );
    }
}

/// The service in memory, bare: to be taken off what the layer around it costs.
#[inline(never)]
fn service(rounds: usize) {
    calls(rounds, Memory);
}

#[inline(never)]
fn resend_off(rounds: usize) {
    calls(rounds, memory::ready_layer(0));
}

#[inline(never)]
fn resendable_get(rounds: usize) {
    calls(rounds, memory::ready_layer(64 * 1024));
}

fn calls<S>(rounds: usize, mut service: S)
where
    S: Service<Request<Empty<Bytes>>, Error: Debug>,
{
    let uri = common::ready_uri();
    for _ in 0..rounds {
        let request = memory::get(black_box(&uri));
        black_box(&memory::send(&mut service, request));
    }
}
