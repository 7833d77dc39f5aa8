//! New grants and the end of one: what a user decides, not a timer.

use std::sync::Arc;

use super::context::Context;
use super::rotation::{Committed, Pending, bounded};
use super::state::AccountState;
use super::{AccountError, AccountErrorKind, Event, RefreshError};
use crate::clock::finish_by;
use crate::store::{AccountName, Generation, Grant, Record, RecordStore as _};
use crate::token::{Meaning, Outcome};
use crate::{AuthorizationCode, Timestamp};

/// The record that stands, once what a process that died has left in the journal is in the store.
pub(super) async fn standing(
    context: &Context,
    name: &AccountName,
) -> Result<Option<Record>, AccountError> {
    let (store, clock, policy) = (&context.store, &*context.clock, &context.policy);
    let account = (name, &*context.client_id);
    bounded(
        clock,
        policy,
        context.journal.recover(account, store, clock),
    )
    .await?;
    let loaded = bounded(clock, policy, store.load(name)).await?;
    Ok(loaded.into_record()?)
}

/// Which generation a user's decision must outrank, and its lineage. A store behind this process is
/// brought up to it first.
async fn catch_up(account: &AccountState) -> Result<(Generation, Generation), AccountError> {
    let (clock, policy) = (&account.clock, &account.context.policy);
    let mut standing = standing(&account.context, &account.name).await?;
    if let Some(record) = standing {
        // What this process cannot use is not its to replace.
        standing = Some(account.context.usable(record)?);
    }
    let generations = |record: &Record| (record.generation, record.lineage);
    let standing = standing.as_ref().map_or_else(Default::default, generations);
    if standing.0 >= account.cell.load().generation {
        return Ok(standing);
    }
    let record = bounded(&**clock, policy, account.write_back()).await?;
    Ok(generations(&record))
}

/// Exchanges the code and makes the result durable. Runs as a task of its own: the code works once,
/// so a caller that is dropped must not take the answer with it.
pub(super) async fn exchange(
    account: Arc<AccountState>,
    code: AuthorizationCode,
) -> Result<Generation, AccountError> {
    let unsent =
        |error: RefreshError| AccountError::with_source(AccountErrorKind::CodeUnsent, error);
    // A store that fails must fail before the code is spent.
    let standing = catch_up(&account).await?;
    let started = account.clock.now();
    let timeout = account.context.policy.refresh_timeout;
    let by = started.saturating_add(timeout);
    let endpoint = &account.context.endpoint;
    let rate_limited = || {
        let until = account.clock.now().saturating_add(endpoint.held_for());
        AccountErrorKind::CodeRateLimited { until }
    };
    let connected = if endpoint.held_for() > timeout {
        None
    } else {
        finish_by(&*account.clock, by, endpoint.connect()).await
    };
    let connected = match connected {
        Some(Ok(connected)) => connected,
        Some(Err(error)) => return Err(unsent(error.into())),
        None if endpoint.held_for().is_zero() => {
            return Err(AccountError::new(AccountErrorKind::CodeUnsent));
        }
        None => return Err(AccountError::new(rate_limited())),
    };
    let sent_at = account.clock.now();
    // A timer ends the wait: an answer that still comes is not to be lost to a clock that jumps.
    let answer = connected.exchange_code(&code);
    match tokio::time::timeout(account.context.policy.answer_timeout, answer).await {
        Ok(Outcome::Tokens(tokens)) => {
            let expires_at = sent_at.saturating_add(tokens.expires_in);
            let issued = (tokens.into(), expires_at);
            Ok(keep(&account, issued, sent_at, standing).await)
        }
        Ok(Outcome::Unsent(error)) => Err(unsent(error.into())),
        Ok(Outcome::RateLimited(limited)) => {
            Err(AccountError::with_source(rate_limited(), limited))
        }
        Ok(Outcome::Refused(refusal)) if refusal.code().meaning() == Meaning::Unknown => {
            Err(AccountError::new(AccountErrorKind::CodeInDoubt))
        }
        Ok(Outcome::Refused(refusal)) => Err(AccountError::new(AccountErrorKind::CodeRefused(
            refusal.code(),
        ))),
        Ok(Outcome::Ambiguous(why)) => match why.next_refresh_token() {
            // The answer cannot be used, but it brought what the code was exchanged for: the first
            // request has it refreshed.
            Some(next) => {
                tracing::warn!(%why, "of the token endpoint's answer only a refresh token is kept");
                let grant = Grant {
                    refresh_token: Some(next.clone()),
                    ..Grant::default()
                };
                Ok(keep(&account, (grant, sent_at), sent_at, standing).await)
            }
            None => Err(AccountError::with_source(
                AccountErrorKind::CodeInDoubt,
                why,
            )),
        },
        Err(_) => Err(AccountError::new(AccountErrorKind::CodeInDoubt)),
    }
}

/// Two generations up, so that a rotation still under way cannot undo it.
async fn keep(
    account: &Arc<AccountState>,
    (grant, expires_at): (Grant, Timestamp),
    sent_at: Timestamp,
    (standing, lineage): (Generation, Generation),
) -> Generation {
    // A first authorization of all is the first generation.
    let generation = match standing.max(account.cell.load().generation) {
        nothing if nothing == Generation::default() => Generation::FIRST,
        standing => standing.decided(),
    };
    let generations = (generation, lineage);
    let pending = Pending::authorized(account, generations, grant, sent_at, expires_at);
    match pending.commit_or_publish().await {
        Committed::Durable(generation) => generation,
        Committed::Delayed(mut pending) => {
            // The code is spent and only this process has what it bought.
            let generation = pending.generation();
            pending.let_newer_decisions_count();
            account.tasks().spawn(pending.until_durable());
            generation
        }
    }
}

/// Ends the grant in the store and here.
pub(super) async fn revoke(account: &AccountState) -> Result<Generation, AccountError> {
    catch_up(account).await?;
    let revoke = account.context.store.revoke(&account.name);
    let record = bounded(&*account.clock, &account.context.policy, revoke).await?;
    let generation = record.generation;
    account.publish(record);
    account.emit(Event::Revoked { generation });
    Ok(generation)
}
