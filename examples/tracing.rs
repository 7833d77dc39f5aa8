//! Traces of signed requests without a token in them: where a `TraceLayer` goes, and what its spans
//! may show.
//!
//! ```text
//! cargo run --example tracing --features full
//! ```
//!
//! A call is made whose access token has ended. The log has it once as the caller made it, and once for
//! each attempt. Ends with an error if a secret is in the log. What a `TraceLayer` of the usual kind would
//! log below the layer is looked at too, to see that this would notice.

#![expect(clippy::print_stdout, reason = "it shows a person the log")]

use std::error::Error;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use tower::{ServiceBuilder, ServiceExt};
use tower_http::trace::TraceLayer;
use tower_mac_auth::MacKeyText;
use tower_mac_auth::account::Account;
use tower_mac_auth::layer::{Attempt, MacAuthLayer, RedactedUri};
use tower_mac_auth::testing::Provider;
use tower_mac_auth::token::TokenSet;
use tracing::{Level, Span, debug_span};
use tracing_subscriber::fmt::MakeWriter;

type BoxError = Box<dyn Error + Send + Sync>;

/// What is logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    /// What was logged so far; the log is empty after that.
    fn take(&self) -> String {
        let mut bytes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&std::mem::take(&mut *bytes)).into_owned()
    }
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut log = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        log.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    let log = Log::default();
    tracing_subscriber::fmt()
        .with_max_level(Level::TRACE)
        .with_ansi(false)
        .with_writer(log.clone())
        .init();

    let provider = Provider::new();
    let server = provider.serve().await?;
    let tokens = provider.issue(Duration::from_secs(3600));
    let account = Account::builder(server.endpoint()?);
    let account = account.tokens(tokens.clone()).open("user-42").await?;
    let http_client = Client::builder(TokioExecutor::new()).build_http();
    let signing = || MacAuthLayer::new(account.clone()).allow(&server.authority());
    let request = || Request::get(server.url("/lamp?room=2")).body(Full::<Bytes>::default());

    let client = ServiceBuilder::new()
        // Above the layer nothing is signed yet: whatever a span shows is the caller's own.
        .layer(TraceLayer::new_for_http())
        .layer(signing()?)
        // Below it the query has the access token, which the usual span shows.
        .layer(TraceLayer::new_for_http().make_span_with(attempt))
        .service(http_client.clone());
    provider.expire_access_tokens();
    let response = client.oneshot(request()?).await?;
    response
        .into_body()
        .collect()
        .await
        .map_err(BoxError::from)?;
    let careful = log.take();
    for line in careful.lines().filter(|line| line.contains("tower_http")) {
        println!("{line}");
    }

    let careless = ServiceBuilder::new()
        .layer(signing()?)
        .layer(TraceLayer::new_for_http())
        .service(http_client);
    careless.oneshot(request()?).await?;
    let careless = log.take();

    account.shutdown().await;
    let secrets = secrets(&provider, &tokens);
    let shows = |log: &str| secrets.iter().any(|secret| log.contains(secret));
    println!(
        "a secret in the log above:                         {}",
        shows(&careful)
    );
    println!(
        "a secret in the log of the usual span below:       {}",
        shows(&careless)
    );
    if shows(&careful) || !shows(&careless) {
        return Err("that is not what was expected".into());
    }
    for wanted in [
        "resend_count=0",
        "resend_count=1",
        "room=REDACTED",
        "room=2",
    ] {
        if !careful.contains(wanted) {
            return Err(format!("{wanted} is not in the log").into());
        }
    }
    Ok(())
}

/// The span of one attempt, as OpenTelemetry names things.
fn attempt<B>(request: &Request<B>) -> Span {
    let attempt = request.extensions().get().copied();
    let resend_count = attempt.unwrap_or(Attempt::FIRST).number() - 1;
    debug_span!(
        "attempt",
        http.request.method = %request.method(),
        url.full = %RedactedUri::new(request.uri()),
        http.request.resend_count = resend_count,
    )
}

/// All that no log may have, as it is and as it is in a query.
fn secrets(provider: &Provider, first: &TokenSet) -> Vec<String> {
    let (presentations, accepted) = (provider.presentations(), provider.accepted());
    let secrets = [
        first.access_token.expose_secret(),
        provider.client_secret().expose_secret(),
    ];
    let secrets = secrets
        .into_iter()
        .chain(first.mac_key.iter().map(MacKeyText::expose_secret));
    let secrets = secrets.chain(presentations.iter().map(|it| it.token.expose_secret()));
    let secrets = secrets.chain(accepted.iter().map(|it| it.access_token.expose_secret()));
    let encoded = |secret: &str| form_urlencoded::byte_serialize(secret.as_bytes()).collect();
    secrets
        .flat_map(|secret| [secret.to_owned(), encoded(secret)])
        .collect()
}
