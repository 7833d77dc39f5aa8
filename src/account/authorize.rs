//! New grants and the end of one: what a user decides, not a timer.

use std::sync::Arc;

use super::context::Context;
use super::rotation::{Committed, Lives, OtherUser, Pending, bounded};
use super::state::AccountState;
use super::{AccountError, AccountErrorKind, Event, RefreshError};
use crate::clock::finish_by;
use crate::provider::{Fresh, GrantType, Meaning, Outcome, Presented, Provider, Refused, TokenSet};
use crate::store::{AccountName, Generation, Grant, Record, RecordStore as _};
use crate::{AuthorizationCode, RefreshToken, Timestamp};

/// The record that stands, once what a process that died has left in the journal is in the store.
pub(super) async fn standing<P: Provider>(
    context: &Context<P>,
    name: &AccountName,
) -> Result<Option<Record>, AccountError> {
    let (store, clock, policy) = (&context.store, &*context.clock, &context.policy);
    let account = (name, &*context.client_id);
    let recover = context.journal.recover(account, store, clock);
    bounded(clock, policy, recover).await?;
    let loaded = bounded(clock, policy, store.load(name)).await?;
    Ok(loaded.into_record()?)
}

/// What stood when a user decided.
#[derive(Default)]
struct Before {
    /// Which generation the decision must outrank.
    generation: Generation,
    lineage: Generation,
    /// Who the user was.
    subject: Option<String>,
}

impl From<&Record> for Before {
    fn from(record: &Record) -> Self {
        let grant = record.grant().ok();
        Self {
            generation: record.generation,
            lineage: record.lineage,
            subject: grant.and_then(|grant| grant.subject.clone()),
        }
    }
}

/// What a user's decision is about. A store behind this process is brought up to it first.
async fn catch_up<P: Provider>(account: &AccountState<P>) -> Result<Before, AccountError> {
    let (clock, policy) = (&account.clock, &account.context.policy);
    let mut standing = standing(&account.context, &account.name).await?;
    if let Some(record) = standing {
        // What this process cannot use is not its to replace.
        standing = Some(account.context.usable(record)?);
    }
    let before = standing.as_ref().map(Before::from).unwrap_or_default();
    if before.generation >= account.cell.load().generation {
        return Ok(before);
    }
    let record = bounded(&**clock, policy, account.write_back()).await?;
    Ok(Before::from(&record))
}

/// What a code was exchanged for, or a user brought.
pub(super) struct Brought {
    /// All of it, or a refresh token that could be read from an answer of no other use.
    tokens: Result<TokenSet, RefreshToken>,
    at: Timestamp,
}

impl Brought {
    /// The tokens, if they are whole.
    pub(super) fn tokens(&self) -> Option<&TokenSet> {
        self.tokens.as_ref().ok()
    }

    /// The error, and the tokens to go on with.
    pub(super) fn into_error(self, kind: AccountErrorKind) -> AccountError {
        AccountError::new(kind).with_tokens(self.tokens.ok())
    }
}

impl From<(TokenSet, Timestamp)> for Brought {
    fn from((tokens, at): (TokenSet, Timestamp)) -> Self {
        let tokens = Ok(tokens);
        Self { tokens, at }
    }
}

/// Exchanges the code and makes the result durable. Runs as a task of its own: the code works once,
/// so a caller that is dropped must not take the answer with it.
pub(super) async fn authorize<P: Provider>(
    account: Arc<AccountState<P>>,
    code: AuthorizationCode,
) -> Result<Generation, AccountError> {
    // A store that fails must fail before the code is spent.
    let before = catch_up(&account).await?;
    let brought = exchange(&account.context, &code).await?;
    keep(&account, brought, before).await
}

/// Makes durable what a user brought. Runs as a task of its own, as above.
pub(super) async fn install<P: Provider>(
    account: Arc<AccountState<P>>,
    brought: Brought,
) -> Result<Generation, AccountError> {
    match catch_up(&account).await {
        Ok(before) => keep(&account, brought, before).await,
        Err(error) => Err(error.with_tokens(brought.tokens.ok())),
    }
}

