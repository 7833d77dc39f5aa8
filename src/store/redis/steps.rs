//! The steps as calls of their scripts.

use std::time::Duration;

use futures_core::future::BoxFuture;

use super::error::odd_answer;
use super::link::Care;
use super::{RedisStore, script};
use crate::store::{
    AccountName, Acquire, Commit, Fence, Generation, Grant, Guarded, Issued, Lease, LeaseFrom,
    Record, RotationStore, StoreError, Watch,
};

type Step<'a, T> = BoxFuture<'a, Result<T, StoreError>>;

impl RotationStore for RedisStore {
    fn read<'a>(&'a self, account: &'a AccountName) -> Step<'a, Option<Record>> {
        Box::pin(async move {
            let answer = self
                .run(&script::READ, account, [], Care::MayRepeat)
                .await?;
            match answer.tag.as_str() {
                "stands" => answer.record().map(Some),
                "never seen" => Ok(None),
                _ => Err(odd_answer()),
            }
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
            let (number, lease) = (text(generation.number()), millis(lease));
            let from = match from {
                LeaseFrom::Active => "active",
                LeaseFrom::InDoubt => "in doubt",
            };
            let args = [
                number.as_ref(),
                owner.as_ref(),
                lease.as_ref(),
                from.as_ref(),
            ];
            let answer = self
                .run(&script::ACQUIRE, account, args, Care::None)
                .await?;
            let record = answer.record()?;
            match answer.tag.as_str() {
                "granted" => Ok(Acquire::Granted(Lease {
                    generation,
                    fence: record.fence,
                    record,
                })),
                "lost" => Ok(Acquire::Lost(record)),
                _ => Err(odd_answer()),
            }
        })
    }

    fn intend<'a>(
        &'a self,
        account: &'a AccountName,
        lease: &'a Lease,
        answer_within: Duration,
    ) -> Step<'a, Guarded> {
        Box::pin(async move {
            let [generation, fence] = guards(lease.generation, lease.fence);
            let within = millis(answer_within);
            let args = [generation.as_ref(), fence.as_ref(), within.as_ref()];
            self.guarded(&script::INTEND, account, args, Care::Replicate)
                .await
        })
    }

    fn commit<'a>(&'a self, account: &'a AccountName, issued: Issued) -> Step<'a, Commit> {
        Box::pin(async move {
            let [generation, lineage] =
                [issued.generation, issued.lineage].map(|it| text(it.number()));
            let grant = issued.grant.to_bytes();
            let expires_in = issued.expires_in.map(millis).unwrap_or_default();
            let args: [&[u8]; 4] = [
                generation.as_ref(),
                lineage.as_ref(),
                &grant,
                expires_in.as_ref(),
            ];
            let answer = self
                .run(&script::COMMIT, account, args, Care::Replicate)
                .await?;
            match answer.tag.as_str() {
                "committed" => answer.record().map(Commit::Committed),
                "superseded" => answer.superseding().map(Commit::Superseded),
                _ => Err(odd_answer()),
            }
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
            let [generation, fence] = guards(lease.generation, lease.fence);
            let pause = millis(not_before);
            let replayed = if lease.record.replayed { "1" } else { "0" };
            let intended_at = lease.record.intended_at.map(|it| text(it.as_millis()));
            let intended_at = intended_at.unwrap_or_default();
            let args = [
                generation.as_ref(),
                fence.as_ref(),
                pause.as_ref(),
                why.as_ref(),
                replayed.as_ref(),
                intended_at.as_ref(),
            ];
            self.guarded(&script::RELEASE, account, args, Care::None)
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
            let [generation, fence] = guards(generation, fence);
            let args = [generation.as_ref(), fence.as_ref(), why.as_ref()];
            self.guarded(&script::DOUBT, account, args, Care::None)
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
            let [generation, fence] = guards(lease.generation, lease.fence);
            let args = [generation.as_ref(), fence.as_ref(), why.as_ref()];
            self.guarded(&script::REJECT, account, args, Care::None)
                .await
        })
    }

    fn revoke<'a>(&'a self, account: &'a AccountName) -> Step<'a, Record> {
        Box::pin(async move {
            let nothing = Grant::default().to_bytes();
            let answer = self
                .run(&script::REVOKE, account, [&nothing], Care::Replicate)
                .await?;
            answer.record()
        })
    }

    fn watch(&self, account: &AccountName) -> Box<dyn Watch> {
        self.0.watchers.watch(self.key(account))
    }
}

fn guards(generation: Generation, fence: Fence) -> [String; 2] {
    [generation.number(), fence.number()].map(text)
}

fn text(number: u64) -> String {
    number.to_string()
}

fn millis(duration: Duration) -> String {
    text(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
}
