use std::fmt;
use std::mem;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT_ENCODING, HOST, HeaderValue, USER_AGENT};
use http::{Request, Uri};

use super::answer::{not_answered, read_answer};
use super::builder::TokenEndpointBuilder;
use super::limiter::Limiter;
use super::redact::{Sent, redact};
use super::{Connection, Transport};
use crate::provider::{
    EndpointError, Fresh, GrantType, Outcome, Presented, Provider, SharedError, Unsent, UnsentKind,
    Xiaomi,
};
use crate::{AuthorizationCode, Clock as _, RefreshToken, SystemClock};

/// Where a [`Provider`]'s tokens come from, and how that is reached.
///
/// A cheap clone: all clones share the transport and the rate limit. See the
/// [module docs](super).
///
/// An [`Account`](crate::account::Account) makes one of the provider that it is given. Give it a clone
/// of one instead to share the rate limit, or to set a knob of the [builder](TokenEndpointBuilder).
pub struct TokenEndpoint<P = Xiaomi> {
    inner: Arc<Inner<P>>,
}

pub(super) struct Inner<P> {
    pub(super) provider: P,
    pub(super) limiter: Limiter,
    pub(super) reach: Result<Reach, EndpointError>,
}

/// How it is reached.
pub(super) struct Reach {
    pub(super) for_refresh: Target,
    pub(super) for_code: Target,
    pub(super) transport: Box<dyn Transport>,
}

pub(super) struct Target {
    pub(super) url: Uri,
    pub(super) host: HeaderValue,
}

impl Reach {
    fn target(&self, grant_type: GrantType) -> &Target {
        match grant_type {
            GrantType::RefreshToken => &self.for_refresh,
            GrantType::AuthorizationCode => &self.for_code,
        }
    }
}

impl<P: Provider> TokenEndpoint<P> {
    /// Starts the endpoint of a provider.
    pub fn builder(provider: P) -> TokenEndpointBuilder<P> {
        TokenEndpointBuilder::new(provider)
    }

    pub(super) fn new(inner: Inner<P>) -> Self {
        Self {
            inner: Arc::new(inner),
        }
    }

    /// The provider.
    pub fn provider(&self) -> &P {
        &self.inner.provider
    }

    /// Whether it can be used at all. One that was [built](TokenEndpointBuilder::build) can.
    ///
    /// # Errors
    ///
    /// Why not, of an endpoint that was made of a provider alone.
    pub fn check(&self) -> Result<(), EndpointError> {
        self.reach().map(|_| ()).map_err(Clone::clone)
    }

    fn reach(&self) -> Result<&Reach, &EndpointError> {
        self.inner.reach.as_ref()
    }

    /// Does all that can fail or take long before a refresh: waits for the rate limit, then
    /// connects. Nothing of a request is sent. After a 429 it waits as long as the endpoint asked
    /// for by `Retry-After` (an hour at most), or for 1 s, 2 s, 4 s… up to a minute.
    ///
    /// It is a call of its own so that a caller can write down what it is about to present, between
    /// connecting and presenting.
    ///
    /// # Errors
    ///
    /// [`Unsent`], always: DNS, TCP or TLS failed, or took too long.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime with time enabled, when it has to wait.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future closes what was opened. A request counts against the rate limit once
    /// its turn has come, even if it is dropped after that.
    pub async fn connect(&self) -> Result<Connected<P>, Unsent> {
        self.connect_for(GrantType::RefreshToken).await
    }

    /// The same, for a request of this type: a provider may have a URL of its own for each.
    ///
    /// # Errors
    ///
    /// As [`connect`](Self::connect).
    ///
    /// # Panics
    ///
    /// As [`connect`](Self::connect).
    ///
    /// # Cancel safety
    ///
    /// As [`connect`](Self::connect).
    pub async fn connect_for(&self, grant_type: GrantType) -> Result<Connected<P>, Unsent> {
        self.pass().await;
        self.dial(grant_type).await
    }

