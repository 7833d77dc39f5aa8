use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::{Request, Response};
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;
use tracing::{Span, field};

use super::attempt::Attempt;
use crate::store::Generation;

/// Puts each attempt into a `tracing` span of its own: `mac_auth.attempt`, at level `INFO`. It belongs
/// inside the [`MacAuthLayer`](super::MacAuthLayer), and what stands inside of it logs in its span.
///
/// The fields are named by the conventions of OpenTelemetry. `http.request.method`, `server.address` and
/// `url.path`: there is no query, in which the access token may be. `http.request.resend_count` in a
/// second attempt. `http.response.status_code` once there is a response. `generation` of the credential,
/// in a second attempt, or [always](super::MacAuthLayer::report_every_attempt).
///
/// ```
/// # use tower_mac_auth::account::Account;
/// # use tower_mac_auth::testing::Api;
/// use tower::ServiceBuilder;
/// use tower_mac_auth::layer::{AttemptSpanLayer, MacAuthLayer};
///
/// # fn stack(account: Account, http_client: Api) {
/// let client = ServiceBuilder::new()
///     .layer(MacAuthLayer::new(account).report_every_attempt(true))
///     .layer(AttemptSpanLayer::new())
///     .service(http_client);
/// # }
/// ```
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct AttemptSpanLayer {}

impl AttemptSpanLayer {
    /// Makes the layer. It has no knobs.
    pub const fn new() -> Self {
        Self {}
    }
}

impl<S> Layer<S> for AttemptSpanLayer {
    type Service = AttemptSpan<S>;

    fn layer(&self, inner: S) -> AttemptSpan<S> {
        AttemptSpan { inner }
    }
}

/// The service of an [`AttemptSpanLayer`].
#[derive(Clone, Debug)]
pub struct AttemptSpan<S> {
    inner: S,
}

impl<S, B, R> Service<Request<B>> for AttemptSpan<S>
where
    S: Service<Request<B>, Response = Response<R>>,
{
    type Response = Response<R>;
    type Error = S::Error;
    type Future = AttemptSpanFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let span = span(&request);
        let future = span.in_scope(|| self.inner.call(request));
        AttemptSpanFuture { span, future }
    }
}

fn span<B>(request: &Request<B>) -> Span {
    let uri = request.uri();
    let span = tracing::info_span!(
        "mac_auth.attempt",
        http.request.method = request.method().as_str(),
        http.request.resend_count = field::Empty,
        http.response.status_code = field::Empty,
        server.address = uri.host(),
        url.path = uri.path(),
        generation = field::Empty,
    );
    let extensions = request.extensions();
    if let Some(generation) = extensions.get::<Generation>() {
        span.record("generation", field::display(generation));
    }
    if let Some(attempt) = extensions.get::<Attempt>()
        && *attempt != Attempt::FIRST
    {
        span.record("http.request.resend_count", attempt.number() - 1);
    }
    span
}

pin_project! {
    /// The future of an [`AttemptSpan`].
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct AttemptSpanFuture<F> {
        span: Span,
        #[pin]
        future: F,
    }
}

impl<F, R, E> Future for AttemptSpanFuture<F>
where
    F: Future<Output = Result<Response<R>, E>>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let polled = this.span.in_scope(|| this.future.poll(cx));
        let done = ready!(polled);
        if let Ok(response) = &done {
            let status = response.status().as_u16();
            this.span.record("http.response.status_code", status);
        }
        Poll::Ready(done)
    }
}
