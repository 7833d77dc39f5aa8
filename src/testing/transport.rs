use std::io;
use std::time::Duration;

use bytes::Bytes;
use futures_core::future::BoxFuture;
use http::{Request, Response, Uri};

use super::Provider;
use super::token_endpoint::{PATH, Reply};
use crate::provider::Xiaomi;
use crate::token::{Connection, SendError, TokenEndpoint, Transport, TransportError};

/// The way to a [`Provider`]'s token endpoint inside the process: see
/// [`Provider::transport`].
///
/// It tells of each [`Fault`](super::Fault) what a transport over a network would.
#[derive(Clone, Debug)]
pub struct InProcess {
    provider: Provider,
    answer_timeout: Duration,
}

impl InProcess {
    fn new(provider: Provider) -> Self {
        Self {
            provider,
            answer_timeout: Duration::from_secs(30),
        }
    }

    /// How long an answer is waited for, in tokio's time. 30 s by default.
    #[must_use]
    pub fn answer_timeout(mut self, timeout: Duration) -> Self {
        self.answer_timeout = timeout;
        self
    }
}

impl Provider {
    /// The way to the token endpoint inside the process.
    pub fn transport(&self) -> InProcess {
        InProcess::new(self.clone())
    }

    /// The client that is registered, as it is configured for this provider: its id and secret, its
    /// redirect URI, the rules that requests are signed by.
    pub fn xiaomi(&self) -> Xiaomi {
        let config = self.config();
        let secret = config.client_secret.clone();
        Xiaomi::new(
            config.client_id.as_str(),
            secret,
            config.redirect_uri.as_str(),
        )
        .with_token_url(format!("https://localhost{PATH}"))
        .with_signing_rules(config.signing_rules.clone())
    }

    /// The token endpoint inside the process, ready made for the [registered client](Self::xiaomi);
    /// without a limit of requests.
    pub fn endpoint(&self) -> TokenEndpoint {
        self.endpoint_of(self.xiaomi())
    }

    /// The same, for a client that is configured in another way.
    ///
    /// # Panics
    ///
    /// If that cannot be used.
    #[expect(clippy::expect_used, reason = "a test is written wrongly")]
    pub fn endpoint_of<P: crate::provider::Provider>(&self, client: P) -> TokenEndpoint<P> {
        TokenEndpoint::builder(client)
            .requests_per_second(None)
            .transport(self.transport())
            .build()
            .expect("a client that can be used")
    }
}

impl Transport for InProcess {
    fn connect<'a>(
        &'a self,
        _: &'a Uri,
    ) -> BoxFuture<'a, Result<Box<dyn Connection>, TransportError>> {
        Box::pin(async {
            if self.provider.refuses_connection() {
                let refused = io::Error::from(io::ErrorKind::ConnectionRefused);
                return Err(TransportError::new(refused));
            }
            Ok(Box::new(self.clone()) as Box<dyn Connection>)
        })
    }
}

impl Connection for InProcess {
    fn send(
        self: Box<Self>,
        request: Request<Bytes>,
    ) -> BoxFuture<'static, Result<Response<Bytes>, SendError>> {
        Box::pin(async move {
            let (head, _) = request.into_parts();
            let reply = self.provider.token_request(&head);
            match tokio::time::timeout(self.answer_timeout, reply).await {
                Ok(Reply::Answer(answer)) => Ok(answer),
                Ok(Reply::Endless(_)) => Err(SendError::too_long()),
                Ok(Reply::Reset) => {
                    let reset = io::Error::from(io::ErrorKind::ConnectionReset);
                    Err(SendError::lost(reset))
                }
                Err(_) => Err(SendError::timeout()),
            }
        })
    }
}