    /// Waits for the rate limit, in the order of those who ask.
    pub(crate) async fn pass(&self) {
        self.inner.limiter.ready().await;
    }

    /// How long the endpoint is still left alone, because it answered 429; zero if it is not.
    pub(crate) fn held_for(&self) -> Duration {
        self.inner.limiter.held_for()
    }

    /// Passes the rate limit if nobody waits there and it lets one more pass now.
    pub(crate) fn try_pass(&self) -> bool {
        self.inner.limiter.try_ready()
    }

    /// Connects, the rate limit having let it pass.
    pub(crate) async fn dial(&self, grant_type: GrantType) -> Result<Connected<P>, Unsent> {
        let reach = self.reach().map_err(|error| {
            let source: SharedError = Arc::new(error.clone());
            Unsent::new(UnsentKind::Request, Some(source))
        })?;
        let target = reach.target(grant_type);
        match reach.transport.connect(&target.url).await {
            Ok(connection) => Ok(Connected {
                connection,
                host: target.host.clone(),
                endpoint: self.clone(),
            }),
            Err(error) => {
                let kind = if error.is_timeout() {
                    UnsentKind::ConnectTimeout
                } else {
                    UnsentKind::Connect
                };
                let endpoint = text(&target.host);
                tracing::debug!(endpoint, ?kind, "no connection to the token endpoint");
                Err(Unsent::new(kind, error.source.map(SharedError::from)))
            }
        }
    }
}

/// As [`TokenEndpointBuilder::build`] makes it, except that what cannot be used is found when an
/// account is opened, or by [`TokenEndpoint::check`].
impl<P: Provider> From<P> for TokenEndpoint<P> {
    fn from(provider: P) -> Self {
        TokenEndpointBuilder::new(provider).into_endpoint()
    }
}

impl<P> Clone for TokenEndpoint<P> {
    fn clone(&self) -> Self {
        let inner = Arc::clone(&self.inner);
        Self { inner }
    }
}

impl<P: Provider> fmt::Debug for TokenEndpoint<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host = self.reach().map(|reach| text(&reach.for_refresh.host));
        f.debug_struct("TokenEndpoint")
            .field("host", &host.unwrap_or_default())
            .field("client_id", &self.inner.provider.client_id())
            .finish_non_exhaustive()
    }
}

fn text(host: &HeaderValue) -> &str {
    host.to_str().unwrap_or_default()
}

/// A connection to the token endpoint on which nothing was sent yet. It serves one request.
///
/// Made by [`TokenEndpoint::connect`]. Use it soon: servers close idle connections, which then is
/// [`Outcome::Unsent`] at best.
#[must_use = "nothing is sent before `refresh` or `exchange_code`"]
pub struct Connected<P = Xiaomi> {
    connection: Box<dyn Connection>,
    host: HeaderValue,
    endpoint: TokenEndpoint<P>,
}

impl<P: Provider> Connected<P> {
    /// Presents the refresh token, **once**.
    ///
    /// # Cancel safety
    ///
    /// None: if the future is dropped after its first poll, take the outcome as ambiguous.
    pub async fn refresh(self, token: &RefreshToken) -> Outcome {
        self.present(token.into(), Fresh::at(SystemClock.now()))
            .await
    }

    /// Exchanges the authorization code of the user for tokens. A code works once.
    ///
    /// # Cancel safety
    ///
    /// None: if the future is dropped after its first poll, take the outcome as ambiguous.
    pub async fn exchange_code(self, code: &AuthorizationCode) -> Outcome {
        self.present(code.into(), Fresh::at(SystemClock.now()))
            .await
    }

