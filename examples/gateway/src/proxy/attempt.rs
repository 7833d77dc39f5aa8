//! One attempt at the API. It stands below the layer, so that a request which waits for its credential is
//! not held against the API.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Request;
use hyper_util::client::legacy::connect::capture_connection;
use tower_service::Service;

use super::{Failure, Progress, Refusal};

/// A client, each of whose requests must move.
#[derive(Clone, Debug)]
pub(crate) struct Attempts<S> {
    inner: S,
    limit: Duration,
}

impl<S> Attempts<S> {
    pub(crate) const fn new(inner: S, limit: Duration) -> Self {
        Self { inner, limit }
    }
}

impl<S, B> Service<Request<B>> for Attempts<S>
where
    S: Service<Request<B>, Future: Send + 'static>,
{
    type Response = S::Response;
    type Error = AttemptError<S::Error>;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx).map_err(AttemptError::Failed)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let connection = capture_connection(&mut request);
        let progress = request.extensions().get::<Progress>();
        let progress = progress.cloned().unwrap_or_default();
        progress.attempt_begins();
        let (answer, limit) = (self.inner.call(request), self.limit);
        Box::pin(async move {
            let answer = tokio::select! {
                biased;
                answer = answer => Some(answer),
                () = progress.clone().rests(limit, |_| false) => None,
            };
            progress.attempt_ends();
            match answer {
                Some(answer) => answer.map_err(|error| match progress.failed() {
                    Some(refusal) => AttemptError::Refused(refusal),
                    None => AttemptError::Failed(error),
                }),
                // The API waits, too: others can go on by its connection.
                None if progress.is_wanted() => Err(AttemptError::Refused(Refusal::no_body(limit))),
                None => {
                    if let Some(connected) = connection.connection_metadata().as_ref() {
                        // By HTTP/2 all others would be sent on it, too, and it may be dead.
                        connected.poison();
                    }
                    Err(AttemptError::Refused(Refusal::no_answer(limit)))
                }
            }
        })
    }
}

/// Why there is no answer.
#[derive(Debug)]
pub(crate) enum AttemptError<E> {
    Failed(E),
    /// The client's error does not say what it was.
    Refused(Refusal),
}

