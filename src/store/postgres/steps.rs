//! The steps as calls of their statements.

use std::time::Duration;

use futures_core::future::BoxFuture;
use tokio_postgres::types::Type;

use super::PostgresStore;
use super::error::{corrupt, unavailable};
use super::link::{Effect, Parameter};
use super::row::{self, Secret, millis, moment, text};
use crate::store::{
    AccountName, Acquire, Commit, Fence, Generation, Grant, Guarded, Issued, Lease, LeaseFrom,
    Record, RotationStore, StoreError, Watch,
};

type Step<'a, T> = BoxFuture<'a, Result<T, StoreError>>;

impl RotationStore for PostgresStore {
    fn read<'a>(&'a self, account: &'a AccountName) -> Step<'a, Option<Record>> {
        Box::pin(async move {
            let name = account.as_str();
            let rows = self
                .query(&self.statements.read, &[(&name, Type::TEXT)], Effect::None)
                .await?;
            rows.first().map(row::record).transpose()
        })
    }

    fn acquire<'a>(
        &'a self,
        account: &'a AccountName,
        generation: Generation,
        owner: &'a str,
        lease: Duration,
        from: LeaseFrom,
    ) -> Step<'a, Acquire> {
        Box::pin(async move {
            let number = generation.to_string();
            let (owner, lease) = (text(owner), millis(lease));
            let doubted = from == LeaseFrom::InDoubt;
            let own: [Parameter<'_>; 4] = [
                (&number, Type::TEXT),
                (&owner, Type::TEXT),
                (&lease, Type::INT8),
                (&doubted, Type::BOOL),
            ];
            let rows = self.write(&self.statements.acquire, account, &own).await?;
            let row = rows.first().ok_or_else(|| corrupt("the record is gone"))?;
            let record = row::record(row)?;
            Ok(if row::moved(row)? {
                Acquire::Granted(Lease {
                    generation,
                    fence: record.fence,
                    record,
                })
            } else {
                Acquire::Lost(record)
            })
        })
    }

    fn intend<'a>(
        &'a self,
        account: &'a AccountName,
        lease: &'a Lease,
        answer_within: Duration,
    ) -> Step<'a, Guarded> {
        Box::pin(async move {
            let guard = (lease.generation, lease.fence);
            let within = millis(answer_within);
            self.guarded(
                &self.statements.intend,
                account,
                guard,
                &[(&within, Type::INT8)],
            )
            .await
        })
    }

    fn commit<'a>(&'a self, account: &'a AccountName, issued: Issued) -> Step<'a, Commit> {
        Box::pin(async move {
            let generation = issued.generation.to_string();
            let lineage = issued.lineage.to_string();
            let secret = Secret(issued.grant.to_bytes());
            let expires_in = issued.expires_in.map(millis);
            let own: [Parameter<'_>; 4] = [
                (&generation, Type::TEXT),
                (&lineage, Type::TEXT),
                (&secret, Type::BYTEA),
                (&expires_in, Type::INT8),
            ];
            // Nothing comes back if another inserted the first record meanwhile, and is not
            // surpassed: that one is there when we look again.
            for _ in 0..2 {
                let rows = self.write(&self.statements.commit, account, &own).await?;
                if let Some(row) = rows.first() {
                    if !row::moved(row)? {
                        let record = row::superseding(row, issued.generation)?;
                        return Ok(Commit::Superseded(record));
                    }
                    self.changed(account);
                    return Ok(Commit::Committed(row::record(row)?));
                }
            }
            Err(unavailable("the record comes and goes"))
        })
    }

    fn release<'a>(
        &'a self,
        account: &'a AccountName,
        lease: &'a Lease,
        not_before: Duration,
        why: &'a str,
    ) -> Step<'a, Guarded> {
        Box::pin(async move {
            let guard = (lease.generation, lease.fence);
            let (not_before, why) = (millis(not_before), text(why));
            let intended_at = lease.record.intended_at.map(moment);
            let own: [Parameter<'_>; 4] = [
                (&not_before, Type::INT8),
                (&why, Type::TEXT),
                (&lease.record.replayed, Type::BOOL),
                (&intended_at, Type::INT8),
            ];
            self.ended(&self.statements.release, account, guard, &own)
                .await
        })
    }

    fn doubt<'a>(
        &'a self,
        account: &'a AccountName,
        generation: Generation,
        fence: Fence,
        why: &'a str,
    ) -> Step<'a, Guarded> {
        Box::pin(async move {
            let why = text(why);
            self.ended(
                &self.statements.doubt,
                account,
                (generation, fence),
                &[(&why, Type::TEXT)],
            )
            .await
        })
    }

    fn reject<'a>(
        &'a self,
        account: &'a AccountName,
        lease: &'a Lease,
        why: &'a str,
    ) -> Step<'a, Guarded> {
        Box::pin(async move {
            let guard = (lease.generation, lease.fence);
            let why = text(why);
            self.ended(
                &self.statements.reject,
                account,
                guard,
                &[(&why, Type::TEXT)],
            )
            .await
        })
    }

    fn revoke<'a>(&'a self, account: &'a AccountName) -> Step<'a, Record> {
        Box::pin(async move {
            let nothing = Secret(Grant::default().to_bytes());
            let own: [Parameter<'_>; 1] = [(&nothing, Type::BYTEA)];
            let rows = self.write(&self.statements.revoke, account, &own).await?;
            let row = rows.first().ok_or_else(|| corrupt("nothing was written"))?;
            row::record(row)
        })
    }

    fn watch(&self, account: &AccountName) -> Box<dyn Watch> {
        self.watchers.watch(self.key(account))
    }
}