    /// Presents what is to be presented, once. The same holds as for [`refresh`](Self::refresh).
    pub(crate) async fn present(self, presented: Presented<'_>, fresh: Fresh) -> Outcome {
        let (provider, limiter) = (&self.endpoint.inner.provider, &self.endpoint.inner.limiter);
        let request = match provider.token_request(presented, fresh) {
            Ok(request) => with_headers(request, &self.host),
            Err(error) => {
                let source: SharedError = Arc::new(error);
                return Outcome::Unsent(Unsent::new(UnsentKind::Request, Some(source)));
            }
        };
        let sent = Sent::new(provider, &presented);
        let mut outcome = match self.connection.send(request).await {
            Ok(answer) => read_answer(provider, presented, answer),
            Err(error) => not_answered(error),
        };
        redact(&mut outcome, &sent);
        match &outcome {
            Outcome::RateLimited(busy) => limiter.hold(busy.retry_after()),
            Outcome::Unsent(_) => {}
            _ => limiter.was_let_through(),
        }
        let result = match &outcome {
            Outcome::Tokens(_) => "tokens",
            Outcome::Unsent(_) => "unsent",
            Outcome::RateLimited(_) => "rate limited",
            Outcome::Refused(_) => "refused",
            Outcome::Ambiguous(_) => "ambiguous",
        };
        let (endpoint, grant_type) = (text(&self.host), presented.grant_type().as_str());
        tracing::debug!(endpoint, grant_type, result, "asked the token endpoint");
        outcome
    }
}

/// The request as it is sent: in origin form, with what every one has.
fn with_headers(mut request: Request<Bytes>, host: &HeaderValue) -> Request<Bytes> {
    if request.uri().authority().is_some() {
        let path = request.uri().path_and_query().cloned();
        *request.uri_mut() = path.map_or_else(Uri::default, Uri::from);
    }
    // `Host` comes first (RFC 9112 §3.2).
    let others = mem::take(request.headers_mut());
    let headers = request.headers_mut();
    headers.insert(HOST, host.clone());
    for (name, value) in others.iter().filter(|(name, _)| **name != HOST) {
        headers.append(name, value.clone());
    }
    // Without it a server may compress as it likes (RFC 9110 §12.5.3).
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    headers
        .entry(USER_AGENT)
        .or_insert(HeaderValue::from_static(concat!(
            "tower-mac-auth/",
            env!("CARGO_PKG_VERSION")
        )));
    request
}

