//! How the API fails, when it is told to.

use std::collections::VecDeque;
use std::time::Duration;

use http::StatusCode;

use super::Provider;

/// How the API of a [`Provider`] fails, beside the refusals that a request earns: see
/// [`Provider::api_fault_next`]. How the token endpoint fails is a [`Fault`](super::Fault).
///
/// On a [socket](Provider::serve) each is what it says. Inside the process there is no connection: what
/// would be reset is never answered there, and a slow body comes late, and whole.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ApiFault {
    /// Answers with this status and no JSON, `503` say, before it has looked at the request.
    ServerError(StatusCode),
    /// Resets the connection before it has looked at the request.
    Reset,
    /// Does what the request wants, and resets the connection in place of an answer.
    AcceptedThenReset,
    /// Never answers, and keeps the connection open.
    Stall,
    /// Answers as always, but for this pause in the middle of the body, in tokio's time.
    SlowBody(Duration),
    /// Answers as always, and breaks off in the middle of the body.
    BrokenBody,
}

/// The faults to come.
#[derive(Debug, Default)]
pub(super) struct ApiFaults {
    queue: VecDeque<ApiFault>,
    /// In force whenever the queue is empty.
    always: Option<ApiFault>,
}

impl Provider {
    /// Makes one request to the API fail: the next one, or the one after those that are in the queue
    /// already.
    pub fn api_fault_next(&self, fault: ApiFault) {
        self.state().api_faults.queue.push_back(fault);
    }

    /// Makes every request to the API fail that no fault in the queue is for, until
    /// [`clear_api_faults`](Self::clear_api_faults).
    pub fn api_fault_always(&self, fault: ApiFault) {
        self.state().api_faults.always = Some(fault);
    }

    /// From now on the API works. What is given back was in the queue, and has met no request.
    pub fn clear_api_faults(&self) -> Vec<ApiFault> {
        let faults = std::mem::take(&mut self.state().api_faults);
        faults.queue.into()
    }

    /// How a request that has arrived is to fail, if it is.
    pub(super) fn next_api_fault(&self) -> Option<ApiFault> {
        let faults = &mut self.state().api_faults;
        faults.queue.pop_front().or_else(|| faults.always.clone())
    }
}

#[cfg(test)]
mod tests {
    #[cfg(feature = "transport")]
    use bytes::Bytes;
    #[cfg(feature = "transport")]
    use http_body_util::{BodyExt, Full};
    use tokio_test::{assert_pending, assert_ready, task};

    use super::super::by_hand::Client;
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);
    const BUSY: ApiFault = ApiFault::ServerError(StatusCode::SERVICE_UNAVAILABLE);

    #[tokio::test(start_paused = true)]
    async fn the_api_fails_as_it_is_told_and_works_when_that_is_over() {
        let provider = Provider::new();
        let client = Client::new(&provider, &provider.issue(HOUR));
        provider.api_fault_next(BUSY);
        assert_eq!(client.call().await.status(), 503);
        assert_eq!(provider.accepted().len(), 0);
        assert_eq!(client.call().await.status(), 200);

        for (fault, accepted) in [
            (ApiFault::Stall, 1),
            (ApiFault::Reset, 1),
            (ApiFault::AcceptedThenReset, 2),
        ] {
            provider.api_fault_next(fault);
            let mut call = task::spawn(client.call());
            assert_pending!(call.poll());
            assert_eq!(provider.accepted().len(), accepted);
        }
        provider.api_fault_next(ApiFault::SlowBody(HOUR));
        let mut call = task::spawn(client.call());
        assert_pending!(call.poll());
        tokio::time::advance(HOUR).await;
        assert_eq!(assert_ready!(call.poll()).status(), 200);

        provider.api_fault_always(BUSY);
        provider.api_fault_next(ApiFault::Stall);
        assert_eq!(provider.clear_api_faults(), [ApiFault::Stall]);
        assert_eq!(client.call().await.status(), 200);
        provider.api_fault_always(BUSY);
        for _ in 0..2 {
            assert_eq!(client.call().await.status(), 503);
        }
    }

    #[cfg(feature = "transport")]
    #[tokio::test]
    async fn on_a_socket_connections_are_reset_and_bodies_break_off() {
        use hyper_util::client::legacy::Client as HyperClient;
        use hyper_util::rt::TokioExecutor;

        let provider = Provider::new();
        let server = provider.serve().await.unwrap();
        let client = Client::new(&provider, &provider.issue(HOUR));
        let http = HyperClient::builder(TokioExecutor::new()).build_http::<Full<Bytes>>();
        let call = || http.request(client.request(&client.nonce(), &server.authority(), "/", ""));
        for (fault, accepted) in [(ApiFault::Reset, 0), (ApiFault::AcceptedThenReset, 1)] {
            provider.api_fault_next(fault);
            assert!(call().await.is_err());
            assert_eq!(provider.accepted().len(), accepted);
        }
        provider.api_fault_next(ApiFault::BrokenBody);
        let answer = call().await.unwrap();
        assert_eq!(answer.status(), 200);
        assert!(answer.into_body().collect().await.is_err());
        provider.api_fault_next(ApiFault::SlowBody(Duration::from_millis(1)));
        let answer = call().await.unwrap().into_body().collect().await.unwrap();
        assert!(answer.to_bytes().ends_with(b"}"));
        assert!(call().await.is_ok());
    }
}
