use std::convert::Infallible;
use std::fmt;
use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame};
use http_body_util::{BodyExt as _, Either, Full, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use hyper_util::server::conn::auto;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::Provider;
use super::api::ApiReply;
use super::gate::Gate;
use super::halved::Halved;
use super::token_endpoint::{PATH, Reply};
use super::wire::Wire;

/// A [`Provider`] on a real socket: see [`Provider::serve`].
///
/// It speaks HTTP/1.1 and HTTP/2 (with prior knowledge), without TLS. Dropping it closes the
/// port and every connection, and ends every task.
pub struct Server {
    provider: Provider,
    gate: Arc<Gate>,
    open: Arc<AtomicUsize>,
    tasks: Tasks,
}

impl Provider {
    /// Serves both, the token endpoint and the API, on a port of 127.0.0.1, until the [`Server`]
    /// is dropped.
    ///
    /// # Errors
    ///
    /// When there is no port to listen on.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime with its I/O and its timer on.
    ///
    /// # Cancel safety
    ///
    /// A dropped future leaves no server.
    pub async fn serve(&self) -> io::Result<Server> {
        Server::start(self.clone()).await
    }
}

impl Server {
    #[expect(clippy::unused_async, reason = "for the signature of `serve`")]
    async fn start(provider: Provider) -> io::Result<Self> {
        let gate = Arc::new(Gate::open_any()?);
        provider.add_gate(&gate);
        let server = Self {
            gate: Arc::clone(&gate),
            open: Arc::default(),
            tasks: Tasks::default(),
            provider: provider.clone(),
        };
        let (tasks, open) = (server.tasks.clone(), Arc::clone(&server.open));
        server.tasks.spawn(async move {
            loop {
                match poll_fn(|cx| gate.poll_accept(cx)).await {
                    Ok(stream) => {
                        let (provider, open) = (provider.clone(), Arc::clone(&open));
                        tasks.spawn(connection(provider, stream, open, tasks.clone()));
                    }
                    // Too many open files, say: it passes.
                    Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
                }
            }
        });
        Ok(server)
    }

    pub(super) fn provider(&self) -> &Provider {
        &self.provider
    }

    /// The address it listens on.
    pub fn addr(&self) -> SocketAddr {
        self.gate.addr()
    }

    /// Host and port, as in a URL.
    pub fn authority(&self) -> String {
        self.addr().to_string()
    }

    /// The URL of a path, which begins with `/`, at this server.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.addr())
    }

    /// The URL of the token endpoint.
    pub fn token_url(&self) -> String {
        self.url(PATH)
    }

    /// How many connections are open.
    pub fn open_connections(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    /// Whether it listens: not under a [`Fault::ConnectionRefused`](super::Fault).
    pub fn is_listening(&self) -> bool {
        self.gate.is_open()
    }

    /// Does what dropping it does, and waits until every task has ended.
    ///
    /// # Cancel safety
    ///
    /// It stops in any case.
    pub async fn stop(self) {
        if let Some(mut tasks) = self.tasks.close() {
            tasks.shutdown().await;
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // What is left in the set is aborted when the set is dropped.
        drop(self.tasks.close());
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("provider", &self.provider)
            .field("addr", &self.addr())
            .field("is_listening", &self.is_listening())
            .field("open_connections", &self.open_connections())
            .finish_non_exhaustive()
    }
}

/// Every task of a server; no more are taken once it was closed.
#[derive(Clone)]
struct Tasks(Arc<Mutex<Option<JoinSet<()>>>>);

impl Default for Tasks {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Some(JoinSet::new()))))
    }
}

impl Tasks {
    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let mut tasks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(tasks) = &mut *tasks {
            // Those that have ended would pile up.
            while tasks.try_join_next().is_some() {}
            tasks.spawn(task);
        }
    }

    fn close(&self) -> Option<JoinSet<()>> {
        let mut tasks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        tasks.take()
    }
}

/// HTTP/2 has a task for each stream. Spawned anywhere else, one that never ends would outlive
/// its connection.
impl<F> hyper::rt::Executor<F> for Tasks
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, task: F) {
        self.spawn(task);
    }
}

async fn connection(provider: Provider, stream: TcpStream, open: Arc<AtomicUsize>, tasks: Tasks) {
    // Only slower without it.
    let _ = stream.set_nodelay(true);
    let reset = CancellationToken::new();
    let wire = TokioIo::new(Wire::new(stream, reset.clone(), open));
    let service = service_fn(|request| answer(provider.clone(), reset.clone(), request));
    let builder = auto::Builder::new(tasks);
    let serve = builder.serve_connection(wire, service);
    tokio::select! {
        biased;
        () = reset.cancelled() => {}
        // A client that breaks the protocol, or goes away, is no fault of ours.
        _ = serve => {}
    }
}

/// The longest request to the token endpoint, in bytes.
const MAX_REQUEST: usize = 1024 * 1024;

type Answer = Response<Either<Full<Bytes>, Either<Endless, Halved>>>;

