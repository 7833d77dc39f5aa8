use std::convert::Infallible;
use std::pin::pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf, Bytes};
use futures_core::future::BoxFuture;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::request::Parts;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body::Body;
use http_body_util::{BodyExt, Full};
use serde::Serialize;
use sha1::{Digest, Sha1};
use tower_service::Service;

use super::answer::{self, JSON};
use super::dialect::{Denial, Signer};
use super::{AcceptedRequest, ApiFault, Provider, RefusedRequest};
use crate::provider::xiaomi::ErrorCode;
use crate::sign::hex;

/// The longest body that is kept.
const MAX_BODY: usize = 4 * 1024 * 1024;

/// The API of a [`Provider`] as a service: see [`Provider::api`].
#[derive(Clone, Debug)]
pub struct Api {
    provider: Provider,
}

impl<B> Service<Request<B>> for Api
where
    B: Body + Send + 'static,
{
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let provider = self.provider.clone();
        Box::pin(async move {
            match provider.api_request(request).await {
                ApiReply::Answer(answer) => Ok(answer.map(Full::new)),
                ApiReply::Slow(answer, pause) => {
                    tokio::time::sleep(pause).await;
                    Ok(answer.map(Full::new))
                }
                ApiReply::Broken(_) | ApiReply::Reset => std::future::pending().await,
            }
        })
    }
}

/// What becomes of a request.
pub(super) enum ApiReply {
    Answer(Response<Bytes>),
    /// With a pause in the middle of the body.
    Slow(Response<Bytes>, Duration),
    /// Broken off in the middle of the body.
    Broken(Response<Bytes>),
    Reset,
}

/// A body that has arrived whole.
struct Received {
    /// Empty if it was not kept.
    bytes: Bytes,
    len: u64,
    sha1: [u8; 20],
    trailers: Option<HeaderMap>,
}

/// What an accepted request is told.
#[derive(Serialize)]
struct Acceptance<'a> {
    result: &'static str,
    description: &'static str,
    code: u32,
    data: Data<'a>,
}

#[derive(Serialize)]
struct Data<'a> {
    method: &'a str,
    path: &'a str,
    length: u64,
    sha1: String,
}

/// Why a body did not arrive.
enum NotReceived {
    TooLong,
    Broken,
}

impl Provider {
    /// The API inside the process, as a service: each path is an endpoint that wants a signed
    /// request.
    pub fn api(&self) -> Api {
        Api {
            provider: self.clone(),
        }
    }

    pub(super) async fn api_request<B: Body>(&self, request: Request<B>) -> ApiReply {
        let fault = self.next_api_fault();
        match fault {
            Some(ApiFault::ServerError(status)) => {
                let answer = answer::response(self.config(), status, "text/plain", "unavailable");
                ApiReply::Answer(answer)
            }
            Some(ApiFault::Reset) => ApiReply::Reset,
            Some(ApiFault::Stall) => std::future::pending().await,
            Some(ApiFault::AcceptedThenReset) => {
                self.api_answer(request).await;
                ApiReply::Reset
            }
            Some(ApiFault::SlowBody(pause)) => {
                ApiReply::Slow(self.api_answer(request).await, pause)
            }
            Some(ApiFault::BrokenBody) => ApiReply::Broken(self.api_answer(request).await),
            None => ApiReply::Answer(self.api_answer(request).await),
        }
    }

    async fn api_answer<B: Body>(&self, request: Request<B>) -> Response<Bytes> {
        let (head, body) = request.into_parts();
        let config = self.config();
        let early = {
            let mut state = self.state();
            state.records.api_requests += 1;
            state.early_refusal
        };
        let is_signed = config.dialect.signs_body(config, &head);
        let mut checked = None;
        if early && !is_signed {
            match self.check(&head, Bytes::new()).await {
                Err(denial) => return self.refuse(&head, denial),
                Ok(signer) => checked = Some(signer),
            }
        }
        let keep = is_signed || config.echo_bodies || !config.accept_any_body;
        let received = match receive(body, keep).await {
            Ok(received) => received,
            Err(NotReceived::TooLong) => {
                let status = StatusCode::PAYLOAD_TOO_LARGE;
                return answer::response(config, status, JSON, Bytes::new());
            }
            Err(NotReceived::Broken) => {
                let denial = Denial::new(ErrorCode::InvalidRequest, "body: broke off");
                return self.refuse(&head, denial);
            }
        };
        let checked = if let Some(signer) = checked {
            Ok(signer)
        } else {
            let signed = is_signed.then(|| received.bytes.clone());
            self.check(&head, signed.unwrap_or_default()).await
        };
        match checked {
            Ok(signer) => self.accept(head, signer, received),
            Err(denial) => self.refuse(&head, denial),
        }
    }

