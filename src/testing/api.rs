use std::convert::Infallible;
use std::fmt::Write as _;
use std::pin::pin;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes};
use futures_core::future::BoxFuture;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::request::Parts;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body::Body;
use http_body_util::{BodyExt, Full};
use serde_json::json;
use sha1::{Digest, Sha1};
use tower_service::Service;

use super::answer::{self, JSON};
use super::check::Signer;
use super::grants::Refused as Reason;
use super::{Accepted, Provider, Refused};
use crate::sign::Scheme;
use crate::token::ErrorCode;

/// The longest body that is kept.
const MAX_BODY: usize = 4 * 1024 * 1024;

/// The API of a [`Provider`] as a service: see [`Provider::api`].
#[derive(Clone, Debug)]
pub struct Api {
    provider: Provider,
}

impl Api {
    pub(super) fn new(provider: Provider) -> Self {
        Self { provider }
    }
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
        Box::pin(async move { Ok(provider.api_request(request).await.map(Full::new)) })
    }
}

/// A body that has arrived whole.
struct Received {
    /// Empty if it was not kept.
    bytes: Bytes,
    len: u64,
    sha1: [u8; 20],
    trailers: Option<HeaderMap>,
}

/// Why a body did not arrive.
enum NotReceived {
    TooLong,
    Broken,
}

impl Provider {
    pub(super) async fn api_request<B: Body>(&self, request: Request<B>) -> Response<Bytes> {
        let (head, body) = request.into_parts();
        let config = self.config();
        let early = {
            let mut state = self.state();
            state.records.api_requests += 1;
            state.early_refusal
        };
        let is_form = config.scheme.signs_form() && is_form(&head.headers);
        let checked = (early && !is_form).then(|| self.check(&head, None));
        if let Some(Err(reason)) = checked {
            return self.refuse(&head, reason);
        }
        let keep = is_form || config.echo_bodies || !config.accept_any_body;
        let received = match receive(body, keep).await {
            Ok(received) => received,
            Err(NotReceived::TooLong) => {
                let status = StatusCode::PAYLOAD_TOO_LARGE;
                return answer::response(config, status, JSON, Bytes::new());
            }
            Err(NotReceived::Broken) => {
                return self.refuse(&head, (ErrorCode::InvalidRequest, "body: broke off"));
            }
        };
        let form = is_form.then_some(&*received.bytes);
        match checked.unwrap_or_else(|| self.check(&head, form)) {
            Ok(signer) => self.accept(head, signer, received),
            Err(reason) => self.refuse(&head, reason),
        }
    }

    fn accept(&self, head: Parts, signer: Signer, received: Received) -> Response<Bytes> {
        let config = self.config();
        let mut response = if config.echo_bodies {
            answer::response(config, StatusCode::OK, JSON, received.bytes.clone())
        } else {
            let answer = json!({
                "result": "ok",
                "description": "no error",
                "code": 0,
                "data": {
                    "method": head.method.as_str(),
                    "path": head.uri.path(),
                    "length": received.len,
                    "sha1": hex(&received.sha1),
                },
            });
            answer::response(config, StatusCode::OK, JSON, answer.to_string())
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
        self.state().records.accepted.push(Accepted {
            method: head.method,
            path: head.uri.path().to_owned(),
            query: head.uri.query().map(str::to_owned),
            headers,
            body: received.bytes,
            body_len: received.len,
            body_sha1: received.sha1,
            trailers: received.trailers,
            access_token: signer.access_token,
            open_id: signer.holder.open_id,
            generation: signer.holder.generation,
            nonce: signer.nonce.as_str().to_owned(),
            at,
        });
        response
    }

    fn refuse(&self, head: &Parts, (code, reason): Reason) -> Response<Bytes> {
        let config = self.config();
        let at = config.clock.now();
        let style = {
            let mut state = self.state();
            state.records.refused.push(Refused {
                method: head.method.clone(),
                path: head.uri.path().to_owned(),
                code,
                reason,
                at,
            });
            state.refusal_style
        };
        answer::api_refusal(config, style, code, reason)
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

fn is_form(headers: &HeaderMap) -> bool {
    let essence = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .unwrap_or_default();
    essence
        .trim()
        .eq_ignore_ascii_case("application/x-www-form-urlencoded")
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
