//! Statements over a pooled connection, each with an end.

use std::time::Duration;

use deadpool_postgres::{Client, Object, Pool};
use tokio_postgres::Row;
use tokio_postgres::types::{ToSql, Type};

use super::error::{is_conflict, pool_error, store_error, unavailable};
use crate::store::StoreError;

pub(super) type Parameter<'a> = (&'a (dyn ToSql + Sync), Type);

/// How often a statement that met another transaction, and so did nothing, is tried.
const TRIES: u32 = 5;

pub(super) struct Link {
    pub(super) pool: Pool,
    pub(super) timeout: Duration,
}

impl Link {
    /// Does `work`, which may wait for a connection and for the server, in time or not at all.
    pub(super) async fn in_time<T>(
        &self,
        work: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        tokio::time::timeout(self.timeout, work)
            .await
            .unwrap_or_else(|_| Err(unavailable("the database did not answer in time")))
    }

    pub(super) async fn query(
        &self,
        statement: &str,
        parameters: &[Parameter<'_>],
    ) -> Result<Vec<Row>, StoreError> {
        let client = Borrowed::of(&self.pool).await?;
        let rows = client.query(statement, parameters).await?;
        client.give_back();
        Ok(rows)
    }
}

/// A connection of the pool. Unless it is given back it is closed: after an error, and when a
/// statement was dropped half way, nobody knows what it is busy with.
pub(super) struct Borrowed(Option<Client>);

impl Borrowed {
    pub(super) async fn of(pool: &Pool) -> Result<Self, StoreError> {
        let client = pool.get().await.map_err(|error| pool_error(&error))?;
        Ok(Self(Some(client)))
    }

    /// One round trip, and no prepared statement, which would be the session's.
    pub(super) async fn query(
        &self,
        statement: &str,
        parameters: &[Parameter<'_>],
    ) -> Result<Vec<Row>, StoreError> {
        let client = self.0.as_ref().ok_or_else(given_back)?;
        let mut tries = 1;
        loop {
            match client.query_typed(statement, parameters).await {
                Err(error) if is_conflict(&error) && tries < TRIES => {
                    tries += 1;
                    tokio::time::sleep(Duration::from_millis(fastrand::u64(1..20))).await;
                }
                answer => return answer.map_err(|error| store_error(&error)),
            }
        }
    }

    pub(super) fn client(&mut self) -> Result<&mut Client, StoreError> {
        self.0.as_mut().ok_or_else(given_back)
    }

    pub(super) fn give_back(mut self) {
        drop(self.0.take());
    }
}

fn given_back() -> StoreError {
    unavailable("the connection was given back")
}

impl Drop for Borrowed {
    fn drop(&mut self) {
        if let Some(client) = self.0.take() {
            drop(Object::take(client));
        }
    }
}
