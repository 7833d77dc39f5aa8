use std::error::Error;
use std::fmt;
use std::future::{Future, poll_fn};
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use futures_core::future::BoxFuture;
use http::{Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::rt::{Read, Write};
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::connect::HttpConnector;
use rustls::ClientConfig;
use tokio::time::timeout;
use tower_service::Service;
use zeroize::Zeroizing;

use super::connector::{Connector, Stream};
use super::transport::{BoxError, MAX_ANSWER_LEN};
use super::{Connection, EndpointError, EndpointErrorKind, SendError, Transport, TransportError};
use crate::tls::Trust;

/// The built-in [`Transport`]: HTTP/1.1 by hyper, TLS by rustls with the platform's roots.
///
/// Each request has a connection of its own. There is no pool, no retry and no redirect: each of
/// them can present a token twice. Nothing is spawned: when an exchange has ended, or its future
/// is dropped, its connection is closed. (A name look-up runs on tokio's blocking pool, and one
/// that was given up on ends there by itself.)
///
/// The timeouts are tokio's, and stand still while the machine sleeps.
#[derive(Clone)]
pub struct HyperTransport {
    connector: Connector,
    connect_timeout: Duration,
    answer_timeout: Duration,
}

impl HyperTransport {
    /// With the roots that the platform trusts. The cryptography is ring's, whatever the
    /// process has installed as rustls's default.
    ///
    /// # Errors
    ///
    /// [`EndpointErrorKind::Tls`] if the platform has no roots.
    pub fn new() -> Result<Self, EndpointError> {
        Self::trusting(&Trust::Platform)
    }

    /// Trusts the authorities in this PEM file, and no others.
    ///
    /// # Errors
    ///
    /// [`EndpointErrorKind::Tls`], and the file in the source, if it cannot be used.
    pub fn with_ca_file(path: impl Into<PathBuf>) -> Result<Self, EndpointError> {
        Self::trusting(&Trust::CaFile(path.into()))
    }

    /// With a TLS configuration of your own, for a client certificate. Its ALPN protocols are
    /// replaced by `http/1.1`.
    pub fn with_tls_config(mut config: ClientConfig) -> Self {
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        let mut http = HttpConnector::new();
        http.enforce_http(false);
        http.set_nodelay(true);
        Self::with_connector(HttpsConnector::from((http, Arc::new(config))))
    }

    /// With a connector of your own, in place of TCP and TLS: through a proxy, or with another TLS.
    ///
    /// It is called with the endpoint's URL, which has no secret in it. What it connects is taken as it
    /// is, so **for an `https` URL it must have TLS on it, and the server's certificate verified**. It
    /// must be a new connection at each call, never one from a pool, and speak HTTP/1.1.
    ///
    /// ```no_run
    /// use hyper_rustls::HttpsConnectorBuilder;
    /// use hyper_util::client::legacy::connect::{HttpConnector, proxy::Tunnel};
    /// use tower_mac_auth::provider::Xiaomi;
    /// use tower_mac_auth::token::{HyperTransport, TokenEndpoint};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    /// // TLS with the endpoint, through a proxy that sees none of it.
    /// let proxy = Tunnel::new("http://proxy.example:3128".parse()?, HttpConnector::new());
    /// let connector = HttpsConnectorBuilder::new()
    ///     .try_with_platform_verifier()?
    ///     .https_only()
    ///     .enable_http1()
    ///     .wrap_connector(proxy);
    ///
    /// let xiaomi = Xiaomi::new("client id", "client secret", "https://me.example/callback");
    /// let endpoint = TokenEndpoint::builder(xiaomi)
    ///     .transport(HyperTransport::with_connector(connector))
    ///     .build()?;
    /// # Ok(()) }
    /// ```
    pub fn with_connector<C>(connector: C) -> Self
    where
        C: Service<Uri> + Clone + Send + 'static,
        C::Response: Read + Write + Send + 'static,
        C::Error: Into<Box<dyn Error + Send + Sync>>,
        C::Future: Send,
    {
        Self {
            connector: Connector::new(connector),
            connect_timeout: Duration::from_secs(10),
            answer_timeout: Duration::from_secs(30),
        }
    }

    /// For plain HTTP: trusts nobody, so that it also works where the platform has no roots.
    pub(super) fn without_roots() -> Result<Self, EndpointError> {
        Self::trusting(&Trust::Nobody)
    }

    fn trusting(trust: &Trust) -> Result<Self, EndpointError> {
        let config = trust.config().map_err(|source| {
            EndpointError::new(EndpointErrorKind::Tls, "TLS cannot be set up").with_source(source)
        })?;
        Ok(Self::with_tls_config(config))
    }

    /// How long DNS, TCP and TLS may take together. 10 s by default.
    #[must_use]
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// How long it may take from sending the request to the last byte of the answer. 30 s by
    /// default.
    #[must_use]
    pub fn answer_timeout(mut self, timeout: Duration) -> Self {
        self.answer_timeout = timeout;
        self
    }
}

impl fmt::Debug for HyperTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HyperTransport")
            .field("connect_timeout", &self.connect_timeout)
            .field("answer_timeout", &self.answer_timeout)
            .finish_non_exhaustive()
    }
}

