//! New grants and the end of one: what a user decides, not a timer.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use super::commit::{PATIENCE, Pending, in_time};
use super::flight::LAST_LOOK;
use super::policy::Policy;
use super::snapshot::Snapshot;
use super::{AccountError, AccountErrorKind, Event, RefreshError, Shared};
use crate::clock::finish_by;
use crate::store::{Generation, Grant, Origin, StoreError};
use crate::token::{Meaning, Outcome, TokenSet};
use crate::{AuthorizationCode, Clock, Timestamp};

/// What an account has before its first authorization.
pub(super) fn nothing(client_id: &str, now: Timestamp) -> Snapshot {
    let (generation, grant) = (Generation::default(), Grant::default());
    Snapshot::new(
        generation,
        Origin::Authorized,
        grant,
        client_id,
        now,
        Duration::ZERO,
        None,
    )
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

/// Which generation a user's decision must outrank. What the store makes of the decision outranks
/// what stands there, so a store behind this process is brought up to it first.
async fn catch_up(account: &Shared) -> Result<Generation, AccountError> {
    let (clock, policy) = (&account.clock, &account.realm.policy);
    let read = account.realm.store.read(&account.name);
    let standing = bounded(&**clock, policy, read).await?;
    let standing = standing.map_or(Generation::default(), |record| record.generation);
    if standing >= account.cell.load().generation {
        return Ok(standing);
    }
    let record = bounded(&**clock, policy, account.write_back()).await?;
    Ok(record.generation)
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
    let by = started.saturating_add(account.realm.policy.refresh_timeout);
    let connected = match finish_by(&*account.clock, by, account.realm.endpoint.connect()).await {
        Some(Ok(connected)) => connected,
        Some(Err(error)) => return Err(unsent(error.into())),
        None => return Err(AccountError::new(AccountErrorKind::CodeUnsent)),
    };
    let sent_at = account.clock.now();
    let by = sent_at.saturating_add(account.realm.policy.answer_timeout);
    match finish_by(&*account.clock, by, connected.exchange_code(&code)).await {
        Some(Outcome::Tokens(tokens)) => Ok(keep(&account, tokens, sent_at, standing).await),
        Some(Outcome::Unsent(error)) => Err(unsent(error.into())),
        Some(Outcome::Refused(refusal)) if refusal.code().meaning() == Meaning::Unknown => {
            Err(AccountError::new(AccountErrorKind::CodeInDoubt))
        }
        Some(Outcome::Refused(refusal)) => Err(AccountError::new(AccountErrorKind::CodeRefused(
            refusal.code(),
        ))),
        Some(Outcome::Ambiguous(why)) => Err(AccountError::with_source(
            AccountErrorKind::CodeInDoubt,
            why,
        )),
        None => Err(AccountError::new(AccountErrorKind::CodeInDoubt)),
    }
}

/// Two generations up, so that a rotation still under way cannot undo it.
async fn keep(
    account: &Arc<Shared>,
    tokens: TokenSet,
    sent_at: Timestamp,
    standing: Generation,
) -> Generation {
    let (store, name, clock) = (&account.realm.store, &account.name, &account.clock);
    let expires_at = sent_at.saturating_add(tokens.expires_in);
    let rest = Some(expires_at.saturating_since(clock.now()));
    let grant = Grant::from(tokens);
    let authorize = async { store.authorize(name, grant.clone(), rest).await };
    let generation = match in_time(&**clock, PATIENCE, authorize).await {
        Some(Ok(record)) => {
            account.publish(record);
            account.cell.load().generation
        }
        failed => {
            // The code is spent and only this process has what it bought.
            let error = failed.and_then(Result::err);
            tracing::error!(?error, "an authorization could not be stored yet");
            let generation = account.cell.load().generation.max(standing).next().next();
            let pending = Pending::new(account, generation, grant, sent_at, Some(expires_at));
            pending.publish();
            account.emit(Event::CommitDelayed { generation });
            account.spawn(pending.until_durable());
            generation
        }
    };
    account.emit(Event::Authorized { generation });
    generation
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
