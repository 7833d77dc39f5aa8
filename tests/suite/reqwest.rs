//! The layer around reqwest, and as a middleware, over real sockets.

use std::error::Error as _;
use std::sync::Arc;
use std::time::Duration;

use ::reqwest::{Body, Client, Method, Request, Response, Url, redirect};
use bytes::Bytes;
use http::{Extensions, StatusCode, Version};
use http_body::Frame;
use http_body_util::Channel;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use reqwest_middleware::{ClientBuilder, ClientWithMiddleware, Middleware, Next};
use rustls::pki_types::PrivateKeyDer;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tower::{Layer, Service, ServiceExt};
use tower_mac_auth::account::Account;
use tower_mac_auth::layer::{AuthError, AuthErrorKind, Error, MacAuth, MacAuthLayer, RequestBody};
use tower_mac_auth::store::Generation;
use tower_mac_auth::testing::{ApiFault, Fault, Provider, Server};

use crate::world::HOUR;

const MANY: usize = 500;

struct Served {
    provider: Provider,
    server: Server,
    account: Account,
}

async fn serve() -> Served {
    let provider = Provider::new();
    let server = provider.serve().await.unwrap();
    let builder = Account::builder(server.endpoint().unwrap()).tokens(provider.issue(HOUR));
    let account = builder.open("user").await.unwrap();
    Served {
        provider,
        server,
        account,
    }
}

impl Served {
    fn layer(&self) -> MacAuthLayer {
        let layer = MacAuthLayer::new(self.account.clone());
        layer.allow(&self.server.authority()).unwrap()
    }

    fn client(&self, version: Version) -> MacAuth<Client> {
        self.layer().layer(client(version))
    }

    fn middleware(&self) -> ClientWithMiddleware {
        let builder = ClientBuilder::new(client(Version::HTTP_2));
        builder.with(self.layer()).build()
    }

    fn get(&self, path: &str) -> Request {
        Request::new(Method::GET, self.url(path))
    }

    fn url(&self, path: &str) -> Url {
        self.server.url(path).parse().unwrap()
    }
}

fn tls(roots: rustls::RootCertStore) -> rustls::ClientConfig {
    let ring = Arc::new(rustls::crypto::ring::default_provider());
    rustls::ClientConfig::builder_with_provider(ring)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth()
}

