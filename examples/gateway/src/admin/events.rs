//! Events as they happen, for whoever listens.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream::{self, Stream, StreamExt as _};
use http::StatusCode;
use tokio::sync::broadcast::error::RecvError;
use tower_mac_auth::provider::Provider;

use super::{Admin, accounts};
use crate::proxy::Refusal;

/// Proxies between close connections on which nothing is said.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// First a `snapshot` of the accounts, as `/accounts` has them, then an `account` for each event. Who
/// falls behind is told so (`lagged`), and should ask `/accounts` again.
pub(super) async fn events<P: Provider>(State(admin): State<Arc<Admin<P>>>) -> Response {
    let Ok(place) = Arc::clone(&admin.listeners).try_acquire_owned() else {
        let reason = "too many listen already";
        return Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "listeners", reason).into_response();
    };
    // Before the snapshot, so that nothing is between the two.
    let told = admin.feed.listen();
    let snapshot = match accounts::page(&admin, None, accounts::PAGE).await {
        Ok(page) => page,
        Err(refusal) => return refusal.into_response(),
    };
    let draining = admin.draining.clone();
    let first = Event::default()
        .event("snapshot")
        .data(snapshot.to_string());
    let rest = stream::unfold((told, place), |(mut told, place)| async move {
        let event = match told.recv().await {
            Ok(told) => {
                let data = serde_json::to_string(&*told).unwrap_or_default();
                Event::default().event("account").data(data)
            }
            Err(RecvError::Lagged(missed)) => {
                let data = serde_json::json!({ "missed": missed }).to_string();
                Event::default().event("lagged").data(data)
            }
            Err(RecvError::Closed) => return None,
        };
        Some((event, (told, place)))
    });
    let stream = stream::once(async move { first }).chain(rest);
    let stream = stream.take_until(draining.cancelled_owned());
    respond(stream.map(Ok))
}

fn respond(stream: impl Stream<Item = Result<Event, Infallible>> + Send + 'static) -> Response {
    let heartbeat = KeepAlive::new().interval(HEARTBEAT).text("heartbeat");
    Sse::new(stream).keep_alive(heartbeat).into_response()
}
