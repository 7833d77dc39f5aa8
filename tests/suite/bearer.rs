//! An account of an RFC 6749 provider with bearer tokens, from the code to a refresh.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, Uri, header};
use http_body_util::Full;
use tower::{ServiceExt as _, service_fn};
use tower_layer::Layer as _;
use tower_mac_auth::account::{Account, RefreshErrorKind};
use tower_mac_auth::layer::MacAuthLayer;
use tower_mac_auth::provider::oauth2::ClientAuthentication;
use tower_mac_auth::provider::{Bearer, Meaning, OAuth2};
use tower_mac_auth::testing::TestClock;
use tower_mac_auth::token::{
    BoxFuture, Connection, SendError, TokenEndpoint, Transport, TransportError,
};
use tower_mac_auth::{AuthorizationCode, CodeVerifier};

/// An authorization server and an API: the current access token, and what was presented.
#[derive(Clone, Default)]
struct Server(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    challenge: String,
    issued: u32,
    presented: Vec<String>,
    /// Answers a refresh in place of tokens.
    says: Option<(u16, &'static str)>,
}

impl State {
    fn access_token(&self) -> String {
        format!("A{}", self.issued)
    }

    fn answer(&mut self, request: &Request<Bytes>) -> (u16, String) {
        assert_eq!(
            (request.method(), request.uri().path()),
            (&Method::POST, "/token")
        );
        assert_eq!(request.headers()[header::HOST], "as.example");
        // `id:p%40ss`.
        assert_eq!(
            request.headers()[header::AUTHORIZATION],
            "Basic aWQ6cCU0MHNz"
        );
        let form: HashMap<_, _> = form_urlencoded::parse(request.body())
            .into_owned()
            .collect();
        if form["grant_type"] == "authorization_code" {
            let verifier = CodeVerifier::new(&*form["code_verifier"]);
            assert_eq!(verifier.challenge(), self.challenge);
            assert_eq!(form["redirect_uri"], "https://me.example/callback");
            self.presented.push(form["code"].clone());
            return self.issue(r#""refresh_token":"R""#);
        }
        self.presented.push(form["refresh_token"].clone());
        match self.says {
            Some((status, body)) => (status, body.to_owned()),
            None => self.issue(r#""error":"""#),
        }
    }

    fn issue(&mut self, more: &str) -> (u16, String) {
        self.issued += 1;
        let token = self.access_token();
        let body = format!(r#"{{"access_token":"{token}","token_type":"Bearer",{more}}}"#);
        (200, body)
    }

    fn serve<B>(&self, request: &Request<B>) -> Response<Full<Bytes>> {
        let wanted = format!("Bearer {}", self.access_token());
        let response = Response::builder();
        let response = if request.headers()[header::AUTHORIZATION] == *wanted {
            response
        } else {
            response.status(StatusCode::UNAUTHORIZED).header(
                header::WWW_AUTHENTICATE,
                r#"Bearer realm="a, b", error="invalid_token""#,
            )
        };
        response.body(Full::default()).unwrap()
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
        let (status, body) = self.0.lock().unwrap().answer(&request);
        let answer = Response::builder().status(status).body(body.into());
        Box::pin(async { Ok(answer.unwrap()) })
    }
}

impl Server {
    /// An account of a user who has agreed.
    async fn account(&self) -> Account<Bearer> {
        let oauth2 = OAuth2::new("https://as.example/token", "id")
            .with_client_secret("p@ss")
            .with_client_authentication(ClientAuthentication::Basic)
            .with_authorize_url("https://as.example/authorize")
            .with_redirect_uri("https://me.example/callback")
            .with_error("slow_down", Meaning::TryLater)
            .allow("api.example")
            .unwrap();
        let endpoint = TokenEndpoint::builder(Bearer::new(oauth2)).transport(self.clone());
        let endpoint = endpoint.build().unwrap();
        let asked = endpoint.authorize_url("state").unwrap();
        let (_, query) = asked.url.split_once('?').unwrap();
        let query: HashMap<_, _> = form_urlencoded::parse(query.as_bytes())
            .into_owned()
            .collect();
        self.0
            .lock()
            .unwrap()
            .challenge
            .clone_from(&query["code_challenge"]);
        let code = AuthorizationCode::new("C").with_verifier(asked.code_verifier.unwrap());
        let account = Account::builder(endpoint)
            .clock(TestClock::new())
            .min_rotation_interval(Duration::ZERO);
        account.authorize("user", code).await.unwrap()
    }

    async fn call(&self, account: &Account<Bearer>) -> StatusCode {
        let server = self.clone();
        let api = service_fn(move |request: Request<_>| {
            let response = server.0.lock().unwrap().serve(&request);
            async { Ok::<_, Infallible>(response) }
        });
        let client = MacAuthLayer::new(account.clone()).layer(api);
        let request = Request::get("https://api.example/me").body(Full::<Bytes>::default());
        client.oneshot(request.unwrap()).await.unwrap().status()
    }

    /// Ends the access token.
    fn end(&self) {
        self.0.lock().unwrap().issued += 1;
    }

    fn presented(&self) -> Vec<String> {
        self.0.lock().unwrap().presented.clone()
    }
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_does_not_rotate_has_its_refresh_token_kept() {
    let server = Server::default();
    let account = server.account().await;
    assert_eq!(server.call(&account).await, 200);
    assert_eq!(server.presented(), ["C"]);
    for _ in 0..2 {
        server.end();
        assert_eq!(server.call(&account).await, 200);
    }
    assert_eq!(server.presented(), ["C", "R", "R"]);
    account.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn what_a_provider_says_of_a_refresh_decides_what_becomes_of_the_token() {
    for (status, body, kind) in [
        (
            400,
            r#"{"error":"invalid_grant"}"#,
            RefreshErrorKind::ReauthorizationRequired,
        ),
        (
            401,
            r#"{"error":"invalid_client"}"#,
            RefreshErrorKind::Refused,
        ),
        (
            400,
            r#"{"error":"slow_down"}"#,
            RefreshErrorKind::RateLimited,
        ),
        (503, "<html>", RefreshErrorKind::InDoubt),
    ] {
        let server = Server::default();
        let account = server.account().await;
        server.0.lock().unwrap().says = Some((status, body));
        let error = account
            .refresh_if_current(account.generation())
            .await
            .unwrap_err();
        assert_eq!(error.kind(), kind, "{body}");
        assert_eq!(server.presented(), ["C", "R"], "{body}");
        account.shutdown().await;
    }
}
