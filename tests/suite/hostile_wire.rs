//! Whatever URI, method and `Host` a caller comes up with: what arrives over a real wire was signed
//! as it arrived, or the layer has refused to send it.

use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST};
use http::uri::PathAndQuery;
use http::{HeaderValue, Method, Request, Uri, Version};
use http_body_util::Full;
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioIo};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseResult, TestRunner};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tower::util::BoxCloneSyncService;
use tower::{Layer, ServiceExt};
use tower_mac_auth::account::Account;
use tower_mac_auth::layer::{Error, MacAuthLayer, RequestBody};
use tower_mac_auth::provider::AllowedAuthorities;
use tower_mac_auth::provider::xiaomi::SigningRules;
use tower_mac_auth::testing::{Provider, Server};

type Body = RequestBody<Full<Bytes>>;
type BoxError = Box<dyn std::error::Error + Send + Sync>;
type Inner = BoxCloneSyncService<Request<Body>, http::Response<hyper::body::Incoming>, BoxError>;

const HOSTS: &[&str] = &[
    "api.example",
    "API.Example:80",
    "api.example:8443",
    "xn--bcher-kva.example",
    "dot.example.",
    "under_score.example",
    "[::1]",
    "[2001:DB8::1]:8080",
    "127.0.0.1:80",
];

/// A client that knows one server, whatever the URI says, as one behind a proxy does.
fn client(server: &Server, version: Version) -> Inner {
    let addr = server.addr();
    let connector = tower::service_fn(move |_: Uri| {
        Box::pin(async move { TcpStream::connect(addr).await.map(TokioIo::new) })
    });
    let client = Client::builder(TokioExecutor::new())
        .http2_only(version == Version::HTTP_2)
        .build(connector);
    BoxCloneSyncService::new(client.map_err(BoxError::from))
}

struct Wire {
    provider: Provider,
    clients: [(Inner, Version); 2],
    layer: MacAuthLayer,
    _server: Server,
}

impl Wire {
    async fn new(rules: SigningRules, query_credentials: bool) -> Self {
        let provider = Provider::builder()
            .signing_rules(rules.query_credentials(query_credentials))
            .query_credentials(query_credentials)
            .build();
        let server = provider.serve().await.unwrap();
        let tokens = provider.issue(Duration::from_secs(3600));
        let account = Account::builder(provider.endpoint())
            .tokens(tokens)
            .open("user")
            .await
            .unwrap();
        let allowed = AllowedAuthorities::new(HOSTS).unwrap();
        let layer = MacAuthLayer::new(account).allowed_authorities(allowed.allow_plain_http(true));
        let clients =
            [Version::HTTP_11, Version::HTTP_2].map(|version| (client(&server, version), version));
        Self {
            provider,
            clients,
            layer,
            _server: server,
        }
    }

    /// On each version of HTTP: accepted by the provider, or never sent.
    async fn holds(&self, request: &Request<Full<Bytes>>) -> TestCaseResult {
        for (client, version) in &self.clients {
            let mut request = request.clone();
            *request.version_mut() = *version;
            let shown = format!("{request:?}");
            self.provider.clear_records();
            match self.layer.layer(client.clone()).oneshot(request).await {
                Ok(response) => {
                    let refused = self.provider.refused();
                    prop_assert_eq!(response.status(), 200, "{}: {:?}", shown, refused);
                    prop_assert_eq!(self.provider.accepted().len(), 1, "{}", shown);
                }
                Err(Error::Auth(_)) => prop_assert_eq!(self.provider.api_requests(), 0),
                // The client below does not take every request either.
                Err(Error::Service(error)) => {
                    prop_assert_eq!(self.provider.api_requests(), 0, "{}: {:?}", shown, error);
                }
            }
        }
        Ok(())
    }
}