    fn accept(&self, head: Parts, signer: Signer, received: Received) -> Response<Bytes> {
        let config = self.config();
        let mut response = if config.echo_bodies {
            answer::response(config, StatusCode::OK, JSON, received.bytes.clone())
        } else {
            let answer = Acceptance {
                result: "ok",
                description: "no error",
                code: 0,
                data: Data {
                    method: head.method.as_str(),
                    path: head.uri.path(),
                    length: received.len,
                    sha1: hex(&received.sha1),
                },
            };
            // As text it would go piece by piece.
            let answer = serde_json::to_vec(&answer).unwrap_or_default();
            answer::response(config, StatusCode::OK, JSON, answer)
        };
        if let Some(content_type) = head
            .headers
            .get(CONTENT_TYPE)
            .filter(|_| config.echo_bodies)
        {
            let headers = response.headers_mut();
            headers.insert(CONTENT_TYPE, content_type.clone());
        }
        let at = config.clock.now();
        let mut headers = head.headers;
        headers.remove(AUTHORIZATION);
        self.state().records.accepted.push(AcceptedRequest {
            method: head.method,
            path: head.uri.path().to_owned(),
            query: head.uri.query().map(str::to_owned),
            headers,
            body: received.bytes,
            body_len: received.len,
            body_sha1: received.sha1,
            trailers: received.trailers,
            access_token: signer.access_token,
            subject: signer.holder.subject,
            generation: signer.holder.generation,
            nonce: signer.nonce,
            at,
        });
        response
    }

    fn refuse(&self, head: &Parts, denial: Denial) -> Response<Bytes> {
        let config = self.config();
        let at = config.clock.now();
        let style = self.state().refusal_style;
        let answer = config.dialect.api_refusal(config, style, &denial);
        self.state().records.refused.push(RefusedRequest {
            method: head.method.clone(),
            path: head.uri.path().to_owned(),
            code: denial.code,
            reason: denial.reason.into_owned(),
            at,
        });
        answer
    }
}

/// Reads a body to its end.
async fn receive<B: Body>(body: B, keep: bool) -> Result<Received, NotReceived> {
    let mut body = pin!(body);
    let mut kept = Vec::new();
    let mut len = 0;
    let mut sha1 = Sha1::new();
    let mut trailers = None;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| NotReceived::Broken)?;
        match frame.into_data() {
            Ok(mut data) => {
                while data.has_remaining() {
                    let chunk = data.chunk();
                    sha1.update(chunk);
                    len += chunk.len() as u64;
                    if keep {
                        if kept.len() + chunk.len() > MAX_BODY {
                            return Err(NotReceived::TooLong);
                        }
                        kept.extend_from_slice(chunk);
                    }
                    let read = chunk.len();
                    data.advance(read);
                }
            }
            Err(frame) => trailers = frame.into_trailers().ok(),
        }
    }
    Ok(Received {
        bytes: kept.into(),
        len,
        sha1: sha1.finalize().into(),
        trailers,
    })
}

#[cfg(test)]
mod tests {
    use std::pin::Pin;
    use std::time::Duration;

    use http::header::{DATE, HOST, HeaderValue};
    use http_body::Frame;
    use http_body_util::channel::Channel;
    use serde_json::json;
    use tower::ServiceExt;

    use super::super::by_hand::{Client, rotated};
    use super::super::{RefusalStyle, TestClock};
    use super::*;
    use crate::Clock;
    use crate::provider::xiaomi::{Nonce, SigningRules};

    const HOUR: Duration = Duration::from_secs(3600);

    async fn text(response: Response<Full<Bytes>>) -> String {
        let body = response.into_body().collect().await.unwrap().to_bytes();
        String::from_utf8(body.to_vec()).unwrap()
    }

