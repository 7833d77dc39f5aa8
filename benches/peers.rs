//! One request signed by each library that signs requests, in one run: so that the ratios hold whatever the
//! machine. What they sign is not the same, and by what: each signs the URL of published vector 1 as its
//! own documents show, its key prepared where it can be, a clock read and a nonce made where it has them.
//!
//! `cargo bench --manifest-path benches/Cargo.toml --bench peers`; `scripts/compare` makes a table and a
//! plot of it.

#![expect(clippy::unwrap_used, reason = "a bench may stop")]

use std::future::Future;
use std::hint::black_box;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use aws_smithy_runtime_api::client::identity::Identity;
use criterion::{Criterion, criterion_group, criterion_main};
use http::HeaderMap;
use http::header::{AUTHORIZATION, HeaderValue};
use httpsig::prelude::message_component::{HttpMessageComponent, HttpMessageComponentId};
use httpsig::prelude::{AlgorithmName, HttpSignatureBase, HttpSignatureParams, SharedKey};
use reqsign_core::SignRequest as _;
use tower_mac_auth::provider::xiaomi::SigningRules;

mod common;

const HOST: &str = "open.account.xiamomi.com";

fn peers(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("peers");
    let uri = common::ready_uri();
    let target = uri.path_and_query().unwrap().as_str();
    let mut headers = HeaderMap::new();

    let rules = SigningRules::new().query_credentials(false);
    let credential = common::credential();
    group.bench_function("tower_mac_auth", |bencher| {
        bencher.iter(|| {
            common::ready(
                black_box(&rules),
                black_box(&credential),
                black_box(&uri),
                &mut headers,
            );
        });
    });

    group.bench_function("oauth1_request", |bencher| {
        let token = oauth1_request::Token::from_parts(
            common::CLIENT_ID,
            "",
            common::TOKEN,
            common::MAC_KEY,
        );
        let parameters = [("clientId", common::CLIENT_ID), ("token", common::TOKEN)];
        let parameters = oauth1_request::ParameterList::new(parameters);
        bencher.iter(|| {
            let header = oauth1_request::get(
                black_box("https://open.account.xiamomi.com/user/profile"),
                black_box(&parameters),
                black_box(&token),
                oauth1_request::HMAC_SHA1,
            );
            headers.insert(AUTHORIZATION, HeaderValue::try_from(header).unwrap());
        });
    });

    group.bench_function("hawk", |bencher| {
        let credentials = hawk::Credentials {
            id: common::CLIENT_ID.to_owned(),
            key: hawk::Key::new(common::MAC_KEY, hawk::SHA256).unwrap(),
        };
        bencher.iter(|| {
            let request = hawk::RequestBuilder::new("GET", HOST, 443, black_box(target));
            let header = request.request().make_header(black_box(&credentials));
            let value = format!("Hawk {}", header.unwrap());
            headers.insert(AUTHORIZATION, HeaderValue::try_from(value).unwrap());
        });
    });

    group.bench_function("httpsig", |bencher| {
        let key = SharedKey::from_base64(&AlgorithmName::HmacSha256, "T1JoeDQ0cUs2QWxxZjh2dDJy");
        let key = key.unwrap();
        bencher.iter(|| httpsig(black_box(&key), black_box(target), &mut headers));
    });

    group.bench_function("aws_sigv4", |bencher| {
        let identity = Credentials::new("id", common::MAC_KEY, None, None, "bench").into();
        let uri = uri.to_string();
        bencher.iter(|| aws_sigv4(black_box(&identity), black_box(&uri)));
    });

    group.bench_function("reqsign", |bencher| {
        let signer = reqsign_aws_v4::RequestSigner::new("open", "cn");
        let context = reqsign_core::Context::new();
        let credential = reqsign_aws_v4::Credential {
            access_key_id: "id".to_owned(),
            secret_access_key: common::MAC_KEY.to_owned(),
            session_token: None,
            expires_in: None,
        };
        let (head, ()) = http::Request::get(&uri).body(()).unwrap().into_parts();
        bencher.iter(|| {
            let mut head = black_box(&head).clone();
            at_once(signer.sign_request(&context, &mut head, Some(black_box(&credential)), None))
                .unwrap();
            head
        });
    });
    group.finish();
}

/// RFC 9421: method, authority, path and query, with a nonce and the time.
fn httpsig(key: &SharedKey, target: &str, headers: &mut HeaderMap) {
    let (path, query) = target.split_once('?').unwrap();
    let lines = [
        ("\"@method\"", "GET"),
        ("\"@authority\"", HOST),
        ("\"@path\"", path),
        ("\"@query\"", query),
    ];
    let ids = lines.map(|(name, _)| HttpMessageComponentId::try_from(name).unwrap());
    let lines: Vec<_> = ids
        .iter()
        .zip(lines)
        .map(|(id, (_, value))| {
            HttpMessageComponent::try_from((id, &[value.to_owned()][..])).unwrap()
        })
        .collect();
    let mut params = HttpSignatureParams::try_new(&ids).unwrap();
    params.set_key_info(key);
    params.set_random_nonce();
    let base = HttpSignatureBase::try_new(&lines, &params).unwrap();
    let signed = base.build_signature_headers(key, None).unwrap();
    let input = HeaderValue::try_from(signed.signature_input_header_value());
    headers.insert("signature-input", input.unwrap());
    let signature = HeaderValue::try_from(signed.signature_header_value());
    headers.insert("signature", signature.unwrap());
}

#[expect(
    clippy::disallowed_methods,
    reason = "the clock its documentation shows"
)]
fn aws_sigv4(identity: &Identity, uri: &str) -> http::Request<()> {
    let parameters = v4::SigningParams::builder()
        .identity(identity)
        .region("cn")
        .name("open")
        .time(std::time::SystemTime::now())
        .settings(SigningSettings::default())
        .build()
        .unwrap()
        .into();
    let request = SignableRequest::new("GET", uri, std::iter::empty(), SignableBody::Bytes(&[]));
    let (instructions, _signature) = sign(request.unwrap(), &parameters).unwrap().into_parts();
    let mut request = http::Request::get(uri).body(()).unwrap();
    instructions.apply_to_request_http1x(&mut request);
    request
}

/// What a future gives that waits for nobody.
fn at_once<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("it waits for nobody"),
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(50);
    targets = peers
}
criterion_main!(benches);
