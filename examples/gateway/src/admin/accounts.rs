//! Who there is, and what an operator may do about it.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use futures_util::TryStreamExt as _;
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};
use tower_mac_auth::account::{Account, AccountErrorKind};
use tower_mac_auth::provider::Provider;
use tower_mac_auth::store::{AccountName, RecordStore as _, Standing, StoreError};

use super::Admin;
use super::asked::{Named, Query, name};
use crate::proxy::{Refusal, of_account, of_refresh};
use crate::standing;

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

/// A page of them, by which name to ask for the next one, and whether their users can log in here.
pub(super) async fn page<P: Provider>(
    admin: &Admin<P>,
    after: Option<&AccountName>,
    limit: usize,
) -> Result<Value, Refusal> {
    let listed = admin.store.list(after, limit).await;
    let listed = listed.map_err(|error| unavailable(&error))?;
    let last = listed.last().filter(|_| listed.len() == limit);
    let next = last.map(|last| last.account.as_str().to_owned());
    let standing = standing::all(&admin.store, listed).map_ok(|mut shown| {
        let name = shown["account"].as_str().unwrap_or_default();
        let here = admin.accounts.peek(name);
        shown["here"] = here.map(|account| here_shown(&account)).into();
        shown
    });
    let accounts: Result<Vec<_>, _> = standing.try_collect().await;
    let accounts = accounts.map_err(|error| unavailable(&error))?;
    Ok(json!({ "accounts": accounts, "next": next, "login": admin.has_login }))
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
        _ => of_account(&error, admin.has_login),
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
            Err(error) => Err(of_account(&error, admin.has_login)),
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