impl Transport for HyperTransport {
    fn connect<'a>(
        &'a self,
        endpoint: &'a Uri,
    ) -> BoxFuture<'a, Result<Box<dyn Connection>, TransportError>> {
        let connect = async move {
            let stream = self.connector.connect(endpoint).await?;
            let (sender, driver) = http1::handshake(stream).await?;
            Ok::<_, BoxError>(Box::new(HyperConnection {
                sender,
                driver,
                answer_timeout: self.answer_timeout,
            }) as Box<dyn Connection>)
        };
        Box::pin(async move {
            match timeout(self.connect_timeout, connect).await {
                Ok(connected) => connected.map_err(TransportError::new),
                Err(_) => Err(TransportError::timeout()),
            }
        })
    }
}

struct HyperConnection {
    sender: http1::SendRequest<Full<Bytes>>,
    driver: http1::Connection<Stream, Full<Bytes>>,
    answer_timeout: Duration,
}

impl Connection for HyperConnection {
    fn send(
        self: Box<Self>,
        request: Request<Bytes>,
    ) -> BoxFuture<'static, Result<Response<Bytes>, SendError>> {
        let Self {
            mut sender,
            driver,
            answer_timeout,
        } = *self;
        let exchange = async move {
            let response = sender
                .try_send_request(request.map(Full::new))
                .await
                .map_err(|mut error| {
                    // hyper gives the request back only if it never began to write it.
                    let unsent = error.take_message().is_some();
                    let error = error.into_error();
                    if unsent {
                        SendError::not_sent(error)
                    } else {
                        SendError::lost(error)
                    }
                })?;
            read(response).await
        };
        Box::pin(async move {
            timeout(answer_timeout, drive(driver, exchange))
                .await
                .unwrap_or_else(|_| Err(SendError::timeout()))
        })
    }
}

