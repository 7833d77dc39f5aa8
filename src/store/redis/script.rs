//! The scripts, and how one is run: by its digest, and whole where the server does not know it yet.

use std::fmt::Write as _;
use std::sync::LazyLock;

use redis::aio::MultiplexedConnection;
use redis::{Cmd, ErrorKind, RedisError, ServerErrorKind, Value};
use sha1::{Digest as _, Sha1};

pub(super) struct Script {
    source: &'static str,
    digest: String,
}

macro_rules! steps {
    ($($name:ident: $file:literal,)*) => {$(
        pub(super) static $name: LazyLock<Script> = LazyLock::new(|| {
            Script::new(concat!(include_str!("lua/prelude.lua"), include_str!($file)))
        });
    )*};
}

steps! {
    READ: "lua/read.lua",
    ACQUIRE: "lua/acquire.lua",
    INTEND: "lua/intend.lua",
    COMMIT: "lua/commit.lua",
    RELEASE: "lua/release.lua",
    DOUBT: "lua/doubt.lua",
    REJECT: "lua/reject.lua",
    REVOKE: "lua/revoke.lua",
}

pub(super) static PROBE: LazyLock<Script> =
    LazyLock::new(|| Script::new(include_str!("lua/probe.lua")));

impl Script {
    fn new(source: &'static str) -> Self {
        let mut digest = String::with_capacity(40);
        for byte in Sha1::digest(source) {
            let written = write!(digest, "{byte:02x}");
            debug_assert!(written.is_ok());
        }
        Self { source, digest }
    }

    /// Runs it on `key`. A script that the server did not know has not run, so it is sent whole.
    pub(super) async fn run(
        &self,
        connection: &mut MultiplexedConnection,
        key: &str,
        args: &[&[u8]],
    ) -> Result<Vec<Value>, RedisError> {
        let call = |command, script| {
            let mut call = Cmd::new();
            call.arg(command).arg(script).arg(1).arg(key).arg(args);
            call
        };
        let known = call("EVALSHA", self.digest.as_str());
        match known.query_async(connection).await {
            Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => {
                call("EVAL", self.source).query_async(connection).await
            }
            done => done,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Record, blob};

    #[test]
    fn scripts_and_crate_agree() {
        let forms = blob::FORMS.map(|form| format!("[{form}] = true"));
        for line in [
            format!("LONGEST_WAIT = {} ", Record::LONGEST_WAIT.as_millis()),
            format!("FORMS = {{ {} }}\n", forms.join(", ")),
            format!("MAX = '{}'", u64::MAX),
        ] {
            assert!(READ.source.contains(&line), "{line}");
        }
    }
}
