//! From a request that came in to the API's answer to it.
//!
//! A request is made fit to be sent on ([`Upstream`]), its account is found ([`tenant`]), the library's layer signs
//! it, and a client sends it ([`upstream`]), once or twice ([`attempt`]). What does not come that far is answered
//! in JSON ([`refusal`]). Cookies of logins stay out of both ([`cookies`]). Bodies are streamed both ways
//! ([`upload`], [`download`]), and each request ends with a line in the log ([`line`]).

mod attempt;
mod cookies;
mod cuttable;
mod download;
mod failure;
mod flow;
mod idle;
mod line;
mod progress;
mod refusal;
mod server;
mod tenant;
mod tunnels;
mod upload;
mod upstream;

use std::error::Error as StdError;
use std::fmt;
use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_LENGTH;
use http::{Request, Response, StatusCode};
use http_body::Body;
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use tokio_util::sync::CancellationToken;
use tower_mac_auth::account::Accounts;
use tower_mac_auth::forward::Upstream;
use tower_mac_auth::provider::Provider;
use tower_service::Service;

use self::server::MAX_HEADERS;
use crate::browsers::Hosts;

pub(crate) use self::attempt::Attempts;
pub(crate) use self::download::OutboundBody;
pub(crate) use self::failure::{Failure, first_tokens, of_account, of_refresh};
pub(crate) use self::line::{Count, Line};
pub(crate) use self::progress::Progress;
pub(crate) use self::refusal::Refusal;
pub(crate) use self::server::Server;
pub(crate) use self::tenant::Tenant;
pub(crate) use self::tunnels::Tunnels;
pub(crate) use self::upload::{InboundBody, Trailers};
pub(crate) use self::upstream::client;

type BoxError = Box<dyn StdError + Send + Sync>;

/// What became of a request, for who counts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outcome {
    /// What the caller got, or 499 if it had gone.
    pub(crate) status: StatusCode,
    /// Whether the API answered.
    pub(crate) sent: bool,
    /// Whether the answer is a refusal of the credential.
    pub(crate) refused: bool,
    /// Whether it was sent twice.
    pub(crate) resent: bool,
}

impl Outcome {
    /// The API did not answer.
    const fn unanswered(status: StatusCode) -> Self {
        Self {
            status,
            sent: false,
            refused: false,
            resent: false,
        }
    }
}

/// What all requests have in common.
pub(crate) struct Shared<P: Provider> {
    pub(crate) accounts: Accounts<P>,
    pub(crate) hosts: Hosts,
    pub(crate) tenant: Tenant,
    pub(crate) target: Upstream,
    pub(crate) max_body: Option<u64>,
    pub(crate) timeout: Duration,
    pub(crate) tunnels: Tunnels,
    pub(crate) count: Count,
    /// Whether it is known where users agree.
    pub(crate) has_login: bool,
    /// Ends what a drain has no more time for.
    pub(crate) cut: CancellationToken,
}

impl<P: Provider> fmt::Debug for Shared<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}

/// The proxy: a clone for each connection.
#[derive(Debug)]
pub(crate) struct Proxy<P: Provider, S> {
    shared: Arc<Shared<P>>,
    /// Signs and sends.
    service: S,
    /// The same by HTTP/1.1 alone, which is the one that can be upgraded.
    upgrading: S,
    trailers: Arc<Trailers>,
}

impl<P: Provider, S: Clone> Clone for Proxy<P, S> {
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
            service: self.service.clone(),
            upgrading: self.upgrading.clone(),
            trailers: Arc::clone(&self.trailers),
        }
    }
}

impl<P: Provider, S> Proxy<P, S> {
    pub(crate) fn new(shared: Shared<P>, service: S, upgrading: S) -> Self {
        let trailers = Trailers {
            target: shared.target.clone(),
            tenant: shared.tenant.clone(),
        };
        Self {
            shared: Arc::new(shared),
            service,
            upgrading,
            trailers: Arc::new(trailers),
        }
    }

    /// The answer to a request, whatever becomes of it, and a line about it in the log.
    pub(crate) async fn answer<R>(
        &self,
        request: Request<Incoming>,
    ) -> Response<Either<OutboundBody<R>, Full<Bytes>>>
    where
        S: Service<Request<InboundBody>, Response = Response<R>> + Clone,
        S::Error: Failure,
        R: Body<Data = Bytes, Error: Into<BoxError>>,
    {
        let (count, cut) = (Arc::clone(&self.shared.count), self.shared.cut.clone());
        let mut line = Line::of(&request, count, cut);
        match self.forward(request, &mut line).await {
            Ok(response) => {
                line.passed(&response);
                let bare = line.is_head() || has_no_body(response.status());
                let way = (self.shared.target.clone(), self.shared.timeout);
                response.map(|body| Either::Left(OutboundBody::new(body, bare, way, line)))
            }
            Err(refusal) => {
                line.refused(&refusal);
                refusal.into_answer().map(Either::Right)
            }
        }
    }

    async fn forward<R>(
        &self,
        mut request: Request<Incoming>,
        line: &mut Line,
    ) -> Result<Response<R>, Refusal>
    where
        S: Service<Request<InboundBody>, Response = Response<R>> + Clone,
        S::Error: Failure,
    {
        let shared = &*self.shared;
        if request.headers().len() > MAX_HEADERS {
            return Err(Refusal::too_many_headers(MAX_HEADERS));
        }
        shared.hosts.admit(&request)?;
        let asked = shared.target.request(&mut request)?;
        let upgrade = asked.wants_upgrade();
        let upgrade = upgrade.then(|| hyper::upgrade::on(&mut request));
        let whose = shared.tenant.take(request.headers_mut())?;
        let account = shared.accounts.get(whose.as_str()).await;
        line.account = Some(whose);
        let account = account.map_err(|error| of_account(&error, shared.has_login))?;
        cookies::take_off_logins(request.headers_mut());
        // Nothing of the connection that it came by goes on.
        request.extensions_mut().clear();
        request.extensions_mut().insert(account);

        let length = request.headers().get(CONTENT_LENGTH);
        let length = length.and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
        if let (Some(length), Some(most)) = (length, shared.max_body)
            && length > most
        {
            return Err(Refusal::too_large(most));
        }
        let progress = line.progress.clone();
        request.extensions_mut().insert(progress.clone());
        let trailers = Arc::clone(&self.trailers);
        let limits = (shared.max_body, shared.timeout);
        let request =
            request.map(|body| InboundBody::new(body, limits, progress.clone(), trailers));
        let caller = request.body().caller();
        let service = if upgrade.is_some() {
            &self.upgrading
        } else {
            &self.service
        };
        let mut service = service.clone();
        let failed = |error: S::Error| error.refusal();
        poll_fn(|cx| service.poll_ready(cx)).await.map_err(failed)?;
        let mut response = service.call(request).await.map_err(failed)?;
        if !progress.is_uploaded() {
            let api = response.extensions().get().cloned();
            tokio::spawn(caller.let_go(progress, shared.timeout, api));
        }
        shared.target.response(&asked, &mut response)?;
        cookies::set_no_login(response.headers_mut());
        if response.status() == StatusCode::SWITCHING_PROTOCOLS
            && let Some(upgrade) = upgrade
        {
            shared.tunnels.join(upgrade, &mut response);
        }
        Ok(response)
    }
}

/// Whether no body is ever written with it (RFC 9112 §6.3).
fn has_no_body(status: StatusCode) -> bool {
    status.is_informational()
        || [StatusCode::NO_CONTENT, StatusCode::NOT_MODIFIED].contains(&status)
}