fn client(version: Version) -> Client {
    let builder = Client::builder()
        .redirect(redirect::Policy::none())
        .tls_backend_preconfigured(tls(rustls::RootCertStore::empty()));
    let builder = match version {
        Version::HTTP_2 => builder.http2_prior_knowledge(),
        _ => builder.http1_only(),
    };
    builder.build().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_hundred_refused_requests_make_one_presentation() {
    for version in [Version::HTTP_11, Version::HTTP_2] {
        let served = serve().await;
        served.provider.expire_access_tokens();
        let mut calls = JoinSet::new();
        for _ in 0..MANY {
            calls.spawn(served.client(version).oneshot(served.get("/x?a=b")));
        }
        for response in calls.join_all().await {
            let response = response.unwrap();
            assert_eq!(response.status(), StatusCode::OK);
            assert!(response.text().await.unwrap().starts_with('{'));
        }
        assert_eq!(served.provider.presentations().len(), 1);
        assert_eq!(served.provider.accepted().len(), MANY);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_hundred_refused_requests_of_a_middleware_make_one_presentation() {
    let served = serve().await;
    served.provider.expire_access_tokens();
    let client = served.middleware();
    let mut calls = JoinSet::new();
    for _ in 0..MANY {
        calls.spawn(client.get(served.url("/x?a=b")).send());
    }
    for response in calls.join_all().await {
        let response = response.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        assert!(response.text().await.unwrap().starts_with('{'));
    }
    assert_eq!(served.provider.presentations().len(), 1);
    assert_eq!(served.provider.accepted().len(), MANY);
}

/// What a URL of reqwest changes, and some that it leaves alone.
const PATHS: [&str; 14] = [
    "/a/./b",
    "/a/../b",
    "/x/%2e%2e/y",
    "/{x}",
    "/a\"b",
    "/a\\b",
    "/a b",
    "/é",
    "/a//b/",
    "/x?q='a'&b=\"c\"",
    "/x?b=2&a=1&a=%2f#fragment",
    "/x?a=é&{=}",
    "/x?",
    "",
];

#[tokio::test]
async fn what_reqwest_makes_of_a_url_is_what_is_signed() {
    let served = serve().await;
    for version in [Version::HTTP_11, Version::HTTP_2] {
        for path in PATHS {
            let before = served.provider.refused().len();
            let response = served.client(version).oneshot(served.get(path)).await;
            assert_eq!(response.unwrap().status(), StatusCode::OK, "{path}");
            let response = served.middleware().get(served.url(path)).send().await;
            assert_eq!(response.unwrap().status(), StatusCode::OK, "{path}");
            assert_eq!(served.provider.refused().len(), before, "{path}");
        }
    }
}

#[tokio::test]
async fn the_url_of_a_response_is_the_one_that_was_sent() {
    let served = serve().await;
    let response = served.client(Version::HTTP_11);
    let response = response.oneshot(served.get("/x?a=b")).await.unwrap();
    assert_eq!(response.url().path(), "/x");
    assert_eq!(response.url().port(), Some(served.server.addr().port()));
    assert!(response.url().query().unwrap().starts_with("a=b"));
    assert!(response.remote_addr().is_some());
    assert_eq!(
        response.content_length(),
        Some(response.text().await.unwrap().len() as u64)
    );
}

#[tokio::test]
async fn a_requests_own_time_limit_holds() {
    let served = serve().await;
    // It takes connections, and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let authority = silent.local_addr().unwrap().to_string();
    let url: Url = format!("http://{authority}/").parse().unwrap();
    let layer = served.layer().allow(&authority).unwrap();
    let mut request = Request::new(Method::GET, url.clone());
    *request.timeout_mut() = Some(Duration::from_millis(50));
    let client = layer.layer(client(Version::HTTP_11));
    let Err(Error::Service(error)) = client.oneshot(request).await else {
        panic!("nobody answers")
    };
    assert!(error.is_timeout());
    assert_tells_no_token(&error, &served);

    let client = ClientBuilder::new(self::client(Version::HTTP_11));
    let client = client.with(layer).build();
    let request = client.get(url).timeout(Duration::from_millis(50));
    let error = request.send().await.unwrap_err();
    assert!(error.is_timeout());
    assert_tells_no_token(&error, &served);
}

fn assert_tells_no_token(error: &(dyn std::error::Error + 'static), served: &Served) {
    let mut text = String::new();
    let mut cause = Some(error);
    while let Some(error) = cause {
        text = format!("{text} {error} {error:?}");
        cause = error.source();
    }
    for accepted in served.provider.accepted() {
        assert!(
            !text.contains(accepted.access_token.expose_secret()),
            "{text}"
        );
    }
    assert!(!text.contains("token="), "{text}");
}

#[tokio::test]
async fn an_upload_that_is_refused_is_resent_to_the_byte() {
    let bytes: Vec<u8> = (0..40_000_u32).map(|at| (at % 251) as u8).collect();
    for version in [Version::HTTP_11, Version::HTTP_2] {
        let served = serve().await;
        served.provider.expire_access_tokens();
        let (mut upload, body) = Channel::<Bytes>::new(4);
        let pieces = bytes.clone();
        tokio::spawn(async move {
            for piece in pieces.chunks(1000) {
                let frame = Frame::data(Bytes::copy_from_slice(piece));
                if upload.send(frame).await.is_err() {
                    return;
                }
            }
        });
        let mut request = Request::new(Method::POST, served.url("/upload"));
        *request.body_mut() = Some(Body::wrap(body));
        let response = served.client(version).oneshot(request).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(served.provider.accepted()[0].body, bytes);
        assert_eq!(served.provider.presentations().len(), 1);
    }
}

#[tokio::test]
async fn what_is_too_long_to_be_kept_goes_once_and_its_refusal_comes_back() {
    let served = serve().await;
    served.provider.expire_access_tokens();
    let mut request = Request::new(Method::POST, served.url("/upload"));
    *request.body_mut() = Some(vec![b'x'; 100_000].into());
    let client = served.client(Version::HTTP_11);
    let response = client.clone().oneshot(request).await.unwrap();
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    // The next one gains by it.
    let response = client.oneshot(served.get("/x")).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(served.provider.presentations().len(), 1);
}

#[tokio::test]
async fn a_request_without_a_credential_is_not_sent_and_says_why() {
    let served = serve().await;
    served.account.revoke().await.unwrap();
    let client = served.client(Version::HTTP_11);
    let Err(Error::Auth(error)) = client.oneshot(served.get("/x")).await else {
        panic!("it was sent")
    };
    assert_eq!(error.kind(), AuthErrorKind::Credential);
    let error = served.middleware().get(served.url("/x")).send().await;
    let reqwest_middleware::Error::Middleware(error) = error.unwrap_err() else {
        panic!("it was sent")
    };
    let error: AuthError = error.downcast().unwrap();
    assert_eq!(error.kind(), AuthErrorKind::Credential);
    assert!(error.source().is_some());
    assert_eq!(served.provider.api_requests(), 0);
}

#[tokio::test]
async fn an_account_comes_with_each_request() {
    let served = serve().await;
    let other = Account::builder(served.server.endpoint().unwrap());
    let other = other
        .tokens(served.provider.issue(HOUR))
        .open("other")
        .await;
    let other = other.unwrap();
    let layer = MacAuthLayer::per_request(other.provider());
    let layer = layer.allow(&served.server.authority()).unwrap();
    let tower = layer.layer(client(Version::HTTP_11));
    let middleware = ClientBuilder::new(client(Version::HTTP_11))
        .with(layer)
        .build();
    for account in [&served.account, &other] {
        let request = http::Request::get(served.url("/x").as_str())
            .extension(account.clone())
            .body(Body::default())
            .unwrap();
        let request = Request::try_from(request).unwrap();
        assert_eq!(tower.clone().oneshot(request).await.unwrap().status(), 200);
        let request = middleware
            .get(served.url("/x"))
            .with_extension(account.clone());
        assert_eq!(request.send().await.unwrap().status(), 200);
    }
    let accepted = served.provider.accepted();
    assert_eq!(accepted[0].access_token, accepted[1].access_token);
    assert_eq!(accepted[2].access_token, accepted[3].access_token);
    assert_ne!(accepted[1].access_token, accepted[2].access_token);
    assert!(matches!(
        tower.oneshot(served.get("/x")).await,
        Err(Error::Auth(_))
    ));
    assert!(middleware.get(served.url("/x")).send().await.is_err());
}

/// Counts the attempts that come by.
struct Counting;

#[derive(Clone, PartialEq, Debug)]
struct Attempts(u32);

#[async_trait::async_trait]
impl Middleware for Counting {
    async fn handle(
        &self,
        request: Request,
        extensions: &mut Extensions,
        next: Next<'_>,
    ) -> reqwest_middleware::Result<Response> {
        let Attempts(before) = *extensions.get_or_insert_with(|| Attempts(0));
        extensions.insert(Attempts(before + 1));
        let mut response = next.run(request, extensions).await?;
        response
            .extensions_mut()
            .insert(extensions.get::<Attempts>().cloned().unwrap());
        Ok(response)
    }
}

#[tokio::test]
async fn what_middlewares_hand_down_goes_on_from_one_attempt_to_the_next() {
    let served = serve().await;
    let client = ClientBuilder::new(client(Version::HTTP_11));
    let client = client.with(served.layer()).with(Counting).build();
    let one = client.get(served.url("/x")).send().await.unwrap();
    assert_eq!(one.extensions().get(), Some(&Attempts(1)));
    served.provider.expire_access_tokens();
    let two = client.get(served.url("/x")).send().await.unwrap();
    assert_eq!(two.extensions().get(), Some(&Attempts(2)));
    assert_eq!(two.extensions().get(), Some(&Generation::FIRST.next()));
}

#[tokio::test]
async fn a_refusal_whose_refresh_failed_is_handed_back_whole() {
    let served = serve().await;
    served.provider.expire_access_tokens();
    served.provider.fault_always(Fault::Reset);
    let client = served.client(Version::HTTP_11);
    let response = client.oneshot(served.get("/x")).await.unwrap();
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    let why = response
        .extensions()
        .get::<tower_mac_auth::account::RefreshError>();
    assert!(why.is_some());
    assert!(response.text().await.unwrap().contains("96008"));
}

/// The provider's API behind TLS, with ALPN.
async fn over_tls(provider: &Provider) -> (String, rustls::RootCertStore) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let mut roots = rustls::RootCertStore::empty();
    roots.add(made.cert.der().clone()).unwrap();
    let ring = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(ring)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let authority = format!("localhost:{}", listener.local_addr().unwrap().port());
    let api = provider.api();
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let (acceptor, api) = (acceptor.clone(), api.clone());
            tokio::spawn(async move {
                let socket = TokioIo::new(acceptor.accept(socket).await.unwrap());
                // A server is sent the path alone.
                let api = tower::service_fn(move |mut request: http::Request<_>| {
                    if let Some(host) = request.headers().get("host") {
                        let host = host.to_str().unwrap();
                        let uri = format!("https://{host}{}", request.uri());
                        *request.uri_mut() = uri.parse().unwrap();
                    }
                    api.clone().call(request)
                });
                let service = TowerToHyperService::new(api);
                let builder = auto::Builder::new(TokioExecutor::new());
                let _ = builder.serve_connection(socket, service).await;
            });
        }
    });
    (authority, roots)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_tls_both_versions_of_http_are_signed() {
    let served = serve().await;
    let (authority, roots) = over_tls(&served.provider).await;
    let layer = served.layer().allow(&authority).unwrap();
    for version in [Version::HTTP_11, Version::HTTP_2] {
        let mut tls = tls(roots.clone());
        if version == Version::HTTP_2 {
            tls.alpn_protocols = vec![b"h2".to_vec()];
        }
        let client = Client::builder()
            .redirect(redirect::Policy::none())
            .tls_backend_preconfigured(tls)
            .build()
            .unwrap();
        let url: Url = format!("https://{authority}/x?a=b").parse().unwrap();
        let request = || Request::new(Method::GET, url.clone());
        let response = layer
            .layer(client.clone())
            .oneshot(request())
            .await
            .unwrap();
        assert_eq!(
            (response.status(), response.version()),
            (StatusCode::OK, version)
        );
        let client = ClientBuilder::new(client).with(layer.clone()).build();
        let response = client.execute(request()).await.unwrap();
        assert_eq!(
            (response.status(), response.version()),
            (StatusCode::OK, version)
        );
    }
}

/// The same code for the types of the line 0.12.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_line_0_12_makes_one_presentation_too_and_its_time_limits_hold() {
    use tower_mac_auth::reqwest_012::reqwest::{Client, Request, redirect};

    let served = serve().await;
    let client = Client::builder().redirect(redirect::Policy::none());
    let client = served.layer().layer(client.build().unwrap());
    served.provider.expire_access_tokens();
    let url = served.server.url("/a/./b?c='d'");
    let mut calls = JoinSet::new();
    for _ in 0..MANY {
        let request = Request::new(Method::POST, url.parse().unwrap());
        calls.spawn(client.clone().oneshot(request));
    }
    for response in calls.join_all().await {
        let response = response.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        assert!(response.url().as_str().contains("/a/b?c=%27d%27"));
        response.bytes().await.unwrap();
    }
    assert_eq!(served.provider.presentations().len(), 1);

    served.provider.api_fault_next(ApiFault::Stall);
    let mut request = Request::new(Method::GET, url.parse().unwrap());
    *request.timeout_mut() = Some(Duration::from_millis(50));
    let Err(Error::Service(error)) = client.oneshot(request).await else {
        panic!("it was answered")
    };
    assert!(error.is_timeout());
}

/// The recipe in the docs.
#[tokio::test]
async fn by_tower_reqwest_a_request_is_signed_as_it_is_sent() {
    let served = serve().await;
    let client = tower::ServiceBuilder::new()
        .layer(served.layer())
        .map_request(|request: http::Request<RequestBody<Body>>| request.map(Body::wrap))
        .layer(tower_reqwest::HttpClientLayer)
        .service(client(Version::HTTP_11));
    served.provider.expire_access_tokens();
    let request = http::Request::post(served.server.url("/lamp?room=2"));
    let request = request.body(Body::from("on")).unwrap();
    let response = client.oneshot(request).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    let [accepted] = &served.provider.accepted()[..] else {
        panic!("one");
    };
    assert_eq!(accepted.body, "on");
    assert_eq!(served.provider.presentations().len(), 1);
}
