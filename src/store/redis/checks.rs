//! Whether a server is fit to keep records: asked of each new connection, for a server may come
//! back as another, and from time to time, for it may be told to be.

use std::collections::HashMap;

use redis::aio::MultiplexedConnection;
use redis::{Cmd, FromRedisValue, Pipeline, RedisResult, Value};

use super::error::{REPLICA, refusal};
use super::script::{Keys, SCRIPT};
use crate::store::StoreError;
use crate::store::error::unsuitable;

/// What a [`RedisStore`](super::RedisStore) asks of the server before it trusts it with an intent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Durability {
    /// `appendonly yes`, `appendfsync always` and `no-appendfsync-on-rewrite no`, its default: a
    /// step is on disk before it is answered. The only one that keeps the promise through a crash
    /// of the server's machine.
    Always,
    /// `appendfsync everysec` as well: a machine that crashes may lose up to two seconds of steps.
    /// If an intent was among them, **a refresh token that is spent may be presented again**,
    /// which may end the grant; if a commit was, its process writes it back, if it still runs.
    EverySecond,
    /// Whatever the server does, which is not looked at: for a server that does not tell, such as
    /// a managed one, or one that keeps all in memory. Each restart without its data is as above,
    /// for all that was written.
    Unchecked,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Rules {
    pub(super) durability: Durability,
    /// How many confirm what must not be lost.
    pub(super) replicas: u32,
}

impl Rules {
    pub(super) async fn check(
        self,
        connection: &mut MultiplexedConnection,
        keys: &Keys,
    ) -> Result<(), StoreError> {
        self.check_server(connection).await?;
        check_rights(connection, keys).await?;
        if self.replicas > 0 {
            ask::<u32>("WAIT", &["0", "1"], connection).await?;
        }
        Ok(())
    }

    /// What of it may change while the server runs, the user's rights left aside: a step that lacks
    /// one fails by itself.
    pub(super) async fn check_server(
        self,
        connection: &mut MultiplexedConnection,
    ) -> Result<(), StoreError> {
        let info: String = ask("INFO", &[], connection).await?;
        let info = Info(&info);
        if info.get("role") != Some("master") {
            return Err(unsuitable(REPLICA));
        }
        let policy = info.get("maxmemory_policy");
        let policy = policy.ok_or_else(|| unsuitable("its INFO has no maxmemory_policy"))?;
        if policy != "noeviction" {
            return Err(unsuitable(
                "it may evict records, intents among them: set maxmemory-policy noeviction",
            ));
        }
        if self.durability != Durability::Unchecked {
            self.check_durability(info, connection).await?;
        }
        Ok(())
    }

    async fn check_durability(
        self,
        info: Info<'_>,
        connection: &mut MultiplexedConnection,
    ) -> Result<(), StoreError> {
        if info.get("aof_enabled") != Some("1") {
            return Err(unsuitable(
                "it keeps no append-only file, so a restart loses records: set appendonly yes, or \
                 take the risk with accept_durability(Durability::Unchecked)",
            ));
        }
        // One pattern for both: before Redis 7 it takes no two.
        let config: HashMap<String, String> =
            ask("CONFIG", &["GET", "*appendfsync*"], connection).await?;
        let get = |name| config.get(name).map(String::as_str);
        // The second overrules the first for as long as the server writes its file anew.
        let (appendfsync, not_on_rewrite) = (get("appendfsync"), get("no-appendfsync-on-rewrite"));
        Err(unsuitable(match (appendfsync, self.durability) {
            (Some("always"), _) | (Some("everysec"), Durability::EverySecond) => {
                if not_on_rewrite == Some("no") {
                    return Ok(());
                }
                "it may not write to disk while it rewrites its file: set \
                 no-appendfsync-on-rewrite no, or take the risk with \
                 accept_durability(Durability::Unchecked)"
            }
            (Some("everysec"), _) => {
                "it writes to disk every second, so a crash may lose an intent: set appendfsync \
                 always, or take the risk with accept_durability(Durability::EverySecond)"
            }
            (Some(_), _) => {
                "it leaves to its system when to write to disk: set appendfsync always, or take \
                 the risk with accept_durability(Durability::Unchecked)"
            }
            (None, _) => {
                "it does not tell its appendfsync: take the risk with \
                 accept_durability(Durability::Unchecked)"
            }
        }))
    }
}

/// Does all that the steps do, one by one, so that the error can say what the user may not do.
async fn check_rights(
    connection: &mut MultiplexedConnection,
    keys: &Keys,
) -> Result<(), StoreError> {
    // Keys that no record has, and a channel on which nobody listens.
    let of = |end| keys.of(end);
    let [record, index, none] = &["probe", "probe:index", "probe:none"].map(of);
    let calls: [&[&str]; 11] = [
        &["TIME"],
        &["TYPE", record],
        &["HGET", record, "version"],
        &["HGETALL", record],
        &["HMGET", record, "version"],
        &["HSET", record, "version", "0"],
        &["DEL", none],
        &["RENAME", record, record],
        &["ZADD", index, "0", ""],
        &["ZRANGE", index, "-", "(", "BYLEX", "LIMIT", "0", "1"],
        &["PUBLISH", record, ""],
    ];
    let mut all = Pipeline::new();
    for call in calls {
        all.add_command(Cmd::new().arg(call).take());
    }
    let replies = all.ignore_errors().query_async(connection).await;
    let replies: Vec<RedisResult<Value>> = replies.map_err(|error| refusal("a step", &error))?;
    for (call, reply) in calls.iter().zip(replies) {
        reply.map_err(|error| refusal(call[0], &error))?;
    }
    let no_scripts = |error| refusal("EVALSHA and SCRIPT LOAD", &error);
    // Also where the server knows it: one that forgot the script has to be told it again.
    SCRIPT.load_async(connection).await.map_err(no_scripts)?;
    let mut look = SCRIPT.key(record);
    look.key(index).key(none).arg(("probe", "look", ""));
    look.invoke_async(connection).await.map_err(no_scripts)
}

async fn ask<T: FromRedisValue>(
    command: &str,
    args: &[&str],
    connection: &mut MultiplexedConnection,
) -> Result<T, StoreError> {
    let mut call = Cmd::new();
    call.arg(command).arg(args);
    let reply = call.query_async(connection).await;
    reply.map_err(|error| refusal(command, &error))
}

/// What `INFO` answers: lines of `name:value`.
#[derive(Clone, Copy)]
struct Info<'a>(&'a str);

impl<'a> Info<'a> {
    fn get(self, name: &str) -> Option<&'a str> {
        let mut lines = self.0.lines().filter_map(|line| line.split_once(':'));
        lines.find(|line| line.0 == name).map(|line| line.1.trim())
    }
}
