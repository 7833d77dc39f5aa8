//! Is it alive, can it work, and in numbers.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::CONTENT_TYPE;
use serde_json::json;
use tower_mac_auth::provider::Provider;

use super::Admin;
use crate::proxy::Refusal;

/// Probes give up after one second, or a few.
const STORE_ANSWERS: Duration = Duration::from_secs(2);

/// The process answers, and that is all.
pub(super) async fn alive() -> Response {
    Json(json!({ "status": "alive" })).into_response()
}

/// Requests may be sent here: the store answers, and the gateway is not about to end. An account in
/// doubt does not matter, for the others go on.
pub(super) async fn ready<P: Provider>(State(admin): State<Arc<Admin<P>>>) -> Response {
    let not = |error, reason: String| {
        Refusal::new(StatusCode::SERVICE_UNAVAILABLE, error, reason).into_response()
    };
    if admin.draining.is_cancelled() {
        let reason = "the gateway is about to end and takes no more requests";
        return not("draining", reason.to_owned());
    }
    match tokio::time::timeout(STORE_ANSWERS, admin.accounts.check_store()).await {
        Ok(Ok(())) => Json(json!({ "status": "ready" })).into_response(),
        Ok(Err(error)) => not("store", error.to_string()),
        Err(_) => not("store", "the store does not answer in time".to_owned()),
    }
}

/// In the format of Prometheus.
pub(super) async fn metrics<P: Provider>(State(admin): State<Arc<Admin<P>>>) -> Response {
    let Some(numbers) = &admin.numbers else {
        let reason = "another recorder of metrics is installed";
        return Refusal::new(StatusCode::NOT_FOUND, "no_metrics", reason).into_response();
    };
    record_metrics(&admin);
    numbers.run_upkeep();
    let kind = "text/plain; version=0.0.4; charset=utf-8";
    ([(CONTENT_TYPE, kind)], numbers.render()).into_response()
}

/// Sets what is a state and no count, each time somebody looks.
#[expect(
    clippy::cast_precision_loss,
    reason = "no gateway has so many that a float cannot count them"
)]
fn record_metrics<P: Provider>(admin: &Admin<P>) {
    admin.accounts.record_metrics();
    metrics::gauge!("mac_gateway_accounts_open").set(admin.accounts.len() as f64);
    metrics::gauge!("mac_gateway_commits_owed").set(admin.feed.owed().len() as f64);
    let draining = u8::from(admin.draining.is_cancelled());
    metrics::gauge!("mac_gateway_draining").set(draining);
}

/// The last hour, minute by minute.
pub(super) async fn history<P: Provider>(State(admin): State<Arc<Admin<P>>>) -> Response {
    Json(json!({ "minutes": admin.feed.history() })).into_response()
}