    #[tokio::test]
    async fn a_signed_request_is_let_through_and_put_down_as_it_came() {
        let clock = TestClock::new();
        let provider = Provider::builder().clock(clock).build();
        let tokens = provider.issue(HOUR);
        let client = Client::new(&provider, &tokens);
        let response = client.call().await;
        assert_eq!(response.status(), 200);
        assert!(response.headers()[DATE].to_str().unwrap().ends_with("GMT"));
        let answer: serde_json::Value = serde_json::from_str(&text(response).await).unwrap();
        assert_eq!(
            (&answer["result"], &answer["code"]),
            (&json!("ok"), &json!(0))
        );
        assert_eq!(answer["data"]["length"], 2);

        let [accepted] = &provider.accepted()[..] else {
            panic!("one")
        };
        assert_eq!(accepted.method, "POST");
        assert_eq!(accepted.path, "/lamp");
        let query = accepted.query.as_deref().unwrap();
        assert!(query.starts_with("b=2&a=%2B&clientId="), "{query}");
        assert_eq!((&accepted.body[..], accepted.body_len), (&b"on"[..], 2));
        assert_eq!(accepted.access_token, tokens.access_token);
        assert_eq!(Some(&accepted.subject), tokens.subject.as_ref());
        assert_eq!(accepted.generation, 1);
        assert!(!accepted.headers.contains_key(AUTHORIZATION));
        let shown = format!("{accepted:?}");
        assert!(!shown.contains(tokens.access_token.expose_secret()));
        assert!(!shown.contains("token="), "{shown}");
    }

    #[tokio::test]
    async fn a_nonce_works_once_even_with_another_token() {
        let provider = Provider::new();
        let first = provider.issue(HOUR);
        let client = Client::new(&provider, &first);
        let nonce = client.nonce();
        let request = client.request(&nonce, "api.example", "/", "");
        assert_eq!(client.send(request.clone()).await.status(), 200);
        assert_eq!(client.send(request).await.status(), 401);
        assert_eq!(client.last_refusal().0, 96012);

        let next = rotated(&provider.endpoint(), &first).await;
        let client = Client::new(&provider, &next);
        let request = client.request(&nonce, "api.example", "/", "");
        assert_eq!(client.send(request).await.status(), 401);
        assert!(client.last_refusal().1.contains("used before"));
    }

    #[tokio::test]
    async fn a_nonce_of_another_time_is_refused() {
        let clock = TestClock::new();
        let provider = Provider::builder().clock(clock.clone()).build();
        let client = Client::new(&provider, &provider.issue(48 * HOUR));
        let minute = clock.now().as_secs() / 60;
        for (minutes, status) in [
            (minute - 11, 401),
            (minute - 10, 200),
            (minute + 10, 200),
            (minute + 11, 401),
            (u64::MAX, 401),
        ] {
            let nonce: Nonce = format!("1:{minutes}").parse().unwrap();
            let request = client.request(&nonce, "api.example", "/", "");
            assert_eq!(client.send(request).await.status(), status, "{minutes}");
        }
        assert_eq!(client.last_refusal().0, 96012);
        // A clock that was set forward and back again does no lasting harm.
        clock.advance(24 * HOUR);
        assert_eq!(client.call().await.status(), 200);
        clock.set_back(24 * HOUR);
        assert_eq!(client.call().await.status(), 200);
    }

    #[tokio::test]
    async fn what_is_not_what_was_signed_is_refused() {
        let provider = Provider::new();
        let client = Client::new(&provider, &provider.issue(HOUR));
        let other = Client::new(&provider, &provider.issue(HOUR));
        let good = || client.request(&client.nonce(), "api.example", "/lamp?a=1", "");
        let retarget = |from: &str, to: &str| {
            let mut request = good();
            let uri = request.uri().to_string().replace(from, to);
            *request.uri_mut() = uri.parse().unwrap();
            request
        };
        let host = |host: &'static str| {
            let mut request = good();
            let headers = request.headers_mut();
            headers.insert(HOST, HeaderValue::from_static(host));
            request
        };
        let authorization = |change: &dyn Fn(&str) -> String| {
            let mut request = good();
            let headers = request.headers_mut();
            let value = change(headers[AUTHORIZATION].to_str().unwrap());
            headers.insert(AUTHORIZATION, value.parse().unwrap());
            request
        };
        let mut deleted = good();
        *deleted.method_mut() = http::Method::DELETE;
        let mut bare = good();
        bare.headers_mut().remove(AUTHORIZATION);
        let mut doubled = good();
        let value = doubled.headers()[AUTHORIZATION].clone();
        doubled.headers_mut().append(AUTHORIZATION, value);
        let mut crossed = good();
        let theirs = other.request(&other.nonce(), "api.example", "/lamp?a=1", "");
        let value = theirs.headers()[AUTHORIZATION].clone();
        crossed.headers_mut().insert(AUTHORIZATION, value);

