use std::io;
use std::time::Duration;

use bytes::Bytes;
use futures_core::future::BoxFuture;
use http::{Request, Response, Uri};

use super::Provider;
use super::token_endpoint::Reply;
use crate::token::{Connection, SendError, Transport, TransportError};

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
            let reply = self.provider.token_request(&request);
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