fn path_and_query() -> impl Strategy<Value = Vec<u8>> {
    let odd = b"/?&=+%#;:@!$'()*,~[]{}|\\^`\"<>._- \t\x00\x7F\x80\xC3\xA4".to_vec();
    let byte = prop_oneof![
        4 => prop::sample::select(b"/?&=+%".to_vec()),
        3 => any::<u8>().prop_map(|byte| b"abAB019z"[usize::from(byte % 8)]),
        2 => prop::sample::select(odd),
    ];
    let piece = prop_oneof![
        6 => vec(byte, 0..4),
        1 => prop::sample::select(vec![
            "token=", "clientId=1", "%74oken=x", "&&", "a=%2B", "%c3%a4", "%C3%A4=1", "b=&", "..",
            "%2e%2e/", "?", "a=1", "%", "%0", "%00", "a%20b=c+d", "tokem=1", "tokeo=1",
        ]).prop_map(|text| text.as_bytes().to_vec()),
    ];
    vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

fn uri() -> impl Strategy<Value = Option<Uri>> {
    let scheme = prop_oneof![4 => Just("http"), 1 => Just("HTTP"), 1 => Just("https")];
    let slash = prop_oneof![6 => Just("/"), 1 => Just(""), 1 => Just("?"), 1 => Just("*")];
    let by_parts = any::<bool>();
    (
        scheme,
        prop::sample::select(HOSTS),
        slash,
        path_and_query(),
        by_parts,
    )
        .prop_map(|(scheme, host, slash, rest, by_parts)| {
            let rest = [slash.as_bytes(), &rest].concat();
            if by_parts {
                let mut parts = http::uri::Parts::default();
                parts.scheme = Some(scheme.parse().ok()?);
                parts.authority = Some(host.parse().ok()?);
                parts.path_and_query = Some(PathAndQuery::try_from(&rest[..]).ok()?);
                Uri::from_parts(parts).ok()
            } else {
                let start = format!("{scheme}://{host}");
                Uri::try_from([start.as_bytes(), &rest].concat()).ok()
            }
        })
}

/// The `Host` of a request.
#[derive(Clone, Debug)]
enum Host {
    /// None: hyper writes it.
    Left,
    /// The authority of the URI, to the letter.
    OfUri,
    /// One that may agree with the URI.
    Other(&'static str),
}

fn request() -> impl Strategy<Value = Option<Request<Full<Bytes>>>> {
    let method = prop_oneof![
        6 => prop::sample::select(vec!["GET", "POST", "PUT", "OPTIONS", "HEAD", "CONNECT"]),
        1 => prop::sample::select(vec!["get", "M-Search", "x!#$%&'*+-.^_`|~0"]),
    ];
    let host = prop_oneof![
        6 => Just(Host::Left),
        1 => Just(Host::OfUri),
        1 => prop::sample::select(HOSTS).prop_map(Host::Other),
    ];
    let form = option::weighted(0.4, path_and_query());
    (method, uri(), host, form).prop_map(|(method, uri, host, form)| {
        let mut request = Request::new(Full::default());
        *request.method_mut() = Method::from_bytes(method.as_bytes()).ok()?;
        *request.uri_mut() = uri?;
        let host = match host {
            Host::Left => None,
            Host::OfUri => Some(HeaderValue::from_str(request.uri().authority()?.as_str()).ok()?),
            Host::Other(host) => Some(HeaderValue::from_static(host)),
        };
        if let Some(host) = host {
            request.headers_mut().insert(HOST, host);
        }
        if let Some(form) = form {
            let of_form = HeaderValue::from_static("application/x-www-form-urlencoded");
            request.headers_mut().insert(CONTENT_TYPE, of_form);
            *request.body_mut() = Full::from(form);
        }
        Some(request)
    })
}

fn check(rules: SigningRules, query_credentials: bool) {
    let runtime = Runtime::new().unwrap();
    let wire = runtime.block_on(Wire::new(rules, query_credentials));
    let mut runner = TestRunner::new(Config {
        failure_persistence: None,
        max_global_rejects: 1_000_000,
        ..Config::with_cases(128)
    });
    let outcome = runner.run(&request(), |request| {
        let Some(request) = request else {
            return Err(TestCaseError::reject("not a request"));
        };
        runtime.block_on(wire.holds(&request))
    });
    if let Err(error) = outcome {
        panic!("{error}");
    }
}

#[test]
fn any_uri_is_signed_as_it_arrives_or_not_sent() {
    check(SigningRules::new(), true);
}

#[test]
fn any_uri_is_signed_as_it_arrives_or_not_sent_with_every_knob_turned() {
    let every = SigningRules::new()
        .sign_empty_values(true)
        .sign_form(true)
        .accept_malformed_query(true);
    check(every.clone(), false);
    check(every, true);
}