        for (request, code) in [
            (deleted, 96012),
            (bare, 96012),
            (doubled, 96012),
            (crossed, 96012),
            (host("another.example"), 96012),
            (retarget("/lamp", "/door"), 96012),
            (retarget("a=1", "a=2"), 96012),
            (retarget("a=1", "a=1&b"), 200),
            (retarget("a=1", "a=1&b=1"), 96012),
            (retarget("&token=", "&tok="), 96002),
            (retarget("clientId=", "client="), 96002),
            (retarget("clientId=", "clientId=9"), 96001),
            (retarget("a=1", "a=1&token=x"), 96002),
            (
                authorization(&|value| value.replace("MAC ", "Bearer ")),
                96012,
            ),
            (authorization(&|value| value.replace("%3A", "")), 96012),
            (
                authorization(&|value| value.replace("nonce=\"", "nonce=\"0")),
                96012,
            ),
            (
                authorization(&|value| value.replace("mac=\"", "mac=\"A")),
                96012,
            ),
            (authorization(&|value| value.replace("mac=", "max=")), 96012),
            (authorization(&|_| String::new()), 96012),
            (host("API.example:8443"), 200),
            (good(), 200),
        ] {
            let shown = format!("{} {code}", request.uri().path_and_query().unwrap());
            let response = client.send(request).await;
            if code == 200 {
                assert_eq!(response.status(), 200, "{shown}");
            } else {
                assert_eq!(response.status(), 401, "{shown}");
                assert_eq!(client.last_refusal().0, code, "{shown}");
            }
        }
        assert_eq!(provider.api_requests(), 21);
    }

    #[tokio::test]
    async fn a_token_ends_when_told_to() {
        let clock = TestClock::new();
        let provider = Provider::builder().clock(clock.clone()).build();
        let (first, other) = (provider.issue(HOUR), provider.issue(2 * HOUR));
        let [client, neighbour] = [&first, &other].map(|tokens| Client::new(&provider, tokens));
        provider.expire_access_token(&first.access_token);
        assert_eq!(client.call().await.status(), 401);
        assert_eq!(
            client.last_refusal(),
            (96008, "access_token: expired".to_owned())
        );
        assert_eq!(neighbour.call().await.status(), 200);

        let next = rotated(&provider.endpoint(), &first).await;
        let client = Client::new(&provider, &next);
        assert_eq!(client.call().await.status(), 200);
        clock.advance(2 * HOUR);
        assert_eq!(neighbour.call().await.status(), 401);
        assert_eq!(client.call().await.status(), 200);
        assert_eq!(provider.accepted().last().unwrap().generation, 2);

        provider.expire_access_tokens();
        assert_eq!(client.call().await.status(), 401);
        let unknown = Client::new(&Provider::new(), &first);
        assert_eq!(unknown.call().await.status(), 401);
        assert_eq!(unknown.last_refusal().0, 96008);
    }

    #[tokio::test]
    async fn a_rotation_spares_the_access_token_unless_told_otherwise() {
        for (kills, status) in [(false, 200), (true, 401)] {
            let provider = Provider::builder()
                .rotation_kills_access_token(kills)
                .build();
            let first = provider.issue(HOUR);
            let next = rotated(&provider.endpoint(), &first).await;
            assert_eq!(Client::new(&provider, &first).call().await.status(), status);
            assert_eq!(Client::new(&provider, &next).call().await.status(), 200);
        }
    }

    #[tokio::test]
    async fn a_grant_that_was_revoked_takes_its_access_tokens_along() {
        let provider = Provider::new();
        let (first, other) = (provider.issue(HOUR), provider.issue(HOUR));
        assert!(provider.revoke_grant(&first.access_token));
        assert!(!Provider::new().revoke_grant(&first.access_token));
        let client = Client::new(&provider, &first);
        assert_eq!(client.call().await.status(), 401);
        assert_eq!(client.last_refusal().0, 96008);
        assert_eq!(Client::new(&provider, &other).call().await.status(), 200);
    }

    #[tokio::test]
    async fn it_says_no_in_each_style() {
        let provider = Provider::new();
        let tokens = provider.issue(HOUR);
        let client = Client::new(&provider, &tokens);
        provider.expire_access_tokens();
        let json = r#"{"result":"error","description":"access_token: expired","code":96008}"#;
        for (style, status, body) in [
            (RefusalStyle::Unauthorized401, 401, json),
            (RefusalStyle::BadRequest400, 400, json),
            (RefusalStyle::Ok200WithCode, 200, json),
            (RefusalStyle::Bare401, 401, ""),
        ] {
            provider.set_refusal_style(style);
            let response = client.call().await;
            assert_eq!(response.status(), status);
            assert!(response.headers().contains_key(DATE));
            assert_eq!(text(response).await, body);
        }

        let odd = Provider::builder()
            .prefixed_refusals(true)
            .string_codes(true)
            .build();
        let response = Client::new(&odd, &tokens).call().await;
        let body = text(response).await;
        let known = r#"&&&START&&&{"result":"error","description":"access_token: is not known","code":"96008"}"#;
        assert_eq!(body, known);
    }

    #[tokio::test]
    async fn an_early_refusal_does_not_read_the_body() {
        let provider = Provider::new();
        let client = Client::new(&provider, &provider.issue(HOUR));
        let endless = || {
            let request = client.request(&client.nonce(), "api.example", "/", "");
            request.map(|_| Stuck)
        };
        provider.expire_access_tokens();
        let mut late = tokio_test::task::spawn(provider.api().oneshot(endless()));
        assert!(late.poll().is_pending());
        provider.set_early_refusal(true);
        let mut early = tokio_test::task::spawn(provider.api().oneshot(endless()));
        tokio_test::assert_ready_ok!(early.poll());
    }

    /// A body that never gets anywhere.
    struct Stuck;

    impl Body for Stuck {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            Poll::Pending
        }
    }

    #[tokio::test]
    async fn a_body_is_echoed_kept_or_only_measured() {
        let big = Bytes::from(vec![7; MAX_BODY + 1]);
        for (builder, status, kept) in [
            (Provider::builder(), 413, 0),
            (Provider::builder().accept_any_body(true), 200, 0),
            (Provider::builder().echo_bodies(true), 413, 0),
        ] {
            let provider = builder.build();
            let client = Client::new(&provider, &provider.issue(HOUR));
            let request = client.request(&client.nonce(), "api.example", "/", "");
            let request = request.map(|_| Full::new(big.clone()));
            assert_eq!(client.send(request).await.status(), status);
            for accepted in provider.accepted() {
                assert_eq!(accepted.body.len(), kept);
                assert_eq!(accepted.body_len, big.len() as u64);
                assert_eq!(accepted.body_sha1, *Sha1::digest(&big));
            }
        }
        let provider = Provider::builder().echo_bodies(true).build();
        let client = Client::new(&provider, &provider.issue(HOUR));
        assert_eq!(text(client.call().await).await, "on");
    }

    #[tokio::test]
    async fn a_body_that_breaks_off_is_no_request() {
        let provider = Provider::new();
        let client = Client::new(&provider, &provider.issue(HOUR));
        let request = client.request(&client.nonce(), "api.example", "/", "");
        let (mut sender, body) = Channel::<Bytes, &str>::new(2);
        sender.send_data(Bytes::from("half")).await.unwrap();
        sender.abort("gone");
        let response = provider.api().oneshot(request.map(|_| body)).await.unwrap();
        assert_eq!(response.status(), 401);
        assert_eq!(client.last_refusal(), (96002, "body: broke off".to_owned()));
        assert!(provider.accepted().is_empty());
    }

    #[tokio::test]
    async fn a_form_is_read_with_the_signature_if_the_scheme_says_so() {
        let scheme = SigningRules::new().sign_form(true);
        let provider = Provider::builder().signing_rules(scheme.clone()).build();
        provider.set_early_refusal(true);
        let mut client = Client::new(&provider, &provider.issue(HOUR));
        let form = |client: &Client, body| {
            let nonce = client.nonce();
            let mut request = client.request(&nonce, "api.example", "/", body);
            let value = HeaderValue::from_static("application/x-www-form-urlencoded");
            request.headers_mut().insert(CONTENT_TYPE, value);
            request
        };
        assert_eq!(client.send(form(&client, "a=1")).await.status(), 401);
        client.rules = scheme;
        assert_eq!(client.send(form(&client, "a=1")).await.status(), 200);
    }

    #[tokio::test]
    async fn the_query_need_not_carry_the_credentials() {
        let provider = Provider::builder().query_credentials(false).build();
        let mut client = Client::new(&provider, &provider.issue(HOUR));
        client.rules = SigningRules::new().query_credentials(false);
        assert_eq!(client.call().await.status(), 200);
    }

    #[tokio::test]
    async fn trailers_are_put_down() {
        let provider = Provider::new();
        let client = Client::new(&provider, &provider.issue(HOUR));
        let request = client.request(&client.nonce(), "api.example", "/", "");
        let (mut sender, body) = Channel::<Bytes, Infallible>::new(2);
        let mut trailers = HeaderMap::new();
        trailers.insert("x-sum", HeaderValue::from_static("1"));
        sender.send_trailers(trailers.clone()).await.unwrap();
        drop(sender);
        let response = provider.api().oneshot(request.map(|_| body)).await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(provider.accepted()[0].trailers, Some(trailers));
    }
}
