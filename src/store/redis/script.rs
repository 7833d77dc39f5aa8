//! The one script: what it is given, and what it answers.

use std::collections::HashMap;
use std::sync::LazyLock;

use redis::aio::MultiplexedConnection;
use redis::{RedisResult, Script, ScriptInvocation};

use super::error::odd_answer;
use super::record::Fields;
use crate::Timestamp;
use crate::store::{AccountName, Loaded, Replaced, StoreError, Version};

pub(super) static SCRIPT: LazyLock<Script> =
    LazyLock::new(|| Script::new(include_str!("replace.lua")));

/// The time, and what stands if nothing was written: its version, and its fields.
pub(super) type Answer = (u64, Option<String>, HashMap<Vec<u8>, Vec<u8>>);

/// All keys, and the channel, of one prefix. A cluster hashes what is in the braces, so it has all of
/// them in one slot: a script may touch no two.
#[derive(Clone, Debug)]
pub(super) struct Keys(String);

impl Keys {
    pub(super) fn new(prefix: &str) -> Self {
        Self(format!("{{{prefix}}}:"))
    }

    pub(super) fn of(&self, end: &str) -> String {
        [self.0.as_str(), end].concat()
    }

    pub(super) fn record(&self, name: &[u8]) -> Vec<u8> {
        [self.of("account:").as_bytes(), name].concat()
    }

    /// The names of all accounts.
    pub(super) fn index(&self) -> String {
        self.of("accounts")
    }

    /// Where a record is made before it takes its place.
    fn draft(&self) -> String {
        self.of("draft")
    }

    /// The channel on which changes are told.
    pub(super) fn changes(&self) -> String {
        self.of("changes")
    }

    /// The script, to be told what stands.
    pub(super) fn look(&self, account: &AccountName) -> ScriptInvocation<'static> {
        self.script(account, "look", "")
    }

    /// The script, to replace a record of this version; the fields are still to be given. `told` is
    /// whether those who watch are told.
    pub(super) fn replace(
        &self,
        account: &AccountName,
        expected: Option<Version>,
        told: bool,
    ) -> ScriptInvocation<'static> {
        let expected = expected.map(|it| it.number().to_string());
        let channel = if told { self.changes() } else { String::new() };
        self.script(account, &expected.unwrap_or_default(), &channel)
    }

    fn script(
        &self,
        account: &AccountName,
        expected: &str,
        channel: &str,
    ) -> ScriptInvocation<'static> {
        let mut script = SCRIPT.prepare_invoke();
        script
            .key(self.record(account.as_str().as_bytes()))
            .key(self.index())
            .key(self.draft())
            .arg((account.as_str(), expected, channel));
        script
    }
}

/// Runs it, in one round trip where the server knows it. One that it does not know has not run.
pub(super) async fn run(
    script: &ScriptInvocation<'_>,
    mut connection: MultiplexedConnection,
) -> RedisResult<Answer> {
    script.invoke_async(&mut connection).await
}

/// What the script answered to one who looked.
pub(super) fn loaded(answer: Answer, account: &AccountName) -> Result<Loaded, StoreError> {
    match replaced(answer, account)? {
        Replaced::Refused(loaded) => Ok(loaded),
        Replaced::Done(_) => Err(odd_answer()),
    }
}

/// What it answered to one who wrote.
pub(super) fn replaced(
    (now, version, fields): Answer,
    account: &AccountName,
) -> Result<Replaced, StoreError> {
    let (now, fields) = (Timestamp::from_millis(now), Fields::of(fields));
    let Some(version) = version else {
        return Ok(Replaced::Done(now));
    };
    if version.is_empty() {
        return Ok(Replaced::Refused(Loaded::nothing(now)));
    }
    let version = Version::from_number(version.parse().map_err(|_| odd_answer())?);
    let loaded = match fields.record(account, version, now) {
        Ok(record) => Loaded::record(record, now),
        Err(why) => Loaded::unreadable(version, why, now),
    };
    Ok(Replaced::Refused(loaded))
}
