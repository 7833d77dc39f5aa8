//! A service in memory and what is sent to it, so that only the layer around it costs.

use std::convert::Infallible;
use std::fmt::Debug;
use std::future::{Future, Ready, ready};
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_LENGTH, CONTENT_TYPE, HeaderValue, USER_AGENT};
use http::{HeaderMap, Request, Response, Uri};
use http_body_util::{Empty, Full};
use tower::{Layer, Service};
use tower_mac_auth::account::Account;
use tower_mac_auth::layer::{MacAuth, MacAuthLayer};
use tower_mac_auth::provider::xiaomi::SigningRules;
use tower_mac_auth::testing::Provider;
use tower_mac_auth::token::TokenSet;

/// What an API answers when all is well.
pub(crate) const ANSWER: &str = r#"{"result":"ok","code":0,"description":"no error","data":{"userId":1909031,"miliaoNick":"Li Lei","miliaoIcon":""}}"#;

/// Answers at once, as an API does: 200, a small JSON, its length in the head.
#[derive(Clone, Debug)]
pub(crate) struct Memory;

impl<B> Service<Request<B>> for Memory {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    // As far away as a client is.
    #[inline(never)]
    fn call(&mut self, request: Request<B>) -> Self::Future {
        drop(request);
        let mut response = Response::new(Full::new(Bytes::from_static(ANSWER.as_bytes())));
        let headers = response.headers_mut();
        headers.insert(
            CONTENT_TYPE,
            HeaderValue::from_static("application/json;charset=UTF-8"),
        );
        headers.insert(CONTENT_LENGTH, ANSWER.len().into());
        ready(Ok(response))
    }
}

/// A GET with two headers and room for more.
#[inline]
pub(crate) fn get(uri: &Uri) -> Request<Empty<Bytes>> {
    let mut headers = HeaderMap::with_capacity(4);
    headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
    headers.insert(USER_AGENT, HeaderValue::from_static("bench/1.0"));
    let mut request = Request::new(Empty::new());
    *request.uri_mut() = uri.clone();
    *request.headers_mut() = headers;
    request
}

/// Sends `request` to `service`, which answers without ever waiting: no executor, no task.
#[inline]
pub(crate) fn send<S, B>(service: &mut S, request: Request<B>) -> S::Response
where
    S: Service<Request<B>, Error: Debug>,
{
    let cx = &mut Context::from_waker(Waker::noop());
    assert!(service.poll_ready(cx).is_ready());
    match pin!(service.call(request)).poll(cx) {
        Poll::Ready(response) => response.unwrap(),
        Poll::Pending => panic!("the service in memory never waits"),
    }
}

/// An account with the credential of published vector 1; nobody refreshes it.
pub(crate) fn account(rules: SigningRules) -> Account {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let provider = Provider::builder().signing_rules(rules).build();
    assert_eq!(provider.client_id(), super::CLIENT_ID);
    let life = Duration::from_secs(90 * 24 * 60 * 60);
    let tokens = TokenSet::mac(super::TOKEN, super::MAC_KEY, "refresh", life);
    let account = Account::builder(provider.endpoint()).tokens(tokens);
    runtime.block_on(account.open("bench")).unwrap()
}

/// The layer around [`Memory`], for requests that carry their query already.
pub(crate) fn ready_layer(resend_cap: usize) -> MacAuth<Memory> {
    let rules = SigningRules::new().query_credentials(false);
    of_account(account(rules), resend_cap).layer(Memory)
}

/// The layer around [`Memory`], as it is by default but for the cap.
pub(crate) fn layer(resend_cap: usize) -> MacAuthLayer {
    of_account(account(SigningRules::new()), resend_cap)
}

fn of_account(account: Account, resend_cap: usize) -> MacAuthLayer {
    let layer = MacAuthLayer::new(account).resend_cap(resend_cap);
    layer.allow("open.account.xiamomi.com").unwrap()
}
