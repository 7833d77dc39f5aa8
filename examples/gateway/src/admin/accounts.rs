//! Who there is, and what an operator may do about it.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};
use tower_mac_auth::account::{AccessStatus, Account, AccountErrorKind, RotationStatus};
use tower_mac_auth::provider::Provider;
use tower_mac_auth::store::{AccountName, Listed, RecordStore as _, Standing, Status, StoreError};
use tower_mac_auth::{Clock as _, SystemClock};

use super::Admin;
use super::asked::{Named, Query, name};
use crate::proxy::{Refusal, of_account, of_refresh};

/// How many accounts a page has, if nobody says otherwise, and at most.
pub(super) const PAGE: usize = 100;
const LONGEST_PAGE: usize = 1000;

#[derive(Debug, Deserialize)]
pub(super) struct Asked {
    after: Option<String>,
    limit: Option<usize>,
}

pub(super) async fn list<P: Provider>(
    State(admin): State<Arc<Admin<P>>>,
    Query(asked): Query<Asked>,
) -> Result<Json<Value>, Refusal> {
    let after = asked.after.as_deref().map(name).transpose()?;
    let limit = asked.limit.unwrap_or(PAGE).clamp(1, LONGEST_PAGE);
    Ok(Json(page(&admin, after.as_ref(), limit).await?))
}

/// A page of them, and by which name to ask for the next one.
pub(super) async fn page<P: Provider>(
    admin: &Admin<P>,
    after: Option<&AccountName>,
    limit: usize,
) -> Result<Value, Refusal> {
    let listed = admin.store.list(after, limit).await;
    let listed = listed.map_err(|error| unavailable(&error))?;
    let last = listed.last().filter(|_| listed.len() == limit);
    let next = last.map(|last| last.account.as_str().to_owned());
    let mut accounts = Vec::with_capacity(listed.len());
    for listed in &listed {
        accounts.push(shown(admin, listed).await);
    }
    Ok(json!({ "accounts": accounts, "next": next }))
}

async fn shown<P: Provider>(admin: &Admin<P>, listed: &Listed) -> Value {
    let name = listed.account.as_str();
    let Some(head) = listed.head else {
        return json!({ "account": name, "state": "unreadable" });
    };
    let now = SystemClock.now();
    let left = head
        .expires_at
        .map(|end| end.saturating_since(now).as_secs());
    let here = admin.accounts.peek(name);
    let troubled = here.as_ref().is_some_and(|account| {
        let status = account.status();
        status.access == AccessStatus::Dead
            || matches!(status.rotation, RotationStatus::BackingOff { .. })
    });
    let why = if troubled || matches!(head.status, Status::InDoubt | Status::Revoked) {
        why(admin, &listed.account).await
    } else {
        None
    };
    json!({
        "account": name,
        "state": head.status.as_str(),
        "generation": head.generation.number(),
        "seconds_left": left,
        "why": why,
        "here": here.map(|account| here_shown(&account)),
    })
}

/// The latest trouble that its record tells of.
async fn why<P: Provider>(admin: &Admin<P>, name: &AccountName) -> Option<String> {
    let loaded = admin.store.load(name).await.ok()?;
    loaded.standing.record()?.last_error.clone()
}

/// Where it stands in this process.
fn here_shown<P: Provider>(account: &Account<P>) -> Value {
    let status = account.status();
    json!({
        "access": status.access.as_str(),
        "rotation": status.rotation.as_str(),
        "generation": status.generation.number(),
    })
}

/// Has its tokens renewed now. The access token signs on until there is a new one.
pub(super) async fn refresh<P: Provider>(
    State(admin): State<Arc<Admin<P>>>,
    Named(name): Named,
) -> Result<Json<Value>, Refusal> {
    let account = admin.accounts.get(name.as_str()).await;
    let account = account.map_err(|error| match error.kind() {
        AccountErrorKind::NotAuthorized => unknown(),
        _ => of_account(&error),
    })?;
    let generation = account.refresh().await;
    let generation = generation.map_err(|error| of_refresh(&error))?;
    Ok(Json(
        json!({ "account": name.as_str(), "generation": generation.number() }),
    ))
}

/// Ends its grant, in all processes that share the store.
pub(super) async fn revoke<P: Provider>(
    State(admin): State<Arc<Admin<P>>>,
    Named(name): Named,
) -> Result<Json<Value>, Refusal> {
    let generation = end(&admin, &name).await?;
    Ok(Json(
        json!({ "account": name.as_str(), "generation": generation }),
    ))
}

async fn end<P: Provider>(admin: &Admin<P>, name: &AccountName) -> Result<u64, Refusal> {
    if let Some(account) = admin.accounts.peek(name.as_str()) {
        let revoked = account.revoke().await;
        return match revoked {
            Ok(generation) => Ok(generation.number()),
            Err(error) => Err(of_account(&error)),
        };
    }
    let loaded = admin.store.load(name).await;
    let loaded = loaded.map_err(|error| unavailable(&error))?;
    if let Standing::Nothing = loaded.standing {
        return Err(unknown());
    }
    let record = admin.store.revoke(name).await;
    let record = record.map_err(|error| unavailable(&error))?;
    // No account is open that would tell.
    tracing::warn!(account = %name, generation = record.generation.number(), "the grant was ended by an operator");
    admin.feed.tell_revoked(name, record.generation);
    Ok(record.generation.number())
}

fn unknown() -> Refusal {
    let reason = "the store knows no such account";
    Refusal::new(StatusCode::NOT_FOUND, "account_unknown", reason)
}

fn unavailable(error: &StoreError) -> Refusal {
    Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "store", error.to_string())
}
