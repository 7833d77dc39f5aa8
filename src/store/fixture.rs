//! What tests put into stores, and how they look at it.

// It is also what the conformance suite writes, which uses a part of it.
#![allow(clippy::unwrap_used)]
#![cfg_attr(not(test), allow(dead_code))]

use std::fmt::Display;
use std::time::Duration;

use super::{AccountName, Draft, Generation, Grant, Issued, Record, RecordStore, Version};
use crate::token::TokenSet;

pub(crate) const HOUR: Duration = Duration::from_secs(3600);

pub(crate) fn name(text: &str) -> AccountName {
    text.parse().unwrap()
}

/// `AT-1`, `KEY-1` and `RT-1`, for one.
pub(crate) fn grant(mark: impl Display) -> Grant {
    let [at, key, rt] = ["AT", "KEY", "RT"].map(|name| format!("{name}-{mark}"));
    TokenSet::mac(at, key, rt, HOUR).into()
}

/// A generation of the first lineage, as it is issued.
pub(crate) fn issued(number: u64) -> Issued {
    let generation = Generation::from_number(number);
    Issued::rotated(generation, Generation::FIRST, grant(number), Some(HOUR))
}

pub(crate) fn draft(number: u64) -> Draft {
    Draft::issued(Version::draw(), issued(number))
}

/// The record that stands.
pub(crate) async fn read(store: &impl RecordStore, account: &AccountName) -> Record {
    let loaded = store.load(account).await.unwrap();
    loaded.into_record().unwrap().unwrap()
}
