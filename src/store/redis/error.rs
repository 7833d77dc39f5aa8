//! What went wrong, in our own words: a Redis error may quote a command, and so a secret.

use redis::{ErrorKind, RedisError};

use crate::store::StoreError;
use crate::store::error::{unavailable, unsuitable};

/// An answer of another shape than our script gives.
pub(super) fn odd_answer() -> StoreError {
    unavailable("Redis gave an answer that our script does not give")
}

pub(super) fn late() -> StoreError {
    unavailable("Redis did not answer in time")
}

pub(super) const REPLICA: &str = "it is a read-only replica: give the address of the primary";

/// Tells a Redis error without what it quotes.
pub(super) fn told(error: &RedisError) -> StoreError {
    match error.kind() {
        ErrorKind::Io => {
            // Of the socket or of TLS, neither of which knows of commands.
            let told = unavailable("no connection to Redis");
            return match std::error::Error::source(error) {
                Some(source) => told.with_source(source.to_string()),
                None => told,
            };
        }
        ErrorKind::AuthenticationFailed => return unsuitable("Redis refused user or password"),
        _ => {}
    }
    let Some(code) = error.code().filter(|code| is_code(code)) else {
        return unavailable("the connection to Redis failed");
    };
    match code {
        "WRONGTYPE" => unsuitable("a key of this prefix holds something that is not ours"),
        "READONLY" => unsuitable(REPLICA),
        "NOAUTH" | "WRONGPASS" => unsuitable("Redis refused user or password"),
        "NOPERM" => may_not("what a step does"),
        "MOVED" | "ASK" | "CROSSSLOT" => {
            unsuitable("the records of this prefix are on another node of a Redis cluster")
        }
        "OOM" => unavailable("Redis is out of memory"),
        "MISCONF" => unavailable("Redis cannot write to its disk"),
        "NOREPLICAS" => unavailable("Redis has too few replicas in reach"),
        "LOADING" => unavailable("Redis is loading its data"),
        "BUSY" => unavailable("Redis is busy with another script"),
        code => unavailable("Redis answered with an error").with_source(code.to_owned()),
    }
}

/// A code is one word of capitals; anything else may be a quotation.
fn is_code(code: &str) -> bool {
    code.len() <= 16 && code.bytes().all(|byte| byte.is_ascii_uppercase())
}

/// Tells why the server refused `command`.
pub(super) fn refusal(command: &str, error: &RedisError) -> StoreError {
    // A managed server may not know a command at all, or under another name.
    let gone = error
        .detail()
        .is_some_and(|it| it.starts_with("unknown command"));
    let code = if gone {
        "NOPERM"
    } else {
        error.code().unwrap_or_default()
    };
    denied(command, code)
        .or_else(|| denied(command, error.detail().unwrap_or_default()))
        .unwrap_or_else(|| told(error))
}

/// What the user of this connection lacks, if that is why `command` failed.
fn denied(command: &str, error: &str) -> Option<StoreError> {
    // Of the server itself, of a script on Redis 6 and 7.0, and of a script since.
    let signs = [
        "NOPERM",
        "No permissions",
        "the script can't",
        "ACL failure",
    ];
    if !signs.iter().any(|sign| error.contains(sign)) {
        return None;
    }
    Some(may_not(command))
}

pub(super) fn may_not(command: &str) -> StoreError {
    let what = match command {
        "CONFIG" => {
            "the Redis user may not call CONFIG GET, which tells whether appendfsync is enough: \
             allow it, or take the risk with accept_durability(Durability::Unchecked)"
        }
        _ => "the Redis user may not do this, or not with the keys and channels of this prefix",
    };
    unsuitable(what).with_source(command.to_owned())
}

#[cfg(test)]
mod tests {
    use redis::ServerErrorKind;

    use super::*;

    #[test]
    fn nothing_that_a_redis_error_quotes_is_told() {
        let quoting = ["redis://:CANARY@host", "CANARY", "ERR CANARY"];
        for quoted in quoting {
            let kinds = [
                ErrorKind::Server(ServerErrorKind::ResponseError),
                ErrorKind::InvalidClientConfig,
                ErrorKind::AuthenticationFailed,
                ErrorKind::Client,
                ErrorKind::Parse,
                ErrorKind::UnexpectedReturnType,
                ErrorKind::Extension,
            ];
            for kind in kinds {
                let error = RedisError::from((kind, "CANARY", quoted.to_owned()));
                let told = format!("{:?} {}", told(&error), told(&error));
                assert!(!told.contains("CANARY"), "{told}");
            }
            let error = redis::make_extension_error(quoted.to_owned(), Some(quoted.to_owned()));
            let told = format!("{:?}", told(&error));
            assert!(!told.contains("host") && !told.contains("ERR"), "{told}");
        }
    }
}
