//! How many allocations a signature makes, and a call through the layer.

#![expect(clippy::expect_used, reason = "a test may stop")]

use http::HeaderMap;
use http::uri::Uri;
use tower_mac_auth::provider::RequestParts;
use tower_mac_auth::provider::xiaomi::{Credential, Nonce, SigningRules};
use tower_mac_auth::sign::{Algorithm, MacKey};
use tower_mac_auth::{AccessToken, Clock, MacKeyText, SystemClock};

const TOKEN: &str = "eJxjYGAQydknLLCFsVyIR-DxSqdTnQFGfX4yDAwMjAzxQJIheJfnRTDtvAhMM8SE_2FgWDw7Rg3MYzdUMFIwVjABMplzE5MBClYRuw";

/// Signs the request and puts the header, and the URI if it is a new one, in place.
fn allocations(rules: &SigningRules, uri: &str) -> u64 {
    let key = MacKey::new(Algorithm::HmacSha1, &MacKeyText::new("key")).expect("a good key");
    let credential =
        Credential::new(&AccessToken::new(TOKEN), key).with_client_id("179887661252608");
    let mut uri: Uri = uri.parse().expect("a good URI");
    let mut headers = HeaderMap::with_capacity(8);
    // The first use of a thread's generator sets it up.
    fastrand::u64(..);
    let counted = allocation_counter::measure(|| {
        let nonce = Nonce::fresh(SystemClock.now());
        let host = uri.authority().map_or("", |authority| authority.as_str());
        let request = RequestParts::new("GET", host, uri.path()).with_query(uri.query());
        let signed = rules
            .sign(&credential, &request, &nonce)
            .expect("a good request");
        let path_and_query = signed.set_headers(&mut headers).expect("few headers");
        if path_and_query.is_some() {
            let mut parts = std::mem::take(&mut uri).into_parts();
            parts.path_and_query = path_and_query;
            uri = Uri::from_parts(parts).expect("a good URI");
        }
    });
    counted.count_total
}

#[test]
fn a_ready_request_takes_one_allocation() {
    let rules = SigningRules::new().query_credentials(false);
    let host = "https://open.account.xiaomi.com";
    for target in [
        "/user/profile".to_owned(),
        format!("/user/profile?clientId=179887661252608&token={TOKEN}"),
        format!("/user/profile?token={TOKEN}&z=%20&y&x=&%61=1&clientId=179887661252608"),
    ] {
        assert_eq!(
            allocations(&rules, &format!("{host}{target}")),
            1,
            "{target}"
        );
    }
}

#[test]
fn credentials_in_the_query_take_one_more() {
    let rules = SigningRules::new();
    for target in ["", "/user/profile", "/user/profile?b=2&a=1&token=old"] {
        let uri = format!("https://open.account.xiaomi.com{target}");
        assert_eq!(allocations(&rules, &uri), 2, "{target}");
    }
}

/// What a call through the layer makes, around a service in memory.
#[cfg(feature = "testing")]
mod layer {
    use std::convert::Infallible;
    use std::future::{Future, Ready, ready};
    use std::pin::pin;
    use std::sync::{Arc, Mutex};
    use std::task::{Context, Poll, Waker};
    use std::time::Duration;

    use bytes::Bytes;
    use http::header::{ACCEPT, AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE};
    use http::{HeaderMap, HeaderValue, Request, Response};
    use http_body_util::Full;
    use tower::{Layer, Service};
    use tower_mac_auth::account::Account;
    use tower_mac_auth::layer::{MacAuthLayer, RequestBody};
    use tower_mac_auth::provider::xiaomi::SigningRules;
    use tower_mac_auth::testing::Provider;

    const ANSWER: &str = r#"{"result":"ok","code":0,"description":"no error","data":{}}"#;

    /// Gives the answer it was made with, once, and makes no allocation.
    #[derive(Clone)]
    struct Once(Arc<Mutex<Option<Response<Full<Bytes>>>>>);

    impl Once {
        fn new() -> Self {
            let answer = Response::builder()
                .header(CONTENT_TYPE, "application/json")
                .header(CONTENT_LENGTH, ANSWER.len())
                .body(Full::from(ANSWER))
                .expect("a good response");
            Self(Arc::new(Mutex::new(Some(answer))))
        }
    }

    impl Service<Request<RequestBody<Full<Bytes>>>> for Once {
        type Response = Response<Full<Bytes>>;
        type Error = Infallible;
        type Future = Ready<Result<Self::Response, Infallible>>;

        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
            Poll::Ready(Ok(()))
        }

        fn call(&mut self, request: Request<RequestBody<Full<Bytes>>>) -> Self::Future {
            assert!(request.headers().contains_key(AUTHORIZATION));
            let answer = self.0.lock().expect("nobody panicked").take();
            ready(Ok(answer.expect("it is called once")))
        }
    }

    async fn account(rules: SigningRules) -> Account {
        let provider = Provider::builder().signing_rules(rules).build();
        let tokens = provider.issue(Duration::from_secs(3600));
        let account = Account::builder(provider.endpoint()).tokens(tokens);
        account.open("user").await.expect("an account")
    }

    /// Calls the layer and reads the whole answer.
    fn allocations(layer: &MacAuthLayer, request: Request<Full<Bytes>>) -> u64 {
        let layer = layer.clone();
        let layer = layer.allow("api.example").expect("a good host");
        let mut service = layer.layer(Once::new());
        let (mut request, mut answer) = (Some(request), None);
        let counted = allocation_counter::measure(|| {
            let cx = &mut Context::from_waker(Waker::noop());
            assert!(service.poll_ready(cx).is_ready());
            let future = service.call(request.take().expect("one request"));
            if let Poll::Ready(Ok(response)) = pin!(future).poll(cx) {
                answer = Some(response);
            }
        });
        assert!(answer.is_some(), "the answer was there");
        counted.count_total
    }

    /// With room for one header more, so that only what the layer needs is counted.
    fn request(method: &str, body: &'static str) -> Request<Full<Bytes>> {
        let mut headers = HeaderMap::with_capacity(4);
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        let mut request = Request::new(Full::from(body));
        *request.method_mut() = method.parse().expect("a good method");
        *request.uri_mut() = "https://api.example/user/profile?a=1"
            .parse()
            .expect("a good URI");
        *request.headers_mut() = headers;
        request
    }

    #[tokio::test]
    async fn a_request_that_is_not_to_be_resent_takes_one_allocation_and_its_body_one() {
        let account = account(SigningRules::new().query_credentials(false)).await;
        let layer = MacAuthLayer::new(account).resend_cap(0);
        // What a thread's first call sets up is no matter.
        allocations(&layer, request("GET", ""));
        assert_eq!(allocations(&layer, request("GET", "")), 1);
        assert_eq!(allocations(&layer, request("POST", "on")), 2);
    }

    #[tokio::test]
    async fn a_get_that_can_be_resent_takes_two() {
        let account = account(SigningRules::new().query_credentials(false)).await;
        let layer = MacAuthLayer::new(account);
        allocations(&layer, request("GET", ""));
        assert_eq!(allocations(&layer, request("GET", "")), 2);
    }

    #[tokio::test]
    async fn credentials_in_the_query_take_one_more() {
        let account = account(SigningRules::new()).await;
        let layer = MacAuthLayer::new(account);
        allocations(&layer, request("GET", ""));
        assert_eq!(allocations(&layer, request("GET", "")), 3);
        let layer = layer.resend_cap(0);
        assert_eq!(allocations(&layer, request("GET", "")), 2);
    }
}