/// Exchanges the code.
pub(super) async fn exchange<P: Provider>(
    context: &Context<P>,
    code: &AuthorizationCode,
) -> Result<Brought, AccountError> {
    let unsent =
        |error: RefreshError| AccountError::with_source(AccountErrorKind::CodeUnsent, error);
    let (clock, endpoint) = (&context.clock, &context.endpoint);
    let timeout = context.policy.refresh_timeout;
    let by = clock.now().saturating_add(timeout);
    let rate_limited = || {
        let until = clock.now().saturating_add(endpoint.held_for());
        AccountErrorKind::CodeRateLimited { until }
    };
    let connected = if endpoint.held_for() > timeout {
        None
    } else {
        let connect = endpoint.connect_for(GrantType::AuthorizationCode);
        finish_by(&**clock, by, connect).await
    };
    let connected = match connected {
        Some(Ok(connected)) => connected,
        Some(Err(error)) => return Err(unsent(error.into())),
        None if endpoint.held_for().is_zero() => {
            return Err(AccountError::new(AccountErrorKind::CodeUnsent));
        }
        None => return Err(AccountError::new(rate_limited())),
    };
    let (at, lost) = (clock.now(), AccountErrorKind::CodeInDoubt);
    // A timer ends the wait: an answer that still comes is not to be lost to a clock that jumps.
    let answer = connected.present(Presented::AuthorizationCode(code), Fresh::at(at));
    match tokio::time::timeout(context.policy.answer_timeout, answer).await {
        Ok(Outcome::Tokens(tokens)) => Ok((tokens, at).into()),
        Ok(Outcome::Unsent(error)) => Err(unsent(error.into())),
        Ok(Outcome::RateLimited(limited)) => {
            Err(AccountError::with_source(rate_limited(), limited))
        }
        Ok(Outcome::Refused(refused)) => Err(code_refused(refused)),
        Ok(Outcome::Ambiguous(why)) => match why.next_refresh_token() {
            // The answer cannot be used, but it brought what the code was exchanged for: the first
            // request has it refreshed.
            Some(next) => {
                tracing::warn!(%why, "of the token endpoint's answer only a refresh token is kept");
                let tokens = Err(next.clone());
                Ok(Brought { tokens, at })
            }
            None => Err(AccountError::with_source(lost, why)),
        },
        Err(_) => Err(AccountError::new(lost)),
    }
}

fn code_refused(refused: Refused) -> AccountError {
    let kind = match refused.meaning() {
        Meaning::Unknown => AccountErrorKind::CodeInDoubt,
        _ => AccountErrorKind::CodeRefused,
    };
    AccountError::with_source(kind, refused)
}

/// Two generations up, so that a rotation still under way cannot undo it.
///
/// # Errors
///
/// If the tokens are another user's than those that stand, or nobody knows whose they are and a user's
/// stand.
async fn keep<P: Provider>(
    account: &Arc<AccountState<P>>,
    brought: Brought,
    before: Before,
) -> Result<Generation, AccountError> {
    let current = account.cell.load();
    // While the code was exchanged, another may have been.
    let standing = if current.generation > before.generation {
        &current.grant.subject
    } else {
        &before.subject
    };
    match (standing, &brought.tokens) {
        (Some(_), Err(_)) => return Err(brought.into_error(AccountErrorKind::CodeInDoubt)),
        (Some(_), Ok(tokens)) if tokens.subject.is_some() && tokens.subject != *standing => {
            return Err(brought.into_error(AccountErrorKind::OtherUser));
        }
        _ => {}
    }
    // Who does not say so is the user that stands: another is not to be let in by the next code.
    let subject = standing.clone();
    // A first authorization of all is the first generation.
    let generation = match before.generation.max(current.generation) {
        nothing if nothing == Generation::default() => Generation::FIRST,
        standing => standing.decided(),
    };
    drop(current);
    // To be handed back, should another user be quicker.
    let handed_back = brought.tokens().cloned();
    let (grant, lives) = match brought.tokens {
        Ok(tokens) => {
            let lives = Lives::of(&tokens, brought.at);
            let mut grant = Grant::from(tokens);
            grant.subject = grant.subject.or(subject);
            (grant, lives)
        }
        Err(token) => (Grant::from(token), Lives::over(brought.at)),
    };
    let pending = Pending::authorized(account, (generation, before.lineage), grant, lives);
    match pending.commit_or_publish().await {
        Ok(Committed::Durable(generation)) => Ok(generation),
        Ok(Committed::Delayed(mut pending)) => {
            // The code is spent and only this process has what it bought.
            let generation = pending.generation();
            pending.let_newer_decisions_count();
            account.tasks().spawn(pending.until_durable());
            Ok(generation)
        }
        Err(OtherUser) => {
            let error = AccountError::new(AccountErrorKind::OtherUser);
            Err(error.with_tokens(handed_back))
        }
    }
}

/// Ends the grant in the store and here.
pub(super) async fn revoke<P: Provider>(
    account: &AccountState<P>,
) -> Result<Generation, AccountError> {
    catch_up(account).await?;
    let revoke = account.context.store.revoke(&account.name);
    let record = bounded(&*account.clock, &account.context.policy, revoke).await?;
    let generation = record.generation;
    account.publish(record);
    account.emit(Event::Revoked { generation });
    Ok(generation)
}
