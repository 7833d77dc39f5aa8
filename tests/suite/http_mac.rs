//! An account of a provider of MAC tokens by the IETF drafts: signed, verified, refused, refreshed.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, Uri, header};
use http_body::Body;
use http_body_util::{BodyExt as _, Full};
use tower::{ServiceExt as _, service_fn};
use tower_layer::Layer as _;
use tower_mac_auth::account::Account;
use tower_mac_auth::layer::MacAuthLayer;
use tower_mac_auth::provider::http_mac::Draft;
use tower_mac_auth::provider::{HttpMac, OAuth2, RequestParts};
use tower_mac_auth::sign::{Algorithm, MacKey};
use tower_mac_auth::testing::TestClock;
use tower_mac_auth::token::{
    BoxFuture, Connection, SendError, TokenEndpoint, Transport, TransportError,
};
use tower_mac_auth::verify::{MacAuthorization, ReplayGuard, Verifier, VerifyErrorKind};
use tower_mac_auth::{AuthorizationCode, Clock as _, MacKeyText, Timestamp};

const WINDOW: Duration = Duration::from_secs(30);
const HOUR: Duration = Duration::from_secs(3600);

/// An authorization server and an API, whose clock is an hour ahead of the client's.
#[derive(Clone)]
struct Server {
    draft: Draft,
    algorithm: Algorithm,
    clock: TestClock,
    state: Arc<Mutex<State>>,
    guard: Arc<ReplayGuard>,
}

#[derive(Default)]
struct State {
    /// The number of the current key, and when each was issued.
    issued_at: Vec<Timestamp>,
    presented: Vec<String>,
    refused: Vec<String>,
    accepted: u32,
}

impl Server {
    fn new(draft: Draft, algorithm: Algorithm) -> Self {
        Self {
            draft,
            algorithm,
            clock: TestClock::new(),
            state: Arc::default(),
            guard: Arc::new(ReplayGuard::new(WINDOW, 1000)),
        }
    }

    fn now(&self) -> Timestamp {
        self.clock.now().saturating_add(HOUR)
    }

    fn date(&self) -> HeaderValue {
        let date = httpdate::fmt_http_date(SystemTime::from(self.now()));
        HeaderValue::try_from(date).unwrap()
    }

    fn issue(&self, request: &Request<Bytes>) -> Response<Bytes> {
        let form: HashMap<_, _> = form_urlencoded::parse(request.body())
            .into_owned()
            .collect();
        let mut state = self.state.lock().unwrap();
        let presented = form.get("code").or(form.get("refresh_token"));
        state.presented.push(presented.unwrap().clone());
        state.issued_at.push(self.now());
        let (number, algorithm) = (state.issued_at.len(), self.algorithm);
        let body = format!(
            r#"{{"access_token":"A{number}","token_type":"mac","mac_key":"K{number}","mac_algorithm":"{algorithm}","expires_in":36000,"refresh_token":"R{number}"}}"#
        );
        let mut answer = Response::new(Bytes::from(body));
        answer.headers_mut().insert(header::DATE, self.date());
        answer
    }

