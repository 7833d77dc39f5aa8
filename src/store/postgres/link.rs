//! Statements over a pooled connection, each with an end.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use deadpool_postgres::{Client, Object, Pool};
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Error, Row};

use super::error::{Session, is_conflict, pool_error, session, store_error};
use crate::store::StoreError;
use crate::store::error::unavailable;

pub(super) type Parameter<'a> = (&'a (dyn ToSql + Sync), Type);

/// How often a statement that met another transaction, and so did nothing, is tried.
const TRIES: u32 = 5;

pub(super) struct Link {
    pool: Pool,
    timeout: Duration,
    /// How often the pool was emptied: what was lent before the last time does not go back to it.
    emptied: AtomicU64,
}

/// Whether a statement may be run twice.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Effect {
    /// It only looks.
    None,
    /// It changes something: where nobody knows whether it was done, its caller has to look.
    Write,
}

impl Link {
    pub(super) fn new(pool: Pool, timeout: Duration) -> Self {
        Self {
            pool,
            timeout,
            emptied: AtomicU64::new(0),
        }
    }

    /// Does `work`, which may wait for a connection and for the server, in time or not at all.
    pub(super) async fn in_time<T>(
        &self,
        work: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        tokio::time::timeout(self.timeout, work)
            .await
            .unwrap_or_else(|_| Err(unavailable("the database did not answer in time")))
    }

    /// Runs it; and once more at once, if the session that it ran on proved useless and it did
    /// nothing there. The pool has none of that age then, so a new one is opened.
    pub(super) async fn query(
        &self,
        statement: &str,
        parameters: &[Parameter<'_>],
        effect: Effect,
    ) -> Result<Vec<Row>, StoreError> {
        let mut is_first = true;
        loop {
            let client = self.borrow().await?;
            let (session, error) = match client.try_query(statement, parameters).await {
                Ok(rows) => {
                    client.give_back();
                    return Ok(rows);
                }
                Err(failed) => failed,
            };
            let did_nothing = session == Session::ReadOnly
                || (session == Session::Gone && effect == Effect::None);
            if !(is_first && did_nothing) {
                return Err(error);
            }
            is_first = false;
        }
    }

    pub(super) async fn borrow(&self) -> Result<Borrowed<'_>, StoreError> {
        let since = self.emptied.load(Ordering::Relaxed);
        let client = self.pool.get().await.map_err(|error| pool_error(&error))?;
        Ok(Borrowed {
            client: Some(client),
            link: self,
            since,
        })
    }

    pub(super) fn emptied(&self) -> u64 {
        self.emptied.load(Ordering::Relaxed)
    }

    /// A failover leaves every session that stood before it on a server that was demoted or is
    /// gone: one that proves useless speaks for all.
    fn empty(&self) {
        self.emptied.fetch_add(1, Ordering::Relaxed);
        self.pool.retain(|_, _| false);
    }
}

/// A connection of the pool. Unless it is given back it is closed: after an error, and when a
/// statement was dropped half way, nobody knows what it is busy with.
pub(super) struct Borrowed<'a> {
    client: Option<Client>,
    link: &'a Link,
    /// How often the pool had been emptied.
    since: u64,
}

impl Borrowed<'_> {
    pub(super) async fn query(
        &self,
        statement: &str,
        parameters: &[Parameter<'_>],
    ) -> Result<Vec<Row>, StoreError> {
        let done = self.try_query(statement, parameters).await;
        done.map_err(|(_, error)| error)
    }

    /// One round trip, and no prepared statement, which would be the session's.
    async fn try_query(
        &self,
        statement: &str,
        parameters: &[Parameter<'_>],
    ) -> Result<Vec<Row>, (Session, StoreError)> {
        let client = self.client.as_ref();
        let client = client.ok_or_else(|| (Session::Fit, given_back()))?;
        let mut tries = 1;
        loop {
            match client.query_typed(statement, parameters).await {
                Ok(rows) => return Ok(rows),
                Err(error) if is_conflict(&error) && tries < TRIES => {
                    tries += 1;
                    tokio::time::sleep(Duration::from_millis(fastrand::u64(1..20))).await;
                }
                Err(error) => return Err((self.judged(&error), store_error(&error))),
            }
        }
    }

    /// Takes note of what a failure says of this session. If the session is of no more use, neither
    /// are the others that are as old.
    pub(super) fn judged(&self, error: &Error) -> Session {
        let session = session(error);
        if session != Session::Fit {
            self.link.empty();
        }
        session
    }

    /// This session cannot be written on, and neither can those that are as old.
    pub(super) fn is_read_only(&self) {
        self.link.empty();
    }

    pub(super) fn client(&mut self) -> Result<&mut Client, StoreError> {
        self.client.as_mut().ok_or_else(given_back)
    }

    pub(super) fn give_back(mut self) {
        drop(self.client.take());
        if self.link.emptied.load(Ordering::Relaxed) != self.since {
            // It is as old as those that were closed meanwhile.
            self.link.pool.retain(|_, _| false);
        }
    }
}

fn given_back() -> StoreError {
    unavailable("the connection was given back")
}

impl Drop for Borrowed<'_> {
    fn drop(&mut self) {
        if let Some(client) = self.client.take() {
            drop(Object::take(client));
        }
    }
}
