//! The same promises over real sockets: HTTP/1.1 and HTTP/2, hyper on both sides.

use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode, Version};
use http_body::Frame;
use http_body_util::{BodyExt, Channel, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tower::{Layer, Service, ServiceExt};
use tower_mac_auth::account::{Account, RefreshError};
use tower_mac_auth::layer::{Attempt, MacAuthLayer, RequestBody};
use tower_mac_auth::provider::xiaomi::ErrorCode;
use tower_mac_auth::testing::{Fault, Provider, Server};
use tower_mac_auth::token::{HyperTransport, Outcome, TokenEndpoint};

use crate::world::HOUR;

type Inner<B> = Client<HttpConnector, RequestBody<B>>;

fn client<B>(version: Version) -> Inner<B>
where
    B: http_body::Body + Send + 'static + Unpin,
    B::Data: Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let mut builder = Client::builder(TokioExecutor::new());
    builder
        .http2_only(version == Version::HTTP_2)
        .build(HttpConnector::new())
}

struct Served {
    provider: Provider,
    server: Server,
    layer: MacAuthLayer,
}

async fn serve() -> Served {
    let provider = Provider::new();
    let server = provider.serve().await.unwrap();
    let builder = Account::builder(server.endpoint().unwrap()).tokens(provider.issue(HOUR));
    let account = builder.open("user").await.unwrap();
    let layer = MacAuthLayer::new(account)
        .allow(&server.authority())
        .unwrap();
    Served {
        provider,
        server,
        layer,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_hundred_refused_requests_on_sockets_make_one_presentation() {
    for version in [Version::HTTP_11, Version::HTTP_2] {
        let served = serve().await;
        let client = served.layer.layer(client::<Full<Bytes>>(version));
        served.provider.expire_access_tokens();
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..500 {
            let request = Request::get(served.server.url("/x"))
                .body(Full::default())
                .unwrap();
            tasks.spawn(client.clone().oneshot(request));
        }
        for answer in tasks.join_all().await {
            let answer = answer.unwrap();
            assert_eq!(answer.status(), StatusCode::OK);
            assert!(
                answer
                    .into_body()
                    .collect()
                    .await
                    .unwrap()
                    .to_bytes()
                    .starts_with(b"{")
            );
        }
        assert_eq!(served.provider.presentations().len(), 1);
        assert_eq!(served.provider.accepted().len(), 500);
    }
}

#[tokio::test]
async fn a_refusal_before_the_upload_ends_is_resent_with_the_exact_bytes() {
    for version in [Version::HTTP_11, Version::HTTP_2] {
        let served = serve().await;
        let mut client = served.layer.layer(client::<Channel<Bytes>>(version));
        served.provider.set_early_refusal(true);
        served.provider.expire_access_tokens();
        let (mut upload, body) = Channel::<Bytes>::new(4);
        let request = Request::post(served.server.url("/upload"))
            .body(body)
            .unwrap();
        upload
            .send(Frame::data(Bytes::from("first,")))
            .await
            .unwrap();
        let call = tokio::spawn(client.ready().await.unwrap().call(request));
        // The refusal is there, and the upload goes on only then.
        let refused = async {
            while served.provider.presentations().is_empty() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        let in_time = tokio::time::timeout(Duration::from_secs(30), refused);
        in_time.await.expect("the refusal has it refreshed");
        for chunk in ["second,", "third"] {
            upload.send(Frame::data(Bytes::from(chunk))).await.unwrap();
        }
        drop(upload);
        let answer = call.await.unwrap().unwrap();
        assert_eq!(answer.status(), StatusCode::OK, "{version:?}");
        assert_eq!(answer.extensions().get(), Some(&Attempt::RESEND));
        assert_eq!(
            served.provider.accepted()[0].body,
            "first,second,third",
            "{version:?}"
        );
    }
}

#[tokio::test]
async fn an_early_refusal_is_handed_back_whole_when_the_refresh_fails_under_the_upload() {
    for version in [Version::HTTP_11, Version::HTTP_2] {
        let served = serve().await;
        let mut client = served.layer.layer(client::<Channel<Bytes>>(version));
        served.provider.set_early_refusal(true);
        served.provider.expire_access_tokens();
        let unknown = ErrorCode::ClientUnknown;
        served.provider.fault_always(Fault::RefuseWith(unknown));
        let (mut upload, body) = Channel::<Bytes>::new(4);
        let request = Request::post(served.server.url("/upload"))
            .body(body)
            .unwrap();
        let first = Frame::data(Bytes::from("first,"));
        upload.send(first).await.unwrap();
        // The upload never ends.
        let answer = client.ready().await.unwrap().call(request).await.unwrap();
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED, "{version:?}");
        assert_eq!(answer.extensions().get(), Some(&Attempt::FIRST));
        assert!(answer.extensions().get::<RefreshError>().is_some());
        let length = answer.headers()["content-length"].to_str().unwrap();
        let length: usize = length.parse().unwrap();
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(body.len(), length, "{version:?}");
        assert!(body.ends_with(b"}"), "{version:?}");
        drop(upload);
    }
}

#[tokio::test]
async fn content_length_and_chunks_survive_the_layer() {
    let served = serve().await;
    let client = served.layer.layer(client::<Full<Bytes>>(Version::HTTP_11));
    let body = Full::new(Bytes::from(vec![3; 30_000]));
    let request = Request::post(served.server.url("/")).body(body).unwrap();
    assert_eq!(
        client.oneshot(request).await.unwrap().status(),
        StatusCode::OK
    );
    let accepted = &served.provider.accepted()[0];
    assert_eq!(accepted.headers["content-length"], "30000");
    assert_eq!(accepted.body_len, 30_000);
}

#[tokio::test]
async fn a_connection_is_used_again_after_a_refusal() {
    let served = serve().await;
    let client = served.layer.layer(client::<Full<Bytes>>(Version::HTTP_11));
    served.provider.expire_access_tokens();
    for _ in 0..5 {
        let request = Request::get(served.server.url("/"))
            .body(Full::default())
            .unwrap();
        let answer = client.clone().oneshot(request).await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        answer.into_body().collect().await.unwrap();
    }
    assert_eq!(served.server.open_connections(), 1);
}

#[tokio::test]
async fn each_fault_on_a_real_socket_has_its_outcome() {
    let provider = Provider::new();
    let server = provider.serve().await.unwrap();
    let transport = HyperTransport::new()
        .unwrap()
        .answer_timeout(Duration::from_millis(300));
    let endpoint = TokenEndpoint::builder(server.xiaomi())
        .transport(transport)
        .build()
        .unwrap();
    for fault in [
        Fault::ServerError(StatusCode::SERVICE_UNAVAILABLE),
        Fault::Garbage,
        Fault::CutShort,
        Fault::Empty200,
        Fault::Html,
        Fault::Endless,
        Fault::Hang,
        Fault::Reset,
        Fault::ConsumedThenReset,
    ] {
        let token = provider.issue(HOUR).refresh_token.unwrap();
        provider.fault_next(fault.clone());
        let outcome = endpoint.connect().await.unwrap().refresh(&token).await;
        assert!(
            matches!(outcome, Outcome::Ambiguous(_)),
            "{fault:?}: {outcome:?}"
        );
    }
    provider.fault_always(Fault::ConnectionRefused);
    assert!(endpoint.connect().await.is_err());
    provider.clear_faults();
    let token = provider.issue(HOUR).refresh_token.unwrap();
    let outcome = endpoint.connect().await.unwrap().refresh(&token).await;
    assert!(matches!(outcome, Outcome::Tokens(_)));
}
