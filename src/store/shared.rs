//! A store behind an [`Arc`] is a store: one that was chosen at run time, or that many share.

use std::sync::Arc;
use std::time::Duration;

use futures_core::future::BoxFuture;

use super::{
    AccountName, Acquire, Commit, Fence, Generation, Guarded, Issued, Lease, LeaseFrom, Record,
    RotationStore, StoreError, Watch,
};

type Step<'a, T> = BoxFuture<'a, Result<T, StoreError>>;

impl<S: RotationStore + ?Sized> RotationStore for Arc<S> {
    fn read<'a>(&'a self, account: &'a AccountName) -> Step<'a, Option<Record>> {
        (**self).read(account)
    }

    fn acquire<'a>(
        &'a self,
        account: &'a AccountName,
        generation: Generation,
        owner: &'a str,
        lease: Duration,
        from: LeaseFrom,
    ) -> Step<'a, Acquire> {
        (**self).acquire(account, generation, owner, lease, from)
    }

    fn intend<'a>(
        &'a self,
        account: &'a AccountName,
        lease: &'a Lease,
        answer_within: Duration,
    ) -> Step<'a, Guarded> {
        (**self).intend(account, lease, answer_within)
    }

    fn commit<'a>(&'a self, account: &'a AccountName, issued: Issued) -> Step<'a, Commit> {
        (**self).commit(account, issued)
    }

    fn release<'a>(
        &'a self,
        account: &'a AccountName,
        lease: &'a Lease,
        not_before: Duration,
        why: &'a str,
    ) -> Step<'a, Guarded> {
        (**self).release(account, lease, not_before, why)
    }

    fn doubt<'a>(
        &'a self,
        account: &'a AccountName,
        generation: Generation,
        fence: Fence,
        why: &'a str,
    ) -> Step<'a, Guarded> {
        (**self).doubt(account, generation, fence, why)
    }

    fn reject<'a>(
        &'a self,
        account: &'a AccountName,
        lease: &'a Lease,
        why: &'a str,
    ) -> Step<'a, Guarded> {
        (**self).reject(account, lease, why)
    }

    fn revoke<'a>(&'a self, account: &'a AccountName) -> Step<'a, Record> {
        (**self).revoke(account)
    }

    fn watch(&self, account: &AccountName) -> Box<dyn Watch> {
        (**self).watch(account)
    }
}