impl<P: Provider> fmt::Debug for Connected<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connected")
            .field("host", &text(&self.host))
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::AmbiguousKind;
    use crate::token::{SendError, TokenEndpointBuilder, TransportError};
    use bytes::Bytes;
    use futures_core::future::BoxFuture;
    use http::{Request, Response};
    use std::error::Error;
    use std::io;
    use std::sync::Mutex;

    type Reply = fn(&Request<Bytes>) -> Result<Response<Bytes>, SendError>;

    /// Answers every request by a function.
    struct Scripted(Reply);

    impl Transport for Scripted {
        fn connect<'a>(
            &'a self,
            _: &'a Uri,
        ) -> BoxFuture<'a, Result<Box<dyn Connection>, TransportError>> {
            Box::pin(async { Ok(Box::new(Scripted(self.0)) as Box<dyn Connection>) })
        }
    }

    impl Connection for Scripted {
        fn send(
            self: Box<Self>,
            request: Request<Bytes>,
        ) -> BoxFuture<'static, Result<Response<Bytes>, SendError>> {
            Box::pin(async move { (self.0)(&request) })
        }
    }

    fn builder(reply: Reply) -> TokenEndpointBuilder<Xiaomi> {
        let xiaomi = Xiaomi::new("client", "CANARY-client/secret", "https://client/cb");
        TokenEndpoint::builder(xiaomi).transport(Scripted(reply))
    }

    async fn refresh(reply: Reply) -> Outcome {
        let endpoint = builder(reply).build().unwrap();
        let connected = endpoint.connect().await.unwrap();
        connected
            .refresh(&RefreshToken::new("CANARY-refresh/1"))
            .await
    }

    #[expect(clippy::unnecessary_wraps, reason = "a reply, with the type of one")]
    fn answer(body: impl Into<Bytes>) -> Result<Response<Bytes>, SendError> {
        Ok(Response::new(body.into()))
    }

    fn everything(error: &(dyn Error + 'static)) -> String {
        std::iter::successors(Some(error), |&error| error.source())
            .map(|error| format!("{error} {error:?} {error:#?} "))
            .collect::<Vec<_>>()
            .concat()
    }

    #[test]
    fn an_exchange_can_run_as_a_task_of_its_own() {
        fn is_send<T: Send + 'static>(_: &T) {}
        let endpoint = builder(|_| answer("")).build().unwrap();
        is_send(&async move {
            let connected = endpoint.connect().await?;
            let outcome = connected.refresh(&RefreshToken::new("R")).await;
            Ok::<_, Unsent>((endpoint, outcome))
        });
    }

    #[tokio::test]
    async fn the_request_carries_a_host_and_no_cookie() {
        let outcome = refresh(|request| {
            assert_eq!(request.method(), "GET");
            assert_eq!(request.headers()["host"], "account.xiaomi.com");
            assert_eq!(request.headers()["accept-encoding"], "identity");
            assert_eq!(request.headers().len(), 4);
            assert_eq!(
                request.uri(),
                "/oauth2/token?client_id=client&redirect_uri=https%3A%2F%2Fclient%2Fcb\
                 &client_secret=CANARY-client%2Fsecret\
                 &grant_type=refresh_token&refresh_token=CANARY-refresh%2F1&token_type=mac"
            );
            answer("")
        })
        .await;
        assert!(matches!(outcome, Outcome::Ambiguous(_)));
    }

    #[tokio::test]
    async fn only_a_request_that_provably_stayed_is_unsent() {
        let unsent = refresh(|_| Err(SendError::not_sent("closed"))).await;
        assert!(matches!(unsent, Outcome::Unsent(u) if u.kind() == UnsentKind::ConnectionClosed));
        for (reply, kind) in [
            (
                (|_| Err(SendError::lost("reset"))) as Reply,
                AmbiguousKind::Lost,
            ),
            (|_| Err(SendError::timeout()), AmbiguousKind::Timeout),
            (|_| Err(SendError::too_long()), AmbiguousKind::TooLong),
            (|_| answer(vec![b' '; 65_537]), AmbiguousKind::TooLong),
        ] {
            let Outcome::Ambiguous(ambiguous) = refresh(reply).await else {
                panic!("ambiguous");
            };
            assert_eq!(ambiguous.kind(), kind);
        }
    }

    #[tokio::test]
    async fn a_token_too_long_for_a_url_is_not_sent() {
        let endpoint = builder(|_| panic!("sent")).build().unwrap();
        let connected = endpoint.connect().await.unwrap();
        let outcome = connected.refresh(&"R".repeat(70_000).into()).await;
        assert!(matches!(outcome, Outcome::Unsent(u) if u.kind() == UnsentKind::Request));
    }

    #[tokio::test]
    async fn a_harmless_error_of_a_transport_is_kept_as_the_source() {
        let Outcome::Ambiguous(ambiguous) =
            refresh(|_| Err(SendError::lost(io::Error::from(io::ErrorKind::BrokenPipe)))).await
        else {
            panic!("ambiguous");
        };
        assert_eq!(ambiguous.source().unwrap().to_string(), "broken pipe");
    }

    #[tokio::test(start_paused = true)]
    async fn clones_share_one_rate_limit() {
        let endpoint = builder(|_| answer(""))
            .requests_per_second(std::num::NonZeroU32::MIN)
            .build()
            .unwrap();
        let _first = endpoint.connect().await.unwrap();
        let clone = endpoint.clone();
        let soon = std::time::Duration::from_millis(500);
        assert!(tokio::time::timeout(soon, clone.connect()).await.is_err());
        let then = std::time::Duration::from_millis(600);
        assert!(tokio::time::timeout(then, clone.connect()).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_429_holds_all_clones_back_as_long_as_it_asks_for() {
        for limit in [None, std::num::NonZeroU32::new(5000)] {
            let endpoint = builder(|_| {
                let answer = Response::builder().status(429).header("retry-after", "30");
                Ok(answer.body(Bytes::new()).unwrap())
            });
            let endpoint = endpoint.requests_per_second(limit).build().unwrap();
            let connected = endpoint.connect().await.unwrap();
            let outcome = connected.refresh(&RefreshToken::new("R")).await;
            assert!(matches!(outcome, Outcome::RateLimited(_)), "{outcome:?}");
            let clone = endpoint.clone();
            assert!(!clone.try_pass());
            let soon = Duration::from_secs(29);
            assert!(tokio::time::timeout(soon, clone.connect()).await.is_err());
            let then = Duration::from_secs(2);
            assert!(tokio::time::timeout(then, clone.connect()).await.is_ok());
            assert!(clone.try_pass());
        }
    }

    #[tokio::test]
    async fn without_a_limit_nothing_waits() {
        let endpoint = builder(|_| answer(""))
            .requests_per_second(None)
            .build()
            .unwrap();
        for _ in 0..10_000 {
            let _connected = endpoint.connect().await.unwrap();
        }
    }

    /// A subscriber's output.
    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Log {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[tokio::test]
    async fn no_secret_shows_in_any_text() {
        let log = Log::default();
        let writer = log.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(tracing::Level::TRACE)
            .with_ansi(false)
            .with_writer(move || writer.clone())
            .finish();
        let _guard = tracing::subscriber::set_default(subscriber);
        // A test beside this one may have met the same events first, with nobody listening.
        tracing::callsite::rebuild_interest_cache();

        let replies: [Reply; 9] = [
            |r| Err(SendError::lost(format!("GET {} failed", r.uri()))),
            |r| Err(SendError::not_sent(format!("GET {} failed", r.uri()))),
            |r| Err(SendError::lost(io::Error::other(format!("{r:?}")))),
            |r| answer(r.uri().to_string()),
            |r| {
                answer(format!(
                    r#"{{"error":96009,"error_description":"{}"}}"#,
                    r.uri()
                ))
            },
            |_| answer(r#"{"error":96009,"error_description":"bad token canary-REFRESH/1"}"#),
            |_| answer(r#"{"error":96009,"error_description":"bad token CANARY-ref..."}"#),
            |_| {
                answer(
                    r#"{"access_token":"A","mac_key":"K","expires_in":1,"mac_algorithm":"CANARY-refresh/1"}"#,
                )
            },
            |_| {
                answer(
                    r#"{"access_token":"CANARY-a","mac_key":"CANARY-k","expires_in":9,"refresh_token":"CANARY-r"}"#,
                )
            },
        ];
        let mut texts = Vec::new();
        for reply in replies {
            let outcome = refresh(reply).await;
            texts.push(format!("{outcome:?} {outcome:#?} "));
            match &outcome {
                Outcome::Tokens(tokens) => texts.push(format!("{tokens:?}")),
                Outcome::Unsent(error) => texts.push(everything(error)),
                Outcome::RateLimited(error) => texts.push(everything(error)),
                Outcome::Refused(error) => texts.push(everything(error)),
                Outcome::Ambiguous(error) => texts.push(everything(error)),
            }
        }
        let builder = builder(|_| answer(""));
        texts.push(format!("{builder:?} {builder:#?}"));
        let endpoint = builder.build().unwrap();
        let connected = endpoint.connect().await.unwrap();
        texts.push(format!("{endpoint:?} {connected:?}"));
        let _ = connected.exchange_code(&"CANARY-code".into()).await;

        let logged = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
        assert!(logged.contains("account.xiaomi.com"), "{logged}");
        texts.push(logged);
        for text in texts {
            assert!(!text.to_lowercase().contains("canary"), "{text}");
        }
    }
}