impl<E: Failure> Failure for AttemptError<E> {
    fn refusal(&self) -> Refusal {
        match self {
            Self::Failed(error) => error.refusal(),
            Self::Refused(refusal) => refusal.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use bytes::Bytes;
    use futures_util::{StreamExt as _, stream};
    use http::{Response, StatusCode};
    use http_body::Frame;
    use http_body_util::{BodyExt as _, Empty, StreamBody};
    use hyper::body::Incoming;
    use hyper::service::service_fn;
    use hyper_util::client::legacy::Client;
    use hyper_util::rt::{TokioExecutor, TokioIo};
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use tower_mac_auth::forward::Upstream;

    use super::*;
    use crate::proxy::{InboundBody, Tenant, Trailers};

    /// An API by HTTP/2 that answers nothing at `/late`, and all else once it has the whole body: where it is,
    /// and how often somebody has connected.
    async fn api() -> (String, Arc<AtomicUsize>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let connected = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&connected);
        let answer = |request: Request<Incoming>| async {
            if request.uri().path() == "/late" {
                std::future::pending::<()>().await;
            }
            let whole = request.into_body().collect().await;
            whole.map(|_| Response::new(Empty::<Bytes>::new()))
        };
        tokio::spawn(async move {
            loop {
                let (socket, _) = listener.accept().await.unwrap();
                counted.fetch_add(1, Ordering::Relaxed);
                let http2 = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
                tokio::spawn(http2.serve_connection(TokioIo::new(socket), service_fn(answer)));
            }
        });
        (url, connected)
    }

    fn upload<F>(
        frames: F,
        limits: (Option<u64>, Duration),
        progress: Progress,
    ) -> InboundBody<StreamBody<F>> {
        let trailers = Trailers {
            target: Upstream::new("http://api.example").unwrap(),
            tenant: Tenant::Header(http::header::FROM),
        };
        InboundBody::new(StreamBody::new(frames), limits, progress, trailers.into())
    }

    #[tokio::test]
    async fn by_http_2_too_it_is_the_callers_body_that_is_too_long_or_broken() {
        let (url, _) = api().await;
        let client = Client::builder(TokioExecutor::new())
            .http2_only(true)
            .build_http();
        let limit = Duration::from_secs(9);
        let mut attempts = Attempts::new(client, limit);
        let long = || Ok(Frame::data(Bytes::from_static(b"12345")));
        let broken = || Err(std::io::Error::other("the caller has gone"));
        for (frame, status) in [(long(), 413), (broken(), 400)] {
            let progress = Progress::default();
            let request = Request::post(&url).extension(progress.clone());
            let body = upload(stream::iter([long(), frame]), (Some(9), limit), progress);
            let answer = attempts.call(request.body(body).unwrap()).await;
            assert_eq!(answer.unwrap_err().refusal().status, status);
        }
    }

    /// An API by HTTP/2 that answers the first request with this frame.
    async fn by_hand(frame: [u8; 17]) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move {
            let (mut socket, _) = listener.accept().await.unwrap();
            let settings = [0, 0, 0, 4, 0, 0, 0, 0, 0];
            socket.write_all(&settings).await.unwrap();
            socket.read_exact(&mut [0; 24]).await.unwrap();
            loop {
                let mut head = [0; 9];
                socket.read_exact(&mut head).await.unwrap();
                let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
                let mut rest = (&mut socket).take(length.into());
                tokio::io::copy(&mut rest, &mut tokio::io::sink())
                    .await
                    .unwrap();
                // The request.
                if head[3] == 1 {
                    let length = 9 + usize::from(frame[2]);
                    socket.write_all(&frame[..length]).await.unwrap();
                }
            }
        });
        url
    }

    #[tokio::test]
    async fn what_the_api_did_not_take_is_said_to_be_safe_to_ask_again() {
        let mut go_away = [0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        let mut reset = [0, 0, 4, 3, 0, 0, 0, 0, 1, 0, 0, 0, 7, 0, 0, 0, 0];
        for told in ["upstream_refused", "upstream_failed"] {
            for frame in [go_away, reset] {
                let url = by_hand(frame).await;
                let client = Client::builder(TokioExecutor::new())
                    .http2_only(true)
                    .build_http::<Empty<Bytes>>();
                let request = Request::get(url).body(Empty::new()).unwrap();
                let answer = Attempts::new(client, Duration::from_secs(9)).call(request);
                assert_eq!(answer.await.unwrap_err().refusal().error, told, "{frame:?}");
            }
            // It may have had it, and an error besides.
            (go_away[16], reset[12]) = (2, 2);
        }
    }

    #[tokio::test]
    async fn a_connection_is_given_up_for_what_the_api_does_and_not_for_its_callers() {
        let (url, connected) = api().await;
        let client = Client::builder(TokioExecutor::new())
            .http2_only(true)
            .build_http();
        let limit = Duration::from_secs(1);
        let mut attempts = Attempts::new(client, limit);
        let mut ask = |path: &str, ends: bool| {
            let progress = Progress::default();
            let request = Request::post(format!("{url}{path}")).extension(progress.clone());
            // Nothing comes of it.
            let body = stream::pending::<Result<Frame<Bytes>, Infallible>>();
            let body = upload(body.take(usize::from(!ends)), (None, limit), progress);
            let answer = attempts.call(request.body(body).unwrap());
            async { answer.await.map_err(|error| error.refusal().status).err() }
        };
        for (path, ends, refused, connections) in [
            ("/", true, None, 1),
            ("/", false, Some(StatusCode::REQUEST_TIMEOUT), 1),
            ("/", true, None, 1),
            ("/late", true, Some(StatusCode::GATEWAY_TIMEOUT), 1),
            ("/", true, None, 2),
        ] {
            assert_eq!(ask(path, ends).await, refused, "{path} {ends}");
            assert_eq!(connected.load(Ordering::Relaxed), connections, "{path}");
        }
    }

    /// An API that takes nothing.
    struct Silent;

    impl<B> Service<Request<B>> for Silent {
        type Response = Response<Empty<Bytes>>;
        type Error = Infallible;
        type Future = std::future::Pending<Result<Self::Response, Infallible>>;

        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
            Poll::Ready(Ok(()))
        }

        fn call(&mut self, _: Request<B>) -> Self::Future {
            std::future::pending()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_caller_is_not_late_for_an_attempt_that_has_asked_for_nothing_yet() {
        let (progress, limit) = (Progress::default(), Duration::from_secs(8));
        let trailers = Trailers {
            target: Upstream::new("http://api.example").unwrap(),
            tenant: Tenant::Header(http::header::FROM),
        };
        let body = stream::pending::<Result<Frame<Bytes>, Infallible>>();
        let limits = (None, limit);
        let mut body = InboundBody::new(
            StreamBody::new(body),
            limits,
            progress.clone(),
            trailers.into(),
        );
        // The attempt before was refused while it waited for more.
        assert!(tokio::time::timeout(limit / 2, body.frame()).await.is_err());
        let request = Request::post("http://api.example/").extension(progress);
        let mut attempts = Attempts::new(Silent, limit);
        let late = attempts.call(request.body(body).unwrap()).await;
        let Err(AttemptError::Refused(refusal)) = late else {
            panic!("nothing answers");
        };
        assert_eq!(refusal.status, StatusCode::GATEWAY_TIMEOUT);
    }
}
