//! New grants and the end of one: what a user decides, not a timer.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use super::commit::Pending;
use super::flight::{Flown, LAST_LOOK};
use super::policy::Policy;
use super::realm::Realm;
use super::snapshot::Snapshot;
use super::{AccountError, AccountErrorKind, Event, RefreshError, Shared};
use crate::clock::finish_by;
use crate::store::{AccountName, Generation, Grant, Issued, Record, StoreError};
use crate::token::{Meaning, Outcome};
use crate::{AuthorizationCode, Clock, Timestamp};

/// What an account has before its first authorization.
pub(super) fn nothing(client_id: &str, now: Timestamp) -> Snapshot {
    let nothing = Issued::authorized(Generation::default(), Grant::default(), None);
    Snapshot::new(nothing, client_id, now, Duration::ZERO)
}

/// One step on the store in the time that a refresh may take.
pub(super) async fn bounded<T>(
    clock: &dyn Clock,
    policy: &Policy,
    step: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, AccountError> {
    let by = clock.now().saturating_add(policy.refresh_timeout);
    match finish_by(clock, by.saturating_add(LAST_LOOK), step).await {
        Some(done) => Ok(done?),
        None => Err(AccountError::new(AccountErrorKind::Store)),
    }
}

/// The record that stands, once what a process that died has left in the journal is in the store.
pub(super) async fn standing(
    realm: &Realm,
    name: &AccountName,
) -> Result<Option<Record>, AccountError> {
    let Realm {
        store,
        clock,
        policy,
        ..
    } = realm;
    bounded(&**clock, policy, realm.rescue.replay(name, realm)).await?;
    bounded(&**clock, policy, store.read(name)).await
}

/// Which generation a user's decision must outrank, and its lineage. A store behind this process is
/// brought up to it first.
async fn catch_up(account: &Shared) -> Result<(Generation, Generation), AccountError> {
    let (clock, policy) = (&account.clock, &account.realm.policy);
    let mut standing = standing(&account.realm, &account.name).await?;
    if let Some(record) = standing {
        // What this process cannot use is not its to replace.
        standing = Some(record.usable_by(&account.realm.client_id)?);
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
    account: Arc<Shared>,
    code: AuthorizationCode,
) -> Result<Generation, AccountError> {
    let unsent =
        |error: RefreshError| AccountError::with_source(AccountErrorKind::CodeUnsent, error);
    // A store that fails must fail before the code is spent.
    let standing = catch_up(&account).await?;
    let started = account.clock.now();
    let timeout = account.realm.policy.refresh_timeout;
    let by = started.saturating_add(timeout);
    let endpoint = &account.realm.endpoint;
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
    match tokio::time::timeout(account.realm.policy.answer_timeout, answer).await {
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
    account: &Arc<Shared>,
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
        Flown::Done(generation) => generation,
        Flown::Pending(mut pending) => {
            // The code is spent and only this process has what it bought.
            let generation = pending.generation();
            pending.let_newer_decisions_count();
            account.spawn(pending.until_durable());
            generation
        }
    }
}

/// Ends the grant in the store and here.
pub(super) async fn revoke(account: &Shared) -> Result<Generation, AccountError> {
    catch_up(account).await?;
    let revoke = account.realm.store.revoke(&account.name);
    let record = bounded(&*account.clock, &account.realm.policy, revoke).await?;
    let generation = record.generation;
    account.publish(record);
    account.emit(Event::Revoked { generation });
    Ok(generation)
}
