//! The listener: HTTP/1.1 and HTTP/2 in the clear, with limits against those who send slowly or too
//! much.

use std::convert::Infallible;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::BoxError;
use super::flow::Flow;

/// For the head of a request, the first one of a connection included.
const HEAD: Duration = Duration::from_secs(10);
/// Headers, and the bytes of all of them. HTTP/2 has no limit of their number by itself.
pub(super) const MAX_HEADERS: usize = 100;
const MAX_HEAD: usize = 32 * 1024;
const MAX_STREAMS: u32 = 200;
/// After an error of the listener: too many open files, say, which passes.
const PAUSE: Duration = Duration::from_millis(50);

/// Where a request came from.
#[derive(Clone, Debug)]
pub(super) struct Origin {
    pub(super) peer: IpAddr,
    pub(super) flow: Flow,
}

/// Serves connections, until they are to end.
pub(crate) struct Server {
    builder: auto::Builder<TokioExecutor>,
    graceful: GracefulShutdown,
    connections: TaskTracker,
    /// Ends those that are left.
    cut: CancellationToken,
    /// How long a caller may take nothing of an answer.
    limit: Duration,
}

impl Server {
    pub(crate) fn new(cut: CancellationToken, limit: Duration) -> Self {
        let mut builder = auto::Builder::new(TokioExecutor::new());
        builder
            .http1()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD)
            .max_headers(MAX_HEADERS)
            .max_buf_size(MAX_HEAD);
        builder
            .http2()
            .timer(TokioTimer::new())
            .max_header_list_size(32 * 1024)
            .max_concurrent_streams(MAX_STREAMS)
            .keep_alive_interval(Some(Duration::from_secs(30)));
        Self {
            builder,
            graceful: GracefulShutdown::new(),
            connections: TaskTracker::new(),
            cut,
            limit,
        }
    }

    /// Accepts connections until dropped.
    ///
    /// # Cancel safety
    ///
    /// Connections that were accepted go on.
    pub(crate) async fn accept<H, F, B>(&self, listener: &TcpListener, handler: H)
    where
        H: Fn(Request<Incoming>) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Response<B>> + Send + 'static,
        B: Body<Data: Send, Error: Into<BoxError>> + Send + 'static,
    {
        loop {
            match listener.accept().await {
                Ok((stream, peer)) => self.serve(stream, peer.ip(), handler.clone()),
                Err(error) if is_of_one_connection(&error) => {}
                Err(error) => {
                    tracing::warn!(%error, "no connection can be accepted");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }

    fn serve<H, F, B>(&self, stream: TcpStream, peer: IpAddr, handler: H)
    where
        H: Fn(Request<Incoming>) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Response<B>> + Send + 'static,
        B: Body<Data: Send, Error: Into<BoxError>> + Send + 'static,
    {
        // It costs latency alone.
        let _ = stream.set_nodelay(true);
        let asked = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&asked);
        let flow = Flow::default();
        let origin = Origin {
            peer,
            flow: flow.clone(),
        };
        let service = service_fn(move |mut request: Request<Incoming>| {
            seen.store(true, Ordering::Relaxed);
            request.extensions_mut().insert(origin.clone());
            let answer = handler(request);
            async move { Ok::<_, Infallible>(answer.await) }
        });
        let connection = self
            .builder
            .serve_connection_with_upgrades(TokioIo::new(stream), service)
            .into_owned();
        let connection = self.graceful.watch(connection);
        let served = async move {
            let mut connection = std::pin::pin!(connection);
            // Which HTTP it speaks is found out without a limit by hyper.
            tokio::select! {
                // A caller that goes away, or breaks the protocol, has had its answer.
                _ = connection.as_mut() => return,
                () = tokio::time::sleep(HEAD) => {}
            }
            if asked.load(Ordering::Relaxed) {
                let _ = connection.await;
            }
        };
        let (cut, limit) = (self.cut.clone(), self.limit);
        let served = async move {
            tokio::select! {
                () = served => {}
                () = flow.stalls(limit) => {}
            }
        };
        self.connections
            .spawn(async move { cut.run_until_cancelled(served).await });
    }

    /// Lets each connection end after the requests that are under way, but for those that are cut.
    pub(crate) async fn drain(self) {
        self.graceful.shutdown().await;
        self.connections.close();
        self.connections.wait().await;
    }
}

fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
    )
}