    /// What is wrong with a request, in words.
    fn check(&self, head: &http::request::Parts, body: &[u8]) -> Result<(), &'static str> {
        let header = &head.headers[header::AUTHORIZATION];
        let authorization = MacAuthorization::try_from(header).unwrap();
        let token = authorization.access_token().expose_secret();
        let state = self.state.lock().unwrap();
        let number: usize = token.strip_prefix('A').unwrap().parse().unwrap();
        if number != state.issued_at.len() {
            return Err("The MAC credentials expired");
        }
        let key = MacKeyText::new(format!("K{number}"));
        let key = MacKey::new(self.algorithm, &key).unwrap();
        let authorization = authorization.with_issued_at(state.issued_at[number - 1]);
        let host = head.uri.host().unwrap();
        let request = RequestParts::new(head.method.as_str(), host, head.uri.path())
            .with_query(head.uri.query())
            .with_body(body);
        let verifier = Verifier::http_mac(self.draft);
        verifier.check(&key, &request, &authorization).unwrap();
        assert_eq!(authorization.bodyhash().is_some(), self.draft == Draft::V00);
        assert_eq!(authorization.ext(), Some("tenant 7"));
        let admitted = self.guard.admit(&authorization, self.now());
        admitted.map_err(|error| match error.kind() {
            VerifyErrorKind::OutsideWindow => "Stale timestamp",
            other => panic!("{other:?}"),
        })
    }

    async fn serve<B: Body<Error: std::fmt::Debug>>(
        self,
        request: Request<B>,
    ) -> Result<Response<Full<Bytes>>, Infallible> {
        let (head, body) = request.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let checked = self.check(&head, &body);
        let mut response = Response::new(Full::new(body));
        response.headers_mut().insert(header::DATE, self.date());
        let mut state = self.state.lock().unwrap();
        match checked {
            Ok(()) => state.accepted += 1,
            Err(error) => {
                state.refused.push(error.to_owned());
                *response.status_mut() = StatusCode::UNAUTHORIZED;
                let value = format!("Basic realm=\"a, b\", MAC error=\"{error}\"");
                let value = HeaderValue::try_from(value).unwrap();
                response
                    .headers_mut()
                    .insert(header::WWW_AUTHENTICATE, value);
            }
        }
        Ok(response)
    }

    async fn account(&self) -> Account<HttpMac> {
        let oauth2 = OAuth2::new("https://as.example/token", "id").allow("api.example");
        let provider = HttpMac::new(oauth2.unwrap(), self.draft);
        let provider = provider.with_ext("tenant 7").unwrap();
        let provider = match self.draft {
            Draft::V00 => provider.with_body_hash(1024),
            _ => provider,
        };
        let endpoint = TokenEndpoint::builder(provider).transport(self.clone());
        let account = Account::builder(endpoint.build().unwrap()).clock(self.clock.clone());
        let code = AuthorizationCode::new("C");
        account.authorize("user", code).await.unwrap()
    }

    async fn call(&self, account: &Account<HttpMac>) -> StatusCode {
        let server = self.clone();
        let api = service_fn(move |request| server.clone().serve(request));
        let client = MacAuthLayer::new(account.clone()).layer(api);
        let request = Request::post("https://api.example/lamp?b=2&a=1");
        let request = request.body(Full::new(Bytes::from_static(b"on"))).unwrap();
        client.oneshot(request).await.unwrap().status()
    }

    fn refused(&self) -> Vec<String> {
        self.state.lock().unwrap().refused.clone()
    }

    fn presented(&self) -> Vec<String> {
        self.state.lock().unwrap().presented.clone()
    }
}

impl Transport for Server {
    fn connect<'a>(
        &'a self,
        _: &'a Uri,
    ) -> BoxFuture<'a, Result<Box<dyn Connection>, TransportError>> {
        let connection: Box<dyn Connection> = Box::new(self.clone());
        Box::pin(async { Ok(connection) })
    }
}

impl Connection for Server {
    fn send(
        self: Box<Self>,
        request: Request<Bytes>,
    ) -> BoxFuture<'static, Result<Response<Bytes>, SendError>> {
        Box::pin(async move { Ok(self.issue(&request)) })
    }
}

/// Of each draft, and both algorithms.
const KINDS: [(Draft, Algorithm); 2] = [
    (Draft::V00, Algorithm::HmacSha1),
    (Draft::V01, Algorithm::HmacSha256),
];

#[tokio::test(start_paused = true)]
async fn a_client_whose_clock_is_wrong_is_refused_once_and_presents_nothing() {
    for (draft, algorithm) in KINDS {
        let server = Server::new(draft, algorithm);
        let account = server.account().await;
        for _ in 0..3 {
            assert_eq!(server.call(&account).await, 200);
            server.clock.advance(HOUR);
        }
        assert_eq!(server.refused(), ["Stale timestamp"], "{draft:?}");
        assert_eq!(server.presented(), ["C"]);
        account.shutdown().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_key_that_ended_is_renewed_once_for_all_requests() {
    for (draft, algorithm) in KINDS {
        let server = Server::new(draft, algorithm);
        let account = server.account().await;
        assert_eq!(server.call(&account).await, 200);
        // The current key is another from now on.
        server
            .state
            .lock()
            .unwrap()
            .issued_at
            .push(Timestamp::EPOCH);
        let calls = (0..20).map(|_| server.call(&account));
        for status in futures_util::future::join_all(calls).await {
            assert_eq!(status, 200);
        }
        assert_eq!(server.presented(), ["C", "R1"]);
        let expired = server.refused();
        assert!(
            expired[1..]
                .iter()
                .all(|error| error == "The MAC credentials expired")
        );
        assert_eq!(server.state.lock().unwrap().accepted, 21);
        account.shutdown().await;
    }
}