/// Runs the connection for as long as the exchange on it takes, and no longer.
async fn drive<T>(
    driver: http1::Connection<Stream, Full<Bytes>>,
    exchange: impl Future<Output = T>,
) -> T {
    let mut exchange = pin!(exchange);
    let mut driver = Some(driver);
    poll_fn(|cx| {
        if let Poll::Ready(result) = exchange.as_mut().poll(cx) {
            return Poll::Ready(result);
        }
        if let Some(running) = &mut driver
            && pin!(running).poll(cx).is_ready()
        {
            // What ended it reaches the exchange by its channel, at the latest when the
            // driver is dropped.
            driver = None;
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    })
    .await
}

/// Reads the answer whole, up to the cap, into a buffer that is wiped when dropped.
async fn read(response: Response<Incoming>) -> Result<Response<Bytes>, SendError> {
    let (head, mut incoming) = response.into_parts();
    // Its status says enough, so its page need not come whole.
    let limited = head.status == StatusCode::TOO_MANY_REQUESTS;
    // Growing would leave an unwiped copy behind.
    let mut body = Zeroizing::new(Vec::with_capacity(MAX_ANSWER_LEN));
    while let Some(frame) = incoming.frame().await {
        let frame = match frame {
            Ok(frame) => frame,
            Err(_) if limited => break,
            Err(error) => return Err(SendError::lost(error)),
        };
        if let Some(data) = frame.data_ref() {
            if body.len() + data.len() > MAX_ANSWER_LEN {
                if limited {
                    break;
                }
                return Err(SendError::too_long());
            }
            body.extend_from_slice(data);
        }
    }
    Ok(Response::from_parts(head, Bytes::from_owner(body)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::RefreshToken;
    use crate::provider::{Bearer, OAuth2, Xiaomi};
    use crate::token::{AmbiguousKind, Outcome, TokenEndpoint, UnsentKind};
    use hyper_util::client::legacy::connect::proxy::Tunnel;
    use hyper_util::rt::TokioIo;
    use rustls::pki_types::PrivatePkcs8KeyDer;
    use rustls::{RootCertStore, ServerConfig, ServerConnection};
    use std::io::{Read as _, Write as _};
    use std::net::SocketAddr;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};
    use tokio::task::JoinHandle;

    const TOKENS: &str =
        r#"{"access_token":"A","mac_key":"K","refresh_token":"R2","expires_in":9}"#;
    const SOON: Duration = Duration::from_millis(150);

    fn endpoint(url: String, transport: HyperTransport) -> TokenEndpoint {
        let xiaomi = Xiaomi::new("id 1", "s&c+r%e t=é", "https://client/cb?a=b");
        TokenEndpoint::builder(xiaomi.with_token_url(url))
            .transport(transport)
            .build()
            .unwrap()
    }

    fn plain(address: SocketAddr) -> TokenEndpoint {
        let transport = HyperTransport::without_roots().unwrap();
        endpoint(
            format!("http://{address}/oauth2/token"),
            transport.answer_timeout(Duration::from_secs(20)),
        )
    }

    fn impatient(address: SocketAddr) -> TokenEndpoint {
        let transport = HyperTransport::without_roots().unwrap();
        endpoint(
            format!("http://{address}/oauth2/token"),
            transport.answer_timeout(SOON),
        )
    }

    async fn refresh(endpoint: &TokenEndpoint) -> Outcome {
        let connected = endpoint.connect().await.unwrap();
        connected.refresh(&RefreshToken::new("R/1+=")).await
    }

    /// A server that reads one request and writes `answer`, then gives the request and whether
    /// the client closed the connection by itself.
    async fn server(answer: impl Into<Vec<u8>>) -> (SocketAddr, JoinHandle<String>) {
        let answer = answer.into();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let request = read_request(&mut stream).await;
            // The client may close before it has read a long answer.
            let _ = stream.write_all(&answer).await;
            let mut rest = Vec::new();
            let _ = stream.read_to_end(&mut rest).await;
            assert_eq!(rest, b"", "a second request on the connection");
            let again = tokio::time::timeout(Duration::from_millis(1), listener.accept()).await;
            assert!(again.is_err(), "a second connection");
            request
        });
        (address, server)
    }

    async fn read_request(stream: &mut TcpStream) -> String {
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            let byte = stream.read_u8().await.unwrap();
            request.push(byte);
        }
        let mut request = String::from_utf8(request).unwrap();
        if let Some((_, length)) = request.split_once("\r\ncontent-length: ") {
            let length = length.lines().next().unwrap().parse().unwrap();
            let mut body = vec![0; length];
            stream.read_exact(&mut body).await.unwrap();
            request.push_str(std::str::from_utf8(&body).unwrap());
        }
        request
    }

    fn with_length(head: &str, body: &str) -> String {
        format!(
            "HTTP/1.1 {head}\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
    }

    async fn outcome_of(answer: impl Into<Vec<u8>>) -> Outcome {
        let (address, server) = server(answer).await;
        let outcome = refresh(&plain(address)).await;
        server.await.unwrap();
        outcome
    }

    async fn ambiguous(answer: impl Into<Vec<u8>>) -> AmbiguousKind {
        match outcome_of(answer).await {
            Outcome::Ambiguous(ambiguous) => ambiguous.kind(),
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn the_request_on_the_wire_is_this_one() {
        let (address, server) = server(with_length("200 OK", TOKENS)).await;
        assert!(matches!(refresh(&plain(address)).await, Outcome::Tokens(_)));
        assert_eq!(
            server.await.unwrap(),
            format!(
                "GET /oauth2/token?client_id=id%201\
                 &redirect_uri=https%3A%2F%2Fclient%2Fcb%3Fa%3Db\
                 &client_secret=s%26c%2Br%25e%20t%3D%C3%A9\
                 &grant_type=refresh_token&refresh_token=R%2F1%2B%3D&token_type=mac HTTP/1.1\r\n\
                 host: {address}\r\n\
                 accept: application/json\r\n\
                 accept-encoding: identity\r\n\
                 user-agent: tower-mac-auth/{}\r\n\r\n",
                env!("CARGO_PKG_VERSION")
            )
        );
    }

    #[tokio::test]
    async fn a_form_goes_with_its_length() {
        let body = r#"{"access_token":"A","token_type":"Bearer"}"#;
        let (address, server) = server(with_length("200 OK", body)).await;
        let oauth2 = OAuth2::new(format!("http://{address}/token?v=2"), "id");
        let endpoint = TokenEndpoint::builder(Bearer::new(oauth2))
            .transport(HyperTransport::without_roots().unwrap())
            .build()
            .unwrap();
        let connected = endpoint.connect().await.unwrap();
        let outcome = connected.refresh(&RefreshToken::new("R/1+=")).await;
        assert!(matches!(outcome, Outcome::Tokens(_)), "{outcome:?}");
        let form = "grant_type=refresh_token&refresh_token=R%2F1%2B%3D&client_id=id";
        assert_eq!(
            server.await.unwrap(),
            format!(
                "POST /token?v=2 HTTP/1.1\r\n\
                 host: {address}\r\n\
                 content-type: application/x-www-form-urlencoded\r\n\
                 accept: application/json\r\n\
                 accept-encoding: identity\r\n\
                 user-agent: tower-mac-auth/{}\r\n\
                 content-length: {}\r\n\r\n{form}",
                env!("CARGO_PKG_VERSION"),
                form.len()
            )
        );
    }

    #[tokio::test]
    async fn an_authorization_code_goes_as_its_own_grant() {
        let (address, server) = server(with_length("200 OK", TOKENS)).await;
        let endpoint = TokenEndpoint::builder(
            Xiaomi::new("id", "secret", "https://client/cb")
                .with_token_url(format!("http://{address}/t"))
                .without_redirect_uri()
                .send_token_type(false),
        )
        .transport(HyperTransport::without_roots().unwrap())
        .build()
        .unwrap();
        let connected = endpoint.connect().await.unwrap();
        let outcome = connected.exchange_code(&"C&1".into()).await;
        assert!(matches!(outcome, Outcome::Tokens(_)));
        let request = server.await.unwrap();
        assert_eq!(
            request.lines().next().unwrap(),
            "GET /t?client_id=id&client_secret=secret\
             &grant_type=authorization_code&code=C%261 HTTP/1.1"
        );
    }

    #[tokio::test]
    async fn tokens_come_in_every_framing_of_http() {
        let (a, b) = TOKENS.split_at(20);
        for answer in [
            with_length("200 OK\r\nContent-Type: text/html", TOKENS),
            format!(
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\
                 {:x}\r\n{a}\r\n{:x};ext=1\r\n{b}\r\n0\r\nTrailer: 1\r\n\r\n",
                a.len(),
                b.len()
            ),
            format!(
                "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n{}",
                with_length("200 OK", TOKENS)
            ),
        ] {
            assert!(matches!(outcome_of(answer).await, Outcome::Tokens(_)));
        }
    }

    #[tokio::test]
    async fn a_body_that_ends_with_the_connection_is_read() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            read_request(&mut stream).await;
            let answer = format!("HTTP/1.0 200 OK\r\n\r\n{TOKENS}");
            stream.write_all(answer.as_bytes()).await.unwrap();
        });
        assert!(matches!(refresh(&plain(address)).await, Outcome::Tokens(_)));
        server.await.unwrap();
    }

    #[tokio::test]
    async fn a_refusal_is_read_whatever_its_status() {
        for head in ["200 OK", "400 Bad Request", "401 Unauthorized"] {
            let answer = with_length(head, r#"&&&START&&&{"error":"96009"}"#);
            let outcome = outcome_of(answer).await;
            assert!(matches!(outcome, Outcome::Refused(_)), "{outcome:?}");
        }
    }

    #[tokio::test]
    async fn a_redirect_is_not_followed() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let location = listener.local_addr().unwrap();
        for head in [
            "301 Moved Permanently",
            "302 Found",
            "307 Temporary Redirect",
        ] {
            let head = format!("{head}\r\nLocation: http://{location}/");
            let kind = ambiguous(with_length(&head, "")).await;
            assert!(matches!(kind, AmbiguousKind::Status(_)), "{kind:?}");
        }
        let followed = tokio::time::timeout(Duration::from_millis(1), listener.accept()).await;
        assert!(followed.is_err());
    }

    #[tokio::test]
    async fn an_answer_that_decides_nothing_is_ambiguous() {
        let server_error = with_length("503 Service Unavailable", r#"{"error":96009}"#);
        assert!(matches!(
            ambiguous(server_error).await,
            AmbiguousKind::Status(_)
        ));
        let empty = with_length("200 OK", "");
        assert_eq!(ambiguous(empty).await, AmbiguousKind::Empty);
        let page = with_length("200 OK", "<html>96009</html>");
        assert_eq!(ambiguous(page).await, AmbiguousKind::Unreadable);
        assert_eq!(ambiguous("no HTTP\r\n\r\n").await, AmbiguousKind::Lost);
        assert_eq!(ambiguous(vec![0xFF; 5000]).await, AmbiguousKind::Lost);
        let headers = format!("HTTP/1.1 200 OK\r\n{}", "a: b\r\n".repeat(100_000));
        assert_eq!(ambiguous(headers).await, AmbiguousKind::Lost);
    }

    #[tokio::test]
    async fn a_body_over_the_cap_is_not_read_on() {
        let long = with_length("200 OK", &" ".repeat(MAX_ANSWER_LEN + 1));
        assert_eq!(ambiguous(long).await, AmbiguousKind::TooLong);
    }

    #[tokio::test]
    async fn a_body_without_end_is_cut_off() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            read_request(&mut stream).await;
            let head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
            stream.write_all(head).await.unwrap();
            // Ends when the client has hung up.
            while stream.write_all(b"4\r\n    \r\n").await.is_ok() {}
        });
        let Outcome::Ambiguous(ambiguous) = refresh(&plain(address)).await else {
            panic!("ambiguous");
        };
        assert_eq!(ambiguous.kind(), AmbiguousKind::TooLong);
        server.await.unwrap();
    }

    #[tokio::test]
    async fn an_answer_that_does_not_come_times_out_and_hangs_up() {
        let half = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"access_token\":";
        for answer in ["", "HTTP/1.1 200 OK\r\n", half] {
            let (address, server) = server(answer).await;
            let Outcome::Ambiguous(ambiguous) = refresh(&impatient(address)).await else {
                panic!("ambiguous");
            };
            assert_eq!(ambiguous.kind(), AmbiguousKind::Timeout);
            server.await.unwrap();
        }
    }

    #[tokio::test]
    async fn a_connection_cut_in_the_middle_is_ambiguous() {
        let half = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"access_token\":";
        // Closed with bytes unread, a socket resets; with none unread, it ends.
        for reset in [true, false] {
            for answer in ["", "HTTP/1.1 20", half] {
                let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                let address = listener.local_addr().unwrap();
                let server = tokio::spawn(async move {
                    let (mut stream, _) = listener.accept().await.unwrap();
                    if reset {
                        stream.read_u8().await.unwrap();
                    } else {
                        read_request(&mut stream).await;
                    }
                    stream.write_all(answer.as_bytes()).await.unwrap();
                });
                let Outcome::Ambiguous(ambiguous) = refresh(&plain(address)).await else {
                    panic!("ambiguous");
                };
                assert_eq!(ambiguous.kind(), AmbiguousKind::Lost);
                server.await.unwrap();
            }
        }
    }

    #[tokio::test]
    async fn a_refused_connection_is_unsent() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let unsent = plain(address).connect().await.unwrap_err();
        assert_eq!(unsent.kind(), UnsentKind::Connect);
        assert!(unsent.source().is_some());
    }

    #[tokio::test]
    async fn a_connection_closed_before_the_request_is_unsent() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let connected = plain(listener.local_addr().unwrap())
            .connect()
            .await
            .unwrap();
        drop(listener.accept().await.unwrap());
        // Lets the runtime hear of it.
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        let outcome = connected.refresh(&RefreshToken::new("R")).await;
        let Outcome::Unsent(unsent) = outcome else {
            panic!("{outcome:?}");
        };
        assert_eq!(unsent.kind(), UnsentKind::ConnectionClosed);
    }

    #[tokio::test]
    async fn nothing_leaves_before_the_request_is_asked_for() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let connected = plain(listener.local_addr().unwrap())
            .connect()
            .await
            .unwrap();
        let (mut stream, _) = listener.accept().await.unwrap();
        drop(connected);
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).await.unwrap();
        assert_eq!(bytes, b"");
    }

    #[tokio::test]
    async fn a_dropped_exchange_hangs_up_and_leaves_no_task() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let connected = plain(listener.local_addr().unwrap())
            .connect()
            .await
            .unwrap();
        let (mut stream, _) = listener.accept().await.unwrap();
        let token = RefreshToken::new("R");
        let mut exchange = Box::pin(connected.refresh(&token));
        let request = tokio::select! {
            outcome = &mut exchange => panic!("{outcome:?}"),
            request = read_request(&mut stream) => request,
        };
        assert!(request.starts_with("GET "));
        drop(exchange);
        assert_eq!(stream.read(&mut [0; 8]).await.unwrap(), 0);
        let metrics = tokio::runtime::Handle::current().metrics();
        assert_eq!(metrics.num_alive_tasks(), 0);
    }

    /// A TLS server for one connection: its address, its certificate, and what it was sent.
    fn tls_server() -> (SocketAddr, rcgen::Certificate, JoinHandle<String>) {
        let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key.into())
            .unwrap();
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = tokio::task::spawn_blocking(move || {
            let (stream, _) = listener.accept().unwrap();
            let tls = ServerConnection::new(Arc::new(config)).unwrap();
            let mut stream = rustls::StreamOwned::new(tls, stream);
            let mut request = Vec::new();
            let mut byte = [0];
            while !request.ends_with(b"\r\n\r\n") {
                // An error is the client's refusal of the certificate.
                match stream.read(&mut byte) {
                    Ok(1) => request.push(byte[0]),
                    _ => return String::from_utf8(request).unwrap(),
                }
            }
            assert_eq!(stream.conn.alpn_protocol(), Some(&b"http/1.1"[..]));
            let answer = with_length("200 OK", TOKENS);
            stream.write_all(answer.as_bytes()).unwrap();
            String::from_utf8(request).unwrap()
        });
        (address, made.cert, server)
    }

    fn trusting(certificate: &rcgen::Certificate) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots.add(certificate.der().clone()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth()
    }

    #[tokio::test]
    async fn a_trusted_server_is_asked_over_tls() {
        let (address, certificate, server) = tls_server();
        let transport = HyperTransport::with_tls_config(trusting(&certificate));
        let endpoint = endpoint(format!("https://{address}/t"), transport);
        let outcome = refresh(&endpoint).await;
        assert!(matches!(outcome, Outcome::Tokens(_)), "{outcome:?}");
        assert!(server.await.unwrap().starts_with("GET /t?client_id="));
    }

    /// A proxy that opens one tunnel: its address, what it was asked for, and what went through it
    /// toward the server.
    async fn proxy() -> (SocketAddr, JoinHandle<(String, Vec<u8>)>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let proxy = tokio::spawn(async move {
            let (mut client, _) = listener.accept().await.unwrap();
            let asked = read_request(&mut client).await;
            let to = asked.split(' ').nth(1).unwrap().to_owned();
            let mut server = TcpStream::connect(to).await.unwrap();
            client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
            let (mut from_client, mut to_client) = client.split();
            let (mut from_server, mut to_server) = server.split();
            let mut passed = Vec::new();
            let there = async {
                let mut bytes = [0; 4096];
                while let Ok(read @ 1..) = from_client.read(&mut bytes).await {
                    passed.extend_from_slice(&bytes[..read]);
                    to_server.write_all(&bytes[..read]).await.unwrap();
                }
                let _ = to_server.shutdown().await;
            };
            let _ = tokio::join!(there, tokio::io::copy(&mut from_server, &mut to_client));
            (asked, passed)
        });
        (address, proxy)
    }

    #[tokio::test]
    async fn a_proxy_is_asked_for_a_tunnel_and_sees_nothing_of_the_request() {
        let (address, certificate, server) = tls_server();
        let (proxy_address, proxy) = proxy().await;
        let proxy_url = format!("http://{proxy_address}").parse().unwrap();
        let tunnel = Tunnel::new(proxy_url, HttpConnector::new());
        let mut config = trusting(&certificate);
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        let connector = HttpsConnector::from((tunnel, Arc::new(config)));
        let transport = HyperTransport::with_connector(connector);
        let endpoint = endpoint(format!("https://{address}/t"), transport);
        let outcome = refresh(&endpoint).await;
        assert!(matches!(outcome, Outcome::Tokens(_)), "{outcome:?}");
        let sent = server.await.unwrap();
        assert!(sent.starts_with("GET /t?client_id=") && sent.contains("R%2F1%2B%3D"));
        let (asked, passed) = proxy.await.unwrap();
        assert!(asked.starts_with(&format!("CONNECT {address} HTTP/1.1\r\n")));
        assert!(!passed.is_empty());
        for text in [&b"client_id"[..], b"R%2F1"] {
            assert!(
                !asked
                    .as_bytes()
                    .windows(text.len())
                    .any(|part| part == text)
            );
            assert!(!passed.windows(text.len()).any(|part| part == text));
        }
    }

    #[tokio::test]
    async fn a_connector_that_fails_or_hangs_has_sent_nothing() {
        let failing = tower::service_fn(|_: Uri| async {
            Err::<TokioIo<TcpStream>, _>("the proxy is closed")
        });
        // In a box, which is not `Sync`.
        let failing = tower::util::BoxCloneService::new(failing);
        let transport = HyperTransport::with_connector(failing);
        let url = "https://127.0.0.1/t";
        let unsent = endpoint(url.to_owned(), transport)
            .connect()
            .await
            .unwrap_err();
        assert_eq!(unsent.kind(), UnsentKind::Connect);
        assert_eq!(unsent.source().unwrap().to_string(), "the proxy is closed");

        let hanging = tower::service_fn(|_: Uri| {
            std::future::pending::<Result<TokioIo<TcpStream>, BoxError>>()
        });
        let transport = HyperTransport::with_connector(hanging).connect_timeout(SOON);
        let unsent = endpoint(url.to_owned(), transport)
            .connect()
            .await
            .unwrap_err();
        assert_eq!(unsent.kind(), UnsentKind::ConnectTimeout);
    }

    #[tokio::test]
    async fn a_server_that_is_not_trusted_is_sent_nothing() {
        let (address, _, server) = tls_server();
        let transport = HyperTransport::without_roots().unwrap();
        let unsent = endpoint(format!("https://{address}/t"), transport)
            .connect()
            .await
            .unwrap_err();
        assert_eq!(unsent.kind(), UnsentKind::Connect);
        let cause = unsent.source().unwrap().to_string();
        assert!(cause.contains("certificate"), "{cause}");
        assert_eq!(server.await.unwrap(), "");
    }

    #[tokio::test]
    async fn a_server_that_does_not_speak_tls_times_out_unsent() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let transport = HyperTransport::without_roots()
            .unwrap()
            .connect_timeout(SOON);
        let unsent = endpoint(format!("https://{address}/t"), transport)
            .connect()
            .await
            .unwrap_err();
        assert_eq!(unsent.kind(), UnsentKind::ConnectTimeout);
    }
}
