//! The scripts, and how one is run: by its digest, and loaded where the server does not know it yet.

use std::sync::LazyLock;

use redis::aio::MultiplexedConnection;
use redis::{RedisError, Script, Value};

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

/// Runs it on `key`, in one round trip where the server knows it. A script that it did not know has
/// not run.
pub(super) async fn run(
    script: &Script,
    connection: &mut MultiplexedConnection,
    key: &str,
    args: &[&[u8]],
) -> Result<Vec<Value>, RedisError> {
    script.key(key).arg(args).invoke_async(connection).await
}

#[cfg(test)]
mod tests {
    use crate::store::{Record, blob};

    #[test]
    fn scripts_and_crate_agree() {
        let prelude = include_str!("lua/prelude.lua");
        let forms = blob::FORMS.map(|form| format!("[{form}] = true"));
        for line in [
            format!("LONGEST_WAIT = {} ", Record::LONGEST_WAIT.as_millis()),
            format!("FORMS = {{ {} }}\n", forms.join(", ")),
            format!("MAX = '{}'", u64::MAX),
        ] {
            assert!(prelude.contains(&line), "{line}");
        }
    }
}
