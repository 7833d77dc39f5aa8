//! Upgrades, such as to a web socket: a signed handshake, then bytes that are nobody's business.

use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{CONNECTION, HOST, HeaderValue, UPGRADE};
use http::{Request, Response, StatusCode, Uri};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::upgrade::{self, OnUpgrade};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy, copy_bidirectional, split};
use tokio::net::TcpListener;
use tokio_util::task::AbortOnDropHandle;
use tower::{Layer, ServiceExt};
use tower_mac_auth::account::{Account, RefreshError};
use tower_mac_auth::layer::{Attempt, MacAuth, MacAuthLayer, RequestBody};
use tower_mac_auth::testing::{Fault, Provider};

use crate::world::HOUR;

type Http<B> = Client<HttpConnector, B>;
type Signing = MacAuth<Http<RequestBody<Full<Bytes>>>>;

/// Serves HTTP/1.1 with upgrades at the address that it returns.
async fn serve<F, R>(serve: F) -> (String, AbortOnDropHandle<()>)
where
    F: Fn(Request<Incoming>) -> R + Send + Sync + 'static,
    R: Future<Output = Response<Full<Bytes>>> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let authority = listener.local_addr().unwrap().to_string();
    let serve = Arc::new(serve);
    let task = tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let serve = Arc::clone(&serve);
            let service = service_fn(move |request| {
                let answer = serve(request);
                async move { Ok::<_, Infallible>(answer.await) }
            });
            let connection = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .with_upgrades();
            tokio::spawn(connection);
        }
    });
    (authority, AbortOnDropHandle::new(task))
}

fn switching() -> Response<Full<Bytes>> {
    Response::builder()
        .status(StatusCode::SWITCHING_PROTOCOLS)
        .header(CONNECTION, "upgrade")
        .header(UPGRADE, "echo")
        .body(Full::default())
        .unwrap()
}

/// An API that wants each handshake signed, and then sends back what it gets.
async fn echo(provider: Provider, mut request: Request<Incoming>) -> Response<Full<Bytes>> {
    let upgrade = upgrade::on(&mut request);
    let answer = provider.api().oneshot(request).await.unwrap();
    if answer.status() != StatusCode::OK {
        return answer;
    }
    tokio::spawn(async move {
        let (mut read, mut write) = split(TokioIo::new(upgrade.await.unwrap()));
        copy(&mut read, &mut write).await
    });
    switching()
}

/// The API, and a client that signs for it.
struct Scene {
    provider: Provider,
    authority: String,
    client: Signing,
    _api: AbortOnDropHandle<()>,
}

async fn scene() -> Scene {
    let provider = Provider::new();
    let of_api = provider.clone();
    let (authority, api) = serve(move |request| echo(of_api.clone(), request)).await;
    let tokens = provider.issue(HOUR);
    let account = Account::builder(provider.endpoint()).tokens(tokens);
    let account = account.open("user").await.unwrap();
    let client = Client::builder(TokioExecutor::new()).build(HttpConnector::new());
    let layer = MacAuthLayer::new(account).allow(&authority).unwrap();
    Scene {
        provider,
        client: layer.layer(client),
        authority,
        _api: api,
    }
}

impl Scene {
    async fn handshake(&self) -> Response<tower_mac_auth::ReadAhead<Incoming>> {
        let request = handshake(&self.authority);
        self.client.clone().oneshot(request).await.unwrap()
    }
}

fn handshake(authority: &str) -> Request<Full<Bytes>> {
    Request::get(format!("http://{authority}/socket?room=2"))
        .header(CONNECTION, "upgrade")
        .header(UPGRADE, "echo")
        .body(Full::default())
        .unwrap()
}

/// Whatever is written comes back.
async fn echoes(io: &mut TokioIo<upgrade::Upgraded>, text: &str) {
    io.write_all(text.as_bytes()).await.unwrap();
    let mut back = vec![0; text.len()];
    io.read_exact(&mut back).await.unwrap();
    assert_eq!(back, text.as_bytes());
}

#[tokio::test]
async fn an_upgrade_goes_through_the_layer_and_carries_bytes_both_ways() {
    let scene = scene().await;
    let response = scene.handshake().await;
    assert_eq!(response.status(), StatusCode::SWITCHING_PROTOCOLS);
    assert_eq!(response.headers()[UPGRADE], "echo");
    let mut io = TokioIo::new(upgrade::on(response).await.unwrap());
    echoes(&mut io, "one").await;
    // A connection that is open has nothing to do with the token any more.
    scene.provider.expire_access_tokens();
    echoes(&mut io, "two").await;
    assert_eq!(scene.provider.presentations().len(), 0);
}

#[tokio::test]
async fn a_refused_handshake_is_refreshed_for_and_made_again() {
    let scene = scene().await;
    scene.provider.expire_access_tokens();
    let response = scene.handshake().await;
    assert_eq!(response.status(), StatusCode::SWITCHING_PROTOCOLS);
    assert_eq!(response.extensions().get(), Some(&Attempt::RESEND));
    let mut io = TokioIo::new(upgrade::on(response).await.unwrap());
    echoes(&mut io, "one").await;
    assert_eq!(scene.provider.presentations().len(), 1);
}

#[tokio::test]
async fn a_handshake_that_stays_refused_is_a_refusal_and_no_upgrade() {
    let scene = scene().await;
    scene.provider.expire_access_tokens();
    scene.provider.fault_always(Fault::ConnectionRefused);
    let response = scene.handshake().await;
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    assert!(response.extensions().get::<RefreshError>().is_some());
    assert!(upgrade::on(response).await.is_err());
}

/// Passes a handshake on, signed, and then carries the bytes.
async fn pass_on(api: String, client: Signing, mut request: Request<Incoming>) -> StatusCode {
    let of_caller: OnUpgrade = upgrade::on(&mut request);
    let mut onward = request.map(|_| Full::<Bytes>::default());
    *onward.uri_mut() = Uri::try_from(format!("http://{api}{}", onward.uri())).unwrap();
    onward.headers_mut().remove(HOST);
    let response = client.oneshot(onward).await.unwrap();
    let status = response.status();
    if status == StatusCode::SWITCHING_PROTOCOLS {
        tokio::spawn(async move {
            let mut api = TokioIo::new(upgrade::on(response).await.unwrap());
            let mut caller = TokioIo::new(of_caller.await.unwrap());
            copy_bidirectional(&mut caller, &mut api).await
        });
    }
    status
}

#[tokio::test]
async fn a_gateway_passes_an_upgrade_on_and_its_caller_needs_no_credential() {
    let scene = scene().await;
    let (api, client) = (scene.authority.clone(), scene.client.clone());
    let (gateway, _gateway) = serve(move |request| {
        let passed = pass_on(api.clone(), client.clone(), request);
        async move {
            let mut answer = switching();
            *answer.status_mut() = passed.await;
            answer
        }
    })
    .await;
    let caller: Http<Full<Bytes>> = Client::builder(TokioExecutor::new()).build_http();
    // The second time the token has ended, which the caller does not notice.
    for refreshes in 0..2 {
        let mut request = handshake(&gateway);
        let mine = HeaderValue::from_static("Bearer mine");
        request.headers_mut().insert("authorization", mine);
        let response = caller.request(request).await.unwrap();
        assert_eq!(response.status(), StatusCode::SWITCHING_PROTOCOLS);
        let mut io = TokioIo::new(upgrade::on(response).await.unwrap());
        echoes(&mut io, "through two hops").await;
        assert_eq!(scene.provider.presentations().len(), refreshes);
        scene.provider.expire_access_tokens();
    }
}
