//! gRPC over HTTP/2 through the layer: bodies, trailers and statuses are handed on as they are.

use std::convert::Infallible;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Empty, Full, combinators::BoxBody};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpListener;
use tokio_util::task::AbortOnDropHandle;
use tonic::client::Grpc;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::{Code, Status};
use tower::{Layer, ServiceExt};
use tower_mac_auth::account::Account;
use tower_mac_auth::layer::{Attempt, MacAuthLayer, RequestBody};
use tower_mac_auth::provider::Bearer;
use tower_mac_auth::testing::{Dialect, Provider};

use crate::world::HOUR;

const METHOD: &str = "/lamps.Lamps/Switch";

/// Messages of bytes as they are.
struct Raw;

impl Codec for Raw {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, message: Bytes, to: &mut EncodeBuf<'_>) -> Result<(), Status> {
        to.put(message);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(from.copy_to_bytes(from.remaining())))
    }
}

/// What a message is in a body: not compressed, its length, itself.
fn framed(message: &[u8]) -> Bytes {
    let mut framed = BytesMut::new();
    framed.put_u8(0);
    framed.put_u32(u32::try_from(message.len()).unwrap());
    framed.put_slice(message);
    framed.freeze()
}

fn grpc_status(code: &'static str) -> HeaderMap {
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static(code));
    trailers
}

type Answer = Response<BoxBody<Bytes, Infallible>>;

/// A service behind a gateway that wants a token: says what it was told, and that all went well. If
/// the message is `denied` it is the service that says no, in gRPC.
async fn answer(provider: Provider, request: Request<Incoming>) -> Result<Answer, Infallible> {
    let checked = provider.api().oneshot(request).await?;
    if checked.status() != StatusCode::OK {
        return Ok(checked.map(BodyExt::boxed));
    }
    let message = provider.accepted().pop().unwrap().body;
    let response = Response::builder().header("content-type", "application/grpc");
    if message == framed(b"denied") {
        let denied = response.header("grpc-status", "16");
        return Ok(denied.body(Empty::new().boxed()).unwrap());
    }
    let trailers = async { Some(Ok(grpc_status("0"))) };
    let body = Full::new(message).with_trailers(trailers).boxed();
    Ok(response.body(body).unwrap())
}

struct Scene {
    provider: Provider,
    layer: MacAuthLayer<Account<Bearer>>,
    origin: Uri,
    _server: AbortOnDropHandle<()>,
}

async fn scene() -> Scene {
    let provider = Provider::builder().dialect(Dialect::Bearer).build();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let authority = listener.local_addr().unwrap().to_string();
    let of_server = provider.clone();
    let server = tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let provider = of_server.clone();
            let service = service_fn(move |request| answer(provider.clone(), request));
            let server = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
            tokio::spawn(server.serve_connection(TokioIo::new(stream), service));
        }
    });
    let endpoint = provider.endpoint_of(Bearer::new(provider.oauth2()));
    let account = Account::builder(endpoint).tokens(provider.issue(HOUR));
    let account = account.open("user").await.unwrap();
    Scene {
        provider,
        layer: MacAuthLayer::new(account).allow(&authority).unwrap(),
        origin: format!("http://{authority}").parse().unwrap(),
        _server: AbortOnDropHandle::new(server),
    }
}

fn http2<B>() -> Client<HttpConnector, RequestBody<B>>
where
    B: http_body::Body + Send + Unpin + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    Client::builder(TokioExecutor::new())
        .http2_only(true)
        .build(HttpConnector::new())
}

#[tokio::test]
async fn a_call_of_tonics_is_refreshed_for_and_made_again() {
    let scene = scene().await;
    let client = scene.layer.layer(http2());
    let mut grpc = Grpc::with_origin(client, scene.origin.clone());
    let mut call = async |message: &'static [u8]| {
        grpc.ready().await.unwrap();
        let request = tonic::Request::new(Bytes::from(message));
        let path = PathAndQuery::from_static(METHOD);
        grpc.unary(request, path, Raw).await
    };
    for (message, presentations) in [(&b"on"[..], 0), (b"off", 1)] {
        let answer = call(message).await.unwrap();
        assert_eq!(answer.into_inner(), message);
        assert_eq!(scene.provider.presentations().len(), presentations);
        scene.provider.expire_access_tokens();
    }
    scene.provider.clear_records();
    // The service's own no is not the gateway's, and costs no refresh. (Within the minute after a
    // rotation a refused token would cost none either, so a new account asks.)
    let fresh = self::scene().await;
    let mut grpc = Grpc::with_origin(fresh.layer.layer(http2()), fresh.origin.clone());
    grpc.ready().await.unwrap();
    let request = tonic::Request::new(Bytes::from_static(b"denied"));
    let path = PathAndQuery::from_static(METHOD);
    let denied = grpc.unary(request, path, Raw).await.unwrap_err();
    assert_eq!(denied.code(), Code::Unauthenticated);
    assert_eq!(fresh.provider.token_requests(), 0);
}

#[tokio::test]
async fn trailers_go_through_both_ways_also_when_a_call_is_made_again() {
    let scene = scene().await;
    scene.provider.expire_access_tokens();
    let trailers = async { Some(Ok::<_, Infallible>(grpc_status("of-the-request"))) };
    let body = Full::new(framed(b"on")).with_trailers(Box::pin(trailers));
    let uri = format!("{}{METHOD}", scene.origin.to_string().trim_end_matches('/'));
    let request = Request::post(uri)
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(body)
        .unwrap();
    let client = scene.layer.layer(http2());
    let response = client.oneshot(request).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.extensions().get(), Some(&Attempt::RESEND));
    let collected = response.into_body().collect().await.unwrap();
    assert_eq!(collected.trailers(), Some(&grpc_status("0")));
    assert_eq!(collected.to_bytes(), framed(b"on"));
    let accepted = scene.provider.accepted();
    assert_eq!(accepted.len(), 1);
    assert_eq!(accepted[0].trailers, Some(grpc_status("of-the-request")));
    assert_eq!(scene.provider.presentations().len(), 1);
}