async fn answer(
    provider: Provider,
    reset: CancellationToken,
    request: Request<Incoming>,
) -> Result<Answer, Infallible> {
    if request.uri().path() != PATH {
        return Ok(match provider.api_request(request).await {
            ApiReply::Answer(answer) => answer.map(|body| Either::Left(Full::new(body))),
            ApiReply::Slow(answer, pause) => halved(answer, |body| Halved::slow(body, pause)),
            ApiReply::Broken(answer) => halved(answer, Halved::broken),
            ApiReply::Reset => {
                reset.cancel();
                std::future::pending().await
            }
        });
    }
    let (head, body) = request.into_parts();
    let Ok(body) = Limited::new(body, MAX_REQUEST).collect().await else {
        // It broke off, or never ends: nothing has arrived that could be acted on.
        reset.cancel();
        return std::future::pending().await;
    };
    let request = Request::from_parts(head, body.to_bytes());
    match provider.token_request(&request).await {
        Reply::Answer(answer) => Ok(answer.map(|body| Either::Left(Full::new(body)))),
        Reply::Endless(head) => Ok(head.map(|()| Either::Right(Either::Left(Endless)))),
        Reply::Reset => {
            reset.cancel();
            // The connection drops this with itself.
            std::future::pending().await
        }
    }
}

fn halved(answer: Response<Bytes>, halve: impl FnOnce(Bytes) -> Halved) -> Answer {
    answer.map(|body| Either::Right(Either::Right(halve(body))))
}

/// A body without an end.
struct Endless;

impl Body for Endless {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(&[b' '; 4096])))))
    }
}

#[cfg(test)]
mod tests {
    use http::Version;
    use hyper_util::client::legacy::Client as HyperClient;
    use hyper_util::rt::TokioExecutor;

    use super::super::Fault;
    use super::super::by_hand::Client;
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    async fn call(server: &Server, client: &Client, http2: bool) -> Response<Incoming> {
        let connection = HyperClient::builder(TokioExecutor::new())
            .http2_only(http2)
            .build_http();
        let mut request = client.request(&client.nonce(), &server.authority(), "/lamp", "on");
        if http2 {
            request.headers_mut().remove(http::header::HOST);
            *request.version_mut() = Version::HTTP_2;
        }
        connection.request(request).await.unwrap()
    }

    /// Waits, without a clock, for what other tasks have under way.
    async fn until(done: impl Fn() -> bool) {
        while !done() {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn both_versions_of_http_are_served() {
        let provider = Provider::builder().echo_bodies(true).build();
        let server = provider.serve().await.unwrap();
        let client = Client::new(&provider, &provider.issue(HOUR));
        for (http2, version) in [(false, Version::HTTP_11), (true, Version::HTTP_2)] {
            let response = call(&server, &client, http2).await;
            assert_eq!(response.version(), version);
            assert_eq!(response.status(), 200);
            let body = response.into_body().collect().await.unwrap().to_bytes();
            assert_eq!(body, "on");
        }
        provider.expire_access_tokens();
        for http2 in [false, true] {
            assert_eq!(call(&server, &client, http2).await.status(), 401);
        }
        assert_eq!(provider.accepted().len(), 2);
        assert_eq!(client.last_refusal().0, 96008);
    }

    #[tokio::test]
    async fn connections_are_counted_and_end_with_the_server() {
        let provider = Provider::new();
        let server = provider.serve().await.unwrap();
        let open = Arc::clone(&server.open);
        let streams = [
            TcpStream::connect(server.addr()).await.unwrap(),
            TcpStream::connect(server.addr()).await.unwrap(),
        ];
        until(|| server.open_connections() == 2).await;
        let [first, second] = streams;
        drop(first);
        until(|| server.open_connections() == 1).await;
        let addr = server.addr();
        server.stop().await;
        assert_eq!(open.load(Ordering::Relaxed), 0);
        assert!(TcpStream::connect(addr).await.is_err());
        drop(second);
    }

    #[tokio::test]
    async fn no_task_outlives_a_dropped_server() {
        let before = tokio::runtime::Handle::current()
            .metrics()
            .num_alive_tasks();
        let provider = Provider::new();
        let server = provider.serve().await.unwrap();
        provider.fault_always(Fault::Hang);
        let connection = HyperClient::builder(TokioExecutor::new())
            .http2_only(true)
            .build_http::<Full<Bytes>>();
        let hung = tokio::spawn(connection.get(server.token_url().parse().unwrap()));
        until(|| provider.token_requests() == 1).await;
        drop(server);
        assert!(hung.await.unwrap().is_err());
        drop(connection);
        let metrics = tokio::runtime::Handle::current().metrics();
        until(|| metrics.num_alive_tasks() == before).await;
        // Nor does the provider hold on to its port.
        provider.clear_faults();
    }

    #[tokio::test]
    async fn a_reset_is_one_on_the_wire() {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};

        let provider = Provider::new();
        let server = provider.serve().await.unwrap();
        provider.fault_next(Fault::Reset);
        let mut stream = TcpStream::connect(server.addr()).await.unwrap();
        stream
            .write_all(b"GET /oauth2/token HTTP/1.1\r\nhost: x\r\n\r\n")
            .await
            .unwrap();
        let error = stream.read(&mut [0; 1]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
        until(|| server.open_connections() == 0).await;
    }
}
